/* The gateways of all links at work: names are resolved and resolved again, every address has its own health check, and what they find goes to the
 * world, to people (log, Event) and to Prometheus. */
#include <stdio.h>
#include <string.h>

#include "agent/control/gateway_address.h"
#include "agent/control/internal.h"
#include "agent/net/probe_host.h"
#include "agent/observe/log.h"
#include "base/mem.h"

enum {
    RESOLVE_RETRY_MS = 1000, /* after a failed look-up; doubles */
    RESOLVE_RETRY_CAP_MS = 30000,
    RESOLVE_MIN_MS = 1000,
    NOTE_BYTES = 1024, /* of an Event */
};

/* One address as declared: a literal, or a name with what it resolves to now. */
struct name {
    struct gateway *gateway;
    char *text;
    bool answered; /* once at least, well or not */
    uint32_t failures;
    struct err error; /* why it did not resolve when it was asked for last */
    struct dns_query query;
    struct loop_timer *timer;
    struct dns_answer answer;
    struct name *next;
};

struct gateway {
    struct gateways *gateways;
    struct world_gateway *world_gateway;
    struct name *names;
    struct gateway_address *addresses; /* a list; one per probed address */
    bool changed;                      /* the declaration is to be read again */
    bool addresses_changed;            /* the resolved set is to be gathered again */
    bool unjudged;                     /* whether it can be used is to be found out again */
    enum verdict verdict;              /* of all addresses together */
    int64_t verdict_since_us;
    const char *fault; /* the reason told last why it cannot be used; NULL: it can, or nobody knows yet */
    bool judged;       /* once at least */
    char fault_note[NOTE_BYTES], warning_note[NOTE_BYTES],
        local_note[NOTE_BYTES]; /* what was told last, "" when nothing */
    struct gateway *next, *previous;
    char cluster_name[64], namespace[254], key_name[254]; /* for metrics after the world forgot it */
};

struct gateways {
    struct control *control;
    struct gateway *first;
    struct arena scratch;
    char warning[NOTE_BYTES]; /* of the gateway that was described last */
    uint64_t cidrs_version;   /* of the world, when local addresses were looked for last */
    bool missed;              /* a gateway of the world has none here, for want of memory */
    bool behind;              /* one at least is to catch up, or to be judged */
};

static const struct link *declaration_of(const struct gateway *gateway)
{
    return world_link_declaration(world_gateway_link(gateway->world_gateway));
}

/* ---- names ---- */

static void name_free(struct name *name)
{
    dns_cancel(&name->query);
    loop_timer_free(name->timer);
    mem_free(name->text);
    mem_free(name);
}

static void resolve_again(void *context);

static void on_resolved(struct dns_query *query, const struct dns_answer *answer, const struct err *error)
{
    struct name *name = query->context;
    struct gateway *gateway = name->gateway;
    uint64_t delay_ms = RESOLVE_RETRY_MS;
    name->answered = true;
    if (answer != NULL) {
        name->answer = *answer;
        name->failures = 0;
        name->error = (struct err){0};
        delay_ms = answer->ttl_ms > RESOLVE_MIN_MS ? answer->ttl_ms : RESOLVE_MIN_MS;
    } else {
        /* The addresses that the name had stay in use: the probes judge them. */
        name->error = *error;
        delay_ms <<= name->failures < 5 ? name->failures : 5;
        name->failures++;
        if (delay_ms > RESOLVE_RETRY_CAP_MS)
            delay_ms = RESOLVE_RETRY_CAP_MS;
    }
    loop_timer_start(name->timer, delay_ms);
    gateway->addresses_changed = gateway->unjudged = gateway->gateways->behind = true;
    loop_wake(gateway->gateways->control->config.loop);
}

static void resolve_again(void *context)
{
    struct name *name = context;
    struct err error = {0};
    if (dns_start(name->gateway->gateways->control->config.dns, &name->query, name->text, &error) != ERR_OK)
        on_resolved(&name->query, NULL, &error);
}

static struct name *name_new(struct gateway *gateway, const char *text)
{
    struct name *name = NEW(struct name);
    if (name == NULL)
        return NULL;
    name->gateway = gateway;
    name->text = mem_strdup(text);
    name->query.on_done = on_resolved;
    name->query.context = name;
    name->timer = loop_timer_new(gateway->gateways->control->config.loop, resolve_again, name);
    if (name->text == NULL || name->timer == NULL) {
        name_free(name);
        return NULL;
    }
    if (text_parse_ip(text, name->answer.addresses[0]) != IP_NONE) {
        name->answer.count = 1;
        name->answered = true;
    } else {
        loop_timer_start(name->timer, 0);
    }
    return name;
}

static struct name *take_name(struct gateway *gateway, const char *text)
{
    for (struct name **at = &gateway->names; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->text, text) == 0) {
            struct name *name = *at;
            *at = name->next;
            return name;
        }
    return NULL;
}

