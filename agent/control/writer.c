/* From marked mirrors to a source cluster that is right: plans a mirror, sends the first write of the plan, waits until the watch shows its
 * effect, plans again. One write at a time for each mirror, many mirrors at a time. The view is only ever changed by the watches, so what is
 * planned is always planned on what the API server really has. */
#include <stdio.h>
#include <string.h>

#include "agent/control/deadlines.h"
#include "agent/control/flips.h"
#include "agent/control/internal.h"
#include "agent/control/namespaces.h"
#include "agent/control/write_limit.h"
#include "agent/control/write_request.h"
#include "agent/control/write_slots.h"
#include "agent/kube/codec.h"
#include "agent/observe/log.h"
#include "base/mem.h"
#include "mirror/names.h"

enum {
    PLANS_PER_TURN = 200, /* about 2 ms: probes and watches are served in between */
    PLAN_BYTES = 4 << 20, /* one mirror's plan: two objects of at most 1.5 MiB */
    EFFECT_MS = 5000,     /* a write whose effect no watch shows for so long is planned anew */
    BACKOFF_MS = 200,     /* doubles */
    BACKOFF_CAP_MS = 30000,
    PATIENCE_CAP_MS =
        32000,         /* the longest Retry-After that priority and fairness ask for; more would hold up readiness */
    CONFLICT_MS = 20,  /* the newer version is usually on its way already */
    FOREIGN_MS = 2000, /* how soon to look again whether a foreign object is gone; doubles */
    FOREIGN_CAP_MS = 15000,
    CHART_MS = 300000,       /* how soon to look again at what Linkerd's chart has put there: it stays */
    SEEN_VERSION_BYTES = 24, /* a resourceVersion: a decimal 64-bit number */
    UNDONE_TOLD = 3,         /* an update that was undone so often is told to people */
};

enum { CREATION_OF_A_SERVICE = WRITE_CREATE * WRITE_KINDS + WRITE_SERVICE }; /* as a class of writes */
_Static_assert((WRITE_DELETE + 1) * WRITE_KINDS == WRITE_LIMIT_CLASSES, "each verb and kind has a pace of its own");

enum work_state {
    WORK_IDLE,     /* nothing under way; kept for its count of failures until the deadline */
    WORK_WRITING,  /* the request is under way */
    WORK_LOOKING,  /* a GET tells what has the name that we wanted */
    WORK_AWAITING, /* written; the watch has not shown it yet */
};

/* What a mirror is waiting for. One per mirror with something under way or failing. */
struct work {
    struct writer *writer;
    struct mirror *mirror;
    enum work_state state;
    enum write_verb verb;
    enum write_kind kind;
    char namespace[64], name[256];
    char awaited_version[SEEN_VERSION_BYTES];
    struct kube_request request;
    struct tenure *tenure; /* under which it is written */
    const void *slot_link; /* as it was when the request was sent */
    struct deadline deadline;
    uint64_t sent_us;
    uint32_t sent_in_flight; /* how many writes were under way then, this one among them */
    uint32_t failures;
    bool refused;    /* the last write, which failed for a reason of its own: others of its plan come first */
    bool of_a_chart; /* what has the mirror's name is Linkerd's own Service for probing the gateway */
    bool seen_queued;
    struct work *next, *previous; /* all */
    struct work *next_seen;
};

struct writer {
    struct control *control;
    struct arena arena;
    struct strbuf body;
    struct deadlines deadlines;
    struct namespaces *namespaces;
    struct work *works;
    struct work *seen; /* works whose objects changed since the last turn */
    struct flips flips;
    struct write_limit limit;
    struct write_slots slots;
    uint64_t paused_until_ms; /* the server asked for patience */
    bool stopped;
};

/* ---- works ---- */

static struct work *work_obtain(struct writer *writer, struct mirror *mirror)
{
    struct work *work = mirror_context(mirror);
    if (work != NULL)
        return work;
    work = NEW(struct work);
    if (work == NULL)
        return NULL;
    work->writer = writer;
    work->mirror = mirror;
    work->next = writer->works;
    if (writer->works != NULL)
        writer->works->previous = work;
    writer->works = work;
    mirror_set_context(mirror, work);
    return work;
}

