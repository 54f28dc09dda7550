/* links: agent_control agent_observe base */
#include "agent/control/flips.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/strbuf.h"

static bool is_busy(void *context, const char *cluster_name) { return strcmp(cluster_name, context) == 0; }

static void a_flip_lasts_until_its_cluster_is_written(void **state)
{
    (void)state;
    static const char *const labels[] = {"target_cluster_name", NULL};
    static const double buckets[] = {1, 5};
    struct metrics *metrics = metrics_new();
    assert_non_null(metrics);
    struct metric *seconds = metrics_register(metrics, METRIC_HISTOGRAM, "flip_seconds", "Help.", labels, buckets, 2);
    assert_non_null(seconds);
    struct flips flips = {0};
    char east[] = "east", nobody[] = "";
    flips_start(&flips, "east", 1000);
    flips_start(&flips, "east", 1500); /* goes on with the first */
    flips_start(&flips, "north", 2000);
    flips_finish(&flips, 2500, is_busy, east, seconds);
    flips_finish(&flips, 4000, is_busy, nobody, seconds);
    flips_finish(&flips, 9000, is_busy, nobody, seconds);
    struct strbuf text;
    strbuf_init(&text, 1 << 16);
    metrics_write(metrics, &text);
    assert_non_null(strstr(strbuf_text(&text), "flip_seconds_sum{target_cluster_name=\"east\"} 3\n"));
    assert_non_null(strstr(strbuf_text(&text), "flip_seconds_sum{target_cluster_name=\"north\"} 0.5\n"));
    assert_non_null(strstr(strbuf_text(&text), "flip_seconds_count{target_cluster_name=\"east\"} 1\n"));
    strbuf_done(&text);
    flips_start(&flips, "east", 10000);
    flips_done(&flips);
    metrics_free(metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_flip_lasts_until_its_cluster_is_written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
