/* Allocation failure sweeps: a scenario is run again and again, and each time another of its allocations fails, until a run
 * needs fewer allocations than the number that was to fail. Every run has to end cleanly (ERR_OK or ERR_NOMEM) and, under
 * AddressSanitizer, without a leak of its own; the message names the failing allocation. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/mem.h"

#if defined(__SANITIZE_ADDRESS__)
#define SWEEP_CHECKS_LEAKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SWEEP_CHECKS_LEAKS 1
#endif
#endif
#ifdef SWEEP_CHECKS_LEAKS
#include <sanitizer/lsan_interface.h>
#endif

/* Looking for leaks takes a hundred times what most scenarios do, and more on a busy machine. What it finds shows where it was allocated. */
enum { SWEEP_LEAKS_EVERY = 32 };

/* A scenario builds, uses and frees everything itself. */
typedef enum err_code (*sweep_fn)(void *context);

/** @return how many allocations the undisturbed scenario makes. Fails the test when a run ends with another error, or when
 *  the undisturbed one fails. */
static inline unsigned long sweep(sweep_fn scenario, void *context)
{
    for (unsigned long n = 1;; n++) {
        unsigned long before = mem_allocation_count();
        mem_fail_at(n);
        enum err_code code = scenario(context);
        mem_fail_at(0);
        unsigned long used = mem_allocation_count() - before;
#ifdef SWEEP_CHECKS_LEAKS
        if ((used < n || n % SWEEP_LEAKS_EVERY == 0) && __lsan_do_recoverable_leak_check() != 0)
            fail_msg("a leak after one of the last %d allocations up to number %lu failed", SWEEP_LEAKS_EVERY, n);
#endif
        if (used < n) {
            if (code != ERR_OK)
                fail_msg("without a failing allocation the scenario ends with %s", err_code_name(code));
            return used;
        }
        if (code != ERR_OK && code != ERR_NOMEM)
            fail_msg("after allocation %lu failed the scenario ends with %s", n, err_code_name(code));
    }
}
