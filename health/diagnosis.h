/* What a probe saw, and what that means: from the outside signs of an answer to a reason that tells a person what to mend.
 * The signs of Edge Stack were measured on Emissary (status, body, `server` and `x-envoy-upstream-service-time` headers); see
 * docs/gateway-diagnosis.md for the table. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/** How far a probe came. */
enum probe_end {
    PROBE_ANSWERED,        /* a complete HTTP status line and headers were read */
    PROBE_REFUSED,         /* RST to SYN */
    PROBE_CONNECT_TIMEOUT, /* no answer to SYN: a black hole or a firewall that drops */
    PROBE_UNREACHABLE,     /* the network says so (EHOSTUNREACH, ENETUNREACH, ...) */
    PROBE_RESET,           /* connection reset after it stood, before an answer */
    PROBE_CLOSED,          /* connection closed (EOF) before an answer */
    PROBE_SILENT,          /* data unacknowledged: the transport went silent */
    PROBE_ANSWER_TIMEOUT,  /* transport fine, answer too slow */
    PROBE_NOT_HTTP,        /* bytes that are not HTTP */
    PROBE_RESOLVE_FAILED,  /* the gateway's name has no address */
    PROBE_INTERNAL,        /* our own fault (no memory, no descriptor): says nothing about the gateway */
};

enum { PROBE_TEXT_BYTES = 96 };

/** One probe's outcome. Texts are printable ASCII, cut at their bound; "" when absent. */
struct probe_observation {
    enum probe_end end;
    int status;                /* PROBE_ANSWERED: HTTP status */
    uint32_t latency_us;       /* from sending to the end of headers, or to the failure */
    bool upstream_time_header; /* x-envoy-upstream-service-time present */
    bool tls_bytes;            /* PROBE_NOT_HTTP/CLOSED/RESET: the port is known to speak TLS */
    bool body_truncated;       /* more than the read bound followed */
    uint64_t body_bytes;       /* bytes of the body that were read */
    char server[32], location[256], body[PROBE_TEXT_BYTES]; /* body: its beginning */
    char detail[PROBE_TEXT_BYTES];                          /* for people: the system's or library's own words */
};

/** Why a gateway is alive or not. Names are stable: label values, JSON and conditions use probe_reason_name(). */
enum probe_reason {
    REASON_NONE = 0, /* not probed yet */
    REASON_OK,
    REASON_OK_OTHER_BODY, /* 200 from Edge Stack's place, not in its words: another Mapping may answer (alive, with a warning) */
    REASON_RESOLVE_FAILED,
    REASON_REFUSED,
    REASON_CONNECT_TIMEOUT,
    REASON_UNREACHABLE,
    REASON_RESET,
    REASON_CLOSED,
    REASON_SILENT,
    REASON_ANSWER_TIMEOUT,
    REASON_TLS_ON_PORT,
    REASON_NOT_HTTP,
    REASON_INSECURE_REDIRECT, /* Envoy moves it to https, same path: Host lacks requestPolicy.insecure.action Route */
    REASON_REDIRECT,          /* any other 3xx */
    REASON_NO_ROUTE, /* 404 by Envoy itself: no Mapping, hostname or selector mismatch, Reject, wrong ambassador_id */
    REASON_WRONG_REWRITE,    /* 404 from behind Envoy: the route exists, its path or rewrite is wrong */
    REASON_NOT_FOUND,        /* 404 of something that is not Envoy */
    REASON_AUTH_REFUSED,     /* 401, or 403 with a body */
    REASON_AUTH_UNREACHABLE, /* 403 by Envoy itself with an empty body */
    REASON_ACCESS_DENIED,    /* 403 "RBAC: access denied": Module ip_allow/ip_deny */
    REASON_UPSTREAM_CONNECT, /* 503 upstream connect error: 8877 down, or wrong port or scheme in the Mapping */
    REASON_UPSTREAM_NONE,    /* 503 no healthy upstream: the Mapping's service has no address */
    REASON_NOT_READY,        /* 503 in the gateway's own words */
    REASON_UPSTREAM_TIMEOUT, /* 504: 8877 accepts and is silent, or Edge Stack's AuthService is gone */
    REASON_BAD_REQUEST,      /* 400 */
    REASON_SERVER_ERROR,     /* any other 5xx */
    REASON_UNEXPECTED_STATUS,
    REASON_INTERNAL,
    REASON_COUNT
};

/** Stable CamelCase name, e.g. "InsecureRedirect"; for metrics and logs too. Never NULL. */
const char *probe_reason_name(enum probe_reason reason);
/** One sentence for a person: what it means and what to do. Constant text, never NULL. */
const char *probe_reason_advice(enum probe_reason reason);
/** Whether the gateway counts as alive for this reason: REASON_OK and REASON_OK_OTHER_BODY only. */
bool probe_reason_alive(enum probe_reason reason);

/** @param path  the normalised probe path: tells Edge Stack's ready path from Linkerd's /ready, whose body is not judged, and an
 *  insecure Redirect, which keeps the path, from others. */
enum probe_reason diagnosis_of(const struct probe_observation *observation, const char *path);

/** Writes `path` with exactly one leading slash ("-/ambassador/ready" and "//-/ambassador/ready" give "/-/ambassador/ready"; "" gives
 *  "/"). @return false when it does not fit, or has a byte that may not stand in a request line (space, control, '#', not ASCII); the
 *  buffer is then untouched. */
bool probe_path_normalise(const char *path, char *buffer, size_t bytes);
