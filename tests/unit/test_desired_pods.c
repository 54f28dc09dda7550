/* links: base mirror mirror_fixture.c mirror_scene.c */
/* Mirrors that have the target's own endpoints: mirror/desired_pods.c, and how the world keeps what it needs for them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/plan.h"
#include "mirror/world_internal.h"
#include "tests/unit/mirror_scene.h"

#define LINK "east gw=203.0.113.7 identity=gw.id probe=4191"
#define PODS "@svcmirror.io/endpoints=pods"
#define WEB "shop/web v=s1 p=http:80>8080 #~exported=true"
#define DB "shop/db v=d1 headless p=pg:5432>5432 #~exported=true"
#define SLICE_META(name)                                                                                               \
    " #endpointslice.kubernetes.io/managed-by=svcmirror #kubernetes.io/service-name=" name                             \
    " #~cluster-name=east #~mirrored-service=true"

static void begin(struct scene *scene, const char *link, const char *service)
{
    scene_link(scene, 0, link);
    scene_target(scene, 0, "%s", service);
    scene_target_slice(scene, 0, "shop/web-a v=e1 svc=web 10.0.0.1%%z1 !10.0.0.2 ~10.0.0.3 p=http:8080");
    scene_target_slice(scene, 0, "shop/web-b v=e2 svc=web 10.0.1.1 p=http:8080");
}

static const char *slice_brief(struct scene *scene, const char *key)
{
    const struct slice *slice = scene_slice(scene, key);
    return slice != NULL ? slice_words(&scene->arena, slice, slice->meta.owner_uid, true) : "none";
}

/* The slices of one mirror, in order. */
static const char *slices_of(struct scene *scene, const char *service_name)
{
    const char *text = "";
    struct map *slices = scene->source.objects[KIND_SLICE];
    for (struct map_entry *at = map_first(slices); at != NULL; at = map_next(at)) {
        const struct slice *slice = map_value(at);
        if (strcmp(slice->service_name, service_name) == 0)
            text = arena_printf(&scene->arena, "%s%s\n", text, slice_brief(scene, map_key(at)));
    }
    return text;
}

static void assert_quiet(struct scene *scene)
{
    scene_hear(scene);
    scene_links_complete(scene, false);
    scene_links_complete(scene, true); /* marks all */
    assert_string_equal(scene_plan(scene, true), "");
}

/* Of how many of the target's slices the endpoints are kept. */
static size_t count_kept(const struct scene *scene)
{
    size_t count = 0;
    for (struct map_entry *at = map_first(scene->links[0]->slices); at != NULL; at = map_next(at))
        count += ((const struct target_slice *)map_value(at))->whole != NULL;
    return count;
}

/* ---- golden ---- */

static void slices_are_the_targets_own(void **state)
{
    struct scene *scene = *state;
    begin(scene, LINK " endpoints=pods", WEB " #app=web @note=hi");
    scene_verdict(scene, "203.0.113.7", WORLD_DEAD); /* which is nobody's business here */
    scene_settle(scene);
    assert_string_equal(
        scene_dump(scene, false),
        "Service l5d-mc/probe-link0 #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
        "@~mirrored-gateway-probe-path=/ready @~mirrored-gateway-probe-period=3 p=mc-probe:4191>4191\n"
        "Service shop/web-east #app=web #~cluster-name=east #~mirrored-service=true @~remote-resource-version=s1 "
        "@~remote-svc-fq-name=web.shop.svc.cluster.local @note=hi p=http:80>8080\n"
        "EndpointSlice l5d-mc/probe-link0.ipv4 #endpointslice.kubernetes.io/managed-by=svcmirror "
        "#kubernetes.io/service-name=probe-link0 #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
        "@~remote-gateway-identity=gw.id owned type=IPv4 !203.0.113.7 p=mc-probe:4191\n"
        "EndpointSlice shop/web-east.pods.web-a #app=web" SLICE_META(
            "web-east") " owned type=IPv4 10.0.0.1%z1 !10.0.0.2 ~10.0.0.3 p=http:8080\n"
                        "EndpointSlice shop/web-east.pods.web-b #app=web" SLICE_META(
                            "web-east") " owned type=IPv4 10.0.1.1 p=http:8080\n");
    assert_string_equal(scene_status(scene, "shop/web-east"), "east Mirrored: \n");
    assert_string_equal(plan_mode_name(mirror_first_claim(world_find_mirror(scene->world, "shop/web-east"))), "pods");
    assert_int_equal(world_gateway_service_count(world_first_gateway(scene->links[0])), 0);
    assert_quiet(scene);
}

