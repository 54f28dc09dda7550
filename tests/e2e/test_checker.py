"""The checker of mirrors (cluster/checker.py): rules of docs/mirrors.md on plain objects, and what follows written out by hand. No cluster takes part."""
import base64
import json

import pytest
from cluster.checker import MANAGER, Options, View, World, carried, compare, expected, selects

MIRROR, MULTICLUSTER, OURS = "mirror.linkerd.io/", "multicluster.linkerd.io/", "svcmirror.io/"
EXPORTED, MEMBER = {MIRROR + "exported": "true"}, {MIRROR + "federated": "member"}
BY_2_8 = {MIRROR + "gateway-name": "gw", MIRROR + "gateway-ns": "edge"}
HTTP = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000}
DNS = {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": "named"}


# What no mirror has otherwise.
UNTOUCHED = {"internalTrafficPolicy": "Cluster", "publishNotReadyAddresses": False}


def service(name="web", labels=None, annotations=None, ports=(HTTP,), namespace="demo", managers=(), **spec):
    return {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}, "annotations": annotations or {}, "resourceVersion": "7",
                         "uid": "u-" + name, "managedFields": [{"manager": m} for m in managers]},
            "spec": {"type": "ClusterIP", "ports": list(ports), "clusterIP": "10.0.0.1", **spec}}


def slice_of(name="web", endpoints=(("10.0.1.1", True, None),), namespace="demo"):
    return {"metadata": {"name": name + "-x", "namespace": namespace, "labels": {"kubernetes.io/service-name": name}}, "addressType": "IPv4",
            "endpoints": [{"addresses": [a], "conditions": {"ready": r}, **({"hostname": h} if h else {})} for a, r, h in endpoints]}


def gateway(addresses=("203.0.113.7",), **annotations):
    marks = {MIRROR + "multicluster-gateway": "true", MIRROR + "gateway-identity": "id", MIRROR + "probe-path": "/ready", MIRROR + "probe-period": "3"}
    ports = [{"name": "mc-gateway", "port": 4143}, {"name": "mc-probe", "port": 4191}]
    made = service("gw", namespace="edge", annotations={**marks, **annotations}, ports=ports)
    return {**made, "status": {"loadBalancer": {"ingress": [{"ip": a} for a in addresses]}}}


def secret(cluster, created="2026-01-01T00:00:00Z", link=False, annotations=None):
    config = json.dumps({"clusters": [{"cluster": {"server": cluster}}]})
    marks = {} if link else {MIRROR + "cluster-name": cluster, MIRROR + "remote-cluster-domain": "cluster.local", **(annotations or {})}
    return {"type": MIRROR + "remote-kubeconfig", "data": {"kubeconfig": base64.b64encode(config.encode()).decode()},
            "metadata": {"name": "credentials-" + cluster, "namespace": "linkerd-multicluster", "creationTimestamp": created, "annotations": marks}}


def link(cluster, created="2026-01-01T00:00:00Z", annotations=None, **spec):
    usual = {"targetClusterName": cluster, "targetClusterDomain": "cluster.local", "clusterCredentialsSecret": "credentials-" + cluster,
             "gatewayAddress": "203.0.113.7", "gatewayPort": "4143", "gatewayIdentity": "id", "probeSpec": {"path": "/ready", "port": "4191", "period": "3s"},
             "selector": {"matchLabels": EXPORTED}, "remoteDiscoverySelector": {"matchLabels": {MIRROR + "exported": "remote-discovery"}},
             "federatedServiceSelector": {"matchLabels": MEMBER}}
    return {"spec": {**usual, **spec}, "metadata": {"name": cluster, "namespace": "linkerd-multicluster", "creationTimestamp": created,
                                                    "annotations": annotations or {}}}


def world(targets, links=(), secrets=(), services=(), namespaces=("demo",), alive=True, imports=None, **more):
    """`targets`: {cluster: [objects]}; each is linked by a Link, unless links or secrets are given."""
    links = links or ([] if secrets else [link(cluster) for cluster in targets])
    source = View(services=services, namespaces=[{"metadata": {"name": n}} for n in (*namespaces, "linkerd-multicluster")], links=links,
                  secrets=list(secrets) + [secret(l["spec"]["targetClusterName"], link=True) for l in links])
    if imports is not None:
        source.serviceimports.update({(i["metadata"]["namespace"], i["metadata"]["name"]): i for i in imports})
        source.served.add("serviceimports")
    views = {cluster: View(services=[o for o in objects if "spec" in o], endpointslices=[o for o in objects if "addressType" in o],
                           serviceexports=[o for o in objects if o.get("kind") == "ServiceExport"])
             for cluster, objects in targets.items()}
    return World(source, views, lambda _, address: alive if isinstance(alive, bool) else address in alive, **more)


