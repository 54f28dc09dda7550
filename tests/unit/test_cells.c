/* links: agent_commands */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "agent/commands/cells.h"
#include "agent/kube/setup.h"

static const struct output_column COLUMNS[] = {{"NUMBER", true}, {"SHARE", true}, {"TRUTH", false},
                                               {"AGE", true},    {"NAME", false}, {0}};

static void add(struct output_table *out, const char *text)
{
    json_t *record = json_loads(text, 0, NULL);
    assert_non_null(record);
    cell_number(out, record, "number", "ms");
    cell_share(out, record, "part", "whole");
    cell_truth(out, record, "truth");
    cell_age(out, record, "age");
    cell_name(out, record, "ns", "name");
    json_decref(record);
}

static void cells_say_what_is_known(void **state)
{
    (void)state;
    struct output_table out;
    struct strbuf text;
    output_table_init(&out, COLUMNS);
    strbuf_init(&text, 4096);
    add(&out, "{\"number\":3,\"part\":1,\"whole\":2,\"truth\":true,\"age\":999,\"ns\":\"demo\",\"name\":\"web\"}");
    add(&out, "{\"number\":null,\"part\":1,\"whole\":null,\"truth\":false,\"age\":61999,\"name\":\"\"}");
    add(&out, "{\"number\":\"x\",\"part\":\"x\",\"whole\":4,\"truth\":\"yes\",\"age\":-1}");
    output_table_write(&out, &text);
    assert_string_equal(strbuf_text(&text), "NUMBER  SHARE  TRUTH    AGE  NAME\n"
                                            "   3ms    1/2  True   999ms  demo/web\n"
                                            "     -    1/?  False   1m1s  -\n"
                                            "     -      -  -          -  -\n");
    strbuf_done(&text);
    output_table_done(&out);
}

static void rows_that_come_later_stand_below_the_first(void **state)
{
    (void)state;
    struct output_table out;
    struct strbuf text;
    output_table_init(&out, COLUMNS);
    strbuf_init(&text, 4096);
    add(&out, "{\"number\":1000,\"part\":1,\"whole\":2,\"name\":\"a\",\"ns\":\"b\"}");
    output_table_write(&out, &text);
    output_table_clear(&out);
    strbuf_clear(&text);
    add(&out, "{\"number\":1,\"name\":\"a\",\"ns\":\"b\"}");
    output_table_write_rows(&out, &text);
    assert_string_equal(strbuf_text(&text), "   1ms      -  -        -  b/a\n");
    output_table_clear(&out);
    strbuf_clear(&text);
    add(&out, "{\"number\":1000000000}");
    output_table_write_rows(&out, &text);
    assert_string_equal(strbuf_text(&text), "1000000000ms      -  -        -  -\n");
    strbuf_done(&text);
    output_table_done(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cells_say_what_is_known),
        cmocka_unit_test(rows_that_come_later_stand_below_the_first),
    };
    kube_setup();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
