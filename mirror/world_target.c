/* A link's target as the world knows it: exported services, gateway Services, and whether services have ready endpoints. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"
#include "mirror/world_internal.h"

static void gateway_key_of(const struct service *service, char key[OBJECT_KEY_BYTES])
{
    object_key_format(key, kv_get(&service->meta.annotations, L5D_GATEWAY_NS),
                      kv_get(&service->meta.annotations, L5D_GATEWAY_NAME));
}

static bool has_text(const struct kv_list *list, const char *key)
{
    const char *value = kv_get(list, key);
    return value != NULL && value[0] != '\0';
}

/* svcmirror.io/export-to: without it to every source cluster. */
static bool is_for_us(const struct world_link *link, const struct service *service)
{
    const char *only = kv_get(&service->meta.annotations, EXPORT_TO);
    return only == NULL || text_list_has(only, link->world->config.cluster_name);
}

/* Whether it is to have a mirror of its own here. */
static bool is_exported(const struct world_link *link, const struct service *service)
{
    const struct link *declaration = link->declaration;
    const struct kv_list *annotations = &service->meta.annotations;
    if (!is_for_us(link, service))
        return false;
    if (declaration->kind == LINK_SECRET)
        return has_text(annotations, L5D_GATEWAY_NAME) && has_text(annotations, L5D_GATEWAY_NS);
    return selector_matches(&declaration->selector, &service->meta.labels) ||
           selector_matches(&declaration->discovery_selector, &service->meta.labels) ||
           (declaration->kind == LINK_RESOURCE && target_export_of(link, service) != NULL);
}

/* A local member is exported to nobody. Mirrors carry the labels of what they mirror, and are no members themselves. */
static bool is_member(const struct world_link *link, const struct service *service)
{
    bool local = link->declaration->kind == LINK_LOCAL;
    if (local ? kv_get(&service->meta.labels, L5D_MIRRORED_SERVICE) != NULL : !is_for_us(link, service))
        return false;
    return selector_matches(&link->declaration->federated_selector, &service->meta.labels);
}

static bool is_gateway(const struct link *link, const struct service *service)
{
    return link->kind == LINK_SECRET && gateway_is_possible(service);
}

/* ---- exported services ---- */

static enum err_code find_gateway(struct world_link *link, const struct service *service,
                                  struct world_gateway **ret_gateway)
{
    char key[OBJECT_KEY_BYTES] = "";
    if (link->declaration->kind == LINK_SECRET)
        gateway_key_of(service, key);
    return gateway_obtain(link, key, ret_gateway);
}

/* A claim never stands without its gateway: that is found first. */
static enum err_code claim_for(struct world_link *link, const char *key, struct target_service *entry)
{
    char mirror_key[OBJECT_KEY_BYTES];
    struct world_gateway *gateway = NULL;
    target_mirror_key(link, entry->service, mirror_key);
    TRY(find_gateway(link, entry->service, &gateway));
    struct claim *old = entry->claim;
    if (old == NULL || strcmp(old->mirror->key, mirror_key) != 0) {
        entry->claim = claim_new(CLAIM_SERVICE, link, key, mirror_key);
        if (entry->claim == NULL) {
            entry->claim = old;
            gateway_collect(gateway);
            return ERR_NOMEM;
        }
        entry->claim->service = entry;
        claim_name_gateway(entry->claim, gateway);
        claim_free(old);
    }
    claim_name_gateway(entry->claim, gateway);
    claim_count(entry->claim);
    claims_sort(entry->claim->mirror);
    return ERR_OK;
}

