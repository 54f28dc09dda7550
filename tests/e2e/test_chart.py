"""deploy/chart and deploy/overlays: the same objects as deploy/manifests and `svcmirror install`, and a real API server takes them."""
import copy
import json
import os
import subprocess

import pytest
import yaml
from cluster.agent import default_binary
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
CHART = os.path.join(ROOT, "deploy", "chart")
HA_VALUES = os.path.join(CHART, "values-ha.yaml")
CRD = "links.multicluster.linkerd.io"
WHOLE = ("--include-crds", "--set", "createNamespace=true")


@pytest.fixture(scope="module")
def helm(tmp_path_factory):
    program = subprocess.run([os.path.join(ROOT, "tests", "cluster", "helm", "build")], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    home = tmp_path_factory.mktemp("helm")
    environment = {**os.environ, "KUBECONFIG": "/nonexistent", **{f"HELM_{name}_HOME": str(home / name) for name in ("CACHE", "CONFIG", "DATA")}}

    def run(*argv, cluster=None, status=0):
        words = [program, *argv]
        if cluster is not None:
            words = cluster.network.argv(*words, "--kubeconfig", cluster.admin_kubeconfig)
        result = subprocess.run(words, text=True, capture_output=True, env=environment, timeout=120, check=False)
        assert result.returncode == status, f"helm {' '.join(argv)}: {result.returncode}: {result.stdout}{result.stderr}"
        return result
    return run


def by_name(text):
    objects = [one for one in yaml.safe_load_all(text) if one]
    found = {(one["kind"], one["metadata"].get("namespace"), one["metadata"]["name"]): one for one in objects}
    assert len(found) == len(objects), "each object comes once"
    return found


def rendered(helm, *argv, namespace=AGENT_NAMESPACE):
    return by_name(helm("template", "svcmirror", CHART, "-n", namespace, *argv).stdout)


def kustomized(source, folder):
    result = source.kubectl("kustomize", os.path.join(ROOT, "deploy", folder))
    assert result.returncode == 0, result.stderr
    return by_name(result.stdout)


def installed(*argv):
    return by_name(subprocess.run([default_binary(), "install", *argv], text=True, capture_output=True, check=True).stdout)


def deployment(objects):
    [one] = [one for (kind, _, _), one in objects.items() if kind == "Deployment"]
    return one


# -- the same objects --

def test_the_chart_is_the_base(helm, source):
    base = kustomized(source, "manifests")
    assert rendered(helm, *WHOLE) == base
    # What Helm itself makes or keeps: the namespace (--create-namespace), and the resource type, which it neither upgrades nor deletes.
    assert rendered(helm) == {key: one for key, one in base.items() if key[0] not in ("Namespace", "CustomResourceDefinition")}


def test_overlays_are_the_chart_with_values(helm, source):
    assert kustomized(source, "overlays/ha") == rendered(helm, *WHOLE, "-f", HA_VALUES)
    assert kustomized(source, "overlays/linkerd") == rendered(helm, "--set", "createNamespace=true")


def test_the_chart_is_what_install_writes(helm):
    """Also where people change something, and in a namespace of another name."""
    flags = ["--log-level=debug", "--log-format=json", "--cluster-name=west", "--enable-headless-services=false", "--enable-namespace-creation=true",
             "--federated-service-selector=a=b", "--excluded-labels=x", "--excluded-annotations=y/*", "--max-link-memory=128"]
    values = {"logLevel": "debug", "logFormat": "json", "clusterName": "west", "enableHeadlessServices": False, "enableNamespaceCreation": True,
              "localServiceMirror": {"federatedServiceSelector": "a=b", "excludedLabels": "x", "excludedAnnotations": "y/*"},
              "agentFlags": ["--max-link-memory=128"], "replicas": 5, "controllerImage": "registry.example/svcmirror", "controllerImageVersion": "1.2.3",
              "imagePullPolicy": "Always", "imagePullSecrets": [{"name": "registry"}], "resources": {"limits": {"memory": "1Gi"}}}
    sets = [word for name, value in values.items() for word in ("--set-json", f"{name}={json.dumps(value)}")]
    wanted = installed("-n", "elsewhere", "--replicas", "5", "--image", "registry.example/svcmirror:1.2.3", "--image-pull-policy", "Always",
                       "--image-pull-secret", "registry", "--memory-limit", "1Gi", "--agent-flags=" + " ".join(flags))
    assert rendered(helm, *WHOLE, *sets, namespace="elsewhere") == wanted


# -- values --

POD = ("spec", "template", "spec")
VALUES = [  # value, where it shows, as what
    ("revisionHistoryLimit=0", ("spec", "revisionHistoryLimit"), 0),
    ("UID=1234", (*POD, "securityContext", "runAsUser"), 1234),
    ("GID=4294967294", (*POD, "securityContext", "runAsGroup"), 4294967294),
    ("enablePodAntiAffinity=true", (*POD, "affinity", "podAntiAffinity", "requiredDuringSchedulingIgnoredDuringExecution", 0, "topologyKey"), "kubernetes.io/hostname"),
    ("enablePodAntiAffinity=true", ("spec", "strategy", "rollingUpdate", "maxUnavailable"), 1),
    ("nodeSelector={\"a\":\"true\"}", (*POD, "nodeSelector"), {"a": "true", "kubernetes.io/os": "linux"}),
    ("nodeSelector=null", (*POD, "nodeSelector"), None),
    ("nodeAffinity={\"x\":[1]}", (*POD, "affinity", "nodeAffinity"), {"x": [1]}),
    ("tolerations=[{\"operator\":\"Exists\"}]", (*POD, "tolerations"), [{"operator": "Exists"}]),
    ("resources={\"limits\":{\"memory\":\"1Gi\"}}", (*POD, "containers", 0, "resources", "limits", "memory"), "1Gi"),
    ("podAnnotations={\"a\":\"1\"}", ("spec", "template", "metadata", "annotations", "a"), "1"),
    ("podLabels={\"a\":\"1\"}", ("spec", "template", "metadata", "labels", "a"), "1"),
    ("commonLabels={\"a\":\"1\"}", ("spec", "template", "metadata", "labels", "a"), "1"),
    ("controllerImageVersion=\"@sha256:" + 64 * "a" + "\"", (*POD, "containers", 0, "image"), "svcmirror@sha256:" + 64 * "a"),
    ("clusterName=\"a: b\"", (*POD, "containers", 0, "args", 2), "--cluster-name=a: b"),
    ("enableNamespaceCreation=false", (*POD, "containers", 0, "args", 2), "--enable-namespace-creation=false"),
    ("localServiceMirror={\"federatedServiceSelector\":\"\"}", (*POD, "containers", 0, "args", 2), "--federated-service-selector="),
]


def at(value, path):
    for step in path:
        value = value.get(step) if isinstance(value, dict) else value[step] if isinstance(value, list) and step < len(value) else None
    return value


def test_values_show(helm):
    plain = deployment(rendered(helm))
    for value, path, shows in VALUES:
        changed = deployment(rendered(helm, "--set-json", value))
        assert at(changed, path) == shows, value
        assert at(plain, path) != shows, f"{value} would show nothing"
        selector = changed["spec"]["selector"]["matchLabels"]
        assert selector == plain["spec"]["selector"]["matchLabels"], "a selector cannot be changed"
        assert selector.items() <= changed["spec"]["template"]["metadata"]["labels"].items()
    annotated = helm("template", "svcmirror", CHART, "--set", "podAnnotations.linkerd\\.io/inject=enabled").stdout
    assert "linkerd.io/inject: enabled" in annotated and "linkerd.io/inject: disabled" not in annotated
    twice = helm("template", "svcmirror", CHART, "--set", "commonLabels.team=edge,podLabels.team=core", "-s", "templates/deployment.yaml").stdout
    assert (twice.count("team: edge"), twice.count("team: core")) == (1, 1), "the pod's own wins"
    labelled = rendered(helm, *WHOLE, "--set", "commonLabels.team=edge,enablePodDisruptionBudget=true")
    assert len(labelled) == 10
    assert [key for key, one in labelled.items() if one["metadata"]["labels"].get("team") != "edge"] == [("CustomResourceDefinition", None, CRD)]


def test_every_value_has_a_rule_and_a_default():
    with open(os.path.join(CHART, "values.yaml"), encoding="utf-8") as file:
        values = yaml.safe_load(file)
    with open(os.path.join(CHART, "values.schema.json"), encoding="utf-8") as file:
        schema = json.load(file)
    assert set(values) == set(schema["properties"]) - {"global"}
    assert set(values["localServiceMirror"]) == set(schema["properties"]["localServiceMirror"]["properties"])
    with open(os.path.join(CHART, "Chart.yaml"), encoding="utf-8") as file:
        chart = yaml.safe_load(file)
    version = subprocess.run([default_binary(), "version"], text=True, capture_output=True, check=True).stdout.split()[-1]
    assert (chart["version"], chart["appVersion"]) == (version, version)


def test_wrong_values_are_refused(helm):
    for value, said in (("replica=3", "replica"), ("replicas=0", "replicas"), ("replicas=\"two\"", "replicas"), ("logLevel=\"verbose\"", "logLevel"),
                        ("logFormat=\"logfmt\"", "logFormat"), ("imagePullPolicy=\"Sometimes\"", "imagePullPolicy"), ("controllerImageVersion=\"a b\"", "controllerImageVersion"),
                        ("imagePullSecrets=[\"registry\"]", "imagePullSecrets"), ("agentFlags=[\"max-link-memory=1\"]", "agentFlags"),
                        ("agentFlags=[\"--namespace=x\"]", "agentFlags"), ("agentFlags=[\"--kubeconfig=x\"]", "agentFlags"), ("agentFlags=[\"--context=x\"]", "agentFlags"),
                        ("agentFlags=[\"--admin-addr=:1\"]", "agentFlags"), ("agentFlags=[\"--metrics-addr=:1\"]", "agentFlags"), ("agentFlags=[\"--help\"]", "agentFlags"),
                        ("UID=0", "UID"), ("podLabels={\"a\":1}", "podLabels"),
                        ("podLabels={\"component\":\"mine\"}", "podLabels"), ("commonLabels={\"app.kubernetes.io/name\":\"mine\"}", "commonLabels"),
                        ("localServiceMirror={\"excludedLabel\":\"x\"}", "localServiceMirror"), ("enableNamespaceCreation=\"yes\"", "enableNamespaceCreation")):
        result = helm("template", "svcmirror", CHART, "--set-json", value, status=1)
        assert "values don't meet the specifications of the schema" in result.stderr and said in result.stderr, value
        assert result.stdout == "", value


def test_lint_finds_nothing(helm):
    for values in ((), ("-f", HA_VALUES)):
        said = helm("lint", "--strict", CHART, *values).stdout
        assert "WARNING" not in said and "ERROR" not in said, said


# -- on a real API server --

@pytest.fixture
def clean(source, helm):
    yield source
    helm("uninstall", "svcmirror", "-n", AGENT_NAMESPACE, "--ignore-not-found", cluster=source)
    if source.api.find("customresourcedefinitions", CRD):
        source.api.delete("customresourcedefinitions", CRD)
        wait_until(lambda: source.api.raw("GET", "/apis/multicluster.linkerd.io")[0] == 404, 30, "Link resources are gone", 0.1)


def test_installed_upgraded_and_uninstalled(clean, helm):
    first = helm("install", "svcmirror", CHART, "-n", AGENT_NAMESPACE, "--create-namespace", cluster=clean).stdout
    assert f"svcmirror link --target-context TARGET --cluster-name TARGET -n {AGENT_NAMESPACE}" in first
    assert clean.api.get("deployments", "svcmirror", AGENT_NAMESPACE)["spec"]["replicas"] == 2
    crd = clean.kubectl("apply", "--server-side", "--force-conflicts", "-f", os.path.join(ROOT, "deploy", "manifests", "link-crd.yaml"))
    assert crd.returncode == 0, crd.stderr
    helm("upgrade", "svcmirror", CHART, "-n", AGENT_NAMESPACE, "-f", HA_VALUES, cluster=clean)
    assert clean.api.get("deployments", "svcmirror", AGENT_NAMESPACE)["spec"]["replicas"] == 3
    budget = clean.kubectl("get", "poddisruptionbudget", "svcmirror", "-n", AGENT_NAMESPACE, "-o", "jsonpath={.spec.maxUnavailable}")
    assert budget.stdout == "1", budget.stderr
    helm("uninstall", "svcmirror", "-n", AGENT_NAMESPACE, cluster=clean)
    assert clean.api.find("deployments", "svcmirror", AGENT_NAMESPACE) is None
    assert clean.api.find("clusterroles", "svcmirror") is None
    assert clean.api.find("customresourcedefinitions", CRD), "Links would go with their type"


def test_the_link_type_of_others_stays_as_it_is(clean, helm):
    [(_, crd)] = [(key, one) for key, one in kustomized(clean, "manifests").items() if key[0] == "CustomResourceDefinition"]
    theirs = copy.deepcopy(crd)
    theirs["metadata"]["labels"]["of"] = "somebody-else"
    clean.api.create("customresourcedefinitions", theirs)
    before = clean.api.get("customresourcedefinitions", CRD)["metadata"]
    helm("install", "svcmirror", CHART, "-n", AGENT_NAMESPACE, cluster=clean)
    after = clean.api.get("customresourcedefinitions", CRD)["metadata"]
    assert (after["labels"], after["generation"]) == (before["labels"], before["generation"])


def test_the_server_accepts_every_overlay(source):
    for folder in ("ha", "linkerd"):
        path = os.path.join(ROOT, "deploy", "overlays", folder)
        result = source.kubectl("apply", "--server-side", "--dry-run=server", "--validate=strict", "-k", path)
        assert result.returncode == 0 and "Warning" not in result.stderr, f"{folder}: {result.stderr}"
