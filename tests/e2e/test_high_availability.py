"""Several replicas: each link has one writer at a time, and is never long without one."""
import concurrent.futures
import re
import time

import pytest
from cluster import leases
from cluster.api import write_file
from cluster.replicas import QUICK, place
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

LINKS = [f"c{number:02}" for number in range(12)]


@pytest.fixture
def linked(source, east):
    """Twelve links, all to the same target, and one exported service: twelve mirrors."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    for link in LINKS:
        east.link_secret(source, cluster=link)
    return source


def lease_of(name):
    """Of a mirror's Service or slice, by its name: web-c03, web-c03.ipv4."""
    return leases.PREFIX + re.search(r"-(c\d\d)(\.|$)", name).group(1)


def is_even(source, *hosts):
    """Whether the links are shared as evenly as can be among just these hosts."""
    shares = leases.shares(source)
    counts = [len(links) for links in shares.values()]
    return set(shares) == set(hosts) and sum(counts) == len(LINKS) and max(counts) - min(counts) <= 1 and shares


def mirrors(source, service=None):
    """Of that exported service; of all."""
    names = {s["metadata"]["name"] for s in source.api.list("services", "demo", "mirror.linkerd.io/mirrored-service=true")}
    return {name for name in names if service is None or name.startswith(service + "-")}


def wanted(service="web"):
    return {f"{service}-{link}" for link in LINKS}


def all_ready(source, east, service="web"):
    return all(source.ready_addresses(f"{service}-{link}", "demo") == east.gateway.addresses for link in LINKS)


def test_three_replicas_share_twelve_links_and_stand_in_for_a_killed_one(linked, east, replicas, began_at):
    source, three = linked, replicas(3)
    shares = wait_until(lambda: is_even(source, "replica-0", "replica-1", "replica-2"), 30, "four links each", 0.1)
    assert sorted(len(links) for links in shares.values()) == [4, 4, 4]
    assert source.api.get("leases", leases.LOCAL, AGENT_NAMESPACE)["spec"]["holderIdentity"]
    wait_until(lambda: all_ready(source, east), 10, "all mirrors are ready")
    # Each replica knows of each link who writes it, says of itself what it writes, and has all gateways judged.
    for one in three:
        told = {link["clusterName"]: (leases.host(link["holder"]), link["held"]) for link in one.json("/api/v1/links")}
        assert told == {link: (host, host == one.host) for host, links in shares.items() for link in links}
        assert {g["clusterName"] for g in one.gateways() if g["alive"]} == set(LINKS)
        held = {name for name, value in one.metrics().items() if name.startswith("svcmirror_lease_held") and value == 1 and '"local"' not in name}
        assert held == {f'svcmirror_lease_held{{cluster="{link}"}}' for link in shares[one.host]}
        assert all(s["mirrored"] for s in one.services())

    before, written = leases.holders(source), len(leases.mirror_writes(source))
    three[1].kill()
    began = time.monotonic()
    east.export("late")
    wait_until(lambda: is_even(source, "replica-0", "replica-2"), 25, "the other two share its links", 0.05)
    took = time.monotonic() - began
    after = leases.holders(source)
    assert took < 15 + 1.5, f"its links were without a writer for {took:.1f} s"
    assert {link for link in LINKS if before[link] != after[link]} == set(shares["replica-1"]), "the links of the others stay with them"
    wait_until(lambda: mirrors(source, "late") == wanted("late"), 10, "what was exported meanwhile is mirrored, by all links")
    wait_until(lambda: all_ready(source, east, "late"), 10, "and ready")
    assert leases.trespasses(source, began_at, lease_of) == []
    assert not [w for w in leases.mirror_writes(source)[written:] if leases.written_object(w).startswith("web-")], "taking over wrote what was right"
    print(f"killed: {took:.1f} s to the last link's new writer")


def test_a_stopped_replica_hands_over_within_two_seconds(linked, east, replicas):
    source, three = linked, replicas(3)
    wait_until(lambda: is_even(source, "replica-0", "replica-1", "replica-2"), 30, "four links each", 0.1)
    wait_until(lambda: all_ready(source, east), 10, "all mirrors are ready")
    written = len(leases.mirror_writes(source))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        began = time.monotonic()
        ended = pool.submit(three[0].stop)
        wait_until(lambda: is_even(source, "replica-1", "replica-2"), 5, "the other two share its links")
        took = time.monotonic() - began
        ended.result()
    assert took < 2, f"{took:.2f} s"
    assert not [lease for lease in source.api.list("leases", AGENT_NAMESPACE, "svcmirror.io/replica=true") if "replica-0" in lease["metadata"]["name"]]
    east.export("late")
    wait_until(lambda: mirrors(source, "late") == wanted("late"), 10, "the new holders write")
    assert not [w for w in leases.mirror_writes(source)[written:] if leases.written_object(w).startswith("web-")]
    print(f"stopped: {took:.2f} s to the last link's new writer")


