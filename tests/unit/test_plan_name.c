/* links: base mirror mirror_fixture.c mirror_scene.c */
/* Names and namespaces of mirrors as links declare them and services ask for them, and mirrors that forgot whose they are. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/plan.h"
#include "tests/unit/mirror_scene.h"

#define LINK "east gw=203.0.113.7 "
#define WEB "shop/web v=s1 p=http:80>8080 #~exported=true "
#define WEB_SLICE "shop/web-x1 v=e1 svc=web 10.0.0.1 p=http:8080"
#define GATEWAY "ambassador/ambassador v=g1 lb=203.0.113.7 p=mc-gateway:4143>4143 @~multicluster-gateway=true"
#define QOTM "shop/qotm v=s1 p=http:80>5000 @~gateway-name=ambassador @~gateway-ns=ambassador "
#define DB "shop/db v=d1 headless p=pg:5432>5432 #~exported=true "
#define DB_SLICE "shop/db-x v=e1 svc=db db-0@10.0.0.1 db-1@10.0.0.2 p=pg:5432"

/* The agent that finds all of it has nothing to do, and neither has the next one. */
static void assert_stays(struct scene *scene)
{
    scene_settle(scene);
    scene_restart(scene);
    scene_hear(scene);
    assert_string_equal(scene_plan(scene, false), "");
}

static void assert_mirrors(struct scene *scene, const char *dump)
{
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), dump);
    assert_stays(scene);
}

/* ---- the template ---- */

static void a_mirror_may_have_its_services_own_name(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK "name={name}");
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, false),
                        "Service shop/web #~cluster-name=east #~mirrored-service=true @~remote-resource-version=s1 "
                        "@~remote-svc-fq-name=web.shop.svc.cluster.local p=http:80>8080\n"
                        "EndpointSlice shop/web.ipv4 #endpointslice.kubernetes.io/managed-by=svcmirror "
                        "#kubernetes.io/service-name=web #~cluster-name=east #~mirrored-service=true "
                        "@~remote-svc-fq-name=web.shop.svc.cluster.local owned type=IPv4 203.0.113.7 p=http:4143\n");
    assert_stays(scene);
}

static void the_template_holds_in_every_mode(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east name={cluster}-{namespace}-{name}");
    scene_target(scene, 0, GATEWAY);
    scene_target(scene, 0, QOTM);
    scene_link(scene, 1, "north gw=203.0.113.8 name={name}");
    scene_target(scene, 1, "shop/found p=80 #~exported=remote-discovery");
    scene_target(scene, 1, "shop/member p=80 #~federated=member");
    assert_mirrors(scene, "Service shop/east-shop-qotm p=http:80>5000\n"
                          "Service shop/found p=80\n"
                          "Service shop/member-federated p=80\n"
                          "EndpointSlice shop/east-shop-qotm.ipv4 owned type=IPv4 203.0.113.7 p=http:4143\n");
    assert_true(
        kv_has(&scene_service(scene, "shop/found")->meta.labels, "multicluster.linkerd.io/remote-service", "found"));
}

static void it_names_the_mirrors_of_hostnames(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK "name={name}");
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    static const char mirrors[] =
        "Service shop/db headless p=pg:5432>5432\n"
        "Service shop/db-0 p=pg:5432>5432\n"
        "Service shop/db-1 p=pg:5432>5432\n"
        "EndpointSlice shop/db-0.ipv4 owned type=IPv4 203.0.113.7 p=pg:4143\n"
        "EndpointSlice shop/db-1.ipv4 owned type=IPv4 203.0.113.7 p=pg:4143\n"
        "EndpointSlice shop/db.ipv4 owned type=IPv4 db-0@10.96.0.4 db-1@10.96.0.5 p=pg:5432\n";
    assert_mirrors(scene, mirrors);
    assert_true(
        kv_has(&scene_service(scene, "shop/db-0")->meta.labels, "mirror.linkerd.io/headless-mirror-svc-name", "db"));
    /* Also where the target's endpoints may not be read any more. */
    scene_refuse_slices(scene, 0, true);
    scene_restart(scene);
    assert_mirrors(scene, mirrors);
}

