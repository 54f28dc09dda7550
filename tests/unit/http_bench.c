#include "http_bench.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"

static void on_patience(void *context)
{
    struct http_bench *bench = context;
    bench->impatient = true;
    loop_stop(bench->loop);
}

static void on_pause(void *context) { loop_stop(((struct http_bench *)context)->loop); }

/* Whoever runs the tests may have a proxy. */
static void forget_proxies(void)
{
    static const char *const NAMES[] = {"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy",
                                        "NO_PROXY",    "no_proxy",    "ALL_PROXY",  "all_proxy"};
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        (void)unsetenv(NAMES[i]);
}

void http_bench_init(struct http_bench *bench)
{
    struct err error = {0};
    forget_proxies();
    (void)signal(SIGPIPE, SIG_IGN); /* as in the agent; OpenSSL writes without MSG_NOSIGNAL */
    memset(bench, 0, sizeof(*bench));
    bench->loop = loop_new();
    bench->patience = loop_timer_new(bench->loop, on_patience, bench);
    bench->pause = loop_timer_new(bench->loop, on_pause, bench);
    assert_true(fake_dns_init(&bench->names, bench->loop, "127.0.0.1", 0));
    bench->dns = dns_new(bench->loop, bench->names.server, &error);
    if (bench->dns == NULL)
        fail_msg("%s", error.text);
    bench->http = http_new(bench->loop, bench->dns, &error);
    if (bench->http == NULL)
        fail_msg("%s", error.text);
    fake_server_init(&bench->server, bench->loop, false);
    (void)snprintf(bench->url, sizeof(bench->url), "http://127.0.0.1:%u", bench->server.port);
}

struct http_origin *http_bench_origin(struct http_bench *bench, const struct http_origin_config *config)
{
    struct http_origin *origin = NULL;
    struct err error = {0};
    if (http_origin_new(bench->http, config, &origin, &error) != ERR_OK)
        fail_msg("%s", error.text);
    return origin;
}

void http_bench_open(struct http_bench *bench)
{
    http_bench_init(bench);
    bench->origin = http_bench_origin(bench, &(struct http_origin_config){.base_url = bench->url});
}

void http_bench_done(struct http_bench *bench)
{
    http_origin_free(bench->origin);
    http_free(bench->http);
    dns_free(bench->dns);
    fake_dns_done(&bench->names);
    fake_server_done(&bench->server);
    loop_timer_free(bench->patience);
    loop_timer_free(bench->pause);
    loop_free(bench->loop);
}

static void run(struct http_bench *bench)
{
    loop_timer_start(bench->patience, HTTP_BENCH_PATIENCE_MS);
    loop_run(bench->loop);
    loop_timer_stop(bench->patience);
    if (bench->impatient)
        fail_msg("%u calls finished in %d ms instead of %u", bench->finished, HTTP_BENCH_PATIENCE_MS, bench->wanted);
}

static void note_text(struct asked *asked, const char *data, size_t bytes)
{
    size_t room = sizeof(asked->text) - 1 -
                  (asked->text_bytes < sizeof(asked->text) - 1 ? asked->text_bytes : sizeof(asked->text) - 1);
    if (room > 0)
        memcpy(asked->text + asked->text_bytes, data, bytes < room ? bytes : room);
    asked->text_bytes += bytes;
}

/* @return whether the call itself is gone. */
static bool act(struct asked *asked)
{
    struct http_bench *bench = asked->bench;
    struct asked *starts = TAKE(asked->starts), *cancels = TAKE(asked->cancels);
    bool frees = asked->frees_origin;
    asked->frees_origin = false;
    if (cancels != NULL)
        http_cancel(&cancels->call);
    if (frees)
        http_origin_free(TAKE(bench->origin));
    if (starts != NULL)
        http_bench_start(bench, starts, "/next");
    return frees || cancels == asked;
}

