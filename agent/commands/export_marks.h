/* What marks a service as exported: labels for Links, two annotations for Linkerd 2.8. What to change on a service's metadata to set or take
 * away such marks, and which services would not be mirrored all the same. Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct export_marks {
    const char *exported; /* value of the label mirror.linkerd.io/exported; NULL: not that label */
    bool federated;       /* label mirror.linkerd.io/federated=member */
    bool annotated;       /* 2.8's two annotations, with the names below */
    const char *gateway_name, *gateway_namespace;
};

/** @param modes  comma list of gateway, remote-discovery and federated; NULL: none. @param gateway  NULL: no annotations. Texts are borrowed.
 *  Neither of both means "gateway". @return ERR_OK, ERR_INVALID (an unknown mode, or marks that contradict each other). */
enum err_code export_marks_choose(const char *modes, const char *gateway, const char *gateway_namespace,
                                  struct export_marks *ret_marks, struct err *reterr) MUST_USE;

/** The merge patch that gives a service these marks. @param overwrite  marks of another value are replaced.
 *  @param[out] ret_patch  new; NULL when the service has them. @return ERR_OK, ERR_CONFLICT (it has another value), ERR_NOMEM. */
enum err_code export_marks_add(const json_t *service, const struct export_marks *marks, bool overwrite,
                               json_t **ret_patch, struct err *reterr) MUST_USE;
/** The merge patch that takes marks away. @param marks  which, by their value; NULL: all that there are.
 *  @param[out] ret_patch  new; NULL when it has none. */
enum err_code export_marks_remove(const json_t *service, const struct export_marks *marks, json_t **ret_patch,
                                  struct err *reterr) MUST_USE;
/** Merges such a patch into an object's metadata in place. */
enum err_code export_marks_merge(json_t *service, const json_t *patch, struct err *reterr) MUST_USE;

/** Its name; where a manifest leaves that to the API server, the beginning of it (generateName). "": it has none. */
const char *export_marks_name(const json_t *service);
/** Whether it is the mirror of another cluster's service: those are never exported. */
bool export_marks_is_mirror(const json_t *service);
/** Whether a target's services are mirrored through it. */
bool export_marks_is_gateway(const json_t *service);
/** Why an agent would not mirror a service although it has the marks. NULL: nothing stands in the way. */
const char *export_marks_obstacle(const json_t *service, const struct export_marks *marks);
