/* JSON written straight as text, member by member, for lists too long to be built as values first. Failures are the buffer's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

struct json_writer {
    struct strbuf *text; /* borrowed */
    bool after_value;    /* the next one needs a comma */
};

/** `bracket` is '{' or '['. `key` is NULL in arrays and at the top, here and below. */
void json_writer_open(struct json_writer *writer, const char *key, char bracket);
void json_writer_close(struct json_writer *writer, char bracket); /* '}' or ']' */
/** Begins the next line: for what is one record to people and to `grep`. */
void json_writer_break(struct json_writer *writer);
/** NULL and "" are both null: nothing is known, or there is nothing to say. */
void json_writer_text(struct json_writer *writer, const char *key, const char *value);
void json_writer_number(struct json_writer *writer, const char *key, uint64_t value);
void json_writer_bool(struct json_writer *writer, const char *key, bool value);
void json_writer_null(struct json_writer *writer, const char *key);
/** RFC 3339 with microseconds; 0 is null. */
void json_writer_time(struct json_writer *writer, const char *key, int64_t us);
/** Microseconds as milliseconds with three decimals; 0 is null: not measured. */
void json_writer_ms(struct json_writer *writer, const char *key, uint64_t us);