static void the_service_decides_before_the_link(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *link, *service;
        bool pods;
        const char *status;
    } cases[] = {
        {LINK, WEB, false, "east Mirrored: \n"},
        {LINK, WEB " " PODS, true, "east Mirrored: \n"},
        {LINK " endpoints=pods", WEB, true, "east Mirrored: \n"},
        {LINK " endpoints=gateway", WEB " " PODS, true, "east Mirrored: \n"},
        {LINK " endpoints=pods", WEB " @svcmirror.io/endpoints=gateway", false, "east Mirrored: \n"},
        {LINK, WEB " @svcmirror.io/endpoints=pod", false,
         "east Mirrored: annotation svcmirror.io/endpoints is \"pod\", which is neither gateway nor pods, and is left "
         "out of account\n"},
        {LINK " endpoints=pods", WEB " @svcmirror.io/endpoints=", true,
         "east Mirrored: annotation svcmirror.io/endpoints is \"\", which is neither gateway nor pods, and is left out "
         "of account\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        scene_done(scene);
        scene_init(scene);
        begin(scene, cases[i].link, cases[i].service);
        scene_settle(scene);
        assert_int_equal(scene_slice(scene, "shop/web-east.pods.web-a") != NULL, cases[i].pods);
        assert_int_equal(scene_slice(scene, "shop/web-east.ipv4") != NULL, !cases[i].pods);
        assert_string_equal(scene_status(scene, "shop/web-east"), cases[i].status);
        assert_quiet(scene);
    }
}

static void a_link_by_secret_leads_through_gateways(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_target(scene, 0, "gws/gw lb=203.0.113.7 p=mc-gateway:4143 @~multicluster-gateway=true");
    scene_target(scene, 0, "shop/web p=http:80 @~gateway-name=gw @~gateway-ns=gws " PODS);
    scene_settle(scene);
    assert_non_null(strstr(slice_brief(scene, "shop/web-east.ipv4"), "203.0.113.7"));
    assert_non_null(strstr(scene_status(scene, "shop/web-east"), "has no effect: a link by Secret"));
}

/* Linkerd resolves it in the target; whoever reads slices has the same endpoints here. */
static void remote_discovery_may_have_slices_too(void **state)
{
    struct scene *scene = *state;
    begin(scene, LINK, "shop/web v=s1 p=http:80>8080 #~exported=remote-discovery " PODS);
    scene_settle(scene);
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/web-east"), false),
                        "shop/web-east #~cluster-name=east #~mirrored-service=true "
                        "#multicluster.linkerd.io/remote-discovery=east #multicluster.linkerd.io/remote-service=web "
                        "@~remote-resource-version=s1 @~remote-svc-fq-name=web.shop.svc.cluster.local p=http:80>8080");
    const struct slice *slice = scene_slice(scene, "shop/web-east.pods.web-b");
    assert_string_equal(slice_words(&scene->arena, slice, slice->meta.owner_uid, false),
                        "shop/web-east.pods.web-b" SLICE_META("web-east") " owned type=IPv4 10.0.1.1 p=http:8080");
    assert_string_equal(plan_mode_name(mirror_first_claim(world_find_mirror(scene->world, "shop/web-east"))),
                        "remote-discovery-pods");
    assert_quiet(scene);
    scene_link(scene, 0, LINK " drain");
    scene_settle(scene);
    assert_non_null(strstr(scene_status(scene, "shop/web-east"), "it has no effect on Linkerd"));
    scene_link(scene, 0, LINK);
    /* Without the annotation the slices go, and the Service stays. */
    const char *uid = arena_strdup(&scene->arena, scene_service(scene, "shop/web-east")->meta.uid);
    scene_target(scene, 0, "shop/web v=s2 p=http:80>8080 #~exported=remote-discovery");
    scene_settle(scene);
    assert_string_equal(slices_of(scene, "web-east"), "");
    assert_string_equal(scene_service(scene, "shop/web-east")->meta.uid, uid);
}

/* ---- what the target's slices say ---- */

