/* Leases of coordination.k8s.io/v1: JSON <-> struct lease_record, and the bodies of requests. An existing Lease is patched, so that what
 * others keep on it stays; the resourceVersion in the patch makes it fail when somebody was faster. */
#pragma once

#include <stdbool.h>

#include "agent/kube/json_tree.h"
#include "agent/kube/lease_record.h"
#include "base/strbuf.h"

#define LEASES_GROUP "/apis/coordination.k8s.io/v1"

/* A replica's own Lease, by which the others know that it lives: found by its label, with an annotation that says whether it is ready, and
 * another that says under which Lease it writes, where that is but one. */
#define LEASE_REPLICA_LABEL "svcmirror.io/replica"
#define LEASE_READY_ANNOTATION "svcmirror.io/ready"
#define LEASE_SCOPE_ANNOTATION "svcmirror.io/scope"

struct lease {
    const char *name; /* borrowed from the JSON */
    bool is_replica, is_ready;
    const char
        *scope; /* of a replica: the name of the one Lease that it takes part in, "": in all; borrowed likewise */
    struct lease_record record;
};

/** Takes any object; what is absent or of another type counts as absent, and a text that is too long is cut. */
void lease_decode(const struct json_tree *json, struct lease *ret_lease);
/** The body that creates `lease`. */
void lease_write_create(struct strbuf *body, const char *namespace, const struct lease *lease);
/** A JSON merge patch (RFC 7396) that makes the Lease so, if it still has `record.version`. */
void lease_write_patch(struct strbuf *body, const struct lease *lease);
