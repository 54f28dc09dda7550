/* Federated services: one Service without endpoints, whose annotations name the members. Linkerd's control plane resolves them in their own
 * clusters. Source: linkerd2 edge-26.8.3, federated services. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/metadata.h"
#include "mirror/names.h"
#include "mirror/plan_internal.h"

/* A remote member: "service@cluster". Sorted by cluster, so that the annotation does not depend on who joined first. */
struct member {
    const char *cluster, *text;
};

struct members {
    struct arena *arena;
    struct member *items;
    size_t count, capacity;
    const char *local; /* name of the local member, NULL when there is none */
    bool kept;         /* some are not known to be members still, and stay */
};

/* ---- who is a member ---- */

static bool has_cluster(const struct members *members, const char *cluster)
{
    for (size_t i = 0; i < members->count; i++)
        if (strcmp(members->items[i].cluster, cluster) == 0)
            return true;
    return false;
}

static void add_member(struct members *members, const char *cluster, const char *text)
{
    if (members->count == members->capacity || cluster == NULL || text == NULL || has_cluster(members, cluster))
        return;
    size_t at = members->count++;
    for (; at > 0 && strcmp(members->items[at - 1].cluster, cluster) > 0; at--)
        members->items[at] = members->items[at - 1];
    members->items[at] = (struct member){cluster, text};
}

/* Whether it was judged already: refused, or of another kind. */
static bool has_status(const struct planner *planner, const struct claim *claim)
{
    for (uint32_t i = 0; i < planner->plan->status_count; i++)
        if (planner->plan->statuses[i].claim == claim)
            return true;
    return false;
}

static bool is_valid(const struct planner *planner, const struct claim *claim)
{
    return claim->kind == CLAIM_FEDERATED && !has_status(planner, claim);
}

static bool is_local(const struct claim *claim) { return claim->link->declaration->kind == LINK_LOCAL; }

static bool has_claim_of(const struct planner *planner, const char *cluster)
{
    for (const struct claim *claim = planner->mirror->claims; claim != NULL; claim = claim->next)
        if (is_valid(planner, claim) && strcmp(claim->link->declaration->cluster_name, cluster) == 0)
            return true;
    return false;
}

/* Whether the member is there and cannot be read: it may still say that it is one. */
static bool is_unreadable(const struct planner *planner, const char *cluster, const char *name)
{
    char key[OBJECT_KEY_BYTES];
    object_key_format(key, planner->mirror->service->meta.namespace, name);
    for (const struct world_link *link = world_first_link(planner->world); link != NULL; link = world_next_link(link))
        if (strcmp(link->declaration->cluster_name, cluster) == 0 && target_is_unreadable(link, key, VIEW_MEMBERS))
            return true;
    return false;
}

/* Whether it may still be a member, for all that is known: its target was not listed since the start, or its link is not known yet. A Service
 * that others made, and of which no member is known here, is theirs to change. */
static bool may_be_member(const struct planner *planner, const char *cluster, const char *name)
{
    const struct world *world = planner->world;
    bool listed = false, ours = planner->mirror->service->meta.made_by_us;
    if (cluster_is_linked(world, cluster, &listed))
        return !listed || is_unreadable(planner, cluster, name);
    if (map_get(world->unlinked, cluster) != NULL)
        return false;
    for (const struct claim *claim = planner->mirror->claims; claim != NULL; claim = claim->next)
        ours = ours || is_valid(planner, claim);
    return !world->links_complete || !ours;
}

/* The members that the Service names, and that are not known to be members, nor known to be none. `*ret_cluster` is "" for the local one.
 * @param at  NULL at first; where to go on. @return the text of the next one, in the arena; NULL: no more. */
static const char *next_unknown(const struct planner *planner, const char **at, const char **ret_cluster)
{
    const struct kv_list *there = &planner->mirror->service->meta.annotations;
    if (*at == NULL) {
        const char *list = kv_get(there, L5D_REMOTE_DISCOVERY);
        *at = list != NULL ? list : "";
    }
    while (**at != '\0') {
        size_t length = strcspn(*at, ",");
        const char *text = arena_printf(planner->arena, "%.*s", (int)length, *at);
        const char *cluster = text != NULL ? strchr(text, '@') : NULL;
        char name[OBJECT_KEY_BYTES];
        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(*at, "@,"), *at);
        *at += length + ((*at)[length] == ',' ? 1 : 0);
        *ret_cluster = cluster != NULL ? cluster + 1 : NULL;
        if (cluster != NULL && !has_claim_of(planner, *ret_cluster) && may_be_member(planner, *ret_cluster, name))
            return text;
    }
    return NULL;
}

