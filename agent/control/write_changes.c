#include "agent/control/write_changes.h"

#include <string.h>

enum { MAX_TOLD = 6 };

/* A list of changes under way. */
struct telling {
    struct strbuf *text;
    unsigned count;
};

/* @return whether this one is still told: then its words follow. */
static bool begin(struct telling *telling)
{
    bool told = telling->count++ < MAX_TOLD;
    if (told && telling->count > 1)
        strbuf_append(telling->text, "; ");
    return told;
}

static void tell(struct telling *telling, const char *what)
{
    if (begin(telling))
        strbuf_append(telling->text, what);
}

static void end(const struct telling *telling)
{
    if (telling->count > MAX_TOLD)
        strbuf_printf(telling->text, "; and %u more", telling->count - MAX_TOLD);
}

/* ---- metadata ---- */

static void tell_entries(struct telling *telling, const char *what, const struct kv_list *old,
                         const struct kv_list *wanted)
{
    for (size_t i = 0; i < wanted->count; i++) {
        const char *key = wanted->items[i].key, *value = wanted->items[i].value, *before = kv_get(old, key);
        if (before == NULL && begin(telling))
            strbuf_printf(telling->text, "%s %s=\"%s\" is added", what, key, value);
        else if (before != NULL && strcmp(before, value) != 0 && begin(telling))
            strbuf_printf(telling->text, "%s %s \"%s\" -> \"%s\"", what, key, before, value);
    }
    for (size_t i = 0; i < old->count; i++)
        if (kv_get(wanted, old->items[i].key) == NULL && begin(telling))
            strbuf_printf(telling->text, "%s %s is removed", what, old->items[i].key);
}

static void tell_meta(struct telling *telling, const struct object_meta *old, const struct object_meta *wanted)
{
    tell_entries(telling, "label", &old->labels, &wanted->labels);
    tell_entries(telling, "annotation", &old->annotations, &wanted->annotations);
}

/* ---- Services ---- */

static void append_ports(struct strbuf *text, const struct service *service)
{
    for (uint32_t i = 0; i < service->port_count; i++)
        strbuf_printf(text, "%s%u/%s", i > 0 ? "," : "", service->ports[i].port,
                      protocol_name(service->ports[i].protocol));
    strbuf_append(text, service->port_count == 0 ? "none" : "");
}

/* What Services and ServiceImports both have. */
static void tell_common(struct telling *telling, const struct service *old, const struct service *wanted)
{
    tell_meta(telling, &old->meta, &wanted->meta);
    if (!service_ports_equal(old, wanted) && begin(telling)) {
        strbuf_append(telling->text, "ports ");
        append_ports(telling->text, old);
        strbuf_append(telling->text, " -> ");
        append_ports(telling->text, wanted);
    }
    if (old->affinity_s != wanted->affinity_s && begin(telling))
        strbuf_printf(telling->text, "session affinity %u s -> %u s", old->affinity_s, wanted->affinity_s);
}

static void tell_service(struct telling *telling, const struct service *old, const struct service *wanted)
{
    tell_common(telling, old, wanted);
    if (old->type != SERVICE_CLUSTER_IP)
        tell(telling, "type becomes ClusterIP");
    if (old->has_selector)
        tell(telling, "selector is removed");
    if (old->external_ip_count > 0)
        tell(telling, "externalIPs are removed");
}

/* ---- ServiceImports ---- */

static const char *or_none(const char *text) { return text[0] != '\0' ? text : "none"; }

static void tell_import(struct telling *telling, const struct service *old, const struct service *wanted)
{
    if (old->headless != wanted->headless)
        tell(telling, wanted->headless ? "type becomes Headless" : "type becomes ClusterSetIP");
    if (strcmp(old->cluster_ip, wanted->cluster_ip) != 0 && begin(telling))
        strbuf_printf(telling->text, "ips %s -> %s", or_none(old->cluster_ip), or_none(wanted->cluster_ip));
    tell_common(telling, old, wanted);
}

