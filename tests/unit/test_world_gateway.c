/* links: base mirror mirror_fixture.c mirror_scene.c */
/* mirror/world_gateway.c: gateways whose Service a Link names, and Services that are no gateways until somebody names them. What is known of
 * gateways of 2.8's links and of those that a Link spells out is test_plan.c's and test_world.c's. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/plan.h"
#include "tests/unit/mirror_scene.h"

#define LINK "east ref=gws/gw"
#define WEB "shop/web v=s1 p=http:80>8080 #~exported=true"
#define WEB_SLICE "shop/web-x1 v=e1 svc=web 10.0.0.1 p=http:8080"
#define PROBE " p=mc-probe:80 @~probe-path=/x"
#define GATEWAY(version, ingress, port)                                                                                \
    "gws/gw v=" version " " ingress " p=mc-gateway:" port PROBE " @~gateway-identity=gw.id"
#define MIRROR "Service shop/web-east p=http:80>8080\n"
#define GATEWAY_MIRROR(port) "Service l5d-mc/probe-link0 p=mc-probe:" port ">" port "\n"

static void begin(struct scene *scene)
{
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_target(scene, 0, GATEWAY("g1", "lb=203.0.113.7", "4143"));
}

static void assert_brief(struct scene *scene, const char *dump)
{
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), dump);
}

/* Whole objects: those of today's Linkerd, and in the gateway's own mirror which Service it is of. */
static void mirrors_through_it_are_exact(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene_settle(scene);
    assert_string_equal(
        scene_dump(scene, false),
        "Service l5d-mc/probe-link0 #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
        "@~mirrored-gateway-probe-path=/x @~mirrored-gateway-probe-period=3 @~mirrored-gateway-remote-name=gw "
        "@~mirrored-gateway-remote-namespace=gws p=mc-probe:80>80\n"
        "Service shop/web-east #~cluster-name=east #~mirrored-service=true @~remote-resource-version=s1 "
        "@~remote-svc-fq-name=web.shop.svc.cluster.local p=http:80>8080\n"
        "EndpointSlice l5d-mc/probe-link0.ipv4 #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=probe-link0 #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
        "@~remote-gateway-identity=gw.id owned type=IPv4 203.0.113.7 p=mc-probe:80\n"
        "EndpointSlice shop/web-east.ipv4 #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=web-east #~cluster-name=east #~mirrored-service=true "
        "@~remote-gateway-identity=gw.id @~remote-svc-fq-name=web.shop.svc.cluster.local owned type=IPv4 203.0.113.7 "
        "p=http:4143\n");
}

static void it_is_followed_live(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene_settle(scene);
    unsigned long writes = scene->writes;
    scene_target(scene, 0, GATEWAY("g2", "lb=203.0.113.7", "4143") " #note=x");
    scene_settle(scene);
    assert_int_equal(scene->writes, writes); /* another version that says the same */
    scene_target(scene, 0, GATEWAY("g3", "lb=203.0.113.8 lb=2001:db8::1", "4143"));
    assert_brief(scene, GATEWAY_MIRROR("80") MIRROR
                 "EndpointSlice l5d-mc/probe-link0.ipv4 owned type=IPv4 203.0.113.8 p=mc-probe:80\n"
                 "EndpointSlice l5d-mc/probe-link0.ipv6 owned type=IPv6 2001:db8::1 p=mc-probe:80\n"
                 "EndpointSlice shop/web-east.ipv4 owned type=IPv4 203.0.113.8 p=http:4143\n"
                 "EndpointSlice shop/web-east.ipv6 owned type=IPv6 2001:db8::1 p=http:4143\n");
    writes = scene->writes;
    scene_target(scene, 0, GATEWAY("g4", "lb=203.0.113.8 lb=2001:db8::1", "5143"));
    scene_settle(scene);
    assert_int_equal(scene->writes, writes + 2); /* the two slices that tell the port */
    scene_host(scene, "gw.example", "203.0.113.9");
    scene_target(scene, 0, GATEWAY("g5", "lb=gw.example", "5143"));
    assert_brief(scene, GATEWAY_MIRROR("80") MIRROR
                 "EndpointSlice l5d-mc/probe-link0.ipv4 owned type=IPv4 203.0.113.9 p=mc-probe:80\n"
                 "EndpointSlice shop/web-east.ipv4 owned type=IPv4 203.0.113.9 p=http:5143\n");
    scene_target(scene, 0, GATEWAY("g6", "lb=203.0.113.9", "5143") " @svcmirror.io/drain=true");
    assert_brief(scene, GATEWAY_MIRROR("80") MIRROR
                 "EndpointSlice l5d-mc/probe-link0.ipv4 owned type=IPv4 203.0.113.9 p=mc-probe:80\n"
                 "EndpointSlice shop/web-east.ipv4 owned type=IPv4 !203.0.113.9 p=http:5143\n");
}

