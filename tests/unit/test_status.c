/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/status.c: what becomes of exported services, as the Link's status tells it. */
#include "tests/unit/control_bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/fake_http.h"

#define SERVICE(name)                                                                                                  \
    "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"" name                                      \
    "\",\"resourceVersion\":\"1\",\"labels\":{\"exported\":\"yes\"}},\"spec\":{\"ports\":[{\"port\":80}]}}"
#define ENTRY(name, reason)                                                                                            \
    "{\"controllerName\":\"linkerd.io/"                                                                                \
    "service-mirror\",\"remoteRef\":{\"group\":\"core\",\"kind\":\"Service\",\"name\":\"" name                         \
    "\",\"namespace\":\"demo\"},\"conditions\":[{\"type\":\"Mirrored\",\"status\":\"False\",\"reason\":\"" reason      \
    "\",\"message\":\"Namespace does not exist\",\"lastTransitionTime\":\"2026-01-01T00:00:00Z\"}]}"
#define LINK(entries)                                                                                                  \
    "{\"metadata\":{\"namespace\":\"mc\",\"name\":\"east\",\"uid\":\"u\"},\"spec\":{\"targetClusterName\":\"east\","   \
    "\"targetClusterDomain\":\"cluster.local\",\"clusterCredentialsSecret\":\"a\",\"gatewayAddress\":\"10.0.0.1\","    \
    "\"gatewayPort\":\"4143\",\"selector\":{\"matchLabels\":{\"exported\":\"yes\"}}},\"status\":{\"mirrorServices\":"  \
    "[" entries "]}}"
#define BODY(entries) "{\"status\":{\"mirrorServices\":[" entries "]}}"

/* Their namespace does not exist, so that what they come to is decided without a write. */
static void open_link(struct bench *bench, const char *link, const char *services)
{
    bench_init(bench, true);
    (void)bench_serve(bench, BENCH_LINKS, "Link", link);
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    (void)bench_serve(bench, BENCH_EXPORTED, "Service", services);
    assert_int_equal(bench_start(bench), ERR_OK);
    bench_advance(bench, 2000);
}

static void a_service_that_is_exported_no_longer_leaves(void **state)
{
    (void)state;
    struct bench bench;
    open_link(&bench, LINK(""), SERVICE("a") "," SERVICE("b"));
    assert_int_equal(bench.status_writes, 1);
    assert_non_null(strstr(bench.status, "\"name\":\"a\""));
    assert_non_null(strstr(bench.status, "\"name\":\"b\""));
    bench_tell(&bench, BENCH_LINKS, "MODIFIED",
               LINK(ENTRY("a", "MissingNamespace") "," ENTRY("b", "MissingNamespace")));
    bench_tell(&bench, BENCH_EXPORTED, "DELETED", SERVICE("b"));
    bench_advance(&bench, 2000);
    assert_string_equal(bench.status, BODY(ENTRY("a", "MissingNamespace")));
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", LINK(ENTRY("a", "MissingNamespace")));
    bench_tell(&bench, BENCH_EXPORTED, "DELETED", SERVICE("a"));
    bench_advance(&bench, 2000);
    assert_string_equal(bench.status, BODY(""));
    assert_int_equal(bench.status_writes, 3);
    bench_done(&bench);
}

static void what_went_while_nobody_looked_leaves(void **state)
{
    (void)state;
    struct bench bench;
    open_link(&bench, LINK(ENTRY("a", "MissingNamespace")), "");
    assert_string_equal(bench.status, BODY(""));
    bench_done(&bench);
}

/* Whoever wrote it last, in whatever order. */
static void a_right_status_is_not_written(void **state)
{
    (void)state;
    struct bench bench;
    open_link(&bench, LINK(ENTRY("a", "MissingNamespace") "," ENTRY("b", "MissingNamespace")),
              SERVICE("a") "," SERVICE("b"));
    assert_int_equal(bench.status_writes, 0);
    bench_done(&bench);
    open_link(&bench, LINK(ENTRY("b", "MissingNamespace") "," ENTRY("x", "Error") "," ENTRY("a", "MissingNamespace")),
              SERVICE("a") "," SERVICE("b"));
    assert_string_equal(bench.status, BODY(ENTRY("a", "MissingNamespace") "," ENTRY("b", "MissingNamespace")));
    bench_done(&bench);
}

