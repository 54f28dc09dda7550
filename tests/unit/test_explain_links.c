/* links: agent_control agent_kube agent_observe mirror health base fake_loop.c fake_http.c control_bench.c */
/* agent/control/explain_links.c, explain_link.c, explain_gateway.c: what is told of links and gateways, and with which verdict. */
#include "agent/control/explain_links.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/link_scope.h"
#include "base/mem.h"
#include "tests/unit/control_bench.h"

#define SERVICE(name)                                                                                                  \
    "{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"demo\",\"name\":\"" name                                      \
    "\",\"resourceVersion\":\"1\",\"labels\":{\"exported\":\"yes\"}},\"spec\":{\"ports\":[{\"port\":80}]}}"
#define LINK(name, annotations, more)                                                                                  \
    "{\"metadata\":{\"namespace\":\"mc\",\"name\":\"" name "\",\"uid\":\"" name "\",\"annotations\":{" annotations     \
    "}},\"spec\":{\"targetClusterName\":\"" name "\",\"targetClusterDomain\":\"cluster.local\","                       \
    "\"clusterCredentialsSecret\":\"a\"," more "\"selector\":{\"matchLabels\":{\"exported\":\"yes\"}}}}"
#define PROBED                                                                                                         \
    "\"gatewayAddress\":\"10.0.0.1\",\"gatewayPort\":\"4143\",\"gatewayIdentity\":\"gw\",\"probeSpec\":{\"path\":"     \
    "\"/ready\",\"port\":\"4191\",\"period\":\"3s\"},"
#define UNPROBED "\"gatewayAddress\":\"10.0.0.1\",\"gatewayPort\":\"4143\","

/* What is asked, and on which clusters. */
struct scene {
    const char *link, *services;
    bool answers; /* the gateway does */
    bool without_secret;
    struct explain_links_config question;
    struct bench bench;
    struct preview *preview;
    struct explain_links *explain;
    bool collected, failed;
    unsigned long fail_at, before; /* which allocation fails from the first question on; 0: none */
};

static void on_settled(void *context, bool in_time)
{
    struct scene *scene = context;
    assert_true(in_time);
    scene->before = mem_allocation_count();
    mem_fail_at(scene->fail_at);
    scene->question.control = scene->bench.control;
    scene->question.preview = scene->preview;
    if (explain_links_new(&scene->question, &scene->explain, NULL) == ERR_OK)
        preview_collect(scene->preview);
    else
        scene->failed = true;
}

static void on_collected(void *context, const struct err *error)
{
    struct scene *scene = context;
    scene->collected = true;
    scene->failed = scene->failed || error != NULL;
}

static bool wants(void *context, const char *key)
{
    const struct scene *scene = context;
    return explain_links_wants(scene->explain, key);
}

static enum err_code open_scene(struct scene *scene)
{
    struct bench *bench = &scene->bench;
    bench_init(bench, true);
    bench->dry_run = true;
    (void)bench_serve(bench, BENCH_LINKS, "Link", scene->link);
    (void)bench_serve(bench, BENCH_SECRETS, "Secret", scene->without_secret ? "" : bench_secret("a", "", NULL, 0));
    (void)bench_serve(bench, BENCH_EXPORTED, "Service", scene->services);
    (void)bench_serve(bench, "/api/v1/namespaces?", "Namespace", "{\"metadata\":{\"name\":\"demo\"}}");
    const struct probe_observation good = {.end = PROBE_ANSWERED, .status = 200}, closed = {.end = PROBE_REFUSED};
    bench_probes_see("10.0.0.1", scene->answers ? &good : &closed);
    TRY(bench_start(bench));
    const struct preview_config config = {.control = bench->control,
                                          .timeout_ms = 60000,
                                          .on_settled = on_settled,
                                          .on_collected = on_collected,
                                          .wants = wants,
                                          .link = scene->question.gateways ? "" : scene->question.name,
                                          .context = scene};
    TRY(preview_new(&config, &scene->preview));
    bench_advance(bench, 20000);
    if (scene->failed || !scene->collected)
        return ERR_NOMEM;
    return explain_links_finish(scene->explain);
}

