/* The status page: links, gateways and services as a person wants to see them. Semantic HTML in light and dark, without script
 * and without anything from elsewhere: it works through the API server's proxy and in a cluster without Internet. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/admin/snapshot.h"
#include "base/strbuf.h"

struct page {
    const struct admin_source *source; /* NULL: the agent is starting */
    int64_t now_us;                    /* wall clock */
    bool refresh;                      /* the browser loads it again every few seconds */
};

void page_write(const struct page *page, struct strbuf *html);
