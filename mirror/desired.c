#include "mirror/desired.h"

#include <stdio.h>
#include <string.h>

#include "mirror/metadata.h"
#include "mirror/names.h"
#include "mirror/plan.h"

static const char *cluster_of(const struct claim *claim) { return claim->link->declaration->cluster_name; }

static bool from_secret(const struct claim *claim) { return claim->link->declaration->kind == LINK_SECRET; }

/* ---- what kind of mirror ---- */

enum mode {
    MODE_GATEWAY,        /* endpoints are the gateway's addresses */
    MODE_HEADLESS,       /* endpoints are the mirrors of its hostnames */
    MODE_HOST,           /* the mirror of one hostname, through the gateway */
    MODE_DISCOVERY,      /* no endpoints: resolved in the target */
    MODE_OF_THE_GATEWAY, /* the gateway's own mirror */
};

static bool is_headless_now(const struct mirror *mirror)
{
    return mirror->service != NULL && mirror->service->headless;
}

/* A mirror that is headless stays so while the exported service is: a StatefulSet may be scaled to zero and back. */
static enum mode mode_of(const struct mirror *mirror, const struct claim *claim)
{
    if (claim->kind == CLAIM_GATEWAY)
        return MODE_OF_THE_GATEWAY;
    if (claim->kind == CLAIM_HOST)
        return MODE_HOST;
    if (claim_is_discovery(claim))
        return MODE_DISCOVERY;
    bool headless =
        target_is_headless(claim->link, claim->service) && (claim->service->hosts != NULL || is_headless_now(mirror));
    return headless ? MODE_HEADLESS : MODE_GATEWAY;
}

const char *plan_mode_name(const struct claim *claim)
{
    static const char *const names[] = {[MODE_GATEWAY] = "gateway",
                                        [MODE_HEADLESS] = "headless",
                                        [MODE_HOST] = "hostname",
                                        [MODE_DISCOVERY] = "remote-discovery",
                                        [MODE_OF_THE_GATEWAY] = "gateway-mirror"};
    return claim->kind == CLAIM_FEDERATED ? "federated" : names[mode_of(claim->mirror, claim)];
}

/* ---- the Service ---- */

static struct kv_list service_labels(struct arena *arena, const struct claim *claim, enum mode mode)
{
    struct kv_builder labels;
    kv_builder_init(&labels, arena);
    if (mode == MODE_OF_THE_GATEWAY) {
        kv_builder_set(&labels, L5D_MIRRORED_GATEWAY, "true");
    } else if (from_secret(claim)) {
        kv_builder_set(&labels, L5D_REMOTE_GATEWAY_NAME, claim->gateway->spec.name);
        kv_builder_set(&labels, L5D_REMOTE_GATEWAY_NS, claim->gateway->spec.namespace);
    } else if (mode == MODE_HOST) {
        char namespace[OBJECT_KEY_BYTES];
        const char *headless = object_key_split(claim->service->claim->mirror->key, namespace);
        kv_builder_set(&labels, L5D_HEADLESS_MIRROR, headless);
    } else {
        metadata_copy_labels(&labels, &claim->service->service->meta.labels, claim->link->declaration);
    }
    if (mode == MODE_DISCOVERY) {
        kv_builder_set(&labels, L5D_REMOTE_DISCOVERY, cluster_of(claim));
        kv_builder_set(&labels, L5D_REMOTE_SERVICE, claim->service->service->meta.name);
    }
    kv_builder_set(&labels, L5D_MIRRORED_SERVICE, "true");
    kv_builder_set(&labels, L5D_CLUSTER_NAME, cluster_of(claim));
    return kv_builder_finish(&labels);
}

static const char *fq_name(struct arena *arena, const struct claim *claim)
{
    const struct object_meta *meta = &claim->service->service->meta;
    const char *domain = claim->link->declaration->cluster_domain;
    if (claim->kind == CLAIM_HOST)
        return arena_printf(arena, "%s.%s.%s.svc.%s", claim->hostname, meta->name, meta->namespace, domain);
    return arena_printf(arena, "%s.%s.svc.%s", meta->name, meta->namespace, domain);
}