static void one_that_goes_or_cannot_be_used_takes_endpoints_and_comes_back(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *gateway, *words; /* NULL: it goes */
        bool probed;
    } WITHOUT[] = {
        {NULL, "gateway Service gws/gw does not exist in the target cluster", false},
        {"gws/gw v=g2 lb=203.0.113.7 p=http:80" PROBE, "no port named mc-gateway", true},
        {"gws/gw v=g2 p=mc-gateway:4143" PROBE, "no load balancer address", true},
    };
    for (size_t i = 0; i < ARRAY_COUNT(WITHOUT); i++) {
        begin(scene);
        scene_settle(scene);
        if (WITHOUT[i].gateway != NULL)
            scene_target(scene, 0, "%s", WITHOUT[i].gateway);
        else
            scene_delete(&scene->targets[0], KIND_SERVICE, "gws/gw");
        scene_settle(scene);
        const struct slice *slice = scene_slice(scene, "shop/web-east.ipv4");
        assert_int_equal(slice->endpoint_count, 0);
        assert_int_equal(scene_service(scene, "l5d-mc/probe-link0") != NULL, WITHOUT[i].probed);
        assert_non_null(strstr(scene_status(scene, "shop/web-east"), WITHOUT[i].words));
        scene_target(scene, 0, GATEWAY("g9", "lb=203.0.113.7", "4143"));
        scene_settle(scene);
        assert_non_null(strstr(scene_dump(scene, true), "web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143"));
    }
}

/* Nobody knows whether it is there: a new agent takes nothing away, neither endpoints nor the gateway's own mirror, and gives no new ones. */
static void while_it_is_not_listed_everything_stays(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene_settle(scene);
    const char *before = scene_dump(scene, true);
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    scene_links_complete(scene, true);
    struct world_link *link = scene->links[0];
    const struct service *web = service_of(&scene->arena, WEB),
                         *more = service_of(&scene->arena, "shop/more v=1 p=80 #~exported=true");
    world_begin(scene->world, link, WORLD_TARGET_SERVICES);
    assert_int_equal(world_target_service(link, WORLD_PUT, web), ERR_OK);
    assert_int_equal(world_target_service(link, WORLD_PUT, more), ERR_OK);
    world_end(scene->world, link, WORLD_TARGET_SERVICES);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SLICE), ERR_OK);
    const char *plan = scene_plan(scene, true); /* nothing but the new service's mirror */
    assert_ptr_equal(strstr(plan, "create"), plan);
    assert_non_null(strstr(plan, "shop/more-east"));
    assert_null(strchr(strchr(plan, '\n') + 1, '\n'));
    assert_non_null(
        strstr(scene_status(scene, "shop/web-east"), "gateway Service gws/gw of the target is not listed yet"));
    assert_true(world_gateway_spec(world_first_gateway(link))->unread);
    /* And that it is not there is known once the listing is over. */
    world_begin(scene->world, link, WORLD_TARGET_GATEWAY);
    world_end(scene->world, link, WORLD_TARGET_GATEWAY);
    assert_string_equal(world_gateway_spec(world_first_gateway(link))->problem,
                        "gateway Service gws/gw does not exist in the target cluster");
    assert_non_null(strstr(scene_plan_of(scene, "l5d-mc/probe-link0", true), "delete"));
    assert_int_equal(world_target_gateway(link, WORLD_PUT, service_of(&scene->arena, "gws/other v=1 p=mc-gateway:1")),
                     ERR_OK);
    assert_false(world_gateway_spec(world_first_gateway(link))->exists);
    assert_int_equal(world_target_gateway(link, WORLD_PUT,
                                          service_of(&scene->arena, GATEWAY("g1", "lb=203.0.113.7", "4143"))),
                     ERR_OK);
    assert_true(world_gateway_spec(world_first_gateway(link))->exists);
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/more");
    scene->target_feeds[0].listed[KIND_SERVICE] = false;
    assert_brief(scene, before);
}

