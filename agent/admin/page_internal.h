/* The parts of the status page. */
#pragma once

#include "agent/admin/html.h"
#include "agent/admin/page.h"

/* What is counted before anything is written. `found` is what the query of services asks for. */
struct page_totals {
    uint32_t gateways, gateways_alive, links, links_reachable, links_refused, services, services_mirrored;
    uint32_t found, found_mirrored;
};

void page_gateways_write(struct html *html, const struct admin_source *source, const struct page_totals *totals);
void page_links_write(struct html *html, const struct admin_source *source, const struct page_totals *totals);
void page_services_write(struct html *html, const struct page *page, const struct page_totals *totals);

enum { PAGE_ROWS = 5 * PAGE_SERVICES }; /* of gateways and of links */
/** Says below a table that it shows but the first PAGE_ROWS of `count`, if so, and where all are. */
void page_cut_write(struct html *html, uint32_t count, const char *path);
