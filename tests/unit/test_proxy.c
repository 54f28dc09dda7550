/* links: agent_net base */
#include "agent/net/proxy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/text.h"

/* golang.org/x/net/http/httpproxy is what kubectl follows. */
static void exceptions_are_go_s(void **state)
{
    (void)state;
    static const struct {
        const char *list, *host;
        uint16_t port;
        bool excepted;
    } CASES[] = {
        {"", "east.example.com", 443, false},
        {"", "localhost", 443, true},
        {"", "LOCALHOST", 443, true},
        {"", "127.0.0.1", 443, true},
        {"", "127.9.9.9", 443, true},
        {"", "127.example.com", 443, false},
        {"", "::1", 443, true},
        {"", "0:0::1", 443, true},
        {"*", "east.example.com", 443, true},
        {"example.com", "example.com", 443, true},
        {"example.com", "east.example.com", 443, true},
        {"example.com", "EAST.Example.Com", 443, true},
        {"example.com", "eastexample.com", 443, false},
        {"example.com", "example.com.evil.net", 443, false},
        {".example.com", "east.example.com", 443, true},
        {".example.com", "example.com", 443, false},
        {"*.example.com", "east.example.com", 443, true},
        {"*.example.com", "example.com", 443, false},
        {"example.com:6443", "east.example.com", 6443, true},
        {"example.com:6443", "east.example.com", 443, false},
        {"10.0.0.1", "10.0.0.1", 443, true},
        {"10.0.0.1", "10.0.0.10", 443, false},
        {"10.0.0.1:6443", "10.0.0.1", 6443, true},
        {"10.0.0.1:6443", "10.0.0.1", 443, false},
        {"10.0.0.0/8", "10.200.3.4", 443, true},
        {"10.0.0.0/8", "11.0.0.1", 443, false},
        {"10.0.0.0/9", "10.127.0.1", 443, true},
        {"10.0.0.0/9", "10.128.0.1", 443, false},
        {"0.0.0.0/0", "192.0.2.1", 443, true},
        {"10.0.0.0/33", "10.0.0.0", 443, false},
        {"10.0.0.0/", "10.0.0.0", 443, false},
        {"10.0.0.0/8", "east.example.com", 443, false},
        {"2001:db8::/32", "2001:db8::1", 443, true},
        {"2001:db8::/32", "2001:db9::1", 443, false},
        {"2001:db8::/32", "10.0.0.1", 443, false},
        {"2001:db8::1", "2001:0db8::0001", 443, true},
        {"[2001:db8::1]", "2001:db8::1", 443, true},
        {"[2001:db8::1]:6443", "2001:db8::1", 6443, true},
        {"[2001:db8::1]:6443", "2001:db8::1", 443, false},
        {"a.com, b.com ,, c.com", "b.com", 443, true},
        {"a.com b.com", "b.com", 443, true},
        {"/,[]:,:,]", "b.com", 443, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        if (proxy_is_excepted(CASES[i].list, CASES[i].host, CASES[i].port) != CASES[i].excepted)
            fail_msg("\"%s\" for %s:%u", CASES[i].list, CASES[i].host, CASES[i].port);
}

static void clear_environment(void)
{
    static const char *const NAMES[] = {"HTTPS_PROXY", "https_proxy", "HTTP_PROXY",
                                        "http_proxy",  "NO_PROXY",    "no_proxy"};
    for (size_t i = 0; i < ARRAY_COUNT(NAMES); i++)
        assert_int_equal(unsetenv(NAMES[i]), 0);
}

static void set(const char *name, const char *value) { assert_int_equal(setenv(name, value, 1), 0); }

static void the_environment_is_read_in_both_cases(void **state)
{
    (void)state;
    clear_environment();
    assert_null(proxy_from_environment(true, "east.example.com", 443));
    set("https_proxy", "http://lower:1");
    assert_string_equal(proxy_from_environment(true, "east.example.com", 443), "http://lower:1");
    set("HTTPS_PROXY", "http://upper:1");
    assert_string_equal(proxy_from_environment(true, "east.example.com", 443), "http://upper:1");
    assert_null(proxy_from_environment(false, "east.example.com", 80));
    set("HTTP_PROXY", "http://plain:1");
    assert_string_equal(proxy_from_environment(false, "east.example.com", 80), "http://plain:1");
    set("no_proxy", "example.com");
    assert_null(proxy_from_environment(true, "east.example.com", 443));
    set("NO_PROXY", "10.0.0.0/8");
    assert_non_null(proxy_from_environment(true, "east.example.com", 443));
    assert_null(proxy_from_environment(true, "10.1.2.3", 443));
    set("HTTPS_PROXY", "");
    assert_string_equal(proxy_from_environment(true, "east.example.com", 443), "http://lower:1");
    clear_environment();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exceptions_are_go_s),
        cmocka_unit_test(the_environment_is_read_in_both_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