def test_a_rolling_restart_loses_nothing_and_writes_nothing_twice(linked, east, replicas, began_at):
    source, running = linked, replicas(3)
    wait_until(lambda: is_even(source, "replica-0", "replica-1", "replica-2"), 30, "four links each", 0.1)
    wait_until(lambda: all_ready(source, east), 10, "all mirrors are ready")
    written = len(leases.mirror_writes(source))
    for number, one in enumerate(running):
        east.export(f"a{number}")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            ended = pool.submit(one.stop)
            for more in range(4):  # while it hands over
                east.export(f"b{number}{more}")
            ended.result()
        east.export(f"c{number}")
        east.api.delete("services", f"a{number}", "demo")
        replicas(1, first=number)
        east.api.delete("services", f"b{number}0", "demo")
    stays = [f"b{n}{m}" for n in range(3) for m in range(1, 4)] + [f"c{n}" for n in range(3)] + ["web"]
    wait_until(lambda: mirrors(source) == {f"{name}-{link}" for name in stays for link in LINKS}, 20, "every event has arrived", 0.1)
    wait_until(lambda: all(all_ready(source, east, name) for name in stays), 20, "all are ready", 0.1)
    wait_until(lambda: is_even(source, "replica-0", "replica-1", "replica-2"), 30, "shared evenly again", 0.1)
    done = leases.mirror_writes(source)[written:]
    # An API server that is too busy says so, and may have done what was asked all the same: what it failed at counts for nothing.
    failed = {leases.written_object(w) for w in done if w["responseStatus"]["code"] >= 500}
    done = [w for w in done if leases.written_object(w) not in failed]
    assert len(done) > 300 and len(failed) < 100
    assert [f"{w['verb']} {leases.written_object(w)} {w['responseStatus']['code']}" for w in done if not leases.succeeded(w)] == []
    objects = [(w["verb"], w["objectRef"]["resource"], leases.written_object(w)) for w in done]
    assert sorted(o for o in objects if objects.count(o) > 1) == [], "written twice"
    assert {verb for verb, _, _ in objects} <= {"create", "delete"}, "nothing had to be changed"
    assert leases.trespasses(source, began_at, lease_of) == []


