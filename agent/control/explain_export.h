/* Whether a service is exported, told condition by condition: which label or annotation is wanted, and what was found. Pure. */
#pragma once

#include "agent/control/facts.h"
#include "mirror/link.h"
#include "mirror/object.h"

/** Adds a fact for each condition. @param own_cluster  name of the source cluster, "" when nobody said.
 *  @return whether it is exported here, in whatever way. */
bool explain_export(struct facts *facts, const struct link *link, const struct service *service,
                    const char *own_cluster);
/** Adds what gives the service's own mirror another name or namespace than Linkerd would. */
void explain_naming(struct facts *facts, const struct link *link, const struct service *service);
