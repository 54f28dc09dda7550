"""`svcmirror install` and `uninstall` without a cluster, and against servers that refuse."""
import json
import tempfile
import unittest

from program import Server, free_port, status_object, svcmirror


def kubeconfig(server):
    file = tempfile.NamedTemporaryFile("w", suffix=".yaml")
    file.write(json.dumps({"current-context": "west", "contexts": [{"name": "west", "context": {"cluster": "c", "user": "u"}}],
                           "clusters": [{"name": "c", "cluster": {"server": server}}], "users": [{"name": "u", "user": {}}]}))
    file.flush()
    return file


class Install(unittest.TestCase):
    def test_yaml_and_json_are_the_same_objects_in_order(self):
        objects = json.loads(svcmirror("install", "-o", "json").stdout)
        self.assertEqual((objects["apiVersion"], objects["kind"]), ("v1", "List"))
        text = svcmirror("install").stdout
        self.assertEqual([d.splitlines()[1] for d in text.split("---\n")], [f"kind: {o['kind']}" for o in objects["items"]])

    def test_a_client_s_dry_run_prints_although_it_is_to_apply(self):
        self.assertEqual(svcmirror("install", "--apply", "--dry-run=client").stdout, svcmirror("install").stdout)

    def test_what_is_wrong_is_told_before_anything_is_done(self):
        for argv, words in [(["--replicas=0"], "not a whole number from 1 to 100"), (["--replicas=two"], '"two" is not a whole number from 1 to 100'),
                            (["--memory-limit=12x"], "no amount of memory"), (["--memory-limit=Mi"], "no amount"), (["--memory-limit=1e"], "no amount"),
                            (["--memory-limit=0"], "less than the 32Mi"), (["--memory-limit=512"], "less than the 32Mi"),
                            (["--image="], '"" is no image'), (["--image", "A B"], '"A B" is no image'),
                            (["--agent-flags=--colour=red"], "--colour"), (["-n", "Not_One"], "no name of a namespace"),
                            (["--agent-flags=--lease-duration=5s"], "--agent-flags: --lease-duration must be longer than --renew-deadline"),
                            (["--agent-flags=--help"], '"--help": the agent would print its help'),
                            (["--agent-flags=--kubeconfig=x"], '"--kubeconfig=x": the pod has no kubeconfig'),
                            (["--wait=3s"], "add --apply"), (["--force-conflicts"], "add --apply"), (["--apply", "--dry-run=client", "--wait=3s"], "--wait and --dry-run contradict each other"),
                            (["--apply", "--dry-run=server", "--wait=3s"], "--wait and --dry-run contradict each other"), (["--link-crd=perhaps"], "auto|always|never"), (["extra"], "extra")]:
            result = svcmirror("install", *argv)
            self.assertEqual((result.returncode, result.stdout), (2, ""), argv)
            self.assertIn(words, result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_flags_of_the_agent_are_judged_without_this_environment(self):
        """The pod has another."""
        local = {"SVCMIRROR_ONLY_LINK": "east", "SVCMIRROR_LEASE_DURATION": "60s"}
        self.assertEqual(svcmirror("install", "--agent-flags=--local-mirror", env=local).returncode, 0)
        result = svcmirror("install", "--agent-flags=--renew-deadline=30s", env=local)
        self.assertEqual(result.returncode, 2)
        self.assertIn("--lease-duration must be longer than --renew-deadline", result.stderr)

    def test_flags_of_linkerd_s_are_told_and_ignored(self):
        result = svcmirror("install", "--gateway=false", "--ha", "-L", "linkerd", "--set", "a=b", "-f", "values.yaml")
        self.assertEqual((result.returncode, result.stdout), (0, svcmirror("install").stdout))
        self.assertEqual(sorted(line.split()[2] for line in result.stderr.splitlines()), ["--gateway", "--ha", "--linkerd-namespace", "--set", "--values"])

    def test_a_server_that_is_not_there(self):
        with kubeconfig(f"http://127.0.0.1:{free_port()}") as config:
            for command in (["install", "--apply"], ["uninstall", "--yes"]):
                result = svcmirror(*command, "--kubeconfig", config.name)
                self.assertEqual((result.returncode, result.stdout), (1, ""))
                self.assertIn("in cluster west", result.stderr)

    def test_a_missing_right_is_named(self):
        server = Server(lambda path, query: status_object(403, "Forbidden", 'services is forbidden: User "jane" cannot do that'))
        try:
            with kubeconfig(server.url) as config:
                for command in (["install", "--apply"], ["uninstall", "--yes"]):
                    result = svcmirror(*command, "--kubeconfig", config.name)
                    self.assertEqual((result.returncode, result.stdout), (1, ""))
                    self.assertIn("403 Forbidden", result.stderr)
                    self.assertIn("jane", result.stderr)
        finally:
            server.close()


class Uninstall(unittest.TestCase):
    managed = {"managedFields": [{"manager": "svcmirror"}]}

    def ask(self, *argv, mirrors=0, links=(), there=(), refuse=None):
        """@param there  ends of paths of objects that exist. @param refuse  the end of a path that is forbidden."""
        services = [{"metadata": {"name": f"web-{i}", "namespace": "demo", **self.managed}} for i in range(mirrors)]
        declared = [{"metadata": {"name": name, "namespace": "linkerd-multicluster", "finalizers": ["svcmirror.io/mirrors"] if held else []}}
                    for name, held in links]

        def answer(path, query):
            if refuse and path.endswith(refuse):
                return status_object(403, "Forbidden", f"{path} is forbidden")
            if "svcmirror" in path.rsplit("/", 1)[1]:
                return (200, {"metadata": {}}) if path.endswith(tuple(there)) else status_object(404, "NotFound", "not found")
            return 200, {"items": {"services": services, "links": declared}.get(path.rsplit("/", 1)[1], [])}
        self.server = Server(answer)
        try:
            with kubeconfig(self.server.url) as config:
                return svcmirror("uninstall", "--kubeconfig", config.name, *argv)
        finally:
            self.server.close()

    def test_it_says_first_what_stays_behind_by_name(self):
        result = self.ask("--dry-run=client", mirrors=3, links=[("east", True), ("north", False)])
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertIn("nothing was there to remove: namespace linkerd-multicluster of cluster west has no agent", result.stderr)
        self.assertTrue(result.stderr.startswith("Namespace linkerd-multicluster of cluster west has no agent; what is left of one goes.\n"))
        self.assertRegex(result.stderr, r"(?m)^3 mirrors stay with the endpoints that they have now.*: demo/web-0, demo/web-1, demo/web-2\.$")
        self.assertIn("\n2 Links stay, and nobody mirrors what they name: linkerd-multicluster/east, linkerd-multicluster/north.\n", result.stderr)
        self.assertIn("\n1 Links lose svcmirror's finalizer, so that they can be deleted: linkerd-multicluster/east.\n", result.stderr)

    def test_the_first_ten_are_named(self):
        result = self.ask("--dry-run=client", mirrors=10)
        self.assertRegex(result.stderr, r"(?m)^10 mirrors stay .*, demo/web-9\.$")
        result = self.ask("--dry-run=client", mirrors=13)
        self.assertRegex(result.stderr, r"(?m)^13 mirrors stay .*, demo/web-9 and 3 more\.$")
        self.assertNotIn("Links", result.stderr.replace("Link resource", ""))

    def test_a_client_s_dry_run_tells_each_object_that_is_there_and_sends_nothing(self):
        there = ("/deployments/svcmirror", "/roles/svcmirror", "/serviceaccounts/svcmirror")
        result = self.ask("--dry-run=client", mirrors=2, there=there)
        gone = ["deployment.apps/svcmirror", "role.rbac.authorization.k8s.io/svcmirror", "serviceaccount/svcmirror"]
        self.assertEqual((result.returncode, result.stdout.splitlines()), (0, [f"{name} deleted (dry run)" for name in gone]))
        self.assertTrue(result.stderr.startswith("The agent in namespace linkerd-multicluster of cluster west goes, with its rights.\n"))
        self.assertEqual(self.server.writes, [])
        result = self.ask("--dry-run=client", "--remove-mirrors", mirrors=2, there=there, links=[("east", True)])
        gone[1:1] = ["service/web-0", "service/web-1"]
        self.assertEqual((result.returncode, result.stdout.splitlines()), (0, [f"{name} deleted (dry run)" for name in gone]))
        self.assertRegex(result.stderr, r"(?m)^2 mirrors that svcmirror made go with their endpoints: demo/web-0, demo/web-1\.$")
        self.assertEqual(self.server.writes, [])
        result = self.ask("--dry-run=client", there=there, refuse="/roles/svcmirror")
        self.assertEqual((result.returncode, result.stdout), (1, "deployment.apps/svcmirror deleted (dry run)\n"))
        self.assertIn("get Role linkerd-multicluster/svcmirror in cluster west: 403", result.stderr.splitlines()[-1])

    def test_nobody_to_ask_means_no(self):
        result = self.ask(mirrors=1)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("nothing was removed: say --yes", result.stderr)
        self.assertEqual(self.server.writes, [])


if __name__ == "__main__":
    unittest.main()
