/* The accounts in a target cluster that other clusters read it with, the agent's and Linkerd's: their objects, as deploy/manifests/target-rbac.yaml and
 * target-linkerd-rbac.yaml have them. Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct link_account {
    const char *name, *namespace;
    bool with_namespace; /* the Namespace among the objects */
    bool with_token;     /* the Secret that Kubernetes fills with a token that does not expire */
    bool with_endpoints; /* may read v1 Endpoints: for clusters that serve no EndpointSlices */
    bool with_renewal;   /* may ask for further tokens of its own */
    bool with_linkerd;   /* link_account_linkerd() too, after it */
    bool is_linkerd;     /* it is that one, with the rights that Linkerd's destination controller asks for */
};

enum { LINK_ACCOUNT_NAME_BYTES = 256 };
#define LINK_ACCOUNT_LINKERD "-for-linkerd"

/** The account that Linkerd's control plane in the source resolves remote discovery and federated services with: "<account>-for-linkerd". Not the agent's:
 *  it has to read pods, and its token must not end, because the destination controller reads its Secret once, when that is made (linkerd2,
 *  controller/api/destination/watcher/cluster_store.go).
 *  @param name  where its name is kept. @return the account; borrows from both. */
struct link_account link_account_linkerd(const struct link_account *account, char name[LINK_ACCOUNT_NAME_BYTES]);

/** @return new array, in the order in which they can be applied; NULL when out of memory. */
json_t *link_account_objects(const struct link_account *account);
/** What its ClusterRole and its binding are called: like it, and outside of the usual namespace "<account>-<namespace>", as accounts of one name in two
 *  namespaces are two accounts. */
void link_account_cluster_name(const struct link_account *account, char *buffer, size_t bytes);
/** "<account>-token". */
void link_account_token_name(const struct link_account *account, char *buffer, size_t bytes);
