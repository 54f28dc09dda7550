"""From a service that is exported to its mirror that is ready: the agent's own share of it, by the audit logs of both API servers."""
import json
import statistics
import time

from figures import Figure
from stage import say, seconds_of
from cluster.wait import wait_until


def percentile(values, percent):
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def shares(stage, names):
    """{name: seconds}: from the target's answer to the creation of the Service to the source's receipt of the mirror's Service, and from its answer to the receipt of the
    mirror's slice. It holds what the API server takes to tell its watchers."""
    created, mirror = {}, {}
    for write in stage.target.writes("load"):
        name = write["objectRef"].get("name") or (write.get("requestObject") or {}).get("metadata", {}).get("name", "")
        if write["objectRef"].get("namespace") == "fast" and write["verb"] == "create" and write["objectRef"]["resource"] == "services":
            created[name] = seconds_of(write["stageTimestamp"])
    for write in stage.source.writes("svcmirror"):
        if write["objectRef"].get("namespace") == "fast" and write["verb"] == "create" and write["responseStatus"]["code"] == 201:
            name, resource = write["requestObject"]["metadata"]["name"].split("-")[0], write["objectRef"]["resource"]
            mirror[name, resource] = seconds_of(write["requestReceivedTimestamp"]), seconds_of(write["stageTimestamp"])
    return {name: mirror[name, "services"][0] - created[name] + mirror[name, "endpointslices"][0] - mirror[name, "services"][1] for name in names}


def exports(stage, first, count, rate, key, what):
    """Exports services one after another, `rate` a second, in the namespace `fast`."""
    names = [f"fast{n}" for n in range(first, first + count)]
    stage.load(stage.target, stage.exports(names, "fast"), 4, rate=rate)

    def done():
        ready = {w["requestObject"]["metadata"]["name"].split("-")[0] for w in stage.source.writes("svcmirror")
                 if w["objectRef"].get("namespace") == "fast" and w["objectRef"]["resource"] == "endpointslices" and w["responseStatus"]["code"] < 300}
        return set(names) <= ready
    wait_until(done, 300, f"{count} more are mirrored", 1)
    found = [1000 * seconds for seconds in shares(stage, names).values()]
    say(f"{what}: p50 {percentile(found, 50):.1f} ms, p99 {percentile(found, 99):.1f} ms")
    return [Figure(key + "_p50", f"export to ready mirror, the agent's share, {what}, p50", "ms", [percentile(found, 50)]),
            Figure(key + "_p99", f"export to ready mirror, the agent's share, {what}, p99", "ms", [percentile(found, 99)])]


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
    figures = exports(stage, 0, count, 20, "export_at_rest", "at rest")
    stage.link("other", selector={"matchLabels": {"mirror.linkerd.io/exported": "others"}})
    wait_until(lambda: begun(stage), 120, "the other link's sync has begun", 0.2)
    figures += exports(stage, count, count, 20, "export_in_sync", f"in a first sync of {many:,} of another link")
    within = stage.mirrored(agent).get("other", 0)
    stage.await_mirrored(agent, many + 2 * count)
    time.sleep(2)
    figures += exports(stage, 2 * count, count, 20, "export_with_many", f"with {many:,} mirrors")
    figures[2].note = f"{within:,.0f} of the other link were there at its end"
    stage.withdraw("others")
    stage.withdraw("fast")
    return figures
