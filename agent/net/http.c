#include "agent/net/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "agent/net/curl_loop.h"
#include "agent/net/proxy.h"
#include "base/mem.h"

enum {
    CONNECT_TIMEOUT_MS = 10000,
    MAX_CONNECTIONS = 64,
    MAX_BODY_BYTES = 16 << 20,
    ERROR_BODY_BYTES = 64 << 10, /* of a streaming call's non-2xx answer */
    IDLE_HANDLES = 16,           /* easy handles kept for reuse by an origin */
    KEEPALIVE_IDLE_S = 15,       /* a dead peer without traffic is noticed after 15 + 4 * 5 s */
    KEEPALIVE_INTERVAL_S = 5,
    KEEPALIVE_COUNT = 4,
    USER_TIMEOUT_MS = 15000, /* and with traffic after 15 s */
    INBOX_BYTES = 64 << 20,
};

struct http {
    struct loop *loop;
    struct dns *dns;
};

struct http_origin {
    struct http *http;
    struct curl_loop *curl;
    char *base_url;     /* as given */
    char *request_url;  /* what curl is given: with the TLS server name for its host, if there is one */
    char *connect_to;   /* "name:port:host:port", NULL when the names are the same */
    char *resolve_host; /* what must be resolved before connecting; NULL for literals */
    char *proxy;        /* "" for none */
    uint16_t resolve_port;
    struct curl_blob ca, cert, key;
    bool insecure, http2;
    char *user_agent;
    uint32_t connect_timeout_ms, in_flight;
    struct http_call *calls;
    CURL *idle[IDLE_HANDLES];
    unsigned idle_count;
};

struct transfer {
    struct curl_transfer base; /* first */
    struct http_call *call;
    struct http_origin *origin;
    struct curl_slist *headers, *resolve, *connect_to;
    struct loop_timer *deadline, *idle;
    struct dns_query query;
    struct strbuf inbox; /* received, not delivered yet */
    struct err error;    /* ours, stronger than curl's */
    char curl_error[CURL_ERROR_SIZE];
    bool head_complete, head_told;
};

static const char no_memory[] = "out of memory";

struct http *http_new(struct loop *loop, struct dns *dns, struct err *reterr)
{
    struct http *http = curl_loop_global_init() ? NEW(struct http) : NULL;
    if (http == NULL) {
        (void)err_set(reterr, ERR_NOMEM, no_memory);
        return NULL;
    }
    http->loop = loop;
    http->dns = dns;
    return http;
}

void http_free(struct http *http) { mem_free(http); }

struct loop *http_loop(const struct http *http) { return http->loop; }

/* --- origins --- */

static enum err_code copy_blob(struct curl_blob *blob, const char *pem, struct err *reterr)
{
    if (pem == NULL)
        return ERR_OK;
    blob->data = mem_strdup(pem);
    blob->len = strlen(pem);
    blob->flags = CURL_BLOB_NOCOPY; /* the origin outlives its handles */
    return blob->data != NULL ? ERR_OK : err_set(reterr, ERR_NOMEM, no_memory);
}

/* The parts of a URL; host without brackets. */
struct url_parts {
    char *scheme, *host, *path;
    uint16_t port;
    bool https;
};

static void url_parts_done(struct url_parts *parts)
{
    mem_free(parts->scheme);
    mem_free(parts->host);
    mem_free(parts->path);
}

static char *url_part(CURLU *url, CURLUPart part, unsigned flags)
{
    char *text = NULL, *copy = NULL;
    if (curl_url_get(url, part, &text, flags) == CURLUE_OK)
        copy = mem_strdup(text);
    curl_free(text);
    return copy;
}

static void strip_brackets(char *host)
{
    size_t length = strlen(host);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        memmove(host, host + 1, length - 2);
        host[length - 2] = '\0';
    }
}

