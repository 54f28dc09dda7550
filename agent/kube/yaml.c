#include "agent/kube/yaml.h"

#include <string.h>
#include <yaml.h>

#include "agent/kube/yaml_scalar.h"

enum {
    MAX_DEPTH = 32,
    MAX_ANCHORS = 64,   /* manifests that people write have a handful */
    MAX_NODES = 100000, /* a kubeconfig of a thousand contexts has a fifth of it; more is made to fill memory */
};

/* A container that is being filled. */
struct frame {
    json_t *container; /* borrowed: its parent owns it */
    char key[256];     /* of the member to come, in maps */
    bool has_key;
};

struct anchor {
    char name[64];
    json_t *value; /* a reference of its own: a later key of the same name may take the value out of the tree */
};

struct builder {
    bool manifest; /* which of the two readings */
    struct frame frames[MAX_DEPTH];
    struct anchor anchors[MAX_ANCHORS];
    unsigned anchor_count;
    unsigned depth, nodes;
    json_t *root;
    struct err *reterr;
};

/* Steals `value`. */
static enum err_code add(struct builder *builder, json_t *value)
{
    if (value == NULL)
        return err_set(builder->reterr, ERR_NOMEM, "out of memory");
    if (++builder->nodes > MAX_NODES) {
        json_decref(value);
        return err_set(builder->reterr, ERR_LIMIT, "more than %d values", MAX_NODES);
    }
    if (builder->depth == 0 && builder->root != NULL) { /* "--- word" begins one, and kubectl does not cut there */
        json_decref(value);
        return err_set(builder->reterr, ERR_INVALID, "another document begins in the middle of it");
    }
    if (builder->depth == 0) {
        builder->root = value;
        return ERR_OK;
    }
    struct frame *frame = &builder->frames[builder->depth - 1];
    int failed = json_is_array(frame->container) ? json_array_append_new(frame->container, value)
                                                 : json_object_set_new(frame->container, frame->key, value);
    frame->has_key = false;
    return failed ? err_set(builder->reterr, ERR_NOMEM, "out of memory") : ERR_OK;
}

static enum err_code push(struct builder *builder, json_t *container)
{
    if (builder->depth == MAX_DEPTH) {
        json_decref(container);
        return err_set(builder->reterr, ERR_LIMIT, "nested deeper than %d", MAX_DEPTH);
    }
    TRY(add(builder, container));
    builder->frames[builder->depth++] = (struct frame){.container = container};
    return ERR_OK;
}

/* ---- anchors and aliases, in manifests ---- */

/* Remembers what was added last under the name of its anchor; a later one of the same name wins. */
static enum err_code note_anchor(struct builder *builder, const yaml_event_t *event, const yaml_char_t *name,
                                 json_t *value)
{
    struct anchor *anchor = &builder->anchors[builder->anchor_count];
    if (name == NULL || !builder->manifest)
        return ERR_OK;
    if (builder->anchor_count == MAX_ANCHORS || strlen((const char *)name) >= sizeof(anchor->name))
        return err_set(builder->reterr, ERR_LIMIT, "line %zu: more than %d anchors, or a name of more than %zu bytes",
                       event->start_mark.line + 1, MAX_ANCHORS, sizeof(anchor->name) - 1);
    memcpy(anchor->name, name, strlen((const char *)name) + 1);
    anchor->value = json_incref(value);
    builder->anchor_count++;
    return ERR_OK;
}

static json_t *find_anchor(const struct builder *builder, const char *name)
{
    for (unsigned i = builder->anchor_count; i > 0; i--)
        if (strcmp(builder->anchors[i - 1].name, name) == 0)
            return builder->anchors[i - 1].value;
    return NULL;
}

static bool is_open(const struct builder *builder, const json_t *value)
{
    for (unsigned i = 0; i < builder->depth; i++)
        if (builder->frames[i].container == value)
            return true;
    return false;
}

