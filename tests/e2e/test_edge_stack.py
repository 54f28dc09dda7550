"""`svcmirror edge-stack prepare` on a real API server with Emissary's own resource types, and the probe through a real Envoy."""
import json
import os
import pathlib
import re
import subprocess
import textwrap

import pytest
import yaml
from cluster.agent import default_binary
from cluster.wait import wait_until

# Beside the repository, or above a second working tree of it.
DATA = next((str(p / "shared/data") for p in pathlib.Path(__file__).resolve().parents if (p / "shared/data").is_dir()), "shared/data")
KINDS = ("services", "deployments", "modules.getambassador.io", "hosts.getambassador.io", "listeners.getambassador.io", "mappings.getambassador.io")


def prepare(cluster, *argv, status=0):
    result = subprocess.run([default_binary(), "edge-stack", "prepare", *argv, "--kubeconfig", cluster.admin_kubeconfig], text=True,
                            capture_output=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
    assert result.returncode == status, f"{argv}: {result.returncode}: {result.stdout}{result.stderr}"
    return result


def kubectl(cluster, *argv, input=None):
    result = cluster.kubectl(*argv, input=input)
    assert result.returncode == 0, result.stderr
    return result.stdout


def state(cluster, namespace, of=",".join(KINDS)):
    """Every object of the kinds concerned, without versions, managed fields and what others report."""
    objects = json.loads(kubectl(cluster, "get", of, "-n", namespace, "-o", "json"))["items"]
    for one in objects:
        for field in ("resourceVersion", "generation", "managedFields"):
            one["metadata"].pop(field, None)
        one.pop("status", None)
        (one["metadata"].get("annotations") or {}).pop("deployment.kubernetes.io/revision", None)
    return {(one["kind"], one["metadata"]["name"]): json.dumps(one, sort_keys=True) for one in objects}


def versions(cluster, namespace, of):
    objects = json.loads(kubectl(cluster, "get", of, "-n", namespace, "-o", "json"))["items"]
    return {(one["kind"], one["metadata"]["name"]): one["metadata"]["resourceVersion"] for one in objects}


ONLY_V2 = "only v2 of emissary-crds-v2-v3alpha1.yaml"  # as generation 1: no v3alpha1, and so no Listener
# Types, namespace, names, labels and ports as each generation's installation makes them.
GENERATIONS = {
    "edge-stack-1.5": (ONLY_V2, "ambassador", "ambassador", {"service": "ambassador"}, "http"),
    "edge-stack-1.14-helm": (ONLY_V2, "ambassador", "edge-stack-ambassador",
                             {"app.kubernetes.io/name": "ambassador", "app.kubernetes.io/instance": "edge-stack"}, 8080),
    "emissary-4": ("emissary-crds-v3alpha1.yaml", "emissary", "emissary-ingress",
                   {"app.kubernetes.io/name": "emissary-ingress", "app.kubernetes.io/instance": "emissary-ingress"}, 8080),
}


def definitions(crds):
    """The resource types of a generation that are looked at. Each is stored in v2 where that is served."""
    path = os.path.join(DATA, crds.rpartition(" ")[2])
    if not os.path.exists(path):
        pytest.skip("Emissary's resource types are not here")
    with open(path, encoding="utf-8") as file:
        found = [one for one in yaml.safe_load_all(file) if one and one["metadata"]["name"] in KINDS]
    if crds != ONLY_V2:
        return found
    for one in found:
        one["spec"]["versions"] = [version for version in one["spec"]["versions"] if version["name"] == "v2"]
    return [one for one in found if one["spec"]["versions"]]


def kinds(crds):
    """Of KINDS those that a cluster with these types serves."""
    types = {one["metadata"]["name"] for one in definitions(crds)}
    return ",".join(kind for kind in KINDS if "." not in kind or kind in types)


def install(cluster, crds, namespace, name, labels, http_target):
    types = yaml.safe_dump_all(definitions(crds))
    kubectl(cluster, "apply", "--server-side", "--force-conflicts", "-f", "-", input=types)
    kubectl(cluster, "wait", "--for=condition=Established", "--timeout=60s", "-f", "-", input=types)
    for one in (namespace, "linkerd"):
        cluster.ensure_namespace(one)
    container = {"name": "aes", "image": "example.test/aes:1", "env": [{"name": "AMBASSADOR_NAMESPACE", "value": namespace}],
                 "ports": [{"name": "http", "containerPort": 8080}, {"name": "https", "containerPort": 8443}, {"name": "admin", "containerPort": 8877}]}
    objects = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "linkerd-config", "namespace": "linkerd"},
         "data": {"values": "clusterDomain: cluster.local\nidentityTrustDomain: east.example\n"}},
        {"apiVersion": "v1", "kind": "Service",
         "metadata": {"name": name, "namespace": namespace, "labels": {**labels, "app.kubernetes.io/component": "ambassador-service"}},
         "spec": {"type": "LoadBalancer", "selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": http_target},
                                                                        {"name": "https", "port": 443, "targetPort": 8443}]}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": namespace},
         "spec": {"replicas": 1, "selector": {"matchLabels": labels},
                  "template": {"metadata": {"labels": labels}, "spec": {"serviceAccountName": name, "containers": [container]}}}},
        {"apiVersion": f"getambassador.io/{'v2' if crds == ONLY_V2 else 'v3alpha1'}", "kind": "Module", "metadata": {"name": "ambassador", "namespace": namespace},
         "spec": {"config": {"diagnostics": {"enabled": False}}}}]
    kubectl(cluster, "apply", "-f", "-", input=yaml.safe_dump_all(objects))