static enum err_code parse_url(const char *text, unsigned flags, struct url_parts *ret_parts, struct err *reterr)
{
    CURLU *url = curl_url();
    if (url == NULL)
        return err_set(reterr, ERR_NOMEM, no_memory);
    *ret_parts = (struct url_parts){0};
    if (curl_url_set(url, CURLUPART_URL, text, flags) != CURLUE_OK) {
        curl_url_cleanup(url);
        return err_set(reterr, ERR_INVALID, "\"%.200s\" is not a URL: write https://host:port", text);
    }
    ret_parts->scheme = url_part(url, CURLUPART_SCHEME, 0);
    ret_parts->host = url_part(url, CURLUPART_HOST, 0);
    ret_parts->path = url_part(url, CURLUPART_PATH, 0);
    char *port = url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT);
    ret_parts->port = port != NULL ? (uint16_t)strtoul(port, NULL, 10) : 0;
    curl_url_cleanup(url);
    mem_free(port);
    if (ret_parts->scheme == NULL || ret_parts->host == NULL || ret_parts->path == NULL) {
        url_parts_done(ret_parts);
        return err_set(reterr, ERR_NOMEM, no_memory);
    }
    strip_brackets(ret_parts->host);
    ret_parts->https = strcmp(ret_parts->scheme, "https") == 0;
    return ERR_OK;
}

static char *format(const char *text, const char *a, const char *b, unsigned port_a, unsigned port_b)
{
    struct strbuf buffer;
    strbuf_init(&buffer, 8192);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == 'A')
            strbuf_append(&buffer, a);
        else if (*c == 'B')
            strbuf_append(&buffer, b);
        else if (*c == 'P')
            strbuf_printf(&buffer, "%u", port_a);
        else if (*c == 'Q')
            strbuf_printf(&buffer, "%u", port_b);
        else
            strbuf_append_char(&buffer, *c);
    }
    return strbuf_take(&buffer);
}

/* curl checks the certificate against the URL's host: with a TLS server name that is the host, and the connection is led elsewhere. */
static enum err_code set_server_name(struct http_origin *origin, const struct url_parts *url, const char *name,
                                     struct err *reterr)
{
    bool v6 = strchr(url->host, ':') != NULL;
    origin->request_url = format("https://A:PB", name, strcmp(url->path, "/") == 0 ? "" : url->path, url->port, 0);
    origin->connect_to = format(v6 ? "A:P:[B]:Q" : "A:P:B:Q", name, url->host, url->port, url->port);
    return origin->request_url != NULL && origin->connect_to != NULL ? ERR_OK : err_set(reterr, ERR_NOMEM, no_memory);
}

static enum err_code set_resolution(struct http_origin *origin, const char *host, uint16_t port, struct err *reterr)
{
    char canonical[TEXT_IP_BYTES];
    if (text_parse_ip(host, canonical) != IP_NONE)
        return ERR_OK;
    origin->resolve_host = mem_strdup(host);
    origin->resolve_port = port;
    return origin->resolve_host != NULL ? ERR_OK : err_set(reterr, ERR_NOMEM, no_memory);
}

static enum err_code set_proxy(struct http_origin *origin, const struct http_origin_config *config,
                               const struct url_parts *url, struct err *reterr)
{
    const char *proxy =
        config->proxy_url != NULL ? config->proxy_url : proxy_from_environment(url->https, url->host, url->port);
    bool used = proxy != NULL && proxy[0] != '\0';
    /* socks5 would have curl resolve the target itself: the proxy does that (socks5h). */
    bool socks = used && strncmp(proxy, "socks5://", 9) == 0;
    origin->proxy = socks ? format("socks5h://A", proxy + 9, "", 0, 0) : mem_strdup(used ? proxy : "");
    if (origin->proxy == NULL)
        return err_set(reterr, ERR_NOMEM, no_memory);
    if (!used)
        return set_resolution(origin, url->host, url->port, reterr);
    struct url_parts parts = {0};
    enum err_code code = parse_url(origin->proxy, CURLU_NON_SUPPORT_SCHEME | CURLU_GUESS_SCHEME, &parts, reterr);
    if (code == ERR_OK)
        code = set_resolution(origin, parts.host, parts.port != 0 ? parts.port : 1080, reterr);
    url_parts_done(&parts);
    return code == ERR_OK ? ERR_OK : err_context(reterr, "proxy");
}

