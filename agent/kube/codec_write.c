/* Encoding, written straight as text: the objects are few-fielded and hot. Keys stand in a fixed order, so the same object gives the same bytes. */
#include <stdio.h>
#include <string.h>

#include "agent/kube/codec.h"
#include "base/mem.h"
#include "mirror/names.h"

static bool is_escaped(char c) { return (unsigned char)c < 0x20 || c == '"' || c == '\\'; }

void codec_write_string(struct strbuf *body, const char *text)
{
    strbuf_append_char(body, '"');
    for (const char *from = text, *at = text;; at++) {
        if (!is_escaped(*at))
            continue;
        strbuf_append_bytes(body, from, (size_t)(at - from));
        from = at + 1;
        if (*at == '\0')
            break;
        if ((unsigned char)*at < 0x20)
            strbuf_printf(body, "\\u%04x", (unsigned)*at);
        else
            strbuf_printf(body, "\\%c", *at);
    }
    strbuf_append_char(body, '"');
}

static void write_member(struct strbuf *body, const char *key, const char *value)
{
    strbuf_printf(body, "\"%s\":", key);
    codec_write_string(body, value);
}

static void write_kv(struct strbuf *body, const char *key, const struct kv_list *list)
{
    strbuf_printf(body, ",\"%s\":{", key);
    for (size_t i = 0; i < list->count; i++) {
        strbuf_append(body, i > 0 ? "," : "");
        codec_write_string(body, list->items[i].key);
        strbuf_append_char(body, ':');
        codec_write_string(body, list->items[i].value);
    }
    strbuf_append_char(body, '}');
}

static void write_meta(struct strbuf *body, const struct object_meta *meta)
{
    strbuf_append(body, "\"metadata\":{");
    write_member(body, "name", meta->name);
    if (meta->namespace[0] != '\0') {
        strbuf_append_char(body, ',');
        write_member(body, "namespace", meta->namespace);
    }
    if (meta->uid[0] != '\0') {
        strbuf_append_char(body, ',');
        write_member(body, "uid", meta->uid);
    }
    if (meta->resource_version[0] != '\0') {
        strbuf_append_char(body, ',');
        write_member(body, "resourceVersion", meta->resource_version);
    }
    if (meta->labels.count > 0)
        write_kv(body, "labels", &meta->labels);
    if (meta->annotations.count > 0)
        write_kv(body, "annotations", &meta->annotations);
}

static void write_service_port(struct strbuf *body, const struct service_port *port)
{
    strbuf_append_char(body, '{');
    if (port->name[0] != '\0') {
        write_member(body, "name", port->name);
        strbuf_append_char(body, ',');
    }
    strbuf_printf(body, "\"protocol\":\"%s\",\"port\":%u", protocol_name(port->protocol), port->port);
    if (port->target_port[0] != '\0' && port->target_port_is_name) {
        strbuf_append_char(body, ',');
        write_member(body, "targetPort", port->target_port);
    } else if (port->target_port[0] != '\0') {
        strbuf_printf(body, ",\"targetPort\":%s", port->target_port);
    }
    if (port->app_protocol[0] != '\0') {
        strbuf_append_char(body, ',');
        write_member(body, "appProtocol", port->app_protocol);
    }
    strbuf_append_char(body, '}');
}

static void write_service_ports(struct strbuf *body, const struct service *service)
{
    strbuf_append(body, "\"ports\":[");
    for (uint32_t i = 0; i < service->port_count; i++) {
        strbuf_append(body, i > 0 ? "," : "");
        write_service_port(body, &service->ports[i]);
    }
    strbuf_append_char(body, ']');
}

static void write_affinity(struct strbuf *body, uint32_t seconds)
{
    if (seconds == 0)
        strbuf_append(body, "\"sessionAffinity\":\"None\",\"sessionAffinityConfig\":null");
    else
        strbuf_printf(
            body, "\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":%u}}",
            seconds);
}

void codec_write_service(struct strbuf *body, const struct service *service)
{
    strbuf_append(body, "{\"apiVersion\":\"v1\",\"kind\":\"Service\",");
    write_meta(body, &service->meta);
    strbuf_append(body, "},\"spec\":{\"type\":\"ClusterIP\",");
    if (service->headless)
        strbuf_append(body, "\"clusterIP\":\"None\",");
    if (service->affinity_s > 0) {
        write_affinity(body, service->affinity_s);
        strbuf_append_char(body, ',');
    }
    write_service_ports(body, service);
    strbuf_append(body, "}}");
}

