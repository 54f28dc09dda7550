/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/links.c and target.c: declarations and credentials as they come and go. */
#include "tests/unit/control_bench.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

/* ---- one message for each declaration ---- */

static void a_rival_is_told_once(void **state)
{
    (void)state;
    struct bench bench;
    char items[8192];
    bench_init(&bench, false);
    (void)snprintf(items, sizeof(items), "%s,%s", bench_secret("a", "east", NULL, 0),
                   bench_secret("b", "east", NULL, 0));
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", items);
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_int_equal(bench_event_count(&bench, "LinkInvalid"), 1);
    assert_string_equal(bench_event(&bench, "LinkInvalid")->regarding, "b");
    assert_non_null(strstr(bench_event(&bench, "LinkInvalid")->note, "already linked by Secret a"));
    for (unsigned i = 0; i < 5; i++)
        bench_tell(&bench, BENCH_SECRETS, i % 2 == 0 ? "ADDED" : "DELETED", bench_secret("c", "north", NULL, 0));

    bench_advance(&bench, 31000); /* Events that are told again are counted up after half a minute */
    assert_int_equal(bench_event_count(&bench, "LinkInvalid"), 1);
    assert_int_equal(bench_event(&bench, "LinkInvalid")->repeats, 0);
    assert_true(bench_metric(&bench, "svcmirror_link_invalid{kind=\"Secret\",name=\"b\"}") == 1);
    bench_tell(&bench, BENCH_SECRETS, "DELETED", bench_secret("a", "east", NULL, 0));
    assert_true(bench_metric(&bench, "svcmirror_link_invalid{kind=\"Secret\",name=\"b\"}") == -1);
    /* And again once it was over. */
    bench_tell(&bench, BENCH_SECRETS, "ADDED", bench_secret("a", "east", NULL, 0));
    bench_advance(&bench, 31000);
    assert_int_equal(bench_event_count(&bench, "LinkInvalid") + bench_event(&bench, "LinkInvalid")->repeats, 2);
    bench_done(&bench);
}

/* ---- Links that may not be read ---- */

static void links_that_may_not_be_read_leave_the_secrets(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, true);
    bench_serve(&bench, BENCH_LINKS, "Link", "")->status = 403;
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "east", NULL, 0));
    /* A mirror of ours, of a cluster that nothing names: a Link may. */
    (void)bench_serve(
        &bench, BENCH_MIRRORS, "Service",
        "{\"metadata\":{\"namespace\":\"demo\",\"name\":\"web-north\",\"uid\":\"1\",\"resourceVersion\":\"2\","
        "\"managedFields\":[{\"manager\":\"svcmirror\"}],\"labels\":{\"mirror.linkerd.io/mirrored-service\":"
        "\"true\",\"mirror.linkerd.io/cluster-name\":\"north\"}}}");
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_string_equal(bench_not_ready(&bench), "");
    assert_string_equal(bench_problem(&bench), "");
    assert_true(bench_metric(&bench, "svcmirror_declarations_readable{resource=\"links\"}") == 0);
    assert_true(bench_metric(&bench, "svcmirror_declarations_readable{resource=\"secrets\"}") == 1);
    bench_advance(&bench, 1000);
    assert_true(bench_metric(&bench, "svcmirror_writes_total{verb=\"delete\",kind=\"Service\"}") == -1);
    /* The right is granted: now it is known that none does. */
    (void)bench_serve(&bench, BENCH_LINKS, "Link", "");
    bench_advance(&bench, 60000);
    assert_true(bench_metric(&bench, "svcmirror_declarations_readable{resource=\"links\"}") == 1);
    assert_true(bench_metric(&bench, "svcmirror_writes_total{verb=\"delete\",kind=\"Service\"}") >= 1);
    bench_done(&bench);
}

/* ---- credentials ---- */

static const char link_object[] =
    "{\"kind\":\"Link\",\"metadata\":{\"namespace\":\"mc\",\"name\":\"east\",\"uid\":\"u\"},\"spec\":{"
    "\"targetClusterName\":"
    "\"east\",\"targetClusterDomain\":\"cluster.local\",\"clusterCredentialsSecret\":\"a\",\"gatewayAddress\":\"10.0.0."
    "1\","
    "\"gatewayPort\":\"4143\",\"probeSpec\":{\"path\":\"/ready\",\"port\":\"4191\",\"period\":\"3s\"},"
    "\"selector\":{\"matchLabels\":{\"exported\":\"yes\"}}}}";

