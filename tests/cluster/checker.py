"""A second opinion: what must be mirrored, computed afresh from what the clusters hold, and compared with what is there.

It follows docs/mirrors.md rule by rule, one function for each, and shares nothing with the agent. Everything but `look`, `answers` and `differences`
is pure, on objects as the API gives them. Where the document leaves something open, either way is right here; such places say so.
"""
import base64
import dataclasses
import fnmatch
import http.client
import json
import re

MIRROR, MULTICLUSTER, OURS = "mirror.linkerd.io/", "multicluster.linkerd.io/", "svcmirror.io/"
MIRRORED, CLUSTER, HEADLESS_ROOT = MIRROR + "mirrored-service", MIRROR + "cluster-name", MIRROR + "headless-mirror-svc-name"
REMOTE_DISCOVERY, LOCAL_DISCOVERY, REMOTE_SERVICE = MULTICLUSTER + "remote-discovery", MULTICLUSTER + "local-discovery", MULTICLUSTER + "remote-service"
MADE_BY_EXPORT = OURS + "service-export"
SERVICE_NAME, MANAGED_BY = "kubernetes.io/service-name", "endpointslice.kubernetes.io/managed-by"
MANAGER = "svcmirror"
LONGEST_NAME = 63

ALWAYS_CARRIED = "config.linkerd.io/opaque-ports"
NEVER_CARRIED = ("argocd.argoproj.io/*", "kustomize.toolkit.fluxcd.io/*", "helm.toolkit.fluxcd.io/*", "meta.helm.sh/*",
                 "app.kubernetes.io/managed-by", "applyset.kubernetes.io/*", "config.k8s.io/owning-inventory", "kapp.k14s.io/*", "objectset.rio.cattle.io/*",
                 "kubectl.kubernetes.io/last-applied-configuration", "service.kubernetes.io/topology-aware-hints", "service.kubernetes.io/topology-mode")


@dataclasses.dataclass
class Options:
    """The agent's flags, as far as they decide what is mirrored."""
    namespace: str = "linkerd-multicluster"
    cluster_name: str = ""
    allowed_namespaces: str = "*"
    headless: bool = True
    take_exports: bool = False
    move_endpoints: bool = True
    create_namespaces: bool | None = None  # None: for 2.8's links only
    adopts: bool = True  # takes over what Linkerd left beside a mirror's Service
    federated_selector: dict | None = dataclasses.field(default_factory=lambda: {"matchLabels": {MIRROR + "federated": "member"}})


class View:
    """One cluster at one moment: for each resource the objects by (namespace, name). `served` are those that it has at all."""

    def __init__(self, **resources):
        self.served = set(resources)
        for resource in ("namespaces", "services", "endpointslices", "endpoints", "secrets", "links", "serviceexports", "serviceimports"):
            found = {}
            for obj in resources.get(resource, []):
                found[obj["metadata"].get("namespace"), obj["metadata"]["name"]] = obj
            setattr(self, resource, found)

    def slices_of(self, service):
        namespace, name = key_of(service)
        return [s for (ns, _), s in sorted(self.endpointslices.items()) if ns == namespace and labels_of(s).get(SERVICE_NAME) == name]


@dataclasses.dataclass
class Link:
    """One declared target, whichever way it was declared."""
    id: str
    created: str
    name: str
    cluster: str
    domain: str
    drained: bool
    spec: dict | None     # of a Link resource; None for a Secret of 2.8
    target: View | None   # None: it cannot be read, so nothing is known about its services
    marks: dict = dataclasses.field(default_factory=dict)  # our annotations, without their prefix
    agent_takes_exports: bool = False

    @property
    def is_2_8(self):
        return self.spec is None

    def service_export_of(self, service):
        """The ServiceExport that counts for the service; None when there is none, or such are not taken."""
        said = None if self.is_2_8 else self.marks.get("service-exports")
        taken = said == "true" or (self.agent_takes_exports and said != "false")
        return self.target.serviceexports.get(key_of(service)) if taken else None

    @property
    def gateway(self):
        """namespace/name of the gateway's Service in the target, where a Link names it."""
        return None if self.is_2_8 else self.marks.get("gateway")

    @property
    def order(self):
        return self.created, self.id


@dataclasses.dataclass
class Gateway:
    namespace: str | None = None
    name: str | None = None
    version: str | None = None  # of its Service; None when there is none
    addresses: list = dataclasses.field(default_factory=list)
    port: int | None = None     # None: nothing is known, so that the ports of slices are not judged
    identity: str = ""
    probe_port: int | None = None
    probe_path: str = ""
    probe_period: str = ""
    drained: bool = False
    declared: list = dataclasses.field(default_factory=list)  # addresses as they stand in the Service

    @property
    def probed(self):
        return bool(self.probe_path) and self.probe_port is not None


@dataclasses.dataclass
class World:
    """All that decides. `targets` are views by the URL of their API server; `alive` says whether a gateway's address answers; `resolve` knows names."""
    source: View
    targets: dict
    alive: object = lambda gateway, address: True
    resolve: object = lambda name: []
    options: Options = dataclasses.field(default_factory=Options)
    blind: tuple = ()  # clusters whose EndpointSlices may not be read

    def __post_init__(self):
        self.links = declared_links(self)


