/* What stands in the way of a claim for good, whatever else claims the name. */
#include <string.h>

#include "mirror/desired.h"
#include "mirror/names.h"
#include "mirror/plan_internal.h"

static bool names_gateway(const struct claim *claim)
{
    const struct gateway_spec *gateway = &claim->gateway->spec;
    return text_is_label_value(gateway->name) && text_is_label_value(gateway->namespace);
}

/* What of the exported service itself stands in the way. */
static const char *invalid_service(const struct planner *planner, const struct claim *claim)
{
    const struct service *service = claim->service->service;
    if (kv_get(&service->meta.labels, L5D_MIRRORED_SERVICE) != NULL)
        return "the exported service is itself a mirror: export the original from its own cluster";
    if (service->type == SERVICE_EXTERNAL_NAME)
        return "a service of type ExternalName cannot be mirrored";
    if (service->port_count == 0)
        return "object spec has no exposed ports";
    if (claim->kind == CLAIM_FEDERATED)
        return service->headless ? "Headless service cannot join federated service" : NULL;
    const char *unknown = desired_unknown_port(planner->arena, service);
    if (unknown != NULL)
        return arena_printf(planner->arena, "annotation " EXPORT_PORTS " names \"%s\", which is no port of the service",
                            unknown);
    uint32_t count = 0;
    (void)desired_ports(planner->arena, service, &count);
    return count == 0 ? "annotation " EXPORT_PORTS " names no port" : NULL;
}

const char *plan_invalid_reason(const struct planner *planner, const struct claim *claim)
{
    if (claim->kind == CLAIM_IMPORT)
        return plan_import_refused(planner, claim);
    const char *invalid = plan_invalid_name(planner, claim);
    if (invalid != NULL || claim->kind == CLAIM_GATEWAY)
        return invalid;
    if (claim->link->declaration->kind == LINK_SECRET && !names_gateway(claim))
        return "annotations " L5D_GATEWAY_NAME " and " L5D_GATEWAY_NS " must name a Service and its namespace";
    return invalid_service(planner, claim);
}
