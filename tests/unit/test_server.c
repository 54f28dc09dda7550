/* links: agent_admin */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/syscall.h>
#include <time.h>

#include "agent/admin/server.h"
#include "base/mem.h"
#include "tests/unit/admin_client.h"

/* The clock of this program and of the libraries it uses, so that nobody has to wait for an idle connection to end. */
static time_t skipped_s;

__attribute__((visibility("default"))) int clock_gettime(clockid_t __clock_id, struct timespec *__tp) /* libc's names */
{
    long result = syscall(SYS_clock_gettime, __clock_id, __tp);
    __tp->tv_sec += skipped_s;
    return (int)result;
}

static struct loop *loop;
static struct admin_server *server;

/* ---- what is served here ---- */

static void serve_hello(void *context, const struct admin_request *request, struct admin_response *response)
{
    const char *name = admin_request_query(request, "name");
    strbuf_printf(&response->body, "%s %s\n", (const char *)context, name != NULL ? name : "nobody");
}

static void serve_page(void *context, const struct admin_request *request, struct admin_response *response)
{
    (void)context;
    (void)request;
    response->content_type = "text/html; charset=utf-8";
    response->html = true;
    strbuf_append(&response->body, "<p>");
}

static void serve_error(void *context, const struct admin_request *request, struct admin_response *response)
{
    (void)context;
    (void)request;
    strbuf_append(&response->body, "half of it");
    admin_response_error(response, 503, "no \"luck\"", "try again");
}

enum { LARGE_BYTES = 5 << 20 };

static void serve_large(void *context, const struct admin_request *request, struct admin_response *response)
{
    (void)context;
    (void)request;
    for (unsigned i = 0; i < LARGE_BYTES / 16; i++)
        strbuf_append(&response->body, "0123456789abcde\n");
}

static void serve_out_of_memory(void *context, const struct admin_request *request, struct admin_response *response)
{
    (void)context;
    (void)request;
    mem_fail_at(1);
    strbuf_append(&response->body, "does not fit");
    mem_fail_at(0);
}

static const struct admin_route ROUTES[] = {{"/hello", serve_hello},          {"/page", serve_page},
                                            {"/error", serve_error},          {"/large", serve_large},
                                            {"/memory", serve_out_of_memory}, {0}};

static int start(void **state)
{
    (void)state;
    static char greeting[] = "hello";
    struct err error = {0};
    loop = loop_new();
    if (admin_server_new(loop, "127.0.0.1:0", ROUTES, greeting, &server, &error) != ERR_OK)
        fail_msg("%s", error.text);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    admin_server_free(server);
    loop_free(loop);
    return 0;
}

/* Sends, checks the first line of the reply, and gives the reply to check more; new. */
static char *expect(const char *request, const char *status_line)
{
    char *reply = admin_client_send(loop, server, request);
    if (strncmp(reply, status_line, strlen(status_line)) != 0)
        fail_msg("expected %s, got: %s", status_line, reply);
    return reply;
}

/* ---- tests ---- */

