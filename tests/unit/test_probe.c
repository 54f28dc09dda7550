/* links: agent_net agent_loop health base fake_gateway.c */
#include "agent/net/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "fake_gateway.h"
#include "stalls.h"
#include "sweep.h"
#include "version.h"

enum {
    MAX_RESULTS = 64,
    PATIENCE_MS = 20000,
    NOISE_MS = 500, /* that a busy machine may add to a bound of ours */
};

static const char path[] = "-/ambassador/ready";

/* A prober and a gateway on one loop. */
struct bench {
    struct loop *loop;
    struct http *http;
    struct probe_link *link;
    struct fake_gateway gateway;
    struct loop_timer *patience, *pause;
    struct stalls stalls;
    struct {
        uint32_t id;
        struct probe_observation seen;
    } results[MAX_RESULTS];
    size_t count, wanted;
    const char *lost[MAX_RESULTS];
    size_t lost_count, lost_wanted;
    uint64_t lost_us; /* when the last was */
    bool free_on_result, free_on_lost;
    bool impatient;
};

static void on_patience(void *context)
{
    struct bench *bench = context;
    bench->impatient = true;
    loop_stop(bench->loop);
}

static void on_pause(void *context) { loop_stop(((struct bench *)context)->loop); }

static void free_link(struct bench *bench)
{
    probe_link_free(bench->link);
    bench->link = NULL;
}

static void on_result(void *context, uint32_t id, const struct probe_observation *seen)
{
    struct bench *bench = context;
    assert_non_null(bench->link); /* nothing after it was freed */
    assert_true(bench->count < MAX_RESULTS);
    bench->results[bench->count].id = id;
    bench->results[bench->count++].seen = *seen;
    if (bench->free_on_result)
        free_link(bench);
    if (bench->count == bench->wanted)
        loop_stop(bench->loop);
}

static void on_lost(void *context, const char *how)
{
    struct bench *bench = context;
    assert_non_null(bench->link);
    assert_true(bench->lost_count < MAX_RESULTS);
    bench->lost[bench->lost_count++] = how;
    bench->lost_us = loop_precise_us(bench->loop);
    if (bench->free_on_lost)
        free_link(bench);
    if (bench->lost_count == bench->lost_wanted)
        loop_stop(bench->loop);
}

static enum err_code connect_link(struct bench *bench, uint32_t timeout_ms)
{
    const struct probe_link_config config = {.ip = bench->gateway.v6 ? "::1" : "127.0.0.1",
                                             .port = bench->gateway.port,
                                             .path = path,
                                             .host = "gateway.example.com",
                                             .timeout_ms = timeout_ms};
    const struct probe_callbacks callbacks = {.on_result = on_result, .on_connection_lost = on_lost, .context = bench};
    return probe_link_new(bench->http, &config, &callbacks, &bench->link, NULL);
}

static void bench_init(struct bench *bench, uint32_t timeout_ms)
{
    memset(bench, 0, sizeof(*bench));
    bench->loop = loop_new();
    bench->http = http_new(bench->loop, NULL, NULL);
    bench->patience = loop_timer_new(bench->loop, on_patience, bench);
    bench->pause = loop_timer_new(bench->loop, on_pause, bench);
    stalls_init(&bench->stalls, bench->loop);
    fake_gateway_init(&bench->gateway, bench->loop, false);
    assert_int_equal(connect_link(bench, timeout_ms), ERR_OK);
}

static void bench_done(struct bench *bench)
{
    probe_link_free(bench->link);
    fake_gateway_done(&bench->gateway);
    stalls_done(&bench->stalls);
    loop_timer_free(bench->patience);
    loop_timer_free(bench->pause);
    http_free(bench->http);
    loop_free(bench->loop);
}

static uint32_t send_probe(struct bench *bench)
{
    uint32_t id = 0;
    assert_int_equal(probe_link_send(bench->link, &id, NULL), ERR_OK);
    return id;
}

static void run(struct bench *bench)
{
    loop_timer_start(bench->patience, PATIENCE_MS);
    loop_run(bench->loop);
    loop_timer_stop(bench->patience);
    if (bench->impatient)
        fail_msg("nothing happened for %d ms", PATIENCE_MS);
}

static void run_for(struct bench *bench, uint64_t ms)
{
    bench->wanted = bench->lost_wanted = 0;
    loop_timer_start(bench->pause, ms);
    run(bench);
}

