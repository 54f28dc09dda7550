/* links: agent_kube base */
/* JSON as a tree in an arena: whatever jansson takes, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/json_tree.h"
#include "base/mem.h"
#include "sweep.h"

enum { ARENA_BYTES = 16 << 20, TEXT_BYTES = 512 };

static enum err_code parse(struct arena *arena, const char *text, const struct json_tree **ret_tree, struct err *reterr)
{
    return json_tree_parse(arena, text, strlen(text), ret_tree, reterr);
}

/* Fails unless both refuse the text, or both read the same. */
static void compare(const char *text, size_t bytes)
{
    struct arena arena;
    const struct json_tree *tree = NULL, *of_json = NULL;
    if (memmem(text, bytes, "\\u0000", 6) != NULL)
        return; /* another test's */
    arena_init(&arena, ARENA_BYTES);
    json_t *json = json_loadb(text, bytes, 0, NULL);
    enum err_code code = json_tree_parse(&arena, text, bytes, &tree, NULL);
    if ((code == ERR_OK) != (json != NULL))
        fail_msg("%.*s: %s, and jansson %s", (int)bytes, text, err_code_name(code),
                 json != NULL ? "takes it" : "refuses it");
    if (json != NULL) {
        json_t *back = json_tree_to_json(tree);
        assert_true(json_equal(back, json));
        json_decref(back);
        struct strbuf written;
        strbuf_init(&written, ARENA_BYTES);
        json_tree_write(tree, &written);
        back = json_loads(strbuf_text(&written), 0, NULL);
        if (!json_equal(back, json))
            fail_msg("%.*s is written as %s", (int)bytes, text, strbuf_text(&written));
        json_decref(back);
        strbuf_done(&written);
        assert_int_equal(json_tree_of(&arena, json, &of_json), ERR_OK);
        back = json_tree_to_json(of_json);
        assert_true(json_equal(back, json));
        json_decref(back);
    }
    json_decref(json);
    arena_done(&arena);
}

static const char *const TEXTS[] = {
    "{}",
    " \t\r\n[ ] ",
    "[1,-0,0,9223372036854775807,-9223372036854775808]",
    "[9223372036854775808]",
    "[-9223372036854775809]",
    "[0.5,1e3,1E-3,-1.5e+2,1e999,1e-999]",
    "[01]",
    "[-]",
    "[+1]",
    "[1.]",
    "[.5]",
    "[1e]",
    "[1e+]",
    "[0x10]",
    "[true,false,null]",
    "[tru]",
    "[nul",
    "[True]",
    "[\"\",\"a\",\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
    "[\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"]",
    "[\"\\u0000\"]",
    "[\"\\ud83d\"]",
    "[\"\\ude00\"]",
    "[\"\\ud83d\\u0041\"]",
    "[\"\\ud83dx\"]",
    "[\"\\u12\"]",
    "[\"\\x\"]",
    "[\"a\nb\"]",
    "[\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"]",
    "[\"\xc3\"]",
    "[\"\xc0\xaf\"]",
    "[\"\xe0\x80\xaf\"]",
    "[\"\xed\xa0\x80\"]",
    "[\"\xf0\x80\x80\xaf\"]",
    "[\"\xf4\x90\x80\x80\"]",
    "[\"\xf5\x80\x80\x80\"]",
    "[\"\x80\"]",
    "[\"a",
    "{\"a\":1,\"b\":{\"c\":[1,2,{\"d\":\"e\"}]}}",
    "{\"a\":1,\"a\":2}",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "{\"a\":}",
    "{a:1}",
    "{\"a\":1 \"b\":2}",
    "{\"\":0,\"\xc3\xa9\\n\":1}",
    "{\"a\\u0000\":1}",
    "[1,]",
    "[,1]",
    "[1 2]",
    "[1]x",
    "[1][2]",
    "1",
    "\"a\"",
    "null",
    "",
    " ",
    "]",
    "{",
    "[[[[[[[[]]]]]]]]",
    "[/* no */]",
};

