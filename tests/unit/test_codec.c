/* links: agent_kube mirror base */
#include "agent/kube/codec.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/setup.h"
#include "mirror/names.h"
#include "tests/unit/sweep.h"

enum { ARENA_BYTES = 1 << 20, BODY_BYTES = 64 << 10 };

/* What the API server of Kubernetes 1.36 answers, shortened where repetition says nothing. */
static const char service_json[] =
    "{\"kind\":\"Service\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"web\",\"namespace\":\"demo\","
    "\"uid\":\"6f1d\",\"resourceVersion\":\"1042\",\"generation\":2,\"creationTimestamp\":\"2026-08-21T10:00:00Z\","
    "\"labels\":{\"b\":\"2\",\"a\":\"1\"},\"annotations\":{\"note\":\"say \\\"hi\\\"\\n\\u00e9\"},"
    "\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"d\",\"uid\":\"0\"}],"
    "\"managedFields\":[{\"manager\":\"kubectl\",\"operation\":\"Update\",\"apiVersion\":\"v1\",\"fieldsV1\":{}},"
    "{\"manager\":\"svcmirror\",\"operation\":\"Apply\",\"subresource\":\"\"}]},"
    "\"spec\":{\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"appProtocol\":\"kubernetes.io/h2c\",\"port\":80,"
    "\"targetPort\":8080,\"nodePort\":30080},{\"name\":\"dns\",\"protocol\":\"UDP\",\"port\":53,\"targetPort\":\"dns\"}"
    ","
    "{\"name\":\"odd\",\"protocol\":\"SCTP\",\"port\":65535,\"targetPort\":\"8080\"}],"
    "\"selector\":{\"app\":\"web\"},\"clusterIP\":\"10.96.0.10\",\"clusterIPs\":[\"10.96.0.10\"],"
    "\"externalIPs\":[\"192.0.2.1\",\"192.0.2.2\"],\"type\":\"LoadBalancer\",\"sessionAffinity\":\"None\"},"
    "\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"192.0.2.7\",\"ipMode\":\"VIP\"},{\"hostname\":\"lb.example\"}"
    "]}}}";

static const char slice_json[] =
    "{\"kind\":\"EndpointSlice\",\"apiVersion\":\"discovery.k8s.io/v1\",\"metadata\":{\"name\":\"web-x\","
    "\"namespace\":\"demo\",\"uid\":\"77\",\"resourceVersion\":\"9\",\"creationTimestamp\":\"2026-08-21T10:00:00Z\","
    "\"labels\":{\"kubernetes.io/service-name\":\"web\",\"endpointslice.kubernetes.io/managed-by\":\"svcmirror\"},"
    "\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"name\":\"web\",\"uid\":\"6f1d\","
    "\"controller\":true}]},\"addressType\":\"IPv6\",\"endpoints\":["
    "{\"addresses\":[\"fd00::1\"],\"conditions\":{\"ready\":true,\"serving\":true,\"terminating\":false},"
    "\"hostname\":\"web-0\",\"targetRef\":{\"kind\":\"Pod\"},\"zone\":\"a\"},"
    "{\"addresses\":[\"fd00::2\",\"fd00::3\"],\"conditions\":{\"ready\":false,\"serving\":true,\"terminating\":true}},"
    "{\"addresses\":[\"fd00::4\"],\"conditions\":{}},{\"addresses\":[\"fd00::5\"],\"conditions\":{\"ready\":null}},"
    "{\"addresses\":[\"fd00::6\"]}],"
    "\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":4143,\"appProtocol\":\"h2c\"},"
    "{\"name\":\"\",\"protocol\":\"UDP\",\"port\":null}]}";

static const char link_json[] =
    "{\"apiVersion\":\"multicluster.linkerd.io/v1alpha3\",\"kind\":\"Link\",\"metadata\":{\"name\":\"east\","
    "\"namespace\":\"linkerd-multicluster\",\"uid\":\"1\",\"resourceVersion\":\"2\",\"generation\":3,"
    "\"creationTimestamp\":\"2026-08-21T10:00:00Z\"},\"spec\":{\"targetClusterName\":\"east\","
    "\"targetClusterDomain\":\"cluster.local\",\"targetClusterLinkerdNamespace\":\"linkerd\","
    "\"clusterCredentialsSecret\":\"cluster-credentials-east\",\"gatewayAddress\":\"192.0.2.1,gw.example\","
    "\"gatewayPort\":\"4143\",\"gatewayIdentity\":\"gw.id\",\"probeSpec\":{\"path\":\"/ready\",\"port\":\"4191\","
    "\"period\":\"3s\",\"failureThreshold\":\"3\",\"timeout\":\"30s\"},\"selector\":{\"matchLabels\":"
    "{\"mirror.linkerd.io/exported\":\"true\"},\"matchExpressions\":[{\"key\":\"tier\",\"operator\":\"In\","
    "\"values\":[\"b\",\"a\"]},{\"key\":\"x\",\"operator\":\"DoesNotExist\"}]},\"excludedAnnotations\":[\"a/*\"],"
    "\"excludedLabels\":[\"b\",\"c\"]},\"status\":{\"mirrorServices\":[]}}";

static json_t *load(const char *text)
{
    json_error_t where;
    json_t *json = json_loads(text, 0, &where);
    if (json == NULL)
        fail_msg("not JSON: %s: %s", where.text, text);
    return json;
}

/* ---- decoding ---- */

static void decodes_services(void **state)
{
    (void)state;
    struct arena arena;
    struct service service;
    struct err error = {0};
    json_t *json = load(service_json);
    arena_init(&arena, ARENA_BYTES);
    if (codec_service(&arena, json, &service, &error) != ERR_OK)
        fail_msg("%s", error.text);
    assert_string_equal(service.meta.namespace, "demo");
    assert_string_equal(service.meta.name, "web");
    assert_string_equal(service.meta.uid, "6f1d");
    assert_string_equal(service.meta.resource_version, "1042");
    assert_int_equal(service.meta.created_us, INT64_C(1787306400) * 1000000);
    assert_true(service.meta.made_by_us);
    assert_false(service.meta.deleting);
    assert_string_equal(service.meta.owner_uid, "");
    assert_int_equal(service.meta.labels.count, 2);
    assert_string_equal(service.meta.labels.items[0].key, "a");
    assert_string_equal(kv_get(&service.meta.annotations, "note"), "say \"hi\"\n\xc3\xa9");
    assert_int_equal(service.type, SERVICE_LOAD_BALANCER);
    assert_false(service.headless);
    assert_true(service.has_selector);
    assert_string_equal(service.cluster_ip, "10.96.0.10");
    assert_int_equal(service.port_count, 3);
    assert_string_equal(service.ports[0].name, "http");
    assert_int_equal(service.ports[0].port, 80);
    assert_int_equal(service.ports[0].node_port, 30080);
    assert_string_equal(service.ports[0].target_port, "8080");
    assert_false(service.ports[0].target_port_is_name);
    assert_string_equal(service.ports[0].app_protocol, "kubernetes.io/h2c");
    assert_int_equal(service.ports[1].protocol, PROTOCOL_UDP);
    assert_string_equal(service.ports[1].target_port, "dns");
    assert_int_equal(service.ports[2].protocol, PROTOCOL_SCTP);
    assert_true(service.ports[2].target_port_is_name);
    assert_int_equal(service.ingress_count, 2);
    assert_string_equal(service.ingress[0].ip, "192.0.2.7");
    assert_string_equal(service.ingress[0].hostname, "");
    assert_string_equal(service.ingress[1].hostname, "lb.example");
    assert_int_equal(service.external_ip_count, 2);
    assert_string_equal(service.external_ips[1], "192.0.2.2");
    json_decref(json);
    arena_done(&arena);
}

