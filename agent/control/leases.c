#include "agent/control/leases.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/control/election.h"
#include "agent/control/identity.h"
#include "agent/control/internal.h"
#include "agent/control/replicas.h"
#include "agent/control/shares.h"
#include "agent/kube/codec.h"
#include "agent/kube/lease.h"
#include "agent/observe/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "mirror/names.h"

#define LOCAL_LEASE "local-service-mirror-write" /* these two are Linkerd's names */
#define LINK_LEASE_PREFIX "service-mirror-write-"
#define REPLICA_LEASE_PREFIX "svcmirror-"
/* As Kubernetes' own components name their requests about Leases: in an audit log these many stand apart from writes to mirrors. */
#define USER_AGENT "leader-election (svcmirror)"

enum {
    NAME_BYTES = 254, /* an object's name */
    PATH_BYTES = 700,
    BODY_BYTES = 64 << 10,
    MOVES = 2, /* Leases that are handed over at a time */
    CHANCES = 1024,
};

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
    char self_name[NAME_BYTES];
    struct replicas *replicas;
    struct kube_request sweep; /* takes away a dead replica's Lease and, at the end, ours */
    struct loop_timer *tick;
    struct strbuf body;
    uint64_t candidates_hash, settled_ms; /* who counts, and since when that stands */
    uint64_t denied_ms;                   /* since when the right to Leases is missing; ELECTION_NEVER: it is not */
    uint32_t generation;
    enum err_code watch_told; /* the failure of the watch that was told last */
    struct err problem;       /* why a Lease could not be written for want of a right */
    bool listed, changed, stopping;
    bool granted;      /* a Lease was written once */
    bool alone;        /* the right to Leases is missing, and was from the start: written as if nobody else did */
    bool ready;        /* our caches are filled; from then on for good */
    bool decided;      /* every link has had a holder, since that */
    bool sweep_denied; /* which was told */
};

static uint64_t now_ms(const struct leases *leases) { return loop_precise_us(leases->control->config.loop) / 1000; }

static uint32_t chance(void) { return arc4random_uniform(CHANCES); }

static void note_change(struct leases *leases)
{
    leases->changed = true;
    loop_wake(leases->control->config.loop);
}

static bool is_gone(const struct tenure *tenure)
{
    const struct lease_record *seen = &tenure->election.seen;
    return seen->exists && strcmp(seen->holder, tenure->leases->election.identity) != 0 &&
           identity_is_gone(tenure->leases->identity, seen->holder);
}

static bool is_self(const struct tenure *tenure) { return tenure == &tenure->leases->self; }

/* ---- telling ---- */

static bool is_served_by(struct leases *leases, const struct tenure *tenure, const struct link *link);

static bool chooses(void *context, const struct mirror *mirror);

/* What was written by another may have changed since it was planned here: it is looked at once more, which writes nothing where all is right. */
static void begin_work(struct tenure *tenure)
{
    struct leases *leases = tenure->leases;
    struct control *control = leases->control;
    world_mark_if(control->world, chooses, tenure);
    for (struct target *target = links_first(control->links); target != NULL; target = links_next(target))
        if (is_served_by(leases, tenure, target_link(target)))
            statuses_mark(control->statuses, target_world_link(target));
    loop_wake(control->config.loop);
}

static void tell_others(struct tenure *tenure)
{
    const char *holder = tenure->election.seen.holder;
    if (tenure->wanted == 0 || !election_is_elsewhere(&tenure->election, is_gone(tenure), now_ms(tenure->leases)) ||
        strcmp(holder, tenure->holder_told) == 0)
        return;
    (void)snprintf(tenure->holder_told, sizeof(tenure->holder_told), "%s", holder);
    log_info("lease_elsewhere", "another writes these mirrors", "cluster", tenure->cluster, "lease", tenure->name,
             "holder", holder, NULL);
}