def names(of):
    return sorted(name for namespace, name in expected(of) if namespace != "linkerd-multicluster")


def test_through_the_gateway_of_a_link():
    exported = service(labels={**EXPORTED, "app": "web"}, annotations={"note": "kept", "argocd.argoproj.io/tracking-id": "x"}, ports=[HTTP, DNS])
    of = world({"east": [exported, slice_of()]})
    labels = {"app": "web", MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east"}
    claim = expected(of)["demo", "web-east"]
    assert claim.service == {
        "labels": labels, "type": "ClusterIP", "headless": False, "selector": {}, "externalIPs": [], **UNTOUCHED, "ports": [DNS, HTTP],
        "annotations": {"note": "kept", MIRROR + "remote-resource-version": "7", MIRROR + "remote-svc-fq-name": "web.demo.svc.cluster.local"}}
    assert claim.slices == {"ipv4": {
        "labels": {**labels, "kubernetes.io/service-name": "web-east", "endpointslice.kubernetes.io/managed-by": "svcmirror"}, "addressType": "IPv4",
        "annotations": {MIRROR + "remote-svc-fq-name": "web.demo.svc.cluster.local", MIRROR + "remote-gateway-identity": "id"},
        "endpoints": [{"addresses": ["203.0.113.7"], "ready": True}],
        "ports": [{"name": "dns", "protocol": "UDP", "port": 4143}, {"name": "http", "protocol": "TCP", "port": 4143}]}}


def test_through_the_gateway_that_a_service_of_2_8_names():
    of = world({"east": [service(labels={"app": "web"}, annotations={**BY_2_8, "note": "not carried"}), gateway()]}, secrets=[secret("east")], namespaces=())
    claim = expected(of)["demo", "web-east"]
    assert claim.service["labels"] == {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east",
                                       MIRROR + "remote-gateway-name": "gw", MIRROR + "remote-gateway-ns": "edge"}
    assert claim.service["annotations"] == {MIRROR + "remote-resource-version": "7", MIRROR + "remote-gateway-resource-version": "7",
                                            MIRROR + "remote-svc-fq-name": "web.demo.svc.cluster.local"}
    assert claim.slices["ipv4"]["endpoints"] == [{"addresses": ["203.0.113.7"], "ready": True}], "its endpoints are not looked at"
    assert "Namespace demo is missing, demo/web-east waits for it" in list(compare(of))
    assert ("linkerd-multicluster", "gw-east") in expected(of)


BY_NAME = {OURS + "gateway": "edge/gw"}


def named(**spec):
    """A Link that names edge/gw and gives nothing itself but this."""
    nothing = {"gatewayAddress": "", "gatewayPort": None, "gatewayIdentity": "", "probeSpec": {}}
    return [link("east", annotations=BY_NAME, **{**nothing, **spec})]


@pytest.mark.parametrize("given, addresses, port, identity", [
    ({}, ["203.0.113.9"], 4143, "id"), ({"gatewayAddress": "203.0.113.7"}, ["203.0.113.7"], 4143, "id"), ({"gatewayPort": "1"}, ["203.0.113.9"], 1, "id"),
    ({"gatewayIdentity": "own"}, ["203.0.113.9"], 4143, "own")])
def test_through_the_gateway_whose_service_a_link_names(given, addresses, port, identity):
    of = world({"east": [service(labels=EXPORTED), slice_of(), gateway(["203.0.113.9"])]}, links=named(**given))
    [piece] = expected(of)["demo", "web-east"].slices.values()
    assert piece["endpoints"] == [{"addresses": [a], "ready": True} for a in addresses]
    assert piece["ports"] == [{"name": "http", "protocol": "TCP", "port": port}] and piece["annotations"][MIRROR + "remote-gateway-identity"] == identity
    mirror = expected(of)["linkerd-multicluster", "probe-east"]
    assert mirror.service["annotations"] == {
        MIRROR + "mirrored-gateway-remote-name": "gw", MIRROR + "mirrored-gateway-remote-namespace": "edge",
        MIRROR + "mirrored-gateway-probe-path": "/ready", MIRROR + "mirrored-gateway-probe-period": "3"}
    assert mirror.service["ports"][0]["port"] == 4191


def test_a_gateway_that_a_link_names_and_that_is_not_there():
    of = world({"east": [service(labels=EXPORTED), slice_of()]}, links=named(gatewayAddress="203.0.113.7"))
    assert expected(of)["demo", "web-east"].slices["ipv4"]["endpoints"] == []
    assert ("linkerd-multicluster", "probe-east") not in expected(of)


def test_of_2_8_only_a_service_with_the_annotation_has_a_gateway_mirror():
    plain = gateway()
    del plain["metadata"]["annotations"][MIRROR + "multicluster-gateway"]
    of = world({"east": [service(annotations=BY_2_8), plain]}, secrets=[secret("east")])
    assert ("linkerd-multicluster", "gw-east") not in expected(of)
    assert expected(of)["demo", "web-east"].slices["ipv4"]["endpoints"] == [{"addresses": ["203.0.113.7"], "ready": True}]


@pytest.mark.parametrize("selector, yes", [
    (None, False), ({}, False), ({"matchLabels": {}}, False), ({"matchLabels": {"a": "1"}}, True), ({"matchLabels": {"a": "2"}}, False),
    ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["1", "2"]}]}, True),
    ({"matchExpressions": [{"key": "b", "operator": "NotIn", "values": ["1"]}]}, True),
    ({"matchExpressions": [{"key": "a", "operator": "Exists"}, {"key": "a", "operator": "DoesNotExist"}]}, False)])
