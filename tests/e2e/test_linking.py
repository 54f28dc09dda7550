"""The commands that set a link up and take it down: link, link-gen, allow, unlink, export, unexport, between real clusters."""
import base64
import json
import os
import pathlib
import subprocess

import pytest
from cluster.agent import default_binary
from cluster.api import Api, joined_kubeconfig
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

M = "mirror.linkerd.io/"
MANIFESTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "manifests")
UPSTREAM_CRD = os.path.join(MANIFESTS, "..", "..", "..", "shared", "data", "linkerd-link-crd.yaml")
ENVIRONMENT = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=66", "UBSAN_OPTIONS": "halt_on_error=1:exitcode=67", "HOME": "/nonexistent"}
ACCOUNT = [("serviceaccounts", "svcmirror-remote"), ("secrets", "svcmirror-remote-token"), ("clusterroles", "svcmirror-remote"),
           ("clusterrolebindings", "svcmirror-remote"), ("roles", "svcmirror-remote"), ("rolebindings", "svcmirror-remote")]
LINKERDS = [(resource, f"svcmirror-remote-for-linkerd{'-token' * (resource == 'secrets')}")
            for resource in ("serviceaccounts", "secrets", "clusterroles", "clusterrolebindings")]
RENEWAL = [("roles", "svcmirror-renew-east"), ("rolebindings", "svcmirror-renew-east")]


@pytest.fixture
def run(source, east, tmp_path):
    """Runs a command with one kubeconfig of two contexts, "west" (the source) and "east". `code` is what it must end with."""
    path = tmp_path / "kubeconfig"
    path.write_text(joined_kubeconfig(west=source, east=east))

    def run(*argv, code=0, input=None):
        result = subprocess.run([default_binary(), *argv], text=True, capture_output=True, timeout=90, check=False, input=input,
                                env={**ENVIRONMENT, "KUBECONFIG": str(path)})
        print(f"$ svcmirror {' '.join(argv)}\n{result.stdout}{result.stderr}=> {result.returncode}\n")
        assert result.returncode == code, result.stdout + result.stderr
        return result
    yield run
    for resource, name in ACCOUNT + LINKERDS:
        east.api.delete(resource, name, AGENT_NAMESPACE)
    for resource, name in RENEWAL:
        source.api.delete(resource, name, AGENT_NAMESPACE)


@pytest.fixture
def demo(source, east):
    """A service with a ready endpoint in the target, a gateway that is alive, and a namespace for the mirror."""
    source.ensure_namespace("demo")
    east.gateway.start()
    east.gateway_service()
    east.service("web")
    east.slice("web", "demo", ["10.201.1.10"])


def readme(command):
    """The one command of the README that begins so, as words."""
    with open(os.path.join(MANIFESTS, "..", "..", "README.md"), encoding="utf-8") as file:
        [line] = [line.strip() for line in file if line.strip().startswith(f"$ svcmirror {command} ")]
    return line.split()[2:]


LINK = ("link", "--target-context", "east", "--context", "west", "--cluster-name", "east")
UNLINK = ("unlink", "--cluster-name", "east", "--context", "west")


def declared(source):
    """What links targets, in the agent's namespace: (kind, name)."""
    links = source.api.list("links", AGENT_NAMESPACE) if source.api.raw("GET", "/apis/multicluster.linkerd.io/v1alpha3/links")[0] == 200 else []
    return sorted([("Link", link["metadata"]["name"]) for link in links]
                  + [("Secret", s["metadata"]["name"]) for s in source.api.list("secrets", AGENT_NAMESPACE)])


def account(east):
    return [resource for resource, name in ACCOUNT if east.api.find(resource, name, AGENT_NAMESPACE)]


def ready(source, east, name="web-east"):
    return source.ready_addresses(name, "demo") == east.gateway.addresses


def kubeconfig_of(source, name="cluster-credentials-east"):
    secret = source.api.get("secrets", name, AGENT_NAMESPACE)
    return base64.b64decode(secret["data"]["kubeconfig"]).decode()


