#include "health/diagnosis.h"

#include <string.h>
#include <strings.h>

#include "base/text.h"

/* Advice is a sentence that goes on after "dead: " or "alive, but ": first what it means, then what to mend. */
static const struct {
    const char *name, *advice;
} reasons[REASON_COUNT] = {
    [REASON_NONE] = {"NotProbed", "the gateway has not been probed yet"},
    [REASON_OK] = {"OK", "the gateway answers its probe"},
    [REASON_OK_OTHER_BODY] =
        {"OKOtherBody",
         "the answer is 200 but not Edge Stack's own ready text, so it does not prove that the gateway is "
         "ready: look for a catch-all Mapping, or one with a higher precedence, that shadows the health Mapping"},
    [REASON_RESOLVE_FAILED] = {"ResolveFailed",
                               "the gateway's host name has no address: check the load balancer's DNS record"},
    [REASON_REFUSED] =
        {"ConnectionRefused",
         "nothing listens on the probe port: check that the gateway's pods run, and that a Listener serves the "
         "targetPort of the probe port and its hostBinding matches a Host"},
    [REASON_CONNECT_TIMEOUT] =
        {"ConnectTimeout",
         "no answer to the connection: the address is gone, or a firewall or security group drops the "
         "packets; check the load balancer and the rules between the clusters"},
    [REASON_UNREACHABLE] =
        {"Unreachable",
         "the network has no way to the gateway's address: check routes and firewalls between the clusters"},
    [REASON_RESET] =
        {"ConnectionReset",
         "the connection was reset before an answer: check for a Listener that expects the PROXY protocol, and for a "
         "load balancer without healthy backends"},
    [REASON_CLOSED] =
        {"ConnectionClosed",
         "the connection was closed before an answer: check what listens on the probe port, and for a load balancer "
         "without healthy backends"},
    [REASON_SILENT] =
        {"TransportSilent",
         "what was sent is not acknowledged: the gateway's node or the network on the way to it has gone; check both"},
    [REASON_ANSWER_TIMEOUT] =
        {"AnswerTimeout",
         "the connection stands but no answer came in time: the gateway is overloaded or stuck; look at its "
         "pods, or raise the probe's timeout"},
    [REASON_TLS_ON_PORT] =
        {"TLSOnPort",
         "the probe port speaks TLS and the probe is cleartext: point the probe port at the cleartext listener "
         "(usually port 80, targetPort 8080), or set that Listener's protocol to HTTP"},
    [REASON_NOT_HTTP] =
        {"NotHTTP", "what answers on the probe port does not speak HTTP: check the probe port's number and targetPort"},
    [REASON_INSECURE_REDIRECT] =
        {"InsecureRedirect",
         "the Host redirects cleartext: set spec.requestPolicy.insecure.action: Route on the Host that "
         "serves this address; of several Hosts with one hostname the alphabetically last decides"},
    [REASON_REDIRECT] =
        {"Redirect",
         "the probe is redirected elsewhere, which is not followed: check the probe path, and what stands before "
         "the gateway (a load balancer that redirects to https, a login page)"},
    [REASON_NO_ROUTE] =
        {"NoRoute",
         "Edge Stack has no route for the probe: check that the health Mapping exists, that its prefix equals the "
         "probe path and its hostname is \"*\", that the Host's hostname and mappingSelector match, that its insecure "
         "action is not Reject, and that ambassador_id is the instance's"},
    [REASON_WRONG_REWRITE] =
        {"WrongRewrite",
         "a route exists but leads to a path that is not there: set rewrite: /ambassador/v0/check_ready on the "
         "health Mapping, and check that no other Mapping catches its prefix"},
    [REASON_NOT_FOUND] =
        {"NotFound",
         "what answers does not know the probe path: check the probe path, and that the probe port is the gateway's"},
    [REASON_AUTH_REFUSED] = {"AuthRefused",
                             "authentication refuses the probe: set bypass_auth: true on the health Mapping"},
    [REASON_AUTH_UNREACHABLE] =
        {"AuthUnreachable",
         "the AuthService cannot be reached, so every request without bypass_auth is refused: mend it, and "
         "set bypass_auth: true on the health Mapping"},
    [REASON_ACCESS_DENIED] =
        {"AccessDenied",
         "the Module's ip_allow or ip_deny excludes the prober's address: allow the source cluster's addresses"},
    [REASON_UPSTREAM_CONNECT] =
        {"UpstreamConnectError",
         "Envoy cannot connect to the health endpoint: set service: localhost:8877 (port written out, no "
         "https) on the health Mapping, and check that Edge Stack's control program runs"},
    [REASON_UPSTREAM_NONE] = {"NoHealthyUpstream",
                              "the health Mapping's service has no address: set service: localhost:8877 on it"},
    [REASON_NOT_READY] = {"NotReady", "the gateway itself says that it is not ready: look at its pods and their logs"},
    [REASON_UPSTREAM_TIMEOUT] =
        {"UpstreamTimeout",
         "Envoy got no answer in time from the health endpoint or the AuthService: set bypass_auth: true on "
         "the health Mapping; if it is set, Edge Stack's control program (8877) is stuck: restart the pod"},
    [REASON_BAD_REQUEST] = {"BadRequest",
                            "the gateway does not accept the request: check the probe path for odd characters"},
    [REASON_SERVER_ERROR] = {"ServerError", "the gateway answers with a server error: look at its logs"},
    [REASON_UNEXPECTED_STATUS] =
        {"UnexpectedStatus", "only status 200 counts as alive: check that the probe path leads to the health endpoint"},
    [REASON_INTERNAL] = {"InternalError",
                         "the agent itself could not probe: check its memory and file descriptor limits"},
};

