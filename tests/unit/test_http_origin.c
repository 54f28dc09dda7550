/* links: agent_net agent_loop base http_bench.c fake_server.c fake_dns.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "http_bench.h"
#include "sweep.h"

/* Made once: keys take time. */
static struct fake_certificate root, other_root, server, expired, client, foreign_client;

static int make_certificates(void **state)
{
    (void)state;
    fake_certificate_root(&root, "Root of the tests");
    fake_certificate_root(&other_root, "Another root");
    fake_certificate_sign(&root, "server", "DNS:east.example.test,DNS:kubernetes.default,IP:127.0.0.1", 30, &server);
    fake_certificate_sign(&root, "server", "IP:127.0.0.1", -1, &expired);
    fake_certificate_sign(&root, "an agent", NULL, 30, &client);
    fake_certificate_sign(&other_root, "a stranger", NULL, 30, &foreign_client);
    return 0;
}

/* A server with TLS, and its URL by the name. */
static void open_tls(struct http_bench *bench, const char *host)
{
    http_bench_init(bench);
    fake_server_use_tls(&bench->server, &server, NULL);
    (void)snprintf(bench->url, sizeof(bench->url), "https://%s:%u", host, bench->server.port);
    bench->names.records[0] =
        (struct fake_dns_record){.name = "east.example.test", .addresses = "127.0.0.1", .ttl_s = 60};
}

/* --- configuration --- */

static void what_cannot_be_a_server_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *url, *proxy, *says, *hides;
    } CASES[] = {
        {"", NULL, "write https://host:port", NULL},
        {"east:6443", NULL, "", NULL},
        {"https://", NULL, "write https://host:port", NULL},
        {"https://east:99999", NULL, "write https://host:port", NULL},
        {"ftp://east", NULL, "only https and http", NULL},
        {"unix:///run/x", NULL, "", NULL},
        {"https://user:secret@east", NULL, "write https://host:port", "secret"},
        {"https://east/?a=b", NULL, "no query", NULL},
        {"https://east/#a", NULL, "no fragment", NULL},
        {"https://east", "socks4://p:1", "socks5://", NULL},
        {"https://east", "socks4a://p:1", "socks5://", NULL},
        {"https://east", "ftp://me:secret@p:1", "socks5://", "secret"},
        {"https://east", "http://me:secret@p:99999", "proxy", "secret"},
        {"https://east", "http://", "proxy", NULL},
    };
    struct http_bench bench;
    http_bench_init(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct http_origin *origin = NULL;
        struct err error = {0};
        const struct http_origin_config config = {.base_url = CASES[i].url, .proxy_url = CASES[i].proxy};
        enum err_code code = http_origin_new(bench.http, &config, &origin, &error);
        if (code != ERR_INVALID || strstr(error.text, CASES[i].says) == NULL ||
            (CASES[i].hides != NULL && strstr(error.text, CASES[i].hides) != NULL))
            fail_msg("%s, %s: %s \"%s\"", CASES[i].url, CASES[i].proxy, err_code_name(code), error.text);
        assert_null(origin);
    }
    http_origin_free(NULL);
    http_bench_done(&bench);
}

static void a_server_may_have_a_prefix(void **state)
{
    (void)state;
    static const char *const CASES[][2] = {{"", "GET /api "},
                                           {"/", "GET /api "},
                                           {"/k8s/c-1", "GET /k8s/c-1/api "},
                                           {"/k8s/c-1/", "GET /k8s/c-1/api "}};
    struct http_bench bench;
    http_bench_init(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct asked asked = {0};
        char url[128];
        (void)snprintf(url, sizeof(url), "%s%s", bench.url, CASES[i][0]);
        struct http_origin *origin =
            http_bench_origin(&bench, &(struct http_origin_config){.base_url = url, .user_agent = "tester/1"});
        http_bench_ask_on(&bench, origin, &asked, "/api");
        http_bench_expect_ok(&asked, 200, "hello");
        assert_int_equal(strncmp(bench.server.last_request, CASES[i][1], strlen(CASES[i][1])), 0);
        assert_non_null(strstr(bench.server.last_request, "\r\nUser-Agent: tester/1\r\n"));
        http_origin_free(origin);
    }
    http_bench_done(&bench);
}

