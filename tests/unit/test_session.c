/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/commands/session.h"
#include "base/mem.h"

static void redirects_never_leave_tls_nor_the_web(void **state)
{
    static const struct {
        const char *from, *to, *words; /* words: NULL where it is followed */
    } CASES[] = {
        {"http://a.example/x", "http://b.example/y", NULL},
        {"http://a.example/x", "https://a.example/x", NULL},
        {"https://a.example/x", "https://b.example/y", NULL},
        {"https://a.example/x", "http://a.example/x", "without TLS"},
        {"https://a.example/x", "file:///etc/hostname", "neither http nor https"},
        {"http://a.example/x", "ftp://a.example/x", "neither http nor https"},
        {"http://a.example/x", "httpsx://a.example/x", "neither http nor https"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err error = {0};
        enum err_code code = session_judge_redirect(CASES[i].from, CASES[i].to, &error);
        assert_int_equal(code, CASES[i].words == NULL ? ERR_OK : ERR_PROTOCOL);
        if (CASES[i].words != NULL) {
            assert_non_null(strstr(error.text, CASES[i].words));
            assert_non_null(strstr(error.text, CASES[i].to));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(redirects_never_leave_tls_nor_the_web),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
