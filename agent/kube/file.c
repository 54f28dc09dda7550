#include "agent/kube/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/strbuf.h"

enum { TOKEN_BYTES = 64 << 10 };

static void close_file(FILE **file)
{
    if (*file != NULL)
        (void)fclose(*file);
}

enum err_code file_read(struct arena *arena, const char *path, size_t limit_bytes, const char **ret_text,
                        size_t *ret_bytes, struct err *reterr)
{
    __attribute__((cleanup(close_file))) FILE *file = fopen(path, "re");
    if (file == NULL)
        return err_set(reterr, ERR_IO, "%s: %s", path, strerror(errno));
    struct strbuf content;
    char chunk[4096];
    size_t bytes = 0;
    strbuf_init(&content, limit_bytes);
    while (strbuf_error(&content) == ERR_OK && (bytes = fread(chunk, 1, sizeof(chunk), file)) > 0)
        strbuf_append_bytes(&content, chunk, bytes);
    enum err_code code = strbuf_error(&content);
    if (code == ERR_OK && ferror(file))
        code = err_set(reterr, ERR_IO, "%s: %s", path, strerror(errno));
    else if (code == ERR_LIMIT)
        (void)err_set(reterr, code, "%s: larger than %zu bytes", path, limit_bytes);
    char *text = code == ERR_OK ? arena_alloc(arena, content.length + 1) : NULL;
    if (text != NULL) {
        memcpy(text, strbuf_text(&content), content.length + 1);
        *ret_text = text;
        *ret_bytes = content.length;
    } else if (code == ERR_OK || code == ERR_NOMEM) {
        code = err_set(reterr, ERR_NOMEM, "out of memory");
    }
    strbuf_done(&content);
    return code;
}

enum err_code file_read_token(struct arena *arena, const char *path, const char **ret_token, struct err *reterr)
{
    const char *text = NULL;
    size_t bytes = 0;
    TRY(file_read(arena, path, TOKEN_BYTES, &text, &bytes, reterr));
    while (bytes > 0 && strchr(" \r\n\t", text[bytes - 1]) != NULL)
        bytes--;
    if (bytes == 0)
        return err_set(reterr, ERR_INVALID, "%s: the token file is empty", path);
    for (size_t i = 0; i < bytes; i++)
        if ((unsigned char)text[i] <= ' ' || text[i] == 127)
            return err_set(reterr, ERR_INVALID, "%s: byte %zu cannot be part of a token", path, i);
    *ret_token = arena_printf(arena, "%.*s", (int)bytes, text);
    return *ret_token != NULL ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
}
