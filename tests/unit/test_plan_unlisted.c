/* links: base mirror mirror_fixture.c mirror_scene.c */
/* mirror/plan_unlisted.c, mirror/world_recalled.c: an agent that began while a target is out of reach. */
#include "mirror/plan.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/mirror_scene.h"

#define LINK "east gw=203.0.113.7,203.0.113.8 identity=gw.id probe=4191"
#define WEB "shop/web v=s1 p=http:80>8080 #~exported=true"
#define WEB_SLICE "shop/web-x1 v=e1 svc=web 10.0.0.1 p=http:8080"
#define IDLE "shop/idle v=i1 p=http:80>8080 #~exported=true"
#define DB "shop/db v=d1 headless p=pg:5432>5432 #~exported=true"
#define DB_SLICE "shop/db-x v=e1 svc=db db-0@10.0.0.1 !db-1@10.0.0.2 p=pg:5432"

static void begin(struct scene *scene)
{
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_target(scene, 0, IDLE);
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
}

/* Works on what the source tells and the probes see, until there is nothing to do; of the target nothing is heard. */
static void settle_alone(struct scene *scene)
{
    struct feed *feed = &scene->source_feed;
    unsigned turns = 0;
    do {
        if (++turns > 1000)
            fail_msg("there is no end: %s", scene_plan(scene, false));
        for (enum object_kind kind = 0; kind < KINDS; kind++)
            while (feed->seen[kind] < feed->cluster->log_count[kind])
                assert_int_equal(scene_step(scene, feed, kind), ERR_OK);
        scene_probe(scene);
    } while (scene_work(scene));
}

static void list_source(struct scene *scene)
{
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
}

/* An agent begins, and cannot read the target. */
static void restart_alone(struct scene *scene)
{
    scene_restart(scene);
    list_source(scene);
    settle_alone(scene);
}

static void set_verdicts(struct scene *scene, enum world_liveness first, enum world_liveness second)
{
    scene_verdict(scene, "203.0.113.7", first);
    scene_verdict(scene, "203.0.113.8", second);
}

/* Of each endpoint of the slice, in order: "+" ready, "-" not. */
static const char *readiness(struct scene *scene, const char *key)
{
    static char text[16];
    const struct slice *slice = scene_slice(scene, key);
    assert_non_null(slice);
    assert_in_range(slice->endpoint_count, 0, sizeof(text) - 1);
    for (uint32_t i = 0; i < slice->endpoint_count; i++)
        text[i] = slice->endpoints[i].ready ? '+' : '-';
    text[slice->endpoint_count] = '\0';
    return text;
}

/* By a finalizer of somebody's, for as long as that takes. */
static void a_mirror_that_is_held_in_its_deletion_follows_too(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene_source(scene, "shop/web-east deleting p=http:80 #~mirrored-service=true #~cluster-name=east");
    restart_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "++");
    set_verdicts(scene, WORLD_DEAD, WORLD_ALIVE);
    settle_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "-+");
}

static void only_readiness_follows_the_gateway(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    const char *before = scene_dump(scene, false);
    size_t slices = scene_count(&scene->source, KIND_SLICE), services = scene_count(&scene->source, KIND_SERVICE);
    set_verdicts(scene, WORLD_LIVENESS_UNKNOWN, WORLD_LIVENESS_UNKNOWN);
    restart_alone(scene);
    assert_string_equal(scene_dump(scene, false), before); /* until there is a verdict all stays */
    set_verdicts(scene, WORLD_DEAD, WORLD_ALIVE);
    settle_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "-+");
    assert_string_equal(readiness(scene, "shop/db-0-east.ipv4"), "-+");
    assert_string_equal(readiness(scene, "shop/db-1-east.ipv4"), "--"); /* for its own sake */
    assert_string_equal(readiness(scene, "shop/db-east.ipv4"), "+-");
    assert_string_equal(readiness(scene, "shop/idle-east.ipv4"), "");
    set_verdicts(scene, WORLD_DEAD, WORLD_DEAD);
    settle_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "--");
    assert_string_equal(readiness(scene, "shop/db-0-east.ipv4"), "--");
    assert_string_equal(readiness(scene, "shop/db-east.ipv4"), "--");
    assert_int_equal(scene_count(&scene->source, KIND_SLICE), slices);
    assert_int_equal(scene_count(&scene->source, KIND_SERVICE), services);
    /* Another agent does not know that they were ready before, but of those that have no readiness of their own. */
    restart_alone(scene);
    set_verdicts(scene, WORLD_ALIVE, WORLD_ALIVE);
    settle_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "++");
    assert_string_equal(readiness(scene, "shop/db-0-east.ipv4"), "++");
    assert_string_equal(readiness(scene, "shop/db-1-east.ipv4"), "--");
    assert_string_equal(readiness(scene, "shop/db-east.ipv4"), "+-");
    /* The target is back: all is as it was, and what happened meanwhile is done. */
    scene_settle(scene);
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/web-east"));
    assert_string_equal(readiness(scene, "shop/db-0-east.ipv4"), "++");
}

