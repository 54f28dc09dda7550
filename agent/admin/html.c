#include "agent/admin/html.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "base/text.h"

void html_put(struct html *html, const char *markup) { strbuf_append(html->text, markup); }

void html_text(struct html *html, const char *text)
{
    for (const char *c = text != NULL ? text : ""; *c != '\0'; c++) {
        if (*c == '<')
            html_put(html, "&lt;");
        else if (*c == '>')
            html_put(html, "&gt;");
        else if (*c == '&')
            html_put(html, "&amp;");
        else if (*c == '"')
            html_put(html, "&quot;");
        else
            strbuf_append_char(html->text, *c);
    }
}

void html_query_value(struct html *html, const char *text)
{
    for (const char *c = text; *c != '\0'; c++) {
        if (isalnum((unsigned char)*c) || strchr("-._~", *c) != NULL)
            strbuf_append_char(html->text, *c);
        else
            strbuf_printf(html->text, "%%%02X", (unsigned)(unsigned char)*c);
    }
}

static bool is_empty(const char *text) { return text == NULL || text[0] == '\0'; }

void html_state(struct html *html, const char *class, const char *word)
{
    strbuf_printf(html->text, "<span class=\"state %s\">", class);
    html_text(html, word);
    html_put(html, "</span>");
}

void html_distance(struct html *html, uint64_t seconds)
{
    static const struct {
        const char *unit;
        uint64_t seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"m", 60}, {"s", 1}};
    unsigned shown = 0;
    for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]) && shown < 2; i++) {
        uint64_t count = seconds / units[i].seconds;
        seconds %= units[i].seconds;
        if (count == 0 && shown == 0 && units[i].seconds > 1)
            continue;
        if (count > 0 || shown == 0)
            strbuf_printf(html->text, "%" PRIu64 "%s", count, units[i].unit);
        shown++;
    }
}

/* ---- cells ---- */

void html_cell(struct html *html, const char *text)
{
    html_put(html, "<td>");
    html_text(html, text);
    html_put(html, "</td>");
}

void html_cell_state(struct html *html, const char *class, const char *word)
{
    html_put(html, "<td>");
    html_state(html, class, word);
    html_put(html, "</td>");
}

void html_cell_reason(struct html *html, const char *reason, const char *words)
{
    html_put(html, "<td class=\"why\">");
    html_text(html, reason);
    if (!is_empty(reason) && !is_empty(words))
        html_put(html, "<br>");
    if (!is_empty(words)) {
        html_put(html, "<span class=\"soft\">");
        html_text(html, words);
        html_put(html, "</span>");
    }
    html_put(html, "</td>");
}

void html_cell_ratio(struct html *html, uint64_t part, uint64_t whole)
{
    strbuf_printf(html->text, "<td class=\"n%s\">%" PRIu64 " of %" PRIu64 "</td>", part < whole ? " wait" : "", part,
                  whole);
}

void html_cell_time(struct html *html, int64_t us)
{
    char stamp[TEXT_TIME_BYTES];
    if (us == 0) {
        html_put(html, "<td class=\"soft\">–</td>");
        return;
    }
    int64_t seconds = (html->now_us - us) / 1000000;
    text_format_time(us, stamp);
    strbuf_printf(html->text, "<td><time datetime=\"%s\" title=\"%s\">%s", stamp, stamp, seconds < 0 ? "in " : "");
    html_distance(html, (uint64_t)(seconds < 0 ? -seconds : seconds));
    html_put(html, seconds < 0 ? "</time></td>" : " ago</time></td>");
}

/* ---- sections and tables ---- */

void html_begin_section(struct html *html, const char *id, const char *title)
{
    strbuf_printf(html->text, "<section id=\"%s\" aria-labelledby=\"%s-title\"><h2 id=\"%s-title\">%s</h2>", id, id, id,
                  title);
}

void html_end_section(struct html *html) { html_put(html, "</section>"); }

void html_begin_table(struct html *html, const char *id, const char *caption, const char *headings)
{
    strbuf_printf(html->text,
                  "<div class=\"scroll\" role=\"region\" aria-labelledby=\"%s\" tabindex=\"0\"><table>"
                  "<caption id=\"%s\">%s</caption><thead><tr>",
                  id, id, caption);
    for (const char *at = headings; *at != '\0';) {
        size_t length = strcspn(at, "|");
        bool number = *at == '#';
        html_put(html, number ? "<th scope=\"col\" class=\"n\">" : "<th scope=\"col\">");
        strbuf_append_bytes(html->text, at + (number ? 1 : 0), length - (number ? 1 : 0));
        html_put(html, "</th>");
        at += length + (at[length] == '|' ? 1 : 0);
    }
    html_put(html, "</tr></thead>");
}

void html_end_table(struct html *html) { html_put(html, "</table></div>"); }

static void put_joined(struct html *html, const char *before, const char *text)
{
    if (is_empty(text))
        return;
    html_put(html, before);
    html_text(html, text);
}

void html_begin_rows(struct html *html, const char *kind, const char *cluster, const char *namespace, const char *name,
                     const char *more)
{
    strbuf_printf(html->text, "<tbody data-key=\"%s", kind);
    put_joined(html, " ", cluster);
    put_joined(html, " ", namespace);
    put_joined(html, "/", name);
    put_joined(html, " ", more);
    html_put(html, "\"><tr><th scope=\"row\"><strong>");
    html_text(html, is_empty(cluster) ? "–" : cluster);
    html_put(html, "</strong>");
    put_joined(html, " ", namespace);
    put_joined(html, "/", name);
    html_put(html, "</th>");
}

void html_end_rows(struct html *html) { html_put(html, "</tbody>"); }
