#include "agent/kube/json_tree.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/kube/codec.h"
#include "base/mem.h"
#include "base/text.h"

enum { MAX_DEPTH = 2048 }; /* jansson's JSON_PARSER_MAX_DEPTH */

/* The text is a copy, in the arena: strings are ended and unescaped in their place. */
struct parser {
    struct arena *arena;
    char *text, *at, *end; /* a NUL stands at the end, which no value can begin or go on with */
    unsigned depth;
    struct err *reterr;
};

static enum err_code wrong(const struct parser *parser, const char *what)
{
    const char *where = parser->at == parser->end ? "it ends too early" : what;
    return err_set(parser->reterr, ERR_PROTOCOL, "%s (at byte %zu)", where, (size_t)(parser->at - parser->text));
}

static enum err_code no_memory(const struct parser *parser)
{
    return err_set(parser->reterr, ERR_NOMEM, "out of memory");
}

static void skip_space(struct parser *parser)
{
    while (*parser->at == ' ' || *parser->at == '\n' || *parser->at == '\t' || *parser->at == '\r')
        parser->at++;
}

/* ---- strings ---- */

/* Characters of a string that stand for themselves. */
static bool is_plain(char c) { return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\'; }

/* @return the value of four hexadecimal digits; -1: they are none. */
static int32_t hex4(const char *text)
{
    int32_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        char c = text[i];
        int32_t digit = -1;
        if (c >= '0' && c <= '9')
            digit = c - '0';
        else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
            digit = (c | 0x20) - 'a' + 10;
        if (digit < 0)
            return -1;
        value = value << 4 | digit;
    }
    return value;
}

/* Writes a character in UTF-8, in fewer bytes than its escape has. @return behind it. */
static char *put_character(char *to, uint32_t character)
{
    if (character < 0x80) {
        *to++ = (char)character;
    } else if (character < 0x800) {
        *to++ = (char)(0xC0 | character >> 6);
        *to++ = (char)(0x80 | (character & 0x3F));
    } else if (character < 0x10000) {
        *to++ = (char)(0xE0 | character >> 12);
        *to++ = (char)(0x80 | (character >> 6 & 0x3F));
        *to++ = (char)(0x80 | (character & 0x3F));
    } else {
        *to++ = (char)(0xF0 | character >> 18);
        *to++ = (char)(0x80 | (character >> 12 & 0x3F));
        *to++ = (char)(0x80 | (character >> 6 & 0x3F));
        *to++ = (char)(0x80 | (character & 0x3F));
    }
    return to;
}

/* What stands behind "\u": a half of a pair needs the other. */
static enum err_code take_unicode(struct parser *parser, char **to)
{
    int32_t high = hex4(parser->at), low = 0;
    if (high < 0)
        return wrong(parser, "an escape without four hexadecimal digits");
    if (high == 0)
        high = 0xFFFD; /* an annotation may hold it, and a text of ours would end there: as proto_tree.c does */
    parser->at += 4;
    if (high < 0xD800 || high > 0xDFFF) {
        *to = put_character(*to, (uint32_t)high);
        return ERR_OK;
    }
    if (high > 0xDBFF || parser->at[0] != '\\' || parser->at[1] != 'u')
        return wrong(parser, "half of a surrogate pair");
    low = hex4(parser->at + 2);
    if (low < 0xDC00 || low > 0xDFFF)
        return wrong(parser, "half of a surrogate pair");
    parser->at += 6;
    *to = put_character(*to, 0x10000 + ((uint32_t)(high - 0xD800) << 10) + (uint32_t)(low - 0xDC00));
    return ERR_OK;
}

static enum err_code take_escape(struct parser *parser, char **to)
{
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    parser->at++;
    if (*parser->at == 'u') {
        parser->at++;
        return take_unicode(parser, to);
    }
    const char *letter = *parser->at != '\0' ? strchr(letters, *parser->at) : NULL;
    if (letter == NULL)
        return wrong(parser, "an unknown escape");
    parser->at++;
    *(*to)++ = meanings[letter - letters];
    return ERR_OK;
}

