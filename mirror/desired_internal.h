/* The parts of desired.c, shared by desired*.c only: which kind of mirror a claim wants, its Service, its slices. Failures are the arena's. */
#pragma once

#include "mirror/desired.h"

enum mode {
    MODE_GATEWAY,        /* endpoints are the gateway's addresses */
    MODE_HEADLESS,       /* endpoints are the mirrors of its hostnames */
    MODE_HOST,           /* the mirror of one hostname, through the gateway */
    MODE_DISCOVERY,      /* no endpoints: resolved in the target */
    MODE_PODS,           /* endpoints are the target's own */
    MODE_DISCOVERY_PODS, /* resolved in the target, and for others than Linkerd the target's own endpoints */
    MODE_OF_THE_GATEWAY, /* the gateway's own mirror */
};

/** Whether the mirror is headless as the source cluster has it. */
bool desired_is_headless_now(const struct mirror *mirror);
/** Whether the link or the gateway of the claim is being drained. A gateway's own mirror never is. */
bool desired_is_draining(const struct claim *claim);
/** "<service>.<namespace>.svc.<domain>" of what the claim stands for. */
const char *desired_fq_name(struct arena *arena, const struct claim *claim);

/* desired_service.c */
struct service desired_service(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                               enum mode mode);

/* desired_slices.c */
/** A slice, or Endpoints where these are written, without annotations, endpoints and ports yet; of IPv4 until told otherwise. */
struct slice desired_slice(struct arena *arena, const struct mirror *mirror, const struct service *service,
                           const char *name);
/** Of Endpoints: the ready addresses first, and no ports without an address. */
void desired_settle_endpoints(struct arena *arena, struct slice *slice);
/** Fills `desired->slices`; of a headless mirror also says which hostnames are missing. */
void desired_slices(struct arena *arena, const struct mirror *mirror, const struct claim *claim, enum mode mode,
                    struct desired *desired);

/* desired_pods.c */
/** Fills `desired->slices` with the target's own endpoints. */
void desired_pods(struct arena *arena, const struct mirror *mirror, const struct claim *claim, struct desired *desired);
