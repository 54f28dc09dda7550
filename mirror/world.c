#include "mirror/world.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"
#include "mirror/world_internal.h"

static void free_mirror(void *value)
{
    struct mirror *mirror = value;
    mem_free(mirror->service);
    mem_free(mirror->seen);
    mem_free(mirror->rewrites);
    mem_free(mirror);
}

static void free_source_slice(void *value)
{
    struct source_slice *entry = value;
    mem_free(entry->slice);
    mem_free(entry);
}

static void free_link(void *value)
{
    struct world_link *link = value;
    for (unsigned which = 0; which < WORLD_COLLECTIONS; which++)
        want_listing(link, which, false);
    map_free(link->services);
    map_free(link->slices);
    map_free(link->endpoints);
    map_free(link->gateways);
    map_free(link->exports);
    map_free(link->unreadable);
    mem_free(link->named.service);
    link_free(link->declaration);
    mem_free(link);
}

struct world *world_new(const struct world_config *config)
{
    struct world *world = NEW(struct world);
    if (world == NULL)
        return NULL;
    world->config = *config;
    world->import_status = true;
    world->links = map_new(free_link);
    world->mirrors = map_new(free_mirror);
    world->slices = map_new(free_source_slice);
    world->namespaces = map_new(mem_free);
    world->cidrs = map_new(mem_free);
    world->unlinked = map_new(NULL);
    if (world->links == NULL || world->mirrors == NULL || world->slices == NULL || world->namespaces == NULL ||
        world->cidrs == NULL || world->unlinked == NULL) {
        world_free(world);
        return NULL;
    }
    return world;
}

void world_free(struct world *world)
{
    if (world == NULL)
        return;
    if (world->links != NULL)
        for (struct world_link *link = world_first_link(world); link != NULL; link = world_first_link(world))
            world_remove_link(world, link);
    map_free(world->links);
    map_free(world->slices);
    map_free(world->mirrors);
    map_free(world->namespaces);
    map_free(world->cidrs);
    map_free(world->unlinked);
    mem_free(world);
}

/* ---- links ---- */

static struct world_link *link_new(struct world *world, const struct link *declaration)
{
    struct world_link *link = NEW(struct world_link);
    if (link == NULL)
        return NULL;
    link->world = world;
    for (unsigned which = 0; which < LANES; which++)
        link->lanes[which].link = link;
    for (unsigned which = 0; which < WORLD_COLLECTIONS; which++)
        link->generation[which] = 1; /* 0: never seen */
    link->declaration = link_copy(declaration);
    link->services = map_new(NULL); /* its entries are freed by target_forget(), which needs the rest of the link */
    link->slices = map_new(NULL);
    link->endpoints = map_new(mem_free);
    link->gateways = map_new(NULL);
    link->exports = map_new(mem_free);
    link->unreadable = map_new(mem_free);
    if (link->declaration == NULL || link->services == NULL || link->slices == NULL || link->endpoints == NULL ||
        link->gateways == NULL || link->exports == NULL || link->unreadable == NULL ||
        map_put(world->links, declaration->id, link) != ERR_OK) {
        free_link(link);
        return NULL;
    }
    link->id = map_key(map_seek(world->links, declaration->id));
    return link;
}

bool is_federated(const struct service *service)
{
    return service != NULL && kv_get(&service->meta.labels, L5D_CLUSTER_NAME) == NULL &&
           (kv_get(&service->meta.annotations, L5D_REMOTE_DISCOVERY) != NULL ||
            kv_get(&service->meta.annotations, L5D_LOCAL_DISCOVERY) != NULL);
}

/* Any federated service may have a member of the cluster, and a mirror that names no cluster may have been made for it. */
static void mark_cluster(struct world *world, const char *cluster_name)
{
    for (struct map_entry *entry = map_first(world->mirrors); entry != NULL; entry = map_next(entry)) {
        struct mirror *mirror = map_value(entry);
        if (mirror->service == NULL)
            continue;
        const char *cluster = kv_get(&mirror->service->meta.labels, L5D_CLUSTER_NAME);
        if (cluster == NULL || strcmp(cluster, cluster_name) == 0)
            world_mark(mirror, false);
    }
}

/* Makes gateways and claims what the declaration says. A Link resource has its one gateway from the start, with or without
 * services. */
