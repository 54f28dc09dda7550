#include "mirror/plan.h"

#include <string.h>

#include "base/mem.h"
#include "mirror/compare.h"
#include "mirror/desired.h"
#include "mirror/names.h"
#include "mirror/plan_internal.h"

struct write *plan_add_write(struct planner *planner, enum write_verb verb, enum write_kind kind, const char *reason)
{
    struct plan *plan = planner->plan;
    /* What does not fit is planned next time: every plan starts from the state as it is then. */
    static struct write overflow;
    if (plan->write_count == PLAN_MAX_WRITES)
        return &overflow;
    struct write *write = &plan->writes[plan->write_count++];
    *write = (struct write){
        .verb = verb, .kind = kind, .namespace = planner->namespace, .name = planner->name, .reason = reason};
    return write;
}

void plan_add_status(struct planner *planner, struct claim *claim, bool mirrored, const char *reason,
                     const char *message)
{
    planner->plan->statuses[planner->plan->status_count++] = (struct plan_status){
        .claim = claim, .mirrored = mirrored, .reason = reason, .message = message != NULL ? message : ""};
}

/* ---- nothing claims the name ---- */

/* Whether a link's target is known well enough to say that it exports nothing of which the mirror was made. Mirrors of hostnames are known from the
 * target's slices; where these may not be read, those of services that are exported stay. A gateway's own mirror is known from the Service that the
 * Link names. */
static bool is_listed(const struct world_link *link, const struct service *service)
{
    if (!budget_is_complete(link))
        return false;
    if (kv_get(&service->meta.labels, L5D_MIRRORED_GATEWAY) != NULL && gateway_is_unread(link))
        return false;
    /* What only a ServiceExport made an export of may be one still, until those are listed. */
    if (kv_get(&service->meta.annotations, MADE_BY_EXPORT) != NULL && world_takes_exports(link) &&
        link->knowledge[WORLD_TARGET_EXPORTS] != WORLD_LISTED)
        return false;
    return kv_get(&service->meta.labels, L5D_HEADLESS_MIRROR) == NULL || link->declaration->kind != LINK_RESOURCE ||
           (link->knowledge[WORLD_TARGET_SLICES] != WORLD_UNKNOWN &&
            !(target_endpoints_unreadable(link) && target_has_host(link, service)));
}

/* Why what a link's cluster does not account for goes; NULL: it must stay. */
static const char *unclaimed_reason(const struct planner *planner, const char *cluster)
{
    const char *reason = "no longer exported";
    for (const struct world_link *link = world_first_link(planner->world); link != NULL; link = world_next_link(link)) {
        if (strcmp(link->declaration->cluster_name, cluster) != 0)
            continue;
        if (!is_listed(link, planner->mirror->service))
            return NULL;
        if (!planner->mirror->is_import && target_moved(link, planner->mirror))
            reason = "its mirror has another name or namespace now";
    }
    return reason;
}

/* Also a mirror that others made, with endpoints that we made for it. */
static bool is_of_our_making(const struct mirror *mirror)
{
    for (const struct source_slice *entry = mirror->slices; entry != NULL; entry = entry->next)
        if (entry->slice->meta.made_by_us && strcmp(entry->slice->meta.owner_uid, mirror->service->meta.uid) == 0)
            return true;
    return mirror->service->meta.made_by_us;
}

/* Somebody took the label off that says which cluster it is of: what we made goes when no cluster accounts for it. */
static const char *unlabelled_reason(const struct planner *planner)
{
    const struct world *world = planner->world;
    if (!world->links_complete || !is_of_our_making(planner->mirror) ||
        is_made_of_unreadable(world, planner->mirror, NULL))
        return NULL;
    for (const struct world_link *link = world_first_link(world); link != NULL; link = world_next_link(link))
        if (!is_listed(link, planner->mirror->service))
            return NULL;
    return "no link accounts for it";
}

