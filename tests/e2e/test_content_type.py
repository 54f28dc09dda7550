"""Objects in protobuf, which is asked for by default, and in JSON: of real API servers both give the same view."""
import pytest
from cluster.wait import wait_until

JSON = ("--kube-api-content-type=application/json",)
HTTP = {"name": "http", "protocol": "TCP", "port": 80, "targetPort": "web", "appProtocol": "kubernetes.io/h2c"}
DNS = {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": 5353}


@pytest.fixture
def shapes(source, east, link_crd):
    """Exported services of many shapes, mirrored in each of the ways that there are."""
    source.ensure_namespace("demo")
    east.gateway.start()
    label, federated = "mirror.linkerd.io/exported", {"mirror.linkerd.io/federated": "member"}
    east.export_labelled("web", annotations={"empty": "", "text": "ä\n\t\"\\ \U0001f310"})
    east.export_labelled("ports", ports=[HTTP, DNS], type="NodePort")
    east.export_labelled("sticky", sessionAffinity="ClientIP", sessionAffinityConfig={"clientIP": {"timeoutSeconds": 77}})
    east.export_labelled("near", internalTrafficPolicy="Local", publishNotReadyAddresses=True, externalIPs=["192.0.2.7"])
    east.export_labelled("down", endpoints=None)
    east.slice("down", "demo", ["10.201.1.11"], ready=False)
    east.export_labelled("db", endpoints=None, clusterIP="None")
    east.host_slice("db", "demo", {"db-0": True, "db-1": False})
    east.service("flat", labels={label: "remote-discovery"})
    east.service("own", labels={label: "true", **federated}, annotations={"svcmirror.io/endpoints": "pods"})
    east.endpoints("own", "demo", [{"addresses": ["10.201.1.12"], "conditions": {"ready": True, "serving": True, "terminating": False},
                                    "zone": "a", "nodeName": "node-1", "targetRef": {"kind": "Pod", "name": "own-0", "namespace": "demo"}}])
    east.link_gen(source)
    return source


def view(agent):
    """Of every service, what has come of it."""
    return sorted((s["cluster"] if "cluster" in s else s.get("clusterName"), s["namespace"], s["name"], s.get("mirror"), s["mirrored"], s["reason"])
                  for s in agent.services())


def objects(source):
    return {(kind, o["metadata"]["name"]): (o["metadata"]["resourceVersion"], o) for kind in ("services", "endpointslices")
            for o in source.api.list(kind, None, "mirror.linkerd.io/mirrored-service=true")}


@pytest.mark.parametrize("first, second", [((), JSON), (JSON, ())], ids=["protobuf_then_json", "json_then_protobuf"])
def test_what_one_wrote_is_right_for_the_other(source, east, agent, shapes, first, second):
    one = agent(flags=[*first])
    wait_until(lambda: len(view(one)) >= 8 and all(mirrored for *_, mirrored, _ in view(one)), 15, "all are mirrored")
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "and ready")
    wait_until(lambda: one.metrics()["svcmirror_queue_depth"] == 0, 10, "nothing is left to do")
    before, there = view(one), objects(source)
    assert len(there) > 14
    one.stop()
    two = agent(flags=[*second])
    wait_until(lambda: view(two) == before, 15, "the same is known")
    wait_until(lambda: two.metrics()["svcmirror_queue_depth"] == 0, 10, "nothing is left to do")
    assert objects(source) == there, "it wrote what was right"
    # And it follows what happens from then on.
    east.export_labelled("late")
    east.api.delete("services", "ports", "demo")
    east.api.patch("services", "web", {"spec": {"ports": [{"name": "http", "port": 81}]}}, "demo")
    get = lambda name: source.api.find("services", name, "demo")
    wait_until(lambda: get("late-east") and not get("ports-east") and 81 in [p["port"] for p in get("web-east")["spec"]["ports"]], 10, "all three arrive")
    east.gateway.stop()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == [], 5, "unready")


def test_a_missing_right_is_told_in_words(source, east, agent):
    """The server's Status comes in protobuf, too."""
    east.gateway.start()
    east.link_secret(source, kubeconfig=east.reader_kubeconfig(resources=("endpointslices",)))
    running = agent()
    wait_until(lambda: running.logs("target_watch_failed"), 10, "it is told")
    text = running.logs("target_watch_failed")[-1]["error"]
    assert "missing right" in text and "services is forbidden" in text and "system:serviceaccount:" in text, text


@pytest.mark.parametrize("flags", [(), JSON], ids=["protobuf", "json"])
def test_a_nul_in_an_annotation_disturbs_nobody(source, east, agent, flags):
    """The API server takes it, from whoever may annotate one Service."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    spoiled = east.api.patch("services", "web", {"metadata": {"annotations": {"text": "a\0b"}}}, "demo")
    assert spoiled["metadata"]["annotations"]["text"] == "a\0b"
    east.link_secret(source)
    running = agent(flags=[*flags])
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "listed")
    east.export("late")
    east.api.patch("services", "late", {"metadata": {"annotations": {"text": "\0"}}}, "demo")
    east.export("later")
    wait_until(lambda: source.ready_addresses("later-east", "demo") == east.gateway.addresses, 10, "watched")
    assert not running.logs("target_watch_failed")
