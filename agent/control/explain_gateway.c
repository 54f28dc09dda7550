#include "agent/control/explain_gateway.h"

#include <string.h>

#include "agent/control/internal.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

/* ---- where it is, and what it answers ---- */

static bool can_be_used(const struct gateway_info *info) { return info->exists && info->problem[0] == '\0'; }

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

void explain_gateway_facts(struct facts *facts, const struct world_gateway *gateway)
{
    struct gateway_info info = {0};
    const struct gateway_spec *spec = world_gateway_spec(gateway);
    gateways_describe(gateway, &info);
    if (spec->unread) {
        facts_add(facts, FACT_BAD, "gateway", "Service %s/%s, which is to be the gateway, is not listed yet",
                  info.namespace, info.name);
        return;
    }
    if (!can_be_used(&info)) {
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

/* ---- what comes of it ---- */

static const char *verdict_of(const struct world_gateway *gateway, const struct gateway_info *info)
{
    if (world_gateway_spec(gateway)->unread)
        return "not listed yet";
    if (!can_be_used(info))
        return "cannot be used";
    return strcmp(info->verdict, "unknown") != 0 ? info->verdict : "not judged";
}

bool explain_gateway_is_alive(const struct world_gateway *gateway)
{
    struct gateway_info info = {0};
    gateways_describe(gateway, &info);
    return strcmp(verdict_of(gateway, &info), "alive") == 0;
}

static unsigned alive_addresses(const struct gateway_info *info)
{
    unsigned alive = 0;
    for (uint32_t i = 0; i < info->address_count; i++)
        alive += strcmp(info->addresses[i].verdict, "alive") == 0 ? 1 : 0;
    return alive;
}

static void explain_identity(struct facts *facts, const struct gateway_info *info)
{
    if (info->identity[0] != '\0')
        facts_add(facts, FACT_NOTE, "gateway", "Linkerd's proxies expect it to be %s", info->identity);
    else
        facts_add(facts, FACT_NOTE, "gateway",
                  "it has no identity: Linkerd's proxies do not encrypt what they send there");
}

static void explain_judgement(struct facts *facts, const struct gateway_info *info, const char *verdict)
{
    bool alive = strcmp(verdict, "alive") == 0;
    if (!info->probed)
        facts_add(facts, FACT_GOOD, "verdict", "it is not probed, so it is never found dead");
    else
        facts_add(facts, alive ? FACT_GOOD : FACT_BAD, "verdict", "it is %s: %u of %u address%s %s", verdict,
                  alive_addresses(info), info->address_count, info->address_count == 1 ? "" : "es",
                  info->address_count == 1 ? "answers" : "answer");
}

static void explain_consequence(struct facts *facts, const struct world_gateway *gateway,
                                const struct gateway_info *info, bool moves_endpoints)
{
    uint32_t services = world_gateway_service_count(gateway);
    const char *plural = services == 1 ? "" : "s";
    bool alive = explain_gateway_is_alive(gateway);
    bool all = alive && (!info->probed || alive_addresses(info) == info->address_count);
    if (services == 0)
        facts_add(facts, FACT_NOTE, "mirrors", "no exported service is to be mirrored through it");
    else if (world_gateway_spec(gateway)->drain || world_link_declaration(world_gateway_link(gateway))->drain)
        facts_add(facts, FACT_BAD, "mirrors",
                  "annotation " LINK_DRAIN " drains it: the endpoints of %u mirror%s are not ready", services, plural);
    else if (!moves_endpoints && can_be_used(info))
        facts_add(facts, FACT_NOTE, "mirrors",
                  "the endpoints of %u mirror%s stay ready whatever it answers: "
                  "--move-endpoints=false",
                  services, plural);
    else if (alive)
        facts_add(facts, FACT_GOOD, "mirrors", "%u service%s mirrored through it, with endpoints at %s", services,
                  services == 1 ? " is" : "s are", all ? "its addresses" : "those addresses that are alive");
    else
        facts_add(facts, FACT_BAD, "mirrors",
                  "%u service%s mirrored through it, without a ready endpoint while this is so", services,
                  services == 1 ? " is" : "s are");
}

const char *explain_gateway_verdict(struct facts *facts, const struct world_gateway *gateway, bool moves_endpoints)
{
    struct gateway_info info = {0};
    gateways_describe(gateway, &info);
    const char *verdict = verdict_of(gateway, &info);
    if (can_be_used(&info)) {
        explain_identity(facts, &info);
        explain_judgement(facts, &info, verdict);
    }
    explain_consequence(facts, gateway, &info, moves_endpoints);
    return verdict;
}
