/* Runs a kubeconfig's credential plugin (client.authentication.k8s.io): a program that prints a token or a client certificate. No shell is
 * between, the loop goes on while it runs, and its time is bounded. What it prints is never shown; what it says on stderr is, when it
 * fails. Whether it may run at all is decided before (kubeconfig.h, exec_permission). Internal to agent/kube. */
#pragma once

#include "agent/kube/credentials.h"
#include "agent/kube/exec_config.h"
#include "agent/loop/loop.h"

struct exec_plugin;

/** @param answer  borrowed, NULL when it failed. Called once for each start, from the loop; may free the plugin. */
typedef void (*exec_plugin_fn)(void *context, const struct exec_credential *answer, const struct err *error);

/** Copies `config`. @param may_ask  whether it may use this process's terminal. @return ERR_OK, ERR_NOMEM. */
enum err_code exec_plugin_new(struct loop *loop, const struct exec_config *config, bool may_ask, exec_plugin_fn fn,
                              void *context, struct exec_plugin **ret_plugin, struct err *reterr) MUST_USE;
/** Kills what runs, without calling back. Takes NULL. */
void exec_plugin_free(struct exec_plugin *plugin);
/** Does nothing while it runs. */
void exec_plugin_start(struct exec_plugin *plugin);
bool exec_plugin_running(const struct exec_plugin *plugin);

/** Seam for tests: how long a program may take that asks nobody. */
extern uint64_t exec_plugin_timeout_ms;
