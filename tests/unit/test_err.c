/* links: base */
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void set_fills_code_and_text(void **state)
{
    (void)state;
    struct err error = {0};
    assert_int_equal(err_set(&error, ERR_NOT_FOUND, "Secret %s/%s", "ns", "name"), ERR_NOT_FOUND);
    assert_int_equal(error.code, ERR_NOT_FOUND);
    assert_string_equal(error.text, "Secret ns/name");
}

static void the_error_is_optional(void **state)
{
    (void)state;
    assert_int_equal(err_set(NULL, ERR_IO, "ignored"), ERR_IO);
    assert_int_equal(err_context(NULL, "ignored"), ERR_OK);
}

static void context_reads_from_the_outside_in(void **state)
{
    (void)state;
    struct err error = {0};
    err_set(&error, ERR_INVALID, "key `kubeconfig` is missing");
    assert_int_equal(err_context(&error, "Secret %s", "x"), ERR_INVALID);
    assert_int_equal(err_context(&error, "link %s", "east"), ERR_INVALID);
    assert_string_equal(error.text, "link east: Secret x: key `kubeconfig` is missing");
}

static void arguments_may_be_the_errors_own_text(void **state)
{
    (void)state;
    struct err error = {0};
    err_set(&error, ERR_TLS, "expired");
    err_set(&error, ERR_CONNECT, "gave up: %s", error.text);
    assert_string_equal(error.text, "gave up: expired");
    err_context(&error, "[%s]", error.text);
    assert_string_equal(error.text, "[gave up: expired]: gave up: expired");
}

/* A text that does not fit ends with a whole character, however the cut falls. */
static void long_texts_are_cut_between_characters(void **state)
{
    (void)state;
    static const struct {
        const char *tail; /* begins `room` bytes before the bound */
        size_t room;
        size_t kept; /* bytes of the tail */
    } CASES[] = {
        {"abc", 2, 2},
        {"\xC3\xA9", 1, 0},         /* two bytes, one fits */
        {"\xC3\xA9z", 2, 2},        /* fits */
        {"\xE2\x82\xACz", 1, 0},    /* three bytes */
        {"\xE2\x82\xACz", 2, 0},    /**/
        {"\xE2\x82\xACz", 3, 3},    /**/
        {"\xF0\x9F\x98\x80", 1, 0}, /* four bytes */
        {"\xF0\x9F\x98\x80", 2, 0}, /**/
        {"\xF0\x9F\x98\x80", 3, 0}, /**/
        {"\xF0\x9F\x98\x80z", 4, 4},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        size_t filler = ERR_TEXT_BYTES - 1 - CASES[i].room;
        char long_text[2 * ERR_TEXT_BYTES];
        memset(long_text, 'x', filler);
        strncpy(long_text + filler, CASES[i].tail, sizeof(long_text) - filler);
        size_t kept = filler + CASES[i].kept;

        struct err error = {0};
        err_set(&error, ERR_SERVER, "%s", long_text);
        assert_int_equal(strlen(error.text), kept);
        assert_memory_equal(error.text, long_text, kept);

        /* The same cut, made by the context that pushes the text out. */
        char context[ERR_TEXT_BYTES];
        size_t context_length = filler - 100 - 2;
        memset(context, 'c', context_length);
        context[context_length] = '\0';
        err_set(&error, ERR_SERVER, "%s", long_text + filler - 100);
        err_context(&error, "%s", context);
        assert_int_equal(strlen(error.text), kept);
        assert_memory_equal(error.text + context_length, ": x", 3);
    }
}

static void a_context_longer_than_the_bound_is_cut(void **state)
{
    (void)state;
    char context[2 * ERR_TEXT_BYTES];
    memset(context, 'c', sizeof(context) - 1);
    context[sizeof(context) - 1] = '\0';
    struct err error = {0};
    err_set(&error, ERR_IO, "text");
    err_context(&error, "%s", context);
    assert_int_equal(strlen(error.text), ERR_TEXT_BYTES - 1);
    assert_int_equal(error.code, ERR_IO);
}

static void every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = ERR_OK; a <= ERR_CANCELLED; a++) {
        const char *name = err_code_name((enum err_code)a);
        assert_string_not_equal(name, "unknown");
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        for (int b = ERR_OK; b < a; b++)
            assert_string_not_equal(name, err_code_name((enum err_code)b));
    }
    assert_string_equal(err_code_name((enum err_code)(ERR_CANCELLED + 1)), "unknown");
    assert_string_equal(err_code_name(ERR_NOT_FOUND), "not_found");
}

static enum err_code try_twice(enum err_code first, enum err_code second, int *reached)
{
    TRY(first);
    *reached = 1;
    TRY(second);
    *reached = 2;
    return ERR_OK;
}

static void try_leaves_at_the_first_failure(void **state)
{
    (void)state;
    int reached = 0;
    assert_int_equal(try_twice(ERR_IO, ERR_OK, &reached), ERR_IO);
    assert_int_equal(reached, 0);
    assert_int_equal(try_twice(ERR_OK, ERR_BUSY, &reached), ERR_BUSY);
    assert_int_equal(reached, 1);
    assert_int_equal(try_twice(ERR_OK, ERR_OK, &reached), ERR_OK);
    assert_int_equal(reached, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_fills_code_and_text),
        cmocka_unit_test(the_error_is_optional),
        cmocka_unit_test(context_reads_from_the_outside_in),
        cmocka_unit_test(arguments_may_be_the_errors_own_text),
        cmocka_unit_test(long_texts_are_cut_between_characters),
        cmocka_unit_test(a_context_longer_than_the_bound_is_cut),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test(try_leaves_at_the_first_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
