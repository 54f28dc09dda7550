/* links: base mirror mirror_fixture.c mirror_scene.c */
#include "mirror/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/mirror_scene.h"

/* The gateway of the integration document, and a service exported through it by 2.8's annotations. */
#define GATEWAY                                                                                                        \
    "ambassador/ambassador v=g1 lb=203.0.113.7 p=mc-gateway:4143>4143 p=mc-probe:80>8080 "                             \
    "@~multicluster-gateway=true @~probe-path=-/ambassador/ready @~probe-period=3 "                                    \
    "@~gateway-identity=ambassador.id"
#define EXPORTED "@~gateway-name=ambassador @~gateway-ns=ambassador"
#define QOTM "shop/qotm v=s1 p=http:80>5000 " EXPORTED

#define LABELS                                                                                                         \
    "#~cluster-name=east #~mirrored-service=true #~remote-gateway-name=ambassador #~remote-gateway-ns=ambassador"
#define SLICE_LABELS(name)                                                                                             \
    "#endpointslice.kubernetes.io/managed-by=svcmirror #kubernetes.io/service-name=" name " " LABELS

/* Today's way: a Link with its gateway and a label selector. */
#define LINK "east gw=203.0.113.7 identity=gw.id probe=4191"
#define WEB "shop/web v=s1 p=http:80>8080 #~exported=true"
#define WEB_SLICE "shop/web-x1 v=e1 svc=web 10.0.0.1 p=http:8080"

static void begin_secret(struct scene *scene)
{
    scene_secret(scene, 0, "east");
    scene_target(scene, 0, GATEWAY);
    scene_target(scene, 0, QOTM);
}

static void begin_link(struct scene *scene)
{
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
}

static void assert_quiet(struct scene *scene)
{
    scene_hear(scene);
    assert_string_equal(scene_plan(scene, true), "");
}

static const char *slice_brief(struct scene *scene, const char *key)
{
    const struct slice *slice = scene_slice(scene, key);
    return slice != NULL ? slice_words(&scene->arena, slice, slice->meta.owner_uid, true) : "none";
}

/* ---- golden: whole objects, as reference 3.3 and 4.3 have them ---- */

static void linkerd_28_mirrors_are_exact(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene);
    scene_settle(scene);
    assert_string_equal(
        scene_dump(scene, false),
        "Service l5d-mc/ambassador-east #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
        "@~mirrored-gateway-probe-path=-/ambassador/ready @~mirrored-gateway-probe-period=3 "
        "@~mirrored-gateway-remote-name=ambassador @~mirrored-gateway-remote-namespace=ambassador "
        "@~remote-gateway-resource-version=g1 @svcmirror.io/gateway-addresses=203.0.113.7 p=mc-probe:80>80\n"
        "Service shop/qotm-east " LABELS " @~remote-gateway-resource-version=g1 @~remote-resource-version=s1 "
        "@~remote-svc-fq-name=qotm.shop.svc.cluster.local p=http:80>5000\n"
        "EndpointSlice l5d-mc/ambassador-east.ipv4 #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=ambassador-east #~cluster-name=east #~mirrored-gateway=true "
        "#~mirrored-service=true @~remote-gateway-identity=ambassador.id owned type=IPv4 203.0.113.7 p=mc-probe:80\n"
        "EndpointSlice shop/qotm-east.ipv4 " SLICE_LABELS(
            "qotm-east") " @~remote-gateway-identity=ambassador.id @~remote-svc-fq-name=qotm.shop.svc.cluster.local "
                         "owned type=IPv4 "
                         "203.0.113.7 p=http:4143\n");
    assert_quiet(scene);
}

static void mirrors_of_links_are_exact(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_target(
        scene, 0,
        "shop/api v=s2 nodeport p=grpc:443>tls*30443+kubernetes.io/h2c p=dns:53>5353/UDP #~exported=true #app=api "
        "#argocd.argoproj.io/instance=x @note=hi @config.linkerd.io/opaque-ports=443 "
        "@kubectl.kubernetes.io/last-applied-configuration={} @~gateway-name=zz");
    scene_target_slice(scene, 0, "shop/api-1 v=e2 svc=api 10.0.0.2");
    scene_settle(scene);
    assert_string_equal(
        scene_dump(scene, false),
        "Service l5d-mc/probe-link0 #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
        "@~mirrored-gateway-probe-path=/ready @~mirrored-gateway-probe-period=3 p=mc-probe:4191>4191\n"
        "Service shop/api-east #app=api #~cluster-name=east #~mirrored-service=true "
        "@config.linkerd.io/opaque-ports=443 @~remote-resource-version=s2 "
        "@~remote-svc-fq-name=api.shop.svc.cluster.local @note=hi p=grpc:443>tls+kubernetes.io/h2c p=dns:53>5353/UDP\n"
        "Service shop/web-east #~cluster-name=east #~mirrored-service=true @~remote-resource-version=s1 "
        "@~remote-svc-fq-name=web.shop.svc.cluster.local p=http:80>8080\n"
        "EndpointSlice l5d-mc/probe-link0.ipv4 #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=probe-link0 #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
        "@~remote-gateway-identity=gw.id owned type=IPv4 203.0.113.7 p=mc-probe:4191\n"
        "EndpointSlice shop/api-east.ipv4 #app=api #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=api-east #~cluster-name=east #~mirrored-service=true "
        "@~remote-gateway-identity=gw.id @~remote-svc-fq-name=api.shop.svc.cluster.local owned type=IPv4 203.0.113.7 "
        "p=grpc:4143+kubernetes.io/h2c p=dns:4143/UDP\n"
        "EndpointSlice shop/web-east.ipv4 #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=web-east #~cluster-name=east #~mirrored-service=true "
        "@~remote-gateway-identity=gw.id @~remote-svc-fq-name=web.shop.svc.cluster.local owned type=IPv4 203.0.113.7 "
        "p=http:4143\n");
    assert_quiet(scene);
}

/* The order of writes, and a reason and whole object in each. */
static void a_service_is_planned_before_its_slices(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_hear(scene);
    assert_string_equal(scene_plan(scene, true), "create Service l5d-mc/probe-link0 p=mc-probe:4191>4191\n"
                                                 "create Service shop/web-east p=http:80>8080\n");
    scene_settle(scene);
    scene_target(scene, 0, "shop/web v=s9 p=http:80>8080 p=more:81>81 #~exported=true");
    scene_verdict(scene, "203.0.113.7", WORLD_DEAD);
    scene_hear(scene);
    /* Readiness goes first. */
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true),
                        "update EndpointSlice shop/web-east.ipv4 owned type=IPv4 !203.0.113.7 p=http:4143 p=more:4143\n"
                        "update Service shop/web-east p=http:80>8080 p=more:81>81\n");
}

static void updates_and_deletes_carry_what_they_are_conditional_on(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_settle(scene);
    scene_target(scene, 0, "shop/web v=s9 p=http:80>8080 #~exported=true #new=x");
    scene_hear(scene);
    struct arena arena;
    struct plan plan;
    arena_init(&arena, 1 << 20);
    struct mirror *mirror = world_find_mirror(scene->world, "shop/web-east");
    assert_int_equal(plan_mirror(scene->world, mirror, &arena, &plan), ERR_OK);
    assert_int_equal(plan.write_count, 2);
    const struct slice *slice = scene_slice(scene, "shop/web-east.ipv4");
    assert_int_equal(plan.writes[0].verb, WRITE_UPDATE);
    assert_string_equal(plan.writes[0].name, "web-east.ipv4");
    assert_string_equal(plan.writes[0].slice->meta.uid, slice->meta.uid);
    assert_string_equal(plan.writes[0].slice->meta.resource_version, slice->meta.resource_version);
    assert_string_equal(plan.writes[0].old_slice->meta.uid, slice->meta.uid);
    const struct service *service = scene_service(scene, "shop/web-east");
    assert_string_equal(plan.writes[1].name, "web-east");
    assert_string_equal(plan.writes[1].old_service->meta.resource_version, service->meta.resource_version);
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    scene_hear(scene);
    arena_reset(&arena);
    mirror = world_find_mirror(scene->world, "shop/web-east");
    assert_int_equal(plan_mirror(scene->world, mirror, &arena, &plan), ERR_OK);
    assert_int_equal(plan.write_count, 1);
    assert_int_equal(plan.writes[0].verb, WRITE_DELETE);
    assert_string_equal(plan.writes[0].reason, "no longer exported");
    assert_string_equal(plan.writes[0].old_service->meta.uid, service->meta.uid);
    assert_string_equal(plan.writes[0].old_service->meta.resource_version, service->meta.resource_version);
    arena_done(&arena);
}

/* ---- the life of a mirror ---- */

static void a_service_may_be_exported_before_its_gateway_exists(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_target(scene, 0, QOTM);
    scene_settle(scene);
    /* It exists, tells which gateway it waits for, and has no endpoints. */
    assert_string_equal(scene_dump(scene, false),
                        "Service shop/qotm-east " LABELS " @~remote-resource-version=s1 "
                        "@~remote-svc-fq-name=qotm.shop.svc.cluster.local p=http:80>5000\n"
                        "EndpointSlice shop/qotm-east.ipv4 " SLICE_LABELS(
                            "qotm-east") " @~remote-svc-fq-name=qotm.shop.svc.cluster.local owned type=IPv4\n");
    assert_string_equal(scene_status(scene, "shop/qotm-east"),
                        "east Mirrored: gateway Service ambassador/ambassador does not exist in the target cluster\n");
    scene_target(scene, 0, GATEWAY);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/qotm-east.ipv4"),
                        "shop/qotm-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
    assert_non_null(scene_service(scene, "l5d-mc/ambassador-east"));
}

static void a_gateway_that_comes_without_an_address_is_waited_for(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_target(scene, 0, QOTM);
    scene_target(scene, 0, "ambassador/ambassador v=g0 p=mc-gateway:4143 p=mc-probe:80 @~probe-path=/x");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/qotm-east.ipv4"), "shop/qotm-east.ipv4 owned type=IPv4 p=http:4143");
    scene_target(scene, 0, GATEWAY);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/qotm-east.ipv4"),
                        "shop/qotm-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
}

static void a_gateway_is_followed_live(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene);
    scene_settle(scene);
    /* address, port, identity, probe port, path and period */
    scene_target(scene, 0,
                 "ambassador/ambassador v=g2 lb=203.0.113.8 p=mc-gateway:5000 p=mc-probe:81 "
                 "@~multicluster-gateway=true @~probe-path=/other @~probe-period=7 @~gateway-identity=new.id");
    scene_settle(scene);
    assert_string_equal(
        scene_dump(scene, false),
        "Service l5d-mc/ambassador-east #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
        "@~mirrored-gateway-probe-path=/other @~mirrored-gateway-probe-period=7 "
        "@~mirrored-gateway-remote-name=ambassador @~mirrored-gateway-remote-namespace=ambassador "
        "@~remote-gateway-resource-version=g2 @svcmirror.io/gateway-addresses=203.0.113.8 p=mc-probe:81>81\n"
        "Service shop/qotm-east " LABELS " @~remote-gateway-resource-version=g2 @~remote-resource-version=s1 "
        "@~remote-svc-fq-name=qotm.shop.svc.cluster.local p=http:80>5000\n"
        "EndpointSlice l5d-mc/ambassador-east.ipv4 #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=ambassador-east #~cluster-name=east #~mirrored-gateway=true "
        "#~mirrored-service=true @~remote-gateway-identity=new.id owned type=IPv4 203.0.113.8 p=mc-probe:81\n"
        "EndpointSlice shop/qotm-east.ipv4 " SLICE_LABELS(
            "qotm-east") " @~remote-gateway-identity=new.id @~remote-svc-fq-name=qotm.shop.svc.cluster.local owned "
                         "type=IPv4 "
                         "203.0.113.8 p=http:5000\n");
}

static void a_gateway_that_goes_takes_endpoints_and_its_mirror(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene);
    scene_settle(scene);
    scene_delete(&scene->targets[0], KIND_SERVICE, "ambassador/ambassador");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "Service shop/qotm-east p=http:80>5000\n"
                                                 "EndpointSlice shop/qotm-east.ipv4 owned type=IPv4\n");
    scene_target(scene, 0, GATEWAY);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/qotm-east.ipv4"),
                        "shop/qotm-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
}

static void a_gateway_that_is_none_any_more_counts_as_gone(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene);
    scene_settle(scene);
    scene_target(scene, 0, "ambassador/ambassador v=g2 p=http:80");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "Service shop/qotm-east p=http:80>5000\n"
                                                 "EndpointSlice shop/qotm-east.ipv4 owned type=IPv4\n");
}

