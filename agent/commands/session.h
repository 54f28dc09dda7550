/* What a command line tool needs of the network, one request after the other: the same client as the agent's, waited for. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"

struct session;

/** @param address  base URL of an agent; NULL: the API server of the kubeconfig. */
enum err_code session_new(const char *address, const char *kubeconfig, const char *context, struct session **ret_session,
                          struct err *reterr) MUST_USE;
void session_free(struct session *session);
/** @param[out] ret_object  new reference. */
enum err_code session_get(struct session *session, const char *resource, const char *path, json_t **ret_object, struct err *reterr) MUST_USE;
uint64_t session_now_ms(const struct session *session);
void session_sleep(struct session *session, uint64_t ms);
