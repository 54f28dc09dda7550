#include <string.h>

#include "agent/kube/proto.h"
#include "agent/kube/proto_schema.h"
#include "base/mem.h"
#include "base/text.h"

/* An object while it is filled. */
struct filling {
    struct arena *arena;
    struct err *reterr;
    struct json_tree *object;
    const struct json_tree **link; /* where its next member goes */
    unsigned at;                   /* the member that came last: they come by number */
    /* Of members that are lists or maps: theirs, and where the next item goes. */
    struct json_tree *containers[PROTO_MEMBERS_MAX];
    const struct json_tree **links[PROTO_MEMBERS_MAX];
};

static enum err_code no_memory(struct err *reterr) { return err_set(reterr, ERR_NOMEM, "out of memory"); }

enum err_code proto_wrong(struct err *reterr, const char *what)
{
    return err_set(reterr, ERR_PROTOCOL, "not protobuf of the kind that was asked for: %s", what);
}

static enum err_code read_message(struct arena *arena, const char *bytes, size_t length, const struct proto_type *type,
                                  struct json_tree *object, struct err *reterr);

/* ---- values ---- */

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* Annotations may hold a NUL, and whoever writes protobuf may write what is not UTF-8. As Go's JSON does with the latter, each such byte is replaced: one
 * text that nobody needs must not keep all other objects from being read. */
static enum err_code mend_text(struct arena *arena, const struct proto_field *field, const char *text,
                               struct json_tree *value, struct err *reterr)
{
    char *mended = arena_alloc(arena, strlen(REPLACEMENT) * field->length + 1), *to = mended;
    if (mended == NULL)
        return no_memory(reterr);
    for (const char *at = text; at < text + field->length;) {
        size_t bytes = *at != '\0' ? text_utf8_bytes(at) : 0, kept = bytes > 0 ? bytes : strlen(REPLACEMENT);
        memcpy(to, bytes > 0 ? at : REPLACEMENT, kept);
        to += kept;
        at += bytes > 0 ? bytes : 1;
    }
    value->text = mended;
    return ERR_OK;
}

/* @param[out] value  a string. */
static enum err_code read_text(struct arena *arena, const struct proto_field *field, struct json_tree *value,
                               struct err *reterr)
{
    char *text = arena_alloc(arena, field->length + 1);
    if (text == NULL)
        return no_memory(reterr);
    if (field->length > 0)
        memcpy(text, field->bytes, field->length);
    value->type = JSON_TREE_STRING;
    value->text = text;
    for (size_t at = text_ascii_bytes(text, field->length); at < field->length;) {
        size_t bytes = text_utf8_bytes(text + at);
        if (bytes == 0 || text[at] == '\0')
            return mend_text(arena, field, text, value, reterr);
        at += bytes;
    }
    return ERR_OK;
}

/* Two numbers and a text, as small messages have them: seconds and nanoseconds, or one of a number and a text. */
struct small {
    int64_t numbers[3];           /* by field number */
    struct proto_field fields[4]; /* texts by field number; 0 for those that are not there */
};

static enum err_code read_small(const struct proto_field *field, struct small *small, struct err *reterr)
{
    struct proto_reader reader = proto_read(field->bytes, field->length);
    struct proto_field inner;
    *small = (struct small){0};
    while (proto_next(&reader, &inner)) {
        if (inner.wire == PROTO_VARINT && inner.number < ARRAY_COUNT(small->numbers))
            small->numbers[inner.number] = (int64_t)inner.varint;
        else if (inner.wire == PROTO_BYTES && inner.number < ARRAY_COUNT(small->fields))
            small->fields[inner.number] = inner;
    }
    return reader.is_broken ? proto_wrong(reterr, "a message ends too early") : ERR_OK;
}

/* Whole seconds, as metav1.Time has them in JSON. */
static enum err_code read_time(struct arena *arena, const struct proto_field *field, struct json_tree *value,
                               struct err *reterr)
{
    static const int64_t last_second = 253402300799; /* of the year 9999, beyond which RFC 3339 has none */
    struct small small;
    char *text = arena_alloc(arena, TEXT_TIME_BYTES);
    if (text == NULL)
        return no_memory(reterr);
    TRY(read_small(field, &small, reterr));
    if (small.numbers[1] < 0 || small.numbers[1] > last_second)
        return proto_wrong(reterr, "a time that no calendar has");
    text_format_time(small.numbers[1] * 1000000, text);
    value->type = JSON_TREE_STRING;
    value->text = text;
    return ERR_OK;
}

