#include "agent/kube/list_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/json_split.h"
#include "agent/kube/transport.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    BACKOFF_MS = 800, /* client-go: reflector back-off */
    BACKOFF_CAP_MS = 30000,
    BACKOFF_RESET_MS = 120000, /* healthy for so long: the next failure starts small again */
    WATCH_MIN_S = 300,         /* timeoutSeconds is random in [300, 600] */
    WATCH_SILENCE_MS = 90000,  /* bookmarks come each minute: longer silence is suspicious */
    LIST_SILENCE_MS = 60000,
    SHORT_WATCH_MS = 1000,  /* a watch that ends sooner without an event is an error */
    OBJECT_BYTES = 4 << 20, /* etcd takes 1.5 MiB; JSON may be longer than what is stored */
    VERSION_BYTES = 64,
    MAX_INTERNAL_RETRIES = 5, /* 500s on a watch before a fresh listing is tried */
};

enum state {
    STATE_WAITING,  /* for the back-off to end; then `next` */
    STATE_LISTING,  /* a page of the listing is under way */
    STATE_WATCHING, /* a watch is under way */
};

/* What resourceVersion a listing asks for. */
enum list_from {
    LIST_FROM_CACHE,  /* "0": whatever the API server has at hand */
    LIST_FROM_LAST,   /* the last one seen: not older than what we know */
    LIST_FROM_QUORUM, /* "": the newest; after the server refused the other two */
};

struct list_watch {
    struct loop *loop;
    struct kube_client *client;
    struct list_watch_config config;
    char *resource, *kind, *path, *label_selector, *field_selector;
    enum state machine, next; /* next: after STATE_WAITING */
    enum list_from list_from;
    struct list_watch_state state;
    struct http_call call;
    struct json_split split;
    struct loop_timer *timer;
    char version[VERSION_BYTES]; /* where to watch from */
    char *continue_token;        /* of the next page, NULL at the first */
    bool version_settled;        /* false after a start from "0": ADDED events then come in no order */
    bool needs_fresh_list;       /* an object could not be taken */
    bool retried_unauthorized;
    uint64_t started_us, began_ms, healthy_since_ms;
    uint32_t failures, internal_errors;
    uint64_t events_before; /* state.events when the watch began */
    bool *freed;            /* set by list_watch_free() while a callback runs */
};

static void start_list(struct list_watch *watch);
static void start_watch(struct list_watch *watch);

/* ---- telling the owner ---- */

static void tell_state(struct list_watch *watch)
{
    if (watch->config.on_state != NULL)
        watch->config.on_state(watch->config.context, &watch->state);
}

static void set_healthy(struct list_watch *watch)
{
    uint64_t now_ms = loop_now_ms(watch->loop);
    watch->state.last_event_ms = now_ms;
    if (watch->state.healthy)
        return;
    watch->state.healthy = true;
    watch->state.error = (struct err){0};
    watch->state.status = 0;
    watch->state.retry_at_ms = 0;
    watch->healthy_since_ms = now_ms;
    tell_state(watch);
}

/* ---- failures and back-off ---- */

static uint64_t backoff_ms(struct list_watch *watch)
{
    uint64_t now_ms = loop_now_ms(watch->loop);
    if (watch->healthy_since_ms != 0 && now_ms - watch->healthy_since_ms > BACKOFF_RESET_MS)
        watch->failures = 0;
    watch->healthy_since_ms = 0;
    uint64_t delay_ms = (uint64_t)BACKOFF_MS << (watch->failures < 6 ? watch->failures : 6);
    watch->failures++;
    delay_ms = delay_ms < BACKOFF_CAP_MS ? delay_ms : BACKOFF_CAP_MS;
    /* Jitter: many watches of a server that comes back must not all ask at once. */
    return delay_ms + arc4random_uniform((uint32_t)delay_ms);
}

static void wait_then(struct list_watch *watch, enum state next, uint64_t delay_ms)
{
    watch->machine = STATE_WAITING;
    watch->next = next;
    loop_timer_start(watch->timer, delay_ms);
}

/* Where a listing that did not work goes on: the next more demanding resourceVersion, as client-go does. */
static void fail(struct list_watch *watch, enum state next, const struct kube_failure *failure)
{
    uint64_t delay_ms = backoff_ms(watch);
    if (failure->retry_after_ms > 0 && (uint64_t)failure->retry_after_ms > delay_ms)
        delay_ms = (uint64_t)failure->retry_after_ms;
    watch->state.failures++;
    watch->state.healthy = false;
    watch->state.error = failure->error;
    watch->state.status = failure->status;
    watch->state.retry_at_ms = loop_now_ms(watch->loop) + delay_ms;
    wait_then(watch, next, delay_ms);
    tell_state(watch);
}

