#include "agent/commands/options.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

enum { NAME_BYTES = 64, HELP_COLUMNS = 100 };

/* ---- the table ---- */

static const struct option *find(const struct option *table, const char *name, size_t length)
{
    for (const struct option *option = table; option->name != NULL; option++)
        if (strlen(option->name) == length && strncmp(option->name, name, length) == 0)
            return option;
    return NULL;
}

static const struct option *find_letter(const struct option *table, char letter)
{
    for (const struct option *option = table; option->name != NULL; option++)
        if (option->letter != 0 && option->letter == letter)
            return option;
    return NULL;
}

static const struct option *meant(const struct option *table, const struct option *option)
{
    if (option->alias_of == NULL)
        return option;
    return find(table, option->alias_of, strlen(option->alias_of));
}

bool options_takes_value(const struct option *option)
{
    return option->type != OPTION_BOOL && (option->type != OPTION_IGNORED || option->value_name != NULL);
}

const char *options_value_name(const struct option *option)
{
    return option->choices != NULL ? option->choices : option->value_name != NULL ? option->value_name : "VALUE";
}

const char *options_words(const struct option *option)
{
    const char *words = option->choices != NULL ? option->choices : option->value_name;
    return words != NULL && strchr(words, '|') != NULL ? words : NULL;
}

/* How many letters must be inserted, removed or replaced to make `a` of `b` (Levenshtein); at most NAME_BYTES. */
static unsigned distance(const char *a, size_t a_length, const char *b)
{
    unsigned row[NAME_BYTES];
    size_t b_length = strlen(b);
    if (a_length >= NAME_BYTES || b_length >= NAME_BYTES)
        return NAME_BYTES;
    for (unsigned j = 0; j <= b_length; j++)
        row[j] = j;
    for (unsigned i = 1; i <= a_length; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= b_length; j++) {
            unsigned replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            unsigned shorter = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = replaced < shorter ? replaced : shorter;
        }
    }
    return row[b_length];
}

/* @return the shown option that is spelled nearly like this, or NULL. */
static const struct option *find_similar(const struct option *table, const char *name, size_t length)
{
    const struct option *best = NULL;
    unsigned best_distance = 3; /* more than two slips is another word */
    for (const struct option *option = table; option->name != NULL; option++) {
        unsigned apart = option->help != NULL ? distance(name, length, option->name) : NAME_BYTES;
        if (apart < best_distance && apart < length) {
            best = option;
            best_distance = apart;
        }
    }
    return best;
}

/* ---- values ---- */

static bool is_choice(const char *choices, const char *text)
{
    size_t wanted = strlen(text);
    for (const char *at = choices; *at != '\0';) {
        size_t length = strcspn(at, "|");
        if (length == wanted && strncmp(at, text, length) == 0)
            return true;
        at += length + (at[length] == '|' ? 1 : 0);
    }
    return false;
}

static enum err_code refuse(const struct option *option, const char *text, struct err *reterr)
{
    switch (option->type) {
    case OPTION_BOOL:
        return err_set(reterr, ERR_INVALID, "\"%.60s\" is neither true nor false", text);
    case OPTION_NUMBER:
        return err_set(reterr, ERR_INVALID, "\"%.60s\" is not a whole number from 0 to 4294967295", text);
    default:
        return err_set(reterr, ERR_INVALID, "\"%.60s\" is not one of %s", text, option->choices);
    }
}

static enum err_code convert(const struct option *option, const char *text, struct option_value *value,
                             struct err *reterr)
{
    switch (option->type) {
    case OPTION_BOOL:
        value->boolean = strcmp(text, "true") == 0 || strcmp(text, "1") == 0;
        if (!value->boolean && strcmp(text, "false") != 0 && strcmp(text, "0") != 0)
            return refuse(option, text, reterr);
        break;
    case OPTION_NUMBER:
        if (text_parse_u64(text, 0, UINT32_MAX, option->name, &value->number, NULL) == ERR_OK)
            break;
        if (option->check != NULL)
            TRY(option->check(text, reterr)); /* it knows the bounds */
        return refuse(option, text, reterr);
    case OPTION_DURATION:
        TRY(text_parse_duration_ms(text, &value->number, reterr));
        break;
    case OPTION_TEXT:
        if (option->choices != NULL && !is_choice(option->choices, text))
            return refuse(option, text, reterr);
        break;
    case OPTION_IGNORED:
        break;
    }
    return option->check != NULL ? option->check(text, reterr) : ERR_OK;
}

/* @param source  what the user wrote it as: "--wait", "SVCMIRROR_WAIT". */
static enum err_code set(struct options *options, const struct option *option, const char *text, const char *source,
                         struct err *reterr)
{
    struct option_value value = {.text = text};
    struct err error = {0};
    if (convert(option, text, &value, &error) != ERR_OK)
        return err_set(reterr, error.code == ERR_NOMEM ? ERR_NOMEM : ERR_INVALID, "%.80s: %s", source, error.text);
    options->values[option - options->table] = value;
    return ERR_OK;
}