static void an_exported_service_may_cease_to_be_a_gateway(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_target(scene, 0, GATEWAY " " EXPORTED);
    scene_target(scene, 0, QOTM);
    scene_namespace(scene, "/ambassador");
    scene_settle(scene);
    scene_target(scene, 0, "ambassador/ambassador v=g2 p=http:80 " EXPORTED);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "Service ambassador/ambassador-east p=http:80\n"
                                                 "Service shop/qotm-east p=http:80>5000\n"
                                                 "EndpointSlice ambassador/ambassador-east.ipv4 owned type=IPv4\n"
                                                 "EndpointSlice shop/qotm-east.ipv4 owned type=IPv4\n");
}

static void services_of_one_target_may_name_different_gateways(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene);
    scene_target(scene, 0,
                 "l5d-mc/linkerd-gateway v=h1 lb=203.0.113.9 p=mc-gateway:4143 p=mc-probe:4181 @~probe-path=/health");
    scene_target(scene, 0, "shop/other v=s2 p=80>80 @~gateway-name=linkerd-gateway @~gateway-ns=l5d-mc");
    scene_verdict(scene, "203.0.113.9", WORLD_DEAD);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/qotm-east.ipv4"),
                        "shop/qotm-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
    assert_string_equal(slice_brief(scene, "shop/other-east.ipv4"),
                        "shop/other-east.ipv4 owned type=IPv4 !203.0.113.9 p=4143");
    /* and change it */
    scene_target(scene, 0, "shop/other v=s3 p=80>80 " EXPORTED);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/other-east.ipv4"),
                        "shop/other-east.ipv4 owned type=IPv4 203.0.113.7 p=4143");
    assert_true(kv_has(&scene_service(scene, "shop/other-east")->meta.labels, "mirror.linkerd.io/remote-gateway-name",
                       "ambassador"));
}

static void a_service_may_be_exported_through_itself(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_target(scene, 0, GATEWAY " " EXPORTED);
    scene_settle(scene);
    scene_namespace(scene, "/ambassador");
    scene_settle(scene);
    assert_string_equal(
        slice_brief(scene, "ambassador/ambassador-east.ipv4"),
        "ambassador/ambassador-east.ipv4 owned type=IPv4 203.0.113.7 p=mc-gateway:4143 p=mc-probe:4143");
    scene_delete(&scene->targets[0], KIND_SERVICE, "ambassador/ambassador");
    scene_settle(scene);
    assert_int_equal(scene_count(&scene->source, KIND_SERVICE), 0);
}

static void host_names_count_once_they_resolve(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_target(scene, 0,
                 "ambassador/ambassador v=g1 lb=gw.example p=mc-gateway:4143 p=mc-probe:80 @~probe-path=/x "
                 "@~multicluster-gateway=true");
    scene_target(scene, 0, QOTM);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "Service l5d-mc/ambassador-east p=mc-probe:80>80\n"
                                                 "Service shop/qotm-east p=http:80>5000\n");
    scene_host(scene, "gw.example", "203.0.113.7,203.0.113.8");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/qotm-east.ipv4"),
                        "shop/qotm-east.ipv4 owned type=IPv4 203.0.113.7 203.0.113.8 p=http:4143");
    /* The name answers in another order: nothing to write. */
    scene_host(scene, "gw.example", "203.0.113.8,203.0.113.7,203.0.113.8");
    assert_quiet(scene);
    /* It does not resolve any more: its last addresses stay. */
    scene_host(scene, "gw.example", "");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/qotm-east.ipv4"),
                        "shop/qotm-east.ipv4 owned type=IPv4 203.0.113.7 203.0.113.8 p=http:4143");
    assert_string_equal(scene_status(scene, "shop/qotm-east"),
                        "east Mirrored: the gateway's host name has no address\n");
    scene_host(scene, "gw.example", "203.0.113.9");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/qotm-east.ipv4"),
                        "shop/qotm-east.ipv4 owned type=IPv4 203.0.113.9 p=http:4143");
}

static void both_families_have_a_slice_each(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7,gw.example,2001:db8:0:0::1 probe=4191");
    scene_host(scene, "gw.example", "2001:db8::2,203.0.113.8");
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_verdict(scene, "2001:db8::2", WORLD_DEAD);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 203.0.113.7 203.0.113.8 p=http:4143");
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv6"),
                        "shop/web-east.ipv6 owned type=IPv6 2001:db8::1 !2001:db8::2 p=http:4143");
    /* A family that goes takes its slice along; one alone has one. */
    scene_link(scene, 0, "east gw=2001:db8::1 probe=4191");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"), "none");
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv6"),
                        "shop/web-east.ipv6 owned type=IPv6 2001:db8::1 p=http:4143");
    scene_link(scene, 0, "east gw=203.0.113.7 probe=4191");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv6"), "none");
}

static void what_is_no_longer_exported_goes(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene);
    scene_settle(scene);
    scene_target(scene, 0, "shop/qotm v=s2 p=http:80>5000 @~gateway-name=ambassador");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/qotm-east"));
    assert_null(scene_slice(scene, "shop/qotm-east.ipv4"));
    scene_target(scene, 0, "shop/qotm v=s3 p=http:80>5000 " EXPORTED);
    scene_settle(scene);
    assert_non_null(scene_slice(scene, "shop/qotm-east.ipv4"));
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/qotm");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/qotm-east"));
}

static void what_was_unexported_while_nobody_watched_goes_too(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_settle(scene);
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    scene_restart(scene);
    /* Not before the target is listed. */
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SLICE), ERR_OK);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true), "");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/web-east"));
    assert_non_null(scene_service(scene, "l5d-mc/probe-link0"));
}

/* Half a listing of the target, at a start: the gateway of that service, and the gateway whose mirror has its name, are still
 * to come. */
static void half_a_listing_moves_nothing(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene);
    scene_target(scene, 0, "l5d-mc/ambassador v=1 p=80 " EXPORTED);
    scene_settle(scene);
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    world_begin(scene->world, scene->links[0], WORLD_TARGET_SERVICES);
    static const char *const services[] = {QOTM, "l5d-mc/ambassador v=1 p=80 " EXPORTED, "shop/new v=1 p=80 " EXPORTED};
    for (size_t i = 0; i < ARRAY_COUNT(services); i++) {
        const struct service *service = service_of(&scene->arena, "%s", services[i]);
        assert_int_equal(world_target_service(scene->links[0], WORLD_PUT, service), ERR_OK);
    }
    scene_probe(scene);
    assert_string_equal(scene_plan(scene, true), "");
    /* Readiness is followed all the same, once the gateway is known. */
    assert_int_equal(world_target_service(scene->links[0], WORLD_PUT, service_of(&scene->arena, GATEWAY)), ERR_OK);
    scene_verdict(scene, "203.0.113.7", WORLD_DEAD);
    scene_probe(scene);
    assert_string_equal(scene_plan(scene, true),
                        "update EndpointSlice l5d-mc/ambassador-east.ipv4 owned type=IPv4 !203.0.113.7 p=mc-probe:80\n"
                        "update EndpointSlice shop/qotm-east.ipv4 owned type=IPv4 !203.0.113.7 p=http:4143\n");
    scene_settle(scene);
}

/* ---- readiness ---- */

static void endpoints_follow_the_verdict_of_each_address(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7,203.0.113.8 probe=4191");
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene->verdict = WORLD_LIVENESS_UNKNOWN;
    scene_settle(scene);
    static const struct {
        enum world_liveness first, second;
        const char *endpoints;
    } STEPS[] = {
        /* A new mirror starts unready and follows the first verdict. */
        {WORLD_LIVENESS_UNKNOWN, WORLD_LIVENESS_UNKNOWN, "!203.0.113.7 !203.0.113.8"},
        {WORLD_ALIVE, WORLD_LIVENESS_UNKNOWN, "203.0.113.7 !203.0.113.8"},
        {WORLD_ALIVE, WORLD_ALIVE, "203.0.113.7 203.0.113.8"},
        {WORLD_DEAD, WORLD_ALIVE, "!203.0.113.7 203.0.113.8"},
        {WORLD_DEAD, WORLD_DEAD, "!203.0.113.7 !203.0.113.8"},
        {WORLD_ALIVE, WORLD_DEAD, "203.0.113.7 !203.0.113.8"},
        /* What is not known any more keeps what the API holds. */
        {WORLD_LIVENESS_UNKNOWN, WORLD_LIVENESS_UNKNOWN, "203.0.113.7 !203.0.113.8"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(STEPS); i++) {
        scene_verdict(scene, "203.0.113.7", STEPS[i].first);
        scene_verdict(scene, "203.0.113.8", STEPS[i].second);
        scene_settle(scene);
        assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                            arena_printf(&scene->arena, "shop/web-east.ipv4 owned type=IPv4 %s p=http:4143",
                                         STEPS[i].endpoints));
        /* The gateway mirror shows the verdict. */
        assert_string_equal(slice_brief(scene, "l5d-mc/probe-link0.ipv4"),
                            arena_printf(&scene->arena, "l5d-mc/probe-link0.ipv4 owned type=IPv4 %s p=mc-probe:4191",
                                         STEPS[i].endpoints));
    }
}

static void verdicts_may_be_for_show_only(void **state)
{
    struct scene *scene = *state;
    scene->config.move_endpoints = false;
    scene_restart(scene);
    begin_link(scene);
    scene_verdict(scene, "203.0.113.7", WORLD_DEAD);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
    assert_string_equal(slice_brief(scene, "l5d-mc/probe-link0.ipv4"),
                        "l5d-mc/probe-link0.ipv4 owned type=IPv4 !203.0.113.7 p=mc-probe:4191");
}

static void a_gateway_without_a_probe_has_no_mirror_and_counts_as_alive(void **state)
{
    struct scene *scene = *state;
    scene->verdict = WORLD_DEAD; /* nobody asks */
    scene_link(scene, 0, "east gw=203.0.113.7");
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true),
                        "Service shop/web-east p=http:80>8080\n"
                        "EndpointSlice shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143\n");
    /* A probe that is declared later, and taken back. */
    scene_link(scene, 0, LINK);
    scene_settle(scene);
    assert_non_null(scene_service(scene, "l5d-mc/probe-link0"));
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 !203.0.113.7 p=http:4143");
    scene_link(scene, 0, "east gw=203.0.113.7");
    scene_settle(scene);
    assert_null(scene_service(scene, "l5d-mc/probe-link0"));
}

/* Of Links; 2.8 never looked at the target's endpoints. */
static void a_target_without_ready_endpoints_empties_the_mirror(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB);
    static const char full[] = "shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143";
    static const char empty[] = "shop/web-east.ipv4 owned type=IPv4 p=http:4143";
    static const struct {
        const char *slices[2], *outcome;
    } STEPS[] = {
        {{NULL}, empty},
        {{"shop/web-a svc=web"}, empty},
        {{"shop/web-a svc=web !10.0.0.1"}, empty},
        {{"shop/web-a svc=web !10.0.0.1 10.0.0.2"}, full},
        {{"shop/web-a svc=web !10.0.0.1", "shop/web-b svc=web 10.0.0.3"}, full},
        {{"shop/web-a svc=web !10.0.0.1", "shop/web-b svc=web !10.0.0.3"}, empty},
        {{"shop/web-a svc=web !10.0.0.1", "shop/web-b svc=web fd00::3"}, full},
        {{"shop/web-a svc=web 10.0.0.1", "shop/web-b svc=other 10.0.0.3"}, full},
        {{"shop/web-a svc=other 10.0.0.1", "shop/web-b svc=web !10.0.0.3"}, empty},
        {{"shop/web-a svc=web 10.0.0.1", "shop/web-b"}, full},
        {{"shop/web-a 10.0.0.1", "shop/web-b svc=other 10.0.0.3"}, empty},
        {{"other/web-a svc=web 10.0.0.1", "shop/web-a svc=web"}, empty},
    };
    for (size_t i = 0; i < ARRAY_COUNT(STEPS); i++) {
        for (size_t j = 0; j < 2 && STEPS[i].slices[j] != NULL; j++)
            scene_target_slice(scene, 0, "%s", STEPS[i].slices[j]);
        scene_settle(scene);
        if (strcmp(slice_brief(scene, "shop/web-east.ipv4"), STEPS[i].outcome) != 0)
            fail_msg("step %zu: %s", i, slice_brief(scene, "shop/web-east.ipv4"));
        assert_string_equal(scene_status(scene, "shop/web-east"),
                            STEPS[i].outcome == full ? "east Mirrored: \n"
                                                     : "east Mirrored: the exported service has no ready endpoint\n");
    }
    scene_target_slice(scene, 0, "shop/web-c svc=web 10.0.0.9");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"), full);
    scene_delete(&scene->targets[0], KIND_SLICE, "shop/web-c");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"), empty);
}

