"""A nemesis: API servers, their network, their certificates and the agent's replicas fail at random, while services come and go. After each fault the mirrors are
what the targets export; and all the time nothing was deleted without cause, nothing written twice, nothing by a replica that did not hold the link's Lease, and
no dead gateway left ready.

A run is drawn from its seed before anything happens; one that fails prints what it did.

    SVCMIRROR_NEMESIS_SEEDS=7,8    other seeds
    SVCMIRROR_NEMESIS_FAULTS=40    faults of a run
    SVCMIRROR_NEMESIS_STALL_S=60   how long API servers stand still in the test of that
"""
import json
import os
import random
import re
import time

import pytest
from cluster import leases
from cluster.api import write_file
from cluster.checker import Options, differences
from cluster.replicas import QUICK
from cluster.wait import wait_until
from test_api_servers import compact

SEEDS = [int(s) for s in os.environ.get("SVCMIRROR_NEMESIS_SEEDS", "1").split(",")]
FAULTS = int(os.environ.get("SVCMIRROR_NEMESIS_FAULTS", "10"))
STALL_S = float(os.environ.get("SVCMIRROR_NEMESIS_STALL_S", "8"))
NAMESPACE, PILLAR = "storm", "pillar"  # the pillar is never touched: neither may its mirror be
REST_S = 60        # the longest back-off of a watch that failed for as long as a fault lasts here, and then some
DEAD_S, BACK_S = 4, 4  # a gateway process ends, and answers again, at a period of 3 s and on a busy machine

OF_TARGETS = ("killed", "compacted", "frozen", "cut", "refused", "certificate", "token")
OF_SOURCE = ("killed", "compacted", "frozen", "certificate")
OF_AGENT = ("killed", "frozen")  # the replica that writes one of the links, for longer than its Lease
LEASE_S, REPLICAS = 3, 3


def draw(seed):
    """[(fault, cluster, seconds, [what happens meanwhile])]: of targets, and of what all links depend on, by turns; every kind before any comes again."""
    rng = random.Random(seed)
    kinds = [[(f, t) for f in OF_TARGETS for t in ("east", "north")],
             [(f, "source") for f in OF_SOURCE] + [(f, f"writer of {t}") for f in OF_AGENT for t in ("east", "north")]]
    waiting, faults = [[], []], []
    for number in range(FAULTS):
        of = waiting[number % 2] = waiting[number % 2] or rng.sample(kinds[number % 2], len(kinds[number % 2]))
        faults.append(of.pop())
    return [(*fault, rng.randint(1, 4), [(rng.choice(["export", "delete", "ports", "edit", "gateway"]), rng.choice(["east", "north"]), rng.randrange(4))
                                         for _ in range(rng.randint(1, 4))]) for fault in faults]


def lease_of(name):
    """Of a mirror's Service or slice, by its name: s0-east, s0-east.ipv4."""
    return leases.PREFIX + re.search(r"-(east|north)(\.|$)", name).group(1)


