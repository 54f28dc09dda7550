#include "agent/commands/output.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"

enum {
    CELLS_BYTES = 64 << 20,
    GAP = 2,
};

/* ---- text ---- */

/* @return whether `text` begins with a control character; those of two bytes (C1) are told by both. */
static bool is_control(const unsigned char *text)
{
    return text[0] < 0x20 || text[0] == 0x7f || (text[0] == 0xc2 && text[1] >= 0x80 && text[1] < 0xa0);
}

void output_text(const char *text, struct strbuf *to)
{
    for (const unsigned char *at = (const unsigned char *)text; *at != '\0'; at++) {
        bool control = is_control(at);
        strbuf_append_char(to, control ? '?' : (char)*at);
        at += control && *at == 0xc2 ? 1 : 0;
    }
}

/* Characters of UTF-8, not bytes; each is taken for one column wide. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80 ? 1 : 0;
    return width;
}

/* ---- tables ---- */

void output_table_init(struct output_table *table, const struct output_column *columns)
{
    *table = (struct output_table){.columns = columns};
    while (table->column_count < OUTPUT_MAX_COLUMNS && columns[table->column_count].heading != NULL)
        table->column_count++;
    strbuf_init(&table->cells, CELLS_BYTES);
}

void output_table_add(struct output_table *table, const char *text)
{
    output_text(text != NULL && text[0] != '\0' ? text : "-", &table->cells);
    strbuf_append_char(&table->cells, '\0');
    table->cell_count++;
}

static void put_cell(const struct output_table *table, unsigned column, const char *cell, size_t width,
                     struct strbuf *text)
{
    bool last = column + 1 == table->column_count;
    int padding = (int)(width - width_of(cell));
    if (table->columns[column].right)
        strbuf_printf(text, "%*s%s", padding, "", cell);
    else
        strbuf_printf(text, "%s%*s", cell, last ? 0 : padding, "");
    strbuf_printf(text, "%*s", last ? 0 : GAP, "");
    if (last)
        strbuf_append_char(text, '\n');
}

static void widen(struct output_table *table, unsigned column, const char *cell)
{
    size_t width = width_of(cell);
    if (width > table->widths[column])
        table->widths[column] = width;
}

void output_table_write_rows(struct output_table *table, struct strbuf *text)
{
    const char *cell = strbuf_text(&table->cells);
    for (unsigned i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1)
        widen(table, i % table->column_count, cell);
    cell = strbuf_text(&table->cells);
    for (unsigned i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1)
        put_cell(table, i % table->column_count, cell, table->widths[i % table->column_count], text);
}

void output_table_write(struct output_table *table, struct strbuf *text)
{
    const char *cell = strbuf_text(&table->cells);
    for (unsigned i = 0; i < table->column_count; i++)
        widen(table, i, table->columns[i].heading);
    for (unsigned i = 0; i < table->cell_count; i++, cell += strlen(cell) + 1)
        widen(table, i % table->column_count, cell);
    for (unsigned i = 0; i < table->column_count; i++)
        put_cell(table, i, table->columns[i].heading, table->widths[i], text);
    output_table_write_rows(table, text);
}

void output_table_clear(struct output_table *table)
{
    strbuf_clear(&table->cells);
    table->cell_count = 0;
}

void output_table_done(struct output_table *table) { strbuf_done(&table->cells); }

/* ---- JSON ---- */

/* As many digits as any decimal number keeps through a double: 2.352 stays 2.352. */
#define DIGITS JSON_REAL_PRECISION(15)

static int append(const char *bytes, size_t count, void *context)
{
    strbuf_append_bytes(context, bytes, count);
    return 0;
}

/* A dump that fails for want of memory must not pass for a whole one. */
static void dump(const json_t *value, size_t flags, struct strbuf *text)
{
    if (json_dump_callback(value, append, text, flags) != 0 && strbuf_error(text) == ERR_OK)
        text->error = ERR_NOMEM;
}

