/* Whether gateways are set up so that services can be mirrored through them: those of the targets, and our own, when this cluster is itself a
 * target. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/check_targets.h"
#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/gateway.h"
#include "mirror/names.h"

enum { KEY_BYTES = 384 };

/* The load balancer's alone, as the agent and `link` read it: externalIPs are nothing that they use. */
static bool has_address(const json_t *service)
{
    return json_array_size(check_at(service, "status/loadBalancer/ingress")) > 0;
}

static bool has_port(const json_t *service, const char *name)
{
    const json_t *port = NULL;
    size_t index = 0;
    json_array_foreach(check_at(service, "spec/ports"), index, port)
    {
        if (strcmp(check_text(port, "name"), name) == 0)
            return true;
    }
    return false;
}

static const char *annotation(const json_t *service, const char *key)
{
    const char *text = object_meta_entry(service, "annotations", key);
    return text != NULL ? text : "";
}

static void judge_gateway(const json_t *service, const char *cluster, struct check_report *report)
{
    static const char *const ports[] = {L5D_GATEWAY_PORT_NAME, L5D_PROBE_PORT_NAME};
    const char *namespace = object_meta_text(service, "namespace"), *name = object_meta_text(service, "name");
    const char *period = annotation(service, L5D_PROBE_PERIOD);
    uint64_t period_ms = 0;
    unsigned before = report->problem_count;
    if (!has_address(service))
        check_problem(report, "* cluster %s: gateway %s/%s has no external address: is its load balancer ready?",
                      cluster, namespace, name);
    for (size_t i = 0; i < ARRAY_COUNT(ports); i++)
        if (!has_port(service, ports[i]))
            check_problem(report, "* cluster %s: gateway %s/%s has no port named %s", cluster, namespace, name,
                          ports[i]);
    if (annotation(service, L5D_GATEWAY_IDENTITY)[0] == '\0')
        check_problem(report, "* cluster %s: gateway %s/%s lacks annotation %s", cluster, namespace, name,
                      L5D_GATEWAY_IDENTITY);
    if (annotation(service, L5D_PROBE_PATH)[0] == '\0')
        check_problem(report, "* cluster %s: gateway %s/%s lacks annotation %s", cluster, namespace, name,
                      L5D_PROBE_PATH);
    if (!gateway_period_parse(period, &period_ms))
        check_problem(
            report,
            "* cluster %s: gateway %s/%s: annotation %s is \"%.40s\", and should be seconds (\"3\"), from 100ms "
            "to 1h",
            cluster, namespace, name, L5D_PROBE_PERIOD, period);
    if (report->problem_count == before)
        check_note(report, "* %s: %s/%s", cluster, namespace, name);
}

bool check_is_gateway(const json_t *service)
{
    return object_meta_entry(service, "annotations", L5D_MULTICLUSTER_GATEWAY) != NULL &&
           object_meta_entry(service, "labels", L5D_MIRRORED_SERVICE) == NULL;
}

static const json_t *find_service(const json_t *services, const char *namespace, const char *name)
{
    const json_t *service = NULL;
    size_t index = 0;
    json_array_foreach(services, index, service)
    {
        if (strcmp(object_meta_text(service, "name"), name) == 0 &&
            strcmp(object_meta_text(service, "namespace"), namespace) == 0)
            return service;
    }
    return NULL;
}

/* Judges a gateway that somebody names. */
static void judge_named(const json_t *services, const char *namespace, const char *name, const char *by,
                        const char *cluster, struct check_report *report)
{
    const json_t *gateway = find_service(services, namespace, name);
    if (gateway == NULL)
        check_problem(report, "* cluster %s: %s references a gateway that does not exist: %s/%s", cluster, by,
                      namespace, name);
    else if (!check_is_gateway(gateway)) /* those are judged anyway */
        judge_gateway(gateway, cluster, report);
}

