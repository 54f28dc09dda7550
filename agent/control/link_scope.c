#include "agent/control/link_scope.h"

#include <string.h>

#include "agent/control/internal.h"
#include "mirror/names.h"

bool link_scope_names(const char *word, const struct link *link)
{
    return word == NULL || strcmp(word, link->name) == 0 || strcmp(word, link->cluster_name) == 0;
}

static bool has_target(const struct control *control, const char *word)
{
    for (const struct target *target = links_first(control->links); target != NULL; target = links_next(target))
        if (link_scope_names(word, target_link(target)))
            return true;
    return false;
}

struct search {
    const char *word;
    bool found;
};

static void on_refusal(void *context, const struct link_refusal *refusal)
{
    struct search *search = context;
    search->found =
        search->found || strcmp(search->word, refusal->name) == 0 || strcmp(search->word, refusal->cluster) == 0;
}

bool link_scope_is_refused(const struct control *control, const char *word)
{
    struct search search = {.word = word};
    if (word == NULL || has_target(control, word))
        return false;
    links_each_refusal(control->links, on_refusal, &search);
    return search.found;
}

bool link_scope_exists(const struct control *control, const char *word)
{
    return has_target(control, word) || link_scope_is_refused(control, word);
}

/* The cluster that a mirror which nothing claims any more was made of; "" when it does not say. */
static const char *cluster_of(const struct mirror *mirror)
{
    const struct service *service = mirror_service(mirror);
    const struct object_meta *meta = service != NULL                  ? &service->meta
                                     : mirror_slice_count(mirror) > 0 ? &mirror_slice(mirror, 0)->meta
                                                                      : NULL;
    const char *cluster = meta != NULL ? kv_get(&meta->labels, L5D_CLUSTER_NAME) : NULL;
    return cluster != NULL ? cluster : "";
}

bool link_scope_covers(const struct control *control, const char *word, const char *key)
{
    const struct mirror *mirror = world_find_mirror(control->world, key);
    if (word == NULL || mirror == NULL)
        return word == NULL;
    for (const struct claim *claim = mirror_first_claim(mirror); claim != NULL; claim = mirror_next_claim(claim))
        if (link_scope_names(word, world_link_declaration(claim_link(claim))))
            return true;
    if (mirror_first_claim(mirror) != NULL)
        return false;
    for (const struct target *target = links_first(control->links); target != NULL; target = links_next(target))
        if (link_scope_names(word, target_link(target)) &&
            strcmp(target_link(target)->cluster_name, cluster_of(mirror)) == 0)
            return true;
    return false;
}
