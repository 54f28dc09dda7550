/* links: agent_kube mirror base fake_loop.c fake_http.c */
#include "agent/kube/client.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/kube/setup.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/fake_loop.h"
#include "tests/unit/sweep.h"
#include "tests/unit/test_certificate.h"

static char folder[] = "/tmp/test_client_XXXXXX";

/* A client of cluster "east" with nothing behind it. */
struct bench {
    struct loop *loop;
    struct http *http;
    struct kube_client *client;
};

/* One request and what came of it. */
struct asked {
    struct kube_request request;
    unsigned done;
    char answer[128]; /* the "name" of the object */
    struct kube_failure failure;
    bool free_client; /* in on_done */
    struct bench *bench;
};

static const struct kubeconfig plain = {.server = "https://east:6443"};

static enum err_code open_bench(struct bench *bench, const struct kubeconfig *config)
{
    *bench = (struct bench){.loop = loop_new()};
    bench->http = bench->loop != NULL ? fake_http_new(bench->loop) : NULL;
    return bench->http != NULL ? kube_client_new(bench->http, bench->loop, config, "east", &bench->client, NULL)
                               : ERR_NOMEM;
}

static void set_up(struct bench *bench, const struct kubeconfig *config)
{
    assert_int_equal(open_bench(bench, config), ERR_OK);
}

static void tear_down(struct bench *bench)
{
    kube_client_free(bench->client);
    http_free(bench->http);
    loop_free(bench->loop);
}

static void on_done(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct asked *asked = request->context;
    const char *name = json_string_value(json_object_get(object, "name"));
    asked->done++;
    (void)snprintf(asked->answer, sizeof(asked->answer), "%s", name != NULL ? name : "");
    if (request->only_version && failure == NULL) {
        assert_null(object);
        (void)snprintf(asked->answer, sizeof(asked->answer), "%s", request->version);
    }
    asked->failure = failure != NULL ? *failure : (struct kube_failure){0};
    if (asked->free_client)
        kube_client_free(TAKE(asked->bench->client));
}

static void ask(struct bench *bench, struct asked *asked, const char *verb, const char *resource, const char *path,
                const char *body)
{
    *asked = (struct asked){.bench = bench};
    asked->request = (struct kube_request){.verb = verb,
                                           .resource = resource,
                                           .path = path,
                                           .body = body,
                                           .body_bytes = body != NULL ? strlen(body) : 0,
                                           .on_done = on_done,
                                           .context = asked};
    assert_int_equal(kube_start(bench->client, &asked->request, NULL), ERR_OK);
}

static void write_file(const char *name, const char *text)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

/* ---- requests ---- */

static void sends_what_it_was_given(void **state)
{
    (void)state;
    static const struct {
        const char *verb, *line;
    } cases[] = {{"get", "GET /p?x=1"},    {"list", "GET /p?x=1"},    {"create", "POST /p?x=1"},
                 {"update", "PUT /p?x=1"}, {"patch", "PATCH /p?x=1"}, {"delete", "DELETE /p?x=1"}};
    struct bench bench;
    set_up(&bench, &plain);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct asked asked;
        char path[] = "/p?x=1", body[] = "{}";
        ask(&bench, &asked, cases[i].verb, "services", path, i > 1 ? body : NULL);
        memset(path, 'x', strlen(path)); /* both were copied */
        memset(body, 'x', strlen(body));
        struct http_call *call = fake_http_take(bench.http, cases[i].line);
        assert_string_equal(fake_http_header(call, "Accept"), "application/json");
        assert_null(fake_http_header(call, "Authorization"));
        if (i > 1) {
            assert_string_equal(fake_http_header(call, "Content-Type"), "application/json");
            assert_memory_equal(call->request_body, "{}", 2);
            assert_int_equal(call->request_body_bytes, 2);
        } else {
            assert_null(fake_http_header(call, "Content-Type"));
        }
        fake_http_answer(call, 200, "{\"name\":\"x\"}");
        assert_int_equal(asked.done, 1);
        assert_string_equal(asked.answer, "x");
        assert_int_equal(asked.failure.error.code, ERR_OK);
    }
    tear_down(&bench);
}

static bool allows;

static bool may_send(const struct kube_request *request)
{
    const struct asked *asked = request->context;
    assert_ptr_equal(&asked->request, request);
    return allows;
}

