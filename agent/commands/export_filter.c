#include "agent/commands/export_filter.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/output.h"
#include "agent/commands/resource.h"
#include "agent/kube/yaml.h"
#include "base/mem.h"

static const char *kind_of(const json_t *object)
{
    const char *kind = json_string_value(json_object_get(object, "kind"));
    return kind != NULL ? kind : "";
}

static bool is_service(const json_t *object)
{
    const char *version = json_string_value(json_object_get(object, "apiVersion"));
    return strcmp(kind_of(object), "Service") == 0 && version != NULL && strcmp(version, "v1") == 0;
}

static enum err_code count_skipped(struct export_filter *filter, const char *kind, struct err *reterr)
{
    json_int_t count = json_integer_value(json_object_get(filter->skipped, kind));
    if (filter->skipped == NULL || json_object_set_new(filter->skipped, kind, json_integer(count + 1)) != 0)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    return ERR_OK;
}

static void tell(const struct export_filter *filter, const json_t *service, const char *outcome, const char *why)
{
    strbuf_append(filter->told, "service \"");
    output_text(export_marks_name(service), filter->told);
    strbuf_printf(filter->told, "\" %s%s%s\n", outcome, why != NULL ? ": " : "", why != NULL ? why : "");
}

/* ---- what no API server would take: marks put there would take the place of what was meant ---- */

#define NO_TEXT "is no text: write it in quotes"

static bool is_absent(const json_t *value) { return value == NULL || json_is_null(value); }

static enum err_code check_name(const json_t *metadata, struct err *reterr)
{
    static const char *const fields[] = {"name", "generateName"};
    bool named = false;
    if (!is_absent(metadata) && !json_is_object(metadata))
        return err_set(reterr, ERR_INVALID, "metadata is no map: write name: NAME below it");
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++) {
        const json_t *field = json_object_get(metadata, fields[i]);
        if (!is_absent(field) && !json_is_string(field))
            return err_set(reterr, ERR_INVALID, "metadata.%s " NO_TEXT, fields[i]);
        named = named || json_string_length(field) > 0;
    }
    return named ? ERR_OK : err_set(reterr, ERR_INVALID, "it has no metadata.name: give it one");
}

/* A null is an empty text to API servers. */
static enum err_code check_texts(const json_t *metadata, const char *name, struct err *reterr)
{
    json_t *map = json_object_get(metadata, name), *value = NULL;
    const char *key = NULL;
    if (!is_absent(map) && !json_is_object(map))
        return err_set(reterr, ERR_INVALID, "metadata.%s is no map of texts: write KEY: \"VALUE\" below it", name);
    json_object_foreach(map, key, value)
    {
        if (!json_is_string(value) && !json_is_null(value))
            return err_set(reterr, ERR_INVALID, "metadata.%s: the value of %.120s " NO_TEXT, name, key);
    }
    return ERR_OK;
}

static enum err_code check_spec(const json_t *spec, struct err *reterr)
{
    const json_t *ports = json_object_get(spec, "ports"), *port = NULL;
    size_t index = 0;
    if (!is_absent(spec) && !json_is_object(spec))
        return err_set(reterr, ERR_INVALID, "spec is no map: write ports: and the like below it");
    if (!is_absent(ports) && !json_is_array(ports))
        return err_set(reterr, ERR_INVALID, "spec.ports is no list: write - port: NUMBER below it");
    json_array_foreach(ports, index, port)
    {
        if (!json_is_object(port))
            return err_set(reterr, ERR_INVALID, "spec.ports: port %zu is no map: write - port: NUMBER", index + 1);
    }
    return ERR_OK;
}

static enum err_code check_fields(const json_t *service, struct err *reterr)
{
    const json_t *metadata = json_object_get(service, "metadata");
    TRY(check_name(metadata, reterr));
    TRY(check_texts(metadata, "labels", reterr));
    TRY(check_texts(metadata, "annotations", reterr));
    return check_spec(json_object_get(service, "spec"), reterr);
}

static enum err_code check_service(const json_t *service, struct err *reterr)
{
    const char *name = export_marks_name(service);
    enum err_code code = check_fields(service, reterr);
    if (code != ERR_OK)
        (void)err_context(reterr, "Service%s%.120s", name[0] != '\0' ? " " : "", name);
    return code;
}

