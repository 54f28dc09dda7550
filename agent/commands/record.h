/* Members of the records that the status API, and commands in its stead, list: plain JSON objects of which nothing is certain. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "mirror/names.h"

/* What commands say of a link or a gateway whose record is `drained`. */
#define RECORD_DRAINED "drained by the annotation " LINK_DRAIN ": the endpoints of its mirrors are not ready"

/** @return the text, borrowed; "" when it is none. */
const char *record_text(const json_t *record, const char *key);
bool record_is_true(const json_t *record, const char *key);
bool record_is_false(const json_t *record, const char *key); /* false, not: absent or null */
/** @return the integer; 0 when it is none. */
json_int_t record_number(const json_t *record, const char *key);
bool record_has_number(const json_t *record, const char *key);
