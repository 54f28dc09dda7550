#include "agent/control/replicas.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"

enum { LEFTOVER_MS = 60 * 1000 }; /* after it expired */

struct replica {
    struct lease_record record;
    uint64_t seen_ms; /* when the record changed */
    uint32_t generation;
    bool ready, suspect;
    bool shares; /* it is of our scope: what another replica does not take part in cannot be shared with it */
};

struct replicas {
    const char *own_name, *scope;
    const struct identity *identity;
    struct map *map; /* by the Lease's name -> struct replica */
    uint32_t generation;
};

struct replicas *replicas_new(const char *own_name, const char *scope, const struct identity *identity)
{
    struct replicas *replicas = NEW(struct replicas);
    if (replicas == NULL)
        return NULL;
    replicas->own_name = own_name;
    replicas->scope = scope;
    replicas->identity = identity;
    replicas->map = map_new(mem_free);
    if (replicas->map == NULL) {
        mem_free(replicas);
        return NULL;
    }
    return replicas;
}

void replicas_free(struct replicas *replicas)
{
    if (replicas == NULL)
        return;
    map_free(replicas->map);
    mem_free(replicas);
}

enum err_code replicas_see(struct replicas *replicas, const struct lease *lease, uint64_t now_ms)
{
    if (strcmp(lease->name, replicas->own_name) == 0)
        return ERR_OK;
    if (!lease->record.exists) {
        (void)map_remove(replicas->map, lease->name);
        return ERR_OK;
    }
    struct replica *replica = map_get(replicas->map, lease->name);
    if (replica == NULL) {
        replica = NEW(struct replica);
        if (replica == NULL || map_put(replicas->map, lease->name, replica) != ERR_OK) {
            mem_free(replica);
            return ERR_NOMEM;
        }
    }
    replica->generation = replicas->generation;
    if (strcmp(replica->record.version, lease->record.version) != 0) {
        replica->record = lease->record;
        replica->seen_ms = now_ms;
        replica->ready = lease->is_ready;
        replica->shares = strcmp(lease->scope, replicas->scope) == 0;
        replica->suspect = false;
    }
    return ERR_OK;
}

void replicas_begin(struct replicas *replicas) { replicas->generation++; }

void replicas_end(struct replicas *replicas)
{
    for (struct map_entry *at = map_first(replicas->map), *next; at != NULL; at = next) {
        next = map_next(at);
        if (((const struct replica *)map_value(at))->generation != replicas->generation)
            (void)map_remove(replicas->map, map_key(at));
    }
}

static struct replica *find(const struct replicas *replicas, const char *identity)
{
    for (struct map_entry *at = map_first(replicas->map); at != NULL; at = map_next(at)) {
        struct replica *replica = map_value(at);
        if (strcmp(replica->record.holder, identity) == 0)
            return replica;
    }
    return NULL;
}

void replicas_suspect(struct replicas *replicas, const char *identity)
{
    struct replica *replica = find(replicas, identity);
    if (replica != NULL)
        replica->suspect = true;
}

bool replicas_knows(const struct replicas *replicas, const char *identity)
{
    const struct replica *replica = find(replicas, identity);
    return strcmp(identity, identity_text(replicas->identity)) == 0 || (replica != NULL && replica->shares);
}

static bool is_gone(const struct replicas *replicas, const struct replica *replica)
{
    return identity_is_gone(replicas->identity, replica->record.holder);
}

static uint64_t expires_ms(const struct replica *replica)
{
    return replica->seen_ms + replica->record.duration_s * UINT64_C(1000);
}

static bool lives(const struct replicas *replicas, const struct replica *replica, uint64_t now_ms)
{
    return !replica->suspect && replica->record.holder[0] != '\0' && now_ms < expires_ms(replica) &&
           !is_gone(replicas, replica);
}

/* @param ready_only  those that are not ready are left out. */
static size_t collect(const struct replicas *replicas, bool with_us, bool ready_only, uint64_t now_ms,
                      const char *ret_identities[REPLICAS_MAX])
{
    size_t count = 0;
    bool placed = !with_us;
    for (struct map_entry *at = map_first(replicas->map); at != NULL; at = map_next(at)) {
        const struct replica *replica = map_value(at);
        if (!replica->shares || !lives(replicas, replica, now_ms) || (ready_only && !replica->ready))
            continue;
        if (!placed && strcmp(replicas->own_name, map_key(at)) < 0 && count < REPLICAS_MAX) {
            ret_identities[count++] = identity_text(replicas->identity);
            placed = true;
        }
        if (count < REPLICAS_MAX)
            ret_identities[count++] = replica->record.holder;
    }
    if (!placed && count < REPLICAS_MAX)
        ret_identities[count++] = identity_text(replicas->identity);
    return count;
}

size_t replicas_candidates(const struct replicas *replicas, bool own_ready, uint64_t now_ms,
                           const char *ret_identities[REPLICAS_MAX])
{
    size_t count = collect(replicas, own_ready, true, now_ms, ret_identities);
    return count > 0 ? count : collect(replicas, true, false, now_ms, ret_identities);
}

const char *replicas_leftover(const struct replicas *replicas, uint64_t now_ms, const char **ret_version)
{
    for (struct map_entry *at = map_first(replicas->map); at != NULL; at = map_next(at)) {
        const struct replica *replica = map_value(at);
        if (!is_gone(replicas, replica) && now_ms < expires_ms(replica) + LEFTOVER_MS)
            continue;
        *ret_version = replica->record.version;
        return map_key(at);
    }
    return NULL;
}
