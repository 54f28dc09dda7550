/* A state of the agent to show, for tests of what the admin server serves: two clusters, three gateways, four services. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "agent/admin/snapshot.h"

#define FAKE_NOW_US INT64_C(1787306400000000) /* 2026-08-21T10:00:00Z */
#define FAKE_AGO(seconds) (FAKE_NOW_US - INT64_C(1000000) * (seconds))

static bool fake_is_ready = true;

static inline bool fake_ready(void *context, struct strbuf *why)
{
    (void)context;
    if (!fake_is_ready)
        strbuf_append(why, "link <west>: not listed yet\n");
    return fake_is_ready;
}

static const struct latency fake_latency = {.window_us = {1900, 2500, 2345}, .window_count = 3, .window_next = 3};

static inline void fake_each_gateway(void *context, gateway_info_fn fn, void *fn_context)
{
    (void)context;
    static const struct gateway_info gateways[] = {
        {.cluster = "east",
         .link_kind = "Secret",
         .link_name = "cluster-credentials-east",
         .namespace = "ambassador",
         .name = "ambassador",
         .identity = "ambassador.ambassador.serviceaccount.identity.linkerd.cluster.local",
         .verdict = "alive",
         .reason = "OK",
         .advice = "",
         .problem = "",
         .warning = "",
         .exists = true,
         .probed = true,
         .port = 4143,
         .probe_port = 80,
         .probe_path = "/-/ambassador/ready",
         .period_ms = 3000,
         .timeout_ms = 5000,
         .failure_threshold = 1,
         .services = 12,
         .since_us = FAKE_AGO(93784),
         .latency_us = 2345,
         .address_count = 2,
         .addresses = {{.ip = "192.0.2.10",
                        .verdict = "alive",
                        .reason = "OK",
                        .advice = "",
                        .detail = "",
                        .http_status = 200,
                        .since_us = FAKE_AGO(93784),
                        .last_probe_us = FAKE_AGO(1),
                        .latency_us = 2345,
                        .p50_us = 2100,
                        .p95_us = 3900,
                        .p99_us = 12000,
                        .probes = 31261,
                        .latency = &fake_latency},
                       {.ip = "2001:db8::10",
                        .verdict = "dead",
                        .reason = "ConnectionRefused",
                        .advice = "nothing listens on port 80 there: is the gateway's pod running?",
                        .detail = "connect: Connection refused",
                        .since_us = FAKE_AGO(75),
                        .last_probe_us = FAKE_AGO(2),
                        .probes = 30,
                        .failures = 25}}},
        {.cluster = "west",
         .link_kind = "Link",
         .link_name = "west",
         .namespace = "linkerd-multicluster",
         .name = "linkerd-gateway",
         .verdict = "dead",
         .reason = "GatewayNotFound",
         .advice = "Service linkerd-multicluster/linkerd-gateway does not exist",
         .problem = "Service linkerd-multicluster/linkerd-gateway does not exist in cluster west",
         .since_us = FAKE_AGO(3600),
         .services = 2},
        {.cluster = "west",
         .link_kind = "Link",
         .link_name = "west",
         .namespace = "linkerd-multicluster",
         .name = "other",
         .verdict = "unknown",
         .reason = "NotProbed",
         .exists = true,
         .probed = true,
         .period_ms = 500,
         .probe_path = "/ready"},
    };
    for (size_t i = 0; i < sizeof(gateways) / sizeof(gateways[0]); i++)
        fn(fn_context, &gateways[i]);
}

static inline void fake_each_link(void *context, link_info_fn fn, void *fn_context)
{
    (void)context;
    static const struct link_info links[] = {
        {.id = "secret/cluster-credentials-east",
         .kind = "Secret",
         .namespace = "linkerd-multicluster",
         .name = "cluster-credentials-east",
         .cluster = "east",
         .domain = "cluster.local",
         .server = "https://192.0.2.1:6443",
         .api_reachable = true,
         .synced = true,
         .drained = true,
         .problem = "",
         .warning = "",
         .holder = "pod-1_a",
         .held = true,
         .event_age_ms = 12345,
         .credentials_expire_us = FAKE_AGO(-86400 * 30),
         .exported = 2,
         .mirrored = 2},
        {.id = "link/west",
         .kind = "Link",
         .name = "west",
         .cluster = "west",
         .domain = "cluster.local",
         .server = "https://192.0.2.2:6443",
         .problem = "list services in cluster west: 403 Forbidden: User \"system:anonymous\" cannot <list> services",
         .event_age_ms = 90061000,
         .exported = 2},
        {.refused = true,
         .kind = "Link",
         .namespace = "linkerd-multicluster",
         .name = "broken",
         .cluster = "",
         .problem = "spec.targetClusterName \"<x>\" is not a name"},
    };
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
        fn(fn_context, &links[i]);
}

static inline void fake_each_service(void *context, service_info_fn fn, void *fn_context)
{
    (void)context;
    static const struct service_info services[] = {
        {.cluster = "east",
         .namespace = "default",
         .name = "qotm",
         .mirror = "default/qotm-east",
         .mode = "gateway",
         .gateway = "ambassador/ambassador",
         .mirrored = true,
         .reason = "Mirrored",
         .message = "",
         .endpoints = 2,
         .ready = 1,
         .since_us = FAKE_AGO(60)},
        {.cluster = "east",
         .namespace = "shop",
         .name = "cart",
         .mirror = "shop/cart-east",
         .mode = "gateway",
         .gateway = "ambassador/ambassador",
         .mirrored = true,
         .reason = "Mirrored",
         .endpoints = 2,
         .ready = 2,
         .since_us = FAKE_AGO(61)},
        {.cluster = "west",
         .namespace = "default",
         .name = "web",
         .mirror = "default/web-west",
         .mode = "gateway",
         .gateway = "linkerd-multicluster/linkerd-gateway",
         .reason = "NameTaken",
         .message = "Service default/web-west exists and is not ours: <b>rename</b> \"it\" & retry",
         .since_us = FAKE_AGO(59)},
        {.cluster = "west",
         .namespace = "lab",
         .name = "x",
         .mirror = "lab/x-west",
         .mode = "gateway",
         .reason = "NoNamespace",
         .message = "namespace lab does not exist in the source cluster"},
    };
    for (size_t i = 0; i < sizeof(services) / sizeof(services[0]); i++)
        fn(fn_context, &services[i]);
}

static const struct admin_source fake_source = {.ready = fake_ready,
                                                .each_gateway = fake_each_gateway,
                                                .each_link = fake_each_link,
                                                .each_service = fake_each_service};