static struct kv_list gateway_annotations(struct arena *arena, const struct claim *claim)
{
    struct kv_builder annotations;
    kv_builder_init(&annotations, arena);
    const struct gateway_spec *gateway = &claim->gateway->spec;
    if (from_secret(claim)) {
        kv_builder_set(&annotations, L5D_REMOTE_GATEWAY_RESOURCE_VERSION, gateway->resource_version);
        kv_builder_set(&annotations, L5D_MIRRORED_GATEWAY_REMOTE_NAME, gateway->name);
        kv_builder_set(&annotations, L5D_MIRRORED_GATEWAY_REMOTE_NAMESPACE, gateway->namespace);
    }
    kv_builder_set(&annotations, L5D_MIRRORED_GATEWAY_PROBE_PATH, gateway->probe.path);
    kv_builder_set(&annotations, L5D_MIRRORED_GATEWAY_PROBE_PERIOD, gateway->probe_period_text);
    return kv_builder_finish(&annotations);
}

static struct kv_list service_annotations(struct arena *arena, const struct claim *claim, enum mode mode)
{
    struct kv_builder annotations;
    if (mode == MODE_OF_THE_GATEWAY)
        return gateway_annotations(arena, claim);
    kv_builder_init(&annotations, arena);
    const struct gateway_spec *gateway = &claim->gateway->spec;
    if (!from_secret(claim) && mode != MODE_HOST)
        metadata_copy_annotations(&annotations, &claim->service->service->meta.annotations, claim->link->declaration);
    kv_builder_set(&annotations, L5D_REMOTE_RESOURCE_VERSION, claim->service->service->meta.resource_version);
    kv_builder_set(&annotations, L5D_REMOTE_SVC_FQ_NAME, fq_name(arena, claim));
    if (from_secret(claim) && gateway->exists)
        kv_builder_set(&annotations, L5D_REMOTE_GATEWAY_RESOURCE_VERSION, gateway->resource_version);
    return kv_builder_finish(&annotations);
}

/* "http, 443": whether the word at the list's beginning names the port. */
static bool word_names_port(const char *word, size_t length, const struct service_port *port)
{
    char number[8];
    (void)snprintf(number, sizeof(number), "%u", port->port);
    return (strlen(port->name) == length && strncmp(word, port->name, length) == 0) ||
           (strlen(number) == length && strncmp(word, number, length) == 0);
}

/* @return the next word of a list and moves behind it; NULL at its end. */
static const char *next_word(const char **at, size_t *ret_length)
{
    const char *word = *at + strspn(*at, ", \t");
    *ret_length = strcspn(word, ", \t");
    *at = word + *ret_length;
    return *ret_length > 0 ? word : NULL;
}

static bool list_names_port(const char *list, const struct service_port *port)
{
    size_t length = 0;
    for (const char *word = next_word(&list, &length); word != NULL; word = next_word(&list, &length))
        if (word_names_port(word, length, port))
            return true;
    return false;
}

const char *desired_unknown_port(struct arena *arena, const struct service *exported)
{
    const char *list = kv_get(&exported->meta.annotations, EXPORT_PORTS);
    size_t length = 0;
    if (list == NULL)
        return NULL;
    for (const char *word = next_word(&list, &length); word != NULL; word = next_word(&list, &length)) {
        bool known = false;
        for (uint32_t i = 0; i < exported->port_count; i++)
            known = known || word_names_port(word, length, &exported->ports[i]);
        if (!known)
            return arena_printf(arena, "%.*s", (int)length, word);
    }
    return NULL;
}

const struct service_port *desired_ports(struct arena *arena, const struct service *exported, uint32_t *ret_count)
{
    const char *list = kv_get(&exported->meta.annotations, EXPORT_PORTS);
    struct service_port *ports = arena_array(arena, exported->port_count, sizeof(*ports));
    uint32_t count = 0;
    for (uint32_t i = 0; ports != NULL && i < exported->port_count; i++) {
        if (list != NULL && !list_names_port(list, &exported->ports[i]))
            continue;
        ports[count] = exported->ports[i];
        ports[count++].node_port = 0;
    }
    *ret_count = count;
    return ports;
}

