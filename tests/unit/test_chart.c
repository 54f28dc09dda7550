/* links: agent_admin */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/admin/chart.h"
#include "base/mem.h"

static char *draw(const struct latency *latency)
{
    struct strbuf text;
    strbuf_init(&text, 1 << 20);
    struct html html = {.text = &text};
    chart_write(&html, latency);
    return strbuf_take(&text);
}

static void assert_drawn(const struct latency *latency, const char *expected)
{
    char *drawn = draw(latency);
    assert_string_equal(drawn, expected);
    mem_free(drawn);
}

static void nothing_to_draw(void **state)
{
    (void)state;
    const struct latency latency = {0};
    assert_drawn(NULL, "<span class=\"soft\">–</span>");
    assert_drawn(&latency, "<span class=\"soft\">–</span>");
}

/* The newest is at the right, zero at the bottom, the slowest at the top. */
static void samples_are_in_their_places(void **state)
{
    (void)state;
    struct latency latency = {0};
    latency_add(&latency, 1000);
    latency_add(&latency, 4000);
    latency_add(&latency, 2000);
    assert_drawn(&latency, "<svg class=\"chart\" role=\"img\" width=\"132\" height=\"24\" viewBox=\"0 0 132 24\">"
                           "<title>Latency of the last 3 good probes: 1.0 to 4.0 ms, the last one 2.0 ms</title>"
                           "<polyline points=\"127,17.0 128,2.0 129,12.0\"></polyline><circle cx=\"129\" cy=\"12.0\" "
                           "r=\"2\"></circle></svg>");
}

static void one_and_too_many(void **state)
{
    (void)state;
    struct latency latency = {0};
    latency_add(&latency, 0); /* faster than a microsecond: no division by it */
    char *drawn = draw(&latency);
    assert_non_null(strstr(drawn, "points=\"129,22.0\""));
    mem_free(drawn);
    for (unsigned i = 0; i < 3 * LATENCY_WINDOW; i++)
        latency_add(&latency, 1000 + i);
    drawn = draw(&latency);
    assert_non_null(strstr(drawn, "the last 128 good probes: 1.3 to 1.4 ms"));
    assert_non_null(strstr(drawn, "points=\"2,"));
    assert_non_null(strstr(drawn, " 129,2.0\""));
    assert_true(strlen(drawn) < 2048);
    mem_free(drawn);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_to_draw),
        cmocka_unit_test(samples_are_in_their_places),
        cmocka_unit_test(one_and_too_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
