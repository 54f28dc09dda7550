/* links: agent_kube base */
#include "agent/kube/impersonate.h"

#include <string.h>

#include "agent/kube/setup.h"
#include "base/strbuf.h"
#include "tests/unit/sweep.h"

static enum err_code read(const char *user, struct strbuf *lines, struct err *error)
{
    struct arena arena;
    const char *const *list = NULL;
    json_t *json = json_loads(user, 0, NULL);
    if (json == NULL)
        return ERR_NOMEM;
    arena_init(&arena, 1 << 20);
    enum err_code code = impersonate_read(&arena, json, &list, error);
    for (size_t i = 0; list != NULL && list[i] != NULL; i++)
        strbuf_printf(lines, "%s\n", list[i]);
    arena_done(&arena);
    json_decref(json);
    return code;
}

static void writes_headers(void **state)
{
    (void)state;
    static const struct {
        const char *user;
        enum err_code code;
        const char *lines; /* or words of the error */
    } cases[] = {
        {"{}", ERR_OK, ""},
        {"{\"as\":\"\",\"as-groups\":[],\"as-user-extra\":{}}", ERR_OK, ""},
        {"{\"as\":\"jane\"}", ERR_OK, "Impersonate-User: jane\n"},
        {"{\"as\":\"jane\",\"as-uid\":\"7\",\"as-groups\":[\"a\",\"b c\"],\"as-user-extra\":{\"acme.org/x "
         "y\":[\"1\",\"2\"],\"Z%\":[]}}",
         ERR_OK,
         "Impersonate-User: jane\nImpersonate-Uid: 7\nImpersonate-Group: a\nImpersonate-Group: b c\n"
         "Impersonate-Extra-acme.org%2Fx%20y: 1\nImpersonate-Extra-acme.org%2Fx%20y: 2\n"},
        {"{\"as-uid\":\"7\"}", ERR_INVALID, "as-uid without `as`"},
        {"{\"as-groups\":[\"a\"]}", ERR_INVALID, "as-groups without `as`"},
        {"{\"as-user-extra\":{\"a\":[]}}", ERR_INVALID, "as-user-extra without `as`"},
        {"{\"as\":\"a\\r\\nX-Evil: 1\"}", ERR_INVALID, "as has a value"},
        {"{\"as\":\"a\",\"as-groups\":[\"\"]}", ERR_INVALID, "as-groups has a value"},
        {"{\"as\":\"a\",\"as-groups\":[1]}", ERR_INVALID, "as-groups has a value"},
        {"{\"as\":\"a\",\"as-user-extra\":{\"k\":[\"x\\ny\"]}}", ERR_INVALID, "as-user-extra has a value"},
        {"{\"as\":\"a\",\"as-user-extra\":{\"k\":\"x\"}}", ERR_INVALID, "not a map of lists"},
        {"{\"as\":\"a\",\"as-user-extra\":{\"\":[\"x\"]}}", ERR_INVALID, "not a map of lists"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct strbuf lines;
        struct err error = {0};
        strbuf_init(&lines, 1 << 16);
        enum err_code code = read(cases[i].user, &lines, &error);
        bool right = code == ERR_OK ? strcmp(strbuf_text(&lines), cases[i].lines) == 0
                                    : strstr(error.text, cases[i].lines) != NULL;
        if (code != cases[i].code || !right)
            fail_msg("case %zu: %s: %s%s", i, err_code_name(code), error.text, strbuf_text(&lines));
        strbuf_done(&lines);
    }
}

static void bounds_what_it_takes(void **state)
{
    (void)state;
    struct strbuf user, lines;
    struct err error = {0};
    strbuf_init(&user, 1 << 16);
    strbuf_init(&lines, 1 << 16);
    strbuf_append(&user, "{\"as\":\"a\",\"as-groups\":[\"g\"");
    for (unsigned i = 0; i < 63; i++)
        strbuf_append(&user, ",\"g\"");
    strbuf_append(&user, "]}");
    assert_int_equal(read(strbuf_text(&user), &lines, &error), ERR_LIMIT);
    strbuf_done(&user);
    strbuf_done(&lines);
}

static enum err_code sweep_read(void *context)
{
    struct strbuf lines;
    strbuf_init(&lines, 1 << 16);
    enum err_code code = read(context, &lines, NULL);
    strbuf_done(&lines);
    return code;
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    char user[] = "{\"as\":\"jane\",\"as-uid\":\"7\",\"as-groups\":[\"a\"],\"as-user-extra\":{\"k\":[\"v\"]}}";
    assert_true(sweep(sweep_read, user) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_headers),
        cmocka_unit_test(bounds_what_it_takes),
        cmocka_unit_test(survives_failing_allocations),
    };
    kube_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