/* Link with one text in it replaced by another. */
static const char *link_with(const char *old, const char *replacement)
{
    static char text[sizeof(link_object) + 64];
    const char *at = strstr(link_object, old);
    (void)snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - link_object), link_object, replacement, at + strlen(old));
    return text;
}

static void open_link(struct bench *bench, const char *secret)
{
    bench_init(bench, true);
    (void)bench_serve(bench, BENCH_LINKS, "Link", link_object);
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", secret);
    (void)bench_serve(bench, BENCH_EXPORTED, "Service", "");
    assert_int_equal(bench_start(bench), ERR_OK);
}

static void credentials_that_come_back_end_the_problem(void **state)
{
    (void)state;
    struct bench bench;
    open_link(&bench, bench_secret("a", "", NULL, 0));
    assert_string_equal(bench_problem(&bench), "");
    const struct http_call *watch = bench.listings[0].watch;
    bench_tell(&bench, BENCH_SECRETS, "DELETED", bench_secret("a", "", NULL, 0));
    assert_non_null(strstr(bench_problem(&bench), "does not exist"));
    bench_tell(&bench, BENCH_SECRETS, "ADDED", bench_secret("a", "", NULL, 0));
    assert_string_equal(bench_problem(&bench), "");
    assert_int_equal(bench_event_count(&bench, "CredentialsUnusable"), 1);
    assert_int_equal(bench_event_count(&bench, "CredentialsUsable"), 1);
    assert_string_equal(bench_event(&bench, "CredentialsUsable")->type, "Normal");
    assert_ptr_equal(watch, bench.listings[0].watch);
    bench_done(&bench);
}

static void credentials_that_cannot_be_used_stay_a_problem(void **state)
{
    (void)state;
    struct bench bench;
    open_link(&bench, bench_secret("a", "", NULL, 0));
    bench_tell(&bench, BENCH_SECRETS, "MODIFIED", bench_secret("a", "", "hello", 0));
    assert_non_null(strstr(bench_problem(&bench), "kubeconfig"));
    for (unsigned i = 0; i < 3; i++) /* something else makes us look again */
        bench_tell(&bench, BENCH_SECRETS, "MODIFIED", bench_secret("other", "", NULL, 0));
    assert_non_null(strstr(bench_problem(&bench), "kubeconfig"));
    /* Gone and back: what is told is its own fault again. */
    bench_tell(&bench, BENCH_SECRETS, "DELETED", bench_secret("a", "", "hello", 0));
    assert_non_null(strstr(bench_problem(&bench), "does not exist"));
    bench_tell(&bench, BENCH_SECRETS, "ADDED", bench_secret("a", "", "hello", 0));
    assert_null(strstr(bench_problem(&bench), "does not exist"));
    assert_string_not_equal(bench_problem(&bench), "");
    /* The one that was in use all the time. */
    bench_tell(&bench, BENCH_SECRETS, "MODIFIED", bench_secret("a", "", NULL, 0));
    assert_string_equal(bench_problem(&bench), "");
    bench_advance(&bench, 31000);
    assert_int_equal(bench_event_count(&bench, "CredentialsUsable"), 1);
    bench_done(&bench);
}

static void a_kubeconfig_ends_at_its_first_nul(void **state)
{
    (void)state;
    static const char text[] = "hello\0world, which is a good deal longer than what stands before it";
    struct bench bench;
    open_link(&bench, bench_secret("a", "", text, sizeof(text) - 1));
    assert_non_null(strstr(bench_problem(&bench), "kubeconfig"));
    bench_done(&bench);
}

static const char *kubeconfig(const char *server, const char *more)
{
    static char text[700];
    (void)snprintf(text, sizeof(text),
                   "{\"clusters\":[{\"name\":\"c\",\"cluster\":{\"server\":\"%s\"%s}}],\"users\":[{\"name\":\"u\","
                   "\"user\":{\"token\":\"t\"}}],\"contexts\":[{\"name\":\"x\",\"context\":{\"cluster\":\"c\",\"user\":"
                   "\"u\"}}],\"current-context\":\"x\"}",
                   server, more);
    return text;
}

