/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/commands/command.h"
#include "tests/unit/document.h"

#define MARKER "bin/test_reference -->\n"

/* As a cell of a table, with a backslash before what would mean something in it. */
static void put_cell(struct strbuf *text, const char *words, const char *special)
{
    for (const char *at = words; *at != '\0'; at++)
        strbuf_printf(text, "%s%c", strchr(special, *at) != NULL ? "\\" : "", *at);
}

static void put_flag(struct strbuf *text, const struct option *option)
{
    const char *value = option->value_name != NULL ? option->value_name : option->choices;
    strbuf_append(text, "| `");
    if (option->letter != 0)
        strbuf_printf(text, "-%c`, `", option->letter);
    strbuf_printf(text, "--%s", option->name);
    if (value != NULL) {
        strbuf_append_char(text, ' ');
        put_cell(text, value, "|");
    }
    strbuf_append(text, "` | ");
    if (option->fallback != NULL && option->fallback[0] != '\0') {
        strbuf_append_char(text, '`');
        put_cell(text, option->fallback, "|");
        strbuf_append_char(text, '`');
    }
    strbuf_append(text, " | ");
    put_cell(text, option->help, "|*<");
    strbuf_append(text, " |\n");
}

/* Other spellings, and another program's flags, after the table. */
static void put_others(struct strbuf *text, const struct option *table, bool ignored)
{
    const char *before = ignored ? "Linkerd's, taken and said to be ignored: " : "Other spellings: ";
    bool any = false;
    for (const struct option *option = table; option->name != NULL; option++) {
        bool wanted = ignored ? option->type == OPTION_IGNORED : option->alias_of != NULL;
        if (!wanted || (option->help != NULL && !ignored))
            continue;
        strbuf_printf(text, "%s`--%s`", any ? ", " : before, option->name);
        if (!ignored)
            strbuf_printf(text, " for `--%s`", option->alias_of);
        any = true;
    }
    strbuf_append(text, any ? ".\n\n" : "");
}

static void put_command(struct strbuf *text, const struct command *command)
{
    strbuf_printf(text,
                  "\n### svcmirror %s\n\n%s.\n\n    svcmirror %s%s%s [flags]\n\n| Flag | Default | |\n|---|---|---|\n",
                  command->name, command->summary, command->name, command->argument_names != NULL ? " " : "",
                  command->argument_names != NULL ? command->argument_names : "");
    for (const struct option *option = command->options; option->name != NULL; option++)
        if (option->help != NULL)
            put_flag(text, option);
    strbuf_append_char(text, '\n');
    put_others(text, command->options, false);
    put_others(text, command->options, true);
    strbuf_append(text, "| Exit code | |\n|---|---|\n");
    for (const char *at = command->exit_codes; *at != '\0';) {
        size_t code = strspn(at, "0123456789"), length = strcspn(at, "\n"), gap = strspn(at + code, " ");
        strbuf_printf(text, "| %.*s | %.*s |\n", (int)code, at, (int)(length - code - gap), at + code + gap);
        at += length + (at[length] == '\n' ? 1 : 0);
    }
}

static void write_all(struct strbuf *text)
{
    strbuf_init(text, DOCUMENT_BYTES);
    for (const struct command *const *at = commands; *at != NULL; at++)
        put_command(text, *at);
    assert_int_equal(strbuf_error(text), ERR_OK);
}

/* The end of docs/reference.md is what the commands' tables say. */
static void the_reference_is_current(void **state)
{
    (void)state;
    struct strbuf text;
    write_all(&text);
    document_is_current("reference.md", MARKER, strbuf_text(&text), "test_reference");
    strbuf_done(&text);
}

/* Whoever looks a flag up has only this. */
static void every_flag_says_what_it_does(void **state)
{
    (void)state;
    unsigned flags = 0;
    for (const struct command *const *at = commands; *at != NULL; at++) {
        if ((*at)->exit_codes[0] != '0')
            fail_msg("%s does not say when it ends with 0", (*at)->name);
        for (const struct option *option = (*at)->options; option->name != NULL; option++) {
            if (option->help == NULL && option->alias_of == NULL && option->type != OPTION_IGNORED)
                fail_msg("%s --%s says nothing", (*at)->name, option->name);
            flags += option->help != NULL ? 1 : 0;
        }
    }
    assert_true(flags > 150);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_is_current),
        cmocka_unit_test(every_flag_says_what_it_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
