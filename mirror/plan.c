#include "mirror/plan.h"

#include <string.h>

#include "base/mem.h"
#include "mirror/desired.h"
#include "mirror/names.h"

/* One planning of one mirror. */
struct planner {
    const struct world *world;
    struct mirror *mirror;
    struct arena *arena;
    struct plan *plan;
    const char *namespace, *name;
};

static struct write *add_write(struct planner *planner, enum write_verb verb, enum write_kind kind, const char *reason)
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

static void add_status(struct planner *planner, struct claim *claim, bool mirrored, const char *reason,
                       const char *message)
{
    planner->plan->statuses[planner->plan->status_count++] = (struct plan_status){
        .claim = claim, .mirrored = mirrored, .reason = reason, .message = message != NULL ? message : ""};
}

/* ---- comparing ---- */

static bool service_ports_equal(const struct service *a, const struct service *b)
{
    if (a->port_count != b->port_count)
        return false;
    for (uint32_t i = 0; i < a->port_count; i++) {
        const struct service_port *x = &a->ports[i], *y = &b->ports[i];
        if (x->port != y->port || x->protocol != y->protocol || strcmp(x->name, y->name) != 0 ||
            strcmp(x->target_port, y->target_port) != 0 || strcmp(x->app_protocol, y->app_protocol) != 0)
            return false;
    }
    return true;
}

/* What selects pods, or leads traffic past the slices, has no place on a mirror. */
static bool is_diverted(const struct service *there)
{
    return there->type != SERVICE_CLUSTER_IP || there->has_selector || there->external_ip_count > 0;
}

static bool service_right(const struct service *there, const struct service *wanted)
{
    return !is_diverted(there) && kv_equal(&there->meta.labels, &wanted->meta.labels) &&
           kv_equal(&there->meta.annotations, &wanted->meta.annotations) && service_ports_equal(there, wanted);
}

static bool slice_ports_equal(const struct slice *a, const struct slice *b)
{
    if (a->port_count != b->port_count)
        return false;
    for (uint32_t i = 0; i < a->port_count; i++) {
        const struct slice_port *x = &a->ports[i], *y = &b->ports[i];
        if (x->port != y->port || x->protocol != y->protocol || strcmp(x->name, y->name) != 0 ||
            strcmp(x->app_protocol, y->app_protocol) != 0)
            return false;
    }
    return true;
}

static bool endpoints_equal(const struct slice *a, const struct slice *b)
{
    if (a->endpoint_count != b->endpoint_count)
        return false;
    for (uint32_t i = 0; i < a->endpoint_count; i++)
        if (a->endpoints[i].ready != b->endpoints[i].ready ||
            strcmp(a->endpoints[i].address, b->endpoints[i].address) != 0 ||
            strcmp(a->endpoints[i].hostname, b->endpoints[i].hostname) != 0)
            return false;
    return true;
}

static bool slice_right(const struct slice *there, const struct slice *wanted)
{
    return kv_equal(&there->meta.labels, &wanted->meta.labels) &&
           kv_equal(&there->meta.annotations, &wanted->meta.annotations) &&
           strcmp(there->meta.owner_uid, wanted->meta.owner_uid) == 0 && there->address_type == wanted->address_type &&
           slice_ports_equal(there, wanted) && endpoints_equal(there, wanted);
}

/* ---- whose is it ---- */

static bool slice_is_ours(const struct slice *slice)
{
    char key[OBJECT_KEY_BYTES];
    return world_slice_is_ours(slice, key);
}

/* ---- nothing claims the name ---- */

/* Kinds of mirrors that are not planned here: Linkerd's own agent may still look after them. */
static bool is_of_another_kind(const struct service *service)
{
    return kv_get(&service->meta.labels, L5D_REMOTE_DISCOVERY) != NULL ||
           kv_get(&service->meta.labels, L5D_HEADLESS_MIRROR) != NULL;
}

