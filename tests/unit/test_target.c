/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/target.c: which watches a target has; where its endpoints are read and what becomes of it when that changes; targets that have too much,
 * or never come to an end. */
#include "tests/unit/control_bench.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/internal.h"
#include "base/mem.h"
#include "tests/unit/fake_http.h"

/* Of the target; the source's have a selector. */
#define SLICES "/apis/discovery.k8s.io/v1/endpointslices?"
#define ENDPOINTS "/api/v1/endpoints?"

#define OBJECT(name, more) "{\"metadata\":{\"namespace\":\"demo\",\"name\":\"" name "\",\"resourceVersion\":\"1\"" more
#define SLICE(name, ready)                                                                                             \
    "{\"kind\":\"EndpointSlice\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"" name                                \
    "\",\"labels\":{\"kubernetes.io/service-name\":\"web\"}},\"addressType\":\"IPv4\",\"endpoints\":[{\"addresses\":"  \
    "[\"10.0.0.1\"],\"conditions\":{\"ready\":" ready "}}]}"
#define ENDPOINTS_OF(subset)                                                                                           \
    "{\"kind\":\"Endpoints\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\"},\"subsets\":[" subset "]}"
#define READY "{\"addresses\":[{\"ip\":\"10.0.0.1\"}]}"
#define UNREADY "{\"notReadyAddresses\":[{\"ip\":\"10.0.0.1\"}]}"

#define LINK(more)                                                                                                     \
    "{\"metadata\":{\"namespace\":\"mc\",\"name\":\"east\",\"uid\":\"u\"},\"spec\":{"                                  \
    "\"targetClusterName\":\"east\",\"targetClusterDomain\":\"cluster.local\","                                        \
    "\"clusterCredentialsSecret\":\"a\",\"gatewayAddress\":\"203.0.113.7\",\"gatewayPort\":\"4143\","                  \
    "\"selector\":{\"matchLabels\":{\"exported\":\"yes\"}}" more "}}"

/* A Link's target with one exported service, whose mirror's Service is there. */
static void open_target(struct bench *bench)
{
    bench_init(bench, true);
    (void)bench_serve(bench, BENCH_LINKS, "Link", LINK(""));
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    (void)bench_serve(bench, BENCH_EXPORTED, "Service",
                      OBJECT("web", ",\"labels\":{\"exported\":\"yes\"}},\"spec\":{\"ports\":[{\"port\":80}]}}"));
    (void)bench_serve(bench, "/api/v1/services?labelSelector=mirror", "Service",
                      OBJECT("web-east", ",\"uid\":\"1\",\"labels\":{\"mirror.linkerd.io/mirrored-service\":\"true\","
                                         "\"mirror.linkerd.io/cluster-name\":\"east\"}},"
                                         "\"spec\":{\"clusterIP\":\"10.96.0.1\",\"ports\":[{\"port\":80}]}}"));
    (void)bench_serve(bench, "/api/v1/namespaces?", "Namespace", "{\"metadata\":{\"name\":\"demo\"}}");
    (void)bench_serve(bench, SLICES "label", "EndpointSlice", "");
    (void)bench_serve(bench, ENDPOINTS "label", "Endpoints", "");
}

static void refuse(struct bench *bench, const char *path, int status)
{
    bench_serve(bench, path, "Nothing", "")->status = status;
}

static enum world_knowledge knowledge(const struct bench *bench)
{
    const struct world *world = bench->control->world;
    return world_knowledge(world, world_first_link(world), WORLD_TARGET_SLICES);
}

/* How many endpoints the mirror is to have; -1 while that is not decided. */
static int planned(const struct bench *bench)
{
    struct arena arena;
    struct plan plan;
    int count = -1;
    struct mirror *mirror = world_find_mirror(bench->control->world, "demo/web-east");
    arena_init(&arena, 1 << 20);
    assert_non_null(mirror);
    assert_int_equal(plan_mirror(bench->control->world, mirror, &arena, &plan), ERR_OK);
    for (uint32_t i = 0; i < plan.write_count; i++)
        if (plan.writes[i].kind == WRITE_SLICE)
            count = (int)plan.writes[i].slice->endpoint_count;
    arena_done(&arena);
    return count;
}

