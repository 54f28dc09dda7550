#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/edge_stack.h"
#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/text.h"

enum { LIST_BYTES = 300 };

const char *const edge_stack_kind_names[EDGE_KINDS] = {
    [EDGE_MODULE] = "Module", [EDGE_HOST] = "Host", [EDGE_LISTENER] = "Listener", [EDGE_MAPPING] = "Mapping"};

/* ---- looking into objects ---- */

static json_t *walk(const json_t *object, va_list keys)
{
    json_t *at = mem_unconst(object);
    for (const char *key = va_arg(keys, const char *); key != NULL; key = va_arg(keys, const char *))
        at = json_object_get(at, key);
    return at;
}

json_t *edge_stack_at(const json_t *object, ...)
{
    va_list keys;
    va_start(keys, object);
    json_t *at = walk(object, keys);
    va_end(keys);
    return at;
}

const char *edge_stack_text_at(const json_t *object, ...)
{
    va_list keys;
    va_start(keys, object);
    const char *text = json_string_value(walk(object, keys));
    va_end(keys);
    return text;
}

/* ---- versions ---- */

void edge_stack_choose_versions(const json_t *resources, struct edge_stack_objects *objects)
{
    static const char *const BEST_FIRST[] = {EDGE_STACK_GROUP "/v3alpha1", EDGE_STACK_GROUP "/v2",
                                             EDGE_STACK_GROUP "/v1"};
    for (size_t v = ARRAY_COUNT(BEST_FIRST); v-- > 0;) {
        const json_t *list = NULL, *resource = NULL;
        size_t at = 0, index = 0;
        json_array_foreach(resources, at, list)
        {
            if (!text_equal(edge_stack_text_at(list, "groupVersion", NULL), BEST_FIRST[v]))
                continue;
            json_array_foreach(json_object_get(list, "resources"), index,
                               resource) for (int kind = 0; kind < EDGE_KINDS;
                                              kind++) if (text_equal(edge_stack_text_at(resource, "kind", NULL),
                                                                     edge_stack_kind_names[kind]))(void)
                snprintf(objects->api_version[kind], sizeof(objects->api_version[kind]), "%s", BEST_FIRST[v]);
        }
    }
}

/* ---- the Service ---- */

static bool is_asked_for(const json_t *service, const struct edge_stack_settings *settings)
{
    if (settings->service_name != NULL)
        return strcmp(object_meta_text(service, "name"), settings->service_name) == 0 &&
               strcmp(object_meta_text(service, "namespace"), settings->service_namespace) == 0;
    return text_equal(object_meta_entry(service, "labels", "app.kubernetes.io/component"), "ambassador-service");
}

/* Names what was found more than once: " ambassador/a ambassador/b". */
static void add_name(char list[LIST_BYTES], const json_t *object)
{
    size_t length = strlen(list);
    (void)snprintf(list + length, LIST_BYTES - length, " %s/%s", object_meta_text(object, "namespace"),
                   object_meta_text(object, "name"));
}

static enum err_code find_service(const struct edge_stack_objects *objects, const struct edge_stack_settings *settings,
                                  struct edge_stack_gateway *gateway, struct err *reterr)
{
    char list[LIST_BYTES] = "";
    const json_t *service = NULL;
    size_t index = 0, count = 0;
    json_array_foreach(objects->services, index, service)
    {
        if (!is_asked_for(service, settings))
            continue;
        count++;
        gateway->service = service;
        add_name(list, service);
    }
    if (count == 1)
        return ERR_OK;
    if (count > 1)
        return err_set(reterr, ERR_INVALID,
                       "%zu Services are of Edge Stack or Emissary:%s; name one with --gateway-service", count, list);
    if (settings->service_name != NULL)
        return err_set(reterr, ERR_NOT_FOUND, "there is no Service %s/%s", settings->service_namespace,
                       settings->service_name);
    return err_set(
        reterr, ERR_NOT_FOUND,
        "no Service%s%s has the label app.kubernetes.io/component=ambassador-service, as those of Edge Stack and "
        "Emissary have; name it with --gateway-service NAMESPACE/NAME",
        settings->service_namespace != NULL ? " in namespace " : "",
        settings->service_namespace != NULL ? settings->service_namespace : "");
}

/* ---- what runs behind it ---- */

static bool selects(const json_t *selector, const json_t *workload)
{
    const json_t *labels = edge_stack_at(workload, "spec", "template", "metadata", "labels", NULL);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(mem_unconst(selector), key, value)
    {
        if (!text_equal(json_string_value(json_object_get(labels, key)), json_string_value(value)))
            return false;
    }
    return json_object_size(selector) > 0;
}

static enum err_code find_workload(const struct edge_stack_objects *objects, struct edge_stack_gateway *gateway,
                                   struct err *reterr)
{
    char list[LIST_BYTES] = "";
    const json_t *workload = NULL, *selector = edge_stack_at(gateway->service, "spec", "selector", NULL);
    size_t index = 0, count = 0;
    json_array_foreach(objects->workloads, index, workload)
    {
        if (strcmp(object_meta_text(workload, "namespace"), gateway->namespace) != 0 || !selects(selector, workload))
            continue;
        count++;
        gateway->workload = workload;
        add_name(list, workload);
    }
    if (count == 1)
        return ERR_OK;
    if (count == 0)
        return err_set(
            reterr, ERR_NOT_FOUND,
            "no Deployment or DaemonSet has the pod labels that Service %s/%s selects: nothing stands behind it",
            gateway->namespace, gateway->name);
    return err_set(reterr, ERR_INVALID, "Service %s/%s selects the pods of %zu workloads:%s; it must be one",
                   gateway->namespace, gateway->name, count, list);
}

