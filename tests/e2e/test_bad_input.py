"""Malformed and hostile input: one clear message where it belongs, and everything else goes on."""
import json

import pytest
from cluster.api import write_file
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until


@pytest.fixture
def good(source, north, agent):
    """A good link beside the bad ones: it must not notice them."""
    north.gateway.start()
    north.gateway_service()
    north.export("web")
    north.link_secret(source)
    one = agent(ready=False)
    yield one
    wait_until(lambda: source.ready_addresses("web-north", "demo") == north.gateway.addresses, 15, "the good link works")
    one.process.require()


def events(source, reason, kind=None):
    return [e["note"] for e in source.api.list("events", AGENT_NAMESPACE) if e["reason"] == reason and kind in (None, e["regarding"]["kind"])]


@pytest.mark.parametrize("kubeconfig, words", [
    ("this is: [not, a kubeconfig", ["kubeconfig"]),
    ("hello", ["kubeconfig"]),
    ("", ["kubeconfig"]),
    (json.dumps({"current-context": "x", "contexts": []}), ["context", "does not exist"]),
    ("exec", ["exec", "not allowed", "run a program"]),
    ("tokenFile", ["tokenFile", "not allowed", "local file"]),
    ("certificate-authority", ["certificate-authority", "not allowed", "local file"]),
])
def test_kubeconfigs_that_cannot_be_used(source, east, good, kubeconfig, words):
    if kubeconfig in ("exec", "tokenFile", "certificate-authority"):
        config = json.loads(east.reader_kubeconfig())
        if kubeconfig == "exec":
            config["users"][0]["user"] = {"exec": {"command": "/bin/sh", "args": ["-c", "touch /tmp/owned"], "apiVersion": "client.authentication.k8s.io/v1"}}
        elif kubeconfig == "tokenFile":
            config["users"][0]["user"] = {"tokenFile": "/etc/passwd"}
        else:
            config["clusters"][0]["cluster"]["certificate-authority"] = "/etc/passwd"
            del config["clusters"][0]["cluster"]["certificate-authority-data"]
        kubeconfig = json.dumps(config)
    east.link_secret(source, kubeconfig=kubeconfig)
    notes = wait_until(lambda: events(source, "CredentialsUnusable"), 10, "an Event on the Secret")
    for word in words:
        assert word in notes[0], notes[0]
    assert any(l["problem"] for l in good.json("/api/v1/links") if l["clusterName"] == "east")
    assert good.metrics()['svcmirror_credentials_usable{target_cluster_name="east"}'] == 0
    assert good.metrics()['svcmirror_credentials_usable{target_cluster_name="north"}'] == 1
    assert good.metrics()['svcmirror_link_api_reachable{target_cluster_name="east"}'] == 0


def test_a_server_that_is_not_there(source, east, good):
    config = json.loads(east.reader_kubeconfig())
    config["clusters"][0]["cluster"]["server"] = f"https://{east.host}:1"
    east.link_secret(source, kubeconfig=json.dumps(config))
    notes = wait_until(lambda: events(source, "TargetUnreachable"), 15, "an Event")
    assert "refused" in notes[0]
    assert good.metrics()['svcmirror_link_api_reachable{target_cluster_name="east"}'] == 0
    assert good.metrics()['svcmirror_credentials_usable{target_cluster_name="east"}'] == 1
    east.link_secret(source)
    wait_until(lambda: events(source, "TargetReachable"), 15, "its end is told")
    assert len(good.logs("target_watch_failed")) == 1, "told once"


