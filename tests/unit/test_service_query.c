/* links: agent_admin */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/admin/service_query.h"
#include "base/mem.h"

static const struct service_info cart = {.cluster = "east",
                                         .namespace = "shop",
                                         .name = "cart",
                                         .mirror = "shop/cart-east",
                                         .gateway = "ambassador/ambassador",
                                         .mode = "gateway",
                                         .reason = "NameCollision",
                                         .message = "Service shop/cart-east is not ours: <rename> it"};

static void words_are_found_wherever_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *words;
        bool found;
    } CASES[] = {
        {NULL, true},
        {"", true},
        {"  ", true},
        {"cart", true},
        {"CART", true},
        {"art-ea", true},
        {"cart east", true},
        {"east, cart", true},
        {"cart west", false},
        {"NAMECOLL", true},
        {"<rename>", true},
        {"not ours", true},
        {"ambassador/amb", true},
        {"shop/cart", true},
        {"op/ca", true},
        {"/ca", true},
        {"shop/", true},
        {"shops/cart", false},
        {"xshop/cart", false},
        {"shop/carts", false},
        {"a/b/c", false},
        {"cartcart", false},
        {".*", false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        const struct service_query query = {.words = CASES[i].words};
        if (service_query_matches(&query, &cart) != CASES[i].found)
            fail_msg("\"%s\" is %sfound", CASES[i].words, CASES[i].found ? "not " : "");
    }
}

static void all_that_is_asked_for_must_hold(void **state)
{
    (void)state;
    static const struct {
        struct service_query query;
        bool found;
    } CASES[] = {
        {{.cluster = "east"}, true},
        {{.cluster = "eas"}, false},
        {{.namespace = "shop"}, true},
        {{.namespace = "Shop"}, false},
        {{.mirrored = "false"}, true},
        {{.mirrored = "true"}, false},
        {{.mirrored = "maybe"}, false},
        {{.cluster = "east", .namespace = "shop", .mirrored = "false", .words = "cart"}, true},
        {{.cluster = "east", .namespace = "lab", .mirrored = "false", .words = "cart"}, false},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        assert_int_equal(service_query_matches(&CASES[i].query, &cart), CASES[i].found);
        assert_true(service_query_is_narrow(&CASES[i].query));
    }
    assert_false(service_query_is_narrow(&(struct service_query){0}));
}

/* What is not known of a service is not found in it. */
static void missing_texts(void **state)
{
    (void)state;
    const struct service_info bare = {.cluster = "east", .namespace = "shop", .name = "cart"};
    assert_true(service_query_matches(&(struct service_query){.words = "shop/cart east"}, &bare));
    assert_false(service_query_matches(&(struct service_query){.words = "gateway"}, &bare));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_found_wherever_they_are),
        cmocka_unit_test(all_that_is_asked_for_must_hold),
        cmocka_unit_test(missing_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
