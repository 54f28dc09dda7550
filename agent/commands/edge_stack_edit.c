#include "agent/commands/edge_stack_edit.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/text.h"

enum { NAME_BYTES = 320, PLACE_BYTES = 400 };

static void gateway_key(const struct edge_stack_gateway *gateway, char key[NAME_BYTES])
{
    (void)snprintf(key, NAME_BYTES, "%s/%s", gateway->namespace, gateway->name);
}

/* @param[out] ret_unreadable  there is one, but nobody can tell what it says. @return new reference, or NULL. */
static json_t *read_record(const json_t *object, bool *ret_unreadable)
{
    const char *text = object_meta_entry(object, "annotations", EDGE_STACK_RECORD);
    json_t *record = text != NULL ? json_loads(text, 0, NULL) : NULL;
    *ret_unreadable = text != NULL && record == NULL;
    return record;
}

static void say_unreadable(const json_t *object, enum edge_stack_severity severity, struct edge_stack_plan *plan)
{
    edge_stack_say(plan, severity,
                   "%s %s/%s: annotation " EDGE_STACK_RECORD
                   " cannot be read, so what was changed there before cannot be "
                   "taken back: mend or remove it",
                   edge_stack_text_at(object, "kind", NULL), object_meta_text(object, "namespace"),
                   object_meta_text(object, "name"));
}

/* ---- changing ---- */

void edit_begin(struct edit *edit, const json_t *object)
{
    bool unreadable = false;
    json_t *known = read_record(object, &unreadable);
    json_t *fields = json_object_get(known, "fields");
    *edit = (struct edit){.unreadable = unreadable,
                          .after = json_deep_copy(object),
                          .record = json_is_array(fields) ? json_incref(fields) : json_array()};
    edit->failed = edit->after == NULL || edit->record == NULL;
    json_decref(known);
}