static enum err_code apply_declaration(struct world_link *link)
{
    struct world_gateway *gateway = NULL;
    if (link->declaration->kind == LINK_RESOURCE)
        TRY(gateway_obtain(link, "", &gateway));
    for (gateway = world_first_gateway(link); gateway != NULL; gateway = world_next_gateway(gateway))
        TRY(gateway_refresh(gateway));
    TRY(gateways_recall(link));
    return target_reconsider(link);
}

/* Takes the link away, without saying that its mirrors are to go. */
static void forget_link(struct world_link *link)
{
    target_forget(link);
    while (map_first(link->gateways) != NULL)
        gateway_remove(map_value(map_first(link->gateways)));
    lanes_clear(link);
    (void)map_remove(link->world->links, link->id);
}

void world_note_unlinked(struct world *world, const char *cluster_name)
{
    /* Out of memory here only delays the clean-up until the next start, which finds the mirrors by who made them. */
    enum err_code ignored = map_put(world->unlinked, cluster_name, world);
    (void)ignored;
    mark_cluster(world, cluster_name);
}

static enum err_code redeclare(struct world_link *link, const struct link *declaration)
{
    struct link *copy = link_copy(declaration);
    if (copy == NULL)
        return ERR_NOMEM;
    struct link *old = link->declaration;
    const struct named_gateway old_named = link->named;
    const enum world_knowledge old_knowledge = link->knowledge[WORLD_TARGET_GATEWAY];
    link->declaration = copy;
    bool other_gateway = !text_equal(old->gateway_service, copy->gateway_service);
    if (other_gateway) {
        link->named = (struct named_gateway){NULL, 0, false};
        link->knowledge[WORLD_TARGET_GATEWAY] = WORLD_UNKNOWN;
    }
    if (apply_declaration(link) != ERR_OK) {
        /* Back to what was, as far as that goes without memory; the caller declares it again. */
        link->declaration = old;
        link->named = old_named;
        link->knowledge[WORLD_TARGET_GATEWAY] = old_knowledge;
        link_free(copy);
        enum err_code ignored = apply_declaration(link);
        (void)ignored;
        return ERR_NOMEM;
    }
    if (other_gateway)
        mem_free(old_named.service);
    if (strcmp(old->cluster_name, copy->cluster_name) != 0)
        world_note_unlinked(link->world, old->cluster_name);
    link_free(old);
    return ERR_OK;
}

enum err_code world_put_link(struct world *world, const struct link *declaration, struct world_link **ret_link)
{
    struct world_link *link = map_get(world->links, declaration->id);
    if (link == NULL) {
        link = link_new(world, declaration);
        if (link == NULL)
            return ERR_NOMEM;
        if (apply_declaration(link) != ERR_OK) {
            forget_link(link);
            return ERR_NOMEM;
        }
    } else {
        TRY(redeclare(link, declaration));
    }
    world->wants_imports = world->wants_imports || world_takes_exports(link);
    (void)map_remove(world->unlinked, declaration->cluster_name);
    mark_cluster(world, declaration->cluster_name);
    *ret_link = link;
    return ERR_OK;
}

void world_remove_link(struct world *world, struct world_link *link)
{
    if (link == NULL)
        return;
    char cluster_name[64];
    (void)snprintf(cluster_name, sizeof(cluster_name), "%s", link->declaration->cluster_name);
    forget_link(link);
    world_note_unlinked(world, cluster_name);
}

void world_set_links_complete(struct world *world, bool complete)
{
    if (world->links_complete == complete)
        return;
    world->links_complete = complete;
    if (complete)
        mark_where(world, NULL);
}

const struct link *world_link_declaration(const struct world_link *link) { return link->declaration; }

struct world_link *world_first_link(const struct world *world)
{
    struct map_entry *entry = map_first(world->links);
    return entry != NULL ? map_value(entry) : NULL;
}

struct world_link *world_next_link(const struct world_link *link)
{
    struct map_entry *entry = map_next(map_entry_of(link->id));
    return entry != NULL ? map_value(entry) : NULL;
}

struct world_link *world_find_link(const struct world *world, const char *id) { return map_get(world->links, id); }

