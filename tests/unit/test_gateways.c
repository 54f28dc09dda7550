/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/gateways.c: what is told of gateways that cannot be used, and when. */
#include "tests/unit/control_bench.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define SERVICE(name, version, annotations, ports, ingress)                                                            \
    "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"" name "\",\"resourceVersion\":\"" version  \
    "\",\"annotations\":{" annotations "}},\"spec\":{\"ports\":[" ports                                                \
    "]},\"status\":{\"loadBalancer\":{\"ingress\":[" ingress "]}}}"
#define EXPORTED(name)                                                                                                 \
    SERVICE(name, "1", "\"mirror.linkerd.io/gateway-name\":\"gw\",\"mirror.linkerd.io/gateway-ns\":\"demo\"",          \
            "{\"name\":\"http\",\"port\":80}", "")
#define GATEWAY_PORT "{\"name\":\"mc-gateway\",\"port\":4143}"
#define PROBE_PORT "{\"name\":\"mc-probe\",\"port\":8080}"
#define PERIOD(text) ",\"mirror.linkerd.io/probe-period\":\"" text "\""
#define GATEWAY(version, more, ports, ingress)                                                                         \
    SERVICE("gw", version,                                                                                             \
            "\"mirror.linkerd.io/multicluster-gateway\":\"true\",\"mirror.linkerd.io/probe-path\":\"/ready\"" more,    \
            ports, ingress)

#define LABELS "{target_cluster_name=\"east\",gateway_namespace=\"demo\",gateway_name=\"gw\"}"

#define PROBES(namespace)                                                                                              \
    "gateway_probes{target_cluster_name=\"east\",gateway_namespace=\"" namespace "\",gateway_name=\"gw\","             \
                                                                                 "probe_successful=\"true\"}"
#define ADDRESS_ALIVE(namespace)                                                                                       \
    "svcmirror_gateway_address_alive{target_cluster_name=\"east\",gateway_namespace=\"" namespace "\",gateway_name="   \
                                                                                                  "\"gw\",address="    \
                                                                                                  "\"10.0.0.1\"}"

static const char usable[] = "svcmirror_gateway_usable" LABELS;
static const struct probe_observation ok = {.end = PROBE_ANSWERED, .status = 200, .latency_us = 1500};
static const struct probe_observation refused = {.end = PROBE_REFUSED};
static const char good[] = GATEWAY("9", "", GATEWAY_PORT "," PROBE_PORT, "{\"ip\":\"10.0.0.1\"}");

static void open_target(struct bench *bench, const char *services)
{
    bench_init(bench, false);
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", bench_secret("a", "east", NULL, 0));
    (void)bench_serve(bench, BENCH_SERVICES, "Service", services);
    assert_int_equal(bench_start(bench), ERR_OK);
}

static void a_missing_gateway_is_told_once_and_so_is_its_coming(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench, EXPORTED("web"));
    assert_int_equal(bench_event_count(&bench, "GatewayNotFound"), 1);
    const struct bench_event *event = bench_event(&bench, "GatewayNotFound");
    assert_string_equal(event->type, "Warning");
    assert_string_equal(event->regarding, "a");
    assert_non_null(strstr(event->note, "demo/gw"));
    assert_true(bench_metric(&bench, usable) == 0);
    bench_tell(&bench, BENCH_SERVICES, "ADDED", EXPORTED("more"));
    bench_advance(&bench, 31000);
    assert_int_equal(bench_event_count(&bench, "GatewayNotFound"), 1);
    assert_int_equal(event->repeats, 0);
    bench_tell(&bench, BENCH_SERVICES, "ADDED", good);
    assert_int_equal(bench_event_count(&bench, "GatewayUsable"), 1);
    assert_string_equal(bench_event(&bench, "GatewayUsable")->type, "Normal");
    assert_true(bench_metric(&bench, usable) == 1);
    bench_tell(&bench, BENCH_SERVICES, "DELETED", good);
    bench_tell(&bench, BENCH_SERVICES, "DELETED", EXPORTED("web"));
    assert_true(bench_metric(&bench, usable) == 0);
    bench_tell(&bench, BENCH_SERVICES, "DELETED", EXPORTED("more"));
    assert_true(bench_metric(&bench, usable) == -1);
    bench_done(&bench);
}

