/* links: base mirror mirror_fixture.c */
#include "mirror/selector.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/mirror_fixture.h"
#include "tests/unit/sweep.h"

enum { ARENA_BYTES = 1 << 20, MAX_REQUIREMENTS = 8 };

/* "a In x,y; b Exists; c NotIn z; d DoesNotExist" */
static struct selector selector_of(struct arena *arena, const char *text)
{
    struct selector_requirement *requirements = arena_array(arena, MAX_REQUIREMENTS, sizeof(*requirements));
    uint32_t count = 0;
    char copy[512], *rest = NULL;
    (void)snprintf(copy, sizeof(copy), "%s", text);
    for (char *part = strtok_r(copy, ";", &rest); part != NULL; part = strtok_r(NULL, ";", &rest)) {
        char *word_rest = NULL, *value_rest = NULL;
        struct selector_requirement *requirement = &requirements[count++];
        requirement->key = arena_strdup(arena, strtok_r(part, " ", &word_rest));
        const char *op = strtok_r(NULL, " ", &word_rest);
        requirement->op = strcmp(op, "In") == 0       ? SELECTOR_IN
                          : strcmp(op, "NotIn") == 0  ? SELECTOR_NOT_IN
                          : strcmp(op, "Exists") == 0 ? SELECTOR_EXISTS
                                                      : SELECTOR_DOES_NOT_EXIST;
        const char **values = arena_array(arena, MAX_REQUIREMENTS, sizeof(*values));
        char *list = strtok_r(NULL, " ", &word_rest);
        for (char *value = list != NULL ? strtok_r(list, ",", &value_rest) : NULL; value != NULL;
             value = strtok_r(NULL, ",", &value_rest))
            values[requirement->value_count++] = arena_strdup(arena, strcmp(value, "''") == 0 ? "" : value);
        requirement->values = values;
    }
    return (struct selector){requirements, count};
}

static void labels_are_selected_as_kubernetes_does(void **state)
{
    (void)state;
    static const struct {
        const char *selector, *labels;
        bool matches;
    } CASES[] = {
        {"", "", false}, /* nothing, not everything: linkerd2#11309 */
        {"", "a=x", false},
        {"a In x", "a=x", true},
        {"a In x", "a=y", false},
        {"a In x", "", false},
        {"a In x,y", "a=y b=1", true},
        {"a In ''", "a=", true},
        {"a In ''", "", false},
        {"a NotIn x", "a=y", true},
        {"a NotIn x", "a=x", false},
        {"a NotIn x", "b=x", true}, /* holds for objects without the key */
        {"a Exists", "a=", true},
        {"a Exists", "b=1", false},
        {"a DoesNotExist", "b=1", true},
        {"a DoesNotExist", "a=1", false},
        {"a In x;b Exists;c NotIn z", "a=x b=1", true},
        {"a In x;b Exists;c NotIn z", "a=x b=1 c=z", false},
        {"a In x;b Exists;c NotIn z", "a=x", false},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct selector selector = selector_of(&arena, CASES[i].selector);
        struct kv_list labels = kv_of(&arena, CASES[i].labels);
        if (selector_matches(&selector, &labels) != CASES[i].matches)
            fail_msg("`%s` on `%s`", CASES[i].selector, CASES[i].labels);
        assert_int_equal(selector_is_empty(&selector), CASES[i].selector[0] == '\0');
    }
    arena_done(&arena);
}

static void the_query_form_is_what_api_servers_parse(void **state)
{
    (void)state;
    static const struct {
        const char *selector, *query;
    } CASES[] = {
        {"", ""},
        {"a In x", "a=x"},
        {"a In x,y", "a in (x,y)"},
        {"a In ''", "a="},
        {"a NotIn x", "a notin (x)"},
        {"a Exists", "a"},
        {"a DoesNotExist", "!a"},
        {"mirror.linkerd.io/exported In true;b NotIn x,y;c Exists;d DoesNotExist",
         "mirror.linkerd.io/exported=true,b notin (x,y),c,!d"},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct selector selector = selector_of(&arena, CASES[i].selector);
        assert_string_equal(selector_format(&arena, &selector), CASES[i].query);
    }
    arena_done(&arena);
}

