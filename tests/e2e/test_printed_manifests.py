"""The real kubectl, with a real API server behind it, accepts every manifest that a command prints; in clusters with and without the types of others."""
import os

import pytest
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until
from test_edge_stack import DATA
from test_linking import LINK, M, MANIFESTS, demo, run  # noqa: F401, fixtures

EMISSARY = os.path.join(DATA, "emissary-crds-v2-v3alpha1.yaml")
TYPES = {"without": (None, None), "linkerd": (os.path.join(MANIFESTS, "link-crd.yaml"), "multicluster.linkerd.io"), "emissary": (EMISSARY, "getambassador.io")}
WEB = "apiVersion: v1\nkind: Service\nmetadata: {name: web, namespace: demo}\nspec: {ports: [{port: 80}]}\n---\n" \
      "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings, namespace: demo}\ndata: {answer: 'yes'}\n"


def serve(cluster, path, group):
    assert cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", path).returncode == 0
    assert cluster.kubectl("wait", "--for=condition=Established", "--timeout=60s", "-f", path).returncode == 0
    wait_until(lambda: cluster.api.raw("GET", f"/apis/{group}")[0] == 200, 30, f"{group} is served", 0.1)


def withdraw(cluster, path, group):
    cluster.kubectl("delete", "--ignore-not-found", "-f", path)
    wait_until(lambda: cluster.api.raw("GET", f"/apis/{group}")[0] == 404, 30, f"{group} is gone", 0.1)


@pytest.fixture(params=TYPES)
def types(request, source, east):
    """Both clusters with these types, and the namespaces in which printed objects are. @return the name of the case."""
    path, group = TYPES[request.param]
    if path is not None and not os.path.exists(path):
        pytest.skip(f"{path} is not here")
    for cluster in (source, east):
        for namespace in (AGENT_NAMESPACE, "other", "demo"):
            cluster.ensure_namespace(namespace)
        if path is not None:
            serve(cluster, path, group)
    yield request.param
    for cluster in (source, east):
        if path is not None:
            withdraw(cluster, path, group)


def accepted(cluster, text):
    """Applies what was printed, as a trial. @return the lines of kubectl, one an object."""
    result = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", "-", input=text)
    assert result.returncode == 0, f"{cluster.name}: {result.stderr}\n{text}"
    lines = result.stdout.splitlines()
    assert lines and all(line.endswith("(server dry run)") for line in lines), result.stdout
    return lines


def kinds(lines):
    return {line.partition("/")[0] for line in lines}


def test_what_install_prints(source, types, run):  # noqa: F811
    for more in ((), ("-n", "other"), ("-o", "json"), ("--link-crd=never",), ("--replicas", "3", "--agent-flags=--endpoints-api=endpoints --cluster-name=west")):
        lines = accepted(source, run("install", *more).stdout)
        assert {"deployment.apps", "service", "clusterrole.rbac.authorization.k8s.io"} <= kinds(lines)
        assert ("customresourcedefinition.apiextensions.k8s.io" in kinds(lines)) == (more != ("--link-crd=never",))


def test_what_allow_prints(east, types, run):  # noqa: F811
    for more in ((), ("-n", "other"), ("-o", "json"), ("--endpoints",), ("--token-secret=false",), ("--token-secret=false", "--renew-token")):
        lines = accepted(east, run("allow", *more).stdout)
        assert {"serviceaccount", "clusterrole.rbac.authorization.k8s.io"} <= kinds(lines)
        assert ("secret" in kinds(lines)) == ("--token-secret=false" not in more)


def test_what_link_gen_and_link_print(source, east, types, run, demo):  # noqa: F811
    run("allow", "--apply", "--context", "east")
    for more in ((), ("--gateway=false",), ("--kind", "secret"), ("--token-duration", "1h"), ("-o", "json", "--kind", "secret")):
        if types != "linkerd" and "secret" not in more:
            continue  # nothing but kind Link would be refused, rightly
        lines = accepted(source, run("link-gen", "--context", "east", "--cluster-name", "east", *more).stdout)
        assert ("link.multicluster.linkerd.io" in kinds(lines)) == ("secret" not in more) and "secret" in kinds(lines)
    for more in (("--kind", "secret"), (), ("--token-secret",), ("--gateway-service", "ambassador/ambassador")):
        if types != "linkerd" and "secret" not in more:
            continue
        there, mark, here = run(*LINK, *more, "--dry-run=client").stdout.partition("---\n# to the source cluster")
        assert mark and "serviceaccount" in kinds(accepted(east, there))
        assert "secret" in kinds(accepted(source, "#" + here))


def test_what_export_and_plan_print(source, east, types, run, demo):  # noqa: F811
    for more in ((), ("--mode", "remote-discovery"), ("--gateway-name", "ambassador", "--gateway-namespace", "ambassador")):
        lines = accepted(east, run("export", "-f", "-", *more, input=WEB).stdout)
        assert kinds(lines) == {"service", "configmap"}
    for direction in ("export", "unexport"):
        accepted(east, run(direction, "-f", "-", input=WEB).stdout)
    run(*LINK, *(() if types == "linkerd" else ("--kind", "secret")))
    run("export", "web", "-n", "demo", "--context", "east", "--gateway-name", "ambassador", "--gateway-namespace", "ambassador", "--mode", "gateway")
    lines = accepted(source, run("plan", "-o", "yaml", "--context", "west").stdout)
    assert "service/web-east created (server dry run)" in lines and "endpointslice.discovery.k8s.io" in kinds(lines)
    assert source.api.list("services", None, M + "mirrored-service=true") == []
