/* The metrics of the agent, by name. Linkerd's own where they exist, so that its dashboards keep working (linkerd2 stable-2.8.0 and edge-26.8.3,
 * multicluster/service-mirror/metrics.go); `svcmirror_` otherwise. docs/metrics.md explains each. */
#pragma once

#include "agent/observe/metrics.h"

struct instruments {
    struct metrics *registry;
    /* per gateway: target_cluster_name, gateway_namespace, gateway_name */
    struct metric *gateway_alive, *gateway_enabled, *gateway_latency, *gateway_probe_latency, *gateway_probes;
    struct metric *gateway_transitions; /* + verdict */
    struct metric *gateway_failures;    /* + reason */
    struct metric *gateway_usable, *gateway_warning;
    struct metric *address_alive; /* + address */
    /* per target cluster */
    struct metric *endpoint_repairs, *link_reachable, *link_synced, *link_invalid, *link_event_age, *link_warning,
        *link_kept, *link_left_out, *credentials_usable, *services;
    struct metric *declarations_readable; /* resource */
    /* per cluster, the source being "local" */
    struct metric *service_cache, *slice_cache, *namespace_cache;
    struct metric *api_requests, *api_seconds, *api_warnings;
    struct metric *credentials_expiry, *credentials_reloads; /* + kind; + result */
    struct metric *token_renewals;                           /* target_cluster_name, result */
    struct metric *token_renewal_due;                        /* cluster, kind */
    /* the process */
    struct metric *writes, *write_failures, *writes_in_flight, *writes_limit, *queue_depth, *unaccounted, *flip_seconds,
        *loop_busy, *loop_cpu, *events_dropped;
    /* per Lease: cluster, "local" for what belongs to no single link */
    struct metric *lease_held, *lease_transitions, *leases_readable;
};

/** Registers all. @return ERR_OK or ERR_NOMEM. */
enum err_code instruments_init(struct instruments *instruments, struct metrics *registry) MUST_USE;
/** Removes every series of a target cluster. */
void instruments_forget_cluster(struct instruments *instruments, const char *cluster_name);
