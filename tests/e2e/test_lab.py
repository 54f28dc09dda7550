"""The laboratory itself: what every other test takes for granted. No agent takes part here."""
import http.client
import json
import os
import socket
import ssl
import subprocess
import sys
import time

import dnslib
import pytest
from cluster.api import Api, ApiError
from cluster.gateway import READY_TEXT
from cluster.processes import Process
from cluster.wait import Timeout, wait_until

PATH = "/-/ambassador/ready"
TESTS = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def fetch(address, port=8080, path=PATH, host=None, timeout=6.0):
    """One plain HTTP request. Returns status, headers (lower case) and body."""
    connection = http.client.HTTPConnection(address, port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Host": host} if host else {})
        answer = connection.getresponse()
        return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def refuses(address, port=8080):
    try:
        fetch(address, port)
    except ConnectionRefusedError:
        return True
    return False


# -- control planes --


def test_api_servers_answer(lab):
    for cluster in (lab.source, *lab.targets):
        assert cluster.api.raw("GET", "/readyz") == (200, b"ok")
        assert {"default", "kube-system"} <= {n["metadata"]["name"] for n in cluster.api.list("namespaces")}


def test_clusters_are_strangers_to_each_other(lab):
    """Each has a CA and accounts of its own: a kubeconfig that works elsewhere works by mistake."""
    source, east = lab.source, lab.targets[0]
    token = east.token("default")
    with pytest.raises(ApiError) as refused:
        Api(source.host, source.port, source.pki.ca, token=token).list("services")
    assert refused.value.status == 401
    with pytest.raises(ssl.SSLCertVerificationError):
        Api(source.host, source.port, east.pki.ca, token=token).list("services")


def test_controllers_make_slices_and_kube_proxy_follows_them(source):
    """Pod -> slice -> ClusterIP: the data path that mirrors are used on."""
    address = source.network.address(10)
    server = Process("quotes", [sys.executable, "-m", "cluster.quotes", address, 5000], source.folder, env={"PYTHONPATH": TESTS}).start()
    source.ensure_namespace("demo")
    try:
        source.pod("quotes-0", "demo", address, {"app": "quotes"})
        service = source.api.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "quotes", "namespace": "demo"},
                                                 "spec": {"selector": {"app": "quotes"}, "ports": [{"port": 80, "targetPort": 5000}]}})
        wait_until(lambda: source.ready_addresses("quotes", "demo") == [address], 10, "the controller made a slice")
        cluster_ip = service["spec"]["clusterIP"]
        assert cluster_ip.startswith(source.service_cidr.rsplit(".", 2)[0])
        status, _, body = wait_until(lambda: fetch(cluster_ip, 80, "/"), 10, "the ClusterIP leads to the pod")
        assert status == 200 and json.loads(body)["server"] == "qotm"
        source.pod("quotes-0", "demo", address, {"app": "quotes"}, ready=False)
        wait_until(lambda: source.ready_addresses("quotes", "demo") == [], 10, "the slice follows the pod")
        wait_until(lambda: refuses(cluster_ip, 80), 10, "a service without ready endpoints refuses")
    finally:
        server.stop()
        source.api.call("DELETE", source.api.path("pods", "demo", "quotes-0", gracePeriodSeconds=0))


def test_reader_credentials_may_read_two_kinds_and_nothing_else(east):
    user = json.loads(east.reader_kubeconfig())["users"][0]["user"]
    api = Api(east.host, east.port, east.pki.ca, token=user["token"])
    api.list("services")
    api.list("endpointslices")
    for attempt in (lambda: api.list("secrets"), lambda: api.list("pods"), lambda: api.delete("services", "kubernetes", "default")):
        with pytest.raises(ApiError) as refused:
            attempt()
        assert refused.value.status == 403