static void fills_in_what_the_api_defaults(void **state)
{
    (void)state;
    struct arena arena;
    struct service service;
    struct slice slice;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    json_t *json =
        load("{\"metadata\":{\"name\":\"n\",\"labels\":null,\"deletionTimestamp\":\"2026-08-21T10:00:00Z\"},"
             "\"spec\":{\"clusterIP\":\"None\",\"ports\":[{\"port\":1,\"targetPort\":null}],\"selector\":{}}}");
    assert_int_equal(codec_service(&arena, json, &service, &error), ERR_OK);
    assert_string_equal(service.meta.namespace, "");
    assert_string_equal(service.meta.uid, "");
    assert_int_equal(service.meta.created_us, 0);
    assert_true(service.meta.deleting);
    assert_false(service.meta.made_by_us);
    assert_int_equal(service.type, SERVICE_CLUSTER_IP);
    assert_true(service.headless);
    assert_false(service.has_selector);
    assert_string_equal(service.ports[0].name, "");
    assert_int_equal(service.ports[0].protocol, PROTOCOL_TCP);
    assert_string_equal(service.ports[0].target_port, "");
    assert_false(service.ports[0].target_port_is_name);
    assert_int_equal(service.ingress_count, 0);
    json_decref(json);

    json = load(slice_json);
    if (codec_slice(&arena, json, &slice, &error) != ERR_OK)
        fail_msg("%s", error.text);
    assert_string_equal(slice.service_name, "web");
    assert_string_equal(slice.managed_by, "svcmirror");
    assert_string_equal(slice.meta.owner_uid, "6f1d");
    assert_int_equal(slice.address_type, ADDRESS_IPV6);
    assert_int_equal(slice.endpoint_count, 5);
    static const bool ready[] = {true, false, true, true, true}, serving[] = {true, true, true, true, true};
    for (uint32_t i = 0; i < slice.endpoint_count; i++) {
        assert_int_equal(slice.endpoints[i].ready, ready[i]);
        assert_int_equal(slice.endpoints[i].serving, serving[i]);
        assert_int_equal(slice.endpoints[i].terminating, i == 1);
    }
    assert_string_equal(slice.endpoints[0].hostname, "web-0");
    assert_string_equal(slice.endpoints[0].zone, "a");
    assert_string_equal(slice.endpoints[1].zone, "");
    assert_string_equal(slice.endpoints[1].address, "fd00::2");
    assert_string_equal(slice.endpoints[1].hostname, "");
    assert_int_equal(slice.port_count, 2);
    assert_int_equal(slice.ports[0].port, 4143);
    assert_string_equal(slice.ports[0].app_protocol, "h2c");
    assert_int_equal(slice.ports[1].port, 0);
    json_decref(json);
    arena_done(&arena);
}

/* @return of the JSON, which has to live as long. */
static const struct json_tree *tree_of(struct arena *arena, const json_t *json)
{
    const struct json_tree *tree = NULL;
    assert_int_equal(json_tree_of(arena, json, &tree), ERR_OK);
    return tree;
}

static void decodes_metadata_of_any_kind(void **state)
{
    (void)state;
    struct arena arena;
    struct object_meta meta;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    json_t *json = load("{\"kind\":\"Mapping\",\"metadata\":{\"name\":\"m\",\"namespace\":\"n\",\"uid\":\"u\"}}");
    assert_int_equal(codec_read_meta(&arena, tree_of(&arena, json), &meta, &error), ERR_OK);
    assert_string_equal(meta.name, "m");
    assert_string_equal(meta.uid, "u");
    json_decref(json);
    json = load("{\"kind\":\"Mapping\",\"metadata\":{\"name\":\"m\",\"uid\":1}}");
    assert_int_equal(codec_read_meta(&arena, tree_of(&arena, json), &meta, &error), ERR_INVALID);
    assert_string_equal(error.text, "Mapping m: field uid is not a string");
    json_decref(json);
    arena_done(&arena);
}

static void decodes_namespaces(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        bool terminating;
    } cases[] = {
        {"{\"metadata\":{\"name\":\"a\"},\"status\":{\"phase\":\"Active\"}}", false},
        {"{\"metadata\":{\"name\":\"a\"}}", false},
        {"{\"metadata\":{\"name\":\"a\"},\"status\":{\"phase\":\"Terminating\"}}", true},
        {"{\"metadata\":{\"name\":\"a\",\"deletionTimestamp\":\"2026-08-21T10:00:00Z\"},\"status\":{}}", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct arena arena;
        struct namespace_object namespace;
        json_t *json = load(cases[i].json);
        arena_init(&arena, ARENA_BYTES);
        assert_int_equal(codec_read_namespace(&arena, tree_of(&arena, json), &namespace, NULL), ERR_OK);
        assert_string_equal(namespace.meta.name, "a");
        assert_int_equal(namespace.terminating, cases[i].terminating);
        json_decref(json);
        arena_done(&arena);
    }
}

static void decodes_service_cidrs(void **state)
{
    (void)state;
    struct arena arena;
    struct service_cidr cidr;
    struct err error = {0};
    json_t *json =
        load("{\"metadata\":{\"name\":\"kubernetes\"},\"spec\":{\"cidrs\":[\"10.96.0.0/16\",\"fd00::/112\"]}}");
    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(codec_read_service_cidr(&arena, tree_of(&arena, json), &cidr, &error), ERR_OK);
    assert_string_equal(cidr.meta.name, "kubernetes");
    assert_int_equal(cidr.range_count, 2);
    assert_string_equal(cidr.ranges[1], "fd00::/112");
    json_decref(json);
    json = load("{\"metadata\":{\"name\":\"k\"},\"spec\":{\"cidrs\":[7]}}");
    assert_int_equal(codec_read_service_cidr(&arena, tree_of(&arena, json), &cidr, &error), ERR_INVALID);
    assert_non_null(strstr(error.text, "ServiceCIDR k"));
    json_decref(json);
    arena_done(&arena);
}

