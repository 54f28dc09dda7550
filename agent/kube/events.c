#include "agent/kube/events.h"

#include <stdio.h>
#include <string.h>

#include "agent/kube/codec.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/text.h"

enum {
    MAX_QUEUED = 1000,
    MAX_IN_FLIGHT = 4,
    SERIES_MS = 6 * 60 * 1000, /* client-go: a series without news for so long is over */
    REFRESH_MS = 30 * 1000,
    NOTE_BYTES = 1024, /* the API's bound */
    MAX_SERIES = 4096,
};

/* One cause, as it was told and how often since. */
struct series {
    char name[300], namespace[254];
    char *body; /* of the first Event, until it is written */
    uint64_t last_seen_ms, last_told_ms;
    uint32_t count;        /* occurrences since the first */
    bool created, pending; /* written; a request is queued or under way */
};

struct job {
    struct events *events;
    struct series *series; /* NULL when it was forgotten meanwhile */
    struct kube_request request;
    bool patch;
    struct job *next;
};

struct events {
    struct loop *loop;
    struct kube_client *client;
    char *instance;
    struct map *series;
    struct job *queue, **queue_end;
    struct job *running;
    unsigned queued, in_flight;
    uint64_t dropped, counter;
};

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
    events->instance = mem_strdup(instance);
    events->series = map_new(free_series);
    events->queue_end = &events->queue;
    if (events->instance == NULL || events->series == NULL) {
        events_free(events);
        return NULL;
    }
    return events;
}

static void free_jobs(struct job *job)
{
    while (job != NULL) {
        struct job *next = job->next;
        kube_cancel(&job->request);
        mem_free(job);
        job = next;
    }
}

void events_free(struct events *events)
{
    if (events == NULL)
        return;
    free_jobs(events->queue);
    free_jobs(events->running);
    map_free(events->series);
    mem_free(events->instance);
    mem_free(events);
}

uint64_t events_dropped(const struct events *events) { return events->dropped; }

/* ---- requests ---- */

static void run_queue(struct events *events);

static void finish_job(struct job *job)
{
    struct events *events = job->events;
    for (struct job **at = &events->running; *at != NULL; at = &(*at)->next)
        if (*at == job) {
            *at = job->next;
            break;
        }
    events->in_flight--;
    mem_free(job);
    run_queue(events);
}

static void on_done(struct kube_request *request, json_t *object, const struct kube_failure *failure)
{
    (void)object;
    struct job *job = request->context;
    struct series *series = job->series;
    series->pending = false;
    if (failure != NULL)
        job->events->dropped++; /* told again with the next occurrence; Events are never worth waiting for */
    else
        series->created = true;
    if (series->created)
        mem_free(TAKE(series->body));
    finish_job(job);
}

static void write_patch(const struct events *events, const struct series *series, struct strbuf *body)
{
    char time[TEXT_TIME_BYTES];
    text_format_time_micro(loop_wall_us(events->loop), time);
    strbuf_printf(body, "{\"series\":{\"count\":%u,\"lastObservedTime\":\"%s\"}}", series->count + 1, time);
}

static enum err_code start_job(struct job *job)
{
    struct events *events = job->events;
    struct series *series = job->series;
    struct strbuf body;
    char path[700];
    strbuf_init(&body, 4096);
    if (job->patch)
        write_patch(events, series, &body);
    (void)snprintf(path, sizeof(path), "/apis/events.k8s.io/v1/namespaces/%s/events%s%s", series->namespace,
                   job->patch ? "/" : "", job->patch ? series->name : "");
    job->request = (struct kube_request){.verb = job->patch ? "patch" : "create",
                                         .resource = "events",
                                         .path = path,
                                         .content_type = job->patch ? "application/merge-patch+json" : NULL,
                                         .body = job->patch ? strbuf_text(&body) : series->body,
                                         .on_done = on_done,
                                         .context = job};
    job->request.body_bytes = strlen(job->request.body);
    struct err ignored = {0};
    enum err_code code = kube_start(events->client, &job->request, &ignored);
    strbuf_done(&body);
    return code;
}

static void run_queue(struct events *events)
{
    while (events->queue != NULL && events->in_flight < MAX_IN_FLIGHT) {
        struct job *job = events->queue;
        events->queue = job->next;
        if (events->queue == NULL)
            events->queue_end = &events->queue;
        events->queued--;
        if (start_job(job) != ERR_OK) {
            job->series->pending = false;
            events->dropped++;
            mem_free(job);
            continue;
        }
        job->next = events->running;
        events->running = job;
        events->in_flight++;
    }
}

