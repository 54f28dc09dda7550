/* Whether Edge Stack (or Emissary) is set up so that the probe of its gateway gets its answer: Listener, Host, Mapping, Module. What a wrong one of
 * them does was measured; docs/gateway-diagnosis.md has the signs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/resource.h"
#include "base/text.h"
#include "mirror/names.h"

#define READY_PATH "/ambassador/v0/check_ready"
#define ADMIN_PORT ":8877"

enum { PATH_BYTES = 512 };

/* One installation's resources, in the version that is served: today's, or that of before Emissary 2. */
struct edge_stack {
    const json_t *hosts, *mappings, *modules;
    const json_t *listeners; /* NULL: there is no such kind */
    bool is_v2;
};

static bool find_edge_stack(const json_t *source, struct edge_stack *ret_found)
{
    bool is_v2 = check_items(source, "mappings") == NULL;
    *ret_found = (struct edge_stack){.hosts = check_items(source, is_v2 ? "hostsV2" : "hosts"),
                                     .mappings = check_items(source, is_v2 ? "mappingsV2" : "mappings"),
                                     .modules = check_items(source, is_v2 ? "modulesV2" : "modules"),
                                     .listeners = check_items(source, "listeners"),
                                     .is_v2 = is_v2};
    return ret_found->mappings != NULL;
}

/* The label that every generation's charts put on its Service. */
static bool is_edge_stack_gateway(const json_t *service)
{
    const char *component = object_meta_entry(service, "labels", "app.kubernetes.io/component");
    const char *marked = object_meta_entry(service, "annotations", L5D_MULTICLUSTER_GATEWAY);
    return component != NULL && marked != NULL && strcmp(component, "ambassador-service") == 0;
}

/* ---- Listener ---- */

static json_int_t probe_target_port(const json_t *service)
{
    const json_t *port = NULL;
    size_t index = 0;
    json_array_foreach(check_at(service, "spec/ports"), index, port)
    {
        const json_t *target = json_object_get(port, "targetPort");
        if (strcmp(check_text(port, "name"), L5D_PROBE_PORT_NAME) == 0)
            return target != NULL ? json_integer_value(target) : json_integer_value(json_object_get(port, "port"));
    }
    return 0;
}

static void judge_listener(const struct edge_stack *edge_stack, const json_t *service, struct check_report *report)
{
    json_int_t wanted = probe_target_port(service);
    const json_t *listener = NULL;
    size_t index = 0;
    if (wanted == 0 || edge_stack->listeners == NULL) /* a port by its name says nothing of its number */
        return;
    json_array_foreach(edge_stack->listeners, index, listener)
    {
        if (json_integer_value(check_at(listener, "spec/port")) == wanted)
            return;
    }
    check_problem(report, "no Listener has port %d, which %s of service %s/%s leads to: probes are refused there",
                  (int)wanted, L5D_PROBE_PORT_NAME, object_meta_text(service, "namespace"),
                  object_meta_text(service, "name"));
}

/* ---- Host ---- */

/* Of several for every name the last one by name counts, whatever its namespace. Without any Host, Emissary routes by itself. */
static void judge_hosts(const struct edge_stack *edge_stack, struct check_report *report)
{
    const json_t *host = NULL, *last = NULL;
    size_t index = 0;
    json_array_foreach(edge_stack->hosts, index, host)
    {
        bool for_all = strcmp(check_text(host, "spec/hostname"), "*") == 0;
        if (for_all && (last == NULL || strcmp(object_meta_text(host, "name"), object_meta_text(last, "name")) > 0))
            last = host;
    }
    const char *action = check_text(last, "spec/requestPolicy/insecure/action");
    if (json_array_size(edge_stack->hosts) > 0 && last == NULL)
        check_problem(report, "no Host has hostname \"*\": probes, which name an address, find no route");
    else if (last != NULL && strcmp(action, "Route") != 0)
        check_problem(
            report,
            "host %s/%s: requestPolicy.insecure.action is \"%s\", and must be Route: what comes through the mesh is "
            "plain HTTP to Edge Stack",
            object_meta_text(last, "namespace"), object_meta_text(last, "name"),
            action[0] != '\0' ? action : "Redirect");
}

/* ---- Mapping ---- */

