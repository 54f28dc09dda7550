/* links: agent_admin */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/admin/page.h"
#include "base/mem.h"
#include "tests/unit/fake_source.h"
#include "tests/unit/sweep.h"

static char *render_page(const struct page *page)
{
    struct strbuf html;
    strbuf_init(&html, 16 << 20);
    page_write(page, &html);
    assert_int_equal(strbuf_error(&html), ERR_OK);
    return strbuf_take(&html);
}

static char *render(const struct admin_source *source, bool refresh)
{
    return render_page(&(struct page){.source = source, .now_us = FAKE_NOW_US, .refresh = refresh});
}

static void assert_shows(const char *html, const char *text)
{
    if (strstr(html, text) == NULL)
        fail_msg("the page does not show %s: %s", text, html);
}

static size_t count(const char *html, const char *text)
{
    size_t found = 0;
    for (const char *at = html; (at = strstr(at, text)) != NULL; at++)
        found++;
    return found;
}

/* Every element that is opened is closed, inside of the one that it was opened in. */
static void assert_well_formed(const char *html)
{
    enum { DEPTH = 32, NAME = 16 };
    char open[DEPTH][NAME];
    unsigned depth = 0;
    for (const char *at = html; (at = strchr(at, '<')) != NULL; at++) {
        bool closes = at[1] == '/';
        char name[NAME];
        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(at + (closes ? 2 : 1), " >"), at + (closes ? 2 : 1));
        if (strstr("meta br link input", name) != NULL || name[0] == '!') /* these have no end */
            continue;
        if (!closes) {
            assert_true(depth < DEPTH);
            (void)snprintf(open[depth++], NAME, "%s", name);
            continue;
        }
        assert_true(depth > 0);
        assert_string_equal(open[--depth], name);
    }
    assert_int_equal(depth, 0);
}

static void everything_is_shown(void **state)
{
    (void)state;
    char *html = render(&fake_source, false);
    assert_well_formed(html);
    static const char *const TEXTS[] = {
        "<!doctype html>",
        ">ready</span>",
        "1 of 3 alive",
        "1 of 2 reachable",
        "2 of 3 usable",
        "<strong>–</strong></th><td class=\"t\">Link broken</td><td><span class=\"state bad\">refused</span></td>",
        "spec.targetClusterName &quot;&lt;x&gt;&quot; is not a name",
        "2 of 4 mirrored",
        "<strong>east</strong> ambassador/ambassador",
        "<code>2001:db8::10</code>",
        "ConnectionRefused<br><span class=\"soft\">nothing listens on port 80 there",
        "title=\"2026-08-20T07:56:56Z\">1d2h ago</time>",
        "1m15s ago",
        "2.1 / 3.9 / 12",
        "every 3s",
        "every 500ms",
        "30, 25 failed",
        "Secret cluster-credentials-east",
        "in 30d",
        "cannot &lt;list&gt; services",
        "<caption id=\"not-mirrored-table\">Not mirrored</caption>",
        "&lt;b&gt;rename&lt;/b&gt; &quot;it&quot; &amp; retry",
        "default/qotm-east",
        "<noscript><a href=\"?refresh\">",
        "<td class=\"t\"><code title=\"pod-1_a\">pod-1</code><br><span class=\"soft\">this replica</span></td>",
        "nobody yet",
        "12s ago",
        "Latency of the last 3 good probes: 1.9 to 2.5 ms, the last one 2.3 ms",
        "data-key=\"gateway east ambassador/ambassador\"",
        "data-key=\"link Link broken\"",
        "data-key=\"service west default/web default/web-west\"",
        "<option value=\"\" selected>all (4)</option><option value=\"false\">not mirrored (2)</option>",
    };
    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++)
        assert_shows(html, TEXTS[i]);
    assert_int_equal(count(html, "<script"), 1);
    assert_shows(html, "<script src=\"page.js\" defer></script>");
    assert_null(strstr(html, "http"));   /* nothing from elsewhere */
    assert_null(strstr(html, "style=")); /* the policy forbids it */
    assert_null(strstr(html, "<style"));
    assert_null(strstr(html, "<b>"));
    assert_int_equal(count(html, "<td>default/web-west"), 0);
    assert_int_equal(count(html, "<table>"), count(html, "<caption"));
    assert_int_equal(count(html, "2.1 / 3.9 / 12</td>"), 2); /* of the gateway, and of the address that gives it */
    assert_int_equal(count(html, "– / – / –</td>"), 3);
    mem_free(html);
}

