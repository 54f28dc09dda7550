#include "mirror/desired.h"

#include <string.h>

#include "mirror/desired_internal.h"
#include "mirror/names.h"
#include "mirror/plan.h"

static bool from_secret(const struct claim *claim) { return claim->link->declaration->kind == LINK_SECRET; }

/* ---- what kind of mirror ---- */

bool desired_is_headless_now(const struct mirror *mirror)
{
    return mirror->service != NULL && mirror->service->headless;
}

/* A hostname's own mirror, made for it before. */
static bool has_mirror(const struct claim *host)
{
    const struct service *service = host->mirror->service;
    return service != NULL && host->mirror->claims == host &&
           kv_get(&service->meta.labels, L5D_HEADLESS_MIRROR) != NULL;
}

/* What was known of endpoints that may not be read any more makes nothing new: then only hostnames that have mirrors count. */
static bool has_hosts(const struct claim *claim)
{
    const struct claim *host = claim->service->hosts;
    while (host != NULL && target_endpoints_unreadable(claim->link) && !has_mirror(host))
        host = host->next_host;
    return host != NULL;
}

/* A headless mirror stays so while nothing of its own service is ready: a StatefulSet may be scaled to zero and back. Ready endpoints without
 * hostnames are of something else. */
static bool stays_headless(const struct mirror *mirror, const struct claim *claim)
{
    if (!desired_is_headless_now(mirror) || !target_made(claim, mirror->service))
        return false;
    const struct endpoint_summary *summary = target_endpoints(claim->link, claim->key);
    return summary == NULL || summary->ready == 0 || target_endpoints_unreadable(claim->link);
}

/* Until the target's own endpoints are known such a mirror stays as it is, and follows its gateway. */
static bool leads_through_gateway(const struct mirror *mirror)
{
    bool leads = false;
    for (const struct source_slice *entry = mirror->slices; entry != NULL; entry = entry->next) {
        if (slice_is_of_pods(entry->slice))
            return false;
        leads = leads || kv_get(&entry->slice->meta.annotations, L5D_REMOTE_SVC_FQ_NAME) != NULL;
    }
    return leads;
}

static bool is_of_pods_now(const struct claim *claim)
{
    return claim_is_pods(claim) && (target_pods_known(claim) || !leads_through_gateway(claim->mirror));
}

const char *desired_host_held_up(const struct claim *host)
{
    if (host->mirror->service != NULL)
        return NULL;
    if (target_endpoints_unreadable(host->link))
        return "the target's endpoints may not be read";
    /* They will be those of its pods, and have no hostnames of their own. */
    if (is_of_pods_now(host->service->claim))
        return "the target's endpoints are being read";
    return NULL;
}

static enum mode mode_of(const struct mirror *mirror, const struct claim *claim)
{
    if (claim->kind == CLAIM_GATEWAY)
        return MODE_OF_THE_GATEWAY;
    if (claim->kind == CLAIM_HOST)
        return MODE_HOST;
    if (is_of_pods_now(claim))
        return claim_is_discovery(claim) ? MODE_DISCOVERY_PODS : MODE_PODS;
    if (claim_is_discovery(claim))
        return MODE_DISCOVERY;
    bool headless =
        target_is_headless(claim->link, claim->service) && (has_hosts(claim) || stays_headless(mirror, claim));
    return headless ? MODE_HEADLESS : MODE_GATEWAY;
}

const char *plan_mode_name(const struct claim *claim)
{
    static const char *const names[] = {[MODE_GATEWAY] = "gateway",
                                        [MODE_HEADLESS] = "headless",
                                        [MODE_HOST] = "hostname",
                                        [MODE_DISCOVERY] = "remote-discovery",
                                        [MODE_PODS] = "pods",
                                        [MODE_DISCOVERY_PODS] = "remote-discovery-pods",
                                        [MODE_OF_THE_GATEWAY] = "gateway-mirror"};
    if (claim->kind == CLAIM_FEDERATED || claim->kind == CLAIM_IMPORT)
        return claim->kind == CLAIM_IMPORT ? "import" : "federated";
    return names[mode_of(claim->mirror, claim)];
}