static void work_free(struct work *work)
{
    struct writer *writer = work->writer;
    kube_cancel(&work->request);
    tenure_end(TAKE(work->tenure));
    deadlines_cancel(&writer->deadlines, &work->deadline);
    for (struct work **at = &writer->seen; work->seen_queued && *at != NULL; at = &(*at)->next_seen)
        if (*at == work) {
            *at = work->next_seen;
            break;
        }
    *(work->previous != NULL ? &work->previous->next : &writer->works) = work->next;
    if (work->next != NULL)
        work->next->previous = work->previous;
    struct mirror *mirror = work->mirror;
    mem_free(work);
    mirror_set_context(mirror, NULL);
}

static const char *work_kind(const struct work *work) { return write_kind_name(work->kind); }

/* The namespace is there, or is no longer waited for: who else wants it plans again. */
static void end_namespace(struct work *work)
{
    if (work->kind != WRITE_NAMESPACE || work->state == WORK_IDLE)
        return;
    namespaces_created(work->writer->namespaces, work->name);
    world_mark_namespace(work->writer->control->world, work->name);
}

/* Ends the wait: the mirror may be planned again. */
static void settle(struct work *work, void (*mark)(struct mirror *mirror))
{
    struct mirror *mirror = work->mirror;
    end_namespace(work);
    tenure_end(TAKE(work->tenure));
    work->state = WORK_IDLE;
    mark(mirror);
    if (work->failures == 0) {
        /* Without its context, and released, the mirror may be forgotten when nothing is known of it any more: it is not touched after. */
        bool held = mirror_held(mirror);
        work_free(work);
        if (held)
            world_release(mirror);
        return;
    }
    world_release(mirror);
}

/* What takes several writes is as urgent until it is right. */
static void work_settle(struct work *work) { settle(work, world_mark_again); }

static void mark_normal(struct mirror *mirror) { world_mark(mirror, false); }

/* Nothing urgent comes of a write whose effect no watch shows: it would be so each time. */
static void work_settle_unseen(struct work *work) { settle(work, mark_normal); }

static void work_wait(struct work *work, uint64_t delay_ms)
{
    if (deadlines_set(&work->writer->deadlines, &work->deadline, delay_ms) != ERR_OK)
        work_settle(work); /* out of memory: at once instead of later */
}

static uint64_t backoff_ms(uint32_t failures, uint64_t first_ms, uint64_t cap_ms)
{
    uint64_t delay_ms = first_ms << (failures < 16 ? failures : 16);
    delay_ms = delay_ms < cap_ms ? delay_ms : cap_ms;
    return delay_ms + arc4random_uniform((uint32_t)(delay_ms / 2 + 1));
}

/* ---- requests under way ---- */

static void begin_request(struct work *work)
{
    const struct claim *claim = mirror_first_claim(work->mirror);
    work->slot_link = claim != NULL ? claim_link(claim) : NULL;
    write_slots_take(&work->writer->slots, work->slot_link);
}

static void end_request(struct work *work)
{
    write_slots_give(&work->writer->slots, work->slot_link);
    loop_wake(work->writer->control->config.loop);
}

/* ---- has the effect of a write arrived in the view? ---- */

/* The object that the mirror is: its Service, or the ServiceImport. */
static bool is_of_the_mirror(enum write_kind kind)
{
    return kind == WRITE_SERVICE || kind == WRITE_IMPORT || kind == WRITE_IMPORT_STATUS;
}

static const struct object_meta *viewed_meta(const struct work *work)
{
    if (is_of_the_mirror(work->kind)) {
        const struct service *service = mirror_service(work->mirror);
        return service != NULL ? &service->meta : NULL;
    }
    for (uint32_t i = 0; i < mirror_slice_count(work->mirror); i++) {
        const struct slice *slice = mirror_slice(work->mirror, i);
        if (slice->is_endpoints == (work->kind == WRITE_ENDPOINTS) && strcmp(slice->meta.name, work->name) == 0)
            return &slice->meta;
    }
    return NULL;
}

