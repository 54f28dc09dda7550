/* Decoding of Kubernetes' own types. Links and their Secrets are codec_link.c, the other direction is codec_write.c. */
#include "agent/kube/codec.h"

#include <string.h>

#include "agent/kube/field.h"
#include "mirror/names.h"

enum err_code codec_read_meta(struct arena *arena, const struct json_tree *json, struct object_meta *ret_meta,
                              struct err *reterr)
{
    struct decoder decoder;
    const char *kind = json_tree_text(json_tree_get(json, "kind"));
    return field_begin(&decoder, arena, json, kind != NULL ? kind : "object", ret_meta, reterr);
}

/* ---- Service ---- */

/* IntOrString: the kind is kept, because "8080" as a string is the name of a port. */
static enum err_code get_target_port(const struct decoder *decoder, const struct json_tree *json,
                                     struct service_port *port)
{
    const struct json_tree *target = json_tree_get(json, "targetPort");
    port->target_port = "";
    port->target_port_is_name = json_tree_is(target, JSON_TREE_STRING);
    if (target == NULL || target->type == JSON_TREE_NULL)
        return ERR_OK;
    if (target->type == JSON_TREE_INTEGER)
        port->target_port = arena_printf(decoder->arena, "%lld", (long long)target->integer);
    else if (target->type == JSON_TREE_STRING)
        port->target_port = target->text;
    else
        return field_wrong(decoder, "targetPort", "a number or a name");
    return port->target_port != NULL ? ERR_OK : field_no_memory(decoder);
}

static enum err_code get_service_port(const struct decoder *decoder, const struct json_tree *json,
                                      struct service_port *port)
{
    TRY(field_text(decoder, json, "name", &port->name));
    TRY(field_text(decoder, json, "appProtocol", &port->app_protocol));
    TRY(field_protocol(decoder, json, &port->protocol));
    TRY(field_port(decoder, json, "port", &port->port));
    TRY(field_port(decoder, json, "nodePort", &port->node_port));
    return get_target_port(decoder, json, port);
}

static enum err_code get_service_ports(const struct decoder *decoder, const struct json_tree *spec,
                                       struct service *service)
{
    const struct json_tree *list = NULL;
    TRY(field_objects(decoder, spec, "ports", &list));
    uint32_t count = json_tree_count(list), used = 0;
    struct service_port *ports = arena_array(decoder->arena, count, sizeof(*ports));
    if (ports == NULL)
        return field_no_memory(decoder);
    for (const struct json_tree *item = json_tree_first(list); item != NULL; item = item->next)
        TRY(get_service_port(decoder, item, &ports[used++]));
    service->ports = ports;
    service->port_count = count;
    return ERR_OK;
}