static void a_verdict_from_before_the_source_is_listed_counts(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    set_verdicts(scene, WORLD_DEAD, WORLD_DEAD);
    scene_restart(scene);
    scene_probe(scene);
    while (scene_work(scene))
        ;
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "++");
    list_source(scene);
    settle_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "--");
}

static void what_is_not_ours_or_of_another_cluster_is_left(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene_link(scene, 1, "north gw=203.0.113.9 probe=4191");
    scene_target(scene, 1, WEB);
    scene_target_slice(scene, 1, WEB_SLICE);
    scene_settle(scene);
    set_verdicts(scene, WORLD_DEAD, WORLD_DEAD);
    restart_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "--");
    assert_string_equal(readiness(scene, "shop/web-north.ipv4"), "+");
}

static void draining_and_moving_are_as_ever(void **state)
{
    struct scene *scene = *state;
    begin(scene);
    scene_link(scene, 0, LINK " drain");
    restart_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "--");
    scene_link(scene, 0, LINK);
    restart_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "++");
    scene->config.move_endpoints = false;
    set_verdicts(scene, WORLD_DEAD, WORLD_DEAD);
    restart_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "++");
}

/* ---- links of 2.8's Secrets: gateways as their own mirrors tell of them ---- */

#define GATEWAY                                                                                                        \
    "edge/gw v=g1 lb=203.0.113.7 lb=203.0.113.8 p=mc-gateway:4143 p=mc-probe:4191 @~multicluster-gateway=true "        \
    "@~gateway-identity=gw.id @~probe-path=/ready @~probe-period=7"
#define OTHER                                                                                                          \
    "edge/other v=g2 lb=203.0.113.9 p=mc-gateway:4143 p=mc-probe:4191 @~multicluster-gateway=true @~probe-path=/ready"
#define BY(gateway) " @~gateway-name=" gateway " @~gateway-ns=edge"

static void begin_secret(struct scene *scene, const char *gateway)
{
    scene_secret(scene, 0, "east");
    scene_target(scene, 0, "%s", gateway);
    scene_target(scene, 0, OTHER);
    scene_target(scene, 0, "shop/web v=s1 p=http:80>8080" BY("gw"));
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_target(scene, 0, "shop/api v=a1 p=http:80>8080" BY("other"));
    scene_target_slice(scene, 0, "shop/api-x1 v=e1 svc=api 10.0.0.1 p=http:8080");
    scene_settle(scene);
}

static const struct gateway_spec *spec_of(struct scene *scene, const char *name)
{
    for (const struct world_gateway *gateway = world_first_gateway(scene->links[0]); gateway != NULL;
         gateway = world_next_gateway(gateway))
        if (strcmp(world_gateway_spec(gateway)->name, name) == 0)
            return world_gateway_spec(gateway);
    return NULL;
}

static void each_gateway_of_a_secret_is_known_by_its_mirror(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene, GATEWAY);
    const char *before = scene_dump(scene, false);
    set_verdicts(scene, WORLD_LIVENESS_UNKNOWN, WORLD_LIVENESS_UNKNOWN);
    scene_verdict(scene, "203.0.113.9", WORLD_LIVENESS_UNKNOWN);
    restart_alone(scene);
    assert_string_equal(scene_dump(scene, false), before);
    set_verdicts(scene, WORLD_DEAD, WORLD_ALIVE);
    scene_verdict(scene, "203.0.113.9", WORLD_ALIVE);
    settle_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "-+");
    assert_string_equal(readiness(scene, "l5d-mc/gw-east.ipv4"), "-+");
    assert_string_equal(readiness(scene, "shop/api-east.ipv4"), "+");
    set_verdicts(scene, WORLD_ALIVE, WORLD_ALIVE);
    scene_verdict(scene, "203.0.113.9", WORLD_DEAD);
    settle_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "++");
    assert_string_equal(readiness(scene, "shop/api-east.ipv4"), "-");
    /* The target is back: what stands there counts, and a gateway that went meanwhile is gone. */
    scene_delete(&scene->targets[0], KIND_SERVICE, "edge/other");
    scene_settle(scene);
    assert_false(spec_of(scene, "gw")->recalled);
    assert_string_equal(spec_of(scene, "gw")->warning, "");
    assert_false(spec_of(scene, "other")->exists); /* a service names it still */
    assert_null(scene_service(scene, "l5d-mc/other-east"));
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "++");
}

