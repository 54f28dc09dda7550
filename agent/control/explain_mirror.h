/* The second half of an explanation: what there is of the mirror, and what was decided about it. Used by explain.c only. */
#pragma once

#include "agent/control/explain.h"
#include "agent/control/preview.h"
#include "mirror/world.h"

/** What is there before planning changes the view. */
struct explain_now {
    bool exported;          /* all conditions hold */
    bool target_known;      /* its Services were listed */
    bool there, discovered; /* the mirror exists; by remote discovery */
    bool is_import;         /* it is a ServiceImport, which has no endpoints */
    unsigned ready;         /* endpoints */
    enum world_namespace namespace;
    bool namespaces_known;
    struct facts facts; /* of Service and slices */
};

void explain_now(struct explain_now *now, const struct world *world, const char *mirror_key);

/** Whether the claim's mirror, a gateway's own, is left to Linkerd's charts, which have taken its name. @param claim  may be NULL. */
bool explain_is_left_to_linkerd(const struct claim *claim);

/** Adds what was decided to the facts, and says whether the service is mirrored and ready. @param claim  NULL: nothing claims the mirror. */
void explain_decisions(struct explanation *explanation, const struct explain_now *now, const struct claim *claim,
                       const struct preview *preview);
