#include "agent/kube/list_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/list_watch_internal.h"
#include "base/mem.h"
#include "base/text.h"

unsigned list_watch_objects = LIST_WATCH_OBJECTS;

/* ---- life ---- */

static void release(struct list_watch *watch)
{
    loop_timer_free(watch->timer);
    http_call_done(&watch->call);
    json_split_done(&watch->split);
    proto_split_done(&watch->proto);
    arena_done(&watch->piece);
    strbuf_done(&watch->held);
    mem_free(watch->continue_token);
    for (size_t i = 0; i < ARRAY_COUNT(watch->texts); i++)
        mem_free(watch->texts[i]);
    mem_free(watch);
}

void list_watch_enter(struct list_watch *watch) { watch->busy++; }

void list_watch_leave(struct list_watch *watch)
{
    if (--watch->busy > 0)
        return;
    arena_done(&watch->piece); /* most list_watches are silent most of the time */
    if (watch->dead)
        release(watch);
}

void list_watch_free(struct list_watch *watch)
{
    if (watch == NULL)
        return;
    if (!watch->dead) {
        watch->dead = true;
        transport_unfollow(watch->client, &watch->follower);
        transport_cancel(watch->client, &watch->call);
        loop_timer_stop(watch->timer);
    }
    if (watch->busy == 0)
        release(watch);
}

const struct list_watch_state *list_watch_state(const struct list_watch *watch) { return &watch->state; }

/* ---- the machine ---- */

static void set_state(struct list_watch *watch, enum state state) { watch->machine = state; }

void list_watch_wait(struct list_watch *watch, enum state next, uint64_t delay_ms)
{
    set_state(watch, STATE_WAITING);
    watch->next = next;
    loop_timer_start(watch->timer, delay_ms);
}

void list_watch_relist(struct list_watch *watch)
{
    if (watch->machine == STATE_WAITING)
        watch->next = STATE_LISTING;
    if (watch->machine != STATE_WATCHING)
        return;
    transport_cancel(watch->client, &watch->call);
    list_watch_wait(watch, STATE_LISTING, 0);
}

void list_watch_retry_now(struct list_watch *watch)
{
    if (watch->machine == STATE_WAITING)
        loop_timer_start(watch->timer, 0);
}

static void on_timer(void *context)
{
    struct list_watch *watch = context;
    list_watch_enter(watch);
    if (watch->machine == STATE_STREAMING) {
        list_watch_stream_is_silent(watch);
    } else if (watch->machine != STATE_WAITING) { /* a watch was answered */
        list_watch_observe(watch);
        list_watch_set_healthy(watch);
    } else if (watch->next == STATE_WATCHING) {
        list_watch_start_watch(watch);
    } else {
        list_watch_start_list(watch);
    }
    list_watch_leave(watch);
}

/* The client has other certificates: go on with them, from the same place. */
static void on_replaced(void *context)
{
    struct list_watch *watch = context;
    if (watch->machine == STATE_WAITING)
        return;
    transport_cancel(watch->client, &watch->call);
    list_watch_reset_listing(watch);
    list_watch_wait(watch, watch->machine == STATE_WATCHING ? STATE_WATCHING : STATE_LISTING, 0);
}

void list_watch_list_again(struct list_watch *watch)
{
    if (watch->machine == STATE_WAITING) { /* the back-off stays as it is */
        watch->next = STATE_LISTING;
        return;
    }
    transport_cancel(watch->client, &watch->call);
    list_watch_reset_listing(watch);
    list_watch_wait(watch, STATE_LISTING, 0);
}

/* ---- health ---- */

static void tell_state(struct list_watch *watch)
{
    if (watch->config.on_state != NULL)
        watch->config.on_state(watch->config.context, &watch->state);
}

