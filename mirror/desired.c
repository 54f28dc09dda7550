#include "mirror/desired.h"

#include <string.h>

#include "mirror/metadata.h"
#include "mirror/names.h"

static const char *cluster_of(const struct claim *claim) { return claim->link->declaration->cluster_name; }

static bool from_secret(const struct claim *claim) { return claim->link->declaration->kind == LINK_SECRET; }

/* ---- the Service ---- */

static struct kv_list service_labels(struct arena *arena, const struct claim *claim)
{
    struct kv_builder labels;
    kv_builder_init(&labels, arena);
    if (claim->kind == CLAIM_GATEWAY) {
        kv_builder_set(&labels, L5D_MIRRORED_GATEWAY, "true");
    } else if (from_secret(claim)) {
        kv_builder_set(&labels, L5D_REMOTE_GATEWAY_NAME, claim->gateway->spec.name);
        kv_builder_set(&labels, L5D_REMOTE_GATEWAY_NS, claim->gateway->spec.namespace);
    } else {
        metadata_copy_labels(&labels, &claim->service->service->meta.labels, claim->link->declaration);
    }
    kv_builder_set(&labels, L5D_MIRRORED_SERVICE, "true");
    kv_builder_set(&labels, L5D_CLUSTER_NAME, cluster_of(claim));
    return kv_builder_finish(&labels);
}

static const char *fq_name(struct arena *arena, const struct claim *claim)
{
    const struct object_meta *meta = &claim->service->service->meta;
    return arena_printf(arena, "%s.%s.svc.%s", meta->name, meta->namespace, claim->link->declaration->cluster_domain);
}

static struct kv_list service_annotations(struct arena *arena, const struct claim *claim)
{
    struct kv_builder annotations;
    kv_builder_init(&annotations, arena);
    const struct gateway_spec *gateway = &claim->gateway->spec;
    if (claim->kind == CLAIM_GATEWAY) {
        if (from_secret(claim)) {
            kv_builder_set(&annotations, L5D_REMOTE_GATEWAY_RESOURCE_VERSION, gateway->resource_version);
            kv_builder_set(&annotations, L5D_MIRRORED_GATEWAY_REMOTE_NAME, gateway->name);
            kv_builder_set(&annotations, L5D_MIRRORED_GATEWAY_REMOTE_NAMESPACE, gateway->namespace);
        }
        kv_builder_set(&annotations, L5D_MIRRORED_GATEWAY_PROBE_PATH, gateway->probe.path);
        kv_builder_set(&annotations, L5D_MIRRORED_GATEWAY_PROBE_PERIOD, gateway->probe_period_text);
        return kv_builder_finish(&annotations);
    }
    if (!from_secret(claim))
        metadata_copy_annotations(&annotations, &claim->service->service->meta.annotations, claim->link->declaration);
    kv_builder_set(&annotations, L5D_REMOTE_RESOURCE_VERSION, claim->service->service->meta.resource_version);
    kv_builder_set(&annotations, L5D_REMOTE_SVC_FQ_NAME, fq_name(arena, claim));
    if (from_secret(claim) && gateway->exists)
        kv_builder_set(&annotations, L5D_REMOTE_GATEWAY_RESOURCE_VERSION, gateway->resource_version);
    return kv_builder_finish(&annotations);
}

static void service_ports(struct arena *arena, const struct claim *claim, struct service *service)
{
    uint32_t count = claim->kind == CLAIM_GATEWAY ? 1 : claim->service->service->port_count;
    struct service_port *ports = arena_array(arena, count, sizeof(*ports));
    if (ports == NULL)
        return;
    if (claim->kind == CLAIM_GATEWAY) {
        uint16_t port = claim->gateway->spec.probe.port;
        ports[0] = (struct service_port){.name = L5D_PROBE_PORT_NAME,
                                         .protocol = PROTOCOL_TCP,
                                         .port = port,
                                         .target_port = arena_printf(arena, "%u", port),
                                         .app_protocol = ""};
    }
    for (uint32_t i = 0; claim->kind == CLAIM_SERVICE && i < count; i++) {
        ports[i] = claim->service->service->ports[i];
        ports[i].node_port = 0;
    }
    service->ports = ports;
    service->port_count = count;
}