/* The exported service comes before its gateway in the list, and the list is cut in between. */
static void a_listing_in_progress_is_no_alarm(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench, EXPORTED("a") "," EXPORTED("b") "," GATEWAY("9", "", GATEWAY_PORT "," PROBE_PORT,
                                                                    "{\"ip\":\"10.0.0.1\"}") "," EXPORTED("z"));
    assert_int_equal(bench_event_count(&bench, "GatewayNotFound"), 0);
    assert_int_equal(bench_event_count(&bench, "GatewayUsable"), 0);
    assert_true(bench_metric(&bench, usable) == 1);
    bench_done(&bench);

    bench_init(&bench, false);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "east", NULL, 0));
    bench_serve(&bench, BENCH_SERVICES, "Service", "")->begin_only = EXPORTED("web");
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 5000);
    assert_int_equal(bench_event_count(&bench, "GatewayNotFound"), 0);
    assert_true(bench_metric(&bench, usable) == -1);
    bench_done(&bench);
}

static void what_a_gateway_lacks_is_told(void **state)
{
    (void)state;
    static const struct {
        const char *gateway, *words;
    } cases[] = {
        {GATEWAY("2", "", GATEWAY_PORT "," PROBE_PORT, ""), "no load balancer address"},
        {GATEWAY("2", "", PROBE_PORT, "{\"ip\":\"10.0.0.1\"}"), "no port named mc-gateway"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        open_target(&bench, EXPORTED("web"));
        bench_tell(&bench, BENCH_SERVICES, "ADDED", cases[i].gateway);
        assert_int_equal(bench_event_count(&bench, "GatewayUnusable"), 1);
        assert_non_null(strstr(bench_event(&bench, "GatewayUnusable")->note, cases[i].words));
        assert_true(bench_metric(&bench, usable) == 0);
        bench_tell(&bench, BENCH_SERVICES, "MODIFIED", good);
        assert_int_equal(bench_event_count(&bench, "GatewayUsable"), 1);
        bench_done(&bench);
    }
}

static void a_name_that_does_not_resolve_is_told(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench, EXPORTED("web") "," GATEWAY("2", "", GATEWAY_PORT "," PROBE_PORT,
                                                    "{\"hostname\":\"a.example\"},{\"hostname\":\"b.example\"}"));
    bench_resolve("a.example", NULL);
    bench_advance(&bench, 0);
    assert_int_equal(bench_event_count(&bench, "GatewayUnresolved"), 0); /* the other name's answer is still to come */
    bench_resolve("b.example", "10.0.0.2");
    bench_advance(&bench, 0);
    assert_int_equal(bench_event_count(&bench, "GatewayUnresolved"), 1);
    assert_non_null(strstr(bench_event(&bench, "GatewayUnresolved")->note, "a.example"));
    assert_true(bench_metric(&bench, usable) == 0);
    for (unsigned i = 0; i < 4; i++) { /* asked again, with the same answers */
        bench_advance(&bench, 8000);
        bench_resolve("b.example", "10.0.0.2");
        bench_resolve("a.example", NULL);
    }
    bench_advance(&bench, 8000);
    assert_int_equal(bench_event_count(&bench, "GatewayUnresolved"), 1);
    assert_int_equal(bench_event(&bench, "GatewayUnresolved")->repeats, 0);
    bench_advance(&bench, 30000);
    bench_resolve("a.example", "10.0.0.1");
    bench_advance(&bench, 0);
    assert_int_equal(bench_event_count(&bench, "GatewayUsable"), 1);
    assert_true(bench_metric(&bench, usable) == 1);
    bench_done(&bench);
}

#define SLICE(name, label, endpoint)                                                                                   \
    "{\"kind\":\"EndpointSlice\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"" name                                \
    "\",\"resourceVersion\":\"7\",\"labels\":{\"mirror.linkerd.io/mirrored-service\":\"true\","                        \
    "\"kubernetes.io/service-name\":\"" name "\",\"mirror.linkerd.io/cluster-name\":\"east\"," label                   \
    "}},\"addressType\":\"IPv4\",\"endpoints\":[" endpoint "]}"
#define THROUGH(gateway)                                                                                               \
    "\"mirror.linkerd.io/remote-gateway-name\":\"" gateway "\",\"mirror.linkerd.io/remote-gateway-ns\":\"demo\""
#define ENDPOINT(ip) "{\"addresses\":[\"" ip "\"]}"