static enum err_code read_int_or_string(struct arena *arena, const struct proto_field *field, struct json_tree *value,
                                        struct err *reterr)
{
    struct small small;
    TRY(read_small(field, &small, reterr));
    if (small.numbers[1] != 0)
        return read_text(arena, &small.fields[3], value, reterr);
    value->type = JSON_TREE_INTEGER;
    value->integer = small.numbers[2];
    return ERR_OK;
}

static enum err_code read_bytes(struct arena *arena, const struct proto_field *field, const struct proto_member *member,
                                struct json_tree *value, struct err *reterr)
{
    if (member->kind == PROTO_TEXT)
        return read_text(arena, field, value, reterr);
    if (member->kind == PROTO_TIME)
        return read_time(arena, field, value, reterr);
    if (member->kind == PROTO_INT_OR_STRING)
        return read_int_or_string(arena, field, value, reterr);
    return read_message(arena, field->bytes, field->length, member->type, value, reterr);
}

static enum err_code read_value(struct arena *arena, const struct proto_field *field, const struct proto_member *member,
                                struct json_tree *value, struct err *reterr)
{
    bool is_varint = member->kind == PROTO_INTEGER || member->kind == PROTO_BOOLEAN;
    value->type = JSON_TREE_OBJECT;
    if (member->kind == PROTO_PRESENT)
        return ERR_OK;
    if (field->wire != (is_varint ? PROTO_VARINT : PROTO_BYTES))
        return proto_wrong(reterr, member->key);
    if (!is_varint)
        return read_bytes(arena, field, member, value, reterr);
    value->type = member->kind == PROTO_INTEGER ? JSON_TREE_INTEGER
                  : field->varint != 0          ? JSON_TREE_TRUE
                                                : JSON_TREE_FALSE;
    if (member->kind == PROTO_INTEGER)
        value->integer = (int64_t)field->varint;
    return ERR_OK;
}

/* ---- members ---- */

static struct json_tree *append(struct arena *arena, struct json_tree *parent, const struct json_tree ***link)
{
    struct json_tree *child = ARENA_NEW(arena, struct json_tree);
    if (child == NULL)
        return NULL;
    **link = child;
    *link = &child->next;
    parent->count++;
    return child;
}

static struct json_tree *append_member(struct filling *filling, const char *key)
{
    struct json_tree *member = append(filling->arena, filling->object, &filling->link);
    if (member != NULL) {
        member->key = key;
        member->key_bytes = (uint32_t)strlen(key);
    }
    return member;
}

/* The list or map of the member that came last. @return NULL when out of memory. */
static struct json_tree *obtain_container(struct filling *filling, const struct proto_member *member)
{
    struct json_tree *container = filling->containers[filling->at];
    if (container != NULL)
        return container;
    container = append_member(filling, member->key);
    if (container == NULL)
        return NULL;
    container->type = member->is_list ? JSON_TREE_ARRAY : JSON_TREE_OBJECT;
    filling->containers[filling->at] = container;
    filling->links[filling->at] = &container->first;
    return container;
}

/* An entry of a map: a message of its own. */
static enum err_code read_entry(struct filling *filling, const struct proto_field *field, struct json_tree *value)
{
    struct small small;
    struct json_tree key;
    TRY(read_small(field, &small, filling->reterr));
    TRY(read_text(filling->arena, &small.fields[1], &key, filling->reterr));
    value->key = key.text;
    value->key_bytes = (uint32_t)strlen(key.text);
    return read_text(filling->arena, &small.fields[2], value, filling->reterr);
}

static enum err_code add_to_container(struct filling *filling, const struct proto_field *field,
                                      const struct proto_member *member)
{
    struct json_tree *container = obtain_container(filling, member);
    struct json_tree *value =
        container != NULL ? append(filling->arena, container, &filling->links[filling->at]) : NULL;
    if (value == NULL)
        return no_memory(filling->reterr);
    if (member->is_list)
        return read_value(filling->arena, field, member, value, filling->reterr);
    return field->wire == PROTO_BYTES ? read_entry(filling, field, value) : proto_wrong(filling->reterr, member->key);
}