/* NULL: it must stay. */
static const char *orphan_reason(const struct planner *planner)
{
    const struct world *world = planner->world;
    const struct service *service = planner->mirror->service;
    const char *cluster = kv_get(&service->meta.labels, L5D_CLUSTER_NAME);
    bool listed = false;
    if (world->knowledge[WORLD_SOURCE_SERVICES] != WORLD_LISTED || is_of_a_chart(service))
        return NULL;
    if (cluster == NULL)
        return unlabelled_reason(planner);
    if (is_made_of_unreadable(world, planner->mirror, cluster))
        return NULL;
    if (cluster_is_linked(world, cluster, &listed))
        return unclaimed_reason(planner, cluster);
    if (map_get(world->unlinked, cluster) != NULL)
        return "its link was removed";
    bool may_go = is_of_our_making(planner->mirror) || world->config.remove_unaccounted;
    return world->links_complete && may_go ? "no link accounts for it" : NULL;
}

void plan_delete_service(struct planner *planner, const char *reason)
{
    struct write *write =
        plan_add_write(planner, WRITE_DELETE, planner->mirror->is_import ? WRITE_IMPORT : WRITE_SERVICE, reason);
    write->old_service = planner->mirror->service;
    write->version = planner->world->import_version;
}

/* Slices go with their Service by the garbage collector. One without an owner would stay for ever, and so would one that was
 * labelled with another Service's name by hand, whose owner is alive. */
static bool is_stray(const struct planner *planner, const struct slice *slice)
{
    size_t length = strlen(planner->name);
    if (slice->is_endpoints)
        return slice->meta.made_by_us;
    bool named_after = strncmp(slice->meta.name, planner->name, length) == 0 && slice->meta.name[length] == '.';
    return slice->meta.owner_uid[0] == '\0' || !named_after;
}

/* For people to decide about: a mirror of a cluster that no link names, when all links are known. */
static bool is_of_no_link(const struct planner *planner)
{
    const struct service *service = planner->mirror->service;
    const char *cluster = kv_get(&service->meta.labels, L5D_CLUSTER_NAME);
    bool listed = false;
    return cluster != NULL && planner->world->links_complete && !service->meta.deleting && !is_of_a_chart(service) &&
           !cluster_is_linked(planner->world, cluster, &listed);
}

static void plan_orphan(struct planner *planner)
{
    const struct mirror *mirror = planner->mirror;
    if (is_federated(mirror->service)) {
        plan_federated(planner, NULL);
        return;
    }
    if (mirror->service != NULL) {
        const char *reason = mirror->service->meta.deleting ? NULL : orphan_reason(planner);
        if (reason != NULL)
            plan_delete_service(planner, reason);
        else
            plan_unlisted(planner);
        planner->plan->unaccounted = reason == NULL && is_of_no_link(planner);
        return;
    }
    if (planner->world->knowledge[WORLD_SOURCE_SERVICES] != WORLD_LISTED)
        return;
    for (const struct source_slice *entry = mirror->slices; entry != NULL; entry = entry->next)
        if (plan_slice_is_ours(entry->slice) && is_stray(planner, entry->slice) && !entry->slice->meta.deleting)
            plan_delete_slice(planner, entry->slice, "its Service is gone");
}

/* ---- the mirror's namespace ---- */

/* @return whether the namespace is there; else plans its creation or gives the status. */
bool plan_namespace(struct planner *planner, struct claim *claim)
{
    const struct world *world = planner->world;
    /* Where namespaces cannot be read, the write itself will tell. */
    if (world->knowledge[WORLD_SOURCE_NAMESPACES] == WORLD_UNAVAILABLE)
        return true;
    const struct source_namespace *namespace = map_get(world->namespaces, planner->namespace);
    if (namespace != NULL && !namespace->terminating)
        return true;
    bool create = claim->link->declaration->kind == LINK_SECRET ? world->config.create_namespaces_for_secrets
                                                                : world->config.create_namespaces_for_links;
    if (namespace != NULL) {
        plan_add_status(planner, claim, false, "MissingNamespace", "Namespace is being deleted");
        return false;
    }
    if (!create || claim->kind == CLAIM_GATEWAY) {
        plan_add_status(planner, claim, false, "MissingNamespace", "Namespace does not exist");
        return false;
    }
    struct namespace_object *wanted = ARENA_NEW(planner->arena, struct namespace_object);
    struct kv_builder labels;
    kv_builder_init(&labels, planner->arena);
    kv_builder_set(&labels, L5D_MIRRORED_SERVICE, "true");
    kv_builder_set(&labels, L5D_CLUSTER_NAME, claim->link->declaration->cluster_name);
    if (wanted == NULL)
        return false;
    wanted->meta = (struct object_meta){.namespace = "",
                                        .name = planner->namespace,
                                        .uid = "",
                                        .resource_version = "",
                                        .owner_uid = "",
                                        .labels = kv_builder_finish(&labels)};
    struct write *write = plan_add_write(planner, WRITE_CREATE, WRITE_NAMESPACE, "an exported service lives there");
    write->name = planner->namespace;
    write->namespace = "";
    write->namespace_object = wanted;
    return false;
}

