/* links: base mirror mirror_fixture.c mirror_scene.c */
/* A target whose members of federated services are watched apart: two watches tell of one Service, each in its own time. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/world.h"
#include "tests/unit/mirror_scene.h"

#define BOTH " #~exported=true #~federated=member"

/* One target with shop/web, which is exported and a member; all is mirrored. */
static struct feed *open_scene(struct scene *scene)
{
    scene->members_apart = true;
    scene_link(scene, 0, "east gw=203.0.113.7");
    scene_target(scene, 0, "shop/web v=10 p=http:80>8080" BOTH);
    scene_target_slice(scene, 0, "shop/web-1 svc=web 10.0.0.1");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/web-east"));
    assert_non_null(scene_service(scene, "shop/web-federated"));
    assert_string_equal(scene_plan(scene, true), "");
    return &scene->target_feeds[0];
}

static void hear(struct scene *scene, struct feed *feed, enum object_kind kind)
{
    while (scene_is_behind(feed, kind))
        assert_int_equal(scene_step(scene, feed, kind), ERR_OK);
}

/* What is to be done, without the reasons, joined by ';'. Valid until the next call. */
static const char *plan(struct scene *scene)
{
    static char text[1024];
    char lines[1024], *rest = NULL;
    (void)snprintf(lines, sizeof(lines), "%s", scene_plan(scene, true));
    text[0] = '\0';
    for (const char *line = strtok_r(lines, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        size_t bytes = strlen(text);
        (void)snprintf(text + bytes, sizeof(text) - bytes, "%s%.*s", bytes > 0 ? ";" : "", (int)strcspn(line, "("),
                       line);
        for (char *end = text + strlen(text); end > text && end[-1] == ' '; end--)
            end[-1] = '\0';
    }
    return text;
}

static void list_empty(struct scene *scene, enum world_collection collection)
{
    world_begin(scene->world, scene->links[0], collection);
    world_end(scene->world, scene->links[0], collection);
}

static bool is_there(const struct scene *scene, const char *key) { return scene_service(scene, key) != NULL; }

static void either_watch_takes_away_what_it_alone_shows(void **state)
{
    static const enum object_kind orders[][2] = {{KIND_SERVICE, KIND_MEMBER}, {KIND_MEMBER, KIND_SERVICE}};
    struct scene *scene = *state;
    struct feed *feed = open_scene(scene);
    for (size_t i = 0; i < ARRAY_COUNT(orders); i++) {
        scene_target(scene, 0, "shop/web v=%zu p=http:80>8080 #~federated=member", 20 + 10 * i);
        hear(scene, feed, orders[i][0]);
        assert_string_equal(plan(scene), "delete Service shop/web-east");
        hear(scene, feed, orders[i][1]);
        assert_string_equal(plan(scene), "delete Service shop/web-east");
        scene_settle(scene);
        assert_true(!is_there(scene, "shop/web-east") && is_there(scene, "shop/web-federated"));
        scene_target(scene, 0, "shop/web v=%zu p=http:80>8080 #~exported=true", 21 + 10 * i);
        hear(scene, feed, orders[i][0]);
        hear(scene, feed, orders[i][1]);
        scene_settle(scene);
        assert_true(is_there(scene, "shop/web-east") && !is_there(scene, "shop/web-federated"));
        scene_target(scene, 0, "shop/web v=%zu p=http:80>8080" BOTH, 22 + 10 * i);
        scene_settle(scene);
        assert_true(is_there(scene, "shop/web-east") && is_there(scene, "shop/web-federated"));
    }
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    hear(scene, feed, KIND_MEMBER);
    assert_string_equal(plan(scene), "delete Service shop/web-federated");
    scene_settle(scene);
    assert_true(!is_there(scene, "shop/web-east") && !is_there(scene, "shop/web-federated"));
}

static void the_newer_version_counts_whoever_tells_of_it(void **state)
{
    struct scene *scene = *state;
    struct feed *feed = open_scene(scene);
    scene_target(scene, 0, "shop/web v=99 p=http:81>8080" BOTH);
    scene_target(scene, 0, "shop/web v=100 p=http:82>8080" BOTH);
    hear(scene, feed, KIND_MEMBER);
    /* The source is heard, and the other watch of the target stands still. */
    for (int i = 0; i < 20; i++) {
        (void)scene_work(scene);
        hear(scene, &scene->source_feed, KIND_SERVICE);
        hear(scene, &scene->source_feed, KIND_SLICE);
    }
    assert_int_equal(scene_service(scene, "shop/web-federated")->ports[0].port, 82);
    assert_int_equal(scene_service(scene, "shop/web-east")->ports[0].port, 82);
    assert_string_equal(plan(scene), "");
}

static void the_slower_watch_brings_nothing_old_back(void **state)
{
    struct scene *scene = *state;
    (void)open_scene(scene);
    struct world_link *link = scene->links[0];
    const struct service *newer = service_of(&scene->arena, "shop/web v=100 p=http:82>8080" BOTH),
                         *older = service_of(&scene->arena, "shop/web v=99 p=http:81>8080" BOTH),
                         *other = service_of(&scene->arena, "shop/web v=x p=http:82>8080" BOTH);
    assert_int_equal(world_target_member(link, WORLD_PUT, newer), ERR_OK);
    const char *of_newer = arena_strdup(&scene->arena, plan(scene));
    assert_non_null(strstr(of_newer, "shop/web-east"));
    assert_int_equal(world_target_service(link, WORLD_PUT, older), ERR_OK);
    assert_string_equal(plan(scene), of_newer);
    assert_int_equal(world_target_service(link, WORLD_PUT, newer), ERR_OK);
    assert_string_equal(plan(scene), of_newer);
    /* One that nobody else shows any more is believed, and so is one whose versions cannot be compared. */
    assert_int_equal(world_target_member(link, WORLD_DELETED, newer), ERR_OK);
    assert_int_equal(world_target_service(link, WORLD_PUT, older), ERR_OK);
    assert_string_not_equal(plan(scene), of_newer);
    assert_int_equal(world_target_member(link, WORLD_PUT, other), ERR_OK);
    assert_string_equal(plan(scene), of_newer);
}

static void a_cluster_that_was_restored_is_believed(void **state)
{
    static const enum object_kind orders[][2] = {{KIND_SERVICE, KIND_MEMBER}, {KIND_MEMBER, KIND_SERVICE}};
    struct scene *scene = *state;
    struct feed *feed = open_scene(scene);
    for (int i = 0; i < 2; i++) {
        scene_target(scene, 0, "shop/web v=%d p=http:%d>8080" BOTH, 9 - i, 90 + i);
        assert_int_equal(scene_list(scene, feed, orders[i][0]), ERR_OK);
        assert_int_equal(scene_list(scene, feed, orders[i][1]), ERR_OK);
        scene_settle(scene);
        assert_int_equal(scene_service(scene, "shop/web-east")->ports[0].port, 90 + i);
        assert_int_equal(scene_service(scene, "shop/web-federated")->ports[0].port, 90 + i);
    }
}

/* The cluster is another one behind the same Link, and the other watch was the one that knew the Service last. */
static void what_a_restored_cluster_has_changed_is_learnt(void **state)
{
    static const struct {
        const char *before, *after;
        enum object_kind first; /* to list the restored cluster */
        bool mirrored, member;  /* in the end */
    } cases[] = {
        {"#~federated=member", "#~exported=true", KIND_SERVICE, true, false},
        {"#~federated=member", "#~exported=true", KIND_MEMBER, true, false},
        {"#~exported=true", "#~federated=member", KIND_MEMBER, false, true},
        {"#~exported=true", "#~federated=member", KIND_SERVICE, false, true},
        {"#~exported=true #~federated=member", "#~exported=true", KIND_SERVICE, true, false},
        {"#~exported=true #~federated=member", "#~exported=true", KIND_MEMBER, true, false},
        {"#~exported=true #~federated=member", "#~federated=member", KIND_SERVICE, false, true},
        {"#~exported=true #~federated=member", "#~federated=member", KIND_MEMBER, false, true},
    };
    struct scene *scene = *state;
    struct feed *feed = open_scene(scene);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        scene_target(scene, 0, "shop/web v=%zu p=http:80>8080 %s", 5000 + i, cases[i].before);
        scene_settle(scene);
        scene_target(scene, 0, "shop/web v=%zu p=http:%zu>8080 %s", 300 + i, 90 + i, cases[i].after);
        assert_int_equal(scene_list(scene, feed, cases[i].first), ERR_OK);
        assert_int_equal(scene_list(scene, feed, cases[i].first == KIND_SERVICE ? KIND_MEMBER : KIND_SERVICE), ERR_OK);
        scene_settle(scene);
        if (is_there(scene, "shop/web-east") != cases[i].mirrored ||
            is_there(scene, "shop/web-federated") != cases[i].member)
            fail_msg("case %zu", i);
        const char *key = cases[i].mirrored ? "shop/web-east" : "shop/web-federated";
        assert_int_equal(scene_service(scene, key)->ports[0].port, 90 + i);
        assert_false(world_any_wants_listing(scene->world));
    }
}

