/* What is said to a credential plugin and what it answers: ExecCredential objects. Pure. Internal to agent/kube. */
#pragma once

#include "agent/kube/credentials.h"
#include "agent/kube/exec_config.h"

/** Appends KUBERNETES_EXEC_INFO; failures are the buffer's. */
void exec_answer_ask(struct strbuf *text, const struct exec_config *config, bool interactive);
/** Reads and judges an answer; no text of an error shows any of it.
 *  @return ERR_OK, ERR_PROTOCOL, ERR_TLS (certificate or key), ERR_NOMEM. */
enum err_code exec_answer_read(struct arena *arena, const char *text, size_t bytes, const struct exec_config *config,
                               struct exec_credential *ret_answer, struct err *reterr) MUST_USE;
