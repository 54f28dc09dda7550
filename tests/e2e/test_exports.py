"""Finer exports by annotations of the exported service, and draining."""
import pytest
from cluster.expected import HTTP, MIRROR, link_status, made_from, of_cluster, piece, service, status_entry, whole
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

OURS = "svcmirror.io/"
THREE = HTTP + [{"name": "tls", "protocol": "TCP", "port": 443, "targetPort": 5443}, {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 53}]


def mirrors(source):
    return sorted(f"{s['metadata']['namespace']}/{s['metadata']['name']}" for s in source.api.list("services", labels=MIRROR + "mirrored-service=true")
                  if MIRROR + "mirrored-gateway" not in s["metadata"]["labels"])


def annotate(cluster, name, **annotations):
    return cluster.api.patch("services", name, {"metadata": {"annotations": {OURS + k.replace("_", "-"): v for k, v in annotations.items()}}}, "demo")


@pytest.mark.usefixtures("link_crd")
def test_ports_names_and_namespaces(source, east, agent):
    source.ensure_namespace("demo")
    source.ensure_namespace("elsewhere")
    east.gateway.start()
    remote = east.export_labelled("web", ports=THREE, annotations={
        OURS + "export-ports": "http, 53", OURS + "export-name": "checkout", OURS + "export-namespace": "elsewhere"})
    flat = east.service("flat", ports=THREE, labels={"mirror.linkerd.io/exported": "remote-discovery"}, annotations={OURS + "export-ports": "443"})
    east.link_gen(source)
    one = agent(flags=["--allowed-namespaces", "elsewhere,exports-*"])
    ready = [{"addresses": east.gateway.addresses, "conditions": {"ready": True}}]

    def is_mirrored(name, namespace, ports, of="web"):
        """Exactly so, by that name, and by no other."""
        def check():
            there = source.api.find("services", name, namespace)
            assert there and whole(there) == service(name, namespace, of_cluster(), made_from(remote), ports)
            assert [whole(s) for s in source.slices(name, namespace)] == [piece(there, f"{of}.demo.svc.cluster.local", ready, ports=[
                {"name": p["name"], "protocol": p["protocol"], "port": 4143} for p in ports])]
            return [m for m in mirrors(source) if not m.startswith("demo/flat")] == [f"{namespace}/{name}"]
        wait_until(check, 5, f"{namespace}/{name}")

    is_mirrored("checkout", "elsewhere", [THREE[0], THREE[2]])
    wait_until(lambda: source.api.get("services", "flat-east", "demo")["spec"]["ports"] == [THREE[1]], 5, "by remote discovery too")
    wait_until(lambda: link_status(source, "east")["mirrorServices"] == [
        status_entry(flat, "flat-east"), status_entry(remote, "checkout", namespace="elsewhere")], 5, "the status")
    remote = annotate(east, "web", export_name=None)
    is_mirrored("web-east", "elsewhere", [THREE[0], THREE[2]])
    remote = annotate(east, "web", export_namespace=None, export_ports="tls")
    is_mirrored("web-east", "demo", [THREE[1]])
    remote = annotate(east, "web", export_ports=None)
    is_mirrored("web-east", "demo", THREE)

    # What cannot be is told; the mirror that is there does not become something else by mistake.
    def told(reason, words):
        [entry] = [s for s in one.services() if s["name"] == "web"]
        assert (entry["mirrored"], entry["reason"]) == (False, reason)
        return all(w in entry["message"] for w in words)
    for ports, words in (("http,nope", ['"nope"', "no port of the service"]), (" , ", ["names no port"]), ("70000", ['"70000"'])):
        annotate(east, "web", export_ports=ports)
        wait_until(lambda: told("InvalidService", words), 5, f"ports {ports!r}")
    annotate(east, "web", export_ports=None, export_name="Not_A_Name")
    wait_until(lambda: told("InvalidService", ["Not_A_Name", "is not a valid"]), 5, "a bad name")
    annotate(east, "web", export_name=None, export_namespace="Not/Me")
    wait_until(lambda: told("InvalidService", ["svcmirror.io/export-namespace", "Not/Me", "is not a name of a namespace"]), 5, "a bad namespace")
    # A namespace that is not there yet.
    remote = annotate(east, "web", export_namespace="exports-later")
    wait_until(lambda: told("MissingNamespace", ["does not exist"]), 5, "a missing namespace")
    wait_until(lambda: link_status(source, "east")["mirrorServices"][1] == status_entry(remote, None, "MissingNamespace", "Namespace does not exist"), 5, "in the status")
    source.ensure_namespace("exports-later")
    is_mirrored("web-east", "exports-later", THREE)
    # Two exports of one name: one has it, and the other one once it is free.
    remote = annotate(east, "web", export_namespace=None, export_name="shop")
    is_mirrored("shop", "demo", THREE)
    other = east.export_labelled("zeta", annotations={OURS + "export-name": "shop"})
    wait_until(lambda: status_entry(other, None, "NameCollision", "Service demo/shop mirrors demo/web of the same link") in link_status(source, "east")["mirrorServices"],
               5, "the collision is told")
    is_mirrored("shop", "demo", THREE)
    east.api.delete("services", "web", "demo")
    wait_until(lambda: source.api.get("services", "shop", "demo")["metadata"]["annotations"] == made_from(other), 5, "the other one's turn")
    wait_until(lambda: link_status(source, "east")["mirrorServices"] == [status_entry(flat, "flat-east"), status_entry(other, "shop")], 5, "told")
    # A user's Service of that name is never touched.
    mine = source.service("mine")
    remote = annotate(east, "zeta", export_name="mine")
    wait_until(lambda: any(s["mirror"] == "demo/mine" and s["reason"] == "NameCollision" for s in one.services()), 5, "taken by a user")
    wait_until(lambda: mirrors(source) == ["demo/flat-east"], 5, "the old name is given up")
    assert source.api.get("services", "mine", "demo")["metadata"]["resourceVersion"] == mine["metadata"]["resourceVersion"]
    remote = annotate(east, "zeta", export_name="yours")
    is_mirrored("yours", "demo", HTTP, "zeta")
    source.api.delete("namespaces", "exports-later")


