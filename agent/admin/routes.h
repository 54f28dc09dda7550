/* What the admin server serves: Prometheus metrics, the pod's probes, the status API and the status page. docs/api.md
 * describes the JSON for its users; a change here is a change there. */
#pragma once

#include "agent/admin/server.h"
#include "agent/admin/snapshot.h"
#include "agent/observe/metrics.h"

/** The context of every route; all borrowed. */
struct routes_context {
    struct loop *loop;
    struct metrics *metrics;
    const struct admin_source *source; /* NULL until there is one: not ready, and nothing to list */
};

/** For admin_server_new(), with a struct routes_context. */
extern const struct admin_route routes[];
