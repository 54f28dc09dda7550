/* links: agent_kube mirror base fake_loop.c fake_http.c */
/* Every rule of following a collection, as the server's answers in virtual time. What is delivered is written down in short:
 * "begin" and "end", "up" and "down(code)", and L, A, M, D with the object's name. */
#include "agent/kube/list_watch.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/kube/list_watch_internal.h"
#include "agent/kube/setup.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/fake_loop.h"
#include "tests/unit/list_watch_words.h"
#include "tests/unit/sweep.h"
#include "tests/unit/test_certificate.h"

struct bench {
    struct loop *loop;
    struct http *http;
    struct kube_client *client;
    struct list_watch *watch;
    char log[4096];
    const char *free_on;  /* the word in the log after which the list_watch is freed */
    const char *nomem_on; /* the word whose object cannot be taken, once */
    char error[512];
};

/* ---- the owner ---- */

static void note(struct bench *bench, const char *word)
{
    size_t used = strlen(bench->log);
    (void)snprintf(bench->log + used, sizeof(bench->log) - used, "%s%s", used > 0 ? " " : "", word);
    if (bench->free_on != NULL && strcmp(bench->free_on, word) == 0)
        list_watch_free(TAKE(bench->watch));
}

static enum err_code on_object(void *context, enum change change, const struct json_tree *object)
{
    struct bench *bench = context;
    const char *name = json_tree_text(json_tree_get(json_tree_get(object, "metadata"), "name"));
    char word[64];
    (void)snprintf(word, sizeof(word), "%c:%.32s", "LAMD"[change], name != NULL ? name : "?");
    if (bench->nomem_on != NULL && strcmp(bench->nomem_on, word) == 0) {
        bench->nomem_on = NULL;
        note(bench, "nomem");
        return ERR_NOMEM;
    }
    note(bench, word);
    return strcmp(word, "A:bad") == 0 ? ERR_INVALID : ERR_OK;
}

static void on_begin(void *context) { note(context, "begin"); }
static void on_end(void *context) { note(context, "end"); }

static void on_state(void *context, const struct list_watch_state *state)
{
    struct bench *bench = context;
    char word[LIST_WATCH_WORD_BYTES];
    (void)snprintf(bench->error, sizeof(bench->error), "%s", state->error.text);
    note(bench, list_watch_word(state, word));
}

static const struct kubeconfig plain = {.server = "https://east:6443"};

static const struct list_watch_config services = {
    .resource = "services",
    .kind = "Service",
    .path = "/api/v1/services",
    .on_object = on_object,
    .on_begin = on_begin,
    .on_end = on_end,
    .on_state = on_state,
};

static enum err_code open_bench(struct bench *bench, const struct kubeconfig *kubeconfig)
{
    struct list_watch_config config = services;
    config.context = bench;
    *bench = (struct bench){.loop = loop_new()};
    bench->http = bench->loop != NULL ? fake_http_new(bench->loop) : NULL;
    if (bench->http == NULL)
        return ERR_NOMEM;
    TRY(kube_client_new(bench->http, bench->loop, kubeconfig, "east", &bench->client, NULL));
    TRY(list_watch_new(bench->loop, bench->client, &config, &bench->watch, NULL));
    return ERR_OK;
}

static void set_up(struct bench *bench)
{
    assert_int_equal(open_bench(bench, &plain), ERR_OK);
    assert_true(fake_http_is_idle(bench->http)); /* nothing from inside of the constructor */
    fake_loop_advance(bench->loop, 0);
}

static void tear_down(struct bench *bench)
{
    list_watch_free(bench->watch);
    kube_client_free(bench->client);
    http_free(bench->http);
    loop_free(bench->loop);
}

/* What was delivered since the last time. */
static void expect(struct bench *bench, const char *log)
{
    assert_string_equal(bench->log, log);
    bench->log[0] = '\0';
}

/* ---- the server ---- */

#define LIST(version, items)                                                                                           \
    "{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" version                     \
    "\"},\"items\":[" items "]}"
#define PAGE(version, token, items)                                                                                    \
    "{\"kind\":\"ServiceList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"" version                     \
    "\",\"continue\":\"" token "\"},\"items\":[" items "]}"
#define ITEM(name, version) "{\"metadata\":{\"name\":\"" name "\",\"resourceVersion\":\"" version "\"}}"
#define EVENT(type, kind, name, version)                                                                               \
    "{\"type\":\"" type "\",\"object\":{\"kind\":\"" kind "\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"" name    \
    "\",\"resourceVersion\":\"" version "\"}}}\n"
#define ADDED(name, version) EVENT("ADDED", "Service", name, version)
#define BOOKMARK(version)                                                                                              \
    "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Service\",\"metadata\":{\"resourceVersion\":\"" version "\"}}}\n"
#define STATUS(code, reason, message)                                                                                  \
    "{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},\"status\":\"Failure\",\"message\":\"" message         \
    "\",\"reason\":\"" reason "\",\"code\":" #code "}"
#define GONE STATUS(410, "Expired", "too old resource version: 10 (20)")
#define ERROR_EVENT(status) "{\"type\":\"ERROR\",\"object\":" status "}\n"

#define FIRST_LIST "GET /api/v1/services?limit=500&resourceVersion=0"
#define LIST_FROM(version) "GET /api/v1/services?resourceVersion=" version
#define QUORUM_LIST "GET /api/v1/services?limit=500"
#define WATCH_FROM(version)                                                                                            \
    "GET /api/v1/services?watch=1&allowWatchBookmarks=true&resourceVersion=" version "&timeoutSeconds=*"

static struct http_call *take(struct bench *bench, const char *pattern) { return fake_http_take(bench->http, pattern); }

/* Lists a and b at version 10, and opens the watch from there. */
static struct http_call *synced(struct bench *bench)
{
    set_up(bench);
    fake_http_answer(take(bench, FIRST_LIST), 200, LIST("10", ITEM("a", "1") "," ITEM("b", "2")));
    expect(bench, "up begin L:a L:b end up,synced");
    struct http_call *call = take(bench, WATCH_FROM("10"));
    (void)fake_http_head(call, 200, "application/json");
    fake_loop_advance(bench->loop, 5000);
    return call;
}

/* The next try comes after the back-off of the n-th failure in a row, or the server's own wish. */
static uint64_t expect_backoff(struct bench *bench, uint64_t from_ms)
{
    assert_true(fake_http_is_idle(bench->http));
    uint64_t due_ms = list_watch_state(bench->watch)->retry_at_ms - loop_now_ms(bench->loop);
    if (due_ms < from_ms || due_ms >= 2 * from_ms)
        fail_msg("the next try comes after %lu ms, not within [%lu, %lu)", (unsigned long)due_ms,
                 (unsigned long)from_ms, 2 * (unsigned long)from_ms);
    fake_loop_advance(bench->loop, due_ms - 1);
    assert_true(fake_http_is_idle(bench->http));
    fake_loop_advance(bench->loop, 1);
    assert_false(fake_http_is_idle(bench->http));
    return due_ms;
}

/* ---- the regular course ---- */

