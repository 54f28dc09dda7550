/* Whose status is written next: Links take turns in the order in which they ask. A few are under way at a time; while mirrors wait to be written,
 * which go before what is told of them, one begins when the API server has had a rest after the last, or half a second after the last began. Without
 * that hundreds of Links in their first sync, each with a status that changes all the time, keep it busy with little else. Pure: the caller brings the
 * time. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    STATUS_TURNS_AT_ONCE = 4,
    STATUS_TURNS_REST_FACTOR = 4, /* times what it took */
    STATUS_TURNS_REST_MS = 500,   /* at most; and after one that hangs */
};

#define STATUS_TURNS_NEVER UINT64_MAX

/* Embedded in its owner, zero-initialised. */
struct status_turn {
    struct status_turn *next, *previous;
    bool waits;
};

struct status_turns {
    struct status_turn *first, *last;
    uint32_t under_way;
    uint64_t rested_ms; /* when the rest after the last one is over */
};

/** It wants a turn; idempotent. */
void status_turns_ask(struct status_turns *turns, struct status_turn *turn);
/** It wants none any more; idempotent. */
void status_turns_withdraw(struct status_turns *turns, struct status_turn *turn);
/** @param crowded  mirrors wait to be written.
 *  @param[out] ret_at_ms  when to ask again, if none is under way that ends before; STATUS_TURNS_NEVER: nobody waits, or too many are under way.
 *  @return whose turn it is, who waits no longer and may begin a write; NULL: nobody's yet. */
struct status_turn *status_turns_next(struct status_turns *turns, bool crowded, uint64_t now_ms, uint64_t *ret_at_ms);
/** A write was begun, with or without a turn. */
void status_turns_begin(struct status_turns *turns, uint64_t now_ms);
/** One ended. @param took_ms  from its beginning. */
void status_turns_end(struct status_turns *turns, uint64_t took_ms, uint64_t now_ms);
