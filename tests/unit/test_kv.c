/* links: base */
#include "base/kv.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/sweep.h"

enum { LIMIT_BYTES = 1 << 20 };

/* Builds from "key=value" words ("key" alone removes) and writes the list back in the same form. */
static struct kv_list build(struct arena *arena, const char *words)
{
    struct kv_builder builder;
    kv_builder_init(&builder, arena);
    while (*words != '\0') {
        size_t length = strcspn(words, " ");
        char *word = arena_alloc(arena, length + 1);
        if (!word)
            break;
        memcpy(word, words, length);
        char *equals = strchr(word, '=');
        if (equals)
            *equals = '\0';
        kv_builder_set(&builder, word, equals ? equals + 1 : NULL);
        words += length + strspn(words + length, " ");
    }
    return kv_builder_finish(&builder);
}

static const char *format(struct arena *arena, struct kv_list list)
{
    const char *text = "";
    for (size_t i = 0; i < list.count; i++)
        text = arena_printf(arena, "%s%s%s=%s", text, i > 0 ? " " : "", list.items[i].key, list.items[i].value);
    return text;
}

static void builders_sort_and_the_last_word_wins(void **state)
{
    (void)state;
    static const struct {
        const char *words, *list;
    } CASES[] = {
        {"", ""},
        {"a=1", "a=1"},
        {"a=1 b=2 c=3", "a=1 b=2 c=3"},
        {"c=3 b=2 a=1", "a=1 b=2 c=3"},
        {"b=1 a=1 b=2", "a=1 b=2"},
        {"a=1 a=2 a=3", "a=3"},
        {"b=1 a=1 b", "a=1"},
        {"b b=1 a=1", "a=1 b=1"},
        {"a=1 a", ""},
        {"a", ""},
        {"a= b=x", "a= b=x"},
        {"i=9 h=8 g=7 f=6 e=5 d=4 c=3 b=2 a=1 e=50 i", "a=1 b=2 c=3 d=4 e=50 f=6 g=7 h=8"},
        {"mirror.linkerd.io/x=1 app=2 Z=3", "Z=3 app=2 mirror.linkerd.io/x=1"},
    };
    struct arena arena;
    arena_init(&arena, LIMIT_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct kv_list list = build(&arena, CASES[i].words);
        assert_string_equal(format(&arena, list), CASES[i].list);
        if (list.count == 0)
            assert_null(list.items);
    }
    arena_done(&arena);
}

static void every_size_is_sorted_and_found(void **state)
{
    (void)state;
    for (unsigned count = 0; count <= 70; count++) {
        struct arena arena;
        arena_init(&arena, LIMIT_BYTES);
        struct kv_builder builder;
        kv_builder_init(&builder, &arena);
        for (unsigned i = 0; i < count; i++) {
            unsigned shuffled = (i * 37 + 11) % 71; /* 71 is prime: no value twice */
            kv_builder_set(&builder, arena_printf(&arena, "%03u", shuffled), "old");
            kv_builder_set(&builder, arena_printf(&arena, "%03u", shuffled), arena_printf(&arena, "v%u", shuffled));
        }
        struct kv_list list = kv_builder_finish(&builder);
        assert_int_equal(list.count, count);
        for (size_t i = 0; i < list.count; i++) {
            if (i > 0)
                assert_true(strcmp(list.items[i - 1].key, list.items[i].key) < 0);
            assert_ptr_equal(kv_get(&list, list.items[i].key), list.items[i].value);
        }
        assert_null(kv_get(&list, "999"));
        assert_null(kv_get(&list, ""));
        assert_null(kv_get(&list, "0005"));
        arena_done(&arena);
    }
}

static void lookup_and_comparison(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, LIMIT_BYTES);
    struct kv_list list = build(&arena, "a=1 b=2"), same = build(&arena, "b=2 a=1"), empty = {0};
    struct kv_list other_value = build(&arena, "a=1 b=3"), other_key = build(&arena, "a=1 c=2");
    struct kv_list longer = build(&arena, "a=1 b=2 c=3");
    assert_string_equal(kv_get(&list, "b"), "2");
    assert_null(kv_get(&empty, "b"));
    assert_true(kv_has(&list, "a", "1"));
    assert_false(kv_has(&list, "a", "2"));
    assert_false(kv_has(&list, "c", ""));
    assert_true(kv_equal(&list, &same));
    assert_true(kv_equal(&empty, &empty));
    assert_false(kv_equal(&list, &other_value));
    assert_false(kv_equal(&list, &other_key));
    assert_false(kv_equal(&list, &longer));
    assert_false(kv_equal(&list, &empty));
    arena_done(&arena);
}

static enum err_code build_in_small_memory(void *context)
{
    struct arena arena;
    arena_init(&arena, *(size_t *)context);
    struct kv_builder builder;
    kv_builder_init(&builder, &arena);
    static const char *const KEYS[] = {"z", "y", "x", "w", "v", "u", "t", "s", "r", "q", "p", "o"};
    for (int round = 0; round < 60; round++) {
        for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++)
            kv_builder_set(&builder, KEYS[i], "value");
    }
    struct kv_list list = kv_builder_finish(&builder);
    bool failed = arena_failed(&arena);
    assert_int_equal(list.count, failed ? 0 : ARRAY_COUNT(KEYS));
    arena_done(&arena);
    return failed ? ERR_NOMEM : ERR_OK;
}

static void failures_give_an_empty_list(void **state)
{
    (void)state;
    size_t limit = LIMIT_BYTES;
    assert_in_range(sweep(build_in_small_memory, &limit), 3, 10);
    for (limit = 0; limit < 50000; limit += 500)
        (void)build_in_small_memory(&limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(builders_sort_and_the_last_word_wins),
        cmocka_unit_test(every_size_is_sorted_and_found),
        cmocka_unit_test(lookup_and_comparison),
        cmocka_unit_test(failures_give_an_empty_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
