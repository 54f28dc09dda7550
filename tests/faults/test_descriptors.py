"""The real binary with room for n open files, for each n from too few to enough: it ends with an error that says what is wrong, or works as soon as there
are more, and keeps none open that it does not need."""
import concurrent.futures
import pathlib
import resource
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "cli"))
from program import wait_until  # noqa: E402

from test_faults import PATIENCE, Lab, at_rest  # noqa: E402

FEWEST = 4     # standard streams, and one to load libraries with
ENOUGH = 60    # far more than the program has open in this lab
TOGETHER = 8
TOLERANCE = 3  # of connections that are kept for a while


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


if __name__ == "__main__":
    unittest.main()
