/* The token of the target's account that a link holds: one that expires, which is kept while it is fresh, or one that does not, bound to a Secret of the
 * target. Rules: Kubernetes' API, authentication.k8s.io/v1 TokenRequest and TokenReview. */
#pragma once

#include "agent/commands/cluster.h"
#include "agent/commands/link_options.h"
#include "agent/commands/session.h"
#include "base/arena.h"
#include "base/err.h"

/** Where it is looked for and made. Everything is borrowed. */
struct link_token_place {
    const char *command; /* for texts */
    struct session *session;
    struct cluster *target;
    struct cluster *source; /* for link_token_find() */
    struct arena *arena;    /* of the token */
};

/** The token that the link has, where the agent renews it and is asked to do it as `wish` has it, it is the account's, in the first half of its life, and
 *  the target accepts it. @param[out] ret_token  NULL: there is none like that. @return ERR_OK, ERR_NOMEM, a failure of the network. */
enum err_code link_token_find(const struct link_token_place *place, const struct link_wish *wish,
                              const char **ret_token, struct err *reterr) MUST_USE;
/** That of link_account_linkerd(), which does not end. @param wait  up to 10 s for Kubernetes to fill its Secret in. @param[out] ret_token  NULL: there is
 *  no such Secret, who asks may not read it, or, without waiting, it is empty. @return ERR_OK, ERR_TIMEOUT, what the API gave. */
enum err_code link_token_linkerd(const struct link_token_place *place, const struct link_account *account, bool wait,
                                 const char **ret_token, struct err *reterr) MUST_USE;
/** A new one by TokenRequest, whose end is told on stderr; or that of the account's token Secret, waiting up to 10 s for Kubernetes to fill it in.
 *  @return ERR_OK, ERR_NOT_FOUND (no Secret of that account), ERR_TIMEOUT, what the API gave. */
enum err_code link_token_make(const struct link_token_place *place, const struct link_wish *wish,
                              const char **ret_token, struct err *reterr) MUST_USE;