/* A patch replaces each of these whole, and tells what is to go by a null, which the schema of a whole object would refuse. */
static void write_import_spec(struct strbuf *body, const struct service *import, bool is_patch)
{
    strbuf_printf(body, "\"spec\":{\"type\":\"%s\",", import->headless ? "Headless" : "ClusterSetIP");
    if (import->cluster_ip[0] != '\0') {
        strbuf_append(body, "\"ips\":[");
        codec_write_string(body, import->cluster_ip);
        strbuf_append(body, "],");
    } else if (is_patch) {
        strbuf_append(body, "\"ips\":null,");
    }
    if (is_patch || import->affinity_s > 0)
        write_affinity(body, import->affinity_s);
    else
        strbuf_append(body, "\"sessionAffinity\":\"None\"");
    strbuf_append_char(body, ',');
    write_service_ports(body, import);
    strbuf_append_char(body, '}');
}

void codec_write_import(struct strbuf *body, const char *version, const struct service *import)
{
    strbuf_printf(body, "{\"apiVersion\":\"" MCS_GROUP "/%s\",\"kind\":\"ServiceImport\",", version);
    write_meta(body, &import->meta);
    strbuf_append(body, "},");
    write_import_spec(body, import, false);
    strbuf_append_char(body, '}');
}

/* RFC 7396: a null removes, what is not named stays. */
static void write_kv_patch(struct strbuf *body, const char *key, const struct kv_list *old,
                           const struct kv_list *wanted)
{
    bool first = true;
    if (kv_equal(old, wanted))
        return;
    strbuf_printf(body, ",\"%s\":{", key);
    for (size_t i = 0; i < wanted->count; i++) {
        if (kv_has(old, wanted->items[i].key, wanted->items[i].value))
            continue;
        strbuf_append(body, first ? "" : ",");
        codec_write_string(body, wanted->items[i].key);
        strbuf_append_char(body, ':');
        codec_write_string(body, wanted->items[i].value);
        first = false;
    }
    for (size_t i = 0; i < old->count; i++) {
        if (kv_get(wanted, old->items[i].key) != NULL)
            continue;
        strbuf_append(body, first ? "" : ",");
        codec_write_string(body, old->items[i].key);
        strbuf_append(body, ":null");
        first = false;
    }
    strbuf_append_char(body, '}');
}

/* What leads traffic past the mirror's slices is taken away; of the rest of the spec only the ports are ours. */
static void write_spec_patch(struct strbuf *body, const struct service *old, const struct service *wanted)
{
    bool first = true;
    const char *const parts[] = {
        old->type != SERVICE_CLUSTER_IP
            ? "\"type\":\"ClusterIP\",\"externalName\":null,\"loadBalancerSourceRanges\":null"
            : NULL,
        old->has_selector ? "\"selector\":null" : NULL,
        old->external_ip_count > 0 ? "\"externalIPs\":null" : NULL,
        old->is_node_local ? "\"internalTrafficPolicy\":\"Cluster\"" : NULL,
        old->publishes_unready ? "\"publishNotReadyAddresses\":null" : NULL,
    };
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        if (parts[i] != NULL) {
            strbuf_append(body, first ? ",\"spec\":{" : ",");
            strbuf_append(body, parts[i]);
            first = false;
        }
    if (old->affinity_s != wanted->affinity_s) {
        strbuf_append(body, first ? ",\"spec\":{" : ",");
        write_affinity(body, wanted->affinity_s);
        first = false;
    }
    if (!service_ports_equal(old, wanted)) {
        strbuf_append(body, first ? ",\"spec\":{" : ",");
        write_service_ports(body, wanted);
        first = false;
    }
    strbuf_append(body, first ? "" : "}");
}

static void begin_patch(struct strbuf *body, const struct object_meta *old)
{
    strbuf_append(body, "{\"metadata\":{");
    write_member(body, "uid", old->uid);
    strbuf_append_char(body, ',');
    write_member(body, "resourceVersion", old->resource_version);
}

void codec_write_service_patch(struct strbuf *body, const struct service *old, const struct service *wanted)
{
    begin_patch(body, &old->meta);
    write_kv_patch(body, "labels", &old->meta.labels, &wanted->meta.labels);
    write_kv_patch(body, "annotations", &old->meta.annotations, &wanted->meta.annotations);
    strbuf_append(body, "}");
    write_spec_patch(body, old, wanted);
    strbuf_append(body, "}");
}

void codec_write_import_patch(struct strbuf *body, const struct service *old, const struct service *wanted)
{
    begin_patch(body, &old->meta);
    write_kv_patch(body, "labels", &old->meta.labels, &wanted->meta.labels);
    write_kv_patch(body, "annotations", &old->meta.annotations, &wanted->meta.annotations);
    strbuf_append(body, "},");
    write_import_spec(body, wanted, true);
    strbuf_append_char(body, '}');
}

void codec_write_import_status(struct strbuf *body, const struct service *old, const struct service *wanted)
{
    begin_patch(body, &old->meta);
    strbuf_append(body, "},\"status\":{\"clusters\":[{");
    write_member(body, "cluster", wanted->clusters);
    strbuf_append(body, "}]}}");
}

