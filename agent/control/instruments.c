#include "agent/control/instruments.h"

#include <stddef.h>

#include "base/mem.h"

static const char *const gateway_labels[] = {"target_cluster_name", "gateway_namespace", "gateway_name", NULL};
static const char *const probe_labels[] = {"target_cluster_name", "gateway_namespace", "gateway_name",
                                           "probe_successful", NULL};
static const char *const verdict_labels[] = {"target_cluster_name", "gateway_namespace", "gateway_name", "verdict",
                                             NULL};
static const char *const reason_labels[] = {"target_cluster_name", "gateway_namespace", "gateway_name", "reason", NULL};
static const char *const address_labels[] = {"target_cluster_name", "gateway_namespace", "gateway_name", "address",
                                             NULL};
static const char *const target_labels[] = {"target_cluster_name", NULL};
static const char *const service_labels[] = {"target_cluster_name", "reason", NULL};
static const char *const cluster_labels[] = {"cluster", NULL};
static const char *const credential_labels[] = {"cluster", "kind", NULL};
static const char *const reload_labels[] = {"cluster", "kind", "result", NULL};
static const char *const renewal_labels[] = {"target_cluster_name", "result", NULL};
static const char *const invalid_labels[] = {"kind", "name", NULL};
static const char *const resource_labels[] = {"resource", NULL};
static const char *const request_labels[] = {"cluster", "verb", "resource", "code", NULL};
static const char *const latency_labels[] = {"cluster", "verb", NULL};
static const char *const write_labels[] = {"verb", "kind", NULL};
static const char *const failure_labels[] = {"verb", "kind", "code", NULL};

static const double linkerd_buckets[] = {1,   2,   3,    4,    5,    10,   20,   30,    40,    50,    100,   200,  300,
                                         400, 500, 1000, 2000, 3000, 4000, 5000, 10000, 20000, 30000, 40000, 50000};
static const double request_buckets[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30};
static const double flip_buckets[] = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
static const double busy_buckets[] = {0.0001, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5};

struct definition {
    size_t offset; /* of the field in struct instruments */
    enum metric_type type;
    const char *name, *help;
    const char *const *labels;
    const double *buckets;
    size_t bucket_count;
};

#define FIELD(name) offsetof(struct instruments, name)

