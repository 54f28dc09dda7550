/* Reading what `edge-stack prepare` needs from the target cluster, and writing what it planned. */
#pragma once

#include "agent/commands/cluster.h"
#include "agent/commands/edge_stack.h"

/** @param[out] objects  filled as far as it came also on failure; end with edge_stack_read_done(). @return any code. */
enum err_code edge_stack_read(struct cluster *cluster, const struct edge_stack_settings *settings,
                              struct edge_stack_objects *objects, struct err *reterr) MUST_USE;
/** Looks for the Secret that decides what becomes of cleartext without a Host; where there is a Host, it is not asked for. Who may not
 *  read it does not know it. @return any code. */
enum err_code edge_stack_read_fallback(struct cluster *cluster, const struct edge_stack_gateway *gateway,
                                       struct edge_stack_objects *objects, struct err *reterr) MUST_USE;
void edge_stack_read_done(struct edge_stack_objects *objects);

/** Writes the plan's changes in their order with a line for each on stdout; each only over the version that was read. Ends at the first
 *  that fails. @return any code; ERR_CONFLICT: somebody changed the object meanwhile. */
enum err_code edge_stack_write(struct cluster *cluster, const struct edge_stack_plan *plan, bool dry_run,
                               struct err *reterr) MUST_USE;
