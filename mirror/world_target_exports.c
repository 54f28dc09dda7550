/* ServiceExports of a target (Kubernetes' Multicluster Services API): marks of exports beside the link's own, and what claims ServiceImports. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"
#include "mirror/world_internal.h"

bool world_takes_exports(const struct world_link *link)
{
    const struct link *declaration = link->declaration;
    if (declaration->kind == LINK_LOCAL || declaration->refuses_exports)
        return false;
    return declaration->takes_exports || link->world->config.take_exports;
}

const struct target_export *target_export_of(const struct world_link *link, const struct service *service)
{
    char key[OBJECT_KEY_BYTES];
    if (!world_takes_exports(link))
        return NULL;
    object_key_format(key, service->meta.namespace, service->meta.name);
    return map_get(link->exports, key);
}

bool world_has_export(const struct world_link *link, const char *namespace, const char *name)
{
    const struct service service = {.meta = {.namespace = namespace, .name = name}};
    return target_export_of(link, &service) != NULL;
}

bool target_is_by_export(const struct claim *claim)
{
    const struct link *link = claim->link->declaration;
    const struct service *service = claim->service->service;
    return link->kind == LINK_RESOURCE && !selector_matches(&link->selector, &service->meta.labels) &&
           !selector_matches(&link->discovery_selector, &service->meta.labels) &&
           target_export_of(claim->link, service) != NULL;
}

bool cluster_exports_listed(const struct world *world, const char *cluster_name)
{
    for (const struct world_link *link = world_first_link(world); link != NULL; link = world_next_link(link))
        if (strcmp(link->declaration->cluster_name, cluster_name) == 0 && world_takes_exports(link) &&
            link->knowledge[WORLD_TARGET_EXPORTS] != WORLD_LISTED)
            return false;
    return true;
}

/* ---- the ServiceImport that a service claims ---- */

/* It has the exported service's own namespace and name, wherever its mirror lives: in a set of clusters a name means one thing. */
static struct claim *new_import(struct world_link *link, const char *key, struct target_service *entry)
{
    char name[OBJECT_KEY_BYTES], mirror_key[OBJECT_KEY_BYTES];
    const struct object_meta *meta = &entry->service->meta;
    (void)snprintf(name, sizeof(name), "%s" IMPORT_KEY_SUFFIX, meta->name);
    object_key_format(mirror_key, meta->namespace, name);
    struct claim *import = claim_new(CLAIM_IMPORT, link, key, mirror_key);
    if (import != NULL)
        import->service = entry;
    return import;
}

enum err_code target_claim_import(struct world_link *link, const char *key, struct target_service *entry)
{
    const struct target_export *export = entry->claim != NULL ? target_export_of(link, entry->service) : NULL;
    if (export == NULL) {
        claim_free(TAKE(entry->import));
        return ERR_OK;
    }
    if (entry->import == NULL)
        entry->import = new_import(link, key, entry);
    if (entry->import == NULL)
        return ERR_NOMEM;
    entry->import->exported_us = export->created_us;
    claims_sort(entry->import->mirror);
    return ERR_OK;
}

/* ---- what there is of them ---- */

static enum err_code put_export(struct world_link *link, const char *key, const struct object_meta *meta)
{
    struct target_export *export = map_get(link->exports, key);
    if (export != NULL && export->created_us == meta->created_us) {
        export->generation = link->generation[WORLD_TARGET_EXPORTS];
        return ERR_OK;
    }
    export = NEW(struct target_export);
    if (export == NULL || map_put(link->exports, key, export) != ERR_OK) {
        mem_free(export);
        return ERR_NOMEM;
    }
    *export =
        (struct target_export){.created_us = meta->created_us, .generation = link->generation[WORLD_TARGET_EXPORTS]};
    enum err_code code = target_exports_changed(link, key);
    /* Half of what follows from it would pass for all when it is listed again. */
    if (code != ERR_OK)
        (void)map_remove(link->exports, key);
    return code;
}

static void drop_export(struct world_link *link, const char *export_key)
{
    char key[OBJECT_KEY_BYTES];
    (void)snprintf(key, sizeof(key), "%s", export_key);
    if (!map_remove(link->exports, key))
        return;
    enum err_code never = target_exports_changed(link, key); /* an end is noted even without memory */
    (void)never;
}

enum err_code world_target_export(struct world_link *link, enum world_change change, const struct object_meta *export)
{
    char key[OBJECT_KEY_BYTES];
    object_key_format(key, export->namespace, export->name);
    /* One that is being deleted exports nothing any more, whatever holds it. */
    if (change == WORLD_DELETED || export->deleting || !world_takes_exports(link)) {
        drop_export(link, key);
        return ERR_OK;
    }
    return note_result(link, WORLD_TARGET_EXPORTS, put_export(link, key, export));
}

void target_sweep_exports(struct world_link *link)
{
    for (struct map_entry *at = map_first(link->exports), *next; at != NULL; at = next) {
        next = map_next(at);
        const struct target_export *export = map_value(at);
        if (export->generation != link->generation[WORLD_TARGET_EXPORTS])
            drop_export(link, map_key(at));
    }
}
