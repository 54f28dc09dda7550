#include "agent/admin/routes.h"

#include <string.h>

#include "agent/admin/page.h"
#include "agent/kube/codec.h"
#include "base/mem.h"
#include "base/text.h"

/* ---- JSON ---- */

struct writer {
    struct strbuf *body;
    bool first; /* of the list */
};

static void begin_entry(struct writer *writer) {
    strbuf_append(writer->body, writer->first ? "\n  {" : ",\n  {");
    writer->first = false;
}

static void member(struct strbuf *body, const char *key, const char *value, bool first) {
    strbuf_printf(body, first ? "\"%s\":" : ",\"%s\":", key);
    codec_write_string(body, value != NULL ? value : "");
}

static void member_number(struct strbuf *body, const char *key, uint64_t value) {
    strbuf_printf(body, ",\"%s\":%llu", key, (unsigned long long)value);
}

static void member_bool(struct strbuf *body, const char *key, bool value) {
    strbuf_printf(body, ",\"%s\":%s", key, value ? "true" : "false");
}

static void member_time(struct strbuf *body, const char *key, int64_t us) {
    char text[TEXT_TIME_BYTES];
    if (us == 0) {
        strbuf_printf(body, ",\"%s\":null", key);
        return;
    }
    text_format_time(us, text);
    member(body, key, text, false);
}

static void member_ms(struct strbuf *body, const char *key, uint32_t us) {
    strbuf_printf(body, ",\"%s\":%.3f", key, us / 1000.0);
}

static void write_address(struct strbuf *body, const struct gateway_address_info *address, bool first) {
    strbuf_append(body, first ? "{" : ",{");
    member(body, "ip", address->ip, true);
    member(body, "verdict", address->verdict, false);
    member(body, "reason", address->reason, false);
    member(body, "advice", address->advice, false);
    member(body, "detail", address->detail, false);
    member_number(body, "httpStatus", (uint64_t)address->http_status);
    member_time(body, "since", address->since_us);
    member_time(body, "lastProbe", address->last_probe_us);
    member_ms(body, "latencyMs", address->latency_us);
    member_ms(body, "latencyP50Ms", address->p50_us);
    member_ms(body, "latencyP95Ms", address->p95_us);
    member_ms(body, "latencyP99Ms", address->p99_us);
    member_number(body, "probes", address->probes);
    member_number(body, "failures", address->failures);
    strbuf_append_char(body, '}');
}

/* Linkerd's four keys first: clusterName, alive, numberOfServices, latency (whole milliseconds, null when dead). */
static void write_gateway(void *context, const struct gateway_info *info) {
    struct writer *writer = context;
    struct strbuf *body = writer->body;
    bool alive = strcmp(info->verdict, "alive") == 0;
    begin_entry(writer);
    member(body, "clusterName", info->cluster, true);
    member_bool(body, "alive", alive);
    member_number(body, "numberOfServices", info->services);
    if (alive && info->probed)
        strbuf_printf(body, ",\"latency\":%u", (info->latency_us + 999) / 1000);
    else
        strbuf_append(body, ",\"latency\":null");
    member(body, "verdict", info->verdict, false);
    member(body, "reason", info->reason, false);
    member(body, "advice", info->advice, false);
    member(body, "gatewayNamespace", info->namespace, false);
    member(body, "gatewayName", info->name, false);
    member(body, "linkKind", info->link_kind, false);
    member(body, "linkName", info->link_name, false);
    member_bool(body, "exists", info->exists);
    member_bool(body, "probed", info->probed);
    member(body, "identity", info->identity, false);
    member_number(body, "port", info->port);
    member_number(body, "probePort", info->probe_port);
    member(body, "probePath", info->probe_path, false);
    member_number(body, "probePeriodMs", info->period_ms);
    member_number(body, "probeTimeoutMs", info->timeout_ms);
    member_number(body, "failureThreshold", info->failure_threshold);
    member(body, "warning", info->warning, false);
    member_time(body, "since", info->since_us);
    strbuf_append(body, ",\"addresses\":[");
    for (uint32_t i = 0; i < info->address_count; i++)
        write_address(body, &info->addresses[i], i == 0);
    strbuf_append(body, "]}");
}