/* Aliases of aliases multiply: their copies count like what is written out. */
static unsigned count_nodes(json_t *value, unsigned most)
{
    unsigned count = 1;
    const char *key = NULL;
    json_t *member = NULL;
    size_t index = 0;
    json_object_foreach(value, key, member) count += count <= most ? count_nodes(member, most - count) : 0;
    json_array_foreach(value, index, member) count += count <= most ? count_nodes(member, most - count) : 0;
    return count;
}

/* "<<: *base": members that the map has not yet; those that are written later replace them. */
static enum err_code merge(struct builder *builder, struct frame *frame, json_t *base)
{
    json_t *copy = json_deep_copy(base);
    int failed = copy == NULL || json_object_update_missing(frame->container, copy) != 0;
    json_decref(copy);
    frame->has_key = false;
    return failed ? err_set(builder->reterr, ERR_NOMEM, "out of memory") : ERR_OK;
}

static enum err_code take_alias(struct builder *builder, const yaml_event_t *event)
{
    struct frame *frame = builder->depth > 0 ? &builder->frames[builder->depth - 1] : NULL;
    size_t line = event->start_mark.line + 1;
    json_t *value = builder->manifest ? find_anchor(builder, (const char *)event->data.alias.anchor) : NULL;
    if (!builder->manifest)
        return err_set(builder->reterr, ERR_INVALID, "line %zu: aliases are not allowed", line);
    if (value == NULL || frame == NULL || is_open(builder, value))
        return err_set(builder->reterr, ERR_INVALID, "line %zu: the alias *%.63s stands for nothing", line,
                       (const char *)event->data.alias.anchor);
    builder->nodes += count_nodes(value, MAX_NODES - builder->nodes);
    if (builder->nodes > MAX_NODES)
        return err_set(builder->reterr, ERR_LIMIT, "more than %d values", MAX_NODES);
    if (!json_is_object(frame->container))
        return add(builder, json_deep_copy(value));
    if (!frame->has_key)
        return err_set(builder->reterr, ERR_INVALID, "line %zu: a key is not a scalar", line);
    return strcmp(frame->key, "<<") == 0 && json_is_object(value) ? merge(builder, frame, value)
                                                                  : add(builder, json_deep_copy(value));
}

/* ---- scalars ---- */

static enum err_code take_key(struct builder *builder, struct frame *frame, const yaml_event_t *event)
{
    size_t length = event->data.scalar.length;
    if (length >= sizeof(frame->key))
        return err_set(builder->reterr, ERR_LIMIT, "line %zu: a key is longer than 255 bytes",
                       event->start_mark.line + 1);
    memcpy(frame->key, event->data.scalar.value, length + 1);
    frame->has_key = true;
    return ERR_OK;
}

/* libyaml gives out valid UTF-8 only: a failure of jansson's is of memory. */
static json_t *make_scalar(const struct builder *builder, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (builder->manifest)
        return plain && event->data.scalar.tag == NULL ? yaml_scalar(text, length) : json_stringn(text, length);
    bool null = plain && (length == 0 || strcmp(text, "null") == 0 || strcmp(text, "~") == 0);
    return null ? json_null() : json_stringn(text, length);
}

static enum err_code take_scalar(struct builder *builder, const yaml_event_t *event)
{
    static const char string_tag[] = YAML_STR_TAG;
    const char *tag = (const char *)event->data.scalar.tag;
    struct frame *frame = builder->depth > 0 ? &builder->frames[builder->depth - 1] : NULL;
    if (frame != NULL && json_is_object(frame->container) && !frame->has_key)
        return take_key(builder, frame, event);
    if (builder->manifest && tag != NULL && strcmp(tag, "!") != 0 && strcmp(tag, string_tag) != 0)
        return err_set(builder->reterr, ERR_INVALID, "line %zu: the tag %.100s is not supported",
                       event->start_mark.line + 1, tag);
    json_t *value = make_scalar(builder, event);
    TRY(add(builder, value));
    return note_anchor(builder, event, event->data.scalar.anchor, value);
}

