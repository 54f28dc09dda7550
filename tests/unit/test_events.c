/* links: agent_kube mirror base fake_loop.c fake_http.c */
#include "agent/kube/events.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "agent/kube/setup.h"
#include "base/text.h"
#include "tests/unit/fake_http.h"
#include "tests/unit/fake_loop.h"
#include "tests/unit/sweep.h"

struct bench {
    struct loop *loop;
    struct http *http;
    struct kube_client *client;
    struct events *events;
};

static const struct event_subject web = {"v1", "Service", "demo", "web-east", "6f1d"};
#define DEMO "/apis/events.k8s.io/v1/namespaces/demo/events"

static enum err_code open_bench(struct bench *bench, const char *instance)
{
    static const struct kubeconfig config = {.server = "https://source:6443"};
    *bench = (struct bench){.loop = loop_new()};
    bench->http = bench->loop != NULL ? fake_http_new(bench->loop) : NULL;
    if (bench->http == NULL)
        return ERR_NOMEM;
    TRY(kube_client_new(bench->http, bench->loop, &config, "source", &bench->client, NULL));
    bench->events = events_new(bench->loop, bench->client, instance);
    return bench->events != NULL ? ERR_OK : ERR_NOMEM;
}

static void set_up(struct bench *bench) { assert_int_equal(open_bench(bench, "pod-1"), ERR_OK); }

static void tear_down(struct bench *bench)
{
    events_free(bench->events);
    kube_client_free(bench->client);
    http_free(bench->http);
    loop_free(bench->loop);
}

static void emit(struct bench *bench, const char *note)
{
    events_emit(bench->events, &web, true, "NameCollision", "Mirror", note);
}

static json_t *body_of(const struct http_call *call)
{
    json_t *json = json_loadb(call->request_body, call->request_body_bytes, 0, NULL);
    assert_non_null(json);
    return json;
}

static const char *text(const json_t *json, const char *field)
{
    const char *value = json_string_value(json_object_get(json, field));
    return value != NULL ? value : "(absent)";
}

static void writes_an_event(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    emit(&bench, "say \"no\"");
    struct http_call *call = fake_http_take(bench.http, "POST " DEMO);
    json_t *json = body_of(call);
    const json_t *meta = json_object_get(json, "metadata"), *regarding = json_object_get(json, "regarding");
    assert_string_equal(text(json, "apiVersion"), "events.k8s.io/v1");
    assert_string_equal(text(json, "kind"), "Event");
    assert_true(text_starts_with(text(meta, "name"), "web-east."));
    assert_true(text_is_dns1123_subdomain(text(meta, "name")));
    assert_string_equal(text(meta, "namespace"), "demo");
    assert_string_equal(text(json, "eventTime"), "2026-08-21T10:00:00.000000Z");
    assert_string_equal(text(json, "type"), "Warning");
    assert_string_equal(text(json, "reason"), "NameCollision");
    assert_string_equal(text(json, "action"), "Mirror");
    assert_string_equal(text(json, "note"), "say \"no\"");
    assert_string_equal(text(json, "reportingController"), "svcmirror");
    assert_string_equal(text(json, "reportingInstance"), "pod-1");
    assert_string_equal(text(regarding, "apiVersion"), "v1");
    assert_string_equal(text(regarding, "kind"), "Service");
    assert_string_equal(text(regarding, "namespace"), "demo");
    assert_string_equal(text(regarding, "name"), "web-east");
    assert_string_equal(text(regarding, "uid"), "6f1d");
    assert_null(json_object_get(json, "series"));
    json_decref(json);
    fake_http_answer(call, 201, "{}");
    assert_int_equal(events_dropped(bench.events), 0);
    tear_down(&bench);
}

