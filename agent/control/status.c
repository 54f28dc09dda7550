/* The state of every exported service in its Link's status, as Linkerd's own controller writes it: one entry a service, one condition an entry. Written
 * when something changed, at most once a second for each Link and less often when the API server has long to do with it, by turns among the Links, and
 * only when the API does not hold it already. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "agent/control/internal.h"
#include "agent/control/status_list.h"
#include "agent/control/status_turns.h"
#include "agent/observe/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "mirror/names.h"

enum {
    COALESCE_MS = 1000,
    RETRY_MS = 5000,
    BYTES_PER_MS = 100, /* etcd keeps every version for minutes, and all who watch Links are sent each */
    /* An API server works on it for up to a millisecond an entry: it gets twenty times as long to do other things, but no more than the length is
     * worth, so that a short one waits for no server that is merely slow. */
    REST_FACTOR = 20,
    REST_BYTES_PER_MS = 25,
    REST_CAP_MS = 15000,
    MAX_STATUS_BYTES = 1000 * 1000, /* etcd takes 1.5 MiB for the whole object */
    SCRATCH_BYTES = 2 << 20,        /* for what turns out to be too long, or to be there already */
    HELD_BYTES = 256 << 20,         /* of what the API holds, as values: up to 25 times its text */
};

struct link_status {
    struct link_statuses *statuses;
    struct world_link *link;
    struct loop_timer *timer;
    struct status_turn turn; /* that it asks for when the timer fires */
    struct kube_request request;
    struct tenure *tenure; /* under which it is being written */
    size_t bytes;          /* of what was written last */
    uint64_t sent_ms;      /* when */
    uint64_t next_ms;      /* it is not written again before */
    char written[24];      /* the Link's resourceVersion, a decimal 64-bit number, that the last write led to */
    bool marked, writing;
};

struct link_statuses {
    struct control *control;
    struct map *links; /* by link id -> struct link_status */
    struct status_turns turns;
    struct loop_timer *timer; /* of the next turn */
    bool stopped;             /* what is not sent by now never is */
};

static uint64_t now_ms(const struct link_status *status) { return loop_now_ms(status->statuses->control->config.loop); }

static void end_writing(struct link_status *status)
{
    uint64_t now = now_ms(status);
    status->writing = false;
    status_turns_end(&status->statuses->turns, now - status->sent_ms, now);
}

static void free_status(void *value)
{
    struct link_status *status = value;
    if (status->writing)
        end_writing(status);
    status_turns_withdraw(&status->statuses->turns, &status->turn);
    kube_cancel(&status->request);
    tenure_end(TAKE(status->tenure));
    loop_timer_free(status->timer);
    mem_free(status);
}

/* The two lists of a Link's status, and whose claims stand in them. */
static const struct {
    const char *key;
    enum claim_kind kind;
} lists[] = {{"mirrorServices", CLAIM_SERVICE}, {"federatedServices", CLAIM_FEDERATED}};

enum { LISTS = ARRAY_COUNT(lists) };

/* ---- writing it ---- */

static uint64_t lesser(uint64_t a, uint64_t b) { return a < b ? a : b; }

static uint64_t greater(uint64_t a, uint64_t b) { return a > b ? a : b; }

static void arm(struct link_status *status, uint64_t delay_ms)
{
    if (!status->statuses->stopped && !loop_timer_active(status->timer))
        loop_timer_start(status->timer, delay_ms);
}

/* In a while, and after the rest that a long one needs. */
static void arm_next(struct link_status *status, uint64_t delay_ms)
{
    uint64_t now = now_ms(status);
    arm(status, greater(now + delay_ms, status->next_ms) - now);
}

/* Whoever waits may have a turn by now. */
static void look_for_turn(struct link_statuses *statuses)
{
    if (statuses->turns.first != NULL && !statuses->stopped && !loop_timer_active(statuses->timer))
        loop_timer_start(statuses->timer, 0);
}

