/* What a command did to objects: a line for each at once, as kubectl prints it, or a list for programs in the end, whatever the end is. */
#pragma once

#include "agent/commands/cluster.h"
#include "agent/commands/options.h"
#include "agent/commands/resource.h"

/** For tables of options: how it is told. */
#define TOLD_OPTION(of)                                                                                                \
    {                                                                                                                  \
        .name = "output", .letter = 'o', .choices = "text|name|json|yaml", .fallback = "text",                         \
        .help = "how is told what was done" of                                                                         \
    }

/** Whether something was really done. */
enum told_run { TOLD_DONE, TOLD_DRY_CLIENT, TOLD_DRY_SERVER };

struct told {
    const struct cluster *cluster;
    const struct resource *resource;
    const char *namespace; /* NULL or "": that of nothing */
    const char *name;
    const char *outcome; /* "created", "configured", "unchanged", "deleted", "exported" ... */
    enum told_run run;
    bool with_namespace; /* the line says which: for commands on several */
};

/** What --dry-run's value says; NULL: none. */
enum told_run told_run_of(const char *dry_run);

/** From now on tells as the option `output` says, if it is given. Otherwise lines are printed. */
void told_begin(const struct options *options);
void told(const struct told *what);
/** Tells of an object that would be deleted: for --dry-run=client. */
void told_would_delete(const struct cluster *cluster, const struct resource *resource, const char *namespace,
                       const char *name);
/** How many objects were told of. */
unsigned told_count(void);
/** Prints what was kept for it: an array of {"cluster", "apiVersion", "kind", "namespace", "name", "outcome", "dryRun"}, the last of them "none",
 *  "client" or "server". Nothing without told_begin(). @return false when not all of it could be printed. */
bool told_end(void);
