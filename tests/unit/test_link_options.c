/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "agent/commands/link_options.h"
#include "agent/kube/setup.h"
#include "base/mem.h"
#include "base/text.h"
#include "tests/unit/sweep.h"

enum { WORDS = 12 };

static const struct option TABLE[] = {LINK_OPTIONS, LINK_TOKEN_OPTIONS("true", NULL, NULL), {0}};
static const struct option EXPIRING_TABLE[] = {LINK_OPTIONS, LINK_TOKEN_OPTIONS(NULL, "720h", "true"), {0}};

/* @param words  a command line, NULL at its end. */
static enum err_code read_words_of(const struct option *table, struct arena *arena, const char *const *words,
                                   struct link_wish *ret_wish, struct err *reterr)
{
    char *argv[WORDS + 1] = {NULL};
    int argc = 0;
    struct options options;
    for (; words[argc] != NULL; argc++)
        argv[argc] = mem_unconst(words[argc]);
    TRY(options_parse(table, 0, argc, argv, &options, reterr));
    return link_options_read("link", &options, arena, ret_wish, reterr);
}

static enum err_code read_words(struct arena *arena, const char *const *words, struct link_wish *ret_wish,
                                struct err *reterr)
{
    return read_words_of(TABLE, arena, words, ret_wish, reterr);
}

static void defaults_are_linkerds(void **state)
{
    (void)state;
    static const char *const LINE[] = {"--cluster-name", "east", NULL};
    struct arena arena;
    struct link_wish wish;
    arena_init(&arena, 1 << 20);
    assert_int_equal(read_words(&arena, LINE, &wish, NULL), ERR_OK);
    assert_string_equal(wish.facts.namespace, "linkerd-multicluster");
    assert_string_equal(wish.facts.linkerd_namespace, "linkerd");
    assert_string_equal(selector_format(&arena, &wish.facts.selector), "mirror.linkerd.io/exported=true");
    assert_string_equal(selector_format(&arena, &wish.facts.remote_discovery_selector),
                        "mirror.linkerd.io/exported=remote-discovery");
    assert_string_equal(selector_format(&arena, &wish.facts.federated_selector), "mirror.linkerd.io/federated=member");
    assert_true(wish.wants_gateway && wish.facts.headless && wish.account.with_token && !wish.as_secret);
    assert_null(wish.gateway.name);
    assert_null(wish.server);
    arena_done(&arena);
}

static void flags_say_what_is_wished(void **state)
{
    (void)state;
    static const char *const LINE[] = {"--cluster-name=east",
                                       "--gateway-name=gw",
                                       "--gateway-namespace=edge",
                                       "--gateway-port=4200",
                                       "--headless=false",
                                       "--service-account-name=reader",
                                       "--token-duration=1h",
                                       "-n=mc",
                                       "-l=a=b",
                                       "--api-server-address=https://192.0.2.1:6443",
                                       NULL};
    struct arena arena;
    struct link_wish wish;
    arena_init(&arena, 1 << 20);
    assert_int_equal(read_words(&arena, LINE, &wish, NULL), ERR_OK);
    assert_string_equal(wish.gateway.name, "gw");
    assert_string_equal(wish.gateway.namespace, "edge");
    assert_int_equal(wish.gateway.port, 4200);
    assert_string_equal(wish.account.name, "reader");
    assert_string_equal(wish.account.namespace, "mc");
    assert_int_equal(wish.token_ms, 3600000);
    assert_false(wish.account.with_token || wish.facts.headless);
    assert_string_equal(wish.server, "https://192.0.2.1:6443");
    arena_done(&arena);
}