static void a_target_without_slices_is_read_by_its_endpoints(void **state)
{
    static const struct {
        const char *what;
        int slices, endpoints; /* HTTP status of a listing */
        const char *items;     /* of Endpoints */
        enum world_knowledge knowledge;
        int planned;
        const char *problem; /* part of the link's */
    } cases[] = {
        {"ready", 404, 200, ENDPOINTS_OF(READY), WORLD_LISTED, 1, NULL},
        {"ready in the second subset", 404, 200, ENDPOINTS_OF(UNREADY "," READY), WORLD_LISTED, 1, NULL},
        {"not ready", 404, 200, ENDPOINTS_OF(UNREADY), WORLD_LISTED, 0, NULL},
        {"no subset", 404, 200, ENDPOINTS_OF(""), WORLD_LISTED, 0, NULL},
        {"none at all", 404, 200, "", WORLD_LISTED, 0, NULL},
        {"Endpoints may not be read", 404, 403, "", WORLD_UNAVAILABLE, 1, "endpoints"},
        {"neither is served", 404, 404, "", WORLD_UNAVAILABLE, 1, "endpoints"},
        {"Endpoints cannot be had", 404, 500, "", WORLD_UNKNOWN, -1, "endpoints"},
        {"slices may not be read", 403, 200, ENDPOINTS_OF(UNREADY), WORLD_UNAVAILABLE, 1, "endpointslices"},
        {"slices cannot be had", 500, 200, ENDPOINTS_OF(UNREADY), WORLD_UNKNOWN, -1, "endpointslices"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        open_target(&bench);
        refuse(&bench, SLICES, cases[i].slices);
        bench_serve(&bench, ENDPOINTS, "Endpoints", cases[i].items)->status = cases[i].endpoints;
        assert_int_equal(bench_start(&bench), ERR_OK);
        const char *problem = bench_problem(&bench);
        if (knowledge(&bench) != cases[i].knowledge || planned(&bench) != cases[i].planned)
            fail_msg("%s: known %d, %d planned", cases[i].what, knowledge(&bench), planned(&bench));
        if (cases[i].problem == NULL ? problem[0] != '\0' : strstr(problem, cases[i].problem) == NULL)
            fail_msg("%s: \"%s\"", cases[i].what, problem);
        assert_int_equal(bench_event_count(&bench, "TargetUnreachable") +
                             bench_event_count(&bench, "TargetAccessDenied"),
                         cases[i].problem != NULL ? 1 : 0);
        bench_done(&bench);
    }
}

static void endpoints_are_followed_until_slices_appear_and_again_when_they_go(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench);
    refuse(&bench, SLICES, 404);
    (void)bench_serve(&bench, ENDPOINTS, "Endpoints", ENDPOINTS_OF(UNREADY));
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_int_equal(planned(&bench), 0);
    bench_tell(&bench, ENDPOINTS, "MODIFIED", ENDPOINTS_OF(READY));
    assert_int_equal(planned(&bench), 1);
    bench_tell(&bench, ENDPOINTS, "DELETED", ENDPOINTS_OF(READY));
    assert_int_equal(planned(&bench), 0);
    bench_tell(&bench, ENDPOINTS, "ADDED", ENDPOINTS_OF(READY));
    /* Slices are served: what the Endpoints said counts no more. */
    struct bench_listing *slices = bench_serve(&bench, SLICES, "EndpointSlice", SLICE("web", "false"));
    bench_advance(&bench, 61000);
    assert_int_equal(planned(&bench), 0);
    bench_tell(&bench, SLICES, "MODIFIED", SLICE("web", "true"));
    assert_int_equal(planned(&bench), 1);
    assert_string_equal(bench_problem(&bench), "");
    /* And no more: the Endpoints are read again. */
    (void)bench_serve(&bench, ENDPOINTS, "Endpoints", ENDPOINTS_OF(UNREADY));
    slices->status = 404;
    fake_http_fail(slices->watch, ERR_CONNECT, "the server ends");
    bench_advance(&bench, 5000);
    assert_int_equal(planned(&bench), 0);
    bench_tell(&bench, ENDPOINTS, "MODIFIED", ENDPOINTS_OF(READY));
    assert_int_equal(planned(&bench), 1);
    assert_string_equal(bench_problem(&bench), "");
    assert_int_equal(bench_event_count(&bench, "TargetUnreachable"), 0);
    bench_done(&bench);
}

/* The name of the slice that the mirror is to have; "" while that is not decided. */
static const char *planned_slice(const struct bench *bench)
{
    static char name[256];
    struct arena arena;
    struct plan plan;
    struct mirror *mirror = world_find_mirror(bench->control->world, "demo/web-east");
    arena_init(&arena, 1 << 20);
    name[0] = '\0';
    assert_int_equal(plan_mirror(bench->control->world, mirror, &arena, &plan), ERR_OK);
    for (uint32_t i = 0; i < plan.write_count; i++)
        if (plan.writes[i].kind == WRITE_SLICE)
            (void)snprintf(name, sizeof(name), "%s", plan.writes[i].name);
    arena_done(&arena);
    return name;
}

