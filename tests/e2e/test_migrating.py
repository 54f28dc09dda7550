"""From 2.8's links to today's, and from svcmirror back to Linkerd, without an unready moment. The way from Linkerd is in test_adoption.py."""
import pytest
from cluster import leases
from cluster.expected import DISCOVERY, MIRROR
from cluster.linkerd import Controller, adopted
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

TO_ENDPOINTS = ["--endpoints-api=endpoints"]
OURS = "endpointslice.kubernetes.io/managed-by=svcmirror"


def version(cluster):
    return cluster.api.call("GET", cluster.api.path("services"))["metadata"]["resourceVersion"]


def identities(source, namespace="demo"):
    return {s["metadata"]["name"]: (s["metadata"]["uid"], s["spec"]["clusterIP"]) for s in source.api.list("services", namespace)}


def rests(agent):
    metrics = agent.metrics()
    return metrics["svcmirror_queue_depth"] == metrics["svcmirror_writes_in_flight"] == 0


def go_over_to_endpoints(source, agent, before, names):
    """All of it, as docs/migrating.md tells: @return the agent that writes Endpoints, and the version from which there must be no gap."""
    wait_until(lambda: all(source.ready_addresses(name, "demo") for name in names), 15, "mirrored with slices")
    began = version(source)
    before.stop()
    # What Kubernetes makes of Endpoints comes when it comes.
    source.kube_controller_manager.freeze()
    after = agent(flags=TO_ENDPOINTS)
    wait_until(lambda: all(source.api.find("endpoints", name, "demo") for name in names), 10, "Endpoints")
    wait_until(lambda: rests(after), 10, "nothing more to write meanwhile")
    source.kube_controller_manager.thaw()
    wait_until(lambda: source.api.list("endpointslices", labels=OURS) == [], 20, "no slice of ours is left")
    wait_until(lambda: all(s["mirrored"] for s in after.services()), 5, "told as mirrored")
    return after, began


@pytest.mark.usefixtures("link_crd")
def test_back_to_todays_linkerd_and_over_again(source, east, agent):
    source.ensure_namespace("demo")
    east.gateway.start()
    for name, endpoints in (("web", [{"ip": "10.201.1.10"}]), ("db", [{"ip": "10.201.1.11", "hostname": "db-0"}])):
        east.service(name, labels={MIRROR + "exported": "true"}, **({"clusterIP": "None"} if name == "db" else {}))
        east.api.create("endpoints", {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name, "namespace": "demo"}, "subsets": [
            {"addresses": endpoints, "ports": [{"name": "http", "port": 5000, "protocol": "TCP"}]}]})
    east.service("flat", labels={MIRROR + "exported": "remote-discovery"})
    east.service("all", labels={MIRROR + "federated": "member"})
    east.link_gen(source)
    names = ["web-east", "db-east", "db-0-east"]
    ours, began = go_over_to_endpoints(source, agent, agent(), names)
    there = identities(source)
    assert set(there) == {*names, "flat-east", "all-federated"}
    ours.stop()
    # The Service by which Linkerd's chart probes has the name of our gateway's mirror, whose labels would make it an orphan.
    source.api.delete("services", "probe-east", AGENT_NAMESPACE)
    theirs = Controller(source, east)
    assert theirs.start() == [], "it finds nothing to make, to change or to remove"
    assert identities(source) == there
    assert {name: source.gaps(name, "demo", began) for name in names} == dict.fromkeys(names, 0)
    assert source.api.get("services", "all-federated", "demo")["metadata"]["annotations"][DISCOVERY + "remote-discovery"] == "all@east"
    # What clients see follows Linkerd's verdict from now on, and nothing of ours stands beside it.
    theirs.set_alive(False)
    wait_until(lambda: source.ready_addresses("web-east", "demo") == source.ready_addresses("db-0-east", "demo") == [], 10, "unready")
    theirs.set_alive(True)
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "ready again")
    # While it holds the Lease an agent beside it writes nothing.
    written = len(leases.mirror_writes(source))
    beside = agent(ready=False)
    wait_until(lambda: beside.get("/ready")[0] == 200, 20, "all is read")
    assert [link["holder"] for link in beside.json("/api/v1/links")] == ["controller-east"]
    assert leases.mirror_writes(source)[written:] == []
    # It ends, and the agent takes the mirrors over at once.
    began = version(source)
    theirs.stop()
    wait_until(lambda: all(adopted(source, name) for name in names), 10, "slices again")
    wait_until(lambda: all(s["mirrored"] for s in beside.services()), 5, "told as mirrored")
    assert {name: source.gaps(name, "demo", began) for name in names} == dict.fromkeys(names, 0)
    assert identities(source) == there


def test_back_to_2_8(source, east, agent):
    """2.8 leaves alone what has the versions that it reads in the target; its registration writes nothing else."""
    source.ensure_namespace("demo")
    east.gateway.start()
    gateway, web = east.gateway_service(), east.export("web")
    east.link_secret(source)
    ours, began = go_over_to_endpoints(source, agent, agent(), ["web-east"])
    ours.stop()
    assert source.gaps("web-east", "demo", began) == 0
    notes = source.api.get("services", "web-east", "demo")["metadata"]["annotations"]
    assert notes[MIRROR + "remote-resource-version"] == web["metadata"]["resourceVersion"]
    assert notes[MIRROR + "remote-gateway-resource-version"] == gateway["metadata"]["resourceVersion"]
    assert [s["addresses"] for s in source.api.get("endpoints", "web-east", "demo")["subsets"]] == [[{"ip": a} for a in east.gateway.addresses]]
    assert source.api.find("endpoints", "ambassador-east", AGENT_NAMESPACE) is not None


@pytest.mark.usefixtures("link_crd")
def test_from_a_secret_to_a_link(source, east, agent):
    """By the commands of docs/migrating.md; the mirror stays the same Service."""
    source.ensure_namespace("demo")
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.slice("web", "demo", ["10.201.1.10"])
    east.link_secret(source)
    one = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 15, "mirrored by the Secret")
    there, began = identities(source), version(source)
    for argv in (("export", "web", "-n", "demo", "--kubeconfig", east.admin_kubeconfig),
                 ("link", "--kubeconfig", source.admin_kubeconfig, "--target-kubeconfig", east.admin_kubeconfig, "--cluster-name", "east", "--force-conflicts")):
        result = one.command(*argv)
        assert result.returncode == 0, result.stderr
    by_link = {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east"}
    wait_until(lambda: source.api.get("services", "web-east", "demo")["metadata"]["labels"] == by_link, 15, "mirrored by the Link")
    wait_until(lambda: all(s["mirrored"] for s in one.services()), 5, "told as mirrored")
    assert [(link["kind"], link["refused"]) for link in one.json("/api/v1/links")] == [("Link", False)], "the Secret is the Link's credentials now"
    assert source.gaps("web-east", "demo", began, at_least=2) == 0
    assert identities(source) == there
    for resource, name in (("serviceaccounts", "svcmirror-remote"), ("secrets", "svcmirror-remote-token"), ("clusterroles", "svcmirror-remote"),
                           ("clusterrolebindings", "svcmirror-remote"), ("roles", "svcmirror-remote"), ("rolebindings", "svcmirror-remote")):
        east.api.delete(resource, name, AGENT_NAMESPACE)
    for resource in ("roles", "rolebindings"):
        source.api.delete(resource, "svcmirror-renew-east", AGENT_NAMESPACE)