/* ---- slices ---- */

static const struct slice_endpoint *find_endpoint(const struct slice *slice, const struct slice_endpoint *like)
{
    for (uint32_t i = 0; i < slice->endpoint_count; i++)
        if (strcmp(slice->endpoints[i].address, like->address) == 0 &&
            strcmp(slice->endpoints[i].hostname, like->hostname) == 0)
            return &slice->endpoints[i];
    return NULL;
}

static const char *state_of(const struct slice_endpoint *endpoint)
{
    if (endpoint->ready)
        return endpoint->terminating ? "ready and terminating" : "ready";
    if (endpoint->serving)
        return endpoint->terminating ? "terminating, and serves still" : "not ready, and serves";
    return endpoint->terminating ? "terminating" : "not ready";
}

static void tell_endpoints(struct telling *telling, const struct slice *old, const struct slice *wanted)
{
    for (uint32_t i = 0; i < wanted->endpoint_count; i++) {
        const struct slice_endpoint *endpoint = &wanted->endpoints[i], *before = find_endpoint(old, endpoint);
        const char *state = state_of(endpoint);
        if (before == NULL && begin(telling))
            strbuf_printf(telling->text, "endpoint %s is added, %s", endpoint->address, state);
        else if (before != NULL && strcmp(state_of(before), state) != 0 && begin(telling))
            strbuf_printf(telling->text, "endpoint %s becomes %s", endpoint->address, state);
        else if (before != NULL && strcmp(before->zone, endpoint->zone) != 0 && begin(telling))
            strbuf_printf(telling->text, "endpoint %s is in zone %s", endpoint->address,
                          endpoint->zone[0] != '\0' ? endpoint->zone : "(none)");
    }
    for (uint32_t i = 0; i < old->endpoint_count; i++)
        if (find_endpoint(wanted, &old->endpoints[i]) == NULL && begin(telling))
            strbuf_printf(telling->text, "endpoint %s is removed", old->endpoints[i].address);
}

static bool has_same_slice_ports(const struct slice *a, const struct slice *b)
{
    if (a->port_count != b->port_count)
        return false;
    for (uint32_t i = 0; i < a->port_count; i++)
        if (a->ports[i].port != b->ports[i].port || a->ports[i].protocol != b->ports[i].protocol ||
            strcmp(a->ports[i].name, b->ports[i].name) != 0 ||
            strcmp(a->ports[i].app_protocol, b->ports[i].app_protocol) != 0)
            return false;
    return true;
}

static void tell_slice(struct telling *telling, const struct slice *old, const struct slice *wanted)
{
    tell_endpoints(telling, old, wanted);
    if (!has_same_slice_ports(old, wanted))
        tell(telling, "ports change");
    if (strcmp(old->meta.owner_uid, wanted->meta.owner_uid) != 0)
        tell(telling, "its owner becomes the mirror Service");
    tell_meta(telling, &old->meta, &wanted->meta);
}

void write_changes(const struct write *write, struct strbuf *text)
{
    struct telling telling = {.text = text};
    if (write->verb != WRITE_UPDATE)
        return;
    size_t before = text->length;
    if (write->kind == WRITE_SERVICE)
        tell_service(&telling, write->old_service, write->service);
    else if (write->kind == WRITE_IMPORT)
        tell_import(&telling, write->old_service, write->service);
    else if (write->kind == WRITE_IMPORT_STATUS && begin(&telling))
        strbuf_printf(text, "clusters %s -> %s", or_none(write->old_service->clusters),
                      or_none(write->service->clusters));
    else if (write->kind == WRITE_SLICE || write->kind == WRITE_ENDPOINTS)
        tell_slice(&telling, write->old_slice, write->slice);
    end(&telling);
    if (telling.count == 0 && text->length == before && write->old_slice != NULL)
        strbuf_append(text,
                      write->old_slice->irregular ? "its subsets become one" : "the order of its endpoints changes");
}
