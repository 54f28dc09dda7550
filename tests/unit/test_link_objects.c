/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/commands/link_account.h"
#include "agent/commands/link_objects.h"
#include "agent/kube/setup.h"
#include "base/mem.h"
#include "tests/unit/sweep.h"
#include "version.h"

static const char *const ADDRESSES[] = {"192.0.2.10", "gw.example.com"};
static const struct gateway_spec GATEWAY = {
    .exists = true,
    .namespace = "edge",
    .name = "ambassador",
    .addresses = ADDRESSES,
    .address_count = 2,
    .port = 4143,
    .identity = "id.example",
    .probe = {.enabled = true, .path = "-/ambassador/ready", .port = 80, .period_ms = 2500, .failure_threshold = 3},
    .problem = "",
    .warning = "",
};

/* Parses the selectors of a command line into `arena`. */
static struct link_facts make_facts(struct arena *arena)
{
    struct link_facts facts = {.cluster_name = "east",
                               .namespace = "l5d-mc",
                               .cluster_domain = "cluster.local",
                               .linkerd_namespace = "linkerd",
                               .trust_domain = "example.org",
                               .kubeconfig = "x",
                               .linkerd_kubeconfig = "y",
                               .version = "v1alpha3",
                               .gateway = &GATEWAY,
                               .excluded_labels = "a,b/*",
                               .headless = true};
    assert_int_equal(selector_parse(arena, "exported=true", &facts.selector, NULL), ERR_OK);
    assert_int_equal(selector_parse(arena, "a in (b,c),!d,e,f!=g,h=i,h=j", &facts.remote_discovery_selector, NULL),
                     ERR_OK);
    return facts;
}

/* Compares with text in which ' stands for ". */
static void assert_object(json_t *object, const char *expected)
{
    char *quoted = mem_strdup(expected);
    assert_non_null(quoted);
    for (char *at = quoted; *at != '\0'; at++)
        *at = *at == '\'' ? '"' : *at;
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    assert_string_equal(text != NULL ? text : "none", quoted);
    mem_free(text);
    mem_free(quoted);
}

static void a_link_has_credentials_and_others_for_linkerd(void **state)
{
    (void)state;
    struct arena arena;
    json_t *objects = NULL;
    arena_init(&arena, 1 << 20);
    struct link_facts facts = make_facts(&arena);
    assert_int_equal(link_objects_link(&facts, &objects, NULL), ERR_OK);
    assert_int_equal(json_array_size(objects), 3);
    assert_object(
        json_array_get(objects, 0),
        "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'cluster-credentials-east','namespace':'l5d-mc',"
        "'labels':{'app.kubernetes.io/managed-by':'svcmirror'}},'type':'mirror.linkerd.io/remote-kubeconfig',"
        "'data':{'kubeconfig':'eA=='}}");
    assert_object(
        json_array_get(objects, 1),
        "{'apiVersion':'v1','kind':'Secret','metadata':{'name':'cluster-credentials-east','namespace':'linkerd',"
        "'labels':{'app.kubernetes.io/managed-by':'svcmirror','multicluster.linkerd.io/cluster-name':'east'},"
        "'annotations':{'multicluster.linkerd.io/cluster-domain':'cluster.local',"
        "'multicluster.linkerd.io/trust-domain':'example.org'}},'type':'mirror.linkerd.io/remote-kubeconfig',"
        "'data':{'kubeconfig':'eQ=='}}");
    assert_object(
        json_array_get(objects, 2),
        "{'apiVersion':'multicluster.linkerd.io/v1alpha3','kind':'Link','metadata':{'name':'east','namespace':'l5d-mc',"
        "'labels':{'app.kubernetes.io/managed-by':'svcmirror'},"
        "'annotations':{'linkerd.io/created-by':'svcmirror/cli " SVCMIRROR_VERSION "'}},"
        "'spec':{'targetClusterName':'east','targetClusterDomain':'cluster.local','targetClusterLinkerdNamespace':'"
        "linkerd',"
        "'clusterCredentialsSecret':'cluster-credentials-east','gatewayAddress':'192.0.2.10,gw.example.com',"
        "'gatewayPort':'4143','gatewayIdentity':'id.example',"
        "'probeSpec':{'path':'/-/ambassador/ready','port':'80','period':'2.5s'},"
        "'selector':{'matchLabels':{'exported':'true'}},"
        "'remoteDiscoverySelector':{'matchLabels':{'h':'i'},'matchExpressions':["
        "{'key':'a','operator':'In','values':['b','c']},{'key':'d','operator':'DoesNotExist'},"
        "{'key':'e','operator':'Exists'},{'key':'f','operator':'NotIn','values':['g']},"
        "{'key':'h','operator':'In','values':['j']}]},"
        "'federatedServiceSelector':{},'excludedLabels':['a','b/*']}}");
    json_decref(objects);
    arena_done(&arena);
}

