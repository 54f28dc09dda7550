/* Whether an object of the source cluster is what a plan wants, and marks that tell writes apart (write_object() and write_fingerprint() of plan.h).
 * What the API server or others add on their own (addresses, node ports) does not count. Shared by plan*.c, and within mirror/ by whoever compares what
 * slices hold. */
#pragma once

#include <stdbool.h>

#include "mirror/plan.h"

bool compare_service_right(const struct service *there, const struct service *wanted);
/** Of ServiceImports, but for the status. */
bool compare_import_right(const struct service *there, const struct service *wanted);
bool compare_slice_right(const struct slice *there, const struct slice *wanted);

/* Parts of it; of the target's slices too. */
bool compare_slice_content_equal(const struct slice *a, const struct slice *b); /* endpoints, ports and their family */
bool compare_slice_ports_equal(const struct slice *a, const struct slice *b);
/** Tells texts apart. */
uint64_t compare_text_digest(const char *text);
