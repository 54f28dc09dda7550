/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/finalizers.c: which Links are held, and when they are let go. */
#include "tests/unit/control_bench.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define OURS "svcmirror.io/mirrors"
#define MANAGED "\"labels\":{\"app.kubernetes.io/managed-by\":\"svcmirror\"},"
#define DELETED "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\","

/* A Link "east" with more in its metadata. Valid until the next call. */
static const char *link_json(const char *version, const char *more)
{
    static char text[1200];
    (void)
        snprintf(text, sizeof(text),
                 "{\"kind\":\"Link\",\"metadata\":{%s\"namespace\":\"mc\",\"name\":\"east\",\"uid\":\"u\","
                 "\"resourceVersion\":\"%s\"},\"spec\":{\"targetClusterName\":\"east\",\"targetClusterDomain\":"
                 "\"cluster.local\",\"clusterCredentialsSecret\":\"a\",\"gatewayAddress\":\"10.0.0.1\",\"gatewayPort\":"
                 "\"4143\",\"probeSpec\":{\"path\":\"/ready\",\"port\":\"4191\",\"period\":\"3s\"},\"selector\":{"
                 "\"matchLabels\":{\"exported\":\"yes\"}}}}",
                 more, version);
    return text;
}

static const char mirror[] =
    "{\"metadata\":{\"namespace\":\"demo\",\"name\":\"web-east\",\"uid\":\"1\",\"resourceVersion\":\"2\","
    "\"managedFields\":[{\"manager\":\"svcmirror\"}],\"labels\":{\"mirror.linkerd.io/mirrored-service\":\"true\","
    "\"mirror.linkerd.io/cluster-name\":\"east\"}}}";

static void open_link(struct bench *bench, enum link_finalizer which, const char *more)
{
    bench_init(bench, true);
    bench->link_finalizer = which;
    (void)bench_serve(bench, BENCH_LINKS, "Link", link_json("7", more));
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    (void)bench_serve(bench, BENCH_EXPORTED, "Service", "");
}

static void it_is_put_where_it_is_wanted(void **state)
{
    (void)state;
    static const struct {
        enum link_finalizer which;
        const char *more;   /* of the Link's metadata */
        const char *wanted; /* the list that is written, NULL: none is */
    } cases[] = {
        {LINK_FINALIZER_MANAGED, "", NULL},
        {LINK_FINALIZER_MANAGED, MANAGED, "[\"" OURS "\"]"},
        {LINK_FINALIZER_MANAGED, MANAGED "\"finalizers\":[\"a/b\"],", "[\"a/b\",\"" OURS "\"]"},
        {LINK_FINALIZER_MANAGED, MANAGED "\"finalizers\":[\"" OURS "\"],", NULL},
        {LINK_FINALIZER_MANAGED, "\"finalizers\":[\"a/b\",\"" OURS "\"],", "[\"a/b\"]"},
        {LINK_FINALIZER_ALL, "", "[\"" OURS "\"]"},
        {LINK_FINALIZER_ALL, DELETED, NULL},
        {LINK_FINALIZER_NONE, MANAGED, NULL},
        {LINK_FINALIZER_NONE, MANAGED "\"finalizers\":[\"" OURS "\"],", "[]"},
        {LINK_FINALIZER_NONE, DELETED "\"finalizers\":[\"" OURS "\"],", "[]"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        char wanted[200] = "";
        open_link(&bench, cases[i].which, cases[i].more);
        assert_int_equal(bench_start(&bench), ERR_OK);
        bench_advance(&bench, 1000);
        if (cases[i].wanted != NULL)
            (void)snprintf(wanted, sizeof(wanted), "{\"metadata\":{\"resourceVersion\":\"7\",\"finalizers\":%s}}",
                           cases[i].wanted);
        assert_string_equal(bench.link_patch, wanted);
        assert_int_equal(bench.link_patches, cases[i].wanted != NULL ? 1 : 0);
        bench_done(&bench);
    }
}

#define HELD "\"finalizers\":[\"" OURS "\"],"

static void it_stays_until_the_mirrors_are_gone(void **state)
{
    (void)state;
    struct bench bench;
    open_link(&bench, LINK_FINALIZER_MANAGED, MANAGED HELD);
    (void)bench_serve(&bench, BENCH_MIRRORS, "Service", mirror);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", link_json("8", MANAGED HELD DELETED));
    bench_advance(&bench, 9000);
    assert_int_equal(bench.link_patches, 0);
    assert_int_equal(bench_event_count(&bench, "MirrorsLeft"), 0);
    bench_advance(&bench, 30000);
    assert_int_equal(bench.link_patches, 0);
    assert_int_equal(bench_event_count(&bench, "MirrorsLeft"), 1);
    assert_string_equal(bench_event(&bench, "MirrorsLeft")->regarding, "east");
    assert_non_null(strstr(bench_event(&bench, "MirrorsLeft")->note, "1 mirrors of cluster east"));
    bench_tell(&bench, BENCH_MIRRORS, "DELETED", mirror);
    bench_advance(&bench, 1000);
    assert_string_equal(bench.link_patch, "{\"metadata\":{\"resourceVersion\":\"8\",\"finalizers\":[]}}");
    assert_int_equal(bench.link_patches, 1);
    bench_done(&bench);
}

/* Whose name merely begins alike, or a Service of Linkerd's charts, is not waited for. */
static void what_is_not_of_the_cluster_is_not_waited_for(void **state)
{
    (void)state;
    static const struct {
        const char *labels, *annotations;
        bool waits;
    } cases[] = {
        {"", "\"multicluster.linkerd.io/remote-discovery\":\"web@east\"", true},
        {"", "\"multicluster.linkerd.io/remote-discovery\":\"web@east,web@west\"", true},
        {"", "\"multicluster.linkerd.io/remote-discovery\":\"web@a,web@east\"", true},
        {"", "\"multicluster.linkerd.io/remote-discovery\":\"web@eastern,web@far-east\"", false},
        {"", "\"multicluster.linkerd.io/local-discovery\":\"web\"", false},
        {",\"mirror.linkerd.io/cluster-name\":\"east\"", "", true},
        {",\"mirror.linkerd.io/cluster-name\":\"eastern\"", "", false},
        {",\"mirror.linkerd.io/cluster-name\":\"east\",\"mirror.linkerd.io/mirrored-gateway\":\"true\"", "", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        char item[700];
        open_link(&bench, LINK_FINALIZER_MANAGED, MANAGED HELD DELETED);
        (void)snprintf(item, sizeof(item),
                       "{\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\",\"uid\":\"1\",\"resourceVersion\":\"2\","
                       "\"labels\":{\"mirror.linkerd.io/mirrored-service\":\"true\"%s},\"annotations\":{%s}}}",
                       cases[i].labels, cases[i].annotations);
        (void)bench_serve(&bench, BENCH_MIRRORS, "Service", item);
        assert_int_equal(bench_start(&bench), ERR_OK);
        bench_advance(&bench, 1000);
        assert_int_equal(bench.link_patches, cases[i].waits ? 0 : 1);
        bench_done(&bench);
    }
}

/* Found deleted at the start, by an agent that may conclude nothing from which links it sees: this Link says what is to go. */
static void a_deleted_link_says_what_is_to_go(void **state)
{
    (void)state;
    struct bench bench;
    open_link(&bench, LINK_FINALIZER_MANAGED, MANAGED HELD DELETED);
    bench.only_link = "east";
    (void)bench_serve(&bench, BENCH_MIRRORS, "Service", mirror);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 1000);
    assert_true(bench_metric(&bench, "svcmirror_writes_total{verb=\"delete\",kind=\"Service\"}") >= 1);
    bench_tell(&bench, BENCH_MIRRORS, "DELETED", mirror);
    bench_advance(&bench, 1000);
    assert_int_equal(bench.link_patches, 1);
    bench_done(&bench);
}

static void another_declaration_takes_the_mirrors_over(void **state)
{
    (void)state;
    struct bench bench;
    char secrets[8192];
    open_link(&bench, LINK_FINALIZER_MANAGED, MANAGED HELD DELETED);
    (void)snprintf(secrets, sizeof(secrets), "%s,%s", bench_secret("a", "", NULL, 0),
                   bench_secret("b", "east", NULL, 0));
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", secrets);
    bench_serve(&bench, BENCH_SERVICES, "Service", "")->status = 500; /* nothing is known of it, so nothing goes */
    (void)bench_serve(&bench, BENCH_MIRRORS, "Service", mirror);
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 1000);
    assert_int_equal(bench.link_patches, 1);
    assert_true(bench_metric(&bench, "svcmirror_writes_total{verb=\"delete\",kind=\"Service\"}") == -1);
    bench_done(&bench);
}

