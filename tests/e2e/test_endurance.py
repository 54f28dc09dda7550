"""What a long life brings: churn without growth, and a machine that runs short.

    SVCMIRROR_SOAK_SECONDS=600     a longer soak
"""
import os
import resource
import time

from cluster.api import ApiError
from cluster.wait import wait_until

SOAK_S = float(os.environ.get("SVCMIRROR_SOAK_SECONDS", "30"))
SERVICES = 20


def figures(agent):
    metrics = agent.metrics()
    return metrics["process_resident_memory_bytes"], metrics["process_open_fds"]


def edit(source, mirror):
    """By hand, when the mirror is there."""
    try:
        source.api.patch("services", mirror, {"metadata": {"labels": {"stray": "x"}}}, "churn")
    except ApiError as error:
        if error.status != 404:
            raise


def test_neither_memory_nor_descriptors_grow_under_constant_churn(source, east, agent):
    """Services come, change and go, the gateway flips, mirrors are edited by hand: at the end there is no more than after a third of the time."""
    east.gateway.start()
    east.gateway_service()
    east.link_secret(source)
    one, seen, turn = agent(), [], 0
    began = time.monotonic()
    while time.monotonic() < began + SOAK_S:
        name, turn = f"s{turn % SERVICES}", turn + 1
        there = east.api.find("services", name, "churn")
        if there is None:
            east.export(name, "churn")
        elif turn % 3 == 0:
            east.api.delete("services", name, "churn")
        else:
            east.api.patch("services", name, {"spec": {"ports": [{"name": "http", "port": 1024 + turn % 60000}]}}, "churn")
        if turn % 7 == 0:
            edit(source, f"{name}-east")
        if turn % 100 == 0:
            east.gateway.stop()
            east.gateway.start()
        if turn % 20 == 0:
            seen.append(figures(one))
    exported = {f"{s['metadata']['name']}-east" for s in east.api.list("services", "churn")}
    wait_until(lambda: {s["metadata"]["name"] for s in source.api.list("services", "churn")} == exported, 15, "all is mirrored in the end")
    settled, late = seen[len(seen) // 3:2 * len(seen) // 3], seen[2 * len(seen) // 3:]
    most = [max(values) for values in zip(*settled)]
    end = [min(values) for values in zip(*late)]
    print(f"\n{turn} changes in {SOAK_S:.0f} s: {most[0] / 2**20:.1f} MiB and {most[1]:.0f} descriptors at first, {end[0] / 2**20:.1f} MiB and {end[1]:.0f} at the end")
    assert end[0] <= most[0] + 2**20 and end[1] <= most[1], (most, end)


def test_without_descriptors_nothing_is_believed_dead_and_all_comes_back(source, east, agent):
    """No descriptor is left for a new connection: probes that could not be sent say nothing about the gateway, and the rest waits until there are some."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    one = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "mirrored")
    pid, (soft, hard) = one.process.child.pid, resource.prlimit(one.process.child.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    try:
        east.restart_apiserver()  # its watches want new connections
        east.gateway.stop()
        east.gateway.start()      # and so do the probes
        east.export("later")
        wait_until(lambda: any("Too many open files" in str(entry) or "descriptors" in str(entry) for entry in one.logs()), 15, "the log names the cause")
        assert source.ready_addresses("web-east", "demo") == east.gateway.addresses, "a probe that was not sent is no verdict"
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
    wait_until(lambda: source.ready_addresses("later-east", "demo") == east.gateway.addresses, 60, "what was exported meanwhile is mirrored")
    wait_until(lambda: one.get("/ready")[0] == 200, 10, "ready")