static struct service build_service(struct arena *arena, const struct mirror *mirror, const struct claim *claim)
{
    char namespace[OBJECT_KEY_BYTES];
    const char *name = object_key_split(mirror->key, namespace);
    struct service service = {
        .meta = {.namespace = arena_strdup(arena, namespace),
                 .name = name,
                 .uid = "",
                 .resource_version = "",
                 .owner_uid = "",
                 .labels = service_labels(arena, claim),
                 .annotations = service_annotations(arena, claim)},
        .type = SERVICE_CLUSTER_IP,
        .cluster_ip = "",
    };
    service_ports(arena, claim, &service);
    return service;
}

/* ---- what its endpoints should be ---- */

/* The target's slices could be read once and cannot be read now: what they said of a service stands, and of a service that came later they
 * never said anything. */
static bool are_endpoints_untold(const struct claim *claim)
{
    return claim->link->stale[WORLD_TARGET_SLICES] && claim->service->endpoints_untold;
}

static enum desired_endpoints judge_target(const struct claim *claim, struct desired *desired)
{
    /* 2.8 never looked at the target's endpoints, and its credentials may not read them. */
    if (claim->kind == CLAIM_GATEWAY || from_secret(claim))
        return ENDPOINTS_FULL;
    enum world_knowledge knowledge = claim->link->knowledge[WORLD_TARGET_SLICES];
    if (knowledge == WORLD_UNKNOWN) {
        desired->pending = true;
        desired->remark = "the target's endpoints are not listed yet";
        return ENDPOINTS_KEEP;
    }
    if (knowledge == WORLD_UNAVAILABLE || are_endpoints_untold(claim))
        return ENDPOINTS_FULL;
    char key[OBJECT_KEY_BYTES];
    const struct object_meta *meta = &claim->service->service->meta;
    object_key_format(key, meta->namespace, meta->name);
    const struct endpoint_summary *summary = target_endpoints(claim->link, key);
    if (summary != NULL && summary->ready > 0)
        return ENDPOINTS_FULL;
    desired->remark = "the exported service has no ready endpoint";
    return ENDPOINTS_EMPTY;
}

static const char *refused_remark(struct arena *arena, const struct world_gateway *gateway)
{
    return arena_printf(
        arena,
        "gateway address %s cannot be an endpoint: Kubernetes refuses unspecified, loopback and link-local "
        "addresses",
        gateway->refused);
}

static void judge_endpoints(struct arena *arena, const struct claim *claim, struct desired *desired)
{
    const struct world_gateway *gateway = claim->gateway;
    desired->remark = "";
    if (gateway->spec.problem[0] != '\0') {
        desired->remark = gateway->spec.problem;
        desired->endpoints = ENDPOINTS_EMPTY;
    } else if (!gateway->resolved) {
        desired->pending = true;
        desired->remark = "the gateway's address is not known yet";
        desired->endpoints = ENDPOINTS_KEEP;
    } else if (gateway->address_count == 0 && gateway->refused[0] != '\0') {
        desired->remark = refused_remark(arena, gateway);
        desired->endpoints = ENDPOINTS_EMPTY;
    } else if (gateway->address_count == 0) {
        /* A name that does not resolve now says nothing about the addresses it had: they stay until the probes judge them. */
        desired->remark = "the gateway's host name has no address";
        desired->endpoints = ENDPOINTS_KEEP;
    } else {
        if (gateway->refused[0] != '\0')
            desired->remark = refused_remark(arena, gateway);
        desired->endpoints = judge_target(claim, desired);
    }
}

/* ---- the slices ---- */

static struct kv_list slice_labels(struct arena *arena, const struct service *service)
{
    struct kv_builder labels;
    kv_builder_init(&labels, arena);
    for (size_t i = 0; i < service->meta.labels.count; i++)
        kv_builder_set(&labels, service->meta.labels.items[i].key, service->meta.labels.items[i].value);
    kv_builder_set(&labels, K8S_SERVICE_NAME, service->meta.name);
    kv_builder_set(&labels, K8S_MANAGED_BY, SLICE_MANAGED_BY);
    return kv_builder_finish(&labels);
}

static struct kv_list slice_annotations(struct arena *arena, const struct claim *claim)
{
    struct kv_builder annotations;
    kv_builder_init(&annotations, arena);
    if (claim->kind == CLAIM_SERVICE)
        kv_builder_set(&annotations, L5D_REMOTE_SVC_FQ_NAME, fq_name(arena, claim));
    if (claim->gateway->spec.identity[0] != '\0')
        kv_builder_set(&annotations, L5D_REMOTE_GATEWAY_IDENTITY, claim->gateway->spec.identity);
    return kv_builder_finish(&annotations);
}

