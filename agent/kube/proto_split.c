#include "agent/kube/proto_split.h"

#include <string.h>

#include "agent/kube/proto.h"
#include "agent/kube/proto_tree.h"

enum {
    EVENT_LENGTH_BYTES = 4, /* before each event, most significant first (apimachinery/pkg/util/framer) */
    META_BYTES = 1 << 20,   /* a list's own metadata, and its type */
};

void proto_split_init(struct proto_split *split, enum json_split_mode mode, size_t limit_bytes, json_split_fn fn,
                      void *context)
{
    *split = (struct proto_split){.fn = fn,
                                  .context = context,
                                  .limit_bytes = limit_bytes,
                                  .state = mode == JSON_SPLIT_LIST ? PROTO_SPLIT_MAGIC : PROTO_SPLIT_EVENTS};
    strbuf_init(&split->pending, 2 * limit_bytes); /* what is not whole, and what comes behind it */
    strbuf_init(&split->type_meta, META_BYTES);
    strbuf_init(&split->list_meta, META_BYTES);
}

void proto_split_done(struct proto_split *split)
{
    strbuf_done(&split->pending);
    strbuf_done(&split->type_meta);
    strbuf_done(&split->list_meta);
}

static enum err_code check(const struct strbuf *buffer, struct err *reterr)
{
    if (strbuf_error(buffer) == ERR_LIMIT)
        return err_set(reterr, ERR_LIMIT, "what a list says of itself is larger than %d bytes", META_BYTES);
    return strbuf_error(buffer) == ERR_OK ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
}

static enum err_code keep(struct strbuf *buffer, const char *bytes, size_t length, struct err *reterr)
{
    strbuf_clear(buffer);
    strbuf_append_bytes(buffer, bytes, length);
    return check(buffer, reterr);
}

/* ---- what a list says of itself ---- */

/* Appends a member with a message's tree. */
static void write_tree(struct strbuf *text, const struct json_tree *tree)
{
    for (const struct json_tree *member = json_tree_first(tree); member != NULL; member = member->next) {
        strbuf_printf(text, "\"%s\":", member->key);
        json_tree_write(member, text);
        strbuf_append(text, ",");
    }
}

static enum err_code write_list(const struct proto_split *split, struct arena *arena, bool whole, struct strbuf *text,
                                struct err *reterr)
{
    const struct json_tree *type = NULL, *meta = NULL;
    TRY(proto_tree_type_meta(arena, strbuf_text(&split->type_meta), split->type_meta.length, &type, reterr));
    TRY(proto_tree_list_meta(arena, strbuf_text(&split->list_meta), split->list_meta.length, &meta, reterr));
    strbuf_append(text, "{");
    write_tree(text, type);
    if (whole) {
        strbuf_append(text, "\"metadata\":");
        json_tree_write(meta, text);
        strbuf_append(text, ",");
    }
    strbuf_append(text, "\"items\":[]}");
    return check(text, reterr);
}

static enum err_code emit_list(struct proto_split *split, enum json_split_piece piece, struct err *reterr)
{
    struct arena arena;
    struct strbuf text;
    json_split_fn fn = split->fn;
    void *context = split->context;
    arena_init(&arena, 2 * META_BYTES);
    strbuf_init(&text, META_BYTES);
    enum err_code code = write_list(split, &arena, piece == JSON_SPLIT_REST, &text, reterr);
    arena_done(&arena);
    if (code == ERR_OK)
        code = fn(context, strbuf_text(&text), text.length, piece, reterr);
    strbuf_done(&text);
    return code;
}

/* ---- what arrives ---- */

/* What a list has beside its items has a bound as they have: a listing has to end. */
static enum err_code count_other(struct proto_split *split, size_t bytes, struct err *reterr)
{
    split->other_bytes += bytes;
    return split->other_bytes <= split->limit_bytes
               ? ERR_OK
               : err_set(reterr, ERR_LIMIT, "what surrounds a list's items is larger than %zu bytes",
                         split->limit_bytes);
}

/* Each takes what comes next from what is there: @param[out] ret_used  how much that was; 0: it is not there whole. */

static enum err_code take_magic(struct proto_split *split, const char *at, size_t bytes, size_t *ret_used,
                                struct err *reterr)
{
    if (bytes < sizeof(PROTO_MAGIC))
        return ERR_OK;
    if (memcmp(at, PROTO_MAGIC, sizeof(PROTO_MAGIC)) != 0)
        return proto_wrong(reterr, "it does not begin with \"k8s\"");
    split->state = PROTO_SPLIT_ENVELOPE;
    *ret_used = sizeof(PROTO_MAGIC);
    return ERR_OK;
}

/* @param[out] ret_length  of the field's content. @return ERR_OK with *ret_head 0 when it is not there whole. */
static enum err_code take_head(const struct proto_split *split, const char *at, size_t bytes, uint32_t *ret_number,
                               uint64_t *ret_length, size_t *ret_head, struct err *reterr)
{
    int head = proto_begins(at, bytes, ret_number, ret_length);
    *ret_head = head > 0 ? (size_t)head : 0;
    if (head < 0)
        return proto_wrong(reterr, "a list has a field that lists do not have");
    bool is_list = split->state == PROTO_SPLIT_ENVELOPE && *ret_number == 2;
    if (head > 0 && !is_list && *ret_length > split->limit_bytes)
        return err_set(reterr, ERR_LIMIT, "one object is larger than %zu bytes", split->limit_bytes);
    return ERR_OK;
}

