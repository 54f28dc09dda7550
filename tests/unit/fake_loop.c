#include "tests/unit/fake_loop.h"

#include <stdlib.h>

#include "base/mem.h"

enum { MAX_HOOKS = 8, START_MS = 1000000 };
static const int64_t START_WALL_US = INT64_C(1787306400000000); /* 2026-08-21T10:00:00Z */

struct loop {
    uint64_t now_ms, order;
    struct loop_timer *timers; /* all, running or not */
    struct {
        loop_turn_fn fn;
        void *context;
    } hooks[MAX_HOOKS];
    unsigned hook_count;
};

struct loop_timer {
    struct loop *loop;
    loop_fn fn;
    void *context;
    bool active;
    uint64_t due_ms, order; /* order: of starting, for timers that are due together */
    struct loop_timer *next;
};

struct loop *loop_new(void)
{
    struct loop *loop = NEW(struct loop);
    if (loop != NULL)
        loop->now_ms = START_MS;
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop != NULL && loop->timers != NULL)
        abort(); /* somebody leaks a timer */
    mem_free(loop);
}

uint64_t loop_now_ms(const struct loop *loop) { return loop->now_ms; }
uint64_t loop_precise_us(const struct loop *loop) { return loop->now_ms * 1000; }
int64_t loop_wall_us(const struct loop *loop) { return START_WALL_US + (int64_t)(loop->now_ms - START_MS) * 1000; }

/* ---- timers ---- */

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *context)
{
    struct loop_timer *timer = NEW(struct loop_timer);
    if (timer == NULL)
        return NULL;
    *timer = (struct loop_timer){.loop = loop, .fn = fn, .context = context, .next = loop->timers};
    loop->timers = timer;
    return timer;
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms)
{
    timer->active = true;
    timer->due_ms = timer->loop->now_ms + delay_ms;
    timer->order = ++timer->loop->order;
}

void loop_timer_stop(struct loop_timer *timer) { timer->active = false; }
bool loop_timer_active(const struct loop_timer *timer) { return timer->active; }

void loop_timer_free(struct loop_timer *timer)
{
    if (timer == NULL)
        return;
    for (struct loop_timer **at = &timer->loop->timers; *at != NULL; at = &(*at)->next) {
        if (*at != timer)
            continue;
        *at = timer->next;
        break;
    }
    mem_free(timer);
}

static struct loop_timer *next_timer(const struct loop *loop)
{
    struct loop_timer *first = NULL;
    for (struct loop_timer *timer = loop->timers; timer != NULL; timer = timer->next) {
        if (!timer->active)
            continue;
        if (first == NULL || timer->due_ms < first->due_ms ||
            (timer->due_ms == first->due_ms && timer->order < first->order))
            first = timer;
    }
    return first;
}

static void run_hooks(struct loop *loop)
{
    bool more = true;
    while (more) {
        more = false;
        for (unsigned i = 0; i < loop->hook_count; i++)
            more = loop->hooks[i].fn(loop->hooks[i].context) || more;
    }
}

static void fire(struct loop *loop, struct loop_timer *timer)
{
    if (timer->due_ms > loop->now_ms)
        loop->now_ms = timer->due_ms;
    timer->active = false;
    timer->fn(timer->context);
    run_hooks(loop);
}

void fake_loop_advance(struct loop *loop, uint64_t ms)
{
    uint64_t until_ms = loop->now_ms + ms;
    for (struct loop_timer *timer; (timer = next_timer(loop)) != NULL && timer->due_ms <= until_ms;)
        fire(loop, timer);
    loop->now_ms = until_ms;
    run_hooks(loop);
}

uint64_t fake_loop_advance_to_next(struct loop *loop)
{
    struct loop_timer *timer = next_timer(loop);
    if (timer == NULL)
        return UINT64_MAX;
    uint64_t before_ms = loop->now_ms;
    fire(loop, timer);
    return loop->now_ms - before_ms;
}

/* ---- the rest ---- */

enum err_code loop_on_turn(struct loop *loop, loop_turn_fn fn, void *context)
{
    if (loop->hook_count == MAX_HOOKS)
        return ERR_LIMIT;
    loop->hooks[loop->hook_count].fn = fn;
    loop->hooks[loop->hook_count++].context = context;
    return ERR_OK;
}

void loop_off_turn(struct loop *loop, loop_turn_fn fn, void *context)
{
    for (unsigned i = 0; i < loop->hook_count; i++) {
        if (loop->hooks[i].fn != fn || loop->hooks[i].context != context)
            continue;
        loop->hooks[i] = loop->hooks[--loop->hook_count];
        return;
    }
}

void loop_run(struct loop *loop)
{
    while (fake_loop_advance_to_next(loop) != UINT64_MAX) {
    }
}

void loop_stop(struct loop *loop) { (void)loop; }
void loop_wake(struct loop *loop) { (void)loop; }

void loop_on_stall(struct loop *loop, loop_stall_fn fn, void *context)
{
    (void)loop;
    (void)fn;
    (void)context; /* no turn takes any time */
}

/* ---- descriptors ---- */

struct loop_io {
    struct loop *loop;
};

struct loop_io *loop_io_new(struct loop *loop, loop_io_fn fn, void *context)
{
    (void)fn;
    (void)context;
    struct loop_io *io = NEW(struct loop_io);
    if (io != NULL)
        io->loop = loop;
    return io;
}

void loop_io_start(struct loop_io *io, int fd, unsigned events)
{
    (void)io;
    (void)fd;
    (void)events;
}

void loop_io_stop(struct loop_io *io) { (void)io; }
void loop_io_free(struct loop_io *io) { mem_free(io); }
