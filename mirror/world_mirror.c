/* Mirrors: everything about one name in the source cluster, which of them want planning, which are held while they are written. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/world_internal.h"

/* An update that somebody keeps undoing is written again at this pace: from at once to one in five minutes. */
enum { REWRITE_FIRST_MS = 200, REWRITE_CAP_MS = 300 * 1000, REWRITE_QUIET_MS = 10 * 1000 };
enum { RETURNED_TURNS = 16 }; /* of a lane, in which one is kept */

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
    mirror->is_import = text_ends_with(key, IMPORT_KEY_SUFFIX);
    return mirror;
}

/* ---- which are marked ---- */

static unsigned which_lane(enum rank rank) { return rank == RANK_URGENT ? LANE_URGENT : LANE_NORMAL; }

static struct mirror_lane *lane_of(const struct mirror *mirror, unsigned which)
{
    return mirror->claims != NULL ? &mirror->claims->link->lanes[which] : &mirror->world->lanes[which];
}

static struct mirror_queue *queue_in(struct mirror_lane *lane, const struct mirror *mirror)
{
    return mirror->rank == RANK_FRESH ? &lane->fresh : &lane->others;
}

/* NULL when the lane is empty. */
static struct mirror *first_in(const struct mirror_lane *lane)
{
    return lane->fresh.first != NULL ? lane->fresh.first : lane->others.first;
}

static void lane_append(struct mirror_lanes *lanes, struct mirror_lane *lane)
{
    lane->previous = lanes->last;
    lane->next = NULL;
    *(lanes->last != NULL ? &lanes->last->next : &lanes->first) = lane;
    lanes->last = lane;
}

static void lane_prepend(struct mirror_lanes *lanes, struct mirror_lane *lane)
{
    lane->previous = NULL;
    lane->next = lanes->first;
    *(lanes->first != NULL ? &lanes->first->previous : &lanes->last) = lane;
    lanes->first = lane;
}

static void lane_remove(struct mirror_lanes *lanes, struct mirror_lane *lane)
{
    *(lane->previous != NULL ? &lane->previous->next : &lanes->first) = lane->next;
    *(lane->next != NULL ? &lane->next->previous : &lanes->last) = lane->previous;
    lane->next = lane->previous = NULL;
}

static void queue_remove(struct mirror *mirror)
{
    struct mirror_lane *lane = TAKE(mirror->lane);
    if (lane == NULL)
        return;
    struct mirror_queue *queue = queue_in(lane, mirror);
    *(mirror->queue_previous != NULL ? &mirror->queue_previous->queue_next : &queue->first) = mirror->queue_next;
    *(mirror->queue_next != NULL ? &mirror->queue_next->queue_previous : &queue->last) = mirror->queue_previous;
    mirror->queue_next = mirror->queue_previous = NULL;
    mirror->world->queued--;
    if (first_in(lane) == NULL)
        lane_remove(&mirror->world->waiting[which_lane(mirror->rank)], lane);
}

static void queue_append(struct mirror *mirror)
{
    struct mirror_lane *lane = lane_of(mirror, which_lane(mirror->rank));
    struct mirror_queue *queue = queue_in(lane, mirror);
    if (first_in(lane) == NULL)
        lane_append(&mirror->world->waiting[which_lane(mirror->rank)], lane);
    mirror->queue_previous = queue->last;
    mirror->queue_next = NULL;
    *(queue->last != NULL ? &queue->last->queue_next : &queue->first) = mirror;
    queue->last = mirror;
    mirror->lane = lane;
    mirror->world->queued++;
}

