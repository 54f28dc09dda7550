#include "agent/admin/page.h"

#include <inttypes.h>
#include <string.h>

#include "base/text.h"
#include "version.h"

enum {
    MAX_ROWS = 1000, /* of each table of services: more help nobody; the API has them all */
    WHY_BYTES = 64 << 10,
};

#define REFRESH_S "5"

/* Contrast is at least 4.5:1 in both schemes, and no state is told by colour alone. */
static const char style[] =
    ":root{color-scheme:light dark;--text:#1c2024;--back:#fff;--line:#e0e1e6;--soft:#60646c;--card:#f6f7f9;"
    "--good:#18794e;--bad:#c62a2f;--wait:#8f5b00}"
    "@media(prefers-color-scheme:dark){:root{--text:#edeef0;--back:#111113;--line:#2e3135;--soft:#b0b4ba;--card:#"
    "18191b;"
    "--good:#63d297;--bad:#ff9592;--wait:#ffca16}}"
    "*{box-sizing:border-box}"
    "body{margin:0;font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back)}"
    "main{max-width:80rem;margin:0 auto;padding:1.5rem 1rem 4rem}"
    "header{display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline;justify-content:space-between}"
    "h1{font-size:1.5rem;margin:0}h2{font-size:1.15rem;margin:2.5rem 0 .5rem}h3{font-size:1rem;margin:1rem 0 "
    ".25rem}p{margin:.25rem 0}a{color:inherit}"
    ".facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.75rem;margin:1rem 0 0}"
    ".facts div{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.75rem 1rem}"
    ".facts dt{color:var(--soft)}.facts dd{margin:0;font-size:1.25rem;font-weight:600}"
    ".scroll{overflow-x:auto}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;font-weight:400;vertical-align:top;padding:.4rem 1rem .4rem 0;border-top:1px solid "
    "var(--line)}"
    "thead th{color:var(--soft);border-top:0;white-space:nowrap}tbody th{white-space:nowrap}"
    "tr.sub th{padding-left:1.25rem}tr.sub th,tr.sub td{border-top-style:dotted}"
    ".n{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}time,.state,.t{white-space:nowrap}.why{"
    "min-width:16rem}"
    ".state::before{content:\"\";display:inline-block;width:.6em;height:.6em;margin-right:.4em;border-radius:50%;"
    "background:currentColor}"
    ".good{color:var(--good)}.bad{color:var(--bad);font-weight:600}.wait{color:var(--wait)}.soft{color:var(--soft)}"
    "pre{white-space:pre-wrap;background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.75rem "
    "1rem}"
    "details{margin:1rem 0 0}summary{cursor:pointer;font-weight:600}footer{margin:2.5rem 0 0}code{font-size:.93em}";

/* What is counted on the way, for the summary; and where the rows go. */
struct writer {
    struct strbuf *html;
    int64_t now_us;
    bool mirrored; /* which services the table in work shows */
    uint32_t rows;
};

struct totals {
    uint32_t gateways, gateways_alive, links, links_reachable, links_refused, services, services_mirrored;
};

/* ---- text ---- */

static void put(struct writer *writer, const char *markup) { strbuf_append(writer->html, markup); }

/* Text from anywhere: never markup. */
static void put_text(struct writer *writer, const char *text)
{
    for (const char *c = text != NULL ? text : ""; *c != '\0'; c++) {
        if (*c == '<')
            put(writer, "&lt;");
        else if (*c == '>')
            put(writer, "&gt;");
        else if (*c == '&')
            put(writer, "&amp;");
        else if (*c == '"')
            put(writer, "&quot;");
        else
            strbuf_append_char(writer->html, *c);
    }
}

static bool is_empty(const char *text) { return text == NULL || text[0] == '\0'; }

/* The class of a verdict's colour. */
static const char *class_of(const char *verdict)
{
    return strcmp(verdict, "alive") == 0 ? "good" : strcmp(verdict, "dead") == 0 ? "bad" : "wait";
}

static void put_state(struct writer *writer, const char *class, const char *word)
{
    strbuf_printf(writer->html, "<span class=\"state %s\">", class);
    put_text(writer, word);
    put(writer, "</span>");
}

/* ---- cells ---- */

static void cell(struct writer *writer, const char *text)
{
    put(writer, "<td>");
    put_text(writer, text);
    put(writer, "</td>");
}

static void cell_state(struct writer *writer, const char *class, const char *word)
{
    put(writer, "<td>");
    put_state(writer, class, word);
    put(writer, "</td>");
}

/* The reason in short, and below it in words. */
static void cell_reason(struct writer *writer, const char *reason, const char *words)
{
    put(writer, "<td class=\"why\">");
    put_text(writer, reason);
    if (!is_empty(reason) && !is_empty(words))
        put(writer, "<br>");
    if (!is_empty(words)) {
        put(writer, "<span class=\"soft\">");
        put_text(writer, words);
        put(writer, "</span>");
    }
    put(writer, "</td>");
}

