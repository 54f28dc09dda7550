/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/exports.c: a target's ServiceExports, and what becomes of the link when they cannot be read. */
#include "agent/control/exports.h"

#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"
#include "tests/unit/control_bench.h"

#define GROUP "/apis/" MCS_GROUP
#define EXPORTS GROUP "/v1beta1/serviceexports?"
#define SERVICES "/api/v1/services?" /* all of the target's: ServiceExports say nothing in labels */
#define EXPORT                                                                                                         \
    "{\"kind\":\"ServiceExport\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\",\"creationTimestamp\":"         \
    "\"2026-01-01T00:00:00Z\"}}"
#define SERVICE(name, labels)                                                                                          \
    "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"" name                                      \
    "\",\"resourceVersion\":\"1\",\"labels\":{" labels "}},\"spec\":{\"ports\":[{\"port\":80}]}}"
#define LINK(annotations)                                                                                              \
    "{\"metadata\":{\"namespace\":\"mc\",\"name\":\"east\",\"uid\":\"u\",\"annotations\":{" annotations                \
    "}},\"spec\":{\"targetClusterName\":\"east\",\"targetClusterDomain\":\"cluster.local\","                           \
    "\"clusterCredentialsSecret\":\"a\",\"gatewayAddress\":\"203.0.113.7\",\"gatewayPort\":\"4143\",\"selector\":{"    \
    "\"matchLabels\":{\"exported\":\"yes\"}}}}"
#define TAKES "\"" LINK_SERVICE_EXPORTS "\":\"true\""

static void serve_group(struct bench *bench, int group, int exports)
{
    bench_serve(bench, GROUP, NULL, "{\"versions\":[{\"version\":\"v1beta1\"}]}")->status = group;
    (void)bench_serve(bench, GROUP "/v1beta1", NULL,
                      "{\"resources\":[{\"name\":\"serviceexports\"},{\"name\":\"serviceimports\"}]}");
    bench_serve(bench, EXPORTS, "ServiceExport", EXPORT)->status = exports;
}

static void open_target(struct bench *bench, const char *link)
{
    bench_init(bench, true);
    (void)bench_serve(bench, BENCH_LINKS, "Link", link);
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    (void)bench_serve(bench, SERVICES, "Service", SERVICE("web", "") "," SERVICE("labelled", "\"exported\":\"yes\""));
    (void)bench_serve(bench, BENCH_EXPORTED, "Service", SERVICE("labelled", "\"exported\":\"yes\""));
    (void)bench_serve(bench, BENCH_MIRRORS, "Service", "");
    (void)bench_serve(bench, "/api/v1/namespaces?", "Namespace", "{\"metadata\":{\"name\":\"demo\"}}");
    (void)bench_serve(bench, "/apis/discovery.k8s.io/v1/endpointslices?", "EndpointSlice", "");
}

static bool is_claimed(const struct bench *bench, const char *key)
{
    const struct mirror *mirror = world_find_mirror(bench->control->world, key);
    return mirror != NULL && mirror_first_claim(mirror) != NULL;
}

static const char *warning(const struct bench *bench) { return target_warning(links_first(bench->control->links)); }

static void whatever_is_wrong_with_them_harms_nothing_else(void **state)
{
    static const struct {
        const char *what, *link;
        int group, exports; /* HTTP status */
        bool claimed;
        enum world_knowledge knowledge;
        const char *warning; /* part of the link's; NULL: none */
    } cases[] = {
        {"served", LINK(TAKES), 200, 200, true, WORLD_LISTED, NULL},
        {"not taken", LINK(""), 200, 200, false, WORLD_UNKNOWN, NULL},
        {"not served", LINK(TAKES), 404, 200, false, WORLD_UNAVAILABLE, "the target serves no ServiceExports"},
        {"not to be asked for", LINK(TAKES), 403, 200, false, WORLD_UNAVAILABLE, "403"},
        {"not to be asked for now", LINK(TAKES), 500, 200, false, WORLD_UNKNOWN, "500"},
        {"forbidden", LINK(TAKES), 200, 403, false, WORLD_UNAVAILABLE, "serviceexports"},
        {"not there for the moment", LINK(TAKES), 200, 500, false, WORLD_UNKNOWN, "serviceexports"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        open_target(&bench, cases[i].link);
        serve_group(&bench, cases[i].group, cases[i].exports);
        assert_int_equal(bench_start(&bench), ERR_OK);
        const struct world *world = bench.control->world;
        enum world_knowledge knowledge = world_knowledge(world, world_first_link(world), WORLD_TARGET_EXPORTS);
        if (is_claimed(&bench, "demo/web-east") != cases[i].claimed || knowledge != cases[i].knowledge)
            fail_msg("%s: %sclaimed, known %d", cases[i].what, cases[i].claimed ? "not " : "", knowledge);
        assert_true(is_claimed(&bench, "demo/labelled-east"));
        assert_string_equal(bench_problem(&bench), "");
        if (cases[i].warning == NULL ? warning(&bench)[0] != '\0' : strstr(warning(&bench), cases[i].warning) == NULL)
            fail_msg("%s: \"%s\"", cases[i].what, warning(&bench));
        assert_int_equal(bench_event_count(&bench, "ServiceExportsUnreadable"), cases[i].warning != NULL ? 1 : 0);
        /* It is asked for again, and told once. */
        bench_advance(&bench, 70000);
        assert_int_equal(bench_event_count(&bench, "ServiceExportsUnreadable"), cases[i].warning != NULL ? 1 : 0);
        serve_group(&bench, 200, 200);
        bench_advance(&bench, 70000);
        assert_int_equal(is_claimed(&bench, "demo/web-east"), strcmp(cases[i].what, "not taken") != 0);
        assert_string_equal(warning(&bench), "");
        bench_done(&bench);
    }
}

static void exports_come_and_go(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench, LINK(TAKES));
    serve_group(&bench, 200, 200);
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_true(is_claimed(&bench, "demo/web-east"));
    bench_tell(&bench, EXPORTS, "DELETED", EXPORT);
    assert_false(is_claimed(&bench, "demo/web-east"));
    bench_tell(&bench, EXPORTS, "ADDED", EXPORT);
    assert_true(is_claimed(&bench, "demo/web-east"));
    assert_true(is_claimed(&bench, "demo/web@import"));
    /* One that cannot be read is left out, and nothing else. */
    bench_tell(&bench, EXPORTS, "ADDED", "{\"kind\":\"ServiceExport\",\"metadata\":{\"name\":1}}");
    assert_true(is_claimed(&bench, "demo/web-east"));
    /* The Link takes them no longer. */
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", LINK(""));
    assert_false(is_claimed(&bench, "demo/web-east"));
    assert_true(is_claimed(&bench, "demo/labelled-east"));
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whatever_is_wrong_with_them_harms_nothing_else),
        cmocka_unit_test(exports_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