static void probe_port(struct arena *arena, const struct claim *claim, struct service *service)
{
    struct service_port *port = ARENA_NEW(arena, struct service_port);
    uint16_t number = claim->gateway->spec.probe.port;
    if (port == NULL)
        return;
    *port = (struct service_port){.name = L5D_PROBE_PORT_NAME,
                                  .protocol = PROTOCOL_TCP,
                                  .port = number,
                                  .target_port = arena_printf(arena, "%u", number),
                                  .app_protocol = ""};
    service->ports = port;
    service->port_count = 1;
}

static struct service build_service(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                                    enum mode mode)
{
    char namespace[OBJECT_KEY_BYTES];
    const char *name = object_key_split(mirror->key, namespace);
    struct service service = {
        .meta = {.namespace = arena_strdup(arena, namespace),
                 .name = name,
                 .uid = "",
                 .resource_version = "",
                 .owner_uid = "",
                 .labels = service_labels(arena, claim, mode),
                 .annotations = service_annotations(arena, claim, mode)},
        .type = SERVICE_CLUSTER_IP,
        .headless = mode == MODE_HEADLESS,
        .cluster_ip = mode == MODE_HEADLESS ? "None" : "",
        /* 2.8 did not carry it along. */
        .affinity_s = mode == MODE_GATEWAY && !from_secret(claim) ? claim->service->service->affinity_s : 0,
    };
    if (mode == MODE_OF_THE_GATEWAY)
        probe_port(arena, claim, &service);
    else
        service.ports = desired_ports(arena, claim->service->service, &service.port_count);
    return service;
}

/* ---- what its endpoints should be ---- */

/* The target's slices could be read once and cannot be read now: what they said of a service stands, and of a service that came later they
 * never said anything. */
static bool are_endpoints_untold(const struct claim *claim)
{
    return claim->link->stale[WORLD_TARGET_SLICES] && claim->service->endpoints_untold;
}