/* Of slices only counts are kept until a mirror is to have them whole. */
static void slices_are_listed_again_when_they_are_wanted_whole(void **state)
{
    (void)state;
    static const struct {
        int slices; /* HTTP status of a listing */
        const char *name;
    } cases[] = {{200, "web-east.pods.web-x"}, {404, "web-east.pods.web.ipv4"}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        open_target(&bench);
        struct bench_listing *slices = bench_serve(&bench, SLICES, "EndpointSlice", SLICE("web-x", "true"));
        slices->status = cases[i].slices;
        struct bench_listing *v1 = bench_serve(&bench, ENDPOINTS, "Endpoints", ENDPOINTS_OF(READY));
        assert_int_equal(bench_start(&bench), ERR_OK);
        assert_string_equal(planned_slice(&bench), "web-east.ipv4");
        /* While the list does not answer, nothing is decided. */
        struct bench_listing *read = cases[i].slices == 200 ? slices : v1;
        read->status = 500;
        bench_tell(&bench, BENCH_EXPORTED, "MODIFIED",
                   "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\",\"resourceVersion\":"
                   "\"2\",\"labels\":{\"exported\":\"yes\"},\"annotations\":{\"svcmirror.io/endpoints\":\"pods\"}},"
                   "\"spec\":{\"ports\":[{\"port\":80}]}}");
        bench_advance(&bench, 1000);
        assert_string_equal(planned_slice(&bench), "");
        read->status = 200;
        bench_advance(&bench, 5000);
        assert_string_equal(planned_slice(&bench), cases[i].name);
        assert_string_equal(bench_problem(&bench), "");
        bench_done(&bench);
    }
}

/* ---- too much, and no end ---- */

#define EXPORTED(name, fill)                                                                                           \
    OBJECT(name, ",\"labels\":{\"exported\":\"yes\"},\"annotations\":{\"fill\":\"" fill                                \
                 "\"}},\"spec\":{\"ports\":[{\"port\":80}]}}")
#define FILL_10 "0123456789"
#define FILL_100 FILL_10 FILL_10 FILL_10 FILL_10 FILL_10 FILL_10 FILL_10 FILL_10 FILL_10 FILL_10
#define FILL_1000 FILL_100 FILL_100 FILL_100 FILL_100 FILL_100 FILL_100 FILL_100 FILL_100 FILL_100 FILL_100
#define FILL FILL_1000 FILL_1000 FILL_1000 FILL_1000 FILL_1000 FILL_1000
#define KEPT "svcmirror_link_kept_bytes{target_cluster_name=\"east\"}"
#define LEFT_OUT "svcmirror_link_objects_left_out{target_cluster_name=\"east\"}"

static void what_is_too_much_is_told_and_listed_again_when_there_is_room(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench);
    bench.max_link_bytes = 30000; /* one of them, beside the link's gateway */
    (void)bench_serve(&bench, SLICES, "EndpointSlice", "");
    struct bench_listing *services =
        bench_serve(&bench, BENCH_EXPORTED, "Service", EXPORTED("web", FILL) "," EXPORTED("api", FILL));
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_non_null(strstr(bench_problem(&bench), "1 Services and 0 slices are left out"));
    assert_non_null(strstr(bench_problem(&bench), "--max-link-memory"));
    assert_int_equal(bench_event_count(&bench, "TargetTooLarge"), 1);
    assert_int_equal((int)bench_metric(&bench, LEFT_OUT), 1);
    assert_string_equal(bench_not_ready(&bench), "");
    /* It says so once, however often it happens. */
    bench_tell(&bench, BENCH_EXPORTED, "MODIFIED", EXPORTED("api", FILL));
    assert_int_equal(bench_event_count(&bench, "TargetTooLarge"), 1);
    assert_null(world_find_mirror(bench.control->world, "demo/api-east"));
    /* One goes: there is room, and a listing brings the other. */
    services->items = EXPORTED("api", FILL);
    bench_tell(&bench, BENCH_EXPORTED, "DELETED", EXPORTED("web", FILL));
    assert_null(world_find_mirror(bench.control->world, "demo/api-east"));
    bench_advance(&bench, 61000);
    assert_non_null(world_find_mirror(bench.control->world, "demo/api-east"));
    assert_string_equal(bench_problem(&bench), "");
    assert_int_equal(bench_event_count(&bench, "TargetFits"), 1);
    assert_int_equal((int)bench_metric(&bench, LEFT_OUT), 0);
    bench_done(&bench);
}

