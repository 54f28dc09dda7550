/* Gateways: what declares them, what is behind their addresses, which mirrors hang on them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"
#include "mirror/world_internal.h"

enum { SPEC_BYTES = 256 * 1024 }; /* one gateway's declaration: a few texts and at most 64 addresses */

static void announce(struct world_gateway *gateway, bool removed)
{
    const struct world_config *config = &gateway->link->world->config;
    if (config->on_gateway != NULL)
        config->on_gateway(config->context, gateway, removed);
}

enum err_code gateway_obtain(struct world_link *link, const char *key, struct world_gateway **ret_gateway)
{
    struct world_gateway *gateway = map_get(link->gateways, key);
    if (gateway == NULL) {
        gateway = NEW(struct world_gateway);
        if (gateway == NULL || map_put(link->gateways, key, gateway) != ERR_OK) {
            mem_free(gateway);
            return ERR_NOMEM;
        }
        gateway->link = link;
        link->kept_bytes += budget_of_gateway();
        gateway->key = map_key(map_seek(link->gateways, key));
        arena_init(&gateway->arena, SPEC_BYTES);
        gateway->spec = (struct gateway_spec){.namespace = "",
                                              .name = "",
                                              .resource_version = "",
                                              .identity = "",
                                              .probe = {.path = ""},
                                              .probe_period_text = "",
                                              .problem = "",
                                              .warning = ""};
        enum err_code code = gateway_refresh(gateway);
        if (code != ERR_OK) {
            gateway_remove(gateway);
            return code;
        }
    }
    *ret_gateway = gateway;
    return ERR_OK;
}

/* The Service of the target that is the gateway, NULL when there is none. */
static const struct service *service_of(const struct world_gateway *gateway)
{
    if (gateway->link->declaration->kind == LINK_RESOURCE)
        return gateway->link->named.service;
    const struct target_service *service = map_get(gateway->link->services, gateway->key);
    return service != NULL && gateway_is_candidate(service->service) ? service->service : NULL;
}

/* Whether it is known if the Service that a Link names is there. */
static bool is_known(const struct world_link *link)
{
    return link->named.service != NULL ||
           (link->knowledge[WORLD_TARGET_GATEWAY] == WORLD_LISTED && !link->named.unreadable);
}

static struct gateway_spec read_link(const struct world_link *link, struct arena *arena)
{
    const struct link *declaration = link->declaration;
    char namespace[OBJECT_KEY_BYTES];
    if (declaration->gateway_service == NULL)
        return gateway_from_link(arena, declaration);
    if (link->named.service != NULL)
        return gateway_from_both(arena, declaration, link->named.service);
    if (!is_known(link))
        return gateway_unread(arena, declaration);
    const char *name = object_key_split(declaration->gateway_service, namespace);
    struct gateway_spec spec = gateway_missing(arena, arena_strdup(arena, namespace), name);
    spec.declared = true;
    return spec;
}

static struct gateway_spec read_declaration(struct world_gateway *gateway, struct arena *arena)
{
    if (gateway->link->declaration->kind == LINK_RESOURCE)
        return read_link(gateway->link, arena);
    const struct service *service = service_of(gateway);
    if (service != NULL)
        return gateway_from_service(arena, service);
    const struct service *teller = gateway_teller(gateway);
    if (teller != NULL)
        return gateway_recalled(arena, teller);
    char namespace[OBJECT_KEY_BYTES];
    const char *name = object_key_split(gateway->key, namespace);
    return gateway_missing(arena, arena_strdup(arena, namespace), arena_strdup(arena, name));
}

/* Whether it stays although nothing names it. */
static bool is_declared(const struct world_gateway *gateway)
{
    const struct service *service = service_of(gateway);
    return gateway->link->declaration->kind == LINK_RESOURCE || gateway->spec.recalled ||
           (service != NULL && gateway_is_declared(service));
}

/* "<gateway>-<cluster>" as 2.8 named it; "probe-<link>" as today's chart does. */
void gateway_mirror_key(const struct world_gateway *gateway, char ret_key[OBJECT_KEY_BYTES])
{
    const struct link *link = gateway->link->declaration;
    char name[OBJECT_KEY_BYTES], namespace[OBJECT_KEY_BYTES];
    if (link->kind == LINK_RESOURCE)
        (void)snprintf(name, sizeof(name), "probe-%s", link->name);
    else
        (void)snprintf(name, sizeof(name), "%s-%s", object_key_split(gateway->key, namespace), link->cluster_name);
    object_key_format(ret_key, gateway->link->world->config.agent_namespace, name);
}

