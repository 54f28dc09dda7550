/* The agent's replicas, by the Leases of their own that they keep: who lives, and whose caches are filled. Sends nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/control/identity.h"
#include "agent/kube/lease.h"
#include "base/err.h"

struct replicas;

enum { REPLICAS_MAX = 64 };

/** @param own_name  of our own Lease; borrowed, like the others.
 *  @param scope     the name of the one Lease that we take part in, "": in all. @return new, NULL when out of memory. */
struct replicas *replicas_new(const char *own_name, const char *scope, const struct identity *identity);
void replicas_free(struct replicas *replicas); /* takes NULL */

/** A replica's Lease as the API server has it; record.exists == false: it is gone. Our own is passed over. */
enum err_code replicas_see(struct replicas *replicas, const struct lease *lease, uint64_t now_ms) MUST_USE;
/** Around a complete list: what was not seen in between is gone. */
void replicas_begin(struct replicas *replicas);
void replicas_end(struct replicas *replicas);
/** The replica of that identity let a Lease expire: it counts as dead until it renews its own. */
void replicas_suspect(struct replicas *replicas, const char *identity);
/** Whether the identity is a replica's of our scope, dead or alive, or was since the start. */
bool replicas_knows(const struct replicas *replicas, const char *identity);

/** Those of our scope that may hold Leases, ourselves among them, in an order that all of them share: the ready ones that live or, when none is
 *  ready, all that live.
 *  @param[out] ret_identities  at most REPLICAS_MAX, borrowed until the next call of a function here. @return how many; 0 never. */
size_t replicas_candidates(const struct replicas *replicas, bool own_ready, uint64_t now_ms,
                           const char *ret_identities[REPLICAS_MAX]);
/** A replica that ended without taking its Lease away, long enough ago for nobody to need it. @param[out] ret_version  its
 *  resourceVersion. @return the Lease's name, NULL when there is none; both borrowed. */
const char *replicas_leftover(const struct replicas *replicas, uint64_t now_ms, const char **ret_version);
