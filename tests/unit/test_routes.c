/* links: agent_admin */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>

#include "agent/admin/routes.h"
#include "base/mem.h"
#include "tests/unit/admin_client.h"
#include "tests/unit/fake_source.h"

static struct routes_context context;
static struct admin_server *server;

static int start(void **state)
{
    (void)state;
    struct err error = {0};
    context = (struct routes_context){.loop = loop_new(), .metrics = metrics_new(), .source = &fake_source};
    fake_is_ready = true;
    if (admin_server_new(context.loop, "127.0.0.1:0", routes, &context, &server, &error) != ERR_OK)
        fail_msg("%s", error.text);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    admin_server_free(server);
    metrics_free(context.metrics);
    loop_free(context.loop);
    return 0;
}

static void assert_get(const char *path, const char *status, const char *content_type, const char *body)
{
    char header[128];
    char *reply = admin_client_get(context.loop, server, path);
    if (strstr(reply, status) == NULL)
        fail_msg("%s: expected %s, got: %s", path, status, reply);
    (void)snprintf(header, sizeof(header), "Content-Type: %s\r\n", content_type);
    assert_non_null(strstr(reply, header));
    if (body != NULL)
        assert_string_equal(admin_client_body(reply), body);
    mem_free(reply);
}

/* @return the decoded answer, new reference. */
static json_t *get_json(const char *path)
{
    json_error_t where;
    char *reply = admin_client_get(context.loop, server, path);
    assert_non_null(strstr(reply, "Content-Type: application/json\r\n"));
    json_t *json = json_loads(admin_client_body(reply), JSON_REJECT_DUPLICATES, &where);
    if (json == NULL)
        fail_msg("%s: %s in %s", path, where.text, reply);
    mem_free(reply);
    return json;
}

static void assert_json(const json_t *actual, const char *expected_text)
{
    json_t *expected = json_loads(expected_text, 0, NULL);
    assert_non_null(expected);
    if (!json_equal(actual, expected)) {
        char *text = json_dumps(actual, JSON_INDENT(2));
        fail_msg("expected %s, got %s", expected_text, text);
    }
    json_decref(expected);
}

#define TEXT "text/plain; charset=utf-8"

static void probes_of_the_pod(void **state)
{
    (void)state;
    assert_get("/ping", "200 OK", TEXT, "pong\n");
    assert_get("/live", "200 OK", TEXT, "ok\n");
    assert_get("/ready", "200 OK", TEXT, "ok\n");
    fake_is_ready = false;
    assert_get("/ready", "503 Service Unavailable", TEXT, "link <west>: not listed yet\n");
    assert_get("/live", "200 OK", TEXT, "ok\n");
    context.source = NULL;
    assert_get("/ready", "503 Service Unavailable", TEXT, "the agent is starting\n");
}

static void the_exposition(void **state)
{
    (void)state;
    metric_set(metric_get(metrics_register(context.metrics, METRIC_GAUGE, "x", "X.", NULL, NULL, 0)), 3);
    assert_get("/metrics", "200 OK", "text/plain; version=0.0.4; charset=utf-8", "# HELP x X.\n# TYPE x gauge\nx 3\n");
}

static void the_page(void **state)
{
    (void)state;
    assert_get("/", "200 OK", "text/html; charset=utf-8", NULL);
}

static void what_the_page_needs(void **state)
{
    (void)state;
    assert_get("/page.css", "200 OK", "text/css; charset=utf-8", NULL);
    assert_get("/page.js", "200 OK", "text/javascript; charset=utf-8", NULL);
    assert_get("/icon.svg", "200 OK", "image/svg+xml", NULL);
    char *reply = admin_client_get(context.loop, server, "/page.js");
    assert_non_null(strstr(admin_client_body(reply), "\"use strict\";"));
    const char *end = reply + strlen(reply) - strlen("})();\n");
    assert_string_equal(end, "})();\n"); /* whole */
    mem_free(reply);
}

