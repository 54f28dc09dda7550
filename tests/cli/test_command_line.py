"""Help, version and wrong command lines."""
import os
import re
import tempfile
import unittest

from program import BINARY, svcmirror

COMMANDS = ["run", "install", "uninstall", "link", "link-gen", "allow", "unlink", "edge-stack prepare", "export", "unexport", "status", "links", "gateways", "services",
            "check", "support-bundle", "plan", "why", "completion", "man", "version"]


class Help(unittest.TestCase):
    def test_overview_lists_the_commands(self):
        for word in ["--help", "-h", "-help", "help"]:
            result = svcmirror(word)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            for command in COMMANDS:
                self.assertRegex(result.stdout, rf"(?m)^  {command} +[A-Z]")

    def test_each_command_has_flags_examples_and_exit_codes(self):
        for command in COMMANDS:
            result = svcmirror(*command.split(), "--help")
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            for heading in ["Usage:", "Examples:", "Flags:", "Exit codes:"]:
                self.assertIn(f"\n{heading}\n", result.stdout)
            self.assertIn(f"\n  svcmirror {command}", result.stdout)
            self.assertIn("  0  ", result.stdout)
            self.assertLessEqual(max(map(len, result.stdout.splitlines())), 110)
            self.assertEqual(result.stdout, svcmirror("help", *command.split()).stdout)

    def test_export_and_unexport_have_words_of_their_own(self):
        export, unexport = (" ".join(svcmirror(command, "--help").stdout.split()) for command in ("export", "unexport"))
        for words in ("marks Services in manifests", "but for gateways", "cannot be mirrored"):
            self.assertIn(words, export)
            self.assertNotIn(words, unexport)
        for words in ("takes the marks off Services in manifests", "those without marks stay as they are", "is not there"):
            self.assertIn(words, unexport)
            self.assertNotIn(words, export)

    def test_the_overview_tells_of_the_environment_and_of_exit_codes(self):
        overview = svcmirror("--help").stdout
        self.assertIn("Each flag but --as and --as-group can be set by the environment too, by its first spelling:\n"
                      "--admin-addr is SVCMIRROR_ADMIN_ADDR, and so is --metrics-addr.\n", overview)
        self.assertIn("130 interrupted;\nwith plan --detailed-exitcode also 3, there is something to write.\n", overview)
        self.assertIn("else /-/ambassador/ready", " ".join(svcmirror("edge-stack", "prepare", "--help").stdout.split()))

    def test_the_list_above_is_whole(self):
        overview = svcmirror("--help").stdout
        self.assertEqual(sorted(re.findall(r"(?m)^  (\S+(?: \S+)?)  +[A-Z]", overview)), sorted(COMMANDS))

    def test_the_first_of_two_words_tells_of_its_commands(self):
        there = svcmirror("edge-stack", "prepare", "--help").stdout
        for argv in ["edge-stack", "--help"], ["edge-stack", "-h"], ["edge-stack", "help"], ["help", "edge-stack"], ["--help", "edge-stack"]:
            result = svcmirror(*argv)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn(there, result.stdout)
        for argv in ["edge-stack"], ["edge-stack", "bogus"], ["help", "edge-stack", "bogus"]:
            result = svcmirror(*argv)
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertIn("edge-stack is followed by a second word: `svcmirror edge-stack prepare`", result.stderr)

    def test_help_about_nothing_that_there_is(self):
        for argv in ["help", "bogus"], ["bogus", "--help"], ["help", ""], ["edge", "--help"]:
            result = svcmirror(*argv)
            self.assertEqual((result.returncode, result.stdout, result.stderr.count("\n")), (2, "", 1), argv)
            self.assertIn("--help` lists", result.stderr)

    def test_help_wins_over_what_is_wrong(self):
        result = svcmirror("run", "--bogus", "--help", env={"SVCMIRROR_LOG_LEVEL": "loud"})
        self.assertEqual(result.returncode, 0)

    def test_as_a_plugin_of_kubectl(self):
        with tempfile.TemporaryDirectory() as folder:
            plugin = os.path.join(folder, "kubectl-svcmirror")
            os.symlink(BINARY, plugin)
            self.assertIn("\n  kubectl svcmirror COMMAND [flags]\n", svcmirror("--help", binary=plugin).stdout)
            self.assertIn("\n  kubectl svcmirror gateways", svcmirror("gateways", "--help", binary=plugin).stdout)
            self.assertIn("`kubectl svcmirror --help`", svcmirror("bogus", binary=plugin).stderr)


class Version(unittest.TestCase):
    def test_for_people_and_programs(self):
        self.assertRegex(svcmirror("version").stdout, r"^svcmirror \d+\.\d+\.\d+\n$")
        self.assertRegex(svcmirror("version", "-o", "json").stdout, r'^{"version":"\d+\.\d+\.\d+"}\n$')
        self.assertEqual(svcmirror("--version").stdout, svcmirror("version").stdout)

    def test_a_full_disk_is_a_failure(self):
        with open("/dev/full", "w") as full:
            result = svcmirror("version", stdout=full)
        self.assertEqual((result.returncode, result.stderr), (1, "svcmirror: standard output: No space left on device\n"))


