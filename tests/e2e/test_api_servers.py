"""API servers that fail: killed, frozen, forgetful, forbidding. In the end the mirrors are what the target exports, without a write too many."""
import json
import time
import urllib.request

import pytest
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until


@pytest.fixture
def linked(source, east, agent):
    """An agent that mirrors one service of east, behind a living gateway."""
    east.gateway.start()
    east.gateway_service()
    east.export("web", "faults")
    east.link_secret(source)
    running = agent()
    wait_until(lambda: source.ready_addresses("web-east", "faults") == east.gateway.addresses, 15, "the mirror is ready")
    yield running
    for cluster in (source, east):
        cluster.kube_apiserver.thaw()
        if not cluster.kube_apiserver.running:
            cluster.start_apiserver()
        wait_until(cluster._ready, 60, f"{cluster.name}: API server ready")


def names(source):
    return sorted(s["metadata"]["name"] for s in source.api.list("services", "faults"))


def writes(cluster):
    return [w for w in cluster.writes("svcmirror") if w["objectRef"]["resource"] != "events"]


def lists(running, cluster, resource="services"):
    wanted = (f'cluster="{cluster}"', f'resource="{resource}"', 'verb="list"')
    return sum(value for name, value in running.metrics().items()
               if name.startswith("svcmirror_api_requests_total") and all(label in name for label in wanted))


def test_a_killed_target_keeps_its_mirrors_and_is_followed_again(source, east, linked):
    before = len(writes(source))
    east.restart_apiserver(lambda: time.sleep(3))
    assert source.ready_addresses("web-east", "faults") == east.gateway.addresses
    east.export("later", "faults")
    wait_until(lambda: names(source) == ["later-east", "web-east"], 60, "what was exported after the restart is mirrored")
    east.api.delete("services", "web", "faults")
    wait_until(lambda: names(source) == ["later-east"], 10, "what was deleted after the restart is gone")
    wanted = {("create", "later-east"), ("create", "later-east.ipv4"), ("delete", "web-east")}
    wait_until(lambda: {(w["verb"], w["objectRef"]["name"]) for w in writes(source)[before:]} == wanted, 5, "just these writes were made")


def test_what_changed_while_the_agent_could_not_see_it(source, east, linked):
    """The agent loses its place: the target is restarted while the agent is frozen, and its watch cache begins after that place."""
    linked.process.freeze()
    for i in range(5):
        east.export(f"s{i}", "faults")
    east.api.delete("services", "web", "faults")
    east.restart_apiserver()
    for i in range(5, 10):
        east.export(f"s{i}", "faults")
    linked.process.thaw()
    wait_until(lambda: names(source) == [f"s{i}-east" for i in range(10)], 60, "the mirrors are what is exported")


def compact(cluster):
    """Has etcd forget every version but the last."""
    def etcd(path, body):
        request = urllib.request.Request(f"http://{cluster.host}:2379/v3/kv/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)
    revision = etcd("range", {"key": "AA=="})["header"]["revision"]
    etcd("compaction", {"revision": revision, "physical": True})


def test_a_compacted_history(source, east, linked):
    linked.process.freeze()
    for i in range(3):
        east.export(f"s{i}", "faults")
    east.api.delete("services", "web", "faults")
    east.restart_apiserver(lambda: compact(east))
    compact(east)
    linked.process.thaw()
    wait_until(lambda: names(source) == [f"s{i}-east" for i in range(3)], 60, "the mirrors are what is exported")


def test_a_frozen_target_delays_nobody_and_is_followed_again(source, east, north, linked):
    north.gateway.start()
    north.gateway_service()
    east.kube_apiserver.freeze()
    north.link_secret(source)
    north.export("web", "faults")
    wait_until(lambda: names(source) == ["web-east", "web-north"], 10, "the other target is mirrored meanwhile")
    assert linked.get("/ready")[0] == 200
    time.sleep(5)
    east.kube_apiserver.thaw()
    east.export("later", "faults")
    wait_until(lambda: names(source) == ["later-east", "web-east", "web-north"], 40, "the target is followed again")


def test_a_killed_source_is_written_again(source, east, linked):
    def export_more():
        east.export("later", "faults")
        time.sleep(2)
    source.restart_apiserver(export_more)
    wait_until(lambda: names(source) == ["later-east", "web-east"], 60, "the writes were made up for")
    wait_until(lambda: source.ready_addresses("later-east", "faults") == east.gateway.addresses, 10, "with their slices")


def test_rights_taken_away_and_given_back(source, east, linked):
    rules = [{"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]}]
    east.api.apply("clusterroles", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "mirror-reader"}, "rules": rules})
    east.restart_apiserver()  # a watch that is open goes on without its right
    words = "missing right: watch services in cluster east (grant get, list, watch on services to user system:serviceaccount:default:mirror-reader)"
    wait_until(lambda: any(words in e.get("error", "") for e in linked.logs("target_watch_failed")), 60, "the missing right is named")
    wait_until(lambda: any("missing right" in e.get("note", "") for e in source.api.list("events", AGENT_NAMESPACE)), 5, "an Event says so too")
    assert names(source) == ["web-east"]
    east.reader_kubeconfig()
    east.export("later", "faults")
    wait_until(lambda: names(source) == ["later-east", "web-east"], 70, "it goes on where it was")


def test_a_revoked_token_and_its_successor(source, east, linked):
    east.api.delete("serviceaccounts", "mirror-reader", "default")
    east.restart_apiserver()
    wait_until(lambda: any("401" in e.get("error", "") for e in linked.logs("target_watch_failed")), 60, "the refusal is told")
    assert names(source) == ["web-east"]
    east.export("later", "faults")
    east.link_secret(source)
    wait_until(lambda: names(source) == ["later-east", "web-east"], 20, "the new credentials are used at once")


def test_a_thousand_services_are_listed_once(source, east, agent):
    east.gateway_service()
    east.ensure_namespace("bulk")
    for i in range(1000):
        east.api.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": f"s{i}", "namespace": "bulk", "annotations": {"filler": "x" * 1500}},
                                     "spec": {"clusterIP": "None", "ports": [{"port": 80}]}})
    east.link_secret(source)
    running = agent()
    wait_until(lambda: running.logs("target_listed"), 20, "the target is listed")
    assert lists(running, "east") == 1
    east.restart_apiserver()
    east.export("web", "faults")
    wait_until(lambda: names(source) == ["web-east"], 60, "it is followed")
    assert lists(running, "east") <= 2
