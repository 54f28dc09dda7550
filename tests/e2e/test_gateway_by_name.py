"""A Link that names its gateway's Service: the gateway is followed live, as 2.8 did. And gateways at addresses of the source cluster's own."""
import pytest
from cluster.checker import differences
from cluster.expected import MIRROR, of_cluster
from cluster.target import AGENT_NAMESPACE, GATEWAY_IDENTITY
from cluster.wait import wait_until

pytestmark = pytest.mark.usefixtures("link_crd")


def pieces(source, name="web-east", namespace="demo"):
    """(address, ready, port, identity) of each endpoint."""
    return [(e["addresses"][0], e["conditions"]["ready"], s["ports"][0]["port"], s["metadata"]["annotations"].get(MIRROR + "remote-gateway-identity"))
            for s in source.slices(name, namespace) for e in s["endpoints"] or []]


def rested(source, east):
    return wait_until(lambda: not differences(source, [east]), 20, "everything is as the checker computes it")


def events(source, reason):
    return [e for e in source.api.list("events", AGENT_NAMESPACE) if e["reason"] == reason]


def why(source, running):
    return running.command("why", "--kubeconfig", source.admin_kubeconfig, "demo/web").stdout


def test_a_gateway_named_by_a_link_is_followed_live(source, east, agent):
    source.ensure_namespace("demo")
    east.gateway.start()
    east.gateway_service()
    east.export_labelled("web")
    east.service("flat", labels={MIRROR + "exported": "remote-discovery"})
    east.service("both", labels={MIRROR + "federated": "member"})
    east.link_by_name(source, gatewayAddress="", gatewayPort="", remoteDiscoverySelector={"matchLabels": {MIRROR + "exported": "remote-discovery"}},
                      federatedServiceSelector={"matchLabels": {MIRROR + "federated": "member"}})
    running = agent()
    first = east.gateway.addresses[0]
    wait_until(lambda: pieces(source) == [(first, True, 4143, GATEWAY_IDENTITY)], 15, "the mirror leads through the gateway")
    wait_until(lambda: source.api.find("services", "flat-east", "demo") and source.api.find("services", "both-federated", "demo"), 10,
               "remote discovery and federated services need no gateway")
    rested(source, east)
    assert source.api.get("services", "probe-east", AGENT_NAMESPACE)["metadata"]["labels"] == of_cluster(**{MIRROR + "mirrored-gateway": "true"})
    shown = running.gateway("east")
    assert (shown["gatewayNamespace"], shown["gatewayName"], shown["linkKind"], shown["alive"]) == ("ambassador", "ambassador", "Link", True)
    before = len(source.writes("svcmirror"))
    east.api.patch("services", "ambassador", {"metadata": {"annotations": {"note": "of no interest"}}}, "ambassador")
    east.gateway_service(addresses=[first], identity="other.identity", ports=[{"name": "mc-gateway", "port": 5143, "protocol": "TCP"},
                                                                            {"name": "mc-probe", "port": 8080, "protocol": "TCP"}])
    wait_until(lambda: pieces(source) == [(first, True, 5143, "other.identity")], 10, "port and identity follow")
    rested(source, east)
    assert {w["objectRef"]["name"] for w in source.writes("svcmirror")[before:] if w["objectRef"]["resource"] in ("services", "endpointslices")} == {
        "web-east.ipv4", "probe-east.ipv4"}, "nothing is written but what changed"
    second = east.network.address(3)
    east.set_gateway_addresses([first, second])
    wait_until(lambda: [p[:2] for p in pieces(source)] == [(first, True), (second, False)], 20, "a new address counts, and nothing answers there")
    east.set_gateway_addresses([])
    wait_until(lambda: pieces(source) == [], 10, "without an address there are no endpoints")
    east.api.delete("services", "ambassador", "ambassador")
    wait_until(lambda: events(source, "GatewayNotFound"), 10, "its end is told")
    assert "does not exist in the target cluster" in why(source, running)
    rested(source, east)
    east.gateway_service()
    wait_until(lambda: pieces(source) == [(first, True, 4143, GATEWAY_IDENTITY)], 15, "it comes back")
    source.api.patch("links", "east", {"spec": {"gatewayAddress": second, "gatewayPort": "6143"}}, AGENT_NAMESPACE)
    wait_until(lambda: [p[0::2] for p in pieces(source)] == [(second, 6143)], 10, "the Link's own fields go first")
    assert "the Link itself gives spec.gatewayAddress, spec.gatewayPort" in why(source, running)
    rested(source, east)


def test_an_address_of_this_clusters_own_services_is_warned_of(source, east, agent):
    source.ensure_namespace("demo")
    east.export_labelled("web")
    inlet = source.service("inlet")["spec"]["clusterIP"]
    east.link(source, gatewayAddress=inlet)
    running = agent()
    wait_until(lambda: [e for e in events(source, "GatewayAddressLocal") if inlet in e["note"]], 15, "it is told")
    assert f"ServiceCIDR kubernetes, {source.service_cidr}" in running.gateway("east")["warning"]
    wait_until(lambda: source.slices("web-east", "demo"), 10, "and mirrored all the same")
    assert "is one of this cluster's own for Services" in why(source, running)
