#include "agent/net/http_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/net/proxy.h"
#include "agent/net/tls_identity.h"
#include "base/mem.h"

enum { CONNECT_TIMEOUT_MS = 10000, MAX_CONNECTIONS = 64, SOCKS_PORT = 1080, URL_BYTES = 8192 };

/* --- URLs --- */

/* The parts of a URL; host without brackets. */
struct url_parts {
    char *scheme, *host, *path;
    uint16_t port; /* 0: the scheme has no default */
    bool extra;    /* there is a query or a fragment */
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

/* @return false when out of memory. */
static bool read_port(CURLU *url, uint16_t *ret_port)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(url, CURLUPART_PORT, &text, CURLU_DEFAULT_PORT);
    *ret_port = code == CURLUE_OK ? (uint16_t)strtoul(text, NULL, 10) : 0;
    curl_free(text);
    return code == CURLUE_OK || code == CURLUE_NO_PORT;
}

/* @return false when out of memory. */
static bool read_extra(CURLU *url, bool *ret_extra)
{
    char *query = NULL, *fragment = NULL;
    CURLUcode has_query = curl_url_get(url, CURLUPART_QUERY, &query, 0);
    CURLUcode has_fragment = curl_url_get(url, CURLUPART_FRAGMENT, &fragment, 0);
    *ret_extra = has_query == CURLUE_OK || has_fragment == CURLUE_OK;
    curl_free(query);
    curl_free(fragment);
    return has_query != CURLUE_OUT_OF_MEMORY && has_fragment != CURLUE_OUT_OF_MEMORY;
}

static void strip_brackets(char *host)
{
    size_t length = strlen(host);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        memmove(host, host + 1, length - 2);
        host[length - 2] = '\0';
    }
}

/* @return ERR_OK, ERR_NOMEM, ERR_INVALID (the caller knows what may be shown of the text). */
static enum err_code parse_url(const char *text, unsigned flags, struct url_parts *ret_parts)
{
    *ret_parts = (struct url_parts){0};
    CURLU *url = curl_url();
    if (url == NULL)
        return ERR_NOMEM;
    CURLUcode parsed = curl_url_set(url, CURLUPART_URL, text, flags);
    if (parsed != CURLUE_OK) {
        curl_url_cleanup(url);
        return parsed == CURLUE_OUT_OF_MEMORY ? ERR_NOMEM : ERR_INVALID;
    }
    ret_parts->scheme = url_part(url, CURLUPART_SCHEME, 0);
    ret_parts->host = url_part(url, CURLUPART_HOST, 0);
    ret_parts->path = url_part(url, CURLUPART_PATH, 0);
    bool complete = read_port(url, &ret_parts->port) && read_extra(url, &ret_parts->extra);
    curl_url_cleanup(url);
    if (!complete || ret_parts->scheme == NULL || ret_parts->host == NULL || ret_parts->path == NULL) {
        url_parts_done(ret_parts);
        return ERR_NOMEM;
    }
    strip_brackets(ret_parts->host);
    return ERR_OK;
}

/* @return what a server's URL must not be, or NULL. */
static const char *objection_to(const struct url_parts *parts)
{
    if (strcmp(parts->scheme, "https") != 0 && strcmp(parts->scheme, "http") != 0)
        return "only https and http servers are supported";
    return parts->extra ? "a server's URL has no query and no fragment" : NULL;
}

static enum err_code parse_base_url(const char *text, struct url_parts *ret_parts, struct err *reterr)
{
    enum err_code code = parse_url(text, CURLU_DISALLOW_USER, ret_parts);
    const char *objection = code == ERR_OK ? objection_to(ret_parts) : "it is not a URL: write https://host:port";
    if (objection == NULL)
        return ERR_OK;
    if (code == ERR_OK)
        url_parts_done(ret_parts);
    if (code == ERR_NOMEM) {
        (void)http_error_no_memory(reterr);
        return ERR_NOMEM;
    }
    /* Not shown when it might hold a password. */
    (void)err_set(reterr, ERR_INVALID, "server \"%.200s\": %s", strchr(text, '@') == NULL ? text : "...@...",
                  objection);
    return ERR_INVALID;
}

