#include "agent/kube/kubeconfig.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/kube/base64.h"
#include "agent/kube/file.h"
#include "agent/kube/impersonate.h"
#include "agent/kube/kubeconfig_internal.h"
#include "agent/kube/pem.h"
#include "agent/kube/yaml.h"
#include "base/mem.h"
#include "base/text.h"

const char *kubeconfig_service_account = "/var/run/secrets/kubernetes.io/serviceaccount";

enum { MAX_BYTES = 1 << 20 };

struct parser {
    struct arena *arena;
    enum kubeconfig_trust trust;
    const char *directory; /* of the file, for relative paths */
    struct err *reterr;
};

static enum err_code no_memory(const struct parser *parser)
{
    return err_set(parser->reterr, ERR_NOMEM, "out of memory");
}

/* ---- reading members ---- */

/* An empty text means absent everywhere in a kubeconfig. Scalars come as they were written, numbers and booleans too. */
static const char *get(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    return text != NULL && text[0] != '\0' ? text : NULL;
}

static bool has(const json_t *object, const char *field)
{
    const json_t *value = json_object_get(object, field);
    return value != NULL && !json_is_null(value);
}

static enum err_code copy(const struct parser *parser, const char *text, const char **ret_text)
{
    if (text == NULL)
        return ERR_OK;
    *ret_text = arena_strdup(parser->arena, text);
    return *ret_text != NULL ? ERR_OK : no_memory(parser);
}

/* Values that become header lines: a line end in one would begin a header of its own. A last line end is a slip of the editor. */
static enum err_code copy_line(const struct parser *parser, const json_t *object, const char *field,
                               const char **ret_text)
{
    const char *text = get(object, field);
    if (text == NULL)
        return ERR_OK;
    size_t length = strlen(text);
    while (length > 0 && strchr(" \r\n\t", text[length - 1]) != NULL)
        length--;
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 127)
            return err_set(parser->reterr, ERR_INVALID, "%s has a control character in it: write it on one line",
                           field);
    *ret_text = arena_printf(parser->arena, "%.*s", (int)length, text);
    return *ret_text != NULL ? ERR_OK : no_memory(parser);
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
    return *ret_path != NULL ? ERR_OK : no_memory(parser);
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

/* ---- what tokens say of themselves ---- */

/* ---- the parts of a context ---- */

static enum err_code read_proxy(const struct parser *parser, const json_t *cluster, struct kubeconfig *config)
{
    static const char *const schemes[] = {"http://", "https://", "socks5://"};
    TRY(copy(parser, get(cluster, "proxy-url"), &config->proxy_url));
    if (config->proxy_url == NULL)
        return ERR_OK;
    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++)
        if (text_starts_with(config->proxy_url, schemes[i]))
            return ERR_OK;
    return err_set(parser->reterr, ERR_INVALID,
                   "proxy-url \"%.100s\" is not of the kind http://, https:// or socks5://", config->proxy_url);
}

static enum err_code read_server(const struct parser *parser, const json_t *cluster, struct kubeconfig *config)
{
    TRY(copy(parser, get(cluster, "server"), &config->server));
    if (config->server == NULL)
        return err_set(parser->reterr, ERR_INVALID, "it has no server: set it to the API server's URL");
    if (!text_starts_with(config->server, "https://") && !text_starts_with(config->server, "http://"))
        return err_set(parser->reterr, ERR_INVALID, "server \"%.200s\" is not a URL: write https://host:port",
                       config->server);
    return ERR_OK;
}

