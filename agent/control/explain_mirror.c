#include "agent/control/explain_mirror.h"

#include <string.h>

#include "agent/control/internal.h"
#include "base/mem.h"
#include "mirror/names.h"

/* ---- what is there ---- */

static void look_at_slice(struct explain_now *now, const struct slice *slice)
{
    unsigned ready = 0;
    for (uint32_t i = 0; i < slice->endpoint_count; i++)
        ready += slice->endpoints[i].ready ? 1 : 0;
    now->ready += ready;
    facts_add(&now->facts, ready > 0 ? FACT_GOOD : FACT_BAD, "mirror", "%s %s/%s: %u of %u endpoint%s ready",
              slice->is_endpoints ? "Endpoints" : "EndpointSlice", slice->meta.namespace, slice->meta.name, ready,
              slice->endpoint_count, slice->endpoint_count == 1 ? " is" : "s are");
}

static void look_at_import(struct explain_now *now, const struct mirror *mirror)
{
    char words[MIRROR_WORDS_BYTES];
    const struct service *import = mirror_service(mirror);
    const char *cluster = kv_get(&import->meta.labels, L5D_CLUSTER_NAME);
    now->there = true;
    facts_add(&now->facts, FACT_GOOD, "mirror", "%s is there, of cluster %s, with %s%s", mirror_words(mirror, words),
              cluster != NULL ? cluster : "(none)", import->headless ? "type Headless" : "address ",
              import->headless ? "" : import->cluster_ip);
}

static void look_at_mirror(struct explain_now *now, const struct mirror *mirror)
{
    const struct service *service = mirror_service(mirror);
    const char *cluster = kv_get(&service->meta.labels, L5D_CLUSTER_NAME);
    now->there = true;
    now->discovered = kv_get(&service->meta.labels, L5D_REMOTE_DISCOVERY) != NULL ||
                      kv_get(&service->meta.annotations, L5D_REMOTE_DISCOVERY) != NULL ||
                      kv_get(&service->meta.annotations, L5D_LOCAL_DISCOVERY) != NULL;
    const char *ip = service->headless ? "None" : service->cluster_ip[0] != '\0' ? service->cluster_ip : "(none yet)";
    facts_add(&now->facts, FACT_GOOD, "mirror", "Service %s is there%s%s, with ClusterIP %s", mirror_key(mirror),
              cluster != NULL ? ", of cluster " : "", cluster != NULL ? cluster : "", ip);
    for (uint32_t i = 0; i < mirror_slice_count(mirror); i++)
        look_at_slice(now, mirror_slice(mirror, i));
    if (now->discovered)
        facts_add(&now->facts, FACT_GOOD, "mirror", "Linkerd resolves its endpoints in the clusters themselves");
    else if (mirror_slice_count(mirror) == 0)
        facts_add(&now->facts, FACT_BAD, "mirror", "it has no EndpointSlice");
}

void explain_now(struct explain_now *now, const struct world *world, const char *key)
{
    char namespace[OBJECT_KEY_BYTES];
    (void)object_key_split(key, namespace);
    const struct mirror *mirror = world_find_mirror(world, key);
    now->namespaces_known = world_knowledge(world, NULL, WORLD_SOURCE_NAMESPACES) == WORLD_LISTED;
    now->namespace = world_namespace_state(world, namespace);
    now->is_import = mirror != NULL && mirror_is_import(mirror);
    if (now->is_import && mirror_service(mirror) != NULL)
        look_at_import(now, mirror);
    else if (mirror != NULL && mirror_service(mirror) != NULL)
        look_at_mirror(now, mirror);
    else
        facts_add(&now->facts, FACT_BAD, "mirror", "there is no mirror %s", key);
}

/* ---- what was decided ---- */

