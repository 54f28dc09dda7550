/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "agent/commands/options.h"
#include "base/mem.h"

static enum err_code check_even(const char *text, struct err *reterr)
{
    return strlen(text) % 2 == 0 ? ERR_OK : err_set(reterr, ERR_INVALID, "\"%s\" is odd", text);
}

static const struct option TABLE[] = {
    {.name = "namespace", .letter = 'n', .value_name = "NAME", .fallback = "default", .help = "where it is"},
    {.name = "output", .letter = 'o', .choices = "table|json", .fallback = "table", .help = "how it is printed"},
    {.name = "admin-addr", .value_name = "ADDRESS", .help = "where it listens"},
    {.name = "metrics-addr", .value_name = "ADDRESS", .alias_of = "admin-addr"},
    {.name = "move", .type = OPTION_BOOL, .fallback = "true", .help = "whether it moves"},
    {.name = "create", .type = OPTION_BOOL, .help = "whether it creates"},
    {.name = "limit", .type = OPTION_NUMBER, .value_name = "N", .fallback = "7", .help = "how many"},
    {.name = "wait", .letter = 'w', .type = OPTION_DURATION, .value_name = "DURATION", .help = "how long"},
    {.name = "even", .value_name = "TEXT", .check = check_even, .help = "an even text"},
    {.name = "pair", .type = OPTION_NUMBER, .value_name = "NN", .check = check_even, .help = "a number of two digits"},
    {.name = "requeue-limit", .type = OPTION_IGNORED, .value_name = "N"},
    {.name = "enable-pprof", .type = OPTION_IGNORED},
    {0},
};

enum { WORDS = 8 };

static struct options parsed;
static struct err error;

static enum err_code parse(unsigned max_arguments, const char *const *words)
{
    char *argv[WORDS];
    int argc = 0;
    for (; argc < WORDS && words[argc] != NULL; argc++)
        memcpy(&argv[argc], &words[argc], sizeof(char *)); /* main() has no const either, and means it */
    error = (struct err){0};
    return options_parse(TABLE, max_arguments, argc, argv, &parsed, &error);
}

#define PARSE(...) parse(0, (const char *const[WORDS]){__VA_ARGS__})

static void assert_refused(enum err_code code, const char *text)
{
    assert_int_equal(code, ERR_INVALID);
    assert_string_equal(error.text, text);
}

static void defaults(void **state)
{
    (void)state;
    assert_int_equal(PARSE(NULL), ERR_OK);
    assert_string_equal(options_text(&parsed, "namespace"), "default");
    assert_false(options_get(&parsed, "namespace")->given);
    assert_null(options_text(&parsed, "admin-addr"));
    assert_true(options_get(&parsed, "move")->boolean);
    assert_false(options_get(&parsed, "create")->given);
    assert_int_equal(options_get(&parsed, "limit")->number, 7);
    assert_null(options_ignored(&parsed, NULL));
    assert_false(parsed.help);
}

static void spellings(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS];
        const char *name, *text;
    } CASES[] = {
        {{"--namespace", "x"}, "namespace", "x"},
        {{"--namespace=x"}, "namespace", "x"},
        {{"-namespace", "x"}, "namespace", "x"},
        {{"-namespace=x"}, "namespace", "x"},
        {{"-n", "x"}, "namespace", "x"},
        {{"-nx"}, "namespace", "x"},
        {{"-n=x"}, "namespace", "x"},
        {{"--namespace=a=b"}, "namespace", "a=b"},
        {{"--namespace="}, "namespace", ""},
        {{"--namespace", "-"}, "namespace", "-"},
        {{"--namespace", "x", "--namespace", "y"}, "namespace", "y"},
        {{"-ojson"}, "output", "json"},
        {{"--metrics-addr", ":1"}, "admin-addr", ":1"},
        {{"--metrics-addr", ":1", "--admin-addr", ":2"}, "admin-addr", ":2"},
        {{"--admin-addr", ":1", "--metrics-addr", ":2"}, "admin-addr", ":2"},
        {{"-metrics-addr=:1"}, "admin-addr", ":1"},
        {{"--create"}, "create", "true"},
        {{"--create=false"}, "create", "false"},
        {{"--limit", "12"}, "limit", "12"},
        {{"--wait", "1m30s"}, "wait", "1m30s"},
        {{"-w1m30s"}, "wait", "1m30s"},
        {{"--even", "ab"}, "even", "ab"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        if (parse(0, CASES[i].words) != ERR_OK)
            fail_msg("%s: %s", CASES[i].words[0], error.text);
        assert_string_equal(options_text(&parsed, CASES[i].name), CASES[i].text);
        assert_true(options_get(&parsed, CASES[i].name)->given);
    }
}

