/* Whether a service is exported, told condition by condition: which label or annotation is wanted, and what was found. Pure. */
#pragma once

#include "agent/control/facts.h"
#include "mirror/link.h"
#include "mirror/object.h"

/** What is known of the target's ServiceExports, and of the service's own. */
struct explain_service_export {
    bool taken;          /* the link takes them */
    const char *trouble; /* why they cannot be read; "" when they can */
    bool there;          /* one names the service */
};

/** Adds a fact for each condition. @param own_cluster  name of the source cluster, "" when nobody said.
 *  @return whether it is exported here, in whatever way. */
bool explain_export(struct facts *facts, const struct link *link, const struct service *service,
                    const char *own_cluster, const struct explain_service_export *service_export);
/** Adds what gives the service's own mirror another name or namespace than Linkerd would. */
void explain_naming(struct facts *facts, const struct link *link, const struct service *service);