def test_the_audit_log_tells_who_wrote_what(source):
    before = len(source.writes("lab"))
    source.ensure_namespace("demo")
    source.api.create("configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "told", "namespace": "demo"}})
    source.api.list("configmaps", "demo")
    source.api.delete("configmaps", "told", "demo")
    told = [(w["verb"], w["objectRef"]["resource"], w["objectRef"]["name"]) for w in source.writes("lab")[before:] if w["objectRef"].get("name") == "told"]
    assert told == [("create", "configmaps", "told"), ("delete", "configmaps", "told")], "reads are not told, writes are, in order"


# -- the gateway: the signs that were measured on Edge Stack --

UPSTREAM = "x-envoy-upstream-service-time"  # there only when something behind Envoy answered


def test_a_gateway_set_up_well(east):
    east.gateway.start()
    for host in (None, "gateway.example", "gateway.example:80"):
        status, headers, body = fetch(east.gateway.addresses[0], host=host)
        assert (status, body.decode()) == (200, READY_TEXT)
        assert headers["server"] == "envoy" and headers["content-type"].startswith("text/plain") and UPSTREAM in headers


@pytest.mark.parametrize("path, status, upstream", [
    (PATH + "?x=1", 200, True), ("/" + PATH, 404, False), (PATH[1:], 400, False), (PATH.upper(), 404, False),
    (PATH + "/", 404, True), (PATH + "foo", 404, True)])
def test_other_spellings_of_the_path(east, path, status, upstream):
    """What follows the Mapping's prefix is passed on, and refused by the health endpoint itself."""
    east.gateway.start()
    got, headers, _ = fetch(east.gateway.addresses[0], path=path)
    assert (got, UPSTREAM in headers) == (status, upstream)


# fault: status, whether the answer came from behind Envoy, body
SIGNS = {
    "redirect": (301, False, ""),
    "no_mapping": (404, False, ""),
    "wrong_rewrite": (404, True, "404 page not found\n"),
    "auth_refused": (403, False, "not allowed\n"),
    "auth_unreachable": (403, False, ""),
    "rbac": (403, False, "RBAC: access denied"),
    "upstream_down": (503, False, "upstream connect error or disconnect/reset before headers."),
    "not_ready": (503, True, "Ambassador is not ready\n"),
    "catch_all": (200, True, "hello from some application\n"),
    "huge": (200, True, "x" * (10 << 20)),
}


@pytest.mark.parametrize("fault", SIGNS)
def test_each_fault_has_its_documented_sign(east, fault):
    status, upstream, body = SIGNS[fault]
    east.gateway.start(fault)
    got, headers, text = fetch(east.gateway.addresses[0], host="gateway.example")
    text = text.decode()
    if fault == "upstream_down":
        text = text[:len(body)]  # what follows is Envoy's own account of the reason
    assert (got, UPSTREAM in headers, headers["server"]) == (status, upstream, "envoy")
    assert text == body, f"{len(text)} bytes: {text[:200]!r}"
    if fault == "redirect":
        assert headers["location"] == "https://gateway.example" + PATH


@pytest.mark.parametrize("fault, status, least_s, most_s", [("upstream_silent", 504, 2.9, 4.5), ("slow", 200, 1.9, 3.5)])
def test_slow_faults_take_their_time(east, fault, status, least_s, most_s):
    east.gateway.start(fault)
    began = time.monotonic()
    assert fetch(east.gateway.addresses[0])[0] == status
    assert least_s < time.monotonic() - began < most_s


def test_tls_on_the_probe_port(east):
    address = east.gateway.addresses[0]
    east.gateway.tls = east.pki.issue("gateway", "/CN=gateway", [address])
    east.gateway.start("tls")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        fetch(address)
    context = ssl.create_default_context(cafile=east.pki.ca)
    with socket.create_connection((address, 8080), timeout=5) as plain, context.wrap_socket(plain, server_hostname=address) as secured:
        assert secured.version()


def test_linkerds_port_routes_by_authority(east):
    east.qotm("demo")
    east.gateway.start()
    address = east.gateway.addresses[0]
    for host in ("qotm.demo.svc.cluster.local", "qotm.demo.svc.cluster.local:80"):
        status, _, body = fetch(address, 4143, "/", host)
        assert status == 200 and json.loads(body)["host"] == host
    assert fetch(address, 4143, "/", "other.demo.svc.cluster.local")[0] == 404


def test_a_gateway_stops_and_comes_back(east):
    east.gateway.start()
    address = east.gateway.addresses[0]
    east.gateway.stop()
    assert refuses(address)
    east.gateway.start()
    assert fetch(address)[0] == 200


# -- the network --


def test_both_address_families_reach_a_gateway(east):
    east.gateway.addresses = [east.network.address(2), east.network.address6(2)]
    east.gateway.start()
    assert [fetch(address)[0] for address in east.gateway.addresses] == [200, 200]


def test_a_dropped_address_is_a_black_hole_and_others_are_not(east):
    first, second = east.gateway.addresses = [east.network.address(2), east.network.address(3)]
    east.gateway.start()
    kept = http.client.HTTPConnection(first, 8080, timeout=1)
    kept.request("GET", PATH)
    kept.getresponse().read()
    east.network.drop(first, 8080)
    with pytest.raises(TimeoutError):
        fetch(first, timeout=1)
    with pytest.raises(TimeoutError):  # the open connection hears nothing either
        kept.request("GET", PATH)
        kept.getresponse()
    assert fetch(second)[0] == 200
    assert east.api.raw("GET", "/readyz")[0] == 200
    east.network.heal()
    assert fetch(first)[0] == 200


@pytest.mark.parametrize("port", [8080, None])
def test_a_rejected_address_refuses(east, port):
    first, second = east.gateway.addresses = [east.network.address(2), east.network.address(3)]
    east.gateway.start()
    east.network.reject(first, port)
    assert refuses(first)
    assert fetch(second)[0] == 200
    east.network.heal()
    assert fetch(first)[0] == 200


def test_nothing_leads_out_of_the_laboratory(lab):
    """Every device is loopback or one end of the laboratory's own veths, and here no route is a default one."""
    for network in (lab.source.network, *(t.network for t in lab.targets)):
        links = json.loads(subprocess.run(network.argv("ip", "-j", "-d", "link"), check=True, capture_output=True, text=True).stdout)
        kinds = {link["ifname"]: link.get("linkinfo", {}).get("info_kind", link["link_type"]) for link in links}
        assert set(kinds.values()) <= {"loopback", "veth"}, kinds
    for family in ("-4", "-6"):
        assert subprocess.run(["ip", family, "route", "show", "default"], check=True, capture_output=True, text=True).stdout == ""


def test_dns_answers_what_was_set(dns):
    dns.set("gateway.example", ["10.201.1.2", "fd00:201:1::2"], ttl=7)
    host, port = dns.server.split(":")

    def ask(name, kind):
        return dnslib.DNSRecord.parse(dnslib.DNSRecord.question(name, kind).send(host, int(port), timeout=2))
    assert [(str(a.rdata), a.ttl) for a in ask("gateway.example", "A").rr] == [("10.201.1.2", 7)]
    assert [(str(a.rdata), a.ttl) for a in ask("gateway.example", "AAAA").rr] == [("fd00:201:1::2", 7)]
    assert dnslib.RCODE.get(ask("nothing.example", "A").header.rcode) == "NXDOMAIN"


# -- waiting --


def test_waiting_tells_what_was_seen_last():
    with pytest.raises(Timeout, match="the moon; last seen: 0"):
        wait_until(lambda: 0, 0.05, "the moon")
