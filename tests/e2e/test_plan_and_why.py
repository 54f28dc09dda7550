"""`svcmirror plan` and `svcmirror why`: what a run would write, and why a service is mirrored or not, told without writing anything."""
import json
import subprocess

import pytest
from cluster.agent import default_binary
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

MIRROR = "mirror.linkerd.io/"
VERBS = {"create": "create", "update": "update", "patch": "update", "delete": "delete"}
KINDS = {"namespaces": "Namespace", "services": "Service", "endpointslices": "EndpointSlice", "endpoints": "Endpoints"}
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=66", "UBSAN_OPTIONS": "halt_on_error=1:exitcode=67", "HOME": "/nonexistent"}
READ = ["get", "list", "watch"]
READER = "svcmirror-reader"


@pytest.fixture
def reader(source, tmp_path):
    """A kubeconfig of somebody who may only read what the agent reads."""
    rules = [{"apiGroups": [group], "resources": resources, "verbs": READ} for group, resources in (
        ("", ["services", "namespaces", "secrets", "endpoints"]), ("discovery.k8s.io", ["endpointslices"]), ("multicluster.linkerd.io", ["links"]))]
    path = tmp_path / "reader.kubeconfig"
    path.write_text(source.token_kubeconfig(source.service_account(READER, rules)))
    return str(path)


@pytest.fixture
def ask(source, east, north, reader):
    """Runs plan or why. No cluster may see a write from it, not even one that is refused."""
    before = [len(target.writes("svcmirror")) for target in (east, north)]

    def run(name, *argv, **more):
        result = subprocess.run([default_binary(), name, "--kubeconfig", reader, *argv], text=True, capture_output=True, timeout=60, check=False,
                                env={**ENVIRONMENT, **more})
        print(f"$ svcmirror {name} {' '.join(argv)}\n{result.stdout}{result.stderr}=> {result.returncode}\n")
        assert result.returncode in (0, 1, 2, 3), result.stderr
        return result
    yield run
    tried = [w for w in source.writes("svcmirror") if READER in w["user"].get("username", "")]
    assert tried == [] and [len(target.writes("svcmirror")) for target in (east, north)] == before


@pytest.fixture
def plan(ask):
    """What would be written, as {(action, kind, namespace, name): entry}; without what is written to Links themselves."""
    def run(*argv, code=0):
        result = ask("plan", "-o", "json", *argv)
        assert result.returncode == code, result.stderr
        entries = [e for e in json.loads(result.stdout) if e["kind"] != "Link"]
        named = {(e["action"], e["kind"], e.get("namespace"), e["name"]): e for e in entries}
        assert len(named) == len(entries), "an object is planned twice"
        return named
    return run


@pytest.fixture
def why(ask):
    """The explanations, and the exit code must agree with them."""
    def run(what, *argv, code=None):
        result = ask("why", what, "-o", "json", *argv)
        found = json.loads(result.stdout)
        assert result.returncode == (0 if found and all(e["ready"] for e in found) else 1)
        ask("why", what, *argv)
        return found
    return run


def bad(explanation):
    """{subject: text and advice of the first fact that stands in the way}"""
    facts = {}
    for fact in explanation["facts"]:
        if fact["mark"] == "bad":
            facts.setdefault(fact["subject"], fact["text"] + (" -> " + fact["advice"] if "advice" in fact else ""))
    return facts


def ready(source, target, name="web", namespace="demo"):
    wait_until(lambda: source.ready_addresses(f"{name}-{target.name}", namespace) == sorted(target.gateway.addresses), 15, f"{name} is mirrored and ready")


def written(source, since):
    """{(action, kind, namespace, name)} of the agent's own writes."""
    found = set()
    for write in source.writes("svcmirror")[since:]:
        where = write["objectRef"]
        if where["resource"] in KINDS and write["responseStatus"]["code"] < 300:
            found.add((VERBS[write["verb"]], KINDS[where["resource"]], where.get("namespace") if where["resource"] != "namespaces" else None, where["name"]))
    return found


# ---- plan ----

