#include "mirror/gateway.h"

#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

enum {
    SERVICE_PERIOD_MS = 3000,
    SERVICE_TIMEOUT_MS = 5000, /* above the 3 s after which Edge Stack answers 504 for a silent 8877 */
    SERVICE_THRESHOLD = 3,
    MIN_PERIOD_MS = 100,
    MAX_PERIOD_MS = 3600 * 1000,
};

static const struct service_port *port_named(const struct service *service, const char *name)
{
    for (uint32_t i = 0; i < service->port_count; i++)
        if (strcmp(service->ports[i].name, name) == 0)
            return &service->ports[i];
    return NULL;
}

/* What stands on the mirror of a gateway in its Service's place. */
static const struct {
    const char *there, *on_mirror;
} RECALLED[] = {
    {L5D_PROBE_PATH, L5D_MIRRORED_GATEWAY_PROBE_PATH},
    {L5D_PROBE_PERIOD, L5D_MIRRORED_GATEWAY_PROBE_PERIOD},
    {L5D_PROBE_TIMEOUT, L5D_PROBE_TIMEOUT},
    {L5D_PROBE_FAILURE_THRESHOLD, L5D_PROBE_FAILURE_THRESHOLD},
    {LINK_DRAIN, LINK_DRAIN},
};

bool gateway_is_declared(const struct service *service)
{
    return kv_get(&service->meta.annotations, L5D_MULTICLUSTER_GATEWAY) != NULL;
}

bool gateway_is_possible(const struct service *service)
{
    return gateway_is_declared(service) || port_named(service, L5D_GATEWAY_PORT_NAME) != NULL;
}

bool gateway_is_candidate(const struct service *service)
{
    return gateway_is_possible(service) || service->type == SERVICE_LOAD_BALANCER || service->type == SERVICE_NODE_PORT;
}

static void add_warning(struct arena *arena, struct gateway_spec *spec, const char *text)
{
    spec->warning = spec->warning[0] == '\0' ? text : arena_printf(arena, "%s; %s", spec->warning, text);
    if (spec->warning == NULL)
        spec->warning = "";
}

/* In what follows `given` is what a Link tells in the Service's place: of that the Service's own does not count, right or wrong. */

static uint32_t given_or(uint32_t given, uint32_t otherwise) { return given != 0 ? given : otherwise; }

bool gateway_period_parse(const char *text, uint64_t *ret_ms)
{
    uint64_t ms = 0;
    if (text_parse_period_ms(text, &ms, NULL) != ERR_OK || ms < MIN_PERIOD_MS || ms > MAX_PERIOD_MS)
        return false;
    *ret_ms = ms;
    return true;
}

static void read_period(struct arena *arena, const struct service *service, const struct probe_spec *given,
                        struct gateway_spec *spec)
{
    const char *text = given->period_ms == 0 ? kv_get(&service->meta.annotations, L5D_PROBE_PERIOD) : NULL;
    uint64_t ms = given_or(given->period_ms, SERVICE_PERIOD_MS);
    if (text != NULL && !gateway_period_parse(text, &ms))
        add_warning(arena, spec,
                    arena_printf(arena,
                                 "annotation " L5D_PROBE_PERIOD
                                 " \"%s\" is not a period between 100ms and 1h: 3s is used",
                                 text));
    spec->probe.period_ms = (uint32_t)ms;
}

static void read_bounds(struct arena *arena, const struct service *service, const struct probe_spec *given,
                        struct gateway_spec *spec)
{
    const struct kv_list *annotations = &service->meta.annotations;
    const char *timeout = given->timeout_ms == 0 ? kv_get(annotations, L5D_PROBE_TIMEOUT) : NULL;
    const char *threshold = given->failure_threshold == 0 ? kv_get(annotations, L5D_PROBE_FAILURE_THRESHOLD) : NULL;
    uint64_t value = 0;
    struct err error = {0};
    if (timeout != NULL && text_parse_period_ms(timeout, &value, &error) == ERR_OK && value > 0 && value <= 600 * 1000)
        spec->probe.timeout_ms = (uint32_t)value;
    else if (timeout != NULL)
        add_warning(arena, spec,
                    arena_printf(arena,
                                 "annotation " L5D_PROBE_TIMEOUT " \"%s\" is not a duration up to 10m: 5s is used",
                                 timeout));
    if (threshold != NULL && text_parse_u64(threshold, 1, 100, L5D_PROBE_FAILURE_THRESHOLD, &value, &error) == ERR_OK)
        spec->probe.failure_threshold = (uint32_t)value;
    else if (threshold != NULL)
        add_warning(arena, spec,
                    arena_printf(arena,
                                 "annotation " L5D_PROBE_FAILURE_THRESHOLD
                                 " \"%s\" is not a number from 1 to 100: 3 is used",
                                 threshold));
}

