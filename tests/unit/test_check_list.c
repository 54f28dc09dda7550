/* links: agent_commands */
#include "check_scene.h"

#include "agent/kube/setup.h"
#include "base/mem.h"
#include "sweep.h"

static json_t *run(const json_t *snapshot)
{
    json_t *result = NULL;
    const char *awaited = NULL;
    assert_int_equal(check_run(checks, snapshot, &result, &awaited), ERR_OK);
    return result;
}

static void all_is_right_in_a_healthy_set_up(void **state)
{
    (void)state;
    json_t *snapshot = scene_healthy(), *result = run(snapshot);
    const json_t *category = NULL, *entry = NULL;
    size_t index = 0, inner = 0, seen = 0;
    json_array_foreach(json_object_get(result, "categories"), index, category)
    {
        json_array_foreach(json_object_get(category, "checks"), inner, entry)
        {
            seen++;
            if (strcmp(check_text(entry, "result"), "success") != 0)
                fail_msg("%s: %s", check_text(entry, "description"), check_text(entry, "error"));
        }
    }
    size_t all = 0;
    while (checks[all].description != NULL)
        all++;
    assert_int_equal(seen, all - 1); /* none is left out but the one that says that it is no source */
    assert_null(scene_find(result, "the cluster is a target alone"));
    assert_true(json_is_true(json_object_get(result, "success")));
    json_decref(result);
    json_decref(snapshot);
}

#define RENEWAL "the agent may renew"
#define RIGHTS "service mirror controller has required permissions"

