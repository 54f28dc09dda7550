/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/writer.c: which write of a plan comes next when one is refused, and which mirror's when many wait. */
#include "tests/unit/control_bench.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define NAMESPACE "{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"demo\"},\"status\":{\"phase\":\"Active\"}}"
#define GATEWAY                                                                                                        \
    "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"gw\",\"resourceVersion\":\"9\","            \
    "\"annotations\":{\"mirror.linkerd.io/multicluster-gateway\":\"true\"}},\"spec\":{\"ports\":[{\"name\":"           \
    "\"mc-gateway\",\"port\":4143}]},\"status\":{\"loadBalancer\":{\"ingress\":[{\"ip\":\"10.0.0.1\"}]}}}"
#define EXPORTED                                                                                                       \
    "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\",\"resourceVersion\":\"3\","           \
    "\"annotations\":{\"mirror.linkerd.io/gateway-name\":\"gw\",\"mirror.linkerd.io/gateway-ns\":\"demo\"}},"          \
    "\"spec\":{\"ports\":[{\"name\":\"http\",\"port\":80}]}}"
#define MARKS "\"mirror.linkerd.io/mirrored-service\":\"true\",\"mirror.linkerd.io/cluster-name\":\"east\""
/* A mirror of web whose annotations are to be put right. */
#define MIRROR                                                                                                         \
    "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"web-east\",\"uid\":\"u\","                  \
    "\"resourceVersion\":\"2\",\"managedFields\":[{\"manager\":\"svcmirror\"}],\"labels\":{" MARKS "}},\"spec\":{"     \
    "\"clusterIP\":\"10.96.0.7\",\"ports\":[{\"name\":\"http\",\"port\":80}]}}"
#define SLICE(name, family, address)                                                                                   \
    "{\"kind\":\"EndpointSlice\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"" name "\",\"uid\":\"s\","            \
    "\"resourceVersion\":\"4\",\"managedFields\":[{\"manager\":\"svcmirror\"}],\"labels\":{" MARKS                     \
    ",\"kubernetes.io/service-name\":\"web-east\",\"endpointslice.kubernetes.io/managed-by\":\"svcmirror\"}},"         \
    "\"addressType\":\"" family "\",\"endpoints\":[{\"addresses\":[\"" address                                         \
    "\"],\"conditions\":{\"ready\":true}}]}"

#define SERVICE_UPDATE "PATCH /api/v1/namespaces/demo/services/web-east"
#define SLICE_CREATE "POST /apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"
#define SLICE_UPDATE "PUT /apis/discovery.k8s.io/v1/namespaces/demo/endpointslices/web-east.ipv4"
#define SLICE_DELETE "DELETE /apis/discovery.k8s.io/v1/namespaces/demo/endpointslices/web-east.ipv6"

static void open_mirror(struct bench *bench, const char *slices)
{
    bench_init(bench, false);
    (void)bench_serve(bench, "/api/v1/namespaces?", "Namespace", NAMESPACE);
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", bench_secret("a", "east", NULL, 0));
    (void)bench_serve(bench, BENCH_SERVICES, "Service", GATEWAY "," EXPORTED);
    (void)bench_serve(bench, BENCH_MIRRORS, "Service", MIRROR);
    (void)bench_serve(bench, "/apis/discovery.k8s.io/v1/endpointslices?", "EndpointSlice", slices);
}

/* How often the write was asked for, refused or not. */
static unsigned asked(const struct bench *bench, const char *write)
{
    unsigned count = 0;
    for (const char *at = bench->writes; (at = strstr(at, write)) != NULL; at += strlen(write))
        count++;
    return count;
}

static void a_refused_write_holds_up_no_other(void **state)
{
    (void)state;
    static const int STATUSES[] = {403, 409, 422, 500};
    for (size_t i = 0; i < ARRAY_COUNT(STATUSES); i++) {
        struct bench bench;
        open_mirror(&bench, "");
        bench.refusals[0] = (struct bench_refusal){"POST", "/endpointslices", STATUSES[i], NULL};
        assert_int_equal(bench_start(&bench), ERR_OK);
        assert_int_equal(asked(&bench, SLICE_CREATE), 1);
        assert_int_equal(asked(&bench, SERVICE_UPDATE), 0); /* readiness first */
        bench_advance(&bench, 2000);
        if (asked(&bench, SERVICE_UPDATE) == 0)
            fail_msg("with %d: %s", STATUSES[i], bench.writes);
        /* No watch shows the update: it is planned anew, and so is what was refused. */
        bench_advance(&bench, 20000);
        assert_in_range(asked(&bench, SLICE_CREATE), 2, 20);
        bench_done(&bench);
    }
}