static enum err_code take_of_envelope(struct proto_split *split, const char *at, size_t bytes, size_t *ret_used,
                                      struct err *reterr)
{
    enum { TYPE_META = 1, RAW = 2, ENCODING = 3 };
    uint32_t number = 0;
    uint64_t length = 0;
    size_t head = 0;
    TRY(take_head(split, at, bytes, &number, &length, &head, reterr));
    if (head > 0 && number == RAW) {
        if (split->had_list)
            return proto_wrong(reterr, "it has two lists");
        split->had_list = true;
        split->left = length;
        split->state = PROTO_SPLIT_LIST;
        *ret_used = head;
        return emit_list(split, JSON_SPLIT_HEAD, reterr);
    }
    if (head == 0 || bytes - head < length)
        return ERR_OK;
    *ret_used = head + (size_t)length;
    TRY(count_other(split, *ret_used, reterr));
    if (number == ENCODING && length > 0)
        return proto_wrong(reterr, "it is encoded once more");
    return number == TYPE_META ? keep(&split->type_meta, at + head, (size_t)length, reterr) : ERR_OK;
}

static enum err_code take_of_list(struct proto_split *split, const char *at, size_t bytes, size_t *ret_used,
                                  struct err *reterr)
{
    enum { LIST_META = 1, ITEM = 2 };
    uint32_t number = 0;
    uint64_t length = 0;
    size_t head = 0;
    TRY(take_head(split, at, bytes, &number, &length, &head, reterr));
    if (head == 0 || bytes - head < length)
        return ERR_OK;
    if (head + length > split->left)
        return proto_wrong(reterr, "an item goes beyond its list");
    *ret_used = head + (size_t)length;
    split->left -= *ret_used;
    if (split->left == 0)
        split->state = PROTO_SPLIT_ENVELOPE;
    if (number != ITEM)
        TRY(count_other(split, *ret_used, reterr));
    if (number == LIST_META)
        return keep(&split->list_meta, at + head, (size_t)length, reterr);
    return number == ITEM ? split->fn(split->context, at + head, (size_t)length, JSON_SPLIT_ITEM, reterr) : ERR_OK;
}

static enum err_code take_event(struct proto_split *split, const char *at, size_t bytes, size_t *ret_used,
                                struct err *reterr)
{
    size_t length = 0;
    if (bytes < EVENT_LENGTH_BYTES)
        return ERR_OK;
    for (unsigned i = 0; i < EVENT_LENGTH_BYTES; i++)
        length = length << 8 | (unsigned char)at[i];
    if (length > split->limit_bytes)
        return err_set(reterr, ERR_LIMIT, "one object is larger than %zu bytes", split->limit_bytes);
    if (bytes - EVENT_LENGTH_BYTES < length)
        return ERR_OK;
    *ret_used = EVENT_LENGTH_BYTES + length;
    return split->fn(split->context, at + EVENT_LENGTH_BYTES, length, JSON_SPLIT_VALUE, reterr);
}

static enum err_code take_next(struct proto_split *split, const char *at, size_t bytes, size_t *ret_used,
                               struct err *reterr)
{
    switch (split->state) {
    case PROTO_SPLIT_MAGIC:
        return take_magic(split, at, bytes, ret_used, reterr);
    case PROTO_SPLIT_ENVELOPE:
        return take_of_envelope(split, at, bytes, ret_used, reterr);
    case PROTO_SPLIT_LIST:
        if (split->left == 0) { /* an empty one */
            split->state = PROTO_SPLIT_ENVELOPE;
            return take_of_envelope(split, at, bytes, ret_used, reterr);
        }
        return take_of_list(split, at, bytes, ret_used, reterr);
    case PROTO_SPLIT_EVENTS:
        break;
    }
    return take_event(split, at, bytes, ret_used, reterr);
}

static enum err_code take_all(struct proto_split *split, const char *data, size_t bytes, size_t *ret_used,
                              struct err *reterr)
{
    size_t used = 1;
    for (*ret_used = 0; *ret_used < bytes && used > 0; *ret_used += used) {
        used = 0;
        TRY(take_next(split, data + *ret_used, bytes - *ret_used, &used, reterr));
    }
    return ERR_OK;
}

enum err_code proto_split_feed(struct proto_split *split, const char *data, size_t bytes, struct err *reterr)
{
    size_t used = 0;
    bool had_pending = split->pending.length > 0;
    if (had_pending) {
        strbuf_append_bytes(&split->pending, data, bytes);
        if (strbuf_error(&split->pending) == ERR_LIMIT)
            return err_set(reterr, ERR_LIMIT, "one object is larger than %zu bytes", split->limit_bytes);
        TRY(check(&split->pending, reterr));
        data = strbuf_text(&split->pending);
        bytes = split->pending.length;
    }
    TRY(take_all(split, data, bytes, &used, reterr));
    if (had_pending)
        strbuf_consume(&split->pending, used);
    else
        strbuf_append_bytes(&split->pending, data + used, bytes - used);
    return check(&split->pending, reterr);
}

enum err_code proto_split_finish(struct proto_split *split, struct err *reterr)
{
    if (split->pending.length > 0 || split->left > 0)
        return err_set(reterr, ERR_PROTOCOL, "the answer ended in the middle of an object");
    if (split->state == PROTO_SPLIT_EVENTS)
        return ERR_OK;
    if (!split->had_list)
        return err_set(reterr, ERR_PROTOCOL, "the answer is empty");
    return emit_list(split, JSON_SPLIT_REST, reterr);
}
