/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/commands/export_marks.h"
#include "agent/kube/setup.h"
#include "base/mem.h"
#include "tests/unit/sweep.h"

#define M "mirror.linkerd.io/"

static json_t *load(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    assert_non_null(value);
    return value;
}

static void assert_json(json_t *value, const char *expected)
{
    char *text = value != NULL ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    assert_string_equal(text != NULL ? text : "none", expected);
    mem_free(text);
}

static struct export_marks choose(const char *modes, const char *gateway)
{
    struct export_marks marks = {0};
    assert_int_equal(export_marks_choose(modes, gateway, "edge", &marks, NULL), ERR_OK);
    return marks;
}

static void modes_become_marks(void **state)
{
    (void)state;
    struct export_marks marks = choose(NULL, NULL);
    assert_string_equal(marks.exported, "true");
    assert_false(marks.federated || marks.annotated);
    marks = choose("federated, remote-discovery", NULL);
    assert_string_equal(marks.exported, "remote-discovery");
    assert_true(marks.federated);
    marks = choose("federated", NULL);
    assert_null(marks.exported);
    marks = choose(NULL, "ambassador");
    assert_null(marks.exported);
    assert_true(marks.annotated);
    marks = choose("gateway,federated", "ambassador");
    assert_string_equal(marks.exported, "true");
    assert_true(marks.federated && marks.annotated);
    marks = choose("gateway,gateway", NULL);
    assert_string_equal(marks.exported, "true");
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *modes, *gateway, *words;
    } CASES[] = {
        {"gateway,remote-discovery", NULL, "not both"}, {"remote-discovery", "ambassador", "choose one"},
        {"mesh", NULL, "\"mesh\" is not one of"},       {"", NULL, "--mode names none"},
        {"gatewa", NULL, "\"gatewa\" is not one of"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct export_marks marks;
        struct err error = {0};
        assert_int_equal(export_marks_choose(CASES[i].modes, CASES[i].gateway, "edge", &marks, &error), ERR_INVALID);
        if (strstr(error.text, CASES[i].words) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", error.text, CASES[i].words);
    }
}

static void only_what_differs_is_changed(void **state)
{
    (void)state;
    static const struct {
        const char *modes, *gateway, *metadata, *added, *removed, *all_removed;
    } CASES[] = {
        {NULL, NULL, "{}", "{\"metadata\":{\"labels\":{\"" M "exported\":\"true\"}}}", "none", "none"},
        {NULL, NULL, "{\"labels\":{\"" M "exported\":\"true\"}}", "none",
         "{\"metadata\":{\"labels\":{\"" M "exported\":null}}}",
         "{\"metadata\":{\"labels\":{\"" M "exported\":null}}}"},
        {"gateway", NULL, "{\"labels\":{\"" M "exported\":\"true\",\"" M "federated\":\"other\"}}", "none",
         "{\"metadata\":{\"labels\":{\"" M "exported\":null}}}",
         "{\"metadata\":{\"labels\":{\"" M "exported\":null,\"" M "federated\":null}}}"},
        {"federated", "gw", "{\"labels\":{\"" M "exported\":\"true\"},\"annotations\":{\"" M "gateway-name\":\"gw\"}}",
         "{\"metadata\":{\"labels\":{\"" M "federated\":\"member\"},\"annotations\":{\"" M "gateway-ns\":\"edge\"}}}",
         "{\"metadata\":{\"annotations\":{\"" M "gateway-name\":null}}}",
         "{\"metadata\":{\"labels\":{\"" M "exported\":null},\"annotations\":{\"" M "gateway-name\":null}}}"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct export_marks marks = choose(CASES[i].modes, CASES[i].gateway);
        json_t *service = json_pack("{s:o}", "metadata", load(CASES[i].metadata)), *patch = NULL;
        assert_int_equal(export_marks_add(service, &marks, false, &patch, NULL), ERR_OK);
        assert_json(patch, CASES[i].added);
        json_decref(patch);
        assert_int_equal(export_marks_remove(service, &marks, &patch, NULL), ERR_OK);
        assert_json(patch, CASES[i].removed);
        json_decref(patch);
        assert_int_equal(export_marks_remove(service, NULL, &patch, NULL), ERR_OK);
        assert_json(patch, CASES[i].all_removed);
        json_decref(patch);
        json_decref(service);
    }
}

static void another_mark_is_kept_unless_told_otherwise(void **state)
{
    (void)state;
    struct export_marks marks = choose("gateway", NULL);
    struct err error = {0};
    json_t *service = load("{\"metadata\":{\"name\":\"web\",\"labels\":{\"" M "exported\":\"remote-discovery\"}}}");
    json_t *patch = NULL;
    assert_int_equal(export_marks_add(service, &marks, false, &patch, &error), ERR_CONFLICT);
    assert_null(patch);
    assert_string_equal(error.text,
                        "service/web has " M "exported=remote-discovery already: --overwrite makes it true, "
                        "and its mirrors follow");
    assert_int_equal(export_marks_add(service, &marks, true, &patch, &error), ERR_OK);
    assert_json(patch, "{\"metadata\":{\"labels\":{\"" M "exported\":\"true\"}}}");
    json_decref(patch);
    assert_int_equal(export_marks_remove(service, &marks, &patch, &error), ERR_OK);
    assert_null(patch); /* --mode gateway does not take remote discovery away */
    json_decref(service);
}

static void patches_are_merged(void **state)
{
    (void)state;
    json_t *service =
        load("{\"metadata\":{\"name\":\"web\",\"labels\":{\"a\":\"b\",\"c\":\"d\"},\"annotations\":null}}");
    json_t *patch = load("{\"metadata\":{\"labels\":{\"a\":null,\"e\":\"f\"},\"annotations\":{\"g\":\"h\"}}}");
    assert_int_equal(export_marks_merge(service, patch, NULL), ERR_OK);
    assert_json(service,
                "{\"metadata\":{\"name\":\"web\",\"labels\":{\"c\":\"d\",\"e\":\"f\"},\"annotations\":{\"g\":\"h\"}}}");
    json_decref(patch);
    patch = load("{\"metadata\":{\"annotations\":{\"g\":null}}}");
    assert_int_equal(export_marks_merge(service, patch, NULL), ERR_OK);
    assert_json(service, "{\"metadata\":{\"name\":\"web\",\"labels\":{\"c\":\"d\",\"e\":\"f\"}}}");
    json_decref(patch);
    json_decref(service);
}

static void what_stands_in_the_way_is_known(void **state)
{
    (void)state;
    static const struct {
        const char *modes, *service, *words;
    } CASES[] = {
        {NULL, "{\"spec\":{\"ports\":[{\"port\":80}]}}", NULL},
        {NULL, "{\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":80}]}}", NULL},
        {"federated", "{\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":80}]}}", "headless"},
        {NULL, "{\"spec\":{\"ports\":[]}}", "no ports"},
        {NULL, "{\"spec\":{\"type\":\"ExternalName\",\"ports\":[{\"port\":80}]}}", "ExternalName"},
        {NULL, "{\"metadata\":{\"labels\":{\"" M "mirrored-service\":\"true\"}},\"spec\":{\"ports\":[{\"port\":80}]}}",
         "itself the mirror"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct export_marks marks = choose(CASES[i].modes, NULL);
        json_t *service = load(CASES[i].service);
        const char *obstacle = export_marks_obstacle(service, &marks);
        if (CASES[i].words == NULL)
            assert_null(obstacle);
        else
            assert_non_null(strstr(obstacle, CASES[i].words));
        json_decref(service);
    }
}

static enum err_code add_and_remove(void *context)
{
    const struct export_marks marks = {"true", true, true, "gw", "edge"};
    json_t *service = json_deep_copy(context), *patch = NULL;
    enum err_code code = service != NULL ? ERR_OK : ERR_NOMEM;
    for (int round = 0; round < 2 && code == ERR_OK; round++) {
        code = round == 0 ? export_marks_add(service, &marks, false, &patch, NULL)
                          : export_marks_remove(service, NULL, &patch, NULL);
        if (code == ERR_OK)
            code = export_marks_merge(service, patch, NULL);
        json_decref(TAKE(patch));
    }
    if (code == ERR_OK)
        assert_true(json_equal(service, context));
    json_decref(service);
    return code;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    json_t *service = load("{\"metadata\":{\"name\":\"web\"}}");
    (void)sweep(add_and_remove, service);
    json_decref(service);
}

int main(void)
{
    kube_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modes_become_marks),           cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(only_what_differs_is_changed), cmocka_unit_test(another_mark_is_kept_unless_told_otherwise),
        cmocka_unit_test(patches_are_merged),           cmocka_unit_test(what_stands_in_the_way_is_known),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
