/* links: agent_kube base */
#include "agent/kube/json_split.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/seen_pieces.h"
#include "tests/unit/sweep.h"

enum { LIMIT_BYTES = 256 };

static enum err_code on_piece(void *context, const char *text, size_t bytes, enum json_split_piece piece,
                              struct err *reterr)
{
    assert_int_equal(strlen(text), bytes);
    return seen_piece(context, text, bytes, piece, (const char *const[]){"|", "|"}, reterr);
}

/* Feeds `text` in pieces of `step` bytes. */
static enum err_code run(enum json_split_mode mode, const char *text, size_t step, struct seen *seen,
                         struct err *reterr)
{
    struct json_split split;
    enum err_code code = ERR_OK;
    size_t length = strlen(text);
    json_split_init(&split, mode, LIMIT_BYTES, on_piece, seen);
    for (size_t at = 0; code == ERR_OK && at < length; at += step)
        code = json_split_feed(&split, text + at, length - at < step ? length - at : step, reterr);
    if (code == ERR_OK)
        code = json_split_finish(&split, reterr);
    json_split_done(&split);
    return code;
}

struct good_case {
    enum json_split_mode mode;
    const char *text, *expected;
};

static void cuts_where_values_end(void **state)
{
    (void)state;
    static const struct good_case cases[] = {
        {JSON_SPLIT_VALUES, "", ""},
        {JSON_SPLIT_VALUES, " \r\n\t ", ""},
        {JSON_SPLIT_VALUES, "{\"a\":1}\n{\"b\":[1,2,{}]}\n", "|{\"a\":1}||{\"b\":[1,2,{}]}|"},
        {JSON_SPLIT_VALUES, "{}{}[1]", "|{}||{}||[1]|"},
        {JSON_SPLIT_VALUES, "{\"a\":\"}{\\\"]\\\\\"} {}", "|{\"a\":\"}{\\\"]\\\\\"}||{}|"},
        {JSON_SPLIT_VALUES, "{\"items\":[{\"x\":1}]}", "|{\"items\":[{\"x\":1}]}|"},
        {JSON_SPLIT_LIST, "{\"items\":[]}", "<{\"items\":[]}>|{\"items\":[]}|"},
        {JSON_SPLIT_LIST, "{\"items\":null,\"b\":2}", "|{\"items\":null,\"b\":2}|"},
        {JSON_SPLIT_LIST, "{\"kind\":\"L\",\"metadata\":{\"v\":\"1\"},\"items\":[{\"a\":1},{\"b\":\"]\"}]}\n",
         "<{\"kind\":\"L\",\"metadata\":{\"v\":\"1\"},\"items\":[]}>{\"a\":1};{\"b\":\"]\"};|{\"kind\":\"L\","
         "\"metadata\":{\"v\":\"1\"},\"items\":[]}|"},
        {JSON_SPLIT_LIST, " { \"items\" : [ { \"a\" : [ ] } , {} ] , \"metadata\" : {} } ",
         "<{ \"items\" : []}>{ \"a\" : [ ] };{};|{ \"items\" : [] , \"metadata\" : {} }|"},
        /* Only the top-level key counts, and only a key. */
        {JSON_SPLIT_LIST, "{\"m\":{\"items\":[{\"no\":1}]},\"items\":[{\"items\":[{\"in\":1}]}]}",
         "<{\"m\":{\"items\":[{\"no\":1}]},\"items\":[]}>{\"items\":[{\"in\":1}]};|{\"m\":{\"items\":[{\"no\":1}]},"
         "\"items\":[]}|"},
        {JSON_SPLIT_LIST, "{\"k\":\"items\",\"v\":[{\"no\":1}]}", "|{\"k\":\"items\",\"v\":[{\"no\":1}]}|"},
        {JSON_SPLIT_LIST, "{\"itemsX\":[{\"no\":1}],\"item\":[{}]}", "|{\"itemsX\":[{\"no\":1}],\"item\":[{}]}|"},
        {JSON_SPLIT_LIST, "{\"items\":{\"no\":[{}]},\"z\":[{}]}", "|{\"items\":{\"no\":[{}]},\"z\":[{}]}|"},
        {JSON_SPLIT_LIST, "{\"it\\u0065ms\":[{\"no\":1}]}", "|{\"it\\u0065ms\":[{\"no\":1}]}|"},
        /* What managers' fields are is left out, wherever it stands; only of an object with this very key. */
        {JSON_SPLIT_VALUES, "{\"fieldsV1\":{\"f:a\":{\".\":{},\"}\":[1]}},\"b\":1}{\"c\":{\"fieldsV1\" : { } }}",
         "|{\"fieldsV1\":{},\"b\":1}||{\"c\":{\"fieldsV1\" : {} }}|"},
        {JSON_SPLIT_VALUES, "{\"fieldsV1\":[{\"a\":1}],\"b\":\"fieldsV1\",\"c\":{\"d\":1},\"fieldsV12\":{\"e\":1}}",
         "|{\"fieldsV1\":[{\"a\":1}],\"b\":\"fieldsV1\",\"c\":{\"d\":1},\"fieldsV12\":{\"e\":1}}|"},
        {JSON_SPLIT_LIST,
         "{\"fieldsV1\":{\"a\":[{}]},\"items\":[{\"m\":[{\"fieldsV1\":{\"fieldsV1\":{\"a\":\"{\"}}}]},{}]}",
         "<{\"fieldsV1\":{},\"items\":[]}>{\"m\":[{\"fieldsV1\":{}}]};{};|{\"fieldsV1\":{},\"items\":[]}|"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        /* Every way of cutting the stream gives the same pieces. */
        for (size_t step = 1; step <= strlen(cases[i].text) + 1; step++) {
            struct seen seen = {0};
            struct err error = {0};
            if (run(cases[i].mode, cases[i].text, step, &seen, &error) != ERR_OK)
                fail_msg("%s in steps of %zu: %s", cases[i].text, step, error.text);
            assert_string_equal(seen.text, cases[i].expected);
        }
    }
}

struct bad_case {
    enum json_split_mode mode;
    const char *text;
    enum err_code code;
    const char *words;
};

static void refuses_what_is_no_such_stream(void **state)
{
    (void)state;
    static const struct bad_case cases[] = {
        {JSON_SPLIT_VALUES, "{\"a\":1", ERR_PROTOCOL, "in the middle"},
        {JSON_SPLIT_VALUES, "{\"a", ERR_PROTOCOL, "in the middle"},
        {JSON_SPLIT_VALUES, "<html>", ERR_PROTOCOL, "'<'"},
        {JSON_SPLIT_VALUES, "\x01", ERR_PROTOCOL, "'?'"},
        {JSON_SPLIT_VALUES, "}", ERR_PROTOCOL, "without a beginning"},
        {JSON_SPLIT_VALUES, "{},{}", ERR_PROTOCOL, "','"},
        {JSON_SPLIT_VALUES, "\"text\"", ERR_PROTOCOL, "a string"},
        {JSON_SPLIT_LIST, "", ERR_PROTOCOL, "empty"},
        {JSON_SPLIT_LIST, " ", ERR_PROTOCOL, "empty"},
        {JSON_SPLIT_LIST, "[]", ERR_PROTOCOL, "not a JSON object"},
        {JSON_SPLIT_LIST, "{}{}", ERR_PROTOCOL, "after its end"},
        {JSON_SPLIT_LIST, "{\"items\":[1]}", ERR_PROTOCOL, "not an object"},
        {JSON_SPLIT_LIST, "{\"items\":[[]]}", ERR_PROTOCOL, "not an object"},
        {JSON_SPLIT_LIST, "{\"items\":[\"x\"]}", ERR_PROTOCOL, "a string"},
        {JSON_SPLIT_LIST, "{\"items\":[}", ERR_PROTOCOL, "ends the items"},
        {JSON_SPLIT_LIST, "{\"items\":[{}", ERR_PROTOCOL, "in the middle"},
        {JSON_SPLIT_LIST, "{\"items\":[{},", ERR_PROTOCOL, "in the middle"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        for (size_t step = 1; step <= 2; step++) {
            struct seen seen = {0};
            struct err error = {0};
            assert_int_equal(run(cases[i].mode, cases[i].text, step, &seen, &error), cases[i].code);
            if (strstr(error.text, cases[i].words) == NULL)
                fail_msg("%s: \"%s\" does not say \"%s\"", cases[i].text, error.text, cases[i].words);
        }
    }
}

static void bounds_pieces_and_depth(void **state)
{
    (void)state;
    char text[2 * LIMIT_BYTES];
    struct seen seen = {0};
    struct err error = {0};
    (void)snprintf(text, sizeof(text), "{\"a\":\"%0*d\"}", LIMIT_BYTES - 8, 0);
    assert_int_equal(strlen(text), LIMIT_BYTES);
    assert_int_equal(run(JSON_SPLIT_VALUES, text, 7, &seen, &error), ERR_OK);
    (void)snprintf(text, sizeof(text), "{\"a\":\"%0*d\"}", LIMIT_BYTES - 7, 0);
    assert_int_equal(run(JSON_SPLIT_VALUES, text, 7, &seen, &error), ERR_LIMIT);
    (void)snprintf(text, sizeof(text), "{\"items\":[{\"a\":\"%0*d\"}]}", LIMIT_BYTES, 0);
    assert_int_equal(run(JSON_SPLIT_LIST, text, 7, &seen, &error), ERR_LIMIT);
    assert_non_null(strstr(error.text, "larger than 256 bytes"));

    struct json_split split;
    json_split_init(&split, JSON_SPLIT_VALUES, 1 << 20, on_piece, &seen);
    enum err_code code = ERR_OK;
    unsigned depth = 0;
    for (; code == ERR_OK; depth++)
        code = json_split_feed(&split, "[", 1, &error);
    json_split_done(&split);
    assert_int_equal(code, ERR_LIMIT);
    assert_int_equal(depth, 513);
}

static void ends_with_the_callbacks_code(void **state)
{
    (void)state;
    for (unsigned piece = 1; piece <= 4; piece++) {
        struct seen seen = {.answer = ERR_EXPIRED, .fail_from = piece};
        struct err error = {0};
        assert_int_equal(run(JSON_SPLIT_LIST, "{\"items\":[{\"a\":1},{\"a\":2}]}", 100, &seen, &error), ERR_EXPIRED);
        assert_int_equal(seen.count, piece);
        assert_string_equal(error.text, "the owner said so");
    }
}

/* The owner may drop the whole thing from inside the callback, when it returns an error then. */
static enum err_code release_inside(void *context, const char *text, size_t bytes, enum json_split_piece piece,
                                    struct err *reterr)
{
    (void)text;
    (void)bytes;
    (void)piece;
    (void)reterr;
    struct json_split **split = context;
    json_split_done(*split);
    mem_free(*split);
    return ERR_CANCELLED;
}

static void may_be_released_in_the_callback(void **state)
{
    (void)state;
    struct json_split *split = NEW(struct json_split);
    assert_non_null(split);
    json_split_init(split, JSON_SPLIT_VALUES, LIMIT_BYTES, release_inside, &split);
    assert_int_equal(json_split_feed(split, "{} {}", 5, NULL), ERR_CANCELLED);
}

static enum err_code sweep_list(void *context)
{
    (void)context;
    struct seen seen = {0};
    struct err error = {0};
    return run(JSON_SPLIT_LIST, "{\"kind\":\"ServiceList\",\"items\":[{\"a\":1},{\"b\":2}],\"metadata\":{}}", 5, &seen,
               &error);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    assert_true(sweep(sweep_list, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_where_values_end),           cmocka_unit_test(refuses_what_is_no_such_stream),
        cmocka_unit_test(bounds_pieces_and_depth),         cmocka_unit_test(ends_with_the_callbacks_code),
        cmocka_unit_test(may_be_released_in_the_callback), cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
