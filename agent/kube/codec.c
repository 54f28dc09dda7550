/* Decoding; the other direction is codec_write.c. */
#include "agent/kube/codec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/base64.h"
#include "base/mem.h"
#include "mirror/names.h"

/* What is being decoded, for errors that name the object. */
struct decoder {
    struct arena *arena;
    const char *kind, *namespace, *name;
    struct err *reterr;
};

static enum err_code wrong(const struct decoder *decoder, const char *field, const char *wanted)
{
    return err_set(decoder->reterr, ERR_INVALID, "%s %s/%s: field %s is not %s", decoder->kind, decoder->namespace,
                   decoder->name, field, wanted);
}

static enum err_code no_memory(const struct decoder *decoder)
{
    return err_set(decoder->reterr, ERR_NOMEM, "out of memory");
}

/* An absent or null string is "". */
static enum err_code get_text(const struct decoder *decoder, const json_t *object, const char *field,
                              const char **ret_text)
{
    const json_t *value = json_object_get(object, field);
    *ret_text = "";
    if (value == NULL || json_is_null(value))
        return ERR_OK;
    if (!json_is_string(value))
        return wrong(decoder, field, "a string");
    *ret_text = json_string_value(value);
    return ERR_OK;
}

/* NULL when absent. */
static enum err_code get_optional(const struct decoder *decoder, const json_t *object, const char *field,
                                  const char **ret_text)
{
    TRY(get_text(decoder, object, field, ret_text));
    if (json_object_get(object, field) == NULL || json_is_null(json_object_get(object, field)))
        *ret_text = NULL;
    return ERR_OK;
}

static enum err_code get_child(const struct decoder *decoder, const json_t *object, const char *field, json_type type,
                               const json_t **ret_child)
{
    const json_t *child = json_object_get(object, field);
    *ret_child = NULL;
    if (child == NULL || json_is_null(child))
        return ERR_OK;
    if (json_typeof(child) != type)
        return wrong(decoder, field, type == JSON_ARRAY ? "a list" : "an object");
    *ret_child = child;
    return ERR_OK;
}

static enum err_code get_port(const struct decoder *decoder, const json_t *object, const char *field,
                              uint16_t *ret_port)
{
    const json_t *value = json_object_get(object, field);
    *ret_port = 0;
    if (value == NULL || json_is_null(value))
        return ERR_OK;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > 65535)
        return wrong(decoder, field, "a port number");
    *ret_port = (uint16_t)json_integer_value(value);
    return ERR_OK;
}

static enum err_code get_bool(const struct decoder *decoder, const json_t *object, const char *field, bool otherwise,
                              bool *ret_value)
{
    const json_t *value = json_object_get(object, field);
    *ret_value = otherwise;
    if (value == NULL || json_is_null(value))
        return ERR_OK;
    if (!json_is_boolean(value))
        return wrong(decoder, field, "true or false");
    *ret_value = json_is_true(value);
    return ERR_OK;
}

static enum err_code get_protocol(const struct decoder *decoder, const json_t *object, enum protocol *ret_protocol)
{
    const char *text = "";
    TRY(get_text(decoder, object, "protocol", &text));
    *ret_protocol = strcmp(text, "UDP") == 0 ? PROTOCOL_UDP : strcmp(text, "SCTP") == 0 ? PROTOCOL_SCTP : PROTOCOL_TCP;
    return ERR_OK;
}

/* ---- metadata ---- */

static enum err_code get_kv(const struct decoder *decoder, const json_t *meta, const char *field,
                            struct kv_list *ret_list)
{
    const json_t *object = NULL;
    TRY(get_child(decoder, meta, field, JSON_OBJECT, &object));
    struct kv_builder builder;
    kv_builder_init(&builder, decoder->arena);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)object, key, value)
    {
        if (!json_is_string(value))
            return wrong(decoder, field, "a map of strings");
        kv_builder_set(&builder, key, json_string_value(value));
    }
    *ret_list = kv_builder_finish(&builder);
    return ERR_OK;
}