static void describe(const struct list_watch *watch, const char *verb, char *buffer, size_t bytes)
{
    (void)snprintf(buffer, bytes, "%s %s in cluster %s", verb, watch->resource, kube_client_label(watch->client));
}

static void describe_failure(struct list_watch *watch, const char *verb, const struct err *error,
                             struct kube_failure *failure)
{
    char what[256];
    describe(watch, verb, what, sizeof(what));
    failure_fill(failure, &watch->call, error, what);
    if (failure->error.code == ERR_FORBIDDEN)
        (void)err_context(&failure->error, "missing right (grant get, list and watch on %s)", watch->resource);
}

static bool is_too_large_version(const struct kube_failure *failure)
{
    return failure->status == 504 || strstr(failure->error.text, "Too large resource version") != NULL;
}

/* ---- taking what arrives ---- */

static bool is_wanted_kind(const struct list_watch *watch, const json_t *object)
{
    const char *kind = json_string_value(json_object_get(object, "kind"));
    /* Items of a list carry no kind of their own. */
    return kind == NULL || strcmp(kind, watch->kind) == 0;
}

/* @return ERR_CANCELLED when the owner freed the list_watch in the callback. */
static enum err_code deliver(struct list_watch *watch, enum change change, json_t *object)
{
    bool freed = false;
    watch->freed = &freed;
    enum err_code code = watch->config.on_object(watch->config.context, change, object);
    if (freed)
        return ERR_CANCELLED;
    watch->freed = NULL;
    if (code == ERR_NOMEM)
        watch->needs_fresh_list = true;
    return code == ERR_NOMEM ? ERR_NOMEM : ERR_OK; /* an object that cannot be used was reported by its owner */
}

static enum err_code take_item(struct list_watch *watch, const char *text, size_t bytes, struct err *reterr)
{
    json_error_t where;
    json_t *object = json_loadb(text, bytes, 0, &where);
    if (object == NULL)
        return err_set(reterr, ERR_PROTOCOL, "an item of the list is not JSON: %s", where.text);
    enum err_code code = is_wanted_kind(watch, object) ? deliver(watch, CHANGE_LISTED, object) : ERR_OK;
    json_decref(object);
    return code == ERR_NOMEM ? err_set(reterr, ERR_NOMEM, "out of memory") : code;
}

static enum err_code take_list_end(struct list_watch *watch, const char *text, size_t bytes, struct err *reterr)
{
    json_t *list = json_loadb(text, bytes, 0, NULL);
    const json_t *meta = json_object_get(list, "metadata");
    const char *version = json_string_value(json_object_get(meta, "resourceVersion"));
    const char *token = json_string_value(json_object_get(meta, "continue"));
    mem_free(TAKE(watch->continue_token));
    enum err_code code = ERR_OK;
    if (version == NULL || version[0] == '\0' || strlen(version) >= VERSION_BYTES)
        code = err_set(reterr, ERR_PROTOCOL, "the list has no resourceVersion");
    else if (token != NULL && token[0] != '\0' && (watch->continue_token = mem_strdup(token)) == NULL)
        code = err_set(reterr, ERR_NOMEM, "out of memory");
    else
        (void)snprintf(watch->version, sizeof(watch->version), "%s", version);
    json_decref(list);
    return code;
}

static enum err_code on_list_piece(void *context, const char *text, size_t bytes, bool is_item, struct err *reterr)
{
    struct list_watch *watch = context;
    set_healthy(watch);
    return is_item ? take_item(watch, text, bytes, reterr) : take_list_end(watch, text, bytes, reterr);
}

static void note_version(struct list_watch *watch, const json_t *object)
{
    const char *version = json_string_value(json_object_get(json_object_get(object, "metadata"), "resourceVersion"));
    if (version != NULL && strlen(version) < VERSION_BYTES)
        (void)snprintf(watch->version, sizeof(watch->version), "%s", version);
}

