#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/output.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    TEXT_BYTES = 1 << 20,
    MOST_LINES = 20, /* what goes wrong a thousand times is told twenty times, and counted */
    KEY_BYTES = 64,
};

/* ---- what checks tell ---- */

static void add_line(struct strbuf *text, unsigned count, const char *format, va_list args)
{
    char line[1024];
    if (count > MOST_LINES)
        return;
    (void)vsnprintf(line, sizeof(line), format, args);
    strbuf_printf(text, "%s%s", text->length > 0 ? "\n" : "", line);
}

void check_problem(struct check_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_line(&report->problems, ++report->problem_count, format, args);
    va_end(args);
}

void check_doubt(struct check_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_line(&report->doubts, ++report->doubt_count, format, args);
    va_end(args);
}

void check_note(struct check_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_line(&report->notes, 0, format, args);
    va_end(args);
}

void check_skip(struct check_report *report) { report->skipped = true; }

/* ---- what checks look at ---- */

const json_t *check_at(const json_t *object, const char *path)
{
    while (object != NULL && *path != '\0') {
        char key[KEY_BYTES];
        size_t length = strcspn(path, "/");
        (void)snprintf(key, sizeof(key), "%.*s", (int)length, path);
        object = json_object_get(object, key);
        path += length + (path[length] == '/' ? 1 : 0);
    }
    return object;
}

const char *check_text(const json_t *object, const char *path)
{
    const char *text = json_string_value(check_at(object, path));
    return text != NULL ? text : "";
}

const json_t *check_fact(const json_t *side, const char *key)
{
    return json_object_get(json_object_get(side, key), "value");
}

const json_t *check_items(const json_t *side, const char *key)
{
    const json_t *value = check_fact(side, key), *items = json_object_get(value, "items");
    return json_is_array(value) ? value : json_is_array(items) ? items : NULL;
}

const char *check_fact_error(const json_t *side, const char *key)
{
    return check_text(json_object_get(side, key), "error");
}

bool check_fact_is(const json_t *side, const char *key, enum err_code code)
{
    return strcmp(check_text(json_object_get(side, key), "code"), err_code_name(code)) == 0;
}

const json_t *check_needed_items(struct check_report *report, const json_t *side, const char *key, const char *whose)
{
    const json_t *items = check_items(side, key);
    const char *error = check_fact_error(side, key);
    if (items == NULL)
        check_doubt(report, "cannot be judged: cluster %s: %s", whose,
                    error[0] != '\0' ? error : "its answer is no list of objects");
    return items;
}

/* ---- running ---- */

static const char *hint_base(const struct check *check)
{
    return text_starts_with(check->anchor, "l5d-") ? "https://linkerd.io/2/checks/#" : "docs/check.md#";
}

static void count_rest(struct strbuf *text, unsigned count)
{
    if (count > MOST_LINES)
        strbuf_printf(text, "\nand %u more", count - MOST_LINES);
}

/* The check as it is printed. @return new; NULL when out of memory. */
static json_t *make_entry(const struct check *check, struct check_report *report)
{
    struct strbuf error, description, hint;
    bool failed = report->problem_count > 0, doubted = report->doubt_count > 0;
    const char *result = failed && check->severity != CHECK_WARNING ? "error"
                         : failed || doubted                        ? "warning"
                                                                    : "success";
    strbuf_init(&error, TEXT_BYTES);
    strbuf_init(&description, TEXT_BYTES);
    strbuf_init(&hint, TEXT_BYTES);
    count_rest(&report->problems, report->problem_count);
    count_rest(&report->doubts, report->doubt_count);
    strbuf_printf(&error, "%s%s%s", strbuf_text(&report->problems), failed && doubted ? "\n" : "",
                  strbuf_text(&report->doubts));
    strbuf_printf(&description, "%s%s%s", check->description, report->notes.length > 0 ? "\n" : "",
                  strbuf_text(&report->notes));
    strbuf_printf(&hint, "%s%s", hint_base(check), check->anchor);
    bool whole =
        strbuf_error(&error) == ERR_OK && strbuf_error(&description) == ERR_OK && strbuf_error(&hint) == ERR_OK;
    json_t *entry = NULL;
    if (whole && (failed || doubted))
        entry = json_pack("{s:s, s:s, s:s, s:s}", "description", strbuf_text(&description), "hint", strbuf_text(&hint),
                          "error", strbuf_text(&error), "result", result);
    else if (whole)
        entry = json_pack("{s:s, s:s}", "description", strbuf_text(&description), "result", result);
    strbuf_done(&error);
    strbuf_done(&description);
    strbuf_done(&hint);
    return entry;
}