def remove(cluster, crds, namespace, name):
    for kind in ("services", "deployments"):
        kubectl(cluster, "delete", kind, name, "-n", namespace, "--ignore-not-found")
    kubectl(cluster, "delete", "configmap", "linkerd-config", "-n", "linkerd", "--ignore-not-found")
    cluster.kubectl("delete", "--ignore-not-found", "--timeout=20s", "-f", "-", input=yaml.safe_dump_all(definitions(crds)))
    for one in definitions(crds):  # an API server under load may not get round to listing the instances of a type, and it never goes by itself then
        cluster.kubectl("patch", "customresourcedefinition", one["metadata"]["name"], "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
    wait_until(lambda: cluster.api.raw("GET", "/apis/getambassador.io")[0] == 404, 30, "Emissary's types are gone", 0.1)


@pytest.fixture(params=GENERATIONS)
def installed(request, east):
    crds, namespace, name, labels, target = GENERATIONS[request.param]
    install(east, crds, namespace, name, labels, target)
    yield east, namespace, name, crds
    remove(east, crds, namespace, name)


@pytest.fixture
def emissary(east):
    crds, namespace, name, labels, target = GENERATIONS["emissary-4"]
    install(east, crds, namespace, name, labels, target)
    yield east, namespace, name
    remove(east, crds, namespace, name)


def test_twice_changes_nothing_and_undo_gives_back_the_originals(installed):
    cluster, namespace, name, crds = installed
    of = kinds(crds)
    original = state(cluster, namespace, of)
    shown = prepare(cluster, "--dry-run=client").stdout
    assert f"change Service {namespace}/{name}" in shown and f"create Mapping {namespace}/public-health-check" in shown
    judged = prepare(cluster, "--dry-run=server").stdout
    assert f"service/{name} configured (server dry run)" in judged
    refused = prepare(cluster, status=1)
    assert "say --yes" in refused.stderr
    assert state(cluster, namespace, of) == original
    made = prepare(cluster, "--yes", "--wait=0").stdout
    assert f"service/{name} configured" in made and "module.getambassador.io/ambassador configured" in made
    written = {line.split("/")[0].partition(".")[0] for line in made.splitlines() if line.endswith((" created", " configured"))}
    assert written == {"module", "host", "mapping", "deployment", "service"} | (set() if crds == ONLY_V2 else {"listener"})
    mapping = json.loads(kubectl(cluster, "get", "mapping", "public-health-check", "-n", namespace, "-o", "json"))
    assert mapping["apiVersion"] == f"getambassador.io/{'v2' if crds == ONLY_V2 else 'v3alpha1'}"
    assert mapping["spec"].get("hostname") == (None if crds == ONLY_V2 else "*")
    service = cluster.api.get("services", name, namespace)
    assert [(p["name"], p["port"]) for p in service["spec"]["ports"]] == [("http", 80), ("https", 443), ("mc-gateway", 4143), ("mc-probe", 4191)]
    assert service["metadata"]["annotations"]["mirror.linkerd.io/gateway-identity"] == \
        f"{name}.{namespace}.serviceaccount.identity.linkerd.east.example"
    assert "svcmirror-edge-stack" in [m["manager"] for m in service["metadata"]["managedFields"]]
    before = versions(cluster, namespace, of)
    assert prepare(cluster, "--yes", "--wait=0").stdout == f"{namespace}/{name}: nothing to change\n"
    assert versions(cluster, namespace, of) == before
    prepare(cluster, "--undo", "--yes")
    assert state(cluster, namespace, of) == original
    assert prepare(cluster, "--undo", "--yes").stdout == f"{namespace}/{name}: nothing to take back\n"


def test_what_the_document_has_applied_in_the_source_is_accepted(emissary):
    cluster, namespace, name = emissary
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "edge-stack.md"), encoding="utf-8") as file:
        text = file.read()
    [manifests] = re.findall(r"apply -f - <<END\n(.*?)\n +END\n", text, re.S)
    objects = list(yaml.safe_load_all(textwrap.dedent(manifests)))
    assert [(one["kind"], one["metadata"]["name"]) for one in objects] == [("Module", "ambassador"), ("Mapping", "qotm-east")]
    result = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=yaml.safe_dump_all(objects))
    assert result.returncode == 0 and result.stdout.count("(server dry run)") == 2, result.stderr
    [patch] = re.findall(r"--type merge -p '(.*?)'", text, re.S)
    patched = json.loads(kubectl(cluster, "patch", "deployment", name, "-n", namespace, "--type", "merge", "-p", patch, "--dry-run=server", "-o", "json"))
    assert patched["spec"]["template"]["metadata"]["annotations"]["config.linkerd.io/skip-inbound-ports"] == "80,443,8080,8443"


