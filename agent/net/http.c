#include "agent/net/http_internal.h"

#include <string.h>

#include "base/mem.h"

enum { IDLE_LATE_MS = 100 }; /* later than this a timer is when the process stood still */

struct http *http_new(struct loop *loop, struct dns *dns, struct err *reterr)
{
    if (curl_loop_global_init(reterr) != ERR_OK)
        return NULL;
    struct http *http = NEW(struct http);
    if (http == NULL) {
        (void)http_error_no_memory(reterr);
        return NULL;
    }
    http->loop = loop;
    http->dns = dns;
    http->waiting_end = &http->waiting;
    if (loop_on_turn(loop, http_deliver_turn, http) != ERR_OK) {
        (void)err_set(reterr, ERR_LIMIT, "the loop has too many hooks");
        mem_free(http);
        return NULL;
    }
    return http;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    loop_off_turn(http->loop, http_deliver_turn, http);
    mem_free(http);
}

struct loop *http_loop(const struct http *http) { return http->loop; }
void http_set_http2(struct http *http, bool http2) { http->http2 = http2; }
bool http_speaks_http2(const struct http *http) { return http->http2; }

/* --- the end of a call --- */

static void transfer_free(struct http_transfer *transfer)
{
    curl_loop_remove(&transfer->base);
    http_deliver_forget(transfer);
    dns_cancel(&transfer->query);
    loop_timer_free(transfer->deadline);
    loop_timer_free(transfer->idle);
    strbuf_done(&transfer->inbox);
    /* The handle refers to the lists until it is reset. */
    http_origin_return_handle(transfer->origin, transfer->base.easy);
    curl_slist_free_all(transfer->headers);
    curl_slist_free_all(transfer->resolve);
    curl_slist_free_all(transfer->connect_to);
    mem_free(transfer);
}

/* Out of the origin's list, and the transfer gone. */
static void detach(struct http_call *call)
{
    struct http_transfer *transfer = TAKE(call->transfer);
    struct http_origin *origin = call->origin;
    *(call->previous != NULL ? &call->previous->next : &origin->calls) = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
    call->next = call->previous = NULL;
    bool lasting = transfer->lasting;
    transfer_free(transfer);
    http_origin_count(origin, -1, lasting);
}

