#include "agent/commands/session.h"

#include <signal.h>

#include "agent/kube/client.h"
#include "agent/kube/setup.h"
#include "base/mem.h"

enum { CONFIG_BYTES = 8 << 20, REQUEST_MS = 10000 };

struct session {
    struct arena arena;
    struct loop *loop;
    struct dns *dns;
    struct http *http;
    struct kube_client *client;
    struct loop_timer *timer;
    struct kube_request request;
    json_t *answer;
    struct err error;
};

static void on_timer(void *context) {
    loop_stop(((struct session *)context)->loop);
}

static enum err_code open_session(struct session *session, const char *address, const char *kubeconfig, const char *context, struct err *reterr) {
    struct kubeconfig config = {.server = address, .proxy_url = ""};
    if (address == NULL)
        TRY(kubeconfig_load(&session->arena, kubeconfig, context, &config, reterr));
    session->loop = loop_new();
    session->timer = session->loop != NULL ? loop_timer_new(session->loop, on_timer, session) : NULL;
    if (session->timer == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    session->dns = dns_new(session->loop, NULL, reterr);
    session->http = session->dns != NULL ? http_new(session->loop, session->dns, reterr) : NULL;
    if (session->http == NULL)
        return reterr->code;
    return kube_client_new(session->http, session->loop, &config, address != NULL ? address : "source", &session->client, reterr);
}

enum err_code session_new(const char *address, const char *kubeconfig, const char *context, struct session **ret_session, struct err *reterr) {
    struct session *session = NEW(struct session);
    if (session == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    (void)signal(SIGPIPE, SIG_IGN);
    kube_setup();
    arena_init(&session->arena, CONFIG_BYTES);
    enum err_code code = open_session(session, address, kubeconfig, context, reterr);
    if (code != ERR_OK) {
        session_free(session);
        return code;
    }
    *ret_session = session;
    return ERR_OK;
}

void session_free(struct session *session) {
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

static void on_done(struct kube_request *request, json_t *object, const struct kube_failure *failure) {
    struct session *session = request->context;
    if (failure != NULL)
        session->error = failure->error;
    else
        session->answer = json_incref(object);
    loop_stop(session->loop);
}

enum err_code session_get(struct session *session, const char *resource, const char *path, json_t **ret_object, struct err *reterr) {
    session->request = (struct kube_request){.verb = "get", .resource = resource, .path = path, .timeout_ms = REQUEST_MS, .on_done = on_done,
                                             .context = session};
    session->answer = NULL;
    session->error = (struct err){0};
    TRY(kube_start(session->client, &session->request, reterr));
    loop_run(session->loop);
    if (session->error.code != ERR_OK)
        return err_set(reterr, session->error.code, "%s", session->error.text);
    if (session->answer == NULL)
        return err_set(reterr, ERR_PROTOCOL, "the answer to %s is empty", path);
    *ret_object = session->answer;
    return ERR_OK;
}

uint64_t session_now_ms(const struct session *session) {
    return loop_now_ms(session->loop);
}

void session_sleep(struct session *session, uint64_t ms) {
    loop_timer_start(session->timer, ms);
    loop_run(session->loop);
}
