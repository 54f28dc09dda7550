"""Flat networks: mirrors without endpoints, which Linkerd's control plane resolves in the target."""
import pytest
from cluster.expected import DISCOVERY, link_status, made_from, of_cluster, piece, service, status_entry, whole
from cluster.wait import wait_until

pytestmark = pytest.mark.usefixtures("link_crd")
MODE = "mirror.linkerd.io/exported"


def found(source, name, namespace="demo"):
    return wait_until(lambda: source.api.find("services", name, namespace), 10, f"{name} is there")


def discovery_labels(name, **more):
    return of_cluster(**{DISCOVERY + "remote-discovery": "east", DISCOVERY + "remote-service": name}, **more)


def test_the_mirror_is_exactly_what_linkerd_makes(source, east, agent):
    """With a Link that has no gateway at all, as link-gen --gateway=false writes it: gateway mode is off, nothing is probed, nothing is wrong."""
    source.ensure_namespace("demo")
    remote = east.service("web", labels={MODE: "remote-discovery", "app": "web"}, annotations={
        "config.linkerd.io/opaque-ports": "3306", "example.com/note": "kept", "kubectl.kubernetes.io/last-applied-configuration": "{}"}, ports=[
            {"name": "http", "port": 80, "targetPort": "named", "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}, {"name": "dns", "port": 53, "protocol": "UDP"}])
    headless = east.service("db", labels={MODE: "remote-discovery"}, clusterIP="None")
    east.service("gateway-only", labels={MODE: "true"})
    east.slice("web", "demo", ["10.201.1.10"])
    east.host_slice("db", "demo", {"db-0": True})
    east.link_gen(source, gateway=False)
    one = agent()
    wait_until(lambda: link_status(source, "east").get("mirrorServices") == [status_entry(headless, "db-east"), status_entry(remote, "web-east")], 10, "the status")
    assert whole(source.api.get("services", "web-east", "demo")) == service(
        "web-east", "demo", discovery_labels("web", app="web"),
        made_from(remote, **{"config.linkerd.io/opaque-ports": "3306", "example.com/note": "kept"}), [
            {"name": "http", "port": 80, "targetPort": "named", "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"},
            {"name": "dns", "port": 53, "targetPort": 53, "protocol": "UDP"}])
    assert whole(source.api.get("services", "db-east", "demo")) == service("db-east", "demo", discovery_labels("db"), made_from(headless))
    names = [s["metadata"]["name"] for s in source.api.list("services", labels="mirror.linkerd.io/mirrored-service=true")]
    assert sorted(names) == ["db-east", "web-east"], "no mirrors of hostnames, none of a gateway"
    assert source.slices("web-east", "demo") == [] and source.slices("db-east", "demo") == []
    assert [s["mode"] for s in one.services()] == ["remote-discovery", "remote-discovery"]
    assert not one.logs("gateway_unusable") and all(e["type"] == "Normal" for e in source.api.list("events", "linkerd-multicluster"))


def test_relabelled_from_one_mode_to_the_other_and_back(source, east, agent):
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("web")
    # Whoever matches both selectors is resolved in the target.
    east.link(source, selector={"matchExpressions": [{"key": MODE, "operator": "Exists"}]},
              remoteDiscoverySelector={"matchLabels": {MODE: "remote-discovery"}})
    agent()
    ready = [{"addresses": [a], "conditions": {"ready": True}} for a in east.gateway.addresses]
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "through the gateway")
    before = source.api.get("services", "web-east", "demo")
    for mode in ("remote-discovery", "true", "remote-discovery", "true"):
        remote = east.api.patch("services", "web", {"metadata": {"labels": {MODE: mode}}}, "demo")
        labels = discovery_labels("web") if mode == "remote-discovery" else of_cluster()
        pieces = [] if mode == "remote-discovery" else [piece(before, "web.demo.svc.cluster.local", ready, labels=labels)]
        wait_until(lambda: whole(source.api.get("services", "web-east", "demo")) == service("web-east", "demo", labels, made_from(remote)), 5, mode)
        wait_until(lambda: [whole(s) for s in source.slices("web-east", "demo")] == pieces, 5, f"{mode}: its slices")
        wait_until(lambda: link_status(source, "east")["mirrorServices"] == [status_entry(remote, "web-east")], 5, f"{mode}: the status")
    after = source.api.get("services", "web-east", "demo")
    assert (after["metadata"]["uid"], after["spec"]["clusterIP"]) == (before["metadata"]["uid"], before["spec"]["clusterIP"])
    east.api.patch("services", "web", {"metadata": {"labels": {MODE: "remote-discovery"}}}, "demo")
    wait_until(lambda: source.slices("web-east", "demo") == [], 5, "flat again")
    east.api.patch("services", "web", {"metadata": {"labels": {MODE: None}}}, "demo")
    wait_until(lambda: source.api.find("services", "web-east", "demo") is None, 5, "exported no longer")
    wait_until(lambda: link_status(source, "east")["mirrorServices"] == [], 5, "nor told of")
