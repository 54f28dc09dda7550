/* Edge Stack's own objects: Module, Listener, Host and Mapping. What wins among several was measured: docs/edge-stack.md. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/edge_stack.h"
#include "agent/commands/edge_stack_edit.h"
#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/text.h"

#define READY_PATH "/ambassador/v0/check_ready"
#define READY_SERVICE "localhost:8877"

enum { OBJECT_BYTES = 600 };

struct routes {
    const struct edge_stack_objects *objects;
    const struct edge_stack_gateway *gateway;
    const struct edge_stack_settings *settings;
    const char *path; /* of the probe */
    json_int_t target_port;
    struct edge_stack_plan *plan;
    const json_t *selector; /* labels that the Host asks of Mappings, or NULL */
    const char *security;   /* the Listener's securityModel */
    const json_t *listener; /* that takes the probe, or NULL */
};

/* ---- common ---- */

static bool is_v3(const struct routes *routes, enum edge_stack_kind kind)
{
    return text_ends_with(routes->objects->api_version[kind], "/v3alpha1");
}

static const char *named(const json_t *object, char buffer[OBJECT_BYTES])
{
    (void)snprintf(buffer, OBJECT_BYTES, "%s %s/%s", edge_stack_text_at(object, "kind", NULL),
                   object_meta_text(object, "namespace"), object_meta_text(object, "name"));
    return buffer;
}

/* The next object of a kind that the gateway reads; `index` begins at 0. */
static const json_t *next_read(const struct routes *routes, enum edge_stack_kind kind, size_t *index)
{
    const json_t *list = routes->objects->of_kind[kind];
    while (*index < json_array_size(list)) {
        const json_t *object = json_array_get(list, (*index)++);
        if (edge_stack_reads(routes->gateway, object))
            return object;
    }
    return NULL;
}

static bool name_taken(const struct routes *routes, enum edge_stack_kind kind, const char *name)
{
    const json_t *object = NULL;
    size_t index = 0;
    json_array_foreach(routes->objects->of_kind[kind], index, object)
    {
        if (strcmp(object_meta_text(object, "name"), name) == 0 &&
            strcmp(object_meta_text(object, "namespace"), routes->gateway->namespace) == 0)
            return true;
    }
    return false;
}

/* @param spec  stolen. @param labels  stolen, or NULL. */
static void create(const struct routes *routes, enum edge_stack_kind kind, const char *name, json_t *spec,
                   json_t *labels)
{
    const char *id = routes->gateway->ambassador_id, *namespace = routes->gateway->namespace;
    json_t *all_labels = labels != NULL ? labels : json_object();
    bool good = json_object_set_new(all_labels, "app.kubernetes.io/managed-by", json_string("svcmirror")) == 0;
    if (strcmp(id, EDGE_STACK_DEFAULT_ID) != 0)
        good = good && json_object_set_new(spec, EDGE_STACK_ID, json_pack("[s]", id)) == 0;
    json_t *object = json_pack("{s:s, s:s, s:{s:s, s:s, s:O}, s:O}", "apiVersion", routes->objects->api_version[kind],
                               "kind", edge_stack_kind_names[kind], "metadata", "name", name, "namespace", namespace,
                               "labels", all_labels, "spec", spec);
    json_decref(all_labels);
    json_decref(spec);
    if (name_taken(routes, kind, name)) {
        edge_stack_say(routes->plan, EDGE_OBSTACLE,
                       "%s %s/%s is there already and does something else (its ambassador_id, its port or its prefix): "
                       "rename or remove it",
                       edge_stack_kind_names[kind], namespace, name);
        json_decref(object);
    } else if (good && object != NULL) {
        edit_create(routes->gateway, object, routes->plan);
    } else {
        routes->plan->out_of_memory = true;
        json_decref(object);
    }
}

/* ---- Module ---- */

static void plan_module(struct routes *routes)
{
    const json_t *module = NULL, *object = NULL;
    char one[OBJECT_BYTES], other[OBJECT_BYTES];
    size_t index = 0;
    while ((object = next_read(routes, EDGE_MODULE, &index)) != NULL) {
        if (strcmp(object_meta_text(object, "name"), "ambassador") != 0)
            continue;
        if (module != NULL) {
            edge_stack_say(routes->plan, EDGE_OBSTACLE,
                           "%s and %s: of two one wins without a word, and nothing is merged; keep one",
                           named(module, one), named(object, other));
            return;
        }
        module = object;
    }
    if (module == NULL) {
        create(routes, EDGE_MODULE, "ambassador", json_pack("{s:{s:b}}", "config", "add_linkerd_headers", 1), NULL);
        return;
    }
    struct edit edit;
    edit_begin(&edit, module);
    edit_set(&edit, (const char *const[]){"spec", "config", "add_linkerd_headers", NULL}, json_true());
    edit_finish(&edit, routes->gateway, module, routes->plan);
}

