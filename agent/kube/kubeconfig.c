#include "agent/kube/kubeconfig.h"

#include <jansson.h>
#include <openssl/asn1.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "agent/kube/base64.h"
#include "agent/kube/file.h"
#include "agent/kube/yaml.h"
#include "base/mem.h"
#include "base/text.h"

#define SERVICE_ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"

enum { MAX_BYTES = 1 << 20 };

struct parser {
    struct arena *arena;
    enum kubeconfig_trust trust;
    const char *directory; /* of the file, for relative paths */
    struct err *reterr;
};

/* ---- reading members ---- */

static const char *get(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    return text != NULL && text[0] != '\0' ? text : NULL;
}

/* Booleans and numbers come as they were written: YAML without types is text. */
static bool is_true(const json_t *object, const char *field)
{
    const char *text = get(object, field);
    return text != NULL && strcmp(text, "true") == 0;
}

static enum err_code copy(const struct parser *parser, const char *text, const char **ret_text)
{
    if (text == NULL)
        return ERR_OK;
    *ret_text = arena_strdup(parser->arena, text);
    return *ret_text != NULL ? ERR_OK : err_set(parser->reterr, ERR_NOMEM, "out of memory");
}

static enum err_code refuse(const struct parser *parser, const char *field, const char *why)
{
    return err_set(parser->reterr, ERR_INVALID,
                   "%s is not allowed in a target's kubeconfig: %s; inline it with `kubectl config view --flatten "
                   "--raw`, or use a token",
                   field, why);
}

static enum err_code absolute(const struct parser *parser, const char *path, const char **ret_path)
{
    if (path[0] == '/' || parser->directory == NULL)
        return copy(parser, path, ret_path);
    *ret_path = arena_printf(parser->arena, "%s/%s", parser->directory, path);
    return *ret_path != NULL ? ERR_OK : err_set(parser->reterr, ERR_NOMEM, "out of memory");
}

/* `<field>-data` inline, else the file that `<field>` names. */
static enum err_code get_data(const struct parser *parser, const json_t *object, const char *field,
                              const char **ret_text, const char **ret_file)
{
    char data_field[64];
    (void)snprintf(data_field, sizeof(data_field), "%s-data", field);
    const char *encoded = get(object, data_field), *path = get(object, field);
    size_t bytes = 0;
    if (encoded != NULL) {
        if (base64_decode(parser->arena, encoded, ret_text, &bytes, parser->reterr) != ERR_OK)
            return err_context(parser->reterr, "%s", data_field);
        return ERR_OK;
    }
    if (path == NULL)
        return ERR_OK;
    if (parser->trust == KUBECONFIG_TARGET)
        return refuse(parser, field, "it names a local file");
    TRY(absolute(parser, path, ret_file));
    if (file_read(parser->arena, *ret_file, MAX_BYTES, ret_text, &bytes, parser->reterr) != ERR_OK)
        return err_context(parser->reterr, "%s", field);
    return ERR_OK;
}

/* ---- what certificates and tokens say of themselves ---- */

static int64_t time_of(const ASN1_TIME *time)
{
    struct tm parts;
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return 0;
    return (int64_t)timegm(&parts) * 1000000;
}

static enum err_code read_certificate(const struct parser *parser, const char *pem, int64_t *ret_expires_us)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    if (certificate == NULL)
        return err_set(parser->reterr, ERR_INVALID, "client-certificate is not a PEM certificate");
    *ret_expires_us = time_of(X509_get0_notAfter(certificate));
    X509_free(certificate);
    return ERR_OK;
}

static enum err_code check_ca(const struct parser *parser, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    BIO_free(bio);
    bool good = certificate != NULL;
    X509_free(certificate);
    return good ? ERR_OK : err_set(parser->reterr, ERR_INVALID, "certificate-authority holds no PEM certificate");
}

static enum err_code check_key(const struct parser *parser, const char *pem)
{
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio != NULL ? PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)(uintptr_t) "") : NULL;
    BIO_free(bio);
    bool good = key != NULL;
    EVP_PKEY_free(key);
    return good ? ERR_OK
                : err_set(parser->reterr, ERR_INVALID, "client-key is not a PEM private key without a password");
}

int64_t kubeconfig_token_expires_us(struct arena *arena, const char *token)
{
    const char *start = strchr(token, '.'), *end = start != NULL ? strchr(start + 1, '.') : NULL, *claims = NULL;
    size_t bytes = 0;
    struct err ignored = {0};
    if (end == NULL)
        return 0;
    const char *payload = arena_printf(arena, "%.*s", (int)(end - start - 1), start + 1);
    if (payload == NULL || base64_decode(arena, payload, &claims, &bytes, &ignored) != ERR_OK)
        return 0;
    json_t *json = json_loadb(claims, bytes, 0, NULL);
    int64_t expires_s = (int64_t)json_integer_value(json_object_get(json, "exp"));
    json_decref(json);
    return expires_s * 1000000;
}

