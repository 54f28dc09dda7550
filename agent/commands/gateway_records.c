#include "agent/commands/gateway_records.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "mirror/names.h"
#include "mirror/object.h"

enum { KEY_BYTES = 800 };

/* How many mirrors there are, by "cluster\x1fgateway namespace\x1fgateway name"; mirrors of Links name no gateway. */
struct count {
    int services;
};

struct gateway_records {
    const char *namespace;
    struct map *gateways; /* mirror Service's name -> json_t */
    struct map *slices;   /* Service's name -> json_t, array of addresses */
    struct map *mirrored; /* cluster -> json_t, array of the addresses that its mirrors lead to */
    struct map *counts;   /* -> struct count */
};

static void free_json(void *value) { json_decref(value); }

struct gateway_records *gateway_records_new(const char *namespace)
{
    struct gateway_records *records = NEW(struct gateway_records);
    if (records == NULL)
        return NULL;
    *records = (struct gateway_records){.namespace = namespace,
                                        .gateways = map_new(free_json),
                                        .slices = map_new(free_json),
                                        .mirrored = map_new(free_json),
                                        .counts = map_new(mem_free)};
    if (records->gateways != NULL && records->slices != NULL && records->mirrored != NULL && records->counts != NULL)
        return records;
    gateway_records_free(records);
    return NULL;
}

void gateway_records_free(struct gateway_records *records)
{
    if (records == NULL)
        return;
    map_free(records->gateways);
    map_free(records->slices);
    map_free(records->mirrored);
    map_free(records->counts);
    mem_free(records);
}

static const char *meta_entry(const json_t *object, const char *map, const char *key)
{
    const char *text = object_meta_entry(object, map, key);
    return text != NULL ? text : "";
}

/* ---- taking ---- */

static void format_key(char key[KEY_BYTES], const char *cluster, const char *namespace, const char *name)
{
    (void)snprintf(key, KEY_BYTES, "%s\x1f%s\x1f%s", cluster, namespace, name);
}

static enum err_code count_mirror(struct gateway_records *records, const json_t *service)
{
    char key[KEY_BYTES];
    format_key(key, meta_entry(service, "labels", L5D_CLUSTER_NAME),
               meta_entry(service, "labels", L5D_REMOTE_GATEWAY_NS),
               meta_entry(service, "labels", L5D_REMOTE_GATEWAY_NAME));
    struct count *count = map_get(records->counts, key);
    if (count == NULL) {
        count = NEW(struct count);
        if (count == NULL || map_put(records->counts, key, count) != ERR_OK) {
            mem_free(count);
            return ERR_NOMEM;
        }
    }
    count->services++;
    return ERR_OK;
}

static enum err_code put_json(struct map *map, const char *key, json_t *value)
{
    if (value != NULL && map_put(map, key, value) == ERR_OK)
        return ERR_OK;
    json_decref(value);
    return ERR_NOMEM;
}

static bool is_made_by_us(const json_t *object)
{
    const json_t *entries = json_object_get(json_object_get(object, "metadata"), "managedFields"), *entry = NULL;
    size_t index = 0;
    json_array_foreach(entries, index, entry)
    {
        const char *manager = json_string_value(json_object_get(entry, "manager"));
        if (manager != NULL && strcmp(manager, OBJECT_FIELD_MANAGER) == 0)
            return true;
    }
    return false;
}

enum err_code gateway_records_take_service(void *context, const json_t *service)
{
    struct gateway_records *records = context;
    if (strcmp(meta_entry(service, "labels", L5D_MIRRORED_GATEWAY), "true") != 0)
        return count_mirror(records, service);
    if (strcmp(object_meta_text(service, "namespace"), records->namespace) != 0)
        return ERR_OK; /* of another agent */
    const char *name = meta_entry(service, "annotations", L5D_MIRRORED_GATEWAY_REMOTE_NAME);
    bool of_a_chart = name[0] == '\0' && !is_made_by_us(service); /* mirror/: is_of_a_chart() */
    json_t *gateway = json_pack("{s:s, s:s, s:s, s:b}", "cluster", meta_entry(service, "labels", L5D_CLUSTER_NAME),
                                "namespace", meta_entry(service, "annotations", L5D_MIRRORED_GATEWAY_REMOTE_NAMESPACE),
                                "name", name, "ofAChart", of_a_chart ? 1 : 0);
    return put_json(records->gateways, object_meta_text(service, "name"), gateway);
}

