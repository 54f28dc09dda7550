/* links: base mirror mirror_fixture.c mirror_scene.c */
/* mirror/plan_import.c and mirror/world_target_exports.c: ServiceExports mark exports, and one ServiceImport stands for all of a name. */
#include <string.h>

#include "base/mem.h"
#include "mirror/plan.h"
#include "tests/unit/mirror_scene.h"

#define EAST "east gw=203.0.113.7 identity=gw.id exports"
#define NORTH "north gw=203.0.113.8 identity=gw.id exports"
#define WEB "shop/web v=s1 p=http:80>8080"
#define WEB_SLICE "shop/web-x1 v=e1 svc=web 10.0.0.1 p=http:8080"
#define MADE "#~cluster-name=east #~mirrored-service=true "
#define IMPORT                                                                                                         \
    "shop/web #~cluster-name=east #~mirrored-service=true @~remote-svc-fq-name=web.shop.svc.cluster.local "            \
    "@svcmirror.io/service-export=true p=http:80 ip=its-mirror's clusters=east"

static void export_web(struct scene *scene)
{
    scene_link(scene, 0, EAST);
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_export(scene, 0, "shop/web age=5");
    scene_settle(scene);
}

/* An address that is that of the mirror is told so. */
static const char *words_of(struct scene *scene, const char *key, const char *mirror_key, bool brief)
{
    const struct service *import = scene_service_import(scene, key), *mirror = scene_service(scene, mirror_key);
    if (import == NULL)
        return "";
    struct service told = *import;
    if (mirror != NULL && strcmp(import->cluster_ip, mirror->cluster_ip) == 0)
        told.cluster_ip = "its-mirror's";
    return service_words(&scene->arena, &told, brief);
}

static const char *import_of(struct scene *scene, const char *key)
{
    return words_of(scene, key, "shop/web-east", false);
}

/* ---- the mark ---- */

static void a_service_export_makes_a_mirror_and_an_import(void **state)
{
    struct scene *scene = *state;
    export_web(scene);
    assert_string_equal(import_of(scene, "shop/web"), IMPORT);
    assert_string_equal(service_words(&scene->arena, scene_service(scene, "shop/web-east"), false),
                        "shop/web-east " MADE "@~remote-resource-version=s1 "
                        "@~remote-svc-fq-name=web.shop.svc.cluster.local @svcmirror.io/service-export=true "
                        "p=http:80>8080");
    assert_non_null(scene_slice(scene, "shop/web-east.ipv4"));
    assert_string_equal(scene_status(scene, "shop/web-east"), "east Mirrored: \n");
    assert_string_equal(scene_status(scene, "shop/web@import"), "east Mirrored: \n");
    scene_delete(&scene->targets[0], KIND_MCS, "shop/web");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "");
}

static void without_the_annotation_a_service_export_means_nothing(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7");
    scene_target(scene, 0, WEB);
    scene_export(scene, 0, "shop/web age=5");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "");
    /* Then it is given, and what was passed over is found; and taken away, and all of it goes. */
    scene_link(scene, 0, EAST);
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/web-east"));
    assert_non_null(scene_service_import(scene, "shop/web"));
    scene_link(scene, 0, "east gw=203.0.113.7");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "");
}

static void the_export_may_come_before_the_service_and_outlive_it(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, EAST);
    scene_export(scene, 0, "shop/web age=5");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "");
    scene_target(scene, 0, WEB);
    scene_settle(scene);
    assert_non_null(scene_service_import(scene, "shop/web"));
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/web");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "");
}