static unsigned count_of(const char *text, const char *words)
{
    unsigned count = 0;
    for (const char *at = strstr(text, words); at != NULL; at = strstr(at + 1, words))
        count++;
    return count;
}

/* One that is new stands where its turn is; what was said of the others stands as it was, down to its time. */
static void one_more_in_between(void **state)
{
    (void)state;
    struct bench bench;
    open_link(&bench, LINK(ENTRY("a", "MissingNamespace") "," ENTRY("c", "MissingNamespace")),
              SERVICE("a") "," SERVICE("b") "," SERVICE("c"));
    assert_int_equal(bench.status_writes, 1);
    assert_int_equal(count_of(bench.status, "\"controllerName\""), 3);
    assert_int_equal(count_of(bench.status, "2026-01-01T00:00:00Z"), 2);
    assert_non_null(strstr(bench.status, ENTRY("a", "MissingNamespace")));
    assert_non_null(strstr(bench.status, ENTRY("c", "MissingNamespace")));
    bench_done(&bench);
}

/* An entry that says something else is written anew, with its old time as long as the condition's status is the same. */
static void what_is_said_wrongly_is_written_anew(void **state)
{
    (void)state;
    struct bench bench;
    open_link(&bench, LINK("{}," ENTRY("a", "Other") ",{\"remoteRef\":{\"name\":\"a\"}}"), SERVICE("a"));
    assert_int_equal(bench.status_writes, 1);
    assert_string_equal(bench.status, BODY(ENTRY("a", "MissingNamespace")));
    bench_done(&bench);
}

/* ---- more than an object can hold ---- */

/* Names of 63 characters, so that the mirrors' would be too long: nothing is written for them, and each entry is long. */
static void name_service(char text[512], unsigned number)
{
    (void)snprintf(
        text, 512,
        "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"s%062u\",\"resourceVersion\":\"1\","
        "\"labels\":{\"exported\":\"yes\"}},\"spec\":{\"ports\":[{\"port\":80}]}}",
        number);
}

static char *name_services(unsigned count)
{
    enum { ONE = 512 };
    char *all = calloc(count, ONE), *at = all;
    assert_non_null(all);
    for (unsigned i = 0; i < count; i++) {
        char one[ONE];
        name_service(one, i);
        at += sprintf(at, "%s%s", i > 0 ? "," : "", one);
    }
    return all;
}

static void a_status_that_no_object_can_hold_is_cut_and_says_so(void **state)
{
    enum { MOST = 1000 * 1000, SERVICES = 2300, FEWER = 1900 };
    (void)state;
    struct bench bench;
    unsigned left_out = 0;
    char *services = name_services(SERVICES);
    open_link(&bench, LINK(""), services);
    assert_int_equal(bench.status_writes, 1);
    assert_in_range(bench.status_bytes, MOST * 9 / 10, MOST);
    const char *summary =
        strstr(bench.status_end, "{\"controllerName\":\"linkerd.io/service-mirror\",\"remoteRef\":{\"group\":"
                                 "\"multicluster.linkerd.io\",\"kind\":\"Link\",\"name\":\"east\","
                                 "\"namespace\":\"mc\"},\"conditions\":[{\"type\":\"Complete\",\"status\":"
                                 "\"False\",\"reason\":\"TooManyServices\"");
    assert_non_null(summary);
    const char *counted = strstr(summary, "that are mirrored and ");
    assert_non_null(counted);
    assert_int_equal(sscanf(counted, "that are mirrored and %u that are not;", &left_out), 1);
    assert_in_range(left_out, 1, SERVICES - FEWER);
    for (unsigned i = FEWER; i < SERVICES; i++) {
        char one[512];
        name_service(one, i);
        bench_tell(&bench, BENCH_EXPORTED, "DELETED", one);
    }
    bench_advance(&bench, 2000);
    assert_int_equal(bench.status_writes, 1); /* etcd has room for 100 kB of it a second */
    bench_advance(&bench, 10000);
    assert_true(bench.status_writes > 1);
    assert_in_range(bench.status_bytes, 1, MOST);
    assert_null(strstr(bench.status_end, "TooManyServices"));
    assert_non_null(strstr(bench.status_end, "1899\""));
    bench_done(&bench);
    free(services);
}

