"""The Prometheus rules: each alert fires and is quiet as alert_cases.py says, and says what it is and where to read on."""
import json
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

from alert_cases import CASES, SLOW_CASES

ROOT = pathlib.Path(__file__).parents[2]
ALL = {**CASES, **SLOW_CASES}
RULES = ROOT / "deploy/monitoring/prometheusrule.yaml"
# As the documents tell users of a Prometheus without the operator to do.
GROUPS_ALONE = ["sed", "-n", r"/^spec:/,$ s/^  //p", str(RULES)]


def promtool(*argv, folder):
    result = subprocess.run(["promtool", *argv], cwd=folder, text=True, capture_output=True, check=False)
    return result.returncode, result.stdout + result.stderr


class Text(unittest.TestCase):
    """What needs no promtool."""

    def setUp(self):
        self.text = RULES.read_text(encoding="utf-8")
        self.alerts = {block.split("\n", 1)[0].strip(): block for block in self.text.split("- alert: ")[1:]}

    def test_each_alert_has_both_cases(self):
        self.assertEqual(set(self.alerts), set(ALL))
        for alert, cases in ALL.items():
            self.assertTrue(any(firing for *_, firing in cases), f"{alert} never fires")
            self.assertTrue(any(not firing for *_, firing in cases), f"{alert} always fires")

    def test_each_alert_says_what_it_is_and_where_to_read_on(self):
        document = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
        for alert, block in self.alerts.items():
            self.assertRegex(block, r"summary: \S")
            self.assertRegex(block, r"description: \S")
            self.assertRegex(block, r"severity: (critical|warning)\n")
            self.assertIn(f"runbook_url: docs/alerts.md#{alert.lower()}\n", block)
            self.assertIn(f"\n### {alert}\n", document)
        self.assertEqual(set(re.findall(r"^### (\w+)$", document, re.M)), set(self.alerts), "docs/alerts.md tells of no other")

    def test_each_metric_exists(self):
        known = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/metrics.md").read_text(encoding="utf-8"), re.M))
        expressions = "\n".join(re.findall(r"expr: (?:\|\n)?(.*?)\n      (?:for|labels)", self.text, re.S))
        asked = set(re.findall(r"\b((?:svcmirror|gateway|process)_\w+?)(?:_bucket)?(?=[\[{) ])", expressions))
        asked -= {"gateway_namespace", "gateway_name"}
        self.assertGreater(len(asked), 15)
        self.assertLessEqual(asked, known)


@unittest.skipIf(shutil.which("promtool") is None, "promtool is not installed: it is in Debian's package prometheus")
class Firing(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(prefix="svcmirror-rules-")
        self.addCleanup(self.folder.cleanup)
        groups = subprocess.run(GROUPS_ALONE, text=True, capture_output=True, check=True).stdout
        (pathlib.Path(self.folder.name) / "svcmirror.rules.yaml").write_text(groups, encoding="utf-8")

    def judge(self, cases, every):
        """Runs (alert, shows, series, when, firing) and returns what promtool has to object."""
        def sample(alert, labels):
            all_labels = {**labels, "alertname": alert, "alertstate": "firing", "severity": self.severity(alert)}
            return {"labels": "ALERTS{" + ",".join(f'{name}="{value}"' for name, value in all_labels.items()) + "}", "value": 1}

        tests = [{"name": f"{alert}: {shows}", "interval": every,
                  "input_series": [{"series": name, "values": values} for name, values in series.items()],
                  "promql_expr_test": [{"expr": f'ALERTS{{alertname="{alert}",alertstate="firing"}}', "eval_time": when,
                                        "exp_samples": [sample(alert, labels) for labels in firing]}]}
                 for alert, shows, series, when, firing in cases]
        path = pathlib.Path(self.folder.name) / "test.yaml"
        path.write_text(json.dumps({"rule_files": ["svcmirror.rules.yaml"], "evaluation_interval": every, "tests": tests}), encoding="utf-8")
        return promtool("test", "rules", path.name, folder=self.folder.name)

    def severity(self, alert):
        block = RULES.read_text(encoding="utf-8").split(f"- alert: {alert}\n")[1]
        return re.search(r"severity: (\w+)", block).group(1)

    def test_rules_are_valid(self):
        code, said = promtool("check", "rules", "--lint=all", "--lint-fatal", "svcmirror.rules.yaml", folder=self.folder.name)
        self.assertEqual(code, 0, said)
        self.assertIn(f"{len(ALL)} rules found", said)

    def test_each_alert_fires_and_is_quiet(self):
        for cases, every in ((CASES, "15s"), (SLOW_CASES, "5m")):
            code, said = self.judge([(alert, *case) for alert, of_it in cases.items() for case in of_it], every)
            self.assertEqual(code, 0, said)

    def test_a_wrong_expectation_is_noticed(self):
        """The judge itself: each case with the opposite expected of it is objected to."""
        wrong = [(alert, *case[:3], []) for alert, of_it in CASES.items() for case in of_it if case[3]]
        code, said = self.judge(wrong, "15s")
        self.assertNotEqual(code, 0)
        for alert, *_ in wrong:
            self.assertIn(f'alertname="{alert}"', said)

    def test_texts_are_filled_in(self):
        """One alert whole, as people get it."""
        (shows, series, when, [labels]) = CASES["SvcmirrorGatewayAddressDead"][0]
        test = {"rule_files": ["svcmirror.rules.yaml"], "evaluation_interval": "15s", "tests": [{
            "interval": "15s", "input_series": [{"series": name, "values": values} for name, values in series.items()],
            "alert_rule_test": [{"alertname": "SvcmirrorGatewayAddressDead", "eval_time": when, "exp_alerts": [{
                "exp_labels": {**labels, "severity": "warning"}, "exp_annotations": {
                    "summary": "An address of a gateway of cluster east is dead.",
                    "description": "Address 192.0.2.1 of gateway ambassador/ambassador of cluster east does not answer; others do, and take the traffic.",
                    "runbook_url": "docs/alerts.md#svcmirrorgatewayaddressdead"}}]}]}]}
        (pathlib.Path(self.folder.name) / "texts.yaml").write_text(json.dumps(test), encoding="utf-8")
        code, said = promtool("test", "rules", "texts.yaml", folder=self.folder.name)
        self.assertEqual(code, 0, said)


if __name__ == "__main__":
    unittest.main()
