"""Random walks of changes on real clusters: wherever a walk rests, the mirrors are what docs/mirrors.md says.

A walk is drawn from its seed before anything happens: the same seed gives the same steps, whatever the agent does. A walk that fails prints them.

    SVCMIRROR_WALK_SEEDS=7,8       other seeds
    SVCMIRROR_WALK_LENGTH=400      steps of a walk
    SVCMIRROR_WALK_ONLY=0-12,17    of its steps just these, to find the few that matter
    SVCMIRROR_WALK_MODES=2.8,link  what it makes use of, all when nobody says
"""
import os
import random
import time

import pytest
from cluster.api import ApiError
from cluster.checker import Options, differences, written_by_us
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until
from conftest import is_settled

MIRROR, OURS = "mirror.linkerd.io/", "svcmirror.io/"

# What walks make use of: "2.8", "link", "discovery", "headless", "federated", "finer", "names", "drain", "adoption".
MODES = set(os.environ.get("SVCMIRROR_WALK_MODES", "2.8,link,discovery,headless,federated,finer,names,drain,adoption").split(","))

SEEDS = [int(s) for s in os.environ.get("SVCMIRROR_WALK_SEEDS", "1,2,3").split(",")]
LENGTH = int(os.environ.get("SVCMIRROR_WALK_LENGTH", "100"))
LONGEST_STRETCH = 12  # steps without a rest
REST_S = 30  # a Service of somebody else that goes is noticed last