bool cluster_is_linked(const struct world *world, const char *cluster_name, bool *ret_listed)
{
    bool linked = false;
    *ret_listed = true;
    for (const struct world_link *link = world_first_link(world); link != NULL; link = world_next_link(link)) {
        if (strcmp(link->declaration->cluster_name, cluster_name) != 0)
            continue;
        linked = true;
        *ret_listed = *ret_listed && budget_is_complete(link);
    }
    return linked;
}

/* Copies the first label of a domain name. @return the rest. */
static const char *take_label(const char *domain, char ret_label[OBJECT_KEY_BYTES])
{
    size_t length = strcspn(domain, ".");
    (void)snprintf(ret_label, OBJECT_KEY_BYTES, "%.*s", (int)length, domain);
    return domain[length] == '.' ? domain + length + 1 : domain + length;
}

/* In an annotation: "<service>.<namespace>.svc.<domain>", of a hostname's mirror "<hostname>." before it. */
bool mirror_origin(const struct service *service, struct origin *ret_origin)
{
    const char *rest = kv_get(&service->meta.annotations, L5D_REMOTE_SVC_FQ_NAME);
    char name[OBJECT_KEY_BYTES], namespace[OBJECT_KEY_BYTES];
    if (rest == NULL)
        return false;
    ret_origin->hostname[0] = '\0';
    if (kv_get(&service->meta.labels, L5D_HEADLESS_MIRROR) != NULL)
        rest = take_label(rest, ret_origin->hostname);
    rest = take_label(rest, name);
    (void)take_label(rest, namespace);
    object_key_format(ret_origin->key, namespace, name);
    return true;
}

bool is_made_of_unreadable(const struct world *world, const struct mirror *mirror, const char *cluster_name)
{
    struct origin origin;
    if (!mirror_origin(mirror->service, &origin))
        return false;
    for (const struct world_link *link = world_first_link(world); link != NULL; link = world_next_link(link))
        if ((cluster_name == NULL || strcmp(link->declaration->cluster_name, cluster_name) == 0) &&
            target_is_unreadable(link, origin.key, VIEW_SERVICES))
            return true;
    return false;
}

/* ---- knowledge ---- */

static enum world_knowledge *knowledge_of(struct world *world, struct world_link *link,
                                          enum world_collection collection)
{
    return link != NULL ? &link->knowledge[collection] : &world->knowledge[collection];
}

enum world_knowledge world_knowledge(const struct world *world, const struct world_link *link,
                                     enum world_collection collection)
{
    if (link == NULL)
        return world->knowledge[collection];
    if (collection == WORLD_TARGET_SERVICES && link->members_apart &&
        link->knowledge[WORLD_TARGET_SERVICES] == WORLD_LISTED)
        return link->knowledge[WORLD_TARGET_MEMBERS];
    return link->knowledge[collection];
}

void world_begin(struct world *world, struct world_link *link, enum world_collection collection)
{
    if (link != NULL) {
        link->generation[collection]++;
        budget_note_listing(link, collection);
        want_listing(link, collection, false);
    } else {
        world->generation[collection]++;
    }
}

static bool slices_may_be_had(const struct world_link *link)
{
    return target_is_listed(link) && link->knowledge[WORLD_TARGET_SLICES] == WORLD_LISTED &&
           !link->stale[WORLD_TARGET_SLICES];
}

bool world_wants_listing(const struct world_link *link, enum world_collection collection)
{
    return link->wanted[collection] && (collection != WORLD_TARGET_SLICES || slices_may_be_had(link));
}

bool world_any_wants_listing(const struct world *world) { return world->wanted > 0; }

bool world_awaits_slices(const struct world_link *link) { return link->slices_awaited && slices_may_be_had(link); }

/* A collection that becomes known may allow deletes or settle readiness. */
static void knowledge_changed(struct world *world, struct world_link *link, enum world_collection collection)
{
    if (link == NULL) {
        if (collection == WORLD_SOURCE_CIDRS || collection == WORLD_SOURCE_SERVICES)
            world->cidrs_version++;
        if (collection != WORLD_SOURCE_CIDRS) /* no plan depends on them */
            mark_where(world, NULL);
        return;
    }
    mark_cluster(world, link->declaration->cluster_name);
    for (struct claim *claim = world_first_claim(link); claim != NULL; claim = world_next_claim(claim))
        world_mark(claim->mirror, false);
    for (struct world_gateway *gateway = world_first_gateway(link); gateway != NULL;
         gateway = world_next_gateway(gateway))
        gateway_mark(gateway, false);
}