static void tell_state(struct tenure *tenure)
{
    enum election_state before = tenure->shown, now = tenure->election.state;
    struct metric *transitions = tenure->leases->control->instruments.lease_transitions;
    tenure->shown = now;
    if (is_self(tenure))
        return;
    tell_others(tenure);
    if (before == now)
        return;
    note_change(tenure->leases);
    bool had = before == ELECTION_HOLDING || before == ELECTION_LEAVING, has = now == ELECTION_HOLDING;
    if (has && !had) {
        tenure->holder_told[0] = '\0';
        metric_add(metric_get(transitions, tenure->cluster), 1);
        log_info("lease_won", "this replica writes these mirrors from now on", "cluster", tenure->cluster, "lease",
                 tenure->name, "transitions", log_u64(tenure->election.seen.transitions), NULL);
        begin_work(tenure);
    } else if (had && now == ELECTION_STANDBY) {
        metric_add(metric_get(transitions, tenure->cluster), 1);
        if (before == ELECTION_LEAVING && strcmp(tenure->election.seen.holder, tenure->leases->election.identity) != 0)
            log_info("lease_released", "another replica may write these mirrors from now on", "cluster",
                     tenure->cluster, "lease", tenure->name, NULL);
        else
            log_warn("lease_lost", "these mirrors are not written until the Lease is ours again", "cluster",
                     tenure->cluster, "lease", tenure->name, "holder", tenure->election.seen.holder, NULL);
    }
}

/* Whoever wrote the mirrors of a link that is gone may not know yet that it is: until the Lease is free they are left alone. */
static void consider_lingering(struct tenure *tenure)
{
    const struct election *election = &tenure->election;
    bool held = election->state == ELECTION_HOLDING || election->state == ELECTION_LEAVING ||
                election_is_elsewhere(election, is_gone(tenure), now_ms(tenure->leases));
    bool lingered = tenure->lingers;
    tenure->lingers = held && tenure->wanted == 0;
    if (lingered && !held && tenure->leases->local != NULL)
        begin_work(tenure->leases->local);
}

/* Who may not write Leases but sees them waits for those that others hold. */
static void consider_elsewhere(struct tenure *tenure)
{
    bool elsewhere = election_is_elsewhere(&tenure->election, is_gone(tenure), now_ms(tenure->leases));
    bool was_elsewhere = tenure->elsewhere;
    tenure->elsewhere = elsewhere;
    if (was_elsewhere && !elsewhere && tenure->leases->alone)
        begin_work(tenure);
}

/* Where Leases were never to be had there can be no second replica that relies on them; where the right was lost later there may be. */
static bool may_be_alone(const struct leases *leases)
{
    return !leases->granted && (!leases->listed || leases->alone || leases->problem.code != ERR_OK);
}

/* An API server that has just started refuses what it has not read the roles for yet: a right is missing when it is for a retry period. */
static void consider_alone(struct leases *leases, bool denied)
{
    bool may_be = denied && may_be_alone(leases);
    if (may_be && leases->denied_ms == ELECTION_NEVER) {
        leases->denied_ms = now_ms(leases);
        loop_timer_start(leases->tick, leases->election.retry_ms);
    } else if (!may_be) {
        leases->denied_ms = ELECTION_NEVER;
    }
    bool alone = may_be && now_ms(leases) >= leases->denied_ms + leases->election.retry_ms;
    if (leases->alone == alone)
        return;
    leases->alone = alone;
    for (struct map_entry *at = alone ? map_first(leases->tenures) : NULL; at != NULL; at = map_next(at))
        begin_work(map_value(at));
    note_change(leases);
}

#define ALONE_MESSAGE(verb)                                                                                            \
    "Leases may not be " verb                                                                                          \
    ": when that stays so, what nobody is seen to hold is written as if this replica were alone"
#define ALONE_REMEDY                                                                                                   \
    "grant get, list, watch, create, patch and delete on leases in coordination.k8s.io, or run a single replica with " \
    "--leader-elect=false"

static void tell_result(struct tenure *tenure, const struct kube_failure *failure)
{
    struct leases *leases = tenure->leases;
    enum err_code code = failure != NULL ? failure->error.code : ERR_OK;
    if (code == ERR_CONFLICT || code == ERR_EXISTS || code == ERR_NOT_FOUND)
        return; /* somebody was faster: that is how it works */
    bool forbidden = code == ERR_FORBIDDEN;
    if (forbidden && leases->problem.code == ERR_OK)
        log_error("lease_forbidden",
                  leases->granted ? "Leases may not be written any more, so nothing else is" : ALONE_MESSAGE("written"),
                  "error", failure->error.text, "remedy", ALONE_REMEDY, NULL);
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
        consider_alone(leases, forbidden);
}

/* ---- one Lease: what the election says is done ---- */

