"""What people, webhooks and policies do to mirrors in the source cluster, and how they are put right."""
import pytest
from cluster.api import write_file
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

POLICIES = "/apis/admissionregistration.k8s.io/v1"


@pytest.fixture
def web(source, east, agent):
    """A mirror of one service, ready, and the agent that keeps it so."""
    east.gateway.start()
    east.gateway_service()
    east.export("web")
    east.link_secret(source)
    one = agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "the mirror is ready")
    return one


def content(obj):
    """What an agent is responsible for."""
    return {"labels": obj["metadata"].get("labels"), "annotations": obj["metadata"].get("annotations"), "owners": obj["metadata"].get("ownerReferences"),
            **{k: v for k, v in obj.items() if k not in ("apiVersion", "kind", "metadata", "status")}}


def cluster_has(source, kind, wanted, name):
    found = source.api.find(kind, name, "demo")
    return found is not None and content(found) == wanted


EDITS = {
    "a selector": ("services", {"spec": {"selector": {"app": "trap"}}}),
    "an external address": ("services", {"spec": {"externalIPs": ["192.0.2.9"]}}),
    "another type": ("services", {"spec": {"type": "NodePort"}}),
    "other ports": ("services", {"spec": {"ports": [{"name": "x", "port": 81, "protocol": "TCP"}]}}),
    "a label less": ("services", {"metadata": {"labels": {"mirror.linkerd.io/cluster-name": None}}}),
    "no mirror label": ("services", {"metadata": {"labels": {"mirror.linkerd.io/mirrored-service": None}}}),
    "an annotation less": ("services", {"metadata": {"annotations": {"mirror.linkerd.io/remote-svc-fq-name": None}}}),
    "endpoints made unready": ("endpointslices", {"endpoints": [{"addresses": ["192.0.2.9"], "conditions": {"ready": True}}]}),
    "a slice without its service": ("endpointslices", {"metadata": {"labels": {"kubernetes.io/service-name": None}}}),
    "a slice without any label": ("endpointslices", {"metadata": {"labels": {
        "kubernetes.io/service-name": None, "endpointslice.kubernetes.io/managed-by": None, "mirror.linkerd.io/mirrored-service": None,
        "mirror.linkerd.io/cluster-name": None, "mirror.linkerd.io/remote-gateway-name": None, "mirror.linkerd.io/remote-gateway-ns": None}}}),
}


@pytest.mark.parametrize("edit", EDITS)
def test_edits_by_hand_are_put_right(source, web, edit):
    kind, patch = EDITS[edit]
    name = "web-east" if kind == "services" else "web-east.ipv4"
    right = content(source.api.get(kind, name, "demo"))
    source.api.patch(kind, name, patch, "demo")
    wait_until(lambda: cluster_has(source, kind, right, name), 15, "it is as it was")
    assert source.ready_addresses("web-east", "demo")


@pytest.mark.parametrize("kind, name", [("services", "web-east"), ("endpointslices", "web-east.ipv4")])
def test_deleted_by_hand_is_made_again(source, east, web, kind, name):
    source.api.delete(kind, name, "demo")
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "the mirror is back")


@pytest.fixture
def policy(source):
    """Policies of the API server itself, as a cluster's owner would set them."""
    made = []

    def make(kind, body):
        source.api.call("POST", f"{POLICIES}/{kind}", body)
        made.append((kind, body["metadata"]["name"]))

    yield make
    for kind, name in reversed(made):
        source.api.call("DELETE", f"{POLICIES}/{kind}/{name}")


def label_everything(policy):
    rules = [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["services"]},
             {"apiGroups": ["discovery.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["endpointslices"]}]
    policy("mutatingadmissionpolicies", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicy", "metadata": {"name": "team-label"},
        "spec": {"matchConstraints": {"resourceRules": rules}, "reinvocationPolicy": "Never", "failurePolicy": "Fail",
                 "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {
                     "expression": 'Object{metadata: Object.metadata{labels: {"team": "platform"}}}'}}]}})
    policy("mutatingadmissionpolicybindings", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": "team-label"},
        "spec": {"policyName": "team-label"}})


def updates(source, name):
    return [w for w in source.writes("svcmirror") if w["objectRef"].get("name") == name and w["verb"] in ("update", "patch")]


@pytest.mark.never_rests
def test_a_policy_that_labels_everything_is_not_fought(source, east, web, policy):
    before = len(updates(source, "web-east")), len(updates(source, "web-east.ipv4"))
    label_everything(policy)

    def labelled():
        source.api.patch("services", "web-east", {"metadata": {"annotations": {"touched": "yes"}}}, "demo")
        return source.api.get("services", "web-east", "demo")["metadata"]["labels"].get("team") == "platform"

    wait_until(labelled, 20, "the policy is in force")
    notes = wait_until(lambda: [e["note"] for e in source.api.list("events", AGENT_NAMESPACE) if e["reason"] == "UpdateUndone"], 20, "an Event")
    assert "Service demo/web-east" in notes[0] and "webhook or controller" in notes[0]
    # 0.2 s doubling: a dozen writes in the first minutes, where there would be thousands.
    assert len(updates(source, "web-east")) - before[0] < 15
    # Readiness is not held up by it.
    east.gateway.stop()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == [], 3, "unready")
    east.gateway.start()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 6, "ready again")
    assert len(updates(source, "web-east.ipv4")) - before[1] < 20


def namespaces_asked_for(source):
    return [w for w in source.writes("svcmirror") if w["objectRef"]["resource"] == "namespaces"]