static enum err_code join_federated(struct world_link *link, const char *key, struct target_service *entry)
{
    char name[OBJECT_KEY_BYTES], mirror_key[OBJECT_KEY_BYTES];
    const struct object_meta *meta = &entry->service->meta;
    (void)snprintf(name, sizeof(name), "%s-federated", meta->name);
    object_key_format(mirror_key, meta->namespace, name);
    if (entry->federated == NULL) {
        entry->federated = claim_new(CLAIM_FEDERATED, link, key, mirror_key);
        if (entry->federated == NULL)
            return ERR_NOMEM;
        entry->federated->service = entry;
    }
    claims_sort(entry->federated->mirror);
    return ERR_OK;
}

/* Makes claims and gateway of the entry what its Service and the link say now. */
static enum err_code consider(struct world_link *link, struct map_entry *at)
{
    struct target_service *entry = map_value(at);
    if (is_exported(link, entry->service)) {
        TRY(claim_for(link, map_key(at), entry));
        target_keep_pods(link, map_key(at));
        if (entry->hosts != NULL || target_is_headless(link, entry))
            TRY(target_sync_hosts(link, map_key(at), entry));
    } else {
        target_drop_hosts(entry);
        claim_free(TAKE(entry->claim));
        target_keep_pods(link, map_key(at));
    }
    TRY(target_claim_import(link, map_key(at), entry));
    if (is_member(link, entry->service))
        return join_federated(link, map_key(at), entry);
    claim_free(TAKE(entry->federated));
    return ERR_OK;
}

static void drop_claims(struct target_service *entry)
{
    target_drop_hosts(entry);
    claim_free(TAKE(entry->claim));
    claim_free(TAKE(entry->import));
    claim_free(TAKE(entry->federated));
}

/* A ServiceExport may come at any time, and the watch of Services tells of none again. */
static bool is_wanted(const struct world_link *link, const struct service *service)
{
    return world_takes_exports(link) || is_exported(link, service) || is_member(link, service) ||
           is_gateway(link->declaration, service);
}

/* One that does not say so of itself is no gateway until an exported service names it. */
static enum err_code gateway_declared(struct world_link *link, const char *key, const struct service *service)
{
    struct world_gateway *gateway = map_get(link->gateways, key);
    if (gateway == NULL)
        return gateway_is_declared(service) ? gateway_obtain(link, key, &gateway) : ERR_OK;
    TRY(gateway_refresh(gateway));
    gateway_collect(gateway);
    return ERR_OK;
}

static void gateway_undeclared(struct world_link *link, const char *key)
{
    struct world_gateway *gateway = map_get(link->gateways, key);
    if (gateway == NULL)
        return;
    enum err_code never = gateway_refresh(gateway); /* an end is noted even without memory */
    (void)never;
    gateway_collect(gateway);
}

static void drop_service(struct world_link *link, const char *entry_key)
{
    /* The caller's key may be the entry's own, which goes with it. */
    char key[OBJECT_KEY_BYTES];
    (void)snprintf(key, sizeof(key), "%s", entry_key);
    struct target_service *entry = map_get(link->services, key);
    if (entry == NULL)
        return;
    drop_claims(entry); /* while their key is still there */
    link->kept_bytes -= budget_of_service(entry->service);
    (void)map_take(link->services, key);
    mem_free(entry->service);
    mem_free(entry);
    target_keep_pods(link, key);
    if (link->declaration->kind == LINK_SECRET)
        gateway_undeclared(link, key);
}

static enum err_code obtain_service(struct world_link *link, const char *key, struct target_service **ret_entry)
{
    *ret_entry = map_get(link->services, key);
    if (*ret_entry != NULL)
        return ERR_OK;
    struct target_service *entry = NEW(struct target_service);
    if (entry == NULL || map_put(link->services, key, entry) != ERR_OK) {
        mem_free(entry);
        return ERR_NOMEM;
    }
    *ret_entry = entry;
    return ERR_OK;
}