static enum err_code fill_origin(struct http_origin *origin, const struct http_origin_config *config,
                                 struct err *reterr)
{
    struct url_parts url = {0};
    TRY(parse_url(config->base_url, 0, &url, reterr));
    enum err_code code = ERR_OK;
    if (!url.https && strcmp(url.scheme, "http") != 0)
        code = err_set(reterr, ERR_INVALID, "\"%.200s\": only https and http servers are supported", config->base_url);
    if (code == ERR_OK)
        code = set_proxy(origin, config, &url, reterr);
    if (code == ERR_OK && url.https && config->tls_server_name != NULL && config->tls_server_name[0] != '\0')
        code = set_server_name(origin, &url, config->tls_server_name, reterr);
    url_parts_done(&url);
    TRY(code);
    origin->base_url = mem_strdup(config->base_url);
    if (origin->request_url == NULL)
        origin->request_url = mem_strdup(config->base_url);
    origin->user_agent = mem_strdup(config->user_agent != NULL ? config->user_agent : "svcmirror");
    if (origin->base_url == NULL || origin->request_url == NULL || origin->user_agent == NULL)
        return err_set(reterr, ERR_NOMEM, no_memory);
    /* The path of a call begins with a slash: the base must not end in one. */
    size_t length = strlen(origin->request_url);
    while (length > 0 && origin->request_url[length - 1] == '/')
        origin->request_url[--length] = '\0';
    TRY(copy_blob(&origin->ca, config->ca_pem, reterr));
    TRY(copy_blob(&origin->cert, config->cert_pem, reterr));
    TRY(copy_blob(&origin->key, config->key_pem, reterr));
    origin->insecure = config->insecure_skip_verify;
    origin->http2 = config->http2;
    origin->connect_timeout_ms = config->connect_timeout_ms > 0 ? config->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    return ERR_OK;
}

enum err_code http_origin_new(struct http *http, const struct http_origin_config *config,
                              struct http_origin **ret_origin, struct err *reterr)
{
    struct http_origin *origin = NEW(struct http_origin);
    if (origin == NULL)
        return err_set(reterr, ERR_NOMEM, no_memory);
    origin->http = http;
    origin->curl = curl_loop_new(http->loop);
    enum err_code code =
        origin->curl != NULL ? fill_origin(origin, config, reterr) : err_set(reterr, ERR_NOMEM, no_memory);
    if (code != ERR_OK) {
        http_origin_free(origin);
        return code;
    }
    long connections = config->max_connections > 0 ? (long)config->max_connections : MAX_CONNECTIONS;
    (void)curl_multi_setopt(curl_loop_multi(origin->curl), CURLMOPT_MAX_TOTAL_CONNECTIONS, connections);
    (void)curl_multi_setopt(curl_loop_multi(origin->curl), CURLMOPT_MAXCONNECTS, connections);
    *ret_origin = origin;
    return ERR_OK;
}

void http_origin_free(struct http_origin *origin)
{
    if (origin == NULL)
        return;
    while (origin->calls != NULL)
        http_cancel(origin->calls);
    while (origin->idle_count > 0)
        curl_easy_cleanup(origin->idle[--origin->idle_count]);
    curl_loop_free(origin->curl);
    mem_free(origin->base_url);
    mem_free(origin->request_url);
    mem_free(origin->connect_to);
    mem_free(origin->resolve_host);
    mem_free(origin->proxy);
    mem_free(origin->user_agent);
    mem_free(origin->ca.data);
    mem_free(origin->cert.data);
    mem_free(origin->key.data);
    mem_free(origin);
}

const char *http_origin_url(const struct http_origin *origin) { return origin->base_url; }

uint32_t http_origin_in_flight(const struct http_origin *origin) { return origin->in_flight; }

/* --- a transfer's end --- */

static void transfer_free(struct transfer *transfer)
{
    struct http_origin *origin = transfer->origin;
    curl_loop_remove(&transfer->base);
    dns_cancel(&transfer->query);
    loop_timer_free(transfer->deadline);
    loop_timer_free(transfer->idle);
    curl_slist_free_all(transfer->headers);
    strbuf_done(&transfer->inbox);
    if (transfer->base.easy != NULL) {
        curl_easy_reset(transfer->base.easy);
        if (origin->idle_count < IDLE_HANDLES)
            origin->idle[origin->idle_count++] = transfer->base.easy;
        else
            curl_easy_cleanup(transfer->base.easy);
    }
    curl_slist_free_all(transfer->resolve);
    curl_slist_free_all(transfer->connect_to);
    mem_free(transfer);
}

