"""export, unexport, link, link-gen, allow and unlink against API servers that say what a test wants."""
import base64
import http.server
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.parse

from program import BINARY, CLEAN, Server, WebServer, free_port, status_object, svcmirror, wait_until

M = "mirror.linkerd.io/"
NS = "linkerd-multicluster"
KINDS = {"namespaces": "Namespace", "services": "Service", "serviceaccounts": "ServiceAccount", "secrets": "Secret", "configmaps": "ConfigMap",
         "clusterroles": "ClusterRole", "clusterrolebindings": "ClusterRoleBinding", "roles": "Role",
         "rolebindings": "RoleBinding", "links": "Link", "events": "Event"}


def merge(old, patch):
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def jwt(namespace, account, uid, issued_s, seconds, number=0):
    """A service account's token, as far as one can be without its signature."""
    claims = {"sub": f"system:serviceaccount:{namespace}:{account}", "iat": int(issued_s), "exp": int(issued_s) + seconds, "jti": str(number),
              "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": account, "uid": uid}}}
    return "e30." + base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=") + ".x"


class Cluster:
    """An API server that keeps objects by path. `refuse` maps (verb, plural) to a status, or to None: it never answers then; `refuse_names`: only these."""

    def __init__(self, uid, namespaces=("default", "demo", NS), links=True):
        self.objects, self.refuse, self.writes, self.links, self.token = {}, {}, [], links, "t.o.k"
        self.refuse_names = None
        self.issued = []  # by TokenRequest; what is taken out is not accepted any more
        self.versions, self.agent_says, self.slices = ("v1alpha2", "v1alpha3"), None, True
        self.held = threading.Event()
        self.ended = threading.Event()
        self.put("namespaces", None, "kube-system", uid=uid)
        for name in namespaces:
            self.put("namespaces", None, name)
        cluster = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # headers and body are two writes

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                url = urllib.parse.urlsplit(self.path)
                reply = cluster.answer(self.command, url.path, dict(urllib.parse.parse_qsl(url.query)), json.loads(body) if body else None)
                if reply is None:
                    cluster.held.set()
                    cluster.ended.wait(30)
                    self.close_connection = True
                    return
                status, value = reply
                data = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self.http = WebServer(("127.0.0.1", 0), Handler)
        self.http.handle_error = lambda *_: None  # a program that was interrupted is gone
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.ended.set()
        self.http.shutdown()
        self.http.server_close()

    def put(self, plural, namespace, name, uid=None, labels=None, annotations=None, **more):
        meta = {"name": name, "uid": uid or f"uid-{name}", "resourceVersion": "1", "labels": labels or {}, "annotations": annotations or {}}
        if namespace:
            meta["namespace"] = namespace
        self.objects[plural, namespace, name] = {"apiVersion": "v1", "kind": KINDS[plural], "metadata": meta, **more}

    def service(self, name, namespace="demo", spec=None, **more):
        self.put("services", namespace, name, spec={"type": "ClusterIP", "ports": [{"port": 80, "protocol": "TCP"}], **(spec or {})}, **more)

    def gateway(self, name="ambassador", addresses=("192.0.2.10",), **more):
        self.service(name, "edge", {"type": "LoadBalancer", "ports": [{"name": "mc-gateway", "port": 4143, "protocol": "TCP"},
                                                                     {"name": "mc-probe", "port": 80, "protocol": "TCP"}]},
                     annotations={M + "multicluster-gateway": "true", M + "gateway-identity": "id", M + "probe-path": "-/ready", **more})
        self.objects["services", "edge", name]["status"] = {"loadBalancer": {"ingress": [{"ip": a} for a in addresses]}}

    def find(self, plural, name, namespace=NS):
        return self.objects.get((plural, namespace, name))

    def answer(self, method, path, query, body):
        parts = path.strip("/").split("/")[2 if path.startswith("/api/") else 3:]
        namespace = parts[1] if parts and parts[0] == "namespaces" and len(parts) > 2 else None
        plural, *rest = (parts[2:] if namespace else parts) or [""]
        verb = {"GET": "get" if rest else "list", "POST": "create", "PATCH": "patch", "DELETE": "delete"}[method]
        if (verb, plural) in self.refuse and (self.refuse_names is None or rest[0] in self.refuse_names):
            refused = self.refuse[verb, plural]
            return refused and status_object(refused, {403: "Forbidden", 409: "Conflict", 401: "Unauthorized"}.get(refused, "X"), f"{plural} are refused")
        if path.startswith("/apis/multicluster.linkerd.io") and not self.links:
            return status_object(404, "NotFound", "the server could not find the requested resource")
        if path == "/apis/multicluster.linkerd.io":
            return 200, {"kind": "APIGroup", "versions": [{"version": v} for v in self.versions]}
        if path == "/apis/discovery.k8s.io/v1" and self.slices:
            return 200, {"kind": "APIResourceList", "resources": []}
        if path == f"/api/v1/namespaces/{NS}/services/svcmirror:admin/proxy/api/v1/links" and self.agent_says is not None:
            return 200, self.agent_says
        if plural == "links" and path.split("/")[3] not in self.versions:
            return status_object(404, "NotFound", "the server could not find the requested resource")
        if plural == "serviceaccounts" and rest[1:] == ["token"]:
            self.writes.append(("create", "token", rest[0]))
            account = self.find(plural, rest[0]) or {"metadata": {"uid": "uid"}}
            self.issued.append(jwt(namespace, rest[0], account["metadata"]["uid"], time.time(), body["spec"]["expirationSeconds"], len(self.issued)))
            return 201, {"status": {"token": self.issued[-1], "expirationTimestamp": "2026-01-01T00:00:00Z"}}
        if plural == "tokenreviews":
            return 201, {"status": {"authenticated": body["spec"]["token"] in self.issued}}
        if plural not in KINDS:
            return status_object(404, "NotFound", f"{path} is not here")
        return self.keep(verb, plural, namespace, rest[0] if rest else None, query, body)

    def keep(self, verb, plural, namespace, name, query, body):
        key = (plural, namespace, name)
        if verb == "list":
            wanted = [s.split("=") for s in query.get("labelSelector", "").split(",") if s]
            items = [o for (p, n, _), o in sorted(self.objects.items(), key=lambda i: str(i[0])) if p == plural and namespace in (None, n)
                     and all(o["metadata"].get("labels", {}).get(k) == v for k, v in wanted)]
            return 200, {"kind": "List", "metadata": {"resourceVersion": "9"}, "items": items}
        if key not in self.objects and verb != "patch" or verb == "patch" and key not in self.objects and plural == "services":
            return status_object(404, "NotFound", f'{plural} "{name}" not found')
        if verb == "get":
            return 200, self.objects[key]
        self.writes.append((verb, plural, name))
        if query.get("dryRun") or verb == "delete" and body and body.get("dryRun"):
            return 200, merge(self.objects.get(key), body) if verb == "patch" else {"kind": "Status", "status": "Success"}
        if verb == "delete":
            del self.objects[key]
            return 200, {"kind": "Status", "status": "Success"}
        self.objects[key] = merge(self.objects.get(key), body)
        self.objects[key]["metadata"].setdefault("uid", f"uid-{len(self.writes)}")
        if plural == "secrets" and self.objects[key].get("type") == "kubernetes.io/service-account-token" and self.token:
            self.objects[key]["data"] = {"token": base64.b64encode(self.token.encode()).decode()}
        return 200, self.objects[key]


