/* Whether one gateway address is alive: a state machine fed with probe results and time, which says when to probe next.
 * Pure: time is a parameter (monotonic milliseconds), nothing is sent from here.
 *
 *   unknown --first verdict--> alive | dead,   alive <-> dead
 *
 * Schedule: the first probe at once; then one each period (with a fixed phase per machine, so that gateways do not probe in step).
 * A failed probe while alive or unknown, or the end of the kept-open connection, brings a quick re-probe after quick_ms, again and
 * again until a probe succeeds or failure_threshold consecutive failures make the address dead. Probes overlap: a slow one never delays
 * the next. While dead, probes come each min(period, dead_period_ms), so that recovery is seen soon. Consecutive means: in order of
 * *sending*; a late failure of a probe sent before the last success does not count.
 * The end of a connection is never a failure by itself. An internal failure (PROBE_INTERNAL) is no result: only retried. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health/diagnosis.h"

enum verdict { VERDICT_UNKNOWN, VERDICT_ALIVE, VERDICT_DEAD };
const char *verdict_name(enum verdict verdict); /* "unknown", "alive", "dead" */

struct verdict_config {
    uint32_t period_ms;         /* [VERDICT_MIN_PERIOD_MS, VERDICT_MAX_PERIOD_MS]: others are clamped */
    uint32_t quick_ms;          /* 0: 100 */
    uint32_t dead_period_ms;    /* 0: 1000 */
    uint32_t failure_threshold; /* consecutive failures that make it dead; 0: 3 */
    uint32_t success_threshold; /* consecutive successes that make it alive again; 0: 1. From unknown one is enough */
};
enum { VERDICT_MIN_PERIOD_MS = 100, VERDICT_MAX_PERIOD_MS = 3600 * 1000 };

/** Embedded in its owner. */
struct verdict_machine {
    struct verdict_config config;
    enum verdict verdict;
    enum probe_reason reason;    /* of the last counted result */
    int last_status;             /* HTTP status of the last counted result, 0 when none */
    uint64_t since_ms;           /* when the verdict took its present value */
    uint64_t next_ms;            /* when the next probe is due */
    uint64_t last_result_ms;     /* 0: none yet */
    uint32_t failures, successes; /* consecutive, in order of sending */
    uint64_t sent_sequence, last_success_sequence;
    bool suspicious;    /* a failure or the end of a connection, and no success of a probe sent since */
    uint32_t verifying; /* probes sent in doubt */
    uint32_t phase_ms;  /* of the periodic schedule, below the period */
    uint64_t probes_total, failures_total, transitions_total;
};

/** @param phase_ms  offset of the periodic schedule within one period (taken modulo the period). */
void verdict_init(struct verdict_machine *machine, const struct verdict_config *config, uint64_t now_ms, uint32_t phase_ms);
/** Changes thresholds or period in place: the verdict and its history stay. */
void verdict_reconfigure(struct verdict_machine *machine, const struct verdict_config *config, uint64_t now_ms);
/** When to send the next probe (may be in the past: at once). */
uint64_t verdict_next_ms(const struct verdict_machine *machine);
/** A probe was sent. @return its sequence number, to be given with its result. */
uint64_t verdict_sent(struct verdict_machine *machine, uint64_t now_ms);
/** The result of a probe. @return true when the verdict changed. */
bool verdict_result(struct verdict_machine *machine, uint64_t sequence, enum probe_reason reason, int status, uint64_t now_ms);
/** The kept-open connection ended: brings the next probe forward to now. */
void verdict_news(struct verdict_machine *machine, uint64_t now_ms);
