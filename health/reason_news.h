/* When a change of a verdict's reason is news: an address that stays dead may be so for another reason, one that stays alive may
 * answer in other words. Each reason is told at once when it is new, and again only when it was told a minute ago or more: one that
 * flaps between two is told twice, then once a minute. A change of the verdict tells its own reason and begins anew. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "health/verdict.h"

enum { REASON_NEWS_AGAIN_MS = 60 * 1000 };

/** Embedded in its owner, zeroed at first. */
struct reason_news {
    enum probe_reason reason; /* of the verdict: the newest that agrees with it; REASON_NONE while that is unknown */
    enum probe_reason told;   /* last, by itself or with the verdict */
    /* private */
    uint64_t transitions;            /* of the machine, when it was looked at last */
    uint64_t again_ms[REASON_COUNT]; /* when each may be told again */
};

/** After each result that the machine was given.
 *  @param[out] ret_before  what was told before, when there is news.
 *  @return whether the verdict is the one that was told, and its reason is not. */
bool reason_news_take(struct reason_news *news, const struct verdict_machine *machine, uint64_t now_ms,
                      enum probe_reason *ret_before);
