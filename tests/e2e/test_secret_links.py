"""Linkerd 2.8's way: a credentials Secret links a target, annotations name each service's gateway."""
import pytest
from cluster.target import AGENT_NAMESPACE, GATEWAY_IDENTITY
from cluster.wait import wait_until

MIRROR = "mirror.linkerd.io/"


def strip(obj):
    """An object without what the API server adds by itself."""
    meta = {k: v for k, v in obj["metadata"].items() if k in ("name", "namespace", "labels", "annotations")}
    return {**{k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "status", "metadata")}, "metadata": meta}


def expected_mirror(remote, gateway, cluster="east"):
    meta = remote["metadata"]
    labels = {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": cluster,
              MIRROR + "remote-gateway-name": gateway["metadata"]["name"], MIRROR + "remote-gateway-ns": gateway["metadata"]["namespace"]}
    annotations = {MIRROR + "remote-resource-version": meta["resourceVersion"],
                   MIRROR + "remote-svc-fq-name": f"{meta['name']}.{meta['namespace']}.svc.cluster.local",
                   MIRROR + "remote-gateway-resource-version": gateway["metadata"]["resourceVersion"]}
    return labels, annotations


def mirror_is_ready(source, name, namespace, addresses):
    return source.ready_addresses(name, namespace) == sorted(addresses)


def test_mirror_is_exactly_what_linkerd_2_8_makes(source, east, agent):
    east.gateway.start()
    gateway = east.gateway_service()
    remote = east.export("web", "exactly", ports=[{"name": "http", "port": 80, "targetPort": 5000, "protocol": "TCP"},
                                       {"name": "dns", "port": 53, "targetPort": "named", "protocol": "UDP"}])
    east.link_secret(source)
    agent()
    wait_until(lambda: mirror_is_ready(source, "web-east", "exactly", east.gateway.addresses), 10, "the mirror is ready")

    labels, annotations = expected_mirror(remote, gateway)
    mirror = source.api.get("services", "web-east", "exactly")
    assert mirror["metadata"]["labels"] == labels
    assert mirror["metadata"]["annotations"] == annotations
    assert mirror["spec"]["ports"] == [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000},
                                       {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": "named"}]
    assert mirror["spec"]["type"] == "ClusterIP" and "selector" not in mirror["spec"] and mirror["spec"]["clusterIP"] != "None"

    [piece] = source.slices("web-east", "exactly")
    assert strip(piece) == {
        "metadata": {"name": "web-east.ipv4", "namespace": "exactly",
                     "labels": {**labels, "kubernetes.io/service-name": "web-east", "endpointslice.kubernetes.io/managed-by": "svcmirror"},
                     "annotations": {MIRROR + "remote-svc-fq-name": "web.exactly.svc.cluster.local", MIRROR + "remote-gateway-identity": GATEWAY_IDENTITY}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [east.gateway.addresses[0]], "conditions": {"ready": True}}],
        "ports": [{"name": "http", "protocol": "TCP", "port": 4143}, {"name": "dns", "protocol": "UDP", "port": 4143}]}
    assert piece["metadata"]["ownerReferences"] == [{"apiVersion": "v1", "kind": "Service", "name": "web-east", "uid": mirror["metadata"]["uid"]}]

    namespace = source.api.get("namespaces", "exactly")
    assert namespace["metadata"]["labels"][MIRROR + "mirrored-service"] == "true"
    assert namespace["metadata"]["labels"][MIRROR + "cluster-name"] == "east"