static void await_results(struct bench *bench, size_t more)
{
    bench->wanted = bench->count + more;
    run(bench);
}

static void await_lost(struct bench *bench)
{
    bench->wanted = 0;
    bench->lost_wanted = bench->lost_count + 1;
    run(bench);
}

/* Sends one and waits for it. */
static const struct probe_observation *probe(struct bench *bench)
{
    uint32_t id = send_probe(bench);
    await_results(bench, 1);
    assert_int_equal(bench->results[bench->count - 1].id, id);
    return &bench->results[bench->count - 1].seen;
}

static enum probe_reason diagnose(const struct probe_observation *seen)
{
    return diagnosis_of(seen, "/-/ambassador/ready");
}

/* --- what is sent, what is read --- */

static void a_good_answer_is_read_and_the_request_is_exact(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    const struct probe_observation *seen = probe(&bench);
    assert_int_equal(seen->end, PROBE_ANSWERED);
    assert_int_equal(seen->status, 200);
    assert_string_equal(seen->server, "envoy");
    assert_true(seen->upstream_time_header);
    assert_int_equal(seen->body_bytes, 32);
    assert_string_equal(seen->body, "Ambassador is ready and waiting ");
    assert_string_equal(seen->detail, "");
    assert_in_range(seen->latency_us, 1, 900000);
    assert_int_equal(diagnose(seen), REASON_OK);
    assert_string_equal(bench.gateway.last_request, "GET /-/ambassador/ready HTTP/1.1\r\n"
                                                    "Host: gateway.example.com\r\n"
                                                    "User-Agent: svcmirror/" SVCMIRROR_VERSION "\r\n"
                                                    "Accept: */*\r\n\r\n");
    bench_done(&bench);
}

static void the_connection_is_kept_and_used_again(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    assert_int_equal(probe(&bench)->end, PROBE_ANSWERED);
    uint16_t port = bench.gateway.last_port;
    for (unsigned i = 0; i < 5; i++) {
        run_for(&bench, 20);
        assert_int_equal(diagnose(probe(&bench)), REASON_OK);
        assert_int_equal(bench.gateway.last_port, port);
    }
    assert_int_equal(bench.gateway.accepted, 1);
    assert_int_equal(bench.gateway.requests, 6);
    assert_int_equal(bench.lost_count, 0);
    bench_done(&bench);
}

static void both_address_families_work(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    struct fake_gateway *gateway = &bench.gateway;
    fake_gateway_done(gateway);
    fake_gateway_init(gateway, bench.loop, true);
    if (gateway->listen_fd >= 0) { /* not every machine has IPv6 */
        free_link(&bench);
        assert_int_equal(connect_link(&bench, 1000), ERR_OK);
        assert_int_equal(diagnose(probe(&bench)), REASON_OK);
        assert_int_equal(diagnose(probe(&bench)), REASON_OK);
        assert_int_equal(gateway->accepted, 1);
        fake_gateway_end_connections(gateway, FAKE_CLOSE);
        await_lost(&bench);
        assert_string_equal(bench.lost[0], "closed");
    }
    bench_done(&bench);
}

