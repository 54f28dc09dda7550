#include "agent/commands/apply.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/told.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/object.h"

/* ---- what changed ---- */

/* A copy without what a write changes although nobody asked for it; NULL when out of memory. */
static json_t *essence(json_t *object)
{
    static const char *const fields[] = {"managedFields", "resourceVersion", "generation"};
    json_t *copy = json_deep_copy(object), *metadata = json_object_get(copy, "metadata");
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        (void)json_object_del(metadata, fields[i]);
    return copy;
}

static enum err_code compare(json_t *before, json_t *after, enum apply_outcome *ret_outcome, struct err *reterr)
{
    json_t *was = essence(before), *is = essence(after);
    enum err_code code = was != NULL && is != NULL ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
    if (code == ERR_OK)
        *ret_outcome = json_equal(was, is) ? APPLY_UNCHANGED : APPLY_CONFIGURED;
    json_decref(was);
    json_decref(is);
    return code;
}

/* Whether a field of managedFields' `fieldsV1` (FieldsV1 of the API: "f:<name>" holds what lies in it, nothing if it is a value) is one that we apply.
 * An item of a list counts as one. */
static bool has_field_of(const json_t *fields, const json_t *applied)
{
    const char *key = NULL;
    const json_t *inner = NULL;
    json_object_foreach(mem_unconst(fields), key, inner)
    {
        bool is_named = text_starts_with(key, "f:");
        const json_t *value = is_named ? json_object_get(applied, key + 2) : NULL;
        if (strcmp(key, ".") == 0 || (is_named && value == NULL))
            continue;
        if (!is_named || json_object_size(inner) == 0 || has_field_of(inner, value))
            return true;
    }
    return false;
}

/* What the agent wrote is ours too, as a token that it renewed: a conflict with it alone is none. */
static bool is_of_agent_and_us(const json_t *before, const json_t *applied)
{
    const json_t *managers = json_object_get(json_object_get(before, "metadata"), "managedFields"), *manager = NULL;
    size_t index = 0;
    json_array_foreach(managers, index, manager)
    {
        const char *name = json_string_value(json_object_get(manager, "manager"));
        bool is_own = text_equal(name, CLUSTER_FIELD_MANAGER) || text_equal(name, OBJECT_FIELD_MANAGER);
        if (!is_own && has_field_of(json_object_get(manager, "fieldsV1"), applied))
            return false;
    }
    return true;
}

static enum err_code apply_over_agent(struct cluster *cluster, const json_t *object, const struct cluster_write *write,
                                      const json_t *before, json_t **ret_object, struct err *reterr)
{
    enum err_code code = cluster_apply(cluster, object, write, ret_object, reterr);
    if (code != ERR_CONFLICT || write->force || before == NULL || !is_of_agent_and_us(before, object))
        return code;
    struct cluster_write forced = *write;
    forced.force = true;
    return cluster_apply(cluster, object, &forced, ret_object, reterr);
}

enum err_code apply_object(struct cluster *cluster, const json_t *object, const struct cluster_write *write,
                           enum apply_outcome *ret_outcome, json_t **ret_object, struct err *reterr)
{
    struct resource resource;
    json_t *before = NULL, *after = NULL;
    TRY(resource_of(object, &resource, reterr));
    enum err_code code = cluster_get(cluster, &resource, object_meta_text(object, "namespace"),
                                     object_meta_text(object, "name"), &before, reterr);
    if (code != ERR_OK && code != ERR_NOT_FOUND)
        return code;
    *ret_outcome = APPLY_CREATED;
    code = apply_over_agent(cluster, object, write, before, &after, reterr);
    if (code == ERR_OK && before != NULL)
        code = compare(before, after, ret_outcome, reterr);
    json_decref(before);
    if (code == ERR_OK && ret_object != NULL)
        *ret_object = json_incref(after);
    json_decref(after);
    return code;
}

/* ---- many ---- */

static const char *outcome_word(enum apply_outcome outcome)
{
    static const char *const words[] = {"created", "configured", "unchanged"};
    return words[outcome];
}

static void tell(const struct cluster *cluster, const struct resource *resource, const char *namespace,
                 const char *name, const char *outcome, const struct cluster_write *write)
{
    const struct told what = {.cluster = cluster,
                              .resource = resource,
                              .namespace = namespace,
                              .name = name,
                              .outcome = outcome,
                              .run = write->dry_run ? TOLD_DRY_SERVER : TOLD_DONE};
    told(&what);
}

/* Whether the namespace of this object is one that the same dry run would create. */
static bool in_pretended_namespace(const json_t *objects, size_t before, const json_t *object)
{
    for (size_t i = 0; i < before; i++) {
        const json_t *other = json_array_get(objects, i);
        const char *kind = json_string_value(json_object_get(other, "kind"));
        if (kind != NULL && strcmp(kind, "Namespace") == 0 &&
            strcmp(object_meta_text(other, "name"), object_meta_text(object, "namespace")) == 0)
            return true;
    }
    return false;
}

enum err_code apply_objects(struct cluster *cluster, const json_t *objects, const struct cluster_write *write,
                            struct err *reterr)
{
    const json_t *object = NULL;
    size_t index = 0;
    json_array_foreach(objects, index, object)
    {
        struct resource resource;
        enum apply_outcome outcome = APPLY_CREATED;
        TRY(resource_of(object, &resource, reterr));
        enum err_code code = apply_object(cluster, object, write, &outcome, NULL, reterr);
        bool pretended = code == ERR_NOT_FOUND && write->dry_run && in_pretended_namespace(objects, index, object);
        if (code != ERR_OK && !pretended)
            return code;
        tell(cluster, &resource, object_meta_text(object, "namespace"), object_meta_text(object, "name"),
             outcome_word(outcome), write);
    }
    return ERR_OK;
}

enum err_code apply_find_owner(struct cluster *cluster, const struct resource *resource, const char *namespace,
                               const char *name, enum apply_owner *ret_owner, struct err *reterr)
{
    json_t *object = NULL;
    *ret_owner = APPLY_ABSENT;
    enum err_code code = cluster_get(cluster, resource, namespace, name, &object, reterr);
    if (code == ERR_NOT_FOUND)
        return ERR_OK;
    TRY(code);
    bool own = text_equal(object_meta_entry(object, "labels", "app.kubernetes.io/name"), "svcmirror");
    *ret_owner = own ? APPLY_OWN : APPLY_OTHERS;
    json_decref(object);
    return ERR_OK;
}

enum err_code apply_delete(struct cluster *cluster, const struct resource *resource, const char *namespace,
                           const char *name, const struct cluster_write *write, struct err *reterr)
{
    enum err_code code = cluster_delete(cluster, resource, namespace, name, write, reterr);
    if (code == ERR_NOT_FOUND)
        return ERR_OK;
    if (code == ERR_OK)
        tell(cluster, resource, namespace, name, "deleted", write);
    return code;
}
