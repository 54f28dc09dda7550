"""What users are promised about speed, as ratios to what the same API calls cost by themselves in the same run."""
import json
import os
import statistics
import time

from cluster.api import Api
from cluster.load import send
from cluster.wait import wait_until

SERVICES = 1000


def bodies(count, namespace, gateway, cluster="east"):
    """The Services and slices that the agent writes for `count` exported services, byte for byte but for names."""
    for number in range(count):
        name = f"web{number}-{cluster}"
        labels = {"mirror.linkerd.io/cluster-name": cluster, "mirror.linkerd.io/floor": "true", "mirror.linkerd.io/remote-gateway-name": "ambassador",
                  "mirror.linkerd.io/remote-gateway-ns": "ambassador"}
        annotations = {"mirror.linkerd.io/remote-gateway-resource-version": "12345", "mirror.linkerd.io/remote-resource-version": "12345",
                       "mirror.linkerd.io/remote-svc-fq-name": f"web{number}.{namespace}.svc.cluster.local"}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, "labels": labels, "annotations": annotations},
                   "spec": {"type": "ClusterIP", "ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000}]}}
        piece = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                 "metadata": {"name": name + ".ipv4", "namespace": namespace,
                              "labels": {**labels, "kubernetes.io/service-name": name, "endpointslice.kubernetes.io/managed-by": "floor"},
                              "annotations": {"mirror.linkerd.io/remote-svc-fq-name": annotations["mirror.linkerd.io/remote-svc-fq-name"],
                                              "mirror.linkerd.io/remote-gateway-identity": "ambassador.ambassador.serviceaccount.identity.linkerd.cluster.local"}},
                 "addressType": "IPv4", "endpoints": [{"addresses": [gateway], "conditions": {"ready": True}}],
                 "ports": [{"name": "http", "protocol": "TCP", "port": 4143}]}
        yield service, piece


def delete_all(cluster, namespace, folder):
    services = [("DELETE", cluster.api.path("services", namespace, s["metadata"]["name"]), None) for s in cluster.api.list("services", namespace)]
    slices = [("DELETE", cluster.api.path("endpointslices", namespace, s["metadata"]["name"]), None) for s in
              cluster.api.list("endpointslices", namespace) if s["metadata"]["labels"].get("endpointslice.kubernetes.io/managed-by") == "floor"]
    for requests in (services, slices):
        if requests:
            send(cluster, requests, folder)


def test_first_sync_of_1000_services(source, east, agent, lab):
    """At most 1.5 times what a bare load program needs for the same writes; of both the best trial, of up to three and of two, as machines are not the same from
    one minute to the next."""
    folder = os.path.join(lab.folder, "floor")
    source.ensure_namespace("many")
    east.ensure_namespace("many")
    made = list(bodies(SERVICES, "many", east.gateway.addresses[0]))
    floors = []
    for _ in range(2):
        floor = send(source, [("POST", source.api.path("services", "many"), service) for service, _ in made], folder)
        floor += send(source, [("POST", source.api.path("endpointslices", "many"), piece) for _, piece in made], folder)
        floors.append(floor)
        delete_all(source, "many", folder)
    east.gateway.start()
    east.gateway_service()
    east.link_secret(source)
    took = []
    while len(took) < 3 and (not took or took[-1] > 1.5 * min(floors)):
        took.append(first_sync(source, east, agent, folder))
        print(f"\nfirst sync of {SERVICES} services: {took[-1]:.2f} s, floor {min(floors):.2f} s, ratio {took[-1] / min(floors):.2f}")
    assert min(took) <= 1.5 * min(floors)


def first_sync(source, east, agent, folder):
    """Exports the services, and starts an agent. @return how many seconds it took until all were mirrored; then everything is gone again."""
    marks = {"mirror.linkerd.io/gateway-name": "ambassador", "mirror.linkerd.io/gateway-ns": "ambassador"}
    send(east, [("POST", east.api.path("services", "many"), {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": f"web{n}", "namespace": "many", "annotations": marks},
        "spec": {"ports": [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000}]}}) for n in range(SERVICES)], folder)
    began = time.monotonic()
    one = agent(ready=False)
    wait_until(lambda: one.metrics().get('svcmirror_services{target_cluster_name="east",reason="Mirrored"}') == SERVICES, 120, "all are mirrored", 0.05)
    took = time.monotonic() - began
    ready = sum(1 for s in source.api.list("endpointslices", "many") for e in s["endpoints"] if e["conditions"]["ready"])
    assert ready == SERVICES
    delete_all(east, "many", folder)
    wait_until(lambda: source.api.list("services", "many") == [], 60, "all mirrors are gone again", 0.2)
    one.stop()
    return took


def watch_until_ready(cluster, name, namespace, version):
    """Follows the slices from `version` on; returns when a ready endpoint of the service is seen."""
    api = Api(cluster.host, cluster.port, cluster.pki.ca, cluster.pki.file("admin.crt"), cluster.pki.file("admin.key"))
    import http.client
    connection = http.client.HTTPSConnection(api.host, api.port, context=api.context, timeout=10)
    connection.request("GET", api.path("endpointslices", namespace, watch="1", resourceVersion=version))
    answer = connection.getresponse()
    for line in answer:
        piece = json.loads(line)["object"]
        if piece["metadata"].get("labels", {}).get("kubernetes.io/service-name") == name and any(e["conditions"].get("ready") for e in piece["endpoints"] or []):
            connection.close()
            return time.monotonic()
    raise AssertionError("the watch ended")


def test_export_to_ready_mirror(source, east, agent, lab):
    """p99 within 50 ms of what the bare calls cost: create the service in the target; create Service, then slice, in the source; see it."""
    east.gateway.start()
    east.gateway_service()
    east.link_secret(source)
    source.ensure_namespace("demo")
    east.ensure_namespace("demo")
    agent()
    bare, through = [], []
    made = list(bodies(60, "demo", east.gateway.addresses[0], cluster="bare"))
    version = lambda: source.api.call("GET", source.api.path("endpointslices", "demo", limit="1"))["metadata"]["resourceVersion"]
    for number in range(60):
        service, piece = made[number]
        since = version()
        began = time.monotonic()
        east.service(f"unexported{number}")
        source.api.create("services", service)
        source.api.create("endpointslices", piece)
        bare.append(watch_until_ready(source, service["metadata"]["name"], "demo", since) - began)
        since = version()
        began = time.monotonic()
        east.export(f"fast{number}")
        through.append(watch_until_ready(source, f"fast{number}-east", "demo", since) - began)
    p99 = lambda values: statistics.quantiles(values, n=100)[98]
    print(f"\nexport to ready: p50 {statistics.median(through) * 1000:.1f} ms, p99 {p99(through) * 1000:.1f} ms; "
          f"bare calls p50 {statistics.median(bare) * 1000:.1f} ms, p99 {p99(bare) * 1000:.1f} ms")
    for cluster in (source, east):
        delete_all(cluster, "demo", os.path.join(lab.folder, "floor"))
    assert p99(through) <= p99(bare) + 0.05
