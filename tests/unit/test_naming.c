/* links: base mirror mirror_fixture.c */
#include "mirror/naming.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/strbuf.h"
#include "tests/unit/mirror_fixture.h"

enum { ARENA_BYTES = 1 << 20 };

/* 31 characters */
#define LONG "abcdefghijklmnopqrstuvwxyz12345"

static void a_template_names_mirrors(void **state)
{
    (void)state;
    static const struct {
        const char *template, *namespace, *name, *mirror;
    } CASES[] = {
        {NULL, "shop", "web", "web-east"},
        {"", "shop", "web", "web-east"},
        {"{name}-{cluster}", "shop", "web", "web-east"},
        {"{name}", "shop", "web", "web"},
        {"{cluster}-{namespace}-{name}", "shop", "web", "east-shop-web"},
        {"far-{name}x", "shop", "web", "far-webx"},
        {"{name}", "shop", "{cluster}", "{cluster}"}, /* what stands in for one is not looked at again */
        {"{name}-{namespace}", LONG LONG, LONG LONG, LONG LONG "-" LONG LONG},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char name[OBJECT_KEY_BYTES];
        const struct naming naming = {.name = CASES[i].template};
        naming_name(&naming, "east", CASES[i].namespace, CASES[i].name, name);
        assert_string_equal(name, CASES[i].mirror);
    }
}