/* The names become those of the declaration; those that stay keep what they resolved to. @return false when out of memory. */
static bool sync_names(struct gateway *gateway, const struct gateway_spec *spec)
{
    struct name *kept = NULL, **end = &kept;
    bool complete = true;
    for (uint32_t i = 0; i < spec->address_count; i++) {
        struct name *name = take_name(gateway, spec->addresses[i]);
        if (name == NULL)
            name = name_new(gateway, spec->addresses[i]);
        if (name == NULL) {
            complete = false;
            continue;
        }
        name->next = NULL;
        *end = name;
        end = &name->next;
    }
    while (gateway->names != NULL) {
        struct name *gone = gateway->names;
        gateway->names = gone->next;
        name_free(gone);
    }
    gateway->names = kept;
    return complete;
}

/* Whether its declaration is known: what it was before stays in use until it is. */
static bool is_read(const struct gateway *gateway) { return !world_gateway_spec(gateway->world_gateway)->unread; }

/* Whether all is known that an earlier run wrote of addresses. */
static bool are_mirrors_known(const struct world *world)
{
    return world_knowledge(world, NULL, WORLD_SOURCE_SLICES) != WORLD_UNKNOWN &&
           (!world_writes_endpoints(world) || world_knowledge(world, NULL, WORLD_SOURCE_ENDPOINTS) != WORLD_UNKNOWN);
}

/* Half the names' addresses would look as if the rest were gone. For a name that does not resolve the source's slices stand in: they have to be
 * listed. The next answer looks again. */
static bool all_answered(const struct gateway *gateway)
{
    bool source_known = are_mirrors_known(gateway->gateways->control->world);
    for (const struct name *name = gateway->names; name != NULL; name = name->next)
        if (!name->answered || (name->answer.count == 0 && !source_known))
            return false;
    return true;
}

static const struct name *unresolved_name(const struct gateway *gateway)
{
    for (const struct name *name = gateway->names; name != NULL; name = name->next)
        if (name->error.code != ERR_OK)
            return name;
    return NULL;
}

/* ---- verdicts ---- */

/* Without that nothing behind the gateway can be alive, whatever its probes say. */
static bool is_complete(const struct gateway *gateway)
{
    const struct gateway_spec *spec = world_gateway_spec(gateway->world_gateway);
    return spec->exists && spec->problem[0] == '\0';
}

/* Whether all that is known of its addresses is that they are not to be had. */
static bool is_lost(const struct gateway *gateway)
{
    uint32_t count = 0;
    (void)world_gateway_addresses(gateway->world_gateway, &count);
    return count == 0 && unresolved_name(gateway) != NULL;
}

static enum verdict verdict_of(const struct gateway *gateway)
{
    if (!is_read(gateway))
        return VERDICT_UNKNOWN;
    if (!is_complete(gateway) || is_lost(gateway))
        return VERDICT_DEAD;
    if (!world_gateway_spec(gateway->world_gateway)->probe.enabled)
        return VERDICT_ALIVE; /* cannot be found dead */
    bool unknown = gateway->addresses == NULL;
    for (const struct gateway_address *address = gateway->addresses; address != NULL; address = address->next) {
        if (address->machine.verdict == VERDICT_ALIVE)
            return VERDICT_ALIVE;
        unknown = unknown || address->machine.verdict == VERDICT_UNKNOWN;
    }
    return unknown ? VERDICT_UNKNOWN : VERDICT_DEAD;
}

/* After a change of anything that the verdict of all addresses together depends on. */
static void judge_together(struct gateway *gateway)
{
    enum verdict now = verdict_of(gateway);
    if (now == gateway->verdict)
        return;
    gateway->verdict = now;
    gateway->verdict_since_us = loop_wall_us(gateway->gateways->control->config.loop);
}

/* Alive, but what it answers does not prove that it is ready. */
static bool is_odd(const struct gateway_address *address)
{
    return address->machine.verdict == VERDICT_ALIVE && address->news.reason == REASON_OK_OTHER_BODY;
}

static const struct gateway_address *odd_address(const struct gateway *gateway)
{
    for (const struct gateway_address *address = gateway->addresses; address != NULL; address = address->next)
        if (is_odd(address))
            return address;
    return NULL;
}

/* An Event about an address. @param how  "is dead" */
static void emit_address(const struct gateway *gateway, const struct gateway_address *address, bool warning,
                         const char *event, const char *how)
{
    char note[NOTE_BYTES];
    enum probe_reason reason = address->news.reason;
    (void)snprintf(note, sizeof(note), "gateway %s/%s of cluster %s: address %s %s (%s: %s)", gateway->namespace,
                   gateway->key_name, gateway->cluster_name, address->ip, how, probe_reason_name(reason),
                   probe_reason_advice(reason));
    links_emit(gateway->gateways->control, declaration_of(gateway), warning, event, note);
}