static bool effect_arrived(const struct work *work)
{
    if (work->kind == WRITE_NAMESPACE)
        return world_namespace_state(work->writer->control->world, work->name) == WORLD_NAMESPACE_ACTIVE;
    const struct object_meta *meta = viewed_meta(work);
    if (work->verb == WRITE_DELETE)
        return meta == NULL || meta->deleting;
    if (meta != NULL && strcmp(meta->resource_version, work->awaited_version) == 0)
        return true;
    return work->awaited_version[0] != '\0' && mirror_saw_version(work->mirror, work->awaited_version);
}

static void await_effect(struct work *work)
{
    if (effect_arrived(work)) {
        work_settle(work);
        return;
    }
    work->state = WORK_AWAITING;
    work_wait(work, EFFECT_MS);
}

/* From the world, in the middle of a change: only noted, looked at in the turn. */
static void on_seen(void *context, struct mirror *mirror)
{
    struct writer *writer = context;
    struct work *work = mirror_context(mirror);
    if (work == NULL || work->state != WORK_AWAITING || work->seen_queued)
        return;
    work->seen_queued = true;
    work->next_seen = writer->seen;
    writer->seen = work;
}

static void settle_seen(struct writer *writer)
{
    while (writer->seen != NULL) {
        struct work *work = writer->seen;
        writer->seen = work->next_seen;
        work->seen_queued = false;
        if (work->state == WORK_AWAITING && effect_arrived(work)) {
            deadlines_cancel(&writer->deadlines, &work->deadline);
            work_settle(work);
        }
    }
}

/* ---- failures ---- */

static void note_failure(struct work *work, const struct kube_failure *failure)
{
    struct control *control = work->writer->control;
    const char *key = mirror_key(work->mirror);
    metric_add(metric_get(control->instruments.write_failures, write_verb_name(work->verb), work_kind(work),
                          err_code_name(failure->error.code)),
               1);
    log_warn("write_failed", "a write to the source cluster failed and is tried again", "mirror", key, "kind",
             work_kind(work), "name", work->name, "verb", write_verb_name(work->verb), "error", failure->error.text,
             "failures", log_u64(work->failures), NULL);
    claims_set_error(control, work->mirror, failure->error.text);
}

/* Whether another write of the same mirror may well succeed: the server is there, and takes requests. */
static bool is_of_the_write(enum err_code code)
{
    switch (code) {
    case ERR_INVALID:
    case ERR_LIMIT:
    case ERR_NOT_FOUND:
    case ERR_EXISTS:
    case ERR_CONFLICT:
    case ERR_FORBIDDEN:
    case ERR_REJECTED:
    case ERR_SERVER:  /* a webhook that is gone, of one kind of object */
    case ERR_TIMEOUT: /* one that hangs */
        return true;
    default:
        return false;
    }
}

static void retry_later(struct work *work, const struct kube_failure *failure)
{
    work->failures++;
    work->refused = is_of_the_write(failure->error.code);
    note_failure(work, failure);
    uint64_t delay_ms = backoff_ms(work->failures - 1, BACKOFF_MS, BACKOFF_CAP_MS);
    uint64_t asked_ms = failure->retry_after_ms > 0 ? (uint64_t)failure->retry_after_ms : 0;
    asked_ms = asked_ms < PATIENCE_CAP_MS ? asked_ms : PATIENCE_CAP_MS;
    delay_ms = asked_ms > delay_ms ? asked_ms : delay_ms;
    if (failure->error.code == ERR_BUSY) {
        uint64_t until_ms = loop_now_ms(work->writer->control->config.loop) + delay_ms;
        if (until_ms > work->writer->paused_until_ms)
            work->writer->paused_until_ms = until_ms;
        write_limit_lower(&work->writer->limit, loop_now_ms(work->writer->control->config.loop));
    }
    /* All that wait for the namespace hear of it. Each would do with the next turn; the first to ask then gets it. */
    if (work->kind == WRITE_NAMESPACE) {
        namespaces_failed(work->writer->namespaces, work->name, loop_now_ms(work->writer->control->config.loop),
                          delay_ms, failure->error.text);
        world_mark_namespace(work->writer->control->world, work->name);
    }
    /* Not held: a change that may mend the cause is acted upon at once. The deadline marks the mirror otherwise. */
    work->state = WORK_IDLE;
    world_release(work->mirror);
    work_wait(work, delay_ms);
}

/* ---- somebody has the name ---- */