def claims_of(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def test_the_whole_way_with_a_link(source, east, agent, link_crd, run, demo):
    printed = run(*LINK, "--dry-run=client").stdout
    assert "kind: Link" in printed and "TOKEN-OF-THE-ACCOUNT" not in printed and "kind: ServiceAccount" in printed
    run(*LINK, "--dry-run=server")
    assert declared(source) == [] and account(east) == []

    first = run(*LINK)
    rbac = "rbac.authorization.k8s.io"
    assert first.stdout.splitlines()[-8:] == [
        f"clusterrole.{rbac}/svcmirror-remote created", f"clusterrolebinding.{rbac}/svcmirror-remote created",
        f"role.{rbac}/svcmirror-remote created", f"rolebinding.{rbac}/svcmirror-remote created", "secret/cluster-credentials-east created",
        f"role.{rbac}/svcmirror-renew-east created", f"rolebinding.{rbac}/svcmirror-renew-east created", "link.multicluster.linkerd.io/east created"]
    assert declared(source) == [("Link", "east"), ("Secret", "cluster-credentials-east")]
    link = source.api.get("links", "east", AGENT_NAMESPACE)
    assert link["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "svcmirror"}
    assert link["spec"] == {
        "targetClusterName": "east", "targetClusterDomain": "cluster.local", "targetClusterLinkerdNamespace": "linkerd",
        "clusterCredentialsSecret": "cluster-credentials-east", "gatewayAddress": east.gateway.addresses[0], "gatewayPort": "4143",
        "gatewayIdentity": "ambassador.ambassador.serviceaccount.identity.linkerd.cluster.local",
        "probeSpec": {"path": "/-/ambassador/ready", "port": "8080", "period": "3s", "failureThreshold": "3", "timeout": "30s"},
        "selector": {"matchLabels": {M + "exported": "true"}}, "remoteDiscoverySelector": {"matchLabels": {M + "exported": "remote-discovery"}},
        "federatedServiceSelector": {"matchLabels": {M + "federated": "member"}}}
    assert {line.split()[-1] for line in run(*LINK).stdout.splitlines()} == {"unchanged"}

    one = agent()
    waited = run(*LINK, "--wait", "2s", code=1)
    assert "does cluster east export a service?" in waited.stderr, "without a Service of the agent nobody can say more"
    assert run("export", "web", "--context", "east", "-n", "demo").stdout == "service/web exported\n"
    assert "mirrored: demo/web-east" in run(*LINK, "--wait", "20s").stderr
    wait_until(lambda: ready(source, east), 15, "the mirror is ready")
    assert one.gateways()[0]["verdict"] == "alive"
    wait_until(lambda: source.api.get("links", "east", AGENT_NAMESPACE)["metadata"].get("finalizers") == ["svcmirror.io/mirrors"], 5, "the finalizer")

    assert run("unexport", "web", "--context", "east", "-n", "demo").stdout == "service/web unexported\n"
    wait_until(lambda: source.api.find("services", "web-east", "demo") is None, 10, "the mirror goes")
    assert run("unexport", "web", "--context", "east", "-n", "demo").stdout == "service/web not exported\n"
    run("export", "--all", "--context", "east", "-n", "demo")
    wait_until(lambda: ready(source, east), 10, "mirrored again")

    would = run(*UNLINK, "--dry-run=client")
    assert "demo/web-east" in would.stderr and "link.multicluster.linkerd.io/east deleted (dry run)" in would.stdout
    assert declared(source) != [] and source.api.find("services", "web-east", "demo")
    gone = run(*UNLINK, "--target-context", "east", "--wait", "20s")
    assert "the agent will remove the mirrors of cluster east, 1: demo/web-east" in gone.stderr
    assert declared(source) == [] and account(east) == [] and source.api.find("services", "web-east", "demo") is None
    wait_until(lambda: source.api.list("services", None, M + "mirrored-service=true") == [], 10, "no mirror is left, the gateway's neither")
    run(*UNLINK, code=1)
    run(*UNLINK, "--ignore-not-found")


def test_the_whole_way_with_a_secret_of_2_8(source, east, agent, run, demo):
    """No Link resources are served here."""
    assert "serves no Link resources" in run(*LINK, code=1).stderr
    assert account(east) == [], "nothing was written before that was known"
    run(*LINK, "--kind", "secret")
    assert declared(source) == [("Secret", "cluster-credentials-east")]
    meta = source.api.get("secrets", "cluster-credentials-east", AGENT_NAMESPACE)["metadata"]
    assert meta["annotations"] == {M + "cluster-name": "east", M + "remote-cluster-domain": "cluster.local", M + "remote-cluster-l5d-ns": "linkerd",
                                   "svcmirror.io/renew-token": "720h"}
    agent()
    run("export", "web", "--context", "east", "-n", "demo", "--gateway-name", "ambassador", "--gateway-namespace", "ambassador")
    run(*LINK, "--kind", "secret", "--wait", "20s")
    wait_until(lambda: ready(source, east), 15, "the mirror is ready")
    run("unexport", "--all", "-A", "--context", "east")
    wait_until(lambda: source.api.find("services", "web-east", "demo") is None, 10, "the mirror goes")
    run(*UNLINK, "--target-context", "east", "--wait", "20s")
    assert declared(source) == [] and account(east) == []
    wait_until(lambda: source.api.list("services", None, M + "mirrored-service=true") == [], 10, "no mirror is left, the gateway's neither")


def ask_for(source, duration):
    """As the command would, so that nobody else owns the annotation."""
    source.kubectl("annotate", "secret", "cluster-credentials-east", "-n", AGENT_NAMESPACE, "--overwrite", "--field-manager=svcmirror-cli",
                   f"svcmirror.io/renew-token={duration}")


def test_a_token_that_expires_is_renewed_by_the_agent(source, east, agent, link_crd, run, demo):
    """Longer ones are wished for than the one that is there: half of that life is over at once."""
    source.ensure_namespace("linkerd")
    run(*LINK, "--token-duration", "1h", "--trust-domain", "cluster.local")
    one = agent()
    run("export", "web", "--context", "east", "-n", "demo")
    wait_until(lambda: ready(source, east), 15, "the mirror is ready")
    before = kubeconfig_of(source)
    linkerds = source.api.get("secrets", "cluster-credentials-east", "linkerd")["data"]
    expires = one.json("/api/v1/links")[0]["credentialsExpire"]
    ask_for(source, "5h")
    wait_until(lambda: one.json("/api/v1/links")[0]["credentialsExpire"] != expires, 10, "the agent uses a new one")
    after = kubeconfig_of(source)
    old, new = (text.split("token: ")[1].strip().strip('"') for text in (before, after))
    assert old != new and after == before.replace(old, new), "nothing else changed"
    assert [claims_of(token)["exp"] - claims_of(token)["iat"] for token in (old, new)] == [3600, 18000]
    assert source.api.get("secrets", "cluster-credentials-east", "linkerd")["data"] == linkerds, "that is not the agent's, and does not end"
    assert one.logs("token_renewed") and not one.logs("token_renewal_failed") and ready(source, east)
    written = [w["objectRef"]["namespace"] for w in source.writes("svcmirror") if w["objectRef"]["resource"] == "secrets"]
    assert written[-3:] == [AGENT_NAMESPACE, "linkerd", AGENT_NAMESPACE], "by `link`, then by the agent"
    # The one that the agent got is kept by the command, too; where another life is asked for the agent's word stands in nobody's way.
    ask_for(source, "1h")
    wait_until(lambda: kubeconfig_of(source) != after, 10, "another one, of an hour")
    after = kubeconfig_of(source)
    again = run(*LINK, "--token-duration", "1h", "--trust-domain", "cluster.local")
    assert {line.split()[-1] for line in again.stdout.splitlines()} == {"unchanged"} and kubeconfig_of(source) == after
    source.kubectl("label", "secret", "cluster-credentials-east", "-n", AGENT_NAMESPACE, "team=of-others")
    run(*LINK, "--token-duration", "2h", "--trust-domain", "cluster.local")
    longer = kubeconfig_of(source).split("token: ")[1].strip().strip('"')
    assert claims_of(longer)["exp"] - claims_of(longer)["iat"] == 7200
    # As docs/operations.md has a new one made at once.
    source.kubectl("annotate", "secret", "cluster-credentials-east", "-n", AGENT_NAMESPACE, "svcmirror.io/renew-token-")
    run(*LINK, "--token-duration", "2h", "--trust-domain", "cluster.local")
    assert longer not in kubeconfig_of(source) and ready(source, east)
    # An account made anew: the API server still accepts the old one's token for some seconds.
    old = kubeconfig_of(source)
    east.api.delete("serviceaccounts", "svcmirror-remote", AGENT_NAMESPACE)
    run(*LINK, "--token-duration", "2h", "--trust-domain", "cluster.local")
    assert kubeconfig_of(source) != old, "it ends with its account"
    # Without the right the agent says so, and what it has goes on working.
    east.api.delete("rolebindings", "svcmirror-remote", AGENT_NAMESPACE)
    ask_for(source, "20h")
    wait_until(lambda: one.logs("token_renewal_failed"), 15, "the failure is told")
    assert "403 Forbidden" in one.logs("token_renewal_failed")[-1]["msg"] and ready(source, east)
    run(*UNLINK, "--target-context", "east", "--wait", "20s")
    assert declared(source) == [] and account(east) == []
    assert source.api.list("roles", "linkerd") == []


def may(east, token, verb, resource, group=""):
    """Whether a token has a right in all namespaces, as its owner asks."""
    api = Api(east.host, east.port, east.pki.ca, token=token)
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
              "spec": {"resourceAttributes": {"verb": verb, "resource": resource, "group": group}}}
    return api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)["status"]["allowed"]