static void one_pods_change_rewrites_one_slice(void **state)
{
    struct scene *scene = *state;
    begin(scene, LINK, WEB " " PODS);
    scene_settle(scene);
    static const struct {
        const char *slice, *plan;
    } cases[] = {
        {"shop/web-b v=e3 svc=web 10.0.1.1 10.0.1.2 p=http:8080",
         "update EndpointSlice shop/web-east.pods.web-b owned type=IPv4 10.0.1.1 10.0.1.2 p=http:8080\n"},
        {"shop/web-b v=e4 svc=web 10.0.1.1 !10.0.1.2 p=http:8080",
         "update EndpointSlice shop/web-east.pods.web-b owned type=IPv4 10.0.1.1 !10.0.1.2 p=http:8080\n"},
        {"shop/web-b v=e5 svc=web 10.0.1.1 ~10.0.1.2 p=http:8080",
         "update EndpointSlice shop/web-east.pods.web-b owned type=IPv4 10.0.1.1 ~10.0.1.2 p=http:8080\n"},
        {"shop/web-b v=e6 svc=web 10.0.1.1%z2 p=http:8080",
         "update EndpointSlice shop/web-east.pods.web-b owned type=IPv4 10.0.1.1%z2 p=http:8080\n"},
        {"shop/web-b v=e7 svc=web 10.0.1.1%z2 p=http:8081",
         "update EndpointSlice shop/web-east.pods.web-b owned type=IPv4 10.0.1.1%z2 p=http:8081\n"},
        {"shop/web-b v=e8 svc=web 10.0.1.1%z2 p=http:8081 #x=y @a=b", ""}, /* nothing of what is carried along */
        {"shop/web-c v=e9 svc=web type=IPv6 fd00::1 p=http:8080",
         "create EndpointSlice shop/web-east.pods.web-c owned type=IPv6 fd00::1 p=http:8080\n"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        scene_target_slice(scene, 0, "%s", cases[i].slice);
        scene_hear(scene);
        assert_int_equal(world_is_urgent(scene->world), cases[i].plan[0] != '\0');
        assert_string_equal(scene_plan(scene, true), cases[i].plan);
        scene_settle(scene);
    }
    scene_delete(&scene->targets[0], KIND_SLICE, "shop/web-c");
    scene_hear(scene);
    assert_string_equal(scene_plan(scene, true),
                        "delete EndpointSlice shop/web-east.pods.web-c (the target has no such slice)\n");
}

/* A placeholder, as Kubernetes has it for a service without pods, is a slice like any other. */
static void a_service_without_pods_has_no_endpoints_and_keeps_its_mirror(void **state)
{
    struct scene *scene = *state;
    begin(scene, LINK, WEB " " PODS);
    scene_settle(scene);
    scene_delete(&scene->targets[0], KIND_SLICE, "shop/web-b");
    scene_target_slice(scene, 0, "shop/web-a v=e3 svc=web");
    scene_settle(scene);
    assert_string_equal(slices_of(scene, "web-east"), "shop/web-east.pods.web-a owned type=IPv4\n");
    assert_string_equal(scene_status(scene, "shop/web-east"),
                        "east Mirrored: the exported service has no ready endpoint\n");
    scene_delete(&scene->targets[0], KIND_SLICE, "shop/web-a");
    scene_settle(scene);
    assert_string_equal(slices_of(scene, "web-east"), "");
    assert_non_null(scene_service(scene, "shop/web-east"));
    assert_quiet(scene);
}

static void ports_are_those_that_the_mirror_has(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK " endpoints=pods");
    scene_target(scene, 0, WEB " p=dns:53/UDP p=admin:9 @svcmirror.io/export-ports=http,dns");
    scene_target_slice(scene, 0, "shop/web-a svc=web 10.0.0.1 p=http:8080+h2c p=dns:5353/UDP p=admin:9");
    scene_target_slice(scene, 0, "shop/web-b svc=web 10.0.0.2 p=admin:9 p=dns:53");
    scene_settle(scene);
    assert_string_equal(slices_of(scene, "web-east"),
                        "shop/web-east.pods.web-a owned type=IPv4 10.0.0.1 p=http:8080+h2c p=dns:5353/UDP\n");
    assert_quiet(scene);
}

static void a_long_name_is_told_by_its_digest(void **state)
{
    struct scene *scene = *state;
    char name[254];
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    scene_link(scene, 0, LINK " endpoints=pods");
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, "shop/%s svc=web 10.0.0.1 p=http:8080", name);
    name[sizeof(name) - 2] = 'b';
    scene_target_slice(scene, 0, "shop/%s svc=web 10.0.0.2 p=http:8080", name);
    name[253 - strlen("web-east.pods.")] = '\0';
    scene_target_slice(scene, 0, "shop/%s svc=web 10.0.0.3 p=http:8080", name);
    scene_settle(scene);
    unsigned count = 0;
    for (struct map_entry *at = map_first(scene->source.objects[KIND_SLICE]); at != NULL; at = map_next(at)) {
        const struct slice *slice = map_value(at);
        count += strcmp(slice->service_name, "web-east") == 0;
        assert_true(strlen(slice->meta.name) <= 253);
    }
    assert_int_equal(count, 3);
    assert_non_null(scene_slice(scene, arena_printf(&scene->arena, "shop/web-east.pods.%s", name)));
    assert_quiet(scene);
}

