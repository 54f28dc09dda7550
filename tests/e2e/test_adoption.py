"""Mirrors that Linkerd made are taken over as they are."""
import json

import pytest
from cluster.wait import wait_until

MIRROR = "mirror.linkerd.io/"


def linkerds_mirror(source, target, name="web", namespace="demo", labels=None, ready=True):
    """What Linkerd's own agent leaves behind: a Service, and v1 Endpoints with the gateway's addresses."""
    source.ensure_namespace(namespace)
    marks = {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": target.name, **(labels or {})}
    fq_name = f"{name}.{namespace}.svc.cluster.local"
    ports = [{"name": "http", "port": 80, "targetPort": 5000, "protocol": "TCP"}]
    made = source.api.create("services", {
        "apiVersion": "v1", "kind": "Service", "metadata": {
            "name": f"{name}-{target.name}", "namespace": namespace, "labels": marks,
            "annotations": {MIRROR + "remote-resource-version": "1", MIRROR + "remote-svc-fq-name": fq_name}}, "spec": {"ports": ports}})
    addresses = [{"ip": a} for a in target.gateway.addresses]
    source.api.create("endpoints", {
        "apiVersion": "v1", "kind": "Endpoints", "metadata": {
            "name": f"{name}-{target.name}", "namespace": namespace, "labels": marks,
            "annotations": {MIRROR + "remote-svc-fq-name": fq_name, MIRROR + "remote-gateway-identity": "gw"}},
        "subsets": [{"addresses" if ready else "notReadyAddresses": addresses, "ports": [{"name": "http", "port": 4143, "protocol": "TCP"}]}]})
    wait_until(lambda: source.slices(f"{name}-{target.name}", namespace), 20, "Kubernetes made a slice of the Endpoints")
    return made


def gaps(source, name, namespace, version):
    """How often the mirror was without a ready endpoint since that version: every state that any watcher could have seen."""
    path = source.api.path("endpointslices", namespace, labelSelector=f"kubernetes.io/service-name={name}", watch=1, resourceVersion=version, timeoutSeconds=1)
    status, answer = source.api.raw("GET", path)
    assert status == 200, answer
    slices, found, events = {}, 0, [json.loads(line) for line in answer.splitlines() if line.strip()]
    for event in events:
        meta = event["object"]["metadata"]
        slices.pop(meta["name"], None)
        if event["type"] != "DELETED":
            slices[meta["name"]] = any(e["conditions"].get("ready") for e in event["object"].get("endpoints") or [])
        found += not any(slices.values())
    assert len(events) >= 3, "the old slice, the new one, the old one's end"
    return found


def adopted(source, name, namespace):
    slices = source.slices(name, namespace)
    return source.api.find("endpoints", name, namespace) is None and [s["metadata"]["name"] for s in slices] == [f"{name}.ipv4"]


@pytest.mark.parametrize("way", ["secret", "link"])
def test_a_mirror_of_linkerd_is_taken_over(source, east, agent, request, way):
    east.gateway.start()
    if way == "secret":
        east.gateway_service()
        east.export("web")
        old = linkerds_mirror(source, east, labels={MIRROR + "remote-gateway-name": "ambassador", MIRROR + "remote-gateway-ns": "ambassador"})
        east.link_secret(source)
    else:
        request.getfixturevalue("link_crd")
        east.export_labelled("web")
        old = linkerds_mirror(source, east)
        east.link(source)
    # From just before the slice that Kubernetes made, so that it is the first that the watch tells.
    version = old["metadata"]["resourceVersion"]
    one = agent()
    wait_until(lambda: adopted(source, "web-east", "demo"), 15, "the Endpoints are gone")
    wait_until(lambda: all(s["mirrored"] for s in one.services()), 5, "told as mirrored")
    assert gaps(source, "web-east", "demo", version) == 0
    new = source.api.get("services", "web-east", "demo")
    assert new["metadata"]["uid"] == old["metadata"]["uid"] and new["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    assert source.ready_addresses("web-east", "demo") == east.gateway.addresses


def test_endpoints_of_somebody_else_stay(source, east, agent):
    """A user who adds Endpoints of their own under a mirror's name keeps them."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "mirrored")
    source.api.create("endpoints", {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": "web-east", "namespace": "demo"},
                                    "subsets": [{"addresses": [{"ip": "192.0.2.1"}], "ports": [{"name": "http", "port": 1}]}]})
    wait_until(lambda: len(source.slices("web-east", "demo")) == 2, 20, "Kubernetes made a slice of them")
    east.export("late")
    wait_until(lambda: source.ready_addresses("late-east", "demo"), 10, "the agent went on")
    assert source.api.find("endpoints", "web-east", "demo") is not None
    source.api.delete("endpoints", "web-east", "demo")
