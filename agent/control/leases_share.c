#include "agent/control/leases_internal.h"

#include <string.h>

#include "agent/control/shares.h"
#include "agent/observe/log.h"
#include "base/map.h"
#include "base/mem.h"

enum { MOVES = 2 }; /* Leases that are handed over at a time */

static size_t index_of(const char *const *identities, size_t count, const char *identity)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(identities[i], identity) == 0)
            return i;
    return count;
}

/* A Lease that expired tells that its holder is dead, whatever its own Lease still says. */
static void suspect_holders(struct leases *leases)
{
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at)) {
        const struct tenure *tenure = map_value(at);
        const struct election *election = &tenure->election;
        if (election->state == ELECTION_STANDBY && election->seen.exists && election->seen.holder[0] != '\0' &&
            !election_is_elsewhere(election, false, leases_now_ms(leases)))
            replicas_suspect(leases->replicas, election->seen.holder);
    }
}

static int holder_of(const struct leases *leases, const struct tenure *tenure, const char *const *identities,
                     size_t count)
{
    const struct election *election = &tenure->election;
    bool ours = tenure_holds(tenure);
    if (!ours && !tenure_is_elsewhere(tenure))
        return SHARES_FREE;
    const char *holder = ours ? leases->election.identity : election->seen.holder;
    size_t index = index_of(identities, count, holder);
    if (index < count)
        return (int)index;
    return replicas_knows(leases->replicas, holder) ? SHARES_FREE : SHARES_ELSEWHERE;
}

/* The wanted Leases of links, in order of name, with who holds them: what is shared. */
static size_t list_shared(const struct leases *leases, const char *const *identities, size_t count,
                          struct tenure **tenures, struct shares_item *items)
{
    size_t shared = 0;
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at)) {
        struct tenure *tenure = map_value(at);
        if (tenure == leases->local || tenure->wanted == 0)
            continue;
        tenures[shared] = tenure;
        items[shared++].holder = holder_of(leases, tenure, identities, count);
    }
    return shared;
}

/* What belongs to no single link goes to whoever has least, and stays there. */
static void assign_local(struct leases *leases, const char *const *identities, size_t count, const unsigned *counts,
                         size_t own)
{
    if (leases->local == NULL)
        return;
    int assigned = holder_of(leases, leases->local, identities, count);
    if (assigned == SHARES_FREE) {
        assigned = 0;
        for (size_t i = 1; i < count; i++)
            assigned = counts[i] < counts[assigned] ? (int)i : assigned;
    }
    tenure_set_wish(leases->local, assigned, own);
}

/* A few at a time, and not while replicas come and go. */
static void hand_over(struct leases *leases, struct tenure **tenures, const struct shares_item *items, size_t shared,
                      size_t own)
{
    unsigned moving = 0;
    if (!leases->ready || leases_now_ms(leases) < leases->settled_ms)
        return;
    for (size_t i = 0; i < shared; i++)
        moving += tenure_is_moving(tenures[i]) ? 1 : 0;
    for (size_t i = 0; i < shared && moving < MOVES; i++)
        if (tenures[i]->election.state == ELECTION_HOLDING && items[i].assigned >= 0 && items[i].assigned != (int)own) {
            log_info("lease_handed_over", "another replica is to write these mirrors, so that all share alike",
                     "cluster", tenures[i]->cluster, "lease", tenures[i]->name, NULL);
            election_leave(&tenures[i]->election);
            moving++;
        }
}

/* To see whether the candidates are the same as before. */
static uint64_t hash_of(const char *const *identities, size_t count)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < count; i++)
        for (const char *at = identities[i]; at == identities[i] || at[-1] != '\0'; at++)
            hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    return hash;
}

enum err_code leases_share(struct leases *leases)
{
    const char *identities[REPLICAS_MAX];
    unsigned counts[2 * REPLICAS_MAX];
    suspect_holders(leases);
    size_t count = replicas_candidates(leases->replicas, leases->ready, leases_now_ms(leases), identities);
    size_t own = index_of(identities, count, leases->election.identity), max = map_count(leases->tenures);
    struct tenure **tenures = mem_zalloc((max + 1) * sizeof(struct tenure *));
    struct shares_item *items = mem_zalloc((max + 1) * sizeof(struct shares_item));
    if (tenures == NULL || items == NULL) {
        mem_free(tenures);
        mem_free(items);
        return ERR_NOMEM;
    }
    uint64_t hash = hash_of(identities, count);
    if (hash != leases->candidates_hash) {
        leases->candidates_hash = hash;
        leases->settled_ms = leases_now_ms(leases) + leases->election.retry_ms;
    }
    size_t shared = list_shared(leases, identities, count, tenures, items);
    shares_assign(items, shared, counts, count);
    assign_local(leases, identities, count, counts, own);
    hand_over(leases, tenures, items, shared, own);
    for (size_t i = 0; i < shared; i++)
        tenure_set_wish(tenures[i], items[i].assigned, own);
    mem_free(tenures);
    mem_free(items);
    return ERR_OK;
}
