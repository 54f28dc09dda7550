#include "agent/commands/view.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/record.h"
#include "agent/commands/view_changes.h"

enum {
    WATCH_MS = 1000,
    OUTPUT_BYTES = 64 << 20,
};

/* ---- what is asked for ---- */

static bool is_wanted(const struct view *view, const json_t *record, const struct options *options)
{
    const char *cluster = options_text(options, "cluster-name");
    if (cluster != NULL && strcmp(record_text(record, "clusterName"), cluster) != 0)
        return false;
    return view->wanted == NULL || view->wanted(record, options);
}

/* Where the record goes, after all that are not behind it. */
static size_t place_of(const json_t *sorted, const json_t *record, const char *const *identity)
{
    size_t low = 0, high = json_array_size(sorted);
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (view_compare(json_array_get(sorted, middle), record, identity) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

enum err_code view_read(const struct view *view, struct look *look, json_t **ret_records, struct err *reterr)
{
    json_t *all = NULL, *record = NULL;
    size_t index = 0;
    TRY(view->read(look, &all, reterr));
    json_t *selected = json_array();
    json_array_foreach(all, index, record)
    {
        if (selected == NULL || !is_wanted(view, record, look->options))
            continue;
        if (json_array_insert(selected, place_of(selected, record, view->identity), record) == 0)
            continue;
        json_decref(selected);
        selected = NULL;
    }
    json_decref(all);
    if (selected == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    *ret_records = selected;
    return ERR_OK;
}

/* ---- printing ---- */

static bool is_wide(const struct options *options) { return strcmp(options_text(options, "output"), "wide") == 0; }

static void begin_table(const struct view *view, const struct options *options, struct output_table *out)
{
    output_table_init(out, is_wide(options) ? view->wide_columns : view->columns);
}

static void add_rows(const struct view *view, const json_t *records, const struct options *options,
                     struct output_table *out)
{
    const json_t *record = NULL;
    size_t index = 0;
    json_array_foreach(records, index, record) view->add_row(out, record, is_wide(options));
}

bool view_print(const struct view *view, json_t *records, const struct options *options)
{
    const char *format = options_text(options, "output");
    struct output_table out;
    struct strbuf text;
    strbuf_init(&text, OUTPUT_BYTES);
    begin_table(view, options, &out);
    add_rows(view, records, options, &out);
    if (strcmp(format, "json") == 0)
        output_json(records, &text);
    else if (strcmp(format, "yaml") == 0)
        output_yaml(records, &text);
    else
        output_table_write(&out, &text);
    output_table_done(&out);
    bool printed = output_print(&text);
    strbuf_done(&text);
    if (json_array_size(records) == 0)
        view->tell_empty(options);
    return printed;
}

/* ---- following ---- */

struct following {
    const struct view *view;
    struct look *look;
    struct view_changes *changes;
    struct output_table out;
    bool begun;
    char trouble[ERR_TEXT_BYTES]; /* that was told and lasts: "" when there is none */
};

/* One document each, as kubectl prints what it watches. */
static void write_documents(const struct following *following, json_t *records, bool yaml, struct strbuf *text)
{
    json_t *record = NULL;
    size_t index = 0;
    json_array_foreach(records, index, record)
    {
        if (!yaml) {
            output_json(record, text);
            continue;
        }
        strbuf_append(text, following->begun || index > 0 ? "---\n" : "");
        output_yaml(record, text);
    }
}

static bool print_changed(struct following *following, json_t *changed)
{
    const struct options *options = following->look->options;
    const char *format = options_text(options, "output");
    bool json = strcmp(format, "json") == 0, yaml = strcmp(format, "yaml") == 0;
    struct strbuf text;
    strbuf_init(&text, OUTPUT_BYTES);
    if (json || yaml) {
        write_documents(following, changed, yaml, &text);
    } else {
        output_table_clear(&following->out);
        add_rows(following->view, changed, options, &following->out);
        (following->begun ? output_table_write_rows : output_table_write)(&following->out, &text);
    }
    bool printed = output_print(&text);
    strbuf_done(&text);
    return printed;
}

static void tell_gone(const struct following *following, const json_t *gone)
{
    const json_t *record = NULL;
    size_t index = 0;
    json_array_foreach(gone, index, record)
    {
        char name[ERR_TEXT_BYTES] = "";
        size_t used = 0;
        for (const char *const *key = following->view->identity; *key != NULL && used < sizeof(name); key++) {
            const char *text = record_text(record, *key);
            used += text[0] == '\0'
                        ? 0
                        : (size_t)snprintf(name + used, sizeof(name) - used, "%s%s", used > 0 ? " " : "", text);
        }
        command_complain(following->look->command, "gone: %s", name);
    }
}

/* @return false when there is nobody to print for any more, or memory ran out: `reterr` says so. */
static bool take_news(struct following *following, json_t *records, struct err *reterr)
{
    json_t *changed = NULL, *gone = NULL;
    if (view_changes_take(following->changes, records, &changed, &gone) != ERR_OK) {
        (void)err_set(reterr, ERR_NOMEM, "out of memory");
        return false;
    }
    bool printed = (json_array_size(changed) == 0 && following->begun) || print_changed(following, changed);
    tell_gone(following, gone);
    if (!following->begun && json_array_size(records) == 0)
        following->view->tell_empty(following->look->options);
    following->begun = true;
    json_decref(changed);
    json_decref(gone);
    if (!printed)
        (void)err_set(reterr, ERR_IO, "stdout takes no more");
    return printed;
}

/* The first time it must work; later, what does not is told once and tried again. */
static bool ask_again(struct following *following, struct err *reterr)
{
    json_t *records = NULL;
    struct err error = {0};
    if (view_read(following->view, following->look, &records, &error) == ERR_OK) {
        bool goes_on = take_news(following, records, reterr);
        json_decref(records);
        following->trouble[0] = '\0';
        return goes_on;
    }
    if (!following->begun || error.code == ERR_NOMEM) {
        *reterr = error;
        return false;
    }
    if (error.code != ERR_CANCELLED && strcmp(following->trouble, error.text) != 0) {
        command_complain(following->look->command, "%s; asking again", error.text);
        (void)snprintf(following->trouble, sizeof(following->trouble), "%s", error.text);
    }
    return true;
}

static enum exit_code follow(const struct view *view, struct look *look)
{
    struct following following = {.view = view, .look = look};
    struct err error = {0};
    following.changes = view_changes_new(view->identity, view->news);
    begin_table(view, look->options, &following.out);
    bool goes_on = following.changes != NULL;
    if (!goes_on)
        (void)err_set(&error, ERR_NOMEM, "out of memory");
    while (goes_on) {
        goes_on = ask_again(&following, &error) && !session_interrupted(look->session);
        if (goes_on)
            session_sleep(look->session, WATCH_MS);
        goes_on = goes_on && !session_interrupted(look->session);
    }
    if (error.code != ERR_OK)
        command_complain(look->command, "%s", error.text);
    output_table_done(&following.out);
    view_changes_free(following.changes);
    return EXIT_FAILED; /* or interrupted, which the session knows */
}

/* ---- the command ---- */

enum exit_code view_show(const struct view *view, struct look *look)
{
    struct err error = {0};
    json_t *records = NULL;
    if (options_get(look->options, "watch")->boolean)
        return follow(view, look);
    if (view_read(view, look, &records, &error) != ERR_OK) {
        command_complain(look->command, "%s", error.text);
        return EXIT_FAILED;
    }
    bool printed = view_print(view, records, look->options);
    json_decref(records);
    return printed ? EXIT_DONE : EXIT_FAILED;
}

enum exit_code view_run(const struct view *view, const char *command, const char *namespace,
                        const struct options *options)
{
    struct look look = {.command = command, .namespace = namespace, .options = options};
    struct err error = {0};
    enum exit_code result = EXIT_FAILED;
    if (look_open(&look, &error) != ERR_OK)
        command_complain(command, "%s", error.text);
    else
        result = view_show(view, &look);
    if (look.session != NULL && session_interrupted(look.session))
        result = EXIT_INTERRUPTED;
    look_close(&look);
    return result;
}
