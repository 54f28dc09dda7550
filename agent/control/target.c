/* One target cluster: its client and its watches. Whatever is wrong with it stays its own affair. */
#include "agent/control/internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "agent/control/expiry.h"
#include "agent/control/exports.h"
#include "agent/control/renewal.h"
#include "agent/kube/codec.h"
#include "agent/observe/log.h"
#include "base/mem.h"
#include "mirror/names.h"
#include "mirror/selection.h"

enum {
    CONNECTIONS = 2, /* beside those of its watches: a target is asked for little else */
    DECODE_BYTES = 8 << 20,
    KUBECONFIG_BYTES = 2 << 20,
    LIST_SOON_MS = 60 * 1000,       /* from when there is room again for what was left out */
    LIST_LATER_MS = 10 * 60 * 1000, /* without that: what was left out may be gone */
    SETTLE_MS = 30 * 1000,          /* who takes longer to be listed holds up nobody's readiness */
    TELL_AGAIN_MS = 5 * 60 * 1000,  /* a server that is refused and times out in turn is told once in so long */
};

/* Two kinds of failure, which people mend in different places. */
enum trouble { TROUBLE_UNREACHABLE = 1, TROUBLE_DENIED = 2 };

/* What a watch follows. */
struct followed {
    enum world_collection collection;
    const char *resource, *kind, *path;
};

static const struct followed services = {WORLD_TARGET_SERVICES, "services", "Service", "/api/v1/services"};
/* Of a Link that selects members of federated services by other labels. */
static const struct followed members = {WORLD_TARGET_MEMBERS, "services", "Service", "/api/v1/services"};
static const struct followed slices = {WORLD_TARGET_SLICES, "endpointslices", "EndpointSlice",
                                       "/apis/discovery.k8s.io/v1/endpointslices"};
/* The one Service that a Link names as its gateway, besides: it need not be one that the Link selects. */
static const struct followed gateway = {WORLD_TARGET_GATEWAY, "services", "Service", NULL};
/* Of a target that serves no EndpointSlices, in their place. */
static const struct followed endpoints = {WORLD_TARGET_SLICES, "endpoints", "Endpoints", "/api/v1/endpoints"};

struct target_watch {
    struct target *target;
    const struct followed *what;
    struct list_watch *list_watch;
    bool in_trouble;    /* a failure was told, and not yet that it is over */
    unsigned kinds;     /* of trouble, told since these credentials failed first */
    enum err_code told; /* the failure that was told last */
    uint64_t told_ms;
};

struct target {
    struct control *control;
    struct world_link *world_link;
    struct kube_client *client;
    char *kubeconfig; /* that the client was made of, NULL when none */
    char *refused;    /* the kubeconfig that was given last, when it could not be used */
    struct expiry expiry;
    struct renewal *renewal;
    const char *oddity; /* of the kubeconfig in use, "" when none; constant */
    struct err problem; /* of declaration or credentials */
    struct target_watch services, members, slices, endpoints, gateway;
    uint64_t connected_ms; /* when the client was made */
    struct loop_timer *list_again;
    bool list_soon;      /* that timer has the shorter time */
    bool too_large_told; /* and not yet that it is over */
    struct err too_large;
    struct exports *exports; /* NULL when the link takes none */
    struct arena scratch;
    uint64_t claims_version; /* of the world's link, when its status was marked last */
    struct target *next;
};

const struct link *target_link(const struct target *target) { return world_link_declaration(target->world_link); }

struct world_link *target_world_link(const struct target *target) { return target->world_link; }

void target_set_next(struct target *target, struct target *next) { target->next = next; }

struct target *target_next(const struct target *target) { return target->next; }

static const char *cluster_name(const struct target *target) { return target_link(target)->cluster_name; }

/* ---- watches ---- */

static enum err_code keep_unreadable(const struct target_watch *watch, const struct json_tree *json)
{
    struct target *target = watch->target;
    struct object_meta meta;
    struct err ignored = {0};
    enum err_code code = codec_read_meta(&target->scratch, json, &meta, &ignored);
    if (code != ERR_OK)
        return code;
    code = watch->what == &services ? world_target_unreadable(target->world_link, meta.namespace, meta.name)
                                    : world_target_member_unreadable(target->world_link, meta.namespace, meta.name);
    return code != ERR_OK ? code : ERR_INVALID;
}

