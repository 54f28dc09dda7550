"""The health-check loop against a real Envoy: how soon, how sure, and why."""
import time

import pytest
from cluster.gateway import RawServer
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

# What users are promised at Edge Stack's period of 3 s.
CLOSED_PORT_S, BLACK_HOLE_S, BACK_S = 1.0, 4.0, 1.5


def linked(source, east, agent, **gateway):
    east.gateway_service(**gateway)
    east.export("web")
    east.link_secret(source)
    return agent()


def ready(source, name="web-east"):
    return source.ready_addresses(name, "demo")


def test_gateway_process_gone_and_back(source, east, agent):
    east.gateway.start()
    linked(source, east, agent)
    wait_until(lambda: ready(source), 10, "ready at first")
    for _ in range(2):
        began = time.monotonic()
        east.gateway.stop()
        wait_until(lambda: not ready(source), 10, "unready")
        assert time.monotonic() - began < CLOSED_PORT_S
        east.gateway.start()
        began = time.monotonic()
        wait_until(lambda: ready(source), 10, "ready again")
        assert time.monotonic() - began < BACK_S


def test_black_hole(source, east, agent):
    east.gateway.start()
    one = linked(source, east, agent)
    wait_until(lambda: ready(source), 10, "ready at first")
    began = time.monotonic()
    east.network.drop(east.gateway.addresses[0])
    wait_until(lambda: not ready(source), 10, "unready")
    assert time.monotonic() - began < BLACK_HOLE_S
    assert one.gateway("east")["addresses"][0]["reason"] in ("ConnectTimeout", "TransportSilent")
    east.network.heal()
    began = time.monotonic()
    wait_until(lambda: ready(source), 10, "ready again")
    assert time.monotonic() - began < BACK_S


def test_only_the_dead_address_becomes_unready(source, east, agent):
    first, second = east.network.address(2), east.network.address(3)
    east.gateway.addresses = [first, second]
    east.gateway.start()
    linked(source, east, agent)
    wait_until(lambda: ready(source) == [first, second], 10, "both are ready")
    east.network.drop(second)
    wait_until(lambda: ready(source) == [first], 8, "one is left")
    east.network.heal()
    wait_until(lambda: ready(source) == [first, second], 8, "both again")
    east.gateway.addresses = [first]


def test_an_answering_gateway_is_never_called_dead_because_a_connection_ended(source, east, agent):
    """Envoy closes idle connections here after half a second: each end brings a verifying probe, none a verdict."""
    east.gateway.idle_timeout = "0.5s"
    east.gateway.start()
    one = linked(source, east, agent)
    wait_until(lambda: ready(source), 10, "ready at first")
    probes = one.gateway("east")["addresses"][0]["probes"]
    wait_until(lambda: one.gateway("east")["addresses"][0]["probes"] > probes + 8, 20, "connections end and probes follow")
    assert one.logs("gateway_dead") == [] and ready(source)
    east.gateway.idle_timeout = None


def test_gateway_dead_from_the_start(source, east, agent):
    one = linked(source, east, agent)
    wait_until(lambda: (one.gateway("east") or {}).get("verdict") == "dead", 10, "the first verdict")
    assert source.api.find("services", "web-east", "demo") and ready(source) == []
    east.gateway.start()
    wait_until(lambda: ready(source), 5, "alive")


@pytest.mark.parametrize("fault, reason", [
    ("redirect", "InsecureRedirect"), ("no_mapping", "NoRoute"), ("wrong_rewrite", "WrongRewrite"), ("auth_refused", "AuthRefused"),
    ("auth_unreachable", "AuthUnreachable"), ("rbac", "AccessDenied"), ("upstream_down", "UpstreamConnectError"),
    ("upstream_silent", "UpstreamTimeout"), ("not_ready", "NotReady"), ("tls", "TLSOnPort")])
