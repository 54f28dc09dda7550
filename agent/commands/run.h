/* What `run` has to say of its flags before it starts, for commands that write them into a pod. */
#pragma once

#include "agent/commands/options.h"

/** What is wrong with flags of `run` of which each alone is right: bounds of each other, contradictions.
 *  @param options  parsed from the table of `run`. @return a constant; NULL: nothing. */
const char *run_objection(const struct options *options);