/* One thing is wrong: which check says so, how, and in which words. */
static const struct fault {
    const char *path, *value;           /* NULL value: taken away */
    const char *check, *result, *words; /* NULL result: it is left out */
} FAULTS[] = {
    {"source/links", "{\"error\":\"list links in cluster west: 403 Forbidden\",\"code\":\"forbidden\"}",
     "Link CRD exists", "error", "403 Forbidden"},
    {"source/linksVersion", "\"v1alpha1\"", "Link CRD exists", "warning",
     "Links are served as v1alpha1, and not as v1alpha3"},
    {"targets/0/link/spec/gatewayPort", "\"70000\"", "Link resources are valid", "error", "70000"},
    {"cluster", "\"west\"", "Link resources are valid", "success", ""},
    {"targets/0/link/metadata/annotations/linkerd.io~created-by", NULL, "Link and CLI versions match", "warning",
     "unable to determine version"},
    {"targets/0/link/metadata/annotations/linkerd.io~created-by", "\"svcmirror/cli 0.0.1\"",
     "Link and CLI versions match", "warning", "link: 0.0.1"},
    {"targets/0/problem", "\"kubeconfig: it has no server\"", "remote cluster access", "error",
     "secret linkerd-multicluster/cluster-credentials-east: kubeconfig: it has no server"},
    {"targets/0/version", "{\"error\":\"get /version in cluster east: timed out\",\"code\":\"timeout\"}",
     "remote cluster access", "error", "timed out"},
    {"targets/0/rights/watch services", "{\"value\":{\"status\":{\"allowed\":false}}}", "remote cluster access",
     "error", "missing permission to watch services"},
    {"targets/0/rights/watch services", "{\"error\":\"no reviews\",\"code\":\"not_found\"}", "remote cluster access",
     "warning", "no reviews"},
    {"targets/0/rights/list endpointslices", "{\"value\":{\"status\":{\"allowed\":false}}}", "endpoints of the targets",
     "warning", "missing permission to list endpointslices"},
    {"targets/0/credentials/0/until", "1789999999000000", "credentials of the targets", "warning",
     "the token in secret"},
    {"targets/0/credentials/0/until", "1790000600000000", "credentials of the targets", "warning",
     "expires at 2026-09-21T"},
    {"targets/0/trustRoots/value/data/ca-bundle.crt", "\"nonsense\"", "clusters share trust anchors", "error",
     "not a PEM certificate"},
    {"targets/0/trustRoots", "{\"error\":\"get configmaps: 403 Forbidden\",\"code\":\"forbidden\"}",
     "clusters share trust anchors", "warning", "let its account get ConfigMap linkerd-identity-trust-roots"},
    {"source/clusterRoleBindings/value/items/0/subjects/0/name", "\"other\"", RIGHTS, "error",
     "may not list endpointslices.discovery.k8s.io"},
    {"source/clusterRoleBindings/value/items/0/subjects",
     "[{\"kind\":\"User\",\"name\":\"system:serviceaccount:linkerd-multicluster:svcmirror\"}]", RIGHTS, "success", ""},
    {"source/clusterRoleBindings/value/items/0/subjects",
     "[{\"kind\":\"User\",\"name\":\"system:serviceaccount:other:svcmirror\"}]", RIGHTS, "error",
     "may not list endpointslices.discovery.k8s.io"},
    {"source/deployments/value/items/0/spec/template/spec/serviceAccountName", "\"nobody\"", RIGHTS, "error",
     "* service account linkerd-multicluster/nobody has no rights at all: `svcmirror install --apply` gives them"},
    {"source/roles", "{\"error\":\"list roles: 403 Forbidden\",\"code\":\"forbidden\"}", RIGHTS, "warning",
     "list roles: 403 Forbidden"},
    {"source/clusterRoles/value/items/0/rules/8",
     "{\"apiGroups\":[\"\"],\"resources\":[\"secrets\",\"services\"],\"verbs\":[\"get\",\"list\"]}", RIGHTS, "warning",
     "* service account linkerd-multicluster/svcmirror has rights that it does not need, by clusterrole svcmirror: "
     "secrets [get list]: take from it what was not meant"},
    {"source/clusterRoles/value/items/0/rules/0/verbs/6", "\"*\"", RIGHTS, "warning",
     "by clusterrole svcmirror: services [*]:"},
    {"source/clusterRoles/value/items/0/rules/8", "{\"apiGroups\":[\"*\"],\"resources\":[\"*\"],\"verbs\":[\"*\"]}",
     RIGHTS, "warning", ": *.* [*]:"},
    {"source/clusterRoles/value/items/0/rules/8", "{\"nonResourceURLs\":[\"/metrics\"],\"verbs\":[\"get\"]}", RIGHTS,
     "warning", ": /metrics [get]:"},
    {"source/roles/value/items/0/rules/4",
     "{\"apiGroups\":[\"\"],\"resources\":[\"secrets\"],\"resourceNames\":[\"a\",\"b\"],\"verbs\":[\"get\",\"patch\"]}",
     RIGHTS, "warning", "by role svcmirror: secrets (a b) [patch]:"},
    {"source/roles/value/items/1/rules/0/resourceNames/1", "\"other\"", RIGHTS, "warning",
     "by role svcmirror-renew-east: secrets (cluster-credentials-east other) [patch]:"},
    {"source/roles/value/items/1/rules/0/resourceNames", "[]", RIGHTS, "warning", ": secrets [patch]:"},
    {"source/rightsIn/linkerd/roles/value/items/0/rules/0/verbs/1", "\"delete\"", RIGHTS, "warning",
     "by role svcmirror-renew-east: secrets (cluster-credentials-east) [delete]:"},
    {"source/secrets/value/items/0/metadata/annotations/svcmirror.io~renew-token", NULL, RIGHTS, "warning",
     "by role svcmirror-renew-east: secrets (cluster-credentials-east) [patch]:"},
    {"source/clusterRoleBindings/value/items/1",
     "{\"roleRef\":{\"kind\":\"ClusterRole\",\"name\":\"gone\"},\"subjects\":[{\"kind\":\"ServiceAccount\",\"name\":"
     "\"svcmirror\",\"namespace\":\"linkerd-multicluster\"}]}",
     RIGHTS, "success", ""},
    {"source/deployments/value/items/0", NULL, "service mirror controllers are running", "error",
     "svcmirror install --apply"},
    {"source/deployments/value/items/0/status", "{}", "service mirror controllers are running", "error",
     "no available replica"},
    {"source/deployments/value/items/0/status/availableReplicas", "1", "service mirror controllers are running",
     "warning", "1 of 2 replicas"},
    {"source/deployments/value/items/0",
     "{\"metadata\":{\"name\":\"controller-east\",\"namespace\":\"l\"},\"spec\":{\"template\":{\"metadata\":{"
     "\"labels\":"
     "{\"component\":\"controller\"}}}}}",
     "extension is managing controllers", "warning", "deployment l/controller-east is Linkerd's own controller"},
    {"source/agentGateways/value/0",
     "{\"clusterName\":\"north\",\"gatewayNamespace\":\"a\",\"gatewayName\":\"b\",\"alive\":false,\"verdict\":\"dead\","
     "\"reason\":\"Redirect\",\"advice\":\"let the Host route\"}",
     "probe services able", "error", "cluster: [north], gateway: [a/b]: dead: Redirect: let the Host route"},
    {"source/agentGateways/value/0", "{\"clusterName\":\"north\",\"alive\":false,\"verdict\":\"dead\"}",
     "probe services able", "error", "cluster: [north], gateway: [of its Link]: dead"},
    {"source/endpointSlices/value/items/0/endpoints", "[]", "all mirror services have endpoints", "error",
     "Service web-east.demo mirrored from cluster [east] has no endpoints"},
    {"source/endpointSlices", "{\"error\":\"list endpointslices: 403 Forbidden\",\"code\":\"forbidden\"}",
     "all mirror services have endpoints", "warning", "403 Forbidden"},
    {"source/services/value/items/0/metadata/labels/mirror.linkerd.io~cluster-name", "\"gone\"",
     "all mirror services are part of a Link", "warning", "mirror service web-east.demo is not part of any Link"},
    {"source/services/value/items/0/metadata/labels/mirror.linkerd.io~exported", "\"true\"",
     "multicluster daisy chaining", "warning", "mirror service web-east.demo is exported"},
    {"source/trafficSplits",
     "{\"value\":{\"items\":[{\"metadata\":{\"name\":\"s\",\"namespace\":\"demo\"},\"spec\":{\"service\":\"apex\","
     "\"backends\":"
     "[{\"service\":\"web-east\"}]}}]}}",
     "multicluster daisy chaining", "warning", "apex.demo routes to mirror service web-east.demo"},
    {"targets/0/services/value/items/0/spec/ports/1", NULL, "remote: all referenced gateways", "warning",
     "no port named mc-probe"},
    {"targets/0/services/value/items/0/status", "{}", "remote: all referenced gateways", "warning",
     "no external address"},
    {"targets/0/services/value/items/0/metadata/annotations/mirror.linkerd.io~probe-period", "\"soon\"",
     "remote: all referenced gateways", "warning", "\"soon\""},
    {"targets/0/services/value/items/0/metadata/annotations/mirror.linkerd.io~probe-period", "\"0\"",
     "remote: all referenced gateways", "warning", "probe-period is \"0\", and should be seconds"},
    {"targets/0/services/value/items/0/metadata/annotations/mirror.linkerd.io~probe-period", "\"99ms\"",
     "remote: all referenced gateways", "warning", "\"99ms\""},
    {"targets/0/services/value/items/0/metadata/annotations/mirror.linkerd.io~probe-period", "\"3601\"",
     "remote: all referenced gateways", "warning", "from 100ms to 1h"},
    {"targets/0/services/value/items/0/metadata/annotations/mirror.linkerd.io~probe-period", "\"1h\"",
     "remote: all referenced gateways", "success", ""},
    {"targets/0/link/metadata/annotations/svcmirror.io~gateway", "\"edge/missing\"", "remote: all referenced gateways",
     "warning", "link/east references a gateway that does not exist: edge/missing"},
    {"targets/0/link/metadata/annotations/svcmirror.io~gateway", "\"demo/web\"", "remote: all referenced gateways",
     "warning", "gateway demo/web has no external address"},
    {"source/services/value/items/1/metadata/annotations/mirror.linkerd.io~gateway-identity", NULL,
     "all cluster gateways are valid", "warning", "gateway-identity"},
    {"source/services/value/items/2/metadata/annotations",
     "{\"mirror.linkerd.io/gateway-name\":\"gone\",\"mirror.linkerd.io/gateway-ns\":\"edge\"}",
     "all cluster gateways are valid", "warning",
     "exported service apex.demo references a gateway that does not exist: edge/gone"},
    {"source/services/value/items/2/metadata/annotations",
     "{\"mirror.linkerd.io/gateway-name\":\"web-east\",\"mirror.linkerd.io/gateway-ns\":\"demo\"}",
     "all cluster gateways are valid", "warning", "gateway demo/web-east has no port named mc-gateway"},
    {"source/gatewayEndpoints/linkerd-multicluster~gateway", "{\"value\":{\"items\":[]}}",
     "all cluster gateways are valid", "warning", "gateway linkerd-multicluster/gateway has no ready endpoint"},
    {"source/gatewayEndpoints/linkerd-multicluster~gateway",
     "{\"value\":{\"items\":[{\"endpoints\":[{\"addresses\":[\"10.1.0.1\"],\"conditions\":{\"ready\":false}}]}]}}",
     "all cluster gateways are valid", "warning", "has no ready endpoint"},
    {"source/gatewayEndpoints/linkerd-multicluster~gateway",
     "{\"value\":{\"subsets\":[{\"notReadyAddresses\":[{\"ip\":\"10.1.0.1\"}]}]}}", "all cluster gateways are valid",
     "warning", "has no ready endpoint"},
    {"source/gatewayEndpoints/linkerd-multicluster~gateway",
     "{\"value\":{\"subsets\":[{\"addresses\":[{\"ip\":\"10.1.0.1\"}]}]}}", "all cluster gateways are valid", "success",
     ""},
    {"source/gatewayEndpoints/linkerd-multicluster~gateway", "{\"error\":\"404\",\"code\":\"not_found\"}",
     "all cluster gateways are valid", "warning", "has no ready endpoint"},
    {"source/gatewayEndpoints/linkerd-multicluster~gateway",
     "{\"error\":\"list endpointslices: 403 Forbidden\",\"code\":\"forbidden\"}", "all cluster gateways are valid",
     "warning", "cannot be judged: cluster source: list endpointslices: 403 Forbidden"},
    {"targets/0/ahead", "40", "clocks of the clusters agree", "warning", "39 s ahead of the source's"},
    {"targets/0/ahead", "-30", "clocks of the clusters agree", "warning", "31 s behind the source's"},
    {"source/hosts/value/items/1/spec/requestPolicy", NULL, "Edge Stack", "warning",
     "host e/wildcard: requestPolicy.insecure.action is \"Redirect\""},
    {"source/hosts/value/items", "[{\"metadata\":{\"name\":\"one\"},\"spec\":{\"hostname\":\"example.com\"}}]",
     "Edge Stack", "warning", "no Host has hostname"},
    {"source/hosts/value/items", "[]", "Edge Stack", "success", ""},
    {"source/hosts/value/items/1/spec/hostname", NULL, "Edge Stack", "success", ""}, /* it serves every name */
    {"source/hosts/value/items/2", "{\"metadata\":{\"name\":\"zzz\",\"namespace\":\"e\"},\"spec\":{}}", "Edge Stack",
     "warning", "host e/zzz: requestPolicy.insecure.action is \"Redirect\""},
    {"source/mappings/value/items/0", NULL, "Edge Stack", "warning", "\"/ready\": probes find no route"},
    {"source/mappings/value/items/0/spec/hostname", NULL, "Edge Stack", "warning",
     "mapping e/health: hostname is \"\""},
    {"source/mappings/value/items/0/spec/rewrite", NULL, "Edge Stack", "warning", "rewrite is \"\""},
    {"source/mappings/value/items/0/spec/service", "\"localhost\"", "Edge Stack", "warning", "must be localhost:8877"},
    {"source/mappings/value/items/0/spec/bypass_auth", "false", "Edge Stack", "warning", "bypass_auth"},
    {"source/modules/value/items/0", NULL, "Edge Stack", "warning", "add_linkerd_headers"},
    {"source/modules/value/items/1", "{\"metadata\":{\"name\":\"ambassador\",\"namespace\":\"f\"}}", "Edge Stack",
     "warning", "there are 2 Modules"},
    {"source/listeners/value/items/0", NULL, "Edge Stack", "warning", "no Listener has port 8080"},
    {"source/services/value/items/1/spec/ports/1/targetPort", "\"http\"", "Edge Stack", "success", ""},
    {"source/services/value/items/1/spec/ports/1/targetPort", "\"https\"", "Edge Stack", "warning",
     "targetPort \"https\" is no port of container envoy"},
    {"source/services/value/items/1/metadata/annotations/mirror.linkerd.io~gateway-identity",
     "\"default.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local\"", "Edge Stack", "warning",
     "Service linkerd-multicluster/gateway is not as `svcmirror edge-stack prepare` makes it"},
    {"source/linkerdConfig", "{\"error\":\"404\",\"code\":\"not_found\"}", "Edge Stack", "success", ""},
    {"source/workloadsIn/linkerd-multicluster/deployments/value/items/0/spec/template/metadata/annotations", "{}",
     "Edge Stack", "warning", "Deployment linkerd-multicluster/gateway is not as `svcmirror edge-stack prepare`"},
    {"source/workloadsIn/linkerd-multicluster/deployments/value/items/0", NULL, "Edge Stack", "warning",
     "no Deployment or DaemonSet has the pod labels that Service linkerd-multicluster/gateway selects"},
    {"source/workloadsIn/linkerd-multicluster/deployments",
     "{\"error\":\"list deployments: 403 Forbidden\",\"code\":\"forbidden\"}", "Edge Stack", "warning",
     "cannot be judged: cluster source: list deployments: 403 Forbidden"},
    {"source/mappings/value/items/0/spec/ambassador_id", "[\"other\"]", "Edge Stack", "warning",
     "\"/ready\": probes find no route"},
    {"source/mappings/value/items/2",
     "{\"metadata\":{\"name\":\"theirs\"},\"spec\":{\"ambassador_id\":[\"other\"],\"prefix\":\"/ready\"}}",
     "Edge Stack", "success", ""},
    {"source/modules/value/items/1",
     "{\"metadata\":{\"name\":\"ambassador\"},\"spec\":{\"ambassador_id\":[\"other\"]}}", "Edge Stack", "success", ""},
    {"source/hosts/value/items/2",
     "{\"metadata\":{\"name\":\"zzz\"},\"spec\":{\"ambassador_id\":\"other\",\"hostname\":\"*\"}}", "Edge Stack",
     "success", ""},
    {"source/listeners/value/items/0/spec/ambassador_id", "[\"other\"]", "Edge Stack", "warning",
     "no Listener has port 8080"},
    {"source/listeners/value/items/0/spec/protocol", "\"HTTPPROXY\"", "Edge Stack", "warning",
     "Listener e/http expects the PROXY protocol"},
    {"source/hosts/value/items/1/spec/mappingSelector", "{\"matchLabels\":{\"host\":\"own\"}}", "Edge Stack", "warning",
     "Mapping e/health is not as `svcmirror edge-stack prepare` makes it"},
    {"source/mappings/value/items/1/spec/precedence", "10", "Edge Stack", "warning",
     "Mapping e/other (prefix /, precedence 10) shadows the health Mapping"},
    {"source/mappings", "{\"error\":\"list mappings: 404\",\"code\":\"not_found\"}", "Edge Stack", "warning",
     "cannot be judged: list mappings: 404"},
    {"source/gatewayPods/linkerd-multicluster~gateway", "{\"value\":{\"items\":[]}}", "gateways have their proxy",
     "warning", "gateway linkerd-multicluster/gateway has no pods"},
    {"source/gatewayPods/linkerd-multicluster~gateway",
     "{\"value\":{\"items\":[{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\"},\"spec\":{\"containers\":[{\"name\":"
     "\"c\"}]}}]}}",
     "gateways have their proxy", "warning", "pod n/p of the gateway has no container linkerd-proxy"},
    {"source/gatewayPods/linkerd-multicluster~gateway",
     "{\"value\":{\"items\":[{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\"},\"spec\":{\"initContainers\":[{"
     "\"name\":"
     "\"linkerd-proxy\"}]}}]}}",
     "gateways have their proxy", "warning", "lacks annotation config.linkerd.io/enable-gateway"},
    {"source/pods/value/items/0/status/initContainerStatuses", "[{\"name\":\"linkerd-proxy\",\"ready\":false}]",
     "multicluster extension proxies are healthy", "warning",
     "the proxy of pod linkerd-multicluster/svcmirror-0 is not ready: Running"},
    {"source/pods/value/items/0/status/initContainerStatuses",
     "[{\"name\":\"linkerd-proxy\",\"state\":{\"waiting\":{\"reason\":\"ImagePullBackOff\"}}}]",
     "multicluster extension proxies are healthy", "warning", "svcmirror-0 is not ready: ImagePullBackOff"},
    {"source/pods", "{\"error\":\"no right to list pods\",\"code\":\"forbidden\"}",
     "multicluster extension proxies are healthy", "warning", "no right to list pods"},
    {"source/pods/value/items/0/spec/initContainers",
     "[{\"name\":\"linkerd-proxy\",\"image\":\"r:5000/proxy:edge-25.1.1@sha256:0\"}]",
     "multicluster extension proxies are up-to-date", "warning",
     "svcmirror-0 has proxy version edge-25.1.1, and the control plane is edge-26.8.3"},
    {"source/pods/value/items/0/spec/initContainers",
     "[{\"name\":\"linkerd-proxy\",\"image\":\"r:5000/proxy@sha256:0\"}]",
     "multicluster extension proxies are up-to-date", "success", ""},
    {"source/linkerdConfig/value/data/values", "\"a: b\"", "multicluster extension proxies are up-to-date", "warning",
     "ConfigMap linkerd/linkerd-config does not tell the version"},
    {"linkerdCli", "\"edge-26.9.1\"", "multicluster extension proxies and cli versions match", "warning",
     "svcmirror-0 has proxy version edge-26.8.3, and Linkerd's CLI is edge-26.9.1: upgrade the older of them"},
    {"targets/0/link/metadata/annotations/linkerd.io~created-by", "\"linkerd/cli edge-26.1.1\"",
     "multicluster extension proxies and cli versions match", "warning",
     "svcmirror-0 has proxy version edge-26.8.3, and link/east was made by Linkerd's CLI "
     "edge-26.1.1"},
    {"targets/0/link/metadata/annotations/linkerd.io~created-by", NULL,
     "multicluster extension proxies and cli versions match", NULL, NULL},
    {"source/pods/value/items/0/spec/initContainers", "[]", "multicluster extension proxies and cli versions match",
     NULL, NULL},
    {"source/roles/value/items/1", NULL, RENEWAL, "warning",
     "cluster east: service account linkerd-multicluster/svcmirror may not patch secret "
     "linkerd-multicluster/cluster-credentials-east, and cannot renew the token there: `svcmirror link`"},
    {"source/roles/value/items/1/rules/0/resourceNames", "[\"cluster-credentials-north\"]", RENEWAL, "warning",
     "linkerd-multicluster/cluster-credentials-east"},
    {"source/roles/value/items/1/rules/0/resourceNames", "[\"*\"]", RENEWAL, "warning", "may not patch secret"},
    {"source/roles/value/items/1/rules/0/resourceNames", "[]", RENEWAL, "success", ""},
    {"source/roles/value/items/1/rules/0/verbs", "[\"get\"]", RENEWAL, "warning", "may not patch secret"},
    {"source/roleBindings/value/items/1/subjects/0/namespace", "\"other\"", RENEWAL, "warning", "may not patch secret"},
    {"source/roles", "{\"error\":\"list roles: 403 Forbidden\",\"code\":\"forbidden\"}", RENEWAL, "warning",
     "list roles: 403 Forbidden"},
    {"source/rightsIn/linkerd/roles/value/items/0", NULL, RENEWAL, "warning",
     "may not patch secret linkerd/cluster-credentials-east"},
    {"source/rightsIn/linkerd/roleBindings/value/items/0/roleRef/name", "\"other\"", RENEWAL, "warning",
     "may not patch secret linkerd/cluster-credentials-east"},
    {"source/rightsIn/linkerd/roleBindings", "{\"error\":\"list rolebindings: 403\",\"code\":\"forbidden\"}", RENEWAL,
     "warning", "list rolebindings: 403"},
    {"source/clusterRoles", "{\"error\":\"list clusterroles: 403\",\"code\":\"forbidden\"}", RENEWAL, "warning",
     "list clusterroles: 403"},
    {"source/secrets/value/items/0/metadata/annotations/svcmirror.io~renew-token", NULL, RENEWAL, NULL, NULL},
    {"targets/0/concerns", "false", RENEWAL, NULL, NULL},
    {"source/leases/value/items/0/spec/renewTime", "\"2026-09-21T14:00:00Z\"", "an agent serves every Link", "success",
     ""},
    {"source/agentLinks/value/0/problem", "\"no right to list services\"", "an agent serves every Link", "error",
     "the agent says: no right to list services"},
};