def test_each_way_of_failing_has_its_own_reason(source, east, agent, fault, reason):
    if fault == "tls":
        east.gateway.tls = east.pki.issue("gateway", "/CN=gateway", east.gateway.addresses)
    east.gateway.start(fault)
    one = linked(source, east, agent)
    wait_until(lambda: one.gateway("east")["verdict"] == "dead", 25, "dead")
    wait_until(lambda: one.gateway("east")["addresses"][0]["reason"] == reason, 10, f"the reason is {reason}, not {one.gateway('east')['addresses'][0]}")
    assert ready(source) == []
    assert any(name.startswith("svcmirror_gateway_probe_failures_total") and f'reason="{reason}"' in name for name in one.metrics())
    assert any(e["reason"] == "GatewayDead" for e in source.api.list("events", AGENT_NAMESPACE))
    east.gateway.restart()
    wait_until(lambda: ready(source), 10, "mended: alive")


@pytest.mark.parametrize("manner, reasons", [
    ("reset", {"ConnectionReset"}), ("close", {"ConnectionClosed"}), ("garbage", {"NotHTTP"}), ("hang", {"AnswerTimeout"}), ("tls-alert", {"TLSOnPort"})])
def test_servers_that_do_not_speak_http(source, east, agent, manner, reasons):
    server = RawServer(east.network, east.folder, east.gateway.addresses[0], 8080, manner)
    try:
        one = linked(source, east, agent, annotations={"mirror.linkerd.io/probe-timeout": "1s"})
        wait_until(lambda: one.gateway("east")["verdict"] == "dead", 25, "dead")
        assert one.gateway("east")["addresses"][0]["reason"] in reasons
        assert ready(source) == []
    finally:
        server.stop()


@pytest.mark.parametrize("fault", ["catch_all", "huge"])
def test_another_body_is_alive_with_a_warning(source, east, agent, fault):
    east.gateway.start(fault)
    one = linked(source, east, agent)
    wait_until(lambda: ready(source), 10, "alive")
    assert one.gateway("east")["addresses"][0]["reason"] == "OKOtherBody"
    assert "catch-all Mapping" in one.gateway("east")["warning"]
    warned = lambda: next(v for k, v in one.metrics().items() if k.startswith("svcmirror_gateway_warning"))
    assert warned() == 1 and len(one.logs("gateway_answer_odd")) == 1
    wait_until(lambda: any(e["reason"] == "GatewayAnswerOdd" for e in source.api.list("events", AGENT_NAMESPACE)), 5, "an Event")
    east.gateway.restart()
    wait_until(lambda: warned() == 0, 10, "mended")


def test_another_reason_of_a_dead_gateway_is_told(source, east, agent):
    one = linked(source, east, agent)
    wait_until(lambda: one.logs("gateway_dead"), 10, "dead: nothing listens")
    east.gateway.start("no_mapping")
    told = wait_until(lambda: one.logs("gateway_still_dead"), 10, "another reason")
    assert told[-1]["reason"] == "NoRoute"
    [event] = wait_until(lambda: [e for e in source.api.list("events", AGENT_NAMESPACE) if e["reason"] == "GatewayStillDead" and "NoRoute" in e["note"]], 5, "an Event")
    assert event["type"] == "Warning"
    east.gateway.restart()
    wait_until(lambda: ready(source), 10, "mended: alive")


def test_the_host_header_names_port_80_by_silence(source, east, agent):
    """Envoy takes "10.0.0.1" and "10.0.0.1:80" for two hosts, and people mean the first."""
    [address] = east.gateway.addresses
    east.gateway.probe_port, east.gateway.domains = 80, (address,)
    east.gateway.start()
    one = linked(source, east, agent, probe_port=80)
    wait_until(lambda: ready(source), 10, "alive")
    assert one.gateway("east")["addresses"][0]["reason"] == "OK"
    east.gateway.stop()
    east.gateway.domains = (address + ":80",)
    east.gateway.start()
    wait_until(lambda: one.gateway("east")["addresses"][0]["reason"] == "NoRoute", 10, "the port makes another host")


