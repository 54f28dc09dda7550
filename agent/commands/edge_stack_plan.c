#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/edge_stack.h"
#include "agent/commands/edge_stack_edit.h"
#include "agent/commands/linkerd_config.h"
#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "health/diagnosis.h"

enum {
    GATEWAY_PORT = 4143,
    PROBE_PORT = 4191,
    CLEARTEXT_PORT = 80,
    PATH_BYTES = 512,
    TEXT_BYTES = 700,
    PORTS_BYTES = 512,
    PERIOD_BYTES = 16
};

/* ---- the plan ---- */

enum err_code edge_stack_plan_new(struct edge_stack_plan *plan, struct err *reterr)
{
    *plan = (struct edge_stack_plan){.findings = json_array(), .changes = json_array()};
    plan->out_of_memory = plan->findings == NULL || plan->changes == NULL;
    return edge_stack_plan_error(plan, reterr);
}

void edge_stack_plan_done(struct edge_stack_plan *plan)
{
    json_decref(plan->findings);
    json_decref(plan->changes);
    *plan = (struct edge_stack_plan){0};
}

enum err_code edge_stack_plan_error(const struct edge_stack_plan *plan, struct err *reterr)
{
    return plan->out_of_memory ? err_set(reterr, ERR_NOMEM, "out of memory") : ERR_OK;
}

void edge_stack_say(struct edge_stack_plan *plan, enum edge_stack_severity severity, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (json_array_append_new(plan->findings, json_pack("{s:i, s:s}", "severity", (int)severity, "text", text)) != 0)
        plan->out_of_memory = true;
}

bool edge_stack_has_obstacle(const struct edge_stack_plan *plan)
{
    const json_t *finding = NULL;
    size_t index = 0;
    json_array_foreach(plan->findings, index, finding)
    {
        if (json_integer_value(json_object_get(finding, "severity")) == EDGE_OBSTACLE)
            return true;
    }
    return false;
}

void edge_stack_change(struct edge_stack_plan *plan, const json_t *before, json_t *after)
{
    bool same = before != NULL && after != NULL && json_equal(before, after);
    json_t *was = before != NULL ? json_deep_copy(before) : json_null();
    if (!same && json_array_append_new(plan->changes, json_pack("{s:O, s:O}", "before", was, "after",
                                                                after != NULL ? after : json_null())) != 0)
        plan->out_of_memory = true;
    json_decref(was);
    json_decref(after);
}

/* ---- the Service's ports ---- */

static const json_t *port_by_name(const json_t *ports, const char *name)
{
    const json_t *port = NULL;
    size_t index = 0;
    json_array_foreach(ports, index, port)
    {
        if (text_equal(edge_stack_text_at(port, "name", NULL), name))
            return port;
    }
    return NULL;
}

static const json_t *port_by_number(const json_t *ports, json_int_t number)
{
    const json_t *port = NULL;
    size_t index = 0;
    json_array_foreach(ports, index, port)
    {
        const char *protocol = edge_stack_text_at(port, "protocol", NULL);
        if (json_integer_value(json_object_get(port, "port")) == number &&
            (protocol == NULL || strcmp(protocol, "TCP") == 0))
            return port;
    }
    return NULL;
}

struct work {
    const struct edge_stack_gateway *gateway;
    const struct edge_stack_settings *settings;
    struct edge_stack_plan *plan;
    const json_t *ports;
    json_int_t target_port; /* of the pod: where the probe arrives */
    char path[PATH_BYTES];  /* the probe's, with its slash */
};

static bool add_port(struct work *work, struct edit *edit, const char *name, json_int_t number, json_t *target)
{
    const json_t *taken = port_by_number(work->ports, number);
    if (taken == NULL) {
        edit_add_port(edit, json_pack("{s:s, s:I, s:s, s:o}", "name", name, "port", number, "protocol", "TCP",
                                      "targetPort", target));
        return true;
    }
    const char *by = edge_stack_text_at(taken, "name", NULL);
    edge_stack_say(work->plan, EDGE_OBSTACLE,
                   "Service %s/%s: port %lld is taken by \"%s\", and Kubernetes takes no second port of one number; "
                   "renaming it would break whoever names it and the next Helm upgrade would undo it: %s",
                   work->gateway->namespace, work->gateway->name, (long long)number, by != NULL ? by : "",
                   strcmp(name, "mc-probe") == 0 ? "choose a free one with --probe-port" : "free it for mc-gateway");
    json_decref(target);
    return false;
}