void list_watch_set_healthy(struct list_watch *watch)
{
    uint64_t now_ms = loop_now_ms(watch->loop);
    watch->state.last_event_ms = now_ms;
    watch->retried_unauthorized = false;
    if (watch->state.healthy)
        return;
    watch->state.healthy = true;
    watch->state.error = (struct err){0};
    watch->state.status = 0;
    watch->state.retry_at_ms = 0;
    watch->healthy_since_ms = now_ms;
    tell_state(watch);
}

static uint64_t backoff_ms(struct list_watch *watch)
{
    uint64_t now_ms = loop_now_ms(watch->loop);
    if (watch->healthy_since_ms != 0 && now_ms - watch->healthy_since_ms > LIST_WATCH_HEALTHY_MS)
        watch->failures = 0;
    watch->healthy_since_ms = 0;
    uint64_t delay_ms = (uint64_t)LIST_WATCH_BACKOFF_MS << (watch->failures < 6 ? watch->failures : 6);
    watch->failures++;
    if (delay_ms > LIST_WATCH_BACKOFF_CAP_MS)
        delay_ms = LIST_WATCH_BACKOFF_CAP_MS;
    /* Many watches of a server that comes back must not all ask at once. */
    return delay_ms + arc4random_uniform((uint32_t)delay_ms);
}

void list_watch_fail(struct list_watch *watch, enum state next, const struct kube_failure *failure)
{
    uint64_t delay_ms = backoff_ms(watch);
    if (failure->retry_after_ms > 0 && (uint64_t)failure->retry_after_ms > delay_ms)
        delay_ms = (uint64_t)failure->retry_after_ms;
    watch->state.failures++;
    watch->state.healthy = false;
    watch->state.error = failure->error;
    watch->state.status = failure->status;
    watch->state.retry_at_ms = loop_now_ms(watch->loop) + delay_ms;
    list_watch_wait(watch, next, delay_ms);
    tell_state(watch);
}

void list_watch_describe_failure(struct list_watch *watch, const char *verb, const struct err *error,
                                 struct kube_failure *failure)
{
    char what[256];
    const char *cluster = kube_client_label(watch->client);
    (void)snprintf(what, sizeof(what), "%s %s in cluster %s", verb, watch->config.resource, cluster);
    failure_fill(failure, &watch->call, error, what);
    if (failure->error.code == ERR_FORBIDDEN)
        failure_name_right(failure, verb, watch->config.resource, cluster);
}

bool list_watch_retry_unauthorized(struct list_watch *watch, const struct err *error, enum state again)
{
    if (watch->retried_unauthorized || !transport_refresh(watch->client, watch->generation, &watch->call, error))
        return false;
    watch->retried_unauthorized = true;
    list_watch_wait(watch, again, 0);
    return true;
}

void list_watch_observe(struct list_watch *watch)
{
    if (watch->observed)
        return;
    watch->observed = true;
    const char *verb = watch->machine == STATE_WATCHING ? "watch" : "list";
    transport_observe(watch->client, verb, watch->config.resource, &watch->call, watch->started_us);
}

/* ---- delivering ---- */

enum err_code list_watch_parse(struct arena *arena, const char *text, size_t bytes, const char *what,
                               const struct json_tree **ret_value, struct err *reterr)
{
    arena_reset(arena);
    enum err_code code = json_tree_parse(arena, text, bytes, ret_value, reterr);
    if (code == ERR_PROTOCOL)
        (void)err_context(reterr, "%s is not JSON", what);
    return code;
}

enum err_code list_watch_parse_piece(struct list_watch *watch, const char *text, size_t bytes, bool is_event,
                                     const struct json_tree **ret_value, struct err *reterr)
{
    if (!watch->is_proto)
        return list_watch_parse(&watch->piece, text, bytes, is_event ? "a watch event" : "an item of the list",
                                ret_value, reterr);
    arena_reset(&watch->piece);
    return is_event ? proto_tree_event(&watch->piece, text, bytes, watch->type, ret_value, reterr)
                    : proto_tree_read(&watch->piece, text, bytes, watch->type, ret_value, reterr);
}

