/* Where the API keeps a kind of object: for commands, which read and write objects of many kinds as JSON. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct resource {
    const char *group;   /* "" for the core group */
    const char *version; /* "v1" */
    const char *plural;  /* "services" */
    const char *kind;    /* "Service" */
    bool namespaced;
};

extern const struct resource RESOURCE_NAMESPACE, RESOURCE_SERVICE, RESOURCE_SERVICE_ACCOUNT, RESOURCE_SECRET,
    RESOURCE_CONFIG_MAP, RESOURCE_POD, RESOURCE_ENDPOINT_SLICE, RESOURCE_DEPLOYMENT, RESOURCE_CLUSTER_ROLE,
    RESOURCE_CLUSTER_ROLE_BINDING, RESOURCE_ROLE, RESOURCE_ROLE_BINDING, RESOURCE_CRD, RESOURCE_LEASE, RESOURCE_LINK,
    RESOURCE_DAEMON_SET, RESOURCE_EDGE_MODULE, RESOURCE_EDGE_HOST, RESOURCE_EDGE_LISTENER, RESOURCE_EDGE_MAPPING,
    RESOURCE_TOKEN_REVIEW;

enum { RESOURCE_PATH_BYTES = 768 };

/** Writes the path of one object, or of the collection when `name` is NULL; of all namespaces when `namespace` is NULL. Names go in as they
 *  are: they come from objects, or were checked (RFC 1123). */
void resource_path(const struct resource *resource, const char *namespace, const char *name,
                   char path[RESOURCE_PATH_BYTES]);

/** Finds the kind of an object by its apiVersion and kind, with the version that the object names.
 *  @param[out] ret_resource  borrows the version from `object`. @return ERR_OK, ERR_INVALID (no such fields), ERR_UNSUPPORTED (a kind that
 *  the commands know nothing of). */
enum err_code resource_of(const json_t *object, struct resource *ret_resource, struct err *reterr) MUST_USE;

/** "service/web", "link.multicluster.linkerd.io/east": as kubectl names objects. */
void resource_format(const struct resource *resource, const char *name, char *buffer, size_t bytes);

/** A text of the object's metadata: "name", "namespace", "uid", "resourceVersion". "" when absent. */
const char *object_meta_text(const json_t *object, const char *field);
/** One entry of "labels" or "annotations" of the object's metadata. NULL when absent. */
const char *object_meta_entry(const json_t *object, const char *map, const char *key);
