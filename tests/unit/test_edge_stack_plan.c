/* links: agent_commands edge_stack_scene.c */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/edge_stack_values.h"
#include "agent/commands/resource.h"
#include "agent/kube/setup.h"
#include "agent/kube/yaml.h"
#include "base/mem.h"
#include "base/text.h"
#include "sweep.h"
#include "tests/unit/edge_stack_scene.h"

static enum err_code plan_scene(const struct scene *scene, bool undo, struct edge_stack_gateway *gateway,
                                struct edge_stack_plan *plan, struct err *error)
{
    TRY(edge_stack_plan_new(plan, error));
    TRY(edge_stack_find(&scene->objects, &scene->settings, gateway, error));
    return undo ? edge_stack_undo(&scene->objects, gateway, plan, error)
                : edge_stack_prepare(&scene->objects, gateway, &scene->settings, plan, error);
}

static struct edge_stack_plan planned(const struct scene *scene, bool undo)
{
    struct edge_stack_gateway gateway;
    struct edge_stack_plan plan;
    struct err error = {0};
    if (plan_scene(scene, undo, &gateway, &plan, &error) != ERR_OK)
        fail_msg("%s", error.text);
    return plan;
}

static bool says(const struct edge_stack_plan *plan, int severity, const char *words)
{
    const json_t *finding = NULL;
    size_t index = 0;
    json_array_foreach(plan->findings, index, finding)
    {
        if (json_integer_value(json_object_get(finding, "severity")) == severity &&
            strstr(edge_stack_text_at(finding, "text", NULL), words) != NULL)
            return true;
    }
    return false;
}

/* The object of a kind after the plan; borrowed. */
static const json_t *after(const struct edge_stack_plan *plan, const char *kind)
{
    const json_t *change = NULL;
    size_t index = 0;
    json_array_foreach(plan->changes, index, change)
    {
        const json_t *object = json_object_get(change, "after");
        if (text_equal(edge_stack_text_at(object, "kind", NULL), kind))
            return object;
    }
    return NULL;
}

static void assert_json(const json_t *is, const char *expected)
{
    json_t *value = scene_json(expected);
    if (!json_equal(is, value)) {
        char *text = json_dumps(is, JSON_INDENT(1) | JSON_ENCODE_ANY);
        fail_msg("%s\nis not %s", text != NULL ? text : "nothing", expected);
    }
    json_decref(value);
}

/* ---- every generation ---- */

static const struct {
    const char *api, *identity, *port_target, *kinds, *mapping, *module;
} EXPECTED[GENERATIONS] = {
    [GENERATION_1_5] =
        {"getambassador.io/v2", "ambassador-account.ambassador.serviceaccount.identity.linkerd.east.example", "'http'",
         "Module Host Mapping Deployment Service ",
         "{'prefix': '/-/ambassador/ready', 'rewrite': '/ambassador/v0/check_ready', 'service': 'localhost:8877', "
         "'bypass_auth': true}",
         "{'config': {'add_linkerd_headers': true}}"},
    [GENERATION_1_14] =
        {"getambassador.io/v2", "edge-stack-ambassador-account.ambassador.serviceaccount.identity.linkerd.east.example",
         "8080", "Module Host Mapping Deployment Service ",
         "{'prefix': '/-/ambassador/ready', 'rewrite': '/ambassador/v0/check_ready', 'service': 'localhost:8877', "
         "'bypass_auth': true}",
         "{'config': {'add_linkerd_headers': true}}"},
    [GENERATION_3] =
        {"getambassador.io/v3alpha1", "emissary-ingress-account.emissary.serviceaccount.identity.linkerd.east.example",
         "8080", "Module Listener Host Mapping Deployment Service ",
         "{'prefix': '/-/ambassador/ready', 'rewrite': '/ambassador/v0/check_ready', 'service': 'localhost:8877', "
         "'bypass_auth': true, 'hostname': '*', 'ambassador_id': ['blue']}",
         "{'config': {'add_linkerd_headers': true}, 'ambassador_id': ['blue']}"},
    [GENERATION_4] =
        {"getambassador.io/v3alpha1", "edge-stack-account.edge.serviceaccount.identity.linkerd.east.example", "8080",
         "Module Listener Host Mapping Deployment Service ",
         "{'prefix': '/-/ambassador/ready', 'rewrite': '/ambassador/v0/check_ready', 'service': 'localhost:8877', "
         "'bypass_auth': true, 'hostname': '*'}",
         "{'config': {'add_linkerd_headers': true}}"},
};

