/* An ordered map from strings to pointers: O(log n) everywhere, iteration in byte order of the keys, so that whatever is
 * made from it is the same for the same content. Keys are copied; values are owned by the map when it was given a
 * destructor, else borrowed. One allocation per entry. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct map;
struct map_entry;

typedef void (*map_free_fn)(void *value);

/** @return new, or NULL; free with map_free(). `free_value` may be NULL. */
struct map *map_new(map_free_fn free_value);
void map_free(struct map *map); /* takes NULL */
void map_clear(struct map *map);
size_t map_count(const struct map *map);

/** @return the value, borrowed, or NULL. */
void *map_get(const struct map *map, const char *key);
/** Stores `value` (not NULL) under a copy of `key`; an older value is freed. On ERR_NOMEM nothing changed and `value`
 *  still belongs to the caller; on ERR_OK it belongs to the map (when that has a destructor). */
enum err_code map_put(struct map *map, const char *key, void *value) MUST_USE;
/** Removes and frees. @return whether the key was there. */
bool map_remove(struct map *map, const char *key);
/** Removes without freeing. @return the value, or NULL. */
void *map_take(struct map *map, const char *key);

/** In-order walk. An entry stays valid until it is removed, so take the next one before removing the current:
 *  for (struct map_entry *e = map_first(m), *next; e; e = next) { next = map_next(e); ... } */
struct map_entry *map_first(const struct map *map);
struct map_entry *map_next(const struct map_entry *entry);
/** The first entry whose key is not less than `key` (for walks by prefix), or NULL. */
struct map_entry *map_seek(const struct map *map, const char *key);
const char *map_key(const struct map_entry *entry);
/** The entry of a key that map_key() gave, without looking for it. */
struct map_entry *map_entry_of(const char *key);
void *map_value(const struct map_entry *entry);
