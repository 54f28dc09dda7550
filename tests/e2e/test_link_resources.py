"""Today's Linkerd's way: Link resources choose services by labels and name the gateway."""
import pytest
from cluster.expected import DISCOVERY, link_status, made_from, of_cluster, service, status_entry, whole
from cluster.gateway import RawServer
from cluster.target import AGENT_NAMESPACE, GATEWAY_IDENTITY
from cluster.wait import wait_until

MIRROR = "mirror.linkerd.io/"
IDENTITY = "linkerd-gateway.linkerd-multicluster.serviceaccount.identity.linkerd.cluster.local"

pytestmark = pytest.mark.usefixtures("link_crd")


def ready(source, name="web-east", namespace="demo"):
    return source.ready_addresses(name, namespace)


def status_of(source, name="web"):
    link = source.api.get("links", "east", AGENT_NAMESPACE)
    for entry in link.get("status", {}).get("mirrorServices", []):
        if entry["remoteRef"]["name"] == name:
            return entry
    return None


@pytest.fixture
def demo(source):
    source.ensure_namespace("demo")


def test_mirror_is_exactly_what_todays_linkerd_makes(source, east, agent, demo):
    east.gateway.start()
    remote = east.export_labelled("web", labels={"app": "web", "team": "a"}, annotations={
        "config.linkerd.io/opaque-ports": "3306", "example.com/note": "kept", "service.kubernetes.io/topology-mode": "auto",
        "kubectl.kubernetes.io/last-applied-configuration": "{}", "argocd.argoproj.io/tracking-id": "x"})
    east.link(source)
    agent()
    wait_until(lambda: ready(source) == east.gateway.addresses, 10, "the mirror is ready")
    mirror = source.api.get("services", "web-east", "demo")
    labels = {"app": "web", "team": "a", MIRROR + "mirrored-service": "true", MIRROR + "cluster-name": "east"}
    assert mirror["metadata"]["labels"] == labels
    assert mirror["metadata"]["annotations"] == {
        "config.linkerd.io/opaque-ports": "3306", "example.com/note": "kept",
        MIRROR + "remote-resource-version": remote["metadata"]["resourceVersion"], MIRROR + "remote-svc-fq-name": "web.demo.svc.cluster.local"}
    assert mirror["spec"]["ports"] == [{"name": "http", "protocol": "TCP", "port": 80, "targetPort": 5000}]
    [piece] = source.slices("web-east", "demo")
    assert piece["metadata"]["labels"] == {**labels, "kubernetes.io/service-name": "web-east", "endpointslice.kubernetes.io/managed-by": "svcmirror"}
    assert piece["metadata"]["annotations"] == {MIRROR + "remote-svc-fq-name": "web.demo.svc.cluster.local", MIRROR + "remote-gateway-identity": IDENTITY}
    assert piece["endpoints"] == [{"addresses": [east.gateway.addresses[0]], "conditions": {"ready": True}}]
    assert piece["ports"] == [{"name": "http", "protocol": "TCP", "port": 4143}]

    entry = wait_until(lambda: status_of(source), 5, "the Link's status tells")
    assert entry["controllerName"] == "linkerd.io/service-mirror"
    assert entry["remoteRef"] == {"group": "core", "kind": "Service", "name": "web", "namespace": "demo"}
    [condition] = entry["conditions"]
    assert condition.pop("lastTransitionTime")
    assert condition == {"type": "Mirrored", "status": "True", "reason": "Mirrored", "message": "",
                         "localRef": {"group": "core", "kind": "Service", "name": "web-east", "namespace": "demo"}}


def test_missing_namespace_is_told_and_its_coming_noticed(source, east, agent):
    east.gateway.start()
    east.export_labelled("web", "not-here-yet")
    east.link(source)
    agent()
    entry = wait_until(lambda: status_of(source), 10, "the status tells")
    condition = entry["conditions"][0]
    assert (condition["status"], condition["reason"], condition["message"]) == ("False", "MissingNamespace", "Namespace does not exist")
    assert "localRef" not in condition
    wait_until(lambda: any(e["reason"] == "ServiceMirroringSkipped" for e in source.api.list("events", AGENT_NAMESPACE)), 5, "an Event")
    source.ensure_namespace("not-here-yet")
    wait_until(lambda: ready(source, "web-east", "not-here-yet") == east.gateway.addresses, 5, "mirrored once the namespace is there")
    wait_until(lambda: status_of(source)["conditions"][0]["status"] == "True", 5, "and the status follows")
    source.api.delete("namespaces", "not-here-yet")


