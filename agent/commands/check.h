/* Checks of an installation, as `linkerd check` has them: each is a small function that looks at a snapshot of the clusters and tells what is
 * wrong. Pure: what the snapshot holds is read by check_gather.c.
 *
 * A snapshot is JSON:
 *
 *     namespace, linkerdNamespace, cluster   of the agent and of Linkerd; the one target that was asked for, or null
 *     linkerdCli                             version of Linkerd's CLI, as the user says it; "" when not told
 *     now                                    seconds since 1970
 *     source                                 facts of the source cluster
 *     targets[]                              cluster, declaredBy, namespace, linkerdNamespace, secret, link (or null), problem (why its credentials
 *                                            cannot be used, or absent), credentials[] (kind, from, until), facts of the target
 *
 * The source has gatewayPods too: for each of its own gateways ("namespace/name") the fact of its pods; and gatewayEndpoints: for each of them, and
 * of those that services exported for 2.8 name, the fact of its EndpointSlices, or on old API servers of its Endpoints.
 * workloadsIn: for each namespace with a gateway of Edge Stack, the facts `deployments` and `daemonSets`.
 * rightsIn: for each other namespace that has a copy of credentials whose token the agent renews, the facts `roles` and `roleBindings`.
 * Its `links` are of the newest version that is served; linksVersion names it where that is an older one.
 * Sides have `ahead` too: by how many seconds their API server's clock is ahead of ours, where it says so.
 * A fact is {"value": what the API said} or {"error": text, "code": err_code_name()}. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/strbuf.h"

/* Category of what is looked at in a cluster that others mirror from; all others are about a source, and left out where check_is_target_alone(). */
#define CHECK_OF_TARGET "linkerd-multicluster-target"

enum check_severity {
    CHECK_FATAL,   /* nothing after it can be judged */
    CHECK_ERROR,   /* it does not work */
    CHECK_WARNING, /* it works, and somebody should look at it */
};

/** What one check found. */
struct check_report {
    struct strbuf problems, doubts, notes; /* lines */
    unsigned problem_count, doubt_count;
    bool skipped; /* there is nothing to check: it is not shown */
};

typedef void (*check_fn)(const json_t *snapshot, struct check_report *report);

struct check {
    const char *category, *description;
    const char *anchor; /* of the hint: with "l5d-" one of Linkerd's page, else of docs/check.md */
    enum check_severity severity;
    bool is_awaited; /* what is wrong may become right by waiting */
    check_fn run;
};

/* ---- for checks ---- */

void check_problem(struct check_report *report, const char *format, ...) PRINTF_LIKE(2, 3);
/** Something could not be judged: a warning, whatever the check's severity. */
void check_doubt(struct check_report *report, const char *format, ...) PRINTF_LIKE(2, 3);
/** A line for a check that is all right. */
void check_note(struct check_report *report, const char *format, ...) PRINTF_LIKE(2, 3);
void check_skip(struct check_report *report);

/** The member at a path like "spec/ports"; NULL when there is none. */
const json_t *check_at(const json_t *object, const char *path);
/** A text at a path; "" when there is none. */
const char *check_text(const json_t *object, const char *path);
/** What the API said. NULL when it could not be read, or was not asked for. */
const json_t *check_fact(const json_t *side, const char *key);
/** The items of a list that the API gave; NULL when it could not be read. */
const json_t *check_items(const json_t *side, const char *key);
/** The same, and a doubt where it could not be read. @param whose  cluster, for the text. */
const json_t *check_needed_items(struct check_report *report, const json_t *side, const char *key, const char *whose);
/** Why it could not be read; "" when it could, or was not asked for. */
const char *check_fact_error(const json_t *side, const char *key);
bool check_fact_is(const json_t *side, const char *key, enum err_code code);

/* ---- running them ---- */

/** All checks, in their order; the description of the last one is NULL. */
extern const struct check checks[];

/** Runs them, those about a source only where the cluster may be one. A fatal one that fails is the last.
 *  @param[out] ret_result  new: {"success", "categories"} as `linkerd check -o json` prints it.
 *  @param[out] ret_awaited  the first thing that waiting may cure; NULL when nothing. Borrowed from the result.
 *  @return ERR_OK, ERR_NOMEM. */
enum err_code check_run(const struct check *list, const json_t *snapshot, json_t **ret_result, const char **ret_awaited)
    MUST_USE;
/** Appends the result as `linkerd check` prints it. @param is_short  only what is not all right. */
void check_write(const json_t *result, bool is_short, struct strbuf *text);

/* ---- the checks themselves ---- */

/* check_side.c */
/** Whether the cluster is nobody's source: no Link, no credentials of a target, no agent, no mirror; and has gateways or exported services. */
bool check_is_target_alone(const json_t *snapshot);
void check_target_alone(const json_t *snapshot, struct check_report *report);

/* check_links.c */
void check_link_type(const json_t *snapshot, struct check_report *report);
void check_links_valid(const json_t *snapshot, struct check_report *report);
void check_links_version(const json_t *snapshot, struct check_report *report);
void check_links_served(const json_t *snapshot, struct check_report *report);
/* check_access.c */
void check_credentials(const json_t *snapshot, struct check_report *report);
void check_endpoint_rights(const json_t *snapshot, struct check_report *report);
void check_clocks(const json_t *snapshot, struct check_report *report);
void check_expiry(const json_t *snapshot, struct check_report *report);
/* check_trust.c */
void check_trust_anchors(const json_t *snapshot, struct check_report *report);
/* check_agent.c */
/** @param[out] ret_count  how many Deployments are the agent's. @return borrowed: the last of them; NULL when there is none. */
const json_t *check_find_agent(const json_t *deployments, unsigned *ret_count);
void check_agent_rights(const json_t *snapshot, struct check_report *report);
void check_renewal_rights(const json_t *snapshot, struct check_report *report);
void check_agent_running(const json_t *snapshot, struct check_report *report);
void check_no_other_controller(const json_t *snapshot, struct check_report *report);
/* check_mirrors.c */
/** Whether it is marked for export, by label or by 2.8's annotations. */
bool check_is_exported(const json_t *service);
void check_gateways_alive(const json_t *snapshot, struct check_report *report);
void check_mirror_endpoints(const json_t *snapshot, struct check_report *report);
void check_orphans(const json_t *snapshot, struct check_report *report);
void check_daisy_chains(const json_t *snapshot, struct check_report *report);
/* check_edge_stack.c */
/** Whether it is the Service of Edge Stack or Emissary, and marks itself as a gateway. */
bool check_is_edge_stack_gateway(const json_t *service);
void check_edge_stack(const json_t *snapshot, struct check_report *report);
/* check_proxies.c */
/** Of a list like "spec/containers" the entry of that name; NULL when there is none. */
const json_t *check_container(const json_t *pod, const char *list, const char *name);
void check_proxies_healthy(const json_t *snapshot, struct check_report *report);
void check_proxy_versions(const json_t *snapshot, struct check_report *report);
void check_proxy_cli_versions(const json_t *snapshot, struct check_report *report);
/* check_gateways.c */
void check_target_gateways(const json_t *snapshot, struct check_report *report);
/** Whether it marks itself as a gateway, and is no mirror of one. */
bool check_is_gateway(const json_t *service);
/** Names of the cluster's own gateways: of those that mark themselves, and those that services exported for 2.8 name.
 *  @return new: {"namespace/name": whether there is such a Service}; NULL when out of memory. */
json_t *check_gateway_names(const json_t *services);
void check_sidecars(const json_t *snapshot, struct check_report *report);
void check_own_gateways(const json_t *snapshot, struct check_report *report);