/* A service that is exported no longer has no plan any more that would say so: its link's status is marked here. */
static void note_claims(struct target *target)
{
    uint64_t version = world_link_claims_version(target->world_link);
    if (version == target->claims_version)
        return;
    target->claims_version = version;
    statuses_mark(target->control->statuses, target->world_link);
}

static enum err_code take(struct target_watch *watch, enum world_change change, const struct json_tree *json,
                          struct err *error)
{
    struct target *target = watch->target;
    struct service service;
    struct slice slice;
    if (watch->what == &services || watch->what == &members || watch->what == &gateway) {
        service = (struct service){0};
        TRY(change == WORLD_DELETED ? codec_read_meta(&target->scratch, json, &service.meta, error)
                                    : codec_read_service(&target->scratch, json, &service, error));
        return watch->what == &services  ? world_target_service(target->world_link, change, &service)
               : watch->what == &members ? world_target_member(target->world_link, change, &service)
                                         : world_target_gateway(target->world_link, change, &service);
    }
    TRY(watch->what == &slices ? codec_read_slice(&target->scratch, json, &slice, error)
                               : codec_read_endpoints(&target->scratch, json, &slice, error));
    return world_target_slice(target->world_link, change, &slice);
}

/* ---- more than may be kept ---- */

/* One that both watches show counts twice, if either has no room for it. */
static size_t services_left_out(const struct target *target)
{
    return world_link_left_out(target->world_link, WORLD_TARGET_SERVICES) +
           world_link_left_out(target->world_link, WORLD_TARGET_MEMBERS);
}

size_t target_left_out(const struct target *target)
{
    return services_left_out(target) + world_link_left_out(target->world_link, WORLD_TARGET_SLICES);
}

static void tell_too_large(struct target *target)
{
    const struct link *link = target_link(target);
    (void)err_set(
        &target->too_large, ERR_LIMIT,
        "cluster %s has more than is kept of one target (%zu MiB, %d gateways): %zu Services and %zu slices are "
        "left out, and none of its mirrors is deleted; select less, or raise --max-link-memory",
        link->cluster_name, target->control->config.max_link_bytes >> 20, WORLD_MAX_GATEWAYS, services_left_out(target),
        world_link_left_out(target->world_link, WORLD_TARGET_SLICES));
    if (target->too_large_told)
        return;
    target->too_large_told = true;
    log_warn("target_too_large", "a target has more than is kept of one: what exceeds it is left out", "cluster",
             link->cluster_name, "error", target->too_large.text, NULL);
    links_emit(target->control, link, true, "TargetTooLarge", target->too_large.text);
}

static void tell_fits(struct target *target)
{
    target->too_large = (struct err){0};
    if (!target->too_large_told)
        return;
    target->too_large_told = false;
    log_info("target_fits", "all of the target is kept again", "cluster", cluster_name(target), NULL);
    links_emit(target->control, target_link(target), false, "TargetFits", "all of the target is kept again");
}

/* After each change: what was left out may fit now, or be gone, and only a listing tells. */
static void note_room(struct target *target)
{
    bool has_room = world_link_has_room(target->world_link), waits = loop_timer_active(target->list_again);
    if (target_left_out(target) == 0) {
        loop_timer_stop(target->list_again);
    } else if (!waits || (has_room && !target->list_soon)) {
        target->list_soon = has_room;
        loop_timer_start(target->list_again, has_room ? LIST_SOON_MS : LIST_LATER_MS);
    }
}

static void on_list_again(void *context)
{
    struct target *target = context;
    struct target_watch *const watches[] = {&target->services, &target->members, &target->slices, &target->endpoints};
    for (size_t i = 0; i < ARRAY_COUNT(watches); i++)
        if (watches[i]->list_watch != NULL && world_link_left_out(target->world_link, watches[i]->what->collection) > 0)
            list_watch_list_again(watches[i]->list_watch);
}