def test_gateway_mirror_carries_the_verdict(source, east, agent):
    east.gateway.start()
    gateway = east.gateway_service()
    east.link_secret(source)
    agent()
    wait_until(lambda: mirror_is_ready(source, "ambassador-east", AGENT_NAMESPACE, east.gateway.addresses), 10, "the gateway mirror is ready")
    mirror = source.api.get("services", "ambassador-east", AGENT_NAMESPACE)
    assert mirror["metadata"]["labels"] == {MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east", MIRROR + "mirrored-gateway": "true"}
    assert mirror["metadata"]["annotations"] == {
        MIRROR + "remote-gateway-resource-version": gateway["metadata"]["resourceVersion"],
        MIRROR + "mirrored-gateway-remote-name": "ambassador", MIRROR + "mirrored-gateway-remote-namespace": "ambassador",
        MIRROR + "mirrored-gateway-probe-path": "-/ambassador/ready", MIRROR + "mirrored-gateway-probe-period": "3",
        "svcmirror.io/gateway-addresses": ",".join(east.gateway.addresses)}
    assert mirror["spec"]["ports"] == [{"name": "mc-probe", "protocol": "TCP", "port": 8080, "targetPort": 8080}]
    [piece] = source.slices("ambassador-east", AGENT_NAMESPACE)
    assert piece["metadata"]["annotations"] == {MIRROR + "remote-gateway-identity": GATEWAY_IDENTITY}
    assert piece["ports"] == [{"name": "mc-probe", "protocol": "TCP", "port": 8080}]
    east.gateway.stop()
    wait_until(lambda: mirror_is_ready(source, "ambassador-east", AGENT_NAMESPACE, []), 5, "the gateway mirror is not ready")


def test_updates_follow(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    agent()
    wait_until(lambda: mirror_is_ready(source, "web-east", "demo", east.gateway.addresses), 10, "the mirror is ready")
    before = source.api.get("services", "web-east", "demo")
    changed = east.api.patch("services", "web", {"spec": {"ports": [{"name": "grpc", "port": 81, "targetPort": 5001, "protocol": "TCP"}]}}, "demo")

    def followed():
        mirror = source.api.get("services", "web-east", "demo")
        [piece] = source.slices("web-east", "demo")
        return (mirror["spec"]["ports"] == [{"name": "grpc", "protocol": "TCP", "port": 81, "targetPort": 5001}]
                and mirror["metadata"]["annotations"][MIRROR + "remote-resource-version"] == changed["metadata"]["resourceVersion"]
                and piece["ports"] == [{"name": "grpc", "protocol": "TCP", "port": 4143}])
    wait_until(followed, 5, "ports and version follow")
    after = source.api.get("services", "web-east", "demo")
    assert after["metadata"]["uid"] == before["metadata"]["uid"] and after["spec"]["clusterIP"] == before["spec"]["clusterIP"]


def test_delete_and_unexport_remove_the_mirror(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    for name in ("gone", "hidden", "kept"):
        east.export(name)
    east.link_secret(source)
    agent()
    for name in ("gone", "hidden", "kept"):
        wait_until(lambda: mirror_is_ready(source, name + "-east", "demo", east.gateway.addresses), 10, f"{name} is mirrored")
    east.api.delete("services", "gone", "demo")
    east.api.patch("services", "hidden", {"metadata": {"annotations": {MIRROR + "gateway-name": None}}}, "demo")
    for name in ("gone", "hidden"):
        wait_until(lambda: source.api.find("services", name + "-east", "demo") is None, 5, f"{name} is unmirrored")
        wait_until(lambda: source.slices(name + "-east", "demo") == [], 10, f"{name}'s slices are gone")
    assert mirror_is_ready(source, "kept-east", "demo", east.gateway.addresses)


def test_exported_before_its_gateway_exists(source, east, agent):
    east.export("early")
    east.link_secret(source)
    agent()
    wait_until(lambda: source.api.find("services", "early-east", "demo"), 10, "the mirror exists without a gateway")
    assert source.ready_addresses("early-east", "demo") == []
    assert MIRROR + "remote-gateway-resource-version" not in source.api.get("services", "early-east", "demo")["metadata"]["annotations"]
    east.gateway.start()
    east.gateway_service()
    wait_until(lambda: mirror_is_ready(source, "early-east", "demo", east.gateway.addresses), 5, "the mirror becomes right when the gateway appears")


def test_gateway_changes_are_followed(source, east, agent):
    east.gateway.addresses = [east.network.address(2), east.network.address(3)]
    east.gateway.start()
    east.gateway_service(addresses=[east.network.address(2)])
    east.export("web")
    east.link_secret(source)
    agent()
    wait_until(lambda: mirror_is_ready(source, "web-east", "demo", [east.network.address(2)]), 10, "the first address")
    east.set_gateway_addresses([east.network.address(3)])
    wait_until(lambda: mirror_is_ready(source, "web-east", "demo", [east.network.address(3)]), 5, "the other address")
    east.api.patch("services", "ambassador", {"metadata": {"annotations": {MIRROR + "gateway-identity": "other.identity"}}}, "ambassador")
    wait_until(lambda: source.slices("web-east", "demo")[0]["metadata"]["annotations"][MIRROR + "remote-gateway-identity"] == "other.identity", 5, "identity")
    east.api.patch("services", "ambassador", {"spec": {"ports": [{"name": "mc-gateway", "port": 5143, "protocol": "TCP"},
                                                                {"name": "mc-probe", "port": 8080, "protocol": "TCP"}]}}, "ambassador")
    wait_until(lambda: source.slices("web-east", "demo")[0]["ports"][0]["port"] == 5143, 5, "the gateway's port")
    east.api.delete("services", "ambassador", "ambassador")
    wait_until(lambda: source.slices("web-east", "demo")[0]["endpoints"] in ([], None), 5, "no gateway, no endpoints")
    wait_until(lambda: source.api.find("services", "ambassador-east", AGENT_NAMESPACE) is None, 5, "the gateway mirror goes with its gateway")
    assert source.api.find("services", "web-east", "demo"), "the mirror itself stays"
    east.gateway.addresses = [east.network.address(2)]


def test_removing_the_secret_unmirrors_everything(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    secret = east.link_secret(source)
    source.ensure_namespace("demo")
    source.api.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "mine", "namespace": "demo"}, "spec": {"ports": [{"port": 80}]}})
    agent()
    wait_until(lambda: mirror_is_ready(source, "web-east", "demo", east.gateway.addresses), 10, "the mirror is ready")
    source.api.delete("secrets", secret["metadata"]["name"], AGENT_NAMESPACE)
    wait_until(lambda: source.api.list("services", labels=MIRROR + "mirrored-service=true") == [], 5, "all mirrors are gone")
    assert source.api.find("services", "mine", "demo"), "a user's Service is never touched"


def test_link_removed_while_the_agent_was_down(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    secret = east.link_secret(source)
    first = agent()
    wait_until(lambda: mirror_is_ready(source, "web-east", "demo", east.gateway.addresses), 10, "the mirror is ready")
    first.stop()
    source.api.delete("secrets", secret["metadata"]["name"], AGENT_NAMESPACE)
    agent()
    wait_until(lambda: source.api.list("services", labels=MIRROR + "mirrored-service=true") == [], 10, "what no link accounts for goes")


def test_services_deleted_while_the_agent_was_down(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("gone")
    east.export("kept")
    east.link_secret(source)
    first = agent()
    for name in ("gone", "kept"):
        wait_until(lambda: mirror_is_ready(source, name + "-east", "demo", east.gateway.addresses), 10, f"{name} is mirrored")
    first.stop()
    east.api.delete("services", "gone", "demo")
    agent()
    wait_until(lambda: source.api.find("services", "gone-east", "demo") is None, 10, "the orphan goes")
    assert mirror_is_ready(source, "kept-east", "demo", east.gateway.addresses)


def test_a_users_service_of_the_mirrors_name_is_never_touched(source, east, agent):
    source.ensure_namespace("demo")
    mine = source.api.create("services", {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web-east", "namespace": "demo", "labels": {"my": "own"}},
                                          "spec": {"ports": [{"port": 1234}]}})
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    one = agent()
    wait_until(lambda: any(s["reason"] == "NameCollision" for s in one.services()), 10, "the collision is told")
    wait_until(lambda: any("web-east" in e["note"] for e in source.api.list("events", AGENT_NAMESPACE) if e["reason"] == "ServiceMirroringSkipped"), 5, "an Event")
    assert source.api.get("services", "web-east", "demo")["metadata"]["resourceVersion"] == mine["metadata"]["resourceVersion"]
    source.api.delete("services", "web-east", "demo")
    wait_until(lambda: mirror_is_ready(source, "web-east", "demo", east.gateway.addresses), 20, "the name is free: the mirror comes")
    east.api.delete("services", "web", "demo")
    wait_until(lambda: source.api.find("services", "web-east", "demo") is None, 5, "ours goes again")


def test_two_targets_do_not_disturb_each_other(source, east, north, agent):
    for target in (east, north):
        target.gateway.start()
        target.gateway_service()
        target.export("web")
        target.link_secret(source)
    agent()
    for target in (east, north):
        wait_until(lambda: mirror_is_ready(source, f"web-{target.name}", "demo", target.gateway.addresses), 10, f"{target.name} is mirrored")
    north.gateway.stop()
    wait_until(lambda: mirror_is_ready(source, "web-north", "demo", []), 5, "north is dead")
    assert mirror_is_ready(source, "web-east", "demo", east.gateway.addresses)


def test_changed_credentials_take_effect_without_a_restart(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source, kubeconfig=east.token_kubeconfig("not-a-token"))
    one = agent(ready=False)
    wait_until(lambda: any("401" in (l["problem"] or "") for l in one.json("/api/v1/links")), 10, "the cause is told")
    assert source.api.find("services", "web-east", "demo") is None
    east.link_secret(source)
    wait_until(lambda: mirror_is_ready(source, "web-east", "demo", east.gateway.addresses), 5, "good credentials are used at once")


@pytest.mark.parametrize("spoiled", ["labels", "cluster name", "unlabelled", "ports", "slice", "slice labels", "deleted"])
def test_a_mirror_changed_by_hand_is_put_right(source, east, agent, spoiled):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    agent()
    wait_until(lambda: mirror_is_ready(source, "web-east", "demo", east.gateway.addresses), 10, "the mirror is ready")
    good = strip(source.api.get("services", "web-east", "demo"))
    if spoiled == "labels":
        source.api.patch("services", "web-east", {"metadata": {"labels": {"stray": "x"}, "annotations": {MIRROR + "remote-svc-fq-name": "wrong"}}}, "demo")
    elif spoiled == "cluster name":
        source.api.patch("services", "web-east", {"metadata": {"labels": {MIRROR + "cluster-name": "other"}}}, "demo")
    elif spoiled == "unlabelled":
        source.api.patch("services", "web-east", {"metadata": {"labels": {MIRROR + "mirrored-service": None}}}, "demo")
    elif spoiled == "slice labels":
        source.api.patch("endpointslices", "web-east.ipv4", {"metadata": {"labels": {MIRROR + "mirrored-service": None}}}, "demo")
    elif spoiled == "ports":
        source.api.patch("services", "web-east", {"spec": {"ports": [{"name": "x", "port": 1}]}}, "demo")
    elif spoiled == "slice":
        source.api.delete("endpointslices", "web-east.ipv4", "demo")
    else:
        source.api.delete("services", "web-east", "demo")

    def right():
        there = source.api.find("services", "web-east", "demo")
        now = strip(there) if there else None
        return now and now["metadata"] == good["metadata"] and now["spec"]["ports"] == good["spec"]["ports"] and mirror_is_ready(source, "web-east", "demo", east.gateway.addresses)
    wait_until(right, 5, "put right at once")


def test_the_rights_that_are_needed_are_enough_and_the_missing_one_is_named(source, east, agent):
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source, kubeconfig=east.reader_kubeconfig(("endpointslices",), "blind"))
    one = agent(ready=False)
    wait_until(lambda: any("services" in (l["problem"] or "") and "grant get, list, watch" in l["problem"] for l in one.json("/api/v1/links")), 10, "the missing right")
    east.link_secret(source, kubeconfig=east.reader_kubeconfig(("services",), "services-only"))
    wait_until(lambda: mirror_is_ready(source, "web-east", "demo", east.gateway.addresses), 5, "services alone are enough for 2.8")
