"""What deploy/monitoring gives to Prometheus and Grafana, with a real Prometheus that scrapes two real agents."""
import json
import os
import re
import subprocess

import pytest
import yaml
from cluster.netlab import Network
from cluster.prometheus import Prometheus, prometheus
from cluster.wait import wait_until

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
MONITORING = os.path.join(ROOT, "deploy", "monitoring")
needs_prometheus = pytest.mark.skipif(prometheus() is None, reason="no Prometheus here: Debian's package prometheus is not installed")
NAMESPACE = "linkerd-multicluster"
HUGE = {"example.com/note": "x" * (256 * 1024 - 60)}  # as much as an object may have: its mirror, with annotations of its own, would have more


def dashboard():
    with open(os.path.join(MONITORING, "dashboard.json"), encoding="utf-8") as file:
        return json.load(file)


def queries():
    """(panel, expression with the variables as Grafana fills them in), all of them."""
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"].replace("$namespace", NAMESPACE).replace("$cluster_name", "east|north").replace("$__rate_interval", "5m")


@pytest.fixture
def monitored(lab, source, link_crd, east, north, agent):
    """Two replicas, two targets, one linked by a Secret and one by a Link, and a Prometheus."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    north.gateway.start()
    north.export_labelled("web")
    north.link(source)
    agents = {f"svcmirror-{i}": agent(network=Network(70 + i), env={"HOSTNAME": f"svcmirror-{i}"}) for i in range(2)}
    wait_until(lambda: source.ready_addresses("web-east", "demo") and source.ready_addresses("web-north", "demo"), 20, "ready")
    one = Prometheus(lab.folder, {pod: a.address for pod, a in agents.items()})
    one.agents = agents
    yield one.start()
    one.stop()


@needs_prometheus
@pytest.mark.never_rests
def test_every_query_of_the_dashboard_has_data_and_alerts_follow(monitored, source, east, north):
    def is_quiet():
        assert monitored.alerts() == {}
        return len(monitored.rules()) > 20 and all(r["health"] == "ok" for r in monitored.rules())
    wait_until(is_quiet, 20, "all is well, and no alert is even pending", 0.5)

    # Things go wrong, each seen by its alert.
    east.link_secret(source, cluster="West!", name="cluster-credentials-west")
    north.export_labelled("huge", annotations=HUGE)
    source.service("taken-east", "demo")
    east.export("taken")
    east.gateway.stop()
    gateway = {"target_cluster_name": "east", "gateway_namespace": "ambassador", "gateway_name": "ambassador"}

    def is_alarmed():
        alerts = monitored.alerts()
        assert alerts.get("SvcmirrorGatewayDead") == [gateway], alerts
        assert alerts.get("SvcmirrorLinkInvalid") == [{"kind": "Secret", "name": "cluster-credentials-west"}], alerts
        assert {a["target_cluster_name"] for a in alerts.get("SvcmirrorServicesNotMirrored", [])} == {"east", "north"}, alerts
        assert [(a["verb"], a["kind"]) for a in alerts.get("SvcmirrorWritesFailing", [])] == [("create", "Service")], alerts
        return True
    wait_until(is_alarmed, 40, "each of them is alarmed of", 0.5)
    assert not {"SvcmirrorAbsent", "SvcmirrorNobodyLeads", "SvcmirrorSeveralLead", "SvcmirrorDataStale", "SvcmirrorLinkUnreachable"} & set(monitored.alerts())
    east.gateway.start()
    wait_until(lambda: source.ready_addresses("web-east", "demo") and "SvcmirrorGatewayDead" not in monitored.alerts(), 20, "alive again, and quiet")

    def all_have_data():
        empty = [(panel, query) for panel, query in queries() if not monitored.query(query)]
        assert not empty, empty
        return True
    wait_until(all_have_data, 30, "every query has data", 1)
    assert len(list(queries())) > 50

    # What the variables offer.
    for variable in dashboard()["templating"]["list"][1:]:
        series, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["query"]["query"].replace("$namespace", NAMESPACE)).groups()
        assert monitored.ask(f"label/{label}/values", **{"match[]": series}) == {"namespace": [NAMESPACE], "cluster_name": ["east", "north"]}[variable["name"]]

    # Nothing is served that the reference does not know.
    with open(os.path.join(ROOT, "docs", "metrics.md"), encoding="utf-8") as file:
        known = set(re.findall(r"^\| `(\w+)` \| (\w+)", file.read(), re.M))
    for one in monitored.agents.values():
        served = set(re.findall(r"^# TYPE (\w+) (\w+)$", one.get("/metrics")[1], re.M))
        assert len(served) > 30 and served <= known, served - known


def test_the_dashboard_is_whole():
    """What Grafana asks of it, as far as that can be said without a Grafana."""
    board = dashboard()
    panels = [p for p in board["panels"] if p["type"] != "row"]
    assert board["uid"] == "svcmirror" and [v["name"] for v in board["templating"]["list"]] == ["datasource", "namespace", "cluster_name"]
    assert len({p["id"] for p in board["panels"]}) == len(board["panels"]) and len({p["title"] for p in panels}) == len(panels)
    cells = set()
    for panel in board["panels"]:
        place = panel["gridPos"]
        own = {(x, y) for x in range(place["x"], place["x"] + place["w"]) for y in range(place["y"], place["y"] + place["h"])}
        assert place["x"] + place["w"] <= 24 and not own & cells, f"{panel['title']} lies on another"
        cells |= own
    for panel in panels:
        assert panel["description"] and panel["targets"] and panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert all("$namespace" in t["expr"] for t in panel["targets"]), panel["title"]


# -- what kubectl apply -k makes of it --

def judged(text):
    """Status and lines of the judge that knows the Prometheus operator's own types."""
    program = subprocess.run([os.path.join(ROOT, "tests", "monitoring", "operator", "build")], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    result = subprocess.run([program], input=text, text=True, capture_output=True, timeout=30, check=False)
    return result.returncode, result.stdout + result.stderr


def test_monitoring_fits_the_deployment(source):
    """The PodMonitor finds the agent's pods and their port. A real API server takes the ConfigMap, and the operator's own types the others."""
    text = source.kubectl("kustomize", MONITORING).stdout
    rendered = {d["kind"]: d for d in yaml.safe_load_all(text)}
    assert set(rendered) == {"ConfigMap", "PodMonitor", "PrometheusRule"}
    assert {d["metadata"]["namespace"] for d in rendered.values()} == {NAMESPACE}
    with open(os.path.join(ROOT, "deploy", "manifests", "deployment.yaml"), encoding="utf-8") as file:
        template = yaml.safe_load(file)["spec"]["template"]
    monitor = rendered["PodMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    assert [e["port"] for e in monitor["podMetricsEndpoints"]] == [p["name"] for p in template["spec"]["containers"][0]["ports"]]
    assert json.loads(rendered["ConfigMap"]["data"]["svcmirror.json"]) == dashboard()
    result = source.kubectl("create", "--dry-run=server", "--validate=strict", "-f", "-", input=yaml.safe_dump(rendered["ConfigMap"]))
    assert result.returncode == 0, result.stderr

    status, said = judged("---\n".join(d for d in text.split("---\n") if d.startswith("apiVersion: monitoring.coreos.com/")))
    rules = [len(g["rules"]) for g in rendered["PrometheusRule"]["spec"]["groups"]]
    assert (status, said.splitlines()) == (0, [f"document 1: PodMonitor {NAMESPACE}/svcmirror: endpoints: 1",
                                               f"document 2: PrometheusRule {NAMESPACE}/svcmirror: groups: {len(rules)}, rules: {sum(rules)}"])


SPOILED = [  # file, what is in it, what comes instead, what is said of it
    ("podmonitor.yaml", "apiVersion: monitoring.coreos.com/v1", "apiVersion: monitoring.coreos.com/v1beta1", "none that is judged"),
    ("podmonitor.yaml", "kind: PodMonitor", "kind: Podmonitor", "none that is judged"),
    ("podmonitor.yaml", "name: svcmirror", "name: Svcmirror", "metadata.name: Invalid value"),
    ("podmonitor.yaml", "linkerd.io/extension: multicluster", "linkerd.io/extension: multi cluster", "metadata.labels: Invalid value"),
    ("podmonitor.yaml", "linkerd.io/extension: multicluster", "linkerd.io/extension: true", "metadata.labels of type string"),
    ("podmonitor.yaml", "matchLabels:", "labels:", 'unknown field "spec.selector.labels"'),
    ("podmonitor.yaml", "selector:\n    matchLabels:\n      app.kubernetes.io/name: svcmirror", "selector: {}", "spec.selector: Required value"),
    ("podmonitor.yaml", "app.kubernetes.io/name: svcmirror\n  pod", "app/kubernetes/io: svcmirror\n  pod", "spec.selector.matchLabels: Invalid value"),
    ("podmonitor.yaml", "podMetricsEndpoints:", "endpoints:", "spec.podMetricsEndpoints: Required value"),
    ("podmonitor.yaml", "port: ", "Port: ", 'unknown field "spec.podMetricsEndpoints[0].Port"; spec.podMetricsEndpoints[0].port: Required value'),
    ("podmonitor.yaml", "port: svcmirror-admin", "port: 4191", "spec.podMetricsEndpoints.port of type string"),
    ("podmonitor.yaml", "port: svcmirror-admin", "port: svcmirror-administration", "spec.podMetricsEndpoints[0].port: Invalid value"),
    ("podmonitor.yaml", "interval: 15s", "interval: 15", "spec.podMetricsEndpoints.interval of type v1.Duration"),
    ("podmonitor.yaml", "interval: 15s", "interval: 1.5m", 'spec.podMetricsEndpoints[0].interval: Invalid value: "1.5m"'),
    ("podmonitor.yaml", "interval: 15s", "scrapeTimeout: 15 s", "spec.podMetricsEndpoints[0].scrapeTimeout: Invalid value"),
    ("podmonitor.yaml", "interval: 15s", "path: /", '"path" already set'),
    ("podmonitor.yaml", "interval: 15s", "interval: [", "did not find expected node content"),
    ("prometheusrule.yaml", "groups:", "group:", 'unknown field "spec.group"; spec.groups: Required value'),
    ("prometheusrule.yaml", "- name: svcmirror-agent", "- name: ''", "spec.groups[0].name: Required value"),
    ("prometheusrule.yaml", "- name: svcmirror-writes", "- name: svcmirror-agent", "spec.groups[4].name: Duplicate value"),
    ("prometheusrule.yaml", "- name: svcmirror-agent", "- name: a\n    interval: often", "spec.groups[0].interval: Invalid value"),
    ("prometheusrule.yaml", "- name: svcmirror-agent", "- name: a\n    labels: {a-b: c}", "spec.groups[0].labels[a-b]: Invalid value"),
    ("prometheusrule.yaml", "alert: SvcmirrorAbsent", "record: svcmirror:absent\n      alert: SvcmirrorAbsent", "spec.groups[0].rules[0]: Invalid value"),
    ("prometheusrule.yaml", "alert: SvcmirrorAbsent", "alert:", "spec.groups[0].rules[0]: Invalid value"),
    ("prometheusrule.yaml", "expr: absent(svcmirror_build_info)", "expr:", "spec.groups[0].rules[0].expr: Required value"),
    ("prometheusrule.yaml", "for: 5m", "for: 5min", 'spec.groups[0].rules[0].for: Invalid value: "5min"'),
    ("prometheusrule.yaml", "for: 5m", "keep_firing_for: 5min", 'spec.groups[0].rules[0].keep_firing_for: Invalid value: "5min"'),
    ("prometheusrule.yaml", "for: 5m", "keep_firing_for: ''", "spec.groups[0].rules[0].keep_firing_for: Required value"),
    ("prometheusrule.yaml", "severity: critical", "severity: 1", "spec.groups.rules.labels of type string"),
    ("prometheusrule.yaml", "severity: critical", "how-bad: critical", "spec.groups[0].rules[0].labels[how-bad]: Invalid value"),
    ("prometheusrule.yaml", "runbook_url:", "runbook-url:", "spec.groups[0].rules[0].annotations[runbook-url]: Invalid value"),
]


def test_the_operators_types_refuse_what_is_spoiled():
    """The judge itself: it says what is wrong, though the document after it is right, and is not content with nothing."""
    sound = {}
    for name in ("podmonitor.yaml", "prometheusrule.yaml"):
        with open(os.path.join(MONITORING, name), encoding="utf-8") as file:
            sound[name] = file.read()
    for name, old, new, wanted in SPOILED:
        assert old in sound[name], old
        status, said = judged(sound[name].replace(old, new, 1) + "---\n" + sound[name])
        wrong, right, sum_up = said.splitlines()
        assert status == 1 and wanted in wrong and sum_up == "wrong documents: 1 of 2", (new, said)
        assert right.startswith("document 2: ") and ("endpoints: 1" in right or "groups: 5" in right), (new, said)
    for nothing in ("", "# nothing\n---\n# here\n"):
        assert judged(nothing) == (1, "no document was read\n")
