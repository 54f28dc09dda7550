/* links: agent_kube base */
/* Lists and watches in protobuf, cut into pieces however they arrive. */
#include "agent/kube/proto_split.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/proto_message.h"
#include "tests/unit/seen_pieces.h"
#include "tests/unit/sweep.h"

enum { LIMIT_BYTES = 128 };

/* ---- messages ---- */

/* A TypeMeta (1: its API, 2: its kind) or a ListMeta (2: its resourceVersion, 3: where it goes on). */
static void put_two(struct message *message, uint32_t number, uint32_t first, const char *text, const char *next)
{
    struct message inner = {0};
    put_text(&inner, first, text);
    put_text(&inner, first + 1, next);
    put_message(message, number, &inner);
}

/* What is a list's own behind its envelope's beginning. */
static void put_envelope(struct message *message, const struct message *list)
{
    put(message, "k8s", 4);
    put_two(message, 1, 1, "v1", "ServiceList");
    put_message(message, 2, list);
    put_text(message, 3, "");
    put_text(message, 4, "");
}

static void put_event(struct message *message, const char *event)
{
    size_t length = strlen(event);
    put(message, (const unsigned char[]){0, 0, (unsigned char)(length >> 8), (unsigned char)length}, 4);
    put(message, event, length);
}

/* Two fields of nobody's: items are not looked into. */
static void make_list(struct message *message)
{
    struct message list = {0};
    put_two(&list, 1, 2, "99", "more\"\n");
    put_text(&list, 2, "first");
    put_text(&list, 2, "");
    put_text(&list, 7, "unknown");
    put_text(&list, 2,
             "third, which is longer than what one byte of length tells: all in all more than one hundred"
             " and twenty-eight by.");
    put_envelope(message, &list);
}

#define TYPE "\"apiVersion\":\"v1\",\"kind\":\"ServiceList\","
#define HEAD "<{" TYPE "\"items\":[]}>"
#define LIST_PIECES                                                                                                    \
    HEAD "first;;third, which is longer than what one byte of length tells: all in all more than one hundred and "     \
         "twenty-eight by.;|{" TYPE "\"metadata\":{\"resourceVersion\":\"99\",\"continue\":\"more\\\"\\u000a\"},"      \
         "\"items\":[]}|"

/* ---- feeding ---- */

static enum err_code on_piece(void *context, const char *text, size_t bytes, enum json_split_piece piece,
                              struct err *reterr)
{
    return seen_piece(context, text, bytes, piece, (const char *const[]){"(", ")"}, reterr);
}

/* From a block of exactly that size, so that the sanitizer sees what is read behind its end. */
static enum err_code feed(struct proto_split *split, const char *bytes, size_t length, struct err *reterr)
{
    char *block = malloc(length);
    assert_true(block != NULL || length == 0);
    if (length > 0)
        memcpy(block, bytes, length);
    enum err_code code = proto_split_feed(split, block != NULL ? block : "", length, reterr);
    free(block);
    return code;
}

/* Feeds the first `first` bytes, and then `step` at a time. */
static enum err_code run(enum json_split_mode mode, const struct message *message, size_t first, size_t step,
                         struct seen *seen, struct err *reterr)
{
    struct proto_split split;
    proto_split_init(&split, mode, LIMIT_BYTES, on_piece, seen);
    enum err_code code = feed(&split, message->bytes, first, reterr);
    for (size_t at = first; code == ERR_OK && at < message->length; at += step)
        code = feed(&split, message->bytes + at, message->length - at < step ? message->length - at : step, reterr);
    if (code == ERR_OK)
        code = proto_split_finish(&split, reterr);
    proto_split_done(&split);
    return code;
}

static void expect_one(enum json_split_mode mode, const struct message *message, size_t first, size_t step,
                       const char *expected)
{
    struct seen seen = {0};
    struct err error = {0};
    if (run(mode, message, first, step, &seen, &error) != ERR_OK)
        fail_msg("%zu bytes, then %zu at a time: %s", first, step, error.text);
    if (strcmp(seen.text, expected) != 0)
        fail_msg("%zu bytes, then %zu at a time: %s\ninstead of %s", first, step, seen.text, expected);
}

/* Every way of cutting the stream gives the same pieces: in one, in two, and in many of the same size. */
static void expect_pieces(enum json_split_mode mode, const struct message *message, const char *expected)
{
    for (size_t first = 0; first <= message->length; first++)
        expect_one(mode, message, first, message->length, expected);
    for (size_t step = 1; step < message->length && step <= LIMIT_BYTES; step++)
        expect_one(mode, message, 0, step, expected);
}