void lanes_clear(struct world_link *link)
{
    for (unsigned which = 0; which < LANES; which++)
        for (struct mirror *mirror = first_in(&link->lanes[which]); mirror != NULL;
             mirror = first_in(&link->lanes[which])) {
            queue_remove(mirror);
            queue_append(mirror);
        }
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

void mirror_note_unsettled(struct mirror *mirror) { mirror->unsettled = true; }

bool mirror_was_unsettled(const struct mirror *mirror) { return mirror->unsettled; }

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

static void mark(struct mirror *mirror, enum rank rank)
{
    if (mirror->marked && rank <= mirror->rank)
        return;
    queue_remove(mirror);
    mirror->marked = true;
    mirror->rank = rank;
    if (!mirror->held)
        queue_append(mirror);
}

void world_mark(struct mirror *mirror, bool urgent)
{
    enum rank rank = mirror->service != NULL ? RANK_URGENT : RANK_FRESH;
    mark(mirror, urgent ? rank : RANK_NORMAL);
}

void mirror_mark_fresh(struct mirror *mirror) { mark(mirror, RANK_FRESH); }

void world_mark_again(struct mirror *mirror) { mark(mirror, mirror->popped_rank); }

static struct mirror_lanes *next_lanes(struct world *world)
{
    return &world->waiting[world_is_urgent(world) ? LANE_URGENT : LANE_NORMAL];
}

static struct mirror *pop_from(struct mirror_lanes *lanes, struct mirror_lane *lane)
{
    struct mirror *mirror = first_in(lane);
    lane_remove(lanes, lane);
    lane_append(lanes, lane);
    queue_remove(mirror);
    mirror->marked = false;
    mirror->popped_rank = mirror->rank;
    mirror->rank = RANK_NORMAL;
    return mirror;
}

struct mirror *world_pop(struct world *world)
{
    struct mirror_lanes *lanes = next_lanes(world);
    return lanes->first != NULL ? pop_from(lanes, lanes->first) : NULL;
}

struct mirror *world_pop_of(struct world *world, world_link_fn fn, void *context)
{
    struct mirror_lanes *lanes = next_lanes(world);
    for (struct mirror_lane *lane = lanes->first; lane != NULL; lane = lane->next)
        if (fn(context, lane->link))
            return pop_from(lanes, lane);
    return NULL;
}

void world_return_turn(struct mirror *mirror)
{
    unsigned which = which_lane(mirror->popped_rank);
    struct mirror_lane *lane = lane_of(mirror, which);
    if (++lane->returned == RETURNED_TURNS) {
        lane->returned = 0;
    } else if (first_in(lane) != NULL) {
        lane_remove(&mirror->world->waiting[which], lane);
        lane_prepend(&mirror->world->waiting[which], lane);
    }
}

bool world_is_urgent(const struct world *world) { return world->waiting[LANE_URGENT].first != NULL; }

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
    for (unsigned i = 0; i < mirror->rewrite_count; i++)
        if (mirror->rewrites[i].fingerprint != 0 && mirror->rewrites[i].object == object)
            return &mirror->rewrites[i];
    return NULL;
}

/* One for each object of the mirror, so that none is forgotten for another; what memory does not allow is paced less. */
static void make_room(struct mirror *mirror)
{
    uint32_t wanted = 1 + mirror_slice_count(mirror);
    wanted = wanted < REWRITES ? REWRITES : wanted > MAX_REWRITES ? MAX_REWRITES : wanted;
    struct mirror_rewrite *more =
        wanted > mirror->rewrite_count ? mem_zalloc(sizeof(*mirror->rewrites) * wanted) : NULL;
    if (more == NULL)
        return;
    if (mirror->rewrite_count > 0)
        memcpy(more, mirror->rewrites, sizeof(*more) * mirror->rewrite_count);
    mem_free(mirror->rewrites);
    mirror->rewrites = more;
    mirror->rewrite_count = (uint8_t)wanted;
}

static struct mirror_rewrite *oldest_rewrite(struct mirror *mirror)
{
    make_room(mirror);
    struct mirror_rewrite *oldest = mirror->rewrites;
    for (unsigned i = 1; i < mirror->rewrite_count; i++)
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

void world_mark_if(struct world *world, world_choose_fn fn, void *context)
{
    for (struct map_entry *at = map_first(world->mirrors); at != NULL; at = map_next(at))
        if (fn(context, map_value(at)))
            world_mark(map_value(at), false);
}

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

bool mirror_is_import(const struct mirror *mirror) { return mirror->is_import; }

const char *mirror_words(const struct mirror *mirror, char words[MIRROR_WORDS_BYTES])
{
    size_t length = strlen(mirror->key) - (mirror->is_import ? strlen(IMPORT_KEY_SUFFIX) : 0);
    (void)snprintf(words, MIRROR_WORDS_BYTES, "%s %.*s", mirror->is_import ? "ServiceImport" : "Service", (int)length,
                   mirror->key);
    return words;
}

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
    for (const struct claim *claim = mirror->claims; claim != NULL; claim = claim->next)
        if (claim->kind == CLAIM_SERVICE)
            claim_mark_hosts(claim);
}

void mirror_set_context(struct mirror *mirror, void *context)
{
    mirror->context = context;
    if (context == NULL)
        mirror_collect(mirror);
}

void *mirror_context(const struct mirror *mirror) { return mirror->context; }
