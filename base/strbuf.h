/* A growing byte string with a maximum chosen by its owner. Failure is sticky: after an append did not fit (memory or
 * bound) the content stays as it was, further appends do nothing and strbuf_error() tells why. Always NUL-terminated. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct strbuf {
    char *data; /* "" when empty and nothing was ever allocated: use strbuf_text() */
    size_t length, capacity, limit_bytes;
    enum err_code error;
};

void strbuf_init(struct strbuf *buffer, size_t limit_bytes);
void strbuf_done(struct strbuf *buffer);  /* frees; the buffer may be initialised again */
void strbuf_clear(struct strbuf *buffer); /* empties and forgets the error; keeps the memory */
void strbuf_append(struct strbuf *buffer, const char *text);
void strbuf_append_bytes(struct strbuf *buffer, const void *bytes, size_t count);
void strbuf_append_char(struct strbuf *buffer, char c);
void strbuf_printf(struct strbuf *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
/** Removes what is behind the first `length` bytes; nothing when there are no more. */
void strbuf_cut(struct strbuf *buffer, size_t length);
/** Removes the first `count` bytes (at most all of them). */
void strbuf_consume(struct strbuf *buffer, size_t count);
static inline enum err_code strbuf_error(const struct strbuf *buffer) { return buffer->error; }
/** @return the content, borrowed until the next change; never NULL. */
const char *strbuf_text(const struct strbuf *buffer);
/** Steals the content: @return new string (mem_free), or NULL when an append (or this) failed, with strbuf_error() still
 *  telling why. The buffer is empty after; it can be used again at once when there was no error. */
char *strbuf_take(struct strbuf *buffer);