/* A Status in the stream: most often 410. */
static enum err_code take_error_event(struct list_watch *watch, const json_t *status, struct err *reterr)
{
    char what[256];
    struct kube_failure failure = {.retry_after_ms = -1};
    describe(watch, "watch", what, sizeof(what));
    failure_from_status(&failure, status, (int)json_integer_value(json_object_get(status, "code")), what);
    *reterr = failure.error;
    watch->state.status = failure.status;
    return failure.error.code;
}

static enum err_code take_event(struct list_watch *watch, const json_t *event, struct err *reterr)
{
    const char *type = json_string_value(json_object_get(event, "type"));
    json_t *object = json_object_get(event, "object");
    if (type == NULL || !json_is_object(object))
        return err_set(reterr, ERR_PROTOCOL, "a watch event has no type or object");
    if (strcmp(type, "ERROR") == 0)
        return take_error_event(watch, object, reterr);
    if (strcmp(type, "BOOKMARK") == 0) {
        note_version(watch, object);
        watch->version_settled = true;
        return ERR_OK;
    }
    bool added = strcmp(type, "ADDED") == 0, modified = strcmp(type, "MODIFIED") == 0,
         deleted = strcmp(type, "DELETED") == 0;
    if ((!added && !modified && !deleted) || !is_wanted_kind(watch, object))
        return ERR_OK;
    watch->state.events++;
    TRY(deliver(watch, added ? CHANGE_ADDED : modified ? CHANGE_MODIFIED : CHANGE_DELETED, object));
    if (!added)
        watch->version_settled = true;
    if (watch->version_settled)
        note_version(watch, object);
    return ERR_OK;
}

static enum err_code on_watch_piece(void *context, const char *text, size_t bytes, bool is_item, struct err *reterr)
{
    (void)is_item;
    struct list_watch *watch = context;
    json_error_t where;
    json_t *event = json_loadb(text, bytes, 0, &where);
    if (event == NULL)
        return err_set(reterr, ERR_PROTOCOL, "a watch event is not JSON: %s", where.text);
    watch->state.last_event_ms = loop_now_ms(watch->loop);
    enum err_code code = take_event(watch, event, reterr);
    json_decref(event);
    return code;
}

/* A watch that opened is healthy, though nothing may happen on it for a minute. */
static void on_head(struct http_call *call) { set_healthy(call->context); }

static enum err_code on_data(struct http_call *call, const char *data, size_t bytes, struct err *reterr)
{
    struct list_watch *watch = call->context;
    set_healthy(watch);
    return json_split_feed(&watch->split, data, bytes, reterr);
}

/* ---- listing ---- */

static void finish_list(struct list_watch *watch)
{
    if (watch->continue_token != NULL) {
        start_list(watch);
        return;
    }
    watch->list_from = LIST_FROM_LAST;
    watch->version_settled = true;
    watch->needs_fresh_list = false;
    watch->state.synced = true;
    watch->internal_errors = 0;
    bool freed = false;
    watch->freed = &freed;
    watch->config.on_end(watch->config.context);
    if (freed)
        return;
    tell_state(watch);
    if (freed)
        return;
    watch->freed = NULL;
    start_watch(watch);
}

/* A listing that failed starts over from its first page. */
static void fail_list(struct list_watch *watch, const struct kube_failure *failure)
{
    bool had_pages = watch->continue_token != NULL;
    mem_free(TAKE(watch->continue_token));
    bool expired = failure->error.code == ERR_EXPIRED || is_too_large_version(failure);
    if (expired && (had_pages || watch->list_from != LIST_FROM_QUORUM)) {
        /* Client-go: first the last version, then the newest by quorum; a token that expired is no fault of anybody. */
        watch->list_from = LIST_FROM_QUORUM;
        wait_then(watch, STATE_LISTING, failure->retry_after_ms > 0 ? (uint64_t)failure->retry_after_ms : 0);
        return;
    }
    fail(watch, STATE_LISTING, failure);
}

static bool retry_unauthorized(struct list_watch *watch, const struct err *error, enum state again)
{
    if (error != NULL || watch->call.status != 401 || watch->retried_unauthorized || !transport_refresh(watch->client))
        return false;
    watch->retried_unauthorized = true;
    wait_then(watch, again, 0);
    return true;
}

static void on_list_done(struct http_call *call, const struct err *error)
{
    struct list_watch *watch = call->context;
    struct kube_failure failure;
    struct err parse_error = {0};
    transport_observe(watch->client, "list", watch->resource, call, watch->started_us);
    if (retry_unauthorized(watch, error, STATE_LISTING))
        return;
    if (error == NULL && call->status == 200) {
        if (json_split_finish(&watch->split, &parse_error) == ERR_OK) {
            finish_list(watch);
            return;
        }
        error = &parse_error;
    }
    describe_failure(watch, "list", error, &failure);
    fail_list(watch, &failure);
}