const char *desired_fq_name(struct arena *arena, const struct claim *claim)
{
    const struct object_meta *meta = &claim->service->service->meta;
    const char *domain = claim->link->declaration->cluster_domain;
    if (claim->kind == CLAIM_HOST)
        return arena_printf(arena, "%s.%s.%s.svc.%s", claim->hostname, meta->name, meta->namespace, domain);
    return arena_printf(arena, "%s.%s.svc.%s", meta->name, meta->namespace, domain);
}

/* ---- what its endpoints should be ---- */

static enum desired_endpoints judge_target(const struct claim *claim, enum mode mode, struct desired *desired)
{
    /* 2.8 never looked at the target's endpoints, and its credentials may not read them. */
    if (mode == MODE_OF_THE_GATEWAY || from_secret(claim))
        return ENDPOINTS_FULL;
    enum world_knowledge knowledge = claim->link->knowledge[WORLD_TARGET_SLICES];
    if (knowledge == WORLD_UNKNOWN) {
        desired->pending = true;
        desired->remark = "the target's endpoints are not listed yet";
        return ENDPOINTS_KEEP;
    }
    if (mode == MODE_HEADLESS && target_endpoints_unreadable(claim->link))
        desired->remark = "the target's endpoints may not be read: its hostnames stay as they are";
    /* The hostnames are known by themselves, and each has its own readiness. Where the target's slices cannot be read, services count as having
     * endpoints: that one is empty is nothing to go on believing, for nobody would hear of its end. */
    if (mode == MODE_HOST || mode == MODE_HEADLESS || target_endpoints_unreadable(claim->link))
        return ENDPOINTS_FULL;
    char key[OBJECT_KEY_BYTES];
    const struct object_meta *meta = &claim->service->service->meta;
    object_key_format(key, meta->namespace, meta->name);
    const struct endpoint_summary *summary = target_endpoints(claim->link, key);
    if (summary != NULL && summary->ready > 0)
        return ENDPOINTS_FULL;
    desired->remark = "the exported service has no ready endpoint";
    return ENDPOINTS_EMPTY;
}

static const char *refused_remark(struct arena *arena, const struct world_gateway *gateway)
{
    return arena_printf(
        arena,
        "gateway address %s cannot be an endpoint: Kubernetes refuses unspecified, loopback and link-local "
        "addresses",
        gateway->refused);
}

bool desired_is_draining(const struct claim *claim)
{
    return claim->kind != CLAIM_GATEWAY && (claim->link->declaration->drain || claim->gateway->spec.drain);
}

/* Traffic does not pass the gateway, whose state means nothing here. */
static void judge_pods(const struct claim *claim, struct desired *desired)
{
    const struct endpoint_summary *summary = target_endpoints(claim->link, claim->key);
    bool unreadable = target_endpoints_unreadable(claim->link);
    desired->remark = "";
    desired->endpoints = target_pods_known(claim) ? ENDPOINTS_FULL : ENDPOINTS_KEEP;
    if (unreadable) {
        desired->remark = "the target's endpoints may not be read: those of the mirror stay as they are";
    } else if (desired->endpoints == ENDPOINTS_KEEP) {
        desired->pending = true;
        desired->remark = claim->link->knowledge[WORLD_TARGET_SLICES] == WORLD_UNKNOWN
                              ? "the target's endpoints are not listed yet"
                              : "the target's endpoints are being read";
    } else if (claim->link->declaration->drain) {
        desired->remark = claim_is_discovery(claim)
                              ? "draining: annotation " LINK_DRAIN
                                " is set; it has no effect on Linkerd, which resolves the service in the target itself"
                              : "draining: annotation " LINK_DRAIN " is set";
    } else if (summary == NULL || summary->ready == 0) {
        desired->remark = "the exported service has no ready endpoint";
    }
}