static enum err_code get_ingress(const struct decoder *decoder, const struct json_tree *json, struct service *service)
{
    const struct json_tree *status = NULL, *balancer = NULL, *list = NULL;
    TRY(field_object(decoder, json, "status", &status));
    TRY(field_object(decoder, status, "loadBalancer", &balancer));
    TRY(field_objects(decoder, balancer, "ingress", &list));
    uint32_t count = json_tree_count(list), used = 0;
    struct ingress *entries = arena_array(decoder->arena, count, sizeof(*entries));
    if (entries == NULL)
        return field_no_memory(decoder);
    for (const struct json_tree *item = json_tree_first(list); item != NULL; item = item->next, used++) {
        TRY(field_text(decoder, item, "ip", &entries[used].ip));
        TRY(field_text(decoder, item, "hostname", &entries[used].hostname));
    }
    service->ingress = entries;
    service->ingress_count = count;
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

/* Without a configuration the API server puts three hours. */
static enum err_code get_affinity(const struct decoder *decoder, const struct json_tree *spec, uint32_t *ret_seconds)
{
    enum { DEFAULT_SECONDS = 10800, MAX_SECONDS = 86400 };
    const struct json_tree *config = NULL, *client_ip = NULL;
    const char *affinity = "";
    *ret_seconds = 0;
    TRY(field_text(decoder, spec, "sessionAffinity", &affinity));
    if (strcmp(affinity, "ClientIP") != 0)
        return ERR_OK;
    TRY(field_object(decoder, spec, "sessionAffinityConfig", &config));
    TRY(field_object(decoder, config, "clientIP", &client_ip));
    int64_t seconds = json_tree_integer(json_tree_get(client_ip, "timeoutSeconds"));
    *ret_seconds = seconds > 0 && seconds <= MAX_SECONDS ? (uint32_t)seconds : DEFAULT_SECONDS;
    return ERR_OK;
}

enum err_code codec_read_service(struct arena *arena, const struct json_tree *json, struct service *ret_service,
                                 struct err *reterr)
{
    struct decoder decoder;
    struct service service = {.clusters = ""};
    TRY(field_begin(&decoder, arena, json, "Service", &service.meta, reterr));
    const struct json_tree *spec = NULL, *selector = NULL;
    const char *type = "", *traffic_policy = "";
    TRY(field_object(&decoder, json, "spec", &spec));
    TRY(field_text(&decoder, spec, "type", &type));
    TRY(field_text(&decoder, spec, "clusterIP", &service.cluster_ip));
    TRY(field_object(&decoder, spec, "selector", &selector));
    TRY(get_affinity(&decoder, spec, &service.affinity_s));
    service.type = service_type_of(type);
    service.headless = strcmp(service.cluster_ip, "None") == 0;
    service.has_selector = json_tree_count(selector) > 0;
    TRY(field_text(&decoder, spec, "internalTrafficPolicy", &traffic_policy));
    service.is_node_local = strcmp(traffic_policy, "Local") == 0;
    TRY(field_bool(&decoder, spec, "publishNotReadyAddresses", false, &service.publishes_unready));
    TRY(get_service_ports(&decoder, spec, &service));
    TRY(get_ingress(&decoder, json, &service));
    TRY(field_texts(&decoder, spec, "externalIPs", &service.external_ips, &service.external_ip_count));
    *ret_service = service;
    return ERR_OK;
}

/* ---- ServiceImport ---- */

/* Of addresses and clusters it is only asked whether they are as wanted: they are one text. */
static enum err_code join_texts(const struct decoder *decoder, const char *const *texts, uint32_t count,
                                const char **ret_text)
{
    *ret_text = count > 0 ? texts[0] : "";
    for (uint32_t i = 1; *ret_text != NULL && i < count; i++)
        *ret_text = arena_printf(decoder->arena, "%s,%s", *ret_text, texts[i]);
    return *ret_text != NULL ? ERR_OK : field_no_memory(decoder);
}

static enum err_code get_clusters(const struct decoder *decoder, const struct json_tree *json,
                                  const char **ret_clusters)
{
    const struct json_tree *status = NULL, *list = NULL;
    TRY(field_object(decoder, json, "status", &status));
    TRY(field_objects(decoder, status, "clusters", &list));
    uint32_t count = json_tree_count(list), used = 0;
    const char **names = arena_array(decoder->arena, count, sizeof(*names));
    if (names == NULL)
        return field_no_memory(decoder);
    for (const struct json_tree *item = json_tree_first(list); item != NULL; item = item->next)
        TRY(field_text(decoder, item, "cluster", &names[used++]));
    return join_texts(decoder, names, count, ret_clusters);
}

enum err_code codec_read_import(struct arena *arena, const struct json_tree *json, struct service *ret_import,
                                struct err *reterr)
{
    struct decoder decoder;
    struct service import = {.is_import = true};
    const struct json_tree *spec = NULL;
    const char *type = "", *const *ips = NULL;
    uint32_t ip_count = 0;
    TRY(field_begin(&decoder, arena, json, "ServiceImport", &import.meta, reterr));
    TRY(field_object(&decoder, json, "spec", &spec));
    TRY(field_text(&decoder, spec, "type", &type));
    import.headless = strcmp(type, "Headless") == 0;
    TRY(field_texts(&decoder, spec, "ips", &ips, &ip_count));
    TRY(join_texts(&decoder, ips, ip_count, &import.cluster_ip));
    TRY(get_affinity(&decoder, spec, &import.affinity_s));
    TRY(get_service_ports(&decoder, spec, &import));
    TRY(get_clusters(&decoder, json, &import.clusters));
    *ret_import = import;
    return ERR_OK;
}

/* ---- EndpointSlice ---- */

static size_t count_members(const struct json_tree *object, const char *const *names, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++)
        found += json_tree_get(object, names[i]) != NULL;
    return found;
}

/* Whether there is anything but what we write: one address, conditions, a hostname, a zone. Anything else leads traffic elsewhere, or tells of a pod. */
static bool is_regular(const struct json_tree *endpoint)
{
    const struct json_tree *conditions = json_tree_get(endpoint, "conditions");
    size_t known = count_members(endpoint, (const char *const[]){"addresses", "conditions", "hostname", "zone"}, 4);
    size_t known_conditions = count_members(conditions, (const char *const[]){"ready", "serving", "terminating"}, 3);
    return json_tree_count(endpoint) == known && json_tree_count(json_tree_get(endpoint, "addresses")) == 1 &&
           json_tree_count(conditions) == known_conditions;
}

