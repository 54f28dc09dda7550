/* links: agent_observe base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "agent/observe/metrics.h"
#include "base/mem.h"
#include "tests/unit/sweep.h"

static const char *const CLUSTER[] = {"cluster", NULL};
static const char *const PAIR[] = {"cluster", "kind", NULL};

static void assert_exposition(struct metrics *metrics, const char *expected)
{
    struct strbuf text;
    strbuf_init(&text, 64 << 10);
    metrics_write(metrics, &text);
    assert_int_equal(strbuf_error(&text), ERR_OK);
    assert_string_equal(strbuf_text(&text), expected);
    strbuf_done(&text);
}

static void families_and_series_in_order(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *writes =
        metrics_register(metrics, METRIC_COUNTER, "writes_total", "Writes that succeeded.", PAIR, NULL, 0);
    struct metric *alive = metrics_register(metrics, METRIC_GAUGE, "alive", "1 while alive.", CLUSTER, NULL, 0);
    struct metric *depth = metrics_register(metrics, METRIC_GAUGE, "depth", "How deep.", NULL, NULL, 0);
    (void)metrics_register(metrics, METRIC_GAUGE, "unused", "Has no series.", CLUSTER, NULL, 0);
    metric_add(metric_get(writes, "west", "Service"), 2);
    metric_add(metric_get(writes, "east", "Slice"), 1);
    metric_add(metric_get(writes, "east", "Service"), 1);
    metric_add(metric_get(writes, "east", "Service"), 41);
    metric_set(metric_get(alive, "east"), 1);
    metric_set(metric_get(alive, "east2"), 0);
    metric_set(metric_get(depth), 7);
    assert_exposition(metrics, "# HELP alive 1 while alive.\n"
                               "# TYPE alive gauge\n"
                               "alive{cluster=\"east\"} 1\n"
                               "alive{cluster=\"east2\"} 0\n"
                               "# HELP depth How deep.\n"
                               "# TYPE depth gauge\n"
                               "depth 7\n"
                               "# HELP writes_total Writes that succeeded.\n"
                               "# TYPE writes_total counter\n"
                               "writes_total{cluster=\"east\",kind=\"Service\"} 42\n"
                               "writes_total{cluster=\"east\",kind=\"Slice\"} 1\n"
                               "writes_total{cluster=\"west\",kind=\"Service\"} 2\n");
    metrics_free(metrics);
}

static void histograms_are_cumulative(void **state)
{
    (void)state;
    static const double bounds[] = {0.1, 1, 10};
    struct metrics *metrics = metrics_new();
    struct metric *plain = metrics_register(metrics, METRIC_HISTOGRAM, "plain_seconds", "Without labels.", NULL, bounds,
                                            ARRAY_COUNT(bounds));
    struct metric *labelled =
        metrics_register(metrics, METRIC_HISTOGRAM, "took_seconds", "With one.", CLUSTER, bounds, ARRAY_COUNT(bounds));
    static const double values[] = {0.05, 0.1, 0.5, 1, 20};
    for (size_t i = 0; i < ARRAY_COUNT(values); i++)
        metric_observe(metric_get(labelled, "east"), values[i]);
    (void)metric_get(plain);
    assert_exposition(metrics, "# HELP plain_seconds Without labels.\n"
                               "# TYPE plain_seconds histogram\n"
                               "plain_seconds_bucket{le=\"0.1\"} 0\n"
                               "plain_seconds_bucket{le=\"1\"} 0\n"
                               "plain_seconds_bucket{le=\"10\"} 0\n"
                               "plain_seconds_bucket{le=\"+Inf\"} 0\n"
                               "plain_seconds_sum 0\n"
                               "plain_seconds_count 0\n"
                               "# HELP took_seconds With one.\n"
                               "# TYPE took_seconds histogram\n"
                               "took_seconds_bucket{cluster=\"east\",le=\"0.1\"} 2\n"
                               "took_seconds_bucket{cluster=\"east\",le=\"1\"} 4\n"
                               "took_seconds_bucket{cluster=\"east\",le=\"10\"} 4\n"
                               "took_seconds_bucket{cluster=\"east\",le=\"+Inf\"} 5\n"
                               "took_seconds_sum{cluster=\"east\"} 21.65\n"
                               "took_seconds_count{cluster=\"east\"} 5\n");
    assert_true(metric_value(metric_get(labelled, "east")) > 21.6);
    metrics_free(metrics);
}

static void numbers(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } CASES[] = {{0, "0"},
                 {-1, "-1"},
                 {0.1, "0.1"},
                 {0.1 + 0.2, "0.30000000000000004"},
                 {1e15, "1e+15"},
                 {123456789012, "123456789012"},
                 {1787306400.123456, "1787306400.123456"},
                 {1.0 / 3, "0.3333333333333333"},
                 {(double)NAN, "NaN"},
                 {(double)INFINITY, "+Inf"},
                 {-(double)INFINITY, "-Inf"}};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char expected[128];
        struct metrics *metrics = metrics_new();
        metric_set(metric_get(metrics_register(metrics, METRIC_GAUGE, "n", "N.", NULL, NULL, 0)), CASES[i].value);
        (void)snprintf(expected, sizeof(expected), "# HELP n N.\n# TYPE n gauge\nn %s\n", CASES[i].text);
        assert_exposition(metrics, expected);
        metrics_free(metrics);
    }
}

static void texts_are_escaped(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *metric =
        metrics_register(metrics, METRIC_GAUGE, "x", "A \"help\"\nwith \\ in it.", CLUSTER, NULL, 0);
    metric_set(metric_get(metric, "a\"b\\c\nd"), 1);
    assert_exposition(metrics, "# HELP x A \"help\"\\nwith \\\\ in it.\n"
                               "# TYPE x gauge\n"
                               "x{cluster=\"a\\\"b\\\\c\\nd\"} 1\n");
    metrics_free(metrics);
}

static void same_name_is_same_family(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *first = metrics_register(metrics, METRIC_GAUGE, "x", "First.", NULL, NULL, 0);
    assert_ptr_equal(metrics_register(metrics, METRIC_GAUGE, "x", "Second.", NULL, NULL, 0), first);
    assert_ptr_equal(metric_get(first), metric_get(first));
    metrics_free(metrics);
}

static void values_do_not_run_together(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *metric = metrics_register(metrics, METRIC_GAUGE, "x", "X.", PAIR, NULL, 0);
    assert_ptr_not_equal(metric_get(metric, "ab", "c"), metric_get(metric, "a", "bc"));
    assert_ptr_not_equal(metric_get(metric, "", "c"), metric_get(metric, "c", ""));
    metrics_free(metrics);
}

static void series_vanish_with_their_link(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *a = metrics_register(metrics, METRIC_GAUGE, "a", "A.", CLUSTER, NULL, 0);
    struct metric *b = metrics_register(metrics, METRIC_GAUGE, "b", "B.", PAIR, NULL, 0);
    struct metric *c = metrics_register(metrics, METRIC_GAUGE, "c", "C.", NULL, NULL, 0);
    metric_set(metric_get(a, "east"), 1);
    metric_set(metric_get(a, "west"), 2);
    metric_set(metric_get(b, "east", "x"), 3);
    metric_set(metric_get(b, "east", "y"), 4);
    metric_set(metric_get(b, "x", "east"), 5);
    metric_set(metric_get(c), 6);
    metric_set(metric_get(b, "eastern", "y"), 7);
    metrics_forget(metrics, "kind", "y"); /* no family's first */
    metric_forget(b, 2, "east", "y");
    assert_float_equal(metric_value(metric_get(b, "east", "x")), 3, 0);
    metrics_forget(metrics, "cluster", "east");
    assert_exposition(metrics, "# HELP a A.\n# TYPE a gauge\na{cluster=\"west\"} 2\n"
                               "# HELP b B.\n# TYPE b gauge\nb{cluster=\"eastern\",kind=\"y\"} 7\n"
                               "b{cluster=\"x\",kind=\"east\"} 5\n"
                               "# HELP c C.\n# TYPE c gauge\nc 6\n");
    metrics_free(metrics);
}

