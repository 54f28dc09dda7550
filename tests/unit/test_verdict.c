/* links: base health */
#include "health/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* --- a gateway in virtual time ---
 *
 * What a probe sent at a time meets is told by a script of spans; the world sends when the machine says so, and gives each
 * probe its end when that is due. */

enum { START_MS = 1000000, NEVER = 1000000000, MAX_UNDER_WAY = 256 };

struct span {
    uint64_t from_ms; /* relative to START_MS */
    enum probe_reason reason;
    uint32_t takes_ms;
};

struct world {
    struct verdict_machine machine;
    const struct span *script; /* ascending; the last has takes_ms NEVER or is simply the last */
    size_t spans;
    uint64_t now_ms;
    struct {
        uint64_t sequence, due_ms;
        enum probe_reason reason;
    } under_way[MAX_UNDER_WAY];
    size_t under_way_count, most_under_way;
    uint32_t sent, changes;
    uint64_t last_sent_ms;
    uint32_t closes_after_ms; /* the server ends the connection so long after each answer; 0: it does not */
    uint64_t news_ms;         /* when that will be; 0: not */
    uint32_t late_after_ms;   /* a probe unanswered for so long is news; 0: not watched */
};

static void world_init(struct world *world, const struct span *script, size_t spans, uint32_t period_ms)
{
    *world = (struct world){.script = script, .spans = spans, .now_ms = START_MS};
    const struct verdict_config config = {.period_ms = period_ms};
    verdict_init(&world->machine, &config, world->now_ms, 777);
}

static void world_send(struct world *world)
{
    const struct span *span = world->script;
    for (size_t i = 1; i < world->spans && START_MS + world->script[i].from_ms <= world->now_ms; i++)
        span = &world->script[i];
    size_t i = world->under_way_count++;
    assert_true(i < MAX_UNDER_WAY);
    world->under_way[i].sequence = verdict_sent(&world->machine, world->now_ms);
    world->under_way[i].reason = span->reason;
    world->under_way[i].due_ms = world->now_ms + span->takes_ms;
    world->sent++;
    world->last_sent_ms = world->now_ms;
    if (world->under_way_count > world->most_under_way)
        world->most_under_way = world->under_way_count;
    if (world->late_after_ms > 0 && span->takes_ms > world->late_after_ms)
        world->news_ms = world->now_ms + world->late_after_ms;
}

static void world_end(struct world *world, size_t i)
{
    uint64_t sequence = world->under_way[i].sequence;
    enum probe_reason reason = world->under_way[i].reason;
    world->under_way[i] = world->under_way[--world->under_way_count];
    if (verdict_result(&world->machine, sequence, reason, 0, world->now_ms))
        world->changes++;
    if (reason == REASON_OK && world->closes_after_ms > 0)
        world->news_ms = world->now_ms + world->closes_after_ms;
}

static size_t earliest(const struct world *world)
{
    size_t found = 0;
    for (size_t i = 1; i < world->under_way_count; i++)
        if (world->under_way[i].due_ms < world->under_way[found].due_ms)
            found = i;
    return found;
}

/* Runs until `end_ms` (relative), or until the verdict is `wanted`. @return the time, relative. */
static uint64_t world_run_to(struct world *world, uint64_t end_ms, int wanted)
{
    while ((int)world->machine.verdict != wanted) {
        uint64_t next_ms = verdict_next_ms(&world->machine);
        size_t first = earliest(world);
        bool ends = world->under_way_count > 0 && world->under_way[first].due_ms <= next_ms;
        uint64_t at_ms = ends ? world->under_way[first].due_ms : next_ms;
        bool news = world->news_ms != 0 && world->news_ms <= at_ms;
        at_ms = news ? world->news_ms : at_ms;
        if (at_ms > START_MS + end_ms)
            break;
        if (at_ms > world->now_ms)
            world->now_ms = at_ms;
        if (news) {
            world->news_ms = 0;
            verdict_news(&world->machine, world->now_ms);
        } else if (ends) {
            world_end(world, first);
        } else {
            world_send(world);
        }
    }
    if ((int)world->machine.verdict != wanted)
        world->now_ms = START_MS + end_ms;
    return world->now_ms - START_MS;
}

