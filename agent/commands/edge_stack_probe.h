/* One look at the prepared gateway from outside, as a source cluster's agent takes it. */
#pragma once

#include "agent/commands/cluster.h"
#include "agent/commands/edge_stack.h"

/** Waits for an address of the Service, then probes mc-probe at it until it is alive. Tells how it goes on stderr, and the success on stdout.
 *  @return ERR_OK, ERR_TIMEOUT (the text names what the last probe saw, and what to mend), any code. */
enum err_code edge_stack_probe(struct session *session, struct cluster *cluster,
                               const struct edge_stack_gateway *gateway, uint64_t wait_ms, struct err *reterr) MUST_USE;
