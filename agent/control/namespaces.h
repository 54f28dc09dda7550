/* Namespaces that mirrors wait for: many mirrors want one namespace at once, one of them creates it, and all hear what became of that. Knows who
 * may try and when; writes nothing itself. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct namespaces;

/** @return new, NULL when out of memory. */
struct namespaces *namespaces_new(void);
void namespaces_free(struct namespaces *namespaces); /* takes NULL */

enum namespace_turn {
    NAMESPACE_CREATE, /* it is the asker's turn to create it; ends with namespaces_created() or namespaces_failed() */
    NAMESPACE_UNDER_WAY, /* somebody is creating it: whoever waits is marked when it is there or has failed */
    NAMESPACE_FAILED,    /* it was tried, and is not to be tried again yet */
};

/** Asks for the turn to create the namespace.
 *  @param[out] ret_wait_ms  for NAMESPACE_FAILED: when to ask again.
 *  @param[out] ret_problem  for NAMESPACE_FAILED: why it failed; borrowed until the next call.
 *  Out of memory everybody gets a turn: the API server refuses all but one. */
enum namespace_turn namespaces_ask(struct namespaces *namespaces, const char *name, uint64_t now_ms,
                                   uint64_t *ret_wait_ms, const char **ret_problem);
/** It is there, or is not waited for any longer. */
void namespaces_created(struct namespaces *namespaces, const char *name);
/** @param retry_ms  from `now_ms`. */
void namespaces_failed(struct namespaces *namespaces, const char *name, uint64_t now_ms, uint64_t retry_ms,
                       const char *problem);
