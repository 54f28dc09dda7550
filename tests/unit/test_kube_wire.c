/* links: agent_kube agent_net agent_loop mirror base */
/* The client over real sockets: a small server answers request after request with raw bytes, cut and broken as networks do it. What the
 * answers mean is test_list_watch.c's and test_client.c's business; here it is whether they arrive. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/kube/list_watch.h"
#include "agent/kube/setup.h"
#include "tests/unit/sweep.h"

enum { MAX_CONNECTIONS = 64, GUARD_MS = 10000 };

/* One answer: its parts are sent one at a time, each in a turn of the loop of its own. */
struct reply {
    const char *request; /* how the request line begins; NULL: any */
    enum {
        BREAKS_OFF, /* the connection ends after the parts */
        RESETS,     /* likewise, with RST */
        ENDS,       /* the last chunk comes, then the connection ends */
        KEEPS,      /* silence */
    } end;
    const char *parts[6];
};
#define REPLY(how, line, ...)                                                                                          \
    {                                                                                                                  \
        .end = (how), .request = (line), .parts = { __VA_ARGS__ }                                                      \
    }
#define NO_MORE                                                                                                        \
    {                                                                                                                  \
        .request = NULL                                                                                                \
    }

struct connection {
    struct bench *bench;
    struct loop_io *io;
    struct loop_timer *timer; /* sends the next part */
    int fd;
    char request[8192];
    size_t used;
    const struct reply *reply;
    unsigned part;
};

struct bench {
    struct loop *loop;
    struct dns *dns;
    struct http *http;
    struct kube_client *client;
    struct list_watch *watch;
    struct loop_io *listener;
    struct loop_timer *guard;
    int fd;
    struct connection connections[MAX_CONNECTIONS];
    unsigned connection_count;
    const struct reply *replies; /* in the order of requests, ends with parts[0] NULL */
    unsigned replied;
    const char *expected;
    char log[1024], error[512], authorization[128];
    const char *free_on;
    bool timed_out;
};

/* ---- the server ---- */

static void hang_up(struct connection *connection)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    if (connection->reply != NULL && connection->reply->end == RESETS)
        (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    loop_io_stop(connection->io);
    (void)close(connection->fd);
    connection->fd = -1;
}

static void send_part(void *context)
{
    struct connection *connection = context;
    const struct reply *reply = connection->reply;
    const char *part = connection->part < ARRAY_COUNT(reply->parts) ? reply->parts[connection->part] : NULL;
    if (connection->fd < 0)
        return;
    if (part == NULL) {
        if (reply->end == ENDS)
            (void)!send(connection->fd, "0\r\n\r\n", 5, MSG_NOSIGNAL);
        if (reply->end != KEEPS)
            hang_up(connection);
        return;
    }
    char frame[1024];
    bool framed = connection->part > 0 && strstr(reply->parts[0], "chunked") != NULL;
    int length = framed ? snprintf(frame, sizeof(frame), "%zx\r\n%s\r\n", strlen(part), part)
                        : snprintf(frame, sizeof(frame), "%s", part);
    (void)!send(connection->fd, frame, (size_t)length, MSG_NOSIGNAL);
    connection->part++;
    loop_timer_start(connection->timer, 1);
}

static void take_request(struct connection *connection)
{
    struct bench *bench = connection->bench;
    const struct reply *reply = &bench->replies[bench->replied];
    if (reply->parts[0] == NULL)
        return; /* the script is over: silence */
    if (reply->request != NULL && strncmp(connection->request, reply->request, strlen(reply->request)) != 0)
        fail_msg("request %u is %.200s, not %s", bench->replied, connection->request, reply->request);
    const char *line = strstr(connection->request, "Authorization: ");
    (void)snprintf(bench->authorization, sizeof(bench->authorization), "%.*s",
                   line != NULL ? (int)strcspn(line, "\r") : 0, line != NULL ? line : "");
    bench->replied++;
    connection->reply = reply;
    send_part(connection);
}

static void on_readable(void *context, int fd, unsigned events)
{
    struct connection *connection = context;
    (void)events;
    ssize_t bytes =
        recv(fd, connection->request + connection->used, sizeof(connection->request) - 1 - connection->used, 0);
    if (bytes <= 0) {
        hang_up(connection);
        return;
    }
    connection->used += (size_t)bytes;
    connection->request[connection->used] = '\0';
    if (connection->reply == NULL && strstr(connection->request, "\r\n\r\n") != NULL)
        take_request(connection);
}

