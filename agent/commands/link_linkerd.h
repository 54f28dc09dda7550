/* What `link` does for Linkerd's control plane in the source beside the objects of the link: it tells when that has to start anew to know its credentials,
 * and takes away what an earlier `link` gave it. */
#pragma once

#include "agent/commands/cluster.h"
#include "agent/commands/link_options.h"
#include "base/arena.h"
#include "base/err.h"

/** Everything is borrowed. */
struct link_linkerd {
    struct cluster *source, *target;
    const struct link_wish *wish;
    const struct cluster_write *write;
    struct arena *arena;
    const char *before; /* what its Secret held; NULL: it was not there, or may not be read */
};

/** Reads `before`, before the link's objects are written. @return ERR_OK, a failure of the network. */
enum err_code link_linkerd_begin(struct link_linkerd *linkerd, struct err *reterr) MUST_USE;
/** Tells on stderr that the Secret holds something else by now: the destination controller looks at one when it is made, and never again (linkerd2,
 *  controller/api/destination/watcher/cluster_store.go). Also after writing that failed half-way: the next run would not know. */
void link_linkerd_tell(const struct link_linkerd *linkerd);
/** Where the link is to be without: its Secret in the source goes, if svcmirror made it, and the account, which other sources may need, is told; as is what
 *  stays only because nobody could say the target's trust domain. And that the agent's Secret asks for a copy of its own token in the place of Linkerd's, as
 *  older versions had it.
 *  @return ERR_OK, what the API gave. */
enum err_code link_linkerd_clear(const struct link_linkerd *linkerd, struct err *reterr) MUST_USE;