/* A ServiceExport changes nothing of what labels say already, and other marks need none. */
static void labels_and_service_exports_stand_beside_each_other(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, EAST);
    scene_target(scene, 0, "shop/a v=1 p=80 #~exported=true");
    scene_target(scene, 0, "shop/b v=1 p=80 #~exported=remote-discovery");
    scene_target(scene, 0, "shop/c v=1 p=80 #~federated=member");
    scene_export(scene, 0, "shop/a");
    scene_export(scene, 0, "shop/b");
    scene_export(scene, 0, "shop/c");
    scene_settle(scene);
    assert_null(kv_get(&scene_service(scene, "shop/a-east")->meta.annotations, "svcmirror.io/service-export"));
    assert_string_equal(kv_get(&scene_service(scene, "shop/b-east")->meta.labels,
                               "multicluster.linkerd.io/remote-discovery"),
                        "east");
    assert_non_null(scene_service(scene, "shop/c-east"));
    assert_non_null(scene_service(scene, "shop/c-federated"));
    for (const char *name = "abc"; *name != '\0'; name++)
        assert_non_null(scene_service_import(scene, arena_printf(&scene->arena, "shop/%c", *name)));
    scene_delete(&scene->targets[0], KIND_MCS, "shop/a");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/a-east"));
    assert_null(scene_service_import(scene, "shop/a"));
}

/* Only annotations tell which gateway: the ServiceExport adds the ServiceImport. */
static void a_secret_of_2_8_needs_its_annotations_all_the_same(void **state)
{
    struct scene *scene = *state;
    scene->config.take_exports = true;
    scene_restart(scene);
    scene_secret(scene, 0, "east");
    scene_target(scene, 0,
                 "gws/gw v=g1 lb=203.0.113.7 p=mc-gateway:4143>4143 p=mc-probe:80>8080 @~multicluster-gateway=true");
    scene_target(scene, 0, "shop/a v=1 p=80 @~gateway-name=gw @~gateway-ns=gws");
    scene_target(scene, 0, "shop/b v=1 p=80");
    scene_export(scene, 0, "shop/a");
    scene_export(scene, 0, "shop/b");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/a-east"));
    assert_non_null(scene_service_import(scene, "shop/a"));
    assert_null(scene_service(scene, "shop/b-east"));
    assert_null(scene_service_import(scene, "shop/b"));
}

static void a_link_may_refuse_what_the_agent_takes(void **state)
{
    struct scene *scene = *state;
    struct link_resource resource = {.namespace = "l5d-mc", .name = "l", .target_cluster_name = "east"};
    const struct link *link = NULL;
    const struct {
        const char *text;
        bool takes, refuses, warns;
    } cases[] = {{NULL, false, false, false},
                 {"true", true, false, false},
                 {"false", false, true, false},
                 {"yes", false, false, true}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        resource.service_exports = cases[i].text;
        assert_int_equal(link_from_resource(&scene->arena, &resource, &link, NULL), ERR_OK);
        assert_int_equal(link->takes_exports, cases[i].takes);
        assert_int_equal(link->refuses_exports, cases[i].refuses);
        assert_int_equal(link->warning[0] != '\0', cases[i].warns);
    }
}

/* ---- what an import says ---- */

static void an_import_has_the_names_of_the_service_wherever_its_mirror_is(void **state)
{
    struct scene *scene = *state;
    scene_namespace(scene, "/other");
    scene_link(scene, 0, EAST " allow=other");
    scene_target(scene, 0,
                 "shop/web v=1 p=http:80>8080+h2 p=dns:53>dns/UDP affinity=30 @svcmirror.io/export-name=x "
                 "@svcmirror.io/export-namespace=other @svcmirror.io/export-ports=dns,http");
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_export(scene, 0, "shop/web");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "other/x"));
    assert_string_equal(words_of(scene, "shop/web", "other/x", false),
                        "shop/web " MADE "@~remote-svc-fq-name=web.shop.svc.cluster.local "
                        "@svcmirror.io/service-export=true affinity=30 p=http:80+h2 p=dns:53/UDP ip=its-mirror's "
                        "clusters=east");
}