/* ---- Listener ---- */

static bool speaks_proxy_protocol(const json_t *listener)
{
    const json_t *stack = edge_stack_at(listener, "spec", "protocolStack", NULL), *layer = NULL;
    const char *protocol = edge_stack_text_at(listener, "spec", "protocol", NULL);
    size_t index = 0;
    json_array_foreach(stack, index, layer)
    {
        if (text_equal(json_string_value(layer), "PROXY"))
            return true;
    }
    return protocol != NULL && strstr(protocol, "PROXY") != NULL;
}

/* Where the Host is that decides for every name, or is going to be created. */
static const char *host_namespace(const struct routes *routes)
{
    const json_t *host = edge_stack_deciding_host(routes->objects, routes->gateway);
    return host != NULL ? object_meta_text(host, "namespace") : routes->gateway->namespace;
}

static void judge_listener(struct routes *routes, const json_t *listener)
{
    char name[OBJECT_BYTES];
    const char *from = edge_stack_text_at(listener, "spec", "hostBinding", "namespace", "from", NULL);
    const char *protocol = edge_stack_text_at(listener, "spec", "protocol", NULL);
    if (speaks_proxy_protocol(listener))
        edge_stack_say(
            routes->plan, EDGE_OBSTACLE,
            "%s expects the PROXY protocol on port %lld, and resets a probe that comes without: lead mc-probe to "
            "another Listener",
            named(listener, name), (long long)routes->target_port);
    if (protocol != NULL && (strcmp(protocol, "TCP") == 0 || strcmp(protocol, "TLS") == 0))
        edge_stack_say(routes->plan, EDGE_OBSTACLE,
                       "%s speaks %s on port %lld, which is not HTTP: lead mc-probe to another "
                       "Listener",
                       named(listener, name), protocol, (long long)routes->target_port);
    if (text_equal(from, "SELF") && strcmp(object_meta_text(listener, "namespace"), host_namespace(routes)) != 0)
        edge_stack_say(
            routes->plan, EDGE_OBSTACLE,
            "%s takes only Hosts of its own namespace (hostBinding SELF), and the one for every name is in %s",
            named(listener, name), host_namespace(routes));
    if (json_object_size(edge_stack_at(listener, "spec", "hostBinding", "selector", NULL)) > 0)
        edge_stack_say(routes->plan, EDGE_WARNING, "%s takes only Hosts with the labels of its hostBinding.selector",
                       named(listener, name));
    routes->security = edge_stack_text_at(listener, "spec", "securityModel", NULL);
    routes->listener = listener;
}

static void plan_listener(struct routes *routes)
{
    char name[OBJECT_BYTES], one[OBJECT_BYTES];
    const json_t *object = NULL;
    size_t index = 0;
    if (routes->objects->api_version[EDGE_LISTENER][0] == '\0' || routes->target_port == 0)
        return; /* Emissary 1 listens by itself */
    while ((object = next_read(routes, EDGE_LISTENER, &index)) != NULL) {
        if (json_integer_value(edge_stack_at(object, "spec", "port", NULL)) != routes->target_port)
            continue;
        if (routes->listener != NULL)
            edge_stack_say(routes->plan, EDGE_WARNING,
                           "%s and %s share port %lld: one of them is ignored without a word",
                           named(routes->listener, one), named(object, name), (long long)routes->target_port);
        else
            judge_listener(routes, object);
    }
    if (routes->listener != NULL)
        return;
    (void)snprintf(name, sizeof(name), "%.200s-mc-probe", routes->gateway->name);
    create(routes, EDGE_LISTENER, name,
           json_pack("{s:I, s:s, s:s, s:{s:{s:s}}}", "port", routes->target_port, "protocol", "HTTP", "securityModel",
                     "XFP", "hostBinding", "namespace", "from", "ALL"),
           NULL);
    edge_stack_say(routes->plan, EDGE_NOTE,
                   "nothing listens on port %lld of the pods yet: a Listener opens it for all Hosts",
                   (long long)routes->target_port);
}

