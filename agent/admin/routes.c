#include "agent/admin/routes.h"

#include <string.h>

#include "agent/admin/assets.h"
#include "agent/admin/json_writer.h"
#include "agent/admin/page.h"
#include "agent/admin/service_query.h"
#include "base/text.h"

enum { WHY_BYTES = 64 << 10 };

#define JSON_TYPE "application/json"

/* ---- what of the list is asked for ---- */

/* A walk over one of the source's lists that keeps what the query names: of gateways and links, its cluster alone. */
struct listing {
    struct json_writer writer;
    struct service_query query;
};

static struct listing begin_listing(const struct admin_request *request, struct admin_response *response)
{
    response->content_type = JSON_TYPE;
    struct listing listing = {.writer = {.text = &response->body}, .query = service_query_parse(request)};
    json_writer_open(&listing.writer, NULL, '[');
    return listing;
}

static void end_listing(struct listing *listing)
{
    if (listing->writer.after_value)
        strbuf_append_char(listing->writer.text, '\n');
    json_writer_close(&listing->writer, ']');
    strbuf_append_char(listing->writer.text, '\n');
}

static bool wanted(const char *filter, const char *value) { return filter == NULL || strcmp(filter, value) == 0; }

static void begin_record(struct json_writer *writer)
{
    json_writer_break(writer);
    json_writer_open(writer, NULL, '{');
}

/* ---- records ---- */

static void write_address(struct json_writer *writer, const struct gateway_address_info *address)
{
    json_writer_open(writer, NULL, '{');
    json_writer_text(writer, "ip", address->ip);
    json_writer_text(writer, "verdict", address->verdict);
    json_writer_text(writer, "reason", address->reason);
    json_writer_text(writer, "detail", address->detail);
    json_writer_text(writer, "advice", address->advice);
    if (address->http_status > 0)
        json_writer_number(writer, "httpStatus", (uint64_t)address->http_status);
    else
        json_writer_null(writer, "httpStatus");
    json_writer_time(writer, "since", address->since_us);
    json_writer_time(writer, "lastProbe", address->last_probe_us);
    json_writer_ms(writer, "latencyMs", address->latency_us);
    json_writer_ms(writer, "latencyP50Ms", address->p50_us);
    json_writer_ms(writer, "latencyP95Ms", address->p95_us);
    json_writer_ms(writer, "latencyP99Ms", address->p99_us);
    json_writer_number(writer, "probes", address->probes);
    json_writer_number(writer, "failures", address->failures);
    json_writer_close(writer, '}');
}

/* The four keys of `linkerd multicluster gateways -o json` come first and mean the same: latency is in whole milliseconds. */
static void write_linkerd_keys(struct json_writer *writer, const struct gateway_info *info)
{
    bool alive = strcmp(info->verdict, "alive") == 0;
    json_writer_text(writer, "clusterName", info->cluster);
    json_writer_bool(writer, "alive", alive);
    json_writer_number(writer, "numberOfServices", info->services);
    if (alive && info->latency_us > 0)
        json_writer_number(writer, "latency", (info->latency_us + 999) / 1000);
    else
        json_writer_null(writer, "latency");
}

static void write_probe(struct json_writer *writer, const struct gateway_info *info)
{
    json_writer_bool(writer, "probed", info->probed);
    json_writer_number(writer, "probePort", info->probe_port);
    json_writer_text(writer, "probePath", info->probe_path);
    json_writer_number(writer, "probePeriodMs", info->period_ms);
    json_writer_number(writer, "probeTimeoutMs", info->timeout_ms);
    json_writer_number(writer, "failureThreshold", info->failure_threshold);
}

