/* What a client proves its identity with, and how that is kept fresh: the token file is read again each minute and after a 401,
 * certificates, keys and CA bundles from files each five minutes. What cannot be used leaves the old in use. Internal to agent/kube. */
#pragma once

#include "agent/kube/kubeconfig.h"

struct credentials {
    struct arena arena; /* behind config */
    struct kubeconfig config;
    char *token;                       /* in use; newer than config.token when it is from a file */
    char *authorization, *impersonate; /* whole header lines, NULL when none */
    int64_t token_expires_us;
    unsigned generation; /* raised by each change: tells which credentials a refused request was sent with */
};

/** Copies `config`. @return ERR_OK, ERR_NOMEM. On failure there is nothing to release. */
enum err_code credentials_init(struct credentials *credentials, const struct kubeconfig *config, struct err *reterr)
    MUST_USE;
void credentials_done(struct credentials *credentials);
/** When the first of certificate and token expires, microseconds since 1970; 0 when unknown. */
int64_t credentials_expires_us(const struct credentials *credentials);

/** @return whether the token file held another token, which is in use now. */
bool credentials_reread_token(struct credentials *credentials);
/** Reads the files of certificates again. @return whether they changed and can be used: then `ret_config` (in `arena`, which the caller
 *  made) is the config with them, for credentials_replace(). */
bool credentials_reread_files(const struct credentials *credentials, struct arena *arena,
                              struct kubeconfig *ret_config);
/** Takes over `arena` and the config in it; the token stays. */
void credentials_replace(struct credentials *credentials, struct arena *arena, const struct kubeconfig *config);