static void without_the_right_to_read_slices_the_target_counts_as_ready(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB);
    world_set_unavailable(scene->world, scene->links[0], WORLD_TARGET_SLICES);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    scene_probe(scene);
    while (scene_work(scene))
        for (enum object_kind kind = 0; kind < KINDS; kind++)
            assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
}

static void a_link_without_a_usable_gateway_has_mirrors_without_endpoints(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east probe=4191");
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "Service shop/web-east p=http:80>8080\n"
                                                 "EndpointSlice shop/web-east.ipv4 owned type=IPv4\n");
    assert_string_equal(
        scene_status(scene, "shop/web-east"),
        "east Mirrored: the Link names no usable gateway: set spec.gatewayAddress and spec.gatewayPort\n");
    begin_link(scene);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
}

static void what_others_made_for_unknown_clusters_is_reported_and_goes_on_request(void **state)
{
    struct scene *scene = *state;
    scene_source(scene, "shop/web-gone uid=g1 p=80 #~mirrored-service=true #~cluster-name=gone");
    scene_hear(scene);
    struct mirror *mirror = world_find_mirror(scene->world, "shop/web-gone");
    struct arena arena;
    struct plan plan;
    arena_init(&arena, 1 << 20);
    assert_int_equal(plan_mirror(scene->world, mirror, &arena, &plan), ERR_OK);
    assert_int_equal(plan.write_count, 0);
    assert_true(plan.unaccounted);
    assert_true(mirror_note_unaccounted(mirror, true));
    assert_false(mirror_note_unaccounted(mirror, true));
    assert_int_equal(world_unaccounted_count(scene->world), 1);
    arena_done(&arena);
    scene_delete(&scene->source, KIND_SERVICE, "shop/web-gone");
    scene_settle(scene);
    assert_int_equal(world_unaccounted_count(scene->world), 0);
    scene->config.remove_unaccounted = true;
    scene_restart(scene);
    scene_source(scene, "shop/web-gone uid=g2 p=80 #~mirrored-service=true #~cluster-name=gone");
    scene_source(scene,
                 "l5d-mc/probe-gone uid=g3 p=80 #~mirrored-service=true #~cluster-name=gone #~mirrored-gateway=true");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/web-gone"));
    assert_non_null(scene_service(scene, "l5d-mc/probe-gone"));
}

/* ---- mirrors that Linkerd made ---- */

static void linkerds_mirrors_are_taken_over_without_an_unready_moment(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_verdict(scene, "203.0.113.7", WORLD_LIVENESS_UNKNOWN);
    scene_source(scene, "shop/web-east uid=l1 p=http:80>8080 #~mirrored-service=true #~cluster-name=east "
                        "@~remote-resource-version=s0 @~remote-svc-fq-name=web.shop.svc.cluster.local");
    /* Linkerd's Endpoints. */
    scene_source_slice(scene,
                       "shop/web-east v1 uid=m1 #~mirrored-service=true #~cluster-name=east 203.0.113.7 p=http:4143");
    /* First the slice of ours, ready as the old one is, then metadata, then the Endpoints go. */
    scene_hear(scene);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true),
                        "create EndpointSlice shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143\n"
                        "update Service shop/web-east p=http:80>8080\n");
    scene_settle(scene);
    assert_string_equal(scene_service(scene, "shop/web-east")->meta.uid, "l1");
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
    assert_null(scene_slice(scene, "shop/web-east"));
    assert_string_equal(scene_status(scene, "shop/web-east"), "east Mirrored: \n");
}

/* ---- what people and other controllers do to mirrors ---- */

static void what_leads_traffic_past_a_mirror_is_taken_off(void **state)
{
    static const char *const EDITS[] = {"selector", "nodeport", "external"};
    struct scene *scene = *state;
    begin_link(scene);
    scene_settle(scene);
    const char *right = service_words(&scene->arena, scene_service(scene, "shop/web-east"), false);
    for (size_t i = 0; i < ARRAY_COUNT(EDITS); i++) {
        scene_source(scene,
                     "shop/web-east uid=%s v=edit%zu %s ours #~cluster-name=east #~mirrored-service=true "
                     "@~remote-resource-version=s1 @~remote-svc-fq-name=web.shop.svc.cluster.local p=http:80>8080",
                     scene_service(scene, "shop/web-east")->meta.uid, i, EDITS[i]);
        scene_hear(scene);
        assert_string_equal(scene_plan_of(scene, "shop/web-east", true),
                            "update Service shop/web-east p=http:80>8080\n");
        scene_settle(scene);
        assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/web-east"), false), right);
    }
}

/* Kubernetes makes Endpoints and slices by a selector that somebody puts on a mirror, and leaves them when it goes. */
static void what_a_selector_left_behind_goes(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_settle(scene);
    const char *uid = scene_service(scene, "shop/web-east")->meta.uid;
    scene_source_slice(scene,
                       "shop/web-east-a1 uid=k1 owner=%s svc=web-east managed=endpointslice-controller.k8s.io "
                       "#~mirrored-service=true #~cluster-name=east type=IPv4 10.9.9.9",
                       uid);
    scene_source_slice(scene, "shop/web-east v1 uid=k2 #~mirrored-service=true #~cluster-name=east 10.9.9.9");
    scene_settle(scene);
    assert_null(scene_slice(scene, "shop/web-east-a1"));
    assert_null(scene_slice(scene, "shop/web-east"));
    assert_non_null(scene_slice(scene, "shop/web-east.ipv4"));
}

static void a_slice_that_lost_its_labels_gets_them_back(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_settle(scene);
    const struct slice *slice = scene_slice(scene, "shop/web-east.ipv4");
    const char *right = slice_words(&scene->arena, slice, slice->meta.owner_uid, false);
    scene_source_slice(scene,
                       "shop/web-east.ipv4 uid=%s owner=%s ours #~cluster-name=east #~mirrored-service=true type=IPv4 "
                       "203.0.113.7 p=http:4143",
                       slice->meta.uid, slice->meta.owner_uid);
    scene_settle(scene);
    slice = scene_slice(scene, "shop/web-east.ipv4");
    assert_string_equal(slice_words(&scene->arena, slice, slice->meta.owner_uid, false), right);
    assert_quiet(scene);
}

static void a_slice_of_somebody_else_is_not_written(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_source_slice(scene, "shop/web-east.ipv4 v=9 svc=web-east #~mirrored-service=true type=IPv4 10.9.9.9");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"), "shop/web-east.ipv4 owned type=IPv4 10.9.9.9");
    assert_string_equal(scene_status(scene, "shop/web-east"),
                        "east NameCollision: EndpointSlice shop/web-east.ipv4 exists and is not svcmirror's: rename or "
                        "remove it\n");
}

/* ---- what cannot be read, or is not known yet ---- */

static void a_mirror_is_told_when_its_endpoints_are_known(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    for (unsigned i = 0; i < 10 && scene_work(scene); i++)
        for (unsigned j = 0; j < 10; j++)
            assert_int_equal(scene_step(scene, &scene->source_feed, KIND_SERVICE), ERR_OK);
    assert_string_equal(scene_status(scene, "shop/web-east"), "east Pending: the gateway's address is not known yet\n");
    scene_probe(scene);
    assert_string_equal(scene_status(scene, "shop/web-east"),
                        "east Pending: the target's endpoints are not listed yet\n");
    scene_settle(scene);
    assert_string_equal(scene_status(scene, "shop/web-east"), "east Mirrored: \n");
}

static void without_the_right_to_read_endpoints_services_count_as_having_some(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_target(scene, 0, "shop/idle v=i1 p=80 #~exported=true");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/idle-east.ipv4"), "shop/idle-east.ipv4 owned type=IPv4 p=4143");
    world_set_unavailable(scene->world, scene->links[0], WORLD_TARGET_SLICES);
    scene_target(scene, 0, "shop/late v=l1 p=80 #~exported=true");
    scene_settle(scene);
    static const char *const names[] = {"idle", "late"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        assert_string_equal(slice_brief(scene, arena_printf(&scene->arena, "shop/%s-east.ipv4", names[i])),
                            arena_printf(&scene->arena, "shop/%s-east.ipv4 owned type=IPv4 203.0.113.7 p=4143",
                                         names[i]));
    /* The right is back: the listing decides. */
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SLICE), ERR_OK);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/late-east.ipv4"), "shop/late-east.ipv4 owned type=IPv4 p=4143");
    assert_string_equal(slice_brief(scene, "shop/idle-east.ipv4"), "shop/idle-east.ipv4 owned type=IPv4 p=4143");
}

static void list_web_as_unreadable(struct scene *scene)
{
    world_begin(scene->world, scene->links[0], WORLD_TARGET_SERVICES);
    assert_int_equal(world_target_unreadable(scene->links[0], "shop", "web"), ERR_OK);
    world_end(scene->world, scene->links[0], WORLD_TARGET_SERVICES);
}

/* An agent that begins, and cannot read shop/web, keeps what it was made into until it is gone for good. */
static void assert_unreadable_web_keeps(struct scene *scene, const char *mirror_key)
{
    scene_restart(scene);
    list_web_as_unreadable(scene);
    scene->target_feeds[0].listed[KIND_SERVICE] = true;
    scene_settle(scene);
    assert_non_null(scene_service(scene, mirror_key));
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    scene->target_feeds[0].listed[KIND_SERVICE] = false;
    scene_settle(scene);
    assert_null(scene_service(scene, mirror_key));
}

static void an_export_that_cannot_be_read_keeps_its_mirror(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_settle(scene);
    /* While it is watched, in a listing anew, and at a start. */
    assert_int_equal(world_target_unreadable(scene->links[0], "shop", "web"), ERR_OK);
    assert_quiet(scene);
    list_web_as_unreadable(scene);
    assert_quiet(scene);
    assert_unreadable_web_keeps(scene, "shop/web-east");
}

static void an_address_that_kubernetes_refuses_does_not_block_the_others(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=127.0.0.1,203.0.113.7,fe80::1 probe=4191");
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
    assert_string_equal(
        scene_status(scene, "shop/web-east"),
        "east Mirrored: gateway address 127.0.0.1 cannot be an endpoint: Kubernetes refuses unspecified, "
        "loopback and link-local addresses\n");
    scene_link(scene, 0, "east gw=127.0.0.1 probe=4191");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"), "shop/web-east.ipv4 owned type=IPv4 p=http:4143");
}

/* ---- somebody who undoes every update ---- */

static void an_update_that_is_undone_for_ever_is_written_ever_more_seldom(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_settle(scene);
    struct mirror *mirror = world_find_mirror(scene->world, "shop/web-east");
    enum { SERVICE = 1, SLICE = 2 };
    uint64_t now_ms = 1000, writes = 0;
    /* A webhook that labels the Service and its slice alike. */
    for (uint64_t end_ms = now_ms + 3600 * 1000; now_ms < end_ms; now_ms += 100)
        for (uint32_t object = SERVICE; object <= SLICE; object++)
            if (mirror_rewrite_wait_ms(mirror, object, 7 + object, now_ms) == 0) {
                (void)mirror_note_rewrite(mirror, object, 7 + object, now_ms);
                writes++;
            }
    assert_in_range(writes, 20, 60);
    /* Another update is not delayed by it, and the same one after a quiet time is a new edit. */
    assert_int_equal(mirror_rewrite_wait_ms(mirror, SERVICE, 9, now_ms), 0);
    assert_int_not_equal(mirror_rewrite_wait_ms(mirror, SERVICE, 8, now_ms), 0);
    now_ms += 3600 * 1000;
    assert_int_equal(mirror_rewrite_wait_ms(mirror, SERVICE, 8, now_ms), 0);
    assert_int_equal(mirror_note_rewrite(mirror, SERVICE, 8, now_ms), 0);
    assert_int_equal(mirror_note_rewrite(mirror, SERVICE, 8, now_ms), 1);
}

static struct write update_of(const struct service *wanted, const struct service *there)
{
    return (struct write){.verb = WRITE_UPDATE,
                          .kind = WRITE_SERVICE,
                          .name = wanted->meta.name,
                          .service = wanted,
                          .old_service = there};
}

static void updates_are_told_apart_by_what_they_change(void **state)
{
    struct scene *scene = *state;
    struct arena *arena = &scene->arena;
    const struct service *wanted = service_of(arena, "shop/web-east v=1 p=http:80>8080 #a=b");
    const struct service *again = service_of(arena, "shop/web-east v=2 p=http:80>8080 #a=b");
    const struct service *edited = service_of(arena, "shop/web-east v=1 p=http:80>8080 #a=b #c=d");
    const struct service *other = service_of(arena, "shop/web-east v=1 p=http:81>8080 #a=b");
    struct write first = update_of(wanted, edited), second = update_of(again, edited), third = update_of(wanted, other);
    assert_true(write_fingerprint(&first) == write_fingerprint(&second));
    assert_true(write_fingerprint(&first) != write_fingerprint(&third));
    assert_int_equal(write_object(&first), write_object(&third));
    third.name = "web-east.ipv4";
    assert_int_not_equal(write_object(&first), write_object(&third));
}

