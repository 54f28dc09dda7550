/* links: base mirror mirror_fixture.c mirror_scene.c */
/* Properties of the world and its plans, over random walks: people, targets, gateways, links and the agent's own watches, probes
 * and writes take steps in random order, each on views as old as they happen to be. Afterwards everything is heard of, and
 *
 *  - the mirrors are what an agent makes that sees the end alone, from nothing;
 *  - planned again, nothing is left to write, neither then nor after any one change more;
 *  - an agent that starts anew and hears things in any order writes nothing, not even for a moment; nor does one that may not read the
 *    targets' endpoints or ServiceExports, after another that might not any more;
 *  - what is planned does not depend on the order in which things were heard of.
 *
 * Writes that touch what is not ours fail in the scene. A failure names its seed: WALK_SEED=<n> repeats it alone, and
 * WALK_TRACE=1 prints the steps. WALK_COUNT=<n> walks longer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/plan.h"
#include "tests/unit/mirror_scene.h"

/* Towards its end a walk gets narrower: what marks many mirrors at once would hide that a mark was forgotten elsewhere. */
enum { WALKS = 400, STEPS = 250, LAST_NETWORK_STEP = 120, LAST_LINK_STEP = 190, SOME = 40 };

struct walk {
    struct scene scene;
    uint64_t seed, random;
    bool trace;
    unsigned step;
};

/* ---- chance ---- */