static void two_that_are_refused_take_turns(void **state)
{
    (void)state;
    struct bench bench;
    open_mirror(&bench, "");
    bench.refusals[0] = (struct bench_refusal){"POST", "/endpointslices", 403, NULL};
    bench.refusals[1] = (struct bench_refusal){"PATCH", "/services/web-east", 403, NULL};
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 120000);
    unsigned creates = asked(&bench, SLICE_CREATE), updates = asked(&bench, SERVICE_UPDATE);
    assert_in_range(creates + updates, 6, 16); /* 0.2 s doubling to 30 s */
    assert_in_range(creates, updates, updates + 1);
    /* Once one of them is allowed it comes through, though the other is not. */
    bench.refusals[1] = (struct bench_refusal){0};
    bench.writes[0] = '\0';
    bench_advance(&bench, 100000);
    assert_non_null(strstr(bench.writes, SERVICE_UPDATE "?fieldManager=svcmirror, "));
    bench_done(&bench);
}

/* A server that asks for patience or is away refuses no write in particular: the order stays, readiness first. */
static void an_outage_changes_no_order(void **state)
{
    (void)state;
    struct bench bench;
    open_mirror(&bench, "");
    bench.refusals[0] = (struct bench_refusal){"POST", "/endpointslices", 429, NULL};
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 10000);
    assert_in_range(asked(&bench, SLICE_CREATE), 3, 10);
    assert_int_equal(asked(&bench, SERVICE_UPDATE), 0);
    bench_done(&bench);
}

/* The slice of a family without an address goes after the other one was put right, never before. */
static void nothing_goes_before_what_takes_its_place(void **state)
{
    (void)state;
    struct bench bench;
    open_mirror(&bench, SLICE("web-east.ipv4", "IPv4", "10.0.0.9") "," SLICE("web-east.ipv6", "IPv6", "2001:db8::1"));
    bench.refusals[0] = (struct bench_refusal){"PUT", "/endpointslices/web-east.ipv4", 403, NULL};
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 4000);
    assert_in_range(asked(&bench, SLICE_UPDATE), 1, 10);
    assert_in_range(asked(&bench, SERVICE_UPDATE), 1, 10);
    assert_int_equal(asked(&bench, SLICE_DELETE), 0);
    bench_done(&bench);
    /* One that may not go holds up nothing. */
    open_mirror(&bench, SLICE("web-east.ipv6", "IPv6", "2001:db8::1"));
    bench.refusals[0] = (struct bench_refusal){"DELETE", "/endpointslices/", 403, NULL};
    bench.refusals[1] = (struct bench_refusal){"POST", "/endpointslices", 403, NULL};
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 4000);
    assert_in_range(asked(&bench, SERVICE_UPDATE), 1, 10);
    assert_int_equal(asked(&bench, SLICE_DELETE), 0);
    bench_done(&bench);
}

/* ---- Linkerd's own Service for probing a gateway ---- */

#define LINK                                                                                                           \
    "{\"kind\":\"Link\",\"metadata\":{\"namespace\":\"mc\",\"name\":\"east\",\"uid\":\"u\"},\"spec\":{"                \
    "\"targetClusterName\":\"east\",\"targetClusterDomain\":\"cluster.local\",\"clusterCredentialsSecret\":\"a\","     \
    "\"gatewayAddress\":\"10.0.0.1\",\"gatewayPort\":\"4143\",\"probeSpec\":{\"path\":\"/ready\",\"port\":\"4191\","   \
    "\"period\":\"3s\"},\"selector\":{\"matchLabels\":{\"exported\":\"yes\"}}}}"
#define PROBE_PATH "/api/v1/namespaces/mc/services/probe-east"

static struct bench_listing *open_probe(struct bench *bench, const char *labels)
{
    static char object[512];
    (void)snprintf(
        object, sizeof(object),
        "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"mc\",\"name\":\"probe-east\",\"uid\":\"p\","
        "\"resourceVersion\":\"6\",\"labels\":{%s}},\"spec\":{\"ports\":[{\"name\":\"mc-probe\",\"port\":4191}]}}",
        labels);
    bench_init(bench, true);
    (void)bench_serve(bench, "/api/v1/namespaces?", "Namespace",
                      "{\"kind\":\"Namespace\",\"metadata\":{\"name\":\"mc\"},\"status\":{\"phase\":\"Active\"}}");
    (void)bench_serve(bench, BENCH_LINKS, "Link", LINK);
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    (void)bench_serve(bench, BENCH_EXPORTED, "Service", "");
    struct bench_listing *probe = bench_serve(bench, PROBE_PATH, NULL, object);
    bench->refusals[0] = (struct bench_refusal){"POST", "/namespaces/mc/services", 409, "AlreadyExists"};
    assert_int_equal(bench_start(bench), ERR_OK);
    return probe;
}