static void check_service(const json_t *service, enum generation generation)
{
    char ports[1024];
    (void)snprintf(ports, sizeof(ports),
                   "[{'name': 'http', 'port': 80, 'protocol': 'TCP', 'targetPort': %s, 'nodePort': 30080}, {'name': "
                   "'https', 'port': 443, "
                   "'protocol': 'TCP', 'targetPort': 8443}, {'name': 'mc-gateway', 'port': 4143, 'protocol': 'TCP', "
                   "'targetPort': 4143}, "
                   "{'name': 'mc-probe', 'port': 4191, 'protocol': 'TCP', 'targetPort': %s}]",
                   EXPECTED[generation].port_target, EXPECTED[generation].port_target);
    assert_json(edge_stack_at(service, "spec", "ports", NULL), ports);
    assert_string_equal(object_meta_entry(service, "annotations", "mirror.linkerd.io/gateway-identity"),
                        EXPECTED[generation].identity);
    assert_string_equal(object_meta_entry(service, "annotations", "mirror.linkerd.io/multicluster-gateway"), "true");
    assert_string_equal(object_meta_entry(service, "annotations", "mirror.linkerd.io/probe-path"),
                        "/-/ambassador/ready");
    assert_string_equal(object_meta_entry(service, "annotations", "mirror.linkerd.io/probe-period"), "3");
}

static void each_generation_becomes_a_gateway(void **state)
{
    (void)state;
    for (enum generation generation = 0; generation < GENERATIONS; generation++) {
        char kinds[256] = "";
        struct scene scene;
        const json_t *change = NULL;
        size_t index = 0;
        scene_init(&scene, generation);
        struct edge_stack_plan plan = planned(&scene, false);
        assert_false(edge_stack_has_obstacle(&plan));
        json_array_foreach(plan.changes, index, change)
        {
            strcat(kinds, edge_stack_text_at(change, "after", "kind", NULL));
            strcat(kinds, " ");
        }
        assert_string_equal(kinds, EXPECTED[generation].kinds);
        assert_string_equal(edge_stack_text_at(after(&plan, "Mapping"), "apiVersion", NULL), EXPECTED[generation].api);
        assert_json(edge_stack_at(after(&plan, "Mapping"), "spec", NULL), EXPECTED[generation].mapping);
        assert_json(edge_stack_at(after(&plan, "Module"), "spec", NULL), EXPECTED[generation].module);
        assert_json(
            edge_stack_at(after(&plan, "Deployment"), "spec", "template", "metadata", "annotations", NULL),
            "{'linkerd.io/inject': 'enabled', 'config.linkerd.io/enable-gateway': 'true', "
            "'config.linkerd.io/proxy-require-identity-inbound-ports': '4143', 'config.linkerd.io/skip-inbound-ports': "
            "'80,8080,443,8443'}");
        check_service(after(&plan, "Service"), generation);
        edge_stack_plan_done(&plan);
        scene_done(&scene);
    }
}

