/* links: base mirror mirror_fixture.c mirror_scene.c */
/* mirror/plan.c where it is easily got wrong: restarts with a target out of reach, mirrors that others made, and what stands in the way. */
#include "mirror/plan.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/mirror_scene.h"

#define GATEWAY                                                                                                        \
    "ambassador/ambassador v=g1 lb=203.0.113.7 p=mc-gateway:4143>4143 p=mc-probe:80>8080 "                             \
    "@~multicluster-gateway=true @~probe-path=-/ambassador/ready @~probe-period=3 "
#define QOTM "shop/qotm v=s1 p=http:80>5000 @~gateway-name=ambassador @~gateway-ns=ambassador"
#define LINK "east gw=203.0.113.7 identity=gw.id probe=4191"
#define WEB "shop/web v=s1 p=http:80>8080 #~exported=true"
#define WEB_SLICE "shop/web-x1 v=e1 svc=web 10.0.0.1 p=http:8080"
#define DB "shop/db v=d1 headless p=pg:5432>5432 #~exported=true"
#define DB_SLICE "shop/db-x v=e1 svc=db db-0@10.0.0.1 p=pg:5432"
#define MEMBER "shop/web v=s1 p=http:80>8080 #~federated=member"

/* The agent begins anew, and of all targets only `target` can be read. */
static void restart_with(struct scene *scene, int target)
{
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[target], KIND_SERVICE), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[target], KIND_SLICE), ERR_OK);
    scene_probe(scene);
}

/* ---- federated services ---- */

static void a_federated_service_is_not_taken_from_members_out_of_reach(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "north gw=203.0.113.8 federate=~federated=member age=5");
    scene_link(scene, 1, "east gw=203.0.113.7 age=9");
    scene_target(scene, 0, MEMBER);
    scene_target(scene, 1, "shop/x v=s1 p=http:80>8080 #~exported=true @svcmirror.io/export-name=web-federated");
    scene_settle(scene);
    const char *before = scene_dump(scene, false);
    assert_non_null(strstr(before, "web@north"));
    restart_with(scene, 1);
    assert_string_equal(scene_plan(scene, false), "");
    assert_non_null(strstr(scene_status(scene, "shop/web-federated"), "Pending"));
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), before);
}

static void a_drained_member_stays_away_while_the_others_are_out_of_reach(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "north federate=~federated=member drain");
    scene_link(scene, 1, "east federate=~federated=member");
    scene_target(scene, 0, MEMBER);
    scene_target(scene, 1, MEMBER);
    scene_settle(scene);
    const char *before = scene_dump(scene, false);
    assert_non_null(strstr(before, "remote-discovery=web@east "));
    restart_with(scene, 0);
    assert_string_equal(scene_plan(scene, false), "");
    assert_non_null(strstr(scene_status(scene, "shop/web-federated"), "Draining"));
}

static void a_member_is_exported_to_named_clusters_too(void **state)
{
    struct scene *scene = *state;
    scene->config.cluster_name = "west";
    scene_restart(scene);
    scene_link(scene, 0, "east federate=~federated=member");
    scene_target(scene, 0, MEMBER " @svcmirror.io/export-to=north");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/web-federated"));
    scene_target(scene, 0, "shop/web v=s2 p=http:80>8080 #~federated=member @svcmirror.io/export-to=north,west");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/web-federated"));
}

/* ---- mirrors that others made ---- */

