/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/commands/record.h"
#include "agent/commands/view_changes.h"
#include "agent/kube/setup.h"
#include "sweep.h"

static const char *const IDENTITY[] = {"cluster", "name", NULL};
static const char *const NEWS[] = {"verdict", "reason", "list", NULL};

/* Lists one after the other, and what is new and gone in each: names in order, "" for nothing. */
static const struct step {
    const char *records, *changed, *gone;
} STEPS[] = {
    {"[{\"name\":\"a\",\"verdict\":\"alive\"},{\"name\":\"b\",\"verdict\":\"dead\",\"age\":1}]", "ab", ""},
    {"[{\"name\":\"a\",\"verdict\":\"alive\"},{\"name\":\"b\",\"verdict\":\"dead\",\"age\":2}]", "", ""},
    {"[{\"name\":\"a\",\"verdict\":\"alive\"},{\"name\":\"b\",\"verdict\":\"alive\",\"age\":2}]", "b", ""},
    {"[{\"name\":\"b\",\"verdict\":\"alive\"},{\"name\":\"c\"},{\"cluster\":\"x\",\"name\":\"b\"}]", "cb", "a"},
    {"[{\"name\":\"b\",\"verdict\":\"alive\",\"reason\":null},{\"name\":\"c\"},{\"name\":\"c\",\"verdict\":\"dead\"}]",
     "b", "b"},
    {"[{\"name\":\"b\",\"verdict\":\"alive\",\"reason\":null},{\"name\":\"c\"},{\"name\":\"c\",\"verdict\":\"dead\"}]",
     "", ""},
    {"[{\"name\":\"b\",\"list\":[{\"verdict\":\"dead\",\"age\":1},\"x\"]}]", "b", "c"},
    {"[{\"name\":\"b\",\"list\":[{\"verdict\":\"dead\",\"age\":2},\"x\"]}]", "", ""},
    {"[{\"name\":\"b\",\"list\":[{\"verdict\":\"alive\",\"age\":2},\"x\"]}]", "b", ""},
    {"[{\"name\":\"b\",\"list\":[{\"verdict\":\"alive\",\"age\":2},\"y\"]}]", "b", ""},
    {"[{\"name\":\"b\",\"list\":[{\"verdict\":\"alive\",\"age\":2}]}]", "b", ""},
    {"[]", "", "b"},
    {"[{\"name\":\"b\"}]", "b", ""},
};

/* Parsed once, before memory runs out: how the parser fares without it is not looked at here. */
static json_t *parse(const char *text)
{
    static struct {
        const char *text;
        json_t *value;
    } known[32];
    size_t i = 0;
    while (known[i].text != NULL && known[i].text != text)
        i++;
    if (known[i].text == NULL) {
        known[i].text = text;
        known[i].value = json_loads(text, 0, NULL);
        assert_non_null(known[i].value);
    }
    return known[i].value;
}

static void names_of(const json_t *records, char names[16])
{
    const json_t *record = NULL;
    size_t index = 0;
    names[0] = '\0';
    json_array_foreach(records, index, record) strcat(names, record_text(record, "name"));
}

static enum err_code walk(void *context)
{
    struct view_changes *changes = view_changes_new(IDENTITY, NEWS);
    enum err_code code = changes != NULL ? ERR_OK : ERR_NOMEM;
    (void)context;
    for (size_t i = 0; i < sizeof(STEPS) / sizeof(STEPS[0]) && code == ERR_OK; i++) {
        json_t *records = parse(STEPS[i].records), *changed = NULL, *gone = NULL;
        char names[16];
        code = view_changes_take(changes, records, &changed, &gone);
        if (code == ERR_OK) {
            names_of(changed, names);
            assert_string_equal(names, STEPS[i].changed);
            names_of(gone, names);
            assert_string_equal(names, STEPS[i].gone);
        }
        json_decref(changed);
        json_decref(gone);
    }
    view_changes_free(changes);
    return code;
}

static void only_what_is_news_is_told(void **state)
{
    (void)state;
    assert_int_equal(walk(NULL), ERR_OK);
}

static void records_come_by_their_keys_one_after_the_other(void **state)
{
    (void)state;
    json_t *list =
        json_loads("[{\"cluster\":\"a\",\"name\":\"z\"},{\"cluster\":\"b\",\"name\":\"a\"},{\"name\":\"z\"},7]", 0,
                   NULL);
    const json_t *az = json_array_get(list, 0), *ba = json_array_get(list, 1), *z = json_array_get(list, 2);
    assert_true(view_compare(az, ba, IDENTITY) < 0);
    assert_true(view_compare(ba, az, IDENTITY) > 0);
    assert_true(view_compare(z, az, IDENTITY) < 0);
    assert_int_equal(view_compare(az, az, IDENTITY), 0);
    assert_true(view_compare(json_array_get(list, 3), z, IDENTITY) < 0);
    json_decref(list);
}

static void every_allocation_may_fail(void **state)
{
    (void)state;
    assert_true(sweep(walk, NULL) > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_news_is_told),
        cmocka_unit_test(records_come_by_their_keys_one_after_the_other),
        cmocka_unit_test(every_allocation_may_fail),
    };
    kube_setup(); /* jansson allocates here too */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
