"""An API server in memory, as far as the agent needs one: lists by pages, watches, writes. What it answers to a list, to a watch and as an event
can be replaced by a fault (faults.py), once for each time that one is armed. Everything else it does right."""
import base64
import collections
import copy
import http.server
import json
import re
import socket
import ssl
import struct
import threading
import urllib.parse

from program import WebServer

GROUPS = {"services": ("v1", "Service"), "endpoints": ("v1", "Endpoints"), "namespaces": ("v1", "Namespace"), "secrets": ("v1", "Secret"),
          "endpointslices": ("discovery.k8s.io/v1", "EndpointSlice"), "events": ("events.k8s.io/v1", "Event"),
          "links": ("multicluster.linkerd.io/v1alpha3", "Link")}
PAGE = 2  # the server may give less than it is asked for: small lists have pages, too
LINKS = "/apis/multicluster.linkerd.io"


def status(code, reason, message, **more):
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": code, "reason": reason, "message": message, **more}


def selects(selector, labels):
    """A label selector in its text form: a=b, a!=b, a in (b,c), a notin (b,c), a, !a, joined by commas."""
    for part in re.findall(r"(?:[^,(]|\([^)]*\))+", selector or ""):
        one = re.fullmatch(r"\s*(\S+)\s+(in|notin)\s+\(([^)]*)\)\s*", part)
        if one:
            holds = (labels.get(one[1]) in [v.strip() for v in one[3].split(",")]) == (one[2] == "in")
        elif "!=" in part:
            key, value = part.split("!=")
            holds = labels.get(key) != value
        elif "=" in part:
            key, value = part.replace("==", "=").split("=")
            holds = labels.get(key) == value
        else:
            holds = (part.lstrip("!") in labels) != part.startswith("!")
        if not holds:
            return False
    return True


