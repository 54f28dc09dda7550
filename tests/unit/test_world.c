/* links: base mirror mirror_fixture.c mirror_scene.c */
#include "mirror/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/mirror_scene.h"
#include "tests/unit/sweep.h"

#define GATEWAY "gws/gw v=g1 lb=203.0.113.7 p=mc-gateway:4143 p=mc-probe:80 @~probe-path=/x @~multicluster-gateway=true"
#define EXPORTED "@~gateway-name=gw @~gateway-ns=gws"
#define LINK "east gw=203.0.113.7 probe=4191"
#define MIRROR "#~mirrored-service=true #~cluster-name=east"

static struct mirror *mirror_of(struct scene *scene, const char *key)
{
    struct mirror *mirror = world_find_mirror(scene->world, key);
    assert_non_null(mirror);
    return mirror;
}

/* Takes all marks off; @return their keys in the order of popping. */
static const char *pop_all(struct scene *scene)
{
    const char *keys = "";
    for (struct mirror *mirror = world_pop(scene->world); mirror != NULL; mirror = world_pop(scene->world))
        keys = arena_printf(&scene->arena, "%s%s%s", keys, keys[0] != '\0' ? " " : "", mirror_key(mirror));
    assert_int_equal(world_marked_count(scene->world), 0);
    return keys;
}

static void put_source(struct scene *scene, const char *words)
{
    const struct service *service = service_of(&scene->arena, "%s " MIRROR, words);
    assert_int_equal(world_source_service(scene->world, WORLD_PUT, service), ERR_OK);
}

/* ---- marks ---- */

static bool is_other(void *context, const struct mirror *mirror) { return strcmp(mirror_key(mirror), context) != 0; }

static void those_that_are_chosen_are_marked(void **state)
{
    struct scene *scene = *state;
    char but[] = "ns/b";
    put_source(scene, "ns/a v=1");
    put_source(scene, "ns/b v=1");
    put_source(scene, "other/c v=1");
    (void)pop_all(scene);
    world_mark_if(scene->world, is_other, but);
    assert_string_equal(pop_all(scene), "ns/a other/c");
}

static void marks_are_popped_once_and_the_urgent_first(void **state)
{
    struct scene *scene = *state;
    put_source(scene, "ns/a v=1");
    put_source(scene, "ns/b v=1");
    put_source(scene, "ns/c v=1");
    assert_int_equal(world_marked_count(scene->world), 3);
    world_mark(mirror_of(scene, "ns/a"), false); /* twice is once */
    world_mark(mirror_of(scene, "ns/c"), true);
    assert_string_equal(pop_all(scene), "ns/c ns/a ns/b");
    world_mark(mirror_of(scene, "ns/b"), true);
    world_mark(mirror_of(scene, "ns/b"), false); /* stays urgent */
    world_mark(mirror_of(scene, "ns/a"), true);
    world_mark(mirror_of(scene, "ns/c"), false);
    assert_string_equal(pop_all(scene), "ns/b ns/a ns/c");
    assert_null(world_pop(scene->world));
}

static void what_is_marked_while_it_is_worked_on_comes_again(void **state)
{
    struct scene *scene = *state;
    put_source(scene, "ns/a v=1");
    struct mirror *mirror = world_pop(scene->world);
    world_mark(mirror, false);
    assert_ptr_equal(world_pop(scene->world), mirror);
    assert_null(world_pop(scene->world));
}

static void a_held_mirror_is_remembered_but_not_popped(void **state)
{
    struct scene *scene = *state;
    put_source(scene, "ns/a v=1");
    put_source(scene, "ns/b v=1");
    struct mirror *mirror = mirror_of(scene, "ns/a");
    world_hold(mirror);
    world_hold(mirror); /* twice is once */
    assert_true(mirror_held(mirror));
    assert_int_equal(world_marked_count(scene->world), 1);
    assert_string_equal(pop_all(scene), "ns/b");
    world_mark(mirror, true);
    world_mark(mirror_of(scene, "ns/b"), false);
    assert_string_equal(pop_all(scene), "ns/b");
    world_mark(mirror_of(scene, "ns/b"), false);
    world_release(mirror);
    world_release(mirror);
    assert_false(mirror_held(mirror));
    assert_string_equal(pop_all(scene), "ns/a ns/b"); /* still urgent */
    world_hold(mirror);
    world_release(mirror);
    assert_string_equal(pop_all(scene), "");
}

static void a_held_mirror_stays_when_nothing_is_known_of_it(void **state)
{
    struct scene *scene = *state;
    put_source(scene, "ns/a v=1");
    struct mirror *mirror = mirror_of(scene, "ns/a");
    int context;
    world_hold(mirror);
    mirror_set_context(mirror, &context);
    assert_int_equal(world_source_service(scene->world, WORLD_DELETED, service_of(&scene->arena, "ns/a")), ERR_OK);
    assert_ptr_equal(mirror_of(scene, "ns/a"), mirror);
    assert_null(mirror_service(mirror));
    world_release(mirror);
    assert_ptr_equal(mirror_of(scene, "ns/a"), mirror);
    assert_ptr_equal(mirror_context(mirror), &context);
    mirror_set_context(mirror, NULL);
    assert_null(world_find_mirror(scene->world, "ns/a"));
    assert_int_equal(world_marked_count(scene->world), 0);
    assert_int_equal(world_mirror_count(scene->world), 0);
}

struct seen {
    unsigned calls;
    struct mirror *last;
};

