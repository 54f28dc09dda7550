"""The real binary against servers on which one thing goes wrong: at each position of a list and a watch, of each collection that it follows. After each
the mirrors are the same as without, nothing was deleted that is still exported, and the process lives and ends well."""
import base64
import concurrent.futures
import copy
import json
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "cli"))
from program import Agent, wait_until  # noqa: E402

import faults  # noqa: E402
from api_server import ApiServer  # noqa: E402

M = "mirror.linkerd.io/"
HOME = "linkerd-multicluster"
TOGETHER = 24  # agents at a time: they wait more than they do anything
PATIENCE = 40


def named(name, namespace="demo", **meta):
    return {"name": name, "namespace": namespace, **meta}


def service(name, port=80):
    return {"metadata": named(name, labels={M + "exported": "true"}, annotations={M + "gateway-name": "gw", M + "gateway-ns": "edge"}),
            "spec": {"type": "ClusterIP", "ports": [{"name": "http", "port": port, "targetPort": 5000, "protocol": "TCP"}]}}


def slice_of(name, address):
    return {"metadata": named(name + "-a", labels={"kubernetes.io/service-name": name}), "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}], "ports": [{"name": "http", "port": 5000, "protocol": "TCP"}]}


GATEWAY = {"metadata": named("gw", "edge", annotations={M + "gateway-identity": "gw.edge", M + "probe-path": "/ready", M + "probe-period": "3"}),
           "spec": {"type": "LoadBalancer", "ports": [{"name": "mc-gateway", "port": 4143, "protocol": "TCP"}]},
           "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}}


class Lab:
    """A source, a target that is linked twice (as east by a Link, as west by a Secret of 2.8), and an agent."""

    def __init__(self, certificate=None):
        self.folder = tempfile.TemporaryDirectory()
        self.source, self.target = ApiServer(certificate), ApiServer(certificate)
        self.agent = None
        for name in ("web1", "web2", "web3"):
            self.target.put("services", service(name))
            self.target.put("endpointslices", slice_of(name, "10.1.0.1"))
        self.target.put("services", copy.deepcopy(GATEWAY))
        for name in ("demo", HOME):
            self.source.put("namespaces", {"metadata": {"name": name}, "status": {"phase": "Active"}})
        self.secret("cluster-credentials-east", M + "remote-kubeconfig-of-a-link")
        self.secret("west", M + "remote-kubeconfig", {M + "cluster-name": "west", M + "remote-cluster-domain": "cluster.local", M + "remote-cluster-l5d-ns": "linkerd"})
        self.link()

    def secret(self, name, kind, annotations=None, url=None, **more):
        kubeconfig = self.target.kubeconfig().replace(self.target.url, url or self.target.url)
        self.source.put("secrets", {"metadata": named(name, HOME, annotations={**(annotations or {}), **more}), "type": kind,
                                    "data": {"kubeconfig": base64.b64encode(kubeconfig.encode()).decode()}})

    def link(self, name="east", **labels):
        self.source.put("links", {"metadata": named(name, HOME, labels=labels), "spec": {
            "targetClusterName": name, "targetClusterDomain": "cluster.local", "targetClusterLinkerdNamespace": "linkerd",
            "clusterCredentialsSecret": f"cluster-credentials-{name}", "gatewayAddress": "192.0.2.8", "gatewayPort": "4143", "gatewayIdentity": "gw",
            "selector": {"matchLabels": {M + "exported": "true"}}}})

    def link_more(self, name, url):
        """As east, to a server of another kind."""
        self.secret(f"cluster-credentials-{name}", M + "remote-kubeconfig-of-a-link", url=url)
        self.link(name)

    def start(self, *flags, descriptors=None):
        path = pathlib.Path(self.folder.name, "kubeconfig")
        path.write_text(self.source.kubeconfig())
        self.agent = Agent("--kubeconfig", str(path), "--admin-addr", "127.0.0.1:0", "--namespace", HOME, *flags, descriptors=descriptors)

    def close(self):
        if self.agent:
            self.agent.close()
        self.source.close()
        self.target.close()
        self.folder.cleanup()

    # -- what happens --

    def change(self):
        """Something of each kind in the target, and in the declarations."""
        self.target.put("services", service("web4"))
        self.target.put("endpointslices", slice_of("web4", "10.1.0.4"))
        self.target.put("services", service("web3", 81))
        self.target.put("endpointslices", {**slice_of("web1", "10.1.0.9"), "endpoints": []})
        self.target.remove("services", "demo", "web2")
        self.target.remove("endpointslices", "demo", "web2-a")
        self.link(touched="true")
        self.secret("west", M + "remote-kubeconfig", {M + "cluster-name": "west", M + "remote-cluster-domain": "cluster.local", M + "remote-cluster-l5d-ns": "linkerd"},
                    touched="true")

    # -- what came of it --

    def mirrors(self):
        """Everything that was written, without what another run would choose otherwise."""
        found = {}
        with self.source.changed:
            for resource in ("services", "endpointslices"):
                for (namespace, name), one in self.source.objects[resource].items():
                    one = copy.deepcopy(one)
                    meta = one["metadata"]
                    for key in ("uid", "resourceVersion", "ownerReferences", "managedFields"):
                        meta.pop(key, None)
                    one.get("spec", {}).pop("clusterIP", None)
                    found[f"{resource} {namespace}/{name}"] = one
        return found

    def uids(self):
        with self.source.changed:
            return {key: one["metadata"]["uid"] for key, one in self.source.objects["services"].items()}

    def deletes(self):
        with self.source.changed:
            return sorted({(resource, name) for method, resource, _, name in self.source.writes if method == "DELETE"})


def differences(found, wanted):
    lines = []
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            lines.append(f"{key}\n   found  {json.dumps(found.get(key), sort_keys=True)}\n   wanted {json.dumps(wanted.get(key), sort_keys=True)}")
    return "\n".join(lines)


def settle(lab, wanted, what):
    def same():
        if lab.agent.process.poll() is not None:
            raise AssertionError(f"the agent ended with {lab.agent.process.returncode}")
        return lab.mirrors() == wanted
    try:
        wait_until(same, PATIENCE, what)
    except AssertionError as failure:
        raise AssertionError(f"{failure}\n{differences(lab.mirrors(), wanted)}") from None


def at_rest(lab):
    """The mirrors once they have been the same for a while."""
    state, since = None, time.monotonic()

    def rests():
        nonlocal state, since
        now = lab.mirrors()
        if now != state:
            state, since = now, time.monotonic()
        return time.monotonic() - since > 1.5
    wait_until(rests, PATIENCE, "rest")
    return state


def without_faults():
    """What there is before the change, and after it."""
    lab = Lab()
    try:
        lab.start()
        states = []
        for change, last in ((lambda: None, "web3-west"), (lab.change, "web4-west")):
            change()
            wait_until(lambda last=last: lab.source.get("services", "demo", last), PATIENCE, last)
            states.append(at_rest(lab))
        return states, lab.deletes()
    finally:
        lab.close()


AT_FIRST = {"first_list": "list", "page": "page", "stream": "stream", "initial": "initial"}  # where a fault is armed before the agent starts
LATER = {"relist": ("list", "expire"), "restream": ("stream", "expire"), "reinitial": ("initial", "expire"), "watch": ("watch", "end"), "event": ("event", None),
         "refused": ("event", None)}


def run(expected, certificate, side, resource, position, fault):
    """One fault. @return "" or what is wrong."""
    (before, after), deletes = expected
    lab = Lab(certificate)
    server = getattr(lab, side)
    server.streams = "stream" in position or "initial" in position
    try:
        if position in AT_FIRST:
            server.arm(resource, AT_FIRST[position], fault)
        lab.start(*(["--streaming-lists"] if server.streams or position == "refused" else []))
        settle(lab, before, "the first mirrors")
        wait_until(lambda: server.is_watched(resource), PATIENCE, "a watch")
        uids = lab.uids()
        if position in LATER:
            armed, order = LATER[position]
            server.arm(resource, armed, fault)
            server.order(resource, order)
        lab.change()
        wait_until(lambda: not server.is_armed(), PATIENCE, "the fault")
        settle(lab, after, "the mirrors after the change")
        if lab.deletes() != deletes:
            return f"deleted {lab.deletes()}, and not {deletes}"
        if server.streams and not server.lists["streamed"]:
            return "nothing was streamed"
        anew = [key for key, uid in lab.uids().items() if uids.get(key, uid) != uid]
        if anew:
            return f"deleted and made anew: {anew}"
        code, _ = lab.agent.end(signal.SIGTERM)
        return "" if code == 0 else f"ended with {code}\n{lab.agent.log()[-3000:]}"
    except AssertionError as failure:
        return f"{failure}\n{lab.agent.log()[-3000:] if lab.agent else ''}"
    finally:
        lab.close()


def every_fault():
    """(name, side, resource, position, fault): all of them where most is at stake, and the worst everywhere else."""
    worst = ("410", "429", "500", "504_too_large", "page", "reset_in_the_body", "ends_in_the_middle", "another_kind", "reset", "lost", "twice", "ends_at_once",
             "status_as_a_list", "gzip_flipped", "malformed")
    for side, resource in (("target", "services"), ("target", "endpointslices"), ("source", "services"), ("source", "endpointslices"), ("source", "links"),
                           ("source", "secrets")):
        for position, known in (("first_list", faults.LISTS), ("page", faults.LISTS), ("relist", faults.LISTS), ("watch", faults.WATCHES),
                                ("event", faults.EVENTS)):
            if position == "page" and (side, resource) != ("target", "services"):
                continue  # too few objects for a second page at the start
            for name, fault in known.items():
                if side == "target" and resource == "services" or name in worst:
                    yield f"{side}_{resource}_{position}_{name}", side, resource, position, fault
    for position, known in (("stream", faults.WATCHES), ("restream", faults.WATCHES), ("initial", faults.EVENTS), ("reinitial", faults.EVENTS)):
        for name, fault in known.items():
            yield f"target_services_{position}_{name}", "target", "services", position, fault
    yield "target_services_refused_twice", "target", "services", "refused", faults.EVENTS["twice"]


def over_tls():
    """What happens to connections, where there is TLS between."""
    for position, known in (("relist", faults.LISTS), ("watch", faults.WATCHES), ("event", faults.EVENTS)):
        for name in ("reset_at_once", "closed_at_once", "garbage", "reset_in_the_body", "shorter_than_it_says", "ends_in_a_chunk", "stalls_then_resets", "reset", "lost",
                     "410", "429"):
            if name in known:
                yield f"target_services_{position}_{name}", "target", "services", position, known[name]


class AllAtOnce(unittest.TestCase):
    """The tests are added below, one for each fault that is chosen; all of them run at once, and each waits for its own."""
    certificate = None
    chosen = staticmethod(lambda: ())

    @classmethod
    def setUpClass(cls):
        expected = without_faults()
        cls.pool = concurrent.futures.ThreadPoolExecutor(TOGETHER)
        cls.results = {name: cls.pool.submit(run, expected, cls.certificate, *rest) for name, *rest in cls.chosen()}

    @classmethod
    def tearDownClass(cls):
        cls.pool.shutdown(cancel_futures=True)


class Faults(AllAtOnce):
    chosen = staticmethod(every_fault)


@unittest.skipUnless(shutil.which("openssl"), "openssl makes the certificate")
class FaultsOverTls(AllAtOnce):
    chosen = staticmethod(over_tls)

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.certificate = str(pathlib.Path(cls.folder.name, "both.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", "/CN=lab",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", cls.certificate, "-out", cls.certificate + ".crt"],
                       check=True, capture_output=True)
        with open(cls.certificate, "a", encoding="ascii") as both, open(cls.certificate + ".crt", encoding="ascii") as certificate:
            both.write(certificate.read())
        super().setUpClass()

    @classmethod
    def tearDownClass(cls):
        super().tearDownClass()
        cls.folder.cleanup()


def add_tests(cls):
    for name, *_ in cls.chosen():
        def test(self, name=name):
            wrong = self.results[name].result()
            if wrong:
                self.fail(wrong)
        setattr(cls, "test_" + name, test)


add_tests(Faults)
add_tests(FaultsOverTls)

if __name__ == "__main__":
    unittest.main()
