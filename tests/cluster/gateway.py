"""Edge Stack's data plane: a real Envoy, configured as Edge Stack would configure it for one Host, the health Mapping and Linkerd's port.

Listener 8080 is Edge Stack's cleartext listener (the Service's port 80 leads there); listener 4143 stands for Linkerd's proxy, which is not here: it
routes by the authority that the proxy on the source side would set. A small server stands for Edge Stack's control program on 8877.
"""
import http.server
import json
import os
import shutil
import socket
import sys
import threading
import time

from .processes import Process
from .wait import wait_until
from .webserver import WebServer

READY_TEXT = "Ambassador is ready and waiting\n"

# Ways in which the set-up can be wrong; the signs are those measured on Emissary.
FAULTS = ("redirect", "no_mapping", "wrong_rewrite", "auth_refused", "auth_unreachable", "rbac", "upstream_down", "upstream_silent", "not_ready",
          "catch_all", "huge", "slow")


def envoy_binary():
    beside = os.path.join(os.path.dirname(sys.executable), "envoy")
    return beside if os.path.exists(beside) else shutil.which("envoy")


def _route(prefix, cluster, rewrite=None, **more):
    action = {"cluster": cluster, "timeout": "3s", **({"prefix_rewrite": rewrite} if rewrite else {})}
    return {"match": {"prefix": prefix}, "route": action, **more}


