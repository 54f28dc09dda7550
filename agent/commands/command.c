#include "agent/commands/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/candidates.h"
#include "agent/commands/globals.h"
#include "agent/commands/output.h"
#include "agent/commands/told.h"
#include "base/mem.h"
#include "base/text.h"
#include "version.h"

enum { HELP_BYTES = 64 << 10 };

const struct command *const commands[] = {&command_run,        &command_install,
                                          &command_uninstall,  &command_link,
                                          &command_link_gen,   &command_allow,
                                          &command_unlink,     &command_edge_stack_prepare,
                                          &command_export,     &command_unexport,
                                          &command_status,     &command_links,
                                          &command_gateways,   &command_services,
                                          &command_check,      &command_support_bundle,
                                          &command_plan,       &command_why,
                                          &command_completion, &command_man,
                                          &command_version,    NULL};

const char command_purpose[] =
    "Mirrors the exported Services of other Kubernetes clusters into this one, and keeps the mirrors\n"
    "ready only while their gateway answers. Takes the place of Linkerd's service mirror.\n";

const char *const command_group_headings[COMMAND_GROUPS] = {
    [GROUP_AGENT] = "In the cluster", [GROUP_SET_UP] = "Setting up", [GROUP_LOOK] = "Looking", [GROUP_OTHER] = "Other"};

/* ---- who we are ---- */

/* kubectl runs `kubectl svcmirror` as kubectl-svcmirror. */
static const char *program_name(const char *path)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : path;
    return name != NULL && text_starts_with(name, "kubectl-") ? "kubectl svcmirror" : "svcmirror";
}

void command_complain(const char *command, const char *format, ...)
{
    struct strbuf text, clean;
    char line[1024];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    strbuf_init(&text, sizeof(line) + 128);
    strbuf_init(&clean, 2 * sizeof(line));
    strbuf_printf(&text, "svcmirror %s: %s", command, line);
    output_text(strbuf_text(&text), &clean); /* it may quote what a server said */
    (void)fprintf(stderr, "%s\n", strbuf_text(&clean));
    strbuf_done(&text);
    strbuf_done(&clean);
}

void command_tell_ignored(const char *command, const char *flag)
{
    command_complain(command, "--%s is ignored: this flag of Linkerd's has no meaning here", flag);
}

void command_tell_all_ignored(const char *command, const struct options *options)
{
    for (const char *name = options_ignored(options, NULL); name != NULL; name = options_ignored(options, name))
        command_tell_ignored(command, name);
}

enum err_code command_check_namespace(const char *text, struct err *reterr)
{
    if (text_is_dns1123_label(text))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID,
                   "\"%.80s\" is no name of a namespace: small letters, digits and - are allowed, 63 at most", text);
}

enum err_code command_check_object_name(const char *text, struct err *reterr)
{
    if (text_is_dns1123_subdomain(text))
        return ERR_OK;
    return err_set(reterr, ERR_INVALID,
                   "\"%.80s\" is no name of an object: small letters, digits, - and . are allowed, 253 at most", text);
}

/* ---- help ---- */

static enum exit_code print(struct strbuf *text)
{
    bool whole = output_print(text);
    strbuf_done(text);
    return whole ? EXIT_DONE : EXIT_FAILED;
}

static void write_group(enum command_group group, struct strbuf *text)
{
    bool begun = false;
    for (const struct command *const *at = commands; *at != NULL; at++) {
        if ((*at)->group != group)
            continue;
        strbuf_printf(text, "%s%s%s  %-18s  %s\n", begun ? "" : "\n", begun ? "" : command_group_headings[group],
                      begun ? "" : ":\n", (*at)->name, (*at)->summary);
        begun = true;
    }
}

static void write_overview(const char *program, struct strbuf *text)
{
    strbuf_printf(text,
                  "%s"
                  "\n"
                  "Usage:\n"
                  "  %s COMMAND [flags]\n",
                  command_purpose, program);
    for (unsigned group = 0; group < COMMAND_GROUPS; group++)
        write_group(group, text);
    strbuf_printf(text,
                  "\n"
                  "Each flag but --as and --as-group can be set by the environment too, by its first spelling:\n"
                  "--admin-addr is SVCMIRROR_ADMIN_ADDR, and so is --metrics-addr.\n"
                  "Exit codes: 0 done, 1 it did not work, 2 the command line is wrong, 130 interrupted;\n"
                  "with plan --detailed-exitcode also 3, there is something to write.\n"
                  "`%s COMMAND --help` tells the flags of a command, with examples.\n",
                  program);
}