static void unlink_call(struct http_call *call)
{
    struct http_origin *origin = call->origin;
    *(call->previous != NULL ? &call->previous->next : &origin->calls) = call->next;
    if (call->next != NULL)
        call->next->previous = call->previous;
    call->next = call->previous = NULL;
    origin->in_flight--;
}

static void finish(struct transfer *transfer, const struct err *error)
{
    struct http_call *call = transfer->call;
    struct err copy = error != NULL ? *error : (struct err){0};
    call->transfer = NULL;
    unlink_call(call);
    transfer_free(transfer);
    call->on_done(call, error != NULL ? &copy : NULL);
}

void http_cancel(struct http_call *call)
{
    struct transfer *transfer = call->transfer;
    if (transfer != NULL) {
        call->transfer = NULL;
        unlink_call(call);
        transfer_free(transfer);
    }
    http_call_done(call);
}

void http_call_done(struct http_call *call)
{
    if (call->body.limit_bytes != 0)
        strbuf_done(&call->body);
    call->body = (struct strbuf){0};
}

/* --- receiving --- */

static bool is_streaming(const struct http_call *call)
{
    return call->on_data != NULL && call->status >= 200 && call->status < 300;
}

static enum err_code collect(struct transfer *transfer, const char *data, size_t bytes)
{
    struct http_call *call = transfer->call;
    size_t limit = call->on_data != NULL      ? ERROR_BODY_BYTES
                   : call->max_body_bytes > 0 ? call->max_body_bytes
                                              : MAX_BODY_BYTES;
    if (call->on_data != NULL && call->body.length + bytes > limit)
        bytes = limit - call->body.length; /* the rest of an error page is of no interest */
    strbuf_append_bytes(&call->body, data, bytes);
    if (strbuf_error(&call->body) == ERR_LIMIT)
        return err_set(&transfer->error, ERR_LIMIT, "the answer is larger than %zu bytes", limit);
    return strbuf_error(&call->body) == ERR_OK ? ERR_OK : err_set(&transfer->error, ERR_NOMEM, no_memory);
}

static void note_status(struct transfer *transfer)
{
    long status = 0;
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_RESPONSE_CODE, &status);
    transfer->call->status = (int)status;
}

/* Inside curl's callback nothing may be called that could end a transfer: the data only goes into the inbox. */
static size_t on_write(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct http_call *call = transfer->call;
    size_t bytes = size * count;
    call->received_bytes += bytes;
    if (call->idle_timeout_ms > 0)
        loop_timer_start(transfer->idle, call->idle_timeout_ms);
    note_status(transfer);
    if (!is_streaming(call))
        return collect(transfer, data, bytes) == ERR_OK ? bytes : 0;
    strbuf_append_bytes(&transfer->inbox, data, bytes);
    if (strbuf_error(&transfer->inbox) != ERR_OK) {
        (void)err_set(&transfer->error, ERR_NOMEM, no_memory);
        return 0;
    }
    curl_loop_notify(&transfer->base);
    return bytes;
}

/* @return false when the transfer is gone. */
static bool deliver_inbox(struct transfer *transfer)
{
    if (transfer->head_complete && !transfer->head_told && transfer->call->on_head != NULL) {
        transfer->head_told = true;
        transfer->call->on_head(transfer->call);
    }
    if (transfer->inbox.length == 0)
        return true;
    struct strbuf data = transfer->inbox;
    struct http_call *call = transfer->call;
    strbuf_init(&transfer->inbox, INBOX_BYTES);
    struct err error = {0};
    enum err_code code = call->on_data(call, data.data, data.length, &error);
    /* The callback may have cancelled the call, and its owner may be gone: only its code tells. */
    strbuf_done(&data);
    if (code == ERR_CANCELLED)
        return false;
    if (code == ERR_OK)
        return true;
    if (error.code == ERR_OK)
        (void)err_set(&error, code, "%s", err_code_name(code));
    finish(transfer, &error);
    return false;
}

static void on_ready(struct curl_transfer *base) { (void)deliver_inbox((struct transfer *)base); }