static void note_rest(struct link_status *status)
{
    uint64_t now = now_ms(status), rest_ms = REST_FACTOR * (now - status->sent_ms);
    rest_ms = lesser(rest_ms, lesser(status->bytes / REST_BYTES_PER_MS, REST_CAP_MS));
    status->next_ms = greater(now + rest_ms, status->sent_ms + status->bytes / BYTES_PER_MS);
}

static void write_marked(struct link_status *status);

static void on_done(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct link_status *status = request->context;
    const char *version = json_string_value(json_object_get(json_object_get(object, "metadata"), "resourceVersion"));
    end_writing(status);
    (void)snprintf(status->written, sizeof(status->written), "%s", version != NULL ? version : "");
    if (failure == NULL || failure->error.code != ERR_CANCELLED) /* else it was not sent */
        note_rest(status);
    tenure_end(TAKE(status->tenure));
    if (failure == NULL && status->marked && status->statuses->stopped)
        write_marked(status);
    else if (failure == NULL && status->marked)
        arm_next(status, COALESCE_MS);
    look_for_turn(status->statuses);
    if (failure == NULL || failure->error.code == ERR_CANCELLED)
        return; /* written; or another writes it by now */
    log_warn("status_write_failed", "the Link's status could not be written and is tried again", "link",
             world_link_declaration(status->link)->name, "error", failure->error.text, NULL);
    status->marked = true;
    arm_next(status, failure->retry_after_ms > RETRY_MS ? (uint64_t)failure->retry_after_ms : RETRY_MS);
}

static bool may_send(const struct kube_request *request)
{
    const struct link_status *status = request->context;
    return tenure_may_send(status->tenure);
}

static enum err_code send(struct link_status *status, const struct strbuf *body)
{
    struct control *control = status->statuses->control;
    const struct link *link = world_link_declaration(status->link);
    char path[700];
    (void)snprintf(path, sizeof(path),
                   "/apis/" L5D_LINK_GROUP "/%s/namespaces/%s/links/%s/status?fieldManager=" OBJECT_FIELD_MANAGER,
                   links_version(control->links), link->namespace, link->name);
    status->request = (struct kube_request){.verb = "patch",
                                            .resource = "links/status",
                                            .path = path,
                                            .content_type = "application/merge-patch+json",
                                            .body = strbuf_text(body),
                                            .body_bytes = body->length,
                                            .only_metadata = true, /* the watch brings the rest */
                                            .may_send = may_send,
                                            .on_done = on_done,
                                            .context = status};
    struct err ignored = {0};
    status->tenure = leases_begin_status(control->leases, link);
    enum err_code code = kube_start(control->client, &status->request, &ignored);
    status->writing = code == ERR_OK;
    status->bytes = body->length;
    status->sent_ms = now_ms(status);
    if (code == ERR_OK)
        status_turns_begin(&status->statuses->turns, status->sent_ms);
    else
        tenure_end(TAKE(status->tenure));
    return code;
}

/* Appends a patch with the lists that `held`, the status that the API holds, has otherwise.
 *  @param[out] made  what each list is; @param[out] ret_needed  whether one differs. @return ERR_OK, ERR_NOMEM, ERR_LIMIT. */
static enum err_code write_patch(const struct link_status *status, const struct json_tree *held, size_t room,
                                 struct strbuf *body, struct status_list made[LISTS], bool *ret_needed)
{
    int64_t now_us = loop_wall_us(status->statuses->control->config.loop);
    *ret_needed = false;
    strbuf_append(body, "{\"status\":{");
    for (size_t i = 0; i < LISTS; i++) {
        size_t from = body->length;
        made[i] = (struct status_list){.old = json_tree_get(held, lists[i].key), .room = room};
        strbuf_printf(body, "%s\"%s\":[", *ret_needed ? "," : "", lists[i].key);
        TRY(status_list_write(&made[i], status->link, lists[i].kind, now_us, body));
        strbuf_append_char(body, ']');
        room = made[i].room;
        if (made[i].differs)
            *ret_needed = true;
        else
            strbuf_cut(body, from);
    }
    strbuf_append(body, "}}");
    return strbuf_error(body);
}

