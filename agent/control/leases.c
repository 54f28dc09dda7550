#include "agent/control/leases.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/expiry.h"
#include "agent/control/internal.h"
#include "agent/control/leases_internal.h"
#include "agent/control/shares.h"
#include "agent/kube/codec.h"
#include "agent/observe/log.h"
#include "base/map.h"
#include "base/mem.h"

#define REPLICA_LEASE_PREFIX "svcmirror-"

enum {
    BODY_BYTES = 64 << 10,
    RENEWAL_MS = 300, /* between any two of all Leases of ours; but each is due in half of its deadline */
};

/* A Lease that is gone, of no link. */
static bool is_forgettable(const struct tenure *tenure)
{
    const struct election *election = &tenure->election;
    return tenure->wanted == 0 && tenure->in_flight == 0 && election->state == ELECTION_STANDBY &&
           election->asked == ELECTION_WAIT && !election->seen.exists && !election->must_get;
}

/* From seven Leases on each is renewed less often than client-go would: at 2 s ten are most of what an idle agent asks for, and 250 cost an API server
 * half a core. */
static void set_pace(struct leases *leases)
{
    uint64_t pace_ms = 0, half_ms = leases->election.renew_deadline_ms / 2;
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at))
        pace_ms += tenure_holds(map_value(at)) ? RENEWAL_MS : 0;
    leases->election.renew_ms = pace_ms < half_ms ? pace_ms : half_ms;
}

static void pump_all(struct leases *leases)
{
    set_pace(leases);
    for (struct map_entry *at = map_first(leases->tenures), *next; at != NULL; at = next) {
        struct tenure *tenure = map_value(at);
        next = map_next(at);
        if (tenure->wanted == 0 || leases->stopping)
            tenure_set_wish(tenure, SHARES_FREE, 0);
        tenure_pump(tenure);
        if (is_forgettable(tenure))
            (void)map_remove(leases->tenures, map_key(at));
    }
    tenure_pump(&leases->self);
}

static void on_swept(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct leases *leases = request->context;
    (void)object;
    bool denied = failure != NULL && failure->error.code == ERR_FORBIDDEN;
    if (denied && !leases->sweep_denied)
        log_warn("lease_delete_refused", "the Lease of a replica that ended cannot be taken away, and is tried again",
                 "error", failure->error.text, "remedy", "grant delete on leases in coordination.k8s.io", NULL);
    leases->sweep_denied = denied; /* any other failure: another replica did it, or the next tick will */
    leases_note_change(leases);
}

static void sweep(struct leases *leases, const char *name, const char *version)
{
    char path[LEASES_PATH_BYTES];
    struct err ignored = {0};
    if (leases->sweep.client != NULL)
        return; /* one at a time */
    (void)snprintf(path, sizeof(path), LEASES_GROUP "/namespaces/%s/leases/%s", leases->control->namespace, name);
    strbuf_clear(&leases->body);
    codec_write_delete_options(&leases->body, "", version);
    leases->sweep = (struct kube_request){.verb = "delete",
                                          .resource = "leases",
                                          .path = path,
                                          .user_agent = LEASES_USER_AGENT,
                                          .body = strbuf_text(&leases->body),
                                          .body_bytes = leases->body.length,
                                          .on_done = on_swept,
                                          .context = leases};
    enum err_code code = kube_start(leases->control->client, &leases->sweep, &ignored);
    (void)code; /* out of memory: the next tick tries again */
}

static void become_ready(struct leases *leases)
{
    struct strbuf why;
    strbuf_init(&why, BODY_BYTES);
    leases->ready = source_ready(leases->control->source, &why) && links_ready(leases->control->links, &why);
    strbuf_done(&why);
    if (!leases->ready)
        return;
    election_hurry(&leases->self.election, leases_now_ms(leases));
    leases_note_change(leases);
}

/* Whether each link has a holder; or it was tried, and what hinders it is told elsewhere. */
static bool all_decided(const struct leases *leases)
{
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at)) {
        const struct tenure *tenure = map_value(at);
        bool open = tenure->election.state == ELECTION_UNKNOWN || tenure_is_moving(tenure);
        if (open && tenure != leases->local && tenure->wanted > 0 && !tenure->failing)
            return false;
    }
    return true;
}

static void on_tick(void *context)
{
    struct leases *leases = context;
    const char *version = NULL, *leftover = replicas_leftover(leases->replicas, leases_now_ms(leases), &version);
    if (leftover != NULL)
        sweep(leases, leftover, version);
    if (leases->denied_ms != ELECTION_NEVER)
        leases_consider_alone(leases, true);
    leases_note_change(leases);
    loop_timer_start(leases->tick, leases->election.retry_ms);
}