static void on_connection(void *context, int fd, unsigned events)
{
    struct bench *bench = context;
    (void)events;
    assert_true(bench->connection_count < MAX_CONNECTIONS);
    struct connection *connection = &bench->connections[bench->connection_count++];
    connection->bench = bench;
    connection->fd = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    connection->io = loop_io_new(bench->loop, on_readable, connection);
    connection->timer = loop_timer_new(bench->loop, send_part, connection);
    assert_true(connection->fd >= 0 && connection->io != NULL && connection->timer != NULL);
    loop_io_start(connection->io, connection->fd, LOOP_READ);
}

static void on_guard(void *context)
{
    struct bench *bench = context;
    bench->timed_out = true;
    loop_stop(bench->loop);
}

static void set_up(struct bench *bench, const struct reply *replies, struct kubeconfig *config)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    static char server[64];
    *bench = (struct bench){.replies = replies, .loop = loop_new()};
    bench->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(bench->fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(bench->fd, 16), 0);
    assert_int_equal(getsockname(bench->fd, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(server, sizeof(server), "http://127.0.0.1:%u", ntohs(address.sin_port));
    config->server = server;
    config->proxy_url = "";
    bench->listener = loop_io_new(bench->loop, on_connection, bench);
    loop_io_start(bench->listener, bench->fd, LOOP_READ);
    bench->guard = loop_timer_new(bench->loop, on_guard, bench);
    loop_timer_start(bench->guard, GUARD_MS);
    bench->dns = dns_new(bench->loop, NULL, NULL);
    bench->http = http_new(bench->loop, bench->dns, NULL);
    assert_non_null(bench->http);
    assert_int_equal(kube_client_new(bench->http, bench->loop, config, "east", &bench->client, NULL), ERR_OK);
}

static void tear_down(struct bench *bench)
{
    list_watch_free(bench->watch);
    kube_client_free(bench->client);
    http_free(bench->http);
    dns_free(bench->dns);
    for (unsigned i = 0; i < bench->connection_count; i++) {
        if (bench->connections[i].fd >= 0)
            hang_up(&bench->connections[i]);
        loop_io_free(bench->connections[i].io);
        loop_timer_free(bench->connections[i].timer);
    }
    loop_io_free(bench->listener);
    loop_timer_free(bench->guard);
    (void)close(bench->fd);
    loop_free(bench->loop);
}

/* ---- the owner of a list_watch ---- */

static void note(struct bench *bench, const char *word)
{
    size_t used = strlen(bench->log);
    (void)snprintf(bench->log + used, sizeof(bench->log) - used, "%s%s", used > 0 ? " " : "", word);
    if (bench->free_on != NULL && strcmp(bench->free_on, word) == 0)
        list_watch_free(TAKE(bench->watch));
    if (strcmp(bench->log, bench->expected) == 0)
        loop_stop(bench->loop);
}

static enum err_code on_object(void *context, enum change change, const struct json_tree *object)
{
    char word[64];
    const char *name = json_tree_text(json_tree_get(json_tree_get(object, "metadata"), "name"));
    (void)snprintf(word, sizeof(word), "%c:%.32s", "LAMD"[change], name != NULL ? name : "?");
    note(context, word);
    return ERR_OK;
}

static void on_begin(void *context) { note(context, "begin"); }
static void on_end(void *context) { note(context, "end"); }

/* Does not wait for the back-off. */
static void on_state(void *context, const struct list_watch_state *state)
{
    struct bench *bench = context;
    char word[64];
    if (state->healthy)
        return;
    (void)snprintf(bench->error, sizeof(bench->error), "%s", state->error.text);
    list_watch_retry_now(bench->watch);
    (void)snprintf(word, sizeof(word), "down(%s)", err_code_name(state->error.code));
    note(bench, word);
}

#define CHUNKED "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
#define SIZED(bytes) "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " #bytes "\r\n\r\n"
#define UNSIZED "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
/* 104 bytes */
#define LIST                                                                                                           \
    "{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"10\"},\"items\":[{\"metadata\":{\"name\":\"a\"}}]," \
    "\"x\":\"___\"}"
#define LIST_REPLY REPLY(BREAKS_OFF, "GET /api/v1/services?limit", SIZED(104), LIST)
#define EVENT(name, version)                                                                                           \
    "{\"type\":\"ADDED\",\"object\":{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}}\n"
#define WATCH "GET /api/v1/services?watch=1&allowWatchBookmarks=true&resourceVersion="

struct scenario {
    const char *name;
    const struct reply *replies;
    const char *log, *words; /* of the last failure */
    const char *free_on;
};

static const struct reply regular[] = {
    REPLY(ENDS, "GET /api/v1/services?limit", CHUNKED, "{\"kind\":\"ServiceList\",\"metadata\"",
          ":{\"resourceVersion\":\"10\"},\"items\":[{\"metadata\":{\"name\":\"a\"}}],\"x\":\"___\"}"),
    REPLY(ENDS, WATCH "10", CHUNKED, EVENT("b", "11"), "{\"type\":\"ADDED\",\"object\":{\"metad",
          "ata\":{\"name\":\"c\",\"resourceVersion\":\"12\"}}}\n"),
    REPLY(KEEPS, WATCH "12", CHUNKED, EVENT("d", "13")),
    NO_MORE,
};
static const struct reply list_cut[] = {
    REPLY(BREAKS_OFF, NULL, SIZED(104), "{\"kind\":\"ServiceList\",\"items\":[{\"metadata\":{\"name\":\"a\"}},"),
    REPLY(BREAKS_OFF, NULL, CHUNKED, "{\"kind\":\"ServiceList\",\"metadata\""),
    REPLY(BREAKS_OFF, NULL, UNSIZED, "{\"kind\":\"ServiceList\",\"items\":["),
    LIST_REPLY,
    NO_MORE,
};
static const struct reply list_reset[] = {
    REPLY(RESETS, NULL, SIZED(104)),
    REPLY(RESETS, NULL, "HTTP/1.1 200 OK\r\nContent-"),
    REPLY(RESETS, NULL, ""),
    LIST_REPLY,
    NO_MORE,
};
static const struct reply watch_cut[] = {
    LIST_REPLY,
    REPLY(BREAKS_OFF, WATCH "10", CHUNKED, EVENT("b", "11"), "{\"type\":\"ADDED\",\"object\":{\"metad"),
    REPLY(RESETS, WATCH "11", CHUNKED, EVENT("c", "12")),
    REPLY(BREAKS_OFF, WATCH "12", UNSIZED, EVENT("d", "13"), "{\"type\""),
    REPLY(KEEPS, WATCH "13", CHUNKED, EVENT("e", "14")),
    NO_MORE,
};
static const struct reply busy[] = {
    REPLY(BREAKS_OFF, NULL, "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"),
    REPLY(BREAKS_OFF, NULL, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 4\r\n\r\nsoon"),
    LIST_REPLY,
    REPLY(BREAKS_OFF, WATCH "10", "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n"),
    REPLY(KEEPS, WATCH "10", CHUNKED, EVENT("b", "11")),
    NO_MORE,
};
static const struct reply nonsense[] = {
    REPLY(BREAKS_OFF, NULL, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"),
    REPLY(BREAKS_OFF, NULL, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 6\r\n\r\n{\"a\":1"),
    REPLY(BREAKS_OFF, NULL, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
    REPLY(BREAKS_OFF, NULL, "HTTP/1.1 204 No Content\r\n\r\n"),
    LIST_REPLY,
    NO_MORE,
};
static const struct reply gone[] = {
    LIST_REPLY,
    REPLY(KEEPS, WATCH "10", CHUNKED, EVENT("b", "11"),
          "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\"}}"),
    REPLY(BREAKS_OFF, "GET /api/v1/services?resourceVersion=11 ", "HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"),
    REPLY(BREAKS_OFF, "GET /api/v1/services?limit=500 ", SIZED(104), LIST),
    REPLY(KEEPS, WATCH "10", CHUNKED),
    NO_MORE,
};

static void lives_with_the_network(void **state)
{
    (void)state;
    static const struct scenario cases[] = {
        {"regular", regular, "begin L:a end A:b A:c A:d", "", NULL},
        {"list cut", list_cut, "begin L:a down(connect) down(connect) down(protocol) begin L:a end", "", NULL},
        {"list reset", list_reset, "down(connect) down(connect) down(connect) begin L:a end", "", NULL},
        {"watch cut", watch_cut, "begin L:a end A:b A:c A:d A:e", "", NULL},
        {"busy", busy, "down(busy) down(busy) begin L:a end down(busy) A:b", "429", NULL},
        {"nonsense", nonsense, "down(protocol) down(protocol) down(protocol) down(protocol) begin L:a end", "204",
         NULL},
        {"gone", gone, "begin L:a end A:b begin L:a end", "", NULL},
        {"freed in a listing", regular, "begin L:a", "", "L:a"},
        {"freed at its end", regular, "begin L:a end", "", "end"},
        {"freed in a watch", regular, "begin L:a end A:b", "", "A:b"},
        {"freed in a failure", busy, "down(busy)", "", "down(busy)"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct kubeconfig config = {.token = "t"};
        struct bench bench;
        set_up(&bench, cases[i].replies, &config);
        bench.expected = cases[i].log;
        bench.free_on = cases[i].free_on;
        const struct list_watch_config services = {.resource = "services",
                                                   .kind = "Service",
                                                   .path = "/api/v1/services",
                                                   .on_object = on_object,
                                                   .on_begin = on_begin,
                                                   .on_end = on_end,
                                                   .on_state = on_state,
                                                   .context = &bench};
        assert_int_equal(list_watch_new(bench.loop, bench.client, &services, &bench.watch, NULL), ERR_OK);
        loop_run(bench.loop);
        if (bench.timed_out || strstr(bench.error, cases[i].words) == NULL)
            fail_msg("%s: %s, %s", cases[i].name, bench.log, bench.error);
        assert_string_equal(bench.authorization, "Authorization: Bearer t");
        tear_down(&bench);
    }
}

/* ---- single requests ---- */

struct asked {
    struct bench *bench;
    struct kube_request request;
    enum err_code code;
    char text[ERR_TEXT_BYTES], answer[32];
};

static void on_asked(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct asked *asked = request->context;
    const char *name = json_string_value(json_object_get(object, "name"));
    asked->code = failure != NULL ? failure->error.code : ERR_OK;
    (void)snprintf(asked->text, sizeof(asked->text), "%s", failure != NULL ? failure->error.text : "");
    (void)snprintf(asked->answer, sizeof(asked->answer), "%s", name != NULL ? name : "");
    loop_stop(asked->bench->loop);
}

static void tries_again_with_a_new_token(void **state)
{
    (void)state;
    static const struct reply replies[] = {
        REPLY(BREAKS_OFF, "POST /api/v1/namespaces/n/services",
              "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"),
        REPLY(BREAKS_OFF, "POST /api/v1/namespaces/n/services",
              "HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n{\"name\":\"x\"}"),
        REPLY(BREAKS_OFF, "POST /api/v1/namespaces/n/services",
              "HTTP/1.1 403 Forbidden\r\nContent-Length: 27\r\n\r\n{\"message\":\"you may not \"}\n"),
        NO_MORE,
    };
    char path[] = "/tmp/test_kube_wire_XXXXXX", body[] = "{\"metadata\":{\"name\":\"web\"}}";
    int fd = mkstemp(path);
    assert_int_equal(write(fd, "two\n", 4), 4);
    assert_int_equal(close(fd), 0);
    struct kubeconfig config = {.token = "one", .token_file = path};
    struct bench bench;
    set_up(&bench, replies, &config);
    struct asked asked = {.bench = &bench};
    for (unsigned i = 0; i < 2; i++) {
        asked.request = (struct kube_request){.verb = "create",
                                              .resource = "services",
                                              .path = "/api/v1/namespaces/n/services",
                                              .body = body,
                                              .body_bytes = strlen(body),
                                              .on_done = on_asked,
                                              .context = &asked};
        assert_int_equal(kube_start(bench.client, &asked.request, NULL), ERR_OK);
        loop_run(bench.loop);
        assert_false(bench.timed_out);
        assert_string_equal(bench.authorization, "Authorization: Bearer two");
        assert_int_equal(asked.code, i == 0 ? ERR_OK : ERR_FORBIDDEN);
        assert_string_equal(asked.answer, i == 0 ? "x" : "");
    }
    assert_string_equal(asked.text, "create Service n/web in cluster east: 403 Forbidden: you may not ");
    tear_down(&bench);
    (void)unlink(path);
}

static int set_up_all(void **state)
{
    (void)state;
    kube_setup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lives_with_the_network),
        cmocka_unit_test(tries_again_with_a_new_token),
    };
    return cmocka_run_group_tests(tests, set_up_all, NULL);
}
