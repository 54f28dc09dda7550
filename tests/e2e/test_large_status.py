"""A Link with more exported services than its status can hold."""
import json

import pytest
from cluster.load import send
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

NAMESPACE = "n" + "s" * 62
SERVICES, FEWER, MIRRORED, MOST = 2000, 1200, 3, 1_000_000


@pytest.mark.usefixtures("link_crd")
def test_a_status_that_no_object_can_hold_is_cut_and_whole_again(source, east, agent, lab):
    """Names of 63 characters: their mirrors' would be too long, so that the status grows and nothing else does."""
    names = [f"s{i:062}" for i in range(SERVICES)]
    for cluster in (source, east):
        cluster.ensure_namespace(NAMESPACE)
    labels = {"mirror.linkerd.io/exported": "true"}
    path = f"/api/v1/namespaces/{NAMESPACE}/services"
    body = lambda name: {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "labels": labels}, "spec": {"clusterIP": "None", "ports": [{"port": 80}]}}
    send(east, [("POST", path, body(name)) for name in names], lab.folder)
    for i in range(MIRRORED):
        east.export_labelled(f"mirrored-{i}", NAMESPACE)
    east.gateway.start()
    east.link(source)
    one = agent()

    def entries():
        return source.api.get("links", "east", AGENT_NAMESPACE).get("status", {}).get("mirrorServices", [])

    def is_cut():
        found = entries()
        assert found
        *services, last = found
        [condition] = last["conditions"]
        assert last["remoteRef"] == {"group": "multicluster.linkerd.io", "kind": "Link", "namespace": AGENT_NAMESPACE, "name": "east"}
        assert (condition["type"], condition["status"], condition["reason"]) == ("Complete", "False", "TooManyServices")
        assert f"left out are {MIRRORED} services that are mirrored and {SERVICES - len(services)} that are not" in condition["message"], condition
        assert all(e["conditions"][0]["reason"] == "InvalidService" for e in services) and len(services) > FEWER
        return True

    wait_until(is_cut, 30, "the status is cut, and says so", 0.5)
    written = [len(json.dumps(w["requestObject"], separators=(",", ":"))) for w in source.writes("svcmirror") if w["objectRef"].get("subresource") == "status"
               and "requestObject" in w]
    assert all(length <= MOST for length in written), written
    assert len(json.dumps(entries(), separators=(",", ":"))) <= MOST
    told = one.services()
    assert len(told) == SERVICES + MIRRORED and sum(s["mirrored"] for s in told) == MIRRORED
    # A start finds it right.
    before = source.api.get("links", "east", AGENT_NAMESPACE)["metadata"]["resourceVersion"]
    one.restart()
    wait_until(lambda: sum(s["reason"] == "InvalidService" for s in one.services()) == SERVICES, 20, "all is judged again", 0.5)

    send(east, [("DELETE", f"{path}/{name}", None) for name in names[FEWER:]], lab.folder)

    def is_whole():
        found = entries()
        assert len(found) == FEWER + MIRRORED and {e["remoteRef"]["kind"] for e in found} == {"Service"}
        return sorted(e["remoteRef"]["name"] for e in found if e["conditions"][0]["status"] == "True") == [f"mirrored-{i}" for i in range(MIRRORED)]

    wait_until(is_whole, 30, "whole again", 0.5)
    assert source.api.get("links", "east", AGENT_NAMESPACE)["metadata"]["resourceVersion"] != before
    send(east, [("DELETE", f"{path}/{name}", None) for name in names[:FEWER]], lab.folder)