static void the_gateway_mirrors_of_linkerd_28_go_with_their_gateway(void **state)
{
    struct scene *scene = *state;
    for (int unlinks = 0; unlinks < 2; unlinks++) {
        scene_source(
            scene,
            "l5d-mc/ambassador-east uid=l%d #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
            "@~mirrored-gateway-probe-path=-/ambassador/ready @~mirrored-gateway-probe-period=3 "
            "@~mirrored-gateway-remote-name=ambassador @~mirrored-gateway-remote-namespace=ambassador "
            "@~remote-gateway-resource-version=g1 p=mc-probe:80>80",
            unlinks);
        scene_secret(scene, 0, "east");
        scene_target(scene, 0, GATEWAY);
        scene_settle(scene);
        assert_non_null(scene_slice(scene, "l5d-mc/ambassador-east.ipv4"));
        if (unlinks)
            scene_unlink(scene, 0);
        else
            scene_delete(&scene->targets[0], KIND_SERVICE, "ambassador/ambassador");
        scene_settle(scene);
        assert_null(scene_service(scene, "l5d-mc/ambassador-east"));
        assert_int_equal(world_count_left(scene->world, "east"), 0);
    }
}

static void what_we_gave_endpoints_is_ours_to_clean_up(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    /* As Linkerd made it, and as it is to be: only the slice is written. */
    scene_source(scene, "shop/web-east uid=l1 p=http:80>8080 #~mirrored-service=true #~cluster-name=east "
                        "@~remote-resource-version=s1 @~remote-svc-fq-name=web.shop.svc.cluster.local");
    scene_settle(scene);
    assert_non_null(scene_slice(scene, "shop/web-east.ipv4"));
    assert_string_equal(scene_service(scene, "shop/web-east")->meta.uid, "l1");
    scene->declarations[0] = NULL; /* deleted while no agent runs */
    scene_restart(scene);
    scene_links_complete(scene, true);
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/web-east"));
}

/* ---- headless services ---- */

static void of_headless_only_while_nothing_else_is_ready(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    assert_true(scene_service(scene, "shop/db-east")->headless);
    assert_non_null(scene_service(scene, "shop/db-0-east"));
    /* Scaled to zero it stays. */
    scene_target_slice(scene, 0, "shop/db-x v=e2 svc=db p=pg:5432");
    scene_settle(scene);
    assert_true(scene_service(scene, "shop/db-east")->headless);
    assert_null(scene_service(scene, "shop/db-0-east"));
    /* A Deployment in the StatefulSet's place has no hostnames. */
    scene_target_slice(scene, 0, "shop/db-x v=e3 svc=db 10.0.0.1 p=pg:5432");
    scene_settle(scene);
    assert_false(scene_service(scene, "shop/db-east")->headless);
    assert_int_equal(scene_slice(scene, "shop/db-east.ipv4")->endpoint_count, 1);
}

static void another_service_does_not_inherit_that_the_mirror_is_headless(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB " @svcmirror.io/export-name=shared");
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    assert_true(scene_service(scene, "shop/shared")->headless);
    scene_delete(&scene->targets[0], KIND_SLICE, "shop/db-x");
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/db");
    scene_target(scene, 0, "shop/other v=o1 headless p=pg:5432>5432 #~exported=true @svcmirror.io/export-name=shared");
    scene_settle(scene);
    assert_false(scene_service(scene, "shop/shared")->headless);
}

static void headless_is_a_matter_of_the_link_too(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/db-0-east"));
    scene_link(scene, 0, LINK " headless=false");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/db-0-east"));
    assert_false(scene_service(scene, "shop/db-east")->headless);
    scene_link(scene, 0, LINK);
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/db-0-east"));
}

static void hostnames_go_when_a_secret_takes_the_links_place(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/db-0-east"));
    scene_secret(scene, 0, "east");
    scene_settle(scene);
    assert_int_equal(scene_count(&scene->source, KIND_SERVICE), 0);
}

static void no_hostname_without_its_service(void **state)
{
    struct scene *scene = *state;
    char name[61];
    memset(name, 'd', 60);
    name[60] = '\0';
    scene_link(scene, 0, LINK);
    /* "<60 characters>-east" is too long, and a label of the hostname's mirror would name it. */
    scene_target(scene, 0, "shop/%s v=d1 headless p=pg:5432>5432 #~exported=true", name);
    scene_target_slice(scene, 0, "shop/db-x v=e1 svc=%s db-0@10.0.0.1 p=pg:5432", name);
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/db-0-east"));
    assert_non_null(strstr(scene_status(scene, "shop/db-0-east"), "InvalidService"));
    assert_non_null(strstr(scene_status(scene, "shop/db-0-east"), "65 characters"));
}

