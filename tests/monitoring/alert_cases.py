"""For each alert: what is measured, and for which labels it fires then. `promtool test rules` runs them.

A case is (what it shows, {series: values as promtool writes them}, when to look, [labels of those that fire]), with a value each 15 s, or each 5 min for what takes
days. Every alert has a case in which it fires and one, as near to that as can be, in which it does not."""

GATEWAY = 'target_cluster_name="east",gateway_namespace="ambassador",gateway_name="ambassador"'
EAST = {"target_cluster_name": "east", "gateway_namespace": "ambassador", "gateway_name": "ambassador"}
A, B = (
    'job="svcmirror",instance="10.0.0.1:9999",pod="svcmirror-a",namespace="linkerd-multicluster"',
    'job="svcmirror",instance="10.0.0.2:9999",pod="svcmirror-b",namespace="linkerd-multicluster"',
)
MINUTE = 4  # in values of 15 s
HOUR, DAY = 12, 288  # in values of 5 min


def gateway(metric, value, pod=A, more=""):
    return {f"{metric}{{{GATEWAY}{more},{pod}}}": value}


def buckets(metric, labels, counts):
    """Cumulative counts that grow by so much each 15 s, by upper bound."""
    return {f'{metric}_bucket{{{labels},le="{bound}"}}': f"0+{count}x200" for bound, count in counts.items()}


def expiry(pod, values, kind="token", cluster="east"):
    return {f'svcmirror_credentials_expiry_timestamp_seconds{{cluster="{cluster}",kind="{kind}",{pod}}}': values}


def renewal(pod, values, cluster="east"):
    return {f'svcmirror_token_renewal_timestamp_seconds{{cluster="{cluster}",kind="token",{pod}}}': values}