static bool is_same_path(const char *prefix, const char *probe_path)
{
    return strcmp(prefix, probe_path) == 0 || (prefix[0] == '/' && strcmp(prefix + 1, probe_path) == 0);
}

static void judge_mapping(const struct edge_stack *edge_stack, const json_t *mapping, struct check_report *report)
{
    const char *namespace = object_meta_text(mapping, "namespace"), *name = object_meta_text(mapping, "name");
    const char *hostname = check_text(mapping, edge_stack->is_v2 ? "spec/host" : "spec/hostname");
    if (!edge_stack->is_v2 && strcmp(hostname, "*") != 0)
        check_problem(report, "mapping %s/%s: hostname is \"%s\", and must be \"*\"", namespace, name, hostname);
    if (edge_stack->is_v2 && hostname[0] != '\0')
        check_problem(report, "mapping %s/%s: host is \"%s\", and must be left out", namespace, name, hostname);
    if (strcmp(check_text(mapping, "spec/rewrite"), READY_PATH) != 0)
        check_problem(report, "mapping %s/%s: rewrite is \"%s\", and must be %s", namespace, name,
                      check_text(mapping, "spec/rewrite"), READY_PATH);
    if (!text_ends_with(check_text(mapping, "spec/service"), ADMIN_PORT))
        check_problem(report, "mapping %s/%s: service is \"%s\", and must be localhost%s", namespace, name,
                      check_text(mapping, "spec/service"), ADMIN_PORT);
    if (!json_is_true(check_at(mapping, "spec/bypass_auth")))
        check_problem(report, "mapping %s/%s: bypass_auth is not true: an auth filter would answer probes", namespace,
                      name);
}

static void judge_mappings(const struct edge_stack *edge_stack, const json_t *service, struct check_report *report)
{
    const char *probe_path = object_meta_entry(service, "annotations", L5D_PROBE_PATH);
    const json_t *mapping = NULL;
    size_t index = 0, seen = 0;
    if (probe_path == NULL || is_same_path(READY_PATH, probe_path)) /* that one Emissary publishes by itself */
        return;
    json_array_foreach(edge_stack->mappings, index, mapping)
    {
        if (!is_same_path(check_text(mapping, "spec/prefix"), probe_path))
            continue;
        seen++;
        judge_mapping(edge_stack, mapping, report);
    }
    if (seen == 0)
        check_problem(report, "no Mapping has the prefix of %s of service %s/%s, \"%s\": probes find no route",
                      L5D_PROBE_PATH, object_meta_text(service, "namespace"), object_meta_text(service, "name"),
                      probe_path);
}

/* ---- Module ---- */

static void judge_module(const struct edge_stack *edge_stack, struct check_report *report)
{
    const json_t *module = NULL;
    size_t index = 0, seen = 0;
    bool adds = false;
    json_array_foreach(edge_stack->modules, index, module)
    {
        if (strcmp(object_meta_text(module, "name"), "ambassador") != 0)
            continue;
        seen++;
        adds = adds || json_is_true(check_at(module, "spec/config/add_linkerd_headers"));
    }
    if (seen > 1)
        check_problem(report, "there are %u Modules named ambassador, and only one of them counts: keep one",
                      (unsigned)seen);
    else if (!adds)
        check_problem(report,
                      "module ambassador: config.add_linkerd_headers is not true: ordinary ingress traffic bypasses "
                      "Linkerd's routing (mirrored traffic does not need it)");
}

/* ---- all of it ---- */

void check_edge_stack(const json_t *snapshot, struct check_report *report)
{
    const json_t *source = json_object_get(snapshot, "source"), *service = NULL;
    struct edge_stack edge_stack;
    bool found = find_edge_stack(source, &edge_stack);
    size_t index = 0, seen = 0;
    json_array_foreach(check_items(source, "services"), index, service)
    {
        if (!is_edge_stack_gateway(service))
            continue;
        seen++;
        if (!found)
            continue;
        judge_listener(&edge_stack, service, report);
        judge_mappings(&edge_stack, service, report);
    }
    if (seen == 0) {
        check_skip(report);
        return;
    }
    if (!found) {
        check_doubt(report, "cannot be judged: %s", check_fact_error(source, "mappings"));
        return;
    }
    judge_hosts(&edge_stack, report);
    judge_module(&edge_stack, report);
}
