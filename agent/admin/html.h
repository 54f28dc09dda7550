/* The pieces that the status page is made of: text that is never markup, cells, tables, times. Failures are the buffer's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

struct html {
    struct strbuf *text; /* borrowed */
    int64_t now_us;      /* wall clock, for "3m12s ago" */
};

/** Markup as it is. */
void html_put(struct html *html, const char *markup);
/** Text from anywhere, escaped; NULL is "". Good between tags and in quoted attributes. */
void html_text(struct html *html, const char *text);
/** A value in a query, percent-encoded. */
void html_query_value(struct html *html, const char *text);
/** A word with a dot in its colour. @param class  "good", "bad" or "wait". */
void html_state(struct html *html, const char *class, const char *word);
/** How far away a time is, in its two largest units: "3d4h", "12s". */
void html_distance(struct html *html, uint64_t seconds);

void html_cell(struct html *html, const char *text);
void html_cell_state(struct html *html, const char *class, const char *word);
/** The reason in short, and below it in words; either may be NULL or "". */
void html_cell_reason(struct html *html, const char *reason, const char *words);
/** "1 of 2"; not all of them is marked. */
void html_cell_ratio(struct html *html, uint64_t part, uint64_t whole);
/** @param us  wall clock; 0: not known. */
void html_cell_time(struct html *html, int64_t us);

/** Begins a section with its heading. @param id  of the section, for links and for the script. */
void html_begin_section(struct html *html, const char *id, const char *title);
void html_end_section(struct html *html);
/** Begins a table that scrolls by itself, also by keyboard.
 *  @param id        of its caption.
 *  @param headings  separated by '|'; one that begins with '#' is of a column of numbers. */
void html_begin_table(struct html *html, const char *id, const char *caption, const char *headings);
void html_end_table(struct html *html);
/** Begins a body of rows, which the script follows by its key, and its first row up to the row's heading.
 *  @param kind, cluster, namespace, name, more  make the key; cluster, namespace and name are the heading. "" or NULL is left out. */
void html_begin_rows(struct html *html, const char *kind, const char *cluster, const char *namespace, const char *name,
                     const char *more);
void html_end_rows(struct html *html);
