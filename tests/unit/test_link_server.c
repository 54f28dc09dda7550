/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/commands/link_server.h"
#include "base/mem.h"

static void addresses_of_other_machines_are_taken(void **state)
{
    (void)state;
    static const char *const URLS[] = {
        "https://192.0.2.1:6443",      "https://192.0.2.1",          "https://10.0.0.1:6443/prefix",
        "https://[2001:db8::1]:6443",  "https://api.example.com",    "https://api.example.com.:443",
        "http://api.internal:8080",    "https://192.168.49.2:8443",  "https://localhost.example.com",
        "https://mylocalhost:6443",    "https://me@api.example.com", "https://A0B1.gr7.eu-west-1.eks.amazonaws.com",
        "https://user@10.0.0.1/a@b:1",
    };
    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++) {
        struct err error = {0};
        if (link_server_check(URLS[i], "server", &error) != ERR_OK)
            fail_msg("%s: %s", URLS[i], error.text);
    }
}

static void the_own_machine_is_refused_with_the_remedy(void **state)
{
    (void)state;
    static const char *const URLS[] = {
        "https://127.0.0.1:41234",      "https://127.9.9.9",           "https://[::1]:6443",
        "https://0.0.0.0:6550",         "https://[::]:6443",           "https://localhost:6443",
        "https://LocalHost.:6443",      "https://kind.localhost:6443", "https://kubernetes.docker.internal:6443",
        "https://169.254.1.1:6443",     "https://[fe80::1]:6443",      "https://[::ffff:127.0.0.1]:6443",
        "https://me:secret@127.0.0.1:1"};
    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++) {
        struct err error = {0};
        if (link_server_check(URLS[i], "server", &error) != ERR_INVALID)
            fail_msg("%s is taken", URLS[i]);
        assert_non_null(strstr(error.text, "with --api-server-address https://HOST:PORT"));
    }
}

static void what_is_no_address_is_refused(void **state)
{
    (void)state;
    static const char *const URLS[] = {"",         "east",       "192.0.2.1:6443", "ftp://192.0.2.1",
                                       "https://", "https:///x", "https://[::1",   "://x"};
    for (size_t i = 0; i < ARRAY_COUNT(URLS); i++) {
        struct err error = {0};
        assert_int_equal(link_server_check(URLS[i], "--api-server-address", &error), ERR_INVALID);
        assert_non_null(strstr(error.text, "--api-server-address \""));
    }
}

static void proxies_are_judged_alike(void **state)
{
    (void)state;
    struct err error = {0};
    assert_int_equal(link_server_check_proxy("socks5://proxy.example.com:1080", &error), ERR_OK);
    assert_int_equal(link_server_check_proxy("http://192.0.2.9:3128", &error), ERR_OK);
    assert_int_equal(link_server_check_proxy("socks5://localhost:1080", &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "proxy-url socks5://localhost:1080"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_of_other_machines_are_taken),
        cmocka_unit_test(the_own_machine_is_refused_with_the_remedy),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(proxies_are_judged_alike),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