/* NULL: it must stay. */
static const char *orphan_reason(const struct planner *planner)
{
    const struct world *world = planner->world;
    const struct service *service = planner->mirror->service;
    const char *cluster = kv_get(&service->meta.labels, L5D_CLUSTER_NAME);
    bool made_by_us = service->meta.made_by_us, listed = false;
    if (cluster == NULL || world->knowledge[WORLD_SOURCE_SERVICES] != WORLD_LISTED)
        return NULL;
    if (is_of_another_kind(service) && !made_by_us)
        return NULL;
    if (is_made_of_unreadable(world, planner->mirror, cluster))
        return NULL;
    if (cluster_is_linked(world, cluster, &listed))
        return listed ? "no longer exported" : NULL;
    if (map_get(world->unlinked, cluster) != NULL)
        return "its link was removed";
    return world->links_complete && made_by_us ? "no link accounts for it" : NULL;
}

static void delete_service(struct planner *planner, const char *reason)
{
    add_write(planner, WRITE_DELETE, WRITE_SERVICE, reason)->old_service = planner->mirror->service;
}

static void delete_slice(struct planner *planner, const struct slice *slice, const char *reason)
{
    struct write *write = add_write(planner, WRITE_DELETE, WRITE_SLICE, reason);
    write->name = slice->meta.name;
    write->old_slice = slice;
}

/* Slices go with their Service by the garbage collector. One without an owner would stay for ever, and so would one that was
 * labelled with another Service's name by hand, whose owner is alive. */
static bool is_stray(const struct planner *planner, const struct slice *slice)
{
    size_t length = strlen(planner->name);
    bool named_after = strncmp(slice->meta.name, planner->name, length) == 0 && slice->meta.name[length] == '.';
    return slice->meta.owner_uid[0] == '\0' || !named_after;
}

static void plan_orphan(struct planner *planner)
{
    const struct mirror *mirror = planner->mirror;
    if (mirror->service != NULL) {
        const char *reason = mirror->service->meta.deleting ? NULL : orphan_reason(planner);
        if (reason != NULL)
            delete_service(planner, reason);
        return;
    }
    if (planner->world->knowledge[WORLD_SOURCE_SERVICES] != WORLD_LISTED)
        return;
    for (const struct source_slice *entry = mirror->slices; entry != NULL; entry = entry->next)
        if (slice_is_ours(entry->slice) && is_stray(planner, entry->slice) && !entry->slice->meta.deleting)
            delete_slice(planner, entry->slice, "its Service is gone");
}

/* ---- what stands in the way of a claim ---- */

static const char *invalid_reason(const struct planner *planner, const struct claim *claim)
{
    if (!text_is_dns1035_label(planner->name))
        return strlen(planner->name) > 63
                   ? arena_printf(planner->arena,
                                  "the mirror's name %s would have %zu characters, and a Service name has at most 63: "
                                  "shorten the service's or the cluster's name",
                                  planner->name, strlen(planner->name))
                   : arena_printf(planner->arena, "the mirror's name %s is not a valid Service name", planner->name);
    if (claim->kind == CLAIM_GATEWAY)
        return NULL;
    const struct gateway_spec *gateway = &claim->gateway->spec;
    if (claim->link->declaration->kind == LINK_SECRET &&
        !(text_is_label_value(gateway->name) && text_is_label_value(gateway->namespace)))
        return "annotations " L5D_GATEWAY_NAME " and " L5D_GATEWAY_NS " must name a Service and its namespace";
    const struct service *service = claim->service->service;
    if (kv_get(&service->meta.labels, L5D_MIRRORED_SERVICE) != NULL)
        return "the exported service is itself a mirror: export the original from its own cluster";
    if (service->type == SERVICE_EXTERNAL_NAME)
        return "a service of type ExternalName cannot be mirrored";
    if (service->port_count == 0)
        return "object spec has no exposed ports";
    return NULL;
}

/* @return whether the namespace is there; else plans its creation or gives the status. */
static bool plan_namespace(struct planner *planner, struct claim *claim)
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
        add_status(planner, claim, false, "MissingNamespace", "Namespace is being deleted");
        return false;
    }
    if (!create || claim->kind == CLAIM_GATEWAY) {
        add_status(planner, claim, false, "MissingNamespace", "Namespace does not exist");
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
    struct write *write = add_write(planner, WRITE_CREATE, WRITE_NAMESPACE, "an exported service lives there");
    write->name = planner->namespace;
    write->namespace = "";
    write->namespace_object = wanted;
    return false;
}

