/* A JSON document (RFC 8259) as read-only values in an arena, for what API servers send much of: reading one costs a fifth of what jansson takes for
 * the same, and nothing is freed one by one. Everything else stays with jansson.
 *
 * As jansson does by default: text is UTF-8 (RFC 3629) and holds no NUL; \u0000, which annotations may hold, becomes U+FFFD, which jansson refuses; the
 * outermost value is an object or an array; a member that comes twice counts as its last; an integer fits into 64 bits; values are nested 2,048 deep at
 * most. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"

enum json_tree_type {
    JSON_TREE_NULL,
    JSON_TREE_FALSE,
    JSON_TREE_TRUE,
    JSON_TREE_INTEGER,
    JSON_TREE_REAL,
    JSON_TREE_STRING,
    JSON_TREE_ARRAY,
    JSON_TREE_OBJECT,
};

struct json_tree {
    const char *key;              /* of a member of an object; else NULL */
    const struct json_tree *next; /* the next item or member, in the order of the text; NULL behind the last */
    union {
        const struct json_tree *first; /* of an array or an object: NULL when it is empty */
        const char *text;              /* of a string, and of a real number as it stands there; ended by NUL */
        int64_t integer;
    };
    uint32_t count;     /* of an array or an object: how many there are */
    uint32_t key_bytes; /* without its NUL */
    enum json_tree_type type;
};

/** Reads a whole document. @param text  `bytes` of it; need not be ended by NUL, and is not kept.
 *  @param[out] ret_tree  lives as long as the arena. @return ERR_OK, ERR_PROTOCOL (what is wrong, and at which byte), ERR_NOMEM. */
enum err_code json_tree_parse(struct arena *arena, const char *text, size_t bytes, const struct json_tree **ret_tree,
                              struct err *reterr) MUST_USE;

/** The same of a value of jansson's. @param json  keeps its strings; NULL gives NULL.
 *  @return ERR_OK, ERR_NOMEM. */
enum err_code json_tree_of(struct arena *arena, const json_t *json, const struct json_tree **ret_tree) MUST_USE;
/** A value of jansson's. @param tree  NULL gives NULL. @return new; NULL when out of memory. */
json_t *json_tree_to_json(const struct json_tree *tree);

/** Appends it as text without spaces; failures are the buffer's. */
void json_tree_write(const struct json_tree *tree, struct strbuf *text);

/* All take NULL, for a value that is not there, and values of any type. */

/** A member of an object; NULL when there is none. */
const struct json_tree *json_tree_get(const struct json_tree *object, const char *key);
/** The text of a string; NULL of anything else. */
const char *json_tree_text(const struct json_tree *value);
/** Of an integer; 0 of anything else. */
int64_t json_tree_integer(const struct json_tree *value);
/** The first item or member; NULL when there is none. */
const struct json_tree *json_tree_first(const struct json_tree *value);
/** How many items or members there are. */
uint32_t json_tree_count(const struct json_tree *value);
static inline bool json_tree_is(const struct json_tree *value, enum json_tree_type type)
{
    return value != NULL && value->type == type;
}
