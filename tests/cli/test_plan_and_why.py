"""`svcmirror plan` and `svcmirror why` on servers that say what a test wants: one source with a 2.8 Secret, one target."""
import base64
import json
import pathlib
import re
import tempfile
import time
import unittest

from program import EmptyCluster, Server, free_port, status_object, svcmirror

M = "mirror.linkerd.io/"
LISTS = {"services": ("v1", "Service"), "endpoints": ("v1", "Endpoints"),
         "endpointslices": ("discovery.k8s.io/v1", "EndpointSlice"), "namespaces": ("v1", "Namespace"), "secrets": ("v1", "Secret")}


def service(name, namespace="demo", ports=((80, 5000),), **meta):
    return {"metadata": {"name": name, "namespace": namespace, "uid": "uid-" + name, "resourceVersion": "7", **meta},
            "spec": {"type": "ClusterIP", "clusterIP": "10.0.0.7", "ports": [{"port": p, "targetPort": t, "protocol": "TCP"} for p, t in ports]}}


class Cluster(Server):
    """An API server with fixed objects: {"services": [...]}. `refuse` names a resource that may not be read."""

    def __init__(self, refuse=None, **objects):
        self.objects, self.refuse, self.silent = objects, refuse, False
        super().__init__(self.answer_fixed)
        self.http.handle_error = lambda *_: None  # the program ends while its watches are open

    def answer_fixed(self, path, query):
        parts = path.split("/")
        resource = next((p for p in parts if p in LISTS and p != "namespaces"), "namespaces")
        if "watch" in query or self.silent:
            return None
        if path.startswith("/apis/multicluster"):
            return status_object(404, "NotFound", "the server could not find the requested resource")
        if resource == self.refuse:
            return status_object(403, "Forbidden", f'{resource} is forbidden: User "me" cannot list resource "{resource}"')
        items = self.objects.get(resource, [])
        if parts[-2] == resource and resource != "namespaces":
            found = [i for i in items if (i["metadata"]["namespace"], i["metadata"]["name"]) == (parts[-3], parts[-1])]
            return (200, {"apiVersion": LISTS[resource][0], "kind": LISTS[resource][1], **found[0]}) if found else status_object(404, "NotFound", "not found")
        if "labelSelector" in query:
            key, value = query["labelSelector"].split("=")
            items = [i for i in items if i["metadata"].get("labels", {}).get(key) == value]
        return 200, {"apiVersion": LISTS[resource][0], "kind": LISTS[resource][1] + "List", "metadata": {"resourceVersion": "9"}, "items": items}


def namespace(name):
    return {"metadata": {"name": name, "uid": "uid-" + name, "resourceVersion": "3"}, "status": {"phase": "Active"}}


