/* The source cluster: mirrors and namespaces as they are, for the world. */
#include "agent/control/internal.h"
#include "agent/kube/codec.h"
#include "agent/observe/log.h"
#include "base/mem.h"
#include "mirror/names.h"

enum { DECODE_BYTES = 8 << 20, WATCHES = 5 };

struct source_watch {
    struct source *source;
    enum world_collection collection;
    struct list_watch *list_watch;
    bool told; /* its failure was logged */
};

struct source {
    struct control *control;
    struct arena scratch;
    struct source_watch watches[WATCHES];
};

static enum world_change change_of(enum change change) { return change == CHANGE_DELETED ? WORLD_DELETED : WORLD_PUT; }

static enum err_code take(struct source_watch *watch, enum world_change change, const struct json_tree *json,
                          struct err *error)
{
    struct world *world = watch->source->control->world;
    struct arena *arena = &watch->source->scratch;
    struct service service;
    struct slice slice;
    struct namespace_object namespace;
    struct service_cidr cidr;
    switch (watch->collection) {
    case WORLD_SOURCE_SERVICES:
        TRY(codec_read_service(arena, json, &service, error));
        return world_source_service(world, change, &service);
    case WORLD_SOURCE_SLICES:
        TRY(codec_read_slice(arena, json, &slice, error));
        return world_source_slice(world, change, &slice);
    case WORLD_SOURCE_ENDPOINTS:
        TRY(codec_read_endpoints(arena, json, &slice, error));
        return world_source_slice(world, change, &slice);
    case WORLD_SOURCE_CIDRS:
        TRY(codec_read_service_cidr(arena, json, &cidr, error));
        return world_source_cidr(world, change, &cidr);
    default:
        TRY(codec_read_namespace(arena, json, &namespace, error));
        return world_source_namespace(world, change, &namespace);
    }
}

static enum err_code on_object(void *context, enum change change, const struct json_tree *json)
{
    struct source_watch *watch = context;
    struct err error = {0};
    arena_reset(&watch->source->scratch);
    enum err_code code = take(watch, change_of(change), json, &error);
    if (code == ERR_INVALID)
        log_warn("object_unreadable", "an object of the source cluster cannot be read and is left out", "error",
                 error.text, NULL);
    return code;
}

static void on_begin(void *context)
{
    struct source_watch *watch = context;
    world_begin(watch->source->control->world, NULL, watch->collection);
}

static const char *const resource_names[] = {[WORLD_SOURCE_SERVICES] = "services",
                                             [WORLD_SOURCE_SLICES] = "endpointslices",
                                             [WORLD_SOURCE_NAMESPACES] = "namespaces",
                                             [WORLD_SOURCE_ENDPOINTS] = "endpoints",
                                             [WORLD_SOURCE_CIDRS] = "servicecidrs"};

static void on_end(void *context)
{
    struct source_watch *watch = context;
    const struct control *control = watch->source->control;
    world_end(control->world, NULL, watch->collection);
    if (watch->collection == WORLD_SOURCE_SLICES && control->config.endpoints_api == ENDPOINTS_API_AUTO)
        world_set_write_endpoints(control->world, false); /* they are served after all */
    log_info("source_listed", "the source cluster's objects are listed", "resource", resource_names[watch->collection],
             NULL);
}

/* A cluster that serves no EndpointSlices is given Endpoints, unless the user said which; and where these are written slices are not needed. One that
 * served them does not cease to: then something in between says 404. Where slices are written, Endpoints are only looked at for old ones that
 * are to go. */
static void consider_endpoints(const struct source_watch *watch, enum err_code code)
{
    struct control *control = watch->source->control;
    bool unreadable = code == ERR_NOT_FOUND || code == ERR_FORBIDDEN;
    if (watch->collection == WORLD_SOURCE_SLICES && code == ERR_NOT_FOUND &&
        control->config.endpoints_api == ENDPOINTS_API_AUTO && !list_watch_state(watch->list_watch)->synced) {
        log_info("endpoints_written", "the cluster serves no EndpointSlices: mirrors get v1 Endpoints", NULL);
        world_set_write_endpoints(control->world, true);
    }
    bool writes = world_writes_endpoints(control->world);
    if (unreadable && watch->collection == (writes ? WORLD_SOURCE_SLICES : WORLD_SOURCE_ENDPOINTS))
        world_set_unavailable(control->world, NULL, watch->collection);
}

/* They serve a warning only: without them it is given for the addresses of known Services. */
static void do_without_cidrs(struct source_watch *watch, const struct err *error)
{
    if (error->code != ERR_NOT_FOUND && error->code != ERR_FORBIDDEN)
        return;
    if (!watch->told)
        log_info("service_cidrs_unknown",
                 "the cluster does not tell its ServiceCIDRs: of gateways' addresses only ClusterIPs of mirrors are "
                 "warned of",
                 "reason", error->text, NULL);
    watch->told = true;
    world_set_unavailable(watch->source->control->world, NULL, WORLD_SOURCE_CIDRS);
}

