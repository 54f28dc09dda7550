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

/* Whether it is to have a mirror of its own here, as far as the Service says. */
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
    return link->kind == LINK_SECRET && gateway_is_candidate(service);
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

/* The key of the federated service of which the target's Service of that key may be a member: its name is Linkerd's rule. */
static void federated_key(const char *key, char ret_key[OBJECT_KEY_BYTES])
{
    (void)snprintf(ret_key, OBJECT_KEY_BYTES, "%.*s-federated", OBJECT_KEY_BYTES - (int)sizeof("-federated"), key);
}

static enum err_code join_federated(struct world_link *link, const char *key, struct target_service *entry)
{
    char mirror_key[OBJECT_KEY_BYTES];
    federated_key(key, mirror_key);
    if (entry->federated == NULL) {
        entry->federated = claim_new(CLAIM_FEDERATED, link, key, mirror_key);
        if (entry->federated == NULL)
            return ERR_NOMEM;
        entry->federated->service = entry;
    }
    claims_sort(entry->federated->mirror);
    return ERR_OK;
}

/* ---- which watches show what ---- */

static enum world_collection collection_of(enum target_view view)
{
    return view == VIEW_SERVICES ? WORLD_TARGET_SERVICES : WORLD_TARGET_MEMBERS;
}

bool target_is_listed(const struct world_link *link)
{
    return world_knowledge(link->world, link, WORLD_TARGET_SERVICES) == WORLD_LISTED;
}

static void note_seen(const struct world_link *link, struct sightings *sightings, enum target_view view)
{
    sightings->seen[view] = link->generation[collection_of(view)];
}

static bool is_seen(const struct world_link *link, const struct sightings *sightings, enum target_view view)
{
    return sightings->seen[link->members_apart ? view : VIEW_SERVICES] != 0;
}

static enum target_view other_view(enum target_view view)
{
    return view == VIEW_SERVICES ? VIEW_MEMBERS : VIEW_SERVICES;
}

static bool is_seen_elsewhere(const struct world_link *link, const struct sightings *sightings, enum target_view view)
{
    return link->members_apart && sightings->seen[other_view(view)] != 0;
}

