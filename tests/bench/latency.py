"""From a service that is exported to its mirror that is ready: the agent's own share of it, by the audit logs of both API servers, beside that of a client
that has nothing to think about, at the same time and between the same API servers."""
import json
import statistics
import time

from bare_mirror import BareMirror
from figures import Figure
from stage import say, seconds_of
from cluster.wait import wait_until

RATE = 5  # exports a second, half of them the bare client's: two API servers on two cores with thousands of Services create some 15 of them a second
BARE = {"svcmirror.io/bench": "bare"}
SELECTOR = "svcmirror.io%2Fbench%3Dbare"


def percentile(values, percent):
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def creations(cluster, agent):
    """{name: {resource: (received, answered)}} of what the client created in the namespace `fast`."""
    times = {}
    for write in cluster.writes(agent):
        if write["objectRef"].get("namespace") == "fast" and write["verb"] == "create" and write["responseStatus"]["code"] == 201:
            name = write["requestObject"]["metadata"]["name"].split("-")[0]
            times.setdefault(name, {})[write["objectRef"]["resource"]] = seconds_of(write["requestReceivedTimestamp"]), seconds_of(write["stageTimestamp"])
    return times


def share(made, mirror):
    """Milliseconds from the target's answer to the creation of a Service to the source's receipt of its mirror, and from its answer to the receipt of the slice."""
    return 1000 * (mirror["services"][0] - made["services"][1] + mirror["endpointslices"][0] - mirror["services"][1])


def mirrored(stage, client, names):
    """Whether all have their slices in the source."""
    found = creations(stage.source, client)
    return all("endpointslices" in found.get(name, {}) for name in names)


def exports(stage, first, count, key, what):
    """Exports services one after another in the namespace `fast`, the agent's and the bare client's by turns, so that neither waits for the other."""
    numbers = range(first, first + count)
    names = {"svcmirror": [f"fast{n}" for n in numbers], "bare": [f"bare{n}" for n in numbers]}
    requests = [stage.exports(names["svcmirror"], "fast"), stage.exports(names["bare"], "fast", BARE)]
    with BareMirror(stage.target, stage.source, SELECTOR):
        stage.load(stage.target, [request for pair in zip(*requests) for request in pair], 4, rate=RATE)
        for client, theirs in names.items():
            wait_until(lambda: mirrored(stage, client, theirs), 300, f"{count} more are mirrored by {client}", 1)
    made = creations(stage.target, "load")
    agents, bare = ([share(made[n], found[n]) for n in names[client]]
                    for client, found in ((c, creations(stage.source, c)) for c in ("svcmirror", "bare")))
    say(f"{what}: p50 {percentile(agents, 50):.1f} ms, p99 {percentile(agents, 99):.1f} ms; bare {percentile(bare, 50):.1f}, {percentile(bare, 99):.1f} ms")
    return [Figure(f"{key}_p{percent}", f"export to ready mirror, the agent's share, {what}, p{percent}", "ms", [percentile(agents, percent)],
                   [percentile(bare, percent)]) for percent in (50, 99)]


def begun(stage):
    """Whether the other link has a Service here: they all come before the first slice, so the agent itself counts no mirror for long."""
    _, found = stage.source.api.raw("GET", "/api/v1/services?limit=1&labelSelector=mirror.linkerd.io%2Fcluster-name%3Dother")
    return json.loads(found)["items"] != []


def begin(stage):
    stage.fresh_source()
    stage.link()
    agent = stage.agent()
    agent.wait_ready()
    return agent


def measure(stage, count, many):
    """At rest, then while another link's first sync is under way, then with that link's mirrors in place."""
    stage.target.ensure_namespace("fast")
    stage.export(many, "others", labels={"mirror.linkerd.io/exported": "others"})
    stage.namespaces.append("fast")
    agent = begin(stage)
    time.sleep(2)
    figures = exports(stage, 0, count, "export_at_rest", "at rest")
    stage.link("other", selector={"matchLabels": {"mirror.linkerd.io/exported": "others"}})
    wait_until(lambda: begun(stage), 120, "the other link's sync has begun", 0.2)
    figures += exports(stage, count, count // 2, "export_in_sync", f"in a first sync of {many:,} of another link")
    within = stage.mirrored(agent).get("other", 0)
    stage.await_mirrored(agent, many + count + count // 2)
    time.sleep(2)
    figures += exports(stage, 2 * count, count, "export_with_many", f"with {many:,} mirrors")
    figures[2].note = f"{within:,.0f} of the other link were there at its end"
    stage.withdraw("others")
    stage.withdraw("fast")
    return figures