/* ---- what it costs the server ---- */

/* A status is written, answered so long and a hundred milliseconds later, and another service comes. @return how long after the answer it is written
 * again, to a hundred milliseconds. */
static unsigned rest_of(const char *services, unsigned answered_ms, unsigned status)
{
    struct bench bench;
    unsigned rested_ms = 0;
    open_link(&bench, LINK(""), services);
    bench_advance(&bench, 120000); /* the rest after this one */
    bench.holds_statuses = true;
    bench_tell(&bench, BENCH_EXPORTED, "ADDED", SERVICE("x"));
    bench_advance(&bench, 1100);
    assert_int_equal(bench.status_writes, 2);
    bench_tell(&bench, BENCH_EXPORTED, "ADDED", SERVICE("y"));
    bench_advance(&bench, answered_ms);
    assert_int_equal(bench.status_writes, 2);
    fake_http_answer(bench.held_status, status, "{}");
    for (; bench.status_writes == 2 && rested_ms < 100000; rested_ms += 100)
        bench_advance(&bench, 100);
    bench_done(&bench);
    return rested_ms;
}

static void a_server_that_works_long_on_a_status_gets_a_rest(void **state)
{
    (void)state;
    char *services = name_services(500); /* some 250 kB */
    assert_in_range(rest_of(services, 100, 200), 3900, 4500);
    assert_in_range(rest_of(services, 0, 200), 2300, 2900);     /* what etcd has room for */
    assert_in_range(rest_of(services, 4900, 200), 9000, 12000); /* no longer than its length is worth */
    assert_in_range(rest_of(services, 400, 503), 9500, 10500);  /* after a failure, too */
    /* A short one is little work, whatever it waited for. */
    assert_in_range(rest_of(SERVICE("a"), 4900, 200), 900, 1200);
    free(services);
}

/* ---- several Links ---- */

enum { LINKS = 7, AT_ONCE = 4 };

struct turns {
    char order[32]; /* the digit of each Link whose status was written */
    struct http_call *calls[32];
};

static bool note_turn(struct bench *bench, struct http_call *call)
{
    struct turns *turns = bench->context;
    const char *link = strstr(fake_http_path(call), "/links/link"),
               *end = link != NULL ? strstr(link, "/status") : NULL;
    size_t count = strlen(turns->order);
    if (end != NULL && count + 1 < sizeof(turns->order)) {
        turns->order[count] = end[-1];
        turns->calls[count] = call;
    }
    return false;
}

static void name_link(char text[1024], char digit)
{
    (void)snprintf(text, 1024,
                   "{\"metadata\":{\"namespace\":\"mc\",\"name\":\"link%c\",\"uid\":\"u%c\"},\"spec\":{"
                   "\"targetClusterName\":\"link%c\",\"targetClusterDomain\":\"cluster.local\","
                   "\"clusterCredentialsSecret\":\"a\",\"gatewayAddress\":\"10.0.0.1\",\"gatewayPort\":\"4143\","
                   "\"selector\":{\"matchLabels\":{\"exported\":\"yes\"}}}}",
                   digit, digit, digit);
}

static void end_link(struct bench *bench, char digit)
{
    char text[1024];
    name_link(text, digit);
    bench_tell(bench, BENCH_LINKS, "DELETED", text);
    bench_advance(bench, 100);
}

