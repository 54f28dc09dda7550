/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/commands/support_redact.h"
#include "agent/kube/setup.h"
#include "base/mem.h"
#include "tests/unit/sweep.h"

#define JWT "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln"

/* {"users":[{"user":{"token":"opaque-token","username":"me"}}]} */
static const char SECRET[] =
    "{\"kind\":\"Secret\",\"metadata\":{\"name\":\"s\",\"managedFields\":[],\"annotations\":{\"a\":\"b\","
    "\"kubectl.kubernetes.io/last-applied-configuration\":\"x\"}},\"data\":{\"kubeconfig\":"
    "\"eyJ1c2VycyI6W3sidXNlciI6eyJ0b2tlbiI6Im9wYXF1ZS10b2tlbiIsInVzZXJuYW1lIjoibWUifX1dfQ==\",\"password\":"
    "\"aHVudGVyMmh1bnRlcjI=\",\"short\":\"eA==\"}}";

static void what_looks_like_a_credential_is_left_out_of_texts(void **state)
{
    static const struct {
        const char *text, *wanted;
    } CASES[] = {
        {"", ""},
        {"nothing here", "nothing here"},
        {"token " JWT " end", "token (left out) end"},
        {"\"" JWT "\"", "\"(left out)\""},
        {JWT, "(left out)"},
        {"eyJhbGciOiJSUzI1NiJ9 is no token", "eyJhbGciOiJSUzI1NiJ9 is no token"},
        {"Authorization: Bearer abcdefgh\n", "Authorization: Bearer (left out)\n"},
        {"the Bearer of news", "the Bearer of news"},
        {"a\n-----BEGIN EC PRIVATE KEY-----\nMII\n-----END EC PRIVATE KEY-----\nb", "a\n(left out)\nb"},
        {"-----BEGIN PRIVATE KEY-----\\nMII\\n-----END PRIVATE KEY-----\\n", "(left out)\\n"},
        {"-----BEGIN PRIVATE KEY-----\ncut off", "(left out)"},
        {"-----BEGIN PRIVATE KEY", "(left out)"},
        {"-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----",
         "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----"},
        {"key: LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVk=;", "key: (left out);"},
        {"https://me:secret@host/x", "https://(left out)@host/x"},
        {"https://host/x@y", "https://host/x@y"},
        {"see https://host and mail a@b", "see https://host and mail a@b"},
        {"//@x", "//@x"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct strbuf to;
        strbuf_init(&to, 1000);
        support_redaction_text(NULL, CASES[i].text, strlen(CASES[i].text), &to);
        assert_string_equal(strbuf_text(&to), CASES[i].wanted);
        strbuf_done(&to);
    }
}

static void what_secrets_hold_is_left_out_wherever_it_stands(void **state)
{
    (void)state;
    json_t *secret = json_loads(SECRET, 0, NULL);
    struct support_redaction *redaction = support_redaction_new();
    struct strbuf to;
    static const char text[] =
        "opaque-token, xopaque-tokenopaque-token; hunter2hunter2 aHVudGVyMmh1bnRlcjI= me x opaque";
    assert_int_equal(support_redaction_learn(redaction, secret), ERR_OK);
    strbuf_init(&to, 1000);
    support_redaction_text(redaction, text, strlen(text), &to);
    assert_string_equal(strbuf_text(&to), "(left out), x(left out)(left out); (left out) (left out) me x opaque");
    strbuf_done(&to);
    support_redaction_free(redaction);
    json_decref(secret);
}

static void a_secret_keeps_its_keys(void **state)
{
    (void)state;
    json_t *secret = json_loads(SECRET, 0, NULL);
    json_t *clean = support_redaction_object(secret);
    char *text = json_dumps(clean, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(text,
                        "{\"data\":{\"kubeconfig\":\"(left out: 84 bytes)\",\"password\":\"(left out: 20 bytes)\","
                        "\"short\":\"(left out: 4 bytes)\"},\"kind\":\"Secret\",\"kubeconfig\":{\"clusters\":[],"
                        "\"credentials\":[[\"token\",\"username\"]]},\"metadata\":{\"annotations\":{\"a\":\"b\"},"
                        "\"name\":\"s\"}}");
    mem_free(text);
    json_decref(clean);
    assert_true(json_object_get(json_object_get(secret, "metadata"), "managedFields") != NULL); /* it is a copy */
    json_decref(secret);
}

static void variables_by_their_names(void **state)
{
    (void)state;
    json_t *pod =
        json_loads("{\"spec\":{\"containers\":[{\"env\":[{\"name\":\"a_token\",\"value\":\"x\"},{\"name\":\"PLAIN\","
                   "\"value\":\"y\"},{\"name\":\"KEYS\",\"valueFrom\":{}}]}]},\"data\":1}",
                   0, NULL);
    json_t *clean = support_redaction_object(pod);
    char *text = json_dumps(json_object_get(clean, "spec"), JSON_COMPACT);
    assert_string_equal(
        text, "{\"containers\":[{\"env\":[{\"name\":\"a_token\",\"value\":\"(left out)\"},{\"name\":\"PLAIN\","
              "\"value\":\"y\"},{\"name\":\"KEYS\",\"valueFrom\":{}}]}]}");
    mem_free(text);
    json_decref(clean);
    json_decref(pod);
}

/* Whatever fails: a text that came out whole has no credential in it. */
static enum err_code scenario(void *context)
{
    json_t *secret = context;
    struct support_redaction *redaction = support_redaction_new();
    if (redaction == NULL)
        return ERR_NOMEM;
    struct strbuf to;
    strbuf_init(&to, 1000);
    enum err_code code = support_redaction_learn(redaction, secret);
    if (code == ERR_OK) {
        support_redaction_text(redaction, "say opaque-token", 16, &to);
        code = strbuf_error(&to);
        assert_null(strstr(strbuf_text(&to), "opaque"));
    }
    strbuf_done(&to);
    support_redaction_free(redaction);
    return code;
}

static enum err_code object_scenario(void *context)
{
    const json_t *secret = context;
    json_t *clean = support_redaction_object(secret);
    if (clean == NULL)
        return ERR_NOMEM;
    const char *left = json_string_value(json_object_get(json_object_get(clean, "data"), "password"));
    assert_string_equal(left, "(left out: 20 bytes)");
    json_decref(clean);
    return ERR_OK;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    json_t *secret = json_loads(SECRET, 0, NULL);
    assert_true(sweep(scenario, secret) > 3);
    assert_true(sweep(object_scenario, secret) > 3);
    json_decref(secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_looks_like_a_credential_is_left_out_of_texts),
        cmocka_unit_test(what_secrets_hold_is_left_out_wherever_it_stands),
        cmocka_unit_test(a_secret_keeps_its_keys),
        cmocka_unit_test(variables_by_their_names),
        cmocka_unit_test(each_allocation_may_fail),
    };
    kube_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
