/* links: agent_control mirror base mirror_fixture.c */
#include "agent/control/explain_export.h"

#include <string.h>

#include "base/mem.h"
#include "tests/unit/mirror_fixture.h"

enum { ARENA_BYTES = 1 << 20 };

static const char *const west[] = {"west"}, *const colours[] = {"blue", "green"};
static const struct selector_requirement requirements[] = {
    {.key = "exported", .op = SELECTOR_IN, .values = west, .value_count = 1},
    {.key = "colour", .op = SELECTOR_NOT_IN, .values = colours, .value_count = 2},
    {.key = "team", .op = SELECTOR_EXISTS},
    {.key = "hidden", .op = SELECTOR_DOES_NOT_EXIST},
};
static const struct link by_labels = {
    .kind = LINK_RESOURCE, .namespace = "mc", .name = "east", .cluster_name = "east", .selector = {requirements, 4}};
static const struct link by_annotations = {.kind = LINK_SECRET, .name = "s", .cluster_name = "east"};

static struct explain_service_export exports_now = {.trouble = ""};

/* The facts as lines: "+" good, "-" bad, and the advice after "->". */
static const char *facts_of(struct arena *arena, const struct link *link, const char *words, bool *ret_exported)
{
    struct facts facts;
    const char *lines = "";
    facts_init(&facts);
    *ret_exported = explain_export(&facts, link, service_of(arena, "%s", words), "west", &exports_now);
    for (size_t i = 0; i < facts.count; i++)
        lines =
            arena_printf(arena, "%s%s%s%s%s\n", lines, facts.items[i].mark == FACT_GOOD ? "+" : "-",
                         facts.items[i].text, facts.items[i].advice[0] != '\0' ? " -> " : "", facts.items[i].advice);
    facts_done(&facts);
    return lines;
}

static void assert_facts(const struct link *link, const char *words, bool exported, const char *expected)
{
    struct arena arena;
    bool found = !exported;
    arena_init(&arena, ARENA_BYTES);
    assert_string_equal(facts_of(&arena, link, words, &found), expected);
    assert_int_equal(found, exported);
    arena_done(&arena);
}

static void each_requirement_is_told_with_what_was_found(void **state)
{
    (void)state;
    assert_facts(&by_labels, "shop/web #exported=west #colour=red #team=a", true,
                 "+label exported is \"west\"; Link east selects exported=west\n"
                 "+label colour is \"red\"; Link east selects colour notin (blue,green)\n"
                 "+label team is \"a\"; Link east selects team\n"
                 "+label hidden is missing; Link east selects !hidden\n");
    assert_facts(
        &by_labels, "shop/web #exported=north #colour=blue #hidden=yes", false,
        "-label exported is \"north\"; Link east selects exported=west -> in cluster east: kubectl label --overwrite "
        "service -n shop web exported=west\n"
        "-label colour is \"blue\"; Link east selects colour notin (blue,green) -> in cluster east: kubectl label "
        "service -n shop web colour-\n"
        "-label team is missing; Link east selects team -> in cluster east: kubectl label service -n shop web "
        "team=...\n"
        "-label hidden is \"yes\"; Link east selects !hidden -> in cluster east: kubectl label service -n shop web "
        "hidden-\n");
}

static void an_empty_selector_selects_nothing(void **state)
{
    (void)state;
    static const struct link empty = {.kind = LINK_RESOURCE, .namespace = "mc", .name = "east", .cluster_name = "east"};
    assert_facts(&empty, "shop/web #exported=west", false,
                 "-the selectors of Link east are empty, which selects nothing -> kubectl edit link -n mc east: "
                 "spec.selector.matchLabels: {mirror.linkerd.io/exported: \"true\"}\n");
}

static void both_annotations_are_wanted(void **state)
{
    (void)state;
    assert_facts(&by_annotations, "shop/web @~gateway-name=gw @~gateway-ns=edge", true,
                 "+annotation mirror.linkerd.io/gateway-name is \"gw\"\n"
                 "+annotation mirror.linkerd.io/gateway-ns is \"edge\"\n");
    assert_facts(
        &by_annotations, "shop/web @~gateway-ns=", false,
        "-annotation mirror.linkerd.io/gateway-name is missing -> name the gateway's Service, in cluster east: "
        "kubectl annotate --overwrite service -n shop web mirror.linkerd.io/gateway-name=...\n"
        "-annotation mirror.linkerd.io/gateway-ns is empty -> name the namespace of the gateway's Service, in "
        "cluster east: kubectl annotate --overwrite service -n shop web mirror.linkerd.io/gateway-ns=...\n");
}

