/* links: base health */
#include "health/diagnosis.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define READY "Ambassador is ready and waiting\n"
#define EDGE "/-/ambassador/ready"

/* One measured answer: what stands in it, and what is to be made of it. NULL server: Envoy's. */
struct answer {
    const char *what;
    int status;
    const char *body;
    bool upstream; /* x-envoy-upstream-service-time */
    const char *location, *server, *path;
    enum probe_reason reason;
};

/* The rows of the table of what Emissary was measured to answer; see docs/gateway-diagnosis.md. */
static const struct answer emissary[] = {
    {"correct set-up", 200, READY, true, NULL, NULL, EDGE, REASON_OK},
    {"an older Emissary's words", 200, "ambassador readiness check OK (3 good)", true, NULL, NULL, EDGE, REASON_OK},
    {"own publication", 200, READY, true, NULL, NULL, "/ambassador/v0/check_ready", REASON_OK},
    {"HEAD-like answer without a body", 200, "", true, NULL, NULL, EDGE, REASON_OK_OTHER_BODY},
    {"a catch-all Mapping answers", 200, "<html>shop</html>", true, NULL, NULL, EDGE, REASON_OK_OTHER_BODY},
    {"Envoy answers an unusual path", 200, "fine", true, NULL, NULL, "/healthz", REASON_OK_OTHER_BODY},
    {"the ready text on an unusual path", 200, READY, true, NULL, NULL, "/healthz", REASON_OK},
    {"fallback certificate, no Host", 301, "", false, "https://10.0.0.1" EDGE, NULL, EDGE, REASON_INSECURE_REDIRECT},
    {"Host without requestPolicy", 301, "", false, "https://gw.example.com" EDGE, NULL, EDGE, REASON_INSECURE_REDIRECT},
    {"redirect keeps another port", 301, "", false, "https://10.0.0.1:8080" EDGE, NULL, EDGE, REASON_INSECURE_REDIRECT},
    {"302 with Redirect", 302, "", false, "HTTPS://10.0.0.1" EDGE, NULL, EDGE, REASON_INSECURE_REDIRECT},
    {"308", 308, "", false, "https://10.0.0.1" EDGE, NULL, EDGE, REASON_INSECURE_REDIRECT},
    {"root path", 301, "", false, "https://10.0.0.1", NULL, "/", REASON_INSECURE_REDIRECT},
    {"server header hidden", 301, "", false, "https://10.0.0.1" EDGE, "", EDGE, REASON_INSECURE_REDIRECT},
    {"Host action Reject, or no route", 404, "", false, NULL, NULL, EDGE, REASON_NO_ROUTE},
    {"no route, server renamed", 404, "", false, NULL, "acme", EDGE, REASON_NO_ROUTE},
    {"Mapping without rewrite", 404, "404 page not found\n", true, NULL, NULL, EDGE, REASON_WRONG_REWRITE},
    {"behind Envoy, nothing said", 404, "", true, NULL, NULL, EDGE, REASON_WRONG_REWRITE},
    {"service without port", 503, "upstream connect error or disconnect/reset before headers. reset reason: x", false,
     NULL, NULL, EDGE, REASON_UPSTREAM_CONNECT},
    {"unresolvable service", 503, "no healthy upstream", false, NULL, NULL, EDGE, REASON_UPSTREAM_NONE},
    {"8877 says not ready", 503, "Ambassador is not ready to receive traffic\n", true, NULL, NULL, EDGE,
     REASON_NOT_READY},
    {"8877 starts", 503, "ambassador waiting for config", true, NULL, NULL, EDGE, REASON_NOT_READY},
    {"8877 in other words", 503, "booting", true, NULL, NULL, EDGE, REASON_NOT_READY},
    {"an application's 503", 503, "shop closed", true, NULL, NULL, "/healthz", REASON_SERVER_ERROR},
    {"8877 silent, or AuthService gone", 504, "upstream request timeout", false, NULL, NULL, EDGE,
     REASON_UPSTREAM_TIMEOUT},
    {"AuthService refuses", 403, "denied", false, NULL, NULL, EDGE, REASON_AUTH_REFUSED},
    {"AuthService wants a login", 401, "", false, NULL, NULL, EDGE, REASON_AUTH_REFUSED},
    {"AuthService unreachable", 403, "", false, NULL, NULL, EDGE, REASON_AUTH_UNREACHABLE},
    {"Module ip_allow", 403, "RBAC: access denied", false, NULL, NULL, EDGE, REASON_ACCESS_DENIED},
    {"malformed request", 400, "", false, NULL, NULL, EDGE, REASON_BAD_REQUEST},
    {"HTTP/1.0 not allowed", 426, "", false, NULL, NULL, EDGE, REASON_UNEXPECTED_STATUS},
};

