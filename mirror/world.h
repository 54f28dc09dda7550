/* Everything that is known of the source cluster, the links and their targets, and which mirrors it concerns. Events from watches, probes
 * and people only change what is known and mark mirrors dirty; plan.h decides, one mirror at a time, looking at the state as it is then.
 *
 * A *mirror key* is the "namespace/name" of a Service in the source cluster that something claims (an exported service, a gateway) or
 * that carries a mirror's labels. Everything about that name hangs on one struct mirror.
 *
 * Pure: no input or output, no clock. Objects given to the world_*_object functions are borrowed and copied. On ERR_NOMEM the fact was not
 * recorded; the caller reads the collection again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "mirror/gateway.h"
#include "mirror/link.h"
#include "mirror/object.h"

struct world;
struct world_link;    /* a link and what is known of its target */
struct world_gateway; /* a gateway of a link */
struct mirror;        /* one mirror key */
struct claim;         /* one reason for a mirror to exist */

/** The collections that watches keep up to date. */
enum world_collection {
    WORLD_SOURCE_SERVICES,   /* those labelled mirror.linkerd.io/mirrored-service=true */
    WORLD_SOURCE_SLICES,     /* likewise */
    WORLD_SOURCE_NAMESPACES, /* all */
    WORLD_SOURCE_ENDPOINTS,  /* v1 Endpoints labelled like mirrors, where these are written */
    WORLD_SOURCE_CIDRS,      /* ServiceCIDRs, where the cluster serves such */
    WORLD_TARGET_SERVICES,   /* of one link */
    WORLD_TARGET_SLICES,     /* of one link; or its v1 Endpoints, where it serves no slices */
    WORLD_TARGET_GATEWAY,    /* of one link: the one Service that it names as its gateway */
    WORLD_SOURCE_IMPORTS,    /* ServiceImports labelled like mirrors, where they are served */
    WORLD_TARGET_EXPORTS,    /* ServiceExports of one link that takes them: world_takes_exports() */
    WORLD_TARGET_MEMBERS,    /* of one link: world_watch_members_apart() */
    WORLD_COLLECTIONS
};

/** What the view of a collection is worth. */
enum world_knowledge {
    WORLD_UNKNOWN,     /* not listed yet: absence proves nothing */
    WORLD_LISTED,      /* listed completely at least once */
    WORLD_UNAVAILABLE, /* cannot be read (forbidden, not served): decide without it */
};

enum world_change { WORLD_PUT, WORLD_DELETED };

/** Whether a gateway address is alive, as far as is known. Values of health's enum verdict, kept apart so that mirror/ needs no health/. */
enum world_liveness { WORLD_LIVENESS_UNKNOWN, WORLD_ALIVE, WORLD_DEAD };

struct world_config {
    const char *agent_namespace; /* where gateway mirrors live; borrowed for the world's life */
    bool create_namespaces_for_secrets, create_namespaces_for_links;
    const char *
        cluster_name; /* of the source, for exports to named clusters; "" when nobody said; borrowed for the world's life */
    const char *
        allowed_namespaces; /* that services may choose for their mirrors, where the link does not say; borrowed likewise */
    bool write_endpoints;    /* v1 Endpoints instead of EndpointSlices; may change: world_set_write_endpoints() */
    bool remove_unaccounted; /* mirrors that others made for clusters that no link names go too */
    bool mirror_headless;    /* hostnames of headless services get mirrors of their own */
    size_t max_link_bytes;   /* kept of one target; what exceeds it is left out; 0: no bound */
    bool take_exports;       /* ServiceExports mark exports too, of every link that does not say otherwise */
    bool move_endpoints;     /* false: the verdict is shown, mirrors' endpoints stay ready (2.8.0's way) */
    /* A gateway appeared, or its declaration changed, or (removed) is about to go. Called from inside world functions; must not call the world
     * except world_gateway_* getters and world_gateway_context(). May be NULL. */
    void (*on_gateway)(void *context, struct world_gateway *gateway, bool removed);
    void *context;
};

/** @return new, NULL when out of memory. */
struct world *world_new(const struct world_config *config);
void world_free(struct world *world);

/* ---- links ---- */

/** Adds a link, or replaces the declaration of the one with the same id, keeping what is known of its target. The link is copied.
 *  @param[out] ret_link  borrowed, valid until world_remove_link(). */
enum err_code world_put_link(struct world *world, const struct link *declaration, struct world_link **ret_link)
    MUST_USE;