static void answers_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        size_t repeat;
        enum fake_end end;
        enum probe_end how;
        enum probe_reason reason;
        bool kept;
    } cases[] = {
        {"HTTP/1.1 404 Not Found\r\nserver: envoy\r\ncontent-length: 0\r\n\r\n", 0, FAKE_KEEP, PROBE_ANSWERED,
         REASON_NO_ROUTE, true},
        {"HTTP/1.1 301 Moved\r\nServer:envoy\r\nLocation:  https://127.0.0.1/-/ambassador/ready \r\nContent-Length: "
         "0\r\n\r\n",
         0, FAKE_KEEP, PROBE_ANSWERED, REASON_INSECURE_REDIRECT, true},
        {"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/x\r\ncontent-length: 0\r\n\r\n", 0, FAKE_KEEP,
         PROBE_ANSWERED, REASON_REDIRECT, true},
        {"HTTP/1.1 100 Continue\r\nserver: a\r\n\r\nHTTP/1.1 503 Unavailable\r\ncontent-length: 19\r\n\r\nno healthy "
         "upstream",
         0, FAKE_KEEP, PROBE_ANSWERED, REASON_UPSTREAM_NONE, true},
        {"HTTP/1.1 200 OK\r\nserver: envoy\r\ntransfer-encoding: chunked\r\n\r\n"
         "b\r\nAmbassador \r\n15\r\nis ready and waiting\n\r\n0\r\nserver: x\r\n\r\n",
         0, FAKE_KEEP, PROBE_ANSWERED, REASON_OK, true},
        {"HTTP/1.0 200 OK\r\n\r\nAmbassador is ready and waiting\n", 0, FAKE_CLOSE, PROBE_ANSWERED, REASON_OK, false},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx", 0, FAKE_CLOSE, PROBE_ANSWERED,
         REASON_OK_OTHER_BODY, false},
        /* Cut short after the headers: the status is known. */
        {"HTTP/1.1 503 Unavailable\r\ncontent-length: 100\r\n\r\nnot ready", 0, FAKE_CLOSE, PROBE_ANSWERED,
         REASON_NOT_READY, false},
        {"HTTP/1.1 200 OK\r\nserver: en", 0, FAKE_CLOSE, PROBE_CLOSED, REASON_CLOSED, false},
        {"HTTP/1.1 200 OK\r\nserver: envoy\r\n", 0, FAKE_CLOSE, PROBE_CLOSED, REASON_CLOSED, false},
        {"HTTP/1.1 2", 0, FAKE_CLOSE, PROBE_CLOSED, REASON_CLOSED, false},
        {NULL, 0, FAKE_CLOSE, PROBE_CLOSED, REASON_CLOSED, false},
        {NULL, 0, FAKE_RESET, PROBE_RESET, REASON_RESET, false},
        {"SSH-2.0-OpenSSH_9.2p1\r\n", 0, FAKE_KEEP, PROBE_NOT_HTTP, REASON_NOT_HTTP, false},
        {"HTTP/9.9 what\r\n\r\n", 0, FAKE_KEEP, PROBE_NOT_HTTP, REASON_NOT_HTTP, false},
        {"\x05\x01\x02\x03", 0, FAKE_CLOSE, PROBE_NOT_HTTP, REASON_NOT_HTTP, false},
        {"HTTP/1.1 200 OK\r\nx: y", 10 << 20, FAKE_KEEP, PROBE_NOT_HTTP, REASON_NOT_HTTP,
         false}, /* a header without an end */
        {"HTTP/1.1 200 OK\r\n\r\nx", 10 << 20, FAKE_CLOSE, PROBE_ANSWERED, REASON_OK_OTHER_BODY, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10485761\r\n\r\nx", 10 << 20, FAKE_KEEP, PROBE_ANSWERED,
         REASON_OK_OTHER_BODY, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct bench bench;
        bench_init(&bench, 3000);
        bench.gateway.answer = cases[i].answer;
        bench.gateway.answer_repeat = cases[i].repeat;
        bench.gateway.end = cases[i].end;
        const struct probe_observation *seen = probe(&bench);
        if (seen->end != cases[i].how || diagnose(seen) != cases[i].reason)
            fail_msg("case %zu: end %d, %s, \"%s\"", i, (int)seen->end, probe_reason_name(diagnose(seen)),
                     seen->detail);
        if (seen->end != PROBE_ANSWERED)
            assert_string_not_equal(seen->detail, "");
        assert_int_equal(seen->body_truncated, cases[i].repeat > 0 && cases[i].how == PROBE_ANSWERED);
        assert_true(seen->body_bytes < PROBE_BODY_BYTES + 100000);
        run_for(&bench, 30);
        for (unsigned rounds = 0; rounds < 100 && fake_gateway_open(&bench.gateway) > cases[i].kept; rounds++)
            run_for(&bench, 30); /* its end is on its way */
        if (fake_gateway_open(&bench.gateway) != cases[i].kept)
            fail_msg("case %zu: %u connections are open", i, fake_gateway_open(&bench.gateway));
        assert_int_equal(bench.lost_count, 0);       /* what curl closed is no news */
        assert_int_equal(bench.gateway.requests, 1); /* and nothing is followed or tried again */
        bench_done(&bench);
    }
}

