/* links: base mirror mirror_fixture.c mirror_scene.c */
/* mirror/world_cidr.c: gateway addresses that the source cluster gives to Services of its own. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/mirror_scene.h"
#include "tests/unit/sweep.h"

enum { NOTE_BYTES = 1024 };

static const char *const both_families[] = {"10.96.0.0/16", "fd00:96::/112"};
static const char *const more[] = {"10.200.0.0/24"};
static const struct service_cidr kubernetes = {{.name = "kubernetes"}, both_families, 2},
                                 added = {{.name = "more"}, more, 1};

static void put(struct scene *scene, const struct service_cidr *cidr)
{
    assert_int_equal(world_source_cidr(scene->world, WORLD_PUT, cidr), ERR_OK);
}

static void list(struct scene *scene, const struct service_cidr *first, const struct service_cidr *second)
{
    world_begin(scene->world, NULL, WORLD_SOURCE_CIDRS);
    if (first != NULL)
        put(scene, first);
    if (second != NULL)
        put(scene, second);
    world_end(scene->world, NULL, WORLD_SOURCE_CIDRS);
}

/* A gateway at these addresses, resolved and probed. */
static const struct world_gateway *gateway_at(struct scene *scene, const char *addresses)
{
    scene_link(scene, 0, arena_printf(&scene->arena, "east gw=%s probe=4191", addresses));
    scene_settle(scene);
    return world_first_gateway(scene->links[0]);
}

static const char *told(struct scene *scene, const struct world_gateway *gateway)
{
    char text[NOTE_BYTES];
    bool is_local = world_gateway_local_address(gateway, text, sizeof(text));
    assert_int_equal(is_local, text[0] != '\0');
    char *end = strstr(text, ", and what is sent there");
    if (end != NULL)
        *end = '\0';
    return arena_strdup(&scene->arena, text);
}

static void ranges_are_searched(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *addresses, *told;
    } CASES[] = {
        {"203.0.113.7", ""},
        {"203.0.113.7,10.96.3.4",
         "address 10.96.3.4 is one of this cluster's own for Services (ServiceCIDR kubernetes, "
         "10.96.0.0/16)"},
        {"fd00:96::5", "address fd00:96::5 is one of this cluster's own for Services (ServiceCIDR kubernetes, "
                       "fd00:96::/112)"},
        {"10.200.0.9", "address 10.200.0.9 is one of this cluster's own for Services (ServiceCIDR more, "
                       "10.200.0.0/24)"},
        {"10.200.1.9,fd00:97::5", ""},
    };
    list(scene, &kubernetes, &added);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        assert_string_equal(told(scene, gateway_at(scene, CASES[i].addresses)), CASES[i].told);
}

static void ranges_come_and_go(void **state)
{
    struct scene *scene = *state;
    const struct world_gateway *gateway = gateway_at(scene, "10.200.0.9");
    uint64_t version = world_cidrs_version(scene->world);
    assert_string_equal(told(scene, gateway), ""); /* not listed yet */
    list(scene, &kubernetes, NULL);
    assert_true(world_cidrs_version(scene->world) != version);
    assert_string_equal(told(scene, gateway), "");
    version = world_cidrs_version(scene->world);
    put(scene, &added);
    assert_true(world_cidrs_version(scene->world) != version);
    assert_non_null(strstr(told(scene, gateway), "10.200.0.0/24"));
    assert_int_equal(world_source_cidr(scene->world, WORLD_DELETED, &added), ERR_OK);
    assert_string_equal(told(scene, gateway), "");
    list(scene, &kubernetes, &added);
    assert_int_equal(world_collection_size(scene->world, NULL, WORLD_SOURCE_CIDRS), 2);
    version = world_cidrs_version(scene->world);
    list(scene, &kubernetes, NULL); /* gone while nobody watched */
    assert_true(world_cidrs_version(scene->world) != version);
    assert_string_equal(told(scene, gateway), "");
    assert_int_equal(world_collection_size(scene->world, NULL, WORLD_SOURCE_CIDRS), 1);
}

/* A cluster without ServiceCIDRs: its Services that are known, of mirrors and of federated members. */
static void addresses_of_known_services_are_found(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 1, "west");
    scene_target(scene, 1, "gws/gw v=1 lb=203.0.113.9 p=mc-gateway:4143 @~multicluster-gateway=true");
    scene_target(scene, 1, "shop/web v=1 p=80 @~gateway-name=gw @~gateway-ns=gws");
    scene_settle(scene);
    const char *ip = scene_service(scene, "shop/web-west")->cluster_ip;
    assert_string_not_equal(ip, "");
    const struct world_gateway *gateway = gateway_at(scene, ip);
    assert_string_equal(told(scene, gateway), "");
    world_set_unavailable(scene->world, NULL, WORLD_SOURCE_CIDRS);
    assert_string_equal(told(scene, gateway),
                        arena_printf(&scene->arena,
                                     "address %s is the ClusterIP of this cluster's own Service shop/web-west", ip));
    scene_unlink(scene, 1);
    scene_settle(scene);
    assert_string_equal(told(scene, gateway), "");
}

static enum err_code put_one(void *context)
{
    (void)context;
    const struct world_config config = {.agent_namespace = "l5d-mc"};
    struct world *world = world_new(&config);
    if (world == NULL)
        return ERR_NOMEM;
    enum err_code code = world_source_cidr(world, WORLD_PUT, &kubernetes);
    assert_int_equal(world_collection_size(world, NULL, WORLD_SOURCE_CIDRS), code == ERR_OK ? 1 : 0);
    world_free(world);
    return code;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    assert_true(sweep(put_one, NULL) > 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(ranges_are_searched),
        SCENE(ranges_come_and_go),
        SCENE(addresses_of_known_services_are_found),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
