/* links: agent_kube base */
/* agent/kube/lease.c: Leases read, and written. */
#include "agent/kube/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void what_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        struct lease wanted;
    } rows[] = {
        {"{\"metadata\":{\"name\":\"a\",\"resourceVersion\":\"12\"},\"spec\":{\"holderIdentity\":\"x\","
         "\"leaseDurationSeconds\":30,\"leaseTransitions\":3,\"acquireTime\":\"2026-08-21T10:00:00.000000Z\","
         "\"renewTime\":\"2026-08-21T10:00:02.000000Z\"}}",
         {.name = "a",
          .record = {.version = "12",
                     .holder = "x",
                     .duration_s = 30,
                     .transitions = 3,
                     .acquired = "2026-08-21T10:00:00.000000Z",
                     .renewed = "2026-08-21T10:00:02.000000Z"}}},
        {"{\"metadata\":{\"name\":\"r\",\"labels\":{\"svcmirror.io/replica\":\"true\"},\"annotations\":{"
         "\"svcmirror.io/ready\":\"true\"}}}",
         {.name = "r", .is_replica = true, .is_ready = true}},
        {"{\"metadata\":{\"name\":\"r\",\"annotations\":{\"svcmirror.io/scope\":\"service-mirror-write-east\"}}}",
         {.name = "r", .scope = "service-mirror-write-east"}},
        {"{\"metadata\":{\"name\":\"r\",\"labels\":{\"svcmirror.io/replica\":\"true\"},\"annotations\":{"
         "\"svcmirror.io/ready\":\"false\"}},\"spec\":{\"holderIdentity\":null}}",
         {.name = "r", .is_replica = true}},
        /* Nonsense counts as absent. */
        {"{\"metadata\":{\"name\":7},\"spec\":{\"holderIdentity\":[],\"leaseDurationSeconds\":-1,"
         "\"leaseTransitions\":\"3\"}}",
         {.name = ""}},
        {"{\"spec\":[]}", {.name = ""}},
        {"{\"spec\":{\"leaseDurationSeconds\":99999999999}}", {.name = ""}},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lease got;
        json_t *json = json_loads(rows[i].json, 0, NULL);
        assert_non_null(json);
        const struct json_tree *tree = NULL;
        struct arena arena;
        arena_init(&arena, 1 << 16);
        assert_int_equal(json_tree_of(&arena, json, &tree), ERR_OK);
        lease_decode(tree, &got);
        const struct lease *wanted = &rows[i].wanted;
        assert_string_equal(got.name, wanted->name);
        assert_int_equal(got.is_replica, wanted->is_replica);
        assert_int_equal(got.is_ready, wanted->is_ready);
        assert_string_equal(got.scope, wanted->scope != NULL ? wanted->scope : "");
        assert_true(got.record.exists);
        assert_string_equal(got.record.version, wanted->record.version);
        assert_string_equal(got.record.holder, wanted->record.holder);
        assert_int_equal(got.record.duration_s, wanted->record.duration_s);
        assert_int_equal(got.record.transitions, wanted->record.transitions);
        assert_string_equal(got.record.acquired, wanted->record.acquired);
        assert_string_equal(got.record.renewed, wanted->record.renewed);
        arena_done(&arena);
        json_decref(json);
    }
    struct lease none;
    lease_decode(NULL, &none);
    assert_string_equal(none.name, "");
}

static void what_is_written(void **state)
{
    (void)state;
    struct lease lease = {.name = "service-mirror-write-east",
                          .record = {.version = "5",
                                     .holder = "pod_1\"",
                                     .duration_s = 15,
                                     .transitions = 2,
                                     .acquired = "A",
                                     .renewed = "R"}};
    struct strbuf body;
    strbuf_init(&body, 4096);
    lease_write_create(&body, "mc", &lease);
    assert_string_equal(strbuf_text(&body),
                        "{\"apiVersion\":\"coordination.k8s.io/v1\",\"kind\":\"Lease\",\"metadata\":{\"name\":"
                        "\"service-mirror-write-east\",\"namespace\":\"mc\",\"labels\":{\"app.kubernetes.io/name\":"
                        "\"svcmirror\"}},\"spec\":{\"holderIdentity\":\"pod_1\\\"\",\"leaseDurationSeconds\":15,"
                        "\"leaseTransitions\":2,\"acquireTime\":\"A\",\"renewTime\":\"R\"}}");
    /* Without a holder; of a replica. */
    lease.record.holder[0] = '\0';
    lease.is_replica = true;
    lease.scope = "";
    strbuf_clear(&body);
    lease_write_patch(&body, &lease);
    assert_string_equal(strbuf_text(&body),
                        "{\"metadata\":{\"resourceVersion\":\"5\",\"labels\":{\"app.kubernetes.io/name\":\"svcmirror\","
                        "\"svcmirror.io/replica\":\"true\"},\"annotations\":{\"svcmirror.io/ready\":\"false\"}},"
                        "\"spec\":{\"holderIdentity\":null,\"leaseDurationSeconds\":15,\"leaseTransitions\":2,"
                        "\"acquireTime\":\"A\",\"renewTime\":\"R\"}}");
    lease.is_ready = true;
    lease.scope = "service-mirror-write-east";
    strbuf_clear(&body);
    lease_write_create(&body, "mc", &lease);
    assert_non_null(strstr(strbuf_text(&body),
                           "\"svcmirror.io/replica\":\"true\"},\"annotations\":{\"svcmirror.io/"
                           "ready\":\"true\",\"svcmirror.io/scope\":\"service-mirror-write-east\"}},"));
    strbuf_done(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(what_is_read), cmocka_unit_test(what_is_written)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
