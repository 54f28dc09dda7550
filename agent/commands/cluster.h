/* One cluster as a command sees it: its API server, asked one request after the other with the user's own credentials. */
#pragma once

#include <jansson.h>

#include "agent/commands/resource.h"
#include "agent/commands/session.h"
#include "agent/kube/kubeconfig.h"
#include "base/err.h"

struct cluster;

/** What a command reaches its cluster with, chosen as `kubectl` does and acting as --as says; in a pod, without a kubeconfig, its service account.
 *  @param arena  of the texts. @param kubeconfig, context  NULL: the default ones. @return any code of kubeconfig_load(). */
enum err_code cluster_credentials(struct arena *arena, const char *kubeconfig, const char *context,
                                  struct kubeconfig *ret_config, struct err *reterr) MUST_USE;

/** Chooses the cluster as `kubectl` does; in a pod, without a kubeconfig, that of its service account.
 *  @param kubeconfig, context  NULL: the default ones. @param[out] ret_cluster  new; free before the session.
 *  @return ERR_OK, or why the credentials cannot be used. */
enum err_code cluster_open(struct session *session, const char *kubeconfig, const char *context,
                           struct cluster **ret_cluster, struct err *reterr) MUST_USE;
void cluster_free(struct cluster *cluster); /* takes NULL */
/** The context's name; where there is none, the server's URL. */
const char *cluster_name(const struct cluster *cluster);
/** What the cluster is reached with. */
const struct kubeconfig *cluster_kubeconfig(const struct cluster *cluster);

/** Its client, for session_read_all(). */
struct kube_client *cluster_client(const struct cluster *cluster);

/** Gets one object. @param[out] ret_object  new reference.
 *  @return any code; ERR_NOT_FOUND when it, or its kind, is not there. The text names verb, object and cluster. */
enum err_code cluster_get(struct cluster *cluster, const struct resource *resource, const char *namespace,
                          const char *name, json_t **ret_object, struct err *reterr) MUST_USE;
/** The same, where it is no failure that the object is not there or may not be read. @param[out] ret_object  new reference; NULL then, and when
 *  it fails. @return ERR_OK, or any code but ERR_NOT_FOUND and ERR_FORBIDDEN. */
enum err_code cluster_look_for(struct cluster *cluster, const struct resource *resource, const char *namespace,
                               const char *name, json_t **ret_object, struct err *reterr) MUST_USE;
/** Gets what a path gives, e.g. "/version" or through a Service's proxy. @param label  plural of the resource, for texts. */
enum err_code cluster_get_path(struct cluster *cluster, const char *label, const char *path, json_t **ret_value,
                               struct err *reterr) MUST_USE;

/** Gets what is no JSON, as a pod's log or what its proxy gives. @param[out] ret_text  new (mem_free()), ended by a NUL behind its bytes. */
enum err_code cluster_get_text(struct cluster *cluster, const char *label, const char *path, char **ret_text,
                               size_t *ret_bytes, struct err *reterr) MUST_USE;

/** Called with each item, borrowed; a code other than ERR_OK ends the listing with it. */
typedef enum err_code (*cluster_item_fn)(void *context, const json_t *item);
/** Lists a collection page by page. @param namespace  NULL: all. @param selector  a label selector as people write it, or NULL. */
enum err_code cluster_each(struct cluster *cluster, const struct resource *resource, const char *namespace,
                           const char *selector, cluster_item_fn fn, void *context, struct err *reterr) MUST_USE;

/** Who commands are in managedFields, where they do not say otherwise. */
#define CLUSTER_FIELD_MANAGER "svcmirror-cli"

/** How something is written. */
struct cluster_write {
    const char *field_manager;          /* NULL: CLUSTER_FIELD_MANAGER */
    bool dry_run;                       /* the server does everything but keep it (dryRun=All) */
    bool force;                         /* apply: takes fields away from other managers */
    const char *uid, *resource_version; /* delete: only this very object, only in this version; NULL: any */
};

/** All take what they send as JSON and give back the object as the server has it now. @param[out] ret_object  new reference, may be NULL when
 *  nobody wants it. @return any code; ERR_EXISTS and ERR_CONFLICT as the API means them. */
enum err_code cluster_create(struct cluster *cluster, const json_t *object, const struct cluster_write *write,
                             json_t **ret_object, struct err *reterr) MUST_USE;
/** Server-side apply. ERR_CONFLICT names the fields that another manager owns. */
enum err_code cluster_apply(struct cluster *cluster, const json_t *object, const struct cluster_write *write,
                            json_t **ret_object, struct err *reterr) MUST_USE;
/** Replaces the object; its resourceVersion, when it has one, must be the current one. */
enum err_code cluster_update(struct cluster *cluster, const json_t *object, const struct cluster_write *write,
                             json_t **ret_object, struct err *reterr) MUST_USE;
/** A JSON merge patch (RFC 7386). */
enum err_code cluster_patch(struct cluster *cluster, const struct resource *resource, const char *namespace,
                            const char *name, const json_t *patch, const struct cluster_write *write,
                            json_t **ret_object, struct err *reterr) MUST_USE;
/** Deletes in the background, as kubectl does. @return ERR_OK, ERR_NOT_FOUND, any code. */
enum err_code cluster_delete(struct cluster *cluster, const struct resource *resource, const char *namespace,
                             const char *name, const struct cluster_write *write, struct err *reterr) MUST_USE;
/** Posts to a subresource, e.g. "token" of a ServiceAccount, or creates a review (`name` and `subresource` NULL). */
enum err_code cluster_post(struct cluster *cluster, const struct resource *resource, const char *namespace,
                           const char *name, const char *subresource, const json_t *body, json_t **ret_object,
                           struct err *reterr) MUST_USE;
