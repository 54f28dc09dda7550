/* links: agent_control base */
/* agent/control/shares.c: even shares, and few moves. */
#include "agent/control/shares.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_ITEMS = 40, MAX_REPLICAS = 8 };

/* One letter a Lease: 'a' is held by the first replica, '.' by nobody, '-' by somebody else. */
static size_t parse(const char *text, struct shares_item *items)
{
    size_t count = strlen(text);
    assert_true(count <= MAX_ITEMS);
    for (size_t i = 0; i < count; i++)
        items[i].holder = text[i] == '.' ? SHARES_FREE : text[i] == '-' ? SHARES_ELSEWHERE : text[i] - 'a';
    return count;
}

static void what_each_should_hold(void **state)
{
    (void)state;
    static const struct {
        const char *held;
        size_t replicas;
        const char *assigned;
    } rows[] = {
        {"", 1, ""},
        {"....", 1, "aaaa"},
        {"............", 3, "abcabcabcabc"},
        {"aaaaaaaaaaaa", 3, "aaaabcbbccbc"}, /* a second and a third one came */
        {"aaaabbbbcccc", 3, "aaaabbbbcccc"}, /* even: nothing moves */
        {"aaaa....bbbb", 2, "aaaaababbbbb"}, /* one died: the others keep theirs */
        {"aaabbbcccc", 3, "aaabbbcccc"},     /* the odd one stays where it is */
        {"aaaabbbccc", 3, "aaaabbbccc"},
        {"aaaaabbbcc", 3, "aaaacbbbcc"},
        {"-a-.", 2, "-a-b"}, /* what others hold is not shared */
        {"----", 3, "----"},
        {"a.", 3, "ab"}, /* more replicas than Leases */
        {"aa", 3, "ab"},
    };
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        struct shares_item items[MAX_ITEMS];
        unsigned counts[2 * MAX_REPLICAS];
        char got[MAX_ITEMS + 1] = "";
        size_t count = parse(rows[row].held, items);
        shares_assign(items, count, counts, rows[row].replicas);
        for (size_t i = 0; i < count; i++)
            got[i] = items[i].assigned == SHARES_ELSEWHERE ? '-' : (char)('a' + items[i].assigned);
        if (strcmp(got, rows[row].assigned) != 0)
            fail_msg("\"%s\" among %zu: \"%s\", wanted \"%s\"", rows[row].held, rows[row].replicas, got,
                     rows[row].assigned);
    }
}

/* Whoever holds what: shares differ by one at most, nobody gives away what fits into a share, and following it there is nothing to move. */
static void any_state_becomes_even_and_stays(void **state)
{
    (void)state;
    uint32_t seed = 1;
    for (unsigned run = 0; run < 2000; run++) {
        struct shares_item items[MAX_ITEMS];
        unsigned counts[2 * MAX_REPLICAS], again[2 * MAX_REPLICAS], held[MAX_REPLICAS] = {0};
        seed = seed * 1664525u + 1013904223u;
        size_t replicas = 1 + (seed >> 8) % MAX_REPLICAS, count = (seed >> 16) % MAX_ITEMS;
        size_t shared = 0, moves = 0, surplus = 0;
        for (size_t i = 0; i < count; i++) {
            seed = seed * 1664525u + 1013904223u;
            items[i].holder = (int)((seed >> 8) % (replicas + 2)) - 2;
            shared += items[i].holder == SHARES_ELSEWHERE ? 0 : 1;
            if (items[i].holder >= 0)
                held[items[i].holder]++;
        }
        shares_assign(items, count, counts, replicas);
        size_t least = MAX_ITEMS, most = 0, total = 0;
        for (size_t i = 0; i < replicas; i++) {
            least = counts[i] < least ? counts[i] : least;
            most = counts[i] > most ? counts[i] : most;
            total += counts[i];
            surplus += held[i] > counts[i] ? held[i] - counts[i] : 0;
        }
        assert_true(most - least <= 1 && total == shared);
        for (size_t i = 0; i < count; i++) {
            moves += items[i].holder >= 0 && items[i].assigned != items[i].holder ? 1 : 0;
            if (items[i].holder != SHARES_ELSEWHERE)
                items[i].holder = items[i].assigned;
        }
        assert_int_equal(moves, surplus);
        shares_assign(items, count, again, replicas);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(items[i].assigned, items[i].holder);
    }
}

/* A dead replica's Leases run out within milliseconds, and each of the others sees at other moments what the rest have taken. */
static void what_is_taken_changes_nothing_for_the_rest(void **state)
{
    (void)state;
    uint32_t seed = 2;
    size_t taken = 0;
    for (unsigned run = 0; run < 2000; run++) {
        struct shares_item items[MAX_ITEMS], later[MAX_ITEMS];
        unsigned counts[2 * MAX_REPLICAS];
        seed = seed * 1664525u + 1013904223u;
        size_t replicas = 1 + (seed >> 8) % MAX_REPLICAS, count = (seed >> 16) % MAX_ITEMS;
        for (size_t i = 0; i < count; i++) {
            seed = seed * 1664525u + 1013904223u;
            items[i].holder = (int)((seed >> 8) % (replicas + 2)) - 2;
        }
        shares_assign(items, count, counts, replicas);
        for (size_t i = 0; i < count; i++) {
            if (items[i].holder != SHARES_FREE)
                continue;
            memcpy(later, items, sizeof(later));
            later[i].holder = items[i].assigned;
            shares_assign(later, count, counts, replicas);
            for (size_t other = 0; other < count; other++)
                assert_int_equal(later[other].assigned, items[other].assigned);
            taken++;
        }
    }
    assert_true(taken > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_each_should_hold),
        cmocka_unit_test(any_state_becomes_even_and_stays),
        cmocka_unit_test(what_is_taken_changes_nothing_for_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