class WithClusters(unittest.TestCase):
    def setUp(self):
        self.west, self.east = Cluster("west"), Cluster("east")
        self.folder = tempfile.TemporaryDirectory()
        self.config = str(pathlib.Path(self.folder.name, "config"))
        names = {"west": self.west.url, "east": self.east.url, "down": f"http://127.0.0.1:{free_port()}"}
        pathlib.Path(self.config).write_text(json.dumps({
            "current-context": "west", "contexts": [{"name": n, "context": {"cluster": n}} for n in names],
            "clusters": [{"name": n, "cluster": {"server": url}} for n, url in names.items()]}))

    def tearDown(self):
        self.west.close()
        self.east.close()
        self.folder.cleanup()

    def run_it(self, *argv, code=0, **more):
        result = svcmirror(*argv, env={"KUBECONFIG": self.config, **more})
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result

    def interrupt(self, cluster, *argv):
        """Interrupts the command once the cluster holds one of its requests."""
        process = subprocess.Popen([BINARY, *argv], env={**CLEAN, "KUBECONFIG": self.config}, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertTrue(cluster.held.wait(20))
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130, out + err)
        return out, err


class Export(WithClusters):
    there = ("--context", "east", "-n", "demo")

    def marks(self, name):
        meta = self.east.find("services", name, "demo")["metadata"]
        return {k: v for k, v in {**meta["labels"], **meta["annotations"]}.items() if k.startswith(M)}

    def test_words(self):
        self.east.service("web")
        self.assertEqual(self.run_it("export", "web", *self.there, "--dry-run=client").stdout, "service/web exported (dry run)\n")
        self.assertEqual(self.east.writes, [])
        self.assertEqual(self.run_it("export", "web", *self.there, "--dry-run=server").stdout, "service/web exported (server dry run)\n")
        self.assertEqual(self.marks("web"), {})
        self.assertEqual(self.run_it("export", "web", *self.there).stdout, "service/web exported\n")
        self.assertEqual(self.run_it("export", "web", *self.there).stdout, "service/web unchanged\n")
        for word in ("service/web", "services/web", "svc/web"):  # as kubectl and -o name write it
            self.assertEqual(self.run_it("export", word, *self.there, "-o", "name").stdout, "service/web\n")
        self.assertEqual(len(self.east.writes), 2)
        self.assertEqual(self.run_it("unexport", "--all", "-A", "--context", "east").stdout, "service/web unexported in namespace demo\n")
        nothing = self.run_it("unexport", "--all", "-A", "--context", "east")
        self.assertIn("nothing to change among 1 services in cluster east", nothing.stderr)

    def test_the_way_of_2_8(self):
        self.east.service("web")
        result = self.run_it("export", "web", *self.there, "--gateway", "ambassador", "--gateway-namespace", "edge")
        self.assertIn("warning: cluster east has no Service edge/ambassador, the gateway", result.stderr)
        self.east.service("ambassador", "edge")
        self.assertEqual(self.run_it("export", "web", *self.there, "--gateway", "ambassador", "--gateway-namespace", "edge").stderr, "")
        self.assertEqual(self.marks("web"), {M + "gateway-name": "ambassador", M + "gateway-ns": "edge"})

    def test_the_services_of_kubernetes_are_never_meant_by_all(self):
        self.east.service("kubernetes", "default")
        self.assertIn("among 0 services", self.run_it("export", "--all", "-A", "--context", "east").stderr)
        self.run_it("export", "kubernetes", "-n", "default", "--context", "east")
        self.assertEqual(self.run_it("unexport", "--all", "-n", "default", "--context", "east").stdout, "service/kubernetes unexported\n")

    def test_a_gateway_is_not_meant_by_all(self):
        self.east.service("web")
        self.east.gateway()
        result = self.run_it("export", "--all", "-A", "--context", "east")
        self.assertEqual(result.stdout, "service/web exported in namespace demo\n")
        self.assertIn("service/ambassador in namespace edge is left out: it is a gateway", result.stderr)
        self.assertEqual(self.run_it("export", "ambassador", "-n", "edge", "--context", "east").stdout, "service/ambassador exported\n")

    def test_wrong_command_lines(self):
        for argv, words in [
                ((), "which services?"), (("web", "-l", "a=b"), "use one of them"), (("web", "--all"), "use one of them"), (("-l", "a=b", "--all"), "use one of them"),
                (("web", "-A"), "a name is in one"), (("-A", "-n", "demo", "--all"), "contradict"), (("-f", "x", "web"), "name no services"), (("WEB",), "is no name of a Service"),
                (("web", "--mode", "mesh"), "is not one of"), (("web", "--mode", "gateway,remote-discovery"), "not both"),
                (("web", "--mode", "remote-discovery", "--gateway-name", "gw"), "choose one"), (("web", "--gateway-namespace", "edge"), "give that too"),
                (("web", "--gateway-name", "A B"), "is no name of a Service"), (("web", "--dry-run", "yes"), "none|client|server")]:
            result = self.run_it("export", *argv, code=2)
            self.assertIn(words, result.stderr)
            self.assertEqual(result.stdout, "")

    def test_failures_say_how_far_it_came(self):
        for name in "abc":
            self.east.service(name)
        self.assertIn("services \"nope\" not found", self.run_it("export", "a", "nope", *self.there, code=1).stderr)
        self.assertEqual(self.east.writes, [])
        for status, words in [(403, "Forbidden"), (401, "401"), (409, "Conflict")]:
            self.east.refuse["patch", "services"] = status
            result = self.run_it("export", "a", *self.there, code=1)
            self.assertIn("refused", result.stderr)
            self.assertIn("services", result.stderr)
        down = self.run_it("export", "a", "--context", "down", code=1)
        self.assertEqual(down.stdout, "")
        self.assertRegex(down.stderr, r"^svcmirror export: get Service default/a in cluster down: http://127\.0\.0\.1:\d+: Connection refused.*\n$")
        nowhere = self.run_it("export", "a", "--context", "nowhere", code=1).stderr
        self.assertIn(f'{self.config}: kubeconfig: context "nowhere" does not exist in it; it has: west, east, down\n', nowhere)
        self.west.service("a")
        self.assertEqual(self.run_it("export", "a", "--context", "", "-n", "demo", "--dry-run=client").stdout, "service/a exported (dry run)\n")

    def test_interrupted_half_way(self):
        for name in "abc":
            self.east.service(name)
        plain = self.east.answer

        def answer(method, path, query, body):
            return None if method == "PATCH" and path.endswith("/b") else plain(method, path, query, body)
        self.east.answer = answer
        out, err = self.interrupt(self.east, "export", "--all", *self.there)
        self.assertEqual(out, "service/a exported\n")
        self.assertIn("1 of 3 services were dealt with before; run it again to go on", err)


