/* links: base */
#include "base/strbuf.h"

#include <string.h>

#include "tests/unit/sweep.h"

static void an_empty_buffer_is_an_empty_string(void **state)
{
    (void)state;
    struct strbuf buffer;
    strbuf_init(&buffer, 100);
    assert_string_equal(strbuf_text(&buffer), "");
    strbuf_append(&buffer, "");
    strbuf_append_bytes(&buffer, NULL, 0);
    strbuf_consume(&buffer, 5);
    strbuf_clear(&buffer);
    assert_int_equal(buffer.length, 0);
    assert_null(buffer.data);
    char *taken = strbuf_take(&buffer);
    assert_string_equal(taken, "");
    mem_free(taken);
    strbuf_done(&buffer);
}

static void appends_add_up(void **state)
{
    (void)state;
    struct strbuf buffer;
    strbuf_init(&buffer, 1000);
    strbuf_append(&buffer, "GET ");
    strbuf_append_char(&buffer, '/');
    strbuf_append_bytes(&buffer, "api\0v1", 6);
    strbuf_printf(&buffer, "?limit=%d", 500);
    assert_int_equal(strbuf_error(&buffer), ERR_OK);
    assert_int_equal(buffer.length, 4 + 1 + 6 + 10);
    assert_memory_equal(strbuf_text(&buffer), "GET /api\0v1?limit=500", buffer.length + 1);
    strbuf_done(&buffer);
}

static void a_full_buffer_keeps_what_it_has(void **state)
{
    (void)state;
    struct strbuf buffer;
    strbuf_init(&buffer, 10);
    strbuf_append(&buffer, "0123456789"); /* exactly full */
    assert_int_equal(strbuf_error(&buffer), ERR_OK);
    strbuf_append_char(&buffer, 'x');
    assert_int_equal(strbuf_error(&buffer), ERR_LIMIT);
    assert_string_equal(strbuf_text(&buffer), "0123456789");
    strbuf_consume(&buffer, 5);
    strbuf_append(&buffer, "y"); /* would fit now, but failure is sticky */
    assert_string_equal(strbuf_text(&buffer), "56789");
    assert_null(strbuf_take(&buffer));
    assert_int_equal(strbuf_error(&buffer), ERR_LIMIT);
    strbuf_clear(&buffer);
    strbuf_append(&buffer, "z");
    assert_string_equal(strbuf_text(&buffer), "z");
    strbuf_done(&buffer);
}

static void printf_is_all_or_nothing(void **state)
{
    (void)state;
    static const struct {
        size_t limit, before;
        int width;
        enum err_code error;
    } CASES[] = {
        {10, 0, 10, ERR_OK},      {10, 0, 11, ERR_LIMIT}, {10, 4, 6, ERR_OK},          {10, 4, 7, ERR_LIMIT},
        {1000, 63, 1, ERR_OK},    {1000, 63, 2, ERR_OK},  {1000, 0, 1000, ERR_OK},     {1000, 1, 1000, ERR_LIMIT},
        {1000, 500, 500, ERR_OK}, {0, 0, 1, ERR_LIMIT},   {SIZE_MAX, 10, 100, ERR_OK}, {0, 0, 0, ERR_OK},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct strbuf buffer;
        strbuf_init(&buffer, CASES[i].limit);
        for (size_t n = 0; n < CASES[i].before; n++)
            strbuf_append_char(&buffer, 'b');
        strbuf_printf(&buffer, "%*s", CASES[i].width, "");
        size_t added = CASES[i].error == ERR_OK ? (size_t)CASES[i].width : 0;
        assert_int_equal(strbuf_error(&buffer), CASES[i].error);
        assert_int_equal(buffer.length, CASES[i].before + added);
        assert_int_equal(strlen(strbuf_text(&buffer)), buffer.length);
        strbuf_printf(&buffer, "x");
        strbuf_done(&buffer);
    }
}

static void memory_stays_within_the_bound(void **state)
{
    (void)state;
    struct strbuf buffer;
    strbuf_init(&buffer, 1000);
    for (int i = 0; i < 1000; i++) {
        strbuf_append_char(&buffer, 'x');
        assert_in_range(buffer.capacity, buffer.length + 1, 1001);
    }
    strbuf_done(&buffer);
}

static void cut_takes_from_the_end(void **state)
{
    (void)state;
    struct strbuf buffer;
    strbuf_init(&buffer, 64);
    strbuf_cut(&buffer, 0); /* of one that holds nothing */
    strbuf_append(&buffer, "hello world");
    strbuf_cut(&buffer, 11);
    strbuf_cut(&buffer, 99);
    assert_string_equal(strbuf_text(&buffer), "hello world");
    strbuf_cut(&buffer, 5);
    assert_string_equal(strbuf_text(&buffer), "hello");
    assert_int_equal(buffer.length, 5);
    strbuf_append(&buffer, "!");
    assert_string_equal(strbuf_text(&buffer), "hello!");
    strbuf_cut(&buffer, 0);
    assert_string_equal(strbuf_text(&buffer), "");
    strbuf_done(&buffer);
}

static void consume_takes_from_the_front(void **state)
{
    (void)state;
    static const struct {
        size_t count;
        const char *rest;
    } CASES[] = {{0, "line\nrest"}, {5, "rest"}, {9, ""}, {100, ""}};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct strbuf buffer;
        strbuf_init(&buffer, 100);
        strbuf_append(&buffer, "line\nrest");
        strbuf_consume(&buffer, CASES[i].count);
        assert_string_equal(strbuf_text(&buffer), CASES[i].rest);
        assert_int_equal(buffer.length, strlen(CASES[i].rest));
        strbuf_append(&buffer, "!");
        strbuf_done(&buffer);
    }
}

static void take_leaves_a_fresh_buffer(void **state)
{
    (void)state;
    struct strbuf buffer;
    strbuf_init(&buffer, 100);
    strbuf_append(&buffer, "one");
    CLEANUP(mem_freep) char *one = strbuf_take(&buffer);
    assert_string_equal(one, "one");
    assert_string_equal(strbuf_text(&buffer), "");
    strbuf_append(&buffer, "two");
    assert_string_equal(strbuf_text(&buffer), "two");
    strbuf_done(&buffer);
}

static enum err_code build(void *context)
{
    (void)context;
    struct strbuf buffer;
    strbuf_init(&buffer, 100000);
    for (int i = 0; i < 1000; i++) {
        strbuf_append(&buffer, "key=");
        strbuf_printf(&buffer, "%d", i);
        strbuf_append_char(&buffer, '\n');
    }
    enum err_code code = strbuf_error(&buffer);
    assert_int_equal(strlen(strbuf_text(&buffer)), buffer.length);
    char *text = strbuf_take(&buffer);
    assert_int_equal(text == NULL, code != ERR_OK);
    assert_int_equal(strbuf_error(&buffer), code);
    mem_free(text);
    strbuf_clear(&buffer);
    char *empty = strbuf_take(&buffer);
    if (!empty)
        code = strbuf_error(&buffer);
    mem_free(empty);
    strbuf_done(&buffer);
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_in_range(sweep(build, NULL), 5, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_buffer_is_an_empty_string),
        cmocka_unit_test(appends_add_up),
        cmocka_unit_test(a_full_buffer_keeps_what_it_has),
        cmocka_unit_test(printf_is_all_or_nothing),
        cmocka_unit_test(memory_stays_within_the_bound),
        cmocka_unit_test(consume_takes_from_the_front),
        cmocka_unit_test(cut_takes_from_the_end),
        cmocka_unit_test(take_leaves_a_fresh_buffer),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
