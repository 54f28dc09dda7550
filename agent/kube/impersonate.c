#include "agent/kube/impersonate.h"

#include <stdbool.h>
#include <string.h>

#include "base/mem.h"

enum { MAX_LINES = 64 }; /* groups and extras of one person; each goes with every request */

struct lines {
    struct arena *arena;
    const char **list; /* room for MAX_LINES and the end */
    size_t count;
    struct err *reterr;
};

/* A line end in a value would begin a header of its own. */
static bool is_one_line(const char *value)
{
    for (const char *c = value; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return false;
    return value[0] != '\0';
}

static enum err_code add(struct lines *lines, const char *field, const char *name, const char *value)
{
    if (value == NULL || !is_one_line(value))
        return err_set(lines->reterr, ERR_INVALID,
                       "%s has a value that is empty, no text, or has a control character in it", field);
    if (lines->count == MAX_LINES)
        return err_set(lines->reterr, ERR_LIMIT, "as-groups and as-user-extra have more than %d values", MAX_LINES);
    lines->list[lines->count] = arena_printf(lines->arena, "%s: %s", name, value);
    return lines->list[lines->count++] != NULL ? ERR_OK : err_set(lines->reterr, ERR_NOMEM, "out of memory");
}

/* Keys of extras are any text, names of headers are not: the rest is percent-encoded, and the server decodes it. */
static const char *header_of_key(struct arena *arena, const char *key)
{
    static const char digits[] = "0123456789ABCDEF", prefix[] = "Impersonate-Extra-";
    char *name = arena_alloc(arena, sizeof(prefix) + strlen(key) * 3), *to = name;
    if (name == NULL)
        return NULL;
    memcpy(to, prefix, sizeof(prefix) - 1);
    to += sizeof(prefix) - 1;
    for (const char *c = key; *c != '\0'; c++) {
        bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                     strchr("!#$&'*+-.^_`|~", *c) != NULL;
        if (plain) {
            *to++ = *c;
        } else {
            *to++ = '%';
            *to++ = digits[(unsigned char)*c >> 4];
            *to++ = digits[(unsigned char)*c & 15];
        }
    }
    return name;
}

static enum err_code add_extras(struct lines *lines, const json_t *extras)
{
    const char *key = NULL;
    json_t *values = NULL;
    json_object_foreach((json_t *)mem_unconst(extras), key, values)
    {
        const char *name = header_of_key(lines->arena, key);
        if (name == NULL)
            return err_set(lines->reterr, ERR_NOMEM, "out of memory");
        if (key[0] == '\0' || !json_is_array(values))
            return err_set(lines->reterr, ERR_INVALID, "as-user-extra is not a map of lists of texts");
        for (size_t i = 0; i < json_array_size(values); i++)
            TRY(add(lines, "as-user-extra", name, json_string_value(json_array_get(values, i))));
    }
    return ERR_OK;
}

static bool is_given(const json_t *user, const char *field)
{
    const json_t *value = json_object_get(user, field);
    return json_array_size(value) > 0 || json_object_size(value) > 0 || json_string_length(value) > 0;
}

enum err_code impersonate_read(struct arena *arena, const json_t *user, const char *const **ret_lines,
                               struct err *reterr)
{
    static const char *const beside[] = {"as-uid", "as-groups", "as-user-extra"};
    const json_t *groups = json_object_get(user, "as-groups");
    struct lines lines = {.arena = arena, .reterr = reterr};
    if (!is_given(user, "as")) {
        for (size_t i = 0; i < ARRAY_COUNT(beside); i++)
            if (is_given(user, beside[i]))
                return err_set(reterr, ERR_INVALID, "%s without `as`: name the user to act as, too", beside[i]);
        return ERR_OK;
    }
    lines.list = arena_array(arena, MAX_LINES + 1, sizeof(*lines.list));
    if (lines.list == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    TRY(add(&lines, "as", "Impersonate-User", json_string_value(json_object_get(user, "as"))));
    if (is_given(user, "as-uid"))
        TRY(add(&lines, "as-uid", "Impersonate-Uid", json_string_value(json_object_get(user, "as-uid"))));
    for (size_t i = 0; i < json_array_size(groups); i++)
        TRY(add(&lines, "as-groups", "Impersonate-Group", json_string_value(json_array_get(groups, i))));
    TRY(add_extras(&lines, json_object_get(user, "as-user-extra")));
    *ret_lines = lines.list;
    return ERR_OK;
}