def test_linkerds_control_plane_may_read_what_it_asks_for(source, east, agent, link_crd, run, demo):
    """Its destination controller takes a cluster whose pods it may list, and then watches all of these; the agent needs less, and may do less."""
    source.ensure_namespace("linkerd")
    run(*LINK, "--trust-domain", "cluster.local")
    text = base64.b64decode(source.api.get("secrets", "cluster-credentials-east", "linkerd")["data"]["kubeconfig"]).decode()
    linkerds, agents = (one.split("token: ")[1].strip().strip('"') for one in (text, kubeconfig_of(source)))
    assert "exp" not in claims_of(linkerds) and "exp" in claims_of(agents)
    asked = [("pods", ""), ("services", ""), ("endpoints", ""), ("endpointslices", "discovery.k8s.io"), ("replicasets", "apps"), ("jobs", "batch"),
             ("servers", "policy.linkerd.io")]
    for resource, group in asked:
        for verb in ("get", "list", "watch"):
            assert may(east, linkerds, verb, resource, group), (verb, resource)
        assert not may(east, linkerds, "update", resource, group)
    assert not may(east, linkerds, "list", "secrets") and not may(east, agents, "list", "pods") and may(east, agents, "list", "services")
    assert {line.split()[-1] for line in run(*LINK, "--trust-domain", "cluster.local").stdout.splitlines()} == {"unchanged"}
    run(*UNLINK, "--target-context", "east")
    assert [name for resource, name in ACCOUNT + LINKERDS if east.api.find(resource, name, AGENT_NAMESPACE)] == []


