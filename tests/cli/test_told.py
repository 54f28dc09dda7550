"""How commands tell what they did: -o of those that write."""
import json
import unittest

import test_linking
from program import svcmirror

NS, THERE = test_linking.NS, test_linking.Link.there
LINK = {"cluster": "west", "apiVersion": "multicluster.linkerd.io/v1alpha3", "kind": "Link", "namespace": NS, "name": "east"}
ROLE = {"cluster": "east", "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "name": "svcmirror-remote"}


class Told(test_linking.WithClusters):
    unlink = ("unlink", "--cluster-name", "east", "--context", "west")

    def setUp(self):
        super().setUp()
        self.east.gateway()

    def records(self, *argv, code=0):
        return json.loads(self.run_it(*argv, "-o", "json", code=code).stdout)

    def test_linking_names_both_clusters(self):
        lines = self.run_it(*THERE, "--dry-run=server").stdout.splitlines()
        records = self.records(*THERE)
        self.assertIn({**LINK, "outcome": "created", "dryRun": "none"}, records)
        self.assertIn({**ROLE, "outcome": "created", "dryRun": "none"}, records)
        self.assertEqual(len(records), 9)
        self.assertTrue(set(line.split("/")[1].split()[0] for line in lines) <= {r["name"] for r in records})
        self.assertEqual({r["outcome"] for r in self.records(*THERE)}, {"unchanged"})
        self.assertEqual({r["dryRun"] for r in self.records(*THERE, "--dry-run=server")}, {"server"})

    def test_unlinking(self):
        self.run_it(*THERE)
        of_json = self.records(*self.unlink, "--dry-run=client")
        self.assertTrue(self.run_it(*self.unlink, "--dry-run=client", "-o", "yaml").stdout.startswith(
            "- cluster: west\n  apiVersion: multicluster.linkerd.io/v1alpha3\n  kind: Link\n  namespace: linkerd-multicluster\n  name: east\n  outcome: deleted\n"
            "  dryRun: client\n- cluster: west\n"))
        self.assertIn({**LINK, "outcome": "deleted", "dryRun": "client"}, of_json)
        self.assertEqual([{**r, "dryRun": "none"} for r in of_json], self.records(*self.unlink))

    def test_names_as_kubectl_takes_them(self):
        self.run_it(*THERE)
        self.assertEqual(self.run_it(*self.unlink, "--dry-run=server", "-o", "name").stdout.splitlines()[0], "link.multicluster.linkerd.io/east")

    def test_services(self):
        self.east.service("web")
        there = ("web", "--context", "east", "-n", "demo")
        web = {"cluster": "east", "apiVersion": "v1", "kind": "Service", "namespace": "demo", "name": "web", "dryRun": "none"}
        self.assertEqual(self.records("export", *there), [{**web, "outcome": "exported"}])
        self.assertEqual(self.records("export", *there), [{**web, "outcome": "unchanged"}])
        self.assertEqual(self.records("unexport", *there), [{**web, "outcome": "unexported"}])
        self.assertEqual(self.records("unexport", "--all", "-A", "--context", "east"), [])

    def test_what_was_done_before_a_failure_is_told_too(self):
        self.east.refuse["patch", "clusterroles"] = 403
        self.assertEqual([r["name"] for r in self.records(*THERE, code=1)], ["svcmirror-remote"])
        self.east.refuse["patch", "clusterroles"] = None
        out, _ = self.interrupt(self.east, *THERE, "-o", "json")
        self.assertEqual([(r["kind"], r["outcome"]) for r in json.loads(out)], [("ServiceAccount", "unchanged")])
        self.assertEqual(self.records("link", "--target-context", "down", "--cluster-name", "x", "--api-server-address", "https://192.0.2.1", code=1), [])

    def test_applied_manifests(self):
        self.assertEqual({r["outcome"] for r in self.records("allow", "--apply", "--context", "east")}, {"created", "configured"})
        printed = json.loads(self.run_it("allow", "-o", "json").stdout)
        self.assertEqual(printed["kind"], "List")

    def test_what_contradicts_itself(self):
        for argv, words in [((*THERE, "--dry-run=client"), "that prints manifests"), (("export", "-f", "x.yaml"), "--filename prints manifests"),
                            ((*self.unlink, "-o", "wide"), '"wide" is not one of text|name|json|yaml')]:
            result = self.run_it(*argv, *(() if "-o" in argv else ("-o", "json")), code=2)
            self.assertIn(words, result.stderr)
            self.assertEqual(result.stdout, "")

    def test_a_full_disk(self):
        self.east.service("web")
        with open("/dev/full", "w", encoding="ascii") as full:
            for form in ("text", "json"):
                result = svcmirror("export", "web", "--context", "east", "-n", "demo", "-o", form, env={"KUBECONFIG": self.config}, stdout=full)
                self.assertEqual(result.returncode, 1, form)


if __name__ == "__main__":
    unittest.main()