def secret(url):
    config = {"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}], "clusters": [{"name": "c", "cluster": {"server": url}}]}
    return {"type": M + "remote-kubeconfig", "data": {"kubeconfig": base64.b64encode(json.dumps(config).encode()).decode()},
            "metadata": {"name": "credentials-east", "namespace": "linkerd-multicluster", "uid": "s", "resourceVersion": "4", "annotations": {
                M + "cluster-name": "east", M + "remote-cluster-domain": "cluster.local", M + "remote-cluster-l5d-ns": "linkerd"}}}


EXPORTED = {"annotations": {M + "gateway-name": "gw", M + "gateway-ns": "edge"}}


class Clusters(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.servers = []

    def tearDown(self):
        for server in self.servers:
            server.close()
        self.folder.cleanup()

    def cluster(self, **objects):
        server = Cluster(**objects)
        self.servers.append(server)
        return server

    def ask(self, source, *argv):
        return svcmirror(*argv, "--kubeconfig", source.kubeconfig(self.folder.name))


class Plan(Clusters):
    def test_nothing(self):
        source = EmptyCluster()
        self.servers.append(source)
        for argv, stdout in [([], "No changes.\n"), (["-o", "json"], "[]\n"), (["-o", "yaml"], "# No changes.\n")]:
            result = self.ask(source, "plan", "--detailed-exitcode", *argv)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, stdout, ""))

    def test_everything_that_a_run_would_end_up_writing(self):
        target = self.cluster(services=[service("web", **EXPORTED), service("plain")])
        source = self.cluster(secrets=[secret(target.url)])
        result = self.ask(source, "plan")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertEqual(result.stdout, "ACTION  KIND           NAMESPACE  NAME           REASON\n"
                                        "create  Namespace      -          demo           an exported service lives there\n"
                                        "create  Service        demo       web-east       exported and not mirrored yet\n"
                                        "create  EndpointSlice  demo       web-east.ipv4  the mirror has no slice\n")
        self.assertIn("create  Service        demo       web-east       east     demo/web-east  exported and not mirrored yet\n",
                      self.ask(source, "plan", "-o", "wide").stdout)
        self.assertEqual(self.ask(source, "plan", "--detailed-exitcode").returncode, 3)
        made = json.loads(self.ask(source, "plan", "-o", "json").stdout)
        self.assertEqual([(m["action"], m["kind"], m["cluster"], m["mirror"]) for m in made],
                         [("create", kind, "east", "demo/web-east") for kind in ("Namespace", "Service", "EndpointSlice")])
        self.assertNotIn("ownerReferences", made[2]["object"]["metadata"])
        self.assertNotIn("planned", json.dumps(made))
        text = self.ask(source, "plan", "-o", "yaml").stdout
        self.assertEqual([line for line in text.splitlines() if line.startswith(("#", "---", "kind"))], [
            "# create Namespace demo: an exported service lives there", "kind: Namespace", "---",
            "# create Service demo/web-east: exported and not mirrored yet", "kind: Service", "---",
            "# create EndpointSlice demo/web-east.ipv4: the mirror has no slice", "kind: EndpointSlice"])

    def test_flags_of_run_count(self):
        target = self.cluster(services=[service("web", **EXPORTED)])
        source = self.cluster(secrets=[secret(target.url)])
        result = self.ask(source, "plan", "--enable-namespace-creation=false")
        self.assertEqual((result.returncode, result.stdout), (0, "No changes.\n"))
        self.assertIn("service demo/web of cluster east is not mirrored as demo/web-east: Namespace does not exist", result.stderr)

    def test_a_name_that_is_taken(self):
        target = self.cluster(services=[service("web", **EXPORTED)])
        source = self.cluster(secrets=[secret(target.url)], namespaces=[namespace("demo")], services=[service("web-east")])
        result = self.ask(source, "plan")
        self.assertEqual(result.stdout, "No changes.\n")
        self.assertIn("Service demo/web-east exists and is not a mirror of cluster east: rename or remove it", result.stderr)

    def test_only_what_may_be_read_is_read(self):
        target = self.cluster(services=[service("web", **EXPORTED)])
        source = self.cluster(secrets=[secret(target.url)], refuse="namespaces")
        result = self.ask(source, "plan")
        self.assertIn("web-east.ipv4", result.stdout)
        source = self.cluster(secrets=[secret(target.url)], refuse="secrets")
        result = self.ask(source, "plan")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn('svcmirror plan: missing right: list secrets in cluster source (grant get, list, watch on secrets', result.stderr)

    def test_no_server(self):
        path = pathlib.Path(self.folder.name, "nowhere")
        path.write_text(json.dumps({"current-context": "c", "contexts": [{"name": "c", "context": {"cluster": "c"}}],
                                    "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{free_port()}"}}]}))
        began = time.monotonic()
        result = svcmirror("plan", "--kubeconfig", str(path))
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("Connection refused", result.stderr)
        self.assertLess(time.monotonic() - began, 10, "it is told at once")

    def test_a_silent_target_ends_the_wait_in_time(self):
        target = self.cluster()
        target.silent = True
        source = self.cluster(secrets=[secret(target.url)])
        result = self.ask(source, "plan", "--timeout", "1s")
        self.assertEqual((result.returncode, result.stdout), (1, "No changes in what could be read.\n"))
        self.assertIn("after 1s (--timeout): link east: the target is not listed yet", result.stderr)
        self.assertIn("cluster east (Secret credentials-east) cannot be read", result.stderr)