static void what_pods_are_annotated_with_already_counts(void **state)
{
    (void)state;
    static const struct {
        const char *is, *inject, *identity;
    } CASES[] = {
        {"{}", "enabled", "4143"},
        {"{'linkerd.io/inject': 'disabled'}", "enabled", "4143"},
        {"{'linkerd.io/inject': 'ingress'}", "ingress", "4143"},
        {"{'config.linkerd.io/proxy-require-identity-inbound-ports': '9000,4143'}", "enabled", "9000,4143"},
        {"{'config.linkerd.io/proxy-require-identity-inbound-ports': '9000'}", "enabled", "9000,4143"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct scene scene;
        scene_init(&scene, GENERATION_4);
        json_t *metadata =
            edge_stack_at(json_array_get(scene.objects.workloads, 1), "spec", "template", "metadata", NULL);
        assert_int_equal(json_object_set_new(metadata, "annotations", scene_json(CASES[i].is)), 0);
        struct edge_stack_plan plan = planned(&scene, false);
        const json_t *pods =
            edge_stack_at(after(&plan, "Deployment"), "spec", "template", "metadata", "annotations", NULL);
        assert_string_equal(edge_stack_text_at(pods, "linkerd.io/inject", NULL), CASES[i].inject);
        assert_string_equal(edge_stack_text_at(pods, "config.linkerd.io/proxy-require-identity-inbound-ports", NULL),
                            CASES[i].identity);
        edge_stack_plan_done(&plan);
        scene_done(&scene);
    }
}

static void twice_changes_nothing_and_undo_gives_the_originals_back(void **state)
{
    (void)state;
    for (enum generation generation = 0; generation < GENERATIONS; generation++) {
        struct scene scene, original;
        scene_init(&scene, generation);
        scene_init(&original, generation);
        const char *namespace = object_meta_text(json_array_get(scene.objects.services, 0), "namespace");
        const char *spec = generation == GENERATION_3 ? "{'ambassador_id': 'blue', 'config': {'x': 1}}" : "{}";
        scene_add(&scene, EDGE_MODULE, namespace, "ambassador", spec);
        scene_add(&original, EDGE_MODULE, namespace, "ambassador", spec);
        struct edge_stack_plan first = planned(&scene, false);
        scene_apply(&scene, &first);
        struct edge_stack_plan second = planned(&scene, false);
        assert_int_equal(json_array_size(second.changes), 0);
        struct edge_stack_plan undo = planned(&scene, true);
        assert_int_equal(json_array_size(undo.changes), json_array_size(first.changes));
        scene_apply(&scene, &undo);
        assert_true(json_equal(scene.objects.services, original.objects.services));
        assert_true(json_equal(scene.objects.workloads, original.objects.workloads));
        for (int kind = 0; kind < EDGE_KINDS; kind++)
            assert_true(json_equal(scene.objects.of_kind[kind], original.objects.of_kind[kind]));
        struct edge_stack_plan again = planned(&scene, true);
        assert_int_equal(json_array_size(again.changes), 0);
        edge_stack_plan_done(&again);
        edge_stack_plan_done(&undo);
        edge_stack_plan_done(&second);
        edge_stack_plan_done(&first);
        scene_done(&original);
        scene_done(&scene);
    }
}

static void what_others_changed_since_stays_and_is_told(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, GENERATION_4);
    struct edge_stack_plan first = planned(&scene, false);
    scene_apply(&scene, &first);
    json_t *service = json_array_get(scene.objects.services, 0);
    json_object_set_new(edge_stack_at(service, "metadata", "annotations", NULL), "mirror.linkerd.io/probe-period",
                        json_string("9"));
    json_object_set_new(edge_stack_at(json_array_get(scene.objects.of_kind[EDGE_MAPPING], 0), "spec", NULL),
                        "precedence", json_integer(1));
    json_object_set_new(json_array_get(edge_stack_at(service, "spec", "ports", NULL), 3), "nodePort",
                        json_integer(31000));
    struct edge_stack_plan undo = planned(&scene, true);
    assert_true(
        says(&undo, EDGE_WARNING, "metadata.annotations.mirror.linkerd.io/probe-period was changed by somebody else"));
    assert_true(says(&undo, EDGE_WARNING, "Mapping edge/public-health-check: what svcmirror created was changed"));
    scene_apply(&scene, &undo);
    service = json_array_get(scene.objects.services, 0);
    assert_json(edge_stack_at(service, "metadata", "annotations", NULL), "{'mirror.linkerd.io/probe-period': '9'}");
    assert_int_equal(json_array_size(edge_stack_at(service, "spec", "ports", NULL)), 2);
    assert_int_equal(json_array_size(scene.objects.of_kind[EDGE_MAPPING]), 1);
    edge_stack_plan_done(&undo);
    edge_stack_plan_done(&first);
    scene_done(&scene);
}

