/* links: agent_kube mirror base fake_loop.c fake_http.c */
#include "agent/kube/served_watch.h"

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
    struct served_watch *watch;
    char log[1024]; /* what was told, word by word */
};

static const char *const versions[] = {"v1beta1", "v1alpha1", NULL};

static void note(struct bench *bench, const char *word)
{
    size_t used = strlen(bench->log);
    (void)snprintf(bench->log + used, sizeof(bench->log) - used, "%s%s", used > 0 ? " " : "", word);
}

static void on_version(void *context, const char *version) { note(context, version != NULL ? version : "none"); }

static void on_unasked(void *context, const struct err *error)
{
    note(context, "unasked");
    note(context, err_code_name(error->code));
}

static enum err_code on_object(void *context, enum change change, const struct json_tree *object)
{
    const struct json_tree *meta = json_tree_get(object, "metadata");
    note(context, change == CHANGE_DELETED ? "-" : "+");
    note(context, json_tree_text(json_tree_get(meta, "name")));
    return ERR_OK;
}

static void on_begin(void *context) { note(context, "begin"); }

static void on_end(void *context) { note(context, "end"); }

static void on_state(void *context, const struct list_watch_state *state)
{
    note(context, state->healthy ? "healthy" : err_code_name(state->error.code));
}

static enum err_code open_bench(struct bench *bench)
{
    static const struct kubeconfig config = {.server = "https://east:6443"};
    *bench = (struct bench){.loop = loop_new()};
    bench->http = bench->loop != NULL ? fake_http_new(bench->loop) : NULL;
    if (bench->http == NULL)
        return ERR_NOMEM;
    TRY(kube_client_new(bench->http, bench->loop, &config, "east", &bench->client, NULL));
    char selector[] = "a=b";
    const struct served_watch_config watch = {.group = "g.io",
                                              .versions = versions,
                                              .on_version = on_version,
                                              .on_unasked = on_unasked,
                                              .collection = {.resource = "things",
                                                             .kind = "Thing",
                                                             .label_selector = selector,
                                                             .on_object = on_object,
                                                             .on_begin = on_begin,
                                                             .on_end = on_end,
                                                             .on_state = on_state,
                                                             .context = bench}};
    enum err_code code = served_watch_new(bench->loop, bench->client, &watch, &bench->watch, NULL);
    memset(selector, 0, sizeof(selector)); /* it was copied */
    return code;
}

static void tear_down(struct bench *bench)
{
    served_watch_free(bench->watch);
    kube_client_free(bench->client);
    http_free(bench->http);
    loop_free(bench->loop);
}

static void expect(struct bench *bench, const char *log)
{
    assert_string_equal(bench->log, log);
    bench->log[0] = '\0';
}

static void answer(struct bench *bench, const char *line, int status, const char *body)
{
    fake_http_answer(fake_http_take(bench->http, line), status, body);
}

#define GROUP(version) "{\"versions\":[{\"version\":\"" version "\"}]}"
#define RESOURCES "{\"resources\":[{\"name\":\"things\"}]}"
#define ITEM(name) "{\"kind\":\"Thing\",\"metadata\":{\"name\":\"" name "\"}}"
#define LIST(items) "{\"kind\":\"ThingList\",\"metadata\":{\"resourceVersion\":\"5\"},\"items\":[" items "]}"

