/* links: agent_observe base */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/observe/log.h"
#include "base/mem.h"

/* The log's clock: 2026-08-21T10:00:00Z and a monotonic one that tests move. */
static int64_t monotonic_s = 1000;

int clock_gettime(clockid_t __clock_id, struct timespec *__tp) /* libc's names */
{
    *__tp = (struct timespec){.tv_sec = __clock_id == CLOCK_REALTIME ? 1787306400 : monotonic_s, .tv_nsec = 123456000};
    return 0;
}

#define STAMP "2026-08-21T10:00:00.123456Z"

/* ---- what was written to stderr ---- */

static FILE *captured;
static int saved_stderr;

static int capture(void **state)
{
    (void)state;
    captured = tmpfile();
    saved_stderr = dup(STDERR_FILENO);
    monotonic_s += 100; /* no test suppresses the lines of the next */
    log_setup(LOG_INFO, LOG_LOGFMT);
    return captured != NULL && dup2(fileno(captured), STDERR_FILENO) >= 0 ? 0 : -1;
}

static int release(void **state)
{
    (void)state;
    (void)dup2(saved_stderr, STDERR_FILENO);
    (void)close(saved_stderr);
    return fclose(captured);
}

/* @return all that was written since the last call, borrowed until the next. */
static const char *output(void)
{
    static char text[64 << 10];
    rewind(captured);
    size_t bytes = fread(text, 1, sizeof(text) - 1, captured);
    text[bytes] = '\0';
    assert_int_equal(ftruncate(fileno(captured), 0), 0);
    rewind(captured);
    return text;
}

static size_t count_lines(const char *text)
{
    size_t lines = 0;
    for (; *text != '\0'; text++)
        lines += *text == '\n' ? 1 : 0;
    return lines;
}

/* ---- tests ---- */

static void levels(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int level; /* -1: invalid */
    } CASES[] = {{"debug", LOG_DEBUG},  {"trace", LOG_DEBUG},
                 {"info", LOG_INFO},    {"warn", LOG_WARN},
                 {"warning", LOG_WARN}, {"error", LOG_ERROR},
                 {"fatal", LOG_ERROR},  {"panic", LOG_ERROR},
                 {"INFO", -1},          {"", -1},
                 {"verbose", -1}};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        enum log_level level = LOG_INFO;
        struct err error = {0};
        enum err_code code = log_parse_level(CASES[i].text, &level, &error);
        assert_int_equal(code, CASES[i].level < 0 ? ERR_INVALID : ERR_OK);
        if (CASES[i].level >= 0)
            assert_int_equal(level, CASES[i].level);
        else
            assert_non_null(strstr(error.text, "use debug, info, warn or error"));
    }
}

static void formats(void **state)
{
    (void)state;
    enum log_format format = LOG_JSON;
    struct err error = {0};
    assert_int_equal(log_parse_format("plain", &format, NULL), ERR_OK);
    assert_int_equal(format, LOG_LOGFMT);
    assert_int_equal(log_parse_format("json", &format, NULL), ERR_OK);
    assert_int_equal(format, LOG_JSON);
    assert_int_equal(log_parse_format("xml", &format, &error), ERR_INVALID);
    assert_string_equal(error.text, "\"xml\" is not a log format: use logfmt or json");
}

static void logfmt_line(void **state)
{
    (void)state;
    log_info("link_ready", "link is synced", "cluster", "east", "services", log_u64(12), "left_out", NULL, "empty", "",
             NULL);
    assert_string_equal(output(), "ts=" STAMP " level=info event=link_ready msg=\"link is synced\" cluster=east "
                                  "services=12 empty=\"\"\n");
}

static void json_line(void **state)
{
    (void)state;
    log_setup(LOG_INFO, LOG_JSON);
    log_error("no_access", "a \"right\" is missing", "path", "a\\b", NULL);
    assert_string_equal(output(), "{\"ts\":\"" STAMP "\",\"level\":\"error\",\"event\":\"no_access\","
                                  "\"msg\":\"a \\\"right\\\" is missing\",\"path\":\"a\\\\b\"}\n");
}

static void threshold_is_kept(void **state)
{
    (void)state;
    log_setup(LOG_WARN, LOG_LOGFMT);
    log_debug("a", "debug", NULL);
    log_info("b", "info", NULL);
    log_warn("c", "warn", NULL);
    assert_string_equal(output(), "ts=" STAMP " level=warn event=c msg=warn\n");
}