/* Its claim does not count among its services, so it is taken off without counting. */
static void drop_claim(struct world_gateway *gateway)
{
    if (gateway->claim == NULL)
        return;
    gateway->claim->gateway = NULL;
    claim_free(TAKE(gateway->claim));
}

/* A gateway that exists, is declared as one and probed has a mirror of its own, whose readiness is the verdict. */
static enum err_code refresh_claim(struct world_gateway *gateway)
{
    bool wanted = gateway->spec.exists && gateway->spec.declared && gateway->spec.probe.enabled;
    if (!wanted) {
        drop_claim(gateway);
        return ERR_OK;
    }
    char key[OBJECT_KEY_BYTES];
    gateway_mirror_key(gateway, key);
    if (gateway->claim != NULL && strcmp(gateway->claim->mirror->key, key) == 0) {
        claims_sort(gateway->claim->mirror);
        return ERR_OK;
    }
    struct claim *claim = claim_new(CLAIM_GATEWAY, gateway->link, gateway->key, key);
    if (claim == NULL)
        return ERR_NOMEM;
    drop_claim(gateway);
    /* Not claim_name_gateway(): a gateway is not one of its own services. */
    claim->gateway = gateway;
    gateway->claim = claim;
    return ERR_OK;
}

static bool was_read(const struct world_gateway *gateway)
{
    return gateway->spec.exists || gateway->spec.unread || gateway->spec.problem[0] != '\0';
}

/* Reads the declaration into `kept`. */
static enum err_code read_spec(struct world_gateway *gateway, struct arena *kept, struct gateway_spec *ret_spec)
{
    struct arena scratch;
    arena_init(&scratch, SPEC_BYTES);
    struct gateway_spec fresh = read_declaration(gateway, &scratch);
    if (!arena_failed(&scratch))
        *ret_spec = gateway_spec_copy(kept, &fresh);
    bool failed = arena_failed(&scratch) || arena_failed(kept);
    arena_done(&scratch);
    return failed ? ERR_NOMEM : ERR_OK;
}

/* Whether a Service was the gateway, or should be, and is not there. */
static bool is_gone(const struct world_gateway *gateway)
{
    const struct world_link *link = gateway->link;
    if (link->declaration->kind == LINK_RESOURCE && (link->declaration->gateway_service == NULL || !is_known(link)))
        return false;
    return service_of(gateway) == NULL && gateway_teller(gateway) == NULL;
}

static enum err_code settle(struct world_gateway *gateway)
{
    enum err_code code = refresh_claim(gateway);
    gateway_mark(gateway, false);
    announce(gateway, false);
    return code;
}

enum err_code gateway_refresh(struct world_gateway *gateway)
{
    struct arena kept;
    struct gateway_spec fresh;
    arena_init(&kept, SPEC_BYTES);
    if (read_spec(gateway, &kept, &fresh) != ERR_OK) {
        arena_done(&kept);
        if (!is_gone(gateway) || !was_read(gateway))
            return ERR_NOMEM;
        gateway_spec_lose(&gateway->spec);
        return settle(gateway);
    }
    if (gateway_spec_equal(&fresh, &gateway->spec)) {
        arena_done(&kept);
        return refresh_claim(gateway); /* the link may have another name or age */
    }
    arena_done(&gateway->arena);
    gateway->arena = kept;
    gateway->spec = fresh;
    return settle(gateway);
}

void gateway_remove(struct world_gateway *gateway)
{
    announce(gateway, true);
    drop_claim(gateway);
    struct world_link *link = gateway->link;
    link->kept_bytes -= budget_of_gateway();
    (void)map_take(link->gateways, gateway->key);
    arena_done(&gateway->arena);
    mem_free(gateway->addresses);
    mem_free(gateway);
}

void gateway_collect(struct world_gateway *gateway)
{
    if (gateway->references == 0 && !is_declared(gateway))
        gateway_remove(gateway);
}

/* ---- the Service that a Link names ---- */

