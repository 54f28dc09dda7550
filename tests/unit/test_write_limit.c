/* links: agent_control base */
/* agent/control/write_limit.c: with model servers, of which the best throughput is known. */
#include "agent/control/write_limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A server that works on `workers` requests at once, each for `service_us`, over a network that takes `network_us`. More waiting than `crowd`
 * makes each take longer, as creating Services does. */
struct model {
    unsigned workers;
    uint64_t service_us, network_us;
    unsigned crowd;
    double crowding; /* how much longer for each that waits over that */
};

enum { MAX = WRITE_LIMIT_MAX, MAX_IN_FLIGHT = WRITE_LIMIT_MAX + WRITE_LIMIT_RESERVE };

/* When the requests under way are answered, and when the workers are free. */
struct run {
    struct model model;
    uint64_t now_us, done_us[MAX_IN_FLIGHT], began_us[MAX_IN_FLIGHT], free_us[MAX];
    uint32_t sent_as[MAX_IN_FLIGHT]; /* how many were under way then */
    uint32_t in_flight;
    bool many_links; /* so that the reserve is used up, too */
    uint32_t seed;
};

static uint64_t with_noise(struct run *run, uint64_t us)
{
    run->seed = run->seed * 1664525u + 1013904223u;
    return us * (90 + (run->seed >> 16) % 21) / 100; /* +-10 % */
}

static void send_one(struct run *run)
{
    const struct model *model = &run->model;
    unsigned worker = 0;
    for (unsigned i = 1; i < model->workers; i++)
        if (run->free_us[i] < run->free_us[worker])
            worker = i;
    double waiting = run->in_flight > model->crowd ? run->in_flight - model->crowd : 0;
    uint64_t service_us = with_noise(run, (uint64_t)((double)model->service_us * (1 + model->crowding * waiting)));
    uint64_t arrives_us = run->now_us + model->network_us / 2;
    uint64_t starts_us = run->free_us[worker] > arrives_us ? run->free_us[worker] : arrives_us;
    run->free_us[worker] = starts_us + service_us;
    run->began_us[run->in_flight] = run->now_us;
    run->sent_as[run->in_flight] = run->in_flight + 1;
    run->done_us[run->in_flight++] = run->free_us[worker] + model->network_us / 2;
}

static uint32_t may_be_under_way(const struct run *run, const struct write_limit *limit)
{
    return write_limit_get(limit) + (run->many_links ? write_limit_reserve(limit) : 0);
}

/* Keeps as many under way as may be, `count` in all. @return writes a second in the second half. */
static double saturate(struct run *run, struct write_limit *limit, unsigned count)
{
    uint64_t half_us = 0;
    for (unsigned done = 0; done < count; done++) {
        while (run->in_flight < may_be_under_way(run, limit))
            send_one(run);
        unsigned first = 0;
        for (unsigned i = 1; i < run->in_flight; i++)
            if (run->done_us[i] < run->done_us[first])
                first = i;
        run->now_us = run->done_us[first];
        uint64_t latency_us = run->now_us - run->began_us[first];
        uint32_t sent_as = run->sent_as[first];
        run->in_flight--;
        run->done_us[first] = run->done_us[run->in_flight];
        run->sent_as[first] = run->sent_as[run->in_flight];
        run->began_us[first] = run->began_us[run->in_flight];
        write_limit_note(limit, 0, latency_us, sent_as);
        if (done == count / 2)
            half_us = run->now_us;
    }
    return (double)(count - count / 2 - 1) * 1e6 / (double)(run->now_us - half_us);
}

static double rate_at(const struct model *model, uint32_t fixed)
{
    struct run run = {.model = *model, .seed = 1};
    struct write_limit limit;
    write_limit_init(&limit, fixed, WRITE_LIMIT_CLASSES);
    return saturate(&run, &limit, 4000);
}

static void it_finds_the_level_of_each_server(void **state)
{
    (void)state;
    static const struct {
        struct model model;
        bool serial;
        uint32_t at_most; /* the level in the end */
    } cases[] = {
        {{.workers = 1, .service_us = 4500, .network_us = 200}, true, 10},
        {{.workers = 1, .service_us = 4500, .network_us = 200, .crowd = 2, .crowding = 0.1}, true, 10},
        {{.workers = 2, .service_us = 1000, .network_us = 200}, true, 12},
        {{.workers = 8, .service_us = 4000, .network_us = 1000}, true, 24},
        {{.workers = 16, .service_us = 5000, .network_us = 20000}, true, MAX},
        {{.workers = 32, .service_us = 1000, .network_us = 100000}, true, MAX},
        {{.workers = 1, .service_us = 4500, .network_us = 200}, false, 28},
        {{.workers = 2, .service_us = 1000, .network_us = 200, .crowd = 20, .crowding = 0.1}, false, 29},
        {{.workers = 8, .service_us = 4000, .network_us = 1000}, false, 34},
        {{.workers = 32, .service_us = 1000, .network_us = 100000}, false, MAX},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct run run = {.model = cases[i].model, .seed = 7};
        struct write_limit limit;
        double best = 0;
        for (uint32_t fixed = 1; fixed <= MAX; fixed *= 2)
            best = rate_at(&cases[i].model, fixed) > best ? rate_at(&cases[i].model, fixed) : best;
        write_limit_init(&limit, 0, cases[i].serial ? 0 : WRITE_LIMIT_CLASSES);
        double found = saturate(&run, &limit, 4000);
        assert_true(found > 0.8 * best);
        assert_true(limit.level <= cases[i].at_most); /* also when it is just dipping */
    }
}