static void values_from_outside(void **state)
{
    (void)state;
    static const struct {
        const char *value, *written;
    } CASES[] = {
        {"plain", "plain"},
        {"K\xc3\xb6ln", "K\xc3\xb6ln"},
        {"two words", "\"two words\""},
        {"a=b", "\"a=b\""},
        {"line\nbreak\tand\rreturn", "\"line\\nbreak\\tand\\u000dreturn\""},
        {"\x1b[31mred", "\"\\u001b[31mred\""},
        {"\x7f", "\"\\u007f\""},
        {"\xc2\x9b"
         "31m",
         "\"\\u009b31m\""},
        {"cut \xe2\x82", "\"cut \xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
        {"\xc0\xaf", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong */
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xf0\x9f\x90\xa7", "\xf0\x9f\x90\xa7"},
    };
    char expected[256];
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        log_info("x", "y", "v", CASES[i].value, NULL);
        (void)snprintf(expected, sizeof(expected), "ts=" STAMP " level=info event=x msg=y v=%s\n", CASES[i].written);
        assert_string_equal(output(), expected);
    }
}

static void long_values_are_cut(void **state)
{
    (void)state;
    char value[5000];
    memset(value, 'a', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    log_setup(LOG_INFO, LOG_JSON);
    log_info("x", "y", "one", value, "after", "kept", NULL);
    const char *line = output();
    assert_true(strlen(line) < 2300);
    assert_non_null(strstr(line, "aaa...\",\"after\":\"kept\"}\n"));
}

static void long_lines_stay_whole(void **state)
{
    (void)state;
    char value[2001];
    memset(value, '\x01', sizeof(value) - 1); /* six bytes each in JSON */
    value[sizeof(value) - 1] = '\0';
    log_setup(LOG_INFO, LOG_JSON);
    log_info("x", "y", "small", "1", "large", value, "later", "2", NULL);
    assert_string_equal(output(), "{\"ts\":\"" STAMP "\",\"level\":\"info\",\"event\":\"x\",\"msg\":\"y\","
                                  "\"small\":\"1\",\"truncated\":\"true\"}\n");
}

static void bursts_are_suppressed(void **state)
{
    (void)state;
    for (int i = 0; i < 25; i++)
        log_info("burst", "again", NULL);
    log_info("other", "another event is not held back", NULL);
    assert_int_equal(count_lines(output()), 21);

    monotonic_s += 9;
    log_info("burst", "again", NULL);
    assert_string_equal(output(), "");
    monotonic_s += 1;
    log_info("burst", "again", NULL);
    assert_string_equal(output(), "ts=" STAMP " level=info event=burst msg=again suppressed=6\n");
    log_info("burst", "again", NULL);
    assert_string_equal(output(), "ts=" STAMP " level=info event=burst msg=again\n");
}

static void debug_lines_are_not(void **state)
{
    (void)state;
    log_setup(LOG_DEBUG, LOG_LOGFMT);
    for (int i = 0; i < 30; i++)
        log_debug("much", "again", NULL);
    assert_int_equal(count_lines(output()), 30);
}

static void numbers(void **state)
{
    (void)state;
    const char *first = log_u64(1);
    for (uint64_t i = 2; i <= 8; i++)
        (void)log_u64(i);
    assert_string_equal(first, "1");
    assert_string_equal(log_u64(UINT64_MAX), "18446744073709551615");
}

/* ---- a reader that is stuck ---- */

static void a_full_pipe_holds_nobody(void **state)
{
    (void)state;
    int ends[2], saved = dup(STDERR_FILENO);
    char text[4096], filling[4096];
    memset(filling, 'x', sizeof(filling));
    monotonic_s += 100;
    log_setup(LOG_INFO, LOG_LOGFMT);
    assert_int_equal(pipe(ends), 0);
    int bytes = fcntl(ends[1], F_SETPIPE_SZ, 8192);
    assert_true(bytes >= 8192);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    for (int filled = 0; filled + (int)sizeof(filling) <= bytes; filled += (int)sizeof(filling))
        assert_int_equal(write(ends[1], filling, sizeof(filling)), sizeof(filling));
    log_info("lost", "nobody reads", NULL); /* would never return */
    for (int read_bytes = 0; read_bytes < bytes;) {
        ssize_t got = read(ends[0], text, sizeof(text));
        assert_true(got > 0);
        read_bytes += (int)got;
    }
    log_info("found", "somebody reads again", NULL);
    ssize_t got = read(ends[0], text, sizeof(text) - 1);
    assert_true(got > 0);
    text[got] = '\0';
    assert_string_equal(text, "ts=" STAMP " level=info event=found msg=\"somebody reads again\"\n");
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    (void)close(saved);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

#define CAPTURED(test) cmocka_unit_test_setup_teardown(test, capture, release)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),      cmocka_unit_test(formats),       CAPTURED(logfmt_line),
        CAPTURED(json_line),           CAPTURED(threshold_is_kept),     CAPTURED(values_from_outside),
        CAPTURED(long_values_are_cut), CAPTURED(long_lines_stay_whole), CAPTURED(bursts_are_suppressed),
        CAPTURED(debug_lines_are_not), cmocka_unit_test(numbers),       cmocka_unit_test(a_full_pipe_holds_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
