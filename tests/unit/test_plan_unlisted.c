/* links: base mirror mirror_fixture.c mirror_scene.c */
/* mirror/plan_unlisted.c: an agent that began while a target is out of reach. */
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(only_readiness_follows_the_gateway),
        SCENE(a_verdict_from_before_the_source_is_listed_counts),
        SCENE(what_is_not_ours_or_of_another_cluster_is_left),
        SCENE(draining_and_moving_are_as_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