static void on_seen(void *context, struct mirror *mirror)
{
    struct seen *seen = context;
    seen->calls++;
    seen->last = mirror;
}

static void put_slice(struct scene *scene, const char *words)
{
    const struct slice *slice = slice_of(&scene->arena, "%s " MIRROR, words);
    assert_int_equal(world_source_slice(scene->world, WORLD_PUT, slice), ERR_OK);
}

static void the_effect_of_a_write_is_noticed_while_held(void **state)
{
    struct scene *scene = *state;
    struct seen seen = {0};
    world_on_seen(scene->world, on_seen, &seen);
    put_source(scene, "ns/a v=1");
    put_source(scene, "ns/b v=1");
    struct mirror *mirror = mirror_of(scene, "ns/a");
    assert_int_equal(seen.calls, 0);
    world_hold(mirror);
    put_source(scene, "ns/b v=2");
    assert_int_equal(seen.calls, 0);
    put_source(scene, "ns/a v=2");
    assert_int_equal(seen.calls, 1);
    assert_ptr_equal(seen.last, mirror);
    put_slice(scene, "ns/s v=7 svc=a");
    assert_int_equal(seen.calls, 2);
    assert_true(mirror_saw_version(mirror, "2"));
    assert_true(mirror_saw_version(mirror, "7"));
    assert_false(mirror_saw_version(mirror, "1"));
    put_source(scene, "ns/a v=2"); /* the same again is no news */
    assert_int_equal(seen.calls, 2);
    assert_int_equal(world_source_slice(scene->world, WORLD_DELETED, slice_of(&scene->arena, "ns/s svc=a")), ERR_OK);
    assert_int_equal(seen.calls, 3);
    /* Its namespace is news too: a write may wait for it. */
    assert_int_equal(world_source_namespace(scene->world, WORLD_PUT, namespace_of(&scene->arena, "/ns")), ERR_OK);
    assert_int_equal(seen.calls, 4);
    assert_int_equal(world_source_namespace(scene->world, WORLD_PUT, namespace_of(&scene->arena, "/ns2")), ERR_OK);
    assert_int_equal(seen.calls, 4);
    world_release(mirror);
    assert_false(mirror_saw_version(mirror, "2"));
    put_source(scene, "ns/a v=9");
    assert_int_equal(seen.calls, 4);
    world_on_seen(scene->world, NULL, NULL);
    world_hold(mirror);
    put_source(scene, "ns/a v=10");
    assert_true(mirror_saw_version(mirror, "10"));
    assert_false(mirror_saw_version(mirror, "9"));
    world_release(mirror);
}

static void the_last_versions_are_remembered_however_many_came(void **state)
{
    struct scene *scene = *state;
    put_source(scene, "ns/a v=0");
    struct mirror *mirror = mirror_of(scene, "ns/a");
    world_hold(mirror);
    for (unsigned i = 1; i <= 1000; i++) {
        char version[16], words[32];
        (void)snprintf(version, sizeof(version), "%u", i);
        (void)snprintf(words, sizeof(words), "ns/a v=%u", i);
        put_source(scene, words);
        assert_true(mirror_saw_version(mirror, version));
        (void)snprintf(version, sizeof(version), "%u", i > 3 ? i - 3 : 1);
        assert_true(mirror_saw_version(mirror, version));
    }
    assert_false(mirror_saw_version(mirror, "996"));
    world_release(mirror);
}

/* ---- the source ---- */

static void slices_belong_to_the_service_of_their_label(void **state)
{
    struct scene *scene = *state;
    put_slice(scene, "ns/s2 v=1 svc=a 10.0.0.1");
    put_slice(scene, "ns/s1 v=1 svc=a");
    put_slice(scene, "ns/s3 v=1 svc=a");
    struct mirror *mirror = mirror_of(scene, "ns/a");
    assert_int_equal(mirror_slice_count(mirror), 3);
    assert_string_equal(mirror_slice(mirror, 0)->meta.name, "s1"); /* in order of name */
    assert_string_equal(mirror_slice(mirror, 1)->meta.name, "s2");
    assert_string_equal(mirror_slice(mirror, 2)->meta.name, "s3");
    assert_null(mirror_slice(mirror, 3));
    (void)pop_all(scene);
    /* It moves: both are concerned. */
    put_slice(scene, "ns/s2 v=2 svc=b");
    assert_string_equal(pop_all(scene), "ns/a ns/b");
    assert_int_equal(mirror_slice_count(mirror), 2);
    assert_int_equal(mirror_slice_count(mirror_of(scene, "ns/b")), 1);
    put_slice(scene, "ns/s2 v=3 svc=a");
    assert_null(world_find_mirror(scene->world, "ns/b"));
    /* The label goes: it belongs to nobody. */
    put_slice(scene, "ns/s2 v=4");
    assert_int_equal(mirror_slice_count(mirror), 2);
    assert_int_equal(world_source_slice(scene->world, WORLD_DELETED, slice_of(&scene->arena, "ns/s1")), ERR_OK);
    assert_int_equal(world_source_slice(scene->world, WORLD_DELETED, slice_of(&scene->arena, "ns/s3")), ERR_OK);
    assert_int_equal(world_source_slice(scene->world, WORLD_DELETED, slice_of(&scene->arena, "ns/none")), ERR_OK);
    assert_int_equal(world_mirror_count(scene->world), 0);
}

