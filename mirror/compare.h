/* Whether an object of the source cluster is what a plan wants, and marks that tell writes apart (write_object() and write_fingerprint() of plan.h).
 * What the API server or others add on their own (addresses, node ports, conditions beside readiness) does not count. Shared by plan*.c only. */
#pragma once

#include <stdbool.h>

#include "mirror/plan.h"

bool compare_service_right(const struct service *there, const struct service *wanted);
bool compare_slice_right(const struct slice *there, const struct slice *wanted);