static void a_name_that_fits_nowhere_is_cut(void **state)
{
    (void)state;
    char name[OBJECT_KEY_BYTES], huge[2 * OBJECT_KEY_BYTES];
    const struct naming naming = {.name = "a{name}b"};
    memset(huge, 'x', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    naming_name(&naming, "east", "shop", huge, name);
    assert_int_equal(strlen(name), OBJECT_KEY_BYTES - 1);
    assert_false(naming_origin_name(&naming, "east", "shop", huge, name));
}

static void faulty_templates_are_told(void **state)
{
    (void)state;
#define TEMPLATE "annotation svcmirror.io/mirror-name "
#define NO_NAME                                                                                                        \
    ", which is not a Service name: use at most 63 of a-z, 0-9 and -, beginning and ending with a letter or digit"
    static const struct {
        const char *template, *cluster, *fault; /* NULL: none */
    } CASES[] = {
        {NULL, "east", NULL},
        {"", "east", NULL},
        {"{name}", "east", NULL},
        {"{namespace}-{name}-{cluster}", "east", NULL},
        {"{name}-{cluster}", "1a", NULL},
        {"web", "east",
         TEMPLATE "\"web\" has no {name}: all services would have one mirror; write e.g. \"{name}-{cluster}\""},
        {"{cluster}", "east",
         TEMPLATE "\"{cluster}\" has no {name}: all services would have one mirror; write e.g. \"{name}-{cluster}\""},
        {"{name}-{zone}", "east",
         TEMPLATE "\"{name}-{zone}\": {zone} is not known: use {name}, {namespace} and {cluster}"},
        {"{name}{", "east", TEMPLATE "\"{name}{\": { is not known: use {name}, {namespace} and {cluster}"},
        {"{Name}", "east", TEMPLATE "\"{Name}\": {Name} is not known: use {name}, {namespace} and {cluster}"},
        {"{na{name}", "east", TEMPLATE "\"{na{name}\": {na{name} is not known: use {name}, {namespace} and {cluster}"},
        {"{name}-{name}", "east", TEMPLATE "\"{name}-{name}\" has {name} twice: write it once"},
        {"{name}}", "east", TEMPLATE "\"{name}}\" makes \"a}\" of service a" NO_NAME},
        {"{name}_{cluster}", "east", TEMPLATE "\"{name}_{cluster}\" makes \"a_east\" of service a" NO_NAME},
        {"-{name}", "east", TEMPLATE "\"-{name}\" makes \"-a\" of service a" NO_NAME},
        {"{name}-", "east", TEMPLATE "\"{name}-\" makes \"a-\" of service a" NO_NAME},
        {"{cluster}-{name}", "1a", NULL}, /* as Kubernetes 1.36 takes it */
        {LONG LONG "-{name}", "east",
         TEMPLATE "\"abcdefghijklmnopqrstuvwxyz12345abcdefghijklmnopqrstuvwxyz123\" makes "
                  "\"" LONG LONG "-a\" of service a" NO_NAME},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err error = {0};
        const struct naming naming = {.name = CASES[i].template};
        enum err_code code = naming_check(&naming, CASES[i].cluster, &error);
        assert_string_equal(error.text, CASES[i].fault != NULL ? CASES[i].fault : "");
        assert_int_equal(code, CASES[i].fault != NULL ? ERR_INVALID : ERR_OK);
    }
}

static void a_map_moves_namespaces(void **state)
{
    (void)state;
    static const struct {
        const char *map, *namespace, *goes_to;
    } CASES[] = {
        {NULL, "shop", "shop"},
        {"", "shop", "shop"},
        {"prod=prod-west, staging=stage", "prod", "prod-west"},
        {"prod=prod-west, staging=stage", "staging", "stage"},
        {"prod=prod-west, staging=stage", "shop", "shop"},
        {"prod=prod-west", "prod-west", "prod-west"}, /* not mapped twice */
        {"*=other,shop=shop", "shop", "shop"},
        {"*=other,shop=shop", "prod", "other"},
        {"a=b b=a", "b", "a"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        char namespace[OBJECT_KEY_BYTES];
        const struct naming naming = {.namespaces = CASES[i].map};
        naming_namespace(&naming, CASES[i].namespace, namespace);
        assert_string_equal(namespace, CASES[i].goes_to);
    }
}

static void faulty_maps_are_told(void **state)
{
    (void)state;
#define MAP "annotation svcmirror.io/namespace-map: "
#define NO_PAIR " is no pair of namespaces: write e.g. \"prod=prod-west, staging=stage, *=other\""
    static const struct {
        const char *map, *fault;
    } CASES[] = {
        {"", NULL},
        {" , ", NULL},
        {"a=b,b=a,*=c", NULL},
        {"prod", MAP "\"prod\"" NO_PAIR},
        {"a=b,prod =x", MAP "\"prod\"" NO_PAIR},
        {"=x", MAP "\"=x\"" NO_PAIR},
        {"prod=", MAP "\"prod=\"" NO_PAIR},
        {"prod=*", MAP "\"prod=*\"" NO_PAIR},
        {"prod=a=b", MAP "\"prod=a=b\"" NO_PAIR},
        {"Prod=a", MAP "\"Prod=a\"" NO_PAIR},
        {"prod=A", MAP "\"prod=A\"" NO_PAIR},
        {"prod=" LONG LONG "xx", MAP "\"prod=" LONG LONG "xx\"" NO_PAIR},
        {"prod=a,x=y,prod=b", MAP "namespace prod is mapped twice, to a and to b: keep one"},
        {"*=a,*=a", MAP "namespace * is mapped twice, to a and to a: keep one"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err error = {0};
        const struct naming naming = {.namespaces = CASES[i].map};
        enum err_code code = naming_check(&naming, "east", &error);
        assert_string_equal(error.text, CASES[i].fault != NULL ? CASES[i].fault : "");
        assert_int_equal(code, CASES[i].fault != NULL ? ERR_INVALID : ERR_OK);
    }
}

static void maps_and_lists_have_a_maximum(void **state)
{
    (void)state;
    struct strbuf map, list;
    struct err error = {0};
    strbuf_init(&map, 1 << 16);
    strbuf_init(&list, 1 << 16);
    for (int i = 0; i < NAMING_MAX_WORDS; i++) {
        strbuf_printf(&map, "n%d=a,", i);
        strbuf_printf(&list, "n%d,", i);
    }
    const struct naming full = {.namespaces = strbuf_text(&map), .allowed = strbuf_text(&list)};
    assert_int_equal(naming_check(&full, "east", &error), ERR_OK);
    strbuf_append(&map, "x=a");
    strbuf_append(&list, "x");
    const struct naming long_map = {.namespaces = strbuf_text(&map)}, long_list = {.allowed = strbuf_text(&list)};
    assert_int_equal(naming_check(&long_map, "east", &error), ERR_INVALID);
    assert_string_equal(error.text, MAP "more than 256 pairs: map all others at once by *");
    assert_int_equal(naming_check(&long_list, "east", &error), ERR_INVALID);
    assert_string_equal(error.text, "annotation svcmirror.io/allowed-namespaces: more than 256 namespaces are named: "
                                    "use beginnings of names, as in team-*");
    strbuf_done(&map);
    strbuf_done(&list);
}

static void a_list_allows_namespaces(void **state)
{
    (void)state;
    static const struct {
        const char *list, *namespace;
        bool allowed;
    } CASES[] = {
        {NULL, "shop", false},     {"", "shop", false},           {"shop", "shop", true},     {"sho", "shop", false},
        {"shops", "shop", false},  {"a, shop", "shop", true},     {"team-*", "team-a", true}, {"team-*", "team-", true},
        {"team-*", "team", false}, {"team-*", "a-team-a", false}, {"*", "kube-system", true}, {"a b,c", "b", true},
        {"a,b*", "a", true},       {"a,b*", "ab", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++)
        if (naming_allows(CASES[i].list, CASES[i].namespace) != CASES[i].allowed)
            fail_msg("\"%s\" and %s", CASES[i].list, CASES[i].namespace);
}

static void faulty_lists_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *list, *word; /* NULL: none is faulty */
    } CASES[] = {
        {"", NULL},           {"shop, team-*", NULL}, {"*", NULL},  {"1a", NULL},   {"a,Shop", "Shop"},
        {"*-team", "*-team"}, {"a**", "a**"},         {"-*", "-*"}, {"a/b", "a/b"}, {LONG LONG "xx", LONG LONG "xx"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err error = {0};
        char fault[ERR_TEXT_BYTES] = "";
        if (CASES[i].word != NULL)
            (void)snprintf(fault, sizeof(fault),
                           "\"%s\" is not a name of a namespace: write e.g. \"shared, team-*\", or \"*\" for all",
                           CASES[i].word);
        assert_int_equal(naming_check_allowed(CASES[i].list, &error), CASES[i].word != NULL ? ERR_INVALID : ERR_OK);
        assert_string_equal(error.text, fault);
    }
}

/* What `why` makes of a name that nothing claims. */
static void the_way_back_finds_what_the_way_there_came_from(void **state)
{
    (void)state;
    static const struct {
        const char *template, *map, *mirror_namespace, *mirror_name, *origins;
    } CASES[] = {
        {NULL, NULL, "shop", "web-east", " shop/web"},
        {NULL, NULL, "shop", "-east", ""},
        {NULL, NULL, "shop", "web-north", ""},
        {"{name}", NULL, "shop", "web", " shop/web"},
        {"{cluster}-{namespace}-{name}", NULL, "shop", "east-shop-web", " shop/web"},
        {"{cluster}-{namespace}-{name}", NULL, "shop", "east-shop-", ""},
        {"{cluster}-{namespace}-{name}", "prod=shop", "shop", "east-prod-web", " prod/web"},
        {"a-{name}-a", NULL, "shop", "a-a", ""}, /* one dash is not two */
        {"a-{name}-a", NULL, "shop", "a-b-a", " shop/b"},
        {NULL, "prod=west,shop=west", "west", "web-east", " west/web prod/web shop/web"},
        {NULL, "prod=west,west=prod", "west", "web-east", " prod/web"},
        {NULL, "*=all", "all", "web-east", " all/web"}, /* of which others, nobody knows */
        {NULL, "*=all,a=b", "b", "web-east", " a/web"},
        {NULL, "*=all", "b", "web-east", ""},
        {NULL, "b=b,a=b", "b", "web-east", " b/web a/web"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct strbuf origins;
        char namespace[OBJECT_KEY_BYTES], name[OBJECT_KEY_BYTES];
        const struct naming naming = {.name = CASES[i].template, .namespaces = CASES[i].map};
        strbuf_init(&origins, 1 << 12);
        for (uint32_t at = 0; naming_origin_namespace(&naming, CASES[i].mirror_namespace, at, namespace); at++)
            if (naming_origin_name(&naming, "east", namespace, CASES[i].mirror_name, name))
                strbuf_printf(&origins, " %s/%s", namespace, name);
        assert_string_equal(strbuf_text(&origins), CASES[i].origins);
        strbuf_done(&origins);
    }
}

static void it_is_read_from_annotations_and_compared(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    const struct kv_list annotations = kv_of(&arena, "svcmirror.io/mirror-name={name} svcmirror.io/namespace-map=a=b "
                                                     "svcmirror.io/allowed-namespaces=c");
    const struct kv_list none = {0};
    const struct naming naming = naming_of(&annotations), absent = naming_of(&none),
                        copy = naming_copy(&arena, &naming);
    assert_string_equal(copy.name, "{name}");
    assert_string_equal(copy.namespaces, "a=b");
    assert_string_equal(copy.allowed, "c");
    assert_ptr_not_equal(copy.name, naming.name);
    assert_true(naming_equal(&copy, &naming));
    assert_null(absent.name);
    assert_true(naming_equal(&absent, &(struct naming){0}));
    for (int i = 0; i < 3; i++) {
        struct naming other = naming;
        *(i == 0 ? &other.name : i == 1 ? &other.namespaces : &other.allowed) = "x";
        assert_false(naming_equal(&other, &naming));
    }
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_template_names_mirrors),
        cmocka_unit_test(a_name_that_fits_nowhere_is_cut),
        cmocka_unit_test(faulty_templates_are_told),
        cmocka_unit_test(a_map_moves_namespaces),
        cmocka_unit_test(faulty_maps_are_told),
        cmocka_unit_test(maps_and_lists_have_a_maximum),
        cmocka_unit_test(a_list_allows_namespaces),
        cmocka_unit_test(faulty_lists_are_told),
        cmocka_unit_test(the_way_back_finds_what_the_way_there_came_from),
        cmocka_unit_test(it_is_read_from_annotations_and_compared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
