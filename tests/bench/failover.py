"""A gateway dies and comes back with very many mirrors: from the verdict to the last endpoint, beside the same updates by the load program."""
import copy
import time

from figures import Figure
from stage import best_parallel, loop_figures, say, seconds_of
from cluster.wait import wait_until

SETTLE_SECONDS = 10  # the control plane is still busy with the writes before; it rests before each floor too, while the slices are listed and what is sent is made
VERDICT_TO = {False: "gateway_dead", True: "gateway_alive"}


def flips(agent):
    """How many changes of verdict all endpoints have followed."""
    return sum(v for k, v in agent.metrics().items() if k.startswith("svcmirror_flip_duration_seconds_count"))


def flip(stage, agent, alive):
    """The gateway ends or begins to answer. Returns the agent's updates that followed the verdict, and the seconds from it to the answer of the last."""
    done, offset = flips(agent), stage.source.audit_size()  # of a log that has grown to hundreds of megabytes
    (stage.target.gateway.start if alive else stage.target.gateway.stop)()
    wait_until(lambda: [g["alive"] for g in agent.gateways()] == [alive], 60, "the verdict is there", 0.05)
    verdict = seconds_of(agent.logs(VERDICT_TO[alive])[-1]["ts"])
    wait_until(lambda: flips(agent) > done, 120, "all endpoints follow", 0.5)
    writes = [w for w in stage.mirror_writes(verdict - 0.001, offset) if w["objectRef"]["resource"] == "endpointslices"]
    return writes, max(seconds_of(w["stageTimestamp"]) for w in writes) - verdict


def updates(stage, writes, ready, verb="PUT"):
    """The same updates once more, with what the slices' versions are now and their endpoints as `ready` says."""
    versions = {s["metadata"]["name"]: s for s in stage.source.api.list("endpointslices")}
    requests = []
    for write in writes:
        there = versions[write["objectRef"]["name"]]
        body = copy.deepcopy(write["requestObject"])
        endpoints = body["endpoints"] if isinstance(body, dict) and "endpoints" in body else there["endpoints"]
        for endpoint in endpoints:
            endpoint["conditions"] = {"ready": ready}
        request = {"method": verb, "path": write["requestURI"], "body": body}  # with its field manager: another's fields would make the objects larger
        if verb == "PUT":
            body["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"]
        elif verb == "PATCH":
            request |= {"type": "application/merge-patch+json", "body": {"metadata": {"resourceVersion": there["metadata"]["resourceVersion"]},
                                                                          "endpoints": endpoints}}
        elif verb == "JSON PATCH":
            request |= {"method": "PATCH", "type": "application/json-patch+json", "body": [
                {"op": "replace", "path": "/endpoints", "value": endpoints}]}
        requests.append(request)
    return requests


def again(stage, mirrors):
    """An agent with so many mirrors in place, whose gateway answers."""
    agent = stage.agent()
    stage.await_mirrored(agent, mirrors)
    wait_until(lambda: [g["alive"] for g in agent.gateways()] == [True], 60, "the gateway answers", 0.05)
    return agent


class Floors:
    """The load program flips the same slices to and fro."""

    def __init__(self, stage, writes):
        self.stage, self.writes, self.ready = stage, writes, True

    def flip(self, parallel, verb="PUT", http2=False):
        """In seconds."""
        self.ready = not self.ready
        return self.stage.load(self.stage.source, updates(self.stage, self.writes, self.ready, verb), parallel, http2=http2)["seconds"]

    def make_ready(self, parallel):
        if not self.ready:
            self.flip(parallel)


def other_ways(floors, best):
    """What the same updates take in other ways."""
    ways = (("PUT, HTTP/2", "PUT", True), ("merge patch", "PATCH", False), ("JSON patch", "JSON PATCH", False))
    text = ", ".join(f"{what} {floors.flip(best, verb, http2):.2f} s" for what, verb, http2 in ways)
    say(f"other ways: {text}")
    return text


def measure(stage, agent, trials, parallels):
    """With the agent running and all mirrors ready; it is ended. Its failovers and the floors take turns: a machine does not stay as fast as it was."""
    down, up, readings, taken, best = [], [], [], [], None
    mirrors = sum(stage.mirrored(agent).values())
    for trial in range(trials):
        agent = agent if trial == 0 else again(stage, mirrors)
        before = agent.metrics()
        time.sleep(SETTLE_SECONDS)
        writes, took = flip(stage, agent, False)
        down.append(took)
        time.sleep(SETTLE_SECONDS)
        up.append(flip(stage, agent, True)[1])
        readings.append((before, agent.metrics()))
        agent.stop()
        floors = Floors(stage, writes)
        if best is None:
            best, tried = best_parallel(floors.flip, parallels)
        taken += [floors.flip(best), floors.flip(best)]
        floors.make_ready(best)
        say(f"failover of {len(writes)}: {took:.2f} s, back {up[-1]:.2f} s; floors {taken[-2]:.2f} s, {taken[-1]:.2f} s")
    others = other_ways(floors, best)
    floors.make_ready(best)
    note = f"floor: {best} in flight; others, of two: {', '.join(f'{p} in flight {sum(t) / 2:.2f} s' for p, t in tried.items())}; other ways: {others}"
    return [Figure("failover", f"{len(writes):,} endpoints unready, from the verdict", "s", down, taken, note),
            Figure("recovery", f"{len(writes):,} endpoints ready again, from the verdict", "s", up, taken),
            *loop_figures("loop_failover", "in a failover", readings)]