static void ipv6_is_written_with_brackets(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    struct fake_server v6;
    char url[64], peer[64];
    http_bench_init(&bench);
    fake_server_init(&v6, bench.loop, true);
    if (v6.listen_fd >= 0) {
        (void)snprintf(url, sizeof(url), "http://[::1]:%u", v6.port);
        (void)snprintf(peer, sizeof(peer), "[::1]:%u", v6.port);
        bench.origin = http_bench_origin(&bench, &(struct http_origin_config){.base_url = url});
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_ok(&asked, 200, "hello");
        assert_string_equal(asked.call.peer, peer);
        assert_int_equal(bench.names.questions, 0);
    }
    fake_server_done(&v6);
    http_bench_done(&bench);
}

/* --- names --- */

static void open_named(struct http_bench *bench, const char *host, const char *addresses)
{
    http_bench_init(bench);
    bench->names.records[0] = (struct fake_dns_record){.name = "gw.example.test", .addresses = addresses, .ttl_s = 0};
    (void)snprintf(bench->url, sizeof(bench->url), "http://%s:%u", host, bench->server.port);
    bench->origin = http_bench_origin(bench, &(struct http_origin_config){.base_url = bench->url});
}

static void names_are_resolved_by_us(void **state)
{
    (void)state;
    static const char *const HOSTS[] = {"gw.example.test", "GW.Example.Test", "gw.example.test."};
    for (size_t i = 0; i < ARRAY_COUNT(HOSTS); i++) {
        struct http_bench bench;
        struct asked asked = {0};
        open_named(&bench, HOSTS[i], "127.0.0.1");
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_ok(&asked, 200, "hello");
        assert_int_equal(strncmp(asked.call.peer, "127.0.0.1:", 10), 0);
        assert_int_equal(bench.names.a_questions, 1);
        http_bench_done(&bench);
    }
}

static void the_next_address_is_tried(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    /* Nothing listens on the first ones in the order of answers. */
    open_named(&bench, "gw.example.test", "127.0.0.1,::1,127.0.0.2");
    fake_server_stop(&bench.server, false);
    struct fake_server v6;
    fake_server_init(&v6, bench.loop, true);
    fake_server_stop(&v6, false);
    v6.port = bench.server.port;
    fake_server_start(&v6);
    if (v6.listen_fd >= 0) {
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_ok(&asked, 200, "hello");
        assert_int_equal(strncmp(asked.call.peer, "[::1]:", 6), 0);
    }
    fake_server_stop(&v6, false);
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_error(&asked, ERR_CONNECT, bench.url, ": Connection refused");
    assert_non_null(strstr(asked.error.text, " at "));
    fake_server_done(&v6);
    http_bench_done(&bench);
}

static void a_name_that_moves_is_followed(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    open_named(&bench, "gw.example.test", "127.0.0.9");
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_error(&asked, ERR_CONNECT, "http://gw.example.test:", ": Connection refused");
    assert_non_null(strstr(asked.error.text, " at 127.0.0.9:"));
    bench.names.records[0].addresses = "127.0.0.1";
    http_bench_run_for(&bench, 1050);
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_ok(&asked, 200, "hello");
    http_bench_done(&bench);
}

static void a_name_that_is_none_is_told(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    open_named(&bench, "nowhere.example.test", "127.0.0.1");
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_error(&asked, ERR_RESOLVE, bench.url, ": resolve nowhere.example.test: Domain name not found");
    http_bench_done(&bench);
}

static void resolving_counts_towards_the_deadline(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.call.timeout_ms = 100}, cancelled = {0};
    open_named(&bench, "gw.example.test", "127.0.0.1");
    bench.names.silent = true;
    http_bench_start(&bench, &cancelled, "/p");
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_error(&asked, ERR_TIMEOUT, bench.url, ": gw.example.test not resolved within 100 ms");
    http_cancel(&cancelled.call);
    assert_int_equal(http_origin_in_flight(bench.origin), 0);
    http_bench_done(&bench);
}

