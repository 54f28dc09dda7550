/* Command lines. Each command has one table; flags, environment variables, defaults, checks and help all come from it.
 *
 * A flag is spelled --name VALUE, --name=VALUE, with one dash (as Go programs, Linkerd's controller among them, take them) or
 * by its letter: -o json, -ojson, -o=json. Flags win over the environment, which wins over defaults. Of a
 * flag that is given more than once, in one spelling or in two, the last counts. "--" ends the flags. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"

enum option_type {
    OPTION_TEXT,
    OPTION_BOOL,     /* --name, --name=true, --name=false */
    OPTION_NUMBER,   /* 0 to 2^32-1 */
    OPTION_DURATION, /* as Go writes them; milliseconds in `number` */
    OPTION_IGNORED, /* another program's: taken, with its value where it has a value_name, and told by options_ignored() */
};

/** Whether the text of a value is acceptable; of an OPTION_NUMBER also asked of what is no number. @return ERR_OK, or ERR_INVALID with what would be. */
typedef enum err_code (*option_check_fn)(const char *text, struct err *reterr);

struct option {
    const char *name; /* without dashes; NULL ends the table. Never "port" or "service-...": Kubernetes itself sets
                         SVCMIRROR_PORT and SVCMIRROR_SERVICE_* in pods beside a Service svcmirror */
    char letter;      /* 0: none */
    enum option_type type;
    const char *value_name; /* in help: "FILE"; NULL for switches and where `choices` says it */
    const char *choices;    /* "table|wide|json"; NULL: not one of a few */
    const char *fallback;   /* default as text; NULL: none */
    const char *help;       /* a sentence without full stop; NULL: not shown */
    const char *alias_of;   /* another spelling of that option */
    option_check_fn check;  /* NULL: none */
};

enum { OPTIONS_MAX = 48, OPTIONS_MAX_ARGUMENTS = 64 };

struct option_value {
    bool given;       /* by flag or environment */
    const char *text; /* NULL: neither given nor a default */
    bool boolean;
    uint64_t number;
};

/** A parsed command line. Texts are borrowed from argv, the environment and the table. */
struct options {
    const struct option *table;
    struct option_value values[OPTIONS_MAX]; /* in the order of the table */
    const char *arguments[OPTIONS_MAX_ARGUMENTS];
    unsigned argument_count;
    bool help; /* --help was given: nothing after it was looked at */
};

/** @param argv  what follows the command's name. @param max_arguments  how many words that are no flags it takes.
 *  @return ERR_OK, ERR_INVALID (one line, with what would be right), ERR_NOMEM. */
enum err_code options_parse(const struct option *table, unsigned max_arguments, int argc, char **argv,
                            struct options *ret_options, struct err *reterr) MUST_USE;
/** Flags of a command that is to run elsewhere, where this environment is not: only they and the fallbacks count. */
enum err_code options_parse_elsewhere(const struct option *table, int argc, char **argv, struct options *ret_options,
                                      struct err *reterr) MUST_USE;
/** Whether --help, -h or -help is among the flags. */
bool options_ask_for_help(int argc, char *const *argv);
/** Never NULL: a name that is not in the table aborts. */
const struct option_value *options_get(const struct options *options, const char *name);
const char *options_text(const struct options *options, const char *name); /* may be NULL */
/** Walks the OPTION_IGNORED that were given. @param previous  NULL for the first. @return the name, NULL at the end. */
const char *options_ignored(const struct options *options, const char *previous);
/** Appends the flags with what they mean, in two columns. */
void options_write_help(const struct option *table, struct strbuf *text);
/** Whether a value follows the flag, and what it is called: "FILE", "table|json". */
bool options_takes_value(const struct option *option);
const char *options_value_name(const struct option *option);
/** The words that a flag takes, separated by '|'; NULL when it takes no words of a list. */
const char *options_words(const struct option *option);
/** The option that a word of a command line spells: "--output", "-o", "--output=json". @param[out] ret_value  what stands behind it in the same
 *  word; NULL: nothing does. @return NULL: none. */
const struct option *options_spelled(const struct option *table, const char *word, const char **ret_value);
