/* links: agent_control */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/control/instruments.h"
#include "agent/observe/process.h"
#include "base/mem.h"
#include "tests/unit/sweep.h"

#define REFERENCE SVCMIRROR_SOURCE_DIR "/docs/metrics.md"
#define TABLE "|---|---|---|---|\n"
#define REWRITE "SVCMIRROR_WRITE_DOCS"

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

static char *read_reference(void)
{
    struct strbuf text;
    char piece[4096];
    size_t bytes = 0;
    FILE *file = fopen(REFERENCE, "r");
    assert_non_null(file);
    strbuf_init(&text, 1 << 20);
    while ((bytes = fread(piece, 1, sizeof(piece), file)) > 0)
        strbuf_append_bytes(&text, piece, bytes);
    (void)fclose(file);
    return strbuf_take(&text);
}

static void write_reference(const char *head, size_t head_bytes, const char *table)
{
    FILE *file = fopen(REFERENCE, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(head, 1, head_bytes, file), head_bytes);
    assert_true(fputs(table, file) >= 0);
    assert_int_equal(fclose(file), 0);
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
    char *text = read_reference(), *rows = strstr(text, TABLE);
    assert_non_null(rows);
    rows += strlen(TABLE);
    if (getenv(REWRITE) != NULL)
        write_reference(text, (size_t)(rows - text), strbuf_text(&table));
    else if (strcmp(rows, strbuf_text(&table)) != 0)
        fail_msg("docs/metrics.md is not what the registry says; write it anew with\n"
                 "    " REWRITE "=1 build/asan-ubsan/bin/test_instruments\n%s",
                 strbuf_text(&table));
    mem_free(text);
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