/* ---- what arrives ---- */

static enum err_code on_object(void *context, enum change change, const struct json_tree *json)
{
    struct target_watch *watch = context;
    struct target *target = watch->target;
    struct err error = {0};
    arena_reset(&target->scratch);
    enum err_code code = take(watch, change == CHANGE_DELETED ? WORLD_DELETED : WORLD_PUT, json, &error);
    if (code == ERR_INVALID) {
        log_warn("object_unreadable", "an object of a target cluster cannot be read; what is known of it stays",
                 "cluster", cluster_name(target), "error", error.text, NULL);
        if ((watch->what == &services || watch->what == &members) && change != CHANGE_DELETED)
            code = keep_unreadable(watch, json);
        if (watch->what == &gateway && change != CHANGE_DELETED &&
            world_target_gateway_unreadable(target->world_link) != ERR_OK)
            code = ERR_NOMEM;
    }
    if (code == ERR_LIMIT)
        tell_too_large(target);
    else if (target->too_large_told)
        note_room(target);
    note_claims(target);
    return code;
}

static void on_begin(void *context)
{
    struct target_watch *watch = context;
    struct target *target = watch->target;
    /* The target serves slices: what its Endpoints told goes with the listing's end. */
    if (watch->what == &slices)
        list_watch_free(TAKE(target->endpoints.list_watch));
    world_begin(target->control->world, target->world_link, watch->what->collection);
}

static void on_end(void *context)
{
    struct target_watch *watch = context;
    world_end(watch->target->control->world, watch->target->world_link, watch->what->collection);
    if (target_left_out(watch->target) > 0)
        tell_too_large(watch->target);
    else
        tell_fits(watch->target);
    note_room(watch->target);
    /* In any case: what went while no agent ran still stands in the status. */
    if (watch->what == &services || watch->what == &members)
        statuses_mark(watch->target->control->statuses, watch->target->world_link);
    log_info("target_listed", "the target's objects are listed", "cluster", cluster_name(watch->target), "resource",
             watch->what->resource, NULL);
}

/* Of the target as a whole: one that may list services but not slices is not as it should be. */
static void tell_watch_recovery(struct target_watch *watch)
{
    struct target *target = watch->target;
    if (!watch->in_trouble)
        return;
    watch->in_trouble = false;
    watch->kinds = 0;
    watch->told = ERR_OK;
    log_info("target_watch_recovered", "watching the target works again", "cluster", cluster_name(target), NULL);
    if (!target->services.in_trouble && !target->members.in_trouble && !target->slices.in_trouble &&
        !target->endpoints.in_trouble && !target->gateway.in_trouble)
        links_emit(target->control, target_link(target), false, "TargetReachable", "watching the target works again");
}

/* Each kind once until it is over; another failure of a kind that was told once in a while. */
static bool is_news(const struct target_watch *watch, enum trouble kind, enum err_code code)
{
    uint64_t now_ms = loop_now_ms(watch->target->control->config.loop);
    return (watch->kinds & kind) == 0 || (watch->told != code && now_ms - watch->told_ms >= TELL_AGAIN_MS);
}

static void tell_watch_failure(struct target_watch *watch, const struct err *error)
{
    struct target *target = watch->target;
    bool denied = error->code == ERR_FORBIDDEN || error->code == ERR_UNAUTHORIZED;
    enum trouble kind = denied ? TROUBLE_DENIED : TROUBLE_UNREACHABLE;
    if (!is_news(watch, kind, error->code))
        return;
    watch->in_trouble = true;
    watch->kinds |= kind;
    watch->told = error->code;
    watch->told_ms = loop_now_ms(target->control->config.loop);
    log_warn("target_watch_failed", "watching the target failed and is tried again; its mirrors stay as they are",
             "cluster", cluster_name(target), "error", error->text, NULL);
    links_emit(target->control, target_link(target), true, denied ? "TargetAccessDenied" : "TargetUnreachable",
               error->text);
}

static void read_endpoints(struct target *target);

