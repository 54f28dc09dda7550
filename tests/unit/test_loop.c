/* links: agent_loop base */
#include "agent/loop/loop.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/loop/slice.h"
#include "sweep.h"

enum { PATIENCE_MS = 10000, MAX_EVENTS = 64 };

/* A loop and a list of what happened on it, one letter an event. */
struct bench {
    struct loop *loop;
    struct loop_timer *patience;
    char seen[MAX_EVENTS + 1];
    size_t seen_count;
    bool impatient;
};

static void on_patience(void *context)
{
    struct bench *bench = context;
    bench->impatient = true;
    loop_stop(bench->loop);
}

static void bench_init(struct bench *bench)
{
    memset(bench, 0, sizeof(*bench));
    bench->loop = loop_new();
    assert_non_null(bench->loop);
    bench->patience = loop_timer_new(bench->loop, on_patience, bench);
    assert_non_null(bench->patience);
}

static void bench_done(struct bench *bench)
{
    loop_timer_free(bench->patience);
    loop_free(bench->loop);
}

static void run(struct bench *bench)
{
    loop_timer_start(bench->patience, PATIENCE_MS);
    loop_run(bench->loop);
    loop_timer_stop(bench->patience);
    if (bench->impatient)
        fail_msg("nobody stopped the loop for %d ms; seen: \"%s\"", PATIENCE_MS, bench->seen);
}

static void note(struct bench *bench, char event)
{
    assert_true(bench->seen_count < MAX_EVENTS);
    bench->seen[bench->seen_count++] = event;
}

static void pass_time(const struct loop *loop, uint64_t us)
{
    uint64_t begin_us = loop_precise_us(loop);
    while (loop_precise_us(loop) - begin_us < us)
        continue;
}

/* --- timers --- */

struct alarm {
    struct bench *bench;
    struct loop_timer *timer;
    char event;
    bool stops, frees;
    uint64_t fired_us, fired_ms;
};

static void on_alarm(void *context)
{
    struct alarm *alarm = context;
    note(alarm->bench, alarm->event);
    alarm->fired_us = loop_precise_us(alarm->bench->loop);
    alarm->fired_ms = loop_now_ms(alarm->bench->loop);
    assert_false(loop_timer_active(alarm->timer));
    if (alarm->frees)
        loop_timer_free(TAKE(alarm->timer));
    if (alarm->stops)
        loop_stop(alarm->bench->loop);
}

static void alarm_init(struct alarm *alarm, struct bench *bench, char event)
{
    *alarm = (struct alarm){.bench = bench, .event = event};
    alarm->timer = loop_timer_new(bench->loop, on_alarm, alarm);
    assert_non_null(alarm->timer);
    assert_false(loop_timer_active(alarm->timer));
}

static void a_timer_is_never_early(void **state)
{
    (void)state;
    static const uint64_t DELAYS_MS[] = {0, 1, 1, 2, 3, 5, 8, 13, 21, 1, 7};
    struct bench bench;
    struct alarm alarm;
    bench_init(&bench);
    alarm_init(&alarm, &bench, 'a');
    alarm.stops = true;
    for (size_t i = 0; i < ARRAY_COUNT(DELAYS_MS); i++) {
        /* The loop's own idea of the time may be old when the timer is started. */
        pass_time(bench.loop, i * 300);
        uint64_t began_us = loop_precise_us(bench.loop);
        loop_timer_start(alarm.timer, DELAYS_MS[i]);
        uint64_t began_ms = loop_now_ms(bench.loop);
        run(&bench);
        assert_true(alarm.fired_us - began_us >= DELAYS_MS[i] * 1000);
        assert_true(alarm.fired_us - began_us < (DELAYS_MS[i] + 2000) * 1000);
        assert_true(alarm.fired_ms - began_ms >= DELAYS_MS[i]);
    }
    loop_timer_free(alarm.timer);
    bench_done(&bench);
}

