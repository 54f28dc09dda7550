"""Each command and each fault: wrong arguments, a cluster that is not there, a right that is missing, Ctrl-C. The exit code, and one line that says what it is."""
import unittest

from program import Server, status_object
from test_linking import NS, WithClusters

EAST = ("--cluster-name", "east", "--api-server-address", "https://192.0.2.1:6443")
REFUSED = r"http://127\.0\.0\.1:\d+: Connection refused; can this machine reach that server, and is context down the one that is meant\?"


class Faults(WithClusters):
    def told(self, words, code, pattern):
        """Exactly one line on stderr, and nothing on stdout."""
        with self.subTest(command=words):
            result = self.run_it(*words, code=code)
            self.assertEqual(result.stdout, "")
            self.assertRegex(result.stderr, rf"^svcmirror {words[0]}: [^\n]*{pattern}[^\n]*\n$")

    def test_wrong_arguments(self):
        for words, pattern in [
                (("uninstall", "east"), 'unexpected argument "east"'), (("uninstall", "--dry-run=maybe"), r'--dry-run: "maybe" is not one of none\|client\|server'),
                (("uninstall", "-n", "A_B"), '-n: "A_B" is no name of a namespace'), (("uninstall", "--remove-mirror"), "did you mean --remove-mirrors"),
                (("unexport",), "which services"), (("unexport", "web", "--all"), "use one of them"), (("unexport", "-l", "a=b", "--all"), "use one of them"), (("unexport", "web", "-A"), "a name is in one"),
                (("unexport", "WEB"), '"WEB" is no name of a Service'), (("unexport", "web", "--bogus"), "unknown flag --bogus"),
                (("link-gen",), "--cluster-name"), (("link-gen", "east"), 'unexpected argument "east"'), (("link-gen", "--cluster-name", "A_B"), '"A_B"'),
                (("link-gen", *EAST[:2], "--api-server-address", "nowhere"), "--api-server-address")]:
            self.told(words, 2, pattern)
        self.assertEqual(self.west.writes + self.east.writes, [])

    def test_a_cluster_that_is_not_there(self):
        for words, pattern in [
                (("unlink", "--cluster-name", "east", "--context", "down"), f"in cluster down: {REFUSED}"),
                (("allow", "--apply", "--service-account-name", "agent", "--context", "down"), f"in cluster down: {REFUSED}"),
                (("link-gen", *EAST, "--context", "down"), f"in cluster down: {REFUSED}"),
                (("unexport", "web", "--context", "down"), f"get Service default/web in cluster down: {REFUSED}"),
                (("why", "demo/web", "--context", "down"), f"in cluster source: {REFUSED}"),
                (("plan", "--context", "down"), f"in cluster source: {REFUSED}"),
                (("gateways", "--context", "down"), f"in cluster down: {REFUSED}"),
                (("uninstall", "--yes", "--context", "down"), f"in cluster down: {REFUSED}"),
                (("link", "--context", "down", "--target-context", "east", *EAST), f"in cluster down: {REFUSED}")]:
            self.told(words, 1, pattern)
        self.assertEqual(self.east.writes, [], "a source that is not there leaves the target alone")

    def exported(self):
        """What there is in the target: a gateway, and a service that is exported."""
        self.east.gateway()
        self.east.service("web", annotations={"mirror.linkerd.io/gateway-name": "gw"}, labels={"mirror.linkerd.io/exported": "true"})

    def test_a_right_that_is_missing(self):
        for refused, words, pattern in [
                (("patch", "namespaces"), ("allow", "--apply", "--service-account-name", "agent"), f"patch Namespace {NS} in cluster east: 403 Forbidden"),
                (("list", "services"), ("link-gen", *EAST), "list /api/v1/services in cluster east: 403 Forbidden"),
                (("get", "secrets"), ("link-gen", *EAST), f"get Secret {NS}/.* in cluster east: 403 Forbidden"),
                (("patch", "services"), ("unexport", "web", "-n", "demo"), "patch Service demo/web in cluster east: 403 Forbidden"),
                (("list", "services"), ("gateways",), "list /api/v1/services in cluster east: 403 Forbidden")]:
            self.exported()
            self.east.refuse = {refused: 403}
            self.told((*words, "--context", "east"), 1, pattern + r": .*; have that right granted, or be another user \(--as, or another context\)")
        self.assertEqual(self.east.writes, [])

    def test_a_right_that_a_plan_needs(self):
        server = Server(lambda path, query: status_object(403, "Forbidden", "nobody may"))
        server.http.handle_error = lambda *_: None  # it ends at the first answer
        try:
            config = server.kubeconfig(self.folder.name)
            for words in ("why", "demo/web"), ("why", "link/east"), ("plan",):
                self.told((*words, "--kubeconfig", config), 1, r"missing right: list \w+ in cluster source")
        finally:
            server.close()

    def test_interrupted(self):
        plain = self.east.answer

        def answer(method, path, query, body):
            if method == "GET" and path.endswith("/deployments"):
                return 200, {"kind": "DeploymentList", "metadata": {}, "items": []}
            return plain(method, path, query, body)
        self.east.answer = answer
        for held, words, before, pattern in [
                (("patch", "serviceaccounts"), ("install", "--apply", "--link-crd=never"), rf"namespace/{NS} \w+\n", f"patch /api/v1/namespaces/{NS}/serviceaccounts/svcmirror in cluster east"),
                (("list", "services"), ("uninstall", "--yes"), "", "nothing was removed: interrupted during: list /api/v1/services in cluster east"),
                (("patch", "services"), ("unexport", "web", "-n", "demo"), "", "patch /api/v1/namespaces/demo/services/web in cluster east"),
                (("list", "services"), ("link-gen", *EAST), "", "list /api/v1/services in cluster east")]:
            with self.subTest(command=words):
                self.exported()
                self.east.refuse = {held: None}
                self.east.held.clear()
                out, err = self.interrupt(self.east, *words, "--context", "east")
                self.assertRegex(err, rf"^svcmirror {words[0]}: [^\n]*interrupted[^\n]*\n$")
                self.assertRegex(err, pattern)
                self.assertRegex(out, f"^{before}$")


if __name__ == "__main__":
    unittest.main()
