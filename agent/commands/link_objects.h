/* What links a target to a source cluster, as objects of the source: the Link with the Secrets that it needs, or the one Secret of Linkerd 2.8.
 * Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/kubeconfig.h"
#include "base/err.h"
#include "mirror/gateway.h"
#include "mirror/selector.h"

/** How an agent reaches the target's API server. Texts are borrowed; NULL: none. */
struct link_access {
    const char *cluster_name;
    const char *server;
    const char *ca_pem, *tls_server_name, *proxy_url;
    bool insecure_skip_tls_verify;
    const char *token;
};

/** Everything that the objects say. Texts are borrowed. */
struct link_facts {
    const char *cluster_name, *namespace;
    const char *cluster_domain, *linkerd_namespace;
    const char *trust_domain;           /* of the target's Linkerd; NULL: its control plane here gets no credentials */
    const char *kubeconfig;             /* whole text */
    const char *linkerd_kubeconfig;     /* likewise, for Linkerd's control plane */
    const char *version;                /* of the Link resource: "v1alpha1" to "v1alpha3" */
    const struct gateway_spec *gateway; /* NULL: a link without one, and without `selector` */
    const char *
        gateway_service; /* "namespace/name" of the Service that is followed; NULL: what `gateway` says is written down */
    struct selector selector, remote_discovery_selector, federated_selector;
    const char *excluded_labels, *excluded_annotations; /* comma lists; NULL: none */
    bool headless;                                      /* false: headless services are mirrored like any other */
    const char *renew_token; /* for how long the agent asks for new tokens ("720h"); NULL: it does not renew them */
};

/** The kubeconfig of an agent, YAML, with everything inline. @param[out] ret_text  new (mem_free()). */
enum err_code link_objects_kubeconfig(const struct link_access *access, char **ret_text, struct err *reterr) MUST_USE;
/** @param[out] ret_objects  new array: credentials Secret, another for Linkerd's control plane when `trust_domain` is known, the rights to renew what the
 *  first holds, Link. */
enum err_code link_objects_link(const struct link_facts *facts, json_t **ret_objects, struct err *reterr) MUST_USE;
/** @param[out] ret_objects  new array: the Secret of Linkerd 2.8, and the rights to renew its token. */
enum err_code link_objects_secret(const struct link_facts *facts, json_t **ret_objects, struct err *reterr) MUST_USE;

enum { LINK_SECRET_NAME_BYTES = 96 };
/** "cluster-credentials-<cluster>". */
void link_objects_secret_name(const char *cluster_name, char buffer[LINK_SECRET_NAME_BYTES]);