/* ---- the parts of a context ---- */

static enum err_code read_cluster(const struct parser *parser, const json_t *cluster, struct kubeconfig *config)
{
    TRY(copy(parser, get(cluster, "server"), &config->server));
    if (config->server == NULL)
        return err_set(parser->reterr, ERR_INVALID, "the cluster has no server: set it to the API server's URL");
    TRY(copy(parser, get(cluster, "tls-server-name"), &config->tls_server_name));
    TRY(copy(parser, get(cluster, "proxy-url"), &config->proxy_url));
    config->insecure_skip_tls_verify = is_true(cluster, "insecure-skip-tls-verify");
    TRY(get_data(parser, cluster, "certificate-authority", &config->ca_pem, &config->ca_file));
    return config->ca_pem != NULL ? check_ca(parser, config->ca_pem) : ERR_OK;
}

static enum err_code read_token(const struct parser *parser, const json_t *user, struct kubeconfig *config)
{
    const char *path = get(user, "tokenFile");
    TRY(copy(parser, get(user, "token"), &config->token));
    if (path != NULL) {
        if (parser->trust == KUBECONFIG_TARGET)
            return refuse(parser, "tokenFile", "it names a local file");
        TRY(absolute(parser, path, &config->token_file));
        TRY(file_read_token(parser->arena, config->token_file, &config->token, parser->reterr));
    }
    if (config->token != NULL)
        config->token_expires_us = kubeconfig_token_expires_us(parser->arena, config->token);
    return ERR_OK;
}

static enum err_code read_user(const struct parser *parser, const json_t *user, struct kubeconfig *config)
{
    if (json_object_get(user, "exec") != NULL)
        return parser->trust == KUBECONFIG_TARGET
                   ? refuse(parser, "exec", "it would run a program in the agent")
                   : err_set(parser->reterr, ERR_UNSUPPORTED,
                             "exec credential plugins are not supported yet: use a token or a client certificate");
    if (json_object_get(user, "auth-provider") != NULL)
        return err_set(parser->reterr, ERR_INVALID, "auth-provider is no longer supported by Kubernetes: use a token");
    TRY(read_token(parser, user, config));
    TRY(copy(parser, get(user, "username"), &config->username));
    TRY(copy(parser, get(user, "password"), &config->password));
    TRY(copy(parser, get(user, "as"), &config->as_user));
    TRY(get_data(parser, user, "client-certificate", &config->cert_pem, &config->cert_file));
    TRY(get_data(parser, user, "client-key", &config->key_pem, &config->key_file));
    if ((config->cert_pem == NULL) != (config->key_pem == NULL))
        return err_set(parser->reterr, ERR_INVALID, "client-certificate and client-key must be given together");
    if (config->cert_pem == NULL)
        return ERR_OK;
    TRY(read_certificate(parser, config->cert_pem, &config->cert_expires_us));
    return check_key(parser, config->key_pem);
}

static const json_t *find_named(const json_t *root, const char *list, const char *name, const char *member)
{
    const json_t *entries = json_object_get(root, list);
    for (size_t i = 0; i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        const char *entry_name = json_string_value(json_object_get(entry, "name"));
        if (entry_name != NULL && strcmp(entry_name, name) == 0)
            return json_object_get(entry, member);
    }
    return NULL;
}

