/* Which exported services are asked for: what the status page and /api/v1/services have in common. */
#pragma once

#include <stdbool.h>

#include "agent/admin/server.h"
#include "agent/admin/snapshot.h"

/** All borrowed; NULL: any. */
struct service_query {
    const char *cluster, *namespace;
    const char *mirrored; /* "true" or "false" */
    const char *
        words; /* separated by blanks; each is to be found somewhere in what is told of the service, whatever its case */
};

/** Parameters `cluster`, `namespace`, `mirrored` and `q` of the request. What a form leaves empty is any. Borrowed for the handler. */
struct service_query service_query_parse(const struct admin_request *request);
bool service_query_matches(const struct service_query *query, const struct service_info *info);
/** Whether it asks for less than all. */
bool service_query_is_narrow(const struct service_query *query);
