/* Which Services of its target a Link has to be told of. A watch takes one label selector, whose requirements must all hold (Kubernetes' API concepts,
 * "label and field selectors"), and a Link has up to three selectors, of which any one will do. Pure. */
#pragma once

#include "base/arena.h"
#include "mirror/link.h"

/** Label selectors as a query takes them, not URL-encoded. A watch may show more than the Link selects, never less. */
struct selection {
    const char *services; /* shows what is to have a mirror of its own; "": nothing is selected; NULL: all Services */
    const char *members;  /* shows members of federated services, apart from these; NULL: the first shows them too */
};

/** @param[out] ret_selection  in the arena. @return ERR_OK, ERR_NOMEM (the arena failed). */
enum err_code selection_of(struct arena *arena, const struct link *link, struct selection *ret_selection) MUST_USE;
