/* What a streaming call received reaches its owner here, and only here: at the end of a turn, so much in one turn and no more, the calls
 * one after another. A call whose inbox is full is not read meanwhile: what the peer sends waits in the kernel, and the peer with it. So a
 * list of any size neither holds the loop nor piles up in memory. */
#include <string.h>

#include "agent/net/http_internal.h"

static void append(struct http_transfer *transfer)
{
    struct http *http = transfer->origin->http;
    transfer->is_waiting = true;
    transfer->next_waiting = NULL;
    *http->waiting_end = transfer;
    http->waiting_end = &transfer->next_waiting;
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
    struct http *http = transfer->origin->http;
    if (!transfer->is_waiting)
        return;
    struct http_transfer **at = &http->waiting;
    while (*at != transfer)
        at = &(*at)->next_waiting;
    *at = transfer->next_waiting;
    if (http->waiting_end == &transfer->next_waiting)
        http->waiting_end = at;
    transfer->is_waiting = false;
}

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
static size_t deliver_one(struct http *http, size_t most)
{
    struct http_transfer *transfer = http->waiting;
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

bool http_deliver_turn(void *context)
{
    struct http *http = context;
    for (size_t left = HTTP_TURN_BYTES; left > 0 && http->waiting != NULL;)
        left -= deliver_one(http, left < HTTP_PIECE_BYTES ? left : HTTP_PIECE_BYTES);
    return http->waiting != NULL;
}
