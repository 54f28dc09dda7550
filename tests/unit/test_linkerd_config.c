/* links: agent_commands edge_stack_scene.c */
#include "agent/commands/linkerd_config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/kube/setup.h"
#include "base/mem.h"
#include "sweep.h"
#include "tests/unit/edge_stack_scene.h"

static void assert_text(const char *is, const char *expected, const char *of)
{
    if (is == NULL || expected == NULL ? is != expected : strcmp(is, expected) != 0)
        fail_msg("%s: %s is not %s", of, is != NULL ? is : "nothing", expected != NULL ? expected : "nothing");
}

static void domains_are_where_each_linkerd_keeps_them(void **state)
{
    (void)state;
    static const struct {
        const char *config, *cluster, *trust;
        bool is_2_8;
        enum err_code code;
    } CASES[] = {
        {"{'data': {'values': 'identityTrustDomain: a.example\\nclusterDomain: a.local'}}", "a.local", "a.example",
         false, ERR_OK},
        {"{'data': {'values': 'global: {identityTrustDomain: b.example, clusterDomain: b.local}'}}", "b.local",
         "b.example", false, ERR_OK},
        {"{'data': {'values': '{identityTrustDomain: a.example, global: {identityTrustDomain: b.example}}'}}", NULL,
         "a.example", false, ERR_OK},
        {"{'data': {'global': '{identityContext: {trustDomain: c.example}}'}}", NULL, "c.example", true, ERR_OK},
        {"{'data': {'global': '{clusterDomain: c.local, identityContext: null}'}}", "c.local", "c.local", true, ERR_OK},
        {"{'data': {'values': '{identityTrustDomain: a.example}', 'global': '{clusterDomain: c.local}'}}", NULL,
         "a.example", false, ERR_OK},
        /* An empty text is as good as none, and the cluster's domain stands in. */
        {"{'data': {'values': '{identityTrustDomain: \\\"\\\", global: {identityTrustDomain: b.example}}'}}", NULL,
         "b.example", false, ERR_OK},
        {"{'data': {'values': '{identityTrustDomain: \\\"\\\", clusterDomain: a.local}'}}", "a.local", "a.local", false,
         ERR_OK},
        {"{'data': {'values': '{clusterDomain: \\\"\\\", global: {clusterDomain: b.local}}'}}", "b.local", "b.local",
         false, ERR_OK},
        {"{'data': {'values': 'x: 1'}}", NULL, NULL, false, ERR_OK},
        {"{'data': {'values': ''}}", NULL, NULL, false, ERR_OK},
        {"{'data': {}}", NULL, NULL, false, ERR_OK},
        {"{'metadata': {'namespace': 'linkerd'}, 'data': {'values': 'a: b: c'}}", NULL, NULL, false, ERR_INVALID},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        json_t *config_map = scene_json(CASES[i].config);
        struct linkerd_config config;
        assert_int_equal(linkerd_config_read(config_map, &config, NULL), CASES[i].code);
        assert_int_equal(config.is_2_8, CASES[i].is_2_8);
        assert_text(config.cluster_domain, CASES[i].cluster, CASES[i].config);
        assert_text(config.trust_domain, CASES[i].trust, CASES[i].config);
        linkerd_config_done(&config);
        json_decref(config_map);
    }
}

static void what_cannot_be_read_is_named(void **state)
{
    (void)state;
    struct err error = {0};
    struct linkerd_config config;
    json_t *config_map = scene_json("{'metadata': {'namespace': 'l5d'}, 'data': {'values': 'a: b: c'}}");
    assert_int_equal(linkerd_config_read(config_map, &config, &error), ERR_INVALID);
    assert_ptr_equal(strstr(error.text, "ConfigMap l5d/linkerd-config: "), error.text);
    assert_int_equal(linkerd_config_read(NULL, &config, NULL), ERR_OK);
    assert_null(config.settings);
    json_decref(config_map);
}

static enum err_code sweep_read(void *context)
{
    struct linkerd_config config;
    enum err_code code = linkerd_config_read(context, &config, NULL);
    linkerd_config_done(&config);
    return code;
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    kube_setup();
    json_t *config_map = scene_json("{'data': {'values': 'identityTrustDomain: a.example'}}");
    assert_true(sweep(sweep_read, config_map) > 3);
    json_decref(config_map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domains_are_where_each_linkerd_keeps_them),
        cmocka_unit_test(what_cannot_be_read_is_named),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