static void enqueue(struct events *events, struct series *series)
{
    struct job *job = events->queued < MAX_QUEUED ? NEW(struct job) : NULL;
    if (job == NULL) {
        events->dropped++;
        return;
    }
    job->events = events;
    job->series = series;
    job->patch = series->created;
    series->pending = true;
    series->last_told_ms = loop_now_ms(events->loop);
    *events->queue_end = job;
    events->queue_end = &job->next;
    events->queued++;
    run_queue(events);
}

/* ---- causes ---- */

static void forget_old(struct events *events)
{
    uint64_t now_ms = loop_now_ms(events->loop);
    for (struct map_entry *at = map_first(events->series), *next; at != NULL; at = next) {
        next = map_next(at);
        const struct series *series = map_value(at);
        if (!series->pending && now_ms - series->last_seen_ms > SERIES_MS)
            (void)map_remove(events->series, map_key(at));
    }
}

static void member(struct strbuf *body, const char *key, const char *value)
{
    strbuf_printf(body, "\"%s\":", key);
    codec_write_string(body, value);
}

static char *build_body(const struct events *events, const struct series *series, const struct event_subject *subject,
                        bool warning, const char *reason, const char *action, const char *note)
{
    struct strbuf body;
    char time[TEXT_TIME_BYTES], cut[NOTE_BYTES];
    text_format_time_micro(loop_wall_us(events->loop), time);
    (void)snprintf(cut, sizeof(cut), "%s", note);
    strbuf_init(&body, 64 << 10);
    strbuf_append(&body, "{\"apiVersion\":\"events.k8s.io/v1\",\"kind\":\"Event\",\"metadata\":{");
    member(&body, "name", series->name);
    strbuf_append_char(&body, ',');
    member(&body, "namespace", series->namespace);
    strbuf_printf(&body, "},\"eventTime\":\"%s\",\"type\":\"%s\",", time, warning ? "Warning" : "Normal");
    member(&body, "reason", reason);
    strbuf_append_char(&body, ',');
    member(&body, "action", action);
    strbuf_append_char(&body, ',');
    member(&body, "note", cut);
    strbuf_append(&body, ",\"reportingController\":\"svcmirror\",");
    member(&body, "reportingInstance", events->instance);
    strbuf_append(&body, ",\"regarding\":{");
    member(&body, "apiVersion", subject->api_version);
    strbuf_append_char(&body, ',');
    member(&body, "kind", subject->kind);
    strbuf_append_char(&body, ',');
    member(&body, "namespace", subject->namespace);
    strbuf_append_char(&body, ',');
    member(&body, "name", subject->name);
    if (subject->uid[0] != '\0') {
        strbuf_append_char(&body, ',');
        member(&body, "uid", subject->uid);
    }
    strbuf_append(&body, "}}");
    return strbuf_take(&body);
}

static struct series *new_series(struct events *events, char *key, const struct event_subject *subject, bool warning,
                                 const char *reason, const char *action, const char *note)
{
    struct series *series = NEW(struct series);
    if (series == NULL)
        return NULL;
    (void)snprintf(series->namespace, sizeof(series->namespace), "%s",
                   subject->namespace[0] != '\0' ? subject->namespace : "default");
    (void)snprintf(series->name, sizeof(series->name), "%.220s.%llx%llx", subject->name,
                   (unsigned long long)loop_wall_us(events->loop), (unsigned long long)++events->counter);
    series->body = build_body(events, series, subject, warning, reason, action, note);
    if (series->body == NULL || map_put(events->series, key, series) != ERR_OK) {
        free_series(series);
        return NULL;
    }
    return series;
}

void events_emit(struct events *events, const struct event_subject *subject, bool warning, const char *reason,
                 const char *action, const char *note)
{
    struct strbuf key;
    strbuf_init(&key, 8192);
    strbuf_printf(&key, "%s/%s/%s/%s/%s/%s", subject->kind, subject->namespace, subject->name, reason, subject->uid,
                  note);
    char *text = strbuf_take(&key);
    if (text == NULL) {
        events->dropped++;
        return;
    }
    uint64_t now_ms = loop_now_ms(events->loop);
    struct series *series = map_get(events->series, text);
    if (series != NULL && !series->pending && now_ms - series->last_seen_ms > SERIES_MS) {
        (void)map_remove(events->series, text);
        series = NULL;
    }
    bool fresh = series == NULL;
    if (fresh && map_count(events->series) >= MAX_SERIES)
        forget_old(events);
    if (fresh && map_count(events->series) < MAX_SERIES)
        series = new_series(events, text, subject, warning, reason, action, note);
    mem_free(text);
    if (series == NULL) {
        events->dropped++;
        return;
    }
    series->last_seen_ms = now_ms;
    series->count += fresh ? 0 : 1;
    if (!series->pending && (fresh || !series->created || now_ms - series->last_told_ms > REFRESH_MS))
        enqueue(events, series);
}