static void an_origin_goes_while_its_name_is_asked_for(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    open_named(&bench, "gw.example.test", "127.0.0.1");
    http_bench_start(&bench, &asked, "/p");
    http_origin_free(bench.origin);
    bench.origin = NULL;
    http_bench_run_for(&bench, 30);
    assert_int_equal(asked.finished, 0);
    http_bench_done(&bench);
}

/* --- TLS --- */

static void the_name_in_the_url_is_what_the_certificate_must_have(void **state)
{
    (void)state;
    static const struct {
        const char *host, *server_name, *sni, *error;
    } CASES[] = {
        {"127.0.0.1", NULL, "", NULL},
        {"east.example.test", NULL, "east.example.test", NULL},
        {"127.0.0.1", "kubernetes.default", "kubernetes.default", NULL},
        {"east.example.test", "kubernetes.default", "kubernetes.default", NULL},
        {"east.example.test", "east.example.test", "east.example.test", NULL},
        {"127.0.0.1", "west.example.test", "", "no alternative certificate subject name matches"},
        {"wrong.example.test", NULL, "", "no alternative certificate subject name matches"},
        {"wrong.example.test", "east.example.test", "east.example.test", NULL},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct http_bench bench;
        struct asked asked = {0};
        char host[128];
        open_tls(&bench, CASES[i].host);
        bench.names.records[1] =
            (struct fake_dns_record){.name = "wrong.example.test", .addresses = "127.0.0.1", .ttl_s = 60};
        bench.origin = http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url,
                                                                              .ca_pem = root.certificate,
                                                                              .tls_server_name = CASES[i].server_name});
        http_bench_ask(&bench, &asked, "/p");
        if (CASES[i].error != NULL) {
            http_bench_expect_error(&asked, ERR_TLS, bench.url, "");
            assert_non_null(strstr(asked.error.text, CASES[i].error));
        } else {
            http_bench_expect_ok(&asked, 200, "hello");
            assert_string_equal(bench.server.server_name, CASES[i].sni);
            (void)snprintf(host, sizeof(host), "\r\nHost: %s:%u\r\n", CASES[i].host, bench.server.port);
            assert_non_null(strstr(bench.server.last_request, host));
        }
        http_bench_done(&bench);
    }
}

static void a_certificate_that_is_not_trusted_says_why(void **state)
{
    (void)state;
    const struct {
        const struct fake_certificate *own;
        const char *ca, *says;
    } cases[] = {
        {&server, other_root.certificate, "unable to get local issuer certificate"},
        {&server, NULL, "unable to get local issuer certificate"}, /* the system's */
        {&expired, root.certificate, "certificate has expired"},
        {&server, "not a certificate", ""},
        {&server, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct http_bench bench;
        struct asked asked = {0};
        open_tls(&bench, "127.0.0.1");
        fake_server_use_tls(&bench.server, cases[i].own, NULL);
        const struct http_origin_config config = {.base_url = bench.url, .ca_pem = cases[i].ca};
        bench.origin = http_bench_origin(&bench, &config);
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_error(&asked, ERR_TLS, bench.url, "");
        if (strstr(asked.error.text, cases[i].says) == NULL)
            fail_msg("case %zu: %s", i, asked.error.text);
        http_bench_done(&bench);
    }
}

static void compression_may_be_left_out(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct http_bench bench;
        struct asked asked = {0};
        http_bench_init(&bench);
        bench.origin =
            http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url, .no_compression = i == 1});
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_ok(&asked, 200, "hello");
        assert_int_equal(strstr(bench.server.last_request, "Accept-Encoding: gzip\r\n") != NULL, i == 0);
        assert_int_equal(strstr(bench.server.last_request, "Accept-Encoding") != NULL, i == 0);
        http_bench_done(&bench);
    }
}