static const char *bracket(const char *host, const char *which) { return strchr(host, ':') != NULL ? which : ""; }

/* curl checks the certificate against the URL's host: with a TLS server name that is the host, the connection is led
 * elsewhere, and the Host header stays what it would have been. */
static enum err_code set_server_name(struct http_origin *origin, const struct url_parts *url, const char *name,
                                     struct err *reterr)
{
    const char *open = bracket(url->host, "["), *close = bracket(url->host, "]");
    const char *name_open = bracket(name, "["), *name_close = bracket(name, "]");
    struct strbuf text;
    strbuf_init(&text, URL_BYTES);
    strbuf_printf(&text, "https://%s%s%s:%u%s", name_open, name, name_close, url->port, url->path);
    origin->request_url = strbuf_take(&text);
    strbuf_printf(&text, "%s%s%s:%u:%s%s%s:%u", name_open, name, name_close, url->port, open, url->host, close,
                  url->port);
    origin->connect_to = strbuf_take(&text);
    strbuf_printf(&text, url->port == 443 ? "Host: %s%s%s" : "Host: %s%s%s:%u", open, url->host, close, url->port);
    origin->host_header = strbuf_take(&text);
    strbuf_done(&text);
    return origin->request_url != NULL && origin->connect_to != NULL && origin->host_header != NULL
               ? ERR_OK
               : http_error_no_memory(reterr);
}

static enum err_code set_resolution(struct http_origin *origin, const char *host, uint16_t port, struct err *reterr)
{
    char canonical[TEXT_IP_BYTES];
    if (text_parse_ip(host, canonical) != IP_NONE)
        return ERR_OK;
    origin->resolve_host = mem_strdup(host);
    origin->resolve_port = port;
    return origin->resolve_host != NULL ? ERR_OK : http_error_no_memory(reterr);
}

/* --- proxies --- */

/* As curl is to get it: with scheme and port, so that both of us mean the same. */
static char *complete_proxy(const char *text, uint16_t port)
{
    char *complete = NULL;
    char number[8];
    CURLU *url = curl_url();
    (void)snprintf(number, sizeof(number), "%u", port);
    if (url != NULL && curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
        curl_url_set(url, CURLUPART_PORT, number, 0) == CURLUE_OK)
        complete = url_part(url, CURLUPART_URL, CURLU_NON_SUPPORT_SCHEME);
    curl_url_cleanup(url);
    return complete;
}

static char *join_port(const char *host, uint16_t port)
{
    struct strbuf text;
    strbuf_init(&text, URL_BYTES);
    strbuf_printf(&text, "%s%s%s:%u", bracket(host, "["), host, bracket(host, "]"), port);
    char *taken = strbuf_take(&text);
    strbuf_done(&text);
    return taken;
}

/* Names are the proxy's business (socks5h): with socks5 curl would resolve the target itself. */
static char *normalize_proxy(const char *text)
{
    struct strbuf url;
    strbuf_init(&url, URL_BYTES);
    if (text_starts_with(text, "socks5://"))
        strbuf_printf(&url, "socks5h://%s", text + strlen("socks5://"));
    else
        strbuf_printf(&url, "%s%s", strstr(text, "://") == NULL ? "http://" : "", text);
    char *taken = strbuf_take(&url);
    strbuf_done(&url);
    return taken;
}

/* The text of a proxy may hold a password: no message shows it. */
static enum err_code use_proxy(struct http_origin *origin, const char *text, struct err *reterr)
{
    CLEANUP(mem_freep) char *url = normalize_proxy(text);
    struct url_parts parts;
    if (url == NULL)
        return http_error_no_memory(reterr);
    enum err_code code = parse_url(url, CURLU_NON_SUPPORT_SCHEME, &parts);
    if (code == ERR_NOMEM)
        return http_error_no_memory(reterr);
    bool socks = code == ERR_OK && strcmp(parts.scheme, "socks5h") == 0;
    if (code == ERR_OK && !socks && strcmp(parts.scheme, "http") != 0 && strcmp(parts.scheme, "https") != 0)
        code = ERR_INVALID;
    if (code != ERR_OK) {
        url_parts_done(&parts);
        return err_set(reterr, ERR_INVALID, "the proxy's URL is not of the kind http://, https:// or socks5://");
    }
    uint16_t port = parts.port != 0 ? parts.port : SOCKS_PORT;
    origin->proxy = complete_proxy(url, port);
    origin->proxy_name = join_port(parts.host, port);
    code = origin->proxy != NULL && origin->proxy_name != NULL ? set_resolution(origin, parts.host, port, reterr)
                                                               : http_error_no_memory(reterr);
    url_parts_done(&parts);
    return code;
}

