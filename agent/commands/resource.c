#include "agent/commands/resource.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define RBAC "rbac.authorization.k8s.io"

const struct resource RESOURCE_NAMESPACE = {"", "v1", "namespaces", "Namespace", false};
const struct resource RESOURCE_SERVICE = {"", "v1", "services", "Service", true};
const struct resource RESOURCE_SERVICE_ACCOUNT = {"", "v1", "serviceaccounts", "ServiceAccount", true};
const struct resource RESOURCE_SECRET = {"", "v1", "secrets", "Secret", true};
const struct resource RESOURCE_CONFIG_MAP = {"", "v1", "configmaps", "ConfigMap", true};
const struct resource RESOURCE_POD = {"", "v1", "pods", "Pod", true};
const struct resource RESOURCE_ENDPOINT_SLICE = {"discovery.k8s.io", "v1", "endpointslices", "EndpointSlice", true};
const struct resource RESOURCE_DEPLOYMENT = {"apps", "v1", "deployments", "Deployment", true};
const struct resource RESOURCE_CLUSTER_ROLE = {RBAC, "v1", "clusterroles", "ClusterRole", false};
const struct resource RESOURCE_CLUSTER_ROLE_BINDING = {RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", false};
const struct resource RESOURCE_ROLE = {RBAC, "v1", "roles", "Role", true};
const struct resource RESOURCE_ROLE_BINDING = {RBAC, "v1", "rolebindings", "RoleBinding", true};
const struct resource RESOURCE_CRD = {"apiextensions.k8s.io", "v1", "customresourcedefinitions",
                                      "CustomResourceDefinition", false};
const struct resource RESOURCE_LEASE = {"coordination.k8s.io", "v1", "leases", "Lease", true};
const struct resource RESOURCE_LINK = {"multicluster.linkerd.io", "v1alpha3", "links", "Link", true};
const struct resource RESOURCE_DAEMON_SET = {"apps", "v1", "daemonsets", "DaemonSet", true};
const struct resource RESOURCE_EDGE_MODULE = {"getambassador.io", "v3alpha1", "modules", "Module", true};
const struct resource RESOURCE_EDGE_HOST = {"getambassador.io", "v3alpha1", "hosts", "Host", true};
const struct resource RESOURCE_EDGE_LISTENER = {"getambassador.io", "v3alpha1", "listeners", "Listener", true};
const struct resource RESOURCE_EDGE_MAPPING = {"getambassador.io", "v3alpha1", "mappings", "Mapping", true};
const struct resource RESOURCE_TOKEN_REVIEW = {"authentication.k8s.io", "v1", "tokenreviews", "TokenReview", false};

static const struct resource *const known[] = {
    &RESOURCE_NAMESPACE,     &RESOURCE_SERVICE,      &RESOURCE_SERVICE_ACCOUNT,
    &RESOURCE_SECRET,        &RESOURCE_CONFIG_MAP,   &RESOURCE_POD,
    &RESOURCE_DEPLOYMENT,    &RESOURCE_CLUSTER_ROLE, &RESOURCE_CLUSTER_ROLE_BINDING,
    &RESOURCE_ROLE,          &RESOURCE_ROLE_BINDING, &RESOURCE_CRD,
    &RESOURCE_LEASE,         &RESOURCE_LINK,         &RESOURCE_ENDPOINT_SLICE,
    &RESOURCE_DAEMON_SET,    &RESOURCE_EDGE_MODULE,  &RESOURCE_EDGE_HOST,
    &RESOURCE_EDGE_LISTENER, &RESOURCE_EDGE_MAPPING,
};

void resource_path(const struct resource *resource, const char *namespace, const char *name,
                   char path[RESOURCE_PATH_BYTES])
{
    bool core = resource->group[0] == '\0', within = resource->namespaced && namespace != NULL;
    (void)snprintf(path, RESOURCE_PATH_BYTES, "/%s%s%s/%s%s%s/%s%s%s", core ? "api" : "apis", core ? "" : "/",
                   resource->group, resource->version, within ? "/namespaces/" : "", within ? namespace : "",
                   resource->plural, name != NULL ? "/" : "", name != NULL ? name : "");
}

enum err_code resource_of(const json_t *object, struct resource *ret_resource, struct err *reterr)
{
    const char *kind = json_string_value(json_object_get(object, "kind"));
    const char *api_version = json_string_value(json_object_get(object, "apiVersion"));
    if (kind == NULL || api_version == NULL)
        return err_set(reterr, ERR_INVALID, "not a Kubernetes object: it has no apiVersion and kind");
    const char *slash = strchr(api_version, '/');
    size_t group_length = slash != NULL ? (size_t)(slash - api_version) : 0;
    for (size_t i = 0; i < ARRAY_COUNT(known); i++) {
        if (strcmp(known[i]->kind, kind) != 0 || strlen(known[i]->group) != group_length ||
            strncmp(known[i]->group, api_version, group_length) != 0)
            continue;
        *ret_resource = *known[i];
        ret_resource->version = slash != NULL ? slash + 1 : api_version;
        return ERR_OK;
    }
    return err_set(reterr, ERR_UNSUPPORTED, "%.100s %.100s is no kind that svcmirror writes", api_version, kind);
}

void resource_format(const struct resource *resource, const char *name, char *buffer, size_t bytes)
{
    int length = snprintf(buffer, bytes, "%s%s%s/%s", resource->kind, resource->group[0] != '\0' ? "." : "",
                          resource->group, name);
    for (int i = 0; i < length && (size_t)i < bytes && buffer[i] != '/'; i++)
        buffer[i] = (char)tolower((unsigned char)buffer[i]);
}

const char *object_meta_text(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(json_object_get(object, "metadata"), field));
    return text != NULL ? text : "";
}

const char *object_meta_entry(const json_t *object, const char *map, const char *key)
{
    return json_string_value(json_object_get(json_object_get(json_object_get(object, "metadata"), map), key));
}