static void the_probe_service_of_linkerds_chart_is_left_to_it(void **state)
{
    static const struct {
        const char *what, *labels;
        bool left;
    } cases[] = {
        {"of the chart", "\"mirror.linkerd.io/mirrored-gateway\":\"true\",\"mirror.linkerd.io/cluster-name\":\"east\"",
         true},
        {"a user's", "\"app\":\"probe\"", false},
        {"of no label", "", false},
    };
    static const struct probe_observation ok = {.end = PROBE_ANSWERED, .status = 200, .latency_us = 1500};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        struct bench_listing *probe = open_probe(&bench, cases[i].labels);
        bench_probes_see("10.0.0.1", &ok);
        bench_advance(&bench, 120000);
        unsigned looks = probe->asked;
        if (bench_event_count(&bench, "ServiceMirroringSkipped") != (cases[i].left ? 0 : 1))
            fail_msg("%s: %u Events", cases[i].what, bench_event_count(&bench, "ServiceMirroringSkipped"));
        if (cases[i].left ? looks != 1 : looks < 6)
            fail_msg("%s: looked at %u times", cases[i].what, looks);
        assert_int_equal(asked(&bench, "POST /api/v1/namespaces/mc/services"), 1);
        assert_string_equal(bench_gateway(&bench).verdict, "alive");
        /* It is gone: the mirror comes, after a while. */
        probe->status = 404;
        bench.refusals[0] = (struct bench_refusal){0};
        bench_advance(&bench, 460000);
        assert_in_range(asked(&bench, "POST /api/v1/namespaces/mc/services"), 2, 100);
        bench_done(&bench);
    }
}

/* ---- many that wait ---- */

#define LINK_TO_WEST                                                                                                   \
    "{\"kind\":\"Link\",\"metadata\":{\"namespace\":\"mc\",\"name\":\"west\",\"uid\":\"u\"},\"spec\":{"                \
    "\"targetClusterName\":\"west\",\"targetClusterDomain\":\"cluster.local\",\"clusterCredentialsSecret\":\"w\","     \
    "\"gatewayAddress\":\"10.0.0.2\",\"gatewayPort\":\"4143\",\"selector\":{\"matchLabels\":{\"exported\":\"yes\"}}}}"

enum { MANY = 30, LEVEL = 8, RESERVE = 4, SERVICE_BYTES = 512 };

static void name_export(char text[SERVICE_BYTES], const char *name, unsigned number, const char *marks)
{
    (void)snprintf(
        text, SERVICE_BYTES,
        "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"%s%u\",\"resourceVersion\":\"3\",%s},"
        "\"spec\":{\"ports\":[{\"name\":\"http\",\"port\":80}]}}",
        name, number, marks);
}

struct unanswered {
    unsigned east, west;
};

static bool leave_unanswered(struct bench *bench, struct http_call *call)
{
    struct unanswered *count = bench->context;
    if (strcmp(call->method, "POST") != 0 || strstr(call->path, "/namespaces/demo/services") == NULL)
        return false;
    *(strstr(call->request_body, "-west\"") != NULL ? &count->west : &count->east) += 1;
    return true;
}

/* East has a first sync with an API server that answers nothing; west exports one service after another. */
static void a_first_sync_holds_up_no_other_links_export(void **state)
{
    (void)state;
    struct bench bench;
    struct unanswered count = {0};
    static char services[MANY * SERVICE_BYTES];
    char *at = services;
    for (unsigned i = 0; i < MANY; i++) {
        char one[SERVICE_BYTES];
        name_export(
            one, "web", i,
            "\"annotations\":{\"mirror.linkerd.io/gateway-name\":\"gw\",\"mirror.linkerd.io/gateway-ns\":\"demo\"}");
        at += sprintf(at, ",%s", one);
    }
    char all[MANY * SERVICE_BYTES + SERVICE_BYTES * 2], secrets[8192];
    (void)snprintf(all, sizeof(all), GATEWAY "%s", services);
    (void)snprintf(secrets, sizeof(secrets), "%s,%s", bench_secret("a", "east", NULL, 0),
                   bench_secret("w", "", NULL, 0));
    bench_init(&bench, true);
    bench.on_write = leave_unanswered;
    bench.context = &count;
    (void)bench_serve(&bench, "/api/v1/namespaces?", "Namespace", NAMESPACE);
    (void)bench_serve(&bench, BENCH_LINKS, "Link", LINK_TO_WEST);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", secrets);
    (void)bench_serve(&bench, BENCH_EXPORTED, "Service", "");
    (void)bench_serve(&bench, BENCH_SERVICES, "Service", all);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 1000);
    assert_int_equal(count.east, LEVEL);
    for (unsigned i = 1; i <= RESERVE + 2; i++) {
        char one[SERVICE_BYTES];
        name_export(one, "fast", i, "\"labels\":{\"exported\":\"yes\"}");
        bench_tell(&bench, BENCH_EXPORTED, "ADDED", one);
        bench_advance(&bench, 10);
        assert_int_equal(count.west, i < RESERVE ? i : RESERVE);
        assert_int_equal(count.east, LEVEL);
    }
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_write_holds_up_no_other),
        cmocka_unit_test(two_that_are_refused_take_turns),
        cmocka_unit_test(an_outage_changes_no_order),
        cmocka_unit_test(nothing_goes_before_what_takes_its_place),
        cmocka_unit_test(the_probe_service_of_linkerds_chart_is_left_to_it),
        cmocka_unit_test(a_first_sync_holds_up_no_other_links_export),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
