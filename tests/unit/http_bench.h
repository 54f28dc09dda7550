/* What the tests of the HTTP engine share: an engine, a resolver and their servers on one loop, and calls that note what
 * happens to them. */
#pragma once

#include "agent/net/http.h"
#include "fake_dns.h"
#include "fake_server.h"

enum { HTTP_BENCH_PATIENCE_MS = 20000 };

struct http_bench {
    struct loop *loop;
    struct dns *dns;
    struct http *http;
    struct http_origin *origin; /* to the server */
    struct loop_timer *patience, *pause;
    struct fake_server server;
    struct fake_dns names;
    char url[64]; /* of the server */
    unsigned finished, wanted;
    bool impatient;
};

/* A call and what became of it. */
struct asked {
    struct http_call call; /* first */
    struct http_bench *bench;
    unsigned finished, heads, pieces;
    struct err error;
    char text[512]; /* collected body or streamed data, its beginning */
    size_t text_bytes;
    bool streams;
    enum err_code refuses; /* what on_data returns */
    /* In on_done; in on_data when `early`. */
    struct asked *cancels, *starts;
    bool frees_origin, early;
};

void http_bench_init(struct http_bench *bench);
/** Also opens an origin to the server: "http://127.0.0.1:port". */
void http_bench_open(struct http_bench *bench);
void http_bench_done(struct http_bench *bench);
/** @return new; fails the test when there is none. */
struct http_origin *http_bench_origin(struct http_bench *bench, const struct http_origin_config *config);

/** Sets callbacks and path, for http_start(). */
void http_bench_prepare(struct http_bench *bench, struct asked *asked, const char *path);
/** Starts a call on bench->origin. */
void http_bench_start(struct http_bench *bench, struct asked *asked, const char *path);
void http_bench_start_on(struct http_bench *bench, struct http_origin *origin, struct asked *asked, const char *path);
/** Runs until so many more calls have finished. */
void http_bench_await(struct http_bench *bench, unsigned more);
void http_bench_run_for(struct http_bench *bench, uint64_t ms);
/** Starts and awaits; the call's result is still there. */
void http_bench_ask(struct http_bench *bench, struct asked *asked, const char *path);
void http_bench_ask_on(struct http_bench *bench, struct http_origin *origin, struct asked *asked, const char *path);

/** Fails the test unless the call ended with `code` and this beginning and end of its text; "" for any. */
void http_bench_expect_error(const struct asked *asked, enum err_code code, const char *begins, const char *ends);
void http_bench_expect_ok(const struct asked *asked, int status, const char *text);