static void emit_verdict(const struct gateway *gateway, const struct gateway_address *address, enum verdict old)
{
    if (address->machine.verdict == VERDICT_DEAD)
        emit_address(gateway, address, true, "GatewayDead", "is dead");
    else if (old == VERDICT_DEAD) /* the first verdict after a start is no news unless it is bad */
        emit_address(gateway, address, false, "GatewayAlive", "is alive again");
}

/* A line in the log about an address whose verdict stays. @param before  NULL: it is the verdict's first reason. */
static void log_reason(const struct gateway *gateway, const struct gateway_address *address, enum log_level level,
                       const char *event, const char *before)
{
    enum probe_reason reason = address->news.reason;
    log_event(level, event, probe_reason_advice(reason), "cluster", gateway->cluster_name, "ns", gateway->namespace,
              "gateway", gateway->key_name, "address", address->ip, "before", before, "reason",
              probe_reason_name(reason), "detail", address->last.detail[0] != '\0' ? address->last.detail : NULL, NULL);
}

static void tell_odd(const struct gateway *gateway, const struct gateway_address *address, const char *before)
{
    log_reason(gateway, address, LOG_WARN, "gateway_answer_odd", before);
    emit_address(gateway, address, true, "GatewayAnswerOdd", "is alive, with a warning");
}

static void on_reason(struct gateway_address *address, enum probe_reason before)
{
    const struct gateway *gateway = address->owner;
    if (is_odd(address)) {
        tell_odd(gateway, address, probe_reason_name(before));
    } else if (address->machine.verdict == VERDICT_ALIVE) {
        log_reason(gateway, address, LOG_INFO, "gateway_answer_right", probe_reason_name(before));
        emit_address(gateway, address, false, "GatewayAnswerRight", "answers as it should");
    } else {
        log_reason(gateway, address, LOG_WARN, "gateway_still_dead", probe_reason_name(before));
        emit_address(gateway, address, true, "GatewayStillDead", "is still dead, now for another reason");
    }
}

static void on_verdict(struct gateway_address *address, enum verdict old)
{
    struct gateway *gateway = address->owner;
    struct control *control = gateway->gateways->control;
    enum verdict now = address->machine.verdict;
    log_event(now == VERDICT_DEAD ? LOG_WARN : LOG_INFO, now == VERDICT_DEAD ? "gateway_dead" : "gateway_alive",
              probe_reason_advice(address->machine.reason), "cluster", gateway->cluster_name, "ns", gateway->namespace,
              "gateway", gateway->key_name, "address", address->ip, "from", verdict_name(old), "to", verdict_name(now),
              "reason", probe_reason_name(address->machine.reason), "detail",
              address->last.detail[0] != '\0' ? address->last.detail : NULL, NULL);
    metric_add(metric_get(control->instruments.gateway_transitions, gateway->cluster_name, gateway->namespace,
                          gateway->key_name, verdict_name(now)),
               1);
    if (old != VERDICT_UNKNOWN) /* the first verdict after a start turns nothing over */
        writer_flip_started(control->writer, gateway->cluster_name);
    world_gateway_set_liveness(gateway->world_gateway, address->ip, now == VERDICT_ALIVE ? WORLD_ALIVE : WORLD_DEAD);
    emit_verdict(gateway, address, old);
    if (is_odd(address))
        tell_odd(gateway, address, NULL);
    judge_together(gateway);
    loop_wake(control->config.loop);
}

static void on_probe(struct gateway_address *address, enum probe_reason reason)
{
    struct gateway *gateway = address->owner;
    const struct instruments *instruments = &gateway->gateways->control->instruments;
    const char *cluster = gateway->cluster_name, *namespace = gateway->namespace, *name = gateway->key_name;
    bool alive = probe_reason_alive(reason);
    metric_add(metric_get(instruments->gateway_probes, cluster, namespace, name, alive ? "true" : "false"), 1);
    if (alive) {
        metric_observe(metric_get(instruments->gateway_probe_latency, cluster, namespace, name),
                       address->last.latency_us / 1000.0);
        metric_set(metric_get(instruments->gateway_latency, cluster, namespace, name),
                   address->last.latency_us / 1000.0);
    } else {
        metric_add(metric_get(instruments->gateway_failures, cluster, namespace, name, probe_reason_name(reason)), 1);
    }
}

static const struct gateway_address_callbacks address_callbacks = {.on_verdict = on_verdict,
                                                                   .on_probe = on_probe,
                                                                   .on_reason = on_reason};

/* ---- addresses ---- */

static struct gateway_address *take_address(struct gateway *gateway, const char *ip)
{
    for (struct gateway_address **at = &gateway->addresses; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->ip, ip) == 0) {
            struct gateway_address *address = *at;
            *at = address->next;
            return address;
        }
    return NULL;
}