/* Every port of the service leads to the one port of the gateway. */
static void slice_ports(struct arena *arena, const struct claim *claim, const struct service *service,
                        struct slice *slice)
{
    uint16_t port = claim->kind == CLAIM_GATEWAY ? claim->gateway->spec.probe.port : claim->gateway->spec.port;
    struct slice_port *ports = arena_array(arena, service->port_count, sizeof(*ports));
    if (ports == NULL || port == 0)
        return;
    for (uint32_t i = 0; i < service->port_count; i++)
        ports[i] = (struct slice_port){service->ports[i].name, service->ports[i].protocol, port,
                                       service->ports[i].app_protocol};
    slice->ports = ports;
    slice->port_count = service->port_count;
}

/* The readiness that the API holds for this address, for as long as nobody knows better. */
static bool ready_before(const struct mirror *mirror, const char *address)
{
    for (const struct source_slice *entry = mirror->slices; entry != NULL; entry = entry->next)
        for (uint32_t i = 0; i < entry->slice->endpoint_count; i++)
            if (strcmp(entry->slice->endpoints[i].address, address) == 0)
                return entry->slice->endpoints[i].ready;
    return false;
}

static bool address_ready(const struct mirror *mirror, const struct claim *claim, const struct world_address *address)
{
    if (claim->kind == CLAIM_SERVICE && !mirror->world->config.move_endpoints)
        return true;
    if (address->liveness == WORLD_LIVENESS_UNKNOWN)
        return ready_before(mirror, address->text);
    return address->liveness == WORLD_ALIVE;
}

static void slice_endpoints(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                            enum ip_family family, struct slice *slice)
{
    const struct world_gateway *gateway = claim->gateway;
    struct slice_endpoint *endpoints = arena_array(arena, gateway->address_count, sizeof(*endpoints));
    for (uint32_t i = 0; endpoints != NULL && i < gateway->address_count; i++) {
        const struct world_address *address = &gateway->addresses[i];
        if (address->family != family)
            continue;
        bool ready = address_ready(mirror, claim, address);
        endpoints[slice->endpoint_count++] =
            (struct slice_endpoint){.address = address->text, .hostname = "", .ready = ready, .serving = ready};
    }
    slice->endpoints = endpoints;
}

static bool has_family(const struct world_gateway *gateway, enum ip_family family)
{
    for (uint32_t i = 0; i < gateway->address_count; i++)
        if (gateway->addresses[i].family == family)
            return true;
    return false;
}

static const char *slice_name(struct arena *arena, const char *service_name, enum ip_family family)
{
    return arena_printf(arena, "%s%s", service_name, family == IP_V4 ? SLICE_SUFFIX_V4 : SLICE_SUFFIX_V6);
}

static void add_slice(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                      enum ip_family family, struct desired *desired)
{
    struct slice *slice = &desired->slices[desired->slice_count++];
    const struct service *service = &desired->service;
    *slice = (struct slice){
        .meta = {.namespace = service->meta.namespace,
                 .name = slice_name(arena, service->meta.name, family),
                 .uid = "",
                 .resource_version = "",
                 .owner_uid = mirror->service != NULL ? mirror->service->meta.uid : "",
                 .labels = slice_labels(arena, service),
                 .annotations = slice_annotations(arena, claim)},
        .service_name = service->meta.name,
        .managed_by = SLICE_MANAGED_BY,
        .address_type = family == IP_V4 ? ADDRESS_IPV4 : ADDRESS_IPV6,
    };
    slice_ports(arena, claim, service, slice);
    if (desired->endpoints == ENDPOINTS_FULL)
        slice_endpoints(arena, mirror, claim, family, slice);
}

void desired_build(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                   struct desired *ret_desired)
{
    *ret_desired = (struct desired){.service = build_service(arena, mirror, claim)};
    judge_endpoints(arena, claim, ret_desired);
    if (ret_desired->endpoints == ENDPOINTS_KEEP)
        return;
    /* While the gateway is unusable its addresses do not count, or the slices would depend on what was looked up before. */
    bool usable = claim->gateway->spec.problem[0] == '\0';
    bool v6 = usable && has_family(claim->gateway, IP_V6);
    if (!v6 || has_family(claim->gateway, IP_V4))
        add_slice(arena, mirror, claim, IP_V4, ret_desired);
    if (v6)
        add_slice(arena, mirror, claim, IP_V6, ret_desired);
}
