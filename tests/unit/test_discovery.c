/* links: agent_kube mirror base fake_loop.c fake_http.c */
#include "agent/kube/discovery.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/setup.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/fake_loop.h"
#include "tests/unit/sweep.h"

struct bench {
    struct loop *loop;
    struct http *http;
    struct kube_client *client;
    struct discovery *discovery;
    char log[1024]; /* versions as they were told, "-" for none, "!code" for errors */
    bool free_it;
};

static const char *const wanted[] = {"v1alpha3", "v1alpha2", "v1alpha1", NULL};

static void on_version(void *context, const char *version, const struct err *error)
{
    struct bench *bench = context;
    size_t used = strlen(bench->log);
    const char *word = version != NULL ? version : error != NULL ? err_code_name(error->code) : "-";
    (void)snprintf(bench->log + used, sizeof(bench->log) - used, "%s%s%s", used > 0 ? " " : "",
                   error != NULL ? "!" : "", word);
    if (bench->free_it)
        discovery_free(TAKE(bench->discovery));
}

static enum err_code open_bench(struct bench *bench)
{
    static const struct kubeconfig config = {.server = "https://east:6443"};
    *bench = (struct bench){.loop = loop_new()};
    bench->http = bench->loop != NULL ? fake_http_new(bench->loop) : NULL;
    if (bench->http == NULL)
        return ERR_NOMEM;
    TRY(kube_client_new(bench->http, bench->loop, &config, "east", &bench->client, NULL));
    return discovery_new(bench->loop, bench->client, "multicluster.linkerd.io", "links", wanted, 0, on_version, bench,
                         &bench->discovery, NULL);
}

static void set_up(struct bench *bench)
{
    assert_int_equal(open_bench(bench), ERR_OK);
    assert_true(fake_http_is_idle(bench->http));
    fake_loop_advance(bench->loop, 0);
}

static void tear_down(struct bench *bench)
{
    discovery_free(bench->discovery);
    kube_client_free(bench->client);
    http_free(bench->http);
    loop_free(bench->loop);
}

static void expect(struct bench *bench, const char *log)
{
    assert_string_equal(bench->log, log);
    bench->log[0] = '\0';
}

#define GROUP "GET /apis/multicluster.linkerd.io"
#define VERSIONS(versions) "{\"kind\":\"APIGroup\",\"versions\":[" versions "]}"
#define VERSION(name) "{\"groupVersion\":\"multicluster.linkerd.io/" name "\",\"version\":\"" name "\"}"
#define RESOURCES(name)                                                                                                \
    "{\"kind\":\"APIResourceList\",\"resources\":[{\"name\":\"" name "\"},{\"name\":\"" name "/status\"}]}"

static void answer(struct bench *bench, const char *line, int status, const char *body)
{
    fake_http_answer(fake_http_take(bench->http, line), status, body);
}

static void picks_the_best_version(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha1") "," VERSION("v1alpha2") "," VERSION("v2")));
    answer(&bench, GROUP "/v1alpha2", 200, RESOURCES("links"));
    expect(&bench, "v1alpha2");
    /* Each minute again; told only when it is another. */
    fake_loop_advance(bench.loop, 59999);
    assert_true(fake_http_is_idle(bench.http));
    fake_loop_advance(bench.loop, 1);
    answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha1") "," VERSION("v1alpha2")));
    answer(&bench, GROUP "/v1alpha2", 200, RESOURCES("links"));
    expect(&bench, "");
    fake_loop_advance(bench.loop, 60000);
    answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha3") "," VERSION("v1alpha2")));
    answer(&bench, GROUP "/v1alpha3", 200, RESOURCES("links"));
    expect(&bench, "v1alpha3");
    tear_down(&bench);
}

static void goes_on_to_a_version_that_has_the_resource(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha3") "," VERSION("v1alpha2") "," VERSION("v1alpha1")));
    answer(&bench, GROUP "/v1alpha3", 200, RESOURCES("gateways"));
    answer(&bench, GROUP "/v1alpha2", 404, "");
    answer(&bench, GROUP "/v1alpha1", 200, RESOURCES("links"));
    expect(&bench, "v1alpha1");
    tear_down(&bench);
}

static void waits_for_what_is_absent(void **state)
{
    (void)state;
    static const char *const answers[] = {"{}", VERSIONS(""), VERSIONS(VERSION("v9")), "[]", VERSIONS("1")};
    struct bench bench;
    set_up(&bench);
    answer(&bench, GROUP, 404, "");
    expect(&bench, "-");
    for (size_t i = 0; i < ARRAY_COUNT(answers); i++) {
        fake_loop_advance(bench.loop, 4999);
        assert_true(fake_http_is_idle(bench.http));
        fake_loop_advance(bench.loop, 1);
        answer(&bench, GROUP, 200, answers[i]);
        expect(&bench, "");
    }
    fake_loop_advance(bench.loop, 5000);
    answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha3")));
    answer(&bench, GROUP "/v1alpha3", 200, RESOURCES("links"));
    expect(&bench, "v1alpha3");
    tear_down(&bench);
}

