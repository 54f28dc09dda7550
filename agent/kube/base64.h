/* Base64 (RFC 4648 section 4) as Kubernetes writes it in data fields, and its URL form without padding as JWTs have it. */
#pragma once

#include <stddef.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"

/** Decodes either alphabet. White space is skipped (YAML folds long lines); padding is complete or left out altogether. The result
 *  is in the arena and NUL-terminated. @return ERR_OK, ERR_INVALID, ERR_NOMEM. */
enum err_code base64_decode(struct arena *arena, const char *text, const char **ret_data, size_t *ret_bytes,
                            struct err *reterr) MUST_USE;
/** Appends `data` in the first alphabet, with padding; failures are the buffer's. */
void base64_encode(struct strbuf *buffer, const char *data, size_t bytes);
