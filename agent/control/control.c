#include "agent/control/control.h"

#include <stdio.h>
#include <string.h>

#include "agent/control/expiry.h"
#include "agent/control/imports.h"
#include "agent/control/internal.h"
#include "agent/control/local.h"
#include "agent/control/write_limit.h"
#include "agent/observe/log.h"
#include "base/mem.h"

enum {
    DRAIN_MS = 2000,
    DRAIN_POLL_MS = 20,
    LOOP_BUSY_WARN_US = 100 * 1000,
    AGAIN_MS = 1000,
    MUCH_WORK_US = 2000,  /* of the processor in one turn: memory for thousands of JSON values, say */
    REST_MS = 3000,       /* without such a turn */
    CLOSINGS = 3,         /* of idle connections: one shortly after a request does nothing */
    CLOSE_MS = 1100,      /* after each */
    GIVE_BACK_MS = 60000, /* at least from one time to the next */
    /* To the source: all writes to mirrors at once, and a dozen for statuses, Leases and Events, which shall not wait behind those. */
    CONNECTIONS = WRITE_LIMIT_MAX + WRITE_LIMIT_RESERVE + 12,
};

struct stopping {
    struct control *control;
    struct loop_timer *timer;
    uint64_t deadline_ms;
    loop_fn on_stopped;
    void *context;
};

static void observe_source(void *context, const struct kube_client *client, const char *verb, const char *resource,
                           int status, uint64_t latency_us)
{
    (void)client;
    struct control *control = context;
    char code[8];
    (void)snprintf(code, sizeof(code), "%d", status);
    metric_add(metric_get(control->instruments.api_requests, "local", verb, resource, code), 1);
    if (verb[0] != 'w')
        metric_observe(metric_get(control->instruments.api_seconds, "local", verb), (double)latency_us / 1e6);
}

static void on_warning(void *context, const struct kube_client *client, const char *text)
{
    struct control *control = context;
    metric_add(metric_get(control->instruments.api_warnings, "local"), 1);
    if (strcmp(control->warning_told, text) == 0)
        return;
    (void)snprintf(control->warning_told, sizeof(control->warning_told), "%s", text);
    log_warn("api_warning", "the API server warns", "cluster", kube_client_label(client), "warning", text, NULL);
}

/* Once for each wording: the log tells which right is missing, the metric counts the rest. */
static void on_event_refused(void *context, const struct err *error)
{
    struct control *control = context;
    if (strcmp(control->event_error.text, error->text) == 0)
        return;
    control->event_error = *error;
    log_warn("event_refused", "an Event could not be written; the log tells what Events would", "error", error->text,
             "remedy", error->code == ERR_FORBIDDEN ? "grant create and patch on events in events.k8s.io" : NULL, NULL);
}

static void on_gateway(void *context, struct world_gateway *gateway, bool removed)
{
    struct control *control = context;
    if (control->gateways != NULL)
        gateways_changed(control->gateways, gateway, removed);
}

static void on_again(void *context) { loop_wake(((struct control *)context)->config.loop); }

void control_turn_again(struct control *control)
{
    if (!loop_timer_active(control->again))
        loop_timer_start(control->again, AGAIN_MS);
}

/* The one place where what was recorded is decided upon, in the order in which one thing feeds the next. */
static bool on_turn(void *context)
{
    struct control *control = context;
    if (control->stopping)
        return false;
    leases_turn(control->leases);
    if (!leases_known(control->leases))
        return false; /* whether it is on us to tell what is wrong with a link */
    bool more = links_turn(control->links);
    more = gateways_turn(control->gateways) || more;
    imports_turn(control->imports);
    if (control->config.dry_run)
        return more; /* marked mirrors stay marked, for preview.c */
    return writer_turn(control->writer) || more;
}

static void on_collect(void *context)
{
    struct control *control = context;
    const struct instruments *instruments = &control->instruments;
    for (struct target *target = links_first(control->links); target != NULL; target = links_next(target))
        target_collect(target);
    expiry_collect(control, control->client, "local");
    gateways_collect(control->gateways);
    writer_collect(control->writer);
    leases_collect(control->leases);
    metric_set(metric_get(instruments->service_cache, "local"),
               (double)world_collection_size(control->world, NULL, WORLD_SOURCE_SERVICES));
    metric_set(metric_get(instruments->slice_cache, "local"),
               (double)world_collection_size(control->world, NULL, WORLD_SOURCE_SLICES));
    metric_set(metric_get(instruments->namespace_cache, "local"),
               (double)world_collection_size(control->world, NULL, WORLD_SOURCE_NAMESPACES));
    metric_set(metric_get(instruments->events_dropped), (double)events_dropped(control->events));
}

