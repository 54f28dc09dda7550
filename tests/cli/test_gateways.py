"""`svcmirror gateways` against agents and API servers that say what a test wants."""
import json
import re
import tempfile
import unittest

from program import Server, free_port, status_object, svcmirror


def gateway(cluster, verdict="alive", **more):
    alive = verdict == "alive"
    return {"clusterName": cluster, "alive": alive, "numberOfServices": 12, "latency": 3 if alive else None, "verdict": verdict,
            "reason": "OK" if alive else "ConnectionRefused", "advice": None if alive else "nothing listens there",
            "since": "2026-08-21T10:00:00.000000Z", "gatewayNamespace": "ambassador", "gatewayName": "ambassador",
            "addresses": [{"ip": "192.0.2.10", "verdict": verdict}, {"ip": "2001:db8::1", "verdict": "dead"}], **more}


class FromAnAgent(unittest.TestCase):
    def ask(self, answer, *argv, timeout=60):
        self.server = Server(lambda path, query: answer() if callable(answer) else answer)
        try:
            return svcmirror("gateways", "--address", self.server.url, *argv, timeout=timeout)
        finally:
            self.server.close()

    def test_table(self):
        result = self.ask((200, [gateway("west", "dead"), gateway("a-cluster-with-a-longer-name"), gateway("new", "unknown")]))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout, "CLUSTER                       ALIVE    NUM_SVC  LATENCY\n"
                                        "a-cluster-with-a-longer-name  True          12      3ms\n"
                                        "new                           Unknown       12        -\n"
                                        "west                          False         12        -\n")
        self.assertEqual(self.server.requests, [("/api/v1/gateways", {})])

    def test_wide(self):
        result = self.ask((200, [gateway("east"), gateway("old", "dead", gatewayName=None, addresses=[], since=None)]), "-o", "wide")
        rows = [re.split(r" {2,}", line) for line in result.stdout.splitlines()]
        self.assertEqual(rows, [
            ["CLUSTER", "ALIVE", "NUM_SVC", "LATENCY", "GATEWAY", "ADDRESSES", "REASON", "SINCE"],
            ["east", "True", "12", "3ms", "ambassador/ambassador", "192.0.2.10(alive),2001:db8::1(dead)", "OK", "2026-08-21T10:00:00.000000Z"],
            ["old", "False", "12", "-", "-", "-", "ConnectionRefused", "-"]])

    def test_json_is_what_the_agent_said_in_order(self):
        said = [gateway("west"), gateway("east", "dead")]
        result = self.ask((200, said), "-ojson")
        self.assertEqual(json.loads(result.stdout), said[::-1])
        self.assertEqual(list(json.loads(result.stdout)[0])[:4], ["clusterName", "alive", "numberOfServices", "latency"])

    def test_yaml(self):
        result = self.ask((200, [gateway("east", "dead")]), "-o", "yaml")
        self.assertEqual(result.stdout, "- clusterName: east\n  alive: false\n  numberOfServices: 12\n  latency: null\n  verdict: dead\n"
                                        "  reason: ConnectionRefused\n  advice: \"nothing listens there\"\n"
                                        "  since: \"2026-08-21T10:00:00.000000Z\"\n  gatewayNamespace: ambassador\n  gatewayName: ambassador\n"
                                        "  addresses:\n  - ip: \"192.0.2.10\"\n    verdict: dead\n  - ip: \"2001:db8::1\"\n    verdict: dead\n")

    def test_only_one_cluster(self):
        result = self.ask((200, [gateway("west"), gateway("east")]), "--cluster-name", "east")
        self.assertEqual([line.split()[0] for line in result.stdout.splitlines()], ["CLUSTER", "east"])
        result = self.ask((200, [gateway("west")]), "--cluster-name", "nowhere", "-o", "json")
        self.assertEqual((result.returncode, result.stdout), (0, "[]\n"))
        self.assertIn("cluster nowhere has no gateway", result.stderr)

    def test_no_gateway(self):
        for form, printed in [("table", "CLUSTER  ALIVE  NUM_SVC  LATENCY\n"), ("json", "[]\n"), ("yaml", "[]\n")]:
            result = self.ask((200, []), "-o", form)
            self.assertEqual((result.returncode, result.stdout), (0, printed))
            self.assertIn("there is no gateway", result.stderr)

    def test_text_from_clusters_controls_no_terminal(self):
        result = self.ask((200, [gateway("east\x1b[2J\nwest \u009b31m", reason="\x07")]), "-o", "wide")
        self.assertNotRegex(result.stdout, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        self.assertEqual(result.stdout.count("\n"), 2)

    def test_answers_that_are_none(self):
        for answer, words in [((200, "<html>"), "is not JSON"), ((200, {"kind": "Status"}), "no list of gateways"),
                              ((404, "nothing"), "status 404"), ((200, ""), "is not JSON")]:
            result = self.ask(answer)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn(words, result.stderr)

    def test_entries_that_are_none(self):
        result = self.ask((200, [1, None, {}, {"clusterName": 7, "alive": "yes", "addresses": {}, "latency": "x"}]), "-o", "wide")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(len(result.stdout.splitlines()), 5)

    def test_nobody_answers(self):
        result = svcmirror("gateways", "--address", f"127.0.0.1:{free_port()}")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertRegex(result.stderr, r"^svcmirror gateways: http://127.0.0.1:\d+: Connection refused: is the agent running there")

    def test_an_address_may_end_in_a_slash_and_lack_its_scheme(self):
        server = Server(lambda path, query: (200, [gateway("east")]))
        for address in [server.url + "/", server.url.removeprefix("http://")]:
            self.assertEqual(svcmirror("gateways", "--address", address).returncode, 0)
        self.assertEqual({path for path, _ in server.requests}, {"/api/v1/gateways"})
        server.close()

    def test_wait_until_alive(self):
        states = [(503, "not yet"), (200, []), (200, [gateway("east", "unknown")]), (200, [gateway("east", "dead"), gateway("west")]),
                  (200, [gateway("east"), gateway("west")])]
        result = self.ask(lambda: states.pop(0) if len(states) > 1 else states[0], "--wait", "30s")
        self.assertEqual(result.returncode, 0)
        self.assertEqual(len(result.stdout.splitlines()), 3)
        lines = result.stderr.splitlines()
        for line, words in zip(lines, ["status 503", "there is no gateway yet", "cluster east is not probed yet",
                                       "cluster east is dead: ConnectionRefused: nothing listens there"]):
            self.assertTrue(line.startswith("svcmirror gateways: waiting: ") and words in line, line)
        self.assertEqual(len(lines), 4)

    def test_wait_for_one_cluster_only(self):
        result = self.ask((200, [gateway("east"), gateway("west", "dead")]), "--wait", "10s", "--cluster-name", "east")
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_wait_comes_to_an_end(self):
        result = self.ask((200, [gateway("east", "dead")]), "--wait", "3s")
        self.assertEqual(result.returncode, 1)
        self.assertIn("east", result.stdout)
        self.assertIn("after 3s: the gateway of cluster east is dead: ConnectionRefused: nothing listens there", result.stderr)

    def test_the_last_answer_counts_when_the_last_question_is_cut_short(self):
        asked = []

        def answer():
            asked.append(True)
            return (200, [gateway("east", "dead")]) if len(asked) == 1 else None
        result = self.ask(answer, "--wait", "4s")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(asked), 2)
        self.assertRegex(result.stdout, r"\neast +False")
        self.assertIn("after 4s: the gateway of cluster east is dead", result.stderr)

    def test_wait_ends_although_nothing_is_answered(self):
        result = self.ask(lambda: None, "--wait", "1s")  # ends well before ask()'s own patience
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("after 1s: ", result.stderr)

    def test_waiting_and_watching_contradict_each_other(self):
        result = svcmirror("gateways", "--wait", "1s", "--watch")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertIn("choose one", result.stderr)


