/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/commands/look_replicas.h"
#include "agent/commands/record.h"
#include "agent/kube/setup.h"
#include "sweep.h"

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    if (value == NULL)
        fail_msg("no JSON: %s", text);
    return value;
}

static void take(struct look_replicas *replicas, const char *text)
{
    json_t *pod = parse(text);
    assert_int_equal(look_replicas_take_pod(replicas, pod), ERR_OK);
    json_decref(pod);
}

static void pods_that_run_are_asked_at_their_own_port(void **state)
{
    (void)state;
    struct look_replicas replicas = {.count = 0};
    take(&replicas, "{\"metadata\":{\"name\":\"a\"},\"status\":{\"phase\":\"Running\"}}");
    take(&replicas,
         "{\"metadata\":{\"name\":\"b\"},\"status\":{\"phase\":\"Running\"},\"spec\":{\"containers\":[{\"ports\":["
         "{\"name\":\"linkerd-admin\",\"containerPort\":4191}]},{\"ports\":["
         "{\"name\":\"svcmirror-admin\",\"containerPort\":7777}]}]}}");
    take(&replicas,
         "{\"metadata\":{\"name\":\"c\"},\"status\":{\"phase\":\"Running\"},\"spec\":{\"containers\":[{\"ports\":["
         "{\"name\":\"svcmirror-admin\",\"containerPort\":70000}]}]}}");
    take(&replicas, "{\"metadata\":{\"name\":\"d\"},\"status\":{\"phase\":\"Pending\"}}");
    take(&replicas, "{\"metadata\":{\"name\":\"e\",\"deletionTimestamp\":\"2026-08-21T10:00:00Z\"},\"status\":{"
                    "\"phase\":\"Running\"}}");
    take(&replicas, "{\"status\":{\"phase\":\"Running\"}}");
    take(&replicas, "[]");
    assert_int_equal(replicas.count, 3);
    assert_string_equal(replicas.items[1].pod, "b");
    assert_int_equal(replicas.items[0].port, 9999);
    assert_int_equal(replicas.items[1].port, 7777);
    assert_int_equal(replicas.items[2].port, 9999);
    for (unsigned i = 0; i < LOOK_MAX_REPLICAS; i++)
        take(&replicas, "{\"metadata\":{\"name\":\"more\"},\"status\":{\"phase\":\"Running\"}}");
    assert_int_equal(replicas.count, LOOK_MAX_REPLICAS);
}

/* a and b each lead a link; c leads none, and none leads "new". */
static void make(struct look_replicas *replicas)
{
    static const char *const LINKS[] = {
        NULL,
        "[{\"clusterName\":\"east\",\"held\":true},{\"clusterName\":\"west\",\"held\":false},{\"clusterName\":\"new\","
        "\"held\":false}]",
        "[{\"clusterName\":\"east\",\"held\":false},{\"clusterName\":\"west\",\"held\":true},{\"clusterName\":\"new\","
        "\"held\":false}]",
        "[{\"clusterName\":\"east\",\"held\":false},{\"clusterName\":\"west\",\"held\":false}]"};
    static const char RECORDS[] =
        "[{\"clusterName\":\"east\"},{\"clusterName\":\"west\"},{\"clusterName\":\"new\"},{},7]";
    *replicas = (struct look_replicas){.count = 4};
    for (unsigned i = 1; i < 4; i++) {
        replicas->items[i].links = parse(LINKS[i]);
        replicas->items[i].records = parse(RECORDS);
        json_object_set_new(json_array_get(replicas->items[i].records, 0), "from", json_integer(i));
        json_object_set_new(json_array_get(replicas->items[i].records, 1), "from", json_integer(i));
        json_object_set_new(json_array_get(replicas->items[i].records, 2), "from", json_integer(i));
    }
}

static json_int_t from(const json_t *merged, const char *cluster)
{
    const json_t *record = NULL;
    json_int_t found = 0;
    size_t index = 0;
    json_array_foreach(merged, index, record)
    {
        if (strcmp(record_text(record, "clusterName"), cluster) != 0)
            continue;
        assert_int_equal(found, 0); /* told once */
        found = record_number(record, "from");
    }
    return found;
}

static void the_leader_speaks_for_its_link(void **state)
{
    (void)state;
    struct look_replicas replicas;
    make(&replicas);
    assert_false(look_replicas_is_needed(&replicas, 0)); /* does not answer */
    assert_true(look_replicas_is_needed(&replicas, 1));
    assert_true(look_replicas_is_needed(&replicas, 2));
    assert_false(look_replicas_is_needed(&replicas, 3));
    json_t *merged = look_replicas_merge(&replicas);
    assert_int_equal(json_array_size(merged), 5);
    assert_int_equal(from(merged, "east"), 1);
    assert_int_equal(from(merged, "west"), 2);
    assert_int_equal(from(merged, "new"), 1);
    json_decref(merged);
    look_replicas_done(&replicas);
}

static void who_answers_no_more_is_stood_in_for(void **state)
{
    (void)state;
    struct look_replicas replicas;
    make(&replicas);
    json_decref(replicas.items[1].records);
    replicas.items[1].records = NULL;
    json_t *merged = look_replicas_merge(&replicas);
    assert_int_equal(json_array_size(merged), 5);
    assert_int_equal(from(merged, "east"), 2);
    assert_int_equal(from(merged, "new"), 2);
    json_decref(merged);
    look_replicas_done(&replicas);
}

static enum err_code sweep_merge(void *context)
{
    json_t *merged = look_replicas_merge(context);
    enum err_code code = merged != NULL ? ERR_OK : ERR_NOMEM;
    json_decref(merged);
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct look_replicas replicas;
    kube_setup(); /* jansson allocates here too */
    make(&replicas);
    assert_true(sweep(sweep_merge, &replicas) > 0);
    look_replicas_done(&replicas);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pods_that_run_are_asked_at_their_own_port),
        cmocka_unit_test(the_leader_speaks_for_its_link),
        cmocka_unit_test(who_answers_no_more_is_stood_in_for),
        cmocka_unit_test(every_allocation_may_fail),
    };
    kube_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