def test_a_server_that_nobody_verifies(source, east, good):
    config = json.loads(east.reader_kubeconfig())
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    config["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    east.link_secret(source, kubeconfig=json.dumps(config))
    [note] = wait_until(lambda: events(source, "CredentialsWarning"), 15, "an Event")
    assert "insecure-skip-tls-verify" in note
    assert good.metrics()['svcmirror_link_warning{target_cluster_name="east"}'] == 1
    assert good.metrics()['svcmirror_link_warning{target_cluster_name="north"}'] == 0
    assert any("insecure-skip-tls-verify" in l["warning"] for l in good.json("/api/v1/links") if l["clusterName"] == "east")
    wait_until(lambda: good.metrics()['svcmirror_link_api_reachable{target_cluster_name="east"}'] == 1, 10, "it works all the same")


def test_a_server_with_the_wrong_certificate(source, east, north, good):
    config = json.loads(east.reader_kubeconfig())
    config["clusters"][0]["cluster"]["certificate-authority-data"] = json.loads(north.reader_kubeconfig())["clusters"][0]["cluster"]["certificate-authority-data"]
    east.link_secret(source, kubeconfig=json.dumps(config))
    notes = wait_until(lambda: events(source, "TargetUnreachable"), 15, "an Event")
    assert "certificate" in notes[0].lower()


def test_credentials_that_are_refused(source, east, good):
    east.link_secret(source, kubeconfig=east.token_kubeconfig("stale"))
    notes = wait_until(lambda: events(source, "TargetAccessDenied"), 15, "an Event")
    assert "401" in notes[0]


@pytest.mark.parametrize("missing", ["mirror.linkerd.io/cluster-name", "mirror.linkerd.io/remote-cluster-domain"])
def test_secret_without_its_annotations(source, east, good, missing):
    east.link_secret(source, annotations={missing: None})
    notes = wait_until(lambda: events(source, "LinkInvalid"), 10, "an Event")
    assert missing in notes[0]
    assert good.metrics()['svcmirror_link_invalid{kind="Secret",name="cluster-credentials-east"}'] == 1


def test_the_same_cluster_name_twice(source, east, good):
    east.link_secret(source, name="rival", cluster="north")
    notes = wait_until(lambda: events(source, "LinkInvalid"), 10, "an Event on the younger one")
    assert "already linked" in notes[0]
    for name in ("first", "second"):
        source.api.apply("secrets", {"apiVersion": "v1", "kind": "Secret", "type": "mirror.linkerd.io/remote-kubeconfig",
                                     "metadata": {"name": name, "namespace": AGENT_NAMESPACE}})
        wait_until(lambda: any(l["name"] == name for l in good.logs("link_invalid")), 5, "another look at all declarations")
    assert len([l for l in good.logs("link_invalid") if l["name"] == "rival"]) == 1, "told once"


@pytest.mark.usefixtures("link_crd")
def test_links_that_may_not_be_read(source, east, north, agent):
    for target in (east, north):
        target.gateway.start()
        target.gateway_service()
        target.export("web")
        target.link_secret(source)
    before = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo") and source.ready_addresses("web-north", "demo"), 15, "mirrored")
    before.stop()
    source.api.delete("secrets", "cluster-credentials-north", AGENT_NAMESPACE)
    rules = [{"apiGroups": ["", "discovery.k8s.io", "events.k8s.io", "coordination.k8s.io"], "verbs": ["*"],
              "resources": ["services", "endpointslices", "namespaces", "secrets", "events", "leases"]}]
    one = agent(kubeconfig=write_file(source.token_kubeconfig(source.service_account("without-links", rules))))
    [told] = one.logs("link_watch_failed")
    assert "links" in told["error"] and "403" in told["error"]
    readable = {name: one.metrics()[f'svcmirror_declarations_readable{{resource="{name}"}}'] for name in ("links", "secrets")}
    assert readable == {"links": 0, "secrets": 1}
    east.export("more")
    wait_until(lambda: source.ready_addresses("more-east", "demo"), 10, "Secrets declare links")
    assert source.api.find("services", "web-north", "demo"), "a Link may declare north: nothing of it is deleted"


@pytest.mark.usefixtures("link_crd")
def test_a_probe_period_of_zero_gets_the_default(source, east, good):
    wait_until(lambda: good.logs("links_served"), 15, "Link resources are seen")
    east.link(source, probeSpec={"path": "/ready", "port": "8080", "period": "0s"})
    notes = wait_until(lambda: events(source, "LinkWarning"), 10, "an Event on the Link")
    assert "period" in notes[0] and "0s" in notes[0] and "3000 ms is used" in notes[0]
    assert good.metrics()['svcmirror_link_warning{target_cluster_name="east"}'] == 1


FAULTS = [
    ({"probeSpec": {"path": "/ready", "port": "70000", "period": "3s"}}, ["probeSpec.port", "70000"]),
    ({"probeSpec": {"path": "/a b", "port": "8080", "period": "3s"}}, ["probeSpec.path", "/a b"]),
    ({"gatewayPort": "70000"}, ["gatewayPort", "70000"]),
    ({"selector": {"matchLabels": None, "matchExpressions": [{"key": "a", "operator": "In"}]}}, ["selector", "In"]),
    ({"selector": {"matchLabels": {"mirror.linkerd.io/exported": True}}}, ["selector"]),
    ({"targetClusterName": "Not A Name"}, ["targetClusterName", "Not A Name"]),
    ({"targetClusterName": "local"}, ["targetClusterName", "local", "source cluster"]),
]


@pytest.mark.usefixtures("link_crd")
@pytest.mark.parametrize("spec, words", FAULTS)
def test_a_fault_in_a_link_refuses_it_and_moves_nothing(source, east, good, spec, words):
    """A new Link is refused with a word; a working one that is changed so stays as it was."""
    wait_until(lambda: good.logs("links_served"), 15, "Link resources are seen")
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "the link works")
    before = [(o["metadata"]["uid"], o["metadata"]["resourceVersion"]) for o in (
        source.api.get("services", "web-east", "demo"), source.api.get("endpointslices", "web-east.ipv4", "demo"))]
    source.api.patch("links", "east", {"spec": spec}, AGENT_NAMESPACE)
    notes = wait_until(lambda: events(source, "LinkInvalid", "Link"), 10, "an Event on the Link")
    for word in words:
        assert word in notes[0], notes[0]
    assert good.metrics()['svcmirror_link_invalid{kind="Link",name="east"}'] == 1
    [record] = [l for l in good.json("/api/v1/links") if l["name"] == "east"]
    assert record["clusterName"] == "east" and not record["refused"] and record["synced"]
    assert all(word in record["problem"] for word in ("stays as it was", *words)), record
    # A start with the fault in place: nothing is known of the link, so nothing is taken away.
    good.restart()
    wait_until(lambda: good.logs("link_invalid"), 10, "told again")
    [record] = [l for l in good.json("/api/v1/links") if l["name"] == "east"]
    named = spec.get("targetClusterName", "east")
    assert record == {**dict.fromkeys(record), "kind": "Link", "namespace": AGENT_NAMESPACE, "name": "east", "refused": True,
                      "clusterName": None if " " in named else named, "problem": record["problem"]}
    assert all(word in record["problem"] for word in words), record
    assert "refused</span>" in good.get("/")[1]
    wait_until(lambda: source.ready_addresses("web-north", "demo"), 10, "the other link works")
    after = [(o["metadata"]["uid"], o["metadata"]["resourceVersion"]) for o in (
        source.api.get("services", "web-east", "demo"), source.api.get("endpointslices", "web-east.ipv4", "demo"))]
    assert after == before
    # Mended, it goes on.
    source.api.delete("links", "east", AGENT_NAMESPACE)
    east.link(source)
    east.export_labelled("late")
    wait_until(lambda: source.ready_addresses("late-east", "demo") == east.gateway.addresses, 10, "mended")


