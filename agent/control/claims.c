/* What becomes of exported services: each change of a claim's state is logged once, told to the cluster when it is bad, and handed to the Link's
 * status. */
#include <stdio.h>
#include <string.h>

#include "agent/control/internal.h"
#include "agent/observe/log.h"

static const char *claim_name(const struct claim *claim, char key[OBJECT_KEY_BYTES])
{
    if (claim_kind(claim) != CLAIM_GATEWAY) {
        const struct object_meta *meta = &claim_service(claim)->meta;
        object_key_format(key, meta->namespace, meta->name);
    } else {
        const struct gateway_spec *spec = world_gateway_spec(claim_gateway(claim));
        object_key_format(key, spec->namespace, spec->name);
    }
    return key;
}

/* What stands, or is to stand, for it in the source cluster. */
static const char *counterpart(const struct claim *claim, char words[MIRROR_WORDS_BYTES])
{
    const struct mirror *mirror = claim_mirror(claim);
    return mirror_is_import(mirror) ? mirror_words(mirror, words) : mirror_key(mirror);
}

static bool is_left(const struct claim_status *status) { return strcmp(status->reason, CLAIMS_LEFT_TO_LINKERD) == 0; }

/* Bad news is told on the object in the source cluster that stands for the target: the Link, or the 2.8 Secret. Good news only after bad. */
static void tell(struct control *control, const struct claim *claim, const char *old_reason)
{
    const struct claim_status *status = claim_status(claim);
    char key[OBJECT_KEY_BYTES], words[MIRROR_WORDS_BYTES], note[1024];
    bool is_gateway = claim_kind(claim) == CLAIM_GATEWAY;
    const struct link *link = world_link_declaration(claim_link(claim));
    if ((status->mirrored && strcmp(old_reason, "Pending") == 0) || is_left(status))
        return;
    if (status->mirrored)
        (void)snprintf(note, sizeof(note), "%s %s of cluster %s is mirrored as %s", is_gateway ? "gateway" : "service",
                       claim_name(claim, key), link->cluster_name, counterpart(claim, words));
    else
        (void)snprintf(note, sizeof(note), "%s %s of cluster %s is not mirrored as %s: %s",
                       is_gateway ? "gateway" : "service", claim_name(claim, key), link->cluster_name,
                       counterpart(claim, words), status->message);
    links_emit(control, link, !status->mirrored, status->mirrored ? "ServiceMirrored" : "ServiceMirroringSkipped",
               note);
}

static void log_status(struct control *control, const struct claim *claim, bool is_news)
{
    const struct claim_status *status = claim_status(claim);
    char key[OBJECT_KEY_BYTES], words[MIRROR_WORDS_BYTES];
    if (is_left(status)) {
        log_info("gateway_mirror_left", status->message, "cluster",
                 world_link_declaration(claim_link(claim))->cluster_name, NULL);
        return;
    }
    enum log_level level = status->mirrored ? LOG_INFO : LOG_WARN;
    if (leases_is_elsewhere(control->leases, world_link_declaration(claim_link(claim))))
        level = LOG_DEBUG; /* the replica that writes it tells */
    if (status->mirrored && !is_news)
        level = LOG_DEBUG; /* after a restart they all are */
    log_event(level, status->mirrored ? "service_mirrored" : "service_not_mirrored",
              status->mirrored ? "the mirror is in place" : "the service is not mirrored", "cluster",
              world_link_declaration(claim_link(claim))->cluster_name, "service", claim_name(claim, key), "mirror",
              counterpart(claim, words), "reason", status->reason, "detail",
              status->message[0] != '\0' ? status->message : NULL, NULL);
}

static void set_status(struct control *control, struct claim *claim, bool mirrored, const char *reason,
                       const char *message, bool is_news)
{
    const char *old_reason = claim_status(claim)->reason; /* a constant: stays valid */
    if (!claim_set_status(claim, mirrored, reason, message, loop_wall_us(control->config.loop)))
        return;
    if (strcmp(old_reason, reason) != 0) {
        log_status(control, claim, is_news || strcmp(old_reason, "Pending") != 0);
        tell(control, claim, old_reason);
    }
    if (claim_kind(claim) == CLAIM_SERVICE || claim_kind(claim) == CLAIM_FEDERATED)
        statuses_mark(control->statuses, claim_link(claim));
}

void claims_leave_to_linkerd(struct plan *plan, const struct mirror *mirror, struct arena *arena)
{
    for (uint32_t i = 0; i < plan->status_count; i++) {
        struct plan_status *status = &plan->statuses[i];
        if (claim_kind(status->claim) != CLAIM_GATEWAY || strcmp(status->reason, "NameCollision") != 0)
            continue;
        const char *message = arena_printf(
            arena, "Service %s is that of Linkerd's chart, and is left to it: the verdict is in status and metrics",
            mirror_key(mirror));
        *status = (struct plan_status){status->claim, true, CLAIMS_LEFT_TO_LINKERD, message != NULL ? message : ""};
    }
}

void claims_apply(struct control *control, const struct plan *plan, bool is_news)
{
    for (uint32_t i = 0; i < plan->status_count; i++) {
        const struct plan_status *status = &plan->statuses[i];
        set_status(control, status->claim, status->mirrored, status->reason, status->message, is_news);
    }
}

void claims_set_error(struct control *control, struct mirror *mirror, const char *message)
{
    for (struct claim *claim = mirror_first_claim(mirror); claim != NULL; claim = mirror_next_claim(claim)) {
        const char *reason = claim_status(claim)->reason;
        if (strcmp(reason, "InvalidService") == 0 || strcmp(reason, "NameCollision") == 0)
            continue; /* not the one that the write was for */
        set_status(control, claim, false, "Error", message, true);
        if (claim_kind(claim) != CLAIM_FEDERATED)
            return; /* a federated service is written for all of its members */
    }
}

void claims_count_repair(struct control *control, const struct mirror *mirror)
{
    const struct claim *claim = mirror_first_claim(mirror);
    if (claim == NULL || claim_kind(claim) != CLAIM_SERVICE)
        return;
    metric_add(metric_get(control->instruments.endpoint_repairs,
                          world_link_declaration(claim_link(claim))->cluster_name),
               1);
}
