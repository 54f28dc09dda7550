/* Flags that Linkerd's CLI and kubectl have on every command, in one place for all of ours that reach clusters with a person's kubeconfig: acting as
 * somebody else, and what is taken and said to be ignored. Not for `run`, which acts as itself. */
#pragma once

#include "agent/commands/command.h"
#include "agent/kube/kubeconfig.h"

/** As of a command's options, for help, pages and completions. What is ignored has no help text. */
extern const struct option globals_table[];

bool globals_are_taken_by(const struct command *command);

/** Takes them out of a command line, keeps whom to act as, and tells which ones mean nothing here. A command's own flags come first.
 *  @param[in,out] argc, argv  what follows the command's name; the words that stay move together.
 *  @return ERR_OK, ERR_INVALID (one line, with what would be right), ERR_NOMEM. */
enum err_code globals_take(const struct command *command, int *argc, char **argv, struct err *reterr) MUST_USE;
/** Makes the bearer of these credentials act as whom the flags name, in place of whom the kubeconfig names; changes nothing without them.
 *  @param arena  of what is put into `config`. @return ERR_OK, ERR_INVALID, ERR_LIMIT, ERR_NOMEM. */
enum err_code globals_act(struct arena *arena, struct kubeconfig *config, struct err *reterr) MUST_USE;
/** Forgets whom to act as. */
void globals_done(void);