/** Forgets the link; its mirrors are marked and will be deleted (orphan rules of plan.h). Takes NULL. */
void world_remove_link(struct world *world, struct world_link *link);
/** The cluster's link was removed, whether or not this world ever had it: unless another link names the cluster, its mirrors are marked and will be
 *  deleted. */
void world_note_unlinked(struct world *world, const char *cluster_name);
/** How many mirrors of that cluster, and federated services with a member there, are still in the source cluster. Looks at each mirror. */
size_t world_count_left(const struct world *world, const char *cluster_name);
/** Whether every declared link is known and valid: only then may mirrors of clusters that no link names be deleted. Starts false. */
void world_set_links_complete(struct world *world, bool complete);
const struct link *world_link_declaration(const struct world_link *link);
struct world_link *world_first_link(const struct world *world); /* in order of id */
struct world_link *world_next_link(const struct world_link *link);
struct world_link *world_find_link(const struct world *world, const char *id);

/* ---- collections: begin, objects, end; or single objects ---- */

/** A complete listing starts: what is not put until world_end() will be taken for gone. `link` is NULL for source collections. */
void world_begin(struct world *world, struct world_link *link, enum world_collection collection);
/** The listing is complete: knowledge becomes WORLD_LISTED. */
void world_end(struct world *world, struct world_link *link, enum world_collection collection);
void world_set_unavailable(struct world *world, struct world_link *link, enum world_collection collection);
/** What was listed may not be all any more, as after another selection: unknown until the next listing is complete. */
void world_set_unknown(struct world_link *link, enum world_collection collection);
/** Services of a link whose members are watched apart are listed when both collections are. */
enum world_knowledge world_knowledge(const struct world *world, const struct world_link *link,
                                     enum world_collection collection);

enum err_code world_source_service(struct world *world, enum world_change change, const struct service *service)
    MUST_USE;
enum err_code world_source_slice(struct world *world, enum world_change change, const struct slice *slice) MUST_USE;
enum err_code world_source_namespace(struct world *world, enum world_change change,
                                     const struct namespace_object *namespace) MUST_USE;
enum err_code world_source_cidr(struct world *world, enum world_change change, const struct service_cidr *cidr)
    MUST_USE;
/* Of a target beside the two common results: ERR_LIMIT, it was left out because of max_link_bytes, or as one gateway too many. What was known of
 * it stays, nothing is concluded from absence until a listing is complete again, and slices count as unreadable. Listing again is the caller's
 * affair: when there is room. */
enum { WORLD_MAX_GATEWAYS = 64 }; /* that one target may declare; each is probed, at up to 64 addresses */
enum err_code world_target_service(struct world_link *link, enum world_change change, const struct service *service)
    MUST_USE;
/** Whether members of federated services come from a watch of their own, WORLD_TARGET_MEMBERS; not so at first. Then what WORLD_TARGET_SERVICES shows
 *  is exported and what WORLD_TARGET_MEMBERS shows is a member, as far as the link selects it, and one is gone when neither shows it. The two may tell
 *  of a Service at different times: the newer version of it counts. After a change both are unknown, and what was known
 *  stays, until they are listed. */
enum err_code world_watch_members_apart(struct world_link *link, bool apart) MUST_USE;
/** As world_target_service(), of WORLD_TARGET_MEMBERS. */
enum err_code world_target_member(struct world_link *link, enum world_change change, const struct service *service)
    MUST_USE;
enum err_code world_target_slice(struct world_link *link, enum world_change change, const struct slice *slice) MUST_USE;
/** The Service that the Link names as its gateway; any other is passed over. */
enum err_code world_target_gateway(struct world_link *link, enum world_change change, const struct service *service)
    MUST_USE;
/** It is there and cannot be decoded: what is known of it stays, and it is not taken for gone. */
enum err_code world_target_gateway_unreadable(struct world_link *link) MUST_USE;

/** Objects left out since the last listing began, and by the one before it while one is under way. */
size_t world_link_left_out(const struct world_link *link, enum world_collection collection);
/** What is kept of the target, about. */
size_t world_link_bytes(const struct world_link *link);
/** Whether that is so far below the bound that listing again may be worth its cost. */
bool world_link_has_room(const struct world_link *link);

/** Of a ServiceExport only its name and age count. Does nothing for a link that takes none. */
enum err_code world_target_export(struct world_link *link, enum world_change change, const struct object_meta *export)
    MUST_USE;
