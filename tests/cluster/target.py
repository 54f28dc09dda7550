"""A target cluster: a control plane, its gateway, and the ways of exporting and linking."""
import base64
import os
import sys

from .cluster import Cluster
from .gateway import Gateway
from .processes import Process
from .wait import wait_until

AGENT_NAMESPACE = "linkerd-multicluster"
GATEWAY_IDENTITY = "ambassador.ambassador.serviceaccount.identity.linkerd.cluster.local"


class Target(Cluster):
    """`name` is also the cluster name in links. Its gateway is the Service ambassador/ambassador on the addresses of `gateway`."""

    def __init__(self, name, network, folder, gateway_addresses=None, **more):
        super().__init__(name, network, folder, **more)
        self.gateway = Gateway(network, self.folder, gateway_addresses)
        self.servers = []
        self.link_api_version = "v1alpha3"

    def start(self, gateway=True):
        super().start()
        if gateway:
            self.gateway.start()
        return self

    def stop(self):
        self.gateway.stop()
        for server in self.servers:
            server.stop()
        super().stop()

    # -- the gateway Service, as Edge Stack's document has it --

    def gateway_service(self, name="ambassador", namespace="ambassador", addresses=None, probe_path="-/ambassador/ready", period="3", probe_port=8080,
                        identity=GATEWAY_IDENTITY, hostname=None, annotations=None, ports=None):
        self.ensure_namespace(namespace)
        wanted = {"mirror.linkerd.io/multicluster-gateway": "true", "mirror.linkerd.io/gateway-identity": identity,
                  "mirror.linkerd.io/probe-path": probe_path, "mirror.linkerd.io/probe-period": period, **(annotations or {})}
        service = {"apiVersion": "v1", "kind": "Service",
                   "metadata": {"name": name, "namespace": namespace, "annotations": {k: v for k, v in wanted.items() if v is not None}},
                   "spec": {"type": "LoadBalancer", "ports": ports or [
                       {"name": "mc-gateway", "port": 4143, "protocol": "TCP"},
                       {"name": "mc-probe", "port": probe_port, "targetPort": 8080, "protocol": "TCP"}]}}
        self.api.apply("services", service)
        self.set_gateway_addresses(addresses if addresses is not None else self.gateway.addresses, name, namespace, hostname)
        return self.api.get("services", name, namespace)

    def set_gateway_addresses(self, addresses, name="ambassador", namespace="ambassador", hostname=None):
        ingress = [{"hostname": hostname}] if hostname else [{"ip": a} for a in addresses]
        return self.api.patch("services", name, {"status": {"loadBalancer": {"ingress": ingress or None}}}, namespace, "status")

    # -- services --

    def export(self, name, namespace="demo", gateway="ambassador", gateway_ns="ambassador", **more):
        """A service exported the way of 2.8: two annotations name its gateway."""
        marks = {"mirror.linkerd.io/gateway-name": gateway, "mirror.linkerd.io/gateway-ns": gateway_ns}
        return self.service(name, namespace, annotations={**marks, **more.pop("annotations", {})}, **more)

    def export_labelled(self, name, namespace="demo", endpoints=("10.201.1.10",), **more):
        """A service exported the way of today's Linkerd: by a label; with a slice of ready endpoints."""
        service = self.service(name, namespace, labels={"mirror.linkerd.io/exported": "true", **more.pop("labels", {})}, **more)
        if endpoints:
            self.slice(name, namespace, endpoints)
        return service

    def slice(self, service, namespace, addresses, ready=True, port=5000, suffix="a"):
        return self.endpoints(service, namespace, [{"addresses": [a], "conditions": {"ready": ready}} for a in addresses], suffix, port=port)

    def host_slice(self, service, namespace, hosts, suffix="a"):
        """A slice of endpoints with hostnames, as a StatefulSet has them: {hostname: ready}."""
        return self.endpoints(service, namespace, [{"addresses": [f"10.201.{self.network.number}.{100 + i}"], "hostname": name, "conditions": {"ready": ready}}
                                                   for i, (name, ready) in enumerate(hosts.items())], suffix)

    def endpoints(self, service, namespace, endpoints, suffix="a", address_type="IPv4", port=5000):
        """One slice of the service made by hand, whatever is in it."""
        body = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": address_type,
                "metadata": {"name": f"{service}-{suffix}", "namespace": namespace, "labels": {"kubernetes.io/service-name": service}},
                "endpoints": endpoints, "ports": [{"name": "http", "port": port, "protocol": "TCP"}]}
        return self.api.apply("endpointslices", body)

    def qotm(self, namespace="default", port=5000, exported=True):
        """The seed document's quote service, exported by its two annotations where it shall be, with a pod that really answers."""
        address = self.network.address(10)
        env = {"PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}
        self.servers.append(Process("qotm", [sys.executable, "-m", "cluster.quotes", address, port], self.folder, self.network.netns, env).start())
        self.gateway.services[f"qotm.{namespace}.svc.cluster.local"] = (address, port)
        self.ensure_namespace(namespace)
        self.pod("qotm-0", namespace, address, {"service": "qotm"})
        service = (self.export if exported else self.service)("qotm", namespace, selector={"service": "qotm"}, ports=[{"name": "http-qotm", "port": 80, "targetPort": port, "protocol": "TCP"}])
        wait_until(lambda: self.ready_addresses("qotm", namespace) == [address], 20, "qotm has a ready endpoint")
        return service

    # -- links, made in the source cluster --

    def link_secret(self, source, kubeconfig=None, name=None, cluster=None, annotations=None):
        """The 2.8 Secret that links this target."""
        source.ensure_namespace(AGENT_NAMESPACE)
        cluster = cluster or self.name
        wanted = {"mirror.linkerd.io/cluster-name": cluster, "mirror.linkerd.io/remote-cluster-domain": "cluster.local",
                  "mirror.linkerd.io/remote-cluster-l5d-ns": "linkerd", **(annotations or {})}
        text = kubeconfig if kubeconfig is not None else self.reader_kubeconfig()
        return source.api.apply("secrets", {
            "apiVersion": "v1", "kind": "Secret", "type": "mirror.linkerd.io/remote-kubeconfig",
            "metadata": {"name": name or f"cluster-credentials-{cluster}", "namespace": AGENT_NAMESPACE,
                         "annotations": {k: v for k, v in wanted.items() if v is not None}},
            "data": {"kubeconfig": base64.b64encode(text.encode()).decode()}})

    def link_credentials(self, source, name, kubeconfig=None):
        """The Secret that a Link names: `cluster-credentials-<name>`."""
        source.ensure_namespace(AGENT_NAMESPACE)
        return source.api.apply("secrets", {
            "apiVersion": "v1", "kind": "Secret", "type": "mirror.linkerd.io/remote-kubeconfig",
            "metadata": {"name": f"cluster-credentials-{name}", "namespace": AGENT_NAMESPACE},
            "data": {"kubeconfig": base64.b64encode((kubeconfig or self.reader_kubeconfig()).encode()).decode()}})

    def link(self, source, name=None, kubeconfig=None, annotations=None, **spec):
        """A Link resource with its credentials Secret; `spec` fields replace the usual ones, None removes one."""
        name = name or self.name
        self.link_credentials(source, name, kubeconfig)
        wanted = {"targetClusterName": self.name, "targetClusterDomain": "cluster.local", "targetClusterLinkerdNamespace": "linkerd",
                  "clusterCredentialsSecret": f"cluster-credentials-{name}", "gatewayAddress": ",".join(self.gateway.addresses), "gatewayPort": "4143",
                  "gatewayIdentity": "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local",
                  "probeSpec": {"path": "/-/ambassador/ready", "port": "8080", "period": "3s", "failureThreshold": "3", "timeout": "30s"},
                  "selector": {"matchLabels": {"mirror.linkerd.io/exported": "true"}}, **spec}
        body = {"apiVersion": f"multicluster.linkerd.io/{self.link_api_version}", "kind": "Link",
                "metadata": {"name": name, "namespace": AGENT_NAMESPACE, **({"annotations": annotations} if annotations else {})},
                "spec": {k: v for k, v in wanted.items() if v is not None}}
        return source.api.apply("links", body)

    def link_by_name(self, source, gateway="ambassador/ambassador", **spec):
        """A Link that names its gateway's Service, and gives nothing of the gateway itself but what `spec` has."""
        nothing = {"gatewayAddress": None, "gatewayPort": None, "gatewayIdentity": None, "probeSpec": None}
        return self.link(source, annotations={"svcmirror.io/gateway": gateway}, **{**nothing, **spec})

    def link_gen(self, source, gateway=True):
        """The Link as `linkerd multicluster link-gen --cluster-name <name>` writes it: three selectors, and without a gateway nothing that needs one."""
        self.link_credentials(source, self.name)
        by_gateway = {"gatewayAddress": ",".join(self.gateway.addresses), "gatewayPort": "4143",
                      "gatewayIdentity": "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local",
                      "probeSpec": {"path": "/-/ambassador/ready", "port": "8080", "period": "3s"},
                      "selector": {"matchLabels": {"mirror.linkerd.io/exported": "true"}}}
        return source.api.create("links", {
            "apiVersion": "multicluster.linkerd.io/v1alpha3", "kind": "Link",
            "metadata": {"name": self.name, "namespace": AGENT_NAMESPACE, "annotations": {"linkerd.io/created-by": "linkerd/cli edge-26.8.3"}},
            "spec": {"targetClusterName": self.name, "targetClusterDomain": "cluster.local", "targetClusterLinkerdNamespace": "linkerd",
                     "clusterCredentialsSecret": f"cluster-credentials-{self.name}", **(by_gateway if gateway else {}),
                     "remoteDiscoverySelector": {"matchLabels": {"mirror.linkerd.io/exported": "remote-discovery"}},
                     "federatedServiceSelector": {"matchLabels": {"mirror.linkerd.io/federated": "member"}}}})
