#include "agent/kube/json_split.h"

#include <string.h>

/* Deeper than any Kubernetes object; jansson has a bound of its own (2048), which this stays under. */
enum { MAX_DEPTH = 512 };

/* What metadata.managedFields tell of each manager's fields: half of an object's text, and of no use here. */
static const char LEFT_OUT[] = "fieldsV1";

/* The bytes being fed: [at, end) is unseen; [kept, at) is seen and belongs to the current buffer, but is not copied yet, so that
 * copying happens once a run and not once a byte. */
struct feed {
    const char *kept, *at;
    const char *const end;
};

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

/* Between the elements of the items array: only commas and white space may stand here. */
static bool is_between_items(const struct json_split *split) { return split->in_items && split->depth == 2; }

/* Where the bytes of the moment go: an item, a value of a stream, or what surrounds the items of a list. */
static struct strbuf *target(struct json_split *split)
{
    bool item = split->mode == JSON_SPLIT_VALUES || split->in_items;
    return item ? &split->piece : &split->rest;
}

static enum err_code check(const struct json_split *split, const struct strbuf *buffer, struct err *reterr)
{
    if (strbuf_error(buffer) == ERR_OK)
        return ERR_OK;
    if (strbuf_error(buffer) == ERR_LIMIT)
        return err_set(reterr, ERR_LIMIT, "one object is larger than %zu bytes", split->limit_bytes);
    return err_set(reterr, ERR_NOMEM, "out of memory");
}

static enum err_code flush(struct json_split *split, struct feed *feed, struct err *reterr)
{
    struct strbuf *buffer = target(split);
    strbuf_append_bytes(buffer, feed->kept, (size_t)(feed->at - feed->kept));
    feed->kept = feed->at;
    return check(split, buffer, reterr);
}

/* The callback may release `split`, if it then returns an error: nothing of it is touched after one. */
static enum err_code emit(struct json_split *split, struct strbuf *buffer, enum json_split_piece piece,
                          struct err *reterr)
{
    enum err_code code = split->fn(split->context, strbuf_text(buffer), buffer->length, piece, reterr);
    if (code == ERR_OK)
        strbuf_clear(buffer);
    return code;
}

/* The items begin: nobody uses the buffer of pieces yet. */
static enum err_code emit_head(struct json_split *split, struct err *reterr)
{
    strbuf_append_bytes(&split->piece, strbuf_text(&split->rest), split->rest.length);
    strbuf_append(&split->piece, "]}");
    TRY(check(split, &split->piece, reterr));
    return emit(split, &split->piece, JSON_SPLIT_HEAD, reterr);
}

static enum err_code open_bracket(struct json_split *split, struct feed *feed, struct err *reterr)
{
    char c = *feed->at;
    if (split->mode == JSON_SPLIT_LIST && split->depth == 0 && split->any)
        return err_set(reterr, ERR_PROTOCOL, "the answer goes on after its end");
    if (split->mode == JSON_SPLIT_LIST && split->depth == 0 && c != '{')
        return err_set(reterr, ERR_PROTOCOL, "the list is not a JSON object");
    if (is_between_items(split) && c != '{')
        return err_set(reterr, ERR_PROTOCOL, "an item of the list is not an object");
    if (split->depth == MAX_DEPTH)
        return err_set(reterr, ERR_LIMIT, "JSON is nested deeper than %d", MAX_DEPTH);
    bool leave_out = c == '{' && split->leave_out && split->left_out_at == 0;
    feed->at++;
    split->any = true;
    split->depth++;
    split->expect_key = c == '{';
    split->leave_out = false;
    if (leave_out) {
        TRY(flush(split, feed, reterr)); /* the brace stays */
        split->left_out_at = split->depth;
    }
    if (split->mode == JSON_SPLIT_LIST && split->depth == 2 && c == '[' && split->items_key) {
        TRY(flush(split, feed, reterr)); /* the bracket still belongs to the surroundings */
        split->in_items = true;
        return emit_head(split, reterr);
    }
    return ERR_OK;
}

static enum err_code close_bracket(struct json_split *split, struct feed *feed, struct err *reterr)
{
    char c = *feed->at;
    if (split->depth == 0)
        return err_set(reterr, ERR_PROTOCOL, "not JSON: '%c' without a beginning", c);
    if (is_between_items(split)) {
        if (c != ']')
            return err_set(reterr, ERR_PROTOCOL, "not JSON: '%c' ends the items", c);
        split->in_items = false; /* this bracket belongs to the surroundings again */
    }
    if (split->left_out_at == split->depth) {
        split->left_out_at = 0;
        feed->kept = feed->at; /* and so does the brace that ends it */
    }
    feed->at++;
    split->depth--;
    split->expect_key = false;
    split->leave_out = false;
    bool is_item = is_between_items(split);
    if (split->depth > 0 && !is_item)
        return ERR_OK;
    TRY(flush(split, feed, reterr)); /* what follows belongs to nobody */
    if (split->mode == JSON_SPLIT_VALUES)
        return emit(split, &split->piece, JSON_SPLIT_VALUE, reterr);
    return is_item ? emit(split, &split->piece, JSON_SPLIT_ITEM, reterr) : ERR_OK;
}