static void draining_takes_all_endpoints_away_and_gives_them_back(void **state)
{
    struct scene *scene = *state;
    begin(scene, LINK, WEB " " PODS);
    scene_settle(scene);
    const char *before = slices_of(scene, "web-east");
    scene_link(scene, 0, LINK " drain");
    scene_settle(scene);
    assert_string_equal(slices_of(scene, "web-east"),
                        "shop/web-east.pods.web-a owned type=IPv4 !10.0.0.1%z1 !10.0.0.2 !10.0.0.3 p=http:8080\n"
                        "shop/web-east.pods.web-b owned type=IPv4 !10.0.1.1 p=http:8080\n");
    assert_false(scene_slice(scene, "shop/web-east.pods.web-a")->endpoints[2].serving);
    assert_string_equal(scene_status(scene, "shop/web-east"),
                        "east Mirrored: draining: annotation svcmirror.io/drain is set\n");
    scene_link(scene, 0, LINK);
    scene_settle(scene);
    assert_string_equal(slices_of(scene, "web-east"), before);
}

/* ---- headless services ---- */

static void a_headless_mirror_has_the_pods_under_their_hostnames(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK " endpoints=pods");
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, "shop/db-x svc=db db-0@10.0.0.1 !db-1@10.0.0.2 p=pg:5432");
    scene_target(scene, 0, "shop/peers v=p1 headless p=gossip:7946 #~exported=true"); /* without hostnames */
    scene_target_slice(scene, 0, "shop/peers-x svc=peers 10.0.0.3 p=gossip:7946");
    scene_settle(scene);
    assert_true(scene_service(scene, "shop/db-east")->headless);
    assert_true(scene_service(scene, "shop/peers-east")->headless);
    assert_null(scene_service(scene, "shop/db-0-east"));
    assert_string_equal(slices_of(scene, "db-east"), "shop/db-east.pods.db-x owned type=IPv4 db-0@10.0.0.1 "
                                                     "!db-1@10.0.0.2 p=pg:5432\n");
    /* Scaled to nothing it is headless still, for that is what the exported service is. */
    scene_target_slice(scene, 0, "shop/db-x svc=db");
    scene_settle(scene);
    assert_true(scene_service(scene, "shop/db-east")->headless);
    assert_quiet(scene);
}

/* Which slices are to be kept whole is known by the services: until they are read again, what they tell of hostnames makes no mirrors of these. */
static void slices_that_are_listed_before_the_services_make_no_hostnames(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK " endpoints=pods");
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, "shop/db-x svc=db db-0@10.0.0.1 p=pg:5432");
    scene_settle(scene);
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SLICE), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    assert_true(world_wants_listing(scene->links[0], WORLD_TARGET_SLICES));
    assert_string_equal(scene_status(scene, "shop/db-0-east"), "east Pending: the target's endpoints are being read\n");
    assert_string_equal(scene_plan(scene, true), "");
    scene_settle(scene);
    assert_null(world_find_mirror(scene->world, "shop/db-0-east"));
    assert_quiet(scene);
}

static void a_headless_service_may_be_mirrored_with_a_cluster_ip(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK " endpoints=pods headless=false");
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, "shop/db-x svc=db db-0@10.0.0.1 p=pg:5432");
    scene_settle(scene);
    assert_false(scene_service(scene, "shop/db-east")->headless);
    assert_string_equal(slices_of(scene, "db-east"),
                        "shop/db-east.pods.db-x owned type=IPv4 db-0@10.0.0.1 p=pg:5432\n");
    assert_quiet(scene);
}

static void a_statefulset_changes_its_way_and_keeps_its_service(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, "shop/db-x svc=db db-0@10.0.0.1 db-1@10.0.0.2 p=pg:5432");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/db-1-east"));
    size_t services = scene_count(&scene->source, KIND_SERVICE), slices = scene_count(&scene->source, KIND_SLICE);
    const char *uid = arena_strdup(&scene->arena, scene_service(scene, "shop/db-east")->meta.uid);
    scene_target(scene, 0, "shop/db v=d2 headless p=pg:5432>5432 #~exported=true " PODS);
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/db-0-east"));
    assert_null(scene_service(scene, "shop/db-1-east"));
    assert_string_equal(slices_of(scene, "db-east"),
                        "shop/db-east.pods.db-x owned type=IPv4 db-0@10.0.0.1 db-1@10.0.0.2 p=pg:5432\n");
    assert_string_equal(scene_service(scene, "shop/db-east")->meta.uid, uid);
    assert_quiet(scene);
    scene_target(scene, 0, "shop/db v=d3 headless p=pg:5432>5432 #~exported=true");
    scene_settle(scene);
    assert_string_equal(scene_service(scene, "shop/db-east")->meta.uid, uid);
    assert_non_null(scene_service(scene, "shop/db-1-east"));
    assert_int_equal(scene_count(&scene->source, KIND_SERVICE), services);
    assert_int_equal(scene_count(&scene->source, KIND_SLICE), slices);
    assert_quiet(scene);
}