static void decodes_links(void **state)
{
    (void)state;
    struct arena arena;
    struct link_resource link;
    struct err error = {0};
    json_t *json = load(link_json);
    arena_init(&arena, ARENA_BYTES);
    if (codec_link(&arena, json, &link, &error) != ERR_OK)
        fail_msg("%s", error.text);
    assert_string_equal(link.name, "east");
    assert_string_equal(link.namespace, "linkerd-multicluster");
    assert_int_equal(link.generation, 3);
    assert_string_equal(link.target_cluster_name, "east");
    assert_string_equal(link.target_cluster_domain, "cluster.local");
    assert_string_equal(link.target_cluster_linkerd_namespace, "linkerd");
    assert_string_equal(link.cluster_credentials_secret, "cluster-credentials-east");
    assert_string_equal(link.gateway_address, "192.0.2.1,gw.example");
    assert_string_equal(link.gateway_port, "4143");
    assert_string_equal(link.gateway_identity, "gw.id");
    assert_true(link.has_probe_spec);
    assert_string_equal(link.probe_path, "/ready");
    assert_string_equal(link.probe_port, "4191");
    assert_string_equal(link.probe_period, "3s");
    assert_string_equal(link.probe_failure_threshold, "3");
    assert_string_equal(link.probe_timeout, "30s");
    assert_null(link.selector_error);
    assert_string_equal(selector_format(&arena, &link.selector), "mirror.linkerd.io/exported=true,tier in (a,b),!x");
    assert_true(selector_is_empty(&link.remote_discovery_selector));
    assert_int_equal(link.excluded_annotation_count, 1);
    assert_string_equal(link.excluded_labels[1], "c");
    json_decref(json);

    json = load("{\"metadata\":{\"name\":\"named\",\"annotations\":{\"svcmirror.io/mirror-name\":\"{name}\","
                "\"svcmirror.io/namespace-map\":\"a=b\",\"svcmirror.io/allowed-namespaces\":\"c\"}}}");
    assert_int_equal(codec_link(&arena, json, &link, &error), ERR_OK);
    assert_true(naming_equal(&link.naming, &(struct naming){.name = "{name}", .namespaces = "a=b", .allowed = "c"}));
    json_decref(json);

    json = load("{\"metadata\":{\"name\":\"bare\"}}");
    assert_int_equal(codec_link(&arena, json, &link, &error), ERR_OK);
    assert_null(link.target_cluster_name);
    assert_true(naming_equal(&link.naming, &(struct naming){0}));
    assert_null(link.gateway);
    assert_null(link.gateway_address);
    assert_false(link.has_probe_spec);
    assert_null(link.probe_period);
    assert_true(selector_is_empty(&link.selector));
    json_decref(json);

    json = load("{\"metadata\":{\"name\":\"l\",\"annotations\":{\"svcmirror.io/gateway\":\"a/g\"}}}");
    assert_int_equal(codec_link(&arena, json, &link, &error), ERR_OK);
    assert_string_equal(link.gateway, "a/g");
    json_decref(json);
    arena_done(&arena);
}

/* A selector that cannot be read must neither select everything nor stop the link. */
static void turns_off_selectors_that_cannot_be_read(void **state)
{
    (void)state;
    static const char *const selectors[] = {
        "[]",
        "{\"matchLabels\":{\"a\":1}}",
        "{\"matchLabels\":[]}",
        "{\"matchExpressions\":[1]}",
        "{\"matchLabels\":{\"a\":\"b\"},\"matchExpressions\":[{\"key\":\"k\",\"operator\":\"Like\"}]}",
        "{\"matchExpressions\":[{\"key\":\"k\",\"operator\":\"In\",\"values\":[true]}]}",
    };
    for (size_t i = 0; i < ARRAY_COUNT(selectors); i++) {
        struct arena arena;
        struct link_resource link;
        struct err error = {0};
        char text[512];
        (void)snprintf(text, sizeof(text), "{\"metadata\":{\"name\":\"l\"},\"spec\":{\"selector\":%s}}", selectors[i]);
        json_t *json = load(text);
        arena_init(&arena, ARENA_BYTES);
        assert_int_equal(codec_link(&arena, json, &link, &error), ERR_OK);
        assert_non_null(link.selector_error);
        assert_non_null(strstr(link.selector_error, "Link l: field "));
        assert_true(selector_is_empty(&link.selector));
        json_decref(json);
        arena_done(&arena);
    }
}

static void decodes_secrets(void **state)
{
    (void)state;
    struct arena arena;
    struct link_secret secret;
    const char *type = NULL, *kubeconfig = NULL;
    size_t bytes = 0;
    struct err error = {0};
    json_t *json =
        load("{\"metadata\":{\"name\":\"s\",\"namespace\":\"n\",\"annotations\":{"
             "\"mirror.linkerd.io/cluster-name\":\"east\",\"mirror.linkerd.io/remote-cluster-domain\":\"c.l\","
             "\"svcmirror.io/mirror-name\":\"{name}\"}},"
             "\"type\":\"mirror.linkerd.io/remote-kubeconfig\",\"data\":{\"kubeconfig\":\"YTogMQ==\","
             "\"other\":\"*\"}}");
    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(codec_secret(&arena, json, &secret, &type, &kubeconfig, &bytes, &error), ERR_OK);
    assert_string_equal(type, L5D_SECRET_TYPE);
    assert_string_equal(kubeconfig, "a: 1");
    assert_int_equal(bytes, 4);
    assert_string_equal(secret.cluster_name, "east");
    assert_string_equal(secret.cluster_domain, "c.l");
    assert_null(secret.linkerd_namespace);
    assert_string_equal(secret.naming.name, "{name}");
    json_decref(json);

    json = load("{\"metadata\":{\"name\":\"s\"}}");
    assert_int_equal(codec_secret(&arena, json, &secret, &type, &kubeconfig, &bytes, &error), ERR_OK);
    assert_string_equal(type, "");
    assert_null(kubeconfig);
    json_decref(json);

    json = load("{\"metadata\":{\"name\":\"s\"},\"data\":{\"kubeconfig\":\"YQBiAA==\"}}");
    assert_int_equal(codec_secret(&arena, json, &secret, &type, &kubeconfig, &bytes, &error), ERR_OK);
    assert_int_equal(bytes, 4);
    assert_int_equal(strlen(kubeconfig), bytes);
    json_decref(json);
    arena_done(&arena);
}

