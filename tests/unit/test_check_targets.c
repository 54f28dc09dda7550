/* links: agent_commands */
#include "check_scene.h"

#include "agent/commands/check_targets.h"
#include "base/mem.h"

static const char LINKS[] = "[{\"metadata\":{\"name\":\"to-east\"},\"spec\":{\"targetClusterName\":\"east\","
                            "\"targetClusterLinkerdNamespace\":\"l5d\",\"clusterCredentialsSecret\":\"creds\"}},"
                            "{\"metadata\":{\"name\":\"north\"},\"spec\":{\"targetClusterName\":\"north\"}}]";
static const char SECRETS[] =
    "[{\"metadata\":{\"name\":\"creds\",\"annotations\":{\"mirror.linkerd.io/cluster-name\":\"east\"}},\"type\":"
    "\"mirror.linkerd.io/remote-kubeconfig\",\"data\":{\"kubeconfig\":\"Zm9v\"}},"
    "{\"metadata\":{\"name\":\"other\"},\"type\":\"Opaque\"},"
    "{\"metadata\":{\"name\":\"bare\"},\"type\":\"mirror.linkerd.io/remote-kubeconfig\"},"
    "{\"metadata\":{\"name\":\"old\",\"annotations\":{\"mirror.linkerd.io/cluster-name\":\"south\","
    "\"mirror.linkerd.io/remote-cluster-l5d-ns\":\"mesh\"}},\"type\":\"mirror.linkerd.io/remote-kubeconfig\"}]";

static void links_and_secrets_of_their_own_are_targets(void **state)
{
    (void)state;
    static const char *const expected[][5] = {{"east", "link/to-east", "l5d", "creds", "link"},
                                              {"north", "link/north", "linkerd", "", "link"},
                                              {"south", "secret/old", "mesh", "old", "declaration"}};
    json_t *links = json_loads(LINKS, 0, NULL), *secrets = json_loads(SECRETS, 0, NULL);
    json_t *targets = targets_declared(links, secrets, "ns", "linkerd", "north");
    assert_int_equal(json_array_size(targets), ARRAY_COUNT(expected));
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        const json_t *target = json_array_get(targets, i);
        assert_string_equal(check_text(target, "cluster"), expected[i][0]);
        assert_string_equal(check_text(target, "declaredBy"), expected[i][1]);
        assert_string_equal(check_text(target, "linkerdNamespace"), expected[i][2]);
        assert_string_equal(check_text(target, "secret"), expected[i][3]);
        assert_string_equal(check_text(target, "namespace"), "ns");
        assert_non_null(json_object_get(target, expected[i][4]));
        assert_int_equal(target_concerns(target), i == 1);
        assert_false(target_answers(target));
    }
    assert_string_equal(target_kubeconfig(json_array_get(targets, 0), secrets), "Zm9v");
    assert_null(target_kubeconfig(json_array_get(targets, 1), secrets));
    assert_null(target_kubeconfig(json_array_get(targets, 2), secrets));
    json_decref(targets);
    json_decref(secrets);
    json_decref(links);
}

static void without_any_there_is_none(void **state)
{
    (void)state;
    json_t *targets = targets_declared(NULL, NULL, "ns", "linkerd", "");
    assert_int_equal(json_array_size(targets), 0);
    json_decref(targets);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(links_and_secrets_of_their_own_are_targets),
        cmocka_unit_test(without_any_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