def test_exported_to_named_clusters_only(source, east, agent):
    """By 2.8's Secret as well. Without a name the agent is none of those named."""
    east.gateway.start()
    east.gateway_service()
    for name, to in (("all", None), ("west", "west,north"), ("south", "south"), ("wes", "wes")):
        east.export(name, annotations={OURS + "export-to": to} if to else {})
    east.link_secret(source)
    one = agent()
    wait_until(lambda: source.ready_addresses("all-east", "demo"), 10, "the one for all")
    wait_until(lambda: all(s["mirrored"] for s in one.services()), 5, "settled")
    assert mirrors(source) == ["demo/all-east"] and [s["name"] for s in one.services()] == ["all"]
    one.stop()
    agent(flags=["--cluster-name=west"])
    wait_until(lambda: mirrors(source) == ["demo/all-east", "demo/west-east"], 10, "its own")
    annotate(east, "south", export_to=" south , west ")
    annotate(east, "west", export_to="north")
    wait_until(lambda: mirrors(source) == ["demo/all-east", "demo/south-east"], 5, "changes are followed")
    annotate(east, "all", export_to="")
    wait_until(lambda: mirrors(source) == ["demo/south-east"], 5, "to no cluster")


@pytest.mark.parametrize("on", ["Link", "Secret", "gateway Service"])
def test_draining_and_back(source, east, agent, on, request):
    east.gateway.start()
    if on == "Link":
        request.getfixturevalue("link_crd")
        source.ensure_namespace("demo")
        east.export_labelled("web")
        east.export_labelled("db", endpoints=None, clusterIP="None")
        east.host_slice("db", "demo", {"db-0": True})
        east.link(source)
        place, what = source, ("links", "east", AGENT_NAMESPACE)
    else:
        east.gateway_service()
        east.export("web")
        east.link_secret(source)
        place, what = (source, ("secrets", "cluster-credentials-east", AGENT_NAMESPACE)) if on == "Secret" else (east, ("services", "ambassador", "ambassador"))
    one = agent()
    names = ["web-east"] + (["db-east", "db-0-east"] if on == "Link" else [])
    wait_until(lambda: all(source.ready_addresses(n, "demo") for n in names) and all(s["mirrored"] for s in one.services()), 10, "ready")

    def there():
        """Everything but what a drain may change."""
        plain = lambda obj: {**whole(obj), "metadata": {**whole(obj)["metadata"], "annotations": None}}
        slices = [plain(s) for n in names for s in source.slices(n, "demo")]
        for entry in (e for s in slices for e in s["endpoints"]):
            del entry["conditions"]
        return [plain(source.api.get("services", n, "demo")) for n in names], slices

    def drain(wish):
        place.api.patch(what[0], what[1], {"metadata": {"annotations": {OURS + "drain": wish}}}, what[2])

    before = there()
    uids = [source.api.get("services", n, "demo")["metadata"]["uid"] for n in names]
    drain("true")
    wait_until(lambda: not any(source.ready_addresses(n, "demo") for n in names), 5, "drained")
    wait_until(lambda: there() == before, 5, "nothing else changed")
    wait_until(lambda: [(s["mirrored"], s["message"]) for s in one.services() if s["name"] == "web"] == [
        (True, "draining: annotation svcmirror.io/drain is set")], 5, "it is said why")
    told = one.gateway("east")
    assert told["alive"] and told["drained"], "the gateway itself is alive"
    assert [l["drained"] for l in one.json("/api/v1/links")] == [on != "gateway Service"]
    status = one.command("status", "--address", one.address).stdout
    assert status.count("drained by the annotation svcmirror.io/drain") == 1, status
    if on == "Link":
        wait_until(lambda: "draining" in link_status(source, "east")["mirrorServices"][-1]["conditions"][0]["message"], 5, "the status tells")
    # A start while it drains, and what is exported meanwhile: not ready either.
    one.restart()
    east.export_labelled("late") if on == "Link" else east.export("late")
    wait_until(lambda: source.slices("late-east", "demo"), 10, "mirrored while draining")
    wait_until(lambda: all(s["mirrored"] for s in one.services()), 5, "settled")
    assert not any(source.ready_addresses(n, "demo") for n in (*names, "late-east"))
    drain("false")
    wait_until(lambda: all(source.ready_addresses(n, "demo") for n in (*names, "late-east")), 5, "ready again")
    drain("true")
    wait_until(lambda: not source.ready_addresses("web-east", "demo"), 5, "drained again")
    drain(None)
    wait_until(lambda: all(source.ready_addresses(n, "demo") for n in (*names, "late-east")), 5, "ready once more")
    assert not one.gateway("east")["drained"] and not any(l["drained"] for l in one.json("/api/v1/links"))
    assert [source.api.get("services", n, "demo")["metadata"]["uid"] for n in names] == uids
