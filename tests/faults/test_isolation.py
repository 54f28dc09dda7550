"""A target that sends as fast as it can beside an ordinary one: the ordinary one's exports are mirrored about as fast as without, and its services are not
touched otherwise."""
import pathlib
import signal
import statistics
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "cli"))
from program import wait_until  # noqa: E402

from test_faults import PATIENCE, Lab, service  # noqa: E402

EXPORTS = 15
# Of the source's API server all have one; the flood's writes, in Python, take most of a processor besides. What counts is that nobody waits for its end.
TIMES, SLACK_S = 10, 1


def export_times(lab, prefix):
    """How long each of some new services takes until its mirror is there."""
    times = []
    for i in range(EXPORTS):
        name = f"{prefix}{i}"
        began = time.monotonic()
        lab.target.put("services", service(name))
        wait_until(lambda name=name: lab.source.get("services", "demo", f"{name}-east"), PATIENCE, f"the mirror of {name}")
        times.append(time.monotonic() - began)
    return times


class Isolation(unittest.TestCase):
    def beside(self, how, is_flooding, *flags):
        lab = Lab()
        flood = subprocess.Popen([sys.executable, "-B", "flood.py", how], stdout=subprocess.PIPE, text=True, cwd=pathlib.Path(__file__).parent)
        try:
            lab.start("--max-link-memory", "2", *flags)
            lab.agent.wait()
            wait_until(lambda: lab.source.get("services", "demo", "web3-east"), PATIENCE, "the first mirrors")
            quiet = export_times(lab, "quiet")
            lab.link_more("flood", f"http://127.0.0.1:{int(flood.stdout.readline())}")
            wait_until(lambda: is_flooding(lab), PATIENCE, "the flood")
            loud = export_times(lab, "loud")
            self.assertTrue(is_flooding(lab))
            print(f"\n{how}: exported to mirrored {statistics.median(quiet) * 1000:.0f} ms, at most {max(quiet) * 1000:.0f} ms; beside the flood "
                  f"{statistics.median(loud) * 1000:.0f} ms, at most {max(loud) * 1000:.0f} ms", file=sys.stderr)
            self.assertLess(statistics.median(loud), TIMES * statistics.median(quiet) + SLACK_S)
            self.assertEqual(lab.deletes(), [])
            wait_until(lambda: lab.agent.get("/ready")[0] == 200, PATIENCE, "readiness, which does not wait for a list without an end")
            return lab.agent.get("/metrics")[1]
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{lab.agent.log()[-3000:]}") from None
        finally:
            flood.kill()
            flood.wait()
            flood.stdout.close()
            code, _ = lab.agent.end(signal.SIGTERM)
            lab.close()
            self.assertEqual(code, 0)

    def test_a_list_without_an_end(self):
        metrics = self.beside("endless", lambda lab: "target_too_large" in lab.agent.log())
        kept = [float(line.split()[1]) for line in metrics.splitlines() if line.startswith('svcmirror_link_kept_bytes{target_cluster_name="flood"')]
        self.assertLess(kept[0], 2.1 * 2**20)

    def test_changes_without_a_pause(self):
        self.beside("churn", lambda lab: any(name.endswith("-flood") for _, name in lab.source.objects["services"].copy()))


if __name__ == "__main__":
    unittest.main()
