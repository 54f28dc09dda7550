/* The insides of the world, shared by world*.c only. Who owns what: world -> links, mirrors, source maps; link -> target maps, gateways; a
 * claim belongs to its exported service or gateway and is listed in its mirror. */
#pragma once

#include "base/map.h"
#include "mirror/world.h"

enum { SEEN_VERSIONS = 4, SEEN_BYTES = 24 };

struct source_slice {
    struct slice *slice;
    struct mirror *mirror;
    struct source_slice *next; /* in the mirror */
    uint32_t generation;
};

/* The last update of one object, to notice somebody who keeps undoing it. */
struct mirror_rewrite {
    uint64_t fingerprint; /* of the update; 0: none */
    uint64_t written_ms;
    uint32_t object;  /* tells a mirror's objects apart */
    uint32_t repeats; /* how often in a row the very same update was wanted again */
};
enum { REWRITES = 3, MAX_REWRITES = 64 }; /* a Service, two slices; more where a mirror has more slices */

struct mirror {
    struct world *world;
    const char *key;      /* the map's copy */
    struct claim *claims; /* gateway first, then by age of the link */
    struct service *service;
    struct source_slice *slices;
    struct mirror *queue_next, *queue_previous;
    struct mirror_lane *lane;        /* that it is queued in; NULL: in none */
    struct mirror_rewrite *rewrites; /* REWRITES of them, NULL before the first update */
    char (*seen)[SEEN_BYTES];        /* resourceVersions seen while held, a ring; NULL when not held */
    void *context;
    uint32_t service_generation;
    uint8_t seen_count, rewrite_count;
    bool is_import; /* its object is a ServiceImport */
    bool foreign, held, unaccounted, unsettled;
    bool marked;         /* wants planning */
    uint8_t rank;        /* how soon: an enum rank; RANK_NORMAL when not marked */
    uint8_t popped_rank; /* what it was when it was popped last */
};

enum rank {
    RANK_NORMAL,
    RANK_FRESH,  /* urgent, but not there yet: goes before its own link's others only */
    RANK_URGENT, /* before everything else */
};

struct mirror_queue {
    struct mirror *first, *last;
};

/* The marked mirrors of one link, or of none, in the order in which they were marked. The lanes take turns, so that a link on which very much
 * happens holds up its own mirrors only. */
struct mirror_lane {
    const struct world_link *link; /* NULL: no link's */
    struct mirror_queue fresh, others;
    struct mirror_lane *next, *previous; /* among those that are not empty */
    uint8_t returned;                    /* turns since one was kept for them: world_return_turn() */
};

enum { LANE_NORMAL, LANE_URGENT, LANES };

struct mirror_lanes {
    struct mirror_lane *first, *last;
};

struct source_namespace {
    uint32_t generation;
    bool terminating;
};

struct world {
    struct world_config config;
    struct map *links;                  /* id -> struct world_link */
    struct map *mirrors;                /* "ns/name" -> struct mirror */
    struct map *slices;                 /* "ns/slice" -> struct source_slice */
    struct map *namespaces;             /* name -> struct source_namespace */
    struct map *cidrs;                  /* name -> struct source_cidr */
    struct map *unlinked;               /* cluster names whose link was removed in this run -> the world */
    struct mirror_lanes waiting[LANES]; /* the first is next */
    struct mirror_lane lanes[LANES];    /* of mirrors that no link claims */
    size_t queued, unaccounted;
    size_t services, imports; /* mirrors whose object is there */
    size_t wanted;            /* listings, of all links */
    enum world_knowledge knowledge[WORLD_COLLECTIONS];
    uint32_t generation[WORLD_COLLECTIONS];
    uint64_t cidrs_version;
    const char *import_version; /* of ServiceImports, NULL when the source serves none */
    bool import_status;         /* may be written */
    bool wants_imports;
    bool links_complete;
    world_seen_fn on_seen;
    void *seen_context;
};

struct claim {
    enum claim_kind kind;
    bool host_ready; /* CLAIM_HOST: its endpoint in the target is */
    bool counted;    /* CLAIM_SERVICE: among its gateway's services */
    struct world_link *link;
    struct target_service *service; /* NULL for CLAIM_GATEWAY */
    struct world_gateway *gateway;  /* NULL for CLAIM_FEDERATED */
    struct mirror *mirror;
    const char *key;         /* of the service or gateway within the link; their map's copy */
    struct claim *next;      /* in the mirror */
    struct claim *next_host; /* CLAIM_HOST: in the service */
    char *hostname;          /* CLAIM_HOST */
    int64_t exported_us;     /* CLAIM_IMPORT: creationTimestamp of the ServiceExport */
    struct claim_status status;
    char *message; /* behind status.message, NULL when that is constant */
};

