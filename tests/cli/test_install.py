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
        for argv, words in [(["--replicas=0"], "not a number from 1 to 100"), (["--replicas=two"], "not a whole number"),
                            (["--agent-flags=--colour=red"], "--colour"), (["-n", "Not_One"], "no name of a namespace"),
                            (["--wait=3s"], "add --apply"), (["--link-crd=perhaps"], "auto|always|never"), (["extra"], "extra")]:
            result = svcmirror("install", *argv)
            self.assertEqual((result.returncode, result.stdout), (2, ""), argv)
            self.assertIn(words, result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1)

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
    def ask(self, *argv, mirrors=0):
        managed = {"managedFields": [{"manager": "svcmirror"}]}

        def answer(path, query):
            items = [{"metadata": {"name": f"web-{i}", "namespace": "demo", **managed}} for i in range(mirrors)]
            return 200, {"items": items if path == "/api/v1/services" else []}
        self.server = Server(answer)
        try:
            with kubeconfig(self.server.url) as config:
                return svcmirror("uninstall", "--kubeconfig", config.name, *argv)
        finally:
            self.server.close()

    def test_it_says_first_what_stays_behind(self):
        result = self.ask("--dry-run=client", mirrors=3)
        self.assertEqual((result.returncode, result.stdout), (0, ""))
        self.assertIn("3 mirrors stay with the endpoints that they have now", result.stderr)
        result = self.ask("--dry-run=client", "--remove-mirrors", mirrors=3)
        self.assertIn("3 mirrors that svcmirror made go", result.stderr)

    def test_nobody_to_ask_means_no(self):
        result = self.ask(mirrors=1)
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("nothing was removed: say --yes", result.stderr)


if __name__ == "__main__":
    unittest.main()
