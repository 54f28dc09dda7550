/* links: base mirror mirror_fixture.c mirror_scene.c */
/* mirror/world_budget.c: what a target that has too much costs, and whom; and the lanes of world_mirror.c, by which links take turns. */
#include <stdio.h>
#include <string.h>

#include "mirror/world.h"
#include "tests/unit/mirror_scene.h"
#include "tests/unit/sweep.h"

#define GATEWAY "gws/gw v=g1 lb=203.0.113.7 p=mc-gateway:4143 p=mc-probe:80 @~probe-path=/x"
#define EXPORTED "p=80 @~gateway-name=gw @~gateway-ns=gws"
#define LINK "west gw=203.0.113.9 probe=4191"

enum { LARGE = 15000 };

/* A world that keeps so much of each target, and knows two of them. */
static void open_world(struct scene *scene, size_t max_link_bytes)
{
    scene->config.max_link_bytes = max_link_bytes;
    scene_restart(scene);
    scene_secret(scene, 0, "east");
    scene_link(scene, 1, LINK);
    scene_target(scene, 0, GATEWAY);
}

/* A Service with an annotation of so many bytes. */
static enum err_code put(struct scene *scene, int target, const char *name, int bytes, const char *version)
{
    const char *fill = arena_printf(&scene->arena, "%0*d", bytes, 0);
    const char *words = target == 0 ? EXPORTED : "p=80 #~exported=true";
    const struct service *service = service_of(&scene->arena, "shop/%s v=%s %s @fill=%s", name, version, words, fill);
    return world_target_service(scene->links[target], WORLD_PUT, service);
}

static size_t left_out(const struct scene *scene, int target)
{
    return world_link_left_out(scene->links[target], WORLD_TARGET_SERVICES);
}

static void what_exceeds_the_bound_is_left_out_and_what_is_there_stays(void **state)
{
    struct scene *scene = *state;
    open_world(scene, 4 * LARGE);
    scene_hear(scene);
    assert_int_equal(put(scene, 0, "a", LARGE, "1"), ERR_OK);
    assert_int_equal(put(scene, 0, "b", LARGE, "1"), ERR_LIMIT);
    assert_int_equal(put(scene, 0, "a", 2 * LARGE, "2"), ERR_LIMIT); /* the old one stays */
    assert_int_equal(put(scene, 0, "a", LARGE - 1, "3"), ERR_OK);
    assert_int_equal(put(scene, 0, "small", 10, "1"), ERR_OK);
    assert_int_equal(left_out(scene, 0), 2);
    assert_true(world_link_bytes(scene->links[0]) > 2 * LARGE);
    assert_true(world_link_bytes(scene->links[0]) <= 4 * LARGE);
    assert_non_null(world_find_mirror(scene->world, "shop/a-east"));
    assert_null(world_find_mirror(scene->world, "shop/b-east"));
    /* Each link has its own. */
    assert_int_equal(put(scene, 1, "b", LARGE, "1"), ERR_OK);
    assert_int_equal(left_out(scene, 1), 0);
}

static void without_a_bound_everything_is_kept(void **state)
{
    struct scene *scene = *state;
    open_world(scene, 0);
    scene_hear(scene);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(put(scene, 0, arena_printf(&scene->arena, "s%u", i), LARGE, "1"), ERR_OK);
    assert_true(world_link_has_room(scene->links[0]));
    assert_true(world_link_bytes(scene->links[0]) > 200 * (size_t)LARGE);
}

