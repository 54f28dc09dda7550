/* links: agent_net agent_loop base http_bench.c fake_server.c fake_dns.c */
#include "agent/net/http.h"

#include <dirent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "http_bench.h"
#include "sweep.h"

/* --- requests and answers --- */

static void a_request_carries_what_it_was_given(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.call.headers = {"Accept: application/json", "Authorization: Bearer x"}};
    char peer[64], host[64];
    http_bench_open(&bench);
    (void)snprintf(peer, sizeof(peer), "127.0.0.1:%u", bench.server.port);
    (void)snprintf(host, sizeof(host), "\r\nHost: 127.0.0.1:%u\r\n", bench.server.port);
    http_bench_start(&bench, &asked, "/api/v1/services?a=%2F&b=/../c");
    assert_int_equal(http_origin_in_flight(bench.origin), 1);
    http_bench_await(&bench, 1);
    http_bench_expect_ok(&asked, 200, "hello");
    assert_int_equal(http_origin_in_flight(bench.origin), 0);
    assert_string_equal(http_origin_url(bench.origin), bench.url);
    assert_string_equal(asked.call.content_type, "text/plain");
    assert_string_equal(asked.call.peer, peer);
    assert_string_equal(asked.call.warning, "");
    assert_int_equal(asked.call.retry_after_ms, -1);
    assert_int_equal(asked.call.received_bytes, 5);
    assert_int_equal(asked.heads, 1);
    assert_int_equal(asked.call.body.length, 5); /* until the owner is done with it */
    http_call_done(&asked.call);
    http_call_done(&asked.call);
    assert_int_equal(asked.call.body.length, 0);
    const char *request = bench.server.last_request;
    assert_int_equal(strncmp(request, "GET /api/v1/services?a=%2F&b=/../c HTTP/1.1\r\n", 45), 0);
    assert_non_null(strstr(request, host));
    assert_non_null(strstr(request, "\r\nAccept: application/json\r\n"));
    assert_non_null(strstr(request, "\r\nAuthorization: Bearer x\r\n"));
    assert_non_null(strstr(request, "\r\nUser-Agent: svcmirror\r\n"));
    assert_non_null(strstr(request, "\r\nAccept-Encoding: gzip\r\n"));
    http_bench_done(&bench);
}

static void methods_and_bodies(void **state)
{
    (void)state;
    static const struct {
        const char *method, *body, *line, *length;
    } CASES[] = {
        {NULL, NULL, "GET /p ", NULL},
        {"POST", "{\"a\":1}", "POST /p ", "\r\nContent-Length: 7\r\n"},
        {"POST", NULL, "POST /p ", "\r\nContent-Length: 0\r\n"},
        {"POST", "", "POST /p ", "\r\nContent-Length: 0\r\n"},
        {"PUT", "12345", "PUT /p ", "\r\nContent-Length: 5\r\n"},
        {"PATCH", "[]", "PATCH /p ", "\r\nContent-Length: 2\r\n"},
        {"DELETE", NULL, "DELETE /p ", NULL},
        {"DELETE", "{}", "DELETE /p ", "\r\nContent-Length: 2\r\n"},
    };
    struct http_bench bench;
    http_bench_open(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct asked asked = {.call.method = CASES[i].method,
                              .call.headers = {"Content-Type: application/json"},
                              .call.request_body = CASES[i].body,
                              .call.request_body_bytes = CASES[i].body != NULL ? strlen(CASES[i].body) : 0};
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_ok(&asked, 200, "hello");
        const char *request = bench.server.last_request;
        assert_int_equal(strncmp(request, CASES[i].line, strlen(CASES[i].line)), 0);
        if (CASES[i].length != NULL)
            assert_non_null(strstr(request, CASES[i].length));
        else
            assert_null(strstr(request, "Content-Length"));
        assert_null(strstr(request, "Expect"));
        assert_non_null(strstr(request, "\r\nContent-Type: application/json\r\n"));
    }
    assert_int_equal(bench.server.accepted, 1);
    http_bench_done(&bench);
}

static void a_large_body_is_sent_whole(void **state)
{
    (void)state;
    struct http_bench bench;
    static char body[100000];
    memset(body, 'x', sizeof(body));
    struct asked asked = {.call.method = "PUT", .call.request_body = body, .call.request_body_bytes = sizeof(body)};
    http_bench_open(&bench);
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_ok(&asked, 200, "hello");
    assert_int_equal(bench.server.last_body_bytes, sizeof(body));
    http_bench_done(&bench);
}

static void a_head_request_waits_for_no_body(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.call.method = "HEAD"};
    http_bench_open(&bench);
    bench.server.answer = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_ok(&asked, 200, "");
    assert_int_equal(strncmp(bench.server.last_request, "HEAD /p ", 8), 0);
    http_bench_done(&bench);
}

