/* The slices of a mirror that has the target's own endpoints: of each slice in the target one here, so that a change of one pod rewrites one slice, and the
 * limits are those that the target keeps. The rules are in docs/mirrors.md. */
#include <stdlib.h>
#include <string.h>

#include "mirror/compare.h"
#include "mirror/desired_internal.h"
#include "mirror/names.h"

enum {
    MAX_ENDPOINTS = 1000, /* the API's limit of a slice; of Endpoints what Kubernetes' own controller keeps to */
    MAX_NAME_BYTES = 253, /* of a slice */
};

/* One planning of such slices. */
struct copier {
    struct arena *arena;
    const struct mirror *mirror;
    const struct claim *claim;
    struct desired *desired;
    const struct slice **wholes; /* the target's, in order of name */
    uint32_t count;
};

static int compare_names(const void *a, const void *b)
{
    const struct slice *const *x = a, *const *y = b;
    return strcmp((*x)->meta.name, (*y)->meta.name);
}

/* In order, so that plans do not depend on the order of events. */
static bool find_wholes(struct copier *copier)
{
    const struct endpoint_summary *summary = target_endpoints(copier->claim->link, copier->claim->key);
    if (summary == NULL)
        return true;
    copier->wholes = arena_array(copier->arena, summary->slices, sizeof(const struct slice *));
    if (copier->wholes == NULL)
        return false;
    for (const struct target_slice *slice = summary->first; slice != NULL; slice = slice->next)
        copier->wholes[copier->count++] = slice->whole;
    qsort(copier->wholes, copier->count, sizeof(const struct slice *), compare_names);
    return true;
}

/* ---- what a slice holds ---- */

static bool has_port(const struct service *service, const struct slice_port *port)
{
    for (uint32_t i = 0; i < service->port_count; i++)
        if (service->ports[i].protocol == port->protocol && strcmp(service->ports[i].name, port->name) == 0)
            return true;
    return false;
}

/* Ports of a slice are those of its Service by name: what the mirror's Service does not have does not come along. */
static void copy_ports(const struct copier *copier, const struct slice *whole, uint16_t subset, struct slice *slice)
{
    struct slice_port *ports = arena_array(copier->arena, whole->port_count, sizeof(*ports));
    for (uint32_t i = 0; ports != NULL && i < whole->port_count; i++) {
        if (whole->ports[i].subset != subset || !has_port(&copier->desired->service, &whole->ports[i]))
            continue;
        ports[slice->port_count] = whole->ports[i];
        ports[slice->port_count++].subset = 0;
    }
    slice->ports = ports;
}

/* Whether the target's slice has ports, and the mirror none of them. */
static bool is_without_ports(const struct slice *whole, const struct slice *slice)
{
    return whole->port_count > 0 && slice->port_count == 0;
}

static enum address_type type_of(const struct slice *whole, const struct slice_endpoint *endpoint)
{
    if (!whole->is_endpoints)
        return whole->address_type;
    return strchr(endpoint->address, ':') != NULL ? ADDRESS_IPV6 : ADDRESS_IPV4;
}

/* Serving and terminating endpoints count where none is ready: of a mirror that is drained there are none of either. */
static struct slice_endpoint copy_endpoint(const struct copier *copier, const struct slice_endpoint *endpoint)
{
    struct slice_endpoint copy = *endpoint;
    copy.subset = 0;
    if (copier->claim->link->declaration->drain)
        copy.ready = copy.serving = false;
    return copy;
}

static void copy_endpoints(const struct copier *copier, const struct slice *whole, uint16_t subset, struct slice *slice)
{
    if (!whole->is_endpoints && !copier->claim->link->declaration->drain) { /* as they are */
        slice->endpoints = whole->endpoints;
        slice->endpoint_count = whole->endpoint_count;
        return;
    }
    struct slice_endpoint *endpoints = arena_array(copier->arena, whole->endpoint_count, sizeof(*endpoints));
    for (uint32_t i = 0; endpoints != NULL && i < whole->endpoint_count && slice->endpoint_count < MAX_ENDPOINTS; i++)
        if (whole->endpoints[i].subset == subset && type_of(whole, &whole->endpoints[i]) == slice->address_type)
            endpoints[slice->endpoint_count++] = copy_endpoint(copier, &whole->endpoints[i]);
    slice->endpoints = endpoints;
}

/* ---- a slice for each of the target's ---- */

/* A name that would be too long is told by its digest. */
static const char *name_of(const struct copier *copier, const char *target_name)
{
    const char *mirror_name = copier->desired->service.meta.name;
    const char *name = arena_printf(copier->arena, "%s" SLICE_INFIX_PODS "%s", mirror_name, target_name);
    if (name == NULL || strlen(name) <= MAX_NAME_BYTES)
        return name;
    return arena_printf(copier->arena, "%s" SLICE_INFIX_PODS "%016llx", mirror_name,
                        (unsigned long long)compare_text_digest(target_name));
}

static void add_slice(struct copier *copier, const struct slice *whole, const char *target_name, enum address_type type,
                      uint16_t subset)
{
    struct desired *desired = copier->desired;
    struct slice *slice = &desired->slices[desired->slice_count];
    *slice = desired_slice(copier->arena, copier->mirror, &desired->service, name_of(copier, target_name));
    slice->address_type = type;
    copy_ports(copier, whole, subset, slice);
    copy_endpoints(copier, whole, subset, slice);
    bool is_empty_part = whole->is_endpoints && slice->endpoint_count == 0;
    desired->slice_count += is_without_ports(whole, slice) || is_empty_part ? 0 : 1;
}

