#include "agent/kube/base64.h"

#include <stdint.h>
#include <string.h>

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

/* What may stand behind `count` digits: nothing, or padding up to the next group of four. */
static bool is_good_end(const char *text, unsigned count)
{
    unsigned padding = 0;
    for (; *text != '\0'; text++) {
        if (*text == '=')
            padding++;
        else if (!is_space(*text))
            return false;
    }
    return count % 4 != 1 && (padding == 0 || (count + padding) % 4 == 0) && padding <= 2;
}

enum err_code base64_decode(struct arena *arena, const char *text, const char **ret_data, size_t *ret_bytes,
                            struct err *reterr)
{
    char *data = arena_alloc(arena, strlen(text) / 4 * 3 + 4);
    if (data == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    size_t bytes = 0;
    uint32_t bits = 0;
    unsigned count = 0;
    const char *c = text;
    for (; *c != '\0' && *c != '='; c++) {
        if (is_space(*c))
            continue;
        int value = value_of(*c);
        if (value < 0)
            return err_set(reterr, ERR_INVALID, "not base64: byte %zu is not of its alphabet", (size_t)(c - text));
        bits = bits << 6 | (uint32_t)value;
        if (++count % 4 != 0)
            continue;
        data[bytes++] = (char)(bits >> 16);
        data[bytes++] = (char)(bits >> 8);
        data[bytes++] = (char)bits;
        bits = 0;
    }
    if (!is_good_end(c, count))
        return err_set(reterr, ERR_INVALID, "not base64: its end is cut off or badly padded");
    if (count % 4 == 2) {
        data[bytes++] = (char)(bits >> 4);
    } else if (count % 4 == 3) {
        data[bytes++] = (char)(bits >> 10);
        data[bytes++] = (char)(bits >> 2);
    }
    data[bytes] = '\0';
    *ret_data = data;
    *ret_bytes = bytes;
    return ERR_OK;
}

void base64_encode(struct strbuf *buffer, const char *data, size_t bytes)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < bytes; i += 3) {
        bool has_second = i + 1 < bytes, has_third = i + 2 < bytes;
        uint32_t bits = (uint32_t)(unsigned char)data[i] << 16;
        bits |= has_second ? (uint32_t)(unsigned char)data[i + 1] << 8 : 0;
        bits |= has_third ? (unsigned char)data[i + 2] : 0;
        strbuf_append_char(buffer, alphabet[bits >> 18]);
        strbuf_append_char(buffer, alphabet[bits >> 12 & 63]);
        strbuf_append_char(buffer, has_second ? alphabet[bits >> 6 & 63] : '=');
        strbuf_append_char(buffer, has_third ? alphabet[bits & 63] : '=');
    }
}
