"""Connections to real API servers: dead ones, HTTP/2 and its GOAWAY, proxies, IPv6."""
import json
import re
import subprocess
import time

import pytest
from cluster.proxies import Proxy
from cluster.wait import wait_until


def lists(running, cluster):
    return sum(value for name, value in running.metrics().items()
               if name.startswith("svcmirror_api_requests_total{") and f'cluster="{cluster}"' in name and 'verb="list"' in name)


def requests(running, cluster, *labels):
    return sum(value for name, value in running.metrics().items()
               if name.startswith("svcmirror_api_requests_total{") and all(label in name for label in (f'cluster="{cluster}"', *labels)))


def sockets(running, cluster):
    """What `ss` tells of the agent's connections to the API server, a line each."""
    text = subprocess.run(["ss", "-Htnp", "dst", cluster.host, "dport", "=", str(cluster.port)], text=True, capture_output=True, check=True).stdout
    return [line for line in text.splitlines() if f"pid={running.process.child.pid}," in line]


def connections(running, cluster):
    """Local ports of the agent's connections to the API server."""
    return [int(re.search(rf":(\d+) +{re.escape(cluster.host)}:", line)[1]) for line in sockets(running, cluster)]


def kill_silently(network, ports):
    """Packets of just these connections vanish, both ways."""
    text = "{" + ",".join(str(p) for p in ports) + "}"
    network._nft(f"table inet faults {{ chain silent {{ type filter hook output priority -300; tcp sport {text} drop; tcp dport {text} drop; }}\n"
                 f"chain silent_in {{ type filter hook input priority -300; tcp sport {text} drop; tcp dport {text} drop; }}\n}}\n")


def reset(ports):
    """The kernel ends just these connections, and tells both sides."""
    assert ports
    for port in ports:
        result = subprocess.run(["ss", "-HtnK", "sport", "=", str(port)], text=True, capture_output=True, check=True)
        assert f":{port} " in result.stdout, f"this kernel closes no connections: {result}"


@pytest.fixture
def linked(source, east):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    yield
    source.network.heal()


def mirrored(source, name, namespace="demo"):
    return source.api.find("services", f"{name}-east", namespace)


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_dead_connections_are_noticed(source, east, agent, linked, version):
    running = agent(flags=["--http-version", version])
    wait_until(lambda: mirrored(source, "web"), 20, "it is mirrored")
    # With traffic: a write into a connection that died, and no other that it could take.
    dead = connections(running, source)
    assert dead
    kill_silently(source.network, dead)
    began = time.monotonic()
    east.export("later")
    wait_until(lambda: mirrored(source, "later"), 30, "it is written on a new connection")
    assert time.monotonic() - began < 15 + 3
    source.network.heal()
    wait_until(lambda: source.ready_addresses("later-east", "demo") == east.gateway.addresses, 45, "and the watches are back")
    # Without: only watches, on which nothing happens.
    before = lists(running, "east")
    kill_silently(source.network, connections(running, east))
    began = time.monotonic()
    east.export("last")
    wait_until(lambda: mirrored(source, "last"), 60, "the watch is continued")
    assert time.monotonic() - began < 45 + 3
    assert lists(running, "east") == before, "from its place: nothing is listed again"


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_connections_that_are_reset_are_made_again(source, east, agent, linked, version):
    running = agent(flags=["--http-version", version])
    wait_until(lambda: mirrored(source, "web"), 20, "it is mirrored")
    before = lists(running, "east")
    reset(connections(running, east))
    east.export("later")
    wait_until(lambda: mirrored(source, "later"), 20, "the watches go on")
    assert lists(running, "east") == before, "from their place: nothing is listed again"


def test_a_server_behind_a_black_hole_is_told_within_45_seconds(source, east, agent, linked):
    running = agent()
    wait_until(lambda: mirrored(source, "web"), 20, "it is mirrored")
    east.network.drop(port=east.port)
    wait_until(lambda: running.metrics()['svcmirror_link_api_reachable{target_cluster_name="east"}'] == 0, 45, "it is noticed")
    assert running.gateway("east")["alive"], "that is no verdict about the gateway"
    east.network.heal()
    wait_until(lambda: running.metrics()['svcmirror_link_api_reachable{target_cluster_name="east"}'] == 1, 45, "it is followed again")