static void pump(struct tenure *tenure);

static void on_answered(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct tenure *tenure = request->context;
    struct lease lease;
    lease_decode(object, &lease);
    /* Without a resourceVersion it is no Lease, and the next write of it would not be conditional. */
    enum err_code code = failure != NULL                   ? failure->error.code
                         : lease.record.version[0] != '\0' ? ERR_OK
                                                           : ERR_PROTOCOL;
    tell_result(tenure, failure);
    election_answered(&tenure->election, code, code == ERR_OK ? &lease.record : NULL, chance(), now_ms(tenure->leases));
    pump(tenure);
}

static void build(struct tenure *tenure, enum election_action action)
{
    struct leases *leases = tenure->leases;
    struct lease lease = {.name = tenure->name, .is_replica = is_self(tenure), .is_ready = leases->ready};
    char time[TEXT_TIME_BYTES];
    text_format_time_micro(loop_wall_us(leases->control->config.loop), time);
    election_compose(&tenure->election, action, time, &lease.record);
    if (action == ELECTION_CREATE)
        lease_write_create(&leases->body, leases->control->namespace, &lease);
    else
        lease_write_patch(&leases->body, &lease);
}

static const char *const verbs[] = {[ELECTION_GET] = "get",
                                    [ELECTION_CREATE] = "create",
                                    [ELECTION_TAKE] = "patch",
                                    [ELECTION_RENEW] = "patch",
                                    [ELECTION_RELEASE] = "patch"};

static void send(struct tenure *tenure, enum election_action action)
{
    struct leases *leases = tenure->leases;
    bool creates = action == ELECTION_CREATE;
    char path[PATH_BYTES];
    struct err ignored = {0};
    (void)snprintf(path, sizeof(path), LEASES_GROUP "/namespaces/%s/leases%s%s%s", leases->control->namespace,
                   creates ? "" : "/", creates ? "" : tenure->name,
                   action == ELECTION_GET ? "" : "?fieldManager=" OBJECT_FIELD_MANAGER);
    strbuf_clear(&leases->body);
    if (action != ELECTION_GET)
        build(tenure, action);
    tenure->request = (struct kube_request){.verb = verbs[action],
                                            .resource = "leases",
                                            .path = path,
                                            .content_type = creates ? NULL : "application/merge-patch+json",
                                            .user_agent = USER_AGENT,
                                            .body = strbuf_text(&leases->body),
                                            .body_bytes = leases->body.length,
                                            .timeout_ms = (uint32_t)(leases->election.renew_deadline_ms / 2),
                                            .on_done = on_answered,
                                            .context = tenure};
    election_sent(&tenure->election, action, now_ms(leases));
    enum err_code code = strbuf_error(&leases->body);
    if (code == ERR_OK)
        code = kube_start(leases->control->client, &tenure->request, &ignored);
    if (code != ERR_OK)
        election_answered(&tenure->election, code, NULL, chance(), now_ms(leases)); /* again after the retry period */
}

static void pump(struct tenure *tenure)
{
    uint64_t at_ms = ELECTION_NEVER, now;
    enum election_action action;
    if (is_self(tenure) && tenure->leases->stopping)
        return; /* it has been taken away, and stays so */
    do {
        now = now_ms(tenure->leases);
        action = election_next(&tenure->election, tenure->wish, is_gone(tenure), tenure->in_flight > 0, now, &at_ms);
        tell_state(tenure);
        consider_lingering(tenure);
        consider_elsewhere(tenure);
        if (action != ELECTION_WAIT)
            send(tenure, action);
    } while (action != ELECTION_WAIT);
    if (at_ms == ELECTION_NEVER)
        loop_timer_stop(tenure->timer);
    else
        loop_timer_start(tenure->timer, at_ms > now ? at_ms - now : 0);
}

static void on_timer(void *context)
{
    struct tenure *tenure = context;
    note_change(tenure->leases); /* perhaps a holder is outlived: who is to have it is decided first */
    pump(tenure);
}

static enum err_code tenure_init(struct tenure *tenure, struct leases *leases, const char *name, const char *cluster)
{
    tenure->leases = leases;
    tenure->name = name;
    (void)snprintf(tenure->cluster, sizeof(tenure->cluster), "%s", cluster);
    election_init(&tenure->election, &leases->election);
    tenure->timer = loop_timer_new(leases->control->config.loop, on_timer, tenure);
    return tenure->timer != NULL ? ERR_OK : ERR_NOMEM;
}

