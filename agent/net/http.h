/* HTTP requests on the loop, by libcurl's multi interface. Knows connections, TLS, proxies and deadlines; knows nothing of
 * Kubernetes.
 *
 * An *origin* is one server with one TLS identity: its calls share connections with each other and with nobody else. A *call* is
 * one request, embedded in its owner. Contract of a call: on_done runs exactly once, or never after http_cancel(); never from
 * inside http_start(); what it is given is borrowed for the callback; the owner may free the call in it.
 *
 * A request that a kept connection lost before any byte of its answer came is sent once more on a new one, whatever its method.
 * Redirects are not followed; where one leads is told. The process has to ignore SIGPIPE. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/loop/loop.h"
#include "agent/net/dns.h"
#include "base/err.h"
#include "base/strbuf.h"

struct http;
struct http_origin;

/** Takes one of the loop's hooks. @return new engine, or NULL with reterr: ERR_NOMEM, ERR_LIMIT (no hook is left), ERR_UNSUPPORTED (libcurl is not
 *  what is needed). One per process. */
struct http *http_new(struct loop *loop, struct dns *dns, struct err *reterr);
void http_free(struct http *http); /* takes NULL */
struct loop *http_loop(const struct http *http);
/** Which HTTP to speak with API servers, for who makes origins: HTTP/1.1 unless set. */
void http_set_http2(struct http *http, bool http2);
bool http_speaks_http2(const struct http *http);

/** PEM texts and names; all borrowed (copied by http_origin_new), all optional. */
struct http_origin_config {
    const char *base_url; /* "https://host:port[/prefix]" or http; no user, query or fragment; required */
    const char *ca_pem;   /* trusted roots instead of the system's */
    const char *cert_pem, *key_pem;
    const char *tls_server_name;
    bool insecure_skip_verify;
    bool no_compression; /* answers are not asked for in gzip */
    const char
        *proxy_url; /* http://, https://, socks5://; NULL: environment (HTTPS_PROXY, NO_PROXY with CIDRs); "": none */
    const char *user_agent;
    const char *const *headers;  /* "Name: value", sent with every call; NULL at its end; NULL: none */
    uint32_t max_connections;    /* 0: 64. Further calls wait; one without timeout_ms (a watch) may open one more */
    uint32_t connect_timeout_ms; /* TCP and TLS together; 0: 10 s */
    bool http2;                  /* over TLS, if the server takes it; else HTTP/1.1 */
};
/** @return ERR_OK, ERR_NOMEM, ERR_INVALID (base_url or the proxy; certificates are judged when they are used). */
enum err_code http_origin_new(struct http *http, const struct http_origin_config *config,
                              struct http_origin **ret_origin, struct err *reterr) MUST_USE;
/** Cancels its calls without calling back. Takes NULL. */
void http_origin_free(struct http_origin *origin);
const char *http_origin_url(const struct http_origin *origin);
/** As http_origin_config.max_connections. */
void http_origin_limit_connections(struct http_origin *origin, uint32_t max_connections);
/** Closes the connections that nobody has used for two seconds, a little later; none within a second of another call's start. What is kept for the next
 *  calls is freed at once. */
void http_origin_close_idle(struct http_origin *origin);

enum { HTTP_MAX_HEADERS = 8 };

struct http_call {
    /* -- set by the owner before http_start(); zero-initialise first; strings borrowed until on_done -- */
    const char *method;                    /* "GET" when NULL */
    const char *path;                      /* "/api/v1/services?watch=1", already encoded; copied */
    const char *headers[HTTP_MAX_HEADERS]; /* "Name: value", NULL-terminated unless full; copied */
    const char *request_body;              /* borrowed until on_done */
    size_t request_body_bytes;
    uint32_t timeout_ms;      /* whole call; 0: none (watches) */
    uint32_t idle_timeout_ms; /* no byte received for so long ends the call with ERR_TIMEOUT; 0: none */
    size_t max_body_bytes;    /* over it the call fails with ERR_LIMIT; 0: 16 MiB. Not applied when on_data is set */
    /* Streaming: called for each piece of a 2xx body instead of collecting it, at the end of the turn in which it arrives or, when that
     * turn has had its 64 KiB for all calls together, or its time, of a later one; meanwhile the peer waits, and that is no silence of it.
     * Each origin has the same share of it, whatever it sends. A code other than ERR_OK ends the call with that code. May http_cancel() and free
     * the call: then it must return ERR_CANCELLED. */
    enum err_code (*on_data)(struct http_call *call, const char *data, size_t bytes, struct err *reterr);
    /* Asked when the connection stands and the request is about to be sent, as often as that happens; may be NULL. When it says no, nothing is
     * sent and the call ends with ERR_CANCELLED. Must not cancel the call, nor start one. */
    bool (*may_send)(const struct http_call *call);
    /* The headers of a 2xx answer are complete; may be NULL. Must not cancel the call. */
    void (*on_head)(struct http_call *call);
    /* `error` is NULL when an HTTP answer was received completely (any status). */
    void (*on_done)(struct http_call *call, const struct err *error);
    void *context;

    /* -- result, valid in on_done -- */
    int status;         /* HTTP status; 0 when none was received; set before the first on_data */
    struct strbuf body; /* collected; of a non-2xx answer to a streaming call its first 64 KiB */
    char content_type[64];
    char location[1024]; /* where an answer in 3xx leads, made whole: "https://host/path"; "" when it leads nowhere */
    int64_t retry_after_ms; /* -1 when absent */
    int64_t date_s;         /* the server's clock when it answered, seconds since 1970; 0 when it did not say */
    char warning[256];      /* first Warning header, "" when none (RFC 7234 299) */
    char peer[64];          /* "ip:port" connected to, "" when never connected */
    uint64_t received_bytes;

    /* -- private -- */
    struct http_origin *origin;
    void *transfer;
    struct http_call *next, *previous;
};

/** Starts the call. On anything but ERR_OK nothing was started and on_done will not be called.
 *  @return ERR_OK, ERR_NOMEM, ERR_LIMIT (path of more than 64 KiB, too many names). on_done may see, beside these: ERR_RESOLVE,
 *  ERR_CONNECT, ERR_TLS, ERR_TIMEOUT, ERR_PROTOCOL, ERR_INVALID (path), ERR_CANCELLED (may_send), and what on_data returned. */
enum err_code http_start(struct http_origin *origin, struct http_call *call, struct err *reterr) MUST_USE;
/** Ends the call at once without calling back; idempotent; also frees what the result holds. */
void http_cancel(struct http_call *call);
/** Frees the result of a finished call (body); http_start() on a finished call does it too. */
void http_call_done(struct http_call *call);
/** Calls under way on this origin. */
uint32_t http_origin_in_flight(const struct http_origin *origin);
