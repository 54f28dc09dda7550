#include "agent/commands/support_redact.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "agent/commands/resource.h"
#include "agent/kube/base64.h"
#include "agent/kube/yaml.h"
#include "base/arena.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

#define LEFT_OUT "(left out)"

enum {
    ARENA_BYTES = 64 << 20,
    LEAST_BYTES = 8, /* what is shorter is no credential, but stands everywhere: "true" */
};

const char support_redaction_words[] =
    "  Secrets: the values of all keys; of a kubeconfig stay servers, options and the kinds of credentials\n"
    "  objects: managedFields, kubectl's last-applied-configuration, and values of environment variables whose names "
    "speak of\n"
    "           tokens, keys, passwords or secrets\n"
    "  texts:   JSON Web Tokens, bearer tokens, private keys, PEM in base64, user names and passwords in URLs, and "
    "every value of\n"
    "           a Secret of the agent's namespace\n";

struct value {
    const char *text;
    size_t bytes;
    struct value *next;
};

struct support_redaction {
    struct arena arena;
    struct value *values;
};

struct support_redaction *support_redaction_new(void)
{
    struct support_redaction *redaction = NEW(struct support_redaction);
    if (redaction != NULL)
        arena_init(&redaction->arena, ARENA_BYTES);
    return redaction;
}

void support_redaction_free(struct support_redaction *redaction)
{
    if (redaction == NULL)
        return;
    arena_done(&redaction->arena);
    mem_free(redaction);
}

/* ---- learning ---- */

static void remember(struct support_redaction *redaction, const char *text)
{
    size_t bytes = strlen(text);
    if (bytes < LEAST_BYTES)
        return;
    for (const struct value *value = redaction->values; value != NULL; value = value->next)
        if (value->bytes == bytes && memcmp(value->text, text, bytes) == 0)
            return;
    struct value *value = ARENA_NEW(&redaction->arena, struct value);
    const char *copy = arena_strdup(&redaction->arena, text);
    if (value == NULL || copy == NULL)
        return;
    *value = (struct value){.text = copy, .bytes = bytes, .next = redaction->values};
    redaction->values = value;
}

/* Every text below a user's entry, whatever it is called there: tokens, keys, passwords, arguments of a plugin. */
static void remember_all(struct support_redaction *redaction, const json_t *value)
{
    const char *key = NULL;
    json_t *member = NULL;
    size_t index = 0;
    if (json_is_string(value))
        remember(redaction, json_string_value(value));
    json_object_foreach(mem_unconst(value), key, member) remember_all(redaction, member);
    json_array_foreach(value, index, member) remember_all(redaction, member);
}

/* @return ERR_OK, also of what is no kubeconfig; ERR_NOMEM. */
static enum err_code remember_kubeconfig(struct support_redaction *redaction, const char *text, size_t bytes)
{
    json_t *root = NULL;
    enum err_code code = yaml_parse(text, bytes, &root, NULL);
    if (code != ERR_OK)
        return code == ERR_NOMEM ? code : ERR_OK;
    const json_t *entry = NULL;
    size_t index = 0;
    json_array_foreach(json_object_get(root, "users"), index, entry)
        remember_all(redaction, json_object_get(entry, "user"));
    json_decref(root);
    return ERR_OK;
}

enum err_code support_redaction_learn(struct support_redaction *redaction, const json_t *secret)
{
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach(json_object_get(secret, "data"), key, value)
    {
        const char *base64 = json_string_value(value), *data = NULL;
        size_t bytes = 0;
        if (base64 == NULL || strcmp(key, "ca.crt") == 0 || strcmp(key, "namespace") == 0)
            continue; /* what a service account's Secret holds besides its token is no secret */
        remember(redaction, base64);
        if (base64_decode(&redaction->arena, base64, &data, &bytes, NULL) != ERR_OK || strlen(data) != bytes)
            continue;
        remember(redaction, data);
        if (strcmp(key, L5D_SECRET_KEY) == 0)
            TRY(remember_kubeconfig(redaction, data, bytes));
    }
    return arena_failed(&redaction->arena) ? ERR_NOMEM : ERR_OK;
}

/* ---- objects ---- */

static bool speaks_of_secrets(const char *name)
{
    static const char *const words[] = {"TOKEN", "KEY", "PASSWORD", "SECRET", "CREDENTIAL"};
    char upper[128];
    size_t length = 0;
    for (; name[length] != '\0' && length + 1 < sizeof(upper); length++)
        upper[length] = (char)toupper((unsigned char)name[length]);
    upper[length] = '\0';
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        if (strstr(upper, words[i]) != NULL)
            return true;
    return false;
}

/* In a list of environment variables, wherever such stands. @return false: no memory. */
static bool redact_variables(json_t *value)
{
    const char *key = NULL;
    json_t *member = NULL;
    size_t index = 0;
    bool whole = true;
    const char *name = json_string_value(json_object_get(value, "name"));
    if (name != NULL && speaks_of_secrets(name) && json_is_string(json_object_get(value, "value")))
        whole = json_object_set_new(value, "value", json_string(LEFT_OUT)) == 0;
    json_object_foreach(value, key, member) whole = redact_variables(member) && whole;
    json_array_foreach(value, index, member) whole = redact_variables(member) && whole;
    return whole;
}