enum err_code world_target_gateway(struct world_link *link, enum world_change change, const struct service *service)
{
    char key[OBJECT_KEY_BYTES];
    const char *named = link->declaration->gateway_service;
    object_key_format(key, service->meta.namespace, service->meta.name);
    if (named == NULL || strcmp(key, named) != 0)
        return ERR_OK;
    struct service *copy = change == WORLD_PUT ? service_copy(service) : NULL;
    if (change == WORLD_PUT && copy == NULL)
        return note_result(link, WORLD_TARGET_GATEWAY, ERR_NOMEM);
    mem_free(link->named.service);
    link->named = (struct named_gateway){copy, link->generation[WORLD_TARGET_GATEWAY], false};
    return note_result(link, WORLD_TARGET_GATEWAY, gateway_refresh(map_get(link->gateways, "")));
}

enum err_code world_target_gateway_unreadable(struct world_link *link)
{
    if (link->declaration->gateway_service == NULL)
        return ERR_OK;
    link->named.generation = link->generation[WORLD_TARGET_GATEWAY];
    link->named.unreadable = true;
    return note_result(link, WORLD_TARGET_GATEWAY, gateway_refresh(map_get(link->gateways, "")));
}

void gateway_sweep(struct world_link *link)
{
    if (link->declaration->gateway_service == NULL)
        return;
    if (link->named.generation != link->generation[WORLD_TARGET_GATEWAY]) {
        mem_free(link->named.service);
        link->named = (struct named_gateway){NULL, 0, false};
    }
    enum err_code never = gateway_refresh(map_get(link->gateways, "")); /* an end is noted even without memory */
    (void)never;
}

bool gateway_is_unread(const struct world_link *link)
{
    return link->declaration->gateway_service != NULL && !is_known(link);
}

bool world_link_is_unlisted(const struct world_link *link)
{
    const struct link *declaration = link->declaration;
    return declaration->kind != LINK_LOCAL && declaration->gateway_service == NULL &&
           world_knowledge(link->world, link, WORLD_TARGET_SERVICES) == WORLD_UNKNOWN;
}

static void mark_unclaimed(struct world_link *link, bool urgent)
{
    for (struct map_entry *at = map_first(link->world->mirrors); at != NULL; at = map_next(at)) {
        struct mirror *mirror = map_value(at);
        if (mirror->claims == NULL && mirror->service != NULL &&
            kv_has(&mirror->service->meta.labels, L5D_CLUSTER_NAME, link->declaration->cluster_name))
            world_mark(mirror, urgent);
    }
}

void gateway_mark(struct world_gateway *gateway, bool urgent)
{
    if (gateway->claim != NULL)
        world_mark(gateway->claim->mirror, urgent);
    if (world_link_is_unlisted(gateway->link))
        mark_unclaimed(gateway->link, urgent);
    if (gateway->references == 0)
        return;
    for (struct claim *claim = world_first_claim(gateway->link); claim != NULL; claim = world_next_claim(claim))
        if (claim->gateway == gateway)
            world_mark(claim->mirror, urgent);
}

const struct gateway_spec *world_gateway_spec(const struct world_gateway *gateway) { return &gateway->spec; }

struct world_link *world_gateway_link(const struct world_gateway *gateway) { return gateway->link; }

struct world_gateway *world_first_gateway(const struct world_link *link)
{
    struct map_entry *entry = map_first(link->gateways);
    return entry != NULL ? map_value(entry) : NULL;
}

struct world_gateway *world_next_gateway(const struct world_gateway *gateway)
{
    struct map_entry *entry = map_next(map_entry_of(gateway->key));
    return entry != NULL ? map_value(entry) : NULL;
}

const struct claim *world_gateway_claim(const struct world_gateway *gateway) { return gateway->claim; }

uint32_t world_gateway_service_count(const struct world_gateway *gateway) { return gateway->services; }

void world_gateway_set_context(struct world_gateway *gateway, void *context) { gateway->context = context; }

void *world_gateway_context(const struct world_gateway *gateway) { return gateway->context; }

static enum world_liveness liveness_of(const struct world_gateway *gateway, const char *address)
{
    for (uint32_t i = 0; i < gateway->address_count; i++)
        if (strcmp(gateway->addresses[i].text, address) == 0)
            return gateway->addresses[i].liveness;
    return WORLD_LIVENESS_UNKNOWN;
}

static bool address_precedes(const struct world_address *a, const struct world_address *b)
{
    return a->family != b->family ? a->family < b->family : strcmp(a->text, b->text) < 0;
}