/* Makes claims and gateway of the entry what its Service and the link say now. */
static enum err_code consider(struct world_link *link, struct map_entry *at)
{
    struct target_service *entry = map_value(at);
    if (is_seen(link, &entry->sightings, VIEW_SERVICES) && is_exported(link, entry->service)) {
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
    if (is_seen(link, &entry->sightings, VIEW_MEMBERS) && is_member(link, entry->service))
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

/* Without memory for it nobody will have seen it in this view, where it will be listed again: half an entry would pass for known when the same version
 * is shown again. */
static void unlearn(struct world_link *link, const char *key, enum target_view view)
{
    struct target_service *entry = map_get(link->services, key);
    if (is_seen_elsewhere(link, &entry->sightings, view))
        entry->sightings.seen[view] = 0;
    else
        drop_service(link, key);
}

static enum err_code put_service(struct world_link *link, const char *key, enum target_view view,
                                 const struct service *service, bool gateway)
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
    entry->behind = is_seen_elsewhere(link, &entry->sightings, view);
    entry->teller = (uint8_t)view;
    note_seen(link, &entry->sightings, view);
    enum err_code code = consider(link, map_seek(link->services, key));
    if (code == ERR_OK && gateway)
        code = gateway_declared(link, key, copy);
    if (code == ERR_OK && was_gateway && !gateway)
        gateway_undeclared(link, key);
    if (code != ERR_OK)
        unlearn(link, key, view);
    return code;
}

/* A view shows what is known, or what the other has told a newer version of. */
static enum err_code see_again(struct world_link *link, const char *key, enum target_view view,
                               const struct service *service)
{
    struct map_entry *at = map_seek(link->services, key);
    struct target_service *entry = map_value(at);
    bool is_news = !is_seen(link, &entry->sightings, view);
    if (entry->teller != view)
        entry->behind = strcmp(entry->service->meta.resource_version, service->meta.resource_version) != 0;
    note_seen(link, &entry->sightings, view);
    enum err_code code = is_news ? consider(link, at) : ERR_OK;
    if (code != ERR_OK)
        unlearn(link, key, view);
    return code;
}

static bool is_number(const char *text) { return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0'; }

/* Resource versions may be compared as numbers (Kubernetes' API concepts, "resource versions"). */
static bool is_older(const char *version, const char *than)
{
    size_t bytes = strlen(version), than_bytes = strlen(than);
    if (!is_number(version) || !is_number(than))
        return false;
    return bytes != than_bytes ? bytes < than_bytes : strcmp(version, than) < 0;
}

/* A view shows it no longer. Needs no memory: what the other view shows of it is claimed already.
 * @param version  in which it went; NULL: a listing did not have it. */
static void lose_sight(struct world_link *link, const char *key, enum target_view view, const char *version)
{
    struct target_service *entry = map_get(link->services, key);
    if (entry == NULL)
        return;
    if (!is_seen_elsewhere(link, &entry->sightings, view)) {
        drop_service(link, key);
        return;
    }
    entry->sightings.seen[view] = 0;
    /* What the other showed last was not kept. A version that follows what is kept it will be told, too; else it may have nothing newer to show. */
    if (entry->teller == view && entry->behind &&
        !(version != NULL && is_older(entry->service->meta.resource_version, version)))
        want_listing(link, collection_of(other_view(view)), true);
    if (view == VIEW_SERVICES) {
        target_drop_hosts(entry);
        claim_free(TAKE(entry->claim));
        target_keep_pods(link, map_key(map_seek(link->services, key)));
    } else {
        claim_free(TAKE(entry->federated));
    }
}

/* What the view shows is known: the same version, or one that another view which shows the object was ahead of. A view itself never goes back, except
 * with its whole cluster, or for a moment when its watch begins anew, and is believed then. */
static bool is_known(const struct world_link *link, const struct target_service *entry, enum target_view view,
                     const struct service *service)
{
    const char *kept = entry->service->meta.resource_version, *shown = service->meta.resource_version;
    if (strcmp(kept, shown) == 0)
        return true;
    return entry->teller != view && is_seen_elsewhere(link, &entry->sightings, view) && is_older(shown, kept);
}

/* ---- Services that are there and cannot be read ---- */

/* What was made of it may go now. Where that is, a Service that cannot be read does not tell; its mirrors do. */
static void mark_made_of(struct world_link *link, const char *key)
{
    struct origin origin;
    char of_members[OBJECT_KEY_BYTES];
    federated_key(key, of_members);
    struct mirror *federated = map_get(link->world->mirrors, of_members);
    if (federated != NULL)
        world_mark(federated, false);
    for (struct map_entry *at = map_first(link->world->mirrors); at != NULL; at = map_next(at)) {
        struct mirror *mirror = map_value(at);
        if (mirror->service != NULL && mirror_origin(mirror->service, &origin) && strcmp(origin.key, key) == 0)
            world_mark(mirror, false);
    }
}

/* The view shows nothing unreadable of that name any more. */
static void lose_sight_of_unreadable(struct world_link *link, const char *key, enum target_view view)
{
    struct sightings *sightings = map_get(link->unreadable, key);
    if (sightings == NULL || !is_seen(link, sightings, view))
        return;
    if (is_seen_elsewhere(link, sightings, view)) {
        sightings->seen[view] = 0;
    } else {
        link->kept_bytes -= budget_of_unreadable();
        (void)map_remove(link->unreadable, key);
    }
    mark_made_of(link, key);
}

static enum err_code see_unreadable(struct world_link *link, enum target_view view, const char *namespace,
                                    const char *name)
{
    char key[OBJECT_KEY_BYTES];
    object_key_format(key, namespace, name);
    struct target_service *entry = map_get(link->services, key);
    struct sightings *sightings = map_get(link->unreadable, key);
    if (entry != NULL && is_seen(link, &entry->sightings, view))
        note_seen(link, &entry->sightings, view);
    if (sightings == NULL) {
        if (!budget_allows(link, budget_of_unreadable(), 0))
            return budget_leave_out(link, collection_of(view));
        sightings = NEW(struct sightings);
        enum err_code code = sightings != NULL ? map_put(link->unreadable, key, sightings) : ERR_NOMEM;
        if (code != ERR_OK) {
            mem_free(sightings);
            return note_result(link, collection_of(view), code);
        }
        link->kept_bytes += budget_of_unreadable();
    }
    note_seen(link, sightings, view);
    return ERR_OK;
}

enum err_code world_target_unreadable(struct world_link *link, const char *namespace, const char *name)
{
    return see_unreadable(link, VIEW_SERVICES, namespace, name);
}

enum err_code world_target_member_unreadable(struct world_link *link, const char *namespace, const char *name)
{
    return see_unreadable(link, VIEW_MEMBERS, namespace, name);
}

/* Not in the listing that is complete now, and seen before it. */
static bool is_out_of_sight(const struct world_link *link, const struct sightings *sightings, enum target_view view)
{
    return sightings->seen[view] != 0 && sightings->seen[view] != link->generation[collection_of(view)];
}

static void sweep_unreadable(struct world_link *link, enum target_view view)
{
    for (struct map_entry *at = map_first(link->unreadable), *next; at != NULL; at = next) {
        char key[OBJECT_KEY_BYTES];
        next = map_next(at);
        (void)snprintf(key, sizeof(key), "%s", map_key(at));
        if (is_out_of_sight(link, map_value(at), view))
            lose_sight_of_unreadable(link, key, view);
    }
}

static void sweep_services(struct world_link *link, enum target_view view)
{
    sweep_unreadable(link, view);
    for (struct map_entry *at = map_first(link->services), *next; at != NULL; at = next) {
        next = map_next(at);
        const struct target_service *entry = map_value(at);
        if (is_out_of_sight(link, &entry->sightings, view))
            lose_sight(link, map_key(at), view, NULL);
    }
    if (view == VIEW_SERVICES)
        gateways_sweep_recalled(link);
}

bool target_is_unreadable(const struct world_link *link, const char *service_key, enum target_view view)
{
    const struct sightings *sightings = map_get(link->unreadable, service_key);
    return sightings != NULL && is_seen(link, sightings, view);
}

static bool says_gateway(const struct link *link, const struct service *service)
{
    return link->kind == LINK_SECRET && gateway_is_declared(service);
}

/* Whether it may be kept. Gateways that say so have a bound of their own: without its gateway a mirror would lose its endpoints.
 * @param service  as it is to be kept: the entry's own, when that stays. */
static bool fits(const struct world_link *link, const struct target_service *entry, enum target_view view,
                 const struct service *service)
{
    const struct service *old = entry != NULL ? entry->service : NULL;
    bool is_news = entry == NULL || !is_seen(link, &entry->sightings, view);
    if (says_gateway(link->declaration, service))
        return (old != NULL && says_gateway(link->declaration, old)) || budget_allows_gateway(link);
    return budget_allows(link, budget_of_service(service) + (is_news ? budget_of_claim() : 0),
                         old != NULL ? budget_of_service(old) : 0);
}

static enum err_code leave_out(struct world_link *link, struct target_service *entry, enum target_view view)
{
    if (entry != NULL && is_seen(link, &entry->sightings, view))
        note_seen(link, &entry->sightings, view);
    return budget_leave_out(link, collection_of(view));
}

static enum err_code see_service(struct world_link *link, enum target_view view, enum world_change change,
                                 const struct service *service)
{
    char key[OBJECT_KEY_BYTES];
    object_key_format(key, service->meta.namespace, service->meta.name);
    lose_sight_of_unreadable(link, key, view);
    if (change == WORLD_DELETED || !is_wanted(link, service)) {
        lose_sight(link, key, view, service->meta.resource_version);
        return ERR_OK;
    }
    struct target_service *entry = map_get(link->services, key);
    bool known = entry != NULL && is_known(link, entry, view, service);
    if (!fits(link, entry, view, known ? entry->service : service))
        return leave_out(link, entry, view);
    bool gateway = is_gateway(link->declaration, service);
    return note_result(link, collection_of(view),
                       known ? see_again(link, key, view, service) : put_service(link, key, view, service, gateway));
}

enum err_code world_target_service(struct world_link *link, enum world_change change, const struct service *service)
{
    return see_service(link, VIEW_SERVICES, change, service);
}

enum err_code world_target_member(struct world_link *link, enum world_change change, const struct service *service)
{
    return see_service(link, VIEW_MEMBERS, change, service);
}

enum err_code world_watch_members_apart(struct world_link *link, bool apart)
{
    if (link->members_apart == apart)
        return ERR_OK;
    /* What either showed is known until the next listing. */
    for (struct map_entry *at = map_first(link->services); at != NULL; at = map_next(at)) {
        struct target_service *entry = map_value(at);
        note_seen(link, &entry->sightings, VIEW_SERVICES);
        note_seen(link, &entry->sightings, VIEW_MEMBERS);
    }
    for (struct map_entry *at = map_first(link->unreadable); at != NULL; at = map_next(at)) {
        note_seen(link, map_value(at), VIEW_SERVICES);
        note_seen(link, map_value(at), VIEW_MEMBERS);
    }
    world_set_unknown(link, WORLD_TARGET_SERVICES);
    world_set_unknown(link, WORLD_TARGET_MEMBERS);
    want_listing(link, WORLD_TARGET_SERVICES, false);
    want_listing(link, WORLD_TARGET_MEMBERS, false);
    budget_forget_left_out(link, WORLD_TARGET_MEMBERS);
    link->members_apart = apart;
    enum err_code code = target_reconsider(link);
    if (code != ERR_OK)
        link->members_apart = !apart; /* to be tried again as a whole */
    return code;
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
    if (collection == WORLD_TARGET_SERVICES || collection == WORLD_TARGET_MEMBERS) {
        sweep_services(link, collection == WORLD_TARGET_SERVICES ? VIEW_SERVICES : VIEW_MEMBERS);
        return;
    }
    if (collection == WORLD_TARGET_GATEWAY) {
        gateway_sweep(link);
        return;
    }
    if (collection == WORLD_TARGET_EXPORTS) {
        target_sweep_exports(link);
        return;
    }
    for (struct map_entry *at = map_first(link->slices), *next; at != NULL; at = next) {
        next = map_next(at);
        const struct target_slice *slice = map_value(at);
        if (slice->generation != link->generation[collection])
            target_drop_slice(link, map_key(at));
    }
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