static void keeps_to_the_apis_bounds(void **state)
{
    (void)state;
    char note[1200], name[254];
    struct bench bench;
    memset(note, 'n', sizeof(note));
    memcpy(note + 1023, "\xc3\xa9", 2); /* a character across the bound */
    note[sizeof(note) - 1] = '\0';
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    const struct event_subject node = {"v1", "Node", "", name, ""};
    char instance[300];
    memset(instance, 'i', sizeof(instance) - 1);
    instance[sizeof(instance) - 1] = '\0';
    assert_int_equal(open_bench(&bench, instance), ERR_OK);
    events_emit(bench.events, &node, false, "R", "A", note);
    struct http_call *call = fake_http_take(bench.http, "POST /apis/events.k8s.io/v1/namespaces/default/events");
    json_t *json = body_of(call);
    assert_int_equal(strlen(text(json, "note")), 1023);
    assert_int_equal(strlen(text(json, "reportingInstance")), 128);
    assert_in_range(strlen(text(json_object_get(json, "metadata"), "name")), 200, 253);
    assert_string_equal(text(json, "type"), "Normal");
    assert_null(json_object_get(json_object_get(json, "regarding"), "namespace"));
    assert_null(json_object_get(json_object_get(json, "regarding"), "uid"));
    json_decref(json);
    fake_http_answer(call, 201, "{}");
    tear_down(&bench);
    assert_int_equal(open_bench(&bench, ""), ERR_OK);
    emit(&bench, "x");
    call = fake_http_take(bench.http, "POST " DEMO);
    json = body_of(call);
    assert_string_equal(text(json, "reportingInstance"), "svcmirror");
    json_decref(json);
    fake_http_answer(call, 201, "{}");
    tear_down(&bench);
}

static void expect_count(struct http_call *call, int count, const char *time)
{
    json_t *json = body_of(call);
    const json_t *series = json_object_get(json, "series");
    assert_string_equal(fake_http_header(call, "Content-Type"), "application/merge-patch+json");
    assert_int_equal(json_integer_value(json_object_get(series, "count")), count);
    assert_string_equal(text(series, "lastObservedTime"), time);
    json_decref(json);
    fake_http_answer(call, 200, "{}");
}

static void counts_repeats(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    emit(&bench, "x");
    emit(&bench, "x"); /* while the first is on its way */
    struct http_call *call = fake_http_take(bench.http, "POST " DEMO);
    json_t *json = body_of(call);
    char line[512];
    (void)snprintf(line, sizeof(line), "PATCH " DEMO "/%s", text(json_object_get(json, "metadata"), "name"));
    json_decref(json);
    fake_http_answer(call, 201, "{}");
    fake_loop_advance(bench.loop, 10000);
    emit(&bench, "x");
    assert_true(fake_http_is_idle(bench.http));
    /* No further occurrence: the count is told all the same, when its time has come. */
    emit(&bench, "late");
    fake_http_answer(fake_http_take(bench.http, "POST " DEMO), 201, "{}");
    emit(&bench, "late");
    fake_loop_advance(bench.loop, 20000);
    expect_count(fake_http_take(bench.http, line), 3, "2026-08-21T10:00:30.000000Z");
    fake_loop_advance(bench.loop, 30000);
    expect_count(fake_http_take(bench.http, "PATCH " DEMO "/*"), 2, "2026-08-21T10:01:00.000000Z");
    fake_loop_advance(bench.loop, 30000);
    assert_true(fake_http_is_idle(bench.http));
    emit(&bench, "x");
    expect_count(fake_http_take(bench.http, line), 4, "2026-08-21T10:01:30.000000Z");
    /* Other causes are other Events. */
    emit(&bench, "y");
    fake_http_answer(fake_http_take(bench.http, "POST " DEMO), 201, "{}");
    events_emit(bench.events, &web, false, "NameCollision", "Mirror", "x");
    fake_http_answer(fake_http_take(bench.http, "POST " DEMO), 201, "{}");
    /* Quiet for six minutes: it begins anew. */
    fake_loop_advance(bench.loop, 360001);
    emit(&bench, "x");
    fake_http_answer(fake_http_take(bench.http, "POST " DEMO), 201, "{}");
    tear_down(&bench);
}

static void begins_anew_when_the_event_has_vanished(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    emit(&bench, "x");
    fake_http_answer(fake_http_take(bench.http, "POST " DEMO), 201, "{}");
    fake_loop_advance(bench.loop, 40000);
    emit(&bench, "x");
    fake_http_answer(fake_http_take(bench.http, "PATCH " DEMO "/*"), 404, "");
    emit(&bench, "x");
    fake_http_answer(fake_http_take(bench.http, "POST " DEMO), 201, "{}");
    assert_int_equal(events_dropped(bench.events), 1);
    tear_down(&bench);
}

static void drops_what_the_server_refuses(void **state)
{
    (void)state;
    static const int statuses[] = {403, 404, 409, 422, 429, 500};
    struct bench bench;
    set_up(&bench);
    for (size_t i = 0; i < ARRAY_COUNT(statuses); i++) {
        char note[16];
        (void)snprintf(note, sizeof(note), "%zu", i);
        emit(&bench, note);
        fake_http_answer(fake_http_take(bench.http, "POST " DEMO), statuses[i], "");
        assert_int_equal(events_dropped(bench.events), i + 1);
        fake_loop_advance(bench.loop, 120000); /* not tried again by itself */
        assert_true(fake_http_is_idle(bench.http));
        emit(&bench, note); /* but with the next occurrence */
        fake_http_answer(fake_http_take(bench.http, "POST " DEMO), 201, "{}");
    }
    tear_down(&bench);
}