static void unguarded_credentials_are_told(void **state)
{
    (void)state;
    static const char warning[] = "svcmirror_link_warning{target_cluster_name=\"east\"}";
    static const char usable[] = "svcmirror_credentials_usable{target_cluster_name=\"east\"}";
    struct bench bench;
    open_link(&bench, bench_secret("a", "", NULL, 0));
    assert_int_equal(bench_event_count(&bench, "CredentialsWarning"), 0);
    assert_true(bench_metric(&bench, warning) == 0);
    bench_tell(&bench, BENCH_SECRETS, "MODIFIED", bench_secret("a", "", kubeconfig("http://target:8080", ""), 0));
    bench_tell(&bench, BENCH_SECRETS, "MODIFIED", bench_secret("a", "", kubeconfig("HTTP://target:8081", ""), 0));
    assert_int_equal(bench_event_count(&bench, "CredentialsWarning"), 1);
    assert_string_equal(bench_event(&bench, "CredentialsWarning")->type, "Warning");
    assert_non_null(strstr(bench_event(&bench, "CredentialsWarning")->note, "http://"));
    assert_true(bench_metric(&bench, warning) == 1);
    bench_tell(&bench, BENCH_SECRETS, "MODIFIED",
               bench_secret("a", "", kubeconfig("https://target:6443", ",\"insecure-skip-tls-verify\":true"), 0));
    assert_int_equal(bench_event_count(&bench, "CredentialsWarning"), 2);
    assert_non_null(strstr(bench_event(&bench, "CredentialsWarning")->note, "insecure-skip-tls-verify"));
    bench_tell(&bench, BENCH_SECRETS, "MODIFIED", bench_secret("a", "", NULL, 0));
    assert_true(bench_metric(&bench, warning) == 0);
    assert_true(bench_metric(&bench, usable) == 1);
    bench_tell(&bench, BENCH_SECRETS, "MODIFIED", bench_secret("a", "", "hello", 0));
    assert_true(bench_metric(&bench, usable) == 0);
    bench_tell(&bench, BENCH_LINKS, "DELETED", link_object);
    assert_true(bench_metric(&bench, usable) == -1);
    assert_true(bench_metric(&bench, warning) == -1);
    bench_done(&bench);
}

static void an_odd_declaration_has_a_metric(void **state)
{
    (void)state;
    struct bench bench;
    open_link(&bench, bench_secret("a", "", NULL, 0));
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", link_with("\"3s\"", "\"0s\""));
    assert_true(bench_metric(&bench, "svcmirror_link_warning{target_cluster_name=\"east\"}") == 1);
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", link_object);
    assert_true(bench_metric(&bench, "svcmirror_link_warning{target_cluster_name=\"east\"}") == 0);
    bench_done(&bench);
}

/* ---- a target that fails ---- */

/* How often it was told, as an Event of its own or counted on one. */
static unsigned told(const struct bench *bench, const char *reason)
{
    unsigned count = 0;
    for (unsigned i = 0; i < bench->event_count; i++)
        if (strcmp(bench->events[i].reason, reason) == 0)
            count += 1 + bench->events[i].repeats;
    return count;
}

/* Retries for a while, each refused with another status than the one before. */
static void fail_in_turn(struct bench *bench, int one, int other, uint64_t ms)
{
    struct bench_listing *listing = bench_serve(bench, BENCH_SERVICES, "Service", "");
    listing->status = one;
    for (uint64_t passed = 0; passed < ms; passed += 1000) {
        unsigned asked = listing->asked;
        bench_advance(bench, 1000);
        if (listing->asked != asked)
            listing->status = listing->status == one ? other : one;
    }
}