/* '~' stands for the '/' of a key. */
static void spoil(json_t *snapshot, const struct fault *fault)
{
    json_t *value = fault->value != NULL ? json_loads(fault->value, JSON_DECODE_ANY, NULL) : NULL;
    const char *tilde = strchr(fault->path, '~');
    if (tilde == NULL) {
        scene_put(snapshot, fault->path, value);
        return;
    }
    char parent[256], key[128];
    const char *slash = strrchr(fault->path, '/');
    (void)snprintf(parent, sizeof(parent), "%.*s", (int)(slash - fault->path), fault->path);
    (void)snprintf(key, sizeof(key), "%s", slash + 1);
    *strchr(key, '~') = '/';
    json_t *at = snapshot;
    for (char *step = strtok(parent, "/"); step != NULL; step = strtok(NULL, "/"))
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(step)) : json_object_get(at, step);
    assert_non_null(at);
    assert_int_equal(value != NULL ? json_object_set_new(at, key, value) : json_object_del(at, key), 0);
}

static void each_fault_is_named_by_its_check(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(FAULTS); i++) {
        const struct fault *fault = &FAULTS[i];
        json_t *snapshot = scene_healthy();
        spoil(snapshot, fault);
        json_t *result = run(snapshot);
        const json_t *entry = scene_find(result, fault->check);
        if (fault->result == NULL && entry != NULL)
            fail_msg("%s: %s is not left out", fault->path, fault->check);
        if (fault->result != NULL && (strcmp(check_text(entry, "result"), fault->result) != 0 ||
                                      strstr(check_text(entry, "error"), fault->words) == NULL))
            fail_msg("%s: %s: %s: %s", fault->path, fault->check, check_text(entry, "result"),
                     check_text(entry, "error"));
        bool failed = fault->result != NULL && strcmp(fault->result, "error") == 0;
        if (fault->result != NULL)
            assert_int_equal(json_is_true(json_object_get(result, "success")), !failed);
        json_decref(result);
        json_decref(snapshot);
    }
}

