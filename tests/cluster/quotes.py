"""The demo application of Edge Stack's documents: a server that returns a quote as JSON. `python -m cluster.quotes ADDRESS PORT`."""
import http.server
import json
import random
import sys

from .webserver import WebServer

QUOTES = ["A small mistake far away is a large one here.", "Nothing is as patient as a queue.", "What is watched seldom breaks alone.",
          "Every mirror shows what stands before it.", "The shortest way is the one already open."]


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        body = (json.dumps({"server": "qotm", "quote": random.choice(QUOTES), "host": self.headers.get("Host", "")}) + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    WebServer((sys.argv[1], int(sys.argv[2])), Handler).serve_forever()
