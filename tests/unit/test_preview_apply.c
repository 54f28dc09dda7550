/* links: agent_control mirror base mirror_fixture.c mirror_scene.c */
#include "agent/control/preview_apply.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/write_manifest.h"
#include "agent/kube/setup.h"
#include "base/mem.h"
#include "tests/unit/mirror_scene.h"

enum { ROUNDS = 100 };

#define GATEWAY                                                                                                        \
    "edge/gw v=g1 lb=203.0.113.7 p=mc-gateway:4143>4143 p=mc-probe:80>8080 @~multicluster-gateway=true "               \
    "@~probe-path=-/ready @~probe-period=3 @~gateway-identity=id"
#define WEB "shop/web v=s1 p=http:80>5000 @~gateway-name=gw @~gateway-ns=edge"

static int begin(void **state)
{
    static struct scene scene;
    scene_init(&scene);
    scene_secret(&scene, 0, "east");
    scene_target(&scene, 0, GATEWAY);
    *state = &scene;
    return 0;
}

static int end(void **state)
{
    scene_done(*state);
    return 0;
}

/* Plans and pretends until nothing is left. @return what was written, a line each, in the arena. */
static const char *pretend(struct scene *scene)
{
    const char *lines = "";
    for (uint64_t n = 1; n < ROUNDS; n++) {
        struct plan plan;
        struct mirror *mirror = world_pop(scene->world);
        if (mirror == NULL)
            return lines;
        assert_int_equal(plan_mirror(scene->world, mirror, &scene->arena, &plan), ERR_OK);
        if (plan.write_count == 0)
            continue;
        const struct write *write = &plan.writes[0];
        lines = arena_printf(&scene->arena, "%s%s %s %s/%s\n", lines, write_verb_name(write->verb),
                             write_kind_name(write->kind), write->namespace, arena_strdup(&scene->arena, write->name));
        world_mark(mirror, false);
        assert_int_equal(preview_apply(scene->world, write, n), ERR_OK);
    }
    fail_msg("the plan does not come to an end:\n%s", lines);
    return lines;
}

static void what_follows_from_a_write_is_planned(void **state)
{
    struct scene *scene = *state;
    scene_target(scene, 0, "new/web v=s1 p=http:80>5000 @~gateway-name=gw @~gateway-ns=edge");
    scene_hear(scene);
    assert_string_equal(pretend(scene), "create Service l5d-mc/gw-east\n"
                                        "create Namespace /new\n"
                                        "create EndpointSlice l5d-mc/gw-east.ipv4\n"
                                        "create Service new/web-east\n"
                                        "create EndpointSlice new/web-east.ipv4\n");
    const struct mirror *mirror = world_find_mirror(scene->world, "new/web-east");
    assert_true(preview_is_stand_in(mirror_service(mirror)->meta.uid));
    assert_string_equal(mirror_slice(mirror, 0)->meta.owner_uid, mirror_service(mirror)->meta.uid);
    assert_int_equal(scene->writes, 0);
}

static void a_deleted_service_takes_its_slices_along(void **state)
{
    struct scene *scene = *state;
    scene_target(scene, 0, WEB);
    scene_settle(scene);
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    scene_hear(scene);
    assert_string_equal(pretend(scene), "delete Service shop/web-east\n");
    assert_null(world_find_mirror(scene->world, "shop/web-east"));
}

static void an_update_keeps_what_is_not_ours(void **state)
{
    struct scene *scene = *state;
    scene_target(scene, 0, WEB);
    scene_settle(scene);
    scene_target(scene, 0, "shop/web v=s2 p=grpc:81>5001 @~gateway-name=gw @~gateway-ns=edge");
    scene_hear(scene);
    char before[64];
    const struct mirror *mirror = world_find_mirror(scene->world, "shop/web-east");
    assert_true((size_t)snprintf(before, sizeof(before), "%s", mirror_service(mirror)->meta.uid) < sizeof(before));
    assert_string_equal(pretend(scene), "update EndpointSlice shop/web-east.ipv4\nupdate Service shop/web-east\n");
    assert_string_equal(mirror_service(mirror)->meta.uid, before);
    assert_int_equal(mirror_service(mirror)->ports[0].port, 81);
}

