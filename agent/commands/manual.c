#include "agent/commands/manual.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/globals.h"
#include "version.h"

enum { NAME_BYTES = 128 };

/* ---- roff ---- */

/* One character as it is, whatever roff would make of it: hyphens and quotes that can be copied into a shell. */
static void put_char(char c, struct strbuf *text)
{
    switch (c) {
    case '\\':
        strbuf_append(text, "\\e");
        break;
    case '-':
        strbuf_append(text, "\\-");
        break;
    case '\'':
        strbuf_append(text, "\\(aq");
        break;
    case '`':
        strbuf_append(text, "\\(ga");
        break;
    case '^':
        strbuf_append(text, "\\(ha");
        break;
    case '~':
        strbuf_append(text, "\\(ti");
        break;
    default:
        strbuf_append_char(text, c);
    }
}

static void put_bytes(const char *words, size_t count, struct strbuf *text)
{
    for (size_t i = 0; i < count; i++)
        put_char(words[i], text);
}

static void put(const char *words, struct strbuf *text) { put_bytes(words, strlen(words), text); }

/* In a font, B or I, and back. */
static void put_in(char font, const char *words, struct strbuf *text)
{
    strbuf_printf(text, "\\f%c", font);
    put(words, text);
    strbuf_append(text, "\\fR");
}

/* One line of text; one that begins as a request would is none. */
static void put_line(const char *line, size_t length, struct strbuf *text)
{
    if (length > 0 && line[0] == '.')
        strbuf_append(text, "\\&");
    put_bytes(line, length, text);
    strbuf_append_char(text, '\n');
}

/* Takes the next line of `at` off. @return false at the end. */
static bool next_line(const char **at, const char **ret_line, size_t *ret_length)
{
    if (**at == '\0')
        return false;
    *ret_line = *at;
    *ret_length = strcspn(*at, "\n");
    *at += *ret_length + ((*at)[*ret_length] == '\n' ? 1 : 0);
    return true;
}

/* Paragraphs, with an empty line between them. */
static void put_paragraphs(const char *words, struct strbuf *text)
{
    const char *line = NULL;
    size_t length = 0;
    while (next_line(&words, &line, &length)) {
        if (length == 0)
            strbuf_append(text, ".PP\n");
        else
            put_line(line, length, text);
    }
}

static void put_heading(const char *name, const char *page, struct strbuf *text)
{
    strbuf_append(text, ".TH \"");
    for (const char *at = page; *at != '\0'; at++)
        put_char((char)toupper((unsigned char)*at), text);
    /* Neither hyphens within names nor blanks between words that people copy. */
    strbuf_printf(text, "\" 1 \"%s\" \"svcmirror %s\" \"svcmirror\"\n.nh\n.ad l\n.SH NAME\n", SVCMIRROR_DATE,
                  SVCMIRROR_VERSION);
    put(page, text);
    strbuf_append(text, " \\- ");
    put(name, text);
    strbuf_append_char(text, '\n');
}

/* ---- a command's parts ---- */

void manual_page_name(const struct command *command, char *buffer, size_t bytes)
{
    (void)snprintf(buffer, bytes, "svcmirror%s%s", command != NULL ? "-" : "", command != NULL ? command->name : "");
    for (char *at = buffer; *at != '\0'; at++)
        if (*at == ' ')
            *at = '-';
}

static void put_synopsis(const struct command *command, struct strbuf *text)
{
    strbuf_append(text, ".SH SYNOPSIS\n\\fBsvcmirror ");
    put(command->name, text);
    strbuf_append(text, "\\fR");
    if (command->argument_names != NULL) {
        strbuf_append_char(text, ' ');
        put_in('I', command->argument_names, text);
    }
    strbuf_append(text, " [\\fIflags\\fR]\n");
}

static void put_option(const struct option *option, struct strbuf *text)
{
    strbuf_append(text, ".TP\n");
    if (option->letter != 0) {
        strbuf_append(text, "\\fB");
        put((const char[]){'-', option->letter, '\0'}, text);
        strbuf_append(text, "\\fR, ");
    }
    strbuf_append(text, "\\fB\\-\\-");
    put(option->name, text);
    strbuf_append(text, "\\fR");
    if (options_takes_value(option)) {
        strbuf_append_char(text, ' ');
        put_in('I', options_value_name(option), text);
    }
    strbuf_append_char(text, '\n');
    put_line(option->help, strlen(option->help), text);
    if (option->fallback != NULL && option->fallback[0] != '\0') {
        strbuf_append(text, "(default ");
        put(option->fallback, text);
        strbuf_append(text, ")\n");
    }
}

static void put_options(const struct option *table, struct strbuf *text)
{
    strbuf_append(text, ".SH OPTIONS\n");
    for (const struct option *option = table; option->name != NULL; option++)
        if (option->help != NULL)
            put_option(option, text);
    strbuf_append(text, ".TP\n\\fB\\-h\\fR, \\fB\\-\\-help\\fR\nshow the flags and end\n");
}

