/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/commands/remedy.h"

static void what_can_be_done_follows_the_cause(void **state)
{
    (void)state;
    static const char WHERE[] = "why; can this machine reach that server, and is context east the one that is meant?";
    static const struct {
        enum err_code code;
        const char *context, *text;
    } CASES[] = {
        {ERR_CONNECT, "east", WHERE},
        {ERR_RESOLVE, "east", WHERE},
        {ERR_TIMEOUT, "east", WHERE},
        {ERR_CONNECT, "in-cluster", "why; can this pod reach the API server?"},
        {ERR_UNAUTHORIZED, "in-cluster",
         "why; the token of the pod's service account is refused: is the account still there?"},
        {ERR_FORBIDDEN, "in-cluster", "why; have the pod's service account granted that right"},
        {ERR_TLS, "in-cluster", "why"},
        {ERR_TLS, "east", "why; the CA or the client certificate of context east does not fit that server"},
        {ERR_UNAUTHORIZED, "east", "why; the credentials of context east are wrong or have ended: log in again"},
        {ERR_FORBIDDEN, "east", "why; have that right granted, or be another user (--as, or another context)"},
        {ERR_NOT_FOUND, "east", "why"},
        {ERR_CONFLICT, "east", "why"},
        {ERR_CANCELLED, "east", "why"},
    };
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        struct err error = {0};
        (void)err_set(&error, CASES[i].code, "why");
        remedy_add(&error, CASES[i].context);
        assert_int_equal(error.code, CASES[i].code);
        assert_string_equal(error.text, CASES[i].text);
    }
    remedy_add(NULL, "east");
}

/* Where there is no room for both the cause stays. */
static void a_long_cause_stays(void **state)
{
    (void)state;
    char cause[2 * ERR_TEXT_BYTES];
    struct err error = {0}, whole = {0};
    memset(cause, 'x', sizeof(cause) - 1);
    cause[sizeof(cause) - 1] = '\0';
    (void)err_set(&whole, ERR_TLS, "%s", cause);
    (void)err_set(&error, ERR_TLS, "%s", cause);
    remedy_add(&error, "east");
    assert_string_equal(error.text, whole.text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_can_be_done_follows_the_cause),
        cmocka_unit_test(a_long_cause_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