static void verification_may_be_skipped(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    open_tls(&bench, "127.0.0.1");
    fake_server_use_tls(&bench.server, &expired, NULL);
    bench.origin =
        http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url, .insecure_skip_verify = true});
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_ok(&asked, 200, "hello");
    http_bench_done(&bench);
}

static void a_client_shows_its_certificate(void **state)
{
    (void)state;
    const struct {
        const char *certificate, *key;
        enum err_code code;
    } cases[] = {
        {client.certificate, client.key, ERR_OK},
        {foreign_client.certificate, foreign_client.key, ERR_TLS},
        {client.certificate, foreign_client.key, ERR_TLS},
        {client.certificate, NULL, ERR_TLS},
        {"nonsense", "nonsense", ERR_TLS},
        {NULL, NULL, ERR_TLS},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct http_bench bench;
        struct asked asked = {0};
        open_tls(&bench, "east.example.test");
        fake_server_use_tls(&bench.server, &server, &root);
        bench.origin = http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url,
                                                                              .ca_pem = root.certificate,
                                                                              .cert_pem = cases[i].certificate,
                                                                              .key_pem = cases[i].key});
        http_bench_ask(&bench, &asked, "/p");
        if (cases[i].code == ERR_OK) {
            http_bench_expect_ok(&asked, 200, "hello");
            assert_string_equal(bench.server.client_name, "an agent");
        } else {
            http_bench_expect_error(&asked, cases[i].code, bench.url, "");
        }
        http_bench_done(&bench);
    }
}

static void end_after_answer(struct fake_server_connection *connection, void *context)
{
    (void)context;
    fake_server_send(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello");
    fake_server_end(connection, false);
}

static void a_new_connection_resumes_the_session(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    open_tls(&bench, "east.example.test");
    const struct http_origin_config config = {.base_url = bench.url, .ca_pem = root.certificate};
    bench.origin = http_bench_origin(&bench, &config);
    bench.server.on_request = end_after_answer;
    for (unsigned i = 0; i < 3; i++) {
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_ok(&asked, 200, "hello");
        assert_int_equal(bench.server.accepted, i + 1);
        assert_int_equal(bench.server.resumed, i);
    }
    /* Not on another origin: it may be somebody else. */
    struct http_origin *other = http_bench_origin(&bench, &config);
    http_bench_ask_on(&bench, other, &asked, "/p");
    http_bench_expect_ok(&asked, 200, "hello");
    assert_int_equal(bench.server.resumed, 2);
    http_origin_free(other);
    http_bench_done(&bench);
}

static void calls_and_connections_over_tls(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.streams = true};
    static char body[300000];
    open_tls(&bench, "east.example.test");
    bench.origin =
        http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url, .ca_pem = root.certificate});
    (void)snprintf(body, sizeof(body), "HTTP/1.1 200 OK\r\nContent-Length: 250000\r\n\r\n");
    size_t head = strlen(body);
    memset(body + head, 'x', 250000);
    bench.server.answer = body;
    for (int i = 0; i < 3; i++) {
        http_bench_ask(&bench, &asked, "/p");
        assert_int_equal(asked.error.code, ERR_OK);
        assert_int_equal(asked.text_bytes, 250000);
    }
    assert_int_equal(bench.server.accepted, 1);
    http_bench_done(&bench);
}

static void a_server_without_tls_is_told_from_one_that_is_silent(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {0};
    http_bench_init(&bench);
    (void)snprintf(bench.url, sizeof(bench.url), "https://127.0.0.1:%u", bench.server.port);
    /* Each is told by what it does, not by how long it takes. */
    struct http_origin *impatient =
        http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url, .connect_timeout_ms = 300});
    bench.origin = http_bench_origin(&bench, &(struct http_origin_config){.base_url = bench.url});
    bench.server.deaf = true;
    bench.server.greeting = "SSH-2.0-OpenSSH_9.2\r\n";
    http_bench_ask(&bench, &asked, "/p");
    http_bench_expect_error(&asked, ERR_TLS, bench.url, "");
    bench.server.greeting = NULL;
    http_bench_ask_on(&bench, impatient, &asked, "/p");
    http_bench_expect_error(&asked, ERR_TIMEOUT, bench.url, "");
    http_origin_free(impatient);
    http_bench_done(&bench);
}

