/* Who of several replicas writes: one Lease for each link, under the name by which Linkerd's own controller for that link elects its leader, so that
 * the two never write the same mirrors; and one, Linkerd's again, for what belongs to no single link. Replicas share the Leases evenly, hand them
 * over when their number changes, and stand in for one another.
 *
 * Everything takes NULL leases: a place without election, where this process alone writes (--leader-elect=false). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"
#include "mirror/link.h"
#include "mirror/world.h"

enum { LEASES_NAME_BYTES = 254 }; /* an object's name */

struct control;
struct leases;
struct tenure; /* one Lease, and what we are to it */

/** The name of the Lease of one link. @param link  the Link's name; of a credentials Secret, its cluster's. */
void leases_name(const char *link, char name[LEASES_NAME_BYTES]);

enum err_code leases_new(struct control *control, struct leases **ret_leases) MUST_USE;
void leases_free(struct leases *leases);
/** Once a turn: decides who should hold what, as far as that is ours to decide. */
void leases_turn(struct leases *leases);
/** Whether it is known who holds what, or known that it cannot be known. */
bool leases_known(const struct leases *leases);
/** Whether it is known who writes what, and no right for that is missing; else appends why not. */
bool leases_ready(const struct leases *leases, struct strbuf *why);

/** A link is there, and wants a holder; or is gone. */
enum err_code leases_join(struct leases *leases, const struct link *link) MUST_USE;
void leases_leave(struct leases *leases, const struct link *link);

/** Whether we may begin a write for this mirror, at this very moment. */
bool leases_may_write(struct leases *leases, const struct mirror *mirror);
bool leases_may_tell(struct leases *leases, const struct link *link); /* likewise, of the Link's status */
/** Whether another is known to write for the link; for `link` NULL, for what belongs to no single link. */
bool leases_is_elsewhere(struct leases *leases, const struct link *link);

/** A write begins: until tenure_end() the Lease is not given back. @return NULL without election. */
struct tenure *leases_begin(struct leases *leases, const struct mirror *mirror);
struct tenure *leases_begin_status(struct leases *leases, const struct link *link);
/** Whether the write may be sent, at this very moment. Takes NULL. */
bool tenure_may_send(const struct tenure *tenure);
void tenure_end(struct tenure *tenure); /* takes NULL */

/** Gives everything back, each Lease once its writes have ended. */
void leases_stop(struct leases *leases);
bool leases_busy(const struct leases *leases);

/** Who holds the link's Lease, "" when nobody is known to. Borrowed. */
const char *leases_holder(struct leases *leases, const struct link *link);
bool leases_holds(struct leases *leases, const struct link *link);
void leases_collect(struct leases *leases); /* fills its gauges */
