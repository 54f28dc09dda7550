"""`svcmirror links`, `services` and `status` against agents and API servers that say what a test wants; and what all that look have in common."""
import json
import re
import signal
import subprocess
import tempfile
import threading
import unittest

from program import BINARY, CLEAN, Server, free_port, status_object, svcmirror, wait_until


def link(cluster, held=True, holder="svcmirror-a", **more):
    return {"clusterName": cluster, "kind": "Link", "name": cluster, "clusterDomain": "cluster.local", "server": f"https://{cluster}:6443",
            "apiReachable": True, "synced": True, "problem": None, "warning": None, "holder": holder, "held": held, "eventAgeMs": 1234,
            "credentialsExpire": "2027-01-01T00:00:00.000000Z", "exportedServices": 2, "mirroredServices": 1, "namespace": "linkerd-multicluster",
            "refused": False, "drained": False, **more}


def refused(cluster, problem):
    nothing = dict.fromkeys(["clusterDomain", "server", "apiReachable", "synced", "drained", "warning", "holder", "held", "eventAgeMs", "credentialsExpire",
                             "exportedServices", "mirroredServices"])
    return {"clusterName": cluster, "kind": "Secret", "name": "broken", "problem": problem, **nothing, "namespace": "linkerd-multicluster",
            "refused": True}


def gateway(cluster, verdict="alive", latency=3):
    alive = verdict == "alive"
    return {"clusterName": cluster, "alive": alive, "numberOfServices": 1, "latency": latency if alive else None, "verdict": verdict,
            "reason": "OK" if alive else "ConnectionRefused", "advice": None if alive else "nothing listens there",
            "gatewayNamespace": "ambassador", "gatewayName": "ambassador", "addresses": []}


def service(cluster, name, namespace="demo", mirrored=True, **more):
    return {"clusterName": cluster, "namespace": namespace, "name": name, "mirror": f"{namespace}/{name}-{cluster}", "mode": "gateway",
            "gateway": "ambassador/ambassador", "mirrored": mirrored, "reason": "Mirrored" if mirrored else "NamespaceMissing",
            "message": None if mirrored else f"namespace {namespace} is not there", "endpoints": 2 if mirrored else 0,
            "readyEndpoints": 1 if mirrored else 0, "lastTransition": "2026-08-21T10:00:00.000000Z", **more}


AGENT = {"links": [link("west", held=False), link("east")], "gateways": [gateway("east", latency=7), gateway("west", "dead"), gateway("east")],
         "services": [service("west", "web"), service("east", "web"), service("east", "db", "data", mirrored=False)]}


def rows(text):
    return [re.split(r" {2,}", line) for line in text.splitlines()]