/* --- proxies --- */

struct proxied {
    struct http_bench bench;
    char proxy[128];
};

/* The fake server is both: the proxy, and behind it the target. */
static void open_proxied(struct proxied *proxied, const char *scheme, const char *user, enum fake_server_proxy kind)
{
    http_bench_init(&proxied->bench);
    proxied->bench.server.proxy = kind;
    (void)snprintf(proxied->proxy, sizeof(proxied->proxy), "%s%s127.0.0.1:%u", scheme, user,
                   proxied->bench.server.port);
}

static void https_goes_through_a_tunnel(void **state)
{
    (void)state;
    static const struct {
        const char *scheme, *user, *server_name;
        enum fake_server_proxy kind;
    } CASES[] = {
        {"http://", "", NULL, FAKE_HTTP_PROXY},
        {"", "", NULL, FAKE_HTTP_PROXY},
        {"http://", "me:p%40ss@", NULL, FAKE_HTTP_PROXY},
        {"http://", "", "kubernetes.default", FAKE_HTTP_PROXY},
        {"socks5://", "", NULL, FAKE_SOCKS_PROXY},
        {"socks5h://", "", NULL, FAKE_SOCKS_PROXY},
        {"socks5://", "", "kubernetes.default", FAKE_SOCKS_PROXY},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct proxied proxied;
        struct asked asked = {.call.headers = {"Authorization: Bearer secret"}};
        open_proxied(&proxied, CASES[i].scheme, CASES[i].user, CASES[i].kind);
        struct http_bench *bench = &proxied.bench;
        fake_server_use_tls(&bench->server, &server, NULL);
        bench->origin =
            http_bench_origin(bench, &(struct http_origin_config){.base_url = "https://east.example.test:6443",
                                                                  .ca_pem = root.certificate,
                                                                  .tls_server_name = CASES[i].server_name,
                                                                  .proxy_url = proxied.proxy});
        http_bench_ask(bench, &asked, "/p");
        http_bench_expect_ok(&asked, 200, "hello");
        assert_string_equal(bench->server.proxy_target, "east.example.test:6443");
        assert_string_equal(bench->server.server_name,
                            CASES[i].server_name != NULL ? CASES[i].server_name : "east.example.test");
        assert_string_equal(asked.call.warning, ""); /* the proxy's answer is not the server's */
        assert_null(strstr(bench->server.proxy_request, "Bearer"));
        assert_non_null(strstr(bench->server.last_request, "\r\nHost: east.example.test:6443\r\n"));
        if (CASES[i].user[0] != '\0')
            assert_non_null(strstr(bench->server.proxy_request, "Proxy-Authorization: Basic bWU6cEBzcw==\r\n"));
        assert_int_equal(bench->names.questions, 0); /* the name is the proxy's business */
        http_bench_done(bench);
    }
}

static void a_proxy_s_name_is_resolved_by_us(void **state)
{
    (void)state;
    struct proxied proxied;
    struct asked asked = {0};
    char url[128];
    open_proxied(&proxied, "http://", "", FAKE_NO_PROXY);
    struct http_bench *bench = &proxied.bench;
    bench->names.records[0] =
        (struct fake_dns_record){.name = "proxy.example.test", .addresses = "127.0.0.1", .ttl_s = 60};
    (void)snprintf(url, sizeof(url), "proxy.example.test:%u", bench->server.port);
    bench->origin = http_bench_origin(bench, &(struct http_origin_config){.base_url = "http://east.example.test/prefix",
                                                                          .proxy_url = url});
    http_bench_ask(bench, &asked, "/p");
    http_bench_expect_ok(&asked, 200, "hello");
    assert_int_equal(strncmp(bench->server.last_request, "GET http://east.example.test/prefix/p HTTP/1.1\r\n", 48), 0);
    assert_int_equal(bench->names.a_questions, 1);
    http_bench_done(bench);
}

