/* From an HTTP answer to what it means: Status objects (meta/v1) and bare statuses. */
#include <stdio.h>
#include <string.h>

#include "agent/kube/transport.h"

enum err_code failure_code(int status, const char *reason)
{
    switch (status) {
    case 401:
        return ERR_UNAUTHORIZED;
    case 403:
        return ERR_FORBIDDEN;
    case 404:
        return ERR_NOT_FOUND;
    case 409:
        return strcmp(reason, "AlreadyExists") == 0 ? ERR_EXISTS : ERR_CONFLICT;
    case 410:
        return ERR_EXPIRED;
    case 429:
        return ERR_BUSY;
    default:
        break;
    }
    if (status >= 400 && status < 500)
        return ERR_REJECTED;
    return status >= 500 ? ERR_SERVER : ERR_PROTOCOL;
}

static const char *status_words(int status)
{
    static const struct {
        int status;
        const char *words;
    } known[] = {{400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {409, "Conflict"},
                 {410, "Gone"},
                 {422, "Unprocessable Entity"},
                 {429, "Too Many Requests"},
                 {500, "Internal Server Error"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i].status == status)
            return known[i].words;
    return "unexpected status";
}

void failure_from_status(struct kube_failure *failure, const json_t *status, int http_status, const char *what)
{
    const char *reason = json_string_value(json_object_get(status, "reason"));
    const char *message = json_string_value(json_object_get(status, "message"));
    const json_t *retry = json_object_get(json_object_get(status, "details"), "retryAfterSeconds");
    (void)snprintf(failure->reason, sizeof(failure->reason), "%s", reason != NULL ? reason : "");
    failure->status = http_status;
    if (failure->retry_after_ms < 0 && json_is_integer(retry) && json_integer_value(retry) >= 0 &&
        json_integer_value(retry) <= 3600)
        failure->retry_after_ms = json_integer_value(retry) * 1000;
    enum err_code code = failure_code(http_status, failure->reason);
    if (code == ERR_SERVER && http_status == 503 && failure->retry_after_ms >= 0)
        code = ERR_BUSY;
    (void)err_set(&failure->error, code, "%s: %d %s%s%s", what, http_status, status_words(http_status),
                  message != NULL ? ": " : "", message != NULL ? message : "");
}

void failure_fill(struct kube_failure *failure, const struct http_call *call, const struct err *error, const char *what)
{
    *failure = (struct kube_failure){.retry_after_ms = call->retry_after_ms};
    if (error != NULL) {
        (void)err_set(&failure->error, error->code, "%s: %s", what, error->text);
        return;
    }
    json_t *status = json_loadb(strbuf_text(&call->body), call->body.length, 0, NULL);
    failure_from_status(failure, status, call->status, what);
    if (json_object_get(status, "message") == NULL && call->body.length > 0 && call->body.length < 200)
        (void)err_set(&failure->error, failure->error.code, "%s: %d %s: %s", what, call->status,
                      status_words(call->status), strbuf_text(&call->body));
    json_decref(status);
}
