#include "agent/commands/cells.h"

#include <inttypes.h>
#include <stdio.h>

#include "agent/commands/record.h"
#include "base/text.h"

enum { CELL_BYTES = 512, SECOND_MS = 1000 };

void cell_number(struct output_table *out, const json_t *record, const char *key, const char *unit)
{
    char text[32] = "";
    if (record_has_number(record, key))
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT "%s", record_number(record, key), unit);
    output_table_add(out, text);
}

void cell_share(struct output_table *out, const json_t *record, const char *part, const char *whole)
{
    char text[48] = "";
    if (record_has_number(record, part) && record_has_number(record, whole))
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT "/%" JSON_INTEGER_FORMAT,
                       record_number(record, part), record_number(record, whole));
    else if (record_has_number(record, part))
        (void)snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT "/?", record_number(record, part));
    output_table_add(out, text);
}

void cell_truth(struct output_table *out, const json_t *record, const char *key)
{
    output_table_add(out, record_is_true(record, key) ? "True" : record_is_false(record, key) ? "False" : "");
}

void cell_age(struct output_table *out, const json_t *record, const char *key)
{
    char text[32] = "";
    json_int_t ms = record_number(record, key);
    if (record_has_number(record, key) && ms >= 0) /* above a second, nobody asks for parts of it */
        text_format_duration_ms(ms < SECOND_MS ? (uint64_t)ms : (uint64_t)(ms - ms % SECOND_MS), text, sizeof(text));
    output_table_add(out, text);
}

void cell_name(struct output_table *out, const json_t *record, const char *namespace_key, const char *name_key)
{
    char text[CELL_BYTES] = "";
    if (record_text(record, name_key)[0] != '\0')
        (void)snprintf(text, sizeof(text), "%s/%s", record_text(record, namespace_key), record_text(record, name_key));
    output_table_add(out, text);
}
