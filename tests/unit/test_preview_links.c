/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/preview_links.c, link_scope.c: what a plan tells of Links themselves, and what belongs to which link. */
#include "agent/control/preview_links.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/link_scope.h"
#include "base/mem.h"
#include "tests/unit/control_bench.h"

#define OURS "svcmirror.io/mirrors"
#define MANAGED "\"labels\":{\"app.kubernetes.io/managed-by\":\"svcmirror\"},"
#define HELD "\"finalizers\":[\"" OURS "\"],"
#define DELETED "\"deletionTimestamp\":\"2026-01-01T00:00:00Z\","
#define LINK(more, status)                                                                                             \
    "{\"metadata\":{" more "\"namespace\":\"mc\",\"name\":\"far\",\"uid\":\"u\"},\"spec\":{\"targetClusterName\":"     \
    "\"east\",\"targetClusterDomain\":\"cluster.local\",\"clusterCredentialsSecret\":\"a\",\"gatewayAddress\":"        \
    "\"10.0.0.1\",\"gatewayPort\":\"4143\",\"selector\":{\"matchLabels\":{\"exported\":\"yes\"}}}" status "}"
#define SERVICE                                                                                                        \
    "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"web\",\"resourceVersion\":\"1\","           \
    "\"labels\":"                                                                                                      \
    "{\"exported\":\"yes\"}},\"spec\":{\"ports\":[{\"port\":80}]}}"
#define REFERENCE(name) "{\"group\":\"core\",\"kind\":\"Service\",\"name\":\"" name "\",\"namespace\":\"demo\"}"
#define ENTRY(name, local)                                                                                             \
    "{\"controllerName\":\"linkerd.io/service-mirror\",\"remoteRef\":" REFERENCE(                                      \
        name) ",\"conditions\":[{\"type\":"                                                                            \
              "\"Mirrored\",\"status\":\"True\",\"reason\":\"Mirrored\",\"message\":\"the exported service has no "    \
              "ready endpoint\",\"lastTransitionTime\":"                                                               \
              "\"2026-01-01T00:00:00Z\",\"localRef\":" REFERENCE(local) "}]}"
#define STATUS(entries) ",\"status\":{\"mirrorServices\":[" entries "]}"

struct scene {
    struct bench bench;
    struct preview *preview;
    bool collected;
    struct err error;
    unsigned long fail_at, before; /* which allocation fails from the first plan on; 0: none */
};

static void on_settled(void *context, bool in_time)
{
    struct scene *scene = context;
    assert_true(in_time);
    scene->before = mem_allocation_count();
    mem_fail_at(scene->fail_at);
    preview_collect(scene->preview);
}

static void on_collected(void *context, const struct err *error)
{
    struct scene *scene = context;
    scene->collected = true;
    if (error != NULL)
        scene->error = *error;
}

static enum err_code open_scene(struct scene *scene, const char *link, enum link_finalizer which, const char *word)
{
    struct bench *bench = &scene->bench;
    bench_init(bench, true);
    bench->dry_run = true;
    bench->link_finalizer = which;
    (void)bench_serve(bench, BENCH_LINKS, "Link", link);
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", bench_secret("a", "", NULL, 0));
    (void)bench_serve(bench, BENCH_EXPORTED, "Service", SERVICE);
    (void)bench_serve(bench, "/api/v1/namespaces?", "Namespace", "{\"metadata\":{\"name\":\"demo\"}}");
    TRY(bench_start(bench));
    const struct preview_config config = {.control = bench->control,
                                          .timeout_ms = 60000,
                                          .on_settled = on_settled,
                                          .on_collected = on_collected,
                                          .link = word,
                                          .context = scene};
    TRY(preview_new(&config, &scene->preview));
    bench_advance(bench, 20000);
    return scene->collected ? scene->error.code : ERR_NOMEM;
}

static void close_scene(struct scene *scene)
{
    preview_free(scene->preview);
    bench_done(&scene->bench);
}

