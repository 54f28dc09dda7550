#include "mirror/compare.h"

#include <string.h>

/* What selects pods, or leads traffic past the slices, has no place on a mirror. */
static bool is_diverted(const struct service *there)
{
    return there->type != SERVICE_CLUSTER_IP || there->has_selector || there->external_ip_count > 0 ||
           there->is_node_local || there->publishes_unready;
}

bool compare_service_right(const struct service *there, const struct service *wanted)
{
    return !is_diverted(there) && there->headless == wanted->headless && there->affinity_s == wanted->affinity_s &&
           kv_equal(&there->meta.labels, &wanted->meta.labels) &&
           kv_equal(&there->meta.annotations, &wanted->meta.annotations) && service_ports_equal(there, wanted);
}

bool compare_import_right(const struct service *there, const struct service *wanted)
{
    return there->headless == wanted->headless && there->affinity_s == wanted->affinity_s &&
           strcmp(there->cluster_ip, wanted->cluster_ip) == 0 && kv_equal(&there->meta.labels, &wanted->meta.labels) &&
           kv_equal(&there->meta.annotations, &wanted->meta.annotations) && service_ports_equal(there, wanted);
}

bool compare_slice_ports_equal(const struct slice *a, const struct slice *b)
{
    if (a->port_count != b->port_count)
        return false;
    for (uint32_t i = 0; i < a->port_count; i++) {
        const struct slice_port *x = &a->ports[i], *y = &b->ports[i];
        if (x->port != y->port || x->protocol != y->protocol || x->subset != y->subset ||
            strcmp(x->name, y->name) != 0 || strcmp(x->app_protocol, y->app_protocol) != 0)
            return false;
    }
    return true;
}

static bool conditions_equal(const struct slice_endpoint *a, const struct slice_endpoint *b)
{
    return a->ready == b->ready && a->serving == b->serving && a->terminating == b->terminating;
}

static bool endpoints_equal(const struct slice *a, const struct slice *b)
{
    if (a->endpoint_count != b->endpoint_count)
        return false;
    for (uint32_t i = 0; i < a->endpoint_count; i++) {
        const struct slice_endpoint *x = &a->endpoints[i], *y = &b->endpoints[i];
        if (!conditions_equal(x, y) || x->subset != y->subset || strcmp(x->address, y->address) != 0 ||
            strcmp(x->hostname, y->hostname) != 0 || strcmp(x->zone, y->zone) != 0)
            return false;
    }
    return true;
}

bool compare_slice_content_equal(const struct slice *a, const struct slice *b)
{
    return a->address_type == b->address_type && compare_slice_ports_equal(a, b) && endpoints_equal(a, b);
}

bool compare_slice_right(const struct slice *there, const struct slice *wanted)
{
    return !there->irregular && kv_equal(&there->meta.labels, &wanted->meta.labels) &&
           kv_equal(&there->meta.annotations, &wanted->meta.annotations) &&
           strcmp(there->meta.owner_uid, wanted->meta.owner_uid) == 0 && compare_slice_content_equal(there, wanted);
}

/* ---- telling writes apart ---- */

static const uint64_t FNV_SEED = 14695981039346656037ULL;

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * 1099511628211ULL; /* FNV-1a */
    return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text) { return hash_bytes(hash, text, strlen(text) + 1); }

uint64_t compare_text_digest(const char *text) { return hash_text(FNV_SEED, text); }

static uint64_t hash_number(uint64_t hash, uint64_t number) { return hash_bytes(hash, &number, sizeof(number)); }

static uint64_t hash_meta(uint64_t hash, const struct object_meta *meta)
{
    const struct kv_list *const lists[] = {&meta->labels, &meta->annotations};
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; i < lists[l]->count; i++)
            hash = hash_text(hash_text(hash, lists[l]->items[i].key), lists[l]->items[i].value);
        hash = hash_number(hash, lists[l]->count);
    }
    return hash_text(hash, meta->owner_uid);
}

static uint64_t hash_service(uint64_t hash, const struct service *service)
{
    hash = hash_meta(hash, &service->meta);
    hash = hash_number(hash, (uint64_t)service->affinity_s << 1 | is_diverted(service));
    for (uint32_t i = 0; i < service->port_count; i++) {
        const struct service_port *port = &service->ports[i];
        hash = hash_number(hash_text(hash, port->name), (uint64_t)port->port << 2 | port->protocol);
        hash = hash_text(hash_text(hash, port->target_port), port->app_protocol);
    }
    if (service->is_import)
        hash = hash_number(hash_text(hash_text(hash, service->cluster_ip), service->clusters), service->headless);
    return hash_number(hash, service->port_count);
}

static uint64_t hash_slice(uint64_t hash, const struct slice *slice)
{
    hash = hash_meta(hash, &slice->meta);
    for (uint32_t i = 0; i < slice->port_count; i++)
        hash = hash_number(hash_text(hash, slice->ports[i].name), slice->ports[i].port);
    for (uint32_t i = 0; i < slice->endpoint_count; i++) {
        const struct slice_endpoint *endpoint = &slice->endpoints[i];
        unsigned conditions = endpoint->ready | (unsigned)endpoint->serving << 1 | (unsigned)endpoint->terminating << 2;
        hash = hash_number(hash_text(hash_text(hash, endpoint->address), endpoint->zone), conditions);
    }
    return hash_number(hash, slice->endpoint_count);
}

uint32_t write_object(const struct write *write)
{
    return (uint32_t)hash_number(hash_text(FNV_SEED, write->name), write->kind);
}

uint64_t write_fingerprint(const struct write *write)
{
    uint64_t hash = FNV_SEED;
    bool of_service = write->kind == WRITE_SERVICE || write->kind == WRITE_IMPORT || write->kind == WRITE_IMPORT_STATUS;
    if (of_service)
        hash = hash_service(hash_service(hash, write->old_service), write->service);
    else if (write->verb == WRITE_UPDATE && write->kind != WRITE_NAMESPACE)
        hash = hash_slice(hash_slice(hash, write->old_slice), write->slice);
    else if (write->kind == WRITE_ENDPOINTS && write->old_slice != NULL)
        hash = hash_slice(hash, write->old_slice);
    return hash != 0 ? hash : 1;
}