def merge(into, patch):
    """RFC 7396."""
    for key, value in patch.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            into[key] = merge(into[key] if isinstance(into.get(key), dict) else {}, value)
        else:
            into[key] = value
    return into


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    # -- what faults are made of --

    def head(self, code=200, content_type="application/json", length=None, **headers):
        """Without a length the body follows in chunks."""
        self.send_response(code)
        self.send_header("Content-Type", content_type)
        self.send_header(*(("Transfer-Encoding", "chunked") if length is None else ("Content-Length", str(length))))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.flush()

    def chunk(self, data):
        self.raw(b"%x\r\n%s\r\n" % (len(data), data))

    def raw(self, data):
        self.wfile.write(data)
        self.wfile.flush()

    def end(self):
        self.raw(b"0\r\n\r\n")

    def close(self):
        """FIN, wherever we are."""
        self.close_connection = True

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def whole(self, code, body, **headers):
        data = json.dumps(body).encode() if not isinstance(body, bytes) else body
        self.head(code, length=len(data), **headers)
        self.raw(data)

    # -- requests --

    def do_GET(self):
        self.server.api.answer(self, "GET", None)

    def do_write(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.api.answer(self, self.command, json.loads(body) if body else {})

    do_POST = do_PUT = do_PATCH = do_DELETE = do_write


class Watch:
    """One that is open. `order` is what it is to do beside telling what happens: expire or end."""

    def __init__(self, resource):
        self.resource, self.order = resource, None


class ApiServer:
    def __init__(self, certificate=None):
        """`certificate` is a file with key and certificate in PEM; without one it is plain HTTP."""
        self.changed = threading.Condition()
        self.objects = collections.defaultdict(dict)
        self.version, self.log = 100, []
        self.writes, self.armed, self.watches, self.closed = [], collections.defaultdict(list), set(), False
        self.streams, self.lists = False, collections.Counter()
        self.certificate = certificate
        self.http = WebServer(("127.0.0.1", 0), Handler)
        self.http.api = self
        self.http.handle_error = lambda *_: None  # clients that go away are what this is about
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.http.socket = context.wrap_socket(self.http.socket, server_side=True, do_handshake_on_connect=False)
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self):
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.http.shutdown()
        self.http.server_close()

    def kubeconfig(self):
        cluster = {"server": self.url}
        if self.certificate:
            with open(self.certificate, encoding="ascii") as file:
                pem = file.read()
            cluster["certificate-authority-data"] = base64.b64encode(pem[pem.index("-----BEGIN CERTIFICATE"):].encode()).decode()
        return json.dumps({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}],
                           "clusters": [{"name": "c", "cluster": cluster}]})

    # -- what it holds --

    def put(self, resource, made):
        """Creates or replaces; what a server adds to an object is added."""
        with self.changed:
            self.version += 1
            group, kind = GROUPS[resource]
            meta = made.setdefault("metadata", {})
            key = (meta.get("namespace", ""), meta["name"])
            old = self.objects[resource].get(key)
            meta["uid"] = old["metadata"]["uid"] if old else f"uid-{self.version}"
            meta["resourceVersion"] = str(self.version)
            if resource == "services" and made["spec"].get("clusterIP") != "None":
                made["spec"]["clusterIP"] = old["spec"]["clusterIP"] if old else f"10.0.{self.version // 250}.{self.version % 250}"
            one = {"apiVersion": group, "kind": kind, **made}
            self.objects[resource][key] = one
            self.log.append((self.version, resource, "MODIFIED" if old else "ADDED", copy.deepcopy(one)))
            self.changed.notify_all()
            return one

    def remove(self, resource, namespace, name):
        with self.changed:
            gone = self.objects[resource].pop((namespace, name))
            self.version += 1
            last = copy.deepcopy(gone)
            last["metadata"]["resourceVersion"] = str(self.version)
            self.log.append((self.version, resource, "DELETED", last))
            self.changed.notify_all()
        for (space, piece), one in list(self.objects["endpointslices"].items()):  # as the garbage collector does
            if any(owner["uid"] == gone["metadata"]["uid"] for owner in one["metadata"].get("ownerReferences", [])):
                self.remove("endpointslices", space, piece)

    def get(self, resource, namespace, name):
        with self.changed:
            return copy.deepcopy(self.objects[resource].get((namespace, name)))

    # -- faults --

    def arm(self, resource, position, fault):
        """`position`: list, page (one after the first), watch (the answer to it), event (on an open watch), stream (the answer to a list that is to be
        streamed), initial (an event of one)."""
        with self.changed:
            self.armed[resource, position].append(fault)

    def is_armed(self):
        with self.changed:
            return any(self.armed.values())

    def _fault(self, resource, position):
        with self.changed:
            waiting = self.armed[resource, position]
            return waiting.pop(0) if waiting else None

    def order(self, resource, what):
        """Every open watch of the resource is to `expire` (410 in the stream) or to `end`."""
        with self.changed:
            for watch in self.watches:
                if watch.resource == resource:
                    watch.order = what
            self.changed.notify_all()

    def is_watched(self, resource):
        with self.changed:
            return any(watch.resource == resource for watch in self.watches)

    # -- answers --

    def answer(self, handler, method, body):
        url = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        parts = [part for part in url.path.split("/") if part]
        if url.path == LINKS:
            return handler.whole(200, {"kind": "APIGroup", "apiVersion": "v1", "name": "multicluster.linkerd.io", "versions": [
                {"groupVersion": "multicluster.linkerd.io/v1alpha3", "version": "v1alpha3"}]})
        if url.path == LINKS + "/v1alpha3":
            return handler.whole(200, {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "multicluster.linkerd.io/v1alpha3", "resources": [
                {"name": "links", "kind": "Link", "namespaced": True}]})
        resource, namespace, name, sub = self._locate(parts[2:] if parts[0] == "api" else parts[3:])
        if resource not in GROUPS or parts[0] == "apis" and "/".join(parts[1:3]) != GROUPS[resource][0]:
            return handler.whole(404, status(404, "NotFound", "the server could not find the requested resource"))
        if method != "GET":
            return self._write(handler, method, resource, namespace, name, sub, body, query)
        if name:
            one = self.get(resource, namespace, name)
            return handler.whole(200, one) if one else handler.whole(404, status(404, "NotFound", f'{resource} "{name}" not found'))
        if "watch" in query:
            return self._watch(handler, resource, namespace, query)
        return self._list(handler, resource, namespace, query)

    @staticmethod
    def _locate(parts):
        namespace = ""
        if parts and parts[0] == "namespaces" and len(parts) > 2:
            namespace, parts = parts[1], parts[2:]
        return (parts[0] if parts else "", namespace, *(parts[1:] + ["", ""])[:2])

    @staticmethod
    def _wanted(one, namespace, query):
        meta = one["metadata"]
        return namespace in ("", meta.get("namespace", "")) and selects(query.get("labelSelector"), meta.get("labels", {}))

    def _list(self, handler, resource, namespace, query):
        with self.changed:
            begin, version = map(int, query["continue"].split("-")) if "continue" in query else (0, self.version)
            found = [copy.deepcopy(one) for _, one in sorted(self.objects[resource].items()) if self._wanted(one, namespace, query)]
            if begin and version != self.version:
                return handler.whole(410, status(410, "Expired", "The provided continue parameter is too old"))
        items = found[begin:begin + PAGE] if "limit" in query else found
        group, kind = GROUPS[resource]
        meta = {"resourceVersion": str(version)}
        if "limit" in query and begin + PAGE < len(found):
            meta["continue"] = f"{begin + PAGE}-{version}"
        if resource == "links":  # in a list of custom resources the keys are sorted, and each says what it is
            body = {"apiVersion": group, "items": items, "kind": kind + "List", "metadata": meta}
        else:
            items = [{k: v for k, v in one.items() if k not in ("kind", "apiVersion")} for one in items]
            body = {"kind": kind + "List", "apiVersion": group, "metadata": meta, "items": items}
        self.lists["paged"] += 1
        fault = self._fault(resource, "page" if begin else "list")
        if fault:
            return fault(handler, json.dumps(body).encode())
        return handler.whole(200, body)

    def _watch(self, handler, resource, namespace, query):
        streams = query.get("sendInitialEvents") == "true"
        if streams and not self.streams:
            return handler.whole(422, status(422, "Invalid", "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"))
        fault = self._fault(resource, "stream" if streams else "watch")
        if fault:
            return fault(handler, b"")
        handler.head()
        since = self._send_initial(handler, resource, namespace, query) if streams else int(query["resourceVersion"])
        if since is None:
            return None
        watch = Watch(resource)
        with self.changed:
            self.watches.add(watch)
        try:
            return self._follow(handler, watch, namespace, query, since)
        finally:
            with self.changed:
                self.watches.discard(watch)

    def _send_initial(self, handler, resource, namespace, query):
        """@return the version at which everything was named; None when a fault has ended it."""
        self.lists["streamed"] += 1
        with self.changed:
            since, found = self.version, [copy.deepcopy(one) for _, one in sorted(self.objects[resource].items()) if self._wanted(one, namespace, query)]
        for one in found:
            if not self._send(handler, resource, "initial", self.event("ADDED", one)):
                return None
        handler.chunk(self.event("BOOKMARK", {"kind": GROUPS[resource][1], "apiVersion": GROUPS[resource][0], "metadata": {
            "resourceVersion": str(since), "annotations": {"k8s.io/initial-events-end": "true"}}}))
        return since

    def _send(self, handler, resource, position, data):
        """@return whether the stream may go on."""
        fault = self._fault(resource, position)
        if fault:
            return fault(handler, data)
        handler.chunk(data)
        return True

    def _follow(self, handler, watch, namespace, query, since):
        """Tells what happens from then on, with a bookmark after each batch."""
        resource, shown = watch.resource, set()
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.closed or watch.order or self.version > since, 5)
                order, events = watch.order, [entry for entry in self.log if entry[0] > since and entry[1] == resource]
                since = self.version
                if self.closed:
                    return handler.close()
            if order:
                if order == "expire":
                    handler.chunk(self.event("ERROR", status(410, "Expired", f"too old resource version: {since}")))
                return handler.end()
            for _, _, kind, one in events:
                wanted = self._wanted(one, namespace, query)
                key = (one["metadata"].get("namespace", ""), one["metadata"]["name"])
                if not wanted and key not in shown:
                    continue
                data = self.event(kind if wanted else "DELETED", one)
                shown.add(key)
                if not self._send(handler, resource, "event", data):
                    return None
            handler.chunk(self.event("BOOKMARK", {"kind": GROUPS[resource][1], "apiVersion": GROUPS[resource][0], "metadata": {"resourceVersion": str(since)}}))

    @staticmethod
    def event(kind, one):
        return json.dumps({"type": kind, "object": one}).encode() + b"\n"

    def _write(self, handler, method, resource, namespace, name, sub, body, query):
        name = name or body.get("metadata", {}).get("name", "generated")
        old = self.get(resource, namespace, name)
        with self.changed:
            self.writes.append((method, resource, namespace, name))
        if method == "POST":
            if old:
                return handler.whole(409, status(409, "AlreadyExists", f'{resource} "{name}" already exists'))
            body["metadata"]["managedFields"] = [{"manager": query.get("fieldManager", "")}]
            return handler.whole(201, self.put(resource, body))
        if not old:
            return handler.whole(404, status(404, "NotFound", f'{resource} "{name}" not found'))
        if method == "DELETE":
            if body.get("preconditions", {}).get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
                return handler.whole(409, status(409, "Conflict", "the UID in the precondition does not match"))
            self.remove(resource, namespace, name)
            return handler.whole(200, {"kind": "Status", "apiVersion": "v1", "status": "Success"})
        if method == "PATCH":
            body = merge(old, body)
        elif body["metadata"].get("resourceVersion", old["metadata"]["resourceVersion"]) != old["metadata"]["resourceVersion"]:
            return handler.whole(409, status(409, "Conflict", "the object has been modified"))
        else:
            body["metadata"]["managedFields"] = old["metadata"].get("managedFields", [])
        del sub  # a status is written like the rest: only its object's owner reads it here
        return handler.whole(200, self.put(resource, body))
