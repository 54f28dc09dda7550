#include "agent/loop/loop.h"

#include <ev.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

enum { MAX_SIGNALS = 8, MAX_HOOKS = 8 };

/* libev counts time in double seconds from its own clock; a delay longer than this is cut, and nothing here waits so long. */
static const double LONGEST_DELAY_S = 365.0 * 24 * 3600;

struct loop_signal {
    ev_signal watcher;
    loop_fn fn;
    void *context;
};

struct loop_hook {
    loop_turn_fn fn;
    void *context;
};

struct loop {
    struct ev_loop *ev;
    ev_prepare prepare; /* before waiting: runs the hooks */
    ev_check check;     /* after waiting: the turn begins */
    ev_idle idle;       /* running: the loop does not wait */
    uint64_t now_ms;
    uint64_t turn_began_us, turn_cpu_us; /* by the clock, and by the thread's own */
    struct loop_signal signals[MAX_SIGNALS];
    unsigned signal_count;
    struct loop_hook hooks[MAX_HOOKS];
    unsigned hook_count;
    unsigned hook_next; /* while the hooks run: the one after the current */
    bool woken;
    loop_stall_fn stall_fn;
    void *stall_context;
};

struct loop_timer {
    ev_timer watcher;
    struct loop *loop;
    loop_fn fn;
    void *context;
    uint64_t due_ms;
};

struct loop_io {
    ev_io watcher;
    struct loop *loop;
    loop_io_fn fn;
    void *context;
};

