/* The Service of a mirror: labels, annotations and ports. The rules are in docs/mirrors.md. */
#include <stdio.h>
#include <string.h>

#include "mirror/desired_internal.h"
#include "mirror/metadata.h"
#include "mirror/names.h"

static const char *cluster_of(const struct claim *claim) { return claim->link->declaration->cluster_name; }

static bool from_secret(const struct claim *claim) { return claim->link->declaration->kind == LINK_SECRET; }

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
    if (mode == MODE_DISCOVERY || mode == MODE_DISCOVERY_PODS) {
        kv_builder_set(&labels, L5D_REMOTE_DISCOVERY, cluster_of(claim));
        kv_builder_set(&labels, L5D_REMOTE_SERVICE, claim->service->service->meta.name);
    }
    kv_builder_set(&labels, L5D_MIRRORED_SERVICE, "true");
    kv_builder_set(&labels, L5D_CLUSTER_NAME, cluster_of(claim));
    return kv_builder_finish(&labels);
}

static struct kv_list gateway_annotations(struct arena *arena, const struct claim *claim)
{
    struct kv_builder annotations;
    kv_builder_init(&annotations, arena);
    const struct gateway_spec *gateway = &claim->gateway->spec;
    if (from_secret(claim)) {
        kv_builder_set(&annotations, L5D_REMOTE_GATEWAY_RESOURCE_VERSION, gateway->resource_version);
        gateway_note(arena, &annotations, gateway);
    }
    if (from_secret(claim) || claim->link->declaration->gateway_service != NULL) {
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
    if (mode == MODE_HOST) /* of the rest a hostname's mirror has nothing, but its ports are no less opaque */
        kv_builder_set(&annotations, L5D_OPAQUE_PORTS,
                       kv_get(&claim->service->service->meta.annotations, L5D_OPAQUE_PORTS));
    if (target_is_by_export(claim))
        kv_builder_set(&annotations, MADE_BY_EXPORT, "true");
    kv_builder_set(&annotations, L5D_REMOTE_RESOURCE_VERSION, claim->service->service->meta.resource_version);
    kv_builder_set(&annotations, L5D_REMOTE_SVC_FQ_NAME, desired_fq_name(arena, claim));
    if (from_secret(claim) && gateway->exists && gateway->port != 0)
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

static bool list_names_port(const char *list, const struct service_port *port)
{
    size_t length = 0;
    for (const char *word = text_next_word(&list, &length); word != NULL; word = text_next_word(&list, &length))
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
    for (const char *word = text_next_word(&list, &length); word != NULL; word = text_next_word(&list, &length)) {
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

/* 2.8 did not carry it along. */
static bool has_affinity(const struct claim *claim, enum mode mode, bool headless)
{
    return (mode == MODE_GATEWAY || mode == MODE_PODS || mode == MODE_DISCOVERY_PODS) && !headless &&
           !from_secret(claim);
}

struct service desired_service(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                               enum mode mode)
{
    char namespace[OBJECT_KEY_BYTES];
    const char *name = object_key_split(mirror->key, namespace);
    bool headless = mode == MODE_HEADLESS || (mode == MODE_PODS && target_may_be_headless(claim->link, claim->service));
    struct service service = {
        .meta = {.namespace = arena_strdup(arena, namespace),
                 .name = name,
                 .uid = "",
                 .resource_version = "",
                 .owner_uid = "",
                 .labels = service_labels(arena, claim, mode),
                 .annotations = service_annotations(arena, claim, mode)},
        .type = SERVICE_CLUSTER_IP,
        .headless = headless,
        .cluster_ip = headless ? "None" : "",
        .affinity_s = has_affinity(claim, mode, headless) ? claim->service->service->affinity_s : 0,
    };
    if (mode == MODE_OF_THE_GATEWAY)
        probe_port(arena, claim, &service);
    else
        service.ports = desired_ports(arena, claim->service->service, &service.port_count);
    return service;
}
