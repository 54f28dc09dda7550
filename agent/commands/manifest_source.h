/* Where manifests come from, as for `kubectl -f`: a file, standard input, a folder, a URL. */
#pragma once

#include "agent/commands/session.h"
#include "base/err.h"

/** Called with each file's name and text, both borrowed; a code other than ERR_OK ends the reading with it. */
typedef enum err_code (*manifest_fn)(void *context, const char *name, const char *text, struct err *reterr);

/** @param source  a file, "-", a folder (its *.yaml, *.yml and *.json in order of name, not below), an http:// or https:// URL.
 *  @return ERR_OK, ERR_IO, ERR_NOT_FOUND (a folder without manifests), ERR_LIMIT (16 MiB), what the URL gave. */
enum err_code manifest_source_read(struct session *session, const char *source, manifest_fn fn, void *context,
                                   struct err *reterr) MUST_USE;
