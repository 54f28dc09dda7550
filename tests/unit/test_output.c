/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/commands/output.h"
#include "base/mem.h"

static void assert_text(struct strbuf *text, const char *expected)
{
    assert_int_equal(strbuf_error(text), ERR_OK);
    assert_string_equal(strbuf_text(text), expected);
    strbuf_done(text);
}

static const struct output_column COLUMNS[] = {{"CLUSTER", false}, {"NUM_SVC", true}, {"REASON", false}, {0}};

static void a_table_is_as_wide_as_it_must_be(void **state)
{
    (void)state;
    static const char *const CELLS[] = {"east", "3", "OK", "a-longer-name", "1000000000", NULL, "K\xc3\xb6ln", "", ""};
    struct output_table table;
    struct strbuf text;
    strbuf_init(&text, 4096);
    output_table_init(&table, COLUMNS);
    for (size_t i = 0; i < ARRAY_COUNT(CELLS); i++)
        output_table_add(&table, CELLS[i]);
    output_table_write(&table, &text);
    output_table_done(&table);
    assert_text(&text, "CLUSTER           NUM_SVC  REASON\n"
                       "east                    3  OK\n"
                       "a-longer-name  1000000000  -\n"
                       "K\xc3\xb6ln                    -  -\n");
}

static void an_empty_table_has_its_headings(void **state)
{
    (void)state;
    struct output_table table;
    struct strbuf text;
    strbuf_init(&text, 4096);
    output_table_init(&table, COLUMNS);
    output_table_write(&table, &text);
    output_table_done(&table);
    assert_text(&text, "CLUSTER  NUM_SVC  REASON\n");
}

static void foreign_text_controls_no_terminal(void **state)
{
    (void)state;
    struct strbuf text;
    strbuf_init(&text, 4096);
    output_text("a\x1b[2Jb\nc\x7f\xc2\x9b"
                "d\xc3\xa9\xc2\xa7",
                &text);
    assert_text(&text, "a?[2Jb?c??d\xc3\xa9\xc2\xa7");
}

static void json_as_it_is(void **state)
{
    (void)state;
    struct strbuf text;
    strbuf_init(&text, 4096);
    json_t *value = json_pack("[{s:s, s:b, s:n, s:[]}]", "b", "x", "a", 1, "n", "l");
    output_json(value, &text);
    json_decref(value);
    assert_text(&text, "[\n  {\n    \"b\": \"x\",\n    \"a\": true,\n    \"n\": null,\n    \"l\": []\n  }\n]\n");
    value = json_array();
    strbuf_init(&text, 4096);
    output_json(value, &text);
    json_decref(value);
    assert_text(&text, "[]\n");
    value = json_loads("[2.352, 38.379, 30000.001]", 0, NULL);
    assert_non_null(value);
    strbuf_init(&text, 4096);
    output_json(value, &text);
    json_decref(value);
    assert_text(&text, "[\n  2.352,\n  38.379,\n  30000.001\n]\n");
}

static void yaml_in_blocks(void **state)
{
    (void)state;
    static const struct {
        const char *json, *yaml;
    } CASES[] = {
        {"[]", "[]\n"},
        {"{}", "{}\n"},
        {"[1, \"a\"]", "- 1\n- a\n"},
        {"{\"ms\": 2.352}", "ms: 2.352\n"},
        {"{\"a/b.c\": 1, \"a: b\": {\"7\": []}}", "a/b.c: 1\n\"a: b\":\n  \"7\": []\n"},
        {"[{\"a\": 1, \"b\": {\"c\": null}}, {\"d\": []}]", "- a: 1\n  b:\n    c: null\n- d: []\n"},
        {"[{\"list\": [{\"ip\": \"192.0.2.1\", \"n\": 1.5}, {\"ip\": \"::1\"}], \"z\": true}]",
         "- list:\n  - ip: \"192.0.2.1\"\n    \"n\": 1.5\n  - ip: \"::1\"\n  z: true\n"},
        {"{\"plain\": \"ambassador/ambassador\", \"no\": \"no\", \"empty\": \"\", \"number\": \"1e3\", \"colon\": \"a: "
         "b\", "
         "\"quote\": \"a\\\"b\", \"line\": \"a\\nb\", \"NULL\": \"Null\", \"dash\": \"-a\", \"time\": \"2026-08-21\"}",
         "plain: ambassador/ambassador\n\"no\": \"no\"\nempty: \"\"\nnumber: \"1e3\"\ncolon: \"a: b\"\n"
         "quote: \"a\\\"b\"\nline: \"a\\nb\"\n\"NULL\": \"Null\"\ndash: \"-a\"\ntime: \"2026-08-21\"\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct strbuf text;
        strbuf_init(&text, 4096);
        json_t *value = json_loads(CASES[i].json, 0, NULL);
        assert_non_null(value);
        output_yaml(value, &text);
        json_decref(value);
        assert_text(&text, CASES[i].yaml);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_is_as_wide_as_it_must_be),
        cmocka_unit_test(an_empty_table_has_its_headings),
        cmocka_unit_test(foreign_text_controls_no_terminal),
        cmocka_unit_test(json_as_it_is),
        cmocka_unit_test(yaml_in_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