/** Whether the target's ServiceExports mark exports. */
bool world_takes_exports(const struct world_link *link);
bool world_has_export(const struct world_link *link, const char *namespace, const char *name);

/** Which version of ServiceImports the source cluster serves, a constant string; NULL: none, and there are none. NULL at first. */
void world_serve_imports(struct world *world, const char *version);
const char *world_import_version(const struct world *world);
/** Whether the status of ServiceImports may be written; so it is at first, and after each listing of them. */
void world_set_import_status(struct world *world, bool writable);
/** Whether ServiceImports matter: a link takes ServiceExports, or some mirror was made by one. Stays so. */
bool world_wants_imports(const struct world *world);

/** An object of the target that is there and cannot be decoded: what is known of it stays, and its mirror is not taken for
 *  unexported. */
enum err_code world_target_unreadable(struct world_link *link, const char *namespace, const char *name) MUST_USE;
/** As above, of WORLD_TARGET_MEMBERS. */
enum err_code world_target_member_unreadable(struct world_link *link, const char *namespace, const char *name) MUST_USE;

/* world_source_service() takes Services and ServiceImports; a ServiceImport is a mirror of its own. */

/** Whether a slice is one of ours, and of which mirror: by its label, or by its name when somebody took the label off.
 *  @param[out] ret_key  "namespace/name" of the mirror. */
bool world_slice_is_ours(const struct slice *slice, char ret_key[OBJECT_KEY_BYTES]);

/** From now on mirrors have v1 Endpoints, or EndpointSlices. */
void world_set_write_endpoints(struct world *world, bool write_endpoints);
bool world_writes_endpoints(const struct world *world);

/** An unlabelled object of that name was found where a mirror should go (`foreign`), or is gone again. */
void world_set_foreign(struct mirror *mirror, bool foreign);
bool mirror_is_foreign(const struct mirror *mirror);

enum world_namespace { WORLD_NAMESPACE_ABSENT, WORLD_NAMESPACE_ACTIVE, WORLD_NAMESPACE_TERMINATING };
enum world_namespace world_namespace_state(const struct world *world, const char *name);
/** Whether a collection of the target is to be listed again, for what its watch told before is needed and was not kept: endpoints of slices, before anybody
 *  knew; a Service that one of two watches shows, and of which the other had told a newer version. A listing that begins answers it. */
bool world_wants_listing(const struct world_link *link, enum world_collection collection);
/** Whether that may be so of some link: whoever would ask all of them time and again asks this first. */
bool world_any_wants_listing(const struct world *world);
/** Whether such a listing is still to begin or under way. */
bool world_awaits_slices(const struct world_link *link);
/** Objects known: Services and slices of mirrors, and namespaces, in the source; Services and slices kept of a target. */
size_t world_collection_size(const struct world *world, const struct world_link *link,
                             enum world_collection collection);

/* ---- gateways ---- */

const struct gateway_spec *world_gateway_spec(const struct world_gateway *gateway);
struct world_link *world_gateway_link(const struct world_gateway *gateway);
struct world_gateway *world_first_gateway(const struct world_link *link);
struct world_gateway *world_next_gateway(const struct world_gateway *gateway);
/** The claim of the gateway's own mirror; NULL: it has none, as it is not declared as one, or not probed. */
const struct claim *world_gateway_claim(const struct world_gateway *gateway);
/** Exported services that are to be mirrored through this gateway, whether they are or not. */
uint32_t world_gateway_service_count(const struct world_gateway *gateway);
/** One pointer of the caller's per gateway, NULL at first. */
void world_gateway_set_context(struct world_gateway *gateway, void *context);
void *world_gateway_context(const struct world_gateway *gateway);

/** The addresses behind the gateway's names, as literals in any order; what is none, or cannot be an endpoint, is passed over, those
 *  that stay keep their liveness. From here the gateway is *resolved*. A gateway is unresolved until the first call. */
enum err_code world_gateway_set_addresses(struct world_gateway *gateway, const char *const *addresses, uint32_t count)
    MUST_USE;
/** The addresses that an earlier run of the agent knew, from the source cluster: of the gateway's own mirror, or, when it is not probed and has none,
 *  of the first mirror through it that has any. For a name that does not resolve at a start.
 *  @param[out] ret_addresses  at most `max`, borrowed until the world changes. @return how many; 0 when there is no mirror. */
