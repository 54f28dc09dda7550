#include "agent/commands/export_marks.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

/* The marks that there are, and where each is kept. */
struct mark {
    const char *map, *key;
};
enum { MARK_EXPORTED, MARK_FEDERATED, MARK_GATEWAY_NAME, MARK_GATEWAY_NS, MARK_COUNT };
static const struct mark all_marks[MARK_COUNT] = {[MARK_EXPORTED] = {"labels", L5D_EXPORTED},
                                                  [MARK_FEDERATED] = {"labels", L5D_FEDERATED},
                                                  [MARK_GATEWAY_NAME] = {"annotations", L5D_GATEWAY_NAME},
                                                  [MARK_GATEWAY_NS] = {"annotations", L5D_GATEWAY_NS}};

/* ---- choosing ---- */

static enum err_code choose_mode(const char *mode, size_t length, struct export_marks *marks, struct err *reterr)
{
    const char *exported = NULL;
    if (length == strlen("federated") && strncmp(mode, "federated", length) == 0) {
        marks->federated = true;
        return ERR_OK;
    }
    if (length == strlen("gateway") && strncmp(mode, "gateway", length) == 0)
        exported = "true";
    else if (length == strlen("remote-discovery") && strncmp(mode, "remote-discovery", length) == 0)
        exported = "remote-discovery";
    else
        return err_set(reterr, ERR_INVALID, "--mode: \"%.*s\" is not one of gateway, remote-discovery and federated",
                       (int)length, mode);
    if (marks->exported != NULL && strcmp(marks->exported, exported) != 0)
        return err_set(reterr, ERR_INVALID,
                       "--mode: a service is mirrored through the gateway or by remote discovery, not both: choose "
                       "one (federated may stand beside it)");
    marks->exported = exported;
    return ERR_OK;
}

enum err_code export_marks_choose(const char *modes, const char *gateway, const char *gateway_namespace,
                                  struct export_marks *ret_marks, struct err *reterr)
{
    struct export_marks marks = {.annotated = gateway != NULL,
                                 .gateway_name = gateway,
                                 .gateway_namespace = gateway_namespace};
    size_t length = 0;
    const char *list = modes != NULL ? modes : "";
    for (const char *mode = text_next_word(&list, &length); mode != NULL; mode = text_next_word(&list, &length))
        TRY(choose_mode(mode, length, &marks, reterr));
    if (marks.annotated && text_equal(marks.exported, "remote-discovery"))
        return err_set(reterr, ERR_INVALID,
                       "--gateway-name leads through a gateway, and --mode remote-discovery past it: choose one");
    if (!marks.annotated && !marks.federated && marks.exported == NULL) {
        if (modes != NULL)
            return err_set(reterr, ERR_INVALID,
                           "--mode names none: it is one of gateway, remote-discovery and federated");
        marks.exported = "true";
    }
    *ret_marks = marks;
    return ERR_OK;
}

/* The value that a mark is to have; NULL: it is not among these. */
static const char *wanted(const struct export_marks *marks, unsigned mark)
{
    switch (mark) {
    case MARK_EXPORTED:
        return marks->exported;
    case MARK_FEDERATED:
        return marks->federated ? "member" : NULL;
    case MARK_GATEWAY_NAME:
        return marks->annotated ? marks->gateway_name : NULL;
    default:
        return marks->annotated ? marks->gateway_namespace : NULL;
    }
}

/* ---- patches ---- */