/* A cluster with a gateway and an exported service, and without anything of a source. @return new. */
static json_t *make_target_alone(void)
{
    json_t *snapshot = scene_healthy();
    scene_put(snapshot, "source/links", json_pack("{s:s, s:s}", "error", "404", "code", "not_found"));
    scene_put(snapshot, "source/secrets", json_pack("{s:{s:[{s:s}]}}", "value", "items", "type", "Opaque"));
    scene_put(snapshot, "source/deployments/value/items/0", NULL);
    scene_put(snapshot, "source/services/value/items/0", NULL);
    scene_put(snapshot, "targets", json_array());
    return snapshot;
}

static void a_target_alone_is_not_judged_as_a_source(void **state)
{
    (void)state;
    json_t *snapshot = make_target_alone(), *result = NULL;
    const char *awaited = NULL;
    assert_int_equal(check_run(checks, snapshot, &result, &awaited), ERR_OK);
    const json_t *categories = json_object_get(result, "categories");
    assert_int_equal(json_array_size(categories), 1);
    assert_string_equal(check_text(json_array_get(categories, 0), "categoryName"), "linkerd-multicluster-target");
    assert_string_equal(
        check_text(scene_find(result, "the cluster is a target alone"), "description"),
        "the cluster is a target alone\n* nothing of a source is checked: namespace linkerd-multicluster "
        "has no Link, no credentials Secret and no agent");
    assert_non_null(scene_find(result, "Edge Stack"));
    assert_true(json_is_true(json_object_get(result, "success")));
    assert_null(awaited); /* no agent is waited for */
    json_decref(result);

    /* What is wrong with the target itself is still told. */
    scene_put(snapshot, "source/services/value/items/0/status", json_object());
    result = run(snapshot);
    assert_string_equal(check_text(scene_find(result, "all cluster gateways are valid"), "result"), "warning");
    json_decref(result);

    /* Exported services say as much as a gateway. */
    scene_put(snapshot, "source/services/value/items/0", NULL);
    scene_put(snapshot, "source/gatewayPods", json_object());
    result = run(snapshot);
    assert_non_null(scene_find(result, "the cluster is a target alone"));
    assert_int_equal(json_array_size(json_object_get(result, "categories")), 1);
    json_decref(result);
    json_decref(snapshot);
}