@dataclasses.dataclass
class Claim:
    """A reason for a mirror: what Service and which slices of it there must be."""
    key: tuple
    order: tuple
    service: dict
    slices: dict | None = dataclasses.field(default_factory=dict)  # by suffix of the name; None: not judged
    link: Link | None = None
    root: "Claim | None" = None  # of a hostname: that of its service, without whose mirror it is not wanted


# -- reading objects --


def key_of(obj):
    return obj["metadata"].get("namespace"), obj["metadata"]["name"]


def labels_of(obj):
    return obj["metadata"].get("labels") or {}


def annotations_of(obj):
    return obj["metadata"].get("annotations") or {}


def written_by_us(obj):
    return any(entry.get("manager") == MANAGER for entry in obj["metadata"].get("managedFields") or [])


def selects(selector, labels):
    """An empty or absent selector selects nothing."""
    wanted, expressions = (selector or {}).get("matchLabels") or {}, (selector or {}).get("matchExpressions") or []
    if not wanted and not expressions:
        return False

    def holds(expression):
        value, values = labels.get(expression["key"]), expression.get("values") or []
        return {"In": value in values, "NotIn": value not in values, "Exists": value is not None, "DoesNotExist": value is None}[expression["operator"]]
    return all(labels.get(k) == v for k, v in wanted.items()) and all(map(holds, expressions))


def words(text):
    return [word.strip() for word in text.split(",") if word.strip()]


# -- links and gateways --


def declared_links(world):
    """Of the declarations of each cluster name one: a Link before a Secret, then the oldest. Oldest first."""
    found = []
    for (namespace, name), obj in world.source.links.items():
        spec = obj.get("spec") or {}
        if namespace == world.options.namespace and spec.get("targetClusterName"):
            domain, target = spec.get("targetClusterDomain") or "cluster.local", target_of(world, spec.get("clusterCredentialsSecret"))
            found.append(Link("link/" + name, obj["metadata"]["creationTimestamp"], name, spec["targetClusterName"], domain, is_drained(obj), spec, target,
                              own_marks(obj), world.options.take_exports))
    for (namespace, name), obj in world.source.secrets.items():
        marks = annotations_of(obj)
        if (namespace == world.options.namespace and obj.get("type") == MIRROR + "remote-kubeconfig"
                and marks.get(CLUSTER) and marks.get(MIRROR + "remote-cluster-domain")):
            domain, target = marks[MIRROR + "remote-cluster-domain"], target_of(world, name)
            found.append(Link("secret/" + name, obj["metadata"]["creationTimestamp"], name, marks[CLUSTER], domain, is_drained(obj), None, target,
                              own_marks(obj), world.options.take_exports))
    chosen = {}
    for link in sorted(found, key=lambda link: (link.is_2_8, link.order)):
        chosen.setdefault(link.cluster, link)
    return sorted(chosen.values(), key=lambda link: link.order)


def target_of(world, secret_name):
    secret = world.source.secrets.get((world.options.namespace, secret_name)) or {}
    try:
        config = json.loads(base64.b64decode(secret["data"]["kubeconfig"]))
        return world.targets.get(config["clusters"][0]["cluster"]["server"])
    except (KeyError, ValueError, IndexError):
        return None


def own_marks(obj):
    return {k.removeprefix(OURS): v for k, v in annotations_of(obj).items() if k.startswith(OURS)}


def is_drained(obj):
    return annotations_of(obj).get(OURS + "drain") == "true"


def gateway_of_link(world, link):
    """The gateway that a Link spells out, or whose Service it names."""
    if link.gateway:
        return gateway_named_by_link(world, link)
    if not link.spec.get("gatewayAddress"):
        return Gateway(identity=link.spec.get("gatewayIdentity") or "")
    return Gateway(None, link.name, **spelt_out(world, link))


def gateway_named_by_link(world, link):
    """What the Link spells out goes before what the Service says, each field alone. Without the Service there is no gateway."""
    found = gateway_of_service(world, link.target.services.get(tuple(link.gateway.split("/"))))
    return dataclasses.replace(found, **spelt_out(world, link)) if found.name else found


def spelt_out(world, link):
    """The fields of a Gateway that the Link itself gives."""
    spec, probe = link.spec, link.spec.get("probeSpec") or {}
    addresses = [a for word in words(spec.get("gatewayAddress") or "") for a in ([word] if is_address(word) else world.resolve(word))]
    given = {"addresses": sorted(set(addresses)), "port": int(spec.get("gatewayPort") or 0), "identity": spec.get("gatewayIdentity"),
             "probe_port": int(probe.get("port") or 0), "probe_path": probe.get("path"), "probe_period": seconds(probe.get("period") or "")}
    return {field: value for field, value in given.items() if value}


