#include "agent/admin/page.h"

#include <string.h>

#include "base/text.h"
#include "version.h"

enum { MAX_SERVICES = 2000 }; /* more rows help nobody; the API has them all */

static const char head[] =
    "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>svcmirror</title>"
    "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><meta name=\"color-scheme\" content=\"light dark\"><style>"
    ":root{--text:#1c2024;--back:#fcfcfd;--line:#d9d9e0;--soft:#60646c;--good:#0a6b36;--bad:#b3261e;--unknown:#7a5900}"
    "@media(prefers-color-scheme:dark){:root{--text:#edeef0;--back:#111113;--line:#363a3f;--soft:#b0b4ba;--good:#63d297;--bad:#ff9592;--unknown:#ffca16}}"
    "body{font:15px/1.5 system-ui,sans-serif;color:var(--text);background:var(--back);max-width:76rem;margin:0 auto;padding:1rem}"
    "h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;padding:.35rem .8rem .35rem 0;border-bottom:1px solid var(--line);vertical-align:top}th{color:var(--soft);font-weight:600}"
    ".num{text-align:right;font-variant-numeric:tabular-nums}.alive,.yes{color:var(--good)}.dead,.no{color:var(--bad);font-weight:600}"
    ".unknown{color:var(--unknown)}.soft{color:var(--soft)}code{font-size:.95em}.scroll{overflow-x:auto}"
    "</style></head><body><main><h1>svcmirror</h1>";

struct page {
    struct strbuf *html;
    int64_t now_us;
    uint32_t rows;
};

static void put(struct page *page, const char *text) {
    for (const char *c = text != NULL ? text : ""; *c != '\0'; c++) {
        if (*c == '<')
            strbuf_append(page->html, "&lt;");
        else if (*c == '>')
            strbuf_append(page->html, "&gt;");
        else if (*c == '&')
            strbuf_append(page->html, "&amp;");
        else if (*c == '"')
            strbuf_append(page->html, "&quot;");
        else
            strbuf_append_char(page->html, *c);
    }
}

static void cell(struct page *page, const char *text) {
    strbuf_append(page->html, "<td>");
    put(page, text);
    strbuf_append(page->html, "</td>");
}

static void cell_class(struct page *page, const char *class, const char *text) {
    strbuf_printf(page->html, "<td class=\"%s\">", class);
    put(page, text);
    strbuf_append(page->html, "</td>");
}

static void cell_number(struct page *page, uint64_t value) {
    strbuf_printf(page->html, "<td class=\"num\">%llu</td>", (unsigned long long)value);
}

static void cell_since(struct page *page, int64_t us) {
    char age[32], time[TEXT_TIME_BYTES];
    if (us == 0) {
        cell(page, "-");
        return;
    }
    uint64_t seconds = page->now_us > us ? (uint64_t)(page->now_us - us) / 1000000 : 0;
    text_format_duration_ms(seconds * 1000, age, sizeof(age));
    text_format_time(us, time);
    strbuf_printf(page->html, "<td><time datetime=\"%s\">%s ago</time></td>", time, age);
}

static void begin_table(struct page *page, const char *title, const char *headings) {
    page->rows = 0;
    strbuf_printf(page->html, "<h2>%s</h2><div class=\"scroll\"><table><thead><tr>", title);
    for (const char *at = headings; *at != '\0';) {
        size_t length = strcspn(at, "|");
        strbuf_append(page->html, "<th scope=\"col\">");
        strbuf_append_bytes(page->html, at, length);
        strbuf_append(page->html, "</th>");
        at += length + (at[length] == '|' ? 1 : 0);
    }
    strbuf_append(page->html, "</tr></thead><tbody>");
}

static void end_table(struct page *page, const char *when_empty) {
    strbuf_append(page->html, "</tbody></table></div>");
    if (page->rows == 0)
        strbuf_printf(page->html, "<p class=\"soft\">%s</p>", when_empty);
}