uint32_t world_gateway_remembered(const struct world_gateway *gateway, const char **ret_addresses, uint32_t max);
/** Marks the mirrors of the gateway, urgently, when it changes anything. Unknown addresses are ignored. */
void world_gateway_set_liveness(struct world_gateway *gateway, const char *address, enum world_liveness liveness);
struct world_address {
    char text[TEXT_IP_BYTES];
    enum ip_family family;
    enum world_liveness liveness;
};
const struct world_address *world_gateway_addresses(const struct world_gateway *gateway, uint32_t *ret_count);

/** Looks for an address of the gateway that is a ClusterIP of the source cluster itself: in its ServiceCIDRs or, where these cannot be read, that of a
 *  Service that the world knows. It works for nothing that is not translated twice, but somebody may know better: it is for people to judge.
 *  @param[out] ret_text  which one, why, and what to do; "" when there is none, or the ServiceCIDRs are not listed yet. @return whether there is. */
bool world_gateway_local_address(const struct world_gateway *gateway, char *ret_text, size_t bytes);
/** A number that changes when that answer may, though the gateway's addresses stay. */
uint64_t world_cidrs_version(const struct world *world);

/* ---- claims: exported services and gateways, and how their mirrors fare ---- */

enum claim_kind {
    CLAIM_SERVICE,   /* an exported service's own mirror */
    CLAIM_HOST,      /* one hostname of an exported headless service */
    CLAIM_FEDERATED, /* a member of a federated service */
    CLAIM_IMPORT,    /* the ServiceImport that stands for the services of that name which ServiceExports export */
    CLAIM_GATEWAY,   /* a gateway's mirror, which carries its verdict */
};

/** The state of a claim's mirror, as the last plan saw it. Reasons are constants: Linkerd's where it has one. */
struct claim_status {
    bool mirrored;
    const char *reason;  /* "Mirrored", "InvalidService", "MissingNamespace", "Error", "NameCollision", "Pending" */
    const char *message; /* "" when mirrored without a remark; owned by the claim */
    int64_t since_us;    /* when `mirrored` or `reason` last changed; wall clock */
};

/* All claims of a link's services, in order of namespace/name; of one service its own mirror first. */
struct claim *world_first_claim(const struct world_link *link);
struct claim *world_next_claim(const struct claim *claim); /* of a service's */
/** How many of a link's services have a status: own mirrors and memberships, as Linkerd's two lists; kept, so that nobody walks over all of them for it.
 *  @param index  from 0 on. @param[out] ret_reason  a constant. @param[out] ret_count  0 where none has it any more. @return whether there is one of
 *  that index. */
bool world_link_tally(const struct world_link *link, size_t index, const char **ret_reason, uint32_t *ret_count);
/** A number that changes whenever a service of the link begins or ceases to claim a mirror. */
uint64_t world_link_claims_version(const struct world_link *link);
struct claim *mirror_first_claim(
    const struct mirror *mirror); /* all claims of one name, the one with the best right first */
struct claim *mirror_next_claim(const struct claim *claim);
enum claim_kind claim_kind(const struct claim *claim);
struct world_link *claim_link(const struct claim *claim);
const struct service *claim_service(const struct claim *claim); /* the exported service; NULL for CLAIM_GATEWAY */
struct world_gateway *claim_gateway(const struct claim *claim); /* NULL for CLAIM_FEDERATED and CLAIM_IMPORT */
/** Whether the mirror has no endpoints because it is resolved in the target itself. */
bool claim_is_discovery(const struct claim *claim);
/** Whether the mirror's endpoints are the target's own, as soon as they are known. */
bool claim_is_pods(const struct claim *claim);
/** Whether its traffic passes the gateway: neither of the two. */
bool claim_is_through_gateway(const struct claim *claim);
struct mirror *claim_mirror(const struct claim *claim);
const struct claim_status *claim_status(const struct claim *claim);
/** Records a status. @return whether `mirrored`, `reason` or `message` changed. A failed allocation leaves the message "". */
bool claim_set_status(struct claim *claim, bool mirrored, const char *reason, const char *message, int64_t now_us);

/* ---- mirrors and what is to be done about them ---- */