static bool is_made_by_us(const json_t *meta)
{
    const json_t *managers = json_object_get(meta, "managedFields");
    for (size_t i = 0; i < json_array_size(managers); i++) {
        const char *manager = json_string_value(json_object_get(json_array_get(managers, i), "manager"));
        if (manager != NULL && strcmp(manager, OBJECT_FIELD_MANAGER) == 0)
            return true;
    }
    return false;
}

static const char *owning_service(const json_t *meta)
{
    const json_t *owners = json_object_get(meta, "ownerReferences");
    for (size_t i = 0; i < json_array_size(owners); i++) {
        const json_t *owner = json_array_get(owners, i);
        const char *kind = json_string_value(json_object_get(owner, "kind"));
        const char *uid = json_string_value(json_object_get(owner, "uid"));
        if (kind != NULL && uid != NULL && strcmp(kind, "Service") == 0)
            return uid;
    }
    return "";
}

static enum err_code get_created(const struct decoder *decoder, const json_t *meta, int64_t *ret_us)
{
    const char *text = "";
    TRY(get_text(decoder, meta, "creationTimestamp", &text));
    struct err ignored = {0};
    *ret_us = 0;
    if (text[0] != '\0' && text_parse_time_us(text, ret_us, &ignored) != ERR_OK)
        return wrong(decoder, "creationTimestamp", "a time");
    return ERR_OK;
}

static enum err_code begin(struct decoder *decoder, struct arena *arena, const json_t *json, const char *kind,
                           struct object_meta *meta, struct err *reterr)
{
    *decoder = (struct decoder){arena, kind, "", "?", reterr};
    const json_t *object = NULL;
    if (!json_is_object(json))
        return err_set(reterr, ERR_INVALID, "%s: not a JSON object", kind);
    TRY(get_child(decoder, json, "metadata", JSON_OBJECT, &object));
    *meta = (struct object_meta){0};
    TRY(get_text(decoder, object, "name", &meta->name));
    TRY(get_text(decoder, object, "namespace", &meta->namespace));
    if (meta->name[0] == '\0')
        return wrong(decoder, "metadata.name", "set");
    decoder->name = meta->name;
    decoder->namespace = meta->namespace;
    TRY(get_text(decoder, object, "uid", &meta->uid));
    TRY(get_text(decoder, object, "resourceVersion", &meta->resource_version));
    TRY(get_kv(decoder, object, "labels", &meta->labels));
    TRY(get_kv(decoder, object, "annotations", &meta->annotations));
    TRY(get_created(decoder, object, &meta->created_us));
    const char *deletion = "";
    TRY(get_text(decoder, object, "deletionTimestamp", &deletion));
    meta->deleting = deletion[0] != '\0';
    meta->made_by_us = is_made_by_us(object);
    meta->owner_uid = owning_service(object);
    return arena_failed(arena) ? no_memory(decoder) : ERR_OK;
}

enum err_code codec_meta(struct arena *arena, const json_t *json, struct object_meta *ret_meta, struct err *reterr)
{
    struct decoder decoder;
    return begin(&decoder, arena, json, "object", ret_meta, reterr);
}

/* ---- Service ---- */

static enum err_code get_target_port(const struct decoder *decoder, const json_t *json, struct service_port *port)
{
    const json_t *target = json_object_get(json, "targetPort");
    port->target_port = "";
    if (json_is_integer(target))
        port->target_port = arena_printf(decoder->arena, "%lld", (long long)json_integer_value(target));
    else if (json_is_string(target))
        port->target_port = json_string_value(target);
    port->target_port_is_name = json_is_string(target);
    return port->target_port != NULL ? ERR_OK : no_memory(decoder);
}

static enum err_code get_service_port(const struct decoder *decoder, const json_t *json, struct service_port *port)
{
    TRY(get_text(decoder, json, "name", &port->name));
    TRY(get_text(decoder, json, "appProtocol", &port->app_protocol));
    TRY(get_protocol(decoder, json, &port->protocol));
    TRY(get_port(decoder, json, "port", &port->port));
    TRY(get_port(decoder, json, "nodePort", &port->node_port));
    return get_target_port(decoder, json, port);
}