static void cell_ratio(struct writer *writer, uint64_t part, uint64_t whole)
{
    strbuf_printf(writer->html, "<td class=\"n\">%" PRIu64 " of %" PRIu64 "</td>", part, whole);
}

static void put_ms(struct writer *writer, uint32_t us)
{
    if (us == 0)
        put(writer, "–");
    else
        strbuf_printf(writer->html, us < 10000 ? "%.1f" : "%.0f", us / 1000.0);
}

/* How far away a time is, in the two largest units: "3d4h", "12s". */
static void put_distance(struct writer *writer, uint64_t seconds)
{
    static const struct {
        const char *unit;
        uint64_t seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
    unsigned shown = 0;
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]) && shown < 2; i++) {
        uint64_t count = seconds / units[i].seconds;
        seconds %= units[i].seconds;
        if (count == 0 && shown == 0 && units[i].seconds > 1)
            continue;
        if (count > 0 || shown == 0)
            strbuf_printf(writer->html, "%" PRIu64 "%s", count, units[i].unit);
        shown++;
    }
}

static void cell_time(struct writer *writer, int64_t us)
{
    char stamp[TEXT_TIME_BYTES];
    if (us == 0) {
        put(writer, "<td class=\"soft\">–</td>");
        return;
    }
    int64_t seconds = (writer->now_us - us) / 1000000;
    text_format_time(us, stamp);
    strbuf_printf(writer->html, "<td><time datetime=\"%s\" title=\"%s\">%s", stamp, stamp, seconds < 0 ? "in " : "");
    put_distance(writer, (uint64_t)(seconds < 0 ? -seconds : seconds));
    put(writer, seconds < 0 ? "</time></td>" : " ago</time></td>");
}

/* ---- tables ---- */

/* @param headings  separated by '|'; one that begins with '#' is of a column of numbers. */
static void begin_table(struct writer *writer, const char *headings)
{
    writer->rows = 0;
    put(writer, "<div class=\"scroll\"><table><thead><tr>");
    for (const char *at = headings; *at != '\0';) {
        size_t length = strcspn(at, "|");
        bool number = *at == '#';
        put(writer, number ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">");
        strbuf_append_bytes(writer->html, at + (number ? 1 : 0), length - (number ? 1 : 0));
        put(writer, "</th>");
        at += length + (at[length] == '|' ? 1 : 0);
    }
    put(writer, "</tr></thead>");
}

static void end_table(struct writer *writer) { put(writer, "</table></div>"); }

/* How fast an address answers: median, 95th and 99th percentile. @param address  NULL: none answers. */
static void cell_latency(struct writer *writer, const struct gateway_address_info *address)
{
    put(writer, "<td class=\"n\">");
    put_ms(writer, address != NULL ? address->p50_us : 0);
    put(writer, " / ");
    put_ms(writer, address != NULL ? address->p95_us : 0);
    put(writer, " / ");
    put_ms(writer, address != NULL ? address->p99_us : 0);
    put(writer, "</td>");
}

/* A gateway is as fast as the fastest of its addresses that are alive. @return NULL when none is, or none is probed. */
static const struct gateway_address_info *fastest_address(const struct gateway_info *info)
{
    const struct gateway_address_info *fastest = NULL;
    for (uint32_t i = 0; i < info->address_count; i++) {
        const struct gateway_address_info *address = &info->addresses[i];
        if (strcmp(address->verdict, "alive") == 0 && address->p50_us > 0 &&
            (fastest == NULL || address->p50_us < fastest->p50_us))
            fastest = address;
    }
    return fastest;
}

static void put_address(struct writer *writer, const struct gateway_address_info *address)
{
    put(writer, "<tr class=\"sub\"><th scope=\"row\"><code>");
    put_text(writer, address->ip);
    put(writer, "</code></th>");
    cell_state(writer, class_of(address->verdict), address->verdict);
    cell_time(writer, address->since_us);
    cell_latency(writer, address);
    strbuf_printf(writer->html, "<td class=\"t\">%" PRIu64 ", %" PRIu64 " failed</td><td></td>", address->probes,
                  address->failures);
    cell_reason(writer, address->reason, strcmp(address->verdict, "alive") == 0 ? address->detail : address->advice);
    put(writer, "</tr>");
}