/* Nothing probes it, so its own mirror is not there to remember its addresses: other mirrors do. */
static void an_unprobed_gateways_name_that_does_not_resolve_at_a_start_keeps_its_addresses(void **state)
{
    static const struct {
        const char *what, *slices;
        uint32_t addresses;
    } cases[] = {
        {"no mirror yet", "", 1},
        {"a mirror through it", SLICE("web-east", THROUGH("gw"), ENDPOINT("10.0.0.1") "," ENDPOINT("10.0.0.2")), 2},
        {"the first one is empty",
         SLICE("a-east", THROUGH("gw"), "") "," SLICE("web-east", THROUGH("gw"), ENDPOINT("10.0.0.1")), 2},
        {"through another one", SLICE("web-east", THROUGH("other"), ENDPOINT("10.0.0.1")), 1},
        {"another gateway's own mirror",
         SLICE("gw-east", "\"mirror.linkerd.io/mirrored-gateway\":\"true\"", ENDPOINT("10.0.0.1")), 1},
        {"a headless mirror, of other mirrors",
         SLICE("db-east", THROUGH("gw"), "{\"addresses\":[\"10.96.0.1\"],\"hostname\":\"db-0\"}"), 1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        bench_init(&bench, false);
        (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "east", NULL, 0));
        (void)bench_serve(&bench, "/apis/discovery.k8s.io/v1/endpointslices?", "EndpointSlice", cases[i].slices);
        (void)bench_serve(&bench, BENCH_SERVICES, "Service",
                          GATEWAY("2", "", GATEWAY_PORT, "{\"hostname\":\"a.example\"},{\"hostname\":\"b.example\"}"));
        assert_int_equal(bench_start(&bench), ERR_OK);
        bench_resolve("a.example", NULL);
        bench_resolve("b.example", "10.0.0.2");
        bench_advance(&bench, 0);
        struct gateway_info info = bench_gateway(&bench);
        if (info.address_count != cases[i].addresses)
            fail_msg("%s: %u addresses", cases[i].what, info.address_count);
        for (uint32_t j = 0; j < info.address_count; j++)
            assert_string_equal(info.addresses[j].verdict, "alive");
        /* It resolves: what it says counts alone. */
        bench_advance(&bench, 1000);
        bench_resolve("a.example", "10.0.0.9");
        bench_advance(&bench, 0);
        info = bench_gateway(&bench);
        assert_int_equal(info.address_count, 2);
        assert_string_equal(info.addresses[1].ip, "10.0.0.9");
        bench_done(&bench);
    }
}

static void a_link_needs_a_gateway_only_for_services(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, true);
    (void)bench_serve(
        &bench, BENCH_LINKS, "Link",
        "{\"metadata\":{\"namespace\":\"mc\",\"name\":\"east\",\"uid\":\"u\"},\"spec\":{\"targetClusterName\":"
        "\"east\",\"targetClusterDomain\":\"cluster.local\",\"clusterCredentialsSecret\":\"a\","
        "\"selector\":{\"matchLabels\":{\"exported\":\"yes\"}}}}");
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    (void)bench_serve(&bench, BENCH_EXPORTED, "Service", "");
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_int_equal(bench_event_count(&bench, "GatewayUnusable"), 0);
    bench_tell(
        &bench, BENCH_EXPORTED, "ADDED",
        "{\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\",\"resourceVersion\":\"1\",\"labels\":{\"exported\":"
        "\"yes\"}},\"spec\":{\"ports\":[{\"port\":80}]}}");
    assert_int_equal(bench_event_count(&bench, "GatewayUnusable"), 1);
    assert_string_equal(bench_event(&bench, "GatewayUnusable")->regarding, "east");
    bench_done(&bench);
}

static void a_warning_is_told_once_for_each_text(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench, EXPORTED("web"));
    const char *soon = GATEWAY("2", PERIOD("soon"), GATEWAY_PORT "," PROBE_PORT, "{\"ip\":\"10.0.0.1\"}");
    bench_tell(&bench, BENCH_SERVICES, "ADDED", soon);
    bench_tell(&bench, BENCH_SERVICES, "MODIFIED",
               GATEWAY("3", PERIOD("soon"), GATEWAY_PORT "," PROBE_PORT, "{\"ip\":\"10.0.0.2\"}"));
    bench_advance(&bench, 31000);
    assert_true(bench_metric(&bench, "svcmirror_gateway_warning" LABELS) == 1);
    assert_int_equal(bench_event_count(&bench, "GatewayMisconfigured"), 1);
    assert_int_equal(bench_event(&bench, "GatewayMisconfigured")->repeats, 0);
    bench_tell(&bench, BENCH_SERVICES, "MODIFIED",
               GATEWAY("4", PERIOD("later"), GATEWAY_PORT "," PROBE_PORT, "{\"ip\":\"10.0.0.2\"}"));
    assert_int_equal(bench_event_count(&bench, "GatewayMisconfigured"), 2);
    bench_done(&bench);
}