static void world_run(struct world *world, uint64_t end_ms) { (void)world_run_to(world, end_ms, -1); }

#define SCRIPT(...) (const struct span[]){__VA_ARGS__}, sizeof((const struct span[]){__VA_ARGS__}) / sizeof(struct span)

/* --- the promises, at a period of 3 s --- */

static void the_first_probe_goes_at_once_and_one_success_is_enough(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, SCRIPT({0, REASON_OK, 5}), 3000);
    assert_int_equal(verdict_next_ms(&world.machine), START_MS);
    assert_int_equal(world.machine.verdict, VERDICT_UNKNOWN);
    assert_int_equal(world_run_to(&world, 60000, VERDICT_ALIVE), 5);
    assert_int_equal(world.sent, 1);
}

static void an_alive_gateway_is_probed_once_a_period(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, SCRIPT({0, REASON_OK, 5}), 3000);
    world_run(&world, 2999);
    uint32_t before = world.sent;
    world_run(&world, 2999 + 30000);
    assert_int_equal(world.sent, before + 10);
    assert_int_equal((world.last_sent_ms - world.machine.phase_ms) % 3000, 0);
    assert_int_equal(world.changes, 1);
}

static void a_closed_port_is_dead_within_a_second(void **state)
{
    (void)state;
    /* The process ends, at any time in the period: its connection with it. */
    for (uint64_t at_ms = 10001; at_ms < 13100; at_ms += 7) {
        struct world world;
        world_init(&world, SCRIPT({0, REASON_OK, 5}, {at_ms, REASON_REFUSED, 1}), 3000);
        world_run(&world, at_ms - 1);
        world.news_ms = START_MS + at_ms;
        uint64_t dead_ms = world_run_to(&world, 60000, VERDICT_DEAD);
        assert_true(dead_ms >= at_ms + 200);
        assert_true(dead_ms <= at_ms + 510);
        assert_int_equal(world.machine.reason, REASON_REFUSED);
    }
}

/* Measured on Linux: keep-alives end the idle connection up to 2 s after the peer went silent; a probe in the meantime keeps
 * them from it, and is itself news when it was not acknowledged for 400 ms. */
static void a_black_hole_is_dead_within_four_seconds(void **state)
{
    (void)state;
    for (uint64_t at_ms = 10001; at_ms < 13100; at_ms += 7) {
        struct world world;
        world_init(&world, SCRIPT({0, REASON_OK, 5}, {at_ms, REASON_CONNECT_TIMEOUT, 1000}), 3000);
        world.late_after_ms = 400;
        world_run(&world, at_ms - 1);
        world_run_to(&world, at_ms + 2000, VERDICT_DEAD);
        if (!world.machine.doubt)
            world.news_ms = world.now_ms;
        uint64_t dead_ms = world_run_to(&world, 60000, VERDICT_DEAD);
        assert_true(dead_ms <= at_ms + 3700);
        assert_true(world.most_under_way <= 5);
    }
}

static void a_gateway_that_answers_again_is_alive_within_one_and_a_half_seconds(void **state)
{
    (void)state;
    static const struct span deaths[] = {{0, REASON_REFUSED, 1},
                                         {0, REASON_CONNECT_TIMEOUT, 1000},
                                         {0, REASON_ANSWER_TIMEOUT, 30000}};
    for (size_t i = 0; i < sizeof(deaths) / sizeof(*deaths); i++)
        for (uint64_t at_ms = 100000; at_ms < 101100; at_ms += 13) {
            struct world world;
            world_init(&world, SCRIPT(deaths[i], {at_ms, REASON_OK, 20}), 3000);
            assert_true(world_run_to(&world, at_ms, VERDICT_DEAD) < at_ms);
            assert_true(world_run_to(&world, at_ms + 60000, VERDICT_ALIVE) <= at_ms + 1020);
        }
}