def test_planned_before_the_first_run_is_what_the_run_writes(source, east, north, agent, plan):
    for target in (east, north):
        target.gateway.start()
        target.gateway_service()
        target.export("web", f"first-of-{target.name}")  # whose service comes first decides whose labels a shared namespace gets
        target.link_secret(source)
    east.export("fresh", "never-seen-before")
    east.service("private")
    planned = plan()
    assert {key[0] for key in planned} == {"create"}
    assert ("create", "Namespace", None, "never-seen-before") in planned
    assert ("create", "EndpointSlice", "never-seen-before", "fresh-east.ipv4") in planned
    assert ("create", "Service", AGENT_NAMESPACE, "ambassador-north") in planned
    since = len(source.writes("svcmirror"))
    agent()
    for target in (east, north):
        ready(source, target, "web", f"first-of-{target.name}")
    ready(source, east, "fresh", "never-seen-before")
    made = written(source, since)
    assert {w for w in made if w[0] == "create"} == set(planned)
    assert {w[1:] for w in made} == {p[1:] for p in planned}, "what was created is all that was touched"
    for action, kind, namespace, name in planned:
        resource = {v: k for k, v in KINDS.items()}[kind]
        there = source.api.get(resource, name, namespace) if namespace else source.api.get(resource, name)
        wanted = planned[action, kind, namespace, name]["object"]
        assert wanted["metadata"]["labels"].items() <= there["metadata"]["labels"].items()
        assert wanted["metadata"].get("annotations", {}) == there["metadata"].get("annotations", {})
        if kind == "EndpointSlice":
            assert (wanted["endpoints"], wanted["ports"]) == (there["endpoints"], there["ports"])


def test_nothing_to_do_after_a_run(source, east, agent, ask, plan):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    agent()
    ready(source, east)
    wait_until(lambda: plan() == {}, 10, "nothing is left to write")
    for argv, stdout in ([], "No changes.\n"), (["-o", "json"], "[]\n"), (["-o", "yaml"], "# No changes.\n"):
        result = ask("plan", "--detailed-exitcode", *argv)
        assert (result.returncode, result.stdout, result.stderr) == (0, stdout, "")


def test_hand_edits_and_leftovers(source, east, agent, ask, plan):
    east.gateway.start()
    east.gateway_service()
    for name in ("web", "gone"):
        east.export(name)
    east.link_secret(source)
    first = agent()
    for name in ("web", "gone"):
        ready(source, east, name)
    wait_until(lambda: plan() == {}, 10, "nothing is left to write")
    first.stop()
    source.api.patch("services", "web-east", {"metadata": {"labels": {"stray": "x"}, "annotations": {MIRROR + "remote-svc-fq-name": "wrong"}}}, "demo")
    piece = source.api.get("endpointslices", "web-east.ipv4", "demo")
    piece["endpoints"][0]["conditions"]["ready"] = False
    source.api.apply("endpointslices", piece)
    east.api.delete("services", "gone", "demo")
    result = ask("plan", "--detailed-exitcode")
    assert result.returncode == 3
    assert result.stdout.splitlines()[0].split() == ["ACTION", "KIND", "NAMESPACE", "NAME", "REASON"]
    planned = plan()
    assert set(planned) == {("delete", "Service", "demo", "gone-east"), ("update", "Service", "demo", "web-east"), ("update", "EndpointSlice", "demo", "web-east.ipv4")}
    change = planned["update", "Service", "demo", "web-east"]
    assert 'label stray is removed' in change["changes"] and '"wrong" -> "web.demo.svc.cluster.local"' in change["changes"]
    assert "stray" not in change["object"]["metadata"]["labels"]
    assert planned["update", "EndpointSlice", "demo", "web-east.ipv4"]["changes"] == f"endpoint {east.gateway.addresses[0]} becomes ready"
    assert planned["delete", "Service", "demo", "gone-east"]["reason"] == "no longer exported"
    assert "object" not in planned["delete", "Service", "demo", "gone-east"]
    manifests = ask("plan", "-o", "yaml").stdout
    assert manifests.startswith("# delete Service demo/gone-east: no longer exported\n# update EndpointSlice demo/web-east.ipv4: ")
    replaced = source.kubectl("replace", "-f", "-", input=manifests)
    assert replaced.returncode == 0, replaced.stderr
    assert set(plan()) == {("delete", "Service", "demo", "gone-east")}, "the manifests are what a run would have made"


