"""v1 Endpoints instead of EndpointSlices, for meshes and clusters that know nothing else."""
import pytest
from cluster.target import GATEWAY_IDENTITY
from cluster.wait import wait_until

MIRROR = "mirror.linkerd.io/"
FLAGS = ["--endpoints-api=endpoints"]


def ready(source, name, namespace="demo"):
    found = source.api.find("endpoints", name, namespace)
    return sorted(a["ip"] for s in (found or {}).get("subsets") or [] for a in s.get("addresses") or [])


def unready(source, name, namespace="demo"):
    found = source.api.find("endpoints", name, namespace)
    return sorted(a["ip"] for s in (found or {}).get("subsets") or [] for a in s.get("notReadyAddresses") or [])


def ours(source, name, namespace="demo"):
    return [s for s in source.slices(name, namespace) if s["metadata"]["labels"].get("endpointslice.kubernetes.io/managed-by") == "svcmirror"]


def test_endpoints_are_exactly_what_linkerd_2_8_makes(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    one = agent(flags=FLAGS)
    wait_until(lambda: ready(source, "web-east") == sorted(east.gateway.addresses), 10, "the mirror is ready")
    made = source.api.get("endpoints", "web-east", "demo")
    labels = {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east", MIRROR + "remote-gateway-name": "ambassador",
              MIRROR + "remote-gateway-ns": "ambassador"}
    assert {k: v for k, v in made["metadata"]["labels"].items() if k.startswith(MIRROR)} == labels
    assert made["metadata"]["annotations"] == {MIRROR + "remote-svc-fq-name": "web.demo.svc.cluster.local", MIRROR + "remote-gateway-identity": GATEWAY_IDENTITY}
    assert made["subsets"] == [{"addresses": [{"ip": a} for a in sorted(east.gateway.addresses)],
                                "ports": [{"name": "http", "port": 4143, "protocol": "TCP"}]}]
    assert ours(source, "web-east") == []
    # Kubernetes makes the slice that kube-proxy and today's meshes read.
    wait_until(lambda: source.ready_addresses("web-east", "demo") == sorted(east.gateway.addresses), 10, "mirrored by Kubernetes")
    east.gateway.stop()
    wait_until(lambda: unready(source, "web-east") == sorted(east.gateway.addresses) and ready(source, "web-east") == [], 3, "unready")
    east.gateway.start()
    wait_until(lambda: ready(source, "web-east") == sorted(east.gateway.addresses), 6, "ready again")
    # An edit by hand, and a deletion.
    source.api.patch("endpoints", "web-east", {"subsets": [{"addresses": [{"ip": "192.0.2.9"}]}]}, "demo")
    wait_until(lambda: ready(source, "web-east") == sorted(east.gateway.addresses), 5, "put right")
    source.api.delete("endpoints", "web-east", "demo")
    wait_until(lambda: ready(source, "web-east") == sorted(east.gateway.addresses), 5, "made again")
    # A restart writes nothing.
    before = len(source.writes("svcmirror"))
    one.restart()
    wait_until(lambda: all(s["mirrored"] for s in one.services()), 10, "all is right")
    assert [w for w in source.writes("svcmirror")[before:] if w["objectRef"]["resource"] != "events"] == []


def test_the_way_may_be_changed_and_back(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    slices = agent()
    wait_until(lambda: ours(source, "web-east"), 10, "slices")
    slices.stop()
    endpoints = agent(flags=FLAGS)
    wait_until(lambda: not ours(source, "web-east") and ready(source, "web-east"), 10, "Endpoints take their place")
    endpoints.stop()
    agent(flags=["--endpoints-api=endpointslice"])
    wait_until(lambda: ours(source, "web-east") and source.api.find("endpoints", "web-east", "demo") is None, 15, "slices take theirs")
    wait_until(lambda: source.ready_addresses("web-east", "demo") == sorted(east.gateway.addresses), 10, "and what Kubernetes made of the Endpoints goes")


@pytest.mark.usefixtures("link_crd")
def test_headless_and_empty_mirrors(source, east, agent):
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("idle", endpoints=())
    east.export_labelled("db", endpoints=(), clusterIP="None")
    east.api.create("endpointslices", {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "db-x", "namespace": "demo", "labels": {"kubernetes.io/service-name": "db"}},
        "endpoints": [{"addresses": ["10.201.1.10"], "hostname": "db-0", "conditions": {"ready": True}}],
        "ports": [{"name": "http", "port": 5000, "protocol": "TCP"}]})
    east.link(source)
    agent(flags=FLAGS)
    wait_until(lambda: ready(source, "db-0-east"), 10, "the hostname's mirror")
    address = source.api.get("services", "db-0-east", "demo")["spec"]["clusterIP"]
    wait_until(lambda: (source.api.find("endpoints", "db-east", "demo") or {}).get("subsets") == [
        {"addresses": [{"ip": address, "hostname": "db-0"}], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]}], 10, "the headless mirror")
    wait_until(lambda: source.api.find("endpoints", "idle-east", "demo"), 10, "Endpoints without addresses")
    assert source.api.get("endpoints", "idle-east", "demo").get("subsets") is None
