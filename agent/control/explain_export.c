#include "agent/control/explain_export.h"

#include <string.h>

#include "base/mem.h"
#include "mirror/names.h"

/* ---- 2.8: two annotations ---- */

static bool explain_annotation(struct facts *facts, const struct link *link, const struct service *service,
                               const char *key, const char *wanted)
{
    const char *value = kv_get(&service->meta.annotations, key);
    if (value != NULL && value[0] != '\0') {
        facts_add(facts, FACT_GOOD, "export", "annotation %s is \"%s\"", key, value);
        return true;
    }
    facts_add(facts, FACT_BAD, "export", "annotation %s is %s", key, value == NULL ? "missing" : "empty");
    facts_advise(facts, "name %s, in cluster %s: kubectl annotate --overwrite service -n %s %s %s=...", wanted,
                 link->cluster_name, service->meta.namespace, service->meta.name, key);
    return false;
}

/* ---- Links: selectors ---- */

static bool is_in(const struct selector_requirement *requirement, const char *value)
{
    for (uint32_t i = 0; i < requirement->value_count; i++)
        if (strcmp(requirement->values[i], value) == 0)
            return true;
    return false;
}

static void advise_label(struct facts *facts, const struct link *link, const struct service *service,
                         const struct selector_requirement *requirement)
{
    const struct object_meta *meta = &service->meta;
    const char *command = requirement->value_count > 1 ? " (or another of these values)" : "";
    if (requirement->op == SELECTOR_IN)
        facts_advise(facts, "in cluster %s: kubectl label --overwrite service -n %s %s %s=%s%s", link->cluster_name,
                     meta->namespace, meta->name, requirement->key, requirement->values[0], command);
    else if (requirement->op == SELECTOR_EXISTS)
        facts_advise(facts, "in cluster %s: kubectl label service -n %s %s %s=...", link->cluster_name, meta->namespace,
                     meta->name, requirement->key);
    else
        facts_advise(facts, "in cluster %s: kubectl label service -n %s %s %s-", link->cluster_name, meta->namespace,
                     meta->name, requirement->key);
}

static bool holds(const struct selector_requirement *requirement, const char *value)
{
    switch (requirement->op) {
    case SELECTOR_IN:
        return value != NULL && is_in(requirement, value);
    case SELECTOR_NOT_IN:
        return value == NULL || !is_in(requirement, value);
    case SELECTOR_EXISTS:
        return value != NULL;
    case SELECTOR_DOES_NOT_EXIST:
        return value == NULL;
    }
    return false;
}

static bool explain_requirement(struct facts *facts, const struct link *link, const struct service *service,
                                const struct selector_requirement *requirement, const char *way)
{
    const struct selector alone = {requirement, 1};
    const char *wanted = selector_format(&facts->arena, &alone),
               *value = kv_get(&service->meta.labels, requirement->key);
    bool good = holds(requirement, value);
    if (wanted == NULL)
        return good;
    if (value == NULL)
        facts_add(facts, good ? FACT_GOOD : FACT_BAD, "export", "label %s is missing; Link %s selects %s%s",
                  requirement->key, link->name, wanted, way);
    else
        facts_add(facts, good ? FACT_GOOD : FACT_BAD, "export", "label %s is \"%s\"; Link %s selects %s%s",
                  requirement->key, value, link->name, wanted, way);
    if (!good)
        advise_label(facts, link, service, requirement);
    return good;
}

static void explain_selector(struct facts *facts, const struct link *link, const struct service *service,
                             const struct selector *selector, const char *way)
{
    for (uint32_t i = 0; i < selector->count; i++)
        (void)explain_requirement(facts, link, service, &selector->requirements[i], way);
}

static bool is_selected(const struct link *link, const struct service *service)
{
    return selector_matches(&link->discovery_selector, &service->meta.labels) ||
           selector_matches(&link->selector, &service->meta.labels) ||
           selector_matches(&link->federated_selector, &service->meta.labels);
}

