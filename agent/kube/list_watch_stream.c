/* Streaming lists (WatchList): a watch that begins with every object there is, says in a bookmark that these were all, and goes on as a
 * watch. Servers before Kubernetes 1.34 refuse it mostly (422), and something between us and them may ignore it: remembered for the client,
 * and listed by pages from then on. Rules: KEP-3157 and client-go's tools/cache/reflector.go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/list_watch_internal.h"
#include "base/mem.h"

bool list_watch_wants_stream(const struct list_watch *watch)
{
    return transport_streams_lists(watch->client) && watch->continue_token == NULL && !watch->unpaged && !watch->plain;
}

/* ---- what arrives ---- */

static bool ends_initial_events(const struct json_tree *object)
{
    const struct json_tree *annotations = json_tree_get(json_tree_get(object, "metadata"), "annotations");
    const char *value = json_tree_text(json_tree_get(annotations, "k8s.io/initial-events-end"));
    return value != NULL && strcmp(value, "true") == 0;
}

/* Everything was named: what follows on the same stream is a watch's. */
static enum err_code take_bookmark(struct list_watch *watch, const struct json_tree *object, struct err *reterr)
{
    /* A server that streams sends no other bookmark before this one. */
    if (!ends_initial_events(object))
        return err_set(reterr, ERR_UNSUPPORTED, "the server does not stream lists");
    if (!list_watch_note_version(watch, object))
        return err_set(reterr, ERR_PROTOCOL, "the bookmark that ends a streamed list has no resourceVersion");
    list_watch_observe(watch);
    loop_timer_stop(watch->timer);
    watch->machine = STATE_WATCHING;
    watch->signs = 1;
    watch->state.watches++;
    list_watch_complete(watch);
    return watch->dead ? ERR_CANCELLED : ERR_OK;
}

/* Changes happen meanwhile, too: what is deleted was not named, or is no longer there. */
static enum err_code take_object(struct list_watch *watch, const char *type, const struct json_tree *object,
                                 struct err *reterr)
{
    bool is_there = strcmp(type, "ADDED") == 0 || strcmp(type, "MODIFIED") == 0;
    if (!is_there && strcmp(type, "DELETED") != 0)
        return ERR_OK; /* a type that is yet to be invented */
    list_watch_begin(watch);
    return watch->dead ? ERR_CANCELLED
                       : list_watch_deliver(watch, is_there ? CHANGE_LISTED : CHANGE_DELETED, object, reterr);
}

enum err_code list_watch_take_initial(struct list_watch *watch, const char *type, const struct json_tree *object,
                                      struct err *reterr)
{
    if (strcmp(type, "BOOKMARK") == 0)
        return take_bookmark(watch, object, reterr);
    return take_object(watch, type, object, reterr);
}

/* ---- its end ---- */

/* The same by pages, at once: what comes of that is told. */
static void list_plainly(struct list_watch *watch)
{
    watch->plain = true;
    list_watch_wait(watch, STATE_LISTING, 0);
}

static bool is_about_the_place(const struct kube_failure *failure)
{
    return failure->error.code == ERR_EXPIRED || failure->version_too_large;
}

static void fail_stream(struct list_watch *watch, const struct kube_failure *failure)
{
    enum err_code code = failure->error.code;
    list_watch_reset_listing(watch);
    if (is_about_the_place(failure) && watch->list_from != LIST_FROM_QUORUM) {
        watch->list_from = LIST_FROM_QUORUM;
        list_watch_wait(watch, STATE_LISTING, failure->retry_after_ms > 0 ? (uint64_t)failure->retry_after_ms : 0);
        return;
    }
    /* A 400 may be about the version that was named, 422 is about the parameters. */
    bool refused = code == ERR_REJECTED && (failure->status == 422 || watch->list_from != LIST_FROM_LAST);
    if (refused || code == ERR_UNSUPPORTED)
        transport_refuse_streams(watch->client);
    if (code == ERR_REJECTED || code == ERR_UNSUPPORTED || code == ERR_FORBIDDEN || code == ERR_NOT_FOUND) {
        list_plainly(watch);
        return;
    }
    /* Who did not answer, or asks for patience, would do the same to a list; whatever broke a stream need not break a list. */
    watch->plain = watch->call.status != 0 && code != ERR_BUSY;
    list_watch_fail(watch, STATE_LISTING, failure);
}

static void end_stream(struct list_watch *watch, const struct err *error)
{
    struct kube_failure failure;
    struct err own = {0};
    if (watch->stream_failure.error.code != ERR_OK) {
        failure = watch->stream_failure;
    } else {
        if (error == NULL && watch->call.status == 200) {
            (void)err_set(&own, ERR_SERVER, "the streamed list ended before it was complete");
            error = &own;
        }
        list_watch_describe_failure(watch, "list", error, &failure);
    }
    list_watch_observe(watch);
    fail_stream(watch, &failure);
}

static void on_done(struct http_call *call, const struct err *error)
{
    struct list_watch *watch = call->context;
    list_watch_enter(watch);
    if (watch->machine == STATE_WATCHING)
        list_watch_end_watch(watch, error);
    else if (!list_watch_retry_unauthorized(watch, error, STATE_LISTING))
        end_stream(watch, error);
    else
        list_watch_reset_listing(watch);
    list_watch_leave(watch);
}

/* Nothing came for too long. Who has answered, and then says neither what there is nor that this was all, does not know what was asked. */
void list_watch_stream_is_silent(struct list_watch *watch)
{
    struct err error = {0};
    struct kube_failure failure;
    enum err_code code = watch->call.status == 0 ? ERR_TIMEOUT : ERR_UNSUPPORTED;
    (void)err_set(&error, code, "%s: nothing received in time", kube_client_server(watch->client));
    list_watch_describe_failure(watch, "list", &error, &failure);
    list_watch_observe(watch);
    transport_cancel(watch->client, &watch->call); /* it may be waiting for credentials */
    fail_stream(watch, &failure);
}

/* ---- its beginning ---- */

void list_watch_start_stream(struct list_watch *watch)
{
    static const char *const versions[] = {[LIST_FROM_CACHE] = "0", [LIST_FROM_QUORUM] = ""};
    struct list_watch_path path;
    list_watch_path_begin(watch, &path);
    list_watch_path_add(&path, "watch", "1");
    list_watch_path_add(&path, "allowWatchBookmarks", "true");
    list_watch_path_add(&path, "sendInitialEvents", "true");
    list_watch_path_add(&path, "resourceVersionMatch", "NotOlderThan");
    bool from_last = watch->list_from == LIST_FROM_LAST;
    list_watch_path_add(&path, "resourceVersion", from_last ? watch->version : versions[watch->list_from]);
    list_watch_add_timeout(&path);
    list_watch_prepare_events(watch);
    watch->state.lists++;
    list_watch_send(watch, &path, STATE_STREAMING, on_done);
}
