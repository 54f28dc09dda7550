"""Credential plugins, and what else a kubeconfig says of who one is: small programs and servers of the tests' own."""
import json
import os
import pathlib
import pty
import signal
import subprocess
import sys
import tempfile
import unittest

from program import BINARY, CLEAN, Agent, EmptyCluster, events, svcmirror, wait_until

API = "client.authentication.k8s.io/v1"


class Plugins(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.bin = pathlib.Path(self.folder.name, "bin")
        self.bin.mkdir()
        self.cluster = EmptyCluster()
        # An agent behind it that has no gateways, for `svcmirror gateways`.
        self.cluster.answer = lambda path, query: (200, []) if "/proxy/" in path else EmptyCluster.answer_empty(path, query)
        self.agents = []

    def tearDown(self):
        for agent in self.agents:
            agent.close()
        self.cluster.close()
        self.folder.cleanup()

    @property
    def path(self):
        return {"PATH": f"{self.bin}:{os.environ['PATH']}"}

    def write_plugin(self, body, name="login"):
        path = self.bin / name
        new = self.bin / "new"
        new.write_text(body)
        new.chmod(0o755)
        new.rename(path)  # one that is being run cannot be written
        return str(path)

    def token_plugin(self, token, name="login", **status):
        answer = json.dumps({"kind": "ExecCredential", "apiVersion": API, "status": {"token": token, **status}})
        return self.write_plugin(f"#!/bin/sh\necho run >>'{self.folder.name}/runs'\necho '{answer}'\n", name)

    def runs(self):
        path = pathlib.Path(self.folder.name, "runs")
        return len(path.read_text().splitlines()) if path.exists() else 0

    def kubeconfig(self, command="login", **exec_fields):
        return self.cluster.kubeconfig(self.folder.name, {"exec": {"apiVersion": API, "interactiveMode": "Never", "command": command, **exec_fields}})

    def agent(self, *argv, path="/ready"):
        agent = Agent("--admin-addr", "127.0.0.1:0", *argv, env=self.path)
        self.agents.append(agent)
        agent.wait(path)
        return agent


class ForPeople(Plugins):
    def test_commands_use_the_plugin_of_their_kubeconfig(self):
        self.token_plugin("t1")
        self.cluster.accepts = {"Bearer t1"}
        for command in (["gateways"], ["plan"]):
            done = svcmirror(*command, "--kubeconfig", self.kubeconfig(), env=self.path)
            self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(set(self.cluster.authorizations), {"Bearer t1"})
        self.assertEqual(self.runs(), 2, "once for each command")

    def test_a_program_in_python_that_asks_for_its_input(self):
        self.write_plugin(f"""#!{sys.executable}
import json, os, sys
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
assert info["kind"] == "ExecCredential" and info["spec"]["interactive"] is False, info
assert info["spec"]["cluster"]["server"] == sys.argv[1], info
assert os.environ["REGION"] == "here"
print(json.dumps({{"kind": "ExecCredential", "apiVersion": info["apiVersion"], "status": {{"token": "from-python"}}}}))
""")
        config = self.kubeconfig(args=[self.cluster.url], env=[{"name": "REGION", "value": "here"}], provideClusterInfo=True)
        done = svcmirror("gateways", "--kubeconfig", config, env=self.path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(set(self.cluster.authorizations), {"Bearer from-python"})

    def test_relative_to_the_kubeconfig(self):
        self.token_plugin("t1")
        done = svcmirror("gateways", "--kubeconfig", self.kubeconfig("./bin/login"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(set(self.cluster.authorizations), {"Bearer t1"})

    def test_what_goes_wrong_is_said_without_what_it_printed(self):
        self.write_plugin("#!/bin/sh\necho top-secret; echo 'please run login first' >&2; exit 7\n")
        done = svcmirror("gateways", "--kubeconfig", self.kubeconfig(), env=self.path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("credential plugin login: it ended with status 7: please run login first", done.stderr)
        self.assertNotIn("top-secret", done.stderr)
        done = svcmirror("gateways", "--kubeconfig", self.kubeconfig("absent", installHint="get it at example.com"), env=self.path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("no such program in PATH that may be run: get it at example.com", done.stderr)

    def test_one_that_must_ask_needs_a_terminal(self):
        self.token_plugin("t1")
        done = svcmirror("gateways", "--kubeconfig", self.kubeconfig(interactiveMode="Always"), env=self.path)
        self.assertEqual(done.returncode, 1)
        self.assertIn("interactiveMode: Always", done.stderr)
        self.assertEqual(self.runs(), 0)

    def test_one_may_ask_at_the_terminal_unless_it_says_never(self):
        answer = json.dumps({"kind": "ExecCredential", "apiVersion": API, "status": {"token": "TOKEN"}}).replace("TOKEN", "'$word'")
        self.write_plugin(f"#!/bin/sh\nword=nobody\nprintf 'one-time code: ' >&2\nread -r word || word=nobody\necho '{answer}'\n")
        for mode, expected in (("Always", "from-a-person"), ("IfAvailable", "from-a-person"), ("Never", "nobody")):
            self.cluster.authorizations.clear()
            ours, theirs = pty.openpty()
            process = subprocess.Popen([BINARY, "gateways", "--kubeconfig", self.kubeconfig(interactiveMode=mode)], stdin=theirs, text=True,
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**CLEAN, **self.path})
            os.write(ours, b"from-a-person\n")
            _, said = process.communicate(timeout=30)
            os.close(ours)
            os.close(theirs)
            self.assertEqual(process.returncode, 0, said)
            self.assertEqual(set(self.cluster.authorizations), {f"Bearer {expected}"}, mode)
            self.assertEqual("one-time code: " in said, mode != "Never", "it speaks to the terminal only when it may ask there")

    def test_auth_providers_are_refused_with_what_to_do(self):
        config = self.cluster.kubeconfig(self.folder.name, {"auth-provider": {"name": "gcp"}})
        done = svcmirror("gateways", "--kubeconfig", config)
        self.assertEqual(done.returncode, 1)
        self.assertIn("auth-provider is no longer supported by Kubernetes: use exec, a token or a client certificate", done.stderr)

    def test_a_password_and_another_name(self):
        config = self.cluster.kubeconfig(self.folder.name, {"username": "me", "password": "p:w", "as": "jane", "as-groups": ["a", "b"]})
        done = svcmirror("gateways", "--kubeconfig", config)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(set(self.cluster.authorizations), {"Basic bWU6cDp3"})


class ForTheAgent(Plugins):
    def test_nothing_is_run_that_is_not_allowed(self):
        self.token_plugin("t1")
        other = self.token_plugin("t1", "other")
        for argv in ([], ["--exec-allow", "another"], ["--exec-allow", other], ["--exec-allow", "*"]):
            done = svcmirror("run", "--kubeconfig", self.kubeconfig(), "--admin-addr", "127.0.0.1:0", *argv, env=self.path)
            self.assertEqual((done.returncode, events(done.stderr)), (1, ["start_failed"]), done.stderr)
            self.assertIn("credential plugin login may not be run here: allow it with --exec-allow login", done.stderr)
        self.assertEqual(self.runs(), 0)

    def test_one_that_always_asks_is_refused(self):
        self.token_plugin("t1")
        done = svcmirror("run", "--kubeconfig", self.kubeconfig(interactiveMode="Always"), "--exec-allow", "login", env=self.path)
        self.assertEqual((done.returncode, events(done.stderr)), (1, ["start_failed"]))
        self.assertIn("interactiveMode: Always", done.stderr)

    def test_allowed_by_name_by_path_and_by_the_environment(self):
        path = self.token_plugin("t1")
        self.cluster.accepts = {"Bearer t1"}
        for argv, env in ((["--exec-allow", "login"], {}), (["--exec-allow", f"aws,{path}"], {}), ([], {"SVCMIRROR_EXEC_ALLOW": "login"})):
            agent = Agent("--admin-addr", "127.0.0.1:0", "--kubeconfig", self.kubeconfig(), *argv, env={**self.path, **env})
            self.agents.append(agent)
            agent.wait()
            self.assertEqual(agent.end(signal.SIGTERM)[0], 0, agent.log())

    def test_asked_once_and_again_after_a_401(self):
        self.token_plugin("t1")
        self.cluster.accepts = {"Bearer t1"}
        agent = self.agent("--kubeconfig", self.kubeconfig(), "--exec-allow", "login")
        self.assertEqual(self.runs(), 1, "all lists and watches waited for one answer")
        self.token_plugin("t2")
        self.cluster.accepts = {"Bearer t2"}
        self.cluster.ended.set()  # the watches end, and are refused when they come back
        wait_until(lambda: "Bearer t2" in self.cluster.authorizations, what="the new token is used")
        self.assertEqual(self.runs(), 2)
        self.assertNotIn("t1", agent.log() + agent.get("/metrics")[1])

    def test_a_slow_one_holds_nobody_up(self):
        self.write_plugin(f"#!/bin/sh\nwhile [ ! -e '{self.folder.name}/go' ]; do sleep 0.05; done\n"
                          f"echo '{json.dumps({'kind': 'ExecCredential', 'apiVersion': API, 'status': {'token': 'late'}})}'\n")
        agent = self.agent("--kubeconfig", self.kubeconfig(), "--exec-allow", "login", path="/live")
        self.assertEqual(agent.get("/ready")[0], 503)
        self.assertEqual(self.cluster.requests, [])
        pathlib.Path(self.folder.name, "go").touch()
        agent.wait()
        self.assertEqual(set(self.cluster.authorizations), {"Bearer late"})

    def test_it_ends_while_one_runs(self):
        self.write_plugin(f"#!/bin/sh\necho $$ >'{self.folder.name}/pid'; exec sleep 600\n")
        agent = self.agent("--kubeconfig", self.kubeconfig(), "--exec-allow", "login", path="/live")
        pid = int(wait_until(lambda: (path := pathlib.Path(self.folder.name, "pid")).exists() and path.read_text().strip(), what="it runs"))
        code, seconds = agent.end(signal.SIGTERM)
        self.assertEqual(code, 0, agent.log())
        self.assertLess(seconds, 5)
        self.assertFalse(pathlib.Path(f"/proc/{pid}").exists(), "the plugin ended with it")

    def test_one_that_fails_is_told_and_tried_again(self):
        self.write_plugin("#!/bin/sh\necho 'not yet' >&2; exit 1\n")
        agent = self.agent("--kubeconfig", self.kubeconfig(), "--exec-allow", "login", path="/live")
        wait_until(lambda: "it ended with status 1: not yet" in agent.get("/ready")[1], what="the cause is told")
        self.token_plugin("t1")
        agent.wait()
