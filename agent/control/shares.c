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

/* Each of the free items is offered one replica after the other, beginning with one of its own, and takes the first that has room. Which pairs come
 * first depends on nobody's holdings, and how many each replica is to have in the end does not change either when an item is taken by whom it was
 * meant for. So those that are still free stay meant for the same replicas, and two that see these takings at different moments never want the
 * same item. */
static void give_away(struct shares_item *items, size_t count, const unsigned *room, unsigned *counts, size_t replicas)
{
    for (size_t offset = 0; offset < replicas; offset++)
        for (size_t i = 0; i < count; i++) {
            size_t replica = (i + offset) % replicas;
            if (items[i].assigned != SHARES_FREE || counts[replica] == room[replica])
                continue;
            items[i].assigned = (int)replica;
            counts[replica]++;
        }
}

void shares_assign(struct shares_item *items, size_t count, unsigned *counts, size_t replicas)
{
    unsigned *room = counts + replicas;
    size_t shared = 0, left = 0;
    for (size_t i = 0; i < count; i++) {
        items[i].assigned = items[i].holder == SHARES_ELSEWHERE ? SHARES_ELSEWHERE : SHARES_FREE;
        shared += items[i].holder == SHARES_ELSEWHERE ? 0 : 1;
    }
    left = shared;
    for (size_t replica = 0; replica < replicas; replica++) {
        size_t extra = rank_of(items, count, replica, replicas) < shared % replicas ? 1 : 0;
        counts[replica] = 0;
        keep(items, count, replica, (unsigned)(shared / replicas + extra), &counts[replica]);
        room[replica] = counts[replica];
        left -= counts[replica];
    }
    for (; left > 0; left--)
        room[least(room, replicas)]++;
    give_away(items, count, room, counts, replicas);
}
