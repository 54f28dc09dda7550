/* What is left in the source cluster of a cluster whose link is going. */
#include <string.h>

#include "mirror/names.h"
#include "mirror/world_internal.h"

bool is_of_a_chart(const struct service *service)
{
    return kv_get(&service->meta.labels, L5D_MIRRORED_GATEWAY) != NULL && !service->meta.made_by_us &&
           kv_get(&service->meta.annotations, L5D_MIRRORED_GATEWAY_REMOTE_NAME) == NULL;
}

/* "web@east,web@west": the list of remote members. */
static bool names_member_of(const char *members, const char *cluster_name)
{
    size_t length = strlen(cluster_name);
    for (const char *at = strchr(members, '@'); at != NULL; at = strchr(at + 1, '@'))
        if (strncmp(at + 1, cluster_name, length) == 0 && (at[1 + length] == ',' || at[1 + length] == '\0'))
            return true;
    return false;
}

static bool is_left(const struct service *service, const char *cluster_name)
{
    const char *members = kv_get(&service->meta.annotations, L5D_REMOTE_DISCOVERY);
    const char *cluster = kv_get(&service->meta.labels, L5D_CLUSTER_NAME);
    if (is_federated(service))
        return members != NULL && names_member_of(members, cluster_name);
    return cluster != NULL && strcmp(cluster, cluster_name) == 0 && !is_of_a_chart(service);
}

size_t world_count_left(const struct world *world, const char *cluster_name)
{
    size_t count = 0;
    for (const struct map_entry *at = map_first(world->mirrors); at != NULL; at = map_next(at)) {
        const struct mirror *mirror = map_value(at);
        if (mirror->service != NULL && is_left(mirror->service, cluster_name))
            count++;
    }
    return count;
}
