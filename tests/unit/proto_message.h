/* Messages in protobuf's wire format, for tests to write. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { MESSAGE_BYTES = 4096 };

/** `{0}` is an empty one. */
struct message {
    char bytes[MESSAGE_BYTES];
    size_t length;
};

static inline void put(struct message *message, const void *bytes, size_t length)
{
    assert_true(length <= sizeof(message->bytes) - message->length);
    memcpy(message->bytes + message->length, bytes, length);
    message->length += length;
}

static inline void put_varint(struct message *message, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put(message, &(unsigned char){(unsigned char)(value | 0x80)}, 1);
    put(message, &(unsigned char){(unsigned char)value}, 1);
}

static inline void put_tag(struct message *message, uint32_t number, unsigned wire)
{
    put_varint(message, (uint64_t)number << 3 | wire);
}

static inline void put_number(struct message *message, uint32_t number, uint64_t value)
{
    put_tag(message, number, 0);
    put_varint(message, value);
}

static inline void put_bytes(struct message *message, uint32_t number, const void *bytes, size_t length)
{
    put_tag(message, number, 2);
    put_varint(message, length);
    put(message, bytes, length);
}

static inline void put_text(struct message *message, uint32_t number, const char *text)
{
    put_bytes(message, number, text, strlen(text));
}

static inline void put_message(struct message *message, uint32_t number, const struct message *inner)
{
    put_bytes(message, number, inner->bytes, inner->length);
}
