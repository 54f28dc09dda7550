/* svcmirror completion: what shells offer at the tab key, from the same tables as --help. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/globals.h"
#include "agent/commands/output.h"

enum { OUTPUT_BYTES = 1 << 20 };

static const struct option table[] = {{0}};

static void put_words(const char *words, struct strbuf *text)
{
    for (const char *at = words; *at != '\0'; at++)
        strbuf_append_char(text, *at == '|' ? ' ' : *at);
}

static bool is_offered(const struct option *option) { return option->help != NULL; }

/* ---- bash, and zsh by its own reading of bash's functions ---- */

/* The first words of all commands, each once; of `first`, when that is not NULL, the second words. */
static void put_command_words(const char *first, struct strbuf *text)
{
    const char *last = "";
    size_t last_length = 0, first_length = first != NULL ? strlen(first) : 0;
    for (const struct command *const *at = commands; *at != NULL; at++) {
        const char *name = (*at)->name;
        size_t length = strcspn(name, " ");
        if (first != NULL) {
            if (length == first_length && strncmp(name, first, length) == 0 && name[length] == ' ')
                strbuf_printf(text, "%s ", name + length + 1);
        } else if (length != last_length || strncmp(name, last, length) != 0) {
            strbuf_printf(text, "%.*s ", (int)length, name);
        }
        last = name;
        last_length = length;
    }
}

static void put_two_worded(struct strbuf *text)
{
    for (const struct command *const *at = commands; *at != NULL; at++) {
        const char *name = (*at)->name, *space = strchr(name, ' ');
        if (space == NULL)
            continue;
        char first[64];
        size_t length = (size_t)(space - name) < sizeof(first) ? (size_t)(space - name) : sizeof(first) - 1;
        memcpy(first, name, length);
        first[length] = '\0';
        strbuf_printf(text, "    %s)\n        if ((COMP_CWORD == 2)); then\n            COMPREPLY=($(compgen -W \"",
                      first);
        put_command_words(first, text);
        strbuf_append(text, "\" -- \"$word\"))\n            return\n        fi\n"
                            "        command=\"$command ${COMP_WORDS[2]}\" ;;\n");
    }
}

static void put_choices(const struct command *command, struct strbuf *text)
{
    for (const struct option *option = command->options; option->name != NULL; option++) {
        const char *words = options_words(option);
        if (words == NULL || !is_offered(option))
            continue;
        strbuf_printf(text, "    \"%s --%s\"", command->name, option->name);
        if (option->letter != 0)
            strbuf_printf(text, " | \"%s -%c\"", command->name, option->letter);
        strbuf_append(text, ") words=\"");
        put_words(words, text);
        strbuf_append(text, "\" ;;\n");
    }
}

static void put_flag_names(const struct option *flags, struct strbuf *text)
{
    for (const struct option *option = flags; option->name != NULL; option++)
        if (is_offered(option))
            strbuf_printf(text, "--%s ", option->name);
}

static void put_flags(const struct command *command, struct strbuf *text)
{
    strbuf_printf(text, "    \"%s\") flags=\"", command->name);
    put_flag_names(command->options, text);
    if (globals_are_taken_by(command))
        put_flag_names(globals_table, text);
    strbuf_append(text, "--help\" ;;\n");
}

static void write_bash(struct strbuf *text)
{
    strbuf_append(text, "_svcmirror() {\n"
                        "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
                        "    local command=${COMP_WORDS[1]} words='' flags=''\n"
                        "    COMPREPLY=()\n"
                        "    # --flag=value comes as three words\n"
                        "    if [[ $word == '=' ]]; then\n        word=''\n"
                        "    elif [[ $before == '=' ]]; then\n        before=${COMP_WORDS[COMP_CWORD - 2]}\n    fi\n"
                        "    if ((COMP_CWORD == 1)); then\n        COMPREPLY=($(compgen -W \"");
    put_command_words(NULL, text);
    strbuf_append(text, "help\" -- \"$word\"))\n        return\n    fi\n    case $command in\n");
    put_two_worded(text);
    strbuf_append(text, "    esac\n    case \"$command $before\" in\n");
    for (const struct command *const *at = commands; *at != NULL; at++)
        put_choices(*at, text);
    strbuf_append(text, "    esac\n    case $command in\n");
    for (const struct command *const *at = commands; *at != NULL; at++)
        put_flags(*at, text);
    strbuf_append(text, "    esac\n"
                        "    if [[ -n $words ]]; then\n        COMPREPLY=($(compgen -W \"$words\" -- \"$word\"))\n"
                        "    elif [[ $word == -* ]]; then\n"
                        "        COMPREPLY=($(compgen -W \"$flags\" -- \"$word\"))\n    fi\n}\n"
                        "complete -o default -F _svcmirror svcmirror kubectl-svcmirror\n");
}