/* One thing of a source is there, or cannot be known: it is judged as one. */
static void whatever_is_of_a_source_makes_it_one(void **state)
{
    (void)state;
    static const struct {
        const char *path, *value;
    } CASES[] = {
        {"cluster", "\"east\""},
        {"source/links", "{\"value\":{\"items\":[{\"metadata\":{\"name\":\"east\"}}]}}"},
        {"source/links", "{\"error\":\"403\",\"code\":\"forbidden\"}"},
        {"source/secrets", "{\"value\":{\"items\":[{\"type\":\"mirror.linkerd.io/remote-kubeconfig\"}]}}"},
        {"source/secrets", "{\"error\":\"403\",\"code\":\"forbidden\"}"},
        {"source/deployments",
         "{\"value\":{\"items\":[{\"metadata\":{\"labels\":{\"app.kubernetes.io/name\":\"svcmirror\"}}}]}}"},
        {"source/deployments", "{\"error\":\"403\",\"code\":\"forbidden\"}"},
        {"source/services/value/items/9",
         "{\"metadata\":{\"name\":\"m\",\"labels\":{\"mirror.linkerd.io/mirrored-service\":\"true\"}}}"},
        {"source/services", "{\"value\":{\"items\":[{\"metadata\":{\"name\":\"plain\"}}]}}"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        json_t *snapshot = make_target_alone();
        scene_put(snapshot, CASES[i].path, json_loads(CASES[i].value, JSON_DECODE_ANY, NULL));
        json_t *result = run(snapshot);
        if (scene_find(result, "Link CRD exists") == NULL ||
            scene_find(result, "the cluster is a target alone") != NULL)
            fail_msg("%s = %s: it is taken for a target alone", CASES[i].path, CASES[i].value);
        json_decref(result);
        json_decref(snapshot);
    }
}

/* The rule is found by its resource: others come and go. */
static void each_right_that_is_missing_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *list, *resource, *result, *words;
    } CASES[] = {
        {"roles", "secrets", "error",
         "service account linkerd-multicluster/svcmirror may not get secrets in its namespace"},
        {"clusterRoles", "services", "error", "may not create services in all namespaces"},
        {"clusterRoles", "events", "warning", "may not create events"},
        {"clusterRoles", "servicecidrs", "warning", "may not list servicecidrs"},
        {"clusterRoles", "serviceimports", "warning", "may not create serviceimports"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        json_t *snapshot = scene_healthy();
        json_t *role = json_array_get(mem_unconst(check_items(json_object_get(snapshot, "source"), CASES[i].list)), 0);
        json_t *rules = json_object_get(role, "rules");
        size_t at = 0;
        while (at < json_array_size(rules) &&
               strcmp(json_string_value(json_array_get(json_object_get(json_array_get(rules, at), "resources"), 0)),
                      CASES[i].resource) != 0)
            at++;
        assert_int_equal(json_array_remove(rules, at), 0);
        json_t *result = run(snapshot);
        const json_t *entry = scene_find(result, RIGHTS);
        assert_string_equal(check_text(entry, "result"), CASES[i].result);
        assert_non_null(strstr(check_text(entry, "error"), CASES[i].words));
        json_decref(result);
        json_decref(snapshot);
    }
}

