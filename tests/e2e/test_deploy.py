"""The manifests of deploy/: a real API server takes them, their accounts have the rights that the agent needs, and the Link type is Linkerd's."""
import copy
import os
import shutil
import subprocess

import pytest
import yaml
from cluster.agent import default_binary
from cluster.api import write_file
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

DEPLOY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy")
MANIFESTS = os.path.join(DEPLOY, "manifests")
UPSTREAM_CRD = os.path.join(DEPLOY, "..", "..", "shared", "data", "linkerd-link-crd.yaml")
LINKS = "/apis/multicluster.linkerd.io"


def manifest(name):
    return os.path.join(MANIFESTS, name)


def documents(name):
    with open(manifest(name), encoding="utf-8") as file:
        return list(yaml.safe_load_all(file))


def kubectl(cluster, *argv, **more):
    result = cluster.kubectl(*argv, **more)
    assert result.returncode == 0, f"kubectl {' '.join(argv)}: {result.stderr}"
    return result.stdout


def delete_crd(cluster):
    cluster.api.delete("customresourcedefinitions", "links.multicluster.linkerd.io")
    wait_until(lambda: cluster.api.raw("GET", LINKS)[0] == 404, 30, "Link resources are gone", 0.1)


def serve_crd(cluster, path):
    kubectl(cluster, "apply", "-f", path)
    versions = ("v1alpha1", "v1alpha2", "v1alpha3")
    wait_until(lambda: all(cluster.api.raw("GET", f"{LINKS}/{v}/links")[0] == 200 for v in versions), 30, "Link resources are served", 0.1)


@pytest.fixture
def deployed(source):
    """The source cluster with everything of the kustomization in it."""
    kubectl(source, "apply", "-k", MANIFESTS)
    wait_until(lambda: source.api.raw("GET", LINKS + "/v1alpha3/links")[0] == 200, 30, "Link resources are served", 0.1)
    yield source
    source.api.delete("deployments", "svcmirror", AGENT_NAMESPACE)
    for resource, namespace in (("rolebindings", AGENT_NAMESPACE), ("roles", AGENT_NAMESPACE), ("clusterrolebindings", None), ("clusterroles", None)):
        source.api.delete(resource, "svcmirror", namespace)
    source.api.delete("serviceaccounts", "svcmirror", AGENT_NAMESPACE)
    delete_crd(source)


@pytest.fixture
def remote_kubeconfig(east):
    """What the target's owner hands out: the token that Kubernetes put into the Secret of target-rbac.yaml."""
    kubectl(east, "apply", "-f", manifest("target-rbac.yaml"))

    def token():
        data = kubectl(east, "get", "secret", "svcmirror-remote-token", "-n", AGENT_NAMESPACE, "-o", "jsonpath={.data.token}")
        return subprocess.run(["base64", "-d"], input=data, text=True, capture_output=True, check=True).stdout if data else None
    text = wait_until(token, 60, "the token of svcmirror-remote", 0.1)
    yield east.token_kubeconfig(text)
    for resource in ("clusterrolebindings", "clusterroles"):
        east.api.delete(resource, "svcmirror-remote")
    east.api.delete("serviceaccounts", "svcmirror-remote", AGENT_NAMESPACE)


def granted(roles):
    """What these roles allow: {(group, resource, verb)}."""
    found = set()
    for role in roles:
        for rule in role["rules"]:
            found |= {(g, r, v) for g in rule["apiGroups"] for r in rule["resources"] for v in rule["verbs"]}
    return found


# -- the manifests --

def test_kubectl_accepts_every_manifest(source, east):
    files = sorted(f for f in os.listdir(MANIFESTS) if f != "kustomization.yaml")
    # The namespace has to be there for the rest to be judged.
    kubectl(source, "apply", "-f", manifest("namespace.yaml"))
    kubectl(east, "apply", "-f", manifest("namespace.yaml"))
    for name in files:
        cluster = east if name.startswith("target-") else source
        result = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", manifest(name))
        assert result.returncode == 0, f"{name}: {result.stderr}"
        assert "Warning" not in result.stderr, f"{name}: {result.stderr}"


