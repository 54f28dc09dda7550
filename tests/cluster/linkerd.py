"""What Linkerd's controller for one Link (edge-26.8.3) does to mirrors when it starts and when it repairs them: its rules, without its queues and periods."""
from . import leases
from .target import AGENT_NAMESPACE

MIRROR, DISCOVERY = "mirror.linkerd.io/", "multicluster.linkerd.io/remote-discovery"


def adopted(source, name, namespace="demo"):
    """Whether nothing of Linkerd's own is left beside a mirror that was Linkerd's."""
    return source.api.find("endpoints", name, namespace) is None and [s["metadata"]["name"] for s in source.slices(name, namespace)] == [name + ".ipv4"]


class Controller:
    """Of the Link of `target`'s own name in `source`, with the selectors that `link-gen` writes and headless services enabled."""

    def __init__(self, source, target):
        self.source, self.target, self.alive = source, target, True

    @property
    def link(self):
        return self.source.api.get("links", self.target.name, AGENT_NAMESPACE)["spec"]

    def start(self):
        """Takes its Lease, which has to be free; removes orphans; looks at each exported service; repairs. @return what it changed but Endpoints, as words."""
        lease = self.source.api.find("leases", leases.PREFIX + self.target.name, AGENT_NAMESPACE)
        assert lease is None or not lease["spec"].get("holderIdentity"), "somebody else may still write"
        leases.hold(self.source, leases.PREFIX + self.target.name, "controller-" + self.target.name, 30)
        changed = self._remove_orphans() + self._look_at_services()
        self.repair()
        return changed

    def stop(self):
        """As a controller does that is told to end."""
        leases.release(self.source, leases.PREFIX + self.target.name)

    def set_alive(self, alive):
        """Its own probe's verdict."""
        self.alive = alive
        self.repair()

    def _mirrors(self):
        return self.source.api.list("services", labels=f"{MIRROR}mirrored-service=true,{MIRROR}cluster-name={self.target.name}")

    def _remote_name(self, mirror):
        name = mirror["metadata"]["labels"].get(MIRROR + "headless-mirror-svc-name", mirror["metadata"]["name"])
        return name.removesuffix("-" + self.target.name)

    def _remove_orphans(self):
        changed = []
        for mirror in self._mirrors():
            meta = mirror["metadata"]
            if self.target.api.find("services", self._remote_name(mirror), meta["namespace"]) is None:
                self.source.api.delete("services", meta["name"], meta["namespace"])
                changed.append("deleted " + meta["name"])
        return changed

    def _look_at_services(self):
        """A mirror of the version that is there is left alone, whatever it has for endpoints."""
        changed = []
        for service in self.target.api.list("services"):
            meta = service["metadata"]
            name, labels = f"{meta['name']}-{self.target.name}", meta.get("labels", {})
            mirror = self.source.api.find("services", name, meta["namespace"])
            if MIRROR + "exported" in labels and (mirror is None or mirror["metadata"]["annotations"][MIRROR + "remote-resource-version"] != meta["resourceVersion"]):
                changed.append(("created " if mirror is None else "updated ") + name)
            federated = self.source.api.find("services", meta["name"] + "-federated", meta["namespace"])
            if MIRROR + "federated" in labels and f"{meta['name']}@{self.target.name}" not in (
                    federated or {"metadata": {"annotations": {}}})["metadata"]["annotations"].get(DISCOVERY, "").split(","):
                changed.append("joined " + meta["name"])
        return changed

    def _is_empty(self, mirror):
        if MIRROR + "headless-mirror-svc-name" in mirror["metadata"]["labels"]:
            return False
        remote = self.target.api.find("endpoints", self._remote_name(mirror), mirror["metadata"]["namespace"])
        return not any(subset.get("addresses") for subset in (remote or {}).get("subsets") or [])

    def repair(self):
        """Replaces the subsets of the Endpoints that there are. It makes none, and knows nothing of slices."""
        addresses = [{"ip": address} for address in sorted(self.link["gatewayAddress"].split(","))]
        for mirror in self._mirrors():
            meta = mirror["metadata"]
            endpoints = self.source.api.find("endpoints", meta["name"], meta["namespace"])
            if mirror["spec"].get("clusterIP") == "None" or DISCOVERY in meta["labels"] or endpoints is None:
                continue
            ports = [{"name": p["name"], "port": int(self.link["gatewayPort"]), "protocol": p["protocol"]} for p in mirror["spec"]["ports"]]
            endpoints["subsets"] = [] if self._is_empty(mirror) else [{"addresses" if self.alive else "notReadyAddresses": addresses, "ports": ports}]
            endpoints["metadata"].setdefault("annotations", {})[MIRROR + "remote-gateway-identity"] = self.link["gatewayIdentity"]
            self.source.api.update("endpoints", endpoints)