static void texts_from_the_gateway_are_made_printable(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    bench.gateway.answer = "HTTP/1.1 500 x\r\nserver: a\x1b[31m\xc3\xa9\r\ncontent-length: 8\r\n\r\n1\n2\t\x01\xff\x7f"
                           "3";
    const struct probe_observation *seen = probe(&bench);
    assert_string_equal(seen->server, "a?[31m??");
    assert_string_equal(seen->body, "1 2 ???3");
    bench_done(&bench);
}

static void a_refused_connection_is_told(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    fake_gateway_stop(&bench.gateway, FAKE_CLOSE);
    const struct probe_observation *seen = probe(&bench);
    assert_int_equal(diagnose(seen), REASON_REFUSED);
    assert_true(seen->latency_us < 500000);
    bench_done(&bench);
}

static void tls_on_the_port_is_told(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    static const char alert[] = "\x15\x03\x03\0\x02\x02\x28";
    bench.gateway.to_tls = alert;
    bench.gateway.to_tls_bytes = sizeof(alert) - 1;
    bench.gateway.end = FAKE_CLOSE;
    /* Most close without a word, some send an alert: a handshake beside the probes names the next failure. */
    static const char *const words[] = {NULL, "\x15\x03\x01\x01\x02\x02\x46"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        bench.gateway.answer = words[i];
        unsigned before = bench.gateway.accepted;
        assert_int_equal(diagnose(probe(&bench)), words[i] == NULL ? REASON_CLOSED : REASON_NOT_HTTP);
        run_for(&bench, 100);
        assert_int_equal(diagnose(probe(&bench)), REASON_TLS_ON_PORT);
        assert_int_equal(diagnose(probe(&bench)), REASON_TLS_ON_PORT);
        assert_int_equal(bench.gateway.accepted, before + 4); /* one handshake for all failures in a row */
        bench.gateway.answer = FAKE_OK;
        assert_int_equal(diagnose(probe(&bench)), REASON_OK);
    }
    bench.gateway.answer = NULL;
    bench.gateway.to_tls_bytes = 0;
    assert_int_equal(diagnose(probe(&bench)), REASON_CLOSED); /* forgotten */
    run_for(&bench, 100);
    assert_int_equal(diagnose(probe(&bench)), REASON_CLOSED); /* no TLS there any more */
    bench_done(&bench);
}

/* --- time --- */

static void a_slow_answer_has_the_configured_time(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 10000);
    bench.gateway.delay_ms = 2000; /* longer than connecting may take, or data be unacknowledged */
    bench.gateway.answer =
        "HTTP/1.1 504 Gateway Timeout\r\nserver: envoy\r\ncontent-length: 24\r\n\r\nupstream request timeout";
    const struct probe_observation *seen = probe(&bench);
    assert_int_equal(diagnose(seen), REASON_UPSTREAM_TIMEOUT);
    assert_true(seen->latency_us >= 2000000);
    assert_int_equal(bench.lost_count, 0); /* a slow answer is not late */
    bench_done(&bench);
}

static void no_answer_ends_at_the_configured_time(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 300);
    bench.gateway.answer = NULL;
    struct moment began = stalls_now(&bench.stalls);
    const struct probe_observation *seen = probe(&bench);
    assert_int_equal(diagnose(seen), REASON_ANSWER_TIMEOUT);
    assert_string_equal(seen->detail, "no answer within 300 ms");
    stalls_expect(&bench.stalls, began, 300, 300 + NOISE_MS);
    run_for(&bench, 20);
    assert_int_equal(fake_gateway_open(&bench.gateway), 0);
    bench_done(&bench);
}

static void a_body_that_does_not_come_does_not_hold_up_the_status(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 30000);
    bench.gateway.answer = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf";
    struct moment began = stalls_now(&bench.stalls);
    const struct probe_observation *seen = probe(&bench);
    assert_int_equal(diagnose(seen), REASON_OK_OTHER_BODY);
    assert_true(seen->latency_us < 500000);
    stalls_expect(&bench.stalls, began, PROBE_BODY_MS, PROBE_BODY_MS + NOISE_MS);
    bench_done(&bench);
}

