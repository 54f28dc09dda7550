"""status, links and services as a person uses them: of two replicas the leader answers, through the API server; then nobody does."""
import json
import re
import signal
import subprocess

from cluster.agent import default_binary
from cluster.netlab import Network
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until


def by_cluster(result):
    assert result.returncode == 0, result.stderr
    return {entry["clusterName"]: entry for entry in json.loads(result.stdout)}


def test_what_is_linked_mirrored_and_alive(source, east, north, agent, tmp_path):
    for target in east, north:
        target.gateway.start()
        target.gateway_service()
        target.export("web")
        target.link_secret(source)
    replicas = []
    for number in range(2):
        network = Network(60 + number)
        host = network.address(1)
        replicas.append(agent(env={"HOSTNAME": f"svcmirror-{number}"}, network=network))
        source.pod(f"svcmirror-{number}", AGENT_NAMESPACE, host, {"app.kubernetes.io/name": "svcmirror"})
    one = replicas[0]

    def look(command, *flags):
        return one.command(command, "--kubeconfig", source.admin_kubeconfig, *flags)

    try:
        wait_until(lambda: all(link["held"] for link in by_cluster(look("links", "-o", "json")).values()), 20, "each link's leader answers for it")
        wait_until(lambda: {link["holder"].split("_")[0] for link in by_cluster(look("links", "-o", "json")).values() if link["holder"]} ==
                   {"svcmirror-0", "svcmirror-1"}, 30, "the replicas share the links")
        wait_until(lambda: all(link["mirroredServices"] == 1 and link["held"] for link in by_cluster(look("links", "-o", "json")).values()), 20,
                   "all is mirrored, and each leader says so")
        table = look("status").stdout
        assert re.search(r"^east +True +True +1/1 +\d+ms +1/1 +1/1 +-$", table, re.M), table
        assert re.search(r"^north +True +True +1/1 +\d+ms +1/1 +1/1 +-$", table, re.M), table
        services = look("services", "-n", "demo").stdout
        assert re.search(r"^demo +web +east +demo/web-east +gateway +True +1/1 +Mirrored$", services, re.M), services

        watched = tmp_path / "watched"
        with watched.open("w") as out:
            follower = subprocess.Popen([default_binary(), "status", "--watch", "--cluster-name", "east", "--kubeconfig", source.admin_kubeconfig],
                                        stdout=out)
            try:
                wait_until(lambda: "east" in watched.read_text(), 10, "the first line")
                east.gateway.stop()
                wait_until(lambda: re.search(r"^east +True +True +0/1 +- +1/1 +0/1 +gateway ambassador is dead: ConnectionRefused", watched.read_text(),
                                             re.M), 20, "the gateway's death is told")
                follower.send_signal(signal.SIGINT)
                assert follower.wait(20) == 130
            finally:
                follower.kill()
        assert by_cluster(look("status", "-o", "json"))["north"]["problems"] == []
    finally:
        for number in range(2):
            source.kill_pod(f"svcmirror-{number}", AGENT_NAMESPACE)
    for replica in replicas:
        replica.stop()
    result = look("status", "-o", "json")
    assert "no agent answers" in result.stderr and "what the API holds" in result.stderr
    assert by_cluster(result)["east"]["mirroredServices"] == 1 and by_cluster(result)["east"]["readyEndpoints"] == 0