static enum desired_endpoints judge_target(const struct claim *claim, enum mode mode, struct desired *desired)
{
    /* 2.8 never looked at the target's endpoints, and its credentials may not read them. */
    if (mode == MODE_OF_THE_GATEWAY || from_secret(claim))
        return ENDPOINTS_FULL;
    enum world_knowledge knowledge = claim->link->knowledge[WORLD_TARGET_SLICES];
    if (knowledge == WORLD_UNKNOWN) {
        desired->pending = true;
        desired->remark = "the target's endpoints are not listed yet";
        return ENDPOINTS_KEEP;
    }
    if (mode == MODE_HEADLESS && knowledge == WORLD_UNAVAILABLE) {
        desired->remark = "the target's endpoints may not be read: the mirror's stay as they are";
        return ENDPOINTS_KEEP;
    }
    /* The hostnames are known by themselves, and each has its own readiness. */
    if (mode == MODE_HOST || mode == MODE_HEADLESS || knowledge == WORLD_UNAVAILABLE || are_endpoints_untold(claim))
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

static bool is_draining(const struct claim *claim)
{
    return claim->kind != CLAIM_GATEWAY && (claim->link->declaration->drain || claim->gateway->spec.drain);
}

static void judge_endpoints(struct arena *arena, const struct claim *claim, enum mode mode, struct desired *desired)
{
    const struct world_gateway *gateway = claim->gateway;
    desired->remark = "";
    if (mode == MODE_DISCOVERY) {
        desired->endpoints = ENDPOINTS_NONE;
    } else if (gateway->spec.problem[0] != '\0') {
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
        if (is_draining(claim))
            desired->remark = "draining: annotation " LINK_DRAIN " is set";
        desired->endpoints = judge_target(claim, mode, desired);
    }
}

/* Before the target's slices are listed nobody knows whether a headless service has hostnames. */
static void judge_headless(const struct mirror *mirror, const struct claim *claim, struct desired *desired)
{
    if (claim->kind != CLAIM_SERVICE || !target_is_headless(claim->link, claim->service) ||
        claim->link->knowledge[WORLD_TARGET_SLICES] != WORLD_UNKNOWN)
        return;
    desired->undecided = true;
    desired->pending = true;
    desired->remark = "the target's endpoints are not listed yet";
    desired->endpoints = ENDPOINTS_KEEP;
    desired->service.headless = is_headless_now(mirror);
}

/* ---- the slices ---- */

static struct kv_list slice_labels(struct arena *arena, const struct service *service, bool is_endpoints)
{
    struct kv_builder labels;
    kv_builder_init(&labels, arena);
    for (size_t i = 0; i < service->meta.labels.count; i++)
        kv_builder_set(&labels, service->meta.labels.items[i].key, service->meta.labels.items[i].value);
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
    if (is_draining(claim) || (claim->kind == CLAIM_HOST && !claim->host_ready))
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

/* IP_NONE stands for Endpoints, which hold both families. */
static const char *slice_name(struct arena *arena, const char *service_name, enum ip_family family)
{
    if (family == IP_NONE)
        return service_name;
    return arena_printf(arena, "%s%s", service_name, family == IP_V4 ? SLICE_SUFFIX_V4 : SLICE_SUFFIX_V6);
}

static struct slice *new_slice(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                               enum ip_family family, struct desired *desired)
{
    struct slice *slice = &desired->slices[desired->slice_count++];
    const struct service *service = &desired->service;
    bool is_endpoints = family == IP_NONE;
    *slice = (struct slice){
        .is_endpoints = is_endpoints,
        .meta = {.namespace = service->meta.namespace,
                 .name = slice_name(arena, service->meta.name, family),
                 .uid = "",
                 .resource_version = "",
                 .owner_uid = mirror->service != NULL ? mirror->service->meta.uid : "",
                 .labels = slice_labels(arena, service, is_endpoints),
                 .annotations = slice_annotations(arena, claim)},
        .service_name = service->meta.name,
        .managed_by = SLICE_MANAGED_BY,
        .address_type = family == IP_V6 ? ADDRESS_IPV6 : ADDRESS_IPV4,
    };
    return slice;
}

/* Endpoints tell the ready addresses first, and no ports without an address. */
static void settle_endpoints(struct arena *arena, struct slice *slice)
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
    slice_ports(arena, claim, &desired->service, slice);
    if (desired->endpoints == ENDPOINTS_FULL)
        slice_endpoints(arena, mirror, claim, family, slice);
    settle_endpoints(arena, slice);
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
    if (is_draining(claim) || !host->host_ready)
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
        ports[i] = (struct slice_port){service->ports[i].name, service->ports[i].protocol, service->ports[i].port,
                                       service->ports[i].app_protocol};
    slice->ports = ports;
    slice->port_count = service->port_count;
}

static void add_headless_slice(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                               enum ip_family family, struct desired *desired)
{
    struct slice *slice = new_slice(arena, mirror, claim, family, desired);
    headless_ports(arena, &desired->service, slice);
    if (desired->endpoints == ENDPOINTS_FULL)
        headless_endpoints(arena, mirror, claim, family, slice);
    settle_endpoints(arena, slice);
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
        if (family == IP_NONE)
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

void desired_build(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                   struct desired *ret_desired)
{
    enum mode mode = mode_of(mirror, claim);
    *ret_desired = (struct desired){.service = build_service(arena, mirror, claim, mode)};
    judge_endpoints(arena, claim, mode, ret_desired);
    judge_headless(mirror, claim, ret_desired);
    if (ret_desired->endpoints == ENDPOINTS_KEEP || ret_desired->endpoints == ENDPOINTS_NONE)
        return;
    if (mode == MODE_HEADLESS) {
        add_headless_slices(arena, mirror, claim, ret_desired);
        return;
    }
    if (mirror->world->config.write_endpoints) {
        add_slice(arena, mirror, claim, IP_NONE, ret_desired);
        return;
    }
    /* While the gateway is unusable its addresses do not count, or the slices would depend on what was looked up before. */
    bool usable = claim->gateway->spec.problem[0] == '\0';
    bool v6 = usable && has_family(claim->gateway, IP_V6);
    if (!v6 || has_family(claim->gateway, IP_V4))
        add_slice(arena, mirror, claim, IP_V4, ret_desired);
    if (v6)
        add_slice(arena, mirror, claim, IP_V6, ret_desired);
}
