#include "agent/control/leases_internal.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/internal.h"
#include "agent/observe/log.h"
#include "base/map.h"
#include "base/text.h"

static bool is_ours_to_know(const char *name)
{
    return text_starts_with(name, LINK_LEASE_PREFIX) || strcmp(name, LOCAL_LEASE) == 0;
}

static enum err_code on_object(void *context, enum change change, const struct json_tree *json)
{
    struct leases *leases = context;
    struct lease lease;
    lease_decode(json, &lease);
    lease.record.exists = change != CHANGE_DELETED;
    if (strcmp(lease.name, leases->self_name) == 0) {
        leases->self.generation = leases->generation;
        election_see(&leases->self.election, &lease.record, leases_chance(), leases_now_ms(leases));
        tenure_pump(&leases->self);
        return ERR_OK;
    }
    if (lease.is_replica) {
        leases_note_change(leases);
        return replicas_see(leases->replicas, &lease, leases_now_ms(leases));
    }
    if (!is_ours_to_know(lease.name))
        return ERR_OK;
    const char *cluster = text_starts_with(lease.name, LINK_LEASE_PREFIX) ? lease.name + strlen(LINK_LEASE_PREFIX) : "";
    struct tenure *tenure = tenure_obtain(leases, lease.name, cluster);
    if (tenure == NULL)
        return ERR_NOMEM;
    char holder[LEASE_IDENTITY_BYTES];
    memcpy(holder, tenure->election.seen.holder, sizeof(holder));
    tenure->generation = leases->generation;
    election_see(&tenure->election, &lease.record, leases_chance(), leases_now_ms(leases));
    if (strcmp(holder, tenure->election.seen.holder) != 0)
        leases_note_change(leases); /* else a renewal: it changes nothing */
    tenure_pump(tenure);
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
        election_miss(&leases->self.election, leases_chance(), leases_now_ms(leases));
    for (struct map_entry *at = map_first(leases->tenures); at != NULL; at = map_next(at)) {
        struct tenure *tenure = map_value(at);
        if (tenure->generation != leases->generation)
            election_miss(&tenure->election, leases_chance(), leases_now_ms(leases));
    }
    leases_note_change(leases);
}

static void on_state(void *context, const struct list_watch_state *state)
{
    struct leases *leases = context;
    enum err_code code = state->healthy ? ERR_OK : state->error.code;
    metric_set(metric_get(leases->control->instruments.leases_readable), state->healthy);
    leases_note_change(leases);
    if (leases->watch_told == code)
        return;
    leases->watch_told = code;
    /* The right is missing, or the cluster has no Leases. */
    bool denied = code == ERR_FORBIDDEN || code == ERR_NOT_FOUND;
    leases_consider_alone(leases, denied || (leases->alone && code != ERR_OK));
    if (denied)
        log_error("leases_forbidden",
                  leases_may_be_alone(leases)
                      ? LEASES_ALONE_MESSAGE("read")
                      : "Leases may not be read any more: what is held is kept as long as that may be",
                  "error", state->error.text, "remedy", LEASES_ALONE_REMEDY, NULL);
    else if (code != ERR_OK)
        log_warn("lease_watch_failed", "watching the Leases failed and is tried again", "error", state->error.text,
                 NULL);
    else
        log_info("lease_watch_recovered", "watching the Leases works again", NULL);
}

enum err_code leases_start_watch(struct leases *leases)
{
    char path[LEASES_PATH_BYTES];
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