static void on_refused(void *context, const struct err *error)
{
    (void)snprintf(context, ERR_TEXT_BYTES, "%s", error->text);
}

static void says_why_it_was_refused(void **state)
{
    (void)state;
    struct bench bench;
    char seen[ERR_TEXT_BYTES] = "";
    set_up(&bench);
    events_on_refused(bench.events, on_refused, seen);
    emit(&bench, "x");
    fake_http_answer(fake_http_take(bench.http, "POST " DEMO), 403, "{\"message\":\"no\"}");
    assert_true(text_starts_with(seen, "create Event demo/web-east."));
    assert_true(text_ends_with(seen, " in cluster source: 403 Forbidden: no"));
    tear_down(&bench);
}

static void bounds_what_waits(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    for (unsigned i = 0; i < 1100; i++) {
        char note[16];
        (void)snprintf(note, sizeof(note), "%u", i);
        emit(&bench, note);
    }
    /* 8 are under way, 1000 wait, the rest is dropped. */
    assert_int_equal(events_dropped(bench.events), 92);
    struct http_call *calls[8];
    for (size_t i = 0; i < ARRAY_COUNT(calls); i++)
        calls[i] = fake_http_take(bench.http, "POST " DEMO);
    assert_true(fake_http_is_idle(bench.http));
    fake_http_answer(calls[3], 201, "{}");
    struct http_call *next = fake_http_take(bench.http, "POST " DEMO);
    json_t *json = body_of(next);
    assert_string_equal(text(json, "note"), "8");
    json_decref(json);
    assert_true(fake_http_is_idle(bench.http));
    tear_down(&bench);
}

static void forgets_causes(void **state)
{
    (void)state;
    struct bench bench;
    set_up(&bench);
    for (unsigned i = 0; i < 4200; i++) {
        char note[16];
        (void)snprintf(note, sizeof(note), "%u", i);
        emit(&bench, note);
        if (!fake_http_is_idle(bench.http))
            fake_http_answer(fake_http_take(bench.http, "POST " DEMO), 201, "{}");
    }
    assert_int_equal(events_dropped(bench.events), 4200 - 4096);
    fake_loop_advance(bench.loop, 360001);
    emit(&bench, "new");
    fake_http_answer(fake_http_take(bench.http, "POST " DEMO), 201, "{}");
    assert_int_equal(events_dropped(bench.events), 4200 - 4096);
    tear_down(&bench);
}

static enum err_code sweep_emitting(void *context)
{
    (void)context;
    struct bench bench;
    enum err_code code = open_bench(&bench, "pod-1");
    for (unsigned i = 0; code == ERR_OK && i < 2; i++) {
        emit(&bench, "x");
        if (!fake_http_is_idle(bench.http))
            fake_http_answer(fake_http_take(bench.http, "*"), 201, "{}");
        fake_loop_advance(bench.loop, 31000);
    }
    while (code == ERR_OK && !fake_http_is_idle(bench.http))
        fake_http_answer(fake_http_take(bench.http, "*"), 201, "{}");
    tear_down(&bench);
    return code;
}

static void survives_failing_allocations(void **state)
{
    (void)state;
    assert_true(sweep(sweep_emitting, NULL) > 20);
}

static int set_up_all(void **state)
{
    (void)state;
    kube_setup();
    return 0;
}

static void nobody_is_told_without_events(void **state)
{
    (void)state;
    events_emit(NULL, &web, true, "NameCollision", "Mirror", "note");
    events_on_refused(NULL, NULL, NULL);
    assert_int_equal(events_dropped(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_an_event),
        cmocka_unit_test(keeps_to_the_apis_bounds),
        cmocka_unit_test(counts_repeats),
        cmocka_unit_test(begins_anew_when_the_event_has_vanished),
        cmocka_unit_test(drops_what_the_server_refuses),
        cmocka_unit_test(says_why_it_was_refused),
        cmocka_unit_test(bounds_what_waits),
        cmocka_unit_test(forgets_causes),
        cmocka_unit_test(survives_failing_allocations),
        cmocka_unit_test(nobody_is_told_without_events),
    };
    return cmocka_run_group_tests(tests, set_up_all, NULL);
}