static void refusals_are_tried_again_at_their_pace(void **state)
{
    (void)state;
    static const struct {
        int status;
        uint64_t quiet_ms, due_ms; /* not yet after the one, again after the other */
    } cases[] = {{409, 400, 600}, {403, 55000, 61000}, {500, 4500, 6000}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        open_link(&bench, LINK_FINALIZER_ALL, "");
        bench.link_patch_status = cases[i].status;
        assert_int_equal(bench_start(&bench), ERR_OK);
        assert_int_equal(bench.link_patches, 1);
        bench_advance(&bench, cases[i].quiet_ms);
        assert_int_equal(bench.link_patches, 1);
        bench.link_patch_status = 0;
        bench_advance(&bench, cases[i].due_ms - cases[i].quiet_ms);
        assert_int_equal(bench.link_patches, 2);
        bench_done(&bench);
    }
}

/* Whatever allocation fails: in the end the finalizer is on. */
static void no_failed_allocation_is_for_ever(void **state)
{
    (void)state;
    for (unsigned long n = 1;; n++) {
        struct bench bench;
        open_link(&bench, LINK_FINALIZER_MANAGED, "");
        assert_int_equal(bench_start(&bench), ERR_OK);
        unsigned long before = mem_allocation_count();
        mem_fail_at(n);
        bench_tell(&bench, BENCH_LINKS, "MODIFIED", link_json("8", MANAGED));
        mem_fail_at(0);
        bool failed = mem_allocation_count() - before >= n;
        (void)bench_serve(&bench, BENCH_LINKS, "Link",
                          link_json("8", MANAGED)); /* read again, where the event was lost */
        bench_advance(&bench, 10000);
        if (bench.link_patches == 0)
            fail_msg("after allocation %lu failed there is no finalizer", n);
        bench_done(&bench);
        if (!failed)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_put_where_it_is_wanted),
        cmocka_unit_test(it_stays_until_the_mirrors_are_gone),
        cmocka_unit_test(what_is_not_of_the_cluster_is_not_waited_for),
        cmocka_unit_test(a_deleted_link_says_what_is_to_go),
        cmocka_unit_test(another_declaration_takes_the_mirrors_over),
        cmocka_unit_test(refusals_are_tried_again_at_their_pace),
        cmocka_unit_test(no_failed_allocation_is_for_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
