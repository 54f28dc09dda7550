/* What is to be said of a link: its declaration, its credentials, its target, what is exported there, and by which gateways it is reached. Used by
 * explain*.c only. */
#pragma once

#include "agent/control/facts.h"
#include "agent/control/preview.h"
#include "base/arena.h"
#include "mirror/world.h"

struct control;
struct target;
struct link_refusal;

/** The facts that matter to each of its services: the declaration, whatever else is declared for the same cluster, and whether the target can be read. */
void explain_link_facts(struct facts *facts, struct control *control, struct target *target);
void explain_refusal(struct facts *facts, const struct link_refusal *refusal);
/** What matters to the link itself besides. @param arena  for texts in between. */
void explain_link_state(struct facts *facts, struct control *control, struct target *target, struct arena *arena);

/** Exported services that are not mirrored, after the preview's on_collected. */
void explain_link_unmirrored(struct facts *facts, const struct world_link *link);
/** What would be written because of the cluster's link. @param with_links  to the Link itself, too. */
void explain_link_writes(struct facts *facts, const struct preview *preview, const char *cluster, bool with_links);