static const char import_json[] =
    "{\"apiVersion\":\"multicluster.x-k8s.io/v1beta1\",\"kind\":\"ServiceImport\",\"metadata\":{\"namespace\":\"demo\","
    "\"name\":\"web\",\"uid\":\"u\",\"resourceVersion\":\"7\",\"labels\":{\"a\":\"b\"}},\"spec\":{\"type\":"
    "\"ClusterSetIP\","
    "\"ips\":[\"10.96.0.1\",\"fd00::1\"],\"sessionAffinity\":\"ClientIP\",\"sessionAffinityConfig\":{\"clientIP\":{"
    "\"timeoutSeconds\":30}},\"ports\":[{\"name\":\"http\",\"port\":80,\"appProtocol\":\"h2c\"},{\"name\":\"dns\","
    "\"protocol\":\"UDP\",\"port\":53}]},\"status\":{\"clusters\":[{\"cluster\":\"east\"},{\"cluster\":\"north\"}]}}";

static void decodes_service_imports(void **state)
{
    (void)state;
    struct arena arena;
    struct service import;
    json_t *json = load(import_json);
    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(codec_import(&arena, json, &import, NULL), ERR_OK);
    assert_true(import.is_import && !import.headless);
    assert_string_equal(import.cluster_ip, "10.96.0.1,fd00::1");
    assert_string_equal(import.clusters, "east,north");
    assert_int_equal(import.affinity_s, 30);
    assert_int_equal(import.port_count, 2);
    assert_string_equal(import.ports[0].app_protocol, "h2c");
    assert_string_equal(import.ports[0].target_port, "");
    assert_int_equal(import.ports[1].protocol, PROTOCOL_UDP);
    struct service *copy = service_copy(&import);
    json_decref(json);
    assert_string_equal(copy->clusters, "east,north");
    mem_free(copy);
    /* One that says next to nothing. */
    json = load("{\"metadata\":{\"name\":\"n\"},\"spec\":{\"type\":\"Headless\",\"ports\":[]}}");
    assert_int_equal(codec_import(&arena, json, &import, NULL), ERR_OK);
    assert_true(import.is_import && import.headless);
    assert_string_equal(import.cluster_ip, "");
    assert_string_equal(import.clusters, "");
    json_decref(json);
    arena_done(&arena);
}

/* ---- what is refused ---- */

enum type { SERVICE, IMPORT, SLICE, NAMESPACE, LINK, SECRET };

static enum err_code decode(enum type type, struct arena *arena, const json_t *json, struct err *reterr)
{
    union {
        struct service service;
        struct slice slice;
        struct namespace_object namespace;
        struct link_resource link;
        struct link_secret secret;
    } made;
    const char *text = NULL, *kind = NULL;
    const struct json_tree *tree = NULL;
    size_t bytes = 0;
    switch (type) {
    case SERVICE:
        return codec_service(arena, json, &made.service, reterr);
    case IMPORT:
        return codec_import(arena, json, &made.service, reterr);
    case SLICE:
        return codec_slice(arena, json, &made.slice, reterr);
    case NAMESPACE:
        return json_tree_of(arena, json, &tree) == ERR_OK ? codec_read_namespace(arena, tree, &made.namespace, reterr)
                                                          : ERR_NOMEM;
    case LINK:
        return codec_link(arena, json, &made.link, reterr);
    case SECRET:
        break;
    }
    return codec_secret(arena, json, &made.secret, &kind, &text, &bytes, reterr);
}

struct refusal {
    enum type type;
    const char *json, *words;
};

#define M "\"metadata\":{\"name\":\"n\",\"namespace\":\"s\"}"

static void names_the_field_that_is_wrong(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {SERVICE, "[]", "Service: not a JSON object"},
        {SERVICE, "{}", "metadata.name is not set"},
        {SERVICE, "{\"metadata\":[]}", "field metadata is not an object"},
        {SERVICE, "{\"metadata\":{\"name\":1}}", "field name is not a string"},
        {SERVICE, "{\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":1}}}", "Service n: field labels is not a map"},
        {SERVICE, "{\"metadata\":{\"name\":\"n\",\"annotations\":[]}}", "field annotations is not an object"},
        {SERVICE, "{\"metadata\":{\"name\":\"n\",\"creationTimestamp\":\"now\"}}",
         "field creationTimestamp is not a time"},
        {SERVICE, "{" M ",\"spec\":1}", "Service s/n: field spec is not an object"},
        {SERVICE, "{" M ",\"spec\":{\"ports\":{}}}", "field ports is not a list"},
        {SERVICE, "{" M ",\"spec\":{\"ports\":[1]}}", "field ports is not a list of objects"},
        {SERVICE, "{" M ",\"spec\":{\"ports\":[{\"port\":\"80\"}]}}", "field port is not a port number"},
        {SERVICE, "{" M ",\"spec\":{\"ports\":[{\"port\":70000}]}}", "field port is not a port number"},
        {SERVICE, "{" M ",\"spec\":{\"ports\":[{\"port\":-1}]}}", "field port is not a port number"},
        {SERVICE, "{" M ",\"spec\":{\"ports\":[{\"port\":1,\"targetPort\":true}]}}", "field targetPort"},
        {SERVICE, "{" M ",\"spec\":{\"ports\":[{\"protocol\":\"QUIC\"}]}}", "field protocol is not TCP, UDP or SCTP"},
        {SERVICE, "{" M ",\"spec\":{\"externalIPs\":[1]}}", "field externalIPs is not a list of strings"},
        {SERVICE, "{" M ",\"spec\":{\"externalIPs\":\"1\"}}", "field externalIPs is not a list"},
        {SERVICE, "{" M ",\"status\":{\"loadBalancer\":{\"ingress\":[\"1\"]}}}", "field ingress"},
        {IMPORT, "{" M ",\"spec\":{\"ips\":[1]}}", "ServiceImport s/n: field ips is not a list of strings"},
        {IMPORT, "{" M ",\"spec\":{\"type\":1}}", "ServiceImport s/n: field type is not a string"},
        {IMPORT, "{" M ",\"spec\":{\"ports\":[{\"port\":0.5}]}}", "field port is not a port number"},
        {IMPORT, "{" M ",\"status\":{\"clusters\":[\"a\"]}}", "field clusters is not a list of objects"},
        {IMPORT, "{" M ",\"status\":{\"clusters\":[{\"cluster\":1}]}}", "field cluster is not a string"},
        {SLICE, "{" M "}", "field addressType is not IPv4, IPv6 or FQDN"},
        {SLICE, "{" M ",\"addressType\":\"IPX\"}", "field addressType"},
        {SLICE, "{" M ",\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":\"a\"}]}", "field addresses"},
        {SLICE, "{" M ",\"addressType\":\"IPv4\",\"endpoints\":[{\"conditions\":{\"ready\":1}}]}", "field ready"},
        {SLICE, "{" M ",\"addressType\":\"IPv4\",\"ports\":[{\"port\":99999}]}", "field port is"},
        {NAMESPACE, "{" M ",\"status\":{\"phase\":1}}", "Namespace s/n: field phase"},
        {LINK, "{" M ",\"spec\":{\"gatewayPort\":4143}}", "Link s/n: field gatewayPort is not a string"},
        {LINK, "{" M ",\"spec\":{\"probeSpec\":[]}}", "field probeSpec"},
        {LINK, "{" M ",\"spec\":{\"excludedLabels\":[1]}}", "field excludedLabels"},
        {SECRET, "{" M ",\"data\":{\"kubeconfig\":\"*\"}}", "Secret s/n: field data.kubeconfig is not base64"},
        {SECRET, "{" M ",\"data\":{\"kubeconfig\":1}}", "field kubeconfig is not a string"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct arena arena;
        struct err error = {0};
        json_t *json = load(cases[i].json);
        arena_init(&arena, ARENA_BYTES);
        enum err_code code = decode(cases[i].type, &arena, json, &error);
        if (code != ERR_INVALID || strstr(error.text, cases[i].words) == NULL)
            fail_msg("%s: %s: %s", cases[i].json, err_code_name(code), error.text);
        json_decref(json);
        arena_done(&arena);
    }
}

