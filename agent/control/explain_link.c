#include "agent/control/explain_link.h"

#include <inttypes.h>
#include <string.h>

#include "agent/control/explain_gateway.h"
#include "agent/control/internal.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

enum { TOLD = 10 /* of a kind; the rest is counted */ };

/* ---- the declaration and the target ---- */

void explain_refusal(struct facts *facts, const struct link_refusal *refusal)
{
    facts_add(facts, FACT_BAD, "link", "%s %s/%s is refused: %s", refusal->kind, refusal->namespace, refusal->name,
              refusal->text);
}

struct rivals {
    const char *cluster;
    struct facts *facts;
};

static void on_rival(void *context, const struct link_refusal *refusal)
{
    const struct rivals *rivals = context;
    if (strcmp(rivals->cluster, refusal->cluster) == 0)
        explain_refusal(rivals->facts, refusal);
}

void explain_link_facts(struct facts *facts, struct control *control, struct target *target)
{
    const struct link *link = target_link(target);
    const char *problem = target_problem(target), *refusal = links_refusal_of(control->links, link);
    struct rivals rivals = {link->cluster_name, facts};
    facts_add(facts, FACT_GOOD, "link", "%s %s/%s links cluster %s", link->kind == LINK_SECRET ? "Secret" : "Link",
              link->namespace, link->name, link->cluster_name);
    if (refusal[0] != '\0')
        facts_add(facts, FACT_BAD, "link", "its declaration is refused, and it stays as it was: %s", refusal);
    if (link->warning[0] != '\0')
        facts_add(facts, FACT_NOTE, "link", "%s", link->warning);
    links_each_refusal(control->links, on_rival, &rivals);
    if (target_reachable(target) && target_synced(target))
        facts_add(facts, FACT_GOOD, "target", "%s answers, and its Services are listed", target_server(target));
    else
        facts_add(facts, FACT_BAD, "target", "%s cannot be read: %s",
                  target_server(target)[0] != '\0' ? target_server(target) : "the cluster",
                  problem[0] != '\0' ? problem : "it has not answered yet");
    if (target_synced(target) && problem[0] != '\0')
        facts_add(facts, FACT_NOTE, "target", "%s", problem);
}

static void explain_credentials(struct facts *facts, struct control *control, struct target *target)
{
    const struct link *link = target_link(target);
    int64_t expires_us = target_expires_us(target);
    char until[TEXT_TIME_BYTES];
    if (target_server(target)[0] == '\0')
        return; /* that is what is wrong with the target */
    text_format_time(expires_us, until);
    bool over = expires_us != 0 && expires_us <= loop_wall_us(control->config.loop);
    facts_add(facts, over ? FACT_BAD : FACT_GOOD, "target", "the credentials of Secret %s/%s lead there, and %s%s",
              link->namespace, link->credentials_secret,
              expires_us == 0 ? "do not say that they expire"
              : over          ? "expired at "
                              : "last until ",
              expires_us == 0 ? "" : until);
    if (over)
        facts_advise(facts, "give the Secret new ones: `svcmirror link` does, run again");
    const char *warning = target_warning(target);
    if (warning[0] != '\0')
        facts_add(facts, FACT_NOTE, "target", "%s", warning);
}

/* ---- what is exported ---- */

struct tally {
    unsigned gateway, discovery, pods, federated, services, there, ready;
};

static unsigned ready_endpoints(const struct mirror *mirror)
{
    unsigned ready = 0;
    for (uint32_t i = 0; i < mirror_slice_count(mirror); i++)
        for (uint32_t j = 0; j < mirror_slice(mirror, i)->endpoint_count; j++)
            ready += mirror_slice(mirror, i)->endpoints[j].ready ? 1 : 0;
    return ready;
}

/* Whether the claim is an exported service's own; those of its hostnames and its ServiceImport follow it. */
static bool is_of_export(const struct claim *claim)
{
    return claim_kind(claim) == CLAIM_SERVICE || claim_kind(claim) == CLAIM_FEDERATED;
}

static struct tally count_claims(const struct world_link *link)
{
    struct tally tally = {0};
    for (struct claim *claim = world_first_claim(link); claim != NULL; claim = world_next_claim(claim)) {
        if (!is_of_export(claim))
            continue;
        bool federated = claim_kind(claim) == CLAIM_FEDERATED, discovery = claim_is_discovery(claim);
        tally.services++;
        tally.there += mirror_service(claim_mirror(claim)) != NULL ? 1 : 0;
        tally.ready += federated || discovery || ready_endpoints(claim_mirror(claim)) > 0 ? 1 : 0;
        if (federated)
            tally.federated++;
        else if (discovery)
            tally.discovery++;
        else if (claim_is_pods(claim))
            tally.pods++;
        else
            tally.gateway++;
    }
    return tally;
}

static void explain_selector(struct facts *facts, struct arena *arena, const char *field,
                             const struct selector *selector, const char *purpose)
{
    const char *text = selector_is_empty(selector) ? NULL : selector_format(arena, selector);
    if (text != NULL)
        facts_add(facts, FACT_NOTE, "export", "%s chooses %s %s", field, text, purpose);
}

