/* Heap memory with one seam: every allocation of the program (libraries included, where they allow it) passes here, so
 * that tests can make the n-th one fail. All functions may return NULL; nothing here aborts. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#define CLEANUP(function) __attribute__((cleanup(function)))

/** Hands over the pointer in `p`: evaluates to it and leaves NULL behind. */
#define TAKE(p)                                                                                                        \
    ({                                                                                                                 \
        __typeof__(p) *take_ = &(p);                                                                                   \
        __typeof__(p) taken_ = *take_;                                                                                 \
        *take_ = NULL;                                                                                                 \
        taken_;                                                                                                        \
    })

/** Takes `const` away, for an interface that lacks it and only hands the pointer on: maps, jansson's counts of references. */
static inline void *mem_unconst(const void *pointer)
{
    union {
        const void *in;
        void *out;
    } both = {.in = pointer};
    return both.out;
}

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/** @return new zeroed memory, or NULL; free with mem_free(). `bytes` of 0 gives a valid unique pointer. */
void *mem_zalloc(size_t bytes) __attribute__((malloc, warn_unused_result));
void *mem_alloc(size_t bytes) __attribute__((malloc, warn_unused_result));
/** Grows or shrinks; on NULL the old block is untouched. Overflow of count * size gives NULL. */
void *mem_realloc_array(void *old, size_t count, size_t size) __attribute__((warn_unused_result));
char *mem_strdup(const char *text) __attribute__((malloc, warn_unused_result));
char *mem_strndup(const char *text, size_t bytes) __attribute__((malloc, warn_unused_result));
void mem_free(void *block); /* takes NULL */

/** A new zeroed `type`, or NULL. */
#define NEW(type) ((type *)mem_zalloc(sizeof(type)))

/** Gives what is free, in whole pages, back to the system; takes a millisecond for each 10 MiB or so. Nothing where the C library cannot. */
void mem_give_back(void);

/** For CLEANUP() on a `char *` or any other pointer variable from this allocator. */
void mem_freep(void *pointer_to_pointer);

/** Test seam: the n-th allocation from now (1 is the next) fails, once; 0 turns it off. */
void mem_fail_at(unsigned long n);
/** Allocations attempted since the process started. */
unsigned long mem_allocation_count(void);
