/* Reads what checks look at: the source cluster first, with the user's credentials; then all targets at once, with those of their Secrets, as the
 * agent has them. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "agent/commands/cluster.h"

struct check_query {
    const char *namespace, *linkerd_namespace;
    const char *cluster;     /* only this target; "": all */
    const char *linkerd_cli; /* version of Linkerd's CLI; "": not told */
    uint32_t timeout_ms;     /* of each request */
};

/** What a read gave as a fact of the snapshot. @return new; takes the value out of `read`; NULL when out of memory. */
json_t *check_gather_fact(struct session_read *read);

/** @param[out] ret_snapshot  new (check.h). @return ERR_OK, ERR_NOMEM, ERR_CANCELLED, or why the source cluster cannot be asked. What cannot be
 *  read of the targets, and single facts of the source, are in the snapshot as failed facts. */
enum err_code check_gather(struct session *session, struct cluster *cluster, const struct check_query *query,
                           json_t **ret_snapshot, struct err *reterr) MUST_USE;
