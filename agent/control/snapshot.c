/* The state of everything, for the admin server. */
#include <stdio.h>
#include <string.h>

#include "agent/control/internal.h"
#include "agent/control/local.h"

static bool is_ready(void *context, struct strbuf *why)
{
    const struct control *control = context;
    bool ready = source_ready(control->source, why);
    ready = links_ready(control->links, why) && ready;
    ready = leases_ready(control->leases, why) && ready;
    if (control->stopping)
        strbuf_append(why, "the agent is stopping\n");
    return ready && !control->stopping;
}

/* Targets in order of cluster name: there are few. */
static struct target *next_by_name(const struct control *control, const char *after)
{
    struct target *best = NULL;
    for (struct target *target = links_first(control->links); target != NULL; target = links_next(target)) {
        const char *name = target_link(target)->cluster_name;
        if ((after == NULL || strcmp(name, after) > 0) &&
            (best == NULL || strcmp(name, target_link(best)->cluster_name) < 0))
            best = target;
    }
    return best;
}

static void each_gateway(void *context, gateway_info_fn fn, void *fn_context)
{
    struct control *control = context;
    for (struct target *target = next_by_name(control, NULL); target != NULL;
         target = next_by_name(control, target_link(target)->cluster_name)) {
        const struct link *link = target_link(target);
        for (struct world_gateway *gateway = world_first_gateway(target_world_link(target)); gateway != NULL;
             gateway = world_next_gateway(gateway)) {
            struct gateway_info info = {.cluster = link->cluster_name,
                                        .link_kind = link->kind == LINK_SECRET ? "Secret" : "Link",
                                        .link_name = link->name,
                                        .drained = link->drain || world_gateway_spec(gateway)->drain,
                                        .services = world_gateway_service_count(gateway)};
            gateways_describe(gateway, &info);
            fn(fn_context, &info);
        }
    }
}

/* A declaration that became unusable is as much of a problem as what stands between us and the target. */
static const char *problem_of(const struct control *control, const struct target *target, char *text, size_t bytes)
{
    const char *refusal = links_refusal_of(control->links, target_link(target)), *problem = target_problem(target);
    if (refusal[0] == '\0')
        return problem;
    (void)snprintf(text, bytes, "the declaration is refused, and the link stays as it was: %s%s%s", refusal,
                   problem[0] != '\0' ? "; " : "", problem);
    return text;
}

struct refusal_walk {
    link_info_fn *fn;
    void *context;
};

static void tell_refusal(void *context, const struct link_refusal *refusal)
{
    const struct refusal_walk *walk = context;
    const struct link_info info = {.refused = true,
                                   .kind = refusal->kind,
                                   .namespace = refusal->namespace,
                                   .name = refusal->name,
                                   .cluster = refusal->cluster,
                                   .problem = refusal->text};
    (*walk->fn)(walk->context, &info);
}

static void each_link(void *context, link_info_fn fn, void *fn_context)
{
    struct control *control = context;
    char problem[2 * ERR_TEXT_BYTES + 128];
    for (struct target *target = next_by_name(control, NULL); target != NULL;
         target = next_by_name(control, target_link(target)->cluster_name)) {
        const struct link *link = target_link(target);
        struct link_info info = {.id = link->id,
                                 .kind = link->kind == LINK_SECRET ? "Secret" : "Link",
                                 .namespace = link->namespace,
                                 .name = link->name,
                                 .cluster = link->cluster_name,
                                 .domain = link->cluster_domain,
                                 .server = target_server(target),
                                 .api_reachable = target_reachable(target),
                                 .synced = target_synced(target),
                                 .drained = link->drain,
                                 .problem = problem_of(control, target, problem, sizeof(problem)),
                                 .warning = target_warning(target),
                                 .holder = leases_holder(control->leases, link),
                                 .held = leases_holds(control->leases, link),
                                 .event_age_ms = target_event_age_ms(target),
                                 .credentials_expire_us = target_expires_us(target)};
        for (struct claim *claim = world_first_claim(target_world_link(target)); claim != NULL;
             claim = world_next_claim(claim)) {
            if (claim_kind(claim) == CLAIM_HOST || claim_kind(claim) == CLAIM_IMPORT)
                continue;
            info.exported++;
            info.mirrored += claim_status(claim)->mirrored ? 1 : 0;
        }
        fn(fn_context, &info);
    }
    struct refusal_walk walk = {&fn, fn_context};
    links_each_refusal(control->links, tell_refusal, &walk);
}

static void count_endpoints(const struct mirror *mirror, struct service_info *info)
{
    for (uint32_t i = 0; i < mirror_slice_count(mirror); i++) {
        const struct slice *slice = mirror_slice(mirror, i);
        char key[OBJECT_KEY_BYTES];
        if (!world_slice_is_ours(slice, key)) /* e.g. what Kubernetes makes of Endpoints */
            continue;
        info->endpoints += slice->endpoint_count;
        for (uint32_t j = 0; j < slice->endpoint_count; j++)
            info->ready += slice->endpoints[j].ready ? 1 : 0;
    }
}

static void tell_service(const struct claim *claim, service_info_fn fn, void *fn_context)
{
    const struct claim_status *status = claim_status(claim);
    const struct object_meta *meta = &claim_service(claim)->meta;
    char gateway[OBJECT_KEY_BYTES] = "";
    if (claim_is_through_gateway(claim)) {
        const struct gateway_spec *spec = world_gateway_spec(claim_gateway(claim));
        object_key_format(gateway, spec->namespace, spec->name);
    }
    struct service_info info = {.cluster = world_link_declaration(claim_link(claim))->cluster_name,
                                .namespace = meta->namespace,
                                .name = meta->name,
                                .mirror = mirror_key(claim_mirror(claim)),
                                .gateway = gateway,
                                .mode = plan_mode_name(claim),
                                .mirrored = status->mirrored,
                                .reason = status->reason,
                                .message = status->message,
                                .since_us = status->since_us};
    count_endpoints(claim_mirror(claim), &info);
    fn(fn_context, &info);
}

static void each_service(void *context, service_info_fn fn, void *fn_context)
{
    struct control *control = context;
    for (struct target *target = next_by_name(control, NULL); target != NULL;
         target = next_by_name(control, target_link(target)->cluster_name))
        for (struct claim *claim = world_first_claim(target_world_link(target)); claim != NULL;
             claim = world_next_claim(claim))
            if (claim_kind(claim) != CLAIM_IMPORT || world_import_version(control->world) != NULL)
                tell_service(claim, fn, fn_context);
    struct world_link *local = local_world_link(control->local);
    for (struct claim *claim = local != NULL ? world_first_claim(local) : NULL; claim != NULL;
         claim = world_next_claim(claim))
        tell_service(claim, fn, fn_context);
}

void snapshot_init(struct control *control)
{
    control->admin = (struct admin_source){.context = control,
                                           .ready = is_ready,
                                           .each_gateway = each_gateway,
                                           .each_link = each_link,
                                           .each_service = each_service};
}
