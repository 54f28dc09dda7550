/* Mirrors of a link whose target has not been read since the start: what is exported there nobody knows, so nothing is made, deleted or made
 * different; but where they lead stands in their own slices, and whether that is alive is known: of the gateway that a Link names, and of a Secret's as
 * the gateway's own mirror tells it (world_recalled.c). So their readiness follows the gateway. */
#include <string.h>

#include "mirror/names.h"
#include "mirror/plan_internal.h"

static const struct world_link *unlisted_link(const struct planner *planner)
{
    const char *cluster = kv_get(&planner->mirror->service->meta.labels, L5D_CLUSTER_NAME);
    for (const struct world_link *link = world_first_link(planner->world); cluster != NULL && link != NULL;
         link = world_next_link(link))
        if (strcmp(link->declaration->cluster_name, cluster) == 0 && world_link_is_unlisted(link))
            return link;
    return NULL;
}

static enum world_liveness liveness_of(const struct world_gateway *gateway, const char *address)
{
    for (uint32_t i = 0; i < gateway->address_count; i++)
        if (strcmp(gateway->addresses[i].text, address) == 0)
            return gateway->addresses[i].liveness;
    return WORLD_LIVENESS_UNKNOWN; /* as of one that the gateway has no more: its target will tell */
}

/* Of the mirrors of hostnames behind a headless one, which are alive while one address of the gateway is. */
static enum world_liveness best_liveness(const struct world_gateway *gateway)
{
    enum world_liveness best = gateway->address_count > 0 ? WORLD_DEAD : WORLD_LIVENESS_UNKNOWN;
    for (uint32_t i = 0; i < gateway->address_count; i++) {
        enum world_liveness liveness = gateway->addresses[i].liveness;
        if (liveness == WORLD_ALIVE)
            return WORLD_ALIVE;
        best = liveness == WORLD_LIVENESS_UNKNOWN ? liveness : best;
    }
    return best;
}

static bool is_of_the_gateway(const struct planner *planner)
{
    return kv_get(&planner->mirror->service->meta.labels, L5D_MIRRORED_GATEWAY) != NULL;
}

/* The one that the mirror leads through, or is of. */
static const struct world_gateway *gateway_of(const struct planner *planner, const struct world_link *link)
{
    const struct object_meta *meta = &planner->mirror->service->meta;
    const struct kv_list *list = is_of_the_gateway(planner) ? &meta->annotations : &meta->labels;
    const char *name =
        kv_get(list, is_of_the_gateway(planner) ? L5D_MIRRORED_GATEWAY_REMOTE_NAME : L5D_REMOTE_GATEWAY_NAME);
    const char *namespace =
        kv_get(list, is_of_the_gateway(planner) ? L5D_MIRRORED_GATEWAY_REMOTE_NAMESPACE : L5D_REMOTE_GATEWAY_NS);
    char key[OBJECT_KEY_BYTES];
    if (link->declaration->kind == LINK_RESOURCE)
        return world_first_gateway(link);
    if (name == NULL || namespace == NULL)
        return NULL;
    object_key_format(key, namespace, name);
    return map_get(link->gateways, key);
}

/* A service without ready endpoints has a mirror without any: one that is there was unready for its gateway's sake. That of a hostname may have
 * been so for its own sake, so `serving` keeps what it was before the gateway died. */
static struct slice_endpoint follow(const struct planner *planner, const struct world_gateway *gateway,
                                    const struct slice_endpoint *there)
{
    struct slice_endpoint endpoint = *there;
    bool of_headless = there->hostname[0] != '\0';
    bool of_host = of_headless || kv_get(&planner->mirror->service->meta.labels, L5D_HEADLESS_MIRROR) != NULL;
    enum world_liveness liveness = of_headless ? best_liveness(gateway) : liveness_of(gateway, there->address);
    if ((gateway->link->declaration->drain || gateway->spec.drain) && !is_of_the_gateway(planner))
        liveness = WORLD_DEAD;
    if (liveness == WORLD_LIVENESS_UNKNOWN)
        return endpoint;
    endpoint.ready = liveness == WORLD_ALIVE && (!of_host || there->serving);
    if (!of_host)
        endpoint.serving = endpoint.ready;
    return endpoint;
}

static bool is_ours(const struct planner *planner, const struct slice *slice)
{
    char key[OBJECT_KEY_BYTES];
    return world_slice_is_ours(slice, key) && !slice->meta.deleting && !slice->irregular &&
           slice->is_endpoints == planner->world->config.write_endpoints &&
           strcmp(slice->meta.owner_uid, planner->mirror->service->meta.uid) == 0;
}

static void plan_slice(struct planner *planner, const struct world_gateway *gateway, const struct slice *there)
{
    struct slice_endpoint *endpoints = arena_array(planner->arena, there->endpoint_count, sizeof(*endpoints));
    struct slice *copy = ARENA_NEW(planner->arena, struct slice);
    bool changed = false;
    if (endpoints == NULL || copy == NULL)
        return;
    for (uint32_t i = 0; i < there->endpoint_count; i++) {
        endpoints[i] = follow(planner, gateway, &there->endpoints[i]);
        changed = changed || endpoints[i].ready != there->endpoints[i].ready;
    }
    if (!changed)
        return;
    *copy = *there;
    copy->endpoints = endpoints;
    struct write *write = plan_add_write(planner, WRITE_UPDATE, there->is_endpoints ? WRITE_ENDPOINTS : WRITE_SLICE,
                                         "its gateway's verdict, while the target has not been read");
    write->name = there->meta.name;
    write->slice = copy;
    write->old_slice = there;
}

void plan_unlisted(struct planner *planner)
{
    const struct world_link *link = unlisted_link(planner);
    const struct world_gateway *gateway = link != NULL ? gateway_of(planner, link) : NULL;
    if (gateway == NULL || !gateway->resolved || !(planner->world->config.move_endpoints || is_of_the_gateway(planner)))
        return;
    for (const struct source_slice *entry = planner->mirror->slices; entry != NULL; entry = entry->next)
        if (is_ours(planner, entry->slice))
            plan_slice(planner, gateway, entry->slice);
}