/* What is created without an id reads back with the default one where another version is stored. */
static void what_conversion_adds_is_nobodys_change(void **state)
{
    (void)state;
    static const struct {
        const char *id; /* JSON; NULL: none */
        bool taken_back;
    } CASES[] = {
        {NULL, true},         {"['default']", true}, {"'default'", true},
        {"['other']", false}, {"'other'", false},    {"['default', 'other']", false},
    };
    static const enum edge_stack_kind CREATED[] = {EDGE_MODULE, EDGE_LISTENER, EDGE_HOST, EDGE_MAPPING};
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct scene scene;
        scene_init(&scene, GENERATION_4);
        struct edge_stack_plan first = planned(&scene, false);
        scene_apply(&scene, &first);
        for (size_t k = 0; CASES[i].id != NULL && k < ARRAY_COUNT(CREATED); k++) {
            json_t *spec = edge_stack_at(json_array_get(scene.objects.of_kind[CREATED[k]], 0), "spec", NULL);
            assert_int_equal(json_object_set_new(spec, EDGE_STACK_ID, scene_json(CASES[i].id)), 0);
        }
        if (CASES[i].taken_back) {
            struct edge_stack_plan again = planned(&scene, false);
            assert_int_equal(json_array_size(again.changes), 0);
            edge_stack_plan_done(&again);
        }
        struct edge_stack_plan undo = planned(&scene, true);
        scene_apply(&scene, &undo);
        for (size_t k = 0; k < ARRAY_COUNT(CREATED); k++)
            assert_int_equal(json_array_size(scene.objects.of_kind[CREATED[k]]), CASES[i].taken_back ? 0 : 1);
        assert_int_equal(says(&undo, EDGE_WARNING, "what svcmirror created was changed"), !CASES[i].taken_back);
        edge_stack_plan_done(&undo);
        edge_stack_plan_done(&first);
        scene_done(&scene);
    }
}

static void a_record_that_cannot_be_read_is_not_written_over(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, GENERATION_4);
    json_object_set_new(json_object_get(json_array_get(scene.objects.services, 0), "metadata"), "annotations",
                        json_pack("{s:s}", EDGE_STACK_RECORD, "{broken"));
    struct edge_stack_plan plan = planned(&scene, false), undo = planned(&scene, true);
    assert_true(says(&plan, EDGE_OBSTACLE, "Service edge/edge-stack: annotation " EDGE_STACK_RECORD " cannot be read"));
    assert_true(says(&undo, EDGE_WARNING, "cannot be taken back"));
    assert_int_equal(json_array_size(undo.changes), 0);
    edge_stack_plan_done(&undo);
    edge_stack_plan_done(&plan);
    scene_done(&scene);
}

/* ---- what stands in the way ---- */