static enum err_code get_service_ports(const struct decoder *decoder, const json_t *spec, struct service *service)
{
    const json_t *list = NULL;
    TRY(get_child(decoder, spec, "ports", JSON_ARRAY, &list));
    size_t count = json_array_size(list);
    struct service_port *ports = arena_array(decoder->arena, count, sizeof(*ports));
    if (ports == NULL)
        return no_memory(decoder);
    for (size_t i = 0; i < count; i++)
        TRY(get_service_port(decoder, json_array_get(list, i), &ports[i]));
    service->ports = ports;
    service->port_count = (uint32_t)count;
    return ERR_OK;
}

static enum err_code get_ingress(const struct decoder *decoder, const json_t *json, struct service *service)
{
    const json_t *status = NULL, *balancer = NULL, *list = NULL;
    TRY(get_child(decoder, json, "status", JSON_OBJECT, &status));
    TRY(get_child(decoder, status, "loadBalancer", JSON_OBJECT, &balancer));
    TRY(get_child(decoder, balancer, "ingress", JSON_ARRAY, &list));
    size_t count = json_array_size(list);
    struct ingress *entries = arena_array(decoder->arena, count, sizeof(*entries));
    if (entries == NULL)
        return no_memory(decoder);
    for (size_t i = 0; i < count; i++) {
        TRY(get_text(decoder, json_array_get(list, i), "ip", &entries[i].ip));
        TRY(get_text(decoder, json_array_get(list, i), "hostname", &entries[i].hostname));
    }
    service->ingress = entries;
    service->ingress_count = (uint32_t)count;
    return ERR_OK;
}

static enum err_code get_texts(const struct decoder *decoder, const json_t *object, const char *field,
                               const char *const **ret_texts, uint32_t *ret_count)
{
    const json_t *list = NULL;
    TRY(get_child(decoder, object, field, JSON_ARRAY, &list));
    size_t count = json_array_size(list);
    const char **texts = arena_array(decoder->arena, count, sizeof(*texts));
    if (texts == NULL)
        return no_memory(decoder);
    for (size_t i = 0; i < count; i++) {
        texts[i] = json_string_value(json_array_get(list, i));
        if (texts[i] == NULL)
            return wrong(decoder, field, "a list of strings");
    }
    *ret_texts = texts;
    *ret_count = (uint32_t)count;
    return ERR_OK;
}

static enum service_type service_type_of(const char *text)
{
    if (strcmp(text, "NodePort") == 0)
        return SERVICE_NODE_PORT;
    if (strcmp(text, "LoadBalancer") == 0)
        return SERVICE_LOAD_BALANCER;
    return strcmp(text, "ExternalName") == 0 ? SERVICE_EXTERNAL_NAME : SERVICE_CLUSTER_IP;
}

enum err_code codec_service(struct arena *arena, const json_t *json, struct service *ret_service, struct err *reterr)
{
    struct decoder decoder;
    struct service service = {0};
    TRY(begin(&decoder, arena, json, "Service", &service.meta, reterr));
    const json_t *spec = NULL, *selector = NULL;
    const char *type = "";
    TRY(get_child(&decoder, json, "spec", JSON_OBJECT, &spec));
    TRY(get_text(&decoder, spec, "type", &type));
    TRY(get_text(&decoder, spec, "clusterIP", &service.cluster_ip));
    TRY(get_child(&decoder, spec, "selector", JSON_OBJECT, &selector));
    service.type = service_type_of(type);
    service.headless = strcmp(service.cluster_ip, "None") == 0;
    service.has_selector = json_object_size(selector) > 0;
    TRY(get_service_ports(&decoder, spec, &service));
    TRY(get_ingress(&decoder, json, &service));
    TRY(get_texts(&decoder, spec, "externalIPs", &service.external_ips, &service.external_ip_count));
    *ret_service = service;
    return ERR_OK;
}

/* ---- EndpointSlice ---- */