/* The cleartext port by its number; without one, whichever leads to where Emissary listens for cleartext. */
static const json_t *cleartext_port(const struct work *work)
{
    const json_t *port = port_by_number(work->ports, CLEARTEXT_PORT);
    size_t index = 0;
    if (port != NULL)
        return port;
    json_array_foreach(work->ports, index, port)
    {
        if (edge_stack_target_port(work->gateway, port) == 8080)
            return port;
    }
    return NULL;
}

static void plan_ports(struct work *work, struct edit *edit)
{
    const json_t *probe = port_by_name(work->ports, "mc-probe"), *gateway = port_by_name(work->ports, "mc-gateway");
    const json_t *from = probe != NULL ? probe : cleartext_port(work);
    const struct edge_stack_gateway *at = work->gateway;
    if (from == NULL) {
        edge_stack_say(
            work->plan, EDGE_OBSTACLE,
            "Service %s/%s has neither port 80 nor one that leads to 8080: nothing says where it takes cleartext "
            "for the health check; add such a port, or mc-probe itself",
            at->namespace, at->name);
        return;
    }
    if (json_object_get(from, "name") == NULL) {
        edge_stack_say(work->plan, EDGE_OBSTACLE,
                       "Service %s/%s has one port without a name, and of several each needs one: name it first",
                       at->namespace, at->name);
        return;
    }
    work->target_port = edge_stack_target_port(at, from);
    if (work->target_port == 0)
        edge_stack_say(work->plan, EDGE_OBSTACLE, "Service %s/%s: targetPort \"%s\" is no port of container %s",
                       at->namespace, at->name, edge_stack_text_at(from, "targetPort", NULL),
                       edge_stack_text_at(at->container, "name", NULL));
    if (gateway == NULL)
        (void)add_port(work, edit, "mc-gateway", GATEWAY_PORT, json_integer(GATEWAY_PORT));
    else if (edge_stack_target_port(at, gateway) != GATEWAY_PORT)
        edge_stack_say(
            work->plan, EDGE_WARNING,
            "Service %s/%s: mc-gateway leads to port %lld of the pod; the proxy takes mirrored traffic on %d",
            at->namespace, at->name, (long long)edge_stack_target_port(at, gateway), GATEWAY_PORT);
    if (probe != NULL && work->settings->probe_port != 0 &&
        json_integer_value(json_object_get(probe, "port")) != work->settings->probe_port)
        edge_stack_say(
            work->plan, EDGE_WARNING,
            "Service %s/%s has mc-probe on port %lld already: --probe-port is not used (--undo first moves it)",
            at->namespace, at->name, (long long)json_integer_value(json_object_get(probe, "port")));
    if (probe == NULL) {
        json_t *target = json_object_get(from, "targetPort");
        json_int_t number = work->settings->probe_port != 0 ? work->settings->probe_port : PROBE_PORT;
        if (add_port(work, edit, "mc-probe", number,
                     target != NULL ? json_incref(target) : json_integer(work->target_port)))
            edge_stack_say(
                work->plan, EDGE_NOTE,
                "mc-probe gets port %lld and leads where port %lld does, which keeps its name \"%s\": firewalls "
                "must let the source clusters reach it",
                (long long)number, (long long)json_integer_value(json_object_get(from, "port")),
                edge_stack_text_at(from, "name", NULL));
    }
}

/* ---- the Service's annotations ---- */

#define MIRROR "mirror.linkerd.io/"

static void annotate(struct edit *edit, const char *key, const char *value)
{
    edit_set(edit, (const char *const[]){"metadata", "annotations", key, NULL}, json_string(value));
}

/* In the form that a source with the target's Linkerd takes: 2.8 puts a slash before it, later ones do not. */
static void annotate_probe_path(const struct work *work, struct edit *edit, bool is_2_8)
{
    const char *is = object_meta_entry(work->gateway->service, "annotations", MIRROR "probe-path");
    char normal[PATH_BYTES];
    if (is != NULL && probe_path_normalise(is, normal, sizeof(normal)) && strcmp(normal, work->path) == 0)
        return;
    annotate(edit, MIRROR "probe-path", work->path + (is_2_8 ? 1 : 0));
}

