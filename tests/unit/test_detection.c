/* links: agent_net agent_loop health base fake_gateway.c */
/* The promises of docs/gateway-diagnosis.md about time, kept by the probes and the verdict together: real sockets, a period of
 * 3 s, gateways that die at every moment of it. */
#include "agent/net/probe.h"
#include "health/verdict.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fake_gateway.h"
#include "stalls.h"

enum { PERIOD_MS = 3000, GATEWAYS = 12, PENDING = 32 };

enum fate { CLOSED_PORT, RESET_PORT, BLACK_HOLE, FATES };

/* One gateway and its prober; the driver is as small as one can be. */
struct subject {
    struct loop *loop;
    struct fake_gateway gateway;
    struct probe_link *link;
    struct verdict_machine machine;
    struct loop_timer *timer, *step;
    uint64_t sequence_of[PENDING]; /* by id modulo PENDING: fewer are ever under way */
    enum fate fate;
    unsigned index;
    enum { WARM, DYING, RECOVERING, DONE } stage;
    const struct stalls *stalls;
    struct moment since;
    uint64_t dead_ms, alive_ms; /* in which the process could run */
    unsigned *left;
};

static void arm(struct subject *subject)
{
    uint64_t now_ms = loop_now_ms(subject->loop), next_ms = verdict_next_ms(&subject->machine);
    loop_timer_start(subject->timer, next_ms > now_ms ? next_ms - now_ms : 0);
}

static void on_due(void *context)
{
    struct subject *subject = context;
    uint32_t id = 0;
    uint64_t sequence = verdict_sent(&subject->machine, loop_now_ms(subject->loop));
    assert_int_equal(probe_link_send(subject->link, &id, NULL), ERR_OK);
    subject->sequence_of[id % PENDING] = sequence;
    arm(subject);
}

static uint64_t since_ms(const struct subject *subject) { return stalls_running_ms(subject->stalls, subject->since); }

static void on_verdict(struct subject *subject)
{
    if (subject->stage == DYING && subject->machine.verdict == VERDICT_DEAD) {
        subject->dead_ms = since_ms(subject);
        /* Back at any moment of the second between two probes of a dead gateway. */
        loop_timer_start(subject->step, 1500 + subject->index * 1000 / GATEWAYS);
    } else if (subject->stage == RECOVERING && subject->machine.verdict == VERDICT_ALIVE) {
        subject->alive_ms = since_ms(subject);
        subject->stage = DONE;
        if (--*subject->left == 0)
            loop_stop(subject->loop);
    } else if (subject->stage != WARM) {
        fail_msg("gateway %u turns %s at the wrong time", subject->index, verdict_name(subject->machine.verdict));
    }
}

static void on_result(void *context, uint32_t id, const struct probe_observation *seen)
{
    struct subject *subject = context;
    bool changed = verdict_result(&subject->machine, subject->sequence_of[id % PENDING],
                                  diagnosis_of(seen, "/-/ambassador/ready"), seen->status, loop_now_ms(subject->loop));
    arm(subject);
    if (changed)
        on_verdict(subject);
}

static void on_lost(void *context, const char *how)
{
    struct subject *subject = context;
    (void)how;
    verdict_news(&subject->machine, loop_now_ms(subject->loop));
    arm(subject);
}

static void on_step(void *context)
{
    struct subject *subject = context;
    subject->since = stalls_now(subject->stalls);
    bool dies = subject->stage == WARM;
    subject->stage = dies ? DYING : RECOVERING;
    if (dies)
        assert_int_equal(subject->machine.verdict, VERDICT_ALIVE);
    if (subject->fate == BLACK_HOLE)
        fake_gateway_black_hole(&subject->gateway, dies);
    else if (dies)
        fake_gateway_stop(&subject->gateway, subject->fate == CLOSED_PORT ? FAKE_CLOSE : FAKE_RESET);
    else
        fake_gateway_start(&subject->gateway);
}

static void subject_init(struct subject *subject, struct loop *loop, struct http *http, enum fate fate, unsigned index,
                         const struct stalls *stalls, unsigned *left)
{
    *subject = (struct subject){.loop = loop, .fate = fate, .index = index, .stalls = stalls};
    subject->left = left;
    fake_gateway_init(&subject->gateway, loop, false);
    const struct probe_link_config config = {.ip = "127.0.0.1",
                                             .port = subject->gateway.port,
                                             .path = "-/ambassador/ready",
                                             .host = "gateway"};
    const struct probe_callbacks callbacks = {.on_result = on_result,
                                              .on_connection_lost = on_lost,
                                              .context = subject};
    assert_int_equal(probe_link_new(http, &config, &callbacks, &subject->link, NULL), ERR_OK);
    subject->timer = loop_timer_new(loop, on_due, subject);
    subject->step = loop_timer_new(loop, on_step, subject);
    const struct verdict_config verdict = {.period_ms = PERIOD_MS};
    /* All in step, so that the moments of death are spread over the period. */
    verdict_init(&subject->machine, &verdict, loop_now_ms(loop), (uint32_t)(loop_now_ms(loop) % PERIOD_MS));
    arm(subject);
    loop_timer_start(subject->step, PERIOD_MS + 5 + index * PERIOD_MS / GATEWAYS);
}

static void subject_done(struct subject *subject)
{
    probe_link_free(subject->link);
    loop_timer_free(subject->timer);
    loop_timer_free(subject->step);
    fake_gateway_done(&subject->gateway);
}

static void check(const struct subject subjects[GATEWAYS], const char *what, uint64_t dead_bound_ms)
{
    uint64_t dead_ms = 0, alive_ms = 0;
    for (unsigned i = 0; i < GATEWAYS; i++) {
        dead_ms = subjects[i].dead_ms > dead_ms ? subjects[i].dead_ms : dead_ms;
        alive_ms = subjects[i].alive_ms > alive_ms ? subjects[i].alive_ms : alive_ms;
        assert_int_equal(subjects[i].machine.transitions_total, 3);
        print_message("%s at %4u ms of the period: dead after %4u ms, alive after %4u ms\n", what,
                      i * PERIOD_MS / GATEWAYS, (unsigned)subjects[i].dead_ms, (unsigned)subjects[i].alive_ms);
    }
    assert_in_range(dead_ms, 1, dead_bound_ms);
    assert_in_range(alive_ms, 1, 1500);
}

static void gateways_die_and_recover_in_time(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct http *http = http_new(loop, NULL, NULL);
    static struct subject subjects[FATES][GATEWAYS];
    struct stalls stalls;
    unsigned left = FATES * GATEWAYS;
    stalls_init(&stalls, loop);
    for (unsigned fate = 0; fate < FATES; fate++)
        for (unsigned i = 0; i < GATEWAYS; i++)
            subject_init(&subjects[fate][i], loop, http, (enum fate)fate, i, &stalls, &left);
    loop_run(loop);
    check(subjects[CLOSED_PORT], "closed port", 1000);
    check(subjects[RESET_PORT], "reset", 1000);
    check(subjects[BLACK_HOLE], "black hole", 4000);
    for (unsigned fate = 0; fate < FATES; fate++)
        for (unsigned i = 0; i < GATEWAYS; i++)
            subject_done(&subjects[fate][i]);
    stalls_done(&stalls);
    http_free(http);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(gateways_die_and_recover_in_time)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