static void read_probe(struct arena *arena, const struct service *service, const struct probe_spec *given,
                       struct gateway_spec *spec)
{
    const struct service_port *port = port_named(service, L5D_PROBE_PORT_NAME);
    const char *path = kv_get(&service->meta.annotations, L5D_PROBE_PATH);
    spec->probe = (struct probe_spec){.path = given->path[0] != '\0' ? given->path
                                              : path != NULL         ? path
                                                                     : "",
                                      .port = port != NULL && given->port == 0 ? port->port : given->port,
                                      .timeout_ms = given_or(given->timeout_ms, SERVICE_TIMEOUT_MS),
                                      .failure_threshold = given_or(given->failure_threshold, SERVICE_THRESHOLD)};
    read_period(arena, service, given, spec);
    read_bounds(arena, service, given, spec);
}

/* What is missing for it to be probed. */
static void judge_probing(struct arena *arena, struct gateway_spec *spec)
{
    if (spec->probe.port == 0)
        add_warning(arena, spec,
                    "the gateway Service has no port named " L5D_PROBE_PORT_NAME
                    ": it is not probed and counts as alive");
    else if (spec->probe.path[0] == '\0')
        add_warning(arena, spec,
                    "the gateway Service has no annotation " L5D_PROBE_PATH ": it is not probed and counts as alive");
    else if (!text_is_request_path(spec->probe.path))
        add_warning(
            arena, spec,
            arena_printf(arena,
                         "annotation " L5D_PROBE_PATH
                         " \"%s\" cannot be requested (visible ASCII without #, at most %d): the gateway is not "
                         "probed and counts as alive",
                         spec->probe.path, TEXT_REQUEST_PATH_MAX));
    spec->probe.enabled =
        spec->probe.port != 0 && spec->probe.path[0] != '\0' && text_is_request_path(spec->probe.path);
}

static void read_addresses(struct arena *arena, const struct service *service, struct gateway_spec *spec)
{
    const char **addresses = arena_array(arena, service->ingress_count, sizeof(*addresses));
    uint32_t count = 0;
    for (uint32_t i = 0; addresses != NULL && i < service->ingress_count && count < LINK_MAX_GATEWAY_ADDRESSES; i++) {
        const struct ingress *entry = &service->ingress[i];
        const char *address = entry->ip[0] != '\0' ? entry->ip : entry->hostname;
        if (address[0] != '\0')
            addresses[count++] = address;
    }
    spec->addresses = addresses;
    spec->address_count = count;
}

static const char *format_period(struct arena *arena, uint32_t period_ms)
{
    char text[32];
    if (period_ms % 1000 == 0)
        return arena_printf(arena, "%u", period_ms / 1000);
    text_format_duration_ms(period_ms, text, sizeof(text));
    return arena_strdup(arena, text);
}

/* What the Service says, not judged yet. */
static struct gateway_spec read_service(struct arena *arena, const struct service *service,
                                        const struct probe_spec *given)
{
    const struct service_port *port = port_named(service, L5D_GATEWAY_PORT_NAME);
    const char *identity = kv_get(&service->meta.annotations, L5D_GATEWAY_IDENTITY);
    struct gateway_spec spec = {
        .exists = true,
        .declared = gateway_is_declared(service),
        .namespace = service->meta.namespace,
        .name = service->meta.name,
        .resource_version = service->meta.resource_version,
        .identity = identity != NULL ? identity : "",
        .port = port != NULL ? port->port : 0,
        .drain = kv_has(&service->meta.annotations, LINK_DRAIN, "true"),
        .problem = "",
        .warning = "",
    };
    read_probe(arena, service, given, &spec);
    read_addresses(arena, service, &spec);
    return spec;
}

static void judge_spec(struct arena *arena, struct gateway_spec *spec)
{
    judge_probing(arena, spec);
    spec->probe_period_text = format_period(arena, spec->probe.period_ms);
    if (spec->port == 0)
        spec->problem =
            arena_printf(arena,
                         "gateway Service %s/%s has no port named " L5D_GATEWAY_PORT_NAME ": name its port 4143 so",
                         spec->namespace, spec->name);
    else if (spec->address_count == 0)
        spec->problem =
            arena_printf(arena,
                         "gateway Service %s/%s has no load balancer address (status.loadBalancer.ingress is empty)",
                         spec->namespace, spec->name);
}