static void a_headless_service_is_imported_without_an_address(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, EAST);
    scene_target(scene, 0, "shop/db v=1 headless affinity=30 p=pg:5432>5432");
    scene_target(scene, 0, "shop/plain v=1 headless p=pg:5432>5432");
    scene_target_slice(scene, 0, "shop/db-x svc=db db-0@10.0.0.1 p=pg:5432");
    scene_target_slice(scene, 0, "shop/plain-x svc=plain 10.0.0.1 p=pg:5432");
    scene_export(scene, 0, "shop/db");
    scene_export(scene, 0, "shop/plain");
    scene_settle(scene);
    assert_true(scene_service(scene, "shop/db-east")->headless);
    assert_false(scene_service(scene, "shop/plain-east")->headless); /* it has no hostnames */
    assert_string_equal(service_words(&scene->arena, scene_service_import(scene, "shop/db"), true),
                        "shop/db headless p=pg:5432 ip= clusters=east");
    assert_string_equal(service_words(&scene->arena, scene_service_import(scene, "shop/plain"), true),
                        "shop/plain headless p=pg:5432 ip= clusters=east");
    scene_delete(&scene->targets[0], KIND_MCS, "shop/db");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/db-0-east"));
    assert_null(scene_service(scene, "db-0-east"));
}

static void what_has_no_mirror_has_no_import(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, EAST);
    scene_target(scene, 0, "shop/ext v=1 external p=80");
    scene_target(scene, 0, "shop/portless v=1");
    scene_target(scene, 0, WEB);
    scene_source(scene, "shop/web-east v=1 p=1 selector");
    scene_export(scene, 0, "shop/ext");
    scene_export(scene, 0, "shop/portless");
    scene_export(scene, 0, "shop/web");
    scene_settle(scene);
    assert_int_equal(scene_count(&scene->source, KIND_MCS), 0);
    assert_string_equal(scene_status(scene, "shop/ext@import"),
                        "east Pending: the service has no mirror that a ServiceImport could lead to: a service of type "
                        "ExternalName cannot be mirrored\n");
    assert_non_null(strstr(scene_status(scene, "shop/web@import"), "Service shop/web-east exists and is not a mirror"));
}

/* Whatever is planned first: a mirror that cannot be made is not known to be so before it was. */
static void no_namespace_is_made_for_an_import_that_leads_nowhere(void **state)
{
    struct scene *scene = *state;
    scene->config.create_namespaces_for_links = true;
    scene_restart(scene);
    scene_link(scene, 0, EAST " allow=shop");
    scene_target(scene, 0, "far/web v=s1 p=http:80>8080 @svcmirror.io/export-namespace=shop");
    scene_export(scene, 0, "far/web age=5");
    scene_hear(scene);
    assert_non_null(world_find_mirror(scene->world, "far/web@import"));
    assert_string_equal(scene_plan_of(scene, "far/web@import", true), "");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/web-east"));
    assert_non_null(scene_service_import(scene, "far/web")); /* with its namespace */
}

static void an_import_follows_its_mirror(void **state)
{
    struct scene *scene = *state;
    export_web(scene);
    scene_target(scene, 0, "shop/web v=s2 p=https:443>8443 affinity=60");
    scene_settle(scene);
    assert_string_equal(words_of(scene, "shop/web", "shop/web-east", true),
                        "shop/web affinity=60 p=https:443 ip=its-mirror's clusters=east");
    const char *address = arena_strdup(&scene->arena, scene_service(scene, "shop/web-east")->cluster_ip);
    /* A mirror that is gone for a moment takes nothing with it; made again, it has another address. */
    scene_delete(&scene->source, KIND_SERVICE, "shop/web-east");
    scene_hear(scene);
    assert_string_equal(scene_plan_of(scene, "shop/web@import", true), "");
    assert_string_equal(scene_status(scene, "shop/web@import"),
                        "east Pending: its service's mirror, Service shop/web-east, is not there yet\n");
    scene_settle(scene);
    assert_string_not_equal(scene_service(scene, "shop/web-east")->cluster_ip, address);
    assert_string_equal(words_of(scene, "shop/web", "shop/web-east", true),
                        "shop/web affinity=60 p=https:443 ip=its-mirror's clusters=east");
}

/* ---- several clusters ---- */

