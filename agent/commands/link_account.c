#include "agent/commands/link_account.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"

#define USUAL_NAMESPACE "linkerd-multicluster"

enum { CLUSTER_NAME_BYTES = 512 };

void link_account_cluster_name(const struct link_account *account, char *buffer, size_t bytes)
{
    bool is_usual = strcmp(account->namespace, USUAL_NAMESPACE) == 0;
    (void)snprintf(buffer, bytes, "%s%s%s", account->name, is_usual ? "" : "-", is_usual ? "" : account->namespace);
}

struct link_account link_account_linkerd(const struct link_account *account, char name[LINK_ACCOUNT_NAME_BYTES])
{
    (void)snprintf(name, LINK_ACCOUNT_NAME_BYTES, "%s" LINK_ACCOUNT_LINKERD, account->name);
    return (struct link_account){.name = name, .namespace = account->namespace, .with_token = true, .is_linkerd = true};
}

/* One without the right to list pods everywhere the destination controller does not take at all; one without the others it waits for in vain. */
static json_t *make_linkerd_rules(void)
{
    static const struct {
        const char *group, *resources[3];
    } RULES[] = {{"", {"pods", "services", "endpoints"}},
                 {"apps", {"replicasets"}},
                 {"batch", {"jobs"}},
                 {"discovery.k8s.io", {"endpointslices"}},
                 {"policy.linkerd.io", {"servers"}}};
    json_t *rules = json_array();
    bool whole = rules != NULL;
    for (size_t i = 0; i < ARRAY_COUNT(RULES); i++) {
        json_t *resources = json_array();
        for (size_t j = 0; j < ARRAY_COUNT(RULES[i].resources) && RULES[i].resources[j] != NULL; j++)
            whole = json_array_append_new(resources, json_string(RULES[i].resources[j])) == 0 && whole;
        json_t *rule = json_pack("{s:[s], s:o, s:[sss]}", "apiGroups", RULES[i].group, "resources", resources, "verbs",
                                 "get", "list", "watch");
        whole = json_array_append_new(rules, rule) == 0 && whole;
    }
    if (whole)
        return rules;
    json_decref(rules);
    return NULL;
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
                     "metadata", make_cluster_metadata(name), "rules",
                     account->is_linkerd ? make_linkerd_rules() : make_rules(account->with_endpoints));
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

static bool append_all(const struct link_account *account, json_t *objects)
{
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
    return append(objects, account->with_token, account->with_token ? make_token(account) : NULL) && whole;
}

json_t *link_account_objects(const struct link_account *account)
{
    char name[LINK_ACCOUNT_NAME_BYTES];
    const struct link_account linkerd = link_account_linkerd(account, name);
    json_t *objects = json_array();
    if (append_all(account, objects) && (!account->with_linkerd || append_all(&linkerd, objects)))
        return objects;
    json_decref(objects);
    return NULL;
}