class FromAnAgent(unittest.TestCase):
    def ask(self, said, *argv):
        server = Server(lambda path, query: (200, said[path.rsplit("/", 1)[1]]) if isinstance(said, dict) else said)
        try:
            return svcmirror(*argv, "--address", server.url)
        finally:
            server.close()

    def test_links(self):
        result = self.ask({"links": AGENT["links"] + [refused("north", "no kubeconfig in it")]}, "links")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout,
                         "CLUSTER  LINK           REACHABLE  SYNCED  HEARD  SERVICES  LEADER       PROBLEM\n"
                         "east     Link/east      True       True       1s       1/2  svcmirror-a  -\n"
                         "north    Secret/broken  -          -           -         -  -            no kubeconfig in it\n"
                         "west     Link/west      True       True       1s       1/2  svcmirror-a  -\n")

    def test_services(self):
        result = self.ask(AGENT, "services")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout,
                         "NAMESPACE  NAME  CLUSTER  MIRROR         MODE     MIRRORED  READY  REASON\n"
                         "data       db    east     data/db-east   gateway  False       0/0  NamespaceMissing\n"
                         "demo       web   east     demo/web-east  gateway  True        1/2  Mirrored\n"
                         "demo       web   west     demo/web-west  gateway  True        1/2  Mirrored\n")

    def test_services_that_are_asked_for(self):
        moved = service("east", "moved", "theirs", mirror="data/moved-east")
        said = {"services": AGENT["services"] + [moved, service("east", "x", "data2")]}
        for argv, names in [(["-n", "data"], {"db", "moved"}), (["-A"], {"db", "web", "moved", "x"}), (["--not-mirrored"], {"db"}),
                            (["--cluster-name", "west"], {"web"}), (["-n", "theirs", "--cluster-name", "east"], {"moved"})]:
            entries = json.loads(self.ask(said, "services", "-o", "json", *argv).stdout)
            self.assertEqual({entry["name"] for entry in entries}, names)
        result = self.ask(said, "services", "-n", "nothing")
        self.assertEqual((result.returncode, len(result.stdout.splitlines())), (0, 1))
        self.assertIn("there is no such service", result.stderr)

    def test_status(self):
        result = self.ask(AGENT, "status")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(rows(result.stdout), [
            ["CLUSTER", "REACHABLE", "SYNCED", "GATEWAYS", "LATENCY", "SERVICES", "READY", "PROBLEMS"],
            ["east", "True", "True", "2/2", "3ms", "1/2", "1/2",
             "1 service not mirrored, the first of them data/db: namespace data is not there"],
            ["west", "True", "True", "0/1", "-", "1/2", "1/2", "gateway ambassador is dead: ConnectionRefused: nothing listens there"]])

    def test_status_as_json_and_wide(self):
        entries = json.loads(self.ask(AGENT, "status", "-o", "json", "--cluster-name", "west").stdout)
        self.assertEqual(entries, [{
            "clusterName": "west", "kind": "Link", "namespace": "linkerd-multicluster", "name": "west", "apiReachable": True, "synced": True,
            "eventAgeMs": 1234, "credentialsExpire": "2027-01-01T00:00:00.000000Z", "leader": "svcmirror-a", "exportedServices": 2,
            "mirroredServices": 1, "gateways": 1, "aliveGateways": 0, "latencyMs": None, "endpoints": 2, "readyEndpoints": 1,
            "problems": ["gateway ambassador is dead: ConnectionRefused: nothing listens there"]}])
        wide = rows(self.ask(AGENT, "status", "-o", "wide").stdout)
        self.assertEqual(wide[1][7:11], ["Link/east", "1s", "2027-01-01T00:00:00.000000Z", "svcmirror-a"])

    def test_a_drained_link(self):
        lists = {"links": [link("east", drained=True)], "gateways": [gateway("east")], "services": []}
        words = "drained by the annotation svcmirror.io/drain: the endpoints of its mirrors are not ready"
        for command in "links", "status":
            self.assertEqual(rows(self.ask(lists, command).stdout)[1][-1], words)
        lists["links"] = [link("east", drained=True, problem="timed out")]
        self.assertEqual(rows(self.ask(lists, "links").stdout)[1][-1], "timed out")

    def test_nothing_is_linked(self):
        for command in "links", "status":
            result = self.ask({"links": [], "gateways": [], "services": []}, command, "-o", "yaml")
            self.assertEqual((result.returncode, result.stdout), (0, "[]\n"))
            self.assertIn("nothing is linked", result.stderr)

    def test_answers_that_are_none(self):
        for command in "links", "services", "status":
            for said, words in [((200, "<html>"), "is not JSON"), ((200, {"kind": "Status"}), "no list of"), ((500, "x"), "status 500")]:
                result = self.ask(said, command)
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertIn(words, result.stderr)
            strange = [1, None, {}, {"clusterName": 7, "mirror": [], "eventAgeMs": -5, "endpoints": "x", "held": "yes", "addresses": {}}]
            result = self.ask((200, strange), command, "-o", "wide")
            self.assertEqual((result.returncode, len(result.stdout.splitlines())), (0, 5))

    def test_text_from_clusters_controls_no_terminal(self):
        result = self.ask({"links": [link("east\x1b[2J", problem="\n\x07bad")]}, "links", "-o", "wide")
        self.assertNotRegex(result.stdout, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        self.assertEqual(result.stdout.count("\n"), 2)

    def test_nobody_answers(self):
        for command in "links", "services", "status", "gateways":
            for more in [], ["--watch"]:
                result = svcmirror(command, "--address", f"127.0.0.1:{free_port()}", *more)
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertIn("Connection refused", result.stderr)

    def test_what_makes_no_sense_is_refused_at_once(self):
        for argv, words in [(["services", "-n", "demo", "-A"], "contradict"), (["services", "-n", "A B"], "no name of a namespace"),
                            (["links", "-o", "xml"], "xml"), (["status", "--address", "ftp://x"], "no address of an agent"),
                            (["links", "east"], "east"), (["status", "--context"], "needs a value")]:
            result = svcmirror(*argv)
            self.assertEqual((result.returncode, result.stdout), (2, ""), argv)
            self.assertIn(words, result.stderr)

    def test_an_address_is_judged_whole(self):
        for address in ("", ":9999", "http://", "https://", "http:///x", "http://:9999", "http://host:99999", "http://host:0", "http://host:", "host:x",
                        "http://a b:9999", "http://host:9999?x", "http://host:9999/?x", "http://host:9999#x", "http://::1:9999", "http://[::1", "http://[::1]9999",
                        "http://[host]:9999", "http://[127.0.0.1]:9999", "http://[::1]x:9999", "ftp://host:9999", "http://host/a b", "h" * 300,
                        "http://host/" + "x" * 400):
            for command in "links", "services", "status", "gateways":
                result = svcmirror(command, "--address", address)
                self.assertEqual((result.returncode, result.stdout), (2, ""), address)
                self.assertIn("is no address of an agent: write http://HOST:PORT", result.stderr)
        result = svcmirror("links", "--address", "http://me:hidden@host:9999")
        self.assertEqual((result.returncode, "hidden" in result.stderr), (2, False))
        port = free_port()
        for address in f"[::1]:{port}", f"http://[::1]:{port}/", f"http://[::ffff:127.0.0.1]:{port}", f"https://localhost:{port}", f"http://127.0.0.1:{port}/under/it":
            self.assertEqual(svcmirror("links", "--address", address).returncode, 1, address)


class Watching(unittest.TestCase):
    def setUp(self):
        self.said = {name: list(records) for name, records in AGENT.items()}
        self.failing, self.lock, self.command = None, threading.Lock(), None
        self.server = Server(self.answer)

    def answer(self, path, query):
        with self.lock:
            return self.failing or (200, self.said[path.rsplit("/", 1)[1]])

    def say(self, **lists):
        with self.lock:
            self.said.update(lists)

    def tearDown(self):
        if self.command is not None:
            self.command.kill()
            self.command.communicate()
        self.server.close()

    def watch(self, *argv):
        self.out, self.err = [], []
        self.command = subprocess.Popen([BINARY, *argv, "--watch", "--address", self.server.url], text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, env=CLEAN)
        for stream, lines in (self.command.stdout, self.out), (self.command.stderr, self.err):
            threading.Thread(target=lambda s=stream, l=lines: [l.append(line.rstrip("\n")) for line in s], daemon=True).start()

    def rounds(self, count=2):
        """Until it has certainly asked again."""
        seen = len(self.server.requests)
        wait_until(lambda: len(self.server.requests) >= seen + count, what="the next rounds")

    def end(self, signo=signal.SIGINT):
        self.command.send_signal(signo)
        self.assertEqual(self.command.wait(30), 130)

    def test_lines_come_as_things_change_and_not_otherwise(self):
        self.watch("links")
        wait_until(lambda: len(self.out) == 3, what="the table")
        self.say(links=[link("east", eventAgeMs=99000), link("west", held=False)])  # an age is no news
        self.rounds()
        self.assertEqual(len(self.out), 3)
        self.say(links=[link("east"), link("west", held=False, apiReachable=False, problem="connection refused")])
        wait_until(lambda: len(self.out) == 4, what="the line")
        self.assertEqual(rows(self.out[3]), [["west", "Link/west", "False", "True", "1s", "1/2", "svcmirror-a", "connection refused"]])
        self.assertEqual(self.out[3].index("Link/west"), self.out[0].index("LINK"), "below its heading")
        self.say(links=[link("east")])
        wait_until(lambda: self.err, what="the word that one is gone")
        self.assertEqual(self.err, ["svcmirror links: gone: west Link linkerd-multicluster west"])
        self.end()
        self.assertEqual(len(self.out), 4)

    def test_an_agent_that_goes_away_is_told_once_and_asked_again(self):
        self.watch("services", "-o", "wide", "--cluster-name", "west")
        wait_until(lambda: len(self.out) == 2, what="the table")
        self.failing = 503, "stopping"
        self.rounds(3)
        self.assertEqual(len(self.err), 1, self.err)
        self.assertIn("status 503", self.err[0])
        self.failing = None
        self.say(services=[service("west", "web", readyEndpoints=2)])
        wait_until(lambda: len(self.out) == 3, what="the line")
        self.assertIn("2/2", self.out[2])
        self.end(signal.SIGTERM)

    def test_documents(self):
        self.watch("gateways", "-o", "json", "--cluster-name", "west")
        wait_until(lambda: self.out and self.out[-1] == "}", what="the first document")
        first = json.loads("\n".join(self.out))
        self.assertEqual(first["verdict"], "dead")
        count = len(self.out)
        self.say(gateways=[{**gateway("west", "dead"), "addresses": [{"ip": "192.0.2.1", "verdict": "dead", "probes": 1}]}])
        wait_until(lambda: len(self.out) > count and self.out[-1] == "}", what="the document with the address")
        count = len(self.out)
        self.say(gateways=[{**gateway("west", "dead"), "addresses": [{"ip": "192.0.2.1", "verdict": "dead", "probes": 2}]}])
        self.rounds()
        self.assertEqual(len(self.out), count, "a probe is no news")
        self.say(gateways=[gateway("west")])
        wait_until(lambda: len(self.out) > count and self.out[-1] == "}", what="the second document")
        self.assertEqual(json.loads("\n".join(self.out[count:]))["verdict"], "alive")
        self.end()

    def test_status_in_yaml(self):
        self.watch("status", "-o", "yaml", "--cluster-name", "west")
        wait_until(lambda: any("dead" in line for line in self.out), what="the first document")
        self.say(gateways=[gateway("west", latency=9)])
        wait_until(lambda: "latencyMs: 9" in self.out, what="the second document")
        self.assertEqual((self.out.count("---"), self.out[0]), (1, "clusterName: west"))
        self.end()


def pod(name, phase="Running", port=None, **more):
    ports = [{"name": "http", "containerPort": 80}, {"name": "svcmirror-admin", "containerPort": port}] if port else []
    return {"metadata": {"name": name, **more}, "spec": {"containers": [{"ports": ports}]}, "status": {"phase": phase}}


class FromTheApi(unittest.TestCase):
    BASE = "/api/v1/namespaces/linkerd-multicluster"
    LINKS = "/apis/multicluster.linkerd.io/{}/namespaces/linkerd-multicluster/links"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.answers = {}
        self.server = Server(lambda path, query: self.answers.get(path, status_object(404, "NotFound", f"{path} not found")))

    def tearDown(self):
        self.server.close()
        self.folder.cleanup()

    def ask(self, *argv):
        return svcmirror(*argv, "--kubeconfig", self.server.kubeconfig(self.folder.name))

    def lists(self, path, *items):
        self.answers[path] = 200, {"metadata": {}, "items": list(items)}

    def replica(self, pod_port, **lists):
        for name, records in lists.items():
            self.answers[f"{self.BASE}/pods/{pod_port}/proxy/api/v1/{name}"] = 200, records

    def two_replicas(self):
        self.lists(f"{self.BASE}/pods", pod("a"), pod("b", port=7777), pod("c", "Pending"), pod("d", deletionTimestamp="2026-08-21T10:00:00Z"))
        self.replica("a:9999", links=[link("east"), link("west", held=False, holder="b"), link("new", held=False, holder=None)],
                     services=[service("east", "of-a"), service("west", "of-a"), service("new", "of-a"), service(None, "of-a")],
                     gateways=[gateway("east"), gateway("west", "dead")])
        self.replica("b:7777", links=[link("east", held=False), link("west", holder="b"), link("new", held=False, holder=None)],
                     services=[service("east", "of-b"), service("west", "of-b"), service("new", "of-b"), service(None, "of-b")],
                     gateways=[gateway("east", "unknown"), gateway("west")])

    def test_the_leader_of_each_link_answers_for_it(self):
        self.two_replicas()
        result = self.ask("links", "-o", "json")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual([(e["clusterName"], e["held"]) for e in json.loads(result.stdout)], [("east", True), ("new", False), ("west", True)])
        entries = json.loads(self.ask("services", "-o", "json").stdout)
        self.assertEqual({e["clusterName"]: e["name"] for e in entries}, {"east": "of-a", "west": "of-b", "new": "of-a", None: "of-a"})
        self.assertEqual(len(entries), 4)
        self.assertEqual([(e["clusterName"], e["verdict"]) for e in json.loads(self.ask("gateways", "-o", "json").stdout)],
                         [("east", "alive"), ("west", "alive")])

    def test_a_replica_that_does_not_answer_is_left_out(self):
        self.two_replicas()
        for path in [path for path in self.answers if "b:7777" in path]:
            del self.answers[path]
        entries = json.loads(self.ask("services", "-o", "json").stdout)
        self.assertEqual({e["name"] for e in entries}, {"of-a"})
        self.assertEqual(len(entries), 4)

    def test_whoever_may_not_ask_pods_asks_the_service(self):
        self.answers[f"{self.BASE}/services/svcmirror:admin/proxy/api/v1/links"] = 200, [link("east")]
        for pods in [status_object(403, "Forbidden", "no pods"), (200, {"items": [pod("a"), pod("b")]}), (200, {"items": [pod("a")]})]:
            self.answers[f"{self.BASE}/pods"] = pods
            result = self.ask("links")
            self.assertEqual((result.returncode, result.stderr, len(result.stdout.splitlines())), (0, "", 2))

    def mirror(self, name, cluster, namespace="demo", labels=None, annotations=None, **spec):
        return {"metadata": {"name": name, "namespace": namespace, "annotations": annotations or {},
                             "labels": {"mirror.linkerd.io/mirrored-service": "true", "mirror.linkerd.io/cluster-name": cluster, **(labels or {})}},
                "spec": spec}

    def what_the_api_holds(self):
        gateway_labels = {"mirror.linkerd.io/remote-gateway-name": "ambassador", "mirror.linkerd.io/remote-gateway-ns": "edge"}
        self.lists("/api/v1/services",
                   self.mirror("web-east", "east", labels=gateway_labels,
                               annotations={"mirror.linkerd.io/remote-svc-fq-name": "web.theirs.svc.cluster.local"}),
                   self.mirror("flat-east", "east", labels={"multicluster.linkerd.io/remote-discovery": "east"}),
                   self.mirror("gateway-east", "east", "linkerd-multicluster", labels={"mirror.linkerd.io/mirrored-gateway": "true"}))
        self.lists("/apis/discovery.k8s.io/v1/endpointslices",
                   {"metadata": {"name": "x", "namespace": "demo", "labels": {"kubernetes.io/service-name": "web-east"}},
                    "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": False}}, {"addresses": ["192.0.2.2"]}]})
        self.lists("/apis/discovery.k8s.io/v1/namespaces/linkerd-multicluster/endpointslices")
        self.lists(self.LINKS.format("v1alpha2"), {"metadata": {"name": "east", "namespace": "linkerd-multicluster"},
                                                    "spec": {"targetClusterName": "east", "targetClusterDomain": "cluster.local"}})
        self.lists("/apis/coordination.k8s.io/v1/namespaces/linkerd-multicluster/leases",
                   {"metadata": {"name": "service-mirror-write-east"}, "spec": {"holderIdentity": "a_1"}},
                   {"metadata": {"name": "service-mirror-write-old"}, "spec": {"holderIdentity": ""}})
        self.lists(f"{self.BASE}/secrets", {
            "metadata": {"name": "cluster-credentials-old", "namespace": "linkerd-multicluster",
                         "annotations": {"mirror.linkerd.io/cluster-name": "old", "mirror.linkerd.io/remote-cluster-domain": "cluster.local"}}},
            {"metadata": {"name": "cluster-credentials-east", "namespace": "linkerd-multicluster"}})

    def test_links_without_an_agent(self):
        self.what_the_api_holds()
        result = self.ask("links")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(rows(result.stdout)[1:], [["east", "Link/east", "-", "-", "-", "2/?", "a_1", "-"],
                                                   ["old", "Secret/cluster-credentials-old", "-", "-", "-", "0/?", "-", "-"]])
        self.assertIn("no agent answers", result.stderr)
        self.assertIn("This is what the API holds", result.stderr)
        asked = dict(self.server.requests)[f"{self.BASE}/secrets"]
        self.assertEqual(asked, {"fieldSelector": "type=mirror.linkerd.io/remote-kubeconfig"})

    def test_services_without_an_agent(self):
        self.what_the_api_holds()
        entries = json.loads(self.ask("services", "-o", "json").stdout)
        self.assertEqual([(e["namespace"], e["name"], e["mirror"], e["mode"], e["gateway"], e["readyEndpoints"], e["endpoints"]) for e in entries],
                         [(None, None, "demo/flat-east", "remote-discovery", None, 0, 0),
                          ("theirs", "web", "demo/web-east", "gateway", "edge/ambassador", 1, 2)])

    def test_status_without_an_agent(self):
        self.what_the_api_holds()
        result = self.ask("status")
        self.assertEqual(rows(result.stdout)[1][:7], ["east", "-", "-", "0/1", "-", "2/?", "1/2"])
        self.assertEqual(result.stderr.count("no agent answers"), 1)

    def test_what_may_not_be_read(self):
        self.what_the_api_holds()
        for path in f"{self.BASE}/secrets", "/apis/coordination.k8s.io/v1/namespaces/linkerd-multicluster/leases":
            self.answers[path] = status_object(403, "Forbidden", "not for you")
        result = self.ask("links")
        self.assertEqual((result.returncode, rows(result.stdout)[1][:2], len(result.stdout.splitlines())), (0, ["east", "Link/east"], 2))
        for status, reason in (403, "Forbidden"), (401, "Unauthorized"):
            self.answers["/api/v1/services"] = status_object(status, reason, "list services: not for you")
            for command in "links", "services", "status":
                result = self.ask(command)
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertIn("not for you", result.stderr)

    def test_no_api_server(self):
        self.server.close()
        try:
            result = self.ask("status")
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn("Connection refused", result.stderr)
        finally:
            self.server = Server(lambda path, query: None)


if __name__ == "__main__":
    unittest.main()
