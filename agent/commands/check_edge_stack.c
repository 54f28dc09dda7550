/* Whether Edge Stack (or Emissary) is set up so that the probe of its gateway gets its answer: Listener, Host, Mapping, Module. What a wrong one of
 * them does was measured; docs/gateway-diagnosis.md has the signs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/edge_stack.h"
#include "agent/commands/edge_stack_read.h"
#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

#define READY_PATH "/ambassador/v0/check_ready"
#define ADMIN_PORT ":8877"

enum { PATH_BYTES = 512 };

/* What one gateway reads, in the version that is served: today's, or that of before Emissary 2. */
struct edge_stack {
    const struct edge_stack_objects *objects;
    const struct edge_stack_gateway *gateway; /* NULL: not found; it is taken to read all */
    bool is_v2;
    const char *security; /* the securityModel of the Listener that takes probes; "" when none tells */
};

/* Before Emissary 2 there are none, and it listens by itself. */
static bool has_listeners(const struct edge_stack *edge_stack)
{
    return edge_stack->objects->api_version[EDGE_LISTENER][0] != '\0';
}

/* The label that every generation's charts put on its Service. */
bool check_is_edge_stack_gateway(const json_t *service)
{
    const char *component = object_meta_entry(service, "labels", "app.kubernetes.io/component");
    const char *marked = object_meta_entry(service, "annotations", L5D_MULTICLUSTER_GATEWAY);
    return component != NULL && marked != NULL && strcmp(component, "ambassador-service") == 0;
}

/* ---- Listener ---- */

/* @return 0 for a port by its name where the container is not known. */
static json_int_t probe_target_port(const struct edge_stack *edge_stack, const json_t *service)
{
    static const struct edge_stack_gateway unknown = {0};
    const json_t *port = NULL;
    size_t index = 0;
    json_array_foreach(check_at(service, "spec/ports"), index, port)
    {
        if (strcmp(check_text(port, "name"), L5D_PROBE_PORT_NAME) == 0)
            return edge_stack_target_port(edge_stack->gateway != NULL ? edge_stack->gateway : &unknown, port);
    }
    return 0;
}

static void judge_listener(struct edge_stack *edge_stack, const json_t *service, struct check_report *report)
{
    json_int_t wanted = probe_target_port(edge_stack, service);
    const json_t *listener = NULL;
    size_t index = 0;
    if (wanted == 0 || !has_listeners(edge_stack))
        return;
    json_array_foreach(edge_stack->objects->of_kind[EDGE_LISTENER], index, listener)
    {
        if (edge_stack_reads(edge_stack->gateway, listener) &&
            json_integer_value(check_at(listener, "spec/port")) == wanted) {
            edge_stack->security = check_text(listener, "spec/securityModel");
            return;
        }
    }
    check_problem(report, "no Listener has port %d, which %s of service %s/%s leads to: probes are refused there",
                  (int)wanted, L5D_PROBE_PORT_NAME, object_meta_text(service, "namespace"),
                  object_meta_text(service, "name"));
}

/* ---- Host ---- */

/* @param[out] ret_seen  how many Hosts it reads at all. */
static bool some_host_routes(const struct edge_stack *edge_stack, size_t *ret_seen)
{
    const json_t *host = NULL;
    size_t index = 0;
    bool routes = false;
    json_array_foreach(edge_stack->objects->of_kind[EDGE_HOST], index, host)
    {
        if (!edge_stack_reads(edge_stack->gateway, host))
            continue;
        (*ret_seen)++;
        routes = routes || text_equal(edge_stack_insecure_action(host), "Route");
    }
    return routes;
}