static void a_failing_target_is_told_once_and_so_is_its_end(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, false);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "east", NULL, 0));
    bench_serve(&bench, BENCH_SERVICES, "Service", "")->status = 500;
    assert_int_equal(bench_start(&bench), ERR_OK);
    fail_in_turn(&bench, 404, 500, 240000);
    assert_int_equal(told(&bench, "TargetUnreachable"), 1);
    assert_int_equal(told(&bench, "TargetAccessDenied"), 0);
    /* Another kind of failure is another thing to mend. */
    fail_in_turn(&bench, 403, 500, 240000);
    assert_int_equal(told(&bench, "TargetAccessDenied"), 1);
    assert_in_range(told(&bench, "TargetUnreachable"), 1, 2);
    assert_int_equal(told(&bench, "TargetReachable"), 0);
    /* New credentials do not make it forget. */
    bench_tell(&bench, BENCH_SECRETS, "MODIFIED", bench_secret("a", "east", kubeconfig("https://target:6444", ""), 0));
    (void)bench_serve(&bench, BENCH_SERVICES, "Service", "");
    bench_advance(&bench, 60000);
    assert_int_equal(told(&bench, "TargetReachable"), 1);
    assert_string_equal(bench_event(&bench, "TargetReachable")->type, "Normal");
    bench_done(&bench);
}

/* ---- want of memory ---- */

/* Whatever allocation fails: in the end the target is linked, and its gateway is probed. */
static void no_failed_allocation_is_for_ever(void **state)
{
    (void)state;
    for (unsigned long n = 1;; n++) {
        struct bench bench;
        open_link(&bench, "");
        (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
        unsigned long before = mem_allocation_count();
        mem_fail_at(n);
        bench_tell(&bench, BENCH_SECRETS, "ADDED", bench_secret("a", "", NULL, 0));
        mem_fail_at(0);
        bool failed = mem_allocation_count() - before >= n;
        bench_advance(&bench, 5000);
        if (strcmp(bench_problem(&bench), "") != 0 || bench_probed() != 1)
            fail_msg("after allocation %lu failed: \"%s\", %u probes", n, bench_problem(&bench), bench_probed());
        bench_done(&bench);
        if (!failed)
            return;
    }
}

/* ---- credentials that are on their way to their Link, and Links that became unusable ---- */

static const char bare_secret[] = "{\"kind\":\"Secret\",\"metadata\":{\"namespace\":\"mc\",\"name\":\"cluster-"
                                  "credentials-east\",\"uid\":\"s\"},\"type\":"
                                  "\"mirror.linkerd.io/remote-kubeconfig\",\"data\":{\"kubeconfig\":\"e30=\"}}";

static void credentials_without_annotations_wait_for_their_link(void **state)
{
    (void)state;
    for (unsigned links_served = 0; links_served <= 1; links_served++) {
        struct bench bench;
        bench_init(&bench, links_served == 1);
        (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bare_secret);
        if (links_served == 1)
            (void)bench_serve(&bench, BENCH_LINKS, "Link", "");
        assert_int_equal(bench_start(&bench), ERR_OK);
        assert_int_equal(bench_event_count(&bench, "LinkInvalid"), links_served == 1 ? 0 : 1);
        bench_done(&bench);
    }
}

static void a_link_that_became_unusable_keeps_its_place(void **state)
{
    (void)state;
    struct bench bench;
    bench_init(&bench, true);
    (void)bench_serve(&bench, BENCH_LINKS, "Link", link_object);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", link_with("\"4143\"", "\"zzzz\""));
    assert_int_equal(bench_event_count(&bench, "LinkInvalid"), 1);
    assert_non_null(strstr(bench_event(&bench, "LinkInvalid")->note, "spec.gatewayPort \"zzzz\" is not a port"));
    /* A 2.8 Secret that names the cluster too gets no target beside it, and is told so. */
    bench_tell(&bench, BENCH_SECRETS, "ADDED", bench_secret("rival", "east", NULL, 0));
    assert_int_equal(bench_event_count(&bench, "LinkInvalid"), 2);
    assert_true(bench_metric(&bench, "svcmirror_link_invalid{kind=\"Secret\",name=\"rival\"}") == 1);
    assert_true(bench_metric(&bench, "svcmirror_link_invalid{kind=\"Secret\",name=\"a\"}") == -1);
    bench_done(&bench);
}

/* ---- refused declarations in the status ---- */

struct listed {
    unsigned count, refused;
    char lines[2048]; /* "kind/namespace/name cluster" of each, and its problem */
};