static void on_state(void *context, const struct list_watch_state *state)
{
    struct target_watch *watch = context;
    struct target *target = watch->target;
    enum err_code code = state->error.code;
    if (state->healthy) {
        tell_watch_recovery(watch);
        return;
    }
    if (watch->what == &slices && (code == ERR_NOT_FOUND || target->endpoints.list_watch != NULL)) {
        read_endpoints(target);
        return;
    }
    tell_watch_failure(watch, &state->error);
    if (watch->what->collection == WORLD_TARGET_SLICES && (code == ERR_FORBIDDEN || code == ERR_NOT_FOUND))
        world_set_unavailable(target->control->world, target->world_link, WORLD_TARGET_SLICES);
}

static enum err_code start_watch_of(struct target *target, struct target_watch *watch, const struct followed *what,
                                    const struct list_watch_config *place)
{
    struct list_watch_config config = *place;
    struct err ignored = {0};
    /* A trouble that was told is still to be told the end of. */
    *watch = (struct target_watch){.target = target, .what = what, .in_trouble = watch->in_trouble};
    config.resource = what->resource;
    config.kind = what->kind;
    config.on_object = on_object;
    config.on_begin = on_begin;
    config.on_end = on_end;
    config.on_state = on_state;
    config.context = watch;
    return list_watch_new(target->control->config.loop, target->client, &config, &watch->list_watch, &ignored);
}

void target_turn(struct target *target)
{
    const struct target_watch *const watches[] = {&target->services, &target->members,
                                                  target->endpoints.list_watch != NULL ? &target->endpoints
                                                                                       : &target->slices};
    for (size_t i = 0; i < ARRAY_COUNT(watches); i++)
        if (watches[i]->list_watch != NULL && world_wants_listing(target->world_link, watches[i]->what->collection))
            list_watch_relist(watches[i]->list_watch);
}

static enum err_code start_watch(struct target *target, struct target_watch *watch, const struct followed *what,
                                 const char *selector)
{
    const struct list_watch_config place = {.path = what->path, .label_selector = selector};
    return start_watch_of(target, watch, what, &place);
}

/* The name as a field selector: whoever may read this one Service alone may watch it so, by the rules of RBAC's resourceNames. */
static enum err_code watch_gateway(struct target *target)
{
    char namespace[OBJECT_KEY_BYTES], path[OBJECT_KEY_BYTES + 64], field[OBJECT_KEY_BYTES + 16];
    list_watch_free(TAKE(target->gateway.list_watch));
    if (target_link(target)->gateway_service == NULL)
        target->gateway = (struct target_watch){0}; /* its trouble is over with it */
    if (target_link(target)->gateway_service == NULL || target->client == NULL)
        return ERR_OK;
    const char *name = object_key_split(target_link(target)->gateway_service, namespace);
    (void)snprintf(path, sizeof(path), "/api/v1/namespaces/%s/services", namespace);
    (void)snprintf(field, sizeof(field), "metadata.name=%s", name);
    const struct list_watch_config place = {.path = path, .field_selector = field};
    return start_watch_of(target, &target->gateway, &gateway, &place);
}

/* Its slices are asked for on, until it serves them. */
static void read_endpoints(struct target *target)
{
    if (target->endpoints.list_watch != NULL)
        return;
    tell_watch_recovery(&target->slices); /* that there are none is an answer */
    log_info("target_endpoints_read", "the target serves no EndpointSlices: its v1 Endpoints are read", "cluster",
             cluster_name(target), NULL);
    enum err_code ignored = start_watch(target, &target->endpoints, &endpoints, NULL); /* the next 404 tries again */
    (void)ignored;
}

static void stop_watches(struct target *target)
{
    list_watch_free(TAKE(target->services.list_watch));
    list_watch_free(TAKE(target->members.list_watch));
    list_watch_free(TAKE(target->slices.list_watch));
    list_watch_free(TAKE(target->endpoints.list_watch));
    list_watch_free(TAKE(target->gateway.list_watch));
    exports_free(TAKE(target->exports));
}

static void on_exports_changed(void *context) { note_claims(context); }