static enum err_code take_endpoint(json_t *addresses, const json_t *endpoint)
{
    const json_t *ready = json_object_get(json_object_get(endpoint, "conditions"), "ready");
    const char *ip = json_string_value(json_array_get(json_object_get(endpoint, "addresses"), 0));
    if (ip == NULL)
        return ERR_OK;
    /* Absent means ready (discovery.k8s.io/v1). */
    json_t *address = json_pack("{s:s, s:s}", "ip", ip, "verdict", json_is_false(ready) ? "dead" : "alive");
    return address != NULL && json_array_append_new(addresses, address) == 0 ? ERR_OK : ERR_NOMEM;
}

enum err_code gateway_records_take_slice(void *context, const json_t *slice)
{
    struct gateway_records *records = context;
    const char *service = meta_entry(slice, "labels", K8S_SERVICE_NAME);
    const json_t *endpoints = json_object_get(slice, "endpoints"), *endpoint = NULL;
    json_t *addresses = map_get(records->slices, service);
    size_t index = 0;
    if (addresses == NULL) {
        addresses = json_array();
        TRY(put_json(records->slices, service, addresses));
    }
    json_array_foreach(endpoints, index, endpoint) TRY(take_endpoint(addresses, endpoint));
    return ERR_OK;
}

static bool is_of_a_chart(const json_t *gateway) { return json_is_true(json_object_get(gateway, "ofAChart")); }

bool gateway_records_need_mirrors(const struct gateway_records *records)
{
    for (const struct map_entry *at = map_first(records->gateways); at != NULL; at = map_next(at))
        if (is_of_a_chart(map_value(at)))
            return true;
    return false;
}

/* An address that one mirror has ready is alive: that another has not says that this one is drained, or its pods are not ready. */
static enum err_code merge_endpoint(json_t *addresses, const json_t *endpoint)
{
    json_t *address = NULL;
    size_t index = 0;
    const char *ip = json_string_value(json_array_get(json_object_get(endpoint, "addresses"), 0));
    if (ip == NULL ||
        json_object_get(endpoint, "hostname") != NULL) /* of a headless mirror: other mirrors' addresses */
        return ERR_OK;
    json_array_foreach(addresses, index, address)
    {
        if (strcmp(json_string_value(json_object_get(address, "ip")), ip) != 0)
            continue;
        bool ready = !json_is_false(json_object_get(json_object_get(endpoint, "conditions"), "ready"));
        return !ready || json_object_set_new(address, "verdict", json_string("alive")) == 0 ? ERR_OK : ERR_NOMEM;
    }
    return take_endpoint(addresses, endpoint);
}

enum err_code gateway_records_take_mirror_slice(void *context, const json_t *slice)
{
    struct gateway_records *records = context;
    const char *cluster = meta_entry(slice, "labels", L5D_CLUSTER_NAME);
    const json_t *endpoints = json_object_get(slice, "endpoints"), *endpoint = NULL;
    json_t *addresses = map_get(records->mirrored, cluster);
    size_t index = 0;
    if (meta_entry(slice, "labels", L5D_MIRRORED_GATEWAY)[0] != '\0')
        return ERR_OK;
    if (addresses == NULL) {
        addresses = json_array();
        TRY(put_json(records->mirrored, cluster, addresses));
    }
    json_array_foreach(endpoints, index, endpoint) TRY(merge_endpoint(addresses, endpoint));
    return ERR_OK;
}

/* ---- putting together ---- */

/* Mirrors that name the gateway, and those of Links, which name none. A gateway without a name has all of its cluster. */
static int count_services(const struct gateway_records *records, const char *cluster, const char *namespace,
                          const char *name)
{
    char key[KEY_BYTES], unnamed[KEY_BYTES], prefix[KEY_BYTES];
    int services = 0;
    format_key(key, cluster, namespace, name);
    format_key(unnamed, cluster, "", "");
    (void)snprintf(prefix, sizeof(prefix), "%s\x1f", cluster);
    for (const struct map_entry *at = map_seek(records->counts, prefix); at != NULL; at = map_next(at)) {
        const struct count *count = map_value(at);
        if (strncmp(map_key(at), prefix, strlen(prefix)) != 0)
            break;
        if (name[0] == '\0' || strcmp(map_key(at), key) == 0 || strcmp(map_key(at), unnamed) == 0)
            services += count->services;
    }
    return services;
}

/* One address that is ready makes the gateway alive; without any, nothing was ever found out. */
static const char *verdict_of(const json_t *addresses)
{
    const json_t *address = NULL;
    size_t index = 0;
    json_array_foreach(addresses, index, address) if (strcmp(json_string_value(json_object_get(address, "verdict")),
                                                             "alive") == 0) return "alive";
    return json_array_size(addresses) > 0 ? "dead" : "unknown";
}

