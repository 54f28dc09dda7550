#include "agent/net/http_internal.h"

#include <stdio.h>
#include <string.h>

enum { PLACE_BYTES = 360 };

enum err_code http_error_no_memory(struct err *reterr)
{
    (void)err_set(reterr, ERR_NOMEM, "out of memory");
    return ERR_NOMEM;
}

static enum err_code code_of(CURLcode result)
{
    switch (result) {
    case CURLE_OK:
        return ERR_OK;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_ABORTED_BY_CALLBACK: /* curl_loop could not watch a socket */
    /* curl only has to find what it was given, or to read a literal; that it asks for more is told elsewhere. */
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_SETOPT_OPTION_SYNTAX: /* of CURLOPT_RESOLVE, which is made of what was parsed before */
        return ERR_NOMEM;
    case CURLE_OPERATION_TIMEDOUT:
        return ERR_TIMEOUT;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CRL_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_SSL_ENGINE_INITFAILED:
    case CURLE_SSL_CLIENTCERT:
        return ERR_TLS;
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer in HTTP/0.9, too */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return ERR_PROTOCOL;
    case CURLE_URL_MALFORMAT:
        return ERR_INVALID;
    case CURLE_FILESIZE_EXCEEDED:
        return ERR_LIMIT;
    default:
        return ERR_CONNECT; /* refused, reset, closed, partial, in HTTP/2 of one stream too: the connection did not hold */
    }
}

/* In TLS 1.3 a server refuses the client's certificate after the client's side of the handshake is done: curl reads an
 * alert in place of an answer. And it has no code of its own for broken chunks, nor for zlib's want of memory, the only failure that zlib
 * has no words for. */
static enum err_code refine(enum err_code code, CURLcode result, const char *text)
{
    if (result == CURLE_BAD_CONTENT_ENCODING && strstr(text, "Unknown failure within decompression") != NULL)
        return ERR_NOMEM;
    if (result != CURLE_RECV_ERROR && result != CURLE_SEND_ERROR)
        return code;
    if (strstr(text, " alert ") != NULL)
        return ERR_TLS;
    return strstr(text, "chunk") != NULL ? ERR_PROTOCOL : code;
}

/* What the URL does not say: " through proxy host:port", " at ip:port" (of the proxy, if there is one). Before curl is
 * connected it tells no address: then those that it was given. */
static void format_place(const struct http_transfer *transfer, char *buffer, size_t bytes)
{
    const struct http_origin *origin = transfer->origin;
    char *ip = NULL;
    long port = 0;
    bool proxied = origin->proxy_name != NULL;
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_PRIMARY_IP, &ip);
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_PRIMARY_PORT, &port);
    int used = snprintf(buffer, bytes, "%s%.150s", proxied ? " through proxy " : "", proxied ? origin->proxy_name : "");
    if (origin->resolve_host == NULL || used < 0 || (size_t)used >= bytes)
        return;
    if (ip != NULL && ip[0] != '\0')
        (void)snprintf(buffer + used, bytes - (size_t)used, strchr(ip, ':') != NULL ? " at [%s]:%ld" : " at %s:%ld", ip,
                       port);
    else if (transfer->tried[0] != '\0')
        (void)snprintf(buffer + used, bytes - (size_t)used, " at %s", transfer->tried);
}

void http_error_describe(const struct http_transfer *transfer, CURLcode result, struct err *error)
{
    char place[PLACE_BYTES];
    long os_errno = 0;
    (void)curl_easy_getinfo(transfer->base.easy, CURLINFO_OS_ERRNO, &os_errno);
    const char *text = transfer->curl_error[0] != '\0' ? transfer->curl_error : curl_easy_strerror(result);
    int cause = transfer->socket_errno != 0 ? transfer->socket_errno : (int)os_errno;
    const char *system = result == CURLE_COULDNT_CONNECT && cause != 0 ? strerrordesc_np(cause) : NULL;
    enum err_code code = refine(code_of(result), result, text);
    if (code == ERR_NOMEM)
        text = "out of memory";
    format_place(transfer, place, sizeof(place));
    (void)err_set(error, code, "%s%s: %s", transfer->origin->base_url, place, system != NULL ? system : text);
}

void http_error_deadline(const struct http_transfer *transfer, struct err *error)
{
    const struct http_call *call = transfer->call;
    const struct http_origin *origin = transfer->origin;
    char place[PLACE_BYTES];
    format_place(transfer, place, sizeof(place));
    if (transfer->query.entry != NULL)
        (void)err_set(error, ERR_TIMEOUT, "%s: %s not resolved within %u ms", origin->base_url, origin->resolve_host,
                      call->timeout_ms);
    else if (call->peer[0] == '\0')
        (void)err_set(error, ERR_TIMEOUT, "%s%s: no connection within %u ms", origin->base_url, place,
                      call->timeout_ms);
    else
        (void)err_set(error, ERR_TIMEOUT, "%s%s: no complete answer within %u ms", origin->base_url, place,
                      call->timeout_ms);
}
