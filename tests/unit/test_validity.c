/* links: agent_kube base */
#include "agent/kube/validity.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/base64.h"
#include "agent/kube/pem.h"
#include "agent/kube/setup.h"
#include "agent/kube/token.h"
#include "tests/unit/sweep.h"
#include "tests/unit/test_certificate.h"

#define S INT64_C(1000000)
#define DAY (24 * 3600 * S)

static void says_in_time_that_something_ends(void **state)
{
    (void)state;
    static const struct {
        int64_t life, left;
        enum validity_stage stage;
    } cases[] = {
        /* a year: 7 days and 1 day */
        {365 * DAY, 7 * DAY + 1, VALIDITY_GOOD},
        {365 * DAY, 7 * DAY, VALIDITY_ENDS},
        {365 * DAY, DAY + 1, VALIDITY_ENDS},
        {365 * DAY, DAY, VALIDITY_ENDS_SOON},
        {365 * DAY, 1, VALIDITY_ENDS_SOON},
        {365 * DAY, 0, VALIDITY_ENDED},
        {365 * DAY, -DAY, VALIDITY_ENDED},
        /* an hour, as pods' tokens: what kubelets renew at 12 minutes is told at 6 */
        {3600 * S, 12 * 60 * S, VALIDITY_GOOD},
        {3600 * S, 360 * S, VALIDITY_ENDS},
        {3600 * S, 91 * S, VALIDITY_ENDS},
        {3600 * S, 90 * S, VALIDITY_ENDS_SOON},
        /* 30 days: 3 days and 18 hours */
        {30 * DAY, 3 * DAY + 1, VALIDITY_GOOD},
        {30 * DAY, 3 * DAY, VALIDITY_ENDS},
        {30 * DAY, 18 * 3600 * S, VALIDITY_ENDS_SOON},
        /* nobody knows since when */
        {0, 3601 * S, VALIDITY_GOOD},
        {0, 3600 * S, VALIDITY_ENDS},
        {0, 1, VALIDITY_ENDS},
        {0, 0, VALIDITY_ENDED},
        {-DAY, DAY, VALIDITY_GOOD},
    };
    const int64_t now_us = 1800000000 * S;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct validity validity = {.until_us = now_us + cases[i].left};
        validity.from_us = cases[i].life != 0 ? validity.until_us - cases[i].life : 0;
        if (validity_stage(&validity, now_us) != cases[i].stage)
            fail_msg("case %zu: stage %d", i, (int)validity_stage(&validity, now_us));
    }
    assert_int_equal(validity_stage(&(struct validity){0}, now_us), VALIDITY_GOOD);
}

static void make_token(const char *claims, char *buffer, size_t bytes)
{
    struct strbuf text;
    strbuf_init(&text, bytes);
    strbuf_append(&text, "eyJh.");
    base64_encode(&text, claims, strlen(claims));
    strbuf_append(&text, ".c2ln");
    (void)snprintf(buffer, bytes, "%s", strbuf_text(&text));
    strbuf_done(&text);
}

static void reads_tokens(void **state)
{
    (void)state;
    static const struct {
        const char *claims;
        int64_t from_s, until_s;
    } cases[] = {
        {"{\"exp\":1900000000,\"iat\":1800000000,\"nbf\":1}", 1800000000, 1900000000},
        {"{\"exp\":1900000000,\"nbf\":1700000000}", 1700000000, 1900000000},
        {"{\"exp\":1900000000.5}", 0, 1900000000},
        {"{\"exp\":\"1900000000\"}", 0, 0},
        {"{\"exp\":-1}", 0, 0},
        {"{\"exp\":1e300}", 0, 0},
        {"{\"iss\":\"x\"}", 0, 0},
        {"not JSON", 0, 0},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char token[256];
        make_token(cases[i].claims, token, sizeof(token));
        struct validity validity = token_validity(token);
        assert_int_equal(validity.from_us, cases[i].from_s * S);
        assert_int_equal(validity.until_us, cases[i].until_s * S);
    }
    static const char *const no_tokens[] = {"opaque", "a.b", "a.*.c", "..", ""};
    for (size_t i = 0; i < ARRAY_COUNT(no_tokens); i++)
        assert_int_equal(token_validity(no_tokens[i]).until_us, 0);
}