static void the_services_own_wish_wins(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK "name=far-{name} map=shop=l5d-mc allow=shop");
    scene_target(scene, 0, WEB "@svcmirror.io/export-name=checkout @svcmirror.io/export-namespace=shop");
    scene_target_slice(scene, 0, WEB_SLICE);
    assert_mirrors(scene, "Service shop/checkout p=http:80>8080\n"
                          "EndpointSlice shop/checkout.ipv4 owned type=IPv4 203.0.113.7 p=http:4143\n");
}

static void another_template_moves_mirrors(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB);
    scene_target_slice(scene, 0, WEB_SLICE);
    scene_target(scene, 0, "shop/web-east v=s2 p=http:80>8080 #~exported=true");
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    const char *kept = arena_strdup(&scene->arena, scene_service(scene, "shop/web-east")->meta.uid);
    scene_link(scene, 0, LINK "name={name}");
    scene_hear(scene);
    assert_string_equal(scene_plan(scene, true),
                        "create Service shop/db headless p=pg:5432>5432\n"
                        "create Service shop/db-0 p=pg:5432>5432\n"
                        "delete Service shop/db-0-east (its mirror has another name or namespace now)\n"
                        "create Service shop/db-1 p=pg:5432>5432\n"
                        "delete Service shop/db-1-east (its mirror has another name or namespace now)\n"
                        "delete Service shop/db-east (its mirror has another name or namespace now)\n"
                        "create Service shop/web p=http:80>8080\n"
                        "update EndpointSlice shop/web-east.ipv4 owned type=IPv4 p=http:4143\n"
                        "update Service shop/web-east p=http:80>8080\n" /* another service's mirror now */
                        "delete Service shop/web-east-east (its mirror has another name or namespace now)\n");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/db-east"));
    assert_null(scene_service(scene, "shop/web-east-east"));
    assert_non_null(scene_service(scene, "shop/db-0"));
    const struct service *taken = scene_service(scene, "shop/web-east");
    assert_string_equal(taken->meta.uid, kept);
    assert_true(
        kv_has(&taken->meta.annotations, "mirror.linkerd.io/remote-svc-fq-name", "web-east.shop.svc.cluster.local"));
    assert_stays(scene);
    scene_link(scene, 0, LINK);
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/web"));
    assert_non_null(scene_service(scene, "shop/db-1-east"));
}

static void a_name_that_is_none_is_told_of_its_service(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *words, *service, *key, *message;
    } CASES[] = {
        {"name={namespace}-{name}", "-shop/web", "-shop/-shop-web",
         "the mirror's name -shop-web is not a valid Service name"},
        {"name={name}", "shop/web_", "shop/web_", "the mirror's name web_ is not a valid Service name"},
        {"name=an-endless-name-in-a-template-of-a-link-{name}", "shop/an-endless-name-of-a-service",
         "shop/an-endless-name-in-a-template-of-a-link-an-endless-name-of-a-service",
         "the mirror's name an-endless-name-in-a-template-of-a-link-an-endless-name-of-a-service would have 68 "
         "characters, and a Service name has at most 63: shorten the service's or the cluster's name, or the link's "
         "annotation svcmirror.io/mirror-name"},
    };
    scene_namespace(scene, "/-shop");
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        scene_link(scene, 0, arena_printf(&scene->arena, LINK "%s", CASES[i].words));
        scene_target(scene, 0, "%s p=80 #~exported=true", CASES[i].service);
        scene_settle(scene);
        assert_string_equal(scene_status(scene, CASES[i].key),
                            arena_printf(&scene->arena, "east InvalidService: %s\n", CASES[i].message));
        assert_int_equal(scene_count(&scene->source, KIND_SERVICE), 0);
        scene_delete(&scene->targets[0], KIND_SERVICE, CASES[i].service);
    }
}

/* Kubernetes 1.36 takes any DNS label for a Service's name; an older API server says itself that it does not. */
static void a_name_may_begin_with_a_digit(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, "shop/3scale p=80 #~exported=true");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "shop/3scale-east"));
}

