/* Cells of tables of records, as several commands print them. What is not known stays empty, which a table shows as "-". */
#pragma once

#include <jansson.h>

#include "agent/commands/output.h"

void cell_number(struct output_table *out, const json_t *record, const char *key, const char *unit);
/** "3/4"; empty when neither is known, "3/?" when the second is not. */
void cell_share(struct output_table *out, const json_t *record, const char *part, const char *whole);
/** "True", "False"; empty when it is not known. */
void cell_truth(struct output_table *out, const json_t *record, const char *key);
/** Milliseconds as people say them: "250ms", "1.5s", "3h2m0s". */
void cell_age(struct output_table *out, const json_t *record, const char *key);
/** "namespace/name"; empty without a name. */
void cell_name(struct output_table *out, const json_t *record, const char *namespace_key, const char *name_key);
