"""A client that mirrors what it is told of and does nothing else: what anybody has to wait who acts on a watch of the one API server by writing to the other."""
import concurrent.futures
import http.client
import json
import threading

CONNECTIONS = 8  # opened beforehand; enough that no mirror waits for another's
HEADERS = {"User-Agent": "bare", "Content-Type": "application/json", "Accept": "application/json"}


def connect(api):
    return http.client.HTTPSConnection(api.host, api.port, context=api.context)


class BareMirror:
    """Between __enter__() and __exit__() it watches the services of `target` that `selector` chooses, and creates each in `source` with a slice. The audit log
    of `source` has them as those of `bare`."""

    def __init__(self, target, source, selector):
        self.target, self.source, self.query = target.api, source.api, f"/api/v1/services?labelSelector={selector}"
        self.watch, self.thread, self.closing, self.failure = None, None, False, None
        self.mine, self.connections, self.pool = threading.local(), [], concurrent.futures.ThreadPoolExecutor(CONNECTIONS, initializer=self._open)
        self.mirrors = []

    def __enter__(self):
        version = self.target.call("GET", self.query + "&limit=1")["metadata"]["resourceVersion"]
        ready = threading.Barrier(CONNECTIONS)  # a thread each
        for waiting in [self.pool.submit(ready.wait) for _ in range(CONNECTIONS)]:
            waiting.result()
        self.watch = connect(self.target)
        self.watch.request("GET", f"{self.query}&watch=1&resourceVersion={version}", headers=HEADERS)
        answer = self.watch.getresponse()
        assert answer.status == 200, answer.read()
        self.thread = threading.Thread(target=self._follow, args=(answer,), daemon=True)
        self.thread.start()
        return self

    def _open(self):
        self.mine.connection = connect(self.source)
        self.mine.connection.connect()
        self.connections.append(self.mine.connection)

    def _follow(self, answer):
        try:
            while line := answer.readline():
                event = json.loads(line)
                assert event["type"] != "ERROR", line
                if event["type"] == "ADDED":
                    self.mirrors.append(self.pool.submit(self._mirror, event["object"]))
            failure = "the watch ended"
        except Exception as raised:  # whatever it is, the measure is void
            failure = raised
        self.failure = None if self.closing else failure

    def _mirror(self, service):
        namespace, name, ports = service["metadata"]["namespace"], service["metadata"]["name"], service["spec"]["ports"]
        self._create("services", namespace, {"metadata": {"name": name}, "spec": {"ports": [{"name": p["name"], "port": p["port"]} for p in ports]}})
        self._create("endpointslices", namespace, {
            "metadata": {"name": f"{name}-a", "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.201.1.10"], "conditions": {"ready": True}}], "ports": [{"name": p["name"], "port": p["port"]} for p in ports]})

    def _create(self, plural, namespace, body):
        self.mine.connection.request("POST", self.source.path(plural, namespace), json.dumps(body), HEADERS)
        answer = self.mine.connection.getresponse()
        text = answer.read()
        assert answer.status == 201, text

    def __exit__(self, *_):
        self.closing = True
        try:
            self.watch.sock.shutdown(2)
            self.thread.join()
            assert self.failure is None, f"the bare client failed: {self.failure!r}"
            for mirror in self.mirrors:
                mirror.result()
        finally:
            self.pool.shutdown()
            for connection in [self.watch, *self.connections]:
                connection.close()
