/* Whose requests are under way, so that one link's thousands hold up nobody else's few: up to the level of write_limit.h anybody's next
 * may be sent; a few more than that may be of links with hardly any under way. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/control/write_limit.h"

enum { WRITE_SLOTS_LINKS = WRITE_LIMIT_MAX + WRITE_LIMIT_RESERVE };

/* A link is told by its address alone, which is never followed; NULL stands for what is no link's. */
struct write_slots {
    uint32_t in_flight;
    uint32_t link_count;
    struct {
        const void *link;
        uint32_t in_flight; /* not 0 */
    } links[WRITE_SLOTS_LINKS];
};

/** A request of the link is sent. Those beyond what the table holds are only counted in all. */
void write_slots_take(struct write_slots *slots, const void *link);
/** It was answered; of the link that it was taken for, even if that is gone. */
void write_slots_give(struct write_slots *slots, const void *link);
/** @return whether anybody's next may be sent. */
bool write_slots_any(const struct write_slots *slots, const struct write_limit *limit);
/** @return whether the link's may, if there is one. Whoever write_slots_any() allows need not be asked for. */
bool write_slots_of(const struct write_slots *slots, const struct write_limit *limit, const void *link);
