#include "agent/commands/link_build.h"

#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/link_server.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

/* ---- the way to the API server ---- */

static const char *server_of(const struct cluster *target, const struct link_wish *wish)
{
    return wish->server != NULL ? wish->server : cluster_kubeconfig(target)->server;
}

enum err_code link_build_check(const struct cluster *target, const struct link_wish *wish, struct err *reterr)
{
    const struct kubeconfig *config = cluster_kubeconfig(target);
    if (wish->server == NULL && link_server_check(config->server, "server", reterr) != ERR_OK)
        return err_context(reterr, "context %s", cluster_name(target));
    if (wish->server == NULL && config->proxy_url != NULL &&
        link_server_check_proxy(config->proxy_url, reterr) != ERR_OK)
        return err_context(reterr, "context %s", cluster_name(target));
    return ERR_OK;
}

static void warn_of_access(const char *command, const char *server, const struct kubeconfig *config)
{
    if (text_starts_with(server, "http://"))
        command_complain(command, "warning: %s is not encrypted: everybody on the way can read the token", server);
    if (config->insecure_skip_tls_verify)
        command_complain(command,
                         "warning: the kubeconfig says insecure-skip-tls-verify, and so will the agent's: it sends its "
                         "token to whoever answers");
}

/* ---- what the target says ---- */

static enum err_code read_domains(struct cluster *target, struct arena *arena, struct link_facts *facts,
                                  struct err *reterr)
{
    const char *cluster_domain = NULL, *trust_domain = NULL;
    if (facts->cluster_domain == NULL || facts->trust_domain == NULL)
        TRY(link_target_domains(target, arena, facts->linkerd_namespace, &cluster_domain, &trust_domain, reterr));
    if (facts->cluster_domain == NULL)
        facts->cluster_domain = cluster_domain != NULL ? cluster_domain : "cluster.local";
    if (facts->trust_domain == NULL)
        facts->trust_domain = trust_domain;
    return ERR_OK;
}

/* Its Secret is called like the agent's, in the namespace of its control plane. */
static void judge_linkerd(const char *command, struct link_wish *wish)
{
    struct link_facts *facts = &wish->facts;
    bool is_shared = strcmp(facts->namespace, facts->linkerd_namespace) == 0;
    if (wish->for_linkerd && is_shared && facts->trust_domain != NULL)
        command_complain(command,
                         "warning: namespace %s is the agent's and that of Linkerd's control plane: the latter gets no "
                         "credentials, as both would be one Secret",
                         facts->namespace);
    if (!wish->for_linkerd || is_shared)
        facts->trust_domain = NULL;
}

static void warn_of_gateway(const char *command, const struct gateway_spec *gateway)
{
    if (gateway->problem[0] != '\0')
        command_complain(command, "warning: gateway %s/%s cannot be used yet: %s", gateway->namespace, gateway->name,
                         gateway->problem);
    if (gateway->warning[0] != '\0')
        command_complain(command, "warning: gateway %s/%s: %s", gateway->namespace, gateway->name, gateway->warning);
    if (gateway->identity[0] == '\0')
        command_complain(command,
                         "warning: gateway %s/%s has no annotation " L5D_GATEWAY_IDENTITY
                         ": Linkerd's proxies will not encrypt what they send there",
                         gateway->namespace, gateway->name);
}

enum err_code link_build_read(const char *command, struct cluster *target, struct arena *arena, struct link_wish *wish,
                              struct err *reterr)
{
    TRY(read_domains(target, arena, &wish->facts, reterr));
    judge_linkerd(command, wish);
    if (!wish->wants_gateway)
        return ERR_OK;
    struct gateway_spec *gateway = ARENA_NEW(arena, struct gateway_spec);
    if (gateway == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    TRY(wish->gateway.followed != NULL ? link_target_followed(target, arena, &wish->gateway, gateway, reterr)
                                       : link_target_gateway(target, arena, &wish->gateway, gateway, reterr));
    warn_of_gateway(command, gateway);
    wish->facts.gateway = gateway;
    return ERR_OK;
}

/* ---- the objects ---- */

/* @param token  NULL: its place is named. @param[out] ret_text  new. */
static enum err_code make_kubeconfig(const struct cluster *target, const struct link_wish *wish, const char *token,
                                     char **ret_text, struct err *reterr)
{
    const struct kubeconfig *config = cluster_kubeconfig(target);
    const struct link_access access = {.cluster_name = wish->facts.cluster_name,
                                       .server = server_of(target, wish),
                                       .ca_pem = config->ca_pem,
                                       .tls_server_name = config->tls_server_name,
                                       .proxy_url = wish->server == NULL ? config->proxy_url : NULL,
                                       .insecure_skip_tls_verify = config->insecure_skip_tls_verify,
                                       .token = token != NULL ? token : "TOKEN-OF-THE-ACCOUNT"};
    return link_objects_kubeconfig(&access, ret_text, reterr);
}

enum err_code link_build_objects(const char *command, const struct cluster *target, const struct link_wish *wish,
                                 const struct link_tokens *tokens, json_t **ret_objects, struct err *reterr)
{
    struct link_facts facts = wish->facts;
    char *agent = NULL, *linkerd = NULL;
    warn_of_access(command, server_of(target, wish), cluster_kubeconfig(target));
    enum err_code code = make_kubeconfig(target, wish, tokens->agent, &agent, reterr);
    if (code == ERR_OK)
        code = make_kubeconfig(target, wish, tokens->linkerd, &linkerd, reterr);
    facts.kubeconfig = agent;
    facts.linkerd_kubeconfig = linkerd;
    if (code == ERR_OK)
        code = wish->as_secret ? link_objects_secret(&facts, ret_objects, reterr)
                               : link_objects_link(&facts, ret_objects, reterr);
    mem_free(linkerd);
    mem_free(agent);
    return code;
}
