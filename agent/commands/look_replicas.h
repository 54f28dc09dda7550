/* Which replica of an agent speaks for which link. All of them watch and probe everything, so each can answer for everything; but the one that
 * writes a link's mirrors (`held`, in /api/v1/links) is the one whose word on it counts. Pure: what to ask of whom is look.c's. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum {
    LOOK_MAX_REPLICAS = 16,    /* more of them say nothing new: each link has one leader among those that run */
    LOOK_ADMIN_PORT = 9999,    /* where the pod names no port of its own */
    LOOK_POD_NAME_BYTES = 254, /* RFC 1123 subdomain */
};

struct look_replica {
    char pod[LOOK_POD_NAME_BYTES];
    uint16_t port;
    json_t *links;   /* what it says of links; NULL: it does not answer */
    json_t *records; /* what it says of what is asked for; NULL: it was not asked, or does not answer */
};

struct look_replicas {
    struct look_replica items[LOOK_MAX_REPLICAS];
    unsigned count;
};

void look_replicas_done(struct look_replicas *replicas);
/** Where the pod serves what it says of itself. */
uint16_t look_replicas_admin_port(const json_t *pod);
/** Takes a pod of the agent; one that does not run, or is about to end, answers nothing and is left out. A cluster_item_fn. */
enum err_code look_replicas_take_pod(void *context, const json_t *pod) MUST_USE;
/** Whether the replica speaks for any link: it leads one, or is the first that answers, which speaks for all that nobody leads. */
bool look_replicas_is_needed(const struct look_replicas *replicas, unsigned index);
/** Puts the records together: of each cluster, those of the replica that speaks for it. @return new, or NULL when out of memory. */
json_t *look_replicas_merge(const struct look_replicas *replicas);