/* ---- remote discovery ---- */

#define DISCOVERED "shop/web v=s9 p=http:80>8080 #~exported=remote-discovery #app=web"

static void remote_discovery_mirrors_are_exact(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DISCOVERED);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_settle(scene);
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/web-east"), false),
                        "shop/web-east #app=web #~cluster-name=east #~mirrored-service=true "
                        "#multicluster.linkerd.io/remote-discovery=east #multicluster.linkerd.io/remote-service=web "
                        "@~remote-resource-version=s9 @~remote-svc-fq-name=web.shop.svc.cluster.local p=http:80>8080");
    assert_null(scene_slice(scene, "shop/web-east.ipv4"));
    assert_string_equal(scene_status(scene, "shop/web-east"), "east Mirrored: \n");
}

static void a_service_changes_its_way_in_place(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_settle(scene);
    const char *uid = arena_strdup(&scene->arena, scene_service(scene, "shop/web-east")->meta.uid);
    scene_target(scene, 0, DISCOVERED);
    scene_settle(scene);
    assert_string_equal(scene_service(scene, "shop/web-east")->meta.uid, uid);
    assert_null(scene_slice(scene, "shop/web-east.ipv4"));
    scene_target(scene, 0, WEB);
    scene_settle(scene);
    assert_string_equal(scene_service(scene, "shop/web-east")->meta.uid, uid);
    assert_null(
        kv_get(&scene_service(scene, "shop/web-east")->meta.labels, "multicluster.linkerd.io/remote-discovery"));
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
    /* Selected by both: remote discovery wins. A Link without a gateway is enough for it. */
    scene_link(scene, 0, "east discover=~exported=true");
    scene_settle(scene);
    assert_string_equal(scene_service(scene, "shop/web-east")->meta.uid, uid);
    assert_null(scene_slice(scene, "shop/web-east.ipv4"));
    assert_string_equal(scene_status(scene, "shop/web-east"), "east Mirrored: \n");
}

/* ---- headless services ---- */

#define DB "shop/db v=d1 headless p=pg:5432>5432 #~exported=true #app=db"
#define DB_SLICE "shop/db-x v=e1 svc=db db-0@10.0.0.1 !db-1@10.0.0.2 p=pg:5432"

static void headless_mirrors_are_exact(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    assert_string_equal(
        scene_dump(scene, false),
        "Service l5d-mc/probe-link0 #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
        "@~mirrored-gateway-probe-path=/ready @~mirrored-gateway-probe-period=3 p=mc-probe:4191>4191\n"
        "Service shop/db-0-east #~cluster-name=east #~headless-mirror-svc-name=db-east #~mirrored-service=true "
        "@~remote-resource-version=d1 @~remote-svc-fq-name=db-0.db.shop.svc.cluster.local p=pg:5432>5432\n"
        "Service shop/db-1-east #~cluster-name=east #~headless-mirror-svc-name=db-east #~mirrored-service=true "
        "@~remote-resource-version=d1 @~remote-svc-fq-name=db-1.db.shop.svc.cluster.local p=pg:5432>5432\n"
        "Service shop/db-east #app=db #~cluster-name=east #~mirrored-service=true @~remote-resource-version=d1 "
        "@~remote-svc-fq-name=db.shop.svc.cluster.local headless p=pg:5432>5432\n"
        "EndpointSlice l5d-mc/probe-link0.ipv4 #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=probe-link0 #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
        "@~remote-gateway-identity=gw.id owned type=IPv4 203.0.113.7 p=mc-probe:4191\n"
        "EndpointSlice shop/db-0-east.ipv4 #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=db-0-east #~cluster-name=east #~headless-mirror-svc-name=db-east "
        "#~mirrored-service=true @~remote-gateway-identity=gw.id "
        "@~remote-svc-fq-name=db-0.db.shop.svc.cluster.local owned type=IPv4 203.0.113.7 p=pg:4143\n"
        "EndpointSlice shop/db-1-east.ipv4 #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=db-1-east #~cluster-name=east #~headless-mirror-svc-name=db-east "
        "#~mirrored-service=true @~remote-gateway-identity=gw.id "
        "@~remote-svc-fq-name=db-1.db.shop.svc.cluster.local owned type=IPv4 !203.0.113.7 p=pg:4143\n"
        "EndpointSlice shop/db-east.ipv4 #app=db #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=db-east #~cluster-name=east #~mirrored-service=true "
        "@~remote-gateway-identity=gw.id @~remote-svc-fq-name=db.shop.svc.cluster.local owned type=IPv4 "
        "db-0@10.96.0.4 !db-1@10.96.0.5 p=pg:5432\n");
    assert_quiet(scene);
}

static void scaling_a_statefulset_changes_only_what_changed(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    const char *root = arena_strdup(&scene->arena, scene_service(scene, "shop/db-east")->meta.uid);
    const char *first = arena_strdup(&scene->arena, scene_service(scene, "shop/db-0-east")->meta.resource_version);
    /* Up: one more, and the one that was starting is ready. */
    scene_target_slice(scene, 0, "shop/db-x v=e2 svc=db db-0@10.0.0.1 db-1@10.0.0.2 !db-2@10.0.0.3 p=pg:5432");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/db-2-east"));
    assert_string_equal(scene_service(scene, "shop/db-0-east")->meta.resource_version, first);
    /* Down, in a second slice, to zero, and up again. */
    scene_target_slice(scene, 0, "shop/db-x v=e3 svc=db db-0@10.0.0.1 p=pg:5432");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/db-1-east"));
    assert_null(scene_slice(scene, "shop/db-2-east.ipv4"));
    assert_string_equal(slice_brief(scene, "shop/db-east.ipv4"),
                        "shop/db-east.ipv4 owned type=IPv4 db-0@10.96.0.4 p=pg:5432");
    scene_target_slice(scene, 0, "shop/db-x v=e4 svc=db p=pg:5432");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/db-0-east"));
    assert_string_equal(slice_brief(scene, "shop/db-east.ipv4"), "shop/db-east.ipv4 owned type=IPv4 p=pg:5432");
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    assert_string_equal(scene_service(scene, "shop/db-east")->meta.uid, root);
    assert_non_null(scene_service(scene, "shop/db-0-east"));
}

static void headless_mirrors_follow_the_gateway_and_a_restart_moves_nothing(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    unsigned long writes = scene->writes;
    scene_restart(scene);
    /* Before the target's slices are listed the hostnames' mirrors belong to nobody that is known, and stay. */
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    assert_string_equal(scene_plan(scene, true), "");
    scene_settle(scene);
    assert_int_equal(scene->writes, writes);
    scene_verdict(scene, "203.0.113.7", WORLD_DEAD);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/db-0-east.ipv4"),
                        "shop/db-0-east.ipv4 owned type=IPv4 !203.0.113.7 p=pg:4143");
    assert_string_equal(slice_brief(scene, "shop/db-east.ipv4"),
                        "shop/db-east.ipv4 owned type=IPv4 !db-0@10.96.0.4 !db-1@10.96.0.5 p=pg:5432");
}

static void a_headless_service_without_hostnames_is_like_any_other(void **state)
{
    static const char *const SERVICES[] = {
        "shop/db v=d0 headless p=pg:5432>5432 #~exported=true @svcmirror.io/headless=false", /* by wish */
        DB, /* no endpoint has a hostname */
    };
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    for (size_t i = 0; i < ARRAY_COUNT(SERVICES); i++) {
        scene_target(scene, 0, "%s", SERVICES[i]);
        scene_target_slice(scene, 0, i == 0 ? DB_SLICE : "shop/db-x v=e9 svc=db 10.0.0.1 p=pg:5432");
        scene_settle(scene);
        assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/db-east"), true),
                            "shop/db-east p=pg:5432>5432");
        assert_string_equal(slice_brief(scene, "shop/db-east.ipv4"),
                            "shop/db-east.ipv4 owned type=IPv4 203.0.113.7 p=pg:4143");
        assert_null(scene_service(scene, "shop/db-0-east"));
    }
    /* Its pods get names: it is made anew. No longer headless: likewise. */
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    assert_true(scene_service(scene, "shop/db-east")->headless);
    scene_target(scene, 0, "shop/db v=d2 p=pg:5432>5432 #~exported=true");
    scene_settle(scene);
    assert_false(scene_service(scene, "shop/db-east")->headless);
    assert_null(scene_service(scene, "shop/db-0-east"));
}

/* What people do while the target's endpoints may not be read, and what the source cluster then holds of shop/db and its like: by an agent that knew
 * its hostnames, and by one that begins then. */
struct unreadable {
    const char *name;
    void (*change)(struct scene *scene);
    const char *root, *host; /* slices of the mirrors of db and of its hostname db-1, which was not ready; "none" */
};

static void no_change(struct scene *scene) { (void)scene; }

static void kill_gateway(struct scene *scene) { scene_verdict(scene, "203.0.113.7", WORLD_DEAD); }

static void export_known_hostnames(struct scene *scene)
{
    scene_target(scene, 0, "shop/late v=l2 headless p=pg:5432>5432 #~exported=true");
}

static void delete_host_mirror(struct scene *scene) { scene_delete(&scene->source, KIND_SERVICE, "shop/db-1-east"); }

static void delete_root_mirror(struct scene *scene) { scene_delete(&scene->source, KIND_SERVICE, "shop/db-east"); }

static void unexport(struct scene *scene) { scene_target(scene, 0, "shop/db v=d3 headless p=pg:5432>5432"); }

static void rename_mirror(struct scene *scene) { scene_target(scene, 0, DB " v=d4 @svcmirror.io/export-name=store"); }

static void move_mirror(struct scene *scene)
{
    scene_namespace(scene, "/late");
    scene_target(scene, 0, DB " v=d5 @svcmirror.io/export-namespace=late");
}

static void scale_up(struct scene *scene)
{
    scene_target_slice(scene, 0, "shop/db-x v=e8 svc=db db-0@10.0.0.1 db-1@10.0.0.2 db-2@10.0.0.3 p=pg:5432");
}

static const char both_ready[] = "shop/db-east.ipv4 owned type=IPv4 db-0@10.96.0.4 db-1@10.96.0.5 p=pg:5432";
static const char host_ready[] = "shop/db-1-east.ipv4 owned type=IPv4 203.0.113.7 p=pg:4143";

static const struct unreadable UNREADABLE[] = {
    {"nothing: the endpoints count as ready", no_change, both_ready, host_ready},
    {"the gateway dies", kill_gateway, "shop/db-east.ipv4 owned type=IPv4 !db-0@10.96.0.4 !db-1@10.96.0.5 p=pg:5432",
     "shop/db-1-east.ipv4 owned type=IPv4 !203.0.113.7 p=pg:4143"},
    {"a service whose hostnames are known is exported", export_known_hostnames, both_ready, host_ready},
    {"somebody deletes a hostname's mirror", delete_host_mirror,
     "shop/db-east.ipv4 owned type=IPv4 db-0@10.96.0.4 p=pg:5432", "none"},
    {"somebody deletes the headless mirror", delete_root_mirror, both_ready, host_ready},
    {"it is exported no longer", unexport, "none", "none"},
    {"its mirror gets another name", rename_mirror, "none", host_ready},
    {"its mirror moves", move_mirror, "none", "none"},
    {"its pods become more", scale_up, both_ready, host_ready},
};

static void unreadable_endpoints_make_nothing_new_and_take_nothing_away(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_COUNT(UNREADABLE); i++) {
        const struct unreadable *row = &UNREADABLE[i / 2];
        static struct scene scene;
        scene_init(&scene);
        scene_link(&scene, 0, LINK " allow=late");
        scene_target(&scene, 0, DB);
        scene_target_slice(&scene, 0, DB_SLICE);
        scene_target(&scene, 0, "shop/late v=l1 headless p=pg:5432>5432");
        scene_target_slice(&scene, 0, "shop/late-x v=e2 svc=late late-0@10.0.0.7 p=pg:5432");
        scene_settle(&scene);
        scene_refuse_slices(&scene, 0, true);
        if (i % 2 == 1)
            scene_restart(&scene);
        scene_settle(&scene);
        row->change(&scene);
        scene_settle(&scene);
        if (strcmp(slice_brief(&scene, "shop/db-east.ipv4"), row->root) != 0 ||
            strcmp(slice_brief(&scene, "shop/db-1-east.ipv4"), row->host) != 0)
            fail_msg("%s, %s: %s, %s", row->name, i % 2 == 1 ? "after a restart" : "while it runs",
                     slice_brief(&scene, "shop/db-east.ipv4"), slice_brief(&scene, "shop/db-1-east.ipv4"));
        assert_null(scene_service(&scene, "shop/db-2-east"));
        assert_null(scene_service(&scene, "shop/late-0-east"));
        /* Another start finds all of it right. */
        unsigned long writes = scene.writes;
        scene_restart(&scene);
        scene_settle(&scene);
        assert_int_equal(scene.writes, writes);
        scene_done(&scene);
    }
}

