#include "mirror/world.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"
#include "mirror/world_internal.h"

/* An update that somebody keeps undoing is written again at this pace: from at once to one in five minutes. */
enum { REWRITE_FIRST_MS = 200, REWRITE_CAP_MS = 300 * 1000, REWRITE_QUIET_MS = 10 * 1000 };

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
    map_free(link->services);
    map_free(link->slices);
    map_free(link->endpoints);
    map_free(link->gateways);
    map_free(link->unreadable);
    link_free(link->declaration);
    mem_free(link);
}

struct world *world_new(const struct world_config *config)
{
    struct world *world = NEW(struct world);
    if (world == NULL)
        return NULL;
    world->config = *config;
    world->links = map_new(free_link);
    world->mirrors = map_new(free_mirror);
    world->slices = map_new(free_source_slice);
    world->namespaces = map_new(mem_free);
    world->unlinked = map_new(NULL);
    if (world->links == NULL || world->mirrors == NULL || world->slices == NULL || world->namespaces == NULL ||
        world->unlinked == NULL) {
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
    map_free(world->unlinked);
    mem_free(world);
}

/* ---- mirrors ---- */

struct mirror *mirror_obtain(struct world *world, const char *key)
{
    struct mirror *mirror = map_get(world->mirrors, key);
    if (mirror != NULL)
        return mirror;
    mirror = NEW(struct mirror);
    if (mirror == NULL)
        return NULL;
    mirror->world = world;
    if (map_put(world->mirrors, key, mirror) != ERR_OK) {
        mem_free(mirror);
        return NULL;
    }
    mirror->key = map_key(map_seek(world->mirrors, key));
    return mirror;
}

static void queue_remove(struct mirror *mirror)
{
    if (!mirror->queued)
        return;
    struct mirror_queue *queue = mirror->urgent ? &mirror->world->urgent : &mirror->world->normal;
    *(mirror->queue_previous != NULL ? &mirror->queue_previous->queue_next : &queue->first) = mirror->queue_next;
    *(mirror->queue_next != NULL ? &mirror->queue_next->queue_previous : &queue->last) = mirror->queue_previous;
    mirror->queue_next = mirror->queue_previous = NULL;
    mirror->queued = false;
    mirror->world->queued--;
}

static void queue_append(struct mirror *mirror)
{
    struct mirror_queue *queue = mirror->urgent ? &mirror->world->urgent : &mirror->world->normal;
    mirror->queue_previous = queue->last;
    mirror->queue_next = NULL;
    *(queue->last != NULL ? &queue->last->queue_next : &queue->first) = mirror;
    queue->last = mirror;
    mirror->queued = true;
    mirror->world->queued++;
}

void mirror_collect(struct mirror *mirror)
{
    if (mirror->claims != NULL || mirror->service != NULL || mirror->slices != NULL || mirror->foreign ||
        mirror->held || mirror->context != NULL)
        return;
    queue_remove(mirror);
    (void)mirror_note_unaccounted(mirror, false);
    (void)map_remove(mirror->world->mirrors, mirror->key);
}

bool mirror_note_unaccounted(struct mirror *mirror, bool unaccounted)
{
    if (mirror->unaccounted == unaccounted)
        return false;
    mirror->unaccounted = unaccounted;
    if (unaccounted)
        mirror->world->unaccounted++;
    else
        mirror->world->unaccounted--;
    return true;
}

size_t world_unaccounted_count(const struct world *world) { return world->unaccounted; }

void mirror_note_version(struct mirror *mirror, const char *version)
{
    if (!mirror->held)
        return;
    if (mirror->seen != NULL)
        (void)snprintf(mirror->seen[mirror->seen_count % SEEN_VERSIONS], SEEN_BYTES, "%s", version);
    /* Wraps round above the ring's size, so that a full ring never looks empty again. */
    mirror->seen_count = mirror->seen_count < 2 * SEEN_VERSIONS - 1 ? mirror->seen_count + 1 : SEEN_VERSIONS;
    if (mirror->world->on_seen != NULL)
        mirror->world->on_seen(mirror->world->seen_context, mirror);
}

bool mirror_saw_version(const struct mirror *mirror, const char *version)
{
    unsigned count = mirror->seen_count < SEEN_VERSIONS ? mirror->seen_count : SEEN_VERSIONS;
    for (unsigned i = 0; mirror->seen != NULL && i < count; i++)
        if (strncmp(mirror->seen[i], version, SEEN_BYTES - 1) == 0)
            return true;
    return false;
}

void world_mark(struct mirror *mirror, bool urgent)
{
    bool raise = urgent && !mirror->urgent;
    if (mirror->marked && !raise)
        return;
    queue_remove(mirror);
    mirror->marked = true;
    mirror->urgent = mirror->urgent || urgent;
    if (!mirror->held)
        queue_append(mirror);
}

struct mirror *world_pop(struct world *world)
{
    struct mirror *mirror = world->urgent.first != NULL ? world->urgent.first : world->normal.first;
    if (mirror == NULL)
        return NULL;
    queue_remove(mirror);
    mirror->marked = mirror->urgent = false;
    return mirror;
}

bool world_is_urgent(const struct world *world) { return world->urgent.first != NULL; }

size_t world_marked_count(const struct world *world) { return world->queued; }

void world_hold(struct mirror *mirror)
{
    if (mirror->held)
        return;
    queue_remove(mirror);
    mirror->held = true;
    mirror->seen_count = 0;
    /* Without this memory the effect of a write is noticed by its resourceVersion being current, or by the caller's time limit. */
    mirror->seen = mem_zalloc(sizeof(*mirror->seen) * SEEN_VERSIONS);
}

void world_release(struct mirror *mirror)
{
    if (!mirror->held)
        return;
    mirror->held = false;
    mem_free(TAKE(mirror->seen));
    if (mirror->marked)
        queue_append(mirror);
    mirror_collect(mirror);
}

bool mirror_held(const struct mirror *mirror) { return mirror->held; }

/* ---- somebody who keeps undoing what is written ---- */

static uint64_t rewrite_pace_ms(uint32_t repeats)
{
    if (repeats == 0)
        return 0;
    uint64_t pace_ms = (uint64_t)REWRITE_FIRST_MS << (repeats - 1 < 16 ? repeats - 1 : 16);
    return pace_ms < REWRITE_CAP_MS ? pace_ms : REWRITE_CAP_MS;
}

/* The same edit made again after a quiet time is a new one, and is mended at once. */
static bool is_repeated(const struct mirror_rewrite *rewrite, uint64_t fingerprint, uint64_t now_ms)
{
    return rewrite != NULL && rewrite->fingerprint == fingerprint &&
           now_ms - rewrite->written_ms < REWRITE_QUIET_MS + 2 * rewrite_pace_ms(rewrite->repeats + 1);
}

static struct mirror_rewrite *find_rewrite(const struct mirror *mirror, uint32_t object)
{
    for (unsigned i = 0; mirror->rewrites != NULL && i < REWRITES; i++)
        if (mirror->rewrites[i].fingerprint != 0 && mirror->rewrites[i].object == object)
            return &mirror->rewrites[i];
    return NULL;
}

static struct mirror_rewrite *oldest_rewrite(struct mirror *mirror)
{
    if (mirror->rewrites == NULL)
        mirror->rewrites = mem_zalloc(sizeof(*mirror->rewrites) * REWRITES);
    struct mirror_rewrite *oldest = mirror->rewrites;
    for (unsigned i = 1; oldest != NULL && i < REWRITES; i++)
        if (mirror->rewrites[i].written_ms < oldest->written_ms)
            oldest = &mirror->rewrites[i];
    return oldest;
}

uint64_t mirror_rewrite_wait_ms(const struct mirror *mirror, uint32_t object, uint64_t fingerprint, uint64_t now_ms)
{
    const struct mirror_rewrite *rewrite = find_rewrite(mirror, object);
    if (!is_repeated(rewrite, fingerprint, now_ms))
        return 0;
    uint64_t due_ms = rewrite->written_ms + rewrite_pace_ms(rewrite->repeats);
    return due_ms > now_ms ? due_ms - now_ms : 0;
}

uint32_t mirror_note_rewrite(struct mirror *mirror, uint32_t object, uint64_t fingerprint, uint64_t now_ms)
{
    struct mirror_rewrite *rewrite = find_rewrite(mirror, object);
    uint32_t repeats = is_repeated(rewrite, fingerprint, now_ms) ? rewrite->repeats + 1 : 0;
    if (rewrite == NULL)
        rewrite = oldest_rewrite(mirror);
    if (rewrite == NULL)
        return 0; /* out of memory: not paced this time */
    *rewrite =
        (struct mirror_rewrite){.fingerprint = fingerprint, .written_ms = now_ms, .object = object, .repeats = repeats};
    return repeats;
}

void world_on_seen(struct world *world, world_seen_fn fn, void *context)
{
    world->on_seen = fn;
    world->seen_context = context;
}

void mark_where(struct world *world, const char *namespace)
{
    char prefix[OBJECT_KEY_BYTES];
    object_key_format(prefix, namespace != NULL ? namespace : "", "");
    struct map_entry *entry = namespace != NULL ? map_seek(world->mirrors, prefix) : map_first(world->mirrors);
    for (; entry != NULL; entry = map_next(entry)) {
        if (namespace != NULL && !text_starts_with(map_key(entry), prefix))
            return;
        world_mark(map_value(entry), false);
        if (namespace != NULL)
            mirror_note_version(map_value(entry), ""); /* a held mirror may be waiting for just this */
    }
}

void world_mark_namespace(struct world *world, const char *namespace) { mark_where(world, namespace); }

bool world_writes_endpoints(const struct world *world) { return world->config.write_endpoints; }

void world_set_write_endpoints(struct world *world, bool write_endpoints)
{
    if (world->config.write_endpoints == write_endpoints)
        return;
    world->config.write_endpoints = write_endpoints;
    mark_where(world, NULL);
}

bool mirror_is_foreign(const struct mirror *mirror) { return mirror->foreign; }

const char *mirror_key(const struct mirror *mirror) { return mirror->key; }

const struct service *mirror_service(const struct mirror *mirror) { return mirror->service; }

uint32_t mirror_slice_count(const struct mirror *mirror)
{
    uint32_t count = 0;
    for (const struct source_slice *entry = mirror->slices; entry != NULL; entry = entry->next)
        count++;
    return count;
}

const struct slice *mirror_slice(const struct mirror *mirror, uint32_t index)
{
    const struct source_slice *entry = mirror->slices;
    while (entry != NULL && index-- > 0)
        entry = entry->next;
    return entry != NULL ? entry->slice : NULL;
}

struct mirror *world_find_mirror(const struct world *world, const char *key) { return map_get(world->mirrors, key); }

size_t world_mirror_count(const struct world *world) { return map_count(world->mirrors); }

void world_set_foreign(struct mirror *mirror, bool foreign)
{
    if (mirror->foreign == foreign)
        return;
    mirror->foreign = foreign;
    world_mark(mirror, false);
}

void mirror_set_context(struct mirror *mirror, void *context)
{
    mirror->context = context;
    if (context == NULL)
        mirror_collect(mirror);
}

void *mirror_context(const struct mirror *mirror) { return mirror->context; }

/* ---- links ---- */

static struct world_link *link_new(struct world *world, const struct link *declaration)
{
    struct world_link *link = NEW(struct world_link);
    if (link == NULL)
        return NULL;
    link->world = world;
    link->declaration = link_copy(declaration);
    link->services = map_new(NULL); /* its entries are freed by target_forget(), which needs the rest of the link */
    link->slices = map_new(NULL);
    link->endpoints = map_new(mem_free);
    link->gateways = map_new(NULL);
    link->unreadable = map_new(mem_free);
    if (link->declaration == NULL || link->services == NULL || link->slices == NULL || link->endpoints == NULL ||
        link->gateways == NULL || link->unreadable == NULL || map_put(world->links, declaration->id, link) != ERR_OK) {
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

/* Any federated service may have a member of the cluster. */
static void mark_cluster(struct world *world, const char *cluster_name)
{
    for (struct map_entry *entry = map_first(world->mirrors); entry != NULL; entry = map_next(entry)) {
        struct mirror *mirror = map_value(entry);
        const struct service *service = mirror->service;
        if (service != NULL && (is_federated(service) || kv_has(&service->meta.labels, L5D_CLUSTER_NAME, cluster_name)))
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
    return target_reconsider(link);
}

/* Takes the link away, without saying that its mirrors are to go. */
static void forget_link(struct world_link *link)
{
    target_forget(link);
    while (map_first(link->gateways) != NULL)
        gateway_remove(map_value(map_first(link->gateways)));
    (void)map_remove(link->world->links, link->id);
}

/* The cluster has no link any more: what mirrors it may go. */
static void note_unlinked(struct world *world, const char *cluster_name)
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
    link->declaration = copy;
    if (apply_declaration(link) != ERR_OK) {
        /* Back to what was, as far as that goes without memory; the caller declares it again. */
        link->declaration = old;
        link_free(copy);
        enum err_code ignored = apply_declaration(link);
        (void)ignored;
        return ERR_NOMEM;
    }
    if (strcmp(old->cluster_name, copy->cluster_name) != 0)
        note_unlinked(link->world, old->cluster_name);
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
    note_unlinked(world, cluster_name);
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
    struct map_entry *entry = map_next(map_seek(link->world->links, link->id));
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
        *ret_listed = *ret_listed && link->knowledge[WORLD_TARGET_SERVICES] == WORLD_LISTED;
    }
    return linked;
}

/* A mirror names its origin in an annotation: "<service>.<namespace>.svc.<domain>". */
bool is_made_of_unreadable(const struct world *world, const struct mirror *mirror, const char *cluster_name)
{
    const char *origin = kv_get(&mirror->service->meta.annotations, L5D_REMOTE_SVC_FQ_NAME);
    char name[OBJECT_KEY_BYTES], namespace[OBJECT_KEY_BYTES], key[OBJECT_KEY_BYTES];
    if (origin == NULL)
        return false;
    size_t name_length = strcspn(origin, ".");
    const char *rest = origin[name_length] == '.' ? origin + name_length + 1 : "";
    (void)snprintf(name, sizeof(name), "%.*s", (int)name_length, origin);
    (void)snprintf(namespace, sizeof(namespace), "%.*s", (int)strcspn(rest, "."), rest);
    object_key_format(key, namespace, name);
    for (const struct world_link *link = world_first_link(world); link != NULL; link = world_next_link(link))
        if (strcmp(link->declaration->cluster_name, cluster_name) == 0 && target_is_unreadable(link, key))
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
    return link != NULL ? link->knowledge[collection] : world->knowledge[collection];
}

void world_begin(struct world *world, struct world_link *link, enum world_collection collection)
{
    if (link != NULL)
        link->generation[collection]++;
    else
        world->generation[collection]++;
}

/* A collection that becomes known may allow deletes or settle readiness. */
static void knowledge_changed(struct world *world, struct world_link *link)
{
    if (link == NULL) {
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

enum err_code note_result(struct world_link *link, enum world_collection collection, enum err_code code)
{
    if (code == ERR_NOMEM && link->knowledge[collection] == WORLD_LISTED)
        link->knowledge[collection] = WORLD_UNKNOWN;
    return code;
}

void world_set_unavailable(struct world *world, struct world_link *link, enum world_collection collection)
{
    enum world_knowledge *knowledge = knowledge_of(world, link, collection);
    /* What was listed once stays listed: a right lost later makes the view old, not empty. */
    if (link != NULL && *knowledge == WORLD_LISTED)
        link->stale[collection] = true;
    if (*knowledge != WORLD_UNKNOWN)
        return;
    *knowledge = WORLD_UNAVAILABLE;
    knowledge_changed(world, link);
}

static void note_listed(struct world *world, struct world_link *link, enum world_collection collection)
{
    enum world_knowledge *knowledge = knowledge_of(world, link, collection);
    if (*knowledge == WORLD_LISTED)
        return;
    *knowledge = WORLD_LISTED;
    knowledge_changed(world, link);
}

void world_end(struct world *world, struct world_link *link, enum world_collection collection)
{
    bool was_stale = link != NULL && link->stale[collection];
    if (link != NULL) {
        link->stale[collection] = false;
        target_sweep(link, collection);
    } else {
        source_sweep(world, collection);
    }
    if (was_stale)
        knowledge_changed(world, link);
    note_listed(world, link, collection);
}