def test_the_lease_of_linkerds_controller_is_respected(source, east, agent):
    """One that is renewed, then released; and one whose holder is not heard of any more."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    leases.hold(source, leases.PREFIX + "taken", "linkerd-controller-taken-5d9f", 30)
    before = len(leases.mirror_writes(source))
    for link in ("taken", "free"):
        east.link_secret(source, cluster=link)
    one = agent(flags=QUICK)
    wait_until(lambda: source.ready_addresses("web-free", "demo"), 10, "the other link is served")
    said = {link["clusterName"]: (link["holder"], link["held"]) for link in one.json("/api/v1/links")}
    assert said["taken"] == ("linkerd-controller-taken-5d9f", False) and said["free"][1]
    east.export("late")
    wait_until(lambda: source.ready_addresses("late-free", "demo"), 10, "and followed")
    assert not [w for w in leases.mirror_writes(source)[before:] if "taken" in leases.written_object(w)]
    leases.release(source, leases.PREFIX + "taken")
    wait_until(lambda: source.ready_addresses("web-taken", "demo") and source.ready_addresses("late-taken", "demo"), 3, "released, it is served")

    # Linkerd comes back: its controller takes what is its own only when we leave it. It never renews: after its own duration it is over.
    one.stop()
    leases.hold(source, leases.PREFIX + "taken", "linkerd-controller-taken-77aa", 6)
    began = time.monotonic()
    two = agent(flags=QUICK)
    east.export("later")
    wait_until(lambda: source.ready_addresses("later-free", "demo"), 10, "the other link is followed")
    wait_until(lambda: source.ready_addresses("later-taken", "demo"), 15, "the Lease has expired")
    assert time.monotonic() - began >= 6, "by our clock it has to stay the same for its whole duration"
    assert [entry for entry in two.logs("lease_won") if entry["cluster"] == "taken"]


def test_a_replica_that_slept_beyond_its_lease_writes_no_more(source, east, replicas, began_at):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source, cluster="c00")
    [sleeper] = replicas(1, flags=QUICK)
    wait_until(lambda: source.ready_addresses("web-c00", "demo"), 10, "mirrored")
    sleeper_address = place(0).address(1)
    [other] = replicas(1, first=1, flags=QUICK)
    wait_until(lambda: leases.shares(source) == {"replica-0": ["c00"]}, 5, "the first holds the link")
    sleeper.process.freeze()
    asleep = leases.microtime()
    try:
        east.export("late")
        wait_until(lambda: source.ready_addresses("late-c00", "demo"), 10, "the other one writes")
        assert leases.shares(source) == {"replica-1": ["c00"]}
        # What the first would do, could it: a mirror that went, and a gateway that died.
        source.api.delete("services", "web-c00", "demo")
        east.export("later")
    finally:
        sleeper.process.thaw()
    wait_until(lambda: [e for e in sleeper.logs("lease_elsewhere") if e["cluster"] == "c00" and e["holder"].startswith("replica-1")], 10, "it knows")
    assert [e for e in sleeper.logs("lease_lost") if e["cluster"] == "c00"]
    wait_until(lambda: mirrors(source, "web") == {"web-c00"} and mirrors(source, "later") == {"later-c00"}, 10, "all is put right")
    by_sleeper = [w for w in leases.mirror_writes(source) if w["sourceIPs"][0] == sleeper_address and w["requestReceivedTimestamp"] > asleep]
    assert by_sleeper == []
    assert leases.trespasses(source, began_at, lambda name: leases.PREFIX + "c00") == []
    assert other.json("/api/v1/links")[0]["held"]


def test_a_killed_agent_started_again_on_its_host_does_not_wait(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    first = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo"), 10, "mirrored")
    first.kill()
    east.export("late")
    began = time.monotonic()
    second = agent(ready=False)
    wait_until(lambda: source.ready_addresses("late-east", "demo"), 10, "the second one writes")
    took = time.monotonic() - began
    assert took < 3, f"{took:.1f} s"
    second.wait_ready()
    [lease] = [lease for lease in source.api.list("leases", AGENT_NAMESPACE) if lease["metadata"]["name"] == leases.PREFIX + "east"]
    assert lease["spec"]["leaseTransitions"] == 1
    wait_until(lambda: len(source.api.list("leases", AGENT_NAMESPACE, "svcmirror.io/replica=true")) == 1, 10, "the dead one's own Lease is swept away")
    print(f"killed and started again: {took:.2f} s to the first write")


def test_two_agents_on_one_host_exclude_each_other(source, east, agent):
    """Of the same name, in the same place; the second takes over as soon as the first one is dead."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    env = {"HOSTNAME": "same"}
    first = agent(env=env)
    wait_until(lambda: source.ready_addresses("web-east", "demo"), 10, "mirrored")
    second = agent(env=env, address="127.0.0.1:9998")
    east.export("late")
    wait_until(lambda: source.ready_addresses("late-east", "demo"), 10, "the first one writes")
    held = lambda one: [link["held"] for link in one.json("/api/v1/links")]
    assert (held(first), held(second)) == ([True], [False])
    assert [e for e in second.logs("lease_won") if e["cluster"] == "east"] == []
    first.kill()
    wait_until(lambda: held(second) == [True], 5, "it takes over within a retry period or two")


def test_without_the_right_to_leases_one_writes_as_if_it_were_alone(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    rules = [{"apiGroups": ["", "discovery.k8s.io", "events.k8s.io"], "resources": ["*"], "verbs": ["*"]}]
    path = write_file(source.token_kubeconfig(source.service_account("no-leases", rules)), ".kubeconfig")
    one = agent(kubeconfig=path)
    assert one.logs("leases_forbidden")[0]["level"] == "error" and one.metrics()["svcmirror_leases_readable"] == 0
    # As Linkerd 2.8, whose account had no such right: a single replica, which says so.
    wait_until(lambda: source.ready_addresses("web-east", "demo"), 10, "mirrored")
    assert "as if this replica were alone" in one.logs("leases_forbidden")[0]["msg"] and one.get("/ready")[0] == 200
    one.stop()
    agent(kubeconfig=path, flags=["--leader-elect=false"])
    east.export("more")
    wait_until(lambda: source.ready_addresses("more-east", "demo"), 10, "and one that was told to be alone")


def test_a_handed_over_lease_was_free_of_writes(source, east, replicas, began_at):
    """A link with many mirrors is handed over in the middle of its first sync: none is made twice, none is left out."""
    east.gateway.start()
    east.gateway_service()
    for number in range(60):
        east.export(f"web{number}")
    for link in ("c00", "c01"):
        east.link_secret(source, cluster=link)
    [first] = replicas(1)
    wait_until(lambda: len(source.api.list("services", "demo", "mirror.linkerd.io/mirrored-service=true")) > 10, 15, "in the middle of it")
    [second] = replicas(1, first=1)
    wait_until(lambda: {host: len(links) for host, links in leases.shares(source).items()} == {"replica-0": 1, "replica-1": 1}, 15, "one link each", 0.05)
    wait_until(lambda: all(source.ready_addresses(f"web{n}-{link}", "demo") for n in range(60) for link in ("c00", "c01")), 20, "all are ready", 0.2)
    assert leases.trespasses(source, began_at, lease_of) == []
    assert first.logs("lease_handed_over") and second.logs("lease_won")