static void hostnames_are_followed_again_with_the_right_to_read_them(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    scene_refuse_slices(scene, 0, true);
    scene_restart(scene);
    scene_settle(scene);
    assert_string_equal(scene_status(scene, "shop/db-east"),
                        "east Mirrored: the target's endpoints may not be read: its hostnames stay as they are\n");
    /* Meanwhile one pod went, and another came. */
    scene_target_slice(scene, 0, "shop/db-x v=e5 svc=db db-1@10.0.0.2 db-2@10.0.0.3 p=pg:5432");
    scene_refuse_slices(scene, 0, false);
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/db-0-east"));
    assert_string_equal(slice_brief(scene, "shop/db-east.ipv4"),
                        "shop/db-east.ipv4 owned type=IPv4 db-1@10.96.0.5 db-2@10.96.0.11 p=pg:5432");
    assert_string_equal(scene_status(scene, "shop/db-east"), "east Mirrored: \n");
    assert_quiet(scene);
}

/* The service of a hostname's mirror cannot be read at a start: neither goes. */
static void a_headless_export_that_cannot_be_read_keeps_its_mirrors(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    scene_restart(scene);
    world_begin(scene->world, scene->links[0], WORLD_TARGET_SERVICES);
    assert_int_equal(world_target_unreadable(scene->links[0], "shop", "db"), ERR_OK);
    world_end(scene->world, scene->links[0], WORLD_TARGET_SERVICES);
    scene->target_feeds[0].listed[KIND_SERVICE] = true;
    scene->target_feeds[0].seen[KIND_SERVICE] = scene->targets[0].log_count[KIND_SERVICE];
    assert_quiet(scene);
}

/* A mirror has one name: the hostname of one service, or another service, may have it already. */
static void a_hostname_leads_to_its_own_mirror_only(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_target(scene, 0, "shop/more v=m1 headless p=pg:5432>5432 #~exported=true");
    scene_target_slice(scene, 0, "shop/more-x v=e5 svc=more db-0@10.0.0.7 api@10.0.0.8 more-0@10.0.0.9 p=pg:5432");
    scene_target(scene, 0, "shop/api v=a1 p=http:80>8080 #~exported=true");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/db-east.ipv4"),
                        "shop/db-east.ipv4 owned type=IPv4 db-0@10.96.0.5 !db-1@10.96.0.6 p=pg:5432");
    assert_string_equal(slice_brief(scene, "shop/more-east.ipv4"),
                        "shop/more-east.ipv4 owned type=IPv4 more-0@10.96.0.8 p=pg:5432");
    assert_string_equal(scene_status(scene, "shop/db-east"), "east Mirrored: \n");
    assert_string_equal(scene_status(scene, "shop/more-east"),
                        "east Mirrored: hostname db-0 is not mirrored: Service shop/db-0-east mirrors shop/db of the "
                        "same link\n");
    scene_target_slice(scene, 0, "shop/more-x v=e6 svc=more more-0@10.0.0.9 p=pg:5432");
    scene_settle(scene);
    assert_string_equal(scene_status(scene, "shop/more-east"), "east Mirrored: \n");
}

static void a_hostname_that_cannot_be_mirrored_is_told_of(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0,
                       "shop/db-x v=e1 svc=db x2345678901234567890123456789012345678901234567890123456789@10.0.0.1 "
                       "db-1@10.0.0.2 p=pg:5432");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/db-east.ipv4"),
                        "shop/db-east.ipv4 owned type=IPv4 db-1@10.96.0.4 p=pg:5432");
    assert_string_equal(scene_status(scene, "shop/db-east"),
                        "east Mirrored: hostname x2345678901234567890123456789012345678901234567890123456789 is not "
                        "mirrored: the mirror's name x2345678901234567890123456789012345678901234567890123456789-east "
                        "would have 64 characters, and a Service name has at most 63: shorten the service's or the "
                        "cluster's name\n");
    assert_quiet(scene);
}

/* ---- federated services ---- */

#define MEMBER(version, more) "shop/web v=" version " p=http:80>8080 #~federated=member " more

static void federated_services_are_exact(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7 age=9");
    scene_link(scene, 1, "north gw=203.0.113.8 age=5");
    scene_target(scene, 0, MEMBER("a", "#from=east"));
    scene_target(scene, 1, MEMBER("b", "#from=north @note=n @~gateway-name=x"));
    scene_settle(scene);
    /* The older link's member tells what it looks like. */
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/web-federated"), false),
                        "shop/web-federated #from=north #~mirrored-service=true "
                        "@multicluster.linkerd.io/remote-discovery=web@east,web@north @note=n p=http:80>8080");
    assert_null(scene_service(scene, "shop/web-east"));
    assert_string_equal(scene_status(scene, "shop/web-federated"), "north Mirrored: \neast Mirrored: \n");
    /* The local member comes before all. */
    scene_local(scene, 2);
    scene_target(scene, 2, MEMBER("c", "#from=here"));
    scene_settle(scene);
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/web-federated"), false),
                        "shop/web-federated #from=here #~mirrored-service=true "
                        "@multicluster.linkerd.io/local-discovery=web "
                        "@multicluster.linkerd.io/remote-discovery=web@east,web@north p=http:80>8080");
    assert_quiet(scene);
}

static void a_member_that_cannot_be_read_stays_one(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7");
    scene_target(scene, 0, MEMBER("a", ""));
    scene_settle(scene);
    assert_unreadable_web_keeps(scene, "shop/web-federated");
}

static const char *members(struct scene *scene)
{
    const struct service *service = scene_service(scene, "shop/web-federated");
    if (service == NULL)
        return "none";
    const char *remote = kv_get(&service->meta.annotations, "multicluster.linkerd.io/remote-discovery");
    const char *local = kv_get(&service->meta.annotations, "multicluster.linkerd.io/local-discovery");
    return arena_printf(&scene->arena, "%s+%s", local != NULL ? local : "", remote != NULL ? remote : "");
}

static void federated_membership_is_exact(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7");
    scene_link(scene, 1, "north gw=203.0.113.8");
    scene_local(scene, 2);
    scene_target(scene, 0, MEMBER("a", ""));
    scene_target(scene, 1, MEMBER("b", ""));
    scene_target(scene, 2, MEMBER("c", ""));
    scene_settle(scene);
    assert_string_equal(members(scene), "web+web@east,web@north");
    /* A start at which only one target is listed: nobody leaves. */
    unsigned long writes = scene->writes;
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_string_equal(scene_plan(scene, true), "");
    assert_int_equal(scene_list(scene, &scene->target_feeds[1], KIND_SERVICE), ERR_OK);
    assert_string_equal(scene_plan(scene, true), "");
    scene_settle(scene);
    assert_int_equal(scene->writes, writes);
    /* Leaving by label, by unlinking, by deletion; and while nobody watched. */
    scene_target(scene, 1, "shop/web v=b2 p=http:80>8080");
    scene_settle(scene);
    assert_string_equal(members(scene), "web+web@east");
    scene_delete(&scene->targets[2], KIND_SERVICE, "shop/web");
    scene_settle(scene);
    assert_string_equal(members(scene), "+web@east");
    scene_target(scene, 1, MEMBER("b3", ""));
    scene_settle(scene);
    assert_string_equal(members(scene), "+web@east,web@north");
    scene_unlink(scene, 0);
    scene_settle(scene);
    assert_string_equal(members(scene), "+web@north");
    scene_delete(&scene->targets[1], KIND_SERVICE, "shop/web");
    scene_restart(scene);
    scene_settle(scene);
    assert_string_equal(members(scene), "none");
}

static void a_member_that_is_drained_leaves_unless_it_is_the_last(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7 age=1");
    scene_link(scene, 1, "north gw=203.0.113.8 age=2");
    scene_target(scene, 0, MEMBER("a", ""));
    scene_target(scene, 1, MEMBER("b", ""));
    scene_settle(scene);
    const char *uid = arena_strdup(&scene->arena, scene_service(scene, "shop/web-federated")->meta.uid);
    scene_link(scene, 0, "east gw=203.0.113.7 age=1 drain");
    scene_settle(scene);
    assert_string_equal(members(scene), "+web@north");
    assert_string_equal(scene_status(scene, "shop/web-federated"),
                        "east Draining: draining: annotation svcmirror.io/drain is set\nnorth Mirrored: \n");
    scene_link(scene, 1, "north gw=203.0.113.8 age=2 drain");
    scene_settle(scene);
    assert_string_equal(members(scene), "+web@east,web@north");
    assert_string_equal(scene_service(scene, "shop/web-federated")->meta.uid, uid);
}

/* At a start the drained member is heard of before the other one: it does not come back for the moment. */
static void a_drained_member_does_not_come_back_at_a_start(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7 age=1 drain");
    scene_link(scene, 1, "north gw=203.0.113.8 age=2");
    scene_target(scene, 0, MEMBER("a", ""));
    scene_target(scene, 1, MEMBER("b", ""));
    scene_settle(scene);
    assert_string_equal(members(scene), "+web@north");
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    assert_string_equal(scene_plan_of(scene, "shop/web-federated", true), "");
    /* The other one is not there any more: now it comes. */
    scene_delete(&scene->targets[1], KIND_SERVICE, "shop/web");
    scene_settle(scene);
    assert_string_equal(members(scene), "+web@east");
}

static void a_service_goes_before_a_hostname(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_target(scene, 0, "shop/db-0 v=1 p=pg:5432>5432 #~exported=true");
    scene_settle(scene);
    assert_null(
        kv_get(&scene_service(scene, "shop/db-0-east")->meta.labels, "mirror.linkerd.io/headless-mirror-svc-name"));
    assert_non_null(scene_service(scene, "shop/db-1-east"));
}

static void what_cannot_join_is_told(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7");
    scene_link(scene, 1, "north gw=203.0.113.8");
    scene_target(scene, 0, MEMBER("a", "headless"));
    scene_target(scene, 1, MEMBER("b", ""));
    scene_settle(scene);
    assert_string_equal(members(scene), "+web@north");
    assert_string_equal(scene_status(scene, "shop/web-federated"),
                        "east InvalidService: Headless service cannot join federated service\nnorth Mirrored: \n");
    /* A user's Service of that name is not taken. */
    scene_delete(&scene->source, KIND_SERVICE, "shop/web-federated");
    scene_source(scene, "shop/web-federated p=1 selector");
    world_set_foreign(world_find_mirror(scene->world, "shop/web-federated"), true);
    scene_hear(scene);
    assert_string_equal(scene_plan_of(scene, "shop/web-federated", true), "");
    assert_string_equal(scene_status(scene, "shop/web-federated"),
                        "east InvalidService: Headless service cannot join federated service\nnorth NameCollision: "
                        "Service shop/web-federated exists and is not a federated service: rename or remove it\n");
}

/* What stands in the way of the Service is told to every member. */
static void members_share_what_stands_in_their_way(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7");
    scene_link(scene, 1, "north gw=203.0.113.8");
    scene_target(scene, 0, "lost/web v=a p=http:80>8080 #~federated=member");
    scene_target(scene, 1, "lost/web v=b p=http:80>8080 #~federated=member");
    scene_settle(scene);
    assert_string_equal(scene_status(scene, "lost/web-federated"),
                        "east MissingNamespace: Namespace does not exist\n"
                        "north MissingNamespace: Namespace does not exist\n");
}

/* What Linkerd made is taken over: a member of a link that is not known yet stays, one of none does not. */
static void linkerds_federated_services_are_taken_over(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7");
    scene_target(scene, 0, MEMBER("a", ""));
    scene_links_complete(scene, false);
    scene_source(scene, "shop/web-federated p=http:80>8080 #~mirrored-service=true "
                        "@multicluster.linkerd.io/remote-discovery=web@south,web@east");
    scene_settle(scene);
    assert_string_equal(members(scene), "+web@east,web@south");
    scene_links_complete(scene, true);
    scene_settle(scene);
    assert_string_equal(members(scene), "+web@east");
}

/* ---- finer exports ---- */

