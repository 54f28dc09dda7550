#include "agent/control/leases_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/control/internal.h"
#include "agent/observe/log.h"
#include "base/map.h"
#include "base/mem.h"

enum { LEASE_BYTES = 1 << 20 }; /* as a tree, with the fields of others */

static bool is_gone(const struct tenure *tenure)
{
    const struct lease_record *seen = &tenure->election.seen;
    return seen->exists && strcmp(seen->holder, tenure->leases->election.identity) != 0 &&
           identity_is_gone(tenure->leases->identity, seen->holder);
}

bool tenure_holds(const struct tenure *tenure)
{
    return tenure->election.state == ELECTION_HOLDING || tenure->election.state == ELECTION_LEAVING;
}

bool tenure_is_elsewhere(const struct tenure *tenure)
{
    return tenure->election.state == ELECTION_STANDBY &&
           election_is_elsewhere(&tenure->election, is_gone(tenure), leases_now_ms(tenure->leases));
}

static bool is_self(const struct tenure *tenure) { return tenure == &tenure->leases->self; }

/* ---- telling ---- */

void tenure_begin_work(struct tenure *tenure)
{
    tenure->begins = tenure->leases->begins = true;
    loop_wake(tenure->leases->control->config.loop);
}

static void tell_others(struct tenure *tenure)
{
    const char *holder = tenure->election.seen.holder;
    if (tenure->wanted == 0 || !tenure_is_elsewhere(tenure) || strcmp(holder, tenure->holder_told) == 0)
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
    leases_note_change(tenure->leases);
    bool had = before == ELECTION_HOLDING || before == ELECTION_LEAVING, has = now == ELECTION_HOLDING;
    if (has && !had) {
        tenure->holder_told[0] = '\0';
        metric_add(metric_get(transitions, tenure->cluster), 1);
        log_info("lease_won", "this replica writes these mirrors from now on", "cluster", tenure->cluster, "lease",
                 tenure->name, "transitions", log_u64(tenure->election.seen.transitions), NULL);
        tenure_begin_work(tenure);
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
void tenure_consider_lingering(struct tenure *tenure)
{
    bool held = tenure_holds(tenure) || tenure_is_elsewhere(tenure);
    bool lingered = tenure->lingers;
    tenure->lingers = held && tenure->wanted == 0;
    if (lingered && !held && tenure->leases->local != NULL)
        tenure_begin_work(tenure->leases->local);
}

/* Who may not write Leases but sees them waits for those that others hold. */
static void consider_elsewhere(struct tenure *tenure)
{
    bool elsewhere = tenure_is_elsewhere(tenure);
    bool was_elsewhere = tenure->elsewhere;
    tenure->elsewhere = elsewhere;
    if (was_elsewhere && !elsewhere && tenure->leases->alone)
        tenure_begin_work(tenure);
}

/* ---- what the election says is done ---- */

static void on_answered(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct tenure *tenure = request->context;
    struct arena arena;
    const struct json_tree *tree = NULL;
    struct lease lease;
    arena_init(&arena, LEASE_BYTES);
    enum err_code code = json_tree_of(&arena, object, &tree);
    lease_decode(tree, &lease);
    arena_done(&arena);
    if (failure != NULL)
        code = failure->error.code;
    else if (code == ERR_OK && lease.record.version[0] == '\0')
        code = ERR_PROTOCOL; /* it is no Lease, and the next write of it would not be conditional */
    leases_note_result(tenure, failure);
    election_answered(&tenure->election, code, code == ERR_OK ? &lease.record : NULL, leases_chance(),
                      leases_now_ms(tenure->leases));
    tenure_pump(tenure);
}

static void build(struct tenure *tenure, enum election_action action)
{
    struct leases *leases = tenure->leases;
    struct lease lease = {.name = tenure->name,
                          .is_replica = is_self(tenure),
                          .is_ready = leases->ready,
                          .scope = leases->only != NULL ? leases->only->name : ""};
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

/* So that one without an answer leaves time for another before the deadline. */
static uint32_t timeout_ms(const struct election_config *config)
{
    bool rests = config->renew_ms > config->retry_ms;
    return (uint32_t)((config->renew_deadline_ms - (rests ? config->renew_ms : 0)) / 2);
}

static void send(struct tenure *tenure, enum election_action action)
{
    struct leases *leases = tenure->leases;
    bool creates = action == ELECTION_CREATE;
    char path[LEASES_PATH_BYTES];
    struct kube_failure failure = {0};
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
                                            .user_agent = LEASES_USER_AGENT,
                                            .body = strbuf_text(&leases->body),
                                            .body_bytes = leases->body.length,
                                            .timeout_ms = timeout_ms(&leases->election),
                                            .on_done = on_answered,
                                            .context = tenure};
    election_sent(&tenure->election, action, leases_now_ms(leases));
    enum err_code code = strbuf_error(&leases->body);
    if (code != ERR_OK)
        (void)err_set(&failure.error, code, "out of memory");
    else
        code = kube_start(leases->control->client, &tenure->request, &failure.error);
    if (code == ERR_OK)
        return;
    leases_note_result(tenure, &failure);
    election_answered(&tenure->election, code, NULL, leases_chance(), leases_now_ms(leases)); /* again later */
}

void tenure_pump(struct tenure *tenure)
{
    uint64_t at_ms = ELECTION_NEVER, now;
    enum election_action action;
    if (is_self(tenure) && tenure->leases->stopping)
        return; /* it has been taken away, and stays so */
    do {
        now = leases_now_ms(tenure->leases);
        action = election_next(&tenure->election, tenure->wish, is_gone(tenure), tenure->in_flight > 0, now, &at_ms);
        tell_state(tenure);
        tenure_consider_lingering(tenure);
        consider_elsewhere(tenure);
        if (action != ELECTION_WAIT)
            send(tenure, action);
    } while (action != ELECTION_WAIT);
    uint64_t free_ms = election_free_at(&tenure->election, is_gone(tenure)); /* then it is decided who is to have it */
    if (free_ms > now && free_ms < at_ms)
        at_ms = free_ms;
    if (at_ms == ELECTION_NEVER)
        loop_timer_stop(tenure->timer);
    else
        loop_timer_start(tenure->timer, at_ms > now ? at_ms - now : 0);
}

static void on_timer(void *context)
{
    struct tenure *tenure = context;
    /* A renewal changes nothing, and hundreds of Leases make many. Else a holder may be outlived: who is to have it is decided first. */
    if (!tenure_holds(tenure))
        leases_note_change(tenure->leases);
    tenure_pump(tenure);
}

void tenure_set_wish(struct tenure *tenure, int assigned, size_t own)
{
    enum election_wish wish = assigned == (int)own ? ELECTION_NOW : ELECTION_LATER;
    if (tenure->leases->stopping || tenure->wanted == 0)
        wish = ELECTION_AVOID;
    tenure->wish = wish;
    if (wish == ELECTION_AVOID)
        election_leave(&tenure->election);
}

bool tenure_is_moving(const struct tenure *tenure)
{
    enum election_state state = tenure->election.state;
    return tenure->wanted > 0 &&
           (state == ELECTION_LEAVING || (state == ELECTION_STANDBY && !tenure_is_elsewhere(tenure)));
}

/* ---- life ---- */

enum err_code tenure_init(struct tenure *tenure, struct leases *leases, const char *name, const char *cluster)
{
    tenure->leases = leases;
    tenure->name = name;
    (void)snprintf(tenure->cluster, sizeof(tenure->cluster), "%s", cluster);
    election_init(&tenure->election, &leases->election);
    tenure->timer = loop_timer_new(leases->control->config.loop, on_timer, tenure);
    return tenure->timer != NULL ? ERR_OK : ERR_NOMEM;
}

void tenure_done(struct tenure *tenure)
{
    kube_cancel(&tenure->request);
    loop_timer_free(tenure->timer);
}

void tenure_free(void *value)
{
    tenure_done(value);
    mem_free(value);
}

struct tenure *tenure_obtain(struct leases *leases, const char *name, const char *cluster)
{
    struct tenure *tenure = map_get(leases->tenures, name);
    if (tenure != NULL)
        return tenure;
    tenure = NEW(struct tenure);
    if (tenure == NULL)
        return NULL;
    if (tenure_init(tenure, leases, "", cluster) != ERR_OK || map_put(leases->tenures, name, tenure) != ERR_OK) {
        tenure_free(tenure);
        return NULL;
    }
    tenure->name = map_key(map_seek(leases->tenures, name));
    return tenure;
}

/* ---- writes under it ---- */

/* Alone: what others are seen to hold is theirs all the same. */
static bool may_alone(const struct leases *leases, const struct tenure *tenure)
{
    return leases->alone && (tenure == NULL || !tenure_is_elsewhere(tenure));
}

bool tenure_may_begin(const struct leases *leases, const struct tenure *tenure)
{
    return may_alone(leases, tenure) ||
           (tenure != NULL && election_may_begin(&tenure->election, leases_now_ms(leases)));
}

bool tenure_may_send(const struct tenure *tenure)
{
    return tenure == NULL || may_alone(tenure->leases, tenure) ||
           election_may_send(&tenure->election, leases_now_ms(tenure->leases));
}

void tenure_end(struct tenure *tenure)
{
    if (tenure == NULL)
        return;
    tenure->in_flight--;
    if (tenure->in_flight == 0 && tenure->election.state == ELECTION_LEAVING)
        tenure_pump(tenure);
}
