#include "agent/control/leases_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/control/internal.h"
#include "base/map.h"
#include "mirror/names.h"

/* Linkerd's name, made fit to be one: what shares a Lease is only written by the same. */
void leases_name(const char *link, char name[LEASES_NAME_BYTES])
{
    size_t used = strlen(LINK_LEASE_PREFIX);
    memcpy(name, LINK_LEASE_PREFIX, used);
    for (; *link != '\0' && used < LEASES_NAME_BYTES - 1; link++, used++)
        name[used] = isalnum((unsigned char)*link) || *link == '.' ? (char)tolower((unsigned char)*link) : '-';
    while (!isalnum((unsigned char)name[used - 1])) /* the prefix begins with a letter */
        used--;
    name[used] = '\0';
}

void leases_name_of(const struct link *link, char name[LEASES_NAME_BYTES])
{
    if (link->kind == LINK_LOCAL)
        (void)snprintf(name, LEASES_NAME_BYTES, LOCAL_LEASE);
    else
        leases_name(link->kind == LINK_SECRET ? link->cluster_name : link->name, name);
}

struct tenure *leases_of_link(const struct leases *leases, const struct link *link)
{
    char name[LEASES_NAME_BYTES];
    if (leases->only != NULL || link == NULL || link->kind == LINK_LOCAL)
        return leases->only != NULL ? leases->only : leases->local;
    leases_name_of(link, name);
    return map_get(leases->tenures, name);
}

/* By cluster, because a Link's Lease is named after the Link. */
static struct tenure *find_lingering(const struct leases *leases, const char *cluster)
{
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at)) {
        struct tenure *tenure = map_value(at);
        if (tenure->lingers && strcmp(tenure->cluster, cluster) == 0)
            return tenure;
    }
    return NULL;
}

/* A mirror that nothing claims belongs to the link of the cluster that it is labelled with, as it did while it was claimed. */
static struct tenure *of_unclaimed(const struct leases *leases, const struct mirror *mirror)
{
    const struct service *service = mirror_service(mirror);
    const struct slice *slice = mirror_slice_count(mirror) > 0 ? mirror_slice(mirror, 0) : NULL;
    const struct object_meta *meta = service != NULL ? &service->meta : slice != NULL ? &slice->meta : NULL;
    const char *cluster = meta != NULL ? kv_get(&meta->labels, L5D_CLUSTER_NAME) : NULL;
    for (struct target *target = links_first(leases->control->links); cluster != NULL && target != NULL;
         target = links_next(target))
        if (strcmp(target_link(target)->cluster_name, cluster) == 0)
            return leases_of_link(leases, target_link(target));
    struct tenure *lingering = cluster != NULL ? find_lingering(leases, cluster) : NULL;
    return lingering != NULL ? lingering : leases_of_link(leases, NULL);
}

struct tenure *leases_of_mirror(const struct leases *leases, const struct mirror *mirror)
{
    if (leases->only != NULL)
        return leases->only;
    const struct claim *claim = mirror_first_claim(mirror);
    if (claim == NULL)
        return of_unclaimed(leases, mirror);
    return leases_of_link(leases,
                          claim_kind(claim) == CLAIM_FEDERATED ? NULL : world_link_declaration(claim_link(claim)));
}