static void lists_then_watches(void **state)
{
    (void)state;
    struct bench bench;
    struct http_call *call = synced(&bench);
    const struct list_watch_state *seen = list_watch_state(bench.watch);
    assert_true(fake_http_data(call, ADDED("c", "11") EVENT("MODIFIED", "Service", "a", "12")));
    assert_true(fake_http_data(call, EVENT("DELETED", "Service", "b", "13") ADDED("bad", "14")));
    expect(&bench, "A:c M:a D:b A:bad");
    assert_int_equal(seen->last_event_ms, loop_now_ms(bench.loop));
    assert_int_equal(seen->lists, 1);
    assert_int_equal(seen->watches, 1);
    assert_int_equal(seen->events, 4);
    assert_int_equal(seen->failures, 0);
    assert_true(seen->synced && seen->healthy);
    assert_int_equal(seen->retry_at_ms, 0);
    /* Ends as the server said: goes on at once, from the last event, without a list and without a word. */
    fake_http_finish(call);
    call = take(&bench, WATCH_FROM("14"));
    assert_true(fake_http_data(call, ""));
    expect(&bench, "");
    tear_down(&bench);
}

static void asks_for_selected_objects(void **state)
{
    (void)state;
    struct bench bench;
    char label[] = "a=b,!c", field[] = "metadata.name=x";
    struct list_watch_config config = services;
    set_up(&bench);
    http_cancel(take(&bench, FIRST_LIST));
    list_watch_free(bench.watch);
    config.context = &bench;
    config.label_selector = label;
    config.field_selector = field;
    assert_int_equal(list_watch_new(bench.loop, bench.client, &config, &bench.watch, NULL), ERR_OK);
    label[0] = field[0] = '?'; /* both were copied */
    fake_loop_advance(bench.loop, 0);
    struct http_call *call = take(&bench, "GET /api/v1/services?labelSelector=a%3Db%2C%21c&fieldSelector="
                                          "metadata.name%3Dx&limit=500&resourceVersion=0");
    assert_string_equal(fake_http_header(call, "Accept"), "application/vnd.kubernetes.protobuf,application/json");
    fake_http_answer(call, 200, LIST("7", ""));
    call = take(&bench, "GET /api/v1/services?labelSelector=a%3Db%2C%21c&fieldSelector=metadata.name%3Dx&watch=1&"
                        "allowWatchBookmarks=true&resourceVersion=7&timeoutSeconds=*");
    unsigned seconds = (unsigned)strtoul(strstr(fake_http_path(call), "timeoutSeconds=") + 15, NULL, 10);
    assert_in_range(seconds, 300, 600);
    expect(&bench, "up begin end up,synced");
    tear_down(&bench);
}

static void takes_what_trickles(void **state)
{
    (void)state;
    static const char list[] = LIST("10", ITEM("a", "1") "," ITEM("b", "2")),
                      events[] = ADDED("c", "11") BOOKMARK("19");
    struct bench bench;
    set_up(&bench);
    struct http_call *call = take(&bench, FIRST_LIST);
    (void)fake_http_head(call, 200, "application/json");
    for (const char *c = list; *c != '\0'; c++) {
        const char byte[] = {*c, '\0'};
        fake_loop_advance(bench.loop, 1000); /* longer than any silence in all, and never silent */
        assert_true(fake_http_data(call, byte));
    }
    fake_http_finish(call);
    expect(&bench, "up begin L:a L:b end up,synced");
    call = take(&bench, WATCH_FROM("10"));
    (void)fake_http_head(call, 200, "application/json");
    for (const char *c = events; *c != '\0'; c++) {
        const char byte[] = {*c, '\0'};
        fake_loop_advance(bench.loop, 1000);
        assert_true(fake_http_data(call, byte));
    }
    fake_http_finish(call);
    expect(&bench, "A:c");
    (void)take(&bench, WATCH_FROM("19"));
    tear_down(&bench);
}

static void bookmarks_only_move_the_place(void **state)
{
    (void)state;
    struct bench bench;
    struct http_call *call = synced(&bench);
    assert_true(fake_http_data(call, BOOKMARK("50")));
    expect(&bench, "");
    assert_int_equal(list_watch_state(bench.watch)->events, 0);
    fake_http_finish(call);
    (void)take(&bench, WATCH_FROM("50"));
    tear_down(&bench);
}

/* ---- listings ---- */

static void goes_through_pages(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    fake_http_answer(take(&bench, FIRST_LIST), 200, PAGE("10", "t/1=", ITEM("a", "1")));
    fake_http_answer(take(&bench, "GET /api/v1/services?limit=500&continue=t%2F1%3D"), 200,
                     PAGE("10", "t2", ITEM("b", "2")));
    expect(&bench, "up begin L:a L:b");
    fake_http_answer(take(&bench, "GET /api/v1/services?limit=500&continue=t2"), 200, LIST("10", ITEM("c", "3")));
    expect(&bench, "L:c end up,synced");
    (void)take(&bench, WATCH_FROM("10"));
    tear_down(&bench);
}

static void starts_over_when_a_page_expires(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    fake_http_answer(take(&bench, FIRST_LIST), 200, PAGE("10", "t1", ITEM("a", "1")));
    fake_http_answer(take(&bench, "GET /api/v1/services?limit=500&continue=t1"), 410, GONE);
    expect(&bench, "up begin L:a");
    fake_loop_advance(bench.loop, 0);
    /* Everything at once this time, so that no token can expire. */
    fake_http_answer(take(&bench, LIST_FROM("0")), 200, LIST("12", ITEM("b", "2")));
    expect(&bench, "begin L:b end up,synced");
    (void)take(&bench, WATCH_FROM("12"));
    tear_down(&bench);
}

struct bad_list {
    const char *body;
    const char *log, *words;
};