/* What much work needed and nothing needs now: connections, and what is free between what is kept, as much again until it is given back. */
static void on_rest(void *context)
{
    struct control *control = context;
    if (control->closings < CLOSINGS) {
        control->closings++;
        kube_client_close_idle(control->client);
        loop_timer_start(control->rest, CLOSE_MS);
        return;
    }
    control->closings = 0;
    mem_give_back();
    control->gave_back_ms = loop_now_ms(control->config.loop);
    control->is_giving_back = true;
}

static void rest_later(struct control *control)
{
    control->closings = 0;
    uint64_t now_ms = loop_now_ms(control->config.loop), since_ms = now_ms - control->gave_back_ms;
    bool is_soon = control->gave_back_ms != 0 && since_ms < GIVE_BACK_MS - REST_MS;
    loop_timer_start(control->rest, is_soon ? GIVE_BACK_MS - since_ms : REST_MS);
}

static void on_busy(void *context, uint64_t busy_us, uint64_t cpu_us)
{
    struct control *control = context;
    /* Not by how long it took: on a busy machine there would be no rest. */
    if (cpu_us > MUCH_WORK_US && !control->is_giving_back)
        rest_later(control);
    control->is_giving_back = false;
    metric_observe(metric_get(control->instruments.loop_busy), (double)busy_us / 1e6);
    metric_observe(metric_get(control->instruments.loop_cpu), (double)cpu_us / 1e6);
    if (busy_us > LOOP_BUSY_WARN_US)
        log_debug("loop_busy", "one turn of the loop took long", "us", log_u64(busy_us), "cpu_us", log_u64(cpu_us),
                  NULL);
}

static enum err_code no_memory(struct err *reterr) { return err_set(reterr, ERR_NOMEM, "out of memory"); }

/* Who tells the clusters what became of services: nobody in a dry run. */
static enum err_code start_telling(struct control *control)
{
    if (control->config.dry_run) {
        kube_client_set_read_only(control->client); /* what the code above it promises, once more */
        return ERR_OK;
    }
    control->events = events_new(control->config.loop, control->client, control->instance);
    return control->events != NULL ? statuses_new(control, &control->statuses) : ERR_NOMEM;
}

static enum err_code start_parts(struct control *control, struct err *reterr)
{
    const struct control_config *config = &control->config;
    if (instruments_init(&control->instruments, config->metrics) != ERR_OK)
        return no_memory(reterr);
    TRY(kube_client_new(config->http, config->loop, config->source, "source", &control->client, reterr));
    kube_client_limit_connections(control->client, CONNECTIONS);
    kube_client_observe(control->client, observe_source, control);
    kube_client_on_warning(control->client, on_warning, control);
    if (config->stream_lists)
        kube_client_stream_lists(control->client);
    if (config->ask_for_json)
        kube_client_ask_for_json(control->client);
    const struct world_config world = {.agent_namespace = control->namespace,
                                       .create_namespaces_for_secrets = config->create_namespaces_for_secrets,
                                       .create_namespaces_for_links = config->create_namespaces_for_links,
                                       .cluster_name = control->cluster_name,
                                       .allowed_namespaces = control->allowed_namespaces,
                                       .mirror_headless = config->mirror_headless,
                                       .take_exports = config->take_exports,
                                       .remove_unaccounted = config->remove_unaccounted,
                                       .max_link_bytes = config->max_link_bytes,
                                       .move_endpoints = config->move_endpoints,
                                       .on_gateway = on_gateway,
                                       .context = control};
    control->world = world_new(&world);
    control->again = loop_timer_new(config->loop, on_again, control);
    control->rest = loop_timer_new(config->loop, on_rest, control);
    if (control->world == NULL || control->again == NULL || control->rest == NULL || expiry_init(control) != ERR_OK ||
        start_telling(control) != ERR_OK ||
        (config->leader_elect && !config->dry_run && leases_new(control, &control->leases) != ERR_OK) ||
        gateways_new(control, &control->gateways) != ERR_OK || writer_new(control, &control->writer) != ERR_OK ||
        source_new(control, &control->source) != ERR_OK || imports_new(control, &control->imports) != ERR_OK ||
        links_new(control, &control->links) != ERR_OK || loop_on_turn(config->loop, on_turn, control) != ERR_OK ||
        metrics_on_collect(config->metrics, on_collect, control) != ERR_OK)
        return no_memory(reterr);
    TRY(local_new(control, &control->local, reterr));
    events_on_refused(control->events, on_event_refused, control);
    loop_on_stall(config->loop, on_busy, control);
    snapshot_init(control);
    expiry_start(control);
    return ERR_OK;
}