static void put_globals(struct strbuf *text)
{
    strbuf_append(text, ".PP\nOf every command that reaches clusters, and not set by the environment:\n");
    for (const struct option *option = globals_table; option->name != NULL; option++)
        if (option->help != NULL)
            put_option(option, text);
}

/* Lines of "CODE  meaning". */
static void put_exit_codes(const char *lines, struct strbuf *text)
{
    const char *line = NULL;
    size_t length = 0;
    strbuf_append(text, ".SH EXIT STATUS\n");
    while (next_line(&lines, &line, &length)) {
        size_t code = strspn(line, "0123456789"), blank = code + strspn(line + code, " ");
        strbuf_printf(text, ".TP\n\\fB%.*s\\fR\n", (int)code, line);
        put_line(line + blank, length - blank, text);
    }
}

static void put_examples(const char *lines, struct strbuf *text)
{
    const char *line = NULL;
    size_t length = 0;
    strbuf_append(text, ".SH EXAMPLES\n.EX\n");
    while (next_line(&lines, &line, &length)) {
        strbuf_append(text, "svcmirror ");
        put_line(line, length, text);
    }
    strbuf_append(text, ".EE\n");
}

static void put_environment(struct strbuf *text)
{
    strbuf_append(text,
                  ".SH ENVIRONMENT\nEach flag but \\fB\\-\\-as\\fR and \\fB\\-\\-as\\-group\\fR can be set by the "
                  "environment too, by its first spelling, in capitals and with SVCMIRROR_ before it:\n"
                  "\\fB\\-\\-admin\\-addr\\fR is \\fBSVCMIRROR_ADMIN_ADDR\\fR.\n"
                  "Flags win over the environment.\n");
}

/* References to the program's page, or to those of all commands. */
static void put_references(bool to_commands, struct strbuf *text)
{
    char name[NAME_BYTES];
    strbuf_append(text, ".SH SEE ALSO\n");
    for (const struct command *const *at = commands; to_commands && *at != NULL; at++) {
        manual_page_name(*at, name, sizeof(name));
        put_in('B', name, text);
        strbuf_append(text, "(1),\n");
    }
    strbuf_append(text, to_commands ? "\\fBkubectl\\fR(1)\n" : "\\fBsvcmirror\\fR(1)\n");
}

/* ---- pages ---- */

void manual_write_command(const struct command *command, struct strbuf *text)
{
    char page[NAME_BYTES];
    manual_page_name(command, page, sizeof(page));
    put_heading(command->summary, page, text);
    put_synopsis(command, text);
    strbuf_append(text, ".SH DESCRIPTION\n");
    if (command->about[0] != '\0') {
        put_paragraphs(command->about, text);
    } else {
        put(command->summary, text);
        strbuf_append(text, ".\n");
    }
    put_options(command->options, text);
    if (globals_are_taken_by(command))
        put_globals(text);
    put_environment(text);
    put_exit_codes(command->exit_codes, text);
    put_examples(command->examples, text);
    put_references(false, text);
}

static void put_group(enum command_group group, struct strbuf *text)
{
    char page[NAME_BYTES];
    strbuf_append(text, ".SS ");
    put(command_group_headings[group], text);
    strbuf_append_char(text, '\n');
    for (const struct command *const *at = commands; *at != NULL; at++) {
        if ((*at)->group != group)
            continue;
        manual_page_name(*at, page, sizeof(page));
        strbuf_append(text, ".TP\n");
        put_in('B', page, text);
        strbuf_append(text, "(1)\n");
        put_line((*at)->summary, strlen((*at)->summary), text);
    }
}

void manual_write_program(struct strbuf *text)
{
    put_heading("mirror the Services of other Kubernetes clusters", "svcmirror", text);
    strbuf_append(text, ".SH SYNOPSIS\n\\fBsvcmirror\\fR \\fICOMMAND\\fR [\\fIflags\\fR]\n.br\n"
                        "\\fBkubectl svcmirror\\fR \\fICOMMAND\\fR [\\fIflags\\fR]\n.SH DESCRIPTION\n");
    put_paragraphs(command_purpose, text);
    strbuf_append(text, ".SH COMMANDS\n");
    for (unsigned group = 0; group < COMMAND_GROUPS; group++)
        put_group(group, text);
    put_environment(text);
    strbuf_append(text,
                  ".TP\n\\fBKUBECONFIG\\fR\nkubeconfigs, separated by colons, which are read as one: of what has one "
                  "name, the first counts\n");
    strbuf_append(text, ".SH FILES\n.TP\n\\fI\\(ti/.kube/config\\fR\nthe kubeconfig where nothing else is said\n");
    put_exit_codes("0  done\n1  it did not work\n2  the command line is wrong; nothing was done\n"
                   "3  with plan --detailed-exitcode: there is something to write\n130  interrupted\n",
                   text);
    put_references(true, text);
}