/* 64 answers after the last serial one its bounds no longer hold. */
static void other_writes_may_queue_longer(void **state)
{
    (void)state;
    struct run run = {.model = {.workers = 2, .service_us = 1000, .network_us = 200}, .seed = 5};
    struct write_limit limit;
    write_limit_init(&limit, 0, 0);
    (void)saturate(&run, &limit, 2000);
    double serial = limit.level;
    assert_true(serial <= 8);
    limit.serial_class = 1; /* what class 0 is now is of another kind */
    (void)saturate(&run, &limit, 2000);
    assert_true(limit.level > serial + 4);
}

/* With many links the server has no longer queue than with one, whoever waits in it. */
static void what_goes_beyond_the_level_queues_too(void **state)
{
    (void)state;
    uint32_t under_way[2];
    for (unsigned many = 0; many < 2; many++) {
        struct run run = {.model = {.workers = 1, .service_us = 4500, .network_us = 200},
                          .seed = 7,
                          .many_links = many == 1};
        struct write_limit limit;
        write_limit_init(&limit, 0, 0);
        (void)saturate(&run, &limit, 4000);
        limit.dip_answers = 0;
        under_way[many] = may_be_under_way(&run, &limit);
    }
    assert_in_range(under_way[1], under_way[0] - 1, under_way[0] + 1);
}

static void it_follows_a_server_that_changes(void **state)
{
    (void)state;
    struct run run = {.model = {.workers = 8, .service_us = 1000, .network_us = 10000}, .seed = 3};
    struct write_limit limit;
    write_limit_init(&limit, 0, WRITE_LIMIT_CLASSES);
    (void)saturate(&run, &limit, 3000);
    uint32_t before = write_limit_get(&limit);
    assert_true(before > WRITE_LIMIT_FIRST);
    run.model = (struct model){.workers = 1, .service_us = 10000, .network_us = 200};
    double rate = saturate(&run, &limit, 3000);
    assert_true(write_limit_get(&limit) < before);
    assert_true(rate > 90); /* of 100 */
}

static void an_overloaded_server_gets_half(void **state)
{
    (void)state;
    struct write_limit limit;
    write_limit_init(&limit, 0, WRITE_LIMIT_CLASSES);
    write_limit_lower(&limit, 1000);
    write_limit_lower(&limit, 1050); /* the same overload */
    assert_int_equal(write_limit_get(&limit), WRITE_LIMIT_FIRST / 2);
    for (uint64_t now_ms = 2000; now_ms < 10000; now_ms += 1000)
        write_limit_lower(&limit, now_ms);
    assert_int_equal(write_limit_get(&limit), WRITE_LIMIT_MIN);
}

static void what_is_fixed_stays(void **state)
{
    (void)state;
    struct write_limit limit;
    write_limit_init(&limit, 3, WRITE_LIMIT_CLASSES);
    for (unsigned i = 0; i < 1000; i++)
        write_limit_note(&limit, 0, i % 2 == 0 ? 1000 : 900000, 3);
    write_limit_lower(&limit, 1000);
    assert_int_equal(write_limit_get(&limit), 3);
    write_limit_init(&limit, 1000, WRITE_LIMIT_CLASSES);
    assert_int_equal(write_limit_get(&limit), WRITE_LIMIT_MAX);
    write_limit_init(&limit, 1, WRITE_LIMIT_CLASSES);
    assert_int_equal(write_limit_get(&limit), 1);
}

/* A few slow answers when little is to do say nothing about the level. */
static void it_learns_only_at_its_level(void **state)
{
    (void)state;
    struct write_limit limit;
    write_limit_init(&limit, 0, WRITE_LIMIT_CLASSES);
    for (unsigned i = 0; i < 1000; i++)
        write_limit_note(&limit, i % WRITE_LIMIT_CLASSES, 1000 + i * 100, 2);
    assert_int_equal(write_limit_get(&limit), WRITE_LIMIT_FIRST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_finds_the_level_of_each_server),     cmocka_unit_test(other_writes_may_queue_longer),
        cmocka_unit_test(what_goes_beyond_the_level_queues_too), cmocka_unit_test(it_follows_a_server_that_changes),
        cmocka_unit_test(an_overloaded_server_gets_half),        cmocka_unit_test(what_is_fixed_stays),
        cmocka_unit_test(it_learns_only_at_its_level),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
