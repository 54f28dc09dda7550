#include "base/mem.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Atomic although the program has one thread: libcurl's resolver may run in a thread of its own and allocates with the
 * functions it was given. */
static atomic_ulong allocations;
static atomic_ulong fail_at; /* the value of `allocations` that fails; 0 is off */

/* Counts an allocation. @return whether it has to fail. */
static bool must_fail(void)
{
    unsigned long number = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;
    if (number != atomic_load_explicit(&fail_at, memory_order_relaxed))
        return false;
    atomic_store_explicit(&fail_at, 0, memory_order_relaxed);
    return true;
}

void *mem_zalloc(size_t bytes)
{
    if (must_fail())
        return NULL;
    return calloc(1, bytes > 0 ? bytes : 1);
}

void *mem_alloc(size_t bytes)
{
    if (must_fail())
        return NULL;
    return malloc(bytes > 0 ? bytes : 1);
}

void *mem_realloc_array(void *old, size_t count, size_t size)
{
    size_t bytes;
    if (must_fail() || __builtin_mul_overflow(count, size, &bytes))
        return NULL;
    /* Never 0: realloc(p, 0) may free, and NULL must mean that the old block is untouched. */
    return realloc(old, bytes > 0 ? bytes : 1);
}

char *mem_strdup(const char *text) { return mem_strndup(text, SIZE_MAX); }

char *mem_strndup(const char *text, size_t bytes)
{
    size_t length = bytes == SIZE_MAX ? strlen(text) : strnlen(text, bytes);
    char *copy = mem_alloc(length + 1);
    if (!copy)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

void mem_free(void *block) { free(block); }

void mem_freep(void *pointer_to_pointer)
{
    /* The variable may be of any pointer type: read it as bytes, for the aliasing rules. */
    void *block;
    memcpy(&block, pointer_to_pointer, sizeof(block));
    mem_free(block);
}

void mem_fail_at(unsigned long n)
{
    unsigned long now = atomic_load_explicit(&allocations, memory_order_relaxed);
    atomic_store_explicit(&fail_at, n > 0 ? now + n : 0, memory_order_relaxed);
}

unsigned long mem_allocation_count(void) { return atomic_load_explicit(&allocations, memory_order_relaxed); }

void mem_give_back(void)
{
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}