static void a_listing_sweeps_what_it_did_not_hold(void **state)
{
    struct scene *scene = *state;
    struct world *world = scene->world;
    for (int listing = 0; listing < 3; listing++) {
        world_begin(world, NULL, WORLD_SOURCE_SERVICES);
        world_begin(world, NULL, WORLD_SOURCE_SLICES);
        world_begin(world, NULL, WORLD_SOURCE_NAMESPACES);
        put_source(scene, "ns/stays v=1");
        put_slice(scene, "ns/stays-1 v=1 svc=stays");
        assert_int_equal(world_source_namespace(world, WORLD_PUT, namespace_of(&scene->arena, "/ns")), ERR_OK);
        if (listing == 1) {
            put_source(scene, "ns/goes v=1");
            put_slice(scene, "ns/goes-1 v=1 svc=goes");
            put_slice(scene, "ns/stays-2 v=1 svc=stays");
            assert_int_equal(world_source_namespace(world, WORLD_PUT,
                                                    namespace_of(&scene->arena, "/other terminating")),
                             ERR_OK);
        }
        (void)pop_all(scene);
        world_end(world, NULL, WORLD_SOURCE_SERVICES);
        world_end(world, NULL, WORLD_SOURCE_SLICES);
        world_end(world, NULL, WORLD_SOURCE_NAMESPACES);
        assert_int_equal(world_collection_size(world, NULL, WORLD_SOURCE_SERVICES), listing == 1 ? 2 : 1);
        assert_int_equal(world_collection_size(world, NULL, WORLD_SOURCE_SLICES), listing == 1 ? 3 : 1);
        assert_int_equal(world_collection_size(world, NULL, WORLD_SOURCE_NAMESPACES), listing == 1 ? 2 : 1);
        assert_int_equal(world_namespace_state(world, "ns"), WORLD_NAMESPACE_ACTIVE);
        assert_int_equal(world_namespace_state(world, "other"),
                         listing == 1 ? WORLD_NAMESPACE_TERMINATING : WORLD_NAMESPACE_ABSENT);
        /* The first listing concerns all; a later one what went. */
        assert_string_equal(pop_all(scene), listing == 2 ? "ns/stays" : listing == 1 ? "" : "ns/stays");
    }
    assert_null(world_find_mirror(world, "ns/goes"));
}

static void a_listing_that_broke_off_sweeps_nothing(void **state)
{
    struct scene *scene = *state;
    world_begin(scene->world, NULL, WORLD_SOURCE_SERVICES);
    put_source(scene, "ns/a v=1");
    put_source(scene, "ns/b v=1");
    world_end(scene->world, NULL, WORLD_SOURCE_SERVICES);
    world_begin(scene->world, NULL, WORLD_SOURCE_SERVICES);
    put_source(scene, "ns/a v=1");
    world_begin(scene->world, NULL, WORLD_SOURCE_SERVICES);
    put_source(scene, "ns/b v=1");
    assert_int_equal(world_collection_size(scene->world, NULL, WORLD_SOURCE_SERVICES), 2);
    world_end(scene->world, NULL, WORLD_SOURCE_SERVICES);
    assert_null(world_find_mirror(scene->world, "ns/a"));
}

static void knowledge_only_grows(void **state)
{
    struct scene *scene = *state;
    struct world *world = scene->world;
    assert_int_equal(world_knowledge(world, NULL, WORLD_SOURCE_NAMESPACES), WORLD_UNKNOWN);
    world_begin(world, NULL, WORLD_SOURCE_NAMESPACES);
    assert_int_equal(world_knowledge(world, NULL, WORLD_SOURCE_NAMESPACES), WORLD_UNKNOWN);
    world_set_unavailable(world, NULL, WORLD_SOURCE_NAMESPACES);
    assert_int_equal(world_knowledge(world, NULL, WORLD_SOURCE_NAMESPACES), WORLD_UNAVAILABLE);
    world_begin(world, NULL, WORLD_SOURCE_NAMESPACES);
    world_end(world, NULL, WORLD_SOURCE_NAMESPACES);
    assert_int_equal(world_knowledge(world, NULL, WORLD_SOURCE_NAMESPACES), WORLD_LISTED);
    world_set_unavailable(world, NULL, WORLD_SOURCE_NAMESPACES);
    assert_int_equal(world_knowledge(world, NULL, WORLD_SOURCE_NAMESPACES), WORLD_LISTED);
    scene_link(scene, 0, LINK);
    assert_int_equal(world_knowledge(world, scene->links[0], WORLD_TARGET_SLICES), WORLD_UNKNOWN);
    world_set_unavailable(world, scene->links[0], WORLD_TARGET_SLICES);
    assert_int_equal(world_knowledge(world, scene->links[0], WORLD_TARGET_SLICES), WORLD_UNAVAILABLE);
    assert_int_equal(world_knowledge(world, scene->links[0], WORLD_TARGET_SERVICES), WORLD_UNKNOWN);
}

static void a_namespace_concerns_its_mirrors_alone(void **state)
{
    struct scene *scene = *state;
    put_source(scene, "ns/a v=1");
    put_source(scene, "ns/b v=1");
    put_source(scene, "ns-2/a v=1");
    put_source(scene, "n/a v=1");
    (void)pop_all(scene);
    assert_int_equal(world_source_namespace(scene->world, WORLD_PUT, namespace_of(&scene->arena, "/ns")), ERR_OK);
    assert_string_equal(pop_all(scene), "ns/a ns/b");
    assert_int_equal(world_source_namespace(scene->world, WORLD_PUT, namespace_of(&scene->arena, "/ns")), ERR_OK);
    assert_string_equal(pop_all(scene), "");
    assert_int_equal(world_source_namespace(scene->world, WORLD_PUT, namespace_of(&scene->arena, "/ns terminating")),
                     ERR_OK);
    assert_string_equal(pop_all(scene), "ns/a ns/b");
    assert_int_equal(world_source_namespace(scene->world, WORLD_DELETED, namespace_of(&scene->arena, "/ns")), ERR_OK);
    assert_string_equal(pop_all(scene), "ns/a ns/b");
    assert_int_equal(world_source_namespace(scene->world, WORLD_DELETED, namespace_of(&scene->arena, "/ns")), ERR_OK);
    assert_string_equal(pop_all(scene), "");
}

