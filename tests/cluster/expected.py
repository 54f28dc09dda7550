"""Whole objects as they should be in the source cluster. What the API server adds by itself is left out on both sides, or compared to its default."""

MIRROR = "mirror.linkerd.io/"
DISCOVERY = "multicluster.linkerd.io/"
LINK_IDENTITY = "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"
HTTP = [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000}]


def whole(obj):
    """The object without apiVersion, kind, status, an allocated address, and what changes with every write."""
    meta = {k: v for k, v in obj["metadata"].items() if k not in ("uid", "resourceVersion", "generation", "creationTimestamp", "managedFields")}
    rest = {k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "status", "metadata")}
    if "spec" in rest and rest["spec"].get("clusterIP") != "None":
        rest["spec"] = {k: v for k, v in rest["spec"].items() if k not in ("clusterIP", "clusterIPs")}
    return {"metadata": meta, **rest}


def service(name, namespace, labels, annotations, ports=None, headless=False):
    defaults = {"type": "ClusterIP", "internalTrafficPolicy": "Cluster", "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "sessionAffinity": "None"}
    if headless:  # without a selector the API server gives it both families
        defaults.update({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv4", "IPv6"], "ipFamilyPolicy": "RequireDualStack"})
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations}, "spec": {**defaults, "ports": ports or HTTP}}


def piece(owner, remote, endpoints, ports=None, identity=LINK_IDENTITY, family="IPv4", labels=None):
    """A slice of the mirror Service `owner`; `remote` is the full name of what it mirrors."""
    meta = owner["metadata"]
    return {"metadata": {"name": f"{meta['name']}.{family.lower()}", "namespace": meta["namespace"],
                         "labels": {**(labels or meta["labels"]), "kubernetes.io/service-name": meta["name"],
                                    "endpointslice.kubernetes.io/managed-by": "svcmirror"},
                         "annotations": {MIRROR + "remote-svc-fq-name": remote, MIRROR + "remote-gateway-identity": identity},
                         "ownerReferences": [{"apiVersion": "v1", "kind": "Service", "name": meta["name"], "uid": meta["uid"]}]},
            "addressType": family, "endpoints": endpoints, "ports": ports or [{"name": "http", "protocol": "TCP", "port": 4143}]}


def of_cluster(cluster="east", **more):
    """Labels of a mirror of that cluster."""
    return {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": cluster, **more}


def made_from(remote, hostname=None, **more):
    """Annotations of the mirror of this exported service, or of one hostname of it."""
    meta = remote["metadata"]
    name = f"{meta['name']}.{meta['namespace']}.svc.cluster.local"
    return {MIRROR + "remote-resource-version": meta["resourceVersion"], MIRROR + "remote-svc-fq-name": f"{hostname}.{name}" if hostname else name, **more}


def status_entry(remote, mirror=None, reason="Mirrored", message="", namespace=None):
    """An entry of a Link's status, without its time; without `mirror` of one that is not mirrored."""
    reference = lambda space, name: {"group": "core", "kind": "Service", "namespace": space, "name": name}
    meta = remote["metadata"]
    condition = {"type": "Mirrored", "status": "True" if mirror else "False", "reason": reason, "message": message}
    if mirror:
        condition["localRef"] = reference(namespace or meta["namespace"], mirror)
    return {"controllerName": "linkerd.io/service-mirror", "remoteRef": reference(meta["namespace"], meta["name"]), "conditions": [condition]}


def link_status(source, name, namespace="linkerd-multicluster"):
    """A Link's status without its times, each of which must be there; entries in order of service."""
    status = source.api.get("links", name, namespace).get("status", {})
    for entries in status.values():
        for condition in (c for e in entries for c in e["conditions"]):
            assert condition.pop("lastTransitionTime")
        entries.sort(key=lambda e: (e["remoteRef"]["namespace"], e["remoteRef"]["name"]))
    return status
