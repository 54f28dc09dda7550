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

static struct map_entry *find(const struct map *map, const char *key)
{
    struct map_entry *entry = map->root;
    while (entry) {
        int order = strcmp(key, entry->key);
        if (order == 0)
            return entry;
        entry = order < 0 ? entry->left : entry->right;
    }
    return NULL;
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
    map->root = NULL;
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
    struct map_entry *parent = NULL, **slot = &map->root;
    while (*slot) {
        parent = *slot;
        int order = strcmp(key, parent->key);
        if (order == 0) {
            void *old = parent->value;
            parent->value = value;
            if (map->free_value && old != value)
                map->free_value(old);
            return ERR_OK;
        }
        slot = order < 0 ? &parent->left : &parent->right;
    }

    size_t key_bytes = strlen(key) + 1, bytes = offsetof(struct map_entry, key) + key_bytes;
    struct map_entry *entry = mem_alloc(bytes > sizeof(*entry) ? bytes : sizeof(*entry));
    if (!entry)
        return ERR_NOMEM;
    *entry = (struct map_entry){.parent = parent, .value = value, .height = 1};
    memcpy(entry->key, key, key_bytes);
    *slot = entry;
    map->count++;
    rebalance(map, parent);
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
    struct map_entry *entry = map->root, *best = NULL;
    while (entry) {
        if (strcmp(key, entry->key) <= 0) {
            best = entry;
            entry = entry->left;
        } else {
            entry = entry->right;
        }
    }
    return best;
}

const char *map_key(const struct map_entry *entry) { return entry->key; }

struct map_entry *map_entry_of(const char *key)
{
    /* NOLINTNEXTLINE(bugprone-casting-through-void): it begins so many bytes before its key */
    return (struct map_entry *)(void *)((char *)(uintptr_t)key - offsetof(struct map_entry, key));
}

void *map_value(const struct map_entry *entry) { return entry->value; }
