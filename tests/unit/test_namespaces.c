/* links: base agent_control */
#include "agent/control/namespaces.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static enum namespace_turn ask(struct namespaces *namespaces, const char *name, uint64_t now_ms, uint64_t *ret_wait_ms,
                               const char **ret_problem)
{
    *ret_wait_ms = 0;
    *ret_problem = NULL;
    return namespaces_ask(namespaces, name, now_ms, ret_wait_ms, ret_problem);
}

static void one_creates_and_the_others_wait(void **state)
{
    (void)state;
    struct namespaces *namespaces = namespaces_new();
    uint64_t wait_ms;
    const char *problem;
    assert_non_null(namespaces);
    assert_int_equal(ask(namespaces, "shop", 0, &wait_ms, &problem), NAMESPACE_CREATE);
    assert_int_equal(ask(namespaces, "shop", 1, &wait_ms, &problem), NAMESPACE_UNDER_WAY);
    assert_int_equal(ask(namespaces, "other", 1, &wait_ms, &problem), NAMESPACE_CREATE);
    namespaces_created(namespaces, "shop");
    assert_int_equal(ask(namespaces, "shop", 2, &wait_ms, &problem), NAMESPACE_CREATE);
    namespaces_free(namespaces);
    namespaces_free(NULL);
}

static void a_failure_is_heard_by_all_and_tried_again_once(void **state)
{
    (void)state;
    struct namespaces *namespaces = namespaces_new();
    uint64_t wait_ms;
    const char *problem;
    assert_non_null(namespaces);
    assert_int_equal(ask(namespaces, "shop", 0, &wait_ms, &problem), NAMESPACE_CREATE);
    namespaces_failed(namespaces, "shop", 1000, 500, "forbidden");
    assert_int_equal(ask(namespaces, "shop", 1100, &wait_ms, &problem), NAMESPACE_FAILED);
    assert_int_equal(wait_ms, 400);
    assert_string_equal(problem, "forbidden");
    assert_int_equal(ask(namespaces, "shop", 1500, &wait_ms, &problem), NAMESPACE_CREATE);
    assert_int_equal(ask(namespaces, "shop", 1500, &wait_ms, &problem), NAMESPACE_UNDER_WAY);
    namespaces_failed(namespaces, "nobody", 0, 1, "says nothing");
    namespaces_free(namespaces);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_creates_and_the_others_wait),
        cmocka_unit_test(a_failure_is_heard_by_all_and_tried_again_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