static const struct preview_write *namespace_write(const struct preview *preview, const char *namespace)
{
    for (size_t i = 0; i < preview_count(preview); i++) {
        const struct preview_write *write = preview_get(preview, i);
        if (write->kind == WRITE_NAMESPACE && strcmp(write->name, namespace) == 0)
            return write;
    }
    return NULL;
}

static void explain_namespace(struct facts *facts, const struct explanation *explanation, const struct explain_now *now,
                              const struct preview *preview)
{
    char namespace[OBJECT_KEY_BYTES];
    (void)object_key_split(explanation->mirror, namespace);
    if (!now->namespaces_known)
        facts_add(facts, FACT_NOTE, "namespace", "whether namespace %s exists in the source cluster may not be read",
                  namespace);
    else if (now->namespace == WORLD_NAMESPACE_ACTIVE)
        facts_add(facts, FACT_GOOD, "namespace", "namespace %s exists in the source cluster", namespace);
    else if (now->namespace == WORLD_NAMESPACE_TERMINATING)
        facts_add(facts, FACT_BAD, "namespace", "namespace %s is being deleted in the source cluster", namespace);
    else if (namespace_write(preview, namespace) != NULL)
        facts_add(facts, FACT_NOTE, "namespace", "namespace %s does not exist in the source cluster; `run` creates it",
                  namespace);
    else {
        facts_add(facts, FACT_BAD, "namespace", "namespace %s does not exist in the source cluster", namespace);
        facts_advise(facts, "kubectl create namespace %s, or let the agent do it: --enable-namespace-creation",
                     namespace);
    }
}

static void explain_addresses(struct facts *facts, const struct gateway_info *info)
{
    for (uint32_t i = 0; i < info->address_count; i++) {
        const struct gateway_address_info *address = &info->addresses[i];
        bool alive = strcmp(address->verdict, "alive") == 0, unknown = strcmp(address->verdict, "unknown") == 0;
        if (unknown)
            facts_add(facts, FACT_BAD, "gateway", "address %s was not judged in time", address->ip);
        else
            facts_add(facts, alive ? FACT_GOOD : FACT_BAD, "gateway", "address %s is %s: %s%s%s", address->ip,
                      address->verdict, address->reason, alive || address->detail[0] == '\0' ? "" : ", ",
                      alive ? "" : address->detail);
        if (!alive)
            facts_advise(facts, "%s", address->advice);
    }
}

static void explain_probe(struct facts *facts, const struct gateway_info *info)
{
    char period[32];
    text_format_duration_ms(info->period_ms, period, sizeof(period));
    if (info->probed)
        facts_add(facts, FACT_NOTE, "gateway", "it is probed at port %u, path %s, every %s", info->probe_port,
                  info->probe_path[0] != '\0' ? info->probe_path : "/", period);
    else
        facts_add(facts, FACT_NOTE, "gateway", "it declares no probe, and counts as alive");
}

/* "spec.gatewayAddress, spec.gatewayPort": what the Link gives in the place of its gateway Service's; "" when nothing. */
static void list_given(const struct link *link, struct strbuf *list)
{
    const struct {
        bool given;
        const char *field;
    } fields[] = {{link->gateway_address_count > 0, "gatewayAddress"},
                  {link->gateway_port != 0, "gatewayPort"},
                  {link->gateway_identity[0] != '\0', "gatewayIdentity"},
                  {link->probe.path[0] != '\0', "probeSpec.path"},
                  {link->probe.port != 0, "probeSpec.port"},
                  {link->probe.period_ms != 0, "probeSpec.period"},
                  {link->probe.timeout_ms != 0, "probeSpec.timeout"},
                  {link->probe.failure_threshold != 0, "probeSpec.failureThreshold"}};
    for (size_t i = 0; i < ARRAY_COUNT(fields); i++)
        if (fields[i].given)
            strbuf_printf(list, "%sspec.%s", list->length > 0 ? ", " : "", fields[i].field);
}