static void list_link(void *context, const struct link_info *info)
{
    struct listed *listed = context;
    size_t length = strlen(listed->lines);
    listed->count++;
    listed->refused += info->refused ? 1 : 0;
    (void)snprintf(listed->lines + length, sizeof(listed->lines) - length, "%s/%s/%s \"%s\"%s: %s\n", info->kind,
                   info->namespace, info->name, info->cluster, info->refused ? " refused" : "", info->problem);
}

static struct listed list_links(const struct bench *bench)
{
    struct listed listed = {0};
    const struct admin_source *source = control_source(bench->control);
    source->each_link(source->context, list_link, &listed);
    return listed;
}

static void expect_line(const struct bench *bench, unsigned count, unsigned refused, const char *line)
{
    const struct listed listed = list_links(bench);
    if (listed.count != count || listed.refused != refused || strstr(listed.lines, line) == NULL)
        fail_msg("%u listed, %u of them refused, expected %u, %u and \"%s\":\n%s", listed.count, listed.refused, count,
                 refused, line, listed.lines);
}

static void a_working_link_that_becomes_unusable_has_a_problem(void **state)
{
    (void)state;
    struct bench bench;
    open_link(&bench, bench_secret("a", "", NULL, 0));
    expect_line(&bench, 1, 0, "Link/mc/east \"east\": \n");
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", link_with("\"4143\"", "\"zzzz\""));
    expect_line(&bench, 1, 0,
                "Link/mc/east \"east\": the declaration is refused, and the link stays as it was: spec.gatewayPort");
    /* Both what is wrong with the declaration and what is wrong with the credentials. */
    bench_tell(&bench, BENCH_SECRETS, "DELETED", bench_secret("a", "", NULL, 0));
    expect_line(&bench, 1, 0, "\"zzzz\" is not a port");
    expect_line(&bench, 1, 0, "; Secret mc/a does not exist");
    bench_tell(&bench, BENCH_SECRETS, "ADDED", bench_secret("a", "", NULL, 0));
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", link_object);
    expect_line(&bench, 1, 0, "Link/mc/east \"east\": \n");
    /* What is only odd is a warning. */
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", link_with("\"3s\"", "\"0s\""));
    expect_line(&bench, 1, 0, "Link/mc/east \"east\": \n");
    bench_done(&bench);
}

/* Whatever allocation fails: in the end the status tells. */
static void no_failed_allocation_hides_a_refusal(void **state)
{
    (void)state;
    for (unsigned long n = 1;; n++) {
        struct bench bench;
        open_link(&bench, bench_secret("a", "", NULL, 0));
        const char *bad = link_with("\"4143\"", "\"zzzz\"");
        (void)bench_serve(&bench, BENCH_LINKS, "Link", bad);
        unsigned long before = mem_allocation_count();
        mem_fail_at(n);
        bench_tell(&bench, BENCH_LINKS, "MODIFIED", bad);
        mem_fail_at(0);
        bool failed = mem_allocation_count() - before >= n;
        bench_advance(&bench, 5000);
        const struct listed listed = list_links(&bench);
        if (listed.count != 1 || strstr(listed.lines, "the link stays as it was: spec.gatewayPort") == NULL)
            fail_msg("after allocation %lu failed: %s", n, listed.lines);
        bench_done(&bench);
        if (!failed)
            return;
    }
}