static void a_route_is_served(void **state)
{
    (void)state;
    char *reply = admin_client_get(loop, server, "/hello?x=1&name=K%C3%B6ln+a%26b");
    assert_non_null(strstr(reply, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(reply, "Content-Type: text/plain; charset=utf-8\r\n"));
    assert_non_null(strstr(reply, "X-Content-Type-Options: nosniff\r\n"));
    assert_non_null(strstr(reply, "Cache-Control: no-store\r\n"));
    assert_non_null(strstr(reply, "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"));
    assert_null(strstr(reply, "Allow:"));
    assert_string_equal(admin_client_body(reply), "hello K\xc3\xb6ln a&b\n");
    mem_free(reply);

    reply = admin_client_get(loop, server, "/hello");
    assert_string_equal(admin_client_body(reply), "hello nobody\n");
    mem_free(reply);
    reply = admin_client_get(loop, server, "/hello?name");
    assert_string_equal(admin_client_body(reply), "hello \n");
    mem_free(reply);
}

static void a_page_may_have_styles_and_nothing_else(void **state)
{
    (void)state;
    char *reply = admin_client_get(loop, server, "/page");
    assert_non_null(strstr(reply, "Content-Type: text/html; charset=utf-8\r\n"));
    assert_non_null(strstr(reply,
                           "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
                           "connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
                           "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'\r\n"));
    mem_free(reply);
}

static void head_has_no_body(void **state)
{
    (void)state;
    char *reply = expect("HEAD /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(reply, "Content-Length: 13\r\n"));
    assert_string_equal(admin_client_body(reply), "");
    mem_free(reply);
}

static void unknown_paths(void **state)
{
    (void)state;
    static const char *const PATHS[] = {"/", "/hello/", "/HELLO", "//hello", "/../hello", "/favicon.ico"};
    for (size_t i = 0; i < ARRAY_COUNT(PATHS); i++) {
        char *reply = admin_client_get(loop, server, PATHS[i]);
        assert_non_null(strstr(reply, "HTTP/1.1 404 Not Found\r\n"));
        assert_non_null(strstr(reply, "Content-Type: application/json\r\n"));
        assert_string_equal(admin_client_body(reply), "{\"error\":\"no such path\",\"hint\":\"there are /hello, /page, "
                                                      "/error, /large, /memory\"}\n");
        mem_free(reply);
    }
}

static void other_methods(void **state)
{
    (void)state;
    static const char *const REQUESTS[] = {
        "POST /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        "POST /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
        "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n", /* nobody waits for its body */
        "DELETE /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "BREW /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_COUNT(REQUESTS); i++) {
        char *reply = expect(REQUESTS[i], "HTTP/1.1 405 Method Not Allowed\r\n");
        assert_non_null(strstr(reply, "Allow: GET, HEAD\r\n"));
        assert_non_null(
            strstr(reply, "{\"error\":\"only GET and HEAD are answered\",\"hint\":\"nothing can be changed here"));
        mem_free(reply);
    }
}

static void errors_of_handlers(void **state)
{
    (void)state;
    char *reply = admin_client_get(loop, server, "/error");
    assert_non_null(strstr(reply, "HTTP/1.1 503 Service Unavailable\r\n"));
    assert_string_equal(admin_client_body(reply), "{\"error\":\"no \\\"luck\\\"\",\"hint\":\"try again\"}\n");
    mem_free(reply);
    reply = admin_client_get(loop, server, "/memory");
    assert_non_null(strstr(reply, "HTTP/1.1 500 Internal Server Error\r\n"));
    assert_non_null(strstr(reply, "{\"error\":\"out of memory\""));
    mem_free(reply);
}

static void large_answers_arrive_whole(void **state)
{
    (void)state;
    char *reply = admin_client_get(loop, server, "/large");
    assert_int_equal(strlen(admin_client_body(reply)), LARGE_BYTES);
    mem_free(reply);
}

static void a_connection_is_kept(void **state)
{
    (void)state;
    char *reply = expect("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"
                         "GET /hello?name=second HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                         "HTTP/1.1 200 OK\r\n");
    assert_non_null(strstr(reply, "\r\n\r\nhello nobody\nHTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(reply, "hello second\n"));
    mem_free(reply);
}

static void a_get_with_a_body_is_served(void **state)
{
    (void)state;
    char *reply = expect("GET /hello HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
                         "HTTP/1.1 200 OK\r\n");
    assert_string_equal(admin_client_body(reply), "hello nobody\n");
    mem_free(reply);
}

static void what_is_no_http(void **state)
{
    (void)state;
    static const char *const REQUESTS[] = {"hello\r\n\r\n", "\x16\x03\x01\x02\x01\r\n\r\n",
                                           "GET /hello HTTP/9.9\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_COUNT(REQUESTS); i++) {
        char *reply = admin_client_send(loop, server, REQUESTS[i]);
        assert_null(strstr(reply, "hello nobody"));
        mem_free(reply);
    }
}

static void headers_are_bounded(void **state)
{
    (void)state;
    struct strbuf request;
    strbuf_init(&request, 1 << 20);
    strbuf_append(&request, "GET /hello HTTP/1.1\r\nHost: x\r\n");
    for (unsigned i = 0; i < 1000; i++)
        strbuf_printf(&request,
                      "X-Header-%u: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n", i);
    strbuf_append(&request, "\r\n");
    char *reply = admin_client_send(loop, server, strbuf_text(&request));
    assert_null(strstr(reply, "200 OK"));
    mem_free(reply);
    strbuf_done(&request);
}

static void skip_time(void *context)
{
    (void)context;
    skipped_s += 20;
}

/* A client that says nothing, or never comes to an end, is left. */
static void idle_connections_are_closed(void **state)
{
    (void)state;
    int idle = admin_client_connect(admin_server_port(server));
    char *reply = admin_client_get(loop, server, "/hello"); /* others are served meanwhile */
    assert_string_equal(admin_client_body(reply), "hello nobody\n");
    mem_free(reply);
    struct loop_timer *timer = loop_timer_new(loop, skip_time, NULL);
    loop_timer_start(timer, 50);
    reply = admin_client_send(loop, server, "GET /hello HTTP/1.1\r\nHost:"); /* returns when the server closes */
    assert_null(strstr(reply, "hello nobody"));
    mem_free(reply);
    char byte;
    assert_int_equal(recv(idle, &byte, 1, MSG_DONTWAIT), 0);
    (void)close(idle);
    loop_timer_free(timer);
}

static void connections_are_bounded(void **state)
{
    (void)state;
    enum { MANY = 120, BACKLOG = 30 }; /* over what one client may have; and what waits for the server to run */
    int fds[MANY];
    unsigned refused = 0;
    for (unsigned i = 0; i < MANY; i++) {
        fds[i] = admin_client_connect(admin_server_port(server));
        if (i % BACKLOG != BACKLOG - 1)
            continue;
        char *reply = admin_client_get(loop, server, "/hello");
        refused += reply[0] == '\0' ? 1 : 0; /* closed at once rather than kept waiting */
        mem_free(reply);
    }
    assert_int_equal(refused, 1);
    for (unsigned i = 0; i < MANY; i++)
        (void)close(fds[i]);
    /* Those that are gone count no longer, once the server has seen it. */
    char *reply = admin_client_get(loop, server, "/hello");
    mem_free(reply);
    reply = admin_client_get(loop, server, "/hello");
    assert_string_equal(admin_client_body(reply), "hello nobody\n");
    mem_free(reply);
}

static void a_port_in_use_is_an_error(void **state)
{
    (void)state;
    char address[64];
    struct admin_server *second = NULL;
    struct err error = {0};
    (void)snprintf(address, sizeof(address), "127.0.0.1:%u", admin_server_port(server));
    assert_int_equal(admin_server_new(loop, address, ROUTES, NULL, &second, &error), ERR_IO);
    assert_null(second);
    assert_non_null(strstr(error.text, address));
    assert_non_null(strstr(error.text, "Address already in use"));
    assert_int_equal(admin_server_new(loop, "nowhere", ROUTES, NULL, &second, &error), ERR_INVALID);
    admin_server_free(NULL);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(a_route_is_served),
        SERVED(a_page_may_have_styles_and_nothing_else),
        SERVED(head_has_no_body),
        SERVED(unknown_paths),
        SERVED(other_methods),
        SERVED(errors_of_handlers),
        SERVED(large_answers_arrive_whole),
        SERVED(a_connection_is_kept),
        SERVED(a_get_with_a_body_is_served),
        SERVED(what_is_no_http),
        SERVED(headers_are_bounded),
        SERVED(idle_connections_are_closed),
        SERVED(connections_are_bounded),
        SERVED(a_port_in_use_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