/* From the first character that does not stand for itself. */
static enum err_code take_rest_of_string(struct parser *parser, char *to)
{
    while (*parser->at != '"') {
        size_t bytes = 1;
        if (*parser->at == '\\') {
            TRY(take_escape(parser, &to));
            continue;
        }
        if ((unsigned char)*parser->at < 0x20 || (bytes = text_utf8_bytes(parser->at)) == 0)
            return wrong(parser, "a control character, or what is not UTF-8, in a string");
        memmove(to, parser->at, bytes);
        to += bytes;
        parser->at += bytes;
    }
    *to = '\0';
    parser->at++;
    return ERR_OK;
}

/* Stands at its first quote. */
static enum err_code take_string(struct parser *parser, const char **ret_text)
{
    char *from = ++parser->at;
    *ret_text = from;
    while (is_plain(*parser->at))
        parser->at++;
    if (*parser->at != '"')
        return take_rest_of_string(parser, parser->at);
    *parser->at++ = '\0';
    return ERR_OK;
}

/* ---- numbers and words ---- */

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

static bool skip_digits(struct parser *parser)
{
    char *from = parser->at;
    while (is_digit(*parser->at))
        parser->at++;
    return parser->at > from;
}

/* Behind the integer part. @return whether it is one that RFC 8259 knows. */
static bool skip_fraction(struct parser *parser)
{
    if (*parser->at == '.') {
        parser->at++;
        if (!skip_digits(parser))
            return false;
    }
    if (*parser->at != 'e' && *parser->at != 'E')
        return true;
    parser->at++;
    if (*parser->at == '+' || *parser->at == '-')
        parser->at++;
    return skip_digits(parser);
}

static enum err_code keep_real(struct parser *parser, const char *from, struct json_tree *value)
{
    size_t bytes = (size_t)(parser->at - from);
    char *copy = arena_alloc(parser->arena, bytes + 1);
    if (copy == NULL)
        return no_memory(parser);
    memcpy(copy, from, bytes);
    value->type = JSON_TREE_REAL;
    value->text = copy;
    errno = 0;
    double number = strtod(copy, NULL);
    return errno == ERANGE && (number == HUGE_VAL || number == -HUGE_VAL) ? wrong(parser, "a number out of range")
                                                                          : ERR_OK;
}

static enum err_code take_number(struct parser *parser, struct json_tree *value)
{
    char *from = parser->at;
    if (*parser->at == '-')
        parser->at++;
    bool leads_with_zero = *parser->at == '0';
    char *digits = parser->at;
    if (!skip_digits(parser) || (leads_with_zero && parser->at - digits > 1))
        return wrong(parser, "not a value");
    char *end = parser->at;
    if (!skip_fraction(parser))
        return wrong(parser, "not a number");
    if (parser->at > end)
        return keep_real(parser, from, value);
    errno = 0;
    value->type = JSON_TREE_INTEGER;
    value->integer = strtoll(from, NULL, 10);
    return errno == 0 ? ERR_OK : wrong(parser, "an integer of more than 64 bits");
}

static enum err_code take_word(struct parser *parser, const char *word, enum json_tree_type type,
                               struct json_tree *value)
{
    size_t length = strlen(word);
    if (strncmp(parser->at, word, length) != 0)
        return wrong(parser, "not a value");
    parser->at += length;
    value->type = type;
    return ERR_OK;
}

/* ---- all of them ---- */

static enum err_code take_value(struct parser *parser, struct json_tree *value);

static enum err_code take_key(struct parser *parser, struct json_tree *member)
{
    if (*parser->at != '"')
        return wrong(parser, "a member has no name");
    TRY(take_string(parser, &member->key));
    member->key_bytes = (uint32_t)strlen(member->key);
    skip_space(parser);
    if (*parser->at != ':')
        return wrong(parser, "no colon behind the name of a member");
    parser->at++;
    skip_space(parser);
    return ERR_OK;
}

/* Stands behind the bracket that opens it, and the space there. */
static enum err_code take_children(struct parser *parser, struct json_tree *parent, char close)
{
    const struct json_tree **link = &parent->first;
    while (*parser->at != close) {
        struct json_tree *child = ARENA_NEW(parser->arena, struct json_tree);
        if (child == NULL)
            return no_memory(parser);
        if (parent->type == JSON_TREE_OBJECT)
            TRY(take_key(parser, child));
        TRY(take_value(parser, child));
        *link = child;
        link = &child->next;
        parent->count++;
        skip_space(parser);
        if (*parser->at == close)
            break;
        if (*parser->at != ',')
            return wrong(parser, "no comma between two values");
        parser->at++;
        skip_space(parser);
        if (*parser->at == close)
            return wrong(parser, "nothing behind a comma");
    }
    parser->at++;
    return ERR_OK;
}

