/* The source cluster as the world knows it: mirrors' Services and slices, and namespaces. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"
#include "mirror/world_internal.h"

/* ---- services ---- */

/* A headless mirror lists the ClusterIPs of its hostnames' mirrors. That of a new one waits for those that are created with it: else the list would be
 * written again for each. */
static void mark_headless_of(struct world *world, const struct service *service, bool is_new)
{
    char key[OBJECT_KEY_BYTES];
    const char *name = kv_get(&service->meta.labels, L5D_HEADLESS_MIRROR);
    if (name == NULL)
        return;
    object_key_format(key, service->meta.namespace, name);
    struct mirror *mirror = map_get(world->mirrors, key);
    if (mirror != NULL && is_new)
        mirror_mark_fresh(mirror);
    else if (mirror != NULL)
        world_mark(mirror, true);
}

/* A ServiceImport leads to the address of its service's mirror. */
static void mark_imports_of(const struct mirror *mirror)
{
    for (const struct claim *claim = mirror->claims; claim != NULL; claim = claim->next)
        if (claim->kind == CLAIM_SERVICE && claim->service->import != NULL)
            world_mark(claim->service->import->mirror, false);
}

static enum world_collection collection_of_service(bool is_import)
{
    return is_import ? WORLD_SOURCE_IMPORTS : WORLD_SOURCE_SERVICES;
}

static void service_key_format(const struct service *service, char key[OBJECT_KEY_BYTES])
{
    char name[OBJECT_KEY_BYTES];
    (void)snprintf(name, sizeof(name), "%s%s", service->meta.name, service->is_import ? IMPORT_KEY_SUFFIX : "");
    object_key_format(key, service->meta.namespace, name);
}

/* What counts objects of its kind. */
static size_t *counter_of(const struct mirror *mirror)
{
    return mirror->is_import ? &mirror->world->imports : &mirror->world->services;
}

static void drop_service(struct mirror *mirror)
{
    struct service *gone = TAKE(mirror->service);
    if (gone == NULL)
        return;
    (*counter_of(mirror))--;
    mark_headless_of(mirror->world, gone, false);
    mark_imports_of(mirror);
    world_mark(mirror, false);
    mirror_note_version(mirror, "");
    if (mirror->claims == NULL) {
        mirror_collect(mirror);
    } else { /* the claim may go, and the mirror with it */
        enum err_code ignored = target_mirror_changed(mirror->world, gone, false);
        (void)ignored;
    }
    mem_free(gone);
}

enum err_code world_source_service(struct world *world, enum world_change change, const struct service *service)
{
    char key[OBJECT_KEY_BYTES];
    service_key_format(service, key);
    struct mirror *mirror = map_get(world->mirrors, key);
    if (change == WORLD_DELETED) {
        if (mirror != NULL)
            drop_service(mirror);
        return ERR_OK;
    }
    if (mirror != NULL && mirror->service != NULL &&
        strcmp(mirror->service->meta.resource_version, service->meta.resource_version) == 0) {
        mirror->service_generation = world->generation[collection_of_service(service->is_import)];
        TRY(gateway_mirror_changed(world, service));
        return target_mirror_changed(world, service, true);
    }
    struct service *copy = service_copy(service);
    if (copy == NULL)
        return ERR_NOMEM;
    mirror = mirror_obtain(world, key);
    if (mirror == NULL) {
        mem_free(copy);
        return ERR_NOMEM;
    }
    bool is_new = mirror->service == NULL;
    if (!is_new)
        mark_headless_of(world, mirror->service, false);
    mem_free(mirror->service);
    mirror->service = copy;
    *counter_of(mirror) += is_new ? 1 : 0;
    mark_headless_of(world, copy, is_new);
    mark_imports_of(mirror);
    world->wants_imports = world->wants_imports || kv_get(&copy->meta.annotations, MADE_BY_EXPORT) != NULL;
    mirror->service_generation = world->generation[collection_of_service(copy->is_import)];
    mirror->foreign = false;
    world_mark(mirror, false);
    mirror_note_version(mirror, copy->meta.resource_version);
    TRY(gateway_mirror_changed(world, copy));
    return target_mirror_changed(world, copy, true);
}

/* ---- slices ---- */

static void unlink_slice(struct source_slice *entry)
{
    struct source_slice **at = &entry->mirror->slices;
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    world_mark(entry->mirror, false);
}

void slice_key_format(const struct slice *slice, char key[OBJECT_KEY_BYTES])
{
    char name[OBJECT_KEY_BYTES];
    (void)snprintf(name, sizeof(name), "%s%s", slice->meta.name, slice->is_endpoints ? "@endpoints" : "");
    object_key_format(key, slice->meta.namespace, name);
}