static void the_end_of_a_connection_alone_never_kills(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, SCRIPT({0, REASON_OK, 150}), 3000);
    for (uint64_t ms = 200; ms < 60000; ms += 37) {
        world.news_ms = START_MS + ms;
        world_run(&world, ms);
        assert_int_not_equal(world.machine.verdict, VERDICT_DEAD);
    }
    assert_int_equal(world.machine.failures_total, 0);
    assert_int_equal(world.changes, 1);
}

static void one_news_costs_one_probe(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, SCRIPT({0, REASON_OK, 5}), 60000);
    world_run(&world, 1000);
    uint32_t before = world.sent;
    uint64_t grid_ms = verdict_next_ms(&world.machine);
    world.news_ms = START_MS + 2000;
    world_run(&world, 4000);
    assert_int_equal(world.sent, before + 1);
    assert_int_equal(world.last_sent_ms, START_MS + 2000);
    assert_int_equal(verdict_next_ms(&world.machine), grid_ms); /* the schedule is not shifted */
}

static void a_server_that_closes_after_each_answer_is_not_asked_without_end(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, SCRIPT({0, REASON_OK, 2}), 3000);
    world.closes_after_ms = 1;
    world_run(&world, 30000);
    assert_true(world.sent <= 30000 / 300 + 12);
    assert_int_equal(world.changes, 1);
}

/* --- slow answers --- */

static void slow_answers_overlap_and_are_no_failures(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, SCRIPT({0, REASON_OK, 10000}), 3000);
    world_run(&world, 120000);
    assert_int_equal(world.machine.verdict, VERDICT_ALIVE);
    assert_int_equal(world.machine.failures_total, 0);
    assert_in_range(world.sent, 39, 42);
    assert_in_range(world.most_under_way, 3, 5);
}

static void a_gateway_that_hangs_dies_by_its_timeout_and_is_not_flooded(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, SCRIPT({0, REASON_OK, 5}, {10000, REASON_ANSWER_TIMEOUT, 30000}), 3000);
    /* Three probes are sent, a period apart, before one knows of the first. */
    assert_in_range(world_run_to(&world, 120000, VERDICT_DEAD), 10000 + 30000, 10000 + 40000);
    assert_in_range(world.most_under_way, 10, 14);
}

static void a_hang_that_passes_is_forgotten(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, SCRIPT({0, REASON_OK, 5}, {10000, REASON_ANSWER_TIMEOUT, 30000}, {22000, REASON_OK, 5}), 3000);
    world_run(&world, 60000);
    assert_int_equal(world.machine.verdict, VERDICT_ALIVE);
    assert_int_equal(world.machine.transitions_total, 1);
    assert_int_equal(world.machine.failures_total, 4);
    assert_int_equal(world.machine.failures, 0);
    assert_int_equal(world.machine.reason, REASON_OK);
}

/* --- results out of order, one by one --- */

static struct verdict_machine machine_with(uint32_t failure_threshold, uint32_t success_threshold)
{
    struct verdict_machine machine;
    const struct verdict_config config = {.period_ms = 3000,
                                          .failure_threshold = failure_threshold,
                                          .success_threshold = success_threshold};
    verdict_init(&machine, &config, START_MS, 0);
    return machine;
}

static uint64_t send_at(struct verdict_machine *machine, uint64_t ms) { return verdict_sent(machine, START_MS + ms); }

static bool end_at(struct verdict_machine *machine, uint64_t sequence, enum probe_reason reason, uint64_t ms)
{
    return verdict_result(machine, sequence, reason, 0, START_MS + ms);
}