static void bytes_go_with_what_they_were_counted_for(void **state)
{
    struct scene *scene = *state;
    open_world(scene, 100 * LARGE);
    scene_settle(scene);
    size_t before = world_link_bytes(scene->links[0]), of_west = world_link_bytes(scene->links[1]);
    scene_target(scene, 0, "shop/a v=1 " EXPORTED);
    scene_target(scene, 0, "shop/b v=1 " EXPORTED);
    scene_target(scene, 0, "other/gw v=1 lb=203.0.113.8 p=mc-gateway:4143");
    scene_target(scene, 1, "shop/web v=1 p=80 headless #~exported=true");
    scene_target_slice(scene, 1, "shop/web-1 svc=web web-0@10.0.0.1 web-1@10.0.0.2");
    scene_settle(scene);
    assert_int_equal(world_target_unreadable(scene->links[0], "shop", "c"), ERR_OK);
    assert_true(world_link_bytes(scene->links[0]) > before);
    assert_true(world_link_bytes(scene->links[1]) > of_west);
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/a");
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/b");
    scene_delete(&scene->targets[0], KIND_SERVICE, "other/gw");
    scene_delete(&scene->targets[1], KIND_SERVICE, "shop/web");
    scene_delete(&scene->targets[1], KIND_SLICE, "shop/web-1");
    scene_settle(scene);
    assert_int_equal(world_target_service(scene->links[0], WORLD_DELETED, service_of(&scene->arena, "shop/c v=9")),
                     ERR_OK);
    assert_int_equal(world_link_bytes(scene->links[0]), before);
    assert_int_equal(world_link_bytes(scene->links[1]), of_west);
}

/* Mirrors of an earlier run: of a service that is kept now, of one that is left out, and of one that is gone. */
static void nothing_is_deleted_while_the_view_is_incomplete(void **state)
{
    struct scene *scene = *state;
    const char *fill = arena_printf(&scene->arena, "%0*d", LARGE, 0);
    open_world(scene, 100 * LARGE);
    scene_namespace(scene, "shop");
    scene_target(scene, 0, "shop/a v=1 " EXPORTED " @fill=%s", fill);
    scene_target(scene, 0, "shop/b v=1 " EXPORTED " @fill=%s", fill);
    scene_target(scene, 0, "shop/gone v=1 " EXPORTED);
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/gone-east"));
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/gone");
    scene->config.max_link_bytes = 4 * LARGE;
    scene_restart(scene);
    scene_settle(scene);
    assert_int_equal(left_out(scene, 0), 1);
    assert_non_null(scene_service(scene, "shop/a-east"));
    assert_non_null(scene_service(scene, "shop/b-east"));
    assert_non_null(scene_service(scene, "shop/gone-east"));
    /* It shrinks; a listing finds that all fits. */
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/a");
    scene_settle(scene);
    assert_true(world_link_has_room(scene->links[0]));
    assert_non_null(scene_service(scene, "shop/a-east"));
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    assert_int_equal(left_out(scene, 0), 0);
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/a-east"));
    assert_null(scene_service(scene, "shop/gone-east"));
    assert_non_null(scene_service(scene, "shop/b-east"));
}

static void a_listing_under_way_does_not_make_the_view_complete(void **state)
{
    struct scene *scene = *state;
    open_world(scene, 4 * LARGE);
    scene_hear(scene);
    assert_int_equal(put(scene, 0, "a", LARGE, "1"), ERR_OK);
    assert_int_equal(put(scene, 0, "b", LARGE, "1"), ERR_LIMIT);
    world_begin(scene->world, scene->links[0], WORLD_TARGET_SERVICES);
    assert_int_equal(left_out(scene, 0), 1);
    world_begin(scene->world, scene->links[0], WORLD_TARGET_SERVICES); /* it broke */
    assert_int_equal(left_out(scene, 0), 1);
    assert_int_equal(put(scene, 0, "c", 10, "1"), ERR_OK);
    world_end(scene->world, scene->links[0], WORLD_TARGET_SERVICES);
    assert_int_equal(left_out(scene, 0), 0);
}