/* ---- events ---- */

static enum err_code open_container(struct builder *builder, const yaml_event_t *event)
{
    bool is_map = event->type == YAML_MAPPING_START_EVENT;
    TRY(push(builder, is_map ? json_object() : json_array()));
    return note_anchor(builder, event, is_map ? event->data.mapping_start.anchor : event->data.sequence_start.anchor,
                       builder->frames[builder->depth - 1].container);
}

static enum err_code take_event(struct builder *builder, const yaml_event_t *event)
{
    struct frame *frame = builder->depth > 0 ? &builder->frames[builder->depth - 1] : NULL;
    bool opens = event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT;
    if (opens && frame != NULL && json_is_object(frame->container) && !frame->has_key)
        return err_set(builder->reterr, ERR_INVALID, "line %zu: a key is not a scalar", event->start_mark.line + 1);
    switch (event->type) {
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return open_container(builder, event);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        builder->depth--;
        return ERR_OK;
    case YAML_SCALAR_EVENT:
        return take_scalar(builder, event);
    case YAML_ALIAS_EVENT:
        return take_alias(builder, event);
    default:
        return ERR_OK;
    }
}

static enum err_code parse_all(yaml_parser_t *parser, struct builder *builder)
{
    for (bool more = true; more;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event))
            return err_set(builder->reterr, parser->error == YAML_MEMORY_ERROR ? ERR_NOMEM : ERR_INVALID,
                           "line %zu: %s", parser->problem_mark.line + 1,
                           parser->problem != NULL ? parser->problem : "not YAML");
        enum err_code code = take_event(builder, &event);
        more = event.type != YAML_STREAM_END_EVENT && (builder->manifest || event.type != YAML_DOCUMENT_END_EVENT);
        yaml_event_delete(&event);
        TRY(code);
    }
    return ERR_OK;
}

static enum err_code parse(const char *text, size_t bytes, bool manifest, json_t **ret_root, struct err *reterr)
{
    yaml_parser_t parser;
    struct builder builder = {.manifest = manifest, .reterr = reterr};
    if (!yaml_parser_initialize(&parser))
        return err_set(reterr, ERR_NOMEM, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    enum err_code code = parse_all(&parser, &builder);
    yaml_parser_delete(&parser);
    for (unsigned i = 0; i < builder.anchor_count; i++)
        json_decref(builder.anchors[i].value);
    if (code == ERR_OK && builder.root == NULL && !manifest)
        code = err_set(reterr, ERR_INVALID, "it is empty");
    if (code != ERR_OK) {
        json_decref(builder.root);
        return code;
    }
    *ret_root = builder.root;
    return ERR_OK;
}

enum err_code yaml_parse(const char *text, size_t bytes, json_t **ret_root, struct err *reterr)
{
    return parse(text, bytes, false, ret_root, reterr);
}

enum err_code yaml_parse_manifest(const char *text, size_t bytes, json_t **ret_root, struct err *reterr)
{
    return parse(text, bytes, true, ret_root, reterr);
}

/* ---- streams of manifests ---- */

static bool is_separator(const char *line)
{
    if (strncmp(line, "---", 3) != 0)
        return false;
    const char *rest = line + 3 + strspn(line + 3, " \t\r");
    return *rest == '\0' || *rest == '\n' || *rest == '#';
}

static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end != NULL ? end + 1 : line + strlen(line);
}

bool yaml_next_document(const char **at, const char **ret_document, size_t *ret_bytes)
{
    const char *begin = *at;
    if (is_separator(begin))
        begin = next_line(begin);
    const char *end = begin;
    while (*end != '\0' && !is_separator(end))
        end = next_line(end);
    *ret_document = begin;
    *ret_bytes = (size_t)(end - begin);
    bool any = begin != end || *end != '\0';
    *at = end;
    return any;
}