def test_a_token_that_expires_is_renewed_by_running_it_again(source, east, agent, link_crd, run, demo):
    run(*LINK, "--token-duration", "1h", "--renew-token=false")
    assert "secrets" not in account(east)
    before = kubeconfig_of(source)
    claims = claims_of(before.split("token: ")[1].strip().strip('"'))
    assert claims["sub"] == f"system:serviceaccount:{AGENT_NAMESPACE}:svcmirror-remote" and claims["exp"] - claims["iat"] == 3600
    one = agent()
    run("export", "web", "--context", "east", "-n", "demo")
    wait_until(lambda: ready(source, east), 15, "the mirror is ready")
    expires = one.json("/api/v1/links")[0]["credentialsExpire"]
    assert "the token expires at" in run(*LINK, "--token-duration", "2h").stderr
    assert kubeconfig_of(source) != before
    wait_until(lambda: one.json("/api/v1/links")[0]["credentialsExpire"] > expires, 5, "the agent uses the new one")
    assert ready(source, east)


def test_a_link_that_follows_its_gateway(source, east, agent, link_crd, run, demo):
    """Of two addresses of the load balancer one goes: the endpoints follow, and nobody links anew. Then what it says is written down again."""
    follow = (*LINK, "--gateway-service", "ambassador/ambassador")
    run(*LINK)
    run(*follow)
    printed = run("link-gen", "--context", "east", "--cluster-name", "east", "--gateway-service", "ambassador/ambassador", "--token-duration", "1h").stdout
    assert "svcmirror.io/gateway: ambassador/ambassador" in printed and "gatewayAddress" not in printed
    link = source.api.get("links", "east", AGENT_NAMESPACE)
    assert link["metadata"]["annotations"]["svcmirror.io/gateway"] == "ambassador/ambassador"
    assert not {"gatewayAddress", "gatewayPort", "gatewayIdentity", "probeSpec"} & set(link["spec"]), "what the command itself wrote before is gone"
    one = agent()
    run("export", "web", "--context", "east", "-n", "demo")
    assert "mirrored: demo/web-east" in run(*follow, "--wait", "20s").stderr
    wait_until(lambda: ready(source, east), 15, "the mirror is ready")
    east.set_gateway_addresses([east.network.address(3)])
    wait_until(lambda: [a["ip"] for a in one.gateways()[0]["addresses"]] == [east.network.address(3)], 10, "the agent follows")
    wait_until(lambda: [e["addresses"] for s in source.slices("web-east", "demo") for e in s["endpoints"]] == [[east.network.address(3)]], 10, "so do the endpoints")
    run(*LINK)
    link = source.api.get("links", "east", AGENT_NAMESPACE)
    assert link["spec"]["gatewayAddress"] == east.network.address(3) and "svcmirror.io/gateway" not in link["metadata"]["annotations"]