static size_t header_value(const char *line, size_t bytes, const char *name, char *buffer, size_t buffer_bytes)
{
    size_t name_length = strlen(name);
    if (bytes <= name_length + 1 || strncasecmp(line, name, name_length) != 0 || line[name_length] != ':')
        return 0;
    const char *start = line + name_length + 1, *end = line + bytes;
    while (start < end && (*start == ' ' || *start == '\t'))
        start++;
    while (end > start && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
        end--;
    size_t length = (size_t)(end - start) < buffer_bytes - 1 ? (size_t)(end - start) : buffer_bytes - 1;
    memcpy(buffer, start, length);
    buffer[length] = '\0';
    return length;
}

static size_t on_header(char *line, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct http_call *call = transfer->call;
    size_t bytes = size * count;
    char value[32];
    if (call->idle_timeout_ms > 0)
        loop_timer_start(transfer->idle, call->idle_timeout_ms);
    if (bytes > 5 && memcmp(line, "HTTP/", 5) == 0) { /* the headers of an answer begin, perhaps after a 1xx */
        call->status = 0;
        call->retry_after_ms = -1;
        call->content_type[0] = call->warning[0] = '\0';
    }
    (void)header_value(line, bytes, "content-type", call->content_type, sizeof(call->content_type));
    if (call->warning[0] == '\0')
        (void)header_value(line, bytes, "warning", call->warning, sizeof(call->warning));
    uint64_t seconds = 0;
    struct err error = {0};
    if (header_value(line, bytes, "retry-after", value, sizeof(value)) > 0 &&
        text_parse_u64(value, 0, 3600, "Retry-After", &seconds, &error) == ERR_OK)
        call->retry_after_ms = (int64_t)seconds * 1000;
    if (bytes <= 2) {
        note_status(transfer);
        transfer->head_complete = call->status >= 200 && call->status < 300;
        if (transfer->head_complete && call->on_head != NULL)
            curl_loop_notify(&transfer->base);
    }
    return bytes;
}

/* --- errors --- */

static enum err_code code_of(CURLcode result)
{
    switch (result) {
    case CURLE_OK:
        return ERR_OK;
    case CURLE_OUT_OF_MEMORY:
        return ERR_NOMEM;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return ERR_RESOLVE;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ENGINE_INITFAILED:
        return ERR_TLS;
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
        return ERR_PROTOCOL;
    case CURLE_FILESIZE_EXCEEDED:
        return ERR_LIMIT;
    default:
        return ERR_CONNECT; /* refused, reset, closed, partial: the connection did not hold */
    }
}

static void describe(const struct transfer *transfer, CURLcode result, struct err *error)
{
    long os_errno = 0;
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_OS_ERRNO, &os_errno);
    const char *text = transfer->curl_error[0] != '\0' ? transfer->curl_error : curl_easy_strerror(result);
    if (result == CURLE_COULDNT_CONNECT && os_errno != 0)
        text = strerror((int)os_errno);
    (void)err_set(error, code_of(result), "%s: %s", transfer->origin->base_url, text);
}

static void note_peer(struct transfer *transfer)
{
    char *ip = NULL;
    long port = 0, status = 0;
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_PRIMARY_IP, &ip);
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_PRIMARY_PORT, &port);
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_RESPONSE_CODE, &status);
    if (ip != NULL && ip[0] != '\0')
        (void)snprintf(transfer->call->peer, sizeof(transfer->call->peer), "%s:%ld", ip, port);
    transfer->call->status = (int)status;
}

static void on_finished(struct curl_transfer *base, CURLcode result)
{
    struct transfer *transfer = (struct transfer *)base;
    note_peer(transfer);
    if (!deliver_inbox(transfer))
        return;
    struct err error = transfer->error;
    if (result != CURLE_OK && error.code == ERR_OK)
        describe(transfer, result, &error);
    finish(transfer, error.code != ERR_OK ? &error : NULL);
}

static void on_deadline(void *context)
{
    struct transfer *transfer = context;
    struct err error = {0};
    (void)err_set(&error, ERR_TIMEOUT, "%s: no complete answer within %u ms", transfer->origin->base_url,
                  transfer->call->timeout_ms);
    finish(transfer, &error);
}

static void on_idle(void *context)
{
    struct transfer *transfer = context;
    struct err error = {0};
    (void)err_set(&error, ERR_TIMEOUT, "%s: nothing received for %u ms", transfer->origin->base_url,
                  transfer->call->idle_timeout_ms);
    finish(transfer, &error);
}

