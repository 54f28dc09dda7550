/* The account in a target cluster that agents of other clusters read it with: its objects, as deploy/manifests/target-rbac.yaml has them. Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct link_account {
    const char *name, *namespace;
    bool with_namespace; /* the Namespace among the objects */
    bool with_token;     /* the Secret that Kubernetes fills with a token that does not expire */
    bool with_endpoints; /* may read v1 Endpoints: for clusters that serve no EndpointSlices */
    bool with_renewal;   /* may ask for further tokens of its own */
};

/** @return new array, in the order in which they can be applied; NULL when out of memory. */
json_t *link_account_objects(const struct link_account *account);
/** What its ClusterRole and its binding are called: like it, and outside of the usual namespace "<account>-<namespace>", as accounts of one name in two
 *  namespaces are two accounts. */
void link_account_cluster_name(const struct link_account *account, char *buffer, size_t bytes);
/** "<account>-token". */
void link_account_token_name(const struct link_account *account, char *buffer, size_t bytes);
