#include "agent/control/write_slots.h"

#include <stddef.h>

/* Where the link stands in the table; where it would, if it does not. */
static uint32_t seek(const struct write_slots *slots, const void *link)
{
    uint32_t i = 0;
    while (i < slots->link_count && slots->links[i].link != link)
        i++;
    return i;
}

void write_slots_take(struct write_slots *slots, const void *link)
{
    uint32_t i = seek(slots, link);
    slots->in_flight++;
    if (i == WRITE_SLOTS_LINKS)
        return;
    if (i == slots->link_count) {
        slots->links[i].link = link;
        slots->links[i].in_flight = 0;
        slots->link_count++;
    }
    slots->links[i].in_flight++;
}

void write_slots_give(struct write_slots *slots, const void *link)
{
    uint32_t i = seek(slots, link);
    slots->in_flight--;
    if (i < slots->link_count && --slots->links[i].in_flight == 0)
        slots->links[i] = slots->links[--slots->link_count];
}

bool write_slots_any(const struct write_slots *slots, const struct write_limit *limit)
{
    return slots->in_flight < write_limit_get(limit);
}

bool write_slots_of(const struct write_slots *slots, const struct write_limit *limit, const void *link)
{
    if (slots->in_flight >= write_limit_get(limit) + write_limit_reserve(limit))
        return false;
    uint32_t i = seek(slots, link);
    return i == slots->link_count || slots->links[i].in_flight < write_limit_reserve(limit);
}