static void tenure_done(struct tenure *tenure)
{
    kube_cancel(&tenure->request);
    loop_timer_free(tenure->timer);
}

static void free_tenure(void *value)
{
    tenure_done(value);
    mem_free(value);
}

static struct tenure *obtain(struct leases *leases, const char *name, const char *cluster)
{
    struct tenure *tenure = map_get(leases->tenures, name);
    if (tenure != NULL)
        return tenure;
    tenure = NEW(struct tenure);
    if (tenure == NULL)
        return NULL;
    if (tenure_init(tenure, leases, "", cluster) != ERR_OK || map_put(leases->tenures, name, tenure) != ERR_OK) {
        free_tenure(tenure);
        return NULL;
    }
    tenure->name = map_key(map_seek(leases->tenures, name));
    return tenure;
}

/* ---- which Lease ---- */

/* Linkerd's name, made fit to be one: what shares a Lease is only written by the same. */
static void name_of(const struct link *link, char name[NAME_BYTES])
{
    const char *tail = link->kind == LINK_SECRET ? link->cluster_name : link->name;
    int length = link->kind == LINK_LOCAL ? snprintf(name, NAME_BYTES, LOCAL_LEASE)
                                          : snprintf(name, NAME_BYTES, LINK_LEASE_PREFIX "%s", tail);
    for (char *at = name; *at != '\0'; at++)
        *at = isalnum((unsigned char)*at) || *at == '.' ? (char)tolower((unsigned char)*at) : '-';
    for (int end = length < NAME_BYTES ? length : NAME_BYTES - 1; end > 0 && !isalnum((unsigned char)name[end - 1]);)
        name[--end] = '\0';
}

static struct tenure *of_link(const struct leases *leases, const struct link *link)
{
    char name[NAME_BYTES];
    if (leases->only != NULL || link == NULL || link->kind == LINK_LOCAL)
        return leases->only != NULL ? leases->only : leases->local;
    name_of(link, name);
    return map_get(leases->tenures, name);
}

static bool is_served_by(struct leases *leases, const struct tenure *tenure, const struct link *link)
{
    return of_link(leases, link) == tenure;
}

/* By cluster, because a Link's Lease is named after the Link. */
static struct tenure *find_lingering(const struct leases *leases, const char *cluster)
{
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at)) {
        struct tenure *tenure = map_value(at);
        if (tenure->lingers && strcmp(tenure->cluster, cluster) == 0)
            return tenure;
    }
    return NULL;
}

/* A mirror that nothing claims belongs to the link of the cluster that it is labelled with, as it did while it was claimed. */
static struct tenure *of_unclaimed(const struct leases *leases, const struct mirror *mirror)
{
    const struct service *service = mirror_service(mirror);
    const struct slice *slice = mirror_slice_count(mirror) > 0 ? mirror_slice(mirror, 0) : NULL;
    const struct object_meta *meta = service != NULL ? &service->meta : slice != NULL ? &slice->meta : NULL;
    const char *cluster = meta != NULL ? kv_get(&meta->labels, L5D_CLUSTER_NAME) : NULL;
    for (struct target *target = links_first(leases->control->links); cluster != NULL && target != NULL;
         target = links_next(target))
        if (strcmp(target_link(target)->cluster_name, cluster) == 0)
            return of_link(leases, target_link(target));
    struct tenure *lingering = cluster != NULL ? find_lingering(leases, cluster) : NULL;
    return lingering != NULL ? lingering : of_link(leases, NULL);
}

static struct tenure *of_mirror(const struct leases *leases, const struct mirror *mirror)
{
    if (leases->only != NULL)
        return leases->only;
    const struct claim *claim = mirror_first_claim(mirror);
    if (claim == NULL)
        return of_unclaimed(leases, mirror);
    return of_link(leases, claim_kind(claim) == CLAIM_FEDERATED ? NULL : world_link_declaration(claim_link(claim)));
}

static bool chooses(void *context, const struct mirror *mirror)
{
    const struct tenure *tenure = context;
    return of_mirror(tenure->leases, mirror) == tenure;
}

/* ---- the watch ---- */

