/* The names that Linkerd gives to things: labels, annotations, resource types. Source: linkerd2 stable-2.8.0 and edge-26.8.3,
 * pkg/k8s/labels.go and multicluster/; Kubernetes API documents. Constants only. */
#pragma once

/* labels of mirrors */
#define L5D_MIRRORED_SERVICE "mirror.linkerd.io/mirrored-service"
#define L5D_CLUSTER_NAME "mirror.linkerd.io/cluster-name"
#define L5D_REMOTE_GATEWAY_NAME "mirror.linkerd.io/remote-gateway-name"
#define L5D_REMOTE_GATEWAY_NS "mirror.linkerd.io/remote-gateway-ns"
#define L5D_MIRRORED_GATEWAY "mirror.linkerd.io/mirrored-gateway"

/* annotations of mirrors */
#define L5D_REMOTE_RESOURCE_VERSION "mirror.linkerd.io/remote-resource-version"
#define L5D_REMOTE_SVC_FQ_NAME "mirror.linkerd.io/remote-svc-fq-name"
#define L5D_REMOTE_GATEWAY_RESOURCE_VERSION "mirror.linkerd.io/remote-gateway-resource-version"
#define L5D_REMOTE_GATEWAY_IDENTITY "mirror.linkerd.io/remote-gateway-identity"
#define L5D_MIRRORED_GATEWAY_REMOTE_NAME "mirror.linkerd.io/mirrored-gateway-remote-name"
#define L5D_MIRRORED_GATEWAY_REMOTE_NAMESPACE "mirror.linkerd.io/mirrored-gateway-remote-namespace"
#define L5D_MIRRORED_GATEWAY_PROBE_PATH "mirror.linkerd.io/mirrored-gateway-probe-path"
#define L5D_MIRRORED_GATEWAY_PROBE_PERIOD "mirror.linkerd.io/mirrored-gateway-probe-period"

/* kinds of mirrors besides those through a gateway: labels, and annotations of federated services */
#define L5D_REMOTE_DISCOVERY "multicluster.linkerd.io/remote-discovery"
#define L5D_REMOTE_SERVICE "multicluster.linkerd.io/remote-service"
#define L5D_LOCAL_DISCOVERY "multicluster.linkerd.io/local-discovery"
#define L5D_HEADLESS_MIRROR "mirror.linkerd.io/headless-mirror-svc-name"

/* on exported services */
#define L5D_GATEWAY_NAME "mirror.linkerd.io/gateway-name"
#define L5D_GATEWAY_NS "mirror.linkerd.io/gateway-ns"
#define L5D_EXPORTED "mirror.linkerd.io/exported"
#define L5D_FEDERATED "mirror.linkerd.io/federated"

/* ours */
#define SVCMIRROR_PREFIX "svcmirror.io/"
/* on exported services */
#define EXPORT_PORTS "svcmirror.io/export-ports"
#define EXPORT_TO "svcmirror.io/export-to"
#define EXPORT_NAME "svcmirror.io/export-name"
#define EXPORT_NAMESPACE "svcmirror.io/export-namespace"
#define EXPORT_HEADLESS "svcmirror.io/headless"
#define EXPORT_ENDPOINTS "svcmirror.io/endpoints"
/* EXPORT_HEADLESS and EXPORT_ENDPOINTS on Links too: for all services of the link */
/* values of EXPORT_ENDPOINTS: whose addresses a mirror's endpoints are */
#define ENDPOINTS_OF_GATEWAY "gateway"
#define ENDPOINTS_OF_PODS "pods"
/* on Links, credentials Secrets and gateway Services; and on the mirrors of such gateways */
#define LINK_DRAIN "svcmirror.io/drain"
/* on Links and credentials Secrets */
#define LINK_MIRROR_NAME "svcmirror.io/mirror-name"
#define LINK_NAMESPACE_MAP "svcmirror.io/namespace-map"
#define LINK_ALLOWED_NAMESPACES "svcmirror.io/allowed-namespaces"
/* on credentials Secrets: for how long tokens are asked for that the agent renews; and "namespace/name" of the copy for Linkerd's control plane */
#define SECRET_RENEW_TOKEN "svcmirror.io/renew-token"
#define SECRET_COPY "svcmirror.io/copy"
/* on Links */
#define LINK_ALLOWED_LABELS "svcmirror.io/allowed-labels"
#define LINK_ALLOWED_ANNOTATIONS "svcmirror.io/allowed-annotations"
#define LINK_GATEWAY "svcmirror.io/gateway"

