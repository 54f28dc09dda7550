"""Leases, and what the audit log tells of them: who could write when, and who did."""
import datetime

from .target import AGENT_NAMESPACE

LOCAL = "local-service-mirror-write"
PREFIX = "service-mirror-write-"
ELECTOR = "leader-election (svcmirror)"  # how the agent's requests about Leases name themselves


def holders(source):
    """{link: holder}, of all links that have one."""
    leases = {lease["metadata"]["name"]: lease["spec"].get("holderIdentity") for lease in source.api.list("leases", AGENT_NAMESPACE)}
    return {name.removeprefix(PREFIX): holder for name, holder in leases.items() if name.startswith(PREFIX) and holder}


def host(identity):
    """The HOSTNAME in an identity."""
    return identity.rsplit("_", 1)[0]


def shares(source):
    """{host: links}, each in order."""
    found = {}
    for link, holder in sorted(holders(source).items()):
        found.setdefault(host(holder), []).append(link)
    return found


def microtime(moment=None):
    return (moment or datetime.datetime.now(datetime.timezone.utc)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def hold(source, name, holder, seconds):
    """Somebody else takes the Lease, or renews it."""
    now = microtime()
    return source.api.apply("leases", {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name, "namespace": AGENT_NAMESPACE},
                                       "spec": {"holderIdentity": holder, "leaseDurationSeconds": seconds, "acquireTime": now, "renewTime": now}})


def release(source, name):
    return source.api.patch("leases", name, {"spec": {"holderIdentity": None, "leaseDurationSeconds": 1}}, AGENT_NAMESPACE)


def succeeded(entry):
    return entry.get("responseStatus", {}).get("code", 500) < 300


def mirror_writes(source):
    """Writes of the agent's to mirrors, oldest first: Services and what hangs on them."""
    return [w for w in source.writes("svcmirror") if w["objectRef"]["resource"] in ("services", "endpointslices", "endpoints")]


def written_object(entry):
    return entry["objectRef"].get("name") or (entry.get("requestObject") or {}).get("metadata", {}).get("name", "")


def tenures(source):
    """{lease: [[address, begin, end]]}: from when to when which address held it, by the API server's clock. `end` None: still."""
    found = {}
    for entry in sorted(source.writes(ELECTOR), key=lambda e: e["stageTimestamp"]):
        spec = (entry.get("requestObject") or {}).get("spec")
        if spec is None or not succeeded(entry):
            continue
        name = entry["objectRef"].get("name") or entry["requestObject"]["metadata"]["name"]
        of = found.setdefault(name, [])
        address, time = entry["sourceIPs"][0], entry["stageTimestamp"]
        same = of and of[-1][2] is None and of[-1][0] == address
        if spec.get("holderIdentity") and same:
            continue
        if of and of[-1][2] is None:
            of[-1][2] = entry["requestReceivedTimestamp"]
        if spec.get("holderIdentity"):
            of.append([address, time, None])
    return found


def trespasses(source, since, lease_of):
    """Writes to mirrors, since that moment, by somebody who did not hold their Lease while the request was under way. `lease_of(name)`: the Lease of
    a mirror's object."""
    held, found = tenures(source), []
    for entry in mirror_writes(source):
        name = written_object(entry)
        if entry["requestReceivedTimestamp"] < since:
            continue
        inside = [t for t in held.get(lease_of(name), []) if t[0] == entry["sourceIPs"][0] and
                  t[1] <= entry["stageTimestamp"] and (t[2] is None or entry["requestReceivedTimestamp"] <= t[2])]
        if not inside:
            found.append(f"{entry['requestReceivedTimestamp']} {entry['verb']} {name} by {entry['sourceIPs'][0]}")
    return found
