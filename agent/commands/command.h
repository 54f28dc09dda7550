/* The commands: each is a function from its own arguments to an exit code. */
#pragma once

#include "agent/commands/options.h"

/** 0 done, 1 it did not work, 2 the command line is wrong. */
enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
    const char *name;
    const char *summary; /* one line for `svcmirror --help` */
    const char *usage;   /* "svcmirror run [flags]" */
    const char *text;    /* a paragraph and an example, for `svcmirror NAME --help` */
    const struct option *options;
    int (*run)(const struct options *options);
};

extern const struct command command_run, command_gateways, command_version;

/** Parses and runs. `argv` begins after the program's name. */
int command_main(int argc, char **argv);
