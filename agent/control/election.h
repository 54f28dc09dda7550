/* One candidate's way with one Lease, as a machine without clock, network and chance: what it is told goes in, what to send next and
 * when comes out. The rules are those of client-go's leader election (tools/leaderelection):
 *
 *  - The record's times are never compared with our clock. A holder is outlived when its record stayed the same for the duration that it
 *    names, by our monotonic clock, since we saw it change.
 *  - A renewal that failed is tried again after the retry period. After one that succeeded client-go waits just as long; here it may be longer.
 *  - The holder may write until the renew deadline after *sending* the last renewal that succeeded; others wait longer than that.
 *  - Every write of the Lease carries the resourceVersion that was seen, so that of two only one succeeds.
 *  - A Lease is given back, with an empty holder, only after the writes under way have ended.
 *
 * It decides nothing about who should hold what; that is the `wish`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/lease_record.h"
#include "base/err.h"

struct election_config {
    const char *identity;                           /* borrowed; unique in the cluster, for ever */
    uint64_t lease_ms, renew_deadline_ms, retry_ms; /* lease > renew_deadline > 1.2 retry */
    /* From a renewal that succeeded to the next, where that is longer than `retry_ms`; 0: it is not. Half of the deadline at most. */
    uint64_t renew_ms;
};

enum election_state {
    ELECTION_UNKNOWN, /* the Lease was not looked at yet */
    ELECTION_STANDBY, /* somebody else holds it, or nobody */
    ELECTION_HOLDING, /* ours: we may write, until the renew deadline */
    ELECTION_LEAVING, /* ours still, but no write is begun any more; given back once none is under way */
};

enum election_wish {
    ELECTION_AVOID, /* leave it to others, even when it is free */
    ELECTION_LATER, /* take it when it stays free for a while */
    ELECTION_NOW,   /* take it as soon as it is free */
};

enum election_action {
    ELECTION_WAIT,
    ELECTION_GET,
    ELECTION_CREATE,
    ELECTION_TAKE,    /* an update that makes it ours */
    ELECTION_RENEW,   /* an update that keeps it ours */
    ELECTION_RELEASE, /* an update that empties the holder */
};

#define ELECTION_NEVER UINT64_MAX

struct election {
    const struct election_config *config;
    enum election_state state;
    enum election_action asked; /* under way; ELECTION_WAIT: nothing */
    enum election_action last;  /* sent before that, or now */
    struct lease_record seen;
    uint64_t seen_ms;    /* when `seen` was seen to change */
    uint64_t renewed_ms; /* HOLDING, LEAVING: when the renewal that counts was sent */
    uint64_t sent_ms;    /* of what is under way */
    uint64_t next_ms;    /* nothing is sent before, but a GET that is needed */
    uint32_t misses;     /* conflicts and the like, since a write last succeeded */
    uint32_t chance;     /* how long a Lease must stay free, as 1/1024 of the jitter */
    uint32_t phase;      /* by chance: at which of the times in a period of `renew_ms` it is renewed */
    bool releasing;      /* LEAVING: a release was sent, and may have reached the server whatever came of it */
    bool must_get;       /* what is seen is known to be old */
    bool overtaken;      /* the watch has shown something since what is under way was sent */
    bool rests;          /* what was sent last made or kept it ours */
    bool hurried;        /* election_hurry() since that was sent */
};

/** @param config  borrowed. */
void election_init(struct election *election, const struct election_config *config);

/** The Lease as a watch or a list shows it; exists == false: it is gone. What is older than what is known is passed over.
 *  @param chance  0 to 1023, at random. */
void election_see(struct election *election, const struct lease_record *record, uint32_t chance, uint64_t now_ms);
/** A complete list does not have it. @param chance  as above. Whether our own view was newer is found out by asking. */
void election_miss(struct election *election, uint32_t chance, uint64_t now_ms);

/** What to send now, or how long to wait.
 *  @param gone   the holder is known to have ended, whatever the record says.
 *  @param busy   writes under this Lease are under way.
 *  @param[out] ret_at_ms  for ELECTION_WAIT: when to ask again, if nothing happens before; ELECTION_NEVER. */
enum election_action election_next(struct election *election, enum election_wish wish, bool gone, bool busy,
                                   uint64_t now_ms, uint64_t *ret_at_ms);
/** The action is being sent, now. */
void election_sent(struct election *election, enum election_action action, uint64_t now_ms);
/** What came of it. @param record  the server's answer on success; else NULL. @param chance  as above. */
void election_answered(struct election *election, enum err_code code, const struct lease_record *record,
                       uint32_t chance, uint64_t now_ms);
/** The record that CREATE, TAKE, RENEW or RELEASE writes. @param time  now, as a MicroTime. */
void election_compose(const struct election *election, enum election_action action, const char *time,
                      struct lease_record *ret_record);

/** We hold it, and give it back from now on. Does nothing when we do not hold it. */
void election_leave(struct election *election);
/** The next renewal is due at once: what it carries beside the record has changed. */
void election_hurry(struct election *election, uint64_t now_ms);

/** Whether a write may be begun. To be asked at the very moment: a process may have been stopped for long. */
bool election_may_begin(const struct election *election, uint64_t now_ms);
/** Whether a write that was begun may still be sent. */
bool election_may_send(const struct election *election, uint64_t now_ms);
/** Whether somebody else has it, as far as we can see. */
bool election_is_elsewhere(const struct election *election, bool gone, uint64_t now_ms);
/** From when on it may be taken. ELECTION_NEVER while we hold it or nothing is known. */
uint64_t election_free_at(const struct election *election, bool gone);
