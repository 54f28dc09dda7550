/* What the admin server serves: Prometheus metrics, probes of the pod, the status API and the status page. docs/api.md describes the JSON. */
#pragma once

#include "agent/admin/server.h"
#include "agent/admin/snapshot.h"
#include "agent/observe/metrics.h"

struct routes {
    struct loop *loop;
    struct metrics *metrics;
    const struct admin_source *source;
};

/** An admin_handler_fn; `context` is a struct routes. */
bool routes_handle(void *context, const char *path, struct admin_response *response);

/** The body of /api/v1/gateways. */
void routes_write_gateways(const struct admin_source *source, struct strbuf *body);
