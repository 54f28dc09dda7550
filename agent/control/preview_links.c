#include "agent/control/preview_links.h"

#include <string.h>

#include "agent/control/finalizers.h"
#include "agent/control/link_scope.h"

enum { CHANGES_BYTES = 1024 };

struct addition {
    const struct control *control;
    const char *word;
    struct preview_entries *entries;
    enum err_code code;
};

static enum err_code add(struct preview_entries *entries, const struct control *control, const char *name,
                         const char *cluster, const char *reason, const char *changes)
{
    const struct preview_write write = {.verb = WRITE_UPDATE,
                                        .namespace = control->namespace,
                                        .name = name,
                                        .cluster = cluster,
                                        .reason = reason,
                                        .changes = changes};
    return preview_entries_add_link(entries, &write);
}

static void on_finalizer(void *context, const char *link, const char *cluster, bool puts, const char *reason)
{
    struct addition *addition = context;
    const char *word = addition->word;
    if (addition->code != ERR_OK || (word != NULL && strcmp(word, link) != 0 && strcmp(word, cluster) != 0))
        return;
    addition->code = add(addition->entries, addition->control, link, cluster, reason,
                         puts ? "finalizer " LINK_FINALIZER " is added" : "finalizer " LINK_FINALIZER " is removed");
}

static enum err_code add_status(struct control *control, struct world_link *link, struct preview_entries *entries)
{
    const struct link *declaration = world_link_declaration(link);
    struct strbuf changes;
    strbuf_init(&changes, CHANGES_BYTES);
    enum err_code code = statuses_plan(control, link, &changes);
    if (code == ERR_OK && changes.length > 0)
        code = add(entries, control, declaration->name, declaration->cluster_name,
                   "its status tells of each exported service", strbuf_text(&changes));
    strbuf_done(&changes);
    return code;
}

enum err_code preview_links_add(struct control *control, const char *word, struct preview_entries *entries)
{
    struct addition addition = {.control = control, .word = word, .entries = entries, .code = ERR_OK};
    if (links_version(control->links) == NULL)
        return ERR_OK;
    finalizers_each_planned(links_finalizers(control->links), on_finalizer, &addition);
    for (struct world_link *link = world_first_link(control->world); addition.code == ERR_OK && link != NULL;
         link = world_next_link(link))
        if (link_scope_names(word, world_link_declaration(link)))
            addition.code = add_status(control, link, entries);
    return addition.code;
}