static void a_late_failure_does_not_count(void **state)
{
    (void)state;
    struct verdict_machine machine = machine_with(1, 1);
    uint64_t first = send_at(&machine, 0), second = send_at(&machine, 100);
    assert_true(end_at(&machine, second, REASON_OK, 110));
    assert_false(end_at(&machine, first, REASON_CONNECT_TIMEOUT, 1000));
    assert_int_equal(machine.verdict, VERDICT_ALIVE);
    assert_int_equal(machine.failures, 0);
    assert_int_equal(machine.failures_total, 1);
    assert_int_equal(machine.reason, REASON_OK);
    assert_int_equal(machine.last_result_ms, START_MS + 110);
    assert_false(machine.doubt);
}

static void a_late_success_takes_back_only_earlier_failures(void **state)
{
    (void)state;
    struct verdict_machine machine = machine_with(3, 1);
    (void)end_at(&machine, send_at(&machine, 0), REASON_OK, 1);
    uint64_t a = send_at(&machine, 3000), b = send_at(&machine, 3100), c = send_at(&machine, 3200),
             d = send_at(&machine, 3300);
    assert_false(end_at(&machine, a, REASON_REFUSED, 3301));
    assert_false(end_at(&machine, c, REASON_REFUSED, 3302));
    assert_int_equal(machine.failures, 2);
    assert_false(end_at(&machine, b, REASON_OK, 3303));
    assert_int_equal(machine.failures, 1); /* c's */
    assert_int_equal(machine.reason, REASON_REFUSED);
    assert_true(machine.doubt);
    assert_false(end_at(&machine, d, REASON_REFUSED, 3304)); /* the second after b */
    assert_true(end_at(&machine, send_at(&machine, 3400), REASON_REFUSED, 3401));
    assert_int_equal(machine.verdict, VERDICT_DEAD);
}

static void a_success_sent_before_the_failures_does_not_raise_the_dead(void **state)
{
    (void)state;
    struct verdict_machine machine = machine_with(2, 1);
    uint64_t a = send_at(&machine, 0), b = send_at(&machine, 100), c = send_at(&machine, 200);
    assert_false(end_at(&machine, b, REASON_REFUSED, 201));
    assert_true(end_at(&machine, c, REASON_REFUSED, 202));
    assert_false(end_at(&machine, a, REASON_OK, 203));
    assert_int_equal(machine.verdict, VERDICT_DEAD);
    assert_int_equal(machine.reason, REASON_REFUSED);
    assert_true(end_at(&machine, send_at(&machine, 1200), REASON_OK, 1201));
    assert_int_equal(machine.since_ms, START_MS + 1201);
}

static void a_connection_that_ends_while_a_probe_is_under_way_is_still_looked_after(void **state)
{
    (void)state;
    struct verdict_machine machine = machine_with(3, 1);
    (void)end_at(&machine, send_at(&machine, 0), REASON_OK, 1);
    uint64_t before = send_at(&machine, 3000);
    verdict_news(&machine, START_MS + 3010);
    /* Sent before the news, so it proves nothing about the time after. */
    (void)end_at(&machine, before, REASON_OK, 3020);
    assert_true(machine.doubt);
    assert_int_equal(verdict_next_ms(&machine), START_MS + 3300);
    (void)end_at(&machine, send_at(&machine, 3300), REASON_OK, 3301);
    assert_false(machine.doubt);
}

static void more_news_in_doubt_brings_no_more_probes(void **state)
{
    (void)state;
    struct verdict_machine machine = machine_with(3, 1);
    (void)end_at(&machine, send_at(&machine, 0), REASON_OK, 1);
    for (uint64_t ms = 1000; ms < 1300; ms += 100) {
        verdict_news(&machine, START_MS + ms);
        assert_int_equal(verdict_next_ms(&machine), START_MS + ms);
        (void)send_at(&machine, ms);
    }
    verdict_news(&machine, START_MS + 1300);
    assert_int_equal(verdict_next_ms(&machine), START_MS + 2000); /* the grid's */
}