static void names_meet_by_the_same_rules(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, "east gw=203.0.113.7 name={name} age=5");
    scene_link(scene, 1, "north gw=203.0.113.8 name={name} age=2");
    scene_source(scene, "shop/api uid=user p=80 selector");
    for (int i = 0; i < 2; i++) {
        scene_target(scene, i, "shop/web p=80 #~exported=true");
        scene_target(scene, i, "shop/api p=80 #~exported=true");
    }
    scene_settle(scene);
    assert_string_equal(scene_status(scene, "shop/web"),
                        "east NameCollision: Service shop/web mirrors cluster north, whose link link1 is older\n"
                        "north Mirrored: the exported service has no ready endpoint\n");
    assert_string_equal(
        scene_status(scene, "shop/api"),
        "east NameCollision: Service shop/api mirrors cluster north, whose link link1 is older\n"
        "north NameCollision: Service shop/api exists and is not a mirror of cluster north: rename or remove it\n");
    assert_string_equal(scene_service(scene, "shop/api")->meta.uid, "user");
}

/* ---- the map of namespaces ---- */

static void a_map_moves_mirrors_and_all_that_is_with_them(void **state)
{
    struct scene *scene = *state;
    scene_namespace(scene, "/west");
    scene_link(scene, 0, LINK "map=shop=west");
    scene_target(scene, 0, DB);
    scene_target_slice(scene, 0, DB_SLICE);
    scene_target(scene, 0, "shop/member p=80 #~federated=member");
    static const char mirrors[] =
        "Service shop/member-federated p=80\n"
        "Service west/db-0-east p=pg:5432>5432\n"
        "Service west/db-1-east p=pg:5432>5432\n"
        "Service west/db-east headless p=pg:5432>5432\n"
        "EndpointSlice west/db-0-east.ipv4 owned type=IPv4 203.0.113.7 p=pg:4143\n"
        "EndpointSlice west/db-1-east.ipv4 owned type=IPv4 203.0.113.7 p=pg:4143\n"
        "EndpointSlice west/db-east.ipv4 owned type=IPv4 db-0@10.96.0.5 db-1@10.96.0.6 p=pg:5432\n";
    assert_mirrors(scene, mirrors);
    scene_refuse_slices(scene, 0, true);
    scene_restart(scene);
    assert_mirrors(scene, mirrors);
    scene_refuse_slices(scene, 0, false);
    scene_link(scene, 0, LINK);
    scene_settle(scene);
    assert_null(scene_service(scene, "west/db-east"));
    assert_non_null(scene_service(scene, "shop/db-0-east"));
}

static void a_mapped_namespace_is_made_as_any_other(void **state)
{
    struct scene *scene = *state;
    for (int created = 0; created < 2; created++) {
        scene->config.create_namespaces_for_links = created == 1;
        scene_restart(scene);
        scene_link(scene, 0, LINK "map=*=all");
        scene_target(scene, 0, WEB);
        scene_settle(scene);
        assert_string_equal(scene_status(scene, "all/web-east"),
                            created == 1 ? "east Mirrored: the exported service has no ready endpoint\n"
                                         : "east MissingNamespace: Namespace does not exist\n");
    }
}

/* ---- which namespaces services may choose ---- */

#define REFUSED(wish, declaration)                                                                                     \
    "east InvalidService: annotation svcmirror.io/export-namespace \"" wish                                            \
    "\" is not among the namespaces that services of cluster east may choose: take it off, or allow it in the source " \
    "cluster by the annotation svcmirror.io/allowed-namespaces of " declaration "\n"