/* ---- encoding ---- */

static void writes_exactly_what_is_needed(void **state)
{
    (void)state;
    const struct kv labels[] = {{"mirror.linkerd.io/cluster-name", "east"}};
    const struct kv annotations[] = {{"q", "\"\\\n\x01\xc3\xa9"}};
    const struct service_port ports[] = {
        {.name = "http", .port = 80, .target_port = "8080", .app_protocol = "h2c"},
        {.name = "",
         .protocol = PROTOCOL_UDP,
         .port = 53,
         .target_port = "53",
         .target_port_is_name = true,
         .app_protocol = "",
         .node_port = 3},
        {.name = "x", .protocol = PROTOCOL_SCTP, .port = 1, .target_port = "", .app_protocol = ""},
    };
    struct service service = {.meta = {.namespace = "demo",
                                       .name = "web-east",
                                       .uid = "",
                                       .resource_version = "",
                                       .labels = {labels, 1},
                                       .annotations = {annotations, 1},
                                       .owner_uid = ""},
                              .cluster_ip = "",
                              .ports = ports,
                              .port_count = 3};
    struct strbuf body;
    strbuf_init(&body, BODY_BYTES);
    codec_write_service(&body, &service);
    assert_string_equal(
        strbuf_text(&body),
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web-east\",\"namespace\":\"demo\","
        "\"labels\":{\"mirror.linkerd.io/"
        "cluster-name\":\"east\"},\"annotations\":{\"q\":\"\\\"\\\\\\u000a\\u0001\xc3\xa9\"}},"
        "\"spec\":{\"type\":\"ClusterIP\",\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":80,"
        "\"targetPort\":8080,\"appProtocol\":\"h2c\"},{\"protocol\":\"UDP\",\"port\":53,\"targetPort\":\"53\"},"
        "{\"name\":\"x\",\"protocol\":\"SCTP\",\"port\":1}]}}");

    service.headless = true;
    service.port_count = 0;
    service.meta.labels.count = service.meta.annotations.count = 0;
    strbuf_clear(&body);
    codec_write_service(&body, &service);
    assert_string_equal(
        strbuf_text(&body),
        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"web-east\","
        "\"namespace\":\"demo\"},\"spec\":{\"type\":\"ClusterIP\",\"clusterIP\":\"None\",\"ports\":[]}}");

    const struct namespace_object namespace = {
        .meta = {.namespace = "", .name = "demo", .uid = "", .resource_version = "", .labels = {labels, 1}}};
    strbuf_clear(&body);
    codec_write_namespace(&body, &namespace);
    assert_string_equal(strbuf_text(&body),
                        "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":\"demo\","
                        "\"labels\":{\"mirror.linkerd.io/cluster-name\":\"east\"}}}");
    strbuf_done(&body);
}

static void writes_slices(void **state)
{
    (void)state;
    const struct kv labels[] = {{K8S_MANAGED_BY, SLICE_MANAGED_BY}, {K8S_SERVICE_NAME, "web-east"}};
    const struct slice_endpoint endpoints[] = {
        {.address = "192.0.2.1", .hostname = "", .zone = "", .ready = true, .serving = true},
        {.address = "192.0.2.2", .hostname = "b", .zone = "", .ready = false}};
    const struct slice_port ports[] = {{.name = "http", .port = 4143, .app_protocol = ""},
                                       {.name = "", .protocol = PROTOCOL_UDP, .app_protocol = "x"}};
    struct slice slice = {.meta = {.namespace = "demo",
                                   .name = "web-east-1",
                                   .uid = "",
                                   .resource_version = "",
                                   .labels = {labels, 2},
                                   .owner_uid = "6f1d"},
                          .service_name = "web-east",
                          .managed_by = SLICE_MANAGED_BY,
                          .endpoints = endpoints,
                          .endpoint_count = 2,
                          .ports = ports,
                          .port_count = 2};
    struct strbuf body;
    strbuf_init(&body, BODY_BYTES);
    codec_write_slice(&body, &slice);
    assert_string_equal(
        strbuf_text(&body),
        "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"web-east-1\","
        "\"namespace\":\"demo\",\"labels\":{\"endpointslice.kubernetes.io/managed-by\":\"svcmirror\","
        "\"kubernetes.io/service-name\":\"web-east\"},\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Service\","
        "\"name\":\"web-east\",\"uid\":\"6f1d\"}]},\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":[\"192.0.2."
        "1\"],"
        "\"conditions\":{\"ready\":true}},{\"addresses\":[\"192.0.2.2\"],\"conditions\":{\"ready\":false},"
        "\"hostname\":\"b\"}],\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":4143},"
        "{\"name\":\"\",\"protocol\":\"UDP\",\"appProtocol\":\"x\"}]}");

    slice.meta.uid = "77";
    slice.meta.resource_version = "9";
    slice.meta.owner_uid = "";
    slice.meta.labels.count = 0;
    slice.address_type = ADDRESS_IPV6;
    slice.endpoint_count = slice.port_count = 0;
    strbuf_clear(&body);
    codec_write_slice(&body, &slice);
    assert_string_equal(strbuf_text(&body),
                        "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":"
                        "\"web-east-1\",\"namespace\":\"demo\",\"uid\":\"77\",\"resourceVersion\":\"9\"},"
                        "\"addressType\":\"IPv6\",\"endpoints\":[],\"ports\":[]}");
    strbuf_done(&body);
}