static void every_complete_answer_is_a_success(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *text;
        int status;
    } CASES[] = {
        {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\nnone", "none", 404},
        {"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", "", 500},
        {"HTTP/1.1 204 No Content\r\n\r\n", "", 204},
        {"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "", 307},
        {"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\n\r\n", "", 401},
        {"HTTP/1.1 103 Early Hints\r\nWarning: 299 - \"early\"\r\nContent-Type: a/b\r\nRetry-After: 9\r\n\r\n"
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
         "ok", 200},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n3\r\ncde\r\n0\r\nWarning: 299 - "
         "\"t\"\r\n\r\n",
         "abcde", 200},
    };
    struct http_bench bench;
    http_bench_open(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct asked asked = {0};
        bench.server.answer = CASES[i].answer;
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_ok(&asked, CASES[i].status, CASES[i].text);
        assert_string_equal(asked.call.warning, "");
        assert_string_equal(asked.call.content_type, "");
        assert_int_equal(asked.call.retry_after_ms, -1);
        assert_int_equal(asked.heads, CASES[i].status < 300 ? 1 : 0);
    }
    assert_int_equal(bench.server.requests, ARRAY_COUNT(CASES)); /* no redirect followed */
    http_bench_done(&bench);
}

static void headers_of_interest_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        int64_t min_ms, max_ms;
    } CASES[] = {
        {"Retry-After: 7", 7000, 7000},
        {"retry-after:0", 0, 0},
        {"Retry-After:   15  ", 15000, 15000},
        {"Retry-After: 999999999999999999999", 3600000, 3600000},
        {"Retry-After: soon", -1, -1},
        {"Retry-After: -5", -1, -1},
        {"Retry-After:", -1, -1},
        {"Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", 0, 0},
        {"Retry-After: Wed, 21 Oct 2099 07:28:00 GMT", 3600000, 3600000},
        {"X-Retry-After: 7", -1, -1},
    };
    struct http_bench bench;
    char answer[512];
    http_bench_open(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct asked asked = {0};
        (void)
            snprintf(answer, sizeof(answer),
                     "HTTP/1.1 429 Slow\r\ncontent-TYPE: application/json; charset=utf-8\r\nWarning: 299 - \"one\"\r\n"
                     "%s\r\nwarning: 299 - \"two\"\r\nContent-Length: 0\r\n\r\n",
                     CASES[i].header);
        bench.server.answer = answer;
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_ok(&asked, 429, "");
        if (asked.call.retry_after_ms < CASES[i].min_ms || asked.call.retry_after_ms > CASES[i].max_ms)
            fail_msg("%s: %lld ms", CASES[i].header, (long long)asked.call.retry_after_ms);
        assert_string_equal(asked.call.warning, "299 - \"one\"");
        assert_string_equal(asked.call.content_type, "application/json; charset=utf-8");
    }
    http_bench_done(&bench);
}

/* --- bounds --- */

#define GZIP_HELLO                                                                                                     \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00\x00\x00"
/* 64 KiB of zeros in 96 bytes. */
#define GZIP_ZEROS                                                                                                     \
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xed\xc1\x01\x01\x00\x00\x00\x80\x90\xfe\xaf\xee\x08\x0a"                 \
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"                 \
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"                 \
    "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x6a\xeb\x8e\x97\xd7\x00\x00\x01\x00"

/* A whole answer of bytes that may be zero. */
struct raw_answer {
    const char *bytes;
    size_t count;
};

static void send_raw(struct fake_server_connection *connection, void *context)
{
    const struct raw_answer *answer = context;
    fake_server_send_bytes(connection, answer->bytes, answer->count);
}

static void compressed_bodies_arrive_decoded_and_bounded(void **state)
{
    (void)state;
    static const char hello[] = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n" GZIP_HELLO;
    static const char zeros[] = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 96\r\n\r\n" GZIP_ZEROS;
    struct http_bench bench;
    struct raw_answer answer = {hello, sizeof(hello) - 1};
    struct asked asked = {0}, streamed = {.streams = true}, bomb = {.call.max_body_bytes = 1000};
    http_bench_open(&bench);
    bench.server.on_request = send_raw;
    bench.server.context = &answer;
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_ok(&asked, 200, "hello");
    http_bench_ask(&bench, &streamed, "/p");
    http_bench_expect_ok(&streamed, 200, "hello");
    answer = (struct raw_answer){zeros, sizeof(zeros) - 1};
    http_bench_ask(&bench, &bomb, "/p");
    http_bench_expect_error(&bomb, ERR_LIMIT, bench.url, ": the answer is larger than 1000 bytes");
    http_bench_ask(&bench, &streamed, "/p");
    assert_int_equal(streamed.error.code, ERR_OK);
    assert_int_equal(streamed.text_bytes, 65536);
    http_bench_done(&bench);
}

static void a_body_may_be_as_large_as_allowed_and_no_larger(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        size_t limit;
        bool fits;
    } CASES[] = {
        {FAKE_SERVER_OK, 5, true},
        {FAKE_SERVER_OK, 4, false},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 5, true},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", 4, false},
        {"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\nhello", 4, false},
    };
    struct http_bench bench;
    http_bench_open(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct asked asked = {.call.max_body_bytes = CASES[i].limit};
        bench.server.answer = CASES[i].answer;
        http_bench_ask(&bench, &asked, "/p");
        if (CASES[i].fits)
            http_bench_expect_ok(&asked, 200, "hello");
        else
            http_bench_expect_error(&asked, ERR_LIMIT, bench.url, "larger than 4 bytes");
    }
    http_bench_done(&bench);
}

