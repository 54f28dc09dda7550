/* links: agent_commands */
#include "check_scene.h"

#include "base/mem.h"

static void good(const json_t *snapshot, struct check_report *report)
{
    (void)snapshot;
    check_note(report, "* %s", "east");
}

static void bad(const json_t *snapshot, struct check_report *report)
{
    (void)snapshot;
    check_problem(report, "one");
    check_problem(report, "two\x1b[2J");
}

static void doubtful(const json_t *snapshot, struct check_report *report)
{
    (void)snapshot;
    check_doubt(report, "who knows");
}

static void nothing(const json_t *snapshot, struct check_report *report)
{
    (void)snapshot;
    check_skip(report);
}

static void very_bad(const json_t *snapshot, struct check_report *report)
{
    for (json_int_t i = 0; i < json_integer_value(json_object_get(snapshot, "count")); i++)
        check_problem(report, "problem %d", (int)i);
}

static const struct check ALL[] = {{"first", "is good", "l5d-good", CHECK_ERROR, false, good},
                                   {"first", "is not there", "l5d-none", CHECK_ERROR, false, nothing},
                                   {"first", "is bad", "l5d-bad", CHECK_ERROR, true, bad},
                                   {"second", "is doubtful", "doubtful", CHECK_FATAL, false, doubtful},
                                   {"second", "may be bad", "may-be", CHECK_WARNING, false, bad},
                                   {"second", "is fatal", "fatal", CHECK_FATAL, false, bad},
                                   {"second", "is not reached", "later", CHECK_ERROR, false, bad},
                                   {0}};

static json_t *run(const struct check *list, const json_t *snapshot, const char **ret_awaited)
{
    json_t *result = NULL;
    assert_int_equal(check_run(list, snapshot, &result, ret_awaited), ERR_OK);
    return result;
}

static void assert_written(const json_t *result, bool is_short, const char *expected)
{
    struct strbuf text;
    strbuf_init(&text, 1 << 20);
    check_write(result, is_short, &text);
    assert_string_equal(strbuf_text(&text), expected);
    strbuf_done(&text);
}

static void table_is_as_linkerd_s(void **state)
{
    (void)state;
    const char *awaited = NULL;
    json_t *result = run(ALL, NULL, &awaited);
    assert_string_equal(awaited, "one\ntwo\x1b[2J");
    assert_written(result, false,
                   "first\n-----\n"
                   "\u221a is good\n    * east\n"
                   "\u00d7 is bad\n    one\n    two?[2J\n    see https://linkerd.io/2/checks/#l5d-bad for hints\n"
                   "\nsecond\n------\n"
                   "\u203c is doubtful\n    who knows\n    see docs/check.md#doubtful for hints\n"
                   "\u203c may be bad\n    one\n    two?[2J\n    see docs/check.md#may-be for hints\n"
                   "\u00d7 is fatal\n    one\n    two?[2J\n    see docs/check.md#fatal for hints\n"
                   "\nStatus check results are \u00d7\n");
    json_decref(result);
}

static void short_form_leaves_out_what_is_right(void **state)
{
    (void)state;
    const struct check mostly_good[] = {ALL[0], {"second", "is good too", "x", CHECK_ERROR, false, good}, ALL[3], {0}};
    const struct check all_good[] = {ALL[0], {0}};
    const char *awaited = NULL;
    json_t *result = run(mostly_good, NULL, &awaited);
    assert_null(awaited);
    assert_written(result, true,
                   "second\n------\n\u203c is doubtful\n    who knows\n    see docs/check.md#doubtful for hints\n"
                   "\nStatus check results are \u221a\n");
    json_decref(result);
    result = run(all_good, NULL, &awaited);
    assert_written(result, true, "Status check results are \u221a\n");
    json_decref(result);
}

static void json_is_as_linkerd_s(void **state)
{
    (void)state;
    const struct check some[] = {ALL[0], ALL[4], {0}};
    const char *awaited = NULL;
    json_t *result = run(some, NULL, &awaited);
    json_t *expected =
        json_loads("{\"success\":true,\"categories\":[{\"categoryName\":\"first\",\"checks\":[{\"description\":"
                   "\"is good\\n* east\",\"result\":\"success\"}]},{\"categoryName\":\"second\",\"checks\":[{"
                   "\"description\":\"may be bad\",\"hint\":\"docs/check.md#may-be\",\"error\":"
                   "\"one\\ntwo\\u001b[2J\",\"result\":\"warning\"}]}]}",
                   0, NULL);
    assert_non_null(expected);
    assert_true(json_equal(result, expected));
    json_decref(expected);
    json_decref(result);
}

static void a_thousand_faults_are_counted(void **state)
{
    (void)state;
    const struct check one[] = {{"c", "d", "a", CHECK_ERROR, false, very_bad}, {0}};
    const struct {
        json_int_t count;
        const char *end;
    } CASES[] = {{20, "\nproblem 19"}, {21, "\nproblem 19\nand 1 more"}, {1000, "\nproblem 19\nand 980 more"}};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        json_t *snapshot = json_pack("{s:I}", "count", CASES[i].count);
        const char *awaited = NULL;
        json_t *result = run(one, snapshot, &awaited);
        const char *error = check_text(scene_find(result, "d"), "error");
        assert_non_null(strstr(error, CASES[i].end));
        assert_string_equal(strstr(error, CASES[i].end), CASES[i].end);
        json_decref(result);
        json_decref(snapshot);
    }
}

static void facts_are_found_and_their_absence_is_told(void **state)
{
    (void)state;
    json_t *side =
        json_loads("{\"a\":{\"value\":{\"items\":[1]}},\"b\":{\"value\":[2]},\"c\":{\"error\":\"no\",\"code\":"
                   "\"forbidden\"},\"d\":{\"value\":{}}}",
                   0, NULL);
    struct check_report report = {0};
    strbuf_init(&report.doubts, 1 << 10);
    assert_int_equal(json_array_size(check_items(side, "a")), 1);
    assert_int_equal(json_array_size(check_items(side, "b")), 1);
    assert_null(check_items(side, "d"));
    assert_null(check_fact(side, "e"));
    assert_true(check_fact_is(side, "c", ERR_FORBIDDEN));
    assert_false(check_fact_is(side, "a", ERR_FORBIDDEN));
    assert_string_equal(check_fact_error(side, "e"), "");
    assert_null(check_needed_items(&report, side, "c", "west"));
    assert_string_equal(strbuf_text(&report.doubts), "cannot be judged: cluster west: no");
    strbuf_done(&report.doubts);
    json_decref(side);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_as_linkerd_s),
        cmocka_unit_test(short_form_leaves_out_what_is_right),
        cmocka_unit_test(json_is_as_linkerd_s),
        cmocka_unit_test(a_thousand_faults_are_counted),
        cmocka_unit_test(facts_are_found_and_their_absence_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