enum err_code control_new(const struct control_config *config, struct control **ret_control, struct err *reterr)
{
    struct control *control = NEW(struct control);
    if (control == NULL)
        return no_memory(reterr);
    control->config = *config;
    control->namespace = mem_strdup(config->namespace);
    control->instance = mem_strdup(config->instance);
    control->cluster_name = mem_strdup(config->cluster_name);
    control->allowed_namespaces = mem_strdup(config->allowed_namespaces);
    bool copied = control->namespace != NULL && control->instance != NULL && control->cluster_name != NULL &&
                  control->allowed_namespaces != NULL;
    enum err_code code = copied ? start_parts(control, reterr) : no_memory(reterr);
    control->config.source = NULL;
    if (code != ERR_OK) {
        control_free(control);
        return code;
    }
    *ret_control = control;
    return ERR_OK;
}

static bool is_writing(const struct control *control)
{
    return writer_in_flight(control->writer) > 0 || statuses_in_flight(control->statuses) > 0 ||
           events_busy(control->events) || leases_busy(control->leases);
}

static void on_drain(void *context)
{
    struct stopping *stopping = context;
    struct control *control = stopping->control;
    if (is_writing(control) && loop_now_ms(control->config.loop) < stopping->deadline_ms) {
        loop_timer_start(stopping->timer, DRAIN_POLL_MS);
        return;
    }
    loop_fn on_stopped = stopping->on_stopped;
    void *on_stopped_context = stopping->context;
    loop_timer_free(stopping->timer);
    mem_free(stopping);
    on_stopped(on_stopped_context);
}

void control_stop(struct control *control, loop_fn on_stopped, void *context)
{
    struct stopping *stopping = NEW(struct stopping);
    control->stopping = true;
    writer_stop(control->writer);
    statuses_stop(control->statuses);
    leases_stop(control->leases); /* each Lease is given back when its writes have ended */
    if (stopping != NULL) {
        *stopping = (struct stopping){.control = control,
                                      .deadline_ms = loop_now_ms(control->config.loop) + DRAIN_MS,
                                      .on_stopped = on_stopped,
                                      .context = context};
        stopping->timer = loop_timer_new(control->config.loop, on_drain, stopping);
    }
    if (stopping == NULL || stopping->timer == NULL) {
        mem_free(stopping);
        on_stopped(context); /* out of memory: at once; writes are conditional and safe to lose */
        return;
    }
    loop_timer_start(stopping->timer, 0);
}

void control_free(struct control *control)
{
    if (control == NULL)
        return;
    loop_off_turn(control->config.loop, on_turn, control);
    loop_on_stall(control->config.loop, NULL, NULL);
    source_free(control->source);
    imports_free(control->imports);
    local_free(control->local);
    writer_free(control->writer);
    links_free(control->links);
    statuses_free(control->statuses);
    gateways_free(control->gateways);
    leases_free(control->leases);
    control->gateways = NULL;
    world_free(control->world);
    events_free(control->events);
    loop_timer_free(control->again);
    loop_timer_free(control->rest);
    loop_timer_free(control->expiry_timer);
    kube_client_free(control->client);
    mem_free(control->namespace);
    mem_free(control->instance);
    mem_free(control->cluster_name);
    mem_free(control->allowed_namespaces);
    mem_free(control);
}

const struct admin_source *control_source(struct control *control) { return &control->admin; }
