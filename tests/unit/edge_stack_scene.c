#include "tests/unit/edge_stack_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/text.h"

enum { TEXT_BYTES = 8192 };

static const struct {
    const char *namespace, *name, *api, *labels, *pod_labels, *http_target, *id;
    bool with_listener;
} INSTALLED[GENERATIONS] = {
    [GENERATION_1_5] = {"ambassador", "ambassador", "v2", "'service': 'ambassador'", "'service': 'ambassador'",
                        "'http'", NULL, false},
    [GENERATION_1_14] = {"ambassador", "edge-stack-ambassador", "v2", "'app.kubernetes.io/name': 'ambassador'",
                         "'app.kubernetes.io/name': 'ambassador', 'app.kubernetes.io/instance': 'edge-stack'", "8080",
                         NULL, false},
    [GENERATION_3] = {"emissary", "emissary-ingress", "v3alpha1", "'app.kubernetes.io/name': 'emissary-ingress'",
                      "'app.kubernetes.io/name': 'emissary-ingress'", "8080", "blue", true},
    [GENERATION_4] = {"edge", "edge-stack", "v3alpha1", "'product': 'aes'",
                      "'app.kubernetes.io/instance': 'edge-stack'", "8080", NULL, true},
};

json_t *scene_json(const char *text)
{
    char buffer[TEXT_BYTES];
    json_error_t error;
    assert_true(strlen(text) < sizeof(buffer));
    (void)snprintf(buffer, sizeof(buffer), "%s", text);
    for (char *at = buffer; *at != '\0'; at++)
        if (*at == '\'')
            *at = '"';
    json_t *value = json_loads(buffer, JSON_DECODE_ANY, &error);
    if (value == NULL)
        fail_msg("%s at %d: %s", error.text, error.position, buffer);
    return value;
}

static void add(json_t *list, const char *format, ...) PRINTF_LIKE(2, 3);

static void add(json_t *list, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    assert_true(vsnprintf(text, sizeof(text), format, args) < (int)sizeof(text));
    va_end(args);
    assert_int_equal(json_array_append_new(list, scene_json(text)), 0);
}

void scene_init(struct scene *scene, enum generation generation)
{
    const char *namespace = INSTALLED[generation].namespace, *name = INSTALLED[generation].name;
    const char *pod = INSTALLED[generation].pod_labels, *id = INSTALLED[generation].id;
    char env[256] = "";
    *scene = (struct scene){.objects = {.services = json_array(), .workloads = json_array()},
                            .settings = {.linkerd_namespace = "linkerd"}};
    if (id != NULL)
        (void)snprintf(env, sizeof(env), ", {'name': 'AMBASSADOR_ID', 'value': '%s'}", id);
    for (int kind = 0; kind < EDGE_KINDS; kind++) {
        scene->objects.of_kind[kind] = json_array();
        if (kind != EDGE_LISTENER || INSTALLED[generation].with_listener)
            (void)snprintf(scene->objects.api_version[kind], sizeof(scene->objects.api_version[kind]),
                           "getambassador.io/%s", INSTALLED[generation].api);
    }
    scene->objects.linkerd_config =
        scene_json("{'metadata': {'name': 'linkerd-config', 'namespace': 'linkerd'}, 'data': {'values': "
                   "'identityTrustDomain: east.example\\nclusterDomain: cluster.local\\n'}}");
    add(scene->objects.services,
        "{'apiVersion': 'v1', 'kind': 'Service', 'metadata': {'name': '%s', 'namespace': '%s', 'uid': 's', 'labels': "
        "{%s, "
        "'app.kubernetes.io/component': 'ambassador-service'}}, 'spec': {'type': 'LoadBalancer', 'selector': {%s}, "
        "'ports': [{'name': "
        "'http', 'port': 80, 'protocol': 'TCP', 'targetPort': %s, 'nodePort': 30080}, {'name': 'https', 'port': 443, "
        "'protocol': 'TCP', "
        "'targetPort': 8443}]}}",
        name, namespace, INSTALLED[generation].labels, pod, INSTALLED[generation].http_target);
    add(scene->objects.workloads,
        "{'apiVersion': 'apps/v1', 'kind': 'Deployment', 'metadata': {'name': '%s-redis', 'namespace': '%s'}, 'spec': "
        "{'template': "
        "{'metadata': {'labels': {'app': 'redis'}}, 'spec': {'containers': [{'name': 'redis'}]}}}}",
        name, namespace);
    add(scene->objects.workloads,
        "{'apiVersion': 'apps/v1', 'kind': 'Deployment', 'metadata': {'name': '%s', 'namespace': '%s', 'annotations': "
        "{'note': 'mine'}}, "
        "'spec': {'template': {'metadata': {'labels': {%s, 'more': 'x'}}, 'spec': {'serviceAccountName': '%s-account', "
        "'containers': "
        "[{'name': 'sidecar'}, {'name': 'aes', 'env': [{'name': 'AMBASSADOR_NAMESPACE', 'valueFrom': {}}%s], 'ports': "
        "[{'name': 'http', "
        "'containerPort': 8080}, {'name': 'https', 'containerPort': 8443}]}]}}}}",
        name, namespace, pod, name, env);
}

void scene_done(struct scene *scene)
{
    json_decref(scene->objects.services);
    json_decref(scene->objects.workloads);
    json_decref(scene->objects.linkerd_config);
    for (int kind = 0; kind < EDGE_KINDS; kind++)
        json_decref(scene->objects.of_kind[kind]);
}

void scene_add(struct scene *scene, enum edge_stack_kind kind, const char *namespace, const char *name,
               const char *spec)
{
    add(scene->objects.of_kind[kind],
        "{'apiVersion': '%s', 'kind': '%s', 'metadata': {'name': '%s', 'namespace': '%s'}, 'spec': %s}",
        scene->objects.api_version[kind], edge_stack_kind_names[kind], name, namespace, spec);
}

static json_t *list_of(struct scene *scene, const json_t *object)
{
    const char *kind = edge_stack_text_at(object, "kind", NULL);
    for (int i = 0; i < EDGE_KINDS; i++)
        if (strcmp(kind, edge_stack_kind_names[i]) == 0)
            return scene->objects.of_kind[i];
    return strcmp(kind, "Service") == 0 ? scene->objects.services : scene->objects.workloads;
}

void scene_apply(struct scene *scene, const struct edge_stack_plan *plan)
{
    const json_t *change = NULL;
    size_t index = 0;
    json_array_foreach(plan->changes, index, change)
    {
        json_t *before = json_object_get(change, "before"), *after = json_object_get(change, "after");
        json_t *list = list_of(scene, json_is_null(after) ? before : after);
        size_t at = 0;
        while (at < json_array_size(list) && !json_equal(json_array_get(list, at), before))
            at++;
        if (json_is_null(before))
            assert_int_equal(json_array_append(list, after), 0);
        else if (json_is_null(after))
            assert_int_equal(json_array_remove(list, at), 0);
        else
            assert_int_equal(json_array_set(list, at, after), 0);
    }
}