static enum err_code set_given(struct options *options, const struct option *option, const char *text,
                               const char *source, struct err *reterr)
{
    TRY(set(options, option, text, source, reterr));
    options->values[option - options->table].given = true;
    return ERR_OK;
}

static enum err_code set_defaults(struct options *options, struct err *reterr)
{
    for (const struct option *option = options->table; option->name != NULL; option++) {
        if (option - options->table >= OPTIONS_MAX)
            abort();
        if (option->fallback != NULL)
            TRY(set(options, option, option->fallback, option->name, reterr));
    }
    return ERR_OK;
}

static enum err_code set_from_environment(struct options *options, struct err *reterr)
{
    for (const struct option *option = options->table; option->name != NULL; option++) {
        char name[NAME_BYTES + sizeof("SVCMIRROR_")];
        if (option->alias_of != NULL || option->type == OPTION_IGNORED)
            continue;
        int length = snprintf(name, sizeof(name), "SVCMIRROR_%s", option->name);
        for (int i = 0; i < length; i++)
            name[i] = name[i] == '-' ? '_' : (char)toupper((unsigned char)name[i]);
        const char *text = getenv(name);
        if (text != NULL && text[0] != '\0') /* an empty variable is how manifests leave one unset */
            TRY(set_given(options, option, text, name, reterr));
    }
    return ERR_OK;
}

/* ---- words ---- */

/* A flag as it stands on the command line. */
struct flag {
    const struct option *option; /* NULL: unknown */
    const char *name;            /* with its dashes; `length` bytes of it */
    size_t length;
    const char *value; /* what follows '=' or the letter; NULL: nothing */
};

static struct flag read_flag(const struct option *table, const char *word)
{
    size_t dashes = word[1] == '-' ? 2 : 1, length = strcspn(word, "=");
    const char *name = word + dashes;
    struct flag flag = {.name = word, .length = length, .value = word[length] == '=' ? word + length + 1 : NULL};
    flag.option = find(table, name, length - dashes);
    if (flag.option == NULL && dashes == 1) {
        flag.option = find_letter(table, name[0]);
        if (length > 2 && flag.option != NULL) { /* -ojson */
            flag.length = 2;
            flag.value = name + 1;
        }
    }
    return flag;
}

const struct option *options_spelled(const struct option *table, const char *word, const char **ret_value)
{
    struct flag flag = word[0] == '-' && word[1] != '\0' ? read_flag(table, word) : (struct flag){0};
    *ret_value = flag.value;
    return flag.option != NULL ? meant(table, flag.option) : NULL;
}

static enum err_code refuse_flag(const struct option *table, const struct flag *flag, struct err *reterr)
{
    const char *name = flag->name + strspn(flag->name, "-");
    const struct option *similar = find_similar(table, name, flag->length - (size_t)(name - flag->name));
    int shown = flag->length > 80 ? 80 : (int)flag->length;
    if (similar != NULL)
        return err_set(reterr, ERR_INVALID, "unknown flag %.*s: did you mean --%s?", shown, flag->name, similar->name);
    return err_set(reterr, ERR_INVALID, "unknown flag %.*s", shown, flag->name);
}

/* Takes the flag at *at and, where that needs one, the word after it. */
static enum err_code take_flag(struct options *options, int argc, char **argv, int *at, struct err *reterr)
{
    struct flag flag = read_flag(options->table, argv[*at]);
    char source[NAME_BYTES];
    if (flag.option == NULL)
        return refuse_flag(options->table, &flag, reterr);
    const struct option *option = meant(options->table, flag.option);
    (void)snprintf(source, sizeof(source), "%.*s", (int)flag.length, flag.name);
    const char *text = flag.value != NULL ? flag.value : "true";
    if (flag.value == NULL && options_takes_value(option)) {
        /* No value begins with two dashes: `--context --namespace x` has forgotten one. */
        if (*at + 1 >= argc || strncmp(argv[*at + 1], "--", 2) == 0)
            return err_set(reterr, ERR_INVALID, "%s needs a value: %s %s", source, source, options_value_name(option));
        text = argv[++*at];
    }
    return set_given(options, option, text, source, reterr);
}

static enum err_code take_argument(struct options *options, unsigned max_arguments, const char *word,
                                   const char *previous, struct err *reterr)
{
    if (options->argument_count < max_arguments && options->argument_count < OPTIONS_MAX_ARGUMENTS) {
        options->arguments[options->argument_count++] = word;
        return ERR_OK;
    }
    bool boolean = strcmp(word, "true") == 0 || strcmp(word, "false") == 0;
    if (boolean && previous != NULL && previous[0] == '-')
        return err_set(reterr, ERR_INVALID, "unexpected argument \"%s\": write %.80s=%s", word, previous, word);
    return err_set(reterr, ERR_INVALID, "unexpected argument \"%.80s\"", word);
}