/* Services count as having endpoints, as where slices may not be read. */
static void slices_that_are_left_out_empty_nothing(void **state)
{
    struct scene *scene = *state;
    open_world(scene, 60000);
    scene_namespace(scene, "shop");
    scene_target(scene, 1, "shop/web v=1 p=80 #~exported=true");
    scene_target_slice(scene, 1, "shop/web-1 svc=web 10.0.0.1");
    scene_settle(scene);
    assert_int_equal(scene_slice(scene, "shop/web-west.ipv4")->endpoint_count, 1);
    enum err_code code = ERR_OK;
    for (unsigned i = 0; code == ERR_OK; i++)
        code = world_target_slice(scene->links[1], WORLD_PUT,
                                  slice_of(&scene->arena, "noise/n%u v=1 svc=n%u 10.0.0.9", i, i));
    assert_int_equal(code, ERR_LIMIT);
    scene_delete(&scene->targets[1], KIND_SLICE, "shop/web-1");
    scene_settle(scene);
    assert_int_equal(scene_slice(scene, "shop/web-west.ipv4")->endpoint_count, 1);
    assert_int_equal(scene_list(scene, &scene->target_feeds[1], KIND_SLICE), ERR_OK); /* the noise is gone */
    scene_settle(scene);
    assert_int_equal(world_knowledge(scene->world, scene->links[1], WORLD_TARGET_SLICES), WORLD_LISTED);
    const struct slice *slice = scene_slice(scene, "shop/web-west.ipv4");
    assert_true(slice == NULL || slice->endpoint_count == 0);
}

/* They are kept whatever else there is, up to a number of their own. */
static void gateways_have_a_bound_of_their_own(void **state)
{
    struct scene *scene = *state;
    open_world(scene, 4 * LARGE);
    scene_hear(scene);
    assert_int_equal(put(scene, 0, "a", LARGE, "1"), ERR_OK);
    assert_int_equal(put(scene, 0, "b", LARGE, "1"), ERR_LIMIT);
    enum err_code code = ERR_OK;
    unsigned count = 1; /* that of open_world() */
    for (; code == ERR_OK && count < 1000; count++)
        code =
            world_target_service(scene->links[0], WORLD_PUT,
                                 service_of(&scene->arena,
                                            "gws/gw%u v=1 lb=203.0.113.7 p=mc-gateway:4143 @~multicluster-gateway=true",
                                            count));
    assert_int_equal(code, ERR_LIMIT);
    assert_int_equal(count - 1, WORLD_MAX_GATEWAYS);
    /* One that is known may change. */
    assert_int_equal(
        world_target_service(scene->links[0], WORLD_PUT,
                             service_of(&scene->arena,
                                        "gws/gw1 v=2 lb=203.0.113.8 p=mc-gateway:4143 @~multicluster-gateway=true")),
        ERR_OK);
    /* What does not say that it is one is a Service like any other: there is no room for it. */
    assert_int_equal(world_target_service(scene->links[0], WORLD_PUT,
                                          service_of(&scene->arena, "gws/other v=1 p=mc-gateway:4143")),
                     ERR_LIMIT);
}

/* ---- lanes ---- */

static void links_take_turns(void **state)
{
    struct scene *scene = *state;
    open_world(scene, 0);
    for (unsigned i = 0; i < 1000; i++)
        scene_target(scene, 0, "shop/s%u v=1 " EXPORTED, i);
    scene_settle(scene);
    for (unsigned i = 0; i < 1000; i++) {
        char key[64];
        (void)snprintf(key, sizeof(key), "shop/s%u-east", i);
        world_mark(world_find_mirror(scene->world, key), false);
    }
    assert_int_equal(put(scene, 1, "one", 1, "1"), ERR_OK);
    assert_int_equal(put(scene, 1, "two", 1, "1"), ERR_OK);
    unsigned at[2] = {0};
    for (unsigned i = 1; at[1] == 0; i++) {
        struct mirror *mirror = world_pop(scene->world);
        assert_non_null(mirror);
        if (strstr(mirror_key(mirror), "-west") != NULL)
            at[at[0] == 0 ? 0 : 1] = i;
    }
    assert_in_range(at[0], 1, 3); /* east's, west's, and those that no link claims */
    assert_in_range(at[1], at[0] + 1, at[0] + 3);
}

