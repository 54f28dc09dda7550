/* One API server as one identity: requests with credentials, answers with Kubernetes' meaning. Keeps the token fresh (re-read each
 * minute and after a 401, once), certificates and CA files too, and runs the kubeconfig's exec plugin where that was permitted. Knows no
 * resource types. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/kubeconfig.h"
#include "agent/kube/validity.h"
#include "agent/net/http.h"

struct kube_client;

/** Copies what it needs of `config`. `label` names the cluster in texts ("source", or the target cluster's name).
 *  @return ERR_OK, ERR_NOMEM, ERR_INVALID, ERR_TLS (a PEM that cannot be read). */
enum err_code kube_client_new(struct http *http, struct loop *loop, const struct kubeconfig *config, const char *label,
                              struct kube_client **ret_client, struct err *reterr) MUST_USE;
/** Cancels every request without calling back. Takes NULL. What follows collections through it (list_watch, discovery, events) must be
 *  freed before. */
void kube_client_free(struct kube_client *client);
const char *kube_client_label(const struct kube_client *client);
const char *kube_client_server(const struct kube_client *client);
/** What a client proves itself with, and what it trusts. */
enum kube_credential { KUBE_CREDENTIAL_CERTIFICATE, KUBE_CREDENTIAL_CA, KUBE_CREDENTIAL_TOKEN, KUBE_CREDENTIAL_KINDS };
/** "client_certificate", "ca", "token": for metrics and logs. */
const char *kube_credential_name(enum kube_credential kind);
/** Of a CA bundle that of the certificate that expires first; zeros for what there is none of, or what does not say. */
struct validity kube_client_validity(const struct kube_client *client, enum kube_credential kind);
/** When the first of client certificate and token expires, microseconds since 1970; 0 when unknown. */
int64_t kube_client_expires_us(const struct kube_client *client);

/** From now on every request that would change something is refused with ERR_UNSUPPORTED, and never sent. */
void kube_client_set_read_only(struct kube_client *client);

/** So many connections at a time, beside those of lists and watches; 64 unless said. */
void kube_client_limit_connections(struct kube_client *client, uint32_t max_connections);

/** Closes the connections that nothing has used for two seconds, a little later; none within a second of another request's start. */
void kube_client_close_idle(struct kube_client *client);

/** From now on what lists and watches collections asks for JSON alone, as it does where what came in protobuf could not be read. */
void kube_client_ask_for_json(struct kube_client *client);
/** From now on what lists a collection asks for a stream (WatchList) where the server takes that. */
void kube_client_stream_lists(struct kube_client *client);

/** Per request: how the server answered, for metrics. `verb` "get","list","watch","create","update","patch","delete". */
typedef void (*kube_observe_fn)(void *context, const struct kube_client *client, const char *verb, const char *resource,
                                int status, uint64_t latency_us);
void kube_client_observe(struct kube_client *client, kube_observe_fn fn, void *context);
/** Each distinct Warning header (299) of the server, once. */
typedef void (*kube_warning_fn)(void *context, const struct kube_client *client, const char *text);
void kube_client_on_warning(struct kube_client *client, kube_warning_fn fn, void *context);

/** A file of credentials was read again. @param error  NULL: it held something new, which is in use; else it could not be used, and the old is
 *  used on; its text is empty when the same was told before. */
typedef void (*kube_reload_fn)(void *context, const struct kube_client *client, enum kube_credential kind,
                               const struct err *error);
void kube_client_on_reload(struct kube_client *client, kube_reload_fn fn, void *context);

/** What came back when it was not what was asked for; err.text reads "create Service ns/name in cluster source: ...". */
struct kube_failure {
    struct err error;
    int status;             /* HTTP status, 0 when none */
    char reason[64];        /* Status.reason, e.g. "AlreadyExists"; "" when none */
    int64_t retry_after_ms; /* -1 when the server named none */
    bool version_too_large; /* the server does not know the resourceVersion that was named yet */
};

/** One request; embedded in its owner. Same contract as struct http_call: on_done exactly once or never after
 *  cancel; in on_done it may be started again. Zero-initialise before setting it up. */
struct kube_request {
    /* -- set before kube_start() -- */
    const char *verb; /* as for kube_observe_fn; decides the HTTP method: create POST, update PUT, patch PATCH, ... */
    const char *resource;     /* plural, for metrics and texts: "services" */
    const char *path;         /* "/api/v1/namespaces/x/services/y?fieldManager=svcmirror", encoded; copied */
    const char *content_type; /* of the body; NULL: application/json */
    const char *body;         /* copied */
    size_t body_bytes;
    uint32_t timeout_ms;    /* 0: 30 s */
    const char *user_agent; /* instead of the client's own; NULL: that; copied */
    bool only_metadata;     /* the rest of the answer is not wanted: a PartialObjectMetadata, where servers make them */
    bool is_text;           /* the answer is no JSON, as a log is none: it is in `text`, and `object` is NULL */
    bool only_version; /* of the answer only its resourceVersion is wanted: it is in `version`, and `object` is NULL */
    /* Asked when the request is about to be sent; when it says no, it is not, and fails with ERR_CANCELLED. NULL: it may. */
    bool (*may_send)(const struct kube_request *request);
    /* `object` is the decoded answer (borrowed; NULL when the body was empty); `failure` is NULL on 2xx. */
    void (*on_done)(struct kube_request *request, json_t *object, const struct kube_failure *failure);
    void *context;
    /* -- result -- */
    int64_t date_s;   /* the server's clock when it answered, seconds since 1970; 0 when it did not say */
    const char *text; /* of a good answer that is_text; valid during on_done */
    size_t text_bytes;
    const char *version; /* of a good answer with only_version: "" when it has none; valid during on_done */
    /* -- private -- */
    struct kube_client *client;
    struct http_call call;
    char *copied_body;
    char *copied_path, *content_line, *agent_line;
    unsigned generation; /* of the credentials that it was sent with */
    bool retried_unauthorized;
    uint64_t started_us;
    struct kube_request *next, *previous;
};
enum err_code kube_start(struct kube_client *client, struct kube_request *request, struct err *reterr) MUST_USE;
void kube_cancel(struct kube_request *request); /* idempotent */

/** URL-encodes a query value into the arena, e.g. for labelSelector. */
const char *kube_query_escape(struct arena *arena, const char *value);