def test_kustomization_holds_every_manifest_of_the_source(source):
    rendered = list(yaml.safe_load_all(kubectl(source, "kustomize", MANIFESTS)))
    written = [d for name in os.listdir(MANIFESTS) if name != "kustomization.yaml" and not name.startswith("target-") for d in documents(name)]
    identity = lambda d: (d["kind"], d["metadata"].get("namespace"), d["metadata"]["name"])  # noqa: E731
    assert sorted(map(str, map(identity, rendered))) == sorted(map(str, map(identity, written)))
    by_identity = {identity(d): d for d in rendered}
    for document in written:
        assert by_identity[identity(document)] == document


def test_applying_again_changes_nothing(deployed):
    again = kubectl(deployed, "apply", "-k", MANIFESTS).splitlines()
    assert len(again) == 9 and all(line.endswith(" unchanged") for line in again), again


def test_pod_meets_the_restricted_standard(deployed):
    """Kubernetes' own judge of pods, in its strictest setting, has nothing to object."""
    [deployment] = documents("deployment.yaml")
    deployed.ensure_namespace("restricted")
    label = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    deployed.api.patch("namespaces", "restricted", label)
    template = deployment["spec"]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {**template["metadata"], "name": "judged", "namespace": "restricted"}, "spec": template["spec"]}
    kubectl(deployed, "create", "--dry-run=server", "-f", "-", input=yaml.safe_dump(pod))
    worse = copy.deepcopy(pod)
    worse["spec"]["containers"][0]["securityContext"]["capabilities"] = {}
    assert deployed.kubectl("create", "--dry-run=server", "-f", "-", input=yaml.safe_dump(worse)).returncode != 0, "the judge is not at work"