def test_other_kinds_of_mirrors_are_planned_to_the_end(source, east, link_crd, agent, plan, why):
    east.gateway.start()
    east.service("db", labels={MIRROR + "exported": "true"}, clusterIP="None")
    piece = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "ports": [{"name": "http", "port": 5000, "protocol": "TCP"}],
             "metadata": {"name": "db-a", "namespace": "demo", "labels": {"kubernetes.io/service-name": "db"}},
             "endpoints": [{"addresses": [f"10.201.1.1{i}"], "hostname": f"db-{i}", "conditions": {"ready": True}} for i in (0, 1)]}
    east.api.apply("endpointslices", piece)
    east.service("far", labels={MIRROR + "exported": "remote-discovery"})
    east.service("all", labels={MIRROR + "federated": "member"})
    east.link(source, remoteDiscoverySelector={"matchLabels": {MIRROR + "exported": "remote-discovery"}},
              federatedServiceSelector={"matchLabels": {MIRROR + "federated": "member"}})
    source.ensure_namespace("demo")
    planned = plan()
    assert {key[3] for key in planned if key[1] == "Service"} == {"db-east", "db-0-east", "db-1-east", "far-east", "all-federated", "probe-east"}
    assert "192.0.2.0" not in json.dumps(list(planned.values())), "an address that is not known yet is not made up"
    since = len(source.writes("svcmirror"))
    agent()
    wait_until(lambda: len(source.ready_addresses("db-east", "demo")) == 2 and source.api.find("services", "all-federated", "demo"), 15, "all is mirrored")
    wait_until(lambda: plan() == {}, 10, "nothing is left to write")
    assert {w for w in written(source, since) if w[0] == "create"} == set(planned)
    assert sorted((e["mirror"], e["mode"], e["ready"]) for e in why("demo/db")) == [
        ("demo/db-0-east", "hostname", True), ("demo/db-1-east", "hostname", True), ("demo/db-east", "headless", True)]
    assert [(e["mode"], e["ready"], bad(e)) for name in ("far", "all") for e in why(f"demo/{name}")] == [("remote-discovery", True, {}), ("federated", True, {})]


def test_endpoints_are_planned_where_they_are_written(source, east, agent, plan, why):
    flags = ["--endpoints-api=endpoints"]
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    source.ensure_namespace("demo")
    planned = plan(*flags)
    assert ("create", "Endpoints", "demo", "web-east") in planned
    since = len(source.writes("svcmirror"))
    agent(flags=flags)
    ready(source, east)
    wait_until(lambda: plan(*flags) == {}, 10, "nothing is left to write")
    assert {w for w in written(source, since) if w[0] == "create"} == set(planned)
    [one] = why("demo/web", *flags)
    assert one["ready"] and "Endpoints demo/web-east: 1 of 1 endpoint is ready" in [f["text"] for f in one["facts"]]


def test_manifests_can_be_applied(source, east, ask, plan):
    east.gateway.start()
    east.gateway_service()
    east.export("web", "applied-by-hand")
    east.link_secret(source)
    manifests = ask("plan", "-o", "yaml").stdout
    assert "# create Service applied-by-hand/web-east: exported and not mirrored yet\n" in manifests
    applied = source.kubectl("apply", "-f", "-", input=manifests)
    assert applied.returncode == 0, applied.stderr
    assert source.ready_addresses("web-east", "applied-by-hand") == east.gateway.addresses
    # All that is left is what kubectl adds and what only the API server knows.
    assert {key[:2] for key in plan()} <= {("update", "Service"), ("update", "EndpointSlice")}