@pytest.mark.parametrize("version", ["1.1", "2"])
def test_servers_that_send_clients_away(source, east, agent, linked, version):
    """kube-apiserver ends a connection over HTTP/2 at random, as it does behind load balancers: at most with every fiftieth request."""
    for cluster in (source, east):
        cluster.restart_apiserver(goaway_chance=0.02)
    try:
        running = agent(flags=["--http-version", version])
        wait_until(lambda: mirrored(source, "web"), 20, "it is mirrored")
        listed = lists(running, "local") + lists(running, "east")
        for i in range(150):
            east.export(f"s{i}", "many")
        wait_until(lambda: len(source.api.list("services", "many")) == 150, 60, "all are mirrored")
        wait_until(lambda: running.metrics()["svcmirror_queue_depth"] == 0 and running.metrics()["svcmirror_writes_in_flight"] == 0, 30, "all is written")
        assert requests(running, "local") > 300
        assert lists(running, "local") + lists(running, "east") == listed, "nothing is listed again"
        assert requests(running, "local", 'code="0"') + requests(running, "east", 'code="0"') == 0, "no request was lost"
        assert not running.logs("write_failed") and not running.logs("target_watch_failed") and not running.logs("source_watch_failed")
        if version == "2":
            open_now = sockets(running, source)  # a watch may stay behind on one that takes nothing new
            assert len(open_now) < 10, "requests share a connection:\n" + "\n".join(open_now)
    finally:
        for cluster in (source, east):
            cluster.restart_apiserver()


# ---- proxies ----

@pytest.fixture
def proxy(lab, east):
    started = []

    def start(kind):
        certificate = ()
        if kind == "https":
            east.pki.issue("proxy", "/CN=proxy", [east.network.address(254)])
            certificate = (east.pki.file("proxy.crt"), east.pki.file("proxy.key"))
        one = Proxy(kind, east.network.address(254), 3128, lab.folder, certificate=certificate).start()
        started.append(one)
        wait_until(lambda: one.ready, 10, "the proxy listens")
        return one
    yield start
    for one in started:
        one.stop()


@pytest.mark.parametrize("kind", ["http", "https", "socks5"])
def test_the_proxy_of_a_kubeconfig(source, east, agent, linked, proxy, kind):
    one = proxy(kind)
    config = json.loads(east.reader_kubeconfig())
    config["clusters"][0]["cluster"]["proxy-url"] = one.url
    east.link_secret(source, json.dumps(config))
    agent()
    wait_until(lambda: mirrored(source, "web"), 20, "it is mirrored")
    assert set(one.tunnels) == {f"{east.host}:{east.port}"}
    one.stop()
    east.export("later")
    one.start()
    wait_until(lambda: mirrored(source, "later"), 60, "it goes on when the proxy is back")


def test_the_proxy_of_the_environment_and_what_it_is_not_for(source, east, agent, linked, proxy):
    one = proxy("http")
    agent(env={"HTTPS_PROXY": one.url, "NO_PROXY": "192.0.2.7, 10.201.0.0/24"})
    wait_until(lambda: mirrored(source, "web"), 20, "it is mirrored")
    assert set(one.tunnels) == {f"{east.host}:{east.port}"}, "the source is within NO_PROXY"


# ---- IPv6 ----

def test_a_server_by_its_ipv6_address(source, east, agent, linked):
    east.restart_apiserver(bind_address="::")
    try:
        config = json.loads(east.reader_kubeconfig())
        config["clusters"][0]["cluster"] |= {"server": f"https://[{east.network.address6(1)}]:{east.port}", "tls-server-name": "kubernetes"}
        east.link_secret(source, json.dumps(config))
        running = agent()
        wait_until(lambda: mirrored(source, "web"), 20, "it is mirrored")
        assert f"[{east.network.address6(1)}]" in running.logs("link_connecting")[0]["server"]
        # In a pod: the address without brackets.
    finally:
        east.restart_apiserver()
