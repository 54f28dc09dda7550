"""The agent under test: the real binary as a child process."""
import json
import os
import re
import urllib.request

from .processes import Process
from .wait import wait_until


def default_binary():
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    return os.environ.get("SVCMIRROR_BINARY") or os.path.join(root, "build", "release", "svcmirror")


class Agent:
    """`svcmirror run` in the laboratory, watching the `source` cluster."""

    def __init__(self, source, folder, name="agent", address="127.0.0.1:9999", flags=(), env=None, kubeconfig=None,
                 network=None):
        """`network`: a place of its own, as a pod has; else the laboratory's."""
        if network is not None:
            address = f"{network.address(1)}:9999"
        self.source, self.address, self.flags = source, address, flags
        self.kubeconfig = kubeconfig if kubeconfig is not None else source.admin_kubeconfig  # "": the account of the pod that `env` says it is
        argv = [default_binary(), "run", "--kubeconfig", self.kubeconfig, "--namespace", "linkerd-multicluster", "--admin-addr", address,
                "--log-format", "json", *flags]
        environment = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=66", "UBSAN_OPTIONS": "halt_on_error=1", "HOSTNAME": name, **(env or {})}
        self.host = environment["HOSTNAME"]
        self.process = Process(name, argv, folder, network.netns if network else None, environment)
        self.killed = False

    def start(self, ready=True):
        self.killed = False
        self.process.start()
        if ready:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=20):
        def check():
            self.process.require()
            return self.get("/ready")[0] == 200
        wait_until(check, timeout, "the agent is ready")

    def stop(self):
        """SIGTERM; fails when the agent did not end well, or a sanitizer had something to say."""
        killed = self.killed
        code = self.process.stop(8)
        self.check()
        assert killed or code in (0, None), f"the agent ended with {code}:\n{self.process.tail()}"

    def kill(self):
        self.killed = True
        self.process.kill()

    def restart(self):
        self.stop()
        return self.start()

    def check(self):
        log = self.process.log()
        assert "ERROR: AddressSanitizer" not in log and "runtime error:" not in log and "LeakSanitizer" not in log, self.process.tail(60)

    # -- what it says --

    def get(self, path):
        try:
            with urllib.request.urlopen(f"http://{self.address}{path}", timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def json(self, path):
        status, body = self.get(path)
        assert status == 200, f"{path}: {status} {body}"
        return json.loads(body)

    def gateways(self):
        return self.json("/api/v1/gateways")

    def gateway(self, cluster, name=None):
        found = [g for g in self.gateways() if g["clusterName"] == cluster and (name is None or g["gatewayName"] == name)]
        return found[0] if found else None

    def services(self):
        return self.json("/api/v1/services")

    def metrics(self):
        """{'name{label="value",...}': value}"""
        samples = {}
        for line in self.get("/metrics")[1].splitlines():
            match = re.match(r"^([a-zA-Z_:][\w:]*(?:\{.*\})?) (\S+)$", line)
            if match and not line.startswith("#"):
                samples[match.group(1)] = float(match.group(2))
        return samples

    def logs(self, event=None):
        entries = []
        for line in self.process.log().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if event is None or entry.get("event") == event:
                entries.append(entry)
        return entries

    def command(self, *argv, timeout=30):
        """Another command of the same binary."""
        import subprocess
        return subprocess.run([default_binary(), *argv], text=True, capture_output=True, timeout=timeout, check=False)