def test_selectors(selector, yes):
    assert selects(selector, {"a": "1"}) is yes


def test_what_is_carried_along():
    own = {"foo.io/a": "1", "foo.iox/b": "2", "config.linkerd.io/opaque-ports": "3", "mirror.linkerd.io/x": "4",
           "service.kubernetes.io/topology-mode": "5", "plain": "6"}
    assert carried(own, ["foo.io/*", "plain", "config.linkerd.io/*"]) == {"foo.iox/b": "2", "config.linkerd.io/opaque-ports": "3"}


@pytest.mark.parametrize("made", [
    service(labels={**EXPORTED, MIRROR + "mirrored-service": "true"}), service(labels=EXPORTED, type="ExternalName"), service(labels=EXPORTED, ports=()),
    service("n" * 59, labels=EXPORTED), service(labels=EXPORTED, namespace="elsewhere"), service(labels={MIRROR + "exported": "other"})])
def test_what_is_not_mirrored(made):
    assert names(world({"east": [made]})) == []


@pytest.mark.parametrize("endpoints, alive, annotations, ready", [
    ([("10.0.1.1", True, None)], True, {}, [True]), ([("10.0.1.1", True, None)], False, {}, [False]), ([("10.0.1.1", False, None)], True, {}, []),
    ([], True, {}, []), ([("10.0.1.1", None, None)], True, {}, [True]), ([("10.0.1.1", True, None)], True, {OURS + "drain": "true"}, [False])])
def test_readiness(endpoints, alive, annotations, ready):
    of = world({"east": [service(labels=EXPORTED), slice_of(endpoints=endpoints)]}, links=[link("east", annotations=annotations)], alive=alive)
    assert [e["ready"] for e in expected(of)["demo", "web-east"].slices["ipv4"]["endpoints"]] == ready
    [verdict] = expected(of)["linkerd-multicluster", "probe-east"].slices["ipv4"]["endpoints"]
    assert verdict["ready"] is alive


def test_both_families_and_each_address_by_itself():
    links = [link("east", gatewayAddress="203.0.113.8,203.0.113.7,2001:db8::1")]
    of = world({"east": [service(labels=EXPORTED), slice_of()]}, links, alive={"203.0.113.7"})
    slices = expected(of)["demo", "web-east"].slices
    assert [(e["addresses"], e["ready"]) for e in slices["ipv4"]["endpoints"]] == [(["203.0.113.7"], True), (["203.0.113.8"], False)]
    assert [(e["addresses"], e["ready"]) for e in slices["ipv6"]["endpoints"]] == [(["2001:db8::1"], False)]


