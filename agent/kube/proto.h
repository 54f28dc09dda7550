/* Protocol Buffers' wire format (protobuf.dev, "Encoding") as far as Kubernetes writes it: one message is read field by field, nothing is copied. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum proto_wire { PROTO_VARINT = 0, PROTO_FIXED_64 = 1, PROTO_BYTES = 2, PROTO_FIXED_32 = 5 };

struct proto_field {
    uint32_t number;
    enum proto_wire wire;
    uint64_t varint;   /* of PROTO_VARINT */
    const char *bytes; /* of PROTO_BYTES: borrowed from the message */
    size_t length;
};

/** What is left of a message: `at` moves. */
struct proto_reader {
    const char *at, *end;
    bool is_broken; /* what is left is no message */
};

static inline struct proto_reader proto_read(const char *bytes, size_t length)
{
    return (struct proto_reader){.at = bytes, .end = length > 0 ? bytes + length : bytes};
}

/** @param[out] ret_field  the next field. @return false at the end, and where the rest is no message: is_broken tells. */
bool proto_next(struct proto_reader *reader, struct proto_field *ret_field);

/** How a field of bytes begins: its number and its length. @return how many bytes that took; 0: it is not all there; -1: it is no such beginning, or
 *  that of another kind of field. */
int proto_begins(const char *bytes, size_t length, uint32_t *ret_number, uint64_t *ret_length);
