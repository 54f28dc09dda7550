/* An agent that gets everything ready and writes nothing, for commands that tell what `run` would do. */
#pragma once

#include "agent/commands/agent_options.h"
#include "agent/control/preview.h"
#include "agent/loop/loop.h"
#include "base/err.h"
#include "base/strbuf.h"

/** For the tables of these commands, after AGENT_OPTION_NAMESPACE and AGENT_OPTIONS_DECIDING. */
#define DRY_RUN_OPTIONS                                                                                                \
    {.name = "timeout",                                                                                                \
     .type = OPTION_DURATION,                                                                                          \
     .value_name = "DURATION",                                                                                         \
     .fallback = "30s",                                                                                                \
     .help = "how long to wait for the clusters and the gateways"},                                                    \
        {.name = "kubeconfig",                                                                                         \
         .value_name = "FILE",                                                                                         \
         .help = "kubeconfig of the source cluster; without it as kubectl chooses, in a pod its service account"},     \
        {.name = "context", .value_name = "NAME", .help = "context of the kubeconfig, instead of its current one"},    \
    {                                                                                                                  \
        .name = "log-level", .value_name = "debug|info|warn|error",                                                    \
        .help = "log on stderr what happens meanwhile; default: nothing", .check = dry_run_check_level                 \
    }

struct dry_run;

struct dry_run_config {
    const char *command; /* its name, for what is told on stderr; constant */
    const struct options *options;
    /* All that can be known is known: `control` may be looked at. Goes on with preview_collect(dry_run_preview(...)), or stops dry_run_loop(). NULL: the
     * writes are collected at once. */
    void (*on_settled)(void *context);
    bool (*wants)(void *context, const char *mirror_key); /* as in preview.h */
    const char *link; /* likewise; besides, only this link's target is told to be missing */
    void *context;
};

enum err_code dry_run_check_level(const char *text, struct err *reterr);

/** Connects to the source cluster, and starts to watch and probe. @return any code; the text says what cannot be used. */
enum err_code dry_run_new(const struct dry_run_config *config, struct dry_run **ret_run, struct err *reterr) MUST_USE;
void dry_run_free(struct dry_run *run); /* takes NULL */
/** Runs until the writes are collected. @return ERR_OK, or why there are none; ERR_CANCELLED when interrupted. */
enum err_code dry_run_wait(struct dry_run *run, struct err *reterr) MUST_USE;
/** Whether SIGINT or SIGTERM ended the wait. @param run  may be NULL: there was none yet. */
bool dry_run_interrupted(const struct dry_run *run);
struct preview *dry_run_preview(struct dry_run *run);
struct control *dry_run_control(struct dry_run *run);
struct loop *dry_run_loop(struct dry_run *run);
/** Tells on stderr what is wrong with declarations of links. */
void dry_run_tell_complaints(struct dry_run *run);
/** Tells on stderr what is not in the plan because a cluster could not be read. @return whether nothing is missing. */
bool dry_run_tell_missing(struct dry_run *run);