# Each 15 s.
CASES = {
    "SvcmirrorAbsent": [
        ("the only agent is gone", {f'svcmirror_build_info{{version="0.1.0",{A}}}': f"1x{5 * MINUTE} stale"}, "12m", [{}]),
        (
            "one of two is left",
            {f'svcmirror_build_info{{version="0.1.0",{A}}}': "1x20 stale", f'svcmirror_build_info{{version="0.1.0",{B}}}': "1x100"},
            "12m",
            [],
        ),
        ("gone for a moment", {f'svcmirror_build_info{{version="0.1.0",{A}}}': f"1x{5 * MINUTE} _x{2 * MINUTE} 1x100"}, "12m", []),
    ],
    "SvcmirrorRestarting": [
        (
            "four starts",
            {f"process_start_time_seconds{{{A}}}": "1x20 2x20 3x20 4x20 5x20", f"svcmirror_build_info{{{A}}}": "1x110"},
            "26m",
            [{"job": "svcmirror", "instance": "10.0.0.1:9999", "pod": "svcmirror-a", "namespace": "linkerd-multicluster"}],
        ),
        ("an update", {f"process_start_time_seconds{{{A}}}": "1x20 2x90", f"svcmirror_build_info{{{A}}}": "1x110"}, "26m", []),
        (
            "somebody else's process",
            {
                'process_start_time_seconds{job="other",instance="10.0.0.9:80"}': "1x20 2x20 3x20 4x20 5x20",
                f"svcmirror_build_info{{{A}}}": "1x110",
            },
            "26m",
            [],
        ),
    ],
    "SvcmirrorLoopBlocked": [
        (
            "a turn in fifty is slow",
            buckets("svcmirror_loop_busy_seconds", A, {"0.1": 98, "0.5": 100, "+Inf": 100}),
            "30m",
            [{"job": "svcmirror", "instance": "10.0.0.1:9999"}],
        ),
        ("a turn in a thousand is", buckets("svcmirror_loop_busy_seconds", A, {"0.1": 999, "0.5": 1000, "+Inf": 1000}), "30m", []),
    ],
    "SvcmirrorGatewayDead": [
        (
            "for both replicas",
            {
                **gateway("gateway_alive", "1x4 0x20"),
                **gateway("gateway_alive", "1x4 0x20", B),
                **gateway("svcmirror_gateway_usable", "1x30"),
            },
            "4m",
            [EAST],
        ),
        (
            "one replica reaches it",
            {**gateway("gateway_alive", "0x30"), **gateway("gateway_alive", "1x30", B), **gateway("svcmirror_gateway_usable", "1x30")},
            "4m",
            [],
        ),
        ("for half a minute", {**gateway("gateway_alive", "1x8 0x2 1x20"), **gateway("svcmirror_gateway_usable", "1x30")}, "4m", []),
        ("it is not there at all", {**gateway("gateway_alive", "0x30"), **gateway("svcmirror_gateway_usable", "0x30")}, "4m", []),
    ],
    "SvcmirrorGatewayUnusable": [
        ("it lacks an address", gateway("svcmirror_gateway_usable", "0x60"), "10m", [EAST]),
        ("it had none for a moment", gateway("svcmirror_gateway_usable", "1x10 0x4 1x60"), "10m", []),
    ],
    "SvcmirrorGatewayAddressDead": [
        (
            "one of two",
            {
                **gateway("svcmirror_gateway_address_alive", "0x60", A, ',address="192.0.2.1"'),
                **gateway("svcmirror_gateway_address_alive", "1x60", A, ',address="192.0.2.2"'),
                **gateway("gateway_alive", "1x60"),
            },
            "10m",
            [{**EAST, "address": "192.0.2.1"}],
        ),
        (
            "all of them: the gateway's own alert",
            {**gateway("svcmirror_gateway_address_alive", "0x60", A, ',address="192.0.2.1"'), **gateway("gateway_alive", "0x60")},
            "10m",
            [],
        ),
        (
            "another gateway's is alive",
            {
                **gateway("svcmirror_gateway_address_alive", "0x60", A, ',address="192.0.2.1"'),
                **gateway("gateway_alive", "0x60"),
                f'gateway_alive{{target_cluster_name="north",gateway_namespace="ambassador",gateway_name="ambassador",{A}}}': "1x60",
            },
            "10m",
            [],
        ),
    ],
    "SvcmirrorGatewayFlapping": [
        (
            "eight changes",
            {
                **gateway("svcmirror_gateway_transitions_total", "0+0.1x60", A, ',verdict="dead"'),
                **gateway("svcmirror_gateway_transitions_total", "0+0.1x60", A, ',verdict="alive"'),
            },
            "15m",
            [EAST],
        ),
        (
            "two, seen by both replicas",
            {
                **gateway("svcmirror_gateway_transitions_total", "1x20 2x40", A, ',verdict="dead"'),
                **gateway("svcmirror_gateway_transitions_total", "1x20 2x40", B, ',verdict="dead"'),
                **gateway("svcmirror_gateway_transitions_total", "1x30 2x30", A, ',verdict="alive"'),
            },
            "15m",
            [],
        ),
    ],
    "SvcmirrorGatewayDisputed": [
        ("one replica is cut off", {**gateway("gateway_alive", "1x60"), **gateway("gateway_alive", "0x60", B)}, "10m", [EAST]),
        ("both see the same", {**gateway("gateway_alive", "0x60"), **gateway("gateway_alive", "0x60", B)}, "10m", []),
        ("one was a moment later", {**gateway("gateway_alive", "1x20 0x40"), **gateway("gateway_alive", "1x22 0x40", B)}, "10m", []),
    ],
    "SvcmirrorFlipsSlow": [
        (
            "ten seconds",
            buckets("svcmirror_flip_duration_seconds", f'target_cluster_name="east",{A}', {"1": 0, "5": 1, "10": 10, "+Inf": 10}),
            "30m",
            [{"target_cluster_name": "east"}],
        ),
        (
            "half a second",
            buckets("svcmirror_flip_duration_seconds", f'target_cluster_name="east",{A}', {"0.5": 10, "5": 10, "10": 10, "+Inf": 10}),
            "30m",
            [],
        ),
    ],
    "SvcmirrorLinkUnreachable": [
        (
            "for one of the replicas",
            {
                f'svcmirror_link_api_reachable{{target_cluster_name="east",{A}}}': "0x60",
                f'svcmirror_link_api_reachable{{target_cluster_name="east",{B}}}': "1x60",
            },
            "10m",
            [{"target_cluster_name": "east"}],
        ),
        ("for two minutes", {f'svcmirror_link_api_reachable{{target_cluster_name="east",{A}}}': "1x10 0x8 1x60"}, "6m", []),
    ],
    "SvcmirrorDataStale": [
        (
            "a quarter of an hour",
            {f'svcmirror_link_event_age_seconds{{target_cluster_name="east",{A}}}': "0+15x60"},
            "15m",
            [{"target_cluster_name": "east"}],
        ),
        (
            "bookmarks come each minute",
            {f'svcmirror_link_event_age_seconds{{target_cluster_name="east",{A}}}': "0 15 30 45 60 0 15 30 45 60x60"},
            "15m",
            [],
        ),
    ],
    "SvcmirrorLinkNotSynced": [
        (
            "although the API answers",
            {
                f'svcmirror_link_synced{{target_cluster_name="east",{A}}}': "0x80",
                f'svcmirror_link_api_reachable{{target_cluster_name="east",{A}}}': "1x80",
            },
            "15m",
            [{"target_cluster_name": "east"}],
        ),
        (
            "because it does not: the other alert's matter",
            {
                f'svcmirror_link_synced{{target_cluster_name="east",{A}}}': "0x80",
                f'svcmirror_link_api_reachable{{target_cluster_name="east",{A}}}': "0x80",
            },
            "15m",
            [],
        ),
        (
            "within a long listing",
            {
                f'svcmirror_link_synced{{target_cluster_name="east",{A}}}': "0x20 1x80",
                f'svcmirror_link_api_reachable{{target_cluster_name="east",{A}}}': "1x80",
            },
            "15m",
            [],
        ),
    ],
    "SvcmirrorLinkInvalid": [
        (
            "for both replicas, told once",
            {
                f'svcmirror_link_invalid{{kind="Link",name="west",{A}}}': "1x60",
                f'svcmirror_link_invalid{{kind="Link",name="west",{B}}}': "1x60",
            },
            "10m",
            [{"kind": "Link", "name": "west"}],
        ),
        ("mended at once", {f'svcmirror_link_invalid{{kind="Link",name="west",{A}}}': "1x8 _x50"}, "10m", []),
    ],
    "SvcmirrorDeclarationsUnreadable": [
        (
            "no right to Secrets",
            {
                f'svcmirror_declarations_readable{{resource="secrets",{A}}}': "0x60",
                f'svcmirror_declarations_readable{{resource="links",{A}}}': "1x60",
            },
            "10m",
            [{"resource": "secrets"}],
        ),
        ("an API server that restarts", {f'svcmirror_declarations_readable{{resource="secrets",{A}}}': "1x20 0x8 1x60"}, "10m", []),
    ],
    "SvcmirrorServicesNotMirrored": [
        (
            "names that are taken",
            {
                f'svcmirror_services{{target_cluster_name="east",reason="NameCollision",{A}}}': "2x100",
                f'svcmirror_services{{target_cluster_name="east",reason="NameCollision",{B}}}': "2x100",
            },
            "20m",
            [{"target_cluster_name": "east", "reason": "NameCollision"}],
        ),
        ("all are mirrored", {f'svcmirror_services{{target_cluster_name="east",reason="Mirrored",{A}}}': "7x100"}, "20m", []),
        ("waiting for a minute", {f'svcmirror_services{{target_cluster_name="east",reason="Pending",{A}}}': "7x4 _x100"}, "20m", []),
    ],
    "SvcmirrorCredentialUnusable": [
        (
            "its Secret is missing",
            {f'svcmirror_credentials_usable{{target_cluster_name="east",{A}}}': "0x60"},
            "10m",
            [{"target_cluster_name": "east"}],
        ),
        ("in use again", {f'svcmirror_credentials_usable{{target_cluster_name="east",{A}}}': "0x10 1x60"}, "10m", []),
    ],
    "SvcmirrorCredentialReloadFailing": [
        (
            "half an hour",
            {f'svcmirror_credentials_reloads_total{{cluster="local",kind="token",result="failed",{A}}}': "0+0.25x200"},
            "40m",
            [{"cluster": "local", "kind": "token"}],
        ),
        ("once", {f'svcmirror_credentials_reloads_total{{cluster="local",kind="token",result="failed",{A}}}': "0x10 1x190"}, "40m", []),
        (
            "it changes and is used",
            {f'svcmirror_credentials_reloads_total{{cluster="local",kind="token",result="changed",{A}}}': "0+0.25x200"},
            "40m",
            [],
        ),
    ],
    "SvcmirrorWritesFailing": [
        (
            "a right is missing: twice a minute",
            {f'svcmirror_write_failures_total{{verb="create",kind="Service",code="forbidden",{A}}}': "0+0.5x100"},
            "20m",
            [{"verb": "create", "kind": "Service", "code": "forbidden"}],
        ),
        (
            "conflicts belong to the work",
            {f'svcmirror_write_failures_total{{verb="update",kind="Service",code="conflict",{A}}}': "0+0.5x100"},
            "20m",
            [],
        ),
        (
            "one that was over soon",
            {f'svcmirror_write_failures_total{{verb="create",kind="Service",code="server",{A}}}': "0x4 3x100"},
            "20m",
            [],
        ),
    ],
    "SvcmirrorNobodyLeads": [
        (
            "no replica",
            {f'svcmirror_lease_held{{cluster="east",{A}}}': "0x60", f'svcmirror_lease_held{{cluster="east",{B}}}': "0x60"},
            "5m",
            [{"cluster": "east"}],
        ),
        (
            "the other one",
            {f'svcmirror_lease_held{{cluster="east",{A}}}': "0x60", f'svcmirror_lease_held{{cluster="east",{B}}}': "1x60"},
            "5m",
            [],
        ),
        (
            "for the time of a takeover",
            {f'svcmirror_lease_held{{cluster="east",{A}}}': "1x10 0x40", f'svcmirror_lease_held{{cluster="east",{B}}}': "0x12 1x40"},
            "5m",
            [],
        ),
    ],
    "SvcmirrorSeveralLead": [
        (
            "two",
            {f'svcmirror_lease_held{{cluster="east",{A}}}': "1x60", f'svcmirror_lease_held{{cluster="east",{B}}}': "1x60"},
            "5m",
            [{"cluster": "east"}],
        ),
        (
            "one each of two links",
            {f'svcmirror_lease_held{{cluster="east",{A}}}': "1x60", f'svcmirror_lease_held{{cluster="north",{B}}}': "1x60"},
            "5m",
            [],
        ),
        (
            "scraped before and after a takeover",
            {f'svcmirror_lease_held{{cluster="east",{A}}}': "1x10 0x40", f'svcmirror_lease_held{{cluster="east",{B}}}': "0x8 1x40"},
            "5m",
            [],
        ),
    ],
    "SvcmirrorLeasesUnreadable": [
        (
            "one replica",
            {f"svcmirror_leases_readable{{{A}}}": "0x60", f"svcmirror_leases_readable{{{B}}}": "1x60"},
            "10m",
            [{"namespace": "linkerd-multicluster", "pod": "svcmirror-a"}],
        ),
        ("for a moment", {f"svcmirror_leases_readable{{{A}}}": "1x20 0x4 1x60"}, "10m", []),
    ],
}