static void the_oldest_service_export_has_the_name(void **state)
{
    struct scene *scene = *state;
    export_web(scene);
    scene_link(scene, 1, NORTH);
    scene_target(scene, 1, "shop/web v=n1 p=http:80>8080 p=more:81");
    scene_target_slice(scene, 1, WEB_SLICE);
    scene_export(scene, 1, "shop/web age=7");
    scene_settle(scene);
    assert_string_equal(import_of(scene, "shop/web"), IMPORT);
    assert_string_equal(
        scene_status(scene, "shop/web@import"),
        "north NameCollision: ServiceImport shop/web leads to cluster east, whose ServiceExport is older: this one's "
        "mirror is Service shop/web-north; their ports differ\n"
        "east Mirrored: \n");
    /* The mirror of the younger one is in place, and says so. */
    assert_non_null(strstr(scene_status(scene, "shop/web-north"), "north Mirrored: ServiceImport shop/web leads to"));
    /* It takes over when the older one goes, with its own ports and address. */
    scene_delete(&scene->targets[0], KIND_MCS, "shop/web");
    scene_settle(scene);
    assert_string_equal(words_of(scene, "shop/web", "shop/web-north", true),
                        "shop/web p=http:80 p=more:81 ip=its-mirror's clusters=north");
    /* And gives way to one that is older still; of one age, the first by name of the cluster. */
    scene_export(scene, 0, "shop/web age=7");
    scene_settle(scene);
    assert_string_equal(scene_service_import(scene, "shop/web")->clusters, "east");
}

static void an_import_stays_while_its_cluster_is_out_of_reach(void **state)
{
    struct scene *scene = *state;
    export_web(scene);
    scene_link(scene, 1, NORTH);
    scene_target(scene, 1, WEB);
    scene_export(scene, 1, "shop/web age=7");
    scene_settle(scene);
    const char *before = scene_dump(scene, false);
    /* The agent begins anew, and hears of north alone. */
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[1], KIND_SERVICE), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[1], KIND_MCS), ERR_OK);
    assert_string_equal(scene_plan_of(scene, "shop/web@import", true), "");
    assert_non_null(strstr(scene_status(scene, "shop/web@import"), "of which too little is known yet"));
    /* Of east the Services come first, and exports nothing yet. */
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    assert_string_equal(scene_plan_of(scene, "shop/web@import", true), "");
    assert_string_equal(scene_plan_of(scene, "shop/web-east", true), "");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), before);
}

/* ---- what may not be read ---- */

static void without_the_right_to_read_service_exports_nothing_goes(void **state)
{
    struct scene *scene = *state;
    export_web(scene);
    scene_target(scene, 0, "shop/labelled v=1 p=80 #~exported=true");
    scene_settle(scene);
    const char *before = scene_dump(scene, false);
    scene_refuse_exports(scene, 0, true);
    scene_restart(scene);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), before);
    /* What labels mark is nobody's affair but theirs. */
    scene_delete(&scene->targets[0], KIND_SERVICE, "shop/labelled");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/labelled-east"));
    assert_non_null(scene_service(scene, "shop/web-east"));
    scene_delete(&scene->targets[0], KIND_MCS, "shop/web");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/web-east"));
    scene_refuse_exports(scene, 0, false);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "");
}

static void a_source_without_service_imports_gets_mirrors_alone(void **state)
{
    struct scene *scene = *state;
    scene_serve_imports(scene, false);
    export_web(scene);
    assert_non_null(scene_service(scene, "shop/web-east"));
    assert_string_equal(scene_status(scene, "shop/web@import"),
                        "east Pending: the source cluster serves no ServiceImports\n");
    assert_string_equal(scene_status(scene, "shop/web-east"), "east Mirrored: \n");
    scene_serve_imports(scene, true);
    assert_string_equal(scene_status(scene, "shop/web@import"),
                        "east Pending: the source cluster's ServiceImports are not listed\n");
    scene_settle(scene);
    assert_string_equal(import_of(scene, "shop/web"), IMPORT);
    scene_serve_imports(scene, false);
    scene_settle(scene);
    assert_string_equal(scene_status(scene, "shop/web@import"),
                        "east Pending: the source cluster serves no ServiceImports\n");
}