static const struct answer others[] = {
    {"Linkerd's gateway", 200, "ready\n", false, NULL, "", "/ready", REASON_OK},
    {"Linkerd's gateway behind Envoy", 200, "ready\n", true, NULL, NULL, "/ready", REASON_OK},
    {"Linkerd's gateway, other paths", 200, "live\n", false, NULL, NULL, "/live", REASON_OK},
    {"Linkerd's gateway, with a query", 200, "ok", false, NULL, NULL, "/health?full", REASON_OK},
    {"a path that only begins like Linkerd's", 200, "ok", false, NULL, NULL, "/readyz", REASON_OK_OTHER_BODY},
    {"Linkerd's gateway is not ready", 503, "not ready\n", false, NULL, "", "/ready", REASON_NOT_READY},
    {"any other server", 200, "whatever", false, NULL, "nginx", "/healthz", REASON_OK},
    {"another server on Edge Stack's path", 200, "whatever", false, NULL, "nginx", EDGE, REASON_OK_OTHER_BODY},
    {"a load balancer redirects to https", 301, "x", false, "https://10.0.0.1:443" EDGE, "awselb/2.0", EDGE,
     REASON_REDIRECT},
    {"a login page", 302, "", true, "https://login.example.com/start", NULL, EDGE, REASON_REDIRECT},
    {"another path", 301, "", true, "/other", NULL, EDGE, REASON_REDIRECT},
    {"no Location", 301, "", false, NULL, NULL, EDGE, REASON_REDIRECT},
    {"Location is a bare host", 301, "", false, "https://10.0.0.1", NULL, EDGE, REASON_REDIRECT},
    {"304", 304, "", false, "https://10.0.0.1" EDGE, NULL, EDGE, REASON_REDIRECT},
    {"404 of another server", 404, "not found", false, NULL, "nginx", EDGE, REASON_NOT_FOUND},
    {"empty 404 of another server", 404, "", false, NULL, "nginx", "/ready", REASON_NOT_FOUND},
    {"404 with a body from an Envoy", 404, "x", false, NULL, NULL, EDGE, REASON_NOT_FOUND},
    {"empty 403 of another server", 403, "", false, NULL, "nginx", "/ready", REASON_AUTH_REFUSED},
    {"Go's TLS server", 400, "Client sent an HTTP request to an HTTPS server.\n", false, NULL, "", EDGE,
     REASON_TLS_ON_PORT},
    {"nginx's TLS server", 400, "<head><title>400 The plain HTTP request was sent to HTTPS port</title>", false, NULL,
     "nginx", EDGE, REASON_TLS_ON_PORT},
    {"500", 500, "", false, NULL, NULL, EDGE, REASON_SERVER_ERROR},
    {"502", 502, "", false, NULL, NULL, EDGE, REASON_SERVER_ERROR},
    {"204", 204, "", false, NULL, NULL, EDGE, REASON_UNEXPECTED_STATUS},
    {"201", 201, READY, false, NULL, NULL, EDGE, REASON_UNEXPECTED_STATUS},
    {"429", 429, "", false, NULL, NULL, EDGE, REASON_UNEXPECTED_STATUS},
    {"600", 600, "", false, NULL, NULL, EDGE, REASON_UNEXPECTED_STATUS},
};

