"""Targets whose answers come a byte a second beside ordinary ones: the ordinary ones' mirrors are as without, at once; each slow one is named; and what it has
begun to say is taken as soon as it comes."""
import json
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "cli"))
from program import wait_until  # noqa: E402

from test_faults import PATIENCE, Lab, differences, without_faults  # noqa: E402
from trickle import Trickle  # noqa: E402

SLOW = ("heads", "lists", "watches")
AT_ONCE_S = 6   # the change, on a busy machine; every slow link takes longer for the first line of an answer
OLD_S = 8       # nobody else's last sign of life is so long ago: bookmarks follow each event, and the change is just made


def metric(lab, name):
    """{cluster: value}"""
    lines = [line for line in lab.agent.get("/metrics")[1].splitlines() if line.startswith(name + "{")]
    return {line.split('"')[1]: float(line.split()[-1]) for line in lines}


def of_ordinary(lab):
    return {key: one for key, one in lab.mirrors().items() if not any(name in key for name in SLOW)}


class Trickles(unittest.TestCase):
    def test_a_byte_a_second(self):
        (before, after), deletes = without_faults()
        lab = Lab()
        ways = {name: Trickle(name, lab.target.http.server_port) for name in SLOW}
        try:
            for name, way in ways.items():
                lab.link_more(name, way.url)
            lab.start()
            self.others_settle(lab, before, "the first mirrors of the others")
            self.comes_to_the_same(lab, "watches", before)  # its lists come at once
            lab.change()
            began = time.monotonic()
            self.others_settle(lab, after, "the others' mirrors after the change")
            self.assertLess(time.monotonic() - began, AT_ONCE_S)
            self.slow_ones_are_named(lab)
            for name, way in ways.items():
                self.assertGreater(way.sent, OLD_S / 2, name)
            self.assertEqual(lab.deletes(), deletes)
            for way in ways.values():
                way.hurries.set()
            for name in SLOW:
                self.comes_to_the_same(lab, name, after)
            self.assertEqual(lab.agent.get("/ready")[0], 200)
            self.assertEqual(lab.agent.end(signal.SIGTERM)[0], 0)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{lab.agent.log()[-3000:]}") from None
        finally:
            for way in ways.values():
                way.close()
            lab.close()

    def others_settle(self, lab, wanted, what):
        try:
            wait_until(lambda: of_ordinary(lab) == wanted, PATIENCE, what)
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{differences(of_ordinary(lab), wanted)}") from None

    def slow_ones_are_named(self, lab):
        """By the age of what is known of them, and those of which nothing is known by that."""
        old = lambda: {cluster for cluster, age in metric(lab, "svcmirror_link_event_age_seconds").items() if age > OLD_S}
        wait_until(lambda: set(SLOW) <= old(), PATIENCE, "their age")
        self.assertEqual({cluster for cluster, synced in metric(lab, "svcmirror_link_synced").items() if not synced}, {"heads", "lists"})
        links = {link["clusterName"]: link for link in json.loads(lab.agent.get("/api/v1/links")[1])}
        self.assertEqual({name for name, link in links.items() if not link["synced"]}, {"heads", "lists"})

    def comes_to_the_same(self, lab, name, state):
        """As east's, but for the name."""
        def as_east():
            return {key.replace(name, "east"): json.loads(json.dumps(one).replace(name, "east")) for key, one in lab.mirrors().items() if name in key}
        wanted = {key: one for key, one in state.items() if "east" in key}
        try:
            wait_until(lambda: as_east() == wanted, PATIENCE, f"the mirrors of {name}")
        except AssertionError as failure:
            raise AssertionError(f"{failure}\n{differences(as_east(), wanted)}") from None


if __name__ == "__main__":
    unittest.main()
