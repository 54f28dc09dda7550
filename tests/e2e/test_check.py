"""`svcmirror check` on real API servers, of a source and of a target: all is right, then one thing at a time is not, and the check that is for it says so."""
import contextlib
import json
import subprocess
import time

import pytest
from cluster.agent import default_binary
from cluster.load import send
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until
from test_edge_stack import install, kubectl, prepare, remove
from test_whole_way import EDGE_STACK, emissary_types

pytestmark = pytest.mark.usefixtures("link_crd")
READER = ("services", "endpointslices", "configmaps")
MIRROR = "mirror.linkerd.io/"
RBAC = "service mirror controller has required permissions"


def run(source, *argv, wait="20s"):
    return subprocess.run([default_binary(), "check", "--kubeconfig", source.admin_kubeconfig, "--wait", wait, *argv], text=True, capture_output=True,
                          timeout=120, check=False)


def checks(source, *argv, wait="0"):
    result = run(source, "-o", "json", *argv, wait=wait)
    said = json.loads(result.stdout)
    assert said["success"] == (result.returncode == 0), result.stdout
    return {one["description"].split("\n")[0]: one for category in said["categories"] for one in category["checks"]}


def wrong(source, *argv):
    return {name: (one["result"], one["error"]) for name, one in checks(source, *argv).items() if one["result"] != "success"}


def trust(cluster, pem):
    cluster.ensure_namespace("linkerd")
    cluster.api.apply("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "linkerd-identity-trust-roots", "namespace": "linkerd"},
                                     "data": {"ca-bundle.crt": pem}})


@pytest.fixture
def healthy(source, east, agent):
    """A source with an installed agent, and one linked target whose gateway answers and which exports a service."""
    installed = subprocess.run([default_binary(), "install", "--apply", "--replicas", "1", "--kubeconfig", source.admin_kubeconfig], text=True,
                               capture_output=True, check=False)
    assert installed.returncode == 0, installed.stderr
    available(source, 1)
    root = source.pki.read("ca.crt")
    trust(source, root)
    trust(east, root)
    source.ensure_namespace("demo")
    east.gateway.start()
    east.gateway_service()
    east.export_labelled("web")
    east.link(source, kubeconfig=east.reader_kubeconfig(READER, "check-reader"))
    source.api.patch("links", "east", {"metadata": {"annotations": {"linkerd.io/created-by": "linkerd/cli edge-26.8.3"}}}, AGENT_NAMESPACE)
    one = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo") and source.ready_addresses("probe-east", AGENT_NAMESPACE), 20, "the mirrors are ready")
    yield one
    for cluster in (source, east):
        cluster.api.delete("configmaps", "linkerd-identity-trust-roots", "linkerd")
    one.stop()
    subprocess.run([default_binary(), "uninstall", "--yes", "--kubeconfig", source.admin_kubeconfig], check=True, capture_output=True)


def available(source, replicas):
    """Nobody runs pods here: the Deployment's status is told by hand."""
    source.api.patch("deployments", "svcmirror", {"status": {"replicas": replicas, "readyReplicas": replicas, "availableReplicas": replicas}}, AGENT_NAMESPACE,
                     "status")


@contextlib.contextmanager
def changed(cluster, kind, name, namespace, patch, subresource=None):
    """Another object for a while."""
    before = cluster.api.get(kind, name, namespace)
    more = (subresource,) if subresource else ()
    cluster.api.patch(kind, name, patch, namespace, *more)
    yield
    back = {"metadata": {key: before["metadata"].get(key) for key in ("labels", "annotations")},
            **{key: before[key] for key in ("spec", "data", "rules") if key in before}}
    cluster.api.patch(kind, name, {"status": before["status"]} if subresource else back, namespace, *more)


