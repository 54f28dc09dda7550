#include "agent/kube/proto.h"

enum { VARINT_BYTES = 10, WIRE_BITS = 3, WIRE_MASK = 7 };

/* @return how many bytes it took; 0: its end is not there; -1: it has none within what 64 bits take. */
static int take_varint(const char *bytes, size_t length, uint64_t *ret_value)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < VARINT_BYTES; i++) {
        if (i == length)
            return 0;
        unsigned char byte = (unsigned char)bytes[i];
        value |= (uint64_t)(byte & 0x7F) << 7 * i;
        if (byte < 0x80) {
            *ret_value = value;
            return (int)i + 1;
        }
    }
    return -1;
}

static bool break_off(struct proto_reader *reader)
{
    reader->is_broken = true;
    return false;
}

static bool read_varint(struct proto_reader *reader, uint64_t *ret_value)
{
    int used = take_varint(reader->at, (size_t)(reader->end - reader->at), ret_value);
    if (used <= 0)
        return break_off(reader);
    reader->at += used;
    return true;
}

static bool skip(struct proto_reader *reader, uint64_t bytes)
{
    if (bytes > (uint64_t)(reader->end - reader->at))
        return break_off(reader);
    reader->at += bytes;
    return true;
}

/* A field number; 0: it is none. */
static uint32_t number_of(uint64_t tag) { return tag >> WIRE_BITS <= UINT32_MAX ? (uint32_t)(tag >> WIRE_BITS) : 0; }

bool proto_next(struct proto_reader *reader, struct proto_field *ret_field)
{
    uint64_t tag = 0;
    if (reader->at == reader->end || reader->is_broken || !read_varint(reader, &tag))
        return false;
    *ret_field = (struct proto_field){.number = number_of(tag), .wire = (enum proto_wire)(tag & WIRE_MASK)};
    if (ret_field->number == 0)
        return break_off(reader);
    switch (ret_field->wire) {
    case PROTO_VARINT:
        return read_varint(reader, &ret_field->varint);
    case PROTO_FIXED_64:
        return skip(reader, sizeof(uint64_t));
    case PROTO_FIXED_32:
        return skip(reader, sizeof(uint32_t));
    case PROTO_BYTES: {
        uint64_t length = 0;
        if (!read_varint(reader, &length))
            return false;
        ret_field->bytes = reader->at;
        ret_field->length = (size_t)length;
        return skip(reader, length);
    }
    default:
        return break_off(reader);
    }
}

int proto_begins(const char *bytes, size_t length, uint32_t *ret_number, uint64_t *ret_length)
{
    uint64_t tag = 0;
    int tag_bytes = take_varint(bytes, length, &tag);
    if (tag_bytes <= 0)
        return tag_bytes;
    *ret_number = number_of(tag);
    if (*ret_number == 0 || (tag & WIRE_MASK) != PROTO_BYTES)
        return -1;
    int length_bytes = take_varint(bytes + tag_bytes, length - (size_t)tag_bytes, ret_length);
    return length_bytes <= 0 ? length_bytes : tag_bytes + length_bytes;
}
