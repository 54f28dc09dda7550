#define ZLIB_CONST /* what zlib reads it does not change */
#include "base/packed.h"

#include <limits.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"

enum {
    PLAIN_BYTES = 4096, /* shorter ones stay as they are: zlib's own state is a quarter of a MiB, for a moment */
    LEVEL = 2, /* leaves a thirtieth of a Link's status, at 300 MB/s; higher ones are slower and leave little less */
};

struct packed {
    size_t bytes, text_bytes;
    unsigned char data[]; /* `bytes`; the text itself where these are `text_bytes` */
};

static struct packed *make(const unsigned char *data, size_t bytes, size_t text_bytes)
{
    struct packed *packed = mem_alloc(sizeof(*packed) + bytes);
    if (packed == NULL)
        return NULL;
    packed->bytes = bytes;
    packed->text_bytes = text_bytes;
    memcpy(packed->data, data, bytes);
    return packed;
}

/* ---- zlib, with our memory ---- */

static voidpf take(voidpf opaque, uInt count, uInt size)
{
    (void)opaque;
    return mem_alloc((size_t)count * size);
}

static void give(voidpf opaque, voidpf block)
{
    (void)opaque;
    mem_free(block);
}

/* @return how many bytes it takes; 0: out of memory, or they would be no fewer. */
static size_t deflate_all(const char *text, size_t bytes, unsigned char *buffer)
{
    z_stream stream = {.zalloc = take,
                       .zfree = give,
                       .next_in = (const Bytef *)text,
                       .avail_in = (uInt)bytes,
                       .next_out = buffer,
                       .avail_out = (uInt)bytes - 1};
    if (deflateInit(&stream, LEVEL) != Z_OK)
        return 0;
    int end = deflate(&stream, Z_FINISH);
    size_t used = stream.total_out;
    (void)deflateEnd(&stream);
    return end == Z_STREAM_END ? used : 0;
}

/* @return whether that worked: what was deflated here is whole, so that only memory can be wanting. */
static bool inflate_all(const struct packed *packed, char *text)
{
    z_stream stream = {.zalloc = take,
                       .zfree = give,
                       .next_in = (const Bytef *)packed->data,
                       .avail_in = (uInt)packed->bytes,
                       .next_out = (Bytef *)text,
                       .avail_out = (uInt)packed->text_bytes};
    if (inflateInit(&stream) != Z_OK)
        return false;
    int end = inflate(&stream, Z_FINISH);
    (void)inflateEnd(&stream);
    return end == Z_STREAM_END;
}

static struct packed *compressed(const char *text, size_t bytes)
{
    unsigned char *buffer = mem_alloc(bytes);
    size_t used = buffer != NULL ? deflate_all(text, bytes, buffer) : 0;
    struct packed *packed = used > 0 ? make(buffer, used, bytes) : NULL;
    mem_free(buffer);
    return packed;
}

/* ---- packing ---- */

enum err_code packed_new(const char *text, size_t bytes, struct packed **ret_packed)
{
    struct packed *packed = bytes > PLAIN_BYTES && bytes <= INT_MAX ? compressed(text, bytes) : NULL;
    if (packed == NULL)
        packed = make((const unsigned char *)text, bytes, bytes);
    *ret_packed = packed;
    return packed != NULL ? ERR_OK : ERR_NOMEM;
}

void packed_free(struct packed *packed) { mem_free(packed); }

enum err_code packed_text(const struct packed *packed, char **ret_text, size_t *ret_bytes)
{
    char *text = mem_alloc(packed->text_bytes + 1);
    if (text == NULL)
        return ERR_NOMEM;
    if (packed->bytes == packed->text_bytes) {
        memcpy(text, packed->data, packed->bytes);
    } else if (!inflate_all(packed, text)) {
        mem_free(text);
        return ERR_NOMEM;
    }
    text[packed->text_bytes] = '\0';
    *ret_text = text;
    *ret_bytes = packed->text_bytes;
    return ERR_OK;
}

bool packed_equal(const struct packed *a, const struct packed *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    /* The same text is always packed in the same way, or, when memory ran out, not at all: then it counts as another. */
    return a->bytes == b->bytes && a->text_bytes == b->text_bytes && memcmp(a->data, b->data, a->bytes) == 0;
}

size_t packed_size(const struct packed *packed) { return sizeof(*packed) + packed->bytes; }
