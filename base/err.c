#include "base/err.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Cuts an over-long text at a character: half a UTF-8 sequence would make the JSON log line invalid. */
static void trim_broken_tail(char *text, size_t length)
{
    size_t start = length;
    while (start > 0 && length - start < 4 && ((unsigned char)text[start - 1] & 0xC0) == 0x80)
        start--;
    if (start == 0)
        return;
    unsigned char lead = (unsigned char)text[start - 1];
    size_t want = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC0 ? 2 : 1;
    if (length - (start - 1) < want)
        text[start - 1] = '\0';
}

static void copy_bounded(char text[ERR_TEXT_BYTES], const char *from, bool cut)
{
    size_t length = strnlen(from, ERR_TEXT_BYTES - 1);
    cut = cut || from[length] != '\0';
    memmove(text, from, length);
    text[length] = '\0';
    if (cut)
        trim_broken_tail(text, length);
}

enum err_code err_set(struct err *reterr, enum err_code code, const char *format, ...)
{
    if (!reterr)
        return code;
    /* By way of a copy, because the arguments may point into reterr->text. */
    char text[ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (length < 0)
        text[0] = '\0';
    copy_bounded(reterr->text, text, length >= (int)sizeof(text));
    reterr->code = code;
    return code;
}

enum err_code err_context(struct err *reterr, const char *format, ...)
{
    if (!reterr)
        return ERR_OK;
    char text[2 * ERR_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, ERR_TEXT_BYTES, format, args);
    va_end(args);
    if (length < 0)
        return reterr->code;
    size_t used = strlen(text);
    snprintf(text + used, sizeof(text) - used, ": %s", reterr->text);
    copy_bounded(reterr->text, text, false);
    return reterr->code;
}

const char *err_code_name(enum err_code code)
{
    /* A switch without default: the compiler reports a code that was added and not named. */
    switch (code) {
    case ERR_OK:
        return "ok";
    case ERR_NOMEM:
        return "nomem";
    case ERR_INVALID:
        return "invalid";
    case ERR_LIMIT:
        return "limit";
    case ERR_NOT_FOUND:
        return "not_found";
    case ERR_EXISTS:
        return "exists";
    case ERR_CONFLICT:
        return "conflict";
    case ERR_EXPIRED:
        return "expired";
    case ERR_FORBIDDEN:
        return "forbidden";
    case ERR_UNAUTHORIZED:
        return "unauthorized";
    case ERR_REJECTED:
        return "rejected";
    case ERR_BUSY:
        return "busy";
    case ERR_SERVER:
        return "server";
    case ERR_RESOLVE:
        return "resolve";
    case ERR_CONNECT:
        return "connect";
    case ERR_TLS:
        return "tls";
    case ERR_TIMEOUT:
        return "timeout";
    case ERR_PROTOCOL:
        return "protocol";
    case ERR_UNSUPPORTED:
        return "unsupported";
    case ERR_IO:
        return "io";
    case ERR_CANCELLED:
        return "cancelled";
    }
    return "unknown";
}