static enum err_code take_container(struct parser *parser, struct json_tree *value, enum json_tree_type type)
{
    if (parser->depth == MAX_DEPTH)
        return wrong(parser, "nested too deep");
    parser->depth++;
    parser->at++;
    skip_space(parser);
    value->type = type;
    enum err_code code = take_children(parser, value, type == JSON_TREE_OBJECT ? '}' : ']');
    parser->depth--;
    return code;
}

static enum err_code take_value(struct parser *parser, struct json_tree *value)
{
    switch (*parser->at) {
    case '"':
        value->type = JSON_TREE_STRING;
        return take_string(parser, &value->text);
    case '{':
        return take_container(parser, value, JSON_TREE_OBJECT);
    case '[':
        return take_container(parser, value, JSON_TREE_ARRAY);
    case 't':
        return take_word(parser, "true", JSON_TREE_TRUE, value);
    case 'f':
        return take_word(parser, "false", JSON_TREE_FALSE, value);
    case 'n':
        return take_word(parser, "null", JSON_TREE_NULL, value);
    default:
        return take_number(parser, value);
    }
}

enum err_code json_tree_parse(struct arena *arena, const char *text, size_t bytes, const struct json_tree **ret_tree,
                              struct err *reterr)
{
    struct parser parser = {.arena = arena, .reterr = reterr};
    struct json_tree *root = ARENA_NEW(arena, struct json_tree);
    parser.text = arena_alloc(arena, bytes + 1);
    if (root == NULL || parser.text == NULL)
        return no_memory(&parser);
    memcpy(parser.text, text, bytes);
    parser.at = parser.text;
    parser.end = parser.text + bytes;
    skip_space(&parser);
    if (*parser.at != '{' && *parser.at != '[')
        return wrong(&parser, "neither an object nor an array");
    TRY(take_value(&parser, root));
    skip_space(&parser);
    if (parser.at != parser.end)
        return wrong(&parser, "something follows behind its end");
    *ret_tree = root;
    return ERR_OK;
}

/* ---- jansson's ---- */

static bool fill(struct arena *arena, const json_t *json, struct json_tree *value);

static struct json_tree *append(struct arena *arena, const json_t *json, struct json_tree *parent,
                                const struct json_tree ***link)
{
    struct json_tree *child = ARENA_NEW(arena, struct json_tree);
    if (child == NULL || !fill(arena, json, child))
        return NULL;
    **link = child;
    *link = &child->next;
    parent->count++;
    return child;
}

static bool fill_children(struct arena *arena, const json_t *json, struct json_tree *value)
{
    const struct json_tree **link = &value->first;
    const char *key = NULL;
    const json_t *inner = NULL;
    size_t index = 0;
    json_array_foreach(json, index, inner)
    {
        if (append(arena, inner, value, &link) == NULL)
            return false;
    }
    json_object_foreach(mem_unconst(json), key, inner)
    {
        struct json_tree *member = append(arena, inner, value, &link);
        if (member == NULL)
            return false;
        member->key = key;
        member->key_bytes = (uint32_t)strlen(key);
    }
    return true;
}

static bool fill(struct arena *arena, const json_t *json, struct json_tree *value)
{
    static const enum json_tree_type types[] = {
        [JSON_OBJECT] = JSON_TREE_OBJECT,   [JSON_ARRAY] = JSON_TREE_ARRAY, [JSON_STRING] = JSON_TREE_STRING,
        [JSON_INTEGER] = JSON_TREE_INTEGER, [JSON_REAL] = JSON_TREE_REAL,   [JSON_TRUE] = JSON_TREE_TRUE,
        [JSON_FALSE] = JSON_TREE_FALSE,     [JSON_NULL] = JSON_TREE_NULL};
    value->type = types[json_typeof(json)];
    if (json_is_string(json))
        value->text = json_string_value(json);
    else if (json_is_integer(json))
        value->integer = json_integer_value(json);
    else if (json_is_real(json))
        return (value->text = arena_printf(arena, "%.17g", json_real_value(json))) != NULL;
    return fill_children(arena, json, value);
}