void http_finish(struct http_transfer *transfer, const struct err *error)
{
    struct http_call *call = transfer->call;
    struct err copy = *error;
    detach(call);
    call->on_done(call, copy.code != ERR_OK ? &copy : NULL);
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

/* --- its way --- */

static bool is_good(const struct http_call *call) { return call->status >= 200 && call->status < 300; }

static void tell_head(struct http_transfer *transfer)
{
    struct http_call *call = transfer->call;
    if (!transfer->head_complete || transfer->head_told || !is_good(call) || call->on_head == NULL)
        return;
    transfer->head_told = true;
    http_receive_facts(transfer);
    call->on_head(call);
}

static void on_ready(struct curl_transfer *base)
{
    struct http_transfer *transfer = (struct http_transfer *)base;
    tell_head(transfer);
    http_deliver_soon(transfer);
}

/* Nothing more comes; what came first goes to the owner, whatever time that takes. */
static void on_finished(struct curl_transfer *base, CURLcode result)
{
    struct http_transfer *transfer = (struct http_transfer *)base;
    http_receive_facts(transfer);
    if (transfer->error.code == ERR_OK && result != CURLE_OK && !transfer->is_cut)
        http_error_describe(transfer, result, &transfer->error);
    tell_head(transfer);
    if (transfer->inbox.length == 0) {
        http_finish(transfer, &transfer->error);
        return;
    }
    transfer->is_over = true;
    if (transfer->deadline != NULL)
        loop_timer_stop(transfer->deadline);
    if (transfer->idle != NULL)
        loop_timer_stop(transfer->idle);
    http_deliver_soon(transfer);
}

static void on_deadline(void *context)
{
    struct http_transfer *transfer = context;
    struct err error = {0};
    http_receive_facts(transfer);
    http_error_deadline(transfer, &error);
    http_finish(transfer, &error);
}

/* A process that stood still (stopped, suspended, short of CPU) heard nothing itself, whatever came. */
static bool is_late(const struct http_transfer *transfer)
{
    uint64_t silent_ms = loop_now_ms(transfer->origin->http->loop) - transfer->heard_ms;
    return silent_ms > (uint64_t)transfer->call->idle_timeout_ms + IDLE_LATE_MS;
}

static void on_idle(void *context)
{
    struct http_transfer *transfer = context;
    struct err error = {0};
    if (!transfer->forgiven && is_late(transfer)) {
        http_receive_restart_idle(transfer);
        transfer->forgiven = true;
        return;
    }
    http_receive_facts(transfer);
    (void)err_set(&error, ERR_TIMEOUT, "%s: nothing received for %u ms", transfer->origin->base_url,
                  transfer->call->idle_timeout_ms);
    http_finish(transfer, &error);
}

/* --- its start --- */

static enum err_code hand_over(struct http_transfer *transfer, struct err *reterr)
{
    if (curl_loop_add(transfer->origin->curl, &transfer->base) != ERR_OK)
        return http_error_no_memory(reterr);
    return ERR_OK;
}

static void on_resolved(struct dns_query *query, const struct dns_answer *answer, const struct err *error)
{
    struct http_transfer *transfer = query->context;
    struct err failure = {0};
    if (answer == NULL) {
        failure = *error;
        (void)err_context(&failure, "%s", transfer->origin->base_url);
    } else if (!http_request_set_addresses(transfer, answer)) {
        (void)http_error_no_memory(&failure);
    } else {
        (void)!hand_over(transfer, &failure);
    }
    if (failure.code != ERR_OK)
        http_finish(transfer, &failure);
}

static enum err_code make_timers(struct http_transfer *transfer, struct err *reterr)
{
    struct loop *loop = transfer->origin->http->loop;
    const struct http_call *call = transfer->call;
    if (call->timeout_ms > 0 && (transfer->deadline = loop_timer_new(loop, on_deadline, transfer)) == NULL)
        return http_error_no_memory(reterr);
    if (call->idle_timeout_ms > 0 && (transfer->idle = loop_timer_new(loop, on_idle, transfer)) == NULL)
        return http_error_no_memory(reterr);
    return ERR_OK;
}

static enum err_code launch(struct http_transfer *transfer, struct err *reterr)
{
    struct http_origin *origin = transfer->origin;
    TRY(make_timers(transfer, reterr));
    TRY(http_request_prepare(transfer, reterr));
    if (origin->resolve_host == NULL)
        return hand_over(transfer, reterr);
    transfer->query.on_done = on_resolved;
    transfer->query.context = transfer;
    return dns_start(origin->http->dns, &transfer->query, origin->resolve_host, reterr);
}

static void reset_result(struct http_call *call)
{
    http_call_done(call);
    call->status = 0;
    call->retry_after_ms = -1;
    call->received_bytes = 0;
    call->content_type[0] = call->warning[0] = call->peer[0] = call->location[0] = '\0';
    size_t limit = call->max_body_bytes > 0 ? call->max_body_bytes : HTTP_BODY_BYTES;
    strbuf_init(&call->body, call->on_data != NULL ? HTTP_ERROR_BODY_BYTES : limit);
}

static void attach(struct http_transfer *transfer)
{
    struct http_call *call = transfer->call;
    struct http_origin *origin = transfer->origin;
    if (call->timeout_ms > 0)
        loop_timer_start(transfer->deadline, call->timeout_ms);
    http_receive_restart_idle(transfer);
    call->origin = origin;
    call->transfer = transfer;
    call->previous = NULL;
    call->next = origin->calls;
    if (origin->calls != NULL)
        origin->calls->previous = call;
    origin->calls = call;
    http_origin_count(origin, 1, transfer->lasting);
}

enum err_code http_start(struct http_origin *origin, struct http_call *call, struct err *reterr)
{
    struct http_transfer *transfer = NEW(struct http_transfer);
    if (transfer == NULL)
        return http_error_no_memory(reterr);
    reset_result(call);
    transfer->call = call;
    transfer->origin = origin;
    transfer->lasting = call->timeout_ms == 0;
    transfer->base.on_done = on_finished;
    transfer->base.on_ready = on_ready;
    strbuf_init(&transfer->inbox, HTTP_INBOX_BYTES);
    enum err_code code = launch(transfer, reterr);
    if (code != ERR_OK) {
        transfer_free(transfer);
        http_call_done(call);
        return code;
    }
    attach(transfer);
    return ERR_OK;
}
