"""Puts a source and targets together."""
import concurrent.futures
import os
import tempfile

from .agent import Agent
from .cluster import Cluster
from .netlab import Network
from .target import AGENT_NAMESPACE, Target
from .wait import wait_until


class Lab:
    """A source cluster and as many targets as named, started side by side. Must run inside `tests/cluster/enter`."""

    def __init__(self, targets=("east",), folder=None, proxy=True):
        self.folder = folder or tempfile.mkdtemp(prefix="svcmirror-lab-")
        self.source = Cluster("source", Network(0), self.folder, proxy=proxy)
        self.targets = [Target(name, Network(i + 1), self.folder) for i, name in enumerate(targets)]

    def start(self, gateways=True):
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
            file.write("1")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            started = [pool.submit(self.source.start)] + [pool.submit(t.start, gateways) for t in self.targets]
            for future in started:
                future.result()
        self.source.ensure_namespace(AGENT_NAMESPACE)
        return self

    def stop(self):
        for cluster in (self.source, *self.targets):
            cluster.stop()

    def agent(self, **more):
        return Agent(self.source, os.path.join(self.folder, "agents"), **more)


__all__ = ["Lab", "Agent", "Cluster", "Target", "wait_until"]