enum err_code json_tree_of(struct arena *arena, const json_t *json, const struct json_tree **ret_tree)
{
    struct json_tree *root = json != NULL ? ARENA_NEW(arena, struct json_tree) : NULL;
    *ret_tree = root;
    return json == NULL || (root != NULL && fill(arena, json, root)) ? ERR_OK : ERR_NOMEM;
}

static json_t *container_of(const struct json_tree *tree)
{
    json_t *made = tree->type == JSON_TREE_OBJECT ? json_object() : json_array();
    for (const struct json_tree *child = tree->first; made != NULL && child != NULL; child = child->next) {
        json_t *inner = json_tree_to_json(child);
        if ((child->key != NULL ? json_object_set_new_nocheck(made, child->key, inner)
                                : json_array_append_new(made, inner)) == 0)
            continue;
        json_decref(made);
        return NULL;
    }
    return made;
}

json_t *json_tree_to_json(const struct json_tree *tree)
{
    switch (tree != NULL ? tree->type : JSON_TREE_NULL) {
    case JSON_TREE_OBJECT:
    case JSON_TREE_ARRAY:
        return container_of(tree);
    case JSON_TREE_STRING:
        return json_string_nocheck(tree->text);
    case JSON_TREE_INTEGER:
        return json_integer(tree->integer);
    case JSON_TREE_REAL:
        return json_real(strtod(tree->text, NULL));
    case JSON_TREE_TRUE:
    case JSON_TREE_FALSE:
        return json_boolean(tree->type == JSON_TREE_TRUE);
    case JSON_TREE_NULL:
        break;
    }
    return tree != NULL ? json_null() : NULL;
}

/* ---- as text ---- */

static void write_container(const struct json_tree *tree, struct strbuf *text)
{
    strbuf_append_char(text, tree->type == JSON_TREE_OBJECT ? '{' : '[');
    for (const struct json_tree *child = tree->first; child != NULL; child = child->next) {
        if (child != tree->first)
            strbuf_append_char(text, ',');
        if (child->key != NULL) {
            codec_write_string(text, child->key);
            strbuf_append_char(text, ':');
        }
        json_tree_write(child, text);
    }
    strbuf_append_char(text, tree->type == JSON_TREE_OBJECT ? '}' : ']');
}

void json_tree_write(const struct json_tree *tree, struct strbuf *text)
{
    switch (tree->type) {
    case JSON_TREE_OBJECT:
    case JSON_TREE_ARRAY:
        write_container(tree, text);
        break;
    case JSON_TREE_STRING:
        codec_write_string(text, tree->text);
        break;
    case JSON_TREE_INTEGER:
        strbuf_printf(text, "%" PRId64, tree->integer);
        break;
    case JSON_TREE_REAL:
        strbuf_append(text, tree->text);
        break;
    case JSON_TREE_TRUE:
    case JSON_TREE_FALSE:
        strbuf_append(text, tree->type == JSON_TREE_TRUE ? "true" : "false");
        break;
    case JSON_TREE_NULL:
        strbuf_append(text, "null");
        break;
    }
}

/* ---- looking ---- */

const struct json_tree *json_tree_get(const struct json_tree *object, const char *key)
{
    const struct json_tree *found = NULL;
    size_t bytes = strlen(key);
    if (!json_tree_is(object, JSON_TREE_OBJECT))
        return NULL;
    for (const struct json_tree *member = object->first; member != NULL; member = member->next)
        if (member->key_bytes == bytes && memcmp(member->key, key, bytes) == 0)
            found = member;
    return found;
}

const char *json_tree_text(const struct json_tree *value)
{
    return json_tree_is(value, JSON_TREE_STRING) ? value->text : NULL;
}

int64_t json_tree_integer(const struct json_tree *value)
{
    return json_tree_is(value, JSON_TREE_INTEGER) ? value->integer : 0;
}

const struct json_tree *json_tree_first(const struct json_tree *value)
{
    return json_tree_is(value, JSON_TREE_OBJECT) || json_tree_is(value, JSON_TREE_ARRAY) ? value->first : NULL;
}

uint32_t json_tree_count(const struct json_tree *value)
{
    return json_tree_is(value, JSON_TREE_OBJECT) || json_tree_is(value, JSON_TREE_ARRAY) ? value->count : 0;
}
