"""Where measures are taken: a source cluster that is new for each of them, one target, the agent, and the load program."""
import datetime
import json
import os
import shutil
import subprocess
import sys
import time

from figures import Figure
from cluster.agent import Agent, default_binary
from cluster.cluster import Cluster
from cluster.netlab import Network
from cluster.target import AGENT_NAMESPACE, Target
from cluster.wait import wait_until

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
EXPORTED = {"mirror.linkerd.io/exported": "true"}


def say(text):
    print(f"bench: {time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def seconds_of(stamp):
    """Of an RFC 3339 time with microseconds."""
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


class Stage:
    """`target` stays for the whole run; `source` is made anew by fresh_source(). Must run inside tests/cluster/enter."""

    def __init__(self, folder):
        self.folder, self.source_network = folder, Network(0)
        self.target, self.source, self.agents, self.sources = Target("east", Network(1), folder), None, [], 0
        self.namespaces = []

    def start(self):
        with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
            file.write("1")
        self.target.start()
        self.target.gateway_service()
        return self

    def stop(self):
        for agent in self.agents:
            agent.kill()
        for cluster in (self.source, self.target):
            if cluster is not None:
                cluster.stop()

    def fresh_source(self):
        """A source cluster with nothing in it but the Link type; agents of the last one end."""
        for agent in self.agents:
            agent.kill()
        self.agents.clear()
        if self.source is not None:
            self.source.stop()
            shutil.rmtree(os.path.join(self.source.folder, "etcd"), ignore_errors=True)
        self.sources += 1
        self.source = Cluster(f"source-{self.sources}", self.source_network, self.folder)
        self.source.start()
        self.source.ensure_namespace(AGENT_NAMESPACE)
        for namespace in self.namespaces:
            self.source.ensure_namespace(namespace)
        result = self.source.kubectl("apply", "-f", os.path.join(ROOT, "deploy", "manifests", "link-crd.yaml"))
        assert result.returncode == 0, result.stderr
        wait_until(lambda: self.source.api.raw("GET", "/apis/multicluster.linkerd.io/v1alpha3/links")[0] == 200, 20, "Links are served")
        return self.source

    # -- services of the target --

    def export(self, count, namespace, labels=None, first=0, **spec):
        """Services in the target, each with a slice of one ready endpoint; exported unless `labels` says otherwise. `spec` is added to theirs."""
        self.target.ensure_namespace(namespace)
        if namespace not in self.namespaces:
            self.namespaces.append(namespace)
        self.load(self.target, self.exports([f"web{n}" for n in range(first, first + count)], namespace, labels, **spec), 16)

    def exports(self, names, namespace, labels=None, **spec):
        """The requests that make such services."""
        labels, api = EXPORTED if labels is None else labels, self.target.api
        return [{"method": "POST", "path": api.path("services", namespace), "body": {
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, "labels": labels},
            "spec": {"ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000}], **spec}},
            "then": {"method": "POST", "path": api.path("endpointslices", namespace), "body": {
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
                "metadata": {"name": f"{name}-a", "namespace": namespace, "labels": {"kubernetes.io/service-name": name},
                             "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": name, "uid": "@UID@"}]},
                "endpoints": [{"addresses": ["10.201.1.10"], "conditions": {"ready": True}}],
                "ports": [{"name": "http", "port": 5000, "protocol": "TCP"}]}}} for name in names]

    def withdraw(self, namespace):
        """All services of a namespace go, and first their slices: the garbage collector would need minutes for thousands."""
        api = self.target.api
        for resource in ("endpointslices", "services"):
            self.load(self.target, [{"method": "DELETE", "path": api.path(resource, namespace, o["metadata"]["name"])} for o in api.list(resource, namespace)], 16)
        wait_until(lambda: not api.list("endpointslices", namespace), 60, "the slices are gone", 1)
        self.namespaces.remove(namespace)

    def link(self, name="east", **spec):
        """A Link with the three selectors that Linkerd's tool writes, unless `spec` has others."""
        others = {"remoteDiscoverySelector": {"matchLabels": {"mirror.linkerd.io/exported": "remote-discovery"}},
                  "federatedServiceSelector": {"matchLabels": {"mirror.linkerd.io/federated": "member"}}}
        return self.target.link(self.source, name, **{**others, "targetClusterName": name, **spec})

    # -- the load program --

    def load(self, cluster, requests, parallel, rate=0, http2=False, wait=True):
        """Sends requests as the cluster's admin: what the load program says of it, or the running process."""
        path = os.path.join(self.folder, f"requests-{time.monotonic_ns()}.json")
        with open(path, "w", encoding="utf-8") as file:
            for request in requests:
                file.write(json.dumps(request, separators=(",", ":")) + "\n")
        pki = cluster.pki
        argv = [os.path.join(os.path.dirname(default_binary()), "bin", "load"), "--server", cluster.server, "--cacert", pki.ca, "--cert", pki.file("admin.crt"),
                "--key", pki.file("admin.key"), "--parallel", str(parallel), "--rate", str(rate), *(["--http2"] if http2 else [])]
        with open(path, "rb") as file:
            process = subprocess.Popen(argv, stdin=file, stdout=subprocess.PIPE, text=True)
        os.unlink(path)
        return self.loaded(process) if wait else process

    @staticmethod
    def loaded(process):
        result = json.loads(process.communicate()[0])
        assert result["failed"] == 0, f"{result['failed']} of {result['requests']} failed: {result['first_failure']}"
        return result

    # -- the agent --

    def agent(self, *flags):
        """Starts one; `began` is when, in seconds since 1970."""
        agent = Agent(self.source, self.folder, name=f"agent-{self.sources}-{len(self.agents)}", flags=flags)
        self.agents.append(agent)
        agent.began = time.time()
        return agent.start(ready=False)

    @staticmethod
    def mirrored(agent):
        """{cluster: how many of its services are mirrored}; empty before the agent answers."""
        try:
            metrics = agent.metrics()
        except OSError:
            return {}
        start, end = 'svcmirror_services{target_cluster_name="', '",reason="Mirrored"}'
        return {k[len(start):-len(end)]: v for k, v in metrics.items() if k.startswith(start) and k.endswith(end)}

    def await_mirrored(self, agent, count, timeout=600, every=0.25):
        def check():
            agent.process.require()
            return sum(self.mirrored(agent).values()) == count
        wait_until(check, timeout, f"{count} services are mirrored", every)

    def mirror_writes(self, since=0.0, offset=0):
        """The agent's writes of Services and EndpointSlices in the source that succeeded since then, oldest first; behind `offset` of the audit log."""
        return [w for w in self.source.writes("svcmirror", offset) if w["objectRef"]["resource"] in ("services", "endpointslices")
                and w["responseStatus"]["code"] < 300 and seconds_of(w["requestReceivedTimestamp"]) >= since]