static enum world_collection collection_of(const struct slice *slice)
{
    return slice->is_endpoints ? WORLD_SOURCE_ENDPOINTS : WORLD_SOURCE_SLICES;
}

static void drop_slice(struct world *world, struct source_slice *entry)
{
    struct mirror *mirror = entry->mirror;
    char key[OBJECT_KEY_BYTES];
    slice_key_format(entry->slice, key);
    unlink_slice(entry);
    (void)map_remove(world->slices, key);
    mirror_note_version(mirror, "");
    mirror_collect(mirror);
}

/* In order of name, so that plans do not depend on the order of events. */
static void link_slice(struct source_slice *entry, struct mirror *mirror)
{
    struct source_slice **at = &mirror->slices;
    while (*at != NULL && strcmp((*at)->slice->meta.name, entry->slice->meta.name) < 0)
        at = &(*at)->next;
    entry->next = *at;
    *at = entry;
    entry->mirror = mirror;
    world_mark(mirror, false);
}

bool world_slice_is_ours(const struct slice *slice, char ret_key[OBJECT_KEY_BYTES])
{
    if (slice->is_endpoints) { /* they belong to the Service of their name, whoever made them */
        object_key_format(ret_key, slice->meta.namespace, slice->meta.name);
        return kv_has(&slice->meta.labels, L5D_MIRRORED_SERVICE, "true") || slice->meta.made_by_us;
    }
    if (strcmp(slice->managed_by, SLICE_MANAGED_BY) != 0 && !slice->meta.made_by_us)
        return false;
    const char *name = slice->meta.name, *dot = strchr(name, '.');
    if (slice->service_name[0] != '\0') {
        object_key_format(ret_key, slice->meta.namespace, slice->service_name);
        return true;
    }
    if (dot == NULL || (strcmp(dot, SLICE_SUFFIX_V4) != 0 && strcmp(dot, SLICE_SUFFIX_V6) != 0 &&
                        !text_starts_with(dot, SLICE_INFIX_PODS)))
        return false;
    char service_name[OBJECT_KEY_BYTES];
    (void)snprintf(service_name, sizeof(service_name), "%.*s", (int)(dot - name), name);
    object_key_format(ret_key, slice->meta.namespace, service_name);
    return true;
}

bool slice_is_of_pods(const struct slice *slice)
{
    char key[OBJECT_KEY_BYTES];
    return world_slice_is_ours(slice, key) && kv_get(&slice->meta.labels, L5D_MIRRORED_GATEWAY) == NULL &&
           kv_get(&slice->meta.annotations, L5D_REMOTE_SVC_FQ_NAME) == NULL;
}

/* @return whether the slice belongs to a mirror, and to which. */
static bool find_mirror_key(const struct slice *slice, char ret_key[OBJECT_KEY_BYTES])
{
    if (slice->service_name[0] == '\0')
        return world_slice_is_ours(slice, ret_key);
    object_key_format(ret_key, slice->meta.namespace, slice->service_name);
    return true;
}

static enum err_code put_slice(struct world *world, const char *key, const char *mirror_key, struct slice *copy)
{
    struct mirror *mirror = mirror_obtain(world, mirror_key);
    if (mirror == NULL)
        return ERR_NOMEM;
    struct source_slice *entry = map_get(world->slices, key);
    if (entry == NULL) {
        entry = NEW(struct source_slice);
        if (entry == NULL || map_put(world->slices, key, entry) != ERR_OK) {
            mem_free(entry);
            mirror_collect(mirror);
            return ERR_NOMEM;
        }
    } else {
        struct mirror *old = entry->mirror;
        unlink_slice(entry);
        mem_free(entry->slice);
        if (old != mirror)
            mirror_collect(old);
    }
    entry->slice = copy;
    entry->generation = world->generation[collection_of(copy)];
    link_slice(entry, mirror);
    mirror_note_version(mirror, copy->meta.resource_version);
    return ERR_OK;
}

enum err_code world_source_slice(struct world *world, enum world_change change, const struct slice *slice)
{
    char key[OBJECT_KEY_BYTES], mirror_key[OBJECT_KEY_BYTES];
    slice_key_format(slice, key);
    struct source_slice *entry = map_get(world->slices, key);
    if (change == WORLD_DELETED || !find_mirror_key(slice, mirror_key)) {
        if (entry != NULL)
            drop_slice(world, entry);
        return ERR_OK;
    }
    if (entry != NULL && strcmp(entry->slice->meta.resource_version, slice->meta.resource_version) == 0) {
        entry->generation = world->generation[collection_of(slice)];
        return ERR_OK;
    }
    struct slice *copy = slice_copy(slice);
    if (copy == NULL)
        return ERR_NOMEM;
    enum err_code code = put_slice(world, key, mirror_key, copy);
    if (code != ERR_OK)
        mem_free(copy);
    return code;
}

