"""Malformed and hostile input: one clear message where it belongs, and everything else goes on."""
import json

import pytest
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


def events(source, reason):
    return [e["note"] for e in source.api.list("events", AGENT_NAMESPACE) if e["reason"] == reason]


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


def test_a_server_that_is_not_there(source, east, good):
    config = json.loads(east.reader_kubeconfig())
    config["clusters"][0]["cluster"]["server"] = f"https://{east.host}:1"
    east.link_secret(source, kubeconfig=json.dumps(config))
    notes = wait_until(lambda: events(source, "TargetUnreachable"), 15, "an Event")
    assert "refused" in notes[0]
    assert good.metrics()['svcmirror_link_api_reachable{target_cluster_name="east"}'] == 0


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


@pytest.mark.usefixtures("link_crd")
@pytest.mark.parametrize("spec, words", [
    ({"probeSpec": {"path": "/ready", "port": "8080", "period": "0s"}}, ["period", "0s"]),
    ({"probeSpec": {"path": "/ready", "port": "70000", "period": "3s"}}, ["port", "70000"]),
    ({"gatewayPort": "70000"}, ["gatewayPort", "70000"]),
    ({"selector": {"matchExpressions": [{"key": "a", "operator": "In"}]}}, ["selector"]),
])
def test_links_with_faulty_fields(source, east, good, spec, words):
    wait_until(lambda: good.logs("links_served"), 15, "Link resources are seen")
    east.link(source, **spec)
    notes = wait_until(lambda: events(source, "LinkWarning"), 10, "an Event on the Link")
    for word in words:
        assert word in notes[0], notes[0]


@pytest.mark.usefixtures("link_crd")
def test_a_link_without_a_gateway(source, east, good):
    wait_until(lambda: good.logs("links_served"), 15, "Link resources are seen")
    source.ensure_namespace("demo")
    east.export_labelled("web")
    east.link(source, gatewayAddress=None, gatewayPort=None, probeSpec=None)
    wait_until(lambda: source.api.find("services", "web-east", "demo"), 10, "mirrored, without endpoints")
    assert source.ready_addresses("web-east", "demo") == []
    wait_until(lambda: any("names no usable gateway" in s["message"] for s in good.services()), 5, "and the reason is told")


def test_services_that_cannot_be_mirrored(source, east, good):
    east.gateway.start()
    east.gateway_service()
    east.export("n" * 60)
    east.export("outside", type="ExternalName", externalName="example.com")
    east.export("mirror-of-mirror", labels={"mirror.linkerd.io/mirrored-service": "true"})
    east.export("orphan", gateway="missing", gateway_ns="nowhere")
    east.link_secret(source)
    told = wait_until(lambda: {s["name"]: s for s in good.services() if s["clusterName"] == "east" and s["reason"] != "Pending"} if len(
        [s for s in good.services() if s["clusterName"] == "east" and s["reason"] != "Pending"]) == 4 else None, 15, "each is judged")
    assert told["n" * 60]["reason"] == "InvalidService" and "63" in told["n" * 60]["message"]
    assert told["outside"]["reason"] == "InvalidService" and "ExternalName" in told["outside"]["message"]
    assert told["mirror-of-mirror"]["reason"] == "InvalidService" and "itself a mirror" in told["mirror-of-mirror"]["message"]
    assert told["orphan"]["mirrored"] and "does not exist" in told["orphan"]["message"]
    notes = " ".join(events(source, "ServiceMirroringSkipped"))
    assert "outside" in notes and "mirror-of-mirror" in notes


@pytest.mark.parametrize("argv, words", [
    (["run", "--bogus"], "unknown flag --bogus"), (["run", "--log-level", "loud"], "loud"), (["bogus"], "unknown command"),
    (["gateways", "-o", "xml"], "xml"), (["run", "--kubeconfig"], "needs a value"), (["gateways", "--wait", "soon"], "soon")])
def test_bad_flags(lab, argv, words):
    result = lab.agent(name="flags").command(*argv)
    assert result.returncode == 2 and words in result.stderr and "--help" in result.stderr + "--help" * (argv[0] == "gateways")
    assert result.stderr.count("\n") == 1


def test_no_credentials_at_all(lab, tmp_path):
    result = lab.agent(name="nothing").command("run", "--kubeconfig", str(tmp_path / "missing"))
    assert result.returncode == 1 and "missing" in result.stderr and "No such file" in result.stderr