/** The watches that may show a target's Services. */
enum target_view { VIEW_SERVICES, VIEW_MEMBERS, TARGET_VIEWS };

/** Whether and when they showed an object: by view, the collection's generation then; 0: it is not to be seen there. */
struct sightings {
    uint32_t seen[TARGET_VIEWS];
};

struct target_service {
    struct service *service;
    struct claim *claim;     /* CLAIM_SERVICE; NULL when it has no mirror of its own */
    struct claim *federated; /* CLAIM_FEDERATED; NULL when it is no member */
    struct claim *hosts;     /* CLAIM_HOST, in order of hostname */
    struct claim *import;    /* CLAIM_IMPORT; NULL when no ServiceExport counts */
    struct sightings sightings;
    uint8_t teller; /* enum target_view: which one `service` is from */
    bool behind;    /* what the other shows may be an older version, which is not kept */
};

/** A ServiceExport. */
struct target_export {
    int64_t created_us;
    uint32_t generation;
};

/** An endpoint with a name of its own, as those of a StatefulSet. */
struct target_host {
    const char *hostname;
    bool ready;
};

struct target_slice {
    const char *service_key; /* as the map of endpoints has it; of one that is not counted there, somebody else's */
    struct slice *whole;     /* its endpoints and ports, where mirrors have them: target_keep_pods(); NULL elsewhere */
    struct target_slice *next; /* of the same service */
    struct target_host *hosts; /* one block with their names */
    uint32_t host_count, ready, generation;
};

/** What the target's slices say of one service. */
struct endpoint_summary {
    struct target_slice *first;
    uint32_t slices, ready;
};

struct world_gateway {
    struct world_link *link;
    const char *key;    /* the map's copy: "namespace/name", or "" for a Link's gateway */
    struct arena arena; /* behind spec */
    struct gateway_spec spec;
    struct world_address *addresses;
    uint32_t address_count;
    char refused[TEXT_IP_BYTES]; /* the first address that cannot be an endpoint, "" when none */
    bool resolved;
    uint32_t references; /* claims that name it */
    uint32_t services;   /* of these, exported services that are to be mirrored through it */
    struct claim *claim; /* its own mirror; NULL when it has none */
    void *context;
};

/** The Service that a Link names as its gateway, as the target has it. */
struct named_gateway {
    struct service *service; /* NULL: not there, or not known */
    uint32_t generation;
    bool unreadable; /* it is there, and could not be decoded */
};

/** How many claims of a link have a status with this reason. */
struct tally {
    const char *reason; /* NULL: behind the last one */
    uint32_t count;
};

enum { TALLIES = 16 }; /* more than there are reasons: plan_add_status(), and the "Error" of writes */

struct world_link {
    struct world *world;
    const char *id; /* the map's copy */
    struct link *declaration;
    struct map *services;  /* "ns/name" -> struct target_service: those that is_wanted() of world_target.c */
    struct map *slices;    /* "ns/slice" -> struct target_slice */
    struct map *endpoints; /* "ns/service" -> struct endpoint_summary */
    struct map *gateways;  /* key -> struct world_gateway */
    struct map *exports;   /* "ns/name" -> struct target_export */
    struct named_gateway named;
    struct map *unreadable;         /* "ns/name" of a Service that could not be decoded -> struct sightings */
    bool stale[WORLD_COLLECTIONS];  /* listed once, and not readable any more */
    bool members_apart;             /* world_watch_members_apart() */
    bool wanted[WORLD_COLLECTIONS]; /* world_wants_listing(); set by want_listing() alone */
    bool slices_awaited;            /* slices are wanted so, until a listing that began since is complete */
    uint64_t claims_version;        /* raised whenever a claim of a service comes or goes */
    struct tally tallies[TALLIES];  /* of services' own claims and memberships */
    struct mirror_lane lanes[LANES];
    enum world_knowledge knowledge[WORLD_COLLECTIONS];
    uint32_t generation[WORLD_COLLECTIONS];
    size_t kept_bytes; /* about: world_budget.c */
    size_t left_out[WORLD_COLLECTIONS], left_out_before[WORLD_COLLECTIONS];
};

/* world_budget.c: what entries count for, and whether one more fits. Whoever adds or takes one changes kept_bytes. */
size_t budget_of_service(const struct service *service);
size_t budget_of_slice(const struct target_slice *slice);
size_t budget_of_claim(void);
size_t budget_of_gateway(void);
size_t budget_of_unreadable(void);
bool budget_allows(const struct world_link *link, size_t more_bytes, size_t less_bytes);
bool budget_allows_gateway(const struct world_link *link);
/** Whether the target's services are listed, with none left out: only then does absence mean anything. */
bool budget_is_complete(const struct world_link *link);
void budget_note_listing(struct world_link *link, enum world_collection collection);    /* one begins */
void budget_note_listed(struct world_link *link, enum world_collection collection);     /* it is complete */
void budget_forget_left_out(struct world_link *link, enum world_collection collection); /* it is watched no longer */
/** @return ERR_LIMIT. */
enum err_code budget_leave_out(struct world_link *link, enum world_collection collection) MUST_USE;

