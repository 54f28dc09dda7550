"""Mirrors that Linkerd made are taken over as they are."""
import pytest
from cluster.expected import DISCOVERY, LINK_IDENTITY, MIRROR, made_from, of_cluster, piece, service, whole
from cluster.linkerd import adopted
from cluster.target import AGENT_NAMESPACE, GATEWAY_IDENTITY
from cluster.wait import wait_until


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
    assert source.gaps("web-east", "demo", version) == 0
    new = source.api.get("services", "web-east", "demo")
    assert new["metadata"]["uid"] == old["metadata"]["uid"] and new["spec"]["clusterIP"] == old["spec"]["clusterIP"]
    assert source.ready_addresses("web-east", "demo") == east.gateway.addresses


# ---- every kind, exactly as Linkerd writes it ----

def linkerds_service(source, body):
    return source.api.create("services", {"apiVersion": "v1", "kind": "Service", **body})


def linkerds_endpoints(source, made, addresses, annotations, labels=None, ports=(("http", 4143),)):
    """The Endpoints that Linkerd writes beside a mirror Service: addresses as {"ip": ..., "hostname": ...}."""
    meta = made["metadata"]
    body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": meta["name"], "namespace": meta["namespace"], "labels": labels or meta["labels"],
                                                                "annotations": annotations},
            "subsets": [{"addresses": addresses, "ports": [{"name": name, "port": port, "protocol": "TCP"} for name, port in ports]}]}
    source.api.create("endpoints", body)
    wait_until(lambda: source.slices(meta["name"], meta["namespace"]), 20, "Kubernetes made a slice of the Endpoints")


def writes_to(source, since, resource, names):
    """(verb, name) of the agent's writes that succeeded, in order."""
    found = [(w["verb"], w["objectRef"].get("name") or w["requestObject"]["metadata"]["name"]) for w in source.writes("svcmirror")[since:]
             if w["objectRef"]["resource"] == resource and w["responseStatus"]["code"] < 300]
    return [(verb, name) for verb, name in found if name in names]


ADDRESSES = "svcmirror.io/gateway-addresses"  # on the mirror of a gateway; 2.8 does not write it


def assert_taken_over(source, since, old, wanted, current, gains=()):
    """Every Service is the one that was there, as it should be now; it was written only when its versions were not those of today, or when it `gains` something."""
    for made in old:
        meta = made["metadata"]
        there = source.api.get("services", meta["name"], meta["namespace"])
        assert whole(there) == wanted[meta["name"]], meta["name"]
        assert (there["metadata"]["uid"], there["spec"]["clusterIP"]) == (meta["uid"], made["spec"]["clusterIP"])
        if current and meta["name"] not in gains:
            assert there["metadata"]["resourceVersion"] == meta["resourceVersion"], f"{meta['name']} was right before"
    names = [made["metadata"]["name"] for made in old]
    assert sorted(writes_to(source, since, "services", names)) == sorted(("patch", name) for name in names if name in gains or not current)


@pytest.mark.parametrize("current", [True, False], ids=["up to date", "outdated"])
def test_mirrors_of_todays_linkerd_are_taken_over(source, east, agent, link_crd, current):
    source.ensure_namespace("demo")
    east.gateway.start()
    exported = MIRROR + "exported"
    web = east.export_labelled("web", labels={"app": "web"}, annotations={"example.com/note": "kept"})
    db = east.export_labelled("db", endpoints=None, clusterIP="None")
    east.host_slice("db", "demo", {"db-0": True, "db-1": True})
    flat = east.service("flat", labels={exported: "remote-discovery"})
    east.service("all", labels={MIRROR + "federated": "member", "app": "all"})
    east.link_gen(source)
    host_labels = of_cluster(**{MIRROR + "headless-mirror-svc-name": "db-east"})
    wanted = {
        "web-east": service("web-east", "demo", of_cluster(app="web"), made_from(web, **{"example.com/note": "kept"})),
        "db-0-east": service("db-0-east", "demo", host_labels, made_from(db, "db-0")),
        "db-1-east": service("db-1-east", "demo", host_labels, made_from(db, "db-1")),
        "db-east": service("db-east", "demo", of_cluster(), made_from(db), headless=True),
        "flat-east": service("flat-east", "demo", of_cluster(**{DISCOVERY + "remote-discovery": "east", DISCOVERY + "remote-service": "flat"}), made_from(flat)),
        "all-federated": service("all-federated", "demo", {MIRROR + "mirrored-service": "true", "app": "all"}, {DISCOVERY + "remote-discovery": "all@east"}),
    }
    old, through_gateway = {}, {"web-east": "web", "db-0-east": "db-0.db", "db-1-east": "db-1.db"}
    for name, body in wanted.items():
        annotations = dict(body["metadata"]["annotations"])
        if not current:
            annotations[MIRROR + "remote-resource-version" if name != "all-federated" else "example.com/stale"] = "1"
        old[name] = linkerds_service(source, {**body, "metadata": {**body["metadata"], "annotations": annotations}})
        addresses, ports = [{"ip": a} for a in east.gateway.addresses], (("http", 4143),)
        if name == "db-east":
            addresses, ports = [{"hostname": h, "ip": old[h + "-east"]["spec"]["clusterIP"]} for h in ("db-0", "db-1")], (("http", 80),)
        if name in ("db-east", *through_gateway):
            full = through_gateway.get(name, "db") + ".demo.svc.cluster.local"
            linkerds_endpoints(source, old[name], addresses, {MIRROR + "remote-svc-fq-name": full, MIRROR + "remote-gateway-identity": LINK_IDENTITY}, ports=ports)
    since = len(source.writes("svcmirror"))
    one = agent()
    with_endpoints = ["db-east", *through_gateway]
    wait_until(lambda: all(adopted(source, name, "demo") for name in with_endpoints), 20, "all Endpoints are gone")
    wait_until(lambda: all(s["mirrored"] for s in one.services()), 5, "told as mirrored")
    assert_taken_over(source, since, old.values(), wanted, current)
    for name in with_endpoints:
        assert source.gaps(name, "demo", old[name]["metadata"]["resourceVersion"]) == 0, name
    owner = lambda name: source.api.get("services", name, "demo")
    ready = [{"addresses": east.gateway.addresses, "conditions": {"ready": True}}]
    for name, remote in through_gateway.items():
        assert [whole(s) for s in source.slices(name, "demo")] == [piece(owner(name), remote + ".demo.svc.cluster.local", ready)]
    assert [whole(s) for s in source.slices("db-east", "demo")] == [piece(owner("db-east"), "db.demo.svc.cluster.local", [
        {"addresses": [owner(h + "-east")["spec"]["clusterIP"]], "hostname": h, "conditions": {"ready": True}} for h in ("db-0", "db-1")],
        ports=[{"name": "http", "protocol": "TCP", "port": 80}])]
    assert source.slices("flat-east", "demo") == source.slices("all-federated", "demo") == []
    assert sorted(writes_to(source, since, "endpointslices", [n + ".ipv4" for n in with_endpoints])) == sorted(("create", n + ".ipv4") for n in with_endpoints)
    assert sorted(writes_to(source, since, "endpoints", with_endpoints)) == sorted(("delete", n) for n in with_endpoints)