/* Two services whose mirrors have one name: the first by namespace has it. */
static void no_hostname_of_a_service_that_lost_its_name(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB " @svcmirror.io/export-name=shared");
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/db-0-east"));
    scene_target(scene, 0, "shop/app v=a1 p=http:80>8080 #~exported=true @svcmirror.io/export-name=shared");
    scene_settle(scene);
    assert_false(scene_service(scene, "shop/shared")->headless);
    assert_null(scene_service(scene, "shop/db-0-east"));
    assert_string_equal(scene_status(scene, "shop/db-0-east"),
                        "east InvalidService: its service has no mirror: Service shop/shared mirrors shop/app of the "
                        "same link\n");
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/app");
    scene_settle(scene);
    assert_true(scene_service(scene, "shop/shared")->headless);
    assert_non_null(scene_service(scene, "shop/db-0-east"));
}

static void a_hostname_tells_its_ports_are_opaque(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB " @config.linkerd.io/opaque-ports=5432 @other=x");
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    const struct kv_list *annotations = &scene_service(scene, "shop/db-0-east")->meta.annotations;
    assert_true(kv_has(annotations, "config.linkerd.io/opaque-ports", "5432"));
    assert_null(kv_get(annotations, "other"));
}

/* ---- the rest ---- */

static void a_mirror_says_how_it_is_resolved_before_its_endpoints_go(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK " discover=~exported=remote-discovery");
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_settle(scene);
    scene_target(scene, 0, "shop/web v=s2 p=http:80>8080 #~exported=remote-discovery");
    scene_hear(scene);
    const char *plan = scene_plan(scene, true), *slice = strstr(plan, "EndpointSlice");
    assert_non_null(slice);
    assert_true(strstr(plan, "Service shop/web-east") < slice);
}

static void draining_says_where_it_has_no_effect(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK " discover=~exported=remote-discovery drain");
    scene_target(scene, 0, "shop/web v=s2 p=http:80>8080 #~exported=remote-discovery");
    scene_settle(scene);
    assert_non_null(strstr(scene_status(scene, "shop/web-east"), "has no effect"));
}

static void without_a_gateway_port_there_is_no_version_of_it(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_target(scene, 0, "ambassador/ambassador v=g1 lb=203.0.113.7 p=mc-probe:80>8080 @~multicluster-gateway=true");
    scene_target(scene, 0, QOTM);
    scene_settle(scene);
    const char *version = "mirror.linkerd.io/remote-gateway-resource-version";
    assert_null(kv_get(&scene_service(scene, "shop/qotm-east")->meta.annotations, version));
    scene_target(scene, 0,
                 "ambassador/ambassador v=g2 lb=203.0.113.7 p=mc-gateway:4143>4143 @~multicluster-gateway=true");
    scene_settle(scene);
    assert_true(kv_has(&scene_service(scene, "shop/qotm-east")->meta.annotations, version, "g2"));
}

static void what_diverts_traffic_is_taken_off(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_settle(scene);
    static const char *const edits[] = {"nodelocal", "publishing"};
    for (size_t i = 0; i < ARRAY_COUNT(edits); i++) {
        const struct service *service = scene_service(scene, "shop/web-east");
        scene_source(scene,
                     "shop/web-east uid=%s ours p=http:80>8080 #~mirrored-service=true #~cluster-name=east "
                     "@~remote-resource-version=s1 @~remote-svc-fq-name=web.shop.svc.cluster.local %s",
                     service->meta.uid, edits[i]);
        scene_hear(scene);
        assert_non_null(strstr(scene_plan(scene, true), "update Service shop/web-east"));
        scene_settle(scene);
        assert_string_equal(scene_plan(scene, true), "");
    }
}