/* ---- the winner's objects ---- */

static const struct slice *find_slice(const struct mirror *mirror, const char *name)
{
    for (const struct source_slice *entry = mirror->slices; entry != NULL; entry = entry->next)
        if (strcmp(entry->slice->meta.name, name) == 0)
            return entry->slice;
    return NULL;
}

static void plan_slice(struct planner *planner, const struct slice *wanted)
{
    const struct slice *there = find_slice(planner->mirror, wanted->meta.name);
    if (there != NULL && (there->meta.deleting || !slice_is_ours(there) || slice_right(there, wanted)))
        return;
    if (there != NULL && there->address_type != wanted->address_type) {
        delete_slice(planner, there, "addressType cannot be changed in place");
        return;
    }
    struct write *write = add_write(planner, there == NULL ? WRITE_CREATE : WRITE_UPDATE, WRITE_SLICE,
                                    there == NULL ? "the mirror has no slice" : "endpoints or metadata differ");
    struct slice *copy = ARENA_NEW(planner->arena, struct slice);
    if (copy == NULL)
        return;
    *copy = *wanted;
    if (there != NULL) {
        copy->meta.uid = there->meta.uid;
        copy->meta.resource_version = there->meta.resource_version;
    }
    write->name = wanted->meta.name;
    write->slice = copy;
    write->old_slice = there;
}

static bool is_wanted(const struct desired *desired, const char *slice_name)
{
    for (uint32_t i = 0; i < desired->slice_count; i++)
        if (strcmp(desired->slices[i].meta.name, slice_name) == 0)
            return true;
    return false;
}

static void plan_slices(struct planner *planner, const struct desired *desired)
{
    if (desired->endpoints == ENDPOINTS_KEEP)
        return;
    for (uint32_t i = 0; i < desired->slice_count; i++)
        plan_slice(planner, &desired->slices[i]);
    for (const struct source_slice *entry = planner->mirror->slices; entry != NULL; entry = entry->next)
        if (slice_is_ours(entry->slice) && !is_wanted(desired, entry->slice->meta.name) && !entry->slice->meta.deleting)
            delete_slice(planner, entry->slice, "no gateway address of this family");
}

/* Somebody else's slice with the name of one of ours; NULL when there is none. */
static const struct slice *foreign_slice(const struct planner *planner, const struct desired *desired)
{
    for (uint32_t i = 0; i < desired->slice_count; i++) {
        const struct slice *there = find_slice(planner->mirror, desired->slices[i].meta.name);
        if (there != NULL && !slice_is_ours(there))
            return there;
    }
    return NULL;
}

static void plan_service(struct planner *planner, const struct desired *desired)
{
    const struct service *there = planner->mirror->service;
    if (there != NULL && service_right(there, &desired->service))
        return;
    struct service *wanted = ARENA_NEW(planner->arena, struct service);
    if (wanted == NULL)
        return;
    *wanted = desired->service;
    struct write *write =
        add_write(planner, there == NULL ? WRITE_CREATE : WRITE_UPDATE, WRITE_SERVICE,
                  there == NULL ? "exported and not mirrored yet" : "labels, annotations or ports differ");
    write->service = wanted;
    write->old_service = there;
}

static void plan_winner(struct planner *planner, struct claim *claim)
{
    struct mirror *mirror = planner->mirror;
    struct desired desired;
    desired_build(planner->arena, mirror, claim, &desired);
    if (mirror->service != NULL && mirror->service->meta.deleting)
        return;
    if (mirror->service != NULL && mirror->service->headless != desired.service.headless) {
        delete_service(planner, "spec.clusterIP cannot be changed in place");
        return;
    }
    if (mirror->service == NULL) {
        plan_service(planner, &desired);
        return; /* the slices need its uid */
    }
    /* Readiness first: a flip must not wait for metadata. */
    plan_slices(planner, &desired);
    plan_service(planner, &desired);
    if (planner->plan->write_count > 0)
        return;
    const struct slice *foreign = foreign_slice(planner, &desired);
    if (foreign != NULL)
        add_status(planner, claim, false, "NameCollision",
                   arena_printf(planner->arena,
                                "EndpointSlice %s/%s exists and is not svcmirror's: rename or remove it",
                                planner->namespace, foreign->meta.name));
    else if (desired.pending)
        add_status(planner, claim, false, "Pending", desired.remark);
    else
        add_status(planner, claim, true, "Mirrored", desired.remark);
}

