/* Gateways of a Secret's target that has not been read since the start. Where they are stands in the target; but each has a mirror of its own in the source,
 * which tells all that probes need. By that the mirrors through it can follow its verdict (plan_unlisted.c) until the target is read. */
#include <stdio.h>
#include <string.h>

#include "mirror/names.h"
#include "mirror/world_internal.h"

static bool is_wanted(const struct world_link *link)
{
    return link->declaration->kind == LINK_SECRET && world_link_is_unlisted(link);
}

/* Whether that Service is the mirror of one of the link's gateways, and tells of which, and enough of it: not so those of Linkerd 2.8. */
static bool tells_gateway(const struct world_link *link, const struct service *service, char ret_key[OBJECT_KEY_BYTES])
{
    const struct kv_list *annotations = &service->meta.annotations;
    const char *name = kv_get(annotations, L5D_MIRRORED_GATEWAY_REMOTE_NAME);
    const char *namespace = kv_get(annotations, L5D_MIRRORED_GATEWAY_REMOTE_NAMESPACE);
    if (name == NULL || namespace == NULL || kv_get(annotations, GATEWAY_ADDRESSES) == NULL || service->meta.deleting ||
        !kv_has(&service->meta.labels, L5D_MIRRORED_GATEWAY, "true") ||
        !kv_has(&service->meta.labels, L5D_CLUSTER_NAME, link->declaration->cluster_name))
        return false;
    object_key_format(ret_key, namespace, name);
    return true;
}

const struct service *gateway_teller(const struct world_gateway *gateway)
{
    char mirror_key[OBJECT_KEY_BYTES], told[OBJECT_KEY_BYTES];
    if (!is_wanted(gateway->link))
        return NULL;
    gateway_mirror_key(gateway, mirror_key);
    const struct mirror *mirror = map_get(gateway->link->world->mirrors, mirror_key);
    if (mirror == NULL || mirror->service == NULL || !tells_gateway(gateway->link, mirror->service, told) ||
        strcmp(told, gateway->key) != 0)
        return NULL;
    return mirror->service;
}

static enum err_code recall_one(struct world_link *link, const struct service *service)
{
    char key[OBJECT_KEY_BYTES];
    struct world_gateway *gateway = NULL;
    if (!tells_gateway(link, service, key) ||
        (map_get(link->gateways, key) == NULL && map_count(link->gateways) >= WORLD_MAX_GATEWAYS))
        return ERR_OK;
    TRY(gateway_obtain(link, key, &gateway));
    enum err_code code = gateway_refresh(gateway);
    gateway_collect(gateway);
    return code;
}

enum err_code gateways_recall(struct world_link *link)
{
    char prefix[OBJECT_KEY_BYTES];
    if (!is_wanted(link))
        return ERR_OK;
    object_key_format(prefix, link->world->config.agent_namespace, "");
    for (struct map_entry *at = map_seek(link->world->mirrors, prefix);
         at != NULL && text_starts_with(map_key(at), prefix); at = map_next(at)) {
        const struct mirror *mirror = map_value(at);
        if (mirror->service != NULL)
            TRY(recall_one(link, mirror->service));
    }
    return ERR_OK;
}

enum err_code gateway_mirror_changed(struct world *world, const struct service *service)
{
    if (kv_get(&service->meta.labels, L5D_MIRRORED_GATEWAY) == NULL ||
        strcmp(service->meta.namespace, world->config.agent_namespace) != 0)
        return ERR_OK;
    for (struct world_link *link = world_first_link(world); link != NULL; link = world_next_link(link))
        if (is_wanted(link))
            TRY(recall_one(link, service));
    return ERR_OK;
}

void gateways_sweep_recalled(struct world_link *link)
{
    for (struct world_gateway *gateway = world_first_gateway(link), *next; gateway != NULL; gateway = next) {
        next = world_next_gateway(gateway);
        if (!gateway->spec.recalled)
            continue;
        enum err_code never = gateway_refresh(gateway); /* an end is noted even without memory */
        (void)never;
        gateway_collect(gateway);
    }
}