static void it_takes_what_jansson_takes(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++)
        compare(TEXTS[i], strlen(TEXTS[i]));
}

/* Which jansson skips. */
static void it_refuses_a_nul(void **state)
{
    static const struct {
        const char *text;
        size_t bytes;
    } cases[] = {{"[1\0]", 4}, {"[\"\0\"]", 5}, {"[1]\0", 4}, {"\0[1]", 4}, {"[tru\0]", 6}};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct arena arena;
        const struct json_tree *tree = NULL;
        arena_init(&arena, ARENA_BYTES);
        assert_int_equal(json_tree_parse(&arena, cases[i].text, cases[i].bytes, &tree, NULL), ERR_PROTOCOL);
        arena_done(&arena);
    }
}

/* Which jansson refuses: whoever may annotate one object would stop all of its kind. */
static void a_nul_in_an_escape_is_replaced(void **state)
{
    struct arena arena;
    const struct json_tree *tree = NULL;
    (void)state;
    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(parse(&arena, "{\"a\\u0000\":\"x\\u0000\\u0000y\"}", &tree, NULL), ERR_OK);
    assert_string_equal(json_tree_text(json_tree_get(tree, "a\xEF\xBF\xBD")), "x\xEF\xBF\xBD\xEF\xBF\xBDy");
    arena_done(&arena);
}

/* Each text, with one byte of it taken away, doubled, or turned into something else. */
static void it_takes_what_jansson_takes_of_spoiled_texts(void **state)
{
    static const char others[] = "\"\\{}[]:,0-.eEu \n\xc3\x80\x01z";
    char spoiled[TEXT_BYTES];
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++) {
        size_t bytes = strlen(TEXTS[i]);
        for (size_t at = 0; at < bytes; at++) {
            (void)snprintf(spoiled, sizeof(spoiled), "%.*s%s", (int)at, TEXTS[i], TEXTS[i] + at + 1);
            compare(spoiled, bytes - 1);
            (void)snprintf(spoiled, sizeof(spoiled), "%.*s%s", (int)at + 1, TEXTS[i], TEXTS[i] + at);
            compare(spoiled, bytes + 1);
            for (const char *other = others; *other != '\0'; other++) {
                (void)snprintf(spoiled, sizeof(spoiled), "%s", TEXTS[i]);
                spoiled[at] = *other;
                compare(spoiled, bytes);
            }
        }
    }
}

static void it_is_as_deep_as_jansson_goes(void **state)
{
    (void)state;
    char text[2 * 2049];
    for (size_t depth = 2047; depth <= 2049; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        compare(text, 2 * depth);
    }
}

static void faults_are_named_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"[1,2", "it ends too early (at byte 4)"},
        {"[1 2]", "no comma between two values (at byte 3)"},
        {"{\"a\"}", "no colon behind the name of a member (at byte 4)"},
        {"{1:2}", "a member has no name (at byte 1)"},
        {"[\"a\x01\"]", "a control character, or what is not UTF-8, in a string (at byte 3)"},
        {"[\"\\u00\"]", "an escape without four hexadecimal digits (at byte 4)"},
        {"[\"\\q\"]", "an unknown escape (at byte 3)"},
        {"[x]", "not a value (at byte 1)"},
        {"[1.x]", "not a number (at byte 3)"},
        {"[99999999999999999999]", "an integer of more than 64 bits"},
        {"[1,]", "nothing behind a comma (at byte 3)"},
        {"7", "neither an object nor an array (at byte 0)"},
        {"{} {}", "something follows behind its end (at byte 3)"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct arena arena;
        struct err error = {0};
        const struct json_tree *tree = NULL;
        arena_init(&arena, ARENA_BYTES);
        assert_int_equal(parse(&arena, cases[i].text, &tree, &error), ERR_PROTOCOL);
        if (strstr(error.text, cases[i].words) == NULL)
            fail_msg("%s: %s", cases[i].text, error.text);
        arena_done(&arena);
    }
}

