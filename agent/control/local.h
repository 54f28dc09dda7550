/* The source cluster as a link of its own: its services that are members of federated services. What Linkerd runs a Deployment of its own for. */
#pragma once

#include "agent/control/internal.h"

struct local;

/** Starts watching the members that `control->config.federated_selector` selects. With an empty selector there is none.
 *  @param[out] ret_local  new; NULL when there is nothing to watch. @return ERR_OK, ERR_INVALID (the selector), ERR_NOMEM. */
enum err_code local_new(struct control *control, struct local **ret_local, struct err *reterr) MUST_USE;
void local_free(struct local *local); /* takes NULL */
/** The link of local members, for those who tell of its claims; NULL when there is none. */
struct world_link *local_world_link(const struct local *local);