/* It is there, and nobody can say what it is like: what it was like before counts, and else nothing is concluded. */
static void one_that_cannot_be_decoded_is_not_gone(void **state)
{
    struct scene *scene = *state;
    for (int known = 0; known < 2; known++) {
        begin(scene);
        scene_settle(scene);
        struct world_link *link = scene->links[0];
        if (known == 0)
            assert_int_equal(world_target_gateway(link, WORLD_DELETED, service_of(&scene->arena, "gws/gw")), ERR_OK);
        for (int listing = 0; listing < 2; listing++) {
            world_begin(scene->world, link, WORLD_TARGET_GATEWAY);
            assert_int_equal(world_target_gateway_unreadable(link), ERR_OK);
            world_end(scene->world, link, WORLD_TARGET_GATEWAY);
            const struct gateway_spec *spec = world_gateway_spec(world_first_gateway(link));
            assert_int_equal(spec->exists, known);
            assert_int_equal(spec->unread, !known);
            assert_string_equal(spec->problem, "");
        }
        world_begin(scene->world, link, WORLD_TARGET_GATEWAY);
        world_end(scene->world, link, WORLD_TARGET_GATEWAY);
        assert_true(world_gateway_spec(world_first_gateway(link))->problem[0] != '\0');
        scene_target(scene, 0, GATEWAY("g%d", "lb=203.0.113.7", "4143"), known);
        scene_settle(scene);
        assert_true(world_gateway_spec(world_first_gateway(link))->exists);
    }
}

/* From the Link's own words to a Service, to another one, and back: what is there stays until the new one is known. */
static void a_link_may_come_to_name_one(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.1 port=4143 probe=4191 identity=own.id");
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_target(scene, 0, GATEWAY("g1", "lb=203.0.113.7", "5143"));
    scene_target(scene, 0, "other/gw v=o1 lb=203.0.113.8 p=mc-gateway:6143" PROBE);
    scene_settle(scene);
    static const struct {
        const char *link, *slice;
    } STEPS[] = {
        {"east ref=gws/gw", "203.0.113.7 p=http:5143"},
        {"east ref=other/gw", "203.0.113.8 p=http:6143"},
        {"east ref=other/gw gw=203.0.113.1", "203.0.113.1 p=http:6143"},
        {"east ref=other/gw port=7143", "203.0.113.8 p=http:7143"},
        {"east gw=203.0.113.1 port=4143 probe=4191", "203.0.113.1 p=http:4143"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(STEPS); i++) {
        scene_link(scene, 0, STEPS[i].link);
        assert_null(strstr(scene_plan(scene, true), "delete"));
        scene_settle(scene);
        const struct slice *slice = scene_slice(scene, "shop/web-east.ipv4");
        assert_string_equal(slice_words(&scene->arena, slice, slice->meta.owner_uid, true),
                            arena_printf(&scene->arena, "shop/web-east.ipv4 owned type=IPv4 %s", STEPS[i].slice));
    }
}

/* Other ways of mirroring in the same Link need no gateway and do not care. */
static void other_modes_do_not_wait_for_it(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, "shop/flat v=1 p=80 #~exported=remote-discovery");
    scene_target(scene, 0, "shop/both v=1 p=80 #~federated=member");
    assert_brief(scene, "Service shop/both-federated p=80\nService shop/flat-east p=80\n");
    assert_non_null(strstr(scene_status(scene, "shop/flat-east"), "Mirrored"));
}

/* ---- 2.8 ---- */

