/* What a streaming call received reaches its owner here, and only here: at the end of a turn, so much in one turn and no more. A call whose
 * inbox is full is not read meanwhile: what the peer sends waits in the kernel, and the peer with it. So a list of any size neither holds the
 * loop nor piles up in memory.
 *
 * The origins take turns, whatever the number of their calls, and the calls of one origin among themselves: a piece each. What a piece takes its
 * owner, in time, is counted: an origin whose pieces take more than a share sits out the rounds that it was ahead (deficit round robin). So a
 * server that sends as fast as it can, or what is dear to decode, takes its share of the loop and nothing of another's. */
#include <string.h>

#include "agent/net/http_internal.h"

/* ---- who waits ---- */

static void append_origin(struct http_origin *origin)
{
    struct http *http = origin->http;
    origin->next_waiting = NULL;
    *http->waiting_end = origin;
    http->waiting_end = &origin->next_waiting;
}

static void remove_origin(struct http_origin *origin)
{
    struct http *http = origin->http;
    struct http_origin **at = &http->waiting;
    while (*at != origin)
        at = &(*at)->next_waiting;
    *at = origin->next_waiting;
    if (http->waiting_end == &origin->next_waiting)
        http->waiting_end = at;
}

static void append(struct http_transfer *transfer)
{
    struct http_origin *origin = transfer->origin;
    if (origin->waiting == NULL) {
        origin->waiting_end = &origin->waiting;
        append_origin(origin);
    }
    transfer->is_waiting = true;
    transfer->next_waiting = NULL;
    *origin->waiting_end = transfer;
    origin->waiting_end = &transfer->next_waiting;
}

void http_deliver_soon(struct http_transfer *transfer)
{
    if (transfer->is_waiting || transfer->inbox.length == 0)
        return;
    append(transfer);
    if (transfer->idle != NULL) /* see settle() */
        loop_timer_stop(transfer->idle);
}

void http_deliver_forget(struct http_transfer *transfer)
{
    struct http_origin *origin = transfer->origin;
    if (!transfer->is_waiting)
        return;
    struct http_transfer **at = &origin->waiting;
    while (*at != transfer)
        at = &(*at)->next_waiting;
    *at = transfer->next_waiting;
    if (origin->waiting_end == &transfer->next_waiting)
        origin->waiting_end = at;
    transfer->is_waiting = false;
    if (origin->waiting == NULL)
        remove_origin(origin);
}

void http_deliver_forget_origin(struct http_origin *origin)
{
    if (origin->http->served == origin)
        origin->http->served = NULL;
}

/* ---- one piece ---- */

static size_t undelivered(const struct http_transfer *transfer) { return transfer->inbox.length - transfer->delivered; }

/* The callback may cancel the call, and its owner may be gone: only its code tells. What it reads stays until it returns. */
static enum err_code hand_piece(struct http_transfer *transfer, size_t bytes, struct err *error)
{
    struct http_call *call = transfer->call;
    struct strbuf inbox = transfer->inbox;
    size_t from = transfer->delivered;
    strbuf_init(&transfer->inbox, HTTP_INBOX_BYTES);
    enum err_code code = call->on_data(call, inbox.data + from, bytes, error);
    if (code == ERR_CANCELLED) {
        strbuf_done(&inbox);
        return code;
    }
    transfer->inbox = inbox;
    transfer->delivered = from + bytes;
    if (code != ERR_OK && error->code == ERR_OK)
        (void)err_set(error, code, "%s", err_code_name(code));
    return code;
}

/* The inbox is empty: goes on reading, or ends. */
static void settle(struct http_transfer *transfer)
{
    strbuf_done(&transfer->inbox);
    strbuf_init(&transfer->inbox, HTTP_INBOX_BYTES);
    transfer->delivered = 0;
    if (transfer->is_over) {
        http_finish(transfer, &transfer->error);
        return;
    }
    http_receive_restart_idle(transfer);
    if (!transfer->is_paused)
        return;
    transfer->is_paused = false;
    curl_loop_resume(&transfer->base);
    http_deliver_soon(transfer); /* what curl had kept */
}

/* @return how many bytes were handed over. */
static size_t deliver_one(struct http_transfer *transfer, size_t most)
{
    struct err error = {0};
    size_t bytes = undelivered(transfer) < most ? undelivered(transfer) : most;
    http_deliver_forget(transfer);
    enum err_code code = hand_piece(transfer, bytes, &error);
    if (code == ERR_CANCELLED)
        return bytes;
    if (code != ERR_OK)
        http_finish(transfer, &error);
    else if (undelivered(transfer) > 0)
        append(transfer);
    else
        settle(transfer);
    return bytes;
}

/* ---- the turn ---- */

static void pass(struct http_origin *origin)
{
    remove_origin(origin);
    append_origin(origin);
}

static void charge(struct http_origin *origin, uint64_t took_us)
{
    origin->debt_us += took_us > HTTP_SHARE_US ? took_us - HTTP_SHARE_US : 0;
    if (origin->debt_us > HTTP_DEBT_US)
        origin->debt_us = HTTP_DEBT_US;
}

/* The first of the origins has its turn, or sits it out. Its owner may free it meanwhile. @return how many bytes were handed over. */
static size_t serve(struct http *http, size_t most)
{
    struct http_origin *origin = http->waiting;
    if (origin->debt_us >= HTTP_SHARE_US) {
        origin->debt_us -= HTTP_SHARE_US;
        pass(origin);
        return 0;
    }
    uint64_t began_us = loop_precise_us(http->loop);
    http->served = origin;
    pass(origin);
    size_t bytes = deliver_one(origin->waiting, most);
    if (http->served != NULL)
        charge(http->served, loop_precise_us(http->loop) - began_us);
    http->served = NULL;
    return bytes;
}

bool http_deliver_turn(void *context)
{
    struct http *http = context;
    uint64_t began_us = loop_precise_us(http->loop);
    for (size_t left = HTTP_TURN_BYTES; left > 0 && http->waiting != NULL;) {
        left -= serve(http, left < HTTP_PIECE_BYTES ? left : HTTP_PIECE_BYTES);
        if (loop_precise_us(http->loop) - began_us >= HTTP_TURN_US)
            break;
    }
    return http->waiting != NULL;
}