static const char *label(const json_t *object, const char *key)
{
    const json_t *labels = json_object_get(json_object_get(object, "metadata"), "labels");
    return json_string_value(json_object_get(labels, key));
}

static bool has_mirror_labels(const json_t *object)
{
    const char *value = label(object, L5D_MIRRORED_SERVICE);
    return value != NULL && strcmp(value, "true") == 0;
}

/* A mirror of ours that lost its label is no longer watched; it is taken into the view by hand, and the plan puts the label back.
 * @return whether it was one. */
static bool take_back(struct work *work, const json_t *object)
{
    struct writer *writer = work->writer;
    struct world *world = writer->control->world;
    struct service service;
    struct slice slice;
    struct err ignored = {0};
    arena_reset(&writer->arena);
    char key[OBJECT_KEY_BYTES];
    if (is_of_the_mirror(work->kind))
        return (work->kind == WRITE_SERVICE ? codec_service(&writer->arena, object, &service, &ignored)
                                            : codec_import(&writer->arena, object, &service, &ignored)) == ERR_OK &&
               service.meta.made_by_us && world_source_service(world, WORLD_PUT, &service) == ERR_OK;
    enum err_code code = work->kind == WRITE_SLICE ? codec_slice(&writer->arena, object, &slice, &ignored)
                                                   : codec_endpoints(&writer->arena, object, &slice, &ignored);
    return code == ERR_OK && world_slice_is_ours(&slice, key) && strcmp(key, mirror_key(work->mirror)) == 0 &&
           world_source_slice(world, WORLD_PUT, &slice) == ERR_OK;
}

static void look_again(struct work *work)
{
    uint64_t cap_ms = work->of_a_chart ? CHART_MS : FOREIGN_CAP_MS;
    work->failures++;
    work->state = WORK_IDLE;
    world_release(work->mirror);
    work_wait(work, backoff_ms(work->failures - 1, work->of_a_chart ? CHART_MS : FOREIGN_MS, cap_ms));
}

static void on_looked(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct work *work = request->context;
    end_request(work);
    if (failure != NULL && failure->error.code != ERR_NOT_FOUND) {
        retry_later(work, failure);
        return;
    }
    bool foreign = failure == NULL && !has_mirror_labels(object);
    if (foreign && take_back(work, object)) {
        work->failures = 0;
        work_settle(work);
        return;
    }
    if (foreign && !is_of_the_mirror(work->kind)) {
        struct kube_failure taken = {.retry_after_ms = -1};
        (void)err_set(&taken.error, ERR_EXISTS, "%s %s/%s exists and is not svcmirror's: rename or remove it",
                      work_kind(work), work->namespace, work->name);
        retry_later(work, &taken);
        return;
    }
    bool of_a_chart = foreign && label(object, L5D_MIRRORED_GATEWAY) != NULL;
    if (work->of_a_chart != of_a_chart)
        world_mark(work->mirror, false); /* to be told otherwise */
    work->of_a_chart = of_a_chart;
    world_set_foreign(work->mirror, foreign);
    if (foreign) {
        look_again(work);
        return;
    }
    /* Gone again, or a mirror that the watch will bring: plan on what the view says then. */
    work->failures = 0;
    work->awaited_version[0] = '\0';
    work->state = WORK_AWAITING;
    work_wait(work, failure != NULL ? 0 : EFFECT_MS);
}

static void start_looking(struct work *work)
{
    struct writer *writer = work->writer;
    arena_reset(&writer->arena);
    work->request =
        (struct kube_request){.verb = "get",
                              .resource = write_request_resource(work->kind),
                              .on_done = on_looked,
                              .context = work,
                              .path = write_request_object_path(&writer->arena, work->kind,
                                                                world_import_version(writer->control->world),
                                                                work->namespace, work->name)};
    struct err error = {0};
    world_hold(work->mirror);
    work->state = WORK_LOOKING;
    begin_request(work);
    if (work->request.path == NULL || kube_start(writer->control->client, &work->request, &error) != ERR_OK) {
        end_request(work);
        look_again(work);
    }
}

/* ---- one write ---- */

