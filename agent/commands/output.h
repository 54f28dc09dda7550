/* How commands print: a table for people, JSON and YAML for programs. What comes from clusters is printed so that it cannot
 * control the terminal. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/strbuf.h"

enum { OUTPUT_MAX_COLUMNS = 12 };

struct output_column {
    const char *heading; /* NULL ends the list */
    bool right;          /* numbers stand right */
};

/** A table that is laid out when it is complete: columns are as wide as they must be. */
struct output_table {
    const struct output_column *columns; /* borrowed */
    unsigned column_count;
    struct strbuf cells; /* each ended by '\0' */
    unsigned cell_count;
    size_t widths[OUTPUT_MAX_COLUMNS]; /* of what was written last; rows that come later stand below it */
};

void output_table_init(struct output_table *table, const struct output_column *columns);
/** Adds the next cell, row by row. NULL and "" are shown as "-". */
void output_table_add(struct output_table *table, const char *text);
/** Appends the table, two spaces between columns, none at the ends of lines. */
void output_table_write(struct output_table *table, struct strbuf *text);
/** For a table that grows while it is looked at: forgets the rows that were written, and keeps how wide they were. */
void output_table_clear(struct output_table *table);
/** Appends the rows without headings, in columns at least as wide as before. */
void output_table_write_rows(struct output_table *table, struct strbuf *text);
void output_table_done(struct output_table *table);

/** Two spaces of indent and a newline at the end. */
void output_json(const json_t *value, struct strbuf *text);
/** One document, block style; what could be taken for something else than text is quoted. `value` is not changed: jansson walks
 *  objects without const. */
void output_yaml(json_t *value, struct strbuf *text);
/** An array of objects as manifests that `kubectl apply -f -` takes: YAML documents, or one List in JSON. */
void output_manifests(json_t *objects, bool json, struct strbuf *text);
/** Appends `text` with control characters as "?". */
void output_text(const char *text, struct strbuf *to);
/** Writes all of it to stdout. @return false when that failed: a full disk, a closed pipe. */
bool output_print(const struct strbuf *text);
