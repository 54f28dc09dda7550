/* Single requests: one object, or one small collection. */
#include <string.h>

#include "agent/kube/failure.h"
#include "agent/kube/json_tree.h"
#include "agent/kube/transport.h"
#include "base/mem.h"

enum {
    REQUEST_TIMEOUT_MS = 30000,
    ANSWER_TREE_BYTES = 64 << 20, /* of one object; its text is bounded, and a tree is some three times as large */
};

static const char *method_of(const char *verb)
{
    static const struct {
        const char *verb, *method;
    } methods[] = {{"get", "GET"},    {"list", "GET"},    {"create", "POST"},
                   {"update", "PUT"}, {"patch", "PATCH"}, {"delete", "DELETE"}};
    for (size_t i = 0; i < ARRAY_COUNT(methods); i++)
        if (strcmp(methods[i].verb, verb) == 0)
            return methods[i].method;
    return "GET";
}

static void describe(const struct kube_request *request, char *buffer, size_t bytes)
{
    failure_describe(buffer, bytes, request->verb, request->resource, request->copied_path, request->copied_body,
                     kube_client_label(request->client));
}

static void release(struct kube_request *request)
{
    transport_unlink(request->client, request);
    http_call_done(&request->call);
    mem_free(TAKE(request->copied_body));
    mem_free(TAKE(request->copied_path));
    mem_free(TAKE(request->content_line));
    mem_free(TAKE(request->agent_line));
    request->client = NULL;
}

static void finish(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    release(request); /* first: the owner may free the request, or start it again */
    request->on_done(request, object, failure);
}

/* Whether a refused request is worth another try, with credentials that changed since. */
static bool may_retry(struct kube_request *request, const struct err *error)
{
    return !request->retried_unauthorized &&
           transport_refresh(request->client, request->generation, &request->call, error);
}

/* @return new, or NULL with the error set, or NULL when the body is empty. */
static json_t *parse(const struct http_call *call, struct err *error)
{
    json_error_t where;
    if (call->body.length == 0)
        return NULL;
    json_t *object = json_loadb(strbuf_text(&call->body), call->body.length, JSON_ALLOW_NUL, &where);
    if (object == NULL && (where.text[0] == '\0' || json_error_code(&where) == json_error_out_of_memory))
        (void)err_set(error, ERR_NOMEM, "out of memory");
    else if (object == NULL)
        (void)err_set(error, ERR_PROTOCOL, "the answer is not JSON: %s", where.text);
    return object;
}

/* @return new: the text that the request tells of; NULL with the error set. */
static char *take_text(struct kube_request *request, struct err *error)
{
    request->text_bytes = request->call.body.length;
    char *text = strbuf_take(&request->call.body);
    request->text = text;
    if (text == NULL)
        (void)err_set(error, ERR_NOMEM, "out of memory");
    return text;
}

/* Tells the version, in a tree: jansson's values would be most of what an answer to a write costs. */
static void read_version(struct kube_request *request, struct arena *arena, struct err *error)
{
    const struct strbuf *body = &request->call.body;
    const struct json_tree *object = NULL;
    request->version = "";
    if (body->length == 0)
        return;
    enum err_code code = json_tree_parse(arena, strbuf_text(body), body->length, &object, error);
    if (code == ERR_PROTOCOL)
        (void)err_context(error, "the answer is not JSON");
    const char *version = json_tree_text(json_tree_get(json_tree_get(object, "metadata"), "resourceVersion"));
    request->version = version != NULL ? version : "";
}

static void finish_failed(struct kube_request *request, const struct err *error)
{
    struct kube_failure failure;
    char what[768];
    describe(request, what, sizeof(what));
    failure_fill(&failure, &request->call, error, what);
    failure.status = request->call.status;
    finish(request, NULL, &failure);
}

