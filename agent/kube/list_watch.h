/* Follows one collection of one API server for ever: list (or stream the list, see kube_client_stream_lists()), watch from there, and
 * whatever must be done when either breaks (reference: client-go's tools/cache/reflector.go). Never loses the thread, never delivers half
 * a list as a whole one, never gives up: it backs off (0.8 s doubling to 30 s, and as much again at random) and says what is wrong
 * meanwhile.
 *
 * Deliveries, all from the loop, and each of them may free the list_watch:
 *   on_begin    a complete listing begins (first, or after the server forgot our place); objects of it follow as CHANGE_LISTED. Runs when
 *               the answer arrives, and again when a listing breaks and starts over
 *   on_object   one object was listed, added, modified or deleted. The JSON is borrowed for the call. While a listing is streamed
 *               something listed before may be deleted
 *   on_end      the listing is complete: whatever was not named since on_begin does not exist. From here the collection is synced
 *   on_state    `state` changed: reachable or not, synced or not, why
 * A watch that continues from its place brings no on_begin. An ERR_NOMEM returned by on_object makes it start over with a fresh listing
 * after the back-off; nothing is skipped. Any other code leaves that one object to its owner. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/client.h"
#include "agent/kube/json_tree.h"

struct list_watch;

enum change { CHANGE_LISTED, CHANGE_ADDED, CHANGE_MODIFIED, CHANGE_DELETED };

struct list_watch_state {
    bool synced;      /* one listing was completed (stays true through later outages) */
    bool healthy;     /* the last request worked: a watch is open, or a listing proceeds */
    struct err error; /* why not healthy; names the verb, the resource and the cluster; for 403 the missing right */
    int status;       /* HTTP status of that failure, 0 when none */
    uint64_t last_event_ms;                    /* loop time of the last sign of life (event, bookmark, list page) */
    uint64_t retry_at_ms;                      /* when the next attempt is due; 0 when healthy */
    uint64_t lists, watches, events, failures; /* counters */
};

struct list_watch_config {
    const char *resource;       /* plural, for texts and metrics: "services" */
    const char *kind;           /* objects of another kind are ignored, e.g. "Service" */
    const char *path;           /* collection, e.g. "/api/v1/services"; copied */
    const char *label_selector; /* not encoded; NULL or "": all; copied */
    const char *field_selector; /* likewise */
    enum err_code (*on_object)(void *context, enum change change, const struct json_tree *object);
    void (*on_begin)(void *context);
    void (*on_end)(void *context);
    void (*on_state)(void *context, const struct list_watch_state *state);
    void *context;
};

/** Starts at once. @return ERR_OK, ERR_NOMEM. */
enum err_code list_watch_new(struct loop *loop, struct kube_client *client, const struct list_watch_config *config,
                             struct list_watch **ret_watch, struct err *reterr) MUST_USE;
void list_watch_free(struct list_watch *watch); /* takes NULL; no callback follows */
const struct list_watch_state *list_watch_state(const struct list_watch *watch);
/** Lists anew, at once when it watches, else after the back-off that it is in; a listing under way goes on and counts for nothing here. Not from its
 *  own callbacks. */
void list_watch_relist(struct list_watch *watch);
/** Tries again now instead of at the end of the back-off (credentials changed). */
void list_watch_retry_now(struct list_watch *watch);
/** Lists from the beginning, for an owner who left something out and can take it now. Calls nothing back. */
void list_watch_list_again(struct list_watch *watch);
