"""Mirrors with the target's own endpoints: slices copied from those that Kubernetes makes of real pods there."""
import pytest
from cluster.checker import differences
from cluster.expected import made_from, of_cluster, service, whole
from cluster.wait import wait_until

pytestmark = pytest.mark.usefixtures("link_crd")
PODS = {"svcmirror.io/endpoints": "pods"}
APP = {"app": "web"}
CONTROLLER_S = 20  # Kubernetes' own controllers act in their own time


def address(number):
    return f"10.201.7.{number}"


def copies(source, namespace="demo"):
    """{the target's slice: {address: its conditions}} of the mirror."""
    return {s["metadata"]["name"].removeprefix("web-east.pods."): {e["addresses"][0]: e["conditions"] for e in s["endpoints"]}
            for s in source.slices("web-east", namespace) if s["endpoints"]}


def ready(source):
    return sorted(a for piece in copies(source).values() for a, conditions in piece.items() if conditions["ready"])


def slice_writes(source):
    """A creation that the server could not read has no name in its log."""
    return [(w["verb"], w["objectRef"].get("name")) for w in source.writes("svcmirror") if w["objectRef"]["resource"] == "endpointslices"]


def test_slices_follow_the_pods_of_the_target(source, east, agent):
    """Scaled up and down, one pod unready, one slice changed: only that is written. With the target's API away all stays, also over a restart."""
    source.ensure_namespace("demo")
    remote = east.export_labelled("web", endpoints=None, selector=APP)
    east.slice("web", "demo", [address(1), address(2)], suffix="by-hand")  # beside the controller's own
    east.endpoints("web", "demo", [{"addresses": ["fd00:201:7::1"], "zone": "z1", "conditions": {"ready": False, "serving": True, "terminating": True}}],
                   suffix="six", address_type="IPv6")
    east.link(source, gatewayAddress=None, gatewayPort=None, probeSpec=None)  # a flat network needs no gateway
    source.api.patch("links", "east", {"metadata": {"annotations": PODS}}, "linkerd-multicluster")
    one = agent()
    wait_until(lambda: ready(source) == [address(1), address(2)], 15, "the slices are here")
    wait_until(lambda: differences(source, [east]) == [], 5, "all of them")
    mirror = source.api.get("services", "web-east", "demo")
    assert whole(mirror) == service("web-east", "demo", of_cluster(), made_from(remote))
    six = source.api.get("endpointslices", "web-east.pods.web-six", "demo")
    assert whole(six) == {
        "metadata": {"name": "web-east.pods.web-six", "namespace": "demo",
                     "labels": of_cluster(**{"kubernetes.io/service-name": "web-east", "endpointslice.kubernetes.io/managed-by": "svcmirror"}),
                     "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": "web-east", "uid": mirror["metadata"]["uid"]}]},
        "addressType": "IPv6", "ports": [{"name": "http", "protocol": "TCP", "port": 5000}],
        "endpoints": [{"addresses": ["fd00:201:7::1"], "zone": "z1", "conditions": {"ready": False, "serving": True, "terminating": True}}]}

    # Pods come, one is unready, one goes: as Kubernetes says, slice by slice.
    for i in (11, 12):
        east.pod(f"web-{i}", "demo", address(i), APP)
    wait_until(lambda: ready(source) == [address(i) for i in (1, 11, 12, 2)], CONTROLLER_S, "scaled up")
    east.pod("web-12", "demo", address(12), APP, ready=False)
    wait_until(lambda: ready(source) == [address(i) for i in (1, 11, 2)], CONTROLLER_S, "one pod is not ready")
    assert any(address(12) in piece for piece in copies(source).values()), "and is told of"
    wait_until(lambda: differences(source, [east]) == [], 5, "all as it must be")
    before = len(slice_writes(source))
    east.slice("web", "demo", [address(1), address(3)], suffix="by-hand")
    wait_until(lambda: ready(source) == [address(i) for i in (1, 11, 3)], 1, "another pod")
    assert slice_writes(source)[before:] == [("update", "web-east.pods.web-by-hand")], "a rolling change rewrites its slice alone"
    east.kill_pod("web-11", "demo")
    wait_until(lambda: not any(address(11) in piece for piece in copies(source).values()), CONTROLLER_S, "scaled down")
    assert ready(source) == [address(1), address(3)]

    # The target's API server is away, and the agent begins anew.
    one.stop()
    before, seen = len(slice_writes(source)), copies(source)
    east.network.reject(east.host, 6443)
    one.start()
    wait_until(lambda: one.json("/api/v1/links")[0]["problem"], 15, "the target is away")
    assert copies(source) == seen and len(slice_writes(source)) == before
    east.network.heal()
    wait_until(lambda: [s["mirrored"] for s in one.services()] == [True], 45, "and back")
    assert copies(source) == seen and len(slice_writes(source)) == before, "nothing had changed"
    assert [(s["mode"], s["gateway"]) for s in one.services()] == [("pods", None)]


def test_from_the_gateway_to_pods_and_back_in_place(source, east, agent):
    """A service that Linkerd resolves, too; the Service stays, and at no moment is the mirror without a ready endpoint."""
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("web", endpoints=[address(1)])
    east.link(source, remoteDiscoverySelector={"matchLabels": {"mirror.linkerd.io/exported": "remote-discovery"}})
    agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 15, "through the gateway")
    uid = source.api.get("services", "web-east", "demo")["metadata"]["uid"]
    unready = []

    def becomes(addresses, why):
        def check():
            found = source.ready_addresses("web-east", "demo")
            unready.extend([why] if not found else [])
            return found == addresses
        wait_until(check, 10, why, 0.02)

    annotate = lambda value: east.api.patch("services", "web", {"metadata": {"annotations": {"svcmirror.io/endpoints": value}}}, "demo")
    annotate("pods")
    becomes([address(1)], "the pods")
    wait_until(lambda: differences(source, [east]) == [], 5, "all as it must be")
    east.api.patch("services", "web", {"metadata": {"labels": {"mirror.linkerd.io/exported": "remote-discovery"}}}, "demo")
    wait_until(lambda: differences(source, [east]) == [], 5, "for Linkerd by remote discovery, for others still the pods")
    becomes([address(1)], "the pods")
    east.api.patch("services", "web", {"metadata": {"labels": {"mirror.linkerd.io/exported": "true"}}}, "demo")
    annotate(None)
    becomes(east.gateway.addresses, "the gateway again")
    wait_until(lambda: differences(source, [east]) == [], 5, "all as it must be")
    assert unready == [] and source.api.get("services", "web-east", "demo")["metadata"]["uid"] == uid
    source.api.patch("links", "east", {"metadata": {"annotations": PODS}}, "linkerd-multicluster")
    becomes([address(1)], "all services of the Link")
    east.api.delete("services", "web", "demo")
    wait_until(lambda: source.slices("web-east", "demo") == [] and not source.api.find("services", "web-east", "demo"), 10, "all of it goes with the service")