def test_a_target_that_cannot_be_reached_is_told(source, east, north, agent, ask, plan):
    for target in (east, north):
        target.gateway.start()
        target.gateway_service()
        target.export("web")
        target.link_secret(source)
    first = agent()
    for target in (east, north):
        ready(source, target)
        wait_until(lambda target=target: source.slices(f"ambassador-{target.name}", AGENT_NAMESPACE), 5, "the gateway's mirror is whole")
    first.stop()
    east.export("more")
    north.network.reject(north.host, north.port)
    result = ask("plan", "--detailed-exitcode")
    assert result.returncode == 1, "a plan that is not complete is no success"
    assert "more-east" in result.stdout and "north" not in result.stdout, "its mirrors stay"
    assert "cluster north (Secret cluster-credentials-north) cannot be read" in result.stderr and "refused" in result.stderr
    north.network.heal()
    assert set(plan()) == {("create", "Service", "demo", "more-east"), ("create", "EndpointSlice", "demo", "more-east.ipv4")}


def test_time_is_bounded(source, east, ask):
    east.gateway.start()
    east.gateway_service()
    east.link_secret(source)
    east.network.drop(east.host, east.port)
    result = ask("plan", "--timeout", "2s")
    assert result.returncode == 1
    assert "after 2s (--timeout): link east: the target is not listed yet" in result.stderr


def test_what_is_not_mirrored_is_told(source, east, ask, plan):
    source.ensure_namespace("demo")
    source.api.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web-east", "namespace": "demo"}, "spec": {"ports": [{"port": 1}]}})
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.export("alias", type="ExternalName", externalName="example.com")
    east.link_secret(source)
    result = ask("plan")
    assert "service demo/web of cluster east is not mirrored as demo/web-east: Service demo/web-east exists" in result.stderr
    assert "service demo/alias of cluster east is not mirrored" in result.stderr and "ExternalName" in result.stderr
    assert "web-east" not in result.stdout and "alias" not in result.stdout


def changes_of_links(ask, *argv):
    """What would be written to Links themselves, in words."""
    return [e["changes"] for e in json.loads(ask("plan", "-o", "json", *argv).stdout) if (e["action"], e["kind"]) == ("update", "Link")]


def test_a_plan_of_one_link(source, east, north, link_crd, agent, ask, plan):
    """Its mirrors, its gateway's mirror, the namespaces, and what is written to the Link itself; nothing of the other link, of which there is a Secret."""
    for target in (east, north):
        target.gateway.start()
        target.gateway_service()
    east.export_labelled("web", "of-one-link")
    north.export("web", "of-the-other-link")
    north.link_secret(source)
    east.link(source)
    source.api.patch("links", "east", {"metadata": {"labels": {"app.kubernetes.io/managed-by": "svcmirror"}}}, AGENT_NAMESPACE)
    flags = ("--enable-namespace-creation",)
    first, second = plan("--link", "east", *flags), plan("--link", "cluster-credentials-north", *flags)
    assert {key[1:] for key in first} == {("Namespace", None, "of-one-link"), ("Service", "of-one-link", "web-east"), (
        "EndpointSlice", "of-one-link", "web-east.ipv4"), ("Service", AGENT_NAMESPACE, "probe-east"), ("EndpointSlice", AGENT_NAMESPACE, "probe-east.ipv4")}
    assert {e["cluster"] for e in second.values()} == {"north"} and set(first) | set(second) == set(plan(*flags))
    held, told = changes_of_links(ask, "--link", "east", *flags)
    assert (held, told) == ("finalizer svcmirror.io/mirrors is added", "status.mirrorServices tells of 1 services, of 1 something new")
    assert changes_of_links(ask, "--link", "north", *flags) == [] and changes_of_links(ask, *flags) == [held, told]
    assert changes_of_links(ask, "--link", "east", "--link-finalizer=none", *flags) == [told]
    manifests = ask("plan", "--link", "east", "-o", "yaml", *flags).stdout
    assert f"# update Link {AGENT_NAMESPACE}/east: its status tells of each exported service: {told}\n" in manifests and "kind: Link" not in manifests
    unknown = ask("plan", "--link", "south")
    assert unknown.returncode == 1 and "no link, credentials Secret or linked cluster is called south" in unknown.stderr
    agent(flags=flags)
    ready(source, east, "web", "of-one-link")
    ready(source, north, "web", "of-the-other-link")
    wait_until(lambda: ask("plan", "--detailed-exitcode", *flags).stdout == "No changes.\n", 10, "nothing is left to write, to the Link neither")
    source.api.patch("links", "east", {"status": {"mirrorServices": [], "federatedServices": []}}, AGENT_NAMESPACE, "status")
    assert changes_of_links(ask, "--link", "east", *flags) in ([told], []), "the agent puts it right at the next change"
    north.network.reject(north.host, north.port)
    assert plan("--link", "east", *flags) == {} and ask("plan", "--link", "north", *flags).returncode == 1
    north.network.heal()


