/* links: agent_net agent_loop base fake_server.c */
/* agent/net/tls_identity.c: which texts it reads, and which it leaves to libcurl. That connections use them: test_http_origin. */
#include "agent/net/tls_identity.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/err.h>

#include "fake_server.h"

static struct fake_certificate root, client, other;

static int make_certificates(void **state)
{
    (void)state;
    fake_certificate_root(&root, "Root of the tests");
    fake_certificate_sign(&root, "an agent", NULL, 30, &client);
    fake_certificate_sign(&root, "another", NULL, 30, &other);
    return 0;
}

static void what_cannot_be_used_is_left_to_libcurl(void **state)
{
    (void)state;
    static const char BROKEN[] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    char chain[2 * sizeof(client.certificate)], broken_chain[2 * sizeof(client.certificate)];
    (void)snprintf(chain, sizeof(chain), "%s%s", client.certificate, root.certificate);
    (void)snprintf(broken_chain, sizeof(broken_chain), "%s%s", client.certificate, BROKEN);
    const struct {
        const char *what, *ca, *cert, *key;
        bool read;
    } cases[] = {
        {"nothing", NULL, NULL, NULL, false},
        {"roots", root.certificate, NULL, NULL, true},
        {"a certificate", NULL, client.certificate, client.key, true},
        {"all", root.certificate, client.certificate, client.key, true},
        {"a chain", root.certificate, chain, client.key, true},
        {"two roots", chain, NULL, NULL, true},
        {"no roots", "nonsense", client.certificate, client.key, false},
        {"a broken root", BROKEN, NULL, NULL, false},
        {"a broken one among roots", broken_chain, NULL, NULL, false},
        {"a broken chain", root.certificate, broken_chain, client.key, false},
        {"another's key", root.certificate, client.certificate, other.key, false},
        {"no key", root.certificate, client.certificate, NULL, false},
        {"a key alone", root.certificate, NULL, client.key, false},
        {"a certificate for a key", root.certificate, client.certificate, client.certificate, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct tls_identity *identity = tls_identity_new(cases[i].ca, cases[i].cert, cases[i].key);
        if ((identity != NULL) != cases[i].read)
            fail_msg("%s: %s", cases[i].what, identity != NULL ? "read" : "not read");
        if (ERR_peek_error() != 0)
            fail_msg("%s: something is left in OpenSSL's queue", cases[i].what);
        tls_identity_free(identity);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_cannot_be_used_is_left_to_libcurl)};
    return cmocka_run_group_tests(tests, make_certificates, NULL);
}
