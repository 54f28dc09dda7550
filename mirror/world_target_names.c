/* Where the mirrors of an exported service go. */
#include <stdio.h>
#include <string.h>

#include "mirror/names.h"
#include "mirror/world_internal.h"

static const char *annotation_or(const struct service *service, const char *key, const char *otherwise)
{
    const char *value = kv_get(&service->meta.annotations, key);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

/* Where the service's mirrors live. Whether its annotation may say so is judged when they are planned. */
static void key_in_namespace(const struct world_link *link, const struct service *service, const char *name,
                             char key[OBJECT_KEY_BYTES])
{
    char namespace[OBJECT_KEY_BYTES];
    naming_namespace(&link->declaration->naming, service->meta.namespace, namespace);
    object_key_format(key, annotation_or(service, EXPORT_NAMESPACE, namespace), name);
}

void target_host_key(const struct world_link *link, const struct service *service, const char *name,
                     char key[OBJECT_KEY_BYTES])
{
    char text[OBJECT_KEY_BYTES];
    const struct link *declaration = link->declaration;
    naming_name(&declaration->naming, declaration->cluster_name, service->meta.namespace, name, text);
    key_in_namespace(link, service, text, key);
}

void target_mirror_key(const struct world_link *link, const struct service *service, char key[OBJECT_KEY_BYTES])
{
    const char *name = kv_get(&service->meta.annotations, EXPORT_NAME);
    if (name != NULL && name[0] != '\0')
        key_in_namespace(link, service, name, key);
    else
        target_host_key(link, service, service->meta.name, key);
}

bool target_moved(const struct world_link *link, const struct mirror *mirror)
{
    struct origin origin;
    if (!mirror_origin(mirror->service, &origin))
        return false;
    const struct target_service *entry = map_get(link->services, origin.key);
    const struct claim *claim = entry == NULL ? NULL : origin.hostname[0] == '\0' ? entry->claim : entry->hosts;
    while (claim != NULL && claim->hostname != NULL && strcmp(claim->hostname, origin.hostname) != 0)
        claim = claim->next_host;
    return claim != NULL && claim->mirror != mirror;
}