def test_missing_namespace_is_made_when_asked(source, east, agent):
    east.gateway.start()
    east.export_labelled("web", "made-when-asked")
    east.link(source)
    agent(flags=["--enable-namespace-creation"])
    wait_until(lambda: ready(source, "web-east", "made-when-asked") == east.gateway.addresses, 10, "mirrored, in a new namespace")
    labels = source.api.get("namespaces", "made-when-asked")["metadata"]["labels"]
    assert labels["mirror.linkerd.io/mirrored-service"] == "true" and labels["mirror.linkerd.io/cluster-name"] == "east"


def test_fields_of_the_probe_are_honoured(source, east, agent, demo):
    """A gateway that takes the request and hangs: each probe fails after the Link's timeout, and as many as the Link's threshold make it dead."""
    east.export_labelled("web")
    server = RawServer(east.network, east.folder, east.gateway.addresses[0], 8089, "hang")
    try:
        east.link(source, probeSpec={"path": "/slow", "port": "8089", "period": "1s", "failureThreshold": "5", "timeout": "2s"})
        one = agent()
        gateway = wait_until(lambda: [g for g in one.gateways() if g["verdict"] == "dead"], 20, "dead")[0]
        address = gateway["addresses"][0]
        assert (address["reason"], address["detail"], address["failures"]) == ("AnswerTimeout", "no answer within 2000 ms", 5)
        assert [gateway[key] for key in ("probePath", "probePort", "probePeriodMs", "probeTimeoutMs", "failureThreshold")] == ["/slow", 8089, 1000, 2000, 5]
    finally:
        server.stop()