static void exports_may_be_finer(void **state)
{
    static const struct {
        const char *annotations, *key, *words, *status; /* key NULL: not exported here */
    } CASES[] = {
        {"@svcmirror.io/export-ports=dns,80", "shop/web-east", "p=dns:53>53/UDP p=http:80>8080", "Mirrored: "},
        {"@svcmirror.io/export-ports=8080", "shop/web-east", NULL,
         "InvalidService: annotation svcmirror.io/export-ports names \"8080\", which is no port of the service"},
        {"@svcmirror.io/export-ports=,", "shop/web-east", NULL,
         "InvalidService: annotation svcmirror.io/export-ports names no port"},
        {"@svcmirror.io/export-to=north,west", "shop/web-east", "p=dns:53>53/UDP p=http:80>8080 p=x:9>9", "Mirrored: "},
        {"@svcmirror.io/export-to=north,we", NULL, NULL, NULL},
        {"@svcmirror.io/export-name=checkout", "shop/checkout", "p=dns:53>53/UDP p=http:80>8080 p=x:9>9", "Mirrored: "},
        {"@svcmirror.io/export-namespace=l5d-mc", "l5d-mc/web-east", "p=dns:53>53/UDP p=http:80>8080 p=x:9>9",
         "Mirrored: "},
        {"@svcmirror.io/export-name=Bad_Name", "shop/Bad_Name", NULL,
         "InvalidService: the mirror's name Bad_Name is not a valid Service name"},
        {"@svcmirror.io/export-namespace=Bad_Name", "Bad_Name/web-east", NULL,
         "InvalidService: annotation svcmirror.io/export-namespace \"Bad_Name\" is not a name of a namespace"},
    };
    struct scene *scene = *state;
    scene_link(scene, 0, LINK " allow=l5d-mc");
    scene_target_slice(scene, 0, WEB_SLICE);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        scene_target(scene, 0, "shop/web v=s%zu p=dns:53>53/UDP p=http:80>8080 p=x:9>9 #~exported=true %s", i,
                     CASES[i].annotations);
        scene_settle(scene);
        const char *key = CASES[i].key;
        assert_int_equal(scene_count(&scene->source, KIND_SERVICE), CASES[i].words != NULL ? 2 : 1);
        if (key != NULL)
            assert_string_equal(scene_status(scene, key), arena_printf(&scene->arena, "east %s\n", CASES[i].status));
        if (CASES[i].words != NULL)
            assert_string_equal(service_words(&scene->arena, scene_service(scene, key), true),
                                arena_printf(&scene->arena, "%s %s", key, CASES[i].words));
    }
}

static void session_affinity_comes_along(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_target(scene, 0, WEB " v=s2 affinity=600");
    scene_settle(scene);
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/web-east"), true),
                        "shop/web-east affinity=600 p=http:80>8080");
    scene_target(scene, 0, WEB " v=s3");
    scene_settle(scene);
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/web-east"), true),
                        "shop/web-east p=http:80>8080");
}

static void of_two_exports_with_one_name_one_has_it(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_target(scene, 0, "shop/api v=1 p=80 #~exported=true @svcmirror.io/export-name=web-east");
    scene_settle(scene);
    assert_string_equal(
        scene_status(scene, "shop/web-east"),
        "east NameCollision: Service shop/web-east mirrors shop/api of the same link\neast Mirrored: the "
        "exported service has no ready endpoint\n");
}

/* ---- draining ---- */

static void draining_makes_endpoints_unready_and_back(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_secret(scene, 1, "north");
    scene_target(scene, 1, GATEWAY);
    scene_target(scene, 1, QOTM);
    scene_settle(scene);
    scene_link(scene, 0, LINK " drain");
    scene_target(scene, 1, GATEWAY " v=g2 @svcmirror.io/drain=true");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 !203.0.113.7 p=http:4143");
    assert_string_equal(scene_status(scene, "shop/web-east"),
                        "east Mirrored: draining: annotation svcmirror.io/drain is set\n");
    assert_string_equal(slice_brief(scene, "shop/qotm-north.ipv4"),
                        "shop/qotm-north.ipv4 owned type=IPv4 !203.0.113.7 p=http:4143");
    /* The gateway itself is alive. */
    assert_string_equal(slice_brief(scene, "l5d-mc/probe-link0.ipv4"),
                        "l5d-mc/probe-link0.ipv4 owned type=IPv4 203.0.113.7 p=mc-probe:4191");
    scene_link(scene, 0, LINK);
    scene_target(scene, 1, GATEWAY " v=g3");
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
    assert_string_equal(slice_brief(scene, "shop/qotm-north.ipv4"),
                        "shop/qotm-north.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
}

/* ---- what cannot be mirrored ---- */

static void invalid_services_have_a_reason_and_no_mirror(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    static const struct {
        const char *service, *mirror, *status;
    } CASES[] = {
        {"shop/web v=1 #~exported=true", "shop/web-east", "object spec has no exposed ports"},
        {"shop/web v=2 p=80 external #~exported=true", "shop/web-east",
         "a service of type ExternalName cannot be mirrored"},
        {"shop/web v=3 p=80 #~exported=true #~mirrored-service=true", "shop/web-east",
         "the exported service is itself a mirror: export the original from its own cluster"},
        {"shop/x23456789012345678901234567890123456789012345678901234567 v=1 p=80 #~exported=true",
         "shop/x23456789012345678901234567890123456789012345678901234567-east", NULL},
        {"shop/x234567890123456789012345678901234567890123456789012345678 v=1 p=80 #~exported=true",
         "shop/x234567890123456789012345678901234567890123456789012345678-east", NULL},
        {"shop/x2345678901234567890123456789012345678901234567890123456789 v=1 p=80 #~exported=true",
         "shop/x2345678901234567890123456789012345678901234567890123456789-east",
         "the mirror's name x2345678901234567890123456789012345678901234567890123456789-east would have 64 characters, "
         "and a Service name has at most 63: shorten the service's or the cluster's name"},
        {"shop/1web v=1 p=80 #~exported=true", "shop/1web-east", NULL}, /* as Kubernetes 1.36 takes it */
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        scene_target(scene, 0, "%s", CASES[i].service);
        scene_settle(scene);
        assert_string_equal(scene_status(scene, CASES[i].mirror),
                            CASES[i].status == NULL
                                ? "east Mirrored: the exported service has no ready endpoint\n"
                                : arena_printf(&scene->arena, "east InvalidService: %s\n", CASES[i].status));
        assert_int_equal(scene_service(scene, CASES[i].mirror) != NULL, CASES[i].status == NULL);
    }
}

static void a_mirror_goes_when_its_service_becomes_invalid_and_comes_back(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_settle(scene);
    static const char *const invalid[] = {"shop/web v=9 #~exported=true", "shop/web v=8 p=80 external #~exported=true"};
    for (size_t i = 0; i < ARRAY_COUNT(invalid); i++) {
        scene_target(scene, 0, "%s", invalid[i]);
        scene_settle(scene);
        assert_null(scene_service(scene, "shop/web-east"));
        scene_target(scene, 0, "shop/web v=%zu p=80 #~exported=true", i + 20);
        scene_settle(scene);
        assert_non_null(scene_slice(scene, "shop/web-east.ipv4"));
    }
}

/* 2.8's annotations are free text; what becomes a label must be one. */
static void a_gateway_name_that_is_none_is_refused(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    static const char *const annotations[] = {
        "@~gateway-name=a%b @~gateway-ns=ns",
        "@~gateway-name=gw @~gateway-ns=n/s",
        "@~gateway-name=g/w @~gateway-ns=ns",
        "@~gateway-name=x234567890123456789012345678901234567890123456789012345678901234 @~gateway-ns=ns",
    };
    for (size_t i = 0; i < ARRAY_COUNT(annotations); i++) {
        scene_target(scene, 0, "shop/qotm v=%zu p=80 %s", i, annotations[i]);
        scene_settle(scene);
        const char *status = scene_status(scene, "shop/qotm-east");
        if (strstr(status, "east InvalidService: annotations mirror.linkerd.io/gateway-name") == NULL)
            fail_msg("%s: %s", annotations[i], status);
        assert_null(scene_service(scene, "shop/qotm-east"));
    }
    scene_target(scene, 0, GATEWAY);
    scene_target(scene, 0, QOTM);
    scene_settle(scene);
    assert_string_equal(scene_status(scene, "shop/qotm-east"), "east Mirrored: \n");
}

static void a_headless_service_has_an_ordinary_mirror(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB " headless");
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_settle(scene);
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/web-east"), true),
                        "shop/web-east p=http:80>8080");
    /* A headless mirror that Linkerd made is replaced when it is not to be one: clusterIP cannot be changed. */
    scene_target(scene, 0, WEB " v=s2 headless @svcmirror.io/headless=false");
    scene_delete(&scene->source, KIND_SERVICE, "shop/web-east");
    scene_source(scene, "shop/web-east headless p=http:80>8080 #~mirrored-service=true #~cluster-name=east");
    scene_settle(scene);
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/web-east"), true),
                        "shop/web-east p=http:80>8080");
    assert_non_null(scene_slice(scene, "shop/web-east.ipv4"));
}

/* ---- namespaces ---- */

static void missing_namespaces_are_made_where_asked(void **state)
{
    struct scene *scene = *state;
    static const struct {
        bool secret, for_secrets, for_links, made;
    } CASES[] = {
        {true, true, false, true},  {true, false, true, false}, {false, true, false, false},
        {false, false, true, true}, {true, true, true, true},   {false, false, false, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char namespace[32], key[64];
        (void)snprintf(namespace, sizeof(namespace), "ns%zu", i);
        (void)snprintf(key, sizeof(key), "ns%zu/web-east", i);
        scene->config.create_namespaces_for_secrets = CASES[i].for_secrets;
        scene->config.create_namespaces_for_links = CASES[i].for_links;
        scene_restart(scene);
        if (CASES[i].secret)
            scene_secret(scene, 0, "east");
        else
            scene_link(scene, 0, LINK);
        scene_target(scene, 0, "%s/web v=1 p=80 #~exported=true " EXPORTED, namespace);
        scene_hear(scene);
        assert_string_equal(scene_plan_of(scene, key, false),
                            CASES[i].made ? arena_printf(&scene->arena,
                                                         "create Namespace %s ~cluster-name=east "
                                                         "~mirrored-service=true\n",
                                                         namespace)
                                          : "");
        scene_settle(scene);
        assert_int_equal(scene_service(scene, key) != NULL, CASES[i].made);
        if (CASES[i].made)
            continue;
        assert_string_equal(scene_status(scene, key), "east MissingNamespace: Namespace does not exist\n");
        /* One that appears is filled at once. */
        scene_namespace(scene, arena_printf(&scene->arena, "/%s", namespace));
        scene_settle(scene);
        assert_non_null(scene_service(scene, key));
    }
}

static void a_namespace_that_goes_is_left_alone(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene);
    scene_settle(scene);
    scene_namespace(scene, "/shop terminating");
    scene_delete(&scene->source, KIND_SERVICE, "shop/qotm-east");
    scene_settle(scene);
    assert_string_equal(scene_status(scene, "shop/qotm-east"), "east MissingNamespace: Namespace is being deleted\n");
    scene_delete(&scene->source, KIND_NAMESPACE, "shop");
    scene_settle(scene);
    /* 2.8 makes it again: the service is still exported. */
    assert_non_null(scene_slice(scene, "shop/qotm-east.ipv4"));
    /* The gateway mirrors' own namespace is nobody's to make. */
    scene_delete(&scene->source, KIND_NAMESPACE, "l5d-mc");
    scene_settle(scene);
    assert_string_equal(scene_status(scene, "l5d-mc/ambassador-east"),
                        "east MissingNamespace: Namespace does not exist\n");
}

static void where_namespaces_cannot_be_read_the_write_tells(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    assert_int_equal(scene_list(scene, &scene->source_feed, KIND_SERVICE), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->source_feed, KIND_SLICE), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true), "");
    world_set_unavailable(scene->world, NULL, WORLD_SOURCE_NAMESPACES);
    assert_string_equal(scene_plan(scene, true), "create Service l5d-mc/probe-link0 p=mc-probe:4191>4191\n"
                                                 "create Service shop/web-east p=http:80>8080\n");
}

/* ---- whose name is it ---- */

static void a_users_service_is_never_touched(void **state)
{
    struct scene *scene = *state;
    static const char *const users[] = {
        "shop/web-east p=1 selector",                                    /* plain: not even in the view */
        "shop/web-east p=1 #~mirrored-service=true",                     /* no cluster: not one of ours */
        "shop/web-east p=1 #~mirrored-service=true #~cluster-name=west", /* of a cluster we know nothing of */
    };
    begin_link(scene);
    for (size_t i = 0; i < ARRAY_COUNT(users); i++) {
        scene_settle(scene);
        scene_delete(&scene->source, KIND_SERVICE, "shop/web-east");
        scene_source(scene, "%s", users[i]);
        unsigned long writes = scene->writes;
        scene_settle(scene);
        assert_int_equal(scene->writes, writes);
        assert_string_equal(scene_status(scene, "shop/web-east"),
                            "east NameCollision: Service shop/web-east exists and is not a mirror of cluster east: "
                            "rename or remove it\n");
        /* The export ends: still not ours. */
        scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
        scene_settle(scene);
        assert_int_equal(scene->writes, writes);
        assert_non_null(scene_service(scene, "shop/web-east"));
        /* It begins again, and the name is free. */
        scene_target(scene, 0, "shop/web v=again%zu p=http:80>8080 #~exported=true", i);
        scene_settle(scene);
        assert_int_equal(scene->writes, writes);
        scene_delete(&scene->source, KIND_SERVICE, "shop/web-east");
        struct mirror *mirror = world_find_mirror(scene->world, "shop/web-east");
        world_set_foreign(mirror, false); /* the writer looks from time to time */
        scene_settle(scene);
        assert_non_null(scene_slice(scene, "shop/web-east.ipv4"));
    }
}