@pytest.mark.parametrize("current", [True, False], ids=["up to date", "outdated"])
def test_mirrors_of_2_8_are_taken_over(source, east, agent, current):
    """The mirror of a service, and that of the gateway."""
    source.ensure_namespace("demo")
    source.ensure_namespace(AGENT_NAMESPACE)
    east.gateway.start()
    gateway, web = east.gateway_service(), east.export("web")
    of_gateway = {MIRROR + "remote-gateway-resource-version": gateway["metadata"]["resourceVersion"]}
    probe = [{"name": "mc-probe", "protocol": "TCP", "port": 8080, "targetPort": 8080}]
    wanted = {
        "web-east": service("web-east", "demo", of_cluster(**{MIRROR + "remote-gateway-name": "ambassador", MIRROR + "remote-gateway-ns": "ambassador"}),
                            made_from(web, **of_gateway)),
        "ambassador-east": service("ambassador-east", AGENT_NAMESPACE, of_cluster(**{MIRROR + "mirrored-gateway": "true"}), {
            **of_gateway, MIRROR + "mirrored-gateway-remote-name": "ambassador", MIRROR + "mirrored-gateway-remote-namespace": "ambassador",
            MIRROR + "mirrored-gateway-probe-path": "-/ambassador/ready", MIRROR + "mirrored-gateway-probe-period": "3",
            ADDRESSES: ",".join(east.gateway.addresses)}, probe),
    }
    old, addresses = {}, [{"ip": a} for a in east.gateway.addresses]
    for name, body in wanted.items():
        stale = {} if current else {MIRROR + "remote-gateway-resource-version": "1"}
        annotations = {key: value for key, value in {**body["metadata"]["annotations"], **stale}.items() if key != ADDRESSES}
        old[name] = linkerds_service(source, {**body, "metadata": {**body["metadata"], "annotations": annotations}})
    identity, full = {MIRROR + "remote-gateway-identity": GATEWAY_IDENTITY}, "web.demo.svc.cluster.local"
    linkerds_endpoints(source, old["web-east"], addresses, {MIRROR + "remote-svc-fq-name": full, **identity})
    linkerds_endpoints(source, old["ambassador-east"], addresses, identity, of_cluster(), [("mc-probe", 8080)])
    east.link_secret(source)
    since = len(source.writes("svcmirror"))
    one = agent()
    places = [("web-east", "demo"), ("ambassador-east", AGENT_NAMESPACE)]
    wait_until(lambda: all(adopted(source, *place) for place in places), 20, "all Endpoints are gone")
    wait_until(lambda: all(s["mirrored"] for s in one.services()), 5, "told as mirrored")
    assert_taken_over(source, since, old.values(), wanted, current, gains=["ambassador-east"])
    for name, namespace in places:
        assert source.gaps(name, namespace, old[name]["metadata"]["resourceVersion"]) == 0, name
    ready = [{"addresses": east.gateway.addresses, "conditions": {"ready": True}}]
    assert [whole(s) for s in source.slices("web-east", "demo")] == [piece(source.api.get("services", "web-east", "demo"), full, ready, identity=GATEWAY_IDENTITY)]
    of_gateways = piece(source.api.get("services", "ambassador-east", AGENT_NAMESPACE), "", ready, [{"name": "mc-probe", "protocol": "TCP", "port": 8080}])
    of_gateways["metadata"]["annotations"] = identity
    assert [whole(s) for s in source.slices("ambassador-east", AGENT_NAMESPACE)] == [of_gateways]
    assert sorted(writes_to(source, since, "endpoints", [n for n, _ in places])) == [("delete", "ambassador-east"), ("delete", "web-east")]


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
