/* links: base */
#include "base/arena.h"

#include <string.h>

#include "tests/unit/sweep.h"

enum { LIMIT_BYTES = 1 << 20 };

static void blocks_are_zeroed_aligned_and_apart(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, LIMIT_BYTES);
    /* Twice: the second round gets memory that the first one wrote to. */
    for (int round = 0; round < 2; round++) {
        unsigned char *blocks[200];
        for (size_t i = 0; i < ARRAY_COUNT(blocks); i++) {
            blocks[i] = arena_alloc(&arena, i);
            assert_non_null(blocks[i]);
            assert_int_equal((uintptr_t)blocks[i] % _Alignof(max_align_t), 0);
            for (size_t byte = 0; byte < i; byte++)
                assert_int_equal(blocks[i][byte], 0);
            memset(blocks[i], (int)i, i);
        }
        for (size_t i = 0; i < ARRAY_COUNT(blocks); i++) {
            for (size_t byte = 0; byte < i; byte++)
                assert_int_equal(blocks[i][byte], i);
        }
        arena_reset(&arena);
    }
    arena_done(&arena);
}

static void failure_is_sticky_until_reset(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 64);
    assert_non_null(arena_alloc(&arena, 48));
    assert_false(arena_failed(&arena));
    assert_null(arena_alloc(&arena, 17)); /* over the limit */
    assert_true(arena_failed(&arena));
    assert_null(arena_alloc(&arena, 1)); /* would fit */
    assert_null(arena_strdup(&arena, "x"));
    assert_null(arena_printf(&arena, "%d", 1));
    arena_reset(&arena);
    assert_false(arena_failed(&arena));
    assert_non_null(arena_alloc(&arena, 64));
    arena_done(&arena);
}

static void sizes_that_overflow_fail(void **state)
{
    (void)state;
    static const struct {
        size_t count, size;
    } CASES[] = {{SIZE_MAX, 1}, {SIZE_MAX - 15, 1}, {SIZE_MAX / 2, 3}, {1, SIZE_MAX - 1}, {SIZE_MAX / 2 + 1, 2}};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct arena arena;
        arena_init(&arena, SIZE_MAX);
        assert_null(arena_array(&arena, CASES[i].count, CASES[i].size));
        assert_true(arena_failed(&arena));
        arena_done(&arena);
    }
}

static void a_huge_block_does_not_waste_the_current_chunk(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, LIMIT_BYTES);
    assert_non_null(arena_alloc(&arena, 100));
    assert_non_null(arena_alloc(&arena, 200000));
    unsigned long before = mem_allocation_count();
    assert_non_null(arena_alloc(&arena, 100));
    assert_int_equal(mem_allocation_count(), before);
    arena_done(&arena);
}

static void reset_keeps_one_chunk(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, LIMIT_BYTES);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&arena, 1000));
    assert_non_null(arena_alloc(&arena, 300000));
    arena_reset(&arena);
    assert_int_equal(arena.used_bytes, 0);
    /* The chunk that stayed is the largest ordinary one, 64 KiB. */
    unsigned long before = mem_allocation_count();
    for (int i = 0; i < 50; i++)
        assert_non_null(arena_alloc(&arena, 1000));
    assert_int_equal(mem_allocation_count(), before);
    arena_done(&arena);
    arena_done(&arena);
}

static void text_is_copied(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, LIMIT_BYTES);
    char text[] = "east";
    const char *copy = arena_strdup(&arena, text);
    text[0] = 'w';
    assert_string_equal(copy, "east");
    assert_null(arena_strdup(&arena, NULL));
    assert_false(arena_failed(&arena));
    assert_string_equal(arena_printf(&arena, "%s-%s", "svc", copy), "svc-east");
    assert_string_equal(arena_printf(&arena, "%s", ""), "");
    assert_int_equal(strlen(arena_printf(&arena, "%5000d", 1)), 5000);
    arena_done(&arena);
}

static enum err_code fill(void *context)
{
    (void)context;
    struct arena arena;
    arena_init(&arena, LIMIT_BYTES);
    for (int i = 0; i < 100; i++) {
        arena_strdup(&arena, "a name");
        arena_printf(&arena, "%d", i);
        arena_alloc(&arena, (size_t)i * 40);
    }
    arena_alloc(&arena, 100000);
    enum err_code code = arena_failed(&arena) ? ERR_NOMEM : ERR_OK;
    arena_reset(&arena);
    void *after_reset = arena_alloc(&arena, 10);
    if (!after_reset && code == ERR_OK)
        code = ERR_NOMEM;
    arena_done(&arena);
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_in_range(sweep(fill, NULL), 5, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_zeroed_aligned_and_apart),
        cmocka_unit_test(failure_is_sticky_until_reset),
        cmocka_unit_test(sizes_that_overflow_fail),
        cmocka_unit_test(a_huge_block_does_not_waste_the_current_chunk),
        cmocka_unit_test(reset_keeps_one_chunk),
        cmocka_unit_test(text_is_copied),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
