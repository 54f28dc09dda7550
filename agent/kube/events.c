#include "agent/kube/events.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/codec.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    MAX_QUEUED = 1000,
    MAX_IN_FLIGHT = 8,
    MAX_SERIES = 4096,         /* causes remembered: 1.5 MiB */
    SERIES_MS = 6 * 60 * 1000, /* client-go: a series without news for so long is over */
    REFRESH_MS = 30 * 1000,    /* between two requests about one series */
    NOTE_BYTES = 1024,         /* this and the next: the API's bounds */
    INSTANCE_BYTES = 128,
    NAME_BYTES = 254,
};

/* One cause: told once as an Event, then counted on it. */
struct series {
    char name[NAME_BYTES], namespace[NAME_BYTES]; /* of the Event */
    char *body;                                   /* of the Event, until it is written */
    uint64_t last_seen_ms, last_told_ms;
    uint32_t count, telling, told; /* occurrences: seen, in the request under way, settled (written or dropped) */
    bool busy;                     /* queued or under way: not to be freed */
    bool created;                  /* the Event is written */
    bool over;                     /* it has vanished: the next occurrence is a new one */
    struct series *next_queued;
};

struct slot {
    struct events *events;
    struct series *series; /* NULL: free */
    struct kube_request request;
};

struct events {
    struct loop *loop;
    struct kube_client *client;
    struct loop_timer *timer; /* for occurrences that are told later */
    char instance[INSTANCE_BYTES + 1];
    struct map *series; /* by cause */
    struct series *queue, **queue_end;
    unsigned queued;
    struct slot slots[MAX_IN_FLIGHT];
    uint64_t dropped, counter;
    events_refused_fn on_refused; /* may be NULL */
    void *refused_context;
};

/* Copies at most `bytes` - 1 bytes, and never half a character. */
static void copy_cut(char *buffer, size_t bytes, const char *text)
{
    size_t length = strnlen(text, bytes);
    if (length == bytes) {
        length--;
        while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
            length--;
    }
    memcpy(buffer, text, length);
    buffer[length] = '\0';
}

/* ---- requests ---- */

static void run_queue(struct events *events);

static void settle(struct events *events, struct series *series, bool written)
{
    series->busy = false;
    series->told = series->telling;
    if (!written)
        events->dropped++; /* told again with the next occurrence: Events are never worth waiting for */
    if (series->count > series->told && !loop_timer_active(events->timer))
        loop_timer_start(events->timer, REFRESH_MS);
}

static void on_done(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    (void)object;
    struct slot *slot = request->context;
    struct series *series = TAKE(slot->series);
    bool was_created = series->created;
    if (failure == NULL && !was_created) {
        series->created = true;
        mem_free(TAKE(series->body));
    }
    /* Events live for an hour on the server, unless somebody deletes them. */
    if (failure != NULL && was_created && failure->error.code == ERR_NOT_FOUND)
        series->over = true;
    if (failure != NULL && slot->events->on_refused != NULL)
        slot->events->on_refused(slot->events->refused_context, &failure->error);
    settle(slot->events, series, failure == NULL);
    run_queue(slot->events);
}

static void write_patch(const struct events *events, const struct series *series, char *body, size_t bytes)
{
    char time[TEXT_TIME_BYTES];
    text_format_time_micro(loop_wall_us(events->loop), time);
    (void)snprintf(body, bytes, "{\"series\":{\"count\":%u,\"lastObservedTime\":\"%s\"}}", series->count, time);
}

static enum err_code start(struct slot *slot, struct series *series)
{
    struct events *events = slot->events;
    char path[3 * NAME_BYTES], patch[256];
    bool patches = series->created;
    write_patch(events, series, patch, sizeof(patch));
    (void)snprintf(path, sizeof(path), "/apis/events.k8s.io/v1/namespaces/%s/events%s%s", series->namespace,
                   patches ? "/" : "", patches ? series->name : "");
    const char *body = patches ? patch : series->body;
    slot->request = (struct kube_request){.verb = patches ? "patch" : "create",
                                          .resource = "events",
                                          .path = path,
                                          .content_type = patches ? "application/merge-patch+json" : NULL,
                                          .body = body,
                                          .body_bytes = strlen(body),
                                          .on_done = on_done,
                                          .context = slot};
    series->telling = series->count;
    series->last_told_ms = loop_now_ms(events->loop);
    TRY(kube_start(events->client, &slot->request, NULL));
    slot->series = series;
    return ERR_OK;
}

