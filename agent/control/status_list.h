/* One list of a Link's status as it should be, as JSON text: an entry for each exported service, with one condition. What the API says rightly already is
 * taken over as it stands there. */
#pragma once

#include "agent/kube/json_tree.h"
#include "base/strbuf.h"
#include "mirror/world.h"

struct status_list {
    /* -- set before -- */
    const struct json_tree *old; /* the list that the API holds; NULL: none. Outlives this */
    size_t
        room; /* bytes for entries: then it tells of services that are not mirrored alone; SIZE_MAX: of all, in as many as it takes */
    /* -- what came of it -- */
    size_t count; /* entries */
    size_t fresh,
        gone;     /* entries that say something else than before, or are new; old ones of which there is nothing now */
    bool differs; /* it is not what the API holds */
};

/** Appends the entries, with commas between them, of the link's claims of one kind. An entry at the end, about the Link, tells how much is left out where
 *  `room` was too small; it takes up to STATUS_SUMMARY_BYTES more. Services that are not judged yet keep what was said of them.
 *  @param[in,out] room  less what was used. @return ERR_OK, ERR_NOMEM, ERR_LIMIT: those of `text` among them. */
enum err_code status_list_write(struct status_list *list, struct world_link *link, enum claim_kind kind, int64_t now_us,
                                struct strbuf *text) MUST_USE;

enum { STATUS_SUMMARY_BYTES = 1024 };