/* So many of east's, s0 and so on, and web and api of west's. */
static void mirror_side_by_side(struct scene *scene, unsigned count)
{
    open_world(scene, 0);
    for (unsigned i = 0; i < count; i++)
        scene_target(scene, 0, "shop/s%u v=1 " EXPORTED, i);
    scene_target(scene, 1, "shop/web v=1 p=80 #~exported=true");
    scene_target(scene, 1, "shop/api v=1 p=80 #~exported=true");
    scene_settle(scene);
}

static void urgent_ones_take_turns_too_and_go_first(void **state)
{
    struct scene *scene = *state;
    mirror_side_by_side(scene, 10);
    for (unsigned i = 0; i < 10; i++) {
        char key[64];
        (void)snprintf(key, sizeof(key), "shop/s%u-east", i);
        world_mark(world_find_mirror(scene->world, key), i != 9);
    }
    world_mark(world_find_mirror(scene->world, "shop/api-west"), false);
    world_mark(world_find_mirror(scene->world, "shop/web-west"), true);
    assert_string_equal(mirror_key(world_pop(scene->world)), "shop/s0-east");
    assert_string_equal(mirror_key(world_pop(scene->world)), "shop/web-west");
    for (unsigned i = 1; i < 9; i++) {
        assert_true(world_is_urgent(scene->world));
        (void)world_pop(scene->world);
    }
    assert_false(world_is_urgent(scene->world));
    assert_int_equal(world_marked_count(scene->world), 2);
}

/* A first sync with its endpoints: all are urgent, and none is in anybody's use yet. */
static void what_is_not_there_yet_goes_before_its_own_links_others_only(void **state)
{
    struct scene *scene = *state;
    open_world(scene, 0);
    scene_target(scene, 0, "shop/old v=1 " EXPORTED);
    scene_target(scene, 0, "shop/used v=1 " EXPORTED);
    scene_target(scene, 1, "shop/old v=1 p=80 #~exported=true");
    scene_settle(scene);
    world_mark(world_find_mirror(scene->world, "shop/old-west"), false);
    world_mark(world_find_mirror(scene->world, "shop/old-east"), false);
    for (unsigned i = 0; i < 10; i++)
        scene_target(scene, 1, "shop/s%u v=1 p=80 #~exported=true", i);
    scene_hear(scene);
    for (unsigned i = 0; i < 10; i++)
        scene_target_slice(scene, 1, "shop/s%u-x v=1 svc=s%u 10.0.0.1", i, i);
    scene_hear(scene);
    assert_int_equal(world_marked_count(scene->world), 12);
    assert_false(world_is_urgent(scene->world));
    world_mark(world_find_mirror(scene->world, "shop/used-east"), true);
    static const char *const order[] = {"shop/used-east", "shop/s0-west", "shop/old-east", "shop/s1-west"};
    for (size_t i = 0; i < ARRAY_COUNT(order); i++) {
        assert_int_equal(world_is_urgent(scene->world), i == 0);
        assert_string_equal(mirror_key(world_pop(scene->world)), order[i]);
    }
    for (unsigned i = 2; i < 10; i++)
        assert_non_null(strstr(mirror_key(world_pop(scene->world)), "shop/s"));
    assert_string_equal(mirror_key(world_pop(scene->world)), "shop/old-west");
    assert_null(world_pop(scene->world));
}

static bool is_allowed(void *context, const struct world_link *link) { return link == context; }