/* One watch tells of two changes, of which the second takes the Service out of its sight, before the other tells of any. */
static void a_watch_that_is_late_is_waited_for(void **state)
{
    struct scene *scene = *state;
    struct feed *feed = open_scene(scene);
    scene_target(scene, 0, "shop/web v=101 p=http:81>8080" BOTH);
    scene_target(scene, 0, "shop/web v=102 p=http:82>8080 #~federated=member");
    hear(scene, feed, KIND_SERVICE);
    assert_false(world_any_wants_listing(scene->world));
    assert_int_equal(world_knowledge(scene->world, scene->links[0], WORLD_TARGET_SERVICES), WORLD_LISTED);
    hear(scene, feed, KIND_MEMBER);
    scene_settle(scene);
    assert_false(is_there(scene, "shop/web-east"));
    assert_int_equal(scene_service(scene, "shop/web-federated")->ports[0].port, 82);
}

static void a_listing_sweeps_what_its_own_watch_showed(void **state)
{
    struct scene *scene = *state;
    (void)open_scene(scene);
    list_empty(scene, WORLD_TARGET_SERVICES);
    assert_string_equal(plan(scene), "delete Service shop/web-east");
    list_empty(scene, WORLD_TARGET_MEMBERS);
    assert_string_equal(plan(scene), "delete Service shop/web-east;delete Service shop/web-federated");
}