static void what_is_missing_is_said(void **state)
{
    (void)state;
    fake_is_ready = false;
    char *html = render(&fake_source, true);
    fake_is_ready = true;
    assert_well_formed(html);
    assert_shows(html, "not ready</span></p><pre>link &lt;west&gt;: not listed yet\n</pre>");
    assert_shows(html, "<meta http-equiv=\"refresh\" content=\"5\">");
    assert_shows(html, "<a href=\"?\">stop refreshing</a>");
    mem_free(html);
}

static void starting(void **state)
{
    (void)state;
    char *html = render(NULL, false);
    assert_well_formed(html);
    assert_shows(html, "The agent is starting.");
    mem_free(html);
}

/* ---- sources with nothing and with much ---- */

static void no_gateway(void *context, gateway_info_fn fn, void *fn_context)
{
    (void)context;
    (void)fn;
    (void)fn_context;
}

static void no_link(void *context, link_info_fn fn, void *fn_context)
{
    (void)context;
    (void)fn;
    (void)fn_context;
}

static void many_services(void *context, service_info_fn fn, void *fn_context)
{
    const unsigned *services = context;
    char name[32];
    for (unsigned i = 0; i < *services; i++) {
        (void)snprintf(name, sizeof(name), "service-%u", i);
        const struct service_info info = {.cluster = "east", .namespace = "default", .name = name, .mirrored = true};
        fn(fn_context, &info);
    }
}

static bool is_ready(void *context, struct strbuf *why)
{
    (void)context;
    (void)why;
    return true;
}

static void nothing_to_show(void **state)
{
    (void)state;
    unsigned services = 0;
    const struct admin_source source = {&services, is_ready, no_gateway, no_link, many_services};
    char *html = render(&source, false);
    assert_well_formed(html);
    assert_shows(html, "None is known. Link a target");
    assert_shows(html, "No target is linked. Create a Link");
    assert_shows(html, "No service is exported.");
    assert_int_equal(count(html, ">none</span>"), 3);
    mem_free(html);
}

/* Of `many`, every tenth is not mirrored. */
static void some_mirrored(void *context, service_info_fn fn, void *fn_context)
{
    const unsigned *services = context;
    char name[32];
    for (unsigned i = 0; i < *services; i++) {
        (void)snprintf(name, sizeof(name), "s-%u", i);
        const struct service_info info = {
            .cluster = "east", .namespace = "default", .name = name, .mirrored = i % 10 != 0, .reason = "Error"};
        fn(fn_context, &info);
    }
}

/* Page by page everything is shown once, those that are not mirrored first. */
static void services_come_in_pages(void **state)
{
    (void)state;
    unsigned services = 1234, shown = 0;
    const struct admin_source source = {&services, is_ready, no_gateway, no_link, some_mirrored};
    struct page page = {.source = &source, .now_us = FAKE_NOW_US};
    for (page.number = 1; page.number <= 13; page.number++) {
        char *html = render_page(&page), expected[64];
        assert_well_formed(html);
        size_t rows = count(html, "data-key=\"service ");
        assert_int_equal(rows, page.number < 13 ? PAGE_SERVICES : 34);
        assert_int_equal(count(html, ">Error</span>"), page.number == 1 ? 100 : page.number == 2 ? 24 : 0);
        (void)snprintf(expected, sizeof(expected), ">page %u of 13</span>", page.number);
        assert_shows(html, expected);
        assert_int_equal(count(html, "rel=\"prev\""), page.number > 1);
        assert_int_equal(count(html, "rel=\"next\""), page.number < 13);
        shown += (unsigned)rows;
        mem_free(html);
    }
    assert_int_equal(shown, services);
    page.number = UINT32_MAX;
    char *html = render_page(&page);
    assert_shows(html, "page 13 of 13");
    mem_free(html);
}

