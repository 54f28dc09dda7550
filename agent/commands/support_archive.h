/* A .tar.gz file that is there whole or not at all: it is written under another name beside its place, and gets its own when it is complete. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

struct support_archive;

/** Begins one. Only the user may read it. @param root  the folder that everything in it lies in; borrowed. @param at_s  the time of its files, seconds
 *  since 1970. @return ERR_OK, ERR_IO (the text names the file), ERR_NOMEM. */
enum err_code support_archive_open(const char *path, const char *root, int64_t at_s,
                                   struct support_archive **ret_archive, struct err *reterr) MUST_USE;
/** Puts a file in. @param name  its path below the root. @return ERR_OK, ERR_IO, ERR_LIMIT (the name is too long for a tar). */
enum err_code support_archive_add(struct support_archive *archive, const char *name, const char *data, size_t bytes,
                                  struct err *reterr) MUST_USE;
/** It is complete: writes it out and gives it its name, in the place of what had it. @return ERR_OK, ERR_IO. */
enum err_code support_archive_finish(struct support_archive *archive, struct err *reterr) MUST_USE;
/** Frees it, and removes what was written when it was not finished. Takes NULL. */
void support_archive_free(struct support_archive *archive);

/* ---- for tests ---- */
enum { TAR_BLOCK_BYTES = 512 };
/** Writes the header of a plain file (POSIX ustar). @return whether the name fits. */
bool support_archive_header(const char *name, size_t bytes, int64_t at_s, char block[TAR_BLOCK_BYTES]);