static uint16_t count_subsets(const struct slice *whole)
{
    uint16_t count = 0;
    for (uint32_t i = 0; i < whole->endpoint_count; i++)
        count = whole->endpoints[i].subset >= count ? (uint16_t)(whole->endpoints[i].subset + 1) : count;
    return count;
}

/* Endpoints hold both families, and several subsets, each with its own ports: a slice for each. */
static void add_endpoints(struct copier *copier, const struct slice *whole)
{
    for (uint16_t subset = 0; subset < count_subsets(whole); subset++)
        for (enum address_type type = ADDRESS_IPV4; type <= ADDRESS_IPV6; type++) {
            const char *suffix = type == ADDRESS_IPV4 ? SLICE_SUFFIX_V4 : SLICE_SUFFIX_V6;
            const char *name = subset == 0 ? arena_printf(copier->arena, "%s%s", whole->meta.name, suffix)
                                           : arena_printf(copier->arena, "%s%s-%u", whole->meta.name, suffix, subset);
            if (name != NULL)
                add_slice(copier, whole, name, type, subset);
        }
}

static void add_slices(struct copier *copier)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < copier->count; i++)
        most += copier->wholes[i]->is_endpoints ? 2 * (uint32_t)count_subsets(copier->wholes[i]) : 1;
    copier->desired->slices = arena_array(copier->arena, most, sizeof(struct slice));
    for (uint32_t i = 0; copier->desired->slices != NULL && i < copier->count; i++) {
        if (copier->wholes[i]->is_endpoints)
            add_endpoints(copier, copier->wholes[i]);
        else
            add_slice(copier, copier->wholes[i], copier->wholes[i]->meta.name, copier->wholes[i]->address_type, 0);
    }
}

/* ---- one v1 Endpoints for all of them ---- */

static int compare_addresses(const void *a, const void *b)
{
    const struct slice_endpoint *x = a, *y = b;
    int order = strcmp(x->address, y->address);
    return order != 0 ? order : (int)y->ready - (int)x->ready;
}

/* Endpoints know neither zones nor what is between ready and not. */
static struct slice_endpoint plain(struct slice_endpoint endpoint)
{
    endpoint.zone = "";
    endpoint.serving = endpoint.ready;
    endpoint.terminating = false;
    return endpoint;
}

/* While a pod moves from one slice to another it is in both. */
static void drop_doubles(struct slice *slice, struct slice_endpoint *endpoints)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < slice->endpoint_count; i++)
        if (kept == 0 || strcmp(endpoints[kept - 1].address, endpoints[i].address) != 0)
            endpoints[kept++] = endpoints[i];
    slice->endpoint_count = kept;
}

static bool is_of_names(const struct slice *whole)
{
    return !whole->is_endpoints && whole->address_type == ADDRESS_FQDN;
}

/* One subset, with the ports of the first slice that has any endpoints; @return whether some have other ports. */
static bool gather(struct copier *copier, struct slice *slice, struct slice_endpoint *endpoints)
{
    bool others = false;
    for (uint32_t i = 0; i < copier->count; i++) {
        const struct slice *whole = copier->wholes[i];
        struct slice part = {.ports = NULL};
        copy_ports(copier, whole, 0, &part);
        if (whole->endpoint_count == 0 || is_of_names(whole) || is_without_ports(whole, &part))
            continue;
        if (slice->endpoint_count == 0) {
            slice->ports = part.ports;
            slice->port_count = part.port_count;
        }
        bool same = compare_slice_ports_equal(slice, &part);
        for (uint32_t j = 0; j < whole->endpoint_count; j++) {
            if (same && whole->endpoints[j].subset == 0)
                endpoints[slice->endpoint_count++] = plain(copy_endpoint(copier, &whole->endpoints[j]));
            else
                others = true;
        }
    }
    return others;
}

/* As Kubernetes' own controller does, and marks it. */
static void cut(struct arena *arena, struct slice *slice)
{
    struct kv_builder annotations;
    if (slice->endpoint_count <= MAX_ENDPOINTS)
        return;
    slice->endpoint_count = MAX_ENDPOINTS;
    kv_builder_init(&annotations, arena);
    kv_builder_set(&annotations, K8S_OVER_CAPACITY, "truncated");
    slice->meta.annotations = kv_builder_finish(&annotations);
}

static void add_one(struct copier *copier)
{
    struct desired *desired = copier->desired;
    uint32_t most = 0;
    for (uint32_t i = 0; i < copier->count; i++)
        most += copier->wholes[i]->endpoint_count;
    struct slice_endpoint *endpoints = arena_array(copier->arena, most, sizeof(*endpoints));
    struct slice *slice = ARENA_NEW(copier->arena, struct slice);
    if (endpoints == NULL || slice == NULL)
        return;
    *slice = desired_slice(copier->arena, copier->mirror, &desired->service, desired->service.meta.name);
    slice->endpoints = endpoints;
    if (gather(copier, slice, endpoints) && desired->remark[0] == '\0')
        desired->remark =
            "endpoints with other ports than the first are left out: v1 Endpoints of mirrors have one subset";
    qsort(endpoints, slice->endpoint_count, sizeof(*endpoints), compare_addresses);
    drop_doubles(slice, endpoints);
    desired_settle_endpoints(copier->arena, slice);
    cut(copier->arena, slice);
    desired->slices = slice;
    desired->slice_count = 1;
}

void desired_pods(struct arena *arena, const struct mirror *mirror, const struct claim *claim, struct desired *desired)
{
    struct copier copier = {.arena = arena, .mirror = mirror, .claim = claim, .desired = desired};
    if (!find_wholes(&copier))
        return;
    if (mirror->world->config.write_endpoints)
        add_one(&copier);
    else
        add_slices(&copier);
}