class Why(Clusters):
    def test_a_silent_source_is_not_taken_for_one_without_links(self):
        source = self.cluster()
        self.assertIn("no target is linked", self.ask(source, "why", "demo/web").stderr)
        source.silent = True
        result = self.ask(source, "why", "demo/web", "--timeout", "1s")
        self.assertEqual(result.returncode, 1)
        for resource in ("services", "endpointslices", "namespaces", "endpoints"):
            self.assertIn(f"after 1s (--timeout): source cluster: {resource} are not listed yet\n", result.stderr)
        self.assertNotIn("no target is linked", result.stderr)

    def test_each_fact_has_a_line(self):
        target = self.cluster(services=[service("web", annotations={M + "gateway-name": "gw"})])
        source = self.cluster(secrets=[secret(target.url)])
        result = self.ask(source, "why", "demo/web")
        self.assertEqual((result.returncode, result.stderr), (1, ""))
        self.assertEqual(result.stdout, (
            "service demo/web of cluster east, as demo/web-east: not mirrored\n"
            "√ link       Secret linkerd-multicluster/credentials-east links cluster east\n"
            f"√ target     {target.url} answers, and its Services are listed\n"
            "√ service    Service demo/web is in cluster east\n"
            f'√ export     annotation {M}gateway-name is "gw"\n'
            f"× export     annotation {M}gateway-ns is missing\n"
            "             -> name the namespace of the gateway's Service, in cluster east: kubectl annotate --overwrite service -n demo web "
            f"{M}gateway-ns=...\n"))

    def test_a_gateway_that_is_not_there(self):
        target = self.cluster(services=[service("web", **EXPORTED)])
        source = self.cluster(secrets=[secret(target.url)])
        result = self.ask(source, "why", "demo/web", "-o", "json")
        [one] = json.loads(result.stdout)
        self.assertEqual({k: v for k, v in one.items() if k != "facts"}, {
            "cluster": "east", "linkKind": "Secret", "linkName": "credentials-east", "kind": "service", "namespace": "demo", "name": "web",
            "mirror": "demo/web-east", "mode": "gateway", "mirrored": False, "ready": False})
        self.assertIn({"mark": "bad", "subject": "gateway", "text": "gateway Service edge/gw does not exist in the target cluster"}, one["facts"])
        self.assertEqual(len([f for f in one["facts"] if f["subject"] == "plan"]), 3)

    def test_yaml_has_what_json_has(self):
        target = self.cluster(services=[service("web", annotations={M + "gateway-name": "gw"})])
        source = self.cluster(secrets=[secret(target.url)])
        [one] = json.loads(self.ask(source, "why", "demo/web", "-o", "json").stdout)
        result = self.ask(source, "why", "demo/web", "-o", "yaml")
        self.assertEqual((result.returncode, result.stderr), (1, ""))
        lines = result.stdout.splitlines()
        self.assertEqual(lines[:4], ["- cluster: east", "  linkKind: Secret", "  linkName: credentials-east", "  kind: service"])
        self.assertEqual(re.findall(r"(?m)^  (\w+):", result.stdout.replace("- cluster", "  cluster")), list(one))
        self.assertEqual(result.stdout.count("subject: "), len(one["facts"]))
        self.assertIn("  mirrored: false", lines)
        empty = self.cluster()
        self.assertEqual(self.ask(empty, "why", "demo/web", "-o", "yaml").stdout, "[]\n")

    def test_no_link(self):
        source = self.cluster()
        result = self.ask(source, "why", "demo/web")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("no target is linked", result.stderr)

    def test_a_full_disk_is_a_failure(self):
        source = EmptyCluster()
        self.servers.append(source)
        with open("/dev/full", "w") as full:
            self.assertEqual(svcmirror("plan", "--kubeconfig", source.kubeconfig(self.folder.name), stdout=full).returncode, 1)