# ---- why ----

def test_why_exported_and_ready(source, east, north, agent, ask, why):
    east.gateway.start()
    east.gateway_service()
    north.gateway_service()
    east.export("web")
    for target in (east, north):
        target.link_secret(source)
    agent()
    ready(source, east)
    wait_until(lambda: all(f["mark"] != "note" or f["subject"] != "plan" for f in why("demo/web")[0]["facts"]), 10, "it rests")
    [one] = why("demo/web")
    assert (one["cluster"], one["mirror"], one["mirrored"], one["ready"]) == ("east", "demo/web-east", True, True)
    assert bad(one) == {}
    texts = "\n".join(f["text"] for f in one["facts"])
    for words in (f'annotation {MIRROR}gateway-name is "ambassador"', f"address {east.gateway.addresses[0]} is alive", "1 of 1 endpoint is ready", "nothing to write"):
        assert words in texts
    [same] = why("demo/web-east")
    assert same == one
    assert "demo/web-east is the name of the mirror of service demo/web of cluster east" in ask("why", "demo/web-east").stdout
    [gateway] = why(f"{AGENT_NAMESPACE}/ambassador-east")
    assert (gateway["kind"], gateway["name"], gateway["ready"]) == ("gateway", "ambassador", True)
    [nowhere] = why("demo/web", "--link", "north")
    assert bad(nowhere)["service"] == "Service demo/web does not exist in cluster north"
    assert "no link, credentials Secret or linked cluster is called south" in ask("why", "demo/web", "--link", "south").stderr


def test_why_not_exported_by_annotations(source, east, why):
    east.gateway.start()
    east.gateway_service()
    east.service("half", annotations={MIRROR + "gateway-name": "ambassador"})
    east.link_secret(source)
    [one] = why("demo/half")
    assert list(bad(one)) == ["export"] and f"annotation {MIRROR}gateway-ns is missing -> " in bad(one)["export"]
    [guessed] = why("demo/half-east")
    assert guessed == one


def test_why_not_exported_by_labels(source, east, link_crd, why):
    east.service("web", labels={MIRROR + "exported": "yes"})
    east.link(source, selector={"matchLabels": {MIRROR + "exported": "true"}, "matchExpressions": [{"key": "team", "operator": "Exists"}]})
    [one] = why("demo/web")
    texts = [f["text"] for f in one["facts"] if f["mark"] == "bad"]
    assert texts[:2] == [f'label {MIRROR}exported is "yes"; Link east selects {MIRROR}exported=true', "label team is missing; Link east selects team"]


def test_why_of_a_link(source, east, link_crd, agent, plan, why):
    east.gateway.start()
    east.export_labelled("web")
    east.export_labelled("idle", endpoints=())
    east.link(source)
    source.ensure_namespace("demo")
    assert {key[3] for key in plan()} == {"web-east", "web-east.ipv4", "idle-east", "idle-east.ipv4", "probe-east", "probe-east.ipv4"}
    agent()
    ready(source, east)
    wait_until(lambda: source.slices("idle-east", "demo"), 10, "the other is mirrored")
    wait_until(lambda: plan() == {}, 10, "nothing is left to write")
    [web] = why("demo/web", "--link", "east")
    assert (web["linkKind"], web["linkName"], web["ready"], bad(web)) == ("Link", "east", True, {})
    [idle] = why("demo/idle")
    assert (idle["mirrored"], idle["ready"]) == (True, False) and bad(idle)["endpoints"] == "the exported service has no ready endpoint"