/* ---- the winner's objects ---- */

void plan_service(struct planner *planner, const struct service *desired)
{
    const struct service *there = planner->mirror->service;
    if (there != NULL && compare_service_right(there, desired))
        return;
    struct service *wanted = ARENA_NEW(planner->arena, struct service);
    if (wanted == NULL)
        return;
    *wanted = *desired;
    struct write *write =
        plan_add_write(planner, there == NULL ? WRITE_CREATE : WRITE_UPDATE, WRITE_SERVICE,
                       there == NULL ? "exported and not mirrored yet" : "labels, annotations or ports differ");
    write->service = wanted;
    write->old_service = there;
}

/* The mirror is in place all the same. */
static const char *import_remark(const struct claim *claim)
{
    const struct claim *import = claim->kind == CLAIM_SERVICE ? claim->service->import : NULL;
    bool failed = import != NULL && !import->status.mirrored && strcmp(import->status.reason, "Pending") != 0;
    return failed ? import->status.message : "";
}

static void plan_winner(struct planner *planner, struct claim *claim)
{
    struct mirror *mirror = planner->mirror;
    struct desired desired;
    desired_build(planner->arena, mirror, claim, &desired);
    if (mirror->service != NULL && mirror->service->meta.deleting) {
        /* Somebody's finalizer may hold it for long, and its slices lead clients for as long. */
        if (mirror->service->headless == desired.service.headless)
            plan_present_slices(planner, &desired);
        return;
    }
    if (mirror->service == NULL && desired.undecided) {
        plan_add_status(planner, claim, false, "Pending", desired.remark);
        return;
    }
    if (mirror->service != NULL && mirror->service->headless != desired.service.headless) {
        plan_delete_service(planner, "spec.clusterIP cannot be changed in place");
        return;
    }
    if (mirror->service == NULL) {
        plan_service(planner, &desired.service);
        return; /* the slices need its uid */
    }
    /* Readiness first: a flip must not wait for metadata. A mirror that is resolved in its target says so before its endpoints go. */
    if (!desired.is_discovery)
        plan_slices(planner, &desired);
    plan_service(planner, &desired.service);
    if (desired.is_discovery)
        plan_slices(planner, &desired);
    if (planner->plan->write_count > 0)
        return;
    const struct slice *foreign = plan_foreign_slice(planner, &desired);
    if (foreign != NULL)
        plan_add_status(planner, claim, false, "NameCollision",
                        arena_printf(planner->arena,
                                     "EndpointSlice %s/%s exists and is not svcmirror's: rename or remove it",
                                     planner->namespace, foreign->meta.name));
    else if (desired.pending)
        plan_add_status(planner, claim, false, "Pending", desired.remark);
    else
        plan_add_status(planner, claim, true, "Mirrored",
                        desired.remark[0] == '\0' ? import_remark(claim) : desired.remark);
    if (foreign == NULL && !desired.pending && desired.endpoints != ENDPOINTS_KEEP)
        plan_leftovers(planner);
}

/* While the target is being listed, half of the claims are known, and the best of them may not be the winner. Only a Link's own
 * gateway is certain: it stands in the declaration. */
static bool claims_are_known(const struct claim *claim)
{
    const struct world_link *link = claim->link;
    return target_is_listed(link) || (claim->kind == CLAIM_GATEWAY && link->declaration->kind == LINK_RESOURCE);
}

/* Of a mirror that is this very claim's already, the readiness is kept right meanwhile. A gateway that has not been read yet
 * takes nothing away: the Service tells in an annotation which one it was made for. */
static void plan_readiness(struct planner *planner, const struct claim *claim)
{
    const struct mirror *mirror = planner->mirror;
    struct desired desired;
    if (mirror->service == NULL || claim->kind == CLAIM_FEDERATED || claim->kind == CLAIM_IMPORT)
        return;
    desired_build(planner->arena, mirror, claim, &desired);
    if (!compare_service_right(mirror->service, &desired.service))
        return;
    if (mirror->service->meta.deleting)
        plan_present_slices(planner, &desired);
    else
        plan_slices(planner, &desired);
}