static void on_written(struct work *work)
{
    struct control *control = work->writer->control;
    metric_add(metric_get(control->instruments.writes, write_verb_name(work->verb), work_kind(work)), 1);
    log_debug("written", "a write to the source cluster succeeded", "mirror", mirror_key(work->mirror), "kind",
              work_kind(work), "name", work->name, "verb", write_verb_name(work->verb), NULL);
    if (work->verb == WRITE_UPDATE && (work->kind == WRITE_SLICE || work->kind == WRITE_ENDPOINTS))
        claims_count_repair(control, work->mirror);
    work->failures = 0;
    work->refused = false;
    (void)snprintf(work->awaited_version, sizeof(work->awaited_version), "%s", work->request.version);
    await_effect(work);
}

/* What the server does not have is not there, even if no watch tells: it may have been taken in by take_back(). */
static void forget_service(struct work *work)
{
    const struct service gone = {.meta = {.namespace = work->namespace, .name = work->name},
                                 .is_import = mirror_is_import(work->mirror)};
    enum err_code ignored = world_source_service(work->writer->control->world, WORLD_DELETED, &gone);
    (void)ignored; /* a deletion needs no memory */
    work->failures = 0;
    work_settle(work);
}

/* The status is for people to read, and nothing rests on it: without the right, or where the resource has none, the rest stands. */
static void leave_status(struct work *work, const struct err *error)
{
    log_info("import_status_left", "the status of ServiceImports is left as it is until they are listed again", "error",
             error->text, NULL);
    world_set_import_status(work->writer->control->world, false);
    work->failures = 0;
    work_settle(work);
}

static void on_write_done(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    struct work *work = request->context;
    enum err_code code = failure != NULL ? failure->error.code : ERR_OK;
    (void)object;
    end_request(work);
    if (failure == NULL)
        write_limit_note(&work->writer->limit, (unsigned)work->verb * WRITE_KINDS + (unsigned)work->kind,
                         loop_precise_us(work->writer->control->config.loop) - work->sent_us, work->sent_in_flight);
    /* Until the watch shows it the Lease is kept, so that the next holder sees it too; but nobody waits for that at the end. */
    if (code != ERR_OK || work->writer->stopped)
        tenure_end(TAKE(work->tenure));
    if (code == ERR_OK) {
        on_written(work);
    } else if (work->kind == WRITE_IMPORT_STATUS && (code == ERR_FORBIDDEN || code == ERR_NOT_FOUND)) {
        leave_status(work, &failure->error);
    } else if ((work->verb == WRITE_DELETE && code == ERR_NOT_FOUND) ||
               (work->kind == WRITE_NAMESPACE && code == ERR_EXISTS)) {
        await_effect(work); /* somebody else did it */
    } else if (code == ERR_NOT_FOUND && work->verb == WRITE_UPDATE &&
               (work->kind == WRITE_SERVICE || work->kind == WRITE_IMPORT)) {
        forget_service(work);
    } else if (code == ERR_CANCELLED) { /* the Lease was lost before it was sent */
        work->failures = 0;
        work_settle(work);
    } else if (code == ERR_EXISTS) {
        start_looking(work);
    } else if (code == ERR_CONFLICT && work->failures == 0) {
        work->failures++;
        work->state = WORK_IDLE;
        world_release(work->mirror);
        work_wait(work, CONFLICT_MS);
    } else {
        retry_later(work, failure);
    }
}

static bool may_send(const struct kube_request *request)
{
    const struct work *work = request->context;
    return tenure_may_send(work->tenure);
}

