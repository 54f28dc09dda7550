/* What an agent leaves in the source cluster when it goes: mirrors that it made, and Links that its finalizer holds. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/commands/cluster.h"
#include "base/err.h"
#include "base/strbuf.h"

enum { REMAINS_NAMESPACE_BYTES = 64, REMAINS_NAMED = 10 };

struct remains {
    /* Of another agent, whose mirrors cannot be told from this one's; "" when there is none. */
    char other_namespace[REMAINS_NAMESPACE_BYTES];
    json_t *mirrors;    /* Services: those of every kind of mirror that svcmirror made, gateway mirrors too */
    json_t *links;      /* Links of the agent's namespace */
    json_t *held_links; /* those of them with svcmirror's finalizer */
    struct resource link_resource; /* in the version that the cluster serves best */
};

/** Reads it. Links count as none where the type is not served. @param[out] ret_remains  new. @return any code. */
enum err_code remains_read(struct cluster *cluster, const char *namespace, struct remains **ret_remains,
                           struct err *reterr) MUST_USE;
void remains_free(struct remains *remains); /* takes NULL */

/** Looks for an agent in another namespace than this. @param[out] ret_namespace  its own, "" when there is none. */
enum err_code remains_find_other_agent(struct cluster *cluster, const char *namespace,
                                       char ret_namespace[REMAINS_NAMESPACE_BYTES], struct err *reterr) MUST_USE;

/** Appends the names of the first objects of an array, those in namespaces with them: "demo/web-east, demo/api-east and 7 more". */
void remains_names(const json_t *objects, struct strbuf *text);

/** Whether svcmirror's agent made or took over this object: its managedFields say so. */
bool remains_is_ours(const json_t *object);
/** @return new: the merge patch that takes svcmirror's finalizer off, in this version of the Link; NULL when out of memory. */
json_t *remains_release_patch(const json_t *link);