static void a_declaration_that_is_refused_is_listed(void **state)
{
    (void)state;
    static const struct {
        const char *old, *replacement, *line;
    } CASES[] = {
        {"\"4143\"", "\"zzzz\"", "Link/mc/east \"east\" refused: spec.gatewayPort \"zzzz\" is not a port"},
        {"\"targetClusterName\":\"east\"", "\"targetClusterName\":\"Not A Name\"",
         "Link/mc/east \"\" refused: spec.targetClusterName"},
        {"\"targetClusterName\":\"east\"", "\"targetClusterName\":7", "Link/mc/east \"\" refused: "},
        {"\"matchLabels\":{\"exported\":\"yes\"}", "\"matchLabels\":7", "Link/mc/east \"east\" refused: spec.selector"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct bench bench;
        bench_init(&bench, true);
        (void)bench_serve(&bench, BENCH_LINKS, "Link", link_with(CASES[i].old, CASES[i].replacement));
        assert_int_equal(bench_start(&bench), ERR_OK);
        expect_line(&bench, 1, 1, CASES[i].line);
        bench_tell(&bench, BENCH_LINKS, "DELETED", link_object);
        assert_int_equal(list_links(&bench).refused, 0);
        bench_done(&bench);
    }
}

static void a_rival_is_listed_beside_the_link_that_has_its_cluster(void **state)
{
    (void)state;
    struct bench bench;
    char items[8192];
    bench_init(&bench, false);
    (void)snprintf(items, sizeof(items), "%s,%s", bench_secret("a", "east", NULL, 0),
                   bench_secret("b", "east", NULL, 0));
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", items);
    assert_int_equal(bench_start(&bench), ERR_OK);
    expect_line(&bench, 2, 1, "Secret/mc/b \"east\" refused: cluster name \"east\" is already linked by Secret a");
    bench_tell(&bench, BENCH_SECRETS, "DELETED", bench_secret("a", "east", NULL, 0));
    expect_line(&bench, 1, 0, "Secret/mc/b \"east\": ");
    bench_done(&bench);
}

static void a_link_that_is_being_deleted_is_gone(void **state)
{
    (void)state;
    struct bench bench;
    char going[sizeof(link_object) + 64];
    bench_init(&bench, true);
    (void)bench_serve(&bench, BENCH_LINKS, "Link", link_object);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    assert_int_equal(bench_start(&bench), ERR_OK);
    assert_true(bench_metric(&bench, "svcmirror_link_api_reachable{target_cluster_name=\"east\"}") >= 0);
    /* Somebody else's finalizer holds the object. */
    (void)snprintf(going, sizeof(going), "%.*s\"deletionTimestamp\":\"2026-01-01T00:00:00Z\",%s",
                   (int)(strstr(link_object, "\"namespace\"") - link_object), link_object,
                   strstr(link_object, "\"namespace\""));
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", going);
    assert_true(bench_metric(&bench, "svcmirror_link_api_reachable{target_cluster_name=\"east\"}") == -1);
    bench_done(&bench);
}

static void one_link_may_be_served_alone(void **state)
{
    (void)state;
    static const char *const ONLY[] = {"east", "north", ""};
    for (size_t i = 0; i < ARRAY_COUNT(ONLY); i++) {
        struct bench bench;
        bench_init(&bench, true);
        bench.only_link = ONLY[i];
        (void)bench_serve(&bench, BENCH_LINKS, "Link", link_object);
        (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "south", NULL, 0));
        assert_int_equal(bench_start(&bench), ERR_OK);
        assert_int_equal(bench_metric(&bench, "svcmirror_link_api_reachable{target_cluster_name=\"east\"}") >= 0,
                         i == 0);
        assert_true(bench_metric(&bench, "svcmirror_link_api_reachable{target_cluster_name=\"south\"}") == -1);
        assert_int_equal(bench_event_count(&bench, "LinkInvalid"), 0);
        bench_done(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rival_is_told_once),
        cmocka_unit_test(links_that_may_not_be_read_leave_the_secrets),
        cmocka_unit_test(credentials_that_come_back_end_the_problem),
        cmocka_unit_test(credentials_that_cannot_be_used_stay_a_problem),
        cmocka_unit_test(a_kubeconfig_ends_at_its_first_nul),
        cmocka_unit_test(unguarded_credentials_are_told),
        cmocka_unit_test(an_odd_declaration_has_a_metric),
        cmocka_unit_test(a_failing_target_is_told_once_and_so_is_its_end),
        cmocka_unit_test(no_failed_allocation_is_for_ever),
        cmocka_unit_test(credentials_without_annotations_wait_for_their_link),
        cmocka_unit_test(a_link_that_is_being_deleted_is_gone),
        cmocka_unit_test(one_link_may_be_served_alone),
        cmocka_unit_test(a_link_that_became_unusable_keeps_its_place),
        cmocka_unit_test(a_working_link_that_becomes_unusable_has_a_problem),
        cmocka_unit_test(no_failed_allocation_hides_a_refusal),
        cmocka_unit_test(a_declaration_that_is_refused_is_listed),
        cmocka_unit_test(a_rival_is_listed_beside_the_link_that_has_its_cluster),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
