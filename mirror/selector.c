#include "mirror/selector.h"

#include <string.h>

#include "base/text.h"

bool selector_is_empty(const struct selector *selector) { return selector->count == 0; }

static bool requirement_has_value(const struct selector_requirement *requirement, const char *value)
{
    for (uint32_t i = 0; i < requirement->value_count; i++)
        if (strcmp(requirement->values[i], value) == 0)
            return true;
    return false;
}

/* NotIn holds for objects without the key too: apimachinery's labels.Requirement.Matches. */
static bool requirement_matches(const struct selector_requirement *requirement, const struct kv_list *labels)
{
    const char *value = kv_get(labels, requirement->key);
    switch (requirement->op) {
    case SELECTOR_IN:
        return value != NULL && requirement_has_value(requirement, value);
    case SELECTOR_NOT_IN:
        return value == NULL || !requirement_has_value(requirement, value);
    case SELECTOR_EXISTS:
        return value != NULL;
    case SELECTOR_DOES_NOT_EXIST:
        return value == NULL;
    }
    return false;
}

bool selector_matches(const struct selector *selector, const struct kv_list *labels)
{
    for (uint32_t i = 0; i < selector->count; i++)
        if (!requirement_matches(&selector->requirements[i], labels))
            return false;
    return selector->count > 0;
}

static bool requirement_equal(const struct selector_requirement *a, const struct selector_requirement *b)
{
    if (a->op != b->op || a->value_count != b->value_count || strcmp(a->key, b->key) != 0)
        return false;
    for (uint32_t i = 0; i < a->value_count; i++)
        if (strcmp(a->values[i], b->values[i]) != 0)
            return false;
    return true;
}