/* 2.8 marks exports by annotations, which cannot be selected by: all Services come. Links select by labels. */
static enum err_code start_watches(struct target *target)
{
    const struct link *link = target_link(target);
    struct world *world = target->control->world;
    if (world_takes_exports(target->world_link))
        TRY(exports_new(target->control, target->client, target->world_link, on_exports_changed, target,
                        &target->exports));
    if (link->kind == LINK_SECRET) {
        world_set_unavailable(world, target->world_link, WORLD_TARGET_SLICES);
        return start_watch(target, &target->services, &services, NULL);
    }
    struct selection selection = {NULL, NULL};
    arena_reset(&target->scratch);
    /* ServiceExports say nothing in the labels of their Services. */
    if (!world_takes_exports(target->world_link))
        TRY(selection_of(&target->scratch, link, &selection));
    TRY(world_watch_members_apart(target->world_link, selection.members != NULL));
    if (selection.services != NULL && selection.services[0] == '\0') {
        /* Selects nothing: known without asking. The watch still tells whether the API is reachable and allowed. */
        world_begin(world, target->world_link, WORLD_TARGET_SERVICES);
        world_end(world, target->world_link, WORLD_TARGET_SERVICES);
        selection.services = L5D_EXPORTED "=svcmirror.nothing";
    }
    TRY(start_watch(target, &target->services, &services, selection.services));
    if (selection.members != NULL)
        TRY(start_watch(target, &target->members, &members, selection.members));
    else
        target->members = (struct target_watch){0}; /* its trouble is over with it */
    TRY(watch_gateway(target));
    return start_watch(target, &target->slices, &slices, NULL);
}

/* For want of memory nothing is watched, and the same credentials, given again, are taken for new ones. @return ERR_NOMEM. */
static enum err_code give_up_watching(struct target *target)
{
    stop_watches(target);
    mem_free(TAKE(target->kubeconfig));
    return ERR_NOMEM;
}

static enum err_code restart_watches(struct target *target)
{
    stop_watches(target);
    return target->client == NULL || start_watches(target) == ERR_OK ? ERR_OK : give_up_watching(target);
}

/* ---- credentials ---- */

static void observe(void *context, const struct kube_client *client, const char *verb, const char *resource, int status,
                    uint64_t latency_us)
{
    struct control *control = context;
    char code[8];
    (void)snprintf(code, sizeof(code), "%d", status);
    metric_add(metric_get(control->instruments.api_requests, kube_client_label(client), verb, resource, code), 1);
    if (strcmp(verb, "watch") != 0)
        metric_observe(metric_get(control->instruments.api_seconds, kube_client_label(client), verb),
                       (double)latency_us / 1e6);
}

/* What is dangerous about credentials that work, "" when nothing is. */
static const char *find_oddity(const struct kubeconfig *config)
{
    if (strncasecmp(config->server, "http://", strlen("http://")) == 0 &&
        (config->token != NULL || config->password != NULL))
        return "the server is http:// and the credentials go there unencrypted: use https://";
    if (config->insecure_skip_tls_verify)
        return "insecure-skip-tls-verify lets anybody on the way pass for the server and read the credentials: give "
               "certificate-authority-data instead";
    return "";
}

static enum err_code make_client(struct target *target, const char *text, struct kube_client **ret_client,
                                 const char **ret_oddity, struct err *reterr)
{
    struct arena arena;
    struct kubeconfig config;
    arena_init(&arena, KUBECONFIG_BYTES);
    enum err_code code = kubeconfig_parse(&arena, text, strlen(text), NULL, KUBECONFIG_TARGET, NULL, &config, reterr);
    if (code == ERR_OK)
        code = kube_client_new(target->control->config.http, target->control->config.loop, &config,
                               cluster_name(target), ret_client, reterr);
    if (code == ERR_OK) {
        *ret_oddity = find_oddity(&config);
        kube_client_observe(*ret_client, observe, target->control);
        kube_client_limit_connections(*ret_client, CONNECTIONS);
        if (target->control->config.stream_lists)
            kube_client_stream_lists(*ret_client);
        if (target->control->config.ask_for_json)
            kube_client_ask_for_json(*ret_client);
    }
    arena_done(&arena);
    return code;
}