/* ---- Host ---- */

/* What the new Host changes for traffic that was there before. */
static void tell_of_new_host(const struct routes *routes)
{
    static const char *const WITHOUT_HOST[] = {
        [EDGE_UNKNOWN] = "as it is without any Host unless Secret " EDGE_STACK_FALLBACK_SECRET
                         " is there, which you may not read, and with which it was redirected to https",
        [EDGE_ABSENT] = "as it was: there is no Secret " EDGE_STACK_FALLBACK_SECRET,
        [EDGE_PRESENT] = "where it was redirected to https, because of Secret " EDGE_STACK_FALLBACK_SECRET,
    };
    if (edge_stack_has_host(routes->objects, routes->gateway))
        edge_stack_say(routes->plan, EDGE_NOTE,
                       "Host wildcard is the first that serves every name: Mappings of any hostname can then be "
                       "reached in cleartext by names that were answered with 404");
    else
        edge_stack_say(routes->plan, EDGE_NOTE,
                       "Host wildcard is the first Host: cleartext of every name is routed, %s",
                       WITHOUT_HOST[routes->objects->fallback_secret]);
}

static void route_insecure(const struct routes *routes, const json_t *host)
{
    char name[OBJECT_BYTES];
    const char *action = edge_stack_insecure_action(host);
    if (text_equal(action, "Route") || text_equal(routes->security, "SECURE"))
        return;
    if (!routes->settings->patch_host) {
        edge_stack_say(
            routes->plan, EDGE_OBSTACLE,
            "%s decides for every name, and its requestPolicy.insecure.action is %s: the probe, which is "
            "cleartext, would fail, and so would a second Host beside it. --patch-host sets it to Route, "
            "for all cleartext traffic of that Host; or lead mc-probe to a Listener whose securityModel is SECURE",
            named(host, name), action != NULL ? action : "not set, which means Redirect");
        return;
    }
    struct edit edit;
    edit_begin(&edit, host);
    edit_set(&edit, (const char *const[]){"spec", "requestPolicy", "insecure", "action", NULL}, json_string("Route"));
    edit_finish(&edit, routes->gateway, host, routes->plan);
    edge_stack_say(routes->plan, EDGE_NOTE, "%s: cleartext is routed from now on, where it was %s", named(host, name),
                   text_equal(action, "Reject") ? "rejected" : "redirected to https");
}

static void take_selector(struct routes *routes, const json_t *host)
{
    char name[OBJECT_BYTES];
    const json_t *selector = edge_stack_at(host, "spec", "mappingSelector", NULL);
    if (selector == NULL)
        selector = edge_stack_at(host, "spec", "selector", NULL);
    routes->selector = json_object_get(selector, "matchLabels");
    if (json_array_size(json_object_get(selector, "matchExpressions")) > 0)
        edge_stack_say(routes->plan, EDGE_WARNING,
                       "%s chooses Mappings by matchExpressions: see that it takes the health Mapping",
                       named(host, name));
}

static void plan_host(struct routes *routes)
{
    const json_t *host = edge_stack_deciding_host(routes->objects, routes->gateway);
    if (routes->objects->api_version[EDGE_HOST][0] == '\0') {
        edge_stack_say(routes->plan, EDGE_WARNING, "this Edge Stack knows no Hosts: see that it routes cleartext");
    } else if (host != NULL) {
        route_insecure(routes, host);
        take_selector(routes, host);
    } else {
        create(routes, EDGE_HOST, "wildcard",
               json_pack("{s:s, s:{s:s}, s:{s:{s:s}}}", "hostname", "*", "acmeProvider", "authority", "none",
                         "requestPolicy", "insecure", "action", "Route"),
               NULL);
        tell_of_new_host(routes);
    }
}

/* ---- Mapping ---- */

static json_int_t precedence(const json_t *mapping)
{
    return json_integer_value(edge_stack_at(mapping, "spec", "precedence", NULL));
}

/* Whether its route can take the probe; what it asks of headers, query or method beyond the path is not judged. */
static bool may_take_probe(const struct routes *routes, const json_t *mapping)
{
    const char *prefix = edge_stack_text_at(mapping, "spec", "prefix", NULL);
    const char *hostname = edge_stack_text_at(mapping, "spec", is_v3(routes, EDGE_MAPPING) ? "hostname" : "host", NULL);
    bool every_name = hostname == NULL || strcmp(hostname, "*") == 0;
    bool is_regex = json_is_true(edge_stack_at(mapping, "spec", "prefix_regex", NULL));
    return every_name && !is_regex && prefix != NULL && text_starts_with(routes->path, prefix);
}