static void only_some_links_may_be_asked_for(void **state)
{
    struct scene *scene = *state;
    open_world(scene, 0);
    scene_target(scene, 0, "shop/web v=1 " EXPORTED);
    scene_target(scene, 0, "shop/api v=1 " EXPORTED);
    scene_target(scene, 1, "shop/web v=1 p=80 #~exported=true");
    scene_settle(scene);
    world_mark(world_find_mirror(scene->world, "shop/web-east"), true);
    world_mark(world_find_mirror(scene->world, "shop/web-west"), false);
    world_mark(world_find_mirror(scene->world, "shop/api-east"), true);
    assert_null(world_pop_of(scene->world, is_allowed, scene->links[1])); /* east's are urgent */
    assert_string_equal(mirror_key(world_pop_of(scene->world, is_allowed, scene->links[0])), "shop/web-east");
    assert_string_equal(mirror_key(world_pop(scene->world)), "shop/api-east");
    assert_null(world_pop_of(scene->world, is_allowed, scene->links[0]));
    assert_string_equal(mirror_key(world_pop_of(scene->world, is_allowed, scene->links[1])), "shop/web-west");
    /* Nobody's. */
    scene_source(scene, "shop/old v=1 #~mirrored-service=true #~cluster-name=gone");
    scene_hear(scene);
    assert_null(world_pop_of(scene->world, is_allowed, scene->links[0]));
    assert_string_equal(mirror_key(world_pop_of(scene->world, is_allowed, NULL)), "shop/old");
}

static void expect_next(const struct scene *scene, const char *key)
{
    assert_string_equal(mirror_key(world_pop(scene->world)), key);
}

/* Of east's, twenty, most need no write. */
static void turns_are_of_writes(void **state)
{
    struct scene *scene = *state;
    mirror_side_by_side(scene, 20);
    for (unsigned urgent = 0; urgent < 2; urgent++) {
        for (unsigned i = 0; i < 20; i++)
            world_mark(world_find_mirror(scene->world, arena_printf(&scene->arena, "shop/s%u-east", i)), urgent);
        world_mark(world_find_mirror(scene->world, "shop/api-west"), urgent);
        world_mark(world_find_mirror(scene->world, "shop/web-west"), urgent);
        expect_next(scene, "shop/s0-east");
        expect_next(scene, "shop/api-west");
        for (unsigned i = 1; i <= 16; i++) {
            struct mirror *mirror = world_pop(scene->world);
            assert_string_equal(mirror_key(mirror), arena_printf(&scene->arena, "shop/s%u-east", i));
            world_return_turn(mirror);
        }
        struct mirror *last = world_pop(scene->world); /* one in sixteen counts */
        assert_string_equal(mirror_key(last), "shop/web-west");
        world_return_turn(last); /* of a link that has nothing more */
        for (unsigned i = 17; i < 20; i++)
            expect_next(scene, arena_printf(&scene->arena, "shop/s%u-east", i));
        assert_null(world_pop(scene->world));
    }
}

/* So that those that were begun are finished in their turn, and not after all that are less urgent. */
static void what_takes_several_writes_stays_as_urgent(void **state)
{
    struct scene *scene = *state;
    open_world(scene, 0);
    for (unsigned i = 0; i < 3; i++)
        scene_target(scene, 0, "shop/s%u v=1 " EXPORTED, i);
    scene_settle(scene);
    struct mirror *mirrors[3];
    for (unsigned i = 0; i < 3; i++)
        mirrors[i] = world_find_mirror(scene->world, arena_printf(&scene->arena, "shop/s%u-east", i));
    world_mark(mirrors[0], true);
    assert_ptr_equal(world_pop(scene->world), mirrors[0]);
    world_hold(mirrors[0]);
    world_mark(mirrors[0], false); /* what was written arrives */
    world_mark(mirrors[1], false);
    world_mark(mirrors[2], true);
    world_mark_again(mirrors[0]);
    world_release(mirrors[0]);
    assert_ptr_equal(world_pop(scene->world), mirrors[2]);
    assert_ptr_equal(world_pop(scene->world), mirrors[0]);
    assert_ptr_equal(world_pop(scene->world), mirrors[1]);
    world_mark_again(mirrors[1]);
    assert_false(world_is_urgent(scene->world));
    assert_ptr_equal(world_pop(scene->world), mirrors[1]);
    assert_null(world_pop(scene->world));
}

