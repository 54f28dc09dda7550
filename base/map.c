#include "base/map.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

/* An AVL tree. Its depth is at most 1.44 log2(n) whatever the keys are: names come from other clusters, and nobody there
 * can choose them so that this becomes slow. Parent links make walking and freeing possible without recursion. */
struct map_entry {
    struct map_entry *parent, *left, *right;
    void *value;
    uint8_t height; /* of the subtree: 1 for a leaf; there is no memory for one of 60 */
    char key[];
};

struct map {
    struct map_entry *root;
    struct map_entry *recent; /* found or put last; NULL: none, or it is gone */
    size_t count;
    map_free_fn free_value;
};

static int height(const struct map_entry *entry) { return entry ? entry->height : 0; }

static void update_height(struct map_entry *entry)
{
    int left = height(entry->left), right = height(entry->right);
    entry->height = (uint8_t)(1 + (left > right ? left : right));
}

/* Puts `new_child` (may be NULL) where `entry` hangs. */
static void replace_child(struct map *map, struct map_entry *entry, struct map_entry *new_child)
{
    struct map_entry *parent = entry->parent;
    if (!parent)
        map->root = new_child;
    else if (parent->left == entry)
        parent->left = new_child;
    else
        parent->right = new_child;
    if (new_child)
        new_child->parent = parent;
}

/* @return the new root of the subtree. */
static struct map_entry *rotate_left(struct map *map, struct map_entry *entry)
{
    struct map_entry *up = entry->right;
    replace_child(map, entry, up);
    entry->right = up->left;
    if (entry->right)
        entry->right->parent = entry;
    up->left = entry;
    entry->parent = up;
    update_height(entry);
    update_height(up);
    return up;
}

static struct map_entry *rotate_right(struct map *map, struct map_entry *entry)
{
    struct map_entry *up = entry->left;
    replace_child(map, entry, up);
    entry->left = up->right;
    if (entry->left)
        entry->left->parent = entry;
    up->right = entry;
    entry->parent = up;
    update_height(entry);
    update_height(up);
    return up;
}

/* Restores heights and balance from `entry` up, after something below it changed. */
static void rebalance(struct map *map, struct map_entry *entry)
{
    while (entry) {
        int before = entry->height;
        update_height(entry);
        int balance = height(entry->left) - height(entry->right);
        if (balance > 1) {
            if (height(entry->left->left) < height(entry->left->right))
                rotate_left(map, entry->left);
            entry = rotate_right(map, entry);
        } else if (balance < -1) {
            if (height(entry->right->right) < height(entry->right->left))
                rotate_right(map, entry->right);
            entry = rotate_left(map, entry);
        }
        if (entry->height == before)
            return; /* nothing above can tell the difference */
        entry = entry->parent;
    }
}

/* A cache: it changes nothing that a caller could see. */
static void remember(const struct map *map, struct map_entry *entry) { ((struct map *)(uintptr_t)map)->recent = entry; }

/* Where a key is, or would hang. */
struct place {
    struct map_entry *entry;  /* NULL: it is not there */
    struct map_entry *parent; /* of one to be; NULL when the map is empty */
    bool is_left;
};

/* An API server lists keys in order: the place next to the last one is looked at first, whether the key is there or not. A descent, past a dozen
 * entries that no cache of the processor holds any more, is left for the rest. @return whether that told the place. */
static bool find_beside(struct map_entry *recent, const char *key, struct place *place)
{
    int order = recent ? strcmp(key, recent->key) : -1;
    struct map_entry *next = order > 0 ? map_next(recent) : NULL;
    int next_order = next ? strcmp(key, next->key) : -1;
    if (order < 0 || next_order > 0)
        return false;
    place->entry = order == 0 ? recent : next_order == 0 ? next : NULL;
    /* Of two neighbours one has no child on the other's side. */
    place->is_left = recent->right != NULL;
    place->parent = place->is_left ? next : recent;
    return true;
}

static struct place find_place(const struct map *map, const char *key)
{
    struct place place = {.entry = map->root};
    if (find_beside(map->recent, key, &place))
        return place;
    while (place.entry) {
        int order = strcmp(key, place.entry->key);
        if (order == 0)
            return place;
        place.parent = place.entry;
        place.is_left = order < 0;
        place.entry = place.is_left ? place.entry->left : place.entry->right;
    }
    return place;
}

static struct map_entry *find(const struct map *map, const char *key)
{
    struct map_entry *entry = find_place(map, key).entry;
    if (entry)
        remember(map, entry);
    return entry;
}