static void a_path_too_long_is_refused_at_once(void **state)
{
    (void)state;
    struct http_bench bench;
    struct http_call call = {0};
    struct err error = {0};
    static char path[70000];
    memset(path, 'a', sizeof(path) - 1);
    path[0] = '/';
    call.path = path;
    http_bench_open(&bench);
    assert_int_equal(http_start(bench.origin, &call, &error), ERR_LIMIT);
    assert_int_equal(http_origin_in_flight(bench.origin), 0);
    http_cancel(&call); /* it never started */
    http_bench_done(&bench);
}

/* --- streaming --- */

static struct fake_server_connection *last_connection;

static void remember_connection(struct fake_server_connection *connection, void *context)
{
    (void)context;
    last_connection = connection;
    fake_server_send(connection, connection->server->answer);
}

#define CHUNKED "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"

static void a_stream_is_told_piece_by_piece(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.streams = true};
    http_bench_open(&bench);
    bench.server.on_request = remember_connection;
    bench.server.answer = CHUNKED;
    http_bench_start(&bench, &asked, "/watch");
    http_bench_run_for(&bench, 30);
    assert_int_equal(asked.heads, 1);
    assert_int_equal(asked.pieces, 0);
    assert_string_equal(asked.call.content_type, "application/json");
    fake_server_send(last_connection, "3\r\none\r\n");
    http_bench_run_for(&bench, 30);
    assert_string_equal(asked.text, "one");
    fake_server_send(last_connection, "3\r\ntwo\r\n5\r\nthree\r\n");
    http_bench_run_for(&bench, 30);
    assert_string_equal(asked.text, "onetwothree");
    assert_int_equal(asked.finished, 0);
    fake_server_send(last_connection, "0\r\n\r\n");
    http_bench_await(&bench, 1);
    http_bench_expect_ok(&asked, 200, "onetwothree");
    assert_int_equal(asked.heads, 1);
    assert_int_equal(asked.call.body.length, 0);
    http_bench_done(&bench);
}

static void what_came_before_the_break_is_delivered(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.streams = true};
    http_bench_open(&bench);
    bench.server.on_request = remember_connection;
    bench.server.answer = CHUNKED "3\r\none\r\n";
    http_bench_start(&bench, &asked, "/watch");
    http_bench_run_for(&bench, 30);
    fake_server_end_connections(&bench.server, false);
    http_bench_await(&bench, 1);
    assert_string_equal(asked.text, "one");
    http_bench_expect_error(&asked, ERR_CONNECT, bench.url, "");
    http_bench_done(&bench);
}

static void a_reader_may_refuse(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.streams = true, .refuses = ERR_PROTOCOL};
    http_bench_open(&bench);
    http_bench_ask(&bench, &asked, "/watch");
    http_bench_expect_error(&asked, ERR_PROTOCOL, "refused by the reader", "");
    assert_int_equal(asked.pieces, 1);
    http_bench_done(&bench);
}

static void a_streaming_call_collects_the_error_page(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.streams = true};
    static char page[200000];
    (void)snprintf(page, sizeof(page), "HTTP/1.1 410 Gone\r\nContent-Length: 150000\r\n\r\n");
    size_t head = strlen(page);
    memset(page + head, 'x', 150000);
    http_bench_open(&bench);
    bench.server.answer = "HTTP/1.1 410 Gone\r\nContent-Length: 7\r\n\r\nexpired";
    http_bench_ask(&bench, &asked, "/watch");
    http_bench_expect_ok(&asked, 410, "expired");
    assert_int_equal(asked.pieces + asked.heads, 0);
    bench.server.answer = page;
    http_bench_ask(&bench, &asked, "/watch");
    assert_int_equal(asked.error.code, ERR_OK);
    assert_int_equal(asked.text_bytes, 65536);
    assert_in_range(asked.call.received_bytes, 65536, 150000); /* the rest is not waited for */
    http_bench_done(&bench);
}

/* --- failures --- */

static void end_now(struct fake_server_connection *connection, void *context)
{
    const struct {
        const char *text;
        bool reset;
    } *how = context;
    if (how->text != NULL)
        fake_server_send(connection, how->text);
    fake_server_end(connection, how->reset);
}

static void a_broken_answer_says_how(void **state)
{
    (void)state;
    struct {
        const char *text;
        bool reset;
        enum err_code code;
        const char *says;
    } cases[] = {
        {NULL, false, ERR_CONNECT, "Empty reply from server"},
        {NULL, true, ERR_CONNECT, "Connection reset by peer"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", false, ERR_CONNECT, "5 bytes "},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n", false, ERR_CONNECT, ""},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", false, ERR_PROTOCOL, ""},
        {"SSH-2.0-OpenSSH_9.2\r\n", false, ERR_PROTOCOL, "HTTP/0.9"},
        {"HTTP/9.9 200 OK\r\n\r\n", false, ERR_PROTOCOL, ""},
        {"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello", false, ERR_PROTOCOL, ""},
    };
    struct http_bench bench;
    http_bench_open(&bench);
    bench.server.on_request = end_now;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct asked asked = {0};
        bench.server.context = &cases[i];
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_error(&asked, cases[i].code, bench.url, "");
        if (strstr(asked.error.text, cases[i].says) == NULL)
            fail_msg("case %zu: %s", i, asked.error.text);
    }
    http_bench_done(&bench);
}