static void may_call_itself_something_else_and_be_held_back(void **state)
{
    (void)state;
    struct bench bench;
    struct asked asked;
    char name[] = "leader-election";
    set_up(&bench, &plain);
    for (unsigned with_body = 0; with_body < 2; with_body++) {
        asked = (struct asked){.bench = &bench};
        asked.request = (struct kube_request){.verb = "patch",
                                              .resource = "leases",
                                              .path = "/p",
                                              .user_agent = name,
                                              .body = "{}",
                                              .body_bytes = with_body > 0 ? 2 : 0,
                                              .may_send = may_send,
                                              .on_done = on_done,
                                              .context = &asked};
        assert_int_equal(kube_start(bench.client, &asked.request, NULL), ERR_OK);
        name[0] = 'x'; /* it was copied */
        struct http_call *call = fake_http_take(bench.http, "PATCH /p");
        assert_string_equal(fake_http_header(call, "User-Agent"), "leader-election");
        assert_int_equal(fake_http_header(call, "Content-Type") != NULL, with_body > 0);
        name[0] = 'l';
        allows = true;
        assert_true(call->may_send(call));
        allows = false;
        assert_false(call->may_send(call));
        fake_http_fail(call, ERR_CANCELLED, "held back");
        assert_int_equal(asked.failure.error.code, ERR_CANCELLED);
    }
    ask(&bench, &asked, "get", "services", "/p", NULL);
    struct http_call *call = fake_http_take(bench.http, "GET /p");
    assert_null(fake_http_header(call, "User-Agent"));
    assert_null(call->may_send);
    fake_http_answer(call, 200, "{}");
    tear_down(&bench);
}

static void writes_nothing_when_read_only(void **state)
{
    (void)state;
    static const char *const refused[] = {"create", "update", "patch", "delete"};
    struct bench bench;
    struct asked asked;
    set_up(&bench, &plain);
    kube_client_set_read_only(bench.client);
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++) {
        struct err error = {0};
        asked =
            (struct asked){.request = {.verb = refused[i], .resource = "services", .path = "/p", .on_done = on_done}};
        asked.request.context = &asked;
        assert_int_equal(kube_start(bench.client, &asked.request, &error), ERR_UNSUPPORTED);
        assert_non_null(strstr(error.text, "nothing is written in a dry run"));
        assert_int_equal(asked.done, 0);
    }
    ask(&bench, &asked, "list", "services", "/p", NULL);
    fake_http_answer(fake_http_take(bench.http, "GET /p"), 200, "{\"name\":\"x\"}");
    assert_string_equal(asked.answer, "x");
    tear_down(&bench);
}

static void proves_who_it_is(void **state)
{
    (void)state;
    struct kubeconfig config = plain;
    struct bench bench;
    struct asked asked;
    config.token = "secret";
    config.username = "me";
    static const char *const lines[] = {"Impersonate-User: system:serviceaccount:a:b", NULL};
    config.impersonate = lines;
    set_up(&bench, &config);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    struct http_call *call = fake_http_take(bench.http, "GET /p");
    assert_string_equal(fake_http_header(call, "Authorization"), "Bearer secret");
    assert_string_equal(fake_http_header(call, "Impersonate-User"), "system:serviceaccount:a:b");
    fake_http_answer(call, 200, "");
    assert_int_equal(asked.done, 1);
    assert_int_equal(asked.failure.error.code, ERR_OK);
    tear_down(&bench);

    config.token = NULL;
    config.password = "p:w";
    set_up(&bench, &config);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    assert_string_equal(fake_http_header(fake_http_take(bench.http, "GET /p"), "Authorization"), "Basic bWU6cDp3");
    kube_cancel(&asked.request);
    kube_cancel(&asked.request);
    assert_int_equal(asked.done, 0);
    tear_down(&bench);
}

struct failure_case {
    const char *verb, *resource, *path, *body;
    int status;
    const char *answer;
    int64_t retry_after_ms; /* header */
    enum err_code code;
    const char *text, *reason;
    int64_t told_retry_ms;
};

#define STATUS(code, reason, message)                                                                                  \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"status\":\"Failure\",\"message\":\"" message                         \
    "\",\"reason\":\"" reason "\",\"code\":" #code "}"