def _direct(prefix, status, body="", headers=()):
    return {"match": {"prefix": prefix}, "direct_response": {"status": status, **({"body": {"inline_string": body}} if body else {})},
            "response_headers_to_add": [{"header": {"key": k, "value": v}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"} for k, v in headers]}


def _health_routes(fault, path):
    """The routes of listener 8080 for each fault."""
    mapping = _route(path, "health", "/ambassador/v0/check_ready")
    if fault == "redirect":
        return [{"match": {"prefix": "/"}, "redirect": {"https_redirect": True}}]
    if fault == "no_mapping":
        return []
    if fault == "wrong_rewrite":
        return [_route(path, "health", "/")]
    if fault == "auth_refused":
        return [_direct(path, 403, "not allowed\n")]
    if fault == "auth_unreachable":
        return [_direct(path, 403)]
    if fault == "rbac":
        return [_direct(path, 403, "RBAC: access denied")]
    if fault == "catch_all":
        return [_route("/", "application")]
    if fault == "huge":
        return [_route(path, "health", "/huge")]
    if fault == "slow":
        mapping["route"]["prefix_rewrite"] = "/slow"
        mapping["route"]["timeout"] = "30s"
    return [mapping]


def _listener(name, addresses, port, routes, tls=None, domains=("*",), idle_timeout=None):
    manager = {"@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
               "stat_prefix": name, "server_name": "envoy",
               **({"common_http_protocol_options": {"idle_timeout": idle_timeout}, "drain_timeout": "0.1s"} if idle_timeout else {}),
               "route_config": {"virtual_hosts": routes if routes and "domains" in routes[0] else
                                [{"name": name, "domains": list(domains), "routes": routes}]},
               "http_filters": [{"name": "router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}]}
    chain = {"filters": [{"name": "http", "typed_config": manager}]}
    if tls:
        chain["transport_socket"] = {"name": "tls", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificates": [{"certificate_chain": {"filename": tls[1]}, "private_key": {"filename": tls[0]}}]}}}
    return [{"name": f"{name}-{i}", "address": {"socket_address": {"address": a, "port_value": port}}, "filter_chains": [chain]}
            for i, a in enumerate(addresses)]


def _cluster(name, address, port):
    return {"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [
        {"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}}]}]}}


class HealthServer:
    """Stands for Edge Stack's own endpoint on 8877. Run as a program in the gateway's namespace: `python -m cluster.gateway ADDRESS PORT MODE`."""

    def __init__(self, address, port, mode):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                if mode == "upstream_silent":
                    time.sleep(60)
                status, body = 404, b"404 page not found\n"
                if self.path.startswith("/huge"):
                    status, body = 200, b"x" * (10 << 20)
                elif self.path.startswith("/slow"):
                    time.sleep(2)
                    status, body = 200, READY_TEXT.encode()
                elif self.path.split("?")[0] == "/ambassador/v0/check_ready":
                    status, body = (503, b"Ambassador is not ready\n") if mode == "not_ready" else (200, READY_TEXT.encode())
                elif mode == "application":
                    status, body = 200, b"hello from some application\n"
                self.send_response(status)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = WebServer((address, port), Handler)


class Gateway:
    """One gateway in a target's place. `addresses` are where it listens; `services` maps authorities to (address, port) for listener 4143."""

    def __init__(self, network, folder, addresses=None, name="gateway", services=None, path="/-/ambassador/ready", probe_port=8080, tls=None):
        self.network, self.folder, self.name = network, os.path.join(folder, name), name
        self.addresses = addresses or [network.address(2)]
        self.services = services or {}
        self.path, self.probe_port, self.tls = path, probe_port, tls
        self.domains = ("*",)  # the Host headers that the health Mapping answers to
        self.idle_timeout = None  # of kept-open connections, e.g. "0.5s"
        self.fault = None
        self.envoy = self.health = self.application = None

    def _config(self):
        application = [{"name": authority.split(".")[0] + str(i), "domains": [authority, authority + ":*"],
                        "routes": [_route("/", f"service-{i}")]} for i, authority in enumerate(sorted(self.services))]
        listeners = _listener("edge-stack", self.addresses, self.probe_port, _health_routes(self.fault, self.path), self.tls if self.fault == "tls" else None,
                              domains=self.domains, idle_timeout=self.idle_timeout)
        if application:
            listeners += _listener("linkerd", self.addresses, 4143, application)
        else:
            listeners += _listener("linkerd", self.addresses, 4143, [_direct("/", 404)])
        clusters = [_cluster("health", self.addresses[0], 8877), _cluster("application", self.addresses[0], 8878)]
        clusters += [_cluster(f"service-{i}", *self.services[authority]) for i, authority in enumerate(sorted(self.services))]
        return {"static_resources": {"listeners": listeners, "clusters": clusters}}

    def start(self, fault=None):
        self.fault = fault
        os.makedirs(self.folder, exist_ok=True)
        path = os.path.join(self.folder, "envoy.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self._config(), file)
        netns = self.network.netns
        env = {"PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}
        if fault != "upstream_down":
            self.health = Process("health", [sys.executable, "-m", "cluster.gateway", self.addresses[0], 8877, fault or "ready"], self.folder, netns, env).start()
        self.application = Process("application", [sys.executable, "-m", "cluster.gateway", self.addresses[0], 8878, "application"], self.folder, netns, env).start()
        if self.health:
            wait_until(lambda: self._accepts(8877), 10, "the health endpoint listens")
        self.envoy = Process("envoy", [envoy_binary(), "-c", path, "--disable-hot-restart", "--concurrency", 1, "-l", "warn"], self.folder, netns).start()
        wait_until(lambda: self._accepts(self.probe_port), 20, "Envoy listens")
        return self

    def _accepts(self, port):
        for process in (self.envoy, self.health):
            if process is not None:
                process.require()
        with socket.create_connection((self.addresses[0], port), timeout=1):
            return True

    def stop(self):
        """The gateway's process ends: its connections are closed, its ports refuse."""
        for process in (self.envoy, self.health, self.application):
            if process is not None:
                process.kill()
        self.envoy = self.health = self.application = None

    def restart(self, fault=None):
        self.stop()
        return self.start(fault)


class RawServer:
    """Answers every connection on an address with fixed bytes, or in some other rude way: "reset", "close", "hang", "garbage", "tls-alert"."""

    ANSWERS = {"garbage": b"\x00\x01\x02 this is not HTTP\r\n\r\n", "tls-alert": b"\x15\x03\x01\x00\x02\x02\x46"}

    def __init__(self, network, folder, address, port, manner):
        env = {"PYTHONPATH": os.path.dirname(os.path.dirname(os.path.abspath(__file__)))}
        self.process = Process("raw-" + manner, [sys.executable, "-m", "cluster.gateway", address, port, manner], folder, network.netns, env).start()
        wait_until(lambda: socket.create_connection((address, port), timeout=1).close() or True, 10, "the rude server listens")

    def stop(self):
        self.process.kill()


def _serve_raw(address, port, manner):
    import struct
    listener = socket.create_server((address, port), backlog=64)
    held = []

    def serve(connection):
        if manner == "hang":
            held.append(connection)
            return
        connection.settimeout(5)
        try:
            connection.recv(4096)
            if manner == "reset":
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            elif manner in RawServer.ANSWERS:
                connection.sendall(RawServer.ANSWERS[manner])
        except OSError:
            pass
        connection.close()

    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    host, number, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    if how in ("reset", "close", "hang", *RawServer.ANSWERS):
        _serve_raw(host, number, how)
    else:
        HealthServer(host, number, how).server.serve_forever()
