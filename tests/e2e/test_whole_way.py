"""The whole way of Edge Stack's document by svcmirror's commands alone: from two clusters without it to a quote through the mirror, and back.

The laboratory stands for what is there before: Linkerd's settings in both clusters, Edge Stack and the quote service in the target. It plays the parts that
need nodes, too: it runs the agent where the Deployment wants one, gives the gateway the health route when its Mapping is there, and makes the gateway's pod
anew, with the proxy that Linkerd injects, when its Deployment asks for that.
"""
import base64
import contextlib
import json
import os
import re
import subprocess
import tarfile
import urllib.request

import pytest
import yaml
from cluster.agent import default_binary
from cluster.api import joined_kubeconfig, kubeconfig, write_file
from cluster.netlab import Network
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until
from test_edge_stack import DATA, GENERATIONS, install, remove

AUTHORITY = "qotm.default.svc.cluster.local"
# What the documents say that stays: the namespace with its labels, and the type.
STAYS = {"west": {("CustomResourceDefinition", None, "links.multicluster.linkerd.io"), ("Namespace", None, AGENT_NAMESPACE)},
         "east": {("Namespace", None, AGENT_NAMESPACE), ("ServiceAccount", AGENT_NAMESPACE, "default")}}
# What clusters write for themselves all the time.
PASSING = re.compile(r"^(events|events\.events\.k8s\.io|leases\.coordination\.k8s\.io|componentstatuses|apiservices\.apiregistration\.k8s\.io)$")
EDGE_STACK = GENERATIONS["emissary-4"]
DOCUMENT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "edge-stack.md")


@pytest.fixture
def svcmirror(source, east, tmp_path):
    """Runs a command with one kubeconfig of two contexts, "west" (the source) and "east"."""
    path = tmp_path / "kubeconfig"
    path.write_text(joined_kubeconfig(west=source, east=east))
    environment = {**os.environ, "KUBECONFIG": str(path), "ASAN_OPTIONS": "detect_leaks=1:exitcode=66", "UBSAN_OPTIONS": "halt_on_error=1:exitcode=67"}

    def run(*argv, meanwhile=lambda: None, code=0):
        """`meanwhile` does what the command waits for. `code` is what it must end with."""
        with subprocess.Popen([default_binary(), *argv], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                              env=environment) as process:
            try:
                meanwhile()
                out, err = process.communicate(timeout=60)
            finally:
                process.kill()
        print(f"$ svcmirror {' '.join(argv)}\n{out}{err}=> {process.returncode}\n")
        assert process.returncode == code, f"{argv}: {process.returncode}: {out}{err}"
        run.printed[written(" ".join(argv))] = {written(line) for line in out.splitlines()}
        return subprocess.CompletedProcess(argv, process.returncode, out, err)
    run.printed = {}
    return run


def written(line):
    """A line as the document has it: without the laboratory's own settings, and without what differs from day to day."""
    line = re.sub(r" --replicas 1| --probe-port=\d+", "", line.strip())
    line = re.sub(r"\d+\.\d+\.\d+\.\d+", "ADDRESS", line)
    return re.sub(r"\s+", " ", re.sub(r"port \d+", "port N", re.sub(r"\d+ms", "Nms", line)))


def walk():
    """The commands of the document's steps, each with the lines that it is said to print."""
    with open(DOCUMENT, encoding="utf-8") as file:
        steps = file.read().partition("\n## Step by step\n")[2].partition("\n## ")[0]
    shown, lines = {}, None
    for line in re.findall(r"^ {7}(.*)$|^ {0,6}\S", steps, re.M):
        if line.startswith("$"):
            lines = shown.setdefault(written(line[2:]), [])
        elif line and line != "..." and lines is not None:
            lines.append(written(line))
    return {command.removeprefix("svcmirror "): lines for command, lines in shown.items() if command.startswith("svcmirror ")}