static void write_link(void *context, const struct link_info *info) {
    struct writer *writer = context;
    struct strbuf *body = writer->body;
    begin_entry(writer);
    member(body, "clusterName", info->cluster, true);
    member(body, "kind", info->kind, false);
    member(body, "name", info->name, false);
    member(body, "clusterDomain", info->domain, false);
    member(body, "server", info->server, false);
    member_bool(body, "apiReachable", info->api_reachable);
    member_bool(body, "synced", info->synced);
    member(body, "problem", info->problem, false);
    member(body, "warning", info->warning, false);
    member_number(body, "eventAgeMs", info->event_age_ms);
    member_time(body, "credentialsExpire", info->credentials_expire_us);
    member_number(body, "exportedServices", info->exported);
    member_number(body, "mirroredServices", info->mirrored);
    strbuf_append_char(body, '}');
}

static void write_service(void *context, const struct service_info *info) {
    struct writer *writer = context;
    struct strbuf *body = writer->body;
    begin_entry(writer);
    member(body, "clusterName", info->cluster, true);
    member(body, "namespace", info->namespace, false);
    member(body, "name", info->name, false);
    member(body, "mirror", info->mirror, false);
    member(body, "gateway", info->gateway, false);
    member_bool(body, "mirrored", info->mirrored);
    member(body, "reason", info->reason, false);
    member(body, "message", info->message, false);
    member_number(body, "endpoints", info->endpoints);
    member_number(body, "readyEndpoints", info->ready);
    member_time(body, "lastTransition", info->since_us);
    strbuf_append_char(body, '}');
}

void routes_write_gateways(const struct admin_source *source, struct strbuf *body) {
    struct writer writer = {body, true};
    strbuf_append_char(body, '[');
    source->each_gateway(source->context, write_gateway, &writer);
    strbuf_append(body, writer.first ? "]\n" : "\n]\n");
}

/* ---- routes ---- */

static void serve_metrics(const struct routes *routes, struct admin_response *response) {
    response->content_type = "text/plain; version=0.0.4; charset=utf-8";
    metrics_write(routes->metrics, &response->body);
}

static void serve_live(const struct routes *routes, struct admin_response *response) {
    (void)routes; /* whoever answers lives: the loop turns */
    strbuf_append(&response->body, "ok\n");
}

static void serve_ping(const struct routes *routes, struct admin_response *response) {
    (void)routes;
    strbuf_append(&response->body, "pong\n");
}

static void serve_ready(const struct routes *routes, struct admin_response *response) {
    struct strbuf why;
    strbuf_init(&why, 64 << 10);
    bool ready = routes->source->ready(routes->source->context, &why);
    response->status = ready ? 200 : 503;
    strbuf_append(&response->body, ready ? "ok\n" : strbuf_text(&why));
    strbuf_done(&why);
}

static void serve_gateways(const struct routes *routes, struct admin_response *response) {
    response->content_type = "application/json";
    routes_write_gateways(routes->source, &response->body);
}

static void serve_links(const struct routes *routes, struct admin_response *response) {
    struct writer writer = {&response->body, true};
    response->content_type = "application/json";
    strbuf_append_char(&response->body, '[');
    routes->source->each_link(routes->source->context, write_link, &writer);
    strbuf_append(&response->body, "\n]\n");
}

static void serve_services(const struct routes *routes, struct admin_response *response) {
    struct writer writer = {&response->body, true};
    response->content_type = "application/json";
    strbuf_append_char(&response->body, '[');
    routes->source->each_service(routes->source->context, write_service, &writer);
    strbuf_append(&response->body, "\n]\n");
}

static void serve_page(const struct routes *routes, struct admin_response *response) {
    response->content_type = "text/html; charset=utf-8";
    page_write(routes->source, loop_wall_us(routes->loop), &response->body);
}

static const struct {
    const char *path;
    void (*serve)(const struct routes *routes, struct admin_response *response);
} table[] = {
    {"/", serve_page},       {"/metrics", serve_metrics},          {"/live", serve_live},          {"/ready", serve_ready},
    {"/ping", serve_ping},   {"/api/v1/gateways", serve_gateways}, {"/api/v1/links", serve_links}, {"/api/v1/services", serve_services},
};

bool routes_handle(void *context, const char *path, struct admin_response *response) {
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        if (strcmp(table[i].path, path) != 0)
            continue;
        table[i].serve(context, response);
        return true;
    }
    return false;
}