@pytest.mark.usefixtures("link_crd")
def test_a_link_without_a_gateway(source, east, good):
    wait_until(lambda: good.logs("links_served"), 15, "Link resources are seen")
    source.ensure_namespace("demo")
    east.export_labelled("web")
    east.link(source, gatewayAddress=None, gatewayPort=None, probeSpec=None)
    wait_until(lambda: source.api.find("services", "web-east", "demo"), 10, "mirrored, without endpoints")
    assert source.ready_addresses("web-east", "demo") == []
    wait_until(lambda: any("names no usable gateway" in s["message"] for s in good.services()), 5, "and the reason is told")
    notes = wait_until(lambda: events(source, "GatewayUnusable"), 5, "an Event on the Link")
    assert "names no usable gateway" in notes[0]
    east.gateway.start()
    east.link(source)
    wait_until(lambda: events(source, "GatewayUsable"), 10, "mended")


def usable(agent, name="ambassador", namespace="ambassador"):
    return agent.metrics().get(f'svcmirror_gateway_usable{{target_cluster_name="east",gateway_namespace="{namespace}",gateway_name="{name}"}}')


def test_a_gateway_that_is_not_there(source, east, good):
    east.gateway.start()
    east.export("orphan", gateway="missing", gateway_ns="nowhere")
    east.link_secret(source)
    notes = wait_until(lambda: events(source, "GatewayNotFound"), 10, "an Event")
    assert "nowhere/missing" in notes[0] and usable(good, "missing", "nowhere") == 0
    labels = '{target_cluster_name="east",gateway_namespace="nowhere",gateway_name="missing"}'
    assert (good.metrics()["gateway_alive" + labels], good.metrics()["gateway_enabled" + labels]) == (0, 0)
    [event] = [e for e in source.api.list("events", AGENT_NAMESPACE) if e["reason"] == "GatewayNotFound"]
    assert (event["type"], event["regarding"]["kind"], event["regarding"]["name"]) == ("Warning", "Secret", "cluster-credentials-east")
    east.export("another", gateway="missing", gateway_ns="nowhere")
    wait_until(lambda: [s for s in good.services() if s["name"] == "another" and s["reason"] != "Pending"], 5, "another service names it")
    assert [l["reason"] for l in good.logs("gateway_unusable")] == ["GatewayNotFound"], "told once"
    east.gateway_service("missing", "nowhere")
    wait_until(lambda: events(source, "GatewayUsable"), 5, "its coming is told")
    assert usable(good, "missing", "nowhere") == 1
    for name, namespace in (("orphan", "demo"), ("another", "demo"), ("missing", "nowhere")):
        east.api.delete("services", name, namespace)
    wait_until(lambda: usable(good, "missing", "nowhere") is None, 5, "its series goes with it")


