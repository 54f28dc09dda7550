"""The laboratory for all e2e tests: one source and two targets, started once; every test begins and ends with clean clusters."""
import json
import os
import re
import shutil
import sys
import time

import pytest

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from cluster import leases  # noqa: E402
from cluster.cluster import Cluster  # noqa: E402
from cluster.dns import Dns  # noqa: E402
from cluster.lab import Lab  # noqa: E402
from cluster.netlab import Network  # noqa: E402
from cluster.replicas import starter  # noqa: E402
from cluster.target import AGENT_NAMESPACE  # noqa: E402
from cluster.wait import wait_until  # noqa: E402

CRD = "links.multicluster.linkerd.io"
SHARED_DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..", "shared", "data")


def pytest_configure(config):
    config.addinivalue_line("markers", "never_rests: the agent has something to do after this test")


@pytest.fixture(scope="session")
def lab(request):
    lab = Lab(targets=("east", "north"))
    request.config.lab_folder = lab.folder
    lab.start(gateways=False)
    yield lab
    lab.stop()


def log_name(item):
    return re.sub(r"[^A-Za-z0-9_.-]", "-", item.name)[:60]


def _install_link_crd(source):
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "manifests", "link-crd.yaml")
    if not os.path.exists(path):
        path = os.path.join(SHARED_DATA, "linkerd-link-crd.yaml")
    if not os.path.exists(path):
        pytest.skip("no Link CRD: neither deploy/manifests nor shared/data is here")
    result = source.kubectl("apply", "-f", path)
    assert result.returncode == 0, result.stderr
    wait_until(lambda: source.api.raw("GET", "/apis/multicluster.linkerd.io/v1alpha3/links")[0] == 200, 20, "Link resources are served")


def _empty(cluster):
    """Deletes what tests make: services, slices, secrets and links. Namespaces stay: their deletion takes seconds."""
    api = cluster.api
    if cluster.api.raw("GET", "/apis/multicluster.linkerd.io/v1alpha3/links")[0] == 200:
        for link in api.list("links"):
            if link["metadata"].get("finalizers"):
                api.patch("links", link["metadata"]["name"], {"metadata": {"finalizers": None}}, link["metadata"]["namespace"])
            api.delete("links", link["metadata"]["name"], link["metadata"]["namespace"])
    for secret in api.list("secrets", AGENT_NAMESPACE):
        api.delete("secrets", secret["metadata"]["name"], AGENT_NAMESPACE)
    for lease in api.list("leases", AGENT_NAMESPACE):
        api.delete("leases", lease["metadata"]["name"], AGENT_NAMESPACE)
    for event in api.list("events", AGENT_NAMESPACE):
        api.delete("events", event["metadata"]["name"], AGENT_NAMESPACE)
    for service in api.list("services"):
        meta = service["metadata"]
        if (meta["namespace"], meta["name"]) != ("default", "kubernetes"):
            api.delete("services", meta["name"], meta["namespace"])
    for item in api.list("endpointslices"):
        meta = item["metadata"]
        if meta["labels"].get("kubernetes.io/service-name") != "kubernetes":
            api.delete("endpointslices", meta["name"], meta["namespace"])


@pytest.fixture
def source(lab, request):
    if "link_crd" not in request.fixturenames:
        _remove_link_crd(lab.source)
    yield lab.source
    _empty(lab.source)


def _target(target):
    target.network.heal()
    yield target
    target.network.heal()
    target.gateway.stop()
    for server in target.servers:
        server.stop()
    target.servers.clear()
    target.gateway.services.clear()
    target.gateway.addresses, target.gateway.idle_timeout = [target.network.address(2)], None
    target.gateway.probe_port, target.gateway.domains = 8080, ("*",)
    for pod in target.api.list("pods"):
        target.kill_pod(pod["metadata"]["name"], pod["metadata"]["namespace"])
    _empty(target)


@pytest.fixture
def east(lab):
    yield from _target(lab.targets[0])


@pytest.fixture
def north(lab):
    yield from _target(lab.targets[1])


@pytest.fixture
def link_crd(source):
    """Link resources are served in the source cluster, in all versions."""
    _install_link_crd(source)


@pytest.fixture
def dual_source(lab):
    """Another source cluster, of both families, with Link resources."""
    cluster = Cluster("dual", Network(9), lab.folder, service_cidr="10.109.0.0/16,fd00:109::/112")
    try:
        cluster.start()
        cluster.ensure_namespace(AGENT_NAMESPACE)
        _install_link_crd(cluster)
        yield cluster
    finally:
        cluster.stop()


def _remove_link_crd(source):
    """A resource just defined takes the API server two seconds to serve, so it goes only before a test that is to be without it."""
    if source.api.find("customresourcedefinitions", CRD):
        source.api.delete("customresourcedefinitions", CRD)
        wait_until(lambda: source.api.raw("GET", "/apis/multicluster.linkerd.io")[0] == 404, 30, "Link resources are gone", 0.1)