/* @return whether the service is exported for 2.8, and so names its gateway. */
static bool names_gateway(const json_t *exported, char key[KEY_BYTES])
{
    const char *name = annotation(exported, L5D_GATEWAY_NAME), *namespace = annotation(exported, L5D_GATEWAY_NS);
    (void)snprintf(key, KEY_BYTES, "%s/%s", namespace, name);
    return name[0] != '\0' && namespace[0] != '\0' &&
           object_meta_entry(exported, "labels", L5D_MIRRORED_SERVICE) == NULL;
}

/* Judges the gateway that an exported service names, once. @param judged  names of those that were, as an object. */
static void judge_exported(const json_t *services, const json_t *exported, const char *cluster, json_t *judged,
                           struct check_report *report)
{
    const char *name = annotation(exported, L5D_GATEWAY_NAME), *namespace = annotation(exported, L5D_GATEWAY_NS);
    char key[KEY_BYTES], by[KEY_BYTES];
    if (!names_gateway(exported, key) || json_object_get(judged, key) != NULL)
        return;
    if (json_object_set_new(judged, key, json_true()) != 0)
        check_doubt(report, "out of memory");
    (void)snprintf(by, sizeof(by), "exported service %s.%s", object_meta_text(exported, "name"),
                   object_meta_text(exported, "namespace"));
    judge_named(services, namespace, name, by, cluster, report);
}

/* The one that a Link names by an annotation, as "namespace/name". */
static void judge_link_gateway(const json_t *services, const json_t *target, struct check_report *report)
{
    const char *named = annotation(json_object_get(target, "link"), LINK_GATEWAY), *slash = strchr(named, '/');
    char namespace[KEY_BYTES];
    if (slash == NULL || services == NULL)
        return;
    (void)snprintf(namespace, sizeof(namespace), "%.*s", (int)(slash - named), named);
    judge_named(services, namespace, slash + 1, check_text(target, "declaredBy"), check_text(target, "cluster"),
                report);
}

/* @param by_name  whether exported services name their gateway: targets of 2.8's Secrets. */
static void judge_all(const json_t *services, bool by_name, const char *cluster, struct check_report *report)
{
    json_t *judged = json_object();
    const json_t *service = NULL;
    size_t index = 0;
    json_array_foreach(services, index, service)
    {
        if (check_is_gateway(service))
            judge_gateway(service, cluster, report);
        if (by_name)
            judge_exported(services, service, cluster, judged, report);
    }
    json_decref(judged);
}

void check_target_gateways(const json_t *snapshot, struct check_report *report)
{
    const json_t *target = NULL;
    size_t index = 0, seen = 0;
    json_array_foreach(json_object_get(snapshot, "targets"), index, target)
    {
        const char *cluster = check_text(target, "cluster");
        if (!target_concerns(target) || !target_answers(target))
            continue;
        seen++;
        const json_t *services = check_needed_items(report, target, "services", cluster);
        judge_all(services, json_object_get(target, "link") == NULL, cluster, report);
        judge_link_gateway(services, target, report);
    }
    if (seen == 0)
        check_skip(report);
}

/* ---- our own ---- */

json_t *check_gateway_names(const json_t *services)
{
    json_t *names = json_object();
    const json_t *service = NULL;
    size_t index = 0;
    bool whole = names != NULL;
    json_array_foreach(services, index, service)
    {
        char key[KEY_BYTES];
        bool is_there = true, is_known = false;
        if (check_is_gateway(service)) {
            (void)snprintf(key, sizeof(key), "%s/%s", object_meta_text(service, "namespace"),
                           object_meta_text(service, "name"));
            whole = whole && json_object_set_new(names, key, json_true()) == 0;
        }
        if (!names_gateway(service, key))
            continue;
        is_known = json_object_get(names, key) != NULL;
        if (!is_known)
            is_there = find_service(services, annotation(service, L5D_GATEWAY_NS),
                                    annotation(service, L5D_GATEWAY_NAME)) != NULL;
        whole = whole && (is_known || json_object_set_new(names, key, json_boolean(is_there)) == 0);
    }
    if (whole)
        return names;
    json_decref(names);
    return NULL;
}