static void timers_fire_in_order_and_once(void **state)
{
    (void)state;
    struct bench bench;
    struct alarm late, early, stopped, restarted;
    bench_init(&bench);
    alarm_init(&late, &bench, 'l');
    alarm_init(&early, &bench, 'e');
    alarm_init(&stopped, &bench, 's');
    alarm_init(&restarted, &bench, 'r');
    late.stops = true;
    loop_timer_start(late.timer, 60);
    loop_timer_start(early.timer, 20);
    loop_timer_start(stopped.timer, 30);
    loop_timer_start(restarted.timer, 1);
    loop_timer_start(restarted.timer, 40);
    assert_true(loop_timer_active(restarted.timer));
    loop_timer_stop(stopped.timer);
    loop_timer_stop(stopped.timer);
    assert_false(loop_timer_active(stopped.timer));
    assert_int_equal(bench.seen_count, 0); /* never from inside start */
    run(&bench);
    assert_string_equal(bench.seen, "erl");
    loop_timer_free(late.timer);
    loop_timer_free(early.timer);
    loop_timer_free(stopped.timer);
    loop_timer_free(restarted.timer);
    loop_timer_free(NULL);
    bench_done(&bench);
}

static void a_timer_may_free_itself(void **state)
{
    (void)state;
    struct bench bench;
    struct alarm alarm;
    bench_init(&bench);
    alarm_init(&alarm, &bench, 'a');
    alarm.frees = alarm.stops = true;
    loop_timer_start(alarm.timer, 0);
    run(&bench);
    assert_string_equal(bench.seen, "a");
    assert_null(alarm.timer);
    bench_done(&bench);
}

static void very_long_delays_only_wait(void **state)
{
    (void)state;
    static const uint64_t DELAYS_MS[] = {UINT64_MAX, UINT64_MAX - 1, INT64_MAX, (uint64_t)1 << 53, 400ull * 86400000};
    struct bench bench;
    struct alarm alarms[ARRAY_COUNT(DELAYS_MS)], end;
    bench_init(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(DELAYS_MS); i++) {
        alarm_init(&alarms[i], &bench, 'x');
        loop_timer_start(alarms[i].timer, DELAYS_MS[i]);
    }
    alarm_init(&end, &bench, 'e');
    end.stops = true;
    loop_timer_start(end.timer, 20);
    run(&bench);
    assert_string_equal(bench.seen, "e");
    for (size_t i = 0; i < ARRAY_COUNT(DELAYS_MS); i++) {
        assert_true(loop_timer_active(alarms[i].timer));
        loop_timer_free(alarms[i].timer);
    }
    loop_timer_free(end.timer);
    bench_done(&bench);
}

/* --- descriptors --- */

struct pipe_watch {
    struct bench *bench;
    struct loop_io *io;
    int fds[2];
    unsigned events; /* of the last call */
    bool frees;
};

static void on_pipe(void *context, int fd, unsigned events)
{
    struct pipe_watch *watch = context;
    watch->events = events;
    if (events & LOOP_READ) {
        char byte;
        assert_int_equal(fd, watch->fds[0]);
        assert_int_equal(read(fd, &byte, 1), 1);
        note(watch->bench, byte);
    } else {
        assert_int_equal(fd, watch->fds[1]);
        note(watch->bench, 'w');
    }
    if (watch->frees)
        loop_io_free(TAKE(watch->io));
    loop_stop(watch->bench->loop);
}

static void pipe_init(struct pipe_watch *watch, struct bench *bench)
{
    *watch = (struct pipe_watch){.bench = bench};
    assert_int_equal(pipe2(watch->fds, O_CLOEXEC), 0);
    watch->io = loop_io_new(bench->loop, on_pipe, watch);
    assert_non_null(watch->io);
}

static void pipe_done(const struct pipe_watch *watch)
{
    loop_io_free(watch->io);
    (void)close(watch->fds[0]);
    (void)close(watch->fds[1]);
}

static void a_descriptor_tells_what_it_is_ready_for(void **state)
{
    (void)state;
    struct bench bench;
    struct pipe_watch watch;
    bench_init(&bench);
    pipe_init(&watch, &bench);
    loop_io_start(watch.io, watch.fds[1], LOOP_WRITE);
    run(&bench);
    assert_int_equal(watch.events, LOOP_WRITE);
    /* Changes a running watch, to another descriptor too. */
    loop_io_start(watch.io, watch.fds[0], LOOP_READ);
    assert_int_equal(write(watch.fds[1], "1", 1), 1);
    run(&bench);
    assert_int_equal(watch.events, LOOP_READ);
    watch.frees = true;
    assert_int_equal(write(watch.fds[1], "2", 1), 1);
    run(&bench);
    assert_string_equal(bench.seen, "w12");
    assert_null(watch.io);
    pipe_done(&watch);
    bench_done(&bench);
}

