"""Headless services: StatefulSets, whose pods have names of their own."""
import pytest
from cluster.expected import HTTP, MIRROR, link_status, made_from, of_cluster, piece, service, status_entry, whole
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

pytestmark = pytest.mark.usefixtures("link_crd")


@pytest.fixture
def demo(source):
    source.ensure_namespace("demo")


def get(source, name):
    found = source.api.find("services", name, "demo")
    assert found, f"{name} is not there"
    return found


def mirrors(source):
    """Names of all mirrors in the namespace."""
    return sorted(s["metadata"]["name"] for s in source.api.list("services", "demo", MIRROR + "mirrored-service=true"))


def hosts(source, name="db-east"):
    """{hostname: (address, ready)} of a headless mirror's endpoints."""
    return {e["hostname"]: (e["addresses"][0], e["conditions"]["ready"]) for s in source.slices(name, "demo") for e in s["endpoints"] or []}


def has_hosts(source, ready, name="db-east"):
    """Whether the mirror has exactly these hostnames, {hostname: ready}, and their own mirrors say the same."""
    there = hosts(source, name)
    wanted = {h: (get(source, h + "-east")["spec"]["clusterIP"], r) for h, r in ready.items()}
    return there == wanted and all(bool(source.ready_addresses(h + "-east", "demo")) == r for h, r in ready.items())


def version(source, *names):
    """Versions of Services and of their slices: they change with every write."""
    return [(get(source, n)["metadata"]["resourceVersion"], [s["metadata"]["resourceVersion"] for s in source.slices(n, "demo")]) for n in names]


def scale(east, count, ready=True):
    east.host_slice("db", "demo", {f"db-{i}": ready for i in range(count)})


def db(east, **more):
    return east.export_labelled("db", endpoints=None, clusterIP="None", **more)


def test_a_stateful_set_scaled_and_its_gateway_down_and_up(source, east, agent, demo):
    east.gateway.start()
    remote = db(east, labels={"app": "db"}, annotations={"example.com/note": "kept"}, ports=[
        {"name": "http", "port": 80, "targetPort": 5000, "protocol": "TCP"}, {"name": "peers", "port": 7000, "protocol": "UDP"}])
    ports = HTTP + [{"name": "peers", "port": 7000, "targetPort": 7000, "protocol": "UDP"}]
    east.host_slice("db", "demo", {"db-0": True, "db-1": False})
    east.link(source)
    one = agent()
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": False}), 10, "two hostnames, one of them ready")

    root = get(source, "db-east")
    labels = of_cluster(app="db")
    assert whole(root) == service("db-east", "demo", labels, made_from(remote, **{"example.com/note": "kept"}), ports, headless=True)
    assert [whole(s) for s in source.slices("db-east", "demo")] == [piece(root, "db.demo.svc.cluster.local", [
        {"addresses": [get(source, h + "-east")["spec"]["clusterIP"]], "hostname": h, "conditions": {"ready": r}} for h, r in (("db-0", True), ("db-1", False))],
        ports=[{k: v for k, v in p.items() if k != "targetPort"} for p in ports])]
    for hostname, ready in (("db-0", True), ("db-1", False)):
        own = get(source, hostname + "-east")
        assert whole(own) == service(hostname + "-east", "demo", of_cluster(**{MIRROR + "headless-mirror-svc-name": "db-east"}), made_from(remote, hostname), ports)
        assert [whole(s) for s in source.slices(hostname + "-east", "demo")] == [piece(
            own, f"{hostname}.db.demo.svc.cluster.local", [{"addresses": east.gateway.addresses, "conditions": {"ready": ready}}],
            ports=[{"name": p["name"], "protocol": p["protocol"], "port": 4143} for p in ports])]
    assert mirrors(source) == ["db-0-east", "db-1-east", "db-east"]
    wait_until(lambda: link_status(source, "east") == {"mirrorServices": [status_entry(remote, "db-east")]}, 5, "one entry for all of it")
    told = sorted((s["mirror"], s["mode"], s["mirrored"], s["endpoints"], s["readyEndpoints"]) for s in one.services())
    assert told == [("demo/db-0-east", "hostname", True, 1, 1), ("demo/db-1-east", "hostname", True, 1, 0), ("demo/db-east", "headless", True, 2, 1)]

    # Readiness of each hostname by itself: nothing of the other is written.
    untouched = version(source, "db-0-east")
    scale(east, 2)
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": True}), 1, "ready within a second")
    # Up, down, to zero and back: the root stays, and so do the mirrors of the hostnames that stay.
    untouched += version(source, "db-1-east")
    scale(east, 3)
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": True, "db-2": True}), 5, "scaled up")
    scale(east, 2)
    wait_until(lambda: mirrors(source) == ["db-0-east", "db-1-east", "db-east"] and has_hosts(source, {"db-0": True, "db-1": True}), 5, "scaled down")
    assert version(source, "db-0-east", "db-1-east") == untouched
    scale(east, 0)
    wait_until(lambda: mirrors(source) == ["db-east"] and hosts(source) == {}, 5, "scaled to zero")
    east.api.delete("endpointslices", "db-a", "demo")
    scale(east, 1)
    wait_until(lambda: has_hosts(source, {"db-0": True}), 5, "and back")
    assert version(source, "db-east")[0][0] == root["metadata"]["resourceVersion"], "the root was never written"

    east.gateway.stop()
    wait_until(lambda: has_hosts(source, {"db-0": False}), 5, "the gateway is down")
    scale(east, 2)
    wait_until(lambda: has_hosts(source, {"db-0": False, "db-1": False}), 5, "scaled meanwhile")
    east.gateway.start()
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": True}), 6, "and up again")
    east.api.delete("services", "db", "demo")
    wait_until(lambda: mirrors(source) == [], 5, "all of it goes")


