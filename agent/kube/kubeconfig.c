#include "agent/kube/kubeconfig.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

enum {
    MAX_BYTES = 1 << 20,
    MAX_FILES = 256, /* of KUBECONFIG: a folder of them is listed, too */
    SHOWN_NAMES = 5,
    NAMES_BYTES = 448, /* for so many, each cut at 80 */
};

/* What is read as one kubeconfig: a file's content or, where KUBECONFIG lists several, that of each. Of what has one name the first counts. */
struct documents {
    struct document {
        json_t *root;          /* a map */
        const char *directory; /* of the file, for relative paths; NULL: they stay as they are */
    } items[MAX_FILES];
    unsigned count;
};

struct parser {
    struct arena *arena;
    enum kubeconfig_trust trust;
    const char *directory; /* of the file that is being read, for relative paths */
    struct err *reterr;
};

static enum err_code no_memory(const struct parser *parser)
{
    return err_set(parser->reterr, ERR_NOMEM, "out of memory");
}

/* ---- reading members ---- */

static bool is_given(const char *text) { return text != NULL && text[0] != '\0'; }

/* An empty text means absent everywhere in a kubeconfig. Scalars come as they were written, numbers and booleans too. */
static const char *get(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    return is_given(text) ? text : NULL;
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

/* ---- contexts ---- */

/* Part of a document. */
struct part {
    const json_t *value; /* a map; NULL: there is none */
    const char *directory;
};

/* @return the `member` of the entry called `name`, when that is a map. */
static struct part find_named(const struct documents *documents, const char *list, const char *name, const char *member)
{
    for (unsigned i = 0; name != NULL && i < documents->count; i++) {
        const json_t *entries = json_object_get(documents->items[i].root, list);
        for (size_t j = 0; j < json_array_size(entries); j++) {
            const json_t *entry = json_array_get(entries, j);
            if (!text_equal(json_string_value(json_object_get(entry, "name")), name))
                continue;
            const json_t *found = json_object_get(entry, member);
            return (struct part){json_is_object(found) ? found : NULL, documents->items[i].directory};
        }
    }
    return (struct part){0};
}

/* Writes the names that find_named() finds something by: "west, east". */
static void list_names(const struct documents *documents, const char *list, const char *member, char names[NAMES_BYTES])
{
    size_t used = 0;
    unsigned count = 0;
    names[0] = '\0';
    for (unsigned i = 0; i < documents->count; i++) {
        const json_t *entries = json_object_get(documents->items[i].root, list);
        for (size_t j = 0; j < json_array_size(entries); j++) {
            const json_t *entry = json_array_get(entries, j), *value = json_object_get(entry, member);
            const char *name = get(entry, "name");
            bool found = name != NULL && json_is_object(value);
            if (found && i > 0) /* an earlier file may have the name */
                found = find_named(documents, list, name, member).value == value;
            if (found && count++ < SHOWN_NAMES)
                used += (size_t)snprintf(names + used, NAMES_BYTES - used, "%s%.80s", used > 0 ? ", " : "", name);
        }
    }
    if (count > SHOWN_NAMES)
        (void)snprintf(names + used, NAMES_BYTES - used, ", and %u more", count - SHOWN_NAMES);
}

/* Says why find_named() finds nothing, and what it would find. */
static enum err_code refuse_name(const struct parser *parser, const struct documents *documents, const char *list,
                                 const char *name, const char *member)
{
    char names[NAMES_BYTES];
    for (unsigned i = 0; i < documents->count; i++)
        if (has(documents->items[i].root, list) && !json_is_array(json_object_get(documents->items[i].root, list)))
            return err_set(parser->reterr, ERR_INVALID, "`%s` is no list", list);
    list_names(documents, list, member, names);
    return err_set(parser->reterr, ERR_INVALID, "%s \"%.100s\" does not exist in it; it has%s%s", member, name,
                   names[0] != '\0' ? ": " : " none", names);
}

static enum err_code refuse_no_context(const struct parser *parser)
{
    if (parser->trust == KUBECONFIG_TARGET)
        return err_set(parser->reterr, ERR_INVALID, "no current-context: set it in the kubeconfig");
    return err_set(parser->reterr, ERR_INVALID,
                   "no current-context: name one with --context, or set it in the kubeconfig");
}

static const char *current_context(const struct documents *documents)
{
    const char *name = NULL;
    for (unsigned i = 0; name == NULL && i < documents->count; i++)
        name = get(documents->items[i].root, "current-context");
    return name;
}

/* The cluster and the user of a context. */
static enum err_code read_parts(const struct parser *parser, const struct documents *documents, const json_t *context,
                                struct kubeconfig *config)
{
    const char *cluster_name = get(context, "cluster"), *user_name = get(context, "user");
    const struct part cluster = find_named(documents, "clusters", cluster_name, "cluster");
    const struct part user = find_named(documents, "users", user_name, "user");
    struct parser of_cluster = *parser, of_user = *parser;
    enum err_code code = ERR_OK;
    of_cluster.directory = cluster.directory;
    of_user.directory = user.directory;
    if (cluster.value == NULL)
        code = refuse_name(parser, documents, "clusters", cluster_name, "cluster");
    else if (user_name != NULL && user.value == NULL)
        code = refuse_name(parser, documents, "users", user_name, "user");
    if (code != ERR_OK)
        return err_context(parser->reterr, "context \"%.100s\"", config->context_name);
    if (read_cluster(&of_cluster, cluster.value, config) != ERR_OK)
        return err_context(parser->reterr, "cluster \"%.100s\"", cluster_name);
    if (user.value != NULL && read_user(&of_user, user.value, cluster.value, config) != ERR_OK)
        return err_context(parser->reterr, "user \"%.100s\"", user_name);
    return ERR_OK;
}

static enum err_code resolve(const struct parser *parser, const struct documents *documents, const char *wanted,
                             struct kubeconfig *config)
{
    const char *name = wanted != NULL ? wanted : current_context(documents);
    if (name == NULL)
        return refuse_no_context(parser);
    const struct part context = find_named(documents, "contexts", name, "context");
    if (context.value == NULL)
        return refuse_name(parser, documents, "contexts", name, "context");
    if (get(context.value, "cluster") == NULL)
        return err_set(parser->reterr, ERR_INVALID, "context \"%.100s\" names no cluster", name);
    TRY(copy(parser, name, &config->context_name));
    TRY(copy(parser, get(context.value, "namespace"), &config->namespace));
    return read_parts(parser, documents, context.value, config);
}

/* ---- from a text ---- */

/* Adds what a file says. */
static enum err_code add_document(struct documents *documents, const char *text, size_t bytes, const char *directory,
                                  struct err *reterr)
{
    json_t *root = NULL;
    if (bytes > MAX_BYTES)
        return err_set(reterr, ERR_LIMIT, "larger than 1 MiB");
    TRY(yaml_parse(text, bytes, &root, reterr));
    if (!json_is_object(root)) {
        json_decref(root);
        return err_set(reterr, ERR_INVALID, "it is not a map of settings");
    }
    documents->items[documents->count++] = (struct document){root, directory};
    return ERR_OK;
}

static void documents_done(struct documents *documents)
{
    for (unsigned i = 0; i < documents->count; i++)
        json_decref(documents->items[i].root);
}

enum err_code kubeconfig_parse(struct arena *arena, const char *text, size_t bytes, const char *context,
                               enum kubeconfig_trust trust, const char *directory, struct kubeconfig *ret_config,
                               struct err *reterr)
{
    struct err error = {0}; /* own: the steps below add context to it, whether or not the caller wants a text */
    const struct parser parser = {arena, trust, NULL, &error};
    struct documents documents = {.count = 0};
    struct kubeconfig config = {0};
    enum err_code code = add_document(&documents, text, bytes, directory, &error);
    if (code == ERR_OK)
        code = resolve(&parser, &documents, context, &config);
    documents_done(&documents);
    if (code != ERR_OK)
        return err_set(reterr, code, "kubeconfig: %s", error.text);
    *ret_config = config;
    return ERR_OK;
}

/* ---- where kubeconfigs are ---- */

static enum err_code load_file(struct arena *arena, const char *path, struct documents *documents, struct err *reterr)
{
    const char *text = NULL, *slash = strrchr(path, '/');
    size_t bytes = 0;
    TRY(file_read(arena, path, MAX_BYTES, &text, &bytes, reterr));
    const char *directory = slash != NULL ? arena_printf(arena, "%.*s", (int)(slash - path), path) : ".";
    if (directory == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (add_document(documents, text, bytes, directory, reterr) != ERR_OK)
        return err_context(reterr, "%s: kubeconfig", path);
    return ERR_OK;
}

/* One that cannot be looked at is not passed over: another's current-context would count. */
static bool says_something(const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0)
        return errno != ENOENT;
    return !S_ISREG(about.st_mode) || about.st_size > 0;
}

/* Reads those of KUBECONFIG's files that are there, as kubectl does. */
static enum err_code load_list(struct arena *arena, const char *list, struct documents *documents,
                               const char **ret_place, struct err *reterr)
{
    *ret_place = arena_printf(arena, "KUBECONFIG=%.200s", list);
    for (const char *at = list; *at != '\0';) {
        size_t length = strcspn(at, ":");
        const char *path = arena_printf(arena, "%.*s", (int)length, at);
        if (path == NULL || *ret_place == NULL)
            return err_set(reterr, ERR_NOMEM, "out of memory");
        if (says_something(path)) {
            if (documents->count == MAX_FILES)
                return err_set(reterr, ERR_LIMIT, "KUBECONFIG lists more than %d files", MAX_FILES);
            TRY(load_file(arena, path, documents, reterr));
            if (length == strlen(list))
                *ret_place = path;
        }
        at += length + (at[length] == ':' ? 1 : 0);
    }
    if (documents->count == 0)
        return err_set(reterr, ERR_NOT_FOUND, "no file of %s exists and says anything: name one with --kubeconfig",
                       *ret_place);
    return ERR_OK;
}

static enum err_code load_own(struct arena *arena, struct documents *documents, const char **ret_place,
                              struct err *reterr)
{
    const char *home = getenv("HOME");
    if (home == NULL)
        return err_set(reterr, ERR_NOT_FOUND, "no kubeconfig: name one with --kubeconfig FILE");
    *ret_place = arena_printf(arena, "%s/.kube/config", home);
    if (*ret_place == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (access(*ret_place, F_OK) != 0)
        return err_set(reterr, ERR_NOT_FOUND, "%s: %s: name one with --kubeconfig", *ret_place, strerror(errno));
    return load_file(arena, *ret_place, documents, reterr);
}

/* @param[out] ret_place  for texts: the file, or KUBECONFIG's files. */
static enum err_code load(struct arena *arena, const char *path, struct documents *documents, const char **ret_place,
                          struct err *reterr)
{
    const char *list = getenv("KUBECONFIG");
    *ret_place = path;
    if (is_given(path))
        return load_file(arena, path, documents, reterr);
    return is_given(list) ? load_list(arena, list, documents, ret_place, reterr)
                          : load_own(arena, documents, ret_place, reterr);
}

bool kubeconfig_is_chosen(const char *path, const char *context) { return is_given(path) || is_given(context); }

bool kubeconfig_is_of_pod(const char *path, const char *context)
{
    return !kubeconfig_is_chosen(path, context) && !is_given(getenv("KUBECONFIG")) &&
           getenv("KUBERNETES_SERVICE_HOST") != NULL;
}

enum err_code kubeconfig_load(struct arena *arena, const char *path, const char *context, struct kubeconfig *ret_config,
                              struct err *reterr)
{
    struct err error = {0};
    const struct parser parser = {arena, KUBECONFIG_OWN, NULL, &error};
    struct documents documents = {.count = 0};
    struct kubeconfig config = {0};
    const char *place = NULL;
    enum err_code code = load(arena, path, &documents, &place, &error);
    if (code == ERR_OK) {
        code = resolve(&parser, &documents, is_given(context) ? context : NULL, &config);
        if (code != ERR_OK)
            (void)err_context(&error, "%s: kubeconfig", place);
    }
    documents_done(&documents);
    if (code != ERR_OK)
        return err_set(reterr, code, "%s", error.text);
    *ret_config = config;
    return ERR_OK;
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
