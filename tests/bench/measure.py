"""Measures the agent beside its floors on real control planes. Run it by `./tests/run bench`, or inside tests/cluster/enter.

Prints a table, keeps it as JSON (`--json FILE`), and ends with 1 when a figure breaks its budget of budgets.toml. With `--small` everything runs once with a
few objects, which shows that the bench works, and no budget is judged.
"""
import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]

import detection  # noqa: E402
import failover  # noqa: E402
import first_sync  # noqa: E402
import latency  # noqa: E402
import many_links  # noqa: E402
import standing  # noqa: E402
from figures import read_budgets, table, write_json  # noqa: E402
from stage import Stage, say  # noqa: E402

FULL = {"sizes": [1000, 5000, 10000], "trials": [15, 2, 2], "creations_in_flight": [4, 8, 16], "updates_in_flight": [8, 16, 32], "failover_at": 5000, "failovers": 20,
        "restarts": 9, "exports": 300, "links": 10, "services": 1000, "idle": 60, "detections": 6, "loaded": 600, "unexported": 20000, "noise": 20,
        "many": 250, "many_services": 40}
SMALL = {"sizes": [10, 20], "trials": [2, 1], "creations_in_flight": [4, 8], "updates_in_flight": [8], "failover_at": 10, "failovers": 1, "restarts": 3,
         "exports": 10, "links": 2, "services": 5, "idle": 1, "detections": 1, "loaded": 2, "unexported": 20, "noise": 2, "many": 5, "many_services": 4}


def mirrors(stage, size):
    """First syncs of several sizes, and with their mirrors in place a failover, exports, and restarts."""
    def after(stage, agent, count):
        found = []
        if count == size["failover_at"]:
            stage.source.ensure_namespace("fast")
            stage.target.ensure_namespace("fast")
            found += failover.measure(stage, agent, size["failovers"], size["updates_in_flight"])
        if count == size["sizes"][-1]:
            found += standing.restart(stage, agent, count, size["restarts"])[1]
        return found
    return first_sync.measure(stage, size["sizes"], size["trials"], size["creations_in_flight"], after)


MEASURES = {
    "mirrors": mirrors,
    "links": lambda stage, size: (stage.export(size["services"], "even"), standing.ten_links(stage, size["services"], size["links"], size["idle"]),
                                  stage.withdraw("even"))[1],
    "latency": lambda stage, size: latency.measure(stage, size["exports"], size["failover_at"]),
    "detection": lambda stage, size: detection.measure(stage, size["detections"]) + detection.false_verdicts(stage, size["loaded"]),
    "unexported": lambda stage, size: standing.unexported(stage, size["unexported"], size["noise"]),
    "many": lambda stage, size: many_links.measure(stage, size["many"], size["many_services"], size["idle"]),
}


def run(names, size, folder):
    """The figures, and the names of measures that failed."""
    stage, figures, failed = Stage(folder).start(), [], []
    try:
        for name in names:
            say(f"measure {name}")
            try:
                figures += MEASURES[name](stage, size)
            except Exception:  # the others are still worth having
                traceback.print_exc()
                failed.append(name)
    finally:
        stage.stop()
    return figures, failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a few objects, and no judgement")
    parser.add_argument("--json", metavar="FILE", help="where the figures are kept")
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"just these: {', '.join(MEASURES)}")
    options = parser.parse_args()
    unknown = [name for name in options.measures if name not in MEASURES]
    if unknown:
        parser.error(f"there is no measure {unknown[0]}: there are {', '.join(MEASURES)}")
    budgets = read_budgets(os.path.join(HERE, "budgets.toml"))
    folder, began = tempfile.mkdtemp(prefix="svcmirror-bench-"), time.time()
    figures, failed = run(options.measures or list(MEASURES), SMALL if options.small else FULL, folder)
    print("\n".join(table(figures, {} if options.small else budgets)))
    about = {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began)), "seconds": round(time.time() - began), "cores": os.cpu_count(),
             "machine": platform.machine(), "kernel": platform.release(), "small": options.small}
    if options.json:
        write_json(options.json, figures, budgets, about)
    broken = [] if options.small else [f"{f.what}: {broken}" for f in figures if (broken := f.judge(budgets.get(f.key, {})))]
    for line in broken:
        print(f"bench: over budget: {line}", file=sys.stderr)
    for name in failed:
        print(f"bench: {name} could not be measured; logs are in {folder}", file=sys.stderr)
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
    return 2 if failed else 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
