/* Documents whose end is what the program itself says: checked, or with SVCMIRROR_WRITE_DOCS set written anew. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"

enum { DOCUMENT_BYTES = 1 << 20 };

static inline char *document_read(const char *path)
{
    struct strbuf text;
    char piece[4096];
    size_t bytes = 0;
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    strbuf_init(&text, DOCUMENT_BYTES);
    while ((bytes = fread(piece, 1, sizeof(piece), file)) > 0)
        strbuf_append_bytes(&text, piece, bytes);
    (void)fclose(file);
    return strbuf_take(&text);
}

static inline void document_write(const char *path, const char *head, size_t head_bytes, const char *end)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(head, 1, head_bytes, file), head_bytes);
    assert_true(fputs(end, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

/** @param name     of the document, in docs/.
 *  @param marker   what comes before the end that is written; stays as it is.
 *  @param program  the test that calls this, for people who have to write it anew. */
static inline void document_is_current(const char *name, const char *marker, const char *wanted, const char *program)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), SVCMIRROR_SOURCE_DIR "/docs/%s", name);
    char *text = document_read(path), *end = text != NULL ? strstr(text, marker) : NULL;
    assert_non_null(end);
    end += strlen(marker);
    if (getenv("SVCMIRROR_WRITE_DOCS") != NULL)
        document_write(path, text, (size_t)(end - text), wanted);
    else if (strcmp(end, wanted) != 0)
        fail_msg("docs/%s is not what the program says; write it anew with\n"
                 "    SVCMIRROR_WRITE_DOCS=1 build/asan-ubsan/bin/%s",
                 name, program);
    mem_free(text);
}