/* What was left out goes, and what is kept stays as large as it was: only time brings a listing. */
static void what_was_left_out_may_be_gone(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench);
    (void)bench_serve(&bench, SLICES, "EndpointSlice", "");
    (void)bench_serve(&bench, BENCH_EXPORTED, "Service", EXPORTED("web", FILL));
    assert_int_equal(bench_start(&bench), ERR_OK);
    size_t kept = (size_t)bench_metric(&bench, KEPT);
    bench_done(&bench);
    open_target(&bench);
    bench.max_link_bytes = kept + 100;
    (void)bench_serve(&bench, SLICES, "EndpointSlice", "");
    struct bench_listing *services =
        bench_serve(&bench, BENCH_EXPORTED, "Service", EXPORTED("web", FILL) "," EXPORTED("api", FILL));
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_int_equal((int)bench_metric(&bench, LEFT_OUT), 1);
    services->items = EXPORTED("web", FILL);
    bench_tell(&bench, BENCH_EXPORTED, "DELETED", EXPORTED("api", FILL));
    bench_advance(&bench, 2 * 60 * 1000);
    assert_int_equal((int)bench_metric(&bench, LEFT_OUT), 1);
    bench_advance(&bench, 9 * 60 * 1000);
    assert_int_equal((int)bench_metric(&bench, LEFT_OUT), 0);
    assert_string_equal(bench_problem(&bench), "");
    bench_done(&bench);
}

static void a_target_without_an_end_holds_up_nobody(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench);
    (void)bench_serve(&bench, SLICES, "EndpointSlice", "");
    struct bench_listing *services = bench_serve(&bench, BENCH_EXPORTED, "Service", "");
    services->begin_only = EXPORTED("web", "");
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_non_null(strstr(bench_not_ready(&bench), "link east: the target is not listed yet"));
    bench_advance(&bench, 31000);
    assert_string_equal(bench_not_ready(&bench), "");
    assert_non_null(strstr(bench_problem(&bench), "still not listed completely"));
    bench_done(&bench);
}

/* ---- members of federated services ---- */

#define MEMBERS "/api/v1/services?labelSelector=f"
#define LINK_OF_BOTH LINK(",\"federatedServiceSelector\":{\"matchLabels\":{\"f\":\"yes\"}}")
#define MEMBER(name) OBJECT(name, ",\"labels\":{\"f\":\"yes\"}},\"spec\":{\"ports\":[{\"port\":80}]}}")

#define OTHER_KUBECONFIG                                                                                               \
    "{\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"https://target:6443\"}}],"                               \
    "\"users\":[{\"name\":\"u\",\"user\":{\"token\":\"another\"}}],"                                                   \
    "\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":\"c\",\"user\":\"u\"}}],\"current-context\":\"x\"}"
#define UNREADABLE(name) OBJECT(name, "},\"spec\":{\"ports\":[{\"port\":\"no\"}]}}")

static bool claims(const struct bench *bench, const char *mirror_key)
{
    const struct mirror *mirror = world_find_mirror(bench->control->world, mirror_key);
    return mirror != NULL && mirror_first_claim(mirror) != NULL;
}

static void members_have_a_watch_of_their_own(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench);
    (void)bench_serve(&bench, SLICES, "EndpointSlice", "");
    (void)bench_serve(&bench, BENCH_LINKS, "Link", LINK_OF_BOTH);
    struct bench_listing *members = bench_serve(&bench, MEMBERS, "Service", MEMBER("api"));
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_string_equal(bench_not_ready(&bench), "");
    assert_true(claims(&bench, "demo/web-east") && claims(&bench, "demo/api-federated"));
    assert_false(claims(&bench, "demo/api-east"));
    bench_tell(&bench, MEMBERS, "ADDED", MEMBER("db"));
    assert_true(claims(&bench, "demo/db-federated"));
    bench_tell(&bench, MEMBERS, "DELETED", MEMBER("db"));
    assert_false(claims(&bench, "demo/db-federated"));
    /* One that cannot be read is there all the same, also when all is listed again; until it goes. */
    members->items = UNREADABLE("api");
    bench_tell(&bench, MEMBERS, "MODIFIED", UNREADABLE("api"));
    bench_tell(&bench, MEMBERS, "ERROR", "{\"kind\":\"Status\",\"code\":410,\"message\":\"too old\"}");
    bench_advance(&bench, 60000);
    assert_true(claims(&bench, "demo/api-federated"));
    members->items = "";
    bench_tell(&bench, MEMBERS, "DELETED", UNREADABLE("api"));
    assert_false(claims(&bench, "demo/api-federated"));
    bench_tell(&bench, MEMBERS, "ADDED", MEMBER("api"));
    assert_true(claims(&bench, "demo/api-federated"));
    /* The Link selects no members any more. */
    assert_non_null(members->watch);
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", LINK(""));
    bench_advance(&bench, 1000);
    assert_false(claims(&bench, "demo/api-federated"));
    assert_true(claims(&bench, "demo/web-east"));
    bench_done(&bench);
}