/* Of a gateway that is followed only what was asked for stands in fields. */
static void a_gateway_that_is_followed(void **state)
{
    (void)state;
    static const struct {
        uint32_t addresses;
        uint16_t port;
        const char *wanted; /* fields, in order */
    } CASES[] = {{0, 0, "selector "},
                 {2, 0, "gatewayAddress selector "},
                 {0, 4200, "gatewayPort selector "},
                 {2, 4200, "gatewayAddress gatewayPort selector "}};
    static const char *const FIELDS[] = {"gatewayAddress", "gatewayPort", "gatewayIdentity", "probeSpec", "selector"};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct link_facts facts = make_facts(&arena);
        struct gateway_spec gateway = GATEWAY;
        json_t *objects = NULL;
        char found[200] = "";
        gateway.address_count = CASES[i].addresses;
        gateway.port = CASES[i].port;
        facts.gateway = &gateway;
        facts.gateway_service = "edge/ambassador";
        assert_int_equal(link_objects_link(&facts, &objects, NULL), ERR_OK);
        const json_t *link = json_array_get(objects, 2);
        for (size_t j = 0; j < ARRAY_COUNT(FIELDS); j++)
            if (json_object_get(json_object_get(link, "spec"), FIELDS[j]) != NULL)
                (void)snprintf(found + strlen(found), sizeof(found) - strlen(found), "%s ", FIELDS[j]);
        assert_string_equal(found, CASES[i].wanted);
        assert_string_equal(json_string_value(
                                json_object_get(json_object_get(json_object_get(link, "metadata"), "annotations"),
                                                "svcmirror.io/gateway")),
                            "edge/ambassador");
        json_decref(objects);
    }
    arena_done(&arena);
}

static void older_versions_and_fewer_parts(void **state)
{
    (void)state;
    static const struct {
        const char *version;
        bool federated, excluded;
    } CASES[] = {{"v1alpha1", false, false}, {"v1alpha2", true, false}, {"v1alpha3", true, true}};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct link_facts facts = make_facts(&arena);
        json_t *objects = NULL;
        facts.version = CASES[i].version;
        facts.trust_domain = NULL;
        facts.gateway = NULL;
        facts.headless = false;
        assert_int_equal(link_objects_link(&facts, &objects, NULL), ERR_OK);
        assert_int_equal(json_array_size(objects), 2); /* none for Linkerd */
        const json_t *link = json_array_get(objects, 1), *spec = json_object_get(link, "spec");
        assert_int_equal(json_object_get(spec, "federatedServiceSelector") != NULL, CASES[i].federated);
        assert_int_equal(json_object_get(spec, "excludedLabels") != NULL, CASES[i].excluded);
        assert_null(json_object_get(spec, "gatewayAddress"));
        assert_null(json_object_get(spec, "selector"));
        assert_string_equal(json_string_value(
                                json_object_get(json_object_get(json_object_get(link, "metadata"), "annotations"),
                                                "svcmirror.io/headless")),
                            "false");
        json_decref(objects);
    }
    arena_done(&arena);
}

static void a_gateway_without_probe_has_no_probe_spec(void **state)
{
    (void)state;
    struct arena arena;
    json_t *objects = NULL;
    struct gateway_spec gateway = GATEWAY;
    arena_init(&arena, 1 << 20);
    struct link_facts facts = make_facts(&arena);
    gateway.probe.enabled = false;
    facts.gateway = &gateway;
    assert_int_equal(link_objects_link(&facts, &objects, NULL), ERR_OK);
    const json_t *spec = json_object_get(json_array_get(objects, 2), "spec");
    assert_non_null(json_object_get(spec, "gatewayPort"));
    assert_null(json_object_get(spec, "probeSpec"));
    json_decref(objects);
    arena_done(&arena);
}

static void the_secret_of_2_8_says_all_in_annotations(void **state)
{
    (void)state;
    const struct link_facts facts = {.cluster_name = "east",
                                     .namespace = "l5d-mc",
                                     .cluster_domain = "east.local",
                                     .linkerd_namespace = "linkerd",
                                     .kubeconfig = "x"};
    json_t *objects = NULL;
    assert_int_equal(link_objects_secret(&facts, &objects, NULL), ERR_OK);
    assert_object(
        objects,
        "[{'apiVersion':'v1','kind':'Secret','metadata':{'name':'cluster-credentials-east','namespace':'l5d-mc',"
        "'labels':{'app.kubernetes.io/managed-by':'svcmirror'},'annotations':{'mirror.linkerd.io/cluster-name':'east',"
        "'mirror.linkerd.io/remote-cluster-domain':'east.local','mirror.linkerd.io/remote-cluster-l5d-ns':'linkerd'}},"
        "'type':'mirror.linkerd.io/remote-kubeconfig','data':{'kubeconfig':'eA=='}}]");
    json_decref(objects);
}