static void an_answer_that_came_while_the_loop_was_busy_counts(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 600);
    (void)probe(&bench);
    bench.gateway.delay_ms = 5000;
    (void)send_probe(&bench);
    run_for(&bench, 20); /* the request is with the gateway */
    bench.gateway.delay_ms = 0;
    for (size_t i = 0; i < FAKE_CONNECTIONS; i++)
        if (bench.gateway.connections[i].fd >= 0)
            loop_timer_stop(bench.gateway.connections[i].timer);
    fake_gateway_blurt(&bench.gateway, FAKE_OK);
    struct moment began = stalls_now(&bench.stalls);
    while (stalls_real_ms(&bench.stalls, began) < 900)
        ; /* busy past the bound */
    await_results(&bench, 1);
    assert_int_equal(diagnose(&bench.results[bench.count - 1].seen), REASON_OK);
    bench_done(&bench);
}

static void a_black_hole_is_news_first_and_a_timeout_then(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 30000);
    fake_gateway_black_hole(&bench.gateway, true);
    struct moment began = stalls_now(&bench.stalls);
    (void)send_probe(&bench);
    await_lost(&bench);
    assert_string_equal(bench.lost[0], "late");
    stalls_expect(&bench.stalls, began, PROBE_LATE_MS, PROBE_LATE_MS + NOISE_MS);
    bench.lost_wanted = 0;
    await_results(&bench, 1);
    stalls_expect(&bench.stalls, began, PROBE_CONNECT_MS, PROBE_CONNECT_MS + NOISE_MS);
    assert_int_equal(diagnose(&bench.results[0].seen), REASON_CONNECT_TIMEOUT);
    assert_int_equal(bench.lost_count, 1);
    fake_gateway_black_hole(&bench.gateway, false);
    assert_int_equal(diagnose(probe(&bench)), REASON_OK);
    bench_done(&bench);
}

static void a_black_hole_under_a_kept_connection_is_news_too(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 30000);
    assert_int_equal(diagnose(probe(&bench)), REASON_OK);
    fake_gateway_black_hole(&bench.gateway, true);
    struct moment began = stalls_now(&bench.stalls);
    (void)send_probe(&bench);
    await_lost(&bench);
    assert_string_equal(bench.lost[0], "late");
    stalls_expect(&bench.stalls, began, PROBE_LATE_MS, PROBE_LATE_MS + NOISE_MS);
    bench.lost_wanted = 0;
    await_results(&bench, 1);
    /* curl tries once more on a fresh connection. */
    stalls_expect(&bench.stalls, began, PROBE_SILENCE_MS, PROBE_SILENCE_MS + PROBE_CONNECT_MS + NOISE_MS);
    enum probe_reason reason = diagnose(&bench.results[1].seen);
    assert_true(reason == REASON_SILENT || reason == REASON_CONNECT_TIMEOUT);
    assert_int_equal(bench.lost_count, 1);
    bench_done(&bench);
}

/* --- news about the idle connection --- */

