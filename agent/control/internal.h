/* The parts of the control and how they hang together; shared by agent/control only.
 *
 *   source.c    watches of the source cluster -> world, links
 *   imports.c   its ServiceImports -> world
 *   local.c     the source cluster's own members of federated services -> world
 *   links.c     declarations (Link resources, Secrets) -> which targets there are
 *   finalizers.c deleted Links -> held until their mirrors are gone
 *   target.c    one link's client and watches -> world
 *   exports.c   its ServiceExports -> world
 *   gateways.c  the world's gateways -> names resolved, probes, liveness -> world
 *   expiry.c    the ends of certificates and tokens -> log, Events
 *   renewal.c   tokens of targets that end -> new ones in their Secrets
 *   leases*.c   who of the replicas writes what (tenure.c; election.c, shares.c, replicas.c: pure; identity.c)
 *   writer.c    marked mirrors -> plans -> writes, one at a time per mirror
 *   status.c    claims' states -> Link status
 *   snapshot.c  all of it -> what the admin server shows
 *
 * and, in a dry run, in the writer's place:
 *
 *   preview.c   marked mirrors -> plans -> what would be written
 *   explain.c   all of it -> why one service is mirrored or not
 *   explain_links.c  likewise of a link or a gateway
 */
#pragma once

#include "agent/control/control.h"
#include "agent/control/instruments.h"
#include "agent/control/leases.h"
#include "agent/kube/client.h"
#include "agent/kube/events.h"
#include "agent/kube/list_watch.h"
#include "mirror/plan.h"
#include "mirror/world.h"

struct source;
struct imports;
struct local;
struct links;
struct target;
struct renewal;
struct renewal_wish;
struct gateways;
struct writer;
struct link_statuses;
struct finalizers;

/* What was told of the credentials for one cluster. */
struct expiry {
    enum validity_stage stages[KUBE_CREDENTIAL_KINDS];
};

struct control {
    struct control_config config;
    char *namespace, *instance, *cluster_name, *allowed_namespaces;
    struct instruments instruments;
    struct world *world;
    struct kube_client *client; /* of the source cluster */
    struct events *events;
    struct leases *leases; /* NULL: no election */
    struct source *source;
    struct imports *imports;
    struct local *local;
    struct links *links;
    struct gateways *gateways;
    struct writer *writer;
    struct link_statuses *statuses;
    struct admin_source admin;
    struct err event_error; /* the last refusal of an Event that was told */
    struct expiry expiry;   /* of the source */
    struct loop_timer *again, *expiry_timer;
    struct loop_timer *rest; /* until memory is given back */
    uint64_t gave_back_ms;   /* when it was, 0: never */
    unsigned closings;       /* of idle connections, since it rests; memory is given back after them */
    bool is_giving_back;     /* in this turn */
    char warning_told[256];  /* the API server's last warning that was told: it repeats itself with each request */
    bool stopping;
};

/* ---- control.c ---- */
/** Something could not be done for want of memory: there is another turn in a second, whether anything happens or not. */
void control_turn_again(struct control *control);

/* ---- source.c ---- */
enum err_code source_new(struct control *control, struct source **ret_source) MUST_USE;
void source_free(struct source *source);
/** Whether everything that writing needs is listed; else appends what is missing. */
bool source_ready(const struct source *source, struct strbuf *why);
/** Why something of it could not be listed so far; NULL when nothing failed, or only what writing does not need. */
const struct err *source_failure(const struct source *source);

/* ---- links.c ---- */
enum err_code links_new(struct control *control, struct links **ret_links) MUST_USE;
void links_free(struct links *links);
/** Once a turn: makes the targets what the declarations say. @return whether more is to be done. */
bool links_turn(struct links *links);
struct target *links_first(const struct links *links);
struct target *links_next(const struct target *target);
/** Which served version Link resources have, NULL when the cluster has none. */
const char *links_version(const struct links *links);
/** The existing status of a Link. @param[out] ret_status  in the arena; NULL when it has none, or it is unknown. @return ERR_OK or ERR_NOMEM. */
enum err_code links_read_status(const struct links *links, const char *link_name, struct arena *arena,
                                const struct json_tree **ret_status) MUST_USE;
bool links_ready(const struct links *links, struct strbuf *why);
/** Why the Secrets, without which there is no link, could not be listed so far; NULL when nothing failed. */
const struct err *links_failure(const struct links *links);
/** What is wrong or odd with declarations, in order. @param fn  gets "Link/name" or "Secret/name" and why. */
void links_each_complaint(const struct links *links, void (*fn)(void *context, const char *object, const char *text),
                          void *context);
/** Why the declaration of a link that works is refused as it is now; "" when it is not. The link stays as it was before. Borrowed. */
const char *links_refusal_of(const struct links *links, const struct link *link);
/** A declaration that is refused, and of which there is no link. All borrowed. */
struct link_refusal {
    const char *kind, *namespace, *name; /* "Link" or "Secret" */
    const char *cluster;                 /* that it names; "" when that is not known */
    const char *text;                    /* why */
};
/** In order of kind and name. */
void links_each_refusal(const struct links *links, void (*fn)(void *context, const struct link_refusal *refusal),
                        void *context);
/** An Event on the object that declares a link. */
void links_emit(struct control *control, const struct link *link, bool warning, const char *reason, const char *note);
/** A warning Event on a Link resource that declares none any more. */
void links_emit_resource(struct control *control, const char *name, const char *uid, const char *reason,
                         const char *note);
