/* Decoding of what declares links: Link resources and credentials Secrets. */
#include <stdlib.h>
#include <string.h>

#include "agent/kube/base64.h"
#include "agent/kube/codec.h"
#include "agent/kube/field.h"
#include "base/mem.h"
#include "mirror/names.h"

/* ---- selectors ---- */

static enum err_code get_operator(const struct decoder *decoder, const char *text, enum selector_operator *ret_op)
{
    static const char *const names[] = {[SELECTOR_IN] = "In",
                                        [SELECTOR_NOT_IN] = "NotIn",
                                        [SELECTOR_EXISTS] = "Exists",
                                        [SELECTOR_DOES_NOT_EXIST] = "DoesNotExist"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        *ret_op = (enum selector_operator)i;
        return ERR_OK;
    }
    return field_wrong(decoder, "operator", "In, NotIn, Exists or DoesNotExist");
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum err_code get_expression(const struct decoder *decoder, const struct json_tree *json,
                                    struct selector_requirement *requirement)
{
    const char *op = "";
    const char *const *values = NULL;
    uint32_t count = 0;
    TRY(field_text(decoder, json, "key", &requirement->key));
    TRY(field_text(decoder, json, "operator", &op));
    TRY(get_operator(decoder, op, &requirement->op));
    TRY(field_texts(decoder, json, "values", &values, &count));
    const char **sorted = arena_array(decoder->arena, count, sizeof(*sorted));
    if (sorted == NULL)
        return field_no_memory(decoder);
    for (uint32_t i = 0; i < count; i++)
        sorted[i] = values[i];
    qsort(sorted, count, sizeof(*sorted), compare_texts);
    requirement->values = sorted;
    requirement->value_count = count;
    return ERR_OK;
}

static enum err_code get_label(const struct decoder *decoder, const struct json_tree *label,
                               struct selector_requirement *requirement)
{
    const char **values = arena_array(decoder->arena, 1, sizeof(*values));
    if (values == NULL)
        return field_no_memory(decoder);
    if (label->type != JSON_TREE_STRING)
        return field_wrong(decoder, "matchLabels", "a map of strings");
    values[0] = label->text;
    *requirement =
        (struct selector_requirement){.key = label->key, .op = SELECTOR_IN, .values = values, .value_count = 1};
    return ERR_OK;
}

static enum err_code get_selector(const struct decoder *decoder, const struct json_tree *spec, const char *field,
                                  struct selector *ret_selector)
{
    const struct json_tree *json = NULL, *labels = NULL, *expressions = NULL;
    *ret_selector = (struct selector){0};
    TRY(field_object(decoder, spec, field, &json));
    TRY(field_object(decoder, json, "matchLabels", &labels));
    TRY(field_objects(decoder, json, "matchExpressions", &expressions));
    size_t count = (size_t)json_tree_count(labels) + json_tree_count(expressions), used = 0;
    struct selector_requirement *requirements = arena_array(decoder->arena, count, sizeof(*requirements));
    if (requirements == NULL)
        return field_no_memory(decoder);
    for (const struct json_tree *label = json_tree_first(labels); label != NULL; label = label->next)
        TRY(get_label(decoder, label, &requirements[used++]));
    for (const struct json_tree *item = json_tree_first(expressions); item != NULL; item = item->next)
        TRY(get_expression(decoder, item, &requirements[used++]));
    *ret_selector = (struct selector){requirements, (uint32_t)count};
    return ERR_OK;
}

/* A selector that cannot be read is told as a fault of the link, which is judged as a whole later. */
static void get_selector_or_fault(const struct decoder *decoder, const struct json_tree *spec, const char *field,
                                  struct selector *ret_selector, struct link_resource *link)
{
    struct err error = {0};
    struct decoder own = *decoder;
    own.reterr = &error;
    enum err_code code = get_selector(&own, spec, field, ret_selector);
    if (code != ERR_OK && code != ERR_NOMEM && link->selector_error == NULL)
        link->selector_error = arena_printf(decoder->arena, "%s: %s", field, error.text);
}

static enum err_code get_selectors(const struct decoder *decoder, const struct json_tree *spec,
                                   struct link_resource *link)
{
    get_selector_or_fault(decoder, spec, "selector", &link->selector, link);
    get_selector_or_fault(decoder, spec, "remoteDiscoverySelector", &link->remote_discovery_selector, link);
    get_selector_or_fault(decoder, spec, "federatedServiceSelector", &link->federated_service_selector, link);
    return arena_failed(decoder->arena) ? field_no_memory(decoder) : ERR_OK;
}

/* ---- Link ---- */

static enum err_code get_probe_spec(const struct decoder *decoder, const struct json_tree *spec,
                                    struct link_resource *link)
{
    const struct json_tree *probe = NULL;
    TRY(field_object(decoder, spec, "probeSpec", &probe));
    link->has_probe_spec = probe != NULL;
    TRY(field_optional(decoder, probe, "path", &link->probe_path));
    TRY(field_optional(decoder, probe, "port", &link->probe_port));
    TRY(field_optional(decoder, probe, "period", &link->probe_period));
    TRY(field_optional(decoder, probe, "failureThreshold", &link->probe_failure_threshold));
    return field_optional(decoder, probe, "timeout", &link->probe_timeout);
}

static enum err_code get_link_texts(const struct decoder *decoder, const struct json_tree *spec,
                                    struct link_resource *link)
{
    TRY(field_optional(decoder, spec, "targetClusterName", &link->target_cluster_name));
    TRY(field_optional(decoder, spec, "targetClusterDomain", &link->target_cluster_domain));
    TRY(field_optional(decoder, spec, "targetClusterLinkerdNamespace", &link->target_cluster_linkerd_namespace));
    TRY(field_optional(decoder, spec, "clusterCredentialsSecret", &link->cluster_credentials_secret));
    TRY(field_optional(decoder, spec, "gatewayAddress", &link->gateway_address));
    TRY(field_optional(decoder, spec, "gatewayPort", &link->gateway_port));
    return field_optional(decoder, spec, "gatewayIdentity", &link->gateway_identity);
}

enum err_code codec_read_link(struct arena *arena, const struct json_tree *json, struct link_resource *ret_link,
                              struct err *reterr)
{
    struct decoder decoder;
    struct object_meta meta;
    const struct json_tree *spec = NULL;
    TRY(field_begin(&decoder, arena, json, "Link", &meta, reterr));
    struct link_resource link = {
        .namespace = meta.namespace,
        .name = meta.name,
        .uid = meta.uid,
        .resource_version = meta.resource_version,
        .created_us = meta.created_us,
        .generation = json_tree_integer(json_tree_get(json_tree_get(json, "metadata"), "generation")),
        .drain = kv_get(&meta.annotations, LINK_DRAIN),
        .headless = kv_get(&meta.annotations, EXPORT_HEADLESS),
        .gateway = kv_get(&meta.annotations, LINK_GATEWAY),
        .endpoints = kv_get(&meta.annotations, EXPORT_ENDPOINTS),
        .service_exports = kv_get(&meta.annotations, LINK_SERVICE_EXPORTS),
        .allowed_labels = kv_get(&meta.annotations, LINK_ALLOWED_LABELS),
        .allowed_annotations = kv_get(&meta.annotations, LINK_ALLOWED_ANNOTATIONS),
        .naming = naming_of(&meta.annotations),
    };
    TRY(field_object(&decoder, json, "spec", &spec));
    TRY(get_link_texts(&decoder, spec, &link));
    TRY(get_probe_spec(&decoder, spec, &link));
    TRY(get_selectors(&decoder, spec, &link));
    TRY(field_texts(&decoder, spec, "excludedAnnotations", &link.excluded_annotations,
                    &link.excluded_annotation_count));
    TRY(field_texts(&decoder, spec, "excludedLabels", &link.excluded_labels, &link.excluded_label_count));
    *ret_link = link;
    return ERR_OK;
}

/* ---- Secret ---- */

/* Bytes that are no text: a NUL would end the text early for whoever copies it as one. Another control character in its place keeps the
 * length, and the YAML parser refuses it by its kind. */
static const char *without_nul(struct arena *arena, const char *data, size_t bytes)
{
    char *text = arena_alloc(arena, bytes + 1);
    for (size_t i = 0; text != NULL && i < bytes; i++)
        text[i] = data[i] != '\0' ? data[i] : '\1';
    return text;
}

static enum err_code get_kubeconfig(const struct decoder *decoder, const struct json_tree *data, const char **ret_text,
                                    size_t *ret_bytes)
{
    const char *encoded = NULL, *decoded = NULL;
    *ret_text = NULL;
    *ret_bytes = 0;
    TRY(field_optional(decoder, data, L5D_SECRET_KEY, &encoded));
    if (encoded == NULL)
        return ERR_OK;
    enum err_code code = base64_decode(decoder->arena, encoded, &decoded, ret_bytes, NULL);
    if (code == ERR_INVALID)
        return field_wrong(decoder, "data." L5D_SECRET_KEY, "base64");
    if (code == ERR_OK)
        *ret_text = without_nul(decoder->arena, decoded, *ret_bytes);
    return *ret_text != NULL ? ERR_OK : field_no_memory(decoder);
}

enum err_code codec_read_secret(struct arena *arena, const struct json_tree *json, struct link_secret *ret_secret,
                                const char **ret_type, const char **ret_kubeconfig, size_t *ret_kubeconfig_bytes,
                                struct err *reterr)
{
    struct decoder decoder;
    struct object_meta meta;
    const struct json_tree *data = NULL;
    TRY(field_begin(&decoder, arena, json, "Secret", &meta, reterr));
    TRY(field_text(&decoder, json, "type", ret_type));
    TRY(field_object(&decoder, json, "data", &data));
    TRY(get_kubeconfig(&decoder, data, ret_kubeconfig, ret_kubeconfig_bytes));
    *ret_secret = (struct link_secret){
        .namespace = meta.namespace,
        .name = meta.name,
        .uid = meta.uid,
        .resource_version = meta.resource_version,
        .created_us = meta.created_us,
        .cluster_name = kv_get(&meta.annotations, L5D_SECRET_CLUSTER_NAME),
        .cluster_domain = kv_get(&meta.annotations, L5D_SECRET_CLUSTER_DOMAIN),
        .linkerd_namespace = kv_get(&meta.annotations, L5D_SECRET_L5D_NS),
        .drain = kv_get(&meta.annotations, LINK_DRAIN),
        .renew_token = kv_get(&meta.annotations, SECRET_RENEW_TOKEN),
        .copy = kv_get(&meta.annotations, SECRET_COPY),
        .naming = naming_of(&meta.annotations),
    };
    return ERR_OK;
}
