#include "agent/kube/failure.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/proto_tree.h"
#include "base/mem.h"
#include "base/text.h"

enum { SHOWN_BYTES = 200, MAX_RETRY_AFTER_S = 3600 };

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
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"}};
    for (size_t i = 0; i < ARRAY_COUNT(known); i++)
        if (known[i].status == status)
            return known[i].words;
    return "unexpected status";
}

/* ---- names of requests ---- */

static const char *kind_of(const char *resource)
{
    static const struct {
        const char *resource, *kind;
    } kinds[] = {{"services", "Service"},
                 {"endpointslices", "EndpointSlice"},
                 {"endpoints", "Endpoints"},
                 {"namespaces", "Namespace"},
                 {"secrets", "Secret"},
                 {"events", "Event"},
                 {"links", "Link"},
                 {"leases", "Lease"},
                 {"pods", "Pod"},
                 {"serviceaccounts", "ServiceAccount"},
                 {"configmaps", "ConfigMap"},
                 {"deployments", "Deployment"},
                 {"roles", "Role"},
                 {"rolebindings", "RoleBinding"},
                 {"clusterroles", "ClusterRole"},
                 {"clusterrolebindings", "ClusterRoleBinding"},
                 {"customresourcedefinitions", "CustomResourceDefinition"}};
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++)
        if (strcmp(kinds[i].resource, resource) == 0)
            return kinds[i].kind;
    return resource;
}

/* The segment of the path behind "/<word>/", empty when there is none. `last`: behind the last such word. */
static void segment_after(const char *path, const char *word, bool last, char *buffer, size_t bytes)
{
    const char *end = path + strcspn(path, "?"), *found = NULL;
    size_t length = strlen(word);
    for (const char *slash = path; slash != NULL && slash < end; slash = strchr(slash + 1, '/')) {
        if (*slash != '/' || strncmp(slash + 1, word, length) != 0 || slash[1 + length] != '/')
            continue;
        found = slash + length + 2;
        if (!last)
            break;
    }
    size_t found_length = found != NULL && found < end ? strcspn(found, "/?") : 0;
    (void)snprintf(buffer, bytes, "%.*s", (int)found_length, found != NULL ? found : "");
}

static void name_in_body(const char *body, char *buffer, size_t bytes)
{
    json_t *json = body != NULL ? json_loads(body, 0, NULL) : NULL;
    const char *name = json_string_value(json_object_get(json_object_get(json, "metadata"), "name"));
    (void)snprintf(buffer, bytes, "%s", name != NULL ? name : "");
    json_decref(json);
}

void failure_describe(char *buffer, size_t bytes, const char *verb, const char *resource, const char *path,
                      const char *body, const char *cluster)
{
    char folder[256], name[256];
    const char *kind = kind_of(resource);
    segment_after(path, "namespaces", false, folder, sizeof(folder));
    segment_after(path, resource, true, name, sizeof(name));
    if (strcmp(resource, "namespaces") == 0)
        folder[0] = '\0';
    if (name[0] == '\0' && strcmp(verb, "create") == 0)
        name_in_body(body, name, sizeof(name));
    if (name[0] != '\0' && kind != resource)
        (void)snprintf(buffer, bytes, "%s %s %s%s%s in cluster %s", verb, kind, folder, folder[0] != '\0' ? "/" : "",
                       name, cluster);
    else
        (void)snprintf(buffer, bytes, "%s %.*s in cluster %s", verb, (int)strcspn(path, "?"), path, cluster);
}

/* ---- failures ---- */

/* apimachinery's IsTooLargeResourceVersion: by the cause, and by the words of servers that name none. */
static bool is_version_too_large(const json_t *status, const char *message)
{
    const json_t *causes = json_object_get(json_object_get(status, "details"), "causes");
    for (size_t i = 0; i < json_array_size(causes); i++) {
        const char *reason = json_string_value(json_object_get(json_array_get(causes, i), "reason"));
        if (reason != NULL && strcmp(reason, "ResourceVersionTooLarge") == 0)
            return true;
    }
    return message != NULL && strstr(message, "Too large resource version") != NULL;
}