static void what_is_looked_for(void **state)
{
    (void)state;
    struct arena arena;
    const struct json_tree *tree = NULL;
    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(parse(&arena, "{\"a\":\"x\",\"n\":-7,\"l\":[true,\"y\",2.50],\"a\":\"last\",\"e\":{}}", &tree,
                           NULL),
                     ERR_OK);
    assert_string_equal(json_tree_text(json_tree_get(tree, "a")), "last");
    assert_int_equal(json_tree_integer(json_tree_get(tree, "n")), -7);
    assert_int_equal(json_tree_count(tree), 5);
    const struct json_tree *list = json_tree_get(tree, "l"), *item = json_tree_first(list);
    assert_int_equal(json_tree_count(list), 3);
    assert_true(json_tree_is(item, JSON_TREE_TRUE));
    assert_null(item->key);
    assert_string_equal(json_tree_text(item->next), "y");
    assert_true(json_tree_is(item->next->next, JSON_TREE_REAL));
    assert_string_equal(item->next->next->text, "2.50");
    assert_null(item->next->next->next);
    /* Of what is absent, or of another type, there is nothing. */
    assert_null(json_tree_get(tree, "x"));
    assert_null(json_tree_get(list, "a"));
    assert_null(json_tree_get(NULL, "a"));
    assert_null(json_tree_text(list));
    assert_null(json_tree_text(NULL));
    assert_int_equal(json_tree_integer(json_tree_get(tree, "a")), 0);
    assert_null(json_tree_first(json_tree_get(tree, "a")));
    assert_null(json_tree_first(json_tree_get(tree, "e")));
    assert_int_equal(json_tree_count(json_tree_get(tree, "n")), 0);
    assert_false(json_tree_is(NULL, JSON_TREE_NULL));
    assert_null(json_tree_to_json(NULL));
    arena_done(&arena);
}

/* The text is not kept: it may be of a buffer that goes on. */
static void it_outlives_its_text(void **state)
{
    (void)state;
    struct arena arena;
    const struct json_tree *tree = NULL;
    char *text = mem_strdup("{\"name\":\"w\\u0065b\"}");
    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(parse(&arena, text, &tree, NULL), ERR_OK);
    assert_string_equal(text, "{\"name\":\"w\\u0065b\"}");
    mem_free(text);
    assert_string_equal(json_tree_text(json_tree_get(tree, "name")), "web");
    arena_done(&arena);
}

static void too_little_room(void **state)
{
    (void)state;
    struct arena arena;
    struct err error = {0};
    const struct json_tree *tree = NULL;
    arena_init(&arena, 256);
    assert_int_equal(parse(&arena, "[1,2,3,4,5,6,7,8]", &tree, &error), ERR_NOMEM);
    arena_done(&arena);
}

static enum err_code read_both_ways(void *context)
{
    struct arena arena;
    const struct json_tree *tree = NULL, *again = NULL;
    (void)context;
    arena_init(&arena, ARENA_BYTES);
    enum err_code code = parse(&arena, "{\"a\":[1,2.5,\"x\",null,{\"b\":true}]}", &tree, NULL);
    json_t *json = code == ERR_OK ? json_tree_to_json(tree) : NULL;
    if (code == ERR_OK)
        code = json != NULL ? json_tree_of(&arena, json, &again) : ERR_NOMEM;
    json_decref(json);
    arena_done(&arena);
    return code;
}

static void no_allocation_is_taken_for_granted(void **state)
{
    (void)state;
    json_set_alloc_funcs(mem_alloc, mem_free);
    assert_true(sweep(read_both_ways, NULL) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_takes_what_jansson_takes),
        cmocka_unit_test(it_refuses_a_nul),
        cmocka_unit_test(a_nul_in_an_escape_is_replaced),
        cmocka_unit_test(it_takes_what_jansson_takes_of_spoiled_texts),
        cmocka_unit_test(it_is_as_deep_as_jansson_goes),
        cmocka_unit_test(faults_are_named_with_their_place),
        cmocka_unit_test(what_is_looked_for),
        cmocka_unit_test(it_outlives_its_text),
        cmocka_unit_test(too_little_room),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
