/* What is to be said of a gateway: where it is declared, how it is probed, and what its addresses answer. Used by explain*.c only. */
#pragma once

#include "agent/control/facts.h"
#include "mirror/world.h"

/** The facts that matter to a service that is mirrored through it. */
void explain_gateway_facts(struct facts *facts, const struct world_gateway *gateway);
/** What matters to the gateway itself besides: its identity, its verdict, and what follows for the mirrors through it.
 *  @param moves_endpoints  --move-endpoints. @return in one word or two how it is, constant. */
const char *explain_gateway_verdict(struct facts *facts, const struct world_gateway *gateway, bool moves_endpoints);
/** Whether mirrors through it can be ready: it can be used, and is alive. */
bool explain_gateway_is_alive(const struct world_gateway *gateway);