static void services_are_searched(void **state)
{
    (void)state;
    unsigned services = 1234;
    const struct admin_source source = {&services, is_ready, no_gateway, no_link, some_mirrored};
    struct page page = {.source = &source,
                        .now_us = FAKE_NOW_US,
                        .services = {.words = "S-1 \"east\"", .mirrored = "true", .cluster = "east"}};
    char *html = render_page(&page);
    assert_well_formed(html);
    assert_shows(html, ">0 of 1234 found</p>");
    assert_shows(html, "value=\"S-1 &quot;east&quot;\"");
    assert_shows(html, "<option value=\"true\" selected>mirrored (1110)</option>");
    assert_shows(html, "<input type=\"hidden\" name=\"cluster\" value=\"east\">");
    assert_shows(html, "<a href=\"?#services\">show all</a>");
    assert_null(strstr(html, "<table>"));
    mem_free(html);
    page.services.words = "S-1";
    page.number = 2;
    page.refresh = true;
    html = render_page(&page);
    assert_well_formed(html);
    assert_shows(html, ">310 of 1234 found</p>"); /* 1, 10 to 19, 100 to 199, 1000 to 1233, without every tenth */
    assert_shows(html,
                 "<a href=\"?q=S-1&amp;mirrored=true&amp;cluster=east&amp;refresh&amp;page=3#services\" rel=\"next\">");
    mem_free(html);
}

static void many_gateways(void *context, gateway_info_fn fn, void *fn_context)
{
    (void)context;
    for (unsigned i = 0; i < 700; i++)
        fn(fn_context, &(struct gateway_info){.cluster = "east", .namespace = "g", .name = "g", .verdict = "dead"});
}

static void many_links(void *context, link_info_fn fn, void *fn_context)
{
    (void)context;
    for (unsigned i = 0; i < 700; i++)
        fn(fn_context, &(struct link_info){.kind = "Link", .name = "l", .cluster = "c"});
}

static void rows_are_bounded(void **state)
{
    (void)state;
    unsigned services = 50000;
    const struct admin_source source = {&services, is_ready, many_gateways, many_links, many_services};
    char *html = render(&source, false);
    assert_well_formed(html);
    assert_int_equal(count(html, "data-key=\"service "), PAGE_SERVICES);
    assert_int_equal(count(html, "data-key=\"gateway "), 500);
    assert_int_equal(count(html, "data-key=\"link "), 500);
    assert_shows(html, "The first 500 of 700. <a href=\"api/v1/links\">api/v1/links</a> has all.");
    assert_shows(html, "The first 500 of 700. <a href=\"api/v1/gateways\">");
    mem_free(html);
}

static enum err_code render_all(void *context)
{
    (void)context;
    struct strbuf html;
    strbuf_init(&html, 16 << 20);
    const struct page page = {.source = &fake_source, .now_us = FAKE_NOW_US, .services = {.words = "e"}};
    page_write(&page, &html);
    enum err_code code = strbuf_error(&html);
    strbuf_done(&html);
    return code;
}

static void memory_runs_out(void **state)
{
    (void)state;
    assert_true(sweep(render_all, NULL) > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_shown),
        cmocka_unit_test(what_is_missing_is_said),
        cmocka_unit_test(starting),
        cmocka_unit_test(nothing_to_show),
        cmocka_unit_test(services_come_in_pages),
        cmocka_unit_test(services_are_searched),
        cmocka_unit_test(rows_are_bounded),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