/* Each line of `lines` after the prefix. */
static void write_lines(const char *prefix, const char *lines, struct strbuf *text)
{
    for (const char *at = lines; *at != '\0';) {
        size_t length = strcspn(at, "\n");
        strbuf_append(text, prefix);
        strbuf_append_bytes(text, at, length);
        strbuf_append_char(text, '\n');
        at += length + (at[length] == '\n' ? 1 : 0);
    }
}

/* Below a heading of their own, as they are not set by the environment. */
static void write_globals(struct strbuf *text)
{
    strbuf_append(text, "\nFlags of every command that reaches clusters:\n");
    for (const struct option *option = globals_table; option->name != NULL; option++)
        if (option->help != NULL)
            strbuf_printf(text, "      --%-10s %-6s  %s\n", option->name, options_value_name(option), option->help);
}

static void write_help(const char *program, const struct command *command, struct strbuf *text)
{
    char prefix[64];
    (void)snprintf(prefix, sizeof(prefix), "  %s ", program);
    strbuf_printf(text, "%s.\n\n%s%sUsage:\n%s%s%s%s [flags]\n\nExamples:\n", command->summary, command->about,
                  command->about[0] != '\0' ? "\n" : "", prefix, command->name,
                  command->argument_names != NULL ? " " : "",
                  command->argument_names != NULL ? command->argument_names : "");
    write_lines(prefix, command->examples, text);
    strbuf_append(text, "\nFlags:\n");
    options_write_help(command->options, text);
    if (globals_are_taken_by(command))
        write_globals(text);
    strbuf_append(text, "\nExit codes:\n");
    write_lines("  ", command->exit_codes, text);
}

/* ---- version ---- */

static const struct option version_options[] = {
    {.name = "output", .letter = 'o', .choices = "text|json", .fallback = "text", .help = "how it is printed"},
    {0},
};

static enum exit_code run_version(const struct options *options)
{
    struct strbuf text;
    bool json = strcmp(options_text(options, "output"), "json") == 0;
    strbuf_init(&text, 256);
    strbuf_append(&text, json ? "{\"version\":\"" SVCMIRROR_VERSION "\"}\n" : "svcmirror " SVCMIRROR_VERSION "\n");
    return print(&text);
}

const struct command command_version = {
    .name = "version",
    .group = GROUP_OTHER,
    .summary = "Print the version",
    .about = "",
    .examples = "version\nversion -o json\n",
    .exit_codes = "0  printed\n1  it could not be written\n2  the command line is wrong\n",
    .options = version_options,
    .run = run_version,
};

/* ---- dispatch ---- */

const struct command *command_find(int count, const char *const *words, int *ret_used)
{
    for (const struct command *const *at = commands; *at != NULL; at++) {
        const char *name = (*at)->name, *space = strchr(name, ' ');
        size_t first = space != NULL ? (size_t)(space - name) : strlen(name);
        if (count < 1 || strlen(words[0]) != first || strncmp(words[0], name, first) != 0)
            continue;
        if (space != NULL && (count < 2 || strcmp(words[1], space + 1) != 0))
            continue;
        *ret_used = space != NULL ? 2 : 1;
        return *at;
    }
    return NULL;
}

/* @return whether the command's name is two words, of which this is the first. */
static bool is_of_group(const struct command *command, const char *word)
{
    return word[0] != '\0' && text_starts_with(command->name, word) && command->name[strlen(word)] == ' ';
}

/* Tells the names of two words that begin with this one. @return whether there are any. */
static bool tell_second_words(const char *program, const char *word)
{
    char names[256] = "";
    size_t used = 0;
    for (const struct command *const *at = commands; *at != NULL && used < sizeof(names); at++)
        if (is_of_group(*at, word))
            used += (size_t)snprintf(names + used, sizeof(names) - used, "%s`%s %s`", used > 0 ? ", " : "", program,
                                     (*at)->name);
    if (used > 0)
        (void)fprintf(stderr, "%s: %s is followed by a second word: %s\n", program, word, names);
    return used > 0;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "-help") == 0 ||
           strcmp(word, "help") == 0;
}

static enum exit_code print_help(const char *program, const struct command *command)
{
    struct strbuf text;
    strbuf_init(&text, HELP_BYTES);
    if (command != NULL)
        write_help(program, command, &text);
    else
        write_overview(program, &text);
    return print(&text);
}

/* The help of each command whose name begins with this word. @return whether there is any. */
static bool write_group_help(const char *program, const char *word, struct strbuf *text)
{
    for (const struct command *const *at = commands; *at != NULL; at++) {
        if (!is_of_group(*at, word))
            continue;
        strbuf_append(text, text->length > 0 ? "\n\n" : "");
        write_help(program, *at, text);
    }
    return text->length > 0;
}