void output_json(const json_t *value, struct strbuf *text)
{
    dump(value, JSON_INDENT(2) | JSON_ENCODE_ANY | DIGITS, text);
    strbuf_append_char(text, '\n');
}

/* ---- YAML ---- */

/* Whether every reader of YAML 1.1 and 1.2 takes the bare word for this text: it begins with a letter, has nothing that YAML
 * gives a meaning to, and is no other spelling of a boolean or null. */
static bool is_plain(const char *text)
{
    static const char *const words[] = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strcasecmp(text, words[i]) == 0)
            return false;
    for (const char *c = text; *c != '\0'; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z');
        bool inner = (*c >= '0' && *c <= '9') || strchr("_-./", *c) != NULL;
        if (!letter && (c == text || !inner))
            return false;
    }
    return text[0] != '\0';
}

/* Nothing but a plain word, or a quoted text, is a key for every reader. */
static void put_key(const char *key, struct strbuf *text)
{
    if (is_plain(key)) {
        strbuf_append(text, key);
        return;
    }
    json_t *quoted = json_string(key);
    dump(quoted, JSON_ENCODE_ANY, text);
    json_decref(quoted);
}

static void put_scalar(const json_t *value, struct strbuf *text)
{
    const char *string = json_string_value(value);
    if (string != NULL && is_plain(string))
        strbuf_append(text, string);
    else /* JSON's strings, numbers, null, [] and {} are YAML's */
        dump(value, JSON_COMPACT | JSON_ENCODE_ANY | DIGITS, text);
}

static bool is_block(const json_t *value) { return json_array_size(value) > 0 || json_object_size(value) > 0; }

static void put_indent(struct strbuf *text, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        strbuf_append(text, "  ");
}

/* @param on_line  whether the first line is begun already: "- " stands there. */
static void put_yaml(json_t *value, unsigned depth, bool on_line, struct strbuf *text)
{
    const char *key = NULL;
    json_t *member = NULL;
    size_t index = 0;
    if (!is_block(value)) {
        put_scalar(value, text);
        strbuf_append_char(text, '\n');
        return;
    }
    json_object_foreach(value, key, member)
    {
        put_indent(text, on_line ? 0 : depth);
        on_line = false;
        put_key(key, text);
        strbuf_append(text, is_block(member) ? ":\n" : ": ");
        put_yaml(member, depth + (json_is_array(member) ? 0 : 1), false, text);
    }
    json_array_foreach(value, index, member)
    {
        put_indent(text, on_line ? 0 : depth);
        on_line = false;
        strbuf_append(text, "- ");
        put_yaml(member, depth + 1, true, text);
    }
}

void output_yaml(json_t *value, struct strbuf *text) { put_yaml(value, 0, false, text); }

void output_manifests(json_t *objects, bool json, struct strbuf *text)
{
    json_t *object = NULL, *list = NULL;
    size_t index = 0;
    if (json) {
        list = json_pack("{s:s, s:s, s:O}", "apiVersion", "v1", "kind", "List", "items", objects);
        output_json(list, text);
        json_decref(list);
        return;
    }
    json_array_foreach(objects, index, object)
    {
        strbuf_append(text, index > 0 ? "---\n" : "");
        output_yaml(object, text);
    }
}

/* Once: what cannot be written mostly cannot be written again. */
static void tell_trouble(const char *cause)
{
    static bool told;
    if (!told)
        (void)fprintf(stderr, "svcmirror: standard output: %s\n", cause);
    told = true;
}

bool output_print(const struct strbuf *text)
{
    if (strbuf_error(text) != ERR_OK) {
        tell_trouble("it is too long, or memory ran out");
        return false;
    }
    errno = 0;
    if (fwrite(strbuf_text(text), 1, text->length, stdout) == text->length && fflush(stdout) == 0)
        return true;
    tell_trouble(strerror(errno));
    return false;
}