@pytest.mark.parametrize("addresses, ports, marked, words", [
    ([], None, "true", "no load balancer address"), (None, [{"name": "mc-probe", "port": 8080, "protocol": "TCP"}], "true", "no port named mc-gateway"),
    (None, [{"name": "http", "port": 80, "protocol": "TCP"}], None, "no port named mc-gateway")], ids=["no-address", "no-port", "not-prepared"])
def test_a_gateway_that_cannot_be_used(source, east, good, addresses, ports, marked, words):
    east.gateway.start()
    east.gateway_service(addresses=addresses, ports=ports, annotations={"mirror.linkerd.io/multicluster-gateway": marked})
    east.export("web")
    east.link_secret(source)
    notes = wait_until(lambda: events(source, "GatewayUnusable"), 10, "an Event")
    assert words in notes[0] and usable(good) == 0
    east.gateway_service()
    wait_until(lambda: events(source, "GatewayUsable"), 5, "mended")
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "and used")
    assert usable(good) == 1


def test_what_is_odd_about_a_gateway_is_told_once(source, east, good):
    east.gateway.start()
    east.gateway_service(period="soon")
    east.export("web")
    east.link_secret(source)
    notes = wait_until(lambda: events(source, "GatewayMisconfigured"), 10, "an Event")
    assert "soon" in notes[0]
    assert good.metrics()['svcmirror_gateway_warning{target_cluster_name="east",gateway_namespace="ambassador",gateway_name="ambassador"}'] == 1
    east.gateway_service(period="soon", identity="other")
    wait_until(lambda: good.gateway("east")["identity"] == "other", 5, "another change of the declaration")
    assert len(good.logs("gateway_warning")) == 1


def test_services_that_cannot_be_mirrored(source, east, good):
    east.gateway.start()
    east.gateway_service()
    east.export("n" * 60)
    east.export("outside", type="ExternalName", externalName="example.com")
    east.export("mirror-of-mirror", labels={"mirror.linkerd.io/mirrored-service": "true"})
    east.export("orphan", gateway="missing", gateway_ns="nowhere")
    east.export("nameless", gateway="no/name")
    marks = {"mirror.linkerd.io/gateway-name": "ambassador", "mirror.linkerd.io/gateway-ns": "ambassador"}
    east.api.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "portless", "namespace": "demo", "annotations": marks},
                                 "spec": {"clusterIP": "None", "selector": {"app": "portless"}}})
    east.link_secret(source)
    judged = lambda: {s["name"]: s for s in good.services() if s["clusterName"] == "east" and s["reason"] != "Pending"}
    told = wait_until(lambda: judged() if len(judged()) == 6 else None, 15, "each is judged")
    assert told["n" * 60]["reason"] == "InvalidService" and "63" in told["n" * 60]["message"]
    assert told["outside"]["reason"] == "InvalidService" and "ExternalName" in told["outside"]["message"]
    assert told["mirror-of-mirror"]["reason"] == "InvalidService" and "itself a mirror" in told["mirror-of-mirror"]["message"]
    assert told["orphan"]["mirrored"] and "does not exist" in told["orphan"]["message"]
    assert told["portless"]["reason"] == "InvalidService" and "no exposed ports" in told["portless"]["message"]
    assert told["nameless"]["reason"] == "InvalidService" and "must name a Service and its namespace" in told["nameless"]["message"]
    skipped = ("n" * 60, "outside", "mirror-of-mirror", "portless", "nameless")
    notes = wait_until(lambda: [n for n in [" ".join(events(source, "ServiceMirroringSkipped"))] if all(s in n for s in skipped)], 5, "an Event for each")
    assert "orphan" not in notes[0]
    assert good.metrics()['svcmirror_services{target_cluster_name="east",reason="InvalidService"}'] == len(skipped)
    assert [l["service"] for l in good.logs("service_not_mirrored") if l["cluster"] == "east"].count("demo/portless") == 1


