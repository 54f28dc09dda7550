"""Clusters that serve no EndpointSlices: a source is given v1 Endpoints, of a target they are read."""
import pytest
from cluster.expected import LINK_IDENTITY, MIRROR, made_from, of_cluster, service, whole
from cluster.wait import wait_until

pytestmark = pytest.mark.usefixtures("link_crd")


@pytest.fixture
def old_source(source, link_crd):
    source.ensure_namespace("demo")
    source.restart_apiserver(serves_slices=False)
    yield source
    source.restart_apiserver()


@pytest.fixture
def old_east(east):
    east.restart_apiserver(serves_slices=False)
    yield east
    east.restart_apiserver()


def get(cluster, resource, name):
    found = cluster.api.find(resource, name, "demo")
    assert found, f"{resource} {name} is not there"
    return found


def endpoints_of(owner, remote, **subset):
    """Endpoints of the mirror Service `owner`, whole."""
    meta = owner["metadata"]
    remote_name = f"{remote['metadata']['name']}.{remote['metadata']['namespace']}.svc.cluster.local"
    filled = {"subsets": [{**subset, "ports": [{"name": "http", "port": 4143, "protocol": "TCP"}]}]} if subset else {}
    return {"metadata": {"name": meta["name"], "namespace": meta["namespace"], "labels": meta["labels"],
                         "annotations": {MIRROR + "remote-svc-fq-name": remote_name, MIRROR + "remote-gateway-identity": LINK_IDENTITY},
                         "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"]}]}, **filled}


def test_a_source_without_slices_is_given_endpoints(old_source, east, agent):
    source = old_source
    east.gateway.addresses = [east.network.address(2), east.network.address(3)]
    east.gateway.start()
    web, idle = east.export_labelled("web"), east.export_labelled("idle", endpoints=())
    east.link(source)
    one = agent()
    addresses = [{"ip": a} for a in east.gateway.addresses]

    def becomes(within, why, **subset):
        def check():
            owner = get(source, "services", "web-east")
            assert whole(owner) == service("web-east", "demo", of_cluster(), made_from(web))
            made = whole(get(source, "endpoints", "web-east"))
            assert made == endpoints_of(owner, web, **subset), made
            return True
        wait_until(check, within, why)

    becomes(15, "the mirror is ready", addresses=addresses)
    assert one.logs("endpoints_written")
    wait_until(lambda: whole(get(source, "endpoints", "idle-east")) == endpoints_of(get(source, "services", "idle-east"), idle), 5,
               "without a ready endpoint in the target there is no address")
    east.gateway.stop()
    becomes(5, "the gateway is dead", notReadyAddresses=addresses)
    east.gateway.start()
    becomes(6, "and alive again", addresses=addresses)
    before = len(source.writes("svcmirror"))
    one.restart()
    wait_until(lambda: len(one.services()) == 2 and all(s["mirrored"] for s in one.services()), 10, "all is right")
    assert [w for w in source.writes("svcmirror")[before:] if w["objectRef"]["resource"] != "events"] == []

    # The cluster is brought up to date while the agent runs.
    source.restart_apiserver()
    wait_until(lambda: one.logs("source_listed") and any(e["resource"] == "endpointslices" for e in one.logs("source_listed")), 45, "slices are served")
    wait_until(lambda: [s["metadata"]["name"] for s in source.slices("web-east", "demo") if
                        s["metadata"]["labels"]["endpointslice.kubernetes.io/managed-by"] == "svcmirror"] == ["web-east.ipv4"], 15, "slices")
    wait_until(lambda: source.api.find("endpoints", "web-east", "demo") is None, 10, "take the place of Endpoints")
    # Kubernetes had copied the Endpoints into slices of its own, which go after them.
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "nothing is left beside them")


def test_slices_that_a_source_ceases_to_serve_are_waited_for(source, east, agent):
    """Something in between said 404: mirrors are not given Endpoints instead, and all goes on when slices are back."""
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    one = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "the mirror is ready")
    source.restart_apiserver(serves_slices=False)
    try:
        wait_until(lambda: any(all(part in name for part in ('cluster="local"', '"endpointslices"', 'code="404"')) for name in one.metrics()), 30, "they are gone")
    finally:
        source.restart_apiserver()
    east.gateway.stop()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == [], 45, "slices are written")
    assert not one.logs("endpoints_written") and source.api.find("endpoints", "web-east", "demo") is None


