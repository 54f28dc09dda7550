/* Small local files: kubeconfigs, tokens, certificates. */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"

/** Reads a whole file into the arena, NUL-terminated. @return ERR_OK, ERR_IO (names the path and the cause), ERR_LIMIT, ERR_NOMEM. */
enum err_code file_read(struct arena *arena, const char *path, size_t limit_bytes, const char **ret_text,
                        size_t *ret_bytes, struct err *reterr) MUST_USE;
/** Reads a token: trailing white space is cut; an empty file is ERR_INVALID. */
enum err_code file_read_token(struct arena *arena, const char *path, const char **ret_token, struct err *reterr)
    MUST_USE;
