/* Whether a claim may have the name and the namespace that it wants. */
#include <string.h>

#include "mirror/names.h"
#include "mirror/plan_internal.h"

static const char *invalid_name(const struct planner *planner, const struct claim *claim, const char *name)
{
    if (text_is_dns1123_label(name))
        return NULL;
    if (strlen(name) <= 63)
        return arena_printf(planner->arena, "the mirror's name %s is not a valid Service name", name);
    bool templated = claim->link->declaration->naming.name != NULL;
    return arena_printf(planner->arena,
                        "the mirror's name %s would have %zu characters, and a Service name has at most 63: "
                        "shorten the service's or the cluster's name%s",
                        name, strlen(name), templated ? ", or the link's annotation " LINK_MIRROR_NAME : "");
}

/* Who has the name of a service's mirror before the service itself; NULL: nobody. A hostname among them is of an older link, whose own service only
 * older ones can precede, so that this comes to an end. */
static const struct claim *root_winner(const struct planner *of_root, const struct claim *root)
{
    for (const struct claim *claim = of_root->mirror->claims; claim != root; claim = claim->next)
        if (plan_invalid_reason(of_root, claim) == NULL)
            return claim;
    return NULL;
}

/* A hostname's mirror names that of its service, without which it is not to be. */
static const char *invalid_root(const struct planner *planner, const struct claim *claim)
{
    char namespace[OBJECT_KEY_BYTES];
    const struct claim *root = claim->service->claim;
    struct planner of_root = *planner;
    of_root.mirror = root->mirror;
    of_root.name = object_key_split(root->mirror->key, namespace);
    of_root.namespace = namespace;
    const char *invalid = invalid_name(&of_root, root, of_root.name);
    if (invalid != NULL)
        return invalid;
    if (root->mirror->foreign)
        return arena_printf(planner->arena, "its service has no mirror: Service %s exists and is somebody else's",
                            root->mirror->key);
    const struct claim *winner = root_winner(&of_root, root);
    return winner == NULL
               ? NULL
               : arena_printf(planner->arena, "its service has no mirror: %s", plan_lost_words(&of_root, root, winner));
}

/* Whoever may annotate a service of the target is not asked where in this cluster mirrors may be: whoever declares the link is. */
static const char *refused_namespace(const struct planner *planner, const struct claim *claim, const char *wish)
{
    const struct link *link = claim->link->declaration;
    const char *kind = link->kind == LINK_SECRET ? "secret" : "link";
    return arena_printf(
        planner->arena,
        "annotation " EXPORT_NAMESPACE " \"%s\" is not among the namespaces that services of cluster %s "
        "may choose: take it off, or allow it in the source cluster by the annotation " LINK_ALLOWED_NAMESPACES
        " of %s %s/%s",
        wish, link->cluster_name, kind, link->namespace, link->name);
}

static const char *invalid_namespace(const struct planner *planner, const struct claim *claim)
{
    char mapped[OBJECT_KEY_BYTES];
    const struct object_meta *meta = &claim->service->service->meta;
    const struct naming *naming = &claim->link->declaration->naming;
    const char *wish = kv_get(&meta->annotations, EXPORT_NAMESPACE),
               *allowed = naming->allowed != NULL ? naming->allowed : planner->world->config.allowed_namespaces;
    naming_namespace(naming, meta->namespace, mapped);
    if (wish != NULL && wish[0] != '\0' && !text_is_dns1123_label(wish))
        return arena_printf(planner->arena, "annotation " EXPORT_NAMESPACE " \"%s\" is not a name of a namespace",
                            wish);
    if (wish != NULL && wish[0] != '\0' && strcmp(wish, mapped) != 0 && !naming_allows(allowed, wish))
        return refused_namespace(planner, claim, wish);
    if (claim_is_discovery(claim) && strcmp(planner->namespace, meta->namespace) != 0)
        return arena_printf(
            planner->arena,
            "by remote discovery Linkerd looks for the service in the namespace of its mirror, which "
            "would be %s and has to be %s: mirror it through a gateway, or leave its namespace as it is",
            planner->namespace, meta->namespace);
    return NULL;
}

const char *plan_invalid_name(const struct planner *planner, const struct claim *claim)
{
    const char *invalid = NULL;
    if (claim->kind == CLAIM_SERVICE || claim->kind == CLAIM_HOST)
        invalid = invalid_namespace(planner, claim);
    if (invalid == NULL)
        invalid = invalid_name(planner, claim, planner->name);
    if (invalid == NULL && claim->kind == CLAIM_HOST)
        invalid = invalid_root(planner, claim);
    return invalid;
}