static void write_zsh(struct strbuf *text)
{
    strbuf_append(text, "#compdef svcmirror kubectl-svcmirror\n"
                        "(( $+functions[compdef] )) || { autoload -U +X compinit && compinit -C }\n"
                        "autoload -U +X bashcompinit && bashcompinit\n");
    write_bash(text);
    /* From a folder of fpath the whole file is run at the first tab, which is to be answered too. */
    strbuf_append(text, "[[ ${funcstack[1]-} != _svcmirror ]] || _bash_complete -o default -F _svcmirror\n");
}

/* ---- fish ---- */

/* Within single quotes. */
static void put_quoted(const char *words, struct strbuf *text)
{
    strbuf_append_char(text, '\'');
    for (const char *at = words; *at != '\0'; at++) {
        if (*at == '\'' || *at == '\\')
            strbuf_append_char(text, '\\');
        strbuf_append_char(text, *at);
    }
    strbuf_append_char(text, '\'');
}

static void put_fish_flags(const struct option *flags, const char *condition, struct strbuf *text)
{
    for (const struct option *option = flags; option->name != NULL; option++) {
        if (!is_offered(option))
            continue;
        const char *words = options_words(option);
        strbuf_printf(text, "complete -c svcmirror -n \"%s\" -l %s", condition, option->name);
        if (option->letter != 0)
            strbuf_printf(text, " -s %c", option->letter);
        if (option->type != OPTION_BOOL)
            strbuf_append(text, words != NULL ? " -x -a '" : " -r");
        if (words != NULL) {
            put_words(words, text);
            strbuf_append_char(text, '\'');
        }
        strbuf_append(text, " -d ");
        put_quoted(option->help, text);
        strbuf_append_char(text, '\n');
    }
}

static void put_fish_command(const struct command *command, struct strbuf *text)
{
    const char *space = strchr(command->name, ' ');
    int first = (int)strcspn(command->name, " ");
    char condition[160];
    if (space == NULL) {
        strbuf_printf(text, "complete -c svcmirror -f -n __fish_use_subcommand -a %s -d ", command->name);
        (void)snprintf(condition, sizeof(condition), "__fish_seen_subcommand_from %s", command->name);
    } else {
        strbuf_printf(text, "complete -c svcmirror -f -n __fish_use_subcommand -a %.*s\n", first, command->name);
        strbuf_printf(text,
                      "complete -c svcmirror -f -n \"__fish_seen_subcommand_from %.*s; and not "
                      "__fish_seen_subcommand_from %s\" -a %s -d ",
                      first, command->name, space + 1, space + 1);
        (void)snprintf(condition, sizeof(condition),
                       "__fish_seen_subcommand_from %.*s; and __fish_seen_subcommand_from %s", first, command->name,
                       space + 1);
    }
    put_quoted(command->summary, text);
    strbuf_append_char(text, '\n');
    put_fish_flags(command->options, condition, text);
    if (globals_are_taken_by(command))
        put_fish_flags(globals_table, condition, text);
}

static void write_fish(struct strbuf *text)
{
    for (const struct command *const *at = commands; *at != NULL; at++)
        put_fish_command(*at, text);
    strbuf_append(text, "complete -c kubectl-svcmirror -w svcmirror\n");
}

/* ---- the command ---- */

static enum exit_code run(const struct options *options)
{
    static const struct {
        const char *name;
        void (*write)(struct strbuf *text);
    } shells[] = {{"bash", write_bash}, {"zsh", write_zsh}, {"fish", write_fish}};
    const char *wanted = options->argument_count > 0 ? options->arguments[0] : "";
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(shells[i].name, wanted) != 0)
            continue;
        struct strbuf text;
        strbuf_init(&text, OUTPUT_BYTES);
        shells[i].write(&text);
        bool printed = output_print(&text);
        strbuf_done(&text);
        return printed ? EXIT_DONE : EXIT_FAILED;
    }
    command_complain("completion", "for which shell? bash, zsh or fish");
    return EXIT_USAGE;
}

const struct command command_completion = {
    .name = "completion",
    .group = GROUP_OTHER,
    .summary = "Print what a shell needs to complete commands, flags and their words",
    .about =
        "`kubectl svcmirror` is completed by kubectl itself (1.26 or later), which runs kubectl_complete-svcmirror:\n"
        "a link to this program that lies on PATH beside kubectl-svcmirror.\n",
    .examples = "completion bash > /etc/bash_completion.d/svcmirror\n"
                "completion zsh > \"${fpath[1]}/_svcmirror\"\n"
                "completion fish > ~/.config/fish/completions/svcmirror.fish\n",
    .exit_codes = "0  printed\n1  it could not be written\n2  no shell of these was named\n",
    .options = table,
    .argument_names = "bash|zsh|fish",
    .max_arguments = 1,
    .run = run,
};