static struct map_entry *leftmost(struct map_entry *entry)
{
    while (entry && entry->left)
        entry = entry->left;
    return entry;
}

/* Takes `entry` out of the tree without freeing anything. */
static void unlink_entry(struct map *map, struct map_entry *entry)
{
    struct map_entry *lowest_changed;
    if (entry->left && entry->right) {
        /* Its successor (which has no left child) takes its place. */
        struct map_entry *successor = leftmost(entry->right);
        if (successor->parent == entry) {
            lowest_changed = successor;
        } else {
            lowest_changed = successor->parent;
            replace_child(map, successor, successor->right);
            successor->right = entry->right;
            successor->right->parent = successor;
        }
        successor->left = entry->left;
        successor->left->parent = successor;
        successor->height = entry->height;
        replace_child(map, entry, successor);
    } else {
        lowest_changed = entry->parent;
        replace_child(map, entry, entry->left ? entry->left : entry->right);
    }
    rebalance(map, lowest_changed);
    map->count--;
    if (map->recent == entry)
        map->recent = NULL;
}

struct map *map_new(map_free_fn free_value)
{
    struct map *map = NEW(struct map);
    if (map)
        map->free_value = free_value;
    return map;
}

void map_free(struct map *map)
{
    if (!map)
        return;
    map_clear(map);
    mem_free(map);
}

void map_clear(struct map *map)
{
    /* Detached first, so that a destructor that looks at the map finds it empty and not half freed. */
    struct map_entry *entry = map->root;
    map->root = map->recent = NULL;
    map->count = 0;
    while (entry) {
        struct map_entry *parent = entry->parent;
        if (entry->left) {
            entry = TAKE(entry->left);
        } else if (entry->right) {
            entry = TAKE(entry->right);
        } else {
            if (map->free_value)
                map->free_value(entry->value);
            mem_free(entry);
            entry = parent;
        }
    }
}

size_t map_count(const struct map *map) { return map->count; }

void *map_get(const struct map *map, const char *key)
{
    struct map_entry *entry = find(map, key);
    return entry ? entry->value : NULL;
}

enum err_code map_put(struct map *map, const char *key, void *value)
{
    struct place place = find_place(map, key);
    if (place.entry) {
        void *old = place.entry->value;
        place.entry->value = value;
        remember(map, place.entry);
        if (map->free_value && old != value)
            map->free_value(old);
        return ERR_OK;
    }

    size_t key_bytes = strlen(key) + 1, bytes = offsetof(struct map_entry, key) + key_bytes;
    struct map_entry *entry = mem_alloc(bytes > sizeof(*entry) ? bytes : sizeof(*entry));
    if (!entry)
        return ERR_NOMEM;
    *entry = (struct map_entry){.parent = place.parent, .value = value, .height = 1};
    memcpy(entry->key, key, key_bytes);
    *(place.parent == NULL ? &map->root : place.is_left ? &place.parent->left : &place.parent->right) = entry;
    map->count++;
    map->recent = entry;
    rebalance(map, place.parent);
    return ERR_OK;
}

bool map_remove(struct map *map, const char *key)
{
    struct map_entry *entry = find(map, key);
    if (!entry)
        return false;
    unlink_entry(map, entry);
    /* The entry goes last: `key` may be the entry's own, and a destructor may still print it. */
    if (map->free_value)
        map->free_value(entry->value);
    mem_free(entry);
    return true;
}

void *map_take(struct map *map, const char *key)
{
    struct map_entry *entry = find(map, key);
    if (!entry)
        return NULL;
    unlink_entry(map, entry);
    void *value = entry->value;
    mem_free(entry);
    return value;
}

struct map_entry *map_first(const struct map *map) { return leftmost(map->root); }

struct map_entry *map_next(const struct map_entry *entry)
{
    if (entry->right)
        return leftmost(entry->right);
    while (entry->parent && entry->parent->right == entry)
        entry = entry->parent;
    return entry->parent;
}

struct map_entry *map_seek(const struct map *map, const char *key)
{
    struct place place = find_place(map, key);
    if (place.entry || !place.parent)
        return place.entry;
    return place.is_left ? place.parent : map_next(place.parent);
}

const char *map_key(const struct map_entry *entry) { return entry->key; }

struct map_entry *map_entry_of(const char *key)
{
    /* NOLINTNEXTLINE(bugprone-casting-through-void): it begins so many bytes before its key */
    return (struct map_entry *)(void *)((char *)(uintptr_t)key - offsetof(struct map_entry, key));
}

void *map_value(const struct map_entry *entry) { return entry->value; }