/* Once for each wording: a new token in the same kubeconfig is no news. */
static void tell_oddity(struct target *target, const char *oddity)
{
    char note[ERR_TEXT_BYTES];
    bool news = strcmp(target->oddity, oddity) != 0;
    target->oddity = oddity;
    if (!news || oddity[0] == '\0')
        return;
    log_warn("credentials_warning", oddity, "cluster", cluster_name(target), "secret",
             target_link(target)->credentials_secret, NULL);
    (void)snprintf(note, sizeof(note), "Secret %s/%s: %s", target_link(target)->namespace,
                   target_link(target)->credentials_secret, oddity);
    links_emit(target->control, target_link(target), true, "CredentialsWarning", note);
}

static void tell_problem(struct target *target, const char *text)
{
    if (target->problem.code != ERR_OK && strcmp(target->problem.text, text) == 0)
        return;
    (void)err_set(&target->problem, ERR_INVALID, "%s", text);
    log_error("credentials_unusable", "the target's credentials cannot be used: mend the Secret", "cluster",
              cluster_name(target), "secret", target_link(target)->credentials_secret, "error", text, NULL);
    links_emit(target->control, target_link(target), true, "CredentialsUnusable", text);
}

static void tell_recovery(struct target *target)
{
    if (target->problem.code == ERR_OK)
        return;
    target->problem = (struct err){0};
    log_info("credentials_recovered", "the target's credentials are in use", "cluster", cluster_name(target), "secret",
             target_link(target)->credentials_secret, NULL);
    links_emit(target->control, target_link(target), false, "CredentialsUsable", "the target's credentials are in use");
}

static bool is_same(const char *kept, const char *kubeconfig) { return kept != NULL && strcmp(kept, kubeconfig) == 0; }

static void refuse(struct target *target, char *kubeconfig, const struct err *error)
{
    char text[ERR_TEXT_BYTES];
    (void)snprintf(text, sizeof(text), "Secret %s/%s: %.400s", target_link(target)->namespace,
                   target_link(target)->credentials_secret, error->text);
    target->refused = kubeconfig;
    tell_problem(target, text);
}

/* @param kubeconfig  steals. */
static enum err_code connect_anew(struct target *target, char *kubeconfig)
{
    struct err error = {0};
    struct kube_client *client = NULL;
    const char *oddity = "";
    enum err_code code = make_client(target, kubeconfig, &client, &oddity, &error);
    if (code == ERR_NOMEM) {
        mem_free(kubeconfig);
        return code;
    }
    if (code != ERR_OK) {
        refuse(target, kubeconfig, &error);
        return ERR_OK;
    }
    bool first = target->client == NULL;
    stop_watches(target);
    renewal_client_goes(target->renewal);
    kube_client_free(target->client);
    target->client = client;
    target->connected_ms = loop_now_ms(target->control->config.loop);
    mem_free(target->kubeconfig);
    target->kubeconfig = kubeconfig;
    log_info(first ? "link_connecting" : "credentials_changed",
             first ? "connecting to the target" : "the target's new credentials are in use", "cluster",
             cluster_name(target), "server", kube_client_server(client), NULL);
    tell_recovery(target);
    tell_oddity(target, oddity);
    expiry_look_soon(target->control);
    return restart_watches(target);
}

bool target_uses(const struct target *target, const char *kubeconfig)
{
    return target->client != NULL && is_same(target->kubeconfig, kubeconfig);
}

enum err_code target_credentials(struct target *target, const char *kubeconfig, const struct renewal_wish *wish,
                                 const char *problem)
{
    TRY(renewal_wish(target->renewal, wish));
    if (kubeconfig != NULL && is_same(target->refused, kubeconfig))
        return ERR_OK;
    mem_free(TAKE(target->refused));
    if (kubeconfig == NULL) {
        /* What worked so far goes on working until the server says otherwise. */
        tell_problem(target, problem);
        return ERR_OK;
    }
    if (is_same(target->kubeconfig, kubeconfig)) {
        tell_recovery(target);
        return ERR_OK;
    }
    char *copy = mem_strdup(kubeconfig);
    return copy != NULL ? connect_anew(target, copy) : ERR_NOMEM;
}

/* ---- life ---- */

