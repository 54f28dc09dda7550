"""What an agent costs that has nothing to do: a restart, idling, and a target's changes that are not its business."""
import time

from figures import Figure
from first_sync import floor, floor_requests
from stage import cpu_seconds, loop_figures, resident_kib, say, seconds_of, wakeups
from cluster.wait import wait_until

# Seconds before lists are read, by the load program and by the agent alike: what an API server made for one reader it collects while the next one reads,
# and that takes as long as the lists.
COLLECT_S = 3


def list_seconds(stage):
    """How long a client takes that reads the same lists, in the same pages, side by side, and does nothing with them."""
    mirrors, exported = "mirror.linkerd.io%2Fmirrored-service%3Dtrue", "mirror.linkerd.io%2Fexported%20in%20(remote-discovery,true)"
    members = "mirror.linkerd.io%2Ffederated%3Dmember"
    lists = [(stage.source, "services", mirrors), (stage.source, "endpointslices", mirrors), (stage.source, "endpoints", mirrors), (stage.source, "namespaces", ""),
             (stage.target, "services", exported), (stage.target, "services", members), (stage.target, "endpointslices", "")]
    running = [stage.load(cluster, [{"method": "GET", "path": f"{cluster.api.path(resource)}?resourceVersion=0&limit=500&labelSelector={selector}"}], 1, wait=False)
               for cluster, resource, selector in lists]
    return max(stage.loaded(process)["seconds"] for process in running)


def restart(stage, agent, count, trials):
    """Restarts with all mirrors in place."""
    values, floors, written = [], [], 0
    for _ in range(trials):
        if agent.process.running:
            agent.stop()
        time.sleep(COLLECT_S)
        floors.append(list_seconds(stage))
        time.sleep(COLLECT_S)
        agent = stage.agent()
        stage.await_mirrored(agent, count, every=0.01)  # it is less than a fifth of a second, at best
        values.append(time.time() - agent.began)
        time.sleep(4)  # a period of probes, and what a Link's status is gathered for
        written += len(stage.mirror_writes(agent.began))
        say(f"restart with {count}: {values[-1]:.2f} s, the lists {floors[-1]:.2f} s, {written} writes")
    return agent, [Figure("restart", f"restart with {count:,} mirrors, until all are known", "s", values, floors, "floor: the same lists read side by side"),
                   Figure("restart_writes", "writes to mirrors in these restarts", "writes", [written])]


def idle(stage, agent, seconds, what):
    """CPU, wake-ups and memory while nothing changes and gateways are probed every 3 s."""
    begin, woken, before = cpu_seconds(agent), wakeups(agent), agent.metrics()
    time.sleep(seconds)
    percent = (cpu_seconds(agent) - begin) / seconds * 100
    return [Figure("idle_cpu", f"idle, {what}", "% of a core", [percent]),
            Figure("idle_wakeups", f"wake-ups, {what}", "1/s", [(wakeups(agent) - woken) / seconds]),
            Figure("idle_memory", f"resident, {what}", "MiB", [resident_kib(agent) / 1024]),
            *loop_figures("loop_idle", "when idle", [(before, agent.metrics())])]


def spread(writes, names, each):
    """By how many percent of `each` writes the link with most is ahead of the one with fewest, at a quarter, half and three quarters of the writes."""
    made, found = dict.fromkeys(names, 0), []
    for number, write in enumerate(writes, 1):
        cluster = write["requestObject"]["metadata"]["labels"]["mirror.linkerd.io/cluster-name"]
        made[cluster] = made.get(cluster, 0) + 1
        if number in (len(writes) // 4, len(writes) // 2, 3 * len(writes) // 4):
            found.append((max(made[n] for n in names) - min(made[n] for n in names)) / each * 100)
    return found


def sync_links(stage, names, services):
    """In a new source. Returns the agent, the seconds from its start to the answer of its last write, and its writes."""
    stage.fresh_source()
    for name in names:
        stage.link(name)
    agent = stage.agent()
    stage.await_mirrored(agent, services * len(names), every=0.5)
    wait_until(lambda: agent.metrics()["svcmirror_queue_depth"] == 0 and all(g["alive"] for g in agent.gateways()), 60, "it rests", 0.5)
    time.sleep(5)
    writes = stage.mirror_writes(agent.began)
    took = max(seconds_of(w["stageTimestamp"]) for w in writes) - agent.began
    say(f"first sync of {len(names)} links x {services}: {took:.2f} s")
    return agent, took, writes


def ten_links(stage, services, links, idle_seconds):
    """The first sync of many links side by side, before the floor and after it, how evenly they progress, and then nothing to do."""
    names = [f"link{n}" for n in range(links)]
    agent, before, writes = sync_links(stage, names, services)
    figures = idle(stage, agent, idle_seconds, f"{links} links x {services:,} services, probes every 3 s")
    took = floor(stage, floor_requests(writes), 8)
    after = sync_links(stage, names, services)[1]
    return [Figure("first_sync_links", f"first sync of {links} links x {services:,} services", "s", [before, after], [took]),
            Figure("even_links", "the first link is ahead of the last by", "% of its writes", spread(writes, names, 2 * services),
                   note="when a quarter, a half and three quarters of all were made"),
            *figures]


def unexported(stage, count, seconds):
    """Services that are not exported change a hundred times a second. Headless: for a ClusterIP the API server would walk all there are, for each creation."""
    stage.export(count, "noise", labels={"app": "noise"}, clusterIP="None")
    figures, api = [], stage.target.api
    for key, what, link in (("unexported_one_selector", "a Link with one selector",
                             lambda: stage.link(remoteDiscoverySelector=None, federatedServiceSelector=None)),
                            ("unexported_three_selectors", "a Link with three selectors", lambda: stage.link()),
                            ("unexported_secret", "a Secret of 2.8", lambda: stage.target.link_secret(stage.source))):
        stage.fresh_source()
        link()
        agent = stage.agent()
        agent.wait_ready(60)
        wait_until(lambda: agent.metrics().get('svcmirror_link_synced{target_cluster_name="east"}') == 1, 60, "the target is listed", 0.2)
        time.sleep(3)
        kib, begin = resident_kib(agent), cpu_seconds(agent)
        time.sleep(seconds / 2)
        rest = (cpu_seconds(agent) - begin) / (seconds / 2) * 100
        begin = cpu_seconds(agent)
        # What is so already the server would not write, nor tell anybody.
        stage.load(stage.target, [{"method": "PATCH", "type": "application/merge-patch+json", "path": api.path("services", "noise", f"web{n % count}"),
                                   "body": {"metadata": {"annotations": {"changed": f"{key}-{n}"}}}} for n in range(100 * seconds)], 8, rate=100)
        percent = (cpu_seconds(agent) - begin) / seconds * 100
        say(f"{what}: {percent:.2f} % of a core, {rest:.2f} % at rest, {kib} KiB")
        figures.append(Figure(key, f"{count:,} unexported services, 100 changes a second, {what}", "% of a core", [percent], note=f"at rest {rest:.2f} %, resident {kib / 1024:.1f} MiB"))
    stage.withdraw("noise")
    return figures