static void add_query(struct list_watch *watch, struct arena *arena, struct strbuf *path, const char *name,
                      const char *value)
{
    (void)watch;
    if (value == NULL || value[0] == '\0')
        return;
    const char *escaped = kube_query_escape(arena, value);
    strbuf_printf(path, "%s%s=%s", strchr(strbuf_text(path), '?') != NULL ? "&" : "?", name,
                  escaped != NULL ? escaped : "");
}

static void begin_path(struct list_watch *watch, struct arena *arena, struct strbuf *path)
{
    arena_init(arena, 1 << 20);
    strbuf_init(path, 64 << 10);
    strbuf_append(path, watch->path);
    add_query(watch, arena, path, "labelSelector", watch->label_selector);
    add_query(watch, arena, path, "fieldSelector", watch->field_selector);
}

/* Sends the request; failing to send is a failure like any other. */
static void send(struct list_watch *watch, struct arena *arena, struct strbuf *path, enum state state,
                 void (*on_done)(struct http_call *, const struct err *))
{
    watch->call = (struct http_call){
        .path = strbuf_text(path),
        .headers = {"Accept: application/json"},
        .idle_timeout_ms = state == STATE_LISTING ? LIST_SILENCE_MS : WATCH_SILENCE_MS,
        .on_head = on_head,
        .on_data = on_data,
        .on_done = on_done,
        .context = watch,
    };
    watch->machine = state;
    watch->started_us = loop_precise_us(watch->loop);
    watch->began_ms = loop_now_ms(watch->loop);
    struct err error = {0};
    enum err_code code = arena_failed(arena) || strbuf_error(path) != ERR_OK
                             ? err_set(&error, ERR_NOMEM, "out of memory")
                             : transport_start(watch->client, &watch->call, &error);
    strbuf_done(path);
    arena_done(arena);
    if (code == ERR_OK)
        return;
    struct kube_failure failure = {.retry_after_ms = -1, .error = error};
    fail(watch, state, &failure);
}

static void start_list(struct list_watch *watch)
{
    struct arena arena;
    struct strbuf path;
    begin_path(watch, &arena, &path);
    if (watch->continue_token != NULL) {
        add_query(watch, &arena, &path, "continue", watch->continue_token);
    } else {
        const char *version = watch->list_from == LIST_FROM_CACHE  ? "0"
                              : watch->list_from == LIST_FROM_LAST ? watch->version
                                                                   : NULL;
        add_query(watch, &arena, &path, "resourceVersion", version);
        watch->config.on_begin(watch->config.context);
    }
    json_split_done(&watch->split);
    json_split_init(&watch->split, JSON_SPLIT_LIST, OBJECT_BYTES, on_list_piece, watch);
    watch->state.lists++;
    send(watch, &arena, &path, STATE_LISTING, on_list_done);
}

/* ---- watching ---- */

static void relist(struct list_watch *watch, const struct kube_failure *failure)
{
    if (failure->error.code == ERR_EXPIRED) {
        /* Not a fault: the server forgot our place. */
        wait_then(watch, STATE_LISTING, 0);
        return;
    }
    fail(watch, STATE_LISTING, failure);
}

/* What a broken watch leads to: the place is kept wherever it may still be good. */
static void fail_watch(struct list_watch *watch, const struct kube_failure *failure)
{
    enum err_code code = failure->error.code;
    if (watch->needs_fresh_list || code == ERR_EXPIRED || code == ERR_NOMEM) {
        relist(watch, failure);
        return;
    }
    if (code == ERR_SERVER && ++watch->internal_errors > MAX_INTERNAL_RETRIES) {
        relist(watch, failure);
        return;
    }
    if (code == ERR_REJECTED || code == ERR_NOT_FOUND || code == ERR_PROTOCOL) {
        relist(watch, failure); /* the place itself may be what the server does not like */
        return;
    }
    /* A connection that ended after having worked is opened again at once; the server's silence has lasted long enough. */
    bool worked =
        watch->state.events != watch->events_before || loop_now_ms(watch->loop) - watch->began_ms > SHORT_WATCH_MS;
    if (worked && (code == ERR_CONNECT || code == ERR_TIMEOUT) && watch->state.healthy) {
        wait_then(watch, STATE_WATCHING, 0);
        watch->state.healthy = false;
        watch->state.error = failure->error;
        return;
    }
    fail(watch, STATE_WATCHING, failure);
}