static void says_that_it_cannot_ask(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    fake_http_fail(fake_http_take(bench.http, GROUP), ERR_CONNECT, "Connection refused");
    expect(&bench, "!connect");
    fake_loop_advance(bench.loop, 5000);
    answer(&bench, GROUP, 503, "");
    expect(&bench, ""); /* once is enough */
    fake_loop_advance(bench.loop, 5000);
    answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha3")));
    answer(&bench, GROUP "/v1alpha3", 403, "");
    expect(&bench, "");
    fake_loop_advance(bench.loop, 5000);
    answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha3")));
    answer(&bench, GROUP "/v1alpha3", 200, RESOURCES("links"));
    expect(&bench, "v1alpha3");
    /* What is in use stays in use while nobody can say that it is gone. */
    fake_loop_advance(bench.loop, 60000);
    answer(&bench, GROUP, 500, "");
    expect(&bench, "");
    tear_down(&bench);
}

static void gives_up_a_version_only_when_it_stays_away(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha3")));
    answer(&bench, GROUP "/v1alpha3", 200, RESOURCES("links"));
    expect(&bench, "v1alpha3");
    fake_loop_advance(bench.loop, 60000);
    for (unsigned i = 0; i < 5; i++) {
        answer(&bench, GROUP, 404, "");
        expect(&bench, "");
        fake_loop_advance(bench.loop, 5000);
    }
    answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha3")));
    answer(&bench, GROUP "/v1alpha3", 200, RESOURCES("links"));
    expect(&bench, ""); /* back again: nothing happened */
    fake_loop_advance(bench.loop, 60000);
    for (unsigned i = 0; i < 6; i++) {
        expect(&bench, "");
        answer(&bench, GROUP, 404, "");
        fake_loop_advance(bench.loop, 5000);
    }
    expect(&bench, "-");
    (void)fake_http_take(bench.http, GROUP);
    tear_down(&bench);
}

static void asks_at_once_when_the_version_is_missed(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    discovery_ask(bench.discovery); /* it is being asked for */
    answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha3")));
    answer(&bench, GROUP "/v1alpha3", 200, RESOURCES("links"));
    expect(&bench, "v1alpha3");
    discovery_ask(bench.discovery);
    fake_loop_advance(bench.loop, 0);
    answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha2")));
    answer(&bench, GROUP "/v1alpha2", 200, RESOURCES("links"));
    expect(&bench, "v1alpha2");
    /* Absence is counted at its own pace, however often the version is missed. */
    for (int i = 0; i < 5; i++) {
        discovery_ask(bench.discovery);
        fake_loop_advance(bench.loop, i == 0 ? 0 : 4999);
        if (i > 0) {
            assert_true(fake_http_is_idle(bench.http));
            fake_loop_advance(bench.loop, 1);
        }
        answer(&bench, GROUP, 404, "");
        expect(&bench, "");
    }
    fake_loop_advance(bench.loop, 5000);
    answer(&bench, GROUP, 404, "");
    expect(&bench, "-");
    discovery_ask(bench.discovery);
    tear_down(&bench);
}

static void may_be_freed_when_it_tells(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct bench bench;
        set_up(&bench);
        bench.free_it = true;
        if (i == 0)
            answer(&bench, GROUP, 404, "");
        if (i == 1)
            answer(&bench, GROUP, 500, "");
        if (i == 2) {
            answer(&bench, GROUP, 200, VERSIONS(VERSION("v1alpha3")));
            answer(&bench, GROUP "/v1alpha3", 200, RESOURCES("links"));
        }
        assert_null(bench.discovery);
        tear_down(&bench);
    }
    struct bench bench;
    set_up(&bench); /* with a request under way */
    (void)fake_http_take(bench.http, GROUP);
    tear_down(&bench);
}

/* The version is told in the end, whichever allocation fails on the way. */
static enum err_code sweep_asking(void *context)
{
    (void)context;
    struct bench bench;
    enum err_code code = open_bench(&bench);
    for (unsigned i = 0; code == ERR_OK && i < 10 && strstr(bench.log, "v1alpha3") == NULL; i++) {
        (void)fake_loop_advance_to_next(bench.loop);
        while (!fake_http_is_idle(bench.http)) {
            struct http_call *call = fake_http_take(bench.http, "*");
            bool is_group = strcmp(fake_http_path(call), "/apis/multicluster.linkerd.io") == 0;
            fake_http_answer(call, 200, is_group ? VERSIONS(VERSION("v1alpha3")) : RESOURCES("links"));
        }
    }
    if (code == ERR_OK)
        assert_non_null(strstr(bench.log, "v1alpha3"));
    tear_down(&bench);
    return code;
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    assert_true(sweep(sweep_asking, NULL) > 20);
}

static int set_up_all(void **state)
{
    (void)state;
    kube_setup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(picks_the_best_version),
        cmocka_unit_test(goes_on_to_a_version_that_has_the_resource),
        cmocka_unit_test(waits_for_what_is_absent),
        cmocka_unit_test(says_that_it_cannot_ask),
        cmocka_unit_test(gives_up_a_version_only_when_it_stays_away),
        cmocka_unit_test(asks_at_once_when_the_version_is_missed),
        cmocka_unit_test(may_be_freed_when_it_tells),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, set_up_all, NULL);
}