def test_headless_services_that_are_mirrored_like_any_other(source, east, north, agent, demo):
    """Without hostnames, not wished so, by 2.8's Secret, and by the flag."""
    east.gateway.start()
    north.gateway.start()
    north.gateway_service()
    db(east)
    scale(east, 2)
    plain = east.export_labelled("plain", clusterIP="None")
    unwished = east.export_labelled("unwished", endpoints=None, clusterIP="None", annotations={"svcmirror.io/headless": "false"})
    east.host_slice("unwished", "demo", {"unwished-0": True})
    old = north.export("old", clusterIP="None")
    north.host_slice("old", "demo", {"old-0": True})
    east.link(source)
    north.link_secret(source)
    one = agent()
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": True}), 10, "the one that is mirrored as it is")
    for name in ("plain-east", "unwished-east"):
        wait_until(lambda: source.ready_addresses(name, "demo") == east.gateway.addresses, 5, name)
    wait_until(lambda: source.ready_addresses("old-north", "demo") == north.gateway.addresses, 5, "by 2.8's Secret")
    assert mirrors(source) == ["db-0-east", "db-1-east", "db-east", "old-north", "plain-east", "unwished-east"]
    assert whole(get(source, "plain-east")) == service("plain-east", "demo", of_cluster(), made_from(plain))
    assert whole(get(source, "unwished-east")) == service("unwished-east", "demo", of_cluster(), made_from(unwished))
    assert get(source, "old-north")["spec"]["clusterIP"] != "None" and old["spec"]["clusterIP"] == "None"

    # Changed wishes are followed, though the Service must be made anew for it.
    east.api.patch("services", "unwished", {"metadata": {"annotations": {"svcmirror.io/headless": None}}}, "demo")
    wait_until(lambda: has_hosts(source, {"unwished-0": True}, "unwished-east") and get(source, "unwished-east")["spec"]["clusterIP"] == "None", 5, "wished")
    east.api.patch("services", "unwished", {"metadata": {"annotations": {"svcmirror.io/headless": "false"}}}, "demo")
    wait_until(lambda: get(source, "unwished-east")["spec"]["clusterIP"] != "None", 5, "unwished again")
    # The first hostname makes it headless.
    east.host_slice("plain", "demo", {"plain-0": True})
    wait_until(lambda: has_hosts(source, {"plain-0": True}, "plain-east"), 5, "hostnames came")

    one.stop()
    agent(flags=["--enable-headless-services=false"])
    wait_until(lambda: mirrors(source) == ["db-east", "old-north", "plain-east", "unwished-east"], 10, "the mirrors of hostnames go")
    for name in ("db-east", "plain-east", "unwished-east"):
        wait_until(lambda: get(source, name)["spec"]["clusterIP"] != "None" and source.ready_addresses(name, "demo") == east.gateway.addresses, 5, name)


