/* The objects that should exist for one claim, as if nothing else claimed the name. Shared by plan*.c only; strings live in the world and the arena. */
#pragma once

#include "base/arena.h"
#include "mirror/object.h"
#include "mirror/world_internal.h"

/** What the slices should hold. */
enum desired_endpoints {
    ENDPOINTS_KEEP,  /* not known yet: whatever the API holds stays, nothing is added */
    ENDPOINTS_EMPTY, /* no endpoint */
    ENDPOINTS_FULL,  /* the gateway's addresses, the mirrors of the hostnames, or the target's own endpoints */
    ENDPOINTS_NONE,  /* no slices: resolved in the target */
};

/** Why a hostname that has no mirror may not be given one: what is known of endpoints that may not be read any more, or will be those of the pods when they
 *  are read, makes nothing new. NULL: it may. A constant. */
const char *desired_host_held_up(const struct claim *host);

struct desired {
    struct service service;
    enum desired_endpoints endpoints;
    bool pending;         /* what the endpoints should be is about to be known */
    bool undecided;       /* whether it is headless is about to be known: a mirror that is there stays, none is made */
    bool is_discovery;    /* Linkerd resolves it in the target, whatever slices there are */
    bool is_pods;         /* its slices hold the target's own endpoints */
    const char *remark;   /* why there are none, or not all, for the status; "" when there are */
    struct slice *slices; /* those that should exist; their meta.uid and resource_version are "" */
    uint32_t slice_count;
};

/** For any claim but CLAIM_FEDERATED. Failures are the arena's. */
void desired_build(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                   struct desired *ret_desired);

/** The exported service's ports that its mirror has, without what means nothing elsewhere. NULL: the arena failed. */
const struct service_port *desired_ports(struct arena *arena, const struct service *exported, uint32_t *ret_count);
/** The first word of the exported service's port list that names none of its ports; NULL when all do. In the arena. */
const char *desired_unknown_port(struct arena *arena, const struct service *exported);