/* @return borrowed: the list of the category's checks, which is begun where it is a new one; NULL when out of memory. */
static json_t *category_checks(json_t *categories, const char *name)
{
    json_t *last = json_array_get(categories, json_array_size(categories) - 1);
    if (last == NULL || strcmp(check_text(last, "categoryName"), name) != 0) {
        last = json_pack("{s:s, s:[]}", "categoryName", name, "checks");
        if (json_array_append_new(categories, last) != 0)
            return NULL;
    }
    return json_object_get(last, "checks");
}

static enum err_code run_one(const struct check *check, const json_t *snapshot, json_t *categories, bool *ret_failed,
                             const char **ret_awaited)
{
    struct check_report report = {0};
    enum err_code code = ERR_OK;
    strbuf_init(&report.problems, TEXT_BYTES);
    strbuf_init(&report.doubts, TEXT_BYTES);
    strbuf_init(&report.notes, TEXT_BYTES);
    check->run(snapshot, &report);
    *ret_failed = report.problem_count > 0 && check->severity != CHECK_WARNING;
    if (strbuf_error(&report.problems) == ERR_NOMEM || strbuf_error(&report.doubts) == ERR_NOMEM ||
        strbuf_error(&report.notes) == ERR_NOMEM)
        code = ERR_NOMEM;
    else if (!report.skipped || report.problem_count + report.doubt_count > 0) {
        json_t *entry = make_entry(check, &report), *list = category_checks(categories, check->category);
        if (report.problem_count > 0 && check->is_awaited && *ret_awaited == NULL)
            *ret_awaited = json_string_value(json_object_get(entry, "error"));
        code = json_array_append_new(list, entry) == 0 ? ERR_OK : ERR_NOMEM; /* frees the entry when it fails */
    }
    strbuf_done(&report.problems);
    strbuf_done(&report.doubts);
    strbuf_done(&report.notes);
    return code;
}

enum err_code check_run(const struct check *list, const json_t *snapshot, json_t **ret_result, const char **ret_awaited)
{
    json_t *categories = json_array();
    bool success = true, over = false, target_alone = check_is_target_alone(snapshot);
    const char *awaited = NULL;
    enum err_code code = categories != NULL ? ERR_OK : ERR_NOMEM;
    for (const struct check *check = list; code == ERR_OK && check->description != NULL && !over; check++) {
        bool failed = false;
        if (target_alone && strcmp(check->category, CHECK_OF_TARGET) != 0)
            continue;
        code = run_one(check, snapshot, categories, &failed, &awaited);
        success = success && !failed;
        over = failed && check->severity == CHECK_FATAL;
    }
    json_t *result = NULL;
    if (code == ERR_OK)
        result = json_pack("{s:b, s:O}", "success", success, "categories", categories);
    json_decref(categories); /* the result holds it */
    if (result == NULL)
        return ERR_NOMEM;
    *ret_result = result;
    *ret_awaited = awaited;
    return ERR_OK;
}

/* ---- printing ---- */

static void write_lines(const char *lines, const char *indent, struct strbuf *text)
{
    for (const char *at = lines; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        char line[2048];
        (void)snprintf(line, sizeof(line), "%.*s", (int)length, at);
        strbuf_append(text, at == lines ? "" : indent);
        output_text(line, text);
        strbuf_append_char(text, '\n');
        at += length + (at[length] == '\n' ? 1 : 0);
    }
}

static void write_entry(const json_t *entry, struct strbuf *text)
{
    const char *result = check_text(entry, "result"), *hint = check_text(entry, "hint");
    bool good = strcmp(result, "success") == 0, error = strcmp(result, "error") == 0;
    strbuf_append(text, good ? "\u221a " : error ? "\u00d7 " : "\u203c ");
    write_lines(check_text(entry, "description"), "    ", text);
    if (good)
        return;
    strbuf_append(text, "    ");
    write_lines(check_text(entry, "error"), "    ", text);
    strbuf_printf(text, "    see %s for hints\n", hint);
}

static void write_category(const json_t *category, bool is_short, bool *begun, struct strbuf *text)
{
    const char *name = check_text(category, "categoryName");
    const json_t *entry = NULL;
    size_t index = 0;
    bool named = false;
    json_array_foreach(json_object_get(category, "checks"), index, entry)
    {
        if (is_short && strcmp(check_text(entry, "result"), "success") == 0)
            continue;
        if (!named) {
            strbuf_printf(text, "%s%s\n", *begun ? "\n" : "", name);
            for (size_t i = 0; i < strlen(name); i++)
                strbuf_append_char(text, '-');
            strbuf_append_char(text, '\n');
        }
        named = *begun = true;
        write_entry(entry, text);
    }
}

void check_write(const json_t *result, bool is_short, struct strbuf *text)
{
    const json_t *category = NULL;
    size_t index = 0;
    bool begun = false;
    json_array_foreach(json_object_get(result, "categories"), index, category)
        write_category(category, is_short, &begun, text);
    strbuf_printf(text, "%sStatus check results are %s\n", begun ? "\n" : "",
                  json_is_true(json_object_get(result, "success")) ? "\u221a" : "\u00d7");
}
