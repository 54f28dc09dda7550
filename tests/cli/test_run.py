"""`svcmirror run`: starting, serving, stopping, on a cluster where nothing happens."""
import json
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from program import Agent, EmptyCluster, events, svcmirror, wait_until


class Running(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.cluster = EmptyCluster()
        self.kubeconfig = self.cluster.kubeconfig(self.folder.name)
        self.agents = []

    def tearDown(self):
        for agent in self.agents:
            agent.close()
        self.cluster.close()
        self.folder.cleanup()

    def agent(self, *argv, env=None, path="/ready"):
        agent = Agent(*argv, env=env)
        self.agents.append(agent)
        agent.wait(path)
        return agent

    def plain(self):
        return self.agent("--kubeconfig", self.kubeconfig, "--admin-addr", "127.0.0.1:0")

    def test_serves_and_ends_on_sigterm(self):
        agent = self.plain()
        self.assertEqual([agent.get(path) for path in ["/live", "/ready", "/ping"]], [(200, "ok\n"), (200, "ok\n"), (200, "pong\n")])
        for path in ["/api/v1/gateways", "/api/v1/links", "/api/v1/services"]:
            self.assertEqual(agent.get(path), (200, "[]\n"))
        self.assertIn("No target is linked", agent.get("/")[1])
        code, seconds = agent.end(signal.SIGTERM)
        self.assertEqual(code, 0, agent.log())
        self.assertLess(seconds, 5)
        named = events(agent.log())
        self.assertEqual((named[0], named[-2:]), ("started", ["stopping", "stopped"]))

    def test_sigint_too(self):
        agent = self.plain()
        code, _ = agent.end(signal.SIGINT)
        self.assertEqual(code, 0)

    def test_metrics_are_clean(self):
        text = self.plain().get("/metrics")[1]
        for name in ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds"]:
            self.assertRegex(text, rf"(?m)^{name} \S+$")
        self.assertRegex(text, r'(?m)^svcmirror_build_info{version="\d+\.\d+\.\d+"} 1$')
        promtool = shutil.which("promtool")
        if promtool is None:
            return
        result = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
        # Linkerd's own names stay as they are: its dashboards ask for them.
        complaints = [line for line in (result.stdout + result.stderr).splitlines()
                      if not re.match(r"^(gateway_probes|service_mirror_endpoint_repairs|gateway_latency|gateway_probe_latency_ms)\b", line)]
        self.assertEqual(complaints, [])

    def test_everything_from_the_environment(self):
        agent = self.agent(env={"SVCMIRROR_KUBECONFIG": self.kubeconfig, "SVCMIRROR_ADMIN_ADDR": "127.0.0.1:0", "SVCMIRROR_LOG_FORMAT": "json",
                                "SVCMIRROR_NAMESPACE": "mesh"})
        started = json.loads(agent.log().splitlines()[0])
        self.assertEqual((started["event"], started["namespace"], started["admin"]), ("started", "mesh", f"127.0.0.1:{agent.port}"))

    def test_linkerds_spellings(self):
        agent = self.agent("-kubeconfig", self.kubeconfig, "-metrics-addr=127.0.0.1:0", "-namespace", "mesh", "-log-level=debug",
                           "-enable-namespace-creation", "-event-requeue-limit", "3", "-endpoint-refresh-period=1m", "-enable-pprof=false")
        log = agent.log()
        ignored = re.findall(r"event=flag_ignored .* flag=(\S+)", log)
        self.assertEqual(ignored, ["event-requeue-limit", "endpoint-refresh-period", "enable-pprof"])
        self.assertRegex(log, r"event=started .* namespace=mesh ")
        self.assertTrue(any(path.startswith("/api/v1/namespaces/mesh/secrets") for path, _ in self.cluster.requests))

    def test_one_link_as_by_linkerds_controllers(self):
        agent = self.agent("--kubeconfig", self.kubeconfig, "--admin-addr", "127.0.0.1:0", "-excluded-labels=a,b/*", "--only-link", "east")
        self.assertRegex(agent.log(), "event=started")
        wait_until(lambda: any("watch" in query for _, query in self.cluster.requests), what="a watch, after all lists were asked for")
        self.assertFalse(any("federated" in str(query) for _, query in self.cluster.requests), "no local members")
        local = self.agent("--kubeconfig", self.kubeconfig, "--admin-addr", "127.0.0.1:0", "-local-mirror")
        self.assertRegex(local.log(), "event=started")
        wait_until(lambda: any("federated" in str(query) for _, query in self.cluster.requests), what="a list of the local members")

    def test_json_log(self):
        agent = self.agent("--kubeconfig", self.kubeconfig, "--admin-addr", "127.0.0.1:0", "--log-format", "json")
        agent.end(signal.SIGTERM)
        lines = [json.loads(line) for line in agent.log().splitlines()]
        self.assertEqual(lines[0]["event"], "started")
        self.assertTrue(all({"ts", "level", "event", "msg"} <= set(line) for line in lines))


class NotStarting(unittest.TestCase):
    def test_a_port_that_is_taken(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            cluster = EmptyCluster()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            result = svcmirror("run", "--kubeconfig", cluster.kubeconfig(folder), "--admin-addr", address)
            cluster.close()
            self.assertEqual(result.returncode, 1)
            self.assertEqual(events(result.stderr), ["start_failed"])
            self.assertIn(f"cannot listen on {address}: Address already in use", result.stderr)
            self.assertEqual(cluster.requests, [], "nothing was watched before")

    def test_without_credentials(self):
        with tempfile.TemporaryDirectory() as home:
            pathlib.Path(home, ".kube").mkdir()
            pathlib.Path(home, ".kube", "config").write_text("current-context: production\n")
            for argv in ([], ["--kubeconfig", ""], ["-kubeconfig="], ["--kubeconfig=", "--context="]):
                result = svcmirror("run", *argv, env={"HOME": home})
                self.assertEqual(result.returncode, 1)
                self.assertIn("not in a pod", result.stderr)
                self.assertIn("--kubeconfig FILE", result.stderr)

    def test_flags_that_are_wrong_or_contradict_each_other(self):
        for argv, words in [(["--only-link", "east", "--local-mirror"], "--only-link and --local-mirror contradict each other: "),
                            (["--exec-allow=aws,./aws"], '--exec-allow: "./aws" is a relative path: write the whole path, or a name in PATH'),
                            (["--lease-duration=5s"], "--lease-duration must be longer than --renew-deadline")]:
            result = svcmirror("run", *argv)
            self.assertEqual((result.returncode, result.stdout), (2, ""), result.stderr)
            self.assertRegex(result.stderr, rf"^svcmirror run: {words}[^\n]*\n$")

    def test_a_kubeconfig_that_is_none(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "kubeconfig")
            for text, words in [(None, "No such file"), ("", "kubeconfig"), ("[1, 2]", "kubeconfig"), ("a: [", "kubeconfig"),
                                ("current-context: x\n", '\\"x\\" does not exist')]:
                path.unlink(missing_ok=True)
                if text is not None:
                    path.write_text(text)
                result = svcmirror("run", "--kubeconfig", str(path))
                self.assertEqual((result.returncode, events(result.stderr)), (1, ["start_failed"]))
                self.assertIn(words, result.stderr)


class Unreachable(unittest.TestCase):
    def test_serves_while_the_cluster_is_silent_and_ends_at_once(self):
        with tempfile.TemporaryDirectory() as folder:
            cluster = EmptyCluster()
            cluster.answer = lambda path, query: None
            agent = Agent("--kubeconfig", cluster.kubeconfig(folder), "--admin-addr", "127.0.0.1:0")
            try:
                agent.wait("/live")
                status, why = agent.get("/ready")
                self.assertEqual(status, 503)
                self.assertIn("source cluster", why)
                wait_until(lambda: cluster.requests, what="a list")
                code, seconds = agent.end(signal.SIGTERM)
                self.assertEqual(code, 0, agent.log())
                self.assertLess(seconds, 5)
            finally:
                agent.close()
                cluster.close()