static void never_takes_something_else_for_a_list(void **state)
{
    (void)state;
    static const struct bad_list cases[] = {
        {"<html>", "down(protocol)", "list services in cluster east: not JSON: '<'"},
        {"", "down(protocol)", "the answer is empty"},
        {"{}", "down(protocol)", "not a ServiceList, it is of no kind"},
        {"{\"kind\":\"Table\",\"rows\":[],\"metadata\":{\"resourceVersion\":\"1\"}}", "down(protocol)", "it is Table"},
        {"{\"kind\":\"ServicesList\",\"items\":[],\"metadata\":{\"resourceVersion\":\"1\"}}", "down(protocol)",
         "not a ServiceList"},
        {"{\"kind\":\"PodList\",\"items\":[" ITEM("a", "1") "],\"metadata\":{\"resourceVersion\":\"1\"}}",
         "down(protocol)", "it is PodList"},
        {"{\"kind\":7,\"items\":[" ITEM("a", "1") "],\"metadata\":{\"resourceVersion\":\"1\"}}", "down(protocol)",
         "it is of no kind"},
        {"{\"items\":[" ITEM("a", "1") "],\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"1\"}}",
         "down(protocol)", "it is PodList"},
        {"{\"items\":[" ITEM("a", "1") "],\"metadata\":{\"resourceVersion\":\"1\"}}", "down(protocol)",
         "it is of no kind"},
        {"{\"items\":[{\"kind\":\"Pod\",\"metadata\":{\"name\":\"a\"}}],\"kind\":\"PodList\",\"metadata\":{"
         "\"resourceVersion\":\"1\"}}",
         "down(protocol)", "it is PodList"},
        {"{\"kind\":\"ServiceList\",\"metadata\":{\"resourceVersion\":\"1\"}}", "down(protocol)", "no items"},
        {"{\"kind\":\"ServiceList\",\"items\":{},\"metadata\":{\"resourceVersion\":\"1\"}}", "down(protocol)",
         "no items"},
        {"{\"kind\":\"ServiceList\",\"items\":[]}", "down(protocol)", "no resourceVersion"},
        {"{\"kind\":\"ServiceList\",\"items\":[],\"metadata\":{\"resourceVersion\":\"\"}}", "down(protocol)",
         "no resourceVersion"},
        {"{\"kind\":\"ServiceList\",\"items\":[{\"a\":}],\"metadata\":{}}", "down(protocol)",
         "an item of the list is not"},
        {"{\"kind\":\"ServiceList\",\"items\":[" ITEM("a", "1"), "up begin L:a down(protocol)", "ended in the middle"},
        {LIST("1", "") "{}", "down(protocol)", "goes on after its end"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        set_up(&bench);
        fake_http_answer(take(&bench, FIRST_LIST), 200, cases[i].body);
        if (strcmp(bench.log, cases[i].log) != 0 || strstr(bench.error, cases[i].words) == NULL)
            fail_msg("case %zu: %s: %s", i, bench.log, bench.error);
        bench.log[0] = '\0';
        assert_false(list_watch_state(bench.watch)->synced);
        (void)expect_backoff(&bench, 800);
        fake_http_answer(take(&bench, FIRST_LIST), 200, LIST("10", ""));
        expect(&bench, "up begin end up,synced");
        (void)take(&bench, WATCH_FROM("10"));
        tear_down(&bench);
    }
}

static void takes_lists_without_items(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    fake_http_answer(take(&bench, FIRST_LIST), 200,
                     "{\"kind\":\"ServiceList\",\"items\":null,\"metadata\":{\"resourceVersion\":\"1\"}}");
    expect(&bench, "up begin end up,synced");
    (void)take(&bench, WATCH_FROM("1"));
    tear_down(&bench);
}

/* What JSON allows, and the API server does with custom resources: the kind last. */
static void takes_lists_that_name_their_kind_last(void **state)
{
    (void)state;
    static const char *const items[] = {
        ITEM("a", "1") "," ITEM("b", "2"),
        "{\"kind\":\"Service\",\"metadata\":{\"name\":\"a\"}},{\"kind\":\"Service\",\"metadata\":{\"name\":\"b\"}}",
    };
    for (size_t i = 0; i < ARRAY_COUNT(items); i++) {
        struct bench bench;
        char body[1024];
        set_up(&bench);
        (void)snprintf(body, sizeof(body),
                       "{\"apiVersion\":\"v1\",\"items\":[%s],\"kind\":\"ServiceList\",\"metadata\":{"
                       "\"resourceVersion\":\"7\"}}",
                       items[i]);
        fake_http_answer(take(&bench, FIRST_LIST), 200, body);
        expect(&bench, "up begin L:a L:b end up,synced");
        (void)take(&bench, WATCH_FROM("7"));
        tear_down(&bench);
    }
}

/* Items of which nobody knows what they are do not pile up without a bound. */
static void does_not_hold_items_without_end(void **state)
{
    (void)state;
    struct bench bench;
    char item[64 << 10];
    set_up(&bench);
    (void)snprintf(item, sizeof(item), "{\"a\":\"%0*d\"},", (int)sizeof(item) - 10, 0);
    struct http_call *call = take(&bench, FIRST_LIST);
    (void)fake_http_head(call, 200, "application/json");
    bool open = fake_http_data(call, "{\"items\":[");
    for (unsigned i = 0; open && i < 100; i++)
        open = fake_http_data(call, item);
    assert_false(open);
    expect(&bench, "down(limit)");
    assert_non_null(strstr(bench.error, "does not say of what kind it is"));
    tear_down(&bench);
}

static void ignores_objects_of_other_kinds(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    fake_http_answer(take(&bench, FIRST_LIST), 200,
                     LIST("10", "{\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"}},{\"kind\":\"Service\",\"metadata\":{"
                                "\"name\":\"s\"}}"));
    expect(&bench, "up begin L:s end up,synced");
    struct http_call *call = take(&bench, WATCH_FROM("10"));
    (void)fake_http_head(call, 200, "application/json");
    fake_loop_advance(bench.loop, 2000);
    assert_true(fake_http_data(call, EVENT("ADDED", "Pod", "p", "99") EVENT("RENAMED", "Service", "s", "11")));
    expect(&bench, "");
    fake_http_finish(call);
    (void)take(&bench, WATCH_FROM("10"));
    tear_down(&bench);
}

static void backs_off_while_a_list_fails(void **state)
{
    (void)state;
    static const uint64_t delays_ms[] = {800, 1600, 3200, 6400, 12800, 25600, 30000, 30000};
    struct bench bench;
    set_up(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(delays_ms); i++) {
        fake_http_fail(take(&bench, FIRST_LIST), ERR_CONNECT, "Connection refused");
        expect(&bench, "down(connect)");
        assert_string_equal(bench.error, "list services in cluster east: https://east:6443: Connection refused");
        (void)expect_backoff(&bench, delays_ms[i]);
    }
    assert_int_equal(list_watch_state(bench.watch)->failures, ARRAY_COUNT(delays_ms));
    fake_http_answer(take(&bench, FIRST_LIST), 200, LIST("10", ""));
    struct http_call *call = take(&bench, WATCH_FROM("10"));
    (void)fake_http_head(call, 200, "application/json");
    expect(&bench, "up begin end up,synced");
    /* Well for two minutes: the next failure starts small again. */
    for (unsigned i = 0; i < 3; i++) {
        fake_loop_advance(bench.loop, 50000);
        assert_true(fake_http_data(call, BOOKMARK("11")));
    }
    fake_http_fail(call, ERR_CONNECT, "reset");
    fake_loop_advance(bench.loop, 0);
    fake_http_fail(take(&bench, WATCH_FROM("11")), ERR_CONNECT, "Connection refused");
    (void)expect_backoff(&bench, 800);
    (void)take(&bench, WATCH_FROM("11"));
    tear_down(&bench);
}

static void waits_as_long_as_the_server_asks(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    fake_http_answer_with(take(&bench, FIRST_LIST), 429, STATUS(429, "TooManyRequests", "slow down"), 20000, NULL);
    expect(&bench, "down(busy)");
    fake_loop_advance(bench.loop, 19999);
    assert_true(fake_http_is_idle(bench.http));
    fake_loop_advance(bench.loop, 1);
    fake_http_answer(take(&bench, FIRST_LIST), 200, LIST("10", ""));
    struct http_call *call = take(&bench, WATCH_FROM("10"));
    bench.log[0] = '\0';
    /* On a watch too, and the place is kept. */
    fake_http_answer_with(call, 429, STATUS(429, "TooManyRequests", "slow down"), 7000, NULL);
    expect(&bench, "down(busy)");
    fake_loop_advance(bench.loop, 6999);
    assert_true(fake_http_is_idle(bench.http));
    fake_loop_advance(bench.loop, 1);
    (void)take(&bench, WATCH_FROM("10"));
    tear_down(&bench);
}

static void gives_up_a_list_that_stands_still(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    struct http_call *call = take(&bench, FIRST_LIST);
    (void)fake_http_head(call, 200, "application/json");
    assert_true(fake_http_data(call, "{\"kind\":\"ServiceList\",\"items\":[" ITEM("a", "1") ","));
    fake_loop_advance(bench.loop, 59999);
    expect(&bench, "up begin L:a");
    fake_loop_advance(bench.loop, 1);
    expect(&bench, "down(timeout)");
    (void)expect_backoff(&bench, 800);
    fake_http_answer(take(&bench, FIRST_LIST), 200, LIST("10", ITEM("b", "2")));
    expect(&bench, "up begin L:b end up,synced");
    (void)take(&bench, WATCH_FROM("10"));
    tear_down(&bench);
}