static enum err_code get_endpoint(const struct decoder *decoder, const json_t *json, struct slice_endpoint *endpoint)
{
    const json_t *addresses = NULL, *conditions = NULL;
    TRY(get_child(decoder, json, "addresses", JSON_ARRAY, &addresses));
    TRY(get_child(decoder, json, "conditions", JSON_OBJECT, &conditions));
    const char *address = json_string_value(json_array_get(addresses, 0));
    endpoint->address = address != NULL ? address : "";
    TRY(get_text(decoder, json, "hostname", &endpoint->hostname));
    /* discovery.k8s.io/v1: "a nil value should be interpreted as true" */
    TRY(get_bool(decoder, conditions, "ready", true, &endpoint->ready));
    TRY(get_bool(decoder, conditions, "serving", endpoint->ready, &endpoint->serving));
    return get_bool(decoder, conditions, "terminating", false, &endpoint->terminating);
}

static enum err_code get_endpoints(const struct decoder *decoder, const json_t *json, struct slice *slice)
{
    const json_t *list = NULL;
    TRY(get_child(decoder, json, "endpoints", JSON_ARRAY, &list));
    size_t count = json_array_size(list);
    struct slice_endpoint *endpoints = arena_array(decoder->arena, count, sizeof(*endpoints));
    if (endpoints == NULL)
        return no_memory(decoder);
    for (size_t i = 0; i < count; i++)
        TRY(get_endpoint(decoder, json_array_get(list, i), &endpoints[i]));
    slice->endpoints = endpoints;
    slice->endpoint_count = (uint32_t)count;
    return ERR_OK;
}

static enum err_code get_slice_ports(const struct decoder *decoder, const json_t *json, struct slice *slice)
{
    const json_t *list = NULL;
    TRY(get_child(decoder, json, "ports", JSON_ARRAY, &list));
    size_t count = json_array_size(list);
    struct slice_port *ports = arena_array(decoder->arena, count, sizeof(*ports));
    if (ports == NULL)
        return no_memory(decoder);
    for (size_t i = 0; i < count; i++) {
        const json_t *port = json_array_get(list, i);
        TRY(get_text(decoder, port, "name", &ports[i].name));
        TRY(get_text(decoder, port, "appProtocol", &ports[i].app_protocol));
        TRY(get_protocol(decoder, port, &ports[i].protocol));
        TRY(get_port(decoder, port, "port", &ports[i].port));
    }
    slice->ports = ports;
    slice->port_count = (uint32_t)count;
    return ERR_OK;
}

enum err_code codec_slice(struct arena *arena, const json_t *json, struct slice *ret_slice, struct err *reterr)
{
    struct decoder decoder;
    struct slice slice = {0};
    const char *type = "";
    TRY(begin(&decoder, arena, json, "EndpointSlice", &slice.meta, reterr));
    TRY(get_text(&decoder, json, "addressType", &type));
    slice.address_type = strcmp(type, "IPv6") == 0   ? ADDRESS_IPV6
                         : strcmp(type, "FQDN") == 0 ? ADDRESS_FQDN
                                                     : ADDRESS_IPV4;
    const char *service_name = kv_get(&slice.meta.labels, K8S_SERVICE_NAME);
    const char *managed_by = kv_get(&slice.meta.labels, K8S_MANAGED_BY);
    slice.service_name = service_name != NULL ? service_name : "";
    slice.managed_by = managed_by != NULL ? managed_by : "";
    TRY(get_endpoints(&decoder, json, &slice));
    TRY(get_slice_ports(&decoder, json, &slice));
    *ret_slice = slice;
    return ERR_OK;
}

/* ---- Namespace ---- */

enum err_code codec_namespace(struct arena *arena, const json_t *json, struct namespace_object *ret_namespace,
                              struct err *reterr)
{
    struct decoder decoder;
    struct namespace_object namespace = {0};
    const json_t *status = NULL;
    const char *phase = "";
    TRY(begin(&decoder, arena, json, "Namespace", &namespace.meta, reterr));
    TRY(get_child(&decoder, json, "status", JSON_OBJECT, &status));
    TRY(get_text(&decoder, status, "phase", &phase));
    namespace.terminating = namespace.meta.deleting || strcmp(phase, "Terminating") == 0;
    *ret_namespace = namespace;
    return ERR_OK;
}