static void put_gateway(void *context, const struct gateway_info *info)
{
    struct writer *writer = context;
    writer->rows++;
    put(writer, "<tbody><tr><th scope=\"row\"><strong>");
    put_text(writer, info->cluster);
    put(writer, "</strong> ");
    put_text(writer, info->namespace);
    put(writer, "/");
    put_text(writer, info->name);
    put(writer, "</th>");
    cell_state(writer, class_of(info->verdict), info->verdict);
    cell_time(writer, info->since_us);
    cell_latency(writer, fastest_address(info));
    char period[32];
    text_format_duration_ms(info->period_ms, period, sizeof(period));
    strbuf_printf(writer->html, "<td>%s%s</td>", info->probed ? "every " : "none", info->probed ? period : "");
    strbuf_printf(writer->html, "<td class=\"n\">%u</td>", info->services);
    const char *said = !is_empty(info->problem) ? info->problem : info->warning;
    cell_reason(writer, info->reason, is_empty(said) && info->address_count == 0 ? info->advice : said);
    put(writer, "</tr>");
    for (uint32_t i = 0; i < info->address_count; i++)
        put_address(writer, &info->addresses[i]);
    put(writer, "</tbody>");
}

static void put_link(void *context, const struct link_info *info)
{
    struct writer *writer = context;
    writer->rows++;
    put(writer, "<tbody><tr><th scope=\"row\"><strong>");
    put_text(writer, is_empty(info->cluster) ? "–" : info->cluster);
    put(writer, "</strong></th><td>");
    put_text(writer, info->kind);
    put(writer, " ");
    put_text(writer, info->name);
    put(writer, "</td>");
    if (info->refused) {
        cell_state(writer, "bad", "refused");
        put(writer, "<td></td><td></td><td></td><td></td>");
        cell_reason(writer, info->problem, NULL);
        put(writer, "</tr></tbody>");
        return;
    }
    cell_state(writer, info->api_reachable ? "good" : "bad", info->api_reachable ? "reachable" : "unreachable");
    cell_state(writer, info->synced ? "good" : "wait", info->synced ? "complete" : "not listed yet");
    put(writer, "<td>");
    put_distance(writer, info->event_age_ms / 1000);
    put(writer, " ago</td>");
    cell_time(writer, info->credentials_expire_us);
    cell_ratio(writer, info->mirrored, info->exported);
    cell_reason(writer, info->problem, info->warning);
    put(writer, "</tr></tbody>");
}

static void put_service(void *context, const struct service_info *info)
{
    struct writer *writer = context;
    if (info->mirrored != writer->mirrored || writer->rows++ >= MAX_ROWS)
        return;
    put(writer, "<tbody><tr><th scope=\"row\"><strong>");
    put_text(writer, info->cluster);
    put(writer, "</strong> ");
    put_text(writer, info->namespace);
    put(writer, "/");
    put_text(writer, info->name);
    put(writer, "</th>");
    if (info->mirrored) {
        cell(writer, info->mirror);
        cell(writer, info->gateway);
        cell_ratio(writer, info->ready, info->endpoints);
    }
    cell_time(writer, info->since_us);
    cell_reason(writer, info->mirrored ? NULL : info->reason, info->message);
    put(writer, "</tr></tbody>");
}

/* ---- the summary ---- */

static void count_gateway(void *context, const struct gateway_info *info)
{
    struct totals *totals = context;
    totals->gateways++;
    totals->gateways_alive += strcmp(info->verdict, "alive") == 0 ? 1 : 0;
}

static void count_link(void *context, const struct link_info *info)
{
    struct totals *totals = context;
    totals->links_refused += info->refused ? 1 : 0;
    if (info->refused)
        return;
    totals->links++;
    totals->links_reachable += info->api_reachable ? 1 : 0;
}

static void count_service(void *context, const struct service_info *info)
{
    struct totals *totals = context;
    totals->services++;
    totals->services_mirrored += info->mirrored ? 1 : 0;
}

static void put_fact(struct writer *writer, const char *name, uint32_t good, uint32_t all, const char *words)
{
    const char *class = all == 0 ? "soft" : good == all ? "good" : "bad";
    strbuf_printf(writer->html, "<div><dt>%s</dt><dd><span class=\"state %s\">", name, class);
    strbuf_printf(writer->html, all > 0 ? "%u of %u %s" : "none", good, all, words);
    put(writer, "</span></dd></div>");
}

