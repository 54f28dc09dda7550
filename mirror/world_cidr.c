/* Addresses that the source cluster itself gives to Services, and gateways that are said to have one of them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"
#include "mirror/world_internal.h"

/* A ServiceCIDR has at most two ranges, one of each family (networking.k8s.io/v1). */
enum { RANGES = 2, RANGE_BYTES = TEXT_IP_BYTES + 4 };

struct source_cidr {
    uint32_t generation;
    char ranges[RANGES][RANGE_BYTES]; /* "" when there are fewer */
};

enum err_code world_source_cidr(struct world *world, enum world_change change, const struct service_cidr *cidr)
{
    const char *name = cidr->meta.name;
    world->cidrs_version++;
    if (change == WORLD_DELETED) {
        (void)map_remove(world->cidrs, name);
        return ERR_OK;
    }
    struct source_cidr *entry = NEW(struct source_cidr);
    if (entry == NULL)
        return ERR_NOMEM;
    entry->generation = world->generation[WORLD_SOURCE_CIDRS];
    for (uint32_t i = 0; i < cidr->range_count && i < RANGES; i++)
        (void)snprintf(entry->ranges[i], RANGE_BYTES, "%s", cidr->ranges[i]);
    if (map_put(world->cidrs, name, entry) == ERR_OK)
        return ERR_OK;
    mem_free(entry);
    return ERR_NOMEM;
}

void cidrs_sweep(struct world *world)
{
    world->cidrs_version++;
    for (struct map_entry *at = map_first(world->cidrs), *next; at != NULL; at = next) {
        next = map_next(at);
        if (((const struct source_cidr *)map_value(at))->generation != world->generation[WORLD_SOURCE_CIDRS])
            (void)map_remove(world->cidrs, map_key(at));
    }
}

uint64_t world_cidrs_version(const struct world *world) { return world->cidrs_version; }

#define REMEDY                                                                                                         \
    ", and what is sent there by a mirror may not arrive: give an address at which the gateway is "                    \
    "reached "                                                                                                         \
    "without a Service of this cluster"

static bool is_in_a_cidr(const struct world *world, const char *address, char *ret_text, size_t bytes)
{
    for (struct map_entry *at = map_first(world->cidrs); at != NULL; at = map_next(at)) {
        const struct source_cidr *entry = map_value(at);
        for (uint32_t i = 0; i < RANGES; i++)
            if (text_cidr_covers(entry->ranges[i], address)) {
                (void)snprintf(ret_text, bytes,
                               "address %s is one of this cluster's own for Services (ServiceCIDR %s, %s)" REMEDY,
                               address, map_key(at), entry->ranges[i]);
                return true;
            }
    }
    return false;
}

/* Mirrors, and the source's own members of federated services. */
static const struct service *find_by_address(const struct world *world, const char *address)
{
    for (struct map_entry *at = map_first(world->mirrors); at != NULL; at = map_next(at)) {
        const struct mirror *mirror = map_value(at);
        if (mirror->service != NULL && strcmp(mirror->service->cluster_ip, address) == 0)
            return mirror->service;
    }
    for (const struct world_link *link = world_first_link(world); link != NULL; link = world_next_link(link))
        for (struct map_entry *at = map_first(link->services); at != NULL && link->declaration->kind == LINK_LOCAL;
             at = map_next(at)) {
            const struct target_service *entry = map_value(at);
            if (strcmp(entry->service->cluster_ip, address) == 0)
                return entry->service;
        }
    return NULL;
}

static bool is_known(const struct world *world, const char *address, char *ret_text, size_t bytes)
{
    const struct service *service = find_by_address(world, address);
    if (service == NULL)
        return false;
    (void)snprintf(ret_text, bytes, "address %s is the ClusterIP of this cluster's own Service %s/%s" REMEDY, address,
                   service->meta.namespace, service->meta.name);
    return true;
}

bool world_gateway_local_address(const struct world_gateway *gateway, char *ret_text, size_t bytes)
{
    const struct world *world = gateway->link->world;
    const enum world_knowledge knowledge = world->knowledge[WORLD_SOURCE_CIDRS];
    bool is_local = false;
    ret_text[0] = '\0';
    /* ServiceCIDRs, where they can be read, hold every ClusterIP. */
    for (uint32_t i = 0; i < gateway->address_count && !is_local && knowledge != WORLD_UNKNOWN; i++)
        is_local = knowledge == WORLD_LISTED ? is_in_a_cidr(world, gateway->addresses[i].text, ret_text, bytes)
                                             : is_known(world, gateway->addresses[i].text, ret_text, bytes);
    return is_local;
}
