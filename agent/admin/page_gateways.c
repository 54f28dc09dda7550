#include <inttypes.h>
#include <string.h>

#include "agent/admin/chart.h"
#include "agent/admin/page_internal.h"
#include "base/text.h"

struct writing {
    struct html *html;
    uint32_t rows;
};

static bool is_alive(const char *verdict) { return strcmp(verdict, "alive") == 0; }

/* The class of a verdict's colour. */
static const char *class_of(const char *verdict)
{
    return is_alive(verdict) ? "good" : strcmp(verdict, "dead") == 0 ? "bad" : "wait";
}

static void put_ms(struct html *html, uint32_t us)
{
    if (us == 0)
        html_put(html, "–");
    else
        strbuf_printf(html->text, us < 10000 ? "%.1f" : "%.0f", us / 1000.0);
}

/* How fast an address answers: what it did lately; median, 95th and 99th percentile. @param address  NULL: none answers. */
static void cells_latency(struct html *html, const struct gateway_address_info *address)
{
    html_put(html, "<td>");
    chart_write(html, address != NULL ? address->latency : NULL);
    html_put(html, "</td><td class=\"n\">");
    put_ms(html, address != NULL ? address->p50_us : 0);
    html_put(html, " / ");
    put_ms(html, address != NULL ? address->p95_us : 0);
    html_put(html, " / ");
    put_ms(html, address != NULL ? address->p99_us : 0);
    html_put(html, "</td>");
}

/* A gateway is as fast as the fastest of its addresses that are alive. @return NULL when none is, or none is probed. */
static const struct gateway_address_info *fastest_address(const struct gateway_info *info)
{
    const struct gateway_address_info *fastest = NULL;
    for (uint32_t i = 0; i < info->address_count; i++) {
        const struct gateway_address_info *address = &info->addresses[i];
        if (is_alive(address->verdict) && address->p50_us > 0 && (fastest == NULL || address->p50_us < fastest->p50_us))
            fastest = address;
    }
    return fastest;
}

static void put_address(struct html *html, const struct gateway_address_info *address)
{
    html_put(html, "<tr class=\"sub\"><th scope=\"row\"><code>");
    html_text(html, address->ip);
    html_put(html, "</code></th>");
    html_cell_state(html, class_of(address->verdict), address->verdict);
    html_cell_time(html, address->since_us);
    cells_latency(html, address);
    strbuf_printf(html->text, "<td class=\"t\">%" PRIu64 ", %" PRIu64 " failed</td><td></td>", address->probes,
                  address->failures);
    html_cell_reason(html, address->reason, is_alive(address->verdict) ? address->detail : address->advice);
    html_put(html, "</tr>");
}

static void put_gateway(void *context, const struct gateway_info *info)
{
    struct writing *writing = context;
    struct html *html = writing->html;
    char period[32];
    if (writing->rows++ >= PAGE_ROWS)
        return;
    html_begin_rows(html, "gateway", info->cluster, info->namespace, info->name, NULL);
    html_cell_state(html, class_of(info->verdict), info->verdict);
    html_cell_time(html, info->since_us);
    cells_latency(html, fastest_address(info));
    text_format_duration_ms(info->period_ms, period, sizeof(period));
    strbuf_printf(html->text, "<td class=\"t\">%s%s</td>", info->probed ? "every " : "none",
                  info->probed ? period : "");
    strbuf_printf(html->text, "<td class=\"n\">%u</td>", info->services);
    const char *said = info->problem != NULL && info->problem[0] != '\0' ? info->problem : info->warning;
    bool is_silent = said == NULL || said[0] == '\0';
    html_cell_reason(html, info->reason, is_silent && info->address_count == 0 ? info->advice : said);
    html_put(html, "</tr>");
    for (uint32_t i = 0; i < info->address_count; i++)
        put_address(html, &info->addresses[i]);
    html_end_rows(html);
}

void page_gateways_write(struct html *html, const struct admin_source *source, const struct page_totals *totals)
{
    struct writing writing = {.html = html};
    html_begin_section(html, "gateways", "Gateways");
    if (totals->gateways == 0) {
        html_put(html, "<p class=\"soft\">None is known. Link a target, and export a service through a gateway.</p>");
    } else {
        html_begin_table(html, "gateways-table", "Whether each gateway, and each of its addresses, answers probes",
                         "Gateway|Verdict|Since|Latency|#p50 / p95 / p99 (ms)|Probes|#Services|Reason");
        source->each_gateway(source->context, put_gateway, &writing);
        html_end_table(html);
        page_cut_write(html, writing.rows, "api/v1/gateways");
    }
    html_end_section(html);
}