def test_where_slices_may_not_be_read_a_headless_service_is_like_any_other(source, east, agent, demo):
    east.gateway.start()
    remote = db(east)
    scale(east, 2)
    east.link(source, kubeconfig=east.reader_kubeconfig(("services",), "services-only"))
    agent()
    wait_until(lambda: source.ready_addresses("db-east", "demo") == east.gateway.addresses, 10, "ready")
    assert whole(get(source, "db-east")) == service("db-east", "demo", of_cluster(), made_from(remote)) and mirrors(source) == ["db-east"]


def test_the_right_to_read_endpoints_is_taken_away_while_it_runs(source, east, agent, demo):
    """What is there stays and follows the gateway, nothing new is made of what was known; and all the same after a restart."""
    east.gateway.start()
    db(east)
    east.host_slice("db", "demo", {"db-0": True, "db-1": False})
    east.host_slice("late", "demo", {"late-0": True})
    east.link(source, kubeconfig=east.reader_kubeconfig(name="headless-reader"))
    first = agent()
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": False}), 10, "mirrored")
    east.reader_kubeconfig(("services",), "headless-reader")
    east.restart_apiserver()  # a watch that is open goes on without its right
    wait_until(lambda: any("missing right: watch endpointslices in cluster east" in e.get("error", "") for e in first.logs("target_watch_failed")), 30, "the missing right is named")
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": True}), 5, "endpoints that may not be read count as ready")
    east.export_labelled("late", endpoints=None, clusterIP="None")
    wait_until(lambda: source.ready_addresses("late-east", "demo") == east.gateway.addresses, 60, "mirrored like any other")
    assert mirrors(source) == ["db-0-east", "db-1-east", "db-east", "late-east"] and get(source, "late-east")["spec"]["clusterIP"] != "None"
    east.gateway.stop()
    wait_until(lambda: has_hosts(source, {"db-0": False, "db-1": False}), 5, "they follow the gateway")

    first.stop()
    before = len(source.writes("svcmirror"))
    agent()
    east.gateway.start()
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": True}), 15, "and do so after a restart")
    written = {(w["verb"], w["objectRef"]["resource"]) for w in source.writes("svcmirror")[before:]} - {("create", "events"), ("patch", "links")}
    assert written == {("update", "endpointslices")}, written
    assert mirrors(source) == ["db-0-east", "db-1-east", "db-east", "late-east"]

    east.reader_kubeconfig(name="headless-reader")
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": False}), 60, "read again")
    wait_until(lambda: has_hosts(source, {"late-0": True}, "late-east"), 5, "and made as it would have been")