static enum err_code set_proxy(struct http_origin *origin, const struct http_origin_config *config,
                               const struct url_parts *url, struct err *reterr)
{
    bool https = strcmp(url->scheme, "https") == 0;
    const char *proxy =
        config->proxy_url != NULL ? config->proxy_url : proxy_from_environment(https, url->host, url->port);
    if (proxy != NULL && proxy[0] != '\0')
        return use_proxy(origin, proxy, reterr);
    origin->proxy = mem_strdup("");
    if (origin->proxy == NULL)
        return http_error_no_memory(reterr);
    return set_resolution(origin, url->host, url->port, reterr);
}

/* --- origins --- */

static enum err_code copy_blob(struct curl_blob *blob, const char *pem, struct err *reterr)
{
    if (pem == NULL)
        return ERR_OK;
    blob->data = mem_strdup(pem);
    blob->len = strlen(pem);
    blob->flags = CURL_BLOB_NOCOPY; /* the origin outlives its handles */
    return blob->data != NULL ? ERR_OK : http_error_no_memory(reterr);
}

static enum err_code set_urls(struct http_origin *origin, const struct http_origin_config *config, struct err *reterr)
{
    struct url_parts url;
    TRY(parse_base_url(config->base_url, &url, reterr));
    bool named = strcmp(url.scheme, "https") == 0 && config->tls_server_name != NULL &&
                 config->tls_server_name[0] != '\0' && strcmp(config->tls_server_name, url.host) != 0;
    enum err_code code = set_proxy(origin, config, &url, reterr);
    if (code == ERR_OK && named)
        code = set_server_name(origin, &url, config->tls_server_name, reterr);
    url_parts_done(&url);
    TRY(code);
    origin->base_url = mem_strdup(config->base_url);
    if (!named)
        origin->request_url = mem_strdup(config->base_url);
    if (origin->base_url == NULL || origin->request_url == NULL)
        return http_error_no_memory(reterr);
    /* The path of a call begins with a slash: the base must not end in one. */
    for (size_t length = strlen(origin->request_url); length > 0 && origin->request_url[length - 1] == '/';)
        origin->request_url[--length] = '\0';
    return ERR_OK;
}

static void set_connection_limit(struct http_origin *origin)
{
    long limit = (long)origin->max_connections + (long)origin->lasting;
    (void)curl_multi_setopt(curl_loop_multi(origin->curl), CURLMOPT_MAX_TOTAL_CONNECTIONS, limit);
    (void)curl_multi_setopt(curl_loop_multi(origin->curl), CURLMOPT_MAXCONNECTS, limit);
}

static enum err_code fill_origin(struct http_origin *origin, const struct http_origin_config *config,
                                 struct err *reterr)
{
    TRY(set_urls(origin, config, reterr));
    TRY(copy_blob(&origin->ca, config->ca_pem, reterr));
    TRY(copy_blob(&origin->cert, config->cert_pem, reterr));
    TRY(copy_blob(&origin->key, config->key_pem, reterr));
    /* Not where a proxy is spoken to by TLS, too: it would be shown the certificate. */
    if (!text_starts_with(origin->proxy, "https://"))
        origin->identity = tls_identity_new(config->ca_pem, config->cert_pem, config->key_pem);
    origin->user_agent = mem_strdup(config->user_agent != NULL ? config->user_agent : "svcmirror");
    for (size_t i = 0; config->headers != NULL && config->headers[i] != NULL; i++) {
        struct curl_slist *longer = curl_slist_append(origin->headers, config->headers[i]);
        if (longer == NULL)
            return http_error_no_memory(reterr);
        origin->headers = longer;
    }
    origin->curl = curl_loop_new(origin->http->loop);
    origin->share = curl_share_init();
    if (origin->user_agent == NULL || origin->curl == NULL || origin->share == NULL ||
        curl_share_setopt(origin->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION) != CURLSHE_OK)
        return http_error_no_memory(reterr);
    origin->insecure = config->insecure_skip_verify;
    origin->http2 = config->http2;
    origin->compressed = !config->no_compression;
    origin->connect_timeout_ms = config->connect_timeout_ms > 0 ? config->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    http_origin_limit_connections(origin, config->max_connections);
    return ERR_OK;
}

