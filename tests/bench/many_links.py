"""Hundreds of links: one process stands for their API servers, over TLS, with a list and a watch for each."""
import os
import sys
import time

import mock_targets
from figures import Figure
from first_sync import floor, floor_requests
from stage import say, seconds_of
from standing import idle
from cluster.api import kubeconfig
from cluster.pki import Pki
from cluster.processes import Process
from cluster.wait import wait_until

FIRST_PORT = 20000


def measure(stage, links, services, idle_seconds):
    stage.namespaces.append("links")
    stage.fresh_source()
    pki, address = Pki(os.path.join(stage.folder, "mock-pki")), stage.source.host
    pki.issue("mock", "/CN=mock", [address], ["mock"])
    mock = Process("mock", [sys.executable, mock_targets.__file__, pki.file("mock.crt"), pki.file("mock.key"), address, FIRST_PORT, links, services],
                   stage.folder).start()
    try:
        wait_until(lambda: f"{links} targets" in mock.log(), 30, "the targets listen")
        for n in range(links):
            stage.link(f"m{n}", kubeconfig=kubeconfig(f"https://{address}:{FIRST_PORT + n}", pki.read("ca.crt"), {"token": "any"}))
        agent = stage.agent()
        stage.await_mirrored(agent, links * services, every=1)
        writes = stage.mirror_writes(agent.began)
        first = max(seconds_of(w["stageTimestamp"]) for w in writes) - agent.began
        say(f"first sync of {links} links x {services}: {first:.2f} s")
        time.sleep(10)  # the status of every Link is told
        agent.stop()
        agent = stage.agent()
        stage.await_mirrored(agent, links * services, every=0.1)
        start = time.time() - agent.began
        time.sleep(10)
        again = len(stage.mirror_writes(agent.began))
        say(f"restart: {start:.2f} s, {again} writes")
        figures = idle(stage, agent, idle_seconds, f"{links} links x {services} services")
        for figure in figures:
            figure.key = "many_" + figure.key
        took = floor(stage, floor_requests(writes), 8)
    finally:
        mock.kill()
        stage.namespaces.remove("links")
    return [Figure("many_first_sync", f"first sync of {links} links x {services} services", "s", [first], [took]),
            Figure("many_restart", f"restart with {links} links, until all is known", "s", [start], note=f"{again} writes to mirrors"), *figures]