/* However it arrives. */
static void expect_refused(enum json_split_mode mode, const struct message *message, enum err_code expected,
                           const char *words)
{
    for (size_t step = 1; step <= message->length + 1; step++) {
        struct seen seen = {0};
        struct err error = {0};
        enum err_code code = run(mode, message, 0, step, &seen, &error);
        if (code != expected || strstr(error.text, words) == NULL)
            fail_msg("in steps of %zu: %s, and \"%s\" instead of \"%s\"", step, err_code_name(code), error.text, words);
    }
}

/* ---- what is cut ---- */

static void cuts_lists_into_items(void **state)
{
    struct message list = {0}, empty = {0}, only_meta = {0}, in_empty = {0}, in_only_meta = {0};
    (void)state;
    make_list(&list);
    expect_pieces(JSON_SPLIT_LIST, &list, LIST_PIECES);
    put_envelope(&empty, &in_empty);
    expect_pieces(JSON_SPLIT_LIST, &empty, HEAD "|{" TYPE "\"metadata\":{},\"items\":[]}|");
    put_two(&in_only_meta, 1, 2, "5", "");
    put_envelope(&only_meta, &in_only_meta);
    expect_pieces(JSON_SPLIT_LIST, &only_meta,
                  HEAD "|{" TYPE "\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[]}|");
}

/* Which the wire format allows, though API servers do not write it. */
static void members_of_lists_may_come_in_any_order(void **state)
{
    struct message message = {0}, list = {0}, bare = {0};
    (void)state;
    put_text(&list, 2, "one");
    put_two(&list, 1, 2, "5", "");
    put_text(&list, 2, "two");
    put(&message, "k8s", 4);
    put_text(&message, 9, "unknown");
    put_bytes(&message, 2, list.bytes, list.length);
    put_two(&message, 1, 1, "v1", "ServiceList");
    expect_pieces(JSON_SPLIT_LIST, &message,
                  "<{\"items\":[]}>one;two;|{" TYPE "\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[]}|");
    put(&bare, "k8s\0\x12\0", 6);
    expect_pieces(JSON_SPLIT_LIST, &bare, "<{\"items\":[]}>|{\"metadata\":{},\"items\":[]}|");
}

static void cuts_watches_into_events(void **state)
{
    struct message watch = {0}, one = {0};
    char longest[LIMIT_BYTES + 1] = {0}, expected[LIMIT_BYTES + 4];
    (void)state;
    expect_one(JSON_SPLIT_VALUES, &watch, 0, 1, "");
    memset(longest, 'x', LIMIT_BYTES);
    put_event(&watch, "added");
    put_event(&watch, "");
    put_event(&watch, "modified");
    put_event(&watch, "");
    put_event(&watch, "k8s");
    expect_pieces(JSON_SPLIT_VALUES, &watch, "(added)()(modified)()(k8s)");
    put_event(&one, longest);
    (void)snprintf(expected, sizeof(expected), "(%s)", longest);
    expect_pieces(JSON_SPLIT_VALUES, &one, expected);
}

/* ---- what is refused ---- */