static void gateway_row(void *context, const struct gateway_info *info) {
    struct page *page = context;
    page->rows++;
    strbuf_append(page->html, "<tr>");
    cell(page, info->cluster);
    strbuf_append(page->html, "<td>");
    put(page, info->namespace);
    strbuf_append_char(page->html, '/');
    put(page, info->name);
    strbuf_append(page->html, "</td>");
    cell_class(page, info->verdict, info->verdict);
    cell_since(page, info->since_us);
    cell_number(page, info->services);
    if (info->latency_us > 0)
        strbuf_printf(page->html, "<td class=\"num\">%.1f ms</td>", info->latency_us / 1000.0);
    else
        cell_class(page, "num", "-");
    strbuf_append(page->html, "<td>");
    put(page, info->reason);
    if (strcmp(info->verdict, "alive") != 0 || strcmp(info->reason, "OK") != 0) {
        strbuf_append(page->html, "<br><span class=\"soft\">");
        put(page, info->advice);
        strbuf_append(page->html, "</span>");
    }
    strbuf_append(page->html, "</td><td>");
    for (uint32_t i = 0; i < info->address_count; i++) {
        strbuf_printf(page->html, "%s<span class=\"%s\">", i > 0 ? "<br>" : "", info->addresses[i].verdict);
        put(page, info->addresses[i].ip);
        strbuf_printf(page->html, " %s</span>", info->addresses[i].verdict);
    }
    strbuf_append(page->html, "</td></tr>");
}

static void link_row(void *context, const struct link_info *info) {
    struct page *page = context;
    char age[32];
    page->rows++;
    strbuf_append(page->html, "<tr>");
    cell(page, info->cluster);
    strbuf_append(page->html, "<td>");
    put(page, info->kind);
    strbuf_append_char(page->html, ' ');
    put(page, info->name);
    strbuf_append(page->html, "</td>");
    cell_class(page, info->api_reachable ? "yes" : "no", info->api_reachable ? "yes" : "no");
    cell_class(page, info->synced ? "yes" : "unknown", info->synced ? "yes" : "not yet");
    text_format_duration_ms(info->event_age_ms / 1000 * 1000, age, sizeof(age));
    cell_class(page, "num", age);
    strbuf_printf(page->html, "<td class=\"num\">%u of %u</td>", info->mirrored, info->exported);
    cell(page, info->problem[0] != '\0' ? info->problem : info->warning);
    strbuf_append(page->html, "</tr>");
}

static void service_row(void *context, const struct service_info *info) {
    struct page *page = context;
    if (page->rows++ >= MAX_SERVICES)
        return;
    strbuf_append(page->html, "<tr>");
    cell(page, info->cluster);
    strbuf_append(page->html, "<td>");
    put(page, info->namespace);
    strbuf_append_char(page->html, '/');
    put(page, info->name);
    strbuf_append(page->html, "</td>");
    cell(page, info->mirror);
    cell_class(page, info->mirrored ? "yes" : "no", info->reason);
    strbuf_printf(page->html, "<td class=\"num\">%u of %u</td>", info->ready, info->endpoints);
    cell_since(page, info->since_us);
    cell(page, info->message);
    strbuf_append(page->html, "</tr>");
}

void page_write(const struct admin_source *source, int64_t now_us, struct strbuf *html) {
    struct page page = {.html = html, .now_us = now_us};
    struct strbuf why;
    char time[TEXT_TIME_BYTES];
    strbuf_init(&why, 64 << 10);
    bool ready = source->ready(source->context, &why);
    text_format_time(now_us, time);
    strbuf_append(html, head);
    strbuf_printf(html, "<p class=\"soft\">Version " SVCMIRROR_VERSION ", as of <time>%s</time>. </p>", time);
    strbuf_printf(html, "<p role=\"status\" class=\"%s\">%s</p>", ready ? "yes" : "unknown", ready ? "Ready" : "Not ready:");
    if (!ready) {
        strbuf_append(html, "<pre>");
        put(&page, strbuf_text(&why));
        strbuf_append(html, "</pre>");
    }
    strbuf_done(&why);
    begin_table(&page, "Gateways", "Cluster|Gateway|Verdict|Since|Services|Latency|Reason|Addresses");
    source->each_gateway(source->context, gateway_row, &page);
    end_table(&page, "No gateway is known: link a target, and export a service through a gateway.");
    begin_table(&page, "Links", "Cluster|Declared by|API reachable|Synced|Last sign of life|Mirrored|Problem");
    source->each_link(source->context, link_row, &page);
    end_table(&page, "No target is linked: create a Link, or a Secret of type mirror.linkerd.io/remote-kubeconfig.");
    begin_table(&page, "Services", "Cluster|Exported service|Mirror|State|Ready endpoints|Since|Message");
    source->each_service(source->context, service_row, &page);
    end_table(&page, "No service is exported.");
    if (page.rows > MAX_SERVICES)
        strbuf_printf(html, "<p class=\"soft\">%u services; the first %d are shown. <code>/api/v1/services</code> has all.</p>", page.rows,
                      MAX_SERVICES);
    strbuf_append(html, "</main></body></html>\n");
}