static void conflicts_are_found_before_anything_is_written(void **state)
{
    (void)state;
    static const struct {
        enum edge_stack_kind kind;
        const char *name, *spec, *other_name, *other_spec, *words;
        int severity; /* -1: says nothing of it, and plans no such object */
    } CASES[] = {
        {EDGE_HOST, "zzz", "{'hostname': '*'}", NULL, NULL, "Host edge/zzz decides for every name", EDGE_OBSTACLE},
        {EDGE_HOST, "zzz", "{'requestPolicy': {'insecure': {'action': 'Reject'}}}", NULL, NULL, "is Reject",
         EDGE_OBSTACLE},
        {EDGE_HOST, "aaa", "{'hostname': '*'}", "wildcard",
         "{'hostname': '*', 'requestPolicy': {'insecure': {'action': 'Route'}}}", "decides", -1},
        {EDGE_HOST, "wildcard", "{'hostname': '*', 'requestPolicy': {'insecure': {'action': 'Route'}}}", "zzz",
         "{'hostname': '*'}", "Host edge/zzz decides", EDGE_OBSTACLE},
        {EDGE_HOST, "named", "{'hostname': 'example.com'}", NULL, NULL, "the first that serves every name", EDGE_NOTE},
        {EDGE_HOST, "zzz", "{'hostname': '*', 'ambassador_id': ['green']}", NULL, NULL, "decides", -1},
        {EDGE_LISTENER, "mine", "{'port': 8080, 'protocol': 'HTTP', 'securityModel': 'XFP'}", NULL, NULL,
         "nothing listens", -1},
        {EDGE_LISTENER, "mine", "{'port': 8080, 'protocol': 'HTTPPROXY'}", NULL, NULL, "PROXY protocol", EDGE_OBSTACLE},
        {EDGE_LISTENER, "mine", "{'port': 8080, 'protocolStack': ['PROXY', 'HTTP', 'TCP']}", NULL, NULL,
         "PROXY protocol", EDGE_OBSTACLE},
        {EDGE_LISTENER, "mine", "{'port': 8080, 'protocol': 'TCP'}", NULL, NULL, "not HTTP", EDGE_OBSTACLE},
        {EDGE_LISTENER, "a", "{'port': 8080}", "b", "{'port': 8080}", "share port 8080", EDGE_WARNING},
        {EDGE_MAPPING, "app", "{'prefix': '/', 'hostname': '*', 'service': 'app', 'precedence': 5}", NULL, NULL,
         "Mapping edge/app (prefix /, precedence 5) shadows", EDGE_OBSTACLE},
        {EDGE_MAPPING, "app", "{'prefix': '/', 'hostname': '*', 'service': 'app'}", NULL, NULL, "shadows", -1},
        {EDGE_MAPPING, "app", "{'prefix': '/app/', 'hostname': '*', 'service': 'app', 'precedence': 5}", NULL, NULL,
         "shadows", -1},
        {EDGE_MAPPING, "app", "{'prefix': '/', 'hostname': 'example.com', 'service': 'app', 'precedence': 5}", NULL,
         NULL, "shadows", -1},
        {EDGE_MAPPING, "a", "{'prefix': '/-/ambassador/ready'}", "b", "{'prefix': '/-/ambassador/ready'}",
         "share the prefix", EDGE_OBSTACLE},
        {EDGE_MAPPING, "public-health-check", "{'prefix': '/else/'}", NULL, NULL,
         "is there already and does something else", EDGE_OBSTACLE},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct scene scene;
        scene_init(&scene, GENERATION_4);
        scene_add(&scene, CASES[i].kind, "edge", CASES[i].name, CASES[i].spec);
        if (CASES[i].other_name != NULL)
            scene_add(&scene, CASES[i].kind, "edge", CASES[i].other_name, CASES[i].other_spec);
        struct edge_stack_plan plan = planned(&scene, false);
        bool said = says(&plan, EDGE_NOTE, CASES[i].words) || says(&plan, EDGE_WARNING, CASES[i].words) ||
                    says(&plan, EDGE_OBSTACLE, CASES[i].words);
        if (CASES[i].severity < 0 ? said || edge_stack_has_obstacle(&plan)
                                  : !says(&plan, CASES[i].severity, CASES[i].words))
            fail_msg("case %zu: %s", i, CASES[i].words);
        edge_stack_plan_done(&plan);
        scene_done(&scene);
    }
}

/* hostBinding SELF is about the Host, wherever the gateway is. */
static void a_listener_for_its_own_namespace_needs_the_host_there(void **state)
{
    (void)state;
    static const struct {
        const char *listener, *host; /* namespaces; NULL: there is no Host, it is created beside the gateway */
        bool in_the_way;
    } CASES[] = {
        {"edge", NULL, false},   {"other", NULL, true},   {"edge", "edge", false},
        {"other", "edge", true}, {"edge", "other", true}, {"other", "other", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct scene scene;
        scene_init(&scene, GENERATION_4);
        scene_add(&scene, EDGE_LISTENER, CASES[i].listener, "mine",
                  "{'port': 8080, 'hostBinding': {'namespace': {'from': 'SELF'}}}");
        if (CASES[i].host != NULL)
            scene_add(&scene, EDGE_HOST, CASES[i].host, "zzz",
                      "{'hostname': '*', 'requestPolicy': {'insecure': {'action': 'Route'}}}");
        struct edge_stack_plan plan = planned(&scene, false);
        if (says(&plan, EDGE_OBSTACLE, "takes only Hosts of its own namespace") != CASES[i].in_the_way)
            fail_msg("case %zu", i);
        edge_stack_plan_done(&plan);
        scene_done(&scene);
    }
}

static void a_host_is_patched_only_when_asked_for(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, GENERATION_4);
    scene_add(&scene, EDGE_HOST, "edge", "main",
              "{'hostname': '*', 'tlsSecret': {'name': 'x'}, 'mappingSelector': {'matchLabels': {'host': 'main'}}}");
    scene.settings.patch_host = true;
    struct edge_stack_plan plan = planned(&scene, false);
    assert_false(edge_stack_has_obstacle(&plan));
    assert_json(edge_stack_at(after(&plan, "Host"), "spec", NULL),
                "{'hostname': '*', 'tlsSecret': {'name': 'x'}, 'mappingSelector': {'matchLabels': {'host': 'main'}}, "
                "'requestPolicy': {'insecure': {'action': 'Route'}}}");
    assert_string_equal(object_meta_entry(after(&plan, "Mapping"), "labels", "host"), "main");
    edge_stack_plan_done(&plan);
    scene_done(&scene);
}

