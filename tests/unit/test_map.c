/* links: base */
/* The source itself, so that the shape of the tree can be checked: a tree that has lost its balance still answers right. */
#include "base/map.c" /* NOLINT(bugprone-suspicious-include) */

#include <stdio.h>

#include "tests/unit/sweep.h"

/* @return the height of the subtree, which must be a sound one. */
static int check_subtree(const struct map_entry *entry, const struct map_entry *parent, size_t *count)
{
    if (!entry)
        return 0;
    (*count)++;
    assert_ptr_equal(entry->parent, parent);
    if (entry->left)
        assert_true(strcmp(entry->left->key, entry->key) < 0);
    if (entry->right)
        assert_true(strcmp(entry->right->key, entry->key) > 0);
    int left = check_subtree(entry->left, entry, count), right = check_subtree(entry->right, entry, count);
    assert_in_range(left - right + 1, 0, 2);
    int own = 1 + (left > right ? left : right);
    assert_int_equal(entry->height, own);
    return own;
}

static void check(const struct map *map)
{
    size_t count = 0;
    check_subtree(map->root, NULL, &count);
    assert_int_equal(count, map_count(map));
    size_t walked = 0;
    const char *last = NULL;
    for (struct map_entry *e = map_first(map); e; e = map_next(e), walked++) {
        if (last)
            assert_true(strcmp(last, map_key(e)) < 0);
        last = map_key(e);
    }
    assert_int_equal(walked, count);
}

static unsigned long freed_count;
static void *last_freed;

static void count_and_free(void *value)
{
    freed_count++;
    last_freed = value;
    mem_free(value);
}

static int *number(int value)
{
    int *copy = mem_alloc(sizeof(*copy));
    assert_non_null(copy);
    *copy = value;
    return copy;
}

static void an_empty_map_has_nothing(void **state)
{
    (void)state;
    struct map *map = map_new(NULL);
    assert_non_null(map);
    assert_int_equal(map_count(map), 0);
    assert_null(map_first(map));
    assert_null(map_seek(map, ""));
    assert_null(map_get(map, "a"));
    assert_null(map_take(map, "a"));
    assert_false(map_remove(map, "a"));
    map_clear(map);
    map_free(map);
    map_free(NULL);
}

static void a_put_replaces_and_frees(void **state)
{
    (void)state;
    struct map *map = map_new(count_and_free);
    freed_count = 0;
    char key[] = "key";
    int *first = number(1), *second = number(2);
    assert_int_equal(map_put(map, key, first), ERR_OK);
    key[0] = 'x'; /* the map has its own copy */
    assert_ptr_equal(map_get(map, "key"), first);
    assert_null(map_get(map, key));
    assert_int_equal(map_put(map, "key", second), ERR_OK);
    assert_int_equal(freed_count, 1);
    assert_ptr_equal(last_freed, first);
    assert_int_equal(map_put(map, "key", second), ERR_OK); /* the same value again */
    assert_int_equal(freed_count, 1);
    assert_int_equal(map_count(map), 1);
    int *taken = map_take(map, "key");
    assert_ptr_equal(taken, second);
    assert_int_equal(freed_count, 1);
    mem_free(taken);
    assert_int_equal(map_put(map, "key", number(3)), ERR_OK);
    assert_true(map_remove(map, map_key(map_first(map)))); /* the key may be the entry's own */
    assert_int_equal(freed_count, 2);
    map_free(map);
}

static void clear_and_free_free_every_value_once(void **state)
{
    (void)state;
    struct map *map = map_new(count_and_free);
    for (int round = 0; round < 2; round++) {
        freed_count = 0;
        for (int i = 0; i < 100; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%d", i);
            assert_int_equal(map_put(map, key, number(i)), ERR_OK);
        }
        if (round == 0)
            map_clear(map);
    }
    map_free(map);
    assert_int_equal(freed_count, 100);
}

static void the_walk_is_in_byte_order(void **state)
{
    (void)state;
    static const char *const KEYS[] = {"b", "\xC3\xA9", "a/b", "", "a", "B", "a-b", "ab", "a0", "a/"};
    static const char *const SORTED[] = {"", "B", "a", "a-b", "a/", "a/b", "a0", "ab", "b", "\xC3\xA9"};
    struct map *map = map_new(NULL);
    int value = 0;
    for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++)
        assert_int_equal(map_put(map, KEYS[i], &value), ERR_OK);
    size_t i = 0;
    for (struct map_entry *e = map_first(map); e; e = map_next(e)) {
        assert_string_equal(map_key(e), SORTED[i++]);
        assert_ptr_equal(map_entry_of(map_key(e)), e);
    }
    assert_int_equal(i, ARRAY_COUNT(SORTED));
    map_free(map);
}

static void seek_finds_the_first_not_less(void **state)
{
    (void)state;
    static const struct {
        const char *key, *found;
    } CASES[] = {{"", "b"},     {"a", "b"},     {"b", "b"},  {"b0", "d/1"},
                 {"d/", "d/1"}, {"d/2", "d/2"}, {"d0", "f"}, {"g", NULL}};
    struct map *map = map_new(NULL);
    int value = 0;
    static const char *const KEYS[] = {"f", "d/2", "b", "d/1"};
    for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++)
        assert_int_equal(map_put(map, KEYS[i], &value), ERR_OK);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct map_entry *entry = map_seek(map, CASES[i].key);
        if (CASES[i].found)
            assert_string_equal(map_key(entry), CASES[i].found);
        else
            assert_null(entry);
    }
    map_free(map);
}

