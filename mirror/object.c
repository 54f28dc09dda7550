#include "mirror/object.h"

#include <string.h>

#include "base/mem.h"
#include "mirror/known.h"
#include "mirror/names.h"

/* Copying into one block takes two passes over the same code: the first, without memory, only adds up sizes; the second copies. */
struct packer {
    char *block; /* NULL in the first pass */
    size_t used_bytes;
};

static void *pack(struct packer *packer, const void *source, size_t bytes, size_t alignment)
{
    if (bytes == 0)
        return NULL;
    packer->used_bytes = (packer->used_bytes + alignment - 1) & ~(alignment - 1);
    void *place = NULL;
    if (packer->block != NULL) {
        place = packer->block + packer->used_bytes;
        memcpy(place, source, bytes);
    }
    packer->used_bytes += bytes;
    return place;
}

static const char *pack_text(struct packer *packer, const char *text)
{
    /* The many absent texts of an object cost nothing: they share one constant. */
    if (text == NULL || text[0] == '\0')
        return "";
    return pack(packer, text, strlen(text) + 1, 1);
}

/* Of a label or an annotation: the same few are in very many objects. */
static const char *pack_common_text(struct packer *packer, const char *text)
{
    const char *known = known_text(text);
    return known != NULL ? known : pack_text(packer, text);
}

static void pack_kv(struct packer *packer, const struct kv_list *source, struct kv_list *copy)
{
    struct kv *items = pack(packer, source->items, source->count * sizeof(*source->items), _Alignof(struct kv));
    for (size_t i = 0; i < source->count; i++) {
        const char *key = pack_common_text(packer, source->items[i].key);
        const char *value = pack_common_text(packer, source->items[i].value);
        if (items != NULL)
            items[i] = (struct kv){key, value};
    }
    copy->items = items;
    copy->count = source->count;
}

static void pack_meta(struct packer *packer, const struct object_meta *source, struct object_meta *copy)
{
    *copy = *source;
    copy->namespace = pack_text(packer, source->namespace);
    copy->name = pack_text(packer, source->name);
    copy->uid = pack_text(packer, source->uid);
    copy->resource_version = pack_text(packer, source->resource_version);
    copy->owner_uid = pack_text(packer, source->owner_uid);
    pack_kv(packer, &source->labels, &copy->labels);
    pack_kv(packer, &source->annotations, &copy->annotations);
}

static const struct service_port *pack_service_ports(struct packer *packer, const struct service *source)
{
    struct service_port *ports =
        pack(packer, source->ports, source->port_count * sizeof(*source->ports), _Alignof(struct service_port));
    for (uint32_t i = 0; i < source->port_count; i++) {
        struct service_port port = source->ports[i];
        port.name = pack_text(packer, port.name);
        port.target_port = pack_text(packer, port.target_port);
        port.app_protocol = pack_text(packer, port.app_protocol);
        if (ports != NULL)
            ports[i] = port;
    }
    return ports;
}

static const struct ingress *pack_ingress(struct packer *packer, const struct service *source)
{
    struct ingress *entries =
        pack(packer, source->ingress, source->ingress_count * sizeof(*source->ingress), _Alignof(struct ingress));
    for (uint32_t i = 0; i < source->ingress_count; i++) {
        struct ingress entry = {pack_text(packer, source->ingress[i].ip),
                                pack_text(packer, source->ingress[i].hostname)};
        if (entries != NULL)
            entries[i] = entry;
    }
    return entries;
}

static const char *const *pack_texts(struct packer *packer, const char *const *source, uint32_t count)
{
    const char **texts = pack(packer, source, count * sizeof(*source), _Alignof(const char *));
    for (uint32_t i = 0; i < count; i++) {
        const char *text = pack_text(packer, source[i]);
        if (texts != NULL)
            texts[i] = text;
    }
    return texts;
}

static struct service *pack_service(struct packer *packer, const struct service *source)
{
    struct service *place = pack(packer, source, sizeof(*source), _Alignof(struct service));
    struct service copy = *source;
    pack_meta(packer, &source->meta, &copy.meta);
    copy.cluster_ip = pack_text(packer, source->cluster_ip);
    copy.clusters = source->is_import ? pack_text(packer, source->clusters) : "";
    copy.ports = pack_service_ports(packer, source);
    copy.ingress = pack_ingress(packer, source);
    copy.external_ips = pack_texts(packer, source->external_ips, source->external_ip_count);
    if (place != NULL)
        *place = copy;
    return place;
}

static const struct slice_endpoint *pack_endpoints(struct packer *packer, const struct slice *source)
{
    struct slice_endpoint *endpoints =
        pack(packer, source->endpoints, source->endpoint_count * sizeof(*source->endpoints),
             _Alignof(struct slice_endpoint));
    for (uint32_t i = 0; i < source->endpoint_count; i++) {
        struct slice_endpoint endpoint = source->endpoints[i];
        endpoint.address = pack_text(packer, endpoint.address);
        endpoint.hostname = pack_text(packer, endpoint.hostname);
        endpoint.zone = pack_text(packer, endpoint.zone);
        if (endpoints != NULL)
            endpoints[i] = endpoint;
    }
    return endpoints;
}