static void close_scene(struct scene *scene)
{
    explain_links_free(scene->explain);
    preview_free(scene->preview);
    bench_done(&scene->bench);
}

static bool says(const struct explanation *explanation, enum fact_mark mark, const char *text)
{
    for (size_t i = 0; i < explanation->facts.count; i++)
        if (explanation->facts.items[i].mark == mark && strstr(explanation->facts.items[i].text, text) != NULL)
            return true;
    return false;
}

static void tell(const struct explanation *explanation)
{
    print_message("%s: %s\n", explanation->name, explanation->verdict);
    for (size_t i = 0; i < explanation->facts.count; i++)
        print_message("  %s %s %s\n", fact_mark_name(explanation->facts.items[i].mark),
                      explanation->facts.items[i].subject, explanation->facts.items[i].text);
}

static void each_has_its_verdict_and_its_facts(void **state)
{
    static const struct {
        const char *link, *services;
        bool answers, without_secret, gateways;
        const char *name, *namespace, *verdict; /* verdict NULL: nothing has that name */
        bool ready;
        enum fact_mark mark;
        const char *fact;
    } cases[] = {
        {LINK("east", "", PROBED), SERVICE("web"), true, false, false, "east", NULL, "works, but not all is well",
         false, FACT_BAD, "of 1 exported services 0 are mirrored"},
        {LINK("east", "", PROBED), SERVICE("web"), true, false, false, "east", NULL, "works, but not all is well",
         false, FACT_NOTE, "`run` would create Service demo/web-east: exported and not mirrored yet"},
        {LINK("east", "", PROBED), SERVICE("web"), true, false, false, "east", NULL, "works, but not all is well",
         false, FACT_NOTE,
         "`run` would update Link mc/east: its status tells of each exported service: status.mirrorServices "
         "tells of 1 services, of 1 something new"},
        {LINK("east", "", PROBED), "", true, false, false, "east", NULL, "works", true, FACT_GOOD,
         "the credentials of Secret mc/a lead there, and do not say that they expire"},
        {LINK("east", "", PROBED), "", false, false, false, "east", NULL, "works", true, FACT_NOTE,
         "the gateway of Link mc/east is dead, for 0 services"},
        {LINK("east", "", PROBED), SERVICE("web"), false, false, false, "east", NULL, "works, but not all is well",
         false, FACT_BAD, "the gateway of Link mc/east is dead, for 1 service"},
        {LINK("east", "\"svcmirror.io/drain\":\"true\"", PROBED), "", true, false, false, "east", NULL,
         "works, but not all is well", false, FACT_BAD, "svcmirror.io/drain drains the link"},
        {LINK("east", "", PROBED), "", true, true, false, "east", NULL, "cannot be read", false, FACT_BAD,
         "the cluster cannot be read: Secret mc/a does not exist"},
        {LINK("east", "", "\"gatewayAddress\":\"10.0.0.1\",\"gatewayPort\":\"70000\","), "", true, false, false, "east",
         NULL, "refused", false, FACT_BAD, "Link mc/east is refused: spec.gatewayPort"},
        {LINK("east", "", PROBED), "", true, false, false, "west", NULL, NULL, false, FACT_BAD, ""},
        {LINK("east", "", PROBED), SERVICE("web"), true, false, true, "east", NULL, "alive", true, FACT_GOOD,
         "it is alive: 1 of 1 address answers"},
        {LINK("east", "", PROBED), SERVICE("web"), true, false, true, "east", "mc", "alive", true, FACT_GOOD,
         "1 service is mirrored through it, with endpoints at its addresses"},
        {LINK("east", "", PROBED), "", true, false, true, "east", "else", NULL, false, FACT_BAD, ""},
        {LINK("east", "", PROBED), "", true, false, true, "east", NULL, "alive", true, FACT_NOTE,
         "no exported service is to be mirrored through it"},
        {LINK("east", "", PROBED), SERVICE("web"), false, false, true, "east", NULL, "dead", false, FACT_BAD,
         "1 service is mirrored through it, without a ready endpoint while this is so"},
        {LINK("east", "\"svcmirror.io/drain\":\"true\"", PROBED), SERVICE("web"), true, false, true, "east", NULL,
         "alive", true, FACT_BAD, "svcmirror.io/drain drains it: the endpoints of 1 mirror are not ready"},
        {LINK("east", "", UNPROBED), SERVICE("web"), false, false, true, "east", NULL, "alive", true, FACT_GOOD,
         "it is not probed, so it is never found dead"},
        {LINK("east", "", UNPROBED), "", false, false, true, "east", NULL, "alive", true, FACT_NOTE,
         "it has no identity"},
        {LINK("east", "", ""), SERVICE("web"), true, false, true, "east", NULL, "cannot be used", false, FACT_BAD,
         "gatewayAddress"},
        {LINK("east", "", "\"gatewayAddress\":\"10.0.0.1\",\"gatewayPort\":\"70000\","), "", true, false, true, "east",
         NULL, "refused", false, FACT_BAD, "Link mc/east is refused: spec.gatewayPort"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct scene scene = {.link = cases[i].link,
                              .services = cases[i].services,
                              .answers = cases[i].answers,
                              .without_secret = cases[i].without_secret,
                              .question = {.gateways = cases[i].gateways,
                                           .name = cases[i].name,
                                           .namespace = cases[i].namespace}};
        assert_int_equal(open_scene(&scene), ERR_OK);
        assert_int_equal(explain_links_count(scene.explain), cases[i].verdict != NULL ? 1 : 0);
        const struct explanation *one = explain_links_get(scene.explain, 0);
        if (one != NULL && (strcmp(one->verdict, cases[i].verdict) != 0 || one->ready != cases[i].ready ||
                            !says(one, cases[i].mark, cases[i].fact))) {
            tell(one);
            fail_msg("case %zu: not \"%s\", or not: %s", i, cases[i].verdict, cases[i].fact);
        }
        close_scene(&scene);
    }
}

static void only_the_first_of_many_are_told(void **state)
{
    (void)state;
    static char services[8192];
    for (unsigned i = 0; i < 15; i++)
        (void)snprintf(
            services + strlen(services), sizeof(services) - strlen(services),
            "%s{\"kind\":\"Service\",\"metadata\":{\"namespace\":\"nowhere\",\"name\":\"s%u\","
            "\"resourceVersion\":\"1\",\"labels\":{\"exported\":\"yes\"}},\"spec\":{\"ports\":[{\"port\":80}]}}",
            i > 0 ? "," : "", i);
    struct scene scene = {.link = LINK("east", "", PROBED),
                          .services = services,
                          .answers = true,
                          .question = {.name = "east"}};
    assert_int_equal(open_scene(&scene), ERR_OK);
    const struct explanation *one = explain_links_get(scene.explain, 0);
    assert_true(says(one, FACT_BAD, "service nowhere/s0 is not mirrored as nowhere/s0-east: MissingNamespace"));
    assert_true(says(one, FACT_BAD, "5 more services are not mirrored"));
    close_scene(&scene);
}

/* From the question to the answer. @return whether the allocation was one of those. */
static bool survives(bool gateways, unsigned long fail_at)
{
    struct scene scene = {.link = LINK("east", "", PROBED),
                          .services = SERVICE("web"),
                          .answers = true,
                          .question = {.gateways = gateways, .name = "east"},
                          .fail_at = fail_at};
    enum err_code code = open_scene(&scene);
    bool failed = mem_allocation_count() - scene.before >= fail_at;
    mem_fail_at(0);
    if (code != ERR_OK && code != ERR_NOMEM)
        fail_msg("after allocation %lu failed: %s", fail_at, err_code_name(code));
    if (code == ERR_OK)
        assert_int_equal(explain_links_count(scene.explain), 1);
    close_scene(&scene);
    return failed;
}

static void memory_may_fail_anywhere(void **state)
{
    (void)state;
    for (unsigned gateways = 0; gateways < 2; gateways++) {
        unsigned long n = 1;
        while (survives(gateways == 1, n))
            n++;
        assert_true(n > 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_its_verdict_and_its_facts),
        cmocka_unit_test(only_the_first_of_many_are_told),
        cmocka_unit_test(memory_may_fail_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
