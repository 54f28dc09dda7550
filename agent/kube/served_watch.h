/* Follows one collection of a resource type that a server may not have (a CRD), in the version that it serves: asks which, then lists and watches,
 * and begins again when the version changes. What is in the collection is list_watch's to tell. */
#pragma once

#include "agent/kube/list_watch.h"

struct served_watch;

struct served_watch_config {
    const char *group;
    const char *const *versions; /* best first, NULL at the end; borrowed for the object's life */
    /** The version that is served, one of `versions`; NULL: none, asked again for ever. Whenever that changes. */
    void (*on_version)(void *context, const char *version);
    /** Which version cannot be asked for, while none is known. */
    void (*on_unasked)(void *context, const struct err *error);
    struct list_watch_config collection; /* `resource` and `kind` of constant texts; `path` is made here */
};

/** Starts at once; calls back from the loop only. @return ERR_OK, ERR_NOMEM. */
enum err_code served_watch_new(struct loop *loop, struct kube_client *client, const struct served_watch_config *config,
                               struct served_watch **ret_watch, struct err *reterr) MUST_USE;
void served_watch_free(struct served_watch *watch); /* takes NULL; no callback follows */
