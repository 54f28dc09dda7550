#include "agent/commands/candidates.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/globals.h"
#include "base/text.h"

enum { FLAG_BYTES = 80 };

/* Cobra's ShellCompDirective: what a shell does beyond offering the lines. */
enum directive { MAY_BE_FILES = 0, NO_FILES = 4 };

bool candidates_wanted(const char *path)
{
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    const char *name = slash != NULL ? slash + 1 : path;
    return name != NULL && strcmp(name, "kubectl_complete-svcmirror") == 0;
}

/* Offers `length` bytes of a word, if it begins as what was typed. */
static void offer(const char *typed, const char *word, size_t length, const char *meaning, struct strbuf *text)
{
    size_t wanted = strlen(typed);
    if (wanted > length || strncmp(typed, word, wanted) != 0)
        return;
    strbuf_append_bytes(text, word, length);
    strbuf_append(text, meaning != NULL ? "\t" : "");
    strbuf_append(text, meaning != NULL ? meaning : "");
    strbuf_append_char(text, '\n');
}

static void offer_flag(const char *typed, const char *name, const char *meaning, struct strbuf *text)
{
    char word[FLAG_BYTES];
    int length = snprintf(word, sizeof(word), "--%s", name);
    if (length > 0 && (size_t)length < sizeof(word))
        offer(typed, word, (size_t)length, meaning, text);
}

/* "table|json" */
static void offer_words(const char *typed, const char *words, struct strbuf *text)
{
    for (const char *at = words; *at != '\0';) {
        size_t length = strcspn(at, "|");
        offer(typed, at, length, NULL, text);
        at += length + (at[length] == '|' ? 1 : 0);
    }
}

/* The first words of all commands, of several with the same one the word alone. */
static void offer_commands(const char *typed, struct strbuf *text)
{
    const char *last = "";
    for (const struct command *const *at = commands; *at != NULL; at++) {
        const char *name = (*at)->name;
        size_t length = strcspn(name, " ");
        if (name[length] == '\0')
            offer(typed, name, length, (*at)->summary, text);
        else if (strncmp(last, name, length + 1) != 0)
            offer(typed, name, length, NULL, text);
        last = name;
    }
}

static void offer_second_words(const char *first, const char *typed, struct strbuf *text)
{
    size_t length = strlen(first);
    for (const struct command *const *at = commands; *at != NULL; at++)
        if (length > 0 && text_starts_with((*at)->name, first) && (*at)->name[length] == ' ')
            offer(typed, (*at)->name + length + 1, strlen((*at)->name) - length - 1, (*at)->summary, text);
}

static void offer_table(const struct option *table, const char *typed, struct strbuf *text)
{
    for (const struct option *option = table; option->name != NULL; option++)
        if (option->help != NULL)
            offer_flag(typed, option->name, option->help, text);
}

static void offer_flags(const struct command *command, const char *typed, struct strbuf *text)
{
    offer_table(command->options, typed, text);
    if (globals_are_taken_by(command))
        offer_table(globals_table, typed, text);
    offer_flag(typed, "help", "show this help", text);
}

static bool is_of_files(const char *name) { return strcmp(name, "FILE") == 0 || strcmp(name, "FOLDER") == 0; }

static enum directive offer_value(const struct option *option, const char *typed, struct strbuf *text)
{
    const char *words = options_words(option);
    if (words != NULL)
        offer_words(typed, words, text);
    return is_of_files(options_value_name(option)) ? MAY_BE_FILES : NO_FILES;
}

/* Words that are no flags: those that are fixed, as shells, and names of commands. */
static void offer_argument(const struct command *command, const char *typed, struct strbuf *text)
{
    const char *names = command->argument_names;
    if (names != NULL && strcmp(names, "[COMMAND]") == 0)
        offer_commands(typed, text);
    else if (names != NULL && strpbrk(names, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == NULL)
        offer_words(typed, names, text);
}

/* The option whose value the word after this one is; NULL: none. */
static const struct option *awaiting_value(const struct command *command, const char *word)
{
    const char *value = NULL;
    const struct option *option = options_spelled(command->options, word, &value);
    if (option == NULL && globals_are_taken_by(command))
        option = options_spelled(globals_table, word, &value);
    return option != NULL && value == NULL && options_takes_value(option) ? option : NULL;
}

/* @param count  of the words after the command's name, at least 1. */
static enum directive offer_of_command(const struct command *command, int count, const char *const *words,
                                       struct strbuf *text)
{
    const char *typed = words[count - 1], *value = NULL;
    const struct option *option = count > 1 ? awaiting_value(command, words[count - 2]) : NULL;
    if (option != NULL)
        return offer_value(option, typed, text);
    option = options_spelled(command->options, typed, &value);
    if (option != NULL && value != NULL &&
        strchr(typed, '=') != NULL) /* --output=js: the shell keeps what stands before */
        return offer_value(option, value, text);
    if (typed[0] == '-')
        offer_flags(command, typed, text);
    else
        offer_argument(command, typed, text);
    return NO_FILES;
}

static enum directive offer_all(int count, const char *const *words, struct strbuf *text)
{
    int used = 0;
    const char *typed = count > 0 ? words[count - 1] : "";
    const struct command *command = count > 1 ? command_find(count - 1, words, &used) : NULL;
    if (command != NULL)
        return offer_of_command(command, count - used, words + used, text);
    bool of_help = count > 1 && strcmp(words[0], "help") == 0;
    int first = of_help ? 1 : 0; /* help COMMAND */
    if (count <= first + 1) {
        offer_commands(typed, text);
        if (!of_help)
            offer(typed, "help", strlen("help"), "Show what there is, or the flags of a command", text);
    } else if (count == first + 2) {
        offer_second_words(words[first], typed, text);
    }
    return NO_FILES;
}

void candidates_write(int count, const char *const *words, struct strbuf *text)
{
    enum directive directive = offer_all(count, words, text);
    strbuf_printf(text, ":%d\n", (int)directive);
}