static bool is_gathered(const char *const *addresses, uint32_t count, const char *ip)
{
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(addresses[i], ip) == 0)
            return true;
    return false;
}

/* Every address behind every name, once, with the name that it came by. */
static uint32_t gather(const struct gateway *gateway, struct arena *arena, const char **addresses, const char **hosts,
                       uint32_t max)
{
    uint32_t count = 0;
    uint16_t port = world_gateway_spec(gateway->world_gateway)->probe.port;
    for (const struct name *name = gateway->names; name != NULL; name = name->next)
        for (uint32_t i = 0; i < name->answer.count && count < max; i++)
            if (!is_gathered(addresses, count, name->answer.addresses[i])) {
                hosts[count] = probe_host(arena, name->text, port);
                addresses[count++] = name->answer.addresses[i];
            }
    return count;
}

/* A name that does not resolve at a start: the addresses that an earlier run wrote into the source cluster stand in for it, and are probed like any
 * others, if the gateway is. */
static uint32_t remember(const struct gateway *gateway, struct arena *arena, const char **addresses, const char **hosts,
                         uint32_t count, uint32_t max)
{
    const struct name *lost = gateway->names;
    while (lost != NULL && lost->answer.count > 0)
        lost = lost->next;
    const char *remembered[DNS_MAX_ADDRESSES];
    uint32_t more = lost != NULL ? world_gateway_remembered(gateway->world_gateway, remembered, DNS_MAX_ADDRESSES) : 0;
    for (uint32_t i = 0; i < more && count < max; i++)
        if (!is_gathered(addresses, count, remembered[i])) {
            hosts[count] = probe_host(arena, lost->text, world_gateway_spec(gateway->world_gateway)->probe.port);
            addresses[count] = arena_strdup(arena, remembered[i]); /* the slice may go while the address stays */
            count++;
        }
    return count;
}

static enum world_liveness liveness_from(const struct gateway_address *address)
{
    static const enum world_liveness of[] = {
        [VERDICT_UNKNOWN] = WORLD_LIVENESS_UNKNOWN, [VERDICT_ALIVE] = WORLD_ALIVE, [VERDICT_DEAD] = WORLD_DEAD};
    return of[address->machine.verdict];
}

static void stop_probing(struct gateway *gateway)
{
    while (gateway->addresses != NULL) {
        struct gateway_address *address = gateway->addresses;
        gateway->addresses = address->next;
        gateway_address_free(address);
    }
}

/* Starts, keeps and stops health checks so that each gathered address has one. */
static enum err_code sync_probes(struct gateway *gateway, const char *const *addresses, const char *const *hosts,
                                 uint32_t count)
{
    const struct gateway_spec *spec = world_gateway_spec(gateway->world_gateway);
    struct control *control = gateway->gateways->control;
    struct gateway_address *kept = NULL, **end = &kept;
    bool complete = true;
    for (uint32_t i = 0; i < count; i++) {
        struct gateway_address *address = take_address(gateway, addresses[i]);
        struct err error = {0};
        if (address == NULL &&
            gateway_address_new(control->config.loop, control->config.http, addresses[i], gateway->cluster_name,
                                &address_callbacks, gateway, &address, &error) != ERR_OK) {
            complete = false;
            continue;
        }
        enum err_code code = gateway_address_configure(address, &spec->probe, hosts[i], &error);
        complete = complete && code != ERR_NOMEM;
        if (code == ERR_INVALID)
            log_error("probe_unusable", "the gateway cannot be probed as declared: mend the probe path or address",
                      "cluster", gateway->cluster_name, "gateway", gateway->key_name, "address", addresses[i], "error",
                      error.text, NULL);
        address->next = NULL;
        *end = address;
        end = &address->next;
    }
    stop_probing(gateway);
    gateway->addresses = kept;
    return complete ? ERR_OK : ERR_NOMEM;
}

static enum err_code settle_addresses(struct gateway *gateway)
{
    const struct gateway_spec *spec = world_gateway_spec(gateway->world_gateway);
    if (!is_read(gateway) || !all_answered(gateway))
        return ERR_OK;
    struct arena *scratch = &gateway->gateways->scratch;
    arena_reset(scratch);
    const char **addresses = arena_array(scratch, DNS_MAX_ADDRESSES, sizeof(*addresses));
    const char **hosts = arena_array(scratch, DNS_MAX_ADDRESSES, sizeof(*hosts));
    if (addresses == NULL || hosts == NULL)
        return ERR_NOMEM;
    uint32_t count = gather(gateway, scratch, addresses, hosts, DNS_MAX_ADDRESSES);
    count = remember(gateway, scratch, addresses, hosts, count, DNS_MAX_ADDRESSES);
    if (arena_failed(scratch))
        return ERR_NOMEM;
    TRY(world_gateway_set_addresses(gateway->world_gateway, addresses, count));
    if (spec->probe.enabled)
        TRY(sync_probes(gateway, addresses, hosts, count));
    else
        stop_probing(gateway);
    for (const struct gateway_address *address = gateway->addresses; address != NULL; address = address->next)
        if (address->machine.verdict != VERDICT_UNKNOWN)
            world_gateway_set_liveness(gateway->world_gateway, address->ip, liveness_from(address));
    /* A gateway that declares no probe cannot be found dead. */
    for (uint32_t i = 0; !spec->probe.enabled && i < count; i++)
        world_gateway_set_liveness(gateway->world_gateway, addresses[i], WORLD_ALIVE);
    return ERR_OK;
}