struct gateway_spec gateway_from_service(struct arena *arena, const struct service *service)
{
    static const struct probe_spec nothing = {.path = ""};
    struct gateway_spec spec = read_service(arena, service, &nothing);
    if (!spec.declared)
        add_warning(arena, &spec,
                    "the gateway Service has no annotation " L5D_MULTICLUSTER_GATEWAY
                    ": it has no mirror of its own, and Linkerd 2.8 itself would not follow its changes");
    judge_spec(arena, &spec);
    return spec;
}

struct gateway_spec gateway_from_both(struct arena *arena, const struct link *link, const struct service *service)
{
    struct gateway_spec spec = read_service(arena, service, &link->probe);
    spec.declared = true;
    spec.resource_version = ""; /* mirrors of Links do not tell it: what else changes in the Service concerns nobody */
    if (link->gateway_address_count > 0) {
        spec.addresses = link->gateway_addresses;
        spec.address_count = link->gateway_address_count;
    }
    if (link->gateway_port != 0)
        spec.port = link->gateway_port;
    if (link->gateway_identity[0] != '\0')
        spec.identity = link->gateway_identity;
    judge_spec(arena, &spec);
    return spec;
}

struct gateway_spec gateway_unread(struct arena *arena, const struct link *link)
{
    char namespace[OBJECT_KEY_BYTES];
    const char *name = object_key_split(link->gateway_service, namespace);
    return (struct gateway_spec){
        .unread = true,
        .declared = true,
        .namespace = arena_strdup(arena, namespace),
        .name = name,
        .resource_version = "",
        .identity = "",
        .probe = {.path = ""},
        .probe_period_text = "",
        .problem = "",
        .warning = "",
    };
}

struct gateway_spec gateway_from_link(struct arena *arena, const struct link *link)
{
    return (struct gateway_spec){
        .exists = link->has_gateway,
        .declared = true,
        .namespace = link->namespace,
        .name = link->name,
        .resource_version = "",
        .addresses = link->has_gateway ? link->gateway_addresses : NULL,
        .address_count = link->has_gateway ? link->gateway_address_count : 0,
        .port = link->gateway_port,
        .identity = link->gateway_identity,
        .probe = link->probe,
        .probe_period_text = format_period(arena, link->probe.period_ms),
        .problem =
            link->has_gateway ? "" : "the Link names no usable gateway: set spec.gatewayAddress and spec.gatewayPort",
        .warning = "",
    };
}

static const struct ingress *split_addresses(struct arena *arena, const char *list, uint32_t *ret_count)
{
    struct ingress *found = arena_array(arena, LINK_MAX_GATEWAY_ADDRESSES, sizeof(*found));
    uint32_t count = 0;
    while (found != NULL && *list != '\0' && count < LINK_MAX_GATEWAY_ADDRESSES) {
        size_t length = strcspn(list, ",");
        const char *address = arena_printf(arena, "%.*s", (int)length, list);
        if (length > 0 && address != NULL)
            found[count++] = (struct ingress){.ip = address, .hostname = ""};
        list += length + (list[length] == ',');
    }
    *ret_count = count;
    return found;
}

static const char *join_addresses(struct arena *arena, const struct gateway_spec *spec)
{
    size_t bytes = 1;
    for (uint32_t i = 0; i < spec->address_count; i++)
        bytes += strlen(spec->addresses[i]) + 1;
    char *list = arena_alloc(arena, bytes), *end = list;
    for (uint32_t i = 0; list != NULL && i < spec->address_count; i++) {
        size_t length = strlen(spec->addresses[i]);
        if (i > 0)
            *end++ = ',';
        memcpy(end, spec->addresses[i], length);
        end += length;
    }
    if (list != NULL)
        *end = '\0';
    return list;
}

void gateway_note(struct arena *arena, struct kv_builder *annotations, const struct gateway_spec *spec)
{
    char timeout[32];
    text_format_duration_ms(spec->probe.timeout_ms, timeout, sizeof(timeout));
    kv_builder_set(annotations, GATEWAY_ADDRESSES, join_addresses(arena, spec));
    if (spec->probe.timeout_ms != SERVICE_TIMEOUT_MS)
        kv_builder_set(annotations, L5D_PROBE_TIMEOUT, arena_strdup(arena, timeout));
    if (spec->probe.failure_threshold != SERVICE_THRESHOLD)
        kv_builder_set(annotations, L5D_PROBE_FAILURE_THRESHOLD,
                       arena_printf(arena, "%u", spec->probe.failure_threshold));
    if (spec->drain)
        kv_builder_set(annotations, LINK_DRAIN, "true");
}

