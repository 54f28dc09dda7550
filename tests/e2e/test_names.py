"""Names and namespaces of mirrors by annotations of their link, which namespaces services may choose, and a mirror that forgot its cluster."""
import json

import pytest
from cluster.checker import Options, differences
from cluster.expected import MIRROR, link_status, status_entry
from cluster.target import AGENT_NAMESPACE
from cluster.wait import wait_until

OURS = "svcmirror.io/"


def mirrors(source):
    return sorted(f"{s['metadata']['namespace']}/{s['metadata']['name']}" for s in source.api.list("services", labels=MIRROR + "mirrored-service=true")
                  if MIRROR + "mirrored-gateway" not in s["metadata"]["labels"])


def mark(cluster, kind, name, namespace, **annotations):
    return cluster.api.patch(kind, name, {"metadata": {"annotations": {OURS + k.replace("_", "-"): v for k, v in annotations.items()}}}, namespace)


def why(agent, source, what):
    answer = agent.command("why", what, "-o", "json", "--kubeconfig", source.admin_kubeconfig)
    [explanation] = json.loads(answer.stdout)
    return explanation


@pytest.mark.usefixtures("link_crd")
def test_names_and_namespaces_by_the_link(source, east, agent):
    for namespace in ("demo", "prod", "shared"):
        source.ensure_namespace(namespace)
    east.gateway.start()
    web = east.export_labelled("web")
    east.export_labelled("db", endpoints=None, clusterIP="None")
    east.host_slice("db", "demo", {"db-0": True})
    flat = east.service("flat", labels={MIRROR + "exported": "remote-discovery"})
    east.service("both", labels={MIRROR + "federated": "member"})
    mine = source.service("db-1")
    east.link_gen(source)
    on_link = lambda **annotations: mark(source, "links", "east", AGENT_NAMESPACE, **annotations)
    on_link(mirror_name="{name}")
    one = agent()

    def are(*expected):
        def check():
            assert mirrors(source) == sorted(expected)
            return differences(source, [east], options=Options()) == []
        wait_until(check, 15, "the mirrors have these names, and are right")

    are("demo/web", "demo/db", "demo/db-0", "demo/flat", "demo/both-federated")
    assert why(one, source, "demo/web")["ready"]
    # A pod whose mirror's name a user's Service has: only that one is not mirrored.
    east.host_slice("db", "demo", {"db-0": True, "db-1": True})
    wait_until(lambda: "NameCollision" in json.dumps(one.services()), 10, "the collision is told")
    assert source.api.get("services", "db-1", "demo")["metadata"]["resourceVersion"] == mine["metadata"]["resourceVersion"]
    east.host_slice("db", "demo", {"db-0": True})
    # A mistake changes nothing, and is told.
    on_link(mirror_name="{nam}")
    wait_until(lambda: any("{nam} is not known" in (link.get("problem") or "") for link in one.json("/api/v1/links")), 5, "the mistake is told")
    assert mirrors(source) == ["demo/both-federated", "demo/db", "demo/db-0", "demo/flat", "demo/web"]
    on_link(mirror_name="{cluster}-{name}")
    are("demo/east-web", "demo/east-db", "demo/east-db-0", "demo/east-flat", "demo/both-federated")
    # Into another namespace, but for what Linkerd resolves by the namespace.
    on_link(mirror_name=None, namespace_map="demo=prod", allowed_namespaces="")
    are("prod/web-east", "prod/db-east", "prod/db-0-east", "demo/both-federated")
    [told] = [s for s in one.services() if s["name"] == "flat"]
    assert (told["reason"], "has to be demo" in told["message"]) == ("InvalidService", True)
    wait_until(lambda: status_entry(flat, None, "InvalidService", told["message"]) in link_status(source, "east")["mirrorServices"], 5, "in the status")
    # A service may choose what the link allows, and nothing else.
    web = mark(east, "services", "web", "demo", export_namespace="shared")
    are("prod/db-east", "prod/db-0-east", "demo/both-federated")
    [told] = [s for s in one.services() if s["name"] == "web"]
    assert told["reason"] == "InvalidService" and "svcmirror.io/allowed-namespaces of link linkerd-multicluster/east" in told["message"]
    wait_until(lambda: status_entry(web, None, "InvalidService", told["message"]) in link_status(source, "east")["mirrorServices"], 5, "in the status")
    assert told["message"] in json.dumps(why(one, source, "demo/web")["facts"]).replace('\\"', '"')
    on_link(allowed_namespaces="sha*")
    are("shared/web-east", "prod/db-east", "prod/db-0-east", "demo/both-federated")
    # Somebody takes the label off; while no agent runs the service goes.
    forget = {"metadata": {"labels": {MIRROR + "cluster-name": None}}}
    source.api.patch("services", "web-east", forget, "shared")
    are("shared/web-east", "prod/db-east", "prod/db-0-east", "demo/both-federated")
    one.stop()
    source.api.patch("services", "web-east", forget, "shared")
    east.api.delete("services", "web", "demo")
    planned = json.loads(one.command("plan", "-o", "json", "--kubeconfig", source.admin_kubeconfig).stdout)
    assert ("delete", "Service", "shared", "web-east") in [(e["action"], e["kind"], e.get("namespace"), e["name"]) for e in planned]
    one.start()
    are("prod/db-east", "prod/db-0-east", "demo/both-federated")