class Manifests(unittest.TestCase):
    WEB = "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec: {ports: [{port: 80}]}\n"

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()

    def tearDown(self):
        self.folder.cleanup()

    def test_a_folder_in_order_of_name(self):
        for name, text in (("b.yml", self.WEB % "b"), ("a.yaml", self.WEB % "a"), ("c.json", '{"kind":"Pod"}'), ("d.txt", "no: [")):
            pathlib.Path(self.folder.name, name).write_text(text)
        result = svcmirror("export", "-f", self.folder.name)
        self.assertEqual((result.returncode, result.stderr), (0, 'service "a" exported\nservice "b" exported\n1 Pod passed on as it is\n'))
        self.assertTrue(result.stdout.endswith('---\n{"kind":"Pod"}\n'))

    def test_manifests_without_an_object(self):
        path = pathlib.Path(self.folder.name, "empty.yaml")
        for text in "", "\n", "# nothing\n---\n":
            path.write_text(text)
            for command in "export", "unexport":
                result = svcmirror(command, "-f", str(path))
                self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", f"svcmirror {command}: {path} holds no objects\n"))

    def test_a_url(self):
        server = Server(lambda path, query: (200, self.WEB % "web") if path == "/x/web.yaml" and query == {"a": "b"} else (404, "no"))
        try:
            found = svcmirror("export", "-f", server.url + "/x/web.yaml?a=b#part")
            lost = svcmirror("export", "-f", server.url + "/other")
        finally:
            server.close()
        self.assertEqual((found.returncode, found.stderr), (0, 'service "web" exported\n'))
        self.assertEqual(lost.returncode, 1)
        self.assertIn("status 404", lost.stderr)

    def fetch(self, answer, path="/"):
        """@return what came of it, and the paths that were asked for."""
        server = Server(answer)
        try:
            result = svcmirror("export", "-f", server.url + path)
        finally:
            server.close()
        self.assertEqual(set(server.authorizations), {None})
        return result, [path for path, _ in server.requests]

    def test_redirects_are_followed_to_another_place_or_server(self):
        other = Server(lambda path, query: (200, self.WEB % "web") if (path, query) == ("/there/web.yaml", {"a": "b"}) else (404, "no"))
        try:
            for status in (301, 302, 303, 307, 308):
                def answer(path, query, status=status):
                    return status, "", {"Location": "../x/next" if path == "/x/first" else f"{other.url}/there/web.yaml?a=b"}
                result, asked = self.fetch(answer, "/x/first")
                self.assertEqual((result.returncode, result.stderr), (0, 'service "web" exported\n'), status)
                self.assertEqual(asked, ["/x/first", "/x/next"])
        finally:
            other.close()
        self.assertEqual(set(other.authorizations), {None})

    def test_ten_redirects_and_no_more(self):
        def count(last):
            return lambda path, query: (200, self.WEB % "web") if path == f"/{last}" else (302, "", {"Location": f"/{int(path[1:]) + 1}"})
        result, asked = self.fetch(count(10), "/0")
        self.assertEqual((result.returncode, len(asked)), (0, 11), result.stderr)
        result, asked = self.fetch(count(11), "/0")
        self.assertEqual((result.returncode, result.stdout, len(asked)), (1, "", 11))
        self.assertIn("redirected more than 10 times", result.stderr)

    def test_redirects_that_are_not_followed(self):
        for status, headers, words in ((302, {}, "status 302, which leads nowhere"), (302, {"Location": "file:///etc/hostname"}, "neither http nor https"),
                                       (302, {"Location": "ftp://127.0.0.1/x"}, "neither http nor https"), (304, {"Location": "/x"}, "status 304"),
                                       (302, {"Location": "/" + "x" * 2000}, "leads nowhere")):
            result, asked = self.fetch(lambda path, query, status=status, headers=headers: (status, "", headers))
            self.assertEqual((result.returncode, result.stdout, len(asked)), (1, "", 1), headers)
            self.assertIn(words, result.stderr)

    def test_what_cannot_be_read(self):
        pathlib.Path(self.folder.name, "bad.yaml").write_text("a: [\n")
        pathlib.Path(self.folder.name, "typed").write_text(self.WEB % "web, labels: x" + "---\n" + self.WEB % "a")
        pathlib.Path(self.folder.name, "utf16").write_bytes("kind: Service\n".encode("utf-16-le"))
        for source, words in [(self.folder.name + "/none.yaml", "No such file"), (self.folder.name + "/bad.yaml", "bad.yaml: document 1: line 2"),
                              (self.folder.name + "/typed", "/typed: document 1: Service web: metadata.labels is no map of texts: "),
                              (self.folder.name + "/utf16", "/utf16: it is no text in UTF-8: it holds a NUL"),
                              (self.folder.name + "/..nothing/", "No such file")]:
            result = svcmirror("export", "-f", source)
            self.assertEqual((result.returncode, result.stdout), (1, ""))
            self.assertIn(words, result.stderr)
        for name in "-f", "--filename=":
            result = svcmirror("export", name, *[""] * (name == "-f"))
            self.assertEqual((result.returncode, result.stdout), (2, ""))
            self.assertIn(": it is empty: name a file, - for standard input, a folder or a URL (`svcmirror export --help`", result.stderr)
        os.remove(self.folder.name + "/bad.yaml")
        self.assertIn("there is no *.yaml", svcmirror("export", "-f", self.folder.name).stderr)


