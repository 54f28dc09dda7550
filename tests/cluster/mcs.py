"""Kubernetes' Multicluster Services API in a cluster: its two resource types, and exports by it."""
import os

from .wait import wait_until

GROUP = "multicluster.x-k8s.io"
CRDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "mcs-crds.yaml")
RESOURCES = ("serviceexports", "serviceimports")


def install(cluster, only_version=None):
    """Both types; `only_version` is the one version that is served."""
    result = cluster.kubectl("apply", "-f", CRDS)
    assert result.returncode == 0, result.stderr
    for resource in RESOURCES:
        if only_version:
            found = cluster.api.get("customresourcedefinitions", f"{resource}.{GROUP}")
            for version in found["spec"]["versions"]:
                version["served"] = version["name"] == only_version
            cluster.api.update("customresourcedefinitions", found)
        path = f"/apis/{GROUP}/{only_version or 'v1beta1'}/{resource}"
        wait_until(lambda: cluster.api.raw("GET", path)[0] == 200, 20, f"{resource} are served")


def remove(cluster):
    for resource in RESOURCES:
        cluster.api.delete("customresourcedefinitions", f"{resource}.{GROUP}")


def export(cluster, name, namespace="demo", version="v1beta1"):
    body = {"apiVersion": f"{GROUP}/{version}", "kind": "ServiceExport", "metadata": {"name": name, "namespace": namespace}}
    return cluster.api.call("POST", f"/apis/{GROUP}/{version}/namespaces/{namespace}/serviceexports", body)


def unexport(cluster, name, namespace="demo", version="v1beta1"):
    return cluster.api.call("DELETE", f"/apis/{GROUP}/{version}/namespaces/{namespace}/serviceexports/{name}")