static void write_gateway(void *context, const struct gateway_info *info)
{
    struct listing *listing = context;
    struct json_writer *writer = &listing->writer;
    if (!wanted(listing->query.cluster, info->cluster))
        return;
    begin_record(writer);
    write_linkerd_keys(writer, info);
    json_writer_text(writer, "verdict", info->verdict);
    json_writer_text(writer, "reason", info->reason);
    json_writer_text(writer, "advice", info->advice);
    json_writer_time(writer, "since", info->since_us);
    json_writer_text(writer, "problem", info->problem);
    json_writer_text(writer, "warning", info->warning);
    json_writer_text(writer, "gatewayNamespace", info->namespace);
    json_writer_text(writer, "gatewayName", info->name);
    json_writer_text(writer, "linkKind", info->link_kind);
    json_writer_text(writer, "linkName", info->link_name);
    json_writer_bool(writer, "exists", info->exists);
    json_writer_bool(writer, "drained", info->drained);
    json_writer_number(writer, "port", info->port);
    json_writer_text(writer, "identity", info->identity);
    write_probe(writer, info);
    json_writer_open(writer, "addresses", '[');
    for (uint32_t i = 0; i < info->address_count; i++)
        write_address(writer, &info->addresses[i]);
    json_writer_close(writer, ']');
    json_writer_close(writer, '}');
}

/* What only a link that is followed has. */
static void write_target(struct json_writer *writer, const struct link_info *info)
{
    json_writer_text(writer, "clusterDomain", info->domain);
    json_writer_text(writer, "server", info->server);
    json_writer_bool(writer, "apiReachable", info->api_reachable);
    json_writer_bool(writer, "synced", info->synced);
    json_writer_bool(writer, "drained", info->drained);
    json_writer_text(writer, "problem", info->problem);
    json_writer_text(writer, "warning", info->warning);
    json_writer_text(writer, "holder", info->holder);
    json_writer_bool(writer, "held", info->held);
    json_writer_number(writer, "eventAgeMs", info->event_age_ms);
    json_writer_time(writer, "credentialsExpire", info->credentials_expire_us);
    json_writer_number(writer, "exportedServices", info->exported);
    json_writer_number(writer, "mirroredServices", info->mirrored);
}

/* The same keys for a declaration that is refused, so that nobody has to ask which are there. */
static void write_no_target(struct json_writer *writer, const struct link_info *info)
{
    json_writer_null(writer, "clusterDomain");
    json_writer_null(writer, "server");
    json_writer_null(writer, "apiReachable");
    json_writer_null(writer, "synced");
    json_writer_null(writer, "drained");
    json_writer_text(writer, "problem", info->problem);
    json_writer_null(writer, "warning");
    json_writer_null(writer, "holder");
    json_writer_null(writer, "held");
    json_writer_null(writer, "eventAgeMs");
    json_writer_null(writer, "credentialsExpire");
    json_writer_null(writer, "exportedServices");
    json_writer_null(writer, "mirroredServices");
}

static void write_link(void *context, const struct link_info *info)
{
    struct listing *listing = context;
    struct json_writer *writer = &listing->writer;
    if (!wanted(listing->query.cluster, info->cluster))
        return;
    begin_record(writer);
    json_writer_text(writer, "clusterName", info->cluster);
    json_writer_text(writer, "kind", info->kind);
    json_writer_text(writer, "name", info->name);
    if (info->refused)
        write_no_target(writer, info);
    else
        write_target(writer, info);
    json_writer_text(writer, "namespace", info->namespace);
    json_writer_bool(writer, "refused", info->refused);
    json_writer_close(writer, '}');
}

static void write_service(void *context, const struct service_info *info)
{
    struct listing *listing = context;
    struct json_writer *writer = &listing->writer;
    if (!service_query_matches(&listing->query, info))
        return;
    begin_record(writer);
    json_writer_text(writer, "clusterName", info->cluster);
    json_writer_text(writer, "namespace", info->namespace);
    json_writer_text(writer, "name", info->name);
    json_writer_text(writer, "mirror", info->mirror);
    json_writer_text(writer, "mode", info->mode);
    json_writer_text(writer, "gateway", info->gateway);
    json_writer_bool(writer, "mirrored", info->mirrored);
    json_writer_text(writer, "reason", info->reason);
    json_writer_text(writer, "message", info->message);
    json_writer_number(writer, "endpoints", info->endpoints);
    json_writer_number(writer, "readyEndpoints", info->ready);
    json_writer_time(writer, "lastTransition", info->since_us);
    json_writer_close(writer, '}');
}

/* ---- routes ---- */