static enum exit_code run_command(const char *program, const struct command *command, int argc, char **argv)
{
    struct options options;
    struct err error = {0};
    enum exit_code result = EXIT_USAGE;
    enum err_code code = options_ask_for_help(argc, argv) ? ERR_OK : globals_take(command, &argc, argv, &error);
    if (code == ERR_OK)
        code = options_parse(command->options, command->max_arguments, argc, argv, &options, &error);
    if (code != ERR_OK)
        command_complain(command->name, "%s (`%s %s --help` lists what there is)", error.text, program, command->name);
    else
        result = options.help ? print_help(program, command) : command->run(&options);
    if (!told_end() && result == EXIT_DONE)
        result = EXIT_FAILED;
    globals_done();
    return result;
}

static enum exit_code refuse(const char *program, const char *word)
{
    if (word[0] == '\0')
        (void)fprintf(stderr, "%s: which command? `%s --help` lists them\n", program, program);
    else if (word[0] == '-')
        (void)fprintf(stderr, "%s: a command comes first, then flags like %.80s: `%s --help` lists the commands\n",
                      program, word, program);
    else if (!tell_second_words(program, word))
        (void)fprintf(stderr, "%s: unknown command \"%.80s\": `%s --help` lists the commands\n", program, word,
                      program);
    return EXIT_USAGE;
}

/* What is asked about by the words after `help`. */
static enum exit_code help_about(const char *program, int count, char **words)
{
    int used = 0;
    const struct command *command = command_find(count, (const char *const *)words, &used);
    bool of_all = count < 1 || words[0][0] == '-' || is_help(words[0]);
    if (command != NULL || of_all)
        return print_help(program, command);
    struct strbuf text;
    strbuf_init(&text, HELP_BYTES);
    if (count == 1 && write_group_help(program, words[0], &text))
        return print(&text);
    strbuf_done(&text);
    return refuse(program, words[0]);
}

static enum exit_code print_candidates(int count, const char *const *words)
{
    struct strbuf text;
    strbuf_init(&text, HELP_BYTES);
    candidates_write(count, words, &text);
    return print(&text);
}

/* How many words before the command are flags that Linkerd's CLI takes there, with their values. */
static int count_leading(int count, char **words)
{
    static const struct option leading[] = {{.name = "kubeconfig", .value_name = "FILE"},
                                            {.name = "context", .value_name = "NAME"},
                                            {.name = "namespace", .letter = 'n', .value_name = "NAME"},
                                            {.name = "linkerd-namespace", .letter = 'L', .value_name = "NAME"},
                                            {0}};
    int at = 0;
    while (at < count) {
        const char *value = NULL;
        const struct option *option = options_spelled(leading, words[at], &value);
        option = option != NULL ? option : options_spelled(globals_table, words[at], &value);
        if (option == NULL)
            break;
        at += options_takes_value(option) && value == NULL ? 2 : 1;
    }
    return at < count ? at : 0;
}

/* Moves words to the front, before others. */
static void move_to_front(char **words, int before, int moved)
{
    for (int i = 0; i < moved; i++) {
        char *word = words[before + i];
        memmove(words + i + 1, words + i, (size_t)before * sizeof(*words));
        words[i] = word;
    }
}

enum exit_code command_main(int argc, char **argv)
{
    const char *program = program_name(argc > 0 ? argv[0] : NULL);
    const char *word = argc > 1 ? argv[1] : "";
    int used = 0;
    if (argc > 0 && candidates_wanted(argv[0]))
        return print_candidates(argc - 1, (const char *const *)argv + 1);
    if (strcmp(word, "__complete") == 0) /* what plugins that are made with cobra are asked */
        return print_candidates(argc - 2, (const char *const *)argv + 2);
    if (is_help(word)) /* help run, --help run */
        return help_about(program, argc - 2, argv + 2);
    if (strcmp(word, "--version") == 0)
        return run_command(program, &command_version, argc - 2, argv + 2);
    int leading = argc > 1 ? count_leading(argc - 1, argv + 1) : 0;
    const struct command *command = command_find(argc - 1 - leading, (const char *const *)argv + 1 + leading, &used);
    if (command != NULL)
        move_to_front(argv + 1, leading, used);
    if (command != NULL)
        return run_command(program, command, argc - 1 - used, argv + 1 + used);
    return argc == 3 && is_help(argv[2]) ? help_about(program, 1, argv + 1)
                                         : refuse(program, leading > 0 ? argv[1 + leading] : word);
}
