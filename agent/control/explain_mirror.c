#include "agent/control/explain_mirror.h"

#include <string.h>

#include "agent/control/explain_gateway.h"
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
        if (strcmp(write->kind, write_kind_name(WRITE_NAMESPACE)) == 0 && strcmp(write->name, namespace) == 0)
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

/* The gateway's own mirror is none of ours, and nobody misses it. */
bool explain_is_left_to_linkerd(const struct claim *claim)
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
    if (explain_is_left_to_linkerd(claim)) {
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
                  write->kind, write->namespace, write->namespace[0] != '\0' ? "/" : "", write->name, write->reason,
                  write->changes[0] != '\0' ? ": " : "", write->changes);
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
            explain_gateway_facts(facts, claim_gateway(claim));
    }
    if (explain_is_left_to_linkerd(claim)) {
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