class Link(WithClusters):
    base = ("link", "--target-context", "east", "--context", "west", "--cluster-name", "east")
    there = (*base, "--api-server-address", "https://192.0.2.1:6443")

    def setUp(self):
        super().setUp()
        self.east.gateway()

    def kubeconfig(self, namespace=NS):
        return base64.b64decode(self.west.find("secrets", "cluster-credentials-east", namespace)["data"]["kubeconfig"]).decode()

    def token(self, namespace=NS):
        [line] = [line for line in self.kubeconfig(namespace).splitlines() if "token:" in line]
        return line.split()[-1].strip('"')

    def token_claims(self):
        return json.loads(base64.urlsafe_b64decode(self.token().split(".")[1] + "=="))

    def test_both_sides(self):
        result = self.run_it(*self.there)
        self.assertEqual(result.stdout.splitlines(), [
            "serviceaccount/svcmirror-remote created", "clusterrole.rbac.authorization.k8s.io/svcmirror-remote created",
            "clusterrolebinding.rbac.authorization.k8s.io/svcmirror-remote created", "role.rbac.authorization.k8s.io/svcmirror-remote created",
            "rolebinding.rbac.authorization.k8s.io/svcmirror-remote created", "secret/cluster-credentials-east created",
            "role.rbac.authorization.k8s.io/svcmirror-renew-east created", "rolebinding.rbac.authorization.k8s.io/svcmirror-renew-east created",
            "link.multicluster.linkerd.io/east created"])
        self.assertEqual([w[1] for w in self.east.writes], ["serviceaccounts", "clusterroles", "clusterrolebindings", "roles", "rolebindings", "token"])
        self.assertIn("server: \"https://192.0.2.1:6443\"", self.kubeconfig())
        self.assertEqual(self.token_claims()["exp"] - self.token_claims()["iat"], 720 * 3600)
        self.assertEqual(self.west.find("links", "east")["spec"]["gatewayAddress"], "192.0.2.10")
        self.assertEqual({line.split()[-1] for line in self.run_it(*self.there).stdout.splitlines()}, {"unchanged"})

    def with_linkerd(self):
        self.east.put("configmaps", "linkerd", "linkerd-config", data={"values": "clusterDomain: east.local\nidentityTrustDomain: example.org\n"})
        self.west.put("namespaces", None, "linkerd")

    def test_linkerds_domains_and_its_credentials(self):
        self.with_linkerd()
        del self.west.objects["namespaces", None, "linkerd"]
        self.assertIn("has no namespace linkerd", self.run_it(*self.there).stderr)
        self.assertIsNone(self.west.find("secrets", "cluster-credentials-east", "linkerd"))
        self.assertIsNone(self.east.find("serviceaccounts", "svcmirror-remote-for-linkerd"))
        self.west.put("namespaces", None, "linkerd")
        self.run_it(*self.there)
        self.assertEqual(self.west.find("links", "east")["spec"]["targetClusterDomain"], "east.local")
        self.assertEqual(self.west.find("secrets", "cluster-credentials-east", "linkerd")["metadata"]["annotations"],
                         {"multicluster.linkerd.io/cluster-domain": "east.local", "multicluster.linkerd.io/trust-domain": "example.org"})
        self.assertEqual(sorted(key[0] for key in self.east.objects if "for-linkerd" in key[2]),
                         ["clusterrolebindings", "clusterroles", "secrets", "serviceaccounts"])
        self.east.find("serviceaccounts", "svcmirror-remote-for-linkerd")["metadata"]["labels"] = {}
        gone = self.run_it("unlink", "--cluster-name", "east", "--context", "west", "--target-context", "east")
        self.assertIsNone(self.west.find("secrets", "cluster-credentials-east", "linkerd"))
        self.assertIn("ServiceAccount svcmirror-remote-for-linkerd of cluster east was not made by svcmirror, and is left", gone.stderr)
        self.assertEqual([key[0] for key in self.east.objects if "for-linkerd" in key[2]], ["serviceaccounts"])
        self.east.put("configmaps", "linkerd", "linkerd-config", data={"global": '{"clusterDomain":"old.local","identityContext":{"trustDomain":"t"}}'})
        old = self.run_it("link-gen", "--context", "east", "--cluster-name", "east", "--kind", "secret", "--api-server-address", "https://192.0.2.1",
                          "--account", "x", "--token-duration", "1h")
        self.assertIn(M + "remote-cluster-domain: old.local", old.stdout)

    def test_older_versions_of_the_resource(self):
        self.west.versions = ("v1alpha1",)
        self.run_it(*self.there, "--excluded-labels", "a")
        link = self.west.find("links", "east")
        self.assertEqual(link["apiVersion"], "multicluster.linkerd.io/v1alpha1")
        self.assertFalse({"excludedLabels", "federatedServiceSelector"} & set(link["spec"]))
        self.run_it("unlink", "--cluster-name", "east", "--context", "west", "--wait", "5s")
        self.assertIsNone(self.west.find("links", "east"))
        self.west.versions = ("v9",)
        self.assertIn("of no version that is known here", self.run_it(*self.there, code=1).stderr)

    def test_a_target_without_slices_is_read_by_its_endpoints(self):
        self.run_it(*self.there)
        self.assertEqual(self.east.find("clusterroles", "svcmirror-remote", None)["rules"][0]["resources"], ["services"])
        self.east.slices = False
        self.run_it(*self.there)
        self.assertEqual(self.east.find("clusterroles", "svcmirror-remote", None)["rules"][0]["resources"], ["services", "endpoints"])

    def test_tokens_that_expire(self):
        result = self.run_it(*self.there, "--token-duration", "2h")
        self.assertIn("the token expires at 2026-01-01T00:00:00Z", result.stderr)
        self.assertIn(": the agent renews it before\n", result.stderr)
        self.assertEqual([self.token()], self.east.issued)
        self.assertEqual(self.token_claims()["exp"] - self.token_claims()["iat"], 7200)
        self.assertIsNone(self.east.find("secrets", "svcmirror-remote-token"))
        self.assertEqual(self.west.find("secrets", "cluster-credentials-east")["metadata"]["annotations"], {"svcmirror.io/renew-token": "2h"})
        for cluster, name, rule in [(self.east, "svcmirror-remote", ("serviceaccounts/token", "svcmirror-remote", "create")),
                                    (self.west, "svcmirror-renew-east", ("secrets", "cluster-credentials-east", "patch"))]:
            [found] = cluster.find("roles", name)["rules"]
            self.assertEqual(found, {"apiGroups": [""], "resources": [rule[0]], "resourceNames": [rule[1]], "verbs": [rule[2]]})
            self.assertEqual(cluster.find("rolebindings", name)["roleRef"]["name"], name)
        self.assertEqual(self.west.find("rolebindings", "svcmirror-renew-east")["subjects"],
                         [{"kind": "ServiceAccount", "name": "svcmirror", "namespace": "linkerd-multicluster"}])
        self.run_it("unlink", "--cluster-name", "east", "--context", "west", "--target-context", "east")
        for cluster in (self.east, self.west):
            self.assertEqual([key for key in cluster.objects if key[0] in ("roles", "rolebindings")], [])

    def test_rights_that_are_missing_for_renewal(self):
        for cluster, stands in ((self.east, "stdout names what stands already"), (self.west, "the account in the target is there")):
            cluster.refuse["patch", "roles"] = 403
            result = self.run_it(*self.there, code=1)
            self.assertIn("links whose token the agent renews need Roles, --token-secret or --renew-token=false does without: ", result.stderr)
            self.assertIn("roles are refused", result.stderr)
            self.assertIn(stands, result.stderr)
            cluster.refuse.clear()
        # One who may not take it back says so.
        self.run_it(*self.there)
        self.west.refuse["delete", "rolebindings"] = 403
        result = self.run_it("unlink", "--cluster-name", "east", "--context", "west")
        self.assertIn(f"Role and RoleBinding svcmirror-renew-east in namespace {NS} are left, if they are there: ", result.stderr)

    def test_unlinking_goes_on_where_it_ended(self):
        self.run_it(*self.there)
        self.west.refuse["delete", "roles"] = 500
        self.run_it("unlink", "--cluster-name", "east", "--context", "west", code=1)
        self.west.refuse.clear()
        self.run_it("unlink", "--cluster-name", "east", "--context", "west")
        self.assertEqual([key for key in self.west.objects if key[0] in ("roles", "rolebindings", "secrets", "links")], [])

    def test_domains_of_linkerd_2_9(self):
        self.west.put("namespaces", None, "linkerd")
        for values, domains in (("{clusterDomain: nine.local, identityTrustDomain: nine.example}", ("nine.local", "nine.example")),
                                ("{clusterDomain: nine.local, identityTrustDomain: ''}", ("nine.local", "nine.local")), ("{}", ("cluster.local", "cluster.local"))):
            self.east.put("configmaps", "linkerd", "linkerd-config", data={"values": f"global: {values}\n"})
            self.run_it(*self.there)
            copy = self.west.find("secrets", "cluster-credentials-east", "linkerd")["metadata"]["annotations"]
            self.assertEqual((copy["multicluster.linkerd.io/cluster-domain"], copy["multicluster.linkerd.io/trust-domain"]), domains)

    def test_linkerds_account_is_not_the_agents(self):
        """Linkerd reads pods with it, and looks at its Secret once: that token must not end."""
        self.with_linkerd()
        self.run_it(*self.there, "--token-duration", "2h")
        reads = {r for rule in self.east.find("clusterroles", "svcmirror-remote-for-linkerd", None)["rules"] for r in rule["resources"]}
        self.assertEqual(reads, {"pods", "services", "endpoints", "replicasets", "jobs", "endpointslices", "servers"})
        self.assertNotIn("pods", str(self.east.find("clusterroles", "svcmirror-remote", None)["rules"]))
        self.assertEqual(([self.token()], self.token("linkerd")), (self.east.issued, "t.o.k"))
        self.assertEqual(self.west.find("secrets", "cluster-credentials-east")["metadata"]["annotations"], {"svcmirror.io/renew-token": "2h"})
        self.assertIsNone(self.west.find("roles", "svcmirror-renew-east", "linkerd"), "nobody renews it")
        again = self.run_it(*self.there, "--token-duration", "2h")
        self.assertEqual({line.split()[-1] for line in again.stdout.splitlines()}, {"unchanged"})
        self.assertNotIn("rollout restart", again.stderr)
        for line in self.run_it(*self.there, "--token-duration", "2h", "--dry-run=server").stdout.splitlines():
            self.assertTrue(line.endswith(" unchanged (server dry run)"), line)
        # What it has read already it does not read again.
        self.east.find("secrets", "svcmirror-remote-for-linkerd-token")["data"]["token"] = base64.b64encode(b"new").decode()
        self.east.token = "new"
        self.assertIn("kubectl rollout restart deployment/linkerd-destination -n linkerd", self.run_it(*self.there, "--token-duration", "2h").stderr)
        self.assertEqual(self.token("linkerd"), "new")

    def test_new_credentials_of_linkerd_are_told_though_the_rest_fails(self):
        self.with_linkerd()
        self.run_it(*self.there)
        self.east.find("secrets", "svcmirror-remote-for-linkerd-token")["data"]["token"] = base64.b64encode(b"new").decode()
        self.east.token = "new"
        self.west.refuse["patch", "links"] = 403
        self.assertIn("rollout restart", self.run_it(*self.there, code=1).stderr)
        self.west.refuse.clear()
        self.assertNotIn("rollout restart", self.run_it(*self.there).stderr, "nothing is new any more")

    def test_going_over_to_a_link_without_linkerds_account(self):
        self.with_linkerd()
        for less in (("--remote-discovery=false",), ("--kind", "secret", "--force-conflicts")):
            self.run_it(*self.there)
            self.assertIsNotNone(self.west.find("secrets", "cluster-credentials-east", "linkerd"))
            dry = self.run_it(*self.there, *less, "--dry-run=server")
            self.assertIn("secret/cluster-credentials-east deleted (server dry run)", dry.stdout)
            self.assertIsNotNone(self.west.find("secrets", "cluster-credentials-east", "linkerd"))
            gone = self.run_it(*self.there, *less)
            self.assertIsNone(self.west.find("secrets", "cluster-credentials-east", "linkerd"))
            self.assertIn(f"ServiceAccount {NS}/svcmirror-remote-for-linkerd of cluster east, which may read pods, is still there", gone.stderr)
        # Linkerd's own, and one that only nobody can say the trust domain for, stay.
        self.run_it(*self.there)
        del self.east.objects["configmaps", "linkerd", "linkerd-config"]
        self.assertIn("has for cluster east stays as it is, Secret linkerd/cluster-credentials-east", self.run_it(*self.there).stderr)
        self.west.find("secrets", "cluster-credentials-east", "linkerd")["metadata"]["labels"] = {"multicluster.linkerd.io/cluster-name": "east"}
        self.run_it(*self.there, "--remote-discovery=false")
        self.assertIsNotNone(self.west.find("secrets", "cluster-credentials-east", "linkerd"))

    def test_a_copy_that_another_program_asks_for_is_told(self):
        self.with_linkerd()
        self.run_it(*self.there)
        self.west.find("secrets", "cluster-credentials-east")["metadata"]["annotations"]["svcmirror.io/copy"] = "linkerd/cluster-credentials-east"
        self.assertIn(f"kubectl annotate secret cluster-credentials-east -n {NS} svcmirror.io/copy-", self.run_it(*self.there).stderr)

    def test_a_right_of_before_is_taken_back(self):
        """To write Linkerd's Secret, which the agent renewed."""
        self.with_linkerd()
        for plural in ("roles", "rolebindings"):
            self.west.put(plural, "linkerd", "svcmirror-renew-east", labels={"app.kubernetes.io/name": "svcmirror"})
        self.run_it(*self.there)
        self.assertIsNone(self.west.find("roles", "svcmirror-renew-east", "linkerd"))
        self.assertIsNotNone(self.west.find("roles", "svcmirror-renew-east"))

    def test_without_linkerds_account(self):
        self.with_linkerd()
        self.east.refuse["patch", "clusterroles"] = 403
        self.east.refuse_names = {"svcmirror-remote-for-linkerd"}
        refused = self.run_it(*self.there, code=1).stderr
        self.assertIn("--remote-discovery=false links without: ", refused)
        self.run_it(*self.there, "--remote-discovery=false")
        self.assertIsNone(self.west.find("secrets", "cluster-credentials-east", "linkerd"))
        self.east.refuse, self.east.refuse_names = {("get", "secrets"): 403}, {"svcmirror-remote-for-linkerd-token"}
        self.assertIn("--remote-discovery=false links without: ", self.run_it(*self.there, code=1).stderr)
        self.east.refuse.clear()
        self.assertIn("--remote-discovery is about Links", self.run_it(*self.there, "--kind", "secret", "--remote-discovery=false", code=2).stderr)
        shared = self.run_it(*self.there, "-L", NS, "--trust-domain", "example.org")
        self.assertIn(f"namespace {NS} is the agent's and that of Linkerd's control plane", shared.stderr)

    def test_link_gen_takes_linkerds_account_where_it_is(self):
        self.with_linkerd()
        gen = ("link-gen", "--context", "east", "--cluster-name", "east", "--api-server-address", "https://192.0.2.1", "-o", "json")
        tokens = lambda result: [base64.b64decode(o["data"]["kubeconfig"]).decode().split("token: ")[1].strip().strip('"')
                                 for o in json.loads(result.stdout)["items"] if o["kind"] == "Secret"]
        self.run_it("allow", "--apply", "--context", "east")
        alone = self.run_it(*gen)
        self.assertIn("no token of service account svcmirror-remote-for-linkerd in namespace linkerd-multicluster that you may read "
                      "(`allow --remote-discovery` makes one)", alone.stderr)
        self.assertEqual(tokens(alone), ["t.o.k", "t.o.k"])
        self.east.token = "of-linkerd"
        self.run_it("allow", "--apply", "--context", "east", "--token-secret=false", "--remote-discovery")
        both = self.run_it(*gen)
        self.assertNotIn("warning: there is no token", both.stderr)
        self.assertEqual(tokens(both), ["t.o.k", "of-linkerd"])

    def test_a_token_that_the_agent_does_not_renew(self):
        result = self.run_it(*self.there, "--token-duration", "2h", "--renew-token=false")
        self.assertIn(": run this again before, the agent takes the new one at once\n", result.stderr)
        self.assertIsNone(self.west.find("secrets", "cluster-credentials-east")["metadata"].get("annotations"))
        self.assertIsNone(self.west.find("roles", "svcmirror-renew-east"))
        self.assertIsNone(self.east.find("roles", "svcmirror-remote"))

    def test_a_token_is_kept_while_it_is_fresh(self):
        self.run_it(*self.there)
        for line in self.run_it(*self.there, "--dry-run=server").stdout.splitlines():
            self.assertTrue(line.endswith(" unchanged (server dry run)"), line)
        self.assertEqual([self.token()], self.east.issued)
        for why, change in [
                ("another life is asked for", lambda: ("--token-duration", "2h")),
                ("back to the default", lambda: ()),
                ("the target does not accept it", lambda: self.east.issued.clear() or ()),
                ("half of its life is over", lambda: self.hold(jwt(NS, "svcmirror-remote", "uid", time.time() - 1900, 3600))),
                ("it is another account's", lambda: self.hold(jwt(NS, "other", "uid", time.time(), 3600))),
                ("the account was made anew", lambda: self.east.objects.pop(("serviceaccounts", NS, "svcmirror-remote")) and ()),
                ("it does not say when it ends", lambda: self.hold("e30.e30.x")),
                ("it is nothing that can be read", lambda: self.hold("x"))]:
            with self.subTest(why):
                more, before = change(), len(self.east.issued)
                self.run_it(*self.there, *more)
                self.assertEqual(len(self.east.issued), before + 1)
                self.assertEqual(self.token(), self.east.issued[-1])

    def hold(self, token):
        """The link has this one now, and the target accepts it."""
        config = self.kubeconfig().replace(self.token(), token)
        self.west.find("secrets", "cluster-credentials-east")["data"]["kubeconfig"] = base64.b64encode(config.encode()).decode()
        self.east.issued.append(token)
        return ()

    def test_a_token_bound_to_a_secret(self):
        result = self.run_it(*self.there, "--token-secret")
        self.assertIn("secret/svcmirror-remote-token created", result.stdout)
        self.assertEqual((self.token(), self.east.issued), ("t.o.k", []))
        self.assertIsNone(self.west.find("secrets", "cluster-credentials-east")["metadata"].get("annotations"))
        self.assertEqual([key for cluster in (self.west, self.east) for key in cluster.objects if key[0] in ("roles", "rolebindings")], [])
        self.assertEqual({line.split()[-1] for line in self.run_it(*self.there, "--token-secret").stdout.splitlines()}, {"unchanged"})
        # Going over to one that expires tells what stays behind.
        result = self.run_it(*self.there)
        self.assertIn(f"Secret {NS}/svcmirror-remote-token of cluster east still holds a token of the account that does not expire", result.stderr)
        self.assertEqual([self.token()], self.east.issued)
        # And back: what the agent needed for that goes, what the account may do is told, for others may need it.
        result = self.run_it(*self.there, "--token-secret")
        self.assertIn("role.rbac.authorization.k8s.io/svcmirror-renew-east deleted\n", result.stdout)
        self.assertIsNone(self.west.find("rolebindings", "svcmirror-renew-east"))
        self.assertIn(f"RoleBinding {NS}/svcmirror-remote of cluster east still lets the account make tokens of its own", result.stderr)
        self.run_it("unlink", "--cluster-name", "east", "--context", "west", "--target-context", "east")
        self.assertIsNone(self.east.find("secrets", "svcmirror-remote-token"))

    def test_a_token_that_never_comes(self):
        self.east.token = None
        result = self.run_it(*self.there, "--token-secret", code=1)
        self.assertIn("is still empty", result.stderr)
        self.assertIn("the account in the target is there; run it again", result.stderr)
        self.assertEqual(self.west.writes, [])

    def test_wrong_command_lines(self):
        link = ("--target-context", "east", "--cluster-name", "east")
        for argv, words in [
                ((), "which cluster is the target?"), (("--target-context", "", "--target-kubeconfig="), "which cluster is the target?"),
                (("--target-context", "east"), "--cluster-name NAME"), ((*link, "web"), "unexpected argument"),
                (("--target-context", "east", "--cluster-name", "local"), "choose another name"),
                (("--target-context", "east", "--cluster-name", "East_1"), "cannot end the name"),
                ((*link, "--api-server-address", "https://localhost:6443"), "reachable from this machine alone"),
                ((*link, "--api-server-address", "east:6443"), "is no address of an API server"),
                ((*link, "--gateway=false", "--gateway-name", "x"), "contradicts --gateway=false"),
                ((*link, "--gateway=false", "--selector", "a=b"), "contradicts"), ((*link, "--gateway-namespace", "x"), "give that too"),
                ((*link, "--gateway-service", "edge/gw", "--gateway-name", "gw"), "--gateway-service and --gateway-name contradict each other"),
                ((*link, "--gateway-service", "gw", "--gateway-namespace", "edge"), "--gateway-service and --gateway-namespace contradict each other"),
                ((*link, "--gateway=false", "--gateway-service", "gw"), "contradicts --gateway=false"),
                ((*link, "--kind", "secret", "--gateway-service", "gw"), "contradicts --kind secret"),
                ((*link, "--gateway-service", "a/b/c"), "is no Service: write NAMESPACE/NAME"), ((*link, "--gateway-service", "/gw"), "is no Service"),
                ((*link, "--kind", "secret", "--gateway-port", "1"), "contradicts --kind secret"), ((*link, "--kind", "secret", "--headless"), "makes none"),
                ((*link, "--gateway-port", "70000"), "a number up to 65535"), ((*link, "--selector", "a in"), "--selector"),
                ((*link, "--token-duration", "1m"), "10m"), ((*link, "--token-secret", "--renew-token"), "--renew-token and --token-secret contradict each other"), ((*link, "--token-secret", "--token-duration", "1h"), "contradict each other: a token bound"), ((*link, "--wait", "1s", "--dry-run", "client"), "contradict"),
                ((*link, "--gateway-addresses", "192.0.2.7,a_b"), '--gateway-addresses: "a_b" is neither an IP address nor a host name'),
                ((*link, "--gateway-addresses", ",".join(f"192.0.2.{i}" for i in range(65))), "more than 64 addresses"),
                ((*link, "--excluded-labels", "app,team*"), '--excluded-labels: "team*" is no key: write NAME, PREFIX/NAME, or PREFIX/*'),
                ((*link, "--excluded-annotations", "a/b/*"), '--excluded-annotations: "a/b/*" is no key'),
                ((*link, "--cluster-domain", "no domain"), "is no DNS domain")]:
            result = self.run_it("link", *argv, code=2)
            self.assertIn(words, result.stderr)
        self.assertEqual(self.east.writes + self.west.writes, [])

    def test_a_secret_of_2_8_beside_a_link_is_told(self):
        self.assertNotIn("links cluster east too", self.run_it(*self.there, "--kind", "secret").stderr)
        self.run_it(*self.there)
        self.assertIn(f"Link {NS}/east links cluster east too, and svcmirror goes by that", self.run_it(*self.there, "--kind", "secret").stderr)

    def test_refused_before_anything_is_written(self):
        self.assertIn("reachable from this machine alone", self.run_it(*self.base, code=1).stderr)
        self.assertIn("are the same cluster", self.run_it("link", "--target-context", "west", "--cluster-name", "x", "--api-server-address",
                                                          "https://192.0.2.1", code=1).stderr)
        self.west.links = False
        self.assertIn("serves no Link resources", self.run_it(*self.there, code=1).stderr)
        self.west.links = True
        del self.east.objects["services", "edge", "ambassador"]
        self.assertIn("no Service of cluster east is a gateway", self.run_it(*self.there, code=1).stderr)
        self.east.gateway("one", addresses=())
        self.assertIn("has no external address", self.run_it(*self.there, code=1).stderr)
        self.assertIn("has no external address", self.run_it(*self.there, "--gateway-addresses=", code=1).stderr)
        self.east.gateway("two")
        self.assertIn("edge/one, edge/two", self.run_it(*self.there, code=1).stderr)
        del self.west.objects["namespaces", None, NS]
        self.assertIn(f"no namespace {NS}", self.run_it(*self.there, "--gateway=false", code=1).stderr)
        down = self.run_it("link", "--target-context", "down", "--cluster-name", "x", "--api-server-address", "https://192.0.2.1", code=1)
        self.assertIn("kube-system", down.stderr)
        self.assertEqual(self.east.writes + self.west.writes, [])

    def test_gateways_that_say_so_go_before_those_that_have_the_port(self):
        def with_port(name, address, **more):
            self.east.service(name, "edge", {"type": "LoadBalancer", "ports": [{"name": "mc-gateway", "port": 4143, "protocol": "TCP"}]}, **more)
            self.east.objects["services", "edge", name]["status"] = {"loadBalancer": {"ingress": [{"ip": address}]}}
        with_port("plain", "192.0.2.20")
        with_port("mirror", "192.0.2.21", labels={M + "mirrored-gateway": "true"})
        self.run_it(*self.there)
        self.assertEqual(self.west.find("links", "east")["spec"]["gatewayAddress"], "192.0.2.10")
        del self.east.objects["services", "edge", "ambassador"]
        self.run_it(*self.there)
        self.assertEqual(self.west.find("links", "east")["spec"]["gatewayAddress"], "192.0.2.20")
        with_port("other", "192.0.2.22")
        self.assertIn("has 2 gateways: choose one with --gateway-name and --gateway-namespace: edge/other, edge/plain", self.run_it(*self.there, code=1).stderr)

    def test_missing_rights_say_what_stands(self):
        self.east.refuse["patch", "serviceaccounts"] = 403
        self.assertNotIn("stands already", self.run_it(*self.there, code=1).stderr, "nothing does")
        self.east.refuse.clear()
        self.east.refuse["patch", "clusterroles"] = 403
        result = self.run_it(*self.there, code=1)
        self.assertEqual(result.stdout, "serviceaccount/svcmirror-remote created\n")
        self.assertIn("clusterroles are refused", result.stderr)
        self.east.refuse.clear()
        self.west.refuse["patch", "links"] = 403
        result = self.run_it(*self.there, code=1)
        self.assertIn("links are refused; have that right granted, or be another user (--as, or another context) (the account in the target is there; run it again to go on, or `unlink` to take it back)", result.stderr)
        self.assertIn("secret/cluster-credentials-east created\n", result.stdout)
        self.assertTrue(result.stdout.endswith("rolebinding.rbac.authorization.k8s.io/svcmirror-renew-east created\n"))

    GATEWAY_FIELDS = {"gatewayAddress", "gatewayPort", "gatewayIdentity", "probeSpec"}

    def test_a_gateway_that_is_followed(self):
        followed = (*self.there, "--gateway-service", "edge/ambassador")
        self.assertEqual(self.run_it(*followed).stderr.count("warning"), 0)
        link = self.west.find("links", "east")
        self.assertEqual(link["metadata"]["annotations"]["svcmirror.io/gateway"], "edge/ambassador")
        self.assertEqual(self.GATEWAY_FIELDS & set(link["spec"]), set())
        self.assertEqual(link["spec"]["selector"], {"matchLabels": {M + "exported": "true"}})
        # What the Link gives itself goes before what the Service says.
        self.run_it(*followed, "--gateway-addresses", "192.0.2.7", "--gateway-port", "4200")
        spec = self.west.find("links", "east")["spec"]
        self.assertEqual((spec["gatewayAddress"], spec["gatewayPort"], self.GATEWAY_FIELDS & set(spec)),
                         ("192.0.2.7", "4200", {"gatewayAddress", "gatewayPort"}))
        # Fields that stay, as another program has them, are told; this server merges, as if they were.
        warned = self.run_it(*followed).stderr
        self.assertIn("another program wrote spec.gatewayAddress of Link east, which goes before what Service edge/ambassador says: kubectl patch link", warned)
        self.assertIn("spec.gatewayPort", warned)
        self.assertNotIn("probeSpec", warned)

    def test_a_gateway_that_cannot_be_followed_yet_or_at_all(self):
        self.east.gateway("bare", addresses=())
        self.assertIn("warning: gateway edge/bare cannot be used yet: gateway Service edge/bare has no load balancer address",
                      self.run_it(*self.there, "--gateway-service", "edge/bare").stderr)
        self.assertNotIn("warning", self.run_it(*self.there, "--gateway-service", "edge/bare", "--gateway-addresses", "192.0.2.7").stderr)
        self.assertIn(f"gateway Service {NS}/gone: ", self.run_it(*self.there, "--gateway-service", "gone", code=1).stderr)
        self.east.service("nodes", "edge", {"type": "NodePort", "ports": [{"name": "mc-gateway", "port": 4143, "nodePort": 30143, "protocol": "TCP"}]})
        self.assertIn("node ports cannot be followed", self.run_it(*self.there, "--gateway-service", "edge/nodes", code=1).stderr)

    def test_fields_of_another_program(self):
        self.west.refuse["patch", "links"] = 409
        self.assertIn("--force-conflicts", self.run_it(*self.there, code=1).stderr)

    def test_interrupted_half_way(self):
        self.west.refuse["patch", "links"] = None
        out, err = self.interrupt(self.west, *self.there)
        self.assertTrue(out.endswith("rolebinding.rbac.authorization.k8s.io/svcmirror-renew-east created\n"))
        self.assertIn("the account in the target is there", err)

    def test_flags_of_linkerd_that_mean_nothing_here(self):
        result = self.run_it("link-gen", "--context", "east", "--cluster-name", "east", "--api-server-address", "https://192.0.2.1", "--token-duration",
                             "1h", "--log-level", "debug", "--ha", "--service-mirror-retry-limit=3", "--service-account-name", "svcmirror-remote")
        for name in ("log-level", "ha", "service-mirror-retry-limit"):
            self.assertIn(f"--{name} is ignored", result.stderr)

    def test_waiting_tells_why_nothing_comes(self):
        link = {"metadata": {"finalizers": []}, "status": {"mirrorServices": [{
            "remoteRef": {"namespace": "demo", "name": "web"}, "conditions": [{"status": "False", "reason": "MissingNamespace", "message": "no demo"}]}]}}
        self.run_it(*self.there)
        self.west.objects["links", NS, "east"] = merge(self.west.find("links", "east"), link)
        result = self.run_it(*self.there, "--wait", "300ms", code=1)
        self.assertIn("after 300ms: service demo/web is not mirrored: MissingNamespace: no demo", result.stderr)
        self.assertIn("(the link is there; run it again", result.stderr)
        self.west.agent_says = [{"clusterName": "east", "problem": None, "exportedServices": 0}]
        self.assertIn("after 1ms: cluster east exports no service yet", self.run_it(*self.there, "--wait", "1ms", code=1).stderr)
        self.west.agent_says = [{"clusterName": "east", "problem": "401 Unauthorized", "exportedServices": 0}]
        self.assertIn("after 1ms: 401 Unauthorized", self.run_it(*self.there, "--wait", "1ms", code=1).stderr)
        self.west.service("web-east", labels={M + "mirrored-service": "true", M + "cluster-name": "east"})
        self.assertIn("mirrored: demo/web-east", self.run_it(*self.there, "--wait", "10s").stderr)