/* The local member, likewise; NULL when there is none. */
static const char *unknown_local(const struct planner *planner)
{
    const char *local = kv_get(&planner->mirror->service->meta.annotations, L5D_LOCAL_DISCOVERY);
    return local != NULL && !has_claim_of(planner, "") && may_be_member(planner, "", local) ? local : NULL;
}

static bool is_drained(const struct world *world, const char *cluster)
{
    for (const struct world_link *link = world_first_link(world); link != NULL; link = world_next_link(link))
        if (strcmp(link->declaration->cluster_name, cluster) == 0 && link->declaration->drain)
            return true;
    return false;
}

bool plan_federated_may_have_members(const struct planner *planner)
{
    const char *at = NULL, *cluster = NULL;
    if (!is_federated(planner->mirror->service))
        return false;
    return unknown_local(planner) != NULL || next_unknown(planner, &at, &cluster) != NULL;
}

/* Whether a member is there, for all that is known, that is not being drained. */
static bool has_lasting_member(const struct planner *planner)
{
    for (const struct claim *claim = planner->mirror->claims; claim != NULL; claim = claim->next)
        if (is_valid(planner, claim) && !claim->link->declaration->drain)
            return true;
    if (!is_federated(planner->mirror->service))
        return false;
    const char *at = NULL, *cluster = NULL;
    while (next_unknown(planner, &at, &cluster) != NULL)
        if (!is_drained(planner->world, cluster))
            return true;
    return unknown_local(planner) != NULL;
}

/* A member that is being drained leaves, unless no other is left: nothing is deleted by draining. */
static bool stays(const struct planner *planner, const struct claim *claim)
{
    return is_valid(planner, claim) && (!claim->link->declaration->drain || !has_lasting_member(planner));
}

static void add_claims(const struct planner *planner, struct members *members)
{
    for (const struct claim *claim = planner->mirror->claims; claim != NULL; claim = claim->next) {
        const char *name = claim->kind == CLAIM_FEDERATED ? claim->service->service->meta.name : NULL;
        const char *cluster = claim->link->declaration->cluster_name;
        if (!stays(planner, claim))
            continue;
        if (is_local(claim))
            members->local = name;
        else
            add_member(members, cluster, arena_printf(members->arena, "%s@%s", name, cluster));
    }
}

static void keep_unknown(const struct planner *planner, struct members *members)
{
    const char *at = NULL, *cluster = NULL, *local = unknown_local(planner);
    for (const char *text = next_unknown(planner, &at, &cluster); text != NULL;
         text = next_unknown(planner, &at, &cluster)) {
        add_member(members, cluster, text);
        members->kept = true;
    }
    if (local != NULL) {
        members->local = local;
        members->kept = true;
    }
}

/* More members than claims are only those that stay. */
static size_t count_most(const struct planner *planner)
{
    size_t count = 0;
    for (const struct claim *claim = planner->mirror->claims; claim != NULL; claim = claim->next)
        count++;
    const struct service *there = planner->mirror->service;
    const char *list = there != NULL ? kv_get(&there->meta.annotations, L5D_REMOTE_DISCOVERY) : NULL;
    for (; list != NULL && *list != '\0'; list++)
        count += *list == '@' ? 1 : 0;
    return count;
}

static struct members gather(const struct planner *planner)
{
    size_t most = count_most(planner);
    struct members members = {.arena = planner->arena,
                              .items = arena_array(planner->arena, most, sizeof(struct member)),
                              .capacity = most};
    if (members.items == NULL)
        members.capacity = 0;
    add_claims(planner, &members);
    if (is_federated(planner->mirror->service))
        keep_unknown(planner, &members);
    return members;
}

/* ---- what it looks like ---- */

static const char *join(const struct members *members)
{
    const char *text = members->count > 0 ? members->items[0].text : "";
    for (size_t i = 1; text != NULL && i < members->count; i++)
        text = arena_printf(members->arena, "%s,%s", text, members->items[i].text);
    return text;
}

static void set_membership(struct kv_builder *annotations, const struct members *members)
{
    kv_builder_set(annotations, L5D_REMOTE_DISCOVERY, members->count > 0 ? join(members) : NULL);
    kv_builder_set(annotations, L5D_LOCAL_DISCOVERY, members->local);
}