/* Each of a few at a time, whoever goes meanwhile. */
static void links_take_turns(void **state)
{
    (void)state;
    struct bench bench;
    struct turns turns = {0};
    char links[LINKS * 1024] = "", waiting = 0;
    for (char digit = '0'; digit < '0' + LINKS; digit++) {
        char link[1024];
        name_link(link, digit);
        strcat(links, digit > '0' ? "," : "");
        strcat(links, link);
    }
    bench_init(&bench, true);
    bench.holds_statuses = true;
    bench.on_write = note_turn;
    bench.context = &turns;
    (void)bench_serve(&bench, BENCH_LINKS, "Link", links);
    (void)bench_serve(&bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    (void)bench_serve(&bench, BENCH_EXPORTED, "Service", SERVICE("a"));
    assert_int_equal(bench_start(&bench), ERR_OK);
    bench_advance(&bench, 5000);
    assert_int_equal(strlen(turns.order), AT_ONCE);
    for (char digit = '0'; digit < '0' + LINKS; digit++)
        waiting = strchr(turns.order, digit) == NULL ? digit : waiting;
    end_link(&bench, waiting);
    assert_int_equal(strlen(turns.order), AT_ONCE);
    end_link(&bench, turns.order[1]); /* under way: another has its place */
    assert_int_equal(strlen(turns.order), AT_ONCE + 1);
    fake_http_answer(turns.calls[2], 200, "{}");
    bench_advance(&bench, 100);
    assert_int_equal(strlen(turns.order), LINKS - 1);
    assert_null(strchr(turns.order, waiting));
    for (unsigned i = 0; i < LINKS - 1; i++) /* nobody had two turns */
        assert_null(strchr(turns.order + i + 1, turns.order[i]));
    bench_done(&bench);
}

/* ---- the end ---- */

static void on_stopped(void *context) { *(bool *)context = true; }

static void a_status_that_is_due_is_written_before_the_end(void **state)
{
    (void)state;
    struct bench bench;
    bool stopped = false;
    open_link(&bench, LINK(""), SERVICE("a"));
    assert_int_equal(bench.status_writes, 1);
    bench.holds_statuses = true;
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", LINK(ENTRY("a", "MissingNamespace")));
    bench_tell(&bench, BENCH_EXPORTED, "ADDED", SERVICE("b"));
    assert_int_equal(bench.status_writes, 1); /* changes are gathered for a second */
    control_stop(bench.control, on_stopped, &stopped);
    bench_advance(&bench, 500);
    assert_int_equal(bench.status_writes, 2);
    assert_non_null(strstr(bench.status, "\"name\":\"b\""));
    assert_false(stopped);
    fake_http_answer(bench.held_status, 200, "{}");
    bench_advance(&bench, 100);
    assert_true(stopped);
    bench_done(&bench);
}

static void a_status_that_hangs_does_not_hold_the_end(void **state)
{
    (void)state;
    struct bench bench;
    bool stopped = false;
    open_link(&bench, LINK(""), SERVICE("a"));
    bench.holds_statuses = true;
    bench_tell(&bench, BENCH_LINKS, "MODIFIED", LINK(""));
    bench_tell(&bench, BENCH_EXPORTED, "ADDED", SERVICE("b"));
    bench_advance(&bench, 1500);
    assert_int_equal(bench.status_writes, 2);
    bench_tell(&bench, BENCH_EXPORTED, "ADDED", SERVICE("c"));
    control_stop(bench.control, on_stopped, &stopped);
    bench_advance(&bench, 1900);
    assert_false(stopped);
    /* One is answered at last: what changed meanwhile is sent, once. */
    fake_http_answer(bench.held_status, 200, "{}");
    bench_advance(&bench, 50);
    assert_int_equal(bench.status_writes, 3);
    assert_non_null(strstr(bench.status, "\"name\":\"c\""));
    bench_advance(&bench, 200);
    assert_true(stopped);
    bench_done(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_that_is_exported_no_longer_leaves),
        cmocka_unit_test(what_went_while_nobody_looked_leaves),
        cmocka_unit_test(a_right_status_is_not_written),
        cmocka_unit_test(one_more_in_between),
        cmocka_unit_test(what_is_said_wrongly_is_written_anew),
        cmocka_unit_test(a_status_that_no_object_can_hold_is_cut_and_says_so),
        cmocka_unit_test(a_server_that_works_long_on_a_status_gets_a_rest),
        cmocka_unit_test(links_take_turns),
        cmocka_unit_test(a_status_that_is_due_is_written_before_the_end),
        cmocka_unit_test(a_status_that_hangs_does_not_hold_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