/* ---- the verdict of all addresses together ---- */

static void a_gateway_that_is_not_there_is_not_alive(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench, EXPORTED("web"));
    assert_true(bench_metric(&bench, "gateway_alive" LABELS) == 0);
    assert_true(bench_metric(&bench, "gateway_enabled" LABELS) == 0);
    assert_string_equal(bench_gateway(&bench).verdict, "dead");
    /* It comes without a load balancer, then gets one, at last a probe. */
    bench_tell(&bench, BENCH_SERVICES, "ADDED", SERVICE("gw", "2", "", GATEWAY_PORT, ""));
    assert_true(bench_metric(&bench, "gateway_alive" LABELS) == 0);
    assert_string_equal(bench_gateway(&bench).reason, "NoAddress");
    bench_tell(&bench, BENCH_SERVICES, "MODIFIED", SERVICE("gw", "3", "", GATEWAY_PORT, "{\"ip\":\"10.0.0.1\"}"));
    assert_true(bench_metric(&bench, "gateway_alive" LABELS) == 1);
    assert_true(bench_metric(&bench, "gateway_enabled" LABELS) == 0);
    assert_string_equal(bench_gateway(&bench).verdict, "alive");
    bench_tell(&bench, BENCH_SERVICES, "MODIFIED", good);
    assert_true(bench_metric(&bench, "gateway_alive" LABELS) == 0);
    assert_true(bench_metric(&bench, "gateway_enabled" LABELS) == 1);
    assert_string_equal(bench_gateway(&bench).verdict, "unknown");
    bench_tell(&bench, BENCH_SERVICES, "DELETED", good);
    assert_true(bench_metric(&bench, "gateway_enabled" LABELS) == 0);
    bench_done(&bench);
}

static void a_verdict_is_as_old_as_its_last_change(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, false);
    bench_probes_see("10.0.0.1", &ok);
    bench_probes_see("10.0.0.2", &refused);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "east", NULL, 0));
    (void)bench_serve(&bench, BENCH_SERVICES, "Service",
                      EXPORTED("web") "," GATEWAY("9", "", GATEWAY_PORT "," PROBE_PORT,
                                                  "{\"ip\":\"10.0.0.1\"},{\"ip\":\"10.0.0.2\"}"));
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 10000);
    assert_string_equal(bench_gateway(&bench).verdict, "alive");
    int64_t alive_us = bench_gateway(&bench).since_us;
    /* The one that is alive goes. */
    bench_tell(&bench, BENCH_SERVICES, "MODIFIED",
               GATEWAY("10", "", GATEWAY_PORT "," PROBE_PORT, "{\"ip\":\"10.0.0.2\"}"));
    assert_string_equal(bench_gateway(&bench).verdict, "dead");
    int64_t dead_us = bench_gateway(&bench).since_us;
    assert_true(dead_us == loop_wall_us(bench.loop) && dead_us - alive_us > 9000000);
    /* What changes nothing does not make it younger. */
    bench_advance(&bench, 5000);
    bench_tell(&bench, BENCH_SERVICES, "MODIFIED",
               GATEWAY("11", PERIOD("5"), GATEWAY_PORT "," PROBE_PORT, "{\"ip\":\"10.0.0.2\"}"));
    assert_true(bench_gateway(&bench).since_us == dead_us);
    bench_tell(&bench, BENCH_SERVICES, "DELETED", GATEWAY("11", "", "", ""));
    assert_true(bench_gateway(&bench).since_us == dead_us);
    bench_done(&bench);
}

