#include <stdio.h>
#include <string.h>

#include "agent/admin/page_internal.h"

struct writing {
    struct html *html;
    uint32_t rows;
};

/* Who writes the mirrors, by the link's Lease. Without election that is whoever runs. An identity is `<pod>_<what makes it unique>`, as
 * Kubernetes' own components have it: people know the pod. */
static void cell_holder(struct html *html, const struct link_info *info)
{
    bool is_named = info->holder != NULL && info->holder[0] != '\0';
    if (!is_named) {
        html_cell_state(html, info->held ? "good" : "wait", info->held ? "this replica" : "nobody yet");
        return;
    }
    char pod[256];
    (void)snprintf(pod, sizeof(pod), "%.*s", (int)strcspn(info->holder, "_"), info->holder);
    html_put(html, "<td class=\"t\"><code title=\"");
    html_text(html, info->holder);
    html_put(html, "\">");
    html_text(html, pod);
    html_put(html, info->held ? "</code><br><span class=\"soft\">this replica</span></td>" : "</code></td>");
}

static void put_target(struct html *html, const struct link_info *info)
{
    html_cell_state(html, info->api_reachable ? "good" : "bad", info->api_reachable ? "reachable" : "unreachable");
    html_cell_state(html, info->synced ? "good" : "wait", info->synced ? "complete" : "not listed yet");
    html_put(html, "<td class=\"t\">");
    html_distance(html, info->event_age_ms / 1000);
    html_put(html, " ago</td>");
    cell_holder(html, info);
    html_cell_time(html, info->credentials_expire_us);
    html_cell_ratio(html, info->mirrored, info->exported);
}

/* What is wrong has a line of its own, so that it can be read. */
static void put_remark(struct html *html, const char *word, const char *text)
{
    if (text == NULL || text[0] == '\0')
        return;
    strbuf_printf(html->text,
                  "<tr class=\"sub\"><th scope=\"row\" class=\"soft\">%s</th><td class=\"why\" colspan=\"7\">", word);
    html_text(html, text);
    html_put(html, "</td></tr>");
}

static void put_link(void *context, const struct link_info *info)
{
    struct writing *writing = context;
    struct html *html = writing->html;
    char declaration[512];
    if (writing->rows++ >= PAGE_ROWS)
        return;
    (void)snprintf(declaration, sizeof(declaration), "%s %s", info->kind, info->name);
    html_begin_rows(html, "link", info->cluster, NULL, NULL, declaration);
    html_put(html, "<td class=\"t\">");
    html_text(html, declaration);
    html_put(html, "</td>");
    if (info->refused) {
        html_cell_state(html, "bad", "refused");
        html_put(html, "<td colspan=\"5\"></td>");
    } else {
        put_target(html, info);
    }
    html_put(html, "</tr>");
    put_remark(html, "problem", info->problem);
    put_remark(html, "drained", info->drained ? "the endpoints of its mirrors are not ready" : NULL);
    put_remark(html, "warning", info->warning);
    html_end_rows(html);
}

void page_links_write(struct html *html, const struct admin_source *source, const struct page_totals *totals)
{
    struct writing writing = {.html = html};
    html_begin_section(html, "links", "Links");
    if (totals->links + totals->links_refused == 0) {
        html_put(html, "<p class=\"soft\">No target is linked. Create a Link, or a Secret of type "
                       "<code>mirror.linkerd.io/remote-kubeconfig</code>, in the agent's namespace.</p>");
    } else {
        html_begin_table(html, "links-table",
                         "Each target's API server, how fresh its data is, and who writes its mirrors",
                         "Cluster|Declared by|API|Data|Last event|Written by|Credentials expire|#Mirrored");
        source->each_link(source->context, put_link, &writing);
        html_end_table(html);
        page_cut_write(html, writing.rows, "api/v1/links");
    }
    html_end_section(html);
}