/* The same; for a Link with more services than an object can hold, of those that are not mirrored as many as it can. */
static enum err_code write_patch_that_fits(const struct link_status *status, const struct json_tree *held,
                                           struct strbuf *body, struct status_list made[LISTS], bool *ret_needed)
{
    enum err_code code = write_patch(status, held, SIZE_MAX, body, made, ret_needed);
    if (code != ERR_LIMIT && body->length <= MAX_STATUS_BYTES)
        return code;
    strbuf_clear(body);
    return write_patch(status, held, MAX_STATUS_BYTES - LISTS * STATUS_SUMMARY_BYTES, body, made, ret_needed);
}

static enum err_code write_status(struct link_status *status)
{
    const char *name = world_link_declaration(status->link)->name;
    const struct json_tree *held = NULL;
    struct status_list made[LISTS];
    struct arena arena;
    struct strbuf body;
    bool needed = false;
    arena_init(&arena, HELD_BYTES);
    strbuf_init(&body, SCRATCH_BYTES);
    enum err_code code = links_read_status(status->statuses->control->links, name, &arena, &held);
    if (code == ERR_OK)
        code = write_patch_that_fits(status, held, &body, made, &needed);
    arena_done(&arena);
    if (code == ERR_OK && needed)
        code = send(status, &body);
    strbuf_done(&body);
    return code;
}

static bool may_write(const struct link_status *status)
{
    struct control *control = status->statuses->control;
    const char *version = links_version(control->links);
    return version != NULL && strcmp(version, "v1alpha1") != 0 &&
           world_knowledge(control->world, status->link, WORLD_TARGET_SERVICES) == WORLD_LISTED;
}

static void write_marked(struct link_status *status)
{
    if (!leases_may_tell(status->statuses->control->leases, world_link_declaration(status->link))) {
        status->marked = false; /* it is marked again when the Lease is won */
        return;
    }
    if (!may_write(status)) {
        if (status->marked)
            arm(status, RETRY_MS);
        return;
    }
    status->marked = false;
    if (write_status(status) != ERR_OK) {
        status->marked = true;
        arm(status, RETRY_MS);
    }
}

/* One in each turn of the loop: reading what the API holds takes long. */
static void on_turn(void *context)
{
    struct link_statuses *statuses = context;
    struct control *control = statuses->control;
    uint64_t now = loop_now_ms(control->config.loop), at = STATUS_TURNS_NEVER;
    bool crowded = world_marked_count(control->world) > 0;
    struct status_turn *turn = status_turns_next(&statuses->turns, crowded, now, &at);
    if (at != STATUS_TURNS_NEVER)
        loop_timer_start(statuses->timer, at - now);
    if (turn != NULL)
        write_marked((struct link_status *)((char *)turn - offsetof(struct link_status, turn)));
}

static void on_timer(void *context)
{
    struct link_status *status = context;
    if (status->writing)
        return; /* on_done() goes on */
    status_turns_ask(&status->statuses->turns, &status->turn);
    look_for_turn(status->statuses);
}

static struct link_status *obtain(struct link_statuses *statuses, struct world_link *link)
{
    const char *id = world_link_declaration(link)->id;
    struct link_status *status = map_get(statuses->links, id);
    if (status != NULL)
        return status;
    status = NEW(struct link_status);
    if (status == NULL)
        return NULL;
    status->statuses = statuses;
    status->link = link;
    status->timer = loop_timer_new(statuses->control->config.loop, on_timer, status);
    if (status->timer == NULL || map_put(statuses->links, id, status) != ERR_OK) {
        free_status(status);
        return NULL;
    }
    return status;
}