static void a_refused_connection_is_told_in_the_system_s_words(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    http_bench_open(&bench);
    fake_server_stop(&bench.server, false);
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_error(&asked, ERR_CONNECT, bench.url, ": Connection refused");
    assert_string_equal(asked.call.peer, "");
    assert_int_equal(asked.call.status, 0);
    fake_server_start(&bench.server);
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_ok(&asked, 200, "hello");
    http_bench_done(&bench);
}

static void connecting_has_a_deadline_of_its_own(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    http_bench_init(&bench);
    bench.origin =
        http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url, .connect_timeout_ms = 200});
    fake_server_black_hole(&bench.server, true);
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_error(&asked, ERR_TIMEOUT, bench.url, "");
    assert_string_equal(asked.call.peer, "");
    fake_server_black_hole(&bench.server, false);
    http_bench_done(&bench);
}

static void no_answer(struct fake_server_connection *connection, void *context)
{
    (void)connection;
    (void)context;
}

static void a_call_has_a_deadline(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked mute = {.call.timeout_ms = 100}, unconnected = {.call.timeout_ms = 100},
                 dripping = {.call.timeout_ms = 100, .streams = true};
    http_bench_open(&bench);
    bench.server.on_request = no_answer;
    uint64_t began_us = loop_precise_us(bench.loop);
    http_bench_ask(&bench, &mute, "/p");
    assert_in_range(loop_precise_us(bench.loop) - began_us, 100000, 3000000);
    http_bench_expect_error(&mute, ERR_TIMEOUT, bench.url, ": no complete answer within 100 ms");
    assert_true(mute.call.peer[0] != '\0');
    bench.server.on_request = remember_connection;
    bench.server.answer = CHUNKED "3\r\none\r\n";
    http_bench_ask(&bench, &dripping, "/p");
    http_bench_expect_error(&dripping, ERR_TIMEOUT, bench.url, ": no complete answer within 100 ms");
    assert_int_equal(dripping.call.status, 200);
    fake_server_end_connections(&bench.server, false);
    fake_server_black_hole(&bench.server, true);
    http_bench_ask(&bench, &unconnected, "/p");
    http_bench_expect_error(&unconnected, ERR_TIMEOUT, bench.url, ": no connection within 100 ms");
    assert_int_equal(http_origin_in_flight(bench.origin), 0);
    http_bench_done(&bench);
}

static void silence_ends_a_call_and_every_byte_counts(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.call.idle_timeout_ms = 600, .streams = true};
    http_bench_open(&bench);
    bench.server.on_request = remember_connection;
    bench.server.answer = CHUNKED;
    http_bench_start(&bench, &asked, "/watch");
    for (int i = 0; i < 5; i++) {
        http_bench_run_for(&bench, 200);
        fake_server_send(last_connection, "1\r\n.\r\n");
    }
    assert_int_equal(asked.finished, 0); /* after 1,000 ms */
    http_bench_await(&bench, 1);
    http_bench_expect_error(&asked, ERR_TIMEOUT, bench.url, ": nothing received for 600 ms");
    assert_string_equal(asked.text, ".....");
    bench.server.on_request = no_answer;
    http_bench_ask(&bench, &asked, "/watch");
    http_bench_expect_error(&asked, ERR_TIMEOUT, bench.url, ": nothing received for 600 ms");
    http_bench_done(&bench);
}

/* --- connections --- */

enum { MANY = 8 };

struct stall {
    struct http_bench *bench;
    struct fake_server_connection *connection;
};

