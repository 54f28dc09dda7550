#include "agent/net/http_internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

enum { MAX_RETRY_AFTER_S = 3600 }; /* who says more is asked again after an hour */

static void note_status(const struct http_transfer *transfer)
{
    long status = 0;
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->call->status = (int)status;
}

/* What does not fit in whole is as good as none. */
static void note_location(struct http_call *call, CURL *easy)
{
    char *url = NULL;
    (void)curl_easy_getinfo(easy, CURLINFO_REDIRECT_URL, &url);
    bool fits = url != NULL && strlen(url) < sizeof(call->location);
    (void)snprintf(call->location, sizeof(call->location), "%s", fits ? url : "");
}

/* curl says the address that it tried, too: connected is what has a local end. */
void http_receive_facts(struct http_transfer *transfer)
{
    struct http_call *call = transfer->call;
    char *ip = NULL;
    long port = 0, local_port = 0;
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_PRIMARY_IP, &ip);
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_PRIMARY_PORT, &port);
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_LOCAL_PORT, &local_port);
    if (ip != NULL && ip[0] != '\0' && local_port > 0)
        (void)snprintf(call->peer, sizeof(call->peer), strchr(ip, ':') != NULL ? "[%s]:%ld" : "%s:%ld", ip, port);
    note_status(transfer);
    note_location(call, transfer->base.easy);
}

void http_receive_restart_idle(struct http_transfer *transfer)
{
    if (transfer->idle == NULL || transfer->is_waiting)
        return;
    loop_timer_start(transfer->idle, transfer->call->idle_timeout_ms);
    transfer->heard_ms = loop_now_ms(transfer->origin->http->loop);
    transfer->forgiven = false;
}

/* --- headers --- */

/* @return the value's length; 0 when the line is of another header, or empty. */
static size_t header_value(const char *line, size_t bytes, const char *name, char *buffer, size_t buffer_bytes)
{
    size_t name_length = strlen(name);
    if (bytes <= name_length + 1 || strncasecmp(line, name, name_length) != 0 || line[name_length] != ':')
        return 0;
    const char *start = line + name_length + 1, *end = line + bytes;
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' ' || end[-1] == '\t'))
        end--;
    size_t length = (size_t)(end - start) < buffer_bytes - 1 ? (size_t)(end - start) : buffer_bytes - 1;
    memcpy(buffer, start, length);
    buffer[length] = '\0';
    return length;
}

/* RFC 9110 10.2.3: seconds, or a date. @return -1 for anything else. */
static int64_t parse_retry_after_ms(const struct loop *loop, const char *value)
{
    uint64_t seconds = 0;
    if (strspn(value, "0123456789") == strlen(value)) {
        bool fits = text_parse_u64(value, 0, MAX_RETRY_AFTER_S, "Retry-After", &seconds, NULL) == ERR_OK;
        return (fits ? (int64_t)seconds : MAX_RETRY_AFTER_S) * 1000;
    }
    int64_t date_s = (int64_t)curl_getdate(value, NULL), now_s = loop_wall_us(loop) / 1000000;
    if (date_s < 0)
        return -1;
    int64_t wait_s = date_s > now_s ? date_s - now_s : 0;
    return (wait_s < MAX_RETRY_AFTER_S ? wait_s : MAX_RETRY_AFTER_S) * 1000;
}

static void note_header(const struct http_transfer *transfer, const char *line, size_t bytes)
{
    struct http_call *call = transfer->call;
    char value[40];
    (void)header_value(line, bytes, "content-type", call->content_type, sizeof(call->content_type));
    if (call->warning[0] == '\0')
        (void)header_value(line, bytes, "warning", call->warning, sizeof(call->warning));
    if (header_value(line, bytes, "retry-after", value, sizeof(value)) > 0)
        call->retry_after_ms = parse_retry_after_ms(transfer->origin->http->loop, value);
    if (header_value(line, bytes, "date", value, sizeof(value)) > 0) {
        int64_t date_s = (int64_t)curl_getdate(value, NULL);
        call->date_s = date_s > 0 ? date_s : 0;
    }
}

size_t http_receive_header(char *line, size_t size, size_t count, void *context)
{
    struct http_transfer *transfer = context;
    struct http_call *call = transfer->call;
    size_t bytes = size * count;
    http_receive_restart_idle(transfer);
    transfer->head_bytes += bytes;
    if (transfer->head_bytes > HTTP_HEAD_BYTES) {
        (void)err_set(&transfer->error, ERR_LIMIT, "%s: the answer's headers are larger than %d bytes",
                      transfer->origin->base_url, HTTP_HEAD_BYTES);
        return 0;
    }
    if (transfer->head_complete)
        return bytes;                                 /* a trailer */
    if (bytes > 5 && memcmp(line, "HTTP/", 5) == 0) { /* the headers of an answer begin, perhaps after a 1xx */
        call->status = 0;
        call->retry_after_ms = -1;
        call->date_s = 0;
        call->content_type[0] = call->warning[0] = '\0';
    } else if (bytes > 2) {
        note_header(transfer, line, bytes);
    } else {
        note_status(transfer);
        transfer->head_complete = call->status >= 200;
        if (call->status >= 200 && call->status < 300 && call->on_head != NULL)
            curl_loop_notify(&transfer->base);
    }
    return bytes;
}

/* --- the body --- */

static enum err_code collect(struct http_transfer *transfer, const char *data, size_t bytes)
{
    struct http_call *call = transfer->call;
    size_t room = call->body.limit_bytes - call->body.length;
    if (call->on_data != NULL && bytes > room) {
        transfer->is_cut = true; /* the rest is of no interest, and may have no end */
        bytes = room;
    }
    strbuf_append_bytes(&call->body, data, bytes);
    if (strbuf_error(&call->body) == ERR_LIMIT)
        return err_set(&transfer->error, ERR_LIMIT, "%s: the answer is larger than %zu bytes",
                       transfer->origin->base_url, call->body.limit_bytes);
    return strbuf_error(&call->body) == ERR_OK ? ERR_OK : http_error_no_memory(&transfer->error);
}

static enum err_code store(struct http_transfer *transfer, const char *data, size_t bytes)
{
    strbuf_append_bytes(&transfer->inbox, data, bytes);
    curl_loop_notify(&transfer->base);
    return strbuf_error(&transfer->inbox) == ERR_OK ? ERR_OK : http_error_no_memory(&transfer->error);
}

size_t http_receive_body(char *data, size_t size, size_t count, void *context)
{
    struct http_transfer *transfer = context;
    struct http_call *call = transfer->call;
    size_t bytes = size * count;
    note_status(transfer);
    bool streaming = call->on_data != NULL && call->status >= 200 && call->status < 300;
    if (streaming && bytes > HTTP_INBOX_BYTES - transfer->inbox.length) {
        transfer->is_paused = true;
        return CURL_WRITEFUNC_PAUSE; /* curl keeps these bytes, and reads no more */
    }
    call->received_bytes += bytes;
    http_receive_restart_idle(transfer);
    enum err_code code = streaming ? store(transfer, data, bytes) : collect(transfer, data, bytes);
    return code == ERR_OK && !transfer->is_cut ? bytes : 0; /* anything but `bytes` ends the transfer */
}