static void write_endpoint(struct strbuf *body, const struct slice_endpoint *endpoint)
{
    strbuf_append(body, "{\"addresses\":[");
    codec_write_string(body, endpoint->address);
    strbuf_printf(body, "],\"conditions\":{\"ready\":%s", endpoint->ready ? "true" : "false");
    if (endpoint->serving != endpoint->ready) /* as it counts when absent */
        strbuf_printf(body, ",\"serving\":%s", endpoint->serving ? "true" : "false");
    strbuf_append(body, endpoint->terminating ? ",\"terminating\":true}" : "}");
    if (endpoint->hostname[0] != '\0') {
        strbuf_append_char(body, ',');
        write_member(body, "hostname", endpoint->hostname);
    }
    if (endpoint->zone[0] != '\0') {
        strbuf_append_char(body, ',');
        write_member(body, "zone", endpoint->zone);
    }
    strbuf_append_char(body, '}');
}

static void write_slice_port(struct strbuf *body, const struct slice_port *port)
{
    strbuf_append_char(body, '{');
    write_member(body, "name", port->name);
    strbuf_printf(body, ",\"protocol\":\"%s\"", protocol_name(port->protocol));
    if (port->port != 0) /* absent means all ports */
        strbuf_printf(body, ",\"port\":%u", port->port);
    if (port->app_protocol[0] != '\0') {
        strbuf_append_char(body, ',');
        write_member(body, "appProtocol", port->app_protocol);
    }
    strbuf_append_char(body, '}');
}

static void write_owner(struct strbuf *body, const struct object_meta *meta, const char *service_name)
{
    if (meta->owner_uid[0] == '\0')
        return;
    strbuf_append(body, ",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Service\",");
    write_member(body, "name", service_name);
    strbuf_append_char(body, ',');
    write_member(body, "uid", meta->owner_uid);
    strbuf_append(body, "}]");
}

void codec_write_slice(struct strbuf *body, const struct slice *slice)
{
    strbuf_append(body, "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",");
    write_meta(body, &slice->meta);
    write_owner(body, &slice->meta, slice->service_name);
    strbuf_printf(body, "},\"addressType\":\"%s\",\"endpoints\":[", address_type_name(slice->address_type));
    for (uint32_t i = 0; i < slice->endpoint_count; i++) {
        strbuf_append(body, i > 0 ? "," : "");
        write_endpoint(body, &slice->endpoints[i]);
    }
    strbuf_append(body, "],\"ports\":[");
    for (uint32_t i = 0; i < slice->port_count; i++) {
        strbuf_append(body, i > 0 ? "," : "");
        write_slice_port(body, &slice->ports[i]);
    }
    strbuf_append(body, "]}");
}

static void write_addresses(struct strbuf *body, const char *key, const struct slice *slice, bool ready)
{
    bool first = true;
    for (uint32_t i = 0; i < slice->endpoint_count; i++) {
        const struct slice_endpoint *endpoint = &slice->endpoints[i];
        if (endpoint->ready != ready)
            continue;
        if (first)
            strbuf_printf(body, "\"%s\":[{", key);
        else
            strbuf_append(body, ",{");
        write_member(body, "ip", endpoint->address);
        if (endpoint->hostname[0] != '\0') {
            strbuf_append_char(body, ',');
            write_member(body, "hostname", endpoint->hostname);
        }
        strbuf_append_char(body, '}');
        first = false;
    }
    strbuf_append(body, first ? "" : "],");
}

void codec_write_endpoints(struct strbuf *body, const struct slice *endpoints)
{
    strbuf_append(body, "{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",");
    write_meta(body, &endpoints->meta);
    write_owner(body, &endpoints->meta, endpoints->service_name);
    strbuf_append_char(body, '}');
    if (endpoints->endpoint_count > 0) { /* the API takes no subset without addresses */
        strbuf_append(body, ",\"subsets\":[{");
        write_addresses(body, "addresses", endpoints, true);
        write_addresses(body, "notReadyAddresses", endpoints, false);
        strbuf_append(body, "\"ports\":[");
        for (uint32_t i = 0; i < endpoints->port_count; i++) {
            strbuf_append(body, i > 0 ? "," : "");
            write_slice_port(body, &endpoints->ports[i]);
        }
        strbuf_append(body, "]}]");
    }
    strbuf_append_char(body, '}');
}

void codec_write_namespace(struct strbuf *body, const struct namespace_object *namespace)
{
    strbuf_append(body, "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",");
    write_meta(body, &namespace->meta);
    strbuf_append(body, "}}");
}

void codec_write_delete_options(struct strbuf *body, const char *uid, const char *resource_version)
{
    strbuf_append(
        body,
        "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"propagationPolicy\":\"Background\",\"preconditions\":{");
    if (uid[0] != '\0')
        write_member(body, "uid", uid);
    if (uid[0] != '\0' && resource_version[0] != '\0')
        strbuf_append_char(body, ',');
    if (resource_version[0] != '\0')
        write_member(body, "resourceVersion", resource_version);
    strbuf_append(body, "}}");
}
