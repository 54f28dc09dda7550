/* JSON <-> the structs of mirror/. Decoding borrows strings from the JSON and arrays from the arena: keep both while the struct is used, or copy
 * (service_copy()). Lenient in what is optional, strict in what is read: a field of the wrong type is an error that names it. */
#pragma once

#include <jansson.h>

#include "agent/kube/json_tree.h"
#include "base/arena.h"
#include "base/err.h"
#include "base/strbuf.h"
#include "mirror/link.h"
#include "mirror/object.h"

enum err_code codec_read_service(struct arena *arena, const struct json_tree *json, struct service *ret_service,
                                 struct err *reterr) MUST_USE;
/** A ServiceImport, as struct service holds it. */
enum err_code codec_read_import(struct arena *arena, const struct json_tree *json, struct service *ret_import,
                                struct err *reterr) MUST_USE;
enum err_code codec_read_slice(struct arena *arena, const struct json_tree *json, struct slice *ret_slice,
                               struct err *reterr) MUST_USE;
/** v1 Endpoints, as a slice of both families: the addresses of all subsets, of each the ready ones first, and their ports. */
enum err_code codec_read_endpoints(struct arena *arena, const struct json_tree *json, struct slice *ret_endpoints,
                                   struct err *reterr) MUST_USE;
enum err_code codec_read_namespace(struct arena *arena, const struct json_tree *json,
                                   struct namespace_object *ret_namespace, struct err *reterr) MUST_USE;
/** Of networking.k8s.io. */
enum err_code codec_read_service_cidr(struct arena *arena, const struct json_tree *json, struct service_cidr *ret_cidr,
                                      struct err *reterr) MUST_USE;
enum err_code codec_read_link(struct arena *arena, const struct json_tree *json, struct link_resource *ret_link,
                              struct err *reterr) MUST_USE;
/** A credentials Secret: `ret_kubeconfig` is data.kubeconfig decoded from base64, in the arena (NULL when the key is absent); it
 *  holds no NUL before its end. */
enum err_code codec_read_secret(struct arena *arena, const struct json_tree *json, struct link_secret *ret_secret,
                                const char **ret_type, const char **ret_kubeconfig, size_t *ret_kubeconfig_bytes,
                                struct err *reterr) MUST_USE;
/** Only metadata, for objects of any kind. */
enum err_code codec_read_meta(struct arena *arena, const struct json_tree *json, struct object_meta *ret_meta,
                              struct err *reterr) MUST_USE;

/* The same of jansson's values, for answers to single requests (codec_json.c). */
enum err_code codec_service(struct arena *arena, const json_t *json, struct service *ret_service, struct err *reterr)
    MUST_USE;
enum err_code codec_import(struct arena *arena, const json_t *json, struct service *ret_import, struct err *reterr)
    MUST_USE;
enum err_code codec_slice(struct arena *arena, const json_t *json, struct slice *ret_slice, struct err *reterr)
    MUST_USE;
enum err_code codec_endpoints(struct arena *arena, const json_t *json, struct slice *ret_endpoints, struct err *reterr)
    MUST_USE;
enum err_code codec_link(struct arena *arena, const json_t *json, struct link_resource *ret_link, struct err *reterr)
    MUST_USE;
enum err_code codec_secret(struct arena *arena, const json_t *json, struct link_secret *ret_secret,
                           const char **ret_type, const char **ret_kubeconfig, size_t *ret_kubeconfig_bytes,
                           struct err *reterr) MUST_USE;

/* Encoding: JSON text appended to `body`; failures are the buffer's. */
/** A whole Service for POST: no status, no clusterIP (unless headless: "None"). */
void codec_write_service(struct strbuf *body, const struct service *service);
/** A JSON merge patch (RFC 7396) that makes labels, annotations and ports of `old` those of `wanted`, with resourceVersion and uid
 *  of `old` as precondition. Keys of `old` that `wanted` lacks become null; what is equal already is not in it. */
void codec_write_service_patch(struct strbuf *body, const struct service *old, const struct service *wanted);
/** A whole EndpointSlice for POST or PUT (with uid and resourceVersion when meta has them). */
void codec_write_slice(struct strbuf *body, const struct slice *slice);
/** Whole v1 Endpoints for POST or PUT: one subset with the ready and the other addresses. */
void codec_write_endpoints(struct strbuf *body, const struct slice *endpoints);
/** A whole ServiceImport for POST, but for its status. @param version  of its API group, e.g. "v1beta1". */
void codec_write_import(struct strbuf *body, const char *version, const struct service *import);
/** A JSON merge patch of metadata and spec, as that of a Service. */
void codec_write_import_patch(struct strbuf *body, const struct service *old, const struct service *wanted);
/** A JSON merge patch of the status. */
void codec_write_import_status(struct strbuf *body, const struct service *old, const struct service *wanted);
void codec_write_namespace(struct strbuf *body, const struct namespace_object *namespace);
/** DeleteOptions with preconditions and Background propagation. "" for either precondition leaves it out. */
void codec_write_delete_options(struct strbuf *body, const char *uid, const char *resource_version);
/** A JSON string with quotes and escapes. */
void codec_write_string(struct strbuf *body, const char *text);
