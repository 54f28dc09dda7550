#include "agent/commands/link_account.h"

#include <stdio.h>
#include <string.h>

#include "mirror/names.h"

#define USUAL_NAMESPACE "linkerd-multicluster"

enum { CLUSTER_NAME_BYTES = 512 };

void link_account_cluster_name(const struct link_account *account, char *buffer, size_t bytes)
{
    bool is_usual = strcmp(account->namespace, USUAL_NAMESPACE) == 0;
    (void)snprintf(buffer, bytes, "%s%s%s", account->name, is_usual ? "" : "-", is_usual ? "" : account->namespace);
}

/* The agent needs the rights on the first three and no other; the roots, which are public certificates, are what `check` compares. */
static json_t *make_rules(bool with_endpoints)
{
    json_t *core = with_endpoints ? json_pack("[ss]", "services", "endpoints") : json_pack("[s]", "services");
    return json_pack("[{s:[s], s:o, s:[sss]}, {s:[s], s:[s], s:[sss]}, {s:[s], s:[s], s:[sss]}, "
                     "{s:[s], s:[s], s:[s], s:[s]}]",
                     "apiGroups", "", "resources", core, "verbs", "get", "list", "watch", "apiGroups",
                     "discovery.k8s.io", "resources", "endpointslices", "verbs", "get", "list", "watch", "apiGroups",
                     MCS_GROUP, "resources", "serviceexports", "verbs", "get", "list", "watch", "apiGroups", "",
                     "resources", "configmaps", "resourceNames", "linkerd-identity-trust-roots", "verbs", "get");
}

static json_t *make_labels(void)
{
    return json_pack("{s:s, s:s}", "app.kubernetes.io/name", "svcmirror", "linkerd.io/extension", "multicluster");
}

static json_t *make_cluster_metadata(const char *name)
{
    return json_pack("{s:s, s:o}", "name", name, "labels", make_labels());
}

static json_t *make_metadata(const char *name, const char *namespace)
{
    return json_pack("{s:s, s:s, s:o}", "name", name, "namespace", namespace, "labels", make_labels());
}

static json_t *make_namespace(const char *name)
{
    return json_pack("{s:s, s:s, s:{s:s, s:{s:s}}}", "apiVersion", "v1", "kind", "Namespace", "metadata", "name", name,
                     "labels", "linkerd.io/extension", "multicluster");
}

static json_t *make_role(const struct link_account *account)
{
    char name[CLUSTER_NAME_BYTES];
    link_account_cluster_name(account, name, sizeof(name));
    return json_pack("{s:s, s:s, s:o, s:o}", "apiVersion", "rbac.authorization.k8s.io/v1", "kind", "ClusterRole",
                     "metadata", make_cluster_metadata(name), "rules", make_rules(account->with_endpoints));
}

static json_t *make_binding(const struct link_account *account)
{
    char name[CLUSTER_NAME_BYTES];
    link_account_cluster_name(account, name, sizeof(name));
    return json_pack("{s:s, s:s, s:o, s:{s:s, s:s, s:s}, s:[{s:s, s:s, s:s}]}", "apiVersion",
                     "rbac.authorization.k8s.io/v1", "kind", "ClusterRoleBinding", "metadata",
                     make_cluster_metadata(name), "roleRef", "apiGroup", "rbac.authorization.k8s.io", "kind",
                     "ClusterRole", "name", name, "subjects", "kind", "ServiceAccount", "name", account->name,
                     "namespace", account->namespace);
}

/* Of its own alone, by TokenRequest. */
static json_t *make_renewal_role(const struct link_account *account)
{
    return json_pack("{s:s, s:s, s:o, s:[{s:[s], s:[s], s:[s], s:[s]}]}", "apiVersion", "rbac.authorization.k8s.io/v1",
                     "kind", "Role", "metadata", make_metadata(account->name, account->namespace), "rules", "apiGroups",
                     "", "resources", "serviceaccounts/token", "resourceNames", account->name, "verbs", "create");
}

static json_t *make_renewal_binding(const struct link_account *account)
{
    return json_pack("{s:s, s:s, s:o, s:{s:s, s:s, s:s}, s:[{s:s, s:s, s:s}]}", "apiVersion",
                     "rbac.authorization.k8s.io/v1", "kind", "RoleBinding", "metadata",
                     make_metadata(account->name, account->namespace), "roleRef", "apiGroup",
                     "rbac.authorization.k8s.io", "kind", "Role", "name", account->name, "subjects", "kind",
                     "ServiceAccount", "name", account->name, "namespace", account->namespace);
}

static json_t *make_token(const struct link_account *account)
{
    char name[256];
    link_account_token_name(account, name, sizeof(name));
    json_t *metadata = make_metadata(name, account->namespace);
    (void)json_object_set_new(metadata, "annotations",
                              json_pack("{s:s}", "kubernetes.io/service-account.name", account->name));
    if (json_object_get(metadata, "annotations") == NULL) {
        json_decref(metadata);
        return NULL;
    }
    return json_pack("{s:s, s:s, s:o, s:s}", "apiVersion", "v1", "kind", "Secret", "metadata", metadata, "type",
                     "kubernetes.io/service-account-token");
}

void link_account_token_name(const struct link_account *account, char *buffer, size_t bytes)
{
    (void)snprintf(buffer, bytes, "%s-token", account->name);
}

/* Appends one that is wanted; steals it. */
static bool append(json_t *objects, bool is_wanted, json_t *object)
{
    return !is_wanted || json_array_append_new(objects, object) == 0;
}

json_t *link_account_objects(const struct link_account *account)
{
    json_t *objects = json_array();
    json_t *own = json_pack("{s:s, s:s, s:o}", "apiVersion", "v1", "kind", "ServiceAccount", "metadata",
                            make_metadata(account->name, account->namespace));
    bool whole =
        append(objects, account->with_namespace, account->with_namespace ? make_namespace(account->namespace) : NULL);
    whole = append(objects, true, own) && whole;
    whole = append(objects, true, make_role(account)) && whole;
    whole = append(objects, true, make_binding(account)) && whole;
    whole = append(objects, account->with_renewal, account->with_renewal ? make_renewal_role(account) : NULL) && whole;
    whole =
        append(objects, account->with_renewal, account->with_renewal ? make_renewal_binding(account) : NULL) && whole;
    whole = append(objects, account->with_token, account->with_token ? make_token(account) : NULL) && whole;
    if (whole)
        return objects;
    json_decref(objects);
    return NULL;
}
