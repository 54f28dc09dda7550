/* links: base health */
#include "health/latency.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void buckets_are_those_of_linkerd(void **state)
{
    (void)state;
    for (unsigned decade = 0, scale = 1; decade < 5; decade++, scale *= 10)
        for (unsigned i = 0; i < 5; i++)
            assert_int_equal(latency_bucket_ms[decade * 5 + i], (i + 1) * scale);
}

static void a_sample_counts_in_the_bucket_that_it_does_not_exceed(void **state)
{
    (void)state;
    static const struct {
        uint32_t us;
        unsigned bucket;
    } cases[] = {
        {0, 0}, {1, 0}, {1000, 0}, {1001, 1}, {5000, 4}, {5001, 5}, {50000000, 24}, {50000001, 25}, {UINT32_MAX, 25},
    };
    struct latency latency = {0};
    uint64_t sum = 0;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        uint64_t before = latency.bucket[cases[i].bucket];
        latency_add(&latency, cases[i].us);
        sum += cases[i].us;
        assert_int_equal(latency.bucket[cases[i].bucket], before + 1);
        assert_int_equal(latency.count, i + 1);
        assert_int_equal(latency.sum_us, sum);
        assert_int_equal(latency.last_us, cases[i].us);
    }
}

static void percentiles_are_samples_by_nearest_rank(void **state)
{
    (void)state;
    struct latency latency = {0};
    assert_int_equal(latency_percentile_us(&latency, 500), 0);
    latency_add(&latency, 7);
    assert_int_equal(latency_percentile_us(&latency, 0), 7);
    assert_int_equal(latency_percentile_us(&latency, 500), 7);
    assert_int_equal(latency_percentile_us(&latency, 1000), 7);
    struct latency hundred = {0};
    for (uint32_t us = 100; us >= 1; us--)
        latency_add(&hundred, us);
    assert_int_equal(latency_percentile_us(&hundred, 500), 50);
    assert_int_equal(latency_percentile_us(&hundred, 950), 95);
    assert_int_equal(latency_percentile_us(&hundred, 990), 99);
    assert_int_equal(latency_percentile_us(&hundred, 1000), 100);
    assert_int_equal(latency_percentile_us(&hundred, 5000), 100);
}

static void percentiles_forget_what_left_the_window(void **state)
{
    (void)state;
    struct latency latency = {0};
    for (unsigned i = 0; i < LATENCY_WINDOW; i++)
        latency_add(&latency, 1000000);
    for (unsigned i = 0; i < LATENCY_WINDOW; i++)
        latency_add(&latency, 10);
    assert_int_equal(latency_percentile_us(&latency, 1000), 10);
    assert_int_equal(latency.count, 2 * LATENCY_WINDOW);
    latency_add(&latency, 20); /* takes the place of one sample only */
    assert_int_equal(latency_percentile_us(&latency, 500), 10);
    assert_int_equal(latency_percentile_us(&latency, 1000), 20);
}

static void samples_from_old_to_new(void **state)
{
    (void)state;
    struct latency latency = {0};
    for (uint32_t us = 1; us <= 3; us++)
        latency_add(&latency, us);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(latency_sample_us(&latency, i), i + 1);
    for (uint32_t us = 4; us <= 2 * LATENCY_WINDOW + 5; us++)
        latency_add(&latency, us);
    for (uint32_t i = 0; i < LATENCY_WINDOW; i++)
        assert_int_equal(latency_sample_us(&latency, i), LATENCY_WINDOW + 6 + i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buckets_are_those_of_linkerd),
        cmocka_unit_test(a_sample_counts_in_the_bucket_that_it_does_not_exceed),
        cmocka_unit_test(percentiles_are_samples_by_nearest_rank),
        cmocka_unit_test(percentiles_forget_what_left_the_window),
        cmocka_unit_test(samples_from_old_to_new),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
