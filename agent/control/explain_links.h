/* Why a link, or a gateway, works or not: its declaration, its credentials, the target, the gateways, what is exported, and what follows for the
 * mirrors. Works on a preview, as explain.h does: first, when everything is settled, it reads what is there now; then, when the writes are collected,
 * what was decided. It asks nobody. */
#pragma once

#include "agent/control/explain.h"

struct explain_links;

struct explain_links_config {
    struct control *control; /* made with dry_run */
    struct preview *preview; /* settled; its `wants` is explain_links_wants() */
    bool gateways;           /* gateways are asked about, else links */
    /* Of links: the name of a Link, of a Secret, or of the cluster. Of gateways: likewise, all that it has; or that of its Service in the target, which
     * is in `namespace` if that is not NULL. Borrowed. */
    const char *namespace, *name;
    const char *link; /* only of this link, as in link_scope.h; NULL: of any */
};

enum err_code explain_links_new(const struct explain_links_config *config, struct explain_links **ret_explain,
                                struct err *reterr) MUST_USE;
void explain_links_free(struct explain_links *explain); /* takes NULL; before the control */
/** Whether the mirror belongs to what is asked about. */
bool explain_links_wants(const struct explain_links *explain, const char *mirror_key);
/** After the preview's on_collected: completes the facts. @return ERR_OK or ERR_NOMEM. */
enum err_code explain_links_finish(struct explain_links *explain) MUST_USE;
size_t explain_links_count(const struct explain_links *explain); /* 0: nothing has that name */
const struct explanation *explain_links_get(const struct explain_links *explain, size_t index);
