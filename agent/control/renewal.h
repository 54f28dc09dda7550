/* Tokens of targets that end are renewed in time, where the Secret that holds one asks for it: a new token is got from the target with the old one, by
 * TokenRequest, and put into the Secret in its place, and into the copy that Linkerd's control plane has. The rest follows as from any change of the
 * Secret. Only who writes the link's mirrors does it. Rules: Kubernetes' API, authentication.k8s.io/v1 TokenRequest. */
#pragma once

#include "agent/control/internal.h"

/** What a credentials Secret says of it; annotations SECRET_RENEW_TOKEN and SECRET_COPY, NULL when absent. */
struct renewal_wish {
    const char *duration, *copy;
};

/** @param target  borrowed. @return ERR_OK or ERR_NOMEM. */
enum err_code renewal_new(struct control *control, struct target *target, struct renewal **ret_renewal) MUST_USE;
void renewal_free(struct renewal *renewal); /* takes NULL */
/** What the Secret says now. @return ERR_OK, also when it makes no sense (renewal_complaint()), or ERR_NOMEM. */
enum err_code renewal_wish(struct renewal *renewal, const struct renewal_wish *wish) MUST_USE;
/** Now and then: begins when it is time. */
void renewal_look(struct renewal *renewal);
/** Fills its gauge. */
void renewal_collect(struct renewal *renewal);
/** The target's client is about to go, and with it what was asked through it. */
void renewal_client_goes(struct renewal *renewal);
/** What is wrong with the annotations; "" when nothing is. Borrowed. */
const char *renewal_complaint(const struct renewal *renewal);
