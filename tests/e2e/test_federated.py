"""Federated services: one name for the members in this cluster and in all targets."""
import time

import pytest
from cluster.api import write_file
from cluster.expected import DISCOVERY, MIRROR, link_status, service, status_entry, whole
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

pytestmark = pytest.mark.usefixtures("link_crd")
MEMBER = {"mirror.linkerd.io/federated": "member"}
GRPC = [{"name": "grpc", "protocol": "TCP", "port": 81, "targetPort": 5001}]


@pytest.fixture
def links(source, east, north):
    """Both targets, linked without a gateway; east's Link is the older one, or at least comes first by name."""
    source.ensure_namespace("demo")
    for target in (east, north):
        target.link_gen(source, gateway=False)


def member(cluster, labels=None, **more):
    return cluster.service("web", labels={**MEMBER, "of": cluster.name, **(labels or {})}, **more)


def federated(of, remote=(), local=False, ports=None, **annotations):
    """The Service as it looks when `of` tells its labels, with these members."""
    members = {DISCOVERY + "remote-discovery": ",".join(f"web@{c}" for c in remote), DISCOVERY + "local-discovery": "web" if local else ""}
    labels = {MIRROR + "mirrored-service": "true", "of": of}
    return service("web-federated", "demo", labels, {**{k: v for k, v in members.items() if v}, **annotations}, ports)


def is_now(source, *wanted, **more):
    """Waits until the Service is that, or is not there."""
    want = federated(*wanted, **more) if wanted else None
    def check():
        there = source.api.find("services", "web-federated", "demo")
        assert (whole(there) if there else None) == want
        return True
    wait_until(check, 5, f"{wanted} {more}")


def test_members_join_and_leave_in_any_order(source, east, north, agent, links):
    agent()
    # The remote ones first, the younger link's before the older one's: metadata is that of the older one once it is there, then the local one's.
    in_north = member(north, annotations={"example.com/note": "n", MIRROR + "stray": "x"}, ports=GRPC)
    is_now(source, "north", ["north"], ports=GRPC, **{"example.com/note": "n"})
    uid = source.api.get("services", "web-federated", "demo")["metadata"]["uid"]
    in_east = member(east, annotations={"config.linkerd.io/opaque-ports": "80", "kubectl.kubernetes.io/last-applied-configuration": "{}"})
    is_now(source, "east", ["east", "north"], **{"config.linkerd.io/opaque-ports": "80"})
    member(source, ports=GRPC)
    is_now(source, "source", ["east", "north"], local=True, ports=GRPC)
    for name, remote in (("east", in_east), ("north", in_north)):
        wait_until(lambda: link_status(source, name) == {"federatedServices": [status_entry(remote, "web-federated")]}, 5, f"{name}'s status")
    assert source.slices("web-federated", "demo") == []
    # They leave by label and by deletion.
    north.api.patch("services", "web", {"metadata": {"labels": {"mirror.linkerd.io/federated": None}}}, "demo")
    is_now(source, "source", ["east"], local=True, ports=GRPC)
    wait_until(lambda: link_status(source, "north") == {"federatedServices": []}, 5, "not told of any more")
    source.api.delete("services", "web", "demo")
    is_now(source, "east", ["east"], **{"config.linkerd.io/opaque-ports": "80"})
    member(source)
    north.api.patch("services", "web", {"metadata": {"labels": MEMBER}}, "demo")
    is_now(source, "source", ["east", "north"], local=True)
    east.api.delete("services", "web", "demo")
    north.api.delete("services", "web", "demo")
    is_now(source, "source", local=True)
    assert source.api.get("services", "web-federated", "demo")["metadata"]["uid"] == uid, "one Service all the time"
    # Changes of the member that tells are followed, of the others not.
    member(north, labels={"kind": "other"})
    source.api.patch("services", "web", {"metadata": {"annotations": {"a": "b"}}, "spec": {"ports": GRPC}}, "demo")
    is_now(source, "source", ["north"], local=True, ports=GRPC, a="b")
    # What people change is put right.
    source.api.patch("services", "web-federated", {"metadata": {"annotations": {DISCOVERY + "remote-discovery": "web@nowhere", "c": "d"}}}, "demo")
    is_now(source, "source", ["north"], local=True, ports=GRPC, a="b")
    source.api.delete("services", "web-federated", "demo")
    is_now(source, "source", ["north"], local=True, ports=GRPC, a="b")
    # A Link that is made again is the younger one now: north's member tells.
    source.api.delete("services", "web", "demo")
    member(east)
    wait_until(lambda: source.api.get("services", "web-federated", "demo")["metadata"]["labels"]["of"] == "east", 5, "east's tells")
    source.api.delete("links", "east", AGENT_NAMESPACE)
    wait_until(lambda: source.api.get("services", "web-federated", "demo")["metadata"]["annotations"] == {DISCOVERY + "remote-discovery": "web@north"}, 5, "left")
    east.link_gen(source, gateway=False)
    wait_until(lambda: whole(source.api.get("services", "web-federated", "demo"))["metadata"] == {
        **federated("north", ["east", "north"])["metadata"], "labels": {MIRROR + "mirrored-service": "true", "of": "north", "kind": "other"}}, 5, "the older link's")
    # A Link that goes takes its member along; the last member takes the Service along.
    source.api.delete("links", "north", AGENT_NAMESPACE)
    is_now(source, "east", ["east"])
    source.api.delete("links", "east", AGENT_NAMESPACE)
    is_now(source)