class Storm:
    def __init__(self, source, targets, *replicas):
        self.source, self.targets, self.replicas = source, {t.name: t for t in targets}, replicas
        self.unreachable, self.unexported, self.port = None, set(), 1000
        self.stalls = []  # of the source's API server

    def writer(self, target):
        """The replica that holds the target's Lease; any when nobody does."""
        holder = leases.host(leases.holders(self.source).get(target, ""))
        return next((one for one in self.replicas if one.host == holder), self.replicas[0])

    # -- what people do meanwhile, where it can be done --

    def export(self, target, number):
        name = f"s{number}"
        if target != self.unreachable and not self.targets[target].api.find("services", name, NAMESPACE):
            self.targets[target].export_labelled(name, NAMESPACE)

    def delete(self, target, number):
        if target != self.unreachable:
            self.targets[target].api.delete("services", f"s{number}", NAMESPACE)
            self.unexported.add(f"s{number}-{target}")

    def ports(self, target, number):
        self.port += 1
        if target != self.unreachable and self.targets[target].api.find("services", f"s{number}", NAMESPACE):
            self.targets[target].api.patch("services", f"s{number}", {"spec": {"ports": [{"name": "http", "port": self.port}]}}, NAMESPACE)

    def edit(self, target, number):
        if self.unreachable != "source" and self.source.api.find("services", f"s{number}-{target}", NAMESPACE):
            self.source.api.patch("services", f"s{number}-{target}", {"metadata": {"labels": {"stray": "x"}}}, NAMESPACE)

    def gateway(self, target, _):
        """Stops and starts again; where the agent and the source can act, the endpoints follow within what is promised, whatever else is broken."""
        gateway, acts = self.targets[target].gateway, self.unreachable not in ("source", "agent")
        ready = lambda: self.source.ready_addresses(f"{PILLAR}-{target}", NAMESPACE)
        gateway.stop()
        if acts:
            wait_until(lambda: ready() == [], DEAD_S, f"{target}'s endpoints are unready, its gateway being dead")
        gateway.start()
        if acts:
            wait_until(lambda: ready() == gateway.addresses, BACK_S, f"{target}'s endpoints are ready again")

    # -- faults: each begins, lasts, and ends --

    def killed(self, cluster):
        if cluster in self.replicas:
            cluster.kill()
            return lambda: cluster.start(ready=False)
        cluster.kube_apiserver.kill()
        return lambda: self.start(cluster)

    def compacted(self, cluster):
        cluster.kube_apiserver.kill()
        compact(cluster)
        return lambda: self.start(cluster)

    def frozen(self, cluster):
        process = cluster.process if cluster in self.replicas else cluster.kube_apiserver
        began = leases.microtime()
        process.freeze()

        def end():
            process.thaw()
            if cluster is self.source:
                self.stalls.append((began, leases.microtime()))
        return end

    def cut(self, cluster):
        cluster.network.drop(cluster.host, cluster.port)
        return cluster.network.heal

    def refused(self, cluster):
        cluster.network.reject(cluster.host, cluster.port)
        return cluster.network.heal

    def certificate(self, cluster):
        """A new one of the same authority; the old ends with the process that had it."""
        cluster.kube_apiserver.kill()
        cluster.pki.issue("apiserver", "/CN=kube-apiserver", [cluster.host, "127.0.0.1"], ["kubernetes", "renewed"])
        return lambda: self.start(cluster)

    def token(self, cluster):
        """Revoked, which an open watch does not notice; the Secret with its successor comes later."""
        cluster.api.delete("serviceaccounts", "mirror-reader", "default")
        cluster.restart_apiserver()
        return lambda: cluster.link(self.source)

    @staticmethod
    def start(cluster):
        cluster.start_apiserver()
        wait_until(cluster._ready, 60, f"{cluster.name}: API server ready")

    def strike(self, fault, where, seconds, meanwhile):
        of_agent = where not in ("source", *self.targets)
        cluster = self.writer(where.split()[-1]) if of_agent else {"source": self.source, **self.targets}[where]
        self.unreachable = None if fault == "token" else "agent" if of_agent else where
        end = getattr(self, fault)(cluster)
        until = time.monotonic() + seconds + (LEASE_S if of_agent else 0)
        for what, target, number in meanwhile:
            getattr(self, what)(target, number)
        while time.monotonic() < until:
            time.sleep(0.05)
        end()
        self.unreachable = None

    def rest(self):
        """Also of the replicas: one that began while a target was away knows nothing of its exports before it is back. And somebody writes each link."""
        def check():
            for one in self.replicas:
                one.process.require()
            wrong = differences(self.source, self.targets.values(), options=Options())
            assert not wrong, "\n  ".join(["", *wrong])
            knows = lambda one: one.get("/ready")[0] == 200 and all(link["synced"] for link in one.json("/api/v1/links"))
            return all(knows(one) for one in self.replicas) and set(self.targets) <= set(leases.holders(self.source))
        wait_until(check, REST_S, "the mirrors are what is exported", 0.2)