/* What `omitempty` leaves out of JSON. */
static bool is_left_out(const struct proto_field *field, const struct proto_member *member)
{
    if (member->kind == PROTO_INTEGER)
        return field->wire == PROTO_VARINT && field->varint == 0;
    bool may_be_empty = member->kind == PROTO_TEXT || member->kind == PROTO_TIME;
    return may_be_empty && field->wire == PROTO_BYTES && field->length == 0;
}

static enum err_code add_member(struct filling *filling, const struct proto_field *field,
                                const struct proto_member *member)
{
    if (member->is_list || member->kind == PROTO_MAP)
        return add_to_container(filling, field, member);
    if (is_left_out(field, member))
        return ERR_OK;
    struct json_tree *value = append_member(filling, member->key);
    return value != NULL ? read_value(filling->arena, field, member, value, filling->reterr)
                         : no_memory(filling->reterr);
}

/* A field that Kubernetes has by now and the table has not: that it is there matters. */
static enum err_code add_unknown(struct filling *filling)
{
    struct json_tree *unknown = append_member(filling, "?");
    if (unknown == NULL)
        return no_memory(filling->reterr);
    unknown->type = JSON_TREE_OBJECT;
    return ERR_OK;
}

/* @return NULL when nobody reads that field. */
static const struct proto_member *find_member(struct filling *filling, const struct proto_type *type, uint32_t number)
{
    for (unsigned tried = 0; tried < type->count; tried++) {
        if (type->members[filling->at].number == number)
            return &type->members[filling->at];
        filling->at = filling->at + 1 < type->count ? filling->at + 1 : 0;
    }
    return NULL;
}

static struct filling begin_object(struct arena *arena, struct json_tree *object, struct err *reterr)
{
    object->type = JSON_TREE_OBJECT;
    return (struct filling){.arena = arena, .reterr = reterr, .object = object, .link = &object->first};
}

static enum err_code fill(struct filling *filling, const char *bytes, size_t length, const struct proto_type *type)
{
    struct proto_reader reader = proto_read(bytes, length);
    struct proto_field field;
    while (proto_next(&reader, &field)) {
        const struct proto_member *member = find_member(filling, type, field.number);
        if (member != NULL)
            TRY(add_member(filling, &field, member));
        else if (type->tells_unknown)
            TRY(add_unknown(filling));
    }
    return reader.is_broken ? proto_wrong(filling->reterr, "a message ends too early") : ERR_OK;
}

static enum err_code read_message(struct arena *arena, const char *bytes, size_t length, const struct proto_type *type,
                                  struct json_tree *object, struct err *reterr)
{
    struct filling filling = begin_object(arena, object, reterr);
    return fill(&filling, bytes, length, type);
}

static enum err_code read_root(struct arena *arena, const char *bytes, size_t length, const struct proto_type *type,
                               const struct json_tree **ret_tree, struct err *reterr)
{
    struct json_tree *root = ARENA_NEW(arena, struct json_tree);
    if (root == NULL)
        return no_memory(reterr);
    TRY(read_message(arena, bytes, length, type, root, reterr));
    *ret_tree = root;
    return ERR_OK;
}

enum err_code proto_tree_read(struct arena *arena, const char *bytes, size_t length, const struct proto_type *type,
                              const struct json_tree **ret_tree, struct err *reterr)
{
    return read_root(arena, bytes, length, type, ret_tree, reterr);
}

enum err_code proto_tree_list_meta(struct arena *arena, const char *bytes, size_t length,
                                   const struct json_tree **ret_tree, struct err *reterr)
{
    return read_root(arena, bytes, length, &proto_list_meta, ret_tree, reterr);
}

enum err_code proto_tree_type_meta(struct arena *arena, const char *bytes, size_t length,
                                   const struct json_tree **ret_tree, struct err *reterr)
{
    return read_root(arena, bytes, length, &proto_type_meta, ret_tree, reterr);
}

/* ---- envelopes ---- */

/* A runtime.Unknown: its type, and the object's bytes. What is compressed or of another encoding (fields 3 and 4) API servers do not send. */
struct envelope {
    const struct json_tree *type_meta;
    struct proto_field raw;
};