static uint64_t clock_us(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void refresh_clock(struct loop *loop)
{
    uint64_t now_ms = clock_us(CLOCK_BOOTTIME) / 1000;
    if (now_ms > loop->now_ms)
        loop->now_ms = now_ms;
}

uint64_t loop_now_ms(const struct loop *loop) { return loop->now_ms; }

uint64_t loop_precise_us(const struct loop *loop)
{
    (void)loop;
    return clock_us(CLOCK_BOOTTIME);
}

int64_t loop_wall_us(const struct loop *loop)
{
    (void)loop;
    return (int64_t)clock_us(CLOCK_REALTIME);
}

/* --- the turn --- */

static void on_idle(struct ev_loop *ev, ev_idle *watcher, int events)
{
    (void)ev;
    (void)watcher;
    (void)events; /* only there so that the loop does not wait */
}

static void on_prepare(struct ev_loop *ev, ev_prepare *watcher, int events)
{
    (void)events;
    struct loop *loop = watcher->data;
    refresh_clock(loop);
    loop->woken = false;
    bool more = false;
    for (loop->hook_next = 0; loop->hook_next < loop->hook_count;) {
        const struct loop_hook *hook = &loop->hooks[loop->hook_next++];
        more = hook->fn(hook->context) || more;
    }
    if (more || loop->woken)
        ev_idle_start(ev, &loop->idle);
    else
        ev_idle_stop(ev, &loop->idle);
    if (loop->stall_fn != NULL && loop->turn_began_us != 0)
        loop->stall_fn(loop->stall_context, clock_us(CLOCK_BOOTTIME) - loop->turn_began_us,
                       clock_us(CLOCK_THREAD_CPUTIME_ID) - loop->turn_cpu_us);
}

static void on_check(struct ev_loop *ev, ev_check *watcher, int events)
{
    (void)ev;
    (void)events;
    struct loop *loop = watcher->data;
    refresh_clock(loop);
    loop->turn_began_us = clock_us(CLOCK_BOOTTIME);
    loop->turn_cpu_us = clock_us(CLOCK_THREAD_CPUTIME_ID);
}

struct loop *loop_new(void)
{
    struct loop *loop = NEW(struct loop);
    if (loop == NULL)
        return NULL;
    loop->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
    if (loop->ev == NULL) {
        mem_free(loop);
        return NULL;
    }
    refresh_clock(loop);
    /* These two keep ev_run() running when nobody else watches anything. */
    ev_prepare_init(&loop->prepare, on_prepare);
    loop->prepare.data = loop;
    ev_prepare_start(loop->ev, &loop->prepare);
    ev_check_init(&loop->check, on_check);
    ev_set_priority(&loop->check, EV_MAXPRI); /* the turn's other callbacks are part of what is measured */
    loop->check.data = loop;
    ev_check_start(loop->ev, &loop->check);
    ev_idle_init(&loop->idle, on_idle);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    for (unsigned i = 0; i < loop->signal_count; i++)
        ev_signal_stop(loop->ev, &loop->signals[i].watcher);
    ev_prepare_stop(loop->ev, &loop->prepare);
    ev_check_stop(loop->ev, &loop->check);
    ev_idle_stop(loop->ev, &loop->idle);
    ev_loop_destroy(loop->ev);
    mem_free(loop);
}

void loop_run(struct loop *loop) { (void)ev_run(loop->ev, 0); }

void loop_stop(struct loop *loop) { ev_break(loop->ev, EVBREAK_ALL); }

void loop_wake(struct loop *loop)
{
    loop->woken = true;
    /* Outside a turn's hooks the next on_prepare is sure to come before the loop waits. */
}

enum err_code loop_on_turn(struct loop *loop, loop_turn_fn fn, void *context)
{
    if (loop->hook_count == MAX_HOOKS)
        return ERR_LIMIT;
    loop->hooks[loop->hook_count++] = (struct loop_hook){fn, context};
    return ERR_OK;
}

void loop_off_turn(struct loop *loop, loop_turn_fn fn, void *context)
{
    for (unsigned i = 0; i < loop->hook_count; i++) {
        if (loop->hooks[i].fn != fn || loop->hooks[i].context != context)
            continue;
        for (unsigned j = i + 1; j < loop->hook_count; j++)
            loop->hooks[j - 1] = loop->hooks[j];
        loop->hook_count--;
        if (i < loop->hook_next)
            loop->hook_next--; /* a hook that takes itself out must not make its neighbour miss the turn */
        return;
    }
}

void loop_on_stall(struct loop *loop, loop_stall_fn fn, void *context)
{
    loop->stall_fn = fn;
    loop->stall_context = context;
}

/* --- signals --- */

static void on_signal(struct ev_loop *ev, ev_signal *watcher, int events)
{
    (void)ev;
    (void)events;
    const struct loop_signal *signal = watcher->data;
    signal->fn(signal->context);
}

/* libev ends the process when it has none for the pipe that its first signal needs. */
static bool has_descriptor(void)
{
    int fd = eventfd(0, EFD_CLOEXEC);
    if (fd >= 0)
        (void)close(fd);
    return fd >= 0;
}

enum err_code loop_on_signal(struct loop *loop, int signo, loop_fn fn, void *context)
{
    if (loop->signal_count == MAX_SIGNALS)
        return ERR_LIMIT;
    if (loop->signal_count == 0 && !has_descriptor())
        return ERR_IO;
    struct loop_signal *signal = &loop->signals[loop->signal_count++];
    signal->fn = fn;
    signal->context = context;
    ev_signal_init(&signal->watcher, on_signal, signo);
    signal->watcher.data = signal;
    ev_signal_start(loop->ev, &signal->watcher);
    return ERR_OK;
}

/* --- timers --- */

static void start_watcher(struct loop_timer *timer, uint64_t delay_ms)
{
    struct ev_loop *ev = timer->loop->ev;
    double delay_s = (double)delay_ms / 1000.0;
    ev_timer_stop(ev, &timer->watcher);
    /* libev counts from the time it cached when the loop last woke. */
    ev_now_update(ev);
    ev_timer_set(&timer->watcher, delay_s < LONGEST_DELAY_S ? delay_s : LONGEST_DELAY_S, 0.);
    ev_timer_start(ev, &timer->watcher);
}

static void on_timer(struct ev_loop *ev, ev_timer *watcher, int events)
{
    (void)ev;
    (void)events;
    struct loop_timer *timer = watcher->data;
    refresh_clock(timer->loop);
    /* Clocks of different grain: what fires a little early waits for the rest. */
    if (timer->loop->now_ms < timer->due_ms) {
        start_watcher(timer, timer->due_ms - timer->loop->now_ms);
        return;
    }
    timer->fn(timer->context);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *context)
{
    struct loop_timer *timer = NEW(struct loop_timer);
    if (timer == NULL)
        return NULL;
    timer->loop = loop;
    timer->fn = fn;
    timer->context = context;
    ev_timer_init(&timer->watcher, on_timer, 0., 0.);
    timer->watcher.data = timer;
    return timer;
}

void loop_timer_start(struct loop_timer *timer, uint64_t delay_ms)
{
    refresh_clock(timer->loop);
    if (__builtin_add_overflow(timer->loop->now_ms, delay_ms, &timer->due_ms))
        timer->due_ms = UINT64_MAX; /* never */
    start_watcher(timer, delay_ms);
}

void loop_timer_stop(struct loop_timer *timer) { ev_timer_stop(timer->loop->ev, &timer->watcher); }

bool loop_timer_active(const struct loop_timer *timer) { return ev_is_active(&timer->watcher); }

void loop_timer_free(struct loop_timer *timer)
{
    if (timer == NULL)
        return;
    ev_timer_stop(timer->loop->ev, &timer->watcher);
    mem_free(timer);
}

/* --- descriptors --- */

static void on_io(struct ev_loop *ev, ev_io *watcher, int events)
{
    (void)ev;
    struct loop_io *io = watcher->data;
    unsigned what = ((unsigned)events & EV_READ ? LOOP_READ : 0u) | ((unsigned)events & EV_WRITE ? LOOP_WRITE : 0u);
    io->fn(io->context, watcher->fd, what);
}

struct loop_io *loop_io_new(struct loop *loop, loop_io_fn fn, void *context)
{
    struct loop_io *io = NEW(struct loop_io);
    if (io == NULL)
        return NULL;
    io->loop = loop;
    io->fn = fn;
    io->context = context;
    ev_io_init(&io->watcher, on_io, -1, 0);
    io->watcher.data = io;
    return io;
}

void loop_io_start(struct loop_io *io, int fd, unsigned events)
{
    ev_io_stop(io->loop->ev, &io->watcher);
    ev_io_set(&io->watcher, fd, (events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0));
    ev_io_start(io->loop->ev, &io->watcher);
}

void loop_io_stop(struct loop_io *io) { ev_io_stop(io->loop->ev, &io->watcher); }

void loop_io_free(struct loop_io *io)
{
    if (io == NULL)
        return;
    ev_io_stop(io->loop->ev, &io->watcher);
    mem_free(io);
}
