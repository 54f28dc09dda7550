/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/commands/install_objects.h"
#include "agent/commands/resource.h"
#include "agent/kube/setup.h"
#include "base/mem.h"
#include "sweep.h"

static const struct install_settings PLAIN = {.namespace = INSTALL_NAMESPACE, .replicas = 2, .with_link_crd = true};

static json_t *make(const struct install_settings *settings)
{
    json_t *objects = NULL;
    struct err error = {0};
    if (install_objects(settings, &objects, &error) != ERR_OK)
        fail_msg("%s", error.text);
    return objects;
}

/* The first object of a kind; borrowed. */
static json_t *find(json_t *objects, const char *kind)
{
    json_t *object = NULL;
    size_t index = 0;
    json_array_foreach(objects, index,
                       object) if (strcmp(json_string_value(json_object_get(object, "kind")), kind) == 0) return object;
    return NULL;
}

static json_t *container_of(json_t *objects)
{
    json_t *pod =
        json_object_get(json_object_get(json_object_get(find(objects, "Deployment"), "spec"), "template"), "spec");
    return json_array_get(json_object_get(pod, "containers"), 0);
}

static void objects_come_in_the_order_in_which_they_can_be_made(void **state)
{
    (void)state;
    static const char *const KINDS[] = {"CustomResourceDefinition",
                                        "Namespace",
                                        "ServiceAccount",
                                        "ClusterRole",
                                        "ClusterRoleBinding",
                                        "Role",
                                        "RoleBinding",
                                        "Deployment",
                                        "Service"};
    json_t *objects = make(&PLAIN);
    assert_int_equal(json_array_size(objects), ARRAY_COUNT(KINDS));
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++)
        assert_string_equal(json_string_value(json_object_get(json_array_get(objects, i), "kind")), KINDS[i]);
    json_decref(objects);
}

static void without_the_link_type_everything_else_is_the_same(void **state)
{
    (void)state;
    struct install_settings settings = PLAIN;
    settings.with_link_crd = false;
    json_t *with = make(&PLAIN), *without = make(&settings);
    assert_null(find(without, "CustomResourceDefinition"));
    assert_int_equal(json_array_remove(with, 0), 0);
    assert_true(json_equal(with, without));
    json_decref(with);
    json_decref(without);
}

static void what_people_change_is_changed(void **state)
{
    (void)state;
    const struct install_settings settings = {.namespace = INSTALL_NAMESPACE,
                                              .image = "registry.example/svcmirror:1",
                                              .pull_policy = "Always",
                                              .pull_secret = "registry",
                                              .memory_limit = "1Gi",
                                              .agent_flags = " --cluster-name=west  --log-level=debug",
                                              .replicas = 3};
    json_t *objects = make(&settings), *container = container_of(objects);
    json_t *spec = json_object_get(find(objects, "Deployment"), "spec");
    json_t *pod = json_object_get(json_object_get(spec, "template"), "spec");
    json_t *args =
        json_pack("[s, s, s, s]", "run", "--namespace=$(POD_NAMESPACE)", "--cluster-name=west", "--log-level=debug");
    json_t *limits = json_pack("{s:s}", "memory", "1Gi"), *secrets = json_pack("[{s:s}]", "name", "registry");
    assert_int_equal(json_integer_value(json_object_get(spec, "replicas")), 3);
    assert_string_equal(json_string_value(json_object_get(container, "image")), "registry.example/svcmirror:1");
    assert_string_equal(json_string_value(json_object_get(container, "imagePullPolicy")), "Always");
    assert_true(json_equal(json_object_get(pod, "imagePullSecrets"), secrets));
    assert_true(json_equal(json_object_get(json_object_get(container, "resources"), "limits"), limits));
    assert_true(json_equal(json_object_get(container, "args"), args));
    json_decref(secrets);
    json_decref(limits);
    json_decref(args);
    json_decref(objects);
}

static void two_namespaces_share_nothing_but_the_link_type(void **state)
{
    (void)state;
    struct install_settings settings = PLAIN;
    json_t *object = NULL, *subject = NULL;
    size_t index = 0, at = 0;
    settings.namespace = "mirrors";
    json_t *objects = make(&settings);
    json_array_foreach(objects, index, object)
    {
        struct resource resource;
        assert_int_equal(resource_of(object, &resource, NULL), ERR_OK);
        const char *name = object_meta_text(object, "name"), *namespace = object_meta_text(object, "namespace");
        assert_string_equal(namespace, resource.namespaced ? "mirrors" : "");
        if (strcmp(resource.kind, "Namespace") == 0)
            assert_string_equal(name, "mirrors");
        else if (strcmp(resource.kind, "CustomResourceDefinition") != 0)
            assert_string_equal(name, resource.namespaced ? "svcmirror" : "svcmirror-mirrors");
        json_array_foreach(json_object_get(object, "subjects"), at, subject)
            assert_string_equal(json_string_value(json_object_get(subject, "namespace")), "mirrors");
    }
    const json_t *role = json_object_get(find(objects, "ClusterRoleBinding"), "roleRef");
    assert_string_equal(json_string_value(json_object_get(role, "name")), "svcmirror-mirrors");
    role = json_object_get(find(objects, "RoleBinding"), "roleRef");
    assert_string_equal(json_string_value(json_object_get(role, "name")), "svcmirror");
    json_decref(objects);
}

