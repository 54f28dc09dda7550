/* Listing. Rules: client-go's tools/cache/reflector.go and tools/pager/pager.go. */
#include <stdio.h>
#include <string.h>

#include "agent/kube/list_watch_internal.h"
#include "base/mem.h"

/* ---- what arrives ---- */

/* A listing begins when its first answer does: until then nothing is known to be different. */
static void begin(struct list_watch *watch)
{
    if (watch->begun)
        return;
    watch->begun = true;
    watch->config.on_begin(watch->config.context);
}

static enum err_code take_item(struct list_watch *watch, const char *text, size_t bytes, struct err *reterr)
{
    json_error_t where;
    json_t *object = json_loadb(text, bytes, 0, &where);
    if (object == NULL)
        return err_set(reterr, ERR_PROTOCOL, "an item of the list is not JSON: %s", where.text);
    list_watch_set_healthy(watch);
    if (!watch->dead)
        begin(watch);
    enum err_code code = watch->dead ? ERR_CANCELLED : ERR_OK;
    if (code == ERR_OK && list_watch_is_wanted(watch, object))
        code = list_watch_deliver(watch, CHANGE_LISTED, object, reterr);
    json_decref(object);
    return code;
}

/* An answer that merely looks like a list would empty everything: it has to say that it is one, and of what. */
static enum err_code check_list(const struct list_watch *watch, const json_t *list, struct err *reterr)
{
    const char *kind = json_string_value(json_object_get(list, "kind"));
    const json_t *items = json_object_get(list, "items");
    const char *version = json_string_value(json_object_get(json_object_get(list, "metadata"), "resourceVersion"));
    size_t length = strlen(watch->config.kind);
    if (kind == NULL || strncmp(kind, watch->config.kind, length) != 0 || strcmp(kind + length, "List") != 0)
        return err_set(reterr, ERR_PROTOCOL, "the answer is not a %sList, it is %.100s", watch->config.kind,
                       kind != NULL ? kind : "of no kind");
    if (!json_is_array(items) && !json_is_null(items))
        return err_set(reterr, ERR_PROTOCOL, "the list has no items");
    if (version == NULL || version[0] == '\0' || strlen(version) >= LIST_WATCH_VERSION_BYTES)
        return err_set(reterr, ERR_PROTOCOL, "the list has no resourceVersion");
    return ERR_OK;
}

static enum err_code take_rest(struct list_watch *watch, const char *text, size_t bytes, struct err *reterr)
{
    json_error_t where;
    json_t *list = json_loadb(text, bytes, 0, &where);
    if (list == NULL)
        return err_set(reterr, ERR_PROTOCOL, "the list is not JSON: %s", where.text);
    enum err_code code = check_list(watch, list, reterr);
    if (code == ERR_OK) {
        const char *token = json_string_value(json_object_get(json_object_get(list, "metadata"), "continue"));
        mem_free(TAKE(watch->continue_token));
        if (token != NULL && token[0] != '\0' && (watch->continue_token = mem_strdup(token)) == NULL)
            code = err_set(reterr, ERR_NOMEM, "out of memory");
        list_watch_note_version(watch, list);
    }
    json_decref(list);
    return code;
}

static enum err_code on_piece(void *context, const char *text, size_t bytes, bool is_item, struct err *reterr)
{
    struct list_watch *watch = context;
    return is_item ? take_item(watch, text, bytes, reterr) : take_rest(watch, text, bytes, reterr);
}

/* ---- its end ---- */

static void finish_list(struct list_watch *watch)
{
    list_watch_set_healthy(watch);
    if (!watch->dead)
        begin(watch);
    if (watch->dead)
        return;
    if (watch->continue_token != NULL) {
        list_watch_start_list(watch);
        return;
    }
    watch->list_from = LIST_FROM_LAST;
    watch->begun = watch->unpaged = watch->lost_an_object = false;
    watch->server_errors = 0;
    watch->state.synced = true;
    watch->config.on_end(watch->config.context);
    if (!watch->dead && watch->config.on_state != NULL)
        watch->config.on_state(watch->config.context, &watch->state);
    if (!watch->dead)
        list_watch_start_watch(watch);
}

/* A listing that broke starts over from its first page, asking for a version that the server can serve. */
static void fail_list(struct list_watch *watch, const struct kube_failure *failure)
{
    enum err_code code = failure->error.code;
    bool had_pages = watch->continue_token != NULL, too_large = list_watch_is_version_too_large(failure);
    mem_free(TAKE(watch->continue_token));
    watch->begun = false;
    if (code == ERR_EXPIRED && had_pages) {
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
        mem_free(TAKE(watch->continue_token));
        watch->begun = false;
        return;
    }
    if (error == NULL && watch->call.status == 200) {
        if (json_split_finish(&watch->split, &own) == ERR_OK) {
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
    list_watch_path_begin(watch, &path);
    add_place(watch, &path);
    json_split_done(&watch->split);
    json_split_init(&watch->split, JSON_SPLIT_LIST, LIST_WATCH_OBJECT_BYTES, on_piece, watch);
    watch->state.lists++;
    list_watch_send(watch, &path, STATE_LISTING, on_done);
}
