/* Listing. Rules: client-go's tools/cache/reflector.go and tools/pager/pager.go. */
#include <stdio.h>
#include <string.h>

#include "agent/kube/list_watch_internal.h"
#include "base/mem.h"

void list_watch_reset_listing(struct list_watch *watch)
{
    mem_free(TAKE(watch->continue_token));
    watch->begun = false;
    watch->named = 0;
}

/* ---- what arrives ---- */

void list_watch_begin(struct list_watch *watch)
{
    if (watch->begun)
        return;
    watch->begun = true;
    watch->config.on_begin(watch->config.context);
}

static enum err_code hand_over(struct list_watch *watch, const struct json_tree *object, struct err *reterr)
{
    list_watch_set_healthy(watch);
    if (!watch->dead)
        list_watch_begin(watch);
    return watch->dead ? ERR_CANCELLED : list_watch_deliver(watch, CHANGE_LISTED, object, reterr);
}

/* Until the end, in an order that no API server is known to use: bounded like one object, decoded when the kind is known. */
static enum err_code hold(struct list_watch *watch, const char *text, size_t bytes, struct err *reterr)
{
    if (watch->is_proto) /* no server sends it so */
        return err_set(reterr, ERR_PROTOCOL, "the list does not say of what kind it is before its items");
    strbuf_append_bytes(&watch->held, text, bytes);
    strbuf_append_char(&watch->held, '\n');
    if (strbuf_error(&watch->held) == ERR_LIMIT)
        return err_set(reterr, ERR_LIMIT, "the list does not say of what kind it is within %d bytes of its items",
                       LIST_WATCH_OBJECT_BYTES);
    return strbuf_error(&watch->held) == ERR_OK ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
}

/* Items say nothing of their kind in a list that says it first, and each says its own in a list of custom resources, whose kind comes
 * last. One that is known neither way is not given to anybody yet. */
static enum err_code take_item(struct list_watch *watch, const char *text, size_t bytes, struct err *reterr)
{
    const struct json_tree *object = NULL;
    TRY(list_watch_parse_piece(watch, text, bytes, false, &object, reterr));
    if (!watch->kind_known && json_tree_get(object, "kind") == NULL)
        return hold(watch, text, bytes, reterr);
    return list_watch_is_wanted(watch, object) ? hand_over(watch, object, reterr) : ERR_OK;
}

static enum err_code on_held(void *context, const char *text, size_t bytes, enum json_split_piece piece,
                             struct err *reterr)
{
    (void)piece;
    return take_item(context, text, bytes, reterr);
}

static enum err_code take_held(struct list_watch *watch, struct err *reterr)
{
    struct json_split split;
    struct strbuf held = watch->held;
    strbuf_init(&watch->held, LIST_WATCH_OBJECT_BYTES);
    json_split_init(&split, JSON_SPLIT_VALUES, LIST_WATCH_OBJECT_BYTES, on_held, watch);
    enum err_code code = json_split_feed(&split, strbuf_text(&held), held.length, reterr);
    json_split_done(&split);
    strbuf_done(&held);
    return code;
}

static enum err_code check_kind(const struct list_watch *watch, const char *kind, struct err *reterr)
{
    size_t length = strlen(watch->config.kind);
    if (kind != NULL && strncmp(kind, watch->config.kind, length) == 0 && strcmp(kind + length, "List") == 0)
        return ERR_OK;
    return err_set(reterr, ERR_PROTOCOL, "the answer is not a %sList, it is %.100s", watch->config.kind,
                   kind != NULL ? kind : "of no kind");
}

/* Before any item is looked at, when the list says of what kind it is before them. */
static enum err_code take_head(struct list_watch *watch, const char *text, size_t bytes, struct err *reterr)
{
    const struct json_tree *head = NULL;
    TRY(list_watch_parse(&watch->piece, text, bytes, "the list", &head, reterr));
    const struct json_tree *kind = json_tree_get(head, "kind");
    watch->kind_known = kind != NULL;
    return kind != NULL ? check_kind(watch, json_tree_text(kind), reterr) : ERR_OK;
}

/* An answer that merely looks like a list would empty everything: it has to say that it is one, and of what. */
static enum err_code check_list(const struct list_watch *watch, const struct json_tree *list, struct err *reterr)
{
    const struct json_tree *items = json_tree_get(list, "items");
    const char *version = json_tree_text(json_tree_get(json_tree_get(list, "metadata"), "resourceVersion"));
    TRY(check_kind(watch, json_tree_text(json_tree_get(list, "kind")), reterr));
    if (!json_tree_is(items, JSON_TREE_ARRAY) && !json_tree_is(items, JSON_TREE_NULL))
        return err_set(reterr, ERR_PROTOCOL, "the list has no items");
    if (version == NULL || version[0] == '\0' || strlen(version) >= LIST_WATCH_VERSION_BYTES)
        return err_set(reterr, ERR_PROTOCOL, "the list has no resourceVersion");
    return ERR_OK;
}

