#include "agent/control/leases_internal.h"

#include "agent/control/internal.h"
#include "agent/observe/log.h"
#include "base/map.h"

/* Where Leases were never to be had there can be no second replica that relies on them; where the right was lost later there may be. */
bool leases_may_be_alone(const struct leases *leases)
{
    return !leases->granted && (!leases->listed || leases->alone || leases->problem.code != ERR_OK);
}

/* An API server that has just started refuses what it has not read the roles for yet: a right is missing when it is for a retry period. */
void leases_consider_alone(struct leases *leases, bool denied)
{
    bool may_be = denied && leases_may_be_alone(leases);
    if (may_be && leases->denied_ms == ELECTION_NEVER) {
        leases->denied_ms = leases_now_ms(leases);
        loop_timer_start(leases->tick, leases->election.retry_ms);
    } else if (!may_be) {
        leases->denied_ms = ELECTION_NEVER;
    }
    bool alone = may_be && leases_now_ms(leases) >= leases->denied_ms + leases->election.retry_ms;
    if (leases->alone == alone)
        return;
    leases->alone = alone;
    for (struct map_entry *at = alone ? map_first(leases->tenures) : NULL; at != NULL; at = map_next(at))
        tenure_begin_work(map_value(at));
    leases_note_change(leases);
}

void leases_note_result(struct tenure *tenure, const struct kube_failure *failure)
{
    struct leases *leases = tenure->leases;
    enum err_code code = failure != NULL ? failure->error.code : ERR_OK;
    bool creates = tenure->election.asked == ELECTION_CREATE; /* what is not there then is the namespace */
    if (code == ERR_CONFLICT || code == ERR_EXISTS || (code == ERR_NOT_FOUND && !creates))
        return; /* somebody was faster: that is how it works */
    bool forbidden = code == ERR_FORBIDDEN;
    if (forbidden && leases->problem.code == ERR_OK)
        log_error("lease_forbidden",
                  leases->granted ? "Leases may not be written any more, so nothing else is"
                                  : LEASES_ALONE_MESSAGE("written"),
                  "error", failure->error.text, "remedy", LEASES_ALONE_REMEDY, NULL);
    else if (code != ERR_OK && !forbidden && !tenure->failing)
        log_warn("lease_write_failed", "a Lease could not be written and is tried again", "lease", tenure->name,
                 "error", failure->error.text, NULL);
    tenure->failing = code != ERR_OK;
    if (forbidden)
        leases->problem = failure->error;
    else if (code == ERR_OK)
        leases->problem = (struct err){0};
    leases->granted = leases->granted || (code == ERR_OK && tenure->election.asked != ELECTION_GET);
    if (forbidden || code == ERR_OK)
        leases_consider_alone(leases, forbidden);
}
