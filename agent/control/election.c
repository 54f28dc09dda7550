#include "agent/control/election.h"

#include <stdio.h>
#include <string.h>

/* Of the retry period, as in client-go: candidates that found a Lease free do not all ask at once. */
enum { JITTER_TENTHS = 12, CHANCES = 1024 };

/* At which Leases are renewed in a period: a few together wake the process no more often than one. */
enum { TIMES = 16 };

/* CREATE that exists, GET that is gone, CREATE once more: what goes on after that waits for the retry period like everything else. */
enum { MISSES_AT_ONCE = 2 };

void election_init(struct election *election, const struct election_config *config)
{
    *election = (struct election){.config = config};
}

static bool is_ours(const struct election *election)
{
    return election->seen.exists && strcmp(election->seen.holder, election->config->identity) == 0;
}

static bool holds(const struct election *election)
{
    return election->state == ELECTION_HOLDING || election->state == ELECTION_LEAVING;
}

static bool is_shortened(const struct election *election)
{
    uint64_t others_ms = election->seen.duration_s * UINT64_C(1000);
    return is_ours(election) && others_ms > 0 && others_ms < election->config->lease_ms;
}

/* Who edits the duration of a Lease that is ours makes the others wait less: then we may write less long, in the same measure. */
static uint64_t deadline_ms(const struct election *election)
{
    const struct election_config *config = election->config;
    uint64_t allowed_ms = config->renew_deadline_ms;
    if (is_shortened(election))
        allowed_ms = allowed_ms * election->seen.duration_s * UINT64_C(1000) / config->lease_ms;
    return election->renewed_ms + allowed_ms;
}

/* ---- what is seen ---- */

/* resourceVersions of one resource are decimal numbers that grow (KEP-5504). Two that are not so are told apart only. */
static bool is_newer(const char *version, const char *than)
{
    size_t length = strlen(version), than_length = strlen(than);
    if (version[strspn(version, "0123456789")] != '\0' || than[strspn(than, "0123456789")] != '\0')
        return strcmp(version, than) != 0;
    return length != than_length ? length > than_length : strcmp(version, than) > 0;
}

static void keep(struct election *election, const struct lease_record *record, uint32_t chance, uint64_t now_ms)
{
    election->seen = *record;
    election->seen_ms = now_ms;
    election->chance = chance;
    if (election->state == ELECTION_UNKNOWN)
        election->phase = chance;
    if (election->state == ELECTION_UNKNOWN || (holds(election) && !is_ours(election)))
        election->state = ELECTION_STANDBY;
}

void election_see(struct election *election, const struct lease_record *record, uint32_t chance, uint64_t now_ms)
{
    if (election->state != ELECTION_UNKNOWN && !is_newer(record->version, election->seen.version))
        return;
    keep(election, record, chance, now_ms);
    election->overtaken = election->asked != ELECTION_WAIT;
}

void election_miss(struct election *election, uint32_t chance, uint64_t now_ms)
{
    if (election->state == ELECTION_UNKNOWN)
        keep(election, &(struct lease_record){0}, chance, now_ms);
    else if (election->seen.exists)
        election->must_get = true;
}

/* ---- what follows ---- */

uint64_t election_free_at(const struct election *election, bool gone)
{
    const struct lease_record *seen = &election->seen;
    if (election->state == ELECTION_UNKNOWN || holds(election))
        return ELECTION_NEVER;
    if (!seen->exists || seen->holder[0] == '\0' || gone || is_ours(election))
        return election->seen_ms;
    return election->seen_ms + (seen->duration_s > 0 ? seen->duration_s * UINT64_C(1000) : election->config->lease_ms);
}

bool election_is_elsewhere(const struct election *election, bool gone, uint64_t now_ms)
{
    return election->state == ELECTION_STANDBY && now_ms < election_free_at(election, gone);
}

static uint64_t wanted_at(const struct election *election, enum election_wish wish, bool gone)
{
    uint64_t at_ms = election_free_at(election, gone);
    if (wish == ELECTION_AVOID || at_ms == ELECTION_NEVER)
        return ELECTION_NEVER;
    if (wish == ELECTION_LATER)
        at_ms += election->config->retry_ms +
                 election->config->retry_ms * JITTER_TENTHS * (election->chance % CHANCES) / (UINT64_C(10) * CHANCES);
    return at_ms;
}

/* Each Lease has its time in every period, so that all that were won in one moment are not renewed in one moment for ever. */
static uint64_t renew_at(const struct election *election)
{
    uint64_t period_ms = election->config->renew_ms, rested_ms = election->renewed_ms + period_ms;
    if (!election->rests || election->hurried || is_shortened(election) || rested_ms <= election->next_ms)
        return election->next_ms;
    rested_ms -= (rested_ms - period_ms * (election->phase % TIMES) / TIMES) % period_ms;
    return rested_ms > election->next_ms ? rested_ms : election->next_ms;
}

static enum election_action due_action(const struct election *election, enum election_wish wish, bool gone, bool busy,
                                       uint64_t *ret_at_ms)
{
    switch (election->state) {
    case ELECTION_HOLDING:
        *ret_at_ms = renew_at(election);
        return ELECTION_RENEW;
    case ELECTION_LEAVING:
        /* A renewal just sent is no reason to wait with giving it back; and a release that failed has little time to be tried again. */
        *ret_at_ms = busy                                 ? renew_at(election)
                     : election->last == ELECTION_RELEASE ? election->sent_ms + election->config->retry_ms / 4
                                                          : 0;
        return busy ? ELECTION_RENEW : ELECTION_RELEASE;
    case ELECTION_STANDBY:
        *ret_at_ms = wanted_at(election, wish, gone);
        if (*ret_at_ms < election->next_ms)
            *ret_at_ms = election->next_ms;
        return election->seen.exists ? ELECTION_TAKE : ELECTION_CREATE;
    case ELECTION_UNKNOWN:
        break;
    }
    *ret_at_ms = ELECTION_NEVER;
    return ELECTION_WAIT;
}

