/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/commands/record.h"
#include "agent/commands/service_records.h"
#include "agent/kube/setup.h"
#include "sweep.h"

/* Parsed once, before memory runs out: how the parser fares without it is not looked at here. */
static json_t *parse(const char *text)
{
    static struct {
        const char *text;
        json_t *value;
    } known[32];
    size_t i = 0;
    while (known[i].text != NULL && known[i].text != text)
        i++;
    if (known[i].text == NULL) {
        known[i].text = text;
        known[i].value = json_loads(text, 0, NULL);
        assert_non_null(known[i].value);
    }
    return known[i].value;
}

static enum err_code take(struct service_records *records, enum err_code (*fn)(void *, const json_t *),
                          const char *text)
{
    return fn(records, parse(text));
}

#define MIRROR(name, labels, annotations, spec)                                                                        \
    "{\"metadata\":{\"name\":\"" name "\",\"namespace\":\"demo\",\"labels\":{" labels                                  \
    "},\"annotations\":{" annotations "}},\"spec\":{" spec "}}"
#define EAST "\"mirror.linkerd.io/cluster-name\":\"east\""

static enum err_code fill(struct service_records *records)
{
    static const char *const MIRRORS[] = {
        MIRROR("db-0-east", EAST ",\"mirror.linkerd.io/headless-mirror-svc-name\":\"db-east\"", "",
               "\"clusterIP\":\"10.0.0.1\""),
        MIRROR("db-east", EAST, "\"mirror.linkerd.io/remote-svc-fq-name\":\"db.data.svc.cluster.local\"",
               "\"clusterIP\":\"None\""),
        MIRROR("flat-east", EAST ",\"multicluster.linkerd.io/remote-discovery\":\"east\"", "", ""),
        MIRROR("gateway", EAST ",\"mirror.linkerd.io/mirrored-gateway\":\"true\"", "", ""),
        MIRROR("flat-near", EAST ",\"multicluster.linkerd.io/remote-discovery\":\"east\"", "", ""),
        MIRROR("near-east", EAST, "", ""),
        MIRROR("odd", "", "\"mirror.linkerd.io/remote-svc-fq-name\":\"odd\"", ""),
        MIRROR("web-east",
               EAST ",\"mirror.linkerd.io/remote-gateway-name\":\"g\",\"mirror.linkerd.io/remote-gateway-ns\":\"edge\"",
               "", "\"clusterIP\":\"10.0.0.2\""),
        MIRROR("web-federated", "", "\"multicluster.linkerd.io/remote-discovery\":\"web@east\"", "")};
    static const char *const SLICES[] = {
        "{\"metadata\":{\"namespace\":\"demo\",\"labels\":{\"kubernetes.io/"
        "service-name\":\"web-east\"}},\"endpoints\":["
        "{\"conditions\":{\"ready\":true}},{\"conditions\":{\"ready\":false}}]}",
        "{\"metadata\":{\"namespace\":\"demo\",\"labels\":{\"kubernetes.io/"
        "service-name\":\"web-east\"}},\"endpoints\":[{}]}",
        "{\"metadata\":{\"namespace\":\"other\",\"labels\":{\"kubernetes.io/"
        "service-name\":\"web-east\"}},\"endpoints\":[{}]}",
        "{}",
        "{\"metadata\":{\"name\":\"near-east.pods.web-abc\",\"namespace\":\"demo\",\"labels\":{"
        "\"kubernetes.io/service-name\":\"near-east\"}},\"endpoints\":[{}]}",
        "{\"metadata\":{\"name\":\"flat-near.pods.0\",\"namespace\":\"demo\",\"labels\":{"
        "\"kubernetes.io/service-name\":\"flat-near\"}},\"endpoints\":[]}"};
    for (size_t i = 0; i < sizeof(MIRRORS) / sizeof(MIRRORS[0]); i++)
        TRY(take(records, service_records_take_mirror, MIRRORS[i]));
    for (size_t i = 0; i < sizeof(SLICES) / sizeof(SLICES[0]); i++)
        TRY(take(records, service_records_take_slice, SLICES[i]));
    return ERR_OK;
}

static enum err_code make(json_t **ret_services)
{
    struct service_records *records = service_records_new();
    enum err_code code = records != NULL ? fill(records) : ERR_NOMEM;
    json_t *services = code == ERR_OK ? service_records_json(records) : NULL;
    service_records_free(records);
    *ret_services = services;
    return code == ERR_OK && services == NULL ? ERR_NOMEM : code;
}

static void mirrors_tell_what_they_mirror_and_how(void **state)
{
    (void)state;
    static const struct {
        const char *mirror, *cluster, *namespace, *name, *mode, *gateway;
        json_int_t endpoints, ready;
    } CASES[] = {
        {"demo/db-0-east", "east", "", "", "hostname", "", 0, 0},
        {"demo/db-east", "east", "data", "db", "headless", "", 0, 0},
        {"demo/flat-east", "east", "", "", "remote-discovery", "", 0, 0},
        {"demo/flat-near", "east", "", "", "remote-discovery-pods", "", 0, 0},
        {"demo/near-east", "east", "", "", "pods", "", 1, 1},
        {"demo/odd", "", "", "", "gateway", "", 0, 0},
        {"demo/web-east", "east", "", "", "gateway", "edge/g", 3, 2},
        {"demo/web-federated", "", "", "", "federated", "", 0, 0},
    };
    json_t *services = NULL;
    assert_int_equal(make(&services), ERR_OK);
    assert_int_equal(json_array_size(services), sizeof(CASES) / sizeof(CASES[0]));
    for (size_t i = 0; i < sizeof(CASES) / sizeof(CASES[0]); i++) {
        const json_t *one = json_array_get(services, i);
        assert_string_equal(record_text(one, "mirror"), CASES[i].mirror);
        assert_string_equal(record_text(one, "clusterName"), CASES[i].cluster);
        assert_string_equal(record_text(one, "namespace"), CASES[i].namespace);
        assert_string_equal(record_text(one, "name"), CASES[i].name);
        assert_string_equal(record_text(one, "mode"), CASES[i].mode);
        assert_string_equal(record_text(one, "gateway"), CASES[i].gateway);
        assert_int_equal(record_number(one, "endpoints"), CASES[i].endpoints);
        assert_int_equal(record_number(one, "readyEndpoints"), CASES[i].ready);
        assert_true(record_is_true(one, "mirrored"));
        assert_true(json_is_null(json_object_get(one, "reason")));
    }
    json_decref(services);
}

static enum err_code sweep_make(void *context)
{
    json_t *services = NULL;
    enum err_code code = make(&services);
    (void)context;
    json_decref(services);
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_int_equal(sweep_make(NULL), ERR_OK);
    assert_true(sweep(sweep_make, NULL) > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mirrors_tell_what_they_mirror_and_how),
        cmocka_unit_test(every_allocation_may_fail),
    };
    kube_setup(); /* jansson allocates here too */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