/* ---- Link ---- */

static enum err_code get_operator(const struct decoder *decoder, const char *text, enum selector_operator *ret_op)
{
    static const char *const names[] = {[SELECTOR_IN] = "In",
                                        [SELECTOR_NOT_IN] = "NotIn",
                                        [SELECTOR_EXISTS] = "Exists",
                                        [SELECTOR_DOES_NOT_EXIST] = "DoesNotExist"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (strcmp(text, names[i]) == 0) {
            *ret_op = (enum selector_operator)i;
            return ERR_OK;
        }
    return wrong(decoder, "operator", "In, NotIn, Exists or DoesNotExist");
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err_code get_expression(const struct decoder *decoder, const json_t *json,
                                    struct selector_requirement *requirement)
{
    const char *op = "";
    TRY(get_text(decoder, json, "key", &requirement->key));
    TRY(get_text(decoder, json, "operator", &op));
    TRY(get_operator(decoder, op, &requirement->op));
    TRY(get_texts(decoder, json, "values", &requirement->values, &requirement->value_count));
    if (requirement->value_count > 1)
        qsort((void *)(uintptr_t)requirement->values, requirement->value_count, sizeof(*requirement->values),
              compare_texts);
    return ERR_OK;
}

static enum err_code get_label(const struct decoder *decoder, const char *key, const json_t *value,
                               struct selector_requirement *requirement)
{
    const char **values = arena_array(decoder->arena, 1, sizeof(*values));
    if (values == NULL)
        return no_memory(decoder);
    if (!json_is_string(value))
        return wrong(decoder, "matchLabels", "a map of strings");
    values[0] = json_string_value(value);
    *requirement = (struct selector_requirement){.key = key, .op = SELECTOR_IN, .values = values, .value_count = 1};
    return ERR_OK;
}

static enum err_code get_selector(const struct decoder *decoder, const json_t *spec, const char *field,
                                  struct selector *ret_selector)
{
    const json_t *json = NULL, *labels = NULL, *expressions = NULL;
    *ret_selector = (struct selector){0};
    TRY(get_child(decoder, spec, field, JSON_OBJECT, &json));
    TRY(get_child(decoder, json, "matchLabels", JSON_OBJECT, &labels));
    TRY(get_child(decoder, json, "matchExpressions", JSON_ARRAY, &expressions));
    size_t count = json_object_size(labels) + json_array_size(expressions), used = 0;
    struct selector_requirement *requirements = arena_array(decoder->arena, count, sizeof(*requirements));
    if (requirements == NULL)
        return no_memory(decoder);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)(uintptr_t)labels, key, value)
        TRY(get_label(decoder, key, value, &requirements[used++]));
    for (size_t i = 0; i < json_array_size(expressions); i++)
        TRY(get_expression(decoder, json_array_get(expressions, i), &requirements[used++]));
    *ret_selector = (struct selector){requirements, (uint32_t)count};
    return ERR_OK;
}

static enum err_code get_probe_spec(const struct decoder *decoder, const json_t *spec, struct link_resource *link)
{
    const json_t *probe = NULL;
    TRY(get_child(decoder, spec, "probeSpec", JSON_OBJECT, &probe));
    link->has_probe_spec = probe != NULL;
    TRY(get_optional(decoder, probe, "path", &link->probe_path));
    TRY(get_optional(decoder, probe, "port", &link->probe_port));
    TRY(get_optional(decoder, probe, "period", &link->probe_period));
    TRY(get_optional(decoder, probe, "failureThreshold", &link->probe_failure_threshold));
    return get_optional(decoder, probe, "timeout", &link->probe_timeout);
}