/* Listed by another selection, nothing may be concluded from what is not there. */
static void after_another_selection_nothing_is_deleted_before_the_next_listing(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_settle(scene);
    scene_link(scene, 0, LINK " select=team=b");
    world_set_unknown(scene->links[0], WORLD_TARGET_SERVICES);
    assert_null(strstr(scene_plan(scene, true), "delete"));
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    assert_non_null(strstr(scene_plan(scene, true), "delete Service shop/web-east"));
}

/* Endpoints in the place of slices: ours stays while Kubernetes has not made its own of the Endpoints, unless it says what is no longer so. */
static void slices_stay_until_kubernetes_has_its_own(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_settle(scene);
    scene->config.write_endpoints = true;
    scene_restart(scene);
    scene_hear(scene);
    world_begin(scene->world, NULL, WORLD_SOURCE_ENDPOINTS);
    world_end(scene->world, NULL, WORLD_SOURCE_ENDPOINTS);
    static const char gone[] = "delete EndpointSlice shop/web-east.ipv4 (Endpoints are written instead)\n";
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true),
                        "create Endpoints shop/web-east owned type=IPv4 203.0.113.7 p=http:4143\n");
    struct arena arena;
    struct plan plan;
    arena_init(&arena, 1 << 20);
    assert_int_equal(plan_mirror(scene->world, world_find_mirror(scene->world, "shop/web-east"), &arena, &plan),
                     ERR_OK);
    struct slice made = *plan.writes[0].slice;
    made.meta.uid = "e1";
    made.meta.resource_version = "1";
    made.meta.made_by_us = true;
    assert_int_equal(world_source_slice(scene->world, WORLD_PUT, &made), ERR_OK);
    arena_done(&arena);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true), "");

    scene_verdict(scene, "203.0.113.7", WORLD_DEAD);
    scene_hear(scene);
    assert_non_null(strstr(scene_plan_of(scene, "shop/web-east", true), gone));
    scene_verdict(scene, "203.0.113.7", WORLD_ALIVE);
    scene_hear(scene);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true), "");

    static const char theirs[] = "shop/web-east-k%u svc=web-east managed=endpointslicemirroring-controller.k8s.io "
                                 "#~mirrored-service=true type=%s %s p=http:4143";
    scene_source_slice(scene, theirs, 1, "IPv4", "!203.0.113.7");
    scene_source_slice(scene, theirs, 2, "IPv6", "fd00::1");
    scene_hear(scene);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true), "");
    scene_source_slice(scene, theirs, 1, "IPv4", "203.0.113.7");
    scene_hear(scene);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true), gone);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(a_federated_service_is_not_taken_from_members_out_of_reach),
        SCENE(a_drained_member_stays_away_while_the_others_are_out_of_reach),
        SCENE(a_member_is_exported_to_named_clusters_too),
        SCENE(the_gateway_mirrors_of_linkerd_28_go_with_their_gateway),
        SCENE(what_we_gave_endpoints_is_ours_to_clean_up),
        SCENE(of_headless_only_while_nothing_else_is_ready),
        SCENE(another_service_does_not_inherit_that_the_mirror_is_headless),
        SCENE(headless_is_a_matter_of_the_link_too),
        SCENE(hostnames_go_when_a_secret_takes_the_links_place),
        SCENE(no_hostname_without_its_service),
        SCENE(no_hostname_of_a_service_that_lost_its_name),
        SCENE(a_hostname_tells_its_ports_are_opaque),
        SCENE(a_mirror_says_how_it_is_resolved_before_its_endpoints_go),
        SCENE(draining_says_where_it_has_no_effect),
        SCENE(without_a_gateway_port_there_is_no_version_of_it),
        SCENE(what_diverts_traffic_is_taken_off),
        SCENE(after_another_selection_nothing_is_deleted_before_the_next_listing),
        SCENE(slices_stay_until_kubernetes_has_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