/* ---- from one way to the other ---- */

static bool has_ready(const struct scene *scene, const char *service_name)
{
    for (struct map_entry *at = map_first(scene->source.objects[KIND_SLICE]); at != NULL; at = map_next(at)) {
        const struct slice *slice = map_value(at);
        for (uint32_t i = 0; i < slice->endpoint_count && strcmp(slice->service_name, service_name) == 0; i++)
            if (slice->endpoints[i].ready)
                return true;
    }
    return false;
}

/* Write by write: at each moment the mirror has a ready endpoint, and its Service stays. */
static void settle_without_an_unready_moment(struct scene *scene)
{
    const char *uid = arena_strdup(&scene->arena, scene_service(scene, "shop/web-east")->meta.uid);
    for (unsigned i = 0; i < 100; i++) {
        scene_hear(scene);
        bool more = scene_work(scene);
        assert_true(has_ready(scene, "web-east"));
        assert_string_equal(scene_service(scene, "shop/web-east")->meta.uid, uid);
        if (!more)
            return;
    }
    fail_msg("there is no end to it");
}

static void a_service_changes_its_way_in_place(void **state)
{
    struct scene *scene = *state;
    begin(scene, LINK, WEB);
    scene_settle(scene);
    const char *gateway = slices_of(scene, "web-east");
    assert_int_equal(count_kept(scene), 0);
    scene_target(scene, 0, "shop/web v=s2 p=http:80>8080 #~exported=true " PODS);
    settle_without_an_unready_moment(scene);
    assert_int_equal(count_kept(scene), 2);
    const char *pods = slices_of(scene, "web-east");
    assert_string_equal(pods, "shop/web-east.pods.web-a owned type=IPv4 10.0.0.1%z1 !10.0.0.2 ~10.0.0.3 p=http:8080\n"
                              "shop/web-east.pods.web-b owned type=IPv4 10.0.1.1 p=http:8080\n");
    scene_target(scene, 0, "shop/web v=s3 p=http:80>8080 #~exported=remote-discovery " PODS);
    settle_without_an_unready_moment(scene);
    assert_string_equal(slices_of(scene, "web-east"), pods);
    scene_target(scene, 0, "shop/web v=s4 p=http:80>8080 #~exported=true");
    settle_without_an_unready_moment(scene);
    assert_string_equal(slices_of(scene, "web-east"), gateway);
    assert_int_equal(count_kept(scene), 0);
    scene_link(scene, 0, LINK " endpoints=pods");
    settle_without_an_unready_moment(scene);
    assert_string_equal(slices_of(scene, "web-east"), pods);
    scene_target(scene, 0, "shop/web v=s5 p=http:80>8080");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/web-east"));
    assert_string_equal(slices_of(scene, "web-east"), "");
    assert_int_equal(count_kept(scene), 0);
}

/* Before the target's endpoints are known in full, the mirror follows its gateway as it did. */
static void until_the_endpoints_are_known_the_gateway_is_followed(void **state)
{
    struct scene *scene = *state;
    begin(scene, LINK, WEB);
    scene_settle(scene);
    assert_int_equal(world_put_link(scene->world, scene->declarations[0], &scene->links[0]), ERR_OK);
    scene_link(scene, 0, LINK " endpoints=pods");
    assert_true(world_wants_listing(scene->links[0], WORLD_TARGET_SLICES) && world_awaits_slices(scene->links[0]));
    scene_verdict(scene, "203.0.113.7", WORLD_DEAD);
    scene_probe(scene);
    while (scene_work(scene))
        assert_int_equal(scene_step(scene, &scene->source_feed, KIND_SLICE), ERR_OK);
    assert_string_equal(slices_of(scene, "web-east"), "shop/web-east.ipv4 owned type=IPv4 !203.0.113.7 p=http:4143\n");
    assert_string_equal(scene_status(scene, "shop/web-east"),
                        "east Mirrored: through the gateway until the target's endpoints are known\n");
    scene_list_part(scene, &scene->target_feeds[0], KIND_SLICE, 1);
    assert_false(world_wants_listing(scene->links[0], WORLD_TARGET_SLICES));
    assert_true(world_awaits_slices(scene->links[0]));
    scene_settle(scene);
    assert_string_equal(slices_of(scene, "web-east"), "shop/web-east.ipv4 owned type=IPv4 !203.0.113.7 p=http:4143\n");
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SLICE), ERR_OK);
    assert_false(world_awaits_slices(scene->links[0]));
    scene_settle(scene);
    assert_non_null(strstr(slices_of(scene, "web-east"), "web-east.pods.web-a"));
    assert_null(scene_slice(scene, "shop/web-east.ipv4"));
}