static void explain_declaration(struct facts *facts, const struct link *link, const struct gateway_info *info)
{
    if (link->kind != LINK_RESOURCE) {
        facts_add(facts, FACT_GOOD, "gateway", "Service %s/%s is the gateway, on port %u", info->namespace, info->name,
                  info->port);
        return;
    }
    if (link->gateway_service == NULL) {
        facts_add(facts, FACT_GOOD, "gateway", "Link %s names the gateway, on port %u", info->name, info->port);
        return;
    }
    struct strbuf given;
    strbuf_init(&given, 512);
    list_given(link, &given);
    facts_add(facts, FACT_GOOD, "gateway",
              "Service %s/%s is the gateway, by annotation " LINK_GATEWAY " of Link %s, on port %u", info->namespace,
              info->name, link->name, info->port);
    if (given.length > 0)
        facts_add(facts, FACT_NOTE, "gateway", "the Link itself gives %s, which go before what the Service says",
                  strbuf_text(&given));
    strbuf_done(&given);
}

static void explain_gateway(struct facts *facts, const struct world_gateway *gateway)
{
    struct gateway_info info = {0};
    const struct gateway_spec *spec = world_gateway_spec(gateway);
    gateways_describe(gateway, &info);
    if (spec->unread) {
        facts_add(facts, FACT_BAD, "gateway", "Service %s/%s, which is to be the gateway, is not listed yet",
                  info.namespace, info.name);
        return;
    }
    bool usable = info.exists && info.problem[0] == '\0';
    if (!usable) {
        facts_add(facts, FACT_BAD, "gateway", "%s", info.problem);
        return;
    }
    explain_declaration(facts, world_link_declaration(world_gateway_link(gateway)), &info);
    if (info.warning[0] != '\0')
        facts_add(facts, FACT_NOTE, "gateway", "%s", info.warning);
    explain_probe(facts, &info);
    if (info.address_count == 0)
        facts_add(facts, FACT_BAD, "gateway", "it has no address: %s", info.advice);
    explain_addresses(facts, &info);
}

/* The gateway's own mirror is none of ours, and nobody misses it. */
static bool is_left_to_linkerd(const struct claim *claim)
{
    return claim != NULL && strcmp(claim_status(claim)->reason, CLAIMS_LEFT_TO_LINKERD) == 0;
}

static bool is_alive(const struct claim *claim)
{
    struct gateway_info info = {0};
    gateways_describe(claim_gateway(claim), &info);
    return strcmp(info.verdict, "alive") == 0;
}

/* What the last plan said of the claim. What is told by other facts already is left out. */
static void explain_status(struct facts *facts, const struct claim *claim)
{
    const struct claim_status *status = claim_status(claim);
    bool of_namespace = strcmp(status->reason, "MissingNamespace") == 0;
    const struct world_gateway *gateway = claim_gateway(claim);
    bool of_gateway = gateway != NULL && strcmp(world_gateway_spec(gateway)->problem, status->message) == 0;
    if (of_namespace || (status->mirrored && (status->message[0] == '\0' || of_gateway)))
        return;
    if (is_left_to_linkerd(claim)) {
        facts_add(facts, FACT_NOTE, "name", "%s", status->message);
        return;
    }
    facts_add(facts, FACT_BAD,
              strcmp(status->reason, "NameCollision") == 0    ? "name"
              : strcmp(status->reason, "InvalidService") == 0 ? "service"
              : status->mirrored                              ? "endpoints"
                                                              : "plan",
              "%s%s%s", status->mirrored ? "" : status->reason,
              status->mirrored || status->message[0] == '\0' ? "" : ": ", status->message);
}

