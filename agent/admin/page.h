/* The status page: links, gateways and services as a person wants to see them. Semantic HTML that needs no script and nothing from elsewhere,
 * so that it works through the API server's proxy and in a cluster without Internet; assets/page.js, where it may run, keeps it current by asking
 * for this page again and again and taking over what differs: how things look is known in one place, here. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/admin/service_query.h"
#include "agent/admin/snapshot.h"
#include "base/strbuf.h"

enum { PAGE_SERVICES = 100 }; /* of one page; of the other tables, 5 times as many rows */

struct page {
    const struct admin_source *source; /* NULL: the agent is starting */
    int64_t now_us;                    /* wall clock */
    bool refresh;                      /* where no script runs, the browser loads it again every few seconds */
    struct service_query services;     /* which of them are shown */
    uint32_t number;                   /* which page of them, from 1; 0 is 1, and too large a number the last */
};

void page_write(const struct page *page, struct strbuf *html);
