/* A planned write as if it had been made: the world as it would be after it, so that planning again tells what follows. What an API server would
 * give an object of its own accord (uid, ClusterIP) gets a stand-in that can be told from a real one. */
#pragma once

#include "mirror/plan.h"
#include "mirror/world.h"

/** What stands for the ClusterIP of a Service that is not there yet: an address for documentation (RFC 5737). */
#define PREVIEW_CLUSTER_IP "192.0.2.0"

/** Changes the world as the write would, its effects by the garbage collector included. Objects of the write that lie in the world are gone after.
 *  @param number  another one for each call: it makes uid and resourceVersion. @return ERR_OK or ERR_NOMEM. */
enum err_code preview_apply(struct world *world, const struct write *write, uint64_t number) MUST_USE;
/** The Service of an update as it would be afterwards. Borrows from the write. */
struct service preview_updated_service(const struct write *write);
/** Whether a uid is a stand-in. */
bool preview_is_stand_in(const char *uid);
