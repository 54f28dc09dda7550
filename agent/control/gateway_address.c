#include "agent/control/gateway_address.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/compare.h"

/* With one period all would be probed in the same instant, which takes long with hundreds; each at a time of its own would wake the agent as often. */
enum { TURNS = 32 };

static void arm(struct gateway_address *address)
{
    uint64_t now_ms = loop_now_ms(address->loop), next_ms = verdict_next_ms(&address->machine);
    loop_timer_start(address->timer, next_ms > now_ms ? next_ms - now_ms : 0);
}

static void take_result(struct gateway_address *address, uint64_t sequence, const struct probe_observation *observation)
{
    enum probe_reason reason = diagnosis_of(observation, address->normalised);
    enum verdict old = address->machine.verdict;
    enum probe_reason before = REASON_NONE;
    address->last = *observation;
    address->last_probe_us = loop_wall_us(address->loop);
    if (probe_reason_alive(reason))
        latency_add(&address->latency, observation->latency_us);
    bool changed = verdict_result(&address->machine, sequence, reason, observation->status, loop_now_ms(address->loop));
    bool news = reason_news_take(&address->news, &address->machine, loop_now_ms(address->loop), &before);
    if (changed)
        address->since_us = address->last_probe_us;
    arm(address);
    address->callbacks->on_probe(address, reason);
    if (changed)
        address->callbacks->on_verdict(address, old);
    if (news)
        address->callbacks->on_reason(address, before);
}

static void on_result(void *context, uint32_t id, const struct probe_observation *observation)
{
    struct gateway_address *address = context;
    for (size_t i = 0; i < ADDRESS_PENDING; i++)
        if (address->pending[i].sequence != 0 && address->pending[i].id == id) {
            uint64_t sequence = address->pending[i].sequence;
            address->pending[i].sequence = 0;
            take_result(address, sequence, observation);
            return;
        }
}

static void on_connection_lost(void *context, const char *how)
{
    struct gateway_address *address = context;
    (void)how; /* not a verdict: only news that a probe is due */
    verdict_news(&address->machine, loop_now_ms(address->loop));
    arm(address);
}

static bool note_pending(struct gateway_address *address, uint32_t id, uint64_t sequence)
{
    for (size_t i = 0; i < ADDRESS_PENDING; i++)
        if (address->pending[i].sequence == 0) {
            address->pending[i].id = id;
            address->pending[i].sequence = sequence;
            return true;
        }
    return false;
}

/* Probes whose connection was taken away will never answer. */
static void abandon_pending(struct gateway_address *address)
{
    for (size_t i = 0; i < ADDRESS_PENDING; i++) {
        uint64_t sequence = address->pending[i].sequence;
        address->pending[i].sequence = 0;
        if (sequence != 0)
            (void)verdict_result(&address->machine, sequence, REASON_INTERNAL, 0, loop_now_ms(address->loop));
    }
}

static void on_timer(void *context)
{
    struct gateway_address *address = context;
    uint64_t now_ms = loop_now_ms(address->loop);
    if (verdict_next_ms(&address->machine) > now_ms) {
        arm(address);
        return;
    }
    struct err error = {0};
    uint32_t id = 0;
    uint64_t sequence = verdict_sent(&address->machine, now_ms);
    enum err_code code = probe_link_send(address->link, &id, &error);
    /* What could not be sent is our own trouble and says nothing about the gateway. */
    if (code != ERR_OK || !note_pending(address, id, sequence))
        (void)verdict_result(&address->machine, sequence, REASON_INTERNAL, 0, now_ms);
    arm(address);
}

enum err_code gateway_address_new(struct loop *loop, struct http *http, const char *ip, const char *cluster_name,
                                  const struct gateway_address_callbacks *callbacks, void *owner,
                                  struct gateway_address **ret_address, struct err *reterr)
{
    struct gateway_address *address = NEW(struct gateway_address);
    if (address == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    (void)snprintf(address->ip, sizeof(address->ip), "%s", ip);
    address->turn = (uint32_t)(compare_text_digest(cluster_name) ^ compare_text_digest(ip)) % TURNS;
    address->loop = loop;
    address->http = http;
    address->callbacks = callbacks;
    address->owner = owner;
    address->timer = loop_timer_new(loop, on_timer, address);
    if (address->timer == NULL) {
        gateway_address_free(address);
        return err_set(reterr, ERR_NOMEM, "out of memory");
    }
    *ret_address = address;
    return ERR_OK;
}

static bool connection_equal(const struct gateway_address *address, const struct probe_spec *spec, const char *host)
{
    return address->link != NULL && address->spec.port == spec->port && address->spec.timeout_ms == spec->timeout_ms &&
           text_equal(address->path, spec->path) && text_equal(address->host, host);
}

static enum err_code connect_anew(struct gateway_address *address, const struct probe_spec *spec, const char *host,
                                  struct err *reterr)
{
    char *path = mem_strdup(spec->path), *host_copy = mem_strdup(host);
    struct probe_link *link = NULL;
    const struct probe_link_config config = {
        .ip = address->ip, .port = spec->port, .path = spec->path, .host = host, .timeout_ms = spec->timeout_ms};
    const struct probe_callbacks callbacks = {.on_result = on_result,
                                              .on_connection_lost = on_connection_lost,
                                              .context = address};
    enum err_code code = path == NULL || host_copy == NULL
                             ? err_set(reterr, ERR_NOMEM, "out of memory")
                             : probe_link_new(address->http, &config, &callbacks, &link, reterr);
    if (code != ERR_OK) {
        mem_free(path);
        mem_free(host_copy);
        return code;
    }
    probe_link_free(address->link);
    mem_free(address->path);
    mem_free(address->host);
    abandon_pending(address);
    address->link = link;
    address->path = path;
    address->host = host_copy;
    if (!probe_path_normalise(path, address->normalised, sizeof(address->normalised)))
        address->normalised[0] = '\0';
    return ERR_OK;
}

enum err_code gateway_address_configure(struct gateway_address *address, const struct probe_spec *spec,
                                        const char *host, struct err *reterr)
{
    bool first = address->link == NULL;
    bool same_connection = connection_equal(address, spec, host);
    uint64_t now_ms = loop_now_ms(address->loop);
    const uint32_t phase_ms = (uint32_t)((uint64_t)spec->period_ms * address->turn / TURNS);
    const struct verdict_config config = {.period_ms = spec->period_ms, .failure_threshold = spec->failure_threshold};
    if (!same_connection)
        TRY(connect_anew(address, spec, host, reterr));
    if (first) {
        verdict_init(&address->machine, &config, now_ms, phase_ms);
        address->since_us = loop_wall_us(address->loop);
    } else if (address->spec.period_ms != spec->period_ms ||
               address->spec.failure_threshold != spec->failure_threshold) {
        verdict_reconfigure(&address->machine, &config, now_ms, phase_ms);
    }
    if (!same_connection && !first)
        verdict_news(&address->machine, now_ms); /* another port or path: ask at once */
    address->spec = *spec;
    address->spec.path = address->path;
    arm(address);
    return ERR_OK;
}

void gateway_address_free(struct gateway_address *address)
{
    if (address == NULL)
        return;
    probe_link_free(address->link);
    loop_timer_free(address->timer);
    mem_free(address->path);
    mem_free(address->host);
    mem_free(address);
}
