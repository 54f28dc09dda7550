#include "agent/kube/json_split.h"

#include <string.h>

void json_split_init(struct json_split *split, enum json_split_mode mode, size_t limit_bytes, json_split_fn fn,
                     void *context)
{
    *split = (struct json_split){.mode = mode, .fn = fn, .context = context, .limit_bytes = limit_bytes};
    strbuf_init(&split->piece, limit_bytes);
    strbuf_init(&split->rest, limit_bytes);
}

void json_split_done(struct json_split *split)
{
    strbuf_done(&split->piece);
    strbuf_done(&split->rest);
}

/* Where the bytes of the moment go: an item, a value of a stream, or what surrounds the items of a list. */
static struct strbuf *target(struct json_split *split)
{
    bool item = split->mode == JSON_SPLIT_VALUES || split->in_items;
    return item ? &split->piece : &split->rest;
}

static enum err_code put(struct json_split *split, const char *data, size_t bytes, struct err *reterr)
{
    struct strbuf *buffer = target(split);
    strbuf_append_bytes(buffer, data, bytes);
    if (strbuf_error(buffer) == ERR_OK)
        return ERR_OK;
    if (strbuf_error(buffer) == ERR_LIMIT)
        return err_set(reterr, ERR_LIMIT, "one object is larger than %zu bytes", split->limit_bytes);
    return err_set(reterr, ERR_NOMEM, "out of memory");
}

static enum err_code emit(struct json_split *split, bool is_item, struct err *reterr)
{
    struct strbuf *buffer = is_item || split->mode == JSON_SPLIT_VALUES ? &split->piece : &split->rest;
    enum err_code code = split->fn(split->context, strbuf_text(buffer), buffer->length, is_item, reterr);
    if (code == ERR_OK)
        strbuf_clear(buffer);
    return code;
}

/* Depth at which an item of a list, or a value of a stream, is complete again. */
static int item_depth(const struct json_split *split) { return split->mode == JSON_SPLIT_LIST ? 2 : 0; }

static enum err_code open_bracket(struct json_split *split, char c, struct err *reterr)
{
    if (split->mode == JSON_SPLIT_LIST && split->depth == 0 && c != '{')
        return err_set(reterr, ERR_PROTOCOL, "the list is not a JSON object");
    TRY(put(split, &c, 1, reterr));
    split->depth++;
    split->any = true;
    split->expect_key = c == '{';
    if (split->mode == JSON_SPLIT_LIST && split->depth == 2 && c == '[' && split->items_key && !split->in_items)
        split->in_items = true;
    return split->depth > 512 ? err_set(reterr, ERR_LIMIT, "JSON is nested too deeply") : ERR_OK;
}

static enum err_code close_bracket(struct json_split *split, char c, struct err *reterr)
{
    if (split->depth == 0)
        return err_set(reterr, ERR_PROTOCOL, "not JSON: '%c' without a beginning", c);
    if (split->in_items && split->depth == 2 && c == ']')
        split->in_items = false; /* this bracket belongs to the surroundings again */
    TRY(put(split, &c, 1, reterr));
    split->depth--;
    split->expect_key = false;
    if (split->mode == JSON_SPLIT_VALUES && split->depth == 0) {
        split->any = false;
        return emit(split, true, reterr);
    }
    if (split->in_items && split->depth == item_depth(split))
        return emit(split, true, reterr);
    return ERR_OK;
}

static void end_string(struct json_split *split)
{
    split->in_string = false;
    if (split->depth == 1 && split->expect_key) {
        split->items_key = split->key_length == 5 && memcmp(split->key, "items", 5) == 0;
        split->expect_key = false;
    }
}

/* Bytes of a string up to its end, a backslash, or the end of the data. */
static size_t string_span(const char *data, size_t bytes)
{
    size_t i = 0;
    while (i < bytes && data[i] != '"' && data[i] != '\\')
        i++;
    return i;
}

static void note_key(struct json_split *split, const char *data, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (split->key_length < sizeof(split->key))
            split->key[split->key_length] = data[i];
        if (split->key_length <= sizeof(split->key))
            split->key_length++;
    }
}

static enum err_code feed_string(struct json_split *split, const char *data, size_t bytes, size_t *at,
                                 struct err *reterr)
{
    if (split->escaped) {
        split->escaped = false;
        split->key_length = sizeof(split->key) + 1; /* a key with an escape is not "items" as anybody writes it */
        (*at)++;
        return put(split, data + *at - 1, 1, reterr);
    }
    size_t span = string_span(data + *at, bytes - *at);
    if (split->depth == 1 && split->expect_key)
        note_key(split, data + *at, span);
    if (*at + span < bytes) {
        if (data[*at + span] == '"')
            end_string(split);
        else
            split->escaped = true;
        span++;
    }
    TRY(put(split, data + *at, span, reterr));
    *at += span;
    return ERR_OK;
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static enum err_code feed_other(struct json_split *split, char c, struct err *reterr)
{
    if (is_space(c))
        return split->depth > 0 && !split->in_items && split->mode == JSON_SPLIT_LIST ? put(split, &c, 1, reterr)
                                                                                      : ERR_OK;
    if (split->depth == 0)
        return err_set(reterr, ERR_PROTOCOL, "not JSON: it begins with '%c'", c >= ' ' && c < 127 ? c : '?');
    if (c == ',' && split->in_items && split->depth == 2)
        return ERR_OK; /* between items */
    if (split->in_items && split->depth == 2)
        return err_set(reterr, ERR_PROTOCOL, "an item of the list is not an object");
    if (c == ',' && split->depth == 1) {
        split->expect_key = true;
        split->items_key = false;
    }
    return put(split, &c, 1, reterr);
}

static enum err_code feed_one(struct json_split *split, char c, struct err *reterr)
{
    if (c == '{' || c == '[')
        return open_bracket(split, c, reterr);
    if (c == '}' || c == ']')
        return close_bracket(split, c, reterr);
    if (c != '"')
        return feed_other(split, c, reterr);
    if (split->depth == 0 || (split->in_items && split->depth == 2))
        return err_set(reterr, ERR_PROTOCOL, "a string where an object should be");
    split->in_string = true;
    split->key_length = 0;
    return put(split, &c, 1, reterr);
}

enum err_code json_split_feed(struct json_split *split, const char *data, size_t bytes, struct err *reterr)
{
    for (size_t at = 0; at < bytes;) {
        if (split->in_string)
            TRY(feed_string(split, data, bytes, &at, reterr));
        else
            TRY(feed_one(split, data[at++], reterr));
    }
    return ERR_OK;
}

enum err_code json_split_finish(struct json_split *split, struct err *reterr)
{
    if (split->depth != 0 || split->in_string)
        return err_set(reterr, ERR_PROTOCOL, "the answer ended in the middle of an object");
    if (split->mode == JSON_SPLIT_VALUES)
        return ERR_OK;
    if (split->rest.length == 0)
        return err_set(reterr, ERR_PROTOCOL, "the answer is empty");
    return emit(split, false, reterr);
}