/** Whether the targets are what the declarations say, and all of these are known that can be. */
bool links_judged(const struct links *links);
/** The link that the Link resource of that name declares, when it has a target; else NULL. */
const struct link *links_served(const struct links *links, const char *link_name);
const struct finalizers *links_finalizers(const struct links *links);
/** Whether a declaration that can be used names the cluster, whoever serves it. */
bool links_name_cluster(const struct links *links, const char *cluster_name);

/* ---- target.c ---- */
/** The target of a valid declaration. `kubeconfig` NULL: there are none, `problem` says why. */
enum err_code target_new(struct control *control, const struct link *link, struct target **ret_target) MUST_USE;
void target_free(struct target *target);
/** A changed declaration of the same link. */
enum err_code target_declare(struct target *target, const struct link *link) MUST_USE;
/** New credentials, or none with the reason; and whether their token is to be renewed. Does nothing when they are the same.
 *  @return ERR_OK, also when they cannot be used (which is told); ERR_NOMEM: to be given again. */
enum err_code target_credentials(struct target *target, const char *kubeconfig, const struct renewal_wish *wish,
                                 const char *problem) MUST_USE;
/** Whether this is the kubeconfig that is in use. */
bool target_uses(const struct target *target, const char *kubeconfig);
/** Once a turn: reads again what more is needed of now than was kept. */
void target_turn(struct target *target);
const struct link *target_link(const struct target *target);
struct world_link *target_world_link(const struct target *target);
void target_set_next(struct target *target, struct target *next);
struct target *target_next(const struct target *target);
/** Listed, known to be unreachable, or so slow that it is not waited for any longer. */
bool target_settled(const struct target *target);
bool target_reachable(const struct target *target);
bool target_synced(const struct target *target);
/** Why not reachable, or which right is missing; "" when all is well. */
const char *target_problem(const struct target *target);
/** What is odd about declaration or credentials, though they work; "" when nothing is. Valid until the next call for this target. */
const char *target_warning(struct target *target);
uint64_t target_event_age_ms(const struct target *target);
int64_t target_expires_us(const struct target *target);
/** Why its ServiceExports, which the link takes, cannot be read; "" when they can, or none are taken. */
const char *target_exports_complaint(const struct target *target);
size_t target_left_out(const struct target *target);            /* objects, because of --max-link-memory */
void target_collect(struct target *target);                     /* fills its gauges */
const char *target_server(const struct target *target);         /* "" without credentials */
struct kube_client *target_client(const struct target *target); /* NULL without credentials */
struct expiry *target_expiry(struct target *target);            /* for expiry.c to keep */
struct renewal *target_renewal(const struct target *target);

/* ---- gateways.c ---- */
enum err_code gateways_new(struct control *control, struct gateways **ret_gateways) MUST_USE;
void gateways_free(struct gateways *gateways);
void gateways_changed(struct gateways *gateways, struct world_gateway *gateway,
                      bool removed); /* from world_config.on_gateway */
bool gateways_turn(struct gateways *gateways);
void gateways_collect(struct gateways *gateways);
/** Whether every name was looked up and every probed address was judged once; else appends what is missing. */
bool gateways_settled(const struct gateways *gateways, struct strbuf *why);
/** Fills everything of `info` that probing knows. */
void gateways_describe(const struct world_gateway *gateway, struct gateway_info *info);

/* ---- writer.c ---- */
enum err_code writer_new(struct control *control, struct writer **ret_writer) MUST_USE;
void writer_free(struct writer *writer);
bool writer_turn(struct writer *writer);
void writer_stop(struct writer *writer); /* starts no more writes */
uint32_t writer_in_flight(const struct writer *writer);
void writer_collect(struct writer *writer);
/** A verdict changed: measures how long its mirrors take to follow. */
void writer_flip_started(struct writer *writer, const char *cluster_name);

/* ---- claims.c ---- */
/** Records the statuses of a plan; what changed is logged, becomes an Event where it is bad, and goes into the Link's status.
 *  @param is_news  a mirror in place is more than what was found at the start. */
void claims_apply(struct control *control, const struct plan *plan, bool is_news);
#define CLAIMS_LEFT_TO_LINKERD "LeftToLinkerd"
/** Linkerd's own Service for probing the gateway, which its charts bring, has the name of the gateway's mirror: nothing is wrong with that. Puts the
 *  remark in the place of the plan's collision; its text is in the arena. */
void claims_leave_to_linkerd(struct plan *plan, const struct mirror *mirror, struct arena *arena);
/** A write for the mirror failed: the claim that it was for is in error. */
void claims_set_error(struct control *control, struct mirror *mirror, const char *message);
void claims_count_repair(struct control *control, const struct mirror *mirror);

/* ---- status.c; NULL statuses are a place where none is written ---- */
enum err_code statuses_new(struct control *control, struct link_statuses **ret_statuses) MUST_USE;
void statuses_free(struct link_statuses *statuses);
void statuses_mark(struct link_statuses *statuses, struct world_link *link); /* something about its claims changed */
/** The API shows another status of the Link than before, at this resourceVersion: what is not ours is put right. */
void statuses_changed(struct link_statuses *statuses, struct world_link *link, const char *version);
void statuses_forget(struct link_statuses *statuses, struct world_link *link);
/** What is marked is sent at once, without a second try; nothing is marked any more. */
void statuses_stop(struct link_statuses *statuses);
uint32_t statuses_in_flight(const struct link_statuses *statuses);
/** For a preview: appends in words what a run would change in the Link's status; nothing when it is right, or nobody may write it. */
enum err_code statuses_plan(struct control *control, struct world_link *link, struct strbuf *changes) MUST_USE;

/* ---- snapshot.c ---- */
void snapshot_init(struct control *control);
