"""A target that sends as fast as it can: `python3 flood.py endless` never ends its list, `python3 flood.py churn` lists a thousand Services and then changes
them all the time. Prints the port that it listens on."""
import http.server
import json
import pathlib
import sys
import urllib.parse

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from cluster.webserver import WebServer  # noqa: E402

M = "mirror.linkerd.io/"
MANY = 1000
TOGETHER = 50  # objects in one send


def service(number, version):
    return {"kind": "Service", "apiVersion": "v1",
            "metadata": {"name": f"s{number}", "namespace": "demo", "resourceVersion": str(version), "labels": {M + "exported": "true"}},
            "spec": {"ports": [{"name": "http", "port": 1 + version % 60000}]}}


class Flood(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def chunk(self, text):
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        try:
            self.answer(url.path.split("/")[-1], "watch" in query)
        except OSError:
            self.close_connection = True

    def answer(self, resource, is_watch):
        if is_watch:
            self.churn(resource)
            return
        kind = {"services": "Service", "endpointslices": "EndpointSlice"}.get(resource, "Nothing")
        self.chunk(json.dumps({"kind": kind + "List", "metadata": {"resourceVersion": "1"}})[:-1] + ', "items": [')
        if resource == "services" and sys.argv[1] == "endless":
            number = 0
            while True:
                self.chunk("".join(json.dumps(service(number + i, 1)) + "," for i in range(TOGETHER)))
                number += TOGETHER
        items = [service(i, 1) for i in range(MANY)] if resource == "services" else []
        self.chunk(",".join(json.dumps(item) for item in items) + "]}")
        self.chunk("")

    def churn(self, resource):
        version = 2
        while True:
            event = [] if resource != "services" else [{"type": "MODIFIED", "object": service((version + i) % MANY, version + i)} for i in range(TOGETHER)]
            self.chunk("".join(json.dumps(one) + "\n" for one in event) or "\n" * 4096)
            version += TOGETHER

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = WebServer(("127.0.0.1", 0), Flood)
    print(server.server_port, flush=True)
    server.serve_forever()