const char *mirror_key(const struct mirror *mirror);
/** Whether the mirror is a ServiceImport; its key is "namespace/name@import". */
bool mirror_is_import(const struct mirror *mirror);
/** The object's kind, namespace and name, as people say them: "Service shop/web-east". */
enum { MIRROR_WORDS_BYTES = OBJECT_KEY_BYTES + 16 };
const char *mirror_words(const struct mirror *mirror, char words[MIRROR_WORDS_BYTES]);
const struct service *mirror_service(const struct mirror *mirror); /* as the source cluster has it, NULL when absent */
uint32_t mirror_slice_count(const struct mirror *mirror);
const struct slice *mirror_slice(const struct mirror *mirror, uint32_t index);
struct mirror *world_find_mirror(const struct world *world, const char *key);
size_t world_mirror_count(const struct world *world);

/** Notes whether the mirror is one that nothing here accounts for, and that is not ours to remove. @return whether that is new. */
bool mirror_note_unaccounted(struct mirror *mirror, bool unaccounted);
size_t world_unaccounted_count(const struct world *world);
/** Notes that a plan of it had writes; and whether one ever had. Without, it was there and right when it was first looked at. */
void mirror_note_unsettled(struct mirror *mirror);
bool mirror_was_unsettled(const struct mirror *mirror);

/** Marks for planning; `urgent` ones are popped before all others, but for those that are not there yet: nobody can be using them, so they go before
 *  others of their own link only. Marking twice is marking once. */
void world_mark(struct mirror *mirror, bool urgent);
/** As urgently as it was when it was popped last: for what it takes several writes to put right. */
void world_mark_again(struct mirror *mirror);
/** Marks all mirrors that `fn` chooses. It must not call the world but for getters. */
typedef bool (*world_choose_fn)(void *context, const struct mirror *mirror);
void world_mark_if(struct world *world, world_choose_fn fn, void *context);
/** Marks all mirrors of a namespace. */
void world_mark_namespace(struct world *world, const char *namespace);
/** Takes the next marked mirror, or NULL: of each link in turn, and of a link the one that was marked first. It may be marked again while it is
 *  worked on. A popped mirror stays valid until the next call of a world function that changes what is known, except world_mark(). */
struct mirror *world_pop(struct world *world);
/** As world_pop(), of the links that `fn` allows, as they claimed mirrors when these were marked; those that no link claims are asked for with NULL.
 *  While an urgent one waits, only of links that have one. */
typedef bool (*world_link_fn)(void *context, const struct world_link *link);
struct mirror *world_pop_of(struct world *world, world_link_fn fn, void *context);
/** Right after the popped mirror was planned and needs no write: its link has its turn again, so that turns are writes. Each write is followed by such a
 *  plan, and a link that had many of them would wait while others write. A few plans count as a turn all the same, so that none holds up others by
 *  plans alone. */
void world_return_turn(struct mirror *mirror);
size_t world_marked_count(const struct world *world);
/** Whether an urgent one is marked that is there already. */
bool world_is_urgent(const struct world *world);

/* A mirror with a write under way or whose effect is not seen yet is *held*: it is not popped, only remembered, until world_release(). A held
 * mirror stays valid. */
void world_hold(struct mirror *mirror);
void world_release(struct mirror *mirror);
bool mirror_held(const struct mirror *mirror);
/** The resourceVersions of the mirror's objects change: `version` was seen on an object of this mirror since it was last held. */
bool mirror_saw_version(const struct mirror *mirror, const char *version);
/* An update that somebody undoes every time is not written for ever at full speed: each object of a mirror remembers its last update. */

/** How long the update has to wait because the very same one keeps being undone; 0: not at all.
 *  @param object       tells the mirror's objects apart; write_object() of plan.h
 *  @param fingerprint  write_fingerprint() of plan.h */
uint64_t mirror_rewrite_wait_ms(const struct mirror *mirror, uint32_t object, uint64_t fingerprint, uint64_t now_ms);
/** Notes that the update is being written. @return how often in a row the very same one was written before. */
uint32_t mirror_note_rewrite(struct mirror *mirror, uint32_t object, uint64_t fingerprint, uint64_t now_ms);

/** Called on every change of an object of a held mirror or of its namespace, to learn when a write's effect has arrived. Only records: it must not
 *  call the world. */
typedef void (*world_seen_fn)(void *context, struct mirror *mirror);
void world_on_seen(struct world *world, world_seen_fn fn, void *context);
/** One pointer of the caller's per mirror. A mirror with a context is kept even when nothing is known of it. */
void mirror_set_context(struct mirror *mirror, void *context);
void *mirror_context(const struct mirror *mirror);