def test_why_nothing_is_mirrored(source, east, agent, link_crd, run, demo):
    source.ensure_namespace("demo")
    east.service("web", "not-in-the-source")
    run("export", "web", "-n", "not-in-the-source", "--context", "east")
    agent()
    assert "MissingNamespace: Namespace does not exist" in run(*LINK, "--wait", "8s", code=1).stderr
    run(*LINK, "--api-server-address", f"https://{east.host}:1")
    event = wait_until(lambda: [e for e in source.api.list("events", AGENT_NAMESPACE) if e["reason"] == "TargetUnreachable"], 10, "an Event tells")
    assert event
    east.api.delete("services", "web", "not-in-the-source")


def test_what_is_printed_is_accepted_and_is_what_is_applied(source, east, link_crd, run, demo):
    def objects(text):
        result = source.kubectl("create", "--dry-run=client", "-o", "json", "-f", "-", input=text)
        assert result.returncode == 0, result.stderr
        decoder, found, rest = json.JSONDecoder(), [], result.stdout.strip()
        while rest:
            one, end = decoder.raw_decode(rest)
            found, rest = found + [one], rest[end:].strip()
        return found

    def plain(thing):
        """Without the namespace that kubectl puts in."""
        meta = {k: v for k, v in thing["metadata"].items() if k != "namespace"} if thing["kind"] in ("Namespace", "ClusterRole") else thing["metadata"]
        return {**thing, "metadata": meta}

    def wanted(*names):
        return [plain(o) for name in names for o in objects(pathlib.Path(MANIFESTS, name).read_text(encoding="ascii"))]

    assert [plain(o) for o in objects(run("allow").stdout)] == wanted("target-rbac.yaml")
    printed = run("allow", "--remote-discovery").stdout
    assert [plain(o) for o in objects(printed)] == wanted("target-rbac.yaml", "target-linkerd-rbac.yaml")
    assert east.kubectl("apply", "--server-side", "-f", "-", input=printed).returncode == 0
    run("allow", "--apply", "--context", "east", "--remote-discovery", "--dry-run=server")
    assert {line.split()[-1] for line in run("allow", "--apply", "--context", "east", "--remote-discovery").stdout.splitlines()} == {"unchanged"}

    link = run("link-gen", "--context", "east", "--cluster-name", "east", "--trust-domain", "example.org", "--selector", "tier in (a,b),!hidden",
               "--excluded-labels", "a,b/*", "--headless=false", "--linkerd-namespace", "default").stdout
    for more in ((), ("--server-side",)):
        result = source.kubectl("apply", "--dry-run=server", *more, "-f", "-", input=link)
        assert result.returncode == 0, result.stderr
    credentials, copy, made = objects(link)
    assert made["spec"]["selector"] == {"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "hidden", "operator": "DoesNotExist"}]}
    assert made["spec"]["excludedLabels"] == ["a", "b/*"] and made["metadata"]["annotations"]["svcmirror.io/headless"] == "false"
    assert copy["metadata"]["namespace"] == "default" and copy["data"] != credentials["data"], "of another account"
    assert copy["metadata"]["annotations"] == {"multicluster.linkerd.io/cluster-domain": "cluster.local", "multicluster.linkerd.io/trust-domain": "example.org"}
    old = run("link-gen", "--context", "east", "--cluster-name", "east", "--kind", "secret", "-o", "json").stdout
    assert json.loads(old)["items"][0]["type"] == M + "remote-kubeconfig"
    flat = json.loads(run("link-gen", "--context", "east", "--cluster-name", "east", "--gateway=false", "-o", "json").stdout)["items"][-1]
    assert not {"gatewayAddress", "gatewayPort", "probeSpec", "selector"} & set(flat["spec"])


@pytest.mark.skipif(not os.path.exists(UPSTREAM_CRD), reason="Linkerd's own definition is not here")
def test_linkerds_own_definition_takes_the_link(north, east, run, demo):
    try:
        assert north.kubectl("apply", "-f", UPSTREAM_CRD).returncode == 0
        wait_until(lambda: north.api.raw("GET", "/apis/multicluster.linkerd.io/v1alpha3/links")[0] == 200, 20, "Link resources are served")
        north.ensure_namespace(AGENT_NAMESPACE)
        run("allow", "--apply", "--context", "east")
        for more in ((), ("--gateway=false",), ("--excluded-annotations", "a/*", "--selector", "tier in (a,b)")):
            link = run("link-gen", "--context", "east", "--cluster-name", "east", *more).stdout
            result = north.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=link)
            assert result.returncode == 0, result.stderr
    finally:
        north.api.delete("customresourcedefinitions", "links.multicluster.linkerd.io")
        wait_until(lambda: north.api.raw("GET", "/apis/multicluster.linkerd.io")[0] == 404, 30, "Link resources are gone", 0.1)