/* The server without user name and password. */
static json_t *server_of(const char *url)
{
    struct strbuf text;
    strbuf_init(&text, 4096);
    support_redaction_text(NULL, url, strlen(url), &text);
    json_t *made = json_string(strbuf_text(&text));
    strbuf_done(&text);
    return made;
}

static json_t *cluster_of(const json_t *entry)
{
    static const char *const urls[] = {"server", "proxy-url"}, *const kept[] = {"tls-server-name",
                                                                                "insecure-skip-tls-verify"};
    const json_t *cluster = json_object_get(entry, "cluster");
    json_t *made = json_object();
    for (size_t i = 0; i < ARRAY_COUNT(urls); i++)
        if (json_is_string(json_object_get(cluster, urls[i])))
            (void)json_object_set_new(made, urls[i], server_of(json_string_value(json_object_get(cluster, urls[i]))));
    for (size_t i = 0; i < ARRAY_COUNT(kept); i++)
        if (json_object_get(cluster, kept[i]) != NULL)
            (void)json_object_set(made, kept[i], json_object_get(cluster, kept[i]));
    return made;
}

/* The names of what a user proves himself with: "token", "client-key-data". */
static json_t *kinds_of(const json_t *entry)
{
    json_t *names = json_array(), *value = NULL;
    const char *key = NULL;
    json_object_foreach(json_object_get(entry, "user"), key, value)(void)
        json_array_append_new(names, json_string(key));
    return names;
}

static json_t *kubeconfig_of(struct arena *arena, const char *base64)
{
    const char *data = NULL;
    size_t bytes = 0, index = 0;
    json_t *root = NULL;
    if (base64_decode(arena, base64, &data, &bytes, NULL) != ERR_OK || yaml_parse(data, bytes, &root, NULL) != ERR_OK)
        return json_string("cannot be read");
    json_t *clusters = json_array(), *users = json_array();
    const json_t *entry = NULL;
    json_array_foreach(json_object_get(root, "clusters"), index, entry)(void)
        json_array_append_new(clusters, cluster_of(entry));
    json_array_foreach(json_object_get(root, "users"), index, entry)(void)
        json_array_append_new(users, kinds_of(entry));
    json_decref(root);
    return json_pack("{s:o, s:o}", "clusters", clusters, "credentials", users);
}

/* "(left out: 1234 bytes of base64)" in the place of each value. */
static bool redact_values(json_t *values)
{
    const char *key = NULL;
    json_t *value = NULL;
    bool whole = true;
    json_object_foreach(values, key, value)
    {
        char text[64];
        (void)snprintf(text, sizeof(text), "(left out: %zu bytes)", json_string_length(value));
        whole = json_object_set_new(values, key, json_string(text)) == 0 &&
                whole; /* of a key that is there: the walk goes on */
    }
    return whole;
}

static bool redact_secret(json_t *secret)
{
    struct arena arena;
    const char *kubeconfig = json_string_value(json_object_get(json_object_get(secret, "data"), L5D_SECRET_KEY));
    arena_init(&arena, ARENA_BYTES);
    if (kubeconfig != NULL)
        (void)json_object_set_new(secret, "kubeconfig", kubeconfig_of(&arena, kubeconfig));
    arena_done(&arena);
    bool whole = redact_values(json_object_get(secret, "data"));
    return redact_values(json_object_get(secret, "stringData")) && whole;
}

json_t *support_redaction_object(const json_t *object)
{
    json_t *copy = json_deep_copy(object), *meta = json_object_get(copy, "metadata");
    const char *kind = json_string_value(json_object_get(copy, "kind"));
    (void)json_object_del(meta, "managedFields");
    (void)json_object_del(json_object_get(meta, "annotations"), "kubectl.kubernetes.io/last-applied-configuration");
    bool whole = copy != NULL && redact_variables(copy);
    bool may_be_secret = kind == NULL || strcmp(kind, "ConfigMap") != 0; /* items of a list do not name their kind */
    if (whole && may_be_secret &&
        (json_is_object(json_object_get(copy, "data")) || json_is_object(json_object_get(copy, "stringData"))))
        whole = redact_secret(copy);
    if (whole)
        return copy;
    json_decref(copy); /* what could not be redacted is not shown */
    return NULL;
}

/* ---- texts ---- */

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || c == '-' || c == '_' || c == '.' || c == '~' || c == '+' || c == '/' ||
           c == '=';
}

static size_t run_of(const char *at, const char *end)
{
    size_t length = 0;
    while (at + length < end && is_token_char(at[length]))
        length++;
    return length;
}

static bool begins(const char *at, const char *end, const char *with)
{
    size_t length = strlen(with);
    return (size_t)(end - at) >= length && memcmp(at, with, length) == 0;
}

