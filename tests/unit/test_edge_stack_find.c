/* links: agent_commands edge_stack_scene.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/commands/resource.h"
#include "base/mem.h"
#include "tests/unit/edge_stack_scene.h"

static void the_best_version_of_each_kind_is_chosen(void **state)
{
    (void)state;
    static const struct {
        const char *resources, *module, *host, *listener;
    } CASES[] = {
        {"[{'groupVersion': 'getambassador.io/v3alpha1', 'resources': [{'kind': 'Module'}, {'kind': 'Host'}, {'kind': "
         "'Listener'}]}]",
         "getambassador.io/v3alpha1", "getambassador.io/v3alpha1", "getambassador.io/v3alpha1"},
        {"[{'groupVersion': 'getambassador.io/v2', 'resources': [{'kind': 'Module'}, {'kind': 'Host'}]}, "
         "{'groupVersion': "
         "'getambassador.io/v3alpha1', 'resources': [{'kind': 'Module'}, {'kind': 'Host'}, {'kind': 'Listener'}]}]",
         "getambassador.io/v3alpha1", "getambassador.io/v3alpha1", "getambassador.io/v3alpha1"},
        {"[{'groupVersion': 'getambassador.io/v2', 'resources': [{'kind': 'Module'}, {'kind': 'Host'}]}, "
         "{'groupVersion': "
         "'getambassador.io/v1', 'resources': [{'kind': 'Module'}]}]",
         "getambassador.io/v2", "getambassador.io/v2", ""},
        {"[{'groupVersion': 'getambassador.io/v1', 'resources': [{'kind': 'Module'}]}]", "getambassador.io/v1", "", ""},
        {"[{'groupVersion': 'getambassador.io/v9', 'resources': [{'kind': 'Module'}]}]", "", "", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct edge_stack_objects objects = {0};
        json_t *resources = scene_json(CASES[i].resources);
        edge_stack_choose_versions(resources, &objects);
        assert_string_equal(objects.api_version[EDGE_MODULE], CASES[i].module);
        assert_string_equal(objects.api_version[EDGE_HOST], CASES[i].host);
        assert_string_equal(objects.api_version[EDGE_LISTENER], CASES[i].listener);
        json_decref(resources);
    }
}

static void each_generation_is_found_by_label_and_selector(void **state)
{
    (void)state;
    static const char *const NAMES[GENERATIONS] = {"ambassador", "edge-stack-ambassador", "emissary-ingress",
                                                   "edge-stack"};
    static const char *const IDS[GENERATIONS] = {"default", "default", "blue", "default"};
    for (enum generation generation = 0; generation < GENERATIONS; generation++) {
        struct scene scene;
        struct edge_stack_gateway gateway;
        scene_init(&scene, generation);
        assert_int_equal(edge_stack_find(&scene.objects, &scene.settings, &gateway, NULL), ERR_OK);
        assert_string_equal(gateway.name, NAMES[generation]);
        assert_string_equal(object_meta_text(gateway.workload, "name"), NAMES[generation]);
        assert_string_equal(edge_stack_text_at(gateway.container, "name", NULL), "aes");
        assert_string_equal(gateway.ambassador_id, IDS[generation]);
        assert_null(gateway.only_namespace);
        scene_done(&scene);
    }
}

static void what_cannot_be_chosen_is_told(void **state)
{
    (void)state;
    struct scene scene;
    struct edge_stack_gateway gateway;
    struct err error = {0};
    scene_init(&scene, GENERATION_4);
    json_t *service = json_array_get(scene.objects.services, 0);
    json_t *workload = json_array_get(scene.objects.workloads, 1);

    assert_int_equal(json_array_append_new(scene.objects.workloads, json_deep_copy(workload)), 0);
    assert_int_equal(edge_stack_find(&scene.objects, &scene.settings, &gateway, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "selects the pods of 2 workloads: edge/edge-stack edge/edge-stack"));
    assert_int_equal(json_array_remove(scene.objects.workloads, 2), 0);

    assert_int_equal(json_array_append_new(scene.objects.services, json_deep_copy(service)), 0);
    assert_int_equal(edge_stack_find(&scene.objects, &scene.settings, &gateway, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "name one with --gateway-service"));
    assert_int_equal(json_array_remove(scene.objects.services, 1), 0);

    scene.settings.service_namespace = "edge";
    scene.settings.service_name = "other";
    assert_int_equal(edge_stack_find(&scene.objects, &scene.settings, &gateway, &error), ERR_NOT_FOUND);
    assert_string_equal(error.text, "there is no Service edge/other");
    scene.settings.service_name = "edge-stack";
    assert_int_equal(edge_stack_find(&scene.objects, &scene.settings, &gateway, &error), ERR_OK);

    json_t *env = json_object_get(mem_unconst(gateway.container), "env");
    assert_int_equal(json_array_append_new(env, scene_json("{'name': 'AMBASSADOR_ID', 'valueFrom': {}}")), 0);
    assert_int_equal(edge_stack_find(&scene.objects, &scene.settings, &gateway, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "say it with --ambassador-id"));
    scene.settings.ambassador_id = "red";
    assert_int_equal(edge_stack_find(&scene.objects, &scene.settings, &gateway, &error), ERR_OK);
    assert_string_equal(gateway.ambassador_id, "red");

    assert_int_equal(json_object_del(edge_stack_at(service, "spec", NULL), "selector"), 0);
    assert_int_equal(edge_stack_find(&scene.objects, &scene.settings, &gateway, &error), ERR_NOT_FOUND);
    assert_non_null(strstr(error.text, "nothing stands behind it"));
    scene_done(&scene);
}

static void an_instance_reads_what_is_for_it(void **state)
{
    (void)state;
    static const struct {
        const char *object, *id, *only;
        bool reads;
    } CASES[] = {
        {"{'spec': {}}", "default", NULL, true},
        {"{'spec': {}}", "blue", NULL, false},
        {"{'spec': {'ambassador_id': 'blue'}}", "blue", NULL, true},
        {"{'spec': {'ambassador_id': ['red', 'blue']}}", "blue", NULL, true},
        {"{'spec': {'ambassador_id': ['red']}}", "blue", NULL, false},
        {"{'spec': {'ambassador_id': ['red']}}", "default", NULL, false},
        {"{'spec': {'ambassador_id': []}}", "default", NULL, true},
        {"{'metadata': {'namespace': 'a'}, 'spec': {}}", "default", "a", true},
        {"{'metadata': {'namespace': 'b'}, 'spec': {}}", "default", "a", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        json_t *object = scene_json(CASES[i].object);
        const struct edge_stack_gateway gateway = {.ambassador_id = CASES[i].id, .only_namespace = CASES[i].only};
        if (edge_stack_reads(&gateway, object) != CASES[i].reads)
            fail_msg("%s", CASES[i].object);
        json_decref(object);
    }
}

static void a_target_port_may_be_a_name(void **state)
{
    (void)state;
    static const struct {
        const char *port;
        json_int_t number;
    } CASES[] = {{"{'port': 80, 'targetPort': 8080}", 8080},
                 {"{'port': 80, 'targetPort': 'web'}", 8085},
                 {"{'port': 80, 'targetPort': 'else'}", 0},
                 {"{'port': 80}", 80}};
    json_t *container =
        scene_json("{'ports': [{'name': 'admin', 'containerPort': 8877}, {'name': 'web', 'containerPort': 8085}]}");
    const struct edge_stack_gateway gateway = {.container = container};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        json_t *port = scene_json(CASES[i].port);
        assert_int_equal(edge_stack_target_port(&gateway, port), CASES[i].number);
        json_decref(port);
    }
    json_decref(container);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_best_version_of_each_kind_is_chosen),
        cmocka_unit_test(each_generation_is_found_by_label_and_selector),
        cmocka_unit_test(what_cannot_be_chosen_is_told),
        cmocka_unit_test(an_instance_reads_what_is_for_it),
        cmocka_unit_test(a_target_port_may_be_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
