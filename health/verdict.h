/* Whether one gateway address is alive: a state machine fed with probe results and time, which says when to probe next.
 * Pure: time is a parameter (monotonic milliseconds), nothing is sent from here.
 *
 *   unknown --first verdict--> alive | dead,   alive <-> dead
 *
 * Schedule. The first probe at once; then one each period, on a grid with a fixed phase per machine, so that gateways do
 * not probe in step. Probes overlap: a slow one never delays the next. While dead one each min(period, dead_period_ms), so
 * that recovery is seen soon.
 *
 * Doubt. A failure, or news about the transport (the end of the kept-open connection, a probe that the peer does not
 * acknowledge), puts an alive or unknown address in doubt until a probe that was sent later succeeds. In doubt the verdict
 * is brought about by verifying probes quick_ms apart, without waiting for their answers: as many at a time as failures
 * are missing (VERDICT_VERIFY_OVERLAP at most). A black hole, where each takes a second to fail, so costs that second
 * once, and a gateway that hangs is not flooded. News is never a failure by itself, and does not bring a probe sooner than
 * three quick_ms after the last one: a server that closes after each answer would be asked without end.
 *
 * Consecutive means in order of *sending*: a late failure of a probe sent before the last success does not count, and a
 * late success takes back only the failures sent before it. A probe under way is neither. An internal failure
 * (REASON_INTERNAL) is no result. */
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
enum { VERDICT_MIN_PERIOD_MS = 100, VERDICT_MAX_PERIOD_MS = 3600 * 1000, VERDICT_VERIFY_OVERLAP = 5 };

/** Embedded in its owner; to be read, and changed only by the functions below. */
struct verdict_machine {
    struct verdict_config config;
    enum verdict verdict;
    enum probe_reason reason;     /* of the last counted result, in order of sending */
    int last_status;              /* HTTP status of the last counted result, 0 when none */
    uint64_t since_ms;            /* when the verdict took its present value */
    uint64_t last_result_ms;      /* of the last counted result; 0: none yet */
    uint32_t failures, successes; /* consecutive, in order of sending */
    uint64_t probes_total, failures_total, transitions_total;
    /* private */
    uint32_t phase_ms;         /* of the grid, below the period */
    uint64_t grid_ms, next_ms; /* next point of the grid, not before the newest probe; when the next probe is due */
    uint64_t last_sent_ms;
    uint64_t sent_sequence; /* of the newest probe; the first is 1 */
    uint64_t last_success_sequence, last_failure_sequence;
    bool doubt;
    uint64_t doubt_sequence;  /* a success sent after this one ends the doubt */
    uint64_t verify_sequence; /* the newest probe when doubt began: those after it are verifying */
    uint64_t verify_from_ms;  /* the first verifying probe is not due before */
    /* The newest 64 probes, bit 0 the newest: those under way, and those whose failure counts. */
    uint64_t under_way, failed;
};

/** @param phase_ms  offset of the periodic schedule within one period (taken modulo the period). */
void verdict_init(struct verdict_machine *machine, const struct verdict_config *config, uint64_t now_ms,
                  uint32_t phase_ms);
/** Changes thresholds, period or phase in place: the verdict and its history stay. */
void verdict_reconfigure(struct verdict_machine *machine, const struct verdict_config *config, uint64_t now_ms,
                         uint32_t phase_ms);
/** When to send the next probe (may be in the past: at once). Never more than one period after the last call that changed
 *  the machine. */
uint64_t verdict_next_ms(const struct verdict_machine *machine);
/** A probe was sent. @return its sequence number, to be given with its result. One that could not be sent after all ends at
 *  once with REASON_INTERNAL. */
uint64_t verdict_sent(struct verdict_machine *machine, uint64_t now_ms);
/** The result of a probe. @return true when the verdict changed. */
bool verdict_result(struct verdict_machine *machine, uint64_t sequence, enum probe_reason reason, int status,
                    uint64_t now_ms);
/** The transport may have gone: see above. Ignored while dead, where the next probe is near in any case. */
void verdict_news(struct verdict_machine *machine, uint64_t now_ms);