/* ---- targets and claims ---- */

static void put_target(struct scene *scene, const char *words)
{
    const struct service *service = service_of(&scene->arena, "%s", words);
    assert_int_equal(world_target_service(scene->links[0], WORLD_PUT, service), ERR_OK);
}

static const char *claims_of(struct scene *scene)
{
    const char *text = "";
    for (struct claim *claim = world_first_claim(scene->links[0]); claim != NULL; claim = world_next_claim(claim)) {
        assert_int_equal(claim_kind(claim), CLAIM_SERVICE);
        assert_ptr_equal(claim_link(claim), scene->links[0]);
        const struct service *service = claim_service(claim);
        text = arena_printf(&scene->arena, "%s%s%s/%s", text, text[0] != '\0' ? " " : "", service->meta.namespace,
                            service->meta.name);
    }
    return text;
}

static void exported_services_are_claims_in_order(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    assert_string_equal(claims_of(scene), "");
    put_target(scene, "b/web v=1 p=80 " EXPORTED);
    put_target(scene, "a/web v=1 p=80 " EXPORTED);
    put_target(scene, "a/api v=1 p=80 " EXPORTED);
    put_target(scene, "a/not v=1 p=80");
    put_target(scene, "a/half v=1 p=80 @~gateway-name=gw");
    put_target(scene, "a/empty v=1 p=80 @~gateway-name= @~gateway-ns=gws");
    put_target(scene, GATEWAY);
    assert_string_equal(claims_of(scene), "a/api a/web b/web");
    assert_int_equal(world_collection_size(scene->world, scene->links[0], WORLD_TARGET_SERVICES), 4);
    struct claim *claim = world_first_claim(scene->links[0]);
    assert_string_equal(mirror_key(claim_mirror(claim)), "a/api-east");
    assert_ptr_equal(mirror_first_claim(mirror_of(scene, "a/api-east")), claim);
    assert_null(mirror_next_claim(claim));
    assert_string_equal(world_gateway_spec(claim_gateway(claim))->name, "gw");
    assert_int_equal(world_gateway_service_count(claim_gateway(claim)), 3);
    struct claim *own = mirror_first_claim(mirror_of(scene, "l5d-mc/gw-east"));
    assert_int_equal(claim_kind(own), CLAIM_GATEWAY);
    assert_null(claim_service(own));
    assert_ptr_equal(claim_gateway(own), claim_gateway(claim));
    /* A listing without two of them. */
    world_begin(scene->world, scene->links[0], WORLD_TARGET_SERVICES);
    put_target(scene, "a/web v=1 p=80 " EXPORTED);
    put_target(scene, "b/web v=2 p=80 " EXPORTED);
    world_end(scene->world, scene->links[0], WORLD_TARGET_SERVICES);
    assert_string_equal(claims_of(scene), "a/web b/web");
    assert_null(world_find_mirror(scene->world, "l5d-mc/gw-east"));
    assert_int_equal(world_collection_size(scene->world, scene->links[0], WORLD_TARGET_SERVICES), 2);
}

static void statuses_are_recorded_and_tell_what_changed(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    put_target(scene, "a/web v=1 p=80 " EXPORTED);
    struct claim *claim = world_first_claim(scene->links[0]);
    const struct claim_status *status = claim_status(claim);
    assert_false(status->mirrored);
    assert_string_equal(status->reason, "Pending");
    assert_string_equal(status->message, "");
    char message[] = "because";
    assert_true(claim_set_status(claim, false, "Error", message, 5));
    message[0] = 'B'; /* it has a copy */
    assert_string_equal(status->message, "because");
    assert_int_equal(status->since_us, 5);
    assert_false(claim_set_status(claim, false, "Error", "because", 6));
    assert_int_equal(status->since_us, 5);
    assert_true(claim_set_status(claim, false, "Error", "otherwise", 7));
    assert_int_equal(status->since_us, 5); /* since the reason changed */
    /* Its own message may be given back. */
    assert_true(claim_set_status(claim, true, "Mirrored", status->message, 8));
    assert_string_equal(status->message, "otherwise");
    assert_int_equal(status->since_us, 8);
    assert_true(claim_set_status(claim, true, "Mirrored", "", 9));
    assert_string_equal(status->message, "");
    mem_fail_at(1);
    assert_true(claim_set_status(claim, false, "Error", "no room", 10));
    mem_fail_at(0);
    assert_string_equal(status->message, "");
    assert_string_equal(status->reason, "Error");
}

/* ---- gateways ---- */

struct told {
    struct arena *arena;
    const char *text;
};

static void on_gateway(void *context, struct world_gateway *gateway, bool removed)
{
    struct told *told = context;
    const struct gateway_spec *spec = world_gateway_spec(gateway);
    told->text = arena_printf(told->arena, "%s%s%s/%s", told->text,
                              removed        ? " -"
                              : spec->exists ? " +"
                                             : " ?",
                              spec->namespace, spec->name);
}

