/* Shared by leases*.c and tenure.c only. A *tenure* is one Lease, and what we are to it: election.h decides about it alone, tenure.c does what
 * that says, leases_share.c says which we should have, leases_which.c which one a mirror is written under. */
#pragma once

#include <stdlib.h>

#include "agent/control/election.h"
#include "agent/control/identity.h"
#include "agent/control/internal.h"
#include "agent/control/leases.h"
#include "agent/control/replicas.h"
#include "agent/kube/lease.h"

#define LOCAL_LEASE "local-service-mirror-write" /* these two are Linkerd's names */
#define LINK_LEASE_PREFIX "service-mirror-write-"
/* As Kubernetes' own components name their requests about Leases: in an audit log these many stand apart from writes to mirrors. */
#define LEASES_USER_AGENT "leader-election (svcmirror)"

enum { LEASES_PATH_BYTES = 700 };

struct tenure {
    struct leases *leases;
    const char *name; /* the map's copy */
    struct election election;
    enum election_state shown; /* that was told */
    enum election_wish wish;
    struct kube_request request;
    struct loop_timer *timer;
    char cluster[64];                       /* that it is for, for people; "local" */
    char holder_told[LEASE_IDENTITY_BYTES]; /* somebody else, "": nobody */
    uint32_t wanted;                        /* by how many links, usually one */
    uint32_t in_flight;                     /* writes under way */
    uint32_t generation;
    bool failing;   /* its last request failed, which was told */
    bool lingers;   /* no link wants it any more, and it is held all the same */
    bool elsewhere; /* somebody else was seen to hold it */
    bool begins;    /* what is written under it is to be looked at once more */
};

struct leases {
    struct control *control;
    struct identity *identity;
    struct election_config election;
    struct list_watch *list_watch;
    struct map *tenures;  /* by name; every Lease of these names that there is, and every one that is wanted */
    struct tenure *local; /* of what belongs to no single link; NULL where only one Link is served */
    struct tenure *only;  /* NULL, or the one that all is written under */
    struct tenure self;   /* our own Lease, by which the others know of us */
    char self_name[LEASES_NAME_BYTES];
    struct replicas *replicas;
    struct kube_request sweep; /* takes away a dead replica's Lease and, at the end, ours */
    struct loop_timer *tick;
    struct strbuf body;
    uint64_t candidates_hash, settled_ms; /* who counts, and since when that stands */
    uint64_t denied_ms;                   /* since when the right to Leases is missing; ELECTION_NEVER: it is not */
    uint32_t generation;
    enum err_code watch_told;               /* the failure of the watch that was told last */
    struct err problem;                     /* why a Lease could not be written for want of a right */
    bool listed, changed, begins, stopping; /* begins: some tenure does */
    bool granted;                           /* a Lease was written once */
    bool alone;        /* the right to Leases is missing, and was from the start: written as if nobody else did */
    bool ready;        /* our caches are filled; from then on for good */
    bool decided;      /* every link has had a holder, since that */
    bool sweep_denied; /* which was told */
};

static inline uint64_t leases_now_ms(const struct leases *leases)
{
    return loop_precise_us(leases->control->config.loop) / 1000;
}

/** For election_see() and election_answered(). */
static inline uint32_t leases_chance(void) { return arc4random_uniform(1024); }

/** What a replica should hold may have changed: decided in the next turn. */
static inline void leases_note_change(struct leases *leases)
{
    leases->changed = true;
    loop_wake(leases->control->config.loop);
}

/* ---- tenure.c ---- */

/** @param name  borrowed. @param cluster  for people. */
enum err_code tenure_init(struct tenure *tenure, struct leases *leases, const char *name, const char *cluster) MUST_USE;
void tenure_done(struct tenure *tenure);
void tenure_free(void *tenure); /* for the map */
/** The tenure of that Lease's name, made when there is none. @return borrowed; NULL when out of memory. */
struct tenure *tenure_obtain(struct leases *leases, const char *name, const char *cluster);
/** Sends what is due, tells what has changed, and sets the timer for what is due later. */
void tenure_pump(struct tenure *tenure);
/** @param assigned  who should have it, as shares.h has it; `own`: we. */
void tenure_set_wish(struct tenure *tenure, int assigned, size_t own);
bool tenure_holds(const struct tenure *tenure);
/** Whether another is seen to hold it, who has not ended. */
bool tenure_is_elsewhere(const struct tenure *tenure);
/** Whether it is free, or being given back, and some link wants it. */
bool tenure_is_moving(const struct tenure *tenure);
/** To be asked when a link has ceased to want it, and whenever it may have changed hands after that. */
void tenure_consider_lingering(struct tenure *tenure);
/** What is written under it may have been changed by another since it was planned here: it is looked at once more in the next turn, which writes
 *  nothing where all is right. */
void tenure_begin_work(struct tenure *tenure);
/** Takes NULL: a Lease of which nothing is known. */
bool tenure_may_begin(const struct leases *leases, const struct tenure *tenure);

/* ---- leases_which.c ---- */

void leases_name_of(const struct link *link, char name[LEASES_NAME_BYTES]);
/** @param link  NULL: what belongs to no single link. @return NULL when nothing is known of it. */
struct tenure *leases_of_link(const struct leases *leases, const struct link *link);
struct tenure *leases_of_mirror(const struct leases *leases, const struct mirror *mirror);

/* ---- leases_share.c ---- */

/** Decides who should hold what, and gives back what is over. */
enum err_code leases_share(struct leases *leases) MUST_USE;

/* ---- leases_watch.c ---- */

enum err_code leases_start_watch(struct leases *leases) MUST_USE;

/* ---- leases_alone.c: where the right to Leases is missing ---- */

#define LEASES_ALONE_MESSAGE(verb)                                                                                     \
    "Leases may not be " verb                                                                                          \
    ": when that stays so, what nobody is seen to hold is written as if this replica were alone"
#define LEASES_ALONE_REMEDY                                                                                            \
    "grant get, list, watch, create, patch and delete on leases in coordination.k8s.io, or run a single replica with " \
    "--leader-elect=false"

bool leases_may_be_alone(const struct leases *leases);
/** @param denied  whether the right is missing now. */
void leases_consider_alone(struct leases *leases, bool denied);
/** What came of a write of that Lease. @param failure  NULL: it succeeded. */
void leases_note_result(struct tenure *tenure, const struct kube_failure *failure);