/* Its mirrors are nobody's then, and still marked. */
static void a_link_that_goes_leaves_its_marks(void **state)
{
    struct scene *scene = *state;
    open_world(scene, 0);
    scene_namespace(scene, "shop");
    scene_target(scene, 0, "shop/a v=1 " EXPORTED);
    scene_target(scene, 0, "shop/b v=1 " EXPORTED);
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/a-east"));
    scene_target(scene, 0, "shop/c v=1 " EXPORTED);
    scene_hear(scene);
    world_mark(world_find_mirror(scene->world, "shop/c-east"), true); /* not there yet */
    world_mark(world_find_mirror(scene->world, "shop/a-east"), true);
    world_mark(world_find_mirror(scene->world, "shop/b-east"), false);
    scene_unlink(scene, 0);
    assert_null(world_find_mirror(scene->world, "shop/c-east"));
    assert_true(world_marked_count(scene->world) >= 2);
    struct mirror *first = world_pop(scene->world);
    assert_string_equal(mirror_key(first), "shop/a-east");
    world_mark(first, true);
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/a-east"));
    assert_null(scene_service(scene, "shop/b-east"));
}

/* ---- want of memory ---- */

enum { MANY = 10, SMALL_BOUND = 20000 };

struct excess {
    struct link *link;
    const struct service *services[MANY];
};

static enum err_code exceed(void *context)
{
    static const struct world_config config = {.agent_namespace = "mc",
                                               .cluster_name = "",
                                               .max_link_bytes = SMALL_BOUND};
    const struct excess *excess = context;
    struct world *world = world_new(&config);
    struct world_link *link = NULL;
    if (world == NULL)
        return ERR_NOMEM;
    enum err_code code = world_put_link(world, excess->link, &link);
    for (unsigned i = 0; code == ERR_OK && i < MANY; i++) {
        const struct service *service = excess->services[i];
        code = world_target_service(link, WORLD_PUT, service);
        if (code == ERR_OK)
            code = world_target_unreadable(link, "unread", service->meta.name);
    }
    size_t kept = link != NULL ? world_link_bytes(link) : 0;
    world_free(world);
    if (kept > SMALL_BOUND)
        return ERR_INVALID;
    return code == ERR_LIMIT ? ERR_OK : code;
}

static void any_allocation_may_fail(void **state)
{
    struct scene *scene = *state;
    struct excess excess = {0};
    scene_link(scene, 1, LINK);
    excess.link = link_copy(scene->declarations[1]);
    assert_non_null(excess.link);
    for (unsigned i = 0; i < MANY; i++)
        excess.services[i] = service_of(&scene->arena, "shop/s%u v=1 p=80 #~exported=true", i);
    assert_true(sweep(exceed, &excess) > 20);
    link_free(excess.link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(what_exceeds_the_bound_is_left_out_and_what_is_there_stays),
        SCENE(without_a_bound_everything_is_kept),
        SCENE(bytes_go_with_what_they_were_counted_for),
        SCENE(nothing_is_deleted_while_the_view_is_incomplete),
        SCENE(a_listing_under_way_does_not_make_the_view_complete),
        SCENE(slices_that_are_left_out_empty_nothing),
        SCENE(gateways_have_a_bound_of_their_own),
        SCENE(links_take_turns),
        SCENE(urgent_ones_take_turns_too_and_go_first),
        SCENE(what_is_not_there_yet_goes_before_its_own_links_others_only),
        SCENE(only_some_links_may_be_asked_for),
        SCENE(turns_are_of_writes),
        SCENE(what_takes_several_writes_stays_as_urgent),
        SCENE(a_link_that_goes_leaves_its_marks),
        SCENE(any_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
