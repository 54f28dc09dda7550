/* What a client proves its identity with, and how that is kept fresh: the token file is read again each minute and after a 401,
 * certificates, keys and CA bundles from files each five minutes, after a 401 and after a handshake that failed; a plugin's answer is taken
 * as it comes. What cannot be used leaves the old in use. Internal to agent/kube. */
#pragma once

#include "agent/kube/client.h"
#include "agent/kube/kubeconfig.h"

/** What an exec plugin answered; borrowed. Either may be NULL, not both; certificate and key go together. */
struct exec_credential {
    const char *token, *cert_pem, *key_pem;
    int64_t expires_us; /* 0: it did not say */
};

struct credentials {
    struct arena arena; /* behind config */
    struct kubeconfig config;
    char *token;         /* in use; newer than config.token when it is from a file */
    char *authorization; /* a whole header line, NULL when none */
    struct validity validity[KUBE_CREDENTIAL_KINDS];
    unsigned generation; /* raised by each change: tells which credentials a refused request was sent with */
    char *told[KUBE_CREDENTIAL_KINDS]; /* what was wrong with its file when it was read last, NULL when nothing */
    kube_reload_fn on_reload;
    void *on_reload_context;
    const struct kube_client *client; /* for on_reload */
};

/** Copies `config`. @return ERR_OK, ERR_NOMEM, ERR_TLS. On failure there is nothing to release. */
enum err_code credentials_init(struct credentials *credentials, const struct kubeconfig *config, struct err *reterr)
    MUST_USE;
void credentials_done(struct credentials *credentials);

/** @return whether the token file held another token, which is in use now. */
bool credentials_reread_token(struct credentials *credentials);
/** Reads the files of certificates again; what of it cannot be used stays as it was, and is told. @return whether something changed: then
 *  `ret_config` (in `arena`, which the caller made) is the config with it, for credentials_replace(). */
bool credentials_reread_files(struct credentials *credentials, struct arena *arena, struct kubeconfig *ret_config);
/** Takes the token of a plugin's answer. @return ERR_OK, ERR_NOMEM (nothing changed). */
enum err_code credentials_take_token(struct credentials *credentials, const struct exec_credential *answer) MUST_USE;
/** Whether the plugin's certificate is another one. @return whether it is: then `ret_config` is as above. */
bool credentials_take_certificate(const struct credentials *credentials, const struct exec_credential *answer,
                                  struct arena *arena, struct kubeconfig *ret_config);
/** Takes over `arena` and the config in it; the token stays. */
void credentials_replace(struct credentials *credentials, struct arena *arena, const struct kubeconfig *config);