/** Ends the keys of ServiceImports: no Service's name has an @. */
#define IMPORT_KEY_SUFFIX "@import"

/* world_mirror.c */
struct mirror *mirror_obtain(struct world *world, const char *key); /* NULL: out of memory */
void mirror_collect(struct mirror *mirror);                         /* frees it when nothing is known of it */
void mirror_mark_fresh(struct mirror *mirror);                      /* for what comes with new mirrors: as they are */
void lanes_clear(struct world_link *link);                          /* the link goes, and claims nothing any more */
void mirror_note_version(struct mirror *mirror, const char *version);
void mark_where(struct world *world, const char *namespace); /* all mirrors of a namespace; NULL: all */

/** Linkerd's charts bring a Service for each link to probe its gateway by: it belongs to Linkerd's own agent. Not so the gateway mirrors of 2.8, which
 *  tell of which gateway they are. */
bool is_of_a_chart(const struct service *service);
/** Whether a mirror is a federated service. Takes NULL. */
bool is_federated(const struct service *service);
/** Whether any link names that cluster, and whether the services of all such links are listed, with none left out. */
bool cluster_is_linked(const struct world *world, const char *cluster_name, bool *ret_listed);
/** What a mirror says of itself: what it was made of. */
struct origin {
    char hostname[OBJECT_KEY_BYTES]; /* of a headless service's hostname; "" for any other mirror */
    char key[OBJECT_KEY_BYTES];      /* "namespace/name" of the exported service */
};
/** @return whether it says so. */
bool mirror_origin(const struct service *service, struct origin *ret_origin);
/** Whether the exported service that the mirror was made of is there and cannot be read. @param cluster_name  NULL: in any cluster. */
bool is_made_of_unreadable(const struct world *world, const struct mirror *mirror, const char *cluster_name);
/** A fact of a target that was not recorded for want of memory makes its collection unknown until it is listed again: nothing
 *  may be concluded from absence. (Of the source nothing is: there a write meets the API server's preconditions.)
 *  @return `code`. */
enum err_code note_result(struct world_link *link, enum world_collection collection, enum err_code code) MUST_USE;
/** Notes whether the collection is to be listed again. */
void want_listing(struct world_link *link, enum world_collection collection, bool wanted);

/** The key of a slice; of Endpoints another, for both may have one name. */
void slice_key_format(const struct slice *slice, char key[OBJECT_KEY_BYTES]);

/* world_cidr.c */
void cidrs_sweep(struct world *world);

/** Whether a mirror's slice holds the target's own endpoints, and not what leads through a gateway. */
bool slice_is_of_pods(const struct slice *slice);

/* world_source.c, world_target.c: what was not put since world_begin() is gone */
void source_sweep(struct world *world, enum world_collection collection);
void target_sweep(struct world_link *link, enum world_collection collection);

/* world_claim.c */
/** Claims the mirror of that key for the service or gateway `key` of the link. NULL: out of memory. */
struct claim *claim_new(enum claim_kind kind, struct world_link *link, const char *key, const char *mirror_key);
void claims_sort(struct mirror *mirror); /* the declaration of a link changed: others may have the better right now */
void claim_free(struct claim *claim);    /* takes NULL; marks and collects its mirror */
void claim_name_gateway(struct claim *claim, struct world_gateway *gateway); /* NULL allowed; counts references */

/** Counts the claim of a service among its gateway's, or not, as its way of being mirrored is now. */
void claim_count(struct claim *claim);
/** Marks the mirrors of the hostnames of the claim's service, which are not to be without its own. `claim` is a CLAIM_SERVICE. */
void claim_mark_hosts(const struct claim *claim);

/* world_gateway.c */
enum err_code gateway_obtain(struct world_link *link, const char *key, struct world_gateway **ret_gateway) MUST_USE;
/** Reads the declaration again and tells everybody concerned. That a Service declares the gateway no longer is noted
 *  even without memory. */
enum err_code gateway_refresh(struct world_gateway *gateway) MUST_USE;
void gateway_collect(struct world_gateway *gateway); /* frees it when neither declared nor named */
void gateway_remove(struct world_gateway *gateway);
void gateway_mark(struct world_gateway *gateway, bool urgent);
/** The Service that a Link names was not named again since world_begin(): it is gone. */
void gateway_sweep(struct world_link *link);
/** Whether the link names a gateway of which nobody knows yet whether it is there. */
bool gateway_is_unread(const struct world_link *link);