static void on_answer(struct http_call *call, const struct err *error)
{
    struct kube_request *request = call->context;
    struct err own = {0};
    transport_observe(request->client, request->verb, request->resource, call, request->started_us);
    if (may_retry(request, error)) {
        request->retried_unauthorized = true;
        if (transport_start(request->client, call, &request->generation, &own) == ERR_OK)
            return;
        error = &own;
    }
    bool good = error == NULL && call->status >= 200 && call->status < 300;
    struct arena arena;
    arena_init(&arena, ANSWER_TREE_BYTES);
    char *text = good && request->is_text ? take_text(request, &own) : NULL;
    json_t *object = good && !request->is_text && !request->only_version ? parse(call, &own) : NULL;
    if (good && request->only_version)
        read_version(request, &arena, &own);
    request->date_s = error == NULL ? call->date_s : 0;
    if (good && own.code == ERR_OK)
        finish(request, object, NULL);
    else
        finish_failed(request, good ? &own : error);
    json_decref(object);
    mem_free(text);
    arena_done(&arena);
}

static bool may_send(const struct http_call *call)
{
    const struct kube_request *request = call->context;
    return request->may_send(request);
}

static enum err_code copy_inputs(struct kube_request *request, struct err *reterr)
{
    struct strbuf line;
    strbuf_init(&line, 256);
    strbuf_printf(&line, "Content-Type: %s",
                  request->content_type != NULL ? request->content_type : "application/json");
    request->content_line = strbuf_take(&line);
    request->copied_path = mem_strdup(request->path);
    if (request->body_bytes > 0)
        request->copied_body = mem_strndup(request->body, request->body_bytes);
    if (request->user_agent != NULL) {
        strbuf_printf(&line, "User-Agent: %s", request->user_agent);
        request->agent_line = strbuf_take(&line);
        if (request->agent_line == NULL)
            return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    if (request->content_line == NULL || request->copied_path == NULL ||
        (request->body_bytes > 0 && request->copied_body == NULL))
        return err_set(reterr, ERR_NOMEM, "out of memory");
    return ERR_OK;
}

static const char *accept_line(const struct kube_request *request)
{
    if (request->is_text)
        return "Accept: */*";
    return request->only_metadata
               ? "Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1,application/json"
               : "Accept: application/json";
}

enum err_code kube_start(struct kube_client *client, struct kube_request *request, struct err *reterr)
{
    request->client = client;
    request->retried_unauthorized = false;
    request->started_us = loop_precise_us(kube_client_loop(client));
    request->call =
        (struct http_call){.method = method_of(request->verb),
                           .on_done = on_answer,
                           .context = request,
                           .may_send = request->may_send != NULL ? may_send : NULL,
                           .timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : REQUEST_TIMEOUT_MS};
    transport_link(client, request);
    enum err_code code = copy_inputs(request, reterr);
    if (code == ERR_OK) {
        request->call.path = request->copied_path;
        request->call.request_body = request->copied_body;
        request->call.request_body_bytes = request->body_bytes;
        request->call.headers[0] = accept_line(request);
        unsigned headers = 1;
        if (request->body_bytes > 0)
            request->call.headers[headers++] = request->content_line;
        request->call.headers[headers] = request->agent_line;
        code = transport_start(client, &request->call, &request->generation, reterr);
    }
    if (code != ERR_OK)
        release(request);
    return code;
}

void kube_cancel(struct kube_request *request)
{
    if (request->client == NULL)
        return;
    transport_cancel(request->client, &request->call);
    release(request);
}

const char *kube_query_escape(struct arena *arena, const char *value)
{
    static const char digits[] = "0123456789ABCDEF";
    char *escaped = arena_alloc(arena, strlen(value) * 3 + 1), *to = escaped;
    for (const char *c = value; escaped != NULL && *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                     strchr("-_.~", *c) != NULL;
        if (plain) {
            *to++ = *c;
        } else {
            *to++ = '%';
            *to++ = digits[(unsigned char)*c >> 4];
            *to++ = digits[(unsigned char)*c & 15];
        }
    }
    return escaped;
}
