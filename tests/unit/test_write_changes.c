/* links: agent_control mirror base mirror_fixture.c */
#include "agent/control/write_changes.h"

#include <string.h>

#include "tests/unit/mirror_fixture.h"

enum { ARENA_BYTES = 1 << 20 };

static void assert_service_changes(const char *old, const char *wanted, const char *expected)
{
    struct arena arena;
    struct strbuf text;
    arena_init(&arena, ARENA_BYTES);
    strbuf_init(&text, ARENA_BYTES);
    const struct write write = {.verb = WRITE_UPDATE,
                                .kind = WRITE_SERVICE,
                                .old_service = service_of(&arena, "%s", old),
                                .service = service_of(&arena, "%s", wanted)};
    write_changes(&write, &text);
    assert_string_equal(strbuf_text(&text), expected);
    strbuf_done(&text);
    arena_done(&arena);
}

static void assert_slice_changes(const char *old, const char *wanted, const char *expected)
{
    struct arena arena;
    struct strbuf text;
    arena_init(&arena, ARENA_BYTES);
    strbuf_init(&text, ARENA_BYTES);
    const struct write write = {.verb = WRITE_UPDATE,
                                .kind = WRITE_SLICE,
                                .old_slice = slice_of(&arena, "%s", old),
                                .slice = slice_of(&arena, "%s", wanted)};
    write_changes(&write, &text);
    assert_string_equal(strbuf_text(&text), expected);
    strbuf_done(&text);
    arena_done(&arena);
}

static void services(void **state)
{
    (void)state;
    assert_service_changes("a/b p=x:80>1", "a/b p=x:80>1", "");
    assert_service_changes(
        "a/b #kept=1 #old=1 #other=x @gone=1", "a/b #kept=1 #new=2 #other=y",
        "label new=\"2\" is added; label other \"x\" -> \"y\"; label old is removed; annotation gone "
        "is removed");
    assert_service_changes("a/b p=x:80>1", "a/b p=x:80>2 p=y:53>53/UDP", "ports 80/TCP -> 80/TCP,53/UDP");
    assert_service_changes("a/b nodeport selector p=x:80>1", "a/b p=x:80>1",
                           "type becomes ClusterIP; selector is removed");
}

static void service_imports(void **state)
{
    (void)state;
    struct arena arena;
    struct strbuf text;
    arena_init(&arena, ARENA_BYTES);
    strbuf_init(&text, ARENA_BYTES);
    struct service old = *service_of(&arena, "a/b p=x:80"), wanted = *service_of(&arena, "a/b affinity=30 p=x:81");
    old.cluster_ip = "10.96.0.1";
    old.clusters = wanted.clusters = "";
    wanted.headless = true;
    const struct write update = {.verb = WRITE_UPDATE, .kind = WRITE_IMPORT, .old_service = &old, .service = &wanted};
    write_changes(&update, &text);
    assert_string_equal(strbuf_text(&text), "type becomes Headless; ips 10.96.0.1 -> none; ports 80/TCP -> 81/TCP; "
                                            "session affinity 0 s -> 30 s");
    strbuf_clear(&text);
    wanted.clusters = "east";
    const struct write status = {.verb = WRITE_UPDATE,
                                 .kind = WRITE_IMPORT_STATUS,
                                 .old_service = &old,
                                 .service = &wanted};
    write_changes(&status, &text);
    assert_string_equal(strbuf_text(&text), "clusters none -> east");
    strbuf_done(&text);
    arena_done(&arena);
}

static void slices(void **state)
{
    (void)state;
    assert_slice_changes("a/b.ipv4 svc=b 10.0.0.1 !10.0.0.2 10.0.0.3 p=x:1",
                         "a/b.ipv4 svc=b !10.0.0.1 10.0.0.2 !10.0.0.4 p=x:1",
                         "endpoint 10.0.0.1 becomes not ready; endpoint 10.0.0.2 becomes ready; endpoint 10.0.0.4 is "
                         "added, not ready; endpoint 10.0.0.3 is removed");
    assert_slice_changes("a/b.pods.x svc=b 10.0.0.1 ~10.0.0.2 10.0.0.3%z1 10.0.0.4%z1",
                         "a/b.pods.x svc=b ~10.0.0.1 !10.0.0.2 10.0.0.3%z2 10.0.0.4",
                         "endpoint 10.0.0.1 becomes terminating, and serves still; endpoint 10.0.0.2 becomes not "
                         "ready; endpoint 10.0.0.3 is in zone z2; endpoint 10.0.0.4 is in zone (none)");
    assert_slice_changes("a/b.ipv4 svc=b owner=u1 p=x:1", "a/b.ipv4 svc=b owner=u2 p=x:2",
                         "ports change; its owner becomes the mirror Service");
    assert_slice_changes("a/b.ipv4 svc=b 10.0.0.1 10.0.0.2", "a/b.ipv4 svc=b 10.0.0.2 10.0.0.1",
                         "the order of its endpoints changes");
}

static void long_lists_are_cut(void **state)
{
    (void)state;
    assert_service_changes("a/b #a=1 #b=1 #c=1 #d=1 #e=1 #f=1 #g=1 #h=1", "a/b",
                           "label a is removed; label b is removed; label c is removed; label d is removed; label e is "
                           "removed; label f is removed; and 2 more");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(services),
        cmocka_unit_test(service_imports),
        cmocka_unit_test(slices),
        cmocka_unit_test(long_lists_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
