/* ServiceImports of Kubernetes' Multicluster Services API: one for all services of a name that ServiceExports export, leading to the mirror of the
 * one whose ServiceExport is oldest. Why so: docs/decisions/0011-what-a-serviceimport-leads-to.md. */
#include <string.h>

#include "mirror/compare.h"
#include "mirror/desired.h"
#include "mirror/names.h"
#include "mirror/plan_internal.h"

/* The service's own mirror, which it had before anything can lead there. */
static const struct mirror *mirror_of(const struct claim *import) { return import->service->claim->mirror; }

/* Its Service; NULL while it is not there, or is that of something else. */
static const struct service *led_to(const struct claim *import)
{
    const struct service *service = mirror_of(import)->service;
    bool own = service != NULL && !service->meta.deleting && target_made(import->service->claim, service);
    return own ? service : NULL;
}

const char *plan_import_refused(const struct planner *planner, const struct claim *import)
{
    const struct claim_status *status = &import->service->claim->status;
    bool lasting = strcmp(status->reason, "InvalidService") == 0 || strcmp(status->reason, "NameCollision") == 0;
    if (!lasting || status->mirrored || led_to(import) != NULL)
        return NULL;
    return arena_printf(planner->arena, "the service has no mirror that a ServiceImport could lead to: %s",
                        status->message);
}

const char *plan_import_lost(const struct planner *planner, const struct claim *import, const struct claim *winner)
{
    const struct service *ours = import->service->service, *theirs = winner->service->service;
    const char *conflict = ours->headless != theirs->headless       ? "; their types differ"
                           : !service_ports_equal(ours, theirs)     ? "; their ports differ"
                           : ours->affinity_s != theirs->affinity_s ? "; their session affinities differ"
                                                                    : "";
    return arena_printf(planner->arena,
                        "ServiceImport %s/%s leads to cluster %s, whose ServiceExport is older: this one's mirror is "
                        "Service %s%s",
                        planner->namespace, planner->name, winner->link->declaration->cluster_name,
                        mirror_of(import)->key, conflict);
}

/* ---- what it looks like ---- */

/* Others may note things of their own on it, as controllers of the API do. */
static struct kv_list with_others(struct arena *arena, const struct kv_list *there, const char *const (*ours)[2],
                                  size_t count)
{
    struct kv_builder builder;
    kv_builder_init(&builder, arena);
    for (size_t i = 0; there != NULL && i < there->count; i++)
        kv_builder_set(&builder, there->items[i].key, there->items[i].value);
    for (size_t i = 0; i < count; i++)
        kv_builder_set(&builder, ours[i][0], ours[i][1]);
    return kv_builder_finish(&builder);
}

/* The API's ports have no targetPort. */
static void copy_ports(struct arena *arena, const struct service *from, struct service *import)
{
    struct service_port *ports = arena_array(arena, from->port_count, sizeof(*ports));
    for (uint32_t i = 0; ports != NULL && i < from->port_count; i++) {
        ports[i] = from->ports[i];
        ports[i].target_port = "";
        ports[i].target_port_is_name = false;
    }
    import->ports = ports;
    import->port_count = ports != NULL ? from->port_count : 0;
}

static struct service build(const struct planner *planner, const struct claim *claim, const struct service *mirror)
{
    const struct service *there = planner->mirror->service;
    const char *cluster = claim->link->declaration->cluster_name;
    bool headless = claim->service->service->headless;
    struct desired desired;
    desired_build(planner->arena, mirror_of(claim), claim->service->claim, &desired);
    const char *const labels[][2] = {{L5D_MIRRORED_SERVICE, "true"}, {L5D_CLUSTER_NAME, cluster}};
    const char *const annotations[][2] = {{L5D_REMOTE_SVC_FQ_NAME,
                                           kv_get(&desired.service.meta.annotations, L5D_REMOTE_SVC_FQ_NAME)},
                                          {MADE_BY_EXPORT, "true"}};
    struct service import = {
        .meta = {.namespace = planner->namespace,
                 .name = planner->name,
                 .uid = "",
                 .resource_version = "",
                 .owner_uid = "",
                 .labels = with_others(planner->arena, there != NULL ? &there->meta.labels : NULL, labels, 2),
                 .annotations =
                     with_others(planner->arena, there != NULL ? &there->meta.annotations : NULL, annotations, 2)},
        .is_import = true,
        .clusters = cluster,
        .headless = headless,
        .cluster_ip = headless ? "" : mirror->cluster_ip,
        .affinity_s = headless ? 0 : desired.service.affinity_s,
    };
    copy_ports(planner->arena, &desired.service, &import);
    return import;
}

/* ---- the plan ---- */

static void write_import(struct planner *planner, enum write_verb verb, enum write_kind kind, const char *reason,
                         const struct service *wanted)
{
    struct service *copy = ARENA_NEW(planner->arena, struct service);
    if (copy == NULL)
        return;
    *copy = *wanted;
    struct write *write = plan_add_write(planner, verb, kind, reason);
    write->service = copy;
    write->version = planner->world->import_version;
    write->old_service = planner->mirror->service;
}

void plan_import(struct planner *planner, struct claim *claim)
{
    const struct service *there = planner->mirror->service, *mirror = led_to(claim);
    if (there != NULL && there->meta.deleting)
        return;
    bool has_address = mirror != NULL && mirror->cluster_ip[0] != '\0' && !mirror->headless;
    if (mirror == NULL || (!has_address && !claim->service->service->headless)) {
        plan_add_status(planner, claim, false, "Pending",
                        arena_printf(planner->arena, "its service's mirror, Service %s, is not there yet",
                                     mirror_of(claim)->key));
        return;
    }
    if (!plan_namespace(planner, claim)) /* only now, or one would be made for an import that may never be */
        return;
    struct service wanted = build(planner, claim, mirror);
    if (there == NULL)
        write_import(planner, WRITE_CREATE, WRITE_IMPORT, "exported by a ServiceExport and not imported yet", &wanted);
    else if (!compare_import_right(there, &wanted))
        write_import(planner, WRITE_UPDATE, WRITE_IMPORT, "type, address, ports or metadata differ", &wanted);
    else if (planner->world->import_status && strcmp(there->clusters, wanted.clusters) != 0)
        write_import(planner, WRITE_UPDATE, WRITE_IMPORT_STATUS, "status names other clusters", &wanted);
    else
        plan_add_status(planner, claim, true, "Mirrored", "");
}

void plan_import_unknown(struct planner *planner)
{
    const char *why = planner->world->import_version == NULL ? "the source cluster serves no ServiceImports"
                                                             : "the source cluster's ServiceImports are not listed";
    for (struct claim *claim = planner->mirror->claims; claim != NULL; claim = claim->next)
        plan_add_status(planner, claim, false, "Pending", why);
}