static void an_internal_failure_is_no_result(void **state)
{
    (void)state;
    struct verdict_machine machine = machine_with(1, 1);
    assert_false(end_at(&machine, send_at(&machine, 0), REASON_INTERNAL, 1));
    assert_int_equal(machine.verdict, VERDICT_UNKNOWN);
    assert_int_equal(machine.last_result_ms, 0);
    assert_int_equal(machine.failures_total, 0);
    assert_true(end_at(&machine, send_at(&machine, 3000), REASON_OK, 3001));
    verdict_news(&machine, START_MS + 4000);
    /* In doubt it is tried again soon: the question is still open. */
    assert_false(end_at(&machine, send_at(&machine, 4000), REASON_INTERNAL, 4001));
    assert_int_equal(verdict_next_ms(&machine), START_MS + 4100);
    assert_int_equal(machine.verdict, VERDICT_ALIVE);
}

static void thresholds_are_honoured_both_ways(void **state)
{
    (void)state;
    struct verdict_machine machine = machine_with(5, 3);
    assert_true(end_at(&machine, send_at(&machine, 0), REASON_OK, 1)); /* from unknown one is enough */
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(end_at(&machine, send_at(&machine, 3000 + i * 100), REASON_NO_ROUTE, 3001 + i * 100), i == 4);
    assert_int_equal(machine.failures, 5);
    assert_true(verdict_next_ms(&machine) == START_MS + 4400);
    assert_false(end_at(&machine, send_at(&machine, 4400), REASON_OK, 4401));
    assert_int_equal(verdict_next_ms(&machine), START_MS + 4500); /* confirmed quickly */
    assert_false(end_at(&machine, send_at(&machine, 4500), REASON_OK, 4501));
    assert_false(end_at(&machine, send_at(&machine, 4600), REASON_NO_ROUTE, 4601)); /* from the beginning */
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(end_at(&machine, send_at(&machine, 5600 + i * 100), REASON_OK, 5601 + i * 100), i == 2);
    assert_int_equal(machine.successes, 3);
    assert_int_equal(machine.failures, 0);
    assert_int_equal(machine.transitions_total, 3);
}

static void a_high_threshold_overlaps_only_so_many(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, SCRIPT({0, REASON_CONNECT_TIMEOUT, 1000}), 60000);
    const struct verdict_config config = {.period_ms = 60000, .failure_threshold = 20};
    verdict_reconfigure(&world.machine, &config, world.now_ms, world.machine.phase_ms);
    assert_in_range(world_run_to(&world, 60000, VERDICT_DEAD), 4000, 6000);
    assert_true(world.most_under_way <= VERDICT_VERIFY_OVERLAP + 1);
}

static void the_status_of_the_last_result_is_kept(void **state)
{
    (void)state;
    struct verdict_machine machine = machine_with(3, 1);
    (void)verdict_result(&machine, send_at(&machine, 0), REASON_NO_ROUTE, 404, START_MS + 1);
    assert_int_equal(machine.last_status, 404);
    (void)verdict_result(&machine, send_at(&machine, 100), REASON_REFUSED, 0, START_MS + 101);
    assert_int_equal(machine.last_status, 0);
    (void)verdict_result(&machine, send_at(&machine, 200), REASON_OK, 200, START_MS + 201);
    assert_int_equal(machine.last_status, 200);
}

/* --- configuration --- */