static bool is_of_a_claim(const struct mirror *mirror, const char *cluster)
{
    for (const struct claim *claim = mirror->claims; claim != NULL; claim = claim->next)
        if (strcmp(cluster, claim->link->declaration->cluster_name) == 0)
            return true;
    return false;
}

enum ownership {
    OWNERSHIP_OURS,      /* nothing is there, or a mirror that the winner may have */
    OWNERSHIP_UNCERTAIN, /* a mirror that another link may still account for */
    OWNERSHIP_FOREIGN,   /* none of ours */
};

static enum ownership judge_ownership(const struct planner *planner, const struct claim *winner,
                                      const char **ret_cluster)
{
    const struct mirror *mirror = planner->mirror;
    bool listed;
    if (mirror->foreign)
        return OWNERSHIP_FOREIGN;
    if (mirror->service == NULL)
        return OWNERSHIP_OURS;
    const char *cluster = kv_get(&mirror->service->meta.labels, L5D_CLUSTER_NAME);
    *ret_cluster = cluster;
    if (winner->kind != CLAIM_FEDERATED && plan_federated_may_have_members(planner))
        return OWNERSHIP_UNCERTAIN;
    if (cluster == NULL) /* a federated service, or somebody took our labels off it */
        return mirror->service->meta.made_by_us || is_federated(mirror->service) ? OWNERSHIP_OURS : OWNERSHIP_FOREIGN;
    bool by_export = kv_get(&mirror->service->meta.annotations, MADE_BY_EXPORT) != NULL;
    bool same_service = winner->kind != CLAIM_FEDERATED && target_made(winner, mirror->service);
    if (by_export && !same_service && !cluster_exports_listed(planner->world, cluster))
        return OWNERSHIP_UNCERTAIN; /* its ServiceExport may be there still */
    /* Of the winner, of one that must now give way to it, or left behind by one that claims it no longer. */
    if (is_of_a_claim(mirror, cluster) || orphan_reason(planner) != NULL)
        return OWNERSHIP_OURS;
    return cluster_is_linked(planner->world, cluster, &listed) || !planner->world->links_complete ? OWNERSHIP_UNCERTAIN
                                                                                                  : OWNERSHIP_FOREIGN;
}

/* @return whether the winner may have the name; else gives the status. */
static bool may_have(struct planner *planner, struct claim *winner)
{
    char words[MIRROR_WORDS_BYTES];
    const char *object = mirror_words(planner->mirror, words), *cluster = "";
    switch (judge_ownership(planner, winner, &cluster)) {
    case OWNERSHIP_OURS:
        return true;
    case OWNERSHIP_UNCERTAIN:
        plan_add_status(planner, winner, false, "Pending",
                        cluster != NULL
                            ? arena_printf(planner->arena,
                                           "%s is a mirror of cluster %s, of which too little is known yet", object,
                                           cluster)
                            : arena_printf(planner->arena,
                                           "%s is a federated service, of which too little is known yet", object));
        return false;
    case OWNERSHIP_FOREIGN:
        break;
    }
    planner->plan->collision = true;
    plan_add_status(planner, winner, false, "NameCollision",
                    winner->kind == CLAIM_FEDERATED
                        ? arena_printf(planner->arena, "%s exists and is not a federated service: rename or remove it",
                                       object)
                    : winner->kind == CLAIM_IMPORT
                        ? arena_printf(planner->arena, "%s exists and is not svcmirror's: rename or remove it", object)
                        : arena_printf(planner->arena,
                                       "%s exists and is not a mirror of cluster %s: rename or remove it", object,
                                       winner->link->declaration->cluster_name));
    return false;
}

const char *plan_lost_words(const struct planner *planner, const struct claim *claim, const struct claim *winner)
{
    const struct link *link = winner->link->declaration;
    if (claim->kind == CLAIM_IMPORT)
        return plan_import_lost(planner, claim, winner);
    if (winner->link == claim->link)
        return arena_printf(planner->arena, "Service %s mirrors %s of the same link", planner->mirror->key,
                            winner->key);
    if (winner->kind == CLAIM_FEDERATED)
        return arena_printf(planner->arena, "Service %s is a federated service", planner->mirror->key);
    return arena_printf(planner->arena, "Service %s mirrors cluster %s, whose link %s is older", planner->mirror->key,
                        link->cluster_name, link->name);
}