static void the_end_of_the_idle_connection_is_news_at_once(void **state)
{
    (void)state;
    static const struct {
        enum fake_end end;
        const char *how;
    } cases[] = {{FAKE_CLOSE, "closed"}, {FAKE_RESET, "reset"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct bench bench;
        bench_init(&bench, 1000);
        assert_int_equal(diagnose(probe(&bench)), REASON_OK);
        run_for(&bench, 50);
        struct moment began = stalls_now(&bench.stalls);
        fake_gateway_end_connections(&bench.gateway, cases[i].end);
        await_lost(&bench);
        assert_string_equal(bench.lost[0], cases[i].how);
        stalls_expect(&bench.stalls, began, 0, NOISE_MS);
        /* It is told once, and the next probe takes a fresh connection. */
        run_for(&bench, 50);
        assert_int_equal(bench.lost_count, 1);
        assert_int_equal(diagnose(probe(&bench)), REASON_OK);
        assert_int_equal(bench.gateway.accepted, 2);
        fake_gateway_end_connections(&bench.gateway, cases[i].end);
        await_lost(&bench); /* which is watched in turn */
        bench_done(&bench);
    }
}

static void silence_on_the_idle_connection_is_news_within_two_seconds_or_so(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    assert_int_equal(diagnose(probe(&bench)), REASON_OK);
    fake_gateway_black_hole(&bench.gateway, true);
    struct moment began = stalls_now(&bench.stalls);
    await_lost(&bench);
    assert_string_equal(bench.lost[0], "silent");
    stalls_expect(&bench.stalls, began, 900, 2500);
    bench_done(&bench);
}

static void bytes_that_nobody_asked_for_are_news(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    assert_int_equal(diagnose(probe(&bench)), REASON_OK);
    fake_gateway_blurt(&bench.gateway, "HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n");
    await_lost(&bench);
    assert_int_equal(diagnose(probe(&bench)), REASON_OK); /* not taken for the answer */
    bench_done(&bench);
}

static void a_connection_that_ends_with_its_answer_is_no_news_of_death(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    bench.gateway.end = FAKE_CLOSE; /* without saying so */
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(diagnose(probe(&bench)), REASON_OK);
    for (size_t i = 0; i < bench.lost_count; i++)
        assert_string_equal(bench.lost[i], "closed");
    assert_true(bench.lost_count <= 5);
    bench_done(&bench);
}

/* The race that would call an answering gateway dead: it closes the kept connection just as the next request comes. */
static void a_kept_connection_that_ends_under_the_request_is_no_failure(void **state)
{
    (void)state;
    static const enum fake_end ends[] = {FAKE_CLOSE, FAKE_RESET};
    for (size_t i = 0; i < sizeof(ends) / sizeof(*ends); i++) {
        struct bench bench;
        bench_init(&bench, 1000);
        assert_int_equal(diagnose(probe(&bench)), REASON_OK);
        bench.gateway.end_at_request = 2;
        bench.gateway.end = ends[i];
        (void)send_probe(&bench);
        await_results(&bench, 1);
        assert_int_equal(diagnose(&bench.results[1].seen), REASON_OK);
        assert_int_equal(bench.gateway.requests, 3); /* the second of them unanswered */
        assert_int_equal(bench.gateway.accepted, 2);
        bench_done(&bench);
    }
}

/* --- overlap --- */

static void overlapping_probes_leave_one_connection(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 10000);
    bench.gateway.delay_ms = 1000; /* time to send all */
    uint32_t ids[5];
    for (unsigned i = 0; i < 5; i++) {
        ids[i] = send_probe(&bench);
        run_for(&bench, 20);
    }
    if (bench.count < 5)
        await_results(&bench, 5 - (unsigned)bench.count); /* on a busy machine some are there already */
    for (unsigned i = 0; i < 5; i++) {
        unsigned at = 0; /* in any order: a busy machine accepts and answers several at once */
        while (at < 5 && bench.results[at].id != ids[i])
            at++;
        assert_true(at < 5);
        assert_int_equal(diagnose(&bench.results[at].seen), REASON_OK);
    }
    assert_int_equal(bench.gateway.accepted, 5);
    run_for(&bench, 50);
    assert_int_equal(fake_gateway_open(&bench.gateway), 1);
    assert_int_equal(bench.lost_count, 0);
    bench.gateway.delay_ms = 0;
    assert_int_equal(diagnose(probe(&bench)), REASON_OK);
    assert_int_equal(bench.gateway.accepted, 5); /* the one that is left */
    fake_gateway_end_connections(&bench.gateway, FAKE_CLOSE);
    await_lost(&bench);
    bench_done(&bench);
}

static void a_slow_probe_does_not_take_the_kept_connection_from_others(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 60000);
    bench.gateway.answer = NULL;
    (void)send_probe(&bench); /* hangs all the time */
    run_for(&bench, 20);
    bench.gateway.answer = FAKE_OK;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(diagnose(probe(&bench)), REASON_OK);
    assert_int_equal(bench.gateway.accepted, 2);
    assert_int_equal(fake_gateway_open(&bench.gateway), 2);
    fake_gateway_end_connections(&bench.gateway, FAKE_RESET);
    run_for(&bench, 50);
    assert_int_equal(bench.lost_count, 1);
    assert_int_equal(bench.count, 4);
    assert_int_equal(diagnose(&bench.results[3].seen), REASON_RESET);
    bench_done(&bench);
}

