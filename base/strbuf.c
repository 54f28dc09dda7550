#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum { FIRST_CAPACITY_BYTES = 64 };

void strbuf_init(struct strbuf *buffer, size_t limit_bytes) { *buffer = (struct strbuf){.limit_bytes = limit_bytes}; }

void strbuf_done(struct strbuf *buffer)
{
    mem_free(buffer->data);
    *buffer = (struct strbuf){.limit_bytes = buffer->limit_bytes};
}

void strbuf_clear(struct strbuf *buffer)
{
    buffer->length = 0;
    buffer->error = ERR_OK;
    if (buffer->data)
        buffer->data[0] = '\0';
}

/* Makes room for `count` more bytes and the NUL. @return false, with the error set, when that cannot be. */
static bool reserve(struct strbuf *buffer, size_t count)
{
    if (buffer->error != ERR_OK)
        return false;
    if (count > buffer->limit_bytes - buffer->length) {
        buffer->error = ERR_LIMIT;
        return false;
    }
    size_t need;
    if (__builtin_add_overflow(buffer->length + count, 1, &need)) {
        buffer->error = ERR_NOMEM;
        return false;
    }
    if (need <= buffer->capacity)
        return true;

    size_t capacity = buffer->capacity > 0 ? buffer->capacity : FIRST_CAPACITY_BYTES;
    while (capacity < need) {
        if (__builtin_mul_overflow(capacity, 2, &capacity))
            capacity = need;
    }
    /* The bound is a promise about memory too: do not double past it. */
    if (capacity - 1 > buffer->limit_bytes)
        capacity = buffer->limit_bytes + 1;
    char *data = mem_realloc_array(buffer->data, capacity, 1);
    if (!data) {
        buffer->error = ERR_NOMEM;
        return false;
    }
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

void strbuf_append(struct strbuf *buffer, const char *text) { strbuf_append_bytes(buffer, text, strlen(text)); }

void strbuf_append_bytes(struct strbuf *buffer, const void *bytes, size_t count)
{
    if (count == 0 || !reserve(buffer, count))
        return;
    memcpy(buffer->data + buffer->length, bytes, count);
    buffer->length += count;
    buffer->data[buffer->length] = '\0';
}

void strbuf_append_char(struct strbuf *buffer, char c) { strbuf_append_bytes(buffer, &c, 1); }

void strbuf_printf(struct strbuf *buffer, const char *format, ...)
{
    if (buffer->error != ERR_OK)
        return;
    /* Into the free space first: it is nearly always enough. */
    size_t room = buffer->capacity - buffer->length;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int length = vsnprintf(room > 0 ? buffer->data + buffer->length : NULL, room, format, args);
    if (length < 0) {
        buffer->error = ERR_INVALID;
    } else if ((size_t)length >= room) {
        if (reserve(buffer, (size_t)length))
            vsnprintf(buffer->data + buffer->length, (size_t)length + 1, format, again);
    }
    if (buffer->error == ERR_OK)
        buffer->length += (size_t)length;
    else if (buffer->data)
        buffer->data[buffer->length] = '\0'; /* the first try may have written behind the end */
    va_end(again);
    va_end(args);
}

void strbuf_cut(struct strbuf *buffer, size_t length)
{
    if (length >= buffer->length)
        return;
    buffer->length = length;
    buffer->data[length] = '\0';
}

void strbuf_consume(struct strbuf *buffer, size_t count)
{
    if (count > buffer->length)
        count = buffer->length;
    if (count == 0)
        return;
    buffer->length -= count;
    memmove(buffer->data, buffer->data + count, buffer->length + 1);
}

const char *strbuf_text(const struct strbuf *buffer) { return buffer->data ? buffer->data : ""; }

char *strbuf_take(struct strbuf *buffer)
{
    char *text = NULL;
    if (buffer->error == ERR_OK) {
        text = buffer->data ? TAKE(buffer->data) : mem_strdup("");
        if (!text)
            buffer->error = ERR_NOMEM;
    }
    enum err_code error = buffer->error;
    strbuf_done(buffer);
    buffer->error = error;
    return text;
}
