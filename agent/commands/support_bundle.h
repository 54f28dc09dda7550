/* What stands in a support bundle, and what of it could not be had. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "agent/commands/cluster.h"
#include "agent/commands/support_archive.h"
#include "agent/commands/support_redact.h"
#include "base/strbuf.h"

struct support_bundle {
    struct session *session;
    struct cluster *cluster;
    const char *namespace, *linkerd_namespace;
    uint64_t log_lines; /* of each container's log */
    struct support_archive *archive;
    struct support_redaction *redaction;
    json_t *server_version; /* what the API server says of itself; NULL: `server_error` says why not */
    struct err server_error;
    struct strbuf files, failures; /* lines of the index */
    unsigned file_count, failure_count;
};

/** Asks the API server for its version, which anybody may know: where that cannot be had because it is not reached, or does not accept who asks,
 *  nothing else can be either. What it may merely refuse to tell is told by support_bundle_collect().
 *  @return ERR_OK, ERR_CANCELLED, or why there is nothing to collect from. */
enum err_code support_bundle_reach(struct support_bundle *bundle, struct err *reterr) MUST_USE;
/** Puts everything into the archive that can be had, the index last; after support_bundle_reach(). What cannot be had is told on stderr, and in the index.
 *  @return ERR_OK, ERR_CANCELLED, ERR_NOMEM, ERR_IO, ERR_LIMIT: then the archive is of no use. */
enum err_code support_bundle_collect(struct support_bundle *bundle, struct err *reterr) MUST_USE;

/* ---- for the parts of it ---- */

/** Puts in a text, redacted. */
enum err_code support_bundle_text(struct support_bundle *bundle, const char *name, const char *what, const char *text,
                                  size_t bytes, struct err *reterr) MUST_USE;
/** Puts in a value as JSON; objects in it, itself or its "items", are redacted. */
enum err_code support_bundle_json(struct support_bundle *bundle, const char *name, const char *what,
                                  const json_t *value, struct err *reterr) MUST_USE;
/** Notes that a file is missing, and goes on. @return ERR_OK; the code of `error` when nothing can go on: interrupted, out of memory. */
enum err_code support_bundle_missing(struct support_bundle *bundle, const char *name, const struct err *error,
                                     struct err *reterr) MUST_USE;
/** Of each replica its own words: what its API and its metrics say, and its logs. In support_agents.c. */
enum err_code support_bundle_agents(struct support_bundle *bundle, struct err *reterr) MUST_USE;