static bool is_begun(const struct tenure *tenure) { return tenure != NULL && tenure->begins; }

static bool chooses(void *context, const struct mirror *mirror) { return is_begun(leases_of_mirror(context, mirror)); }

/* All that were won since the last turn in one go. */
static void begin_work(struct leases *leases)
{
    struct control *control = leases->control;
    world_mark_if(control->world, chooses, leases);
    for (struct target *target = links_first(control->links); target != NULL; target = links_next(target))
        if (is_begun(leases_of_link(leases, target_link(target))))
            statuses_mark(control->statuses, target_world_link(target));
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at))
        ((struct tenure *)map_value(at))->begins = false;
    leases->begins = false;
    expiry_look_soon(control); /* a token may have waited for who renews it */
}

void leases_turn(struct leases *leases)
{
    if (leases == NULL || leases->stopping)
        return;
    if (leases->begins)
        begin_work(leases);
    if (!leases->ready)
        become_ready(leases);
    if (leases->ready && !leases->decided)
        leases->decided = leases->listed && all_decided(leases);
    if (!leases->changed || !leases->listed)
        return;
    leases->changed = leases_share(leases) != ERR_OK;
    if (leases->changed)
        control_turn_again(leases->control);
    pump_all(leases);
}

/* ---- life ---- */

static enum err_code want_first(struct leases *leases)
{
    const char *only = leases->control->config.only_link;
    struct link link = {.kind = LINK_RESOURCE, .name = only};
    char name[LEASES_NAME_BYTES] = LOCAL_LEASE;
    if (only != NULL && only[0] != '\0')
        leases_name_of(&link, name);
    struct tenure *tenure = tenure_obtain(leases, name, only != NULL && only[0] != '\0' ? only : "local");
    if (tenure == NULL)
        return ERR_NOMEM;
    tenure->wanted = 1;
    if (only != NULL)
        leases->only = tenure;
    else
        leases->local = tenure;
    return ERR_OK;
}

static enum err_code fill(struct leases *leases)
{
    struct control *control = leases->control;
    strbuf_init(&leases->body, BODY_BYTES);
    leases->identity = identity_new(control->instance);
    if (leases->identity == NULL)
        return ERR_NOMEM;
    leases->election = (struct election_config){.identity = identity_text(leases->identity),
                                                .lease_ms = control->config.lease_duration_ms,
                                                .renew_deadline_ms = control->config.renew_deadline_ms,
                                                .retry_ms = control->config.retry_period_ms};
    (void)snprintf(leases->self_name, sizeof(leases->self_name), REPLICA_LEASE_PREFIX "%s",
                   identity_name(leases->identity));
    leases->tenures = map_new(tenure_free);
    leases->tick = loop_timer_new(control->config.loop, on_tick, leases);
    if (leases->tenures == NULL || leases->tick == NULL)
        return ERR_NOMEM;
    TRY(want_first(leases));
    leases->replicas =
        replicas_new(leases->self_name, leases->only != NULL ? leases->only->name : "", leases->identity);
    if (leases->replicas == NULL)
        return ERR_NOMEM;
    TRY(tenure_init(&leases->self, leases, leases->self_name, ""));
    leases->self.wish = ELECTION_NOW;
    leases->self.wanted = 1;
    loop_timer_start(leases->tick, leases->election.retry_ms);
    return leases_start_watch(leases);
}

enum err_code leases_new(struct control *control, struct leases **ret_leases)
{
    struct leases *leases = NEW(struct leases);
    if (leases == NULL)
        return ERR_NOMEM;
    leases->control = control;
    leases->denied_ms = ELECTION_NEVER;
    enum err_code code = fill(leases);
    if (code != ERR_OK) {
        leases_free(leases);
        return code;
    }
    *ret_leases = leases;
    return ERR_OK;
}

void leases_free(struct leases *leases)
{
    if (leases == NULL)
        return;
    list_watch_free(leases->list_watch);
    kube_cancel(&leases->sweep);
    loop_timer_free(leases->tick);
    map_free(leases->tenures);
    tenure_done(&leases->self);
    replicas_free(leases->replicas);
    strbuf_done(&leases->body);
    identity_free(leases->identity);
    mem_free(leases);
}