static void plan_claims(struct planner *planner)
{
    struct mirror *mirror = planner->mirror;
    struct claim *winner = NULL;
    for (struct claim *claim = mirror->claims; claim != NULL; claim = claim->next) {
        const char *invalid = plan_invalid_reason(planner, claim);
        if (invalid != NULL)
            /* What is wrong with a service is told of its own mirror. */
            plan_add_status(planner, claim, false, claim->kind == CLAIM_IMPORT ? "Pending" : "InvalidService", invalid);
        else if (winner == NULL)
            winner = claim;
        else if (winner->kind != CLAIM_FEDERATED || claim->kind != CLAIM_FEDERATED)
            plan_add_status(planner, claim, false, "NameCollision", plan_lost_words(planner, claim, winner));
    }
    if (winner == NULL) {
        plan_orphan(planner);
        return;
    }
    if (!may_have(planner, winner)) {
        if (winner->kind == CLAIM_FEDERATED)
            plan_federated_refused(planner, winner);
        return;
    }
    const char *held_up = winner->kind == CLAIM_HOST ? desired_host_held_up(winner) : NULL;
    if (held_up != NULL) {
        plan_add_status(planner, winner, false, "Pending", held_up);
        return;
    }
    if (winner->kind == CLAIM_IMPORT) {
        if (claims_are_known(winner))
            plan_import(planner, winner);
    } else if (winner->kind == CLAIM_FEDERATED && (claims_are_known(winner) || is_federated(mirror->service)))
        plan_federated(planner, winner);
    else if (!claims_are_known(winner))
        plan_readiness(planner, winner);
    else if (plan_namespace(planner, winner))
        plan_winner(planner, winner);
}

/* Before the source's mirrors are listed nobody knows whether a mirror is there. */
static bool source_is_known(const struct world *world)
{
    return world->knowledge[WORLD_SOURCE_SERVICES] == WORLD_LISTED &&
           world->knowledge[WORLD_SOURCE_SLICES] != WORLD_UNKNOWN &&
           (!world->config.write_endpoints || world->knowledge[WORLD_SOURCE_ENDPOINTS] == WORLD_LISTED) &&
           world->knowledge[WORLD_SOURCE_NAMESPACES] != WORLD_UNKNOWN;
}

enum err_code plan_mirror(const struct world *world, struct mirror *mirror, struct arena *arena, struct plan *ret_plan)
{
    char namespace[OBJECT_KEY_BYTES];
    const char *name = object_key_split(mirror->key, namespace);
    if (mirror->is_import)
        name = arena_printf(arena, "%.*s", (int)(strlen(name) - strlen(IMPORT_KEY_SUFFIX)), name);
    uint32_t claims = 0;
    for (const struct claim *claim = mirror->claims; claim != NULL; claim = claim->next)
        claims++;
    *ret_plan = (struct plan){.statuses = arena_array(arena, claims, sizeof(struct plan_status))};
    struct planner planner = {world, mirror, arena, ret_plan, arena_strdup(arena, namespace), name};
    if (arena_failed(arena))
        return ERR_NOMEM;
    if (!source_is_known(world))
        return ERR_OK;
    if (mirror->is_import && world->knowledge[WORLD_SOURCE_IMPORTS] != WORLD_LISTED)
        plan_import_unknown(&planner);
    else if (mirror->claims == NULL)
        plan_orphan(&planner);
    else
        plan_claims(&planner);
    return arena_failed(arena) ? ERR_NOMEM : ERR_OK;
}

const char *write_verb_name(enum write_verb verb)
{
    static const char *const names[] = {
        [WRITE_CREATE] = "create", [WRITE_UPDATE] = "update", [WRITE_DELETE] = "delete"};
    return names[verb];
}

const char *write_kind_name(enum write_kind kind)
{
    static const char *const names[] = {
        [WRITE_NAMESPACE] = "Namespace",  [WRITE_SERVICE] = "Service",
        [WRITE_SLICE] = "EndpointSlice",  [WRITE_ENDPOINTS] = "Endpoints",
        [WRITE_IMPORT] = "ServiceImport", [WRITE_IMPORT_STATUS] = "ServiceImport/status"};
    return names[kind];
}