def put(east, name, *subsets):
    body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name, "namespace": "demo"},
            "subsets": [{kind: [{"ip": ip}], "ports": [{"name": port, "port": 5000, "protocol": "TCP"}]} for kind, ip, port in subsets]}
    east.api.apply("endpoints", body)


def test_a_target_without_slices_is_read_by_its_endpoints(source, old_east, agent):
    east = old_east
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("web", endpoints=None)
    east.export_labelled("pods", endpoints=None, selector={"app": "pods"})
    db = east.export_labelled("db", endpoints=None, clusterIP="None", selector={"app": "db"})
    east.pod("pods-0", "demo", "10.201.1.11", {"app": "pods"}, ready=False)
    for i in range(2):
        east.pod(f"db-{i}", "demo", f"10.201.1.1{2 + i}", {"app": "db"}, ready=i == 0, hostname=f"db-{i}", subdomain="db")
    east.link(source, kubeconfig=east.reader_kubeconfig(("services", "endpointslices", "endpoints"), "reader-of-both"))
    one = agent()

    def becomes(name, ready, why, within=15):
        wait_until(lambda: source.slices(f"{name}-east", "demo") and
                   source.ready_addresses(f"{name}-east", "demo") == (east.gateway.addresses if ready else []), within, why)

    def hosts():
        return {e["hostname"]: e["conditions"]["ready"] for s in source.slices("db-east", "demo") for e in s["endpoints"] or []}

    becomes("web", False, "without Endpoints")
    becomes("pods", False, "a pod that is not ready")
    wait_until(lambda: hosts() == {"db-0": True, "db-1": False}, 15, "hostnames")
    assert whole(get(source, "services", "db-east")) == service("db-east", "demo", of_cluster(), made_from(db), headless=True)
    assert one.logs("target_endpoints_read") and not one.logs("target_watch_failed")
    assert one.json("/api/v1/links")[0]["problem"] in ("", None)

    put(east, "web", ("addresses", "10.201.1.10", "http"))
    becomes("web", True, "an address", 1)
    put(east, "web", ("notReadyAddresses", "10.201.1.10", "http"))
    becomes("web", False, "not ready", 1)
    put(east, "web", ("notReadyAddresses", "10.201.1.10", "http"), ("addresses", "10.201.1.14", "more"))
    becomes("web", True, "one of the second subset", 1)
    east.pod("pods-0", "demo", "10.201.1.11", {"app": "pods"})
    east.pod("db-1", "demo", "10.201.1.13", {"app": "db"})
    becomes("pods", True, "the pod is ready")
    wait_until(lambda: hosts() == {"db-0": True, "db-1": True}, 15, "and so is the hostname")
    east.pod("pods-0", "demo", "10.201.1.11", {"app": "pods"}, ready=False)
    becomes("pods", False, "it is not")
    east.api.patch("services", "pods", {"spec": {"publishNotReadyAddresses": True}}, "demo")
    becomes("pods", True, "published though not ready")
    east.kill_pod("db-0", "demo")
    wait_until(lambda: hosts() == {"db-1": True}, 15, "a pod goes")
    wait_until(lambda: source.api.find("services", "db-0-east", "demo") is None, 5, "and its hostname's mirror")

    # The cluster is brought up to date: its slices are read from then on, and its Endpoints no more.
    east.restart_apiserver()
    wait_until(lambda: any(e["resource"] == "endpointslices" for e in one.logs("target_listed")), 75, "slices are served, and read")
    becomes("web", True, "as before, once Kubernetes has made them", 30)
    becomes("pods", True, "as before", 30)
    wait_until(lambda: hosts() == {"db-1": True}, 30, "as before")
    east.slice("other", "demo", ["10.201.1.15"])
    east.export_labelled("other", endpoints=None)
    becomes("other", True, "a slice without Endpoints")
