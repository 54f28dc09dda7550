/* The slices, or Endpoints, of one mirror: which writes make them those that should exist, and which of others' go. */
#include <string.h>

#include "base/mem.h"
#include "mirror/compare.h"
#include "mirror/names.h"
#include "mirror/plan_internal.h"

bool plan_slice_is_ours(const struct slice *slice)
{
    char key[OBJECT_KEY_BYTES];
    return world_slice_is_ours(slice, key);
}

static enum write_kind kind_of(const struct slice *slice)
{
    return slice->is_endpoints ? WRITE_ENDPOINTS : WRITE_SLICE;
}

void plan_delete_slice(struct planner *planner, const struct slice *slice, const char *reason)
{
    struct write *write = plan_add_write(planner, WRITE_DELETE, kind_of(slice), reason);
    write->name = slice->meta.name;
    write->old_slice = slice;
}

static const struct slice *find_slice(const struct mirror *mirror, const struct slice *wanted)
{
    for (const struct source_slice *entry = mirror->slices; entry != NULL; entry = entry->next)
        if (entry->slice->is_endpoints == wanted->is_endpoints &&
            strcmp(entry->slice->meta.name, wanted->meta.name) == 0)
            return entry->slice;
    return NULL;
}

static void plan_slice(struct planner *planner, const struct slice *wanted)
{
    const struct slice *there = find_slice(planner->mirror, wanted);
    if (there != NULL && (there->meta.deleting || !plan_slice_is_ours(there) || compare_slice_right(there, wanted)))
        return;
    if (there != NULL && there->address_type != wanted->address_type) {
        plan_delete_slice(planner, there, "addressType cannot be changed in place");
        return;
    }
    struct write *write = plan_add_write(planner, there == NULL ? WRITE_CREATE : WRITE_UPDATE, kind_of(wanted),
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

static bool is_wanted(const struct desired *desired, const struct slice *slice)
{
    for (uint32_t i = 0; i < desired->slice_count; i++)
        if (desired->slices[i].is_endpoints == slice->is_endpoints &&
            strcmp(desired->slices[i].meta.name, slice->meta.name) == 0)
            return true;
    return false;
}

/* Why a slice of ours goes that is not wanted. */
static const char *why_not(const struct planner *planner, const struct desired *desired, const struct slice *slice)
{
    bool of_pods = slice_is_of_pods(slice);
    if (desired->endpoints == ENDPOINTS_NONE)
        return "it is resolved in the target: no endpoints here";
    if (planner->world->config.write_endpoints && !slice->is_endpoints)
        return "Endpoints are written instead";
    if (desired->is_pods)
        return of_pods ? "the target has no such slice" : "the target's own endpoints take the place of the gateway";
    return of_pods ? "the gateway takes the place of the target's own endpoints" : "no address of this family";
}

/* Whether Kubernetes has made a slice of that family of the mirror's Endpoints that anything is ready in. */
static bool is_made_of_endpoints(const struct mirror *mirror, enum address_type type)
{
    for (const struct source_slice *entry = mirror->slices; entry != NULL; entry = entry->next) {
        const struct slice *slice = entry->slice;
        if (slice->is_endpoints || slice->address_type != type || strcmp(slice->managed_by, K8S_MADE_OF_ENDPOINTS) != 0)
            continue;
        for (uint32_t i = 0; i < slice->endpoint_count; i++)
            if (slice->endpoints[i].ready)
                return true;
    }
    return false;
}

static bool is_ready_in(const struct desired *desired, const char *address)
{
    for (uint32_t i = 0; i < desired->slice_count; i++)
        for (uint32_t j = 0; j < desired->slices[i].endpoint_count; j++)
            if (desired->slices[i].endpoints[j].ready && strcmp(desired->slices[i].endpoints[j].address, address) == 0)
                return true;
    return false;
}

/* Where Endpoints take the place of slices, kube-proxy and others go on reading slices: those that Kubernetes makes of the Endpoints, when it gets
 * round to it. Until then ours stays, while all that is ready in it is right. */
static bool stands_in_still(const struct planner *planner, const struct desired *desired, const struct slice *slice)
{
    bool any = false;
    if (slice->is_endpoints || !planner->world->config.write_endpoints ||
        is_made_of_endpoints(planner->mirror, slice->address_type))
        return false;
    for (uint32_t i = 0; i < slice->endpoint_count; i++) {
        if (slice->endpoints[i].ready && !is_ready_in(desired, slice->endpoints[i].address))
            return false;
        any = any || slice->endpoints[i].ready;
    }
    return any;
}

/* @param reason  NULL: each has its own. */
static void delete_slices(struct planner *planner, const struct desired *desired, const char *reason)
{
    for (const struct source_slice *entry = planner->mirror->slices; entry != NULL; entry = entry->next)
        if (plan_slice_is_ours(entry->slice) && entry->slice->is_endpoints <= planner->world->config.write_endpoints &&
            !is_wanted(desired, entry->slice) && !entry->slice->meta.deleting &&
            !stands_in_still(planner, desired, entry->slice))
            plan_delete_slice(planner, entry->slice, reason != NULL ? reason : why_not(planner, desired, entry->slice));
}

void plan_delete_slices(struct planner *planner, const char *reason)
{
    const struct desired none = {.slice_count = 0};
    delete_slices(planner, &none, reason);
}

void plan_slices(struct planner *planner, const struct desired *desired)
{
    if (desired->endpoints == ENDPOINTS_KEEP)
        return;
    for (uint32_t i = 0; i < desired->slice_count; i++)
        plan_slice(planner, &desired->slices[i]);
    delete_slices(planner, desired, NULL);
}

void plan_present_slices(struct planner *planner, const struct desired *desired)
{
    if (desired->endpoints == ENDPOINTS_KEEP)
        return;
    for (uint32_t i = 0; i < desired->slice_count; i++) {
        const struct slice *wanted = &desired->slices[i], *there = find_slice(planner->mirror, wanted);
        if (there != NULL && there->address_type == wanted->address_type)
            plan_slice(planner, wanted);
    }
}

/* A slice that Kubernetes made by a selector that somebody had put on the mirror stays when the selector goes. */
static bool is_of_a_selector(const struct mirror *mirror, const struct slice *slice)
{
    return strcmp(slice->managed_by, K8S_MADE_BY_SELECTOR) == 0 &&
           strcmp(slice->meta.owner_uid, mirror->service->meta.uid) == 0;
}

/* Endpoints that Linkerd made, or Kubernetes by such a selector, with the mirror's labels. */
static bool are_old_endpoints(const struct planner *planner, const struct slice *slice)
{
    return slice->is_endpoints && !planner->world->config.write_endpoints &&
           kv_get(&slice->meta.labels, L5D_CLUSTER_NAME) != NULL;
}

void plan_leftovers(struct planner *planner)
{
    for (const struct source_slice *entry = planner->mirror->slices; entry != NULL; entry = entry->next) {
        const struct slice *slice = entry->slice;
        if (slice->meta.deleting)
            continue;
        if (is_of_a_selector(planner->mirror, slice))
            plan_delete_slice(planner, slice, "Kubernetes made it by a selector that is gone");
        else if (are_old_endpoints(planner, slice))
            plan_delete_slice(planner, slice, "slices take the place of these Endpoints");
    }
}

const struct slice *plan_foreign_slice(const struct planner *planner, const struct desired *desired)
{
    for (uint32_t i = 0; i < desired->slice_count; i++) {
        const struct slice *there = find_slice(planner->mirror, &desired->slices[i]);
        if (there != NULL && !plan_slice_is_ours(there))
            return there;
    }
    return NULL;
}
