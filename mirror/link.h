/* What a link declares, however it was declared: a Link resource, or a 2.8 credentials Secret. Immutable once made; a change of the
 * declaration makes a new one. Pure; decoding from JSON is agent/kube/codec's business, judging the values is done here. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/kv.h"
#include "mirror/naming.h"
#include "mirror/selector.h"

enum link_kind {
    LINK_SECRET, /* Linkerd 2.8: a Secret of type mirror.linkerd.io/remote-kubeconfig; gateway named by each exported service */
    LINK_RESOURCE, /* links.multicluster.linkerd.io: one gateway, services chosen by label selectors */
    LINK_LOCAL,    /* the source cluster itself: local members of federated services */
};

/** spec.probeSpec, or the gateway Service's annotations. Validated: every number in range. Of a Link beside whose fields a gateway Service
 *  tells, "" and 0 stand for what the Link does not give. */
struct probe_spec {
    bool enabled;     /* false: the gateway counts as alive without probes */
    const char *path; /* as declared, "" when absent */
    uint16_t port;
    uint32_t period_ms;
    uint32_t failure_threshold; /* [1, 100] */
    uint32_t timeout_ms;        /* bounds a slow answer */
};

/** Texts of a Link's spec as they stand in the API object; NULL when absent. Input of link_from_resource(). */
struct link_resource {
    const char *namespace, *name, *uid, *resource_version;
    int64_t created_us;
    int64_t generation;
    const char *target_cluster_name, *target_cluster_domain, *target_cluster_linkerd_namespace;
    const char *cluster_credentials_secret, *gateway_address, *gateway_port, *gateway_identity;
    bool has_probe_spec;
    const char *probe_path, *probe_port, *probe_period, *probe_failure_threshold, *probe_timeout;
    struct selector selector; /* empty: nothing */
    struct selector remote_discovery_selector, federated_service_selector;
    const char *selector_error;                       /* NULL, or the field and why it could not be read */
    const char *drain, *headless, *endpoints;         /* annotations LINK_DRAIN, EXPORT_HEADLESS and EXPORT_ENDPOINTS */
    const char *gateway;                              /* annotation LINK_GATEWAY */
    const char *service_exports;                      /* annotation LINK_SERVICE_EXPORTS */
    const char *allowed_labels, *allowed_annotations; /* annotations LINK_ALLOWED_*: comma lists */
    struct naming naming;
    const char *const *excluded_annotations;
    uint32_t excluded_annotation_count;
    const char *const *excluded_labels;
    uint32_t excluded_label_count;
};

/** Texts of a credentials Secret; NULL when absent. Input of link_from_secret(). */
struct link_secret {
    const char *namespace, *name, *uid, *resource_version;
    int64_t created_us;
    const char *cluster_name, *cluster_domain, *linkerd_namespace; /* the three annotations */
    const char *drain;                                             /* annotation LINK_DRAIN */
    const char *renew_token, *copy;                                /* annotations SECRET_RENEW_TOKEN and SECRET_COPY */
    struct naming naming;
};

enum { LINK_MAX_GATEWAY_ADDRESSES = 64 };

struct link {
    enum link_kind kind;
    const char *id;               /* unique in the process: "link/<name>", "secret/<name>" or "local" */
    const char *namespace, *name; /* of the declaring object */
    const char *uid;
    int64_t created_us;
    const char *cluster_name;           /* label value; suffix of mirror names; "" for LINK_LOCAL */
    const char *cluster_domain;         /* "cluster.local" when absent */
    const char *credentials_secret;     /* name, in the link's namespace */
    bool drain;                         /* its mirrors are to be unready */
    struct naming naming;               /* of its mirrors; checked */
    struct selector federated_selector; /* LINK_RESOURCE and LINK_LOCAL */
    /* LINK_RESOURCE only */
    struct selector selector, discovery_selector;
    bool takes_exports, refuses_exports; /* annotation LINK_SERVICE_EXPORTS; neither: as the agent does */
    bool mirror_headless;                /* hostnames get mirrors, where the agent makes such at all */
    bool mirror_pods;                    /* endpoints are the target's own, where the service does not say otherwise */
    /* "namespace/name" of the Service in the target that tells of the gateway whatever the fields below leave open; NULL when they alone do. */
    const char *gateway_service;
    bool has_gateway;                     /* gatewayAddress and gatewayPort were given */
    const char *const *gateway_addresses; /* literals or host names, as declared, without empties */
    uint32_t gateway_address_count;
    uint16_t gateway_port;        /* 0 when none */
    const char *gateway_identity; /* "" when none */
    struct probe_spec probe;
    const char *const *excluded_annotations;
    uint32_t excluded_annotation_count;
    const char *const *excluded_labels;
    uint32_t excluded_label_count;
    /* Comma lists of keys and patterns: when not NULL, only these are carried along. */
    const char *allowed_labels, *allowed_annotations;
    /* What is wrong with the declaration but does not stop the link: "" when nothing. For the condition and an Event. */
    const char *warning;
};

/** Judges a Link resource. A faulty number of the probe's timing gets its default, with a warning. What has no safe value instead
 *  (a port of 70000, a selector that cannot be read) refuses the whole Link, so that the link stays as it was.
 *  @param[out] ret_link  in the arena. @return ERR_OK, ERR_INVALID (text names the field, its value and the remedy), ERR_NOMEM. */
enum err_code link_from_resource(struct arena *arena, const struct link_resource *resource,
                                 const struct link **ret_link, struct err *reterr) MUST_USE;
enum err_code link_from_secret(struct arena *arena, const struct link_secret *secret, const struct link **ret_link,
                               struct err *reterr) MUST_USE;

/** The link that stands for the source cluster itself. `federated` is the selector of local members; the lists, of keys and patterns as in a
 *  Link, are separated by commas.
 *  @return ERR_OK, ERR_INVALID (the selector), ERR_NOMEM. */
enum err_code link_for_local(struct arena *arena, const char *namespace, const struct selector *federated,
                             const char *excluded_annotations, const char *excluded_labels,
                             const struct link **ret_link, struct err *reterr) MUST_USE;

/** Whether two declarations differ in nothing that matters (identity, metadata versions and the like ignored). */
bool link_equal(const struct link *a, const struct link *b);

/** A copy whose memory is its own: new arena-backed block; release with link_free(). NULL when out of memory. */
struct link *link_copy(const struct link *link) MUST_USE;
void link_free(struct link *link);