const char *probe_reason_name(enum probe_reason reason)
{
    return reason < REASON_COUNT ? reasons[reason].name : "Unknown";
}

const char *probe_reason_advice(enum probe_reason reason)
{
    return reason < REASON_COUNT ? reasons[reason].advice : "this reason is not known";
}

bool probe_reason_alive(enum probe_reason reason) { return reason == REASON_OK || reason == REASON_OK_OTHER_BODY; }

/* --- who answers --- */

/* Envoy sets `server` unless its Module names another; the time header it adds to whatever an upstream answered. */
static bool by_envoy(const struct probe_observation *seen)
{
    return seen->upstream_time_header || strncasecmp(seen->server, "envoy", 5) == 0;
}

static bool by_edge_stack(const struct probe_observation *seen, const char *path)
{
    return by_envoy(seen) || strstr(path, "ambassador") != NULL;
}

/* Linkerd's gateway, whose proxy may well be behind an Envoy, answers on these paths as it likes. */
static bool is_linkerd_path(const char *path)
{
    static const char *const paths[] = {"/ready", "/live", "/health"};
    size_t length = strcspn(path, "?");
    for (size_t i = 0; i < sizeof(paths) / sizeof(*paths); i++)
        if (strlen(paths[i]) == length && strncmp(path, paths[i], length) == 0)
            return true;
    return false;
}

static bool contains(const char *text, const char *word)
{
    size_t length = strlen(word);
    for (; *text != '\0'; text++)
        if (strncasecmp(text, word, length) == 0)
            return true;
    return false;
}

/* The first is Emissary's since 1.6, the second that of older versions. */
static bool says_ready(const char *body)
{
    return contains(body, "ambassador is ready") || contains(body, "ambassador readiness check ok");
}

static bool says_not_ready(const char *body)
{
    return contains(body, "not ready") || contains(body, "waiting for config");
}

/* --- what a status means --- */

static enum probe_reason of_ok(const struct probe_observation *seen, const char *path)
{
    if (is_linkerd_path(path) || !by_edge_stack(seen, path) || says_ready(seen->body))
        return REASON_OK;
    return REASON_OK_OTHER_BODY;
}

/* Whether `location` is https with the probe's own path. The text may be cut at its bound: what is there then has to agree. */
static bool keeps_path(const struct probe_observation *seen, const char *path)
{
    if (strncasecmp(seen->location, "https://", 8) != 0)
        return false;
    const char *rest = strchr(seen->location + 8, '/');
    bool cut = strlen(seen->location) == sizeof(seen->location) - 1;
    if (rest == NULL)
        return cut || strcmp(path, "/") == 0;
    return cut ? strncmp(path, rest, strlen(rest)) == 0 : strcmp(path, rest) == 0;
}

