/* links: agent_control agent_kube base */
/* agent/control/replicas.c: who lives, who is ready, and what the dead left. */
#include "agent/control/replicas.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/sweep.h"

static struct lease lease_of(const char *name, const char *holder, const char *version, bool ready)
{
    struct lease lease = {
        .name = name, .is_replica = true, .is_ready = ready, .scope = "", .record = {.exists = true, .duration_s = 15}};
    (void)snprintf(lease.record.holder, sizeof(lease.record.holder), "%s", holder);
    (void)snprintf(lease.record.version, sizeof(lease.record.version), "%s", version);
    return lease;
}

static void see(struct replicas *replicas, const char *name, const char *holder, const char *version, bool ready,
                uint64_t now_ms)
{
    struct lease lease = lease_of(name, holder, version, ready);
    assert_int_equal(replicas_see(replicas, &lease, now_ms), ERR_OK);
}

/* The candidates as "a b", ourselves as "me". */
static const char *candidates(const struct replicas *replicas, const struct identity *us, bool ready, uint64_t now_ms)
{
    static char text[1024];
    const char *identities[REPLICAS_MAX];
    size_t count = replicas_candidates(replicas, ready, now_ms, identities);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof(text) - used, "%s%s", i > 0 ? " " : "",
                       strcmp(identities[i], identity_text(us)) == 0 ? "me" : identities[i]);
    }
    return text;
}

static void who_may_hold(void **state)
{
    (void)state;
    struct identity *us = identity_new("us");
    struct replicas *replicas = replicas_new("svcmirror-m", "", us);
    assert_string_equal(candidates(replicas, us, false, 1000), "me"); /* alone, ready or not */
    see(replicas, "svcmirror-m", identity_text(us), "1", true, 1000); /* our own tells nothing */
    assert_string_equal(candidates(replicas, us, true, 1000), "me");
    see(replicas, "svcmirror-z", "zoe", "2", false, 1000);
    see(replicas, "svcmirror-a", "ann", "3", false, 1000);
    assert_string_equal(candidates(replicas, us, false, 1000), "ann me zoe"); /* nobody is ready */
    see(replicas, "svcmirror-z", "zoe", "4", true, 2000);
    assert_string_equal(candidates(replicas, us, false, 2000), "zoe");
    assert_string_equal(candidates(replicas, us, true, 2000), "me zoe");
    see(replicas, "svcmirror-a", "ann", "5", true, 3000);
    assert_string_equal(candidates(replicas, us, true, 3000), "ann me zoe");
    /* Not renewed: dead, by the time since its record changed, not since it was last seen. */
    see(replicas, "svcmirror-z", "zoe", "4", true, 16000);
    assert_string_equal(candidates(replicas, us, true, 16999), "ann me zoe");
    assert_string_equal(candidates(replicas, us, true, 17000), "ann me");
    assert_true(replicas_knows(replicas, "zoe"));
    assert_false(replicas_knows(replicas, "linkerd"));
    assert_true(replicas_knows(replicas, identity_text(us)));
    /* One that let another Lease expire, until it is heard of. */
    replicas_suspect(replicas, "ann");
    replicas_suspect(replicas, "nobody");
    assert_string_equal(candidates(replicas, us, true, 17000), "me");
    see(replicas, "svcmirror-a", "ann", "6", true, 17000);
    assert_string_equal(candidates(replicas, us, true, 17000), "ann me");
    /* Taken away, and not in a new list. */
    struct lease gone = lease_of("svcmirror-a", "ann", "7", true);
    gone.record.exists = false;
    assert_int_equal(replicas_see(replicas, &gone, 17000), ERR_OK);
    assert_string_equal(candidates(replicas, us, true, 17000), "me");
    see(replicas, "svcmirror-b", "bob", "8", true, 17000);
    replicas_begin(replicas);
    see(replicas, "svcmirror-c", "cid", "9", true, 17000);
    replicas_end(replicas);
    assert_string_equal(candidates(replicas, us, true, 17000), "cid me");
    replicas_free(replicas);
    identity_free(us);
}

/* A replica that serves one Link has no share in what one of all links holds, nor the other way round. */
static void who_has_another_scope(void **state)
{
    (void)state;
    struct identity *us = identity_new("us");
    struct replicas *all = replicas_new("svcmirror-m", "", us), *one = replicas_new("svcmirror-m", "write-east", us);
    static const char *const scopes[] = {"", "write-east", "write-west"};
    static const char *const names[] = {"ann", "eve", "will"};
    for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        struct lease lease = lease_of(names[i], names[i], "1", true);
        lease.scope = scopes[i];
        assert_int_equal(replicas_see(all, &lease, 1000), ERR_OK);
        assert_int_equal(replicas_see(one, &lease, 1000), ERR_OK);
    }
    assert_string_equal(candidates(all, us, true, 1000), "ann me");
    assert_string_equal(candidates(one, us, true, 1000), "eve me");
    assert_true(replicas_knows(all, "ann") && !replicas_knows(all, "eve") && replicas_knows(one, "eve"));
    replicas_free(all);
    replicas_free(one);
    identity_free(us);
}

static void what_the_dead_left(void **state)
{
    (void)state;
    struct identity *us = identity_new("us"), *dead = identity_new("us");
    struct replicas *replicas = replicas_new("svcmirror-m", "", us);
    const char *version = NULL;
    see(replicas, "svcmirror-a", "ann", "3", true, 1000);
    see(replicas, "svcmirror-d", identity_text(dead), "4", true, 1000);
    assert_null(replicas_leftover(replicas, 1000 + 74999, &version));
    identity_free(dead);
    assert_string_equal(candidates(replicas, us, true, 1000), "ann me");
    assert_string_equal(replicas_leftover(replicas, 1000, &version), "svcmirror-d"); /* of our host: proven */
    assert_string_equal(version, "4");
    assert_string_equal(replicas_leftover(replicas, 1000 + 75000, &version), "svcmirror-a");
    replicas_free(replicas);
    identity_free(us);
    replicas_free(NULL);
}

static enum err_code fill(void *context)
{
    (void)context;
    struct identity *us = identity_new("us");
    struct replicas *replicas = us != NULL ? replicas_new("svcmirror-m", "", us) : NULL;
    enum err_code code = replicas != NULL ? ERR_OK : ERR_NOMEM;
    for (unsigned i = 0; i < 3 && code == ERR_OK; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "svcmirror-%u", i);
        struct lease lease = lease_of(name, name, "1", true);
        code = replicas_see(replicas, &lease, 1000);
    }
    replicas_free(replicas);
    identity_free(us);
    return code;
}

static void memory_may_end_anywhere(void **state)
{
    (void)state;
    assert_true(sweep(fill, NULL) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_may_hold),
        cmocka_unit_test(who_has_another_scope),
        cmocka_unit_test(what_the_dead_left),
        cmocka_unit_test(memory_may_end_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