static void a_stopped_watch_is_silent(void **state)
{
    (void)state;
    struct bench bench;
    struct pipe_watch watch;
    struct alarm end;
    bench_init(&bench);
    pipe_init(&watch, &bench);
    alarm_init(&end, &bench, 'e');
    end.stops = true;
    loop_io_start(watch.io, watch.fds[0], LOOP_READ);
    assert_int_equal(write(watch.fds[1], "1", 1), 1);
    loop_io_stop(watch.io);
    loop_io_stop(watch.io);
    loop_timer_start(end.timer, 20);
    run(&bench);
    assert_string_equal(bench.seen, "e");
    loop_timer_free(end.timer);
    pipe_done(&watch);
    bench_done(&bench);
}

/* libcurl closes a socket and opens the next, which gets the same number: the kernel knows nothing of the new one. */
static void a_descriptor_number_may_come_back(void **state)
{
    (void)state;
    struct bench bench;
    struct pipe_watch watch;
    bench_init(&bench);
    pipe_init(&watch, &bench);
    loop_io_start(watch.io, watch.fds[0], LOOP_READ);
    assert_int_equal(write(watch.fds[1], "1", 1), 1);
    run(&bench);
    int old = watch.fds[0];
    loop_io_stop(watch.io);
    (void)close(watch.fds[0]);
    (void)close(watch.fds[1]);
    assert_int_equal(pipe2(watch.fds, O_CLOEXEC), 0);
    assert_int_equal(watch.fds[0], old);
    loop_io_start(watch.io, watch.fds[0], LOOP_READ);
    assert_int_equal(write(watch.fds[1], "2", 1), 1);
    run(&bench);
    assert_string_equal(bench.seen, "12");
    pipe_done(&watch);
    bench_done(&bench);
}

/* --- signals --- */

static void on_first_signal(void *context) { note(context, '1'); }

static void on_second_signal(void *context)
{
    struct bench *bench = context;
    note(bench, '2');
    loop_stop(bench->loop);
}

static void signals_arrive_on_the_loop(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    assert_int_equal(loop_on_signal(bench.loop, SIGUSR1, on_first_signal, &bench), ERR_OK);
    assert_int_equal(loop_on_signal(bench.loop, SIGUSR2, on_second_signal, &bench), ERR_OK);
    assert_int_equal(raise(SIGUSR1), 0);
    assert_int_equal(bench.seen_count, 0); /* not in signal context */
    assert_int_equal(raise(SIGUSR2), 0);
    while (bench.seen_count < 2)
        run(&bench);
    assert_non_null(strchr(bench.seen, '1'));
    assert_non_null(strchr(bench.seen, '2'));
    for (int i = 2; i < 8; i++)
        assert_int_equal(loop_on_signal(bench.loop, SIGUSR1, on_first_signal, &bench), ERR_OK);
    assert_int_equal(loop_on_signal(bench.loop, SIGUSR1, on_first_signal, &bench), ERR_LIMIT);
    bench_done(&bench);
}

/* --- turns --- */

struct hook {
    struct bench *bench;
    char event;
    unsigned again;     /* how many further turns it asks for */
    unsigned wakes;     /* the same by loop_wake() */
    unsigned leaves_at; /* takes itself out when called so many times; 0: never */
    unsigned stops_at;  /* stops the loop then; 0: never */
    uint64_t busy_us;   /* how long it works */
    unsigned count;
};

static bool on_turn(void *context)
{
    struct hook *hook = context;
    note(hook->bench, hook->event);
    hook->count++;
    pass_time(hook->bench->loop, hook->busy_us);
    if (hook->count == hook->leaves_at)
        loop_off_turn(hook->bench->loop, on_turn, hook);
    if (hook->count == hook->stops_at)
        loop_stop(hook->bench->loop);
    if (hook->wakes > 0) {
        hook->wakes--;
        loop_wake(hook->bench->loop);
    }
    return hook->again > 0 && hook->again-- > 0;
}