static enum err_code start_write(struct writer *writer, struct mirror *mirror, const struct write *write)
{
    struct work *work = work_obtain(writer, mirror);
    if (work == NULL)
        return ERR_NOMEM;
    work->verb = write->verb;
    work->kind = write->kind;
    (void)snprintf(work->namespace, sizeof(work->namespace), "%s", write->namespace);
    (void)snprintf(work->name, sizeof(work->name), "%s", write->name);
    struct write_request built;
    strbuf_clear(&writer->body);
    write_request_build(&writer->arena, write, &built, &writer->body);
    if (arena_failed(&writer->arena) || strbuf_error(&writer->body) != ERR_OK)
        return ERR_NOMEM;
    work->request = (struct kube_request){.verb = built.verb,
                                          .resource = built.resource,
                                          .path = built.path,
                                          .content_type = built.content_type,
                                          .body = strbuf_text(&writer->body),
                                          .body_bytes = writer->body.length,
                                          .only_version = true,
                                          .may_send = may_send,
                                          .on_done = on_write_done,
                                          .context = work};
    deadlines_cancel(&writer->deadlines, &work->deadline);
    struct err error = {0};
    work->tenure = leases_begin(writer->control->leases, mirror);
    enum err_code code = kube_start(writer->control->client, &work->request, &error);
    if (code != ERR_OK) {
        tenure_end(TAKE(work->tenure));
        return code;
    }
    work->state = WORK_WRITING;
    world_hold(mirror);
    work->sent_us = loop_precise_us(writer->control->config.loop);
    begin_request(work);
    work->sent_in_flight = writer->slots.in_flight;
    return ERR_OK;
}

static enum err_code wait_for(struct writer *writer, struct mirror *mirror, uint64_t delay_ms)
{
    struct work *work = work_obtain(writer, mirror);
    if (work == NULL)
        return ERR_NOMEM;
    return deadlines_set(&writer->deadlines, &work->deadline, delay_ms);
}

static enum err_code start_namespace(struct writer *writer, struct mirror *mirror, const struct write *write)
{
    uint64_t now_ms = loop_now_ms(writer->control->config.loop), wait_ms = 0;
    const char *problem = NULL;
    enum err_code code = ERR_OK;
    switch (namespaces_ask(writer->namespaces, write->name, now_ms, &wait_ms, &problem)) {
    case NAMESPACE_UNDER_WAY:
        break;
    case NAMESPACE_FAILED:
        claims_set_error(writer->control, mirror, problem);
        code = wait_for(writer, mirror, wait_ms);
        break;
    case NAMESPACE_CREATE:
        code = start_write(writer, mirror, write);
        if (code != ERR_OK)
            namespaces_created(writer->namespaces, write->name);
        break;
    }
    return code;
}

/* ---- updates that somebody keeps undoing ---- */

static void tell_undone(struct writer *writer, const struct mirror *mirror, const struct write *write)
{
    char note[1024];
    const struct claim *claim = mirror_first_claim(mirror);
    (void)snprintf(
        note, sizeof(note),
        "%s %s/%s is changed back by something in this cluster each time it is put right: exempt objects labelled "
        "mirror.linkerd.io/mirrored-service=true from the webhook or controller that does it",
        write_kind_name(write->kind), write->namespace, write->name);
    log_warn("update_undone", note, "mirror", mirror_key(mirror), NULL);
    if (claim != NULL)
        links_emit(writer->control, world_link_declaration(claim_link(claim)), true, "UpdateUndone", note);
}

/* Linkerd's own agent, when it runs beside this one, makes its Endpoints again. */
static bool is_paced(const struct write *write)
{
    return write->verb == WRITE_UPDATE || (write->kind == WRITE_ENDPOINTS && write->verb == WRITE_DELETE);
}

/* @return how long the write has to wait; 0: not at all. */
static uint64_t pace_ms(const struct writer *writer, const struct mirror *mirror, const struct write *write)
{
    if (!is_paced(write))
        return 0;
    return mirror_rewrite_wait_ms(mirror, write_object(write), write_fingerprint(write),
                                  loop_now_ms(writer->control->config.loop));
}

static void note_update(struct writer *writer, struct mirror *mirror, const struct write *write)
{
    if (!is_paced(write))
        return;
    uint32_t repeats = mirror_note_rewrite(mirror, write_object(write), write_fingerprint(write),
                                           loop_now_ms(writer->control->config.loop));
    if (repeats == UNDONE_TOLD)
        tell_undone(writer, mirror, write);
}

/* The write of the plan that was refused last; NULL when none was, or the plan has it no more. */
static const struct write *refused_write(const struct mirror *mirror, const struct plan *plan)
{
    const struct work *work = mirror_context(mirror);
    for (uint32_t i = 0; work != NULL && work->refused && i < plan->write_count; i++) {
        const struct write *write = &plan->writes[i];
        if (write->verb == work->verb && write->kind == work->kind && strcmp(write->namespace, work->namespace) == 0 &&
            strcmp(write->name, work->name) == 0)
            return write;
    }
    return NULL;
}