static bool is_ours_to_know(const char *name)
{
    return text_starts_with(name, LINK_LEASE_PREFIX) || strcmp(name, LOCAL_LEASE) == 0;
}

static enum err_code on_object(void *context, enum change change, json_t *json)
{
    struct leases *leases = context;
    struct lease lease;
    lease_decode(json, &lease);
    lease.record.exists = change != CHANGE_DELETED;
    if (strcmp(lease.name, leases->self_name) == 0) {
        leases->self.generation = leases->generation;
        election_see(&leases->self.election, &lease.record, chance(), now_ms(leases));
        pump(&leases->self);
        return ERR_OK;
    }
    if (lease.is_replica) {
        note_change(leases);
        return replicas_see(leases->replicas, &lease, now_ms(leases));
    }
    if (!is_ours_to_know(lease.name))
        return ERR_OK;
    const char *cluster = text_starts_with(lease.name, LINK_LEASE_PREFIX) ? lease.name + strlen(LINK_LEASE_PREFIX) : "";
    struct tenure *tenure = obtain(leases, lease.name, cluster);
    if (tenure == NULL)
        return ERR_NOMEM;
    char holder[LEASE_IDENTITY_BYTES];
    memcpy(holder, tenure->election.seen.holder, sizeof(holder));
    tenure->generation = leases->generation;
    election_see(&tenure->election, &lease.record, chance(), now_ms(leases));
    if (strcmp(holder, tenure->election.seen.holder) != 0)
        note_change(leases); /* else a renewal: it changes nothing */
    pump(tenure);
    return ERR_OK;
}

static void on_begin(void *context)
{
    struct leases *leases = context;
    leases->generation++;
    replicas_begin(leases->replicas);
}

static void on_end(void *context)
{
    struct leases *leases = context;
    if (!leases->listed)
        log_info("leases_listed", "mirrors are written by whoever of the replicas holds their Lease", "identity",
                 identity_text(leases->identity), NULL);
    leases->listed = true;
    replicas_end(leases->replicas);
    if (leases->self.generation != leases->generation)
        election_miss(&leases->self.election, now_ms(leases));
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at)) {
        struct tenure *tenure = map_value(at);
        if (tenure->generation != leases->generation)
            election_miss(&tenure->election, now_ms(leases));
    }
    note_change(leases);
}

static void on_state(void *context, const struct list_watch_state *state)
{
    struct leases *leases = context;
    enum err_code code = state->healthy ? ERR_OK : state->error.code;
    metric_set(metric_get(leases->control->instruments.leases_readable), state->healthy);
    note_change(leases);
    if (leases->watch_told == code)
        return;
    leases->watch_told = code;
    /* The right is missing, or the cluster has no Leases. */
    bool denied = code == ERR_FORBIDDEN || code == ERR_NOT_FOUND;
    consider_alone(leases, denied || (leases->alone && code != ERR_OK));
    if (denied)
        log_error("leases_forbidden",
                  may_be_alone(leases) ? ALONE_MESSAGE("read")
                                       : "Leases may not be read any more: what is held is kept as long as that may be",
                  "error", state->error.text, "remedy", ALONE_REMEDY, NULL);
    else if (code != ERR_OK)
        log_warn("lease_watch_failed", "watching the Leases failed and is tried again", "error", state->error.text,
                 NULL);
    else
        log_info("lease_watch_recovered", "watching the Leases works again", NULL);
}

/* ---- who should hold what ---- */

static size_t index_of(const char *const *identities, size_t count, const char *identity)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(identities[i], identity) == 0)
            return i;
    return count;
}

/* A Lease that expired tells that its holder is dead, whatever its own Lease still says. */
static void suspect_holders(struct leases *leases)
{
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at)) {
        const struct tenure *tenure = map_value(at);
        const struct election *election = &tenure->election;
        if (election->state == ELECTION_STANDBY && election->seen.exists && election->seen.holder[0] != '\0' &&
            !election_is_elsewhere(election, false, now_ms(leases)))
            replicas_suspect(leases->replicas, election->seen.holder);
    }
}

static int holder_of(const struct leases *leases, const struct tenure *tenure, const char *const *identities,
                     size_t count)
{
    const struct election *election = &tenure->election;
    bool ours = election->state == ELECTION_HOLDING || election->state == ELECTION_LEAVING;
    if (!ours && !election_is_elsewhere(election, is_gone(tenure), now_ms(leases)))
        return SHARES_FREE;
    const char *holder = ours ? leases->election.identity : election->seen.holder;
    size_t index = index_of(identities, count, holder);
    if (index < count)
        return (int)index;
    return replicas_knows(leases->replicas, holder) ? SHARES_FREE : SHARES_ELSEWHERE;
}