@pytest.fixture
def meshed(source, east):
    """What Linkerd's installation leaves in both clusters, as far as it is read."""
    root = source.pki.read("ca.crt")
    for cluster in (source, east):
        cluster.ensure_namespace("linkerd")
        for name, data in (("linkerd-config", {"values": "clusterDomain: cluster.local\nidentityTrustDomain: cluster.local\n"}),
                           ("linkerd-identity-trust-roots", {"ca-bundle.crt": root})):
            cluster.api.apply("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "linkerd"}, "data": data})
    yield
    for cluster in (source, east):
        for name in ("linkerd-config", "linkerd-identity-trust-roots"):
            cluster.api.delete("configmaps", name, "linkerd")


def emissary_types(folder):
    """Emissary's own resource types, or, where they are not at hand, types of these names that take anything."""
    own = os.path.join(DATA, EDGE_STACK[0])
    if os.path.exists(own):
        return own
    path = os.path.join(folder, "types.yaml")
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    with open(path, "w", encoding="ascii") as file:
        yaml.safe_dump_all([{
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": f"{kind.lower()}s.getambassador.io"},
            "spec": {"group": "getambassador.io", "scope": "Namespaced", "names": {"kind": kind, "plural": f"{kind.lower()}s", "singular": kind.lower()},
                     "versions": [{"name": "v3alpha1", "served": True, "storage": True, "schema": schema}]}}
            for kind in ("Module", "Host", "Listener", "Mapping")], file)
    return path


@pytest.fixture
def edge_stack(east, meshed, tmp_path):
    """Edge Stack as it is installed, with an address from outside and no route for probes, in front of a quote service that is not exported."""
    _, namespace, name, labels, target = EDGE_STACK
    crds = emissary_types(tmp_path)
    install(east, crds, namespace, name, labels, target)
    east.set_gateway_addresses(east.gateway.addresses, name, namespace)
    replace_gateway_pod(east)
    east.qotm(exported=False)
    east.gateway.start("no_mapping")
    yield
    remove(east, crds, namespace, name)


def everything(cluster):
    """Every object of the cluster, without what says only when and by whom it was written."""
    names = cluster.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
    listed = cluster.kubectl("get", ",".join(name for name in names if not PASSING.match(name)), "-A", "-o", "json")
    assert listed.returncode == 0, listed.stderr
    found = {}
    for one in json.loads(listed.stdout)["items"]:
        meta = one["metadata"]
        for field in ("resourceVersion", "generation", "managedFields"):
            meta.pop(field, None)
        one.pop("status", None)
        # What Kubernetes' own controllers write about a Service and its pods, they write when they like, and pods are made anew when their Deployment
        # changes: that it is there, or not, is enough.
        derived = one["kind"] in ("Endpoints", "EndpointSlice", "Pod")
        found[one["kind"], meta.get("namespace"), meta["name"]] = None if derived else one
    return found


def differences(before, after):
    return {key for key in before.keys() | after.keys() if before.get(key, "missing") != after.get(key, "missing")}


class Node:
    """Runs what the agent's Deployment wants to run, with the account and the flags that stand there."""

    def __init__(self, source, start):
        self.source, self.start, self.agent, self.token = source, start, None, None
        self.network = Network(78)

    def run(self):
        api = self.source.api
        deployment = wait_until(lambda: api.find("deployments", "svcmirror", AGENT_NAMESPACE), 20, "the Deployment")
        template = deployment["spec"]["template"]
        account = template["spec"]["serviceAccountName"]
        [container] = template["spec"]["containers"]
        wait_until(lambda: api.find("serviceaccounts", account, AGENT_NAMESPACE), 20, "its account")
        flags = [arg for arg in container["args"][1:] if not arg.startswith("--namespace")]
        self.token = self.source.token(account, AGENT_NAMESPACE)
        with_token = write_file(kubeconfig(self.source.server, self.source.pki.read("ca.crt"), {"token": self.token}))
        self.agent = self.start(ready=False, kubeconfig=with_token, flags=flags, network=self.network, env={"HOSTNAME": "svcmirror-0"})
        wait_until(lambda: self.agent.get("/live")[0] == 200, 20, "the agent lives")
        self.source.pod("svcmirror-0", AGENT_NAMESPACE, self.network.address(1), template["metadata"]["labels"],
                        serviceAccountName=account, containers=[container])
        api.patch("deployments", "svcmirror", {"status": {"observedGeneration": deployment["metadata"]["generation"], "replicas": 1, "updatedReplicas": 1,
                                                          "readyReplicas": 1, "availableReplicas": 1}}, AGENT_NAMESPACE, "status")

    def stop(self):
        wait_until(lambda: self.source.api.find("deployments", "svcmirror", AGENT_NAMESPACE) is None, 20, "the Deployment is gone")
        self.agent.stop()
        self.source.kill_pod("svcmirror-0", AGENT_NAMESPACE)


def replace_gateway_pod(east):
    """The pod as the Deployment's template has it now, with the proxy where that is to be injected."""
    _, namespace, name, labels, _ = EDGE_STACK
    template = east.api.get("deployments", name, namespace)["spec"]["template"]
    annotations = template["metadata"].get("annotations") or {}
    containers = [{"name": one, "image": "none"} for one in ("aes", "linkerd-proxy") if one == "aes" or annotations.get("linkerd.io/inject") == "enabled"]
    if east.api.find("pods", "edge-stack-0", namespace):
        east.kill_pod("edge-stack-0", namespace)
    east.pod("edge-stack-0", namespace, east.gateway.addresses[0], labels, serviceAccountName=name, containers=containers)
    east.api.patch("pods", "edge-stack-0", {"metadata": {"annotations": annotations}}, namespace)
    wait_until(lambda: east.ready_addresses(name, namespace) == east.gateway.addresses[:1], 20, "the gateway's new pod is an endpoint")


def check_target(svcmirror):
    """The target by itself is right, and nothing of a source is missed there."""
    checked = svcmirror("check", "--context", "east")
    assert "\u00d7" not in checked.stdout and "\u203c" not in checked.stdout, checked.stdout
    assert [line for line in checked.stdout.splitlines() if line.startswith("\u221a")] == [f"\u221a {name}" for name in (
        "the cluster is a target alone", "all cluster gateways are valid", "gateways have their proxy", "Edge Stack is set up as a gateway")]
    assert checked.stderr == ""  # nothing is waited for


def quote(source):
    """A request from the source side, to the mirror's ClusterIP. The Host is what Linkerd's proxy would send there."""
    address = source.api.get("services", "qotm-east", "default")["spec"]["clusterIP"]
    request = urllib.request.Request(f"http://{address}/", headers={"Host": AUTHORITY})
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.loads(answer.read())


def refusals(agent):
    return [entry for entry in agent.logs() if "cannot" in entry.get("error", "") and "forbidden" in entry.get("error", "")]


def check_bundle(svcmirror, source, east, node, tmp_path):
    """Everything is in it but the log, which only a node has; and nothing that proves anybody, neither plain nor in base64."""
    path = tmp_path / "bundle.tar.gz"
    made = svcmirror("support-bundle", "-f", str(path), "--context", "west", code=1)
    assert "1 of it could not be had" in made.stderr and "agent/svcmirror-0/agent.log is missing" in made.stderr
    with tarfile.open(path) as archive:
        files = {member.name.partition("/")[2]: archive.extractfile(member).read().decode() for member in archive.getmembers()}
    metrics, links = files["agent/svcmirror-0/metrics.txt"], json.loads(files["agent/svcmirror-0/links.json"])
    assert "svcmirror_build_info" in metrics or "gateway_alive" in metrics
    assert [link["clusterName"] for link in links] == ["east"]
    names = {name: [one["metadata"]["name"] for one in json.loads(text)["items"]] for name, text in files.items()
             if name.endswith(".json") and "items" in text and isinstance(json.loads(text), dict)}
    assert "qotm-east" in names["mirrors/services.json"] and names["links.json"] == ["east"] and "service-mirror-write-east" in names["agent/leases.json"]
    assert "cluster-credentials-east" in names["secrets.json"] and names["targets/east/gateways.json"] == ["emissary-ingress"]
    assert "agent/events.json" in names and names["agent/deployments.json"] == ["svcmirror"] and json.loads(files["check.json"])["success"]
    secrets = [value for cluster in (source, east) for secret in cluster.api.list("secrets") for key, value in (secret.get("data") or {}).items()
               if key in ("token", "kubeconfig")]
    plain = [base64.b64decode(value).decode() for value in secrets] + [node.token] + [
        cluster.pki.read(name) for cluster in (source, east) for name in ("admin.key", "apiserver.key", "admin.crt")]
    pieces = {line for text in plain for line in text.replace("token:", "\n").split() if len(line) > 40} - set(source.pki.read("ca.crt").split())
    pieces |= {base64.b64encode(text.encode()).decode()[:60] for text in plain} | {value[:60] for value in secrets}
    assert len(pieces) > 20
    found = [(name, piece) for name, text in files.items() for piece in pieces if piece in text]
    assert found == []


@contextlib.contextmanager
def cleared(source, east):
    """For the tests that follow: what is still there when this one fails on its way."""
    try:
        yield
    except BaseException:
        if source.api.find("pods", "svcmirror-0", AGENT_NAMESPACE):
            source.kill_pod("svcmirror-0", AGENT_NAMESPACE)
        subprocess.run([default_binary(), "uninstall", "--yes", "--kubeconfig", source.admin_kubeconfig], check=False, capture_output=True)
        for resource, name in (("serviceaccounts", "svcmirror-remote"), ("clusterroles", "svcmirror-remote"), ("clusterrolebindings", "svcmirror-remote")):
            east.api.delete(resource, name, AGENT_NAMESPACE)
        raise


@pytest.mark.usefixtures("edge_stack")
def test_from_two_clusters_to_a_quote_and_back(source, east, agent, svcmirror, tmp_path):
    before = {"west": everything(source), "east": everything(east)}
    node = Node(source, agent)
    with cleared(source, east):
        installed = svcmirror("install", "--apply", "--replicas", "1", "--wait", "60s", "--context", "west", meanwhile=node.run)
        assert "deployment.apps/svcmirror created" in installed.stdout

        def serve_mapping():
            wait_until(lambda: east.kubectl("get", "mappings.getambassador.io", "-A", "-o", "name").stdout.strip(), 20, "the Mapping of the health check")
            east.gateway.restart()
            wait_until(lambda: "linkerd.io/inject" in json.dumps(east.api.get("deployments", EDGE_STACK[2], EDGE_STACK[1])), 20, "the Deployment wants the proxy")
            replace_gateway_pod(east)
        prepared = svcmirror("edge-stack", "prepare", "--yes", "--probe-port=8080", "--context", "east", meanwhile=serve_mapping)
        assert f"{east.gateway.addresses[0]} port 8080 answers /-/ambassador/ready: OK" in prepared.stdout
        check_target(svcmirror)

        linked = svcmirror("link", "--target-context", "east", "--context", "west", "--cluster-name", "east")
        assert "link.multicluster.linkerd.io/east created" in linked.stdout
        assert svcmirror("export", "qotm", "-n", "default", "--context", "east").stdout == "service/qotm exported\n"
        check_target(svcmirror)
        waited = svcmirror("link", "--target-context", "east", "--context", "west", "--cluster-name", "east", "--wait", "20s")
        assert "mirrored: default/qotm-east" in waited.stderr

        table = svcmirror("gateways", "--wait", "20s", "--context", "west")
        assert re.search(r"^east +True +1 +\d+ms$", table.stdout, re.M), table.stdout
        checked = svcmirror("check", "--wait", "20s", "--context", "west")
        assert "\u00d7" not in checked.stdout and "\u203c" not in checked.stdout, checked.stdout
        assert wait_until(lambda: quote(source), 10, "a quote through the mirror")["server"] == "qotm"
        assert refusals(node.agent) == []
        steps = walk()
        assert [command.split()[0] for command in steps] == ["install", "edge-stack", "link", "export", "check", "gateways"]
        for command, lines in steps.items():
            assert lines and set(lines) <= svcmirror.printed[command], f"docs/edge-stack.md shows of {command}: {set(lines) - svcmirror.printed[command]}"
        check_bundle(svcmirror, source, east, node, tmp_path)

        assert svcmirror("unexport", "qotm", "-n", "default", "--context", "east").stdout == "service/qotm unexported\n"
        wait_until(lambda: source.api.find("services", "qotm-east", "default") is None, 10, "the mirror is gone")
        svcmirror("unlink", "--cluster-name", "east", "--context", "west", "--target-context", "east", "--wait", "20s")
        svcmirror("edge-stack", "prepare", "--undo", "--yes", "--context", "east")
        replace_gateway_pod(east)
        wait_until(lambda: source.api.list("services", AGENT_NAMESPACE, "mirror.linkerd.io/mirrored-service=true") == [], 10, "the gateway's mirror is gone")
        svcmirror("uninstall", "--yes", "--context", "west", meanwhile=node.stop)
    for cluster, name in ((source, "west"), (east, "east")):
        left = lambda cluster=cluster, name=name: differences(before[name], everything(cluster)) - STAYS[name]  # noqa: E731
        wait_until(lambda left=left: left() == set(), 10, f"nothing is left in {name} but what is said to stay: {left()}")
