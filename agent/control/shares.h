/* Which replica should hold which Lease: as even as can be, with as few moves as can be. Pure, and the same on every replica that sees the same:
 * each keeps what it holds up to its share, and what is over or free goes to those who have least. A replica that takes something free that is meant
 * for it changes nothing for the rest. */
#pragma once

#include <stddef.h>

enum {
    SHARES_FREE = -1,      /* nobody holds it, or nobody who counts */
    SHARES_ELSEWHERE = -2, /* somebody who is none of the replicas holds it: not ours to share */
};

struct shares_item {
    int holder;   /* in: index of the replica, or one of the above */
    int assigned; /* out: index of the replica that should hold it; SHARES_ELSEWHERE stays so */
};

/** @param items  in an order that all replicas share. @param replicas  how many there are, 1 at least, in an order that all share.
 *  @param[out] counts  twice as many as replicas; the first half: how many are assigned to each, the second is scratch. */
void shares_assign(struct shares_item *items, size_t count, unsigned *counts, size_t replicas);