void failure_from_status(struct kube_failure *failure, const json_t *status, int http_status, const char *what)
{
    const char *reason = json_string_value(json_object_get(status, "reason"));
    const char *message = json_string_value(json_object_get(status, "message"));
    const json_t *retry = json_object_get(json_object_get(status, "details"), "retryAfterSeconds");
    json_int_t retry_s = json_is_integer(retry) ? json_integer_value(retry) : -1;
    (void)snprintf(failure->reason, sizeof(failure->reason), "%s", reason != NULL ? reason : "");
    failure->status = http_status;
    failure->version_too_large = http_status >= 500 && is_version_too_large(status, message);
    if (failure->retry_after_ms < 0 && retry_s >= 0 && retry_s <= MAX_RETRY_AFTER_S)
        failure->retry_after_ms = retry_s * 1000;
    enum err_code code = failure_code(http_status, failure->reason);
    if (http_status == 503 && failure->retry_after_ms >= 0)
        code = ERR_BUSY;
    (void)err_set(&failure->error, code, "%s: %d %s%s%s", what, http_status, status_words(http_status),
                  message != NULL ? ": " : "", message != NULL ? message : "");
}

/* The beginning of an answer that is no Status, such as a proxy's page, on one line. */
static void show_body(const struct strbuf *body, char shown[SHOWN_BYTES + 1])
{
    const char *text = strbuf_text(body);
    size_t used = 0;
    bool space = false;
    for (size_t i = 0; i < body->length && used < SHOWN_BYTES - 1; i++) {
        unsigned char c = (unsigned char)text[i];
        bool is_space = c <= ' ' || c == 127;
        if (is_space || c >= 128) { /* never half a character of UTF-8 */
            space = space || (is_space && used > 0);
            continue;
        }
        if (space)
            shown[used++] = ' ';
        space = false;
        shown[used++] = (char)c;
    }
    shown[used] = '\0';
}

/* The Status in an answer, which is of the kind that was asked for. @return new; NULL: there is none. */
static json_t *status_in(const struct http_call *call)
{
    enum { STATUS_BYTES = 4 << 20 };
    struct arena arena;
    const struct json_tree *tree = NULL;
    if (!text_starts_with(call->content_type, PROTO_MEDIA_TYPE))
        return json_loadb(strbuf_text(&call->body), call->body.length, 0, NULL);
    arena_init(&arena, STATUS_BYTES);
    enum err_code code = proto_tree_status(&arena, strbuf_text(&call->body), call->body.length, &tree, NULL);
    json_t *status = code == ERR_OK ? json_tree_to_json(tree) : NULL;
    arena_done(&arena);
    return status;
}

void failure_fill(struct kube_failure *failure, const struct http_call *call, const struct err *error, const char *what)
{
    *failure = (struct kube_failure){.retry_after_ms = call->retry_after_ms};
    if (error != NULL) {
        (void)err_set(&failure->error, error->code, "%s: %s", what, error->text);
        return;
    }
    json_t *status = status_in(call);
    failure_from_status(failure, status, call->status, what);
    char shown[SHOWN_BYTES + 1];
    show_body(&call->body, shown);
    if (!json_is_string(json_object_get(status, "message")) && shown[0] != '\0')
        (void)err_set(&failure->error, failure->error.code, "%s: %d %s: %s", what, call->status,
                      status_words(call->status), shown);
    json_decref(status);
}

void failure_name_right(struct kube_failure *failure, const char *verb, const char *resource, const char *cluster)
{
    /* services is forbidden: User "system:serviceaccount:x:y" cannot list resource "services" in API group "" ... */
    const char *user = strstr(failure->error.text, "User \"");
    const char *answer = strstr(failure->error.text, "403 ");
    char name[256] = "the account in use";
    if (user != NULL)
        (void)snprintf(name, sizeof(name), "user %.*s", (int)strcspn(user + 6, "\""), user + 6);
    (void)err_set(&failure->error, failure->error.code,
                  "missing right: %s %s in cluster %s (grant get, list, watch on %s to %s): %s", verb, resource,
                  cluster, resource, name, answer != NULL ? answer : "");
}