enum err_code http_origin_new(struct http *http, const struct http_origin_config *config,
                              struct http_origin **ret_origin, struct err *reterr)
{
    struct http_origin *origin = NEW(struct http_origin);
    if (origin == NULL)
        return http_error_no_memory(reterr);
    origin->http = http;
    enum err_code code = fill_origin(origin, config, reterr);
    if (code != ERR_OK) {
        http_origin_free(origin);
        return code;
    }
    *ret_origin = origin;
    return ERR_OK;
}

/* When curl has closed the last connection. */
static void destroy(void *context)
{
    struct http_origin *origin = context;
    if (origin->share != NULL)
        (void)curl_share_cleanup(origin->share);
    mem_free(origin->base_url);
    mem_free(origin->request_url);
    mem_free(origin->connect_to);
    mem_free(origin->host_header);
    mem_free(origin->resolve_host);
    mem_free(origin->proxy);
    mem_free(origin->proxy_name);
    mem_free(origin->user_agent);
    curl_slist_free_all(origin->headers);
    mem_free(origin->ca.data);
    mem_free(origin->cert.data);
    mem_free(origin->key.data);
    tls_identity_free(origin->identity);
    mem_free(origin);
}

void http_origin_free(struct http_origin *origin)
{
    if (origin == NULL)
        return;
    while (origin->calls != NULL)
        http_cancel(origin->calls);
    http_deliver_forget_origin(origin);
    while (origin->idle_count > 0)
        curl_easy_cleanup(origin->idle[--origin->idle_count]);
    curl_loop_free_then(origin->curl, destroy, origin);
}

void http_origin_limit_connections(struct http_origin *origin, uint32_t max_connections)
{
    origin->max_connections = max_connections > 0 ? max_connections : MAX_CONNECTIONS;
    set_connection_limit(origin);
}

void http_origin_close_idle(struct http_origin *origin)
{
    curl_loop_close_idle(origin->curl);
    while (origin->idle_count > 0)
        curl_easy_cleanup(origin->idle[--origin->idle_count]);
}

const char *http_origin_url(const struct http_origin *origin) { return origin->base_url; }

uint32_t http_origin_in_flight(const struct http_origin *origin) { return origin->in_flight; }

CURL *http_origin_take_handle(struct http_origin *origin)
{
    return origin->idle_count > 0 ? origin->idle[--origin->idle_count] : curl_easy_init();
}

/* curl 7.88 keeps the buffer of a transfer on a shared connection, and of one that ended while it waited for a connection, and then takes no
 * CURLOPT_BUFFERSIZE for the handle. */
static bool is_reusable(CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)HTTP_READ_BYTES) == CURLE_OK;
}

void http_origin_return_handle(struct http_origin *origin, CURL *easy)
{
    if (easy == NULL)
        return;
    curl_easy_reset(easy);
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)HTTP_SEND_BYTES); /* frees the buffer that there is */
    if (origin->idle_count < HTTP_IDLE_HANDLES && is_reusable(easy))
        origin->idle[origin->idle_count++] = easy;
    else
        curl_easy_cleanup(easy);
}

void http_origin_count(struct http_origin *origin, int change, bool lasting)
{
    origin->in_flight += (uint32_t)change;
    if (!lasting)
        return;
    origin->lasting += (uint32_t)change;
    set_connection_limit(origin);
}