static void faults_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *selector, *fault; /* NULL: none */
    } CASES[] = {
        {"", NULL},
        {"a In x;b/c NotIn y,z;d Exists;e DoesNotExist", NULL},
        {"sub.domain.example/Name_1.x In ''", NULL},
        {"a In", "selector key \"a\": In and NotIn need at least one value"},
        {"a NotIn", "selector key \"a\": In and NotIn need at least one value"},
        {"a Exists x", "selector key \"a\": Exists and DoesNotExist take no values"},
        {"a DoesNotExist x", "selector key \"a\": Exists and DoesNotExist take no values"},
        {"-a Exists", "selector key \"-a\" is not a label name"},
        {"/a Exists", "selector key \"/a\" is not a label name"},
        {"a/ Exists", "selector key \"a/\" is not a label name"},
        {"UP.example/a Exists", "selector key \"UP.example/a\" is not a label name"},
        {"a/b/c Exists", "selector key \"a/b/c\" is not a label name"},
        {"a In x&y", "selector key \"a\": \"x&y\" is not a label value"},
        {"a In ok,-no", "selector key \"a\": \"-no\" is not a label value"},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct selector selector = selector_of(&arena, CASES[i].selector);
        struct err error = {0};
        enum err_code code = selector_check(&selector, &error);
        assert_int_equal(code, CASES[i].fault != NULL ? ERR_INVALID : ERR_OK);
        assert_string_equal(error.text, CASES[i].fault != NULL ? CASES[i].fault : "");
    }
    arena_done(&arena);
}

static void an_overlong_prefix_is_no_label_name(void **state)
{
    (void)state;
    char key[400];
    memset(key, 'a', sizeof(key));
    (void)snprintf(key + 300, sizeof(key) - 300, "/x");
    const struct selector_requirement requirement = {.key = key, .op = SELECTOR_EXISTS};
    const struct selector selector = {&requirement, 1};
    assert_int_equal(selector_check(&selector, NULL), ERR_INVALID);
}

static void copies_are_equal_and_others_are_not(void **state)
{
    (void)state;
    static const char *const texts[] = {"",          "a In x",   "a In y",   "b In x",         "a In x,y",
                                        "a NotIn x", "a Exists", "b Exists", "a In x;b Exists"};
    struct arena arena, other;
    arena_init(&arena, ARENA_BYTES);
    arena_init(&other, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        for (size_t j = 0; j < ARRAY_COUNT(texts); j++) {
            struct selector a = selector_of(&arena, texts[i]), b = selector_of(&arena, texts[j]);
            struct selector copy = selector_copy(&other, &b);
            assert_int_equal(selector_equal(&a, &copy), i == j);
        }
    arena_done(&arena);
    arena_done(&other);
}

static enum err_code format_and_copy(void *context)
{
    const struct selector *selector = context;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    const char *text = selector_format(&arena, selector);
    (void)selector_copy(&arena, selector);
    bool failed = arena_failed(&arena);
    assert_true(text != NULL || failed);
    arena_done(&arena);
    return failed ? ERR_NOMEM : ERR_OK;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct selector selector = selector_of(&arena, "a In x,y;b Exists;c NotIn z");
    assert_true(sweep(format_and_copy, &selector) > 0);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_are_selected_as_kubernetes_does),
        cmocka_unit_test(the_query_form_is_what_api_servers_parse),
        cmocka_unit_test(faults_are_named),
        cmocka_unit_test(an_overlong_prefix_is_no_label_name),
        cmocka_unit_test(copies_are_equal_and_others_are_not),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
