/* Which versions of an API group a server has. Asked again at intervals while the group is absent (a CRD that appears later). */
#pragma once

#include <stdbool.h>

#include "agent/kube/client.h"

struct discovery;

/** `version` is the best of the wanted ones that the server serves for `resource`, or NULL when it serves none (borrowed for the call). Called on
 *  the first answer and on every change after it. `error` is set (version NULL) while the server cannot be asked. */
typedef void (*discovery_fn)(void *context, const char *version, const struct err *error);

/** @param wanted  e.g. {"v1alpha3","v1alpha2","v1alpha1",NULL}, best first; borrowed for the object's life.
 *  (at most 8). Asks again each `absent_interval_ms` while absent (0: 5 s), each minute while present. A version that was
 *  told is taken back only after six absent answers in a row, and not for errors. The object may be freed in `fn`. */
enum err_code discovery_new(struct loop *loop, struct kube_client *client, const char *group, const char *resource,
                            const char *const *wanted, uint32_t absent_interval_ms, discovery_fn fn, void *context,
                            struct discovery **ret_discovery, struct err *reterr) MUST_USE;
/** Asks now instead of at the end of the minute: the version that was told answered 404. Nothing while it is being asked for anyway. */
void discovery_ask(struct discovery *discovery);
void discovery_free(struct discovery *discovery);