static void null_does_nothing(void **state)
{
    (void)state;
    metric_set(NULL, 1);
    metric_add(NULL, 1);
    metric_observe(NULL, 1);
    assert_null(metric_get(NULL, "x"));
    assert_true(metric_value(NULL) == 0);
    metrics_free(NULL);
    /* A gauge has no buckets. */
    struct metrics *metrics = metrics_new();
    metric_observe(metric_get(metrics_register(metrics, METRIC_GAUGE, "x", "X.", NULL, NULL, 0)), 1);
    metrics_free(metrics);
}

static void bounds_hold(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric *metric = metrics_register(metrics, METRIC_GAUGE, "x", "X.", CLUSTER, NULL, 0);
    char name[2000];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    assert_null(metric_get(metric, name));
    for (unsigned i = 0; i < 100000; i++) {
        (void)snprintf(name, sizeof(name), "%u", i);
        assert_non_null(metric_get(metric, name));
    }
    assert_null(metric_get(metric, "one more"));
    assert_non_null(metric_get(metric, "0"));
    metric_forget(metric, 1, "0");
    assert_non_null(metric_get(metric, "one more"));
    metrics_free(metrics);
}

static void fill_gauge(void *context) { metric_add(context, 1); }

static void collectors_run_before_each_exposition(void **state)
{
    (void)state;
    struct metrics *metrics = metrics_new();
    struct metric_series *series = metric_get(metrics_register(metrics, METRIC_GAUGE, "x", "X.", NULL, NULL, 0));
    assert_int_equal(metrics_on_collect(metrics, fill_gauge, series), ERR_OK);
    assert_exposition(metrics, "# HELP x X.\n# TYPE x gauge\nx 1\n");
    assert_exposition(metrics, "# HELP x X.\n# TYPE x gauge\nx 2\n");
    for (int i = 1; i < 16; i++)
        assert_int_equal(metrics_on_collect(metrics, fill_gauge, series), ERR_OK);
    assert_int_equal(metrics_on_collect(metrics, fill_gauge, series), ERR_LIMIT);
    metrics_free(metrics);
}

static enum err_code use_all(void *context)
{
    (void)context;
    static const double bounds[] = {1, 2};
    struct metrics *metrics = metrics_new();
    if (metrics == NULL)
        return ERR_NOMEM;
    struct metric *metric = metrics_register(metrics, METRIC_HISTOGRAM, "x", "X.", PAIR, bounds, ARRAY_COUNT(bounds));
    struct metric_series *series = metric_get(metric, "east", "y");
    metric_observe(series, 1);
    metrics_forget(metrics, "cluster", "east");
    metrics_free(metrics);
    return series != NULL ? ERR_OK : ERR_NOMEM;
}

static void memory_runs_out(void **state)
{
    (void)state;
    assert_true(sweep(use_all, NULL) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_and_series_in_order),
        cmocka_unit_test(histograms_are_cumulative),
        cmocka_unit_test(numbers),
        cmocka_unit_test(texts_are_escaped),
        cmocka_unit_test(same_name_is_same_family),
        cmocka_unit_test(values_do_not_run_together),
        cmocka_unit_test(series_vanish_with_their_link),
        cmocka_unit_test(null_does_nothing),
        cmocka_unit_test(bounds_hold),
        cmocka_unit_test(collectors_run_before_each_exposition),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
