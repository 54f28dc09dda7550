#include "agent/control/status_turns.h"

#include <stddef.h>

void status_turns_ask(struct status_turns *turns, struct status_turn *turn)
{
    if (turn->waits)
        return;
    *turn = (struct status_turn){.previous = turns->last, .waits = true};
    *(turns->last != NULL ? &turns->last->next : &turns->first) = turn;
    turns->last = turn;
}

void status_turns_withdraw(struct status_turns *turns, struct status_turn *turn)
{
    if (!turn->waits)
        return;
    *(turn->previous != NULL ? &turn->previous->next : &turns->first) = turn->next;
    *(turn->next != NULL ? &turn->next->previous : &turns->last) = turn->previous;
    *turn = (struct status_turn){0};
}

struct status_turn *status_turns_next(struct status_turns *turns, bool crowded, uint64_t now_ms, uint64_t *ret_at_ms)
{
    struct status_turn *first = turns->first;
    *ret_at_ms = STATUS_TURNS_NEVER;
    if (first == NULL || turns->under_way >= STATUS_TURNS_AT_ONCE)
        return NULL;
    if (crowded && now_ms < turns->rested_ms) {
        *ret_at_ms = turns->rested_ms;
        return NULL;
    }
    status_turns_withdraw(turns, first);
    *ret_at_ms = turns->first != NULL ? now_ms : STATUS_TURNS_NEVER;
    return first;
}

void status_turns_begin(struct status_turns *turns, uint64_t now_ms)
{
    turns->under_way++;
    turns->rested_ms = now_ms + STATUS_TURNS_REST_MS;
}

void status_turns_end(struct status_turns *turns, uint64_t took_ms, uint64_t now_ms)
{
    uint64_t rest_ms = took_ms < STATUS_TURNS_REST_MS ? took_ms * STATUS_TURNS_REST_FACTOR : STATUS_TURNS_REST_MS;
    turns->under_way--;
    turns->rested_ms = now_ms + (rest_ms < STATUS_TURNS_REST_MS ? rest_ms : STATUS_TURNS_REST_MS);
}