static struct probe_observation observe(const struct answer *answer)
{
    struct probe_observation seen = {.end = PROBE_ANSWERED,
                                     .status = answer->status,
                                     .upstream_time_header = answer->upstream};
    seen.body_bytes = strlen(answer->body);
    (void)snprintf(seen.body, sizeof(seen.body), "%s", answer->body);
    (void)snprintf(seen.server, sizeof(seen.server), "%s", answer->server != NULL ? answer->server : "envoy");
    (void)snprintf(seen.location, sizeof(seen.location), "%s", answer->location != NULL ? answer->location : "");
    return seen;
}

static void check_answers(const struct answer *answers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct probe_observation seen = observe(&answers[i]);
        enum probe_reason reason = diagnosis_of(&seen, answers[i].path);
        if (reason != answers[i].reason)
            fail_msg("%s: %s instead of %s", answers[i].what, probe_reason_name(reason),
                     probe_reason_name(answers[i].reason));
    }
}

static void every_measured_answer_has_its_reason(void **state)
{
    (void)state;
    check_answers(emissary, sizeof(emissary) / sizeof(*emissary));
}

static void answers_of_others_are_not_mistaken(void **state)
{
    (void)state;
    check_answers(others, sizeof(others) / sizeof(*others));
}

static void a_redirect_whose_location_was_cut_is_still_told(void **state)
{
    (void)state;
    char path[400] = "/-/ambassador/";
    memset(path + strlen(path), 'x', 300);
    struct probe_observation seen = {.end = PROBE_ANSWERED, .status = 301, .server = "envoy"};
    strcpy(seen.location, "https://10.0.0.1");
    memcpy(seen.location + 16, path, sizeof(seen.location) - 17);
    assert_int_equal(strlen(seen.location), sizeof(seen.location) - 1);
    assert_int_equal(diagnosis_of(&seen, path), REASON_INSECURE_REDIRECT);
    assert_int_equal(diagnosis_of(&seen, EDGE), REASON_REDIRECT);
    /* A host name that fills it says nothing about the path. */
    memset(seen.location + 8, 'h', sizeof(seen.location) - 9);
    assert_int_equal(diagnosis_of(&seen, EDGE), REASON_INSECURE_REDIRECT);
}