static void a_wrong_health_mapping_is_mended(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, GENERATION_4);
    scene_add(&scene, EDGE_MAPPING, "demo", "health",
              "{'prefix': '/-/ambassador/ready', 'service': 'localhost', 'timeout_ms': 9}");
    struct edge_stack_plan plan = planned(&scene, false);
    const json_t *mapping = after(&plan, "Mapping");
    assert_string_equal(object_meta_text(mapping, "namespace"), "demo");
    assert_json(edge_stack_at(mapping, "spec", NULL), "{'prefix': '/-/ambassador/ready', 'service': 'localhost:8877', "
                                                      "'timeout_ms': 9, 'hostname': '*', 'bypass_auth': true, "
                                                      "'rewrite': '/ambassador/v0/check_ready'}");
    edge_stack_plan_done(&plan);
    scene_done(&scene);
}

static void of_two_modules_none_is_patched(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, GENERATION_4);
    scene_add(&scene, EDGE_MODULE, "edge", "ambassador", "{}");
    scene_add(&scene, EDGE_MODULE, "other", "ambassador", "{}");
    struct edge_stack_plan plan = planned(&scene, false);
    assert_true(says(&plan, EDGE_OBSTACLE, "Module edge/ambassador and Module other/ambassador"));
    edge_stack_plan_done(&plan);
    scene_done(&scene);
}

static void a_taken_port_number_is_an_obstacle(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, GENERATION_4);
    scene.settings.probe_port = 80;
    struct edge_stack_plan plan = planned(&scene, false);
    assert_true(says(&plan, EDGE_OBSTACLE, "port 80 is taken by \"http\""));
    edge_stack_plan_done(&plan);
    scene_done(&scene);
}

static void a_port_without_a_name_has_to_get_one_first(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, GENERATION_4);
    json_t *ports = edge_stack_at(json_array_get(scene.objects.services, 0), "spec", "ports", NULL);
    assert_int_equal(json_array_remove(ports, 1), 0);
    assert_int_equal(json_object_del(json_array_get(ports, 0), "name"), 0);
    struct edge_stack_plan plan = planned(&scene, false);
    assert_true(says(&plan, EDGE_OBSTACLE, "has one port without a name"));
    edge_stack_plan_done(&plan);
    scene_done(&scene);
}

static void a_probe_port_that_is_there_stays(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, GENERATION_4);
    struct edge_stack_plan first = planned(&scene, false);
    scene_apply(&scene, &first);
    scene.settings.probe_port = 9000;
    struct edge_stack_plan plan = planned(&scene, false);
    assert_int_equal(json_array_size(plan.changes), 0);
    assert_true(says(&plan, EDGE_WARNING, "mc-probe on port 4191 already: --probe-port is not used"));
    edge_stack_plan_done(&plan);
    edge_stack_plan_done(&first);
    scene_done(&scene);
}