static void one_selector_of_several_is_enough(void **state)
{
    (void)state;
    static const struct link several = {.kind = LINK_RESOURCE,
                                        .name = "east",
                                        .cluster_name = "east",
                                        .selector = {requirements, 1},
                                        .discovery_selector = {&requirements[2], 1}};
    assert_facts(&several, "shop/web #team=a", true,
                 "+label team is \"a\"; Link east selects team for remote discovery\n");
    assert_facts(
        &several, "shop/web", false,
        "-label team is missing; Link east selects team for remote discovery -> in cluster east: kubectl label "
        "service -n shop web team=...\n"
        "-label exported is missing; Link east selects exported=west -> in cluster east: kubectl label --overwrite "
        "service -n shop web exported=west\n");
}

static void a_service_export_is_a_mark_beside_the_selectors(void **state)
{
    (void)state;
    static const struct link by_team = {.kind = LINK_RESOURCE,
                                        .name = "east",
                                        .cluster_name = "east",
                                        .selector = {&requirements[2], 1}};
    exports_now = (struct explain_service_export){.taken = true, .trouble = "", .there = true};
    assert_facts(&by_team, "shop/web", true, "+ServiceExport shop/web is in cluster east\n");
    assert_facts(&by_team, "shop/web #team=a", true,
                 "+label team is \"a\"; Link east selects team\n+ServiceExport shop/web is in cluster east\n");
    /* 2.8 is told its gateway by annotations alone. */
    assert_facts(&by_annotations, "shop/web @~gateway-name=gw @~gateway-ns=edge", true,
                 "+annotation mirror.linkerd.io/gateway-name is \"gw\"\n"
                 "+annotation mirror.linkerd.io/gateway-ns is \"edge\"\n"
                 "+ServiceExport shop/web is in cluster east\n");
    exports_now.there = false;
    assert_facts(&by_team, "shop/web", false,
                 "-label team is missing; Link east selects team -> in cluster east: kubectl label service -n shop web "
                 "team=...\n-there is no ServiceExport shop/web in cluster east\n");
    assert_facts(&by_team, "shop/web #team=a", true, "+label team is \"a\"; Link east selects team\n");
    exports_now.trouble = "403";
    assert_facts(&by_team, "shop/web #team=a", true,
                 "+label team is \"a\"; Link east selects team\n-whether there is a ServiceExport is not known: 403\n");
    exports_now = (struct explain_service_export){.trouble = ""};
}

static void exports_to_named_clusters_only(void **state)
{
    (void)state;
    assert_facts(&by_annotations, "shop/web @~gateway-name=gw @~gateway-ns=edge @svcmirror.io/export-to=north,west",
                 true,
                 "+annotation svcmirror.io/export-to is \"north,west\"; this cluster is west\n"
                 "+annotation mirror.linkerd.io/gateway-name is \"gw\"\n"
                 "+annotation mirror.linkerd.io/gateway-ns is \"edge\"\n");
    assert_facts(&by_annotations, "shop/web @~gateway-name=gw @~gateway-ns=edge @svcmirror.io/export-to=north", false,
                 "-annotation svcmirror.io/export-to is \"north\"; this cluster is west -> start the agent, and this "
                 "command, with --cluster-name, or change the annotation\n"
                 "+annotation mirror.linkerd.io/gateway-name is \"gw\"\n"
                 "+annotation mirror.linkerd.io/gateway-ns is \"edge\"\n");
}

static void what_gives_a_mirror_its_name_is_told(void **state)
{
    (void)state;
    static const struct link plain = {.kind = LINK_RESOURCE, .name = "east", .cluster_name = "east"};
    static const struct link named = {.kind = LINK_SECRET,
                                      .name = "creds",
                                      .cluster_name = "east",
                                      .naming = {.name = "{name}", .namespaces = "shop=late"}};
    struct facts facts;
    facts_init(&facts);
    explain_naming(&facts, &plain, service_of(&facts.arena, "shop/web"));
    assert_int_equal(facts.count, 0);
    explain_naming(&facts, &named,
                   service_of(&facts.arena, "shop/web @svcmirror.io/export-name=x @svcmirror.io/export-namespace=y"));
    static const char *const TEXTS[] = {"Secret creds names mirrors \"{name}\"",
                                        "Secret creds has mirrors of namespace shop in namespace late",
                                        "annotation svcmirror.io/export-name is \"x\"",
                                        "annotation svcmirror.io/export-namespace is \"y\""};
    assert_int_equal(facts.count, ARRAY_COUNT(TEXTS));
    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++)
        assert_string_equal(facts.items[i].text, TEXTS[i]);
    facts_done(&facts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_requirement_is_told_with_what_was_found),
        cmocka_unit_test(an_empty_selector_selects_nothing),
        cmocka_unit_test(both_annotations_are_wanted),
        cmocka_unit_test(one_selector_of_several_is_enough),
        cmocka_unit_test(a_service_export_is_a_mark_beside_the_selectors),
        cmocka_unit_test(exports_to_named_clusters_only),
        cmocka_unit_test(what_gives_a_mirror_its_name_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