/* The ServiceImport leads to an address that is given once the mirror is there. */
static void an_import_follows_from_its_mirror(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 1, "north gw=203.0.113.8 exports");
    scene_target(scene, 1, "shop/api v=s1 p=http:80>5000");
    scene_export(scene, 1, "shop/api");
    scene_hear(scene);
    assert_non_null(strstr(pretend(scene), "create Service shop/api-north\n"));
    const struct mirror *mirror = world_find_mirror(scene->world, "shop/api@import");
    assert_string_equal(mirror_service(mirror)->cluster_ip, PREVIEW_CLUSTER_IP);
    assert_string_equal(mirror_service(mirror)->clusters, "north");
    scene_delete(&scene->targets[1], KIND_MCS, "shop/api");
    scene_hear(scene);
    const char *lines = pretend(scene);
    assert_non_null(strstr(lines, "delete ServiceImport shop/api\n"));
    assert_null(world_find_mirror(scene->world, "shop/api@import"));
}

static const char *manifest_text(struct scene *scene, const struct write *write)
{
    json_t *object = NULL;
    assert_int_equal(write_manifest(write, &object), ERR_OK);
    char *text = object != NULL ? json_dumps(object, JSON_COMPACT) : NULL;
    const char *copy = arena_strdup(&scene->arena, text != NULL ? text : "none");
    json_decref(object);
    mem_free(text);
    return copy;
}

static void manifests_name_nothing_that_only_the_server_knows(void **state)
{
    struct scene *scene = *state;
    struct arena *arena = &scene->arena;
    const struct service *old = service_of(arena, "a/b v=7 uid=u1 external #x=1 p=h:80>1"),
                         *new = service_of(arena, "a/b #y=2 p=h:81>1");
    struct slice *slice = slice_of(arena, "a/b.ipv4 v=8 uid=u2 owner=planned-3 svc=b 10.0.0.1 192.0.2.0 p=h:4143");
    const struct write update = {.verb = WRITE_UPDATE, .kind = WRITE_SERVICE, .old_service = old, .service = new};
    const struct write create = {.verb = WRITE_CREATE, .kind = WRITE_SLICE, .slice = slice};
    struct service import = *service_of(arena, "a/w v=9 uid=u3 p=h:80");
    import.is_import = true;
    import.cluster_ip = PREVIEW_CLUSTER_IP;
    import.clusters = "east";
    const struct write imported = {.verb = WRITE_CREATE,
                                   .kind = WRITE_IMPORT,
                                   .version = "v1beta1",
                                   .service = &import};
    const struct write its_status = {.verb = WRITE_UPDATE,
                                     .kind = WRITE_IMPORT_STATUS,
                                     .version = "v1beta1",
                                     .service = &import};
    const struct write delete = {.verb = WRITE_DELETE, .kind = WRITE_SERVICE, .old_service = old};
    assert_string_equal(manifest_text(scene, &update),
                        "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"b\",\"namespace\":\"a\","
                        "\"labels\":{\"y\":\"2\"}},\"spec\":{\"type\":\"ClusterIP\",\"ports\":[{\"name\":\"h\","
                        "\"protocol\":\"TCP\",\"port\":81,\"targetPort\":1}]}}");
    const char *text = manifest_text(scene, &create);
    assert_non_null(strstr(text, "10.0.0.1"));
    assert_null(strstr(text, "192.0.2.0"));
    assert_null(strstr(text, "ownerReferences"));
    assert_null(strstr(text, "resourceVersion"));
    assert_string_equal(manifest_text(scene, &delete), "none");
    assert_string_equal(manifest_text(scene, &its_status), "none");
    assert_string_equal(manifest_text(scene, &imported),
                        "{\"apiVersion\":\"multicluster.x-k8s.io/v1beta1\",\"kind\":\"ServiceImport\",\"metadata\":{"
                        "\"name\":\"w\",\"namespace\":\"a\"},\"spec\":{\"type\":\"ClusterSetIP\",\"sessionAffinity\":"
                        "\"None\",\"ports\":[{\"name\":"
                        "\"h\",\"protocol\":\"TCP\",\"port\":80}]}}");
}

static int set_up(void **state)
{
    (void)state;
    kube_setup();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_follows_from_a_write_is_planned, begin, end),
        cmocka_unit_test_setup_teardown(a_deleted_service_takes_its_slices_along, begin, end),
        cmocka_unit_test_setup_teardown(an_update_keeps_what_is_not_ours, begin, end),
        cmocka_unit_test_setup_teardown(an_import_follows_from_its_mirror, begin, end),
        cmocka_unit_test_setup_teardown(manifests_name_nothing_that_only_the_server_knows, begin, end),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