/* ---- places that the server does not know ---- */

static void lists_again_when_its_place_is_forgotten(void **state)
{
    (void)state;
    for (unsigned in_stream = 0; in_stream < 2; in_stream++) {
        struct bench bench;
        struct http_call *call = synced(&bench);
        if (in_stream)
            assert_false(fake_http_data(call, ADDED("c", "11") ERROR_EVENT(GONE)));
        else
            fake_http_answer(call, 410, GONE);
        fake_loop_advance(bench.loop, 0);
        expect(&bench, in_stream ? "A:c" : ""); /* not a fault: nobody is told of one */
        fake_http_answer(take(&bench, in_stream ? LIST_FROM("11") : LIST_FROM("10")), 410, GONE);
        fake_loop_advance(bench.loop, 0);
        expect(&bench, "");
        fake_http_answer(take(&bench, QUORUM_LIST), 200, LIST("20", ITEM("c", "11")));
        expect(&bench, "begin L:c end up,synced");
        call = take(&bench, WATCH_FROM("20"));
        /* Forgotten again at once: that server is sick, do not hurry. */
        fake_http_answer(call, 410, GONE);
        expect(&bench, "down(expired)");
        (void)expect_backoff(&bench, 800);
        fake_http_answer(take(&bench, LIST_FROM("20")), 410, GONE);
        fake_loop_advance(bench.loop, 0);
        fake_http_answer(take(&bench, QUORUM_LIST), 410, GONE);
        expect(&bench, "down(expired)");
        tear_down(&bench);
    }
}

#define TOO_LARGE                                                                                                      \
    "{\"kind\":\"Status\",\"message\":\"Timeout: Too large resource version: 30, current: "                            \
    "20\",\"reason\":\"Timeout\","                                                                                     \
    "\"details\":{\"causes\":[{\"reason\":\"ResourceVersionTooLarge\"}],\"retryAfterSeconds\":1},\"code\":504}"

static void asks_for_the_newest_when_the_server_is_behind(void **state)
{
    (void)state;
    struct bench bench;
    struct http_call *call = synced(&bench);
    assert_false(fake_http_data(call, ERROR_EVENT(TOO_LARGE)));
    expect(&bench, "down(server)");
    (void)expect_backoff(&bench, 1000);
    fake_http_answer(take(&bench, QUORUM_LIST), 200, LIST("5", ""));
    expect(&bench, "up,synced begin end up,synced");
    fake_http_answer(take(&bench, WATCH_FROM("5")), 410, GONE);
    fake_loop_advance(bench.loop, 0);
    fake_http_answer(take(&bench, LIST_FROM("5")), 504, TOO_LARGE);
    fake_loop_advance(bench.loop, 999);
    assert_true(fake_http_is_idle(bench.http));
    fake_loop_advance(bench.loop, 1);
    fake_http_answer(take(&bench, QUORUM_LIST), 200, LIST("4", ""));
    (void)take(&bench, WATCH_FROM("4"));
    tear_down(&bench);
}

/* An ordinary 504 is no reason to read from etcd. */
static void keeps_asking_the_cache_after_other_timeouts(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    fake_http_answer(take(&bench, FIRST_LIST), 504, STATUS(504, "Timeout", "request did not complete"));
    expect(&bench, "down(server)");
    (void)expect_backoff(&bench, 800);
    (void)take(&bench, FIRST_LIST);
    tear_down(&bench);
}

static void drops_a_version_that_is_rejected(void **state)
{
    (void)state;
    struct bench bench;
    fake_http_answer(synced(&bench), 400, STATUS(400, "BadRequest", "invalid resourceVersion"));
    expect(&bench, "down(rejected)");
    (void)expect_backoff(&bench, 800);
    fake_http_answer(take(&bench, LIST_FROM("10")), 400, STATUS(400, "BadRequest", "invalid resourceVersion"));
    expect(&bench, "down(rejected)");
    (void)expect_backoff(&bench, 1600);
    (void)take(&bench, QUORUM_LIST);
    tear_down(&bench);
}

/* ---- watches that break ---- */

static void goes_on_after_a_broken_connection(void **state)
{
    (void)state;
    struct bench bench;
    struct http_call *call = synced(&bench);
    /* In the middle of an event: what was whole counts, the rest comes again. */
    assert_true(fake_http_data(call, ADDED("c", "11") "{\"type\":\"ADDED\",\"obj"));
    fake_http_finish(call);
    fake_loop_advance(bench.loop, 0);
    call = take(&bench, WATCH_FROM("11"));
    expect(&bench, "A:c");
    assert_string_equal(list_watch_state(bench.watch)->error.text,
                        "watch services in cluster east: the stream ended in the middle of an event");
    assert_true(fake_http_head(call, 200, "application/json"));
    assert_true(fake_http_data(call, ADDED("d", "12")));
    fake_http_fail(call, ERR_CONNECT, "Connection reset by peer");
    fake_loop_advance(bench.loop, 0);
    expect(&bench, "up,synced A:d");
    /* Refused: the server is down. The place is kept, without a list. */
    fake_http_fail(take(&bench, WATCH_FROM("12")), ERR_CONNECT, "Connection refused");
    expect(&bench, "down(connect)");
    (void)expect_backoff(&bench, 800);
    fake_http_fail(take(&bench, WATCH_FROM("12")), ERR_RESOLVE, "no address");
    expect(&bench, "down(resolve)");
    (void)expect_backoff(&bench, 1600);
    fake_http_fail(take(&bench, WATCH_FROM("12")), ERR_TLS, "certificate expired");
    expect(&bench, "down(tls)");
    (void)expect_backoff(&bench, 3200);
    call = take(&bench, WATCH_FROM("12"));
    (void)fake_http_head(call, 200, "application/json");
    fake_loop_advance(bench.loop, 0);
    expect(&bench, "up,synced");
    assert_int_equal(list_watch_state(bench.watch)->lists, 1);
    tear_down(&bench);
}

static void takes_a_watch_that_ends_at_once_for_a_fault(void **state)
{
    (void)state;
    struct bench bench;
    struct http_call *call = synced(&bench);
    fake_http_finish(call);
    call = take(&bench, WATCH_FROM("10"));
    assert_true(fake_http_head(call, 200, "application/json"));
    fake_loop_advance(bench.loop, 999);
    fake_http_finish(call);
    expect(&bench, "down(server)");
    assert_non_null(strstr(bench.error, "ended at once without an event"));
    (void)expect_backoff(&bench, 800);
    /* With an event it is none, however short. */
    call = take(&bench, WATCH_FROM("10"));
    assert_true(fake_http_head(call, 200, "application/json"));
    assert_true(fake_http_data(call, ADDED("c", "11")));
    fake_http_finish(call);
    expect(&bench, "up,synced A:c");
    (void)take(&bench, WATCH_FROM("11"));
    tear_down(&bench);
}

static void does_not_trust_silence(void **state)
{
    (void)state;
    struct bench bench;
    struct http_call *call = synced(&bench);
    fake_loop_advance(bench.loop, 80000);
    assert_true(fake_http_data(call, BOOKMARK("15")));
    fake_loop_advance(bench.loop, 89999);
    expect(&bench, "");
    assert_true(fake_http_is_idle(bench.http));
    fake_loop_advance(bench.loop, 1);
    call = take(&bench, WATCH_FROM("15")); /* at once, and without a word */
    (void)fake_http_head(call, 200, "application/json");
    fake_loop_advance(bench.loop, 0);
    expect(&bench, "up,synced");
    /* Silent from the beginning: the server may not know the place. */
    fake_loop_advance(bench.loop, 90000);
    (void)take(&bench, LIST_FROM("15"));
    /* No answer at all. */
    fake_loop_advance(bench.loop, 60000);
    expect(&bench, "down(timeout)");
    (void)expect_backoff(&bench, 800);
    (void)take(&bench, LIST_FROM("15"));
    tear_down(&bench);
}

