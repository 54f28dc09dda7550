/* Waiting for what a link brings about in the source cluster, and why it does not. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/commands/cluster.h"
#include "agent/commands/session.h"
#include "base/err.h"

struct link_wait {
    const char *command; /* for progress on stderr */
    struct session *session;
    struct cluster *source;
    const char *namespace, *cluster_name;
    const struct resource *link_resource; /* as the source serves it; NULL: it does not, or no Link matters */
    const struct resource *declared_by;   /* to wait for mirrors: Link or Secret, and its name */
    const char *name;
};

/** Waits until a service of the target is mirrored. @return ERR_OK (told on stderr which), ERR_TIMEOUT with the
 *  reason why none is, ERR_CANCELLED. */
enum err_code link_wait_mirrored(const struct link_wait *wait, uint64_t wait_ms, struct err *reterr) MUST_USE;
/** Waits until no mirror of the target is left, and no Link that a finalizer holds. @return ERR_OK, ERR_TIMEOUT (what is left),
 *  ERR_CANCELLED. */
enum err_code link_wait_gone(const struct link_wait *wait, uint64_t wait_ms, struct err *reterr) MUST_USE;

enum { LINK_MIRROR_NAMES_BYTES = 400 };
/** What the source has of a target. */
struct link_mirrors {
    const char *cluster_name;
    unsigned count;
    unsigned federated;                  /* federated services that it is a member of, besides */
    char names[LINK_MIRROR_NAMES_BYTES]; /* the first ones: "demo/web-east, demo/api-east, ..." */
};
/** @param mirrors  `cluster_name` is set. */
enum err_code link_wait_count(struct cluster *source, struct link_mirrors *mirrors, struct err *reterr) MUST_USE;