void list_watch_split(struct list_watch *watch, enum json_split_mode mode, json_split_fn fn)
{
    json_split_done(&watch->split);
    json_split_init(&watch->split, mode, LIST_WATCH_OBJECT_BYTES, fn, watch);
    proto_split_done(&watch->proto);
    proto_split_init(&watch->proto, mode, LIST_WATCH_OBJECT_BYTES, fn, watch);
    watch->is_proto = false;
}

enum err_code list_watch_split_finish(struct list_watch *watch, struct err *reterr)
{
    return watch->is_proto ? proto_split_finish(&watch->proto, reterr) : json_split_finish(&watch->split, reterr);
}

enum err_code list_watch_count(struct list_watch *watch, struct err *reterr)
{
    if (watch->named++ < list_watch_objects)
        return ERR_OK;
    return err_set(reterr, ERR_LIMIT, "the list has no end within %u objects", list_watch_objects);
}

/* Items of a list carry no kind of their own, except those of custom resources. */
bool list_watch_is_wanted(const struct list_watch *watch, const struct json_tree *object)
{
    const char *kind = json_tree_text(json_tree_get(object, "kind"));
    return kind == NULL || strcmp(kind, watch->config.kind) == 0;
}

enum err_code list_watch_deliver(struct list_watch *watch, enum change change, const struct json_tree *object,
                                 struct err *reterr)
{
    enum err_code code = watch->config.on_object(watch->config.context, change, object);
    if (watch->dead)
        return ERR_CANCELLED;
    if (code != ERR_NOMEM)
        return ERR_OK; /* an object that cannot be used is its owner's to report */
    watch->lost_an_object = true;
    return err_set(reterr, ERR_NOMEM, "out of memory");
}

bool list_watch_note_version(struct list_watch *watch, const struct json_tree *object)
{
    const char *version = json_tree_text(json_tree_get(json_tree_get(object, "metadata"), "resourceVersion"));
    if (version == NULL || version[0] == '\0' || strlen(version) >= sizeof(watch->version))
        return false;
    (void)snprintf(watch->version, sizeof(watch->version), "%s", version);
    return true;
}

/* ---- sending ---- */

void list_watch_path_begin(struct list_watch *watch, struct list_watch_path *path)
{
    arena_init(&path->arena, 1 << 20);
    strbuf_init(&path->text, 64 << 10);
    strbuf_append(&path->text, watch->config.path);
    list_watch_path_add(path, "labelSelector", watch->config.label_selector);
    list_watch_path_add(path, "fieldSelector", watch->config.field_selector);
}

void list_watch_path_add(struct list_watch_path *path, const char *name, const char *value)
{
    if (value[0] == '\0')
        return;
    const char *escaped = kube_query_escape(&path->arena, value);
    const char *separator = strchr(strbuf_text(&path->text), '?') != NULL ? "&" : "?";
    strbuf_printf(&path->text, "%s%s=%s", separator, name, escaped != NULL ? escaped : "");
}

static bool is_in_protobuf(const struct http_call *call)
{
    return text_starts_with(call->content_type, PROTO_MEDIA_TYPE);
}

/* A watch that is open is healthy, though nothing may happen on it for a minute. This is inside of the network code: only noted here,
 * the owner hears of it a moment later. A page of a proxy in between is no watch. */
static void on_head(struct http_call *call)
{
    struct list_watch *watch = call->context;
    if (watch->machine == STATE_STREAMING)
        loop_timer_start(watch->timer, LIST_WATCH_STREAM_SILENCE_MS);
    else if (text_starts_with(call->content_type, "application/json") || is_in_protobuf(call))
        loop_timer_start(watch->timer, 0);
}

