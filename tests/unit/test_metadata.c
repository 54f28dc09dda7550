/* links: base mirror mirror_fixture.c */
#include "mirror/metadata.h"

#include <string.h>

#include "base/mem.h"
#include "tests/unit/mirror_fixture.h"

enum { ARENA_BYTES = 1 << 20 };

static void a_pattern_is_a_key_or_a_prefix_with_its_slash(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *key;
        bool matches;
    } CASES[] = {
        {"foo", "foo", true},
        {"foo", "foo/bar", false},
        {"foo", "fo", false},
        {"foo.io/x", "foo.io/x", true},
        {"foo.io/*", "foo.io/x", true},
        {"foo.io/*", "foo.io/", true},
        {"foo.io/*", "foo.io", false},
        {"foo.io/*", "foo.iox/y", false}, /* Linkerd drops this one too, by a prefix without its slash */
        {"foo.io/*", "a.foo.io/x", false},
        {"foo*", "foobar", false}, /* only a whole prefix */
        {"*", "foo", false},
        {"/*", "foo", false},
        {"", "foo", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        if (metadata_pattern_matches(CASES[i].pattern, CASES[i].key) != CASES[i].matches)
            fail_msg("%s and %s", CASES[i].pattern, CASES[i].key);
}

typedef void (*copy_fn)(struct kv_builder *builder, const struct kv_list *remote, const struct link *link);

static void assert_copies(copy_fn copy, const struct link *link, const char *remote, const char *expected)
{
    struct arena arena;
    struct kv_builder builder;
    arena_init(&arena, ARENA_BYTES);
    struct kv_list from = kv_of(&arena, remote);
    kv_builder_init(&builder, &arena);
    copy(&builder, &from, link);
    struct kv_list to = kv_builder_finish(&builder);
    assert_string_equal(kv_words(&arena, &to), expected);
    arena_done(&arena);
}

static const struct link plain;

static void labels_are_carried_but_for_marks_of_ownership(void **state)
{
    (void)state;
    static const char *const excluded[] = {"team", "corp.example/*"};
    static const char *const other[] = {"app"};
    static const struct link picky = {.excluded_labels = excluded,
                                      .excluded_label_count = 2,
                                      .excluded_annotations = other,
                                      .excluded_annotation_count = 1};
    static const struct link strict = {.allowed_labels = "app, team,x.example/*",
                                       .excluded_labels = excluded,
                                       .excluded_label_count = 2,
                                       .allowed_annotations = "other"};
    static const struct link nothing = {.allowed_labels = ""};
    static const struct {
        const struct link *link;
        const char *remote, *expected;
    } CASES[] = {
        {&plain, "", ""},
        {&plain, "app=web tier=front", "app=web tier=front"},
        {&plain, "~exported=true app=web", "app=web"},
        {&plain, "svcmirror.io/export-name=x svcmirror.iox/y=z", "svcmirror.iox/y=z"},
        {&plain, "mirror.linkerd.iox/y=1 mirror.linkerd.io=1 app=web", "app=web"}, /* as Linkerd: no slash asked for */
        {&plain,
         "argocd.argoproj.io/instance=x kustomize.toolkit.fluxcd.io/name=x helm.toolkit.fluxcd.io/name=x "
         "meta.helm.sh/x=y app.kubernetes.io/managed-by=Helm applyset.kubernetes.io/part-of=x kapp.k14s.io/app=1 "
         "objectset.rio.cattle.io/hash=z multicluster.linkerd.io/remote-discovery=x app.kubernetes.io/name=web",
         "app.kubernetes.io/name=web"},
        {&picky, "team=a corp.example/x=1 corp.examplex/y=2 app=web", "app=web corp.examplex/y=2"},
        {&picky, "teams=a", "teams=a"},
        /* Only what is allowed, and of that not what is excluded. */
        {&strict, "app=web team=a tier=front x.example/y=1 x.examplez/y=1", "app=web x.example/y=1"},
        {&nothing, "app=web", ""},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        assert_copies(metadata_copy_labels, CASES[i].link, CASES[i].remote, CASES[i].expected);
}

static void annotations_are_carried_but_for_what_only_holds_over_there(void **state)
{
    (void)state;
    static const char *const excluded[] = {"config.linkerd.io/*", "note", "a.example/*"};
    static const struct link picky = {.excluded_annotations = excluded, .excluded_annotation_count = 3};
    static const struct {
        const struct link *link;
        const char *remote, *expected;
    } CASES[] = {
        {&plain, "note=x", "note=x"},
        {&plain, "kubectl.kubernetes.io/last-applied-configuration={} note=x", "note=x"},
        {&plain, "service.beta.kubernetes.io/load-balancer-source-ranges=10.0.0.0/8 note=x", "note=x"},
        {&plain, "service.kubernetes.io/topology-aware-hints=auto service.kubernetes.io/topology-mode=auto", ""},
        {&plain, "service.kubernetes.io/other=1", "service.kubernetes.io/other=1"},
        {&plain, "~gateway-name=gw ~remote-svc-fq-name=evil", ""},
        {&plain,
         "argocd.argoproj.io/tracking-id=x meta.helm.sh/release-name=r config.k8s.io/owning-inventory=q "
         "multicluster.linkerd.io/remote-discovery=evil@x multicluster.linkerd.io/local-discovery=y",
         ""},
        {&picky, "note=x a.example/b=c other=y", "other=y"},
        {&picky, "config.linkerd.io/opaque-ports=3306 config.linkerd.io/x=1", "config.linkerd.io/opaque-ports=3306"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        assert_copies(metadata_copy_annotations, CASES[i].link, CASES[i].remote, CASES[i].expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_is_a_key_or_a_prefix_with_its_slash),
        cmocka_unit_test(labels_are_carried_but_for_marks_of_ownership),
        cmocka_unit_test(annotations_are_carried_but_for_what_only_holds_over_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
