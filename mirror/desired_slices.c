/* The slices of a mirror, or its Endpoints: the gateway's addresses, or the mirrors of its hostnames. The rules are in docs/mirrors.md. */
#include <string.h>

#include "mirror/desired_internal.h"
#include "mirror/names.h"

static struct kv_list slice_labels(struct arena *arena, const struct service *service, bool is_endpoints)
{
    struct kv_builder labels;
    kv_builder_init(&labels, arena);
    for (size_t i = 0; i < service->meta.labels.count; i++) {
        const struct kv *label = &service->meta.labels.items[i];
        if (!text_starts_with(label->key, L5D_LINK_GROUP "/")) /* what tells how to resolve the Service */
            kv_builder_set(&labels, label->key, label->value);
    }
    if (!is_endpoints) {
        kv_builder_set(&labels, K8S_SERVICE_NAME, service->meta.name);
        kv_builder_set(&labels, K8S_MANAGED_BY, SLICE_MANAGED_BY);
    }
    return kv_builder_finish(&labels);
}

static struct kv_list slice_annotations(struct arena *arena, const struct claim *claim)
{
    struct kv_builder annotations;
    kv_builder_init(&annotations, arena);
    if (claim->kind != CLAIM_GATEWAY)
        kv_builder_set(&annotations, L5D_REMOTE_SVC_FQ_NAME, desired_fq_name(arena, claim));
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
        ports[i] = (struct slice_port){.name = service->ports[i].name,
                                       .app_protocol = service->ports[i].app_protocol,
                                       .protocol = service->ports[i].protocol,
                                       .port = port};
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

/* Endpoints that may not be read count as ready, as those of any other service do. */
static bool is_host_unready(const struct claim *host)
{
    return !host->host_ready && !target_endpoints_unreadable(host->link);
}

static bool address_ready(const struct mirror *mirror, const struct claim *claim, const struct world_address *address)
{
    if (desired_is_draining(claim) || (claim->kind == CLAIM_HOST && is_host_unready(claim)))
        return false;
    if (claim->kind != CLAIM_GATEWAY && !mirror->world->config.move_endpoints)
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
        if (family != IP_NONE && address->family != family)
            continue;
        bool ready = address_ready(mirror, claim, address);
        endpoints[slice->endpoint_count++] = (struct slice_endpoint){
            .address = address->text, .hostname = "", .zone = "", .ready = ready, .serving = ready};
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

/* IP_NONE stands for Endpoints, which hold both families. */
static const char *slice_name(struct arena *arena, const char *service_name, enum ip_family family)
{
    if (family == IP_NONE)
        return service_name;
    return arena_printf(arena, "%s%s", service_name, family == IP_V4 ? SLICE_SUFFIX_V4 : SLICE_SUFFIX_V6);
}

struct slice desired_slice(struct arena *arena, const struct mirror *mirror, const struct service *service,
                           const char *name)
{
    bool is_endpoints = mirror->world->config.write_endpoints;
    return (struct slice){
        .is_endpoints = is_endpoints,
        .meta = {.namespace = service->meta.namespace,
                 .name = name,
                 .uid = "",
                 .resource_version = "",
                 .owner_uid = mirror->service != NULL ? mirror->service->meta.uid : "",
                 .labels = slice_labels(arena, service, is_endpoints)},
        .service_name = service->meta.name,
        .managed_by = SLICE_MANAGED_BY,
        .address_type = ADDRESS_IPV4,
    };
}

/* @return NULL: the arena failed. */
static struct slice *new_slice(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                               enum ip_family family, struct desired *desired)
{
    const struct service *service = &desired->service;
    if (desired->slices == NULL)
        desired->slices = arena_array(arena, 2, sizeof(*desired->slices)); /* one for each family */
    if (desired->slices == NULL)
        return NULL;
    struct slice *slice = &desired->slices[desired->slice_count++];
    *slice = desired_slice(arena, mirror, service, slice_name(arena, service->meta.name, family));
    slice->meta.annotations = slice_annotations(arena, claim);
    slice->address_type = family == IP_V6 ? ADDRESS_IPV6 : ADDRESS_IPV4;
    return slice;
}

void desired_settle_endpoints(struct arena *arena, struct slice *slice)
{
    struct slice_endpoint *sorted = arena_array(arena, slice->endpoint_count, sizeof(*sorted));
    uint32_t count = 0;
    if (!slice->is_endpoints || sorted == NULL)
        return;
    for (int ready = 1; ready >= 0; ready--)
        for (uint32_t i = 0; i < slice->endpoint_count; i++)
            if (slice->endpoints[i].ready == (ready == 1))
                sorted[count++] = slice->endpoints[i];
    slice->endpoints = sorted;
    slice->port_count = count > 0 ? slice->port_count : 0;
}

static void add_slice(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                      enum ip_family family, struct desired *desired)
{
    struct slice *slice = new_slice(arena, mirror, claim, family, desired);
    if (slice == NULL)
        return;
    slice_ports(arena, claim, &desired->service, slice);
    if (desired->endpoints == ENDPOINTS_FULL)
        slice_endpoints(arena, mirror, claim, family, slice);
    desired_settle_endpoints(arena, slice);
}

/* ---- the slice of a headless mirror ---- */

/* The ClusterIP of a hostname's mirror; "" while it has none, or while a mirror of something else has its name. */
static const char *host_address(const struct mirror *headless, const struct claim *host)
{
    char namespace[OBJECT_KEY_BYTES];
    const struct service *service = host->mirror->service;
    const char *made_for = service != NULL ? kv_get(&service->meta.labels, L5D_HEADLESS_MIRROR) : NULL;
    bool own = made_for != NULL && strcmp(made_for, object_key_split(headless->key, namespace)) == 0;
    return own && !service->headless ? service->cluster_ip : "";
}

static bool host_ready(const struct mirror *mirror, const struct claim *claim, const struct claim *host)
{
    bool unknown = false;
    if (desired_is_draining(claim) || is_host_unready(host))
        return false;
    if (!mirror->world->config.move_endpoints)
        return true;
    for (uint32_t i = 0; i < claim->gateway->address_count; i++) {
        if (claim->gateway->addresses[i].liveness == WORLD_ALIVE)
            return true;
        unknown = unknown || claim->gateway->addresses[i].liveness == WORLD_LIVENESS_UNKNOWN;
    }
    return unknown && ready_before(mirror, host_address(mirror, host));
}

static uint32_t count_hosts(const struct claim *claim)
{
    uint32_t count = 0;
    for (const struct claim *host = claim->service->hosts; host != NULL; host = host->next_host)
        count++;
    return count;
}

static void headless_endpoints(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                               enum ip_family family, struct slice *slice)
{
    struct slice_endpoint *endpoints = arena_array(arena, count_hosts(claim), sizeof(*endpoints));
    char canonical[TEXT_IP_BYTES];
    for (const struct claim *host = claim->service->hosts; endpoints != NULL && host != NULL; host = host->next_host) {
        enum ip_family has = text_parse_ip(host_address(mirror, host), canonical);
        if (has == IP_NONE || (family != IP_NONE && has != family))
            continue;
        bool ready = host_ready(mirror, claim, host);
        endpoints[slice->endpoint_count++] = (struct slice_endpoint){.address = host_address(mirror, host),
                                                                     .hostname = host->hostname,
                                                                     .zone = "",
                                                                     .ready = ready,
                                                                     .serving = ready};
    }
    slice->endpoints = endpoints;
}

/* Its ports are the Service's: those are what the hostnames' ClusterIPs serve. */
static void headless_ports(struct arena *arena, const struct service *service, struct slice *slice)
{
    struct slice_port *ports = arena_array(arena, service->port_count, sizeof(*ports));
    if (ports == NULL)
        return;
    for (uint32_t i = 0; i < service->port_count; i++)
        ports[i] = (struct slice_port){.name = service->ports[i].name,
                                       .app_protocol = service->ports[i].app_protocol,
                                       .protocol = service->ports[i].protocol,
                                       .port = service->ports[i].port};
    slice->ports = ports;
    slice->port_count = service->port_count;
}

static void add_headless_slice(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                               enum ip_family family, struct desired *desired)
{
    struct slice *slice = new_slice(arena, mirror, claim, family, desired);
    if (slice == NULL)
        return;
    headless_ports(arena, &desired->service, slice);
    if (desired->endpoints == ENDPOINTS_FULL)
        headless_endpoints(arena, mirror, claim, family, slice);
    desired_settle_endpoints(arena, slice);
}

/* A hostname that cannot be mirrored holds nothing up: the service is told as mirrored, and what of it is not. */
static void judge_missing_host(struct arena *arena, const struct claim *host, struct desired *desired)
{
    if (host->status.mirrored || strcmp(host->status.reason, "Pending") == 0) {
        desired->pending = true;
        desired->remark = "the mirrors of its hostnames are being made";
    } else if (!desired->pending) {
        desired->remark = arena_printf(arena, "hostname %s is not mirrored: %s", host->hostname, host->status.message);
    }
}

static void add_headless_slices(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                                struct desired *desired)
{
    char canonical[TEXT_IP_BYTES];
    bool v4 = false, v6 = false;
    for (const struct claim *host = claim->service->hosts; host != NULL; host = host->next_host) {
        enum ip_family family = text_parse_ip(host_address(mirror, host), canonical);
        v4 = v4 || family == IP_V4;
        v6 = v6 || family == IP_V6;
        if (family == IP_NONE && desired_host_held_up(host) == NULL)
            judge_missing_host(arena, host, desired);
    }
    if (mirror->world->config.write_endpoints) {
        add_headless_slice(arena, mirror, claim, IP_NONE, desired);
        return;
    }
    if (v4 || !v6)
        add_headless_slice(arena, mirror, claim, IP_V4, desired);
    if (v6)
        add_headless_slice(arena, mirror, claim, IP_V6, desired);
}

void desired_slices(struct arena *arena, const struct mirror *mirror, const struct claim *claim, enum mode mode,
                    struct desired *desired)
{
    if (mode == MODE_HEADLESS) {
        add_headless_slices(arena, mirror, claim, desired);
        return;
    }
    if (mirror->world->config.write_endpoints) {
        add_slice(arena, mirror, claim, IP_NONE, desired);
        return;
    }
    /* While the gateway is unusable its addresses do not count, or the slices would depend on what was looked up before. */
    bool usable = claim->gateway->spec.problem[0] == '\0';
    bool v6 = usable && has_family(claim->gateway, IP_V6);
    if (!v6 || has_family(claim->gateway, IP_V4))
        add_slice(arena, mirror, claim, IP_V4, desired);
    if (v6)
        add_slice(arena, mirror, claim, IP_V6, desired);
}
