/* A table of records: asked for, filtered, ordered, printed as a table, JSON or YAML, and with --watch followed: what is new is printed as it comes,
 * like `kubectl get --watch`. Links, services, gateways and status are views that differ in their columns. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "agent/commands/command.h"
#include "agent/commands/look.h"
#include "agent/commands/output.h"

/** For the tables of commands that are views, after LOOK_OPTIONS. */
#define VIEW_OPTIONS                                                                                                   \
    {.name = "output",                                                                                                 \
     .letter = 'o',                                                                                                    \
     .choices = "table|wide|json|yaml",                                                                                \
     .fallback = "table",                                                                                              \
     .help = "how it is printed"},                                                                                     \
        {.name = "watch",                                                                                              \
         .type = OPTION_BOOL,                                                                                          \
         .help = "go on, and print what changes as it changes, one line or document each"},                            \
    {                                                                                                                  \
        .name = "cluster-name", .value_name = "NAME", .help = "only what is of this target cluster"                    \
    }

struct view {
    const struct output_column *columns, *wide_columns;
    const char *const *identity; /* keys that tell records apart; records come in the order of these. NULL at the end */
    const char *const
        *news; /* keys whose change is told when it is watched; of others that is no news: ages, latencies. Also of
                                  * objects in their lists */
    enum err_code (*read)(struct look *look, json_t **ret_records, struct err *reterr);
    bool (*wanted)(const json_t *record,
                   const struct options *options); /* NULL: all of the cluster that is asked for */
    void (*add_row)(struct output_table *out, const json_t *record, bool wide);
    void (*tell_empty)(const struct options *options); /* on stderr, what there is none of and why that may be */
};

/** Asks once. @param[out] ret_records  new: those that are asked for, in order. */
enum err_code view_read(const struct view *view, struct look *look, json_t **ret_records, struct err *reterr) MUST_USE;
/** Prints them as the options say. @return false when stdout takes no more. */
bool view_print(const struct view *view, json_t *records, const struct options *options);
/** The whole command, without a wait: shows it once, or follows it until it is interrupted. @param namespace  the agent's; borrowed. */
enum exit_code view_run(const struct view *view, const char *command, const char *namespace,
                        const struct options *options);
/** Shows it, and with --watch follows it. */
enum exit_code view_show(const struct view *view, struct look *look);
