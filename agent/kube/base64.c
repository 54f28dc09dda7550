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
        if (*c == '\n' || *c == '\r' || *c == ' ' || *c == '\t')
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
    if (strspn(c, "= \r\n\t") != strlen(c) || count % 4 == 1)
        return err_set(reterr, ERR_INVALID, "not base64: it ends in the middle");
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
