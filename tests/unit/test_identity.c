/* links: agent_control base */
/* agent/control/identity.c, with processes that live, stand still and end. */
#include "agent/control/identity.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/sweep.h"

static void texts(void **state)
{
    (void)state;
    struct identity *a = identity_new("pod-1"), *b = identity_new("pod-1");
    assert_non_null(a);
    assert_non_null(b);
    assert_memory_equal(identity_text(a), "pod-1_", 6);
    assert_string_not_equal(identity_text(a), identity_text(b));
    assert_memory_equal(identity_name(a), "pod-1-", 6);
    assert_string_not_equal(identity_name(a), identity_name(b));
    identity_free(a);
    identity_free(b);
    struct identity *odd = identity_new("Web_Server.example");
    assert_non_null(odd);
    assert_memory_equal(identity_name(odd), "web-server-example-", 19);
    identity_free(odd);
    identity_free(NULL);
}

static void only_what_is_proven_is_gone(void **state)
{
    (void)state;
    struct identity *us = identity_new("one"), *other = identity_new("other");
    char text[256], foreign[256];
    (void)snprintf(text, sizeof(text), "%s", identity_text(other));
    assert_false(identity_is_gone(us, identity_text(us)));
    assert_false(identity_is_gone(us, text));
    identity_free(other);
    assert_true(identity_is_gone(us, text));
    /* In another boot, in another network, or not of our making: nobody can tell. */
    (void)snprintf(foreign, sizeof(foreign), "%s", text);
    char *boot = strrchr(foreign, '_') + 1;
    boot[0] = boot[0] == 'a' ? 'b' : 'a';
    assert_false(identity_is_gone(us, foreign));
    (void)snprintf(foreign, sizeof(foreign), "%s", text);
    char *network = strchr(strrchr(foreign, '_'), '-') + 1;
    network[0] = network[0] == '4' ? '5' : '4';
    assert_false(identity_is_gone(us, foreign));
    static const char *const others[] = {"", "linkerd-controller-east-5d9f", "one", "a_b", "one_0123456789abcdef"};
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(identity_is_gone(us, others[i]));
    text[strlen(text) - 1] = '\0';
    assert_false(identity_is_gone(us, text));
    identity_free(us);
}

static void a_process_proves_its_end_however_it_ends(void **state)
{
    (void)state;
    struct identity *us = identity_new("one");
    int pipes[2];
    char text[256] = "";
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct identity *its = identity_new("one");
        const char *its_text = its != NULL ? identity_text(its) : "";
        ssize_t written = write(pipes[1], its_text, strlen(its_text) + 1);
        (void)written;
        for (;;)
            (void)pause();
    }
    assert_true(read(pipes[0], text, sizeof(text) - 1) > 0);
    assert_false(identity_is_gone(us, text));
    assert_int_equal(kill(child, SIGSTOP), 0);
    assert_int_equal(waitpid(child, NULL, WUNTRACED), child);
    assert_false(identity_is_gone(us, text)); /* it stands still, and may go on */
    assert_int_equal(kill(child, SIGKILL), 0);
    siginfo_t ended;
    assert_int_equal(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
    assert_true(identity_is_gone(us, text)); /* although nobody has collected it */
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(identity_is_gone(us, text));
    (void)close(pipes[0]);
    (void)close(pipes[1]);
    identity_free(us);
}

static enum err_code make_one(void *context)
{
    (void)context;
    struct identity *identity = identity_new("one");
    enum err_code code = identity != NULL ? ERR_OK : ERR_NOMEM;
    identity_free(identity);
    return code;
}

static void without_memory_there_is_none(void **state)
{
    (void)state;
    assert_true(sweep(make_one, NULL) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(only_what_is_proven_is_gone),
        cmocka_unit_test(a_process_proves_its_end_however_it_ends),
        cmocka_unit_test(without_memory_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
