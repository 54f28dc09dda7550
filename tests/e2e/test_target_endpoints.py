"""A mirror is ready while its service has a ready endpoint in the target, whoever wrote the endpoints, and however."""
import pytest
from cluster.wait import wait_until

pytestmark = pytest.mark.usefixtures("link_crd")
IPV6 = [{"addresses": ["fd00:201:1::10"], "conditions": {"ready": True}}]


def becomes(source, east, ready, why, name="web-east"):
    wait_until(lambda: source.ready_addresses(name, "demo") == (east.gateway.addresses if ready else []), 1, why)


def test_slices_by_hand_in_every_way(source, east, agent):
    """A service without a selector; several slices, both families, conditions that are not told."""
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("web", endpoints=None)
    east.link(source)
    agent()
    wait_until(lambda: source.slices("web-east", "demo"), 10, "mirrored")
    becomes(source, east, False, "without a slice")
    east.slice("web", "demo", ["10.201.1.10"])
    becomes(source, east, True, "one ready endpoint")
    east.slice("web", "demo", ["10.201.1.10", "10.201.1.11"], ready=False)
    becomes(source, east, False, "none is ready")
    east.endpoints("web", "demo", IPV6, suffix="six", address_type="IPv6")
    becomes(source, east, True, "one of IPv6 is")
    east.slice("web", "demo", ["10.201.1.12"], suffix="b")
    east.api.delete("endpointslices", "web-six", "demo")
    becomes(source, east, True, "and one of another slice")
    east.api.patch("endpointslices", "web-b", {"endpoints": []}, "demo")
    becomes(source, east, False, "all slices are there, none with a ready endpoint")
    east.endpoints("web", "demo", [{"addresses": ["10.201.1.13"]}], suffix="b")
    becomes(source, east, True, "readiness that is not told means ready")
    east.endpoints("web", "demo", [{"addresses": ["10.201.1.13"], "conditions": {"ready": False, "serving": True, "terminating": True}}], suffix="b")
    becomes(source, east, False, "serving, but on its way out")
    # A slice is another service's when its label says so.
    east.slice("web", "demo", ["10.201.1.14"], suffix="b")
    becomes(source, east, True, "ready")
    east.api.patch("endpointslices", "web-b", {"metadata": {"labels": {"kubernetes.io/service-name": "other"}}}, "demo")
    becomes(source, east, False, "not its slice any more")
    east.export_labelled("other", endpoints=None)
    wait_until(lambda: source.ready_addresses("other-east", "demo") == east.gateway.addresses, 5, "but the other one's")
    for suffix in ("a", "b"):
        east.api.delete("endpointslices", f"web-{suffix}", "demo")
    becomes(source, east, False, "no slices", "other-east")


def test_endpoints_of_the_first_version_and_pods(source, east, agent):
    """Kubernetes makes slices of v1 Endpoints and of pods; its controllers take about a second of their own."""
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("old", endpoints=None)
    east.export_labelled("pods", endpoints=None, selector={"app": "pods"})
    east.link(source)
    agent()
    wait_until(lambda: source.slices("old-east", "demo") and source.slices("pods-east", "demo"), 10, "mirrored")

    def follows(name, ready):
        wait_until(lambda: bool(east.ready_addresses(name, "demo")) == ready, 15, f"Kubernetes made {name}'s slice")
        becomes(source, east, ready, f"{name} follows", f"{name}-east")

    subsets = lambda kind: {"subsets": [{kind: [{"ip": "10.201.1.10"}], "ports": [{"name": "http", "port": 5000, "protocol": "TCP"}]}]}
    east.api.create("endpoints", {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "old", "namespace": "demo"}, **subsets("addresses")})
    east.pod("pods-0", "demo", "10.201.1.11", {"app": "pods"})
    follows("old", True)
    follows("pods", True)
    east.api.patch("endpoints", "old", subsets("notReadyAddresses"), "demo")
    east.pod("pods-0", "demo", "10.201.1.11", {"app": "pods"}, ready=False)
    follows("old", False)
    follows("pods", False)
    east.api.patch("endpoints", "old", subsets("addresses"), "demo")
    follows("old", True)
    east.api.delete("endpoints", "old", "demo")
    follows("old", False)
