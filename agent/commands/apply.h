/* Bringing whole objects into a cluster, and taking them away, each told (told.h). */
#pragma once

#include <jansson.h>

#include "agent/commands/cluster.h"
#include "base/err.h"

enum apply_outcome { APPLY_CREATED, APPLY_CONFIGURED, APPLY_UNCHANGED };

/** Applies one object by server-side apply, and finds out what that changed. Fields that just the agent wrote before are taken back from it.
 *  @param[out] ret_object  new reference: as the server has it now; may be NULL. */
enum err_code apply_object(struct cluster *cluster, const json_t *object, const struct cluster_write *write,
                           enum apply_outcome *ret_outcome, json_t **ret_object, struct err *reterr) MUST_USE;

/** Applies an array of objects in its order, and tells each. In a dry run what lies in a namespace that is not there yet counts as created: the server cannot
 *  judge it. Ends at the first object that fails: what was done is told, and the text names the one that failed. */
enum err_code apply_objects(struct cluster *cluster, const json_t *objects, const struct cluster_write *write,
                            struct err *reterr) MUST_USE;

enum apply_owner { APPLY_ABSENT, APPLY_OWN, APPLY_OTHERS };
/** Whose an object is of the kinds that svcmirror's commands make: theirs if its label app.kubernetes.io/name says svcmirror. */
enum err_code apply_find_owner(struct cluster *cluster, const struct resource *resource, const char *namespace,
                               const char *name, enum apply_owner *ret_owner, struct err *reterr) MUST_USE;

/** Deletes one object and tells it; one that is not there is no failure, and nothing is told. */
enum err_code apply_delete(struct cluster *cluster, const struct resource *resource, const char *namespace,
                           const char *name, const struct cluster_write *write, struct err *reterr) MUST_USE;
