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
    output_text(object_meta_text(service, "name"), filter->told);
    strbuf_printf(filter->told, "\" %s%s%s\n", outcome, why != NULL ? ": " : "", why != NULL ? why : "");
}

/* @param[out] ret_changed  set when it is another now. */
static enum err_code mark_service(struct export_filter *filter, json_t *service, bool *ret_changed, struct err *reterr)
{
    json_t *patch = NULL;
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

/* Marks the object, or each item of a List. */
static enum err_code mark_object(struct export_filter *filter, json_t *object, bool *ret_changed, struct err *reterr)
{
    json_t *items = json_object_get(object, "items"), *item = NULL;
    size_t index = 0;
    if (!json_is_object(object) || kind_of(object)[0] == '\0')
        return err_set(reterr, ERR_INVALID, "it is no Kubernetes object: it has no kind");
    if (is_service(object))
        return mark_service(filter, object, ret_changed, reterr);
    if (strcmp(kind_of(object), "List") != 0 || !json_is_array(items))
        return count_skipped(filter, kind_of(object), reterr);
    json_array_foreach(items, index, item)
    {
        if (is_service(item))
            TRY(mark_service(filter, item, ret_changed, reterr));
        else
            TRY(count_skipped(filter, kind_of(item), reterr));
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
