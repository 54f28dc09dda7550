/* Whether the agent runs, has its rights, and is alone. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/text.h"

#define AGENT_NAME "svcmirror"

/* ---- the Deployment ---- */

static bool is_agent(const json_t *deployment)
{
    const char *name = object_meta_entry(deployment, "labels", "app.kubernetes.io/name");
    return name != NULL && strcmp(name, AGENT_NAME) == 0;
}

const json_t *check_find_agent(const json_t *deployments, unsigned *ret_count)
{
    const json_t *deployment = NULL, *found = NULL;
    size_t index = 0;
    *ret_count = 0;
    json_array_foreach(deployments, index, deployment)
    {
        if (!is_agent(deployment))
            continue;
        found = deployment;
        ++*ret_count;
    }
    return found;
}

/* Why a pod of the agent does not run. @return "" when none says why. */
static const char *pod_complaint(const json_t *pods)
{
    const json_t *pod = NULL, *container = NULL;
    size_t index = 0, inner = 0;
    json_array_foreach(pods, index, pod)
    {
        if (!is_agent(pod))
            continue;
        json_array_foreach(check_at(pod, "status/containerStatuses"), inner, container)
        {
            const char *reason = check_text(container, "state/waiting/reason");
            if (reason[0] != '\0')
                return reason;
        }
    }
    return "";
}

void check_agent_running(const json_t *snapshot, struct check_report *report)
{
    const json_t *source = json_object_get(snapshot, "source");
    const json_t *deployments = check_needed_items(report, source, "deployments", "source");
    const char *namespace = check_text(snapshot, "namespace");
    unsigned count = 0;
    const json_t *agent = check_find_agent(deployments, &count);
    json_int_t available = json_integer_value(check_at(agent, "status/availableReplicas"));
    json_int_t wanted = json_integer_value(check_at(agent, "spec/replicas"));
    const char *complaint = pod_complaint(check_items(source, "pods"));
    if (deployments == NULL)
        return;
    if (count != 1)
        check_problem(report, "namespace %s has %u Deployments of the agent, where there should be one: %s", namespace,
                      count, count == 0 ? "`svcmirror install --apply` makes it" : "delete all but one");
    else if (available < 1)
        check_problem(report, "deployment %s/%s has no available replica%s%s", namespace,
                      object_meta_text(agent, "name"), complaint[0] != '\0' ? ": " : "", complaint);
    else if (available < wanted)
        check_doubt(report, "deployment %s/%s has %d of %d replicas available%s%s", namespace,
                    object_meta_text(agent, "name"), (int)available, (int)wanted, complaint[0] != '\0' ? ": " : "",
                    complaint);
}

void check_no_other_controller(const json_t *snapshot, struct check_report *report)
{
    static const char *const components[] = {"service-mirror", "linkerd-service-mirror", "controller"};
    const json_t *deployment = NULL;
    const json_t *deployments =
        check_needed_items(report, json_object_get(snapshot, "source"), "deployments", "source");
    size_t index = 0;
    json_array_foreach(deployments, index, deployment)
    {
        const json_t *labels = check_at(deployment, "spec/template/metadata/labels");
        const char *component = json_string_value(json_object_get(labels, "component"));
        const char *old = json_string_value(json_object_get(labels, "linkerd.io/control-plane-component"));
        bool other = old != NULL && strcmp(old, "linkerd-service-mirror") == 0;
        for (size_t i = 0; i < ARRAY_COUNT(components); i++)
            other = other || (component != NULL && strcmp(component, components[i]) == 0);
        if (other && !is_agent(deployment))
            check_problem(report,
                          "deployment %s/%s is Linkerd's own controller: delete it, or both mirror the same services",
                          object_meta_text(deployment, "namespace"), object_meta_text(deployment, "name"));
    }
}
