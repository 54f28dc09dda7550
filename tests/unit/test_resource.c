/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/commands/resource.h"
#include "base/mem.h"

static void paths_are_where_the_api_keeps_objects(void **state)
{
    (void)state;
    static const struct {
        const struct resource *resource;
        const char *namespace, *name, *path;
    } CASES[] = {
        {&RESOURCE_SERVICE, "demo", "web", "/api/v1/namespaces/demo/services/web"},
        {&RESOURCE_SERVICE, "demo", NULL, "/api/v1/namespaces/demo/services"},
        {&RESOURCE_SERVICE, NULL, NULL, "/api/v1/services"},
        {&RESOURCE_NAMESPACE, NULL, "demo", "/api/v1/namespaces/demo"},
        {&RESOURCE_LINK, "l5d", "east", "/apis/multicluster.linkerd.io/v1alpha3/namespaces/l5d/links/east"},
        {&RESOURCE_CLUSTER_ROLE, "ignored", "x", "/apis/rbac.authorization.k8s.io/v1/clusterroles/x"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char path[RESOURCE_PATH_BYTES];
        resource_path(CASES[i].resource, CASES[i].namespace, CASES[i].name, path);
        assert_string_equal(path, CASES[i].path);
    }
}

static void an_object_tells_its_kind_and_version(void **state)
{
    (void)state;
    struct resource resource;
    json_t *link = json_pack("{s:s, s:s}", "apiVersion", "multicluster.linkerd.io/v1alpha1", "kind", "Link");
    assert_int_equal(resource_of(link, &resource, NULL), ERR_OK);
    assert_string_equal(resource.version, "v1alpha1");
    assert_string_equal(resource.plural, "links");
    json_decref(link);
}

static void what_is_not_known_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *api_version, *kind, *words;
        enum err_code code;
    } CASES[] = {
        {"apps/v1", "Service", "apps/v1 Service is no kind", ERR_UNSUPPORTED},
        {"v1", "Widget", "v1 Widget is no kind", ERR_UNSUPPORTED},
        {NULL, "Service", "no apiVersion", ERR_INVALID},
        {"v1", NULL, "no apiVersion and kind", ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct resource resource;
        struct err error = {0};
        json_t *object = json_pack("{s:s*, s:s*}", "apiVersion", CASES[i].api_version, "kind", CASES[i].kind);
        assert_int_equal(resource_of(object, &resource, &error), CASES[i].code);
        assert_non_null(strstr(error.text, CASES[i].words));
        json_decref(object);
    }
}

static void names_are_kubectls(void **state)
{
    (void)state;
    char text[128];
    resource_format(&RESOURCE_SERVICE_ACCOUNT, "Svc", text, sizeof(text));
    assert_string_equal(text, "serviceaccount/Svc");
    resource_format(&RESOURCE_LINK, "east", text, sizeof(text));
    assert_string_equal(text, "link.multicluster.linkerd.io/east");
    resource_format(&RESOURCE_CLUSTER_ROLE, "x", text, 8);
    assert_string_equal(text, "cluster");
}

static void metadata_that_is_absent_is_empty(void **state)
{
    (void)state;
    json_t *object = json_pack("{s:{s:s, s:{s:s}}}", "metadata", "name", "web", "labels", "a", "b");
    assert_string_equal(object_meta_text(object, "name"), "web");
    assert_string_equal(object_meta_text(object, "uid"), "");
    assert_string_equal(object_meta_text(NULL, "uid"), "");
    assert_string_equal(object_meta_entry(object, "labels", "a"), "b");
    assert_null(object_meta_entry(object, "annotations", "a"));
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_are_where_the_api_keeps_objects),
        cmocka_unit_test(an_object_tells_its_kind_and_version),
        cmocka_unit_test(what_is_not_known_is_named),
        cmocka_unit_test(names_are_kubectls),
        cmocka_unit_test(metadata_that_is_absent_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