enum err_code leases_join(struct leases *leases, const struct link *link)
{
    char name[LEASES_NAME_BYTES];
    if (leases == NULL || leases->only != NULL)
        return ERR_OK;
    leases_name_of(link, name);
    struct tenure *tenure = tenure_obtain(leases, name, link->cluster_name);
    if (tenure == NULL)
        return ERR_NOMEM;
    (void)snprintf(tenure->cluster, sizeof(tenure->cluster), "%s", link->cluster_name);
    tenure->wanted++;
    if (leases->listed && tenure->election.state == ELECTION_UNKNOWN)
        election_miss(&tenure->election, leases_chance(),
                      leases_now_ms(leases)); /* nothing is known of it: it is not there */
    leases_note_change(leases);
    return ERR_OK;
}

void leases_leave(struct leases *leases, const struct link *link)
{
    struct tenure *tenure = leases != NULL && leases->only == NULL ? leases_of_link(leases, link) : NULL;
    if (tenure == NULL || tenure->wanted == 0)
        return;
    tenure->wanted--;
    tenure_consider_lingering(tenure); /* before its mirrors are planned */
    leases_note_change(leases);
}

void leases_stop(struct leases *leases)
{
    if (leases == NULL)
        return;
    leases->stopping = true;
    loop_timer_stop(leases->tick);
    pump_all(leases);
    kube_cancel(&leases->self.request);
    loop_timer_stop(leases->self.timer);
    kube_cancel(&leases->sweep);
    if (leases->self.election.seen.exists)
        sweep(leases, leases->self_name, ""); /* whoever sees it go knows that the Leases of ours become free */
}

bool leases_busy(const struct leases *leases)
{
    bool busy = leases != NULL && leases->sweep.client != NULL;
    for (struct map_entry *at = leases != NULL ? map_first(leases->tenures) : NULL; at != NULL; at = map_next(at)) {
        const struct tenure *tenure = map_value(at);
        busy = busy || tenure->election.state == ELECTION_LEAVING || tenure->request.client != NULL;
    }
    return busy;
}

/* ---- what others ask ---- */

bool leases_known(const struct leases *leases)
{
    return leases == NULL || leases->listed || list_watch_state(leases->list_watch)->error.code != ERR_OK;
}

bool leases_ready(const struct leases *leases, struct strbuf *why)
{
    if (leases == NULL || leases->alone)
        return true;
    const struct err *error = leases->listed ? &leases->problem : &list_watch_state(leases->list_watch)->error;
    /* A right that is missing holds up a roll-out, so that the replicas of before stay. An outage is told by the log and by metrics. */
    if (error->code == ERR_OK ? leases->decided : error->code != ERR_FORBIDDEN)
        return true;
    strbuf_printf(why, "leader election: %s\n",
                  error->code != ERR_OK ? error->text : "it is not known yet who writes which mirrors");
    return false;
}

bool leases_may_write(struct leases *leases, const struct mirror *mirror)
{
    return leases == NULL || tenure_may_begin(leases, leases_of_mirror(leases, mirror));
}

bool leases_may_tell(struct leases *leases, const struct link *link)
{
    return leases == NULL || tenure_may_begin(leases, leases_of_link(leases, link));
}

bool leases_is_elsewhere(struct leases *leases, const struct link *link)
{
    const struct tenure *tenure = leases != NULL ? leases_of_link(leases, link) : NULL;
    return tenure != NULL && tenure_is_elsewhere(tenure);
}

static struct tenure *begin(struct tenure *tenure)
{
    if (tenure != NULL)
        tenure->in_flight++;
    return tenure;
}

struct tenure *leases_begin(struct leases *leases, const struct mirror *mirror)
{
    return begin(leases != NULL ? leases_of_mirror(leases, mirror) : NULL);
}

struct tenure *leases_begin_status(struct leases *leases, const struct link *link)
{
    return begin(leases != NULL ? leases_of_link(leases, link) : NULL);
}

const char *leases_holder(struct leases *leases, const struct link *link)
{
    const struct tenure *tenure = leases != NULL ? leases_of_link(leases, link) : NULL;
    return tenure != NULL && tenure->election.seen.exists ? tenure->election.seen.holder : "";
}

bool leases_holds(struct leases *leases, const struct link *link) { return leases_may_tell(leases, link); }

void leases_collect(struct leases *leases)
{
    for (struct map_entry *at = leases != NULL ? map_first(leases->tenures) : NULL; at != NULL; at = map_next(at)) {
        const struct tenure *tenure = map_value(at);
        if (tenure->wanted > 0)
            metric_set(metric_get(leases->control->instruments.lease_held, tenure->cluster),
                       tenure_may_begin(leases, tenure) ? 1 : 0);
    }
}