enum err_code target_new(struct control *control, const struct link *link, struct target **ret_target)
{
    struct target *target = NEW(struct target);
    if (target == NULL)
        return ERR_NOMEM;
    target->control = control;
    target->oddity = "";
    arena_init(&target->scratch, DECODE_BYTES);
    target->list_again = loop_timer_new(control->config.loop, on_list_again, target);
    enum err_code code = target->list_again != NULL ? renewal_new(control, target, &target->renewal) : ERR_NOMEM;
    if (code == ERR_OK)
        code = leases_join(control->leases, link);
    if (code == ERR_OK && world_put_link(control->world, link, &target->world_link) != ERR_OK) {
        leases_leave(control->leases, link);
        code = ERR_NOMEM;
    }
    if (code != ERR_OK) {
        target_free(target);
        return code;
    }
    *ret_target = target;
    return ERR_OK;
}

void target_free(struct target *target)
{
    if (target == NULL)
        return;
    stop_watches(target);
    renewal_free(target->renewal);
    kube_client_free(target->client);
    if (target->world_link != NULL) {
        instruments_forget_cluster(&target->control->instruments, cluster_name(target));
        statuses_forget(target->control->statuses, target->world_link);
        leases_leave(target->control->leases, target_link(target));
        world_remove_link(target->control->world, target->world_link);
    }
    loop_timer_free(target->list_again);
    arena_done(&target->scratch);
    mem_free(target->kubeconfig);
    mem_free(target->refused);
    mem_free(target);
}

enum err_code target_declare(struct target *target, const struct link *link)
{
    const struct link *old = target_link(target);
    bool same_selection = selector_equal(&old->selector, &link->selector) &&
                          selector_equal(&old->discovery_selector, &link->discovery_selector) &&
                          selector_equal(&old->federated_selector, &link->federated_selector);
    bool took_exports = world_takes_exports(target->world_link);
    bool same_gateway = text_equal(old->gateway_service, link->gateway_service);
    TRY(world_put_link(target->control->world, link, &target->world_link));
    statuses_mark(target->control->statuses, target->world_link);
    same_selection = same_selection && took_exports == world_takes_exports(target->world_link);
    if (same_selection && same_gateway)
        return ERR_OK;
    if (same_selection)
        return watch_gateway(target) == ERR_OK ? ERR_OK : give_up_watching(target);
    /* What only the new selection has was never listed. */
    world_set_unknown(target->world_link, WORLD_TARGET_SERVICES);
    world_set_unknown(target->world_link, WORLD_TARGET_MEMBERS);
    return restart_watches(target);
}

/* ---- how it fares ---- */

static const struct list_watch_state *state_of(const struct target_watch *watch)
{
    return watch->list_watch != NULL ? list_watch_state(watch->list_watch) : NULL;
}

bool target_reachable(const struct target *target)
{
    const struct list_watch_state *state = state_of(&target->services), *of_members = state_of(&target->members);
    return state != NULL && state->healthy && (of_members == NULL || of_members->healthy);
}

bool target_synced(const struct target *target)
{
    const struct list_watch_state *state = state_of(&target->services), *of_members = state_of(&target->members);
    return state != NULL && state->synced && (of_members == NULL || of_members->synced);
}

static bool has_answered(const struct list_watch_state *state)
{
    return state != NULL && (state->synced || state->error.code != ERR_OK);
}

static bool is_slow(const struct target *target)
{
    return target->client != NULL && !target_synced(target) &&
           loop_now_ms(target->control->config.loop) - target->connected_ms >= SETTLE_MS;
}

bool target_settled(const struct target *target)
{
    if (target->problem.code != ERR_OK || is_slow(target))
        return true;
    return has_answered(state_of(&target->services)) &&
           (target->members.list_watch == NULL || has_answered(state_of(&target->members))) &&
           (target_link(target)->gateway_service == NULL || has_answered(state_of(&target->gateway)));
}

