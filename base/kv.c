#include "base/kv.h"

#include <string.h>

enum { FIRST_CAPACITY = 8 };

const char *kv_get(const struct kv_list *list, const char *key)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(key, list->items[middle].key);
        if (order == 0)
            return list->items[middle].value;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

bool kv_has(const struct kv_list *list, const char *key, const char *value)
{
    const char *found = kv_get(list, key);
    return found && strcmp(found, value) == 0;
}

bool kv_equal(const struct kv_list *a, const struct kv_list *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i].key, b->items[i].key) != 0 || strcmp(a->items[i].value, b->items[i].value) != 0)
            return false;
    }
    return true;
}

void kv_builder_init(struct kv_builder *builder, struct arena *arena)
{
    *builder = (struct kv_builder){.arena = arena};
}

/* Only appends: the work is in kv_builder_finish(), so that a hostile object with a hundred thousand annotations costs
 * n log n and not n squared. */
void kv_builder_set(struct kv_builder *builder, const char *key, const char *value)
{
    if (arena_failed(builder->arena))
        return;
    if (builder->count == builder->capacity) {
        size_t capacity = builder->capacity > 0 ? builder->capacity * 2 : FIRST_CAPACITY;
        struct kv *items = arena_array(builder->arena, capacity, sizeof(*items));
        if (!items)
            return;
        if (builder->count > 0)
            memcpy(items, builder->items, builder->count * sizeof(*items));
        builder->items = items;
        builder->capacity = capacity;
    }
    builder->items[builder->count++] = (struct kv){.key = key, .value = value};
}

static bool is_sorted(const struct kv *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        if (strcmp(items[i - 1].key, items[i].key) > 0)
            return false;
    }
    return true;
}

/* Merge sort, because it is stable: among equal keys the later one must stay later. (libc's qsort promises nothing, and
 * allocates behind the seam of base/mem.h.) @return where the sorted items are: `items` or `scratch`. */
static struct kv *sort(struct kv *items, struct kv *scratch, size_t count)
{
    struct kv *from = items, *to = scratch;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t left = start, left_end = start + width < count ? start + width : count;
            size_t right = left_end, right_end = left_end + width < count ? left_end + width : count;
            for (size_t i = start; i < right_end; i++) {
                bool take_left =
                    left < left_end && (right == right_end || strcmp(from[left].key, from[right].key) <= 0);
                to[i] = from[take_left ? left++ : right++];
            }
        }
        struct kv *swap = from;
        from = to;
        to = swap;
    }
    return from;
}

struct kv_list kv_builder_finish(struct kv_builder *builder)
{
    struct kv *items = builder->items;
    size_t count = builder->count;
    struct arena *arena = builder->arena;
    *builder = (struct kv_builder){.arena = arena};
    if (!is_sorted(items, count)) {
        struct kv *scratch = arena_array(arena, count, sizeof(*scratch));
        if (scratch)
            items = sort(items, scratch, count);
    }
    if (arena_failed(arena))
        return (struct kv_list){0};

    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        bool last_of_key = i + 1 == count || strcmp(items[i].key, items[i + 1].key) != 0;
        if (last_of_key && items[i].value)
            items[kept++] = items[i];
    }
    return (struct kv_list){.items = kept > 0 ? items : NULL, .count = kept};
}