static void annotate_identity(const struct work *work, struct edit *edit, const char *domain)
{
    const struct edge_stack_gateway *gateway = work->gateway;
    char text[TEXT_BYTES];
    if (domain == NULL) {
        edge_stack_say(
            work->plan, EDGE_OBSTACLE,
            "the trust domain is not known: ConfigMap %s/linkerd-config does not tell it; is Linkerd installed "
            "there? Say it with --trust-domain, or where Linkerd is with --linkerd-namespace",
            work->settings->linkerd_namespace);
        return;
    }
    (void)snprintf(text, sizeof(text), "%s.%s.serviceaccount.identity.%s.%s", gateway->service_account,
                   gateway->namespace, work->settings->linkerd_namespace, domain);
    annotate(edit, MIRROR "gateway-identity", text);
}

static enum err_code plan_annotations(struct work *work, struct edit *edit, const json_t *config_map,
                                      struct err *reterr)
{
    const struct edge_stack_settings *settings = work->settings;
    char period[PERIOD_BYTES];
    struct linkerd_config linkerd;
    TRY(linkerd_config_read(config_map, &linkerd, reterr));
    annotate_identity(work, edit, settings->trust_domain != NULL ? settings->trust_domain : linkerd.trust_domain);
    annotate(edit, MIRROR "multicluster-gateway", "true");
    annotate_probe_path(work, edit, linkerd.is_2_8);
    linkerd_config_done(&linkerd);
    if (settings->probe_period_s != 0 ||
        object_meta_entry(work->gateway->service, "annotations", MIRROR "probe-period") == NULL) {
        (void)snprintf(period, sizeof(period), "%u", settings->probe_period_s != 0 ? settings->probe_period_s : 3U);
        annotate(edit, MIRROR "probe-period", period);
    }
    return ERR_OK;
}

/* ---- the pods ---- */

static void annotate_pods(struct edit *edit, const char *key, const char *value)
{
    edit_set(edit, (const char *const[]){"spec", "template", "metadata", "annotations", key, NULL}, json_string(value));
}

static void add_port_number(struct strbuf *list, json_int_t number)
{
    char text[24];
    (void)snprintf(text, sizeof(text), "%lld", (long long)number);
    if (number > 0 && !text_list_has(strbuf_text(list), text))
        strbuf_printf(list, "%s%s", list->length > 0 ? "," : "", text);
}

#define POD_CONFIG "config.linkerd.io/"

static const char *pod_annotation(const struct edit *edit, const char *key)
{
    return edge_stack_text_at(edit->after, "spec", "template", "metadata", "annotations", key, NULL);
}

/* Adds the numbers, 0 aside, to those that are in the list of that annotation. */
static void add_pod_ports(const struct work *work, struct edit *edit, const char *key, const json_int_t *numbers,
                          size_t count)
{
    const char *is = pod_annotation(edit, key);
    struct strbuf list;
    strbuf_init(&list, PORTS_BYTES);
    strbuf_append(&list, is != NULL ? is : "");
    for (size_t i = 0; i < count; i++)
        add_port_number(&list, numbers[i]);
    if (strbuf_error(&list) == ERR_LIMIT)
        edge_stack_say(work->plan, EDGE_OBSTACLE, "the pods' annotation %s is too long", key);
    else if (strbuf_error(&list) != ERR_OK)
        edit->failed = true;
    else
        annotate_pods(edit, key, strbuf_text(&list));
    strbuf_done(&list);
}

/* Where a port of the Service leads in the pods; 0: there is none of that number. */
static json_int_t target_of(const struct work *work, json_int_t number)
{
    const json_t *port = port_by_number(work->ports, number);
    return port != NULL ? edge_stack_target_port(work->gateway, port) : 0;
}

/* Cleartext and TLS from outside go past the proxy: the Service's numbers, as Linkerd's documents write them, and the pod's, which are what its
 * firewall sees. */
static void plan_skipped_ports(const struct work *work, struct edit *edit)
{
    const json_int_t numbers[] = {80, target_of(work, 80), 443, target_of(work, 443), work->target_port};
    add_pod_ports(work, edit, POD_CONFIG "skip-inbound-ports", numbers, ARRAY_COUNT(numbers));
}