static void bounds_items_and_events(void **state)
{
    char text[LIMIT_BYTES + 2] = {0};
    struct message list = {0}, message = {0}, watch = {0}, only_head = {0}, type = {0};
    (void)state;
    memset(text, 'x', LIMIT_BYTES + 1);
    put_text(&list, 2, text);
    put_envelope(&message, &list);
    expect_refused(JSON_SPLIT_LIST, &message, ERR_LIMIT, "larger than 128 bytes");
    put_event(&watch, "added");
    put_event(&watch, text);
    expect_refused(JSON_SPLIT_VALUES, &watch, ERR_LIMIT, "larger than 128 bytes");
    /* Before any of it came. */
    put(&only_head, "\xff\xff\xff\xff", 4);
    expect_refused(JSON_SPLIT_VALUES, &only_head, ERR_LIMIT, "larger than 128 bytes");
    put(&type, "k8s\0\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 15);
    expect_refused(JSON_SPLIT_LIST, &type, ERR_LIMIT, "larger than 128 bytes");
}

/* The longest item there may be, in every two parts and behind others. */
static void takes_the_longest_item(void **state)
{
    char text[LIMIT_BYTES + 1] = {0}, expected[2 * LIMIT_BYTES + 256];
    struct message list = {0}, message = {0};
    (void)state;
    memset(text, 'x', LIMIT_BYTES);
    put_text(&list, 2, "first");
    put_text(&list, 2, text);
    put_envelope(&message, &list);
    (void)snprintf(expected, sizeof(expected), HEAD "first;%s;|{" TYPE "\"metadata\":{},\"items\":[]}|", text);
    expect_pieces(JSON_SPLIT_LIST, &message, expected);
}

static void refuses_what_is_no_such_list(void **state)
{
    static const struct {
        const char *bytes;
        size_t length;
        const char *words;
    } cases[] = {
        {"", 0, "empty"},
        {"k8s\0", 4, "empty"},
        {"k8s\0\x1a\0", 6, "empty"},
        {"k8s", 3, "in the middle"},
        {"{", 1, "in the middle"},
        {"{\"kind\":\"ServiceList\",\"items\":[]}", 33, "does not begin"},
        {"<!DOCTYPE html><html></html>", 28, "does not begin"},
        {"k8s\n", 4, "does not begin"},
        {"\0k8s", 4, "does not begin"},
        /* In the envelope. */
        {"k8s\0\x08\x01", 6, "a field that lists do not have"},
        {"k8s\0\x13\x14", 6, "a field that lists do not have"},
        {"k8s\0\x02\0", 6, "a field that lists do not have"},
        {"k8s\0\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 16, "a field that lists do not have"},
        {"k8s\0\x12\0\x12\0", 8, "two lists"},
        {"k8s\0\x1a\x04gzip\x12\0", 12, "encoded once more"},
        {"k8s\0\x12\0\x1a\x04gzip", 12, "encoded once more"},
        {"k8s\0\x0a", 5, "in the middle"},
        {"k8s\0\x0a\x02\x0a", 7, "in the middle"},
        {"k8s\0\x0a\x02\x0a\x05\x12\0", 10, "ends too early"},
        {"k8s\0\x12\0\x0a", 7, "in the middle"},
        /* In the list. */
        {"k8s\0\x12\x02", 6, "in the middle"},
        {"k8s\0\x12\x02\x12", 7, "in the middle"},
        {"k8s\0\x12\x05\x12\x03xy", 10, "in the middle"},
        {"k8s\0\x12\x07\x12\x03xyz", 11, "in the middle"},
        {"k8s\0\x12\x04\x12\x03xyz", 11, "beyond its list"},
        {"k8s\0\x12\x01\x12\x01x", 9, "beyond its list"},
        {"k8s\0\x12\x02\x08\x01", 8, "a field that lists do not have"},
        {"k8s\0\x12\x03\x0a\x01\xff", 9, "ends too early"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct message message = {0};
        put(&message, cases[i].bytes, cases[i].length);
        expect_refused(JSON_SPLIT_LIST, &message, ERR_PROTOCOL, cases[i].words);
    }
}

/* An answer in another format says no length that anybody would send. */
static void refuses_what_is_no_such_watch(void **state)
{
    struct message json = {0}, html = {0};
    (void)state;
    put(&json, "{\"type\":\"ADDED\",\"object\":{}}\n", 29);
    expect_refused(JSON_SPLIT_VALUES, &json, ERR_LIMIT, "larger than");
    put(&html, "<html></html>", 13);
    expect_refused(JSON_SPLIT_VALUES, &html, ERR_LIMIT, "larger than");
}

/* Wherever it ends but at its end: not of a list behind the list itself, where what was left out says nothing, nor of a watch between events. */
static void refuses_what_ends_early(void **state)
{
    struct message list = {0}, watch = {0};
    (void)state;
    make_list(&list);
    size_t whole = list.length - 4; /* without contentEncoding and contentType */
    for (size_t length = 0; length < list.length; length++) {
        struct message cut = {.length = length};
        memcpy(cut.bytes, list.bytes, length);
        struct seen seen = {0};
        struct err error = {0};
        bool is_good = length == whole || length == whole + 2;
        assert_int_equal(run(JSON_SPLIT_LIST, &cut, 0, 100, &seen, &error), is_good ? ERR_OK : ERR_PROTOCOL);
        assert_int_equal(strstr(seen.text, "metadata") != NULL, is_good);
    }
    put_event(&watch, "added");
    put_event(&watch, "modified");
    for (size_t length = 0; length < watch.length; length++) {
        struct message cut = {.length = length};
        memcpy(cut.bytes, watch.bytes, length);
        struct seen seen = {0};
        struct err error = {0};
        assert_int_equal(run(JSON_SPLIT_VALUES, &cut, 0, 100, &seen, &error),
                         length == 0 || length == 4 + 5 ? ERR_OK : ERR_PROTOCOL);
        assert_string_equal(seen.text, length >= 4 + 5 ? "(added)" : "");
    }
}

/* ---- what the owner says ---- */

static void ends_with_the_callbacks_code(void **state)
{
    struct message list = {0}, watch = {0};
    (void)state;
    make_list(&list);
    put_event(&watch, "added");
    put_event(&watch, "");
    for (unsigned piece = 1; piece <= 5; piece++) {
        for (size_t step = 1; step <= LIMIT_BYTES; step++) {
            struct seen seen = {.answer = ERR_EXPIRED, .fail_from = piece};
            struct err error = {0};
            assert_int_equal(run(JSON_SPLIT_LIST, &list, 0, step, &seen, &error), ERR_EXPIRED);
            assert_int_equal(seen.count, piece);
            assert_string_equal(error.text, "the owner said so");
            seen = (struct seen){.answer = ERR_EXPIRED, .fail_from = piece};
            assert_int_equal(run(JSON_SPLIT_VALUES, &watch, 0, step, &seen, &error), piece <= 2 ? ERR_EXPIRED : ERR_OK);
        }
    }
}

/* The owner may drop the whole thing from inside the callback, when it returns an error then. */
struct owner {
    struct proto_split *split;
    unsigned release_at, count;
};

static enum err_code release_inside(void *context, const char *text, size_t bytes, enum json_split_piece piece,
                                    struct err *reterr)
{
    struct owner *owner = context;
    (void)text;
    (void)bytes;
    (void)piece;
    (void)reterr;
    if (++owner->count < owner->release_at)
        return ERR_OK;
    proto_split_done(owner->split);
    memset(owner->split, 0xA5, sizeof(*owner->split));
    mem_free(owner->split);
    return ERR_CANCELLED;
}

static void expect_released(enum json_split_mode mode, const struct message *message, unsigned release_at, size_t step)
{
    struct owner owner = {.split = NEW(struct proto_split), .release_at = release_at};
    enum err_code code = ERR_OK;
    assert_non_null(owner.split);
    proto_split_init(owner.split, mode, LIMIT_BYTES, release_inside, &owner);
    for (size_t at = 0; code == ERR_OK && at < message->length; at += step)
        code = feed(owner.split, message->bytes + at, message->length - at < step ? message->length - at : step, NULL);
    if (code == ERR_OK)
        code = proto_split_finish(owner.split, NULL);
    assert_int_equal(code, ERR_CANCELLED);
    assert_int_equal(owner.count, release_at);
}

static void may_be_released_in_the_callback(void **state)
{
    struct message list = {0}, watch = {0};
    (void)state;
    make_list(&list);
    put_event(&watch, "added");
    put_event(&watch, "");
    for (size_t step = 1; step <= LIMIT_BYTES; step++) {
        for (unsigned release_at = 1; release_at <= 5; release_at++) /* its head, its items, its rest */
            expect_released(JSON_SPLIT_LIST, &list, release_at, step);
        for (unsigned release_at = 1; release_at <= 2; release_at++)
            expect_released(JSON_SPLIT_VALUES, &watch, release_at, step);
    }
}

/* ---- memory ---- */

static enum err_code sweep_streams(void *context)
{
    struct message list = {0}, watch = {0};
    struct seen seen = {0};
    struct err error = {0};
    (void)context;
    make_list(&list);
    put_event(&watch, "added");
    put_event(&watch, "modified");
    TRY(run(JSON_SPLIT_LIST, &list, 0, 5, &seen, &error));
    return run(JSON_SPLIT_VALUES, &watch, 0, 5, &seen, &error);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    assert_true(sweep(sweep_streams, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cuts_lists_into_items),         cmocka_unit_test(members_of_lists_may_come_in_any_order),
        cmocka_unit_test(cuts_watches_into_events),      cmocka_unit_test(bounds_items_and_events),
        cmocka_unit_test(takes_the_longest_item),        cmocka_unit_test(refuses_what_is_no_such_list),
        cmocka_unit_test(refuses_what_is_no_such_watch), cmocka_unit_test(refuses_what_ends_early),
        cmocka_unit_test(ends_with_the_callbacks_code),  cmocka_unit_test(may_be_released_in_the_callback),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