/* ---- can it be used? ---- */

/* Whether a Link is all that tells of the gateway. */
static bool is_of_link_alone(const struct gateway *gateway)
{
    const struct link *link = declaration_of(gateway);
    return link->kind == LINK_RESOURCE && link->gateway_service == NULL;
}

/* Whether the question can be answered: a gateway that was not listed yet is not missing, and a Link may have none as long as no
 * service needs it. */
static bool is_judgeable(const struct gateway *gateway)
{
    if (world_gateway_spec(gateway->world_gateway)->exists)
        return all_answered(gateway);
    if (is_of_link_alone(gateway))
        return world_gateway_service_count(gateway->world_gateway) > 0;
    if (declaration_of(gateway)->kind == LINK_RESOURCE)
        return is_read(gateway);
    return world_knowledge(gateway->gateways->control->world, world_gateway_link(gateway->world_gateway),
                           WORLD_TARGET_SERVICES) == WORLD_LISTED;
}

/* The reason why the gateway cannot be used, with a note for people; NULL when it can. */
static const char *find_fault(const struct gateway *gateway, char note[NOTE_BYTES])
{
    const struct gateway_spec *spec = world_gateway_spec(gateway->world_gateway);
    const struct name *name = unresolved_name(gateway);
    note[0] = '\0';
    if (spec->problem[0] != '\0') {
        (void)snprintf(note, NOTE_BYTES, "cluster %s: %s", gateway->cluster_name, spec->problem);
        return spec->exists || is_of_link_alone(gateway) ? "GatewayUnusable" : "GatewayNotFound";
    }
    if (name == NULL)
        return NULL;
    (void)snprintf(note, NOTE_BYTES, "cluster %s: gateway %s/%s: %.400s; %s", gateway->cluster_name, gateway->namespace,
                   gateway->key_name, name->error.text,
                   name->answer.count > 0 ? "its last addresses stay in use" : "the name gives it no address");
    return "GatewayUnresolved";
}

static void tell_usable(const struct gateway *gateway)
{
    char note[NOTE_BYTES];
    (void)snprintf(note, sizeof(note), "cluster %s: gateway %s/%s can be used", gateway->cluster_name,
                   gateway->namespace, gateway->key_name);
    log_info("gateway_usable", "the gateway can be used again", "cluster", gateway->cluster_name, "ns",
             gateway->namespace, "gateway", gateway->key_name, NULL);
    links_emit(gateway->gateways->control, declaration_of(gateway), false, "GatewayUsable", note);
}

static void tell_fault(const struct gateway *gateway)
{
    log_warn("gateway_unusable", "the gateway cannot be used as it is declared", "cluster", gateway->cluster_name, "ns",
             gateway->namespace, "gateway", gateway->key_name, "reason", gateway->fault, "detail", gateway->fault_note,
             NULL);
    links_emit(gateway->gateways->control, declaration_of(gateway), true, gateway->fault, gateway->fault_note);
}

/* Once for each wording, and once when it is over. */
static void judge(struct gateway *gateway)
{
    char note[NOTE_BYTES];
    if (!is_judgeable(gateway))
        return; /* asked again in each turn */
    const char *fault = find_fault(gateway, note);
    bool is_news = strcmp(gateway->fault_note, note) != 0;
    gateway->unjudged = false;
    gateway->judged = true;
    gateway->fault = fault;
    (void)snprintf(gateway->fault_note, sizeof(gateway->fault_note), "%s", note);
    if (is_news && fault != NULL)
        tell_fault(gateway);
    else if (is_news)
        tell_usable(gateway);
}

static void tell_warning(struct gateway *gateway, const struct gateway_spec *spec)
{
    char note[NOTE_BYTES];
    (void)snprintf(note, sizeof(note), "%s", spec->warning);
    if (strcmp(gateway->warning_note, note) == 0)
        return;
    (void)snprintf(gateway->warning_note, sizeof(gateway->warning_note), "%s", note);
    if (note[0] == '\0')
        return;
    log_warn("gateway_warning", note, "cluster", gateway->cluster_name, "ns", gateway->namespace, "gateway",
             gateway->key_name, NULL);
    links_emit(gateway->gateways->control, declaration_of(gateway), true, "GatewayMisconfigured", note);
}