static void says_what_came_back(void **state)
{
    (void)state;
    static const struct failure_case cases[] = {
        {"create", "services", "/api/v1/namespaces/demo/services?fieldManager=x",
         "{\"metadata\":{\"name\":\"web-east\"}}", 403, STATUS(403, "Forbidden", "no, you may not"), -1, ERR_FORBIDDEN,
         "create Service demo/web-east in cluster east: 403 Forbidden: no, you may not", "Forbidden", -1},
        {"create", "services", "/api/v1/namespaces/demo/services", "{\"metadata\":{\"name\":\"web\"}}", 409,
         STATUS(409, "AlreadyExists", "m"), -1, ERR_EXISTS, "create Service demo/web in cluster east: 409 Conflict: m",
         "AlreadyExists", -1},
        {"update", "endpointslices", "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices/web-1?x", "{}", 409,
         STATUS(409, "Conflict", "m"), -1, ERR_CONFLICT,
         "update EndpointSlice demo/web-1 in cluster east: 409 Conflict: m", "Conflict", -1},
        {"create", "namespaces", "/api/v1/namespaces", "{\"metadata\":{\"name\":\"demo\"}}", 422,
         STATUS(422, "Invalid", "m"), -1, ERR_REJECTED,
         "create Namespace demo in cluster east: 422 Unprocessable Entity: m", "Invalid", -1},
        {"get", "namespaces", "/api/v1/namespaces/demo", NULL, 404, STATUS(404, "NotFound", "m"), -1, ERR_NOT_FOUND,
         "get Namespace demo in cluster east: 404 Not Found: m", "NotFound", -1},
        {"get", "apis", "/apis/multicluster.linkerd.io?x", NULL, 401, STATUS(401, "Unauthorized", "m"), -1,
         ERR_UNAUTHORIZED, "get /apis/multicluster.linkerd.io in cluster east: 401 Unauthorized: m", "Unauthorized",
         -1},
        {"patch", "links", "/apis/multicluster.linkerd.io/v1alpha3/namespaces/l5d/links/east/status", "{}", 400, "", -1,
         ERR_REJECTED, "patch Link l5d/east in cluster east: 400 Bad Request", "", -1},
        {"get", "services", "/p", NULL, 429,
         "{\"kind\":\"Status\",\"reason\":\"TooManyRequests\",\"details\":{\"retryAfterSeconds\":7}}", -1, ERR_BUSY,
         "get /p in cluster east: 429 Too Many Requests: { \"kind\"", "TooManyRequests", 7000},
        {"get", "services", "/p", NULL, 429, STATUS(429, "TooManyRequests", "m"), 3000, ERR_BUSY, "429", "", 3000},
        {"get", "services", "/p", NULL, 503, "", 1000, ERR_BUSY, "503 Service Unavailable", "", 1000},
        {"get", "services", "/p", NULL, 503, "", -1, ERR_SERVER, "503 Service Unavailable", "", -1},
        {"get", "services", "/p", NULL, 500, STATUS(500, "InternalError", "m"), -1, ERR_SERVER,
         "get /p in cluster east: 500 Internal Server Error: m", "InternalError", -1},
        {"get", "services", "/p", NULL, 410, STATUS(410, "Expired", "m"), -1, ERR_EXPIRED, "410 Gone", "Expired", -1},
        {"get", "services", "/p", NULL, 502, "<html>\n <h1>Bad\x01gateway\xc3\xa9</h1>\n</html>\n", -1, ERR_SERVER,
         "get /p in cluster east: 502 Bad Gateway: <html> <h1>Bad gateway</h1> </html>", "", -1},
        {"get", "services", "/p", NULL, 302, "", -1, ERR_PROTOCOL, "302 unexpected status", "", -1},
        {"get", "services", "/p", NULL, 200, "<html>", -1, ERR_PROTOCOL,
         "get /p in cluster east: the answer is not JSON", "", -1},
    };
    struct bench bench;
    set_up(&bench, &plain);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct asked asked;
        ask(&bench, &asked, cases[i].verb, cases[i].resource, cases[i].path, cases[i].body);
        fake_http_answer_with(fake_http_take(bench.http, "*"), cases[i].status, cases[i].answer,
                              cases[i].retry_after_ms, NULL);
        assert_int_equal(asked.done, 1);
        const struct kube_failure *failure = &asked.failure;
        const char *text = cases[i].text[0] == '4' || cases[i].text[0] == '5' || cases[i].text[0] == '3'
                               ? strstr(failure->error.text, cases[i].text)
                               : failure->error.text;
        if (failure->error.code != cases[i].code || text == NULL ||
            (strncmp(text, cases[i].text, strlen(cases[i].text)) != 0 && i != 7))
            fail_msg("case %zu: %s: %s", i, err_code_name(failure->error.code), failure->error.text);
        if (cases[i].reason[0] != '\0')
            assert_string_equal(failure->reason, cases[i].reason);
        assert_int_equal(failure->status, cases[i].status);
        assert_int_equal(failure->retry_after_ms, cases[i].told_retry_ms);
    }
    tear_down(&bench);
}