static void all_that_probes_need_is_recalled(void **state)
{
    struct scene *scene = *state;
    struct arena arena;
    arena_init(&arena, 64 << 10);
    scene_host(scene, "gw.example.com", "203.0.113.8");
    begin_secret(scene, "edge/gw v=g1 lb=203.0.113.7 lb=gw.example.com p=mc-gateway:4143 p=mc-probe:4191 "
                        "@~multicluster-gateway=true @~probe-path=/ready @~probe-period=7 @~probe-timeout=20s "
                        "@~probe-failure-threshold=5 @svcmirror.io/drain=true");
    const struct gateway_spec before = gateway_spec_copy(&arena, spec_of(scene, "gw"));
    restart_alone(scene);
    const struct gateway_spec *recalled = spec_of(scene, "gw");
    assert_true(gateway_probing_equal(recalled, &before));
    assert_true(recalled->recalled && recalled->exists && recalled->drain && !recalled->declared);
    assert_int_equal(recalled->probe.timeout_ms, 20000);
    assert_int_equal(recalled->probe.failure_threshold, 5);
    assert_string_equal(recalled->addresses[1], "gw.example.com");
    assert_string_equal(recalled->warning, "");
    /* Drained: alive, and its mirrors unready all the same. */
    set_verdicts(scene, WORLD_ALIVE, WORLD_ALIVE);
    settle_alone(scene);
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "--");
    assert_string_equal(readiness(scene, "l5d-mc/gw-east.ipv4"), "++");
    arena_done(&arena);
}

/* As Linkerd 2.8 left it, or an agent that did not know better: nothing is guessed. */
static void a_mirror_that_does_not_tell_enough_changes_nothing(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene, GATEWAY);
    scene_source(scene,
                 "l5d-mc/gw-east #~cluster-name=east #~mirrored-gateway=true #~mirrored-service=true "
                 "@~mirrored-gateway-probe-path=/ready @~mirrored-gateway-probe-period=7 "
                 "@~mirrored-gateway-remote-name=gw @~mirrored-gateway-remote-namespace=edge p=mc-probe:4191>4191");
    restart_alone(scene);
    set_verdicts(scene, WORLD_DEAD, WORLD_DEAD);
    settle_alone(scene);
    assert_null(spec_of(scene, "gw"));
    assert_string_equal(readiness(scene, "shop/web-east.ipv4"), "++");
    assert_non_null(spec_of(scene, "other"));
}

/* Whichever of both is known first, the link or the mirrors, and whichever allocation fails: what failed is told again, and then it is known. */
static void recalling_survives_failing_allocations(void **state)
{
    struct scene *scene = *state;
    begin_secret(scene, GATEWAY);
    for (unsigned link_first = 0; link_first < 2; link_first++) {
        bool left = false;
        for (unsigned long n = 1; !left; n++) {
            scene_restart_alone(scene);
            if (link_first == 1)
                assert_int_equal(scene_declare(scene, 0), ERR_OK);
            else
                list_source(scene);
            scene_fail_at(n);
            enum err_code code =
                link_first == 1 ? scene_list(scene, &scene->source_feed, KIND_SERVICE) : scene_declare(scene, 0);
            left = scene_fail_left();
            assert_true(code == ERR_OK || (code == ERR_NOMEM && !left));
            if (code != ERR_OK && link_first == 1)
                list_source(scene);
            else if (code != ERR_OK)
                assert_int_equal(scene_declare(scene, 0), ERR_OK);
            assert_true(spec_of(scene, "gw")->recalled && spec_of(scene, "other")->recalled);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(a_mirror_that_is_held_in_its_deletion_follows_too),
        SCENE(only_readiness_follows_the_gateway),
        SCENE(a_verdict_from_before_the_source_is_listed_counts),
        SCENE(what_is_not_ours_or_of_another_cluster_is_left),
        SCENE(draining_and_moving_are_as_ever),
        SCENE(each_gateway_of_a_secret_is_known_by_its_mirror),
        SCENE(all_that_probes_need_is_recalled),
        SCENE(a_mirror_that_does_not_tell_enough_changes_nothing),
        SCENE(recalling_survives_failing_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