static enum err_code put_service(struct world_link *link, const char *key, const struct service *service, bool gateway)
{
    struct service *copy = service_copy(service);
    if (copy == NULL)
        return ERR_NOMEM;
    struct target_service *entry = NULL;
    if (obtain_service(link, key, &entry) != ERR_OK) {
        mem_free(copy);
        return ERR_NOMEM;
    }
    struct service *old = entry->service;
    bool was_gateway = old != NULL && is_gateway(link->declaration, old);
    entry->service = copy;
    link->kept_bytes += budget_of_service(copy);
    if (old != NULL)
        link->kept_bytes -= budget_of_service(old);
    mem_free(old);
    entry->generation = link->generation[WORLD_TARGET_SERVICES];
    enum err_code code = consider(link, map_seek(link->services, key));
    if (code == ERR_OK && gateway)
        code = gateway_declared(link, key, copy);
    if (code == ERR_OK && was_gateway && !gateway)
        gateway_undeclared(link, key);
    /* Half an entry would pass for known when the same version is listed again. */
    if (code != ERR_OK)
        drop_service(link, key);
    return code;
}

/* ---- Services that are there and cannot be read ---- */

static bool is_federated_key_of(const char *mirror_key, const char *key)
{
    size_t length = strlen(key);
    return strncmp(mirror_key, key, length) == 0 && strcmp(mirror_key + length, "-federated") == 0;
}

/* What was made of it may go now. Where that is, a Service that cannot be read does not tell; its mirrors do. */
static void readable_again(struct world_link *link, const char *key)
{
    struct origin origin;
    if (!map_remove(link->unreadable, key))
        return;
    link->kept_bytes -= budget_of_unreadable();
    for (struct map_entry *at = map_first(link->world->mirrors); at != NULL; at = map_next(at)) {
        struct mirror *mirror = map_value(at);
        if (mirror->service != NULL && (is_federated_key_of(mirror->key, key) ||
                                        (mirror_origin(mirror->service, &origin) && strcmp(origin.key, key) == 0)))
            world_mark(mirror, false);
    }
}

enum err_code world_target_unreadable(struct world_link *link, const char *namespace, const char *name)
{
    char key[OBJECT_KEY_BYTES];
    object_key_format(key, namespace, name);
    struct target_service *entry = map_get(link->services, key);
    if (entry != NULL)
        entry->generation = link->generation[WORLD_TARGET_SERVICES];
    bool is_new = map_get(link->unreadable, key) == NULL;
    if (is_new && !budget_allows(link, budget_of_unreadable(), 0))
        return budget_leave_out(link, WORLD_TARGET_SERVICES);
    uint32_t *generation = NEW(uint32_t);
    enum err_code code = generation != NULL ? map_put(link->unreadable, key, generation) : ERR_NOMEM;
    if (code != ERR_OK) {
        mem_free(generation);
        return note_result(link, WORLD_TARGET_SERVICES, code);
    }
    link->kept_bytes += is_new ? budget_of_unreadable() : 0;
    *generation = link->generation[WORLD_TARGET_SERVICES];
    return ERR_OK;
}

static void sweep_unreadable(struct world_link *link)
{
    for (struct map_entry *at = map_first(link->unreadable), *next; at != NULL; at = next) {
        char key[OBJECT_KEY_BYTES];
        next = map_next(at);
        (void)snprintf(key, sizeof(key), "%s", map_key(at));
        if (*(const uint32_t *)map_value(at) != link->generation[WORLD_TARGET_SERVICES])
            readable_again(link, key);
    }
}

bool target_is_unreadable(const struct world_link *link, const char *service_key)
{
    return map_get(link->unreadable, service_key) != NULL;
}

static bool says_gateway(const struct link *link, const struct service *service)
{
    return link->kind == LINK_SECRET && gateway_is_declared(service);
}

/* Whether it may be kept. Gateways that say so have a bound of their own: without its gateway a mirror would lose its endpoints. */
static bool fits(const struct world_link *link, const struct target_service *entry, const struct service *service)
{
    const struct service *old = entry != NULL ? entry->service : NULL;
    if (says_gateway(link->declaration, service))
        return (old != NULL && says_gateway(link->declaration, old)) || budget_allows_gateway(link);
    return budget_allows(link, budget_of_service(service) + (old == NULL ? budget_of_claim() : 0),
                         old != NULL ? budget_of_service(old) : 0);
}