void statuses_mark(struct link_statuses *statuses, struct world_link *link)
{
    if (statuses == NULL || statuses->stopped || world_link_declaration(link)->kind != LINK_RESOURCE)
        return;
    struct link_status *status = obtain(statuses, link);
    if (status == NULL)
        return; /* out of memory: the next change of any service tries again */
    status->marked = true;
    if (!status->writing && !status->turn.waits)
        arm_next(status, COALESCE_MS);
}

void statuses_changed(struct link_statuses *statuses, struct world_link *link, const char *version)
{
    const struct link_status *status =
        statuses != NULL ? map_get(statuses->links, world_link_declaration(link)->id) : NULL;
    /* Ours is told by the watch before it is answered, at times: then it is looked at once more, and nothing is written. */
    if (status != NULL && strcmp(status->written, version) != 0)
        statuses_mark(statuses, link);
}

void statuses_stop(struct link_statuses *statuses)
{
    if (statuses == NULL)
        return;
    statuses->stopped = true;
    loop_timer_stop(statuses->timer);
    for (struct map_entry *at = map_first(statuses->links); at != NULL; at = map_next(at)) {
        struct link_status *status = map_value(at);
        loop_timer_stop(status->timer);
        if (status->marked && !status->writing)
            write_marked(status);
    }
}

uint32_t statuses_in_flight(const struct link_statuses *statuses)
{
    return statuses != NULL ? statuses->turns.under_way : 0;
}

void statuses_forget(struct link_statuses *statuses, struct world_link *link)
{
    if (statuses == NULL)
        return;
    (void)map_remove(statuses->links, world_link_declaration(link)->id);
    look_for_turn(statuses); /* perhaps it was waited for */
}

/* ---- for previews ---- */

static void describe(const struct status_list *list, const char *key, struct strbuf *changes)
{
    strbuf_printf(changes, "%sstatus.%s tells of %zu services, of %zu something new", changes->length > 0 ? ", " : "",
                  key, list->count, list->fresh);
    if (list->gone > 0)
        strbuf_printf(changes, ", and no more of %zu", list->gone);
}

enum err_code statuses_plan(struct control *control, struct world_link *link, struct strbuf *changes)
{
    struct link_statuses statuses = {.control = control};
    const struct link_status status = {.statuses = &statuses, .link = link};
    const struct json_tree *held = NULL;
    struct status_list made[LISTS] = {0};
    struct arena arena;
    struct strbuf body;
    bool needed = false;
    if (world_link_declaration(link)->kind != LINK_RESOURCE || !may_write(&status))
        return ERR_OK;
    arena_init(&arena, HELD_BYTES);
    strbuf_init(&body, SCRATCH_BYTES);
    enum err_code code = links_read_status(control->links, world_link_declaration(link)->name, &arena, &held);
    if (code == ERR_OK)
        code = write_patch_that_fits(&status, held, &body, made, &needed);
    for (size_t i = 0; code == ERR_OK && i < LISTS; i++)
        if (made[i].differs)
            describe(&made[i], lists[i].key, changes);
    strbuf_done(&body);
    arena_done(&arena);
    return code == ERR_OK ? strbuf_error(changes) : code;
}

enum err_code statuses_new(struct control *control, struct link_statuses **ret_statuses)
{
    struct link_statuses *statuses = NEW(struct link_statuses);
    if (statuses == NULL)
        return ERR_NOMEM;
    statuses->control = control;
    statuses->links = map_new(free_status);
    statuses->timer = loop_timer_new(control->config.loop, on_turn, statuses);
    if (statuses->links == NULL || statuses->timer == NULL) {
        statuses_free(statuses);
        return ERR_NOMEM;
    }
    *ret_statuses = statuses;
    return ERR_OK;
}

void statuses_free(struct link_statuses *statuses)
{
    if (statuses == NULL)
        return;
    map_free(statuses->links);
    loop_timer_free(statuses->timer);
    mem_free(statuses);
}
