/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/commands/link_records.h"
#include "agent/commands/record.h"
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

static enum err_code take(struct link_records *records, enum err_code (*fn)(void *, const json_t *), const char *text)
{
    return fn(records, parse(text));
}

#define MIRROR(cluster, more) "{\"metadata\":{\"labels\":{\"mirror.linkerd.io/cluster-name\":\"" cluster "\"" more "}}}"

static enum err_code fill(struct link_records *records)
{
    TRY(take(
        records, link_records_take_link,
        "{\"metadata\":{\"name\":\"Big.Link\",\"namespace\":\"l5d\",\"annotations\":{\"svcmirror.io/drain\":\"true\"}},"
        "\"spec\":{\"targetClusterName\":\"east\","
        "\"targetClusterDomain\":\"cluster.local\",\"clusterCredentialsSecret\":\"of-the-link\"}}"));
    TRY(take(records, link_records_take_secret, /* as Linkerd 2.8 has them, but it is the Link's */
             "{\"metadata\":{\"name\":\"of-the-link\",\"namespace\":\"l5d\",\"annotations\":{"
             "\"mirror.linkerd.io/cluster-name\":\"east\",\"mirror.linkerd.io/"
             "remote-cluster-domain\":\"cluster.local\"}}}"));
    TRY(take(records, link_records_take_link, "{\"metadata\":{\"name\":\"broken\",\"namespace\":\"l5d\"}}"));
    TRY(take(records, link_records_take_secret,
             "{\"metadata\":{\"name\":\"cluster-credentials-old\",\"namespace\":\"l5d\",\"annotations\":{"
             "\"svcmirror.io/drain\":\"yes\","
             "\"mirror.linkerd.io/cluster-name\":\"old\",\"mirror.linkerd.io/remote-cluster-domain\":\"old.local\"}},"
             "\"data\":{\"kubeconfig\":\"SECRET\"}}"));
    TRY(take(records, link_records_take_secret, "{\"metadata\":{\"name\":\"cluster-credentials-east\"}}"));
    TRY(take(records, link_records_take_lease,
             "{\"metadata\":{\"name\":\"service-mirror-write-big.link\"},\"spec\":{\"holderIdentity\":\"a_1\"}}"));
    TRY(take(records, link_records_take_lease,
             "{\"metadata\":{\"name\":\"service-mirror-write-old\"},\"spec\":{\"holderIdentity\":\"b_1\"}}"));
    TRY(take(records, link_records_take_lease,
             "{\"metadata\":{\"name\":\"service-mirror-write-broken\"},\"spec\":{}}"));
    TRY(take(records, link_records_take_mirror, MIRROR("east", "")));
    TRY(take(records, link_records_take_mirror, MIRROR("east", "")));
    TRY(take(records, link_records_take_mirror, MIRROR("east", ",\"mirror.linkerd.io/mirrored-gateway\":\"true\"")));
    return take(records, link_records_take_mirror, "{}");
}

static enum err_code make(json_t **ret_links)
{
    struct link_records *records = link_records_new();
    enum err_code code = records != NULL ? fill(records) : ERR_NOMEM;
    json_t *links = code == ERR_OK ? link_records_json(records) : NULL;
    link_records_free(records);
    *ret_links = links;
    return code == ERR_OK && links == NULL ? ERR_NOMEM : code;
}

static void links_are_told_as_far_as_objects_tell(void **state)
{
    (void)state;
    json_t *links = NULL;
    json_t *expected =
        json_loads("[{\"clusterName\":\"east\",\"kind\":\"Link\",\"name\":\"Big.Link\",\"clusterDomain\":\"cluster."
                   "local\",\"holder\":\"a_1\","
                   "\"mirroredServices\":2,\"namespace\":\"l5d\"},"
                   "{\"clusterName\":null,\"kind\":\"Link\",\"name\":\"broken\",\"clusterDomain\":null,\"holder\":null,"
                   "\"mirroredServices\":0,\"namespace\":\"l5d\"},"
                   "{\"clusterName\":\"old\",\"kind\":\"Secret\",\"name\":\"cluster-credentials-old\","
                   "\"clusterDomain\":\"old.local\","
                   "\"holder\":\"b_1\",\"mirroredServices\":0,\"namespace\":\"l5d\"}]",
                   0, NULL);
    static const char *const unknown[] = {"server",     "apiReachable",      "synced",
                                          "problem",    "warning",           "held",
                                          "eventAgeMs", "credentialsExpire", "exportedServices"};
    json_t *link = NULL;
    size_t index = 0;
    json_array_foreach(expected, index, link)
    {
        for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
            json_object_set_new(link, unknown[i], json_null());
        json_object_set_new(link, "refused", json_false());
        json_object_set_new(link, "drained", json_boolean(index == 0));
    }
    assert_int_equal(make(&links), ERR_OK);
    char *text = json_dumps(links, JSON_INDENT(1));
    if (!json_equal(links, expected))
        fail_msg("%s", text);
    assert_null(strstr(text, "SECRET"));
    mem_free(text);
    json_decref(links);
    json_decref(expected);
}

static enum err_code sweep_make(void *context)
{
    json_t *links = NULL;
    enum err_code code = make(&links);
    (void)context;
    json_decref(links);
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
        cmocka_unit_test(links_are_told_as_far_as_objects_tell),
        cmocka_unit_test(every_allocation_may_fail),
    };
    kube_setup(); /* jansson allocates here too */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