@pytest.mark.usefixtures("link_crd")
@pytest.mark.parametrize("way", ["secret", "link"])
def test_services_that_change_their_type(source, east, good, way):
    """To a type that cannot be mirrored and back: the mirror goes and comes. Between ClusterIP and headless: it stays a mirror all the time."""
    east.gateway.start()
    if way == "secret":
        east.gateway_service()
        east.export("web")
        east.link_secret(source)
    else:
        wait_until(lambda: good.logs("links_served"), 15, "Link resources are seen")
        source.ensure_namespace("demo")
        east.export_labelled("web")
        east.link(source)
    mirrored = lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses
    told = lambda: {s["name"]: (s["mirrored"], s["reason"]) for s in good.services() if s["clusterName"] == "east"}
    wait_until(mirrored, 15, "mirrored")
    for kind, change in (("ExternalName", {"type": "ExternalName", "externalName": "elsewhere.example", "clusterIP": None, "clusterIPs": None}),
                         ("ClusterIP", {"type": "ClusterIP", "externalName": None}), ("NodePort", {"type": "NodePort"}), ("LoadBalancer", {"type": "LoadBalancer"}),
                         ("ClusterIP", {"type": "ClusterIP"})):
        east.api.patch("services", "web", {"spec": change}, "demo")
        if kind == "ExternalName":
            wait_until(lambda: source.api.find("services", "web-east", "demo") is None, 5, "the mirror goes")
            wait_until(lambda: told()["web"] == (False, "InvalidService"), 5, "and it is told why")
        else:
            wait_until(mirrored, 5, f"mirrored as {kind}")
            wait_until(lambda: told()["web"] == (True, "Mirrored"), 5, f"told as {kind}")
            assert source.api.get("services", "web-east", "demo")["spec"]["type"] == "ClusterIP"
    # Kubernetes lets nobody change to headless in place: the Service is made anew, and by 2.8's rules or without hostnames its mirror is like any other.
    before = source.api.get("services", "web-east", "demo")["metadata"]["uid"]
    east.api.delete("services", "web", "demo")
    wait_until(lambda: source.api.find("services", "web-east", "demo") is None, 5, "the mirror goes with its service")
    (east.export if way == "secret" else east.export_labelled)("web", clusterIP="None")
    wait_until(mirrored, 5, "a headless service without hostnames")
    after = source.api.get("services", "web-east", "demo")
    assert after["metadata"]["uid"] != before and after["spec"]["clusterIP"] != "None"


def test_a_gateway_that_returns_with_other_ports(source, east, good):
    """It goes: no endpoints. It returns with another gateway port, another probe port and another path: slices and probes follow."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 15, "mirrored")
    uid = source.api.get("services", "web-east", "demo")["metadata"]["uid"]
    east.api.delete("services", "ambassador", "ambassador")
    wait_until(lambda: events(source, "GatewayNotFound"), 5, "told")
    wait_until(lambda: source.ready_addresses("web-east", "demo") == [], 5, "no gateway, no endpoints")
    assert usable(good) == 0
    east.gateway.stop()
    east.gateway.probe_port = 8081
    east.gateway.start()
    east.gateway_service(ports=[{"name": "mc-gateway", "port": 5143, "protocol": "TCP"}, {"name": "mc-probe", "port": 8081, "protocol": "TCP"}])
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "ready again, by the probe of the other port")
    [piece] = source.slices("web-east", "demo")
    assert [p["port"] for p in piece["ports"]] == [5143]
    one = good.gateway("east")
    assert (one["port"], one["probePort"], one["verdict"]) == (5143, 8081, "alive")
    wait_until(lambda: events(source, "GatewayUsable"), 5, "its return is told")
    assert usable(good) == 1 and source.api.get("services", "web-east", "demo")["metadata"]["uid"] == uid


@pytest.mark.parametrize("argv, words", [
    (["run", "--bogus"], "unknown flag --bogus"), (["run", "--log-level", "loud"], "loud"), (["bogus"], "unknown command"),
    (["gateways", "-o", "xml"], "xml"), (["run", "--kubeconfig"], "needs a value"), (["run", "--allowed-namespaces", "a,B"], '"B" is not a name of a namespace'),
    (["gateways", "--wait", "soon"], "soon")])
def test_bad_flags(lab, argv, words):
    result = lab.agent(name="flags").command(*argv)
    assert result.returncode == 2 and words in result.stderr and "--help` lists" in result.stderr
    assert result.stderr.count("\n") == 1


def test_no_credentials_at_all(lab, tmp_path):
    result = lab.agent(name="nothing").command("run", "--kubeconfig", str(tmp_path / "missing"))
    assert result.returncode == 1 and "missing" in result.stderr and "No such file" in result.stderr