/* What was learnt of a name is forgotten with the wish for it, or the next wish would never look again. */
static void a_foreign_name_is_asked_for_anew_after_an_unexport(void **state)
{
    struct scene *scene = *state;
    scene_source(scene, "shop/web-east p=1");
    begin_link(scene);
    scene_settle(scene);
    assert_true(mirror_is_foreign(world_find_mirror(scene->world, "shop/web-east")));
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    scene_settle(scene);
    assert_null(world_find_mirror(scene->world, "shop/web-east"));
    scene_delete(&scene->source, KIND_SERVICE, "shop/web-east");
    scene_target(scene, 0, WEB);
    scene_settle(scene);
    assert_non_null(scene_slice(scene, "shop/web-east.ipv4"));
}

static void a_mirror_that_linkerd_made_is_adopted(void **state)
{
    struct scene *scene = *state;
    scene->verdict = WORLD_LIVENESS_UNKNOWN;
    scene_source(scene, "shop/web-east uid=old v=m1 p=http:80>8080 #~mirrored-service=true #~cluster-name=east "
                        "@~remote-resource-version=0 @~remote-svc-fq-name=web.shop.svc.cluster.local");
    /* The slice that Kubernetes made of Linkerd's Endpoints: ready, and not ours. */
    scene_source_slice(scene, "shop/web-east-abc svc=web-east managed=endpointslicemirroring-controller.k8s.io "
                              "#~mirrored-service=true #~cluster-name=east 203.0.113.7 p=http:4143");
    begin_link(scene);
    scene_settle(scene);
    assert_string_equal(scene_service(scene, "shop/web-east")->meta.uid, "old");
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 203.0.113.7 p=http:4143");
    assert_non_null(scene_slice(scene, "shop/web-east-abc"));
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/web-east"));
    assert_non_null(scene_slice(scene, "shop/web-east-abc")); /* goes with its Endpoints */
}

/* "a" of cluster "b-c" and "a-b" of cluster "c" want the same name. */
static void the_oldest_of_two_links_has_the_name(void **state)
{
    struct scene *scene = *state;
    static const char older[] = "b-c gw=203.0.113.1 probe=4191 age=1", younger[] = "c gw=203.0.113.2 probe=4191 age=2";
    for (int younger_first = 0; younger_first < 2; younger_first++) {
        scene_target(scene, 0, "shop/a v=1 p=80 #~exported=true");
        scene_target(scene, 1, "shop/a-b v=1 p=81 #~exported=true");
        if (younger_first) {
            scene_link(scene, 1, younger);
            scene_settle(scene);
            assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/a-b-c"), true),
                                "shop/a-b-c p=81");
            scene_link(scene, 0, older);
        } else {
            scene_link(scene, 0, older);
            scene_settle(scene);
            scene_link(scene, 1, younger);
        }
        scene_settle(scene);
        assert_string_equal(scene_status(scene, "shop/a-b-c"),
                            "c NameCollision: Service shop/a-b-c mirrors cluster b-c, whose link link0 is older\n"
                            "b-c Mirrored: the exported service has no ready endpoint\n");
        assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/a-b-c"), true), "shop/a-b-c p=80");
        scene_unlink(scene, 0);
        scene_unlink(scene, 1);
        scene_settle(scene);
        assert_string_equal(scene_dump(scene, true), "");
    }
}

static void the_younger_link_inherits_the_name(void **state)
{
    struct scene *scene = *state;
    for (int way = 0; way < 3; way++) {
        scene_link(scene, 0, "b-c gw=203.0.113.1 probe=4191 age=1");
        scene_link(scene, 1, "c gw=203.0.113.2 probe=4191 age=2");
        scene_target(scene, 0, "shop/a v=1%d p=80 #~exported=true", way);
        scene_target(scene, 1, "shop/a-b v=1%d p=81 #~exported=true", way);
        scene_settle(scene);
        assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/a-b-c"), true), "shop/a-b-c p=80");
        if (way == 0)
            scene_delete(&scene->targets[0], KIND_SERVICE, "shop/a");
        else if (way == 1)
            scene_unlink(scene, 0);
        else
            scene_target(scene, 0, "shop/a v=20 #~exported=true"); /* invalid now */
        scene_settle(scene);
        assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/a-b-c"), true), "shop/a-b-c p=81");
        assert_true(kv_has(&scene_service(scene, "shop/a-b-c")->meta.labels, "mirror.linkerd.io/cluster-name", "c"));
    }
}

/* The same, with the older one's end not seen by anybody. */
static void the_younger_link_inherits_the_name_after_a_restart(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "b-c gw=203.0.113.1 probe=4191 age=1");
    scene_link(scene, 1, "c gw=203.0.113.2 probe=4191 age=2");
    scene_target(scene, 0, "shop/a v=1 p=80 #~exported=true");
    scene_target(scene, 1, "shop/a-b v=1 p=81 #~exported=true");
    scene_settle(scene);
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/a");
    scene_restart(scene);
    /* The younger one's target is listed first: the name may still be the older one's. */
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[1], KIND_SERVICE), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[1], KIND_SLICE), ERR_OK);
    assert_string_equal(scene_plan(scene, true), "");
    scene_settle(scene);
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/a-b-c"), true), "shop/a-b-c p=81");
}

static void age_may_change(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "b-c gw=203.0.113.1 age=1");
    scene_link(scene, 1, "c gw=203.0.113.2 age=2");
    scene_target(scene, 0, "shop/a v=1 p=80 #~exported=true");
    scene_target(scene, 1, "shop/a-b v=1 p=81 #~exported=true");
    scene_settle(scene);
    /* Deleted and made anew between two looks: the same name, but younger. */
    scene_link(scene, 0, "b-c gw=203.0.113.1 age=3");
    scene_settle(scene);
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/a-b-c"), true), "shop/a-b-c p=81");
}

/* Two gateways of one name in different namespaces: 2.8 gives both mirrors one name. */
static void of_two_gateways_of_one_name_the_first_by_namespace_is_shown(void **state)
{
    struct scene *scene = *state;
    for (int order = 0; order < 2; order++) {
        scene_secret(scene, 0, "east");
        for (int i = 0; i < 2; i++)
            scene_target(scene, 0,
                         "ns%d/gw v=%d%d lb=203.0.113.%d p=mc-gateway:4143 p=mc-probe:80%d @~probe-path=/x "
                         "@~multicluster-gateway=true",
                         order == 0 ? i : 1 - i, order, i, order == 0 ? i : 1 - i, order == 0 ? i : 1 - i);
        scene_restart(scene);
        for (enum object_kind kind = 0; kind < KINDS; kind++)
            assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
        /* As events, in their order. */
        world_begin(scene->world, scene->links[0], WORLD_TARGET_SERVICES);
        world_end(scene->world, scene->links[0], WORLD_TARGET_SERVICES);
        scene->target_feeds[0].listed[KIND_SERVICE] = true;
        scene_settle(scene);
        assert_string_equal(service_words(&scene->arena, scene_service(scene, "l5d-mc/gw-east"), true),
                            "l5d-mc/gw-east p=mc-probe:800>800");
        assert_non_null(strstr(scene_status(scene, "l5d-mc/gw-east"), "NameCollision"));
        scene_delete(&scene->targets[0], KIND_SERVICE, "ns0/gw");
        scene_settle(scene);
        assert_string_equal(service_words(&scene->arena, scene_service(scene, "l5d-mc/gw-east"), true),
                            "l5d-mc/gw-east p=mc-probe:801>801");
        scene_delete(&scene->targets[0], KIND_SERVICE, "ns1/gw");
        scene_unlink(scene, 0);
        scene_settle(scene);
    }
}

static void a_gateway_mirror_goes_before_a_mirror_of_the_name(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene);
    scene_target(scene, 0, "l5d-mc/ambassador v=1 p=80 " EXPORTED);
    scene_settle(scene);
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "l5d-mc/ambassador-east"), true),
                        "l5d-mc/ambassador-east p=mc-probe:80>80");
}

/* ---- links come and go ---- */

static void a_link_that_goes_takes_its_mirrors(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_secret(scene, 1, "west");
    scene_target(scene, 1, GATEWAY);
    scene_target(scene, 1, QOTM);
    scene_links_complete(scene, false); /* it was seen to go: no need to know all others */
    scene_settle(scene);
    scene_unlink(scene, 0);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true),
                        "Service l5d-mc/ambassador-west p=mc-probe:80>80\n"
                        "Service shop/qotm-west p=http:80>5000\n"
                        "EndpointSlice l5d-mc/ambassador-west.ipv4 owned type=IPv4 203.0.113.7 p=mc-probe:80\n"
                        "EndpointSlice shop/qotm-west.ipv4 owned type=IPv4 203.0.113.7 p=http:4143\n");
    scene_unlink(scene, 1);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "");
}

static void orphans_go_only_when_it_is_certain_that_nobody_accounts_for_them(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *service;
        bool complete, goes;
    } CASES[] = {
        {"#~cluster-name=gone ours", true, true},
        {"#~cluster-name=gone ours", false, false}, /* a link may be unknown or unreadable yet */
        {"#~cluster-name=gone", true, false},       /* made by others: reported, not removed */
        {"#~cluster-name=east", true, true},        /* a cluster of ours: adopted and no longer exported */
        {"#~cluster-name=east ours", false, true},
        {"ours", true, true}, /* of no cluster any more */
        {"ours", false, false},
        {"", true, false}, /* somebody's label */
        {"ours @multicluster.linkerd.io/remote-discovery=web@gone", true, true},
        {"ours @multicluster.linkerd.io/remote-discovery=web@gone", false, false},
        {"@multicluster.linkerd.io/remote-discovery=web@gone", true, false},
        {"@multicluster.linkerd.io/remote-discovery=web@east", true, true},
        {"#~cluster-name=east deleting", true, false}, /* on its way already */
        {"#~cluster-name=east #multicluster.linkerd.io/remote-discovery=east", true, true},
        {"#~cluster-name=east #~headless-mirror-svc-name=db-east", true, true},
        {"#~cluster-name=east #~mirrored-gateway=true", true, false}, /* of Linkerd's chart */
        {"#~cluster-name=east #~mirrored-gateway=true ours", true, true},
    };
    scene_link(scene, 0, LINK);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        scene_links_complete(scene, CASES[i].complete);
        scene_source(scene, "shop/orphan uid=u%zu p=80 #~mirrored-service=true %s", i, CASES[i].service);
        scene_settle(scene);
        if ((scene_service(scene, "shop/orphan") == NULL) != CASES[i].goes)
            fail_msg("%s", CASES[i].service);
        scene_delete(&scene->source, KIND_SERVICE, "shop/orphan");
    }
}

static void slices_without_a_service_go_unless_the_garbage_collector_does_it(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene->without_collector = true;
    scene_source_slice(scene, "shop/lost.ipv4 svc=lost managed=svcmirror #~mirrored-service=true 203.0.113.7");
    scene_source_slice(scene,
                       "shop/owned.ipv4 owner=u9 svc=owned managed=svcmirror #~mirrored-service=true 203.0.113.7");
    scene_source_slice(scene, "shop/others svc=others managed=x #~mirrored-service=true 203.0.113.7");
    /* One that was relabelled by hand belongs to a Service that is still there: nobody else would mend it. */
    scene_target(scene, 0, WEB);
    scene_settle(scene);
    scene_source_slice(scene, "shop/web-east.ipv4 owner=%s svc=elsewhere managed=svcmirror #~mirrored-service=true",
                       scene_service(scene, "shop/web-east")->meta.uid);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/lost.ipv4"), "none");
    assert_string_equal(slice_brief(scene, "shop/owned.ipv4"), "shop/owned.ipv4 owned type=IPv4 203.0.113.7");
    assert_string_equal(slice_brief(scene, "shop/others"), "shop/others owned type=IPv4 203.0.113.7");
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"), "shop/web-east.ipv4 owned type=IPv4 p=http:4143");
    assert_string_equal(scene_slice(scene, "shop/web-east.ipv4")->service_name, "web-east");
}

