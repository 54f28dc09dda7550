"""`svcmirror edge-stack prepare` against servers of its own: what is wrong, missing or in the way, and who is asked."""
import signal
import subprocess
import tempfile
import threading
import unittest

from program import BINARY, CLEAN, Server, free_port, status_object, svcmirror, wait_until

PREPARE = ("edge-stack", "prepare")
SELECTOR = {"app.kubernetes.io/name": "emissary-ingress"}


FALLBACK = "/api/v1/namespaces/emissary/secrets/fallback-self-signed-cert"


def target(path, services=1, hosts=(), forbidden=None, fallback=404):
    """The answers of a cluster with Emissary 4. `fallback`: the status for the Secret of that name."""
    if forbidden is not None and path.endswith(forbidden):
        return status_object(403, "Forbidden", f'{forbidden} is forbidden: User "jane" cannot list them')
    meta = {"namespace": "emissary", "uid": "1", "resourceVersion": "7"}
    if path == "/api/v1/services":
        return 200, {"items": [{"metadata": {**meta, "name": f"ingress-{i}", "labels": {"app.kubernetes.io/component": "ambassador-service"}},
                                "spec": {"type": "LoadBalancer", "selector": SELECTOR, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}
                               for i in range(services)]}
    if path.endswith("/deployments"):
        return 200, {"items": [{"metadata": {**meta, "name": "ingress"},
                                "spec": {"template": {"metadata": {"labels": SELECTOR}, "spec": {"containers": [{"name": "aes"}]}}}}]}
    if path.endswith("/linkerd-config"):
        return 200, {"metadata": {"name": "linkerd-config", "namespace": "linkerd"}, "data": {"values": "identityTrustDomain: east.example\n"}}
    if path == "/apis/getambassador.io":
        return 200, {"versions": [{"version": "v3alpha1"}]}
    if path == "/apis/getambassador.io/v3alpha1":
        return 200, {"groupVersion": "getambassador.io/v3alpha1", "resources": [{"kind": k} for k in ("Module", "Host", "Listener", "Mapping")]}
    if path.endswith("/hosts"):
        return 200, {"items": [{"kind": "Host", "metadata": {**meta, "name": h}, "spec": {"hostname": "*"}} for h in hosts]}
    if path == FALLBACK:
        return (200, {"kind": "Secret"}) if fallback == 200 else status_object(fallback, "No", "no")
    return 200, {"items": []}


class Prepare(unittest.TestCase):
    def ask(self, *argv, answer=None, **cluster):
        self.server = Server(answer or (lambda path, query: target(path, **cluster)))
        try:
            with tempfile.TemporaryDirectory() as folder:
                return svcmirror(*PREPARE, "--kubeconfig", self.server.kubeconfig(folder), *argv)
        finally:
            self.server.close()

    def test_a_wrong_command_line_does_nothing(self):
        for argv, words in [(["--gateway-service=edge-stack"], "NAMESPACE/NAME"), (["--gateway-service=/x"], "NAMESPACE/NAME"),
                            (["--probe-port=0"], "port"), (["--probe-port=65536"], "port"), (["--probe-port=4143"], "mc-gateway"), (["--probe-path=/"], "path"),
                            (["--probe-path=/ready/"], '"/ready/" is no path to probe: write one like /ready, with no blank in it and no slash at its end'),
                            (["--probe-path=/a b"], "path"), (["--probe-period=0"], "period"), (["--trust-domain=Not_One"], "domain"),
                            (["--output=table"], "diff|json|helm-values"), (["-n", "Not_One"], "no name of a namespace"),
                            (["-n", "edge", "--gateway-service", "edge-stack/web"], "contradict each other"),
                            (["--undo", "-o", "helm-values"], "no Helm values"), (["--undo", "--probe-port=4200"], "--probe-port is what to set"),
                            (["--undo", "--patch-host"], "--patch-host is what to set"), (["extra"], "extra"),
                            (["--yes", "-o", "json"], "only prints, and --yes asks for more"), (["--undo", "--yes", "-o", "json"], "--yes"),
                            (["--yes", "-o", "helm-values"], "--yes"), (["--dry-run=server", "-o", "json"], "--dry-run=server")]:
            result = svcmirror(*PREPARE, *argv)
            self.assertEqual((result.returncode, result.stdout), (2, ""), argv)
            self.assertIn(words, result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_the_changes_are_shown_and_nobody_to_ask_means_no(self):
        result = self.ask()
        self.assertEqual(result.returncode, 1)
        self.assertIn("change Service emissary/ingress-0\n", result.stdout)
        self.assertIn('+ spec.ports: {"name":"mc-probe","port":4191,"protocol":"TCP","targetPort":8080}', result.stdout)
        self.assertIn("nothing was changed: say --yes", result.stderr)
        self.assertIn("default.emissary.serviceaccount.identity.linkerd.east.example", result.stdout)

    def test_a_client_s_dry_run_and_helm_values_write_nothing(self):
        for argv in (["--dry-run=client"], ["-o", "helm-values"], ["-o", "json"]):
            result = self.ask(*argv)  # the server knows GET alone: a write would fail
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("mc-gateway", result.stdout)

    def test_an_obstacle_is_told_before_anything_is_written(self):
        result = self.ask("--yes", hosts=["zzz"])
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("obstacle: Host emissary/zzz decides for every name", result.stderr)
        self.assertIn("nothing was changed: remove the obstacles first", result.stderr)

    def test_what_cleartext_met_before_is_told_by_a_secret(self):
        for status, words in ((404, "is routed, as it was: there is no Secret fallback-self-signed-cert"),
                              (200, "is routed, where it was redirected to https, because of Secret fallback-self-signed-cert"),
                              (403, "unless Secret fallback-self-signed-cert is there, which you may not read")):
            result = self.ask("--dry-run=client", fallback=status)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(words, result.stderr)
            self.assertEqual(self.server.requests.count((FALLBACK, {})), 1)
        failed = self.ask("--dry-run=client", fallback=400)
        self.assertEqual((failed.returncode, failed.stdout), (1, ""))
        self.assertIn("fallback-self-signed-cert", failed.stderr)
        for argv, hosts in ((["--undo", "--yes"], ()), (["--dry-run=client", "--patch-host"], ["zzz"])):
            result = self.ask(*argv, hosts=hosts, fallback=200)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertNotIn((FALLBACK, {}), self.server.requests, "a Secret that decides nothing is not read")

    def test_none_and_several_are_told_apart(self):
        none, several = self.ask("--yes", services=0), self.ask("--yes", services=2)
        self.assertEqual((none.returncode, several.returncode), (1, 1))
        self.assertIn("no Service has the label", none.stderr)
        self.assertIn("emissary/ingress-0 emissary/ingress-1; name one with --gateway-service", several.stderr)

    def test_only_one_namespace_is_looked_in(self):
        found = self.ask("-n", "emissary", "--dry-run=client", services=2)  # both are elsewhere, for this server
        self.assertIn("no Service in namespace emissary has the label", found.stderr)
        self.assertIn("/api/v1/namespaces/emissary/services", [path for path, _ in self.server.requests])
        self.assertNotIn("/api/v1/services", [path for path, _ in self.server.requests])

    def test_a_cluster_without_edge_stack(self):
        result = self.ask("--yes", answer=lambda path, query: status_object(404, "NotFound", "not found") if "getambassador" in path else target(path))
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("no resource types of Edge Stack or Emissary", result.stderr)

    def test_a_missing_right_is_named(self):
        for kind in ("services", "deployments", "hosts", "linkerd-config"):
            result = self.ask("--yes", forbidden=kind)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn("403 Forbidden", result.stderr)
            self.assertIn("jane", result.stderr)

    def test_a_server_that_is_not_there(self):
        self.server = Server(lambda path, query: None)
        self.server.close()
        with tempfile.TemporaryDirectory() as folder:
            self.server.url = f"http://127.0.0.1:{free_port()}"
            result = svcmirror(*PREPARE, "--yes", "--kubeconfig", self.server.kubeconfig(folder))
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("nothing was changed", result.stderr)
        self.assertIn("in cluster lab", result.stderr)

    def test_each_object_is_written_over_the_version_that_was_read_and_under_a_name_of_its_own(self):
        result = self.ask("--yes", "--dry-run=server")
        self.assertEqual(result.returncode, 0, result.stderr)
        kinds = [(method, body["kind"], body["metadata"].get("resourceVersion")) for method, _, _, body in self.server.writes]
        self.assertEqual(kinds, [("POST", "Module", None), ("POST", "Listener", None), ("POST", "Host", None), ("POST", "Mapping", None),
                                 ("PUT", "Deployment", "7"), ("PUT", "Service", "7")])
        for _, _, query, _ in self.server.writes:
            self.assertEqual((query["fieldManager"], query["dryRun"]), ("svcmirror-edge-stack", "All"))
        self.assertIn("service/ingress-0 configured (server dry run)\n", result.stdout)

    def test_somebody_changed_an_object_meanwhile(self):
        def answer(path, query):
            return status_object(409, "Conflict", "the object has been modified") if path.endswith("/deployments/ingress") else target(path)
        result = self.ask("--yes", answer=answer)
        self.assertEqual(result.returncode, 1)
        self.assertIn("mapping.getambassador.io/public-health-check created\n", result.stdout)
        self.assertNotIn("service/ingress-0 configured", result.stdout)
        self.assertIn("somebody changed it meanwhile", result.stderr)
        self.assertIn("what was done is on stdout", result.stderr)

    def test_interrupted_half_way_it_says_what_was_done(self):
        self.interrupt("/deployments/ingress", "mapping.getambassador.io/public-health-check created\n", "what was done is on stdout")

    def test_interrupted_while_it_reads_it_has_done_nothing(self):
        self.interrupt("/hosts", "", "nothing was changed")

    def interrupt(self, held, done, words):
        """Ctrl-C while the server holds the request for that path."""
        asked = threading.Event()

        def answer(path, query):
            if not path.endswith(held):
                return target(path)
            asked.set()
            return None
        server = Server(answer)
        try:
            with tempfile.TemporaryDirectory() as folder:
                process = subprocess.Popen([BINARY, *PREPARE, "--yes", "--kubeconfig", server.kubeconfig(folder)], text=True, env=CLEAN,
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                wait_until(asked.is_set, what=f"the request for {held}")
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=20)
        finally:
            server.close()
        self.assertEqual(process.returncode, 130, err)
        self.assertTrue(out.endswith(done) if done else out == "", out)
        self.assertIn(words, err)


SERVICE = "/api/v1/namespaces/emissary/services/ingress-0"
READY = "Ambassador is ready and waiting\n"


def prepared(ingress, port, **spec):
    """The Service as the API server gives it once it is prepared. `ingress`: what its load balancer tells."""
    return {"metadata": {"namespace": "emissary", "name": "ingress-0", "annotations": {"mirror.linkerd.io/probe-path": "/-/ambassador/ready"}},
            "spec": {"ports": [{"name": "mc-probe", "port": port}], **spec}, "status": {"loadBalancer": {"ingress": ingress}}}


class Probe(unittest.TestCase):
    """What comes after the changes: the Service's address, and an answer there."""

    def start(self, service, *argv):
        """`service`: gives the Service each time it is asked for, beginning with 0."""
        self.asked = 0

        def answer(path, query):
            if path != SERVICE or "fieldManager" in query:
                return target(path)
            self.asked += 1
            return 200, service(self.asked - 1)
        server, folder = Server(answer), tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.addCleanup(server.close)
        return subprocess.Popen([BINARY, *PREPARE, "--yes", "--kubeconfig", server.kubeconfig(folder.name), *argv], text=True, env=CLEAN,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def end(self, process, code):
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, code, out + err)
        return out.splitlines()[-1], err.splitlines()

    def test_external_ips_are_no_address_that_anybody_uses(self):
        _, err = self.end(self.start(lambda n: prepared([], 80, externalIPs=["192.0.2.1"]), "--wait=1s"), 1)
        self.assertIn("waiting for an external address of Service emissary/ingress-0", err[-2])
        self.assertIn("has no external address yet", err[-1])
        self.assertIn("link --gateway-addresses", err[-1])

    def test_a_name_is_waited_for_until_it_resolves(self):
        gateway = Server(lambda path, query: (200, READY))
        self.addCleanup(gateway.close)
        port = int(gateway.url.rsplit(":", 1)[1])
        names = ["new.onion", "new.onion", "localhost"]  # no name server is asked for names below onion (RFC 7686)
        out, err = self.end(self.start(lambda n: prepared([{"hostname": names[min(n, 2)]}], port)), 0)
        self.assertRegex(out, rf"^\S+ port {port} answers /-/ambassador/ready: OK$")
        self.assertEqual([line for line in err if "waiting" in line],
                         ["svcmirror edge-stack prepare: waiting until new.onion resolves, the address of Service emissary/ingress-0"])
        self.assertEqual(self.asked, 3)
        self.assertEqual(gateway.hosts, [f"localhost:{port}"], "as an agent sends it")

    def test_a_name_that_never_resolves(self):
        _, err = self.end(self.start(lambda n: prepared([{"hostname": "never.onion"}], 80), "--wait=1s"), 1)
        self.assertRegex(err[-1], "the objects are as they should be, but the address of Service emissary/ingress-0: resolve never.onion: ")
        self.assertGreater(self.asked, 1)

    def test_interrupted_while_it_waits(self):
        for ingress in ([], [{"hostname": "never.onion"}]):
            process = self.start(lambda n, ingress=ingress: prepared(ingress, 80), "--wait=1h")
            wait_until(lambda: self.asked > 1, what="a second look")
            process.send_signal(signal.SIGINT)
            self.end(process, 130)


if __name__ == "__main__":
    unittest.main()