static enum err_code open_envelope(struct arena *arena, const char *bytes, size_t length, struct envelope *ret_envelope,
                                   struct err *reterr)
{
    *ret_envelope = (struct envelope){.raw = {.bytes = ""}};
    if (length < sizeof(PROTO_MAGIC) || memcmp(bytes, PROTO_MAGIC, sizeof(PROTO_MAGIC)) != 0)
        return proto_wrong(reterr, "an object does not begin with \"k8s\"");
    struct proto_reader reader = proto_read(bytes + sizeof(PROTO_MAGIC), length - sizeof(PROTO_MAGIC));
    struct proto_field field;
    while (proto_next(&reader, &field)) {
        if (field.wire != PROTO_BYTES)
            continue;
        if (field.number == 1)
            TRY(proto_tree_type_meta(arena, field.bytes, field.length, &ret_envelope->type_meta, reterr));
        else if (field.number == 2)
            ret_envelope->raw = field;
        else if (field.number == 3 && field.length > 0)
            return proto_wrong(reterr, "an object is encoded once more");
    }
    return reader.is_broken ? proto_wrong(reterr, "an envelope ends too early") : ERR_OK;
}

static const char *kind_of(const struct envelope *envelope)
{
    const char *kind = json_tree_text(json_tree_get(envelope->type_meta, "kind"));
    return kind != NULL ? kind : "";
}

/* The object's members, and its kind behind them. */
static enum err_code read_object(struct arena *arena, const struct envelope *envelope, const struct proto_type *type,
                                 struct json_tree *object, struct err *reterr)
{
    struct filling filling = begin_object(arena, object, reterr);
    TRY(fill(&filling, envelope->raw.bytes, envelope->raw.length, type));
    struct json_tree *kind = append_member(&filling, "kind");
    if (kind == NULL)
        return no_memory(reterr);
    kind->type = JSON_TREE_STRING;
    kind->text = kind_of(envelope);
    return ERR_OK;
}

/* A message that has nothing that anybody reads. */
static const struct proto_type unread = {NULL, 0, false};

static enum err_code read_event_object(struct arena *arena, const struct proto_field *extension,
                                       const struct proto_type *type, struct json_tree *object, struct err *reterr)
{
    struct small raw; /* of a runtime.RawExtension */
    struct envelope envelope;
    TRY(read_small(extension, &raw, reterr));
    TRY(open_envelope(arena, raw.fields[1].bytes, raw.fields[1].length, &envelope, reterr));
    if (kind_of(&envelope)[0] == '\0')
        return proto_wrong(reterr, "an object does not say of what kind it is");
    if (strcmp(kind_of(&envelope), "Status") == 0)
        type = &proto_status;
    else if (type == NULL || proto_type_of(kind_of(&envelope)) != type)
        type = &unread;
    return read_object(arena, &envelope, type, object, reterr);
}

enum err_code proto_tree_event(struct arena *arena, const char *bytes, size_t length, const struct proto_type *type,
                               const struct json_tree **ret_tree, struct err *reterr)
{
    struct small event; /* a metav1.WatchEvent: its type, its object */
    const struct proto_field whole = {.bytes = bytes, .length = length};
    struct json_tree *root = ARENA_NEW(arena, struct json_tree);
    if (root == NULL)
        return no_memory(reterr);
    TRY(read_small(&whole, &event, reterr));
    struct filling filling = begin_object(arena, root, reterr);
    struct json_tree *type_text = append_member(&filling, "type"), *object = append_member(&filling, "object");
    if (type_text == NULL || object == NULL)
        return no_memory(reterr);
    TRY(read_text(arena, &event.fields[1], type_text, reterr));
    TRY(read_event_object(arena, &event.fields[2], type, object, reterr));
    *ret_tree = root;
    return ERR_OK;
}

enum err_code proto_tree_status(struct arena *arena, const char *bytes, size_t length,
                                const struct json_tree **ret_tree, struct err *reterr)
{
    struct envelope envelope;
    TRY(open_envelope(arena, bytes, length, &envelope, reterr));
    if (strcmp(kind_of(&envelope), "Status") != 0)
        return proto_wrong(reterr, "it is no Status");
    return read_root(arena, envelope.raw.bytes, envelope.raw.length, &proto_status, ret_tree, reterr);
}