const char *target_problem(const struct target *target)
{
    const struct target_watch *of_slices = target->endpoints.list_watch != NULL ? &target->endpoints : &target->slices;
    const struct list_watch_state *states[] = {state_of(&target->services), state_of(&target->members),
                                               state_of(&target->gateway), state_of(of_slices)};
    if (target->problem.code != ERR_OK)
        return target->problem.text;
    for (size_t i = 0; i < ARRAY_COUNT(states); i++)
        if (states[i] != NULL && states[i]->error.code != ERR_OK)
            return states[i]->error.text;
    if (target->too_large.code == ERR_OK && is_slow(target))
        return "its Services are still not listed completely: the API server is slow, or its list has no end";
    return target->too_large.text;
}

uint64_t target_event_age_ms(const struct target *target)
{
    const struct list_watch_state *state = state_of(&target->services), *of_members = state_of(&target->members);
    if (state == NULL)
        return 0;
    uint64_t last_ms = state->last_event_ms;
    if (of_members != NULL && of_members->last_event_ms < last_ms)
        last_ms = of_members->last_event_ms;
    return loop_now_ms(target->control->config.loop) - last_ms;
}

int64_t target_expires_us(const struct target *target)
{
    return target->client != NULL ? kube_client_expires_us(target->client) : 0;
}

const char *target_server(const struct target *target)
{
    return target->client != NULL ? kube_client_server(target->client) : "";
}

const char *target_warning(struct target *target)
{
    const char *const warnings[] = {target_link(target)->warning, target->oddity, target_exports_complaint(target),
                                    renewal_complaint(target->renewal)};
    const char *all = "";
    arena_reset(&target->scratch);
    for (size_t i = 0; i < ARRAY_COUNT(warnings); i++) {
        const char *more = all[0] == '\0'           ? warnings[i]
                           : warnings[i][0] == '\0' ? all
                                                    : arena_printf(&target->scratch, "%s; %s", all, warnings[i]);
        all = more != NULL ? more : all;
    }
    return all;
}

const char *target_exports_complaint(const struct target *target) { return exports_complaint(target->exports); }

/* Whether there are any that can be used; those that were in use before may go on working. Unknown until the Secrets are listed. */
static void collect_credentials(const struct target *target)
{
    const struct instruments *instruments = &target->control->instruments;
    bool usable = target->problem.code == ERR_OK;
    if (target->client != NULL || !usable)
        metric_set(metric_get(instruments->credentials_usable, cluster_name(target)), usable);
    expiry_collect(target->control, target->client, cluster_name(target));
    renewal_collect(target->renewal);
}

static void collect_services(struct target *target)
{
    const struct instruments *instruments = &target->control->instruments;
    const char *cluster = cluster_name(target), *reason = NULL;
    uint32_t count = 0;
    metric_forget(instruments->services, 1, cluster);
    for (size_t i = 0; world_link_tally(target->world_link, i, &reason, &count); i++)
        if (count > 0)
            metric_set(metric_get(instruments->services, cluster, reason), count);
}

void target_collect(struct target *target)
{
    const struct instruments *instruments = &target->control->instruments;
    const char *cluster = cluster_name(target);
    metric_set(metric_get(instruments->link_reachable, cluster), target_reachable(target));
    metric_set(metric_get(instruments->link_synced, cluster), target_synced(target));
    metric_set(metric_get(instruments->link_event_age, cluster), (double)target_event_age_ms(target) / 1000.0);
    metric_set(metric_get(instruments->link_warning, cluster), target_warning(target)[0] != '\0');
    metric_set(metric_get(instruments->link_kept, cluster), (double)world_link_bytes(target->world_link));
    metric_set(metric_get(instruments->link_left_out, cluster), (double)target_left_out(target));
    collect_credentials(target);
    metric_set(metric_get(instruments->service_cache, cluster),
               (double)world_collection_size(target->control->world, target->world_link, WORLD_TARGET_SERVICES));
    metric_set(metric_get(instruments->slice_cache, cluster),
               (double)world_collection_size(target->control->world, target->world_link, WORLD_TARGET_SLICES));
    collect_services(target);
}

struct kube_client *target_client(const struct target *target) { return target->client; }

struct expiry *target_expiry(struct target *target) { return &target->expiry; }

struct renewal *target_renewal(const struct target *target) { return target->renewal; }