static const json_t *variable(const json_t *container, const char *name)
{
    const json_t *entry = NULL;
    size_t index = 0;
    json_array_foreach(json_object_get(container, "env"), index, entry)
    {
        if (text_equal(edge_stack_text_at(entry, "name", NULL), name))
            return entry;
    }
    return NULL;
}

/* Its own one among sidecars: the one that is told its namespace, as every generation's is; else the first. */
static const json_t *find_container(const json_t *workload)
{
    const json_t *containers = edge_stack_at(workload, "spec", "template", "spec", "containers", NULL),
                 *container = NULL;
    size_t index = 0;
    json_array_foreach(containers, index, container)
    {
        if (variable(container, "AMBASSADOR_NAMESPACE") != NULL || variable(container, "AMBASSADOR_ID") != NULL)
            return container;
    }
    return json_array_get(containers, 0);
}

static enum err_code find_id(const struct edge_stack_settings *settings, struct edge_stack_gateway *gateway,
                             struct err *reterr)
{
    const json_t *entry = variable(gateway->container, "AMBASSADOR_ID");
    const char *text = edge_stack_text_at(entry, "value", NULL);
    if (entry != NULL && text == NULL && settings->ambassador_id == NULL)
        return err_set(reterr, ERR_INVALID,
                       "%s %s/%s takes AMBASSADOR_ID from elsewhere than its own text: say it with --ambassador-id",
                       edge_stack_text_at(gateway->workload, "kind", NULL), gateway->namespace,
                       object_meta_text(gateway->workload, "name"));
    gateway->ambassador_id = settings->ambassador_id != NULL ? settings->ambassador_id
                             : text != NULL && *text != '\0' ? text
                                                             : EDGE_STACK_DEFAULT_ID;
    return ERR_OK;
}

enum err_code edge_stack_find(const struct edge_stack_objects *objects, const struct edge_stack_settings *settings,
                              struct edge_stack_gateway *ret_gateway, struct err *reterr)
{
    struct edge_stack_gateway gateway = {0};
    TRY(find_service(objects, settings, &gateway, reterr));
    gateway.namespace = object_meta_text(gateway.service, "namespace");
    gateway.name = object_meta_text(gateway.service, "name");
    TRY(find_workload(objects, &gateway, reterr));
    gateway.container = find_container(gateway.workload);
    TRY(find_id(settings, &gateway, reterr));
    const char *account = edge_stack_text_at(gateway.workload, "spec", "template", "spec", "serviceAccountName", NULL);
    gateway.service_account = account != NULL ? account : "default";
    const char *single = edge_stack_text_at(variable(gateway.container, "AMBASSADOR_SINGLE_NAMESPACE"), "value", NULL);
    if (single != NULL && *single != '\0')
        gateway.only_namespace = gateway.namespace;
    *ret_gateway = gateway;
    return ERR_OK;
}

bool edge_stack_reads(const struct edge_stack_gateway *gateway, const json_t *object)
{
    const json_t *ids = edge_stack_at(object, "spec", EDGE_STACK_ID, NULL), *id = NULL;
    size_t index = 0;
    if (gateway == NULL)
        return true;
    if (gateway->only_namespace != NULL && strcmp(object_meta_text(object, "namespace"), gateway->only_namespace) != 0)
        return false;
    if (json_is_string(ids))
        return strcmp(json_string_value(ids), gateway->ambassador_id) == 0;
    json_array_foreach(ids, index, id)
    {
        if (text_equal(json_string_value(id), gateway->ambassador_id))
            return true;
    }
    return json_array_size(ids) == 0 && strcmp(gateway->ambassador_id, EDGE_STACK_DEFAULT_ID) == 0;
}

bool edge_stack_has_host(const struct edge_stack_objects *objects, const struct edge_stack_gateway *gateway)
{
    const json_t *host = NULL;
    size_t index = 0;
    json_array_foreach(objects->of_kind[EDGE_HOST], index, host)
    {
        if (edge_stack_reads(gateway, host))
            return true;
    }
    return false;
}

/* One without a hostname serves every name, too. */
static bool is_wildcard(const json_t *host)
{
    const char *name = edge_stack_text_at(host, "spec", "hostname", NULL);
    return name == NULL || strcmp(name, "*") == 0;
}

const json_t *edge_stack_deciding_host(const struct edge_stack_objects *objects,
                                       const struct edge_stack_gateway *gateway)
{
    const json_t *host = NULL, *last = NULL;
    size_t index = 0;
    json_array_foreach(objects->of_kind[EDGE_HOST], index, host)
    {
        if (edge_stack_reads(gateway, host) && is_wildcard(host) &&
            (last == NULL || strcmp(object_meta_text(host, "name"), object_meta_text(last, "name")) >= 0))
            last = host;
    }
    return last;
}

const char *edge_stack_insecure_action(const json_t *host)
{
    return edge_stack_text_at(host, "spec", "requestPolicy", "insecure", "action", NULL);
}

json_int_t edge_stack_target_port(const struct edge_stack_gateway *gateway, const json_t *port)
{
    const json_t *target = json_object_get(port, "targetPort"), *open = NULL;
    const char *name = json_string_value(target);
    size_t index = 0;
    if (json_is_integer(target))
        return json_integer_value(target);
    if (name == NULL)
        return json_integer_value(json_object_get(port, "port"));
    json_array_foreach(json_object_get(gateway->container, "ports"), index, open)
    {
        if (text_equal(edge_stack_text_at(open, "name", NULL), name))
            return json_integer_value(json_object_get(open, "containerPort"));
    }
    return 0;
}