/* Without bookmarks a collection in which nothing happens is as silent as a server that does not know the place. */
static void doubts_ever_less_who_is_always_silent(void **state)
{
    (void)state;
    static const bool lists[] = {true, true, false, true, false, false, false, true, false};
    struct bench bench;
    struct http_call *call = synced(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        fake_loop_advance(bench.loop, 90000);
        if (lists[i])
            fake_http_answer(take(&bench, LIST_FROM("10")), 200, LIST("10", ITEM("a", "1") "," ITEM("b", "2")));
        call = take(&bench, WATCH_FROM("10"));
        (void)fake_http_head(call, 200, "application/json");
        fake_loop_advance(bench.loop, 0);
    }
    assert_true(fake_http_data(call, BOOKMARK("10")));
    fake_loop_advance(bench.loop, 90000);
    (void)fake_http_head(take(&bench, WATCH_FROM("10")), 200, "application/json");
    fake_loop_advance(bench.loop, 90000);
    (void)take(&bench, LIST_FROM("10")); /* as at the first time */
    tear_down(&bench);
}

static void lists_after_many_server_errors(void **state)
{
    (void)state;
    static const uint64_t delays_ms[] = {800, 1600, 3200, 6400, 12800, 25600};
    struct bench bench;
    struct http_call *call = synced(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(delays_ms); i++) {
        if (i % 2 == 0)
            fake_http_answer(call, 500, STATUS(500, "InternalError", "etcd is away"));
        else
            assert_false((fake_http_head(call, 200, "application/json"),
                          fake_http_data(call, ERROR_EVENT(STATUS(500, "InternalError", "etcd is away")))));
        expect(&bench, "down(server)");
        assert_string_equal(bench.error, "watch services in cluster east: 500 Internal Server Error: etcd is away");
        assert_int_equal(list_watch_state(bench.watch)->status, 500);
        (void)expect_backoff(&bench, delays_ms[i]);
        call = take(&bench, i + 1 < ARRAY_COUNT(delays_ms) ? WATCH_FROM("10") : LIST_FROM("10"));
    }
    tear_down(&bench);
}

struct bad_event {
    const char *text, *words;
};