static void reads_the_version_alone(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *version;
        enum err_code code;
        const char *text;
    } cases[] = {
        {"{\"kind\":\"Service\",\"metadata\":{\"name\":\"x\",\"resourceVersion\":\"42\"},\"spec\":{}}", "42", ERR_OK,
         ""},
        {"{\"metadata\":{\"name\":\"x\"}}", "", ERR_OK, ""},
        {"{\"metadata\":{\"resourceVersion\":42}}", "", ERR_OK, ""},
        {"[1]", "", ERR_OK, ""},
        {"", "", ERR_OK, ""},
        {"<html>", "", ERR_PROTOCOL, "update /p in cluster east: the answer is not JSON: "},
        {"{\"metadata\":{\"resourceVersion\":\"42\"}", "", ERR_PROTOCOL,
         "update /p in cluster east: the answer is not JSON: "},
    };
    struct bench bench;
    set_up(&bench, &plain);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct asked asked;
        asked = (struct asked){.bench = &bench,
                               .request = {.verb = "update",
                                           .resource = "services",
                                           .path = "/p",
                                           .body = "{}",
                                           .body_bytes = 2,
                                           .only_version = true,
                                           .on_done = on_done,
                                           .context = &asked}};
        assert_int_equal(kube_start(bench.client, &asked.request, NULL), ERR_OK);
        fake_http_answer_with(fake_http_take(bench.http, "*"), 200, cases[i].answer, -1, NULL);
        assert_int_equal(asked.done, 1);
        assert_int_equal(asked.failure.error.code, cases[i].code);
        assert_string_equal(asked.answer, cases[i].version);
        assert_int_equal(strncmp(asked.failure.error.text, cases[i].text, strlen(cases[i].text)), 0);
    }
    tear_down(&bench);
}

static void tells_of_broken_connections_and_silence(void **state)
{
    (void)state;
    struct bench bench;
    struct asked asked;
    set_up(&bench, &plain);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    fake_http_fail(fake_http_take(bench.http, "GET /p"), ERR_CONNECT, "Connection refused");
    assert_int_equal(asked.failure.error.code, ERR_CONNECT);
    assert_string_equal(asked.failure.error.text, "get /p in cluster east: https://east:6443: Connection refused");
    assert_int_equal(asked.failure.status, 0);
    assert_int_equal(asked.failure.retry_after_ms, -1);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    (void)fake_http_take(bench.http, "GET /p");
    fake_loop_advance(bench.loop, 29999);
    assert_int_equal(asked.done, 0);
    fake_loop_advance(bench.loop, 1);
    assert_int_equal(asked.failure.error.code, ERR_TIMEOUT);
    tear_down(&bench);
}

static void may_be_freed_by_what_it_calls(void **state)
{
    (void)state;
    struct bench bench;
    struct asked first, second;
    set_up(&bench, &plain);
    ask(&bench, &first, "get", "services", "/1", NULL);
    ask(&bench, &second, "get", "services", "/2", NULL);
    first.free_client = true;
    struct http_call *call = fake_http_take(bench.http, "GET /1");
    fake_http_answer(call, 200, "{}");
    assert_int_equal(first.done, 1);
    assert_int_equal(second.done, 0); /* cancelled */
    tear_down(&bench);
}

/* ---- tokens ---- */

static struct kubeconfig with_token_file(char path[128])
{
    (void)snprintf(path, 128, "%s/token", folder);
    struct kubeconfig config = plain;
    config.token = "one";
    config.token_file = path;
    return config;
}

static void expect_token(struct bench *bench, const char *token)
{
    struct asked asked;
    ask(bench, &asked, "get", "services", "/p", NULL);
    struct http_call *call = fake_http_take(bench->http, "GET /p");
    assert_string_equal(fake_http_header(call, "Authorization"), token);
    fake_http_answer(call, 200, "");
}

static void reads_the_token_again_each_minute(void **state)
{
    (void)state;
    char path[128];
    struct kubeconfig config = with_token_file(path);
    struct bench bench;
    set_up(&bench, &config);
    write_file("token", "two\n");
    fake_loop_advance(bench.loop, 59999);
    expect_token(&bench, "Bearer one");
    fake_loop_advance(bench.loop, 1);
    expect_token(&bench, "Bearer two");
    /* Empty, gone, nonsense: the old stays. */
    write_file("token", "");
    fake_loop_advance(bench.loop, 60000);
    expect_token(&bench, "Bearer two");
    assert_int_equal(unlink(path), 0);
    fake_loop_advance(bench.loop, 60000);
    expect_token(&bench, "Bearer two");
    write_file("token", "a\nb");
    fake_loop_advance(bench.loop, 60000);
    expect_token(&bench, "Bearer two");
    write_file("token", "x.eyJleHAiOjE5MDAwMDAwMDB9.y");
    fake_loop_advance(bench.loop, 60000);
    expect_token(&bench, "Bearer x.eyJleHAiOjE5MDAwMDAwMDB9.y");
    assert_int_equal(kube_client_expires_us(bench.client), INT64_C(1900000000000000));
    tear_down(&bench);
}