static void tells_whose_token_it_is(void **state)
{
    (void)state;
    static const char *const others[] = {"{\"sub\":\"system:serviceaccount:mc\"}",
                                         "{\"sub\":\"system:node:mc:a\"}",
                                         "{\"sub\":1}",
                                         "{}",
                                         "{\"sub\":\"system:serviceaccount:a/b:x\"}",
                                         "{\"sub\":\"system:serviceaccount:mc:../x\"}",
                                         "{\"sub\":\"system:serviceaccount::x\"}"};
    char token[256], namespace[TOKEN_NAMESPACE_BYTES], name[TOKEN_ACCOUNT_BYTES];
    make_token("{\"sub\":\"system:serviceaccount:mc:svcmirror-remote\"}", token, sizeof(token));
    assert_true(token_account(token, namespace, name));
    assert_string_equal(namespace, "mc");
    assert_string_equal(name, "svcmirror-remote");
    for (size_t i = 0; i < ARRAY_COUNT(others); i++) {
        make_token(others[i], token, sizeof(token));
        assert_false(token_account(token, namespace, name));
    }
    assert_false(token_account("opaque", namespace, name));
}

static void knows_an_account_that_is_gone(void **state)
{
    char token[256];
    (void)state;
    make_token("{\"kubernetes.io\":{\"serviceaccount\":{\"uid\":\"one\"}}}", token, sizeof(token));
    assert_true(token_fits_uid(token, "one"));
    assert_false(token_fits_uid(token, "two"));
    make_token("{\"kubernetes.io\":{}}", token, sizeof(token));
    assert_true(token_fits_uid(token, "two"));
    assert_true(token_fits_uid("opaque", "two"));
}

static void knows_the_shape_of_a_jwt(void **state)
{
    static const char *const good[] = {"a.b.c", "eyJ-_.0.Zz9"};
    static const char *const bad[] = {"",        "a",       "a.b",    "a.b.",   ".b.c",   "a..c",
                                      "a.b.c.d", "a.b.c\n", "a.b.c=", "a.b .c", "a:x.b.c"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        assert_true(token_is_jwt(good[i]));
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++)
        assert_false(token_is_jwt(bad[i]));
}

static void reads_certificates(void **state)
{
    (void)state;
    struct test_certificate late = test_certificate_make(1950000000), early = test_certificate_make(1900000000);
    char bundle[8192];
    struct validity validity;
    assert_int_equal(pem_validity(late.certificate, &validity, NULL), ERR_OK);
    assert_int_equal(validity.from_us, 1600000000 * S);
    assert_int_equal(validity.until_us, 1950000000 * S);
    /* The first of a chain is the client's own; of a bundle the first to expire is told. */
    (void)snprintf(bundle, sizeof(bundle), "%s%s%s", late.certificate, early.certificate, late.certificate);
    assert_int_equal(pem_validity(bundle, &validity, NULL), ERR_OK);
    assert_int_equal(validity.until_us, 1950000000 * S);
    assert_int_equal(pem_check_bundle(bundle, &validity, NULL), ERR_OK);
    assert_int_equal(validity.until_us, 1900000000 * S);
    assert_int_equal(pem_validity("junk", &validity, NULL), ERR_TLS);
    assert_int_equal(pem_check_bundle("", &validity, NULL), ERR_TLS);
}

static enum err_code sweep_token(void *context)
{
    struct validity validity = token_validity(context);
    return validity.until_us != 0 ? ERR_OK : ERR_NOMEM;
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    char token[256];
    make_token("{\"exp\":1900000000,\"iat\":1800000000}", token, sizeof(token));
    assert_true(sweep(sweep_token, token) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_in_time_that_something_ends), cmocka_unit_test(reads_tokens),
        cmocka_unit_test(tells_whose_token_it_is),          cmocka_unit_test(knows_an_account_that_is_gone),
        cmocka_unit_test(knows_the_shape_of_a_jwt),         cmocka_unit_test(reads_certificates),
        cmocka_unit_test(survives_failing_allocations),
    };
    kube_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