static void a_kubeconfig_has_everything_inline(void **state)
{
    (void)state;
    struct link_access access = {.cluster_name = "east",
                                 .server = "https://192.0.2.1:6443",
                                 .ca_pem = "PEM",
                                 .tls_server_name = "kubernetes",
                                 .proxy_url = "http://proxy:3128",
                                 .token = "t.o.k"};
    char *text = NULL;
    assert_int_equal(link_objects_kubeconfig(&access, &text, NULL), ERR_OK);
    assert_string_equal(
        text, "apiVersion: v1\nkind: Config\nclusters:\n- name: east\n  cluster:\n"
              "    server: \"https://192.0.2.1:6443\"\n    certificate-authority-data: UEVN\n"
              "    tls-server-name: kubernetes\n    proxy-url: \"http://proxy:3128\"\ncontexts:\n- name: east\n"
              "  context:\n    cluster: east\n    user: svcmirror\ncurrent-context: east\nusers:\n"
              "- name: svcmirror\n  user:\n    token: t.o.k\n");
    mem_free(text);
    access = (struct link_access){.cluster_name = "east",
                                  .server = "https://x",
                                  .insecure_skip_tls_verify = true,
                                  .token = "t"};
    assert_int_equal(link_objects_kubeconfig(&access, &text, NULL), ERR_OK);
    assert_non_null(strstr(text, "    server: \"https://x\"\n    insecure-skip-tls-verify: true\ncontexts:"));
    mem_free(text);
}

static void what_was_written_can_be_read(void **state)
{
    (void)state;
    const struct link_access access = {.cluster_name = "y", .server = "https://192.0.2.1:6443", .token = "t.o.k"};
    struct arena arena;
    struct kubeconfig config;
    struct err error = {0};
    char *text = NULL;
    arena_init(&arena, 1 << 20);
    assert_int_equal(link_objects_kubeconfig(&access, &text, NULL), ERR_OK);
    if (kubeconfig_parse(&arena, text, strlen(text), NULL, KUBECONFIG_TARGET, NULL, &config, &error) != ERR_OK)
        fail_msg("%s", error.text);
    assert_string_equal(config.context_name, "y");
    assert_string_equal(config.server, access.server);
    assert_string_equal(config.token, access.token);
    mem_free(text);
    arena_done(&arena);
}

static void an_account_has_what_it_needs_in_order(void **state)
{
    (void)state;
    static const struct {
        struct link_account account;
        const char *kinds;
    } CASES[] = {
        {{.with_namespace = true, .with_token = true},
         "Namespace ServiceAccount ClusterRole ClusterRoleBinding Secret "},
        {{.with_token = true}, "ServiceAccount ClusterRole ClusterRoleBinding Secret "},
        {{.with_endpoints = true}, "ServiceAccount ClusterRole ClusterRoleBinding "},
        {{.with_renewal = true}, "ServiceAccount ClusterRole ClusterRoleBinding Role RoleBinding "},
        {{.with_renewal = true, .with_linkerd = true},
         "ServiceAccount ClusterRole ClusterRoleBinding Role RoleBinding "
         "ServiceAccount ClusterRole ClusterRoleBinding Secret "},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct link_account account = CASES[i].account;
        account.name = "a";
        account.namespace = "n";
        char kinds[256] = "";
        json_t *objects = link_account_objects(&account), *object = NULL;
        size_t index = 0;
        json_array_foreach(objects, index, object)
        {
            strncat(kinds, json_string_value(json_object_get(object, "kind")), 64);
            strncat(kinds, " ", 2);
        }
        assert_string_equal(kinds, CASES[i].kinds);
        json_decref(objects);
    }
}

static void endpoints_are_read_only_where_asked_for(void **state)
{
    (void)state;
    const struct link_account account = {.name = "a", .namespace = "n", .with_endpoints = true};
    json_t *objects = link_account_objects(&account);
    assert_object(
        json_object_get(json_array_get(objects, 1), "rules"),
        "[{'apiGroups':[''],'resources':['services','endpoints'],'verbs':['get','list','watch']},"
        "{'apiGroups':['discovery.k8s.io'],'resources':['endpointslices'],'verbs':['get','list','watch']},"
        "{'apiGroups':['multicluster.x-k8s.io'],'resources':['serviceexports'],'verbs':['get','list','watch']},"
        "{'apiGroups':[''],'resources':['configmaps'],'resourceNames':['linkerd-identity-trust-roots'],'verbs':['get']}"
        "]");
    json_decref(objects);
}