static void nothing_goes_before_both_are_listed(void **state)
{
    static const enum object_kind orders[][2] = {{KIND_SERVICE, KIND_MEMBER}, {KIND_MEMBER, KIND_SERVICE}};
    struct scene *scene = *state;
    struct feed *feed = open_scene(scene);
    unsigned long writes = scene->writes;
    for (int i = 0; i < 2; i++) {
        scene_restart(scene);
        for (enum object_kind kind = 0; kind < KINDS; kind++)
            assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
        assert_int_equal(scene_list(scene, feed, KIND_SLICE), ERR_OK);
        assert_int_equal(scene_list(scene, feed, orders[i][0]), ERR_OK);
        assert_int_equal(world_knowledge(scene->world, scene->links[0], WORLD_TARGET_SERVICES), WORLD_UNKNOWN);
        assert_string_equal(plan(scene), "");
        assert_int_equal(scene_list(scene, feed, orders[i][1]), ERR_OK);
        assert_int_equal(world_knowledge(scene->world, scene->links[0], WORLD_TARGET_SERVICES), WORLD_LISTED);
        assert_string_equal(plan(scene), "");
        scene_settle(scene);
    }
    assert_int_equal(scene->writes, writes);
}

static void list_as_unreadable(struct scene *scene, enum world_collection collection)
{
    struct world_link *link = scene->links[0];
    world_begin(scene->world, link, collection);
    assert_int_equal(collection == WORLD_TARGET_MEMBERS ? world_target_member_unreadable(link, "shop", "web")
                                                        : world_target_unreadable(link, "shop", "web"),
                     ERR_OK);
    world_end(scene->world, link, collection);
}

static void what_either_cannot_read_stays(void **state)
{
    struct scene *scene = *state;
    (void)open_scene(scene);
    list_as_unreadable(scene, WORLD_TARGET_SERVICES);
    list_as_unreadable(scene, WORLD_TARGET_MEMBERS);
    assert_string_equal(plan(scene), "");
    /* A new agent, which was never told what it looks like. */
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    list_as_unreadable(scene, WORLD_TARGET_SERVICES);
    list_as_unreadable(scene, WORLD_TARGET_MEMBERS);
    list_empty(scene, WORLD_TARGET_SLICES);
    assert_string_equal(plan(scene), "");
    /* Each of what it alone can know. */
    list_empty(scene, WORLD_TARGET_SERVICES);
    assert_string_equal(plan(scene), "delete Service shop/web-east");
    list_empty(scene, WORLD_TARGET_MEMBERS);
    assert_string_equal(plan(scene), "delete Service shop/web-east;delete Service shop/web-federated");
}