/* Sorted, because a name server rotates its answers, and that must not rewrite every mirror. */
static uint32_t insert_address(struct world_address *addresses, uint32_t count, const struct world_address *address)
{
    uint32_t at = count;
    while (at > 0 && address_precedes(address, &addresses[at - 1]))
        at--;
    if (at > 0 && strcmp(addresses[at - 1].text, address->text) == 0)
        return count;
    memmove(&addresses[at + 1], &addresses[at], (count - at) * sizeof(*addresses));
    addresses[at] = *address;
    return count + 1;
}

/* Whether the slice of a mirror holds this gateway's addresses. One of a headless mirror holds those of other mirrors, by their hostnames. */
static bool leads_through(const struct world_gateway *gateway, const struct slice *slice)
{
    const struct link *link = gateway->link->declaration;
    const struct kv_list *labels = &slice->meta.labels;
    if (!kv_has(labels, L5D_CLUSTER_NAME, link->cluster_name) || kv_get(labels, L5D_MIRRORED_GATEWAY) != NULL ||
        slice->endpoint_count == 0 || slice->endpoints[0].hostname[0] != '\0' || slice_is_of_pods(slice))
        return false;
    return link->kind == LINK_RESOURCE || (kv_has(labels, L5D_REMOTE_GATEWAY_NAME, gateway->spec.name) &&
                                           kv_has(labels, L5D_REMOTE_GATEWAY_NS, gateway->spec.namespace));
}

static const struct mirror *mirror_through(const struct world_gateway *gateway)
{
    for (struct map_entry *at = map_first(gateway->link->world->slices); at != NULL; at = map_next(at)) {
        const struct source_slice *entry = map_value(at);
        if (leads_through(gateway, entry->slice))
            return entry->mirror;
    }
    return NULL;
}

uint32_t world_gateway_remembered(const struct world_gateway *gateway, const char **ret_addresses, uint32_t max)
{
    const struct mirror *mirror = gateway->claim != NULL ? gateway->claim->mirror : mirror_through(gateway);
    uint32_t count = 0;
    for (const struct source_slice *at = mirror != NULL ? mirror->slices : NULL; at != NULL; at = at->next)
        for (uint32_t i = 0; i < at->slice->endpoint_count && count < max && !slice_is_of_pods(at->slice); i++)
            ret_addresses[count++] = at->slice->endpoints[i].address;
    return count;
}

enum err_code world_gateway_set_addresses(struct world_gateway *gateway, const char *const *addresses, uint32_t count)
{
    struct world_address *fresh = mem_zalloc(sizeof(*fresh) * (count > 0 ? count : 1));
    if (fresh == NULL)
        return ERR_NOMEM;
    uint32_t kept = 0;
    char refused[TEXT_IP_BYTES] = "";
    for (uint32_t i = 0; i < count; i++) {
        struct world_address address;
        memset(&address, 0, sizeof(address)); /* padding too: it is compared below */
        address.family = text_parse_ip(addresses[i], address.text);
        if (address.family == IP_NONE)
            continue;
        if (!text_ip_may_be_endpoint(address.family, address.text)) {
            if (refused[0] == '\0')
                memcpy(refused, address.text, sizeof(refused));
            continue;
        }
        address.liveness = liveness_of(gateway, address.text);
        kept = insert_address(fresh, kept, &address);
    }
    bool same = gateway->resolved && kept == gateway->address_count && strcmp(refused, gateway->refused) == 0 &&
                (kept == 0 || memcmp(fresh, gateway->addresses, kept * sizeof(*fresh)) == 0);
    mem_free(gateway->addresses);
    gateway->addresses = fresh;
    gateway->address_count = kept;
    memcpy(gateway->refused, refused, sizeof(refused));
    gateway->resolved = true;
    if (!same)
        gateway_mark(gateway, true);
    return ERR_OK;
}

void world_gateway_set_liveness(struct world_gateway *gateway, const char *address, enum world_liveness liveness)
{
    for (uint32_t i = 0; i < gateway->address_count; i++) {
        struct world_address *entry = &gateway->addresses[i];
        if (strcmp(entry->text, address) != 0 || entry->liveness == liveness)
            continue;
        entry->liveness = liveness;
        gateway_mark(gateway, true);
    }
}

const struct world_address *world_gateway_addresses(const struct world_gateway *gateway, uint32_t *ret_count)
{
    *ret_count = gateway->address_count;
    return gateway->addresses;
}