class Unlink(WithClusters):
    base = ("unlink", "--cluster-name", "east", "--context", "west")

    def setUp(self):
        super().setUp()
        self.east.gateway()
        self.run_it(*Link.there)
        self.west.writes.clear()
        self.east.writes.clear()

    def test_both_sides(self):
        self.west.service("web-east", labels={M + "mirrored-service": "true", M + "cluster-name": "east"})
        self.west.service("web-federated", labels={M + "mirrored-service": "true"},
                          annotations={"multicluster.linkerd.io/remote-discovery": "web@north,web@east"})
        self.west.service("web-north", labels={M + "mirrored-service": "true", M + "cluster-name": "north"})
        before = dict(self.west.objects)
        would = self.run_it(*self.base, "--target-context", "east", "--dry-run", "client")
        self.assertEqual(self.west.writes + self.east.writes, [])
        self.run_it(*self.base, "--target-context", "east", "--dry-run", "server")
        self.assertEqual(self.west.objects, before)
        result = self.run_it(*self.base, "--target-context", "east")
        self.assertIn("the mirrors of cluster east, 1, and take it out of 1 federated services: demo/web-east, demo/web-federated", result.stderr)
        self.assertEqual(would.stdout.replace(" (dry run)", ""), result.stdout)
        self.assertEqual(result.stdout.splitlines(), [
            "link.multicluster.linkerd.io/east deleted",
            "rolebinding.rbac.authorization.k8s.io/svcmirror-renew-east deleted", "role.rbac.authorization.k8s.io/svcmirror-renew-east deleted",
            "secret/cluster-credentials-east deleted",
            "clusterrolebinding.rbac.authorization.k8s.io/svcmirror-remote deleted", "clusterrole.rbac.authorization.k8s.io/svcmirror-remote deleted",
            "rolebinding.rbac.authorization.k8s.io/svcmirror-remote deleted", "role.rbac.authorization.k8s.io/svcmirror-remote deleted",
            "serviceaccount/svcmirror-remote deleted"])
        self.assertIn("cluster east is not linked", self.run_it(*self.base, code=1).stderr)
        self.run_it(*self.base, "--ignore-not-found")

    def test_an_empty_name_of_a_target_is_none(self):
        self.run_it("allow", "--apply", "--context", "west")
        self.run_it(*self.base, "--target-context", "", "--target-kubeconfig=")
        for cluster in self.west, self.east:
            self.assertIsNotNone(cluster.find("serviceaccounts", "svcmirror-remote"))

    def test_what_is_anothers_stays(self):
        self.west.put("secrets", NS, "credentials-of-north", type=M + "remote-kubeconfig", annotations={M + "cluster-name": "north"})
        self.west.put("secrets", NS, "password", type="Opaque")
        self.east.find("serviceaccounts", "svcmirror-remote")["metadata"]["labels"] = {}
        result = self.run_it(*self.base, "--target-context", "east")
        self.assertIsNotNone(self.west.find("secrets", "credentials-of-north"))
        self.assertIsNotNone(self.west.find("secrets", "password"))
        self.assertIn("ServiceAccount svcmirror-remote of cluster east was not made by svcmirror, and is left", result.stderr)

    def test_waiting_names_what_is_left(self):
        self.west.service("web-east", labels={M + "mirrored-service": "true", M + "cluster-name": "east"})
        result = self.run_it(*self.base, "--wait", "200ms", code=1)
        self.assertIn("after 200ms: 1 are left: demo/web-east", result.stderr)

    def test_failures(self):
        self.assertIn("which cluster?", self.run_it("unlink", code=2).stderr)
        self.assertIn("--only-controller would keep the Link", self.run_it(*self.base, "--only-controller", code=2).stderr)
        self.assertIsNotNone(self.west.find("links", "east"), "Linkerd keeps it then, and so do we")
        self.west.refuse["delete", "secrets"] = 403
        result = self.run_it(*self.base, code=1)
        self.assertEqual(result.stdout.splitlines()[0], "link.multicluster.linkerd.io/east deleted")
        self.assertNotIn("secret", result.stdout)
        self.assertIn("run it again to go on", result.stderr)
        self.west.refuse.clear()
        self.west.refuse["delete", "secrets"] = None
        out, err = self.interrupt(self.west, *self.base)
        self.assertIn("interrupted during: delete", err)


