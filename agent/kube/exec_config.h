/* The `exec` part of a kubeconfig's user: which program gives credentials, and who may have it run. Only what is written there is here;
 * exec_plugin.h runs it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/arena.h"
#include "base/err.h"

/** Whether the program may be run. Nothing but a decision of the command that runs makes it more than EXEC_REFUSED. */
enum exec_permission {
    EXEC_REFUSED,
    EXEC_ALONE,    /* it may, and never has a terminal: it is run by the agent */
    EXEC_TERMINAL, /* it may, and may ask the person at the terminal, if there is one */
};

enum exec_mode { EXEC_NEVER_ASKS, EXEC_ASKS_IF_IT_CAN, EXEC_ALWAYS_ASKS }; /* interactiveMode */

/** Texts in the arena that they were read into. */
struct exec_config {
    const char *api_version;  /* of the ExecCredential: client.authentication.k8s.io/v1 or v1beta1 */
    const char *command;      /* a path, or a name to be found in PATH */
    const char *const *argv;  /* the command and its arguments; NULL at its end */
    const char *const *env;   /* "NAME=value", beside the process's own; NULL at its end */
    const char *install_hint; /* for people who do not have the program; NULL when none */
    const char *cluster;      /* spec.cluster of the input as JSON, NULL unless provideClusterInfo */
    enum exec_mode mode;
};

/** Reads it. A command with a slash is relative to `directory`, as every path of a kubeconfig.
 *  @param exec, cluster  the user's `exec`, and the cluster beside it.
 *  @param ca_pem  the cluster's, as it was read; may be NULL.
 *  @return ERR_OK, ERR_INVALID (names the field), ERR_NOMEM. */
enum err_code exec_config_read(struct arena *arena, const json_t *exec, const json_t *cluster, const char *ca_pem,
                               const char *directory, const struct exec_config **ret_config, struct err *reterr)
    MUST_USE;
/** A deep copy; NULL in, NULL out. On failure arena_failed(). */
const struct exec_config *exec_config_copy(struct arena *arena, const struct exec_config *config);
/** Likewise of a list of texts that NULL ends. */
const char *const *exec_config_copy_list(struct arena *arena, const char *const *list);
/** The program's path, by PATH when the name has no slash. @return NULL when there is none that may be run, or memory is short. */
const char *exec_config_find(struct arena *arena, const char *command);
/** Whether the program is one of the list's: names and absolute paths separated by commas or blanks. Both sides are looked up and their paths
 *  compared, so that a name allows the program to which PATH leads, and no other of this name. */
bool exec_config_allowed(const struct exec_config *config, const char *list);