static void explain_writes(struct facts *facts, const struct explanation *explanation, const struct preview *preview)
{
    unsigned count = 0;
    for (size_t i = 0; i < preview_count(preview); i++) {
        const struct preview_write *write = preview_get(preview, i);
        if (strcmp(write->mirror, explanation->mirror) != 0)
            continue;
        count++;
        facts_add(facts, FACT_NOTE, "plan", "`run` would %s %s %s%s%s: %s%s%s", write_verb_name(write->verb),
                  write_kind_name(write->kind), write->namespace, write->namespace[0] != '\0' ? "/" : "", write->name,
                  write->reason, write->changes[0] != '\0' ? ": " : "", write->changes);
    }
    if (count == 0 && explanation->mirrored)
        facts_add(facts, FACT_GOOD, "plan", "there is nothing to write");
    else if (count == 0)
        facts_add(facts, FACT_NOTE, "plan", "`run` writes nothing for it while this is so");
    else
        facts_advise(facts, "an agent writes this within a second: see that one runs, and its log");
}

static const char *mode_text(const char *mode)
{
    static const struct {
        const char *mode, *text;
    } texts[] = {{"gateway", "mirrored through a gateway"},
                 {"headless", "mirrored as a headless service, through the mirrors of its hostnames"},
                 {"hostname", "the mirror of one hostname of a headless service, through a gateway"},
                 {"pods", "mirrored with the target's own endpoints: traffic does not pass a gateway"},
                 {"remote-discovery", "mirrored by remote discovery: Linkerd resolves it in the target"},
                 {"remote-discovery-pods",
                  "mirrored by remote discovery: Linkerd resolves it in the target; for others the mirror has the "
                  "target's own endpoints"},
                 {"federated", "a member of a federated service"},
                 {"import", "what its ServiceExport exports, as a ServiceImport that leads to its mirror"},
                 {"gateway-mirror", "the gateway's own mirror, which carries its verdict"}};
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++)
        if (strcmp(texts[i].mode, mode) == 0)
            return texts[i].text;
    return mode;
}

/* Who decided whose addresses the mirror's endpoints are. */
static void explain_wish(struct facts *facts, const struct claim *claim)
{
    const char *wish =
        claim_kind(claim) == CLAIM_SERVICE ? kv_get(&claim_service(claim)->meta.annotations, EXPORT_ENDPOINTS) : NULL;
    const struct link *link = world_link_declaration(claim_link(claim));
    if (wish != NULL)
        facts_add(facts, FACT_NOTE, "mode", "annotation " EXPORT_ENDPOINTS " of the service is \"%s\"", wish);
    else if (claim_is_pods(claim))
        facts_add(facts, FACT_NOTE, "mode", "annotation " EXPORT_ENDPOINTS " of Link %s is \"" ENDPOINTS_OF_PODS "\"",
                  link->name);
}

void explain_decisions(struct explanation *explanation, const struct explain_now *now, const struct claim *claim,
                       const struct preview *preview)
{
    struct facts *facts = &explanation->facts;
    if (claim == NULL && now->exported)
        facts_add(facts, FACT_BAD, "plan", "it is exported, and was not when the cluster was listed: ask again");
    if (claim != NULL) {
        facts_add(facts, FACT_NOTE, "mode", "%s", mode_text(explanation->mode));
        explain_status(facts, claim);
        explain_namespace(facts, explanation, now, preview);
        explain_wish(facts, claim);
        if (claim_is_through_gateway(claim))
            explain_gateway(facts, claim_gateway(claim));
    }
    if (is_left_to_linkerd(claim)) {
        explanation->mirrored = true;
        explanation->ready = is_alive(claim);
        return;
    }
    for (size_t i = 0; i < now->facts.count && (claim != NULL || now->there); i++)
        facts_add(facts, now->facts.items[i].mark, now->facts.items[i].subject, "%s", now->facts.items[i].text);
    /* What the target's cluster does not tell now leaves its mirrors as they are. */
    explanation->mirrored = now->there && (claim != NULL ? claim_status(claim)->mirrored : !now->target_known);
    explanation->ready = explanation->mirrored && (now->discovered || now->is_import || now->ready > 0);
    if (claim != NULL || now->there)
        explain_writes(facts, explanation, preview);
}
