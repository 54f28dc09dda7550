/* Where an API server is and how to prove who we are: from a kubeconfig (YAML or JSON) or from a pod's service account. Pure parsing
 * and file reading; no network. The field list is client-go's clientcmd/api/types.go. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "agent/kube/exec_config.h"
#include "base/arena.h"
#include "base/err.h"

/** Who wrote the kubeconfig: decides what it may make us do. */
enum kubeconfig_trust {
    KUBECONFIG_OWN, /* --kubeconfig of this process: may name local files */
    KUBECONFIG_TARGET, /* from a Secret: exec plugins, auth providers, tokenFile and local file paths are refused (ERR_INVALID, naming
                          the field), because whoever can write the Secret could run code or read files in the agent */
};

/** One resolved context. Texts are in the arena; NULL when absent. */
struct kubeconfig {
    const char *context_name, *namespace;
    const char *server; /* URL */
    const char *ca_pem, *tls_server_name, *proxy_url;
    bool insecure_skip_tls_verify;
    bool
        disable_compression; /* answers are asked for as they are: on a fast network gzip costs more time than it saves */
    const char *cert_pem, *key_pem;
    const char *token;
    const char *token_file; /* re-read every minute and after a 401 (KUBECONFIG_OWN only) */
    const char *username, *password;
    const char *const
        *impersonate; /* `as` and what belongs to it, as whole header lines; NULL at its end; NULL when none */
    const char *ca_file, *cert_file, *key_file; /* where the PEM texts came from, NULL when inline */
    const struct exec_config *exec;       /* a program that gives credentials; NULL when none (KUBECONFIG_OWN only) */
    enum exec_permission exec_permission; /* never anything but EXEC_REFUSED before somebody decides */
};

/** Parses the text and resolves `context` (NULL: current-context). Reads local files only for KUBECONFIG_OWN, relative to
 *  `directory`. @return ERR_OK, ERR_INVALID, ERR_TLS (a certificate or key that cannot be used), ERR_UNSUPPORTED, ERR_IO, ERR_LIMIT
 *  (over 1 MiB, or nested too deeply), ERR_NOMEM; the text names the field and the remedy. */
enum err_code kubeconfig_parse(struct arena *arena, const char *text, size_t bytes, const char *context,
                               enum kubeconfig_trust trust, const char *directory, struct kubeconfig *ret_config,
                               struct err *reterr) MUST_USE;
/** Whether either of the two says something: "" is none, as NULL. */
bool kubeconfig_is_chosen(const char *path, const char *context);
/** Whether a command means the service account of the pod that it runs in: nothing is chosen, not by $KUBECONFIG either. */
bool kubeconfig_is_of_pod(const char *path, const char *context);
/** Loads a file: `path`, else $KUBECONFIG (of its files those that are there, as one: what the first of them says counts), else
 *  ~/.kube/config. KUBECONFIG_OWN. "" is none for `path` and `context`. @return as above, and ERR_NOT_FOUND: there is no file. */
enum err_code kubeconfig_load(struct arena *arena, const char *path, const char *context, struct kubeconfig *ret_config,
                              struct err *reterr) MUST_USE;
/** The pod's service account: KUBERNETES_SERVICE_HOST/PORT and /var/run/secrets/kubernetes.io/serviceaccount.
 *  @return ERR_NOT_FOUND when not in a pod; else as above. */
enum err_code kubeconfig_in_cluster(struct arena *arena, struct kubeconfig *ret_config, struct err *reterr) MUST_USE;