struct gateway_spec gateway_recalled(struct arena *arena, const struct service *mirror)
{
    static const struct probe_spec nothing = {.path = ""};
    const struct kv_list *there = &mirror->meta.annotations;
    struct service service = *mirror;
    struct kv_builder annotations;
    kv_builder_init(&annotations, arena);
    for (size_t i = 0; i < ARRAY_COUNT(RECALLED); i++)
        if (kv_get(there, RECALLED[i].on_mirror) != NULL)
            kv_builder_set(&annotations, RECALLED[i].there, kv_get(there, RECALLED[i].on_mirror));
    service.meta.annotations = kv_builder_finish(&annotations);
    service.meta.name = kv_get(there, L5D_MIRRORED_GATEWAY_REMOTE_NAME);
    service.meta.namespace = kv_get(there, L5D_MIRRORED_GATEWAY_REMOTE_NAMESPACE);
    service.meta.resource_version = "";
    service.ingress = split_addresses(arena, kv_get(there, GATEWAY_ADDRESSES), &service.ingress_count);
    struct gateway_spec spec = read_service(arena, &service, &nothing);
    judge_probing(arena, &spec);
    spec.probe_period_text = format_period(arena, spec.probe.period_ms);
    spec.recalled = true;
    spec.warning = ""; /* what is odd about it the target will tell */
    return spec;
}

struct gateway_spec gateway_missing(struct arena *arena, const char *namespace, const char *name)
{
    return (struct gateway_spec){
        .namespace = namespace,
        .name = name,
        .resource_version = "",
        .identity = "",
        .probe = {.path = ""},
        .probe_period_text = "",
        .problem = arena_printf(arena, "gateway Service %s/%s does not exist in the target cluster", namespace, name),
        .warning = "",
    };
}

void gateway_spec_lose(struct gateway_spec *spec)
{
    *spec = (struct gateway_spec){
        .namespace = spec->namespace,
        .name = spec->name,
        .resource_version = "",
        .identity = "",
        .probe = {.path = ""},
        .probe_period_text = "",
        .problem = "the gateway Service does not exist in the target cluster",
        .warning = "",
    };
}

static bool addresses_equal(const struct gateway_spec *a, const struct gateway_spec *b)
{
    if (a->address_count != b->address_count)
        return false;
    for (uint32_t i = 0; i < a->address_count; i++)
        if (strcmp(a->addresses[i], b->addresses[i]) != 0)
            return false;
    return true;
}

bool gateway_probing_equal(const struct gateway_spec *a, const struct gateway_spec *b)
{
    return addresses_equal(a, b) && a->probe.enabled == b->probe.enabled && a->probe.port == b->probe.port &&
           a->probe.period_ms == b->probe.period_ms && a->probe.timeout_ms == b->probe.timeout_ms &&
           a->probe.failure_threshold == b->probe.failure_threshold && strcmp(a->probe.path, b->probe.path) == 0;
}

bool gateway_spec_equal(const struct gateway_spec *a, const struct gateway_spec *b)
{
    return a->exists == b->exists && a->unread == b->unread && a->recalled == b->recalled &&
           a->declared == b->declared && a->drain == b->drain && gateway_probing_equal(a, b) && a->port == b->port &&
           strcmp(a->identity, b->identity) == 0 && strcmp(a->resource_version, b->resource_version) == 0 &&
           strcmp(a->problem, b->problem) == 0 && strcmp(a->warning, b->warning) == 0;
}

struct gateway_spec gateway_spec_copy(struct arena *arena, const struct gateway_spec *spec)
{
    struct gateway_spec copy = *spec;
    const char **addresses = arena_array(arena, spec->address_count, sizeof(*addresses));
    for (uint32_t i = 0; addresses != NULL && i < spec->address_count; i++)
        addresses[i] = arena_strdup(arena, spec->addresses[i]);
    copy.addresses = addresses;
    copy.namespace = arena_strdup(arena, spec->namespace);
    copy.name = arena_strdup(arena, spec->name);
    copy.resource_version = arena_strdup(arena, spec->resource_version);
    copy.identity = arena_strdup(arena, spec->identity);
    copy.probe.path = arena_strdup(arena, spec->probe.path);
    copy.probe_period_text = arena_strdup(arena, spec->probe_period_text);
    copy.problem = arena_strdup(arena, spec->problem);
    copy.warning = arena_strdup(arena, spec->warning);
    return copy;
}