/* Clusters name their gateways alike: `ambassador` is in all of them. */
static void gateways_of_one_name_have_their_own_addresses(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, false);
    bench_probes_see("10.0.0.1", &ok);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "east", NULL, 0));
    (void)bench_serve(
        &bench, BENCH_SERVICES, "Service",
        GATEWAY(
            "9", "", GATEWAY_PORT "," PROBE_PORT,
            "{\"ip\":\"10.0.0.1\"}") ","
                                     "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"other\",\"name\":\"gw\","
                                     "\"resourceVersion\":\"9\","
                                     "\"annotations\":{\"mirror.linkerd.io/multicluster-gateway\":\"true\","
                                     "\"mirror.linkerd.io/probe-path\":\"/ready\"}},\"spec\":{\"ports\":[" GATEWAY_PORT
                                     "," PROBE_PORT
                                     "]},\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"10.0.0.1\"}]}}}");
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 10000);
    for (unsigned collection = 0; collection < 2; collection++) {
        assert_true(bench_metric(&bench, ADDRESS_ALIVE("demo")) == 1);
        assert_true(bench_metric(&bench, ADDRESS_ALIVE("other")) == 1);
    }
    /* The end of one takes nothing from the other. */
    double probes = bench_metric(&bench, PROBES("demo"));
    assert_true(probes > 0 && bench_metric(&bench, PROBES("other")) > 0);
    bench_tell(
        &bench, BENCH_SERVICES, "DELETED",
        "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"other\",\"name\":\"gw\",\"resourceVersion\":\"10\"}}");
    assert_true(bench_metric(&bench, PROBES("other")) < 0);
    assert_true(bench_metric(&bench, PROBES("demo")) >= probes);
    bench_done(&bench);
}

/* ---- reasons ---- */

static void probed(struct bench *bench, const struct probe_observation *answer)
{
    bench_probes_see("10.0.0.1", answer);
    bench_advance(bench, 10000);
}

static void a_dead_address_with_another_reason_is_told(void **state)
{
    (void)state;
    static const struct probe_observation no_route = {.end = PROBE_ANSWERED, .status = 404, .server = "envoy"};
    struct bench bench;
    open_target(&bench, EXPORTED("web") "," GATEWAY("9", "", GATEWAY_PORT "," PROBE_PORT, "{\"ip\":\"10.0.0.1\"}"));
    probed(&bench, &refused);
    assert_int_equal(bench_event_count(&bench, "GatewayDead"), 1);
    assert_int_equal(bench_event_count(&bench, "GatewayStillDead"), 0);
    probed(&bench, &no_route);
    assert_int_equal(bench_event_count(&bench, "GatewayStillDead"), 1);
    const struct bench_event *event = bench_event(&bench, "GatewayStillDead");
    assert_string_equal(event->type, "Warning");
    assert_non_null(strstr(event->note, "address 10.0.0.1 is still dead"));
    assert_non_null(strstr(event->note, "NoRoute"));
    bench_advance(&bench, 31000);
    assert_int_equal(event->repeats, 0);
    assert_string_equal(bench_gateway(&bench).reason, "NoRoute");
    assert_int_equal(bench_event_count(&bench, "GatewayDead"), 1);
    probed(&bench, &ok);
    assert_int_equal(bench_event_count(&bench, "GatewayAlive"), 1);
    bench_done(&bench);
}

#define AMBASSADOR(version, path)                                                                                      \
    SERVICE("gw", version,                                                                                             \
            "\"mirror.linkerd.io/multicluster-gateway\":\"true\",\"mirror.linkerd.io/probe-path\":\"" path "\"",       \
            GATEWAY_PORT "," PROBE_PORT, "{\"ip\":\"10.0.0.1\"}")