static void odd_configurations_are_bounded(void **state)
{
    (void)state;
    struct verdict_machine machine;
    verdict_init(&machine, &(struct verdict_config){0}, START_MS, UINT32_MAX);
    assert_int_equal(machine.config.period_ms, VERDICT_MIN_PERIOD_MS);
    assert_int_equal(machine.config.failure_threshold, 3);
    assert_int_equal(machine.config.success_threshold, 1);
    assert_true(machine.phase_ms < VERDICT_MIN_PERIOD_MS);
    verdict_init(&machine,
                 &(struct verdict_config){.period_ms = UINT32_MAX,
                                          .quick_ms = UINT32_MAX,
                                          .dead_period_ms = UINT32_MAX},
                 START_MS, 0);
    assert_int_equal(machine.config.period_ms, VERDICT_MAX_PERIOD_MS);
    assert_int_equal(machine.config.quick_ms, VERDICT_MAX_PERIOD_MS);
    assert_int_equal(machine.config.dead_period_ms, VERDICT_MAX_PERIOD_MS);
}

static void a_short_period_holds_while_dead_too(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, SCRIPT({0, REASON_REFUSED, 1}), 200);
    world_run(&world, 10000);
    assert_in_range(world.sent, 49, 53);
}

static void a_new_period_takes_effect_at_once_and_keeps_the_verdict(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, SCRIPT({0, REASON_OK, 5}), 3600000);
    world_run(&world, 1000);
    assert_int_equal(world.machine.verdict, VERDICT_ALIVE);
    const struct verdict_config quick = {.period_ms = 500};
    verdict_reconfigure(&world.machine, &quick, world.now_ms, world.machine.phase_ms);
    assert_true(verdict_next_ms(&world.machine) <= world.now_ms + 500);
    uint32_t before = world.sent;
    world_run(&world, 11000);
    assert_in_range(world.sent - before, 19, 21);
    assert_int_equal(world.machine.transitions_total, 1);
    const struct verdict_config slow = {.period_ms = 60000};
    verdict_reconfigure(&world.machine, &slow, world.now_ms, world.machine.phase_ms);
    before = world.sent;
    world_run(&world, 11000 + 600000);
    assert_in_range(world.sent - before, 10, 11);
}

static void a_lowered_threshold_kills_with_the_next_failure(void **state)
{
    (void)state;
    struct verdict_machine machine = machine_with(10, 1);
    for (unsigned i = 0; i < 5; i++)
        assert_false(end_at(&machine, send_at(&machine, i * 100), REASON_REFUSED, i * 100 + 1));
    const struct verdict_config lower = {.period_ms = 3000, .failure_threshold = 3};
    verdict_reconfigure(&machine, &lower, START_MS + 500, machine.phase_ms);
    assert_true(verdict_next_ms(&machine) <= START_MS + 500);
    assert_true(end_at(&machine, send_at(&machine, 500), REASON_REFUSED, 501));
}

static void reconfiguring_before_the_first_probe_does_not_put_it_off(void **state)
{
    (void)state;
    struct verdict_machine machine = machine_with(3, 1);
    const struct verdict_config slow = {.period_ms = 60000};
    verdict_reconfigure(&machine, &slow, START_MS + 1, machine.phase_ms);
    verdict_news(&machine, START_MS + 2);
    assert_int_equal(verdict_next_ms(&machine), START_MS);
}

static void names_of_verdicts(void **state)
{
    (void)state;
    assert_string_equal(verdict_name(VERDICT_UNKNOWN), "unknown");
    assert_string_equal(verdict_name(VERDICT_ALIVE), "alive");
    assert_string_equal(verdict_name(VERDICT_DEAD), "dead");
}

/* --- random histories against a plain model --- */

enum { MODEL_PROBES = 4096 };

/* Remembers everything, so that each rule can be checked as it is worded. */
struct model {
    enum { OPEN, SUCCEEDED, FAILED, INTERNAL } of[MODEL_PROBES + 1];
    uint64_t sent_ms[MODEL_PROBES + 1];
    uint64_t sent, transitions;
};

static uint32_t model_random(uint32_t *seed) /* xorshift: the same histories everywhere */
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    *seed ^= *seed << 5;
    return *seed;
}

