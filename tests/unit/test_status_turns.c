/* links: agent_control base */
/* agent/control/status_turns.c: who may write a status when. */
#include "agent/control/status_turns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NEVER STATUS_TURNS_NEVER

static void they_take_turns_in_order(void **state)
{
    (void)state;
    struct status_turns turns = {0};
    struct status_turn a = {0}, b = {0}, c = {0};
    uint64_t at_ms = 0;
    assert_null(status_turns_next(&turns, false, 100, &at_ms));
    assert_true(at_ms == NEVER);
    status_turns_ask(&turns, &a);
    status_turns_ask(&turns, &b);
    status_turns_ask(&turns, &a); /* has asked */
    status_turns_ask(&turns, &c);
    assert_ptr_equal(status_turns_next(&turns, false, 100, &at_ms), &a);
    assert_int_equal(at_ms, 100); /* the next may follow at once */
    status_turns_ask(&turns, &a); /* once more: behind the others */
    assert_ptr_equal(status_turns_next(&turns, false, 100, &at_ms), &b);
    assert_ptr_equal(status_turns_next(&turns, false, 100, &at_ms), &c);
    assert_ptr_equal(status_turns_next(&turns, false, 100, &at_ms), &a);
    assert_true(at_ms == NEVER);
    assert_false(a.waits);
}

static void who_withdraws_is_passed_over(void **state)
{
    (void)state;
    struct status_turns turns = {0};
    struct status_turn a[4] = {0};
    uint64_t at_ms = 0;
    for (unsigned i = 0; i < 4; i++)
        status_turns_ask(&turns, &a[i]);
    status_turns_withdraw(&turns, &a[0]);
    status_turns_withdraw(&turns, &a[2]);
    status_turns_withdraw(&turns, &a[2]);
    assert_ptr_equal(status_turns_next(&turns, false, 0, &at_ms), &a[1]);
    status_turns_withdraw(&turns, &a[3]);
    assert_null(status_turns_next(&turns, false, 0, &at_ms));
    status_turns_ask(&turns, &a[2]);
    assert_ptr_equal(status_turns_next(&turns, false, 0, &at_ms), &a[2]);
}

static void few_are_under_way_at_once(void **state)
{
    (void)state;
    struct status_turns turns = {0};
    struct status_turn a[STATUS_TURNS_AT_ONCE + 1] = {0};
    uint64_t at_ms = 0;
    for (unsigned i = 0; i <= STATUS_TURNS_AT_ONCE; i++)
        status_turns_ask(&turns, &a[i]);
    for (unsigned i = 0; i < STATUS_TURNS_AT_ONCE; i++) {
        assert_ptr_equal(status_turns_next(&turns, false, 10, &at_ms), &a[i]);
        status_turns_begin(&turns, 10);
    }
    assert_null(status_turns_next(&turns, false, 10, &at_ms));
    assert_true(at_ms == NEVER); /* one has to end */
    status_turns_end(&turns, 1000, 20);
    assert_ptr_equal(status_turns_next(&turns, false, 20, &at_ms), &a[STATUS_TURNS_AT_ONCE]);
}

static void beside_mirrors_there_is_a_rest_after_each(void **state)
{
    (void)state;
    struct status_turns turns = {0};
    struct status_turn a = {0}, b = {0}, c = {0};
    uint64_t at_ms = 0;
    status_turns_ask(&turns, &a);
    status_turns_ask(&turns, &b);
    status_turns_ask(&turns, &c);
    assert_ptr_equal(status_turns_next(&turns, true, 1000, &at_ms), &a); /* nothing is known to be slow */
    status_turns_begin(&turns, 1000);
    assert_null(status_turns_next(&turns, true, 1010, &at_ms));
    assert_int_equal(at_ms, 1500);
    status_turns_end(&turns, 30, 1030);
    assert_null(status_turns_next(&turns, true, 1030, &at_ms));
    assert_int_equal(at_ms, 1030 + 4 * 30);
    assert_ptr_equal(status_turns_next(&turns, true, 1150, &at_ms), &b);
    status_turns_begin(&turns, 1150);
    assert_ptr_equal(status_turns_next(&turns, true, 1650, &at_ms), &c); /* one that hangs holds nobody up for long */
    status_turns_begin(&turns, 1650);
    status_turns_ask(&turns, &a);
    status_turns_end(&turns, UINT64_MAX / 2, 5000); /* nor does one that was slow */
    assert_null(status_turns_next(&turns, true, 5000, &at_ms));
    assert_int_equal(at_ms, 5500);
    assert_ptr_equal(status_turns_next(&turns, false, 5001, &at_ms), &a); /* no mirror waits any more */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_take_turns_in_order),
        cmocka_unit_test(who_withdraws_is_passed_over),
        cmocka_unit_test(few_are_under_way_at_once),
        cmocka_unit_test(beside_mirrors_there_is_a_rest_after_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