static void another_body_is_a_warning(void **state)
{
    (void)state;
    static const char warning[] = "svcmirror_gateway_warning" LABELS;
    static const struct probe_observation right = {.end = PROBE_ANSWERED,
                                                   .status = 200,
                                                   .server = "envoy",
                                                   .body = "Ambassador is ready and waiting\n"};
    static const struct probe_observation odd = {.end = PROBE_ANSWERED,
                                                 .status = 200,
                                                 .server = "envoy",
                                                 .body = "hello"};
    struct bench bench;
    bench_init(&bench, false);
    bench_probes_see("10.0.0.1", &odd);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "east", NULL, 0));
    (void)bench_serve(&bench, BENCH_SERVICES, "Service", EXPORTED("web") "," AMBASSADOR("9", "/-/ambassador/ready"));
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 10000);
    assert_string_equal(bench_gateway(&bench).verdict, "alive");
    assert_non_null(strstr(bench_gateway(&bench).warning, "address 10.0.0.1: "));
    assert_non_null(strstr(bench_gateway(&bench).warning, "catch-all Mapping"));
    assert_int_equal(bench_event_count(&bench, "GatewayAnswerOdd"), 1);
    assert_string_equal(bench_event(&bench, "GatewayAnswerOdd")->type, "Warning");
    assert_true(bench_metric(&bench, warning) == 1);
    probed(&bench, &right);
    assert_string_equal(bench_gateway(&bench).warning, "");
    assert_int_equal(bench_event_count(&bench, "GatewayAnswerRight"), 1);
    assert_string_equal(bench_event(&bench, "GatewayAnswerRight")->type, "Normal");
    assert_true(bench_metric(&bench, warning) == 0);
    bench_advance(&bench, 60000);
    probed(&bench, &odd);
    assert_int_equal(bench_event_count(&bench, "GatewayAnswerOdd") + bench_event(&bench, "GatewayAnswerOdd")->repeats,
                     2);
    assert_true(bench_metric(&bench, warning) == 1);
    /* Dead, it has other worries. */
    probed(&bench, &refused);
    assert_true(bench_metric(&bench, warning) == 0);
    assert_int_equal(bench_event_count(&bench, "GatewayAnswerRight"), 1);
    bench_tell(&bench, BENCH_SERVICES, "DELETED", AMBASSADOR("9", ""));
    bench_tell(&bench, BENCH_SERVICES, "DELETED", EXPORTED("web"));
    assert_true(bench_metric(&bench, warning) == -1);
    bench_done(&bench);
}

/* ---- gateways whose Service a Link names ---- */

#define NAMED "/api/v1/namespaces/demo/services?fieldSelector=metadata.name%3Dgw"
#define LINK(annotation, spec)                                                                                         \
    "{\"metadata\":{\"namespace\":\"mc\",\"name\":\"east\",\"uid\":\"u\",\"annotations\":{" annotation                 \
    "}},\"spec\":{\"targetClusterName\":\"east\",\"targetClusterDomain\":\"cluster.local\","                           \
    "\"clusterCredentialsSecret\":\"a\",\"selector\":{\"matchLabels\":{\"exported\":\"yes\"}}" spec "}}"
#define BY_NAME "\"svcmirror.io/gateway\":\"demo/gw\""
#define LABELLED                                                                                                       \
    "{\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\",\"resourceVersion\":\"1\",\"labels\":{\"exported\":"       \
    "\"yes\"}},\"spec\":{\"ports\":[{\"port\":80}]}}"

/* A Link that names demo/gw. @param gateway  what its own watch lists. */
static struct bench_listing *open_link(struct bench *bench, const char *link, const char *gateway)
{
    bench_init(bench, true);
    (void)bench_serve(bench, BENCH_LINKS, "Link", link);
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    (void)bench_serve(bench, BENCH_EXPORTED, "Service", LABELLED);
    return bench_serve(bench, NAMED, "Service", gateway);
}

static void a_gateway_that_a_link_names_is_followed_live(void **state)
{
    (void)state;
    struct bench bench;
    (void)open_link(&bench, LINK(BY_NAME, ""), "");
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_int_equal(bench_event_count(&bench, "GatewayNotFound"), 1);
    assert_string_equal(bench_event(&bench, "GatewayNotFound")->regarding, "east");
    assert_string_equal(bench_gateway(&bench).reason, "GatewayNotFound");
    assert_string_equal(bench_gateway(&bench).name, "gw");
    assert_true(bench_metric(&bench, usable) == 0);
    bench_probes_see("10.0.0.1", &ok);
    bench_tell(&bench, NAMED, "ADDED", good);
    bench_advance(&bench, 4000);
    assert_int_equal(bench_event_count(&bench, "GatewayUsable"), 1);
    assert_string_equal(bench_gateway(&bench).verdict, "alive");
    assert_int_equal(bench_gateway(&bench).port, 4143);
    assert_true(bench_metric(&bench, usable) == 1);
    assert_true(bench_metric(&bench, "gateway_alive" LABELS) == 1);
    bench_probes_see("10.0.0.2", &ok);
    bench_tell(&bench, NAMED, "MODIFIED",
               GATEWAY("10", "", "{\"name\":\"mc-gateway\",\"port\":5143}," PROBE_PORT, "{\"ip\":\"10.0.0.2\"}"));
    bench_advance(&bench, 4000);
    assert_int_equal(bench_gateway(&bench).port, 5143);
    assert_string_equal(bench_gateway(&bench).addresses[0].ip, "10.0.0.2");
    assert_string_equal(bench_gateway(&bench).verdict, "alive");
    bench_tell(&bench, NAMED, "DELETED", good);
    bench_advance(&bench, 31000); /* what is told again is counted up after half a minute */
    assert_int_equal(bench_event_count(&bench, "GatewayNotFound") + bench_event(&bench, "GatewayNotFound")->repeats, 2);
    assert_string_equal(bench_gateway(&bench).verdict, "dead");
    bench_done(&bench);
}