static enum err_code read_cluster(const struct parser *parser, const json_t *cluster, struct kubeconfig *config)
{
    TRY(read_server(parser, cluster, config));
    TRY(copy(parser, get(cluster, "tls-server-name"), &config->tls_server_name));
    TRY(read_proxy(parser, cluster, config));
    config->insecure_skip_tls_verify = text_equal(get(cluster, "insecure-skip-tls-verify"), "true");
    config->disable_compression = text_equal(get(cluster, "disable-compression"), "true");
    TRY(get_data(parser, cluster, "certificate-authority", &config->ca_pem, &config->ca_file));
    if (config->ca_pem == NULL)
        return ERR_OK;
    if (config->insecure_skip_tls_verify)
        return err_set(parser->reterr, ERR_INVALID,
                       "certificate-authority and insecure-skip-tls-verify contradict each other: remove one");
    struct validity ignored;
    if (pem_check_bundle(config->ca_pem, &ignored, parser->reterr) != ERR_OK)
        return err_context(parser->reterr, "certificate-authority");
    return ERR_OK;
}

static enum err_code read_token(const struct parser *parser, const json_t *user, struct kubeconfig *config)
{
    const char *path = get(user, "tokenFile");
    TRY(copy_line(parser, user, "token", &config->token));
    if (path != NULL) {
        if (parser->trust == KUBECONFIG_TARGET)
            return refuse(parser, "tokenFile", "it names a local file");
        TRY(absolute(parser, path, &config->token_file));
        if (file_read_token(parser->arena, config->token_file, &config->token, parser->reterr) != ERR_OK)
            return err_context(parser->reterr, "tokenFile");
    }
    return ERR_OK;
}

static enum err_code read_client_certificate(const struct parser *parser, const json_t *user, struct kubeconfig *config)
{
    TRY(get_data(parser, user, "client-certificate", &config->cert_pem, &config->cert_file));
    TRY(get_data(parser, user, "client-key", &config->key_pem, &config->key_file));
    if ((config->cert_pem == NULL) != (config->key_pem == NULL))
        return err_set(parser->reterr, ERR_INVALID, "client-certificate and client-key must be given together");
    if (config->cert_pem == NULL)
        return ERR_OK;
    struct validity ignored;
    if (pem_validity(config->cert_pem, &ignored, parser->reterr) != ERR_OK)
        return err_context(parser->reterr, "client-certificate");
    if (pem_check_key(config->cert_pem, config->key_pem, parser->reterr) != ERR_OK)
        return err_context(parser->reterr, "client-key");
    return ERR_OK;
}

/* Ways to prove who one is that this program has not: going on without them would be going on as somebody else. */
static enum err_code check_methods(const struct parser *parser, const json_t *user)
{
    bool is_target = parser->trust == KUBECONFIG_TARGET;
    if (has(user, "exec") && is_target)
        return refuse(parser, "exec", "it would run a program in the agent");
    if (has(user, "auth-provider"))
        return is_target ? refuse(parser, "auth-provider", "it would run a program in the agent")
                         : err_set(parser->reterr, ERR_UNSUPPORTED,
                                   "auth-provider is no longer supported by Kubernetes: use exec, a token or a client "
                                   "certificate");
    return ERR_OK;
}

static enum err_code read_exec(const struct parser *parser, const json_t *user, const json_t *cluster,
                               struct kubeconfig *config)
{
    static const char *const others[] = {"token", "tokenFile", "username", "client-certificate",
                                         "client-certificate-data"};
    const json_t *exec = json_object_get(user, "exec");
    if (!has(user, "exec"))
        return ERR_OK;
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        if (get(user, others[i]) != NULL)
            return err_set(parser->reterr, ERR_INVALID, "exec and %s are two ways to say who one is: remove one",
                           others[i]);
    if (exec_config_read(parser->arena, exec, cluster, config->ca_pem, parser->directory, &config->exec,
                         parser->reterr) != ERR_OK)
        return err_context(parser->reterr, "exec");
    return ERR_OK;
}

