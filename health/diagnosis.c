#include "health/diagnosis.h"

#include <string.h>
#include <strings.h>

#define EDGE_STACK_READY "Ambassador is ready"
#define EDGE_STACK_NOT_READY "Ambassador is not ready"

static const struct {
    const char *name, *advice;
} reasons[REASON_COUNT] = {
    [REASON_NONE] = {"NotProbed", "the gateway has not been probed yet"},
    [REASON_OK] = {"OK", "the gateway answers its probe"},
    [REASON_OK_OTHER_BODY] = {"OKOtherBody",
                              "the answer is 200 but not Edge Stack's own ready text: another Mapping may shadow the health Mapping; "
                              "look for a catch-all Mapping or one with higher precedence"},
    [REASON_RESOLVE_FAILED] = {"ResolveFailed", "the gateway's host name has no address: check the load balancer's DNS record"},
    [REASON_REFUSED] = {"ConnectionRefused",
                        "nothing listens on the probe port: check that the gateway's pods run and that a Listener serves the "
                        "probe port's targetPort"},
    [REASON_CONNECT_TIMEOUT] = {"ConnectTimeout",
                                "no answer to the connection: the address is gone, or a firewall or security group drops the "
                                "packets"},
    [REASON_UNREACHABLE] = {"Unreachable", "the network has no way to the gateway's address: check routes and firewalls"},
    [REASON_RESET] = {"ConnectionReset",
                      "the connection was reset before an answer: check for a Listener that expects the PROXY protocol, or a load "
                      "balancer without healthy backends"},
    [REASON_CLOSED] = {"ConnectionClosed", "the connection was closed before an answer: check what listens on the probe port"},
    [REASON_SILENT] = {"TransportSilent", "what was sent is not acknowledged: the path to the gateway is broken"},
    [REASON_ANSWER_TIMEOUT] = {"AnswerTimeout", "the connection stands but no answer came in time: the gateway is overloaded or stuck"},
    [REASON_TLS_ON_PORT] = {"TLSOnPort",
                            "the probe port speaks TLS: point mc-probe at the cleartext port, or set the Listener's protocol to HTTP"},
    [REASON_NOT_HTTP] = {"NotHTTP", "what answers on the probe port does not speak HTTP: check the port's number and targetPort"},
    [REASON_INSECURE_REDIRECT] = {"InsecureRedirect",
                                  "the Host redirects cleartext to https: set spec.requestPolicy.insecure.action: Route on the Host "
                                  "that serves this address"},
    [REASON_REDIRECT] = {"Redirect", "the probe path is redirected elsewhere, which is not followed: check the probe path"},
    [REASON_NO_ROUTE] = {"NoRoute",
                         "Edge Stack has no route for the probe path: check that the health Mapping exists, its prefix equals the "
                         "probe path, its hostname and the Host's mappingSelector match, and its ambassador_id"},
    [REASON_WRONG_REWRITE] = {"WrongRewrite",
                              "the route exists but leads to a wrong path: set the health Mapping's rewrite to "
                              "/ambassador/v0/check_ready"},
    [REASON_NOT_FOUND] = {"NotFound", "what answers does not know the probe path: check the probe path and port"},
    [REASON_AUTH_REFUSED] = {"AuthRefused", "the authentication filter refuses the probe: set bypass_auth: true on the health Mapping"},
    [REASON_AUTH_UNREACHABLE] = {"AuthUnreachable",
                                 "the authentication service cannot be reached: set bypass_auth: true on the health Mapping, and mend "
                                 "the AuthService"},
    [REASON_ACCESS_DENIED] = {"AccessDenied", "the Module's ip_allow or ip_deny excludes the prober's address: allow it"},
    [REASON_UPSTREAM_CONNECT] = {"UpstreamConnectError",
                                 "Envoy cannot connect to the health endpoint: set the health Mapping's service to localhost:8877, and "
                                 "check that Edge Stack's control program runs"},
    [REASON_UPSTREAM_NONE] = {"NoHealthyUpstream",
                              "the health Mapping's service has no address: set it to localhost:8877"},
    [REASON_NOT_READY] = {"NotReady", "Edge Stack says that it is not ready: look at its pods and their logs"},
    [REASON_UPSTREAM_TIMEOUT] = {"UpstreamTimeout",
                                 "the health endpoint accepts the request and stays silent: Edge Stack's control program is stuck"},
    [REASON_BAD_REQUEST] = {"BadRequest", "the gateway does not accept the request: check the probe path"},
    [REASON_SERVER_ERROR] = {"ServerError", "the gateway answers with a server error: look at its logs"},
    [REASON_UNEXPECTED_STATUS] = {"UnexpectedStatus", "only status 200 counts as alive: check the probe path"},
    [REASON_INTERNAL] = {"InternalError", "the agent itself could not probe: check its memory and file descriptors"},
};