static void differences_are_told_by_place(void **state)
{
    (void)state;
    struct scene scene;
    struct strbuf text;
    scene_init(&scene, GENERATION_4);
    scene_add(&scene, EDGE_MODULE, "edge", "ambassador", "{'config': {'add_linkerd_headers': false}}");
    struct edge_stack_plan plan = planned(&scene, false);
    strbuf_init(&text, 65536);
    edge_stack_write_diff(&plan, &text);
    assert_non_null(strstr(strbuf_text(&text),
                           "change Module edge/ambassador\n  - spec.config.add_linkerd_headers: false\n  + "
                           "spec.config.add_linkerd_headers: true\n"));
    assert_non_null(strstr(strbuf_text(&text), "create Mapping edge/public-health-check\n  + apiVersion: "
                                               "\"getambassador.io/v3alpha1\"\n  + metadata.labels"));
    assert_non_null(strstr(strbuf_text(&text), "change Service edge/edge-stack\n  + metadata.annotations."));
    assert_null(strstr(strbuf_text(&text), EDGE_STACK_RECORD));
    assert_null(strstr(strbuf_text(&text), "30080")); /* what stays is not shown */
    strbuf_done(&text);
    edge_stack_plan_done(&plan);
    scene_done(&scene);
}

static void linkerd_2_8_gets_its_own_spelling(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene, GENERATION_1_5);
    json_decref(scene.objects.linkerd_config);
    scene.objects.linkerd_config = scene_json("{'data': {'global': '{identityContext: {trustDomain: old.example}}'}}");
    struct edge_stack_plan plan = planned(&scene, false);
    const json_t *service = after(&plan, "Service");
    assert_string_equal(object_meta_entry(service, "annotations", "mirror.linkerd.io/probe-path"),
                        "-/ambassador/ready");
    assert_non_null(strstr(object_meta_entry(service, "annotations", "mirror.linkerd.io/gateway-identity"),
                           ".linkerd.old.example"));
    edge_stack_plan_done(&plan);
    json_decref(scene.objects.linkerd_config);
    scene.objects.linkerd_config = NULL;
    plan = planned(&scene, false);
    assert_true(says(&plan, EDGE_OBSTACLE, "the trust domain is not known"));
    edge_stack_plan_done(&plan);
    scene_done(&scene);
}

/* Of annotations those that a chart's values are to say: neither the record nor what is of others. */
static json_t *linkerds(const json_t *annotations)
{
    json_t *chosen = json_object(), *value = NULL;
    const char *key = NULL;
    json_object_foreach(mem_unconst(annotations), key, value)
    {
        if (strcmp(key, EDGE_STACK_RECORD) != 0 && strncmp(key, "example.com/", strlen("example.com/")) != 0)
            assert_int_equal(json_object_set(chosen, key, value), 0);
    }
    return chosen;
}

static void assert_same(const json_t *is, const json_t *wanted)
{
    char *text = json_dumps(wanted, JSON_COMPACT | JSON_ENCODE_ANY);
    assert_json(is, text != NULL ? text : "null");
    mem_free(text);
}

/* What was printed, read as Helm reads it. */
static json_t *printed_values(const struct edge_stack_gateway *gateway, const struct edge_stack_plan *plan)
{
    struct strbuf text;
    json_t *values = NULL;
    struct err error = {0};
    strbuf_init(&text, 65536);
    edge_stack_write_values(gateway, plan, &text);
    if (yaml_parse_manifest(strbuf_text(&text), text.length, &values, &error) != ERR_OK)
        fail_msg("%s in %s", error.text, strbuf_text(&text));
    strbuf_done(&text);
    return values;
}