static enum err_code read_user(const struct parser *parser, const json_t *user, const json_t *cluster,
                               struct kubeconfig *config)
{
    TRY(check_methods(parser, user));
    TRY(read_token(parser, user, config));
    TRY(copy(parser, get(user, "username"), &config->username));
    TRY(copy(parser, get(user, "password"), &config->password));
    TRY(impersonate_read(parser->arena, user, &config->impersonate, parser->reterr));
    TRY(read_client_certificate(parser, user, config));
    return read_exec(parser, user, cluster, config);
}

/* @return the `member` of the entry called `name` when that is a map, else NULL. */
static const json_t *find_named(const json_t *root, const char *list, const char *name, const char *member)
{
    const json_t *entries = json_object_get(root, list);
    for (size_t i = 0; name != NULL && i < json_array_size(entries); i++) {
        const json_t *entry = json_array_get(entries, i);
        if (!text_equal(json_string_value(json_object_get(entry, "name")), name))
            continue;
        const json_t *found = json_object_get(entry, member);
        return json_is_object(found) ? found : NULL;
    }
    return NULL;
}

static enum err_code resolve(const struct parser *parser, const json_t *root, const char *wanted,
                             struct kubeconfig *config)
{
    const char *name = wanted != NULL ? wanted : get(root, "current-context");
    if (name == NULL)
        return err_set(parser->reterr, ERR_INVALID,
                       "no current-context: name one with --context, or set it in the kubeconfig");
    const json_t *context = find_named(root, "contexts", name, "context");
    if (context == NULL)
        return err_set(parser->reterr, ERR_INVALID, "context \"%.100s\" does not exist in it", name);
    const char *cluster_name = get(context, "cluster"), *user_name = get(context, "user");
    const json_t *cluster = find_named(root, "clusters", cluster_name, "cluster");
    const json_t *user = find_named(root, "users", user_name, "user");
    if (cluster == NULL)
        return err_set(parser->reterr, ERR_INVALID, "context \"%.100s\": cluster \"%.100s\" does not exist in it", name,
                       cluster_name != NULL ? cluster_name : "");
    if (user_name != NULL && user == NULL)
        return err_set(parser->reterr, ERR_INVALID, "context \"%.100s\": user \"%.100s\" does not exist in it", name,
                       user_name);
    TRY(copy(parser, name, &config->context_name));
    TRY(copy(parser, get(context, "namespace"), &config->namespace));
    if (read_cluster(parser, cluster, config) != ERR_OK)
        return err_context(parser->reterr, "cluster \"%.100s\"", cluster_name);
    if (user != NULL && read_user(parser, user, cluster, config) != ERR_OK)
        return err_context(parser->reterr, "user \"%.100s\"", user_name);
    return ERR_OK;
}

enum err_code kubeconfig_parse(struct arena *arena, const char *text, size_t bytes, const char *context,
                               enum kubeconfig_trust trust, const char *directory, struct kubeconfig *ret_config,
                               struct err *reterr)
{
    struct err error = {0}; /* own: the steps below add context to it, whether or not the caller wants a text */
    const struct parser parser = {arena, trust, directory, &error};
    struct kubeconfig config = {0};
    json_t *root = NULL;
    if (bytes > MAX_BYTES)
        return err_set(reterr, ERR_LIMIT, "kubeconfig: larger than 1 MiB");
    enum err_code code = yaml_parse(text, bytes, &root, &error);
    if (code == ERR_OK)
        code = json_is_object(root) ? resolve(&parser, root, context, &config)
                                    : err_set(&error, ERR_INVALID, "it is not a map of settings");
    json_decref(root);
    if (code != ERR_OK)
        return err_set(reterr, code, "kubeconfig: %s", error.text);
    *ret_config = config;
    return ERR_OK;
}

/* ---- where kubeconfigs are ---- */

/* The first of $KUBECONFIG's files that exists. */
static const char *listed_path(struct arena *arena, const char *list)
{
    for (const char *at = list; *at != '\0';) {
        size_t length = strcspn(at, ":");
        const char *path = arena_printf(arena, "%.*s", (int)length, at);
        if (length > 0 && path != NULL && access(path, F_OK) == 0)
            return path;
        at += length + (at[length] == ':' ? 1 : 0);
    }
    return NULL;
}