const char *probe_reason_name(enum probe_reason reason)
{
    return reason < REASON_COUNT ? reasons[reason].name : "Unknown";
}

const char *probe_reason_advice(enum probe_reason reason)
{
    return reason < REASON_COUNT ? reasons[reason].advice : "";
}

bool probe_reason_alive(enum probe_reason reason) { return reason == REASON_OK || reason == REASON_OK_OTHER_BODY; }

static bool from_envoy(const struct probe_observation *o) { return o->upstream_time_header || strncasecmp(o->server, "envoy", 5) == 0; }

/* A gateway whose readiness text is known: Edge Stack's, by its own path or by its Envoy. Linkerd's gateway says what it likes. */
static bool body_is_judged(const struct probe_observation *o, const char *path)
{
    if (strcmp(path, "/ready") == 0 || strcmp(path, "/live") == 0 || strcmp(path, "/health") == 0)
        return false;
    return strstr(path, "ambassador") != NULL || strncasecmp(o->server, "envoy", 5) == 0;
}

static enum probe_reason of_redirect(const struct probe_observation *o)
{
    bool moves = o->status == 301 || o->status == 302 || o->status == 307 || o->status == 308;
    return moves && strncasecmp(o->location, "https://", 8) == 0 ? REASON_INSECURE_REDIRECT : REASON_REDIRECT;
}

static enum probe_reason of_not_found(const struct probe_observation *o)
{
    if (o->upstream_time_header)
        return REASON_WRONG_REWRITE;
    return from_envoy(o) && o->body_bytes == 0 ? REASON_NO_ROUTE : REASON_NOT_FOUND;
}

static enum probe_reason of_forbidden(const struct probe_observation *o)
{
    if (strstr(o->body, "RBAC: access denied") != NULL)
        return REASON_ACCESS_DENIED;
    return o->body_bytes == 0 ? REASON_AUTH_UNREACHABLE : REASON_AUTH_REFUSED;
}

static enum probe_reason of_unavailable(const struct probe_observation *o)
{
    if (strstr(o->body, "upstream connect error") != NULL)
        return REASON_UPSTREAM_CONNECT;
    if (strstr(o->body, "no healthy upstream") != NULL)
        return REASON_UPSTREAM_NONE;
    return o->upstream_time_header || strstr(o->body, EDGE_STACK_NOT_READY) != NULL ? REASON_NOT_READY : REASON_SERVER_ERROR;
}

static enum probe_reason of_status(const struct probe_observation *o, const char *path)
{
    switch (o->status) {
    case 200:
        return body_is_judged(o, path) && strstr(o->body, EDGE_STACK_READY) == NULL ? REASON_OK_OTHER_BODY : REASON_OK;
    case 400:
        return REASON_BAD_REQUEST;
    case 401:
        return REASON_AUTH_REFUSED;
    case 403:
        return of_forbidden(o);
    case 404:
        return of_not_found(o);
    case 503:
        return of_unavailable(o);
    case 504:
        return REASON_UPSTREAM_TIMEOUT;
    default:
        break;
    }
    if (o->status >= 300 && o->status < 400)
        return of_redirect(o);
    return o->status >= 500 && o->status < 600 ? REASON_SERVER_ERROR : REASON_UNEXPECTED_STATUS;
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
    while (*path == '/')
        path++;
    size_t length = strlen(path);
    if (length + 2 > bytes)
        return false;
    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)path[i];
        if (c <= ' ' || c == 0x7f || c == '#')
            return false;
    }
    buffer[0] = '/';
    memcpy(buffer + 1, path, length + 1);
    return true;
}