static void set_wish(struct tenure *tenure, int assigned, size_t own)
{
    enum election_wish wish = assigned == (int)own ? ELECTION_NOW : ELECTION_LATER;
    if (tenure->leases->stopping || tenure->wanted == 0)
        wish = ELECTION_AVOID;
    tenure->wish = wish;
    if (wish == ELECTION_AVOID)
        election_leave(&tenure->election);
}

static bool is_moving(const struct tenure *tenure)
{
    const struct election *election = &tenure->election;
    return tenure->wanted > 0 && (election->state == ELECTION_LEAVING ||
                                  (election->state == ELECTION_STANDBY &&
                                   !election_is_elsewhere(election, is_gone(tenure), now_ms(tenure->leases))));
}

/* The wanted Leases of links, in order of name, with who holds them: what is shared. */
static size_t list_shared(const struct leases *leases, const char *const *identities, size_t count,
                          struct tenure **tenures, struct shares_item *items)
{
    size_t shared = 0;
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at)) {
        struct tenure *tenure = map_value(at);
        if (tenure == leases->local || tenure->wanted == 0)
            continue;
        tenures[shared] = tenure;
        items[shared++].holder = holder_of(leases, tenure, identities, count);
    }
    return shared;
}

/* What belongs to no single link goes to whoever has least, and stays there. */
static void assign_local(struct leases *leases, const char *const *identities, size_t count, const unsigned *counts,
                         size_t own)
{
    if (leases->local == NULL)
        return;
    int assigned = holder_of(leases, leases->local, identities, count);
    for (size_t i = 0, least = 0; assigned == SHARES_FREE && i < count; i++) {
        least = counts[i] < counts[least] ? i : least;
        if (i + 1 == count)
            assigned = (int)least;
    }
    set_wish(leases->local, assigned, own);
}

/* A few at a time, and not while replicas come and go. */
static void hand_over(struct leases *leases, struct tenure **tenures, const struct shares_item *items, size_t shared,
                      size_t own)
{
    unsigned moving = 0;
    if (!leases->ready || now_ms(leases) < leases->settled_ms)
        return;
    for (size_t i = 0; i < shared; i++)
        moving += is_moving(tenures[i]) ? 1 : 0;
    for (size_t i = 0; i < shared && moving < MOVES; i++)
        if (tenures[i]->election.state == ELECTION_HOLDING && items[i].assigned >= 0 && items[i].assigned != (int)own) {
            log_info("lease_handed_over", "another replica is to write these mirrors, so that all share alike",
                     "cluster", tenures[i]->cluster, "lease", tenures[i]->name, NULL);
            election_leave(&tenures[i]->election);
            moving++;
        }
}

static uint64_t hash_of(const char *const *identities, size_t count)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (size_t i = 0; i < count; i++)
        for (const char *at = identities[i]; at == identities[i] || at[-1] != '\0'; at++)
            hash = (hash ^ (unsigned char)*at) * UINT64_C(1099511628211);
    return hash;
}

static enum err_code decide(struct leases *leases)
{
    const char *identities[REPLICAS_MAX];
    unsigned counts[REPLICAS_MAX];
    suspect_holders(leases);
    size_t count = replicas_candidates(leases->replicas, leases->ready, now_ms(leases), identities);
    size_t own = index_of(identities, count, leases->election.identity), max = map_count(leases->tenures);
    struct tenure **tenures = mem_zalloc((max + 1) * sizeof(struct tenure *));
    struct shares_item *items = mem_zalloc((max + 1) * sizeof(struct shares_item));
    if (tenures == NULL || items == NULL) {
        mem_free(tenures);
        mem_free(items);
        return ERR_NOMEM;
    }
    uint64_t hash = hash_of(identities, count);
    if (hash != leases->candidates_hash) {
        leases->candidates_hash = hash;
        leases->settled_ms = now_ms(leases) + leases->election.retry_ms;
    }
    size_t shared = list_shared(leases, identities, count, tenures, items);
    shares_assign(items, shared, counts, count);
    assign_local(leases, identities, count, counts, own);
    hand_over(leases, tenures, items, shared, own);
    for (size_t i = 0; i < shared; i++)
        set_wish(tenures[i], items[i].assigned, own);
    mem_free(tenures);
    mem_free(items);
    return ERR_OK;
}