static void hooks_run_once_a_turn_in_order(void **state)
{
    (void)state;
    struct bench bench;
    struct alarm first, second;
    bench_init(&bench);
    struct hook a = {.bench = &bench, .event = 'a'}, b = {.bench = &bench, .event = 'b'};
    assert_int_equal(loop_on_turn(bench.loop, on_turn, &a), ERR_OK);
    assert_int_equal(loop_on_turn(bench.loop, on_turn, &b), ERR_OK);
    alarm_init(&first, &bench, '1');
    alarm_init(&second, &bench, '2');
    second.stops = true;
    loop_timer_start(first.timer, 10);
    loop_timer_start(second.timer, 40);
    run(&bench);
    /* Before the first wait, after the first event; the stop is at once. */
    assert_string_equal(bench.seen, "ab1ab2");
    loop_timer_free(first.timer);
    loop_timer_free(second.timer);
    bench_done(&bench);
}

static void a_hook_gets_another_turn_and_events_are_served_in_between(void **state)
{
    (void)state;
    struct bench bench;
    struct pipe_watch watch;
    bench_init(&bench);
    pipe_init(&watch, &bench);
    struct hook hook = {.bench = &bench, .event = 'h', .again = 1000000};
    assert_int_equal(loop_on_turn(bench.loop, on_turn, &hook), ERR_OK);
    loop_io_start(watch.io, watch.fds[0], LOOP_READ);
    assert_int_equal(write(watch.fds[1], "1", 1), 1);
    run(&bench);
    assert_string_equal(bench.seen, "h1"); /* although the hook never has enough */
    pipe_done(&watch);
    bench_done(&bench);
}

static void waking_gives_a_turn_without_an_event(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct hook hook = {.bench = &bench, .event = 'h', .wakes = 3, .stops_at = 4};
    assert_int_equal(loop_on_turn(bench.loop, on_turn, &hook), ERR_OK);
    run(&bench);
    assert_string_equal(bench.seen, "hhhh");
    bench_done(&bench);
}

static void a_hook_may_leave_without_its_neighbour_missing_the_turn(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench);
    struct hook a = {.bench = &bench, .event = 'a', .again = 10, .leaves_at = 2},
                b = {.bench = &bench, .event = 'b', .again = 10, .stops_at = 3};
    assert_int_equal(loop_on_turn(bench.loop, on_turn, &a), ERR_OK);
    assert_int_equal(loop_on_turn(bench.loop, on_turn, &b), ERR_OK);
    run(&bench);
    assert_string_equal(bench.seen, "ababb");
    loop_off_turn(bench.loop, on_turn, &a); /* not there: nothing happens */
    struct hook more = {.bench = &bench};
    for (int i = 1; i < 8; i++)
        assert_int_equal(loop_on_turn(bench.loop, on_turn, &more), ERR_OK);
    assert_int_equal(loop_on_turn(bench.loop, on_turn, &more), ERR_LIMIT);
    bench_done(&bench);
}

struct stalls {
    uint64_t longest_us, longest_cpu_us;
    unsigned count;
};

static void on_stall(void *context, uint64_t busy_us, uint64_t cpu_us)
{
    struct stalls *stalls = context;
    stalls->count++;
    if (busy_us > stalls->longest_us)
        stalls->longest_us = busy_us;
    if (cpu_us > stalls->longest_cpu_us)
        stalls->longest_cpu_us = cpu_us;
}

static void the_busy_time_of_a_turn_is_told_without_the_wait(void **state)
{
    (void)state;
    struct bench bench;
    struct alarm alarm;
    struct stalls stalls = {0};
    bench_init(&bench);
    alarm_init(&alarm, &bench, 'a');
    loop_on_stall(bench.loop, on_stall, &stalls);
    /* The second turn waits for 300 ms and works for 30 ms in its hook. */
    struct hook hook = {.bench = &bench, .event = 'h', .stops_at = 2, .busy_us = 30000};
    assert_int_equal(loop_on_turn(bench.loop, on_turn, &hook), ERR_OK);
    loop_timer_start(alarm.timer, 300);
    run(&bench);
    assert_string_equal(bench.seen, "hah");
    assert_int_equal(stalls.count, 1); /* the first turn did not begin with waking up */
    assert_true(stalls.longest_us >= 30000);
    assert_true(stalls.longest_us < 300000);
    assert_in_range(stalls.longest_cpu_us, 1000,
                    stalls.longest_us + 1000); /* as much of it as this machine gives; two clocks */
    loop_timer_free(alarm.timer);
    bench_done(&bench);
}