static enum err_code open_string(struct json_split *split, struct feed *feed, struct err *reterr)
{
    if (split->depth == 0 || is_between_items(split))
        return err_set(reterr, ERR_PROTOCOL, "a string where an object should be");
    feed->at++;
    split->in_string = true;
    split->key_length = 0;
    return ERR_OK;
}

static void close_string(struct json_split *split)
{
    split->in_string = false;
    split->leave_out =
        split->key_length == sizeof(LEFT_OUT) - 1 && memcmp(split->key, LEFT_OUT, sizeof(LEFT_OUT) - 1) == 0;
    if (split->depth != 1 || !split->expect_key)
        return;
    split->items_key = split->key_length == 5 && memcmp(split->key, "items", 5) == 0;
    split->expect_key = false;
}

static void note_key(struct json_split *split, const char *data, size_t bytes)
{
    size_t room = sizeof(split->key) - split->key_length;
    bytes = bytes < room ? bytes : room;
    memcpy(split->key + split->key_length, data, bytes);
    split->key_length += (unsigned)bytes;
}

/* Inside of a string: up to its end, over one escape, or to the end of the data. */
static void feed_string(struct json_split *split, struct feed *feed)
{
    if (split->escaped) {
        split->escaped = false;
        split->key_length = sizeof(split->key); /* nobody writes these keys with an escape */
        feed->at++;
        return;
    }
    const char *start = feed->at;
    while (feed->at < feed->end && *feed->at != '"' && *feed->at != '\\')
        feed->at++;
    note_key(split, start, (size_t)(feed->at - start));
    if (feed->at == feed->end)
        return;
    if (*feed->at++ == '"')
        close_string(split);
    else
        split->escaped = true;
}

static bool is_space(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

static bool is_structure(char c) { return c == '{' || c == '}' || c == '[' || c == ']' || c == '"' || c == ','; }

static enum err_code feed_comma(struct json_split *split, struct feed *feed, struct err *reterr)
{
    if (split->depth == 0)
        return err_set(reterr, ERR_PROTOCOL, "not JSON: ',' where a value should be");
    feed->at++;
    split->leave_out = false;
    if (split->depth == 1) {
        split->expect_key = true;
        split->items_key = false;
    }
    return ERR_OK;
}

/* Numbers, literals, colons and white space. Whether they are right is for the parser to say; here only the places count where
 * nothing of the kind may stand. */
static enum err_code feed_plain(struct json_split *split, struct feed *feed, struct err *reterr)
{
    bool space_only = split->depth == 0 || is_between_items(split);
    for (; feed->at < feed->end && !is_structure(*feed->at); feed->at++) {
        if (!space_only || is_space(*feed->at))
            continue;
        if (split->depth > 0)
            return err_set(reterr, ERR_PROTOCOL, "an item of the list is not an object");
        char c = *feed->at;
        return err_set(reterr, ERR_PROTOCOL, "not JSON: '%c' where an object should be", c > ' ' && c < 127 ? c : '?');
    }
    return ERR_OK;
}

static enum err_code feed_one(struct json_split *split, struct feed *feed, struct err *reterr)
{
    switch (*feed->at) {
    case '{':
    case '[':
        return open_bracket(split, feed, reterr);
    case '}':
    case ']':
        return close_bracket(split, feed, reterr);
    case '"':
        return open_string(split, feed, reterr);
    case ',':
        return feed_comma(split, feed, reterr);
    default:
        return feed_plain(split, feed, reterr);
    }
}

enum err_code json_split_feed(struct json_split *split, const char *data, size_t bytes, struct err *reterr)
{
    struct feed feed = {.kept = data, .at = data, .end = data + bytes};
    while (feed.at < feed.end) {
        if (split->in_string) {
            feed_string(split, &feed);
            continue;
        }
        bool outside = split->depth == 0 || is_between_items(split);
        TRY(feed_one(split, &feed, reterr));
        if (outside && (split->depth == 0 || is_between_items(split)))
            feed.kept = feed.at; /* what separates values and items belongs to nobody */
    }
    if (split->left_out_at > 0)
        return ERR_OK;
    return flush(split, &feed, reterr);
}

enum err_code json_split_finish(struct json_split *split, struct err *reterr)
{
    if (split->depth != 0 || split->in_string)
        return err_set(reterr, ERR_PROTOCOL, "the answer ended in the middle of an object");
    if (split->mode == JSON_SPLIT_VALUES)
        return ERR_OK;
    if (!split->any)
        return err_set(reterr, ERR_PROTOCOL, "the answer is empty");
    return emit(split, &split->rest, JSON_SPLIT_REST, reterr);
}
