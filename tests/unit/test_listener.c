/* links: agent_admin */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/admin/listener.h"
#include "base/mem.h"

static void addresses_as_people_write_them(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host;
        int port; /* -1: invalid */
    } CASES[] = {
        {":9999", "", 9999},
        {":0", "", 0},
        {":65535", "", 65535},
        {"127.0.0.1:80", "127.0.0.1", 80},
        {"0.0.0.0:9994", "0.0.0.0", 9994},
        {"localhost:1", "127.0.0.1", 1},
        {"[::1]:9999", "::1", 9999},
        {"[0:0::1]:9999", "::1", 9999},
        {"[::]:9999", "::", 9999},
        {"[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:9999", "2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff", 9999},
        {"", "", -1},
        {":", "", -1},
        {"9999", "", -1},
        {":65536", "", -1},
        {":-1", "", -1},
        {":+1", "", -1},
        {": 1", "", -1},
        {":http", "", -1},
        {"::1:9999", "", -1},
        {"[]:9999", "", -1},
        {"[127.0.0.1]:9999", "", -1},
        {"[::1:9999", "", -1},
        {"[::1]", "", -1},
        {"example.com:9999", "", -1},
        {"256.0.0.1:9999", "", -1},
        {"http://127.0.0.1:9999", "", -1},
        {"[fe80::1%eth0]:9999", "", -1},
        {"[2001:0db8:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:9999", "", -1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct listener_address address = {.port = 7};
        struct err error = {0};
        enum err_code code = listener_parse(CASES[i].text, &address, &error);
        if (CASES[i].port < 0) {
            assert_int_equal(code, ERR_INVALID);
            assert_int_equal(address.port, 7);
            assert_non_null(strstr(error.text, ":9999, 127.0.0.1:9999 or [::1]:9999"));
            continue;
        }
        if (code != ERR_OK)
            fail_msg("%s: %s", CASES[i].text, error.text);
        assert_string_equal(address.host, CASES[i].host);
        assert_int_equal(address.port, CASES[i].port);
    }
}

static int open_at(const char *text)
{
    struct listener_address address;
    struct err error = {0};
    int fd = -1;
    assert_int_equal(listener_parse(text, &address, NULL), ERR_OK);
    if (listener_open(&address, &fd, &error) != ERR_OK)
        fail_msg("%s", error.text);
    return fd;
}

static int connect_v4(uint16_t port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : errno;
    (void)close(fd);
    return result;
}

static int connect_v6(uint16_t port)
{
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int result = connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0 ? 0 : errno;
    (void)close(fd);
    return result;
}

static bool host_has_v6(void)
{
    struct sockaddr_in6 name = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool has = fd >= 0 && bind(fd, (const struct sockaddr *)&name, sizeof(name)) == 0;
    (void)close(fd);
    return has;
}

static void a_port_alone_means_both_families(void **state)
{
    (void)state;
    int fd = open_at(":0");
    uint16_t port = listener_port(fd);
    assert_int_not_equal(port, 0);
    assert_int_equal(connect_v4(port), 0);
    if (host_has_v6())
        assert_int_equal(connect_v6(port), 0);
    (void)close(fd);
}

static void one_address_means_only_that(void **state)
{
    (void)state;
    int fd = open_at("127.0.0.1:0");
    assert_int_equal(connect_v4(listener_port(fd)), 0);
    if (host_has_v6())
        assert_int_equal(connect_v6(listener_port(fd)), ECONNREFUSED);
    (void)close(fd);
    if (!host_has_v6())
        return;
    fd = open_at("[::1]:0");
    assert_int_equal(connect_v6(listener_port(fd)), 0);
    assert_int_equal(connect_v4(listener_port(fd)), ECONNREFUSED);
    (void)close(fd);
}

static void a_port_in_use_is_named(void **state)
{
    (void)state;

    int first = open_at("127.0.0.1:0"), fd = -1;
    for (size_t i = 0; i < 2; i++) {
        struct listener_address address = {.port = listener_port(first)};
        struct err error = {0};
        char expected[200];
        if (i == 0)
            (void)snprintf(address.host, sizeof(address.host), "127.0.0.1");
        assert_int_equal(listener_open(&address, &fd, &error), ERR_IO);
        (void)snprintf(expected, sizeof(expected),
                       "cannot listen on %s:%u: Address already in use: another process listens there", address.host,
                       address.port);
        assert_true(strncmp(error.text, expected, strlen(expected)) == 0);
        assert_int_equal(fd, -1);
    }
    (void)close(first);
}

static void a_foreign_address_is_named(void **state)
{
    (void)state;
    struct listener_address address = {.host = "192.0.2.1", .port = 0}; /* RFC 5737: no host has it */
    struct err error = {0};
    int fd = -1;
    assert_int_equal(listener_open(&address, &fd, &error), ERR_IO);
    assert_non_null(strstr(error.text, "cannot listen on 192.0.2.1:0: "));
    assert_non_null(strstr(error.text, "this host does not have that address"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_as_people_write_them), cmocka_unit_test(a_port_alone_means_both_families),
        cmocka_unit_test(one_address_means_only_that),    cmocka_unit_test(a_port_in_use_is_named),
        cmocka_unit_test(a_foreign_address_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
