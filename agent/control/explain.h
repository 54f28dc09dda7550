/* Why a service of a target is mirrored or not, and ready or not: every decision on the way, as facts. Works on a preview: first, when everything is
 * settled, it reads the service itself and what is there of its mirror; then, when the writes are collected, what was decided. */
#pragma once

#include "agent/control/facts.h"
#include "agent/control/preview.h"

struct explain;

enum explanation_about {
    EXPLAIN_SERVICE,        /* an exported service and its mirror */
    EXPLAIN_GATEWAY_MIRROR, /* a gateway's own mirror */
    EXPLAIN_GATEWAY,        /* a gateway: explain_link.h */
    EXPLAIN_LINK,           /* a link: explain_link.h */
};

/** The way of one service of one target, or of a gateway or a link. Texts are borrowed from the explain. */
struct explanation {
    enum explanation_about about;
    const char *cluster, *link_kind, *link_name; /* cluster "": of a refused declaration that names none */
    const char *namespace, *name; /* of the exported service, of the gateway, or of what declares the link */
    const char *mirror;           /* "namespace/name" in the source; "" without a cluster */
    const char *mode;             /* how it is mirrored: plan_mode_name(); "" when it is not exported */
    const char *verdict;          /* how a gateway or a link is, in a word or two; constant */
    bool exists;                  /* in the target; also when that could not be found out */
    bool mirrored;                /* of services and gateway mirrors */
    bool ready;                   /* of a gateway: it is alive; of a link: nothing is wrong */
    struct facts facts;
};

struct explain_config {
    struct control *control;          /* made with dry_run */
    struct preview *preview;          /* settled; its `wants` is explain_wants() */
    const char *namespace, *name;     /* of an exported service, or of a mirror; borrowed */
    const char *link;                 /* name of a Link or Secret, or of its cluster; NULL: all */
    void (*on_looked)(void *context); /* what is there now is read: preview_collect() may follow */
    void *context;
};

enum err_code explain_new(const struct explain_config *config, struct explain **ret_explain, struct err *reterr)
    MUST_USE;
void explain_free(struct explain *explain); /* takes NULL; before the control */
/** Whether the mirror is one that this is about. */
bool explain_wants(const struct explain *explain, const char *mirror_key);
/** After the preview's on_collected: completes the facts. Services that no target has are left out when another target has it.
 *  @return ERR_OK or ERR_NOMEM. */
enum err_code explain_finish(struct explain *explain) MUST_USE;

size_t explain_count(const struct explain *explain);
const struct explanation *explain_get(const struct explain *explain, size_t index);
/** How the name was understood, when it was not a service's: "demo/web-east is the mirror of ..."; "" otherwise. */
const char *explain_understood(const struct explain *explain);