static void on_state(void *context, const struct list_watch_state *state)
{
    struct source_watch *watch = context;
    if (watch->collection == WORLD_SOURCE_CIDRS) {
        if (!state->healthy)
            do_without_cidrs(watch, &state->error);
        return;
    }
    if (state->healthy) {
        if (watch->told)
            log_info("source_watch_recovered", "watching the source cluster works again", NULL);
        watch->told = false;
        return;
    }
    if (!watch->told)
        log_warn("source_watch_failed", "watching the source cluster failed and is tried again", "error",
                 state->error.text, NULL);
    watch->told = true;
    consider_endpoints(watch, state->error.code);
    /* Namespaces are a convenience: where they may not be read, a write tells what is missing. */
    if (watch->collection == WORLD_SOURCE_NAMESPACES && state->error.code == ERR_FORBIDDEN)
        world_set_unavailable(watch->source->control->world, NULL, watch->collection);
}

static enum err_code start(struct source *source, unsigned index, enum world_collection collection,
                           const char *resource, const char *kind, const char *path, const char *selector)
{
    struct source_watch *watch = &source->watches[index];
    watch->source = source;
    watch->collection = collection;
    const struct list_watch_config config = {.resource = resource,
                                             .kind = kind,
                                             .path = path,
                                             .label_selector = selector,
                                             .on_object = on_object,
                                             .on_begin = on_begin,
                                             .on_end = on_end,
                                             .on_state = on_state,
                                             .context = watch};
    struct err ignored = {0};
    return list_watch_new(source->control->config.loop, source->control->client, &config, &watch->list_watch, &ignored);
}

static const char mirrors[] = L5D_MIRRORED_SERVICE "=true";

enum err_code source_new(struct control *control, struct source **ret_source)
{
    struct source *source = NEW(struct source);
    if (source == NULL)
        return ERR_NOMEM;
    source->control = control;
    arena_init(&source->scratch, DECODE_BYTES);
    enum err_code code = start(source, 0, WORLD_SOURCE_SERVICES, "services", "Service", "/api/v1/services", mirrors);
    if (code == ERR_OK)
        code = start(source, 1, WORLD_SOURCE_SLICES, "endpointslices", "EndpointSlice",
                     "/apis/discovery.k8s.io/v1/endpointslices", mirrors);
    if (code == ERR_OK)
        code = start(source, 2, WORLD_SOURCE_NAMESPACES, "namespaces", "Namespace", "/api/v1/namespaces", NULL);
    if (code == ERR_OK)
        code = start(source, 3, WORLD_SOURCE_ENDPOINTS, "endpoints", "Endpoints", "/api/v1/endpoints", mirrors);
    if (code == ERR_OK)
        code = start(source, 4, WORLD_SOURCE_CIDRS, "servicecidrs", "ServiceCIDR",
                     "/apis/networking.k8s.io/v1/servicecidrs", NULL);
    if (code != ERR_OK) {
        source_free(source);
        return code;
    }
    world_set_write_endpoints(control->world, control->config.endpoints_api == ENDPOINTS_API_ENDPOINTS);
    *ret_source = source;
    return ERR_OK;
}

void source_free(struct source *source)
{
    if (source == NULL)
        return;
    for (unsigned i = 0; i < WATCHES; i++)
        list_watch_free(source->watches[i].list_watch);
    arena_done(&source->scratch);
    mem_free(source);
}

bool source_ready(const struct source *source, struct strbuf *why)
{
    bool ready = true;
    for (unsigned i = 0; i < WATCHES; i++) {
        const struct list_watch_state *state = list_watch_state(source->watches[i].list_watch);
        /* Old Endpoints that are to go are no part of the agent's readiness, nor is what serves a warning. */
        enum world_collection collection = source->watches[i].collection;
        bool beside = (collection == WORLD_SOURCE_CIDRS ||
                       (collection == WORLD_SOURCE_ENDPOINTS && !world_writes_endpoints(source->control->world))) &&
                      state->error.code != ERR_OK;
        if (state->synced || beside || world_knowledge(source->control->world, NULL, collection) == WORLD_UNAVAILABLE)
            continue;
        ready = false;
        if (state->error.code != ERR_OK)
            strbuf_printf(why, "source cluster: %s\n", state->error.text);
        else
            strbuf_printf(why, "source cluster: %s are not listed yet\n", resource_names[collection]);
    }
    return ready;
}

const struct err *source_failure(const struct source *source)
{
    for (unsigned i = 0; i < WATCHES; i++) {
        const struct list_watch_state *state = list_watch_state(source->watches[i].list_watch);
        if (!state->synced && state->error.code != ERR_OK && source->watches[i].collection != WORLD_SOURCE_CIDRS &&
            world_knowledge(source->control->world, NULL, source->watches[i].collection) != WORLD_UNAVAILABLE)
            return &state->error;
    }
    return NULL;
}
