/* links: agent_observe base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/observe/process.h"
#include "base/mem.h"
#include "tests/unit/sweep.h"

/* @return the value of the series in the exposition. */
static double value_of(const char *exposition, const char *series)
{
    char start[128];
    (void)snprintf(start, sizeof(start), "\n%s ", series);
    const char *at = strstr(exposition, start);
    if (at == NULL)
        fail_msg("%s is not in: %s", series, exposition);
    return at != NULL ? strtod(at + strlen(start), NULL) : 0;
}

static void what_the_process_uses(void **state)
{
    (void)state;
    struct strbuf text;
    struct metrics *metrics = metrics_new();
    struct process_metrics *process = NULL;
    strbuf_init(&text, 64 << 10);
    assert_int_equal(process_metrics_new(metrics, "1.2.3", &process), ERR_OK);
    metrics_write(metrics, &text);
    const char *all = strbuf_text(&text);
    double resident = value_of(all, "process_resident_memory_bytes"),
           start = value_of(all, "process_start_time_seconds");
    assert_true(resident > 100e3 && resident < 1e9);
    assert_true(value_of(all, "process_virtual_memory_bytes") > resident);
    assert_true(value_of(all, "process_cpu_seconds_total") < 60);
    assert_true(start <= (double)time(NULL) + 1 && start > (double)time(NULL) - 60);
    assert_true(value_of(all, "svcmirror_build_info{version=\"1.2.3\"}") == 1);
    double fds = value_of(all, "process_open_fds");
    assert_true(fds >= 3 && fds < value_of(all, "process_max_fds"));

    int fd = dup(STDERR_FILENO);
    strbuf_clear(&text);
    metrics_write(metrics, &text);
    assert_true(value_of(strbuf_text(&text), "process_open_fds") == fds + 1);
    (void)close(fd);
    metrics_free(metrics);
    process_metrics_free(process);
    strbuf_done(&text);
}

static enum err_code make(void *context)
{
    (void)context;
    struct process_metrics *process = NULL;
    struct metrics *metrics = metrics_new();
    if (metrics == NULL)
        return ERR_NOMEM;
    enum err_code code = process_metrics_new(metrics, "1", &process);
    metrics_free(metrics);
    process_metrics_free(process);
    return code;
}

static void memory_runs_out(void **state)
{
    (void)state;
    (void)sweep(make, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_process_uses),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
