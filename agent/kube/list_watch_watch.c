/* Watching. Rules: client-go's tools/cache/reflector.go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/list_watch_internal.h"

/* ---- what arrives ---- */

/* A Status in the stream, most often 410: it ends the watch, and says more than the end of the connection after it. */
static enum err_code take_error(struct list_watch *watch, const struct json_tree *status, struct err *reterr)
{
    char what[256];
    (void)snprintf(what, sizeof(what), "%s %s in cluster %s", watch->machine == STATE_STREAMING ? "list" : "watch",
                   watch->config.resource, kube_client_label(watch->client));
    watch->stream_failure = (struct kube_failure){.retry_after_ms = -1};
    json_t *json = json_tree_to_json(status);
    failure_from_status(&watch->stream_failure, json, (int)json_tree_integer(json_tree_get(status, "code")), what);
    json_decref(json);
    return err_set(reterr, watch->stream_failure.error.code, "%s", watch->stream_failure.error.text);
}

static bool is_young(const struct list_watch *watch)
{
    return loop_now_ms(watch->loop) - watch->began_ms < LIST_WATCH_SHORT_MS;
}

static enum err_code take_event(struct list_watch *watch, const struct json_tree *event, struct err *reterr)
{
    const char *type = json_tree_text(json_tree_get(event, "type"));
    const struct json_tree *object = json_tree_get(event, "object");
    if (type == NULL || !json_tree_is(object, JSON_TREE_OBJECT))
        return err_set(reterr, ERR_PROTOCOL, "a watch event has no type or no object");
    if (strcmp(type, "ERROR") == 0)
        return take_error(watch, object, reterr);
    list_watch_set_healthy(watch);
    if (watch->dead)
        return ERR_CANCELLED;
    if (watch->machine == STATE_STREAMING)
        TRY(list_watch_count(watch, reterr));
    if (watch->machine == STATE_STREAMING)
        return list_watch_is_wanted(watch, object) ? list_watch_take_initial(watch, type, object, reterr) : ERR_OK;
    watch->signs++;
    watch->silences = 0;
    if (!is_young(watch))
        watch->expiries = 0;
    if (!list_watch_is_wanted(watch, object))
        return ERR_OK;
    if (strcmp(type, "ADDED") == 0)
        TRY(list_watch_deliver(watch, CHANGE_ADDED, object, reterr));
    else if (strcmp(type, "MODIFIED") == 0)
        TRY(list_watch_deliver(watch, CHANGE_MODIFIED, object, reterr));
    else if (strcmp(type, "DELETED") == 0)
        TRY(list_watch_deliver(watch, CHANGE_DELETED, object, reterr));
    else if (strcmp(type, "BOOKMARK") != 0)
        return ERR_OK; /* a type that is yet to be invented */
    watch->state.events += strcmp(type, "BOOKMARK") != 0;
    (void)list_watch_note_version(watch, object);
    return ERR_OK;
}

static enum err_code on_piece(void *context, const char *text, size_t bytes, enum json_split_piece piece,
                              struct err *reterr)
{
    (void)piece;
    struct list_watch *watch = context;
    const struct json_tree *event = NULL;
    TRY(list_watch_parse_piece(watch, text, bytes, true, &event, reterr));
    return take_event(watch, event, reterr);
}

/* ---- its end ---- */

/* What a broken watch leads to: the place is kept wherever it may still be good. */
static void fail_watch(struct list_watch *watch, const struct kube_failure *failure)
{
    enum err_code code = failure->error.code;
    if (code == ERR_EXPIRED && watch->expiries++ == 0) { /* not a fault: the server forgot our place */
        list_watch_wait(watch, STATE_LISTING, 0);
        return;
    }
    if (failure->version_too_large)
        watch->list_from = LIST_FROM_QUORUM;
    bool place_is_bad = failure->version_too_large || code == ERR_REJECTED || code == ERR_NOT_FOUND ||
                        code == ERR_PROTOCOL || code == ERR_LIMIT;
    bool given_up = code == ERR_SERVER && ++watch->server_errors > LIST_WATCH_SERVER_ERRORS;
    bool needs_list = watch->lost_an_object || code == ERR_NOMEM || code == ERR_EXPIRED || place_is_bad || given_up;
    list_watch_fail(watch, needs_list ? STATE_LISTING : STATE_WATCHING, failure);
}

