"""The program as a plugin, run and completed by the real kubectl, to which no cluster is of use for that."""
import os
import subprocess

import pytest
from cluster.agent import default_binary
from cluster.cluster import binaries


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory):
    """Runs kubectl with the plugin's two names on PATH, as packages install them."""
    folder = tmp_path_factory.mktemp("bin")
    for name in ("kubectl-svcmirror", "kubectl_complete-svcmirror"):
        os.symlink(default_binary(), folder / name)

    def run(*argv, status=0):
        result = subprocess.run([os.path.join(binaries(), "kubectl"), *argv], env={"PATH": str(folder), "HOME": str(folder)}, text=True, capture_output=True,
                                timeout=60, check=False)
        assert result.returncode == status, result.stdout + result.stderr
        return result
    return run


def test_it_runs_as_a_plugin(kubectl):
    assert kubectl("svcmirror", "version").stdout == subprocess.run([default_binary(), "version"], text=True, capture_output=True, check=True).stdout
    assert "\n  kubectl svcmirror COMMAND [flags]\n" in kubectl("svcmirror", "--help").stdout
    assert "`kubectl svcmirror --help` lists" in kubectl("svcmirror", "bogus", status=2).stderr
    assert "kubectl-svcmirror" in kubectl("plugin", "list", "--name-only").stdout.splitlines()


def test_its_name_its_commands_and_their_flags_are_completed(kubectl):
    def offered(*words):
        *lines, directive = kubectl("__complete", *words).stdout.splitlines()
        return [line.split("\t")[0] for line in lines], directive

    assert "svcmirror" in offered("svc")[0]
    commands, directive = offered("svcmirror", "")
    assert {"install", "link", "edge-stack", "gateways", "check", "help"} <= set(commands)
    assert directive == ":4", "no files are offered where a command is expected"
    assert offered("svcmirror", "gatew") == (["gateways"], ":4")
    assert offered("svcmirror", "edge-stack", "") == (["prepare"], ":4")
    assert offered("svcmirror", "gateways", "-o", "") == (["table", "wide", "json", "yaml"], ":4")
    assert "--kubeconfig" in offered("svcmirror", "gateways", "--")[0]
    assert offered("svcmirror", "gateways", "--kubeconfig", "") == ([], ":0"), "files are offered"
