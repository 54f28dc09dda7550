"""The program under test, and servers for it to talk to."""
import http.server
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))
from cluster.webserver import WebServer  # noqa: E402

BINARY = os.environ.get("SVCMIRROR_BINARY") or str(pathlib.Path(__file__).parents[2] / "build/release/svcmirror")
# Nothing of the tester's own shell may reach the program.
CLEAN = {"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", "ASAN_OPTIONS": "detect_leaks=1:exitcode=66",
         "UBSAN_OPTIONS": "halt_on_error=1:exitcode=66"}


def svcmirror(*argv, env=None, binary=BINARY, timeout=60, stdout=subprocess.PIPE):
    """Runs one command to its end."""
    return subprocess.run([binary, *argv], text=True, stdout=stdout, stderr=subprocess.PIPE, timeout=timeout, env={**CLEAN, **(env or {})},
                          check=False)


def wait_until(check, seconds=20, what="it"):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not happen within {seconds} s")


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Server:
    """An HTTP server whose answers a test decides: `answer(path, query)` gives (status, body), where a body that is no text becomes JSON, or
    (status, body, headers);
    None holds the request until the server ends. With `accepts`, a set of Authorization headers, all others are answered with 401. Writes are
    answered alike, and kept in `writes` as (method, path, query, body). `impersonated` has whom each request is to act as: (user, groups); `hosts` each one's
    Host header."""

    def __init__(self, answer):
        self.answer, self.requests, self.ended = answer, [], threading.Event()
        self.accepts, self.authorizations, self.writes, self.impersonated, self.hosts = None, [], [], [], []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                query = dict(urllib.parse.parse_qsl(url.query))
                server.requests.append((url.path, query))
                sent = self.rfile.read(int(self.headers["Content-Length"] or 0))
                if self.command != "GET":
                    server.writes.append((self.command, url.path, query, json.loads(sent) if sent else None))
                server.authorizations.append(self.headers["Authorization"])
                server.hosts.append(self.headers["Host"])
                server.impersonated.append((self.headers["Impersonate-User"], self.headers.get_all("Impersonate-Group") or []))
                refused = server.accepts is not None and self.headers["Authorization"] not in server.accepts
                reply = status_object(401, "Unauthorized", "Unauthorized") if refused else server.answer(url.path, query)
                if reply is None:
                    server.ended.wait(30)
                    self.close_connection = True
                    return
                status, body, headers = (*reply, {})[:3]
                data = (body if isinstance(body, str) else json.dumps(body)).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_POST = do_PUT = do_DELETE = do_GET

            def log_message(self, *_):
                pass

        self.http = WebServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.ended.set()
        self.http.shutdown()
        self.http.server_close()

    def kubeconfig(self, folder, user=None, **cluster):
        path = pathlib.Path(folder, "kubeconfig")
        path.write_text(json.dumps({
            "current-context": "lab", "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "me" if user else ""}}],
            "clusters": [{"name": "lab", "cluster": {"server": self.url, **cluster}}], "users": [{"name": "me", "user": user or {}}]}))
        return str(path)


def status_object(code, reason, message):
    return code, {"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}


class EmptyCluster(Server):
    """An API server that holds nothing, and on which nothing happens: lists are empty, watches are silent."""

    def __init__(self):
        super().__init__(self.answer_empty)

    @staticmethod
    def answer_empty(path, query):
        if "watch" in query:
            return None
        if path.startswith("/apis/multicluster.linkerd.io"):
            return status_object(404, "NotFound", "the server could not find the requested resource")
        kinds = {"services": "ServiceList", "endpointslices": "EndpointSliceList", "namespaces": "NamespaceList", "secrets": "SecretList",
                 "endpoints": "EndpointsList"}
        return 200, {"kind": kinds.get(path.split("/")[-1], "List"), "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []}


class Agent:
    """`svcmirror run` as a child process. It is to be told to listen on port 0 and tells in its log which one that is."""

    def __init__(self, *argv, env=None, descriptors=None):
        self.log_file = tempfile.NamedTemporaryFile("w")
        limit = [] if descriptors is None else ["prlimit", f"--nofile={descriptors}:4096"]
        self.process = subprocess.Popen([*limit, BINARY, "run", *argv], stderr=self.log_file, env={**CLEAN, **(env or {})})

    def log(self):
        return pathlib.Path(self.log_file.name).read_text()

    @property
    def port(self):
        named = re.search(r'admin"?[=:]"?127\.0\.0\.1:(\d+)', self.log())
        return named and int(named[1])

    def get(self, path):
        port = self.port
        if port is None:
            return None, ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return None, ""

    def wait(self, path="/ready"):
        wait_until(lambda: self.process.poll() is not None or self.get(path)[0] == 200, what=path)
        if self.process.poll() is not None:
            raise AssertionError(f"the agent ended with {self.process.returncode}:\n{self.log()}")

    def end(self, *signals):
        """@return exit code and how long it took."""
        began = time.monotonic()
        for one in signals:
            self.process.send_signal(one)
        code = self.process.wait(20)
        return code, time.monotonic() - began

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.log_file.close()


def events(log):
    """The stable names of the lines, in order (logfmt)."""
    return re.findall(r"^ts=\S+ level=\S+ event=(\S+)", log, re.M)
