#include "agent/commands/command.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "version.h"

static const struct command *const commands[] = {&command_run, &command_gateways, &command_version};

static const struct option version_options[] = {
    {.name = "output", .letter = 'o', .type = OPTION_TEXT, .value_name = "FORMAT", .fallback = "text", .help = "text or json"},
    {0},
};

static int version_run(const struct options *options) {
    const char *format = options_get(options, "output")->text;
    if (strcmp(format, "json") == 0) {
        (void)puts("{\"version\":\"" SVCMIRROR_VERSION "\"}");
        return EXIT_DONE;
    }
    if (strcmp(format, "text") != 0) {
        (void)fprintf(stderr, "svcmirror version: -o %s is unknown: use text or json\n", format);
        return EXIT_USAGE;
    }
    (void)puts("svcmirror " SVCMIRROR_VERSION);
    return EXIT_DONE;
}

const struct command command_version = {
    .name = "version",
    .summary = "Print the version",
    .usage = "svcmirror version [-o text|json]",
    .text = "Example:\n  svcmirror version -o json\n",
    .options = version_options,
    .run = version_run,
};

static void print_overview(FILE *stream) {
    (void)fprintf(stream,
                  "svcmirror mirrors the exported Services of other Kubernetes clusters into this one and keeps the mirrors ready only while\n"
                  "their gateway answers. A drop-in for Linkerd's service mirror.\n\nUsage:\n  svcmirror COMMAND [flags]\n"
                  "  kubectl svcmirror COMMAND [flags]\n\nCommands:\n");
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        (void)fprintf(stream, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    (void)fprintf(stream,
                  "\nEvery flag can also be set by an environment variable: --admin-addr is SVCMIRROR_ADMIN_ADDR.\n"
                  "Exit codes: 0 done, 1 it did not work, 2 the command line is wrong.\n"
                  "Run `svcmirror COMMAND --help` for a command's flags and an example.\n");
}

static void print_help(const struct command *command) {
    struct strbuf text;
    strbuf_init(&text, 64 << 10);
    strbuf_printf(&text, "%s\n\nUsage:\n  %s\n\nFlags:\n", command->summary, command->usage);
    options_write_help(command->options, &text);
    strbuf_printf(&text, "  %-34s %s\n\n%s", "-h, --help", "show this help", command->text);
    (void)fputs(strbuf_text(&text), stdout);
    strbuf_done(&text);
}

static const struct command *find(const char *name) {
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

int command_main(int argc, char **argv) {
    struct options options;
    struct err error = {0};
    if (argc < 1) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 || strcmp(argv[0], "help") == 0) {
        print_overview(stdout);
        return EXIT_DONE;
    }
    const struct command *command = find(strcmp(argv[0], "--version") == 0 ? "version" : argv[0]);
    if (command == NULL) {
        (void)fprintf(stderr, "svcmirror: unknown command \"%s\"; `svcmirror --help` lists the commands\n", argv[0]);
        return EXIT_USAGE;
    }
    if (options_parse(command->options, argc - 1, argv + 1, &options, &error) != ERR_OK) {
        (void)fprintf(stderr, "svcmirror %s: %s; see `svcmirror %s --help`\n", command->name, error.text, command->name);
        return EXIT_USAGE;
    }
    if (options.help) {
        print_help(command);
        return EXIT_DONE;
    }
    return command->run(&options);
}
