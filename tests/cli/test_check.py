"""`svcmirror check` against API servers that say what a test wants."""
import base64
import json
import pathlib
import signal
import subprocess
import tempfile
import time
import unittest

from program import BINARY, CLEAN, Server, status_object, svcmirror, wait_until

NAMESPACE = "/namespaces/linkerd-multicluster/"


class ApiServer(Server):
    """Holds lists by path; allows everything that is asked about, but what is in `refused` ("watch services")."""

    def __init__(self, objects=None):
        super().__init__(self.answer_api)
        self.objects, self.refused, self.silent, self.reviews = objects or {}, set(), False, []
        server = self

        def post(handler):
            spec = json.loads(handler.rfile.read(int(handler.headers["Content-Length"])))["spec"]["resourceAttributes"]
            server.reviews.append(f"{spec['verb']} {spec['resource']}")
            data = json.dumps({"status": {"allowed": server.reviews[-1] not in server.refused}}).encode()
            handler.send_response(201)
            handler.send_header("Content-Type", "application/json")
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)

        self.http.RequestHandlerClass.do_POST = post

    def answer_api(self, path, query):
        if self.silent:
            return None
        if path == "/version":
            return 200, {"gitVersion": "v1.36.3"}
        if path in self.objects:
            return 200, self.objects[path]
        if "/configmaps/" in path or "/proxy/" in path or "trafficsplits" in path:
            return status_object(404, "NotFound", f"{path} not found")
        return 200, {"kind": "List", "items": []}


def secret(server_url, cluster="east", token="t"):
    config = {"current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
              "clusters": [{"name": "c", "cluster": {"server": server_url}}], "users": [{"name": "u", "user": {"token": token}}]}
    return {"metadata": {"name": f"cluster-credentials-{cluster}", "namespace": "linkerd-multicluster"}, "type": "Opaque",
            "data": {"kubeconfig": base64.b64encode(json.dumps(config).encode()).decode()}}


def link(cluster="east"):
    return {"metadata": {"name": cluster, "namespace": "linkerd-multicluster", "uid": cluster}, "spec": {
        "targetClusterName": cluster, "clusterCredentialsSecret": f"cluster-credentials-{cluster}", "gatewayAddress": "192.0.2.1",
        "gatewayPort": "4143", "gatewayIdentity": "g"}}