def test_while_no_agent_runs_and_while_a_target_is_out_of_reach(source, east, north, agent, links):
    for cluster in (source, east, north):
        member(cluster)
    first = agent()
    is_now(source, "source", ["east", "north"], local=True)
    wait_until(lambda: all(link_status(source, n).get("federatedServices") for n in ("east", "north")), 5, "told")
    first.stop()
    # Nothing happened meanwhile: nothing is written, though one target answers late.
    before = source.api.get("services", "web-federated", "demo")["metadata"]["resourceVersion"]
    east.network.reject(east.host, 6443)
    second = agent()
    wait_until(lambda: any(l["problem"] for l in second.json("/api/v1/links") if l["clusterName"] == "east"), 15, "east is out of reach")
    assert source.api.get("services", "web-federated", "demo")["metadata"]["resourceVersion"] == before
    # The others come and go meanwhile; what is there of labels and ports stays until all is known.
    north.api.delete("services", "web", "demo")
    is_now(source, "source", ["east"], local=True)
    second.stop()
    east.network.heal()
    # Members that left while no agent ran.
    east.api.delete("services", "web", "demo")
    third = agent()
    is_now(source, "source", local=True)
    wait_until(lambda: link_status(source, "east") == {"federatedServices": []}, 5, "nor told of")
    third.stop()
    source.api.delete("services", "web", "demo")
    member(east)
    fourth = agent()
    is_now(source, "east", ["east"])
    fourth.stop()
    for name in ("east", "north"):
        source.api.delete("links", name, AGENT_NAMESPACE)
    agent()
    is_now(source)


def test_members_that_cannot_join(source, east, north, agent, links):
    """A user's Service of the name, a missing namespace, headless and mirrored services: each is told in the status of each Link."""
    mine = source.service("web-federated")
    in_east, in_north = member(east), member(north)
    db = east.service("db", labels=MEMBER, clusterIP="None")
    north.service("db", labels=MEMBER)
    again = east.service("again", labels={**MEMBER, MIRROR + "mirrored-service": "true"})
    lost = {t.name: t.service("lost", "not-here", labels=MEMBER) for t in (east, north)}
    agent()
    collision = "Service demo/web-federated exists and is not a federated service: rename or remove it"
    missing = {n: status_entry(lost[n], None, "MissingNamespace", "Namespace does not exist") for n in lost}
    refused = status_entry(db, None, "InvalidService", "Headless service cannot join federated service")
    mirrored = status_entry(again, None, "InvalidService", "the exported service is itself a mirror: export the original from its own cluster")
    for remote, more in ((in_east, [mirrored, refused]), (in_north, [None])):
        name = remote["metadata"]["labels"]["of"]
        taken = status_entry(remote, None, "NameCollision", collision)
        def told():
            entries = link_status(source, name)["federatedServices"]
            assert [e for e in entries if e["remoteRef"]["name"] in ("web", "lost")] == [taken, missing[name]]
            return more == [None] or [e for e in entries if e["remoteRef"]["name"] not in ("web", "lost")] == more
        wait_until(told, 5, f"{name}'s status")
    wait_until(lambda: source.api.get("services", "db-federated", "demo")["metadata"]["annotations"][DISCOVERY + "remote-discovery"] == "db@north", 5, "who can")
    assert source.api.get("services", "web-federated", "demo")["metadata"]["resourceVersion"] == mine["metadata"]["resourceVersion"]
    source.api.delete("services", "web-federated", "demo")
    wait_until(lambda: source.api.find("services", "web-federated", "demo"), 20, "the name is free")
    is_now(source, "east", ["east", "north"])
    source.ensure_namespace("not-here")
    wait_until(lambda: source.api.find("services", "lost-federated", "not-here"), 5, "the namespace is there")
    wait_until(lambda: link_status(source, "north")["federatedServices"][-1] == status_entry(lost["north"], "lost-federated"), 5, "told")
    source.api.delete("namespaces", "not-here")
    for target in (east, north):
        target.api.delete("services", "lost", "not-here")


