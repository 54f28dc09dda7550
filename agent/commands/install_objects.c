#include "agent/commands/install_objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/commands/command.h"
#include "agent/commands/resource.h"
#include "agent/commands/run.h"
#include "agent/kube/yaml.h"
#include "base/mem.h"
#include "base/text.h"

enum { MAX_AGENT_FLAGS = 32, FLAGS_BYTES = 4096, NAME_BYTES = 128 };

#define DIGITS "0123456789"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define MIN_MEMORY_BYTES 0x1p25 /* 32Mi: what the manifests request; a limit below it is refused by API servers */

extern const char install_link_crd[], install_manifests[]; /* of deploy/manifests, made by the build */

/* ---- single values ---- */

static const struct {
    const char *suffix;
    double bytes;
} memory_units[] = {{"", 1},        {"k", 1e3},     {"M", 1e6},     {"G", 1e9},     {"T", 1e12},
                    {"P", 1e15},    {"E", 1e18},    {"Ki", 0x1p10}, {"Mi", 0x1p20}, {"Gi", 0x1p30},
                    {"Ti", 0x1p40}, {"Pi", 0x1p50}, {"Ei", 0x1p60}};

/* @return bytes; less than 0: it is no quantity. */
static double memory_bytes(const char *text)
{
    size_t digits = strspn(text, DIGITS), point = text[digits] == '.' && digits > 0 ? 1 : 0;
    const char *suffix = text + digits + point;
    suffix += point > 0 ? strspn(suffix, DIGITS) : 0;
    double number = digits > 0 ? strtod(text, NULL) : 0; /* with the exponent, if there is one */
    if (digits > 0 && suffix[0] == 'e' && suffix[1] != '\0' && suffix[1 + strspn(suffix + 1, DIGITS)] == '\0')
        return number;
    for (size_t i = 0; digits > 0 && i < ARRAY_COUNT(memory_units); i++)
        if (strcmp(suffix, memory_units[i].suffix) == 0)
            return number * memory_units[i].bytes;
    return -1;
}

enum err_code install_check_quantity(const char *text, struct err *reterr)
{
    double bytes = memory_bytes(text);
    if (bytes < 0)
        return err_set(reterr, ERR_INVALID, "\"%.80s\" is no amount of memory: write e.g. 512Mi or 1Gi", text);
    if (bytes < MIN_MEMORY_BYTES)
        return err_set(reterr, ERR_INVALID,
                       "\"%.80s\" is less than the 32Mi that a replica requests: write e.g. 512Mi or 1Gi", text);
    return ERR_OK;
}

enum err_code install_check_image(const char *text, struct err *reterr)
{
    static const char CHARACTERS[] = LETTERS DIGITS "._-+:/@[]"; /* in brackets: a registry's address of IPv6 */
    if (text[0] != '\0' && strchr(LETTERS DIGITS "[", text[0]) != NULL && text[strspn(text, CHARACTERS)] == '\0')
        return ERR_OK;
    return err_set(reterr, ERR_INVALID,
                   "\"%.80s\" is no image: write e.g. svcmirror:0.1.0 or registry.example/svcmirror@sha256:...", text);
}

/* ---- flags of the agent ---- */

/* @param buffer  gets the text with its spaces replaced; the words point into it. */
static enum err_code split_flags(const char *text, char buffer[FLAGS_BYTES], char *words[MAX_AGENT_FLAGS],
                                 int *ret_count, struct err *reterr)
{
    int count = 0;
    char *state = NULL;
    if (strlen(text) >= FLAGS_BYTES)
        return err_set(reterr, ERR_LIMIT, "longer than %d bytes", FLAGS_BYTES - 1);
    (void)snprintf(buffer, FLAGS_BYTES, "%s", text);
    for (char *word = strtok_r(buffer, " ", &state); word != NULL; word = strtok_r(NULL, " ", &state)) {
        if (count == MAX_AGENT_FLAGS)
            return err_set(reterr, ERR_LIMIT, "more than %d flags", MAX_AGENT_FLAGS);
        words[count++] = word;
    }
    *ret_count = count;
    return ERR_OK;
}

/* Flags of `run` that the manifests decide themselves, or that mean nothing in a pod. */
static const struct {
    const char *name, *why;
} of_the_pod[] = {
    {"namespace", "the namespace is that of --namespace"},
    {"kubeconfig", "the pod has no kubeconfig: its service account is used"},
    {"context", "the pod has no kubeconfig: its service account is used"},
    {"admin-addr", "the pod's port and probes are those of :9999"},
    {"metrics-addr", "the pod's port and probes are those of :9999"},
    {"help", "the agent would print its help and end, over and over"},
};

/* A value behind a space would be taken for the next flag by whoever reads the manifest.
 * @return why a word is no flag for the manifests, or NULL. */
static const char *misplaced(const char *word)
{
    if (!text_starts_with(word, "--"))
        return "write --FLAG=VALUE";
    size_t length = strcspn(word + 2, "=");
    for (size_t i = 0; i < ARRAY_COUNT(of_the_pod); i++)
        if (strlen(of_the_pod[i].name) == length && strncmp(word + 2, of_the_pod[i].name, length) == 0)
            return of_the_pod[i].why;
    return NULL;
}

enum err_code install_check_agent_flags(const char *text, struct err *reterr)
{
    char buffer[FLAGS_BYTES], *words[MAX_AGENT_FLAGS];
    int count = 0;
    struct options options;
    TRY(split_flags(text, buffer, words, &count, reterr));
    for (int i = 0; i < count; i++)
        if (misplaced(words[i]) != NULL)
            return err_set(reterr, ERR_INVALID, "\"%.80s\": %s", words[i], misplaced(words[i]));
    TRY(options_parse_elsewhere(command_run.options, count, words, &options, reterr));
    const char *objection = run_objection(&options);
    return objection != NULL ? err_set(reterr, ERR_INVALID, "%s", objection) : ERR_OK;
}