static const struct slice_port *pack_slice_ports(struct packer *packer, const struct slice *source)
{
    struct slice_port *ports =
        pack(packer, source->ports, source->port_count * sizeof(*source->ports), _Alignof(struct slice_port));
    for (uint32_t i = 0; i < source->port_count; i++) {
        struct slice_port port = source->ports[i];
        port.name = pack_text(packer, port.name);
        port.app_protocol = pack_text(packer, port.app_protocol);
        if (ports != NULL)
            ports[i] = port;
    }
    return ports;
}

/* A text of an object that is one of its labels' values, as decoded: it is that of the copy, then. */
static const char *pack_label_value(struct packer *packer, const struct slice *source, const struct slice *copy,
                                    const char *label, const char *text)
{
    if (text == NULL || text != kv_get(&source->meta.labels, label))
        return pack_text(packer, text);
    return packer->block != NULL ? kv_get(&copy->meta.labels, label) : "";
}

static struct slice *pack_slice(struct packer *packer, const struct slice *source)
{
    struct slice *place = pack(packer, source, sizeof(*source), _Alignof(struct slice));
    struct slice copy = *source;
    pack_meta(packer, &source->meta, &copy.meta);
    copy.service_name = pack_label_value(packer, source, &copy, K8S_SERVICE_NAME, source->service_name);
    copy.managed_by = pack_label_value(packer, source, &copy, K8S_MANAGED_BY, source->managed_by);
    copy.endpoints = pack_endpoints(packer, source);
    copy.ports = pack_slice_ports(packer, source);
    if (place != NULL)
        *place = copy;
    return place;
}

size_t service_bytes(const struct service *service)
{
    struct packer packer = {0};
    (void)pack_service(&packer, service);
    return packer.used_bytes;
}

size_t slice_bytes(const struct slice *slice)
{
    struct packer packer = {0};
    (void)pack_slice(&packer, slice);
    return packer.used_bytes;
}

struct service *service_copy(const struct service *service)
{
    struct packer packer = {0};
    (void)pack_service(&packer, service);
    packer.block = mem_alloc(packer.used_bytes);
    if (packer.block == NULL)
        return NULL;
    packer.used_bytes = 0;
    return pack_service(&packer, service);
}

struct slice *slice_copy(const struct slice *slice)
{
    struct packer packer = {0};
    (void)pack_slice(&packer, slice);
    packer.block = mem_alloc(packer.used_bytes);
    if (packer.block == NULL)
        return NULL;
    packer.used_bytes = 0;
    return pack_slice(&packer, slice);
}

const char *protocol_name(enum protocol protocol)
{
    static const char *const names[] = {[PROTOCOL_TCP] = "TCP", [PROTOCOL_UDP] = "UDP", [PROTOCOL_SCTP] = "SCTP"};
    return names[protocol];
}

const char *address_type_name(enum address_type type)
{
    static const char *const names[] = {[ADDRESS_IPV4] = "IPv4", [ADDRESS_IPV6] = "IPv6", [ADDRESS_FQDN] = "FQDN"};
    return names[type];
}

bool service_ports_equal(const struct service *a, const struct service *b)
{
    if (a->port_count != b->port_count)
        return false;
    for (uint32_t i = 0; i < a->port_count; i++) {
        const struct service_port *x = &a->ports[i], *y = &b->ports[i];
        if (x->port != y->port || x->protocol != y->protocol || x->target_port_is_name != y->target_port_is_name ||
            strcmp(x->name, y->name) != 0 || strcmp(x->target_port, y->target_port) != 0 ||
            strcmp(x->app_protocol, y->app_protocol) != 0)
            return false;
    }
    return true;
}

const char *object_key(struct arena *arena, const char *namespace, const char *name)
{
    return arena_printf(arena, "%s/%s", namespace, name);
}

void object_key_format(char buffer[OBJECT_KEY_BYTES], const char *namespace, const char *name)
{
    size_t before = strnlen(namespace, OBJECT_KEY_BYTES - 2), room = OBJECT_KEY_BYTES - 2 - before;
    size_t after = strnlen(name, room);
    memcpy(buffer, namespace, before);
    buffer[before] = '/';
    memcpy(buffer + before + 1, name, after);
    buffer[before + 1 + after] = '\0';
}

const char *object_key_split(const char *key, char ret_namespace[OBJECT_KEY_BYTES])
{
    const char *slash = strchr(key, '/');
    if (slash == NULL) {
        ret_namespace[0] = '\0';
        return key;
    }
    size_t bytes = (size_t)(slash - key);
    if (bytes >= OBJECT_KEY_BYTES)
        bytes = OBJECT_KEY_BYTES - 1;
    memcpy(ret_namespace, key, bytes);
    ret_namespace[bytes] = '\0';
    return slash + 1;
}