static void what_was_known_stays_while_the_target_is_away(void **state)
{
    struct scene *scene = *state;
    begin(scene, LINK " endpoints=pods", WEB);
    scene_settle(scene);
    const char *before = scene_dump(scene, false);
    /* Not read since the start: the slices are as an earlier run left them. */
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    scene_probe(scene);
    scene_links_complete(scene, true);
    assert_string_equal(scene_plan(scene, true), "");
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    assert_string_equal(scene_plan(scene, true), "");
    assert_string_equal(scene_status(scene, "shop/web-east"),
                        "east Pending: the target's endpoints are not listed yet\n");
    /* Not to be read, likewise. */
    world_set_unavailable(scene->world, scene->links[0], WORLD_TARGET_SLICES);
    assert_string_equal(scene_plan(scene, true), "");
    assert_string_equal(
        scene_status(scene, "shop/web-east"),
        "east Mirrored: the target's endpoints may not be read: those of the mirror stay as they are\n");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), before);
    /* And what was read once is known on. */
    scene_refuse_slices(scene, 0, true);
    scene_settle(scene);
    scene_delete(&scene->source, KIND_SLICE, "shop/web-east.pods.web-b");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), before);
}

/* A new mirror has no endpoints before they are known, and no gateway's meanwhile. */
static void a_new_mirror_waits_for_its_endpoints(void **state)
{
    struct scene *scene = *state;
    begin(scene, LINK " endpoints=pods", WEB);
    scene_refuse_slices(scene, 0, true);
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/web-east"));
    assert_string_equal(slices_of(scene, "web-east"), "");
    scene_refuse_slices(scene, 0, false);
    scene_settle(scene);
    assert_non_null(scene_slice(scene, "shop/web-east.pods.web-a"));
}

static void linkerds_mirrors_are_taken_over(void **state)
{
    struct scene *scene = *state;
    scene_source(scene, "shop/web-east uid=u1 p=http:80>8080 #~mirrored-service=true #~cluster-name=east "
                        "@~remote-svc-fq-name=web.shop.svc.cluster.local");
    begin(scene, LINK " endpoints=pods", WEB);
    scene_settle(scene);
    assert_string_equal(scene_service(scene, "shop/web-east")->meta.uid, "u1");
    assert_non_null(scene_slice(scene, "shop/web-east.pods.web-a"));
    assert_quiet(scene);
}

static void what_was_edited_by_hand_is_put_right(void **state)
{
    struct scene *scene = *state;
    begin(scene, LINK, WEB " " PODS);
    scene_settle(scene);
    const char *before = scene_dump(scene, false), *uid = scene_service(scene, "shop/web-east")->meta.uid;
    scene_delete(&scene->source, KIND_SLICE, "shop/web-east.pods.web-a");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), before);
    scene_source_slice(scene, "shop/web-east.pods.web-a owner=%s 10.9.9.9", uid); /* without any label */
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), before);
    scene_source_slice(scene,
                       "shop/web-east.pods.gone owner=%s svc=web-east managed=svcmirror 10.9.9.9 "
                       "#~mirrored-service=true #~cluster-name=east",
                       uid);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), before);
}

/* A slice that Kubernetes made by a selector which somebody had put on the mirror leads through no gateway. */
static void a_slice_of_others_is_not_taken_for_the_gateways(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK " endpoints=pods");
    scene_target(scene, 0, WEB);
    scene_settle(scene);
    scene_source_slice(scene,
                       "shop/web-east-k8s owner=%s svc=web-east managed=endpointslice-controller.k8s.io 10.9.9.9 "
                       "#~mirrored-service=true #~cluster-name=east",
                       scene_service(scene, "shop/web-east")->meta.uid);
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    scene_probe(scene);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true), "");
    scene_settle(scene);
    assert_string_equal(slices_of(scene, "web-east"), "");
}

/* After a restart a gateway's name that does not resolve has the addresses of an earlier run: not those of pods. */
static void pods_are_not_remembered_as_a_gateway(void **state)
{
    struct scene *scene = *state;
    const char *addresses[4];
    begin(scene, "east gw=gw.example endpoints=pods", WEB);
    scene_settle(scene);
    assert_int_equal(world_gateway_remembered(world_first_gateway(scene->links[0]), addresses, 4), 0);
}

/* ---- v1 Endpoints ---- */