/* Ports that nobody wrote: ours and curl's idea of them must be the same, or the pinned address is another's. */
static void a_proxy_without_a_port_has_the_usual_one(void **state)
{
    (void)state;
    static const char *const PROXIES[] = {"http://proxy.example.test", "proxy.example.test",
                                          "https://proxy.example.test", "socks5://proxy.example.test",
                                          "socks5h://proxy.example.test"};
    for (size_t i = 0; i < ARRAY_COUNT(PROXIES); i++) {
        struct http_bench bench;
        struct asked asked = {.call.timeout_ms = 5000};
        http_bench_init(&bench);
        bench.names.records[0] =
            (struct fake_dns_record){.name = "proxy.example.test", .addresses = "127.9.9.9", .ttl_s = 60};
        bench.origin = http_bench_origin(&bench, &(struct http_origin_config){.base_url = "https://east.example.test",
                                                                              .proxy_url = PROXIES[i]});
        http_bench_ask(&bench, &asked, "/p");
        http_bench_expect_error(&asked, ERR_CONNECT,
                                "https://east.example.test through proxy proxy.example.test:", ": Connection refused");
        assert_non_null(strstr(asked.error.text, " at 127.9.9.9:"));
        http_bench_done(&bench);
    }
}

/* It asks for a certificate: the one that there is for the server is not for it. */
static void a_proxy_is_not_shown_the_certificate(void **state)
{
    (void)state;
    struct http_bench bench;
    struct asked asked = {.call.timeout_ms = 5000};
    char proxy[64];
    http_bench_init(&bench);
    fake_server_use_tls(&bench.server, &server, &root);
    (void)snprintf(proxy, sizeof(proxy), "HTTPS://127.0.0.1:%u", bench.server.port);
    bench.origin = http_bench_origin(&bench, &(struct http_origin_config){.base_url = "https://east.example.test",
                                                                          .proxy_url = proxy,
                                                                          .ca_pem = root.certificate,
                                                                          .cert_pem = client.certificate,
                                                                          .key_pem = client.key});
    http_bench_ask(&bench, &asked, "/p");
    assert_int_equal(asked.error.code, ERR_TLS);
    assert_int_equal(bench.server.accepted, 1);
    assert_string_equal(bench.server.client_name, "");
    http_bench_done(&bench);
}

static void a_proxy_that_refuses_is_told(void **state)
{
    (void)state;
    struct proxied proxied;
    struct asked asked = {0};
    open_proxied(&proxied, "http://", "", FAKE_NO_PROXY);
    struct http_bench *bench = &proxied.bench;
    bench->server.answer = "HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n";
    bench->origin = http_bench_origin(bench, &(struct http_origin_config){.base_url = "https://east.example.test",
                                                                          .proxy_url = proxied.proxy});
    http_bench_ask(bench, &asked, "/p");
    http_bench_expect_error(&asked, ERR_CONNECT, "https://east.example.test through proxy 127.0.0.1:", "");
    assert_non_null(strstr(asked.error.text, "407"));
    assert_int_equal(asked.call.status, 0);
    http_bench_done(bench);
}

static void the_environment_names_the_proxy_unless_told_otherwise(void **state)
{
    (void)state;
    struct proxied proxied;
    struct asked asked = {0};
    open_proxied(&proxied, "http://", "", FAKE_NO_PROXY);
    struct http_bench *bench = &proxied.bench;
    assert_int_equal(setenv("HTTP_PROXY", proxied.proxy, 1), 0);
    struct http_origin_config config = {.base_url = "http://10.1.2.3"};
    bench->origin = http_bench_origin(bench, &config);
    assert_int_equal(setenv("NO_PROXY", "127.0.0.0/8,10.0.0.0/8", 1), 0);
    http_bench_ask(bench, &asked, "/p"); /* as it was when the origin was made */
    http_bench_expect_ok(&asked, 200, "hello");
    assert_non_null(strstr(bench->server.last_request, "GET http://10.1.2.3/p "));
    http_origin_free(bench->origin);
    config.base_url = bench->url;
    config.proxy_url = "";
    bench->origin = http_bench_origin(bench, &config);
    http_bench_ask(bench, &asked, "/p");
    http_bench_expect_ok(&asked, 200, "hello");
    assert_non_null(strstr(bench->server.last_request, "GET /p "));
    assert_int_equal(unsetenv("HTTP_PROXY") + unsetenv("NO_PROXY"), 0);
    http_bench_done(bench);
}