def test_one_fault_at_a_time_is_named_by_its_check(source, east, healthy):
    table = run(source)
    assert table.returncode == 0 and "\u00d7" not in table.stdout and "\u203c" not in table.stdout, table.stdout + table.stderr
    assert "\u221a clusters share trust anchors\n    * east: " in table.stdout
    assert table.stdout.endswith("\nStatus check results are \u221a\n")

    # A right of the agent.
    rules = source.api.get("clusterroles", "svcmirror")["rules"]
    with changed(source, "clusterroles", "svcmirror", None, {"rules": rules[1:]}):
        assert wrong(source) == {RBAC: ("error", "\n".join(
            f"* service account {AGENT_NAMESPACE}/svcmirror may not {verb} services in all namespaces: `svcmirror install --apply` gives the right"
            for verb in rules[0]["verbs"]))}

    # Rights that the agent does not need.
    with changed(source, "clusterroles", "svcmirror", None, {"rules": [*rules, {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}]}):
        assert wrong(source) == {RBAC: ("warning", f"* service account {AGENT_NAMESPACE}/svcmirror has rights that it does not need, by clusterrole svcmirror: "
                                        "secrets [get list]: take from it what was not meant")}

    # The trust of the target: another root, and one that overlaps.
    foreign, root = east.pki.read("ca.crt"), source.pki.read("ca.crt")
    assert foreign != root
    trust(east, foreign)
    assert [(name, one[0]) for name, one in wrong(source).items()] == [("clusters share trust anchors", "error")]
    trust(east, foreign + root)
    assert wrong(source) == {}
    trust(east, root)

    # The target's gateway: no address, no port for probes.
    with changed(east, "services", "ambassador", "ambassador", {"status": {"loadBalancer": {"ingress": None}}}, "status"):
        found = wrong(source)["remote: all referenced gateways are valid"]
        assert found[0] == "warning" and "cluster east: gateway ambassador/ambassador has no external address" in found[1]

    # A mirror of a cluster that is not linked, which is exported again.
    source.service("old-gone", "demo", labels={MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "gone", MIRROR + "exported": "true"})
    found = wrong(source)
    assert "old-gone.demo is not part of any Link" in found["all mirror services are part of a Link"][1]
    assert "old-gone.demo mirrored from cluster [gone] has no endpoints" in found["all mirror services have endpoints"][1]
    assert "mirror service old-gone.demo is exported" in found["multicluster daisy chaining is avoided"][1]
    assert set(wrong(source, "--cluster-name", "east")) == {"multicluster daisy chaining is avoided"}  # a chain is nobody's alone
    source.api.delete("services", "old-gone", "demo")

    # The agent's Deployment.
    available(source, 0)
    assert wrong(source) == {"service mirror controllers are running": ("error", f"deployment {AGENT_NAMESPACE}/svcmirror has no available replica")}
    available(source, 1)


def may_patch(cluster, namespace, secret):
    """As `link` lets the agent renew a token."""
    meta, group = {"name": "svcmirror-renew-east", "namespace": namespace}, "rbac.authorization.k8s.io"
    cluster.api.create("roles", {"metadata": meta, "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": [secret], "verbs": ["patch"]}]})
    cluster.api.create("rolebindings", {"metadata": meta, "roleRef": {"apiGroup": group, "kind": "Role", "name": "svcmirror-renew-east"},
                                        "subjects": [{"kind": "ServiceAccount", "name": "svcmirror", "namespace": AGENT_NAMESPACE}]})