bool selector_equal(const struct selector *a, const struct selector *b)
{
    if (a->count != b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (!requirement_equal(&a->requirements[i], &b->requirements[i]))
            return false;
    return true;
}

static const char *values_format(struct arena *arena, const struct selector_requirement *requirement)
{
    const char *list = "";
    for (uint32_t i = 0; i < requirement->value_count && list != NULL; i++)
        list = arena_printf(arena, "%s%s%s", list, i > 0 ? "," : "", requirement->values[i]);
    return list;
}

static const char *requirement_format(struct arena *arena, const struct selector_requirement *requirement)
{
    const char *values = values_format(arena, requirement);
    if (values == NULL)
        return NULL;
    switch (requirement->op) {
    case SELECTOR_IN:
        if (requirement->value_count == 1)
            return arena_printf(arena, "%s=%s", requirement->key, values);
        return arena_printf(arena, "%s in (%s)", requirement->key, values);
    case SELECTOR_NOT_IN:
        return arena_printf(arena, "%s notin (%s)", requirement->key, values);
    case SELECTOR_EXISTS:
        return requirement->key;
    case SELECTOR_DOES_NOT_EXIST:
        return arena_printf(arena, "!%s", requirement->key);
    }
    return NULL;
}

const char *selector_format(struct arena *arena, const struct selector *selector)
{
    const char *text = "";
    for (uint32_t i = 0; i < selector->count && text != NULL; i++) {
        const char *part = requirement_format(arena, &selector->requirements[i]);
        text = part == NULL ? NULL : arena_printf(arena, "%s%s%s", text, i > 0 ? "," : "", part);
    }
    return text;
}

static enum err_code requirement_check(const struct selector_requirement *requirement, struct err *reterr)
{
    bool wants_values = requirement->op == SELECTOR_IN || requirement->op == SELECTOR_NOT_IN;
    if (!text_is_label_key(requirement->key))
        return err_set(reterr, ERR_INVALID, "selector key \"%s\" is not a label name", requirement->key);
    if (wants_values && requirement->value_count == 0)
        return err_set(reterr, ERR_INVALID, "selector key \"%s\": In and NotIn need at least one value",
                       requirement->key);
    if (!wants_values && requirement->value_count > 0)
        return err_set(reterr, ERR_INVALID, "selector key \"%s\": Exists and DoesNotExist take no values",
                       requirement->key);
    for (uint32_t i = 0; i < requirement->value_count; i++)
        if (!text_is_label_value(requirement->values[i]))
            return err_set(reterr, ERR_INVALID, "selector key \"%s\": \"%s\" is not a label value", requirement->key,
                           requirement->values[i]);
    return ERR_OK;
}

enum err_code selector_check(const struct selector *selector, struct err *reterr)
{
    for (uint32_t i = 0; i < selector->count; i++)
        TRY(requirement_check(&selector->requirements[i], reterr));
    return ERR_OK;
}

static const char *const *copy_values(struct arena *arena, const struct selector_requirement *requirement)
{
    const char **values = arena_array(arena, requirement->value_count, sizeof(*values));
    if (values == NULL)
        return NULL;
    for (uint32_t i = 0; i < requirement->value_count; i++)
        values[i] = arena_strdup(arena, requirement->values[i]);
    return values;
}

struct selector selector_copy(struct arena *arena, const struct selector *selector)
{
    struct selector_requirement *copies = arena_array(arena, selector->count, sizeof(*copies));
    if (copies == NULL)
        return (struct selector){0};
    for (uint32_t i = 0; i < selector->count; i++) {
        copies[i] = selector->requirements[i];
        copies[i].key = arena_strdup(arena, selector->requirements[i].key);
        copies[i].values = copy_values(arena, &selector->requirements[i]);
    }
    return (struct selector){copies, selector->count};
}

/* ---- reading ---- */

/* The next requirement's text, up to a comma that stands in no parenthesis. */
static size_t requirement_length(const char *text)
{
    size_t length = 0;
    for (bool inside = false; text[length] != '\0' && (inside || text[length] != ','); length++)
        inside = text[length] == '(' || (inside && text[length] != ')');
    return length;
}

/* A copy without the white space around it. */
static const char *trimmed(struct arena *arena, const char *text, size_t length)
{
    size_t skip = strspn(text, " \t");
    skip = skip < length ? skip : length;
    while (length > skip && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    return arena_printf(arena, "%.*s", (int)(length - skip), text + skip);
}

/* "(a, b)" as sorted values. @return whether it is such a list. */
static bool read_values(struct arena *arena, const char *list, struct selector_requirement *requirement)
{
    size_t length = strlen(list), count = 1;
    if (length < 2 || list[0] != '(' || list[length - 1] != ')')
        return false;
    for (const char *at = list; *at != '\0'; at++)
        count += *at == ',' ? 1 : 0;
    const char **values = arena_array(arena, count, sizeof(*values));
    uint32_t used = 0;
    for (const char *at = list + 1; values != NULL && used < count;) {
        size_t word = strcspn(at, ",)");
        const char *value = trimmed(arena, at, word);
        uint32_t place = used++;
        for (; value != NULL && place > 0 && strcmp(values[place - 1], value) > 0; place--)
            values[place] = values[place - 1];
        values[place] = value != NULL ? value : "";
        at += word + 1;
    }
    requirement->values = values;
    requirement->value_count = used;
    return true;
}

static bool read_one_value(struct arena *arena, const char *value, struct selector_requirement *requirement)
{
    const char **values = arena_array(arena, 1, sizeof(*values));
    if (values != NULL)
        values[0] = trimmed(arena, value, strlen(value));
    requirement->values = values;
    requirement->value_count = 1;
    return true;
}

/* @return whether the part is of a form that is known. */
static bool read_requirement(struct arena *arena, const char *part, struct selector_requirement *requirement)
{
    static const struct {
        const char *sign;
        enum selector_operator op;
        bool is_list;
    } signs[] = {{"!=", SELECTOR_NOT_IN, false},
                 {"==", SELECTOR_IN, false},
                 {"=", SELECTOR_IN, false},
                 {" in ", SELECTOR_IN, true},
                 {" notin ", SELECTOR_NOT_IN, true}};
    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++) {
        const char *at = strstr(part, signs[i].sign);
        if (at == NULL)
            continue;
        const char *rest = at + strlen(signs[i].sign);
        *requirement =
            (struct selector_requirement){.key = trimmed(arena, part, (size_t)(at - part)), .op = signs[i].op};
        return signs[i].is_list ? read_values(arena, trimmed(arena, rest, strlen(rest)), requirement)
                                : read_one_value(arena, rest, requirement);
    }
    bool absent = part[0] == '!';
    *requirement = (struct selector_requirement){.key = trimmed(arena, part + absent, strlen(part + absent)),
                                                 .op = absent ? SELECTOR_DOES_NOT_EXIST : SELECTOR_EXISTS};
    return true;
}

enum err_code selector_parse(struct arena *arena, const char *text, struct selector *ret_selector, struct err *reterr)
{
    uint32_t count = 0;
    size_t most = 1;
    for (const char *at = text; *at != '\0'; at++)
        most += *at == ',' ? 1 : 0;
    struct selector_requirement *requirements = arena_array(arena, most, sizeof(*requirements));
    for (const char *at = text; requirements != NULL && *at != '\0';) {
        size_t length = requirement_length(at);
        const char *part = trimmed(arena, at, length);
        if (part == NULL)
            break;
        if (!read_requirement(arena, part, &requirements[count++]))
            return err_set(reterr, ERR_INVALID,
                           "\"%s\" is no part of a label selector: write e.g. key=value or key in (a,b)", part);
        at += length + (at[length] == ',' ? 1 : 0);
    }
    if (arena_failed(arena))
        return err_set(reterr, ERR_NOMEM, "out of memory");
    const struct selector selector = {requirements, count};
    TRY(selector_check(&selector, reterr));
    *ret_selector = selector;
    return ERR_OK;
}