/* --- want of memory --- */

static enum err_code ask_once(void *context)
{
    struct http_bench *bench = context;
    struct asked asked = {.call.timeout_ms = 15000};
    struct err error = {0};
    struct http_origin *origin = NULL;
    const struct http_origin_config config = {.base_url = bench->url,
                                              .ca_pem = root.certificate,
                                              .cert_pem = client.certificate,
                                              .key_pem = client.key,
                                              .tls_server_name = "kubernetes.default"};
    TRY(http_origin_new(bench->http, &config, &origin, &error));
    http_bench_prepare(bench, &asked, "/p");
    enum err_code code = http_start(origin, &asked.call, &error);
    if (code == ERR_OK) {
        http_bench_await(bench, 1);
        code = asked.error.code;
        error = asked.error;
    }
    /* curl takes a certificate's failed copy for a bad certificate. */
    if (code == ERR_TLS) {
        print_message("%s\n", error.text);
        code = ERR_NOMEM;
    }
    if (code == ERR_OK && strcmp(asked.text, "hello") != 0)
        code = ERR_INVALID;
    if (code != ERR_OK && code != ERR_NOMEM)
        print_message("%s\n", error.text);
    http_call_done(&asked.call);
    http_origin_free(origin);
    return code;
}

static void want_of_memory_is_told(void **state)
{
    (void)state;
    struct http_bench bench;
    open_tls(&bench, "east.example.test");
    fake_server_use_tls(&bench.server, &server, &root);
    /* No session to keep: libcurl 7.88 frees its name twice when memory is short for the rest. */
    assert_int_equal(SSL_CTX_set_num_tickets(bench.server.tls, 0), 1);
    assert_true(sweep(ask_once, &bench) > 50);
    http_bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_a_server_is_refused),
        cmocka_unit_test(a_server_may_have_a_prefix),
        cmocka_unit_test(ipv6_is_written_with_brackets),
        cmocka_unit_test(names_are_resolved_by_us),
        cmocka_unit_test(the_next_address_is_tried),
        cmocka_unit_test(a_name_that_moves_is_followed),
        cmocka_unit_test(a_name_that_is_none_is_told),
        cmocka_unit_test(resolving_counts_towards_the_deadline),
        cmocka_unit_test(an_origin_goes_while_its_name_is_asked_for),
        cmocka_unit_test(the_name_in_the_url_is_what_the_certificate_must_have),
        cmocka_unit_test(a_certificate_that_is_not_trusted_says_why),
        cmocka_unit_test(compression_may_be_left_out),
        cmocka_unit_test(verification_may_be_skipped),
        cmocka_unit_test(a_client_shows_its_certificate),
        cmocka_unit_test(a_new_connection_resumes_the_session),
        cmocka_unit_test(calls_and_connections_over_tls),
        cmocka_unit_test(a_server_without_tls_is_told_from_one_that_is_silent),
        cmocka_unit_test(https_goes_through_a_tunnel),
        cmocka_unit_test(a_proxy_s_name_is_resolved_by_us),
        cmocka_unit_test(a_proxy_without_a_port_has_the_usual_one),
        cmocka_unit_test(a_proxy_is_not_shown_the_certificate),
        cmocka_unit_test(a_proxy_that_refuses_is_told),
        cmocka_unit_test(the_environment_names_the_proxy_unless_told_otherwise),
        cmocka_unit_test(want_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, make_certificates, NULL);
}
