#include "agent/kube/yaml.h"

#include <stdbool.h>
#include <string.h>
#include <yaml.h>

enum {
    MAX_DEPTH = 32,
    MAX_NODES = 100000, /* a kubeconfig of a thousand contexts has a fifth of it; more is made to fill memory */
};

/* A container that is being filled. */
struct frame {
    json_t *container; /* borrowed: its parent owns it */
    char key[256];     /* of the member to come, in maps */
    bool has_key;
};

struct builder {
    struct frame frames[MAX_DEPTH];
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

static enum err_code take_scalar(struct builder *builder, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t length = event->data.scalar.length;
    struct frame *frame = builder->depth > 0 ? &builder->frames[builder->depth - 1] : NULL;
    if (frame != NULL && json_is_object(frame->container) && !frame->has_key) {
        if (length >= sizeof(frame->key))
            return err_set(builder->reterr, ERR_LIMIT, "line %zu: a key is longer than 255 bytes",
                           event->start_mark.line + 1);
        memcpy(frame->key, text, length + 1);
        frame->has_key = true;
        return ERR_OK;
    }
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool null = plain && (length == 0 || strcmp(text, "null") == 0 || strcmp(text, "~") == 0);
    /* libyaml gives out valid UTF-8 only: a failure here is of memory. */
    return add(builder, null ? json_null() : json_stringn(text, length));
}

static enum err_code take_event(struct builder *builder, const yaml_event_t *event)
{
    struct frame *frame = builder->depth > 0 ? &builder->frames[builder->depth - 1] : NULL;
    bool opens = event->type == YAML_MAPPING_START_EVENT || event->type == YAML_SEQUENCE_START_EVENT;
    if (opens && frame != NULL && json_is_object(frame->container) && !frame->has_key)
        return err_set(builder->reterr, ERR_INVALID, "line %zu: a key is not a scalar", event->start_mark.line + 1);
    switch (event->type) {
    case YAML_MAPPING_START_EVENT:
        return push(builder, json_object());
    case YAML_SEQUENCE_START_EVENT:
        return push(builder, json_array());
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        builder->depth--;
        return ERR_OK;
    case YAML_SCALAR_EVENT:
        return take_scalar(builder, event);
    case YAML_ALIAS_EVENT:
        return err_set(builder->reterr, ERR_INVALID, "line %zu: aliases are not allowed", event->start_mark.line + 1);
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
        more = event.type != YAML_DOCUMENT_END_EVENT && event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        TRY(code);
    }
    return ERR_OK;
}

enum err_code yaml_parse(const char *text, size_t bytes, json_t **ret_root, struct err *reterr)
{
    yaml_parser_t parser;
    struct builder builder = {.reterr = reterr};
    if (!yaml_parser_initialize(&parser))
        return err_set(reterr, ERR_NOMEM, "out of memory");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    enum err_code code = parse_all(&parser, &builder);
    yaml_parser_delete(&parser);
    if (code == ERR_OK && builder.root == NULL)
        code = err_set(reterr, ERR_INVALID, "it is empty");
    if (code != ERR_OK) {
        json_decref(builder.root);
        return code;
    }
    *ret_root = builder.root;
    return ERR_OK;
}