static const char *take_told(struct told *told)
{
    const char *text = told->text;
    told->text = "";
    return text;
}

static void gateways_are_announced_and_taken_back(void **state)
{
    struct scene *scene = *state;
    struct told told = {&scene->arena, ""};
    scene->config.on_gateway = on_gateway;
    scene->config.context = &told;
    scene_restart(scene);
    scene_secret(scene, 0, "east");
    assert_string_equal(take_told(&told), "");
    put_target(scene, "a/web v=1 p=80 " EXPORTED);
    assert_string_equal(take_told(&told), " ?gws/gw");
    put_target(scene, "a/api v=1 p=80 " EXPORTED);
    assert_string_equal(take_told(&told), "");
    put_target(scene, GATEWAY);
    assert_string_equal(take_told(&told), " +gws/gw");
    put_target(scene, GATEWAY);
    assert_string_equal(take_told(&told), "");
    put_target(scene, "gws/gw v=g2 lb=203.0.113.7 p=mc-gateway:4143 @~multicluster-gateway=true");
    assert_string_equal(take_told(&told), " +gws/gw");
    put_target(scene, "other/gw v=1 p=mc-gateway:4143 @~multicluster-gateway=true");
    assert_string_equal(take_told(&told), " +other/gw");
    put_target(scene, "a/web v=2 p=80 @~gateway-name=gw @~gateway-ns=other");
    put_target(scene, "a/api v=2 p=80 @~gateway-name=gw @~gateway-ns=nowhere");
    assert_string_equal(take_told(&told), " ?nowhere/gw");
    put_target(scene, "a/api v=3 p=80");
    assert_string_equal(take_told(&told), " -nowhere/gw");
    struct world_link *link = scene->links[0];
    assert_int_equal(world_target_service(link, WORLD_DELETED, service_of(&scene->arena, "gws/gw")), ERR_OK);
    assert_string_equal(take_told(&told), " ?gws/gw -gws/gw");
    assert_int_equal(world_target_service(link, WORLD_DELETED, service_of(&scene->arena, "other/gw")), ERR_OK);
    assert_string_equal(take_told(&told), " ?other/gw"); /* still named */
    assert_int_equal(world_target_service(link, WORLD_DELETED, service_of(&scene->arena, "a/web")), ERR_OK);
    assert_string_equal(take_told(&told), " -other/gw");
    scene_unlink(scene, 0);
    assert_string_equal(take_told(&told), "");
    scene_link(scene, 0, LINK);
    assert_string_equal(take_told(&told), " +l5d-mc/link0");
    scene_link(scene, 0, LINK " age=9");
    assert_string_equal(take_told(&told), "");
    scene_link(scene, 0, LINK " identity=x");
    assert_string_equal(take_told(&told), " +l5d-mc/link0");
    scene_unlink(scene, 0);
    assert_string_equal(take_told(&told), " -l5d-mc/link0");
    scene_link(scene, 0, LINK);
    (void)take_told(&told);
    world_free(scene->world);
    assert_string_equal(take_told(&told), " -l5d-mc/link0");
    scene->world = NULL;
    scene->config.on_gateway = NULL;
}

static const char *addresses_of(struct scene *scene, const struct world_gateway *gateway)
{
    static const char *const words[] = {"?", "+", "-"};
    uint32_t count;
    const struct world_address *addresses = world_gateway_addresses(gateway, &count);
    const char *text = "";
    for (uint32_t i = 0; i < count; i++)
        text = arena_printf(&scene->arena, "%s%s%s%s", text, i > 0 ? " " : "", words[addresses[i].liveness],
                            addresses[i].text);
    return text;
}

static void addresses_are_canonical_sorted_and_keep_their_liveness(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=gw.example probe=4191");
    scene_target(scene, 0, "shop/web v=1 p=80 #~exported=true");
    scene_hear(scene);
    struct world_gateway *gateway = world_first_gateway(scene->links[0]);
    assert_null(world_next_gateway(gateway));
    assert_ptr_equal(world_gateway_link(gateway), scene->links[0]);
    (void)pop_all(scene);
    static const char *const first[] = {"2001:DB8:0::1", "203.0.113.9", "203.0.113.10",
                                        "nonsense",      "203.0.113.9", "::ffff:203.0.113.9"};
    assert_int_equal(world_gateway_set_addresses(gateway, first, ARRAY_COUNT(first)), ERR_OK);
    assert_string_equal(addresses_of(scene, gateway), "?203.0.113.10 ?203.0.113.9 ?2001:db8::1");
    assert_string_equal(pop_all(scene), "l5d-mc/probe-link0 shop/web-east");
    world_gateway_set_liveness(gateway, "203.0.113.9", WORLD_ALIVE);
    assert_string_equal(pop_all(scene), "l5d-mc/probe-link0 shop/web-east");
    world_gateway_set_liveness(gateway, "203.0.113.9", WORLD_ALIVE);
    world_gateway_set_liveness(gateway, "203.0.113.99", WORLD_DEAD);
    assert_string_equal(pop_all(scene), "");
    world_gateway_set_liveness(gateway, "2001:db8::1", WORLD_DEAD);
    (void)pop_all(scene);
    static const char *const again[] = {"203.0.113.10", "2001:db8::1", "203.0.113.9"};
    assert_int_equal(world_gateway_set_addresses(gateway, again, ARRAY_COUNT(again)), ERR_OK);
    assert_string_equal(pop_all(scene), ""); /* the same */
    assert_string_equal(addresses_of(scene, gateway), "?203.0.113.10 +203.0.113.9 -2001:db8::1");
    assert_int_equal(world_gateway_set_addresses(gateway, again + 1, 1), ERR_OK);
    assert_string_equal(addresses_of(scene, gateway), "-2001:db8::1");
    assert_string_equal(pop_all(scene), "l5d-mc/probe-link0 shop/web-east");
    assert_int_equal(world_gateway_set_addresses(gateway, NULL, 0), ERR_OK);
    assert_string_equal(addresses_of(scene, gateway), "");
    int context;
    assert_null(world_gateway_context(gateway));
    world_gateway_set_context(gateway, &context);
    assert_ptr_equal(world_gateway_context(gateway), &context);
}