void want_listing(struct world_link *link, enum world_collection collection, bool wanted)
{
    if (link->wanted[collection] == wanted)
        return;
    link->wanted[collection] = wanted;
    link->world->wanted += wanted ? 1 : (size_t)-1;
}

enum err_code note_result(struct world_link *link, enum world_collection collection, enum err_code code)
{
    if (code == ERR_NOMEM && link->knowledge[collection] == WORLD_LISTED)
        link->knowledge[collection] = WORLD_UNKNOWN;
    return code;
}

void world_set_unknown(struct world_link *link, enum world_collection collection)
{
    link->knowledge[collection] = WORLD_UNKNOWN;
    link->stale[collection] = false;
}

void world_set_unavailable(struct world *world, struct world_link *link, enum world_collection collection)
{
    enum world_knowledge *knowledge = knowledge_of(world, link, collection);
    /* What was listed once stays listed: a right lost later makes the view old, not empty. */
    if (link != NULL && *knowledge == WORLD_LISTED && !link->stale[collection]) {
        link->stale[collection] = true;
        if (collection == WORLD_TARGET_SLICES) {
            /* A mirror that nothing claims, for want of memory, stays as it is: target_has_host(). */
            enum err_code ignored = target_rehost(link);
            (void)ignored;
        }
        knowledge_changed(world, link, collection);
    }
    if (*knowledge != WORLD_UNKNOWN)
        return;
    *knowledge = WORLD_UNAVAILABLE;
    if (link != NULL && collection == WORLD_TARGET_SLICES && target_rehost(link) != ERR_OK) {
        *knowledge = WORLD_UNKNOWN; /* the next failure to read it comes here again */
        return;
    }
    knowledge_changed(world, link, collection);
}

static void source_listed(struct world *world, enum world_collection collection)
{
    source_sweep(world, collection);
    if (collection == WORLD_SOURCE_IMPORTS)
        world->import_status = true;
    if (world->knowledge[collection] == WORLD_LISTED)
        return;
    world->knowledge[collection] = WORLD_LISTED;
    knowledge_changed(world, NULL, collection);
}

void world_serve_imports(struct world *world, const char *version)
{
    enum world_knowledge *knowledge = &world->knowledge[WORLD_SOURCE_IMPORTS];
    world->import_version = version;
    if (version != NULL && *knowledge == WORLD_UNAVAILABLE) {
        *knowledge = WORLD_UNKNOWN; /* until they are listed */
    } else if (version == NULL) {
        world_begin(world, NULL, WORLD_SOURCE_IMPORTS);
        source_sweep(world, WORLD_SOURCE_IMPORTS);
        *knowledge = WORLD_UNAVAILABLE;
        knowledge_changed(world, NULL, WORLD_SOURCE_IMPORTS);
    }
}

const char *world_import_version(const struct world *world) { return world->import_version; }

void world_set_import_status(struct world *world, bool writable) { world->import_status = writable; }

bool world_wants_imports(const struct world *world) { return world->wants_imports; }

void world_end(struct world *world, struct world_link *link, enum world_collection collection)
{
    if (link == NULL) {
        source_listed(world, collection);
        return;
    }
    bool news =
        link->knowledge[collection] != WORLD_LISTED || link->stale[collection] || link->left_out_before[collection] > 0;
    budget_note_listed(link, collection);
    if (link->left_out[collection] > 0 && collection == WORLD_TARGET_SLICES) {
        target_sweep(link, collection);
        world_set_unavailable(world, link, collection);
        return;
    }
    link->knowledge[collection] = WORLD_LISTED;
    link->stale[collection] = false;
    if (collection == WORLD_TARGET_SLICES)
        link->slices_awaited = link->wanted[WORLD_TARGET_SLICES];
    target_sweep(link, collection);
    /* Of Services nothing follows before both watches have listed them. */
    if (!news ||
        ((collection == WORLD_TARGET_SERVICES || collection == WORLD_TARGET_MEMBERS) && !target_is_listed(link)))
        return;
    if (collection == WORLD_TARGET_SLICES) {
        enum err_code never = target_rehost(link);
        (void)never;
    }
    knowledge_changed(world, link, collection);
}