static uint64_t model_newest(const struct model *model, int what)
{
    for (uint64_t i = model->sent; i > 0; i--)
        if ((int)model->of[i] == what)
            return i;
    return 0;
}

static uint32_t model_failures(const struct model *model)
{
    uint32_t failures = 0;
    for (uint64_t i = model_newest(model, SUCCEEDED) + 1; i <= model->sent; i++)
        failures += model->of[i] == FAILED;
    return failures;
}

static void model_check(const struct model *model, const struct verdict_machine *machine, uint64_t now_ms)
{
    assert_int_equal(machine->transitions_total, model->transitions);
    assert_int_equal(machine->probes_total, model->sent);
    assert_true(verdict_next_ms(machine) <= now_ms + machine->config.period_ms);
    if (model->sent > 0)
        assert_true(verdict_next_ms(machine) >= model->sent_ms[model->sent] + 100);
    if (machine->verdict == VERDICT_ALIVE)
        assert_true(machine->failures < machine->config.failure_threshold);
}

static void model_result(struct model *model, struct verdict_machine *machine, uint64_t sequence, uint32_t dice,
                         uint64_t now_ms)
{
    enum verdict before = machine->verdict;
    bool alive = dice % 100 < 60, internal = dice % 100 >= 97;
    uint64_t newest_failure = model_newest(model, FAILED);
    model->of[sequence] = internal ? INTERNAL : alive ? SUCCEEDED : FAILED;
    bool changed = verdict_result(machine, sequence,
                                  internal ? REASON_INTERNAL
                                  : alive  ? REASON_OK
                                           : REASON_REFUSED,
                                  0, now_ms);
    assert_int_equal(changed, machine->verdict != before);
    model->transitions += changed;
    if (changed && machine->verdict == VERDICT_DEAD)
        assert_true(model->of[sequence] == FAILED && model_failures(model) >= machine->config.failure_threshold);
    if (changed && machine->verdict == VERDICT_ALIVE)
        assert_true(model->of[sequence] == SUCCEEDED && model_failures(model) == 0);
    if (!changed && before == VERDICT_ALIVE)
        assert_true(model_failures(model) < machine->config.failure_threshold);
    if (!changed && alive && !internal && sequence > newest_failure && machine->config.success_threshold == 1)
        assert_int_equal(machine->verdict, VERDICT_ALIVE);
    if (changed)
        assert_int_equal(machine->since_ms, now_ms);
}

static uint64_t model_open(const struct model *model, uint32_t dice)
{
    uint64_t open[64];
    size_t count = 0;
    for (uint64_t i = model->sent; i > 0 && count < 12; i--)
        if (model->of[i] == OPEN)
            open[count++] = i;
    return count > 0 ? open[dice % count] : 0;
}

static void model_send(struct model *model, struct verdict_machine *machine, uint64_t now_ms)
{
    model->sent_ms[++model->sent] = now_ms;
    assert_int_equal(verdict_sent(machine, now_ms), model->sent);
}

static void model_run(uint32_t seed)
{
    static struct model model;
    memset(&model, 0, sizeof(model));
    struct verdict_machine machine;
    struct verdict_config config = {.period_ms = 100 + model_random(&seed) % 5000,
                                    .failure_threshold = model_random(&seed) % 5,
                                    .success_threshold = model_random(&seed) % 3};
    uint64_t now_ms = START_MS;
    verdict_init(&machine, &config, now_ms, model_random(&seed));
    for (unsigned step = 0; step < 1500; step++) {
        uint32_t dice = model_random(&seed);
        uint64_t sequence = model_open(&model, dice >> 8);
        if (dice % 16 == 0)
            verdict_news(&machine, now_ms);
        else if (dice % 16 < 8 && sequence != 0)
            model_result(&model, &machine, sequence, dice >> 12, now_ms);
        else if (verdict_next_ms(&machine) <= now_ms || dice % 16 == 8)
            model_send(&model, &machine, now_ms);
        else
            now_ms += dice % 16 < 12 ? model_random(&seed) % 50 : verdict_next_ms(&machine) - now_ms;
        model_check(&model, &machine, now_ms);
    }
}