static enum err_code get_endpoint(const struct decoder *decoder, const struct json_tree *json,
                                  struct slice_endpoint *endpoint)
{
    const char *const *addresses = NULL;
    uint32_t address_count = 0;
    const struct json_tree *conditions = NULL;
    TRY(field_texts(decoder, json, "addresses", &addresses, &address_count));
    endpoint->address = address_count > 0 ? addresses[0] : "";
    TRY(field_text(decoder, json, "hostname", &endpoint->hostname));
    TRY(field_text(decoder, json, "zone", &endpoint->zone));
    TRY(field_object(decoder, json, "conditions", &conditions));
    /* discovery.k8s.io/v1: "a nil value should be interpreted as true"; for serving, "should be interpreted as ready". */
    TRY(field_bool(decoder, conditions, "ready", true, &endpoint->ready));
    TRY(field_bool(decoder, conditions, "serving", endpoint->ready, &endpoint->serving));
    return field_bool(decoder, conditions, "terminating", false, &endpoint->terminating);
}

static enum err_code get_endpoints(const struct decoder *decoder, const struct json_tree *json, struct slice *slice)
{
    const struct json_tree *list = NULL;
    TRY(field_objects(decoder, json, "endpoints", &list));
    uint32_t count = json_tree_count(list), used = 0;
    struct slice_endpoint *endpoints = arena_array(decoder->arena, count, sizeof(*endpoints));
    if (endpoints == NULL)
        return field_no_memory(decoder);
    for (const struct json_tree *item = json_tree_first(list); item != NULL; item = item->next) {
        TRY(get_endpoint(decoder, item, &endpoints[used++]));
        slice->irregular = slice->irregular || !is_regular(item);
    }
    slice->endpoints = endpoints;
    slice->endpoint_count = count;
    return ERR_OK;
}

static enum err_code get_slice_port(const struct decoder *decoder, const struct json_tree *json,
                                    struct slice_port *port)
{
    TRY(field_text(decoder, json, "name", &port->name));
    TRY(field_text(decoder, json, "appProtocol", &port->app_protocol));
    TRY(field_protocol(decoder, json, &port->protocol));
    return field_port(decoder, json, "port", &port->port);
}

static enum err_code get_slice_ports(const struct decoder *decoder, const struct json_tree *json, struct slice *slice)
{
    const struct json_tree *list = NULL;
    TRY(field_objects(decoder, json, "ports", &list));
    uint32_t count = json_tree_count(list), used = 0;
    struct slice_port *ports = arena_array(decoder->arena, count, sizeof(*ports));
    if (ports == NULL)
        return field_no_memory(decoder);
    for (const struct json_tree *item = json_tree_first(list); item != NULL; item = item->next)
        TRY(get_slice_port(decoder, item, &ports[used++]));
    slice->ports = ports;
    slice->port_count = count;
    return ERR_OK;
}

static enum err_code get_address_type(const struct decoder *decoder, const struct json_tree *json,
                                      enum address_type *ret_type)
{
    const char *text = "";
    TRY(field_text(decoder, json, "addressType", &text));
    for (enum address_type type = ADDRESS_IPV4; type <= ADDRESS_FQDN; type++) {
        if (strcmp(text, address_type_name(type)) != 0)
            continue;
        *ret_type = type;
        return ERR_OK;
    }
    return field_wrong(decoder, "addressType", "IPv4, IPv6 or FQDN");
}

static const char *label_or_empty(const struct object_meta *meta, const char *key)
{
    const char *value = kv_get(&meta->labels, key);
    return value != NULL ? value : "";
}

enum err_code codec_read_slice(struct arena *arena, const struct json_tree *json, struct slice *ret_slice,
                               struct err *reterr)
{
    struct decoder decoder;
    struct slice slice = {0};
    TRY(field_begin(&decoder, arena, json, "EndpointSlice", &slice.meta, reterr));
    TRY(get_address_type(&decoder, json, &slice.address_type));
    slice.service_name = label_or_empty(&slice.meta, K8S_SERVICE_NAME);
    slice.managed_by = label_or_empty(&slice.meta, K8S_MANAGED_BY);
    TRY(get_endpoints(&decoder, json, &slice));
    TRY(get_slice_ports(&decoder, json, &slice));
    *ret_slice = slice;
    return ERR_OK;
}

/* ---- Endpoints ---- */

static enum err_code get_addresses(const struct decoder *decoder, const struct json_tree *subset, uint16_t number,
                                   const char *field, struct slice_endpoint *endpoints, struct slice *slice)
{
    const struct json_tree *list = NULL;
    bool ready = strcmp(field, "addresses") == 0;
    TRY(field_objects(decoder, subset, field, &list));
    for (const struct json_tree *item = json_tree_first(list); item != NULL; item = item->next) {
        struct slice_endpoint *endpoint = &endpoints[slice->endpoint_count++];
        *endpoint = (struct slice_endpoint){.zone = "", .ready = ready, .serving = ready, .subset = number};
        uint32_t known = 1 + (json_tree_get(item, "hostname") != NULL);
        slice->irregular = slice->irregular || item->count != known;
        TRY(field_text(decoder, item, "ip", &endpoint->address));
        TRY(field_text(decoder, item, "hostname", &endpoint->hostname));
    }
    return ERR_OK;
}

