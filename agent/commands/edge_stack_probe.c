#include "agent/commands/edge_stack_probe.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/net/probe.h"
#include "agent/net/probe_host.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/text.h"

#define NAME "edge-stack prepare"

enum {
    POLL_MS = 1000,
    ADDRESS_BYTES = 256,
    SCRATCH_BYTES = 4096,
    PROBE_TIMEOUT_MS = 5000, /* above 3 s: Envoy's own 504 comes then */
};

static json_int_t probe_port(const json_t *service)
{
    const json_t *port = NULL;
    size_t index = 0;
    json_array_foreach(edge_stack_at(service, "spec", "ports", NULL), index, port)
    {
        if (text_equal(edge_stack_text_at(port, "name", NULL), "mc-probe"))
            return json_integer_value(json_object_get(port, "port"));
    }
    return 0;
}

/* The load balancer's alone, as the agent and `link` read it: externalIPs are nothing that they use. */
static bool take_address(const json_t *service, char address[ADDRESS_BYTES])
{
    const json_t *ingress = json_array_get(edge_stack_at(service, "status", "loadBalancer", "ingress", NULL), 0);
    const char *text = edge_stack_text_at(ingress, "ip", NULL);
    if (text == NULL)
        text = edge_stack_text_at(ingress, "hostname", NULL);
    (void)snprintf(address, ADDRESS_BYTES, "%s", text != NULL ? text : "");
    return text != NULL;
}

/* @return ERR_OK; ERR_NOT_FOUND: no address yet; those of session_resolve(). */
static enum err_code find_ip(struct session *session, const struct edge_stack_gateway *gateway, const json_t *service,
                             char address[ADDRESS_BYTES], char ip[TEXT_IP_BYTES], struct err *reterr)
{
    if (!take_address(service, address))
        return err_set(
            reterr, ERR_NOT_FOUND,
            "Service %s/%s has no external address yet: see what its load balancer waits for; where other clusters "
            "reach it by an address that it does not tell, give them that with `svcmirror link --gateway-addresses`",
            gateway->namespace, gateway->name);
    enum err_code code = session_resolve(session, address, ip, reterr);
    return code != ERR_OK ? err_context(reterr, "the address of Service %s/%s", gateway->namespace, gateway->name)
                          : code;
}

/* A load balancer may come after its Service, and tells its name before that resolves. */
static bool may_pass(enum err_code code) { return code == ERR_NOT_FOUND || code == ERR_RESOLVE || code == ERR_TIMEOUT; }

enum waiting { FOR_NOTHING, FOR_ADDRESS, FOR_NAME };

/* What is waited for is told once. */
static void tell_wait(const struct edge_stack_gateway *gateway, const char *address, enum waiting *told)
{
    enum waiting now = address[0] == '\0' ? FOR_ADDRESS : FOR_NAME;
    if (now == *told)
        return;
    *told = now;
    if (now == FOR_ADDRESS)
        command_complain(NAME, "waiting for an external address of Service %s/%s", gateway->namespace, gateway->name);
    else
        command_complain(NAME, "waiting until %s resolves, the address of Service %s/%s", address, gateway->namespace,
                         gateway->name);
}

/* @param[out] ret_service  new reference, as it is with its address. */
static enum err_code wait_for_ip(struct session *session, struct cluster *cluster,
                                 const struct edge_stack_gateway *gateway, uint64_t deadline_ms,
                                 char address[ADDRESS_BYTES], char ip[TEXT_IP_BYTES], json_t **ret_service,
                                 struct err *reterr)
{
    for (enum waiting told = FOR_NOTHING;;) {
        json_t *service = NULL;
        struct err missing = {0};
        TRY(cluster_get(cluster, &RESOURCE_SERVICE, gateway->namespace, gateway->name, &service, reterr));
        enum err_code code = find_ip(session, gateway, service, address, ip, &missing);
        if (code == ERR_OK) {
            *ret_service = service;
            return ERR_OK;
        }
        json_decref(service);
        if (!may_pass(code) || session_now_ms(session) >= deadline_ms || session_interrupted(session))
            return err_set(reterr, code, "%s", missing.text);
        tell_wait(gateway, address, &told);
        session_sleep(session, POLL_MS);
    }
}

static enum err_code probe_until_alive(struct session *session, const struct probe_link_config *config,
                                       uint64_t deadline_ms, struct err *reterr)
{
    enum probe_reason told = REASON_NONE;
    for (;;) {
        struct probe_observation seen = {0};
        TRY(session_probe(session, config, &seen, reterr));
        enum probe_reason reason = diagnosis_of(&seen, config->path);
        if (reason ==
            REASON_OK) { /* a 200 of somebody else's is alive for an agent; here it shows a Mapping in the way */
            (void)printf("%s port %u answers %s: %s\n", config->ip, config->port, config->path,
                         probe_reason_name(reason));
            return ERR_OK;
        }
        if (session_now_ms(session) >= deadline_ms)
            return err_set(reterr, ERR_TIMEOUT, "the probe of %s port %u fails: %s: %s", config->ip, config->port,
                           probe_reason_name(reason), probe_reason_advice(reason));
        if (reason != told)
            command_complain(NAME, "probing %s port %u: %s so far", config->ip, config->port,
                             probe_reason_name(reason));
        told = reason;
        session_sleep(session, POLL_MS);
    }
}

enum err_code edge_stack_probe(struct session *session, struct cluster *cluster,
                               const struct edge_stack_gateway *gateway, uint64_t wait_ms, struct err *reterr)
{
    uint64_t deadline_ms = session_now_ms(session) + wait_ms;
    char address[ADDRESS_BYTES], ip[TEXT_IP_BYTES], path[ADDRESS_BYTES];
    json_t *service = NULL;
    struct arena scratch;
    TRY(wait_for_ip(session, cluster, gateway, deadline_ms, address, ip, &service, reterr));
    const char *annotated = object_meta_entry(service, "annotations", "mirror.linkerd.io/probe-path");
    bool good = annotated != NULL && probe_path_normalise(annotated, path, sizeof(path));
    struct probe_link_config config = {.ip = ip,
                                       .port = (uint16_t)probe_port(service),
                                       .path = path,
                                       .timeout_ms = PROBE_TIMEOUT_MS};
    json_decref(service);
    if (!good || config.port == 0)
        return err_set(reterr, ERR_INVALID, "Service %s/%s lost its port mc-probe or its probe-path meanwhile",
                       gateway->namespace, gateway->name);
    arena_init(&scratch, SCRATCH_BYTES);
    config.host = probe_host(&scratch, address, config.port);
    enum err_code code = config.host != NULL ? probe_until_alive(session, &config, deadline_ms, reterr)
                                             : err_set(reterr, ERR_NOMEM, "out of memory");
    arena_done(&scratch);
    return code;
}
