"""Mirrors that Linkerd made are taken over as they are."""
import threading

import pytest
from cluster.wait import wait_until

MIRROR = "mirror.linkerd.io/"


def linkerds_mirror(source, target, name="web", namespace="demo", labels=None, ready=True):
    """What Linkerd's own agent leaves behind: a Service, and v1 Endpoints with the gateway's addresses."""
    source.ensure_namespace(namespace)
    marks = {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": target.name, **(labels or {})}
    fq_name = f"{name}.{namespace}.svc.cluster.local"
    ports = [{"name": "http", "port": 80, "targetPort": 5000, "protocol": "TCP"}]
    source.api.create("services", {
        "apiVersion": "v1", "kind": "Service", "metadata": {
            "name": f"{name}-{target.name}", "namespace": namespace, "labels": marks,
            "annotations": {MIRROR + "remote-resource-version": "1", MIRROR + "remote-svc-fq-name": fq_name}}, "spec": {"ports": ports}})
    addresses = [{"ip": a} for a in target.gateway.addresses]
    source.api.create("endpoints", {
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {
            "name": f"{name}-{target.name}", "namespace": namespace, "labels": marks,
            "annotations": {MIRROR + "remote-svc-fq-name": fq_name, MIRROR + "remote-gateway-identity": "gw"}},
        "subsets": [{"addresses" if ready else "notReadyAddresses": addresses, "ports": [{"name": "http", "port": 4143, "protocol": "TCP"}]}]})
    wait_until(lambda: source.slices(f"{name}-{target.name}", namespace), 20, "Kubernetes made a slice of the Endpoints")
    return source.api.get("services", f"{name}-{target.name}", namespace)


class Lookout:
    """Looks at a mirror all the time, as a client would: was there a moment without a ready endpoint?"""

    def __init__(self, cluster, name, namespace):
        self.cluster, self.name, self.namespace = cluster, name, namespace
        self.gaps, self.looks, self.over = 0, 0, threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self):
        while not self.over.wait(0.005):
            self.looks += 1
            self.gaps += not self.cluster.ready_addresses(self.name, self.namespace)

    def end(self):
        self.over.set()
        self.thread.join()
        assert self.looks > 20
        assert self.gaps == 0, f"no ready endpoint in {self.gaps} of {self.looks} looks"


def adopted(source, name, namespace):
    slices = source.slices(name, namespace)
    return source.api.find("endpoints", name, namespace) is None and [s["metadata"]["name"] for s in slices] == [f"{name}.ipv4"]


@pytest.mark.parametrize("way", ["secret", "link"])
def test_a_mirror_of_linkerd_is_taken_over(lab, source, east, agent, request, way):
    east.gateway.start()
    if way == "secret":
        east.gateway_service()
        east.export("web")
        old = linkerds_mirror(source, east, labels={MIRROR + "remote-gateway-name": "ambassador", MIRROR + "remote-gateway-ns": "ambassador"})
        east.link_secret(source)
    else:
        request.getfixturevalue("link_crd")
        east.export_labelled("web")
        old = linkerds_mirror(source, east)
        east.link(source)
    lookout = Lookout(lab.source, "web-east", "demo")
    one = agent()
    wait_until(lambda: adopted(source, "web-east", "demo"), 15, "the Endpoints are gone")
    wait_until(lambda: all(s["mirrored"] for s in one.services()), 5, "told as mirrored")
    lookout.end()
    new = source.api.get("services", "web-east", "demo")
    assert new["metadata"]["uid"] == old["metadata"]["uid"] and new["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    assert source.ready_addresses("web-east", "demo") == east.gateway.addresses


def test_endpoints_of_somebody_else_stay(source, east, agent):
    """A user who adds Endpoints of their own under a mirror's name keeps them."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "mirrored")
    source.api.create("endpoints", {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web-east", "namespace": "demo"},
                                    "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"name": "http", "port": 1}]}]})
    wait_until(lambda: len(source.slices("web-east", "demo")) == 2, 20, "Kubernetes made a slice of them")
    east.export("late")
    wait_until(lambda: source.ready_addresses("late-east", "demo"), 10, "the agent went on")
    assert source.api.find("endpoints", "web-east", "demo") is not None
    source.api.delete("endpoints", "web-east", "demo")