static enum err_code get_link_texts(const struct decoder *decoder, const json_t *spec, struct link_resource *link)
{
    TRY(get_optional(decoder, spec, "targetClusterName", &link->target_cluster_name));
    TRY(get_optional(decoder, spec, "targetClusterDomain", &link->target_cluster_domain));
    TRY(get_optional(decoder, spec, "targetClusterLinkerdNamespace", &link->target_cluster_linkerd_namespace));
    TRY(get_optional(decoder, spec, "clusterCredentialsSecret", &link->cluster_credentials_secret));
    TRY(get_optional(decoder, spec, "gatewayAddress", &link->gateway_address));
    TRY(get_optional(decoder, spec, "gatewayPort", &link->gateway_port));
    return get_optional(decoder, spec, "gatewayIdentity", &link->gateway_identity);
}

enum err_code codec_link(struct arena *arena, const json_t *json, struct link_resource *ret_link, struct err *reterr)
{
    struct decoder decoder;
    struct object_meta meta;
    struct link_resource link = {0};
    const json_t *spec = NULL;
    TRY(begin(&decoder, arena, json, "Link", &meta, reterr));
    link.namespace = meta.namespace;
    link.name = meta.name;
    link.uid = meta.uid;
    link.resource_version = meta.resource_version;
    link.created_us = meta.created_us;
    link.deleting = meta.deleting;
    link.generation = json_integer_value(json_object_get(json_object_get(json, "metadata"), "generation"));
    TRY(get_child(&decoder, json, "spec", JSON_OBJECT, &spec));
    TRY(get_link_texts(&decoder, spec, &link));
    TRY(get_probe_spec(&decoder, spec, &link));
    struct err selector_error = {0};
    decoder.reterr = &selector_error;
    enum err_code code = get_selector(&decoder, spec, "selector", &link.selector);
    if (code == ERR_NOMEM)
        return err_set(reterr, code, "out of memory");
    if (code != ERR_OK)
        link.selector_error = arena_strdup(arena, selector_error.text);
    /* Not used yet, and so not judged. */
    (void)!get_selector(&decoder, spec, "remoteDiscoverySelector", &link.remote_discovery_selector);
    (void)!get_selector(&decoder, spec, "federatedServiceSelector", &link.federated_service_selector);
    decoder.reterr = reterr;
    TRY(get_texts(&decoder, spec, "excludedAnnotations", &link.excluded_annotations, &link.excluded_annotation_count));
    TRY(get_texts(&decoder, spec, "excludedLabels", &link.excluded_labels, &link.excluded_label_count));
    if (arena_failed(arena))
        return no_memory(&decoder);
    *ret_link = link;
    return ERR_OK;
}

/* ---- Secret ---- */

enum err_code codec_secret(struct arena *arena, const json_t *json, struct link_secret *ret_secret,
                           const char **ret_type, const char **ret_kubeconfig, size_t *ret_kubeconfig_bytes,
                           struct err *reterr)
{
    struct decoder decoder;
    struct object_meta meta;
    const json_t *data = NULL;
    const char *encoded = NULL;
    TRY(begin(&decoder, arena, json, "Secret", &meta, reterr));
    TRY(get_text(&decoder, json, "type", ret_type));
    TRY(get_child(&decoder, json, "data", JSON_OBJECT, &data));
    TRY(get_optional(&decoder, data, L5D_SECRET_KEY, &encoded));
    *ret_kubeconfig = NULL;
    *ret_kubeconfig_bytes = 0;
    if (encoded != NULL)
        TRY(base64_decode(arena, encoded, ret_kubeconfig, ret_kubeconfig_bytes, reterr));
    *ret_secret = (struct link_secret){
        .namespace = meta.namespace,
        .name = meta.name,
        .uid = meta.uid,
        .resource_version = meta.resource_version,
        .created_us = meta.created_us,
        .cluster_name = kv_get(&meta.annotations, L5D_SECRET_CLUSTER_NAME),
        .cluster_domain = kv_get(&meta.annotations, L5D_SECRET_CLUSTER_DOMAIN),
        .linkerd_namespace = kv_get(&meta.annotations, L5D_SECRET_L5D_NS),
    };
    return ERR_OK;
}