static void a_verdict_concerns_the_mirrors_of_its_gateway_alone(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_link(scene, 1, "west gw=203.0.113.7 probe=4191");
    scene_target(scene, 0, GATEWAY);
    scene_target(scene, 0, "other/gw v=1 lb=203.0.113.8 p=mc-gateway:4143 p=mc-probe:80 @~probe-path=/x");
    scene_target(scene, 0, "shop/a v=1 p=80 " EXPORTED);
    scene_target(scene, 0, "shop/b v=1 p=80 @~gateway-name=gw @~gateway-ns=other");
    scene_target(scene, 1, "shop/c v=1 p=80 #~exported=true");
    scene_settle(scene);
    for (struct world_gateway *gateway = world_first_gateway(scene->links[0]); gateway != NULL;
         gateway = world_next_gateway(gateway))
        if (strcmp(world_gateway_spec(gateway)->namespace, "gws") == 0)
            world_gateway_set_liveness(gateway, "203.0.113.7", WORLD_DEAD);
    assert_string_equal(pop_all(scene), "l5d-mc/gw-east shop/a-east");
}

/* ---- links ---- */

static void links_are_found_and_walked_in_order(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 2, "c");
    scene_secret(scene, 1, "b");
    scene_link(scene, 0, "a");
    struct world_link *link = world_first_link(scene->world);
    assert_string_equal(world_link_declaration(link)->id, "link/link0");
    assert_ptr_equal(world_find_link(scene->world, "link/link0"), link);
    link = world_next_link(link);
    assert_string_equal(world_link_declaration(link)->id, "link/link2");
    link = world_next_link(link);
    assert_string_equal(world_link_declaration(link)->id, "secret/cluster-credentials-1");
    assert_null(world_next_link(link));
    assert_null(world_find_link(scene->world, "link/none"));
    world_remove_link(scene->world, NULL);
    world_free(NULL);
}

static void a_removed_link_leaves_nothing_behind(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_link(scene, 1, "west gw=203.0.113.7 probe=4191");
    scene_target(scene, 0, GATEWAY);
    scene_target(scene, 0, "shop/a v=1 p=80 " EXPORTED);
    scene_target(scene, 1, "shop/c v=1 p=80 #~exported=true");
    scene_target_slice(scene, 1, "shop/c-1 svc=c 10.0.0.1");
    scene_target_slice(scene, 1, "shop/c-2 svc=c 10.0.0.1");
    scene_settle(scene);
    assert_int_equal(world_mirror_count(scene->world), 4);
    assert_int_equal(world_collection_size(scene->world, scene->links[1], WORLD_TARGET_SLICES), 2);
    scene_unlink(scene, 0);
    scene_unlink(scene, 1);
    scene_settle(scene);
    assert_int_equal(world_mirror_count(scene->world), 0);
    assert_null(world_first_link(scene->world));
}

/* ---- out of memory ---- */

static enum err_code make_world(void *context)
{
    (void)context;
    const struct world_config config = {.agent_namespace = "l5d-mc"};
    struct world *world = world_new(&config);
    world_free(world);
    return world != NULL ? ERR_OK : ERR_NOMEM;
}

static void a_world_is_made_whole_or_not_at_all(void **state)
{
    (void)state;
    assert_true(sweep(make_world, NULL) > 1);
}

struct change {
    int target; /* -1: in the source */
    enum object_kind kind;
    const char *words;   /* of an object, or the key of one that goes */
    const char *declare; /* instead: a Link of the target */
    bool deleted;
    bool takes; /* endpoints or mirrors go with it */
};

