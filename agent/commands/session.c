#include "agent/commands/session.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/client.h"
#include "agent/kube/setup.h"
#include "base/mem.h"

enum {
    CONFIG_BYTES = 8 << 20,
    PATH_BYTES = 8192, /* with a continue token, which the server makes as long as it likes; in practice below 1 KiB */
    PAGE_ITEMS = 500,
    REQUEST_MS = 10000,
    LEAST_MS = 50, /* a request that is begun has a chance */
    ANSWER_BYTES = 64 << 20,
};

struct session {
    struct arena arena;
    struct loop *loop;
    struct dns *dns;
    struct http *http;
    struct kube_client *client;
    struct loop_timer *timer;
    uint64_t deadline_ms;
    /* The one request under way, and what came of it. */
    struct kube_request request;
    struct http_call call;
    json_t *answer;
    struct err error;
};

/* ---- coming and going ---- */

static void on_timer(void *context) { loop_stop(((const struct session *)context)->loop); }

static enum err_code open_session(struct session *session, struct err *reterr)
{
    session->loop = loop_new();
    session->timer = session->loop != NULL ? loop_timer_new(session->loop, on_timer, session) : NULL;
    if (session->timer == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    struct err error = {0};
    session->dns = dns_new(session->loop, NULL, &error);
    session->http = session->dns != NULL ? http_new(session->loop, session->dns, &error) : NULL;
    return session->http != NULL ? ERR_OK : err_set(reterr, error.code, "%s", error.text);
}

enum err_code session_new(struct session **ret_session, struct err *reterr)
{
    struct session *session = NEW(struct session);
    if (session == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    (void)signal(SIGPIPE, SIG_IGN); /* a peer that is gone shows as an error of the write */
    kube_setup();
    arena_init(&session->arena, CONFIG_BYTES);
    enum err_code code = open_session(session, reterr);
    if (code != ERR_OK) {
        session_free(session);
        return code;
    }
    *ret_session = session;
    return ERR_OK;
}

void session_free(struct session *session)
{
    if (session == NULL)
        return;
    kube_client_free(session->client);
    http_free(session->http);
    dns_free(session->dns);
    loop_timer_free(session->timer);
    loop_free(session->loop);
    arena_done(&session->arena);
    mem_free(session);
}

/* ---- time ---- */

void session_set_deadline(struct session *session, uint64_t at_ms) { session->deadline_ms = at_ms; }

/* Not the loop's own time, which stands still while the loop does not run. */
uint64_t session_now_ms(const struct session *session) { return loop_precise_us(session->loop) / 1000; }

void session_sleep(struct session *session, uint64_t ms)
{
    loop_timer_start(session->timer, ms);
    loop_run(session->loop);
}

static uint32_t request_ms(const struct session *session)
{
    uint64_t now_ms = session_now_ms(session);
    if (session->deadline_ms == 0 || session->deadline_ms >= now_ms + REQUEST_MS)
        return REQUEST_MS;
    return session->deadline_ms > now_ms + LEAST_MS ? (uint32_t)(session->deadline_ms - now_ms) : LEAST_MS;
}

/* ---- asking an agent ---- */

static void on_agent_answer(struct http_call *call, const struct err *error)
{
    struct session *session = call->context;
    if (error != NULL)
        session->error = *error;
    loop_stop(session->loop);
}

static enum err_code read_answer(struct session *session, const char *url, json_t **ret_value, struct err *reterr)
{
    static const char hint[] = "is the agent running there, and is that its --admin-addr?";
    const struct http_call *call = &session->call;
    if (session->error.code != ERR_OK)
        return err_set(reterr, session->error.code, "%s: %s", session->error.text, hint); /* it names the server */
    if (call->status != 200)
        return err_set(reterr, ERR_PROTOCOL, "%s: answered with status %d: %s", url, call->status, hint);
    json_t *value = json_loadb(strbuf_text(&call->body), call->body.length, 0, NULL);
    if (value == NULL)
        return err_set(reterr, ERR_PROTOCOL, "%s: the answer is not JSON: %s", url, hint);
    *ret_value = value;
    return ERR_OK;
}

static enum err_code ask(struct session *session, struct http_origin *origin, const char *path, struct err *reterr)
{
    session->error = (struct err){0};
    session->call = (struct http_call){.path = path,
                                       .headers = {"Accept: application/json"},
                                       .timeout_ms = request_ms(session),
                                       .max_body_bytes = ANSWER_BYTES,
                                       .on_done = on_agent_answer,
                                       .context = session};
    TRY(http_start(origin, &session->call, reterr));
    loop_run(session->loop);
    return ERR_OK;
}

enum err_code session_ask_agent(struct session *session, const char *address, const char *path, json_t **ret_value,
                                struct err *reterr)
{
    char base[512], url[1024];
    struct http_origin *origin = NULL;
    size_t length = strlen(address);
    while (length > 0 && address[length - 1] == '/')
        length--;
    (void)snprintf(base, sizeof(base), "%s%.*s", strstr(address, "://") == NULL ? "http://" : "", (int)length, address);
    (void)snprintf(url, sizeof(url), "%s%s", base, path);
    const struct http_origin_config config = {.base_url = base, .user_agent = "svcmirror"};
    if (http_origin_new(session->http, &config, &origin, reterr) != ERR_OK)
        return err_context(reterr, "--address %s", address);
    enum err_code code = ask(session, origin, path, reterr);
    if (code == ERR_OK)
        code = read_answer(session, url, ret_value, reterr);
    http_call_done(&session->call);
    http_origin_free(origin);
    return code;
}

/* ---- asking the API server ---- */

static bool in_pod(void) { return getenv("KUBERNETES_SERVICE_HOST") != NULL && getenv("KUBECONFIG") == NULL; }

enum err_code session_use_cluster(struct session *session, const char *kubeconfig, const char *context,
                                  struct err *reterr)
{
    struct kubeconfig config = {0};
    if (kubeconfig == NULL && context == NULL && in_pod())
        TRY(kubeconfig_in_cluster(&session->arena, &config, reterr));
    else
        TRY(kubeconfig_load(&session->arena, kubeconfig, context, &config, reterr));
    config.exec_permission = EXEC_TERMINAL; /* a person's own kubeconfig, as for kubectl */
    const char *label = config.context_name != NULL ? config.context_name : config.server;
    return kube_client_new(session->http, session->loop, &config, label, &session->client, reterr);
}

static void on_api_answer(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct session *session = request->context;
    if (failure != NULL)
        session->error = failure->error;
    else
        session->answer = json_incref(object);
    loop_stop(session->loop);
}

static enum err_code request(struct session *session, const char *verb, const char *resource, const char *path,
                             json_t **ret_object, struct err *reterr)
{
    session->request = (struct kube_request){.verb = verb,
                                             .resource = resource,
                                             .path = path,
                                             .timeout_ms = request_ms(session),
                                             .on_done = on_api_answer,
                                             .context = session};
    session->answer = NULL;
    session->error = (struct err){0};
    TRY(kube_start(session->client, &session->request, reterr));
    loop_run(session->loop);
    if (session->error.code != ERR_OK)
        return err_set(reterr, session->error.code, "%s", session->error.text);
    if (session->answer == NULL)
        return err_set(reterr, ERR_PROTOCOL, "%s %s at %s: the answer is empty", verb, resource, path);
    *ret_object = TAKE(session->answer);
    return ERR_OK;
}

enum err_code session_get(struct session *session, const char *resource, const char *path, json_t **ret_object,
                          struct err *reterr)
{
    return request(session, "get", resource, path, ret_object, reterr);
}

/* @return an escaped copy of the page's continue token in `arena`, "" on the last page, NULL when out of memory. */
static const char *next_page(struct arena *arena, const json_t *page)
{
    const char *token = json_string_value(json_object_get(json_object_get(page, "metadata"), "continue"));
    return token != NULL && token[0] != '\0' ? kube_query_escape(arena, token) : "";
}

static enum err_code call_for_each(const json_t *page, session_item_fn fn, void *context)
{
    const json_t *items = json_object_get(page, "items"), *item = NULL;
    size_t index = 0;
    json_array_foreach(items, index, item) TRY(fn(context, item));
    return ERR_OK;
}

enum err_code session_each(struct session *session, const char *resource, const char *path, const char *selector,
                           session_item_fn fn, void *context, struct err *reterr)
{
    char query[PATH_BYTES];
    const char *token = "";
    struct arena arena;
    enum err_code code = ERR_OK;
    arena_init(&arena, CONFIG_BYTES);
    do {
        json_t *page = NULL;
        int length = snprintf(query, sizeof(query), "%s?limit=%d%s%s%s%s", path, PAGE_ITEMS,
                              selector != NULL ? "&labelSelector=" : "", selector != NULL ? selector : "",
                              token[0] != '\0' ? "&continue=" : "", token);
        if (length < 0 || (size_t)length >= sizeof(query)) {
            code = err_set(reterr, ERR_PROTOCOL, "list %s at %s: the continue token is too long", resource, path);
            break;
        }
        code = request(session, "list", resource, query, &page, reterr);
        if (code == ERR_OK && (code = call_for_each(page, fn, context)) != ERR_OK)
            (void)err_set(reterr, code, "list %s at %s: an item cannot be taken: %s", resource, path,
                          err_code_name(code));
        token = code == ERR_OK ? next_page(&arena, page) : "";
        json_decref(page);
        if (token == NULL)
            code = err_set(reterr, ERR_NOMEM, "out of memory");
    } while (code == ERR_OK && token[0] != '\0');
    arena_done(&arena);
    return code;
}