static void the_token_expires_or_not(void **state)
{
    (void)state;
    static const struct {
        const struct option *table;
        const char *words[4];
        uint64_t ms;
        const char *renewal;
    } CASES[] = {
        {TABLE, {"--cluster-name=e"}, 0, NULL},
        {TABLE, {"--cluster-name=e", "--token-duration=1h"}, 3600000, NULL},
        {TABLE, {"--cluster-name=e", "--token-duration=1h", "--renew-token"}, 3600000, "1h"},
        {EXPIRING_TABLE, {"--cluster-name=e", "--renew-token=false"}, 720ULL * 3600000, NULL},
        {TABLE, {"--cluster-name=e", "--renew-token=false"}, 0, NULL},
        {EXPIRING_TABLE, {"--cluster-name=e"}, 720ULL * 3600000, "720h"},
        {EXPIRING_TABLE, {"--cluster-name=e", "--token-secret"}, 0, NULL},
        {EXPIRING_TABLE, {"--cluster-name=e", "--token-secret=false", "--token-duration=2h"}, 7200000, "2h"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct arena arena;
        struct link_wish wish;
        arena_init(&arena, 1 << 20);
        assert_int_equal(read_words_of(CASES[i].table, &arena, CASES[i].words, &wish, NULL), ERR_OK);
        assert_int_equal(wish.token_ms, CASES[i].ms);
        assert_true(text_equal(wish.facts.renew_token, CASES[i].renewal));
        assert_int_equal(wish.account.with_token, CASES[i].ms == 0);
        assert_int_equal(wish.account.with_renewal, CASES[i].renewal != NULL);
        arena_done(&arena);
    }
}

static void a_token_is_asked_for_in_one_way(void **state)
{
    (void)state;
    static const struct {
        const struct option *table;
        const char *words[4], *text;
    } CASES[] = {
        {TABLE, {"--cluster-name=e", "--token-secret=false"}, "Give --token-duration DURATION"},
        {TABLE, {"--cluster-name=e", "--renew-token"}, "give --token-duration too"},
        {EXPIRING_TABLE, {"--cluster-name=e", "--token-secret", "--token-duration=1h"}, "contradict each other"},
        {EXPIRING_TABLE, {"--cluster-name=e", "--token-duration=5m"}, "less than 10m"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct arena arena;
        struct link_wish wish;
        struct err error = {0};
        arena_init(&arena, 1 << 20);
        assert_int_equal(read_words_of(CASES[i].table, &arena, CASES[i].words, &wish, &error), ERR_INVALID);
        assert_non_null(strstr(error.text, CASES[i].text));
        arena_done(&arena);
    }
}

static void no_gateway_where_there_is_to_be_none(void **state)
{
    (void)state;
    static const char *const FLAT[] = {"--cluster-name=east", "--gateway=false", NULL};
    static const char *const SECRET[] = {"--cluster-name=east", "--kind=secret", NULL};
    struct arena arena;
    struct link_wish wish;
    arena_init(&arena, 1 << 20);
    assert_int_equal(read_words(&arena, FLAT, &wish, NULL), ERR_OK);
    assert_false(wish.wants_gateway || wish.as_secret);
    assert_int_equal(read_words(&arena, SECRET, &wish, NULL), ERR_OK);
    assert_true(wish.as_secret && !wish.wants_gateway);
    arena_done(&arena);
}

static void names_and_domains_are_judged(void **state)
{
    (void)state;
    static const struct {
        enum err_code (*check)(const char *text, struct err *reterr);
        const char *text;
        bool good;
    } CASES[] = {
        {link_options_check_cluster, "east-1", true},
        {link_options_check_cluster, "local", false},
        {link_options_check_cluster, "east_1", false},
        {link_options_check_account, "a.b-c", true},
        {link_options_check_account, "", false},
        {link_options_check_domain, "cluster.local", true},
        {link_options_check_domain, "cluster..local", false},
        {link_options_check_name, "gw", true},
        {link_options_check_name, "g.w", false},
        {link_options_check_namespace, "demo", true},
        {link_options_check_namespace, "Demo", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        struct err error = {0};
        if ((CASES[i].check(CASES[i].text, &error) == ERR_OK) != CASES[i].good)
            fail_msg("\"%s\" is %s", CASES[i].text, CASES[i].good ? "refused" : "taken");
    }
}

static enum err_code read_once(void *context)
{
    static const char *const LINE[] = {"--cluster-name=east", "--selector=a in (b,c),!d", NULL};
    struct arena arena;
    struct link_wish wish;
    (void)context;
    arena_init(&arena, 1 << 20);
    enum err_code code = read_words(&arena, LINE, &wish, NULL);
    arena_done(&arena);
    return code;
}

static void each_allocation_may_fail(void **state)
{
    (void)state;
    (void)sweep(read_once, NULL);
}

int main(void)
{
    kube_setup();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_linkerds),
        cmocka_unit_test(flags_say_what_is_wished),
        cmocka_unit_test(the_token_expires_or_not),
        cmocka_unit_test(a_token_is_asked_for_in_one_way),
        cmocka_unit_test(no_gateway_where_there_is_to_be_none),
        cmocka_unit_test(names_and_domains_are_judged),
        cmocka_unit_test(each_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
