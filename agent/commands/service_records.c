#include "agent/commands/service_records.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/record.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

enum { KEY_BYTES = 512, NAME_BYTES = 64 };

struct endpoint_count {
    json_int_t all, ready;
    bool pods; /* the target's own endpoints, not its gateway's */
};

struct service_records {
    struct map *mirrors; /* "namespace/name" -> json_t, a record without its endpoints */
    struct map *counts;  /* likewise -> struct endpoint_count */
};

static void free_json(void *value) { json_decref(value); }

struct service_records *service_records_new(void)
{
    struct service_records *records = NEW(struct service_records);
    if (records == NULL)
        return NULL;
    *records = (struct service_records){.mirrors = map_new(free_json), .counts = map_new(mem_free)};
    if (records->mirrors != NULL && records->counts != NULL)
        return records;
    service_records_free(records);
    return NULL;
}

void service_records_free(struct service_records *records)
{
    if (records == NULL)
        return;
    map_free(records->mirrors);
    map_free(records->counts);
    mem_free(records);
}

/* ---- taking ---- */

static const char *label(const json_t *object, const char *key) { return object_meta_entry(object, "labels", key); }

static const char *mode_of(const json_t *service)
{
    const char *cluster_ip = record_text(json_object_get(service, "spec"), "clusterIP");
    if (object_meta_entry(service, "annotations", L5D_REMOTE_DISCOVERY) != NULL ||
        object_meta_entry(service, "annotations", L5D_LOCAL_DISCOVERY) != NULL)
        return "federated";
    if (label(service, L5D_REMOTE_DISCOVERY) != NULL)
        return "remote-discovery";
    if (label(service, L5D_HEADLESS_MIRROR) != NULL)
        return "hostname";
    return strcmp(cluster_ip, "None") == 0 ? "headless" : "gateway";
}

/* "web.demo.svc.cluster.local": the exported service, as its mirror names it. "" when it names none. */
static void read_origin(const json_t *service, char name[NAME_BYTES], char namespace[NAME_BYTES])
{
    const char *origin = object_meta_entry(service, "annotations", L5D_REMOTE_SVC_FQ_NAME);
    const char *dot = origin != NULL ? strchr(origin, '.') : NULL;
    name[0] = namespace[0] = '\0';
    if (dot == NULL)
        return;
    (void)snprintf(name, NAME_BYTES, "%.*s", (int)(dot - origin), origin);
    (void)snprintf(namespace, NAME_BYTES, "%.*s", (int)strcspn(dot + 1, "."), dot + 1);
}

static json_t *make_record(const json_t *service, const char *key)
{
    char name[NAME_BYTES], namespace[NAME_BYTES], gateway[KEY_BYTES] = "";
    const char *gateway_name = label(service, L5D_REMOTE_GATEWAY_NAME),
               *gateway_ns = label(service, L5D_REMOTE_GATEWAY_NS);
    read_origin(service, name, namespace);
    if (gateway_name != NULL && gateway_ns != NULL)
        (void)snprintf(gateway, sizeof(gateway), "%s/%s", gateway_ns, gateway_name);
    return json_pack("{s:s?, s:s?, s:s?, s:s, s:s, s:s?, s:b, s:n, s:n}", "clusterName",
                     label(service, L5D_CLUSTER_NAME), "namespace", namespace[0] != '\0' ? namespace : NULL, "name",
                     name[0] != '\0' ? name : NULL, "mirror", key, "mode", mode_of(service), "gateway",
                     gateway[0] != '\0' ? gateway : NULL, "mirrored", 1, "reason", "message");
}

enum err_code service_records_take_mirror(void *context, const json_t *service)
{
    struct service_records *records = context;
    char key[KEY_BYTES];
    if (label(service, L5D_MIRRORED_GATEWAY) != NULL)
        return ERR_OK;
    (void)snprintf(key, sizeof(key), "%s/%s", object_meta_text(service, "namespace"),
                   object_meta_text(service, "name"));
    json_t *record = make_record(service, key);
    if (record != NULL && map_put(records->mirrors, key, record) == ERR_OK)
        return ERR_OK;
    json_decref(record);
    return ERR_NOMEM;
}

