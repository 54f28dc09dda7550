"""From a service that is exported to its mirror that is ready: the agent's own share of it, by the audit logs of both API servers, beside that of clients
that have nothing to think about, at the same time."""
import json
import statistics
import time

from bare_watcher import BareWatcher
from figures import Figure
from stage import say, seconds_of
from cluster.wait import wait_until

RATE = 5  # exports a second: two API servers on two cores with thousands of Services create some 15 of them a second


def percentile(values, percent):
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def own_times(stage):
    """Of the exports: {name: {resource: (received, answered)}} of what the load program created in the target, and of the agent's creations in the source."""
    found = []
    for cluster, agent in ((stage.target, "load"), (stage.source, "svcmirror")):
        times = {}
        for write in cluster.writes(agent):
            if write["objectRef"].get("namespace") == "fast" and write["verb"] == "create" and write["responseStatus"]["code"] == 201:
                name = write["requestObject"]["metadata"]["name"].split("-")[0]
                times.setdefault(name, {})[write["objectRef"]["resource"]] = seconds_of(write["requestReceivedTimestamp"]), seconds_of(write["stageTimestamp"])
        found.append(times)
    return found


def shares(stage, names, told):
    """[seconds] of the agent, and of bare clients. The agent's: from the target's answer to the creation of the Service to the source's receipt of the mirror's
    Service, and from its answer to the receipt of the mirror's slice. The bare ones': from the same answer until a watcher is told (`told`), and from it until
    the target has received the slice that the load program sends next."""
    created, mirrors = own_times(stage)
    agents = [mirrors[n]["services"][0] - created[n]["services"][1] + mirrors[n]["endpointslices"][0] - mirrors[n]["services"][1] for n in names]
    bare = [told[n] - created[n]["services"][1] + created[n]["endpointslices"][0] - created[n]["services"][1] for n in names]
    return agents, bare


def mirrored(stage):
    """Names of the exports whose slice is there."""
    return {w["requestObject"]["metadata"]["name"].split("-")[0] for w in stage.source.writes("svcmirror")
            if w["objectRef"].get("namespace") == "fast" and w["objectRef"]["resource"] == "endpointslices" and w["responseStatus"]["code"] < 300}


def exports(stage, first, count, key, what):
    """Exports services one after another in the namespace `fast`."""
    names = [f"fast{n}" for n in range(first, first + count)]
    with BareWatcher(stage.target, "mirror.linkerd.io%2Fexported%3Dtrue") as watcher:
        stage.load(stage.target, stage.exports(names, "fast"), 4, rate=RATE)
        wait_until(lambda: set(names) <= mirrored(stage), 300, f"{count} more are mirrored", 1)
    agents, bare = ([1000 * seconds for seconds in each] for each in shares(stage, names, watcher.told()))
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
    figures += exports(stage, count, count, "export_in_sync", f"in a first sync of {many:,} of another link")
    within = stage.mirrored(agent).get("other", 0)
    stage.await_mirrored(agent, many + 2 * count)
    time.sleep(2)
    figures += exports(stage, 2 * count, count, "export_with_many", f"with {many:,} mirrors")
    figures[2].note = f"{within:,.0f} of the other link were there at its end"
    stage.withdraw("others")
    stage.withdraw("fast")
    return figures
