/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/imports.c, and the writer where it writes ServiceImports. */
#include "agent/control/imports.h"

#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"
#include "tests/unit/control_bench.h"
#include "tests/unit/fake_http.h"

#define GROUP "/apis/" MCS_GROUP
#define IMPORTS GROUP "/v1alpha1/serviceimports?"
#define IMPORT_PATH GROUP "/v1alpha1/namespaces/demo/serviceimports"
#define MARKS "\"mirror.linkerd.io/mirrored-service\":\"true\",\"mirror.linkerd.io/cluster-name\":\"east\""
#define ANNOTATIONS                                                                                                    \
    "\"mirror.linkerd.io/remote-svc-fq-name\":\"web.demo.svc.cluster.local\",\"svcmirror.io/service-export\":\"true\""
#define META(name, labels, annotations)                                                                                \
    "\"metadata\":{\"namespace\":\"demo\",\"name\":\"" name                                                            \
    "\",\"uid\":\"u\",\"resourceVersion\":\"1\",\"labels\":{" labels "},\"annotations\":{" annotations "}}"
#define MIRROR                                                                                                         \
    "{\"kind\":\"Service\"," META("web-east", MARKS, ANNOTATIONS) ",\"spec\":{\"clusterIP\":\"10.96.0.7\","            \
                                                                  "\"ports\":[{\"port\":80}]}}"
#define IMPORT                                                                                                         \
    "{\"kind\":\"ServiceImport\"," META("web", MARKS,                                                                  \
                                        ANNOTATIONS) ",\"spec\":{\"type\":\"ClusterSetIP\","                           \
                                                     "\"ips\":[\"10.96.0.7\"],\"ports\":[{\"port\":80}]}}"

static void serve_group(struct bench *bench, int status)
{
    bench_serve(bench, GROUP, NULL, "{\"versions\":[{\"version\":\"v1alpha1\"}]}")->status = status;
    (void)bench_serve(bench, GROUP "/v1alpha1", NULL,
                      "{\"resources\":[{\"name\":\"serviceexports\"},{\"name\":\"serviceimports\"}]}");
}

/* A service that a ServiceExport exports; its mirror is there. */
static void open_export(struct bench *bench, const char *imports)
{
    bench_init(bench, true);
    serve_group(bench, 200);
    (void)bench_serve(bench, BENCH_LINKS, "Link",
                      "{\"metadata\":{\"namespace\":\"mc\",\"name\":\"east\",\"uid\":\"u\",\"annotations\":{"
                      "\"" LINK_SERVICE_EXPORTS "\":\"true\"}},\"spec\":{\"targetClusterName\":\"east\","
                      "\"targetClusterDomain\":\"cluster.local\",\"clusterCredentialsSecret\":\"a\","
                      "\"gatewayAddress\":\"203.0.113.7\",\"gatewayPort\":\"4143\"}}");
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    (void)bench_serve(bench, BENCH_SERVICES, "Service",
                      "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\","
                      "\"resourceVersion\":\"1\"},\"spec\":{\"ports\":[{\"port\":80}]}}");
    (void)bench_serve(bench, GROUP "/v1alpha1/serviceexports?", "ServiceExport",
                      "{\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\"}}");
    (void)bench_serve(bench, BENCH_MIRRORS, "Service", MIRROR);
    (void)bench_serve(bench, IMPORTS, "ServiceImport", imports);
    (void)bench_serve(bench, "/api/v1/namespaces?", "Namespace", "{\"metadata\":{\"name\":\"demo\"}}");
    (void)bench_serve(bench, "/apis/discovery.k8s.io/v1/endpointslices?", "EndpointSlice", "");
}

static unsigned asked(const struct bench *bench, const char *write)
{
    unsigned count = 0;
    for (const char *at = bench->writes; (at = strstr(at, write)) != NULL; at += strlen(write))
        count++;
    return count;
}

static const struct claim_status *status_of(const struct bench *bench)
{
    const struct mirror *mirror = world_find_mirror(bench->control->world, "demo/web@import");
    return claim_status(mirror_first_claim(mirror));
}

static void an_import_is_written_in_the_version_that_is_served(void **state)
{
    (void)state;
    struct bench bench;
    open_export(&bench, "");
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_int_equal(asked(&bench, "POST " IMPORT_PATH "?fieldManager=svcmirror, "), 1);
    /* The watch shows it: its status follows. */
    bench_tell(&bench, IMPORTS, "ADDED", IMPORT);
    bench_advance(&bench, 6000);
    assert_int_equal(bench.status_writes, 1);
    assert_string_equal(bench.status, "{\"metadata\":{\"uid\":\"u\",\"resourceVersion\":\"1\"},\"status\":{"
                                      "\"clusters\":[{\"cluster\":\"east\"}]}}");
    bench_done(&bench);
}