def test_unready_targets_look_empty(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web", endpoints=None)
    east.link(source)
    agent()
    wait_until(lambda: source.slices("web-east", "demo"), 10, "a slice exists")
    assert source.slices("web-east", "demo")[0]["endpoints"] in ([], None)
    east.slice("web", "demo", ["10.201.1.10"])
    wait_until(lambda: ready(source) == east.gateway.addresses, 1, "ready with its target")
    east.slice("web", "demo", ["10.201.1.10"], ready=False)
    wait_until(lambda: ready(source) == [], 1, "empty with its target")


def test_without_the_right_to_read_endpoints_services_count_as_ready(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web", endpoints=None)
    east.link(source, kubeconfig=east.reader_kubeconfig(("services",), "services-only"))
    one = agent()
    wait_until(lambda: ready(source) == east.gateway.addresses, 10, "ready")
    wait_until(lambda: any("endpointslices" in (l["problem"] or "") for l in one.json("/api/v1/links")), 5, "the missing right is named")


def test_selectors_with_expressions(source, east, agent, demo):
    east.gateway.start()
    for name, labels in (("both", {"tier": "a", "public": "yes"}), ("other-tier", {"tier": "c", "public": "yes"}), ("private", {"tier": "a"})):
        east.service(name, labels=labels)
        east.slice(name, "demo", ["10.201.1.10"])
    east.link(source, selector={"matchExpressions": [{"key": "tier", "operator": "In", "values": ["a", "b"]}, {"key": "public", "operator": "Exists"}]})
    agent()
    wait_until(lambda: ready(source, "both-east") == east.gateway.addresses, 10, "the selected one")
    names = [s["metadata"]["name"] for s in source.api.list("services", "demo", MIRROR + "mirrored-service=true")]
    assert names == ["both-east"]
    east.link(source, selector={"matchLabels": {"tier": "c"}, "matchExpressions": None})
    wait_until(lambda: [s["metadata"]["name"] for s in source.api.list("services", "demo", MIRROR + "mirrored-service=true")] == ["other-tier-east"],
               10, "another selector, other mirrors")


def test_gateway_fields_of_the_link_are_followed(source, east, agent, demo):
    first, second = east.network.address(2), east.network.address(3)
    east.gateway.addresses = [first, second]
    east.gateway.start()
    east.export_labelled("web")
    east.link(source, gatewayAddress=first)
    agent()
    wait_until(lambda: ready(source) == [first], 10, "the first address")
    east.link(source, gatewayAddress=f"{first},{second}", gatewayPort="5143", gatewayIdentity="other")
    wait_until(lambda: ready(source) == [first, second], 5, "both addresses")
    [piece] = source.slices("web-east", "demo")
    assert piece["ports"][0]["port"] == 5143 and piece["metadata"]["annotations"][MIRROR + "remote-gateway-identity"] == "other"


def test_excluded_metadata(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web", labels={"foo.io/a": "1", "foo.iox/b": "2", "plain": "3"}, annotations={"bar.io/x": "1", "keep": "2"})
    east.link(source, excludedLabels=["foo.io/*", "plain"], excludedAnnotations=["bar.io/*"])
    agent()
    wait_until(lambda: ready(source), 10, "mirrored")
    meta = source.api.get("services", "web-east", "demo")["metadata"]
    assert set(meta["labels"]) == {"foo.iox/b", MIRROR + "mirrored-service", MIRROR + "cluster-name"}
    assert "bar.io/x" not in meta["annotations"] and meta["annotations"]["keep"] == "2"


ALLOWED = "svcmirror.io/allowed-"


@pytest.mark.parametrize("allowed_labels, labels", [
    (None, {"foo.io/a", "foo.iox/b", "plain"}), ("foo.io/*, absent", {"foo.io/a"}), ("plain", {"plain"}), ("", set())])
def test_allowed_metadata(source, east, agent, demo, allowed_labels, labels):
    """With a list only what it names is carried along, opaque ports always; what the Link excludes is not, whatever the list says."""
    east.gateway.start()
    remote = east.export_labelled("web", labels={"foo.io/a": "1", "foo.iox/b": "2", "plain": "3", "out": "4"}, annotations={
        "bar.io/x": "1", "keep": "2", "config.linkerd.io/opaque-ports": "80"})
    east.link(source, excludedLabels=["out"])
    if allowed_labels is not None:
        source.api.patch("links", "east", {"metadata": {"annotations": {ALLOWED + "labels": allowed_labels, ALLOWED + "annotations": "keep,bar.io/y"}}}, AGENT_NAMESPACE)
    agent()
    wait_until(lambda: ready(source) == east.gateway.addresses, 10, "mirrored")
    carried = {k: v for k, v in remote["metadata"]["labels"].items() if k in labels}
    annotations = {"keep": "2", "config.linkerd.io/opaque-ports": "80", **({"bar.io/x": "1"} if allowed_labels is None else {})}
    assert whole(source.api.get("services", "web-east", "demo")) == service("web-east", "demo", of_cluster(**carried), made_from(remote, **annotations))
    # Without the annotations all comes along again, and the other way round.
    lists = {ALLOWED + "labels": None, ALLOWED + "annotations": None} if allowed_labels is not None else {ALLOWED + "labels": "plain"}
    source.api.patch("links", "east", {"metadata": {"annotations": lists}}, AGENT_NAMESPACE)
    later = {"foo.io/a", "foo.iox/b", "plain"} if allowed_labels is not None else {"plain"}
    wait_until(lambda: set(source.api.get("services", "web-east", "demo")["metadata"]["labels"]) == later | set(of_cluster()), 5, "a change is followed")


def test_session_affinity_comes_along(source, east, agent, demo):
    """Where traffic is balanced here: through a gateway, not by remote discovery."""
    east.gateway.start()
    sticky = {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1234}}}
    remote = east.export_labelled("web", **sticky)
    flat = east.service("flat", labels={MIRROR + "exported": "remote-discovery"}, **sticky)
    east.link_gen(source)
    agent()
    wait_until(lambda: ready(source) == east.gateway.addresses and source.api.find("services", "flat-east", "demo"), 10, "both are mirrored")
    plain = service("web-east", "demo", of_cluster(), made_from(remote))
    assert whole(source.api.get("services", "web-east", "demo")) == {**plain, "spec": {**plain["spec"], **sticky}}
    discovered = of_cluster(**{DISCOVERY + "remote-discovery": "east", DISCOVERY + "remote-service": "flat"})
    assert whole(source.api.get("services", "flat-east", "demo")) == service("flat-east", "demo", discovered, made_from(flat))
    for change in ({"sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}}}, {"sessionAffinity": "None", "sessionAffinityConfig": None}):
        changed = east.api.patch("services", "web", {"spec": change}, "demo")["spec"]
        wanted = {k: changed[k] for k in sticky if k in changed}
        wait_until(lambda: {k: v for k, v in source.api.get("services", "web-east", "demo")["spec"].items() if k in sticky} == wanted, 5, f"{change} is followed")


def test_a_load_balancer_and_a_name_that_begins_with_a_digit(source, east, agent, demo):
    """What a mirror, of type ClusterIP, may not carry; what people make of a mirror; and a name that Kubernetes takes from 1.36 on."""
    ranges = {"service.beta.kubernetes.io/load-balancer-source-ranges": "10.0.0.0/8"}
    east.gateway.start()
    east.export_labelled("web", type="LoadBalancer", annotations={**ranges, "example.com/note": "kept"})
    east.export_labelled("3scale")
    east.link(source)
    agent()
    wait_until(lambda: ready(source) == ready(source, "3scale-east") == east.gateway.addresses, 10, "both are mirrored")
    mirror = source.api.get("services", "web-east", "demo")
    assert mirror["metadata"]["annotations"].keys() >= {"example.com/note"} and not ranges.keys() & mirror["metadata"]["annotations"].keys()
    source.api.patch("services", "web-east", {"spec": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["10.0.0.0/8"]}}, "demo")
    wait_until(lambda: source.api.get("services", "web-east", "demo")["spec"]["type"] == "ClusterIP", 5, "it is put right")
    assert "loadBalancerSourceRanges" not in source.api.get("services", "web-east", "demo")["spec"]


def test_two_links_that_want_one_name(source, east, north, agent, demo):
    """The older link has it; the other is told so where people look, and gets the name when it is free."""
    remotes = {}
    for target in (east, north):
        target.gateway.start()
        remotes[target.name] = target.export_labelled("web", annotations={"svcmirror.io/export-name": "shop"})
        target.link(source)
    one = agent()
    wait_until(lambda: ready(source, "shop") == east.gateway.addresses, 10, "the first has it")
    of_east = service("shop", "demo", of_cluster(), made_from(remotes["east"]))
    wait_until(lambda: whole(source.api.get("services", "shop", "demo")) == of_east, 5, "and its Service, which may be written after its endpoints")
    words = "Service demo/shop mirrors cluster east, whose link east is older"
    refused = status_entry(remotes["north"], None, "NameCollision", words)
    wait_until(lambda: link_status(source, "north") == {"mirrorServices": [refused]}, 5, "the other's condition")
    wait_until(lambda: link_status(source, "east") == {"mirrorServices": [status_entry(remotes["east"], "shop")]}, 5, "the first one's")
    [told] = [s for s in one.services() if s["clusterName"] == "north"]
    assert (told["mirrored"], told["reason"], told["message"]) == (False, "NameCollision", words)
    wait_until(lambda: any(words in e["note"] and e["regarding"]["name"] == "north" for e in source.api.list("events", AGENT_NAMESPACE)
                           if e["reason"] == "ServiceMirroringSkipped"), 5, "an Event on its Link")
    why = one.command("why", "demo/web", "--kubeconfig", source.admin_kubeconfig, "--link", "north")
    assert why.returncode == 1 and f"× name       NameCollision: {words}" in why.stdout, why.stdout
    east.api.delete("services", "web", "demo")
    wait_until(lambda: ready(source, "shop") == north.gateway.addresses, 10, "the other has it now")
    wanted = service("shop", "demo", of_cluster("north"), made_from(remotes["north"]))
    wait_until(lambda: whole(source.api.get("services", "shop", "demo")) == wanted, 5, "likewise")
    wait_until(lambda: link_status(source, "north") == {"mirrorServices": [status_entry(remotes["north"], "shop")]}, 5, "and its condition says so")


@pytest.mark.parametrize("flags", [(), ("--remove-unaccounted-mirrors",)])
def test_mirrors_that_nothing_accounts_for(source, east, agent, demo, flags):
    """Of a cluster that no link names: those of others are reported, or go when that is asked for, once all links are known."""
    def left(name, labels):
        return source.service(name, "demo", labels=labels)
    orphan, user = left("old-gone", of_cluster("gone")), left("mine", {"app": "mine"})
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    # Which cluster a Link names that cannot be used may not be known: nothing is concluded meanwhile.
    east.link(source, name="broken", gatewayPort="70000", targetClusterName="Not A Name")
    one = agent(flags=list(flags))
    wait_until(lambda: ready(source) == east.gateway.addresses, 10, "mirrored")
    assert not one.logs("mirror_unaccounted") and one.metrics()["svcmirror_unaccounted_mirrors"] == 0
    assert source.api.get("services", "old-gone", "demo") == orphan
    source.api.delete("links", "broken", AGENT_NAMESPACE)
    if flags:
        wait_until(lambda: source.api.find("services", "old-gone", "demo") is None, 10, "it goes")
        assert not one.logs("mirror_unaccounted")
    else:
        [told] = wait_until(lambda: one.logs("mirror_unaccounted"), 10, "reported")
        assert told["mirror"] == "demo/old-gone" and "--remove-unaccounted-mirrors" in told["msg"]
        assert one.metrics()["svcmirror_unaccounted_mirrors"] == 1
        assert source.api.get("services", "old-gone", "demo") == orphan
        # Its cluster is linked, and does not export it.
        east.link(source, name="gone", targetClusterName="gone")
        wait_until(lambda: source.api.find("services", "old-gone", "demo") is None, 10, "now it goes")
    assert source.api.get("services", "mine", "demo") == user
    assert ready(source) == east.gateway.addresses
    wait_until(lambda: one.metrics()["svcmirror_unaccounted_mirrors"] == 0, 5, "none is left")


def test_link_deleted(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    agent()
    wait_until(lambda: ready(source), 10, "mirrored")
    wait_until(lambda: source.api.find("services", "probe-east", AGENT_NAMESPACE), 5, "the gateway mirror")
    source.api.delete("links", "east", AGENT_NAMESPACE)
    wait_until(lambda: source.api.list("services", labels=MIRROR + "mirrored-service=true") == [], 5, "all mirrors are gone")


def test_a_mistake_in_a_link_takes_nothing_away(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    one = agent()
    wait_until(lambda: ready(source), 10, "mirrored")
    source.api.patch("links", "east", {"spec": {"targetClusterName": ""}}, AGENT_NAMESPACE)
    wait_until(lambda: one.logs("link_invalid"), 5, "the mistake is told")
    wait_until(lambda: any(e["reason"] == "LinkInvalid" for e in source.api.list("events", AGENT_NAMESPACE)), 5, "on the Link")
    assert ready(source) == east.gateway.addresses
    source.api.patch("links", "east", {"spec": {"targetClusterName": "east"}}, AGENT_NAMESPACE)
    east.export_labelled("more")
    wait_until(lambda: ready(source, "more-east"), 5, "and goes on once mended")


def test_status_keeps_its_times_over_a_restart(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    first = agent()
    wait_until(lambda: status_of(source), 10, "the status tells")
    before = source.api.get("links", "east", AGENT_NAMESPACE)
    first.stop()
    second = agent()
    wait_until(lambda: ready(source), 5, "still ready")
    wait_until(lambda: second.services() and second.services()[0]["mirrored"], 5, "known again")
    assert source.api.get("links", "east", AGENT_NAMESPACE)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_a_status_that_is_due_is_written_before_the_end(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    one = agent()
    wait_until(lambda: status_of(source), 10, "the status tells")
    east.export_labelled("late")
    wait_until(lambda: any(s["name"] == "late" and s["mirrored"] for s in one.services()), 10, "mirrored")
    one.stop()
    assert status_of(source, "late")["conditions"][0]["status"] == "True"


def test_status_forgets_services_that_are_exported_no_longer(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web")
    east.export_labelled("more")
    east.link(source)
    agent()
    wait_until(lambda: status_of(source) and status_of(source, "more"), 10, "both are told of")
    east.api.patch("services", "more", {"metadata": {"labels": {"mirror.linkerd.io/exported": None}}}, "demo")
    wait_until(lambda: status_of(source, "more") is None, 5, "the one is not any more")
    assert status_of(source)
    east.api.delete("services", "web", "demo")
    wait_until(lambda: source.api.get("links", "east", AGENT_NAMESPACE)["status"]["mirrorServices"] == [], 5, "nor the last one")


@pytest.mark.parametrize("status", [{"mirrorServices": None}, {"mirrorServices": []}, {"federatedServices": []}])
def test_a_status_that_people_change_is_put_right(source, east, agent, demo, status):
    east.gateway.start()
    east.export_labelled("web")
    east.service("fed", labels={MIRROR + "federated": "member"})
    east.link_gen(source)
    agent()
    wait_until(lambda: set(link_status(source, "east")) == {"mirrorServices", "federatedServices"}, 10, "the status tells of both")
    before = link_status(source, "east")
    source.api.patch("links", "east", {"status": status}, AGENT_NAMESPACE, "status")
    wait_until(lambda: link_status(source, "east") == before, 5, "and does so again")


def test_what_went_while_no_agent_ran_leaves_the_status(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    first = agent()
    wait_until(lambda: status_of(source), 10, "told of")
    first.stop()
    east.api.delete("services", "web", "demo")
    agent()
    wait_until(lambda: source.api.get("links", "east", AGENT_NAMESPACE)["status"]["mirrorServices"] == [], 10, "not any more")


def test_credentials_that_vanish_and_come_back(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    one = agent()
    wait_until(lambda: ready(source), 10, "mirrored")
    secret = source.api.get("secrets", "cluster-credentials-east", AGENT_NAMESPACE)
    source.api.delete("secrets", "cluster-credentials-east", AGENT_NAMESPACE)
    wait_until(lambda: "does not exist" in (one.json("/api/v1/links")[0]["problem"] or ""), 5, "the problem is told")
    source.api.create("secrets", {**secret, "metadata": {"name": "cluster-credentials-east", "namespace": AGENT_NAMESPACE}})
    wait_until(lambda: one.json("/api/v1/links")[0]["problem"] is None, 5, "and is over")
    wait_until(lambda: any(e["reason"] == "CredentialsUsable" for e in source.api.list("events", AGENT_NAMESPACE)), 5, "an Event")
    assert len(one.logs("link_connecting")) == 1 and not one.logs("credentials_changed"), "the connection stayed"
    east.export_labelled("more")
    wait_until(lambda: ready(source, "more-east"), 5, "and works")


@pytest.mark.parametrize("version", ["v1alpha1", "v1alpha2"])
def test_older_versions_of_the_link(source, east, agent, demo, version):
    crd = source.api.get("customresourcedefinitions", "links.multicluster.linkerd.io")
    for served in crd["spec"]["versions"]:
        served["served"] = served["name"] == version
        served["storage"] = served["name"] == version
    source.api.call("PUT", source.api.path("customresourcedefinitions", None, crd["metadata"]["name"]), crd)
    path = f"/apis/multicluster.linkerd.io/{version}/namespaces/{AGENT_NAMESPACE}/links"
    wait_until(lambda: source.api.raw("GET", path)[0] == 200, 20, "only that version is served")
    wait_until(lambda: source.api.raw("GET", "/apis/multicluster.linkerd.io/v1alpha3/links")[0] == 404, 20, "the newest is not")
    east.gateway.start()
    east.export_labelled("web")
    from cluster import api
    old = api.RESOURCES["links"]
    api.RESOURCES["links"] = (f"/apis/multicluster.linkerd.io/{version}", True)
    try:
        east.link_api_version = version
        east.link(source)
        agent()
        wait_until(lambda: ready(source) == east.gateway.addresses, 10, "mirrored")
        east.gateway_service()
        source.api.patch("links", "east", {"metadata": {"annotations": {"svcmirror.io/gateway": "ambassador/ambassador"}},
                                           "spec": {"gatewayAddress": "", "gatewayPort": None, "gatewayIdentity": "", "probeSpec": None}}, AGENT_NAMESPACE)
        wait_until(lambda: [s["metadata"]["annotations"][MIRROR + "remote-gateway-identity"] for s in source.slices("web-east", "demo")] == [GATEWAY_IDENTITY],
                   10, "by a gateway that it names, too")
        source.api.delete("links", "east", AGENT_NAMESPACE)
    finally:
        api.RESOURCES["links"] = old
        east.link_api_version = "v1alpha3"


def test_link_resources_that_appear_later(source, east, agent, demo):
    source.api.delete("customresourcedefinitions", "links.multicluster.linkerd.io")
    wait_until(lambda: source.api.raw("GET", "/apis/multicluster.linkerd.io")[0] == 404, 30, "no Link resources")
    one = agent()
    wait_until(lambda: one.logs("links_absent"), 5, "noticed")
    import conftest
    conftest._install_link_crd(source)
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    wait_until(lambda: ready(source) == east.gateway.addresses, 20, "picked up")


# -- the finalizer --

FINALIZER = "svcmirror.io/mirrors"


def finalizers(source, name="east"):
    link = source.api.find("links", name, AGENT_NAMESPACE)
    return None if link is None else link["metadata"].get("finalizers", [])


def manage(source, *more, name="east"):
    """The Link is svcmirror's own, and other programs' finalizers are on it too."""
    source.api.patch("links", name, {"metadata": {"labels": {"app.kubernetes.io/managed-by": "svcmirror"}, "finalizers": list(more) or None}}, AGENT_NAMESPACE)


def mirrors(source):
    return source.api.list("services", labels=MIRROR + "mirrored-service=true")


def test_own_links_are_held_until_their_mirrors_are_gone(source, east, north, agent, demo):
    for target in (east, north):
        target.gateway.start()
        target.export_labelled("web")
        target.link(source)
    manage(source, "example.com/other")
    one = agent()
    wait_until(lambda: ready(source), 10, "mirrored")
    wait_until(lambda: finalizers(source) == ["example.com/other", FINALIZER], 5, "the finalizer, behind the one that was there")
    wait_until(lambda: ready(source, "web-north"), 10, "the other link's too")
    assert finalizers(source, "north") == [], "a Link that others made is not touched"
    source.api.delete("links", "east", AGENT_NAMESPACE)
    wait_until(lambda: finalizers(source) == ["example.com/other"], 10, "ours is off, the other stays")
    assert [s["metadata"]["name"] for s in mirrors(source) if s["metadata"]["labels"][MIRROR + "cluster-name"] == "east"] == []
    assert one.logs("link_unlinked") and ready(source, "web-north") == north.gateway.addresses
    source.api.patch("links", "east", {"metadata": {"finalizers": None}}, AGENT_NAMESPACE)
    wait_until(lambda: finalizers(source) is None, 5, "gone")


def test_a_link_deleted_while_no_agent_runs_is_cleaned_up_even_by_an_agent_for_it_alone(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    manage(source)
    one = agent(flags=["--only-link", "east"])
    wait_until(lambda: ready(source) and finalizers(source) == [FINALIZER], 10, "mirrored and held")
    one.kill()
    source.api.delete("links", "east", AGENT_NAMESPACE)
    assert finalizers(source) == [FINALIZER] and ready(source)
    agent(flags=["--only-link", "east"])
    wait_until(lambda: finalizers(source) is None, 10, "the Link is gone")
    assert mirrors(source) == []


def test_a_deleted_link_whose_mirrors_stay_says_so(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    one = agent(flags=["--link-finalizer", "all"])
    wait_until(lambda: ready(source) and finalizers(source) == [FINALIZER], 10, "any Link, when asked")
    source.api.patch("services", "web-east", {"metadata": {"finalizers": ["example.com/kept"]}}, "demo")
    source.api.delete("links", "east", AGENT_NAMESPACE)
    [event] = wait_until(lambda: [e for e in source.api.list("events", AGENT_NAMESPACE) if e["reason"] == "MirrorsLeft"], 30, "the Link tells")
    assert event["regarding"]["name"] == "east" and event["note"].startswith("1 mirrors of cluster east are still there")
    assert len(one.logs("link_held")) == 1 and finalizers(source) == [FINALIZER]
    source.api.patch("services", "web-east", {"metadata": {"finalizers": None}}, "demo")
    wait_until(lambda: finalizers(source) is None, 10, "and goes once they may")
    assert mirrors(source) == []


def test_the_finalizer_goes_where_it_is_not_wanted(source, east, agent, demo):
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    one = agent(flags=["--link-finalizer", "all"])
    wait_until(lambda: ready(source) and finalizers(source) == [FINALIZER], 10, "held")
    one.stop()
    two = agent(flags=["--link-finalizer", "none"])
    wait_until(lambda: finalizers(source) == [], 10, "off")
    two.stop()
    agent()
    wait_until(lambda: ready(source), 10, "by default")
    manage(source)
    wait_until(lambda: finalizers(source) == [FINALIZER], 5, "a Link that becomes svcmirror's own")
    source.api.patch("links", "east", {"metadata": {"labels": {"app.kubernetes.io/managed-by": "helm"}}}, AGENT_NAMESPACE)
    wait_until(lambda: finalizers(source) == [], 5, "and one that is no more")