static enum err_code on_data(struct http_call *call, const char *data, size_t bytes, struct err *reterr)
{
    struct list_watch *watch = call->context;
    list_watch_enter(watch);
    if (watch->machine == STATE_STREAMING)
        loop_timer_start(watch->timer, LIST_WATCH_STREAM_SILENCE_MS);
    watch->is_proto = watch->type != NULL && is_in_protobuf(call);
    enum err_code code = watch->is_proto ? proto_split_feed(&watch->proto, data, bytes, reterr)
                                         : json_split_feed(&watch->split, data, bytes, reterr);
    /* Text in its place begins with the length of an event that is too long. */
    if (!watch->dead && watch->is_proto && (code == ERR_PROTOCOL || code == ERR_LIMIT))
        transport_refuse_protobuf(watch->client);
    if (watch->dead)
        code = ERR_CANCELLED;
    list_watch_leave(watch);
    return code;
}

void list_watch_send(struct list_watch *watch, struct list_watch_path *path, enum state state,
                     void (*on_done)(struct http_call *call, const struct err *error))
{
    http_call_done(&watch->call);
    watch->type = transport_takes_protobuf(watch->client) ? proto_type_of(watch->config.kind) : NULL;
    watch->call = (struct http_call){
        .path = strbuf_text(&path->text),
        .headers = {watch->type != NULL ? "Accept: " PROTO_MEDIA_TYPE ",application/json" : "Accept: application/json"},
        .idle_timeout_ms = state == STATE_LISTING ? LIST_WATCH_LIST_SILENCE_MS : LIST_WATCH_SILENCE_MS,
        .on_head = state != STATE_LISTING ? on_head : NULL,
        .on_data = on_data,
        .on_done = on_done,
        .context = watch,
        .retry_after_ms = -1,
    };
    set_state(watch, state);
    loop_timer_stop(watch->timer);
    if (state == STATE_STREAMING)
        loop_timer_start(watch->timer, LIST_WATCH_LIST_SILENCE_MS);
    watch->started_us = loop_precise_us(watch->loop);
    watch->began_ms = loop_now_ms(watch->loop);
    watch->observed = false;
    struct err error = {0};
    enum err_code code = ERR_OK;
    if (arena_failed(&path->arena) || strbuf_error(&path->text) != ERR_OK)
        code = err_set(&error, ERR_NOMEM, "out of memory");
    else
        code = transport_start(watch->client, &watch->call, &watch->generation, &error);
    strbuf_done(&path->text);
    arena_done(&path->arena);
    if (code == ERR_OK)
        return;
    struct kube_failure failure;
    list_watch_describe_failure(watch, state == STATE_WATCHING ? "watch" : "list", &error, &failure);
    list_watch_fail(watch, state == STATE_WATCHING ? STATE_WATCHING : STATE_LISTING, &failure);
}

/* ---- making one ---- */

/* Replaces the config's texts by copies. */
static bool copy_texts(struct list_watch *watch)
{
    const char **texts[] = {&watch->config.resource, &watch->config.kind, &watch->config.path,
                            &watch->config.label_selector, &watch->config.field_selector};
    _Static_assert(ARRAY_COUNT(texts) == ARRAY_COUNT(watch->texts), "one copy each");
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        watch->texts[i] = mem_strdup(*texts[i] != NULL ? *texts[i] : "");
        if (watch->texts[i] == NULL)
            return false;
        *texts[i] = watch->texts[i];
    }
    return true;
}

enum err_code list_watch_new(struct loop *loop, struct kube_client *client, const struct list_watch_config *config,
                             struct list_watch **ret_watch, struct err *reterr)
{
    struct list_watch *watch = NEW(struct list_watch);
    if (watch == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    watch->loop = loop;
    watch->client = client;
    watch->config = *config;
    watch->state.last_event_ms = loop_now_ms(loop);
    arena_init(&watch->piece, LIST_WATCH_TREE_BYTES);
    watch->timer = loop_timer_new(loop, on_timer, watch);
    if (!copy_texts(watch) || watch->timer == NULL) {
        release(watch);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    watch->follower = (struct transport_follower){.on_replaced = on_replaced, .context = watch};
    transport_follow(client, &watch->follower);
    list_watch_wait(watch, STATE_LISTING, 0);
    *ret_watch = watch;
    return ERR_OK;
}