static void patches_only_differences(void **state)
{
    (void)state;
    const struct kv old_labels[] = {{"a", "1"}, {"b", "2"}, {"c", "3"}};
    const struct kv new_labels[] = {{"a", "1"}, {"b", "x"}, {"d", "4"}};
    const struct service_port port = {.name = "p", .port = 1, .target_port = "2", .app_protocol = ""};
    struct service_port named = port;
    named.target_port_is_name = true;
    const struct service old = {
        .meta = {.namespace = "n", .name = "s", .uid = "u", .resource_version = "7", .labels = {old_labels, 3}},
        .ports = &port,
        .port_count = 1};
    struct service wanted = old;
    struct strbuf body;
    strbuf_init(&body, BODY_BYTES);
    codec_write_service_patch(&body, &old, &wanted);
    assert_string_equal(strbuf_text(&body), "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"7\"}}");
    strbuf_clear(&body);
    wanted.meta.labels = (struct kv_list){new_labels, 3};
    codec_write_service_patch(&body, &old, &wanted);
    assert_string_equal(strbuf_text(&body), "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"7\","
                                            "\"labels\":{\"b\":\"x\",\"d\":\"4\",\"c\":null}}}");
    strbuf_clear(&body);
    wanted.meta.labels = old.meta.labels;
    wanted.ports = &named;
    codec_write_service_patch(&body, &old, &wanted);
    assert_string_equal(strbuf_text(&body),
                        "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"7\"},\"spec\":{\"ports\":[{\"name\":\"p\","
                        "\"protocol\":\"TCP\",\"port\":1,\"targetPort\":\"2\"}]}}");
    strbuf_clear(&body);
    wanted.port_count = 0;
    codec_write_service_patch(&body, &old, &wanted);
    assert_string_equal(strbuf_text(&body), "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"7\"},"
                                            "\"spec\":{\"ports\":[]}}");
    /* What somebody put on the mirror to lead traffic elsewhere goes; the ports are right and stay unnamed. */
    strbuf_clear(&body);
    struct service sticky = old;
    sticky.affinity_s = 60;
    codec_write_service_patch(&body, &old, &sticky);
    assert_string_equal(
        strbuf_text(&body),
        "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"7\"},\"spec\":{\"sessionAffinity\":\"ClientIP\","
        "\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":60}}}}");
    strbuf_clear(&body);
    codec_write_service_patch(&body, &sticky, &old);
    assert_string_equal(
        strbuf_text(&body),
        "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"7\"},\"spec\":{\"sessionAffinity\":\"None\","
        "\"sessionAffinityConfig\":null}}");
    strbuf_clear(&body);
    struct service diverted = old;
    diverted.type = SERVICE_NODE_PORT;
    diverted.has_selector = true;
    diverted.external_ip_count = 1;
    codec_write_service_patch(&body, &diverted, &old);
    assert_string_equal(
        strbuf_text(&body),
        "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"7\"},\"spec\":{\"type\":\"ClusterIP\","
        "\"externalName\":null,\"loadBalancerSourceRanges\":null,\"selector\":null,\"externalIPs\":null}}");
    strbuf_done(&body);
}

/* docs/mirrors.md: it stays behind, and where somebody set it on a mirror it is theirs. */
static void traffic_distribution_is_not_carried_along(void **state)
{
    static const char *const values[] = {"PreferClose", "PreferSameZone", "PreferSameNode"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(values); i++) {
        struct arena arena;
        struct strbuf body;
        struct service service;
        struct err error = {0};
        char text[256];
        arena_init(&arena, ARENA_BYTES);
        strbuf_init(&body, BODY_BYTES);
        (void)snprintf(text, sizeof(text),
                       "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"n\",\"name\":\"s\"},\"spec\":{"
                       "\"trafficDistribution\":\"%s\",\"ports\":[{\"port\":80}]}}",
                       values[i]);
        json_t *json = load(text);
        assert_int_equal(codec_service(&arena, json, &service, &error), ERR_OK);
        codec_write_service(&body, &service);
        assert_non_null(strstr(strbuf_text(&body), "\"port\":80"));
        assert_null(strstr(strbuf_text(&body), "trafficDistribution"));
        strbuf_clear(&body);
        struct service wanted = service;
        wanted.affinity_s = 60;
        codec_write_service_patch(&body, &service, &wanted);
        assert_non_null(strstr(strbuf_text(&body), "sessionAffinity"));
        assert_null(strstr(strbuf_text(&body), "trafficDistribution"));
        json_decref(json);
        strbuf_done(&body);
        arena_done(&arena);
    }
}

#define IMPORT_PORTS "\"ports\":[{\"name\":\"http\",\"protocol\":\"TCP\",\"port\":80}]"

static void writes_service_imports(void **state)
{
    (void)state;
    const struct kv labels[] = {{"a", "b"}};
    const struct service_port port = {.name = "http", .port = 80, .target_port = "", .app_protocol = ""};
    const struct service old = {.meta = {.namespace = "demo", .name = "web", .uid = "u", .resource_version = "7"}};
    struct service wanted = {
        .meta = {.namespace = "demo", .name = "web", .uid = "", .resource_version = "", .labels = {labels, 1}},
        .is_import = true,
        .cluster_ip = "10.96.0.1",
        .clusters = "east",
        .ports = &port,
        .port_count = 1};
    struct strbuf body;
    strbuf_init(&body, BODY_BYTES);
    codec_write_import(&body, "v1alpha1", &wanted);
    assert_string_equal(strbuf_text(&body),
                        "{\"apiVersion\":\"multicluster.x-k8s.io/v1alpha1\",\"kind\":\"ServiceImport\",\"metadata\":{"
                        "\"name\":\"web\",\"namespace\":\"demo\",\"labels\":{\"a\":\"b\"}},\"spec\":{\"type\":"
                        "\"ClusterSetIP\",\"ips\":[\"10.96.0.1\"],\"sessionAffinity\":\"None\"," IMPORT_PORTS "}}");
    strbuf_clear(&body);
    wanted.affinity_s = 30;
    codec_write_import_patch(&body, &old, &wanted);
    assert_string_equal(strbuf_text(&body),
                        "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"7\",\"labels\":{\"a\":\"b\"}},\"spec\":{"
                        "\"type\":\"ClusterSetIP\",\"ips\":[\"10.96.0.1\"],\"sessionAffinity\":\"ClientIP\","
                        "\"sessionAffinityConfig\":{\"clientIP\":{\"timeoutSeconds\":30}}," IMPORT_PORTS "}}");
    strbuf_clear(&body);
    wanted.affinity_s = 0;
    wanted.headless = true;
    wanted.cluster_ip = "";
    codec_write_import_patch(&body, &old, &wanted);
    assert_string_equal(
        strbuf_text(&body),
        "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"7\",\"labels\":{\"a\":\"b\"}},\"spec\":{"
        "\"type\":\"Headless\",\"ips\":null,\"sessionAffinity\":\"None\",\"sessionAffinityConfig\":null," IMPORT_PORTS
        "}}");
    strbuf_clear(&body);
    codec_write_import_status(&body, &old, &wanted);
    assert_string_equal(
        strbuf_text(&body),
        "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"7\"},\"status\":{\"clusters\":[{\"cluster\":"
        "\"east\"}]}}");
    strbuf_done(&body);
}