static void reads_the_token_at_once_after_a_401(void **state)
{
    (void)state;
    char path[128];
    struct kubeconfig config = with_token_file(path);
    struct bench bench;
    struct asked asked, other;
    set_up(&bench, &config);
    write_file("token", "two");
    /* Two requests were under way with the old one: both are tried again, though the file is read for the first of them only. */
    ask(&bench, &asked, "create", "services", "/p", "{\"a\":1}");
    ask(&bench, &other, "get", "services", "/q", NULL);
    fake_http_answer(fake_http_take(bench.http, "POST /p"), 401, "");
    assert_int_equal(asked.done, 0);
    fake_http_answer(fake_http_take(bench.http, "GET /q"), 401, "");
    assert_int_equal(other.done, 0);
    struct http_call *call = fake_http_take(bench.http, "POST /p");
    assert_string_equal(fake_http_header(call, "Authorization"), "Bearer two");
    assert_string_equal(fake_http_header(call, "Content-Type"), "application/json");
    assert_memory_equal(call->request_body, "{\"a\":1}", 7);
    fake_http_answer(call, 201, "{\"name\":\"made\"}");
    assert_string_equal(asked.answer, "made");
    /* One further try and no more, even when the file has yet another token. */
    write_file("token", "three");
    fake_http_answer(fake_http_take(bench.http, "GET /q"), 401, STATUS(401, "Unauthorized", "no"));
    assert_int_equal(other.done, 1);
    assert_int_equal(other.failure.error.code, ERR_UNAUTHORIZED);
    assert_true(fake_http_is_idle(bench.http));
    /* Nothing new in the file: nothing is tried again. */
    ask(&bench, &asked, "get", "services", "/p", NULL);
    fake_http_answer(fake_http_take(bench.http, "GET /p"), 401, "");
    assert_int_equal(asked.done, 0);
    fake_http_answer(fake_http_take(bench.http, "GET /p"), 401, "");
    assert_int_equal(asked.done, 1);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    fake_http_answer(fake_http_take(bench.http, "GET /p"), 401, "");
    assert_int_equal(asked.done, 1);
    assert_int_equal(asked.failure.error.code, ERR_UNAUTHORIZED);
    tear_down(&bench);
}

/* ---- certificates ---- */

struct paths {
    char ca[128], cert[128], key[128];
};

/* What was read of the files `ca`, `cert` and `key`, which need not be there. */
static struct kubeconfig config_with_files(const struct test_certificate *read, struct paths *paths)
{
    struct kubeconfig config = plain;
    (void)snprintf(paths->ca, sizeof(paths->ca), "%s/ca", folder);
    (void)snprintf(paths->cert, sizeof(paths->cert), "%s/cert", folder);
    (void)snprintf(paths->key, sizeof(paths->key), "%s/key", folder);
    config.ca_pem = config.cert_pem = read->certificate;
    config.key_pem = read->key;
    config.ca_file = paths->ca;
    config.cert_file = paths->cert;
    config.key_file = paths->key;
    return config;
}

static void follows_certificates_that_change(void **state)
{
    (void)state;
    struct test_certificate old = test_certificate_make(1900000000), new = test_certificate_make(1950000000);
    struct paths paths;
    struct kubeconfig config = config_with_files(&old, &paths);
    write_file("ca", old.certificate);
    write_file("cert", old.certificate);
    write_file("key", old.key);
    struct bench bench;
    struct asked asked, during;
    set_up(&bench, &config);
    fake_loop_advance(bench.loop, 300000); /* nothing changed */
    ask(&bench, &during, "get", "services", "/slow", NULL);
    during.request.timeout_ms = 0;
    struct http_call *slow = fake_http_take(bench.http, "GET /slow");
    assert_string_equal(fake_http_certificate(slow), old.certificate);
    fake_http_answer(slow, 200, "");

    /* Half of the change is on disk: the old stays in use. */
    write_file("cert", new.certificate);
    fake_loop_advance(bench.loop, 299999);
    ask(&bench, &during, "get", "services", "/slow", NULL);
    slow = fake_http_take(bench.http, "GET /slow");
    fake_loop_advance(bench.loop, 1);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    struct http_call *call = fake_http_take(bench.http, "GET /p");
    assert_string_equal(fake_http_certificate(call), old.certificate);
    fake_http_answer(call, 200, "");
    fake_http_answer(slow, 200, "");

    write_file("key", new.key);
    write_file("ca", new.certificate);
    fake_loop_advance(bench.loop, 299999);
    ask(&bench, &during, "get", "services", "/slow", NULL);
    slow = fake_http_take(bench.http, "GET /slow");
    fake_loop_advance(bench.loop, 1);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    call = fake_http_take(bench.http, "GET /p");
    assert_string_equal(fake_http_certificate(call), new.certificate);
    assert_string_equal(fake_http_ca(call), new.certificate);
    assert_int_equal(kube_client_expires_us(bench.client), INT64_C(1950000000000000));
    fake_http_answer(call, 200, "");
    assert_int_equal(asked.done, 1);
    /* What was under way ends where it began, and only then the old connections go. */
    assert_string_equal(fake_http_certificate(slow), old.certificate);
    fake_http_answer(slow, 200, "{\"name\":\"late\"}");
    assert_string_equal(during.answer, "late");
    fake_loop_advance(bench.loop, 60000);

    write_file("ca", "junk");
    write_file("cert", "");
    fake_loop_advance(bench.loop, 600000);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    call = fake_http_take(bench.http, "GET /p");
    assert_string_equal(fake_http_certificate(call), new.certificate);
    fake_http_answer(call, 200, "");
    tear_down(&bench);
}