/* Slices of the target's own endpoints are named apart. */
static bool is_of_pods(const json_t *slice, const char *service)
{
    const char *name = object_meta_text(slice, "name");
    return service != NULL && text_starts_with(name, service) &&
           text_starts_with(name + strlen(service), SLICE_INFIX_PODS);
}

enum err_code service_records_take_slice(void *context, const json_t *slice)
{
    struct service_records *records = context;
    const char *service = label(slice, K8S_SERVICE_NAME);
    const json_t *endpoints = json_object_get(slice, "endpoints"), *endpoint = NULL;
    char key[KEY_BYTES];
    size_t index = 0;
    (void)snprintf(key, sizeof(key), "%s/%s", object_meta_text(slice, "namespace"), service != NULL ? service : "");
    struct endpoint_count *count = map_get(records->counts, key);
    if (count == NULL) {
        count = NEW(struct endpoint_count);
        if (count == NULL || map_put(records->counts, key, count) != ERR_OK) {
            mem_free(count);
            return ERR_NOMEM;
        }
    }
    count->pods = count->pods || is_of_pods(slice, service);
    json_array_foreach(endpoints, index, endpoint)
    {
        count->all++; /* absent means ready (discovery.k8s.io/v1) */
        count->ready += record_is_false(json_object_get(endpoint, "conditions"), "ready") ? 0 : 1;
    }
    return ERR_OK;
}

/* ---- putting together ---- */

static bool set_pods_mode(json_t *record)
{
    bool discovery = strcmp(record_text(record, "mode"), "remote-discovery") == 0;
    return json_object_set_new(record, "mode", json_string(discovery ? "remote-discovery-pods" : "pods")) == 0;
}

static json_t *with_endpoints(json_t *record, const struct endpoint_count *count)
{
    static const struct endpoint_count none = {0};
    const struct endpoint_count *counted = count != NULL ? count : &none;
    json_t *whole = json_copy(record);
    if (whole != NULL && (!counted->pods || set_pods_mode(whole)) &&
        json_object_set_new(whole, "endpoints", json_integer(counted->all)) == 0 &&
        json_object_set_new(whole, "readyEndpoints", json_integer(counted->ready)) == 0 &&
        json_object_set_new(whole, "lastTransition", json_null()) == 0)
        return whole;
    json_decref(whole);
    return NULL;
}

json_t *service_records_json(const struct service_records *records)
{
    json_t *list = json_array();
    for (const struct map_entry *at = map_first(records->mirrors); at != NULL && list != NULL; at = map_next(at)) {
        json_t *record = with_endpoints(map_value(at), map_get(records->counts, map_key(at)));
        if (json_array_append_new(list, record) == 0)
            continue;
        json_decref(list);
        return NULL;
    }
    return list;
}

enum err_code service_records_read(struct cluster *cluster, const char *namespace, json_t **ret_services,
                                   struct err *reterr)
{
    struct service_records *records = service_records_new();
    (void)namespace;
    if (records == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    enum err_code code = cluster_each(cluster, &RESOURCE_SERVICE, NULL, L5D_MIRRORED_SERVICE "=true",
                                      service_records_take_mirror, records, reterr);
    if (code == ERR_OK)
        code = cluster_each(cluster, &RESOURCE_ENDPOINT_SLICE, NULL, K8S_MANAGED_BY "=" SLICE_MANAGED_BY,
                            service_records_take_slice, records, reterr);
    json_t *services = code == ERR_OK ? service_records_json(records) : NULL;
    service_records_free(records);
    if (code == ERR_OK && services == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    *ret_services = code == ERR_OK ? services : *ret_services;
    return code;
}
