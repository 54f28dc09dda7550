#include "agent/admin/page.h"

#include <string.h>

#include "agent/admin/page_internal.h"
#include "base/text.h"
#include "version.h"

enum { WHY_BYTES = 64 << 10 };

#define REFRESH_S "5"

/* ---- the summary ---- */

struct counting {
    const struct page *page;
    struct page_totals totals;
};

static void count_gateway(void *context, const struct gateway_info *info)
{
    struct page_totals *totals = &((struct counting *)context)->totals;
    totals->gateways++;
    totals->gateways_alive += strcmp(info->verdict, "alive") == 0 ? 1 : 0;
}

static void count_link(void *context, const struct link_info *info)
{
    struct page_totals *totals = &((struct counting *)context)->totals;
    totals->links_refused += info->refused ? 1 : 0;
    if (info->refused)
        return;
    totals->links++;
    totals->links_reachable += info->api_reachable ? 1 : 0;
}

static void count_service(void *context, const struct service_info *info)
{
    struct counting *counting = context;
    struct page_totals *totals = &counting->totals;
    totals->services++;
    totals->services_mirrored += info->mirrored ? 1 : 0;
    if (!service_query_matches(&counting->page->services, info))
        return;
    totals->found++;
    totals->found_mirrored += info->mirrored ? 1 : 0;
}

static struct page_totals count_all(const struct page *page)
{
    const struct admin_source *source = page->source;
    struct counting counting = {.page = page};
    source->each_gateway(source->context, count_gateway, &counting);
    source->each_link(source->context, count_link, &counting);
    source->each_service(source->context, count_service, &counting);
    return counting.totals;
}

static void put_fact(struct html *html, const char *name, uint32_t good, uint32_t all, const char *words)
{
    const char *class = all == 0 ? "soft" : good == all ? "good" : "bad";
    strbuf_printf(html->text, "<div><dt>%s</dt><dd><span class=\"state %s\">", name, class);
    strbuf_printf(html->text, all > 0 ? "%u of %u %s" : "none", good, all, words);
    html_put(html, "</span></dd></div>");
}

static void put_summary(struct html *html, const struct page_totals *totals)
{
    html_put(html, "<dl class=\"facts\">");
    put_fact(html, "Gateways", totals->gateways_alive, totals->gateways, "alive");
    put_fact(html, "Target APIs", totals->links_reachable, totals->links, "reachable");
    if (totals->links_refused > 0)
        put_fact(html, "Declarations of links", totals->links, totals->links + totals->links_refused, "usable");
    put_fact(html, "Exported services", totals->services_mirrored, totals->services, "mirrored");
    html_put(html, "</dl>");
}

static void put_readiness(struct html *html, const struct admin_source *source)
{
    struct strbuf why;
    strbuf_init(&why, WHY_BYTES);
    bool ready = source->ready(source->context, &why);
    html_put(html, "<div data-key=\"agent\"><p>This replica is ");
    html_state(html, ready ? "good" : "wait", ready ? "ready" : "not ready");
    html_put(html, "</p>");
    if (!ready) {
        html_put(html, "<pre>");
        html_text(html, strbuf_text(&why));
        html_put(html, "</pre>");
    }
    html_put(html, "</div>");
    strbuf_done(&why);
}

/* ---- head and foot ---- */

static void put_head(struct html *html, const struct page *page)
{
    html_put(html, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>svcmirror</title>"
                   "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
                   "<meta name=\"color-scheme\" content=\"light dark\">"
                   "<link rel=\"icon\" href=\"icon.svg\"><link rel=\"stylesheet\" href=\"page.css\">"
                   "<script src=\"page.js\" defer></script>");
    if (page->refresh)
        html_put(html, "<noscript><meta http-equiv=\"refresh\" content=\"" REFRESH_S "\"></noscript>");
    html_put(html,
             "</head><body><a class=\"skip\" href=\"#main\">Skip to the content</a>"
             "<header><h1>svcmirror</h1><p class=\"soft\">version " SVCMIRROR_VERSION "</p>"
             "<p class=\"live\"><span id=\"live\"></span> <button id=\"pause\" type=\"button\" hidden>Pause</button>"
             "<noscript>");
    html_put(html, page->refresh ? "<a href=\"?\">stop refreshing</a>"
                                 : "<a href=\"?refresh\">refresh every " REFRESH_S " s</a>");
    html_put(html, "</noscript></p><p id=\"news\" role=\"status\" aria-live=\"polite\"></p></header>"
                   "<main id=\"main\" tabindex=\"-1\">");
}

static void put_foot(struct html *html)
{
    char stamp[TEXT_TIME_BYTES];
    text_format_time(html->now_us, stamp);
    strbuf_printf(html->text, "<p class=\"soft\">As of <time datetime=\"%s\">%s</time></p></main>", stamp, stamp);
    html_put(html, "<footer class=\"soft\"><a href=\"metrics\">metrics</a> · <a href=\"api/v1/gateways\">gateways</a>, "
                   "<a href=\"api/v1/links\">links</a> and <a href=\"api/v1/services\">services</a> as JSON</footer>"
                   "</body></html>\n");
}

void page_cut_write(struct html *html, uint32_t count, const char *path)
{
    if (count > PAGE_ROWS)
        strbuf_printf(html->text, "<p class=\"soft\">The first %d of %u. <a href=\"%s\">%s</a> has all.</p>", PAGE_ROWS,
                      count, path, path);
}

void page_write(const struct page *page, struct strbuf *text)
{
    struct html html = {.text = text, .now_us = page->now_us};
    put_head(&html, page);
    if (page->source != NULL) {
        struct page_totals totals = count_all(page);
        put_readiness(&html, page->source);
        put_summary(&html, &totals);
        page_gateways_write(&html, page->source, &totals);
        page_links_write(&html, page->source, &totals);
        page_services_write(&html, page, &totals);
    } else {
        html_put(&html, "<p>The agent is starting.</p>");
    }
    put_foot(&html);
}
