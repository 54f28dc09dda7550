#include "tests/unit/fake_http.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "base/mem.h"

enum { ERROR_BODY_BYTES = 64 << 10, BODY_BYTES = 16 << 20, ORIGIN_HEADERS = 8 };

struct http {
    struct loop *loop;
    struct transfer *waiting, **waiting_end; /* not taken yet, oldest first */
    unsigned started, refused_from, refused_until;
};

struct http_origin {
    struct http *http;
    char *base_url, *cert_pem, *ca_pem, *headers[ORIGIN_HEADERS];
    struct http_call *calls;
    uint32_t in_flight;
};

struct transfer {
    struct http_call *call;
    char *path, *headers[HTTP_MAX_HEADERS];
    const char *method; /* of string literals */
    struct loop_timer *deadline, *idle;
    struct transfer *next_waiting;
};

struct http *fake_http_new(struct loop *loop)
{
    struct http *http = NEW(struct http);
    if (http == NULL)
        return NULL;
    http->loop = loop;
    http->waiting_end = &http->waiting;
    return http;
}

void http_free(struct http *http)
{
    if (http != NULL)
        assert_null(http->waiting);
    mem_free(http);
}

struct loop *http_loop(const struct http *http) { return http->loop; }
bool http_speaks_http2(const struct http *http) { return http == NULL; }

/* ---- origins ---- */

