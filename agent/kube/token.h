/* What a service account's token tells of itself: RFC 7519, and the claims that Kubernetes puts there. Nothing is verified: the API server is who judges
 * it. Pure. */
#pragma once

#include <stdbool.h>

#include "agent/kube/validity.h"

enum { TOKEN_NAMESPACE_BYTES = 64, TOKEN_ACCOUNT_BYTES = 254 };

/** Whether it has the shape of a signed JWT (RFC 7515, compact): three parts of base64url, none empty. Such a text may stand in YAML and in a header as
 *  it is. */
bool token_is_jwt(const char *token);
/** The claims `iat` (or `nbf`) and `exp` of a JWT; zeros when the token is none or has none, or memory is short. */
struct validity token_validity(const char *token);
/** Whose it is: `sub` of the form "system:serviceaccount:<namespace>:<name>". @return false when it is no service account's, or is no JWT. */
bool token_account(const char *token, char ret_namespace[TOKEN_NAMESPACE_BYTES], char ret_name[TOKEN_ACCOUNT_BYTES]);
/** Whether it may be of the service account that has this uid: not when the claim `kubernetes.io` names another, which had the same name before. A token that
 *  cannot be read, also for want of memory, may be. */
bool token_fits_uid(const char *token, const char *uid);
