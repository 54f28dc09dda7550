/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/commands/record.h"
#include "agent/commands/status_records.h"
#include "agent/kube/setup.h"
#include "sweep.h"

struct lists {
    json_t *links, *gateways, *services;
};

static struct lists make_lists(void)
{
    struct lists lists = {
        json_loads("[{\"clusterName\":\"east\",\"kind\":\"Link\",\"namespace\":\"l5d\",\"name\":\"e\",\"apiReachable\":"
                   "true,\"synced\":true,"
                   "\"eventAgeMs\":5,\"credentialsExpire\":null,\"holder\":\"a\",\"exportedServices\":3,"
                   "\"mirroredServices\":1,\"problem\":null},"
                   "{\"clusterName\":\"east\",\"kind\":\"Secret\",\"name\":\"second\",\"refused\":true,\"problem\":"
                   "\"the name is taken\"},"
                   "{\"clusterName\":\"west\",\"problem\":\"connection refused\"}]",
                   0, NULL),
        json_loads(
            "[{\"clusterName\":\"east\",\"alive\":true,\"latency\":9,\"problem\":\"port "
            "missing\"},{\"clusterName\":\"east\",\"alive\":true,"
            "\"latency\":4},{\"clusterName\":\"east\",\"alive\":false,\"verdict\":\"unknown\",\"gatewayName\":\"g\"},"
            "{\"clusterName\":\"other\",\"alive\":true,\"latency\":1}]",
            0, NULL),
        json_loads(
            "[{\"clusterName\":\"east\",\"namespace\":\"demo\",\"name\":\"web\",\"mirrored\":true,\"endpoints\":2,"
            "\"readyEndpoints\":1},"
            "{\"clusterName\":\"east\",\"namespace\":\"demo\",\"name\":\"db\",\"mirrored\":false,\"reason\":"
            "\"NoNamespace\"},"
            "{\"clusterName\":\"east\",\"namespace\":\"demo\",\"name\":\"api\",\"mirrored\":false,\"message\":\"no\"},"
            "{\"clusterName\":\"west\",\"endpoints\":1,\"readyEndpoints\":1}]",
            0, NULL)};
    assert_true(lists.links != NULL && lists.gateways != NULL && lists.services != NULL);
    return lists;
}

static void drop_lists(struct lists *lists)
{
    json_decref(lists->links);
    json_decref(lists->gateways);
    json_decref(lists->services);
}

static void each_target_is_put_together(void **state)
{
    (void)state;
    struct lists lists = make_lists();
    json_t *records = status_records(lists.links, lists.gateways, lists.services);
    json_t *expected = json_loads(
        "[{\"clusterName\":\"east\",\"kind\":\"Link\",\"namespace\":\"l5d\",\"name\":\"e\",\"apiReachable\":true,"
        "\"synced\":true,"
        "\"eventAgeMs\":5,\"credentialsExpire\":null,\"leader\":\"a\",\"exportedServices\":3,\"mirroredServices\":1,"
        "\"gateways\":3,"
        "\"aliveGateways\":2,\"latencyMs\":4,\"endpoints\":2,\"readyEndpoints\":1,\"problems\":[\"port missing\","
        "\"gateway g is not probed yet\",\"2 services not mirrored, the first of them demo/db: NoNamespace\"]},"
        "{\"clusterName\":\"east\",\"kind\":\"Secret\",\"namespace\":null,\"name\":\"second\",\"apiReachable\":null,"
        "\"synced\":null,"
        "\"eventAgeMs\":null,\"credentialsExpire\":null,\"leader\":null,\"exportedServices\":null,\"mirroredServices\":"
        "null,\"gateways\":0,"
        "\"aliveGateways\":0,\"latencyMs\":null,\"endpoints\":0,\"readyEndpoints\":0,\"problems\":[\"the name is "
        "taken\"]},"
        "{\"clusterName\":\"west\",\"kind\":null,\"namespace\":null,\"name\":null,\"apiReachable\":null,\"synced\":"
        "null,\"eventAgeMs\":null,"
        "\"credentialsExpire\":null,\"leader\":null,\"exportedServices\":null,\"mirroredServices\":null,\"gateways\":0,"
        "\"aliveGateways\":0,"
        "\"latencyMs\":null,\"endpoints\":1,\"readyEndpoints\":1,\"problems\":[\"connection refused\"]}]",
        0, NULL);
    assert_non_null(expected);
    char *text = json_dumps(records, JSON_INDENT(1));
    if (!json_equal(records, expected))
        fail_msg("%s", text);
    mem_free(text);
    json_decref(records);
    json_decref(expected);
    drop_lists(&lists);
}

static void who_drains_is_told(void **state)
{
    (void)state;
    static const struct {
        bool link, gateway;
        const char *problem; /* NULL: none */
    } cases[] = {{false, false, NULL},
                 {false, true, "gateway g is " RECORD_DRAINED},
                 {true, true, RECORD_DRAINED}, /* its gateways count as drained, too: once is enough */
                 {true, false, RECORD_DRAINED}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        json_t *links = json_pack("[{s:s, s:b}]", "clusterName", "east", "drained", cases[i].link);
        json_t *gateways = json_pack("[{s:s, s:s, s:b, s:b}]", "clusterName", "east", "gatewayName", "g", "alive", 1,
                                     "drained", cases[i].gateway);
        json_t *services = json_array(), *records = status_records(links, gateways, services);
        const json_t *problems = json_object_get(json_array_get(records, 0), "problems");
        assert_int_equal(json_array_size(problems), cases[i].problem != NULL ? 1 : 0);
        if (cases[i].problem != NULL)
            assert_string_equal(json_string_value(json_array_get(problems, 0)), cases[i].problem);
        json_decref(records);
        json_decref(services);
        json_decref(gateways);
        json_decref(links);
    }
}

static enum err_code sweep_records(void *context)
{
    const struct lists *lists = context;
    json_t *records = status_records(lists->links, lists->gateways, lists->services);
    enum err_code code = records != NULL ? ERR_OK : ERR_NOMEM;
    json_decref(records);
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    struct lists lists = make_lists();
    assert_true(sweep(sweep_records, &lists) > 50);
    drop_lists(&lists);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_target_is_put_together),
        cmocka_unit_test(who_drains_is_told),
        cmocka_unit_test(every_allocation_may_fail),
    };
    kube_setup(); /* jansson allocates here too */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
