/* What lets the agent renew a target's token: the right to write the one Secret that holds it. Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

enum { LINK_RENEWAL_NAME_BYTES = 96 };
/** "svcmirror-renew-<cluster>": of the Role and its RoleBinding. */
void link_renewal_name(const char *cluster_name, char buffer[LINK_RENEWAL_NAME_BYTES]);
/** The rule that lets a Secret be renewed. @return new; NULL when out of memory. */
json_t *link_renewal_rule(const char *secret);
/** Appends the Role and the RoleBinding in `namespace` by which the agent of `agent_namespace` may patch Secret `secret` there.
 *  @return whether there was memory. */
bool link_renewal_append(json_t *objects, const char *cluster_name, const char *agent_namespace, const char *namespace,
                         const char *secret);
