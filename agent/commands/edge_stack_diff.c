/* Changes as lines for people: below each object the places that it gets (+) and loses (-). */
#include <stdio.h>
#include <string.h>

#include "agent/commands/edge_stack.h"
#include "agent/commands/output.h"
#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/strbuf.h"
#include "base/text.h"

enum { PLACE_BYTES = 512 };

static void write_line(char sign, const char *place, const json_t *value, struct strbuf *text)
{
    char *shown = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (shown == NULL) {
        text->error = ERR_NOMEM;
        return;
    }
    strbuf_printf(text, "  %c ", sign);
    output_text(place, text);
    strbuf_append(text, ": ");
    output_text(shown, text);
    strbuf_append_char(text, '\n');
    mem_free(shown);
}

static const json_t *member(const json_t *list, const json_t *like)
{
    const char *name = json_string_value(json_object_get(like, "name"));
    const json_t *item = NULL;
    size_t index = 0;
    json_array_foreach(list, index, item)
    {
        if (name != NULL ? text_equal(json_string_value(json_object_get(item, "name")), name) : json_equal(item, like))
            return item;
    }
    return NULL;
}

static void compare(const char *place, const json_t *before, const json_t *after, struct strbuf *text);

/* Of lists only what is in one alone, or differs under one name: the API's lists of objects have names. */
static void compare_lists(const char *place, const json_t *before, const json_t *after, struct strbuf *text)
{
    const json_t *item = NULL;
    size_t index = 0;
    json_array_foreach(before, index, item)
    {
        const json_t *other = member(after, item);
        if (other == NULL || !json_equal(item, other))
            write_line('-', place, item, text);
    }
    json_array_foreach(after, index, item)
    {
        const json_t *other = member(before, item);
        if (other == NULL || !json_equal(item, other))
            write_line('+', place, item, text);
    }
}

static void compare_maps(const char *place, json_t *before, json_t *after, struct strbuf *text)
{
    const char *key = NULL;
    char inner[PLACE_BYTES];
    json_t *value = NULL;
    json_object_foreach(before, key, value)
    {
        (void)snprintf(inner, sizeof(inner), "%s%s%s", place, *place != '\0' ? "." : "", key);
        compare(inner, value, json_object_get(after, key), text);
    }
    json_object_foreach(after, key, value)
    {
        (void)snprintf(inner, sizeof(inner), "%s%s%s", place, *place != '\0' ? "." : "", key);
        if (json_object_get(before, key) == NULL)
            compare(inner, NULL, value, text);
    }
}

/* What the heading says already, and the record, which says the same again. */
static bool is_left_out(const char *place)
{
    static const char *const PLACES[] = {"kind", "metadata.name", "metadata.namespace"};
    for (size_t i = 0; i < ARRAY_COUNT(PLACES); i++)
        if (strcmp(place, PLACES[i]) == 0)
            return true;
    return text_ends_with(place, EDGE_STACK_RECORD);
}

static void compare(const char *place, const json_t *before, const json_t *after, struct strbuf *text)
{
    if (is_left_out(place) || (before != NULL && after != NULL && json_equal(before, after)))
        return;
    if ((json_is_object(before) || before == NULL) && (json_is_object(after) || after == NULL)) {
        compare_maps(place, mem_unconst(before), mem_unconst(after), text);
    } else if (json_is_array(before) && json_is_array(after)) {
        compare_lists(place, before, after, text);
    } else {
        if (before != NULL)
            write_line('-', place, before, text);
        if (after != NULL)
            write_line('+', place, after, text);
    }
}

void edge_stack_write_diff(const struct edge_stack_plan *plan, struct strbuf *text)
{
    const json_t *change = NULL;
    size_t index = 0;
    json_array_foreach(plan->changes, index, change)
    {
        const json_t *before = json_object_get(change, "before"), *after = json_object_get(change, "after");
        const json_t *object = json_is_null(after) ? before : after;
        const char *verb = json_is_null(before) ? "create" : json_is_null(after) ? "delete" : "change";
        strbuf_printf(text, "%s %s ", verb, edge_stack_text_at(object, "kind", NULL));
        output_text(object_meta_text(object, "namespace"), text);
        strbuf_append_char(text, '/');
        output_text(object_meta_text(object, "name"), text);
        strbuf_append_char(text, '\n');
        if (!json_is_null(after))
            compare("", json_is_null(before) ? NULL : before, after, text);
    }
}