# Each 5 min.
SLOW_CASES = {
    "SvcmirrorCredentialExpiring": [
        (
            "a certificate with five days left",
            expiry(A, f"{7 * 86400}x{2 * DAY}", "client_certificate"),
            "48h",
            [{"cluster": "east", "kind": "client_certificate"}],
        ),
        ("a certificate with a month left", expiry(A, f"{32 * 86400}x{2 * DAY}", "client_certificate"), "48h", []),
        ("a token of ten hours that nobody renews", expiry(A, f"{10 * 3600}x{2 * DAY}"), "9h", [{"cluster": "east", "kind": "token"}]),
        ("the same just issued", expiry(A, f"{10 * 3600}x{2 * DAY}"), "2h", []),
        ("a token of a week that the agent is to renew", {**expiry(A, f"{7 * 86400}x{2 * DAY}"), **renewal(A, f"{84 * 3600}x{2 * DAY}")}, "48h", []),
        (
            "the same that it was to renew eight hours ago",
            {**expiry(A, f"{7 * 86400}x{2 * DAY}"), **renewal(A, f"{40 * 3600}x{2 * DAY}")},
            "48h",
            [{"cluster": "east", "kind": "token"}],
        ),
        (
            "a pod's token, renewed each 45 minutes",
            expiry(A, " ".join(f"{3600 + 2700 * i}x8" for i in range(40)), cluster="local"),
            "29h",
            [],
        ),
        (
            "a certificate of a day, renewed when eight hours are left",
            expiry(A, " ".join(f"{86400 + 57600 * i}x{16 * HOUR - 1}" for i in range(4)), "client_certificate"),
            "47h",
            [],
        ),
    ],
    "SvcmirrorCredentialExpired": [
        ("an hour ago", expiry(A, f"3600x{3 * HOUR}"), "2h", [{"cluster": "east", "kind": "token"}]),
        ("in an hour", expiry(A, f"10800x{3 * HOUR}"), "2h", []),
        ("renewed late", expiry(A, f"3600x{HOUR} 90000x{2 * HOUR}"), "2h", []),
    ],
}