def test_a_drained_link_and_another_selector(source, east, north, agent, links):
    for cluster in (source, east, north):
        member(cluster)
    one = agent(flags=["--federated-service-selector="])
    is_now(source, "east", ["east", "north"])  # no local members
    one.stop()
    agent(flags=["--federated-service-selector=of in (source, other)"])
    is_now(source, "source", ["east", "north"], local=True)
    source.api.patch("links", "east", {"metadata": {"annotations": {"svcmirror.io/drain": "true"}}}, AGENT_NAMESPACE)
    is_now(source, "source", ["north"], local=True)
    source.api.patch("links", "east", {"metadata": {"annotations": {"svcmirror.io/drain": None}}}, AGENT_NAMESPACE)
    is_now(source, "source", ["east", "north"], local=True)
    source.api.patch("links", "north", {"spec": {"federatedServiceSelector": {"matchLabels": {"mirror.linkerd.io/federated": "other"}}}}, AGENT_NAMESPACE)
    is_now(source, "source", ["east"], local=True)


def test_a_refused_write_is_told_to_every_member(source, east, north, agent, links):
    remotes = [member(east), member(north)]
    read = {"apiGroups": ["", "discovery.k8s.io", "multicluster.linkerd.io"], "verbs": ["get", "list", "watch"],
            "resources": ["services", "endpointslices", "namespaces", "secrets", "links"]}
    tell = {"apiGroups": ["events.k8s.io", "multicluster.linkerd.io"], "verbs": ["create", "patch"], "resources": ["events", "links/status"]}
    lead = {"apiGroups": ["coordination.k8s.io"], "verbs": ["get", "list", "watch", "create", "patch", "delete"], "resources": ["leases"]}
    one = agent(kubeconfig=write_file(source.token_kubeconfig(source.service_account("reads-only", [read, tell, lead]))))
    for remote in remotes:
        name = remote["metadata"]["labels"]["of"]

        def told():
            [entry] = link_status(source, name)["federatedServices"]
            return entry == status_entry(remote, None, "Error", entry["conditions"][0]["message"]) and "403 Forbidden" in entry["conditions"][0]["message"]
        wait_until(told, 5, f"{name}'s status")
    one.stop()
    agent()
    is_now(source, "east", ["east", "north"])


@pytest.mark.parametrize("only", ["east", "north"])
def test_an_agent_for_one_link_beside_one_for_all(source, east, north, agent, links, only):
    """Each link has one writer, and that for all hands nothing to one that would not take it."""
    whole = agent()
    wait_until(lambda: [link["held"] for link in whole.json("/api/v1/links")] == [True, True], 10, "the first holds both")
    single = agent(flags=["--only-link", only], address="127.0.0.1:9998")
    time.sleep(15)  # no event tells that nothing is shared: it was settled after some seconds, and given back after two to four more
    assert whole.logs("lease_handed_over") == []
    assert [link["held"] for link in whole.json("/api/v1/links")] == [True, True]
    whole.stop()
    wait_until(lambda: [link["held"] for link in single.json("/api/v1/links")] == [True], 10, "its own it takes over")


def test_an_agent_for_each_link_and_one_for_local_members(source, east, north, agent, links):
    """As Linkerd runs its controllers: together they make what one agent makes, none undoes what another did, and each cleans up its own."""
    for cluster in (east, north, source):
        member(cluster, {"of": "all"})
    flags = {9999: ["--only-link", "east"], 9998: ["--only-link", "north"], 9997: ["--local-mirror"]}
    agents = [agent(flags=flags[port], address=f"127.0.0.1:{port}") for port in flags]
    is_now(source, "all", ["east", "north"], local=True)
    assert [[link["name"] for link in one.json("/api/v1/links")] for one in agents] == [["east"], ["north"], []]
    wait_until(lambda: [[s["clusterName"] for s in one.services() if s["mirrored"]] for one in agents] == [["east"], ["north"], [None]], 5, "each knows its own member")
    version = source.api.get("services", "web-federated", "demo")["metadata"]["resourceVersion"]
    east.service("other", labels=MEMBER)
    wait_until(lambda: source.api.find("services", "other-federated", "demo"), 5, "the agent of east goes on")
    assert source.api.get("services", "web-federated", "demo")["metadata"]["resourceVersion"] == version, "and nobody undoes anything"
    north.api.delete("services", "web", "demo")
    is_now(source, "all", ["east"], local=True)
    source.api.delete("services", "web", "demo")
    is_now(source, "all", ["east"])
    source.api.delete("links", "east", AGENT_NAMESPACE)
    is_now(source)