static void writes_preconditions(void **state)
{
    (void)state;
    static const struct {
        const char *uid, *version, *preconditions;
    } cases[] = {{"u", "v", "{\"uid\":\"u\",\"resourceVersion\":\"v\"}"},
                 {"u", "", "{\"uid\":\"u\"}"},
                 {"", "v", "{\"resourceVersion\":\"v\"}"},
                 {"", "", "{}"}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct strbuf body;
        char expected[256];
        strbuf_init(&body, BODY_BYTES);
        codec_write_delete_options(&body, cases[i].uid, cases[i].version);
        (void)snprintf(expected, sizeof(expected),
                       "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"propagationPolicy\":\"Background\","
                       "\"preconditions\":%s}",
                       cases[i].preconditions);
        assert_string_equal(strbuf_text(&body), expected);
        strbuf_done(&body);
    }
}

static void endpoints_read_back_as_they_were_written(void **state)
{
    (void)state;
    static const struct slice_endpoint endpoints[] = {
        {.address = "10.0.0.1", .hostname = "db-0", .ready = true, .serving = true},
        {.address = "fd00::1", .hostname = "", .ready = false}};
    static const struct slice_port ports[] = {{.name = "pg", .port = 5432, .app_protocol = ""}};
    const struct slice wanted = {
        .meta = {.namespace = "n", .name = "db-east", .uid = "u", .resource_version = "7", .owner_uid = "o"},
        .is_endpoints = true,
        .service_name = "db-east",
        .managed_by = "",
        .endpoints = endpoints,
        .endpoint_count = 2,
        .ports = ports,
        .port_count = 1};
    struct arena arena;
    struct strbuf body;
    struct slice again;
    struct err error = {0};
    arena_init(&arena, ARENA_BYTES);
    strbuf_init(&body, BODY_BYTES);
    codec_write_endpoints(&body, &wanted);
    assert_string_equal(strbuf_text(&body),
                        "{\"apiVersion\":\"v1\",\"kind\":\"Endpoints\",\"metadata\":{\"name\":\"db-east\","
                        "\"namespace\":\"n\",\"uid\":\"u\","
                        "\"resourceVersion\":\"7\",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Service\","
                        "\"name\":\"db-east\","
                        "\"uid\":\"o\"}]},\"subsets\":[{\"addresses\":[{\"ip\":\"10.0.0.1\",\"hostname\":\"db-0\"}],"
                        "\"notReadyAddresses\":[{"
                        "\"ip\":\"fd00::1\"}],\"ports\":[{\"name\":\"pg\",\"protocol\":\"TCP\",\"port\":5432}]}]}");
    json_t *json = load(strbuf_text(&body));
    assert_int_equal(codec_endpoints(&arena, json, &again, &error), ERR_OK);
    assert_true(again.is_endpoints && !again.irregular);
    assert_string_equal(again.meta.owner_uid, "o");
    assert_int_equal(again.endpoint_count, 2);
    assert_string_equal(again.endpoints[0].hostname, "db-0");
    assert_true(again.endpoints[0].ready && !again.endpoints[1].ready);
    assert_string_equal(again.endpoints[1].address, "fd00::1");
    assert_int_equal(again.ports[0].port, 5432);
    json_decref(json);
    /* No subset without addresses; several subsets are told, and all of their addresses. */
    strbuf_clear(&body);
    struct slice empty = wanted;
    empty.endpoint_count = 0;
    codec_write_endpoints(&body, &empty);
    assert_null(strstr(strbuf_text(&body), "subsets"));
    json = load(
        "{\"metadata\":{\"name\":\"e\"},\"subsets\":[{\"addresses\":[{\"ip\":\"10.0.0.1\"}]},"
        "{\"addresses\":[{\"ip\":\"10.0.0.2\",\"hostname\":\"b\"}],\"notReadyAddresses\":[{\"ip\":\"10.0.0.3\"}]}]}");
    assert_int_equal(codec_endpoints(&arena, json, &again, &error), ERR_OK);
    assert_true(again.irregular);
    assert_int_equal(again.endpoint_count, 3);
    assert_string_equal(again.endpoints[1].hostname, "b");
    assert_true(again.endpoints[0].subset == 0 && again.endpoints[1].subset == 1 && again.endpoints[2].subset == 1);
    assert_true(again.endpoints[1].ready && !again.endpoints[2].ready);
    json_decref(json);
    json = load("{\"metadata\":{\"name\":\"e\"},\"subsets\":[{\"addresses\":[{\"ip\":7}]}]}");
    assert_int_equal(codec_endpoints(&arena, json, &again, &error), ERR_INVALID);
    json_decref(json);
    strbuf_done(&body);
    arena_done(&arena);
}

static void ports_are_those_of_their_subset(void **state)
{
    (void)state;
    struct arena arena;
    struct slice endpoints;
    arena_init(&arena, ARENA_BYTES);
    json_t *json = load("{\"metadata\":{\"name\":\"e\"},\"subsets\":["
                        "{\"addresses\":[{\"ip\":\"10.0.0.1\"}],\"ports\":[{\"name\":\"http\",\"port\":80}]},"
                        "{\"addresses\":[{\"ip\":\"10.0.0.2\"}],\"ports\":[{\"name\":\"http\",\"port\":81},"
                        "{\"name\":\"dns\",\"port\":53,\"protocol\":\"UDP\"}]}]}");
    assert_int_equal(codec_endpoints(&arena, json, &endpoints, NULL), ERR_OK);
    static const struct slice_port expected[] = {{"http", "", PROTOCOL_TCP, 80, 0},
                                                 {"http", "", PROTOCOL_TCP, 81, 1},
                                                 {"dns", "", PROTOCOL_UDP, 53, 1}};
    assert_int_equal(endpoints.port_count, ARRAY_COUNT(expected));
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        assert_string_equal(endpoints.ports[i].name, expected[i].name);
        assert_int_equal(endpoints.ports[i].protocol, expected[i].protocol);
        assert_int_equal(endpoints.ports[i].port, expected[i].port);
        assert_int_equal(endpoints.ports[i].subset, expected[i].subset);
    }
    json_decref(json);
    arena_done(&arena);
}