static void conversions(void **state)
{
    (void)state;
    assert_int_equal(PARSE("--wait", "1m30s", "--limit=4294967295", "--move=0", "--create=1"), ERR_OK);
    assert_int_equal(options_get(&parsed, "wait")->number, 90000);
    assert_int_equal(options_get(&parsed, "limit")->number, UINT32_MAX);
    assert_false(options_get(&parsed, "move")->boolean);
    assert_true(options_get(&parsed, "create")->boolean);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *words[WORDS];
        const char *text;
    } CASES[] = {
        {{"--nampespace", "x"}, "unknown flag --nampespace: did you mean --namespace?"},
        {{"--namespac=x"}, "unknown flag --namespac: did you mean --namespace?"},
        {{"-limt"}, "unknown flag -limt: did you mean --limit?"},
        {{"--frobnicate=1"}, "unknown flag --frobnicate"},
        {{"--"
          "a-flag-with-a-name-that-is-longer-than-any-flag-of-ours-could-possibly-be-and-goes-on"},
         "unknown flag --a-flag-with-a-name-that-is-longer-than-any-flag-of-ours-could-possibly-be-and-"},
        {{"-x"}, "unknown flag -x"},
        {{"--namespace"}, "--namespace needs a value: --namespace NAME"},
        {{"--namespace", "--move"}, "--namespace needs a value: --namespace NAME"},
        {{"-o"}, "-o needs a value: -o table|json"},
        {{"-o", "xml"}, "-o: \"xml\" is not one of table|json"},
        {{"--output=tab"}, "--output: \"tab\" is not one of table|json"},
        {{"--output=table|json"}, "--output: \"table|json\" is not one of table|json"},
        {{"--move=maybe"}, "--move: \"maybe\" is neither true nor false"},
        {{"--move", "false"}, "unexpected argument \"false\": write --move=false"},
        {{"--limit", "-1"}, "--limit: \"-1\" is not a whole number from 0 to 4294967295"},
        {{"--limit", "4294967296"}, "--limit: \"4294967296\" is not a whole number from 0 to 4294967295"},
        {{"--wait", "30"}, "--wait: \"30\" is not a duration (write e.g. 3s, 250ms or 1m30s; at most 10 years)"},
        {{"--wait", "99999h"},
         "--wait: \"99999h\" is not a duration (write e.g. 3s, 250ms or 1m30s; at most 10 years)"},
        {{"--even", "abc"}, "--even: \"abc\" is odd"},
        {{"--pair", "x"}, "--pair: \"x\" is odd"},
        {{"--pair", "xy"}, "--pair: \"xy\" is not a whole number from 0 to 4294967295"},
        {{"word"}, "unexpected argument \"word\""},
        {{"--", "--move"}, "unexpected argument \"--move\""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        assert_refused(parse(0, CASES[i].words), CASES[i].text);
}

static void arguments(void **state)
{
    (void)state;
    assert_int_equal(parse(3, (const char *const[WORDS]){"one", "--move", "two", "--", "--limit"}), ERR_OK);
    assert_int_equal(parsed.argument_count, 3);
    assert_string_equal(parsed.arguments[0], "one");
    assert_string_equal(parsed.arguments[1], "two");
    assert_string_equal(parsed.arguments[2], "--limit");
    assert_refused(parse(1, (const char *const[WORDS]){"one", "two"}), "unexpected argument \"two\"");
}

static void help_comes_first(void **state)
{
    (void)state;
    assert_int_equal(setenv("SVCMIRROR_LIMIT", "many", 1), 0);
    assert_int_equal(PARSE("--frobnicate", "--help"), ERR_OK);
    assert_true(parsed.help);
    assert_int_equal(PARSE("-h"), ERR_OK);
    assert_true(parsed.help);
    assert_int_equal(unsetenv("SVCMIRROR_LIMIT"), 0);
}

static void the_environment(void **state)
{
    (void)state;
    assert_int_equal(setenv("SVCMIRROR_ADMIN_ADDR", ":2", 1), 0);
    assert_int_equal(setenv("SVCMIRROR_NAMESPACE", "", 1), 0);
    assert_int_equal(setenv("SVCMIRROR_MOVE", "false", 1), 0);
    assert_int_equal(setenv("SVCMIRROR_METRICS_ADDR", ":3", 1), 0); /* only the first spelling counts */
    assert_int_equal(setenv("SVCMIRROR_REQUEUE_LIMIT", "3", 1), 0);
    assert_int_equal(PARSE(NULL), ERR_OK);
    assert_string_equal(options_text(&parsed, "admin-addr"), ":2");
    assert_true(options_get(&parsed, "admin-addr")->given);
    assert_string_equal(options_text(&parsed, "namespace"), "default");
    assert_false(options_get(&parsed, "move")->boolean);
    assert_null(options_ignored(&parsed, NULL));
    assert_int_equal(PARSE("--admin-addr", ":4"), ERR_OK);
    assert_string_equal(options_text(&parsed, "admin-addr"), ":4");
    assert_int_equal(setenv("SVCMIRROR_LIMIT", "many", 1), 0);
    assert_refused(PARSE(NULL), "SVCMIRROR_LIMIT: \"many\" is not a whole number from 0 to 4294967295");
    static const char *const NAMES[] = {"SVCMIRROR_ADMIN_ADDR",   "SVCMIRROR_NAMESPACE",     "SVCMIRROR_MOVE",
                                        "SVCMIRROR_METRICS_ADDR", "SVCMIRROR_REQUEUE_LIMIT", "SVCMIRROR_LIMIT"};
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        assert_int_equal(unsetenv(NAMES[i]), 0);
}

static void flags_of_other_programs(void **state)
{
    (void)state;
    assert_int_equal(PARSE("-requeue-limit", "3", "-enable-pprof", "--move"), ERR_OK);
    assert_true(options_get(&parsed, "move")->given);
    const char *first = options_ignored(&parsed, NULL);
    assert_string_equal(first, "requeue-limit");
    const char *second = options_ignored(&parsed, first);
    assert_string_equal(second, "enable-pprof");
    assert_null(options_ignored(&parsed, second));
    assert_int_equal(PARSE("-enable-pprof=false"), ERR_OK);
    assert_string_equal(options_ignored(&parsed, NULL), "enable-pprof");
}

static void help_is_made_of_the_table(void **state)
{
    (void)state;
    static const struct option table[] = {
        {.name = "output", .letter = 'o', .choices = "table|json", .fallback = "table", .help = "how it is printed"},
        {.name = "old", .value_name = "X", .alias_of = "output"},
        {.name = "move", .type = OPTION_BOOL, .fallback = "true", .help = "whether it moves"},
        {.name = "long",
         .value_name = "TEXT",
         .help = "a help that has so many words that it does not fit on one line of a terminal and so goes on below"},
        {0},
    };
    struct strbuf text;
    strbuf_init(&text, 4096);
    options_write_help(table, &text);
    assert_string_equal(
        strbuf_text(&text),
        "  -o, --output table|json   how it is printed (default table)\n"
        "      --move                whether it moves (default true)\n"
        "      --long TEXT           a help that has so many words that it does not fit on one line of a\n"
        "                            terminal and so goes on below\n"
        "  -h, --help                show this help\n");
    strbuf_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),
        cmocka_unit_test(spellings),
        cmocka_unit_test(conversions),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(arguments),
        cmocka_unit_test(help_comes_first),
        cmocka_unit_test(the_environment),
        cmocka_unit_test(flags_of_other_programs),
        cmocka_unit_test(help_is_made_of_the_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
