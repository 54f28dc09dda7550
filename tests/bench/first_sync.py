"""The first sync: from the agent's start to the last mirror, beside the same writes by the load program."""
import time

from figures import Figure
from stage import best_parallel, loop_figures, resident_kib, say, seconds_of
from cluster.wait import wait_until

CHOSEN_TO = 5000  # services: the number in flight of the floor is chosen anew for sizes up to this; beyond, where a run takes minutes, it is that of the size before
STATUS_SECONDS = 5  # in which the Link's status is written, and seen: it is kept, and its writing leaves holes


def floor_requests(writes):
    """What the load program sends: the agent's own creations, each slice after its Service was answered, with that one's uid."""
    slices = {}
    for write in writes:
        if write["objectRef"]["resource"] == "endpointslices" and write["verb"] == "create":
            body = write["requestObject"]
            for owner in body["metadata"].get("ownerReferences", []):
                owner["uid"] = "@UID@"
            slices[body["metadata"]["namespace"], body["metadata"]["labels"]["kubernetes.io/service-name"]] = {
                "method": "POST", "path": write["requestURI"], "body": body}
    return [{"method": "POST", "path": w["requestURI"], "body": w["requestObject"],
             "then": slices[w["requestObject"]["metadata"]["namespace"], w["requestObject"]["metadata"]["name"]]}
            for w in writes if w["objectRef"]["resource"] == "services" and w["verb"] == "create"]


def sync(stage, count):
    """The agent mirrors everything of a new source's links. Returns it, and the seconds from its start to the answer of its last write."""
    agent = stage.agent()
    stage.await_mirrored(agent, count)
    writes = stage.mirror_writes(agent.began)
    return agent, max(seconds_of(w["stageTimestamp"]) for w in writes) - agent.began, writes


def floor(stage, requests, parallel):
    """The seconds that the load program needs for the same in a new source."""
    stage.fresh_source()
    took = stage.load(stage.source, requests, parallel)["seconds"]
    say(f"floor with {parallel} in flight: {took:.2f} s")
    return took


def at_rest(agent):
    """Its resident memory in KiB."""
    wait_until(lambda: agent.metrics()["svcmirror_queue_depth"] == 0, 30, "it rests", 0.5)
    time.sleep(STATUS_SECONDS)
    return resident_kib(agent)


def measure(stage, sizes, trials, parallels, after=None):
    """`trials` of each size; the agent and the floor begin them by turns, so that a machine that becomes faster or slower favours neither.
    `after(stage, agent, size)` measures more on the mirrors of a size, with the agent of the last trial still running; gives figures."""
    figures, memory, best, readings, exported = [], {}, None, [], 0
    for size, count in zip(sizes, trials, strict=True):
        stage.export(size - exported, "many", first=exported)
        exported = size
        values, floors, more = [], [], []
        for trial in range(count):
            if trial % 2 == 1:
                floors.append(floor(stage, requests, best))
            stage.fresh_source()
            stage.link()
            agent, took, writes = sync(stage, size)
            values.append(took)
            readings.append(({}, agent.metrics()))
            say(f"first sync of {size}: {took:.2f} s")
            if trial == count - 1:
                memory[size] = at_rest(agent)
                more = after(stage, agent, size) if after else []
            if trial == 0:
                requests = floor_requests(writes)
                if best is None or size <= CHOSEN_TO:
                    best, _ = best_parallel(lambda parallel: floor(stage, requests, parallel), parallels)
            if trial % 2 == 0:
                floors.append(floor(stage, requests, best))
        figures.append(Figure(f"first_sync_{size}", f"first sync of {size:,} services", "s", values, floors, f"floor with {best} in flight"))
        figures += more
    low, high = min(memory), max(memory)
    if high > low:
        figures.append(Figure("memory_per_service", "memory per mirrored service", "KiB", [(memory[high] - memory[low]) / (high - low)],
                              note=", ".join(f"{size:,}: {kib / 1024:.1f} MiB" for size, kib in memory.items())))
    stage.withdraw("many")
    return figures + loop_figures("loop_first_sync", "in a first sync", readings)