def gateway_of_service(world, service):
    """The gateway that a Service of the target declares by its ports and annotations, the way of 2.8."""
    if service is None:
        return Gateway()
    marks, ports = annotations_of(service), {p.get("name"): p["port"] for p in service["spec"].get("ports") or []}
    addresses, declared = [], []
    for ingress in ((service.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []:
        addresses += [ingress["ip"]] if ingress.get("ip") else world.resolve(ingress["hostname"])
        declared.append(ingress.get("ip") or ingress["hostname"])
    return Gateway(*key_of(service), service["metadata"]["resourceVersion"], sorted(set(addresses)), ports.get("mc-gateway"),
                   marks.get(MIRROR + "gateway-identity", ""), ports.get("mc-probe"), marks.get(MIRROR + "probe-path", ""),
                   marks.get(MIRROR + "probe-period", ""), is_drained(service), declared)


def seconds(period):
    """A Link's period, which is a duration, as 2.8 writes it: a number of seconds. Other durations than of whole seconds stay."""
    return period[:-1] if period.endswith("s") and period[:-1].isdigit() else period


def is_address(text):
    return ":" in text or text.replace(".", "").isdigit()


def is_alive(world, gateway, address):
    """A gateway without a probe counts as alive."""
    return not gateway.probed or bool(world.alive(gateway, address))


def has_ready_endpoint(world, link, service):
    """2.8 does not look; where slices cannot be read a service counts as having endpoints."""
    if link.is_2_8 or link.cluster in world.blind:
        return True
    return any(is_ready(e) for s in link.target.slices_of(service) for e in s.get("endpoints") or [])


def is_ready(endpoint):
    return (endpoint.get("conditions") or {}).get("ready") in (True, None)


def hostnames(link, service):
    """{hostname: whether an endpoint of it is ready}"""
    found = {}
    for piece in link.target.slices_of(service):
        for endpoint in piece.get("endpoints") or []:
            if endpoint.get("hostname"):
                found[endpoint["hostname"]] = found.get(endpoint["hostname"], False) or is_ready(endpoint)
    return found


# -- which services, under which name --


def mode_of(link, service):
    """'gateway', 'discovery' or None; the latter's selector wins. A ServiceExport marks what a label does not."""
    if link.is_2_8:
        return "gateway" if {MIRROR + "gateway-name", MIRROR + "gateway-ns"} <= set(annotations_of(service)) else None
    if selects(link.spec.get("remoteDiscoverySelector"), labels_of(service)):
        return "discovery"
    return "gateway" if selects(link.spec.get("selector"), labels_of(service)) or link.service_export_of(service) else None


def is_by_export(link, service):
    """Whether nothing but a ServiceExport makes an export of it."""
    selectors = () if link.is_2_8 else (link.spec.get("selector"), link.spec.get("remoteDiscoverySelector"))
    return not link.is_2_8 and not any(selects(s, labels_of(service)) for s in selectors) and link.service_export_of(service) is not None


def wants_pods(link, service):
    """svcmirror.io/endpoints: the service's word before the Link's, and only words that are one."""
    said = [annotations_of(service).get(OURS + "endpoints"), link.marks.get("endpoints")]
    return not link.is_2_8 and next((word for word in said if word in ("pods", "gateway")), "gateway") == "pods"


def is_invalid(service):
    """What is never mirrored, in any mode."""
    return MIRRORED in labels_of(service) or service["spec"].get("type") == "ExternalName" or not service["spec"].get("ports")


def is_headless(service):
    return service["spec"].get("clusterIP") == "None"


def exported_here(world, service):
    """svcmirror.io/export-to"""
    wanted = annotations_of(service).get(OURS + "export-to")
    return wanted is None or world.options.cluster_name in words(wanted)


def exported_ports(service):
    """svcmirror.io/export-ports: the ports that are mirrored, None when it names one that is not there."""
    ports, wanted = service["spec"].get("ports") or [], annotations_of(service).get(OURS + "export-ports")
    if wanted is None:
        return ports
    for word in words(wanted):
        if not any(word in (p.get("name"), str(p["port"])) for p in ports):
            return None
    return [p for p in ports if {p.get("name"), str(p["port"])} & set(words(wanted))]


def templated_name(link, namespace, name):
    """svcmirror.io/mirror-name of the link, for a service or one of its hostnames."""
    values = {"{name}": name, "{namespace}": namespace, "{cluster}": link.cluster}
    return re.sub(r"{\w+}", lambda found: values[found[0]], link.marks.get("mirror-name") or "{name}-{cluster}")


def mapped_namespace(link, namespace):
    """svcmirror.io/namespace-map of the link"""
    pairs = dict(pair.split("=") for pair in re.split(r"[, ]+", link.marks.get("namespace-map", "")) if pair)
    return pairs.get(namespace, pairs.get("*", namespace))


def mirror_key(link, service):
    """svcmirror.io/export-name and export-namespace, else what the link makes of name and namespace."""
    namespace, name = key_of(service)
    marks = annotations_of(service)
    return marks.get(OURS + "export-namespace", mapped_namespace(link, namespace)), marks.get(OURS + "export-name", templated_name(link, namespace, name))


def may_be_there(world, link, service, mode):
    """Whether the mirror's namespace is the link's, or one that the service may choose; by remote discovery it is the service's own."""
    namespace, allowed = mirror_key(link, service)[0], link.marks.get("allowed-namespaces", world.options.allowed_namespaces)
    if mode == "discovery" and namespace != service["metadata"]["namespace"]:
        return False
    return namespace == mapped_namespace(link, service["metadata"]["namespace"]) or any(fnmatch.fnmatchcase(namespace, p) for p in re.split(r"[, ]+", allowed))


def may_be_headless(world, link, service):
    return (not link.is_2_8 and world.options.headless and is_headless(service)
            and "false" not in (annotations_of(service).get(OURS + "headless"), link.marks.get("headless")))


def wants_headless(world, link, service, existing):
    """With hostnames; once headless, for as long as nothing of the exported service is ready."""
    if link.cluster in world.blind or not may_be_headless(world, link, service):
        return False
    if hostnames(link, service):
        return True
    made_of_it = existing is not None and annotations_of(existing).get(MIRROR + "remote-svc-fq-name") == fq_name(link, service)
    return made_of_it and MIRRORED in labels_of(existing) and is_headless(existing) and not has_ready_endpoint(world, link, service)


# -- what a mirror is made of --


def carried(own, excluded, marks=("mirror.linkerd.io", MULTICLUSTER, OURS)):
    """Labels or annotations that come along."""
    def matches(key, pattern):
        return key.startswith(pattern[:-1]) if pattern.endswith("/*") else key == pattern
    return {k: v for k, v in own.items() if k == ALWAYS_CARRIED
            or not (k.startswith(marks) or any(matches(k, pattern) for pattern in (*NEVER_CARRIED, *excluded)))}


def labels_of_mirror(link, service, gateway, mode):
    ours = {MIRRORED: "true", CLUSTER: link.cluster}
    if link.is_2_8:
        marks = annotations_of(service)
        return {**ours, MIRROR + "remote-gateway-name": marks[MIRROR + "gateway-name"], MIRROR + "remote-gateway-ns": marks[MIRROR + "gateway-ns"]}
    if mode == "discovery":
        ours.update({REMOTE_DISCOVERY: link.cluster, REMOTE_SERVICE: service["metadata"]["name"]})
    return {**carried(labels_of(service), link.spec.get("excludedLabels") or []), **ours}


def annotations_of_mirror(link, service, gateway):
    ours = {MIRROR + "remote-resource-version": service["metadata"]["resourceVersion"], MIRROR + "remote-svc-fq-name": fq_name(link, service)}
    if link.is_2_8:
        return {**ours, **({MIRROR + "remote-gateway-resource-version": gateway.version} if gateway.version and gateway.port else {})}
    ours.update({MADE_BY_EXPORT: "true"} if is_by_export(link, service) else {})
    return {**carried(annotations_of(service), link.spec.get("excludedAnnotations") or []), **ours}


def fq_name(link, service, hostname=None):
    namespace, name = key_of(service)
    return (hostname + "." if hostname else "") + f"{name}.{namespace}.svc.{link.domain}"


def ports_of_mirror(ports):
    return [{k: p[k] for k in ("name", "protocol", "port", "targetPort", "appProtocol") if p.get(k) is not None} for p in ports]


def service_shape(labels, annotations, ports, headless=False):
    """`headless` None: either is right."""
    return {"labels": labels, "annotations": annotations, "type": "ClusterIP", "headless": headless, "selector": {}, "externalIPs": [],
            "internalTrafficPolicy": "Cluster", "publishNotReadyAddresses": False,
            "ports": sorted(ports_of_mirror(ports), key=lambda p: (p["port"], p.get("protocol", "")))}


def slice_labels(labels, mirror_name):
    """Those of the mirror, but not what only a resolver of the Service reads; Kubernetes' own two."""
    kept = {k: v for k, v in labels.items() if k not in (REMOTE_DISCOVERY, REMOTE_SERVICE)}
    return {**kept, SERVICE_NAME: mirror_name, MANAGED_BY: MANAGER}


def slice_annotations(gateway, name=None):
    return {**({MIRROR + "remote-svc-fq-name": name} if name else {}), **({MIRROR + "remote-gateway-identity": gateway.identity} if gateway.identity else {})}


def slice_shape(family, labels, annotations, endpoints, ports):
    """`ports` None: not judged."""
    return {"labels": labels, "annotations": annotations, "addressType": {"ipv4": "IPv4", "ipv6": "IPv6"}.get(family, family),
            "endpoints": sorted(endpoints, key=lambda e: (e["addresses"], e.get("hostname", ""))),
            "ports": None if ports is None else sorted(ports, key=lambda p: (p["name"], p["port"]))}


def gateway_ports(ports, gateway):
    """Every port of the Service leads to the gateway's one port."""
    if gateway.port is None:
        return None
    return [{"name": p.get("name") or "", "protocol": p.get("protocol", "TCP"), "port": gateway.port,
             **({"appProtocol": p["appProtocol"]} if p.get("appProtocol") else {})} for p in ports]


def gateway_slices(world, gateway, labels, annotations, ports, ready=True, empty=False, drained=False, moves=True):
    """One slice for each family that the gateway has addresses of; without addresses one that is empty."""
    found = {}
    for family in ("ipv4", "ipv6"):
        addresses = [a for a in gateway.addresses if (":" in a) == (family == "ipv6")]
        if addresses or (family == "ipv4" and not gateway.addresses):
            endpoints = [{"addresses": [a], "ready": ready and not drained and (not moves or is_alive(world, gateway, a))} for a in addresses]
            found[family] = slice_shape(family, labels, annotations, [] if empty else endpoints, ports)
    return found


def gateway_for(world, link, service):
    if not link.is_2_8:
        return gateway_of_link(world, link)
    marks = annotations_of(service)
    return gateway_of_service(world, link.target.services.get((marks[MIRROR + "gateway-ns"], marks[MIRROR + "gateway-name"])))


# -- the kinds of mirrors --


def through_a_gateway(world, link, service):
    key, ports, gateway = mirror_key(link, service), exported_ports(service), gateway_for(world, link, service)
    labels = labels_of_mirror(link, service, gateway, "gateway")
    slices = gateway_slices(world, gateway, slice_labels(labels, key[1]), slice_annotations(gateway, fq_name(link, service)), gateway_ports(ports, gateway),
                            empty=not has_ready_endpoint(world, link, service), drained=link.drained or gateway.drained, moves=world.options.move_endpoints)
    yield Claim(key, (1, *link.order), service_shape(labels, annotations_of_mirror(link, service, gateway), ports), slices, link)


def by_remote_discovery(world, link, service):
    """No slices. A headless service that changes its mode keeps its mirror, which cannot change whether it is headless: either is right."""
    labels = labels_of_mirror(link, service, None, "discovery")
    shape = service_shape(labels, annotations_of_mirror(link, service, None), exported_ports(service), None if is_headless(service) else False)
    yield Claim(mirror_key(link, service), (1, *link.order), shape, {}, link)


def with_the_targets_endpoints(world, link, service, mode):
    """Of each slice of the target one. What Linkerd would take for a way through a gateway is not on them. Where slices cannot be read a mirror stays as it
    is: whether it is headless already is open, as are its slices."""
    key, ports = mirror_key(link, service), exported_ports(service)
    labels = labels_of_mirror(link, service, None, mode)
    blind = link.cluster in world.blind
    headless = None if is_headless(service) and (blind or mode == "discovery") else may_be_headless(world, link, service)
    slices = None if blind else {}
    for piece in link.target.slices_of(service) if slices is not None else ():
        own = own_ports(piece, ports)
        if own or not piece.get("ports"):
            endpoints = [own_endpoint(e, link.drained) for e in piece.get("endpoints") or []]
            slices["pods." + piece["metadata"]["name"]] = slice_shape(piece["addressType"], slice_labels(labels, key[1]), {}, endpoints, own)
    yield Claim(key, (1, *link.order), service_shape(labels, annotations_of_mirror(link, service, None), ports, headless), slices, link)


def own_ports(piece, ports):
    """Those of the slice that the mirror has by name and protocol."""
    names = {(p.get("name") or "", p.get("protocol", "TCP")) for p in ports}
    found = [{k: p[k] for k in ("name", "protocol", "port", "appProtocol") if p.get(k) is not None} for p in piece.get("ports") or []]
    return [{"name": "", "protocol": "TCP", **p} for p in found if (p.get("name", ""), p.get("protocol", "TCP")) in names]


def own_endpoint(endpoint, drained):
    """As the target has it: address, hostname, zone and conditions, of these what would not be taken for granted."""
    conditions, ready = endpoint.get("conditions") or {}, is_ready(endpoint) and not drained
    serving = conditions.get("serving") if conditions.get("serving") is not None else is_ready(endpoint)
    rest = {**({"serving": True} if serving and not drained and not ready else {"serving": False} if ready and not serving else {}),
            **({"terminating": True} if conditions.get("terminating") else {})}
    return {"addresses": endpoint["addresses"][:1], "ready": ready, **({"conditions": rest} if rest else {}),
            **{k: endpoint[k] for k in ("hostname", "zone") if endpoint.get(k)}}


def headless_with_hostnames(world, link, service):
    key, ports, gateway, hosts = mirror_key(link, service), exported_ports(service), gateway_of_link(world, link), hostnames(link, service)
    labels, moves = labels_of_mirror(link, service, gateway, "gateway"), world.options.move_endpoints
    drained = link.drained or gateway.drained
    reachable = not moves or any(is_alive(world, gateway, a) for a in gateway.addresses)
    endpoints = []
    for host, ready in sorted(hosts.items()):
        address = address_of_hostname(world, (key[0], templated_name(link, service["metadata"]["namespace"], host)), key[1])
        if address and gateway.addresses:  # a gateway that cannot be used leaves no endpoint
            endpoints.append({"addresses": [address], "hostname": host, "ready": ready and reachable and not drained})
    own_ports = [{"name": p.get("name") or "", "protocol": p.get("protocol", "TCP"), "port": p["port"],
                  **({"appProtocol": p["appProtocol"]} if p.get("appProtocol") else {})} for p in ports]
    slices = {"ipv4": slice_shape("ipv4", slice_labels(labels, key[1]), slice_annotations(gateway, fq_name(link, service)), endpoints, own_ports)}
    root = Claim(key, (1, *link.order), service_shape(labels, annotations_of_mirror(link, service, gateway), ports, True), slices, link)
    yield root
    for host, ready in sorted(hosts.items()):
        own = {MIRRORED: "true", CLUSTER: link.cluster, HEADLESS_ROOT: key[1]}
        name, marks = templated_name(link, service["metadata"]["namespace"], host), {
            MIRROR + "remote-resource-version": service["metadata"]["resourceVersion"], MIRROR + "remote-svc-fq-name": fq_name(link, service, host)}
        marks.update({k: v for k, v in annotations_of(service).items() if k == ALWAYS_CARRIED})
        marks.update({MADE_BY_EXPORT: "true"} if is_by_export(link, service) else {})
        slices = gateway_slices(world, gateway, slice_labels(own, name), slice_annotations(gateway, fq_name(link, service, host)),
                                gateway_ports(ports, gateway), ready=ready, drained=drained, moves=moves)
        # A service goes before a hostname.
        yield Claim((key[0], name), (1, *link.order, "hostname"), service_shape(own, marks, ports), slices, link, root)


def address_of_hostname(world, key, root_name):
    """The ClusterIP of a hostname's own mirror, as it is there: None while it is not (then it is missing, or somebody else's)."""
    found = world.source.services.get(key)
    return found["spec"]["clusterIP"] if found and labels_of(found).get(HEADLESS_ROOT) == root_name else None


def gateway_mirrors(world, link):
    """The verdict on each gateway, in the namespace of the agent. Draining does not change it."""
    namespace = world.options.namespace
    labels = {MIRRORED: "true", CLUSTER: link.cluster, MIRROR + "mirrored-gateway": "true"}
    if link.is_2_8:
        found = [(f"{name}-{link.cluster}", gateway_of_service(world, s)) for (_, name), s in link.target.services.items()
                 if MIRROR + "multicluster-gateway" in annotations_of(s)]
    else:
        found = [("probe-" + link.name, gateway_of_link(world, link))]
    for name, gateway in found:
        if not gateway.probed:
            continue
        annotations = {}
        if link.is_2_8:
            annotations.update({MIRROR + "remote-gateway-resource-version": gateway.version, OURS + "gateway-addresses": ",".join(gateway.declared),
                                **({OURS + "drain": "true"} if gateway.drained else {})})
        if link.is_2_8 or link.gateway:
            annotations.update({MIRROR + "mirrored-gateway-remote-name": gateway.name, MIRROR + "mirrored-gateway-remote-namespace": gateway.namespace})
        annotations.update({MIRROR + "mirrored-gateway-probe-path": gateway.probe_path, MIRROR + "mirrored-gateway-probe-period": gateway.probe_period})
        port = {"name": "mc-probe", "protocol": "TCP", "port": gateway.probe_port}
        slices = gateway_slices(world, gateway, slice_labels(labels, name), slice_annotations(gateway), [port])
        yield Claim((namespace, name), (0, *link.order), service_shape(labels, annotations, [{**port, "targetPort": gateway.probe_port}]), slices, link)


def federated_services(world):
    """<service>-federated: made of its members, looking like the local one, else like that of the oldest Link."""
    members = {}
    if world.options.federated_selector:
        for key, service in world.source.services.items():
            if selects(world.options.federated_selector, labels_of(service)) and MIRRORED not in labels_of(service):
                members.setdefault(key, []).append((None, service))
    for link in world.links:
        if not link.is_2_8 and link.target:
            for key, service in link.target.services.items():
                if selects(link.spec.get("federatedServiceSelector"), labels_of(service)) and exported_here(world, service):
                    members.setdefault(key, []).append((link, service))
    for (namespace, name), found in members.items():
        found = [(link, service) for link, service in found if not is_invalid(service) and not is_headless(service)]
        lasting = [(link, service) for link, service in found if link is None or not link.drained]
        if found:  # one that is drained leaves, unless no other is left
            yield federated_service(namespace, name, lasting or found)


def federated_service(namespace, name, members):
    link, service = min(members, key=lambda member: (member[0] is not None, member[0] and (member[0].created, member[0].name)))
    excluded = link.spec if link else {}
    labels = {**carried(labels_of(service), excluded.get("excludedLabels") or []), MIRRORED: "true"}
    remote = ",".join(sorted(f"{name}@{link.cluster}" for link, _ in members if link))
    annotations = {**carried(annotations_of(service), excluded.get("excludedAnnotations") or []), **({REMOTE_DISCOVERY: remote} if remote else {}),
                   **({LOCAL_DISCOVERY: name} if any(link is None for link, _ in members) else {})}
    order = (1, link.created if link else "", link.id if link else "")
    return Claim((namespace, name + "-federated"), order, service_shape(labels, annotations, service["spec"]["ports"]))


def mirrors_of(world, link, service):
    """What one exported service becomes through one link."""
    mode = mode_of(link, service)
    if mode is None or is_invalid(service) or not exported_here(world, service) or exported_ports(service) is None:
        return ()
    key = mirror_key(link, service)
    if not may_be_there(world, link, service, mode):
        return ()
    if wants_pods(link, service):
        return with_the_targets_endpoints(world, link, service, mode)
    if mode == "discovery":
        return by_remote_discovery(world, link, service)
    if wants_headless(world, link, service, world.source.services.get(key)):
        return headless_with_hostnames(world, link, service)
    return through_a_gateway(world, link, service)


# -- whose is a name --


def is_foreign(world, obj, claim):
    """Without mirror labels, unless it is one of ours that somebody took them off; or others' mirror of a cluster that is not linked."""
    if written_by_us(obj):
        return False
    cluster = labels_of(obj).get(CLUSTER)
    return MIRRORED not in labels_of(obj) or (not is_linked(world, cluster) and not (claim.link is None and cluster is None))


def is_linked(world, cluster):
    return any(link.cluster == cluster for link in world.links)


def claims(world):
    for link in world.links:
        if link.target:
            yield from gateway_mirrors(world, link)
            for _, service in sorted(link.target.services.items()):
                yield from mirrors_of(world, link, service)
    yield from federated_services(world)


def namespace_is_there(world, claim):
    """2.8's links create namespaces, Links wait for them."""
    wanted = world.options.create_namespaces
    creates = wanted if wanted is not None else claim.link is not None and claim.link.is_2_8
    return creates or (None, claim.key[0]) in world.source.namespaces


def expected(world):
    """{(namespace, name): Claim}: for each name the claim that has it."""
    wanted = [c for c in claims(world) if len(c.key[1]) <= LONGEST_NAME and namespace_is_there(world, c)]

    by_name = {}
    for claim in sorted(wanted, key=lambda c: c.order):
        by_name.setdefault(claim.key, []).append(claim)

    def first(key):
        return next((c for c in by_name.get(key, ()) if c.root is None or has_its_name(c.root)), None)

    def has_its_name(claim):
        there = world.source.services.get(claim.key)
        return first(claim.key) is claim and not (there and is_foreign(world, there, claim))
    return {claim.key: claim for claim in map(first, by_name) if claim and has_its_name(claim)}


def may_stay(world, obj):
    """What nothing accounts for and is not ours to judge: of others, when no link of its cluster is there, and of targets that cannot be read. Of which
    cluster a mirror without that label was, only all targets together tell."""
    cluster = labels_of(obj).get(CLUSTER)
    if any(cluster in (link.cluster, None) and not link.target for link in world.links):
        return True
    return not written_by_us(obj) and not is_linked(world, cluster)


# -- ServiceImports --


def expected_imports(world):
    """{(namespace, name): shape}: for each name what leads to the mirror of the service whose ServiceExport is oldest, of those that have one."""
    mirrors, found = expected(world), {}
    for link in world.links:
        for key, service in link.target.services.items() if link.target else ():
            export = link.service_export_of(service)
            mirror = world.source.services.get(mirror_key(link, service))
            claim = mirrors.get(mirror_key(link, service))
            if export and mirror and claim and claim.link is link and claim.service["annotations"][MIRROR + "remote-svc-fq-name"] == fq_name(link, service):
                order = (export["metadata"]["creationTimestamp"], link.cluster)
                found.setdefault(key, []).append((order, import_shape(link, service, mirror)))
    return {key: min(shapes, key=lambda s: s[0])[1] for key, shapes in found.items()}


def import_shape(link, service, mirror):
    headless, by_gateway = is_headless(service), mode_of(link, service) == "gateway" and not link.is_2_8
    ports = [{k: v for k, v in p.items() if k != "targetPort"} for p in ports_of_mirror(exported_ports(service))]
    affinity = service["spec"].get("sessionAffinity", "None") if by_gateway and not headless else "None"
    return {"labels": {MIRRORED: "true", CLUSTER: link.cluster}, "annotations": {MIRROR + "remote-svc-fq-name": fq_name(link, service), MADE_BY_EXPORT: "true"},
            "type": "Headless" if headless else "ClusterSetIP", "ips": [] if headless else [mirror["spec"]["clusterIP"]], "ports": ports,
            "affinity": affinity, "clusters": [link.cluster]}


def shape_of_import(obj, wanted):
    """What others noted on it does not count."""
    spec, ours = obj["spec"], {**wanted["labels"], **wanted["annotations"]}
    clusters = [c["cluster"] for c in (obj.get("status") or {}).get("clusters") or []]
    return {"labels": {k: v for k, v in labels_of(obj).items() if k in ours}, "annotations": {k: v for k, v in annotations_of(obj).items() if k in ours},
            "type": spec.get("type"), "ips": spec.get("ips") or [], "ports": spec.get("ports") or [], "affinity": spec.get("sessionAffinity", "None"),
            "clusters": clusters}


def compare_imports(world):
    if "serviceimports" not in world.source.served:
        return
    wanted, there = expected_imports(world), world.source.serviceimports
    for (namespace, name), shape in sorted(wanted.items()):
        found = there.get((namespace, name))
        if found is None and (None, namespace) in world.source.namespaces:
            yield f"ServiceImport {namespace}/{name} is missing"
        elif found is not None and (written_by_us(found) or MIRRORED in labels_of(found)):
            yield from unlike(f"ServiceImport {namespace}/{name}", shape_of_import(found, shape), shape)
    for key, found in sorted(there.items()):
        if MIRRORED in labels_of(found) and key not in wanted and not may_stay(world, found):
            yield f"ServiceImport {key[0]}/{key[1]} is too many"


# -- comparing --


def shape_of_service(obj):
    spec = obj["spec"]
    return {**service_shape(labels_of(obj), annotations_of(obj), spec.get("ports") or [], is_headless(obj)), "type": spec.get("type"),
            "selector": spec.get("selector") or {}, "externalIPs": spec.get("externalIPs") or [],
            "internalTrafficPolicy": spec.get("internalTrafficPolicy", "Cluster"), "publishNotReadyAddresses": spec.get("publishNotReadyAddresses", False)}


def shape_of_slice(obj):
    def endpoint(e):
        conditions = dict(e.get("conditions") or {})
        ready = conditions.pop("ready", None)
        if conditions.get("serving") == ready:  # as it counts when absent
            conditions.pop("serving")
        if conditions.get("terminating") is False:
            conditions.pop("terminating")
        return {**{k: v for k, v in e.items() if k != "conditions"}, "ready": ready, **({"conditions": conditions} if conditions else {})}
    ports = [{"name": p.get("name") or "", **{k: v for k, v in p.items() if k != "name"}} for p in obj.get("ports") or []]
    return {"labels": labels_of(obj), "annotations": annotations_of(obj), "addressType": obj["addressType"],
            "endpoints": sorted(map(endpoint, obj.get("endpoints") or []), key=lambda e: (e["addresses"], e.get("hostname", ""))),
            "ports": sorted(ports, key=lambda p: (p["name"], p["port"]))}


def unlike(what, is_, should):
    """One line for each field, label or annotation in which two shapes differ."""
    for field, wanted in should.items():
        if wanted is None:
            continue
        if isinstance(wanted, dict):
            for key in sorted(set(wanted) | set(is_[field])):
                a, b = is_[field].get(key), wanted.get(key)
                if a != b:
                    yield f"{what}: {field.rstrip('s')} {key} is {'missing' if a is None else a}, should {'not be' if b is None else f'be {b}'}"
        elif is_[field] != wanted:
            yield f"{what}: {field} is {is_[field]}, should be {wanted}"


def compare(world):
    wanted, source = expected(world), world.source
    for key, claim in sorted(wanted.items()):
        what = f"{key[0]}/{key[1]}"
        if (None, key[0]) not in source.namespaces:
            yield f"Namespace {key[0]} is missing, {what} waits for it"
            continue
        if key not in source.services:
            yield f"Service {what} is missing"
            continue
        yield from unlike(f"Service {what}", shape_of_service(source.services[key]), claim.service)
        yield from compare_slices(source, key, claim)
        if world.options.adopts:
            yield from left_by_others(source, key)
    for key, service in sorted(source.services.items()):
        if MIRRORED in labels_of(service) and key not in wanted and not may_stay(world, service):
            yield f"Service {key[0]}/{key[1]} is too many"
    for key, piece in sorted(source.endpointslices.items()):
        of_wanted = (key[0], key[1].partition(".")[0]) in wanted  # compared with what is wanted
        if labels_of(piece).get(MANAGED_BY) == MANAGER and not of_wanted and not may_stay(world, piece):
            yield f"EndpointSlice {key[0]}/{key[1]} is too many"
    yield from compare_imports(world)


def compare_slices(source, key, claim):
    """A gateway's slice without endpoints beside another one may be there or not."""
    there = {family: source.endpointslices.get((key[0], f"{key[1]}.{family}")) for family in ("ipv4", "ipv6", *(claim.slices or ()))}
    for (namespace, name), piece in source.endpointslices.items():
        mirror, _, suffix = name.partition(".")
        if (namespace, mirror) == key and labels_of(piece).get(MANAGED_BY) == MANAGER:
            there[suffix] = piece
    of_gateway = all(suffix in ("ipv4", "ipv6") for suffix in claim.slices or ())
    owner = {"apiVersion": "v1", "kind": "Service", "name": key[1], "uid": source.services[key]["metadata"]["uid"]}
    for family in sorted(there) if claim.slices is not None else ():
        what, piece, should = f"EndpointSlice {key[0]}/{key[1]}.{family}", there[family], claim.slices.get(family)
        if piece is None:
            if should and (should["endpoints"] or not of_gateway or not any(there.values())):
                yield f"{what} is missing"
        elif should is None:
            if not claim.slices or not of_gateway or family not in ("ipv4", "ipv6") or piece.get("endpoints"):
                yield f"{what} is too many"
        else:
            yield from unlike(what, shape_of_slice(piece), should)
            if piece["metadata"].get("ownerReferences") != [owner]:
                yield f"{what}: its owner is {piece['metadata'].get('ownerReferences')}, should be the Service {owner['uid']}"


def left_by_others(source, key):
    """Linkerd's Endpoints go, and so does what Kubernetes made of them or of a selector: it would lead past the gateway."""
    if key in source.endpoints and MIRRORED in labels_of(source.endpoints[key]):  # others may be a user's own
        yield f"Endpoints {key[0]}/{key[1]}: there beside our slices"
    for piece in source.slices_of(source.services[key]):
        manager = labels_of(piece).get(MANAGED_BY)
        if MIRRORED in labels_of(piece) and manager != MANAGER and piece.get("endpoints"):
            yield f"EndpointSlice {key[0]}/{piece['metadata']['name']} of {manager}: there beside ours"


# -- real clusters --


def look(cluster, resources):
    """What a cluster holds now; a resource that is not served is empty."""
    found = {}
    for resource in resources:
        status, body = cluster.api.raw("GET", cluster.api.path(resource))
        assert status in (200, 404), f"{cluster.name}: {resource}: {status} {body[:200]}"
        if status == 200:
            found[resource] = json.loads(body)["items"]
    return View(**found)


def answers(gateway, address, timeout=1.0):
    """Asks as a probe asks: 200 is alive, nothing else."""
    connection = http.client.HTTPConnection(address, gateway.probe_port, timeout=timeout)
    try:
        connection.request("GET", "/" + gateway.probe_path.lstrip("/"), headers={"Host": gateway.name})
        return connection.getresponse().status == 200
    except OSError:
        return False
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


def differences(source, targets, alive=None, resolve=None, options=None, blind=()):
    """Lines that say in what the mirrors in `source` are not as they must be: none when all is well.

    `alive` is a set of gateway addresses, or None: each is asked, once. The clusters are read one after the other: what just changes may differ.
    """
    asked = {}

    def ask(gateway, address):
        question = (address, gateway.probe_port, gateway.probe_path)
        if question not in asked:
            asked[question] = answers(gateway, address)
        return asked[question]
    views = {target.server: look(target, ("services", "endpointslices", "serviceexports")) for target in targets}
    view = look(source, ("namespaces", "services", "endpointslices", "endpoints", "secrets", "links", "serviceimports"))
    judge = ask if alive is None else lambda _, address: address in alive
    return list(compare(World(view, views, judge, resolve or (lambda name: []), options or Options(), blind)))
