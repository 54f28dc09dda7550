"""`svcmirror support-bundle` against an API server that says what a test wants: what is in the archive, what is not, and what becomes of failures."""
import base64
import json
import os
import pathlib
import signal
import subprocess
import tarfile
import tempfile
import time
import unittest

from program import BINARY, CLEAN, Server, free_port, status_object, svcmirror, wait_until

NS = "linkerd-multicluster"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW0ifQ.c2lnbmF0dXJlLW9mLXRoaXM"
OPAQUE = "opaque-token-0123456789"
KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----\n"
LOG = f'{{"event":"started"}}\nAuthorization: Bearer {TOKEN}\nused {OPAQUE} and {KEY}a proxy https://me:hunter2hunter2@proxy:3128/x\n'


def kubeconfig(url):
    return json.dumps({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
                       "clusters": [{"name": "c", "cluster": {"server": url}},
                                    {"name": "unused", "cluster": {"server": url, "proxy-url": "http://me:hunter2hunter2@127.0.0.1:1"}}],
                       "users": [{"name": "u", "user": {"token": OPAQUE}},
                                 {"name": "unused", "user": {"client-key-data": base64.b64encode(KEY.encode()).decode()}}]})


def secret(url):
    return {"type": "mirror.linkerd.io/remote-kubeconfig", "data": {"kubeconfig": base64.b64encode(kubeconfig(url).encode()).decode()},
            "metadata": {"name": "cluster-credentials-east", "namespace": NS, "managedFields": [{"manager": "x"}],
                         "annotations": {"mirror.linkerd.io/cluster-name": "east",
                                         "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"token": OPAQUE})}}}


def pod(name, phase="Running", restarts=0):
    env = [{"name": "HTTP_PROXY", "value": "http://proxy"}, {"name": "API_TOKEN", "value": "short"}]
    return {"metadata": {"name": name, "namespace": NS}, "spec": {"containers": [{"name": "svcmirror", "env": env,
                                                                                  "ports": [{"name": "svcmirror-admin", "containerPort": 9990}]}]},
            "status": {"phase": phase, "containerStatuses": [{"restartCount": restarts}]}}


class Cluster(Server):
    """`refuse` names a part of the paths that are answered with 403; what contains `hold` is never answered."""

    def __init__(self, pods=(), secrets=(), refuse=None, hold=None):
        self.pods, self.secrets, self.refuse, self.hold = list(pods), list(secrets), refuse, hold
        super().__init__(self.reply)

    def reply(self, path, query):
        if self.hold and self.hold in path:
            return None
        if self.refuse and self.refuse in path:
            return status_object(403, "Forbidden", f"{path} is refused, said {OPAQUE}")
        if path == "/version":
            return 200, {"gitVersion": "v1.36.0"}
        if path.endswith("/log"):
            return 200, LOG if "previous" not in query else f"before\n{query['tailLines']} lines\n"
        if "/proxy/metrics" in path:
            return 200, "# HELP x y\nx 1\n"
        if "/proxy/api/v1/" in path:
            return 200, [{"clusterName": "east"}]
        if path.startswith(("/apis/multicluster", "/apis/multicluster.x-k8s.io")):
            return status_object(404, "NotFound", "not served")
        items = {"pods": self.pods, "secrets": self.secrets}.get(path.rsplit("/", 1)[1], [])
        return 200, {"kind": "List", "metadata": {"resourceVersion": "1"}, "items": items}


class SupportBundle(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            server.close()
        self.folder.cleanup()

    def cluster(self, **more):
        self.servers.append(Cluster(**more))
        return self.servers[-1]

    def file(self):
        return os.path.join(self.folder.name, "bundle.tar.gz")

    def take(self, cluster, *argv, code=0):
        result = svcmirror("support-bundle", "-f", self.file(), "--kubeconfig", cluster.kubeconfig(self.folder.name), *argv)
        self.assertEqual(result.returncode, code, result.stderr)
        return result

    def read(self):
        """{name below the root: text}"""
        found = {}
        with tarfile.open(self.file()) as archive:
            for member in archive.getmembers():
                root, _, name = member.name.partition("/")
                self.assertRegex(root, r"^svcmirror-support-\d{8}T\d{6}Z$")
                self.assertEqual((member.mode, member.isfile()), (0o600, True))
                self.assertLess(abs(member.mtime - time.time()), 600)
                found[name] = archive.extractfile(member).read().decode()
        return found

    def test_everything_is_in_it_but_what_proves_somebody(self):
        target = self.cluster()
        source = self.cluster(pods=[pod("svcmirror-a", restarts=1), pod("svcmirror-b", "Pending")], secrets=[secret(target.url)])
        result = self.take(source, "--log-lines", "77")
        self.assertEqual(result.stdout, self.file() + "\n")
        self.assertEqual(os.stat(self.file()).st_mode & 0o777, 0o600)
        files = self.read()
        self.assertEqual(set(files), {
            "index.txt", "version.json", "secrets.json", "check.json", "targets/east/gateways.json", *(f"agent/{n}.json" for n in (
                "deployments", "pods", "leases", "events")), *(f"mirrors/{n}.json" for n in ("services", "endpointslices", "endpoints")),
            *(f"agent/svcmirror-a/{n}" for n in ("links.json", "gateways.json", "services.json", "metrics.txt", "agent.log", "previous.log")),
            "agent/svcmirror-b/agent.log"})
        self.assertEqual(files["agent/svcmirror-a/metrics.txt"], "# HELP x y\nx 1\n")
        self.assertEqual(files["agent/svcmirror-a/previous.log"], "before\n77 lines\n")
        self.assertIn(("/api/v1/namespaces/linkerd-multicluster/pods/svcmirror-a:9990/proxy/metrics", {}), source.requests)
        for name, text in files.items():
            for word in (TOKEN, OPAQUE, "hunter2", "MIIEow", "PRIVATE KEY", base64.b64encode(KEY.encode()).decode()[:40], "last-applied", "managedFields"):
                if name != "index.txt" or word not in ("last-applied", "managedFields"):
                    self.assertNotIn(word, text, name)
        self.assertEqual(files["agent/svcmirror-a/agent.log"], '{"event":"started"}\nAuthorization: Bearer (left out)\nused (left out) and (left out)\n'
                                                               "a proxy https://(left out)@proxy:3128/x\n")
        [kept] = json.loads(files["secrets.json"])["items"]
        self.assertEqual(kept["kubeconfig"]["credentials"], [["token"], ["client-key-data"]])
        self.assertEqual(kept["kubeconfig"]["clusters"][1], {"server": target.url, "proxy-url": "http://(left out)@127.0.0.1:1"})
        self.assertRegex(kept["data"]["kubeconfig"], r"^\(left out: \d+ bytes\)$")
        env = json.loads(files["agent/pods.json"])["items"][0]["spec"]["containers"][0]["env"]
        self.assertEqual([e["value"] for e in env], ["http://proxy", "(left out)"])
        self.assertIn("categories", json.loads(files["check.json"]))
        self.assertEqual(json.loads(files["version.json"])["kubernetes"], {"gitVersion": "v1.36.0"})
        for name in files:
            self.assertIn(f"  {name} ", files["index.txt"] + "  index.txt ")
        self.assertIn("Missing\n  nothing\n", files["index.txt"])

    def test_what_may_not_be_read_is_told_in_it_too(self):
        source = self.cluster(pods=[pod("svcmirror-a")], secrets=[secret("http://127.0.0.1:1")], refuse="/log")
        result = self.take(source, code=1)
        self.assertEqual(result.stdout, self.file() + "\n")
        files = self.read()
        self.assertIn("agent/svcmirror-a/agent.log is missing: get /api/v1/namespaces/linkerd-multicluster/pods/svcmirror-a/log in cluster lab: 403", result.stderr)
        self.assertIn("targets/east/gateways.json is missing: ", result.stderr)
        self.assertIn("2 of it could not be had", result.stderr)
        self.assertIn("  agent/svcmirror-a/agent.log: get /api/v1/namespaces/", files["index.txt"])
        self.assertNotIn(OPAQUE, result.stderr + files["index.txt"])
        self.assertIn("403 Forbidden", files["index.txt"])
        source = self.cluster(refuse="/secrets")
        result = self.take(source, code=1)
        self.assertIn("secrets.json is missing", result.stderr)
        self.assertIn("what agents say is missing: namespace linkerd-multicluster has no pod of the agent", result.stderr)

    def test_a_cluster_that_is_not_reached_is_told_once(self):
        port = free_port()
        path = pathlib.Path(self.folder.name, "nowhere")
        path.write_text(kubeconfig(f"http://127.0.0.1:{port}"))
        result = svcmirror("support-bundle", "-f", self.file(), "--kubeconfig", str(path))
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertEqual(result.stderr, f"svcmirror support-bundle: there is no archive: get /version in cluster c: http://127.0.0.1:{port}: Connection refused"
                                        "; can this machine reach that server, and is context c the one that is meant?\n")
        self.assertEqual(os.listdir(self.folder.name), ["nowhere"])

    def test_credentials_that_are_not_accepted_are_told_once(self):
        source = self.cluster()
        source.accepts = set()
        result = self.take(source, code=1)
        self.assertEqual(result.stdout, "")
        self.assertRegex(result.stderr, r"^svcmirror support-bundle: there is no archive: get /version in cluster lab: 401 .*: log in again\n$")
        self.assertFalse(os.path.exists(self.file()))

    def test_a_version_that_is_not_told_is_one_missing_part(self):
        result = self.take(self.cluster(pods=[pod("svcmirror-a")], refuse="/version"), code=1)
        self.assertIn("the API server's version is missing: get /version in cluster lab: 403", result.stderr)
        files = self.read()
        self.assertNotIn("kubernetes", json.loads(files["version.json"]))
        self.assertIn("agent/svcmirror-a/agent.log", files)

    def test_an_archive_is_whole_or_not_there(self):
        source = self.cluster(pods=[pod("svcmirror-a")], hold="/proxy/metrics")
        pathlib.Path(self.file()).write_text("older")
        process = subprocess.Popen([BINARY, "support-bundle", "-f", self.file(), "--kubeconfig", source.kubeconfig(self.folder.name)], env=CLEAN, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: any("/proxy/metrics" in path for path, _ in source.requests), what="it is half-way")
        self.assertEqual(len([n for n in os.listdir(self.folder.name) if n.startswith("bundle")]), 2, "it is being written under another name")
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        self.assertEqual((process.returncode, out), (130, ""), err)
        self.assertIn("there is no archive", err)
        self.assertEqual([n for n in os.listdir(self.folder.name) if n.startswith("bundle")], ["bundle.tar.gz"])
        self.assertEqual(pathlib.Path(self.file()).read_text(), "older")

    def test_where_it_cannot_be_written(self):
        source = self.cluster()
        for path, words in (("/nonexistent/x.tar.gz", "No such file"), ("/dev/full/x", "Not a directory")):
            result = svcmirror("support-bundle", "-f", path, "--kubeconfig", source.kubeconfig(self.folder.name))
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn(words, result.stderr)
        for argv, words in ((("--log-lines", "0"), "number of lines"), (("x",), "unexpected argument"), (("-n", "A"), "namespace")):
            result = svcmirror("support-bundle", *argv)
            self.assertEqual(result.returncode, 2)
            self.assertIn(words, result.stderr)
        down = svcmirror("support-bundle", "-f", self.file(), "--kubeconfig", "/nonexistent")
        self.assertEqual(down.returncode, 1)
        self.assertFalse(os.path.exists(self.file()))