def by_object(entries):
    found = {}
    for entry in entries:
        reference = entry["objectRef"]
        if reference["resource"] in ("services", "endpointslices") and entry["responseStatus"]["code"] < 300:
            found.setdefault((reference["resource"], reference.get("namespace"), reference.get("name")), []).append(entry)
    return found


def content(entry):
    body = json.loads(json.dumps(entry.get("requestObject") or {}))
    body.get("metadata", {}).pop("resourceVersion", None)
    return entry["verb"], body


@pytest.mark.usefixtures("link_crd")
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_fails_in_the_end_all_is_right(source, east, north, replicas, began_at, seed):
    done = []
    for target in (east, north):
        target.gateway.start()
        target.export_labelled(PILLAR, NAMESPACE)
        target.link(source)
    source.ensure_namespace(NAMESPACE)
    storm = Storm(source, (east, north), *replicas(REPLICAS, flags=QUICK))
    mirrors = [f"{PILLAR}-east", f"{PILLAR}-north"]
    wait_until(lambda: all(source.ready_addresses(m, NAMESPACE) for m in mirrors), 15, "mirrored")
    uids = [source.api.get("services", m, NAMESPACE)["metadata"]["uid"] for m in mirrors]
    before = len(source.writes())
    try:
        for fault in draw(seed):
            done.append(f"  {fault[0]} {fault[1]} for {fault[2]} s, meanwhile {fault[3]}")
            storm.strike(*fault)
            storm.rest()
    except AssertionError as failure:
        pytest.fail(f"{failure}\nSVCMIRROR_NEMESIS_SEEDS={seed} SVCMIRROR_NEMESIS_FAULTS={FAULTS} repeats this:\n" + "\n".join(done), pytrace=False)
    finally:
        for cluster in (source, east, north):
            cluster.network.heal()
            cluster.kube_apiserver.thaw()
            if not cluster.kube_apiserver.running:
                storm.start(cluster)
    assert [source.api.get("services", m, NAMESPACE)["metadata"]["uid"] for m in mirrors] == uids
    writes = by_object(source.writes()[before:])
    ours = lambda entry: entry["userAgent"].startswith("svcmirror")
    for (resource, _, name), entries in writes.items():
        if resource == "services" and name in mirrors:
            assert not [e["verb"] for e in entries if ours(e)], f"{name} was right all the time"
        if resource == "services":
            assert name in storm.unexported or not [e for e in entries if ours(e) and e["verb"] == "delete"], f"{name} was deleted without cause"
        twice = [a for a, b in zip(entries, entries[1:]) if ours(a) and ours(b) and a["verb"] == "update" and content(a) == content(b)]
        assert not twice, f"{resource} {name} was written twice: {twice[0]}"
    assert leases.trespasses(source, began_at, lease_of, storm.stalls) == []
    held = [tenure for name, of in leases.tenures(source).items() for tenure in of if name in map(lease_of, mirrors) and tenure[1] > began_at]
    assert len({address for address, *_ in held}) > 1, "one replica wrote everything: nothing is shown"
    print(f"\nseed {seed}: {len(done)} faults, {len(held)} tenures, {sum(ours(e) for entries in writes.values() for e in entries)} writes")


FLOW = """
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: PriorityLevelConfiguration
metadata: {name: narrow}
spec: {type: Limited, limited: {nominalConcurrencyShares: 1, lendablePercent: 0, borrowingLimitPercent: 0, limitResponse: {type: Reject}}}
---
apiVersion: flowcontrol.apiserver.k8s.io/v1
kind: FlowSchema
metadata: {name: narrow}
spec:
  priorityLevelConfiguration: {name: narrow}
  matchingPrecedence: 2
  rules:
  - subjects: [{kind: ServiceAccount, serviceAccount: {name: throttled, namespace: default}}]
    resourceRules: [{apiGroups: ["*"], resources: ["*"], verbs: ["*"], clusterScope: true, namespaces: ["*"]}]
"""