/* A Lease that is gone, of no link. */
static bool is_forgettable(const struct tenure *tenure)
{
    const struct election *election = &tenure->election;
    return tenure->wanted == 0 && tenure->in_flight == 0 && election->state == ELECTION_STANDBY &&
           election->asked == ELECTION_WAIT && !election->seen.exists && !election->must_get;
}

static void pump_all(struct leases *leases)
{
    for (struct map_entry *at = map_first(leases->tenures), *next; at != NULL; at = next) {
        struct tenure *tenure = map_value(at);
        next = map_next(at);
        if (tenure->wanted == 0 || leases->stopping)
            set_wish(tenure, SHARES_FREE, 0);
        pump(tenure);
        if (is_forgettable(tenure))
            (void)map_remove(leases->tenures, map_key(at));
    }
    pump(&leases->self);
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
    note_change(leases);
}

static void sweep(struct leases *leases, const char *name, const char *version)
{
    char path[PATH_BYTES];
    struct err ignored = {0};
    if (leases->sweep.client != NULL)
        return; /* one at a time */
    (void)snprintf(path, sizeof(path), LEASES_GROUP "/namespaces/%s/leases/%s", leases->control->namespace, name);
    strbuf_clear(&leases->body);
    codec_write_delete_options(&leases->body, "", version);
    leases->sweep = (struct kube_request){.verb = "delete",
                                          .resource = "leases",
                                          .path = path,
                                          .user_agent = USER_AGENT,
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
    election_hurry(&leases->self.election, now_ms(leases));
    note_change(leases);
}

/* Whether each link has a holder; or it was tried, and what hinders it is told elsewhere. */
static bool all_decided(const struct leases *leases)
{
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at)) {
        const struct tenure *tenure = map_value(at);
        bool open = tenure->election.state == ELECTION_UNKNOWN || is_moving(tenure);
        if (open && tenure != leases->local && tenure->wanted > 0 && !tenure->failing)
            return false;
    }
    return true;
}

static void on_tick(void *context)
{
    struct leases *leases = context;
    const char *version = NULL, *leftover = replicas_leftover(leases->replicas, now_ms(leases), &version);
    if (leftover != NULL)
        sweep(leases, leftover, version);
    if (leases->denied_ms != ELECTION_NEVER)
        consider_alone(leases, true);
    note_change(leases);
    loop_timer_start(leases->tick, leases->election.retry_ms);
}

void leases_turn(struct leases *leases)
{
    if (leases == NULL || leases->stopping)
        return;
    if (!leases->ready)
        become_ready(leases);
    if (leases->ready && !leases->decided)
        leases->decided = leases->listed && all_decided(leases);
    if (!leases->changed || !leases->listed)
        return;
    leases->changed = decide(leases) != ERR_OK;
    if (leases->changed)
        control_turn_again(leases->control);
    pump_all(leases);
}

/* ---- life ---- */

static enum err_code start_watch(struct leases *leases)
{
    char path[PATH_BYTES];
    struct err ignored = {0};
    (void)snprintf(path, sizeof(path), LEASES_GROUP "/namespaces/%s/leases", leases->control->namespace);
    const struct list_watch_config config = {.resource = "leases",
                                             .kind = "Lease",
                                             .path = path,
                                             .on_object = on_object,
                                             .on_begin = on_begin,
                                             .on_end = on_end,
                                             .on_state = on_state,
                                             .context = leases};
    return list_watch_new(leases->control->config.loop, leases->control->client, &config, &leases->list_watch,
                          &ignored);
}