/* Whatever was looked for before. The even numbers are there. */
static void what_was_found_last_changes_no_answer(void **state)
{
    (void)state;
    enum { NUMBERS = 60 };
    struct map *map = map_new(NULL);
    char keys[NUMBERS][8];
    int value = 0;
    for (int i = 0; i < NUMBERS; i++) {
        snprintf(keys[i], sizeof(keys[i]), "%02d", i);
        if (i % 2 == 0)
            assert_int_equal(map_put(map, keys[i], &value), ERR_OK);
    }
    for (int last = 0; last < NUMBERS; last += 2) {
        for (int i = 0; i < NUMBERS; i++) {
            assert_non_null(map_get(map, keys[last]));
            assert_int_equal(map_get(map, keys[i]) != NULL, i % 2 == 0);
            assert_non_null(map_get(map, keys[last]));
            struct map_entry *found = map_seek(map, keys[i]);
            int first = i % 2 == 0 ? i : i + 1;
            if (first < NUMBERS)
                assert_string_equal(map_key(found), keys[first]);
            else
                assert_null(found);
            if (i % 2 == 0)
                continue;
            assert_non_null(map_get(map, keys[last]));
            assert_int_equal(map_put(map, keys[i], &value), ERR_OK);
            check(map);
            assert_ptr_equal(map_take(map, keys[i]), &value);
            assert_null(map_get(map, keys[i])); /* though it was found last */
            check(map);
        }
    }
    map_free(map);
}

static void entries_may_be_removed_while_walking(void **state)
{
    (void)state;
    for (int keep = 0; keep < 7; keep++) {
        struct map *map = map_new(count_and_free);
        for (int i = 0; i < 200; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%03d", i);
            assert_int_equal(map_put(map, key, number(i)), ERR_OK);
        }
        int seen = 0;
        for (struct map_entry *e = map_first(map), *next; e; e = next) {
            next = map_next(e);
            assert_int_equal(*(int *)map_value(e), seen);
            if (seen++ % 7 != keep)
                assert_true(map_remove(map, map_key(e)));
        }
        assert_int_equal(seen, 200);
        check(map);
        for (struct map_entry *e = map_first(map); e; e = map_next(e))
            assert_int_equal(*(int *)map_value(e) % 7, keep);
        map_free(map);
    }
}

static void ascending_and_descending_keys_stay_balanced(void **state)
{
    (void)state;
    enum { COUNT = 4096 };
    for (int direction = 0; direction < 2; direction++) {
        struct map *map = map_new(NULL);
        int value = 0;
        for (int i = 0; i < COUNT; i++) {
            char key[16];
            snprintf(key, sizeof(key), "%05d", direction == 0 ? i : COUNT - i);
            assert_int_equal(map_put(map, key, &value), ERR_OK);
        }
        check(map);
        assert_in_range(map->root->height, 12, 13);
        /* From one end: the other half of the rotations. */
        for (int i = 0; i < COUNT - 100; i++)
            assert_true(map_remove(map, map_key(map_first(map))));
        check(map);
        map_free(map);
    }
}

/* A fixed sequence, the same on every machine. */
static uint32_t next_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    enum { KEYS = 128, STEPS = 20000 };
    int *values[KEYS] = {0}; /* what the map must hold */
    uint32_t random = 7;
    struct map *map = map_new(count_and_free);
    for (int step = 0; step < STEPS; step++) {
        uint32_t index = next_random(&random) % KEYS;
        char key[16];
        snprintf(key, sizeof(key), "ns/%u", (unsigned)index);
        switch (next_random(&random) % 4) {
        case 0:
        case 1:
            values[index] = number(step);
            assert_int_equal(map_put(map, key, values[index]), ERR_OK);
            break;
        case 2:
            assert_int_equal(map_remove(map, key), values[index] != NULL);
            values[index] = NULL;
            break;
        default:
            assert_ptr_equal(map_take(map, key), values[index]);
            mem_free(values[index]);
            values[index] = NULL;
        }
        if (step % 16 == 0)
            check(map);
        size_t count = 0;
        for (uint32_t i = 0; i < KEYS; i++)
            count += values[i] != NULL;
        assert_int_equal(map_count(map), count);
        assert_ptr_equal(map_get(map, key), values[index]);
    }
    map_free(map);
}

static enum err_code put_some(void *context)
{
    (void)context;
    struct map *map = map_new(count_and_free);
    if (!map)
        return ERR_NOMEM;
    enum err_code code = ERR_OK;
    for (int i = 0; i < 20 && code == ERR_OK; i++) {
        char key[16];
        snprintf(key, sizeof(key), "%d", i % 15);
        int *value = mem_alloc(sizeof(*value));
        if (!value) {
            code = ERR_NOMEM;
            break;
        }
        size_t count = map_count(map);
        code = map_put(map, key, value);
        if (code != ERR_OK) {
            assert_int_equal(map_count(map), count);
            assert_null(map_get(map, key));
            mem_free(value);
        }
    }
    check(map);
    map_free(map);
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_int_equal(sweep(put_some, NULL), 1 + 20 + 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_map_has_nothing),
        cmocka_unit_test(a_put_replaces_and_frees),
        cmocka_unit_test(clear_and_free_free_every_value_once),
        cmocka_unit_test(the_walk_is_in_byte_order),
        cmocka_unit_test(seek_finds_the_first_not_less),
        cmocka_unit_test(what_was_found_last_changes_no_answer),
        cmocka_unit_test(entries_may_be_removed_while_walking),
        cmocka_unit_test(ascending_and_descending_keys_stay_balanced),
        cmocka_unit_test(random_changes_agree_with_an_array),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