static void linkerds_account_has_linkerds_rights(void **state)
{
    (void)state;
    const struct link_account account = {.name = "a", .namespace = "n", .with_linkerd = true};
    json_t *objects = link_account_objects(&account), *secret = json_array_get(objects, 6);
    assert_object(json_object_get(json_array_get(objects, 4), "rules"),
                  "[{'apiGroups':[''],'resources':['pods','services','endpoints'],'verbs':['get','list','watch']},"
                  "{'apiGroups':['apps'],'resources':['replicasets'],'verbs':['get','list','watch']},"
                  "{'apiGroups':['batch'],'resources':['jobs'],'verbs':['get','list','watch']},"
                  "{'apiGroups':['discovery.k8s.io'],'resources':['endpointslices'],'verbs':['get','list','watch']},"
                  "{'apiGroups':['policy.linkerd.io'],'resources':['servers'],'verbs':['get','list','watch']}]");
    assert_object(json_object_get(json_array_get(objects, 5), "subjects"),
                  "[{'kind':'ServiceAccount','name':'a-for-linkerd','namespace':'n'}]");
    assert_object(json_object_get(json_object_get(secret, "metadata"), "annotations"),
                  "{'kubernetes.io/service-account.name':'a-for-linkerd'}");
    json_decref(objects);
}

static enum err_code make_everything(void *context)
{
    struct link_facts facts = *(const struct link_facts *)context;
    const struct link_account account = {.name = "a",
                                         .namespace = "n",
                                         .with_namespace = true,
                                         .with_token = true,
                                         .with_endpoints = true,
                                         .with_renewal = true,
                                         .with_linkerd = true};
    const struct link_access access = {.cluster_name = "east", .server = "https://x", .ca_pem = "PEM", .token = "t"};
    json_t *link = NULL, *secret = NULL, *objects = link_account_objects(&account);
    facts.renew_token = "720h";
    char *text = NULL;
    enum err_code code = objects != NULL ? ERR_OK : ERR_NOMEM;
    if (code == ERR_OK)
        code = link_objects_kubeconfig(&access, &text, NULL);
    if (code == ERR_OK)
        code = link_objects_link(&facts, &link, NULL);
    if (code == ERR_OK)
        code = link_objects_secret(&facts, &secret, NULL);
    if (code == ERR_OK) { /* nothing may be left out silently */
        assert_non_null(strstr(text, "UEVN"));
        assert_int_equal(json_array_size(objects), 11);
        assert_non_null(json_object_get(json_object_get(json_array_get(objects, 6), "metadata"), "annotations"));
        assert_int_equal(json_array_size(link), 5); /* the rights before the Link */
        assert_int_equal(json_object_size(
                             json_object_get(json_object_get(json_array_get(link, 0), "metadata"), "annotations")),
                         1);
        assert_int_equal(json_array_size(secret), 3);
        assert_int_equal(json_array_size(
                             json_object_get(json_object_get(json_object_get(json_array_get(link, 4), "spec"),
                                                             "remoteDiscoverySelector"),
                                             "matchExpressions")),
                         5);
        assert_int_equal(json_object_size(
                             json_object_get(json_object_get(json_array_get(secret, 0), "metadata"), "annotations")),
                         4);
        assert_int_equal(json_object_size(json_object_get(json_array_get(link, 4), "spec")), 12);
    }
    mem_free(text);
    json_decref(secret);
    json_decref(link);
    json_decref(objects);
    return code;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct link_facts facts = make_facts(&arena);
    (void)sweep(make_everything, &facts);
    arena_done(&arena);
}

int main(void)
{
    kube_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_has_credentials_and_others_for_linkerd),
        cmocka_unit_test(a_gateway_that_is_followed),
        cmocka_unit_test(older_versions_and_fewer_parts),
        cmocka_unit_test(a_gateway_without_probe_has_no_probe_spec),
        cmocka_unit_test(the_secret_of_2_8_says_all_in_annotations),
        cmocka_unit_test(a_kubeconfig_has_everything_inline),
        cmocka_unit_test(what_was_written_can_be_read),
        cmocka_unit_test(an_account_has_what_it_needs_in_order),
        cmocka_unit_test(endpoints_are_read_only_where_asked_for),
        cmocka_unit_test(linkerds_account_has_linkerds_rights),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