/* Steals `value`. Makes patch, metadata and map as they are needed. */
static enum err_code put(json_t **patch, const struct mark *mark, json_t *value, struct err *reterr)
{
    json_t *metadata = NULL, *map = NULL;
    if (*patch == NULL)
        *patch = json_pack("{s:{}}", "metadata");
    metadata = json_object_get(*patch, "metadata");
    map = json_object_get(metadata, mark->map);
    if (map == NULL && metadata != NULL && json_object_set_new(metadata, mark->map, json_object()) == 0)
        map = json_object_get(metadata, mark->map);
    if (map == NULL) {
        json_decref(value);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    return json_object_set_new(map, mark->key, value) == 0 ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
}

const char *export_marks_name(const json_t *service)
{
    const char *name = object_meta_text(service, "name");
    return name[0] != '\0' ? name : object_meta_text(service, "generateName");
}

static enum err_code add_mark(const json_t *service, const struct mark *mark, const char *value, bool overwrite,
                              json_t **patch, struct err *reterr)
{
    const char *old = object_meta_entry(service, mark->map, mark->key);
    if (value == NULL || text_equal(old, value))
        return ERR_OK;
    if (old != NULL && !overwrite)
        return err_set(reterr, ERR_CONFLICT,
                       "service/%s has %s=%s already: --overwrite makes it %s, and its mirrors follow",
                       export_marks_name(service), mark->key, old, value);
    return put(patch, mark, json_string(value), reterr);
}

enum err_code export_marks_add(const json_t *service, const struct export_marks *marks, bool overwrite,
                               json_t **ret_patch, struct err *reterr)
{
    json_t *patch = NULL;
    for (unsigned i = 0; i < MARK_COUNT; i++) {
        enum err_code code = add_mark(service, &all_marks[i], wanted(marks, i), overwrite, &patch, reterr);
        if (code == ERR_OK)
            continue;
        json_decref(patch);
        return code;
    }
    *ret_patch = patch;
    return ERR_OK;
}

enum err_code export_marks_remove(const json_t *service, const struct export_marks *marks, json_t **ret_patch,
                                  struct err *reterr)
{
    json_t *patch = NULL;
    for (unsigned i = 0; i < MARK_COUNT; i++) {
        const char *value = object_meta_entry(service, all_marks[i].map, all_marks[i].key);
        if (value == NULL || (marks != NULL && !text_equal(wanted(marks, i), value)))
            continue;
        if (put(&patch, &all_marks[i], json_null(), reterr) != ERR_OK) {
            json_decref(patch);
            return ERR_NOMEM;
        }
    }
    *ret_patch = patch;
    return ERR_OK;
}

/* @return borrowed: the map of that name, made where there is none. */
static json_t *need_map(json_t *parent, const char *name)
{
    json_t *map = json_object_get(parent, name);
    if (json_is_object(map))
        return map;
    return json_object_set_new(parent, name, json_object()) == 0 ? json_object_get(parent, name) : NULL;
}

static int merge_map(json_t *map, json_t *changes)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(changes, key, value)
    {
        if (json_is_null(value))
            (void)json_object_del(map, key);
        else if (json_object_set(map, key, value) != 0)
            return -1;
    }
    return 0;
}

enum err_code export_marks_merge(json_t *service, const json_t *patch, struct err *reterr)
{
    json_t *metadata = need_map(service, "metadata"), *changes = NULL;
    const char *name = NULL;
    json_object_foreach(json_object_get(patch, "metadata"), name, changes)
    {
        json_t *map = metadata != NULL ? need_map(metadata, name) : NULL;
        if (map == NULL || merge_map(map, changes) != 0)
            return err_set(reterr, ERR_NOMEM, "out of memory");
        if (json_object_size(map) == 0)
            (void)json_object_del(metadata, name);
    }
    return ERR_OK;
}

/* ---- what would not be mirrored (docs/bad-input.md) ---- */

bool export_marks_is_mirror(const json_t *service)
{
    return object_meta_entry(service, "labels", L5D_MIRRORED_SERVICE) != NULL;
}

bool export_marks_is_gateway(const json_t *service)
{
    return object_meta_entry(service, "annotations", L5D_GATEWAY_IDENTITY) != NULL ||
           object_meta_entry(service, "annotations", L5D_MULTICLUSTER_GATEWAY) != NULL;
}

static const char *spec_text(const json_t *service, const char *field)
{
    const char *text = json_string_value(json_object_get(json_object_get(service, "spec"), field));
    return text != NULL ? text : "";
}

const char *export_marks_obstacle(const json_t *service, const struct export_marks *marks)
{
    if (export_marks_is_mirror(service))
        return "it is itself the mirror of another cluster's service";
    if (strcmp(spec_text(service, "type"), "ExternalName") == 0)
        return "it is of type ExternalName: it has no endpoints that could be reached";
    if (json_array_size(json_object_get(json_object_get(service, "spec"), "ports")) == 0)
        return "it has no ports";
    if (marks->federated && strcmp(spec_text(service, "clusterIP"), "None") == 0)
        return "a headless service cannot join a federated service";
    return NULL;
}