static void of_too_many_one_in_the_middle_is_given_up(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 60000);
    bench.gateway.answer = NULL;
    uint32_t ids[PROBE_MAX_OVERLAP + 2];
    for (unsigned i = 0; i < PROBE_MAX_OVERLAP + 2; i++) {
        ids[i] = send_probe(&bench);
        run_for(&bench, 10);
    }
    run_for(&bench, 20);
    assert_int_equal(bench.count, 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(diagnose(&bench.results[i].seen), REASON_INTERNAL);
        for (unsigned j = 0; j < 4; j++) {
            assert_int_not_equal(bench.results[i].id, ids[j]);
            assert_int_not_equal(bench.results[i].id, ids[PROBE_MAX_OVERLAP + 1 - j]);
        }
    }
    assert_int_equal(fake_gateway_open(&bench.gateway), PROBE_MAX_OVERLAP);
    /* Faster than results can be given: a clear limit. */
    uint32_t id = 0;
    for (unsigned i = PROBE_MAX_OVERLAP; i < PROBE_MAX_UNREPORTED; i++)
        assert_int_equal(probe_link_send(bench.link, &id, NULL), ERR_OK);
    assert_int_equal(probe_link_send(bench.link, &id, NULL), ERR_LIMIT);
    await_results(&bench, PROBE_MAX_UNREPORTED - PROBE_MAX_OVERLAP);
    bench_done(&bench);
}

/* --- ending it --- */

static void a_link_may_be_freed_in_its_callbacks(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    bench.free_on_result = true;
    (void)send_probe(&bench);
    (void)send_probe(&bench);
    await_results(&bench, 1);
    run_for(&bench, 20);
    assert_int_equal(bench.count, 1);
    assert_int_equal(fake_gateway_open(&bench.gateway), 0);
    bench_done(&bench);

    bench_init(&bench, 300); /* in the callback of a timer */
    bench.gateway.answer = NULL;
    bench.free_on_result = true;
    (void)send_probe(&bench);
    await_results(&bench, 1);
    bench_done(&bench);

    bench_init(&bench, 1000);
    bench.free_on_lost = true;
    (void)probe(&bench);
    fake_gateway_end_connections(&bench.gateway, FAKE_CLOSE);
    await_lost(&bench);
    bench_done(&bench);

    bench_init(&bench, 1000); /* late */
    bench.free_on_lost = true;
    fake_gateway_black_hole(&bench.gateway, true);
    (void)send_probe(&bench);
    await_lost(&bench);
    bench_done(&bench);
}

static void a_link_may_be_freed_at_any_moment(void **state)
{
    (void)state;
    for (uint64_t ms = 0; ms < 8; ms++) {
        struct bench bench;
        bench_init(&bench, 1000);
        bench.gateway.delay_ms = (uint32_t)ms % 4;
        bench.gateway.end = ms % 2 == 0 ? FAKE_CLOSE : FAKE_KEEP;
        for (unsigned i = 0; i < 3; i++)
            (void)send_probe(&bench);
        run_for(&bench, ms);
        size_t before = bench.count;
        free_link(&bench);
        run_for(&bench, 10);
        assert_int_equal(bench.count, before);
        assert_int_equal(fake_gateway_open(&bench.gateway), 0);
        bench_done(&bench);
    }
    probe_link_free(NULL);
}

/* --- bad configuration, no memory --- */

static void what_cannot_be_sent_is_refused(void **state)
{
    (void)state;
    char long_path[2000], long_host[600];
    memset(long_path, 'a', sizeof(long_path));
    long_path[sizeof(long_path) - 1] = '\0';
    memset(long_host, 'a', sizeof(long_host));
    long_host[sizeof(long_host) - 1] = '\0';
    const struct probe_link_config cases[] = {
        {.ip = "gateway", .port = 80, .path = "/", .host = "h"},
        {.ip = "127.0.0.1", .port = 0, .path = "/", .host = "h"},
        {.ip = "127.0.0.1", .port = 80, .path = "a b", .host = "h"},
        {.ip = "127.0.0.1", .port = 80, .path = long_path, .host = "h"},
        {.ip = "127.0.0.1", .port = 80, .path = "/", .host = "h\r\nX: y"},
        {.ip = "127.0.0.1", .port = 80, .path = "/", .host = long_host},
    };
    struct bench bench;
    bench_init(&bench, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct err error = {0};
        struct probe_link *link = NULL;
        assert_int_equal(probe_link_new(bench.http, &cases[i], &(struct probe_callbacks){0}, &link, &error),
                         ERR_INVALID);
        assert_string_not_equal(error.text, "");
        assert_null(link);
    }
    bench_done(&bench);
}