static void every_end_without_an_answer_has_its_reason(void **state)
{
    (void)state;
    static const struct {
        enum probe_end end;
        bool tls_bytes;
        enum probe_reason reason;
    } cases[] = {
        {PROBE_REFUSED, false, REASON_REFUSED},
        {PROBE_CONNECT_TIMEOUT, false, REASON_CONNECT_TIMEOUT},
        {PROBE_UNREACHABLE, false, REASON_UNREACHABLE},
        {PROBE_RESET, false, REASON_RESET},
        {PROBE_RESET, true, REASON_TLS_ON_PORT},
        {PROBE_CLOSED, false, REASON_CLOSED},
        {PROBE_CLOSED, true, REASON_TLS_ON_PORT},
        {PROBE_SILENT, false, REASON_SILENT},
        {PROBE_ANSWER_TIMEOUT, false, REASON_ANSWER_TIMEOUT},
        {PROBE_NOT_HTTP, false, REASON_NOT_HTTP},
        {PROBE_NOT_HTTP, true, REASON_TLS_ON_PORT},
        {PROBE_RESOLVE_FAILED, false, REASON_RESOLVE_FAILED},
        {PROBE_INTERNAL, false, REASON_INTERNAL},
        {(enum probe_end)999, false, REASON_INTERNAL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        /* A status that is there by accident counts for nothing. */
        struct probe_observation seen = {.end = cases[i].end, .tls_bytes = cases[i].tls_bytes, .status = 200};
        assert_int_equal(diagnosis_of(&seen, EDGE), cases[i].reason);
    }
}

static void names_are_distinct_words_and_advice_distinct_sentences(void **state)
{
    (void)state;
    for (enum probe_reason reason = 0; reason < REASON_COUNT; reason++) {
        const char *name = probe_reason_name(reason), *advice = probe_reason_advice(reason);
        assert_non_null(name);
        assert_true(isupper((unsigned char)name[0]));
        for (const char *c = name; *c != '\0'; c++)
            assert_true(isalnum((unsigned char)*c));
        assert_true(strlen(advice) > 20);
        assert_true(advice[strlen(advice) - 1] != '.'); /* it is put into sentences */
        for (enum probe_reason other = 0; other < reason; other++) {
            assert_string_not_equal(name, probe_reason_name(other));
            assert_string_not_equal(advice, probe_reason_advice(other));
        }
    }
    assert_string_equal(probe_reason_name(REASON_COUNT), "Unknown");
    assert_non_null(probe_reason_advice(REASON_COUNT));
}

static void advice_names_what_to_mend(void **state)
{
    (void)state;
    static const struct {
        enum probe_reason reason;
        const char *word;
    } cases[] = {
        {REASON_INSECURE_REDIRECT, "spec.requestPolicy.insecure.action: Route"},
        {REASON_NO_ROUTE, "health Mapping"},
        {REASON_WRONG_REWRITE, "rewrite: /ambassador/v0/check_ready"},
        {REASON_AUTH_REFUSED, "bypass_auth: true"},
        {REASON_AUTH_UNREACHABLE, "AuthService"},
        {REASON_ACCESS_DENIED, "ip_allow"},
        {REASON_UPSTREAM_CONNECT, "localhost:8877"},
        {REASON_UPSTREAM_NONE, "localhost:8877"},
        {REASON_UPSTREAM_TIMEOUT, "8877"},
        {REASON_REFUSED, "Listener"},
        {REASON_RESET, "PROXY protocol"},
        {REASON_OK_OTHER_BODY, "precedence"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        assert_non_null(strstr(probe_reason_advice(cases[i].reason), cases[i].word));
}

static void only_ok_is_alive(void **state)
{
    (void)state;
    for (enum probe_reason reason = 0; reason < REASON_COUNT; reason++)
        assert_int_equal(probe_reason_alive(reason), reason == REASON_OK || reason == REASON_OK_OTHER_BODY);
}

static void a_path_gets_exactly_one_leading_slash(void **state)
{
    (void)state;
    static const struct {
        const char *path, *normal;
    } cases[] = {
        {"-/ambassador/ready", "/-/ambassador/ready"},
        {"/-/ambassador/ready", "/-/ambassador/ready"},
        {"//-/ambassador/ready", "/-/ambassador/ready"},
        {"", "/"},
        {"/", "/"},
        {"///", "/"},
        {"ready?full=1&x=%20", "/ready?full=1&x=%20"},
        {"a//b/./../c", "/a//b/./../c"},
        {"a b", NULL},
        {"a\tb", NULL},
        {"a\r\nHost: x", NULL},
        {"a#b", NULL},
        {"a\x7f", NULL},
        {"\xc3\xa9", NULL},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        char buffer[64] = "untouched";
        bool fits = probe_path_normalise(cases[i].path, buffer, sizeof(buffer));
        assert_int_equal(fits, cases[i].normal != NULL);
        assert_string_equal(buffer, fits ? cases[i].normal : "untouched");
    }
}

static void a_path_is_never_written_past_its_buffer(void **state)
{
    (void)state;
    char buffer[8] = "";
    assert_true(probe_path_normalise("/123456", buffer, sizeof(buffer)));
    assert_string_equal(buffer, "/123456");
    assert_false(probe_path_normalise("1234567", buffer, sizeof(buffer)));
    assert_false(probe_path_normalise("", buffer, 1));
    assert_true(probe_path_normalise("", buffer, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_measured_answer_has_its_reason),
        cmocka_unit_test(answers_of_others_are_not_mistaken),
        cmocka_unit_test(a_redirect_whose_location_was_cut_is_still_told),
        cmocka_unit_test(every_end_without_an_answer_has_its_reason),
        cmocka_unit_test(names_are_distinct_words_and_advice_distinct_sentences),
        cmocka_unit_test(advice_names_what_to_mend),
        cmocka_unit_test(only_ok_is_alive),
        cmocka_unit_test(a_path_gets_exactly_one_leading_slash),
        cmocka_unit_test(a_path_is_never_written_past_its_buffer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