/* 2.8's own rule: the annotation makes a gateway. One without is found by the services that name it, and has no mirror of its own. */
static void only_the_annotation_makes_a_gateway_of_a_service(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_target(scene, 0, GATEWAY("g1", "lb=203.0.113.7", "4143"));
    assert_brief(scene, "");
    assert_null(world_first_gateway(scene->links[0]));
    scene_target(scene, 0, "shop/web v=1 p=80 @~gateway-name=gw @~gateway-ns=gws");
    assert_brief(scene, "Service shop/web-east p=80\n"
                        "EndpointSlice shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=4143\n");
    scene_target(scene, 0, GATEWAY("g2", "lb=203.0.113.8", "4143") " @~multicluster-gateway=");
    assert_brief(scene, "Service l5d-mc/gw-east p=mc-probe:80>80\n"
                        "Service shop/web-east p=80\n"
                        "EndpointSlice l5d-mc/gw-east.ipv4 owned type=IPv4 203.0.113.8 p=mc-probe:80\n"
                        "EndpointSlice shop/web-east.ipv4 owned type=IPv4 203.0.113.8 p=4143\n");
    scene_target(scene, 0, GATEWAY("g3", "lb=203.0.113.8", "4143"));
    assert_brief(scene, "Service shop/web-east p=80\n"
                        "EndpointSlice shop/web-east.ipv4 owned type=IPv4 203.0.113.8 p=4143\n");
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    assert_brief(scene, "");
    assert_null(world_first_gateway(scene->links[0]));
}

/* What it lacks is told of it, not that it is not there; and when somebody prepares it, it is a gateway without more ado. */
static void a_named_load_balancer_is_told_what_it_lacks(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_target(scene, 0, "gws/gw v=g1 loadbalancer lb=203.0.113.7 p=http:80");
    scene_target(scene, 0, "gws/plain v=g1 p=http:80");
    assert_brief(scene, "");
    assert_null(world_first_gateway(scene->links[0])); /* nobody names it */
    scene_target(scene, 0, "shop/web v=1 p=80 @~gateway-name=gw @~gateway-ns=gws");
    scene_target(scene, 0, "shop/lost v=1 p=80 @~gateway-name=plain @~gateway-ns=gws");
    scene_settle(scene);
    assert_non_null(
        strstr(scene_status(scene, "shop/web-east"), "gateway Service gws/gw has no port named mc-gateway"));
    assert_non_null(strstr(scene_status(scene, "shop/lost-east"), "gateway Service gws/plain does not exist"));
    assert_null(scene_service(scene, "l5d-mc/gw-east"));
    scene_target(scene, 0, GATEWAY("g2", "loadbalancer lb=203.0.113.7", "4143") " @~multicluster-gateway=true");
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/lost");
    assert_brief(scene, "Service l5d-mc/gw-east p=mc-probe:80>80\n"
                        "Service shop/web-east p=80\n"
                        "EndpointSlice l5d-mc/gw-east.ipv4 owned type=IPv4 203.0.113.7 p=mc-probe:80\n"
                        "EndpointSlice shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=4143\n");
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    scene_target(scene, 0, "gws/gw v=g3 loadbalancer lb=203.0.113.7 p=http:80");
    assert_brief(scene, "");
    assert_null(world_first_gateway(scene->links[0]));
}

/* ---- without memory ---- */

/* An end that is noted even without memory: endpoints must not stay because nobody could say why they go. */
static void that_it_is_gone_needs_no_memory(void **state)
{
    struct scene *scene = *state;
    for (unsigned long n = 1, failed = 1; failed != 0; n++) {
        begin(scene);
        scene_settle(scene);
        struct world_link *link = scene->links[0];
        const struct service *gone = service_of(&scene->arena, "gws/gw");
        scene_fail_at(n);
        enum err_code code = world_target_gateway(link, WORLD_DELETED, gone);
        failed = !scene_fail_left();
        assert_int_equal(code, ERR_OK);
        assert_false(world_gateway_spec(world_first_gateway(link))->exists);
        assert_true(world_gateway_spec(world_first_gateway(link))->problem[0] != '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(mirrors_through_it_are_exact),
        SCENE(it_is_followed_live),
        SCENE(one_that_goes_or_cannot_be_used_takes_endpoints_and_comes_back),
        SCENE(while_it_is_not_listed_everything_stays),
        SCENE(one_that_cannot_be_decoded_is_not_gone),
        SCENE(a_link_may_come_to_name_one),
        SCENE(other_modes_do_not_wait_for_it),
        SCENE(only_the_annotation_makes_a_gateway_of_a_service),
        SCENE(a_named_load_balancer_is_told_what_it_lacks),
        SCENE(that_it_is_gone_needs_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