static void no_descriptor_to_spare_says_nothing_about_the_gateway(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int first_free = dup(0);
    (void)close(first_free);
    none = (struct rlimit){.rlim_cur = (rlim_t)first_free, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const struct probe_observation *seen = probe(&bench);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(diagnose(seen), REASON_INTERNAL);
    assert_string_equal(seen->detail, "socket: Too many open files");
    assert_int_equal(diagnose(probe(&bench)), REASON_OK);
    bench_done(&bench);
}

struct one_result {
    struct loop *loop;
    struct loop_timer *patience;
    bool done;
    enum probe_end end;
};

static void on_one_result(void *context, uint32_t id, const struct probe_observation *seen)
{
    (void)id;
    struct one_result *one = context;
    one->done = true;
    one->end = seen->end;
    loop_stop(one->loop);
}

static void on_nothing_lost(void *context, const char *how)
{
    (void)context;
    (void)how;
}

static void on_no_result(void *context) { loop_stop(((struct one_result *)context)->loop); }

/* Whatever allocation fails: an error, a probe that says it was our own fault, or a good probe. */
static enum err_code probe_once(void *context)
{
    struct bench *bench = context;
    struct probe_link *link = NULL;
    struct one_result one = {.loop = bench->loop};
    const struct probe_link_config config = {
        .ip = "127.0.0.1", .port = bench->gateway.port, .path = path, .host = "h", .timeout_ms = 300};
    const struct probe_callbacks callbacks = {.on_result = on_one_result,
                                              .on_connection_lost = on_nothing_lost,
                                              .context = &one};
    uint32_t id = 0;
    TRY(probe_link_new(bench->http, &config, &callbacks, &link, NULL));
    enum err_code code = probe_link_send(link, &id, NULL);
    one.patience = loop_timer_new(bench->loop, on_no_result, &one);
    if (code == ERR_OK && one.patience != NULL) {
        loop_timer_start(one.patience, 3000);
        loop_run(bench->loop);
        if (!one.done)
            fail_msg("a probe without an end");
        if (one.end != PROBE_ANSWERED && one.end != PROBE_INTERNAL)
            fail_msg("want of memory is taken for end %d of the gateway", (int)one.end);
        code = one.end == PROBE_ANSWERED ? ERR_OK : ERR_NOMEM;
    }
    loop_timer_free(one.patience);
    probe_link_free(link);
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, 1000);
    free_link(&bench);
    print_message("%lu allocations\n", sweep(probe_once, &bench));
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_answer_is_read_and_the_request_is_exact),
        cmocka_unit_test(the_connection_is_kept_and_used_again),
        cmocka_unit_test(both_address_families_work),
        cmocka_unit_test(answers_are_told_apart),
        cmocka_unit_test(texts_from_the_gateway_are_made_printable),
        cmocka_unit_test(a_refused_connection_is_told),
        cmocka_unit_test(tls_on_the_port_is_told),
        cmocka_unit_test(a_slow_answer_has_the_configured_time),
        cmocka_unit_test(no_answer_ends_at_the_configured_time),
        cmocka_unit_test(a_body_that_does_not_come_does_not_hold_up_the_status),
        cmocka_unit_test(an_answer_that_came_while_the_loop_was_busy_counts),
        cmocka_unit_test(a_black_hole_is_news_first_and_a_timeout_then),
        cmocka_unit_test(a_black_hole_under_a_kept_connection_is_news_too),
        cmocka_unit_test(the_end_of_the_idle_connection_is_news_at_once),
        cmocka_unit_test(silence_on_the_idle_connection_is_news_within_two_seconds_or_so),
        cmocka_unit_test(bytes_that_nobody_asked_for_are_news),
        cmocka_unit_test(a_connection_that_ends_with_its_answer_is_no_news_of_death),
        cmocka_unit_test(a_kept_connection_that_ends_under_the_request_is_no_failure),
        cmocka_unit_test(overlapping_probes_leave_one_connection),
        cmocka_unit_test(a_slow_probe_does_not_take_the_kept_connection_from_others),
        cmocka_unit_test(of_too_many_one_in_the_middle_is_given_up),
        cmocka_unit_test(a_link_may_be_freed_in_its_callbacks),
        cmocka_unit_test(a_link_may_be_freed_at_any_moment),
        cmocka_unit_test(what_cannot_be_sent_is_refused),
        cmocka_unit_test(no_descriptor_to_spare_says_nothing_about_the_gateway),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