def mirror(name, cluster, gateway_name=None, **more):
    labels = {"mirror.linkerd.io/mirrored-service": "true", "mirror.linkerd.io/cluster-name": cluster}
    if gateway_name:
        labels.update({"mirror.linkerd.io/remote-gateway-name": gateway_name, "mirror.linkerd.io/remote-gateway-ns": "ambassador"})
    return {"metadata": {"name": name, "namespace": "default", "labels": labels, **more}}


def gateway_mirror(name, cluster, remote=None, namespace="linkerd-multicluster", manager="svcmirror"):
    one = mirror(name, cluster, namespace=namespace, managedFields=[{"manager": manager}])
    one["metadata"]["labels"]["mirror.linkerd.io/mirrored-gateway"] = "true"
    if remote:
        one["metadata"]["annotations"] = {"mirror.linkerd.io/mirrored-gateway-remote-name": remote,
                                          "mirror.linkerd.io/mirrored-gateway-remote-namespace": "ambassador"}
    return one


def slice_of(service, *ready):
    return {"metadata": {"name": f"{service}-{len(ready)}", "labels": {"kubernetes.io/service-name": service}},
            "endpoints": [{"addresses": [f"192.0.2.{i}"], "conditions": {} if r is None else {"ready": r}} for i, r in enumerate(ready)]}