/* In a slice an endpoint that does not say so is ready; Endpoints have those that are not elsewhere. */
static bool has_ready_endpoint(const json_t *value)
{
    const json_t *slice = NULL, *endpoint = NULL, *subset = NULL;
    size_t index = 0, inner = 0;
    json_array_foreach(json_object_get(value, "items"), index, slice)
    {
        json_array_foreach(json_object_get(slice, "endpoints"), inner, endpoint)
        {
            if (json_array_size(json_object_get(endpoint, "addresses")) > 0 &&
                !json_is_false(check_at(endpoint, "conditions/ready")))
                return true;
        }
    }
    json_array_foreach(json_object_get(value, "subsets"), index, subset)
    {
        if (json_array_size(json_object_get(subset, "addresses")) > 0)
            return true;
    }
    return false;
}

static void judge_endpoints(json_t *endpoints_of, const char *cluster, struct check_report *report)
{
    const char *key = NULL;
    json_t *fact = NULL;
    json_object_foreach(endpoints_of, key, fact)
    {
        const json_t *value = check_fact(endpoints_of, key);
        if (value == NULL && !check_fact_is(endpoints_of, key, ERR_NOT_FOUND))
            check_doubt(report, "cannot be judged: cluster %s: %s", cluster, check_fact_error(endpoints_of, key));
        else if (!has_ready_endpoint(value))
            check_problem(report,
                          "* cluster %s: gateway %s has no ready endpoint: nothing answers there; are its pods ready?",
                          cluster, key);
    }
}

void check_own_gateways(const json_t *snapshot, struct check_report *report)
{
    const json_t *source = json_object_get(snapshot, "source");
    const json_t *services = check_items(source, "services");
    const char *cluster = check_is_target_alone(snapshot) ? "target" : "source";
    json_t *names = check_gateway_names(services);
    if (names == NULL)
        check_doubt(report, "out of memory");
    else if (json_object_size(names) == 0)
        check_skip(report); /* it is no target */
    json_decref(names);
    judge_all(services, true, cluster, report);
    judge_endpoints(json_object_get(source, "gatewayEndpoints"), cluster, report);
}

/* ---- their pods ---- */

static void judge_pod(const json_t *pod, struct check_report *report)
{
    static const char proxy[] = "linkerd-proxy";
    const char *namespace = object_meta_text(pod, "namespace"), *name = object_meta_text(pod, "name");
    /* Kubernetes' own sidecars are init containers that go on. */
    if (check_container(pod, "spec/containers", proxy) == NULL &&
        check_container(pod, "spec/initContainers", proxy) == NULL)
        check_problem(report,
                      "* pod %s/%s of the gateway has no container %s: inject it, and let its pods be made anew",
                      namespace, name, proxy);
    else if (strcmp(annotation(pod, "config.linkerd.io/enable-gateway"), "true") != 0)
        check_problem(report, "* pod %s/%s of the gateway lacks annotation config.linkerd.io/enable-gateway: \"true\"",
                      namespace, name);
}

void check_sidecars(const json_t *snapshot, struct check_report *report)
{
    const json_t *source = json_object_get(snapshot, "source"), *service = NULL, *pod = NULL;
    const json_t *pods_of = json_object_get(source, "gatewayPods");
    size_t index = 0, inner = 0;
    json_array_foreach(check_items(source, "services"), index, service)
    {
        char key[KEY_BYTES];
        (void)snprintf(key, sizeof(key), "%s/%s", object_meta_text(service, "namespace"),
                       object_meta_text(service, "name"));
        if (!check_is_gateway(service) || json_object_get(pods_of, key) == NULL)
            continue; /* without a selector nobody knows its pods */
        const json_t *pods = check_needed_items(report, pods_of, key, "source");
        if (pods != NULL && json_array_size(pods) == 0)
            check_problem(report, "* gateway %s has no pods", key);
        json_array_foreach(pods, inner, pod) judge_pod(pod, report);
    }
    if (json_object_size(pods_of) == 0)
        check_skip(report);
}
