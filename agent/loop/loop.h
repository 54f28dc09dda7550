/* The process's one event loop: timers, file descriptors, signals and a hook that runs once per turn. The only place that
 * knows libev. Also the process's only clock: everybody asks loop_now_ms() (monotonic) or loop_wall_us() (for what people
 * and API objects see), so that tests can replace time by linking another implementation of this header.
 *
 * One thread; every function must be called from it. Handles are created stopped, owned by the caller, freed with their
 * _free function, which may be called from inside their own callback. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct loop;
struct loop_timer;
struct loop_io;

typedef void (*loop_fn)(void *context);
typedef void (*loop_io_fn)(void *context, int fd, unsigned events);

/** @return new, or NULL; free with loop_free() after all its handles. */
struct loop *loop_new(void);
void loop_free(struct loop *loop);
/** Runs until loop_stop() is called from within it. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/** Monotonic milliseconds that go on during suspend (CLOCK_BOOTTIME), as of the turn's beginning or, if that is later, the
 *  last start or end of a timer: in a timer's callback its delay has passed. Never 0, never goes back. */
uint64_t loop_now_ms(const struct loop *loop);
/** The same clock read now, in microseconds: for measuring short spans within a turn. */
uint64_t loop_precise_us(const struct loop *loop);
/** Wall-clock microseconds since 1970: for timestamps only, never for intervals. */
int64_t loop_wall_us(const struct loop *loop);

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *context);
/** Fires once, `delay_ms` from now, never early (rounded up); restarts when it was running. 0 fires on the next turn. */
void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms);
void loop_timer_stop(struct loop_timer *timer);
bool loop_timer_active(const struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer); /* takes NULL */

enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_io *loop_io_new(struct loop *loop, loop_io_fn fn, void *context);
/** Watches `fd` (borrowed, must stay open until the watch stops) for `events`; changes a running watch. */
void loop_io_start(struct loop_io *io, int fd, unsigned events);
void loop_io_stop(struct loop_io *io);
void loop_io_free(struct loop_io *io); /* takes NULL */

/** Calls `fn` on the loop (not in signal context) at each `signo`. @return ERR_OK, ERR_LIMIT (8 at most), ERR_IO (no descriptor is
 *  left, which errno tells). */
enum err_code loop_on_signal(struct loop *loop, int signo, loop_fn fn, void *context) MUST_USE;

/** Runs `fn` once in every turn, after the turn's events and before the loop waits again: the place where what was
 *  recorded is decided upon. `fn` returns true when it stopped at its work bound and wants another turn at once (events are
 *  still served in between). At most 8 hooks, run in order of registration. @return ERR_OK, ERR_LIMIT. */
typedef bool (*loop_turn_fn)(void *context);
enum err_code loop_on_turn(struct loop *loop, loop_turn_fn fn, void *context) MUST_USE;
void loop_off_turn(struct loop *loop, loop_turn_fn fn, void *context);
/** Asks for a turn soon although no event is due (used by code that records something outside an event). */
void loop_wake(struct loop *loop);

/** Calls `fn` after each turn with the time that it kept the loop busy, from wake-up to the next wait, and what of it the thread ran, both in
 *  microseconds: the rest was others', or a quota that was used up. */
typedef void (*loop_stall_fn)(void *context, uint64_t busy_us, uint64_t cpu_us);
void loop_on_stall(struct loop *loop, loop_stall_fn fn, void *context);