def test_rights_to_renew_a_token_are_looked_for_where_it_and_its_copy_are(source, healthy):
    name = "the agent may renew the tokens that it is to renew"
    assert name not in checks(source)  # nobody asked the agent to
    [secret] = [one["metadata"]["name"] for one in source.api.list("secrets", AGENT_NAMESPACE) if one["type"] == "mirror.linkerd.io/remote-kubeconfig"]
    source.api.patch("secrets", secret, {"metadata": {"annotations": {"svcmirror.io/renew-token": "720h", "svcmirror.io/copy": "linkerd/the-copy"}}},
                     AGENT_NAMESPACE)
    missing = [f"* cluster east: service account {AGENT_NAMESPACE}/svcmirror may not patch secret {where}, and cannot renew the token there: {remedy}"
               for where, remedy in ((f"{AGENT_NAMESPACE}/{secret}", "`svcmirror link` for that cluster gives the right"),
                                     ("linkerd/the-copy", "give it by a Role, or take the annotation svcmirror.io/copy away: Linkerd's control plane has a token "
                                                          "of its own"))]
    try:
        assert wrong(source) == {name: ("warning", "\n".join(missing))}
        may_patch(source, AGENT_NAMESPACE, secret)
        assert wrong(source) == {name: ("warning", missing[1])}
        may_patch(source, "linkerd", "the-copy")
        assert checks(source)[name]["result"] == "success" and wrong(source) == {}
    finally:
        for namespace in (AGENT_NAMESPACE, "linkerd"):
            for kind in ("rolebindings", "roles"):
                source.api.delete(kind, "svcmirror-renew-east", namespace)


def test_the_target_s_side_fails(source, east, healthy):
    # The account may read less than it must.
    east.api.patch("clusterroles", "check-reader", {"rules": [{"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list"]}]})
    found = wrong_when(source, "endpoints of the targets may be read")
    assert "missing permission to watch services" in found["remote cluster access credentials are valid"][1]
    assert found["endpoints of the targets may be read"][0] == "warning"
    assert found["clusters share trust anchors"][0] == "warning"  # not known is not wrong
    east.reader_kubeconfig(READER, "check-reader")

    # The gateway dies.
    east.gateway.stop()
    found = wrong_when(source, "probe services able to communicate with all gateway mirrors")
    assert "cluster: [east], gateway: [" in found["probe services able to communicate with all gateway mirrors"][1]
    east.gateway.start()

    # Nobody answers there: that costs the time of one request, and is told once.
    east.network.drop(*api_address(east))
    began = time.monotonic()
    found = wrong(source, "--timeout", "2s")
    assert time.monotonic() - began < 15
    assert "cluster east" in found["remote cluster access credentials are valid"][1]
    assert "clusters share trust anchors" not in found
    east.network.heal()

    # The agent ends: its Lease is given back.
    healthy.stop()
    assert "no agent serves it" in wrong_when(source, "an agent serves every Link")["an agent serves every Link"][1]


def api_address(target):
    host, port = target.server.split("//")[1].split(":")
    return host, int(port)


def wrong_when(source, name):
    """What is wrong, once this is."""
    found = {}

    def is_wrong():
        found.clear()
        found.update(wrong(source))
        return name in found

    wait_until(is_wrong, 30, f"{name} is wrong", 0.2)
    return found