/* on Links: the target's ServiceExports mark exports too ("true"), or do not ("false"), whatever the agent's flag says */
#define LINK_SERVICE_EXPORTS "svcmirror.io/service-exports"
/* on mirrors: only a ServiceExport made an export of it; and on every ServiceImport */
#define MADE_BY_EXPORT "svcmirror.io/service-export"

/* on the mirrors of gateways that a Secret's target declares: their addresses as declared, host names included, by commas */
#define GATEWAY_ADDRESSES "svcmirror.io/gateway-addresses"

/* on gateway Services in the target */
#define L5D_MULTICLUSTER_GATEWAY "mirror.linkerd.io/multicluster-gateway"
#define L5D_GATEWAY_IDENTITY "mirror.linkerd.io/gateway-identity"
#define L5D_PROBE_PATH "mirror.linkerd.io/probe-path"
#define L5D_PROBE_PERIOD "mirror.linkerd.io/probe-period"
/* Constants of Linkerd that its own link-gen never writes, honoured when present; and on the mirrors of gateways that have them. */
#define L5D_PROBE_TIMEOUT "mirror.linkerd.io/probe-timeout"
#define L5D_PROBE_FAILURE_THRESHOLD "mirror.linkerd.io/probe-failure-threshold"
#define L5D_GATEWAY_PORT_NAME "mc-gateway"
#define L5D_PROBE_PORT_NAME "mc-probe"

/* credentials Secrets */
#define L5D_SECRET_TYPE "mirror.linkerd.io/remote-kubeconfig"
#define L5D_SECRET_KEY "kubeconfig"
#define L5D_SECRET_CLUSTER_NAME "mirror.linkerd.io/cluster-name"
#define L5D_SECRET_CLUSTER_DOMAIN "mirror.linkerd.io/remote-cluster-domain"
#define L5D_SECRET_L5D_NS "mirror.linkerd.io/remote-cluster-l5d-ns"

/* the copies of credentials Secrets that Linkerd's destination controller reads */
#define L5D_STORE_CLUSTER_NAME "multicluster.linkerd.io/cluster-name"
#define L5D_STORE_CLUSTER_DOMAIN "multicluster.linkerd.io/cluster-domain"
#define L5D_STORE_TRUST_DOMAIN "multicluster.linkerd.io/trust-domain"

#define L5D_PREFIX "mirror.linkerd.io"
#define L5D_OPAQUE_PORTS "config.linkerd.io/opaque-ports"
#define L5D_LINK_GROUP "multicluster.linkerd.io"
#define L5D_STATUS_CONTROLLER "linkerd.io/service-mirror"

/* Kubernetes */
#define K8S_SERVICE_NAME "kubernetes.io/service-name"
#define K8S_MANAGED_BY "endpointslice.kubernetes.io/managed-by"
#define K8S_HEADLESS "service.kubernetes.io/headless"
#define K8S_OVER_CAPACITY "endpoints.kubernetes.io/over-capacity" /* on v1 Endpoints that do not hold all */
#define K8S_APP_MANAGED_BY "app.kubernetes.io/managed-by"
/* its value on Links that svcmirror made */
#define LINK_MANAGED_BY "svcmirror"
/* values of K8S_MANAGED_BY: on slices that Kubernetes makes by a Service's selector, or of v1 Endpoints, and on ours */
#define K8S_MADE_BY_SELECTOR "endpointslice-controller.k8s.io"
#define K8S_MADE_OF_ENDPOINTS "endpointslicemirroring-controller.k8s.io"
#define SLICE_MANAGED_BY "svcmirror"

/* Kubernetes' Multicluster Services API, KEP-1645 */
#define MCS_GROUP "multicluster.x-k8s.io"

/* Our slices are called "<mirror>.ipv4" and "<mirror>.ipv6", those with the target's own endpoints "<mirror>.pods.<slice in the target>": a Service's
 * name has no dot, so no two mirrors can want one slice name. */
#define SLICE_SUFFIX_V4 ".ipv4"
#define SLICE_SUFFIX_V6 ".ipv6"
#define SLICE_INFIX_PODS ".pods."