/* Once for each wording. */
static void tell_local_address(struct gateway *gateway)
{
    char note[NOTE_BYTES];
    bool is_local = world_gateway_local_address(gateway->world_gateway, note, sizeof(note));
    if (strcmp(gateway->local_note, note) == 0)
        return;
    (void)snprintf(gateway->local_note, sizeof(gateway->local_note), "%s", note);
    if (!is_local)
        return;
    log_warn("gateway_address_local", note, "cluster", gateway->cluster_name, "ns", gateway->namespace, "gateway",
             gateway->key_name, NULL);
    (void)snprintf(note, sizeof(note), "cluster %s: gateway %s/%s: %.400s", gateway->cluster_name, gateway->namespace,
                   gateway->key_name, gateway->local_note);
    links_emit(gateway->gateways->control, declaration_of(gateway), true, "GatewayAddressLocal", note);
}

/* ---- gateways come and go ---- */

static void forget_series(struct gateway *gateway)
{
    struct instruments *instruments = &gateway->gateways->control->instruments;
    struct metric *const families[] = {instruments->gateway_alive,    instruments->gateway_enabled,
                                       instruments->gateway_latency,  instruments->gateway_probe_latency,
                                       instruments->gateway_probes,   instruments->gateway_transitions,
                                       instruments->gateway_failures, instruments->address_alive,
                                       instruments->gateway_usable,   instruments->gateway_warning};
    for (size_t i = 0; i < ARRAY_COUNT(families); i++)
        metric_forget(families[i], 3, gateway->cluster_name, gateway->namespace, gateway->key_name);
}

static void gateway_free(struct gateway *gateway)
{
    forget_series(gateway);
    stop_probing(gateway);
    while (gateway->names != NULL) {
        struct name *name = gateway->names;
        gateway->names = name->next;
        name_free(name);
    }
    *(gateway->previous != NULL ? &gateway->previous->next : &gateway->gateways->first) = gateway->next;
    if (gateway->next != NULL)
        gateway->next->previous = gateway->previous;
    mem_free(gateway);
}

static struct gateway *gateway_new(struct gateways *gateways, struct world_gateway *world_gateway)
{
    struct gateway *gateway = NEW(struct gateway);
    if (gateway == NULL)
        return NULL;
    gateway->gateways = gateways;
    gateway->world_gateway = world_gateway;
    gateway->verdict_since_us = loop_wall_us(gateways->control->config.loop);
    gateway->next = gateways->first;
    if (gateways->first != NULL)
        gateways->first->previous = gateway;
    gateways->first = gateway;
    world_gateway_set_context(world_gateway, gateway);
    return gateway;
}

void gateways_changed(struct gateways *gateways, struct world_gateway *world_gateway, bool removed)
{
    struct gateway *gateway = world_gateway_context(world_gateway);
    if (removed) {
        if (gateway != NULL)
            gateway_free(gateway);
        return;
    }
    if (gateway == NULL)
        gateway = gateway_new(gateways, world_gateway);
    if (gateway == NULL) {
        gateways->missed = true;
        control_turn_again(gateways->control);
        return;
    }
    gateway->changed = gateways->behind = true;
    loop_wake(gateways->control->config.loop);
}

static enum err_code read_declaration(struct gateway *gateway)
{
    const struct gateway_spec *spec = world_gateway_spec(gateway->world_gateway);
    if (strcmp(gateway->key_name, spec->name) != 0 || strcmp(gateway->namespace, spec->namespace) != 0)
        forget_series(gateway); /* its Link names a Service now, or another one, or none any more */
    (void)snprintf(gateway->cluster_name, sizeof(gateway->cluster_name), "%s", declaration_of(gateway)->cluster_name);
    (void)snprintf(gateway->namespace, sizeof(gateway->namespace), "%s", spec->namespace);
    (void)snprintf(gateway->key_name, sizeof(gateway->key_name), "%s", spec->name);
    tell_warning(gateway, spec);
    gateway->addresses_changed = gateway->unjudged = true;
    return sync_names(gateway, spec) ? ERR_OK : ERR_NOMEM;
}

static void find_missed(struct gateways *gateways)
{
    struct world_gateway *gateway;
    gateways->missed = false;
    for (struct world_link *link = world_first_link(gateways->control->world); link != NULL;
         link = world_next_link(link))
        for (gateway = world_first_gateway(link); gateway != NULL; gateway = world_next_gateway(gateway))
            if (world_gateway_context(gateway) == NULL)
                gateways_changed(gateways, gateway, false);
}