/* ---- what is told of files ---- */

struct reloads {
    unsigned good[KUBE_CREDENTIAL_KINDS], bad[KUBE_CREDENTIAL_KINDS], texts;
    char text[512];
};

static void on_reload(void *context, const struct kube_client *client, enum kube_credential kind,
                      const struct err *error)
{
    struct reloads *reloads = context;
    assert_string_equal(kube_client_label(client), "east");
    (*(error == NULL ? &reloads->good[kind] : &reloads->bad[kind]))++;
    if (error != NULL && error->text[0] != '\0') {
        reloads->texts++;
        (void)snprintf(reloads->text, sizeof(reloads->text), "%s", error->text);
    }
}

/* One kind of file that cannot be used keeps nothing of another kind out; it is told once for each wording, and counted each time. */
static void tells_which_files_cannot_be_used(void **state)
{
    (void)state;
    struct test_certificate old = test_certificate_make(1900000000), new = test_certificate_make(1950000000);
    struct paths paths;
    struct kubeconfig config = config_with_files(&old, &paths);
    write_file("cert", new.certificate);
    write_file("key", new.key);
    static const struct {
        const char *content, *words; /* NULL: the file is absent */
    } broken[] = {{"", "not a PEM certificate"}, {"junk", NULL}, {NULL, "No such file"}};
    struct bench bench;
    struct reloads reloads = {0};
    set_up(&bench, &config);
    kube_client_on_reload(bench.client, on_reload, &reloads);
    for (unsigned i = 0; i < ARRAY_COUNT(broken); i++) {
        if (broken[i].content != NULL)
            write_file("ca", broken[i].content);
        else
            assert_int_equal(unlink(paths.ca), 0);
        fake_loop_advance(bench.loop, 300000);
        assert_int_equal(reloads.bad[KUBE_CREDENTIAL_CA], i + 1);
        if (broken[i].words != NULL)
            assert_non_null(strstr(reloads.text, broken[i].words));
        assert_non_null(strstr(reloads.text, paths.ca));
    }
    assert_int_equal(reloads.texts, 2);
    assert_int_equal(reloads.good[KUBE_CREDENTIAL_CERTIFICATE], 1);
    struct asked asked;
    ask(&bench, &asked, "get", "services", "/p", NULL);
    struct http_call *call = fake_http_take(bench.http, "GET /p");
    assert_string_equal(fake_http_certificate(call), new.certificate);
    assert_string_equal(fake_http_ca(call), old.certificate);
    fake_http_answer(call, 200, "");
    /* Right again, with the same in it: no change, and the next mistake is news. */
    write_file("ca", old.certificate);
    fake_loop_advance(bench.loop, 300000);
    write_file("ca", "junk");
    fake_loop_advance(bench.loop, 300000);
    assert_int_equal(reloads.good[KUBE_CREDENTIAL_CA], 0);
    assert_int_equal(reloads.texts, 3);
    write_file("ca", new.certificate);
    fake_loop_advance(bench.loop, 300000);
    assert_int_equal(reloads.good[KUBE_CREDENTIAL_CA], 1);
    tear_down(&bench);
}

/* A server that shows a certificate of a new CA, or that trusts only the client's next one: the files may hold them already. */
static void reads_files_at_once_after_a_failed_handshake(void **state)
{
    (void)state;
    struct test_certificate old = test_certificate_make(1900000000), new = test_certificate_make(1950000000);
    char ca[128];
    (void)snprintf(ca, sizeof(ca), "%s/ca", folder);
    struct kubeconfig config = plain;
    config.ca_pem = old.certificate;
    config.ca_file = ca;
    write_file("ca", new.certificate);
    struct bench bench;
    struct asked asked;
    set_up(&bench, &config);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    fake_http_fail(fake_http_take(bench.http, "GET /p"), ERR_TLS, "self-signed certificate in chain");
    struct http_call *call = fake_http_take(bench.http, "GET /p");
    assert_string_equal(fake_http_ca(call), new.certificate);
    /* Once: the file says nothing else now. */
    fake_http_fail(call, ERR_TLS, "self-signed certificate in chain");
    assert_int_equal(asked.done, 1);
    assert_int_equal(asked.failure.error.code, ERR_TLS);
    /* Other failures are no reason to read anything. */
    write_file("ca", old.certificate);
    fake_loop_advance(bench.loop, 60000);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    fake_http_fail(fake_http_take(bench.http, "GET /p"), ERR_CONNECT, "refused");
    assert_int_equal(asked.done, 1);
    tear_down(&bench);
}

