/* The agent at work: links come and go, views become plans, plans become writes, probes become verdicts. One object per process; everything happens on
 * the loop. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/admin/snapshot.h"
#include "agent/kube/kubeconfig.h"
#include "agent/loop/loop.h"
#include "agent/net/dns.h"
#include "agent/net/http.h"
#include "agent/observe/metrics.h"
#include "base/err.h"

struct control;

enum endpoints_api {
    ENDPOINTS_API_AUTO,      /* EndpointSlices, and v1 Endpoints where the cluster has none */
    ENDPOINTS_API_SLICES,    /* always EndpointSlices */
    ENDPOINTS_API_ENDPOINTS, /* always v1 Endpoints: for a mesh whose control plane reads only those, as Linkerd 2.8's */
};

/* Which Link resources are held by a finalizer, when they are deleted, until their mirrors are gone. */
enum link_finalizer {
    LINK_FINALIZER_NONE,    /* none: it is taken off where it is */
    LINK_FINALIZER_MANAGED, /* those labelled as managed by svcmirror */
    LINK_FINALIZER_ALL,
};

struct control_config {
    struct loop *loop; /* all borrowed for the control's life */
    struct http *http;
    struct dns *dns;
    struct metrics *metrics;
    const struct kubeconfig *source; /* copied as far as needed */
    const char *namespace;           /* where Links, Secrets and gateway mirrors live; copied */
    const char *instance;            /* this replica, for Events; copied */
    bool create_namespaces_for_secrets, create_namespaces_for_links;
    bool move_endpoints, mirror_headless;
    bool take_exports; /* ServiceExports mark exports too, of every link that does not say otherwise */
    enum endpoints_api endpoints_api;
    enum link_finalizer link_finalizer;
    bool remove_unaccounted;  /* mirrors that others made for clusters that no link names go too */
    const char *cluster_name; /* of the source, for exports to named clusters; "" when nobody said; copied */
    const char
        *allowed_namespaces; /* that services may choose for their mirrors, where the link does not say; copied */
    /* Of local members: comma lists, "": none; borrowed for control_new(). */
    const char *excluded_annotations, *excluded_labels;
    const char *only_link; /* NULL: all links; else only the Link resource of this name, "": none; borrowed */
    const char *
        federated_selector; /* of local members of federated services, as on a command line; "": none; borrowed for control_new() */
    size_t max_link_bytes;  /* kept of one target; 0: no bound */
    uint32_t max_in_flight; /* parallel writes; 0: finds its own level */
    bool stream_lists;      /* of every cluster, where its API server offers that */
    bool ask_for_json;      /* and not for protobuf */
    bool leader_elect;      /* replicas agree by Leases who writes; false: this process alone writes */
    uint64_t lease_duration_ms, renew_deadline_ms, retry_period_ms; /* of leader_elect: lease > renew > 1.2 retry */
    bool dry_run; /* watches and probes, and writes nothing: no mirror, no Event, no status; preview.h shows */
};

/** Starts watching, probing and, unless dry_run, writing. @return ERR_OK, ERR_NOMEM, ERR_INVALID, ERR_TLS (credentials that cannot be used). */
enum err_code control_new(const struct control_config *config, struct control **ret_control, struct err *reterr)
    MUST_USE;
/** Starts no more writes but those of Link statuses that are due, lets those under way end (2 s at most), gives the Leases back, then calls `on_stopped` once from
 *  the loop. */
void control_stop(struct control *control, loop_fn on_stopped, void *context);
void control_free(struct control *control); /* takes NULL; ends everything at once */
/** What the admin server shows; borrowed. */
const struct admin_source *control_source(struct control *control);