static void one_that_is_right_is_not_written(void **state)
{
    (void)state;
    struct bench bench;
    open_export(
        &bench,
        "{\"kind\":\"ServiceImport\"," META(
            "web", MARKS,
            ANNOTATIONS) ",\"spec\":{\"type\":"
                         "\"ClusterSetIP\",\"ips\":[\"10.96.0.7\"],\"ports\":[{\"port\":80}]},\"status\":{\"clusters\":"
                         "[{\"cluster\":\"east\"}]}}");
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 60000);
    assert_null(strstr(bench.writes, "serviceimports"));
    assert_true(status_of(&bench)->mirrored);
    bench_done(&bench);
}

static bool refuse_status(struct bench *bench, struct http_call *call)
{
    const int *status = bench->context;
    if (strstr(fake_http_path(call), "/serviceimports/web/status") == NULL)
        return false;
    bench->link_patches++; /* counts */
    fake_http_answer(call, *status, "{\"kind\":\"Status\"}");
    return true;
}

static void without_the_right_to_its_status_the_rest_stands(void **state)
{
    (void)state;
    static int statuses[] = {403, 404};
    for (size_t i = 0; i < ARRAY_COUNT(statuses); i++) {
        struct bench bench;
        open_export(&bench, IMPORT);
        bench.on_write = refuse_status;
        bench.context = &statuses[i];
        assert_int_equal(bench_start(&bench), ERR_OK);
        bench_advance(&bench, 60000);
        assert_int_equal(bench.link_patches, 1);
        assert_true(status_of(&bench)->mirrored);
        bench_done(&bench);
    }
}

static void somebody_elses_is_told_and_left(void **state)
{
    (void)state;
    struct bench bench;
    open_export(&bench, "");
    struct bench_listing *there =
        bench_serve(&bench, IMPORT_PATH "/web", NULL, "{\"kind\":\"ServiceImport\"," META("web", "", "") "}");
    bench.refusals[0] = (struct bench_refusal){"POST", "/serviceimports", 409, "AlreadyExists"};
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 60000);
    assert_int_equal(asked(&bench, "serviceimports"), 1);
    assert_in_range(there->asked, 3, 20);
    assert_string_equal(status_of(&bench)->reason, "NameCollision");
    assert_int_equal(bench_event_count(&bench, "ServiceMirroringSkipped"), 1);
    assert_string_equal(bench_event(&bench, "ServiceMirroringSkipped")->note,
                        "service demo/web of cluster east is not mirrored as ServiceImport demo/web: ServiceImport "
                        "demo/web exists and is not svcmirror's: rename or remove it");
    /* It is gone. */
    there->status = 404;
    bench.refusals[0] = (struct bench_refusal){0};
    bench_advance(&bench,
                  60000); /* tries are 15 to 22 s apart by now; then, as this server shows no import, each few */
    assert_in_range(asked(&bench, "POST " IMPORT_PATH "?fieldManager=svcmirror, "), 1, 30);
    bench_done(&bench);
}

static void they_may_be_installed_later(void **state)
{
    (void)state;
    struct bench bench;
    open_export(&bench, "");
    bench_serve(&bench, IMPORTS, "ServiceImport", "")->status = 403;
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 1000);
    assert_int_equal(world_knowledge(bench.control->world, NULL, WORLD_SOURCE_IMPORTS), WORLD_UNAVAILABLE);
    assert_string_equal(bench_not_ready(&bench), ""); /* no part of the agent's readiness */
    assert_int_equal(asked(&bench, "serviceimports"), 0);
    bench_serve(&bench, IMPORTS, "ServiceImport", "")->status = 200;
    bench_advance(&bench, 70000);
    assert_in_range(asked(&bench, "POST " IMPORT_PATH "?fieldManager=svcmirror, "), 1, 30);
    bench_done(&bench);
}

static void nobody_asks_for_them_without_need(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, false);
    struct bench_listing *group = bench_serve(&bench, GROUP, NULL, "{}");
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 60000);
    assert_int_equal(group->asked, 0);
    assert_true(imports_settled(bench.control->imports));
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_import_is_written_in_the_version_that_is_served),
        cmocka_unit_test(one_that_is_right_is_not_written),
        cmocka_unit_test(without_the_right_to_its_status_the_rest_stands),
        cmocka_unit_test(somebody_elses_is_told_and_left),
        cmocka_unit_test(they_may_be_installed_later),
        cmocka_unit_test(nobody_asks_for_them_without_need),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
