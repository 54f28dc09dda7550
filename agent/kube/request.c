/* Single requests: one object, or one small collection. */
#include <stdio.h>
#include <string.h>

#include "agent/kube/transport.h"
#include "base/mem.h"
#include "base/text.h"

enum { REQUEST_TIMEOUT_MS = 30000 };

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

/* "create services at /api/v1/namespaces/x/services in cluster source", without the query. */
static void describe(const struct kube_request *request, char *buffer, size_t bytes)
{
    (void)snprintf(buffer, bytes, "%s %s %.*s in cluster %s", request->verb, request->resource,
                   (int)strcspn(request->copied_path, "?"), request->copied_path, kube_client_label(request->client));
}

static void release(struct kube_request *request)
{
    transport_unlink(request->client, request);
    http_call_done(&request->call);
    mem_free(TAKE(request->copied_body));
    mem_free(TAKE(request->copied_path));
    mem_free(TAKE(request->content_line));
    request->client = NULL;
}

static void finish(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    release(request); /* first: the owner may free the request, or start it again */
    request->on_done(request, object, failure);
}

static void on_answer(struct http_call *call, const struct err *error)
{
    struct kube_request *request = call->context;
    char what[512];
    describe(request, what, sizeof(what));
    transport_observe(request->client, request->verb, request->resource, call, request->started_us);
    struct kube_failure failure;
    if (error == NULL && call->status == 401 && !request->retried_unauthorized && transport_refresh(request->client)) {
        request->retried_unauthorized = true;
        struct err again = {0};
        if (transport_start(request->client, call, &again) == ERR_OK)
            return;
        failure_fill(&failure, call, &again, what);
        finish(request, NULL, &failure);
        return;
    }
    if (error != NULL || call->status < 200 || call->status >= 300) {
        failure_fill(&failure, call, error, what);
        finish(request, NULL, &failure);
        return;
    }
    json_error_t where;
    json_t *object = call->body.length > 0 ? json_loadb(strbuf_text(&call->body), call->body.length, 0, &where) : NULL;
    if (object == NULL && call->body.length > 0) {
        failure = (struct kube_failure){.status = call->status, .retry_after_ms = -1};
        (void)err_set(&failure.error, ERR_PROTOCOL, "%s: the answer is not JSON: %s", what, where.text);
        finish(request, NULL, &failure);
        return;
    }
    finish(request, object, NULL);
    json_decref(object);
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
    if (request->content_line == NULL || request->copied_path == NULL ||
        (request->body_bytes > 0 && request->copied_body == NULL))
        return err_set(reterr, ERR_NOMEM, "out of memory");
    return ERR_OK;
}

enum err_code kube_start(struct kube_client *client, struct kube_request *request, struct err *reterr)
{
    request->client = client;
    request->retried_unauthorized = request->orphaned = false;
    request->started_us = loop_precise_us(kube_client_loop(client));
    request->call =
        (struct http_call){.method = method_of(request->verb),
                           .on_done = on_answer,
                           .context = request,
                           .timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : REQUEST_TIMEOUT_MS};
    transport_link(client, request);
    enum err_code code = copy_inputs(request, reterr);
    if (code == ERR_OK) {
        request->call.path = request->copied_path;
        request->call.request_body = request->copied_body;
        request->call.request_body_bytes = request->body_bytes;
        request->call.headers[0] = "Accept: application/json";
        request->call.headers[1] = request->body_bytes > 0 ? request->content_line : NULL;
        code = transport_start(client, &request->call, reterr);
    }
    if (code != ERR_OK)
        release(request);
    return code;
}

void kube_cancel(struct kube_request *request)
{
    if (request->client == NULL)
        return;
    http_cancel(&request->call);
    release(request);
}

void transport_fail_orphans(struct kube_client *client)
{
    for (struct kube_request *request = transport_first(client); request != NULL; request = transport_first(client)) {
        while (request != NULL && !request->orphaned)
            request = request->next;
        if (request == NULL)
            return;
        struct kube_failure failure = {.retry_after_ms = -1};
        (void)err_set(&failure.error, ERR_CONNECT,
                      "the connection was closed because the client's certificates changed");
        finish(request, NULL, &failure);
    }
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