static void services_choose_only_what_they_are_allowed(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *config, *words, *wish, *key;
        bool allowed;
    } CASES[] = {
        {NULL, "", "team-a", "team-a/web-east", false},
        {"", "", "team-a", "team-a/web-east", false},
        {"team-*", "", "team-a", "team-a/web-east", true},
        {"*", "", "team-a", "team-a/web-east", true},
        {"*", "allow=", "team-a", "team-a/web-east", false}, /* the link's own list holds */
        {"", "allow=x,team-a", "team-a", "team-a/web-east", true},
        {"*", "allow=x", "team-a", "team-a/web-east", false},
        {"", "", "shop", "shop/web-east", true}, /* where it would be anyway */
        {"", "map=shop=team-a", "team-a", "team-a/web-east", true},
        {"", "map=shop=team-a", "shop", "shop/web-east", false}, /* out of the map */
    };
    scene_namespace(scene, "/team-a");
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        scene->config.allowed_namespaces = CASES[i].config;
        scene_restart(scene);
        scene_link(scene, 0, arena_printf(&scene->arena, LINK "%s", CASES[i].words));
        scene_target(scene, 0, WEB "@svcmirror.io/export-namespace=%s", CASES[i].wish);
        scene_settle(scene);
        const char *status = scene_status(scene, CASES[i].key);
        if ((scene_service(scene, CASES[i].key) != NULL) != CASES[i].allowed)
            fail_msg("case %zu: %s", i, status);
        if (CASES[i].allowed)
            assert_string_equal(status, "east Mirrored: the exported service has no ready endpoint\n");
        else
            assert_string_equal(status, strcmp(CASES[i].wish, "shop") == 0 ? REFUSED("shop", "link l5d-mc/link0")
                                                                           : REFUSED("team-a", "link l5d-mc/link0"));
    }
}

/* 2.8's links make namespaces, so that there anybody could have had any made. */
static void a_refused_namespace_is_not_made(void **state)
{
    struct scene *scene = *state;
    scene_secret(scene, 0, "east");
    scene_target(scene, 0, GATEWAY);
    scene_target(scene, 0, QOTM "@svcmirror.io/export-namespace=mine");
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "");
    assert_string_equal(scene_status(scene, "mine/qotm-east"), REFUSED("mine", "secret l5d-mc/cluster-credentials-0"));
    scene_secret(scene, 0, "east allow=mine");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "mine/qotm-east"));
    scene_secret(scene, 0, "east");
    scene_settle(scene);
    assert_null(scene_service(scene, "mine/qotm-east"));
}

static void hostnames_are_where_their_service_may_be(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, DB "@svcmirror.io/export-namespace=l5d-mc");
    scene_target_slice(scene, 0, DB_SLICE);
    scene_settle(scene);
    assert_string_equal(scene_dump(scene, true), "");
    assert_string_equal(scene_status(scene, "l5d-mc/db-0-east"), REFUSED("l5d-mc", "link l5d-mc/link0"));
    scene_link(scene, 0, LINK "allow=l5d-mc");
    scene_settle(scene);
    assert_non_null(scene_service(scene, "l5d-mc/db-0-east"));
}

/* Linkerd takes the namespace from the mirror: in another one it would find another service of the target, or none. */
static void remote_discovery_stays_in_its_namespace(void **state)
{
    struct scene *scene = *state;
    static const char *const WORDS[] = {"map=shop=l5d-mc", "allow=*"};
    for (size_t i = 0; i < ARRAY_COUNT(WORDS); i++) {
        scene_link(scene, 0, arena_printf(&scene->arena, LINK "%s", WORDS[i]));
        scene_target(scene, 0, "shop/web p=80 #~exported=remote-discovery %s",
                     i == 1 ? "@svcmirror.io/export-namespace=l5d-mc" : "");
        scene_settle(scene);
        assert_string_equal(scene_dump(scene, true), "");
        assert_string_equal(
            scene_status(scene, "l5d-mc/web-east"),
            "east InvalidService: by remote discovery Linkerd looks for the service in the namespace of its mirror, "
            "which "
            "would be l5d-mc and has to be shop: mirror it through a gateway, or leave its namespace as it is\n");
    }
    scene_link(scene, 0, LINK "map=other=shop,shop=shop");
    scene_target(scene, 0, "shop/web p=80 #~exported=remote-discovery");
    assert_mirrors(scene, "Service shop/web-east p=80\n");
}

/* ---- mirrors that lost the label of their cluster ---- */

static const struct service *orphan(struct scene *scene, const char *more)
{
    static unsigned count;
    scene_source(scene, "shop/orphan uid=u%u p=80 #~mirrored-service=true %s", count++, more);
    return scene_service(scene, "shop/orphan");
}

static void list_target(struct scene *scene, int target)
{
    assert_int_equal(scene_list(scene, &scene->target_feeds[target], KIND_SERVICE), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[target], KIND_SLICE), ERR_OK);
}