static void send_head_only(struct fake_server_connection *connection, void *context)
{
    ((struct stall *)context)->connection = connection;
    fake_server_send(connection, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
}

/* The next event is there, and the process stands still for longer than silence may last. */
static void stand_still(void *context)
{
    const struct stall *stall = context;
    struct timespec time = {.tv_nsec = 600 * 1000000};
    fake_server_send(stall->connection, "2\r\nhi\r\n");
    (void)nanosleep(&time, NULL);
}

static void send_the_end(void *context) { fake_server_send(((struct stall *)context)->connection, "0\r\n\r\n"); }

static void a_process_that_stood_still_listens_first(void **state)
{
    (void)state;
    struct http_bench bench;
    struct stall stall = {.bench = &bench};
    struct asked asked = {.call.idle_timeout_ms = 400, .streams = true};
    http_bench_open(&bench);
    struct loop_timer *stalls = loop_timer_new(bench.loop, stand_still, &stall);
    struct loop_timer *ends = loop_timer_new(bench.loop, send_the_end, &stall);
    bench.server.on_request = send_head_only;
    bench.server.context = &stall;
    http_bench_start(&bench, &asked, "/watch");
    while (asked.heads == 0)
        http_bench_run_for(&bench, 1);
    loop_timer_start(stalls, 0);
    while (asked.pieces == 0 && asked.finished == 0)
        http_bench_run_for(&bench, 1);
    loop_timer_start(ends, 0);
    if (asked.finished == 0)
        http_bench_await(&bench, 1);
    http_bench_expect_ok(&asked, 200, "hi");
    loop_timer_free(stalls);
    loop_timer_free(ends);
    http_bench_done(&bench);
}

/* ---- answers without an end ---- */

static void send_for_ever(struct fake_server_connection *connection, void *context)
{
    fake_server_send(connection, context);
}

/* @return new: `head`, and `piece` again and again. */
static char *make_endless(const char *head, const char *piece, size_t bytes)
{
    size_t length = strlen(head), part = strlen(piece);
    char *text = malloc(length + bytes + part + 1);
    assert_non_null(text);
    memcpy(text, head, length);
    for (size_t used = 0; used < bytes; used += part, length += part)
        memcpy(text + length, piece, part);
    text[length] = '\0';
    return text;
}

static void an_answer_without_an_end_ends(void **state)
{
    (void)state;
    static const struct {
        const char *head, *piece;
        bool streams;
        enum err_code code;
        int status;
        const char *words;
    } CASES[] = {
        {"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n", "4\r\nmore\r\n", true, ERR_OK, 500, ""},
        {"HTTP/1.1 403 No\r\nContent-Length: 999999999\r\n\r\n", "more", true, ERR_OK, 403, ""},
        {"HTTP/1.1 200 OK\r\n", "X-More: of it\r\n", true, ERR_LIMIT, 0, "headers are larger than 262144 bytes"},
        {"HTTP/1.1 200 OK\r\n", "X-More: of it\r\n", false, ERR_LIMIT, 0, "headers are larger than 262144 bytes"},
        {"", "HTTP/1.1 103 Early\r\nX: y\r\n\r\n", true, ERR_LIMIT, 0, "headers are larger than 262144 bytes"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct http_bench bench;
        struct asked asked = {.streams = CASES[i].streams};
        char *text = make_endless(CASES[i].head, CASES[i].piece, 1 << 20);
        http_bench_open(&bench);
        bench.server.on_request = send_for_ever;
        bench.server.context = text;
        http_bench_ask(&bench, &asked, "/list");
        if (asked.error.code != CASES[i].code || strstr(asked.error.text, CASES[i].words) == NULL)
            fail_msg("%zu: %s, \"%s\"", i, err_code_name(asked.error.code), asked.error.text);
        if (CASES[i].code == ERR_OK)
            assert_int_equal(asked.call.status, CASES[i].status);
        http_bench_done(&bench);
        free(text);
    }
}

static void calls_share_connections_up_to_the_limit(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked[MANY] = {0};
    http_bench_init(&bench);
    bench.origin = http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url, .max_connections = 3});
    for (size_t i = 0; i < MANY; i++) {
        asked[i].call.timeout_ms = 5000;
        http_bench_start(&bench, &asked[i], "/p");
    }
    assert_int_equal(http_origin_in_flight(bench.origin), MANY);
    http_bench_await(&bench, MANY);
    for (size_t i = 0; i < MANY; i++) {
        http_bench_expect_ok(&asked[i], 200, "hello");
        http_call_done(&asked[i].call);
    }
    assert_int_equal(bench.server.accepted, 3);
    http_bench_done(&bench);
}

static void answer_unless_watch(struct fake_server_connection *connection, void *context)
{
    (void)context;
    if (strncmp(connection->server->last_request, "GET /watch ", 11) == 0)
        fake_server_send(connection, CHUNKED);
    else
        fake_server_send(connection, FAKE_SERVER_OK);
}

static void watches_leave_the_others_their_connections(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked watches[MANY] = {0}, one = {.call.timeout_ms = 5000};
    http_bench_init(&bench);
    bench.origin = http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url, .max_connections = 1});
    bench.server.on_request = answer_unless_watch;
    for (size_t i = 0; i < MANY; i++) {
        watches[i].streams = true;
        http_bench_start(&bench, &watches[i], "/watch");
    }
    http_bench_ask(&bench, &one, "/p");
    http_bench_expect_ok(&one, 200, "hello");
    http_bench_run_for(&bench, 50);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(watches[i].heads, 1);
    for (size_t i = 0; i < MANY; i++)
        http_cancel(&watches[i].call);
    http_bench_ask(&bench, &one, "/p");
    http_bench_expect_ok(&one, 200, "hello");
    assert_int_equal(bench.server.accepted, MANY + 1);
    http_bench_done(&bench);
}

static unsigned open_connections(const struct http_bench *bench)
{
    unsigned count = 0;
    for (size_t i = 0; i < FAKE_SERVER_CONNECTIONS; i++)
        count += bench->server.connections[i].fd >= 0;
    return count;
}

/* But for those of watches, and what is used still. */
static void idle_connections_are_closed_when_asked(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked watch = {.streams = true}, asked[MANY] = {0}, last = {.call.timeout_ms = 5000};
    http_bench_init(&bench);
    bench.origin =
        http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url, .max_connections = MANY + 1});
    bench.server.on_request = answer_unless_watch;
    http_bench_start(&bench, &watch, "/watch");
    for (size_t i = 0; i < MANY; i++) {
        asked[i].call.timeout_ms = 5000;
        http_bench_start(&bench, &asked[i], "/p");
    }
    http_bench_await(&bench, MANY);
    http_origin_close_idle(bench.origin);
    http_bench_run_for(&bench, 50);
    unsigned before = open_connections(&bench); /* just used */
    assert_true(before > 2);
    assert_int_equal(before, bench.server.accepted);
    http_bench_run_for(&bench, 2100);
    http_origin_close_idle(bench.origin);
    http_origin_close_idle(bench.origin);
    http_bench_run_for(&bench, 50);
    assert_int_equal(open_connections(&bench), 1);
    assert_int_equal(watch.finished, 0);
    http_bench_ask(&bench, &last, "/p");
    http_bench_expect_ok(&last, 200, "hello");
    assert_int_equal(bench.server.accepted, before + 1);
    for (size_t i = 0; i < MANY; i++)
        http_call_done(&asked[i].call);
    http_call_done(&last.call);
    http_cancel(&watch.call);
    http_call_done(&watch.call);
    http_origin_close_idle(bench.origin); /* and at once the end */
    http_bench_done(&bench);
}

