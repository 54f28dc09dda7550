/* Acting as somebody else: a kubeconfig's `as`, `as-uid`, `as-groups` and `as-user-extra` as the headers that ask an API server for it. */
#pragma once

#include <jansson.h>

#include "base/arena.h"
#include "base/err.h"

/** @param user  of the kubeconfig. @param[out] ret_lines  "Name: value" each, NULL at its end; NULL when nobody else is meant.
 *  @return ERR_OK, ERR_INVALID (names the field), ERR_LIMIT, ERR_NOMEM. */
enum err_code impersonate_read(struct arena *arena, const json_t *user, const char *const **ret_lines,
                               struct err *reterr) MUST_USE;