static json_t *path_array(const char *const *path)
{
    json_t *array = json_array();
    for (size_t i = 0; path[i] != NULL; i++)
        if (json_array_append_new(array, json_string(path[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    return array;
}

static json_t *recorded(const struct edit *edit, const json_t *path)
{
    json_t *field = NULL;
    size_t index = 0;
    json_array_foreach(edit->record, index, field)
    {
        if (json_equal(json_object_get(field, "path"), path))
            return field;
    }
    return NULL;
}

/* @param made  how many of the maps around it were not there. @param was  borrowed; NULL: it was not there. */
static bool note(struct edit *edit, const char *const *path, json_int_t made, json_t *was, json_t *is)
{
    json_t *array = path_array(path), *field = array != NULL ? recorded(edit, array) : NULL;
    bool good = array != NULL;
    if (good && field != NULL) { /* of an earlier run: what was before that is what counts */
        good = json_object_set(field, "is", is) == 0;
    } else if (good) {
        field = json_pack("{s:O, s:I, s:O}", "path", array, "made", made, "is", is);
        if (field != NULL && was != NULL && json_object_set(field, "was", was) != 0) {
            json_decref(field);
            field = NULL;
        }
        good = json_array_append_new(edit->record, field) == 0;
    }
    json_decref(array);
    return good;
}

static bool set_at(struct edit *edit, const char *const *path, json_t *value)
{
    json_t *at = edit->after;
    json_int_t made = 0;
    size_t i = 0;
    for (; path[i + 1] != NULL; i++) {
        json_t *next = json_object_get(at, path[i]);
        if (!json_is_object(next)) {
            if (json_object_set_new(at, path[i], json_object()) != 0)
                return false;
            next = json_object_get(at, path[i]);
            made++;
        }
        at = next;
    }
    json_t *was = json_object_get(at, path[i]);
    if (was != NULL && json_equal(was, value))
        return true;
    return note(edit, path, made, was, value) && json_object_set(at, path[i], value) == 0;
}

void edit_set(struct edit *edit, const char *const *path, json_t *value)
{
    edit->failed = edit->failed || value == NULL || !set_at(edit, path, value);
    json_decref(value);
}

void edit_add_port(struct edit *edit, json_t *port)
{
    json_t *ports = edge_stack_at(edit->after, "spec", "ports", NULL);
    json_t *field = json_pack("{s:O}", "port", port);
    edit->failed = edit->failed || port == NULL || json_array_append(ports, port) != 0 ||
                   json_array_append(edit->record, field) != 0;
    json_decref(field);
    json_decref(port);
}

static bool set_record(json_t *object, json_t *record)
{
    char *text = record != NULL ? json_dumps(record, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    json_t *metadata = json_object_get(object, "metadata"), *annotations = json_object_get(metadata, "annotations");
    if (!json_is_object(annotations) && text != NULL) {
        (void)json_object_set_new(metadata, "annotations", json_object());
        annotations = json_object_get(metadata, "annotations");
    }
    bool good = text != NULL && json_object_set_new(annotations, EDGE_STACK_RECORD, json_string(text)) == 0;
    mem_free(text);
    return good;
}

void edit_finish(struct edit *edit, const struct edge_stack_gateway *gateway, const json_t *before,
                 struct edge_stack_plan *plan)
{
    char key[NAME_BYTES];
    gateway_key(gateway, key);
    if (edit->unreadable)
        say_unreadable(before, EDGE_OBSTACLE, plan);
    if (!edit->failed && json_array_size(edit->record) > 0) {
        json_t *record = json_pack("{s:s, s:O}", "gateway", key, "fields", edit->record);
        edit->failed = !set_record(edit->after, record);
        json_decref(record);
    }
    json_decref(edit->record);
    if (edit->failed) {
        plan->out_of_memory = true;
        json_decref(edit->after);
    } else {
        edge_stack_change(plan, before, edit->after);
    }
    *edit = (struct edit){0};
}

void edit_create(const struct edge_stack_gateway *gateway, json_t *object, struct edge_stack_plan *plan)
{
    char key[NAME_BYTES];
    gateway_key(gateway, key);
    json_t *record = json_pack("{s:s, s:O}", "gateway", key, "created", json_object_get(object, "spec"));
    if (record != NULL && set_record(object, record)) {
        edge_stack_change(plan, NULL, object);
    } else {
        plan->out_of_memory = true;
        json_decref(object);
    }
    json_decref(record);
}

/* ---- taking back ---- */

static void say_left(const json_t *object, const char *place, struct edge_stack_plan *plan)
{
    edge_stack_say(plan, EDGE_WARNING, "%s %s/%s: %s was changed by somebody else since, and stays as it is now",
                   edge_stack_text_at(object, "kind", NULL), object_meta_text(object, "namespace"),
                   object_meta_text(object, "name"), place);
}

static bool same_at(const json_t *a, const json_t *b, const char *key)
{
    const json_t *one = json_object_get(a, key), *other = json_object_get(b, key);
    return one == NULL || other == NULL ? one == other : json_equal(one, other);
}

/* The server adds to a port what it chooses by itself, such as a nodePort: that is no change of anybody's. */
static void take_back_port(json_t *object, const json_t *port, struct edge_stack_plan *plan)
{
    json_t *ports = edge_stack_at(object, "spec", "ports", NULL);
    const char *name = json_string_value(json_object_get(port, "name"));
    for (size_t i = 0; i < json_array_size(ports); i++) {
        const json_t *is = json_array_get(ports, i);
        if (!same_at(is, port, "name"))
            continue;
        if (same_at(is, port, "port") && same_at(is, port, "targetPort"))
            (void)json_array_remove(ports, i);
        else
            say_left(object, name != NULL ? name : "a port", plan);
        return;
    }
}

static void take_back_field(json_t *object, const json_t *field, struct edge_stack_plan *plan)
{
    json_t *path = json_object_get(field, "path"), *was = json_object_get(field, "was"), *around[EDIT_MAX_DEPTH] = {0};
    const char *keys[EDIT_MAX_DEPTH] = {0};
    size_t depth = json_array_size(path), place_length = 0;
    json_int_t made = json_integer_value(json_object_get(field, "made"));
    char place[PLACE_BYTES] = "";
    json_t *at = object;
    if (depth == 0 || depth > EDIT_MAX_DEPTH)
        return;
    for (size_t i = 0; i < depth; i++) {
        around[i] = at;
        keys[i] = json_string_value(json_array_get(path, i));
        if (keys[i] == NULL)
            return;
        at = json_object_get(at, keys[i]);
        place_length +=
            (size_t)snprintf(place + place_length, PLACE_BYTES - place_length, "%s%s", i > 0 ? "." : "", keys[i]);
        if (place_length >= PLACE_BYTES)
            return;
    }
    if (at == NULL || !json_equal(at, json_object_get(field, "is"))) {
        bool back = at == NULL || was == NULL ? at == was : json_equal(at, was); /* somebody did it already */
        if (!back)
            say_left(object, place, plan);
        return;
    }
    if (was != NULL) {
        if (json_object_set(around[depth - 1], keys[depth - 1], was) != 0)
            plan->out_of_memory = true;
        return;
    }
    (void)json_object_del(around[depth - 1], keys[depth - 1]);
    for (size_t i = depth - 1; made > 0 && i > 0 && json_object_size(around[i]) == 0; i--, made--)
        (void)json_object_del(around[i - 1], keys[i - 1]);
}

/* The spec without an ambassador_id that says no more than none: where another version is stored, as by Emissary 2 and 3, conversion adds it.
 * @return new; NULL when out of memory. */
static json_t *without_default_id(const json_t *spec)
{
    json_t *copy = spec != NULL ? json_copy(mem_unconst(spec)) : json_object(),
           *ids = json_object_get(copy, EDGE_STACK_ID);
    const char *id = json_string_value(json_is_array(ids) ? json_array_get(ids, 0) : ids);
    if (json_array_size(ids) <= 1 && text_equal(id, EDGE_STACK_DEFAULT_ID))
        (void)json_object_del(copy, EDGE_STACK_ID);
    return copy;
}

static void take_back_created(const json_t *object, const json_t *created, struct edge_stack_plan *plan)
{
    json_t *is = without_default_id(json_object_get(object, "spec")), *was = without_default_id(created);
    if (is == NULL || was == NULL)
        plan->out_of_memory = true;
    else if (json_equal(is, was))
        edge_stack_change(plan, object, NULL);
    else
        say_left(object, "what svcmirror created", plan);
    json_decref(is);
    json_decref(was);
}

static void take_back_fields(const json_t *object, const json_t *fields, struct edge_stack_plan *plan)
{
    json_t *after = json_deep_copy(object), *metadata = json_object_get(after, "metadata");
    json_t *annotations = json_object_get(metadata, "annotations");
    if (after == NULL) {
        plan->out_of_memory = true;
        return;
    }
    for (size_t i = json_array_size(fields); i-- > 0;) {
        const json_t *field = json_array_get(fields, i), *port = json_object_get(field, "port");
        if (port != NULL)
            take_back_port(after, port, plan);
        else
            take_back_field(after, field, plan);
    }
    (void)json_object_del(annotations, EDGE_STACK_RECORD);
    if (json_object_size(annotations) == 0) /* the server keeps no empty map there */
        (void)json_object_del(metadata, "annotations");
    edge_stack_change(plan, object, after);
}

void edit_take_back(const struct edge_stack_gateway *gateway, const json_t *object, struct edge_stack_plan *plan)
{
    char key[NAME_BYTES];
    bool unreadable = false;
    json_t *record = read_record(object, &unreadable);
    const char *whose = json_string_value(json_object_get(record, "gateway"));
    gateway_key(gateway, key);
    if (unreadable)
        say_unreadable(object, EDGE_WARNING, plan);
    if (whose != NULL && strcmp(whose, key) == 0) {
        const json_t *created = json_object_get(record, "created");
        if (created != NULL)
            take_back_created(object, created, plan);
        else
            take_back_fields(object, json_object_get(record, "fields"), plan);
    }
    json_decref(record);
}
