/* Memory for one piece of work (a plan, a decoded object): many small allocations, freed all at once.
 *
 * Failure is sticky: after an allocation failed, arena_failed() stays true until arena_reset(), and every further
 * allocation returns NULL. Code that builds a large structure checks each pointer it follows, and its caller asks
 * arena_failed() once at the end. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used_bytes, limit_bytes;
    bool failed;
};

/** Makes an empty arena that will hold at most `limit_bytes` in all. Does not allocate. */
void arena_init(struct arena *arena, size_t limit_bytes);
/** Frees everything; the arena is empty again. Keeps one chunk for reuse. */
void arena_reset(struct arena *arena);
void arena_done(struct arena *arena);
/** @return zeroed memory aligned for any type, owned by the arena, or NULL. */
void *arena_alloc(struct arena *arena, size_t bytes);
/** @return zeroed array, or NULL (overflow included). */
void *arena_array(struct arena *arena, size_t count, size_t size);
/** NULL in, NULL out. */
const char *arena_strdup(struct arena *arena, const char *text);
const char *arena_printf(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
static inline bool arena_failed(const struct arena *arena) { return arena->failed; }

#define ARENA_NEW(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