class Wrong(unittest.TestCase):
    def test_one_line_a_hint_and_2(self):
        for argv, words in [
            ([], "which command?"),
            (["bogus"], 'unknown command "bogus"'),
            (["--replicas", "2", "install"], "a command comes first"),
            (["--kubeconfig", "x"], "a command comes first"),
            (["--context", "x", "bogus"], 'unknown command "bogus"'),
            (["--context=x", "version"], "unknown flag --context"),
            (["run", "--bogus"], "unknown flag --bogus"),
            (["run", "--nampespace", "x"], "did you mean --namespace?"),
            (["run", "--kubeconfig"], "--kubeconfig needs a value: --kubeconfig FILE"),
            (["run", "--log-level", "loud"], '--log-level: "loud" is not a log level'),
            (["run", "--log-format=xml"], '--log-format: "xml" is not a log format'),
            (["run", "--namespace", "A_B"], '--namespace: "A_B" is no name of a namespace'),
            (["run", "--cluster-name", "A B"], '--cluster-name: "A B" is no name of a cluster'),
            (["run", "--cluster-name", ""], '--cluster-name: "" is no name of a cluster'),
            (["run", "--admin-addr", "9999"], '--admin-addr: "9999" is not an address to listen on'),
            (["run", "-metrics-addr", "nowhere:1"], "is not an address to listen on"),
            (["run", "--max-in-flight", "many"], "is not a whole number"),
            (["run", "--move-endpoints=perhaps"], "is neither true nor false"),
            (["run", "--move-endpoints", "false"], "write --move-endpoints=false"),
            (["run", "east"], 'unexpected argument "east"'),
            (["run", "--dns-servers", "nowhere"], '--dns-servers: "nowhere" is no name server'),
            (["run", "--dns-servers", "10.0.0.10,"], '--dns-servers: "" is no name server'),
            (["run", "--dns-servers", "10.0.0.10,[::1]:0"], '--dns-servers: "[::1]:0" is no name server'),
            (["run", "--dns-servers", "10.0.0.10:53,[::1]:53,::1,bad", "--frob"], '"bad" is no name server'),
            (["gateways", "-o", "xml"], '-o: "xml" is not one of table|wide|json|yaml'),
            (["gateways", "--wait", "soon"], "is not a duration (write e.g. 3s, 250ms or 1m30s; at most 10 years)"),
            (["gateways", "--address", "ftp://x"], "write http://HOST:PORT"),
            (["plan", "-o", "xml"], '-o: "xml" is not one of table|wide|json|yaml'),
            (["plan", "--timeout", "never"], "is not a duration (write e.g. 3s, 250ms or 1m30s; at most 10 years)"),
            (["plan", "--dns-servers", "nowhere"], '--dns-servers: "nowhere" is no name server'),
            (["plan", "demo/web"], 'unexpected argument "demo/web"'),
            (["why"], "which service, link or gateway? write NAMESPACE/SERVICE"),
            (["why", "web"], '"web" names no service, link or gateway: write NAMESPACE/SERVICE, link/NAME'),
            (["why", "link"], '"link" names no service, link or gateway'),
            (["why", "link/a/b"], '"link/a/b" names no'),
            (["why", "link", "a/b"], '"link a/b" names no'),
            (["why", "service", "web"], '"service web" names no'),
            (["why", "demo", "web"], '"demo web" names no'),
            (["why", "gateway/A"], '"gateway/A" names no'),
            (["why", "demo/"], '"demo/" names no service'),
            (["why", "a/b/c"], '"a/b/c" names no service'),
            (["why", "demo/web", "demo/api"], '"demo/web demo/api" names no service, link or gateway'),
            (["why", "link", "east", "west"], 'unexpected argument "west"'),
            (["why", "demo/web", "-o", "wide"], '-o: "wide" is not one of table|json|yaml'),
            (["version", "-o", "yaml"], "is not one of text|json"),
        ]:
            with self.subTest(argv=argv):
                result = svcmirror(*argv, timeout=10)
                self.assertEqual((result.returncode, result.stdout), (2, ""))
                self.assertIn(words, result.stderr)
                self.assertIn("--help`", result.stderr)
                self.assertEqual(result.stderr.count("\n"), 1)

    def test_the_environment_is_checked_too(self):
        result = svcmirror("run", env={"SVCMIRROR_LOG_LEVEL": "loud"})
        self.assertEqual(result.returncode, 2)
        self.assertIn('SVCMIRROR_LOG_LEVEL: "loud" is not a log level', result.stderr)

    def test_what_kubernetes_sets_beside_a_service_of_our_name_means_nothing(self):
        result = svcmirror("version", env={"SVCMIRROR_PORT": "tcp://10.0.0.1:9999", "SVCMIRROR_SERVICE_HOST": "10.0.0.1"})
        self.assertEqual(result.returncode, 0)