def test_slices_made_by_hand_with_odd_contents(source, east, agent, demo):
    east.gateway.start()
    remote = db(east)
    entry = lambda hostname, address, ready=True: {"addresses": [address], "hostname": hostname, "conditions": {"ready": ready}}
    # A hostname twice, ready in one of two slices; one whose mirror would have more than 63 characters; one that begins with a digit, as Kubernetes 1.36 lets Services.
    long, digit = "h" * 60, "0digit"
    east.endpoints("db", "demo", [entry("twice", "10.201.1.10", False), entry("twice", "10.201.1.11", False), entry("unready", "10.201.1.12", False),
                                  {"addresses": ["10.201.1.13"]}], suffix="a")
    east.endpoints("db", "demo", [entry("twice", "10.201.1.14"), entry(long, "10.201.1.15"), entry(digit, "10.201.1.16")], suffix="b")
    east.endpoints("db", "demo", [entry("six", "fd00:201:1::10")], suffix="c", address_type="IPv6")
    with pytest.raises(Exception, match="422"):
        east.endpoints("db", "demo", [entry("UpperCase", "10.201.1.17")], suffix="d")
    east.link(source)
    one = agent()
    wait_until(lambda: has_hosts(source, {"twice": True, "unready": False, "six": True, digit: True}), 10, "what can be mirrored is")
    assert mirrors(source) == [f"{digit}-east", "db-east", "six-east", "twice-east", "unready-east"]
    notes = wait_until(lambda: [e["note"] for e in source.api.list("events", AGENT_NAMESPACE) if e["reason"] == "ServiceMirroringSkipped"], 5, "Events")
    assert any(f"{long}-east" in n and "63" in n for n in notes), notes
    # The service is mirrored, and its status says what of it is not.
    entry_now = wait_until(lambda: link_status(source, "east")["mirrorServices"], 5, "the status tells")
    message = entry_now[0]["conditions"][0]["message"]
    assert entry_now == [status_entry(remote, "db-east", message=message)] and long in message
    told = {s["mirror"]: (s["mirrored"], s["reason"]) for s in one.services()}
    assert told[f"demo/{long}-east"] == (False, "InvalidService") and told["demo/db-east"] == (True, "Mirrored")

    # Two services with the same hostname: the one name goes to one of them.
    east.export_labelled("other", endpoints=None, clusterIP="None")
    east.host_slice("other", "demo", {"unready": True, "own": True})
    wait_until(lambda: "own" in hosts(source, "other-east"), 5, "the other service is mirrored")
    wait_until(lambda: any(s["mirror"] == "demo/unready-east" and s["reason"] == "NameCollision" for s in one.services()), 5, "the collision is told")
    assert hosts(source)["unready"][1] is False and "unready" not in hosts(source, "other-east")
    # A user's Service of a hostname's name is not touched.
    mine = source.service("taken-east")
    east.endpoints("db", "demo", [entry("taken", "10.201.1.18"), entry("free", "10.201.1.19")], suffix="e")
    wait_until(lambda: "free" in hosts(source), 5, "the next one is mirrored")
    wait_until(lambda: any(s["mirror"] == "demo/taken-east" and s["reason"] == "NameCollision" for s in one.services()), 5, "told")
    assert get(source, "taken-east")["metadata"]["resourceVersion"] == mine["metadata"]["resourceVersion"]
    assert "taken" not in hosts(source)
    # Nothing of it is for ever: away with the odd ones.
    for suffix in ("b", "e"):
        east.api.delete("endpointslices", f"db-{suffix}", "demo")
    wait_until(lambda: link_status(source, "east")["mirrorServices"][0] == status_entry(remote, "db-east"), 5, "nothing left to say")


def test_slices_of_kubernetes_own_controller(source, east, agent, demo):
    """Pods with hostname and subdomain, as a StatefulSet makes them; the slices are the real controller's."""
    east.gateway.start()
    labels = {"app": "db"}
    for i in range(2):
        east.ensure_namespace("demo")
        east.pod(f"db-{i}", "demo", f"10.201.1.1{i}", labels, ready=i == 0, hostname=f"db-{i}", subdomain="db")
    db(east, selector=labels)
    east.link(source)
    agent()
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": False}), 10, "an unready pod's hostname is there, not ready")
    east.pod("db-1", "demo", "10.201.1.11", labels)
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": True}), 5, "ready")
    root = get(source, "db-east")["metadata"]["uid"]
    east.kill_pod("db-0", "demo")
    wait_until(lambda: mirrors(source) == ["db-1-east", "db-east"] and has_hosts(source, {"db-1": True}), 5, "a pod goes")
    east.pod("db-0", "demo", "10.201.1.12", labels, ready=False, hostname="db-0", subdomain="db")
    wait_until(lambda: has_hosts(source, {"db-0": False, "db-1": True}), 5, "and comes back with another address, unready")
    # For peers that must find each other before they are ready: Kubernetes calls their endpoints ready.
    east.api.patch("services", "db", {"spec": {"publishNotReadyAddresses": True}}, "demo")
    wait_until(lambda: has_hosts(source, {"db-0": True, "db-1": True}), 5, "published though not ready")
    assert get(source, "db-east")["metadata"]["uid"] == root


def test_killed_while_it_is_being_made_then_complete(source, east, agent, demo):
    east.gateway.start()
    db(east)
    scale(east, 40)
    east.link(source)
    first = agent(ready=False)
    wait_until(lambda: 5 < len(mirrors(source)), 10, "in the middle of it", 0.002)
    first.kill()
    there = set(mirrors(source))
    second = agent()
    wait_until(lambda: has_hosts(source, {f"db-{i}": True for i in range(40)}), 10, "complete")
    assert len(mirrors(source)) == 41 and there <= set(mirrors(source))
    second.stop()
    # A start with everything in place writes nothing, and it stays as it is with the target out of reach.
    before = len(source.writes("svcmirror"))
    east.network.reject(east.host, 6443)
    third = agent()
    wait_until(lambda: third.json("/api/v1/links")[0]["problem"], 15, "the target is known to be out of reach")
    assert has_hosts(source, {f"db-{i}": True for i in range(40)})
    east.network.heal()
    wait_until(lambda: third.services() and all(s["mirrored"] for s in third.services()), 40, "all is known again")
    assert [w for w in source.writes("svcmirror")[before:] if w["objectRef"]["resource"] != "events"] == []


