/* The objects of an agent's installation, as deploy/manifests has them, with what people change. Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

#define INSTALL_NAMESPACE "linkerd-multicluster"

struct install_settings {
    const char *namespace;    /* RFC 1123 label */
    const char *image;        /* NULL: that of the manifests */
    const char *pull_policy;  /* NULL: likewise */
    const char *pull_secret;  /* name of a Secret in the namespace; NULL: none */
    const char *memory_limit; /* a quantity; NULL: that of the manifests */
    const char *agent_flags;  /* flags of `run`, separated by spaces; NULL: none */
    unsigned replicas;        /* 1 to 100 */
    bool with_link_crd;       /* the Link type, for clusters without Linkerd's multicluster extension */
};

/** Checks an amount of memory as Kubernetes writes it, like 512Mi. @return ERR_OK, ERR_INVALID (also less than the manifests request). */
enum err_code install_check_quantity(const char *text, struct err *reterr) MUST_USE;

/** Checks that a container runtime can read it as an image's name; not whether there is one. @return ERR_OK, ERR_INVALID. */
enum err_code install_check_image(const char *text, struct err *reterr) MUST_USE;

/** Checks flags for the agent as `run` does. @return ERR_OK, ERR_INVALID (names the flag; also those that the manifests decide), ERR_LIMIT (more
 *  than 32). */
enum err_code install_check_agent_flags(const char *text, struct err *reterr) MUST_USE;

/** @param[out] ret_objects  new: an array in the order in which they are to be made. In another namespace than INSTALL_NAMESPACE the objects that
 *  lie in none have that namespace's name behind theirs, so that two installations do not share rights.
 *  @return ERR_OK, ERR_INVALID (agent_flags), ERR_LIMIT, ERR_NOMEM. */
enum err_code install_objects(const struct install_settings *settings, json_t **ret_objects, struct err *reterr)
    MUST_USE;

/** The name that an object of the manifests without a namespace gets: "svcmirror", "svcmirror-<namespace>". */
void install_cluster_name(const char *namespace, char *buffer, size_t bytes);
