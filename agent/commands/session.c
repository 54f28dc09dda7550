#include "agent/commands/session.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/client.h"
#include "agent/kube/setup.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    REQUEST_MS = 10000,
    LEAST_MS = 50, /* a request that is begun has a chance */
    ANSWER_BYTES = 64 << 20,
    PAGE_PATH_BYTES = 8192, /* with a continue token, in practice below 1 KiB */
    URL_BYTES = 1024,       /* as much as an answer's Location is taken */
    MAX_REDIRECTS = 10,     /* as kubectl */
};

struct session {
    struct loop *loop;
    struct dns *dns;
    struct http *http;
    struct loop_timer *timer;
    uint64_t deadline_ms;
    bool interrupted; /* by a signal: nothing more is asked */
    /* The one request under way, and what came of it. */
    struct http_call call;
    bool answered;
    json_t *answer;
    struct strbuf text; /* of an answer that is no JSON */
    struct err error;
    size_t reading; /* how many of several reads are under way */
};

/* ---- coming and going ---- */

static void on_timer(void *context) { loop_stop(((const struct session *)context)->loop); }

static void on_interrupt(void *context)
{
    struct session *session = context;
    session->interrupted = true;
    loop_stop(session->loop);
}

static enum err_code open_session(struct session *session, struct err *reterr)
{
    session->loop = loop_new();
    session->timer = session->loop != NULL ? loop_timer_new(session->loop, on_timer, session) : NULL;
    if (session->timer == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    TRY(loop_on_signal(session->loop, SIGINT, on_interrupt, session));
    TRY(loop_on_signal(session->loop, SIGTERM, on_interrupt, session));
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
    http_free(session->http);
    dns_free(session->dns);
    loop_timer_free(session->timer);
    loop_free(session->loop);
    mem_free(session);
}

/* ---- time ---- */

void session_set_deadline(struct session *session, uint64_t at_ms) { session->deadline_ms = at_ms; }

/* Not the loop's own time, which stands still while the loop does not run. */
uint64_t session_now_ms(const struct session *session) { return loop_precise_us(session->loop) / 1000; }

int64_t session_wall_us(const struct session *session) { return loop_wall_us(session->loop); }

void session_sleep(struct session *session, uint64_t ms)
{
    if (session->interrupted)
        return;
    loop_timer_start(session->timer, ms);
    loop_run(session->loop);
    loop_timer_stop(session->timer);
}

bool session_interrupted(const struct session *session) { return session->interrupted; }

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
    session->answered = true;
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

static enum err_code ask(struct session *session, struct http_origin *origin, const char *path, const char *accept,
                         struct err *reterr)
{
    if (session->interrupted)
        return err_set(reterr, ERR_CANCELLED, "interrupted");
    session->error = (struct err){0};
    session->answered = false;
    session->call = (struct http_call){.path = path,
                                       .headers = {accept},
                                       .timeout_ms = request_ms(session),
                                       .max_body_bytes = ANSWER_BYTES,
                                       .on_done = on_agent_answer,
                                       .context = session};
    TRY(http_start(origin, &session->call, reterr));
    loop_run(session->loop);
    if (session->answered)
        return ERR_OK;
    http_cancel(&session->call);
    return err_set(reterr, ERR_CANCELLED, "interrupted");
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
    enum err_code code = ask(session, origin, path, "Accept: application/json", reterr);
    if (code == ERR_OK)
        code = read_answer(session, url, ret_value, reterr);
    http_call_done(&session->call);
    http_origin_free(origin);
    return code;
}

/* ---- fetching ---- */

static enum err_code take_text(struct session *session, const char *url, char **ret_text, struct err *reterr)
{
    struct http_call *call = &session->call;
    if (session->error.code != ERR_OK)
        return err_set(reterr, session->error.code, "%s", session->error.text);
    if (call->status != 200)
        return err_set(reterr, ERR_PROTOCOL, "%s: answered with status %d", url, call->status);
    *ret_text = strbuf_take(&call->body);
    return *ret_text != NULL ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
}

/* @return whether the answer leads elsewhere: the codes that Go's client, which is kubectl's, follows. */
static bool is_redirect(const struct http_call *call)
{
    static const int STATUSES[] = {301, 302, 303, 307, 308};
    for (size_t i = 0; i < ARRAY_COUNT(STATUSES); i++)
        if (call->status == STATUSES[i])
            return true;
    return false;
}

enum err_code session_judge_redirect(const char *url, const char *to, struct err *reterr)
{
    if (!text_starts_with(to, "https://") && !text_starts_with(to, "http://"))
        return err_set(reterr, ERR_PROTOCOL, "%s: redirected to %.200s, which is neither http nor https", url, to);
    if (text_starts_with(url, "https://") && !text_starts_with(to, "https://"))
        return err_set(reterr, ERR_PROTOCOL,
                       "%s: redirected to %.200s, without TLS, which is not followed: name that place itself if you "
                       "trust the network",
                       url, to);
    return ERR_OK;
}

static enum err_code take_redirect(const struct http_call *call, const char *url, char next[URL_BYTES],
                                   struct err *reterr)
{
    if (call->location[0] == '\0')
        return err_set(reterr, ERR_PROTOCOL, "%s: answered with status %d, which leads nowhere: name the place itself",
                       url, call->status);
    TRY(session_judge_redirect(url, call->location, reterr));
    (void)snprintf(next, URL_BYTES, "%s", call->location);
    return ERR_OK;
}

/* One request. @param[out] next  where the answer leads; "" when it is the text. */
static enum err_code fetch_once(struct session *session, const char *url, char next[URL_BYTES], char **ret_text,
                                struct err *reterr)
{
    char base[512], path[URL_BYTES];
    const char *scheme_end = strstr(url, "://");
    size_t host = scheme_end != NULL ? (size_t)(scheme_end - url) + 3 : 0;
    size_t base_length = host + strcspn(url + host, "/?#"), path_length = strcspn(url + base_length, "#");
    struct http_origin *origin = NULL;
    if (base_length >= sizeof(base) || path_length + 2 > sizeof(path))
        return err_set(reterr, ERR_LIMIT, "%.100s...: the URL is too long", url);
    (void)snprintf(base, sizeof(base), "%.*s", (int)base_length, url);
    (void)snprintf(path, sizeof(path), "%s%.*s", url[base_length] == '/' ? "" : "/", (int)path_length,
                   url + base_length);
    const struct http_origin_config config = {.base_url = base, .user_agent = "svcmirror"};
    TRY(http_origin_new(session->http, &config, &origin, reterr));
    enum err_code code = ask(session, origin, path, "Accept: */*", reterr);
    next[0] = '\0';
    if (code == ERR_OK)
        code = session->error.code == ERR_OK && is_redirect(&session->call)
                   ? take_redirect(&session->call, url, next, reterr)
                   : take_text(session, url, ret_text, reterr);
    http_call_done(&session->call);
    http_origin_free(origin);
    return code;
}

enum err_code session_fetch(struct session *session, const char *url, char **ret_text, struct err *reterr)
{
    char at[URL_BYTES], next[URL_BYTES];
    if (strlen(url) >= sizeof(at))
        return err_set(reterr, ERR_LIMIT, "%.100s...: the URL is too long", url);
    (void)snprintf(at, sizeof(at), "%s", url);
    for (int redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
        TRY(fetch_once(session, at, next, ret_text, reterr));
        if (next[0] == '\0')
            return ERR_OK;
        (void)snprintf(at, sizeof(at), "%s", next);
    }
    return err_set(reterr, ERR_PROTOCOL, "%.200s: redirected more than %d times, to %.200s at last", url, MAX_REDIRECTS,
                   at);
}

/* ---- asking an API server ---- */

enum err_code session_connect(struct session *session, const struct kubeconfig *config, const char *label,
                              struct kube_client **ret_client, struct err *reterr)
{
    return kube_client_new(session->http, session->loop, config, label, ret_client, reterr);
}

static void on_api_answer(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct session *session = request->context;
    if (failure != NULL)
        session->error = failure->error;
    else
        session->answer = json_incref(object);
    if (failure == NULL && request->is_text)
        strbuf_append_bytes(&session->text, request->text, request->text_bytes);
    session->answered = true;
    loop_stop(session->loop);
}

enum err_code session_request(struct session *session, struct kube_client *client, struct kube_request *request,
                              json_t **ret_object, struct err *reterr)
{
    if (session->interrupted)
        return err_set(reterr, ERR_CANCELLED, "interrupted");
    request->timeout_ms = request_ms(session);
    request->on_done = on_api_answer;
    request->context = session;
    session->answer = NULL;
    session->error = (struct err){0};
    session->answered = false;
    TRY(kube_start(client, request, reterr));
    loop_run(session->loop);
    if (!session->answered) { /* what a write did is not known then: the text says which it was */
        kube_cancel(request);
        return err_set(reterr, ERR_CANCELLED, "interrupted during: %s %.*s in cluster %s", request->verb,
                       (int)strcspn(request->path, "?"), request->path, kube_client_label(client));
    }
    if (session->error.code != ERR_OK)
        return err_set(reterr, session->error.code, "%s", session->error.text);
    *ret_object = TAKE(session->answer);
    return ERR_OK;
}

enum err_code session_request_text(struct session *session, struct kube_client *client, struct kube_request *request,
                                   char **ret_text, size_t *ret_bytes, struct err *reterr)
{
    json_t *none = NULL;
    strbuf_init(&session->text, ANSWER_BYTES);
    enum err_code code = session_request(session, client, request, &none, reterr);
    *ret_bytes = session->text.length;
    char *text = code == ERR_OK ? strbuf_take(&session->text) : NULL;
    strbuf_done(&session->text);
    if (code == ERR_OK && text == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (code == ERR_OK)
        *ret_text = text;
    return code;
}

/* ---- several reads at once ---- */

static void read_over(struct session_read *read, const struct err *error)
{
    if (error != NULL) {
        read->error = *error;
        json_decref(TAKE(read->value));
    }
    if (--read->session->reading == 0)
        loop_stop(read->session->loop);
}

/* Puts a page behind those that are there. @return false when memory ran out. */
static bool take_page(struct session_read *read, json_t *page)
{
    json_t *items = json_object_get(read->value, "items");
    if (read->value == NULL) {
        read->value = json_incref(page);
        return true;
    }
    return json_array_extend(items, json_object_get(page, "items")) == 0;
}

static enum err_code read_page(struct session_read *read, const char *token, struct err *reterr)
{
    struct arena arena;
    char path[PAGE_PATH_BYTES];
    arena_init(&arena, PAGE_PATH_BYTES);
    const char *escaped = token != NULL ? kube_query_escape(&arena, token) : "";
    int length = escaped != NULL ? snprintf(path, sizeof(path), "%s%s%s", read->path,
                                            token == NULL                     ? ""
                                            : strchr(read->path, '?') != NULL ? "&continue="
                                                                              : "?continue=",
                                            escaped)
                                 : -1;
    arena_done(&arena);
    if (length < 0 || (size_t)length >= sizeof(path))
        return err_set(reterr, ERR_LIMIT, "list %s: the continue token is too long", read->resource);
    read->request.path = path; /* is copied */
    enum err_code code = kube_start(read->client, &read->request, reterr);
    read->request.path = read->path;
    return code;
}

static void on_read(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct session_read *read = request->context;
    read->date_s = request->date_s;
    read->came_s = session_wall_us(read->session) / 1000000;
    struct err error = failure != NULL ? failure->error : (struct err){0};
    const char *token = json_string_value(json_object_get(json_object_get(object, "metadata"), "continue"));
    if (failure == NULL && object == NULL)
        (void)err_set(&error, ERR_PROTOCOL, "%s %s: the answer is empty", request->verb, read->path);
    else if (failure == NULL && !take_page(read, object))
        (void)err_set(&error, ERR_NOMEM, "out of memory");
    if (error.code == ERR_OK && token != NULL && token[0] != '\0' && read_page(read, token, &error) == ERR_OK)
        return;
    read_over(read, error.code != ERR_OK ? &error : NULL);
}

enum err_code session_read_all(struct session *session, struct session_read *reads, size_t count, struct err *reterr)
{
    if (session->interrupted)
        return err_set(reterr, ERR_CANCELLED, "interrupted");
    session->reading = count + 1; /* nothing is over before all have begun */
    for (size_t i = 0; i < count; i++) {
        struct session_read *read = &reads[i];
        struct err error = {0};
        read->session = session;
        read->request = (struct kube_request){.verb = read->body != NULL ? "create" : "get",
                                              .resource = read->resource,
                                              .body = read->body,
                                              .body_bytes = read->body != NULL ? strlen(read->body) : 0,
                                              .timeout_ms = read->timeout_ms,
                                              .on_done = on_read,
                                              .context = read};
        if (read_page(read, NULL, &error) != ERR_OK)
            read_over(read, &error);
    }
    if (--session->reading > 0)
        loop_run(session->loop);
    if (session->reading == 0)
        return ERR_OK;
    for (size_t i = 0; i < count; i++)
        kube_cancel(&reads[i].request); /* of those that ended nothing is left to cancel */
    return err_set(reterr, ERR_CANCELLED, "interrupted");
}

/* ---- looking at a gateway ---- */

struct lookup {
    struct session *session;
    char ip[TEXT_IP_BYTES];
};

static void on_lookup(struct dns_query *query, const struct dns_answer *answer, const struct err *error)
{
    struct lookup *lookup = query->context;
    if (answer != NULL)
        memcpy(lookup->ip, answer->addresses[0], sizeof(lookup->ip));
    else
        lookup->session->error = *error;
    lookup->session->answered = true;
    loop_stop(lookup->session->loop);
}

enum err_code session_resolve(struct session *session, const char *host, char ret_ip[TEXT_IP_BYTES], struct err *reterr)
{
    struct lookup lookup = {.session = session};
    struct dns_query query = {.on_done = on_lookup, .context = &lookup};
    if (session->interrupted)
        return err_set(reterr, ERR_CANCELLED, "interrupted");
    session->error = (struct err){0};
    session->answered = false;
    TRY(dns_start(session->dns, &query, host, reterr));
    loop_run(session->loop);
    dns_cancel(&query);
    if (!session->answered)
        return err_set(reterr, ERR_CANCELLED, "interrupted");
    if (session->error.code != ERR_OK)
        return err_set(reterr, session->error.code, "%s", session->error.text);
    memcpy(ret_ip, lookup.ip, sizeof(lookup.ip));
    return ERR_OK;
}

struct probing {
    struct session *session;
    struct probe_observation seen;
};

static void on_probed(void *context, uint32_t id, const struct probe_observation *observation)
{
    struct probing *probing = context;
    (void)id;
    probing->seen = *observation;
    probing->session->answered = true;
    loop_stop(probing->session->loop);
}

static void on_probe_news(void *context, const char *how)
{
    (void)context; /* its end is what counts */
    (void)how;
}

enum err_code session_probe(struct session *session, const struct probe_link_config *config,
                            struct probe_observation *ret_seen, struct err *reterr)
{
    struct probing probing = {.session = session};
    const struct probe_callbacks callbacks = {.on_result = on_probed,
                                              .on_connection_lost = on_probe_news,
                                              .context = &probing};
    struct probe_link *link = NULL;
    uint32_t id = 0;
    if (session->interrupted)
        return err_set(reterr, ERR_CANCELLED, "interrupted");
    session->answered = false;
    TRY(probe_link_new(session->http, config, &callbacks, &link, reterr));
    enum err_code code = probe_link_send(link, &id, reterr);
    if (code == ERR_OK)
        loop_run(session->loop);
    probe_link_free(link);
    if (code == ERR_OK && !session->answered)
        return err_set(reterr, ERR_CANCELLED, "interrupted");
    if (code == ERR_OK)
        *ret_seen = probing.seen;
    return code;
}