class Allow(WithClusters):
    def test_accounts_of_two_namespaces_do_not_take_each_other_s_rights(self):
        for namespace, name in ((NS, "svcmirror-remote"), ("other", "svcmirror-remote-other")):
            self.run_it("allow", "--apply", "--context", "east", "-n", namespace, "--remote-discovery")
            binding = self.east.find("clusterrolebindings", name, None)
            self.assertEqual([(one["name"], one["namespace"]) for one in binding["subjects"]], [("svcmirror-remote", namespace)])
            self.assertEqual(binding["roleRef"]["name"], name)
            self.assertIsNotNone(self.east.find("clusterroles", name, None))
        self.west.put("namespaces", None, "other")
        self.run_it("unlink", "--context", "west", "--target-context", "east", "--cluster-name", "east", "-n", "other")
        self.assertEqual([key for key in self.east.objects if key[1] == "other" or key[2].endswith("-other")], [])
        self.assertIsNotNone(self.east.find("secrets", "svcmirror-remote-for-linkerd-token"), "that is the usual namespace's")
        self.assertIsNotNone(self.east.find("clusterrolebindings", "svcmirror-remote", None))

    def test_the_help_names_each_right(self):
        role = json.loads(self.run_it("allow", "-o", "json").stdout)["items"][2]
        told = self.run_it("allow", "--help").stdout.lower()
        for rule in role["rules"]:
            for name in rule["resources"] + rule.get("resourceNames", []):
                self.assertIn(name if name.endswith("roots") else name[:-1], told)

    def test_printed_and_applied(self):
        printed = json.loads(self.run_it("allow", "-o", "json").stdout)["items"]
        account = ["ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Secret"]
        self.assertEqual([o["kind"] for o in printed], ["Namespace", *account])
        both = json.loads(self.run_it("allow", "-o", "json", "--remote-discovery").stdout)["items"]
        self.assertEqual([o["kind"] for o in both], ["Namespace", *account, *account])
        self.assertEqual([o["metadata"]["name"] for o in both if o["kind"] == "ServiceAccount"], ["svcmirror-remote", "svcmirror-remote-for-linkerd"])
        self.assertEqual(both[:5], printed)
        self.run_it("allow", "--apply", "--context", "east", "--token-secret=false")
        self.assertIsNone(self.east.find("secrets", "svcmirror-remote-token"))
        self.assertEqual(self.east.find("clusterroles", "svcmirror-remote", None)["rules"], printed[2]["rules"])

    def test_failures(self):
        self.assertIn("--dry-run is about --apply", self.run_it("allow", "--dry-run=server", code=2).stderr)
        self.assertIn("is what the account of Linkerd's control plane is called", self.run_it("allow", "--account", "x-for-linkerd", code=2).stderr)
        self.assertIn("is no name of a service account", self.run_it("allow", "--service-account-name", "A!", code=2).stderr)
        self.east.refuse["get", "namespaces"] = 403
        self.assertNotIn("run it again", self.run_it("allow", "--apply", "--context", "east", code=1).stderr, "nothing is there to go on from")
        self.east.refuse.clear()
        self.east.refuse["patch", "clusterroles"] = None
        out, err = self.interrupt(self.east, "allow", "--apply", "--context", "east")
        self.assertIn("serviceaccount/svcmirror-remote created", out)
        self.assertIn("run it again to go on", err)


if __name__ == "__main__":
    unittest.main()
