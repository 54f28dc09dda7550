#include "agent/commands/check_targets.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/resource.h"
#include "mirror/names.h"

enum { NAME_BYTES = 320 };

static bool concerns(const char *cluster, const char *wanted)
{
    return wanted[0] == '\0' || strcmp(cluster, wanted) == 0;
}

/* Steals what it appends. */
static bool append(json_t *targets, json_t *target) { return json_array_append_new(targets, target) == 0; }

static const char *either(const char *text, const char *fallback)
{
    return text != NULL && text[0] != '\0' ? text : fallback;
}

static bool add_link(json_t *targets, json_t *link, const char *namespace, const char *linkerd_namespace,
                     const char *wanted)
{
    const char *cluster = check_text(link, "spec/targetClusterName");
    char declared_by[NAME_BYTES];
    (void)snprintf(declared_by, sizeof(declared_by), "link/%s", object_meta_text(link, "name"));
    return append(targets, json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:O}", "cluster", cluster, "declaredBy",
                                     declared_by, "namespace", namespace, "linkerdNamespace",
                                     either(check_text(link, "spec/targetClusterLinkerdNamespace"), linkerd_namespace),
                                     "secret", check_text(link, "spec/clusterCredentialsSecret"), "concerns",
                                     concerns(cluster, wanted), "link", link));
}

static bool is_of_a_link(const json_t *targets, const char *secret)
{
    const json_t *target = NULL;
    size_t index = 0;
    json_array_foreach(targets, index, target)
    {
        if (strcmp(check_text(target, "secret"), secret) == 0)
            return true;
    }
    return false;
}

/* A Secret without the annotation is the credentials of a Link, or was meant to be. */
static bool add_secret(json_t *targets, json_t *secret, const char *namespace, const char *linkerd_namespace,
                       const char *wanted)
{
    const char *name = object_meta_text(secret, "name");
    const char *cluster = object_meta_entry(secret, "annotations", L5D_SECRET_CLUSTER_NAME);
    const char *its_namespace = object_meta_entry(secret, "annotations", L5D_SECRET_L5D_NS);
    char declared_by[NAME_BYTES];
    if (strcmp(check_text(secret, "type"), L5D_SECRET_TYPE) != 0 || cluster == NULL || is_of_a_link(targets, name))
        return true;
    (void)snprintf(declared_by, sizeof(declared_by), "secret/%s", name);
    return append(targets,
                  json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:O}", "cluster", cluster, "declaredBy", declared_by,
                            "namespace", namespace, "linkerdNamespace", either(its_namespace, linkerd_namespace),
                            "secret", name, "concerns", concerns(cluster, wanted), "declaration", secret));
}

json_t *targets_declared(const json_t *links, const json_t *secrets, const char *namespace,
                         const char *linkerd_namespace, const char *wanted)
{
    json_t *targets = json_array();
    size_t link_count = json_array_size(links), secret_count = json_array_size(secrets);
    bool whole = targets != NULL;
    for (size_t i = 0; whole && i < link_count; i++)
        whole = add_link(targets, json_array_get(links, i), namespace, linkerd_namespace, wanted);
    for (size_t i = 0; whole && i < secret_count; i++)
        whole = add_secret(targets, json_array_get(secrets, i), namespace, linkerd_namespace, wanted);
    if (whole)
        return targets;
    json_decref(targets);
    return NULL;
}

bool target_concerns(const json_t *target) { return json_is_true(json_object_get(target, "concerns")); }

bool target_answers(const json_t *target) { return check_fact(target, "version") != NULL; }

const json_t *target_secret(const json_t *target, const json_t *secrets)
{
    const json_t *secret = NULL;
    size_t index = 0;
    json_array_foreach(secrets, index, secret)
    {
        if (strcmp(object_meta_text(secret, "name"), check_text(target, "secret")) == 0)
            return secret;
    }
    return NULL;
}

const char *target_kubeconfig(const json_t *target, const json_t *secrets)
{
    return json_string_value(check_at(target_secret(target, secrets), "data/" L5D_SECRET_KEY));
}
