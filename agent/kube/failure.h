/* From an answer to what it means: HTTP statuses and Status objects (meta/v1), told in words that name the request, the object and the
 * cluster. Internal to agent/kube. */
#pragma once

#include "agent/kube/client.h"

/** What an answer with this HTTP status and Status.reason ("" when none) means to the program. */
enum err_code failure_code(int status, const char *reason);

/** Names a request: "create Service demo/web in cluster source".
 *  @param path  its path; @param body  of a create (names the object), may be NULL. */
void failure_describe(char *buffer, size_t bytes, const char *verb, const char *resource, const char *path,
                      const char *body, const char *cluster);

/** Fills from a finished call. `what` names the request. @param error  the call's, NULL when it was answered. */
void failure_fill(struct kube_failure *failure, const struct http_call *call, const struct err *error,
                  const char *what);
/** Fills from a Status object. `failure->retry_after_ms` is kept when it is set already. */
void failure_from_status(struct kube_failure *failure, const json_t *status, int http_status, const char *what);
/** Rewrites the text of a 403 to a collection's list or watch: names the right that is missing, and to whom. */
void failure_name_right(struct kube_failure *failure, const char *verb, const char *resource, const char *cluster);