static void judge_endpoints(struct arena *arena, const struct claim *claim, enum mode mode, struct desired *desired)
{
    const struct world_gateway *gateway = claim->gateway;
    desired->remark = "";
    if (mode == MODE_PODS || mode == MODE_DISCOVERY_PODS) {
        judge_pods(claim, desired);
    } else if (mode == MODE_DISCOVERY) {
        desired->endpoints = ENDPOINTS_NONE;
        if (claim->link->declaration->drain)
            desired->remark = "annotation " LINK_DRAIN " has no effect: the service is resolved in the target itself";
    } else if (gateway->spec.unread) {
        desired->pending = true;
        desired->remark = arena_printf(arena, "gateway Service %s/%s of the target is not listed yet",
                                       gateway->spec.namespace, gateway->spec.name);
        desired->endpoints = ENDPOINTS_KEEP;
    } else if (gateway->spec.problem[0] != '\0') {
        desired->remark = gateway->spec.problem;
        desired->endpoints = ENDPOINTS_EMPTY;
    } else if (!gateway->resolved) {
        desired->pending = true;
        desired->remark = "the gateway's address is not known yet";
        desired->endpoints = ENDPOINTS_KEEP;
    } else if (gateway->address_count == 0 && gateway->refused[0] != '\0') {
        desired->remark = refused_remark(arena, gateway);
        desired->endpoints = ENDPOINTS_EMPTY;
    } else if (gateway->address_count == 0) {
        /* A name that does not resolve now says nothing about the addresses it had: they stay until the probes judge them. */
        desired->remark = "the gateway's host name has no address";
        desired->endpoints = ENDPOINTS_KEEP;
    } else {
        if (gateway->refused[0] != '\0')
            desired->remark = refused_remark(arena, gateway);
        if (desired_is_draining(claim))
            desired->remark = "draining: annotation " LINK_DRAIN " is set";
        desired->endpoints = judge_target(claim, mode, desired);
    }
}

/* A mistake in the annotation that stands in nobody's way. */
static void judge_wish(struct arena *arena, const struct claim *claim, enum mode mode, struct desired *desired)
{
    const char *wish =
        claim->kind == CLAIM_SERVICE ? kv_get(&claim->service->service->meta.annotations, EXPORT_ENDPOINTS) : NULL;
    if (desired->remark[0] != '\0')
        return;
    if (claim_is_pods(claim) && (mode == MODE_GATEWAY || mode == MODE_HEADLESS))
        desired->remark = "through the gateway until the target's endpoints are known";
    else if (wish != NULL && from_secret(claim))
        desired->remark = "annotation " EXPORT_ENDPOINTS " has no effect: a link by Secret leads through gateways";
    else if (wish != NULL && strcmp(wish, ENDPOINTS_OF_PODS) != 0 && strcmp(wish, ENDPOINTS_OF_GATEWAY) != 0)
        desired->remark =
            arena_printf(arena,
                         "annotation " EXPORT_ENDPOINTS " is \"%.60s\", which is neither " ENDPOINTS_OF_GATEWAY
                         " nor " ENDPOINTS_OF_PODS ", and is left out of account",
                         wish);
}

/* Before the target's slices are listed nobody knows whether a headless service has hostnames. */
static void judge_headless(const struct mirror *mirror, const struct claim *claim, enum mode mode,
                           struct desired *desired)
{
    if (claim->kind != CLAIM_SERVICE || mode == MODE_PODS || !target_is_headless(claim->link, claim->service) ||
        claim->link->knowledge[WORLD_TARGET_SLICES] != WORLD_UNKNOWN)
        return;
    desired->undecided = true;
    desired->pending = true;
    desired->remark = "the target's endpoints are not listed yet";
    desired->endpoints = ENDPOINTS_KEEP;
    desired->service.headless = desired_is_headless_now(mirror);
}

void desired_build(struct arena *arena, const struct mirror *mirror, const struct claim *claim,
                   struct desired *ret_desired)
{
    enum mode mode = mode_of(mirror, claim);
    *ret_desired = (struct desired){.service = desired_service(arena, mirror, claim, mode),
                                    .is_discovery = mode == MODE_DISCOVERY || mode == MODE_DISCOVERY_PODS,
                                    .is_pods = mode == MODE_PODS || mode == MODE_DISCOVERY_PODS};
    judge_endpoints(arena, claim, mode, ret_desired);
    judge_headless(mirror, claim, mode, ret_desired);
    judge_wish(arena, claim, mode, ret_desired);
    if (ret_desired->endpoints == ENDPOINTS_KEEP || ret_desired->endpoints == ENDPOINTS_NONE)
        return;
    if (ret_desired->is_pods)
        desired_pods(arena, mirror, claim, ret_desired);
    else
        desired_slices(arena, mirror, claim, mode, ret_desired);
}
