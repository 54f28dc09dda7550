/* What a target has to be asked for before it is linked: its gateway and its domains. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/commands/cluster.h"
#include "base/arena.h"
#include "base/err.h"
#include "mirror/gateway.h"

struct link_gateway_wish {
    const char *name, *namespace; /* NULL name: the one gateway that there is */
    const char *followed; /* "namespace/name" of the Service that the Link is to follow, in place of both; NULL: none */
    const char *addresses; /* comma list in place of the load balancer's; NULL: those */
    uint16_t port;         /* in place of the Service's; 0: that */
};

/** Finds the gateway Service and reads it. What is odd about it but works is in its `warning`.
 *  @param[out] ret_gateway  in the arena. @return ERR_OK, ERR_NOT_FOUND, ERR_INVALID (several, or one that cannot be used), what the API gave. */
enum err_code link_target_gateway(struct cluster *cluster, struct arena *arena, const struct link_gateway_wish *wish,
                                  struct gateway_spec *ret_gateway, struct err *reterr) MUST_USE;

/** Reads the Service that a Link is to follow. That it has no address or port yet is no failure, but in `warning`: it is followed.
 *  @param[out] ret_gateway  in the arena; addresses and port are those of the wish, empty and 0 when it has none: the Link leaves them open.
 *  @return ERR_OK, ERR_NOT_FOUND, ERR_INVALID (a NodePort Service, whose node ports nobody follows), what the API gave. */
enum err_code link_target_followed(struct cluster *cluster, struct arena *arena, const struct link_gateway_wish *wish,
                                   struct gateway_spec *ret_gateway, struct err *reterr) MUST_USE;

/** Reads the DNS domain and the trust domain from the target's Linkerd, of 2.8 or today. Both are NULL when it has none, or it may not be read.
 *  @return ERR_OK, ERR_NOMEM, a failure of the network. */
enum err_code link_target_domains(struct cluster *cluster, struct arena *arena, const char *linkerd_namespace,
                                  const char **ret_cluster_domain, const char **ret_trust_domain, struct err *reterr)
    MUST_USE;