/* --- sending --- */

static int on_sockopt(void *context, curl_socket_t fd, curlsocktype purpose)
{
    (void)context;
    (void)purpose;
    const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS},
    };
    for (size_t i = 0; i < ARRAY_COUNT(options); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
    return CURL_SOCKOPT_OK;
}

static bool add_header(struct transfer *transfer, const char *line)
{
    struct curl_slist *list = curl_slist_append(transfer->headers, line);
    if (list == NULL)
        return false;
    transfer->headers = list;
    return true;
}

static bool set_headers(struct transfer *transfer)
{
    /* An API server that is asked for "100 Continue" only costs a round trip. */
    bool ok = add_header(transfer, "Expect:");
    for (unsigned i = 0; ok && i < HTTP_MAX_HEADERS && transfer->call->headers[i] != NULL; i++)
        ok = add_header(transfer, transfer->call->headers[i]);
    return ok;
}

#define SET(option, value) (ok = ok && curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

static bool set_tls(CURL *easy, struct http_origin *origin)
{
    bool ok = true;
    if (origin->ca.data != NULL)
        SET(CURLOPT_CAINFO_BLOB, &origin->ca);
    if (origin->cert.data != NULL)
        SET(CURLOPT_SSLCERT_BLOB, &origin->cert);
    if (origin->key.data != NULL)
        SET(CURLOPT_SSLKEY_BLOB, &origin->key);
    SET(CURLOPT_SSL_VERIFYPEER, origin->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, origin->insecure ? 0L : 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    return ok;
}

static bool set_method(CURL *easy, const struct http_call *call)
{
    bool ok = true;
    const char *method = call->method != NULL ? call->method : "GET";
    if (call->request_body != NULL && call->request_body_bytes > 0) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->request_body_bytes);
        SET(CURLOPT_POSTFIELDS, call->request_body);
        SET(CURLOPT_CUSTOMREQUEST, method);
    } else if (strcmp(method, "GET") != 0) {
        SET(CURLOPT_CUSTOMREQUEST, method);
    }
    return ok;
}

static bool set_options(struct transfer *transfer, const char *url)
{
    struct http_origin *origin = transfer->origin;
    CURL *easy = transfer->base.easy;
    bool ok = set_tls(easy, origin) && set_method(easy, transfer->call);
    SET(CURLOPT_URL, url);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)(origin->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_USERAGENT, origin->user_agent);
    SET(CURLOPT_ACCEPT_ENCODING, "gzip");
    SET(CURLOPT_PROXY, origin->proxy);
    SET(CURLOPT_NOPROXY, "");
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)origin->connect_timeout_ms);
    SET(CURLOPT_SOCKOPTFUNCTION, on_sockopt);
    SET(CURLOPT_WRITEFUNCTION, on_write);
    SET(CURLOPT_WRITEDATA, (void *)transfer);
    SET(CURLOPT_HEADERFUNCTION, on_header);
    SET(CURLOPT_HEADERDATA, (void *)transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->curl_error);
    SET(CURLOPT_HTTPHEADER, transfer->headers);
    if (transfer->connect_to != NULL)
        SET(CURLOPT_CONNECT_TO, transfer->connect_to);
    return ok;
}
#undef SET

static enum err_code add_transfer(struct transfer *transfer, struct err *reterr)
{
    if (curl_loop_add(transfer->origin->curl, &transfer->base) != ERR_OK)
        return err_set(reterr, ERR_NOMEM, no_memory);
    return ERR_OK;
}

/* Hands curl the addresses: "-host:port" makes it forget the ones of before. */
static bool set_addresses(struct transfer *transfer, const struct dns_answer *answer)
{
    struct http_origin *origin = transfer->origin;
    struct strbuf entry;
    strbuf_init(&entry, 16384);
    strbuf_printf(&entry, "-%s:%u", origin->resolve_host, origin->resolve_port);
    transfer->resolve = curl_slist_append(NULL, strbuf_text(&entry));
    strbuf_clear(&entry);
    strbuf_printf(&entry, "%s:%u:", origin->resolve_host, origin->resolve_port);
    for (uint32_t i = 0; i < answer->count; i++) {
        bool v6 = strchr(answer->addresses[i], ':') != NULL;
        strbuf_printf(&entry, v6 ? "%s[%s]" : "%s%s", i > 0 ? "," : "", answer->addresses[i]);
    }
    struct curl_slist *list =
        strbuf_error(&entry) == ERR_OK ? curl_slist_append(transfer->resolve, strbuf_text(&entry)) : NULL;
    strbuf_done(&entry);
    return transfer->resolve != NULL && list != NULL &&
           curl_easy_setopt(transfer->base.easy, CURLOPT_RESOLVE, transfer->resolve) == CURLE_OK;
}

