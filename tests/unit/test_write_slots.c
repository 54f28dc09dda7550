/* links: agent_control base */
/* agent/control/write_slots.c */
#include "agent/control/write_slots.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char east[] = "", west[] = "", north[] = "";

static struct write_limit level_of(double level)
{
    struct write_limit limit;
    write_limit_init(&limit, 0, WRITE_LIMIT_CLASSES);
    limit.level = level;
    return limit;
}

/* Takes as long as may be. @return how many. */
static unsigned fill(struct write_slots *slots, const struct write_limit *limit, const void *link)
{
    unsigned taken = 0;
    for (; write_slots_any(slots, limit) || write_slots_of(slots, limit, link); taken++)
        write_slots_take(slots, link);
    return taken;
}

static void one_link_has_the_level(void **state)
{
    (void)state;
    struct write_slots slots = {0};
    const struct write_limit limit = level_of(10);
    assert_int_equal(fill(&slots, &limit, east), 10);
    assert_int_equal(slots.in_flight, 10);
    write_slots_give(&slots, east);
    assert_int_equal(fill(&slots, &limit, east), 1);
}

static void others_have_a_few_more(void **state)
{
    (void)state;
    struct write_slots slots = {0};
    const struct write_limit limit = level_of(10);
    (void)fill(&slots, &limit, east);
    assert_false(write_slots_any(&slots, &limit));
    assert_false(write_slots_of(&slots, &limit, east));
    assert_int_equal(fill(&slots, &limit, west), WRITE_LIMIT_RESERVE);
    assert_false(write_slots_of(&slots, &limit, north)); /* all together */
    write_slots_give(&slots, west);
    assert_false(write_slots_of(&slots, &limit, east));
    assert_int_equal(fill(&slots, &limit, north), 1);
    /* East's that are answered make room for whoever has hardly any. */
    for (unsigned i = 0; i < 3; i++)
        write_slots_give(&slots, east);
    assert_false(write_slots_of(&slots, &limit, east));
    assert_int_equal(fill(&slots, &limit, NULL), 3);
    assert_int_equal(slots.in_flight, 10 + WRITE_LIMIT_RESERVE);
}

/* After a server asked for patience, say: nobody has more than the level alone, and with another at most twice. */
static void a_low_level_has_a_small_reserve(void **state)
{
    (void)state;
    struct write_slots slots = {0};
    const struct write_limit limit = level_of(3);
    assert_int_equal(write_limit_reserve(&limit), 3);
    assert_int_equal(fill(&slots, &limit, east), 3);
    assert_int_equal(fill(&slots, &limit, west), 3);
    assert_false(write_slots_of(&slots, &limit, north));
}

static void there_are_no_more_where_the_level_is_fixed_or_its_floor_is_measured(void **state)
{
    (void)state;
    struct write_limit limit;
    struct write_slots slots = {0};
    write_limit_init(&limit, 5, WRITE_LIMIT_CLASSES);
    assert_int_equal(fill(&slots, &limit, east), 5);
    assert_false(write_slots_of(&slots, &limit, west));
    limit = level_of(5);
    assert_true(write_slots_of(&slots, &limit, west));
    limit.dip_answers = 3;
    assert_false(write_slots_of(&slots, &limit, west));
}

/* Requests that look who has a name are counted and not asked for. */
static void more_than_the_table_holds_are_counted(void **state)
{
    (void)state;
    struct write_slots slots = {0};
    static const char links[WRITE_SLOTS_LINKS + 10];
    for (unsigned i = 0; i < sizeof(links); i++)
        write_slots_take(&slots, &links[i]);
    assert_int_equal(slots.in_flight, sizeof(links));
    for (unsigned i = sizeof(links); i-- > 0;)
        write_slots_give(&slots, &links[i]);
    assert_int_equal(slots.in_flight, 0);
    assert_int_equal(slots.link_count, 0);
    const struct write_limit limit = level_of(10);
    assert_int_equal(fill(&slots, &limit, east), 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_link_has_the_level),
        cmocka_unit_test(others_have_a_few_more),
        cmocka_unit_test(a_low_level_has_a_small_reserve),
        cmocka_unit_test(there_are_no_more_where_the_level_is_fixed_or_its_floor_is_measured),
        cmocka_unit_test(more_than_the_table_holds_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