/* --- clocks --- */

static void clocks_are_what_they_say(void **state)
{
    (void)state;
    struct timespec boot;
    struct loop *loop = loop_new();
    assert_int_equal(clock_gettime(CLOCK_BOOTTIME, &boot), 0);
    uint64_t boot_ms = (uint64_t)boot.tv_sec * 1000 + (uint64_t)boot.tv_nsec / 1000000;
    assert_true(loop_now_ms(loop) > 0);
    assert_true(loop_now_ms(loop) <= boot_ms && boot_ms - loop_now_ms(loop) < 5000);
    assert_true(loop_precise_us(loop) / 1000 >= boot_ms);
    assert_true(loop_wall_us(loop) / 1000000 >= time(NULL) - 1 && loop_wall_us(loop) / 1000000 <= time(NULL) + 1);
    uint64_t before_ms = loop_now_ms(loop);
    pass_time(loop, 5000);
    assert_int_equal(loop_now_ms(loop), before_ms); /* as of the turn */
    loop_free(loop);
    loop_free(NULL);
}

/* --- want of memory --- */

static enum err_code make_all(void *context)
{
    (void)context;
    enum err_code code = ERR_NOMEM;
    struct loop *loop = loop_new();
    struct loop_timer *timer = loop != NULL ? loop_timer_new(loop, on_patience, NULL) : NULL;
    struct loop_io *io = timer != NULL ? loop_io_new(loop, on_pipe, NULL) : NULL;
    if (io != NULL)
        code = ERR_OK;
    loop_io_free(io);
    loop_timer_free(timer);
    loop_free(loop);
    return code;
}

static void want_of_memory_is_told(void **state)
{
    (void)state;
    assert_int_equal(sweep(make_all, NULL), 3);
}

/* ---- the processor ---- */

/* As in the kernel's sched/types.h. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

static struct attributes attributes_of_thread(void)
{
    struct attributes attributes = {0};
    assert_int_equal(syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0), 0);
    return attributes;
}

static void a_slice_is_shortened_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(setpriority(PRIO_PROCESS, 0, 3), 0);
    struct attributes before = attributes_of_thread();
    if (!slice_shorten())
        skip(); /* it is refused here */
    struct attributes after = attributes_of_thread();
    assert_int_equal(after.nice, 3);
    assert_int_equal(after.policy, SCHED_OTHER);
    if (before.runtime_ns != 0) /* a kernel that knows slices tells them */
        assert_int_equal(after.runtime_ns, 100000);
    assert_int_equal(sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){0}), 0);
    assert_false(slice_shorten());
    assert_int_equal(attributes_of_thread().policy, SCHED_BATCH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_timer_is_never_early),
        cmocka_unit_test(timers_fire_in_order_and_once),
        cmocka_unit_test(a_timer_may_free_itself),
        cmocka_unit_test(very_long_delays_only_wait),
        cmocka_unit_test(a_descriptor_tells_what_it_is_ready_for),
        cmocka_unit_test(a_stopped_watch_is_silent),
        cmocka_unit_test(a_descriptor_number_may_come_back),
        cmocka_unit_test(signals_arrive_on_the_loop),
        cmocka_unit_test(hooks_run_once_a_turn_in_order),
        cmocka_unit_test(a_hook_gets_another_turn_and_events_are_served_in_between),
        cmocka_unit_test(waking_gives_a_turn_without_an_event),
        cmocka_unit_test(a_hook_may_leave_without_its_neighbour_missing_the_turn),
        cmocka_unit_test(the_busy_time_of_a_turn_is_told_without_the_wait),
        cmocka_unit_test(clocks_are_what_they_say),
        cmocka_unit_test(want_of_memory_is_told),
        cmocka_unit_test(a_slice_is_shortened_and_nothing_else), /* the last: the thread is another one then */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
