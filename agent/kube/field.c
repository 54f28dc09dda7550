#include "agent/kube/field.h"

#include <string.h>

#include "base/mem.h"

enum err_code field_wrong(const struct decoder *decoder, const char *field, const char *wanted)
{
    bool namespaced = decoder->namespace[0] != '\0';
    return err_set(decoder->reterr, ERR_INVALID, "%s %s%s%s: field %s is not %s", decoder->kind, decoder->namespace,
                   namespaced ? "/" : "", decoder->name, field, wanted);
}

enum err_code field_no_memory(const struct decoder *decoder)
{
    return err_set(decoder->reterr, ERR_NOMEM, "out of memory");
}

/* @return NULL when absent or null. */
static const struct json_tree *find(const struct json_tree *object, const char *field)
{
    const struct json_tree *value = json_tree_get(object, field);
    return json_tree_is(value, JSON_TREE_NULL) ? NULL : value;
}

enum err_code field_optional(const struct decoder *decoder, const struct json_tree *object, const char *field,
                             const char **ret_text)
{
    const struct json_tree *value = find(object, field);
    *ret_text = json_tree_text(value);
    return value == NULL || *ret_text != NULL ? ERR_OK : field_wrong(decoder, field, "a string");
}

enum err_code field_text(const struct decoder *decoder, const struct json_tree *object, const char *field,
                         const char **ret_text)
{
    TRY(field_optional(decoder, object, field, ret_text));
    *ret_text = *ret_text != NULL ? *ret_text : "";
    return ERR_OK;
}

enum err_code field_object(const struct decoder *decoder, const struct json_tree *object, const char *field,
                           const struct json_tree **ret_child)
{
    *ret_child = find(object, field);
    return *ret_child == NULL || json_tree_is(*ret_child, JSON_TREE_OBJECT) ? ERR_OK
                                                                            : field_wrong(decoder, field, "an object");
}

enum err_code field_objects(const struct decoder *decoder, const struct json_tree *object, const char *field,
                            const struct json_tree **ret_list)
{
    *ret_list = find(object, field);
    if (*ret_list != NULL && !json_tree_is(*ret_list, JSON_TREE_ARRAY))
        return field_wrong(decoder, field, "a list");
    for (const struct json_tree *item = json_tree_first(*ret_list); item != NULL; item = item->next)
        if (item->type != JSON_TREE_OBJECT)
            return field_wrong(decoder, field, "a list of objects");
    return ERR_OK;
}

enum err_code field_texts(const struct decoder *decoder, const struct json_tree *object, const char *field,
                          const char *const **ret_texts, uint32_t *ret_count)
{
    const struct json_tree *list = find(object, field);
    if (list != NULL && !json_tree_is(list, JSON_TREE_ARRAY))
        return field_wrong(decoder, field, "a list");
    uint32_t count = json_tree_count(list), used = 0;
    const char **texts = arena_array(decoder->arena, count, sizeof(*texts));
    if (texts == NULL)
        return field_no_memory(decoder);
    for (const struct json_tree *item = json_tree_first(list); item != NULL; item = item->next) {
        texts[used] = json_tree_text(item);
        if (texts[used++] == NULL)
            return field_wrong(decoder, field, "a list of strings");
    }
    *ret_texts = texts;
    *ret_count = count;
    return ERR_OK;
}

enum err_code field_port(const struct decoder *decoder, const struct json_tree *object, const char *field,
                         uint16_t *ret_port)
{
    const struct json_tree *value = find(object, field);
    *ret_port = 0;
    if (value == NULL)
        return ERR_OK;
    if (value->type != JSON_TREE_INTEGER || value->integer < 0 || value->integer > 65535)
        return field_wrong(decoder, field, "a port number");
    *ret_port = (uint16_t)value->integer;
    return ERR_OK;
}

enum err_code field_bool(const struct decoder *decoder, const struct json_tree *object, const char *field,
                         bool otherwise, bool *ret_value)
{
    const struct json_tree *value = find(object, field);
    *ret_value = otherwise;
    if (value == NULL)
        return ERR_OK;
    if (value->type != JSON_TREE_TRUE && value->type != JSON_TREE_FALSE)
        return field_wrong(decoder, field, "true or false");
    *ret_value = value->type == JSON_TREE_TRUE;
    return ERR_OK;
}

