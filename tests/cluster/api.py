"""A small client of the Kubernetes API for tests: plain objects in, plain objects out."""
import base64
import http.client
import json
import ssl
import tempfile
import urllib.parse


class ApiError(Exception):
    def __init__(self, method, path, status, body):
        self.status = status
        try:
            self.body = json.loads(body)
        except ValueError:
            self.body = {"message": body.decode("utf-8", "replace")[:300]}
        super().__init__(f"{method} {path}: {status} {self.body.get('message')}")


RESOURCES = {
    "namespaces": ("/api/v1", False), "nodes": ("/api/v1", False),
    "services": ("/api/v1", True), "endpoints": ("/api/v1", True), "secrets": ("/api/v1", True), "pods": ("/api/v1", True),
    "serviceaccounts": ("/api/v1", True), "configmaps": ("/api/v1", True),
    "endpointslices": ("/apis/discovery.k8s.io/v1", True), "events": ("/apis/events.k8s.io/v1", True),
    "links": ("/apis/multicluster.linkerd.io/v1alpha3", True), "deployments": ("/apis/apps/v1", True),
    "clusterroles": ("/apis/rbac.authorization.k8s.io/v1", False), "clusterrolebindings": ("/apis/rbac.authorization.k8s.io/v1", False),
    "roles": ("/apis/rbac.authorization.k8s.io/v1", True), "rolebindings": ("/apis/rbac.authorization.k8s.io/v1", True),
    "serviceexports": ("/apis/multicluster.x-k8s.io/v1beta1", True), "serviceimports": ("/apis/multicluster.x-k8s.io/v1beta1", True),
    "customresourcedefinitions": ("/apis/apiextensions.k8s.io/v1", False), "leases": ("/apis/coordination.k8s.io/v1", True),
}


class Api:
    """One API server as one identity (a client certificate, or a bearer token)."""

    def __init__(self, host, port, ca_file, cert_file=None, key_file=None, token=None):
        self.host, self.port, self.token = host, port, token
        self.context = ssl.create_default_context(cafile=ca_file)
        if cert_file:
            self.context.load_cert_chain(cert_file, key_file)
        self.connection = None

    def raw(self, method, path, body=None, content_type="application/json"):
        headers = {"Accept": "application/json", "User-Agent": "lab"}
        if self.token:
            headers["Authorization"] = "Bearer " + self.token
        data = None
        if body is not None:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            headers["Content-Type"] = content_type
        for attempt in (1, 2):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPSConnection(self.host, self.port, context=self.context, timeout=30)
                self.connection.request(method, path, data, headers)
                answer = self.connection.getresponse()
                return answer.status, answer.read()
            except (http.client.HTTPException, ConnectionError, ssl.SSLError):
                self.connection = None
                if attempt == 2 or method != "GET":
                    raise

    def call(self, method, path, body=None, content_type="application/json"):
        status, answer = self.raw(method, path, body, content_type)
        if status >= 300:
            raise ApiError(method, path, status, answer)
        try:
            return json.loads(answer) if answer else None
        except ValueError:
            return answer.decode()

    @staticmethod
    def path(resource, namespace=None, name=None, sub=None, **query):
        base, namespaced = RESOURCES[resource]
        path = base + (f"/namespaces/{namespace}" if namespaced and namespace else "") + "/" + resource
        path += (f"/{name}" if name else "") + (f"/{sub}" if sub else "")
        return path + ("?" + urllib.parse.urlencode(query) if query else "")

    def get(self, resource, name, namespace=None):
        return self.call("GET", self.path(resource, namespace, name))

    def find(self, resource, name, namespace=None):
        """The object, or None."""
        try:
            return self.get(resource, name, namespace)
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    def list(self, resource, namespace=None, labels=None):
        query = {"labelSelector": labels} if labels else {}
        return self.call("GET", self.path(resource, namespace, **query))["items"]

    def create(self, resource, body, namespace=None):
        return self.call("POST", self.path(resource, namespace or body["metadata"].get("namespace")), body)

    def update(self, resource, body, sub=None):
        meta = body["metadata"]
        return self.call("PUT", self.path(resource, meta.get("namespace"), meta["name"], sub), body)

    def patch(self, resource, name, patch, namespace=None, sub=None):
        return self.call("PATCH", self.path(resource, namespace, name, sub), patch, "application/merge-patch+json")

    def delete(self, resource, name, namespace=None):
        try:
            return self.call("DELETE", self.path(resource, namespace, name))
        except ApiError as error:
            if error.status != 404:
                raise

    def apply(self, resource, body, namespace=None):
        """Creates, or replaces what a merge patch can."""
        meta = body["metadata"]
        namespace = namespace or meta.get("namespace")
        if self.find(resource, meta["name"], namespace):
            return self.patch(resource, meta["name"], body, namespace)
        return self.create(resource, body, namespace)


def kubeconfig(server, ca_pem, user):
    """A kubeconfig with everything inline. `user` as in the file: {"token": ...} or {"client-certificate-data": ..., ...}."""
    return json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "lab",
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": base64.b64encode(ca_pem.encode()).decode()}}],
        "users": [{"name": "lab", "user": user}],
    })


def joined_kubeconfig(**clusters):
    """The admin kubeconfigs of several clusters in one, a context each by the name it is given; the first is the current one."""
    config = {"apiVersion": "v1", "kind": "Config", "current-context": next(iter(clusters)), "contexts": [], "clusters": [], "users": []}
    for name, cluster in clusters.items():
        with open(cluster.admin_kubeconfig, encoding="ascii") as file:
            own = json.load(file)
        config["contexts"].append({"name": name, "context": {"cluster": name, "user": name}})
        config["clusters"].append({"name": name, "cluster": own["clusters"][0]["cluster"]})
        config["users"].append({"name": name, "user": own["users"][0]["user"]})
    return json.dumps(config)


def write_file(text, suffix=""):
    file = tempfile.NamedTemporaryFile("w", suffix=suffix, delete=False)
    with file:
        file.write(text)
    return file.name