def test_remote_discovery():
    claim = expected(world({"east": [service(labels={MIRROR + "exported": "remote-discovery", "app": "web"})]}))["demo", "web-east"]
    assert claim.slices == {} and claim.service["labels"] == {
        "app": "web", MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east",
        MULTICLUSTER + "remote-discovery": "east", MULTICLUSTER + "remote-service": "web"}
    both = world({"east": [service(labels=EXPORTED)]}, [link("east", remoteDiscoverySelector={"matchLabels": EXPORTED})])
    assert expected(both)["demo", "web-east"].slices == {}, "wins over the other selector"


def headless_world(endpoints, existing=(), annotations=None, **options):
    exported = service("db", labels=EXPORTED, clusterIP="None", annotations=annotations)
    return world({"east": [exported, slice_of("db", endpoints)]}, services=existing, options=Options(**options))


PODS = {OURS + "endpoints": "pods"}


@pytest.mark.parametrize("on_link, on_service, pods", [(None, None, False), ("pods", None, True), (None, "pods", True), ("pods", "gateway", False),
                                                       ("gateway", "pods", True), ("pods", "typo", True), ("typo", None, False)])
def test_who_wants_the_targets_endpoints(on_link, on_service, pods):
    said = lambda word: {OURS + "endpoints": word} if word else {}
    of = world({"east": [service(labels=EXPORTED, annotations=said(on_service)), slice_of()]}, [link("east", annotations=said(on_link))])
    assert list(expected(of)["demo", "web-east"].slices) == (["pods.web-x"] if pods else ["ipv4"])


def test_the_targets_endpoints():
    """Whole: address, conditions that are not taken for granted, hostname and zone; neither node nor pod, and none of Linkerd's annotations."""
    piece = {**slice_of(), "ports": [{"name": "http", "protocol": "TCP", "port": 5000}, {"name": "admin", "port": 9}], "endpoints": [
        {"addresses": ["10.0.1.1"], "conditions": {"ready": True, "serving": True, "terminating": False}, "zone": "z1", "nodeName": "n", "targetRef": {"kind": "Pod"}},
        {"addresses": ["10.0.1.2"], "conditions": {"ready": False, "serving": True, "terminating": True}, "hostname": "h"}, {"addresses": ["10.0.1.3"]}]}
    six = {**slice_of(endpoints=()), "addressType": "IPv6", "ports": None}
    six["metadata"] = {**six["metadata"], "name": "web-six"}
    other = {**slice_of(), "ports": [{"name": "admin", "port": 9}]}
    other["metadata"] = {**other["metadata"], "name": "web-other"}
    exported = service(labels=EXPORTED, annotations=PODS)
    claim = expected(world({"east": [exported, piece, six, other]}, alive=False))["demo", "web-east"]
    labels = {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east", "kubernetes.io/service-name": "web-east",
              "endpointslice.kubernetes.io/managed-by": "svcmirror"}
    assert claim.slices == {
        "pods.web-x": {"labels": labels, "annotations": {}, "addressType": "IPv4", "ports": [{"name": "http", "protocol": "TCP", "port": 5000}], "endpoints": [
            {"addresses": ["10.0.1.1"], "ready": True, "zone": "z1"},
            {"addresses": ["10.0.1.2"], "ready": False, "hostname": "h", "conditions": {"serving": True, "terminating": True}},
            {"addresses": ["10.0.1.3"], "ready": True}]},
        "pods.web-six": {"labels": labels, "annotations": {}, "addressType": "IPv6", "ports": [], "endpoints": []}}
    drained = world({"east": [exported, piece]}, [link("east", annotations={OURS + "drain": "true"})])
    assert [e["ready"] for e in expected(drained)["demo", "web-east"].slices["pods.web-x"]["endpoints"]] == [False] * 3
    assert "serving" not in str(expected(drained)["demo", "web-east"].slices)
    assert expected(world({"east": [exported, piece]}, blind=("east",)))["demo", "web-east"].slices is None, "what may not be read is not judged"
    flat = service(labels={MIRROR + "exported": "remote-discovery"}, annotations=PODS)
    claim = expected(world({"east": [flat, piece]}))["demo", "web-east"]
    assert claim.service["labels"][MULTICLUSTER + "remote-discovery"] == "east" and list(claim.slices) == ["pods.web-x"]
    assert claim.slices["pods.web-x"]["labels"] == labels
    headless = service(labels=EXPORTED, annotations=PODS, clusterIP="None")
    assert expected(world({"east": [headless, piece]}))["demo", "web-east"].service["headless"]
    assert names(world({"east": [headless, piece]})) == ["web-east"], "no mirror of a hostname"