/* While the target is being listed, half of the claims are known, and the best of them may not be the winner. Only a Link's own
 * gateway is certain: it stands in the declaration. */
static bool claims_are_known(const struct claim *claim)
{
    const struct world_link *link = claim->link;
    return link->knowledge[WORLD_TARGET_SERVICES] == WORLD_LISTED ||
           (claim->kind == CLAIM_GATEWAY && link->declaration->kind == LINK_RESOURCE);
}

/* Of a mirror that is this very claim's already, the readiness is kept right meanwhile. A gateway that has not been read yet
 * takes nothing away: the Service tells in an annotation which one it was made for. */
static void plan_readiness(struct planner *planner, const struct claim *claim)
{
    const struct mirror *mirror = planner->mirror;
    struct desired desired;
    if (mirror->service == NULL || mirror->service->meta.deleting)
        return;
    desired_build(planner->arena, mirror, claim, &desired);
    if (service_right(mirror->service, &desired.service))
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

static enum ownership judge_ownership(const struct planner *planner, const char **ret_cluster)
{
    const struct mirror *mirror = planner->mirror;
    bool listed;
    if (mirror->foreign)
        return OWNERSHIP_FOREIGN;
    if (mirror->service == NULL)
        return OWNERSHIP_OURS;
    const char *cluster = kv_get(&mirror->service->meta.labels, L5D_CLUSTER_NAME);
    *ret_cluster = cluster;
    if (cluster == NULL) /* somebody took our labels off it */
        return mirror->service->meta.made_by_us ? OWNERSHIP_OURS : OWNERSHIP_FOREIGN;
    /* Of the winner, of one that must now give way to it, or left behind by one that claims it no longer. */
    if (is_of_a_claim(mirror, cluster) || orphan_reason(planner) != NULL)
        return OWNERSHIP_OURS;
    return cluster_is_linked(planner->world, cluster, &listed) || !planner->world->links_complete ? OWNERSHIP_UNCERTAIN
                                                                                                  : OWNERSHIP_FOREIGN;
}

/* @return whether the winner may have the name; else gives the status. */
static bool may_have(struct planner *planner, struct claim *winner)
{
    const char *key = planner->mirror->key, *cluster = "";
    switch (judge_ownership(planner, &cluster)) {
    case OWNERSHIP_OURS:
        return true;
    case OWNERSHIP_UNCERTAIN:
        add_status(planner, winner, false, "Pending",
                   arena_printf(planner->arena,
                                "Service %s is a mirror of cluster %s, of which too little is known yet", key,
                                cluster));
        return false;
    case OWNERSHIP_FOREIGN:
        break;
    }
    planner->plan->collision = true;
    add_status(planner, winner, false, "NameCollision",
               arena_printf(planner->arena, "Service %s exists and is not a mirror of cluster %s: rename or remove it",
                            key, winner->link->declaration->cluster_name));
    return false;
}

static void plan_claims(struct planner *planner)
{
    struct mirror *mirror = planner->mirror;
    struct claim *winner = NULL;
    for (struct claim *claim = mirror->claims; claim != NULL; claim = claim->next) {
        const char *invalid = invalid_reason(planner, claim);
        if (invalid != NULL) {
            add_status(planner, claim, false, "InvalidService", invalid);
        } else if (winner == NULL) {
            winner = claim;
        } else {
            add_status(planner, claim, false, "NameCollision",
                       arena_printf(planner->arena, "Service %s mirrors cluster %s, whose link %s is older",
                                    mirror->key, winner->link->declaration->cluster_name,
                                    winner->link->declaration->name));
        }
    }
    if (winner == NULL) {
        plan_orphan(planner);
        return;
    }
    if (!may_have(planner, winner))
        return;
    if (!claims_are_known(winner))
        plan_readiness(planner, winner);
    else if (plan_namespace(planner, winner))
        plan_winner(planner, winner);
}

/* Before the source's mirrors are listed nobody knows whether a mirror is there. */
static bool source_is_known(const struct world *world)
{
    return world->knowledge[WORLD_SOURCE_SERVICES] == WORLD_LISTED &&
           world->knowledge[WORLD_SOURCE_SLICES] != WORLD_UNKNOWN &&
           world->knowledge[WORLD_SOURCE_NAMESPACES] != WORLD_UNKNOWN;
}

enum err_code plan_mirror(const struct world *world, struct mirror *mirror, struct arena *arena, struct plan *ret_plan)
{
    char namespace[OBJECT_KEY_BYTES];
    const char *name = object_key_split(mirror->key, namespace);
    uint32_t claims = 0;
    for (const struct claim *claim = mirror->claims; claim != NULL; claim = claim->next)
        claims++;
    *ret_plan = (struct plan){.statuses = arena_array(arena, claims, sizeof(struct plan_status))};
    struct planner planner = {world, mirror, arena, ret_plan, arena_strdup(arena, namespace), name};
    if (arena_failed(arena))
        return ERR_NOMEM;
    if (!source_is_known(world))
        return ERR_OK;
    if (mirror->claims == NULL)
        plan_orphan(&planner);
    else
        plan_claims(&planner);
    return arena_failed(arena) ? ERR_NOMEM : ERR_OK;
}

/* ---- telling writes apart ---- */

static const uint64_t FNV_SEED = 14695981039346656037ULL;

static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        hash = (hash ^ at[i]) * 1099511628211ULL; /* FNV-1a */
    return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text) { return hash_bytes(hash, text, strlen(text) + 1); }