static enum err_code resolve(const struct parser *parser, const json_t *root, const char *wanted,
                             struct kubeconfig *config)
{
    const char *context_name = wanted != NULL ? wanted : get(root, "current-context");
    if (context_name == NULL)
        return err_set(parser->reterr, ERR_INVALID,
                       "no current-context: name one with --context, or set it in the kubeconfig");
    const json_t *context = find_named(root, "contexts", context_name, "context");
    if (!json_is_object(context))
        return err_set(parser->reterr, ERR_INVALID, "context \"%.100s\" does not exist in the kubeconfig",
                       context_name);
    const char *cluster_name = get(context, "cluster"), *user_name = get(context, "user");
    const json_t *cluster = cluster_name != NULL ? find_named(root, "clusters", cluster_name, "cluster") : NULL;
    const json_t *user = user_name != NULL ? find_named(root, "users", user_name, "user") : NULL;
    if (!json_is_object(cluster))
        return err_set(parser->reterr, ERR_INVALID,
                       "context \"%.100s\": cluster \"%.100s\" does not exist in the kubeconfig", context_name,
                       cluster_name != NULL ? cluster_name : "");
    if (user_name != NULL && !json_is_object(user))
        return err_set(parser->reterr, ERR_INVALID,
                       "context \"%.100s\": user \"%.100s\" does not exist in the kubeconfig", context_name, user_name);
    TRY(copy(parser, context_name, &config->context_name));
    TRY(copy(parser, get(context, "namespace"), &config->namespace));
    if (read_cluster(parser, cluster, config) != ERR_OK)
        return err_context(parser->reterr, "cluster \"%.100s\"", cluster_name);
    if (user != NULL && read_user(parser, user, config) != ERR_OK)
        return err_context(parser->reterr, "user \"%.100s\"", user_name);
    return ERR_OK;
}

enum err_code kubeconfig_parse(struct arena *arena, const char *text, size_t bytes, const char *context,
                               enum kubeconfig_trust trust, const char *directory, struct kubeconfig *ret_config,
                               struct err *reterr)
{
    const struct parser parser = {arena, trust, directory, reterr};
    struct err own = {0};
    struct kubeconfig config = {0};
    json_t *root = NULL;
    if (bytes > MAX_BYTES)
        return err_set(reterr, ERR_LIMIT, "kubeconfig: larger than 1 MiB");
    enum err_code code = yaml_parse(text, bytes, &root, &own);
    if (code == ERR_OK && !json_is_object(root))
        code = err_set(&own, ERR_INVALID, "it is not a map: is it a kubeconfig?");
    if (code == ERR_OK) {
        struct parser with_own = parser;
        with_own.reterr = &own;
        code = resolve(&with_own, root, context, &config);
    }
    json_decref(root);
    if (code != ERR_OK)
        return err_set(reterr, code, "kubeconfig: %s", own.text);
    *ret_config = config;
    return ERR_OK;
}

/* ---- where kubeconfigs are ---- */

static const char *default_path(struct arena *arena)
{
    const char *list = getenv("KUBECONFIG"), *home = getenv("HOME");
    for (const char *at = list; at != NULL && *at != '\0';) {
        size_t length = strcspn(at, ":");
        const char *path = arena_printf(arena, "%.*s", (int)length, at);
        if (length > 0 && path != NULL && access(path, R_OK) == 0)
            return path;
        at += length + (at[length] == ':' ? 1 : 0);
    }
    return home != NULL ? arena_printf(arena, "%s/.kube/config", home) : NULL;
}

enum err_code kubeconfig_load(struct arena *arena, const char *path, const char *context, struct kubeconfig *ret_config,
                              struct err *reterr)
{
    const char *file = path != NULL && path[0] != '\0' ? path : default_path(arena), *text = NULL;
    size_t bytes = 0;
    if (file == NULL)
        return err_set(reterr, ERR_NOT_FOUND, "no kubeconfig: name one with --kubeconfig");
    TRY(file_read(arena, file, MAX_BYTES, &text, &bytes, reterr));
    const char *slash = strrchr(file, '/');
    const char *directory = slash != NULL ? arena_printf(arena, "%.*s", (int)(slash - file), file) : ".";
    enum err_code code = kubeconfig_parse(arena, text, bytes, context, KUBECONFIG_OWN, directory, ret_config, reterr);
    return code == ERR_OK ? ERR_OK : err_context(reterr, "%s", file);
}

enum err_code kubeconfig_in_cluster(struct arena *arena, struct kubeconfig *ret_config, struct err *reterr)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    size_t bytes = 0;
    if (host == NULL || port == NULL)
        return err_set(reterr, ERR_NOT_FOUND,
                       "not in a pod (KUBERNETES_SERVICE_HOST is not set): use --kubeconfig FILE");
    struct kubeconfig config = {.context_name = "in-cluster"};
    config.server = arena_printf(arena, strchr(host, ':') != NULL ? "https://[%s]:%s" : "https://%s:%s", host, port);
    config.token_file = SERVICE_ACCOUNT "/token";
    config.ca_file = SERVICE_ACCOUNT "/ca.crt";
    TRY(file_read_token(arena, config.token_file, &config.token, reterr));
    TRY(file_read(arena, config.ca_file, MAX_BYTES, &config.ca_pem, &bytes, reterr));
    config.token_expires_us = kubeconfig_token_expires_us(arena, config.token);
    if (config.server == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    *ret_config = config;
    return ERR_OK;
}
