/* Reading single fields of a JSON object, with errors that name the object and the field. Internal to agent/kube: what codec*.c is made
 * of. Absent and null are the same everywhere, as in the API. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/json_tree.h"
#include "base/arena.h"
#include "base/err.h"
#include "mirror/object.h"

/* What is being decoded. */
struct decoder {
    struct arena *arena;
    const char *kind, *namespace, *name;
    struct err *reterr;
};

/** Sets up the decoder and reads the metadata. @return ERR_OK, ERR_INVALID, ERR_NOMEM. */
enum err_code field_begin(struct decoder *decoder, struct arena *arena, const struct json_tree *json, const char *kind,
                          struct object_meta *meta, struct err *reterr) MUST_USE;

/** Both return the code that they set: ERR_INVALID "Service ns/name: field port is not a port number", and ERR_NOMEM. */
enum err_code field_wrong(const struct decoder *decoder, const char *field, const char *wanted);
enum err_code field_no_memory(const struct decoder *decoder);

/** "" when absent. */
enum err_code field_text(const struct decoder *decoder, const struct json_tree *object, const char *field,
                         const char **ret_text) MUST_USE;
/** NULL when absent. */
enum err_code field_optional(const struct decoder *decoder, const struct json_tree *object, const char *field,
                             const char **ret_text) MUST_USE;
/** NULL when absent. */
enum err_code field_object(const struct decoder *decoder, const struct json_tree *object, const char *field,
                           const struct json_tree **ret_child) MUST_USE;
/** A list of objects; NULL when absent. */
enum err_code field_objects(const struct decoder *decoder, const struct json_tree *object, const char *field,
                            const struct json_tree **ret_list) MUST_USE;
/** A list of strings; none when absent. */
enum err_code field_texts(const struct decoder *decoder, const struct json_tree *object, const char *field,
                          const char *const **ret_texts, uint32_t *ret_count) MUST_USE;
/** 0 when absent. */
enum err_code field_port(const struct decoder *decoder, const struct json_tree *object, const char *field,
                         uint16_t *ret_port) MUST_USE;
enum err_code field_bool(const struct decoder *decoder, const struct json_tree *object, const char *field,
                         bool otherwise, bool *ret_value) MUST_USE;
/** TCP when absent. */
enum err_code field_protocol(const struct decoder *decoder, const struct json_tree *object, enum protocol *ret_protocol)
    MUST_USE;