static void check_shadows(const struct routes *routes, const json_t *health)
{
    char name[OBJECT_BYTES];
    const json_t *mapping = NULL;
    size_t index = 0;
    while ((mapping = next_read(routes, EDGE_MAPPING, &index)) != NULL)
        if (mapping != health && may_take_probe(routes, mapping) && precedence(mapping) > precedence(health))
            edge_stack_say(
                routes->plan, EDGE_OBSTACLE,
                "%s (prefix %s, precedence %lld) shadows the health Mapping: its application would answer the probe, "
                "and its 200 would say nothing of the gateway; lower its precedence",
                named(mapping, name), edge_stack_text_at(mapping, "spec", "prefix", NULL),
                (long long)precedence(mapping));
}

static json_t *health_spec(const struct routes *routes)
{
    json_t *spec = json_pack("{s:s, s:s, s:s, s:b}", "prefix", routes->path, "rewrite", READY_PATH, "service",
                             READY_SERVICE, "bypass_auth", 1);
    if (spec != NULL && is_v3(routes, EDGE_MAPPING) && json_object_set_new(spec, "hostname", json_string("*")) != 0) {
        json_decref(spec);
        return NULL;
    }
    return spec;
}

static void mend_mapping(const struct routes *routes, const json_t *mapping)
{
    const char *key = NULL;
    char name[OBJECT_BYTES];
    json_t *value = NULL, *spec = health_spec(routes);
    struct edit edit;
    edit_begin(&edit, mapping);
    edit.failed = edit.failed || spec == NULL;
    json_object_foreach(spec, key, value) edit_set(&edit, (const char *const[]){"spec", key, NULL}, json_incref(value));
    json_object_foreach(mem_unconst(routes->selector), key, value)
        edit_set(&edit, (const char *const[]){"metadata", "labels", key, NULL}, json_incref(value));
    if (!is_v3(routes, EDGE_MAPPING) && edge_stack_at(mapping, "spec", "host", NULL) != NULL)
        edge_stack_say(routes->plan, EDGE_OBSTACLE,
                       "%s has a host, so that it does not answer for every name: remove its field host",
                       named(mapping, name));
    edit_finish(&edit, routes->gateway, mapping, routes->plan);
    json_decref(spec);
}

static void plan_mapping(const struct routes *routes)
{
    const json_t *health = NULL, *mapping = NULL;
    char one[OBJECT_BYTES], other[OBJECT_BYTES];
    size_t index = 0;
    while ((mapping = next_read(routes, EDGE_MAPPING, &index)) != NULL) {
        if (!text_equal(edge_stack_text_at(mapping, "spec", "prefix", NULL), routes->path))
            continue;
        if (health != NULL)
            edge_stack_say(routes->plan, EDGE_OBSTACLE,
                           "%s and %s share the prefix %s, and so its requests: remove one", named(health, one),
                           named(mapping, other), routes->path);
        health = mapping;
    }
    if (health != NULL) {
        mend_mapping(routes, health);
    } else {
        json_t *spec = health_spec(routes);
        json_t *labels = routes->selector != NULL ? json_deep_copy(routes->selector) : NULL;
        if (spec == NULL || (routes->selector != NULL && labels == NULL))
            routes->plan->out_of_memory = true;
        create(routes, EDGE_MAPPING, "public-health-check", spec, labels);
    }
    check_shadows(routes, health);
}

void edge_stack_plan_routes(const struct edge_stack_objects *objects, const struct edge_stack_gateway *gateway,
                            const struct edge_stack_settings *settings, const char *path, json_int_t target_port,
                            struct edge_stack_plan *plan)
{
    struct routes routes = {.objects = objects,
                            .gateway = gateway,
                            .settings = settings,
                            .path = path,
                            .target_port = target_port,
                            .plan = plan};
    if (objects->api_version[EDGE_MODULE][0] == '\0' || objects->api_version[EDGE_MAPPING][0] == '\0') {
        edge_stack_say(plan, EDGE_OBSTACLE,
                       "the cluster serves no Module or Mapping of %s: its resource types are not installed",
                       EDGE_STACK_GROUP);
        return;
    }
    plan_module(&routes);
    plan_listener(&routes);
    plan_host(&routes);
    plan_mapping(&routes);
}
