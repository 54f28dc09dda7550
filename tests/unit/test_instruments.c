/* links: agent_control */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/control/instruments.h"
#include "agent/observe/process.h"
#include "tests/unit/document.h"
#include "tests/unit/sweep.h"

#define TABLE "|---|---|---|---|\n"

/* Everything that the agent registers. */
struct registry {
    struct metrics *metrics;
    struct instruments instruments;
    struct process_metrics *process;
};

static enum err_code registry_init(struct registry *registry)
{
    *registry = (struct registry){.metrics = metrics_new()};
    if (registry->metrics == NULL)
        return ERR_NOMEM;
    TRY(process_metrics_new(registry->metrics, "1.2.3", &registry->process));
    return instruments_init(&registry->instruments, registry->metrics);
}

static void registry_done(struct registry *registry)
{
    metrics_free(registry->metrics);
    process_metrics_free(registry->process);
}

/* The table at the end of docs/metrics.md is what the registry says. */
static void the_reference_is_current(void **state)
{
    (void)state;
    struct registry registry;
    struct strbuf table;
    strbuf_init(&table, 1 << 20);
    assert_int_equal(registry_init(&registry), ERR_OK);
    metrics_write_reference(registry.metrics, &table);
    document_is_current("metrics.md", TABLE, strbuf_text(&table), "test_instruments");
    strbuf_done(&table);
    registry_done(&registry);
}

/* Whoever reads it in a dashboard has only this. */
static void every_help_is_a_sentence(void **state)
{
    (void)state;
    struct registry registry;
    struct strbuf table;
    strbuf_init(&table, 1 << 20);
    assert_int_equal(registry_init(&registry), ERR_OK);
    metrics_write_reference(registry.metrics, &table);
    unsigned rows = 0;
    char *save = NULL;
    for (char *row = strtok_r(table.data, "\n", &save); row != NULL; row = strtok_r(NULL, "\n", &save), rows++) {
        unsigned columns = 0;
        for (const char *c = row; *c != '\0'; c++)
            columns += *c == '|' ? 1 : 0;
        if (columns != 5 || strcmp(row + strlen(row) - 3, ". |") != 0)
            fail_msg("not a row of four columns that ends with a sentence: %s", row);
    }
    assert_true(rows > 40);
    strbuf_done(&table);
    registry_done(&registry);
}

static void a_cluster_takes_its_series_along(void **state)
{
    (void)state;
    struct registry registry;
    struct strbuf text;
    strbuf_init(&text, 1 << 20);
    assert_int_equal(registry_init(&registry), ERR_OK);
    metric_set(metric_get(registry.instruments.link_reachable, "east"), 1);
    metric_set(metric_get(registry.instruments.service_cache, "east"), 1);
    metric_set(metric_get(registry.instruments.link_reachable, "north"), 1);
    instruments_forget_cluster(&registry.instruments, "east");
    metrics_write(registry.metrics, &text);
    assert_null(strstr(strbuf_text(&text), "east"));
    assert_non_null(strstr(strbuf_text(&text), "svcmirror_link_api_reachable{target_cluster_name=\"north\"} 1\n"));
    strbuf_done(&text);
    registry_done(&registry);
}

static enum err_code register_all(void *context)
{
    (void)context;
    struct registry registry;
    enum err_code code = registry_init(&registry);
    registry_done(&registry);
    return code;
}

static void memory_runs_out(void **state)
{
    (void)state;
    assert_true(sweep(register_all, NULL) > 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_is_current),
        cmocka_unit_test(every_help_is_a_sentence),
        cmocka_unit_test(a_cluster_takes_its_series_along),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