static void values_of_the_chart_say_the_same(void **state)
{
    (void)state;
    for (enum generation generation = 0; generation < GENERATIONS; generation++) {
        struct scene scene;
        struct edge_stack_gateway gateway;
        struct edge_stack_plan plan;
        scene_init(&scene, generation);
        json_t *metadata = edge_stack_at(json_array_get(scene.objects.services, 0), "metadata", NULL);
        json_t *annotations = json_object_get(metadata, "annotations");
        if (annotations == NULL)
            assert_int_equal(json_object_set_new(metadata, "annotations", annotations = json_object()), 0);
        assert_int_equal(json_object_set_new(annotations, "example.com/other", json_string("x")), 0);
        assert_int_equal(plan_scene(&scene, false, &gateway, &plan, NULL), ERR_OK);
        json_t *values = printed_values(&gateway, &plan);
        const json_t *service = after(&plan, "Service"), *workload = after(&plan, "Deployment");
        json_t *on_service = linkerds(edge_stack_at(service, "metadata", "annotations", NULL));
        json_t *on_pods = linkerds(edge_stack_at(workload, "spec", "template", "metadata", "annotations", NULL));
        assert_int_equal(json_array_size(edge_stack_at(values, "service", "ports", NULL)), 4);
        assert_int_equal(json_object_size(on_service), 4);
        assert_int_equal(json_object_size(on_pods), 4);
        assert_same(edge_stack_at(values, "service", "ports", NULL), edge_stack_at(service, "spec", "ports", NULL));
        assert_same(edge_stack_at(values, "service", "annotations", NULL), on_service);
        assert_same(edge_stack_at(values, "podAnnotations", NULL), on_pods);
        assert_json(edge_stack_at(values, "module", NULL), "{'add_linkerd_headers': true}");
        json_decref(on_pods);
        json_decref(on_service);
        json_decref(values);
        edge_stack_plan_done(&plan);
        scene_done(&scene);
    }
}

/* ---- without memory ---- */

static enum err_code sweep_plan(void *context)
{
    const struct scene *scene = context;
    struct edge_stack_gateway gateway;
    struct edge_stack_plan plan = {0};
    struct strbuf text;
    enum err_code code = plan_scene(scene, false, &gateway, &plan, NULL);
    strbuf_init(&text, 65536);
    if (code == ERR_OK) {
        edge_stack_write_diff(&plan, &text);
        code = strbuf_error(&text);
    }
    strbuf_done(&text);
    edge_stack_plan_done(&plan);
    return code;
}

static enum err_code sweep_undo(void *context)
{
    const struct scene *scene = context;
    struct edge_stack_gateway gateway;
    struct edge_stack_plan plan = {0};
    enum err_code code = plan_scene(scene, true, &gateway, &plan, NULL);
    edge_stack_plan_done(&plan);
    return code;
}

static void every_allocation_of_undo_may_fail(void **state)
{
    (void)state;
    struct scene scene;
    kube_setup();
    scene_init(&scene, GENERATION_4);
    scene_add(&scene, EDGE_MODULE, "edge", "ambassador", "{}");
    struct edge_stack_plan plan = planned(&scene, false);
    scene_apply(&scene, &plan);
    edge_stack_plan_done(&plan);
    assert_true(sweep(sweep_undo, &scene) > 100);
    scene_done(&scene);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct scene scene;
    kube_setup();
    scene_init(&scene, GENERATION_4);
    scene_add(&scene, EDGE_MODULE, "edge", "ambassador", "{}");
    assert_true(sweep(sweep_plan, &scene) > 100);
    scene_done(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_generation_becomes_a_gateway),
        cmocka_unit_test(what_pods_are_annotated_with_already_counts),
        cmocka_unit_test(twice_changes_nothing_and_undo_gives_the_originals_back),
        cmocka_unit_test(what_others_changed_since_stays_and_is_told),
        cmocka_unit_test(what_conversion_adds_is_nobodys_change),
        cmocka_unit_test(a_record_that_cannot_be_read_is_not_written_over),
        cmocka_unit_test(conflicts_are_found_before_anything_is_written),
        cmocka_unit_test(a_listener_for_its_own_namespace_needs_the_host_there),
        cmocka_unit_test(a_host_is_patched_only_when_asked_for),
        cmocka_unit_test(a_wrong_health_mapping_is_mended),
        cmocka_unit_test(of_two_modules_none_is_patched),
        cmocka_unit_test(a_taken_port_number_is_an_obstacle),
        cmocka_unit_test(a_port_without_a_name_has_to_get_one_first),
        cmocka_unit_test(a_probe_port_that_is_there_stays),
        cmocka_unit_test(differences_are_told_by_place),
        cmocka_unit_test(linkerd_2_8_gets_its_own_spelling),
        cmocka_unit_test(values_of_the_chart_say_the_same),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(every_allocation_of_undo_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