static struct slot *free_slot(struct events *events)
{
    for (unsigned i = 0; i < MAX_IN_FLIGHT; i++)
        if (events->slots[i].series == NULL)
            return &events->slots[i];
    return NULL;
}

static void run_queue(struct events *events)
{
    for (struct slot *slot; events->queue != NULL && (slot = free_slot(events)) != NULL;) {
        struct series *series = events->queue;
        events->queue = TAKE(series->next_queued);
        if (events->queue == NULL)
            events->queue_end = &events->queue;
        events->queued--;
        if (start(slot, series) != ERR_OK)
            settle(events, series, false);
    }
}

static void enqueue(struct events *events, struct series *series)
{
    if (events->queued == MAX_QUEUED) {
        series->telling = series->count;
        settle(events, series, false);
        return;
    }
    series->busy = true;
    *events->queue_end = series;
    events->queue_end = &series->next_queued;
    events->queued++;
    run_queue(events);
}

/* Tells what is untold, now or as soon as its series may be told of again. */
static void schedule(struct events *events, struct series *series)
{
    if (series->busy || series->over || series->count == series->told)
        return;
    if (series->told == 0 || loop_now_ms(events->loop) - series->last_told_ms >= REFRESH_MS)
        enqueue(events, series);
    else if (!loop_timer_active(events->timer))
        loop_timer_start(events->timer, REFRESH_MS);
}

static void on_timer(void *context)
{
    struct events *events = context;
    for (struct map_entry *at = map_first(events->series); at != NULL; at = map_next(at))
        schedule(events, map_value(at));
}

/* ---- life ---- */

static void free_series(void *value)
{
    struct series *series = value;
    mem_free(series->body);
    mem_free(series);
}

struct events *events_new(struct loop *loop, struct kube_client *client, const char *instance)
{
    struct events *events = NEW(struct events);
    if (events == NULL)
        return NULL;
    events->loop = loop;
    events->client = client;
    events->queue_end = &events->queue;
    copy_cut(events->instance, sizeof(events->instance), instance[0] != '\0' ? instance : "svcmirror");
    for (unsigned i = 0; i < MAX_IN_FLIGHT; i++)
        events->slots[i].events = events;
    events->series = map_new(free_series);
    events->timer = loop_timer_new(loop, on_timer, events);
    if (events->series == NULL || events->timer == NULL) {
        events_free(events);
        return NULL;
    }
    return events;
}

void events_free(struct events *events)
{
    if (events == NULL)
        return;
    for (unsigned i = 0; i < MAX_IN_FLIGHT; i++)
        if (events->slots[i].series != NULL)
            kube_cancel(&events->slots[i].request);
    loop_timer_free(events->timer);
    map_free(events->series);
    mem_free(events);
}

bool events_busy(const struct events *events)
{
    bool busy = events->queue != NULL;
    for (size_t i = 0; i < MAX_IN_FLIGHT; i++)
        busy = busy || events->slots[i].series != NULL;
    return busy;
}

uint64_t events_dropped(const struct events *events) { return events != NULL ? events->dropped : 0; }

/* ---- causes ---- */

static bool is_over(const struct events *events, const struct series *series)
{
    return !series->busy && (series->over || loop_now_ms(events->loop) - series->last_seen_ms > SERIES_MS);
}

static void forget_old(struct events *events)
{
    for (struct map_entry *at = map_first(events->series), *next; at != NULL; at = next) {
        next = map_next(at);
        if (is_over(events, map_value(at)))
            (void)map_remove(events->series, map_key(at));
    }
}