def test_what_is_refused_before_anything_is_written(source, east, link_crd, run, demo):
    same = ("link", "--target-context", "west", "--context", "west", "--cluster-name", "east")
    assert "are the same cluster" in run(*same, code=1).stderr
    east.gateway_service(name="second", namespace="ambassador")
    assert "has 2 gateways: choose one" in run(*LINK, code=1).stderr
    east.set_gateway_addresses([], "second")
    chosen = (*LINK, "--gateway-name", "second", "--gateway-namespace", "ambassador")
    assert "has no external address" in run(*chosen, code=1).stderr
    assert "gateway Service none/x" in run(*LINK, "--gateway-name", "x", "--gateway-namespace", "none", code=1).stderr
    assert "no namespace nowhere" in run(*LINK, "-n", "nowhere", "--gateway=false", code=1).stderr
    assert declared(source) == [] and account(east) == []
    run(*chosen, "--gateway-addresses", "192.0.2.7,gw.example.com", "--gateway-port", "4200")
    spec = source.api.get("links", "east", AGENT_NAMESPACE)["spec"]
    assert (spec["gatewayAddress"], spec["gatewayPort"]) == ("192.0.2.7,gw.example.com", "4200")


def test_a_link_that_another_program_wrote(source, east, link_crd, run, demo):
    east.link_gen(source)
    before = source.api.get("links", "east", AGENT_NAMESPACE)
    refused = run(*LINK, "--gateway-addresses", "192.0.2.7", code=1)
    assert "--force-conflicts" in refused.stderr and "the account in the target is there" in refused.stderr
    assert source.api.get("links", "east", AGENT_NAMESPACE)["spec"] == before["spec"]
    run(*LINK, "--gateway-addresses", "192.0.2.7", "--force-conflicts")
    assert source.api.get("links", "east", AGENT_NAMESPACE)["spec"]["gatewayAddress"] == "192.0.2.7"
    run(*UNLINK)
    assert declared(source) == []