/* Everything that allocates: new objects, changed ones, ones that move, gateways, links that change. */
static const struct change script[] = {
    {0, KIND_SERVICE, GATEWAY, NULL, false, false},
    {0, KIND_SERVICE, "shop/a v=1 p=80 " EXPORTED, NULL, false, false},
    {0, KIND_SERVICE, "late/b v=1 p=80 " EXPORTED, NULL, false, false},
    {0, KIND_SERVICE, "gws/self v=1 lb=203.0.113.9 p=mc-gateway:1 @~gateway-name=self @~gateway-ns=gws", NULL, false,
     false},
    {1, KIND_SERVICE, "shop/web v=1 p=80 #~exported=true", NULL, false, false},
    {1, KIND_SERVICE, "shop/both v=1 p=80 #~exported=true #~federated=member", NULL, false, false},
    {1, KIND_SERVICE, "shop/both v=2 p=81 #~exported=true #~federated=member", NULL, false, false},
    {1, KIND_SLICE, "shop/web-1 svc=web 10.0.0.1", NULL, false, false},
    {1, KIND_SLICE, "shop/web-1 svc=web 10.0.0.1 !10.0.0.2", NULL, false, false},
    {1, KIND_SLICE, "shop/web-2 svc=web 10.0.0.3", NULL, false, false},
    {1, KIND_SLICE, "shop/web-2 svc=other 10.0.0.3", NULL, false, false},
    {0, KIND_SERVICE, "shop/a v=2 p=80 p=x:81 " EXPORTED, NULL, false, false},
    {0, KIND_SERVICE, "gws/gw v=g2 lb=203.0.113.7 p=mc-gateway:4143 p=mc-probe:81 @~probe-path=/y", NULL, false, false},
    {1, KIND_SERVICE, NULL, "west gw=203.0.113.7,2001:db8::1 probe=4191 identity=new", false, false},
    {1, KIND_SERVICE, NULL, "north gw=203.0.113.7 probe=4191", false, true},
    {0, KIND_SERVICE, "gws/gw", NULL, true, true},
    {0, KIND_SERVICE, GATEWAY, NULL, false, false},
    {1, KIND_SERVICE, GATEWAY, NULL, false, false},
    {1, KIND_SERVICE, NULL, "north ref=gws/gw", false, true},
    {1, KIND_SERVICE, "gws/gw v=g2 lb=203.0.113.7 p=mc-gateway:5143 p=mc-probe:81 @~probe-path=/y", NULL, false, false},
    {1, KIND_SERVICE, "gws/gw", NULL, true, true},
    {1, KIND_SERVICE, GATEWAY, NULL, false, false},
    {1, KIND_SERVICE, NULL, "north ref=gws/gw gw=203.0.113.7", false, true},
    {0, KIND_SERVICE, "shop/a v=3 p=80 @~gateway-name=self @~gateway-ns=gws", NULL, false, true},
    {0, KIND_SERVICE, "late/b v=2 p=80", NULL, false, true},
    {1, KIND_SLICE, "shop/web-1", NULL, true, true},
    {1, KIND_SERVICE, "shop/web", NULL, true, true},
    {1, KIND_SERVICE, "shop/both v=3 p=81 #~federated=member", NULL, false, true},
    {1, KIND_SERVICE, "shop/both v=4 p=81 #~exported=true", NULL, false, true},
    {1, KIND_SERVICE, "shop/both v=5 p=81 #~exported=true #~federated=member", NULL, false, false},
};

struct ordeal {
    struct scene scene;
    bool takes; /* the change that is under way */
    bool lost;  /* a fact was lost and not read again yet */
};

/* Between the loss and the next listing nothing may be taken away. */
static bool takes_away(void *context, const struct write *write)
{
    const struct ordeal *ordeal = context;
    if (!ordeal->lost)
        return false;
    if (write->verb == WRITE_DELETE)
        return true;
    for (uint32_t i = 0;
         write->verb == WRITE_UPDATE && write->kind == WRITE_SLICE && i < write->old_slice->endpoint_count; i++) {
        const struct slice_endpoint *old = &write->old_slice->endpoints[i];
        bool kept = !old->ready;
        for (uint32_t j = 0; j < write->slice->endpoint_count && !kept; j++)
            kept = write->slice->endpoints[j].ready && strcmp(write->slice->endpoints[j].address, old->address) == 0;
        if (!kept)
            return true;
    }
    return false;
}

static void deliver(struct ordeal *ordeal, struct feed *feed, enum object_kind kind)
{
    struct scene *scene = &ordeal->scene;
    bool is_first = !feed->listed[kind];
    enum err_code code = is_first ? scene_list(scene, feed, kind) : ERR_OK;
    while (code == ERR_OK && scene_is_behind(feed, kind))
        code = scene_step(scene, feed, kind);
    if (code == ERR_OK)
        return;
    assert_int_equal(code, ERR_NOMEM);
    bool was_lost = ordeal->lost;
    ordeal->lost = !ordeal->takes;
    for (int i = 0; i < 10; i++)
        (void)scene_work(scene);
    assert_int_equal(scene_list(scene, feed, kind), ERR_OK);
    ordeal->lost = was_lost;
}

static void hear_and_work(struct ordeal *ordeal)
{
    struct scene *scene = &ordeal->scene;
    for (int i = 0; i < 60; i++) {
        for (enum object_kind kind = 0; kind < KINDS; kind++)
            deliver(ordeal, &scene->source_feed, kind);
        for (int target = 0; target < 2; target++) {
            deliver(ordeal, &scene->target_feeds[target], KIND_SERVICE);
            if (scene->target_feeds[target].apart)
                deliver(ordeal, &scene->target_feeds[target], KIND_MEMBER);
            if (target == 1)
                deliver(ordeal, &scene->target_feeds[target], KIND_SLICE);
        }
        scene_probe(scene);
        bool worked = false;
        for (int j = 0; j < 4; j++)
            worked = scene_work(scene) || worked;
        if (!worked)
            return;
    }
    fail_msg("the work never ends");
}

static void put(struct scene *scene, const struct change *change)
{
    if (change->deleted)
        scene_delete(&scene->targets[change->target], change->kind, change->words);
    else if (change->kind == KIND_SERVICE)
        scene_target(scene, change->target, "%s", change->words);
    else
        scene_target_slice(scene, change->target, "%s", change->words);
}

/* The caller of world_put_link() tries again. */
static void redeclare(struct scene *scene, int target)
{
    enum err_code code = scene_declare(scene, target);
    if (code == ERR_OK)
        return;
    assert_int_equal(code, ERR_NOMEM);
    for (int i = 0; i < 10; i++)
        (void)scene_work(scene);
    assert_int_equal(scene_declare(scene, target), ERR_OK);
}

