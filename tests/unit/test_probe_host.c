/* links: agent_net */
#include "agent/net/probe_host.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"

static void the_host_is_what_is_declared_with_its_port(void **state)
{
    (void)state;
    static const struct {
        const char *declared;
        uint16_t port;
        const char *host;
    } CASES[] = {
        {"192.0.2.1", 80, "192.0.2.1"},       {"192.0.2.1", 4191, "192.0.2.1:4191"},
        {"gw.example", 80, "gw.example"},     {"gw.example", 443, "gw.example:443"},
        {"2001:db8::1", 80, "[2001:db8::1]"}, {"2001:DB8:0::1", 4191, "[2001:db8::1]:4191"},
    };
    struct arena arena;
    arena_init(&arena, 4096);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        assert_string_equal(probe_host(&arena, CASES[i].declared, CASES[i].port), CASES[i].host);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_host_is_what_is_declared_with_its_port)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
