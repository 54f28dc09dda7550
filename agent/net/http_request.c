#include "agent/net/http_internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "agent/net/tls_identity.h"
#include "base/mem.h"

/* A dead peer is noticed after 15 s when something was sent to it. Without traffic the kernel asks after 15 s of silence and
 * every 5 s from then on, and gives up at the first question that finds the peer silent for 15 s or, where the kernel counts
 * instead, after 15 + 4 * 5 s. */
enum { KEEPALIVE_IDLE_S = 15, KEEPALIVE_INTERVAL_S = 5, KEEPALIVE_COUNT = 4, USER_TIMEOUT_MS = 15000 };

/* As curl would, but why there is no socket is remembered: curl says of all connecting that failed only that it did. */
static curl_socket_t on_open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)purpose;
    struct http_transfer *transfer = context;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    transfer->socket_errno = fd < 0 ? errno : 0;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int on_sockopt(void *context, curl_socket_t fd, curlsocktype purpose)
{
    (void)context;
    (void)purpose;
    static const struct {
        int level, name, value;
    } OPTIONS[] = {
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT},
        {IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_MS},
    };
    for (size_t i = 0; i < ARRAY_COUNT(OPTIONS); i++)
        (void)setsockopt(fd, OPTIONS[i].level, OPTIONS[i].name, &OPTIONS[i].value, sizeof(int));
    return CURL_SOCKOPT_OK;
}

/* libcurl's resolver is a thread, and knows no TTL. It is asked for literals, which it only reads; a name that it does not
 * find among those it was given is a mistake. */
static int on_resolver_start(void *resolver, void *reserved, void *context)
{
    (void)resolver;
    (void)reserved;
    struct http_transfer *transfer = context;
    if (transfer->origin->resolve_host == NULL)
        return 0;
    (void)err_set(&transfer->error, ERR_RESOLVE, "%s: libcurl wants another name than %s", transfer->origin->base_url,
                  transfer->origin->resolve_host);
    return 1;
}

/* Called by curl on a connection that is ready, a kept or a new one, right before the request goes out. */
static int on_about_to_send(void *context, char *peer_ip, char *own_ip, int peer_port, int own_port)
{
    (void)peer_ip;
    (void)own_ip;
    (void)peer_port;
    (void)own_port;
    struct http_transfer *transfer = context;
    if (transfer->call->may_send(transfer->call))
        return CURL_PREREQFUNC_OK;
    (void)err_set(&transfer->error, ERR_CANCELLED, "%s: the request was not sent any more", transfer->origin->base_url);
    return CURL_PREREQFUNC_ABORT;
}

#define SET(option, value) (ok = ok && curl_easy_setopt(easy, (option), (value)) == CURLE_OK)

/* Whom to trust and what to show, as texts. */
static bool set_pem(CURL *easy, struct http_origin *origin)
{
    bool ok = true;
    if (origin->ca.data != NULL) {
        SET(CURLOPT_CAINFO_BLOB, &origin->ca);
        SET(CURLOPT_CAPATH, NULL); /* the system's roots would be trusted besides */
    }
    /* As Go's clients do, an https:// proxy is judged by what judges the server. */
    if (origin->ca.data != NULL && origin->proxy[0] != '\0') {
        SET(CURLOPT_PROXY_CAINFO_BLOB, &origin->ca);
        SET(CURLOPT_PROXY_CAPATH, NULL);
    }
    if (origin->cert.data != NULL)
        SET(CURLOPT_SSLCERT_BLOB, &origin->cert);
    if (origin->key.data != NULL)
        SET(CURLOPT_SSLKEY_BLOB, &origin->key);
    return ok;
}

