/* links: agent_control base */
/* agent/control/election.c, played in virtual time: what happens, when, and what the machine must want to do then. */
#include "agent/control/election.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum happening {
    NOTHING, /* only time passes */
    SEE,     /* a watch shows the Lease: version, holder, duration */
    SEE_NONE,
    MISS,   /* a list does not have it */
    ANSWER, /* what was sent last succeeded, with this version */
    FAIL,   /* with `code` */
    LEAVE,
    HURRY,
};

struct step {
    uint64_t at_ms;
    enum happening happening;
    const char *version, *holder;
    uint32_t duration_s;
    enum err_code code;
    enum election_wish wish;
    bool gone, busy;
    /* wanted: what comes next, and when that is asked for again; what we are then */
    enum election_action action;
    uint64_t again_ms;
    enum election_state state;
    bool may_begin, may_send;
};

static const struct election_config config = {.identity = "me",
                                              .lease_ms = 15000,
                                              .renew_deadline_ms = 10000,
                                              .retry_ms = 2000};

#define W ELECTION_WAIT
#define NEVER ELECTION_NEVER

static void happen(struct election *election, const struct step *step)
{
    struct lease_record record = {.exists = true, .duration_s = step->duration_s, .transitions = 7};
    (void)snprintf(record.version, sizeof(record.version), "%s", step->version != NULL ? step->version : "");
    (void)snprintf(record.holder, sizeof(record.holder), "%s", step->holder != NULL ? step->holder : "");
    switch (step->happening) {
    case NOTHING:
        break;
    case SEE_NONE:
        record.exists = false; /* fall through */
        __attribute__((fallthrough));
    case SEE:
        election_see(election, &record, 0, step->at_ms);
        break;
    case MISS:
        election_miss(election, 0, step->at_ms);
        break;
    case ANSWER:
        election_answered(election, ERR_OK, &record, 0, step->at_ms);
        break;
    case FAIL:
        election_answered(election, step->code, NULL, 0, step->at_ms);
        break;
    case LEAVE:
        election_leave(election);
        break;
    case HURRY:
        election_hurry(election, step->at_ms);
        break;
    }
}

/* Whatever the machine wants to send is sent at once. */
static void play(const struct election_config *of, const struct step *steps, size_t count)
{
    struct election election;
    election_init(&election, of);
    for (size_t i = 0; i < count; i++) {
        const struct step *step = &steps[i];
        uint64_t again_ms = NEVER;
        happen(&election, step);
        enum election_action action =
            election_next(&election, step->wish, step->gone, step->busy, step->at_ms, &again_ms);
        if (action != step->action || (action == W && again_ms != step->again_ms) || election.state != step->state)
            fail_msg("step %zu: action %d (wanted %d), again at %llu (%llu), state %d (%d)", i, (int)action,
                     (int)step->action, (unsigned long long)again_ms, (unsigned long long)step->again_ms,
                     (int)election.state, (int)step->state);
        if (action != W)
            election_sent(&election, action, step->at_ms);
        assert_int_equal(election_may_begin(&election, step->at_ms), step->may_begin);
        assert_int_equal(election_may_send(&election, step->at_ms), step->may_send);
    }
}
#define PLAY(steps) play(&config, steps, sizeof(steps) / sizeof((steps)[0]))

#define NOW_ .wish = ELECTION_NOW
#define LATER .wish = ELECTION_LATER
#define UNKNOWN .state = ELECTION_UNKNOWN
#define STANDBY .state = ELECTION_STANDBY
#define HOLDING .state = ELECTION_HOLDING, .may_begin = true, .may_send = true
#define LEAVING .state = ELECTION_LEAVING, .may_send = true
#define RELEASING .state = ELECTION_LEAVING
#define MINE(v) .version = v, .holder = "me", .duration_s = 15
#define ITS(v) .version = v, .holder = "it", .duration_s = 15