/* Everything but the items. Those that were held are taken in between, which needs the arena of pieces. */
static enum err_code take_rest_in(struct list_watch *watch, struct arena *arena, const char *text, size_t bytes,
                                  struct err *reterr)
{
    const struct json_tree *list = NULL;
    TRY(list_watch_parse(arena, text, bytes, "the list", &list, reterr));
    TRY(check_list(watch, list, reterr));
    watch->kind_known = true;
    TRY(take_held(watch, reterr));
    const char *token = json_tree_text(json_tree_get(json_tree_get(list, "metadata"), "continue"));
    mem_free(TAKE(watch->continue_token));
    if (token != NULL && token[0] != '\0' && (watch->continue_token = mem_strdup(token)) == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    (void)list_watch_note_version(watch, list);
    return ERR_OK;
}

static enum err_code take_rest(struct list_watch *watch, const char *text, size_t bytes, struct err *reterr)
{
    struct arena arena;
    arena_init(&arena, LIST_WATCH_TREE_BYTES);
    enum err_code code = take_rest_in(watch, &arena, text, bytes, reterr);
    arena_done(&arena);
    return code;
}

static enum err_code on_piece(void *context, const char *text, size_t bytes, enum json_split_piece piece,
                              struct err *reterr)
{
    struct list_watch *watch = context;
    if (piece == JSON_SPLIT_HEAD)
        return take_head(watch, text, bytes, reterr);
    TRY(list_watch_count(watch, reterr));
    return piece == JSON_SPLIT_ITEM ? take_item(watch, text, bytes, reterr) : take_rest(watch, text, bytes, reterr);
}

/* ---- its end ---- */

void list_watch_complete(struct list_watch *watch)
{
    list_watch_begin(watch); /* of an empty collection */
    if (watch->dead)
        return;
    watch->list_from = LIST_FROM_LAST;
    watch->begun = watch->unpaged = watch->plain = watch->lost_an_object = false;
    watch->named = 0;
    watch->server_errors = 0;
    watch->state.synced = true;
    watch->config.on_end(watch->config.context);
    if (!watch->dead && watch->config.on_state != NULL)
        watch->config.on_state(watch->config.context, &watch->state);
}

static void finish_list(struct list_watch *watch)
{
    list_watch_set_healthy(watch);
    if (!watch->dead)
        list_watch_begin(watch);
    if (watch->dead)
        return;
    if (watch->continue_token != NULL) {
        list_watch_start_list(watch);
        return;
    }
    list_watch_complete(watch);
    if (!watch->dead)
        list_watch_start_watch(watch);
}

/* A listing that broke starts over from its first page, asking for a version that the server can serve. */
static void fail_list(struct list_watch *watch, const struct kube_failure *failure)
{
    enum err_code code = failure->error.code;
    bool had_pages = watch->continue_token != NULL, too_large = failure->version_too_large;
    list_watch_reset_listing(watch);
    if (code == ERR_EXPIRED && had_pages && !watch->unpaged) {
        watch->unpaged = true;
        list_watch_wait(watch, STATE_LISTING, 0);
        return;
    }
    bool other_version = code == ERR_EXPIRED || too_large || code == ERR_REJECTED;
    if (!other_version || watch->list_from == LIST_FROM_QUORUM) {
        list_watch_fail(watch, STATE_LISTING, failure);
        return;
    }
    watch->list_from = LIST_FROM_QUORUM;
    if (code == ERR_REJECTED)
        list_watch_fail(watch, STATE_LISTING, failure);
    else /* nobody's fault: the server forgot our place, or does not know it yet */
        list_watch_wait(watch, STATE_LISTING, failure->retry_after_ms > 0 ? (uint64_t)failure->retry_after_ms : 0);
}

static void end_list(struct list_watch *watch, const struct err *error)
{
    struct kube_failure failure;
    struct err own = {0};
    list_watch_observe(watch);
    if (list_watch_retry_unauthorized(watch, error, STATE_LISTING)) {
        list_watch_reset_listing(watch);
        return;
    }
    if (error == NULL && watch->call.status == 200) {
        if (list_watch_split_finish(watch, &own) == ERR_OK) {
            finish_list(watch);
            return;
        }
        error = &own;
    }
    list_watch_describe_failure(watch, "list", error, &failure);
    fail_list(watch, &failure);
}

static void on_done(struct http_call *call, const struct err *error)
{
    struct list_watch *watch = call->context;
    list_watch_enter(watch);
    end_list(watch, error);
    list_watch_leave(watch);
}

/* ---- its beginning ---- */

/* Pages only where the server reads from etcd or may choose: with a version given, a whole list comes from its watch cache. */
static void add_place(struct list_watch *watch, struct list_watch_path *path)
{
    char limit[16];
    (void)snprintf(limit, sizeof(limit), "%d", LIST_WATCH_PAGE);
    bool from_last = watch->list_from == LIST_FROM_LAST;
    if (watch->continue_token != NULL || (!from_last && !watch->unpaged))
        list_watch_path_add(path, "limit", limit);
    if (watch->continue_token != NULL)
        list_watch_path_add(path, "continue", watch->continue_token);
    else if (watch->list_from != LIST_FROM_QUORUM)
        list_watch_path_add(path, "resourceVersion", from_last ? watch->version : "0");
}

void list_watch_start_list(struct list_watch *watch)
{
    struct list_watch_path path;
    if (list_watch_wants_stream(watch)) {
        list_watch_start_stream(watch);
        return;
    }
    list_watch_path_begin(watch, &path);
    add_place(watch, &path);
    list_watch_split(watch, JSON_SPLIT_LIST, on_piece);
    watch->kind_known = false;
    strbuf_done(&watch->held);
    strbuf_init(&watch->held, LIST_WATCH_OBJECT_BYTES);
    watch->state.lists++;
    list_watch_send(watch, &path, STATE_LISTING, on_done);
}