/* ---- namespaces ---- */

enum err_code world_source_namespace(struct world *world, enum world_change change,
                                     const struct namespace_object *namespace)
{
    const char *name = namespace->meta.name;
    struct source_namespace *entry = map_get(world->namespaces, name);
    if (change == WORLD_DELETED) {
        if (map_remove(world->namespaces, name))
            mark_where(world, name);
        return ERR_OK;
    }
    bool changed = entry == NULL || entry->terminating != namespace->terminating;
    if (entry == NULL) {
        entry = NEW(struct source_namespace);
        if (entry == NULL || map_put(world->namespaces, name, entry) != ERR_OK) {
            mem_free(entry);
            return ERR_NOMEM;
        }
    }
    entry->terminating = namespace->terminating;
    entry->generation = world->generation[WORLD_SOURCE_NAMESPACES];
    if (changed)
        mark_where(world, name);
    return ERR_OK;
}

/* ---- end of a listing ---- */

static void sweep_services(struct world *world, enum world_collection collection)
{
    for (struct map_entry *entry = map_first(world->mirrors), *next; entry != NULL; entry = next) {
        next = map_next(entry);
        struct mirror *mirror = map_value(entry);
        if (mirror->service != NULL && collection_of_service(mirror->is_import) == collection &&
            mirror->service_generation != world->generation[collection])
            drop_service(mirror);
    }
}

static void sweep_slices(struct world *world, enum world_collection collection)
{
    for (struct map_entry *entry = map_first(world->slices), *next; entry != NULL; entry = next) {
        next = map_next(entry);
        struct source_slice *slice = map_value(entry);
        if (collection_of(slice->slice) == collection && slice->generation != world->generation[collection])
            drop_slice(world, slice);
    }
}

static void sweep_namespaces(struct world *world)
{
    for (struct map_entry *entry = map_first(world->namespaces), *next; entry != NULL; entry = next) {
        next = map_next(entry);
        struct source_namespace *namespace = map_value(entry);
        if (namespace->generation == world->generation[WORLD_SOURCE_NAMESPACES])
            continue;
        mark_where(world, map_key(entry));
        (void)map_remove(world->namespaces, map_key(entry));
    }
}

void source_sweep(struct world *world, enum world_collection collection)
{
    if (collection == WORLD_SOURCE_SERVICES || collection == WORLD_SOURCE_IMPORTS)
        sweep_services(world, collection);
    else if (collection == WORLD_SOURCE_SLICES || collection == WORLD_SOURCE_ENDPOINTS)
        sweep_slices(world, collection);
    else if (collection == WORLD_SOURCE_NAMESPACES)
        sweep_namespaces(world);
    else if (collection == WORLD_SOURCE_CIDRS)
        cidrs_sweep(world);
}

enum world_namespace world_namespace_state(const struct world *world, const char *name)
{
    const struct source_namespace *namespace = map_get(world->namespaces, name);
    if (namespace == NULL)
        return WORLD_NAMESPACE_ABSENT;
    return namespace->terminating ? WORLD_NAMESPACE_TERMINATING : WORLD_NAMESPACE_ACTIVE;
}

size_t world_collection_size(const struct world *world, const struct world_link *link, enum world_collection collection)
{
    switch (collection) {
    case WORLD_SOURCE_SERVICES:
        return world->services;
    case WORLD_SOURCE_IMPORTS:
        return world->imports;
    case WORLD_SOURCE_SLICES:
    case WORLD_SOURCE_ENDPOINTS: /* counted together: where the one is written the other is few */
        return map_count(world->slices);
    case WORLD_SOURCE_NAMESPACES:
        return map_count(world->namespaces);
    case WORLD_SOURCE_CIDRS:
        return map_count(world->cidrs);
    case WORLD_TARGET_SERVICES:
    case WORLD_TARGET_MEMBERS: /* kept together */
        return map_count(link->services);
    case WORLD_TARGET_SLICES:
        return map_count(link->slices);
    case WORLD_TARGET_GATEWAY:
        return link->named.service != NULL ? 1 : 0;
    case WORLD_TARGET_EXPORTS:
        return map_count(link->exports);
    case WORLD_COLLECTIONS:
        break;
    }
    return 0;
}
