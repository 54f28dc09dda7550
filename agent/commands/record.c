#include "agent/commands/record.h"

const char *record_text(const json_t *record, const char *key)
{
    const char *text = json_string_value(json_object_get(record, key));
    return text != NULL ? text : "";
}

bool record_is_true(const json_t *record, const char *key) { return json_is_true(json_object_get(record, key)); }

bool record_is_false(const json_t *record, const char *key) { return json_is_false(json_object_get(record, key)); }

json_int_t record_number(const json_t *record, const char *key)
{
    return json_integer_value(json_object_get(record, key));
}

bool record_has_number(const json_t *record, const char *key) { return json_is_integer(json_object_get(record, key)); }
