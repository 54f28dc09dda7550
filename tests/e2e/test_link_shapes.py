"""Links as Linkerd's command writes them, in every version of the resource."""
import pytest
from cluster.expected import DISCOVERY, MIRROR, link_status, made_from, of_cluster, piece, service, status_entry, whole
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

pytestmark = pytest.mark.usefixtures("link_crd")
CRD = "links.multicluster.linkerd.io"


@pytest.fixture
def demo(source):
    source.ensure_namespace("demo")


def serve(source, *versions):
    """Only these versions are served. What is stored stays as it is: v1alpha3."""
    crd = source.api.get("customresourcedefinitions", CRD)
    for version in crd["spec"]["versions"]:
        version["served"] = version["name"] in versions
    source.api.update("customresourcedefinitions", crd)
    for version in ("v1alpha1", "v1alpha2", "v1alpha3"):
        path = f"/apis/multicluster.linkerd.io/{version}/namespaces/{AGENT_NAMESPACE}/links"
        wait_until(lambda: source.api.raw("GET", path)[0] == (200 if version in versions else 404), 20, f"{version} served or not")


def test_a_link_of_link_gen_with_one_service_of_each_kind(source, east, agent, demo):
    east.gateway.start()
    label = "mirror.linkerd.io/exported"
    web = east.export_labelled("web")
    flat = east.service("flat", labels={label: "remote-discovery"})
    both = east.export_labelled("both", labels={"mirror.linkerd.io/federated": "member"})
    only = east.service("only", labels={"mirror.linkerd.io/federated": "member"})
    db = east.export_labelled("db", endpoints=None, clusterIP="None")
    east.host_slice("db", "demo", {"db-0": True})
    east.service("none", labels={label: "false"})
    east.link_gen(source)
    agent()
    members = lambda name: service(f"{name}-federated", "demo", {MIRROR + "mirrored-service": "true"}, {DISCOVERY + "remote-discovery": f"{name}@east"})
    host = of_cluster(**{MIRROR + "headless-mirror-svc-name": "db-east"})
    wanted = [service("both-east", "demo", of_cluster(), made_from(both)), members("both"), service("db-0-east", "demo", host, made_from(db, "db-0")),
              service("db-east", "demo", of_cluster(), made_from(db), headless=True),
              service("flat-east", "demo", of_cluster(**{DISCOVERY + "remote-discovery": "east", DISCOVERY + "remote-service": "flat"}), made_from(flat)),
              members("only"), service("web-east", "demo", of_cluster(), made_from(web))]

    def services():
        found = [whole(s) for s in source.api.list("services", "demo")]
        assert sorted(found, key=lambda s: s["metadata"]["name"]) == sorted(wanted, key=lambda s: s["metadata"]["name"])
        return True
    wait_until(services, 10, "exactly these Services")

    def pieces():
        get = lambda name: source.api.get("services", name, "demo")
        ready = [{"addresses": east.gateway.addresses, "conditions": {"ready": True}}]
        full = lambda name: f"{name}.demo.svc.cluster.local"
        found = sorted((whole(s) for s in source.api.list("endpointslices", "demo")), key=lambda s: s["metadata"]["name"])
        assert found == [
            piece(get("both-east"), full("both"), ready), piece(get("db-0-east"), full("db-0.db"), ready),
            piece(get("db-east"), full("db"), [{"addresses": [get("db-0-east")["spec"]["clusterIP"]], "hostname": "db-0", "conditions": {"ready": True}}],
                  ports=[{"name": "http", "protocol": "TCP", "port": 80}]),
            piece(get("web-east"), full("web"), ready)]
        return True
    wait_until(pieces, 5, "exactly these slices")
    wait_until(lambda: link_status(source, "east") == {
        "mirrorServices": [status_entry(both, "both-east"), status_entry(db, "db-east"), status_entry(flat, "flat-east"), status_entry(web, "web-east")],
        "federatedServices": [status_entry(both, "both-federated"), status_entry(only, "only-federated")]}, 5, "exactly this status")


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_one_version_is_served(source, east, agent, demo, version):
    """Everything that the version knows of: v1alpha1 has neither federated services nor a status."""
    east.gateway.start()
    east.link_gen(source)
    serve(source, version)
    stored = lambda: source.api.call("GET", f"/apis/multicluster.linkerd.io/{version}/namespaces/{AGENT_NAMESPACE}/links/east").get("status", {})
    try:
        web = east.export_labelled("web")
        flat = east.service("flat", labels={"mirror.linkerd.io/exported": "remote-discovery"})
        member = east.service("member", labels={"mirror.linkerd.io/federated": "member"})
        one = agent()
        wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses and source.api.find("services", "flat-east", "demo"), 10, "mirrored")
        assert one.logs("links_served")[-1]["version"] == version
        if version != "v1alpha1":
            wait_until(lambda: source.api.find("services", "member-federated", "demo"), 5, "federated")
            wait_until(lambda: sum(len(entries) for entries in stored().values()) == 3, 5, "the status is written")
        wait_until(lambda: all(s["mirrored"] for s in one.services()), 5, "settled")
    finally:
        one.stop()
        serve(source, "v1alpha1", "v1alpha2", "v1alpha3")
    status = link_status(source, "east")
    assert status == ({} if version == "v1alpha1" else {
        "mirrorServices": [status_entry(flat, "flat-east"), status_entry(web, "web-east")], "federatedServices": [status_entry(member, "member-federated")]})


def test_versions_come_and_go_while_the_agent_runs(source, east, agent, demo):
    """An upgrade of Linkerd, and its way back. Nothing is taken away meanwhile."""
    east.gateway.start()
    east.export_labelled("web")
    east.link_gen(source)
    one = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo"), 10, "mirrored")
    before = source.api.get("services", "web-east", "demo")["metadata"]["resourceVersion"]
    try:
        for version in ("v1alpha2", "v1alpha3"):
            serve(source, version)
            wait_until(lambda: one.logs("links_served")[-1]["version"] == version, 20, f"{version} is found")
            east.export_labelled(f"for-{version}")
            wait_until(lambda: source.ready_addresses(f"for-{version}-east", "demo"), 5, f"mirrored with {version}")
            assert source.api.get("services", "web-east", "demo")["metadata"]["resourceVersion"] == before
    finally:
        serve(source, "v1alpha1", "v1alpha2", "v1alpha3")
    wait_until(lambda: len(link_status(source, "east")["mirrorServices"]) == 3, 10, "the status tells of all")
