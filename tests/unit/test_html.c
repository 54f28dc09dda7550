/* links: agent_admin */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "agent/admin/html.h"
#include "base/mem.h"

#define NOW_US INT64_C(1787306400000000) /* 2026-08-21T10:00:00Z */
#define S INT64_C(1000000)

static struct strbuf text;
static struct html html = {.text = &text, .now_us = NOW_US};

static int begin(void **state)
{
    (void)state;
    strbuf_init(&text, 1 << 16);
    return 0;
}

static int end(void **state)
{
    (void)state;
    strbuf_done(&text);
    return 0;
}

static void assert_written(const char *expected)
{
    assert_string_equal(strbuf_text(&text), expected);
    strbuf_clear(&text);
}

static void text_is_never_markup(void **state)
{
    (void)state;
    html_text(&html, "<b> & \"q\" é");
    assert_written("&lt;b&gt; &amp; &quot;q&quot; é");
    html_text(&html, NULL);
    assert_written("");
    html_state(&html, "bad", "<dead>");
    assert_written("<span class=\"state bad\">&lt;dead&gt;</span>");
    html_cell(&html, "</td>");
    assert_written("<td>&lt;/td&gt;</td>");
    html_begin_rows(&html, "link", "\"", "<ns>", "&", NULL);
    assert_written("<tbody data-key=\"link &quot; &lt;ns&gt;/&amp;\"><tr><th scope=\"row\"><strong>&quot;</strong> "
                   "&lt;ns&gt;/&amp;</th>");
}

static void values_in_queries(void **state)
{
    (void)state;
    html_query_value(&html, "a-Z_0.~");
    assert_written("a-Z_0.~");
    html_query_value(&html, "a b&c=d\"<é");
    assert_written("a%20b%26c%3Dd%22%3C%C3%A9");
}

static void distances(void **state)
{
    (void)state;
    static const struct {
        uint64_t seconds;
        const char *text;
    } CASES[] = {
        {0, "0s"},      {59, "59s"},       {60, "1m"},      {61, "1m1s"},  {3600, "1h"},  {3601, "1h"},
        {3660, "1h1m"}, {86399, "23h59m"}, {93784, "1d2h"}, {86400, "1d"}, {86460, "1d"}, {31536000, "365d"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        html_distance(&html, CASES[i].seconds);
        assert_written(CASES[i].text);
    }
}

static void times_of_the_past_and_the_future(void **state)
{
    (void)state;
    html_cell_time(&html, 0);
    assert_written("<td class=\"soft\">–</td>");
    html_cell_time(&html, NOW_US - 75 * S);
    assert_written("<td><time datetime=\"2026-08-21T09:58:45Z\" title=\"2026-08-21T09:58:45Z\">1m15s ago</time></td>");
    html_cell_time(&html, NOW_US + 60 * S);
    assert_written("<td><time datetime=\"2026-08-21T10:01:00Z\" title=\"2026-08-21T10:01:00Z\">in 1m</time></td>");
}

static void reasons_and_ratios(void **state)
{
    (void)state;
    html_cell_reason(&html, "OK", "");
    assert_written("<td class=\"why\">OK</td>");
    html_cell_reason(&html, NULL, "why");
    assert_written("<td class=\"why\"><span class=\"soft\">why</span></td>");
    html_cell_reason(&html, "Dead", "why");
    assert_written("<td class=\"why\">Dead<br><span class=\"soft\">why</span></td>");
    html_cell_ratio(&html, 2, 2);
    assert_written("<td class=\"n\">2 of 2</td>");
    html_cell_ratio(&html, 1, 2);
    assert_written("<td class=\"n wait\">1 of 2</td>");
}

static void tables_say_what_they_are(void **state)
{
    (void)state;
    html_begin_section(&html, "links", "Links");
    html_begin_table(&html, "links-table", "All of them", "Name|#Count");
    html_end_table(&html);
    html_end_section(&html);
    assert_written("<section id=\"links\" aria-labelledby=\"links-title\"><h2 id=\"links-title\">Links</h2>"
                   "<div class=\"scroll\" role=\"region\" aria-labelledby=\"links-table\" tabindex=\"0\"><table>"
                   "<caption id=\"links-table\">All of them</caption><thead><tr><th scope=\"col\">Name</th>"
                   "<th scope=\"col\" class=\"n\">Count</th></tr></thead></table></div></section>");
}

#define WRITTEN(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WRITTEN(text_is_never_markup),
        WRITTEN(values_in_queries),
        WRITTEN(distances),
        WRITTEN(times_of_the_past_and_the_future),
        WRITTEN(reasons_and_ratios),
        WRITTEN(tables_say_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
