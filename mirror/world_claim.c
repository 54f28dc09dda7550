/* Claims: the reasons for mirrors to exist, and how these mirrors fare. */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "mirror/world_internal.h"

/* Who of two claims of one name gets it: a gateway before a service (its mirror carries the verdict), then the older link, then by id. */
static bool claim_precedes(const struct claim *a, const struct claim *b)
{
    if ((a->kind == CLAIM_GATEWAY) != (b->kind == CLAIM_GATEWAY))
        return a->kind == CLAIM_GATEWAY;
    const struct link *a_link = a->link->declaration, *b_link = b->link->declaration;
    /* KEP-1645: the oldest ServiceExport, then the name of its cluster. All claims of a ServiceImport are of this kind. */
    if (a->kind == CLAIM_IMPORT && a->exported_us != b->exported_us)
        return a->exported_us < b->exported_us;
    if (a->kind == CLAIM_IMPORT && strcmp(a_link->cluster_name, b_link->cluster_name) != 0)
        return strcmp(a_link->cluster_name, b_link->cluster_name) < 0;
    if (a_link->created_us != b_link->created_us)
        return a_link->created_us < b_link->created_us;
    int order = strcmp(a_link->id, b_link->id);
    /* Of one link: a service before a hostname, whose mirror has a name that nobody chose; then gateways of one name in different namespaces, and
     * services with one name for their mirrors. */
    if (order == 0 && (a->kind == CLAIM_HOST) != (b->kind == CLAIM_HOST))
        return b->kind == CLAIM_HOST;
    if (order == 0)
        order = strcmp(a->key, b->key);
    return order != 0 ? order < 0 : a->kind < b->kind;
}

static bool is_of_service(const struct claim *claim)
{
    return claim->kind == CLAIM_SERVICE || claim->kind == CLAIM_FEDERATED;
}

static void count_change(const struct claim *claim)
{
    if (is_of_service(claim))
        claim->link->claims_version++;
}

/* Where the reason is counted. */
static struct tally *tally_of(struct world_link *link, const char *reason)
{
    for (size_t i = 0; i < TALLIES; i++) {
        struct tally *tally = &link->tallies[i];
        if (tally->reason == NULL)
            tally->reason = reason;
        if (strcmp(tally->reason, reason) == 0)
            return tally;
    }
    abort(); /* TALLIES is too small for the reasons there are */
}

/* @param delta  1 or -1: it has its reason from now on, or no longer. */
static void count_status(const struct claim *claim, int delta)
{
    if (is_of_service(claim))
        tally_of(claim->link, claim->status.reason)->count += (uint32_t)delta;
}

bool world_link_tally(const struct world_link *link, size_t index, const char **ret_reason, uint32_t *ret_count)
{
    if (index >= TALLIES || link->tallies[index].reason == NULL)
        return false;
    *ret_reason = link->tallies[index].reason;
    *ret_count = link->tallies[index].count;
    return true;
}

static void enlist(struct claim *claim)
{
    struct claim **at = &claim->mirror->claims;
    while (*at != NULL && claim_precedes(*at, claim))
        at = &(*at)->next;
    claim->next = *at;
    *at = claim;
}

struct claim *claim_new(enum claim_kind kind, struct world_link *link, const char *key, const char *mirror_key)
{
    struct mirror *mirror = mirror_obtain(link->world, mirror_key);
    if (mirror == NULL)
        return NULL;
    struct claim *claim = NEW(struct claim);
    if (claim == NULL) {
        mirror_collect(mirror);
        return NULL;
    }
    claim->kind = kind;
    claim->link = link;
    link->kept_bytes += budget_of_claim();
    claim->key = key;
    claim->mirror = mirror;
    claim->status = (struct claim_status){.reason = "Pending", .message = ""};
    enlist(claim);
    count_change(claim);
    count_status(claim, 1);
    world_mark(mirror, false);
    return claim;
}

void claims_sort(struct mirror *mirror)
{
    struct claim *rest = TAKE(mirror->claims);
    while (rest != NULL) {
        struct claim *claim = rest;
        rest = claim->next;
        enlist(claim);
    }
    world_mark(mirror, false);
}

void claim_free(struct claim *claim)
{
    if (claim == NULL)
        return;
    count_change(claim);
    count_status(claim, -1);
    claim->link->kept_bytes -= budget_of_claim();
    claim_name_gateway(claim, NULL);
    struct claim **at = &claim->mirror->claims;
    while (*at != claim)
        at = &(*at)->next;
    *at = claim->next;
    /* Who has a name is only looked up for those who want it: with the last wish, the knowledge goes. */
    if (claim->mirror->claims == NULL)
        claim->mirror->foreign = false;
    world_mark(claim->mirror, false);
    mirror_collect(claim->mirror);
    mem_free(claim->message);
    mem_free(claim->hostname);
    mem_free(claim);
}

