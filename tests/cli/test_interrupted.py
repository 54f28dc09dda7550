"""Ctrl-C: a command says what it was about, and ends with 130."""
import base64
import json
import signal
import subprocess
import tempfile
import unittest

from program import BINARY, CLEAN, EmptyCluster, Server, wait_until


class Interrupted(unittest.TestCase):
    def interrupt(self, server, signo, *argv):
        command = subprocess.Popen([BINARY, *argv], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=CLEAN)
        try:
            wait_until(lambda: server.requests, what="the first request")
            command.send_signal(signo)
            output, errors = command.communicate(timeout=30)
        finally:
            command.kill()
            server.close()
        return command.returncode, output, errors

    def test_while_it_waits_for_a_gateway(self):
        dead = {"clusterName": "east", "alive": False, "verdict": "dead", "reason": "ConnectionRefused"}
        for signo in signal.SIGINT, signal.SIGTERM:
            server = Server(lambda path, query: (200, [dead]))
            status, output, errors = self.interrupt(server, signo, "gateways", "--address", server.url, "--wait", "60s")
            self.assertEqual((status, output), (130, ""))
            self.assertIn("interrupted", errors.splitlines()[-1])

    def test_while_nothing_is_answered(self):
        server = Server(lambda path, query: None)
        status, output, errors = self.interrupt(server, signal.SIGINT, "gateways", "--address", server.url, "--wait", "60s")
        self.assertEqual((status, output), (130, ""))
        self.assertIn("interrupted", errors)
        server = Server(lambda path, query: None)
        status, output, errors = self.interrupt(server, signal.SIGINT, "gateways", "--address", server.url)
        self.assertEqual((status, output), (130, ""))
        self.assertIn("interrupted", errors)

    def test_while_a_plan_waits_for_the_source(self):
        for words in ("plan",), ("why", "demo/web"):
            for signo in signal.SIGINT, signal.SIGTERM:
                with self.subTest(words=words, signo=signo), tempfile.TemporaryDirectory() as folder:
                    server = Server(lambda path, query: None)
                    status, output, errors = self.interrupt(server, signo, *words, "--kubeconfig", server.kubeconfig(folder), "--timeout", "60s")
                    self.assertEqual((status, output), (130, ""))
                    self.assertRegex(errors, rf"^svcmirror {words[0]}: interrupted while waiting: .+\n$")

    def test_while_a_plan_waits_for_a_target(self):
        for words in ("plan", "-o", "json"), ("why", "demo/web", "-o", "json"):
            with self.subTest(words=words), tempfile.TemporaryDirectory() as folder:
                target = Server(lambda path, query: None)
                source = LinkedCluster(target.url)
                try:
                    status, output, errors = self.interrupt(target, signal.SIGINT, *words, "--kubeconfig", source.kubeconfig(folder), "--timeout", "60s")
                finally:
                    source.close()
                self.assertEqual((status, output), (130, ""))
                self.assertRegex(errors, rf"^svcmirror {words[0]}: interrupted while waiting: (link east|source cluster): .+ not listed yet\n$")


class LinkedCluster(EmptyCluster):
    """An API server that holds nothing but the credentials of one target."""

    def __init__(self, url):
        super().__init__()
        config = {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}], "clusters": [{"name": "c", "cluster": {"server": url}}]}
        self.secret = {"type": "mirror.linkerd.io/remote-kubeconfig", "data": {"kubeconfig": base64.b64encode(json.dumps(config).encode()).decode()},
                       "metadata": {"name": "credentials-east", "namespace": "linkerd-multicluster", "uid": "s", "resourceVersion": "1",
                                    "annotations": {"mirror.linkerd.io/cluster-name": "east", "mirror.linkerd.io/remote-cluster-domain": "cluster.local",
                                                    "mirror.linkerd.io/remote-cluster-l5d-ns": "linkerd"}}}
        self.answer = self.answer_linked

    def answer_linked(self, path, query):
        if path.endswith("/secrets") and "watch" not in query:
            return 200, {"kind": "SecretList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": [self.secret]}
        return self.answer_empty(path, query)


if __name__ == "__main__":
    unittest.main()
