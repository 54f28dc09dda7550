/* links: base mirror mirror_fixture.c */
#include "mirror/selection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tests/unit/mirror_fixture.h"
#include "tests/unit/sweep.h"

enum { ARENA_BYTES = 1 << 20, ROUNDS = 20000, VALUES = 3 };

#define EXPORTED "mirror.linkerd.io/exported"
#define FEDERATED "mirror.linkerd.io/federated"

static struct selector parsed(struct arena *arena, const char *text)
{
    struct selector selector = {NULL, 0};
    struct err error = {0};
    if (selector_parse(arena, text, &selector, &error) != ERR_OK)
        fail_msg("`%s`: %s", text, error.text);
    return selector;
}

/* "services" or "services | members"; "all" for no selector. */
static const char *described(struct arena *arena, const char *exported, const char *discovery, const char *federated)
{
    const struct link link = {.selector = parsed(arena, exported),
                              .discovery_selector = parsed(arena, discovery),
                              .federated_selector = parsed(arena, federated)};
    struct selection selection;
    assert_int_equal(selection_of(arena, &link, &selection), ERR_OK);
    const char *services = selection.services != NULL ? selection.services : "all";
    return selection.members != NULL ? arena_printf(arena, "%s | %s", services, selection.members) : services;
}

static void a_link_is_shown_what_it_selects_and_hardly_more(void **state)
{
    (void)state;
    static const struct {
        const char *exported, *discovery, *federated, *watches;
    } CASES[] = {
        /* what `linkerd multicluster link` writes today, and what it wrote before there were federated services */
        {EXPORTED "=true", EXPORTED "=remote-discovery", FEDERATED "=member",
         EXPORTED " in (remote-discovery,true) | " FEDERATED "=member"},
        {EXPORTED "=true", EXPORTED "=remote-discovery", "", EXPORTED " in (remote-discovery,true)"},
        {EXPORTED "=true", "", "", EXPORTED "=true"},
        {"", EXPORTED "=remote-discovery", "", EXPORTED "=remote-discovery"},
        {"", "", FEDERATED "=member", FEDERATED "=member"},
        {EXPORTED "=true", "", FEDERATED "=member", EXPORTED "=true | " FEDERATED "=member"},
        {"", "", "", ""},
        /* one selector three times, or one that names the same label */
        {"a=b,!c", "a=b,!c", "a=b,!c", "a=b,!c"},
        {"a in (x,y)", "a in (y,z)", "a=w", "a in (w,x,y,z)"},
        {"a=b,!c", "a=d", "", "a in (b,d)"},
        {"a=b,c=d", "c=e,a=b", "", "a=b,c in (d,e)"},
        /* nothing that both name: all Services are shown, or members apart */
        {"a=b", "c=d", "", "all"},
        {"a=b", "c=d", "e=f", "all"},
        {"a=b", "a!=b", "", "all"},
        {"a", "a", "!a", "a | !a"},
        {"a", "", "a=b", "a | a=b"},
        {"a=b", "a=c", "e notin (f)", "a in (b,c) | e notin (f)"},
    };
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const char *is = described(&arena, CASES[i].exported, CASES[i].discovery, CASES[i].federated);
        if (strcmp(is, CASES[i].watches) != 0)
            fail_msg("`%s`, `%s`, `%s`: `%s`, not `%s`", CASES[i].exported, CASES[i].discovery, CASES[i].federated, is,
                     CASES[i].watches);
    }
    arena_done(&arena);
}

/* Up to two requirements of the labels a, b and c with the values x, y and z. */
static const char *some_selector(struct arena *arena)
{
    const char *text = "";
    for (int count = rand() % 3, i = 0; i < count; i++) {
        int form = rand() % 4;
        char key = (char)('a' + rand() % VALUES), value = (char)('x' + rand() % VALUES);
        text = arena_printf(arena, "%s%s%c", text, text[0] != '\0' ? "," : "", key);
        if (form == 0)
            text = arena_printf(arena, "%s=%c", text, value);
        else if (form < 3)
            text = arena_printf(arena, "%s %s (%c,y)", text, form == 1 ? "in" : "notin", value);
    }
    return text;
}

static struct kv_list some_labels(struct arena *arena)
{
    const char *text = "";
    for (char key = 'a'; key < 'a' + VALUES; key++)
        if (rand() % 2 == 0)
            text = arena_printf(arena, "%s %c=%c", text, key, 'x' + rand() % VALUES);
    return kv_of(arena, text);
}

static bool is_shown(struct arena *arena, const char *selector, const struct kv_list *labels)
{
    if (selector == NULL)
        return true;
    const struct selector watch = parsed(arena, selector);
    return selector_matches(&watch, labels);
}

static void no_watch_misses_what_is_selected(void **state)
{
    (void)state;
    unsigned selected = 0, narrow = 0, apart = 0;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    srand(1);
    for (unsigned i = 0; i < ROUNDS; i++) {
        arena_reset(&arena);
        const char *exported = some_selector(&arena), *discovery = some_selector(&arena),
                   *federated = some_selector(&arena);
        const struct kv_list labels = some_labels(&arena);
        const struct link link = {.selector = parsed(&arena, exported),
                                  .discovery_selector = parsed(&arena, discovery),
                                  .federated_selector = parsed(&arena, federated)};
        struct selection selection;
        assert_int_equal(selection_of(&arena, &link, &selection), ERR_OK);
        bool wanted = selector_matches(&link.selector, &labels) || selector_matches(&link.discovery_selector, &labels);
        bool member = selector_matches(&link.federated_selector, &labels);
        const char *of_members = selection.members != NULL ? selection.members : selection.services;
        if ((wanted && !is_shown(&arena, selection.services, &labels)) ||
            (member && !is_shown(&arena, of_members, &labels)))
            fail_msg("`%s`, `%s`, `%s` are not all shown", exported, discovery, federated);
        selected += wanted || member;
        narrow += selection.services != NULL;
        apart += selection.members != NULL;
    }
    /* the rounds were of every sort */
    assert_true(selected > ROUNDS / 8 && narrow > ROUNDS / 8 && narrow < ROUNDS && apart > ROUNDS / 32);
    arena_done(&arena);
}

static enum err_code select_all(void *context)
{
    struct selection selection;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    enum err_code code = selection_of(&arena, context, &selection);
    arena_done(&arena);
    return code;
}

static void allocations_may_fail(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_BYTES);
    struct link link = {.selector = parsed(&arena, "a=b,c=d"),
                        .discovery_selector = parsed(&arena, "a=e"),
                        .federated_selector = parsed(&arena, "f=g")};
    assert_true(sweep(select_all, &link) > 0);
    arena_done(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_link_is_shown_what_it_selects_and_hardly_more),
        cmocka_unit_test(no_watch_misses_what_is_selected),
        cmocka_unit_test(allocations_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