/* What is to go may go only after what takes its place is there. */
static bool may_overtake(const struct write *write, const struct write *refused)
{
    return refused == NULL || write == refused || write->verb != WRITE_DELETE || refused->verb == WRITE_DELETE;
}

/* The first write of the plan that need not wait: the order of updates among themselves is a preference, no need. After one that was refused the
 * others have their turn, so that it holds up none that would succeed; a write that others have to wait for is alone in its plan. */
static enum err_code start_first(struct writer *writer, struct mirror *mirror, const struct plan *plan)
{
    uint64_t wait_ms = UINT64_MAX;
    const struct write *refused = refused_write(mirror, plan);
    uint32_t first = refused != NULL ? (uint32_t)(refused - plan->writes) + 1 : 0;
    for (uint32_t i = 0; i < plan->write_count; i++) {
        const struct write *write = &plan->writes[(first + i) % plan->write_count];
        if (!may_overtake(write, refused))
            continue;
        if (write->kind == WRITE_NAMESPACE)
            return start_namespace(writer, mirror, write);
        uint64_t pause_ms = pace_ms(writer, mirror, write);
        if (pause_ms == 0) {
            note_update(writer, mirror, write);
            return start_write(writer, mirror, write);
        }
        wait_ms = pause_ms < wait_ms ? pause_ms : wait_ms;
    }
    return wait_for(writer, mirror, wait_ms);
}

static void forget_failures(struct mirror *mirror)
{
    struct work *work = mirror_context(mirror);
    if (work != NULL && work->state == WORK_IDLE)
        work_free(work);
}

/* ---- the turn ---- */

static void plan_one(struct writer *writer, struct mirror *mirror)
{
    struct control *control = writer->control;
    struct work *work = mirror_context(mirror);
    if (work != NULL && work->state != WORK_IDLE)
        return; /* cannot be: it would be held */
    struct plan plan;
    arena_reset(&writer->arena);
    enum err_code code = plan_mirror(control->world, mirror, &writer->arena, &plan);
    if (code == ERR_OK) {
        if (plan.collision && work != NULL && work->of_a_chart)
            claims_leave_to_linkerd(&plan, mirror, &writer->arena);
        if (plan.write_count > 0)
            mirror_note_unsettled(mirror);
        claims_apply(control, &plan, mirror_was_unsettled(mirror));
        if (mirror_note_unaccounted(mirror, plan.unaccounted) && plan.unaccounted)
            log_warn(
                "mirror_unaccounted",
                "a mirror that others made is of a cluster that no link names: it stays; delete it, or start the agent "
                "with --remove-unaccounted-mirrors",
                "mirror", mirror_key(mirror), NULL);
        /* Where another writes, what is to be told is planned all the same; winning the Lease marks the mirror again. */
        bool ours = leases_may_write(control->leases, mirror);
        if (plan.write_count == 0 || !ours)
            world_return_turn(mirror);
        if ((plan.write_count == 0 && !plan.collision) || !ours)
            forget_failures(mirror);
        if (plan.write_count > 0 && ours)
            code = start_first(writer, mirror, &plan);
    }
    if (code == ERR_OK)
        return;
    work = work_obtain(writer, mirror);
    if (work == NULL)
        return; /* nothing can be remembered: the next event, or the next listing, marks it again */
    work->failures++;
    work_wait(work, backoff_ms(work->failures, BACKOFF_MS, BACKOFF_CAP_MS));
}

static bool may_write_for(void *context, const struct world_link *link)
{
    const struct writer *writer = context;
    return write_slots_of(&writer->slots, &writer->limit, link);
}

/* @return NULL when nothing is marked that may be written now. */
static struct mirror *next_mirror(struct writer *writer)
{
    struct world *world = writer->control->world;
    if (writer->stopped || loop_now_ms(writer->control->config.loop) < writer->paused_until_ms)
        return NULL;
    if (write_slots_any(&writer->slots, &writer->limit))
        return world_pop(world);
    return world_pop_of(world, may_write_for, writer);
}