static bool set_tls(CURL *easy, struct http_origin *origin)
{
    bool ok = origin->identity != NULL ? tls_identity_use(origin->identity, easy) : set_pem(easy, origin);
    if (origin->insecure && origin->proxy[0] != '\0') {
        SET(CURLOPT_PROXY_SSL_VERIFYPEER, 0L);
        SET(CURLOPT_PROXY_SSL_VERIFYHOST, 0L);
    }
    SET(CURLOPT_SSL_VERIFYPEER, origin->insecure ? 0L : 1L);
    SET(CURLOPT_SSL_VERIFYHOST, origin->insecure ? 0L : 2L);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SHARE, origin->share);
    return ok;
}

static bool has_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 || strcmp(method, "PATCH") == 0;
}

static bool set_method(CURL *easy, const struct http_call *call)
{
    bool ok = true;
    const char *method = call->method != NULL ? call->method : "GET";
    if (strcmp(method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L); /* else curl would wait for one */
    } else if (call->request_body != NULL || has_body(method)) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->request_body_bytes);
        SET(CURLOPT_POSTFIELDS, call->request_body != NULL ? call->request_body : "");
        SET(CURLOPT_CUSTOMREQUEST, method);
    } else if (strcmp(method, "GET") != 0) {
        SET(CURLOPT_CUSTOMREQUEST, method);
    }
    return ok;
}

static bool set_connection(CURL *easy, struct http_transfer *transfer)
{
    const struct http_origin *origin = transfer->origin;
    bool ok = true;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)(origin->http2 ? CURL_HTTP_VERSION_2TLS : CURL_HTTP_VERSION_1_1));
    if (origin->http2)
        SET(CURLOPT_PIPEWAIT, 1L); /* rather a stream of the connection that is being made than one more connection */
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_PROXY, origin->proxy);
    SET(CURLOPT_NOPROXY, ""); /* the environment was read when the origin was made */
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)origin->connect_timeout_ms);
    SET(CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    SET(CURLOPT_OPENSOCKETDATA, transfer);
    SET(CURLOPT_SOCKOPTFUNCTION, on_sockopt);
    SET(CURLOPT_RESOLVER_START_FUNCTION, on_resolver_start);
    SET(CURLOPT_RESOLVER_START_DATA, (void *)transfer);
    return ok;
}

static bool set_options(struct http_transfer *transfer, const char *url)
{
    struct http_origin *origin = transfer->origin;
    CURL *easy = transfer->base.easy;
    bool ok = set_tls(easy, origin) && set_connection(easy, transfer) && set_method(easy, transfer->call);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_USERAGENT, origin->user_agent);
    SET(CURLOPT_ACCEPT_ENCODING, origin->compressed ? "gzip" : NULL);
    SET(CURLOPT_BUFFERSIZE, (long)HTTP_READ_BYTES);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, (long)HTTP_SEND_BYTES);
    SET(CURLOPT_WRITEFUNCTION, http_receive_body);
    SET(CURLOPT_WRITEDATA, (void *)transfer);
    SET(CURLOPT_HEADERFUNCTION, http_receive_header);
    SET(CURLOPT_HEADERDATA, (void *)transfer);
    SET(CURLOPT_ERRORBUFFER, transfer->curl_error);
    SET(CURLOPT_HTTPHEADER, transfer->headers);
    if (transfer->connect_to != NULL)
        SET(CURLOPT_CONNECT_TO, transfer->connect_to);
    if (transfer->call->may_send != NULL) {
        SET(CURLOPT_PREREQFUNCTION, on_about_to_send);
        SET(CURLOPT_PREREQDATA, (void *)transfer);
    }
    /* Last: curl tells a malformed URL only when it is used, so what fails before is memory. */
    SET(CURLOPT_URL, url);
    return ok;
}
#undef SET

static bool append(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    if (longer == NULL)
        return false;
    *list = longer;
    return true;
}