static void on_resolved(struct dns_query *query, const struct dns_answer *answer, const struct err *error)
{
    struct transfer *transfer = query->context;
    struct err failure = {0};
    if (answer == NULL) {
        failure = *error;
        (void)err_context(&failure, "%s", transfer->origin->base_url);
        finish(transfer, &failure);
        return;
    }
    if (!set_addresses(transfer, answer))
        (void)err_set(&failure, ERR_NOMEM, no_memory);
    else
        (void)!add_transfer(transfer, &failure);
    if (failure.code != ERR_OK)
        finish(transfer, &failure);
}

static enum err_code prepare(struct transfer *transfer, struct err *reterr)
{
    struct http_origin *origin = transfer->origin;
    struct http_call *call = transfer->call;
    struct loop *loop = origin->http->loop;
    transfer->base.easy = origin->idle_count > 0 ? origin->idle[--origin->idle_count] : curl_easy_init();
    if (call->timeout_ms > 0)
        transfer->deadline = loop_timer_new(loop, on_deadline, transfer);
    if (call->idle_timeout_ms > 0)
        transfer->idle = loop_timer_new(loop, on_idle, transfer);
    struct strbuf url;
    strbuf_init(&url, 64 << 10);
    strbuf_append(&url, origin->request_url);
    strbuf_append(&url, call->path);
    bool ok = transfer->base.easy != NULL && (call->timeout_ms == 0 || transfer->deadline != NULL) &&
              (call->idle_timeout_ms == 0 || transfer->idle != NULL) && strbuf_error(&url) == ERR_OK;
    if (ok && origin->connect_to != NULL)
        ok = (transfer->connect_to = curl_slist_append(NULL, origin->connect_to)) != NULL;
    ok = ok && set_headers(transfer) && set_options(transfer, strbuf_text(&url));
    strbuf_done(&url);
    return ok ? ERR_OK : err_set(reterr, ERR_NOMEM, no_memory);
}

static enum err_code launch(struct transfer *transfer, struct err *reterr)
{
    struct http_origin *origin = transfer->origin;
    if (origin->resolve_host == NULL)
        return add_transfer(transfer, reterr);
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
    call->content_type[0] = call->warning[0] = call->peer[0] = '\0';
    size_t limit = call->max_body_bytes > 0 ? call->max_body_bytes : MAX_BODY_BYTES;
    strbuf_init(&call->body, call->on_data != NULL ? ERROR_BODY_BYTES : limit);
}

enum err_code http_start(struct http_origin *origin, struct http_call *call, struct err *reterr)
{
    struct transfer *transfer = NEW(struct transfer);
    if (transfer == NULL)
        return err_set(reterr, ERR_NOMEM, no_memory);
    reset_result(call);
    transfer->call = call;
    transfer->origin = origin;
    transfer->base.on_done = on_finished;
    transfer->base.on_ready = on_ready;
    strbuf_init(&transfer->inbox, INBOX_BYTES);
    enum err_code code = prepare(transfer, reterr);
    if (code == ERR_OK)
        code = launch(transfer, reterr);
    if (code != ERR_OK) {
        transfer_free(transfer);
        http_call_done(call);
        return code;
    }
    if (call->timeout_ms > 0)
        loop_timer_start(transfer->deadline, call->timeout_ms);
    if (call->idle_timeout_ms > 0)
        loop_timer_start(transfer->idle, call->idle_timeout_ms);
    call->origin = origin;
    call->transfer = transfer;
    call->previous = NULL;
    call->next = origin->calls;
    if (origin->calls != NULL)
        origin->calls->previous = call;
    origin->calls = call;
    origin->in_flight++;
    return ERR_OK;
}
