/* Lists of string pairs sorted by key: labels and annotations. Plain borrowed data: the strings and the array belong to
 * whoever made them (a decoded object's block, an arena). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

struct kv {
    const char *key, *value;
};

/** Sorted by key in byte order, keys unique. `items` may be NULL when `count` is 0. */
struct kv_list {
    const struct kv *items;
    size_t count;
};

/** @return the value of `key`, borrowed, or NULL. */
const char *kv_get(const struct kv_list *list, const char *key);
bool kv_has(const struct kv_list *list, const char *key, const char *value);
bool kv_equal(const struct kv_list *a, const struct kv_list *b);

/** Builds a list in an arena; keys may come in any order, a later kv_builder_set() of a key wins. The fields are private:
 *  until the end `items` holds every call in order. */
struct kv_builder {
    struct arena *arena;
    struct kv *items;
    size_t count, capacity;
};
void kv_builder_init(struct kv_builder *builder, struct arena *arena);
/** Strings are borrowed: they must live as long as the list. Failures are the arena's (sticky). NULL value removes. */
void kv_builder_set(struct kv_builder *builder, const char *key, const char *value);
/** @return the sorted list, or an empty one when the arena failed; the builder is empty after. */
struct kv_list kv_builder_finish(struct kv_builder *builder);
