"""A source cluster of both families, and a gateway with an address of each."""
import os

import pytest
from cluster.agent import Agent
from cluster.expected import MIRROR, made_from, of_cluster, piece, service, whole
from cluster.wait import wait_until


@pytest.fixture
def agent(lab, dual_source):
    one = Agent(dual_source, os.path.join(lab.folder, "agents"), name="dual-stack")
    one.start()
    yield one
    one.stop()


def test_mirrors_have_a_slice_for_each_family(dual_source, east, agent):
    four, six = east.network.address(2), east.network.address6(2)
    dual_source.ensure_namespace("demo")
    east.gateway.addresses = [four, six]
    east.gateway.start()
    web = east.export_labelled("web")
    db = east.export_labelled("db", endpoints=None, clusterIP="None")
    east.host_slice("db", "demo", {"db-0": True})
    east.link(dual_source)

    def get(name):
        found = dual_source.api.find("services", name, "demo")
        assert found, f"{name} is not there"
        return found

    def of_gateway(owner, remote, four_ready, six_ready, **more):
        one = lambda address, ready: [{"addresses": [address], "conditions": {"ready": ready}}]
        return [piece(owner, remote, one(four, four_ready), **more), piece(owner, remote, one(six, six_ready), family="IPv6", **more)]

    def becomes(four_ready, six_ready, why, within=10):
        def check():
            host = of_cluster(**{MIRROR + "headless-mirror-svc-name": "db-east"})
            assert whole(get("web-east")) == service("web-east", "demo", of_cluster(), made_from(web))
            assert whole(get("db-0-east")) == service("db-0-east", "demo", host, made_from(db, "db-0"))
            assert whole(get("db-east")) == service("db-east", "demo", of_cluster(), made_from(db), headless=True)
            slices = {name: [whole(s) for s in dual_source.slices(name, "demo")] for name in ("web-east", "db-0-east", "db-east")}
            assert slices["web-east"] == of_gateway(get("web-east"), "web.demo.svc.cluster.local", four_ready, six_ready)
            assert slices["db-0-east"] == of_gateway(get("db-0-east"), "db-0.db.demo.svc.cluster.local", four_ready, six_ready)
            # The hostname's ClusterIP is of the cluster's first family; it is ready while either address of the gateway is.
            address = get("db-0-east")["spec"]["clusterIP"]
            assert address.startswith("10.109.")
            assert slices["db-east"] == [piece(get("db-east"), "db.demo.svc.cluster.local", [
                {"addresses": [address], "hostname": "db-0", "conditions": {"ready": four_ready or six_ready}}],
                ports=[{"name": "http", "protocol": "TCP", "port": 80}])]
            return True
        wait_until(check, within, why)

    becomes(True, True, "both families are ready", 20)
    east.network.reject(six)
    becomes(True, False, "each follows its own address")
    east.network.heal()
    becomes(True, True, "again")
    east.gateway.stop()
    becomes(False, False, "the gateway is dead")
    east.gateway.start()
    becomes(True, True, "and alive")

    # Which families a mirror has is the people's choice: they may give it both.
    dual_source.api.patch("services", "web-east", {"spec": {"ipFamilyPolicy": "PreferDualStack"}}, "demo")
    before = len(dual_source.writes("svcmirror"))
    agent.restart()
    wait_until(lambda: agent.services() and all(s["mirrored"] for s in agent.services()), 10, "all is right")
    addresses = get("web-east")["spec"]["clusterIPs"]
    assert len(addresses) == 2 and ":" in addresses[1], addresses
    assert [w for w in dual_source.writes("svcmirror")[before:] if w["objectRef"]["resource"] != "events"] == []
