#include <stdio.h>

#include "agent/admin/page_internal.h"

struct writing {
    struct html *html;
    uint32_t rows;
};

/* Who writes the mirrors, by the link's Lease. Without election that is whoever runs. */
static void cell_holder(struct html *html, const struct link_info *info)
{
    bool is_named = info->holder != NULL && info->holder[0] != '\0';
    if (!is_named) {
        html_cell_state(html, info->held ? "good" : "wait", info->held ? "this replica" : "nobody yet");
        return;
    }
    html_put(html, "<td><code>");
    html_text(html, info->holder);
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
    html_cell_reason(html, info->problem, info->warning);
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
    html_cell(html, declaration);
    if (info->refused) {
        html_cell_state(html, "bad", "refused");
        html_put(html, "<td></td><td></td><td></td><td></td><td></td>");
        html_cell_reason(html, info->problem, NULL);
    } else {
        put_target(html, info);
    }
    html_put(html, "</tr>");
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
                         "Cluster|Declared by|API|Data|Last event|Written by|Credentials expire|#Mirrored|Problem");
        source->each_link(source->context, put_link, &writing);
        html_end_table(html);
        page_cut_write(html, writing.rows, "api/v1/links");
    }
    html_end_section(html);
}
