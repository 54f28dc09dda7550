#include "agent/kube/lease.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/codec.h"

static const char *text_of(const struct json_tree *object, const char *key)
{
    const char *text = json_tree_text(json_tree_get(object, key));
    return text != NULL ? text : "";
}

static uint32_t number_of(const struct json_tree *object, const char *key)
{
    int64_t number = json_tree_integer(json_tree_get(object, key));
    return number > 0 && number <= UINT32_MAX ? (uint32_t)number : 0;
}

static bool is_true(const struct json_tree *meta, const char *map, const char *key)
{
    return strcmp(text_of(json_tree_get(meta, map), key), "true") == 0;
}

void lease_decode(const struct json_tree *json, struct lease *ret_lease)
{
    const struct json_tree *meta = json_tree_get(json, "metadata"), *spec = json_tree_get(json, "spec");
    *ret_lease = (struct lease){.name = text_of(meta, "name"),
                                .is_replica = is_true(meta, "labels", LEASE_REPLICA_LABEL),
                                .is_ready = is_true(meta, "annotations", LEASE_READY_ANNOTATION),
                                .scope = text_of(json_tree_get(meta, "annotations"), LEASE_SCOPE_ANNOTATION),
                                .record = {.exists = true,
                                           .duration_s = number_of(spec, "leaseDurationSeconds"),
                                           .transitions = number_of(spec, "leaseTransitions")}};
    struct lease_record *record = &ret_lease->record;
    (void)snprintf(record->version, sizeof(record->version), "%s", text_of(meta, "resourceVersion"));
    (void)snprintf(record->holder, sizeof(record->holder), "%s", text_of(spec, "holderIdentity"));
    (void)snprintf(record->acquired, sizeof(record->acquired), "%s", text_of(spec, "acquireTime"));
    (void)snprintf(record->renewed, sizeof(record->renewed), "%s", text_of(spec, "renewTime"));
}

/* An empty holder is none: the API server refuses "". */
static void write_spec(struct strbuf *body, const struct lease_record *record)
{
    strbuf_append(body, "\"spec\":{\"holderIdentity\":");
    if (record->holder[0] != '\0')
        codec_write_string(body, record->holder);
    else
        strbuf_append(body, "null");
    strbuf_printf(body, ",\"leaseDurationSeconds\":%u,\"leaseTransitions\":%u,\"acquireTime\":", record->duration_s,
                  record->transitions);
    codec_write_string(body, record->acquired);
    strbuf_append(body, ",\"renewTime\":");
    codec_write_string(body, record->renewed);
    strbuf_append(body, "}}");
}

static void write_labels(struct strbuf *body, const struct lease *lease)
{
    strbuf_append(body, ",\"labels\":{\"app.kubernetes.io/name\":\"svcmirror\"");
    if (lease->is_replica)
        strbuf_append(body, ",\"" LEASE_REPLICA_LABEL "\":\"true\"");
    strbuf_append(body, "}");
}

static void write_annotations(struct strbuf *body, const struct lease *lease)
{
    if (!lease->is_replica)
        return;
    strbuf_printf(body, ",\"annotations\":{\"" LEASE_READY_ANNOTATION "\":\"%s\"", lease->is_ready ? "true" : "false");
    if (lease->scope[0] != '\0') {
        strbuf_append(body, ",\"" LEASE_SCOPE_ANNOTATION "\":");
        codec_write_string(body, lease->scope);
    }
    strbuf_append_char(body, '}');
}

void lease_write_create(struct strbuf *body, const char *namespace, const struct lease *lease)
{
    strbuf_append(body, "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":");
    codec_write_string(body, lease->name);
    strbuf_append(body, ",\"namespace\":");
    codec_write_string(body, namespace);
    write_labels(body, lease);
    write_annotations(body, lease);
    strbuf_append(body, "},");
    write_spec(body, &lease->record);
}

void lease_write_patch(struct strbuf *body, const struct lease *lease)
{
    strbuf_append(body, "{\"metadata\":{\"resourceVersion\":");
    codec_write_string(body, lease->record.version);
    if (lease->is_replica)
        write_labels(body, lease); /* the others find it by them */
    write_annotations(body, lease);
    strbuf_append(body, "},");
    write_spec(body, &lease->record);
}