/* "REASON: CHANGES; " of each write to a Link; they stand behind all others. */
static const char *link_writes(const struct scene *scene)
{
    static char text[1000];
    text[0] = '\0';
    for (size_t i = 0; i < preview_count(scene->preview); i++) {
        const struct preview_write *write = preview_get(scene->preview, i);
        if (strcmp(write->kind, PREVIEW_LINK) != 0) {
            assert_string_equal(text, "");
            continue;
        }
        assert_string_equal(write->name, "far");
        assert_string_equal(write->namespace, "mc");
        assert_string_equal(write->cluster, "east");
        assert_null(write->object);
        (void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s: %s; ", write->reason, write->changes);
    }
    return text;
}

#define PUT "once it is deleted, it is to stay until its mirrors are gone: finalizer " OURS " is added; "
#define TOLD(text) "its status tells of each exported service: status.mirrorServices tells of 1 services, " text "; "
#define ANEW TOLD("of 1 something new")

static void a_link_is_planned_like_its_mirrors(void **state)
{
    static const struct {
        const char *link;
        enum link_finalizer which;
        const char *word, *wanted;
    } cases[] = {
        {LINK("", ""), LINK_FINALIZER_MANAGED, NULL, ANEW},
        {LINK(MANAGED, ""), LINK_FINALIZER_MANAGED, NULL, PUT ANEW},
        {LINK(MANAGED, ""), LINK_FINALIZER_MANAGED, "far", PUT ANEW},
        {LINK(MANAGED, ""), LINK_FINALIZER_MANAGED, "east", PUT ANEW},
        {LINK(MANAGED, ""), LINK_FINALIZER_MANAGED, "west", ""},
        {LINK(MANAGED, ""), LINK_FINALIZER_MANAGED, "", ""},
        {LINK(MANAGED HELD, STATUS(ENTRY("web", "web-east"))), LINK_FINALIZER_MANAGED, NULL, ""},
        {LINK(HELD, STATUS(ENTRY("web", "web-east"))), LINK_FINALIZER_MANAGED, NULL,
         "the finalizer is not for this Link: finalizer " OURS " is removed; "},
        {LINK(MANAGED HELD, STATUS(ENTRY("web", "web-east"))), LINK_FINALIZER_NONE, NULL,
         "no Link is to have a finalizer: finalizer " OURS " is removed; "},
        {LINK("", ""), LINK_FINALIZER_ALL, NULL, PUT ANEW},
        {LINK(MANAGED HELD DELETED, ""), LINK_FINALIZER_ALL, NULL,
         "the Link is deleted, and may go when its mirrors are gone: finalizer " OURS " is removed; "},
        {LINK("", STATUS(ENTRY("web", "old-east"))), LINK_FINALIZER_NONE, NULL, ANEW},
        {LINK("", STATUS(ENTRY("web", "web-east") "," ENTRY("gone", "gone-east"))), LINK_FINALIZER_NONE, NULL,
         TOLD("of 0 something new, and no more of 1")},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct scene scene = {.collected = false};
        assert_int_equal(open_scene(&scene, cases[i].link, cases[i].which, cases[i].word), ERR_OK);
        if (strcmp(link_writes(&scene), cases[i].wanted) != 0)
            fail_msg("case %zu: \"%s\" instead of \"%s\"", i, link_writes(&scene), cases[i].wanted);
        assert_int_equal(scene.bench.link_patches + scene.bench.status_writes, 0);
        close_scene(&scene);
    }
}

static void what_belongs_to_a_link(void **state)
{
    (void)state;
    struct scene scene = {.collected = false};
    assert_int_equal(open_scene(&scene, LINK("", ""), LINK_FINALIZER_NONE, NULL), ERR_OK);
    const struct control *control = scene.bench.control;
    assert_true(link_scope_exists(control, "far") && link_scope_exists(control, "east"));
    assert_false(link_scope_exists(control, "west") || link_scope_is_refused(control, "far"));
    assert_true(link_scope_covers(control, "far", "demo/web-east") && link_scope_covers(control, NULL, "any/thing"));
    assert_false(link_scope_covers(control, "west", "demo/web-east") || link_scope_covers(control, "far", "demo/web"));
    /* Of a mirror that nothing claims any more its label says whose it was. */
    bench_tell(
        &scene.bench, BENCH_MIRRORS, "ADDED",
        "{\"metadata\":{\"namespace\":\"demo\",\"name\":\"old\",\"uid\":\"1\",\"resourceVersion\":\"2\",\"labels\":{"
        "\"mirror.linkerd.io/mirrored-service\":\"true\",\"mirror.linkerd.io/cluster-name\":\"east\"}}}");
    assert_true(link_scope_covers(control, "far", "demo/old"));
    assert_false(link_scope_covers(control, "west", "demo/old"));
    close_scene(&scene);
}

/* @return whether the allocation was one of those that planning needs. */
static bool survives(unsigned long fail_at)
{
    struct scene scene = {.fail_at = fail_at};
    enum err_code code = open_scene(&scene, LINK(MANAGED, STATUS(ENTRY("web", "old-east"))), LINK_FINALIZER_ALL, "far");
    bool failed = mem_allocation_count() - scene.before >= fail_at;
    mem_fail_at(0);
    if (code != ERR_OK && code != ERR_NOMEM)
        fail_msg("after allocation %lu failed: %s", fail_at, err_code_name(code));
    if (code == ERR_OK)
        assert_string_equal(link_writes(&scene), PUT ANEW);
    close_scene(&scene);
    return failed;
}

static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    unsigned long n = 1;
    while (survives(n))
        n++;
    assert_true(n > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_is_planned_like_its_mirrors),
        cmocka_unit_test(what_belongs_to_a_link),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