/* curl 7.88 keeps the buffer of a transfer that ends while it waits for a connection: such a handle is of no use any more. */
static void calls_that_waited_in_vain_spoil_nothing(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked[MANY] = {0}, one = {.call.timeout_ms = 5000};
    http_bench_init(&bench);
    bench.origin = http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url, .max_connections = 1});
    bench.server.on_request = no_answer;
    for (size_t i = 0; i < MANY; i++) {
        asked[i].call.timeout_ms = 100;
        http_bench_start(&bench, &asked[i], "/p");
    }
    http_bench_await(&bench, MANY);
    for (size_t i = 0; i < MANY; i++)
        assert_int_equal(asked[i].error.code, ERR_TIMEOUT);
    bench.server.on_request = NULL;
    for (size_t i = 0; i < MANY; i++) {
        http_bench_ask(&bench, &one, "/p");
        http_bench_expect_ok(&one, 200, "hello");
    }
    http_bench_done(&bench);
}

static void origins_share_nothing(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    http_bench_open(&bench);
    struct http_origin *other = http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url});
    http_bench_ask(&bench, &asked, "/p");
    http_bench_ask_on(&bench, other, &asked, "/p");
    assert_int_equal(bench.server.accepted, 2);
    http_origin_free(other);
    http_bench_run_for(&bench, 30);
    assert_int_equal(fake_server_open(&bench.server), 1);
    http_bench_ask(&bench, &asked, "/p");
    assert_int_equal(bench.server.accepted, 2);
    http_bench_done(&bench);
}

static void end_second_request(struct fake_server_connection *connection, void *context)
{
    if (connection->requests == 2)
        fake_server_end(connection, context != NULL);
    else
        fake_server_send(connection, FAKE_SERVER_OK);
}

/* The server closes a kept connection as the next request is on its way: nobody did anything wrong, and nobody should see it. */
static void a_kept_connection_that_died_is_replaced(void **state)
{
    (void)state;
    static const char *const METHODS[] = {"GET", "POST", "DELETE", "PATCH"};
    for (size_t i = 0; i < ARRAY_COUNT(METHODS) * 2; i++) {
        struct http_bench bench;
        struct asked first = {0}, second = {.call.method = METHODS[i / 2],
                                            .call.request_body = i / 2 == 1 ? "body" : NULL,
                                            .call.request_body_bytes = i / 2 == 1 ? 4 : 0};
        http_bench_open(&bench);
        bench.server.on_request = end_second_request;
        bench.server.context = i % 2 == 1 ? &bench : NULL; /* RST or FIN */
        http_bench_ask(&bench, &first, "/p");
        http_bench_ask(&bench, &second, "/p");
        http_bench_expect_ok(&second, 200, "hello");
        assert_int_equal(bench.server.accepted, 2);
        assert_int_equal(bench.server.requests, 3);
        http_bench_done(&bench);
    }
}

static unsigned questions, yeses;

static bool says_yes_at_first(const struct http_call *call)
{
    (void)call;
    return ++questions <= yeses;
}

/* Asked on a new connection, on a kept one, and again when a request is repeated; after a no the server has seen nothing. */
static void a_request_may_be_held_back_when_it_is_about_to_be_sent(void **state)
{
    (void)state;
    static const struct {
        unsigned before;     /* calls that leave a connection behind */
        unsigned yeses;      /* of the questions */
        unsigned questions;  /* asked in all */
        unsigned requests;   /* that the server has seen */
        bool lost, succeeds; /* the kept connection ends with the second request */
    } cases[] = {
        {0, 0, 1, 0, false, false}, {0, 1, 1, 1, false, true}, {1, 0, 1, 1, false, false},
        {1, 1, 1, 2, false, true},  {1, 2, 2, 3, true, true},  {1, 1, 2, 2, true, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct http_bench bench;
        struct asked first = {0}, guarded = {.call.method = "POST",
                                             .call.request_body = "body",
                                             .call.request_body_bytes = 4,
                                             .call.may_send = says_yes_at_first};
        questions = 0;
        yeses = cases[i].yeses;
        http_bench_open(&bench);
        if (cases[i].lost)
            bench.server.on_request = end_second_request;
        if (cases[i].before > 0)
            http_bench_ask(&bench, &first, "/p");
        http_bench_ask(&bench, &guarded, "/p");
        if (cases[i].succeeds)
            http_bench_expect_ok(&guarded, 200, "hello");
        else
            http_bench_expect_error(&guarded, ERR_CANCELLED, bench.url, "the request was not sent any more");
        assert_int_equal(questions, cases[i].questions);
        assert_int_equal(bench.server.requests, cases[i].requests);
        http_bench_done(&bench);
    }
}

static void an_idle_connection_that_ended_is_not_used(void **state)
{
    (void)state;
    for (int reset = 0; reset < 2; reset++) {
        struct http_bench bench;
        struct asked asked = {0};
        http_bench_open(&bench);
        http_bench_ask(&bench, &asked, "/p");
        fake_server_end_connections(&bench.server, reset != 0);
        http_bench_run_for(&bench, 20);
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_ok(&asked, 200, "hello");
        assert_int_equal(bench.server.accepted, 2);
        http_bench_done(&bench);
    }
}

/* The client's socket: the one in this process whose peer is the server. */
static int find_socket(uint16_t port)
{
    DIR *directory = opendir("/proc/self/fd");
    int found = -1;
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct sockaddr_in peer = {0};
        socklen_t length = sizeof(peer);
        int fd = (int)strtol(entry->d_name, NULL, 10);
        if (entry->d_name[0] != '.' && getpeername(fd, (struct sockaddr *)&peer, &length) == 0 &&
            peer.sin_family == AF_INET && ntohs(peer.sin_port) == port)
            found = fd;
    }
    (void)closedir(directory);
    return found;
}