/* A server whose history was put back, as etcd is from a backup, takes a place that lies ahead of it and says nothing until its history has come
 * that far, not even in bookmarks: what is different then would never be told. A listing tells: it is refused for such a place, where a streamed one
 * would wait. A server that has no bookmarks is mute as often as nothing happens: it is asked after the first, second, fourth, eighth silence in a row. */
static bool doubts_silence(struct list_watch *watch, const struct kube_failure *failure)
{
    if (failure->error.code != ERR_TIMEOUT || watch->signs > 0)
        return false;
    watch->silences++;
    bool doubts = (watch->silences & (watch->silences - 1)) == 0;
    watch->plain = watch->plain || doubts;
    return doubts;
}

/* A connection that had worked and broke is opened again at once; when that does not work, it is a failure. */
static bool continue_broken(struct list_watch *watch, const struct kube_failure *failure)
{
    bool connection = failure->error.code == ERR_CONNECT || failure->error.code == ERR_TIMEOUT;
    bool worked = watch->call.status == 200 && (watch->signs > 0 || !is_young(watch));
    if (!connection || !worked || watch->lost_an_object || watch->short_lives > LIST_WATCH_SHORT_LIVES)
        return false;
    watch->state.healthy = false;
    watch->state.error = failure->error;
    list_watch_wait(watch, doubts_silence(watch, failure) ? STATE_LISTING : STATE_WATCHING, 0);
    return true;
}

void list_watch_end_watch(struct list_watch *watch, const struct err *error)
{
    struct kube_failure failure;
    struct err own = {0};
    list_watch_observe(watch);
    if (list_watch_retry_unauthorized(watch, error, STATE_WATCHING))
        return;
    watch->short_lives = is_young(watch) ? watch->short_lives + 1 : 0;
    if (error == NULL && watch->call.status == 200) {
        bool is_short = is_young(watch) && (watch->signs == 0 || watch->short_lives > LIST_WATCH_SHORT_LIVES);
        if (list_watch_split_finish(watch, &own) != ERR_OK)
            (void)err_set(&own, ERR_CONNECT, "the stream ended in the middle of an event");
        else if (is_short)
            (void)err_set(&own, ERR_SERVER, "the watch ended at once%s",
                          watch->signs == 0 ? " without an event" : ", again and again");
        if (own.code == ERR_OK) {
            watch->server_errors = 0;
            list_watch_start_watch(watch); /* from the last version: nothing is lost, nothing is listed */
            return;
        }
        error = &own;
    }
    if (watch->stream_failure.error.code != ERR_OK)
        failure = watch->stream_failure;
    else
        list_watch_describe_failure(watch, "watch", error, &failure);
    if (!continue_broken(watch, &failure))
        fail_watch(watch, &failure);
}

static void on_done(struct http_call *call, const struct err *error)
{
    struct list_watch *watch = call->context;
    list_watch_enter(watch);
    list_watch_end_watch(watch, error);
    list_watch_leave(watch);
}

/* ---- its beginning ---- */

void list_watch_add_timeout(struct list_watch_path *path)
{
    char seconds[16];
    (void)snprintf(seconds, sizeof(seconds), "%u",
                   LIST_WATCH_SECONDS_MIN + arc4random_uniform(LIST_WATCH_SECONDS_MIN + 1));
    list_watch_path_add(path, "timeoutSeconds", seconds);
}

void list_watch_prepare_events(struct list_watch *watch)
{
    list_watch_split(watch, JSON_SPLIT_VALUES, on_piece);
    watch->stream_failure = (struct kube_failure){0};
    watch->signs = 0;
}

void list_watch_start_watch(struct list_watch *watch)
{
    struct list_watch_path path;
    list_watch_path_begin(watch, &path);
    list_watch_path_add(&path, "watch", "1");
    list_watch_path_add(&path, "allowWatchBookmarks", "true");
    list_watch_path_add(&path, "resourceVersion", watch->version);
    list_watch_add_timeout(&path);
    list_watch_prepare_events(watch);
    watch->state.watches++;
    list_watch_send(watch, &path, STATE_WATCHING, on_done);
}