/* What the address asks for reaches the page. */
static void the_page_of_a_query(void **state)
{
    (void)state;
    static const struct {
        const char *path, *shown, *hidden;
    } CASES[] = {
        {"/?q=CART+east", "shop/cart-east", "default/qotm-east"},
        {"/?q=not%20ours", "default/web-west", "lab/x-west"},
        {"/?mirrored=true", "shop/cart-east", "lab/x-west"},
        {"/?mirrored=&q=", "shop/cart-east", "No service"},
        {"/?namespace=lab", "service west lab/x", "service west default/web"},
        {"/?page=2", "page.css", "page 1 of"},
        {"/?page=x&refresh", "http-equiv", "page 1 of"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char *reply = admin_client_get(context.loop, server, CASES[i].path);
        if (strstr(reply, CASES[i].shown) == NULL || strstr(reply, CASES[i].hidden) != NULL)
            fail_msg("%s: %s", CASES[i].path, reply);
        mem_free(reply);
    }
}

static void gateways_whole(void **state)
{
    (void)state;
    json_t *gateways = get_json("/api/v1/gateways");
    assert_int_equal(json_array_size(gateways), 3);
    assert_json(json_array_get(gateways, 0),
                "{\"clusterName\":\"east\",\"alive\":true,\"numberOfServices\":12,\"latency\":3,"
                "\"verdict\":\"alive\",\"reason\":\"OK\",\"advice\":null,\"since\":\"2026-08-20T07:56:56.000000Z\","
                "\"problem\":null,\"warning\":null,\"gatewayNamespace\":\"ambassador\",\"gatewayName\":\"ambassador\","
                "\"linkKind\":\"Secret\",\"linkName\":\"cluster-credentials-east\",\"exists\":true,\"drained\":false,"
                "\"port\":4143,"
                "\"identity\":\"ambassador.ambassador.serviceaccount.identity.linkerd.cluster.local\",\"probed\":true,"
                "\"probePort\":80,\"probePath\":\"/-/ambassador/ready\",\"probePeriodMs\":3000,\"probeTimeoutMs\":5000,"
                "\"failureThreshold\":1,\"addresses\":[{\"ip\":\"192.0.2.10\",\"verdict\":\"alive\",\"reason\":\"OK\","
                "\"detail\":null,\"advice\":null,\"httpStatus\":200,\"since\":\"2026-08-20T07:56:56.000000Z\","
                "\"lastProbe\":\"2026-08-21T09:59:59.000000Z\",\"latencyMs\":2.345,\"latencyP50Ms\":2.100,"
                "\"latencyP95Ms\":3.900,\"latencyP99Ms\":12.000,\"probes\":31261,\"failures\":0},"
                "{\"ip\":\"2001:db8::10\",\"verdict\":\"dead\",\"reason\":\"ConnectionRefused\","
                "\"detail\":\"connect: Connection refused\","
                "\"advice\":\"nothing listens on port 80 there: is the gateway's pod running?\",\"httpStatus\":null,"
                "\"since\":\"2026-08-21T09:58:45.000000Z\",\"lastProbe\":\"2026-08-21T09:59:58.000000Z\","
                "\"latencyMs\":null,\"latencyP50Ms\":null,\"latencyP95Ms\":null,\"latencyP99Ms\":null,"
                "\"probes\":30,\"failures\":25}]}");
    json_decref(gateways);
}

/* `linkerd multicluster gateways -o json` has these keys, in this order. */
static void linkerds_keys_come_first(void **state)
{
    (void)state;
    char *reply = admin_client_get(context.loop, server, "/api/v1/gateways");
    assert_non_null(
        strstr(reply, "[\n  {\"clusterName\":\"east\",\"alive\":true,\"numberOfServices\":12,\"latency\":3,"));
    assert_non_null(
        strstr(reply, "\n  {\"clusterName\":\"west\",\"alive\":false,\"numberOfServices\":2,\"latency\":null,"));
    mem_free(reply);
}

static void links_whole(void **state)
{
    (void)state;
    json_t *links = get_json("/api/v1/links");
    assert_int_equal(json_array_size(links), 3);
    assert_json(json_array_get(links, 0),
                "{\"clusterName\":\"east\",\"kind\":\"Secret\",\"name\":\"cluster-credentials-east\","
                "\"clusterDomain\":\"cluster.local\",\"server\":\"https://192.0.2.1:6443\",\"apiReachable\":true,"
                "\"synced\":true,\"drained\":true,\"problem\":null,\"warning\":null,\"holder\":\"pod-1_a\",\"held\":"
                "true,\"eventAgeMs\":12345,"
                "\"credentialsExpire\":\"2026-09-20T10:00:00.000000Z\",\"exportedServices\":2,\"mirroredServices\":2,"
                "\"namespace\":\"linkerd-multicluster\",\"refused\":false}");
    /* The same keys for a declaration that is refused. */
    assert_json(json_array_get(links, 2),
                "{\"clusterName\":null,\"kind\":\"Link\",\"name\":\"broken\",\"clusterDomain\":null,\"server\":null,"
                "\"apiReachable\":null,\"synced\":null,\"drained\":null,\"problem\":\"spec.targetClusterName "
                "\\\"<x>\\\" is not a name\","
                "\"warning\":null,\"holder\":null,\"held\":null,\"eventAgeMs\":null,\"credentialsExpire\":null,"
                "\"exportedServices\":null,"
                "\"mirroredServices\":null,\"namespace\":\"linkerd-multicluster\",\"refused\":true}");
    json_decref(links);
}

static void services_whole(void **state)
{
    (void)state;
    json_t *services = get_json("/api/v1/services");
    assert_int_equal(json_array_size(services), 4);
    assert_json(json_array_get(services, 2),
                "{\"clusterName\":\"west\",\"namespace\":\"default\",\"name\":\"web\",\"mirror\":\"default/"
                "web-west\",\"mode\":\"gateway\","
                "\"gateway\":\"linkerd-multicluster/linkerd-gateway\",\"mirrored\":false,\"reason\":\"NameTaken\","
                "\"message\":\"Service default/web-west exists and is not ours: <b>rename</b> \\\"it\\\" & retry\","
                "\"endpoints\":0,\"readyEndpoints\":0,\"lastTransition\":\"2026-08-21T09:59:01.000000Z\"}");
    json_decref(services);
}

static void lists_are_filtered(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t count;
    } CASES[] = {
        {"/api/v1/gateways?cluster=west", 2},
        {"/api/v1/gateways?cluster=east", 1},
        {"/api/v1/gateways?cluster=nowhere", 0},
        {"/api/v1/gateways?cluster=", 3},
        {"/api/v1/links?cluster=west", 1},
        {"/api/v1/services?cluster=east", 2},
        {"/api/v1/services?namespace=default", 2},
        {"/api/v1/services?namespace=default&cluster=east", 1},
        {"/api/v1/services?mirrored=false", 2},
        {"/api/v1/services?mirrored=true&namespace=lab", 0},
        {"/api/v1/services?unknown=1", 4},
        {"/api/v1/services?mirrored=&cluster=", 4},
        {"/api/v1/services?q=QOTM", 1},
        {"/api/v1/services?q=shop/ca+east", 1},
        {"/api/v1/services?q=east&namespace=shop", 1},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        json_t *list = get_json(CASES[i].path);
        if (json_array_size(list) != CASES[i].count)
            fail_msg("%s has %zu entries", CASES[i].path, json_array_size(list));
        json_decref(list);
    }
    assert_get("/api/v1/links?cluster=nowhere", "200 OK", "application/json", "[]\n");
}

static void lists_before_the_start(void **state)
{
    (void)state;
    context.source = NULL;
    assert_get("/api/v1/gateways", "200 OK", "application/json", "[]\n");
    assert_get("/api/v1/links", "200 OK", "application/json", "[]\n");
    assert_get("/api/v1/services", "200 OK", "application/json", "[]\n");
    assert_get("/", "200 OK", "text/html; charset=utf-8", NULL);
}

#define SERVED(test) cmocka_unit_test_setup_teardown(test, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(probes_of_the_pod),
        SERVED(the_exposition),
        SERVED(the_page),
        SERVED(what_the_page_needs),
        SERVED(the_page_of_a_query),
        SERVED(gateways_whole),
        SERVED(linkerds_keys_come_first),
        SERVED(links_whole),
        SERVED(services_whole),
        SERVED(lists_are_filtered),
        SERVED(lists_before_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
