/* Which targets there are: what Links and 2.8's credentials Secrets declare, as checks see them. Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/** Puts together what `links` and `secrets` (arrays of objects; NULL: none) declare.
 *  @param linkerd_namespace  of targets whose declaration names none. @param wanted  the one cluster that concerns us; "": all.
 *  @return new: `targets` of a snapshot (check.h), without facts; NULL when out of memory. */
json_t *targets_declared(const json_t *links, const json_t *secrets, const char *namespace,
                         const char *linkerd_namespace, const char *wanted);

/** Whether it is asked for: others are only known by name. */
bool target_concerns(const json_t *target);
/** Whether its API server answered: when not, one check says so, and the others leave it out. */
bool target_answers(const json_t *target);
/** The Secret with its credentials, or NULL. @param secrets  array. */
const json_t *target_secret(const json_t *target, const json_t *secrets);
/** The text of the kubeconfig in base64, or NULL. @param secrets  array. */
const char *target_kubeconfig(const json_t *target, const json_t *secrets);
