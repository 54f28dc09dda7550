/* links: agent_kube */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/kube/setup.h"
#include "agent/kube/yaml.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "tests/unit/sweep.h"

static void assert_json(json_t *value, const char *expected)
{
    char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    assert_non_null(text);
    assert_string_equal(text, expected);
    mem_free(text);
}

static void assert_manifest(const char *text, const char *expected)
{
    struct err error = {0};
    json_t *root = NULL;
    if (yaml_parse_manifest(text, strlen(text), &root, &error) != ERR_OK)
        fail_msg("%s: %s", text, error.text);
    assert_json(root, expected);
    json_decref(root);
}

static void assert_refused(const char *text, enum err_code code, const char *words)
{
    struct err error = {0};
    json_t *root = NULL;
    assert_int_equal(yaml_parse_manifest(text, strlen(text), &root, &error), code);
    if (strstr(error.text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, words);
    assert_null(root);
}

/* ---- scalars ---- */

static void bare_words_mean_what_they_mean_to_kubectl(void **state)
{
    (void)state;
    static const struct {
        const char *word, *json;
    } CASES[] = {
        {"80", "80"},
        {"+7", "7"},
        {"-3", "-3"},
        {"0", "0"},
        {"-0", "0"},
        {"0644", "420"},
        {"0x1F", "31"},
        {"0b101", "5"},
        {"0o17", "15"},
        {"1_000", "1000"},
        {"08", "8.0"},
        {"9223372036854775807", "9223372036854775807"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"9223372036854775808", "9.22337203685478e18"},
        {"1.5", "1.5"},
        {"1.", "1.0"},
        {".5", "0.5"},
        {"1e3", "1000.0"},
        {"1e999", "\"1e999\""},
        {"1e", "\"1e\""},
        {".inf", "\".inf\""},
        {".", "\".\""},
        {"-x", "\"-x\""},
        {"+", "\"+\""},
        {"0x", "\"0x\""},
        {"1.2.3", "\"1.2.3\""},
        {"10.0.0.1", "\"10.0.0.1\""},
        {"2026-01-01", "\"2026-01-01\""},
        {"1 2", "\"1 2\""},
        {"true", "true"},
        {"on", "true"},
        {"Y", "true"},
        {"No", "false"},
        {"off", "false"},
        {"tRUE", "\"tRUE\""},
        {"null", "null"},
        {"~", "null"},
        {"nulls", "\"nulls\""},
        {"\"80\"", "\"80\""},
        {"'true'", "\"true\""},
        {"!!str 80", "\"80\""},
        {"! 80", "\"80\""},
        {"web", "\"web\""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char text[128], json[128];
        (void)snprintf(text, sizeof(text), "k: %s\n", CASES[i].word);
        (void)snprintf(json, sizeof(json), "{\"k\":%s}", CASES[i].json);
        assert_manifest(text, json);
    }
    assert_manifest("k:\n", "{\"k\":null}");
    assert_manifest("80: on\n", "{\"80\":true}");
}

static void a_long_number_is_a_text(void **state)
{
    (void)state;
    assert_manifest("k: 1111111111222222222233333333334444444444555555555566666666667777777777\n",
                    "{\"k\":\"1111111111222222222233333333334444444444555555555566666666667777777777\"}");
}

static void kubeconfigs_have_texts_alone(void **state)
{
    (void)state;
    static const char TEXT[] = "a: 80\nb: true\nc: ~\nd: null\ne:\nf: \"\"\n";
    json_t *root = NULL;
    assert_int_equal(yaml_parse(TEXT, strlen(TEXT), &root, NULL), ERR_OK);
    assert_json(root, "{\"a\":\"80\",\"b\":\"true\",\"c\":null,\"d\":null,\"e\":null,\"f\":\"\"}");
    json_decref(root);
}

/* ---- aliases ---- */

static void aliases_stand_for_what_they_name(void **state)
{
    (void)state;
    assert_manifest("a: &x {b: [1, 2]}\nc: *x\nd: [*x, &y text, *y]\n",
                    "{\"a\":{\"b\":[1,2]},\"c\":{\"b\":[1,2]},\"d\":[{\"b\":[1,2]},\"text\",\"text\"]}");
    assert_manifest("a: &x 1\nb: &x 2\nc: *x\n", "{\"a\":1,\"b\":2,\"c\":2}");
    assert_manifest("a: &x [1]\na: 2\nb: *x\n",
                    "{\"a\":2,\"b\":[1]}"); /* the first value is gone when it is asked for */
}

static void merge_keys_give_what_is_not_there(void **state)
{
    (void)state;
    assert_manifest("base: &b {x: 1, y: 2}\none: {y: 3, <<: *b}\ntwo: {<<: *b, y: 4}\n",
                    "{\"base\":{\"x\":1,\"y\":2},\"one\":{\"y\":3,\"x\":1},\"two\":{\"x\":1,\"y\":4}}");
}

static void what_aliases_cannot_be(void **state)
{
    (void)state;
    struct err error = {0};
    json_t *root = NULL;
    struct strbuf bomb;
    assert_refused("a: *nothing\n", ERR_INVALID, "line 1: the alias *nothing stands for nothing");
    assert_refused("a: &x [*x]\n", ERR_INVALID, "stands for nothing");
    assert_refused("a: &x k\n*x : 1\n", ERR_INVALID, "line 2: a key is not a scalar");
    assert_int_equal(yaml_parse("a: &x 1\nb: *x\n", 14, &root, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "line 2: aliases are not allowed"));
    /* nine in each of nine: 9^9 values in a few lines */
    strbuf_init(&bomb, 4096);
    strbuf_append(&bomb, "a0: &a0 [1,1,1,1,1,1,1,1,1]\n");
    for (int i = 1; i < 9; i++)
        strbuf_printf(&bomb, "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i, i, i - 1, i - 1, i - 1,
                      i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
    assert_refused(strbuf_text(&bomb), ERR_LIMIT, "more than 100000 values");
    strbuf_clear(&bomb);
    for (int i = 0; i < 65; i++)
        strbuf_printf(&bomb, "k%d: &a%d 1\n", i, i);
    assert_refused(strbuf_text(&bomb), ERR_LIMIT, "line 65: more than 64 anchors");
    strbuf_done(&bomb);
}

/* ---- documents ---- */

static void what_is_no_manifest(void **state)
{
    (void)state;
    json_t *root = NULL;
    assert_refused("a: [1\n", ERR_INVALID, "line 2");
    assert_refused("[a]: 1\n", ERR_INVALID, "a key is not a scalar");
    assert_refused("a: !!binary aGk=\n", ERR_INVALID, "the tag tag:yaml.org,2002:binary is not supported");
    assert_refused("a: 1\n--- {b: 2}\n", ERR_INVALID, "another document begins");
    assert_int_equal(yaml_parse_manifest("# words\n", 8, &root, NULL), ERR_OK);
    assert_null(root);
}

static void streams_are_cut_where_kubectl_cuts(void **state)
{
    (void)state;
    static const char TEXT[] =
        "# first\na: 1\n---\n---  # empty before\nb: |\n  ---\n  --- x\n---\r\nc: ----\n---word\n";
    static const char *const DOCUMENTS[] = {"# first\na: 1\n", "", "b: |\n  ---\n  --- x\n", "c: ----\n---word\n"};
    const char *at = TEXT, *document = NULL;
    size_t bytes = 0, count = 0;
    for (; yaml_next_document(&at, &document, &bytes); count++) {
        assert_true(count < ARRAY_COUNT(DOCUMENTS));
        assert_int_equal(bytes, strlen(DOCUMENTS[count]));
        assert_memory_equal(document, DOCUMENTS[count], bytes);
    }
    assert_int_equal(count, ARRAY_COUNT(DOCUMENTS));
    at = "";
    assert_false(yaml_next_document(&at, &document, &bytes));
    at = "---\n";
    assert_false(yaml_next_document(&at, &document, &bytes));
}

static enum err_code parse_everything(void *context)
{
    (void)context;
    static const char TEXT[] = "a: &x {b: [1, 2.5, yes, ~, text]}\nc: *x\nd: {<<: *x, e: f}\n";
    json_t *root = NULL;
    enum err_code code = yaml_parse_manifest(TEXT, strlen(TEXT), &root, NULL);
    json_decref(root);
    return code;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    kube_setup();
    (void)sweep(parse_everything, NULL);
}

int main(void)
{
    kube_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bare_words_mean_what_they_mean_to_kubectl),
        cmocka_unit_test(a_long_number_is_a_text),
        cmocka_unit_test(kubeconfigs_have_texts_alone),
        cmocka_unit_test(aliases_stand_for_what_they_name),
        cmocka_unit_test(merge_keys_give_what_is_not_there),
        cmocka_unit_test(what_aliases_cannot_be),
        cmocka_unit_test(what_is_no_manifest),
        cmocka_unit_test(streams_are_cut_where_kubectl_cuts),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