static void put_head(struct writer *writer, const struct page *page)
{
    char stamp[TEXT_TIME_BYTES];
    text_format_time(page->now_us, stamp);
    put(writer, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>svcmirror</title>"
                "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">");
    if (page->refresh)
        put(writer, "<meta http-equiv=\"refresh\" content=\"" REFRESH_S "\">");
    put(writer, "<style>");
    put(writer, style);
    put(writer, "</style></head><body><main><header><h1>svcmirror</h1><p class=\"soft\">");
    strbuf_printf(writer->html, "version " SVCMIRROR_VERSION " · <time datetime=\"%s\">%s</time> · ", stamp, stamp);
    put(writer,
        page->refresh ? "<a href=\"?\">stop refreshing</a>" : "<a href=\"?refresh\">refresh every " REFRESH_S " s</a>");
    put(writer, "</p></header>");
}

static void put_readiness(struct writer *writer, const struct admin_source *source)
{
    struct strbuf why;
    strbuf_init(&why, WHY_BYTES);
    bool ready = source->ready(source->context, &why);
    put(writer, "<p role=\"status\">");
    put_state(writer, ready ? "good" : "wait", ready ? "ready" : "not ready");
    put(writer, "</p>");
    if (!ready) {
        put(writer, "<pre>");
        put_text(writer, strbuf_text(&why));
        put(writer, "</pre>");
    }
    strbuf_done(&why);
}

static void put_summary(struct writer *writer, const struct totals *totals)
{
    put(writer, "<dl class=\"facts\">");
    put_fact(writer, "Gateways", totals->gateways_alive, totals->gateways, "alive");
    put_fact(writer, "Target APIs", totals->links_reachable, totals->links, "reachable");
    if (totals->links_refused > 0)
        put_fact(writer, "Declarations of links", totals->links, totals->links + totals->links_refused, "usable");
    put_fact(writer, "Exported services", totals->services_mirrored, totals->services, "mirrored");
    put(writer, "</dl>");
}

/* ---- sections ---- */

static void put_gateways(struct writer *writer, const struct admin_source *source, const struct totals *totals)
{
    put(writer, "<section><h2>Gateways</h2>");
    if (totals->gateways == 0) {
        put(writer,
            "<p class=\"soft\">None is known. Link a target, and export a service through a gateway.</p></section>");
        return;
    }
    begin_table(writer, "Gateway|Verdict|Since|#Latency, p50 / p95 / p99 (ms)|Probes|#Services|Reason");
    source->each_gateway(source->context, put_gateway, writer);
    end_table(writer);
    put(writer, "</section>");
}

static void put_links(struct writer *writer, const struct admin_source *source, const struct totals *totals)
{
    put(writer, "<section><h2>Links</h2>");
    if (totals->links + totals->links_refused == 0) {
        put(writer, "<p class=\"soft\">No target is linked. Create a Link, or a Secret of type "
                    "<code>mirror.linkerd.io/remote-kubeconfig</code>, in the agent's namespace.</p></section>");
        return;
    }
    begin_table(writer, "Cluster|Declared by|API|Services|Last event|Credentials expire|#Mirrored|Problem");
    source->each_link(source->context, put_link, writer);
    end_table(writer);
    put(writer, "</section>");
}

static void put_services(struct writer *writer, const struct admin_source *source, bool mirrored)
{
    writer->mirrored = mirrored;
    begin_table(writer,
                mirrored ? "Exported service|Mirror|Gateway|#Ready endpoints|Since|" : "Exported service|Since|Reason");
    source->each_service(source->context, put_service, writer);
    end_table(writer);
    if (writer->rows > MAX_ROWS)
        strbuf_printf(
            writer->html,
            "<p class=\"soft\">The first %d of %u. <a href=\"api/v1/services\">api/v1/services</a> has all.</p>",
            MAX_ROWS, writer->rows);
}

/* What needs a person comes first; the rest is there for whoever looks for it. */
static void put_all_services(struct writer *writer, const struct admin_source *source, const struct totals *totals)
{
    put(writer, "<section><h2>Services</h2>");
    if (totals->services == 0)
        put(writer, "<p class=\"soft\">No service is exported.</p>");
    if (totals->services_mirrored < totals->services) {
        put(writer, "<h3>Not mirrored</h3>");
        put_services(writer, source, false);
    }
    if (totals->services_mirrored > 0) {
        strbuf_printf(writer->html, "<details%s><summary>%u mirrored</summary>",
                      totals->services_mirrored <= 50 ? " open" : "", totals->services_mirrored);
        put_services(writer, source, true);
        put(writer, "</details>");
    }
    put(writer, "</section>");
}

void page_write(const struct page *page, struct strbuf *html)
{
    const struct admin_source *source = page->source;
    struct writer writer = {.html = html, .now_us = page->now_us};
    struct totals totals = {0};
    put_head(&writer, page);
    if (source != NULL) {
        source->each_gateway(source->context, count_gateway, &totals);
        source->each_link(source->context, count_link, &totals);
        source->each_service(source->context, count_service, &totals);
        put_readiness(&writer, source);
        put_summary(&writer, &totals);
        put_gateways(&writer, source, &totals);
        put_links(&writer, source, &totals);
        put_all_services(&writer, source, &totals);
    } else {
        put(&writer, "<p role=\"status\">The agent is starting.</p>");
    }
    put(&writer, "<footer class=\"soft\"><a href=\"metrics\">metrics</a> · <a href=\"api/v1/gateways\">gateways</a>, "
                 "<a href=\"api/v1/links\">links</a> and <a href=\"api/v1/services\">services</a> as JSON</footer>"
                 "</main></body></html>\n");
}
