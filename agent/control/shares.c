#include "agent/control/shares.h"

/* How many of the replicas that hold more than `base` may keep one more: those that hold most, then the first. A replica's rank is how many come
 * before it. */
static size_t rank_of(const struct shares_item *items, size_t count, size_t replica, size_t replicas)
{
    size_t rank = 0, own = 0;
    for (size_t i = 0; i < count; i++)
        own += items[i].holder == (int)replica ? 1 : 0;
    for (size_t other = 0; other < replicas; other++) {
        size_t held = 0;
        for (size_t i = 0; i < count; i++)
            held += items[i].holder == (int)other ? 1 : 0;
        rank += held > own || (held == own && other < replica) ? 1 : 0;
    }
    return rank;
}

static void keep(struct shares_item *items, size_t count, size_t replica, unsigned quota, unsigned *kept)
{
    for (size_t i = 0; i < count; i++)
        if (items[i].holder == (int)replica && *kept < quota) {
            items[i].assigned = (int)replica;
            (*kept)++;
        }
}

static size_t least(const unsigned *counts, size_t replicas)
{
    size_t best = 0;
    for (size_t i = 1; i < replicas; i++)
        if (counts[i] < counts[best])
            best = i;
    return best;
}

void shares_assign(struct shares_item *items, size_t count, unsigned *counts, size_t replicas)
{
    size_t shared = 0;
    for (size_t i = 0; i < count; i++) {
        items[i].assigned = items[i].holder == SHARES_ELSEWHERE ? SHARES_ELSEWHERE : SHARES_FREE;
        shared += items[i].holder == SHARES_ELSEWHERE ? 0 : 1;
    }
    for (size_t replica = 0; replica < replicas; replica++) {
        size_t extra = rank_of(items, count, replica, replicas) < shared % replicas ? 1 : 0;
        counts[replica] = 0;
        keep(items, count, replica, (unsigned)(shared / replicas + extra), &counts[replica]);
    }
    for (size_t i = 0; i < count; i++)
        if (items[i].assigned == SHARES_FREE) {
            items[i].assigned = (int)least(counts, replicas);
            counts[items[i].assigned]++;
        }
}