static void nobody_serves_a_link(void **state)
{
    (void)state;
    json_t *snapshot = scene_healthy();
    scene_put(snapshot, "source/agentLinks", json_pack("{s:s, s:s}", "error", "503", "code", "busy"));
    scene_put(snapshot, "source/leases/value/items/0/spec/renewTime", json_string("2026-09-21T14:00:00Z"));
    json_t *result = run(snapshot);
    const json_t *entry = scene_find(result, "an agent serves every Link");
    assert_string_equal(check_text(entry, "result"), "error");
    assert_non_null(
        strstr(check_text(entry, "error"), "nobody holds Lease linkerd-multicluster/service-mirror-write-east"));
    json_decref(result);
    json_decref(snapshot);
}

static const json_t *trust_with(json_t *snapshot, const char *here, const char *there, json_t **ret_result)
{
    scene_put(snapshot, "source/trustRoots", scene_roots(here));
    scene_put(snapshot, "targets/0/trustRoots", scene_roots(there));
    *ret_result = run(snapshot);
    return scene_find(*ret_result, "clusters share trust anchors");
}

static void one_root_in_both_bundles_is_enough(void **state)
{
    (void)state;
    struct test_certificate one = test_certificate_make(SCENE_NOW_S + 3000LL * SCENE_DAY_S);
    struct test_certificate other = test_certificate_make(SCENE_NOW_S + 3000LL * SCENE_DAY_S);
    struct test_certificate ended = test_certificate_make(SCENE_NOW_S - 1);
    char both[2 * sizeof(one.certificate)];
    (void)snprintf(both, sizeof(both), "%s%s", other.certificate, one.certificate);
    const struct {
        const char *here, *there, *result, *words;
    } CASES[] = {
        {one.certificate, both, "success", ""},
        {both, other.certificate, "success", ""},
        {one.certificate, other.certificate, "error", "share no trust anchor"},
        {ended.certificate, ended.certificate, "error", "has expired at"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        json_t *snapshot = scene_healthy(), *result = NULL;
        const json_t *entry = trust_with(snapshot, CASES[i].here, CASES[i].there, &result);
        assert_string_equal(check_text(entry, "result"), CASES[i].result);
        assert_non_null(strstr(check_text(entry, "error"), CASES[i].words));
        json_decref(result);
        json_decref(snapshot);
    }
}

static void roots_are_found_in_the_configuration_of_older_linkerds(void **state)
{
    (void)state;
    struct test_certificate one = test_certificate_make(SCENE_NOW_S + 3000LL * SCENE_DAY_S);
    json_t *quoted = json_string(one.certificate);
    char *pem = json_dumps(quoted, JSON_ENCODE_ANY), values[3000], global[3000];
    (void)snprintf(values, sizeof(values), "identityTrustAnchorsPEM: %s\n", pem);
    (void)snprintf(global, sizeof(global), "{\"identityContext\":{\"trustAnchorsPem\":%s}}", pem);
    json_t *snapshot = scene_healthy();
    scene_put(snapshot, "source/trustRoots", NULL);
    scene_put(snapshot, "source/linkerdConfig", json_pack("{s:{s:{s:s}}}", "value", "data", "values", values));
    scene_put(snapshot, "targets/0/trustRoots", NULL);
    scene_put(snapshot, "targets/0/linkerdConfig", json_pack("{s:{s:{s:s}}}", "value", "data", "global", global));
    json_t *result = run(snapshot);
    assert_string_equal(check_text(scene_find(result, "clusters share trust anchors"), "result"), "success");
    json_decref(result);
    json_decref(snapshot);
    json_decref(quoted);
    mem_free(pem); /* jansson allocates here too */
}

static void assert_edge_stack(const json_t *snapshot, const char *words)
{
    json_t *result = run(snapshot);
    const json_t *entry = scene_find(result, "Edge Stack");
    if (strcmp(check_text(entry, "result"), words[0] != '\0' ? "warning" : "success") != 0 ||
        strstr(check_text(entry, "error"), words) == NULL)
        fail_msg("%s: %s: %s", words, check_text(entry, "result"), check_text(entry, "error"));
    json_decref(result);
}

static void a_secure_listener_makes_up_for_the_action_of_a_host_and_not_for_its_name(void **state)
{
    (void)state;
    json_t *snapshot = scene_healthy();
    scene_put(snapshot, "source/hosts/value/items/1/spec/requestPolicy", NULL);
    assert_edge_stack(snapshot, "requestPolicy.insecure.action is \"Redirect\"");
    scene_put(snapshot, "source/listeners/value/items/0/spec/securityModel", json_string("SECURE"));
    assert_edge_stack(snapshot, "");
    scene_put(snapshot, "source/hosts/value/items/1/spec/hostname", json_string("example.com"));
    scene_put(snapshot, "source/hosts/value/items/0/spec/hostname", json_string("example.org"));
    assert_edge_stack(snapshot, "no Host has hostname");
    json_decref(snapshot);
}

static void edge_stack_of_before_emissary_2(void **state)
{
    (void)state;
    json_t *snapshot = scene_healthy();
    scene_put(snapshot, "source/hostsV2", json_incref(json_object_get(json_object_get(snapshot, "source"), "hosts")));
    scene_put(snapshot, "source/modulesV2",
              json_incref(json_object_get(json_object_get(snapshot, "source"), "modules")));
    scene_put(snapshot, "source/mappingsV2",
              json_incref(json_object_get(json_object_get(snapshot, "source"), "mappings")));
    scene_put(snapshot, "source/mappings", NULL);
    scene_put(snapshot, "source/listeners", NULL);
    scene_put(snapshot, "source/mappingsV2/value/items/0/spec/hostname", NULL);
    assert_edge_stack(snapshot, "");
    scene_put(snapshot, "source/mappingsV2/value/items/0/spec/host", json_string("*"));
    assert_edge_stack(snapshot, "host is \"*\", and must be left out");
    scene_put(snapshot, "source/mappingsV2/value/items/0/spec/host", NULL);
    /* Hostnames did not restrict cleartext. */
    scene_put(snapshot, "source/hostsV2/value/items/0/spec/hostname", json_string("example.org"));
    scene_put(snapshot, "source/hostsV2/value/items/1/spec/hostname", json_string("example.com"));
    assert_edge_stack(snapshot, "");
    scene_put(snapshot, "source/hostsV2/value/items/1/spec/requestPolicy", NULL);
    assert_edge_stack(snapshot, "no Host has requestPolicy.insecure.action Route");
    json_decref(snapshot);
}

/* Neither the agent nor `link` uses them. */
static void external_ips_are_no_address_of_a_gateway(void **state)
{
    (void)state;
    json_t *snapshot = scene_healthy();
    scene_put(snapshot, "targets/0/services/value/items/0/status", NULL);
    scene_put(snapshot, "targets/0/services/value/items/0/spec/externalIPs", json_pack("[s]", "192.0.2.1"));
    json_t *result = run(snapshot);
    const json_t *entry = scene_find(result, "remote: all referenced gateways");
    assert_non_null(strstr(check_text(entry, "error"), "has no external address"));
    json_decref(result);
    json_decref(snapshot);
}

static void services_of_2_8_name_their_gateway(void **state)
{
    (void)state;
    json_t *snapshot = scene_healthy();
    scene_put(snapshot, "targets/0/link", NULL);
    scene_put(snapshot, "targets/0/services/value/items/0", NULL);
    json_t *result = run(snapshot);
    const json_t *entry = scene_find(result, "remote: all referenced gateways");
    assert_null(entry); /* the declaration is none: nothing is judged after a fatal failure */
    json_decref(result);
    scene_put(snapshot, "targets/0/declaration",
              json_loads("{\"metadata\":{\"name\":\"s\",\"namespace\":\"l\",\"uid\":\"2\",\"annotations\":{"
                         "\"mirror.linkerd.io/cluster-name\":\"east\",\"mirror.linkerd.io/remote-cluster-domain\":"
                         "\"cluster.local\",\"mirror.linkerd.io/remote-cluster-l5d-ns\":\"linkerd\"}},\"type\":"
                         "\"mirror.linkerd.io/remote-kubeconfig\"}",
                         0, NULL));
    result = run(snapshot);
    entry = scene_find(result, "remote: all referenced gateways");
    assert_non_null(
        strstr(check_text(entry, "error"), "web.demo references a gateway that does not exist: ambassador/ambassador"));
    json_decref(result);
    json_decref(snapshot);
}

static void our_own_services_of_2_8_name_their_gateway_too(void **state)
{
    (void)state;
    json_t *snapshot = scene_healthy();
    scene_put(
        snapshot, "source/services",
        json_loads("{\"value\":{\"items\":[{\"metadata\":{\"name\":\"web\",\"namespace\":\"demo\",\"annotations\":{"
                   "\"mirror.linkerd.io/gateway-name\":\"gone\",\"mirror.linkerd.io/gateway-ns\":\"edge\"}}}]}}",
                   0, NULL));
    scene_put(snapshot, "source/gatewayEndpoints", json_object());
    json_t *result = run(snapshot);
    const json_t *entry = scene_find(result, "all cluster gateways are valid"); /* though no gateway is here */
    assert_string_equal(
        check_text(entry, "error"),
        "* cluster source: exported service web.demo references a gateway that does not exist: edge/gone");
    json_decref(result);
    json_decref(snapshot);
}

/* Whose endpoints are to be read. */
static void gateways_are_those_that_say_so_and_those_that_are_named(void **state)
{
    (void)state;
    json_t *services = json_loads(
        "[{\"metadata\":{\"name\":\"a\",\"namespace\":\"e\",\"annotations\":{\"mirror.linkerd.io/"
        "multicluster-gateway\":\"true\"}}},"
        "{\"metadata\":{\"name\":\"empty\",\"namespace\":\"e\",\"annotations\":{\"mirror.linkerd.io/"
        "multicluster-gateway\":\"\"}}},"
        "{\"metadata\":{\"name\":\"b\",\"namespace\":\"e\"}},{\"metadata\":{\"name\":\"c\",\"namespace\":\"e\"}},"
        "{\"metadata\":{\"name\":\"1\",\"annotations\":{\"mirror.linkerd.io/gateway-name\":\"a\",\"mirror.linkerd.io/"
        "gateway-ns\":\"e\"}}},"
        "{\"metadata\":{\"name\":\"2\",\"annotations\":{\"mirror.linkerd.io/gateway-name\":\"b\",\"mirror.linkerd.io/"
        "gateway-ns\":\"e\"}}},"
        "{\"metadata\":{\"name\":\"3\",\"annotations\":{\"mirror.linkerd.io/gateway-name\":\"d\",\"mirror.linkerd.io/"
        "gateway-ns\":\"e\"}}},"
        "{\"metadata\":{\"name\":\"4\",\"labels\":{\"mirror.linkerd.io/mirrored-service\":\"true\"},\"annotations\":{"
        "\"mirror.linkerd.io/gateway-name\":\"c\",\"mirror.linkerd.io/gateway-ns\":\"e\"}}}]",
        0, NULL);
    json_t *expected = json_pack("{s:b, s:b, s:b, s:b}", "e/a", true, "e/empty", true, "e/b", true, "e/d", false);
    json_t *names = check_gateway_names(services);
    assert_non_null(services);
    assert_true(json_equal(names, expected));
    json_decref(names);
    json_decref(expected);
    json_decref(services);
}

struct one_check {
    struct check list[2]; /* it, and the end */
    const json_t *snapshot;
};

static enum err_code run_once(void *context)
{
    const struct one_check *one = context;
    json_t *result = NULL;
    const char *awaited = NULL;
    enum err_code code = check_run(one->list, one->snapshot, &result, &awaited);
    json_decref(result);
    return code;
}

static void no_allocation_is_taken_for_granted(void **state)
{
    (void)state;
    json_t *snapshot = scene_healthy();
    for (const struct check *check = checks; check->description != NULL; check++) {
        struct one_check one = {.list = {*check}, .snapshot = snapshot};
        (void)sweep(run_once, &one);
    }
    json_decref(snapshot);
}

static int set_up(void **state)
{
    (void)state;
    kube_setup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_is_right_in_a_healthy_set_up),
        cmocka_unit_test(each_fault_is_named_by_its_check),
        cmocka_unit_test(a_target_alone_is_not_judged_as_a_source),
        cmocka_unit_test(whatever_is_of_a_source_makes_it_one),
        cmocka_unit_test(each_right_that_is_missing_is_named),
        cmocka_unit_test(nobody_serves_a_link),
        cmocka_unit_test(one_root_in_both_bundles_is_enough),
        cmocka_unit_test(roots_are_found_in_the_configuration_of_older_linkerds),
        cmocka_unit_test(a_secure_listener_makes_up_for_the_action_of_a_host_and_not_for_its_name),
        cmocka_unit_test(edge_stack_of_before_emissary_2),
        cmocka_unit_test(external_ips_are_no_address_of_a_gateway),
        cmocka_unit_test(services_of_2_8_name_their_gateway),
        cmocka_unit_test(our_own_services_of_2_8_name_their_gateway_too),
        cmocka_unit_test(gateways_are_those_that_say_so_and_those_that_are_named),
        cmocka_unit_test(no_allocation_is_taken_for_granted),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