/* Serving counts as ready, and terminating as false, where they are absent: only what is otherwise is written. */
static void conditions_and_zones_are_written_and_read_back(void **state)
{
    (void)state;
    static const struct slice_endpoint endpoints[] = {
        {.address = "10.0.0.1", .hostname = "", .zone = "a", .ready = true, .serving = true},
        {.address = "10.0.0.2", .hostname = "", .zone = "", .ready = false, .serving = true, .terminating = true},
        {.address = "10.0.0.3", .hostname = "", .zone = "", .ready = true, .serving = false},
        {.address = "10.0.0.4", .hostname = "", .zone = "", .ready = false, .serving = false, .terminating = true}};
    const struct slice slice = {
        .meta = {.namespace = "n", .name = "s", .uid = "", .resource_version = "", .owner_uid = ""},
        .service_name = "",
        .managed_by = "",
        .endpoints = endpoints,
        .endpoint_count = ARRAY_COUNT(endpoints)};
    struct arena arena;
    struct strbuf body;
    struct slice again;
    arena_init(&arena, ARENA_BYTES);
    strbuf_init(&body, BODY_BYTES);
    codec_write_slice(&body, &slice);
    assert_non_null(strstr(strbuf_text(&body), "\"conditions\":{\"ready\":true},\"zone\":\"a\"}"));
    assert_non_null(strstr(strbuf_text(&body), "{\"ready\":false,\"serving\":true,\"terminating\":true}"));
    assert_non_null(strstr(strbuf_text(&body), "{\"ready\":true,\"serving\":false}"));
    assert_non_null(strstr(strbuf_text(&body), "{\"ready\":false,\"terminating\":true}"));
    json_t *json = load(strbuf_text(&body));
    assert_int_equal(codec_slice(&arena, json, &again, NULL), ERR_OK);
    assert_false(again.irregular);
    for (size_t i = 0; i < ARRAY_COUNT(endpoints); i++) {
        assert_string_equal(again.endpoints[i].zone, endpoints[i].zone);
        assert_int_equal(again.endpoints[i].ready, endpoints[i].ready);
        assert_int_equal(again.endpoints[i].serving, endpoints[i].serving);
        assert_int_equal(again.endpoints[i].terminating, endpoints[i].terminating);
    }
    json_decref(json);
    strbuf_done(&body);
    arena_done(&arena);
}

/* What is written reads back as the same, whatever the server added to it. */
static void reads_back_what_it_wrote(void **state)
{
    (void)state;
    struct arena arena;
    struct service first, second;
    struct slice slice, slice_again;
    struct strbuf body;
    arena_init(&arena, ARENA_BYTES);
    strbuf_init(&body, BODY_BYTES);
    json_t *json = load(service_json), *slice_in = load(slice_json);
    assert_int_equal(codec_service(&arena, json, &first, NULL), ERR_OK);
    codec_write_service(&body, &first);
    json_t *again = load(strbuf_text(&body));
    assert_int_equal(codec_service(&arena, again, &second, NULL), ERR_OK);
    assert_true(kv_equal(&first.meta.labels, &second.meta.labels));
    assert_true(kv_equal(&first.meta.annotations, &second.meta.annotations));
    assert_int_equal(first.port_count, second.port_count);
    strbuf_clear(&body);
    codec_write_service_patch(&body, &first, &second);
    assert_null(strstr(strbuf_text(&body), "ports"));
    json_decref(again);

    assert_int_equal(codec_slice(&arena, slice_in, &slice, NULL), ERR_OK);
    strbuf_clear(&body);
    codec_write_slice(&body, &slice);
    again = load(strbuf_text(&body));
    assert_int_equal(codec_slice(&arena, again, &slice_again, NULL), ERR_OK);
    struct strbuf second_body;
    strbuf_init(&second_body, BODY_BYTES);
    codec_write_slice(&second_body, &slice_again);
    assert_string_equal(strbuf_text(&second_body), strbuf_text(&body));
    strbuf_done(&second_body);
    json_decref(again);
    json_decref(json);
    json_decref(slice_in);
    strbuf_done(&body);
    arena_done(&arena);
}

/* ---- memory ---- */

struct sweep_case {
    enum type type;
    const char *text;
};

static enum err_code sweep_decode(void *context)
{
    const struct sweep_case *sweep_case = context;
    struct arena arena;
    json_t *json = json_loads(sweep_case->text, 0, NULL);
    if (json == NULL)
        return ERR_NOMEM;
    arena_init(&arena, ARENA_BYTES);
    enum err_code code = decode(sweep_case->type, &arena, json, NULL);
    json_decref(json);
    arena_done(&arena);
    return code;
}

static enum err_code sweep_write(void *context)
{
    struct strbuf body;
    strbuf_init(&body, BODY_BYTES);
    codec_write_service(&body, context);
    codec_write_service_patch(&body, context, context);
    enum err_code code = strbuf_error(&body);
    strbuf_done(&body);
    return code;
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    struct sweep_case cases[] = {
        {SERVICE, service_json},
        {IMPORT, import_json},
        {SLICE, slice_json},
        {LINK, link_json},
        {NAMESPACE, "{\"metadata\":{\"name\":\"n\",\"labels\":{\"a\":\"b\"}}}"},
        {SECRET, "{\"metadata\":{\"name\":\"n\"},\"data\":{\"kubeconfig\":\"YTogMQ==\"}}"},
    };
    kube_setup();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_true(sweep(sweep_decode, &cases[i]) > 2);
    struct arena arena;
    struct service service;
    json_t *json = load(service_json);
    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(codec_service(&arena, json, &service, NULL), ERR_OK);
    assert_true(sweep(sweep_write, &service) > 0);
    json_decref(json);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_services),
        cmocka_unit_test(fills_in_what_the_api_defaults),
        cmocka_unit_test(decodes_metadata_of_any_kind),
        cmocka_unit_test(decodes_namespaces),
        cmocka_unit_test(decodes_service_cidrs),
        cmocka_unit_test(decodes_links),
        cmocka_unit_test(endpoints_read_back_as_they_were_written),
        cmocka_unit_test(ports_are_those_of_their_subset),
        cmocka_unit_test(conditions_and_zones_are_written_and_read_back),
        cmocka_unit_test(turns_off_selectors_that_cannot_be_read),
        cmocka_unit_test(decodes_secrets),
        cmocka_unit_test(names_the_field_that_is_wrong),
        cmocka_unit_test(writes_exactly_what_is_needed),
        cmocka_unit_test(writes_slices),
        cmocka_unit_test(patches_only_differences),
        cmocka_unit_test(traffic_distribution_is_not_carried_along),
        cmocka_unit_test(decodes_service_imports),
        cmocka_unit_test(writes_service_imports),
        cmocka_unit_test(writes_preconditions),
        cmocka_unit_test(reads_back_what_it_wrote),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
