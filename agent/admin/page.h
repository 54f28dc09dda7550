/* The status page: links, gateways and services as a person wants to see them. HTML without script, images or anything from elsewhere. */
#pragma once

#include "agent/admin/snapshot.h"

void page_write(const struct admin_source *source, int64_t now_us, struct strbuf *html);