/* Whoever may not read it knows nothing of it: that is told, and it is neither missing nor dead. */
static void one_that_may_not_be_read_is_not_missing(void **state)
{
    (void)state;
    struct bench bench;
    struct bench_listing *named = open_link(&bench, LINK(BY_NAME, ""), good);
    named->status = 403;
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 5000);
    assert_int_equal(bench_event_count(&bench, "TargetAccessDenied"), 1);
    assert_int_equal(bench_event_count(&bench, "GatewayNotFound"), 0);
    assert_non_null(strstr(bench_problem(&bench), "services"));
    assert_string_equal(bench_gateway(&bench).verdict, "unknown");
    assert_string_equal(bench_not_ready(&bench), ""); /* what can be known is */
    named->status = 200;
    bench_probes_see("10.0.0.1", &ok);
    bench_advance(&bench, 61000);
    assert_int_equal(bench_event_count(&bench, "TargetReachable"), 1);
    assert_string_equal(bench_problem(&bench), "");
    assert_string_equal(bench_gateway(&bench).verdict, "alive");
    bench_done(&bench);
}

/* Each way it is another gateway, with series of its own. */
static void a_link_comes_to_name_a_gateway_and_ceases_to(void **state)
{
    (void)state;
    static const char of_link[] =
        "gateway_enabled{target_cluster_name=\"east\",gateway_namespace=\"mc\",gateway_name=\"east\"}";
    static const char spelt[] = LINK("", ",\"gatewayAddress\":\"10.0.0.9\",\"gatewayPort\":\"4143\",\"probeSpec\":{"
                                         "\"path\":\"/ready\",\"port\":\"4191\"}");
    struct bench bench;
    (void)open_link(&bench, spelt, good);
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_true(bench_metric(&bench, of_link) == 1);
    assert_string_equal(bench_gateway(&bench).addresses[0].ip, "10.0.0.9");
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", LINK(BY_NAME, ""));
    bench_advance(&bench, 100);
    assert_true(bench_metric(&bench, of_link) == -1);
    assert_true(bench_metric(&bench, "gateway_enabled" LABELS) == 1);
    assert_string_equal(bench_gateway(&bench).addresses[0].ip, "10.0.0.1");
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", LINK(BY_NAME, ",\"gatewayAddress\":\"10.0.0.8\""));
    bench_advance(&bench, 100);
    assert_string_equal(bench_gateway(&bench).addresses[0].ip, "10.0.0.8");
    assert_int_equal(bench_gateway(&bench).port, 4143);
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", spelt);
    bench_advance(&bench, 100);
    assert_true(bench_metric(&bench, of_link) == 1);
    assert_true(bench_metric(&bench, "gateway_enabled" LABELS) == -1);
    assert_string_equal(bench_gateway(&bench).addresses[0].ip, "10.0.0.9");
    bench_done(&bench);
}

/* ---- addresses of the source cluster's own ---- */

#define CIDRS "/apis/networking.k8s.io/v1/servicecidrs?"
#define CIDR(name, range) "{\"metadata\":{\"name\":\"" name "\"},\"spec\":{\"cidrs\":[\"" range "\"]}}"