def test_why_not_ready(source, east, agent, why):
    east.export("lost", gateway="nowhere")
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    agent()
    for name in ("lost", "web"):
        wait_until(lambda: source.slices(f"{name}-east", "demo"), 10, f"{name} is mirrored")
    [lost] = why("demo/lost")
    assert (lost["mirrored"], lost["ready"]) == (True, False)
    assert bad(lost)["gateway"] == "gateway Service ambassador/nowhere does not exist in the target cluster"
    [dead] = why("demo/web")
    assert (dead["mirrored"], dead["ready"]) == (True, False)
    assert f"address {east.gateway.addresses[0]} is dead: ConnectionRefused" in bad(dead)["gateway"] and " -> " in bad(dead)["gateway"]


def test_why_not_mirrored(source, east, why):
    source.ensure_namespace("demo")
    source.api.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web-east", "namespace": "demo"}, "spec": {"ports": [{"port": 1}]}})
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.export("alias", type="ExternalName", externalName="example.com")
    east.api.create("services", {"apiVersion": "v1", "kind": "Service", "spec": {"clusterIP": "None"}, "metadata": {
        "name": "portless", "namespace": "demo", "annotations": {MIRROR + "gateway-name": "ambassador", MIRROR + "gateway-ns": "ambassador"}}})
    east.export("homeless", "no-such-place")
    east.link_secret(source)
    [taken] = why("demo/web")
    assert bad(taken)["name"].startswith("NameCollision: Service demo/web-east exists")
    [alias] = why("demo/alias")
    assert "ExternalName" in bad(alias)["service"]
    [portless] = why("demo/portless")
    assert "no exposed ports" in bad(portless)["service"]
    [homeless] = why("no-such-place/homeless", "--enable-namespace-creation=false")
    assert bad(homeless)["namespace"].startswith("namespace no-such-place does not exist in the source cluster -> kubectl create namespace no-such-place")
    [created] = why("no-such-place/homeless")
    assert "namespace" not in bad(created) and bad(created)["mirror"] == "there is no mirror no-such-place/homeless-east"


def test_why_of_a_target_that_cannot_be_reached(source, east, agent, why):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    first = agent()
    ready(source, east)
    first.stop()
    east.network.reject(east.host, east.port)
    [one] = why("demo/web")
    assert "cannot be read" in bad(one)["target"] and "refused" in bad(one)["target"]
    assert (one["mirrored"], one["ready"]) == (True, True), "what the target does not tell takes nothing away"
    [other] = why("demo/other")
    assert (other["mirrored"], other["ready"]) == (False, False)


def test_why_of_a_link_that_is_refused(source, east, north, link_crd, agent, ask, why):
    # Its fault is told for each service that it might mirror; beside a link of the same cluster that works, as a fact of that one.
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    agent()
    ready(source, east)
    north.link(source, gatewayPort="70000")
    east.link(source, name="rival")
    blocks = {e["cluster"]: e for e in why("demo/web")}
    assert sorted(blocks) == ["east", "north"]
    assert blocks["east"]["ready"] and blocks["north"]["mirror"] == "demo/web-north" and not blocks["north"]["mirrored"]
    assert 'is refused: cluster name "east" is already linked by Link' in bad(blocks["east"])["link"]
    assert blocks["north"]["facts"] == [{"mark": "bad", "subject": "link", "text": bad(blocks["north"])["link"]}]
    assert bad(blocks["north"])["link"].startswith(f"Link {AGENT_NAMESPACE}/north is refused: spec.gatewayPort")
    [guessed] = why("demo/web-north", "--link", "north")
    assert (guessed["name"], guessed["mirror"]) == ("web", "demo/web-north")
    assert [e["cluster"] for e in why("demo/web", "--link", "east")] == ["east"]
    north.link(source, targetClusterName="Not A Name")
    [nameless] = [e for e in why("demo/web") if e["linkName"] == "north"]
    assert "cluster" not in nameless and "mirror" not in nameless and "targetClusterName" in bad(nameless)["link"]
    assert "service demo/web by Link north: not mirrored" in ask("why", "demo/web").stdout


