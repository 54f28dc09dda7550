/* What client.c offers to request.c and list_watch.c: raw calls with the client's credentials. Internal to agent/kube. */
#pragma once

#include "agent/kube/client.h"

struct loop *kube_client_loop(const struct kube_client *client);
/** http_start() with the credentials added; up to HTTP_MAX_HEADERS - 2 headers may be set. */
enum err_code transport_start(struct kube_client *client, struct http_call *call, struct err *reterr) MUST_USE;
/** Reads the token file again now. @return whether there is a new token. */
bool transport_refresh(struct kube_client *client);
/** A call ended: tells the observers. */
void transport_observe(struct kube_client *client, const char *verb, const char *resource, const struct http_call *call,
                       uint64_t started_us);
void transport_link(struct kube_client *client, struct kube_request *request);
void transport_unlink(struct kube_client *client, struct kube_request *request);
struct kube_request *transport_first(struct kube_client *client);
/** Ends with ERR_CONNECT the requests whose connections were closed because the certificates changed. */
void transport_fail_orphans(struct kube_client *client);

/** Fills a failure from a finished call: `what` reads "create Service ns/name in cluster x". @param error of the call, NULL when it was answered. */
void failure_fill(struct kube_failure *failure, const struct http_call *call, const struct err *error,
                  const char *what);
enum err_code failure_code(int status, const char *reason);
/** Fills from a Status object and HTTP status. */
void failure_from_status(struct kube_failure *failure, const json_t *status, int http_status, const char *what);