def test_what_people_change_is_followed_or_put_right(source, east, agent, demo):
    """In the target: ports, the way of being mirrored, the mirror's name and place. In the source: mirrors deleted and edited. At last the Link."""
    source.ensure_namespace("elsewhere")
    east.gateway.start()
    db(east)
    scale(east, 2)
    east.link_gen(source)
    agent(flags=["--allowed-namespaces=elsewhere"])
    both = {"db-0": True, "db-1": True}
    wait_until(lambda: has_hosts(source, both), 10, "mirrored")
    # Of the source: each is made again, and the address of a hostname follows.
    for name in ("db-0-east", "db-east"):
        source.api.delete("services", name, "demo")
        wait_until(lambda: has_hosts(source, both), 5, f"{name} is back")
    source.api.patch("services", "db-1-east", {"metadata": {"labels": {MIRROR + "headless-mirror-svc-name": "other"}}}, "demo")
    source.api.patch("endpointslices", "db-east.ipv4", {"endpoints": []}, "demo")
    labels = of_cluster(**{MIRROR + "headless-mirror-svc-name": "db-east"})
    wait_until(lambda: get(source, "db-1-east")["metadata"]["labels"] == labels and has_hosts(source, both), 5, "put right")
    # Ports, in all of its mirrors.
    east.api.patch("services", "db", {"spec": {"ports": [{"name": "pg", "port": 5432, "protocol": "TCP"}]}}, "demo")
    for name, port in (("db-east", 5432), ("db-0-east", 4143), ("db-1-east", 4143)):
        wait_until(lambda: [p["port"] for p in get(source, name)["spec"]["ports"]] == [5432] and
                   [(p["name"], p["port"]) for s in source.slices(name, "demo") for p in s["ports"]] == [("pg", port)], 5, f"{name}'s ports")
    # Another name and place: the hostnames' mirrors move along and name the new root.
    east.api.patch("services", "db", {"metadata": {"annotations": {"svcmirror.io/export-name": "store", "svcmirror.io/export-namespace": "elsewhere"}}}, "demo")
    wait_until(lambda: mirrors(source) == [], 5, "nothing is left behind")

    def moved():
        found = {s["metadata"]["name"]: s for s in source.api.list("services", "elsewhere")}
        [root] = source.slices("store", "elsewhere")
        assert set(found) == {"store", "db-0-east", "db-1-east"}
        assert {e["hostname"]: e["addresses"][0] for e in root["endpoints"]} == {h: found[h + "-east"]["spec"]["clusterIP"] for h in both}
        return {s["metadata"]["labels"].get(MIRROR + "headless-mirror-svc-name") for s in found.values()} == {None, "store"}
    wait_until(moved, 5, "it is all there")
    east.api.patch("services", "db", {"metadata": {"annotations": {"svcmirror.io/export-name": None, "svcmirror.io/export-namespace": None}}}, "demo")
    wait_until(lambda: has_hosts(source, both) and source.api.list("services", "elsewhere") == [], 5, "and back")
    # By remote discovery there are no hostnames, and the Service has an address.
    for mode in ("remote-discovery", "true"):
        east.api.patch("services", "db", {"metadata": {"labels": {MIRROR + "exported": mode}}}, "demo")
        if mode == "true":
            wait_until(lambda: has_hosts(source, both) and get(source, "db-east")["spec"]["clusterIP"] == "None", 5, "headless again")
        else:
            wait_until(lambda: mirrors(source) == ["db-east"] and source.slices("db-east", "demo") == [] and
                       get(source, "db-east")["spec"]["clusterIP"] != "None", 5, "resolved in the target")
    source.api.delete("links", "east", AGENT_NAMESPACE)
    wait_until(lambda: mirrors(source) == [], 5, "all of it goes with the Link")
    wait_until(lambda: source.api.list("endpointslices", "demo") == [], 10, "and its slices with it")
