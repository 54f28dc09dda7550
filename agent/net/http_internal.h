/* What the files of the HTTP engine share: http_origin.c makes origins, http_request.c tells curl what to ask, http_receive.c
 * takes what comes, http_deliver.c hands it to the call's owner, http_error.c says what failed, http.c leads a call from its start to
 * its end. Internal to agent/net. */
#pragma once

#include <curl/curl.h>

#include "agent/net/curl_loop.h"
#include "agent/net/dns.h"
#include "agent/net/http.h"

enum {
    HTTP_HEAD_BYTES = 256 << 10,      /* of an answer's headers, and of 1xx before it and trailers after it */
    HTTP_ERROR_BODY_BYTES = 64 << 10, /* of a streaming call's non-2xx answer */
    HTTP_INBOX_BYTES = 64 << 10,      /* received by a streaming call and not handed over yet; then it is not read */
    HTTP_READ_BYTES = 4 << 10,  /* read at once; decompressed this is 100 KiB of a list: what curl keeps while paused */
    HTTP_SEND_BYTES = 16 << 10, /* sent at once, and kept by curl for each request over TLS: 64 KiB by itself */
    HTTP_TURN_BYTES = 64 << 10, /* what one turn hands over to streaming calls, all together: some 50 objects */
    HTTP_TURN_US = 4000,        /* and no more of it once that took so long */
    HTTP_PIECE_BYTES = 16 << 10, /* and to one origin before it is another's turn */
    HTTP_SHARE_US = 1000,        /* of an origin's piece; what takes longer is made up for by rounds without one */
    HTTP_DEBT_US = 64 * HTTP_SHARE_US, /* at most: a process that stood still is not an origin's fault */
    HTTP_BODY_BYTES = 16 << 20,        /* when the call says nothing */
    HTTP_URL_BYTES = 64 << 10,
    HTTP_IDLE_HANDLES = 16, /* easy handles kept for reuse by an origin */
};

struct http {
    struct loop *loop;
    struct dns *dns; /* NULL: origins must be literal addresses */
    bool http2;      /* wanted, for who makes origins */
    /* Something of theirs is not handed over yet; the first is next. */
    struct http_origin *waiting, **waiting_end;
    struct http_origin *served; /* while a piece of it is handed over; NULL once it is freed */
};

struct http_origin {
    struct http *http;
    struct curl_loop *curl; /* its own: connections, limits and failures are shared with nobody */
    CURLSH *share;          /* TLS sessions, so that a new connection resumes */
    char *base_url;         /* as given: how messages name the origin */
    char *request_url;      /* what curl is given: with the TLS server name for its host, if there is one */
    char *connect_to;       /* "name:port:host:port", NULL when the names are the same */
    char *host_header;      /* "Host: host:port" when request_url names another */
    char *resolve_host;     /* what must be resolved before connecting; NULL for literals */
    char *proxy;            /* "" for none */
    char *proxy_name;       /* "host:port": how messages name it, without what it must not show; NULL for none */
    char *user_agent;
    struct curl_slist *headers; /* of every call */
    struct curl_blob ca, cert, key;
    struct tls_identity *identity; /* these, read; NULL: curl reads them */
    bool insecure, http2, compressed;
    uint16_t resolve_port;
    uint32_t connect_timeout_ms;
    uint32_t max_connections; /* for calls with a deadline */
    uint32_t in_flight, lasting;
    struct http_call *calls;
    struct http_transfer *waiting, **waiting_end; /* what they received is not handed over yet; the first is next */
    struct http_origin *next_waiting;
    uint64_t debt_us; /* what its pieces took beyond its shares */
    CURL *idle[HTTP_IDLE_HANDLES];
    unsigned idle_count;
};

struct http_transfer {
    struct curl_transfer base; /* first */
    struct http_call *call;
    struct http_origin *origin;
    struct curl_slist *headers, *resolve, *connect_to;
    struct loop_timer *deadline, *idle;
    struct dns_query query;
    struct strbuf inbox; /* received */
    size_t delivered;    /* of these, handed over */
    size_t head_bytes;
    uint64_t heard_ms; /* silence counts from here */
    struct http_transfer *next_waiting;
    struct err error; /* ours, stronger than curl's; once it is over, how it ended */
    int socket_errno; /* why no socket could be opened for it last; 0: one could */
    char curl_error[CURL_ERROR_SIZE];
    char tried[160]; /* the first addresses that curl was given for resolve_host, for messages */
    bool lasting;    /* without a deadline */
    bool head_complete, head_told;
    bool is_waiting; /* in origin->waiting */
    bool is_paused;  /* curl keeps what did not fit into the inbox, and reads no more */
    bool is_over;    /* nothing comes any more */
    bool forgiven;   /* silent for too long once, when the loop was late; nothing was heard since */
    bool is_cut;     /* an error page was longer than anybody reads: answered all the same */
};

/** Ends the call. @param error  copied, may be the transfer's own; ERR_OK in it for a call that worked.
 *  Runs on_done; the transfer is gone. */
void http_finish(struct http_transfer *transfer, const struct err *error);

/** A handle in its initial state, or NULL; give it back. */
CURL *http_origin_take_handle(struct http_origin *origin);
void http_origin_return_handle(struct http_origin *origin, CURL *easy);
/** Counts a call in or out. A lasting one brings a connection of its own with it: watches leave the others theirs. */
void http_origin_count(struct http_origin *origin, int change, bool lasting);

/** Fills the transfer's easy handle. @return ERR_OK, ERR_NOMEM, ERR_INVALID, ERR_LIMIT. */
enum err_code http_request_prepare(struct http_transfer *transfer, struct err *reterr) MUST_USE;
/** Hands curl the addresses of origin->resolve_host: it must never resolve by itself. @return false when out of memory. */
bool http_request_set_addresses(struct http_transfer *transfer, const struct dns_answer *answer);

/** For CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION; `context` is the transfer. They only record: what they are told
 *  of may end a transfer, and curl forbids that here. */
size_t http_receive_header(char *line, size_t size, size_t count, void *context);
size_t http_receive_body(char *data, size_t size, size_t count, void *context);
/** Takes over status and peer from curl. */
void http_receive_facts(struct http_transfer *transfer);
/** Silence counts from now; not while something waits to be handed over. */
void http_receive_restart_idle(struct http_transfer *transfer);

/** Something may have been received; its owner gets it at the end of this turn or in a later one. */
void http_deliver_soon(struct http_transfer *transfer);
/** Nothing more is handed over; idempotent. */
void http_deliver_forget(struct http_transfer *transfer);
/** The origin, which has no calls any more, is freed. */
void http_deliver_forget_origin(struct http_origin *origin);
/** The hook that hands over; `http` is the engine. @return whether something is left for another turn. */
bool http_deliver_turn(void *http);

/** @return ERR_NOMEM, always; `reterr` may be NULL. */
enum err_code http_error_no_memory(struct err *reterr);
/** What curl's result means, and where. */
void http_error_describe(const struct http_transfer *transfer, CURLcode result, struct err *error);
/** That `timeout_ms` passed, and how far the call had come. */
void http_error_deadline(const struct http_transfer *transfer, struct err *error);