static void an_absent_lease_is_created_and_renewed(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {1000, NOTHING, NOW_, UNKNOWN, .action = W, .again_ms = NEVER},
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1010, NOTHING, NOW_, STANDBY, .action = W, .again_ms = NEVER},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {1030, SEE, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {3000, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        /* Our own deadline runs while an answer is awaited: since the last renewal was *sent*. */
        {3005, NOTHING, NOW_, HOLDING, .action = W, .again_ms = 11000},
        {3010, ANSWER, MINE("12"), NOW_, HOLDING, .action = W, .again_ms = 5000},
        {3020, HURRY, NOW_, HOLDING, .action = ELECTION_RENEW},
    };
    PLAY(steps);
}

static void one_of_many_leases_is_renewed_less_often(void **state)
{
    (void)state;
    struct election_config rare = config;
    rare.renew_ms = 5000;
    static const struct step steps[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        /* Its time is at 5000 and each 5000 after that. */
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 5000},
        {1030, SEE, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 5000},
        {5000, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        /* What failed is tried again as soon as ever, and the deadline is what it was. */
        {5010, FAIL, .code = ERR_TIMEOUT, NOW_, HOLDING, .action = W, .again_ms = 7000},
        {7000, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        {7010, FAIL, .code = ERR_TIMEOUT, NOW_, HOLDING, .action = W, .again_ms = 9000},
        {9000, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        {9005, NOTHING, NOW_, HOLDING, .action = W, .again_ms = 11000},
        {9010, ANSWER, MINE("11"), NOW_, HOLDING, .action = W, .again_ms = 11000}, /* not sooner than ever */
        {11000, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        {11010, ANSWER, MINE("12"), NOW_, HOLDING, .action = W, .again_ms = 15000},
        /* Whoever shortens it makes the next renewal come early, which puts it right. */
        {13500, SEE, .version = "13", .holder = "me", .duration_s = 3, NOW_, STANDBY, .action = ELECTION_TAKE},
        {13510, ANSWER, MINE("14"), NOW_, HOLDING, .action = W, .again_ms = 15500},
        {14000, SEE, .version = "15", .holder = "me", .duration_s = 6, NOW_, HOLDING, .action = W, .again_ms = 15500},
        {15500, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        {15510, ANSWER, MINE("16"), NOW_, HOLDING, .action = W, .again_ms = 20000},
        {15600, HURRY, NOW_, HOLDING, .action = ELECTION_RENEW},
        {15605, HURRY, NOW_, HOLDING, .action = W, .again_ms = 25500}, /* what is under way does not carry the news */
        {15610, ANSWER, MINE("17"), NOW_, HOLDING, .action = ELECTION_RENEW},
        {15620, ANSWER, MINE("18"), NOW_, HOLDING, .action = W, .again_ms = 20000},
        {16000, LEAVE, NOW_, .busy = true, LEAVING, .action = W, .again_ms = 20000},
    };
    play(&rare, steps, sizeof(steps) / sizeof(steps[0]));
}

/* All that were won in one moment; and again after an outage. */
static void they_are_spread_over_the_period(void **state)
{
    (void)state;
    enum { LEASES = 64, PERIOD_MS = 5000, SLICE_MS = 500 };
    struct election_config rare = config;
    struct election elections[LEASES];
    unsigned renewals[PERIOD_MS / SLICE_MS] = {0};
    rare.renew_ms = PERIOD_MS;
    for (unsigned i = 0; i < LEASES; i++) {
        struct lease_record record = {.exists = true, .version = "7", .holder = "me", .duration_s = 15};
        election_init(&elections[i], &rare);
        if (i % 2 == 0)
            election_see(&elections[i], &record, i, 1000);
        else
            election_miss(&elections[i], i, 1000);
    }
    for (uint64_t now_ms = 1000; now_ms < 60000; now_ms++)
        for (unsigned i = 0; i < LEASES; i++) {
            uint64_t again_ms = 0;
            struct lease_record record = {.exists = true, .version = "8", .holder = "me", .duration_s = 15};
            enum election_action action = election_next(&elections[i], ELECTION_NOW, false, false, now_ms, &again_ms);
            if (action == ELECTION_WAIT)
                continue;
            election_sent(&elections[i], action, now_ms);
            bool outage = now_ms > 20000 && now_ms < 27000;
            election_answered(&elections[i], outage ? ERR_TIMEOUT : ERR_OK, outage ? NULL : &record, 0, now_ms);
            assert_true(outage || elections[i].state == ELECTION_HOLDING);
            renewals[now_ms % PERIOD_MS / SLICE_MS] += now_ms >= 40000 ? 1 : 0;
        }
    for (unsigned i = 0; i < PERIOD_MS / SLICE_MS;
         i++) /* four at each of 16 times, of which one or two are in a slice; in four periods */
        assert_in_range(renewals[i], 4 * 4, 4 * 8);
}

static void a_holder_is_outlived_only_by_our_clock(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {1000, SEE, ITS("10"), NOW_, STANDBY, .action = W, .again_ms = 16000},
        {15000, SEE, ITS("11"), NOW_, STANDBY, .action = W, .again_ms = 30000},
        {29999, NOTHING, NOW_, STANDBY, .action = W, .again_ms = 30000},
        {30000, NOTHING, NOW_, STANDBY, .action = ELECTION_TAKE},
        {30010, ANSWER, MINE("12"), NOW_, HOLDING, .action = W, .again_ms = 32000},
    };
    PLAY(steps);
    /* The holder's own duration counts, as Linkerd's of 30 s; ours where it names none. */
    static const struct step longer[] = {
        {1000, SEE, .version = "10", .holder = "it", .duration_s = 30, NOW_, STANDBY, .action = W, .again_ms = 31000},
        {2000, SEE, .version = "11", .holder = "it", .duration_s = 0, NOW_, STANDBY, .action = W, .again_ms = 17000},
    };
    PLAY(longer);
}

static void a_released_lease_is_taken_at_once_by_whom_it_is_for(void **state)
{
    (void)state;
    static const struct step at_once[] = {
        {1000, SEE, ITS("10"), NOW_, STANDBY, .action = W, .again_ms = 16000},
        {1500, SEE, .version = "11", .duration_s = 1, NOW_, STANDBY, .action = ELECTION_TAKE},
        {1510, FAIL, .code = ERR_CONFLICT, NOW_, STANDBY, .action = ELECTION_GET},
        {1520, ANSWER, ITS("12"), NOW_, STANDBY, .action = W, .again_ms = 16520},
    };
    PLAY(at_once);
    static const struct step patient[] = {
        {1000, SEE, .version = "11", .duration_s = 1, LATER, STANDBY, .action = W, .again_ms = 3000},
        {1500, SEE, ITS("12"), LATER, STANDBY, .action = W, .again_ms = 18500},
        {1600, SEE_NONE, .version = "13", LATER, STANDBY, .action = W, .again_ms = 3600},
        {3600, NOTHING, LATER, STANDBY, .action = ELECTION_CREATE},
        {3610, FAIL, .code = ERR_EXISTS, LATER, STANDBY, .action = ELECTION_GET},
        {3620, ANSWER, .version = "14", LATER, STANDBY, .action = W, .again_ms = 5620},
        {3630, NOTHING, STANDBY, .action = W, .again_ms = NEVER}, /* ELECTION_AVOID */
    };
    PLAY(patient);
}

static void a_holder_that_is_gone_is_not_waited_for(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {1000, SEE, ITS("10"), NOW_, STANDBY, .gone = true, .action = ELECTION_TAKE},
        {1010, ANSWER, MINE("11"), NOW_, HOLDING, .action = W, .again_ms = 3000},
    };
    PLAY(steps);
}

static void writing_ends_at_the_renew_deadline(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {3000, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        {8000, FAIL, .code = ERR_TIMEOUT, NOW_, HOLDING, .action = ELECTION_RENEW},
        {10999, NOTHING, NOW_, HOLDING, .action = W, .again_ms = 11000},
        {11000, NOTHING, NOW_, STANDBY, .action = W, .again_ms = NEVER},
        {13000, FAIL, .code = ERR_TIMEOUT, NOW_, STANDBY, .action = ELECTION_TAKE},
        /* It was ours all the time: nobody else had written it. */
        {13010, ANSWER, MINE("11"), NOW_, HOLDING, .action = W, .again_ms = 15000},
    };
    PLAY(steps);
}

static void a_process_that_was_stopped_does_not_write_on(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {60000, NOTHING, NOW_, STANDBY, .action = ELECTION_TAKE},
        {60010, FAIL, .code = ERR_CONFLICT, NOW_, STANDBY, .action = ELECTION_GET},
        {60020, ANSWER, ITS("99"), NOW_, STANDBY, .action = W, .again_ms = 75020},
    };
    PLAY(steps);
    /* Before the machine is asked anything. */
    struct election election;
    election_init(&election, &config);
    election_miss(&election, 0, 1000);
    uint64_t at_ms = 0;
    assert_int_equal(election_next(&election, ELECTION_NOW, false, false, 1000, &at_ms), ELECTION_CREATE);
    election_sent(&election, ELECTION_CREATE, 1000);
    struct lease_record mine = {.exists = true, .version = "10", .holder = "me", .duration_s = 15};
    election_answered(&election, ERR_OK, &mine, 0, 1100);
    assert_true(election_may_begin(&election, 10999));
    assert_false(election_may_begin(&election, 11000));
    assert_false(election_may_send(&election, 11000));
    /* And an answer that waited in the kernel all the while makes nobody a holder. */
    assert_int_equal(election_next(&election, ELECTION_NOW, false, false, 5000, &at_ms), ELECTION_RENEW);
    election_sent(&election, ELECTION_RENEW, 5000);
    election_answered(&election, ERR_OK, &mine, 0, 60000);
    assert_false(election_may_begin(&election, 60000));
}

static void a_lease_taken_by_another_is_lost_at_once(void **state)
{
    (void)state;
    static const struct step seen[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {1500, SEE, ITS("11"), NOW_, STANDBY, .action = W, .again_ms = 16500},
    };
    PLAY(seen);
    static const struct step refused[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {3000, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        {3010, FAIL, .code = ERR_CONFLICT, NOW_, HOLDING, .action = ELECTION_GET},
        {3020, ANSWER, ITS("12"), NOW_, STANDBY, .action = W, .again_ms = 18020},
    };
    PLAY(refused);
    static const struct step deleted[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {3000, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        {3010, FAIL, .code = ERR_NOT_FOUND, NOW_, STANDBY, .action = ELECTION_CREATE},
    };
    PLAY(deleted);
}

static void what_a_watch_shows_late_is_passed_over(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {1000, SEE, .version = "9", NOW_, STANDBY, .action = ELECTION_TAKE},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {1030, SEE, .version = "9", NOW_, HOLDING, .action = W, .again_ms = 3000},
        /* A list that lacks it may be older than it: that is asked. */
        {1040, MISS, NOW_, HOLDING, .action = W, .again_ms = 3000},
        {3000, NOTHING, NOW_, HOLDING, .action = ELECTION_GET},
        {3010, ANSWER, MINE("10"), NOW_, HOLDING, .action = ELECTION_RENEW},
    };
    PLAY(steps);
}

static void what_people_do_to_a_lease_that_is_held(void **state)
{
    (void)state;
    /* Emptied, and taken by another, while the answer to a renewal is on its way: an answer from before makes nobody a holder. */
    static const struct step late[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {3000, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        {3500, SEE, ITS("13"), NOW_, STANDBY, .action = W, .again_ms = NEVER},
        {7000, ANSWER, MINE("11"), NOW_, STANDBY, .action = W, .again_ms = 18500},
    };
    PLAY(late);
    /* Its own effect seen first is no such thing. */
    static const struct step own[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1010, SEE, MINE("10"), NOW_, STANDBY, .action = W, .again_ms = NEVER},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
    };
    PLAY(own);
    /* Shortened: the others wait 6 s now in place of 15, so that writing ends after 4 in place of 10, until it is renewed. */
    static const struct step shortened[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {1500, SEE, .version = "11", .holder = "me", .duration_s = 6, NOW_, HOLDING, .action = W, .again_ms = 3000},
        {3000, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        {4999, NOTHING, NOW_, HOLDING, .action = W, .again_ms = 5000},
        {5000, NOTHING, NOW_, STANDBY, .action = W, .again_ms = NEVER},
        {5010, ANSWER, MINE("12"), NOW_, HOLDING, .action = ELECTION_RENEW},
    };
    PLAY(shortened);
    /* So much that it is over already: taken anew at once. */
    static const struct step over[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {2500, SEE, .version = "11", .holder = "me", .duration_s = 1, NOW_, STANDBY, .action = W, .again_ms = 3000},
        {3000, NOTHING, NOW_, STANDBY, .action = ELECTION_TAKE},
        {3010, ANSWER, MINE("12"), NOW_, HOLDING, .action = W, .again_ms = 5000},
    };
    PLAY(over);
}

/* A namespace that is not there, a webhook that always sees a conflict: no more than two at once. */
static void what_never_succeeds_is_asked_once_a_retry_period(void **state)
{
    (void)state;
    static const struct step absent[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1010, FAIL, .code = ERR_NOT_FOUND, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1020, FAIL, .code = ERR_NOT_FOUND, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1030, FAIL, .code = ERR_NOT_FOUND, NOW_, STANDBY, .action = W, .again_ms = 3020},
        {3020, NOTHING, NOW_, STANDBY, .action = ELECTION_CREATE},
        {3030, FAIL, .code = ERR_NOT_FOUND, NOW_, STANDBY, .action = W, .again_ms = 5020},
    };
    PLAY(absent);
    static const struct step contested[] = {
        {1000, SEE, .version = "9", NOW_, STANDBY, .action = ELECTION_TAKE},
        {1010, FAIL, .code = ERR_CONFLICT, NOW_, STANDBY, .action = ELECTION_GET},
        {1020, ANSWER, .version = "10", NOW_, STANDBY, .action = ELECTION_TAKE},
        {1030, FAIL, .code = ERR_CONFLICT, NOW_, STANDBY, .action = ELECTION_GET},
        {1040, ANSWER, .version = "11", NOW_, STANDBY, .action = ELECTION_TAKE},
        {1050, FAIL, .code = ERR_CONFLICT, NOW_, STANDBY, .action = W, .again_ms = 3040},
        {3040, NOTHING, NOW_, STANDBY, .action = ELECTION_GET},
        {3050, ANSWER, .version = "12", NOW_, STANDBY, .action = W, .again_ms = 5040},
        {5040, NOTHING, NOW_, STANDBY, .action = ELECTION_TAKE},
        {5050, ANSWER, MINE("13"), NOW_, HOLDING, .action = W, .again_ms = 7040},
        /* From here on once more at once. */
        {7040, NOTHING, NOW_, HOLDING, .action = ELECTION_RENEW},
        {7050, FAIL, .code = ERR_CONFLICT, NOW_, HOLDING, .action = ELECTION_GET},
    };
    PLAY(contested);
}

static void it_is_given_back_when_the_writes_have_ended(void **state)
{
    (void)state;
    static const struct step steps[] = {
        {1000, MISS, NOW_, STANDBY, .action = ELECTION_CREATE},
        {1020, ANSWER, MINE("10"), NOW_, HOLDING, .action = W, .again_ms = 3000},
        {2000, LEAVE, NOW_, LEAVING, .busy = true, .action = W, .again_ms = 3000},
        {3000, NOTHING, NOW_, LEAVING, .busy = true, .action = ELECTION_RENEW},
        {3010, ANSWER, MINE("11"), NOW_, LEAVING, .busy = true, .action = W, .again_ms = 5000},
        {3020, NOTHING, LATER, RELEASING, .action = ELECTION_RELEASE},
        {3030, FAIL, .code = ERR_CONFLICT, LATER, RELEASING, .action = ELECTION_GET},
        {3040, ANSWER, MINE("12"), LATER, RELEASING, .action = ELECTION_RELEASE},
        {3050, FAIL, .code = ERR_SERVER, LATER, RELEASING, .action = W, .again_ms = 3540},
        {3540, NOTHING, LATER, RELEASING, .action = ELECTION_RELEASE},
        {3550, ANSWER, .version = "13", .duration_s = 1, LATER, STANDBY, .action = W, .again_ms = 5550},
    };
    PLAY(steps);
}

static void what_is_written(void **state)
{
    (void)state;
    static const struct {
        enum election_action action;
        struct lease_record seen, wanted;
    } rows[] = {
        {ELECTION_CREATE,
         {.exists = false},
         {.exists = true, .holder = "me", .duration_s = 15, .acquired = "T", .renewed = "T"}},
        {ELECTION_TAKE,
         {.exists = true, .version = "5", .holder = "it", .duration_s = 30, .transitions = 3, .acquired = "A"},
         {.exists = true,
          .version = "5",
          .holder = "me",
          .duration_s = 15,
          .transitions = 4,
          .acquired = "T",
          .renewed = "T"}},
        {ELECTION_TAKE,
         {.exists = true, .version = "5", .duration_s = 1, .transitions = 3},
         {.exists = true,
          .version = "5",
          .holder = "me",
          .duration_s = 15,
          .transitions = 4,
          .acquired = "T",
          .renewed = "T"}},
        {ELECTION_RENEW,
         {.exists = true, .version = "6", .holder = "me", .duration_s = 15, .transitions = 4, .acquired = "A"},
         {.exists = true,
          .version = "6",
          .holder = "me",
          .duration_s = 15,
          .transitions = 4,
          .acquired = "A",
          .renewed = "T"}},
        /* Edited by hand: without acquireTime, and with as many transitions as the API's int32 can hold. */
        {ELECTION_RENEW,
         {.exists = true, .version = "6", .holder = "me", .duration_s = 15, .transitions = 4},
         {.exists = true,
          .version = "6",
          .holder = "me",
          .duration_s = 15,
          .transitions = 4,
          .acquired = "T",
          .renewed = "T"}},
        {ELECTION_TAKE,
         {.exists = true, .version = "5", .holder = "it", .duration_s = 30, .transitions = INT32_MAX, .acquired = "A"},
         {.exists = true,
          .version = "5",
          .holder = "me",
          .duration_s = 15,
          .transitions = INT32_MAX,
          .acquired = "T",
          .renewed = "T"}},
        {ELECTION_RELEASE,
         {.exists = true, .version = "7", .holder = "me", .duration_s = 15, .transitions = 4, .acquired = "A"},
         {.exists = true, .version = "7", .duration_s = 1, .transitions = 4, .acquired = "T", .renewed = "T"}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct election election;
        struct lease_record got;
        election_init(&election, &config);
        election.seen = rows[i].seen;
        election_compose(&election, rows[i].action, "T", &got);
        const struct lease_record *wanted = &rows[i].wanted;
        assert_true(got.exists);
        assert_string_equal(got.version, wanted->version);
        assert_string_equal(got.holder, wanted->holder);
        assert_int_equal(got.duration_s, wanted->duration_s);
        assert_int_equal(got.transitions, wanted->transitions);
        assert_string_equal(got.acquired, wanted->acquired);
        assert_string_equal(got.renewed, wanted->renewed);
    }
}

/* ---- two candidates, one Lease, any order of things: never two that may write ---- */

static uint32_t seed;

static uint32_t chance(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

struct server {
    struct lease_record record;
    unsigned version;
};

static enum err_code serve(struct server *server, enum election_action action, const struct lease_record *wanted)
{
    if (action == ELECTION_GET)
        return server->record.exists ? ERR_OK : ERR_NOT_FOUND;
    if (action == ELECTION_CREATE ? server->record.exists : !server->record.exists)
        return action == ELECTION_CREATE ? ERR_EXISTS : ERR_NOT_FOUND;
    if (action != ELECTION_CREATE && strcmp(server->record.version, wanted->version) != 0)
        return ERR_CONFLICT;
    server->record = *wanted;
    (void)snprintf(server->record.version, sizeof(server->record.version), "%u", ++server->version);
    return ERR_OK;
}

/* Requests take time both ways, answers get lost, watches lag, processes stand still, and the server's time is nobody's. */
static void no_two_ever_hold_it(void **state)
{
    (void)state;
    enum { CANDIDATES = 3, RUNS = 300, STEP_MS = 50, STEPS = 3000 };
    static const char *const names[CANDIDATES] = {"me", "it", "her"};
    unsigned changes = 0;
    for (seed = 1; seed < RUNS; seed++) {
        struct server server = {0};
        struct election_config configs[CANDIDATES];
        struct election elections[CANDIDATES];
        struct {
            bool under_way, arrived;
            uint64_t arrives_ms, answers_ms, stopped_until_ms;
            enum election_action action;
            struct lease_record wanted, answer;
            enum err_code code;
        } at[CANDIDATES];
        memset(at, 0, sizeof(at));
        int holder = -1;
        for (int i = 0; i < CANDIDATES; i++) {
            configs[i] = config;
            configs[i].identity = names[i];
            election_init(&elections[i], &configs[i]);
        }
        uint32_t keep_seed = seed;
        for (uint64_t now_ms = 1000; now_ms < 1000 + (uint64_t)STEP_MS * STEPS; now_ms += STEP_MS) {
            for (int i = 0; i < CANDIDATES; i++) {
                if (at[i].under_way && !at[i].arrived && now_ms >= at[i].arrives_ms) {
                    at[i].code = serve(&server, at[i].action, &at[i].wanted);
                    at[i].answer = server.record;
                    at[i].arrived = true;
                }
                if (now_ms < at[i].stopped_until_ms)
                    continue;
                if (at[i].under_way && now_ms >= at[i].answers_ms) {
                    at[i].under_way = false;
                    enum err_code code = chance(10) == 0 ? ERR_TIMEOUT : at[i].code;
                    election_answered(&elections[i], code, code == ERR_OK ? &at[i].answer : NULL, chance(1024), now_ms);
                }
                if (chance(20) == 0 && server.record.exists)
                    election_see(&elections[i], &server.record, chance(1024), now_ms);
                else if (chance(20) == 0 && elections[i].state == ELECTION_UNKNOWN)
                    election_miss(&elections[i], 0, now_ms);
                if (chance(400) == 0)
                    election_leave(&elections[i]);
                if (chance(600) == 0) {
                    at[i].stopped_until_ms = now_ms + chance(40000);
                    continue;
                }
                uint64_t again_ms = 0;
                enum election_action action =
                    election_next(&elections[i], (enum election_wish)chance(3), false, false, now_ms, &again_ms);
                if (action == ELECTION_WAIT)
                    continue;
                election_compose(&elections[i], action, "T", &at[i].wanted);
                election_sent(&elections[i], action, now_ms);
                at[i].action = action;
                at[i].under_way = true;
                at[i].arrived = false;
                at[i].arrives_ms = now_ms + chance(1500);
                at[i].answers_ms = at[i].arrives_ms + chance(1500);
            }
            int writers = 0;
            for (int i = 0; i < CANDIDATES; i++)
                if (election_may_send(&elections[i], now_ms)) {
                    writers++;
                    changes += i != holder ? 1 : 0;
                    holder = i;
                }
            if (writers > 1)
                fail_msg("run %u, %llu ms: %d may write", keep_seed, (unsigned long long)now_ms, writers);
        }
        seed = keep_seed;
    }
    assert_true(changes > RUNS); /* it went from hand to hand */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_absent_lease_is_created_and_renewed),
        cmocka_unit_test(one_of_many_leases_is_renewed_less_often),
        cmocka_unit_test(they_are_spread_over_the_period),
        cmocka_unit_test(a_holder_is_outlived_only_by_our_clock),
        cmocka_unit_test(a_released_lease_is_taken_at_once_by_whom_it_is_for),
        cmocka_unit_test(a_holder_that_is_gone_is_not_waited_for),
        cmocka_unit_test(writing_ends_at_the_renew_deadline),
        cmocka_unit_test(a_process_that_was_stopped_does_not_write_on),
        cmocka_unit_test(a_lease_taken_by_another_is_lost_at_once),
        cmocka_unit_test(what_a_watch_shows_late_is_passed_over),
        cmocka_unit_test(what_people_do_to_a_lease_that_is_held),
        cmocka_unit_test(what_never_succeeds_is_asked_once_a_retry_period),
        cmocka_unit_test(it_is_given_back_when_the_writes_have_ended),
        cmocka_unit_test(what_is_written),
        cmocka_unit_test(no_two_ever_hold_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
