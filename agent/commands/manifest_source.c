#include "agent/commands/manifest_source.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/kube/file.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/text.h"

enum {
    MANIFEST_BYTES = 16 << 20, /* as much as all resource types of a large installation */
    MAX_FILES = 1000,
};

/* What reads it would end at the first NUL, and the rest be lost without a word. */
static enum err_code give(manifest_fn fn, void *context, const char *name, const char *text, size_t bytes,
                          struct err *reterr)
{
    if (memchr(text, '\0', bytes) != NULL)
        return err_set(reterr, ERR_INVALID, "%s: it is no text in UTF-8: it holds a NUL (is it UTF-16?)", name);
    return fn(context, name, text, reterr);
}

static enum err_code read_input(manifest_fn fn, void *context, struct err *reterr)
{
    struct strbuf text;
    char piece[8192];
    size_t count = 0;
    strbuf_init(&text, MANIFEST_BYTES);
    while ((count = fread(piece, 1, sizeof(piece), stdin)) > 0)
        strbuf_append_bytes(&text, piece, count);
    enum err_code code = strbuf_error(&text);
    if (ferror(stdin) != 0)
        code = err_set(reterr, ERR_IO, "standard input cannot be read");
    else if (code != ERR_OK)
        code = err_set(reterr, code, "standard input is larger than %d bytes, or memory ran out", MANIFEST_BYTES);
    else
        code = give(fn, context, "standard input", strbuf_text(&text), text.length, reterr);
    strbuf_done(&text);
    return code;
}

static enum err_code read_file(const char *path, manifest_fn fn, void *context, struct err *reterr)
{
    struct arena arena;
    const char *text = NULL;
    size_t bytes = 0;
    arena_init(&arena, MANIFEST_BYTES + (64 << 10));
    enum err_code code = file_read(&arena, path, MANIFEST_BYTES, &text, &bytes, reterr);
    if (code == ERR_OK)
        code = give(fn, context, path, text, bytes, reterr);
    arena_done(&arena);
    return code;
}

/* ---- folders ---- */

static int is_manifest(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && (text_ends_with(entry->d_name, ".yaml") ||
                                       text_ends_with(entry->d_name, ".yml") || text_ends_with(entry->d_name, ".json"));
}

static enum err_code read_entries(const char *folder, struct dirent *const *entries, int count, manifest_fn fn,
                                  void *context, struct err *reterr)
{
    if (count == 0)
        return err_set(reterr, ERR_NOT_FOUND, "%s: there is no *.yaml, *.yml or *.json in it", folder);
    if (count > MAX_FILES)
        return err_set(reterr, ERR_LIMIT, "%s: more than %d files are in it", folder, MAX_FILES);
    for (int i = 0; i < count; i++) {
        char path[4096];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
        TRY(read_file(path, fn, context, reterr));
    }
    return ERR_OK;
}

static enum err_code read_folder(const char *folder, manifest_fn fn, void *context, struct err *reterr)
{
    struct dirent **entries = NULL;
    int count = scandir(folder, &entries, is_manifest, alphasort);
    if (count < 0)
        return err_set(reterr, ERR_IO, "%s: %s", folder, strerror(errno));
    enum err_code code = read_entries(folder, entries, count, fn, context, reterr);
    for (int i = 0; i < count; i++)
        free(entries[i]); /* lint: allow, scandir() allocated it */
    free(entries);        /* lint: allow, scandir() allocated it */
    return code;
}

/* ---- URLs ---- */

static enum err_code read_url(struct session *session, const char *url, manifest_fn fn, void *context,
                              struct err *reterr)
{
    char *text = NULL;
    TRY(session_fetch(session, url, &text, reterr));
    enum err_code code = fn(context, url, text, reterr);
    mem_free(text);
    return code;
}

enum err_code manifest_source_read(struct session *session, const char *source, manifest_fn fn, void *context,
                                   struct err *reterr)
{
    struct stat about;
    if (strcmp(source, "-") == 0)
        return read_input(fn, context, reterr);
    if (text_starts_with(source, "http://") || text_starts_with(source, "https://"))
        return read_url(session, source, fn, context, reterr);
    if (stat(source, &about) != 0)
        return err_set(reterr, ERR_IO, "%s: %s", source, strerror(errno));
    return S_ISDIR(about.st_mode) ? read_folder(source, fn, context, reterr) : read_file(source, fn, context, reterr);
}