/* @return whether something of it has to be tried again. */
static bool catch_up(struct gateway *gateway)
{
    if (gateway->changed)
        gateway->changed = read_declaration(gateway) != ERR_OK;
    if (gateway->addresses_changed) {
        gateway->addresses_changed = settle_addresses(gateway) != ERR_OK;
        tell_local_address(gateway);
        judge_together(gateway);
    }
    if (gateway->unjudged)
        judge(gateway);
    return gateway->changed || gateway->addresses_changed;
}

bool gateways_turn(struct gateways *gateways)
{
    bool failed = false;
    if (gateways->missed)
        find_missed(gateways);
    uint64_t cidrs_version = world_cidrs_version(gateways->control->world);
    if (!gateways->behind && gateways->cidrs_version == cidrs_version)
        return false; /* hundreds of gateways cost a turn more than all else in it */
    gateways->behind = false;
    for (struct gateway *gateway = gateways->first; gateway != NULL; gateway = gateway->next) {
        failed = catch_up(gateway) || failed;
        if (gateways->cidrs_version != cidrs_version)
            tell_local_address(gateway);
        gateways->behind = gateways->behind || gateway->unjudged;
    }
    gateways->behind = gateways->behind || failed;
    gateways->cidrs_version = cidrs_version;
    if (failed)
        control_turn_again(gateways->control);
    return false;
}

enum err_code gateways_new(struct control *control, struct gateways **ret_gateways)
{
    struct gateways *gateways = NEW(struct gateways);
    if (gateways == NULL)
        return ERR_NOMEM;
    gateways->control = control;
    arena_init(&gateways->scratch, 1 << 20);
    *ret_gateways = gateways;
    return ERR_OK;
}

void gateways_free(struct gateways *gateways)
{
    if (gateways == NULL)
        return;
    while (gateways->first != NULL) {
        world_gateway_set_context(gateways->first->world_gateway, NULL);
        gateway_free(gateways->first);
    }
    arena_done(&gateways->scratch);
    mem_free(gateways);
}

static bool has_warning(const struct gateway *gateway)
{
    return world_gateway_spec(gateway->world_gateway)->warning[0] != '\0' || gateway->local_note[0] != '\0' ||
           odd_address(gateway) != NULL;
}

void gateways_collect(struct gateways *gateways)
{
    const struct instruments *instruments = &gateways->control->instruments;
    for (struct gateway *gateway = gateways->first; gateway != NULL; gateway = gateway->next)
        metric_forget(instruments->address_alive, 1, gateway->cluster_name); /* all of a cluster's before any is set */
    for (struct gateway *gateway = gateways->first; gateway != NULL; gateway = gateway->next) {
        bool probed = world_gateway_spec(gateway->world_gateway)->probe.enabled;
        const char *cluster = gateway->cluster_name, *namespace = gateway->namespace, *name = gateway->key_name;
        metric_set(metric_get(instruments->gateway_alive, cluster, namespace, name), gateway->verdict == VERDICT_ALIVE);
        metric_set(metric_get(instruments->gateway_enabled, cluster, namespace, name), is_complete(gateway) && probed);
        metric_set(metric_get(instruments->gateway_warning, cluster, namespace, name), has_warning(gateway));
        if (gateway->judged)
            metric_set(metric_get(instruments->gateway_usable, cluster, namespace, name), gateway->fault == NULL);
        for (const struct gateway_address *address = gateway->addresses; address != NULL; address = address->next)
            if (address->machine.verdict != VERDICT_UNKNOWN)
                metric_set(metric_get(instruments->address_alive, cluster, namespace, name, address->ip),
                           address->machine.verdict == VERDICT_ALIVE);
    }
}

/* ---- for the admin server ---- */

static void describe_address(const struct gateway_address *address, struct gateway_address_info *info)
{
    *info = (struct gateway_address_info){
        .ip = address->ip,
        .verdict = verdict_name(address->machine.verdict),
        .reason = probe_reason_name(address->machine.reason),
        .advice = probe_reason_advice(address->machine.reason),
        .detail = address->last.detail,
        .http_status = address->machine.last_status,
        .since_us = address->since_us,
        .last_probe_us = address->last_probe_us,
        .latency_us = address->latency.last_us,
        .p50_us = latency_percentile_us(&address->latency, 500),
        .p95_us = latency_percentile_us(&address->latency, 950),
        .p99_us = latency_percentile_us(&address->latency, 990),
        .probes = address->machine.probes_total,
        .failures = address->machine.failures_total,
        .latency = &address->latency,
    };
}