enum election_action election_next(struct election *election, enum election_wish wish, bool gone, bool busy,
                                   uint64_t now_ms, uint64_t *ret_at_ms)
{
    if (holds(election) && now_ms >= deadline_ms(election))
        election->state = ELECTION_STANDBY;
    uint64_t at_ms = ELECTION_NEVER;
    enum election_action action = due_action(election, wish, gone, busy, &at_ms);
    if (election->must_get && election->state != ELECTION_UNKNOWN) {
        action = ELECTION_GET;
        at_ms = election->next_ms;
    }
    if (election->asked == ELECTION_WAIT && action != ELECTION_WAIT && now_ms >= at_ms)
        return action;
    if (election->asked != ELECTION_WAIT)
        at_ms = ELECTION_NEVER; /* the answer comes first */
    if (holds(election) && deadline_ms(election) < at_ms)
        at_ms = deadline_ms(election);
    *ret_at_ms = at_ms;
    return ELECTION_WAIT;
}

/* ---- what is sent ---- */

void election_sent(struct election *election, enum election_action action, uint64_t now_ms)
{
    election->asked = election->last = action;
    election->sent_ms = now_ms;
    election->overtaken = election->rests = election->hurried = false;
    election->releasing = election->releasing || action == ELECTION_RELEASE;
    election->next_ms = now_ms + election->config->retry_ms;
}

/* What was asked was no use, and what follows from that is asked next. */
static void miss(struct election *election, uint64_t now_ms)
{
    if (election->misses < MISSES_AT_ONCE)
        election->next_ms = now_ms;
    election->misses++;
}

static void succeed(struct election *election, enum election_action action, const struct lease_record *record,
                    uint32_t chance, uint64_t now_ms)
{
    if (action == ELECTION_GET) {
        election->must_get = false;
        election->next_ms = election->misses <= MISSES_AT_ONCE ? now_ms : election->next_ms;
        keep(election, record, chance, now_ms);
        return;
    }
    election->misses = 0;
    /* The answer is late: the watch has shown what somebody made of the Lease after that. */
    if (election->overtaken && is_newer(election->seen.version, record->version))
        return;
    bool leaving = election->state == ELECTION_LEAVING;
    keep(election, record, chance, now_ms);
    if (!is_ours(election)) {
        election->state = ELECTION_STANDBY;
        return;
    }
    election->renewed_ms = election->sent_ms;
    election->rests = true;
    election->releasing = election->releasing && leaving;
    election->state = leaving ? ELECTION_LEAVING : ELECTION_HOLDING;
}

void election_answered(struct election *election, enum err_code code, const struct lease_record *record,
                       uint32_t chance, uint64_t now_ms)
{
    enum election_action action = election->asked;
    election->asked = ELECTION_WAIT;
    if (code == ERR_OK && record != NULL) {
        succeed(election, action, record, chance, now_ms);
    } else if (code == ERR_CONFLICT || code == ERR_EXISTS) {
        election->must_get = true;
        miss(election, now_ms);
    } else if (code == ERR_NOT_FOUND) { /* the Lease; or, of CREATE, its namespace */
        struct lease_record absent = {0};
        memcpy(absent.version, election->seen.version, sizeof(absent.version));
        election->must_get = false;
        miss(election, now_ms);
        keep(election, &absent, chance, now_ms);
    }
    /* Anything else is tried again after the retry period; a renewal until its deadline. */
}

void election_compose(const struct election *election, enum election_action action, const char *time,
                      struct lease_record *ret_record)
{
    *ret_record = election->seen;
    ret_record->exists = true;
    (void)snprintf(ret_record->renewed, sizeof(ret_record->renewed), "%s", time);
    if (action == ELECTION_RELEASE) {
        ret_record->holder[0] = '\0';
        ret_record->duration_s = 1;
        (void)snprintf(ret_record->acquired, sizeof(ret_record->acquired), "%s", time);
        return;
    }
    if (!is_ours(election)) {
        uint32_t before = election->seen.transitions;
        ret_record->transitions = !election->seen.exists ? 0
                                  : before < INT32_MAX   ? before + 1
                                                         : INT32_MAX; /* an int32 */
        (void)snprintf(ret_record->holder, sizeof(ret_record->holder), "%s", election->config->identity);
        ret_record->acquired[0] = '\0';
    }
    if (ret_record->acquired[0] == '\0') /* or somebody took it off, and the server refuses "" */
        (void)snprintf(ret_record->acquired, sizeof(ret_record->acquired), "%s", time);
    ret_record->duration_s = (uint32_t)((election->config->lease_ms + 999) / 1000);
}

void election_leave(struct election *election)
{
    if (election->state == ELECTION_HOLDING)
        election->state = ELECTION_LEAVING;
}

void election_hurry(struct election *election, uint64_t now_ms)
{
    election->hurried = true;
    if (election->next_ms > now_ms)
        election->next_ms = now_ms;
}

bool election_may_begin(const struct election *election, uint64_t now_ms)
{
    return election->state == ELECTION_HOLDING && now_ms < deadline_ms(election);
}

bool election_may_send(const struct election *election, uint64_t now_ms)
{
    bool given_back = election->state == ELECTION_LEAVING && election->releasing;
    return holds(election) && !given_back && now_ms < deadline_ms(election);
}
