"""`svcmirror install` and `uninstall` on real API servers."""
import os
import subprocess

import pytest
import yaml
from cluster.agent import default_binary
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
UPSTREAM_CRD = os.path.join(ROOT, "..", "shared", "data", "linkerd-link-crd.yaml")


def svcmirror(cluster, *argv, status=0):
    result = subprocess.run([default_binary(), *argv, "--kubeconfig", cluster.admin_kubeconfig], text=True, capture_output=True, timeout=120, check=False)
    assert result.returncode == status, f"{argv}: {result.returncode}: {result.stdout}{result.stderr}"
    return result


def lines(result):
    return result.stdout.splitlines()


@pytest.fixture
def clean(source):
    yield source
    svcmirror(source, "uninstall", "--yes")
    if source.api.find("customresourcedefinitions", "links.multicluster.linkerd.io"):
        source.api.delete("customresourcedefinitions", "links.multicluster.linkerd.io")
        wait_until(lambda: source.api.raw("GET", "/apis/multicluster.linkerd.io")[0] == 404, 30, "Link resources are gone", 0.1)


def test_printed_objects_are_those_of_the_kustomization(source):
    rendered = source.kubectl("kustomize", os.path.join(ROOT, "deploy", "manifests"))
    assert rendered.returncode == 0, rendered.stderr
    printed = subprocess.run([default_binary(), "install"], text=True, capture_output=True, check=True).stdout
    key = lambda o: (o["kind"], o["metadata"]["name"])  # noqa: E731
    assert sorted(yaml.safe_load_all(printed), key=key) == sorted(yaml.safe_load_all(rendered.stdout), key=key)


def test_applied_twice_changes_nothing_and_goes_without_a_trace(clean):
    dry = svcmirror(clean, "install", "--apply", "--dry-run=server")
    assert len(lines(dry)) == 9 and all(line.endswith("(server dry run)") for line in lines(dry))
    assert clean.api.find("deployments", "svcmirror", AGENT_NAMESPACE) is None
    first = svcmirror(clean, "install", "--apply", "--image", "example.test/svcmirror:1")
    assert "deployment.apps/svcmirror created" in lines(first) and "clusterrole.rbac.authorization.k8s.io/svcmirror created" in lines(first)
    second = svcmirror(clean, "install", "--apply", "--image", "example.test/svcmirror:1")
    assert len(lines(second)) == 9 and all(line.endswith(" unchanged") for line in lines(second)), second.stdout
    upgrade = svcmirror(clean, "install", "--apply", "--image", "example.test/svcmirror:2")
    assert [line for line in lines(upgrade) if not line.endswith(" unchanged")] == ["deployment.apps/svcmirror configured"]
    # Nobody runs pods here: the wait ends with what there is to say.
    waited = svcmirror(clean, "install", "--apply", "--image", "example.test/svcmirror:2", "--wait", "1s", status=1)
    assert "applied, but after 1s" in waited.stderr and "0 are available" in waited.stderr
    would = svcmirror(clean, "uninstall", "--dry-run=client")
    gone = svcmirror(clean, "uninstall", "--yes")
    assert lines(would) == [f"{line} (dry run)" for line in lines(gone)]
    assert len(lines(gone)) == 7 and all(line.endswith(" deleted") for line in lines(gone)), gone.stdout
    assert svcmirror(clean, "uninstall", "--yes").stdout == ""


def test_one_agent_serves_a_cluster(clean):
    svcmirror(clean, "install", "--apply")
    refused = svcmirror(clean, "install", "--apply", "-n", "second-agent", status=1)
    assert f"namespace {AGENT_NAMESPACE} of cluster" in refused.stderr and refused.stdout == ""
    assert clean.api.find("namespaces", "second-agent") is None


def test_what_kubectl_made_is_taken_over_when_asked(clean):
    made = clean.kubectl("apply", "-k", os.path.join(ROOT, "deploy", "manifests"))
    assert made.returncode == 0, made.stderr
    refused = svcmirror(clean, "install", "--apply", "--replicas", "3", status=1)
    assert "--force-conflicts" in refused.stderr and "kubectl" in refused.stderr
    svcmirror(clean, "install", "--apply", "--replicas", "3", "--force-conflicts")
    assert clean.api.get("deployments", "svcmirror", AGENT_NAMESPACE)["spec"]["replicas"] == 3


def test_the_link_type_of_others_stays_as_it_is(clean):
    if not os.path.exists(UPSTREAM_CRD):
        pytest.skip("Linkerd's own Link type is not here")
    assert clean.kubectl("apply", "-f", UPSTREAM_CRD).returncode == 0
    before = clean.api.get("customresourcedefinitions", "links.multicluster.linkerd.io")["spec"]
    result = svcmirror(clean, "install", "--apply")
    assert "made by others" in result.stderr and "customresourcedefinition" not in result.stdout
    assert clean.api.get("customresourcedefinitions", "links.multicluster.linkerd.io")["spec"] == before


@pytest.mark.usefixtures("link_crd")
def test_mirrors_stay_or_go_and_links_are_released(clean, east, agent):
    east.gateway.start()
    clean.ensure_namespace("demo")
    east.export_labelled("web")
    east.link(clean)
    running = agent(flags=["--link-finalizer=all"])
    wait_until(lambda: clean.ready_addresses("web-east", "demo") == sorted(east.gateway.addresses), 10, "the mirror is ready")
    wait_until(lambda: clean.api.get("links", "east", AGENT_NAMESPACE)["metadata"].get("finalizers"), 10, "the Link is held")
    would = svcmirror(clean, "uninstall", "--dry-run=client")
    [stay] = [line for line in would.stderr.splitlines() if "mirrors stay with the endpoints" in line]
    assert "demo/web-east" in stay
    assert f"1 Links lose svcmirror's finalizer, so that they can be deleted: {AGENT_NAMESPACE}/east." in would.stderr
    running.stop()
    mine = clean.service("web-mine", "demo", labels={"mirror.linkerd.io/mirrored-service": "true", "mirror.linkerd.io/cluster-name": "else"})
    svcmirror(clean, "uninstall", "--yes")
    assert not clean.api.get("links", "east", AGENT_NAMESPACE)["metadata"].get("finalizers")
    assert clean.ready_addresses("web-east", "demo") == sorted(east.gateway.addresses)
    gone = svcmirror(clean, "uninstall", "--yes", "--remove-mirrors")
    assert "service/web-east deleted" in lines(gone)
    wait_until(lambda: not clean.slices("web-east", "demo"), 20, "its slices go with it")
    assert clean.api.get("services", "web-mine", "demo")["metadata"]["uid"] == mine["metadata"]["uid"]
