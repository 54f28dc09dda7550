#include "base/arena.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_ASAN 1
#endif
#endif

/* What was not handed out is off limits, so that AddressSanitizer sees an overrun inside a chunk too. */
#ifdef ARENA_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(at, bytes) ASAN_POISON_MEMORY_REGION((at), (bytes))
#define UNPOISON(at, bytes) ASAN_UNPOISON_MEMORY_REGION((at), (bytes))
enum { GAP_BYTES = _Alignof(max_align_t) }; /* poisoned, between two allocations */
#else
#define POISON(at, bytes) ((void)(at), (void)(bytes))
#define UNPOISON(at, bytes) ((void)(at), (void)(bytes))
enum { GAP_BYTES = 0 };
#endif

enum {
    ALIGN_BYTES = _Alignof(max_align_t),
    FIRST_CHUNK_BYTES = 4096,    /* most plans and objects fit in one */
    LARGEST_CHUNK_BYTES = 65536, /* chunks double up to here; a larger allocation gets a chunk to itself */
};

struct arena_chunk {
    struct arena_chunk *older;
    size_t used, capacity; /* bytes of data[] */
    _Alignas(max_align_t) unsigned char data[];
};

static void chunk_free(struct arena_chunk *chunk)
{
    UNPOISON(chunk->data, chunk->capacity);
    mem_free(chunk);
}

void arena_init(struct arena *arena, size_t limit_bytes) { *arena = (struct arena){.limit_bytes = limit_bytes}; }

void arena_reset(struct arena *arena)
{
    /* The largest ordinary chunk stays. One made for a single huge object goes, or a rare peak would be held for ever. */
    struct arena_chunk *keep = NULL;
    for (struct arena_chunk *chunk = arena->chunks, *older; chunk; chunk = older) {
        older = chunk->older;
        if (chunk->capacity <= LARGEST_CHUNK_BYTES && (!keep || chunk->capacity > keep->capacity)) {
            if (keep)
                chunk_free(keep);
            keep = chunk;
        } else {
            chunk_free(chunk);
        }
    }
    if (keep) {
        keep->older = NULL;
        keep->used = 0;
        POISON(keep->data, keep->capacity);
    }
    *arena = (struct arena){.chunks = keep, .limit_bytes = arena->limit_bytes};
}

void arena_done(struct arena *arena)
{
    for (struct arena_chunk *chunk = arena->chunks, *older; chunk; chunk = older) {
        older = chunk->older;
        chunk_free(chunk);
    }
    *arena = (struct arena){.limit_bytes = arena->limit_bytes};
}

static void *fail(struct arena *arena)
{
    arena->failed = true;
    return NULL;
}

/* Adds a chunk with room for `need` bytes, before the others. */
static struct arena_chunk *add_chunk(struct arena *arena, size_t need)
{
    size_t capacity = arena->chunks ? arena->chunks->capacity * 2 : FIRST_CHUNK_BYTES;
    if (capacity > LARGEST_CHUNK_BYTES)
        capacity = LARGEST_CHUNK_BYTES;
    if (capacity < need)
        capacity = need;
    size_t bytes;
    if (__builtin_add_overflow(sizeof(struct arena_chunk), capacity, &bytes))
        return NULL;
    struct arena_chunk *chunk = mem_alloc(bytes);
    if (!chunk)
        return NULL;
    chunk->used = 0;
    chunk->capacity = capacity;
    POISON(chunk->data, capacity);
    if (need > LARGEST_CHUNK_BYTES && arena->chunks) {
        /* A huge object fills its chunk: the current one still has room, so it stays in front. */
        chunk->older = arena->chunks->older;
        arena->chunks->older = chunk;
    } else {
        chunk->older = arena->chunks;
        arena->chunks = chunk;
    }
    return chunk;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    if (arena->failed)
        return NULL;
    if (bytes == 0)
        bytes = 1;
    if (bytes > SIZE_MAX - ALIGN_BYTES - GAP_BYTES)
        return fail(arena);
    size_t rounded = (bytes + ALIGN_BYTES - 1) / ALIGN_BYTES * ALIGN_BYTES;
    if (rounded > arena->limit_bytes - arena->used_bytes)
        return fail(arena);

    struct arena_chunk *chunk = arena->chunks;
    if (!chunk || rounded + GAP_BYTES > chunk->capacity - chunk->used)
        chunk = add_chunk(arena, rounded + GAP_BYTES);
    if (!chunk)
        return fail(arena);

    void *block = chunk->data + chunk->used;
    chunk->used += rounded + GAP_BYTES;
    arena->used_bytes += rounded;
    UNPOISON(block, bytes);
    memset(block, 0, bytes);
    return block;
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        return fail(arena);
    return arena_alloc(arena, bytes);
}

const char *arena_strdup(struct arena *arena, const char *text)
{
    if (!text)
        return NULL;
    size_t bytes = strlen(text) + 1;
    char *copy = arena_alloc(arena, bytes);
    if (copy)
        memcpy(copy, text, bytes);
    return copy;
}

const char *arena_printf(struct arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    char *text = NULL;
    int length = vsnprintf(NULL, 0, format, args);
    if (length >= 0)
        text = arena_alloc(arena, (size_t)length + 1);
    else
        arena->failed = true;
    if (text)
        vsnprintf(text, (size_t)length + 1, format, again);
    va_end(again);
    va_end(args);
    return text;
}