def test_an_obstacle_is_named_and_nothing_is_written(emissary):
    cluster, namespace, _ = emissary
    host = {"apiVersion": "getambassador.io/v3alpha1", "kind": "Host", "metadata": {"name": "zzz", "namespace": namespace}, "spec": {"hostname": "*"}}
    kubectl(cluster, "apply", "-f", "-", input=json.dumps(host))
    original = state(cluster, namespace)
    refused = prepare(cluster, "--yes", status=1)
    assert f"obstacle: Host {namespace}/zzz decides" in refused.stderr and "--patch-host" in refused.stderr
    assert state(cluster, namespace) == original
    prepare(cluster, "--yes", "--wait=0", "--patch-host")
    assert json.loads(kubectl(cluster, "get", "host", "zzz", "-n", namespace, "-o", "json"))["spec"]["requestPolicy"] == {"insecure": {"action": "Route"}}
    prepare(cluster, "--undo", "--yes")
    assert state(cluster, namespace) == original


def test_the_probe_goes_through_the_external_address_and_names_what_is_wrong(emissary):
    cluster, namespace, name = emissary
    waited = prepare(cluster, "--yes", "--wait=1s", "--probe-port=8080", status=1)
    assert "has no external address yet" in waited.stderr
    address = cluster.gateway.addresses[0]
    cluster.set_gateway_addresses([address], name, namespace)
    for fault, reason in (("redirect", "InsecureRedirect"), ("no_mapping", "NoRoute"), ("wrong_rewrite", "WrongRewrite"),
                          ("auth_refused", "AuthRefused"), ("catch_all", "OKOtherBody"), ("upstream_silent", "UpstreamTimeout")):
        cluster.gateway.start(fault)
        failed = prepare(cluster, "--yes", "--wait=100ms", status=1)
        assert f"the probe of {address} port 8080 fails: {reason}: " in failed.stderr
        cluster.gateway.stop()
    closed = prepare(cluster, "--yes", "--wait=100ms", status=1)
    assert "ConnectionRefused" in closed.stderr
    cluster.gateway.start()
    alive = prepare(cluster, "--yes", "--wait=20s")
    assert f"{address} port 8080 answers /-/ambassador/ready: OK" in alive.stdout
    cluster.gateway.stop()
    prepare(cluster, "--undo", "--yes")