/* @return NULL with reterr. */
static const char *find_file(struct arena *arena, struct err *reterr)
{
    const char *list = getenv("KUBECONFIG"), *home = getenv("HOME"), *path = NULL;
    if (list != NULL && list[0] != '\0') {
        path = listed_path(arena, list);
        if (path == NULL)
            (void)err_set(reterr, ERR_NOT_FOUND, "no file of KUBECONFIG=%.200s exists: name one with --kubeconfig",
                          list);
    } else if (home != NULL) {
        path = arena_printf(arena, "%s/.kube/config", home);
    } else {
        (void)err_set(reterr, ERR_NOT_FOUND, "no kubeconfig: name one with --kubeconfig FILE");
    }
    if (arena_failed(arena))
        (void)err_set(reterr, ERR_NOMEM, "out of memory");
    return path;
}

enum err_code kubeconfig_load(struct arena *arena, const char *path, const char *context, struct kubeconfig *ret_config,
                              struct err *reterr)
{
    const char *file = path != NULL && path[0] != '\0' ? path : NULL, *text = NULL;
    size_t bytes = 0;
    if (file == NULL)
        file = find_file(arena, reterr);
    if (file == NULL)
        return arena_failed(arena) ? ERR_NOMEM : ERR_NOT_FOUND;
    TRY(file_read(arena, file, MAX_BYTES, &text, &bytes, reterr));
    const char *slash = strrchr(file, '/');
    const char *directory = slash != NULL ? arena_printf(arena, "%.*s", (int)(slash - file), file) : ".";
    if (directory == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    enum err_code code = kubeconfig_parse(arena, text, bytes, context, KUBECONFIG_OWN, directory, ret_config, reterr);
    if (code != ERR_OK)
        (void)err_context(reterr, "%s", file);
    return code;
}

/* ---- in a pod ---- */

static const char *account_file(struct arena *arena, const char *name)
{
    return arena_printf(arena, "%s/%s", kubeconfig_service_account, name);
}

static enum err_code read_account(struct arena *arena, struct kubeconfig *config, struct err *reterr)
{
    const char *namespace_file = account_file(arena, "namespace");
    size_t bytes = 0;
    config->token_file = account_file(arena, "token");
    config->ca_file = account_file(arena, "ca.crt");
    if (arena_failed(arena))
        return err_set(reterr, ERR_NOMEM, "out of memory");
    TRY(file_read_token(arena, config->token_file, &config->token, reterr));
    TRY(file_read(arena, config->ca_file, MAX_BYTES, &config->ca_pem, &bytes, reterr));
    struct validity unused;
    if (pem_check_bundle(config->ca_pem, &unused, reterr) != ERR_OK) {
        (void)err_context(reterr, "%s", config->ca_file);
        return ERR_TLS;
    }
    struct err ignored = {0};
    if (file_read_token(arena, namespace_file, &config->namespace, &ignored) == ERR_NOMEM)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    return ERR_OK;
}

enum err_code kubeconfig_in_cluster(struct arena *arena, struct kubeconfig *ret_config, struct err *reterr)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    if (host == NULL || port == NULL || host[0] == '\0' || port[0] == '\0')
        return err_set(reterr, ERR_NOT_FOUND,
                       "not in a pod (KUBERNETES_SERVICE_HOST is not set): use --kubeconfig FILE");
    struct kubeconfig config = {.context_name = "in-cluster"};
    bool is_v6 = strchr(host, ':') != NULL;
    config.server =
        is_v6 ? arena_printf(arena, "https://[%s]:%s", host, port) : arena_printf(arena, "https://%s:%s", host, port);
    if (config.server == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    TRY(read_account(arena, &config, reterr));
    *ret_config = config;
    return ERR_OK;
}