/* A JSON Web Token: three parts, of which the first is base64 of "{\"". */
static size_t jwt_at(const char *at, const char *end)
{
    size_t length = begins(at, end, "eyJ") ? run_of(at, end) : 0, dots = 0;
    for (size_t i = 0; i < length; i++)
        dots += at[i] == '.' ? 1 : 0;
    return dots >= 2 ? length : 0;
}

static size_t bearer_at(const char *at, const char *end, size_t *ret_kept)
{
    static const char word[] = "Bearer ";
    *ret_kept = sizeof(word) - 1;
    size_t length = begins(at, end, word) ? run_of(at + *ret_kept, end) : 0;
    return length >= LEAST_BYTES ? *ret_kept + length : 0;
}

/* PEM, to its end, or to that of the text. */
static size_t private_key_at(const char *at, const char *end)
{
    static const char last[] = "-----END ";
    if (!begins(at, end, "-----BEGIN "))
        return 0;
    const char *line_end = at + strlen("-----BEGIN ");
    while (line_end < end && *line_end != '-')
        line_end++;
    if (memmem(at, (size_t)(line_end - at), "PRIVATE KEY", strlen("PRIVATE KEY")) == NULL)
        return 0;
    const char *over = memmem(line_end, (size_t)(end - line_end), last, strlen(last));
    if (over == NULL)
        return (size_t)(end - at);
    over += strlen(last);
    while (over < end && *over != '-')
        over++;
    while (over < end && *over == '-')
        over++;
    return (size_t)(over - at);
}

/* Base64 of "-----BEGIN": a certificate or a key. */
static size_t encoded_pem_at(const char *at, const char *end)
{
    return begins(at, end, "LS0tLS1CRUdJTi") ? run_of(at, end) : 0;
}

/* "//user:password@". */
static size_t userinfo_at(const char *at, const char *end, size_t *ret_kept)
{
    *ret_kept = 2;
    if (!begins(at, end, "//"))
        return 0;
    for (const char *c = at + 2; c < end; c++) {
        if (*c == '@' && c > at + 2)
            return (size_t)(c - at);
        if (*c == '/' || *c == '"' || *c == '\'' || isspace((unsigned char)*c) || *c == '?' || *c == '#')
            return 0;
    }
    return 0;
}

/* How much there looks like a credential. @param[out] ret_kept  of it that stays, at the beginning. */
static size_t credential_at(const char *at, const char *end, size_t *ret_kept)
{
    size_t length = 0;
    *ret_kept = 0;
    switch (*at) {
    case 'e':
        return jwt_at(at, end);
    case 'L':
        return encoded_pem_at(at, end);
    case '-':
        return private_key_at(at, end);
    case 'B':
        length = bearer_at(at, end, ret_kept);
        break;
    case '/':
        length = userinfo_at(at, end, ret_kept);
        break;
    default:
        break;
    }
    return length;
}

static void leave_out_patterns(const char *text, size_t bytes, struct strbuf *to)
{
    const char *end = text + bytes, *plain = text;
    for (const char *at = text; at < end;) {
        size_t kept = 0, length = credential_at(at, end, &kept);
        if (length == 0) {
            at++;
            continue;
        }
        strbuf_append_bytes(to, plain, (size_t)(at - plain) + kept);
        strbuf_append(to, LEFT_OUT);
        at += length;
        plain = at;
    }
    strbuf_append_bytes(to, plain, (size_t)(end - plain));
}

/* Replaces in place: nothing that was learned is shorter than what stands for it but by two bytes, which are cut off it then. */
static void leave_out_value(char *text, size_t bytes, const struct value *value, size_t *ret_bytes)
{
    static const char mark[] = LEFT_OUT;
    size_t mark_bytes = value->bytes < sizeof(mark) - 1 ? value->bytes : sizeof(mark) - 1;
    char *end = text + bytes, *to = NULL, *from = text;
    for (char *at = memmem(from, (size_t)(end - from), value->text, value->bytes); at != NULL;
         at = memmem(from, (size_t)(end - from), value->text, value->bytes)) {
        size_t before = (size_t)(at - from);
        if (to == NULL)
            to = text;
        memmove(to, from, before);
        memcpy(to + before, mark, mark_bytes);
        to += before + mark_bytes;
        from = at + value->bytes;
    }
    if (to == NULL)
        return;
    memmove(to, from, (size_t)(end - from));
    *ret_bytes = (size_t)(to - text) + (size_t)(end - from);
}

void support_redaction_text(const struct support_redaction *redaction, const char *text, size_t bytes,
                            struct strbuf *to)
{
    const struct value *values = redaction != NULL ? redaction->values : NULL;
    if (values == NULL || bytes == 0) {
        leave_out_patterns(text, bytes, to);
        return;
    }
    char *copy = mem_alloc(bytes);
    if (copy == NULL) {
        to->error = ERR_NOMEM;
        return;
    }
    memcpy(copy, text, bytes);
    for (const struct value *value = values; value != NULL; value = value->next)
        leave_out_value(copy, bytes, value, &bytes);
    leave_out_patterns(copy, bytes, to);
    mem_free(copy);
}
