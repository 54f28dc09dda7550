/* Marking the Services in manifests: text in, text out, as Linkerd 2.8's export-service does. What is no Service passes byte for byte, with its
 * comments; a Service is written anew, as YAML. Pure. */
#pragma once

#include <jansson.h>

#include "agent/commands/export_marks.h"
#include "base/strbuf.h"

struct export_filter {
    const struct export_marks *marks;
    bool unexport;    /* takes marks away; `marks` may be NULL then: all of them */
    bool overwrite;   /* as for export_marks_add() */
    unsigned written; /* documents in `output` so far */
    struct strbuf *output;
    struct strbuf *told; /* a line for each Service: exported, unchanged, or why it was left as it was */
    json_t *skipped;     /* {kind: how many}, new; of what is no Service */
};

/** @param source  for texts: the file's name. @param text  NUL-terminated. @return ERR_OK, ERR_INVALID (no YAML, no object, a Service with fields of
 *  wrong types; with document and line, or item and field), ERR_CONFLICT, ERR_LIMIT, ERR_NOMEM. */
enum err_code export_filter_run(struct export_filter *filter, const char *source, const char *text, struct err *reterr)
    MUST_USE;
