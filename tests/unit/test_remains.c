/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/commands/remains.h"
#include "base/mem.h"

static void ours_is_what_the_agent_wrote(void **state)
{
    (void)state;
    static const struct {
        const char *object;
        bool ours;
    } CASES[] = {
        {"{\"metadata\":{\"managedFields\":[{\"manager\":\"kubectl\"},{\"manager\":\"svcmirror\"}]}}", true},
        {"{\"metadata\":{\"managedFields\":[{\"manager\":\"service-mirror\"}]}}", false},
        {"{\"metadata\":{\"managedFields\":[{\"manager\":\"svcmirror-cli\"}]}}", false},
        {"{\"metadata\":{\"managedFields\":[{}]}}", false},
        {"{\"metadata\":{\"name\":\"x\"}}", false},
        {"{}", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        json_t *object = json_loads(CASES[i].object, 0, NULL);
        assert_non_null(object);
        assert_int_equal(remains_is_ours(object), CASES[i].ours);
        json_decref(object);
    }
}

static void only_our_finalizer_goes_and_only_in_this_version(void **state)
{
    (void)state;
    json_t *link = json_loads("{\"metadata\":{\"name\":\"east\",\"resourceVersion\":\"7\",\"finalizers\":"
                              "[\"a.example/x\",\"svcmirror.io/mirrors\",\"b.example/y\"]}}",
                              0, NULL);
    json_t *expected =
        json_loads("{\"metadata\":{\"resourceVersion\":\"7\",\"finalizers\":[\"a.example/x\",\"b.example/y\"]}}", 0,
                   NULL);
    json_t *patch = remains_release_patch(link);
    assert_true(json_equal(patch, expected));
    json_decref(patch);
    json_decref(expected);
    json_decref(link);
}

static void the_first_ten_are_named(void **state)
{
    (void)state;
    static const struct {
        unsigned count;
        const char *namespace, *text;
    } CASES[] = {
        {0, "demo", ""},
        {1, "demo", "demo/a"},
        {3, NULL, "a, b, c"},
        {10, NULL, "a, b, c, d, e, f, g, h, i, j"},
        {12, NULL, "a, b, c, d, e, f, g, h, i, j and 2 more"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct strbuf text;
        json_t *objects = json_array();
        strbuf_init(&text, 1024);
        for (unsigned n = 0; n < CASES[i].count; n++) {
            const char name[] = {(char)('a' + n), '\0'};
            json_t *object = json_pack("{s:{s:s, s:s*}}", "metadata", "name", name, "namespace", CASES[i].namespace);
            assert_int_equal(json_array_append_new(objects, object), 0);
        }
        remains_names(objects, &text);
        assert_string_equal(strbuf_text(&text), CASES[i].text);
        strbuf_done(&text);
        json_decref(objects);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ours_is_what_the_agent_wrote),
        cmocka_unit_test(only_our_finalizer_goes_and_only_in_this_version),
        cmocka_unit_test(the_first_ten_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