static void follows_what_is_served(void **state)
{
    (void)state;
    struct bench bench;
    assert_int_equal(open_bench(&bench), ERR_OK);
    fake_loop_advance(bench.loop, 0);
    answer(&bench, "GET /apis/g.io", 404, "");
    expect(&bench, "none");
    /* Installed later, in the older version. */
    fake_loop_advance(bench.loop, 5000);
    answer(&bench, "GET /apis/g.io", 200, GROUP("v1alpha1"));
    answer(&bench, "GET /apis/g.io/v1alpha1", 200, RESOURCES);
    fake_loop_advance(bench.loop, 0);
    struct http_call *list = fake_http_take(bench.http, "GET /apis/g.io/v1alpha1/things?labelSelector=a%3Db*");
    fake_http_answer(list, 200, LIST(ITEM("one")));
    expect(&bench, "v1alpha1 healthy begin + one end healthy");
    fake_loop_advance(bench.loop, 0);
    struct http_call *watch = fake_http_take(bench.http, "GET /apis/g.io/v1alpha1/things?labelSelector=a%3Db*");
    assert_true(fake_http_head(watch, 200, "application/json"));
    assert_true(fake_http_data(watch, "{\"type\":\"DELETED\",\"object\":" ITEM("one") "}\n"));
    expect(&bench, "- one");
    /* Another version takes its place. */
    fake_loop_advance(bench.loop, 60000);
    while (!fake_http_is_next(bench.http, "GET /apis/g.io"))
        (void)fake_http_take(bench.http, "*");
    answer(&bench, "GET /apis/g.io", 200, GROUP("v1beta1"));
    answer(&bench, "GET /apis/g.io/v1beta1", 200, RESOURCES);
    fake_loop_advance(bench.loop, 0);
    answer(&bench, "GET /apis/g.io/v1beta1/things?*", 200, LIST(""));
    bench.log[0] = '\0';
    tear_down(&bench);
}

static void asks_again_when_the_collection_is_not_there(void **state)
{
    (void)state;
    struct bench bench;
    assert_int_equal(open_bench(&bench), ERR_OK);
    fake_loop_advance(bench.loop, 0);
    answer(&bench, "GET /apis/g.io", 200, GROUP("v1beta1"));
    answer(&bench, "GET /apis/g.io/v1beta1", 200, RESOURCES);
    fake_loop_advance(bench.loop, 0);
    answer(&bench, "GET /apis/g.io/v1beta1/things?*", 404, "{\"kind\":\"Status\"}");
    expect(&bench, "v1beta1 not_found");
    fake_loop_advance(bench.loop, 0);
    assert_true(fake_http_is_next(bench.http, "GET /apis/g.io")); /* not only at the end of the minute */
    tear_down(&bench);
}

static void says_why_it_cannot_ask(void **state)
{
    (void)state;
    struct bench bench;
    assert_int_equal(open_bench(&bench), ERR_OK);
    fake_loop_advance(bench.loop, 0);
    answer(&bench, "GET /apis/g.io", 403, "{\"kind\":\"Status\"}");
    expect(&bench, "unasked forbidden");
    fake_loop_advance(bench.loop, 5000);
    answer(&bench, "GET /apis/g.io", 404, "");
    expect(&bench, "none");
    tear_down(&bench);
}

static enum err_code open_and_close(void *context)
{
    (void)context;
    struct bench bench;
    enum err_code code = open_bench(&bench);
    tear_down(&bench);
    return code;
}

/* What could not be begun for want of memory is begun later. */
static void begins_again_after_a_want_of_memory(void **state)
{
    (void)state;
    struct bench bench;
    assert_int_equal(open_bench(&bench), ERR_OK);
    fake_loop_advance(bench.loop, 0);
    answer(&bench, "GET /apis/g.io", 200, GROUP("v1beta1"));
    struct http_call *resources = fake_http_take(bench.http, "GET /apis/g.io/v1beta1");
    assert_true(fake_http_head(resources, 200, "application/json"));
    assert_true(fake_http_data(resources, RESOURCES));
    mem_fail_at(1);
    fake_http_finish(resources);
    mem_fail_at(0);
    for (int i = 0; i < 3 && !fake_http_is_next(bench.http, "GET /apis/g.io/v1beta1/things?*"); i++) {
        fake_loop_advance(bench.loop, 5000);
        if (fake_http_is_next(bench.http, "GET /apis/g.io")) { /* the answer itself was lost */
            answer(&bench, "GET /apis/g.io", 200, GROUP("v1beta1"));
            answer(&bench, "GET /apis/g.io/v1beta1", 200, RESOURCES);
        }
    }
    assert_true(fake_http_is_next(bench.http, "GET /apis/g.io/v1beta1/things?*"));
    tear_down(&bench);
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    sweep(open_and_close, NULL);
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
        cmocka_unit_test(follows_what_is_served),       cmocka_unit_test(asks_again_when_the_collection_is_not_there),
        cmocka_unit_test(says_why_it_cannot_ask),       cmocka_unit_test(begins_again_after_a_want_of_memory),
        cmocka_unit_test(survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, set_up_all, NULL);
}