def test_names_that_others_look_for():
    [deployment], [service], [namespace] = documents("deployment.yaml"), documents("service.yaml"), documents("namespace.yaml")
    template = deployment["spec"]["template"]
    [container] = template["spec"]["containers"]
    [port] = container["ports"]
    # Linkerd's Prometheus: pods by this label, ports by this ending.
    assert template["metadata"]["labels"]["component"] == "linkerd-service-mirror"
    assert port["name"].endswith("-admin") and len(port["name"]) <= 15
    assert namespace["metadata"]["labels"]["linkerd.io/extension"] == "multicluster"
    assert service["spec"]["ports"] == [{"name": "admin", "port": 9999, "targetPort": port["name"], "protocol": "TCP"}]
    assert service["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    for probe in ("livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == port["name"]
    # The image's own user, and the version that this binary says it is.
    version = subprocess.run([default_binary(), "version"], text=True, capture_output=True, check=True).stdout.split()[-1]
    assert container["image"] == f"svcmirror:{version}"


def test_the_image_runs(tmp_path):
    """The root file system that the Dockerfile makes holds all that the program needs."""
    root = str(tmp_path / "image")
    subprocess.run([os.path.join(DEPLOY, "collect-closure"), default_binary(), root], check=True)
    inside = subprocess.run([shutil.which("chroot") or "/usr/sbin/chroot", root, "/usr/bin/svcmirror", "version"], text=True, capture_output=True, check=False)
    assert inside.returncode == 0 and inside.stdout.startswith("svcmirror "), inside.stderr
    assert sorted(os.listdir(os.path.join(root, "usr/bin"))) == ["svcmirror"]


def test_a_program_without_its_libraries_makes_no_image(tmp_path):
    (tmp_path / "ldd").write_text("#!/bin/sh\necho '\tlibgone.so.1 => not found'\n", encoding="ascii")
    (tmp_path / "ldd").chmod(0o755)
    result = subprocess.run([os.path.join(DEPLOY, "collect-closure"), default_binary(), str(tmp_path / "image")], text=True, capture_output=True,
                            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=False)
    assert result.returncode != 0 and "libgone.so.1" in result.stderr


# -- the rights --

def run_as_deployed(deployed, agent, **more):
    """The agent with the account of the manifests instead of the laboratory's administrator."""
    path = write_file(deployed.token_kubeconfig(deployed.token("svcmirror", AGENT_NAMESPACE)), ".kubeconfig")
    return agent(kubeconfig=path, **more)


def refused(running, cluster):
    """What the agent's account was refused: by the agent's count of answers, and by the API server's log of writes."""
    account = f"system:serviceaccount:{AGENT_NAMESPACE}:svcmirror"
    counted = [name for name, value in running.metrics().items() if name.startswith("svcmirror_api_requests_total") and 'code="403"' in name and value]
    return counted + [f"{entry['verb']} {entry['requestURI']}" for entry in cluster.writes() if entry["user"].get("username") == account and  # nobody, when a token was refused
                      entry.get("responseStatus", {}).get("code") == 403]


def test_the_agents_rights_suffice_for_a_link(deployed, east, remote_kubeconfig, agent):
    api = deployed.api
    east.gateway.start()
    deployed.ensure_namespace("granted")
    east.export_labelled("web", "granted")
    east.export_labelled("lost", "no-such-namespace-here")
    east.link(deployed, kubeconfig=remote_kubeconfig)
    running = run_as_deployed(deployed, agent)

    # Creates mirrors, and moves endpoints both ways.
    wait_until(lambda: deployed.ready_addresses("web-east", "granted") == sorted(east.gateway.addresses), 10, "the mirror is ready")
    east.gateway.stop()
    wait_until(lambda: deployed.slices("web-east", "granted") and deployed.ready_addresses("web-east", "granted") == [], 10, "the gateway is dead")
    east.gateway.start()
    wait_until(lambda: deployed.ready_addresses("web-east", "granted") == sorted(east.gateway.addresses), 10, "the gateway is alive")

    # Follows a change of the service.
    east.api.patch("services", "web", {"metadata": {"labels": {"team": "red"}}}, "granted")
    wait_until(lambda: api.get("services", "web-east", "granted")["metadata"]["labels"].get("team") == "red", 10, "the label arrives")

    # Says in the Link's status what became of each service.
    def conditions():
        status = api.get("links", "east", AGENT_NAMESPACE).get("status", {})
        return {s["remoteRef"]["name"]: s["conditions"][0]["reason"] for s in status.get("mirrorServices", [])}
    wait_until(lambda: conditions() == {"web": "Mirrored", "lost": "MissingNamespace"}, 10, "the status of both services")

    # Writes Events.
    wait_until(lambda: [e for e in api.list("events") if e.get("reportingController", "").endswith("svcmirror")], 10, "an Event")

    # Deletes what is no longer exported.
    east.api.delete("services", "web", "granted")
    wait_until(lambda: api.find("services", "web-east", "granted") is None, 10, "the mirror is gone")
    assert refused(running, deployed) == []


def test_the_agents_rights_suffice_for_a_2_8_secret(deployed, east, remote_kubeconfig, agent):
    api = deployed.api
    east.gateway.start()
    east.gateway_service()
    namespace = "made-by-the-agent"
    east.export("web", namespace)
    east.link_secret(deployed, kubeconfig=remote_kubeconfig)
    running = run_as_deployed(deployed, agent)
    wait_until(lambda: deployed.ready_addresses("web-east", namespace) == sorted(east.gateway.addresses), 10, "the mirror is ready, in a new namespace")
    wait_until(lambda: deployed.ready_addresses("ambassador-east", AGENT_NAMESPACE) == sorted(east.gateway.addresses), 10, "the gateway mirror is ready")
    api.delete("secrets", "cluster-credentials-east", AGENT_NAMESPACE)
    wait_until(lambda: api.find("services", "web-east", namespace) is None and api.find("services", "ambassador-east", AGENT_NAMESPACE) is None, 10,
               "both mirrors go with the link")
    assert refused(running, deployed) == []


@pytest.fixture
def pod(deployed):
    """What the kubelet gives to a pod of the manifests' account: files, and the environment that tells of the API server."""
    folder = "/var/run/secrets/kubernetes.io/serviceaccount"  # in the laboratory's own /run
    os.makedirs(folder)
    for name, text in (("token", deployed.token("svcmirror", AGENT_NAMESPACE)), ("namespace", AGENT_NAMESPACE)):
        with open(os.path.join(folder, name), "w", encoding="ascii") as file:
            file.write(text)
    shutil.copy(deployed.pki.ca, os.path.join(folder, "ca.crt"))
    yield {"KUBERNETES_SERVICE_HOST": deployed.host, "KUBERNETES_SERVICE_PORT": "6443"}
    shutil.rmtree(folder)


def test_the_account_of_the_pod_is_enough(deployed, east, remote_kubeconfig, pod, agent):
    """Neither kubeconfig nor context: as the Deployment runs it."""
    east.gateway.start()
    east.gateway_service()
    east.export("web", "granted")
    east.link_secret(deployed, kubeconfig=remote_kubeconfig)
    before = len(deployed.writes("svcmirror"))
    running = agent(kubeconfig="", env=pod)
    wait_until(lambda: deployed.ready_addresses("web-east", "granted") == sorted(east.gateway.addresses), 10, "the mirror is ready")
    account = {w["user"]["username"] for w in deployed.writes("svcmirror")[before:] if w["objectRef"].get("name") == "web-east"}
    assert account == {f"system:serviceaccount:{AGENT_NAMESPACE}:svcmirror"} and refused(running, deployed) == []


def test_a_right_taken_away_is_named_and_the_rest_goes_on(deployed, east, remote_kubeconfig, agent):
    [role] = [d for d in documents("rbac.yaml") if d["kind"] == "ClusterRole"]
    role["rules"] = [r for r in role["rules"] if r["resources"] != ["events"]]
    for rule in role["rules"]:
        if rule["resources"] == ["services"]:
            rule["verbs"].remove("delete")
    kubectl(deployed, "apply", "-f", "-", input=yaml.safe_dump(role))
    east.gateway.start()
    deployed.ensure_namespace("granted")
    east.export_labelled("first", "granted")
    east.export_labelled("lost", "no-such-namespace-here")
    east.link(deployed, kubeconfig=remote_kubeconfig)
    running = run_as_deployed(deployed, agent)
    wait_until(lambda: deployed.ready_addresses("first-east", "granted") == sorted(east.gateway.addresses), 10, "the mirror is ready")
    east.api.delete("services", "first", "granted")
    wait_until(lambda: [e for e in running.logs() if e["level"] in ("warn", "error") and 'cannot delete resource "services"' in e.get("error", "")], 10,
               "the log names the right")
    wait_until(lambda: running.metrics().get("svcmirror_events_dropped"), 10, "Events that may not be written are counted")
    wait_until(lambda: [e for e in running.logs("event_refused") if "grant create and patch on events" in e.get("remedy", "")], 5, "and the log names that right")
    east.export_labelled("second", "granted")
    wait_until(lambda: deployed.ready_addresses("second-east", "granted") == sorted(east.gateway.addresses), 10, "another mirror is ready")


def test_the_rights_are_no_more_than_the_agent_uses():
    """A right that is added to the manifests has to be added here, with its reader's consent."""
    namespaced = [d for d in documents("rbac.yaml") if d["kind"] == "Role"]
    everywhere = [d for d in documents("rbac.yaml") if d["kind"] == "ClusterRole"]
    remote = [d for d in documents("target-rbac.yaml") if d["kind"] == "ClusterRole"]
    read = ("get", "list", "watch")
    slices, mcs = ("discovery.k8s.io", "endpointslices"), "multicluster.x-k8s.io"
    assert granted(everywhere) == (
        {("", "endpoints", v) for v in (*read, "create", "update", "patch", "delete")} | {("", "services", v) for v in (*read, "create", "patch", "delete")} | {(*slices, v) for v in (*read, "create", "update", "patch", "delete")} |
        {("networking.k8s.io", "servicecidrs", v) for v in read} |
        {("", "namespaces", v) for v in (*read, "create")} | {(mcs, "serviceimports", v) for v in (*read, "create", "patch", "delete")} |
        {(mcs, "serviceimports/status", "patch")} | {("events.k8s.io", "events", v) for v in ("create", "patch")})
    assert granted(namespaced) == (
        {("", "secrets", v) for v in read} | {("multicluster.linkerd.io", "links", v) for v in (*read, "patch")} |
        {("multicluster.linkerd.io", "links/status", v) for v in ("get", "patch")} |
        {("coordination.k8s.io", "leases", v) for v in (*read, "create", "patch", "delete")})
    assert granted(remote) == {("", "services", v) for v in read} | {(*slices, v) for v in read} | {(mcs, "serviceexports", v) for v in read} | {("", "configmaps", "get")}
    assert [rule["resourceNames"] for rule in remote[0]["rules"] if rule["resources"] == ["configmaps"]] == [["linkerd-identity-trust-roots"]]


@pytest.mark.parametrize("side, account, verb, resource, namespace, allowed", [
    ("source", "svcmirror", "list", "secrets", AGENT_NAMESPACE, True),
    ("source", "svcmirror", "get", "secrets", "kube-system", False),
    ("source", "svcmirror", "create", "secrets", AGENT_NAMESPACE, False),
    ("source", "svcmirror", "delete", "namespaces", "default", False),
    ("source", "svcmirror", "patch", "links.multicluster.linkerd.io", AGENT_NAMESPACE, True),  # its finalizer
    ("source", "svcmirror", "create", "links.multicluster.linkerd.io", AGENT_NAMESPACE, False),
    ("source", "svcmirror", "delete", "links.multicluster.linkerd.io", AGENT_NAMESPACE, False),
    ("source", "svcmirror", "patch", "links.multicluster.linkerd.io/status", AGENT_NAMESPACE, True),
    ("source", "svcmirror", "list", "pods", "default", False),
    ("target", "svcmirror-remote", "watch", "services", "default", True),
    ("target", "svcmirror-remote", "patch", "services", "default", False),
    ("target", "svcmirror-remote", "list", "secrets", AGENT_NAMESPACE, False),
])
def test_what_the_api_server_lets_an_account_do(deployed, east, remote_kubeconfig, side, account, verb, resource, namespace, allowed):
    cluster = deployed if side == "source" else east
    resource, _, sub = resource.partition("/")
    answer = cluster.kubectl("auth", "can-i", verb, resource, "-n", namespace, f"--as=system:serviceaccount:{AGENT_NAMESPACE}:{account}",
                             *([f"--subresource={sub}"] if sub else []))
    assert answer.stdout.strip() == ("yes" if allowed else "no"), answer.stderr


# -- the Link type --

def link(version="v1alpha3", status=None, **spec):
    return {"apiVersion": f"multicluster.linkerd.io/{version}", "kind": "Link", "metadata": {"name": "judged", "namespace": AGENT_NAMESPACE},
            "spec": spec, **({"status": status} if status is not None else {})}


def service_status(**more):
    entry = {"controllerName": "linkerd.io/service-mirror", "remoteRef": {"name": "web", "namespace": "demo"},
             "conditions": [{"type": "Mirrored", "status": "True", "reason": "Mirrored", "message": "", "lastTransitionTime": "2026-01-02T03:04:05Z"}]}
    return {k: v for k, v in {**entry, **more}.items() if v is not None}


def condition(**more):
    base = service_status()["conditions"][0]
    return service_status(conditions=[{k: v for k, v in {**base, **more}.items() if v is not None}])


FULL = {"targetClusterName": "east", "targetClusterDomain": "cluster.local", "targetClusterLinkerdNamespace": "linkerd",
        "clusterCredentialsSecret": "cluster-credentials-east", "gatewayAddress": "192.0.2.1,192.0.2.2", "gatewayPort": "4143", "gatewayIdentity": "a.b.c",
        "probeSpec": {"path": "/ready", "port": "4191", "period": "3s"}, "selector": {"matchLabels": {"mirror.linkerd.io/exported": "true"}},
        "remoteDiscoverySelector": {"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}}
REF = {"name": "web", "namespace": "demo"}

# Whether the API server takes the object; what it then stores is compared as well.
SPECS = [
    ("nothing", link(), True),
    *[(f"everything, {v}", link(v, **FULL), True) for v in ("v1alpha1", "v1alpha2", "v1alpha3")],
    ("no spec", {k: v for k, v in link().items() if k != "spec"}, True),
    ("spec is text", {**link(), "spec": "x"}, False),
    ("gatewayPort is a number", link(gatewayPort=4143), False),
    ("gatewayPort is any text", link(gatewayPort="70000"), True),
    ("name is null", link(targetClusterName=None), True),
    ("name is empty", link(targetClusterName=""), True),
    ("empty probeSpec gets defaults", link(probeSpec={}), True),
    ("failureThreshold is a number", link(probeSpec={"failureThreshold": 3}), False),
    ("failureThreshold is any text", link(probeSpec={"failureThreshold": "many"}), True),
    *[(f"period {p!r}, {v}", link(v, probeSpec={"period": p}), ok or v == "v1alpha1") for v in ("v1alpha1", "v1alpha2", "v1alpha3")
      for p, ok in (("0s", True), ("3", False), ("3s", True), ("1m30s", True), ("soon", False), ("", False))],
    *[(f"timeout {t!r}, {v}", link(v, probeSpec={"timeout": t}), ok) for v in ("v1alpha1", "v1alpha3") for t, ok in (("30s", True), ("x", False))],
    ("selector is a list", link(selector=[]), False),
    ("matchLabels hold anything", link(selector={"matchLabels": {"a": 1, "b": {"c": []}}}), True),
    ("matchLabels is text", link(selector={"matchLabels": "a=b"}), False),
    *[(f"operator {o}", link(selector={"matchExpressions": [{"key": "a", "operator": o}]}), o in ("In", "NotIn", "Exists", "DoesNotExist"))
      for o in ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "in", "")],
    ("requirement without key", link(selector={"matchExpressions": [{"operator": "Exists"}]}), False),
    ("requirement without operator", link(selector={"matchExpressions": [{"key": "a"}]}), False),
    ("values are numbers", link(selector={"matchExpressions": [{"key": "a", "operator": "In", "values": [1]}]}), False),
    ("values are text", link(selector={"matchExpressions": [{"key": "a", "operator": "In", "values": "b"}]}), False),
    ("federatedServiceSelector", link(federatedServiceSelector={"matchLabels": {"mirror.linkerd.io/federated": "member"}}), True),
    ("federatedServiceSelector is unknown to v1alpha1", link("v1alpha1", federatedServiceSelector={"matchLabels": {"a": "b"}}), True),
    ("federatedServiceSelector is judged", link(federatedServiceSelector={"matchExpressions": [{}]}), False),
    ("exclusions", link(excludedAnnotations=["a/*"], excludedLabels=["b"]), True),
    ("exclusions are unknown to v1alpha2", link("v1alpha2", excludedAnnotations=["a/*"]), True),
    ("exclusions are numbers", link(excludedLabels=[1]), False),
    ("exclusions are text", link(excludedLabels="a,b"), False),
    ("unknown fields are dropped", link(surprise={"a": 1}, probeSpec={"surprise": 1}), True),
    ("a version that is not served", link("v1alpha4"), False),
]
STATUSES = [
    ("nothing", {}, True),
    ("empty lists", {"mirrorServices": [], "federatedServices": []}, True),
    ("one of each", {"mirrorServices": [service_status()], "federatedServices": [service_status()]}, True),
    ("no conditions", {"mirrorServices": [service_status(conditions=None)]}, True),
    ("no controllerName", {"mirrorServices": [service_status(controllerName=None)]}, False),
    ("no remoteRef", {"federatedServices": [service_status(remoteRef=None)]}, False),
    ("controllerName without a slash", {"mirrorServices": [service_status(controllerName="linkerd")]}, False),
    ("controllerName is empty", {"mirrorServices": [service_status(controllerName="")]}, False),
    ("remoteRef without a namespace", {"mirrorServices": [service_status(remoteRef={"name": "web"})]}, False),
    ("remoteRef with an empty name", {"mirrorServices": [service_status(remoteRef={**REF, "name": ""})]}, False),
    ("remoteRef with a long name", {"mirrorServices": [service_status(remoteRef={**REF, "name": "n" * 254})]}, False),
    ("remoteRef with a long namespace", {"mirrorServices": [service_status(remoteRef={**REF, "namespace": "n" * 64})]}, False),
    ("remoteRef with a bad namespace", {"mirrorServices": [service_status(remoteRef={**REF, "namespace": "N"})]}, False),
    ("remoteRef with group and kind", {"mirrorServices": [service_status(remoteRef={**REF, "group": "", "kind": "Service"})]}, True),
    ("remoteRef with a bad group", {"mirrorServices": [service_status(remoteRef={**REF, "group": "A_b"})]}, False),
    ("remoteRef with a bad kind", {"mirrorServices": [service_status(remoteRef={**REF, "kind": "1"})]}, False),
    *[(f"condition status {s}", {"mirrorServices": [condition(status=s)]}, s in ("True", "False", "Unknown")) for s in ("True", "False", "Unknown", "true", "")],
    *[(f"condition without {f}", {"mirrorServices": [condition(**{f: None})]}, False) for f in ("type", "status", "reason", "message", "lastTransitionTime")],
    ("reason with a blank", {"mirrorServices": [condition(reason="Not Mirrored")]}, False),
    ("reason is empty", {"mirrorServices": [condition(reason="")]}, False),
    ("reason is long", {"mirrorServices": [condition(reason="R" * 1025)]}, False),
    ("type with a blank", {"mirrorServices": [condition(type="Not Mirrored")]}, False),
    ("type with a domain", {"mirrorServices": [condition(type="example.com/Mirrored")]}, True),
    ("time is no time", {"mirrorServices": [condition(lastTransitionTime="yesterday")]}, False),
    ("localRef", {"mirrorServices": [condition(localRef=REF)]}, True),
    ("localRef is empty", {"mirrorServices": [condition(localRef={})]}, False),
    ("localRef without a namespace", {"mirrorServices": [condition(localRef={"name": "a"})]}, False),
    ("localRef is judged", {"mirrorServices": [condition(localRef={**REF, "kind": ""})]}, False),
]


def judgements(cluster):
    """{case: what the API server said of it}: None when refused, else the object as stored."""
    api, found = cluster.api, {}
    strip = lambda obj: {k: v for k, v in obj.items() if k != "metadata"}  # noqa: E731
    for name, body, _ in SPECS:
        version = body["apiVersion"].rpartition("/")[2]
        path = f"{LINKS}/{version}/namespaces/{AGENT_NAMESPACE}/links"
        status, _ = api.raw("POST", path, body)
        assert status in (201, 400, 404, 422), (name, status)
        found["spec: " + name] = None
        if status == 201:
            stored = {v: strip(api.call("GET", f"{LINKS}/{v}/namespaces/{AGENT_NAMESPACE}/links/judged")) for v in ("v1alpha1", "v1alpha2", "v1alpha3")}
            found["spec: " + name] = stored
            api.delete("links", "judged", AGENT_NAMESPACE)
    api.create("links", link(**FULL))
    for version in ("v1alpha1", "v1alpha2", "v1alpha3"):
        for name, status, _ in STATUSES:
            path = f"{LINKS}/{version}/namespaces/{AGENT_NAMESPACE}/links/judged/status"
            code, answer = api.raw("PATCH", path, [{"op": "add", "path": "/status", "value": status}], "application/json-patch+json")
            assert code in (200, 404, 422), (name, code, answer)
            found[f"status, {version}: {name}"] = strip(api.get("links", "judged", AGENT_NAMESPACE)) if code == 200 else None
    api.delete("links", "judged", AGENT_NAMESPACE)
    return found


def test_our_link_type_judges_as_described(link_crd, source):
    said = judgements(source)
    wrong = [name for name, _, taken in SPECS if (said["spec: " + name] is not None) != taken]
    for version in ("v1alpha1", "v1alpha2", "v1alpha3"):
        wrong += [f"{version}: {name}" for name, _, taken in STATUSES if (said[f"status, {version}: {name}"] is not None) != (taken and version != "v1alpha1")]
    assert wrong == []
    # Defaults are filled in, as the agent relies on.
    stored = said["spec: empty probeSpec gets defaults"]["v1alpha3"]["spec"]
    assert stored == {"probeSpec": {"failureThreshold": "3", "timeout": "30s"}}
    assert said["status, v1alpha3: localRef"]["status"]["mirrorServices"][0]["conditions"][0]["localRef"] == {**REF, "group": "core", "kind": "Service"}
    assert said["spec: unknown fields are dropped"]["v1alpha3"]["spec"] == {"probeSpec": {"failureThreshold": "3", "timeout": "30s"}}


def test_linkerds_link_type_judges_the_same(source, east):
    if not os.path.exists(UPSTREAM_CRD):
        pytest.skip("Linkerd's own definition is not here")
    east.ensure_namespace(AGENT_NAMESPACE)
    try:
        serve_crd(source, manifest("link-crd.yaml"))
        serve_crd(east, UPSTREAM_CRD)
        ours, theirs = judgements(source), judgements(east)
    finally:
        delete_crd(source)
        delete_crd(east)
    assert {name: said for name, said in ours.items() if said != theirs[name]} == {}


def test_links_survive_a_change_between_the_two_definitions(source):
    if not os.path.exists(UPSTREAM_CRD):
        pytest.skip("Linkerd's own definition is not here")
    serve_crd(source, UPSTREAM_CRD)
    try:
        source.api.create("links", link(**FULL, excludedLabels=["a"]))
        before = source.api.get("links", "judged", AGENT_NAMESPACE)
        for path in (manifest("link-crd.yaml"), UPSTREAM_CRD):
            serve_crd(source, path)
            assert source.api.get("links", "judged", AGENT_NAMESPACE)["spec"] == before["spec"]
    finally:
        delete_crd(source)
