#include "mirror/metadata.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

/* Ownership marks of GitOps tools: on a mirror they would make the tool adopt it, and delete it as unknown to its repository. */
static const char *const ownership_marks[] = {
    "argocd.argoproj.io/*",         "kustomize.toolkit.fluxcd.io/*", "helm.toolkit.fluxcd.io/*",       "meta.helm.sh/*",
    "app.kubernetes.io/managed-by", "applyset.kubernetes.io/*",      "config.k8s.io/owning-inventory", "kapp.k14s.io/*",
    "objectset.rio.cattle.io/*",
};

static const char *const local_annotations[] = {
    "kubectl.kubernetes.io/last-applied-configuration",
    "service.kubernetes.io/topology-aware-hints", /* meaningless here: endpoints are gateways, not pods in zones */
    "service.kubernetes.io/topology-mode",
    "service.beta.kubernetes.io/load-balancer-source-ranges", /* the API server takes it of a load balancer alone */
};

bool metadata_pattern_matches(const char *pattern, const char *key)
{
    if (!text_ends_with(pattern, "/*"))
        return strcmp(pattern, key) == 0;
    return strncmp(pattern, key, strlen(pattern) - 1) == 0;
}

static bool any_matches(const char *const *patterns, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (metadata_pattern_matches(patterns[i], key))
            return true;
    return false;
}

/* "app, team/" followed by "*": whether a comma list of keys and patterns names the key. No list names all. */
static bool is_allowed(const char *list, const char *key)
{
    char pattern[512];
    size_t length = 0;
    if (list == NULL)
        return true;
    for (const char *word = text_next_word(&list, &length); word != NULL; word = text_next_word(&list, &length)) {
        (void)snprintf(pattern, sizeof(pattern), "%.*s", (int)length, word);
        if (metadata_pattern_matches(pattern, key))
            return true;
    }
    return false;
}

/* Marks that tell how to mirror are set anew for each mirror, never carried along: with another cluster's "multicluster.linkerd.io/" marks the proxies
 * here would be sent wherever that cluster says. Linkerd's check of its own prefix is without a slash. */
static bool tells_how_to_mirror(const char *key)
{
    return text_starts_with(key, L5D_PREFIX) || text_starts_with(key, SVCMIRROR_PREFIX) ||
           text_starts_with(key, L5D_LINK_GROUP "/");
}

void metadata_copy_labels(struct kv_builder *builder, const struct kv_list *remote, const struct link *link)
{
    for (size_t i = 0; i < remote->count; i++) {
        const struct kv *label = &remote->items[i];
        if (!tells_how_to_mirror(label->key) &&
            !any_matches(ownership_marks, ARRAY_COUNT(ownership_marks), label->key) &&
            !any_matches(link->excluded_labels, link->excluded_label_count, label->key) &&
            is_allowed(link->allowed_labels, label->key))
            kv_builder_set(builder, label->key, label->value);
    }
}

static bool annotation_is_carried(const char *key, const struct link *link)
{
    /* Without it the proxy would take an opaque port for HTTP: always carried, as Linkerd does. */
    if (strcmp(key, L5D_OPAQUE_PORTS) == 0)
        return true;
    return !tells_how_to_mirror(key) && !any_matches(ownership_marks, ARRAY_COUNT(ownership_marks), key) &&
           !any_matches(local_annotations, ARRAY_COUNT(local_annotations), key) &&
           !any_matches(link->excluded_annotations, link->excluded_annotation_count, key) &&
           is_allowed(link->allowed_annotations, key);
}

void metadata_copy_annotations(struct kv_builder *builder, const struct kv_list *remote, const struct link *link)
{
    for (size_t i = 0; i < remote->count; i++)
        if (annotation_is_carried(remote->items[i].key, link))
            kv_builder_set(builder, remote->items[i].key, remote->items[i].value);
}
