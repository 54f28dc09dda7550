#include "agent/commands/edge_stack_values.h"

#include <string.h>

#include "agent/commands/output.h"
#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/text.h"

/* The object as it will be: after its change, or as it is. */
static const json_t *planned(const struct edge_stack_plan *plan, const char *kind, const json_t *is)
{
    const json_t *change = NULL;
    size_t index = 0;
    json_array_foreach(plan->changes, index, change)
    {
        const json_t *after = json_object_get(change, "after");
        if (text_equal(edge_stack_text_at(after, "kind", NULL), kind))
            return after;
    }
    return is;
}

/* The charts know a list's items by these fields alone. */
static json_t *chart_ports(const json_t *service)
{
    static const char *const KEYS[] = {"name", "port", "targetPort", "protocol", "nodePort"};
    json_t *ports = json_array(), *port = NULL;
    size_t index = 0;
    json_array_foreach(edge_stack_at(service, "spec", "ports", NULL), index, port)
    {
        json_t *copy = json_object();
        for (size_t i = 0; i < ARRAY_COUNT(KEYS); i++)
            if (json_object_get(port, KEYS[i]) != NULL)
                (void)json_object_set(copy, KEYS[i], json_object_get(port, KEYS[i]));
        (void)json_array_append_new(ports, copy);
    }
    return ports;
}

/* Annotations that are of this purpose, not those of kubectl, Helm or the record. */
static json_t *chart_annotations(const json_t *annotations)
{
    json_t *chosen = json_object(), *value = NULL;
    const char *key = NULL;
    json_object_foreach(mem_unconst(annotations), key, value)
    {
        if (strstr(key, "linkerd.io/") != NULL)
            (void)json_object_set(chosen, key, value);
    }
    return chosen;
}

void edge_stack_write_values(const struct edge_stack_gateway *gateway, const struct edge_stack_plan *plan,
                             struct strbuf *text)
{
    const json_t *service = planned(plan, "Service", gateway->service);
    const json_t *workload = planned(plan, edge_stack_text_at(gateway->workload, "kind", NULL), gateway->workload);
    json_t *values =
        json_pack("{s:{s:o, s:o}, s:o, s:{s:b}}", "service", "ports", chart_ports(service), "annotations",
                  chart_annotations(edge_stack_at(service, "metadata", "annotations", NULL)), "podAnnotations",
                  chart_annotations(edge_stack_at(workload, "spec", "template", "metadata", "annotations", NULL)),
                  "module", "add_linkerd_headers", 1);
    if (values != NULL)
        output_yaml(values, text);
    else
        text->error = ERR_NOMEM;
    json_decref(values);
}
