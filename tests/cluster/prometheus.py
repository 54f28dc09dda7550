"""A real Prometheus that scrapes agents, with the rules of deploy/monitoring."""
import json
import math
import os
import shutil
import subprocess
import urllib.parse
import urllib.request

from .processes import Process
from .wait import wait_until

RULES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "deploy", "monitoring", "prometheusrule.yaml")


def prometheus():
    return shutil.which("prometheus")


class Prometheus:
    """`agents`: {pod: address}. Scrapes and judges each second, so that a test need not wait for minutes."""

    def __init__(self, folder, agents, address="127.0.0.1:9090"):
        self.folder, self.address = os.path.join(folder, "prometheus"), address
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, "svcmirror.rules.yaml"), "w", encoding="utf-8") as file:
            subprocess.run(["sed", "-n", r"/^spec:/,$ s/^  //p", RULES], stdout=file, check=True)
        config = os.path.join(self.folder, "prometheus.yaml")
        with open(config, "w", encoding="utf-8") as file:
            targets = [{"targets": [agent], "labels": {"namespace": "linkerd-multicluster", "pod": pod, "container": "svcmirror"}}  # as a PodMonitor gives them
                       for pod, agent in agents.items()]
            json.dump({"global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": ["svcmirror.rules.yaml"],
                       "scrape_configs": [{"job_name": "linkerd-multicluster/svcmirror", "static_configs": targets}]}, file)
        self.process = Process("prometheus", [prometheus(), "--config.file", config, "--storage.tsdb.path", os.path.join(self.folder, "data"),
                                              "--web.listen-address", address, "--log.level", "warn"], self.folder)

    def start(self):
        self.process.start()

        def scraped():
            self.process.require()
            return all(t["health"] == "up" for t in self.ask("targets")["activeTargets"]) and self.query("svcmirror_build_info")
        wait_until(scraped, 30, "Prometheus has scraped every agent", 0.2)
        return self

    def stop(self):
        self.process.stop()

    def ask(self, path, **query):
        with urllib.request.urlopen(f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        """[(labels, value)] of an instant query; numbers that are none (0/0) are left out."""
        found = [(s["metric"], float(s["value"][1])) for s in self.ask("query", query=expression)["result"]]
        return [(labels, value) for labels, value in found if math.isfinite(value)]

    def alerts(self):
        """{name: [labels]} of those that fire or are about to."""
        found = {}
        for alert in self.ask("alerts")["alerts"]:
            found.setdefault(alert["labels"]["alertname"], []).append({k: v for k, v in alert["labels"].items() if k not in ("alertname", "severity")})
        return found

    def rules(self):
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]