/* What matches is told alone; when nothing does, all that could. */
static bool explain_selectors(struct facts *facts, const struct link *link, const struct service *service)
{
    const struct {
        const struct selector *selector;
        const char *way;
    } ways[] = {{&link->discovery_selector, " for remote discovery"},
                {&link->selector, ""},
                {&link->federated_selector, " for federated services"}};
    bool any = false, all_empty = true;
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++) {
        any = selector_matches(ways[i].selector, &service->meta.labels) || any;
        all_empty = selector_is_empty(ways[i].selector) && all_empty;
    }
    for (size_t i = 0; i < ARRAY_COUNT(ways); i++)
        if (!any || selector_matches(ways[i].selector, &service->meta.labels))
            explain_selector(facts, link, service, ways[i].selector, ways[i].way);
    if (all_empty) {
        facts_add(facts, FACT_BAD, "export", "the selectors of Link %s are empty, which selects nothing", link->name);
        facts_advise(facts, "kubectl edit link -n %s %s: spec.selector.matchLabels: {" L5D_EXPORTED ": \"true\"}",
                     link->namespace, link->name);
    }
    return any;
}

/* ---- ServiceExports ---- */

/* Of what another mark exports, none is missed. */
static void explain_service_export(struct facts *facts, const struct link *link, const struct service *service,
                                   const struct explain_service_export *service_export, bool marked)
{
    const struct object_meta *meta = &service->meta;
    if (!service_export->taken)
        return;
    if (service_export->there)
        facts_add(facts, FACT_GOOD, "export", "ServiceExport %s/%s is in cluster %s", meta->namespace, meta->name,
                  link->cluster_name);
    else if (service_export->trouble[0] != '\0')
        facts_add(facts, marked ? FACT_NOTE : FACT_BAD, "export", "whether there is a ServiceExport is not known: %s",
                  service_export->trouble);
    else if (!marked && link->kind != LINK_SECRET)
        facts_add(facts, FACT_BAD, "export", "there is no ServiceExport %s/%s in cluster %s", meta->namespace,
                  meta->name, link->cluster_name);
}

/* ---- only to named clusters ---- */

static bool explain_export_to(struct facts *facts, const struct service *service, const char *own_cluster)
{
    const char *only = kv_get(&service->meta.annotations, EXPORT_TO);
    if (only == NULL)
        return true;
    bool named = text_list_has(only, own_cluster);
    facts_add(facts, named ? FACT_GOOD : FACT_BAD, "export", "annotation " EXPORT_TO " is \"%s\"; this cluster is %s",
              only, own_cluster[0] != '\0' ? own_cluster : "not named");
    if (!named)
        facts_advise(facts, "start the agent, and this command, with --cluster-name, or change the annotation");
    return named;
}

static bool explain_ways(struct facts *facts, const struct link *link, const struct service *service)
{
    if (link->kind != LINK_SECRET)
        return explain_selectors(facts, link, service);
    bool name = explain_annotation(facts, link, service, L5D_GATEWAY_NAME, "the gateway's Service");
    bool namespace = explain_annotation(facts, link, service, L5D_GATEWAY_NS, "the namespace of the gateway's Service");
    return name && namespace;
}

bool explain_export(struct facts *facts, const struct link *link, const struct service *service,
                    const char *own_cluster, const struct explain_service_export *service_export)
{
    bool here = explain_export_to(facts, service, own_cluster);
    bool by_export = link->kind != LINK_SECRET && service_export->taken && service_export->there;
    /* What a ServiceExport exports misses no label. */
    bool marked = (!by_export || is_selected(link, service)) && explain_ways(facts, link, service);
    explain_service_export(facts, link, service, service_export, marked);
    return (marked || by_export) && here;
}

/* ---- where its mirror goes ---- */

static void explain_annotated(struct facts *facts, const struct service *service, const char *annotation)
{
    const char *value = kv_get(&service->meta.annotations, annotation);
    if (value != NULL && value[0] != '\0')
        facts_add(facts, FACT_NOTE, "name", "annotation %s is \"%s\"", annotation, value);
}

void explain_naming(struct facts *facts, const struct link *link, const struct service *service)
{
    char namespace[OBJECT_KEY_BYTES];
    const char *kind = link->kind == LINK_SECRET ? "Secret" : "Link";
    const struct naming *naming = &link->naming;
    naming_namespace(naming, service->meta.namespace, namespace);
    if (naming->name != NULL && naming->name[0] != '\0')
        facts_add(facts, FACT_NOTE, "name", "%s %s names mirrors \"%s\"", kind, link->name, naming->name);
    if (strcmp(namespace, service->meta.namespace) != 0)
        facts_add(facts, FACT_NOTE, "name", "%s %s has mirrors of namespace %s in namespace %s", kind, link->name,
                  service->meta.namespace, namespace);
    explain_annotated(facts, service, EXPORT_NAME);
    explain_annotated(facts, service, EXPORT_NAMESPACE);
}