def test_the_probe_service_of_linkerds_chart_is_left_to_it(source, east, link_crd, agent, plan, why):
    """With Linkerd's charts the name of the gateway's mirror is taken by a Service of theirs, on every ordinary install: nothing is wrong with that."""
    charts = source.service("probe-east", AGENT_NAMESPACE, [{"name": "mc-probe", "port": 4191, "protocol": "TCP"}], {
        "linkerd.io/extension": "multicluster", MIRROR + "mirrored-gateway": "true", MIRROR + "cluster-name": "east"})
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    since = len(source.writes("svcmirror"))
    one = agent()
    ready(source, east)
    [left] = wait_until(lambda: one.logs("gateway_mirror_left"), 5, "told once, as a remark")
    assert left["level"] == "info" and f"Service {AGENT_NAMESPACE}/probe-east is that of Linkerd's chart" in left["msg"]
    assert one.gateway("east")["verdict"] == "alive" and one.gateway("east")["problem"] is None
    assert one.metrics()['gateway_alive{target_cluster_name="east",gateway_namespace="linkerd-multicluster",gateway_name="east"}'] == 1
    assert [e["note"] for e in source.api.list("events", AGENT_NAMESPACE) if e["type"] == "Warning"] == []
    [gateway] = why(f"{AGENT_NAMESPACE}/probe-east")
    assert gateway["kind"] == "gateway" and gateway["ready"] and bad(gateway) == {}
    assert any("left to it" in f["text"] for f in gateway["facts"] if f["subject"] == "name")
    assert plan() == {}
    east.gateway.stop()
    wait_until(lambda: one.gateway("east")["verdict"] == "dead", 10, "its verdict is told all the same")
    wait_until(lambda: source.ready_addresses("web-east", "demo") == [], 5, "and moves the endpoints")
    asked = [w for w in source.writes("svcmirror")[since:] if w["objectRef"].get("name") == "probe-east" or
             (w.get("requestObject") or {}).get("metadata", {}).get("name") == "probe-east"]
    assert [w["responseStatus"]["code"] for w in asked] == [409]
    assert source.api.get("services", "probe-east", AGENT_NAMESPACE) == charts
    assert source.slices("probe-east", AGENT_NAMESPACE) == []


def test_the_targets_own_endpoints_are_told_of(source, east, link_crd, plan, why):
    """Without an agent: the plan has the whole slice as it would be, and why says whose wish it is."""
    source.ensure_namespace("demo")
    east.export_labelled("web")
    east.link(source, gatewayAddress=None, gatewayPort=None, probeSpec=None)
    source.api.patch("links", "east", {"metadata": {"annotations": {"svcmirror.io/endpoints": "pods"}}}, "linkerd-multicluster")
    entries = plan()
    assert sorted(name for _, _, _, name in entries) == ["web-east", "web-east.pods.web-a"]
    made = entries["create", "EndpointSlice", "demo", "web-east.pods.web-a"]["object"]
    assert "annotations" not in made["metadata"] and made["endpoints"] == [{"addresses": ["10.201.1.10"], "conditions": {"ready": True}}]
    found = why("demo/web")[0]
    texts = [f["text"] for f in found["facts"]]
    assert found["mode"] == "pods" and "mirrored with the target's own endpoints: traffic does not pass a gateway" in texts
    assert 'annotation svcmirror.io/endpoints of Link east is "pods"' in texts and not any(f["subject"] == "gateway" for f in found["facts"])


# ---- why a link, why a gateway ----