def test_a_namespace_that_may_not_be_created(source, east, agent, policy):
    policy("validatingadmissionpolicies", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicy", "metadata": {"name": "no-new-namespaces"},
        "spec": {"failurePolicy": "Fail", "matchConstraints": {"resourceRules": [
            {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["namespaces"]}]},
            "validations": [{"expression": 'object.metadata.name != "held"', "message": "ask the platform team"}]}})
    policy("validatingadmissionpolicybindings", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "no-new-namespaces"},
        "spec": {"policyName": "no-new-namespaces", "validationActions": ["Deny"]}})

    def in_force():
        status, _ = source.api.raw("POST", "/api/v1/namespaces?dryRun=All", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "held"}})
        return status == 422

    wait_until(in_force, 20, "the policy is in force")
    before = len(namespaces_asked_for(source))
    east.gateway.start()
    east.gateway_service()
    for i in range(20):
        east.export(f"web-{i}", "held")
    east.link_secret(source)
    one = agent()
    wait_until(lambda: len([s for s in one.services() if s["reason"] == "Error" and "ask the platform team" in s["message"]]) == 20, 10, "each is told why")
    assert len(namespaces_asked_for(source)) - before < 8, "one asks for all"
    # Its owner makes it: all are there at once, whatever the back-off was at.
    source.api.call("DELETE", f"{POLICIES}/validatingadmissionpolicybindings/no-new-namespaces")
    source.api.call("POST", f"{POLICIES}/validatingadmissionpolicybindings", {
        "apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingAdmissionPolicyBinding", "metadata": {"name": "no-new-namespaces"},
        "spec": {"policyName": "no-new-namespaces", "validationActions": ["Audit"]}})
    wait_until(lambda: source.api.raw("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "held"}})[0] in (201, 409),
               20, "the namespace is made")
    wait_until(lambda: all(source.ready_addresses(f"web-{i}-east", "held") == east.gateway.addresses for i in range(20)), 10, "all are mirrored")


def has_cause(one, words):
    return any(s["reason"] == "Error" and words in s["message"] for s in one.services() if s["name"] == "web")


@pytest.mark.never_rests
@pytest.mark.usefixtures("link_crd")
@pytest.mark.parametrize("fault", ["a name that is taken", "a right that is missing"])
def test_a_slice_that_cannot_be_made_holds_up_nothing(source, east, agent, fault):
    """The Service is kept right all the same, each time that the exported one changes, and the slice comes once it can."""
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("web", labels={"step": "0"})
    east.link(source)
    taken = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "web-east.ipv4", "namespace": "demo"},
             "addressType": "IPv4", "endpoints": []}
    verbs = ["get", "list", "watch"] + ([] if fault == "a right that is missing" else ["create", "update", "patch", "delete"])
    rules = [{"apiGroups": [""], "resources": ["services", "namespaces", "secrets"], "verbs": ["*"]},
             {"apiGroups": ["multicluster.linkerd.io"], "resources": ["links", "links/status"], "verbs": ["*"]},
             {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["*"]},
             {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": verbs}]
    if fault == "a name that is taken":
        source.api.create("endpointslices", taken)
    token = source.service_account("without-slices", rules)
    one = agent(kubeconfig=write_file(source.token_kubeconfig(token)))
    words = "exists and is not svcmirror's" if fault == "a name that is taken" else "endpointslices"
    wait_until(lambda: has_cause(one, words), 10, "the cause is told")
    for step in ("1", "2", "3"):
        ports = [{"name": "http", "port": 8000 + int(step), "targetPort": 5000, "protocol": "TCP"}]
        east.api.patch("services", "web", {"metadata": {"labels": {"step": step}}, "spec": {"ports": ports}}, "demo")
        followed = lambda mirror: mirror["metadata"]["labels"]["step"] == step and [p["port"] for p in mirror["spec"]["ports"]] == [ports[0]["port"]]
        wait_until(lambda: followed(source.api.get("services", "web-east", "demo")), 5, f"the mirror follows step {step}")
    assert wait_until(lambda: has_cause(one, words), 10, "and the cause is told as before")
    assert source.ready_addresses("web-east", "demo") == []
    if fault == "a name that is taken":
        source.api.delete("endpointslices", "web-east.ipv4", "demo")
    else:
        source.service_account("without-slices", [*rules[:-1], {**rules[-1], "verbs": ["*"]}])
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 40, "and its slice is there once it can be")


@pytest.mark.usefixtures("link_crd")
def test_a_mirror_that_a_finalizer_holds_follows_its_gateway(source, east, agent):
    """Deleted by hand, and held by somebody: as long as it is there clients use it."""
    source.ensure_namespace("demo")
    east.gateway.start()
    east.export_labelled("web")
    east.link(source)
    agent()
    wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "the mirror is ready")
    source.api.patch("services", "web-east", {"metadata": {"finalizers": ["example.com/hold"]}}, "demo")
    source.api.delete("services", "web-east", "demo")
    for _ in range(2):
        east.gateway.stop()
        wait_until(lambda: source.ready_addresses("web-east", "demo") == [], 5, "unready with its gateway")
        east.gateway.start()
        wait_until(lambda: source.ready_addresses("web-east", "demo") == east.gateway.addresses, 5, "ready with its gateway")
    held = source.api.get("services", "web-east", "demo")
    source.api.patch("services", "web-east", {"metadata": {"finalizers": None}}, "demo")
    made_anew = lambda: (source.api.find("services", "web-east", "demo") or held)["metadata"]["uid"] != held["metadata"]["uid"]
    wait_until(lambda: made_anew() and source.ready_addresses("web-east", "demo") == east.gateway.addresses, 10, "made anew once it is gone")