static enum err_code on_data(struct http_call *call, const char *data, size_t bytes, struct err *reterr)
{
    struct asked *asked = (struct asked *)call;
    assert_true(bytes > 0);
    assert_true(call->status >= 200 && call->status < 300);
    asked->pieces++;
    note_text(asked, data, bytes);
    if (asked->early && act(asked))
        return ERR_CANCELLED;
    if (asked->refuses == ERR_OK)
        return ERR_OK;
    return err_set(reterr, asked->refuses, "refused by the reader");
}

static void on_head(struct http_call *call)
{
    struct asked *asked = (struct asked *)call;
    assert_int_equal(asked->pieces, 0);
    assert_true(call->status >= 200 && call->status < 300);
    assert_true(call->peer[0] != '\0');
    asked->heads++;
}

static void on_done(struct http_call *call, const struct err *error)
{
    struct asked *asked = (struct asked *)call;
    struct http_bench *bench = asked->bench;
    asked->finished++;
    asked->error = error != NULL ? *error : (struct err){0};
    assert_true(error == NULL || error->code != ERR_OK);
    assert_true(error != NULL || call->status >= 200);
    if (call->body.length > 0)
        note_text(asked, call->body.data, call->body.length);
    bench->finished++;
    if (!asked->early)
        (void)act(asked);
    if (bench->finished == bench->wanted)
        loop_stop(bench->loop);
}

void http_bench_prepare(struct http_bench *bench, struct asked *asked, const char *path)
{
    asked->bench = bench;
    asked->call.path = path;
    asked->call.on_data = asked->streams ? on_data : NULL;
    asked->call.on_head = on_head;
    asked->call.on_done = on_done;
    asked->error = (struct err){0};
    memset(asked->text, 0, sizeof(asked->text));
    asked->text_bytes = asked->pieces = asked->heads = 0;
}

void http_bench_start_on(struct http_bench *bench, struct http_origin *origin, struct asked *asked, const char *path)
{
    struct err error = {0};
    unsigned before = bench->finished;
    http_bench_prepare(bench, asked, path);
    if (http_start(origin, &asked->call, &error) != ERR_OK)
        fail_msg("%s", error.text);
    assert_int_equal(bench->finished, before); /* never from inside start */
}

void http_bench_start(struct http_bench *bench, struct asked *asked, const char *path)
{
    http_bench_start_on(bench, bench->origin, asked, path);
}

void http_bench_await(struct http_bench *bench, unsigned more)
{
    bench->wanted = bench->finished + more;
    run(bench);
}

void http_bench_run_for(struct http_bench *bench, uint64_t ms)
{
    bench->wanted = 0;
    loop_timer_start(bench->pause, ms);
    run(bench);
}

void http_bench_ask_on(struct http_bench *bench, struct http_origin *origin, struct asked *asked, const char *path)
{
    http_bench_start_on(bench, origin, asked, path);
    http_bench_await(bench, 1);
    http_call_done(&asked->call);
}

void http_bench_ask(struct http_bench *bench, struct asked *asked, const char *path)
{
    http_bench_ask_on(bench, bench->origin, asked, path);
}

void http_bench_expect_error(const struct asked *asked, enum err_code code, const char *begins, const char *ends)
{
    const char *text = asked->error.text;
    size_t length = strlen(text), end = strlen(ends);
    if (asked->error.code != code || strncmp(text, begins, strlen(begins)) != 0 || length < end ||
        strcmp(text + length - end, ends) != 0)
        fail_msg("%s, \"%s\" (status %d) and not %s, \"%s ... %s\"", err_code_name(asked->error.code), text,
                 asked->call.status, err_code_name(code), begins, ends);
}

void http_bench_expect_ok(const struct asked *asked, int status, const char *text)
{
    if (asked->error.code != ERR_OK)
        fail_msg("%s: %s", err_code_name(asked->error.code), asked->error.text);
    assert_int_equal(asked->call.status, status);
    assert_string_equal(asked->text, text);
}