static enum err_code add_flags(json_t *args, const char *text, struct err *reterr)
{
    char buffer[FLAGS_BYTES], *words[MAX_AGENT_FLAGS];
    int count = 0;
    TRY(install_check_agent_flags(text, reterr));
    TRY(split_flags(text, buffer, words, &count, reterr));
    for (int i = 0; i < count; i++)
        if (json_array_append_new(args, json_string(words[i])) != 0)
            return err_set(reterr, ERR_NOMEM, "out of memory");
    return ERR_OK;
}

/* ---- what people change ---- */

static enum err_code set(json_t *object, const char *key, json_t *value, struct err *reterr)
{
    return json_object_set_new(object, key, value) == 0 ? ERR_OK : err_set(reterr, ERR_NOMEM, "out of memory");
}

static enum err_code set_text(json_t *object, const char *key, const char *text, struct err *reterr)
{
    return text != NULL ? set(object, key, json_string(text), reterr) : ERR_OK;
}

void install_cluster_name(const char *namespace, char *buffer, size_t bytes)
{
    bool own = strcmp(namespace, INSTALL_NAMESPACE) != 0;
    (void)snprintf(buffer, bytes, "svcmirror%s%s", own ? "-" : "", own ? namespace : "");
}

static enum err_code move_subjects(json_t *object, const char *namespace, struct err *reterr)
{
    json_t *subject = NULL;
    size_t index = 0;
    json_array_foreach(json_object_get(object, "subjects"), index, subject)
        TRY(set_text(subject, "namespace", namespace, reterr));
    return ERR_OK;
}

/* Another namespace: for what lies in one, for whom rights are given to, and behind the names of what lies in none. */
static enum err_code move_object(json_t *object, const char *namespace, struct err *reterr)
{
    char name[NAME_BYTES];
    struct resource resource;
    json_t *metadata = json_object_get(object, "metadata"), *role = json_object_get(object, "roleRef");
    TRY(resource_of(object, &resource, reterr));
    install_cluster_name(namespace, name, sizeof(name));
    if (strcmp(resource.kind, "Namespace") == 0)
        return set_text(metadata, "name", namespace, reterr);
    if (strcmp(resource.kind, "CustomResourceDefinition") == 0)
        return ERR_OK;
    TRY(resource.namespaced ? set_text(metadata, "namespace", namespace, reterr)
                            : set_text(metadata, "name", name, reterr));
    if (strcmp(resource.kind, "ClusterRoleBinding") == 0)
        TRY(set_text(role, "name", name, reterr));
    return move_subjects(object, namespace, reterr);
}

static enum err_code change_deployment(json_t *object, const struct install_settings *settings, struct err *reterr)
{
    json_t *spec = json_object_get(object, "spec");
    json_t *pod = json_object_get(json_object_get(spec, "template"), "spec");
    json_t *container = json_array_get(json_object_get(pod, "containers"), 0);
    json_t *limits = json_object_get(json_object_get(container, "resources"), "limits");
    TRY(set(spec, "replicas", json_integer(settings->replicas), reterr));
    TRY(set_text(container, "image", settings->image, reterr));
    TRY(set_text(container, "imagePullPolicy", settings->pull_policy, reterr));
    TRY(set_text(limits, "memory", settings->memory_limit, reterr));
    if (settings->pull_secret != NULL)
        TRY(set(pod, "imagePullSecrets", json_pack("[{s:s}]", "name", settings->pull_secret), reterr));
    return settings->agent_flags != NULL ? add_flags(json_object_get(container, "args"), settings->agent_flags, reterr)
                                         : ERR_OK;
}

static bool is_kind(const json_t *object, const char *kind)
{
    const char *is = json_string_value(json_object_get(object, "kind"));
    return is != NULL && strcmp(is, kind) == 0;
}

static enum err_code change(json_t *object, const struct install_settings *settings, struct err *reterr)
{
    TRY(move_object(object, settings->namespace, reterr));
    return is_kind(object, "Deployment") ? change_deployment(object, settings, reterr) : ERR_OK;
}

/* Adds the objects of a stream of manifests. */
static enum err_code add_manifests(json_t *objects, const char *text, const struct install_settings *settings,
                                   struct err *reterr)
{
    const char *at = text, *document = NULL;
    size_t bytes = 0;
    while (yaml_next_document(&at, &document, &bytes)) {
        json_t *object = NULL;
        TRY(yaml_parse_manifest(document, bytes, &object, reterr));
        if (object == NULL)
            continue;
        if (json_array_append_new(objects, object) != 0)
            return err_set(reterr, ERR_NOMEM, "out of memory");
        TRY(change(object, settings, reterr));
    }
    return ERR_OK;
}

static enum err_code add_all(json_t *objects, const struct install_settings *settings, struct err *reterr)
{
    if (objects == NULL)
        return err_set(reterr, ERR_NOMEM, "out of memory");
    if (settings->with_link_crd)
        TRY(add_manifests(objects, install_link_crd, settings, reterr));
    return add_manifests(objects, install_manifests, settings, reterr);
}

enum err_code install_objects(const struct install_settings *settings, json_t **ret_objects, struct err *reterr)
{
    json_t *objects = json_array();
    enum err_code code = add_all(objects, settings, reterr);
    if (code != ERR_OK) {
        json_decref(objects);
        return code;
    }
    *ret_objects = objects;
    return ERR_OK;
}