def test_slices_of_the_targets_that_are_missing_or_too_many():
    of = world({"east": [service(labels=EXPORTED, annotations=PODS), slice_of(endpoints=())]}, services=[
        {**service("web-east", {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east"},
                   {MIRROR + "remote-resource-version": "7", MIRROR + "remote-svc-fq-name": "web.demo.svc.cluster.local"}, managers=[MANAGER])}])
    lines = lambda: [line for line in compare(of) if "web-east." in line]
    assert lines() == ["EndpointSlice demo/web-east.pods.web-x is missing"], "also one without endpoints"
    ours = {"kubernetes.io/service-name": "web-east", "endpointslice.kubernetes.io/managed-by": MANAGER, **labels_of_mirror()}
    for name in ("web-east.ipv4", "web-east.pods.old"):
        of.source.endpointslices["demo", name] = {"metadata": {"name": name, "namespace": "demo", "labels": ours}, "addressType": "IPv4", "endpoints": []}
    assert lines() == ["EndpointSlice demo/web-east.ipv4 is too many", "EndpointSlice demo/web-east.pods.old is too many",
                       "EndpointSlice demo/web-east.pods.web-x is missing"]


def labels_of_mirror():
    return {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east"}


def test_headless_with_hostnames():
    ours = {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east"}
    host = service("db-0-east", labels={**ours, MIRROR + "headless-mirror-svc-name": "db-east"}, clusterIP="10.96.0.5")
    of = headless_world([("10.0.1.1", True, "db-0"), ("10.0.1.2", False, "db-1")], [host])
    found = expected(of)
    assert names(of) == ["db-0-east", "db-1-east", "db-east"]
    assert found["demo", "db-east"].service["headless"] is True
    root = found["demo", "db-east"].slices["ipv4"]
    assert root["endpoints"] == [{"addresses": ["10.96.0.5"], "hostname": "db-0", "ready": True}], "the other has no mirror yet"
    assert root["ports"] == [{"name": "http", "protocol": "TCP", "port": 80}]
    assert found["demo", "db-1-east"].service["labels"] == {**ours, MIRROR + "headless-mirror-svc-name": "db-east"}
    assert found["demo", "db-1-east"].service["annotations"] == {MIRROR + "remote-resource-version": "7",
                                                                 MIRROR + "remote-svc-fq-name": "db-1.db.demo.svc.cluster.local"}
    assert [e["ready"] for n in ("db-0-east", "db-1-east") for e in found["demo", n].slices["ipv4"]["endpoints"]] == [True, False]


def test_a_headless_service_without_its_name_has_no_hostnames():
    """Of two services with one name for their mirrors the first by namespace and name has it, headless like the other or not."""
    def shared(name, **spec):
        return service(name, labels=EXPORTED, annotations={"svcmirror.io/export-name": "shared"}, **spec)
    pods = [slice_of(name, [("10.0.1.1", True, f"{name}-0")]) for name in ("app", "db")]
    assert names(world({"east": [shared("db", clusterIP="None"), *pods]})) == ["db-0-east", "shared"]
    assert names(world({"east": [shared("app"), shared("db", clusterIP="None"), *pods]})) == ["shared"]
    assert names(world({"east": [shared("app", clusterIP="None"), shared("db", clusterIP="None"), *pods]})) == ["app-0-east", "shared"]


ITS = "db.demo.svc.cluster.local"  # what the mirror that is there was made of


def test_without_a_gateway_a_headless_mirror_has_no_endpoints():
    ours = {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east", MIRROR + "headless-mirror-svc-name": "db-east"}
    of = world({"east": [service("db", labels=EXPORTED, clusterIP="None"), slice_of("db", [("10.0.1.1", True, "db-0")])]},
               links=[link("east", gatewayAddress="")], services=[service("db-0-east", labels=ours, clusterIP="10.96.0.5")])
    assert expected(of)["demo", "db-east"].service["headless"] is True
    assert [expected(of)["demo", name].slices["ipv4"]["endpoints"] for name in ("db-east", "db-0-east")] == [[], []]


@pytest.mark.parametrize("endpoints, existing, annotations, options, headless", [
    ([("10.0.1.1", True, None)], None, {}, {}, False), ([("10.0.1.1", True, "db-0")], None, {}, {}, True),
    ([], ITS, {}, {}, True), ([], None, {}, {}, False), ([], "other.demo.svc.cluster.local", {}, {}, False),
    ([("10.0.1.1", True, None)], ITS, {}, {}, False), ([("10.0.1.1", False, None)], ITS, {}, {}, True),
    ([("10.0.1.1", True, "db-0")], ITS, {OURS + "headless": "false"}, {}, False), ([("10.0.1.1", True, "db-0")], ITS, {}, {"headless": False}, False)])
def test_when_a_mirror_is_headless(endpoints, existing, annotations, options, headless):
    there = [service("db-east", labels={MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east"}, clusterIP="None",
                     annotations={MIRROR + "remote-svc-fq-name": existing})] if existing else []
    assert expected(headless_world(endpoints, there, annotations, **options))["demo", "db-east"].service["headless"] is headless


def test_federated():
    targets = {"north": [service(labels={**MEMBER, "from": "north"})], "east": [service(labels={**MEMBER, "from": "east", "x": "1"}, ports=[DNS])],
               "west": [service(labels=MEMBER, clusterIP="None")]}
    links = [link("north", "2026-01-02T00:00:00Z"), link("east", excludedLabels=["x"]), link("west")]
    of = world(targets, links)
    assert names(of) == ["web-federated"]
    assert expected(of)["demo", "web-federated"].service == {
        "labels": {"from": "east", MIRROR + "mirrored-service": "true"}, "annotations": {MULTICLUSTER + "remote-discovery": "web@east,web@north"},
        "type": "ClusterIP", "headless": False, "selector": {}, "externalIPs": [], **UNTOUCHED, "ports": [DNS]}
    of = world(targets, links, services=[service(labels={**MEMBER, "from": "here"}, annotations={"a": "b"})])
    claim = expected(of)["demo", "web-federated"]
    assert claim.service["labels"]["from"] == "here" and claim.service["ports"] == [HTTP]
    assert claim.service["annotations"] == {"a": "b", MULTICLUSTER + "remote-discovery": "web@east,web@north", MULTICLUSTER + "local-discovery": "web"}


@pytest.mark.parametrize("annotations, found, ports", [
    ({"export-ports": "dns, 80"}, "demo/web-east", [53, 80]), ({"export-ports": "dns"}, "demo/web-east", [53]), ({"export-ports": "dns,9"}, None, None),
    ({"export-to": "north, west"}, "demo/web-east", [53, 80]), ({"export-to": "north"}, None, None),
    ({"export-name": "checkout", "export-namespace": "shared"}, "shared/checkout", [53, 80])])
def test_finer_exports(annotations, found, ports):
    of = world({"east": [service(labels=EXPORTED, annotations={OURS + k: v for k, v in annotations.items()}, ports=[HTTP, DNS]), slice_of()]},
               namespaces=("demo", "shared"), options=Options(cluster_name="west", allowed_namespaces="shared"))
    mirrors = {f"{ns}/{name}": claim for (ns, name), claim in expected(of).items() if ns != "linkerd-multicluster"}
    assert list(mirrors) == ([found] if found else [])
    if found:
        assert [p["port"] for p in mirrors[found].service["ports"]] == ports and len(mirrors[found].slices["ipv4"]["ports"]) == len(ports)


@pytest.mark.parametrize("on_link, on_service, allowed, found", [
    ({"mirror-name": "{name}"}, {}, "", "demo/web"), ({"mirror-name": "{cluster}-{namespace}-{name}"}, {}, "", "demo/east-demo-web"),
    ({"namespace-map": "demo=shared"}, {}, "", "shared/web-east"), ({"namespace-map": "a=b, *=shared"}, {}, "", "shared/web-east"),
    ({"namespace-map": "a=shared"}, {}, "", "demo/web-east"), ({"mirror-name": "{name}"}, {"export-name": "x"}, "", "demo/x"),
    ({}, {"export-namespace": "shared"}, "", None), ({}, {"export-namespace": "shared"}, "a, sha*", "shared/web-east"),
    ({"allowed-namespaces": ""}, {"export-namespace": "shared"}, "*", None), ({"allowed-namespaces": "shared"}, {"export-namespace": "shared"}, "", "shared/web-east"),
    ({"namespace-map": "demo=shared"}, {"export-namespace": "demo"}, "", None), ({}, {"export-namespace": "demo"}, "", "demo/web-east")])
def test_names_and_namespaces(on_link, on_service, allowed, found):
    marks = {OURS + k: v for k, v in on_link.items()}
    exported = service(labels=EXPORTED, annotations={OURS + k: v for k, v in on_service.items()})
    of = world({"east": [exported, slice_of()]}, [link("east", annotations=marks)], namespaces=("demo", "shared"), options=Options(allowed_namespaces=allowed))
    assert [f"{ns}/{name}" for ns, name in expected(of) if ns != "linkerd-multicluster"] == ([found] if found else [])
    both = world({"east": [service(annotations={**BY_2_8, **exported["metadata"]["annotations"]}), gateway()]},
                 secrets=[secret("east", annotations=marks)], options=Options(allowed_namespaces=allowed))
    assert [f"{ns}/{name}" for ns, name in expected(both) if ns != "linkerd-multicluster"] == ([found] if found else []), "of 2.8 too"


def test_names_of_hostnames_and_remote_discovery():
    host = service("db", labels=EXPORTED, clusterIP="None")
    flat = service("flat", labels={MIRROR + "exported": "remote-discovery"})
    objects = [host, slice_of("db", [("10.0.1.1", True, "db-0")]), flat]
    of = world({"east": objects}, [link("east", annotations={OURS + "mirror-name": "{name}"})])
    assert names(of) == ["db", "db-0", "flat"] and expected(of)["demo", "db-0"].service["labels"][MIRROR + "headless-mirror-svc-name"] == "db"
    of = world({"east": objects}, [link("east", annotations={OURS + "namespace-map": "demo=shared"})], namespaces=("demo", "shared"))
    assert names(of) == ["db-0-east", "db-east"], "Linkerd would look for the other one in namespace shared of the target"


def test_a_mirror_that_forgot_its_cluster():
    orphan = service("orphan", labels={MIRROR + "mirrored-service": "true"}, managers=[MANAGER])
    others = service("orphan", labels={MIRROR + "mirrored-service": "true"})
    assert list(compare(world({"east": []}, services=[orphan])))[-1] == "Service demo/orphan is too many"
    assert not any("orphan" in line for line in compare(world({"east": []}, services=[others])))
    assert not any("orphan" in line for line in compare(world({}, [link("east")], services=[orphan]))), "a target that cannot be read may account for it"


def test_whose_is_a_name():
    targets = {cluster: [service(labels=EXPORTED, annotations={OURS + "export-name": "shop"})] for cluster in ("east", "north")}
    older = world(targets, [link("east", "2026-01-02T00:00:00Z"), link("north")])
    assert expected(older)["demo", "shop"].link.cluster == "north"
    assert expected(world(targets, [link("north"), link("east")]))["demo", "shop"].link.cluster == "east", "of one age: by id"
    assert names(world(targets, services=[service("shop")])) == [], "somebody else's"
    assert names(world(targets, services=[service("shop", managers=[MANAGER])])) == ["shop"], "ours without its labels"
    made = lambda cluster: [service("shop", labels={MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": cluster})]
    assert names(world(targets, services=made("north"))) == ["shop"], "made by others, and taken over"
    assert names(world(targets, services=made("ghost"))) == [], "others' mirror of a cluster that is not linked"


def test_one_declaration_for_each_cluster():
    links, secrets = [link("east", "2026-01-03T00:00:00Z")], [secret("east", "2026-01-02T00:00:00Z"), secret("north", "2026-01-01T00:00:00Z")]
    assert [found.id for found in world({}, links, secrets).links] == ["secret/credentials-north", "link/east"], "a Link before a Secret"


def test_differences_are_told_in_lines():
    exported = [service(labels={**EXPORTED, "app": "web"}), slice_of()]
    ours = {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east"}
    annotations = {MIRROR + "remote-resource-version": "7", "stray": "x"}
    wrong = service("web-east", {**ours, "app": "api"}, annotations, [{"name": "http", "port": 81}], managers=[MANAGER])
    others = [service("old-east", ours, managers=[MANAGER]), service("made-ghost", {**ours, MIRROR + "cluster-name": "ghost"})]
    lines = list(compare(world({"east": exported}, services=[wrong, *others])))
    assert [line for line in lines if "probe-east" not in line] == [
        "Service demo/web-east: label app is api, should be web",
        "Service demo/web-east: annotation mirror.linkerd.io/remote-svc-fq-name is missing, should be web.demo.svc.cluster.local",
        "Service demo/web-east: annotation stray is x, should not be",
        f"Service demo/web-east: ports is {[{'name': 'http', 'port': 81}]}, should be {[HTTP]}",
        "EndpointSlice demo/web-east.ipv4 is missing",
        "Service demo/old-east is too many"]


def test_a_target_that_cannot_be_read_says_nothing():
    left = service("web-east", {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east"}, managers=[MANAGER])
    of = world({}, links=[link("east")], services=[left])
    assert list(compare(of)) == []


def export_of(name="web", created="2026-01-01T00:00:00Z"):
    return {"kind": "ServiceExport", "metadata": {"name": name, "namespace": "demo", "creationTimestamp": created}}


def mirror_of(cluster, address):
    made = service("web-" + cluster, {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": cluster}, managers=[MANAGER], clusterIP=address)
    return made


def import_of(cluster, address, **more):
    return {"metadata": {"name": "web", "namespace": "demo", "labels": {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": cluster},
                         "annotations": {MIRROR + "remote-svc-fq-name": "web.demo.svc.cluster.local", OURS + "service-export": "true", "other": "x"},
                         "managedFields": [{"manager": MANAGER}]},
            "spec": {"type": "ClusterSetIP", "ips": [address], "ports": [{k: v for k, v in HTTP.items() if k != "targetPort"}], **more},
            "status": {"clusters": [{"cluster": cluster}]}}


TAKES = {OURS + "service-exports": "true"}


def test_a_service_export_marks_an_export_where_such_are_taken():
    targets = {"east": [service(), slice_of(), export_of()]}
    assert names(world(targets)) == []
    assert names(world(targets, options=Options(take_exports=True))) == ["web-east"]
    assert names(world(targets, [link("east", annotations={OURS + "service-exports": "false"})], options=Options(take_exports=True))) == []
    of = world(targets, [link("east", annotations=TAKES)])
    assert expected(of)["demo", "web-east"].service["annotations"][OURS + "service-export"] == "true"
    labelled = world({"east": [service(labels=EXPORTED), export_of()]}, [link("east", annotations=TAKES)])
    assert OURS + "service-export" not in expected(labelled)["demo", "web-east"].service["annotations"]
    assert names(world(targets, secrets=[secret("east")], options=Options(take_exports=True))) == [], "2.8 needs the name of a gateway"


def test_an_import_leads_to_the_mirror_of_the_oldest_export():
    targets = {"east": [service(), export_of()], "north": [service(), export_of(created="2025-01-01T00:00:00Z")]}
    links = [link(name, annotations=TAKES) for name in targets]
    mirrors = [mirror_of("east", "10.0.0.7"), mirror_of("north", "10.0.0.8")]

    def told(*imports, **more):
        return [line for line in compare(world(targets, links, services=mirrors, imports=imports, **more)) if "ServiceImport" in line]
    assert told(import_of("north", "10.0.0.8")) == []
    assert told() == ["ServiceImport demo/web is missing"]
    assert len(told(import_of("east", "10.0.0.7"))) == 3, "its label, its address, its cluster"
    assert told(import_of("north", "10.0.0.8", type="Headless")) == ["ServiceImport demo/web: type is Headless, should be ClusterSetIP"]
    assert told({"metadata": {"name": "web", "namespace": "demo"}, "spec": {"type": "Headless"}}) == [], "somebody else's"
    too_many = import_of("east", "10.0.0.7")
    too_many["metadata"]["name"] = "gone"
    assert told(import_of("north", "10.0.0.8"), too_many) == ["ServiceImport demo/gone is too many"]
    assert [line for line in compare(world(targets, links, services=mirrors)) if "ServiceImport" in line] == [], "they are not served"