bool options_ask_for_help(int argc, char *const *argv)
{
    for (int at = 0; at < argc && strcmp(argv[at], "--") != 0; at++)
        if (strcmp(argv[at], "--help") == 0 || strcmp(argv[at], "-h") == 0 || strcmp(argv[at], "-help") == 0)
            return true;
    return false;
}

static enum err_code take_words(struct options *options, unsigned max_arguments, int argc, char **argv,
                                struct err *reterr)
{
    bool flags = true;
    for (int at = 0; at < argc; at++) {
        if (flags && strcmp(argv[at], "--") == 0)
            flags = false;
        else if (flags && argv[at][0] == '-' && argv[at][1] != '\0')
            TRY(take_flag(options, argc, argv, &at, reterr));
        else
            TRY(take_argument(options, max_arguments, argv[at], at > 0 ? argv[at - 1] : NULL, reterr));
    }
    return ERR_OK;
}

enum err_code options_parse(const struct option *table, unsigned max_arguments, int argc, char **argv,
                            struct options *ret_options, struct err *reterr)
{
    *ret_options = (struct options){.table = table};
    ret_options->help = options_ask_for_help(argc, argv); /* first: help is wanted most when the environment is wrong */
    if (ret_options->help)
        return ERR_OK;
    TRY(set_defaults(ret_options, reterr));
    TRY(set_from_environment(ret_options, reterr));
    return take_words(ret_options, max_arguments, argc, argv, reterr);
}

enum err_code options_parse_elsewhere(const struct option *table, int argc, char **argv, struct options *ret_options,
                                      struct err *reterr)
{
    *ret_options = (struct options){.table = table};
    TRY(set_defaults(ret_options, reterr));
    return take_words(ret_options, 0, argc, argv, reterr);
}

/* ---- reading ---- */

const struct option_value *options_get(const struct options *options, const char *name)
{
    const struct option *option = find(options->table, name, strlen(name));
    if (option == NULL)
        abort(); /* misspelt in this program */
    return &options->values[option - options->table];
}

const char *options_text(const struct options *options, const char *name) { return options_get(options, name)->text; }

const char *options_ignored(const struct options *options, const char *previous)
{
    const struct option *option = options->table;
    if (previous != NULL)
        option = find(options->table, previous, strlen(previous)) + 1;
    for (; option->name != NULL; option++)
        if (option->type == OPTION_IGNORED && options->values[option - options->table].given)
            return option->name;
    return NULL;
}

/* ---- help ---- */

static void describe(const struct option *option, char *buffer, size_t bytes)
{
    char letter[8] = "    ", value[NAME_BYTES] = "";
    if (option->letter != 0)
        (void)snprintf(letter, sizeof(letter), "-%c, ", option->letter);
    if (options_takes_value(option))
        (void)snprintf(value, sizeof(value), " %s", options_value_name(option));
    (void)snprintf(buffer, bytes, "  %s--%s%s", letter, option->name, value);
}

/* Appends words, and begins a new line at `indent` before one that would not fit. */
static void put_words(struct strbuf *text, const char *words, size_t indent, size_t *column)
{
    for (const char *at = words; *at != '\0';) {
        size_t length = strcspn(at, " ");
        if (*column > indent && *column + 1 + length > HELP_COLUMNS) {
            strbuf_printf(text, "\n%*s", (int)indent, "");
            *column = indent;
        } else if (*column > indent) {
            strbuf_append_char(text, ' ');
            (*column)++;
        }
        strbuf_append_bytes(text, at, length);
        *column += length;
        at += length + (at[length] == ' ' ? 1 : 0);
    }
}

void options_write_help(const struct option *table, struct strbuf *text)
{
    char left[2 * NAME_BYTES], fallback[2 * NAME_BYTES];
    size_t width = strlen("  -h, --help");
    for (const struct option *option = table; option->name != NULL; option++) {
        describe(option, left, sizeof(left));
        if (option->help != NULL && strlen(left) > width)
            width = strlen(left);
    }
    size_t indent = width + 3;
    for (const struct option *option = table; option->name != NULL; option++) {
        size_t column = indent;
        if (option->help == NULL)
            continue;
        describe(option, left, sizeof(left));
        strbuf_printf(text, "%-*s", (int)indent, left);
        put_words(text, option->help, indent, &column);
        if (option->fallback != NULL && option->fallback[0] != '\0') {
            (void)snprintf(fallback, sizeof(fallback), "(default %s)", option->fallback);
            put_words(text, fallback, indent, &column);
        }
        strbuf_append_char(text, '\n');
    }
    strbuf_printf(text, "%-*sshow this help\n", (int)indent, "  -h, --help");
}
