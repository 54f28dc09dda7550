"""A person's kubeconfig that names files: what `link` hands to the agent names none."""
import base64
import os
import subprocess

import pytest
import yaml
from cluster.agent import default_binary
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until
from test_linking import ENVIRONMENT, LINK, demo, run  # noqa: F401, fixtures


@pytest.fixture
def with_files(source, east, tmp_path, run):  # noqa: F811, `run` takes away what is made
    """A folder with a kubeconfig of both clusters and the files that it names, by whole paths and by names beside it. @return that kubeconfig."""
    def files(cluster, prefix):
        names = {field: f"{prefix}{cluster.name}-{name}" for field, name in
                 (("certificate-authority", "ca.crt"), ("client-certificate", "admin.crt"), ("client-key", "admin.key"))}
        for path, name in zip(names.values(), ("ca.crt", "admin.crt", "admin.key")):
            (tmp_path / path).write_text(cluster.pki.read(name))
        return names
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "west", "clusters": [], "users": [], "contexts": []}
    for name, cluster, prefix in (("west", source, ""), ("east", east, f"{tmp_path}/")):
        named = files(cluster, prefix)
        config["clusters"].append({"name": name, "cluster": {"server": cluster.server, "certificate-authority": named.pop("certificate-authority")}})
        config["users"].append({"name": name, "user": named})
        config["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(config))
    return path


def test_files_are_inline_in_the_credentials_and_the_agent_connects(source, east, agent, link_crd, demo, with_files):  # noqa: F811
    def command(*argv):
        result = subprocess.run([default_binary(), *argv], text=True, capture_output=True, timeout=90, check=False, cwd="/",
                                env={**ENVIRONMENT, "KUBECONFIG": str(with_files)})
        assert result.returncode == 0, result.stdout + result.stderr
    command(*LINK)
    command("export", "web", "-n", "demo", "--context", "east")
    secret = source.api.get("secrets", "cluster-credentials-east", AGENT_NAMESPACE)
    text = base64.b64decode(secret["data"]["kubeconfig"]).decode()
    kubeconfig = yaml.safe_load(text)
    [cluster], [user] = kubeconfig["clusters"], kubeconfig["users"]
    assert base64.b64decode(cluster["cluster"]["certificate-authority-data"]).decode() == east.pki.read("ca.crt")
    assert "certificate-authority" not in cluster["cluster"] and str(with_files.parent) not in text
    assert set(user["user"]) == {"token"}, "the person's own certificate and key stay with the person"
    for name in os.listdir(with_files.parent):
        (with_files.parent / name).unlink()
    one = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 20, "the agent has read the target, and mirrors")
    assert one.gateways()[0]["verdict"] == "alive"
