/* A text that is kept for long and read seldom: compressed (zlib), when that is worth it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct packed;

/** @param[out] ret_packed  new; free with packed_free(). @return ERR_OK, ERR_NOMEM. */
enum err_code packed_new(const char *text, size_t bytes, struct packed **ret_packed) MUST_USE;
void packed_free(struct packed *packed); /* takes NULL */
/** @param[out] ret_text  new (mem_free), ended by NUL. @return ERR_OK, ERR_NOMEM. */
enum err_code packed_text(const struct packed *packed, char **ret_text, size_t *ret_bytes) MUST_USE;
/** Whether they are of the same text; each may be NULL. */
bool packed_equal(const struct packed *a, const struct packed *b);
/** How much memory it takes. */
size_t packed_size(const struct packed *packed);