/* Ingress mode injects too, and is what Linkerd asks of an ingress for its ordinary traffic. */
static void plan_injection(struct edit *edit)
{
    if (!text_equal(pod_annotation(edit, "linkerd.io/inject"), "ingress"))
        annotate_pods(edit, "linkerd.io/inject", "enabled");
}

static void plan_workload(struct work *work)
{
    const json_t *workload = work->gateway->workload;
    struct edit edit;
    size_t before = json_array_size(work->plan->changes);
    edit_begin(&edit, workload);
    plan_injection(&edit);
    annotate_pods(&edit, POD_CONFIG "enable-gateway", "true");
    add_pod_ports(work, &edit, POD_CONFIG "proxy-require-identity-inbound-ports", (const json_int_t[]){GATEWAY_PORT},
                  1);
    plan_skipped_ports(work, &edit);
    edit_finish(&edit, work->gateway, workload, work->plan);
    if (json_array_size(work->plan->changes) > before)
        edge_stack_say(work->plan, EDGE_NOTE, "the pods of %s %s/%s are replaced: their template changes",
                       edge_stack_text_at(workload, "kind", NULL), work->gateway->namespace,
                       object_meta_text(workload, "name"));
}

/* ---- all of it ---- */

static enum err_code choose_path(struct work *work, struct err *reterr)
{
    const char *is = object_meta_entry(work->gateway->service, "annotations", MIRROR "probe-path");
    const char *asked = work->settings->probe_path, *path = asked != NULL ? asked : is;
    if (!probe_path_normalise(path != NULL ? path : "-/ambassador/ready", work->path, sizeof(work->path)))
        return err_set(reterr, ERR_INVALID, "\"%.80s\" is no path of a probe", path);
    return ERR_OK;
}

static enum err_code plan_all(struct work *work, struct edit *service, const struct edge_stack_objects *objects,
                              struct err *reterr)
{
    const struct edge_stack_gateway *gateway = work->gateway;
    const char *type = edge_stack_text_at(gateway->service, "spec", "type", NULL);
    TRY(choose_path(work, reterr));
    plan_ports(work, service);
    TRY(plan_annotations(work, service, objects->linkerd_config, reterr));
    if (type == NULL || strcmp(type, "LoadBalancer") != 0)
        edge_stack_say(
            work->plan, EDGE_WARNING,
            "Service %s/%s is of type %s: other clusters reach it only if something else gives it an address",
            gateway->namespace, gateway->name, type != NULL ? type : "ClusterIP");
    edge_stack_plan_routes(objects, gateway, work->settings, work->path, work->target_port, work->plan);
    plan_workload(work);
    return ERR_OK;
}

enum err_code edge_stack_prepare(const struct edge_stack_objects *objects, const struct edge_stack_gateway *gateway,
                                 const struct edge_stack_settings *settings, struct edge_stack_plan *plan,
                                 struct err *reterr)
{
    struct work work = {.gateway = gateway,
                        .settings = settings,
                        .plan = plan,
                        .ports = edge_stack_at(gateway->service, "spec", "ports", NULL)};
    struct edit service;
    edit_begin(&service, gateway->service);
    enum err_code code = plan_all(&work, &service, objects, reterr);
    edit_finish(&service, gateway, gateway->service, plan); /* last: what it announces is there by then */
    return code == ERR_OK ? edge_stack_plan_error(plan, reterr) : code;
}

static void undo_list(const json_t *objects, const struct edge_stack_gateway *gateway, struct edge_stack_plan *plan)
{
    const json_t *object = NULL;
    size_t index = 0;
    json_array_foreach(objects, index, object) edit_take_back(gateway, object, plan);
}

enum err_code edge_stack_undo(const struct edge_stack_objects *objects, const struct edge_stack_gateway *gateway,
                              struct edge_stack_plan *plan, struct err *reterr)
{
    static const enum edge_stack_kind KINDS[] = {EDGE_MAPPING, EDGE_HOST, EDGE_LISTENER, EDGE_MODULE};
    edit_take_back(gateway, gateway->service, plan);
    undo_list(objects->workloads, gateway, plan);
    for (size_t i = 0; i < ARRAY_COUNT(KINDS); i++)
        undo_list(objects->of_kind[KINDS[i]], gateway, plan);
    return edge_stack_plan_error(plan, reterr);
}
