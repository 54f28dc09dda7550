/* links: agent_kube */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "agent/kube/pem.h"
#include "test_certificate.h"

struct seen {
    struct pem_certificate list[4];
    unsigned count;
};

static void see(void *context, const struct pem_certificate *certificate)
{
    struct seen *seen = context;
    if (seen->count < 4)
        seen->list[seen->count++] = *certificate;
}

/* As `openssl x509 -fingerprint -sha256` has it, without colons. */
static void fingerprint(const char *pem, char text[PEM_FINGERPRINT_BYTES])
{
    unsigned char digest[EVP_MAX_MD_SIZE], der[2048], *at = der;
    unsigned length = 0;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    int bytes = i2d_X509(certificate, &at);
    assert_true(bytes > 0 && (size_t)bytes < sizeof(der));
    assert_int_equal(EVP_Digest(der, (size_t)bytes, digest, &length, EVP_sha256(), NULL), 1);
    for (unsigned i = 0; i < length; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", digest[i]);
    X509_free(certificate);
    BIO_free(bio);
}

static void each_certificate_is_told_with_fingerprint_and_end(void **state)
{
    (void)state;
    struct test_certificate one = test_certificate_make(1900000000), two = test_certificate_make(1800000000);
    struct seen seen = {0};
    char bundle[2 * sizeof(one.certificate) + 32], expected[PEM_FINGERPRINT_BYTES];
    struct validity first = {0};
    (void)snprintf(bundle, sizeof(bundle), "a comment\n%s\n%s", one.certificate, two.certificate);
    assert_int_equal(pem_each(bundle, see, &seen, NULL), ERR_OK);
    assert_int_equal(seen.count, 2);
    fingerprint(one.certificate, expected);
    assert_string_equal(seen.list[0].fingerprint, expected);
    fingerprint(two.certificate, expected);
    assert_string_equal(seen.list[1].fingerprint, expected);
    assert_int_equal(seen.list[0].validity.until_us, 1900000000000000);
    assert_int_equal(seen.list[1].validity.until_us, 1800000000000000);
    assert_int_equal(pem_check_bundle(bundle, &first, NULL), ERR_OK);
    assert_int_equal(first.until_us, 1800000000000000); /* the first to expire, wherever it stands */
}

static void what_is_no_bundle(void **state)
{
    (void)state;
    struct test_certificate one = test_certificate_make(1900000000);
    struct seen seen = {0};
    char broken[3000];
    struct err error = {0};
    assert_int_equal(pem_each("", see, &seen, &error), ERR_TLS);
    assert_int_equal(pem_each("nonsense", see, &seen, &error), ERR_TLS);
    assert_int_equal(seen.count, 0);
    (void)snprintf(broken, sizeof(broken), "%s-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----\n",
                   one.certificate);
    assert_int_equal(pem_each(broken, see, &seen, &error), ERR_TLS);
    assert_int_equal(seen.count, 1);
    assert_string_equal(error.text, "certificate 2 of it is broken");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_certificate_is_told_with_fingerprint_and_end),
        cmocka_unit_test(what_is_no_bundle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