static void another_way_of_watching_takes_nothing_away(void **state)
{
    struct scene *scene = *state;
    struct feed *feed = open_scene(scene);
    unsigned long writes = scene->writes;
    for (int i = 0; i < 4; i++) {
        scene->members_apart = !scene->members_apart;
        assert_int_equal(scene_declare(scene, 0), ERR_OK);
        assert_true(feed->apart == scene->members_apart && !feed->listed[KIND_SERVICE]);
        assert_int_equal(world_knowledge(scene->world, scene->links[0], WORLD_TARGET_SERVICES), WORLD_UNKNOWN);
        assert_string_equal(plan(scene), "");
        scene_settle(scene);
        assert_int_equal(world_knowledge(scene->world, scene->links[0], WORLD_TARGET_SERVICES), WORLD_LISTED);
    }
    assert_int_equal(scene->writes, writes);
    /* What went meanwhile is noticed by the listing. */
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    scene->members_apart = !scene->members_apart;
    assert_int_equal(scene_declare(scene, 0), ERR_OK);
    scene_settle(scene);
    assert_true(!is_there(scene, "shop/web-east") && !is_there(scene, "shop/web-federated"));
}

static void nothing_is_concluded_while_members_do_not_fit(void **state)
{
    struct scene *scene = *state;
    scene->config.max_link_bytes = 40000;
    scene_restart(scene);
    (void)open_scene(scene);
    const char *fill = arena_printf(&scene->arena, "%0*d", 30000, 0);
    struct world_link *link = scene->links[0];
    world_begin(scene->world, link, WORLD_TARGET_MEMBERS);
    assert_int_equal(world_target_member(link, WORLD_PUT,
                                         service_of(&scene->arena, "shop/large v=1 p=80 #~federated=member @fill=%s",
                                                    fill)),
                     ERR_LIMIT);
    assert_int_equal(world_link_left_out(link, WORLD_TARGET_MEMBERS), 1);
    /* Nothing is concluded from what is not there. */
    world_end(scene->world, link, WORLD_TARGET_MEMBERS);
    assert_string_equal(plan(scene), "");
    list_empty(scene, WORLD_TARGET_MEMBERS);
    assert_int_equal(world_link_left_out(link, WORLD_TARGET_MEMBERS), 0);
    assert_string_equal(plan(scene), "delete Service shop/web-federated");
    /* Who watches members no longer has nothing left out of them. */
    assert_int_equal(world_target_member(link, WORLD_PUT,
                                         service_of(&scene->arena, "shop/large v=1 p=80 #~federated=member @fill=%s",
                                                    fill)),
                     ERR_LIMIT);
    assert_int_equal(world_link_left_out(link, WORLD_TARGET_MEMBERS), 1);
    assert_int_equal(world_watch_members_apart(link, false), ERR_OK);
    assert_int_equal(world_link_left_out(link, WORLD_TARGET_MEMBERS), 0);
}

static void a_second_claim_has_to_fit_too(void **state)
{
    struct scene *scene = *state;
    scene->members_apart = true;
    scene_link(scene, 0, "east gw=203.0.113.7");
    struct world_link *link = scene->links[0];
    const struct service *web = service_of(&scene->arena, "shop/web v=1 p=80" BOTH);
    assert_int_equal(world_target_service(link, WORLD_PUT, web), ERR_OK);
    scene->config.max_link_bytes = world_link_bytes(link) + 100;
    scene_restart(scene);
    link = scene->links[0];
    assert_int_equal(world_target_service(link, WORLD_PUT, web), ERR_OK);
    assert_int_equal(world_target_member(link, WORLD_PUT, web), ERR_LIMIT);
    assert_true(world_link_bytes(link) <= scene->config.max_link_bytes);
    assert_int_equal(world_link_left_out(link, WORLD_TARGET_MEMBERS), 1);
    /* The first is shown again: it is kept, and fits. */
    assert_int_equal(world_target_service(link, WORLD_PUT, web), ERR_OK);
    assert_int_equal(world_link_left_out(link, WORLD_TARGET_SERVICES), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(either_watch_takes_away_what_it_alone_shows),
        SCENE(the_newer_version_counts_whoever_tells_of_it),
        SCENE(the_slower_watch_brings_nothing_old_back),
        SCENE(a_cluster_that_was_restored_is_believed),
        SCENE(what_a_restored_cluster_has_changed_is_learnt),
        SCENE(a_watch_that_is_late_is_waited_for),
        SCENE(a_listing_sweeps_what_its_own_watch_showed),
        SCENE(nothing_goes_before_both_are_listed),
        SCENE(what_either_cannot_read_stays),
        SCENE(another_way_of_watching_takes_nothing_away),
        SCENE(nothing_is_concluded_while_members_do_not_fit),
        SCENE(a_second_claim_has_to_fit_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