def best_parallel(run, tried):
    """The number in flight with which the load program is fastest, of two runs each by `run(parallel)`, and what these took, in seconds. They are no floors: the
    luckiest of several would be one."""
    took = {parallel: [] for parallel in tried}
    for parallel in [*tried, *reversed(tried)]:
        took[parallel].append(run(parallel))
    say(f"in flight: {', '.join(f'{p}: {t[0]:.2f}, {t[1]:.2f} s' for p, t in took.items())}")
    return min(took, key=lambda parallel: sum(took[parallel])), took


def resident_kib(agent):
    with open(f"/proc/{agent.process.child.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))


def cpu_seconds(agent):
    with open(f"/proc/{agent.process.child.pid}/stat", encoding="ascii") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wakeups(agent):
    with open(f"/proc/{agent.process.child.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary_ctxt_switches:"))


def loop_p999_ms(before, after, clock="busy"):
    """The upper bound of the bucket in which 99.9 % of the loop's turns between two readings of the metrics lie, in milliseconds: as they were, or with `cpu` what
    of them the agent ran."""
    start = f'svcmirror_loop_{clock}_seconds_bucket{{le="'
    turns = sorted((float(k[len(start):-2].replace("+Inf", "inf")), v - before.get(k, 0)) for k, v in after.items() if k.startswith(start))
    return next(bound for bound, count in turns if count >= 0.999 * turns[-1][1]) * 1000


def loop_figures(key, what, readings):
    """Of turns of the loop; `readings` are pairs of metrics, before and after a trial."""
    return [Figure(key + suffix, f"turn of the loop {what}, p99.9{of}", "ms", [loop_p999_ms(*pair, clock) for pair in readings],
                   note="upper bound of the histogram's bucket")
            for clock, suffix, of in (("busy", "", ""), ("cpu", "_cpu", ", what of it the agent ran"))]