static void flags_of_the_agent_are_checked_before_it_meets_them(void **state)
{
    (void)state;
    char many[33 * 17 + 1] = "", longer[5000];
    for (int i = 0; i < 33; i++)
        strcat(many, "--log-level=info ");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    const struct {
        const char *text, *words;
        enum err_code code;
    } CASES[] = {
        {"--cluster-name=west --log-level=debug", "", ERR_OK},
        {"", "", ERR_OK},
        {"--leader-elect=false", "", ERR_OK},
        {"--clustername=west", "--clustername", ERR_INVALID},
        {"--log-level=loud", "loud", ERR_INVALID},
        {"--cluster-name west", "\"west\": write --FLAG=VALUE", ERR_INVALID},
        {"-n=x", "\"-n=x\": write --FLAG=VALUE", ERR_INVALID},
        {"--namespace=x", "the namespace is that of --namespace", ERR_INVALID},
        {"--namespace", "the namespace is that of --namespace", ERR_INVALID},
        {"--namespace-of=x", "unknown flag", ERR_INVALID},
        {"--kubeconfig=x", "\"--kubeconfig=x\": the pod has no kubeconfig", ERR_INVALID},
        {"--context=x", "the pod has no kubeconfig", ERR_INVALID},
        {"--admin-addr=:1", "the pod's port and probes are those of :9999", ERR_INVALID},
        {"--metrics-addr=:1", "the pod's port and probes are those of :9999", ERR_INVALID},
        {"--help", "the agent would print its help", ERR_INVALID},
        {"--no-such-flag --help", "the agent would print its help", ERR_INVALID},
        {"--lease-duration=5s", "--lease-duration must be longer than --renew-deadline", ERR_INVALID},
        {"--lease-duration=5s --renew-deadline=3s", "", ERR_OK},
        {"--only-link=east", "", ERR_OK},
        {"--only-link=east --local-mirror", "--only-link and --local-mirror contradict each other", ERR_INVALID},
        {many, "more than 32 flags", ERR_LIMIT},
        {longer, "longer than", ERR_LIMIT},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err error = {0};
        assert_int_equal(install_check_agent_flags(CASES[i].text, &error), CASES[i].code);
        if (strstr(error.text, CASES[i].words) == NULL)
            fail_msg("%s", error.text);
    }
    struct install_settings settings = PLAIN;
    json_t *objects = NULL;
    settings.agent_flags = "--no-such-flag";
    assert_int_equal(install_objects(&settings, &objects, NULL), ERR_INVALID);
    assert_null(objects);
}

static void what_cannot_run_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *memory, *image;
        bool right;
    } CASES[] = {
        {"512Mi", "svcmirror:0.1.0", true},
        {"1e9", "registry.example:5000/team/svcmirror", true},
        {"0.5G", "registry.example/svcmirror@sha256:0123", true},
        {"1Ei", "[fd00::1]:5000/svcmirror:1", true},
        {"0", "", false},
        {"0Gi", " ", false},
        {"0.0E", "A B", false},
        {"0e9", "svcmirror\n", false},
        {"1", "/svcmirror", false},
        {"512", "$(IMAGE)", false},
        {"31Mi", ":1", false},
        {"1e", "\xc3\xa4", false},
        {"", "-x", false},
        {"-1Gi", "@sha256:0123", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        enum err_code expected = CASES[i].right ? ERR_OK : ERR_INVALID;
        if (install_check_quantity(CASES[i].memory, NULL) != expected)
            fail_msg("%s", CASES[i].memory);
        if (install_check_image(CASES[i].image, NULL) != expected)
            fail_msg("%s", CASES[i].image);
    }
}

static void a_replica_s_limit_is_not_below_its_request(void **state)
{
    (void)state;
    json_t *objects = make(&PLAIN);
    const json_t *resources = json_object_get(container_of(objects), "resources");
    const char *request = json_string_value(json_object_get(json_object_get(resources, "requests"), "memory"));
    assert_string_equal(request, "32Mi");
    assert_int_equal(install_check_quantity(request, NULL), ERR_OK);
    assert_int_equal(install_check_quantity("33554431", NULL), ERR_INVALID);
    json_decref(objects);
}

static enum err_code sweep_objects(void *context)
{
    json_t *objects = NULL;
    struct install_settings settings = {
        .namespace = "mirrors", .image = "x", .pull_secret = "s", .agent_flags = "--log-level=debug", .replicas = 1};
    enum err_code code = install_objects(&settings, &objects, NULL);
    (void)context;
    json_decref(objects);
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    kube_setup();
    assert_true(sweep(sweep_objects, NULL) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_come_in_the_order_in_which_they_can_be_made),
        cmocka_unit_test(without_the_link_type_everything_else_is_the_same),
        cmocka_unit_test(what_people_change_is_changed),
        cmocka_unit_test(two_namespaces_share_nothing_but_the_link_type),
        cmocka_unit_test(flags_of_the_agent_are_checked_before_it_meets_them),
        cmocka_unit_test(what_cannot_run_is_refused),
        cmocka_unit_test(a_replica_s_limit_is_not_below_its_request),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
