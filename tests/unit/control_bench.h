/* The whole control on a clock, a network and a resolver that the test moves: API servers are tables of listings, answered in the
 * order asked; writes are accepted and their effects never seen, except that Events and statuses of Links are kept for the test. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdbool.h>

#include "agent/control/control.h"
#include "agent/net/http.h"
#include "health/diagnosis.h"

enum { BENCH_LISTINGS = 16, BENCH_EVENTS = 128, BENCH_NOTE_BYTES = 1100, BENCH_REFUSALS = 2 };

/* Paths of collections, as far as they tell one from another. */
#define BENCH_SECRETS "/api/v1/namespaces/mc/secrets?"
#define BENCH_LINKS "/apis/multicluster.linkerd.io/v1alpha3/namespaces/mc/links?"
#define BENCH_MIRRORS "/api/v1/services?labelSelector=mirror"
#define BENCH_SERVICES "/api/v1/services?"                /* of the targets of 2.8 Secrets */
#define BENCH_EXPORTED "/api/v1/services?labelSelector=e" /* of the target of a Link: selector "exported=yes" */

struct bench_listing {
    const char *path, *kind;
    int status;             /* 200, or what lists and watches are refused with */
    const char *items;      /* JSON, separated by commas */
    const char *begin_only; /* instead: the list stops after these, without an end */
    struct http_call *watch;
    unsigned asked; /* GETs, but for watches that are served */
};

/* Set by the test. */
struct bench_refusal {
    const char *method, *path; /* of the request, and what its path contains; NULL: no refusal */
    int status;
    const char *reason; /* of the answer, NULL: none */
};

struct bench_event {
    char name[256], reason[48], type[16], regarding[64], note[BENCH_NOTE_BYTES];
    unsigned repeats; /* requests that counted it up */
};

struct bench {
    const char *only_link; /* set between bench_init() and bench_start(), as are the next ones */
    const char *source_token, *source_token_file;
    enum link_finalizer link_finalizer;
    size_t max_link_bytes;
    bool leader_elect, dry_run;
    bool (*on_write)(struct bench *bench,
                     struct http_call *call); /* answers a write itself, and says whether; or NULL */
    void *context;
    struct loop *loop;
    struct http *http;
    struct metrics *metrics;
    struct control *control;
    struct bench_listing listings[BENCH_LISTINGS];
    struct bench_event events[BENCH_EVENTS];
    unsigned event_count, status_writes, link_patches;
    int link_patch_status; /* what patches of Links are answered with; 0: 200 */
    char link_patch[512];  /* the body of the last one */
    char status[4096];     /* the body written last to a Link's status, "" when none was; cut */
    char status_end[1024]; /* its end, and how long it is */
    size_t status_bytes;
    bool holds_statuses;                           /* such writes are not answered */
    struct bench_refusal refusals[BENCH_REFUSALS]; /* of writes, by method and part of the path */
    char writes
        [4096]; /* "METHOD path, " of each that was not of an Event or a Link, refused ones with their status behind */
    struct http_call *held_status; /* the last one of them */
};

/** With everything empty, nothing started. */
void bench_init(struct bench *bench, bool serves_links);
void bench_done(struct bench *bench);
/** Sets what a list of `path` is answered with. */
struct bench_listing *bench_serve(struct bench *bench, const char *path, const char *kind, const char *items);
/** The agent begins its work; everything it asks for is answered. @return ERR_OK or ERR_NOMEM. */
enum err_code bench_start(struct bench *bench);
/** Time passes; what is asked meanwhile is answered. */
void bench_advance(struct bench *bench, uint64_t ms);
/** The watch of `path` tells of `object` ("ADDED", "MODIFIED" or "DELETED"). */
void bench_tell(struct bench *bench, const char *path, const char *type, const char *object);

/** How many Events of that reason were written; the last one of them. */
unsigned bench_event_count(const struct bench *bench, const char *reason);
const struct bench_event *bench_event(const struct bench *bench, const char *reason);
/** The value of a series, e.g. "name{label=\"value\"}"; -1 when it is not there. */
double bench_metric(const struct bench *bench, const char *series);
/** What stands in /ready's answer; "" when ready. Valid until the next call. */
const char *bench_not_ready(const struct bench *bench);
/** `problem` of the only link. Valid until the next call. */
const char *bench_problem(const struct bench *bench);

/** A 2.8 Secret of cluster `cluster` as JSON. @param kubeconfig  NULL: one that works. @param bytes  of it, 0: all of the text.
 *  Valid until the 8th further call. */
const char *bench_secret(const char *name, const char *cluster, const char *kubeconfig, size_t bytes);
/** Answers every question about `host` that waits: with an address, or NULL: it does not resolve. */
void bench_resolve(const char *host, const char *address);
/** Probe connections that are open now. */
unsigned bench_probed(void);
/** Each probe of `ip` is answered so from now on; NULL: not at all, as at first. */
void bench_probes_see(const char *ip, const struct probe_observation *answer);
/** What /api/v1/gateways has of the only gateway; borrowed texts are valid until something changes. */
struct gateway_info bench_gateway(const struct bench *bench);
