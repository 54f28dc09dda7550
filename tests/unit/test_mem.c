/* links: base */
#include "base/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void zalloc_gives_zeroes(void **state)
{
    (void)state;
    unsigned char *block = mem_zalloc(1000);
    assert_non_null(block);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(block[i], 0);
    mem_free(block);
}

static void no_bytes_give_unique_pointers(void **state)
{
    (void)state;
    void *a = mem_alloc(0), *b = mem_zalloc(0), *c = mem_realloc_array(NULL, 0, 8);
    assert_non_null(a);
    assert_non_null(b);
    assert_non_null(c);
    assert_ptr_not_equal(a, b);
    assert_ptr_not_equal(b, c);
    void *d = mem_realloc_array(c, 5, 0);
    assert_non_null(d);
    mem_free(a);
    mem_free(b);
    mem_free(d);
    mem_free(NULL);
}

static void realloc_keeps_content_and_refuses_overflow(void **state)
{
    (void)state;
    char *block = mem_realloc_array(NULL, 4, 2);
    assert_non_null(block);
    memcpy(block, "abcdefg", 8);
    assert_null(mem_realloc_array(block, SIZE_MAX / 2, 3));
    mem_fail_at(1);
    assert_null(mem_realloc_array(block, 100, 2));
    assert_string_equal(block, "abcdefg");
    char *grown = mem_realloc_array(block, 1000, 2);
    assert_non_null(grown);
    assert_string_equal(grown, "abcdefg");
    mem_free(grown);
}

static void strings_are_copied(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bytes;
        const char *copy;
    } CASES[] = {
        {"gateway", 4, "gate"}, {"gateway", 0, ""}, {"gateway", 7, "gateway"}, {"gateway", 99, "gateway"}, {"", 3, ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        CLEANUP(mem_freep) char *copy = mem_strndup(CASES[i].text, CASES[i].bytes);
        assert_string_equal(copy, CASES[i].copy);
    }
    CLEANUP(mem_freep) char *copy = mem_strdup("whole");
    assert_string_equal(copy, "whole");
    /* Not a string: strndup must not look past the count. */
    const char bytes[3] = {'a', 'b', 'c'};
    CLEANUP(mem_freep) char *part = mem_strndup(bytes, sizeof(bytes));
    assert_memory_equal(part, "abc", 4);
}

static void take_hands_over(void **state)
{
    (void)state;
    CLEANUP(mem_freep) int *kept = NEW(int);
    CLEANUP(mem_freep) int *given = TAKE(kept);
    assert_null(kept);
    assert_non_null(given);
    assert_int_equal(*given, 0);
}

static void the_nth_allocation_fails_once(void **state)
{
    (void)state;
    for (unsigned long n = 1; n <= 5; n++) {
        mem_fail_at(n);
        for (unsigned long i = 1; i <= 8; i++) {
            unsigned long before = mem_allocation_count();
            CLEANUP(mem_freep)
            void *block = i % 4 == 0   ? mem_alloc(8)
                          : i % 4 == 1 ? mem_zalloc(8)
                          : i % 4 == 2 ? (void *)mem_strdup("text")
                                       : mem_realloc_array(NULL, 2, 4);
            assert_int_equal(mem_allocation_count(), before + 1);
            assert_int_equal(block == NULL, i == n);
        }
    }
    mem_fail_at(2);
    mem_fail_at(0);
    for (int i = 0; i < 3; i++) {
        CLEANUP(mem_freep) void *block = mem_alloc(8);
        assert_non_null(block);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(zalloc_gives_zeroes),
        cmocka_unit_test(no_bytes_give_unique_pointers),
        cmocka_unit_test(realloc_keeps_content_and_refuses_overflow),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(take_hands_over),
        cmocka_unit_test(the_nth_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
