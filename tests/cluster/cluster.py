"""A real Kubernetes control plane: etcd, kube-apiserver, kube-controller-manager, and kube-proxy where the data path is wanted."""
import base64
import json
import os
import subprocess
import time

from .api import Api, ApiError, kubeconfig
from .pki import Pki
from .processes import Process
from .wait import wait_until

CONTROLLERS = ("endpoints-controller,endpointslice-controller,endpointslice-mirroring-controller,namespace-controller,"
               "serviceaccount-controller,serviceaccount-token-controller,garbage-collector-controller")
AUDIT_POLICY = """apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  verbs: [get, list, watch]
- level: Request
  resources:
  - group: discovery.k8s.io
  - {group: "", resources: [services, endpoints, namespaces]}
  - {group: coordination.k8s.io, resources: [leases]}
- level: Metadata
"""


def binaries():
    here = os.path.dirname(os.path.abspath(__file__))
    return subprocess.run([os.path.join(here, "build")], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


class Cluster:
    """`name` is for people and files; `network` says where it lives (netlab.Network). With two ranges for services, "10.101.0.0/16,fd00:101::/112", it has
    both families."""

    def __init__(self, name, network, folder, service_cidr=None, proxy=False):
        self.name, self.network, self.folder = name, network, os.path.join(folder, name)
        self.service_cidr = service_cidr or f"10.{96 + network.number}.0.0/16"
        self.host, self.port = network.address(1), 6443
        self.proxy_wanted = proxy
        self.node = f"lab{network.number}"
        self.bin = binaries()
        os.makedirs(self.folder, exist_ok=True)
        self.processes, self.serves_slices = [], True
        self.audit_path = os.path.join(self.folder, "audit.log")

    @property
    def server(self):
        return f"https://{self.host}:{self.port}"

    def _process(self, name, *argv):
        process = Process(name, [os.path.join(self.bin, name), *argv], self.folder, self.network.netns)
        self.processes.append(process)
        setattr(self, name.replace("-", "_"), process)
        return process

    def start(self):
        """Starts everything; returns once the API answers and its defaults exist."""
        self.pki = Pki(os.path.join(self.folder, "pki"))
        first_service_ip = self.service_cidr.split(",")[0].replace(".0.0/16", ".0.1")
        self.pki.issue("apiserver", "/CN=kube-apiserver", [self.host, first_service_ip, "127.0.0.1"], ["kubernetes", "kubernetes.default", "localhost"])
        self.pki.issue("admin", "/O=system:masters/CN=admin")
        self._process("etcd", "--data-dir", os.path.join(self.folder, "etcd"), "--unsafe-no-fsync", "--listen-client-urls", f"http://{self.host}:2379",
                      "--advertise-client-urls", f"http://{self.host}:2379", "--listen-peer-urls", f"http://{self.host}:2380",
                      "--initial-advertise-peer-urls", f"http://{self.host}:2380", "--initial-cluster", f"default=http://{self.host}:2380",
                      "--log-level", "warn").start()
        with open(os.path.join(self.folder, "audit.yaml"), "w", encoding="ascii") as file:
            file.write(AUDIT_POLICY)
        self.start_apiserver()
        self.api = Api(self.host, self.port, self.pki.ca, self.pki.file("admin.crt"), self.pki.file("admin.key"))
        wait_until(self._ready, 60, f"{self.name}: API server ready", 0.1)
        self.admin_kubeconfig = self._write_admin_kubeconfig()
        self._process("kube-controller-manager", "--kubeconfig", self.admin_kubeconfig, f"--controllers={CONTROLLERS}", "--leader-elect=false",
                      "--secure-port=0", "--service-account-private-key-file", self.pki.sa_key, "--root-ca-file", self.pki.ca,
                      "--kube-api-qps=200", "--kube-api-burst=400", "--concurrent-gc-syncs=4").start()
        # The endpoints controllers skip pods whose node they do not know; kube-proxy wants its own address.
        self.api.apply("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.node}})
        self.api.patch("nodes", self.node, {"status": {"addresses": [{"type": "InternalIP", "address": self.host}]}}, sub="status")
        if self.proxy_wanted:
            self.start_proxy()
        wait_until(lambda: self.api.find("serviceaccounts", "default", "default"), 30, f"{self.name}: default service account", 0.1)
        return self

    def start_apiserver(self):
        if not hasattr(self, "kube_apiserver"):
            pki = self.pki
            self._process("kube-apiserver", "--etcd-servers", f"http://{self.host}:2379", "--bind-address", self.host, "--advertise-address", self.host,
                          "--secure-port", self.port, "--tls-cert-file", pki.file("apiserver.crt"), "--tls-private-key-file", pki.file("apiserver.key"),
                          "--client-ca-file", pki.ca, "--service-account-issuer", "https://kubernetes.default.svc",
                          "--service-account-key-file", pki.sa_pub, "--service-account-signing-key-file", pki.sa_key,
                          "--service-cluster-ip-range", self.service_cidr, "--authorization-mode", "RBAC", "--allow-privileged=true",
                          "--disable-admission-plugins", "ServiceAccount", "--audit-policy-file", os.path.join(self.folder, "audit.yaml"),
                          "--audit-log-path", self.audit_path, "--audit-log-maxsize", "2000", "--audit-log-mode", "blocking",
                          "--profiling=false")
        self.kube_apiserver.start()

    def restart_apiserver(self, while_down=None, serves_slices=True, **flags):
        """Ends every watch; rights that were taken away are missing from here. With these flags besides, or in place of those of the name
        (`goaway_chance=0.02`), and without slices as old clusters are; without any as it was at first."""
        if not hasattr(self, "apiserver_argv"):
            self.apiserver_argv = list(self.kube_apiserver.argv)
        if not serves_slices:
            flags["runtime_config"] = "discovery.k8s.io/v1=false"
        argv = list(self.apiserver_argv)
        for name, value in flags.items():
            flag = "--" + name.replace("_", "-")
            if flag in argv:
                argv[argv.index(flag) + 1] = str(value)
            else:
                argv += [flag, str(value)]
        self.kube_apiserver.kill()
        if while_down:
            while_down()
        self.kube_apiserver.argv = argv
        self.start_apiserver()
        wait_until(self._ready, 60, f"{self.name}: API server ready", 0.1)
        if serves_slices != self.serves_slices:  # for what was not served Kubernetes' own controllers ask every half minute to a minute
            self.serves_slices = serves_slices
            self.kube_controller_manager.kill()
            self.kube_controller_manager.start()

    def start_proxy(self):
        self.network.route_services(self.service_cidr)
        config = os.path.join(self.folder, "proxy.yaml")
        with open(config, "w", encoding="ascii") as file:
            file.write("apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\nmode: nftables\n"
                       f"clientConnection: {{kubeconfig: {self.admin_kubeconfig}}}\nhostnameOverride: {self.node}\ndetectLocalMode: ClusterCIDR\n"
                       f"clusterCIDR: 10.201.{self.network.number}.0/24\nconntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}}\n"
                       "healthzBindAddress: \"\"\nmetricsBindAddress: \"\"\nnftables: {minSyncPeriod: 100ms}\n")
        self._process("kube-proxy", "--config", config).start()

    def _ready(self):
        self.kube_apiserver.require()
        # Without slices one informer of its own never has its fill.
        exclude = "?exclude=informer-sync" if "--runtime-config" in self.kube_apiserver.argv else ""
        return self.api.raw("GET", "/readyz" + exclude)[0] == 200

    def _write_admin_kubeconfig(self):
        encode = lambda name: base64.b64encode(self.pki.read(name).encode()).decode()
        path = os.path.join(self.folder, "admin.kubeconfig")
        with open(path, "w", encoding="ascii") as file:
            file.write(kubeconfig(self.server, self.pki.read("ca.crt"),
                                  {"client-certificate-data": encode("admin.crt"), "client-key-data": encode("admin.key")}))
        return path

    def stop(self):
        for process in reversed(self.processes):
            process.stop()

    # -- identities --

    def service_account(self, name, rules, namespace="default", seconds=86400):
        """A service account with these cluster-wide rules. Returns its token."""
        meta = {"name": name, "namespace": namespace}
        self.ensure_namespace(namespace)
        self.api.apply("serviceaccounts", {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta})
        self.api.apply("clusterroles", {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules})
        self.api.apply("clusterrolebindings", {
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", **meta}]})
        return self.token(name, namespace, seconds)

    def token(self, name, namespace="default", seconds=86400):
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": seconds}}
        return self.api.call("POST", self.api.path("serviceaccounts", namespace, name, "token"), request)["status"]["token"]

    def token_kubeconfig(self, token):
        return kubeconfig(self.server, self.pki.read("ca.crt"), {"token": token})

    def reader_kubeconfig(self, resources=("services", "endpointslices"), name="mirror-reader"):
        """Credentials with get, list and watch on just these resources."""
        groups = {"endpointslices": "discovery.k8s.io", "serviceexports": "multicluster.x-k8s.io"}
        rules = [{"apiGroups": [groups.get(r, "")], "resources": [r], "verbs": ["get", "list", "watch"]} for r in resources]
        return self.token_kubeconfig(self.service_account(name, rules))

    # -- objects --

    def ensure_namespace(self, name):
        if not self.api.find("namespaces", name):
            try:
                self.api.create("namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
            except ApiError as error:
                if error.status != 409:
                    raise

    def service(self, name, namespace="demo", ports=None, labels=None, annotations=None, selector=None, **spec):
        self.ensure_namespace(namespace)
        body = {"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": name, "namespace": namespace, "labels": labels or {}, "annotations": annotations or {}},
                "spec": {"ports": ports or [{"name": "http", "port": 80, "targetPort": 5000, "protocol": "TCP"}], **({"selector": selector} if selector else {}),
                         **spec}}
        return self.api.create("services", body)

    def pod(self, name, namespace, ip, labels, ready=True, **spec):
        """A pod as the controllers see it: an object with a status; no kubelet is needed."""
        if not self.api.find("pods", name, namespace):
            self.api.create("pods", {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace, "labels": labels},
                                     "spec": {"nodeName": self.node, "containers": [{"name": "c", "image": "none"}], **spec}})
        state = "True" if ready else "False"
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.api.patch("pods", name, {"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [
            {"type": "Ready", "status": state, "lastTransitionTime": now}]}}, namespace, "status")

    def slices(self, service, namespace):
        return sorted(self.api.list("endpointslices", namespace, f"kubernetes.io/service-name={service}"), key=lambda s: s["metadata"]["name"])

    def kill_pod(self, name, namespace):
        self.api.call("DELETE", self.api.path("pods", namespace, name) + "?gracePeriodSeconds=0")

    def ready_addresses(self, service, namespace):
        """Addresses of ready endpoints in the service's slices."""
        return sorted(e["addresses"][0] for s in self.slices(service, namespace) for e in s["endpoints"] or [] if e["conditions"].get("ready", True))

    def gaps(self, service, namespace, version, at_least=3):
        """How often it was without a ready endpoint after that version: every state that any watcher could have seen, `at_least` so many."""
        def ask(**query):
            selector = f"kubernetes.io/service-name={service}"
            status, answer = self.api.raw("GET", self.api.path("endpointslices", namespace, labelSelector=selector, resourceVersion=version, **query))
            assert status == 200, answer
            return [json.loads(line) for line in answer.splitlines() if line.strip()]

        def is_ready(item):
            return any(e["conditions"].get("ready") for e in item.get("endpoints") or [])

        [before] = ask(resourceVersionMatch="Exact")
        ready, found, events = {item["metadata"]["name"]: is_ready(item) for item in before["items"]}, 0, ask(watch=1, timeoutSeconds=1)
        for event in events:
            name = event["object"]["metadata"]["name"]
            ready.pop(name, None)
            if event["type"] != "DELETED":
                ready[name] = is_ready(event["object"])
            found += not any(ready.values())
        assert len(before["items"]) + len(events) >= at_least, "by default the old slice, the new one, the old one's end"
        return found

    # -- what was written --

    def audit_size(self):
        """Where the audit log ends, in bytes: what is written after now is behind it."""
        return os.path.getsize(self.audit_path)

    def writes(self, user_agent="", offset=0):
        """Requests that changed something, oldest first, by user agent prefix: from the API server's own audit log, behind `offset` (of audit_size)."""
        found = []
        try:
            with open(self.audit_path, "rb") as log:
                log.seek(offset)
                for line in log:
                    if not line.endswith(b"\n"):
                        break  # it is being written
                    entry = json.loads(line)
                    if entry.get("userAgent", "").startswith(user_agent):
                        found.append(entry)
        except FileNotFoundError:
            pass
        return found

    def kubectl(self, *argv, input=None):
        return subprocess.run(self.network.argv(os.path.join(self.bin, "kubectl"), "--kubeconfig", self.admin_kubeconfig, *argv), input=input,
                              text=True, capture_output=True, check=False)

    def logs(self):
        return "\n".join(f"--- {self.name}/{p.name} ---\n{p.tail(15)}" for p in self.processes)