static void serve_metrics(void *context, const struct admin_request *request, struct admin_response *response)
{
    const struct routes_context *routes_context = context;
    (void)request;
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(routes_context->metrics, &response->body);
}

/* Whoever answers lives: the loop turns. */
static void serve_live(void *context, const struct admin_request *request, struct admin_response *response)
{
    (void)context;
    (void)request;
    strbuf_append(&response->body, "ok\n");
}

static void serve_ping(void *context, const struct admin_request *request, struct admin_response *response)
{
    (void)context;
    (void)request;
    strbuf_append(&response->body, "pong\n");
}

static void serve_ready(void *context, const struct admin_request *request, struct admin_response *response)
{
    const struct admin_source *source = ((const struct routes_context *)context)->source;
    struct strbuf why;
    (void)request;
    strbuf_init(&why, WHY_BYTES);
    bool ready = source != NULL && source->ready(source->context, &why);
    if (source == NULL)
        strbuf_append(&why, "the agent is starting\n");
    response->status = ready ? 200 : 503;
    strbuf_append(&response->body, ready ? "ok\n" : strbuf_text(&why));
    strbuf_done(&why);
}

static void serve_gateways(void *context, const struct admin_request *request, struct admin_response *response)
{
    const struct admin_source *source = ((const struct routes_context *)context)->source;
    struct listing listing = begin_listing(request, response);
    if (source != NULL)
        source->each_gateway(source->context, write_gateway, &listing);
    end_listing(&listing);
}

static void serve_links(void *context, const struct admin_request *request, struct admin_response *response)
{
    const struct admin_source *source = ((const struct routes_context *)context)->source;
    struct listing listing = begin_listing(request, response);
    if (source != NULL)
        source->each_link(source->context, write_link, &listing);
    end_listing(&listing);
}

static void serve_services(void *context, const struct admin_request *request, struct admin_response *response)
{
    const struct admin_source *source = ((const struct routes_context *)context)->source;
    struct listing listing = begin_listing(request, response);
    if (source != NULL)
        source->each_service(source->context, write_service, &listing);
    end_listing(&listing);
}

static void serve_asset(struct admin_response *response, const char *content_type, const char *text)
{
    response->content_type = content_type;
    strbuf_append(&response->body, text);
}

static void serve_style(void *context, const struct admin_request *request, struct admin_response *response)
{
    (void)context;
    (void)request;
    serve_asset(response, "text/css; charset=utf-8", asset_page_css);
}

static void serve_script(void *context, const struct admin_request *request, struct admin_response *response)
{
    (void)context;
    (void)request;
    serve_asset(response, "text/javascript; charset=utf-8", asset_page_js);
}

static void serve_icon(void *context, const struct admin_request *request, struct admin_response *response)
{
    (void)context;
    (void)request;
    serve_asset(response, "image/svg+xml", asset_icon_svg);
}

/* @return the number of the page that is asked for; the first when it is none. */
static uint32_t page_number(const struct admin_request *request)
{
    const char *text = admin_request_query(request, "page");
    uint64_t number = 0;
    struct err ignored = {0};
    if (text == NULL || text_parse_u64(text, 1, UINT32_MAX, "page", &number, &ignored) != ERR_OK)
        return 1;
    return (uint32_t)number;
}

static void serve_page(void *context, const struct admin_request *request, struct admin_response *response)
{
    const struct routes_context *routes_context = context;
    response->content_type = "text/html; charset=utf-8";
    response->html = true;
    const struct page page = {.source = routes_context->source,
                              .now_us = loop_wall_us(routes_context->loop),
                              .refresh = admin_request_query(request, "refresh") != NULL,
                              .services = service_query_parse(request),
                              .number = page_number(request)};
    page_write(&page, &response->body);
}

const struct admin_route routes[] = {
    {"/", serve_page},
    {"/page.css", serve_style},
    {"/page.js", serve_script},
    {"/icon.svg", serve_icon},
    {"/metrics", serve_metrics},
    {"/live", serve_live},
    {"/ready", serve_ready},
    {"/ping", serve_ping},
    {"/api/v1/gateways", serve_gateways},
    {"/api/v1/links", serve_links},
    {"/api/v1/services", serve_services},
    {0},
};
