#include <string.h>

#include "agent/admin/page_internal.h"

/* A walk over the services that are asked for, mirrored ones or the others, that writes those from `first` on, `count` of them. */
struct writing {
    struct html *html;
    const struct service_query *query;
    bool mirrored;
    uint32_t first, count, seen;
};

static void put_service(void *context, const struct service_info *info)
{
    struct writing *writing = context;
    struct html *html = writing->html;
    if (info->mirrored != writing->mirrored || !service_query_matches(writing->query, info))
        return;
    uint32_t place = writing->seen++;
    if (place < writing->first || place - writing->first >= writing->count)
        return;
    html_begin_rows(html, "service", info->cluster, info->namespace, info->name, info->mirror);
    if (info->mirrored) {
        html_cell(html, info->mirror);
        html_cell(html, info->mode);
        html_cell(html, info->gateway);
        html_cell_ratio(html, info->ready, info->endpoints);
        html_cell_time(html, info->since_us);
        html_cell_reason(html, NULL, info->message);
    } else {
        html_cell_state(html, "bad", info->reason);
        html_cell_time(html, info->since_us);
        html_cell_reason(html, NULL, info->message);
    }
    html_put(html, "</tr>");
    html_end_rows(html);
}

static void put_table(const struct page *page, struct writing *writing)
{
    if (writing->count == 0)
        return;
    if (writing->mirrored)
        html_begin_table(writing->html, "mirrored-table", "Mirrored",
                         "Exported service|Mirror|Mode|Gateway|#Ready endpoints|Since|Remark");
    else
        html_begin_table(writing->html, "not-mirrored-table", "Not mirrored",
                         "Exported service|Reason|Since|What to do");
    page->source->each_service(page->source->context, put_service, writing);
    html_end_table(writing->html);
}

/* ---- searching and paging ---- */

static void put_option(struct html *html, const char *value, const char *words, uint32_t count, const char *chosen)
{
    bool is_chosen = strcmp(value, chosen != NULL ? chosen : "") == 0;
    strbuf_printf(html->text, "<option value=\"%s\"%s>%s (%u)</option>", value, is_chosen ? " selected" : "", words,
                  count);
}

/* What the form does not show is asked for on, as links into the page may say it. */
static void put_hidden(struct html *html, const char *name, const char *value)
{
    if (value == NULL)
        return;
    strbuf_printf(html->text, "<input type=\"hidden\" name=\"%s\" value=\"", name);
    html_text(html, value);
    html_put(html, "\">");
}

static void put_form(struct html *html, const struct page *page, const struct page_totals *totals)
{
    const struct service_query *query = &page->services;
    html_put(html, "<form id=\"search\" role=\"search\" aria-label=\"Services\" method=\"get\" action=\"#services\">"
                   "<label>Search <input type=\"search\" id=\"q\" name=\"q\" maxlength=\"200\" autocomplete=\"off\" "
                   "placeholder=\"name, mirror, gateway, reason\" value=\"");
    html_text(html, query->words);
    html_put(html, "\"></label> <label>Show <select id=\"mirrored\" name=\"mirrored\">");
    put_option(html, "", "all", totals->services, query->mirrored);
    put_option(html, "false", "not mirrored", totals->services - totals->services_mirrored, query->mirrored);
    put_option(html, "true", "mirrored", totals->services_mirrored, query->mirrored);
    html_put(html, "</select></label> ");
    put_hidden(html, "cluster", query->cluster);
    put_hidden(html, "namespace", query->namespace);
    put_hidden(html, "refresh", page->refresh ? "" : NULL);
    html_put(html, "<button>Search</button>");
    if (service_query_is_narrow(query))
        html_put(html, " <a href=\"?#services\">show all</a>");
    html_put(html, "</form>");
}

static void put_parameter(struct html *html, const char *name, const char *value)
{
    if (value == NULL)
        return;
    strbuf_printf(html->text, "%s=", name);
    html_query_value(html, value);
    html_put(html, "&amp;");
}

static void put_page_link(struct html *html, const struct page *page, uint32_t number, const char *rel,
                          const char *words)
{
    html_put(html, "<a href=\"?");
    put_parameter(html, "q", page->services.words);
    put_parameter(html, "mirrored", page->services.mirrored);
    put_parameter(html, "cluster", page->services.cluster);
    put_parameter(html, "namespace", page->services.namespace);
    if (page->refresh)
        html_put(html, "refresh&amp;");
    strbuf_printf(html->text, "page=%u#services\" rel=\"%s\">%s</a>", number, rel, words);
}

static void put_pages(struct html *html, const struct page *page, uint32_t number, uint32_t last)
{
    if (last <= 1)
        return;
    html_put(html, "<nav aria-label=\"Pages of services\">");
    if (number > 1)
        put_page_link(html, page, number - 1, "prev", "Previous");
    strbuf_printf(html->text, "<span aria-current=\"page\">page %u of %u</span>", number, last);
    if (number < last)
        put_page_link(html, page, number + 1, "next", "Next");
    html_put(html, "</nav>");
}

static void put_found(struct html *html, const struct page *page, const struct page_totals *totals)
{
    if (!service_query_is_narrow(&page->services))
        return;
    strbuf_printf(html->text, "<p id=\"found\" role=\"status\">%u of %u found</p>", totals->found, totals->services);
}

static uint32_t least(uint32_t a, uint32_t b) { return a < b ? a : b; }

/* What needs a person comes first; the rest is there for whoever looks for it. */
static void put_found_services(struct html *html, const struct page *page, const struct page_totals *totals)
{
    uint32_t last = (totals->found + PAGE_SERVICES - 1) / PAGE_SERVICES;
    uint32_t number = least(page->number > 0 ? page->number : 1, last > 0 ? last : 1);
    uint32_t first = (number - 1) * PAGE_SERVICES, others = totals->found - totals->found_mirrored;
    struct writing not_mirrored = {.html = html, .query = &page->services, .first = first};
    not_mirrored.count = first < others ? least(others - first, PAGE_SERVICES) : 0;
    struct writing mirrored = {.html = html, .query = &page->services, .mirrored = true};
    mirrored.first = first > others ? first - others : 0;
    mirrored.count = least(PAGE_SERVICES - not_mirrored.count, totals->found_mirrored - mirrored.first);
    put_found(html, page, totals);
    put_table(page, &not_mirrored);
    put_table(page, &mirrored);
    put_pages(html, page, number, last);
}

void page_services_write(struct html *html, const struct page *page, const struct page_totals *totals)
{
    html_begin_section(html, "services", "Services");
    if (totals->services == 0) {
        html_put(html, "<p class=\"soft\">No service is exported.</p>");
    } else {
        put_form(html, page, totals);
        put_found_services(html, page, totals);
    }
    html_end_section(html);
}