static void on_watch_done(struct http_call *call, const struct err *error)
{
    struct list_watch *watch = call->context;
    struct kube_failure failure;
    struct err parse_error = {0};
    transport_observe(watch->client, "watch", watch->resource, call, watch->started_us);
    if (retry_unauthorized(watch, error, STATE_WATCHING))
        return;
    bool clean = error == NULL && call->status == 200;
    if (clean && json_split_finish(&watch->split, &parse_error) != ERR_OK) {
        (void)err_set(&parse_error, ERR_CONNECT, "the watch ended in the middle of an event");
        error = &parse_error;
        clean = false;
    }
    bool short_watch =
        watch->state.events == watch->events_before && loop_now_ms(watch->loop) - watch->began_ms < SHORT_WATCH_MS;
    if (clean && !short_watch) {
        watch->internal_errors = 0;
        start_watch(watch); /* from the last version: nothing is lost, nothing is listed */
        return;
    }
    if (clean)
        (void)err_set(&parse_error, ERR_SERVER, "the watch ended at once without an event");
    describe_failure(watch, "watch", clean ? &parse_error : error, &failure);
    /* An ERROR event carries its own code, which failure_fill() keeps in the error. */
    fail_watch(watch, &failure);
}

static void start_watch(struct list_watch *watch)
{
    struct arena arena;
    struct strbuf path;
    begin_path(watch, &arena, &path);
    add_query(watch, &arena, &path, "watch", "1");
    add_query(watch, &arena, &path, "allowWatchBookmarks", "true");
    add_query(watch, &arena, &path, "resourceVersion", watch->version);
    strbuf_printf(&path, "&timeoutSeconds=%u", WATCH_MIN_S + arc4random_uniform(WATCH_MIN_S + 1));
    json_split_done(&watch->split);
    json_split_init(&watch->split, JSON_SPLIT_VALUES, OBJECT_BYTES, on_watch_piece, watch);
    watch->state.watches++;
    watch->events_before = watch->state.events;
    send(watch, &arena, &path, STATE_WATCHING, on_watch_done);
}

/* ---- life ---- */

static void on_timer(void *context)
{
    struct list_watch *watch = context;
    if (watch->machine != STATE_WAITING)
        return;
    if (watch->next == STATE_WATCHING)
        start_watch(watch);
    else
        start_list(watch);
}

static char *copy_or_empty(const char *text) { return mem_strdup(text != NULL ? text : ""); }

enum err_code list_watch_new(struct loop *loop, struct kube_client *client, const struct list_watch_config *config,
                             struct list_watch **ret_watch, struct err *reterr)
{
    struct list_watch *watch = NEW(struct list_watch);
    if (watch == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    watch->loop = loop;
    watch->client = client;
    watch->config = *config;
    watch->resource = copy_or_empty(config->resource);
    watch->kind = copy_or_empty(config->kind);
    watch->path = copy_or_empty(config->path);
    watch->label_selector = copy_or_empty(config->label_selector);
    watch->field_selector = copy_or_empty(config->field_selector);
    watch->timer = loop_timer_new(loop, on_timer, watch);
    watch->state.last_event_ms = loop_now_ms(loop);
    if (watch->resource == NULL || watch->kind == NULL || watch->path == NULL || watch->label_selector == NULL ||
        watch->field_selector == NULL || watch->timer == NULL) {
        list_watch_free(watch);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    wait_then(watch, STATE_LISTING, 0);
    *ret_watch = watch;
    return ERR_OK;
}

void list_watch_free(struct list_watch *watch)
{
    if (watch == NULL)
        return;
    if (watch->freed != NULL)
        *watch->freed = true;
    http_cancel(&watch->call);
    loop_timer_free(watch->timer);
    json_split_done(&watch->split);
    mem_free(watch->continue_token);
    mem_free(watch->resource);
    mem_free(watch->kind);
    mem_free(watch->path);
    mem_free(watch->label_selector);
    mem_free(watch->field_selector);
    mem_free(watch);
}

const struct list_watch_state *list_watch_state(const struct list_watch *watch) { return &watch->state; }

void list_watch_retry_now(struct list_watch *watch)
{
    if (watch->machine == STATE_WAITING)
        loop_timer_start(watch->timer, 0);
}