static void the_endpoints_of_a_target_become_slices(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK " endpoints=pods");
    scene_target(scene, 0, WEB);
    struct slice *endpoints = slice_of(&scene->arena, "shop/web v1 10.0.0.1 !fd00::1 10.0.0.2 p=http:8080 p=http:9090");
    struct slice_endpoint entries[3];
    struct slice_port ports[2];
    memcpy(entries, endpoints->endpoints, sizeof(entries));
    memcpy(ports, endpoints->ports, sizeof(ports));
    entries[2].subset = ports[1].subset = 1;
    endpoints->endpoints = entries;
    endpoints->ports = ports;
    scene_hear(scene);
    assert_int_equal(world_target_slice(scene->links[0], WORLD_PUT, endpoints), ERR_OK);
    scene_settle(scene);
    assert_string_equal(slices_of(scene, "web-east"),
                        "shop/web-east.pods.web.ipv4 owned type=IPv4 10.0.0.1 p=http:8080\n"
                        "shop/web-east.pods.web.ipv4-1 owned type=IPv4 10.0.0.2 p=http:9090\n"
                        "shop/web-east.pods.web.ipv6 owned type=IPv6 !fd00::1 p=http:8080\n");
}

/* Endpoints of more addresses than a slice may have: as many as it may. */
static void a_slice_has_no_more_endpoints_than_the_api_takes(void **state)
{
    struct scene *scene = *state;
    enum { COUNT = 1005 };
    static struct slice_endpoint entries[COUNT];
    scene_link(scene, 0, LINK " endpoints=pods");
    scene_target(scene, 0, WEB);
    scene_hear(scene);
    struct slice *endpoints = slice_of(&scene->arena, "shop/web v1 p=http:8080");
    for (unsigned i = 0; i < COUNT; i++)
        entries[i] = (struct slice_endpoint){.address = arena_printf(&scene->arena, "10.1.%u.%u", i / 250, i % 250),
                                             .hostname = "",
                                             .zone = "",
                                             .ready = true};
    endpoints->endpoints = entries;
    endpoints->endpoint_count = COUNT;
    assert_int_equal(world_target_slice(scene->links[0], WORLD_PUT, endpoints), ERR_OK);
    scene_settle(scene);
    assert_int_equal(scene_slice(scene, "shop/web-east.pods.web.ipv4")->endpoint_count, 1000);
}

static void endpoints_are_one_object_of_all_slices(void **state)
{
    struct scene *scene = *state;
    scene->config.write_endpoints = true;
    scene_restart(scene);
    begin(scene, LINK, WEB " " PODS);
    scene_target_slice(scene, 0, "shop/web-c svc=web 10.0.0.2 type=IPv4 p=http:8080"); /* moves, and is ready there */
    scene_target_slice(scene, 0, "shop/web-d svc=web fd00::1 p=http:8080");
    scene_target_slice(scene, 0, "shop/web-0 svc=web 10.0.2.2 p=admin:9"); /* not a port of the mirror's */
    scene_target_slice(scene, 0, "shop/web-e svc=web 10.0.2.1 p=http:9090");
    scene_hear(scene);
    world_begin(scene->world, NULL, WORLD_SOURCE_ENDPOINTS);
    world_end(scene->world, NULL, WORLD_SOURCE_ENDPOINTS);
    while (scene_work(scene) && scene_service(scene, "shop/web-east") == NULL)
        continue;
    assert_int_equal(scene_step(scene, &scene->source_feed, KIND_SERVICE), ERR_OK);
    assert_int_equal(scene_step(scene, &scene->source_feed, KIND_SERVICE), ERR_OK);
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true),
                        "create Endpoints shop/web-east owned type=IPv4 10.0.0.1 10.0.0.2 10.0.1.1 fd00::1 !10.0.0.3 "
                        "p=http:8080\n");
    /* As it would be: then the status tells what is left out. */
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
    assert_non_null(
        strstr(scene_status(scene, "shop/web-east"), "endpoints with other ports than the first are left out"));
}

/* ---- somebody who undoes every update ---- */

/* Each of many slices is paced by itself: none is forgotten for another. */
static void updates_of_many_slices_are_paced_each(void **state)
{
    struct scene *scene = *state;
    enum { SLICES = 20 };
    scene_link(scene, 0, LINK " endpoints=pods");
    scene_target(scene, 0, WEB);
    for (unsigned i = 0; i < SLICES; i++)
        scene_target_slice(scene, 0, "shop/web-%u svc=web 10.0.0.%u p=http:8080", i, i + 1);
    scene_settle(scene);
    struct mirror *mirror = world_find_mirror(scene->world, "shop/web-east");
    assert_int_equal(mirror_slice_count(mirror), SLICES);
    uint64_t now_ms = 1000, writes = 0;
    for (uint64_t end_ms = now_ms + 3600 * 1000; now_ms < end_ms; now_ms += 100)
        for (uint32_t object = 1; object <= SLICES; object++)
            if (mirror_rewrite_wait_ms(mirror, object, 7 + object, now_ms) == 0) {
                (void)mirror_note_rewrite(mirror, object, 7 + object, now_ms);
                writes++;
            }
    assert_in_range(writes, SLICES * 10, SLICES * 30);
}