static void write_member(struct strbuf *body, const char *before, const char *key, const char *value)
{
    strbuf_printf(body, "%s\"%s\":", before, key);
    codec_write_string(body, value);
}

static char *build_body(const struct events *events, const struct series *series, const struct event_subject *subject,
                        bool warning, const char *reason, const char *action, const char *note)
{
    struct strbuf body;
    char time[TEXT_TIME_BYTES], cut[NOTE_BYTES + 1];
    text_format_time_micro(loop_wall_us(events->loop), time);
    copy_cut(cut, sizeof(cut), note);
    strbuf_init(&body, 64 << 10);
    strbuf_append(&body, "{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{");
    write_member(&body, "", "name", series->name);
    write_member(&body, ",", "namespace", series->namespace);
    strbuf_printf(&body, "},\"eventTime\":\"%s\",\"type\":\"%s\"", time, warning ? "Warning" : "Normal");
    write_member(&body, ",", "reason", reason);
    write_member(&body, ",", "action", action);
    write_member(&body, ",", "note", cut);
    write_member(&body, ",", "reportingController", "svcmirror");
    write_member(&body, ",", "reportingInstance", events->instance);
    strbuf_append(&body, ",\"regarding\":{");
    write_member(&body, "", "apiVersion", subject->api_version);
    write_member(&body, ",", "kind", subject->kind);
    if (subject->namespace[0] != '\0')
        write_member(&body, ",", "namespace", subject->namespace);
    write_member(&body, ",", "name", subject->name);
    if (subject->uid[0] != '\0')
        write_member(&body, ",", "uid", subject->uid);
    strbuf_append(&body, "}}");
    return strbuf_take(&body);
}

static struct series *new_series(struct events *events, const char *key, const struct event_subject *subject,
                                 bool warning, const char *reason, const char *action, const char *note)
{
    struct series *series = NEW(struct series);
    if (series == NULL)
        return NULL;
    copy_cut(series->namespace, sizeof(series->namespace),
             subject->namespace[0] != '\0' ? subject->namespace : "default");
    (void)snprintf(series->name, sizeof(series->name), "%.210s.%llx%llx", subject->name,
                   (unsigned long long)loop_wall_us(events->loop), (unsigned long long)++events->counter);
    series->body = build_body(events, series, subject, warning, reason, action, note);
    if (series->body == NULL || map_put(events->series, key, series) != ERR_OK) {
        free_series(series);
        return NULL;
    }
    return series;
}

/* The series of a cause, made when there is none. @return NULL: no memory or no room. */
static struct series *find_series(struct events *events, const char *key, const struct event_subject *subject,
                                  bool warning, const char *reason, const char *action, const char *note)
{
    struct series *series = map_get(events->series, key);
    if (series != NULL && !is_over(events, series))
        return series;
    if (series != NULL)
        (void)map_remove(events->series, key);
    if (map_count(events->series) == MAX_SERIES)
        forget_old(events);
    if (map_count(events->series) == MAX_SERIES)
        return NULL;
    return new_series(events, key, subject, warning, reason, action, note);
}

void events_emit(struct events *events, const struct event_subject *subject, bool warning, const char *reason,
                 const char *action, const char *note)
{
    struct strbuf text;
    if (events == NULL)
        return;
    strbuf_init(&text, 8192);
    /* A line end stands in none of the parts but the last. */
    strbuf_printf(&text, "%d\n%s\n%s\n%s\n%s\n%s\n%s\n%s", warning, subject->kind, subject->namespace, subject->name,
                  subject->uid, reason, action, note);
    struct series *series = NULL;
    if (strbuf_error(&text) == ERR_OK)
        series = find_series(events, strbuf_text(&text), subject, warning, reason, action, note);
    strbuf_done(&text);
    if (series == NULL) {
        events->dropped++;
        return;
    }
    series->count++;
    series->last_seen_ms = loop_now_ms(events->loop);
    schedule(events, series);
}

void events_on_refused(struct events *events, events_refused_fn fn, void *context)
{
    if (events == NULL)
        return;
    events->on_refused = fn;
    events->refused_context = context;
}