static void what_forgot_its_cluster_goes_when_no_cluster_accounts_for_it(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_link(scene, 1, "north gw=203.0.113.8");
    orphan(scene, "ours");
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_string_equal(scene_plan(scene, true), "");
    list_target(scene, 1);
    assert_string_equal(scene_plan(scene, true), "");
    while (world_pop(scene->world) != NULL) /* the news that completes the view marks it again */
        continue;
    list_target(scene, 0);
    assert_string_equal(scene_plan(scene, true), "delete Service shop/orphan (no link accounts for it)\n");
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/orphan"));
}

static void a_mirror_of_a_hostname_waits_for_the_endpoints_too(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    orphan(scene, "ours #~headless-mirror-svc-name=db-east");
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SERVICE), ERR_OK);
    assert_string_equal(scene_plan(scene, true), "");
    assert_int_equal(scene_list(scene, &scene->target_feeds[0], KIND_SLICE), ERR_OK);
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/orphan"));
}

static void a_removed_link_leaves_nothing_that_forgot_its_cluster(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_link(scene, 1, "north gw=203.0.113.8"); /* never read */
    orphan(scene, "ours");
    scene_restart(scene);
    for (enum object_kind kind = 0; kind < KINDS; kind++)
        assert_int_equal(scene_list(scene, &scene->source_feed, kind), ERR_OK);
    list_target(scene, 0);
    while (world_pop(scene->world) != NULL)
        continue;
    scene_unlink(scene, 1);
    scene_settle(scene);
    assert_null(scene_service(scene, "shop/orphan"));
}

static void what_is_claimed_gets_its_label_back(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_target(scene, 0, WEB);
    scene_settle(scene);
    const char *uid = arena_strdup(&scene->arena, scene_service(scene, "shop/web-east")->meta.uid);
    scene_source(scene, "shop/web-east uid=%s v=edit p=http:80>8080 ours #~mirrored-service=true", uid);
    scene_settle(scene);
    assert_string_equal(scene_service(scene, "shop/web-east")->meta.uid, uid);
    assert_true(kv_has(&scene_service(scene, "shop/web-east")->meta.labels, "mirror.linkerd.io/cluster-name", "east"));
}

/* Of a service that is there and cannot be decoded nobody knows what it is exported as; read again, it accounts for what it does. */
static void what_was_made_of_a_service_that_cannot_be_read_waits_for_it(void **state)
{
    struct scene *scene = *state;
    scene_link(scene, 0, LINK);
    scene_settle(scene);
    for (int labelled = 0; labelled < 2; labelled++) {
        assert_int_equal(world_target_unreadable(scene->links[0], "shop", "web"), ERR_OK);
        orphan(scene, labelled == 1 ? "ours #~cluster-name=east @~remote-svc-fq-name=web.shop.svc.cluster.local"
                                    : "ours @~remote-svc-fq-name=web.shop.svc.cluster.local");
        scene_settle(scene);
        assert_non_null(scene_service(scene, "shop/orphan"));
        scene_target(scene, 0, "shop/web v=r%d p=80", labelled);
        scene_settle(scene);
        assert_null(scene_service(scene, "shop/orphan"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE(a_mirror_may_have_its_services_own_name),
        SCENE(the_template_holds_in_every_mode),
        SCENE(it_names_the_mirrors_of_hostnames),
        SCENE(the_services_own_wish_wins),
        SCENE(another_template_moves_mirrors),
        SCENE(a_name_that_is_none_is_told_of_its_service),
        SCENE(a_name_may_begin_with_a_digit),
        SCENE(names_meet_by_the_same_rules),
        SCENE(a_map_moves_mirrors_and_all_that_is_with_them),
        SCENE(a_mapped_namespace_is_made_as_any_other),
        SCENE(services_choose_only_what_they_are_allowed),
        SCENE(a_refused_namespace_is_not_made),
        SCENE(hostnames_are_where_their_service_may_be),
        SCENE(remote_discovery_stays_in_its_namespace),
        SCENE(what_forgot_its_cluster_goes_when_no_cluster_accounts_for_it),
        SCENE(a_mirror_of_a_hostname_waits_for_the_endpoints_too),
        SCENE(a_removed_link_leaves_nothing_that_forgot_its_cluster),
        SCENE(what_is_claimed_gets_its_label_back),
        SCENE(what_was_made_of_a_service_that_cannot_be_read_waits_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
