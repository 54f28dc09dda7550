"""Kubernetes' Multicluster Services API: ServiceExports mark exports, ServiceImports stand for what they export."""
import time

import pytest
from cluster import mcs
from cluster.checker import differences
from cluster.expected import HTTP, MIRROR, made_from, of_cluster, service, whole
from cluster.wait import wait_until

pytestmark = pytest.mark.usefixtures("link_crd")
OURS = "svcmirror.io/"
READABLE = ("services", "endpointslices", "serviceexports")


@pytest.fixture(autouse=True)
def without_mcs_afterwards(source, east, north):
    yield
    for cluster in (source, east, north):
        mcs.remove(cluster)


def link(target, source, resources=READABLE):
    target.link(source, kubeconfig=target.reader_kubeconfig(resources, name=f"reads-{len(resources)}"))
    return source.api.patch("links", target.name, {"metadata": {"annotations": {OURS + "service-exports": "true"}}}, "linkerd-multicluster")


def import_of(source, name="web"):
    return source.api.find("serviceimports", name, "demo")


def shape(found):
    """All that says something."""
    meta = found["metadata"]
    return {"labels": meta.get("labels"), "annotations": meta.get("annotations"), "spec": found["spec"], "status": found.get("status")}


def wanted(source, cluster, ports):
    address = source.api.get("services", f"web-{cluster}", "demo")["spec"]["clusterIP"]
    return {"labels": of_cluster(cluster), "annotations": {MIRROR + "remote-svc-fq-name": "web.demo.svc.cluster.local", OURS + "service-export": "true"},
            "spec": {"type": "ClusterSetIP", "ips": [address], "ports": ports, "sessionAffinity": "None"}, "status": {"clusters": [{"cluster": cluster}]}}


def is_right(source, *targets):
    return lambda: differences(source, targets, alive={a for t in targets for a in t.gateway.addresses}) == []


def test_exported_imported_and_unexported(source, east, north, agent):
    source.ensure_namespace("demo")
    east.gateway.start()
    north.gateway.start()
    mcs.install(east)
    remote = east.service("web")
    east.slice("web", "demo", ["10.201.1.10"])
    mcs.export(east, "web")
    east.service("api")
    mcs.export(east, "api")
    link(east, source)
    # North serves no ServiceExports, and is told; what labels mark there is mirrored.
    north.export_labelled("shop")
    link(north, source)
    one = agent()
    wait_until(lambda: source.api.find("services", "web-east", "demo") and source.api.find("services", "shop-north", "demo"), 10, "mirrors")
    mirror = source.api.get("services", "web-east", "demo")
    assert whole(mirror) == service("web-east", "demo", of_cluster(), made_from(remote, **{OURS + "service-export": "true"}))
    links = {entry["clusterName"]: entry for entry in one.json("/api/v1/links")}
    assert "serves no ServiceExports" in links["north"]["warning"] and not links["north"]["problem"] and not links["east"]["warning"]
    assert any(e["reason"] == "ServiceExportsUnreadable" and e["regarding"]["name"] == "north" for e in source.api.list("events", "linkerd-multicluster"))
    assert not one.logs("service_not_mirrored"), "that there are no ServiceImports is no fault"

    # The source gets the resource type, and with it somebody else's ServiceImport.
    mcs.install(source)
    source.api.create("serviceimports", {"apiVersion": "multicluster.x-k8s.io/v1beta1", "kind": "ServiceImport",
                                         "metadata": {"name": "api", "namespace": "demo", "labels": {"by": "another"}},
                                         "spec": {"type": "ClusterSetIP", "ports": [{"port": 1}]}})
    foreign = import_of(source, "api")
    ports = [{k: v for k, v in HTTP[0].items() if k != "targetPort"}]
    wait_until(lambda: import_of(source) and shape(import_of(source)) == wanted(source, "east", ports), 20, "the ServiceImport")
    wait_until(lambda: any(s["mirror"] == "demo/api@import" and s["reason"] == "NameCollision" for s in one.services()), 10, "it is told whose the name is")
    assert import_of(source, "api") == foreign
    assert any(e["reason"] == "ServiceMirroringSkipped" and "ServiceImport demo/api exists and is not svcmirror's" in e["note"]
               for e in source.api.list("events", "linkerd-multicluster"))
    why = one.command("why", "demo/web", "--kubeconfig", source.admin_kubeconfig, "--namespace", "linkerd-multicluster", "--link", "east")
    assert why.returncode == 0 and "ServiceExport demo/web is in cluster east" in why.stdout and "ServiceImport demo/web is there" in why.stdout, why.stdout + why.stderr
    wait_until(is_right(source, east, north), 10, "all is as it must be")

    # North serves them from now on, in the older version alone. The older export keeps the name; with its end the younger one has it.
    time.sleep(1.1)  # creation is told in whole seconds
    mcs.install(north, only_version="v1alpha1")
    north.service("web", ports=[*HTTP, {"name": "more", "protocol": "TCP", "port": 81}])
    north.slice("web", "demo", ["10.201.2.10"])
    mcs.export(north, "web", version="v1alpha1")
    wait_until(lambda: source.api.find("services", "web-north", "demo"), 20, "north is asked again")
    wait_until(lambda: any(s["mirror"] == "demo/web@import" and s["clusterName"] == "north" and "leads to cluster east" in s["message"]
                           for s in one.services()), 10, "whose ServiceExport is older")
    assert import_of(source)["status"] == {"clusters": [{"cluster": "east"}]}
    mcs.unexport(east, "web")
    wait_until(lambda: source.api.find("services", "web-east", "demo") is None, 10, "the mirror goes")
    both = [*ports, {"name": "more", "protocol": "TCP", "port": 81}]

    def leads_to_north():
        assert shape(import_of(source)) == wanted(source, "north", both)
        return True
    wait_until(leads_to_north, 10, "the ServiceImport leads to north")

    # A new agent finds all of it right.
    one.stop()
    count = len(source.writes("svcmirror"))
    one = agent()
    wait_until(lambda: any(s["mirror"] == "demo/web@import" and s["mirrored"] for s in one.services()), 10, "it knows the import")
    assert [w for w in source.writes("svcmirror")[count:] if w["objectRef"]["resource"] not in ("events", "leases", "serviceimports")] == []
    mcs.unexport(north, "web", version="v1alpha1")
    wait_until(lambda: import_of(source) is None and source.api.find("services", "web-north", "demo") is None, 10, "both are gone")
    assert import_of(source, "api") == foreign
    source.api.delete("serviceimports", "api", "demo")
    wait_until(lambda: (import_of(source, "api") or {"metadata": {}})["metadata"].get("labels") == of_cluster(), 20, "the name is free now")