static uint64_t hash_number(uint64_t hash, uint64_t number) { return hash_bytes(hash, &number, sizeof(number)); }

static uint64_t hash_meta(uint64_t hash, const struct object_meta *meta)
{
    const struct kv_list *const lists[] = {&meta->labels, &meta->annotations};
    for (size_t l = 0; l < 2; l++) {
        for (size_t i = 0; i < lists[l]->count; i++)
            hash = hash_text(hash_text(hash, lists[l]->items[i].key), lists[l]->items[i].value);
        hash = hash_number(hash, lists[l]->count);
    }
    return hash_text(hash, meta->owner_uid);
}

static uint64_t hash_service(uint64_t hash, const struct service *service)
{
    hash = hash_meta(hash, &service->meta);
    hash = hash_number(hash, is_diverted(service));
    for (uint32_t i = 0; i < service->port_count; i++) {
        const struct service_port *port = &service->ports[i];
        hash = hash_number(hash_text(hash, port->name), (uint64_t)port->port << 2 | port->protocol);
        hash = hash_text(hash_text(hash, port->target_port), port->app_protocol);
    }
    return hash_number(hash, service->port_count);
}

static uint64_t hash_slice(uint64_t hash, const struct slice *slice)
{
    hash = hash_meta(hash, &slice->meta);
    for (uint32_t i = 0; i < slice->port_count; i++)
        hash = hash_number(hash_text(hash, slice->ports[i].name), slice->ports[i].port);
    for (uint32_t i = 0; i < slice->endpoint_count; i++)
        hash = hash_number(hash_text(hash, slice->endpoints[i].address), slice->endpoints[i].ready);
    return hash_number(hash, slice->endpoint_count);
}

uint32_t write_object(const struct write *write)
{
    return (uint32_t)hash_number(hash_text(FNV_SEED, write->name), write->kind);
}

uint64_t write_fingerprint(const struct write *write)
{
    uint64_t hash = FNV_SEED;
    if (write->kind == WRITE_SERVICE)
        hash = hash_service(hash_service(hash, write->old_service), write->service);
    else if (write->kind == WRITE_SLICE)
        hash = hash_slice(hash_slice(hash, write->old_slice), write->slice);
    return hash != 0 ? hash : 1;
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
        [WRITE_NAMESPACE] = "Namespace", [WRITE_SERVICE] = "Service", [WRITE_SLICE] = "EndpointSlice"};
    return names[kind];
}