/* What the agent alone knows is null, so that every key of docs/api.md is there. @param entry  steals; NULL stays NULL. */
static json_t *fill_up(json_t *entry)
{
    static const char *const keys[] = {"advice",    "problem",   "warning",       "linkKind",       "linkName",
                                       "exists",    "drained",   "port",          "identity",       "probed",
                                       "probePort", "probePath", "probePeriodMs", "probeTimeoutMs", "failureThreshold"};
    bool whole = entry != NULL;
    for (size_t i = 0; i < ARRAY_COUNT(keys) && whole; i++)
        whole = json_object_set_new(entry, keys[i], json_null()) == 0;
    if (whole)
        return entry;
    json_decref(entry);
    return NULL;
}

static json_t *make_entry(const struct gateway_records *records, const char *service, const json_t *gateway)
{
    const char *cluster = json_string_value(json_object_get(gateway, "cluster"));
    const char *namespace = json_string_value(json_object_get(gateway, "namespace"));
    const char *name = json_string_value(json_object_get(gateway, "name"));
    json_t *addresses =
        is_of_a_chart(gateway) ? map_get(records->mirrored, cluster) : map_get(records->slices, service);
    json_t *none = NULL;
    if (addresses == NULL)
        addresses = none = json_array();
    const char *verdict = verdict_of(addresses);
    json_t *entry = json_pack("{s:s, s:b, s:i, s:n, s:s, s:n, s:n, s:s?, s:s?, s:O}", "clusterName", cluster, "alive",
                              strcmp(verdict, "alive") == 0 ? 1 : 0, "numberOfServices",
                              count_services(records, cluster, namespace, name), "latency", "verdict", verdict,
                              "reason", "since", "gatewayNamespace", namespace[0] != '\0' ? namespace : NULL,
                              "gatewayName", name[0] != '\0' ? name : NULL, "addresses", addresses);
    json_decref(none);
    return fill_up(entry);
}

/* A gateway that has a mirror of its own, besides what Linkerd's charts made for it, is told once. */
static bool is_told_otherwise(const struct gateway_records *records, const json_t *gateway)
{
    const char *cluster = json_string_value(json_object_get(gateway, "cluster"));
    for (const struct map_entry *at = map_first(records->gateways); at != NULL && is_of_a_chart(gateway);
         at = map_next(at))
        if (!is_of_a_chart(map_value(at)) &&
            strcmp(json_string_value(json_object_get(map_value(at), "cluster")), cluster) == 0)
            return true;
    return false;
}

json_t *gateway_records_json(const struct gateway_records *records)
{
    json_t *gateways = json_array();
    for (const struct map_entry *at = map_first(records->gateways); at != NULL && gateways != NULL; at = map_next(at)) {
        if (is_told_otherwise(records, map_value(at)))
            continue;
        json_t *entry = make_entry(records, map_key(at), map_value(at));
        if (entry != NULL && json_array_append_new(gateways, entry) == 0)
            continue;
        json_decref(gateways);
        return NULL;
    }
    return gateways;
}

enum err_code gateway_records_read(struct cluster *cluster, const char *namespace, json_t **ret_gateways,
                                   struct err *reterr)
{
    json_t *gateways = NULL;
    struct gateway_records *records = gateway_records_new(namespace);
    if (records == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    enum err_code code = cluster_each(cluster, &RESOURCE_SERVICE, NULL, L5D_MIRRORED_SERVICE "=true",
                                      gateway_records_take_service, records, reterr);
    if (code == ERR_OK)
        code = cluster_each(cluster, &RESOURCE_ENDPOINT_SLICE, namespace, NULL, gateway_records_take_slice, records,
                            reterr);
    if (code == ERR_OK && gateway_records_need_mirrors(records))
        code = cluster_each(cluster, &RESOURCE_ENDPOINT_SLICE, NULL,
                            L5D_MIRRORED_SERVICE "=true," K8S_MANAGED_BY "=" SLICE_MANAGED_BY,
                            gateway_records_take_mirror_slice, records, reterr);
    if (code == ERR_OK)
        gateways = gateway_records_json(records);
    if (code == ERR_OK && gateways == NULL)
        code = err_set(reterr, ERR_NOMEM, "out of memory");
    gateway_records_free(records);
    if (code == ERR_OK)
        *ret_gateways = gateways;
    return code;
}
