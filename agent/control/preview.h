/* What the agent would write, and writes not: on a control that was made with dry_run. It waits until everything is known that decides (the source is
 * listed, every target is listed or known to be out of reach, every gateway address is judged), then plans, pretends that each write was made, and
 * plans again until nothing is left, so that what follows from a write is told too. Looks up, as the agent would, what has the name of an object to
 * be created. After collecting, the world is the one that would be: what is there now has to be read before. */
#pragma once

#include "agent/control/control.h"
#include "agent/kube/client.h" /* json_t */
#include "mirror/plan.h"

struct preview;

/** One write. Everything is borrowed from the preview. */
struct preview_write {
    enum write_verb verb;
    const char *kind;             /* constant: write_kind_name(), or PREVIEW_LINK */
    const char *namespace, *name; /* of the object; namespace "" for namespaces */
    const char *mirror;           /* "namespace/name" of the mirror that it is for; "" for a Link itself */
    const char *cluster;          /* the target that it is for; "" when none accounts for the mirror any more */
    const char *reason;           /* constant */
    const char *changes;          /* what an update changes, in words; "" for others */
    const json_t
        *object; /* the manifest of the object as it would be afterwards; NULL for deletes, statuses and Links */
};

#define PREVIEW_LINK "Link" /* the finalizer or the status of a Link resource */

struct preview_config {
    struct control *control;
    uint64_t timeout_ms; /* how long to wait until everything is known */
    /* Called once: all is known, or (not in_time) the time is over. Goes on with preview_collect(), now or later. */
    void (*on_settled)(void *context, bool in_time);
    /* Called once, at the end: the writes are complete, or `error` is not NULL. Without on_settled before when the source cannot be read. */
    void (*on_collected)(void *context, const struct err *error);
    /* Which mirrors are planned; NULL: all. */
    bool (*wants)(void *context, const char *mirror_key);
    const char
        *link; /* whose own writes are told, as in link_scope.h; borrowed; NULL: those of all Links; "": of none */
    void *context;
};

/** Starts waiting. @return ERR_OK, ERR_NOMEM, ERR_LIMIT. */
enum err_code preview_new(const struct preview_config *config, struct preview **ret_preview) MUST_USE;
void preview_free(struct preview *preview); /* takes NULL; before the control; not from a callback */
/** Appends what is not known yet, a line each. @return whether all is known. */
bool preview_settled(const struct preview *preview, struct strbuf *why);
/** Whether all declarations of links were read, or cannot be: only then is there none of what is not found. */
bool preview_links_known(const struct preview *preview);
void preview_collect(struct preview *preview);

/** The writes in the order in which they could be made: Namespaces, then mirror by mirror. */
size_t preview_count(const struct preview *preview);
const struct preview_write *preview_get(const struct preview *preview, size_t index);

/** How many mirrors that others made stay because no link names their cluster. */
size_t preview_unaccounted(const struct preview *preview);
/** What is wrong with declarations of links. @param fn  gets "Link/name" or "Secret/name" and why. */
void preview_each_complaint(const struct preview *preview,
                            void (*fn)(void *context, const char *object, const char *text), void *context);