/* ---- memory ---- */

static void only_what_is_needed_is_kept(void **state)
{
    struct scene *scene = *state;
    begin(scene, LINK, WEB " " PODS);
    scene_target(scene, 0, "shop/api v=a1 p=http:80 #~exported=true"); /* through the gateway */
    scene_target_slice(scene, 0, "shop/api-x svc=api 10.0.2.1 p=http:8080");
    scene_target(scene, 0, "shop/internal v=i1 p=http:80 " PODS); /* not exported */
    scene_target_slice(scene, 0, "shop/internal-x svc=internal 10.0.3.1 p=http:8080");
    scene_settle(scene);
    assert_int_equal(map_count(scene->links[0]->slices), 4);
    assert_int_equal(count_kept(scene), 2);
    /* Slices that come before their service is known are read once more, and only they. */
    scene_restart(scene);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SLICE), ERR_OK);
    assert_int_equal(count_kept(scene), 0);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    assert_true(world_wants_listing(scene->links[0], WORLD_TARGET_SLICES));
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SLICE), ERR_OK);
    assert_false(world_wants_listing(scene->links[0], WORLD_TARGET_SLICES));
    assert_int_equal(count_kept(scene), 2);
    scene_restart(scene);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SLICE), ERR_OK);
    assert_false(world_wants_listing(scene->links[0], WORLD_TARGET_SLICES));
}

/* Whatever allocation fails: with memory again, all is as without. */
static void nothing_is_lost_without_memory(void **state)
{
    struct scene *scene = *state;
    const char *expected = NULL;
    for (unsigned long n = 0;; n++) {
        scene_done(scene);
        scene_init(scene);
        begin(scene, LINK, WEB);
        scene_settle(scene);
        scene_fail_at(n);
        scene_target(scene, 0, "shop/web v=s2 p=http:80>8080 #~exported=true " PODS);
        scene_target_slice(scene, 0, "shop/web-b v=e3 svc=web 10.0.1.1 10.0.1.2 p=http:8080");
        struct feed *feed = &scene->target_feeds[0];
        for (enum object_kind kind = 0; kind < KIND_NAMESPACE; kind++)
            if (scene_step(scene, feed, kind) != ERR_OK || (world_wants_listing(scene->links[0], WORLD_TARGET_SLICES) &&
                                                            scene_list(scene, feed, KIND_SLICE) != ERR_OK))
                feed->listed[KIND_SERVICE] = feed->listed[KIND_SLICE] = false;
        for (unsigned i = 0; i < 6; i++)
            (void)scene_work(scene);
        bool left = scene_fail_left();
        scene_settle(scene);
        static char text[4096];
        if (expected == NULL) {
            (void)snprintf(text, sizeof(text), "%s", slices_of(scene, "web-east"));
            expected = text;
        }
        assert_string_equal(slices_of(scene, "web-east"), expected);
        if (n > 0 && left)
            return;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(slices_are_the_targets_own),
        SCENE(the_service_decides_before_the_link),
        SCENE(a_link_by_secret_leads_through_gateways),
        SCENE(remote_discovery_may_have_slices_too),
        SCENE(one_pods_change_rewrites_one_slice),
        SCENE(a_service_without_pods_has_no_endpoints_and_keeps_its_mirror),
        SCENE(ports_are_those_that_the_mirror_has),
        SCENE(a_long_name_is_told_by_its_digest),
        SCENE(draining_takes_all_endpoints_away_and_gives_them_back),
        SCENE(a_headless_mirror_has_the_pods_under_their_hostnames),
        SCENE(slices_that_are_listed_before_the_services_make_no_hostnames),
        SCENE(a_headless_service_may_be_mirrored_with_a_cluster_ip),
        SCENE(a_statefulset_changes_its_way_and_keeps_its_service),
        SCENE(a_service_changes_its_way_in_place),
        SCENE(until_the_endpoints_are_known_the_gateway_is_followed),
        SCENE(what_was_known_stays_while_the_target_is_away),
        SCENE(a_new_mirror_waits_for_its_endpoints),
        SCENE(linkerds_mirrors_are_taken_over),
        SCENE(what_was_edited_by_hand_is_put_right),
        SCENE(a_slice_of_others_is_not_taken_for_the_gateways),
        SCENE(pods_are_not_remembered_as_a_gateway),
        SCENE(the_endpoints_of_a_target_become_slices),
        SCENE(a_slice_has_no_more_endpoints_than_the_api_takes),
        SCENE(endpoints_are_one_object_of_all_slices),
        SCENE(updates_of_many_slices_are_paced_each),
        SCENE(only_what_is_needed_is_kept),
        SCENE(nothing_is_lost_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