@pytest.mark.usefixtures("link_crd")
def test_an_api_server_that_throttles_us_gets_all_in_the_end(source, east, agent):
    """By its own priority and fairness: a few requests at a time, and 429 with Retry-After to the others."""
    east.gateway.start()
    east.link(source)
    source.ensure_namespace(NAMESPACE)
    path = write_file(source.token_kubeconfig(source.service_account("throttled", [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}])), ".kubeconfig")
    applied = source.kubectl("apply", "-f", "-", input=FLOW)
    assert applied.returncode == 0, applied.stderr
    try:
        one = agent(kubeconfig=path)
        before = len(source.writes("svcmirror"))
        for number in range(40):
            east.export_labelled(f"s{number}", NAMESPACE)
        wait_until(lambda: not differences(source, [east], options=Options()), 90, "all is mirrored", 0.5)
        east.gateway.stop()
        wait_until(lambda: not any(source.ready_addresses(f"s{n}-east", NAMESPACE) for n in range(40)), 60, "and unready", 0.5)
        writes = source.writes("svcmirror")[before:]
        refused = [w for w in writes if w["responseStatus"]["code"] == 429]
        assert refused, "nothing was refused"
        for (resource, _, name), entries in by_object([w for w in writes if w["verb"] != "patch"]).items():
            assert [e["verb"] for e in entries].count("create") <= 1, f"{resource} {name} was made twice"
            assert "delete" not in [e["verb"] for e in entries], f"{resource} {name} was deleted without cause"
        print(f"\n{len(refused)} of {len(writes)} writes were refused; {[k for k in one.metrics() if '429' in k][:3]}")
    finally:
        source.kubectl("delete", "-f", "-", input=FLOW)


@pytest.mark.usefixtures("link_crd")
def test_api_servers_that_stand_still(source, east, north, agent):
    """SIGSTOP: connections stay open and nothing comes. A target's stall holds up neither the other target nor readiness; the source's stall is made up for."""
    for target in (east, north):
        target.gateway.start()
        target.export_labelled(PILLAR, NAMESPACE)
        target.link(source)
    source.ensure_namespace(NAMESPACE)
    one = agent()
    storm = Storm(source, (east, north), one)
    ready = lambda target, name=PILLAR: source.ready_addresses(f"{name}-{target.name}", NAMESPACE) == target.gateway.addresses
    wait_until(lambda: ready(east) and ready(north), 15, "mirrored")
    uids = [source.api.get("services", f"{PILLAR}-{t.name}", NAMESPACE)["metadata"]["uid"] for t in (east, north)]

    def stall(cluster, meanwhile):
        began = time.monotonic()
        cluster.kube_apiserver.freeze()
        try:
            meanwhile()
            while time.monotonic() < began + STALL_S:
                time.sleep(0.05)
        finally:
            cluster.kube_apiserver.thaw()

    def while_east_stands_still():
        east.gateway.stop()
        wait_until(lambda: source.ready_addresses(f"{PILLAR}-east", NAMESPACE) == [], DEAD_S, "readiness goes on")
        east.gateway.start()
        wait_until(lambda: ready(east), BACK_S, "and back")
        north.export_labelled("meanwhile", NAMESPACE)
        wait_until(lambda: ready(north, "meanwhile"), 5, "the other target is followed")

    def while_the_source_stands_still():
        north.api.delete("services", "meanwhile", NAMESPACE)
        east.export_labelled("later", NAMESPACE)
        east.gateway.stop()

    stall(east, while_east_stands_still)
    storm.rest()
    stall(source, while_the_source_stands_still)
    wait_until(lambda: source.ready_addresses(f"{PILLAR}-east", NAMESPACE) == [], 45, "what the probes found meanwhile is written")
    east.gateway.start()
    storm.rest()
    assert [source.api.get("services", f"{PILLAR}-{t.name}", NAMESPACE)["metadata"]["uid"] for t in (east, north)] == uids