static void explain_exports(struct facts *facts, struct arena *arena, struct target *target)
{
    const struct link *link = target_link(target);
    struct world_link *world_link = target_world_link(target);
    struct tally tally = count_claims(world_link);
    const char *complaint = target_exports_complaint(target);
    if (link->kind == LINK_SECRET)
        facts_add(facts, FACT_NOTE, "export", "services say by annotation " L5D_GATEWAY_NAME " that they are exported");
    explain_selector(facts, arena, "spec.selector", &link->selector, "for mirrors through the gateway");
    explain_selector(facts, arena, "spec.remoteDiscoverySelector", &link->discovery_selector, "for remote discovery");
    explain_selector(facts, arena, "spec.federatedServiceSelector", &link->federated_selector,
                     "for federated services");
    if (complaint[0] != '\0')
        facts_add(facts, FACT_BAD, "export", "%s", complaint);
    else if (world_takes_exports(world_link))
        facts_add(facts, FACT_NOTE, "export", "ServiceExports mark exports, too");
    size_t left_out = target_left_out(target);
    if (left_out > 0) {
        facts_add(facts, FACT_BAD, "export", "%zu objects of the target are left out: there is no room for them",
                  left_out);
        facts_advise(facts, "give a target more than now: --max-link-memory");
    }
    if (!target_synced(target))
        return;
    facts_add(facts, tally.services > 0 ? FACT_GOOD : FACT_NOTE, "export",
              "%u exported: %u through a gateway, %u by remote discovery, %u with the target's own endpoints, "
              "%u as members of federated services",
              tally.services, tally.gateway, tally.discovery, tally.pods, tally.federated);
}

/* ---- the gateways of a link ---- */

static void explain_one_gateway(struct facts *facts, const struct world_gateway *gateway)
{
    struct gateway_info info = {0};
    uint32_t services = world_gateway_service_count(gateway);
    gateways_describe(gateway, &info);
    const char *kind = world_link_declaration(world_gateway_link(gateway))->gateway_service == NULL &&
                               world_link_declaration(world_gateway_link(gateway))->kind == LINK_RESOURCE
                           ? "the gateway of Link"
                           : "gateway";
    bool alive = explain_gateway_is_alive(gateway);
    facts_add(facts,
              alive           ? FACT_GOOD
              : services == 0 ? FACT_NOTE
                              : FACT_BAD,
              "gateway", "%s %s/%s is %s, for %u service%s%s%s", kind, info.namespace, info.name,
              info.problem[0] != '\0' ? "of no use" : info.verdict, services, services == 1 ? "" : "s",
              info.problem[0] != '\0' ? ": " : "", info.problem);
    if (!alive && services > 0)
        facts_advise(facts, "svcmirror why gateway %s/%s", info.namespace, info.name);
}

static void explain_gateways(struct facts *facts, const struct world_link *link)
{
    unsigned count = 0, more = 0;
    for (struct world_gateway *gateway = world_first_gateway(link); gateway != NULL;
         gateway = world_next_gateway(gateway)) {
        bool matters = !explain_gateway_is_alive(gateway) && world_gateway_service_count(gateway) > 0;
        if (count++ < TOLD || matters)
            explain_one_gateway(facts, gateway);
        else
            more++;
    }
    if (count == 0)
        facts_add(facts, FACT_NOTE, "gateway", "there is none yet: no exported service names one");
    if (more > 0)
        facts_add(facts, FACT_NOTE, "gateway", "%u more", more);
}

/* ---- all of it ---- */

void explain_link_state(struct facts *facts, struct control *control, struct target *target, struct arena *arena)
{
    const struct world_link *link = target_world_link(target);
    explain_credentials(facts, control, target);
    explain_exports(facts, arena, target);
    if (target_link(target)->drain)
        facts_add(facts, FACT_BAD, "gateway",
                  "annotation " LINK_DRAIN " drains the link: endpoints of its mirrors are not ready");
    explain_gateways(facts, link);
    struct tally tally = count_claims(link);
    if (tally.services > 0)
        facts_add(facts, tally.there == tally.services ? FACT_GOOD : FACT_BAD, "mirrors",
                  "of %u exported services %u are mirrored, %u with endpoints that are ready", tally.services,
                  tally.there, tally.ready);
}

/* ---- what was decided ---- */

void explain_link_unmirrored(struct facts *facts, const struct world_link *link)
{
    unsigned count = 0;
    const char *cluster = world_link_declaration(link)->cluster_name;
    for (struct claim *claim = world_first_claim(link); claim != NULL; claim = world_next_claim(claim)) {
        const struct claim_status *status = claim_status(claim);
        if (!is_of_export(claim) || status->mirrored || count++ >= TOLD)
            continue;
        const struct object_meta *meta = &claim_service(claim)->meta;
        facts_add(facts, FACT_BAD, "mirrors", "service %s/%s is not mirrored as %s: %s%s%s", meta->namespace,
                  meta->name, mirror_key(claim_mirror(claim)), status->reason, status->message[0] != '\0' ? ": " : "",
                  status->message);
        facts_advise(facts, "svcmirror why %s/%s --link %s", meta->namespace, meta->name, cluster);
    }
    if (count > TOLD)
        facts_add(facts, FACT_BAD, "mirrors", "%u more services are not mirrored", count - TOLD);
}

void explain_link_writes(struct facts *facts, const struct preview *preview, const char *cluster, bool with_links)
{
    unsigned count = 0;
    for (size_t i = 0; i < preview_count(preview); i++) {
        const struct preview_write *write = preview_get(preview, i);
        bool about = with_links || strcmp(write->kind, PREVIEW_LINK) != 0;
        if (strcmp(write->cluster, cluster) != 0 || !about || count++ >= TOLD)
            continue;
        facts_add(facts, FACT_NOTE, "plan", "`run` would %s %s %s%s%s: %s%s%s", write_verb_name(write->verb),
                  write->kind, write->namespace, write->namespace[0] != '\0' ? "/" : "", write->name, write->reason,
                  write->changes[0] != '\0' ? ": " : "", write->changes);
    }
    if (count > TOLD) {
        facts_add(facts, FACT_NOTE, "plan", "and would write %u times more", count - TOLD);
        facts_advise(facts, "svcmirror plan --link %s", cluster);
    } else if (count == 0) {
        facts_add(facts, FACT_GOOD, "plan", "there is nothing to write");
    }
}
