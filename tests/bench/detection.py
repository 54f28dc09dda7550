"""How soon a dead gateway is noticed, beside HAProxy's health checker on the same gateway, and that a loaded machine makes nobody dead."""
import datetime
import os
import shutil
import subprocess
import threading
import time

from figures import Figure
from stage import say, seconds_of
from cluster.gateway import RawServer
from cluster.wait import wait_until

CONFIG = """global
  log stdout format raw local0
defaults
  log global
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
  timeout check 1s
  option log-health-checks
frontend unused
  bind unix@{folder}/haproxy.sock
  default_backend gateways
backend gateways
  option httpchk
  http-check send meth GET uri /-/ambassador/ready ver HTTP/1.1 hdr Host gateway
  http-check expect status 200
  server gateway {address}:8080 check inter {period}ms fastinter 100ms fall 3 rise 1
"""


class Haproxy:
    """The health checker; `verdicts` are (seconds since 1970, whether up)."""

    def __init__(self, folder, address, period_ms):
        path = os.path.join(folder, "haproxy.cfg")
        with open(path, "w", encoding="ascii") as file:
            file.write(CONFIG.format(folder=folder, address=address, period=period_ms))
        self.process = subprocess.Popen(["haproxy", "-db", "-f", path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.verdicts, self.log = [], []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            now = time.time()
            self.log.append(line)
            if line.startswith("Server gateways/gateway is "):
                self.verdicts.append((now, " is UP" in line))

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Manners:
    """Ways for a gateway to die: each a pair of functions, to die and to come back."""

    def __init__(self, stage):
        self.stage, self.gateway, self.network = stage, stage.target.gateway, stage.target.network
        self.rude = None

    def reset(self):
        self.gateway.stop()
        self.rude = RawServer(self.network, self.stage.folder, self.gateway.addresses[0], 8080, "reset")

    def no_reset(self):
        self.rude.stop()
        self.gateway.start()

    def all(self):
        address = self.gateway.addresses[0]
        return {"closed port": (self.gateway.stop, self.gateway.start), "black hole": (lambda: self.network.drop(address), self.network.heal),
                "no answer": (lambda: self.gateway.envoy.freeze(), lambda: self.gateway.envoy.thaw()), "reset": (self.reset, self.no_reset)}


def trial(stage, agent, haproxy, die, come_back):
    """Seconds from the gateway's end to the agent's verdict, and to HAProxy's, which may be None."""
    wait_until(lambda: agent.gateway("east")["alive"] and (haproxy is None or not haproxy.verdicts or haproxy.verdicts[-1][1]), 30, "all think it alive", 0.05)
    time.sleep(1 + (time.time() * 7919) % 1)  # anywhere in a period
    began, seen = time.time(), len(haproxy.verdicts) if haproxy else 0
    die()
    wait_until(lambda: not agent.gateway("east")["alive"], 60, "the agent's verdict", 0.02)
    if haproxy:
        wait_until(lambda: len(haproxy.verdicts) > seen, 60, f"HAProxy's verdict: {haproxy.log[-5:]}", 0.02)
    ours = seconds_of(agent.logs("gateway_dead")[-1]["ts"]) - began
    theirs = haproxy.verdicts[seen][0] - began if haproxy else None
    come_back()
    return ours, theirs


def measure(stage, trials):
    """Set alike (period 500 ms, quick re-probes 100 ms, 3 failures, timeout 1 s), then at Edge Stack's period of 3 s as it is by default."""
    figures, manners = [], Manners(stage).all()
    for period_ms, timeout in ((500, "1s"), (3000, "1s")):
        stage.fresh_source()
        probe = {"path": "/-/ambassador/ready", "port": "8080", "period": f"{period_ms}ms", "timeout": timeout, "failureThreshold": "3"}
        stage.link(probeSpec=probe)
        agent = stage.agent()
        agent.wait_ready()
        haproxy = Haproxy(stage.folder, stage.target.gateway.addresses[0], period_ms) if shutil.which("haproxy") else None
        try:
            for what, (die, come_back) in manners.items():
                pairs = [trial(stage, agent, haproxy, die, come_back) for _ in range(trials)]
                ours, theirs = [o for o, _ in pairs], [t for _, t in pairs if t is not None]
                say(f"{what} at {period_ms} ms: {sorted(round(o, 2) for o in ours)}, HAProxy {sorted(round(t, 2) for t in theirs)}")
                figures.append(Figure(f"detect_{what.replace(' ', '_')}_{period_ms}", f"gateway dead: {what}, period {period_ms / 1000:g} s", "s", ours, theirs,
                                      "floor: HAProxy's checker" if theirs else "HAProxy is not installed"))
        finally:
            if haproxy:
                haproxy.stop()
    return figures


def false_verdicts(stage, seconds):
    """Verdicts that turn while the gateway is well and every core is busy twice over."""
    stage.fresh_source()
    stage.link(probeSpec={"path": "/-/ambassador/ready", "port": "8080", "period": "500ms", "timeout": "1s", "failureThreshold": "3"})
    agent = stage.agent()
    agent.wait_ready()
    wait_until(lambda: agent.gateway("east")["alive"], 30, "the gateway is alive")
    busy = [subprocess.Popen(["timeout", str(seconds), "sh", "-c", "while :; do :; done"]) for _ in range(2 * (os.cpu_count() or 1))]
    for process in busy:
        process.wait()
    dead = len(agent.logs("gateway_dead"))
    say(f"false verdicts in {seconds} s: {dead}")
    return [Figure("false_verdicts", f"false verdicts in {datetime.timedelta(seconds=seconds)} of a loaded machine", "verdicts", [dead])]