static size_t count_addresses(const struct json_tree *subsets)
{
    size_t count = 0;
    for (const struct json_tree *subset = json_tree_first(subsets); subset != NULL; subset = subset->next)
        count += json_tree_count(json_tree_get(subset, "addresses")) +
                 json_tree_count(json_tree_get(subset, "notReadyAddresses"));
    return count;
}

static enum err_code get_subsets(const struct decoder *decoder, const struct json_tree *subsets,
                                 struct slice *endpoints)
{
    struct slice_endpoint *entries = arena_array(decoder->arena, count_addresses(subsets), sizeof(*entries));
    uint16_t number = 0;
    if (entries == NULL)
        return field_no_memory(decoder);
    for (const struct json_tree *subset = json_tree_first(subsets); subset != NULL; subset = subset->next, number++) {
        TRY(get_addresses(decoder, subset, number, "addresses", entries, endpoints));
        TRY(get_addresses(decoder, subset, number, "notReadyAddresses", entries, endpoints));
    }
    endpoints->endpoints = entries;
    return ERR_OK;
}

static enum err_code get_ports_of_subsets(const struct decoder *decoder, const struct json_tree *subsets,
                                          struct slice *endpoints)
{
    size_t most = 0;
    uint16_t number = 0;
    for (const struct json_tree *subset = json_tree_first(subsets); subset != NULL; subset = subset->next)
        most += json_tree_count(json_tree_get(subset, "ports"));
    struct slice_port *ports = arena_array(decoder->arena, most, sizeof(*ports));
    if (ports == NULL)
        return field_no_memory(decoder);
    for (const struct json_tree *subset = json_tree_first(subsets); subset != NULL; subset = subset->next, number++) {
        const struct json_tree *list = NULL;
        TRY(field_objects(decoder, subset, "ports", &list));
        for (const struct json_tree *item = json_tree_first(list); item != NULL; item = item->next) {
            struct slice_port *port = &ports[endpoints->port_count++];
            TRY(get_slice_port(decoder, item, port));
            port->subset = number;
        }
    }
    endpoints->ports = ports;
    return ERR_OK;
}

enum err_code codec_read_endpoints(struct arena *arena, const struct json_tree *json, struct slice *ret_endpoints,
                                   struct err *reterr)
{
    struct decoder decoder;
    struct slice endpoints = {.is_endpoints = true, .managed_by = "", .address_type = ADDRESS_IPV4};
    const struct json_tree *subsets = NULL;
    TRY(field_begin(&decoder, arena, json, "Endpoints", &endpoints.meta, reterr));
    TRY(field_objects(&decoder, json, "subsets", &subsets));
    endpoints.service_name = endpoints.meta.name;
    endpoints.irregular = json_tree_count(subsets) > 1;
    TRY(get_subsets(&decoder, subsets, &endpoints));
    TRY(get_ports_of_subsets(&decoder, subsets, &endpoints));
    *ret_endpoints = endpoints;
    return ERR_OK;
}

/* ---- Namespace ---- */

enum err_code codec_read_namespace(struct arena *arena, const struct json_tree *json,
                                   struct namespace_object *ret_namespace, struct err *reterr)
{
    struct decoder decoder;
    struct namespace_object namespace = {0};
    const struct json_tree *status = NULL;
    const char *phase = "";
    TRY(field_begin(&decoder, arena, json, "Namespace", &namespace.meta, reterr));
    TRY(field_object(&decoder, json, "status", &status));
    TRY(field_text(&decoder, status, "phase", &phase));
    namespace.terminating = namespace.meta.deleting || strcmp(phase, "Terminating") == 0;
    *ret_namespace = namespace;
    return ERR_OK;
}

/* ---- ServiceCIDR ---- */

enum err_code codec_read_service_cidr(struct arena *arena, const struct json_tree *json, struct service_cidr *ret_cidr,
                                      struct err *reterr)
{
    struct decoder decoder;
    struct service_cidr cidr = {0};
    const struct json_tree *spec = NULL;
    TRY(field_begin(&decoder, arena, json, "ServiceCIDR", &cidr.meta, reterr));
    TRY(field_object(&decoder, json, "spec", &spec));
    TRY(field_texts(&decoder, spec, "cidrs", &cidr.ranges, &cidr.range_count));
    *ret_cidr = cidr;
    return ERR_OK;
}