/* The local member tells what the Service looks like, else that of the oldest link: claims stand in that order. */
static const struct claim *model_of(const struct planner *planner)
{
    const struct claim *model = NULL;
    for (const struct claim *claim = planner->mirror->claims; claim != NULL; claim = claim->next) {
        if (!stays(planner, claim))
            continue;
        if (is_local(claim))
            return claim;
        if (model == NULL)
            model = claim;
    }
    return model;
}

static void copy_list(struct kv_builder *builder, const struct kv_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        kv_builder_set(builder, list->items[i].key, list->items[i].value);
}

static void copy_ports(struct arena *arena, const struct service *from, struct service *to)
{
    struct service_port *ports = arena_array(arena, from->port_count, sizeof(*ports));
    for (uint32_t i = 0; ports != NULL && i < from->port_count; i++) {
        ports[i] = from->ports[i];
        ports[i].node_port = 0;
    }
    to->ports = ports;
    to->port_count = ports != NULL ? from->port_count : 0;
}

/* While a member may be missing from what is known, which might be the model, what is there stays as it is, but for the membership. */
static struct service build(const struct planner *planner, const struct members *members)
{
    struct kv_builder labels, annotations;
    const struct service *there = members->kept ? planner->mirror->service : NULL;
    const struct claim *model = there == NULL ? model_of(planner) : NULL;
    const struct service *from = there != NULL ? there : model != NULL ? model->service->service : NULL;
    struct service service = {
        .meta =
            {
                .namespace = planner->namespace,
                .name = planner->name,
                .uid = "",
                .resource_version = "",
                .owner_uid = "",
            },
        .type = SERVICE_CLUSTER_IP,
        .cluster_ip = "",
    };
    kv_builder_init(&labels, planner->arena);
    kv_builder_init(&annotations, planner->arena);
    if (there != NULL) {
        copy_list(&labels, &there->meta.labels);
        copy_list(&annotations, &there->meta.annotations);
    } else if (from != NULL) {
        metadata_copy_labels(&labels, &from->meta.labels, model->link->declaration);
        metadata_copy_annotations(&annotations, &from->meta.annotations, model->link->declaration);
    }
    kv_builder_set(&labels, L5D_MIRRORED_SERVICE, "true");
    set_membership(&annotations, members);
    service.meta.labels = kv_builder_finish(&labels);
    service.meta.annotations = kv_builder_finish(&annotations);
    if (from != NULL)
        copy_ports(planner->arena, from, &service);
    return service;
}

/* ---- the plan ---- */

static void tell_members(struct planner *planner)
{
    bool lasting = has_lasting_member(planner); /* asked before the first is told */
    for (struct claim *claim = planner->mirror->claims; claim != NULL; claim = claim->next) {
        if (!is_valid(planner, claim))
            continue;
        if (claim->link->declaration->drain && lasting)
            plan_add_status(planner, claim, false, "Draining", "draining: annotation " LINK_DRAIN " is set");
        else
            plan_add_status(planner, claim, true, "Mirrored", "");
    }
}

void plan_federated_refused(struct planner *planner, const struct claim *first)
{
    const struct plan *plan = planner->plan;
    const struct plan_status *told = NULL;
    for (uint32_t i = 0; i < plan->status_count; i++)
        if (plan->statuses[i].claim == first)
            told = &plan->statuses[i];
    for (struct claim *claim = planner->mirror->claims; told != NULL && claim != NULL; claim = claim->next)
        if (claim->kind == CLAIM_FEDERATED && !has_status(planner, claim))
            plan_add_status(planner, claim, false, told->reason, told->message);
}

void plan_federated(struct planner *planner, struct claim *first)
{
    const struct service *there = planner->mirror->service;
    struct members members = gather(planner);
    if (there != NULL && there->meta.deleting)
        return;
    if (members.count == 0 && members.local == NULL) {
        if (there != NULL && planner->world->knowledge[WORLD_SOURCE_SERVICES] == WORLD_LISTED)
            plan_delete_service(planner, "its last member left");
        tell_members(planner);
        return;
    }
    if (first != NULL && !plan_namespace(planner, first)) {
        plan_federated_refused(planner, first);
        return;
    }
    struct service wanted = build(planner, &members);
    if (there != NULL && there->headless) {
        plan_delete_service(planner, "spec.clusterIP cannot be changed in place");
        return;
    }
    if (there != NULL || model_of(planner) != NULL)
        plan_service(planner, &wanted);
    plan_delete_slices(planner, "a federated service has no endpoints of its own");
    if (planner->plan->write_count == 0)
        tell_members(planner);
}
