#include "agent/commands/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

static const struct option *find(const struct option *table, const char *name, size_t length) {
    for (const struct option *option = table; option->name != NULL; option++)
        if (strlen(option->name) == length && strncmp(option->name, name, length) == 0)
            return option;
    return NULL;
}

static const struct option *find_letter(const struct option *table, char letter) {
    for (const struct option *option = table; option->name != NULL; option++)
        if (option->letter == letter)
            return option;
    return NULL;
}

static const struct option *resolve(const struct option *table, const struct option *option) {
    return option->alias_of != NULL ? find(table, option->alias_of, strlen(option->alias_of)) : option;
}

static enum err_code set(struct options *options, const struct option *option, const char *text, const char *source, struct err *reterr) {
    struct option_value *value = &options->values[option - options->table];
    struct err cause = {0};
    value->text = text;
    switch (option->type) {
    case OPTION_BOOL:
        value->boolean = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
        if (!value->boolean && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
            return err_set(reterr, ERR_INVALID, "%s: \"%.60s\" is neither true nor false", source, text);
        break;
    case OPTION_NUMBER:
        if (text_parse_u64(text, 0, UINT32_MAX, source, &value->number, &cause) != ERR_OK)
            return err_set(reterr, ERR_INVALID, "%s", cause.text);
        break;
    case OPTION_DURATION:
        if (text_parse_duration_ms(text, &value->number, &cause) != ERR_OK)
            return err_set(reterr, ERR_INVALID, "%s: \"%.60s\" is not a duration like 30s or 1m30s", source, text);
        break;
    case OPTION_TEXT:
    case OPTION_IGNORED:
        break;
    }
    return ERR_OK;
}

static enum err_code set_defaults(struct options *options, struct err *reterr) {
    for (const struct option *option = options->table; option->name != NULL; option++)
        if (option->fallback != NULL)
            TRY(set(options, option, option->fallback, option->name, reterr));
    return ERR_OK;
}

static enum err_code set_from_environment(struct options *options, struct err *reterr) {
    for (const struct option *option = options->table; option->name != NULL; option++) {
        char name[96] = "SVCMIRROR_";
        size_t length = strlen(name);
        if (option->alias_of != NULL || option->type == OPTION_IGNORED)
            continue;
        for (const char *c = option->name; *c != '\0' && length < sizeof(name) - 1; c++)
            name[length++] = *c == '-' ? '_' : (char)toupper((unsigned char)*c);
        name[length] = '\0';
        const char *text = getenv(name);
        if (text == NULL || text[0] == '\0')
            continue;
        TRY(set(options, option, text, name, reterr));
        options->values[option - options->table].given = true;
    }
    return ERR_OK;
}

/* Takes one flag and, where it needs one, its value. */
static enum err_code take_flag(struct options *options, int argc, char **argv, int *at, struct err *reterr) {
    const char *word = argv[*at], *name = word + (word[1] == '-' ? 2 : 1);
    size_t length = strcspn(name, "=");
    const char *text = name[length] == '=' ? name + length + 1 : NULL;
    const struct option *option = find(options->table, name, length);
    if (option == NULL && length == 1)
        option = find_letter(options->table, name[0]);
    if (option == NULL && length > 1 && word[1] != '-' && find_letter(options->table, name[0]) != NULL) {
        option = find_letter(options->table, name[0]); /* -ojson */
        text = name + 1;
    }
    if (option == NULL)
        return err_set(reterr, ERR_INVALID, "unknown flag %.80s", word);
    const struct option *meant = resolve(options->table, option);
    if (text == NULL && meant->type == OPTION_BOOL)
        text = "true";
    if (text == NULL && meant->type == OPTION_IGNORED && meant->value_name == NULL)
        text = "";
    if (text == NULL && *at + 1 >= argc)
        return err_set(reterr, ERR_INVALID, "flag %.80s needs a value", word);
    if (text == NULL)
        text = argv[++*at];
    if (meant->type == OPTION_IGNORED && options->ignored_count < OPTIONS_MAX)
        options->ignored[options->ignored_count++] = meant->name;
    TRY(set(options, meant, text, word, reterr));
    options->values[meant - options->table].given = true;
    return ERR_OK;
}

enum err_code options_parse(const struct option *table, int argc, char **argv, struct options *ret_options, struct err *reterr) {
    *ret_options = (struct options){.table = table};
    TRY(set_defaults(ret_options, reterr));
    TRY(set_from_environment(ret_options, reterr));
    for (int at = 0; at < argc; at++) {
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0 || strcmp(argv[at], "-help") == 0) {
            ret_options->help = true;
            return ERR_OK;
        }
        if (argv[at][0] == '-' && argv[at][1] != '\0') {
            TRY(take_flag(ret_options, argc, argv, &at, reterr));
            continue;
        }
        if (ret_options->argument_count == sizeof(ret_options->arguments) / sizeof(ret_options->arguments[0]))
            return err_set(reterr, ERR_INVALID, "too many arguments");
        ret_options->arguments[ret_options->argument_count++] = argv[at];
    }
    return ERR_OK;
}

const struct option_value *options_get(const struct options *options, const char *name) {
    const struct option *option = find(options->table, name, strlen(name));
    if (option == NULL)
        abort(); /* a misspelt name in this program */
    return &options->values[option - options->table];
}

void options_write_help(const struct option *table, struct strbuf *text) {
    for (const struct option *option = table; option->name != NULL; option++) {
        char left[64];
        if (option->help == NULL)
            continue;
        if (option->letter != 0)
            (void)snprintf(left, sizeof(left), "-%c, --%s%s%s", option->letter, option->name, option->value_name != NULL ? " " : "",
                           option->value_name != NULL ? option->value_name : "");
        else
            (void)snprintf(left, sizeof(left), "    --%s%s%s", option->name, option->value_name != NULL ? " " : "",
                           option->value_name != NULL ? option->value_name : "");
        strbuf_printf(text, "  %-34s %s", left, option->help);
        if (option->fallback != NULL && option->fallback[0] != '\0')
            strbuf_printf(text, " (default %s)", option->fallback);
        strbuf_append_char(text, '\n');
    }
}