enum err_code world_target_service(struct world_link *link, enum world_change change, const struct service *service)
{
    char key[OBJECT_KEY_BYTES];
    object_key_format(key, service->meta.namespace, service->meta.name);
    bool gateway = is_gateway(link->declaration, service);
    readable_again(link, key);
    if (change == WORLD_DELETED || !is_wanted(link, service)) {
        drop_service(link, key);
        return ERR_OK;
    }
    struct target_service *entry = map_get(link->services, key);
    if (entry != NULL && strcmp(entry->service->meta.resource_version, service->meta.resource_version) == 0) {
        entry->generation = link->generation[WORLD_TARGET_SERVICES];
        return ERR_OK;
    }
    if (!fits(link, entry, service)) {
        if (entry != NULL)
            entry->generation = link->generation[WORLD_TARGET_SERVICES];
        return budget_leave_out(link, WORLD_TARGET_SERVICES);
    }
    return note_result(link, WORLD_TARGET_SERVICES, put_service(link, key, service, gateway));
}

enum err_code target_exports_changed(struct world_link *link, const char *key)
{
    return map_get(link->services, key) != NULL ? consider(link, map_seek(link->services, key)) : ERR_OK;
}

enum err_code target_reconsider(struct world_link *link)
{
    if (!world_takes_exports(link)) { /* those that were taken before */
        map_clear(link->exports);
        link->knowledge[WORLD_TARGET_EXPORTS] = WORLD_UNKNOWN;
    }
    for (struct map_entry *at = map_first(link->services), *next; at != NULL; at = next) {
        next = map_next(at);
        struct target_service *entry = map_value(at);
        if (!is_wanted(link, entry->service))
            drop_service(link, map_key(at));
        else
            TRY(consider(link, at));
    }
    return ERR_OK;
}

/* ---- end of a listing, end of a link ---- */

void target_sweep(struct world_link *link, enum world_collection collection)
{
    if (collection == WORLD_TARGET_SERVICES)
        sweep_unreadable(link);
    if (collection == WORLD_TARGET_GATEWAY) {
        gateway_sweep(link);
        return;
    }
    if (collection == WORLD_TARGET_EXPORTS) {
        target_sweep_exports(link);
        return;
    }
    struct map *map = collection == WORLD_TARGET_SERVICES ? link->services : link->slices;
    for (struct map_entry *at = map_first(map), *next; at != NULL; at = next) {
        next = map_next(at);
        if (collection == WORLD_TARGET_SLICES) {
            const struct target_slice *slice = map_value(at);
            if (slice->generation != link->generation[collection])
                target_drop_slice(link, map_key(at));
            continue;
        }
        const struct target_service *service = map_value(at);
        if (service->generation != link->generation[collection])
            drop_service(link, map_key(at));
    }
    if (collection == WORLD_TARGET_SERVICES)
        gateways_sweep_recalled(link);
}

void target_forget(struct world_link *link)
{
    for (struct map_entry *at = map_first(link->services); at != NULL; at = map_first(link->services)) {
        struct target_service *entry = map_value(at);
        drop_claims(entry);
        link->kept_bytes -= budget_of_service(entry->service);
        (void)map_take(link->services, map_key(at));
        mem_free(entry->service);
        mem_free(entry);
    }
    for (struct map_entry *at = map_first(link->slices); at != NULL; at = map_first(link->slices)) {
        struct target_slice *slice = map_take(link->slices, map_key(at));
        link->kept_bytes -= budget_of_slice(slice);
        target_free_slice(slice);
    }
    map_clear(link->endpoints);
    map_clear(link->exports);
}
