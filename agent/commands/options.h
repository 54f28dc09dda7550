/* One table for each command: flags, environment variables, defaults and help come from it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/strbuf.h"

enum option_type {
    OPTION_TEXT,
    OPTION_BOOL,     /* --name, --name=true, --name=false */
    OPTION_NUMBER,
    OPTION_DURATION, /* milliseconds in `number` */
    OPTION_IGNORED,  /* taken, with its value, for the sake of another program's habits */
};

struct option {
    const char *name;    /* without dashes */
    char letter;         /* -o; 0: none */
    enum option_type type;
    const char *value_name; /* in help: "FILE"; NULL for switches */
    const char *fallback;   /* default as text, NULL: none */
    const char *help;       /* one line; NULL: not shown */
    const char *alias_of;   /* another spelling of that option */
};

enum { OPTIONS_MAX = 48 };

struct option_value {
    bool given; /* by flag or environment */
    const char *text;
    bool boolean;
    uint64_t number;
};

/** Parsed options, in the order of the table. Texts are borrowed from argv, the environment and the table. */
struct options {
    const struct option *table;
    struct option_value values[OPTIONS_MAX];
    const char *ignored[OPTIONS_MAX]; /* names of OPTION_IGNORED that were given */
    unsigned ignored_count;
    const char *arguments[8]; /* what is no flag */
    unsigned argument_count;
    bool help;
};

/** `table` ends with a NULL name. Flags win over the environment (SVCMIRROR_<NAME> in upper case, dashes as underscores), which wins over
 *  defaults. One dash or two, "--name value" or "--name=value". @return ERR_OK, ERR_INVALID (one line and a hint). */
enum err_code options_parse(const struct option *table, int argc, char **argv, struct options *ret_options, struct err *reterr) MUST_USE;
const struct option_value *options_get(const struct options *options, const char *name); /* never NULL for a name of the table */
void options_write_help(const struct option *table, struct strbuf *text);
