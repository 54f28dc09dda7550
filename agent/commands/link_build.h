/* From what was asked for and what the target says to the objects of a link: the part that `link` and `link-gen` share. */
#pragma once

#include <jansson.h>

#include "agent/commands/cluster.h"
#include "agent/commands/link_options.h"
#include "base/arena.h"
#include "base/err.h"

/** Whether the target's API server can be reached by an agent as far as can be known; asked before anything is written. */
enum err_code link_build_check(const struct cluster *target, const struct link_wish *wish, struct err *reterr) MUST_USE;

/** Reads the target's gateway and domains into `wish`; what is odd but works is told on stderr. */
enum err_code link_build_read(const char *command, struct cluster *target, struct arena *arena, struct link_wish *wish,
                              struct err *reterr) MUST_USE;

/** Tokens of the target's accounts; NULL: the place is named instead, for a dry run that makes none. */
struct link_tokens {
    const char *agent, *linkerd;
};

/** Makes the objects for the source cluster. @param[out] ret_objects  new array. */
enum err_code link_build_objects(const char *command, const struct cluster *target, const struct link_wish *wish,
                                 const struct link_tokens *tokens, json_t **ret_objects, struct err *reterr) MUST_USE;