static void describe_probes(const struct gateway *gateway, struct gateway_info *info)
{
    for (const struct gateway_address *address = gateway->addresses; address != NULL; address = address->next) {
        if (info->address_count == SNAPSHOT_MAX_ADDRESSES)
            break;
        struct gateway_address_info *entry = &info->addresses[info->address_count++];
        describe_address(address, entry);
        bool alive = address->machine.verdict == VERDICT_ALIVE;
        /* The gateway's reason is that of an alive address, or of the first one. */
        if (info->address_count == 1 || (alive && gateway->verdict == VERDICT_ALIVE && info->latency_us == 0)) {
            info->reason = entry->reason;
            info->advice = entry->advice;
        }
        if (alive && (info->latency_us == 0 || entry->latency_us < info->latency_us))
            info->latency_us = entry->latency_us;
    }
}

/* Without probes the addresses are known from the names alone. */
static void describe_unprobed(const struct world_gateway *world_gateway, struct gateway_info *info)
{
    uint32_t count = 0;
    const struct world_address *addresses = world_gateway_addresses(world_gateway, &count);
    for (uint32_t i = 0; i < count && info->address_count < SNAPSHOT_MAX_ADDRESSES; i++)
        info->addresses[info->address_count++] =
            (struct gateway_address_info){.ip = addresses[i].text,
                                          .verdict = "alive",
                                          .reason = "NotProbed",
                                          .advice = "the gateway declares no probe",
                                          .detail = ""};
}

static const char *separator_after(const char *text) { return text[0] != '\0' ? "; " : ""; }

/* What is odd about the declaration, about an address, and about the answers of the first address that gives such. */
static const char *describe_warning(const struct gateway *gateway)
{
    const char *declared = world_gateway_spec(gateway->world_gateway)->warning;
    const struct gateway_address *odd = odd_address(gateway);
    if (odd == NULL && gateway->local_note[0] == '\0')
        return declared;
    char *text = gateway->gateways->warning;
    int length = snprintf(text, NOTE_BYTES, "%.300s%s%.400s", declared,
                          gateway->local_note[0] != '\0' ? separator_after(declared) : "", gateway->local_note);
    if (odd != NULL)
        (void)snprintf(text + length, NOTE_BYTES - (size_t)length, "%saddress %s: %s", separator_after(text), odd->ip,
                       probe_reason_advice(odd->news.reason));
    return text;
}

void gateways_describe(const struct world_gateway *world_gateway, struct gateway_info *info)
{
    const struct gateway_spec *spec = world_gateway_spec(world_gateway);
    const struct gateway *gateway = world_gateway_context(world_gateway);
    info->namespace = spec->namespace;
    info->name = spec->name;
    info->identity = spec->identity;
    info->problem = spec->problem;
    info->warning = spec->warning;
    info->exists = spec->exists;
    info->probed = spec->probe.enabled;
    info->port = spec->port;
    info->probe_port = spec->probe.port;
    info->probe_path = spec->probe.path;
    info->period_ms = spec->probe.period_ms;
    info->timeout_ms = spec->probe.timeout_ms;
    info->failure_threshold = spec->probe.failure_threshold;
    info->verdict = verdict_name(VERDICT_UNKNOWN);
    info->reason = "NotProbed";
    info->advice = "";
    if (gateway == NULL)
        return;
    info->verdict = verdict_name(gateway->verdict);
    info->since_us = gateway->verdict_since_us;
    info->warning = describe_warning(gateway);
    if (spec->probe.enabled)
        describe_probes(gateway, info);
    else if (is_complete(gateway))
        describe_unprobed(world_gateway, info);
    if (!is_read(gateway)) {
        info->advice = "the gateway's Service is not listed yet: the link's problem tells why";
    } else if (is_lost(gateway)) {
        info->reason = probe_reason_name(REASON_RESOLVE_FAILED);
        info->advice = unresolved_name(gateway)->error.text;
    } else if (!is_complete(gateway)) {
        info->reason = spec->exists ? "NoAddress" : "GatewayNotFound";
        info->advice = spec->problem;
    }
}

/* ---- for previews ---- */

static bool is_settled(const struct gateway *gateway, struct strbuf *why)
{
    bool settled = !gateway->changed && !gateway->addresses_changed;
    for (const struct name *name = gateway->names; name != NULL; name = name->next)
        settled = settled && name->answered;
    if (!settled)
        strbuf_printf(why, "gateway %s/%s of cluster %s: its addresses are not known yet\n", gateway->namespace,
                      gateway->key_name, gateway->cluster_name);
    for (const struct gateway_address *address = gateway->addresses; address != NULL; address = address->next) {
        if (address->machine.verdict != VERDICT_UNKNOWN)
            continue;
        strbuf_printf(why, "gateway %s/%s of cluster %s: %s is not judged yet\n", gateway->namespace, gateway->key_name,
                      gateway->cluster_name, address->ip);
        settled = false;
    }
    return settled;
}

bool gateways_settled(const struct gateways *gateways, struct strbuf *why)
{
    bool settled = true;
    for (const struct gateway *gateway = gateways->first; gateway != NULL; gateway = gateway->next)
        settled = is_settled(gateway, why) && settled;
    return settled;
}