static void the_status_is_left_where_it_may_not_be_written(void **state)
{
    struct scene *scene = *state;
    world_set_import_status(scene->world, false);
    scene->source_feed.listed[KIND_MCS] = true; /* a listing gives it another try */
    assert_int_equal(scene_list(scene, &scene->source_feed, KIND_MCS), ERR_OK);
    world_set_import_status(scene->world, false);
    export_web(scene);
    assert_string_equal(scene_service_import(scene, "shop/web")->clusters, "");
    assert_string_equal(scene_status(scene, "shop/web@import"), "east Mirrored: \n");
    scene_restart(scene);
    scene_settle(scene);
    assert_string_equal(scene_service_import(scene, "shop/web")->clusters, "east");
}

/* ---- whose is it ---- */

static void somebody_elses_import_is_never_touched(void **state)
{
    struct scene *scene = *state;
    scene_import(scene, "shop/web v=9 p=1 #by=another");
    export_web(scene);
    assert_string_equal(import_of(scene, "shop/web"), "shop/web #by=another p=1 ip= clusters=");
    assert_string_equal(
        scene_status(scene, "shop/web@import"),
        "east NameCollision: ServiceImport shop/web exists and is not svcmirror's: rename or remove it\n");
    assert_string_equal(scene_status(scene, "shop/web-east"),
                        "east Mirrored: ServiceImport shop/web exists and is not svcmirror's: rename or remove it\n");
    scene_delete(&scene->targets[0], KIND_MCS, "shop/web");
    scene_settle(scene);
    assert_string_equal(import_of(scene, "shop/web"), "shop/web #by=another p=1 ip= clusters=");
    scene_export(scene, 0, "shop/web");
    scene_delete(&scene->source, KIND_MCS, "shop/web");
    scene_settle(scene);
    assert_string_equal(import_of(scene, "shop/web"), IMPORT);
}

static void what_others_note_on_an_import_stays(void **state)
{
    struct scene *scene = *state;
    export_web(scene);
    scene_import(scene, "shop/web " MADE "@~remote-svc-fq-name=web.shop.svc.cluster.local "
                        "@multicluster.kubernetes.io/derived-service=derived-x @svcmirror.io/service-export=true "
                        "headless p=x:1");
    scene_settle(scene);
    const struct service *import = scene_service_import(scene, "shop/web");
    assert_string_equal(kv_get(&import->meta.annotations, "multicluster.kubernetes.io/derived-service"), "derived-x");
    assert_string_equal(words_of(scene, "shop/web", "shop/web-east", true),
                        "shop/web p=http:80 ip=its-mirror's clusters=east");
}

static void an_import_of_ours_gets_its_labels_back(void **state)
{
    struct scene *scene = *state;
    export_web(scene);
    scene_import(scene, "shop/web p=http:80");
    scene_settle(scene);
    assert_string_equal(import_of(scene, "shop/web"), IMPORT);
}

static void imports_go_with_their_link(void **state)
{
    struct scene *scene = *state;
    export_web(scene);
    assert_int_equal(world_count_left(scene->world, "east"), 2);
    scene_unlink(scene, 0);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "");
    /* Also one that was removed while no agent ran. */
    export_web(scene);
    scene_unlink(scene, 0);
    scene_restart(scene);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "");
}

/* Nobody asks for ServiceImports until something makes them matter. */
static void imports_matter_once_something_is_exported_so(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7");
    assert_false(world_wants_imports(scene->world));
    export_web(scene);
    assert_true(world_wants_imports(scene->world));
    scene_unlink(scene, 0);
    scene_restart(scene);
    assert_false(world_wants_imports(scene->world));
    scene_hear(scene); /* a mirror says that a ServiceExport made it */
    assert_true(world_wants_imports(scene->world));
}

