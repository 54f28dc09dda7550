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

static char *render(const struct admin_source *source, bool refresh)
{
    struct strbuf html;
    strbuf_init(&html, 16 << 20);
    const struct page page = {.source = source, .now_us = FAKE_NOW_US, .refresh = refresh};
    page_write(&page, &html);
    assert_int_equal(strbuf_error(&html), ERR_OK);
    return strbuf_take(&html);
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
        if (strcmp(name, "meta") == 0 || strcmp(name, "br") == 0 || name[0] == '!')
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
        "<strong>–</strong></th><td>Link broken</td><td><span class=\"state bad\">refused</span></td>",
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
        "<h3>Not mirrored</h3>",
        "&lt;b&gt;rename&lt;/b&gt; &quot;it&quot; &amp; retry",
        "<summary>2 mirrored</summary>",
        "default/qotm-east",
        "<a href=\"?refresh\">",
    };
    for (size_t i = 0; i < ARRAY_COUNT(TEXTS); i++)
        assert_shows(html, TEXTS[i]);
    assert_null(strstr(html, "<script"));
    assert_null(strstr(html, "http-equiv"));
    assert_null(strstr(html, "<b>"));
    assert_null(strstr(html, "src="));
    assert_int_equal(count(html, "default/web-west"), 1);
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

static void rows_are_bounded(void **state)
{
    (void)state;
    unsigned services = 5000;
    const struct admin_source source = {&services, is_ready, no_gateway, no_link, many_services};
    char *html = render(&source, false);
    assert_well_formed(html);
    assert_int_equal(count(html, "default/service-"), 1000);
    assert_shows(html, "<details><summary>5000 mirrored</summary>");
    assert_shows(html, "The first 1000 of 5000.");
    mem_free(html);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_shown), cmocka_unit_test(what_is_missing_is_said), cmocka_unit_test(starting),
        cmocka_unit_test(nothing_to_show),     cmocka_unit_test(rows_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