static bool set_lists(struct http_transfer *transfer)
{
    const struct http_origin *origin = transfer->origin;
    /* An API server that is asked for "100 Continue" only costs a round trip. */
    bool ok = append(&transfer->headers, "Expect:");
    if (ok && origin->host_header != NULL)
        ok = append(&transfer->headers, origin->host_header);
    for (const struct curl_slist *at = origin->headers; ok && at != NULL; at = at->next)
        ok = append(&transfer->headers, at->data);
    for (unsigned i = 0; ok && i < HTTP_MAX_HEADERS && transfer->call->headers[i] != NULL; i++)
        ok = append(&transfer->headers, transfer->call->headers[i]);
    return ok && (origin->connect_to == NULL || append(&transfer->connect_to, origin->connect_to));
}

enum err_code http_request_prepare(struct http_transfer *transfer, struct err *reterr)
{
    struct http_origin *origin = transfer->origin;
    struct strbuf url;
    transfer->base.easy = http_origin_take_handle(origin);
    strbuf_init(&url, HTTP_URL_BYTES);
    strbuf_append(&url, origin->request_url);
    strbuf_append(&url, transfer->call->path);
    enum err_code code = strbuf_error(&url);
    if (code == ERR_OK &&
        (transfer->base.easy == NULL || !set_lists(transfer) || !set_options(transfer, strbuf_text(&url))))
        code = ERR_NOMEM;
    strbuf_done(&url);
    if (code == ERR_LIMIT)
        return err_set(reterr, code, "%s: the request's path is longer than %d bytes", origin->base_url,
                       HTTP_URL_BYTES);
    return code == ERR_OK ? ERR_OK : http_error_no_memory(reterr);
}

/* "-host:port" makes curl forget the addresses of before. */
static bool add_addresses(struct http_transfer *transfer, const char *host, const struct dns_answer *answer)
{
    const unsigned port = transfer->origin->resolve_port;
    struct strbuf entry;
    strbuf_init(&entry, 16384);
    strbuf_printf(&entry, "-%s:%u", host, port);
    bool ok = strbuf_error(&entry) == ERR_OK && append(&transfer->resolve, strbuf_text(&entry));
    strbuf_clear(&entry);
    strbuf_printf(&entry, "%s:%u:", host, port);
    for (uint32_t i = 0; i < answer->count; i++) {
        bool v6 = strchr(answer->addresses[i], ':') != NULL;
        strbuf_printf(&entry, v6 ? "%s[%s]" : "%s%s", i > 0 ? "," : "", answer->addresses[i]);
    }
    ok = ok && strbuf_error(&entry) == ERR_OK && append(&transfer->resolve, strbuf_text(&entry));
    strbuf_done(&entry);
    return ok;
}

static void note_tried(struct http_transfer *transfer, const struct dns_answer *answer)
{
    enum { SHOWN = 3 };
    size_t used = 0;
    for (uint32_t i = 0; i < answer->count && i < SHOWN && used < sizeof(transfer->tried); i++) {
        bool v6 = strchr(answer->addresses[i], ':') != NULL;
        int length = snprintf(transfer->tried + used, sizeof(transfer->tried) - used, v6 ? "%s[%s]:%u" : "%s%s:%u",
                              i > 0 ? ", " : "", answer->addresses[i], transfer->origin->resolve_port);
        used += length > 0 ? (size_t)length : 0;
    }
    if (answer->count > SHOWN && used < sizeof(transfer->tried))
        (void)snprintf(transfer->tried + used, sizeof(transfer->tried) - used, ", ...");
}

bool http_request_set_addresses(struct http_transfer *transfer, const struct dns_answer *answer)
{
    const char *host = transfer->origin->resolve_host;
    size_t length = strlen(host);
    bool ok = add_addresses(transfer, host, answer);
    note_tried(transfer, answer);
    if (ok && length > 1 && host[length - 1] == '.') { /* curl may look for it without the dot */
        CLEANUP(mem_freep) char *bare = mem_strndup(host, length - 1);
        ok = bare != NULL && add_addresses(transfer, bare, answer);
    }
    return ok && curl_easy_setopt(transfer->base.easy, CURLOPT_RESOLVE, transfer->resolve) == CURLE_OK;
}