/* Without any Host, Emissary routes by itself. Before Emissary 2 a Host's hostname did not restrict what is routed in cleartext. */
static void judge_hosts(const struct edge_stack *edge_stack, struct check_report *report)
{
    const json_t *host = edge_stack_deciding_host(edge_stack->objects, edge_stack->gateway);
    const char *action = edge_stack_insecure_action(host);
    size_t seen = 0;
    bool routes = some_host_routes(edge_stack, &seen), names_count = !edge_stack->is_v2 || has_listeners(edge_stack);
    if (host == NULL && seen > 0 && names_count)
        check_problem(report, "no Host has hostname \"*\": probes, which name an address, find no route");
    else if (host == NULL && seen > 0 && !routes)
        check_problem(report,
                      "no Host has requestPolicy.insecure.action Route: what comes through the mesh is plain HTTP to "
                      "Edge Stack");
    else if (host != NULL && !text_equal(action, "Route") && strcmp(edge_stack->security, "SECURE") != 0)
        check_problem(
            report,
            "host %s/%s: requestPolicy.insecure.action is \"%s\", and must be Route: what comes through the mesh is "
            "plain HTTP to Edge Stack",
            object_meta_text(host, "namespace"), object_meta_text(host, "name"), action != NULL ? action : "Redirect");
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
    json_array_foreach(edge_stack->objects->of_kind[EDGE_MAPPING], index, mapping)
    {
        if (!edge_stack_reads(edge_stack->gateway, mapping) ||
            !is_same_path(check_text(mapping, "spec/prefix"), probe_path))
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
    json_array_foreach(edge_stack->objects->of_kind[EDGE_MODULE], index, module)
    {
        if (!edge_stack_reads(edge_stack->gateway, module) ||
            strcmp(object_meta_text(module, "name"), "ambassador") != 0)
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

/* ---- the rest: what `edge-stack prepare` knows ---- */

/* What is not there was told already, and a Host need not be. */
static void tell_changes(const struct edge_stack_plan *plan, struct check_report *report)
{
    const json_t *change = NULL;
    size_t index = 0;
    json_array_foreach(plan->changes, index, change)
    {
        const json_t *before = json_object_get(change, "before");
        if (!json_is_null(before))
            check_problem(
                report,
                "%s %s/%s is not as `svcmirror edge-stack prepare` makes it: with --dry-run=client that shows "
                "the difference",
                check_text(before, "kind"), object_meta_text(before, "namespace"), object_meta_text(before, "name"));
    }
}

static void tell_findings(const struct edge_stack_plan *plan, struct check_report *report)
{
    const json_t *finding = NULL;
    size_t index = 0;
    json_array_foreach(plan->findings, index, finding)
    {
        json_int_t severity = json_integer_value(json_object_get(finding, "severity"));
        if (severity == EDGE_OBSTACLE)
            check_problem(report, "%s", check_text(finding, "text"));
        else if (severity == EDGE_WARNING)
            check_note(report, "* %s", check_text(finding, "text"));
    }
}

static void judge_by_plan(const struct edge_stack *edge_stack, const struct edge_stack_settings *settings,
                          struct check_report *report)
{
    struct edge_stack_plan plan = {0};
    struct err error = {0};
    enum err_code code = edge_stack_plan_new(&plan, &error);
    if (code == ERR_OK)
        code = edge_stack_prepare(edge_stack->objects, edge_stack->gateway, settings, &plan, &error);
    if (code == ERR_OK) {
        tell_findings(&plan, report);
        tell_changes(&plan, report);
    } else {
        check_doubt(report, "cannot be judged: %s", error.text);
    }
    edge_stack_plan_done(&plan);
}

/* ---- one gateway ---- */

/* Items of a list leave out what the list says for all. */
static bool add_items(json_t *objects, const json_t *items, const char *api_version, const char *kind)
{
    const json_t *item = NULL;
    size_t index = 0;
    bool whole = true;
    json_array_foreach(items, index, item)
    {
        json_t *copy = json_copy(mem_unconst(item));
        whole = whole && json_object_set_new(copy, "apiVersion", json_string(api_version)) == 0 &&
                json_object_set_new(copy, "kind", json_string(kind)) == 0 && json_array_append(objects, copy) == 0;
        json_decref(copy);
    }
    return whole;
}

/* @return whether there was memory; end with edge_stack_read_done() in any case. */
static bool collect(const json_t *source, const json_t *service, bool is_v2, struct edge_stack_objects *objects)
{
    static const char *const keys[EDGE_KINDS][2] = {[EDGE_MODULE] = {"modules", "modulesV2"},
                                                    [EDGE_HOST] = {"hosts", "hostsV2"},
                                                    [EDGE_LISTENER] = {"listeners", "listenersV2"},
                                                    [EDGE_MAPPING] = {"mappings", "mappingsV2"}};
    const char *version = is_v2 ? EDGE_STACK_GROUP "/v2" : EDGE_STACK_GROUP "/v3alpha1";
    const json_t *workloads =
        json_object_get(json_object_get(source, "workloadsIn"), object_meta_text(service, "namespace"));
    json_t *alone = json_pack("[O]", service);
    *objects =
        (struct edge_stack_objects){.services = json_array(),
                                    .workloads = json_array(),
                                    .linkerd_config = json_incref(mem_unconst(check_fact(source, "linkerdConfig")))};
    bool whole = alone != NULL && add_items(objects->services, alone, "v1", "Service") &&
                 add_items(objects->workloads, check_items(workloads, "deployments"), "apps/v1", "Deployment") &&
                 add_items(objects->workloads, check_items(workloads, "daemonSets"), "apps/v1", "DaemonSet");
    json_decref(alone);
    for (int kind = 0; kind < EDGE_KINDS; kind++) {
        const json_t *items = check_items(source, keys[kind][is_v2 ? 1 : 0]);
        objects->of_kind[kind] = json_array();
        if (items != NULL)
            (void)snprintf(objects->api_version[kind], sizeof(objects->api_version[kind]), "%s", version);
        whole = whole && add_items(objects->of_kind[kind], items, version, edge_stack_kind_names[kind]);
    }
    return whole;
}

/* Of the identity that the Service names: for clusters whose linkerd-config does not tell it. @return borrowed, or NULL. */
static const char *named_trust_domain(const json_t *service, const char *linkerd_namespace)
{
    char middle[PATH_BYTES];
    const char *identity = object_meta_entry(service, "annotations", L5D_GATEWAY_IDENTITY);
    (void)snprintf(middle, sizeof(middle), ".serviceaccount.identity.%s.", linkerd_namespace);
    const char *found = identity != NULL ? strstr(identity, middle) : NULL;
    return found != NULL ? found + strlen(middle) : NULL;
}

/* @return whether the gateway was found behind its Service; a doubt where not. */
static bool find_gateway(const json_t *source, const struct edge_stack_objects *objects,
                         const struct edge_stack_settings *settings, struct edge_stack_gateway *gateway,
                         struct check_report *report)
{
    const json_t *workloads = json_object_get(json_object_get(source, "workloadsIn"), settings->service_namespace);
    struct err error = {0};
    if (check_needed_items(report, workloads, "deployments", "source") == NULL ||
        check_needed_items(report, workloads, "daemonSets", "source") == NULL)
        return false;
    if (edge_stack_find(objects, settings, gateway, &error) == ERR_OK)
        return true;
    check_doubt(report, "cannot be judged: %s", error.text);
    return false;
}

static void judge_gateway(const json_t *snapshot, const json_t *service, bool is_v2, struct check_report *report)
{
    const json_t *source = json_object_get(snapshot, "source");
    const char *linkerd_namespace = check_text(snapshot, "linkerdNamespace");
    struct edge_stack_settings settings = {.service_namespace = object_meta_text(service, "namespace"),
                                           .service_name = object_meta_text(service, "name"),
                                           .linkerd_namespace = linkerd_namespace};
    struct edge_stack_objects objects;
    struct edge_stack_gateway gateway = {0};
    struct edge_stack edge_stack = {.objects = &objects, .is_v2 = is_v2, .security = ""};
    unsigned before = report->problem_count;
    if (!collect(source, service, is_v2, &objects)) {
        check_doubt(report, "out of memory");
        edge_stack_read_done(&objects);
        return;
    }
    if (find_gateway(source, &objects, &settings, &gateway, report))
        edge_stack.gateway = &gateway;
    if (objects.linkerd_config == NULL)
        settings.trust_domain = named_trust_domain(service, linkerd_namespace);
    judge_listener(&edge_stack, service, report);
    judge_mappings(&edge_stack, service, report);
    judge_hosts(&edge_stack, report);
    judge_module(&edge_stack, report);
    if (edge_stack.gateway != NULL && report->problem_count == before) /* what is wrong was told in more words */
        judge_by_plan(&edge_stack, &settings, report);
    edge_stack_read_done(&objects);
}

/* ---- all of them ---- */

void check_edge_stack(const json_t *snapshot, struct check_report *report)
{
    const json_t *source = json_object_get(snapshot, "source"), *service = NULL;
    bool is_v2 = check_items(source, "mappings") == NULL;
    bool is_known = check_items(source, is_v2 ? "mappingsV2" : "mappings") != NULL;
    size_t index = 0, seen = 0;
    json_array_foreach(check_items(source, "services"), index, service)
    {
        if (!check_is_edge_stack_gateway(service))
            continue;
        seen++;
        if (is_known)
            judge_gateway(snapshot, service, is_v2, report);
    }
    if (seen == 0)
        check_skip(report);
    else if (!is_known)
        check_doubt(report, "cannot be judged: %s", check_fact_error(source, "mappings"));
}