/* A request that lasts longer than anything keeps its connections, and the next change waits for it. */
static void waits_for_slow_requests_before_closing_connections(void **state)
{
    (void)state;
    struct test_certificate certificates[3];
    char ca[128];
    for (size_t i = 0; i < ARRAY_COUNT(certificates); i++)
        certificates[i] = test_certificate_make(1900000000 + (int64_t)i);
    (void)snprintf(ca, sizeof(ca), "%s/ca", folder);
    struct kubeconfig config = plain;
    config.ca_pem = certificates[0].certificate;
    config.ca_file = ca;
    struct bench bench;
    struct asked slow = {.bench = &bench}, asked;
    set_up(&bench, &config);
    slow.request = (struct kube_request){.verb = "get",
                                         .resource = "services",
                                         .path = "/slow",
                                         .timeout_ms = 3600000,
                                         .on_done = on_done,
                                         .context = &slow};
    assert_int_equal(kube_start(bench.client, &slow.request, NULL), ERR_OK);
    struct http_call *call = fake_http_take(bench.http, "GET /slow");
    write_file("ca", certificates[1].certificate);
    fake_loop_advance(bench.loop, 300000);
    write_file("ca", certificates[2].certificate);
    fake_loop_advance(bench.loop, 300000);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    struct http_call *other = fake_http_take(bench.http, "GET /p");
    assert_string_equal(fake_http_ca(other), certificates[1].certificate);
    fake_http_answer(other, 200, "");
    assert_string_equal(fake_http_ca(call), certificates[0].certificate);
    fake_http_answer(call, 200, "{\"name\":\"slow\"}");
    assert_string_equal(slow.answer, "slow");
    fake_loop_advance(bench.loop, 300000);
    ask(&bench, &asked, "get", "services", "/p", NULL);
    other = fake_http_take(bench.http, "GET /p");
    assert_string_equal(fake_http_ca(other), certificates[2].certificate);
    fake_http_answer(other, 200, "");
    tear_down(&bench);
}

static void knows_when_its_credentials_end(void **state)
{
    (void)state;
    static const struct {
        int64_t cert_s, ca_s;
        const char *token;
        int64_t expires_s;
    } cases[] = {{0, 0, NULL, 0},
                 {1800000000, 0, NULL, 1800000000},
                 {0, 0, "x.eyJleHAiOjE5MDAwMDAwMDB9.y", 1900000000},
                 {1800000000, 1700000000, "x.eyJleHAiOjE5MDAwMDAwMDB9.y", 1800000000},
                 {1950000000, 1960000000, "x.eyJleHAiOjE5MDAwMDAwMDB9.y", 1900000000}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct kubeconfig config = plain;
        struct bench bench;
        struct test_certificate own = test_certificate_make(cases[i].cert_s);
        struct test_certificate ca = test_certificate_make(cases[i].ca_s);
        config.cert_pem = cases[i].cert_s != 0 ? own.certificate : NULL;
        config.key_pem = cases[i].cert_s != 0 ? own.key : NULL;
        config.ca_pem = cases[i].ca_s != 0 ? ca.certificate : NULL;
        config.token = cases[i].token;
        set_up(&bench, &config);
        assert_int_equal(kube_client_expires_us(bench.client), cases[i].expires_s * 1000000);
        const int64_t until_us[] = {
            [KUBE_CREDENTIAL_CERTIFICATE] = cases[i].cert_s * 1000000,
            [KUBE_CREDENTIAL_CA] = cases[i].ca_s * 1000000,
            [KUBE_CREDENTIAL_TOKEN] = cases[i].token != NULL ? INT64_C(1900000000000000) : 0,
        };
        for (unsigned kind = 0; kind < KUBE_CREDENTIAL_KINDS; kind++)
            assert_int_equal(kube_client_validity(bench.client, kind).until_us, until_us[kind]);
        assert_string_equal(kube_client_label(bench.client), "east");
        assert_string_equal(kube_client_server(bench.client), "https://east:6443");
        tear_down(&bench);
    }
}

/* ---- observers ---- */

struct seen {
    unsigned warnings, observed;
    char warning[256], line[256];
};

static void on_warning(void *context, const struct kube_client *client, const char *text)
{
    struct seen *seen = context;
    (void)client;
    seen->warnings++;
    (void)snprintf(seen->warning, sizeof(seen->warning), "%s", text);
}