static enum probe_reason of_redirect(const struct probe_observation *seen, const char *path)
{
    bool moves = seen->status == 301 || seen->status == 302 || seen->status == 307 || seen->status == 308;
    /* Other servers redirect to https too (nginx, cloud load balancers); without `server` the path has to tell. */
    bool by_host = seen->server[0] != '\0' ? by_envoy(seen) : by_edge_stack(seen, path);
    return moves && by_host && keeps_path(seen, path) ? REASON_INSECURE_REDIRECT : REASON_REDIRECT;
}

static enum probe_reason of_not_found(const struct probe_observation *seen, const char *path)
{
    if (seen->upstream_time_header)
        return REASON_WRONG_REWRITE;
    return seen->body_bytes == 0 && by_edge_stack(seen, path) ? REASON_NO_ROUTE : REASON_NOT_FOUND;
}

static enum probe_reason of_forbidden(const struct probe_observation *seen, const char *path)
{
    if (contains(seen->body, "RBAC: access denied"))
        return REASON_ACCESS_DENIED;
    return seen->body_bytes == 0 && by_edge_stack(seen, path) ? REASON_AUTH_UNREACHABLE : REASON_AUTH_REFUSED;
}

static enum probe_reason of_unavailable(const struct probe_observation *seen, const char *path)
{
    if (contains(seen->body, "upstream connect error"))
        return REASON_UPSTREAM_CONNECT;
    if (contains(seen->body, "no healthy upstream"))
        return REASON_UPSTREAM_NONE;
    /* On Edge Stack's own path whatever comes from behind Envoy comes from 8877. */
    bool from_8877 = seen->upstream_time_header && strstr(path, "ambassador") != NULL;
    return from_8877 || says_not_ready(seen->body) ? REASON_NOT_READY : REASON_SERVER_ERROR;
}

/* Go and nginx say in words that they expect TLS. */
static enum probe_reason of_bad_request(const struct probe_observation *seen)
{
    bool wants_tls = contains(seen->body, "to an HTTPS server") || contains(seen->body, "to HTTPS port");
    return wants_tls ? REASON_TLS_ON_PORT : REASON_BAD_REQUEST;
}

static enum probe_reason of_status(const struct probe_observation *seen, const char *path)
{
    switch (seen->status) {
    case 200:
        return of_ok(seen, path);
    case 400:
        return of_bad_request(seen);
    case 401:
        return REASON_AUTH_REFUSED;
    case 403:
        return of_forbidden(seen, path);
    case 404:
        return of_not_found(seen, path);
    case 503:
        return of_unavailable(seen, path);
    case 504:
        return REASON_UPSTREAM_TIMEOUT;
    default:
        break;
    }
    if (seen->status >= 300 && seen->status < 400)
        return of_redirect(seen, path);
    return seen->status >= 500 && seen->status < 600 ? REASON_SERVER_ERROR : REASON_UNEXPECTED_STATUS;
}

enum probe_reason diagnosis_of(const struct probe_observation *observation, const char *path)
{
    switch (observation->end) {
    case PROBE_ANSWERED:
        return of_status(observation, path);
    case PROBE_REFUSED:
        return REASON_REFUSED;
    case PROBE_CONNECT_TIMEOUT:
        return REASON_CONNECT_TIMEOUT;
    case PROBE_UNREACHABLE:
        return REASON_UNREACHABLE;
    case PROBE_RESET:
        return observation->tls_bytes ? REASON_TLS_ON_PORT : REASON_RESET;
    case PROBE_CLOSED:
        return observation->tls_bytes ? REASON_TLS_ON_PORT : REASON_CLOSED;
    case PROBE_SILENT:
        return REASON_SILENT;
    case PROBE_ANSWER_TIMEOUT:
        return REASON_ANSWER_TIMEOUT;
    case PROBE_NOT_HTTP:
        return observation->tls_bytes ? REASON_TLS_ON_PORT : REASON_NOT_HTTP;
    case PROBE_RESOLVE_FAILED:
        return REASON_RESOLVE_FAILED;
    case PROBE_INTERNAL:
        return REASON_INTERNAL;
    }
    return REASON_INTERNAL;
}

bool probe_path_normalise(const char *path, char *buffer, size_t bytes)
{
    path += strspn(path, "/");
    size_t length = strlen(path);
    if (length + 2 > bytes || !text_is_request_path(path))
        return false;
    buffer[0] = '/';
    memcpy(buffer + 1, path, length + 1);
    return true;
}
