/* One planning of one mirror; shared by plan*.c only. */
#pragma once

#include "mirror/desired.h"
#include "mirror/plan.h"
#include "mirror/world_internal.h"

struct planner {
    const struct world *world;
    struct mirror *mirror;
    struct arena *arena;
    struct plan *plan;
    const char *namespace, *name;
};

/** The fields that the verb and kind need beside these are the caller's to fill. Never NULL. */
struct write *plan_add_write(struct planner *planner, enum write_verb verb, enum write_kind kind, const char *reason);
void plan_add_status(struct planner *planner, struct claim *claim, bool mirrored, const char *reason,
                     const char *message);
/** What to tell of a claim whose name the winner has. */
const char *plan_lost_words(const struct planner *planner, const struct claim *claim, const struct claim *winner);
/** @return whether the mirror's namespace is there; else plans its creation or gives the status. */
bool plan_namespace(struct planner *planner, struct claim *claim);
/** Creates or updates the mirror's Service so that it is as desired. */
void plan_service(struct planner *planner, const struct service *desired);
void plan_delete_service(struct planner *planner, const char *reason);

/* plan_slices.c */
bool plan_slice_is_ours(const struct slice *slice);
void plan_delete_slice(struct planner *planner, const struct slice *slice, const char *reason);
/** Deletes all slices of the mirror that are ours. */
void plan_delete_slices(struct planner *planner, const char *reason);
/** Makes, changes and deletes slices of ours so that they are the desired ones. */
void plan_slices(struct planner *planner, const struct desired *desired);
/** Changes those that are there, and makes and deletes none. */
void plan_present_slices(struct planner *planner, const struct desired *desired);
/** Deletes what stands beside our slices, once they stand in for it. */
void plan_leftovers(struct planner *planner);
/** Somebody else's slice with the name of one of ours; NULL when there is none. */
const struct slice *plan_foreign_slice(const struct planner *planner, const struct desired *desired);

/* plan_name.c */
/** What stands in the way of the claim by the mirror's name and namespace; NULL when nothing does. */
const char *plan_invalid_name(const struct planner *planner, const struct claim *claim);

/* plan_unlisted.c */
/** Of a mirror that nothing claims: keeps its readiness right when it is of a Link whose target has not been read yet. */
void plan_unlisted(struct planner *planner);

/* plan_import.c */
/** Plans the ServiceImport that leads to the mirror of the claim's service. */
void plan_import(struct planner *planner, struct claim *claim);
/** Why nothing can lead to the claim's service; NULL when nothing stands in the way, or not for good. */
const char *plan_import_refused(const struct planner *planner, const struct claim *import);
/** The same of a ServiceImport. */
const char *plan_import_lost(const struct planner *planner, const struct claim *import, const struct claim *winner);
/** What ServiceImports there are is not known: tells so. */
void plan_import_unknown(struct planner *planner);

/* plan_invalid.c */
/** Why the claim can have no mirror; NULL when it can. */
const char *plan_invalid_reason(const struct planner *planner, const struct claim *claim);

/* plan_federated.c */
/** Plans the federated service of all members that claim the name. `first` is the first valid one, NULL when there is none. */
void plan_federated(struct planner *planner, struct claim *first);
/** Whether the mirror is a federated service, some of whose members are not known to be members, nor known to be none. */
bool plan_federated_may_have_members(const struct planner *planner);
/** What stands in the way of `first` was told and stands in the way of all members. */
void plan_federated_refused(struct planner *planner, const struct claim *first);