/* Whether a mirror of the cluster is being written, or was not written yet because that failed. */
static bool is_writing_for(void *context, const char *cluster_name)
{
    const struct writer *writer = context;
    for (const struct work *work = writer->works; work != NULL; work = work->next) {
        const struct claim *claim = mirror_first_claim(work->mirror);
        if (claim != NULL && (work->state != WORK_IDLE || work->failures > 0) &&
            strcmp(world_link_declaration(claim_link(claim))->cluster_name, cluster_name) == 0)
            return true;
    }
    return false;
}

/* A flip is over when nothing urgent waits, and no mirror of its cluster is still to be written. */
static void finish_flips(struct writer *writer)
{
    struct control *control = writer->control;
    if (!world_is_urgent(control->world))
        flips_finish(&writer->flips, loop_now_ms(control->config.loop), is_writing_for, writer,
                     control->instruments.flip_seconds);
}

void writer_flip_started(struct writer *writer, const char *cluster_name)
{
    flips_start(&writer->flips, cluster_name, loop_now_ms(writer->control->config.loop));
}

bool writer_turn(struct writer *writer)
{
    settle_seen(writer);
    for (unsigned plans = 0; plans < PLANS_PER_TURN; plans++) {
        struct mirror *mirror = next_mirror(writer);
        if (mirror == NULL) {
            finish_flips(writer);
            return false;
        }
        plan_one(writer, mirror);
    }
    return true;
}

static void on_due(void *context, struct deadline *deadline)
{
    struct writer *writer = context;
    struct work *work = (struct work *)((char *)deadline - offsetof(struct work, deadline));
    loop_wake(writer->control->config.loop);
    if (work->state == WORK_AWAITING) {
        work_settle_unseen(work);
        return;
    }
    if (writer->stopped)
        return;
    if (mirror_is_foreign(work->mirror) && !write_slots_any(&writer->slots, &writer->limit))
        work_wait(work, BACKOFF_MS); /* looking is a request like any other */
    else if (mirror_is_foreign(work->mirror))
        start_looking(work);
    else
        world_mark(work->mirror, false);
}

enum err_code writer_new(struct control *control, struct writer **ret_writer)
{
    struct writer *writer = NEW(struct writer);
    if (writer == NULL)
        return ERR_NOMEM;
    writer->control = control;
    write_limit_init(&writer->limit, control->config.max_in_flight, CREATION_OF_A_SERVICE);
    arena_init(&writer->arena, PLAN_BYTES);
    strbuf_init(&writer->body, PLAN_BYTES);
    writer->namespaces = namespaces_new();
    if (writer->namespaces == NULL ||
        deadlines_init(&writer->deadlines, control->config.loop, on_due, writer) != ERR_OK) {
        namespaces_free(writer->namespaces);
        mem_free(writer);
        return ERR_NOMEM;
    }
    world_on_seen(control->world, on_seen, writer);
    *ret_writer = writer;
    return ERR_OK;
}

void writer_free(struct writer *writer)
{
    if (writer == NULL)
        return;
    world_on_seen(writer->control->world, NULL, NULL);
    while (writer->works != NULL) {
        struct mirror *mirror = writer->works->mirror;
        bool held = mirror_held(mirror);
        work_free(writer->works);
        if (held)
            world_release(mirror);
    }
    flips_done(&writer->flips);
    deadlines_done(&writer->deadlines);
    namespaces_free(writer->namespaces);
    strbuf_done(&writer->body);
    arena_done(&writer->arena);
    mem_free(writer);
}

void writer_stop(struct writer *writer)
{
    writer->stopped = true;
    for (struct work *work = writer->works; work != NULL; work = work->next)
        if (work->state == WORK_AWAITING)
            tenure_end(TAKE(work->tenure));
}

uint32_t writer_in_flight(const struct writer *writer) { return writer->slots.in_flight; }

void writer_collect(struct writer *writer)
{
    const struct instruments *instruments = &writer->control->instruments;
    metric_set(metric_get(instruments->writes_in_flight), writer->slots.in_flight);
    metric_set(metric_get(instruments->writes_limit), writer->limit.level);
    metric_set(metric_get(instruments->unaccounted), (double)world_unaccounted_count(writer->control->world));
    metric_set(metric_get(instruments->queue_depth), (double)world_marked_count(writer->control->world));
}