class FromTheApi(unittest.TestCase):
    """Without --address."""

    PROXY = "/api/v1/namespaces/linkerd-multicluster/services/svcmirror:admin/proxy/api/v1/gateways"
    PODS = "/api/v1/namespaces/linkerd-multicluster/pods"
    SERVICES = [
        mirror("web-east", "east", "ambassador"), gateway_mirror("ambassador-east", "east", "ambassador"), mirror("api-east", "east", "ambassador"),
        mirror("other-east", "east", "other"), gateway_mirror("other-east-gateway", "east", "other"), mirror("web-west", "west"),
        gateway_mirror("probe-gateway-west", "west"), gateway_mirror("foreign", "north", namespace="elsewhere"),
        gateway_mirror("ambassador-south", "south", "ambassador"), mirror("broken", None)]
    SLICES = [slice_of("ambassador-east", False), slice_of("ambassador-east", False, True), slice_of("other-east-gateway", False),
              slice_of("probe-gateway-west", None), {"metadata": {}}]

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.proxy = status_object(404, "NotFound", 'services "svcmirror" not found')
        self.services, self.mirror_slices = self.SERVICES, []
        self.server = Server(self.answer)

    def tearDown(self):
        self.server.close()
        self.folder.cleanup()

    def answer(self, path, query):
        if path == self.PROXY:
            return self.proxy
        if path == "/api/v1/services":
            assert query["labelSelector"] == "mirror.linkerd.io/mirrored-service=true"
            if isinstance(self.services, tuple):
                return self.services
            begin = int(query.get("continue", "0 +/=").split(" ")[0])  # pages of three, whatever the limit
            token = {"continue": f"{begin + 3} +/="} if begin + 3 < len(self.services) else {}
            return 200, {"kind": "ServiceList", "metadata": token, "items": self.services[begin:begin + 3]}
        if path == "/apis/discovery.k8s.io/v1/endpointslices":
            assert query["labelSelector"] == "mirror.linkerd.io/mirrored-service=true,endpointslice.kubernetes.io/managed-by=svcmirror"
            return 200, {"kind": "EndpointSliceList", "metadata": {}, "items": self.mirror_slices}
        if path == "/apis/discovery.k8s.io/v1/namespaces/linkerd-multicluster/endpointslices":
            return 200, {"kind": "EndpointSliceList", "metadata": {}, "items": self.SLICES}
        return status_object(404, "NotFound", path)

    def ask(self, *argv):
        return svcmirror("gateways", "--kubeconfig", self.server.kubeconfig(self.folder.name), *argv)

    def test_through_the_proxy_of_the_api_server(self):
        self.proxy = 200, [gateway("east")]
        result = self.ask()
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"\neast +True +12 +3ms\n")
        self.assertEqual([path for path, _ in self.server.requests], [self.PODS, self.PROXY])

    def test_what_the_api_holds(self):
        result = self.ask("-o", "json")
        self.assertEqual(result.returncode, 0)
        self.assertIn('services "svcmirror" not found', result.stderr)
        self.assertIn("This is what the API holds", result.stderr)
        entries = json.loads(result.stdout)
        self.assertEqual([(e["clusterName"], e["verdict"], e["alive"], e["numberOfServices"], e.get("gatewayName")) for e in entries], [
            ("east", "alive", True, 2, "ambassador"), ("east", "dead", False, 1, "other"), ("south", "unknown", False, 0, "ambassador"),
            ("west", "alive", True, 1, None)])
        self.assertEqual(entries[0], {
            "clusterName": "east", "alive": True, "numberOfServices": 2, "latency": None, "verdict": "alive", "reason": None, "since": None,
            "gatewayNamespace": "ambassador", "gatewayName": "ambassador",
            "addresses": [{"ip": "192.0.2.0", "verdict": "dead"}, {"ip": "192.0.2.0", "verdict": "dead"}, {"ip": "192.0.2.1", "verdict": "alive"}],
            **dict.fromkeys(["advice", "problem", "warning", "linkKind", "linkName", "exists", "drained", "port", "identity", "probed", "probePort", "probePath",
                             "probePeriodMs", "probeTimeoutMs", "failureThreshold"])})

    def test_where_a_chart_has_the_name_the_mirrors_tell(self):
        """Linkerd's own Service for probing has endpoints that are always ready."""
        chart = [gateway_mirror("probe-west", "west", manager="helm"), mirror("web-west", "west"), mirror("db-0-west", "west")]

        def piece(cluster, *endpoints, **labels):
            return {"metadata": {"name": "x", "labels": {"mirror.linkerd.io/cluster-name": cluster, **labels}},
                    "endpoints": [{"addresses": [ip], "conditions": {"ready": ready}, **more} for ip, ready, more in endpoints]}
        hostname = ("10.96.0.9", True, {"hostname": "db-0"})
        for pieces, verdict, addresses in [
                ([], "unknown", {}), ([piece("west")], "unknown", {}), ([piece("west", hostname)], "unknown", {}),
                ([piece("west", ("192.0.2.1", False, {}))], "dead", {"192.0.2.1": "dead"}),
                ([piece("west", ("192.0.2.1", False, {})), piece("west", ("192.0.2.1", True, {}), ("192.0.2.2", False, {}))], "alive",
                 {"192.0.2.1": "alive", "192.0.2.2": "dead"}),
                ([piece("west", ("192.0.2.1", False, {})), piece("east", ("192.0.2.1", True, {}))], "dead", {"192.0.2.1": "dead"}),
                ([piece("west", ("192.0.2.1", True, {}), **{"mirror.linkerd.io/mirrored-gateway": "true"})], "unknown", {})]:
            self.services, self.mirror_slices = chart, pieces
            [entry] = json.loads(self.ask("-o", "json").stdout)
            self.assertEqual((entry["clusterName"], entry["verdict"], entry["numberOfServices"]), ("west", verdict, 2))
            self.assertEqual({a["ip"]: a["verdict"] for a in entry["addresses"]}, addresses)
        self.services = chart + [gateway_mirror("probe-gateway-west", "west")]
        [entry] = json.loads(self.ask("-o", "json").stdout)
        self.assertEqual(entry["verdict"], "alive", "one that has a mirror of its own is told by that")

    def test_its_table(self):
        self.assertEqual(self.ask().stdout, "CLUSTER  ALIVE    NUM_SVC  LATENCY\n"
                                            "east     True           2        -\n"
                                            "east     False          1        -\n"
                                            "south    Unknown        0        -\n"
                                            "west     True           1        -\n")

    def test_what_is_forbidden_is_named(self):
        self.services = status_object(403, "Forbidden", 'User "x" cannot list resource "services" at the cluster scope')
        result = self.ask()
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn('cannot list resource "services"', result.stderr)

    def test_another_namespace(self):
        result = self.ask("-n", "mesh")
        self.assertEqual(self.server.requests[1][0], self.PROXY.replace("linkerd-multicluster", "mesh"))
        self.assertEqual(result.returncode, 1)

    def test_the_fallback_is_told_once_while_waiting(self):
        self.services = [gateway_mirror("other-east-gateway", "east", "other")]
        result = self.ask("--wait", "4s")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stderr.count("what the API holds"), 1)
        self.assertIn("after 4s: the gateway of cluster east is dead", result.stderr)

    def test_no_kubeconfig(self):
        result = svcmirror("gateways")
        self.assertEqual(result.returncode, 1)
        self.assertIn("/nonexistent/.kube/config: No such file or directory: name one with --kubeconfig\n", result.stderr)
