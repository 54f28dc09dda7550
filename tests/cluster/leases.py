"""Leases, and what the audit log tells of them: who could write when, and who did.

All moments but one are the API server's own: when it had a request, and when it had answered it. No other clock is compared with it, so none has to agree. A
write is whoever's held the Lease at any moment while the request was under way: it was sent after the Lease was won, and before it was lost. The exception is a
Lease that was won in a request of which the log knows nothing, because the API server was killed over it: it counts from its own acquireTime, by the clock of who won it.
"""
import datetime

from .target import AGENT_NAMESPACE

LOCAL = "local-service-mirror-write"
PREFIX = "service-mirror-write-"
ELECTOR = "leader-election (svcmirror)"  # how the agent's requests about Leases name themselves
UNSEEN_S = 1   # longer than a request takes: a Lease won so long before it is first told of was won in another request
ARRIVAL_S = 1  # an API server that goes on has read by then what waited before it


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


def later(moment, seconds):
    return microtime(datetime.datetime.fromisoformat(moment.replace("Z", "+00:00")) + datetime.timedelta(seconds=seconds))


def began(entry, spec):
    """When the Lease of this request was won, which is told for the first time here."""
    won = spec.get("acquireTime")
    return won if won and later(won, UNSEEN_S) < entry["requestReceivedTimestamp"] else entry["stageTimestamp"]


def tenures(source):
    """{lease: [[address, begin, end]]}: from when to when which address held it. `end` None: still."""
    found = {}
    for entry in sorted(source.writes(ELECTOR), key=lambda e: e["stageTimestamp"]):
        spec = (entry.get("requestObject") or {}).get("spec")
        if spec is None or not succeeded(entry):
            continue
        name = entry["objectRef"].get("name") or entry["requestObject"]["metadata"]["name"]
        of = found.setdefault(name, [])
        address = entry["sourceIPs"][0]
        same = of and of[-1][2] is None and of[-1][0] == address
        if spec.get("holderIdentity") and same:
            continue
        begin = began(entry, spec)
        if of and of[-1][2] is None:
            of[-1][2] = min(begin, entry["requestReceivedTimestamp"])
        if spec.get("holderIdentity"):
            of.append([address, begin, None])
    return found


def still_under_way(end, stalls):
    """Until when a write of who lost the Lease at `end` may arrive: one that was sent before may have waited for an API server that stood still."""
    return max([end, *(later(thawed, ARRIVAL_S) for frozen, thawed in stalls if frozen <= end <= later(thawed, ARRIVAL_S))])


def trespasses(source, since, lease_of, stalls=()):
    """Writes to mirrors, since that moment, by somebody who did not hold their Lease while the request was under way. `lease_of(name)`: the Lease of
    a mirror's object. `stalls`: [(from, to)] in which the API server stood still, and requests waited before it."""
    held, found = tenures(source), []
    for entry in mirror_writes(source):
        name = written_object(entry)
        if entry["requestReceivedTimestamp"] < since:
            continue
        inside = [t for t in held.get(lease_of(name), []) if t[0] == entry["sourceIPs"][0] and
                  t[1] <= entry["stageTimestamp"] and (t[2] is None or entry["requestReceivedTimestamp"] <= still_under_way(t[2], stalls))]
        if not inside:
            found.append(f"{entry['requestReceivedTimestamp']} {entry['verb']} {name} by {entry['sourceIPs'][0]}")
    return found