# Functional tests: after each of them everything is planned once more, by a fresh agent, and nothing may be left to write.
# Not after those marked `never_rests`, which leave something behind that the agent goes on putting right.
PLANNED_AGAIN = {"test_adoption", "test_bad_input", "test_endpoints_api", "test_exports", "test_federated", "test_gateway_by_name", "test_gateway_health",
                 "test_headless", "test_link_resources", "test_link_shapes", "test_pods", "test_random_walk", "test_remote_discovery", "test_repair",
                 "test_restart", "test_secret_links", "test_service_exports", "test_target_endpoints", "test_to_be_seen"}


def is_settled(agent):
    metrics = agent.metrics()
    return (metrics["svcmirror_queue_depth"] == 0 and metrics["svcmirror_writes_in_flight"] == 0
            and all(s["reason"] != "Pending" for s in agent.services()) and all(g["verdict"] != "unknown" for g in agent.gateways() if g["probed"]))


def settle(agent):
    """Waits until the agent has nothing to do, and a dead gateway's next probe has had its time. Returns the agent, or None when it never rests."""
    try:
        wait_until(lambda: is_settled(agent), 5, "the agent rests", 0.05)
    except AssertionError:
        return None  # a test of something that cannot come to rest, e.g. credentials that are refused
    time.sleep(1.2)
    return agent


def plan_again(lab, before, name):
    written = [len(cluster.writes("svcmirror")) for cluster in (lab.source, *lab.targets)]
    agent = lab.agent(name=name + "-again", flags=before.flags, kubeconfig=before.kubeconfig)
    agent.start()
    wait_until(lambda: is_settled(agent), 10, "planned again", 0.05)
    if lab.source.api.raw("GET", "/apis/multicluster.linkerd.io/v1alpha3/links")[0] == 200:
        time.sleep(1.5)  # the status of a Link is gathered for a second before it is written
    agent.stop()
    more = [w for cluster, count in zip((lab.source, *lab.targets), written) for w in cluster.writes("svcmirror")[count:]
            if w["objectRef"]["resource"] != "events" and w["responseStatus"]["code"] != 409]  # a name that is somebody else's is asked for again
    assert not more, "left to write: " + ", ".join(
        f"{w['verb']} {w['objectRef'].get('resource')} {w['objectRef'].get('name')} {json.dumps(w.get('requestObject'))}" for w in more)


@pytest.fixture
def agent(lab, source, east, north, request):
    """Starts agents: `agent()` or `agent(flags=[...])`. At the end each is stopped and must have ended well."""
    started = []

    def start(ready=True, **more):
        agent = lab.agent(name=f"{log_name(request.node)}-{len(started)}", **more)
        started.append(agent)
        agent.start(ready)
        return agent

    yield start
    again = None
    rests = request.module.__name__ in PLANNED_AGAIN and request.node.get_closest_marker("never_rests") is None
    if rests and started and started[-1].process.running:
        again = settle(started[-1])
    failures = []
    for one in started:
        try:
            one.stop()
        except AssertionError as failure:
            failures.append(str(failure))
    assert not failures, "\n".join(failures)
    if again is not None:
        plan_again(lab, again, log_name(request.node))


@pytest.fixture
def replicas(agent):
    """Starts replicas, each in its own place: `replicas(3)`."""
    return starter(agent)


@pytest.fixture
def began_at():
    """The moment, as the audit log has it: it goes on from test to test."""
    return leases.microtime()


@pytest.fixture
def dns():
    server = Dns()
    yield server
    server.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A failure shows the end of every log."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        lab = item.funcargs.get("lab")
        if lab is not None:
            agents = os.path.join(lab.folder, "agents")
            for name in sorted(os.listdir(agents) if os.path.isdir(agents) else []):
                if name.startswith(log_name(item)):
                    with open(os.path.join(agents, name), encoding="utf-8", errors="replace") as log:
                        report.sections.append((name, "".join(log.readlines()[-40:])))
            for cluster in (lab.source, *lab.targets):
                report.sections.append((f"{cluster.name} control plane", cluster.kube_apiserver.tail(5)))


def pytest_sessionfinish(session, exitstatus):
    """What a good run wrote goes; after another the logs stay, without the databases, which are most of it (tens of MB a cluster)."""
    folder = getattr(session.config, "lab_folder", None)
    if folder is None:
        return
    if exitstatus == 0:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for name in os.listdir(folder):
        shutil.rmtree(os.path.join(folder, name, "etcd"), ignore_errors=True)
    print(f"\nThe logs of the laboratory are in {folder}", file=sys.stderr)
