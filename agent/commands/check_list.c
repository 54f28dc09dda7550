/* All checks, in their order. Names, severities and anchors are Linkerd's where it has the check, today's or 2.8's; docs/check.md tells each. */
#include "agent/commands/check.h"

#define MULTICLUSTER "linkerd-multicluster"
#define OURS "svcmirror"

const struct check checks[] = {
    {MULTICLUSTER, "Link CRD exists", "l5d-multicluster-link-crd-exists", CHECK_FATAL, false, check_link_type},
    {MULTICLUSTER, "Link resources are valid", "l5d-multicluster-links-are-valid", CHECK_FATAL, false,
     check_links_valid},
    {MULTICLUSTER, "Link and CLI versions match", "l5d-multicluster-links-version", CHECK_WARNING, false,
     check_links_version},
    {MULTICLUSTER, "remote cluster access credentials are valid", "l5d-smc-target-clusters-access", CHECK_ERROR, false,
     check_credentials},
    {MULTICLUSTER, "clusters share trust anchors", "l5d-multicluster-clusters-share-anchors", CHECK_ERROR, false,
     check_trust_anchors},
    {MULTICLUSTER, "service mirror controller has required permissions", "l5d-multicluster-source-rbac-correct",
     CHECK_ERROR, false, check_agent_rights},
    {MULTICLUSTER, "service mirror controllers are running", "l5d-multicluster-service-mirror-running", CHECK_ERROR,
     true, check_agent_running},
    {MULTICLUSTER, "extension is managing controllers", "l5d-multicluster-managed-controllers", CHECK_WARNING, false,
     check_no_other_controller},
    {MULTICLUSTER, "probe services able to communicate with all gateway mirrors", "l5d-multicluster-gateways-endpoints",
     CHECK_ERROR, true, check_gateways_alive},
    {MULTICLUSTER, "all mirror services have endpoints", "l5d-multicluster-services-endpoints", CHECK_ERROR, true,
     check_mirror_endpoints},
    {MULTICLUSTER, "all mirror services are part of a Link", "l5d-multicluster-orphaned-services", CHECK_WARNING, false,
     check_orphans},
    {MULTICLUSTER, "multicluster daisy chaining is avoided", "l5d-multicluster-daisy-chaining", CHECK_WARNING, false,
     check_daisy_chains},
    {MULTICLUSTER, "remote: all referenced gateways are valid", "l5d-multicluster-gateways-exist", CHECK_WARNING, false,
     check_target_gateways},
    {OURS, "an agent serves every Link", "links-served", CHECK_ERROR, true, check_links_served},
    {OURS, "endpoints of the targets may be read", "endpoint-rights", CHECK_WARNING, false, check_endpoint_rights},
    {OURS, "credentials of the targets last", "credentials-last", CHECK_WARNING, false, check_expiry},
    {OURS, "clocks of the clusters agree", "clocks-agree", CHECK_WARNING, false, check_clocks},
    {"linkerd-multicluster-target", "all cluster gateways are valid", "l5d-multicluster-gateways-exist", CHECK_WARNING,
     false, check_own_gateways},
    {"linkerd-multicluster-target", "gateways have their proxy", "gateway-proxy", CHECK_WARNING, false, check_sidecars},
    {"linkerd-multicluster-target", "Edge Stack is set up as a gateway", "edge-stack-set-up", CHECK_WARNING, false,
     check_edge_stack},
    {0},
};