void claim_name_gateway(struct claim *claim, struct world_gateway *gateway)
{
    struct world_gateway *old = claim->gateway;
    if (old == gateway)
        return;
    if (claim->counted) {
        claim->counted = false;
        old->services--;
    }
    claim->gateway = gateway;
    if (gateway != NULL)
        gateway->references++;
    if (old != NULL) {
        old->references--;
        gateway_collect(old);
    }
    world_mark(claim->mirror, false);
}

void claim_count(struct claim *claim)
{
    bool counts = claim_is_through_gateway(claim);
    if (counts == claim->counted)
        return;
    claim->counted = counts;
    if (counts)
        claim->gateway->services++;
    else
        claim->gateway->services--;
}

void claim_mark_hosts(const struct claim *claim)
{
    for (const struct claim *host = claim->service->hosts; host != NULL; host = host->next_host)
        world_mark(host->mirror, false);
}

static struct claim *first_of(const struct target_service *service)
{
    return service->claim != NULL ? service->claim : service->hosts != NULL ? service->hosts : service->federated;
}

static struct claim *claim_from(struct map_entry *entry)
{
    for (; entry != NULL; entry = map_next(entry)) {
        struct claim *claim = first_of(map_value(entry));
        if (claim != NULL)
            return claim;
    }
    return NULL;
}

/* The next claim of the same service: its own mirror, its hostnames, its ServiceImport, its membership. */
static struct claim *sibling_of(const struct claim *claim)
{
    const struct target_service *service = claim->service;
    if (service == NULL) /* a gateway's */
        return NULL;
    struct claim *last = service->import != NULL ? service->import : service->federated;
    switch (claim->kind) {
    case CLAIM_SERVICE:
        return service->hosts != NULL ? service->hosts : last;
    case CLAIM_HOST:
        return claim->next_host != NULL ? claim->next_host : last;
    case CLAIM_IMPORT:
        return service->federated;
    case CLAIM_FEDERATED:
    case CLAIM_GATEWAY:
        break;
    }
    return NULL;
}

struct claim *world_first_claim(const struct world_link *link) { return claim_from(map_first(link->services)); }

struct claim *world_next_claim(const struct claim *claim)
{
    struct claim *sibling = sibling_of(claim);
    return sibling != NULL ? sibling : claim_from(map_next(map_entry_of(claim->key)));
}

uint64_t world_link_claims_version(const struct world_link *link) { return link->claims_version; }

struct claim *mirror_first_claim(const struct mirror *mirror) { return mirror->claims; }

struct claim *mirror_next_claim(const struct claim *claim) { return claim->next; }

enum claim_kind claim_kind(const struct claim *claim) { return claim->kind; }

struct world_link *claim_link(const struct claim *claim) { return claim->link; }

const struct service *claim_service(const struct claim *claim)
{
    return claim->service != NULL ? claim->service->service : NULL;
}

bool claim_is_discovery(const struct claim *claim)
{
    const struct link *link = claim->link->declaration;
    return claim->kind == CLAIM_SERVICE && link->kind == LINK_RESOURCE &&
           selector_matches(&link->discovery_selector, &claim->service->service->meta.labels);
}

bool claim_is_pods(const struct claim *claim)
{
    return claim->kind == CLAIM_SERVICE && target_wants_pods(claim->link, claim->service);
}

bool claim_is_through_gateway(const struct claim *claim)
{
    return claim->gateway != NULL && !claim_is_discovery(claim) && !claim_is_pods(claim);
}

struct world_gateway *claim_gateway(const struct claim *claim) { return claim->gateway; }

struct mirror *claim_mirror(const struct claim *claim) { return claim->mirror; }

const struct claim_status *claim_status(const struct claim *claim) { return &claim->status; }

/* A ServiceImport leads to its service's mirror, whose status tells of it. */
static void mark_counterpart(const struct claim *claim)
{
    const struct target_service *service = claim->service;
    if (claim->kind == CLAIM_IMPORT && service->claim != NULL)
        world_mark(service->claim->mirror, false);
    else if (claim->kind == CLAIM_SERVICE && service->import != NULL)
        world_mark(service->import->mirror, false);
}

/* A headless service's own status tells of its hostnames, and these have no mirrors without it. */
static void mark_family(const struct claim *claim)
{
    if (claim->kind == CLAIM_HOST)
        world_mark(claim->service->claim->mirror, false);
    else if (claim->kind == CLAIM_SERVICE)
        claim_mark_hosts(claim);
}

bool claim_set_status(struct claim *claim, bool mirrored, const char *reason, const char *message, int64_t now_us)
{
    struct claim_status *status = &claim->status;
    bool turned = status->mirrored != mirrored || strcmp(status->reason, reason) != 0;
    if (!turned && strcmp(status->message, message) == 0)
        return false;
    if (turned)
        status->since_us = now_us;
    if (turned) {
        mark_family(claim);
        mark_counterpart(claim);
    }
    count_status(claim, -1);
    status->mirrored = mirrored;
    status->reason = reason;
    count_status(claim, 1);
    char *old = claim->message; /* may be what `message` points to */
    claim->message = message[0] != '\0' ? mem_strdup(message) : NULL;
    mem_free(old);
    status->message = claim->message != NULL ? claim->message : "";
    return true;
}
