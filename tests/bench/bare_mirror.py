"""A client that watches services and does nothing but note when it was told of each: what anybody has to wait who acts on a watch."""
import http.client
import json
import threading
import time


class BareWatcher:
    """Between __enter__() and __exit__() it watches the services of one cluster that `selector` chooses."""

    def __init__(self, cluster, selector):
        self.api, self.query = cluster.api, f"/api/v1/services?labelSelector={selector}"
        self.lines, self.connection, self.thread = [], None, None

    def __enter__(self):
        version = self.api.call("GET", self.query + "&limit=1")["metadata"]["resourceVersion"]
        self.connection = http.client.HTTPSConnection(self.api.host, self.api.port, context=self.api.context)
        self.connection.request("GET", f"{self.query}&watch=1&resourceVersion={version}", headers={"Accept": "application/json"})
        answer = self.connection.getresponse()
        assert answer.status == 200, answer.read()
        self.thread = threading.Thread(target=self._note, args=(answer,), daemon=True)
        self.thread.start()
        return self

    def _note(self, answer):
        try:
            while line := answer.readline():
                self.lines.append((time.time(), line))
        except (OSError, ValueError, AttributeError, http.client.HTTPException):
            pass  # it was closed

    def __exit__(self, *_):
        self.connection.sock.shutdown(2)
        self.thread.join()
        self.connection.close()

    def told(self):
        """{name: seconds since 1970} of those that were added."""
        events = [(when, json.loads(line)) for when, line in self.lines]
        return {event["object"]["metadata"]["name"]: when for when, event in events if event["type"] == "ADDED"}
