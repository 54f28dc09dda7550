#include "agent/commands/link_renewal.h"

#include <stdio.h>

#include "mirror/names.h"

/* The service account that `install`, the manifests and the chart give the agent. */
#define AGENT_ACCOUNT "svcmirror"

void link_renewal_name(const char *cluster_name, char buffer[LINK_RENEWAL_NAME_BYTES])
{
    (void)snprintf(buffer, LINK_RENEWAL_NAME_BYTES, "svcmirror-renew-%s", cluster_name);
}

static json_t *make_metadata(const char *name, const char *namespace)
{
    return json_pack("{s:s, s:s, s:{s:s, s:s}}", "name", name, "namespace", namespace, "labels", K8S_APP_MANAGED_BY,
                     "svcmirror", "app.kubernetes.io/name", "svcmirror");
}

json_t *link_renewal_rule(const char *secret)
{
    return json_pack("{s:[s], s:[s], s:[s], s:[s]}", "apiGroups", "", "resources", "secrets", "resourceNames", secret,
                     "verbs", "patch");
}

bool link_renewal_append(json_t *objects, const char *cluster_name, const char *agent_namespace, const char *namespace,
                         const char *secret)
{
    char name[LINK_RENEWAL_NAME_BYTES];
    link_renewal_name(cluster_name, name);
    json_t *role = json_pack("{s:s, s:s, s:o, s:[o]}", "apiVersion", "rbac.authorization.k8s.io/v1", "kind", "Role",
                             "metadata", make_metadata(name, namespace), "rules", link_renewal_rule(secret));
    json_t *binding =
        json_pack("{s:s, s:s, s:o, s:{s:s, s:s, s:s}, s:[{s:s, s:s, s:s}]}", "apiVersion",
                  "rbac.authorization.k8s.io/v1", "kind", "RoleBinding", "metadata", make_metadata(name, namespace),
                  "roleRef", "apiGroup", "rbac.authorization.k8s.io", "kind", "Role", "name", name, "subjects", "kind",
                  "ServiceAccount", "name", AGENT_ACCOUNT, "namespace", agent_namespace);
    bool appended = json_array_append_new(objects, role) == 0;
    return json_array_append_new(objects, binding) == 0 && appended;
}
