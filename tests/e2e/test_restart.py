"""A restart that nobody notices, and an end that is orderly."""
import time

import pytest
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until


@pytest.mark.usefixtures("link_crd")
@pytest.mark.parametrize("kind", ["Secret", "Link"])
def test_a_clean_restart_writes_nothing_and_unreadies_nothing(source, east, north, agent, kind):
    source.ensure_namespace("demo")
    for target in (east, north):
        target.gateway.start()
        target.gateway_service()
        for number in range(10):
            (target.export if kind == "Secret" else target.export_labelled)(f"web{number}")
        (target.link_secret if kind == "Secret" else target.link)(source)
    first = agent()
    mirrors = [(f"web{n}-{t.name}", t.gateway.addresses) for t in (east, north) for n in range(10)]
    wait_until(lambda: all(source.ready_addresses(name, "demo") == addresses for name, addresses in mirrors), 15, "all are ready")
    if kind == "Link":
        told = lambda name: source.api.get("links", name, AGENT_NAMESPACE).get("status", {}).get("mirrorServices", [])
        wait_until(lambda: all(len([s for s in told(t.name) if s["conditions"][0]["status"] == "True"]) == 10 for t in (east, north)), 10, "the status tells")
    first.stop()
    before = [len(cluster.writes("svcmirror")) for cluster in (source, east, north)]
    version = source.api.call("GET", source.api.path("endpointslices"))["metadata"]["resourceVersion"]
    second = agent()
    wait_until(lambda: len(second.services()) == 20 and all(s["mirrored"] for s in second.services()), 10, "everything is known again")
    wait_until(lambda: all(g["alive"] for g in second.gateways()), 5, "the gateways are known alive")
    time.sleep(3.5)  # one more period of probes, and more than a Link's status is gathered for: a write would have come by now
    assert [len(cluster.writes("svcmirror")) for cluster in (source, east, north)] == before
    path = source.api.path("endpointslices", resourceVersion=version, watch="1", timeoutSeconds="1", labelSelector="mirror.linkerd.io/mirrored-service=true")
    assert source.api.raw("GET", path)[1] == b"", "no slice changed, so none was unready in between"


def test_a_restart_with_a_dead_gateway_keeps_it_dead(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    first = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo"), 10, "ready")
    east.gateway.stop()
    wait_until(lambda: not source.ready_addresses("web-east", "demo"), 5, "unready")
    first.stop()
    before = len(source.writes("svcmirror"))
    second = agent()
    wait_until(lambda: (second.gateway("east") or {}).get("verdict") == "dead", 10, "the verdict")
    assert [w for w in source.writes("svcmirror")[before:] if w["objectRef"]["resource"] != "events"] == []


def test_an_unreachable_target_keeps_its_mirrors_through_a_restart(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    first = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo"), 10, "ready")
    first.stop()
    east.network.drop(east.host, 6443)
    second = agent()
    wait_until(lambda: second.json("/api/v1/links")[0]["problem"], 15, "the target is known to be unreachable")
    assert source.ready_addresses("web-east", "demo") == east.gateway.addresses
    assert second.json("/api/v1/links")[0]["apiReachable"] is False
    east.network.heal()


def test_sigkill_in_the_middle_and_start_again(source, east, agent, lab):
    east.gateway.start()
    east.gateway_service()
    for number in range(60):
        east.export(f"web{number}")
    east.link_secret(source)
    first = agent(ready=False)
    wait_until(lambda: len(source.api.list("services", labels="mirror.linkerd.io/mirrored-service=true")) > 10, 15, "in the middle of the first sync")
    first.kill()
    agent()
    wait_until(lambda: sum(source.ready_addresses(f"web{n}-east", "demo") == east.gateway.addresses for n in range(60)) == 60, 20, "all are ready")


def test_sigterm_ends_within_five_seconds_with_0(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    one = agent()
    began = time.monotonic()
    assert one.process.stop() == 0
    assert time.monotonic() - began < 5
    assert one.logs("stopped")


@pytest.mark.usefixtures("link_crd")
@pytest.mark.parametrize("kind", ["Link", "Secret"])
def test_an_agent_that_began_without_a_target_follows_its_gateway(source, east, agent, kind):
    """What is exported there it does not know; that the gateway is dead it does: a Link names it, and of a Secret's its mirror tells."""
    source.ensure_namespace("demo")
    east.gateway.start()
    export = east.export_labelled if kind == "Link" else east.export
    export("web")
    if kind == "Link":
        east.link(source)
    else:
        east.gateway_service()
        east.link_secret(source)
    first = agent()
    mirrored = lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses
    wait_until(mirrored, 10, "mirrored")
    first.stop()
    before = source.slices("web-east", "demo")[0]
    uid = source.api.get("services", "web-east", "demo")["metadata"]["uid"]
    east.kube_apiserver.kill()
    try:
        second = agent(ready=False)
        wait_until(lambda: any(g["alive"] for g in second.gateways()), 10, "the gateway is probed")
        east.gateway.stop()
        wait_until(lambda: source.ready_addresses("web-east", "demo") == [], 6, "the endpoints are unready")
        after = source.slices("web-east", "demo")[0]
        assert {**after["metadata"], "resourceVersion": 0, "generation": 0, "managedFields": 0} == {
            **before["metadata"], "resourceVersion": 0, "generation": 0, "managedFields": 0}
        assert after["ports"] == before["ports"] and [e["addresses"] for e in after["endpoints"]] == [e["addresses"] for e in before["endpoints"]]
        east.gateway.start()
        wait_until(mirrored, 6, "the gateway is back")
    finally:
        east.start_apiserver()
        wait_until(east._ready, 60, "the target's API server is back")
    assert source.api.get("services", "web-east", "demo")["metadata"]["uid"] == uid
    export("late")
    wait_until(lambda: source.ready_addresses("late-east", "demo") == east.gateway.addresses, 60, "from here on all is as ever")