static int option(int fd, int level, int name)
{
    int value = 0;
    socklen_t length = sizeof(value);
    assert_int_equal(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

/* What the kernel then does takes longer than a test should; it was measured to be so. */
static void dead_peers_are_noticed_by_the_kernel(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    http_bench_open(&bench);
    http_bench_ask(&bench, &asked, "/p");
    int fd = find_socket(bench.server.port);
    assert_true(fd >= 0);
    assert_int_equal(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    int idle_s = option(fd, IPPROTO_TCP, TCP_KEEPIDLE), interval_s = option(fd, IPPROTO_TCP, TCP_KEEPINTVL);
    assert_true(idle_s + interval_s * option(fd, IPPROTO_TCP, TCP_KEEPCNT) <= 45);
    assert_int_equal(option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT), 15000);
    http_bench_done(&bench);
}

/* --- cancelling --- */

static void a_cancelled_call_is_never_heard_of(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked early = {0}, waiting = {0}, streaming = {.streams = true}, other = {0};
    http_bench_open(&bench);
    bench.server.on_request = answer_unless_watch;
    http_cancel(&early.call); /* never started */
    http_bench_start(&bench, &early, "/p");
    http_cancel(&early.call);
    http_cancel(&early.call);
    http_bench_start(&bench, &streaming, "/watch");
    http_bench_run_for(&bench, 30);
    http_cancel(&streaming.call);
    bench.server.on_request = no_answer;
    http_bench_start(&bench, &waiting, "/p");
    http_bench_run_for(&bench, 30);
    http_cancel(&waiting.call);
    bench.server.on_request = NULL;
    http_bench_ask(&bench, &other, "/p");
    http_bench_run_for(&bench, 30);
    assert_int_equal(early.finished + waiting.finished + streaming.finished, 0);
    assert_int_equal(http_origin_in_flight(bench.origin), 0);
    assert_int_equal(fake_server_open(&bench.server), 1); /* the unfinished ones were closed */
    http_cancel(&other.call);                             /* done already */
    http_bench_done(&bench);
}

static void any_callback_may_cancel_any_call(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked a = {0}, b = {0}, c = {.streams = true, .early = true}, d = {.streams = true, .early = true};
    http_bench_open(&bench);
    /* Two that finish in the same turn: whichever is first ends the other. */
    a.cancels = &b;
    b.cancels = &a;
    http_bench_start(&bench, &a, "/p");
    http_bench_start(&bench, &b, "/p");
    http_bench_await(&bench, 1);
    http_bench_run_for(&bench, 30);
    assert_int_equal(a.finished + b.finished, 1);
    /* The same from data callbacks; what is left comes to its end. */
    c.cancels = &d;
    d.cancels = &c;
    http_bench_start(&bench, &c, "/p");
    http_bench_start(&bench, &d, "/p");
    http_bench_await(&bench, 1);
    http_bench_run_for(&bench, 30);
    assert_int_equal(c.finished + d.finished, 1);
    assert_int_equal(http_origin_in_flight(bench.origin), 0);
    http_cancel(&a.call);
    http_cancel(&b.call);
    http_bench_done(&bench);
}

static void a_data_callback_may_cancel_its_own_call(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.streams = true, .early = true}, next = {0};
    http_bench_open(&bench);
    asked.cancels = &asked;
    asked.starts = &next;
    http_bench_start(&bench, &asked, "/p");
    http_bench_await(&bench, 1);
    assert_int_equal(asked.finished, 0);
    assert_int_equal(asked.pieces, 1);
    http_bench_expect_ok(&next, 200, "hello");
    http_call_done(&next.call);
    http_bench_done(&bench);
}

static void a_finished_call_may_start_again_in_its_callback(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    http_bench_open(&bench);
    asked.starts = &asked;
    http_bench_start(&bench, &asked, "/p");
    http_bench_await(&bench, 2);
    assert_int_equal(asked.finished, 2);
    http_bench_expect_ok(&asked, 200, "hello");
    assert_int_equal(bench.server.accepted, 1);
    http_call_done(&asked.call);
    http_bench_done(&bench);
}

static void a_callback_may_free_the_origin(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct http_bench bench;
        struct asked asked = {.streams = true, .early = early != 0, .frees_origin = true}, others[MANY] = {0};
        http_bench_open(&bench);
        bench.server.on_request = answer_unless_watch;
        for (size_t i = 0; i < MANY; i++)
            http_bench_start(&bench, &others[i], i % 2 == 0 ? "/watch" : "/p");
        asked.call.timeout_ms = 5000;
        http_bench_start(&bench, &asked, "/p");
        http_bench_run_for(&bench, 100);
        assert_null(bench.origin);
        assert_int_equal(asked.finished, early != 0 ? 0 : 1);
        assert_int_equal(fake_server_open(&bench.server), 0);
        for (size_t i = 0; i < MANY; i++)
            http_call_done(&others[i].call);
        http_call_done(&asked.call);
        http_bench_done(&bench);
    }
}