/** The key of the gateway's own mirror. */
void gateway_mirror_key(const struct world_gateway *gateway, char ret_key[OBJECT_KEY_BYTES]);

/* world_recalled.c */
/** @return the gateway's own mirror while that is all that is known of it, for gateway_recalled(); else NULL. */
const struct service *gateway_teller(const struct world_gateway *gateway);
/** For a link that is new, and for a Service that may be the mirror of a gateway. */
enum err_code gateways_recall(struct world_link *link) MUST_USE;
enum err_code gateway_mirror_changed(struct world *world, const struct service *service) MUST_USE;
/** The target was listed: what is there counts from now on. */
void gateways_sweep_recalled(struct world_link *link);

/* world_target.c */
/** Whether the target's Services are listed, by all watches that show them. */
bool target_is_listed(const struct world_link *link);
void target_forget(struct world_link *link);
enum err_code target_reconsider(struct world_link *link) MUST_USE; /* the declaration changed */
/** Whether what of it leads to mirrors of its own, or makes it a member, is there and cannot be read. */
bool target_is_unreadable(const struct world_link *link, const char *service_key, enum target_view view);
/** The target's Service of that name may have become exported, or exported no longer. */
enum err_code target_exports_changed(struct world_link *link, const char *key) MUST_USE;

/* world_target_hosts.c */
/** Makes the claims of an entry's hostnames what the target's slices say. */
enum err_code target_sync_hosts(struct world_link *link, const char *key, struct target_service *entry) MUST_USE;
void target_drop_hosts(struct target_service *entry);
/** Whether a headless service may have a headless mirror. */
bool target_may_be_headless(const struct world_link *link, const struct target_service *entry);
/** Whether the entry's hostnames get mirrors of their own, if it has any. */
bool target_is_headless(const struct world_link *link, const struct target_service *entry);
/** Whether the mirror's Service was made of the claim's exported service. */
bool target_made(const struct claim *claim, const struct service *service);
/** Whether the mirror's Service was made of a hostname of a headless service that is exported still: where the target's endpoints may not be read,
 *  that is how its hostnames are known. */
bool target_has_host(const struct world_link *link, const struct service *service);
/** A mirror's Service came or changed (`there`), or went; in the last case its mirror may be collected. */
enum err_code target_mirror_changed(struct world *world, const struct service *service, bool there) MUST_USE;
/** How much is known of the target's endpoints changed: so may have the hostnames. Needs no memory when they are listed. */
enum err_code target_rehost(struct world_link *link) MUST_USE;

/* world_target_names.c */
/** The key of the service's own mirror. */
void target_mirror_key(const struct world_link *link, const struct service *service, char key[OBJECT_KEY_BYTES]);
/** The key of the mirror of one of its hostnames: by the link's template alone. */
void target_host_key(const struct world_link *link, const struct service *service, const char *hostname,
                     char key[OBJECT_KEY_BYTES]);
/** Whether what the mirror was made of is exported still, and has its mirror elsewhere now. */
bool target_moved(const struct world_link *link, const struct mirror *mirror);

/* world_target_exports.c */
/** The ServiceExport of that service, where such count; else NULL. */
const struct target_export *target_export_of(const struct world_link *link, const struct service *service);
/** Whether nothing but a ServiceExport makes an export of the claim's service. */
bool target_is_by_export(const struct claim *claim);
/** Gives the entry its claim of a ServiceImport, or takes it away. `key` is the entry's own. */
enum err_code target_claim_import(struct world_link *link, const char *key, struct target_service *entry) MUST_USE;
/** What was not put since world_begin() is gone. */
void target_sweep_exports(struct world_link *link);
/** Whether all links of the cluster that take ServiceExports have them listed. */
bool cluster_exports_listed(const struct world *world, const char *cluster_name);

/* world_target_slices.c */
void target_drop_slice(struct world_link *link, const char *key);
void target_free_slice(struct target_slice *slice); /* takes NULL */
const struct endpoint_summary *target_endpoints(const struct world_link *link, const char *service_key);
/** Whether the mirror of the entry is to have the target's own endpoints. */
bool target_wants_pods(const struct world_link *link, const struct target_service *entry);
/** Whether these are known, all of them. */
bool target_pods_known(const struct claim *claim);
/** Keeps the service's slices whole from now on, or no longer, as its mirror needs them. Those that were not kept are missing until world_wants_listing()
 *  is answered. */
void target_keep_pods(struct world_link *link, const char *service_key);
/** Whether the target's endpoints cannot be read, or not any more. */
bool target_endpoints_unreadable(const struct world_link *link);
/** Whether its gateway is known, as that of a Link by its own fields is, and what is exported is not: mirrors that nothing claims follow the
 *  gateway. */
bool world_link_is_unlisted(const struct world_link *link);