static const struct definition definitions[] = {
    {FIELD(gateway_alive), METRIC_GAUGE, "gateway_alive", "1 while any address of the gateway is alive, else 0.",
     gateway_labels, NULL, 0},
    {FIELD(gateway_enabled), METRIC_GAUGE, "gateway_enabled",
     "1 while the gateway exists, is complete and is probed, else 0.", gateway_labels, NULL, 0},
    {FIELD(gateway_latency), METRIC_GAUGE, "gateway_latency", "Latency of the last successful probe in milliseconds.",
     gateway_labels, NULL, 0},
    {FIELD(gateway_probe_latency), METRIC_HISTOGRAM, "gateway_probe_latency_ms",
     "Latency of successful probes in milliseconds.", gateway_labels, linkerd_buckets, ARRAY_COUNT(linkerd_buckets)},
    {FIELD(gateway_probes), METRIC_COUNTER, "gateway_probes", "Probes that ended, by success.", probe_labels, NULL, 0},
    {FIELD(gateway_transitions), METRIC_COUNTER, "svcmirror_gateway_transitions_total",
     "Changes of a gateway address's verdict.", verdict_labels, NULL, 0},
    {FIELD(gateway_failures), METRIC_COUNTER, "svcmirror_gateway_probe_failures_total", "Failed probes by reason.",
     reason_labels, NULL, 0},
    {FIELD(gateway_usable), METRIC_GAUGE, "svcmirror_gateway_usable",
     "1 while the gateway can be used as declared, 0 while it is missing, lacks an address or port, or does not "
     "resolve.",
     gateway_labels, NULL, 0},
    {FIELD(gateway_warning), METRIC_GAUGE, "svcmirror_gateway_warning",
     "1 while the gateway's declaration is not understood in part, an address of it is one of the source cluster's own "
     "for Services, or an alive address answers with another body (OKOtherBody), else 0.",
     gateway_labels, NULL, 0},
    {FIELD(address_alive), METRIC_GAUGE, "svcmirror_gateway_address_alive",
     "1 while the address is alive, 0 while dead.", address_labels, NULL, 0},
    {FIELD(endpoint_repairs), METRIC_COUNTER, "service_mirror_endpoint_repairs", "Updates of mirrors' endpoints.",
     target_labels, NULL, 0},
    {FIELD(link_reachable), METRIC_GAUGE, "svcmirror_link_api_reachable",
     "1 while the target's API server answers, else 0.", target_labels, NULL, 0},
    {FIELD(link_synced), METRIC_GAUGE, "svcmirror_link_synced",
     "1 once the target's services are completely listed, else 0.", target_labels, NULL, 0},
    {FIELD(link_invalid), METRIC_GAUGE, "svcmirror_link_invalid",
     "1 for each Link or Secret that cannot be used as declared.", invalid_labels, NULL, 0},
    {FIELD(declarations_readable), METRIC_GAUGE, "svcmirror_declarations_readable",
     "1 while the source's Secrets or Links, which declare links, can be read, else 0.", resource_labels, NULL, 0},
    {FIELD(link_event_age), METRIC_GAUGE, "svcmirror_link_event_age_seconds",
     "Time since the target's API server gave a sign of life.", target_labels, NULL, 0},
    {FIELD(credentials_expiry), METRIC_GAUGE, "svcmirror_credentials_expiry_timestamp_seconds",
     "When a credential for the cluster expires, in seconds since 1970, by kind: client_certificate, ca (the first "
     "certificate of the bundle to expire) or token; absent where there is none, or where it does not say.",
     credential_labels, NULL, 0},
    {FIELD(credentials_reloads), METRIC_COUNTER, "svcmirror_credentials_reloads_total",
     "Files of credentials that changed and are in use (changed), or that could not be used while the old are used on "
     "(failed).",
     reload_labels, NULL, 0},
    {FIELD(token_renewal_due), METRIC_GAUGE, "svcmirror_token_renewal_timestamp_seconds",
     "When the agent is to renew a token, in seconds since 1970; absent where it is not asked to.", credential_labels,
     NULL, 0},
    {FIELD(token_renewals), METRIC_COUNTER, "svcmirror_token_renewals_total",
     "Tokens of targets that were to be renewed: a new one is in the Secret (renewed), or could not be had or written "
     "(failed).",
     renewal_labels, NULL, 0},
    {FIELD(credentials_usable), METRIC_GAUGE, "svcmirror_credentials_usable",
     "1 while the credentials for the target can be used, 0 while their Secret is missing or its kubeconfig is not "
     "understood.",
     target_labels, NULL, 0},
    {FIELD(link_warning), METRIC_GAUGE, "svcmirror_link_warning",
     "1 while the link works although its declaration or credentials are odd, else 0.", target_labels, NULL, 0},
    {FIELD(link_kept), METRIC_GAUGE, "svcmirror_link_kept_bytes",
     "Memory that what is kept of the target takes, about; --max-link-memory bounds it.", target_labels, NULL, 0},
    {FIELD(link_left_out), METRIC_GAUGE, "svcmirror_link_objects_left_out",
     "Services and slices of the target that are not kept, because that bound is reached.", target_labels, NULL, 0},
    {FIELD(services), METRIC_GAUGE, "svcmirror_services", "Exported services by the state of their mirror.",
     service_labels, NULL, 0},
    {FIELD(service_cache), METRIC_GAUGE, "service_cache_size", "Services kept of a cluster.", cluster_labels, NULL, 0},
    {FIELD(slice_cache), METRIC_GAUGE, "endpoints_cache_size", "EndpointSlices (or Endpoints) kept of a cluster.",
     cluster_labels, NULL, 0},
    {FIELD(namespace_cache), METRIC_GAUGE, "namespace_cache_size", "Namespaces known of a cluster.", cluster_labels,
     NULL, 0},
    {FIELD(api_requests), METRIC_COUNTER, "svcmirror_api_requests_total",
     "Requests to API servers; code 0 when no answer came.", request_labels, NULL, 0},
    {FIELD(api_seconds), METRIC_HISTOGRAM, "svcmirror_api_request_duration_seconds",
     "Latency of requests to API servers, watches excepted.", latency_labels, request_buckets,
     ARRAY_COUNT(request_buckets)},
    {FIELD(api_warnings), METRIC_COUNTER, "svcmirror_api_warnings_total", "Distinct warnings that API servers sent.",
     cluster_labels, NULL, 0},
    {FIELD(writes), METRIC_COUNTER, "svcmirror_writes_total", "Writes to the source cluster that succeeded.",
     write_labels, NULL, 0},
    {FIELD(write_failures), METRIC_COUNTER, "svcmirror_write_failures_total",
     "Writes to the source cluster that failed and are retried.", failure_labels, NULL, 0},
    {FIELD(writes_in_flight), METRIC_GAUGE, "svcmirror_writes_in_flight", "Writes under way.", NULL, NULL, 0},
    {FIELD(writes_limit), METRIC_GAUGE, "svcmirror_writes_limit",
     "How many writes may be under way: a level found by how long they take, unless --max-in-flight fixes it. "
     "Up to four more may be, not counted here, of links with hardly any.",
     NULL, NULL, 0},
    {FIELD(queue_depth), METRIC_GAUGE, "svcmirror_queue_depth", "Mirrors that wait to be planned.", NULL, NULL, 0},
    {FIELD(unaccounted), METRIC_GAUGE, "svcmirror_unaccounted_mirrors",
     "Mirrors that others made for clusters that no link names; they stay, unless the agent runs with "
     "--remove-unaccounted-mirrors.",
     NULL, NULL, 0},
    {FIELD(flip_seconds), METRIC_HISTOGRAM, "svcmirror_flip_duration_seconds",
     "From a gateway's change of verdict to the last endpoint that follows it.", target_labels, flip_buckets,
     ARRAY_COUNT(flip_buckets)},
    {FIELD(loop_busy), METRIC_HISTOGRAM, "svcmirror_loop_busy_seconds",
     "Time the loop spent in one turn without waiting.", NULL, busy_buckets, ARRAY_COUNT(busy_buckets)},
    {FIELD(loop_cpu), METRIC_HISTOGRAM, "svcmirror_loop_cpu_seconds",
     "Processor time of one turn of the loop: what svcmirror_loop_busy_seconds has more, others had, or a quota was "
     "used up.",
     NULL, busy_buckets, ARRAY_COUNT(busy_buckets)},
    {FIELD(lease_held), METRIC_GAUGE, "svcmirror_lease_held",
     "1 while this replica holds the Lease under which the cluster's mirrors are written, else 0; local is what "
     "belongs "
     "to no single link.",
     cluster_labels, NULL, 0},
    {FIELD(lease_transitions), METRIC_COUNTER, "svcmirror_lease_transitions_total",
     "How often this replica won the cluster's Lease, lost it or gave it back.", cluster_labels, NULL, 0},
    {FIELD(leases_readable), METRIC_GAUGE, "svcmirror_leases_readable",
     "1 while the Leases can be read, else 0; without that right from the start the agent writes as if it were alone.",
     NULL, NULL, 0},
    {FIELD(events_dropped), METRIC_GAUGE, "svcmirror_events_dropped", "Kubernetes Events not written since the start.",
     NULL, NULL, 0},
};

enum err_code instruments_init(struct instruments *instruments, struct metrics *registry)
{
    instruments->registry = registry;
    for (size_t i = 0; i < ARRAY_COUNT(definitions); i++) {
        const struct definition *d = &definitions[i];
        struct metric *metric =
            metrics_register(registry, d->type, d->name, d->help, d->labels, d->buckets, d->bucket_count);
        if (metric == NULL)
            return ERR_NOMEM;
        struct metric **field = (struct metric **)(void *)((char *)instruments + d->offset);
        *field = metric;
    }
    return ERR_OK;
}

void instruments_forget_cluster(struct instruments *instruments, const char *cluster_name)
{
    metrics_forget(instruments->registry, "target_cluster_name", cluster_name);
    metrics_forget(instruments->registry, "cluster", cluster_name);
}