static void lists_again_after_events_that_make_no_sense(void **state)
{
    (void)state;
    static const struct bad_event cases[] = {
        {"{\"type\":\"ADDED\"}\n", "no type or no object"},
        {"{\"object\":{}}\n", "no type or no object"},
        {"[]\n", "no type or no object"},
        {"{\"type\":}\n", "a watch event is not JSON"},
        {"<html>", "not JSON: '<'"},
        {ERROR_EVENT("{}"), "watch services in cluster east: 0 unexpected status"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct bench bench;
        assert_false(fake_http_data(synced(&bench), cases[i].text));
        expect(&bench, "down(protocol)");
        if (strstr(bench.error, cases[i].words) == NULL)
            fail_msg("case %zu: %s", i, bench.error);
        (void)expect_backoff(&bench, 800);
        (void)take(&bench, LIST_FROM("10"));
        tear_down(&bench);
    }
}

/* A proxy's page with status 200 is no open watch. */
static void does_not_take_a_page_for_a_watch(void **state)
{
    (void)state;
    struct bench bench;
    struct http_call *call = synced(&bench);
    fake_http_fail(call, ERR_CONNECT, "reset");
    fake_loop_advance(bench.loop, 0);
    call = take(&bench, WATCH_FROM("10"));
    (void)fake_http_head(call, 200, "text/html");
    fake_loop_advance(bench.loop, 100);
    expect(&bench, "");
    assert_false(fake_http_data(call, "<html>"));
    expect(&bench, "down(protocol)");
    tear_down(&bench);
}

/* ---- rights ---- */

#define FORBIDDEN(verb)                                                                                                \
    STATUS(403, "Forbidden",                                                                                           \
           "services is forbidden: User \\\"system:serviceaccount:l5d:mirror\\\" cannot " verb                         \
           " resource \\\"services\\\" in API group \\\"\\\" at the cluster scope")

static void names_the_right_that_is_missing(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    fake_http_answer(take(&bench, FIRST_LIST), 403, FORBIDDEN("list"));
    expect(&bench, "down(forbidden)");
    assert_string_equal(bench.error,
                        "missing right: list services in cluster east (grant get, list, watch on services to user "
                        "system:serviceaccount:l5d:mirror): 403 Forbidden: services is forbidden: User "
                        "\"system:serviceaccount:l5d:mirror\" cannot list resource \"services\" in API group \"\" at "
                        "the cluster scope");
    (void)expect_backoff(&bench, 800);
    fake_http_answer(take(&bench, FIRST_LIST), 200, LIST("10", ""));
    bench.log[0] = '\0';
    fake_http_answer(take(&bench, WATCH_FROM("10")), 403, "");
    expect(&bench, "down(forbidden)");
    assert_string_equal(bench.error, "missing right: watch services in cluster east (grant get, list, watch on "
                                     "services to the account in use): 403 Forbidden");
    (void)expect_backoff(&bench, 1600);
    (void)take(&bench, WATCH_FROM("10"));
    tear_down(&bench);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    (void)fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static void goes_on_with_a_new_token_after_a_401(void **state)
{
    (void)state;
    char path[] = "/tmp/test_list_watch_XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    (void)close(descriptor);
    struct kubeconfig kubeconfig = plain;
    kubeconfig.token = "one";
    kubeconfig.token_file = path;
    struct bench bench;
    assert_int_equal(open_bench(&bench, &kubeconfig), ERR_OK);
    fake_loop_advance(bench.loop, 0);
    write_file(path, "two");
    fake_http_answer(take(&bench, FIRST_LIST), 401, "");
    fake_loop_advance(bench.loop, 0);
    struct http_call *call = take(&bench, FIRST_LIST);
    assert_string_equal(fake_http_header(call, "Authorization"), "Bearer two");
    fake_http_answer(call, 200, LIST("10", ""));
    expect(&bench, "up begin end up,synced");
    /* Each time that it had worked in between. */
    write_file(path, "three");
    fake_http_answer(take(&bench, WATCH_FROM("10")), 401, "");
    fake_loop_advance(bench.loop, 0);
    call = take(&bench, WATCH_FROM("10"));
    assert_string_equal(fake_http_header(call, "Authorization"), "Bearer three");
    expect(&bench, "");
    write_file(path, "four");
    fake_http_answer(call, 401, "");
    expect(&bench, "down(unauthorized)");
    (void)expect_backoff(&bench, 800);
    fake_http_answer(take(&bench, WATCH_FROM("10")), 401, "");
    expect(&bench, "down(unauthorized)");
    tear_down(&bench);
    (void)unlink(path);
}

static void goes_on_with_new_certificates(void **state)
{
    (void)state;
    char path[] = "/tmp/test_list_watch_XXXXXX";
    int descriptor = mkstemp(path);
    assert_true(descriptor >= 0);
    (void)close(descriptor);
    struct test_certificate first = test_certificate_make(1900000000), second = test_certificate_make(1900000001);
    struct kubeconfig kubeconfig = plain;
    kubeconfig.ca_pem = first.certificate;
    kubeconfig.ca_file = path;
    write_file(path, second.certificate);
    struct bench bench;
    assert_int_equal(open_bench(&bench, &kubeconfig), ERR_OK);
    fake_loop_advance(bench.loop, 0);
    fake_http_answer(take(&bench, FIRST_LIST), 200, LIST("10", ""));
    struct http_call *call = take(&bench, WATCH_FROM("10"));
    assert_true(fake_http_head(call, 200, "application/json"));
    assert_string_equal(fake_http_ca(call), first.certificate);
    for (unsigned i = 0; i < 4; i++) {
        fake_loop_advance(bench.loop, 70000);
        assert_true(fake_http_data(call, BOOKMARK("12")));
    }
    fake_loop_advance(bench.loop, 20000);
    call = take(&bench, WATCH_FROM("12"));
    assert_string_equal(fake_http_ca(call), second.certificate);
    expect(&bench, "up begin end up,synced");
    /* In the middle of a listing: it begins again. */
    fake_http_answer(call, 410, GONE);
    fake_loop_advance(bench.loop, 0);
    fake_http_answer(take(&bench, LIST_FROM("12")), 410, GONE);
    fake_loop_advance(bench.loop, 0);
    fake_loop_advance(bench.loop, 1000);
    call = take(&bench, QUORUM_LIST);
    assert_true(fake_http_head(call, 200, "application/json"));
    assert_true(fake_http_data(call, "{\"kind\":\"ServiceList\",\"items\":[" ITEM("a", "1") ","));
    expect(&bench, "begin L:a");
    write_file(path, first.certificate);
    for (unsigned i = 0; i < 29; i++) {
        fake_loop_advance(bench.loop, 10000);
        assert_true(fake_http_data(call, " "));
    }
    fake_loop_advance(bench.loop, 9000);
    call = take(&bench, QUORUM_LIST);
    assert_string_equal(fake_http_ca(call), first.certificate);
    fake_http_answer(call, 200, LIST("30", ITEM("b", "2")));
    expect(&bench, "begin L:b end up,synced");
    (void)take(&bench, WATCH_FROM("30"));
    tear_down(&bench);
    (void)unlink(path);
}

/* ---- owners ---- */

static void starts_over_when_an_object_is_lost(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    bench.nomem_on = "L:a";
    fake_http_answer(take(&bench, FIRST_LIST), 200, LIST("10", ITEM("a", "1") "," ITEM("b", "2")));
    expect(&bench, "up begin nomem down(nomem)");
    (void)expect_backoff(&bench, 800);
    fake_http_answer(take(&bench, FIRST_LIST), 200, LIST("10", ITEM("a", "1") "," ITEM("b", "2")));
    expect(&bench, "up begin L:a L:b end up,synced");
    struct http_call *call = take(&bench, WATCH_FROM("10"));
    bench.nomem_on = "A:c";
    assert_true(fake_http_head(call, 200, "application/json"));
    assert_false(fake_http_data(call, ADDED("c", "11") ADDED("d", "12")));
    expect(&bench, "nomem down(nomem)");
    (void)expect_backoff(&bench, 1600);
    fake_http_answer(take(&bench, LIST_FROM("10")), 200, LIST("12", ITEM("c", "11")));
    expect(&bench, "up,synced begin L:c end up,synced");
    (void)take(&bench, WATCH_FROM("12"));
    tear_down(&bench);
}

static void may_be_freed_in_every_callback(void **state)
{
    (void)state;
    static const char *const words[] = {"up", "begin", "L:a", "L:b", "end", "up,synced", "A:c", "D:a", "down(server)"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        struct bench bench;
        set_up(&bench);
        bench.free_on = words[i];
        fake_http_answer(take(&bench, FIRST_LIST), 200, LIST("10", ITEM("a", "1") "," ITEM("b", "2")));
        if (bench.watch != NULL) {
            struct http_call *call = take(&bench, WATCH_FROM("10"));
            assert_true(fake_http_head(call, 200, "application/json"));
            fake_loop_advance(bench.loop, 2000);
            if (fake_http_data(call, ADDED("c", "11") EVENT("DELETED", "Service", "a", "12")))
                fake_http_fail(call, ERR_SERVER, "broken");
        }
        assert_null(bench.watch);
        assert_non_null(strstr(bench.log, words[i]));
        fake_loop_advance(bench.loop, 100000);
        assert_true(fake_http_is_idle(bench.http));
        tear_down(&bench);
    }
    /* And at any other time. */
    struct bench bench;
    (void)synced(&bench);
    tear_down(&bench);
}

static void tries_again_when_asked_to(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    fake_http_fail(take(&bench, FIRST_LIST), ERR_CONNECT, "Connection refused");
    list_watch_retry_now(bench.watch);
    fake_loop_advance(bench.loop, 0);
    struct http_call *call = take(&bench, FIRST_LIST);
    list_watch_retry_now(bench.watch); /* nothing to hurry */
    fake_loop_advance(bench.loop, 0);
    assert_true(fake_http_is_idle(bench.http));
    fake_http_answer(call, 200, LIST("10", ""));
    (void)take(&bench, WATCH_FROM("10"));
    tear_down(&bench);
}

static void lists_anew_when_asked_to(void **state)
{
    (void)state;
    struct bench bench;
    (void)synced(&bench);
    list_watch_relist(bench.watch);
    list_watch_relist(bench.watch); /* once is enough */
    fake_loop_advance(bench.loop, 0);
    struct http_call *call = take(&bench, LIST_FROM("10"));
    list_watch_relist(bench.watch); /* that one has begun */
    fake_http_answer(call, 200, LIST("12", ITEM("c", "11")));
    expect(&bench, "begin L:c end up,synced");
    call = take(&bench, WATCH_FROM("12"));
    /* Waiting to go on watching it lists in its place, no sooner. */
    fake_http_fail(call, ERR_CONNECT, "Connection refused");
    expect(&bench, "down(connect)");
    list_watch_relist(bench.watch);
    (void)expect_backoff(&bench, 800);
    fake_http_answer(take(&bench, LIST_FROM("12")), 200, LIST("12", ITEM("c", "11")));
    expect(&bench, "up,synced begin L:c end up,synced");
    (void)take(&bench, WATCH_FROM("12"));
    tear_down(&bench);
}

/* Several on one client, freed in any order. */
static void share_a_client(void **state)
{
    (void)state;
    static const unsigned orders[][3] = {{0, 1, 2}, {2, 1, 0}, {1, 0, 2}, {1, 2, 0}};
    for (size_t i = 0; i < ARRAY_COUNT(orders); i++) {
        struct bench bench;
        struct list_watch *watches[3];
        struct list_watch_config config = services;
        set_up(&bench);
        list_watch_free(TAKE(bench.watch));
        config.context = &bench;
        for (unsigned j = 0; j < 3; j++)
            assert_int_equal(list_watch_new(bench.loop, bench.client, &config, &watches[j], NULL), ERR_OK);
        fake_loop_advance(bench.loop, 0);
        for (unsigned j = 0; j < 3; j++)
            list_watch_free(watches[orders[i][j]]);
        assert_true(fake_http_is_idle(bench.http));
        tear_down(&bench);
    }
}

/* ---- observers ---- */

static void on_observed(void *context, const struct kube_client *client, const char *verb, const char *resource,
                        int status, uint64_t latency_us)
{
    struct bench *bench = context;
    char word[64];
    (void)client;
    (void)snprintf(word, sizeof(word), "[%s %s %d %lu]", verb, resource, status, (unsigned long)latency_us / 1000);
    note(bench, word);
}

/* A watch counts when it is answered, not when it ends minutes later. */
static void tells_observers_of_answers(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    kube_client_observe(bench.client, on_observed, &bench);
    struct http_call *call = take(&bench, FIRST_LIST);
    fake_loop_advance(bench.loop, 20);
    fake_http_answer(call, 200, LIST("10", ""));
    call = take(&bench, WATCH_FROM("10"));
    fake_loop_advance(bench.loop, 5);
    assert_true(fake_http_head(call, 200, "application/json"));
    fake_loop_advance(bench.loop, 50000);
    fake_http_finish(call);
    fake_http_answer(take(&bench, WATCH_FROM("10")), 500, "");
    expect(&bench, "[list services 200 20] up begin end up,synced [watch services 200 5] [watch services 500 0] "
                   "down(server)");
    tear_down(&bench);
}

/* ---- memory ---- */

/* A server that always answers as it should: a and b at 10, then c is added and a deleted. */
static void serve(struct bench *bench)
{
    struct http_call *call = take(bench, "*");
    const char *path = fake_http_path(call);
    if (strstr(path, "watch=1") == NULL)
        fake_http_answer(call, 200, LIST("10", ITEM("a", "1") "," ITEM("b", "2")));
    else if (fake_http_head(call, 200, "application/json") && strstr(path, "resourceVersion=10") != NULL)
        (void)fake_http_data(call, ADDED("c", "11") EVENT("DELETED", "Service", "a", "12"));
}

/* Whichever allocation fails, in the end everything was delivered: the last listing, and what came after it. */
static enum err_code sweep_following(void *context)
{
    (void)context;
    struct bench bench;
    enum err_code code = open_bench(&bench, &plain);
    for (unsigned i = 0; code == ERR_OK && i < 20 && strstr(bench.log, "D:a") == NULL; i++) {
        (void)fake_loop_advance_to_next(bench.loop);
        while (!fake_http_is_idle(bench.http))
            serve(&bench);
    }
    if (code == ERR_OK) {
        const char *last = NULL;
        for (const char *at = bench.log; (at = strstr(at, "begin ")) != NULL; at++)
            last = at;
        const char *const words[] = {"L:a", "L:b", "end", "A:c", "D:a"};
        for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
            last = last != NULL ? strstr(last, words[i]) : NULL;
            if (last == NULL)
                fail_msg("%s is missing: %s", words[i], bench.log);
        }
    }
    tear_down(&bench);
    return code;
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    assert_true(sweep(sweep_following, NULL) > 30);
}

static int set_up_all(void **state)
{
    (void)state;
    kube_setup();
    return 0;
}

/* ---- lists without an end, and lists once more ---- */

static void a_list_without_an_end_is_a_failure(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    list_watch_objects = 3;
    struct http_call *call = take(&bench, FIRST_LIST);
    assert_true(fake_http_head(call, 200, "application/json"));
    assert_true(fake_http_data(call, "{\"kind\":\"ServiceList\",\"items\":[" ITEM("a", "1") "," ITEM("a", "1") ","));
    expect(&bench, "up begin L:a L:a");
    assert_false(fake_http_data(call, ITEM("a", "1") "," ITEM("a", "1") ","));
    expect(&bench, "L:a down(limit)");
    assert_non_null(strstr(bench.error, "list services in cluster east"));
    assert_non_null(strstr(bench.error, "no end within 3 objects"));
    /* Pages count, too: an empty one leads to the next for ever. */
    fake_loop_advance(bench.loop, 1600);
    fake_http_answer(take(&bench, FIRST_LIST), 200, PAGE("10", "t", ""));
    for (unsigned i = 0; i < 2; i++)
        fake_http_answer(take(&bench, QUORUM_LIST "&continue=t"), 200, PAGE("10", "t", ""));
    expect(&bench, "up begin");
    fake_http_answer(take(&bench, QUORUM_LIST "&continue=t"), 200, PAGE("10", "t", ""));
    expect(&bench, "down(limit)");
    list_watch_objects = LIST_WATCH_OBJECTS;
    tear_down(&bench);
}

static void a_list_may_be_asked_for_again(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    list_watch_list_again(bench.watch); /* the first is under way, and begins anew */
    fake_loop_advance(bench.loop, 0);
    fake_http_answer(take(&bench, FIRST_LIST), 200, LIST("10", ITEM("a", "1")));
    expect(&bench, "up begin L:a end up,synced");
    struct http_call *watch = take(&bench, WATCH_FROM("10"));
    assert_true(fake_http_head(watch, 200, "application/json"));
    list_watch_list_again(bench.watch);
    expect(&bench, ""); /* nothing from inside */
    fake_loop_advance(bench.loop, 0);
    fake_http_answer(take(&bench, LIST_FROM("10")), 200, LIST("12", ITEM("b", "2")));
    expect(&bench, "begin L:b end up,synced");
    /* While it backs off, at its end. */
    fake_http_fail(take(&bench, WATCH_FROM("12")), ERR_CONNECT, "refused");
    expect(&bench, "down(connect)");
    list_watch_list_again(bench.watch);
    assert_true(fake_http_is_idle(bench.http));
    fake_loop_advance(bench.loop, 1600);
    fake_http_answer(take(&bench, LIST_FROM("12")), 200, LIST("13", ""));
    expect(&bench, "up,synced begin end up,synced");
    tear_down(&bench);
}

/* ---- protobuf ---- */

/* The list of a and b at version 10, an event that adds c at version 3, and one that says 410: as API servers send them. */
#define PROTO_LIST                                                                                                     \
    "k8s\0\x0a\x11\x0a\x02v1\x12\x0bServiceList\x12\x1a\x0a\x04\x12\x02"                                               \
    "10\x12\x08\x0a\x06\x0a\x01"                                                                                       \
    "a\x32\x01"                                                                                                        \
    "1\x12\x08\x0a\x06\x0a\x01"                                                                                        \
    "b\x32\x01"                                                                                                        \
    "2"
#define PROTO_ADDED                                                                                                    \
    "\0\0\0\x28\x0a\x05"                                                                                               \
    "ADDED\x12\x1f\x0a\x1dk8s\0\x0a\x0d\x0a\x02v1\x12\x07Service\x12\x08\x0a\x06\x0a\x01"                              \
    "c\x32\x01"                                                                                                        \
    "3"
#define PROTO_GONE                                                                                                     \
    "\0\0\0\x39\x0a\x05"                                                                                               \
    "ERROR\x12\x30\x0a\x2ek8s\0\x0a\x0c\x0a\x02v1\x12\x06Status\x12\x1a\x12\x07"                                       \
    "Failure\x1a\x03old\x22\x07"                                                                                       \
    "Expired\x30\x9a\x03"
#define PROTO_FORBIDDEN                                                                                                \
    "k8s\0\x0a\x0c\x0a\x02v1\x12\x06Status\x12\x1f\x12\x07"                                                            \
    "Failure\x1a\x06not me\x22\x09"                                                                                    \
    "Forbidden\x30\x93\x03"
#define SEND(call, text) fake_http_bytes(call, text, sizeof(text) - 1)
#define ONLY_JSON "application/json"

static void send_proto_list(struct http_call *call)
{
    (void)fake_http_head(call, 200, "application/vnd.kubernetes.protobuf");
    (void)SEND(call, PROTO_LIST);
    fake_http_finish(call);
}

static void lists_and_watches_in_protobuf(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    send_proto_list(take(&bench, FIRST_LIST));
    expect(&bench, "up begin L:a L:b end up,synced");
    struct http_call *call = take(&bench, WATCH_FROM("10"));
    (void)fake_http_head(call, 200, "application/vnd.kubernetes.protobuf;stream=watch");
    fake_loop_advance(bench.loop, 5000);
    assert_true(SEND(call, PROTO_ADDED));
    expect(&bench, "A:c");
    fake_http_finish(call); /* it goes on from there, and in JSON when the server says so */
    call = take(&bench, WATCH_FROM("3"));
    (void)fake_http_head(call, 200, "application/json");
    assert_true(fake_http_data(call, ADDED("d", "4")));
    expect(&bench, "A:d");
    fake_loop_advance(bench.loop, 5000);
    fake_http_finish(call);
    call = take(&bench, WATCH_FROM("4"));
    (void)fake_http_head(call, 200, "application/vnd.kubernetes.protobuf;stream=watch");
    assert_false(SEND(call, PROTO_GONE));
    fake_loop_advance(bench.loop, 0);
    send_proto_list(take(&bench, LIST_FROM("4"))); /* no fault, and at once */
    expect(&bench, "begin L:a L:b end up,synced");
    tear_down(&bench);
}

static void a_refusal_in_protobuf_says_why(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    struct http_call *call = take(&bench, FIRST_LIST);
    (void)fake_http_head(call, 403, "application/vnd.kubernetes.protobuf");
    (void)SEND(call, PROTO_FORBIDDEN);
    fake_http_finish(call);
    expect(&bench, "down(forbidden)");
    assert_non_null(strstr(bench.error, "not me"));
    tear_down(&bench);
}

static void what_is_no_protobuf_is_asked_for_in_json(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    struct http_call *call = take(&bench, FIRST_LIST);
    (void)fake_http_head(call, 200, "application/vnd.kubernetes.protobuf");
    assert_false(fake_http_data(call, LIST("10", "")));
    expect(&bench, "down(protocol)");
    (void)expect_backoff(&bench, 800);
    call = take(&bench, FIRST_LIST);
    assert_string_equal(fake_http_header(call, "Accept"), ONLY_JSON);
    fake_http_answer(call, 200, LIST("10", ""));
    expect(&bench, "up begin end up,synced");
    tear_down(&bench);
}

/* Its items would be kept for nothing: what tells their kind comes behind them. */
static void a_list_in_protobuf_that_tells_its_kind_last_is_asked_for_in_json(void **state)
{
    static const char text[] = "k8s\0\x12\x0a\x12\x08\x0a\x06\x0a\x01"
                               "a\x32\x01"
                               "1\x0a\x11\x0a\x02v1\x12\x0bServiceList";
    (void)state;
    struct bench bench;
    set_up(&bench);
    struct http_call *call = take(&bench, FIRST_LIST);
    (void)fake_http_head(call, 200, "application/vnd.kubernetes.protobuf");
    assert_false(SEND(call, text));
    expect(&bench, "down(protocol)");
    assert_non_null(strstr(bench.error, "does not say of what kind"));
    (void)expect_backoff(&bench, 800);
    assert_string_equal(fake_http_header(take(&bench, FIRST_LIST), "Accept"), ONLY_JSON);
    tear_down(&bench);
}

/* A connection that broke says nothing about what the server knows. */
static void a_cut_list_in_protobuf_is_asked_for_in_it_again(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    struct http_call *call = take(&bench, FIRST_LIST);
    (void)fake_http_head(call, 200, "application/vnd.kubernetes.protobuf");
    assert_true(fake_http_bytes(call, PROTO_LIST, sizeof(PROTO_LIST) - 5));
    fake_http_finish(call);
    expect(&bench, "up begin L:a down(protocol)");
    (void)expect_backoff(&bench, 800);
    call = take(&bench, FIRST_LIST);
    assert_string_equal(fake_http_header(call, "Accept"), "application/vnd.kubernetes.protobuf,application/json");
    send_proto_list(call);
    expect(&bench, "up begin L:a L:b end up,synced");
    tear_down(&bench);
}

static void asks_for_json_where_it_is_told_to(void **state)
{
    (void)state;
    struct bench bench;
    assert_int_equal(open_bench(&bench, &plain), ERR_OK);
    kube_client_ask_for_json(bench.client);
    fake_loop_advance(bench.loop, 0);
    assert_string_equal(fake_http_header(take(&bench, FIRST_LIST), "Accept"), ONLY_JSON);
    tear_down(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_then_watches),
        cmocka_unit_test(asks_for_selected_objects),
        cmocka_unit_test(takes_what_trickles),
        cmocka_unit_test(bookmarks_only_move_the_place),
        cmocka_unit_test(goes_through_pages),
        cmocka_unit_test(starts_over_when_a_page_expires),
        cmocka_unit_test(never_takes_something_else_for_a_list),
        cmocka_unit_test(takes_lists_without_items),
        cmocka_unit_test(takes_lists_that_name_their_kind_last),
        cmocka_unit_test(does_not_hold_items_without_end),
        cmocka_unit_test(ignores_objects_of_other_kinds),
        cmocka_unit_test(backs_off_while_a_list_fails),
        cmocka_unit_test(waits_as_long_as_the_server_asks),
        cmocka_unit_test(gives_up_a_list_that_stands_still),
        cmocka_unit_test(lists_again_when_its_place_is_forgotten),
        cmocka_unit_test(asks_for_the_newest_when_the_server_is_behind),
        cmocka_unit_test(keeps_asking_the_cache_after_other_timeouts),
        cmocka_unit_test(drops_a_version_that_is_rejected),
        cmocka_unit_test(goes_on_after_a_broken_connection),
        cmocka_unit_test(takes_a_watch_that_ends_at_once_for_a_fault),
        cmocka_unit_test(does_not_trust_silence),
        cmocka_unit_test(doubts_ever_less_who_is_always_silent),
        cmocka_unit_test(lists_after_many_server_errors),
        cmocka_unit_test(lists_again_after_events_that_make_no_sense),
        cmocka_unit_test(does_not_take_a_page_for_a_watch),
        cmocka_unit_test(names_the_right_that_is_missing),
        cmocka_unit_test(goes_on_with_a_new_token_after_a_401),
        cmocka_unit_test(goes_on_with_new_certificates),
        cmocka_unit_test(starts_over_when_an_object_is_lost),
        cmocka_unit_test(may_be_freed_in_every_callback),
        cmocka_unit_test(tries_again_when_asked_to),
        cmocka_unit_test(lists_anew_when_asked_to),
        cmocka_unit_test(share_a_client),
        cmocka_unit_test(tells_observers_of_answers),
        cmocka_unit_test(survives_failing_allocations),
        cmocka_unit_test(a_list_without_an_end_is_a_failure),
        cmocka_unit_test(a_list_may_be_asked_for_again),
        cmocka_unit_test(lists_and_watches_in_protobuf),
        cmocka_unit_test(a_refusal_in_protobuf_says_why),
        cmocka_unit_test(what_is_no_protobuf_is_asked_for_in_json),
        cmocka_unit_test(a_cut_list_in_protobuf_is_asked_for_in_it_again),
        cmocka_unit_test(a_list_in_protobuf_that_tells_its_kind_last_is_asked_for_in_json),
        cmocka_unit_test(asks_for_json_where_it_is_told_to),
    };
    return cmocka_run_group_tests(tests, set_up_all, NULL);
}