/* One watch becomes two, one of these another, and they one again; then the credentials are others. */
static void what_a_link_selects_may_change_while_it_is_watched(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench);
    (void)bench_serve(&bench, SLICES, "EndpointSlice", "");
    (void)bench_serve(&bench, MEMBERS, "Service", MEMBER("api"));
    (void)bench_serve(&bench, "/api/v1/services?labelSelector=g", "Service",
                      OBJECT("db", ",\"labels\":{\"g\":\"yes\"}},\"spec\":{\"ports\":[{\"port\":80}]}}"));
    (void)bench_serve(&bench, BENCH_SERVICES, "Service", MEMBER("all"));
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_false(claims(&bench, "demo/api-federated"));
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", LINK_OF_BOTH);
    bench_advance(&bench, 1000);
    assert_true(claims(&bench, "demo/web-east") && claims(&bench, "demo/api-federated"));
    bench_tell(&bench, BENCH_LINKS, "MODIFIED",
               LINK(",\"federatedServiceSelector\":{\"matchLabels\":{\"g\":\"yes\"}}"));
    bench_advance(&bench, 1000);
    assert_true(claims(&bench, "demo/web-east") && claims(&bench, "demo/db-federated"));
    assert_false(claims(&bench, "demo/api-federated"));
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", LINK_OF_BOTH);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "", OTHER_KUBECONFIG, 0));
    bench_tell(&bench, BENCH_SECRETS, "MODIFIED", bench_secret("a", "", OTHER_KUBECONFIG, 0));
    bench_advance(&bench, 1000);
    assert_true(claims(&bench, "demo/web-east") && claims(&bench, "demo/api-federated"));
    assert_false(claims(&bench, "demo/db-federated"));
    assert_string_equal(bench_problem(&bench), "");
    bench_done(&bench);
}

static void a_target_is_listed_when_its_members_are(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench);
    (void)bench_serve(&bench, SLICES, "EndpointSlice", "");
    (void)bench_serve(&bench, BENCH_LINKS, "Link", LINK_OF_BOTH);
    bench_serve(&bench, MEMBERS, "Service", "")->begin_only = MEMBER("api");
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_non_null(strstr(bench_not_ready(&bench), "link east: the target is not listed yet"));
    bench_advance(&bench, 31000);
    assert_string_equal(bench_not_ready(&bench), "");
    assert_non_null(strstr(bench_problem(&bench), "still not listed completely"));
    bench_done(&bench);
}

static void members_that_may_not_be_read_are_told_once(void **state)
{
    (void)state;
    struct bench bench;
    open_target(&bench);
    (void)bench_serve(&bench, SLICES, "EndpointSlice", "");
    (void)bench_serve(&bench, BENCH_LINKS, "Link", LINK_OF_BOTH);
    struct bench_listing *members = bench_serve(&bench, MEMBERS, "Service", MEMBER("api"));
    members->status = 403;
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 60000);
    assert_int_equal(bench_event_count(&bench, "TargetAccessDenied"), 1);
    assert_non_null(strstr(bench_problem(&bench), "services"));
    members->status = 200;
    bench_advance(&bench, 120000);
    assert_int_equal(bench_event_count(&bench, "TargetReachable"), 1);
    assert_string_equal(bench_problem(&bench), "");
    assert_true(claims(&bench, "demo/api-federated"));
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_have_a_watch_of_their_own),
        cmocka_unit_test(what_a_link_selects_may_change_while_it_is_watched),
        cmocka_unit_test(a_target_is_listed_when_its_members_are),
        cmocka_unit_test(members_that_may_not_be_read_are_told_once),
        cmocka_unit_test(a_target_without_slices_is_read_by_its_endpoints),
        cmocka_unit_test(endpoints_are_followed_until_slices_appear_and_again_when_they_go),
        cmocka_unit_test(slices_are_listed_again_when_they_are_wanted_whole),
        cmocka_unit_test(what_is_too_much_is_told_and_listed_again_when_there_is_room),
        cmocka_unit_test(what_was_left_out_may_be_gone),
        cmocka_unit_test(a_target_without_an_end_holds_up_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