def test_a_thousand_mirrors_are_checked_in_under_five_seconds(source, east, healthy, lab):
    healthy.stop()  # it would take away what it did not make
    labels = {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east"}
    services, slices = "/api/v1/namespaces/demo/services", "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices"
    names = [f"s{i}-east" for i in range(1000)]
    port = {"name": "http", "port": 80, "protocol": "TCP"}
    send(source, [("POST", services, {"metadata": {"name": name, "labels": labels}, "spec": {"ports": [port]}}) for name in names]
         + [("POST", slices, {"metadata": {"name": f"{name}.ipv4", "labels": {**labels, "kubernetes.io/service-name": name}}, "addressType": "IPv4",
                              "endpoints": [{"addresses": ["10.201.1.2"]}], "ports": [port]}) for name in names[1:]], lab.folder)
    began = time.monotonic()
    found = wrong(source)
    took = time.monotonic() - began
    print(f"1,000 mirrors checked in {took:.2f} s")
    send(source, [("DELETE", f"{services}/{name}", None) for name in names] + [("DELETE", f"{slices}/{name}.ipv4", None) for name in names[1:]], lab.folder)
    assert set(found) == {"an agent serves every Link", "all mirror services have endpoints"}
    assert found["all mirror services have endpoints"][1].startswith("Service s0-east.demo mirrored from cluster [east] has no endpoints")
    assert took < 5


GATEWAY = EDGE_STACK[1], EDGE_STACK[2]


@pytest.fixture
def gateway_of_edge_stack(east, tmp_path):
    """Edge Stack in the target, made a gateway by `edge-stack prepare`, with an address, a Host and a pod with its proxy; nothing of a source."""
    crds = emissary_types(tmp_path)
    _, namespace, name, labels, target = EDGE_STACK
    install(east, crds, namespace, name, labels, target)
    try:
        host = {"apiVersion": "getambassador.io/v3alpha1", "kind": "Host", "metadata": {"name": "wildcard", "namespace": namespace},
                "spec": {"hostname": "*", "requestPolicy": {"insecure": {"action": "Route"}}}}
        kubectl(east, "apply", "-f", "-", input=json.dumps(host))
        prepare(east, "--yes", "--wait=0")
        east.set_gateway_addresses(["192.0.2.7"], name, namespace)
        gateway_pod(east)
        yield east
    finally:
        for pod in east.api.list("pods", namespace):
            east.kill_pod(pod["metadata"]["name"], namespace)
        east.api.delete("services", "orders", "demo")
        remove(east, crds, namespace, name)


def gateway_pod(cluster, proxy=True, ready=True):
    """The gateway's pod anew, and what the controllers make of it."""
    _, namespace, name, labels, _ = EDGE_STACK
    if cluster.api.find("pods", "gateway-0", namespace):
        cluster.kill_pod("gateway-0", namespace)
    address = cluster.network.address(20)
    cluster.pod("gateway-0", namespace, address, labels, ready=ready, serviceAccountName=name,
                containers=[{"name": one, "image": "none"} for one in ("aes", "linkerd-proxy") if proxy or one == "aes"])
    cluster.api.patch("pods", "gateway-0", {"metadata": {"annotations": {"config.linkerd.io/enable-gateway": "true"}}}, namespace)
    wait_until(lambda: cluster.ready_addresses(name, namespace) == ([address] if ready else []), 20, "the endpoints follow the pod")


def test_a_target_s_own_gateway_is_checked_without_anything_of_a_source(gateway_of_edge_stack):
    east, (namespace, name) = gateway_of_edge_stack, GATEWAY
    valid, proxy, edge_stack = "all cluster gateways are valid", "gateways have their proxy", "Edge Stack is set up as a gateway"
    began = time.monotonic()
    result = run(east, wait="60s")
    assert result.returncode == 0 and time.monotonic() - began < 30, result.stdout + result.stderr  # no agent is waited for
    assert list(checks(east)) == ["the cluster is a target alone", valid, proxy, edge_stack]
    assert wrong(east) == {}

    def found(check, *words, also=()):
        said = wrong(east)
        assert set(said) == {check, *also} and said[check][0] == "warning" and all(one in said[check][1] for one in words), said

    def custom(kind, object_name, patch):
        resource = f"/apis/getambassador.io/v3alpha1/namespaces/{namespace}/{kind}"
        if object_name is None:
            [object_name] = [one["metadata"]["name"] for one in east.api.call("GET", resource)["items"]]
        return east.api.call("PATCH", f"{resource}/{object_name}", patch, "application/merge-patch+json")

    # The Service: no address, no port, no annotation.
    with changed(east, "services", name, namespace, {"status": {"loadBalancer": {"ingress": None}}}, "status"):
        found(valid, f"* cluster target: gateway {namespace}/{name} has no external address")
    ports = east.api.get("services", name, namespace)["spec"]["ports"]
    with changed(east, "services", name, namespace, {"spec": {"ports": [port for port in ports if port["name"] != "mc-gateway"]}}):
        found(valid, "has no port named mc-gateway", also=[edge_stack])
    with changed(east, "services", name, namespace, {"metadata": {"annotations": {"mirror.linkerd.io/gateway-identity": None}}}):
        found(valid, "lacks annotation mirror.linkerd.io/gateway-identity", also=[edge_stack])
    with changed(east, "services", name, namespace, {"metadata": {"annotations": {"mirror.linkerd.io/gateway-identity": "default.emissary"}}}):
        found(edge_stack, f"Service {namespace}/{name} is not as `svcmirror edge-stack prepare` makes it")

    # A service exported for 2.8 whose gateway is not there.
    east.export("orders", gateway="gone", gateway_ns="edge")
    found(valid, "exported service orders.demo references a gateway that does not exist: edge/gone")
    marks = {"mirror.linkerd.io/gateway-name": name, "mirror.linkerd.io/gateway-ns": namespace}
    east.api.patch("services", "orders", {"metadata": {"annotations": marks}}, "demo")
    assert wrong(east) == {}

    # Its pods: not ready, without a proxy.
    gateway_pod(east, ready=False)
    found(valid, f"gateway {namespace}/{name} has no ready endpoint")
    gateway_pod(east, proxy=False)
    found(proxy, f"pod {namespace}/gateway-0 of the gateway has no container linkerd-proxy")
    gateway_pod(east)
    assert wrong(east) == {}

    # Each of Edge Stack's own objects.
    custom("hosts", "wildcard", {"spec": {"requestPolicy": {"insecure": {"action": "Redirect"}}}})
    found(edge_stack, f'host {namespace}/wildcard: requestPolicy.insecure.action is "Redirect"')
    custom("hosts", "wildcard", {"spec": {"hostname": "shop.example"}})
    found(edge_stack, 'no Host has hostname "*"')
    custom("hosts", "wildcard", {"spec": {"hostname": "*", "requestPolicy": {"insecure": {"action": "Route"}}}})
    for patch, back, words in (({"hostname": "shop.example"}, {"hostname": "*"}, 'hostname is "shop.example"'),
                               ({"rewrite": "/"}, {"rewrite": "/ambassador/v0/check_ready"}, 'rewrite is "/"'),
                               ({"service": "web"}, {"service": "localhost:8877"}, 'service is "web"'),
                               ({"bypass_auth": False}, {"bypass_auth": True}, "bypass_auth is not true"),
                               ({"prefix": "/other"}, {"prefix": "/-/ambassador/ready"}, "probes find no route")):
        custom("mappings", None, {"spec": patch})
        found(edge_stack, words)
        custom("mappings", None, {"spec": back})
    custom("mappings", None, {"spec": {"ambassador_id": ["other"]}})
    found(edge_stack, "probes find no route")  # another instance's
    custom("mappings", None, {"spec": {"ambassador_id": None}})
    custom("hosts", "wildcard", {"spec": {"mappingSelector": {"matchLabels": {"host": "own"}}}})
    found(edge_stack, "is not as `svcmirror edge-stack prepare` makes it")
    custom("hosts", "wildcard", {"spec": {"mappingSelector": None}})
    custom("modules", "ambassador", {"spec": {"config": {"add_linkerd_headers": False}}})
    found(edge_stack, "config.add_linkerd_headers is not true")
    custom("modules", "ambassador", {"spec": {"config": {"add_linkerd_headers": True}}})
    custom("listeners", None, {"spec": {"port": 8081}})
    found(edge_stack, "no Listener has port 8080")
    custom("listeners", None, {"spec": {"port": 8080}})
    assert wrong(east) == {}


def test_a_cluster_without_anything_is_a_source_that_is_not_set_up(north):
    found = wrong(north)
    assert found["Link CRD exists"][0] == "error" and "svcmirror install --apply" in found["Link CRD exists"][1]
