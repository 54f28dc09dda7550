/* How much of the time this process had to stand still. On a busy machine what is promised about time is measured without that: a bound from above counts the
 * time in which the process could run, a bound from below the time that passed. Include cmocka.h before. */
#pragma once

#include <stdint.h>

#include "agent/loop/loop.h"

enum { STALLS_TICK_US = 5000, STALLS_GRAIN_US = 2000 }; /* a timer may be so late on a machine that has nothing to do */

struct stalls {
    struct loop *loop;
    struct loop_timer *timer;
    uint64_t due_us, lost_us;
};

struct moment {
    uint64_t real_us, running_us;
};

static inline uint64_t stalls_late_us(const struct stalls *stalls)
{
    uint64_t now_us = loop_precise_us(stalls->loop);
    return now_us > stalls->due_us + STALLS_GRAIN_US ? now_us - stalls->due_us : 0;
}

static inline void stalls_tick(void *context)
{
    struct stalls *stalls = context;
    stalls->lost_us += stalls_late_us(stalls);
    stalls->due_us = loop_precise_us(stalls->loop) + STALLS_TICK_US;
    loop_timer_start(stalls->timer, STALLS_TICK_US / 1000);
}

static inline void stalls_init(struct stalls *stalls, struct loop *loop)
{
    *stalls = (struct stalls){.loop = loop, .due_us = loop_precise_us(loop)};
    stalls->timer = loop_timer_new(loop, stalls_tick, stalls);
    assert_non_null(stalls->timer);
    stalls_tick(stalls);
}

static inline void stalls_done(struct stalls *stalls) { loop_timer_free(stalls->timer); }

static inline struct moment stalls_now(const struct stalls *stalls)
{
    uint64_t now_us = loop_precise_us(stalls->loop);
    return (struct moment){.real_us = now_us, .running_us = now_us - stalls->lost_us - stalls_late_us(stalls)};
}

/* Milliseconds since `then`; without the time in which the process stood still, or with it. */
static inline uint64_t stalls_running_ms(const struct stalls *stalls, struct moment then)
{
    uint64_t now_us = stalls_now(stalls).running_us;
    return now_us > then.running_us ? (now_us - then.running_us) / 1000 : 0;
}

static inline uint64_t stalls_real_ms(const struct stalls *stalls, struct moment then)
{
    return (stalls_now(stalls).real_us - then.real_us) / 1000;
}

/** Fails the test unless at least `least_ms` have passed since `then`, and the process could run for no more than `most_ms` of it. */
static inline void stalls_expect(const struct stalls *stalls, struct moment then, uint64_t least_ms, uint64_t most_ms)
{
    uint64_t real_ms = stalls_real_ms(stalls, then), running_ms = stalls_running_ms(stalls, then);
    if (real_ms < least_ms || running_ms > most_ms)
        fail_msg("took %u ms, of which the process could run for %u ms, and not %u to %u ms", (unsigned)real_ms,
                 (unsigned)running_ms, (unsigned)least_ms, (unsigned)most_ms);
}