def test_slow_answers_within_the_timeout_are_alive(source, east, agent):
    """Two seconds for each answer at a period of one: probes overlap, none waits for another."""
    east.gateway.start("slow")
    one = linked(source, east, agent, period="1")
    wait_until(lambda: ready(source), 10, "alive")
    probes = one.gateway("east")["addresses"][0]["probes"]
    wait_until(lambda: one.gateway("east")["addresses"][0]["probes"] >= probes + 4, 8, "probes go out each period")
    assert one.logs("gateway_dead") == [] and ready(source)


def test_a_gateway_without_a_probe_counts_as_alive(source, east, agent):
    one = linked(source, east, agent, probe_path=None)
    wait_until(lambda: ready(source) == east.gateway.addresses, 10, "ready without a probe")
    assert "probe-path" in one.gateway("east")["warning"]


def test_the_verdict_alone_is_shown_when_endpoints_must_not_move(source, east, agent):
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    one = agent(flags=["--move-endpoints=false"])
    wait_until(lambda: one.gateway("east")["verdict"] == "dead", 10, "dead")
    wait_until(lambda: ready(source) == east.gateway.addresses, 5, "endpoints stay ready")
    assert source.ready_addresses("ambassador-east", AGENT_NAMESPACE) == [], "the gateway mirror still tells"


def test_a_host_name_is_resolved_and_resolved_again(source, east, agent, dns):
    first, second = east.network.address(2), east.network.address(3)
    east.gateway.addresses = [first, second]
    east.gateway.start()
    dns.set("gateway.example", [first], ttl=1)
    east.gateway_service(hostname="gateway.example")
    east.export("web")
    east.link_secret(source)
    one = agent(flags=["--dns-servers", dns.server])
    wait_until(lambda: ready(source) == [first], 10, "the name's address is used")
    dns.set("gateway.example", [first, second], ttl=1)
    wait_until(lambda: ready(source) == [first, second], 6, "a second address by the next TTL")
    dns.set("gateway.example", [], ttl=1)
    wait_until(lambda: one.logs("gateway_unusable"), 8, "the failure is told")
    assert ready(source) == [first, second], "a resolver that fails kills no gateway"
    [told] = wait_until(lambda: [e for e in source.api.list("events", AGENT_NAMESPACE) if e["reason"] == "GatewayUnresolved"], 5, "an Event")
    assert "gateway.example" in told["note"]
    dns.set("gateway.example", [first, second], ttl=1)
    wait_until(lambda: one.logs("gateway_usable"), 8, "its end is told")
    east.gateway.addresses = [first]


def test_of_an_unprobed_gateways_names_one_does_not_resolve_at_a_start(source, east, agent, dns):
    first, second = east.network.address(2), east.network.address(3)
    dns.set("one.example", [first], ttl=1)
    dns.set("two.example", [second], ttl=1)
    east.gateway_service(ports=[{"name": "mc-gateway", "port": 4143, "protocol": "TCP"}])
    east.api.patch("services", "ambassador", {"status": {"loadBalancer": {"ingress": [{"hostname": "one.example"}, {"hostname": "two.example"}]}}},
                   "ambassador", "status")
    east.export("web")
    east.link_secret(source)
    one = agent(flags=["--dns-servers", dns.server])
    wait_until(lambda: ready(source) == [first, second], 10, "both names' addresses")
    one.stop()
    dns.set("one.example", [], ttl=1)
    before = len(source.writes("svcmirror"))
    two = agent(flags=["--dns-servers", dns.server])
    wait_until(lambda: any(s["mirrored"] for s in two.services()) and two.logs("gateway_unusable"), 10, "the name does not resolve")
    east.export("later")
    wait_until(lambda: ready(source, "later-east") == [first, second], 5, "a new mirror has what the other ones have")
    assert ready(source) == [first, second]
    assert not [w for w in source.writes("svcmirror")[before:] if w["objectRef"]["name"].startswith("web-east")], "nothing was taken away meanwhile"
    dns.set("one.example", [east.network.address(4)], ttl=1)
    wait_until(lambda: ready(source) == [second, east.network.address(4)], 10, "the name says again what it has")
