/* The commands: each is a function from its own options to an exit code, with what --help says of it. */
#pragma once

#include "agent/commands/options.h"

/** What a command ends with; each one's help says what that means for it. */
enum exit_code {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,        /* it did not work; stderr says what, on which object, and what to do */
    EXIT_USAGE = 2,         /* the command line is wrong; nothing was done */
    EXIT_DIFFERENT = 3,     /* it worked, and there is something to be done: only where that was asked for */
    EXIT_INTERRUPTED = 130, /* SIGINT or SIGTERM (128 + 2, as shells say it); stderr says what was done until then */
};

/** Under which heading the overview lists a command. */
enum command_group { GROUP_AGENT, GROUP_SET_UP, GROUP_LOOK, GROUP_OTHER, COMMAND_GROUPS };

struct command {
    const char *name; /* one word, or two: "edge-stack prepare" */
    enum command_group group;
    const char *summary;    /* a sentence without full stop, for the list of commands */
    const char *about;      /* paragraphs of text, each line ended */
    const char *examples;   /* lines that can be copied, without the program's name */
    const char *exit_codes; /* one line for each that it has */
    const struct option *options;
    const char *argument_names; /* for its usage: "NAMESPACE/SERVICE"; NULL when it takes none */
    unsigned max_arguments;
    enum exit_code (*run)(const struct options *options);
};

/** The commands in the order in which help lists them within their group, NULL at the end. */
extern const struct command *const commands[];

/** What the program is for: a paragraph. */
extern const char command_purpose[];
extern const char *const command_group_headings[COMMAND_GROUPS];

extern const struct command command_run, command_install, command_uninstall, command_link, command_link_gen,
    command_allow, command_unlink, command_edge_stack_prepare, command_export, command_unexport, command_support_bundle,
    command_status, command_links, command_gateways, command_services, command_check, command_plan, command_why,
    command_completion, command_man, command_version;

/** Parses and runs. `argv` begins with the program's own name, which help repeats: "svcmirror", or "kubectl svcmirror" when it runs as
 *  kubectl's plugin. Called kubectl_complete-svcmirror, or with `__complete` first, it prints what may stand at the end of the words instead. */
enum exit_code command_main(int argc, char **argv);

/** The command that `words` begin with, by its own name of one word or two. @param[out] ret_used  how many words that is. @return NULL: none. */
const struct command *command_find(int count, const char *const *words, int *ret_used);

/** Prints "svcmirror NAME: text" to stderr, one line. */
void command_complain(const char *command, const char *format, ...) PRINTF_LIKE(2, 3);
/** Tells on stderr that a flag of another program's was given, which means nothing here. */
void command_tell_ignored(const char *command, const char *flag);
/** Tells all of the flags that were given and mean nothing here. */
void command_tell_all_ignored(const char *command, const struct options *options);

/** For options: an object's name (RFC 1123 subdomain), of a Secret or a Link. */
enum err_code command_check_object_name(const char *text, struct err *reterr);
/** For options: a namespace's name (RFC 1123 label). */
enum err_code command_check_namespace(const char *text, struct err *reterr);