static void a_target_may_be_renamed(void **state)
{
    struct scene *scene = *state;
    scene_links_complete(scene, false); /* that the old name is nobody's is known all the same */
    begin_link(scene);
    scene_settle(scene);
    scene_link(scene, 0, "west gw=203.0.113.7 identity=gw.id probe=4191");
    scene_settle(scene);
    const char *renamed = scene_dump(scene, false);
    scene_unlink(scene, 0);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), "");
    scene_link(scene, 0, "west gw=203.0.113.7 identity=gw.id probe=4191");
    scene_settle(scene);
    assert_string_equal(renamed, scene_dump(scene, false));
    /* And a 2.8 Secret, whose gateways' mirrors have the cluster in their names. */
    scene_secret(scene, 1, "north");
    scene_target(scene, 1, GATEWAY);
    scene_target(scene, 1, QOTM);
    scene_settle(scene);
    scene_secret(scene, 1, "south");
    scene_settle(scene);
    assert_null(scene_service(scene, "l5d-mc/ambassador-north"));
    assert_null(scene_service(scene, "shop/qotm-north"));
    assert_non_null(scene_slice(scene, "l5d-mc/ambassador-south.ipv4"));
    assert_non_null(scene_slice(scene, "shop/qotm-south.ipv4"));
}

static void a_changed_link_changes_what_changed(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_target(scene, 0, "shop/api v=2 p=80 #~exported=true #team=a @note=x");
    scene_settle(scene);
    unsigned long writes = scene->writes;
    scene_link(scene, 0, LINK " domain=other.local");
    scene_settle(scene);
    assert_int_equal(scene->writes - writes, 4); /* both Services and both slices; not the gateway mirror */
    writes = scene->writes;
    scene_link(scene, 0, LINK " domain=other.local -#team");
    scene_settle(scene);
    assert_int_equal(scene->writes - writes, 2);
    assert_null(kv_get(&scene_service(scene, "shop/api-east")->meta.labels, "team"));
    writes = scene->writes;
    scene_link(scene, 0, LINK " domain=other.local -#team -note");
    scene_settle(scene);
    assert_int_equal(scene->writes - writes, 1);
    writes = scene->writes;
    scene_link(scene, 0, LINK " domain=other.local -#team -note period=9s");
    scene_settle(scene);
    assert_int_equal(scene->writes - writes, 1); /* the gateway mirror's annotation */
    scene_link(scene, 0, LINK " select=app=x");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true),
                        "Service l5d-mc/probe-link0 p=mc-probe:4191>4191\n"
                        "EndpointSlice l5d-mc/probe-link0.ipv4 owned type=IPv4 203.0.113.7 p=mc-probe:4191\n");
}

/* ---- repair ---- */

static void mirrors_edited_by_hand_are_put_right(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_settle(scene);
    const char *right = scene_dump(scene, false);
    const char *uid = arena_strdup(&scene->arena, scene_service(scene, "shop/web-east")->meta.uid);
    static const char *const services[] = {
        "shop/web-east p=http:80>8080 #~mirrored-service=true #~cluster-name=east",
        "shop/web-east p=http:81>8080 #~mirrored-service=true #~cluster-name=east",
        "shop/web-east p=http:80>8080 p=x:1>1 #~mirrored-service=true #~cluster-name=east #foo=bar",
        "shop/web-east p=http:80>8080 #~mirrored-service=true #~cluster-name=east @~remote-svc-fq-name=evil",
        /* Out of the watch's sight: found when its name turns out to be taken. */
        "shop/web-east p=http:80>8080",
        "shop/web-east p=http:80>8080 #~cluster-name=east",
        /* A cluster that nobody links, and that nobody can account for. */
        "shop/web-east p=http:80>8080 #~mirrored-service=true #~cluster-name=nowhere",
    };
    for (size_t i = 0; i < ARRAY_COUNT(services); i++) {
        scene_source(scene, "%s", services[i]);
        scene_settle(scene);
        assert_string_equal(scene_dump(scene, false), right);
    }
    static const char *const slices[] = {
        "shop/web-east.ipv4 svc=web-east managed=svcmirror #~mirrored-service=true #~cluster-name=east",
        "shop/web-east.ipv4 svc=web-east managed=svcmirror #~mirrored-service=true #~cluster-name=east !203.0.113.7",
        "shop/web-east.ipv4 svc=web-east #~mirrored-service=true 203.0.113.7 203.0.113.8 p=http:4143",
        "shop/web-east.ipv4 svc=web-east managed=svcmirror #~mirrored-service=true 203.0.113.7 p=http:1",
        "shop/web-east.ipv4 svc=web-east managed=svcmirror #~mirrored-service=true type=IPv6 fd00::1 p=http:4143",
        "shop/web-east.ipv4 svc=web-east 203.0.113.7 p=http:4143",
    };
    for (size_t i = 0; i < ARRAY_COUNT(slices); i++) {
        scene_source_slice(scene, "%s owner=%s", slices[i], uid);
        scene_settle(scene);
        assert_string_equal(scene_dump(scene, false), right);
    }
    scene_source_slice(scene,
                       "shop/web-east.extra owner=%s svc=web-east managed=svcmirror #~mirrored-service=true 9.9.9.9",
                       uid);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), right);
    scene_delete(&scene->source, KIND_SLICE, "shop/web-east.ipv4");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), right);
    scene_delete(&scene->source, KIND_SERVICE, "shop/web-east");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), right);
}

static void a_mirror_that_is_being_deleted_is_waited_for(void **state)
{
    struct scene *scene = *state;
    begin_link(scene);
    scene_settle(scene);
    scene_source(scene, "shop/web-east deleting p=1 #~mirrored-service=true #~cluster-name=east");
    scene_hear(scene);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true), "");
    /* However long something holds it, its endpoints follow the gateway; what is gone of it is not made again. */
    scene_verdict(scene, "203.0.113.7", WORLD_DEAD);
    scene_settle(scene);
    assert_string_equal(slice_brief(scene, "shop/web-east.ipv4"),
                        "shop/web-east.ipv4 owned type=IPv4 !203.0.113.7 p=http:4143");
    scene_delete(&scene->source, KIND_SLICE, "shop/web-east.ipv4");
    scene_hear(scene);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true), "");
    scene_delete(&scene->source, KIND_SERVICE, "shop/web-east");
    scene_settle(scene);
    assert_non_null(scene_slice(scene, "shop/web-east.ipv4"));
    scene_source_slice(scene,
                       "shop/web-east.ipv4 deleting owner=%s svc=web-east managed=svcmirror "
                       "#~mirrored-service=true",
                       scene_service(scene, "shop/web-east")->meta.uid);
    scene_hear(scene);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true), "");
}

/* ---- names of verbs ---- */

static void verbs_and_kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(write_verb_name(WRITE_CREATE), "create");
    assert_string_equal(write_verb_name(WRITE_UPDATE), "update");
    assert_string_equal(write_verb_name(WRITE_DELETE), "delete");
    assert_string_equal(write_kind_name(WRITE_NAMESPACE), "Namespace");
    assert_string_equal(write_kind_name(WRITE_SERVICE), "Service");
    assert_string_equal(write_kind_name(WRITE_SLICE), "EndpointSlice");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(linkerd_28_mirrors_are_exact),
        SCENE(mirrors_of_links_are_exact),
        SCENE(a_service_is_planned_before_its_slices),
        SCENE(updates_and_deletes_carry_what_they_are_conditional_on),
        SCENE(a_service_may_be_exported_before_its_gateway_exists),
        SCENE(a_gateway_that_comes_without_an_address_is_waited_for),
        SCENE(a_gateway_is_followed_live),
        SCENE(a_gateway_that_goes_takes_endpoints_and_its_mirror),
        SCENE(a_gateway_that_is_none_any_more_counts_as_gone),
        SCENE(an_exported_service_may_cease_to_be_a_gateway),
        SCENE(services_of_one_target_may_name_different_gateways),
        SCENE(a_service_may_be_exported_through_itself),
        SCENE(host_names_count_once_they_resolve),
        SCENE(both_families_have_a_slice_each),
        SCENE(what_is_no_longer_exported_goes),
        SCENE(what_was_unexported_while_nobody_watched_goes_too),
        SCENE(half_a_listing_moves_nothing),
        SCENE(endpoints_follow_the_verdict_of_each_address),
        SCENE(verdicts_may_be_for_show_only),
        SCENE(a_gateway_without_a_probe_has_no_mirror_and_counts_as_alive),
        SCENE(a_target_without_ready_endpoints_empties_the_mirror),
        SCENE(without_the_right_to_read_slices_the_target_counts_as_ready),
        SCENE(a_link_without_a_usable_gateway_has_mirrors_without_endpoints),
        SCENE(invalid_services_have_a_reason_and_no_mirror),
        SCENE(a_mirror_goes_when_its_service_becomes_invalid_and_comes_back),
        SCENE(a_gateway_name_that_is_none_is_refused),
        SCENE(a_headless_service_has_an_ordinary_mirror),
        SCENE(missing_namespaces_are_made_where_asked),
        SCENE(a_namespace_that_goes_is_left_alone),
        SCENE(where_namespaces_cannot_be_read_the_write_tells),
        SCENE(a_users_service_is_never_touched),
        SCENE(what_leads_traffic_past_a_mirror_is_taken_off),
        SCENE(what_a_selector_left_behind_goes),
        SCENE(a_slice_that_lost_its_labels_gets_them_back),
        SCENE(a_slice_of_somebody_else_is_not_written),
        SCENE(a_mirror_is_told_when_its_endpoints_are_known),
        SCENE(without_the_right_to_read_endpoints_services_count_as_having_some),
        SCENE(an_export_that_cannot_be_read_keeps_its_mirror),
        SCENE(an_address_that_kubernetes_refuses_does_not_block_the_others),
        SCENE(an_update_that_is_undone_for_ever_is_written_ever_more_seldom),
        SCENE(updates_are_told_apart_by_what_they_change),
        SCENE(remote_discovery_mirrors_are_exact),
        SCENE(a_service_changes_its_way_in_place),
        SCENE(headless_mirrors_are_exact),
        SCENE(scaling_a_statefulset_changes_only_what_changed),
        SCENE(headless_mirrors_follow_the_gateway_and_a_restart_moves_nothing),
        SCENE(a_headless_service_without_hostnames_is_like_any_other),
        cmocka_unit_test(unreadable_endpoints_make_nothing_new_and_take_nothing_away),
        SCENE(hostnames_are_followed_again_with_the_right_to_read_them),
        SCENE(a_headless_export_that_cannot_be_read_keeps_its_mirrors),
        SCENE(a_hostname_leads_to_its_own_mirror_only),
        SCENE(a_hostname_that_cannot_be_mirrored_is_told_of),
        SCENE(federated_services_are_exact),
        SCENE(a_member_that_cannot_be_read_stays_one),
        SCENE(federated_membership_is_exact),
        SCENE(a_member_that_is_drained_leaves_unless_it_is_the_last),
        SCENE(a_drained_member_does_not_come_back_at_a_start),
        SCENE(a_service_goes_before_a_hostname),
        SCENE(what_cannot_join_is_told),
        SCENE(members_share_what_stands_in_their_way),
        SCENE(linkerds_federated_services_are_taken_over),
        SCENE(exports_may_be_finer),
        SCENE(of_two_exports_with_one_name_one_has_it),
        SCENE(draining_makes_endpoints_unready_and_back),
        SCENE(linkerds_mirrors_are_taken_over_without_an_unready_moment),
        SCENE(session_affinity_comes_along),
        SCENE(what_others_made_for_unknown_clusters_is_reported_and_goes_on_request),
        SCENE(a_foreign_name_is_asked_for_anew_after_an_unexport),
        SCENE(a_mirror_that_linkerd_made_is_adopted),
        SCENE(the_oldest_of_two_links_has_the_name),
        SCENE(the_younger_link_inherits_the_name),
        SCENE(the_younger_link_inherits_the_name_after_a_restart),
        SCENE(age_may_change),
        SCENE(of_two_gateways_of_one_name_the_first_by_namespace_is_shown),
        SCENE(a_gateway_mirror_goes_before_a_mirror_of_the_name),
        SCENE(a_link_that_goes_takes_its_mirrors),
        SCENE(orphans_go_only_when_it_is_certain_that_nobody_accounts_for_them),
        SCENE(slices_without_a_service_go_unless_the_garbage_collector_does_it),
        SCENE(a_target_may_be_renamed),
        SCENE(a_changed_link_changes_what_changed),
        SCENE(mirrors_edited_by_hand_are_put_right),
        SCENE(a_mirror_that_is_being_deleted_is_waited_for),
        cmocka_unit_test(verbs_and_kinds_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
