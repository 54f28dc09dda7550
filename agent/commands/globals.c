#include "agent/commands/globals.h"

#include <string.h>

#include "agent/kube/impersonate.h"
#include "base/mem.h"

const struct option globals_table[] = {
    {.name = "as",
     .value_name = "USER",
     .help = "act as this user: the name of a person, or system:serviceaccount:NAMESPACE:NAME"},
    {.name = "as-group", .value_name = "GROUP", .help = "and as a member of this group; may be given more than once"},
    {.name = "linkerd-namespace", .letter = 'L', .type = OPTION_IGNORED, .value_name = "NAME"},
    {.name = "verbose", .type = OPTION_IGNORED},
    {.name = "api-addr", .type = OPTION_IGNORED, .value_name = "ADDRESS"},
    {0},
};

/* Whom to act as, in the words of a kubeconfig's user; NULL: nobody else. One process runs one command. */
static json_t *acting;

static const struct option *find(const struct option *table, const char *name)
{
    while (table->name != NULL && strcmp(table->name, name) != 0)
        table++;
    return table->name != NULL ? table : NULL;
}

bool globals_are_taken_by(const struct command *command)
{
    return command->group != GROUP_AGENT && find(command->options, "kubeconfig") != NULL;
}

/* ---- taking ---- */

static enum err_code keep(const char *name, const char *text, struct err *reterr)
{
    bool kept = false;
    if (acting == NULL)
        acting = json_pack("{s:[]}", "as-groups");
    if (strcmp(name, "as") == 0)
        kept = json_object_set_new(acting, "as", json_string(text)) == 0;
    else
        kept = json_array_append_new(json_object_get(acting, "as-groups"), json_string(text)) == 0;
    return kept ? ERR_OK : err_set(reterr, ERR_INVALID, "--%s: the value is no text in UTF-8", name);
}

/* Takes one flag. @param next  the word after it, NULL at the end. @param[out] ret_used  how many words it is. */
static enum err_code take(const struct command *command, const struct option *option, const char *value,
                          const char *next, int *ret_used, struct err *reterr)
{
    bool needs_value = options_takes_value(option);
    *ret_used = needs_value && value == NULL ? 2 : 1;
    const char *text = value != NULL ? value : next;
    if (needs_value && (text == NULL || text[0] == '\0' || (value == NULL && strncmp(text, "--", 2) == 0)))
        return err_set(reterr, ERR_INVALID, "--%s needs a value: --%s %s", option->name, option->name,
                       options_value_name(option));
    if (option->type != OPTION_IGNORED)
        return keep(option->name, text, reterr);
    command_tell_ignored(command->name, option->name);
    return ERR_OK;
}

/* A command's own flag of that name is not ours to take. */
static const struct option *spelled(const struct command *command, const char *word, const char **ret_value)
{
    const char *value = NULL;
    return options_spelled(command->options, word, &value) == NULL ? options_spelled(globals_table, word, ret_value)
                                                                   : NULL;
}

enum err_code globals_take(const struct command *command, int *argc, char **argv, struct err *reterr)
{
    int kept = 0, at = 0;
    if (!globals_are_taken_by(command))
        return ERR_OK;
    while (at < *argc && strcmp(argv[at], "--") != 0) {
        const char *value = NULL;
        const struct option *option = spelled(command, argv[at], &value);
        int used = 1;
        if (option != NULL)
            TRY(take(command, option, value, at + 1 < *argc ? argv[at + 1] : NULL, &used, reterr));
        else
            argv[kept++] = argv[at];
        at += used;
    }
    while (at < *argc)
        argv[kept++] = argv[at++];
    *argc = kept;
    if (acting != NULL && json_object_get(acting, "as") == NULL)
        return err_set(reterr, ERR_INVALID, "--as-group without --as: name the user to act as, too");
    return ERR_OK;
}

/* ---- acting ---- */

enum err_code globals_act(struct arena *arena, struct kubeconfig *config, struct err *reterr)
{
    if (acting == NULL)
        return ERR_OK;
    if (impersonate_read(arena, acting, &config->impersonate, reterr) != ERR_OK)
        return err_context(reterr, "--as");
    return ERR_OK;
}

void globals_done(void)
{
    json_decref(acting);
    acting = NULL;
}