/* splitmix64: small, good enough, the same everywhere. */
static uint64_t next_random(struct walk *walk)
{
    uint64_t z = (walk->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static unsigned below(struct walk *walk, unsigned count) { return (unsigned)(next_random(walk) % count); }

static bool one_in(struct walk *walk, unsigned count) { return below(walk, count) == 0; }

#define PICK(walk, array) ((array)[below((walk), ARRAY_COUNT(array))])

static void trace(const struct walk *walk, const char *what, const char *words)
{
    if (walk->trace)
        (void)fprintf(stderr, "%s %s\n", what, words);
}

/* ---- what people do ---- */

/* Few names, so that they meet: "a-b" of cluster "c" and "a" of "b-c", a service and a gateway's mirror, both families. */
static const char *const namespaces[] = {"shop", "late", "l5d-mc"};
static const char *const names[] = {"a", "a-b", "web", "gw"};
static const char *const clusters[] = {"c", "b-c", "east", "federated"};
static const char *const hosts[] = {"one.example", "two.example"};
static const char *const addresses[] = {"203.0.113.1", "203.0.113.2", "2001:db8::1"};

static const char *service_name(struct walk *walk)
{
    return arena_printf(&walk->scene.arena, "%s/%s", PICK(walk, namespaces), PICK(walk, names));
}

/* As the links' templates would have it. */
static const char *mirror_name(struct walk *walk)
{
    if (one_in(walk, 3))
        return service_name(walk);
    return arena_printf(&walk->scene.arena, "%s-%s", service_name(walk), PICK(walk, clusters));
}

static void put_target_service(struct walk *walk, int target)
{
    static const char *const exports[] = {"",
                                          "#~exported=true @~gateway-name=gw @~gateway-ns=gws",
                                          "#~exported=true @~gateway-name=gw @~gateway-ns=gws",
                                          "#~exported=true @~gateway-name=gw @~gateway-ns=other",
                                          "#~exported=true @~gateway-name=gw @~gateway-ns=gws",
                                          "@~gateway-name=gw",
                                          "#~exported=remote-discovery",
                                          "#~federated=member",
                                          "#~federated=member",
                                          "#~exported=true #~federated=member @~gateway-name=gw @~gateway-ns=gws",
                                          "#~exported=true @svcmirror.io/export-name=a-c",
                                          "#~exported=true @svcmirror.io/export-to=north",
                                          "#~exported=true @svcmirror.io/export-ports=http,dns",
                                          "#~exported=true @svcmirror.io/export-namespace=late",
                                          "#~exported=true @svcmirror.io/endpoints=pods",
                                          "#~exported=true @svcmirror.io/endpoints=gateway",
                                          "#~exported=remote-discovery @svcmirror.io/endpoints=pods",
                                          "#~exported=true @svcmirror.io/endpoints=pods @svcmirror.io/export-ports=dns",
                                          "#~exported=true @~gateway-name=no%name @~gateway-ns=gws"};
    static const char *const oddities[] = {"", "", "", "", "", "", "headless", "external", "#~mirrored-service=true"};
    static const char *const ports[] = {"p=http:80>8080", "p=http:80>8080", "p=http:80>8080 p=dns:53>53/UDP", ""};
    static const char *const metadata[] = {"", "", "#team=a", "@note=x"};
    const char *words = arena_printf(&walk->scene.arena, "%s %s %s %s %s", service_name(walk), PICK(walk, exports),
                                     PICK(walk, oddities), PICK(walk, ports), PICK(walk, metadata));
    trace(walk, arena_printf(&walk->scene.arena, "target %d", target), words);
    scene_target(&walk->scene, target, "%s", words);
}

/* Both sides of a name, old and new: the oldest has it. */
static void put_export(struct walk *walk, int target)
{
    const char *words = arena_printf(&walk->scene.arena, "%s age=%u", service_name(walk), below(walk, 3));
    trace(walk, arena_printf(&walk->scene.arena, "target %d export", target), words);
    scene_export(&walk->scene, target, "%s", words);
}

static void put_gateway(struct walk *walk, int target)
{
    static const char *const where[] = {"gws/gw", "gws/gw", "other/gw"};
    static const char *const places[] = {"",
                                         "lb=203.0.113.1",
                                         "lb=203.0.113.1 lb=203.0.113.2",
                                         "lb=one.example",
                                         "lb=two.example lb=2001:db8::1",
                                         "lb=2001:db8::1"};
    static const char *const ports[] = {"@~multicluster-gateway=true p=mc-gateway:4143 p=mc-probe:80",
                                        "p=mc-gateway:4143 p=mc-probe:80",
                                        "@~multicluster-gateway=true p=mc-gateway:5000 p=mc-probe:81",
                                        "p=mc-gateway:4143",
                                        "p=mc-probe:80",
                                        "@~multicluster-gateway=true p=mc-probe:80"};
    static const char *const more[] = {"@~probe-path=/x", "@~probe-path=/x @~probe-period=5", "",
                                       "@~probe-path=/x @~gateway-identity=id"};
    const char *words = arena_printf(&walk->scene.arena, "%s %s %s %s", PICK(walk, where), PICK(walk, places),
                                     PICK(walk, ports), PICK(walk, more));
    trace(walk, arena_printf(&walk->scene.arena, "target %d", target), words);
    scene_target(&walk->scene, target, "%s", words);
}

static void put_target_slice(struct walk *walk, int target)
{
    static const char *const endpoints[] = {"",
                                            "10.0.0.1",
                                            "!10.0.0.1",
                                            "10.0.0.1 !10.0.0.2",
                                            "10.0.0.3",
                                            "a@10.0.0.1",
                                            "a@10.0.0.1 !h@10.0.0.2",
                                            "10.0.0.1%z1 ~10.0.0.2",
                                            "fd00::1"};
    static const char *const ports[] = {"", "p=http:8080", "p=http:8080 p=dns:53/UDP", "p=http:8081"};
    const char *words = arena_printf(&walk->scene.arena, "%s/slice-%u svc=%s %s %s", PICK(walk, namespaces),
                                     below(walk, 4), PICK(walk, names), PICK(walk, endpoints), PICK(walk, ports));
    trace(walk, arena_printf(&walk->scene.arena, "target %d slice", target), words);
    scene_target_slice(&walk->scene, target, "%s", words);
}

static void delete_one_of(struct walk *walk, struct cluster *cluster, enum object_kind kind,
                          bool (*wanted)(const void *object))
{
    size_t count = scene_count(cluster, kind);
    if (count == 0)
        return;
    struct map_entry *at = map_first(cluster->objects[kind]);
    for (unsigned skip = below(walk, (unsigned)count); skip > 0; skip--)
        at = map_next(at);
    if (wanted != NULL && !wanted(map_value(at)))
        return;
    trace(walk, "delete", map_key(at));
    scene_delete(cluster, kind, map_key(at));
}

static void step_target(struct walk *walk)
{
    int target = (int)below(walk, SCENE_TARGETS);
    struct cluster *cluster = &walk->scene.targets[target];
    switch (below(walk, 11)) {
    case 8:
    case 9:
        put_export(walk, target);
        break;
    case 10:
        delete_one_of(walk, cluster, KIND_MCS, NULL);
        break;
    case 0:
    case 1:
    case 2:
        put_target_service(walk, target);
        break;
    case 3:
        put_gateway(walk, target);
        break;
    case 4:
    case 5:
        put_target_slice(walk, target);
        break;
    case 6:
        delete_one_of(walk, cluster, KIND_SERVICE, NULL);
        break;
    default:
        delete_one_of(walk, cluster, KIND_SLICE, NULL);
    }
}

/* Of links with one cluster name the agent gives the world only one. */
static bool is_taken(const struct walk *walk, int target, const char *cluster)
{
    for (int i = 0; i < SCENE_TARGETS; i++)
        if (i != target && walk->scene.declarations[i] != NULL &&
            strcmp(walk->scene.declarations[i]->cluster_name, cluster) == 0)
            return true;
    return false;
}

/* Of a Secret or a Link: some of which would have each other's names. */
static const char *naming_words(struct walk *walk)
{
    static const char *const templates[] = {
        "", "", "", "name={name}", "name=a-{name}", "name={name}-{cluster}-{namespace}"};
    static const char *const maps[] = {"", "", "", "map=shop=late", "map=late=shop,shop=late", "map=*=shop"};
    static const char *const allowed[] = {"", "allow=", "allow=late", "allow=*"};
    return arena_printf(&walk->scene.arena, "%s %s %s", PICK(walk, templates), PICK(walk, maps), PICK(walk, allowed));
}

static void step_links(struct walk *walk)
{
    static const char *const gateways[] = {"",
                                           "gw=203.0.113.1",
                                           "gw=203.0.113.1,one.example",
                                           "gw=2001:db8::1",
                                           "gw=two.example,203.0.113.2",
                                           "gw=203.0.113.1 port=4144",
                                           "ref=gws/gw",
                                           "ref=other/gw identity=id",
                                           "ref=gws/gw gw=203.0.113.2 port=4144"};
    static const char *const probes[] = {"probe=4191", "probe=4191", ""};
    static const char *const more[] = {"",
                                       "",
                                       "drain",
                                       "domain=x.local",
                                       "identity=id",
                                       "-#team",
                                       "select=team=a",
                                       "endpoints=pods",
                                       "endpoints=pods drain"};
    int target = (int)below(walk, SCENE_TARGETS);
    struct arena *arena = &walk->scene.arena;
    if (one_in(walk, 3)) {
        trace(walk, "unlink", arena_printf(arena, "%d", target));
        if (walk->scene.links[target] != NULL)
            scene_unlink(&walk->scene, target);
        return;
    }
    const char *cluster = one_in(walk, 3) ? PICK(walk, clusters) : clusters[target];
    if (is_taken(walk, target, cluster))
        return;
    if (one_in(walk, 8)) {
        for (int i = 0; i < SCENE_TARGETS; i++)
            if (i != target && walk->scene.declarations[i] != NULL && walk->scene.declarations[i]->kind == LINK_LOCAL)
                return;
        trace(walk, arena_printf(arena, "local %d", target), "");
        scene_local(&walk->scene, target);
        return;
    }
    if (one_in(walk, 2)) {
        const char *words = arena_printf(arena, "%s age=%u %s", cluster, below(walk, 5), naming_words(walk));
        trace(walk, arena_printf(arena, "secret %d", target), words);
        scene_secret(&walk->scene, target, words);
        return;
    }
    const char *words =
        arena_printf(arena, "%s age=%u %s %s %s %s %s", cluster, below(walk, 5), PICK(walk, gateways),
                     PICK(walk, probes), PICK(walk, more), naming_words(walk), one_in(walk, 3) ? "" : "exports");
    trace(walk, arena_printf(arena, "link %d", target), words);
    scene_link(&walk->scene, target, words);
}

static void step_network(struct walk *walk)
{
    static const char *const answers[] = {"", "203.0.113.1", "203.0.113.2,203.0.113.1", "203.0.113.1,2001:db8::1"};
    static const enum world_liveness verdicts[] = {WORLD_LIVENESS_UNKNOWN, WORLD_ALIVE, WORLD_ALIVE, WORLD_DEAD};
    if (one_in(walk, 3))
        scene_host(&walk->scene, PICK(walk, hosts), PICK(walk, answers));
    else
        scene_verdict(&walk->scene, PICK(walk, addresses), PICK(walk, verdicts));
    trace(walk, "network", "");
}

static bool is_ours(const void *object) { return ((const struct service *)object)->meta.made_by_us; }

/* Hand-made changes that leave the mark by which the watch selects: what leaves its sight is another test's affair. */
static void edit_mirror(struct walk *walk)
{
    struct cluster *source = &walk->scene.source;
    static const char *const labels[] = {"#~cluster-name=east", "#~cluster-name=c", "#~cluster-name=nowhere", ""};
    static const char *const ports[] = {"p=http:80>8080", "p=x:1>1"};
    const char *key = mirror_name(walk);
    const struct service *there = scene_service(&walk->scene, key);
    if (there == NULL || !is_ours(there)) {
        delete_one_of(walk, source, KIND_SERVICE, is_ours);
        return;
    }
    const char *words = arena_printf(&walk->scene.arena, "%s #~mirrored-service=true %s %s", key, PICK(walk, labels),
                                     PICK(walk, ports));
    trace(walk, "edit", words);
    scene_source(&walk->scene, "%s", words);
}

static void edit_slice(struct walk *walk)
{
    static const char *const edits[] = {"203.0.113.9", "!203.0.113.1 p=http:4143", "", "#x=y 203.0.113.1"};
    struct arena *arena = &walk->scene.arena;
    const char *key = mirror_name(walk);
    const struct service *owner = scene_service(&walk->scene, key);
    const char *slice_key = arena_printf(arena, "%s.%s", key, one_in(walk, 2) ? "ipv4" : "ipv6");
    if (owner == NULL || scene_slice(&walk->scene, slice_key) == NULL) {
        delete_one_of(walk, &walk->scene.source, KIND_SLICE, NULL);
        return;
    }
    const char *service_name = one_in(walk, 4) ? "elsewhere" : strchr(key, '/') + 1;
    const char *type = one_in(walk, 6)                      ? (one_in(walk, 2) ? "type=IPv6" : "type=IPv4")
                       : strstr(slice_key, ".ipv6") != NULL ? "type=IPv6"
                                                            : "type=IPv4";
    const char *words = arena_printf(arena, "%s owner=%s svc=%s managed=svcmirror #~mirrored-service=true %s %s",
                                     slice_key, owner->meta.uid, service_name, PICK(walk, edits), type);
    trace(walk, "edit slice", words);
    scene_source_slice(&walk->scene, "%s", words);
}

static bool has_namespace(const struct scene *scene, const char *key);

/* Somebody else's ServiceImport comes or goes, or somebody edits one of ours. */
static void edit_import(struct walk *walk)
{
    static const char *const edits[] = {"", "#~mirrored-service=true #~cluster-name=c p=x:1",
                                        "#~mirrored-service=true #~cluster-name=nowhere headless p=http:80"};
    struct scene *scene = &walk->scene;
    const char *key = service_name(walk);
    const struct service *there = scene_service_import(scene, key);
    if (there != NULL && one_in(walk, 2)) {
        trace(walk, "delete import", key);
        scene_delete(&scene->source, KIND_MCS, key);
    } else if (has_namespace(scene, key) && (there == NULL || there->meta.made_by_us)) {
        const char *words =
            arena_printf(&scene->arena, "%s %s", key, there == NULL ? "p=1" : edits[1 + below(walk, 2)]);
        trace(walk, "import", words);
        scene_import(scene, "%s", words);
    }
}

static bool has_namespace(const struct scene *scene, const char *key)
{
    char name[OBJECT_KEY_BYTES];
    (void)object_key_split(key, name);
    const struct namespace_object *namespace = map_get(scene->source.objects[KIND_NAMESPACE], name);
    return namespace != NULL && !namespace->terminating;
}

static bool is_foreign(const void *object) { return !is_ours(object); }

static void step_source(struct walk *walk)
{
    struct scene *scene = &walk->scene;
    static const char *const foreign[] = {"p=1", "p=1 selector", "p=1 #~mirrored-service=true",
                                          "p=1 #~mirrored-service=true #~cluster-name=gone",
                                          "p=1 #~mirrored-service=true #~cluster-name=east"};
    switch (below(walk, 7)) {
    case 6:
        edit_import(walk);
        break;
    case 0: {
        const char *key = mirror_name(walk);
        const char *words = arena_printf(&scene->arena, "%s %s", key, PICK(walk, foreign));
        if (scene_service(scene, key) == NULL && has_namespace(scene, key)) {
            trace(walk, "user", words);
            scene_source(scene, "%s", words);
        }
        break;
    }
    case 1:
        delete_one_of(walk, &scene->source, KIND_SERVICE, is_foreign);
        break;
    case 2:
        edit_mirror(walk);
        break;
    case 3:
        edit_slice(walk);
        break;
    case 4: {
        const char *name = PICK(walk, namespaces);
        const char *words = arena_printf(&scene->arena, "/%s%s", name, one_in(walk, 4) ? " terminating" : "");
        trace(walk, "namespace", words);
        scene_namespace(scene, words);
        break;
    }
    default:
        if (one_in(walk, 3))
            delete_one_of(walk, &scene->source, KIND_NAMESPACE, NULL);
    }
}

/* ---- what the agent does ---- */

static struct feed *some_feed(struct walk *walk)
{
    int target = (int)below(walk, SCENE_TARGETS + 2) - 2;
    return target < 0 || walk->scene.links[target] == NULL ? &walk->scene.source_feed
                                                           : &walk->scene.target_feeds[target];
}

static const enum object_kind of_targets[] = {KIND_SERVICE, KIND_SLICE, KIND_MCS, KIND_MEMBER};

static bool is_readable(const struct scene *scene, const struct feed *feed, enum object_kind kind)
{
    if (feed->target < 0 || kind == KIND_SERVICE)
        return true;
    return kind == KIND_MEMBER ? feed->apart
           : kind == KIND_MCS  ? world_takes_exports(scene->links[feed->target])
                               : scene->declarations[feed->target]->kind == LINK_RESOURCE;
}

static void step_agent(struct walk *walk)
{
    struct scene *scene = &walk->scene;
    struct feed *feed = some_feed(walk);
    enum object_kind kind = feed->target < 0 ? below(walk, KINDS) : PICK(walk, of_targets);
    bool read_slices = feed->target < 0 || scene->declarations[feed->target]->kind == LINK_RESOURCE;
    scene->apply_all = one_in(walk, 2);
    switch (below(walk, 10)) {
    case 0:
        if (!read_slices)
            world_set_unavailable(scene->world, scene->links[feed->target], WORLD_TARGET_SLICES);
        if (is_readable(scene, feed, kind))
            assert_int_equal(scene_list(scene, feed, kind), ERR_OK);
        trace(walk, "list", "");
        break;
    case 1:
    case 2:
    case 3:
        for (unsigned i = below(walk, 6); i > 0; i--)
            if (is_readable(scene, feed, kind))
                assert_int_equal(scene_step(scene, feed, kind), ERR_OK);
        trace(walk, "events", "");
        break;
    case 4:
    case 5:
        scene_probe(scene);
        trace(walk, "probe", "");
        break;
    default:
        for (unsigned i = below(walk, 8); i > 0; i--)
            (void)scene_work(scene);
        trace(walk, "work", "");
    }
}

static void take_step(struct walk *walk)
{
    switch (below(walk, 20)) {
    case 0:
    case 1:
    case 2:
    case 3:
        step_target(walk);
        break;
    case 4:
        if (walk->step < LAST_LINK_STEP)
            step_links(walk);
        break;
    case 5:
        if (walk->step < LAST_NETWORK_STEP)
            step_network(walk);
        break;
    case 6:
    case 7:
        step_source(walk);
        break;
    case 8:
        if (walk->step > LAST_NETWORK_STEP)
            break;
        if (one_in(walk, 5)) {
            trace(walk, "restart", "");
            scene_restart(&walk->scene);
        } else if (one_in(walk, 3)) {
            scene_links_complete(&walk->scene, one_in(walk, 2));
        }
        break;
    default:
        step_agent(walk);
    }
}

/* ---- the end of a walk ---- */

static void look_again_at(struct scene *scene, const char *key)
{
    struct mirror *mirror = world_find_mirror(scene->world, key);
    if (mirror != NULL)
        world_set_foreign(mirror, false);
}

/* The writer looks from time to time whether a foreign object is gone. */
static void look_again(struct scene *scene)
{
    for (size_t i = 0; i < ARRAY_COUNT(namespaces) * ARRAY_COUNT(names) * ARRAY_COUNT(clusters); i++) {
        const char *namespace = namespaces[i % ARRAY_COUNT(namespaces)];
        const char *name = names[i / ARRAY_COUNT(namespaces) % ARRAY_COUNT(names)];
        const char *cluster = clusters[i / ARRAY_COUNT(namespaces) / ARRAY_COUNT(names)];
        look_again_at(scene, arena_printf(&scene->arena, "%s/%s-%s", namespace, name, cluster));
        look_again_at(scene, arena_printf(&scene->arena, "%s/%s", namespace, name));
    }
    for (size_t i = 0; i < ARRAY_COUNT(namespaces) * ARRAY_COUNT(names); i++) {
        look_again_at(scene, arena_printf(&scene->arena, "%s/%s@import", namespaces[i % ARRAY_COUNT(namespaces)],
                                          names[i / ARRAY_COUNT(namespaces)]));
    }
}

/* All names resolve and all verdicts are known: what nobody knows keeps what was there before. */
static void settle_network(struct walk *walk)
{
    struct scene *scene = &walk->scene;
    scene_host(scene, hosts[0], one_in(walk, 2) ? "203.0.113.1" : "203.0.113.2,2001:db8::1");
    scene_host(scene, hosts[1], one_in(walk, 2) ? "203.0.113.1" : "203.0.113.2,2001:db8::1");
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++)
        scene_verdict(scene, addresses[i], one_in(walk, 3) ? WORLD_DEAD : WORLD_ALIVE);
}

/* A headless mirror stays so while nothing of its service is ready: whether it is made so anew, the end alone says. */
static void delete_headless_mirrors(struct scene *scene)
{
    struct map *services = scene->source.objects[KIND_SERVICE];
    for (struct map_entry *at = map_first(services), *next; at != NULL; at = next) {
        const struct service *service = map_value(at);
        next = map_next(at);
        if (service->headless && is_ours(service))
            scene_delete(&scene->source, KIND_SERVICE, map_key(at));
    }
}

/* Whatever is history's own goes. */
static void come_to_rest(struct walk *walk)
{
    struct scene *scene = &walk->scene;
    for (size_t i = 0; i < ARRAY_COUNT(namespaces); i++) {
        const struct namespace_object *namespace = map_get(scene->source.objects[KIND_NAMESPACE], namespaces[i]);
        if (namespace != NULL && namespace->terminating)
            scene_delete(&scene->source, KIND_NAMESPACE, namespaces[i]);
    }
    /* The agent's own namespace is there, or there is no agent. */
    scene_namespace(scene, "/l5d-mc");
    trace(walk, "rest", "");
    scene_settle(scene);
    delete_headless_mirrors(scene);
    scene_settle(scene);
    look_again(scene);
    scene_settle(scene);
}

static void mark_all(struct scene *scene)
{
    scene_links_complete(scene, false);
    scene_links_complete(scene, true); /* marks every mirror */
}

static bool is_somebody_elses(const struct object_meta *meta) { return !meta->made_by_us; }

/* Another scene with the same targets, links and network, and of the source only what is not ours. */
static void scene_of_the_end(struct scene *fresh, const struct scene *scene)
{
    scene_init(fresh);
    fresh->config = scene->config;
    fresh->members_apart = scene->members_apart;
    scene_delete(&fresh->source, KIND_NAMESPACE, "l5d-mc");
    scene_delete(&fresh->source, KIND_NAMESPACE, "shop");
    scene_copy(fresh, &fresh->source, &scene->source, KIND_NAMESPACE, NULL);
    scene_copy(fresh, &fresh->source, &scene->source, KIND_SERVICE, is_somebody_elses);
    scene_copy(fresh, &fresh->source, &scene->source, KIND_MCS, is_somebody_elses);
    memcpy(fresh->hosts, scene->hosts, sizeof(fresh->hosts));
    memcpy(fresh->verdicts, scene->verdicts, sizeof(fresh->verdicts));
    for (int i = 0; i < SCENE_TARGETS; i++) {
        scene_copy(fresh, &fresh->targets[i], &scene->targets[i], KIND_SERVICE, NULL);
        scene_copy(fresh, &fresh->targets[i], &scene->targets[i], KIND_SLICE, NULL);
        scene_copy(fresh, &fresh->targets[i], &scene->targets[i], KIND_MCS, NULL);
        fresh->declarations[i] = scene->declarations[i];
    }
}

static void assert_same(const struct walk *walk, const char *what, const char *is, const char *should_be)
{
    if (strcmp(is, should_be) == 0)
        return;
    /* cmocka cuts long messages */
    (void)fprintf(stderr, "%s:\n%s\nshould be\n%s\n", what, is, should_be);
    fail_msg("seed %llu: %s", (unsigned long long)walk->seed, what);
}

/* ClusterIPs are given in order of creation, which is history. */
static const char *without_cluster_ips(struct arena *arena, const char *text)
{
    static const char range[] = "10.96.";
    size_t bytes = strlen(text) + 1;
    char *copy = arena_alloc(arena, bytes), *end = copy;
    memcpy(copy, text, bytes);
    for (const char *at = copy; *at != '\0';) {
        if (strncmp(at, range, strlen(range)) == 0)
            at += strspn(at, "0123456789.");
        else
            *end++ = *at++;
    }
    *end = '\0';
    return copy;
}

static void assert_computed_afresh(struct walk *walk)
{
    struct scene fresh;
    scene_of_the_end(&fresh, &walk->scene);
    scene_restart(&fresh);
    scene_settle(&fresh);
    assert_same(walk, "the mirrors at the end", without_cluster_ips(&fresh.arena, scene_dump(&walk->scene, false)),
                without_cluster_ips(&fresh.arena, scene_dump(&fresh, false)));
    scene_done(&fresh);
}

static void assert_nothing_left(struct walk *walk)
{
    mark_all(&walk->scene);
    assert_same(walk, "planned again", scene_plan(&walk->scene, false), "");
    while (world_pop(walk->scene.world) != NULL)
        continue; /* the marks that were made here must not help what comes */
}

/* Out of the quiet, one thing at a time: a mark that its change forgets is made by nothing else. */
static void change_one_thing(struct walk *walk)
{
    switch (below(walk, 8)) {
    case 0:
        step_links(walk);
        break;
    case 1:
    case 2:
        step_network(walk);
        break;
    case 3:
    case 4:
        step_source(walk);
        break;
    case 5:
        put_gateway(walk, (int)below(walk, SCENE_TARGETS));
        break;
    default:
        step_target(walk);
    }
    scene_settle(&walk->scene);
    assert_nothing_left(walk);
}

/* ---- hearing things in any order ---- */

static void list(struct walk *walk, struct feed *feed, enum object_kind kind)
{
    /* A second listing may not break off here: its objects would be newer than the events that follow. */
    if (one_in(walk, 2) && !feed->listed[kind])
        scene_list_part(&walk->scene, feed, kind, below(walk, 12));
    else
        assert_int_equal(scene_list(&walk->scene, feed, kind), ERR_OK);
}

/* One step of an agent that does not know yet what there is; the last ones complete its knowledge. */
static void hear_something(struct walk *walk)
{
    struct scene *scene = &walk->scene;
    int target = (int)below(walk, SCENE_TARGETS);
    switch (below(walk, 6)) {
    case 0:
        if (scene->declarations[target] != NULL)
            assert_int_equal(scene_declare(scene, target), ERR_OK);
        break;
    case 1:
    case 2: {
        list(walk, &scene->source_feed, below(walk, KINDS));
        break;
    }
    case 3:
    case 4:
        if (scene->links[target] == NULL)
            break;
        if (world_takes_exports(scene->links[target]) && one_in(walk, 3)) {
            list(walk, &scene->target_feeds[target], KIND_MCS);
        } else if (scene->declarations[target]->kind == LINK_SECRET) {
            world_set_unavailable(scene->world, scene->links[target], WORLD_TARGET_SLICES);
            list(walk, &scene->target_feeds[target], KIND_SERVICE);
        } else if (scene->target_feeds[target].apart && one_in(walk, 3)) {
            list(walk, &scene->target_feeds[target], KIND_MEMBER);
        } else {
            list(walk, &scene->target_feeds[target], one_in(walk, 2) ? KIND_SERVICE : KIND_SLICE);
        }
        break;
    default:
        scene_probe(scene);
    }
    for (unsigned i = below(walk, 8); i > 0; i--)
        (void)scene_work(scene);
}

static void hear_everything(struct walk *walk, const struct scene *facts)
{
    struct scene *scene = &walk->scene;
    for (int i = 0; i < SCENE_TARGETS; i++)
        if (scene->declarations[i] != NULL)
            assert_int_equal(scene_declare(scene, i), ERR_OK);
    scene_links_complete(scene, true);
    memcpy(scene->hosts, facts->hosts, sizeof(scene->hosts));
}

/* The only writes of an agent that finds everything right: tries at names that turn out to be somebody else's. */
static bool is_no_try(void *context, const struct write *write)
{
    struct walk *walk = context;
    char key[OBJECT_KEY_BYTES];
    object_key_format(key, write->namespace, write->name);
    bool is_import = write->kind == WRITE_IMPORT || write->kind == WRITE_IMPORT_STATUS;
    const struct service *there =
        is_import ? scene_service_import(&walk->scene, key) : scene_service(&walk->scene, key);
    if (write->verb == WRITE_CREATE && (write->kind == WRITE_SERVICE || is_import) && there != NULL && !is_ours(there))
        return false;
    (void)fprintf(stderr, "seed %llu:\n", (unsigned long long)walk->seed);
    if ((write->kind == WRITE_SERVICE || is_import) && write->service != NULL && there != NULL)
        (void)fprintf(stderr, "%s\nwanted %s\n", service_words(&walk->scene.arena, there, false),
                      service_words(&walk->scene.arena, write->service, false));
    return true;
}

static void assert_a_new_agent_writes_nothing(struct walk *walk)
{
    struct scene *scene = &walk->scene;
    const struct scene facts = *scene;
    memset(scene->hosts, 0, sizeof(scene->hosts));
    memset(scene->verdicts, 0, sizeof(scene->verdicts));
    scene->verdict = WORLD_LIVENESS_UNKNOWN; /* the probes take longer than all of this */
    scene->forbid = is_no_try;
    scene->forbid_context = walk;
    scene->links_complete = false;
    scene_restart_alone(scene);
    for (unsigned i = 0; i < SOME; i++)
        hear_something(walk);
    hear_everything(walk, &facts);
    scene_settle(scene);
    memcpy(scene->verdicts, facts.verdicts, sizeof(scene->verdicts));
    scene_settle(scene);
    scene->verdict = facts.verdict;
    scene->forbid = NULL;
}

/* The right to read the targets' endpoints, or ServiceExports, is taken away, and other things go on: an agent that begins then finds all of it right. */
static void assert_a_restart_without_the_right_writes_nothing(struct walk *walk)
{
    struct scene *scene = &walk->scene;
    for (int i = 0; i < SCENE_TARGETS; i++)
        if (one_in(walk, 2))
            scene_refuse_slices(scene, i, true);
        else
            scene_refuse_exports(scene, i, true);
    for (unsigned i = 0; i < SOME; i++) {
        scene_settle(scene);
        change_one_thing(walk);
    }
    settle_network(walk);
    come_to_rest(walk);
    scene->forbid = is_no_try;
    scene->forbid_context = walk;
    scene_restart(scene);
    scene_settle(scene);
    scene->forbid = NULL;
    assert_nothing_left(walk);
}

/* The same end, heard of as a listing in order, and as events in any order on top of empty listings. */
static void assert_order_does_not_matter(struct walk *walk)
{
    struct walk shuffled = {.seed = walk->seed, .random = walk->random};
    struct scene ordered;
    scene_of_the_end(&ordered, &walk->scene);
    scene_restart(&ordered);
    scene_hear(&ordered);
    scene_of_the_end(&shuffled.scene, &walk->scene);
    scene_restart_alone(&shuffled.scene);
    struct scene *scene = &shuffled.scene;
    for (int i = SCENE_TARGETS - 1; i >= 0; i--)
        if (scene->declarations[i] != NULL)
            assert_int_equal(scene_declare(scene, i), ERR_OK);
    scene_links_complete(scene, true);
    for (int i = -1; i < SCENE_TARGETS; i++)
        for (enum object_kind kind = 0; kind < (i < 0 ? KINDS : VIEWS); kind++) {
            struct feed *feed = i < 0 ? &scene->source_feed : &scene->target_feeds[i];
            static const enum world_collection of_source[] = {WORLD_SOURCE_SERVICES, WORLD_SOURCE_SLICES,
                                                              WORLD_SOURCE_NAMESPACES, WORLD_SOURCE_IMPORTS},
                                               of_target[] = {[KIND_SERVICE] = WORLD_TARGET_SERVICES,
                                                              [KIND_SLICE] = WORLD_TARGET_SLICES,
                                                              [KIND_MCS] = WORLD_TARGET_EXPORTS,
                                                              [KIND_MEMBER] = WORLD_TARGET_MEMBERS};
            if (i >= 0 && (kind == KIND_NAMESPACE || scene->links[i] == NULL || !is_readable(scene, feed, kind)))
                continue;
            enum world_collection collection = i < 0 ? of_source[kind] : of_target[kind];
            world_begin(scene->world, i < 0 ? NULL : scene->links[i], collection);
            world_end(scene->world, i < 0 ? NULL : scene->links[i], collection);
            if (collection == WORLD_TARGET_SERVICES) {
                world_begin(scene->world, scene->links[i], WORLD_TARGET_GATEWAY);
                world_end(scene->world, scene->links[i], WORLD_TARGET_GATEWAY);
            }
            feed->listed[kind] = true;
        }
    for (unsigned i = 0; i < 4 * SOME; i++) {
        struct feed *feed = some_feed(&shuffled);
        enum object_kind kind = feed->target < 0 ? below(&shuffled, KINDS) : PICK(&shuffled, of_targets);
        assert_int_equal(scene_step(scene, feed, kind), ERR_OK);
        if (one_in(&shuffled, 8))
            scene_probe(scene);
    }
    scene_hear(scene);
    mark_all(&ordered);
    mark_all(scene);
    const char *plan = scene_plan(&ordered, false);
    assert_same(walk, "planned from shuffled events", scene_plan(scene, false), plan);
    mark_all(&ordered);
    assert_same(walk, "planned twice", scene_plan(&ordered, false), plan);
    scene_done(&ordered);
    scene_done(scene);
}

static struct walk current;
static bool walking;

static int tell_seed(void **state)
{
    (void)state;
    if (walking)
        (void)fprintf(stderr, "failed with WALK_SEED=%llu\n", (unsigned long long)current.seed);
    return 0;
}

static void take_walk(uint64_t seed)
{
    walking = true;
    current = (struct walk){.seed = seed, .random = seed * 7919 + 1, .trace = getenv("WALK_TRACE") != NULL};
    scene_init(&current.scene);
    current.scene.config.create_namespaces_for_links = true;
    current.scene.config.allowed_namespaces = one_in(&current, 2) ? "la*" : "";
    current.scene.members_apart = one_in(&current, 2);
    scene_restart(&current.scene);
    step_links(&current);
    for (current.step = 0; current.step < STEPS; current.step++) {
        if (current.step == LAST_NETWORK_STEP) {
            scene_links_complete(&current.scene, true);
            settle_network(&current);
        }
        take_step(&current);
    }
    come_to_rest(&current);
    assert_nothing_left(&current);
    for (unsigned i = 0; i < SOME; i++)
        change_one_thing(&current);
    settle_network(&current);
    come_to_rest(&current);
    assert_nothing_left(&current);
    assert_computed_afresh(&current);
    assert_order_does_not_matter(&current);
    assert_a_new_agent_writes_nothing(&current);
    assert_nothing_left(&current);
    assert_a_restart_without_the_right_writes_nothing(&current);
    scene_done(&current.scene);
    walking = false;
}

static void any_walk_ends_where_the_end_alone_would_lead(void **state)
{
    (void)state;
    const char *seed = getenv("WALK_SEED"), *count = getenv("WALK_COUNT");
    if (seed != NULL) {
        take_walk(strtoull(seed, NULL, 10));
        return;
    }
    uint64_t walks = count != NULL ? strtoull(count, NULL, 10) : WALKS;
    for (uint64_t i = 1; i <= walks; i++) {
        if (getenv("WALK_TRACE") != NULL)
            (void)fprintf(stderr, "seed %llu\n", (unsigned long long)i);
        take_walk(i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(any_walk_ends_where_the_end_alone_would_lead, tell_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
