"""The real binary with room for n open files, for each n from too few to enough: at its start it ends with an error that says what is wrong, or works as
soon as there are more; when a server breaks its connections and there is no room for new ones, it waits for that. It keeps none open that it does not need."""
import concurrent.futures
import pathlib
import resource
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "cli"))
from program import wait_until  # noqa: E402

import faults  # noqa: E402
from test_faults import LATER, PATIENCE, Lab, at_rest, settle, without_faults  # noqa: E402

FEWEST = 4     # standard streams, and one to load libraries with
ENOUGH = 60    # far more than the program has open in this lab
TOGETHER = 12
TOLERANCE = 3  # of connections that are kept for a while
NONE = 3       # standard streams: nothing new can be opened, whatever is closed
SECOND_TRY_S = 2  # longer than the first back-off, 0.8 to 1.6 s
# What ends a connection, or makes it unusable: another has to be made.
BREAKS = (("relist", faults.LISTS, ("reset_at_once", "reset_in_the_body", "ends_in_the_middle", "garbage", "shorter_than_it_says")),
          ("watch", faults.WATCHES, ("reset_at_once", "closed_at_once", "garbage", "410")),
          ("event", faults.EVENTS, ("reset", "lost", "ends_in_the_middle", "ends_in_a_chunk", "malformed")))


def open_files(lab):
    return len(list(pathlib.Path(f"/proc/{lab.agent.process.pid}/fd").iterdir()))


def set_limit(lab, limit):
    try:
        resource.prlimit(lab.agent.process.pid, resource.RLIMIT_NOFILE, (limit, 4096))
    except ProcessLookupError:
        pass  # it has ended, which is looked at next


def is_short(lab):
    return "Too many open files" in lab.agent.log() or "descriptors" in lab.agent.log()


def without_a_limit():
    lab = Lab()
    try:
        lab.start()
        lab.agent.wait()
        wait_until(lambda: lab.source.get("services", "demo", "web3-west"), PATIENCE, "the mirrors")
        return at_rest(lab), open_files(lab)
    finally:
        lab.close()


def start_with(limit, expected, at_rest_files):
    """@return ("ended" or "recovered" or "unhindered", what is wrong or "")."""
    lab = Lab()
    try:
        lab.start(descriptors=limit)
        wait_until(lambda: lab.agent.process.poll() is not None or is_short(lab) or lab.mirrors() == expected, PATIENCE, "an end, a complaint or the mirrors")
        kind = "recovered" if is_short(lab) else "unhindered"
        set_limit(lab, ENOUGH)
        wait_until(lambda: lab.agent.process.poll() is not None or lab.mirrors() == expected, PATIENCE, "an end, or the mirrors once there are descriptors")
        if lab.agent.process.poll() is not None:
            code, log = lab.agent.process.returncode, lab.agent.log()
            clean = code in (1, 127) and ("Too many open files" in log or "descriptors" in log or "Error 24" in log or "error while loading" in log)
            return "ended", "" if clean else f"ended with {code} and said:\n{log[-2000:]}"
        lab.agent.wait()
        wait_until(lambda: open_files(lab) <= at_rest_files + TOLERANCE, PATIENCE, f"no more than {at_rest_files} open files")
        if lab.deletes():
            return kind, f"deleted {lab.deletes()}"
        code, _ = lab.agent.end(signal.SIGTERM)
        return kind, "" if code == 0 else f"ended with {code}\n{lab.agent.log()[-2000:]}"
    except AssertionError as failure:
        return "stuck", f"{str(failure)[:500]}\n{lab.agent.log()[-2000:] if lab.agent else ''}"
    finally:
        lab.close()


def tried_in_vain(lab):
    """An outage is logged in the words of its first failure, which may be the fault's own: then the next try is the one without a descriptor."""
    first = None

    def check():
        nonlocal first
        if first is None and "_watch_failed" in lab.agent.log():
            first = time.monotonic()
        return is_short(lab) or first is not None and time.monotonic() - first > SECOND_TRY_S
    return check


def break_with(limit, expected, side, resource, position, fault):
    """A fault of a server in an agent at rest, which can have no file numbered `limit` or more until it has complained, or done all without.
    @return ("recovered" or "unhindered", what is wrong or "")."""
    (before, after), deletes = expected
    lab = Lab()
    server, (armed, order) = getattr(lab, side), LATER[position]
    try:
        lab.start()
        settle(lab, before, "the first mirrors")
        wait_until(lambda: server.is_watched(resource), PATIENCE, "a watch")
        at_first = open_files(lab)
        set_limit(lab, limit)
        server.arm(resource, armed, fault)
        server.order(resource, order)
        lab.change()
        hindered = tried_in_vain(lab)
        wait_until(lambda: hindered() or not server.is_armed() and lab.mirrors() == after, PATIENCE, "a complaint, or the mirrors after the change")
        kind = "recovered" if hindered() else "unhindered"
        set_limit(lab, ENOUGH)
        wait_until(lambda: not server.is_armed(), PATIENCE, "the fault")
        settle(lab, after, "the mirrors once there are descriptors")
        wait_until(lambda: open_files(lab) <= at_first + TOLERANCE, PATIENCE, f"no more than {at_first} open files")
        if lab.deletes() != deletes:
            return kind, f"deleted {lab.deletes()}, and not {deletes}"
        code, _ = lab.agent.end(signal.SIGTERM)
        return kind, "" if code == 0 else f"ended with {code}\n{lab.agent.log()[-2000:]}"
    except AssertionError as failure:
        return "stuck", f"{str(failure)[:500]}\n{lab.agent.log()[-2000:] if lab.agent else ''}"
    finally:
        lab.close()


class Descriptors(unittest.TestCase):
    def test_a_start_with_any_number_of_descriptors(self):
        expected, files = without_a_limit()
        self.assertLess(files, ENOUGH)
        limits = range(FEWEST, files + 6)
        with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
            results = dict(zip(limits, pool.map(lambda limit: start_with(limit, expected, files), limits)))
        wrong = [f"with {limit}: {kind}: {text}" for limit, (kind, text) in results.items() if text]
        self.assertFalse(wrong, "\n".join(wrong))
        self.assertEqual({kind for kind, _ in results.values()}, {"ended", "recovered", "unhindered"}, results)

    def test_broken_connections_without_descriptors_for_others(self):
        expected, (_, files) = without_faults(), without_a_limit()
        cases = {f"{side} {resource} {position} {name}, none": (NONE, expected, side, resource, position, known[name])
                 for side, resource in (("target", "services"), ("source", "services")) for position, known, names in BREAKS for name in names}
        cases |= {f"event reset, {limit}": (limit, expected, "target", "services", "event", faults.EVENTS["reset"]) for limit in range(files - 8, files + 4)}
        with concurrent.futures.ThreadPoolExecutor(TOGETHER) as pool:
            results = dict(zip(cases, pool.map(lambda case: break_with(*case), cases.values())))
        wrong = [f"{name}: {kind}: {text}" for name, (kind, text) in results.items() if text]
        self.assertFalse(wrong, "\n".join(wrong))
        self.assertEqual({kind for kind, _ in results.values()}, {"recovered", "unhindered"}, results)


if __name__ == "__main__":
    unittest.main()
