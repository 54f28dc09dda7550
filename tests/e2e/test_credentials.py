"""Credentials that change while the agent runs, on real API servers: tokens revoked, certificates replaced, a plugin that gives tokens."""
import base64
import json
import os
import stat
import time

import pytest
from cluster.pki import Pki
from cluster.wait import wait_until

ALL = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
NAME = "rotated.lab"


@pytest.fixture
def folder(lab, request):
    path = os.path.join(lab.folder, "credentials", request.node.name)
    os.makedirs(path)
    return path


def write(folder, name, text, mode=0o600):
    """As kubelets and certificate managers do: in one step."""
    path = os.path.join(folder, name)
    with open(path + ".new", "w", encoding="ascii") as file:
        file.write(text)
    os.chmod(path + ".new", mode)
    os.rename(path + ".new", path)
    return path


def kubeconfig(folder, source, user, **cluster):
    fields = {"server": source.server, "certificate-authority": source.pki.ca, **cluster}
    return write(folder, "kubeconfig", json.dumps({
        "current-context": "lab", "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "clusters": [{"name": "lab", "cluster": fields}], "users": [{"name": "lab", "user": user}]}))


def export(source, east, name):
    east.export(name)
    wait_until(lambda: source.api.find("services", f"{name}-east", "demo"), 40, f"{name} is mirrored")


@pytest.fixture
def exported(source, east):
    """The target is there, with one service; nothing runs yet."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    token = source.service_account("changing", ALL)
    yield token
    source.api.delete("serviceaccounts", "changing", "default")


def export_until(source, east, check, what):
    """Open watches outlive their token; each export makes new requests."""
    names = iter(f"more-{i}" for i in range(100))

    def more():
        export(source, east, next(names))
        return check()
    wait_until(more, 50, what, 1)


def refusals(running):
    return sum(value for name, value in running.metrics().items() if name.startswith("svcmirror_api_requests_total{") and 'code="401"' in name)


def revoke(source):
    """@return the token of the account's successor. API servers remember for ten seconds that a token was good."""
    source.api.delete("serviceaccounts", "changing", "default")
    return source.service_account("changing", ALL)


def test_a_token_file_revoked_and_replaced(source, east, agent, folder, exported):
    token = write(folder, "token", exported)
    running = agent(kubeconfig=kubeconfig(folder, source, {"tokenFile": token}))
    export(source, east, "first")
    write(folder, "token", revoke(source))
    export_until(source, east, lambda: refusals(running) > 0, "the old token is refused")
    export(source, east, "last")
    reloads = 'svcmirror_credentials_reloads_total{cluster="local",kind="token",result="changed"}'
    assert running.metrics()[reloads] == 1
    expiry = 'svcmirror_credentials_expiry_timestamp_seconds{cluster="local",kind="%s"}'
    assert {running.metrics()[expiry % kind] > 1.7e9 for kind in ("token", "ca")} == {True}


def test_a_plugin_gives_the_token(source, east, agent, folder, exported):
    answer = os.path.join(folder, "answer")

    def give(token):
        write(folder, "answer", json.dumps({"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1", "status": {"token": token}}))

    give(exported)
    plugin = write(folder, "login", f"#!/bin/sh\necho run >>{folder}/runs\ncat {answer}\n", stat.S_IRWXU)
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": plugin}}
    running = agent(kubeconfig=kubeconfig(folder, source, user), flags=["--exec-allow", plugin])
    export(source, east, "first")

    def runs():
        with open(os.path.join(folder, "runs"), encoding="ascii") as file:
            return len(file.readlines())
    assert runs() == 1
    give(revoke(source))
    export_until(source, east, lambda: runs() == 2, "the plugin is asked again")
    export(source, east, "last")
    assert not running.logs("write_failed")
    assert exported not in running.process.log()
    done = running.command("plan", "--kubeconfig", os.path.join(folder, "kubeconfig"))
    assert done.returncode == 0, done.stderr


def other_ca(folder, name):
    pki = Pki(os.path.join(folder, name))
    pki.issue("apiserver", "/CN=kube-apiserver", names=[NAME])
    return pki


@pytest.fixture
def rotating(source, folder, exported):
    """The source's API server shows a certificate of another CA to who calls it by NAME."""
    first = other_ca(folder, "first")
    source.restart_apiserver(tls_sni_cert_key=f"{first.file('apiserver.crt')},{first.file('apiserver.key')}:{NAME}")
    yield first
    source.restart_apiserver()


def test_a_serving_certificate_of_the_same_and_of_a_new_ca(source, east, agent, folder, exported, rotating):
    ca = write(folder, "ca.crt", rotating.read("ca.crt"))
    running = agent(kubeconfig=kubeconfig(folder, source, {"token": exported}, **{"certificate-authority": ca, "tls-server-name": NAME}))
    export(source, east, "first")
    rotating.issue("apiserver", "/CN=kube-apiserver", names=[NAME])
    source.restart_apiserver(tls_sni_cert_key=f"{rotating.file('apiserver.crt')},{rotating.file('apiserver.key')}:{NAME}")
    export(source, east, "second")
    new = other_ca(folder, "second")
    source.restart_apiserver(tls_sni_cert_key=f"{new.file('apiserver.crt')},{new.file('apiserver.key')}:{NAME}")
    east.export("third")
    wait_until(lambda: any("certificate" in e.get("error", "") for e in running.logs()), 40, "the new CA is not trusted")
    write(folder, "ca.crt", "half a bund")
    wait_until(lambda: any("not a PEM certificate" in e["error"] for e in running.logs("credentials_unreadable")), 60, "a bundle that is none is told")
    write(folder, "ca.crt", new.read("ca.crt"))
    wait_until(lambda: source.api.find("services", "third-east", "demo"), 60, "the new bundle is used with the next try, not after five minutes")
    assert [e["kind"] for e in running.logs("credentials_reloaded")] == ["ca"]


def test_a_client_certificate_replaced(source, east, agent, folder, exported):
    stranger = Pki(os.path.join(folder, "stranger"))
    stranger.issue("client", "/O=system:masters/CN=agent")
    source.pki.issue("client", "/O=system:masters/CN=agent")
    paths = [write(folder, "client.crt", stranger.read("client.crt")), write(folder, "client.key", stranger.read("client.key"))]
    running = agent(kubeconfig=kubeconfig(folder, source, {"client-certificate": paths[0], "client-key": paths[1]}), ready=False)
    wait_until(lambda: "401" in running.get("/ready")[1], 20, "a stranger's certificate is refused")
    write(folder, "client.crt", source.pki.read("client.crt"))
    write(folder, "client.key", source.pki.read("client.key"))
    running.wait_ready(60)
    export(source, east, "first")
    kind = 'svcmirror_credentials_reloads_total{cluster="local",kind="client_certificate",result="changed"}'
    assert running.metrics()[kind] == 1


def test_a_target_s_serving_certificate_is_replaced(source, east, agent, exported):
    running = agent()
    export(source, east, "first")
    before = len([e for e in running.logs("target_listed")])
    first_service_ip = east.service_cidr.replace(".0.0/16", ".0.1")
    east.pki.issue("apiserver", "/CN=kube-apiserver", [east.host, first_service_ip, "127.0.0.1"], ["kubernetes", "kubernetes.default", "localhost"])
    east.restart_apiserver()
    export(source, east, "second")
    assert len([e for e in running.logs("target_listed")]) - before <= 1


def test_targets_never_run_anything(source, east, agent, folder):
    """Not even what the agent itself may run."""
    plugin = write(folder, "login", f"#!/bin/sh\ntouch {folder}/ran\n", stat.S_IRWXU)
    text = json.loads(east.reader_kubeconfig())
    text["users"][0]["user"] = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never", "command": plugin}}
    east.link_secret(source, json.dumps(text))
    running = agent(flags=["--exec-allow", plugin])
    wait_until(lambda: any("exec is not allowed in a target's kubeconfig" in e["error"] for e in running.logs("credentials_unusable")), 10, "it is refused")
    assert not os.path.exists(os.path.join(folder, "ran"))


def test_a_token_that_ends_soon_is_told(source, east, agent):
    """API servers give no token for less than ten minutes: one that has no beginning, in its last hour."""
    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
    token = f"{part({'alg': 'none'})}.{part({'exp': int(time.time()) + 1800})}.{part({})}"
    east.link_secret(source, east.token_kubeconfig(token))
    agent()
    wait_until(lambda: [e for e in source.api.list("events", "linkerd-multicluster") if e["reason"] == "CredentialsExpiring"], 20, "an Event tells of it")