static void random_histories_keep_the_rules(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 2000; seed++)
        model_run(seed * 2654435761u | 1);
}

/* Whatever the gateway does, the machine neither floods it nor forgets it. */
static void random_gateways_are_probed_often_enough_and_not_too_often(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 300; seed++) {
        uint32_t dice = seed * 2654435761u | 1;
        struct span script[40];
        for (size_t i = 0; i < 40; i++) {
            static const struct span kinds[] = {{0, REASON_OK, 3},
                                                {0, REASON_OK, 900},
                                                {0, REASON_REFUSED, 1},
                                                {0, REASON_CONNECT_TIMEOUT, 1000},
                                                {0, REASON_ANSWER_TIMEOUT, 9000},
                                                {0, REASON_INTERNAL, 0}};
            script[i] = kinds[model_random(&dice) % 6];
            script[i].from_ms = i * 5000 + model_random(&dice) % 5000;
        }
        struct world world;
        world_init(&world, script, 40, 3000);
        world.late_after_ms = 400;
        world.closes_after_ms = model_random(&dice) % 2 * 50;
        uint32_t window_began = 0;
        for (uint64_t ms = 1000; ms < 210000; ms += 1000) {
            world_run(&world, ms);
            assert_true(world.sent - window_began <= 10); /* in a second */
            assert_true(START_MS + ms - world.last_sent_ms <= 3000);
            window_began = world.sent;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_probe_goes_at_once_and_one_success_is_enough),
        cmocka_unit_test(an_alive_gateway_is_probed_once_a_period),
        cmocka_unit_test(a_closed_port_is_dead_within_a_second),
        cmocka_unit_test(a_black_hole_is_dead_within_four_seconds),
        cmocka_unit_test(a_gateway_that_answers_again_is_alive_within_one_and_a_half_seconds),
        cmocka_unit_test(the_end_of_a_connection_alone_never_kills),
        cmocka_unit_test(one_news_costs_one_probe),
        cmocka_unit_test(a_server_that_closes_after_each_answer_is_not_asked_without_end),
        cmocka_unit_test(slow_answers_overlap_and_are_no_failures),
        cmocka_unit_test(a_gateway_that_hangs_dies_by_its_timeout_and_is_not_flooded),
        cmocka_unit_test(a_hang_that_passes_is_forgotten),
        cmocka_unit_test(a_late_failure_does_not_count),
        cmocka_unit_test(a_late_success_takes_back_only_earlier_failures),
        cmocka_unit_test(a_success_sent_before_the_failures_does_not_raise_the_dead),
        cmocka_unit_test(a_connection_that_ends_while_a_probe_is_under_way_is_still_looked_after),
        cmocka_unit_test(more_news_in_doubt_brings_no_more_probes),
        cmocka_unit_test(an_internal_failure_is_no_result),
        cmocka_unit_test(thresholds_are_honoured_both_ways),
        cmocka_unit_test(a_high_threshold_overlaps_only_so_many),
        cmocka_unit_test(the_status_of_the_last_result_is_kept),
        cmocka_unit_test(odd_configurations_are_bounded),
        cmocka_unit_test(a_short_period_holds_while_dead_too),
        cmocka_unit_test(a_new_period_takes_effect_at_once_and_keeps_the_verdict),
        cmocka_unit_test(a_lowered_threshold_kills_with_the_next_failure),
        cmocka_unit_test(reconfiguring_before_the_first_probe_does_not_put_it_off),
        cmocka_unit_test(names_of_verdicts),
        cmocka_unit_test(random_histories_keep_the_rules),
        cmocka_unit_test(random_gateways_are_probed_often_enough_and_not_too_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