/* ---- allocations ---- */

static void export_and_unexport(struct scene *scene)
{
    export_web(scene);
    scene_link(scene, 1, NORTH);
    scene_target(scene, 1, WEB);
    scene_export(scene, 1, "shop/web age=3");
    scene_settle(scene);
    scene_delete(&scene->targets[1], KIND_MCS, "shop/web");
    scene_settle(scene);
}

static void facts_survive_failed_allocations(void **state)
{
    struct scene *scene = *state;
    export_web(scene);
    const char *before = scene_dump(scene, false);
    const struct object_meta second = {.namespace = "shop", .name = "second", .created_us = 1},
                             first = {.namespace = "shop", .name = "web", .created_us = 9};
    scene_target(scene, 0, "shop/second v=1 p=80");
    scene_settle(scene);
    for (unsigned long n = 1;; n++) {
        scene_fail_at(n);
        enum err_code code = world_target_export(scene->links[0], WORLD_PUT, &second);
        if (scene_fail_left()) {
            assert_int_equal(code, ERR_OK);
            break;
        }
        assert_int_equal(code, ERR_NOMEM);
        /* Nothing may be concluded from what is not known any more. */
        assert_int_equal(world_knowledge(scene->world, scene->links[0], WORLD_TARGET_EXPORTS), WORLD_UNKNOWN);
        assert_false(world_has_export(scene->links[0], "shop", "second"));
        assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_MCS), ERR_OK);
    }
    assert_int_equal(world_target_export(scene->links[0], WORLD_DELETED, &second), ERR_OK);
    assert_int_equal(world_target_export(scene->links[0], WORLD_PUT, &first), ERR_OK);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), before);
}

static void plans_survive_failed_allocations(void **state)
{
    struct scene *scene = *state;
    export_and_unexport(scene);
    const char *before = scene_dump(scene, false);
    struct mirror *mirror = world_find_mirror(scene->world, "shop/web@import");
    scene_delete(&scene->source, KIND_MCS, "shop/web");
    scene_hear(scene);
    for (unsigned long n = 1;; n++) {
        struct arena arena;
        struct plan plan;
        arena_init(&arena, 1 << 20);
        scene_fail_at(n);
        enum err_code code = plan_mirror(scene->world, mirror, &arena, &plan);
        bool left = scene_fail_left();
        if (left)
            assert_int_equal(plan.write_count, 1);
        arena_done(&arena);
        if (left)
            break;
        assert_int_equal(code, ERR_NOMEM);
    }
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(a_service_export_makes_a_mirror_and_an_import),
        SCENE(without_the_annotation_a_service_export_means_nothing),
        SCENE(the_export_may_come_before_the_service_and_outlive_it),
        SCENE(labels_and_service_exports_stand_beside_each_other),
        SCENE(a_secret_of_2_8_needs_its_annotations_all_the_same),
        SCENE(a_link_may_refuse_what_the_agent_takes),
        SCENE(an_import_has_the_names_of_the_service_wherever_its_mirror_is),
        SCENE(a_headless_service_is_imported_without_an_address),
        SCENE(what_has_no_mirror_has_no_import),
        SCENE(no_namespace_is_made_for_an_import_that_leads_nowhere),
        SCENE(an_import_follows_its_mirror),
        SCENE(the_oldest_service_export_has_the_name),
        SCENE(an_import_stays_while_its_cluster_is_out_of_reach),
        SCENE(without_the_right_to_read_service_exports_nothing_goes),
        SCENE(a_source_without_service_imports_gets_mirrors_alone),
        SCENE(the_status_is_left_where_it_may_not_be_written),
        SCENE(somebody_elses_import_is_never_touched),
        SCENE(what_others_note_on_an_import_stays),
        SCENE(an_import_of_ours_gets_its_labels_back),
        SCENE(imports_go_with_their_link),
        SCENE(imports_matter_once_something_is_exported_so),
        SCENE(facts_survive_failed_allocations),
        SCENE(plans_survive_failed_allocations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