static void restart(struct ordeal *ordeal)
{
    struct scene *scene = &ordeal->scene;
    ordeal->takes = false;
    ordeal->lost = true; /* everything was; and all of it is right */
    scene_restart_alone(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        if (scene_list(scene, &scene->source_feed, kind) != ERR_OK)
            assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
}

static void declare_both(struct scene *scene)
{
    redeclare(scene, 0);
    redeclare(scene, 1);
    world_set_unavailable(scene->world, scene->links[0], WORLD_TARGET_SLICES);
    world_set_links_complete(scene->world, true);
}

enum { STEPS = ARRAY_COUNT(script) + 2 }; /* before it, both links; after it, a new agent */

static void take_step(struct ordeal *ordeal, size_t step, const struct link *const declarations[2])
{
    struct scene *scene = &ordeal->scene;
    const struct change *change = &script[step > 0 ? step - 1 : 0];
    if (step == 0 || step == STEPS - 1) {
        declare_both(scene);
    } else if (change->declare != NULL) {
        scene->declarations[1] = declarations[change->declare[0] == 'n'];
        redeclare(scene, 1);
    } else {
        put(scene, change);
    }
    hear_and_work(ordeal);
}

/* Fails allocation `n` from step `from` on; what the source cluster holds after each step has to be `right`, or becomes that when
 * `from` is none. @return whether an allocation failed. */
static bool go_through(unsigned long n, size_t from, bool members_apart, char *right[STEPS])
{
    static struct ordeal ordeal;
    struct scene *scene = &ordeal.scene;
    bool failed = false;
    ordeal.lost = false;
    scene_init(scene);
    scene->members_apart = members_apart;
    scene->forbid = takes_away;
    scene->forbid_context = &ordeal;
    /* The declarations are made before anything fails. */
    scene_link(scene, 1, "north gw=203.0.113.7 probe=4191 name=far-{name} map=shop=l5d-mc");
    const struct link *north = scene->declarations[1];
    scene_link(scene, 1, "west gw=203.0.113.7,2001:db8::1 probe=4191 identity=new");
    const struct link *const declarations[2] = {scene->declarations[1], north};
    scene_link(scene, 1, "west gw=203.0.113.7 probe=4191");
    scene_secret(scene, 0, "east");
    scene_restart_alone(scene);
    for (size_t step = 0; step < STEPS; step++) {
        ordeal.takes = step > 0 && step < STEPS - 1 && script[step - 1].takes;
        if (step == STEPS - 1)
            restart(&ordeal);
        if (step == from)
            scene_fail_at(n);
        take_step(&ordeal, step, declarations);
        if (step == from)
            failed = !scene_fail_left();
        const char *dump = scene_dump(scene, false);
        if (from == SIZE_MAX)
            right[step] = strdup(dump);
        else if (strcmp(dump, right[step]) != 0)
            fail_msg("allocation %lu of step %zu, at step %zu:\n%s\nshould be\n%s", n, from, step, dump, right[step]);
    }
    assert_int_equal(world_marked_count(scene->world), 0);
    scene_done(scene);
    return failed;
}

static void fail_everywhere(bool members_apart)
{
    char *right[STEPS];
    (void)go_through(0, SIZE_MAX, members_apart, right);
    assert_non_null(strstr(right[STEPS - 1], "Service shop/a-east"));
    assert_non_null(strstr(right[STEPS - 1], "Service shop/both-federated"));
    for (size_t from = 0; from < STEPS; from++)
        for (unsigned long n = 1; go_through(n, from, members_apart, right); n++)
            continue;
    for (size_t step = 0; step < STEPS; step++)
        free(right[step]);
}

static void any_allocation_may_fail_and_the_end_is_right(void **state)
{
    (void)state;
    fail_everywhere(false);
}

static void likewise_with_two_watches_of_services(void **state)
{
    (void)state;
    fail_everywhere(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(those_that_are_chosen_are_marked),
        SCENE(marks_are_popped_once_and_the_urgent_first),
        SCENE(what_is_marked_while_it_is_worked_on_comes_again),
        SCENE(a_held_mirror_is_remembered_but_not_popped),
        SCENE(a_held_mirror_stays_when_nothing_is_known_of_it),
        SCENE(the_effect_of_a_write_is_noticed_while_held),
        SCENE(the_last_versions_are_remembered_however_many_came),
        SCENE(slices_belong_to_the_service_of_their_label),
        SCENE(a_listing_sweeps_what_it_did_not_hold),
        SCENE(a_listing_that_broke_off_sweeps_nothing),
        SCENE(knowledge_only_grows),
        SCENE(a_namespace_concerns_its_mirrors_alone),
        SCENE(exported_services_are_claims_in_order),
        SCENE(statuses_are_recorded_and_tell_what_changed),
        SCENE(gateways_are_announced_and_taken_back),
        SCENE(addresses_are_canonical_sorted_and_keep_their_liveness),
        SCENE(a_verdict_concerns_the_mirrors_of_its_gateway_alone),
        SCENE(links_are_found_and_walked_in_order),
        SCENE(a_removed_link_leaves_nothing_behind),
        cmocka_unit_test(a_world_is_made_whole_or_not_at_all),
        cmocka_unit_test(any_allocation_may_fail_and_the_end_is_right),
        cmocka_unit_test(likewise_with_two_watches_of_services),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