def test_why_of_links_and_gateways(source, east, north, link_crd, agent, ask, why):
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    north.gateway.start()
    north.gateway_service()
    north.export("web")
    north.export("lost", gateway="nowhere")
    north.link_secret(source)
    source.ensure_namespace("demo")
    agent()
    for target in (east, north):
        ready(source, target)

    def rests():
        [link] = why("link/east")
        assert (link["kind"], link["verdict"], link["ready"], bad(link)) == ("link", "works", True, {}), link
        assert "there is nothing to write" in [f["text"] for f in link["facts"]], link
        return link
    link = wait_until(rests, 15, "all of the Link is right")
    texts = "\n".join(f["text"] for f in link["facts"])
    for words in (f"Link {AGENT_NAMESPACE}/east links cluster east", "the credentials of Secret linkerd-multicluster/cluster-credentials-east lead there, and last until 20",
                  f"spec.selector chooses {MIRROR}exported=true for mirrors through the gateway", "1 exported: 1 through a gateway",
                  "the gateway of Link linkerd-multicluster/east is alive, for 1 service", "of 1 exported services 1 are mirrored, 1 with endpoints"):
        assert words in texts, words
    assert ask("why", "link", "east").stdout.startswith("link linkerd-multicluster/east of cluster east: works\n√ link ")

    [gateway] = why("gateway/east")
    assert (gateway["kind"], gateway["verdict"], gateway["ready"], bad(gateway)) == ("gateway", "alive", True, {})
    texts = "\n".join(f["text"] for f in gateway["facts"])
    for words in ("Link east names the gateway, on port 4143", "it is probed at port 8080, path /-/ambassador/ready, every 3s", f"address {east.gateway.addresses[0]} is alive",
                  "it is alive: 1 of 1 address answers", "1 service is mirrored through it, with endpoints at its addresses",
                  f"its own: Service {AGENT_NAMESPACE}/probe-east is there"):
        assert words in texts, words

    # A link by a Secret: one of its two gateways does not exist, which is of no matter to the other.
    [link] = why("link/north")
    assert link["verdict"] == "works, but not all is well"
    assert bad(link) == {"gateway": "gateway ambassador/nowhere is of no use, for 1 service: gateway Service ambassador/nowhere does not exist in the target "
                                    "cluster -> svcmirror why gateway ambassador/nowhere"}
    by_name = {g["name"]: g for g in why("gateway/north")}
    assert {name: (g["verdict"], g["ready"]) for name, g in by_name.items()} == {"ambassador": ("alive", True), "nowhere": ("cannot be used", False)}
    assert why("gateway/ambassador/ambassador") == [by_name["ambassador"]] and why("gateway/nowhere") == [by_name["nowhere"]]
    assert "without a ready endpoint" in bad(by_name["nowhere"])["mirrors"]
    assert why("gateway/ambassador", "--link", "east") == []

    # The gateway dies; the credentials go; the declaration is refused.
    east.gateway.stop()
    [gateway] = why("gateway/east")
    assert gateway["verdict"] == "dead" and "ConnectionRefused" in bad(gateway)["gateway"]
    assert bad(gateway)["verdict"] == "it is dead: 0 of 1 address answers" and "without a ready endpoint while this is so" in bad(gateway)["mirrors"]
    [link] = why("link/east")
    assert bad(link)["gateway"].startswith("the gateway of Link linkerd-multicluster/east is dead, for 1 service -> svcmirror why gateway")
    east.network.reject(east.host, east.port)
    [link] = why("link/east")
    assert link["verdict"] == "cannot be read" and "refused" in bad(link)["target"]
    east.network.heal()
    source.api.delete("secrets", "cluster-credentials-north", AGENT_NAMESPACE)
    east.link(source, name="faulty", targetClusterName="south", gatewayPort="70000")
    [refused] = why("link/south")
    assert refused["verdict"] == "refused" and "spec.gatewayPort" in bad(refused)["link"]
    planned = ask("plan", "--link", "faulty")
    assert planned.returncode == 1 and "link faulty is refused as it is declared" in planned.stderr
    nothing = ask("why", "link/north")
    assert nothing.returncode == 1 and "no link, credentials Secret or linked cluster is called north" in nothing.stderr
