#include "agent/control/preview_apply.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define STAND_IN "planned-"

bool preview_is_stand_in(const char *uid) { return text_starts_with(uid, STAND_IN); }

struct service preview_updated_service(const struct write *write)
{
    struct service after = *write->old_service;
    after.meta.labels = write->service->meta.labels;
    after.meta.annotations = write->service->meta.annotations;
    after.meta.made_by_us = true;
    after.type = SERVICE_CLUSTER_IP;
    after.has_selector = false;
    after.affinity_s = write->service->affinity_s;
    after.external_ip_count = 0;
    after.ports = write->service->ports;
    after.port_count = write->service->port_count;
    return after;
}

static struct service created_service(const struct write *write, const char *stand_in)
{
    struct service after = *write->service;
    after.meta.uid = stand_in;
    after.meta.made_by_us = true;
    after.cluster_ip = after.headless ? "None" : PREVIEW_CLUSTER_IP;
    return after;
}

/* Slices go with the Service that owns them. */
static enum err_code collect_slices(struct world *world, const char *namespace, const char *name, const char *owner)
{
    char key[OBJECT_KEY_BYTES], owner_uid[128];
    object_key_format(key, namespace, name);
    (void)snprintf(owner_uid, sizeof(owner_uid), "%s", owner); /* it may go with one of them */
    const struct mirror *mirror = world_find_mirror(world, key);
    for (uint32_t i = 0; mirror != NULL && i < mirror_slice_count(mirror);) {
        const struct slice *slice = mirror_slice(mirror, i);
        if (strcmp(slice->meta.owner_uid, owner_uid) != 0) {
            i++;
            continue;
        }
        const struct slice gone = *slice; /* its texts live until the world has found it */
        TRY(world_source_slice(world, WORLD_DELETED, &gone));
        mirror = world_find_mirror(world, key); /* the last slice may have been all that was known of it */
    }
    return ERR_OK;
}

static enum err_code apply_delete_service(struct world *world, const struct write *write)
{
    char owner_uid[128];
    (void)snprintf(owner_uid, sizeof(owner_uid), "%s", write->old_service->meta.uid);
    TRY(world_source_service(world, WORLD_DELETED, write->old_service));
    return collect_slices(world, write->namespace, write->name, owner_uid);
}

static enum err_code apply_service(struct world *world, const struct write *write, const char *stand_in)
{
    if (write->verb == WRITE_DELETE)
        return apply_delete_service(world, write);
    struct service after =
        write->verb == WRITE_CREATE ? created_service(write, stand_in) : preview_updated_service(write);
    after.meta.resource_version = stand_in;
    return world_source_service(world, WORLD_PUT, &after);
}

/* Its status is written by itself. */
static enum err_code apply_import(struct world *world, const struct write *write, const char *stand_in)
{
    if (write->verb == WRITE_DELETE)
        return world_source_service(world, WORLD_DELETED, write->old_service);
    struct service after = *write->service;
    after.meta.made_by_us = true;
    after.meta.resource_version = stand_in;
    after.meta.uid = write->verb == WRITE_CREATE ? stand_in : write->old_service->meta.uid;
    if (write->kind == WRITE_IMPORT)
        after.clusters = write->verb == WRITE_CREATE ? "" : write->old_service->clusters;
    return world_source_service(world, WORLD_PUT, &after);
}

static enum err_code apply_slice(struct world *world, const struct write *write, const char *stand_in)
{
    if (write->verb == WRITE_DELETE)
        return world_source_slice(world, WORLD_DELETED, write->old_slice);
    struct slice after = *write->slice;
    after.meta.made_by_us = true;
    after.meta.resource_version = stand_in;
    if (write->verb == WRITE_CREATE)
        after.meta.uid = stand_in;
    return world_source_slice(world, WORLD_PUT, &after);
}

enum err_code preview_apply(struct world *world, const struct write *write, uint64_t number)
{
    char stand_in[40];
    (void)snprintf(stand_in, sizeof(stand_in), STAND_IN "%" PRIu64, number);
    switch (write->kind) {
    case WRITE_IMPORT:
    case WRITE_IMPORT_STATUS:
        return apply_import(world, write, stand_in);
    case WRITE_NAMESPACE:
        return world_source_namespace(world, WORLD_PUT, write->namespace_object);
    case WRITE_SERVICE:
        return apply_service(world, write, stand_in);
    case WRITE_SLICE:
    case WRITE_ENDPOINTS:
        return apply_slice(world, write, stand_in);
    }
    return ERR_OK;
}