static void on_observed(void *context, const struct kube_client *client, const char *verb, const char *resource,
                        int status, uint64_t latency_us)
{
    struct seen *seen = context;
    seen->observed++;
    (void)snprintf(seen->line, sizeof(seen->line), "%s %s %s %d %lu", kube_client_label(client), verb, resource, status,
                   (unsigned long)latency_us);
}

static void tells_observers(void **state)
{
    (void)state;
    struct bench bench;
    struct asked asked;
    struct seen seen = {0};
    static const struct {
        const char *header, *text;
    } warnings[] = {{"299 - \"v1 Endpoints is deprecated\"", "v1 Endpoints is deprecated"},
                    {"299 - \"v1 Endpoints is deprecated\"", "v1 Endpoints is deprecated"},
                    {"299 - \"say \\\"no\\\"\" \"date\"", "say \"no\""},
                    {"199 - \"other\"", "say \"no\""},
                    {"299 -", "say \"no\""},
                    {"299 - \"\"", "say \"no\""}};
    set_up(&bench, &plain);
    kube_client_on_warning(bench.client, on_warning, &seen);
    kube_client_observe(bench.client, on_observed, &seen);
    for (size_t i = 0; i < ARRAY_COUNT(warnings); i++) {
        ask(&bench, &asked, "get", "endpoints", "/p", NULL);
        struct http_call *call = fake_http_take(bench.http, "GET /p");
        fake_loop_advance(bench.loop, 12);
        fake_http_answer_with(call, 200, "{}", -1, warnings[i].header);
        assert_string_equal(seen.warning, warnings[i].text);
    }
    assert_int_equal(seen.warnings, 2);
    assert_int_equal(seen.observed, ARRAY_COUNT(warnings));
    assert_string_equal(seen.line, "east get endpoints 200 12000");
    tear_down(&bench);
}

static void escapes_queries(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    assert_string_equal(kube_query_escape(&arena, "a=b,c in (d),!e_f.g~h-1"),
                        "a%3Db%2Cc%20in%20%28d%29%2C%21e_f.g~h-1");
    assert_string_equal(kube_query_escape(&arena, "\xc3\xa9&"), "%C3%A9%26");
    assert_string_equal(kube_query_escape(&arena, ""), "");
    arena_done(&arena);
}

/* ---- memory ---- */

static enum err_code sweep_request(void *context)
{
    struct bench bench;
    struct asked asked = {.bench = &bench};
    enum err_code code = open_bench(&bench, context);
    if (code == ERR_OK) {
        asked.request = (struct kube_request){.verb = "create",
                                              .resource = "services",
                                              .path = "/api/v1/namespaces/n/services",
                                              .body = "{\"metadata\":{\"name\":\"x\"}}",
                                              .body_bytes = 25,
                                              .on_done = on_done,
                                              .context = &asked};
        code = kube_start(bench.client, &asked.request, NULL);
    }
    if (code == ERR_OK) {
        fake_http_answer(fake_http_take(bench.http, "*"), 201, "{\"name\":\"x\"}");
        assert_int_equal(asked.done, 1);
        /* jansson tells a failed allocation in the middle of a text as a fault of the text */
        code = asked.failure.error.code == ERR_PROTOCOL ? ERR_NOMEM : asked.failure.error.code;
    }
    tear_down(&bench);
    return code;
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    char path[128];
    struct kubeconfig config = with_token_file(path);
    assert_true(sweep(sweep_request, &config) > 20);
}

static int make_folder(void **state)
{
    (void)state;
    kube_setup();
    return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    static const char *const files[] = {"token", "ca", "cert", "key"};
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/%s", folder, files[i]);
        (void)unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sends_what_it_was_given),
        cmocka_unit_test(may_call_itself_something_else_and_be_held_back),
        cmocka_unit_test(writes_nothing_when_read_only),
        cmocka_unit_test(proves_who_it_is),
        cmocka_unit_test(says_what_came_back),
        cmocka_unit_test(reads_the_version_alone),
        cmocka_unit_test(tells_of_broken_connections_and_silence),
        cmocka_unit_test(may_be_freed_by_what_it_calls),
        cmocka_unit_test(reads_the_token_again_each_minute),
        cmocka_unit_test(reads_the_token_at_once_after_a_401),
        cmocka_unit_test(follows_certificates_that_change),
        cmocka_unit_test(tells_which_files_cannot_be_used),
        cmocka_unit_test(reads_files_at_once_after_a_failed_handshake),
        cmocka_unit_test(waits_for_slow_requests_before_closing_connections),
        cmocka_unit_test(knows_when_its_credentials_end),
        cmocka_unit_test(tells_observers),
        cmocka_unit_test(escapes_queries),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