enum err_code http_origin_new(struct http *http, const struct http_origin_config *config,
                              struct http_origin **ret_origin, struct err *reterr)
{
    struct http_origin *origin = NEW(struct http_origin);
    if (origin == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    origin->http = http;
    origin->base_url = mem_strdup(config->base_url);
    origin->cert_pem = mem_strdup(config->cert_pem != NULL ? config->cert_pem : "");
    origin->ca_pem = mem_strdup(config->ca_pem != NULL ? config->ca_pem : "");
    bool ok = true;
    for (unsigned i = 0; ok && i < ORIGIN_HEADERS && config->headers != NULL && config->headers[i] != NULL; i++)
        ok = (origin->headers[i] = mem_strdup(config->headers[i])) != NULL;
    if (!ok || origin->base_url == NULL || origin->cert_pem == NULL || origin->ca_pem == NULL) {
        http_origin_free(origin);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    *ret_origin = origin;
    return ERR_OK;
}

void http_origin_free(struct http_origin *origin)
{
    if (origin == NULL)
        return;
    while (origin->calls != NULL)
        http_cancel(origin->calls);
    mem_free(origin->base_url);
    mem_free(origin->cert_pem);
    mem_free(origin->ca_pem);
    for (unsigned i = 0; i < ORIGIN_HEADERS; i++)
        mem_free(origin->headers[i]);
    mem_free(origin);
}

const char *http_origin_url(const struct http_origin *origin) { return origin->base_url; }
void http_origin_limit_connections(struct http_origin *origin, uint32_t max_connections)
{
    (void)origin; /* calls wait for nobody here */
    (void)max_connections;
}
void http_origin_close_idle(struct http_origin *origin) { (void)origin; }
uint32_t http_origin_in_flight(const struct http_origin *origin) { return origin->in_flight; }

/* ---- calls ---- */

static void unqueue(struct http *http, const struct transfer *transfer)
{
    for (struct transfer **at = &http->waiting; *at != NULL; at = &(*at)->next_waiting) {
        if (*at != transfer)
            continue;
        *at = transfer->next_waiting;
        if (http->waiting_end == &transfer->next_waiting)
            http->waiting_end = at;
        return;
    }
}

static void transfer_free(struct transfer *transfer)
{
    loop_timer_free(transfer->deadline);
    loop_timer_free(transfer->idle);
    for (unsigned i = 0; i < HTTP_MAX_HEADERS; i++)
        mem_free(transfer->headers[i]);
    mem_free(transfer->path);
    mem_free(transfer);
}

static void detach(struct http_call *call)
{
    struct http_origin *origin = call->origin;
    struct transfer *transfer = call->transfer;
    unqueue(origin->http, transfer);
    *(call->previous != NULL ? &call->previous->next : &origin->calls) = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
    call->next = call->previous = NULL;
    call->transfer = NULL;
    origin->in_flight--;
    transfer_free(transfer);
}

static void finish(struct http_call *call, const struct err *error)
{
    detach(call);
    call->on_done(call, error);
}

static void on_deadline(void *context)
{
    struct http_call *call = context;
    fake_http_fail(call, ERR_TIMEOUT, "no complete answer in time");
}

static void on_idle(void *context)
{
    struct http_call *call = context;
    fake_http_fail(call, ERR_TIMEOUT, "nothing received in time");
}

static void on_refused(void *context)
{
    struct http_call *call = context;
    fake_http_fail(call, ERR_CONNECT, strerrordesc_np(EMFILE));
}

static bool fill(struct transfer *transfer, struct http_call *call, struct loop *loop, bool refused)
{
    transfer->call = call;
    transfer->method = call->method != NULL ? call->method : "GET";
    transfer->path = mem_strdup(call->path);
    bool ok = transfer->path != NULL;
    for (unsigned i = 0; ok && i < HTTP_MAX_HEADERS && call->headers[i] != NULL; i++)
        ok = (transfer->headers[i] = mem_strdup(call->headers[i])) != NULL;
    ok = ok && (transfer->deadline = loop_timer_new(loop, refused ? on_refused : on_deadline, call)) != NULL;
    return ok && (transfer->idle = loop_timer_new(loop, on_idle, call)) != NULL;
}

static void restart_idle(const struct http_call *call)
{
    const struct transfer *transfer = call->transfer;
    if (call->idle_timeout_ms > 0)
        loop_timer_start(transfer->idle, call->idle_timeout_ms);
}

enum err_code http_start(struct http_origin *origin, struct http_call *call, struct err *reterr)
{
    struct http *http = origin->http;
    struct transfer *transfer = NEW(struct transfer);
    assert_null(call->transfer);
    http->started++;
    bool refused = http->started >= http->refused_from && http->started < http->refused_until;
    if (transfer == NULL || !fill(transfer, call, http->loop, refused)) {
        if (transfer != NULL)
            transfer_free(transfer);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    http_call_done(call);
    call->status = 0;
    call->retry_after_ms = -1;
    call->content_type[0] = call->warning[0] = call->peer[0] = '\0';
    strbuf_init(&call->body, call->on_data != NULL ? ERROR_BODY_BYTES : BODY_BYTES);
    call->origin = origin;
    call->transfer = transfer;
    call->previous = NULL;
    call->next = origin->calls;
    if (origin->calls != NULL)
        origin->calls->previous = call;
    origin->calls = call;
    origin->in_flight++;
    if (refused) {
        loop_timer_start(transfer->deadline, 0);
        return ERR_OK;
    }
    *http->waiting_end = transfer;
    http->waiting_end = &transfer->next_waiting;
    if (call->timeout_ms > 0)
        loop_timer_start(transfer->deadline, call->timeout_ms);
    restart_idle(call);
    return ERR_OK;
}

void http_cancel(struct http_call *call)
{
    if (call->transfer != NULL)
        detach(call);
    http_call_done(call);
}

void http_call_done(struct http_call *call)
{
    if (call->body.limit_bytes != 0)
        strbuf_done(&call->body);
    call->body = (struct strbuf){0};
}

/* ---- the test's side ---- */

void fake_http_refuse_at(struct http *http, unsigned n, unsigned calls)
{
    http->refused_from = http->started + n;
    http->refused_until = http->refused_from + calls;
}

unsigned fake_http_started(const struct http *http) { return http->started; }

bool fake_http_is_idle(const struct http *http) { return http->waiting == NULL; }

const char *fake_http_next(const struct http *http)
{
    static char line[4096];
    const struct transfer *transfer = http->waiting;
    (void)snprintf(line, sizeof(line), "%s%s%s", transfer != NULL ? transfer->method : "nothing",
                   transfer != NULL ? " " : "", transfer != NULL ? transfer->path : "");
    return line;
}

bool fake_http_is_next(const struct http *http, const char *pattern)
{
    const char *line = fake_http_next(http);
    size_t length = strlen(pattern);
    bool open_end = length > 0 && pattern[length - 1] == '*';
    return http->waiting != NULL && (open_end ? strncmp(line, pattern, length - 1) == 0 : strcmp(line, pattern) == 0);
}

struct http_call *fake_http_take(struct http *http, const char *pattern)
{
    struct transfer *transfer = http->waiting;
    if (!fake_http_is_next(http, pattern))
        fail_msg("%s was asked; expected %s", fake_http_next(http), pattern);
    if (transfer == NULL)
        abort(); /* fail_msg() does not return, which the compiler does not know */
    unqueue(http, transfer);
    return transfer->call;
}

static const char *find_header(char *const *headers, unsigned count, const char *name)
{
    size_t length = strlen(name);
    for (unsigned i = 0; i < count && headers[i] != NULL; i++)
        if (strncasecmp(headers[i], name, length) == 0 && strncmp(headers[i] + length, ": ", 2) == 0)
            return headers[i] + length + 2;
    return NULL;
}

const char *fake_http_header(const struct http_call *call, const char *name)
{
    const struct transfer *transfer = call->transfer;
    const char *value = find_header(transfer->headers, HTTP_MAX_HEADERS, name);
    return value != NULL ? value : find_header(call->origin->headers, ORIGIN_HEADERS, name);
}

const char *fake_http_path(const struct http_call *call) { return ((const struct transfer *)call->transfer)->path; }
const char *fake_http_certificate(const struct http_call *call) { return call->origin->cert_pem; }
const char *fake_http_ca(const struct http_call *call) { return call->origin->ca_pem; }

static bool is_good(const struct http_call *call) { return call->status >= 200 && call->status < 300; }

bool fake_http_head(struct http_call *call, int status, const char *content_type)
{
    call->status = status;
    (void)snprintf(call->content_type, sizeof(call->content_type), "%s", content_type);
    restart_idle(call);
    if (!is_good(call) || call->on_head == NULL)
        return true;
    const void *before = call->transfer;
    call->on_head(call);
    assert_ptr_equal(call->transfer, before); /* on_head must not cancel */
    return true;
}

bool fake_http_data(struct http_call *call, const char *text) { return fake_http_bytes(call, text, strlen(text)); }

bool fake_http_bytes(struct http_call *call, const char *bytes, size_t length)
{
    restart_idle(call);
    call->received_bytes += length;
    if (call->on_data == NULL || !is_good(call)) {
        strbuf_append_bytes(&call->body, bytes, length);
        return true;
    }
    /* As from the network: in a block of its own, so that reading behind it is found. */
    struct err error = {0};
    char *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, length);
    enum err_code code = call->on_data(call, copy, length, &error);
    free(copy);
    if (code == ERR_OK)
        return true;
    if (code == ERR_CANCELLED)
        return false;
    if (error.code == ERR_OK)
        (void)err_set(&error, code, "%s", err_code_name(code));
    finish(call, &error);
    return false;
}

void fake_http_finish(struct http_call *call)
{
    bool out_of_memory = strbuf_error(&call->body) != ERR_OK;
    struct err error = {0};
    if (out_of_memory)
        (void)err_set(&error, strbuf_error(&call->body), "out of memory");
    finish(call, out_of_memory ? &error : NULL);
}

void fake_http_fail(struct http_call *call, enum err_code code, const char *text)
{
    struct err error = {0};
    (void)err_set(&error, code, "%s: %s", call->origin->base_url, text);
    finish(call, &error);
}

void fake_http_answer_with(struct http_call *call, int status, const char *body, int64_t retry_after_ms,
                           const char *warning)
{
    call->retry_after_ms = retry_after_ms;
    (void)snprintf(call->warning, sizeof(call->warning), "%s", warning != NULL ? warning : "");
    if (fake_http_head(call, status, "application/json") && (body[0] == '\0' || fake_http_data(call, body)))
        fake_http_finish(call);
}

void fake_http_answer(struct http_call *call, int status, const char *body)
{
    fake_http_answer_with(call, status, body, -1, NULL);
}