TARGETS, SERVICES, NAMESPACES = ("east", "north"), ("web", "db"), ("a", "b", "later")
PORTS = {
    "http": [{"name": "http", "port": 80, "targetPort": 5000, "protocol": "TCP"}],
    "unnamed": [{"port": 8080, "protocol": "TCP"}],
    "named target": [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP", "appProtocol": "kubernetes.io/h2c"}],
    "three": [{"name": "http", "port": 80, "targetPort": 5000, "protocol": "TCP"}, {"name": "https", "port": 443, "targetPort": 5001, "protocol": "TCP"},
              {"name": "dns", "port": 53, "targetPort": "named", "protocol": "UDP"}],
}
TYPES = {
    "ClusterIP": {"type": "ClusterIP", "externalName": None},
    "NodePort": {"type": "NodePort", "externalName": None},
    "LoadBalancer": {"type": "LoadBalancer", "externalName": None},
    "ExternalName": {"type": "ExternalName", "externalName": "elsewhere.example", "clusterIP": None, "clusterIPs": None},
}
LABELS = [{MIRROR + "exported": "true"}, {MIRROR + "exported": "true", "tier": "a"}, {MIRROR + "exported": None}, {MIRROR + "exported": "no"},
          {"app": "web", "tier": "front"}, {"app": None}, {"foo.io/a": "1", "foo.iox/b": "2"}, {MIRROR + "mirrored-service": "true"},
          {MIRROR + "mirrored-service": None}, {MIRROR + "odd": "x"}]
ANNOTATIONS = [{MIRROR + "gateway-name": "ambassador", MIRROR + "gateway-ns": "ambassador"},
               {MIRROR + "gateway-name": "second", MIRROR + "gateway-ns": "ambassador"},
               {MIRROR + "gateway-name": "missing"}, {MIRROR + "gateway-name": None}, {MIRROR + "gateway-ns": None},
               {"config.linkerd.io/opaque-ports": "3306", "example.com/note": "kept"}, {"example.com/note": None, "bar.io/x": "1"},
               {OURS + "endpoints": "pods"}, {OURS + "endpoints": None}, {OURS + "endpoints": "gateway"},
               {"argocd.argoproj.io/tracking-id": "x", "meta.helm.sh/release-name": "y", "service.kubernetes.io/topology-mode": "auto"}]
ENDPOINTS = {"none": None, "empty": [], "one": [True], "unready": [False], "one of two": [False, True]}
LINKS = {
    "plain": {}, "first address": {"gatewayAddress": "{0}"}, "a dead address": {"gatewayAddress": "{0},{dead}"},
    "both families": {"gatewayAddress": "{0},{six}"}, "another port": {"gatewayPort": "5143"}, "another identity": {"gatewayIdentity": "other"},
    "no gateway": {"gatewayAddress": None, "gatewayPort": None, "probeSpec": None},
    "a gateway by name": {"gatewayAddress": None, "gatewayPort": None, "gatewayIdentity": None, "probeSpec": None},
    "a gateway by name, another port": {"gatewayAddress": None, "gatewayPort": "5143", "gatewayIdentity": None, "probeSpec": None},
    "exclusions": {"excludedLabels": ["foo.io/*", "app"], "excludedAnnotations": ["example.com/*", "config.linkerd.io/*"]},
    "services only": {},  # credentials that may read nothing else
    "another selector": {"selector": {"matchLabels": None, "matchExpressions": [{"key": "tier", "operator": "Exists"}]}},
}
NAMES = [{"mirror-name": "{name}"}, {"mirror-name": "{cluster}-{namespace}-{name}"}, {"mirror-name": None}, {"allowed-namespaces": ""}, {"allowed-namespaces": None},
         {"namespace-map": "walkN-a=walkN-b"}, {"namespace-map": "*=walkN-later"}, {"namespace-map": None}]  # N: the walk's number
EDITS = {
    "labels": ("services", {"metadata": {"labels": {"stray": "x", "app": None}}}),
    "an annotation": ("services", {"metadata": {"annotations": {MIRROR + "remote-svc-fq-name": "wrong"}}}),
    "another cluster": ("services", {"metadata": {"labels": {MIRROR + "cluster-name": "other"}}}),
    "no cluster": ("services", {"metadata": {"labels": {MIRROR + "cluster-name": None}}}),
    "no mirror label": ("services", {"metadata": {"labels": {MIRROR + "mirrored-service": None}}}),
    "ports": ("services", {"spec": {"ports": [{"name": "x", "port": 1}]}}),
    "a selector": ("services", {"spec": {"selector": {"app": "trap"}, "externalIPs": ["192.0.2.9"]}}),
    "a node's endpoints only": ("services", {"spec": {"internalTrafficPolicy": "Local"}}),
    "unready endpoints": ("services", {"spec": {"publishNotReadyAddresses": True}}),
    "more conditions": ("endpointslices", {"endpoints": [{"addresses": ["10.201.1.2"], "conditions": {"ready": True, "serving": True}, "nodeName": "lab0"}]}),
    "endpoints": ("endpointslices", {"endpoints": [{"addresses": ["192.0.2.9"], "conditions": {"ready": True}}]}),
    "slice labels": ("endpointslices", {"metadata": {"labels": {"kubernetes.io/service-name": None, MIRROR + "mirrored-service": None}}}),
    "slice identity": ("endpointslices", {"metadata": {"annotations": {MIRROR + "remote-gateway-identity": "wrong"}}}),
    "no owner": ("endpointslices", {"metadata": {"ownerReferences": None}}),
}
if "discovery" in MODES:
    LABELS += [{MIRROR + "exported": "remote-discovery"}] * 2
if "federated" in MODES:
    LABELS += [{MIRROR + "federated": "member"}] * 2 + [{MIRROR + "federated": None}]
if "finer" in MODES:
    ANNOTATIONS += [{OURS + "export-ports": "http"}, {OURS + "export-ports": "443,dns"}, {OURS + "export-ports": None}, {OURS + "export-to": "west, lab"},
                    {OURS + "export-to": "west"}, {OURS + "export-to": None}, {OURS + "export-namespace": "{namespace}-too"}, {OURS + "export-namespace": None},
                    {OURS + "export-name": "checkout-{service}"}, {OURS + "export-name": None}]
if "headless" in MODES:
    del LINKS["services only"]  # a mirror that was headless before the right to read endpoints went stays so: that depends on what was
    ANNOTATIONS += [{OURS + "headless": "false"}, {OURS + "headless": None}]


class Draw:
    """Draws steps; knows nothing of any cluster."""

    def __init__(self, seed):
        self.random, self.seed = random.Random(seed), seed
        self.kinds = [getattr(self, name) for name, weight in self.WEIGHTS.items() for _ in range(weight)]

    WEIGHTS = {"service": 8, "delete": 3, "relabel": 6, "annotate": 6, "ports": 2, "type": 2, "endpoints": 4, "gateway": 2, "way": 2, "addresses": 3,
               "gateway_service": 3, "link": 3, "unlink": 1, "rival": 1, "no_rival": 1, "namespace": 2, "no_namespace": 1,
               "foreign": 1, "free": 1, "forge": 1, "undo": 2, "edit": 3, "kill": 2, "freeze": 2}
    if "headless" in MODES:
        WEIGHTS["scale"] = 5
    if "federated" in MODES:
        WEIGHTS["local"] = 3
    if "drain" in MODES:
        WEIGHTS["drain"] = 2
    if "names" in MODES:
        WEIGHTS["names"] = 2

    def walk(self, length):
        namespace, ways = f"walk{self.seed}-{NAMESPACES[0]}", 2 * sorted(MODES & {"2.8", "link"})
        first = [("link", target, way, "plain") for target, way in zip(TARGETS, ways)]
        first += [("service", target, namespace, name, "ClusterIP", "http", LABELS[0], ANNOTATIONS[0]) for target in TARGETS for name in SERVICES]
        first += [("endpoints", target, namespace, SERVICES[0], "one") for target in TARGETS]
        steps = first + [self.random.choice(self.kinds)() for _ in range(length - len(first))]
        rests, at = [], 0
        while at < len(steps):
            at = min(len(steps), at + self.random.randint(1, LONGEST_STRETCH))
            rests.append(at)
        for at in reversed(rests):
            steps.insert(at, ("rest",))
        return steps

    def one_of(self, choice):
        return self.random.choice(sorted(choice) if isinstance(choice, (set, dict)) else choice)

    def place(self):
        return self.one_of(TARGETS), f"walk{self.seed}-{self.one_of(NAMESPACES)}", self.one_of(SERVICES)

    def mirror(self):
        target, namespace, service = self.place()
        names = [f"{service}-{target}"] * 6 + [f"{service}-0-{target}"] * ("headless" in MODES) + [f"{service}-federated"] * ("federated" in MODES)
        return self.one_of([(namespace, name) for name in names] + [(AGENT_NAMESPACE, f"ambassador-{target}"), (AGENT_NAMESPACE, f"probe-{target}")])

    def service(self):
        labels, annotations = {**LABELS[0], **self.one_of(LABELS)}, {**ANNOTATIONS[0], **self.one_of(ANNOTATIONS)}  # most often exported in both ways
        kinds = ["ClusterIP", "headless"] if "headless" in MODES else ["ClusterIP"] * 3 + ["headless"]
        return ("service", *self.place(), self.one_of(kinds), self.one_of(PORTS), labels, annotations)

    def delete(self):
        return ("delete", *self.place())

    def relabel(self):
        return ("relabel", *self.place(), self.one_of(LABELS))

    def annotate(self):
        return ("annotate", *self.place(), self.one_of(ANNOTATIONS))

    def ports(self):
        return ("ports", *self.place(), self.one_of(PORTS))

    def type(self):
        return ("type", *self.place(), self.one_of(TYPES))

    def endpoints(self):
        return ("endpoints", *self.place(), self.one_of(ENDPOINTS))

    def scale(self):
        return ("scale", *self.place(), self.random.randrange(4), self.random.randrange(4))

    def gateway(self):
        return ("gateway", self.one_of(TARGETS), self.one_of(["stop", "start", "start", "not_ready"]))

    def way(self):
        return ("way", self.one_of(TARGETS), self.one_of(["heal", "heal", "reject", "drop"]))

    def addresses(self):
        return ("addresses", self.one_of(TARGETS), self.one_of(["ambassador", "second"]), self.one_of(["none", "first", "both", "both families", "a dead one"]))

    def gateway_service(self):
        changes = ["delete", "plain", "plain", "identity", "port", "period"]
        return ("gateway_service", self.one_of(TARGETS), self.one_of(["ambassador", "second"]), self.one_of(changes))

    def link(self):
        return ("link", self.one_of(TARGETS), self.one_of(MODES & {"2.8", "link"}), self.one_of(LINKS))

    def unlink(self):
        return ("unlink", self.one_of(TARGETS))

    def rival(self):
        return ("rival", self.one_of(TARGETS))

    def no_rival(self):
        return ("no_rival", self.one_of(TARGETS))

    def namespace(self):
        return ("namespace", self.place()[1])

    def no_namespace(self):
        return ("no_namespace", f"walk{self.seed}-{NAMESPACES[-1]}")

    def foreign(self):
        return ("foreign", *self.mirror())

    def free(self):
        return ("free", *self.mirror())

    def forge(self):
        return ("forge", self.place()[1], self.one_of(["junk", "web-east"]), self.one_of([*TARGETS, "ghost"]))

    def undo(self):
        return ("undo", *self.mirror(), self.one_of(["services", "endpointslices"]))

    def edit(self):
        return ("edit", *self.mirror(), self.one_of(EDITS))

    def kill(self):
        return ("kill", self.one_of(["start again", "leave"]))

    def freeze(self):
        return ("freeze",)

    def local(self):
        return ("local", *self.place()[1:], self.one_of(["member", None, "delete"]), self.one_of(PORTS))

    def names(self):
        marks = {k: v and v.replace("N", str(self.seed)) for k, v in self.one_of(NAMES).items()}
        return ("names", self.one_of(TARGETS), marks)

    def drain(self):
        return ("drain", self.one_of(TARGETS), self.one_of(["link", "gateway"]), self.one_of(["true", None]))


class Walk:
    """Does steps. One that is not possible where it comes (a Service that is not there, a change that Kubernetes refuses) does nothing."""

    def __init__(self, source, targets, agent):
        self.source, self.targets, self.agent = source, {t.name: t for t in targets}, agent
        self.options = Options(cluster_name="lab" if "finer" in MODES else "", allowed_namespaces="walk*" if "finer" in MODES else "*", headless="headless" in MODES, adopts="adoption" in MODES)
        if "federated" not in MODES:
            self.options.federated_selector = None
        self.one, self.foreigners, self.blind = None, {}, set()
        self.rests, self.mirrors = [], []

    def begin(self):
        for target in self.targets.values():
            target.gateway.addresses = [target.network.address(2), target.network.address(3), target.network.address6(2)]
            target.gateway.start()
            for name in ("ambassador", "second"):
                target.gateway_service(name, addresses=target.gateway.addresses[:1])
        flags = ["--cluster-name", "lab", "--allowed-namespaces", self.options.allowed_namespaces] if "finer" in MODES else []
        self.one = self.agent(ready=False, flags=flags)

    def do(self, step):
        try:
            getattr(self, step[0])(*step[1:])
        except ApiError as error:
            if error.status not in (404, 409, 422) and "being terminated" not in str(error):
                raise

    def rest(self):
        """All is as it must be and the agent has nothing left to do, and so it is at the next look."""
        began = time.monotonic()
        if not self.one.process.running:
            assert self.one.killed, f"the agent ended:\n{self.one.process.tail()}"
            self.one.start(ready=False)
        self.one.process.thaw()
        calm = 0

        def check():
            nonlocal calm
            calm, looks = 0, calm + 1
            self.one.process.require()
            settled = self.one.get("/ready")[0] == 200 and is_settled(self.one)
            wrong = differences(self.source, self.targets.values(), options=self.options, blind=self.blind)
            if wrong:
                raise AssertionError("\n  ".join(["", *wrong]))
            calm = looks if settled else 0
            return calm == 2
        try:
            wait_until(check, REST_S, "the mirrors are what they must be, and the agent rests", 0.1)
        except AssertionError as failure:
            raise AssertionError(str(failure).replace("\\n", "\n")) from None
        for key, version in self.foreigners.items():
            found = self.source.api.find("services", key[1], key[0])
            assert found and found["metadata"]["resourceVersion"] == version, f"somebody else's Service {key} was touched"
        self.rests.append(time.monotonic() - began)
        self.mirrors.append(len(self.source.api.list("services", labels=MIRROR + "mirrored-service=true")))

    # -- what happens in a target --

    def patch(self, target, namespace, name, patch):
        self.targets[target].api.patch("services", name, patch, namespace)

    def service(self, target, namespace, name, kind, ports, labels, annotations):
        """A new one; where there is one already it goes first, so that another takes its name."""
        self.delete(target, namespace, name)
        clean = lambda kv: {k: v.format(namespace=namespace, service=name) for k, v in kv.items() if v is not None}
        more = {"clusterIP": "None"} if kind == "headless" else {}
        self.targets[target].service(name, namespace, PORTS[ports], clean(labels), clean(annotations), **more)

    def delete(self, target, namespace, name):
        self.targets[target].api.delete("services", name, namespace)

    def relabel(self, target, namespace, name, labels):
        self.patch(target, namespace, name, {"metadata": {"labels": labels}})

    def annotate(self, target, namespace, name, annotations):
        self.patch(target, namespace, name, {"metadata": {"annotations": {
            k: v and v.format(namespace=namespace, service=name) for k, v in annotations.items()}}})

    def ports(self, target, namespace, name, ports):
        self.patch(target, namespace, name, {"spec": {"ports": PORTS[ports]}})

    def type(self, target, namespace, name, kind):
        self.patch(target, namespace, name, {"spec": TYPES[kind]})

    def endpoints(self, target, namespace, name, which):
        if ENDPOINTS[which] is None:
            self.targets[target].api.delete("endpointslices", name + "-a", namespace)
        else:
            self.slice(target, namespace, name, [{"conditions": {"ready": ready}} for ready in ENDPOINTS[which]])

    def scale(self, target, namespace, name, count, ready):
        """A StatefulSet of `count` pods of which the first `ready` are ready."""
        self.slice(target, namespace, name, [{"hostname": f"{name}-{i}", "conditions": {"ready": i < ready}} for i in range(count)])

    def slice(self, target, namespace, name, endpoints):
        self.targets[target].ensure_namespace(namespace)
        network = self.targets[target].network
        self.targets[target].api.apply("endpointslices", {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name + "-a", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
            "endpoints": [{"addresses": [network.address(10 + i)], **e} for i, e in enumerate(endpoints)],
            "ports": [{"name": "http", "port": 5000, "protocol": "TCP"}]})

    # -- gateways --

    def gateway(self, target, what):
        """A start waits until the gateway answers, so its way must be open."""
        gateway = self.targets[target].gateway
        gateway.stop()
        self.targets[target].network.heal()
        if what != "stop":
            gateway.start(None if what == "start" else what)

    def way(self, target, what):
        network = self.targets[target].network
        network.heal()
        if what != "heal":
            getattr(network, what)(network.address(2), 8080)

    def addresses(self, target, name, which):
        network = self.targets[target].network
        addresses = {"none": [], "first": [network.address(2)], "both": [network.address(2), network.address(3)], "a dead one": [network.address(4)],
                     "both families": [network.address(3), network.address6(2)]}[which]
        self.targets[target].set_gateway_addresses(addresses, name)

    def gateway_service(self, target, name, what):
        changes = {"identity": {"identity": "other.identity"}, "period": {"period": "1"}, "plain": {},
                   "port": {"ports": [{"name": "mc-gateway", "port": 5143, "protocol": "TCP"}, {"name": "mc-probe", "port": 8080, "protocol": "TCP"}]}}
        if what == "delete":
            self.targets[target].api.delete("services", name, "ambassador")
        else:
            self.targets[target].gateway_service(name, addresses=self.targets[target].gateway.addresses[:2], **changes[what])

    # -- links --

    def link(self, target, way, variant):
        """Declared so; what declared it the other way goes first."""
        one, api = self.targets[target], self.source.api
        kubeconfig = one.reader_kubeconfig(("services",), "services-only") if variant == "services only" else one.reader_kubeconfig()
        if way == "2.8":
            api.delete("links", target, AGENT_NAMESPACE)
            one.link_secret(self.source, kubeconfig)
            return
        (self.blind.add if variant == "services only" else self.blind.discard)(target)
        secret = api.find("secrets", f"cluster-credentials-{target}", AGENT_NAMESPACE)
        if secret and secret["metadata"].get("annotations"):
            api.delete("secrets", f"cluster-credentials-{target}", AGENT_NAMESPACE)
        places = {"six": one.network.address6(2), "dead": one.network.address(4)}
        spec = {"gatewayAddress": ",".join(one.gateway.addresses[:2]), "excludedLabels": None, "excludedAnnotations": None,
                "selector": {"matchLabels": {MIRROR + "exported": "true"}, "matchExpressions": None}, **LINKS[variant]}
        if spec["gatewayAddress"]:
            spec["gatewayAddress"] = spec["gatewayAddress"].format(*one.gateway.addresses, **places)
        if "discovery" in MODES:
            spec["remoteDiscoverySelector"] = {"matchLabels": {MIRROR + "exported": "remote-discovery"}}
        if "federated" in MODES:
            spec["federatedServiceSelector"] = {"matchLabels": {MIRROR + "federated": "member"}}
        # A merge patch takes nothing away that is not named: what this variant leaves out must go, or the old value stays.
        one.link(self.source, kubeconfig=kubeconfig, **{k: v for k, v in spec.items() if v is not None})
        gone = {k: None for k, v in spec.items() if v is None}
        gone["selector"] = {k: v for k, v in spec["selector"].items()}
        name = "ambassador/ambassador" if "by name" in variant else None
        api.patch("links", target, {"spec": gone, "metadata": {"annotations": {OURS + "gateway": name}}}, AGENT_NAMESPACE)

    def unlink(self, target):
        self.source.api.delete("links", target, AGENT_NAMESPACE)
        self.source.api.delete("secrets", f"cluster-credentials-{target}", AGENT_NAMESPACE)

    def rival(self, target):
        """A second declaration of the cluster: a Link holds before a Secret, then the older one; the other takes over when that goes."""
        self.targets[target].link_secret(self.source, name="rival-" + target)

    def no_rival(self, target):
        self.source.api.delete("secrets", "rival-" + target, AGENT_NAMESPACE)

    def names(self, target, marks):
        self.mark(target, marks)

    def drain(self, target, what, value):
        if what == "gateway":
            self.patch(target, "ambassador", "ambassador", {"metadata": {"annotations": {OURS + "drain": value}}})
        else:
            self.mark(target, {"drain": value})

    def mark(self, target, marks):
        """Annotations of the target's declaration."""
        patch = {"metadata": {"annotations": {OURS + k: v for k, v in marks.items()}}}
        if self.source.api.find("links", target, AGENT_NAMESPACE):
            self.source.api.patch("links", target, patch, AGENT_NAMESPACE)
        else:
            self.source.api.patch("secrets", f"cluster-credentials-{target}", patch, AGENT_NAMESPACE)

    # -- the source --

    def namespace(self, name):
        self.source.ensure_namespace(name)

    def no_namespace(self, name):
        self.source.api.delete("namespaces", name)
        self.foreigners = {key: version for key, version in self.foreigners.items() if key[0] != name}

    def foreign(self, namespace, name):
        """Somebody's own Service of a mirror's name, when that is free."""
        made = self.source.api.create("services", {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1234}]}, "metadata": {
            "name": name, "namespace": namespace, "labels": {"my": "own"}}})
        self.foreigners[namespace, name] = made["metadata"]["resourceVersion"]

    def free(self, namespace, name):
        if self.foreigners.pop((namespace, name), None):
            self.source.api.delete("services", name, namespace)

    def forge(self, namespace, name, cluster):
        """A mirror that nobody made: with its labels it is taken over, or goes when its cluster does not export it."""
        self.source.api.create("services", {"apiVersion": "v1", "kind": "Service", "spec": {"ports": [{"port": 1234}]}, "metadata": {
            "name": name, "namespace": namespace, "labels": {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": cluster}}})

    def undo(self, namespace, name, kind):
        if (namespace, name) not in self.foreigners:
            self.source.api.delete(kind, name if kind == "services" else name + ".ipv4", namespace)

    def edit(self, namespace, name, what):
        kind, patch = EDITS[what]
        there = self.source.api.find(kind, name if kind == "services" else name + ".ipv4", namespace)
        if there and written_by_us(there):
            self.source.api.patch(kind, there["metadata"]["name"], patch, namespace)

    def local(self, namespace, name, what, ports):
        api = self.source.api
        if what == "delete":
            api.delete("services", name, namespace)
        else:
            labels = {MIRROR + "federated": what} if what else {}
            api.apply("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, "labels": labels},
                                   "spec": {"ports": PORTS[ports]}})

    # -- the agent --

    def kill(self, then):
        self.one.kill()
        if then == "start again":
            self.one.start(ready=False)

    def freeze(self):
        """Until the next rest: then it sees at once all that happened."""
        self.one.process.freeze()


def only(steps):
    """The steps that SVCMIRROR_WALK_ONLY chooses, by number."""
    chosen = os.environ.get("SVCMIRROR_WALK_ONLY")
    if not chosen:
        return list(enumerate(steps))
    ranges = [(part.split("-")[0], part.split("-")[-1]) for part in chosen.split(",")]
    return [(i, step) for i, step in enumerate(steps) if any(int(a) <= i <= int(b) for a, b in ranges)]


@pytest.mark.usefixtures("link_crd")
@pytest.mark.parametrize("seed", SEEDS)
def test_wherever_a_walk_rests_the_mirrors_are_right(source, east, north, agent, seed):
    walk, done = Walk(source, (east, north), agent), []
    for name in (*NAMESPACES[:2], *(["a-too"] if "finer" in MODES else [])):
        source.ensure_namespace(f"walk{seed}-{name}")
    walk.begin()
    try:
        for number, step in only(Draw(seed).walk(LENGTH)):
            done.append(f"  {number}: {' '.join(map(str, step))}")
            walk.do(step)
    except AssertionError as failure:
        pytest.fail(f"{failure}\nSVCMIRROR_WALK_SEEDS={seed} SVCMIRROR_WALK_LENGTH={LENGTH} repeats this walk:\n" + "\n".join(done), pytrace=False)
    print(f"\nseed {seed}: {len(done)} steps, {len(walk.rests)} rests of {max(walk.rests):.1f} s at most, with {min(walk.mirrors)} to {max(walk.mirrors)} mirrors")


@pytest.mark.usefixtures("link_crd")
def test_no_edit_escapes_the_checker(source, east, north, agent):
    """Without an agent each edit, and what is missing or too many, stays and is told; with one it is gone again."""
    walk = Walk(source, (east, north), agent)
    source.ensure_namespace("walk-a")
    walk.begin()
    for step in (("link", "east", "link", "plain"), ("service", "east", "walk-a", "web", "ClusterIP", "three", LABELS[0], {}),
                 ("endpoints", "east", "walk-a", "web", "one"), ("rest",), ("kill", "leave")):
        walk.do(step)
    look = lambda: differences(source, walk.targets.values(), options=walk.options)
    assert look() == []
    told = {}
    for what in EDITS:
        before = look()
        walk.do(("edit", "walk-a", "web-east", what))
        told[what] = [line for line in look() if line not in before]
    walk.do(("undo", "linkerd-multicluster", "probe-east", "services"))
    walk.do(("forge", "walk-a", "junk", "east"))
    walk.do(("service", "east", "walk-a", "db", "ClusterIP", "http", LABELS[0], {}))
    told.update({line: line for line in look()})
    assert all(told.values()), told
    assert {"Service linkerd-multicluster/probe-east is missing", "Service walk-a/junk is too many", "Service walk-a/db-east is missing"} <= set(told)
    walk.do(("rest",))