static void a_deadline_s_callback_may_free_the_origin(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.call.timeout_ms = 50, .frees_origin = true}, other = {0};
    http_bench_open(&bench);
    bench.server.on_request = no_answer;
    http_bench_start(&bench, &other, "/p");
    http_bench_ask(&bench, &asked, "/p");
    assert_int_equal(asked.error.code, ERR_TIMEOUT);
    http_bench_run_for(&bench, 30);
    assert_int_equal(other.finished, 0);
    assert_int_equal(fake_server_open(&bench.server), 0);
    http_bench_done(&bench);
}

/* --- want of memory --- */

static enum err_code ask_all(void *context)
{
    struct http_bench *bench = context;
    struct asked one = {.call.timeout_ms = 5000,
                        .call.method = "PUT",
                        .call.request_body = "x",
                        .call.request_body_bytes = 1,
                        .call.headers = {"Accept: a/b"}};
    struct asked two = {.call.timeout_ms = 5000, .streams = true, .call.idle_timeout_ms = 4000};
    struct asked *const both[] = {&one, &two};
    struct err error = {0};
    struct http_origin *origin = NULL;
    enum err_code code =
        http_origin_new(bench->http, &(struct http_origin_config){.base_url = bench->url}, &origin, &error);
    if (code != ERR_OK)
        return code;
    bench->wanted = bench->finished;
    for (size_t i = 0; i < 2; i++) {
        http_bench_prepare(bench, both[i], "/p");
        code = http_start(origin, &both[i]->call, &error);
        if (code != ERR_OK)
            break;
        bench->wanted++;
    }
    if (bench->wanted > bench->finished)
        http_bench_await(bench, bench->wanted - bench->finished);
    for (size_t i = 0; i < 2 && code == ERR_OK; i++)
        code = both[i]->error.code;
    if (code == ERR_OK && (strcmp(one.text, "hello") != 0 || strcmp(two.text, "hello") != 0))
        code = ERR_INVALID;
    http_call_done(&one.call);
    http_call_done(&two.call);
    http_origin_free(origin);
    return code;
}

static void want_of_memory_is_told(void **state)
{
    (void)state;
    struct http_bench bench;
    http_bench_init(&bench);
    assert_true(sweep(ask_all, &bench) > 50);
    http_bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_carries_what_it_was_given),
        cmocka_unit_test(methods_and_bodies),
        cmocka_unit_test(a_large_body_is_sent_whole),
        cmocka_unit_test(a_head_request_waits_for_no_body),
        cmocka_unit_test(every_complete_answer_is_a_success),
        cmocka_unit_test(headers_of_interest_are_read),
        cmocka_unit_test(compressed_bodies_arrive_decoded_and_bounded),
        cmocka_unit_test(a_body_may_be_as_large_as_allowed_and_no_larger),
        cmocka_unit_test(a_path_too_long_is_refused_at_once),
        cmocka_unit_test(a_stream_is_told_piece_by_piece),
        cmocka_unit_test(what_came_before_the_break_is_delivered),
        cmocka_unit_test(a_reader_may_refuse),
        cmocka_unit_test(a_streaming_call_collects_the_error_page),
        cmocka_unit_test(a_broken_answer_says_how),
        cmocka_unit_test(a_refused_connection_is_told_in_the_system_s_words),
        cmocka_unit_test(connecting_has_a_deadline_of_its_own),
        cmocka_unit_test(a_call_has_a_deadline),
        cmocka_unit_test(silence_ends_a_call_and_every_byte_counts),
        cmocka_unit_test(a_process_that_stood_still_listens_first),
        cmocka_unit_test(an_answer_without_an_end_ends),
        cmocka_unit_test(calls_share_connections_up_to_the_limit),
        cmocka_unit_test(watches_leave_the_others_their_connections),
        cmocka_unit_test(idle_connections_are_closed_when_asked),
        cmocka_unit_test(calls_that_waited_in_vain_spoil_nothing),
        cmocka_unit_test(origins_share_nothing),
        cmocka_unit_test(a_kept_connection_that_died_is_replaced),
        cmocka_unit_test(a_request_may_be_held_back_when_it_is_about_to_be_sent),
        cmocka_unit_test(an_idle_connection_that_ended_is_not_used),
        cmocka_unit_test(dead_peers_are_noticed_by_the_kernel),
        cmocka_unit_test(a_cancelled_call_is_never_heard_of),
        cmocka_unit_test(any_callback_may_cancel_any_call),
        cmocka_unit_test(a_data_callback_may_cancel_its_own_call),
        cmocka_unit_test(a_finished_call_may_start_again_in_its_callback),
        cmocka_unit_test(a_callback_may_free_the_origin),
        cmocka_unit_test(a_deadline_s_callback_may_free_the_origin),
        cmocka_unit_test(want_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