def test_services_are_chosen_and_marked(source, east, run):
    for name, labels in (("a", {"tier": "x"}), ("b", {"tier": "x"}), ("c", {})):
        east.service(name, labels=labels)
    east.service("out", type="ExternalName", externalName="example.com")
    labels = lambda name: {k: v for k, v in east.api.get("services", name, "demo")["metadata"].get("labels", {}).items() if k.startswith(M)}
    there = ("--context", "east", "-n", "demo")
    run("export", "-l", "tier=x", "--mode", "remote-discovery,federated", *there, "--dry-run=server")
    assert labels("a") == {}
    run("export", "-l", "tier=x", "--mode", "remote-discovery,federated", *there)
    assert labels("a") == labels("b") == {M + "exported": "remote-discovery", M + "federated": "member"} and labels("c") == {}
    refused = run("export", "c", "a", *there, code=1)
    assert "exported in another way" in refused.stderr and "1 of 2 services cannot be" in refused.stderr and labels("c") == {}
    assert "ExternalName" in run("export", "out", *there, code=1).stderr
    left_out = run("export", "--all", "--overwrite", *there)
    assert "out in namespace demo is left out" in left_out.stderr and labels("out") == {}
    assert [labels(name)[M + "exported"] for name in "abc"] == ["true", "true", "true"]
    run("unexport", "-A", "-l", "tier=x", "--mode", "federated", "--context", "east")
    assert labels("a") == {M + "exported": "true"}
    run("unexport", "--all", "-A", "--context", "east")
    assert labels("a") == labels("b") == labels("c") == {}
    assert "nope" in run("export", "nope", *there, code=1).stderr


def test_manifests_are_marked_as_the_cluster_takes_them(east, run):
    east.ensure_namespace("demo")
    text = """# a shop
apiVersion: v1
kind: ConfigMap
metadata: {name: notes, namespace: demo}
data: {mode: "0644"}   # as it is
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: demo, annotations: {example.com/on: "yes"}}
spec: {ports: [{port: 80, targetPort: http, name: "80"}], publishNotReadyAddresses: yes}
"""
    marked = run("export", "-f", "-", "--gateway-name", "ambassador", "--gateway-namespace", "ambassador", input=text)
    assert marked.stdout.startswith(text[:text.index("---")]) and 'service "web" exported' in marked.stderr
    result = east.kubectl("apply", "-f", "-", input=marked.stdout)
    assert result.returncode == 0, result.stderr
    service = east.api.get("services", "web", "demo")
    assert service["metadata"]["annotations"][M + "gateway-ns"] == "ambassador" and service["metadata"]["annotations"]["example.com/on"] == "yes"
    assert service["spec"]["publishNotReadyAddresses"] is True and service["spec"]["ports"][0]["name"] == "80"
    assert run("unexport", "-f", "-", input=marked.stdout).stdout == run("unexport", "-f", "-", input=run("export", "-f", "-", input=text).stdout).stdout
    east.api.delete("configmaps", "notes", "demo")


@pytest.mark.usefixtures("link_crd", "demo")
def test_the_readme_links_a_target(source, east, run, agent):
    """Its commands, as they stand there."""
    agent()
    run(*readme("link"))
    run(*readme("export"))
    wait_until(lambda: ready(source, east), 20, "the mirror is ready")