static enum err_code want_first(struct leases *leases)
{
    const char *only = leases->control->config.only_link;
    struct link link = {.kind = LINK_RESOURCE, .name = only};
    char name[NAME_BYTES] = LOCAL_LEASE;
    if (only != NULL && only[0] != '\0')
        name_of(&link, name);
    struct tenure *tenure = obtain(leases, name, only != NULL && only[0] != '\0' ? only : "local");
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
    leases->tenures = map_new(free_tenure);
    leases->replicas = replicas_new(leases->self_name, leases->identity);
    leases->tick = loop_timer_new(control->config.loop, on_tick, leases);
    if (leases->tenures == NULL || leases->replicas == NULL || leases->tick == NULL)
        return ERR_NOMEM;
    TRY(tenure_init(&leases->self, leases, leases->self_name, ""));
    leases->self.wish = ELECTION_NOW;
    leases->self.wanted = 1;
    TRY(want_first(leases));
    loop_timer_start(leases->tick, leases->election.retry_ms);
    return start_watch(leases);
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
    char name[NAME_BYTES];
    if (leases == NULL || leases->only != NULL)
        return ERR_OK;
    name_of(link, name);
    struct tenure *tenure = obtain(leases, name, link->cluster_name);
    if (tenure == NULL)
        return ERR_NOMEM;
    (void)snprintf(tenure->cluster, sizeof(tenure->cluster), "%s", link->cluster_name);
    tenure->wanted++;
    if (leases->listed && tenure->election.state == ELECTION_UNKNOWN)
        election_miss(&tenure->election, now_ms(leases)); /* nothing is known of it: it is not there */
    note_change(leases);
    return ERR_OK;
}

void leases_leave(struct leases *leases, const struct link *link)
{
    struct tenure *tenure = leases != NULL && leases->only == NULL ? of_link(leases, link) : NULL;
    if (tenure == NULL || tenure->wanted == 0)
        return;
    tenure->wanted--;
    consider_lingering(tenure); /* before its mirrors are planned */
    note_change(leases);
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

/* Alone: what others are seen to hold is theirs all the same. */
static bool may_alone(const struct leases *leases, const struct tenure *tenure)
{
    return leases->alone &&
           (tenure == NULL || !election_is_elsewhere(&tenure->election, is_gone(tenure), now_ms(leases)));
}

static bool may_begin(const struct leases *leases, const struct tenure *tenure)
{
    return may_alone(leases, tenure) || (tenure != NULL && election_may_begin(&tenure->election, now_ms(leases)));
}

bool leases_may_write(struct leases *leases, const struct mirror *mirror)
{
    return leases == NULL || may_begin(leases, of_mirror(leases, mirror));
}

bool leases_may_tell(struct leases *leases, const struct link *link)
{
    return leases == NULL || may_begin(leases, of_link(leases, link));
}

bool leases_is_elsewhere(struct leases *leases, const struct link *link)
{
    const struct tenure *tenure = leases != NULL ? of_link(leases, link) : NULL;
    return tenure != NULL && election_is_elsewhere(&tenure->election, is_gone(tenure), now_ms(leases));
}

static struct tenure *begin(struct tenure *tenure)
{
    if (tenure != NULL)
        tenure->in_flight++;
    return tenure;
}

struct tenure *leases_begin(struct leases *leases, const struct mirror *mirror)
{
    return begin(leases != NULL ? of_mirror(leases, mirror) : NULL);
}

struct tenure *leases_begin_status(struct leases *leases, const struct link *link)
{
    return begin(leases != NULL ? of_link(leases, link) : NULL);
}

bool tenure_may_send(const struct tenure *tenure)
{
    return tenure == NULL || may_alone(tenure->leases, tenure) ||
           election_may_send(&tenure->election, now_ms(tenure->leases));
}

void tenure_end(struct tenure *tenure)
{
    if (tenure == NULL)
        return;
    tenure->in_flight--;
    if (tenure->in_flight == 0 && tenure->election.state == ELECTION_LEAVING)
        pump(tenure);
}

const char *leases_holder(struct leases *leases, const struct link *link)
{
    const struct tenure *tenure = leases != NULL ? of_link(leases, link) : NULL;
    return tenure != NULL && tenure->election.seen.exists ? tenure->election.seen.holder : "";
}

bool leases_holds(struct leases *leases, const struct link *link) { return leases_may_tell(leases, link); }

void leases_collect(struct leases *leases)
{
    for (struct map_entry *at = leases != NULL ? map_first(leases->tenures) : NULL; at != NULL; at = map_next(at)) {
        const struct tenure *tenure = map_value(at);
        if (tenure->wanted > 0)
            metric_set(metric_get(leases->control->instruments.lease_held, tenure->cluster),
                       may_begin(leases, tenure) ? 1 : 0);
    }
}