class Check(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.source, self.east = ApiServer(), ApiServer()
        self.links("east")

    def tearDown(self):
        self.source.close()
        self.east.close()
        self.folder.cleanup()

    def links(self, *clusters, url=None):
        self.source.objects["/apis/multicluster.linkerd.io/v1alpha3" + NAMESPACE + "links"] = {"items": [link(one) for one in clusters]}
        self.source.objects["/api/v1" + NAMESPACE + "secrets"] = {"items": [secret(url or self.east.url, one) for one in clusters]}

    def check(self, *argv):
        return svcmirror("check", "--kubeconfig", self.source.kubeconfig(self.folder.name), "--wait", "0", *argv)

    def checks(self, *argv):
        result = self.check("-o", "json", *argv)
        said = json.loads(result.stdout)
        self.assertEqual(said["success"], result.returncode == 0)
        return {one["description"].split("\n")[0]: one for category in said["categories"] for one in category["checks"]}

    def test_table(self):
        result = self.check()
        self.assertEqual((result.returncode, result.stderr), (1, ""))
        lines = result.stdout.splitlines()
        self.assertEqual(lines[:5], ["linkerd-multicluster", "--------------------", "\u221a Link CRD exists", "\u221a Link resources are valid",
                                     "    * east"])
        self.assertIn("\u203c Link and CLI versions match", lines)
        self.assertIn("\u00d7 service mirror controllers are running", lines)
        self.assertIn("    see https://linkerd.io/2/checks/#l5d-multicluster-service-mirror-running for hints", lines)
        self.assertIn("    see docs/check.md#links-served for hints", lines)
        self.assertEqual(lines[-2:], ["", "Status check results are \u00d7"])

    def test_short_is_only_what_is_not_all_right(self):
        lines = self.check("-o", "short").stdout.splitlines()
        self.assertNotIn("\u221a", "".join(lines))
        self.assertIn("\u00d7 service mirror controllers are running", lines)

    def test_json_has_linkerd_s_keys(self):
        result = self.check("-ojson")
        said = json.loads(result.stdout)
        self.assertEqual([one["categoryName"] for one in said["categories"]], ["linkerd-multicluster", "svcmirror"])
        for category in said["categories"]:
            for one in category["checks"]:
                good = one["result"] == "success"
                self.assertEqual(list(one), ["description", "result"] if good else ["description", "hint", "error", "result"])

    def test_yaml_says_the_same(self):
        lines = self.check("-o", "yaml").stdout.splitlines()
        self.assertEqual(lines[:4], ["success: false", "categories:", "- categoryName: linkerd-multicluster", "  checks:"])
        self.assertIn('  - description: "service mirror controllers are running"', lines)

    def test_targets_are_asked_as_the_agent_asks_them(self):
        self.assertEqual(self.checks()["remote cluster access credentials are valid"]["result"], "success")
        self.assertEqual(set(self.east.authorizations), {"Bearer t"})
        self.assertIn("watch endpointslices", self.east.reviews)
        self.assertEqual(self.source.reviews, [])

    def test_a_missing_right_in_the_target(self):
        self.east.refused = {"list services", "watch endpointslices", "watch endpoints"}
        checks = self.checks()
        self.assertIn("missing permission to list services", checks["remote cluster access credentials are valid"]["error"])
        self.assertEqual(checks["endpoints of the targets may be read"]["result"], "warning")

    def test_credentials_that_are_refused(self):
        self.east.accepts = {"Bearer another"}
        found = self.checks()["remote cluster access credentials are valid"]
        self.assertEqual(found["result"], "error")
        self.assertIn("401 Unauthorized", found["error"])
        self.assertIn("cluster east", found["error"])

    def test_a_secret_that_is_not_there(self):
        self.source.objects["/api/v1" + NAMESPACE + "secrets"] = {"items": []}
        found = self.checks()["remote cluster access credentials are valid"]
        self.assertIn("secret linkerd-multicluster/cluster-credentials-east: there is no such Secret", found["error"])

    def test_secrets_that_may_not_be_read(self):
        whole = self.source.answer
        self.source.answer = lambda path, query: status_object(403, "Forbidden", "jane may not") if "secrets" in path else whole(path, query)
        found = self.checks()["remote cluster access credentials are valid"]
        self.assertIn("secret linkerd-multicluster/cluster-credentials-east: cannot be read: ", found["error"])
        self.assertIn("jane may not", found["error"])

    def test_a_kubeconfig_that_would_run_a_program(self):
        one = secret(self.east.url)
        config = json.loads(base64.b64decode(one["data"]["kubeconfig"]))
        marker = pathlib.Path(self.folder.name, "ran")
        config["users"][0]["user"] = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch", "args": [str(marker)]}}
        one["data"]["kubeconfig"] = base64.b64encode(json.dumps(config).encode()).decode()
        self.source.objects["/api/v1" + NAMESPACE + "secrets"] = {"items": [one]}
        self.assertIn("exec", self.checks()["remote cluster access credentials are valid"]["error"])
        self.assertFalse(marker.exists())

    def test_dead_targets_cost_their_time_once_together(self):
        self.east.silent = True
        self.links("east", "north", "south")
        began = time.monotonic()
        found = self.checks("--timeout", "1s")["remote cluster access credentials are valid"]
        self.assertLess(time.monotonic() - began, 10)  # 3 targets of 11 requests each; one after the other they would take 33 s
        for cluster in ("east", "north", "south"):
            self.assertIn(f"cluster {cluster}", found["error"])

    def test_clocks_that_differ(self):
        self.assertEqual(self.checks()["clocks of the clusters agree"]["result"], "success")
        self.east.http.RequestHandlerClass.date_time_string = lambda handler, timestamp=None: "Thu, 01 Jan 2026 00:00:00 GMT"
        found = self.checks()["clocks of the clusters agree"]
        self.assertEqual(found["result"], "warning")
        self.assertRegex(found["error"], r"cluster east: its clock is \d+ s behind the source's")

    def test_only_one_cluster(self):
        self.links("east", "north")
        self.assertEqual(self.checks("--cluster-name", "north")["Link resources are valid"]["result"], "success")
        found = self.checks("--cluster-name", "nowhere")["Link resources are valid"]
        self.assertIn("cluster nowhere is not linked", found["error"])
        self.assertNotIn("remote cluster access credentials are valid", self.checks("--cluster-name", "nowhere"))  # that one is fatal

    def test_lists_are_read_to_their_last_page(self):
        mirror = {"labels": {"mirror.linkerd.io/mirrored-service": "true", "mirror.linkerd.io/cluster-name": "east"}, "namespace": "demo"}
        pages = {None: ("a", "to be/continued"), "to be/continued": ("b", "")}
        whole = self.source.answer

        def answer(path, query):
            if path != "/api/v1/services":
                return whole(path, query)
            name, more = pages[query.get("continue")]
            return 200, {"metadata": {"continue": more}, "items": [{"metadata": {**mirror, "name": name}}]}

        self.source.answer = answer
        error = self.checks()["all mirror services have endpoints"]["error"]
        self.assertEqual([line.split()[1] for line in error.splitlines()], ["a.demo", "b.demo"])

    def test_no_link_type(self):
        whole = self.source.answer
        self.source.answer = lambda path, query: status_object(404, "NotFound", "no such type") if "links" in path else whole(path, query)
        checks = self.checks()
        self.assertEqual(list(checks), ["Link CRD exists"])  # nothing after it can be judged
        self.assertIn("svcmirror install --apply", checks["Link CRD exists"]["error"])

    def test_links_of_an_older_version(self):
        """The newest that is served counts, as for the agent; what is wrong with it is told as ever."""
        old, groups = "/apis/multicluster.linkerd.io/", NAMESPACE + "links"
        whole = self.source.answer
        served = {}
        self.source.answer = lambda path, query: (status_object(404, "NotFound", "no such type") if "/links" in path and path.startswith(old)
                                                  and path not in served else (200, served[path]) if path in served else whole(path, query))
        name = "Link CRD exists"
        for versions, told in ((("v1alpha1",), "v1alpha1"), (("v1alpha1", "v1alpha2"), "v1alpha2")):
            served.clear()
            served.update({old + version + groups: {"items": [link() if version == told else link("north")]} for version in versions})
            checks = self.checks()
            self.assertEqual(checks[name]["result"], "warning")
            self.assertIn(f"Links are served as {told}, and not as v1alpha3", checks[name]["error"])
            self.assertEqual(checks["remote cluster access credentials are valid"]["result"], "success")  # east's, and nothing of north
        served[old + "v1alpha3" + groups] = {"items": [link()]}
        self.assertEqual(self.checks()[name]["result"], "success")

    def test_the_source_does_not_answer(self):
        self.source.close()
        result = svcmirror("check", "--kubeconfig", self.source.kubeconfig(self.folder.name))
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("/version", result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1)
        self.source = ApiServer()

    def test_what_becomes_right_is_waited_for(self):
        deployments = "/apis/apps/v1" + NAMESPACE + "deployments"
        seen = []
        whole = self.source.answer

        def answer(path, query):
            if path == deployments:
                seen.append(1)
                ready = len(seen) > 2
                return 200, {"items": [{"metadata": {"name": "svcmirror", "namespace": "l", "labels": {"app.kubernetes.io/name": "svcmirror"}},
                                        "spec": {"replicas": 1}, "status": {"availableReplicas": 1 if ready else 0}}]}
            if "leases" in path:
                return 200, {"items": [{"metadata": {"name": "service-mirror-write-east"}, "spec": {
                    "holderIdentity": "a", "leaseDurationSeconds": 15, "renewTime": "2099-01-01T00:00:00Z"}}]}
            return whole(path, query)

        self.source.answer = answer
        result = svcmirror("check", "--kubeconfig", self.source.kubeconfig(self.folder.name), "--wait", "30s", "-o", "json")
        self.assertEqual(len(seen), 3)
        self.assertEqual(len(result.stderr.splitlines()), 1)
        self.assertIn("waiting: deployment linkerd-multicluster/svcmirror has no available replica", result.stderr)

    def test_ctrl_c(self):
        process = subprocess.Popen([BINARY, "check", "--kubeconfig", self.source.kubeconfig(self.folder.name)], text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, env=CLEAN)
        wait_until(lambda: len(self.east.requests) > 0, what="the targets are asked")
        self.east.silent = True
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 130)

    def test_flags_of_linkerd_s_that_have_no_meaning_are_told(self):
        result = self.check("--proxy", "--expected-version", "x")
        self.assertEqual(result.stderr.splitlines(), ["svcmirror check: --proxy is ignored: this flag of Linkerd's has no meaning here",
                                                      "svcmirror check: --expected-version is ignored: this flag of Linkerd's has no meaning here"])
        self.assertIn("Status check results", result.stdout)

    def test_proxies_are_compared_with_the_cli_that_is_told(self):
        self.source.objects["/api/v1" + NAMESPACE + "pods"] = {"items": [{
            "metadata": {"name": "agent", "namespace": "linkerd-multicluster"}, "status": {"phase": "Running"},
            "spec": {"containers": [{"name": "linkerd-proxy", "image": "cr.l5d.io/linkerd/proxy:edge-26.8.3"}]}}]}
        name = "multicluster extension proxies and cli versions match"
        self.assertNotIn(name, self.checks())  # Linkerd's CLI made no Link
        self.assertEqual(self.checks("--cli-version-override", "edge-26.8.3")[name]["result"], "success")
        told = self.checks("--cli-version-override", "edge-26.9.1")[name]
        self.assertEqual((told["result"], told["hint"]), ("warning", "https://linkerd.io/2/checks/#l5d-multicluster-proxy-cli-version"))
        self.assertIn("pod linkerd-multicluster/agent has proxy version edge-26.8.3, and Linkerd's CLI is edge-26.9.1", told["error"])

    def test_wrong_command_lines(self):
        for argv, words in [(["-o", "xml"], "table|short|json|yaml"), (["--wait", "soon"], "not a duration"), (["extra"], "extra"),
                            (["-n", "Not_One"], "no name of a namespace"), (["--timeout"], "needs a value")]:
            result = svcmirror("check", *argv)
            self.assertEqual((result.returncode, result.stdout), (2, ""), argv)
            self.assertIn(words, result.stderr)