static void an_address_of_the_source_cluster_is_a_warning(void **state)
{
    (void)state;
    static const char warning[] = "svcmirror_gateway_warning" LABELS;
    struct bench bench;
    bench_init(&bench, false);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "east", NULL, 0));
    (void)bench_serve(&bench, BENCH_SERVICES, "Service", EXPORTED("web"));
    (void)bench_serve(&bench, CIDRS, "ServiceCIDR", CIDR("kubernetes", "10.96.0.0/16"));
    bench_probes_see("10.0.0.1", &ok);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_tell(&bench, BENCH_SERVICES, "ADDED", good);
    assert_true(bench_metric(&bench, warning) == 0);
    /* A range is added. */
    bench_tell(&bench, CIDRS, "ADDED", CIDR("more", "10.0.0.0/24"));
    bench_advance(&bench, 4000);
    assert_int_equal(bench_event_count(&bench, "GatewayAddressLocal"), 1);
    assert_string_equal(bench_event(&bench, "GatewayAddressLocal")->type, "Warning");
    assert_non_null(strstr(bench_event(&bench, "GatewayAddressLocal")->note, "address 10.0.0.1 is one of this"));
    assert_non_null(strstr(bench_gateway(&bench).warning, "ServiceCIDR more, 10.0.0.0/24"));
    assert_true(bench_metric(&bench, warning) == 1);
    assert_string_equal(bench_gateway(&bench).verdict, "alive"); /* it is no refusal */
    bench_tell(&bench, BENCH_SERVICES, "MODIFIED",
               GATEWAY("10", "", "{\"name\":\"mc-gateway\",\"port\":5143}," PROBE_PORT, "{\"ip\":\"10.0.0.1\"}"));
    bench_advance(&bench, 31000);
    assert_int_equal(bench_event(&bench, "GatewayAddressLocal")->repeats, 0);
    /* The gateway moves: into another range, and out. */
    bench_tell(&bench, BENCH_SERVICES, "MODIFIED",
               GATEWAY("11", PERIOD("soon"), GATEWAY_PORT "," PROBE_PORT, "{\"ip\":\"10.96.7.7\"}"));
    assert_string_equal(bench_gateway(&bench).addresses[0].ip, "10.96.7.7");
    assert_non_null(strstr(bench_gateway(&bench).warning, "3s is used; address 10.96.7.7 is"));
    bench_tell(&bench, BENCH_SERVICES, "MODIFIED",
               GATEWAY("12", "", GATEWAY_PORT "," PROBE_PORT, "{\"ip\":\"10.1.0.1\"}"));
    assert_string_equal(bench_gateway(&bench).warning, "");
    assert_true(bench_metric(&bench, warning) == 0);
    bench_done(&bench);
}

/* Nobody can tell: neither the agent nor its readiness waits. */
static void a_cluster_that_tells_no_ranges_is_done_without(void **state)
{
    (void)state;
    static const int answers[] = {403, 404, 500};
    for (size_t i = 0; i < ARRAY_COUNT(answers); i++) {
        struct bench bench;
        bench_init(&bench, false);
        (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "east", NULL, 0));
        (void)bench_serve(&bench, BENCH_SERVICES, "Service",
                          EXPORTED("web") "," GATEWAY("9", "", GATEWAY_PORT "," PROBE_PORT, "{\"ip\":\"10.0.0.1\"}"));
        bench_serve(&bench, CIDRS, "ServiceCIDR", "")->status = answers[i];
        assert_int_equal(bench_start(&bench), ERR_OK);
        bench_advance(&bench, 1000);
        assert_string_equal(bench_not_ready(&bench), "");
        assert_string_equal(bench_gateway(&bench).warning, "");
        bench_done(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_missing_gateway_is_told_once_and_so_is_its_coming),
        cmocka_unit_test(a_listing_in_progress_is_no_alarm),
        cmocka_unit_test(what_a_gateway_lacks_is_told),
        cmocka_unit_test(a_name_that_does_not_resolve_is_told),
        cmocka_unit_test(an_unprobed_gateways_name_that_does_not_resolve_at_a_start_keeps_its_addresses),
        cmocka_unit_test(a_link_needs_a_gateway_only_for_services),
        cmocka_unit_test(a_warning_is_told_once_for_each_text),
        cmocka_unit_test(a_gateway_that_is_not_there_is_not_alive),
        cmocka_unit_test(a_verdict_is_as_old_as_its_last_change),
        cmocka_unit_test(gateways_of_one_name_have_their_own_addresses),
        cmocka_unit_test(a_dead_address_with_another_reason_is_told),
        cmocka_unit_test(another_body_is_a_warning),
        cmocka_unit_test(a_gateway_that_a_link_names_is_followed_live),
        cmocka_unit_test(one_that_may_not_be_read_is_not_missing),
        cmocka_unit_test(a_link_comes_to_name_a_gateway_and_ceases_to),
        cmocka_unit_test(an_address_of_the_source_cluster_is_a_warning),
        cmocka_unit_test(a_cluster_that_tells_no_ranges_is_done_without),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