/* ---- marking ---- */

/* @param[out] ret_changed  set when it is another now. */
static enum err_code mark_service(struct export_filter *filter, json_t *service, bool *ret_changed, struct err *reterr)
{
    json_t *patch = NULL;
    TRY(check_service(service, reterr));
    const char *obstacle = filter->unexport ? NULL : export_marks_obstacle(service, filter->marks);
    if (obstacle != NULL) {
        tell(filter, service, "skipped", obstacle);
        return ERR_OK;
    }
    if (filter->unexport)
        TRY(export_marks_remove(service, filter->marks, &patch, reterr));
    else
        TRY(export_marks_add(service, filter->marks, filter->overwrite, &patch, reterr));
    enum err_code code = patch != NULL ? export_marks_merge(service, patch, reterr) : ERR_OK;
    if (code == ERR_OK) {
        tell(filter, service, patch == NULL ? "unchanged" : filter->unexport ? "unexported" : "exported", NULL);
        *ret_changed = *ret_changed || patch != NULL;
    }
    json_decref(patch);
    return code;
}

/* An object that is no List, or an item of one. */
static enum err_code mark_single(struct export_filter *filter, json_t *object, bool *ret_changed, struct err *reterr)
{
    if (kind_of(object)[0] == '\0')
        return err_set(reterr, ERR_INVALID, "it is no Kubernetes object: it has no kind");
    if (is_service(object))
        return mark_service(filter, object, ret_changed, reterr);
    return count_skipped(filter, kind_of(object), reterr);
}

/* Marks the object, or each item of a List. */
static enum err_code mark_object(struct export_filter *filter, json_t *object, bool *ret_changed, struct err *reterr)
{
    json_t *items = json_object_get(object, "items"), *item = NULL;
    size_t index = 0;
    if (strcmp(kind_of(object), "List") != 0 || is_absent(items))
        return mark_single(filter, object, ret_changed, reterr);
    if (!json_is_array(items))
        return err_set(reterr, ERR_INVALID, "List: items is no list: write its objects below it, each behind a dash");
    json_array_foreach(items, index, item)
    {
        enum err_code code = mark_single(filter, item, ret_changed, reterr);
        if (code != ERR_OK) {
            (void)err_context(reterr, "item %zu", index + 1);
            return code;
        }
    }
    return ERR_OK;
}

static void write_document(struct export_filter *filter, json_t *changed, const char *text, size_t bytes)
{
    if (filter->written++ > 0)
        strbuf_append(filter->output, "---\n");
    if (changed != NULL) {
        output_yaml(changed, filter->output);
        return;
    }
    strbuf_append_bytes(filter->output, text, bytes);
    if (bytes > 0 && text[bytes - 1] != '\n')
        strbuf_append_char(filter->output, '\n');
}

static enum err_code filter_document(struct export_filter *filter, const char *text, size_t bytes, struct err *reterr)
{
    json_t *object = NULL;
    bool changed = false;
    TRY(yaml_parse_manifest(text, bytes, &object, reterr));
    enum err_code code = object != NULL ? mark_object(filter, object, &changed, reterr) : ERR_OK;
    if (code == ERR_OK && object != NULL) /* comments alone are no document worth a separator */
        write_document(filter, changed ? object : NULL, text, bytes);
    json_decref(object);
    return code;
}

enum err_code export_filter_run(struct export_filter *filter, const char *source, const char *text, struct err *reterr)
{
    const char *at = text, *document = NULL;
    size_t bytes = 0;
    for (unsigned number = 1; yaml_next_document(&at, &document, &bytes); number++) {
        struct err error = {0};
        enum err_code code = filter_document(filter, document, bytes, &error);
        if (code != ERR_OK)
            return err_set(reterr, code, "%s: document %u: %s", source, number, error.text);
    }
    enum err_code code =
        strbuf_error(filter->output) != ERR_OK ? strbuf_error(filter->output) : strbuf_error(filter->told);
    return code == ERR_OK ? ERR_OK : err_set(reterr, code, "%s: it is too large, or memory ran out", source);
}
