"""What people and Prometheus see: the table, the JSON, metrics, probes of the pod, the status page."""
import json
import re
import shutil
import subprocess

import pytest
import yaml
from cluster.wait import wait_until


@pytest.fixture
def running(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    one = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo"), 10, "ready")
    return one


def test_gateways_table_and_json(running, east):
    address = f"http://{running.address}"
    table = running.command("gateways", "--address", address).stdout.splitlines()
    assert table[0].split() == ["CLUSTER", "ALIVE", "NUM_SVC", "LATENCY"]
    assert re.fullmatch(r"east +True +1 +\d+ms", table[1].strip())
    entries = json.loads(running.command("gateways", "--address", address, "-o", "json").stdout)
    assert list(entries[0])[:4] == ["clusterName", "alive", "numberOfServices", "latency"]
    assert (entries[0]["clusterName"], entries[0]["alive"], entries[0]["numberOfServices"]) == ("east", True, 1)
    as_yaml = yaml.safe_load(running.command("gateways", "--address", address, "-o", "yaml").stdout)
    assert [list(entry) for entry in as_yaml] == [list(entry) for entry in entries] and as_yaml[0]["gatewayName"] == "ambassador"
    east.gateway.stop()
    wait_until(lambda: "False" in running.command("gateways", "--address", address).stdout, 5, "dead in the table")
    assert re.search(r"east +False +1 +-", running.command("gateways", "--address", address).stdout)
    result = running.command("gateways", "--address", address, "--wait", "1s")
    assert result.returncode == 1 and "ConnectionRefused" in result.stderr
    east.gateway.start()
    assert running.command("gateways", "--address", address, "--wait", "10s").returncode == 0


def test_gateways_without_an_agent_shows_what_the_api_holds(running, source):
    wait_until(lambda: source.ready_addresses("ambassador-east", "linkerd-multicluster"), 5, "the verdict is in the API")
    running.stop()
    result = running.command("gateways", "--kubeconfig", source.admin_kubeconfig)
    assert result.returncode == 0, result.stderr
    assert "what the API holds" in result.stderr
    assert re.search(r"east +True +1 +-", result.stdout)


def test_metrics_by_linkerds_names(running):
    wait_until(lambda: running.services()[0]["mirrored"], 5, "the service is known to be mirrored")
    metrics = running.metrics()
    labels = 'target_cluster_name="east",gateway_namespace="ambassador",gateway_name="ambassador"'
    assert metrics[f"gateway_alive{{{labels}}}"] == 1
    assert metrics[f"gateway_enabled{{{labels}}}"] == 1
    assert metrics[f"gateway_latency{{{labels}}}"] > 0
    assert metrics[f'gateway_probes{{{labels},probe_successful="true"}}'] >= 1
    assert metrics[f'gateway_probe_latency_ms_bucket{{{labels},le="+Inf"}}'] == metrics[f"gateway_probe_latency_ms_count{{{labels}}}"] >= 1
    assert metrics['service_cache_size{cluster="east"}'] == 2
    assert metrics['svcmirror_services{target_cluster_name="east",reason="Mirrored"}'] == 1
    assert metrics['svcmirror_link_api_reachable{target_cluster_name="east"}'] == 1
    assert metrics['svcmirror_credentials_expiry_timestamp_seconds{cluster="east",kind="token"}'] > 1.7e9


def test_metrics_are_well_formed(running):
    """The rules that `promtool check metrics` has: HELP and TYPE before samples, counters end in _total except Linkerd's own names."""
    text = running.get("/metrics")[1]
    known, seen = {}, set()
    for line in text.splitlines():
        if line.startswith("# HELP "):
            assert len(line.split(" ", 3)[3]) > 10
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            known[name] = kind
            if kind == "counter":
                assert name.endswith("_total") or name in ("gateway_probes", "service_mirror_endpoint_repairs"), name
            else:
                assert not name.endswith("_total"), name
        else:
            sample = re.match(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})? -?[0-9.eE+-]+$|^.*NaN$", line)
            assert sample, line
            base = re.sub(r"_(bucket|sum|count)$", "", sample.group(1))
            assert sample.group(1) in known or base in known, line
            assert line.rsplit(" ", 1)[0] not in seen, "a series stands twice"
            seen.add(line.rsplit(" ", 1)[0])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool (Debian package prometheus) is not installed")
def test_promtool_finds_nothing_but_linkerds_own_names(running):
    result = subprocess.run(["promtool", "check", "metrics"], input=running.get("/metrics")[1], text=True, capture_output=True, check=False)
    complaints = [line for line in (result.stdout + result.stderr).splitlines() if line]
    assert {line.split()[0] for line in complaints} <= {"gateway_probe_latency_ms", "gateway_probes", "service_mirror_endpoint_repairs"}, complaints


def test_gateways_through_the_api_servers_service_proxy(source, east, agent):
    """The way that needs no address: the API server leads to the agent's Service."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    host = source.network.address(15)
    one = agent(address=f"{host}:9999")
    wait_until(lambda: source.ready_addresses("web-east", "demo"), 10, "ready")
    source.pod("svcmirror-0", "linkerd-multicluster", host, {"app": "svcmirror"})
    source.api.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "svcmirror", "namespace": "linkerd-multicluster"},
                                   "spec": {"selector": {"app": "svcmirror"}, "ports": [{"name": "admin", "port": 9999, "protocol": "TCP"}]}})

    def live():
        result = one.command("gateways", "--kubeconfig", source.admin_kubeconfig, "-o", "json")
        assert result.returncode == 0 and result.stderr == "", result.stderr
        return json.loads(result.stdout)[0]["latency"] is not None
    try:
        wait_until(live, 10, "the live agent answers through the API server")
    finally:
        source.api.call("DELETE", source.api.path("pods", "linkerd-multicluster", "svcmirror-0") + "?gracePeriodSeconds=0")


def test_pod_probes_and_paths(running):
    assert running.get("/live")[0] == 200
    assert running.get("/ready") == (200, "ok\n")
    assert running.get("/ping") == (200, "pong\n")
    status, body = running.get("/nothing")
    assert status == 404 and "/metrics" in body


def test_ready_tells_what_is_missing(lab, source, east, agent):
    east.link_secret(source)
    source.kube_apiserver.freeze()
    try:
        one = agent(ready=False)
        status, body = wait_until(lambda: one.get("/ready"), 5, "it answers")
        assert status == 503 and "source cluster" in body
    finally:
        source.kube_apiserver.thaw()
    wait_until(lambda: one.get("/ready")[0] == 200, 40, "ready in the end")


def test_api_and_page(running):
    [service] = running.services()
    assert (service["namespace"], service["name"], service["mirror"], service["mirrored"], service["readyEndpoints"]) == ("demo", "web", "demo/web-east", True, 1)
    [link] = running.json("/api/v1/links")
    assert (link["clusterName"], link["kind"], link["apiReachable"], link["synced"], link["mirroredServices"]) == ("east", "Secret", True, True, 1)
    status, page = running.get("/")
    assert status == 200 and "ambassador/ambassador" in page and "demo/web-east" in page and page.count("<script") == 1


def test_gateway_changes_are_events(running, source, east):
    east.gateway.stop()
    wait_until(lambda: any(e["reason"] == "GatewayDead" for e in source.api.list("events", "linkerd-multicluster")), 5, "an Event")
    [event] = [e for e in source.api.list("events", "linkerd-multicluster") if e["reason"] == "GatewayDead"]
    assert event["regarding"]["kind"] == "Secret" and event["regarding"]["name"] == "cluster-credentials-east" and event["type"] == "Warning"
    assert "10.201.1.2" in event["note"]
