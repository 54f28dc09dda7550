/* What the admin server may show, as plain data: the control fills it, routes format it. All texts are borrowed for the callback. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "health/latency.h"

enum { SNAPSHOT_MAX_ADDRESSES = 64 };

struct gateway_address_info {
    const char *ip, *verdict; /* "unknown", "alive", "dead" */
    const char *reason, *advice, *detail;
    int http_status;                 /* of the last probe, 0 when none */
    int64_t since_us, last_probe_us; /* wall clock, 0: never */
    uint32_t latency_us, p50_us, p95_us, p99_us;
    uint64_t probes, failures;
    const struct latency *latency; /* of good probes, NULL when it is not probed */
};

struct gateway_info {
    const char *cluster, *link_kind, *link_name; /* link_kind "Link" or "Secret" */
    const char *namespace, *name;                /* of the gateway Service in the target, or of the Link */
    const char *identity, *verdict, *reason, *advice, *problem, *warning;
    bool exists, probed;
    bool drained; /* by an annotation of its own or of its link */
    uint16_t port, probe_port;
    const char *probe_path;
    uint32_t period_ms, timeout_ms, failure_threshold, services;
    int64_t since_us;
    uint32_t latency_us; /* of the fastest alive address, 0 when none */
    uint32_t address_count;
    struct gateway_address_info addresses[SNAPSHOT_MAX_ADDRESSES];
};

struct link_info {
    bool
        refused; /* a declaration that cannot be used: only kind, namespace, name, cluster ("": unknown) and problem are set */
    const char *id, *kind, *namespace, *name, *cluster, *domain, *server;
    bool api_reachable, synced;
    bool drained; /* by its annotation */
    const char *problem, *warning;
    const char *holder; /* the replica that writes its mirrors, "" when none is known or there is no election */
    bool held;          /* this one writes them */
    uint64_t event_age_ms;
    int64_t credentials_expire_us; /* 0: unknown */
    uint32_t exported, mirrored;
};

struct service_info {
    const char *cluster, *namespace, *name, *mirror, *gateway; /* mirror: "namespace/name"; gateway: likewise or "" */
    const char *mode;                                          /* one word: docs/api.md lists them */
    bool mirrored;
    const char *reason, *message;
    uint32_t endpoints, ready;
    int64_t since_us;
};

typedef void (*gateway_info_fn)(void *context, const struct gateway_info *info);
typedef void (*link_info_fn)(void *context, const struct link_info *info);
typedef void (*service_info_fn)(void *context, const struct service_info *info);

struct admin_source {
    void *context;
    /* Whether the agent does its work; else appends why not. */
    bool (*ready)(void *context, struct strbuf *why);
    void (*each_gateway)(void *context, gateway_info_fn fn,
                         void *fn_context); /* in order of cluster, namespace, name */
    /* In order of cluster; then the refused ones, in order of kind and name. */
    void (*each_link)(void *context, link_info_fn fn, void *fn_context);
    void (*each_service)(void *context, service_info_fn fn, void *fn_context);
};