enum err_code field_protocol(const struct decoder *decoder, const struct json_tree *object, enum protocol *ret_protocol)
{
    const char *text = "";
    TRY(field_text(decoder, object, "protocol", &text));
    if (text[0] == '\0' || strcmp(text, "TCP") == 0)
        *ret_protocol = PROTOCOL_TCP;
    else if (strcmp(text, "UDP") == 0)
        *ret_protocol = PROTOCOL_UDP;
    else if (strcmp(text, "SCTP") == 0)
        *ret_protocol = PROTOCOL_SCTP;
    else
        return field_wrong(decoder, "protocol", "TCP, UDP or SCTP");
    return ERR_OK;
}

/* ---- metadata ---- */

static enum err_code get_kv(const struct decoder *decoder, const struct json_tree *meta, const char *field,
                            struct kv_list *ret_list)
{
    const struct json_tree *object = NULL;
    TRY(field_object(decoder, meta, field, &object));
    struct kv_builder builder;
    kv_builder_init(&builder, decoder->arena);
    for (const struct json_tree *member = json_tree_first(object); member != NULL; member = member->next) {
        if (member->type != JSON_TREE_STRING)
            return field_wrong(decoder, field, "a map of strings");
        kv_builder_set(&builder, member->key, member->text);
    }
    *ret_list = kv_builder_finish(&builder);
    return arena_failed(decoder->arena) ? field_no_memory(decoder) : ERR_OK;
}

static bool is_made_by_us(const struct json_tree *meta)
{
    const struct json_tree *at = json_tree_first(json_tree_get(meta, "managedFields"));
    for (; at != NULL; at = at->next) {
        const char *manager = json_tree_text(json_tree_get(at, "manager"));
        if (manager != NULL && strcmp(manager, OBJECT_FIELD_MANAGER) == 0)
            return true;
    }
    return false;
}

static const char *owning_service(const struct json_tree *meta)
{
    const struct json_tree *owner = json_tree_first(json_tree_get(meta, "ownerReferences"));
    for (; owner != NULL; owner = owner->next) {
        const char *kind = json_tree_text(json_tree_get(owner, "kind"));
        const char *uid = json_tree_text(json_tree_get(owner, "uid"));
        if (kind != NULL && uid != NULL && strcmp(kind, "Service") == 0)
            return uid;
    }
    return "";
}

static enum err_code get_created(const struct decoder *decoder, const struct json_tree *meta, int64_t *ret_us)
{
    const char *text = "";
    TRY(field_text(decoder, meta, "creationTimestamp", &text));
    *ret_us = 0;
    if (text[0] != '\0' && text_parse_time_us(text, ret_us, NULL) != ERR_OK)
        return field_wrong(decoder, "creationTimestamp", "a time");
    return ERR_OK;
}

enum err_code field_begin(struct decoder *decoder, struct arena *arena, const struct json_tree *json, const char *kind,
                          struct object_meta *meta, struct err *reterr)
{
    *decoder = (struct decoder){arena, kind, "", "?", reterr};
    *meta = (struct object_meta){0};
    const struct json_tree *object = NULL;
    const char *deletion = "";
    if (!json_tree_is(json, JSON_TREE_OBJECT))
        return err_set(reterr, ERR_INVALID, "%s: not a JSON object", kind);
    TRY(field_object(decoder, json, "metadata", &object));
    TRY(field_text(decoder, object, "name", &meta->name));
    TRY(field_text(decoder, object, "namespace", &meta->namespace));
    if (meta->name[0] == '\0')
        return field_wrong(decoder, "metadata.name", "set");
    decoder->name = meta->name;
    decoder->namespace = meta->namespace;
    TRY(field_text(decoder, object, "uid", &meta->uid));
    TRY(field_text(decoder, object, "resourceVersion", &meta->resource_version));
    TRY(get_kv(decoder, object, "labels", &meta->labels));
    TRY(get_kv(decoder, object, "annotations", &meta->annotations));
    TRY(get_created(decoder, object, &meta->created_us));
    TRY(field_text(decoder, object, "deletionTimestamp", &deletion));
    meta->deleting = deletion[0] != '\0';
    meta->made_by_us = is_made_by_us(object);
    meta->owner_uid = owning_service(object);
    return ERR_OK;
}
