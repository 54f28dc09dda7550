"""Flags that Linkerd's CLI has on every command: acting as somebody else, and what is ignored."""
import tempfile
import unittest

from program import EmptyCluster, Server, status_object, svcmirror

JANE = ("--as", "jane", "--as-group=dev", "--as-group", "ops")
EAST = ("--cluster-name", "east", "--api-server-address", "https://192.0.2.1:6443")
# Each with a kubeconfig; those that write or wait are refused at once.
COMMANDS = [["install", "--apply"], ["uninstall", "--yes"], ["link", "--target-context", "lab", *EAST], ["link-gen", *EAST],
            ["allow", "--apply", "--service-account-name", "agent"], ["unlink", "--cluster-name", "east"], ["export", "web"], ["unexport", "web"], ["links"],
            ["services"], ["status"], ["gateways"], ["check", "--wait", "0s"], ["support-bundle", "-f", "/dev/null/x"], ["edge-stack", "prepare"], ["plan"],
            ["why", "demo/web"]]


class Globals(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.server = Server(lambda path, query: status_object(403, "Forbidden", "nobody may"))
        self.server.http.handle_error = lambda *_: None  # a program that gives up closes its connections
        self.config = self.server.kubeconfig(self.folder.name)

    def tearDown(self):
        self.server.close()
        self.folder.cleanup()

    def test_every_command_acts_as_whom_it_is_told(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                self.server.impersonated.clear()
                result = svcmirror(*command, *JANE, env={"KUBECONFIG": self.config})
                self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
                self.assertGreater(len(self.server.impersonated), 0, result.stderr)
                self.assertEqual([who for who in self.server.impersonated if who != ("jane", ["dev", "ops"])], [])

    def test_flags_may_stand_before_the_command_as_linkerd_takes_them(self):
        for before in (("--as", "jane", "--kubeconfig", self.config), ("--as=jane", "--context=lab", f"--kubeconfig={self.config}", "-n", "x")):
            for command in (["links"], ["edge-stack", "prepare"] if "-n" not in before else ["status"]):
                self.server.impersonated.clear()
                result = svcmirror(*before, *command)
                self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
                self.assertEqual(set(map(repr, self.server.impersonated)), {"('jane', [])"}, result.stderr)

    def test_those_are_all_that_have_a_kubeconfig(self):
        for name in svcmirror("--help").stdout.splitlines():
            words = name[2:22].split()
            if not name.startswith("  ") or not words or words[0] in ("run", "svcmirror"):
                continue
            told = svcmirror(*words, "--help").stdout
            self.assertEqual("--kubeconfig FILE" in told, any(command[:len(words)] == words for command in COMMANDS), words)
            self.assertEqual("--kubeconfig FILE" in told, "--as-group" in told, words)

    def test_it_wins_over_the_kubeconfig(self):
        config = self.server.kubeconfig(self.folder.name, user={"as": "john", "as-groups": ["family"]})
        svcmirror("links", "--kubeconfig", config)
        svcmirror("links", "--kubeconfig", config, "--as=jane")
        self.assertEqual(set(map(repr, self.server.impersonated)), {"('john', ['family'])", "('jane', [])"})

    def test_nobody_else_without_it(self):
        svcmirror("links", "--kubeconfig", self.config, env={"SVCMIRROR_AS": "jane"})
        self.assertEqual(set(map(repr, self.server.impersonated)), {"(None, [])"})

    def test_wrong_ones(self):
        for argv, words in [(("links", "--as"), "--as needs a value: --as USER"), (("links", "--as", "--watch"), "--as needs a value"),
                            (("links", "--as="), "--as needs a value"), (("links", "--as-group", "dev"), "--as-group without --as"),
                            (("links", "--api-addr"), "--api-addr needs a value: --api-addr ADDRESS"), (("version", "--as", "jane"), "unknown flag --as"),
                            (("run", "--as", "jane"), "unknown flag --as"), (("links", "--", "--as", "jane"), 'unexpected argument "--as"'),
                            (("links", "--as", b"\xff"), "no text in UTF-8")]:
            result = svcmirror(*argv)
            self.assertEqual((result.returncode, result.stdout), (2, ""), argv)
            self.assertIn(words, result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)
        result = svcmirror("links", "--kubeconfig", self.config, "--as", "two\nlines")
        self.assertEqual(result.returncode, 1)
        self.assertIn("--as: as has a value that is empty, no text, or has a control character in it", result.stderr)
        self.assertEqual(self.server.requests, [])

    def test_what_is_linkerds_alone_is_taken_and_said_to_be_ignored(self):
        for command in COMMANDS:
            with self.subTest(command=command):
                result = svcmirror(*command, "--verbose", "--api-addr", "10.0.0.1:8085", "-L", "l5d", env={"KUBECONFIG": self.config})
                self.assertEqual(result.returncode, 1, result.stderr)
                for flag in "verbose", "api-addr":
                    self.assertEqual(result.stderr.count(f"svcmirror {' '.join(w for w in command[:2] if w in (command[0], 'prepare'))}: --{flag} is ignored: "), 1,
                                     result.stderr)

    def test_gateways_takes_those_of_2_8(self):
        result = svcmirror("gateways", "-t", "1m", "--gateway-namespace", "l5d", "--kubeconfig", self.config)
        self.assertEqual([line.split()[2] for line in result.stderr.splitlines()[:2]], ["--time-window", "--gateway-namespace"])

    def test_they_are_completed(self):
        self.assertEqual(svcmirror("__complete", "links", "--as-").stdout.split("\t")[0], "--as-group")
        self.assertEqual(svcmirror("__complete", "links", "--as", "").stdout, ":4\n")
        self.assertEqual(svcmirror("__complete", "version", "--as").stdout, ":4\n")
        for shell, words in [("bash", '"links") flags='), ("fish", "seen_subcommand_from links")]:
            lines = [line for line in svcmirror("completion", shell).stdout.splitlines() if words in line]
            self.assertIn("as-group", "\n".join(lines))

    def test_a_plan_on_an_empty_cluster_as_somebody_else(self):
        cluster = EmptyCluster()
        try:
            cluster.http.handle_error = lambda *_: None
            result = svcmirror("plan", *JANE, "--kubeconfig", cluster.kubeconfig(self.folder.name))
            self.assertEqual((result.returncode, result.stdout), (0, "No changes.\n"))
            self.assertEqual(set(map(repr, cluster.impersonated)), {"('jane', ['dev', 'ops'])"})
        finally:
            cluster.close()


if __name__ == "__main__":
    unittest.main()
