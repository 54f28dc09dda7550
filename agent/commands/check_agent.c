/* Whether the agent runs, has its rights, and is alone. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/install_objects.h"
#include "agent/commands/resource.h"
#include "base/mem.h"

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

/* ---- rights ---- */

/* Without these the agent does the rest: who takes them away may have meant to. */
static bool is_optional(const char *resource, const char *verb)
{
    return strcmp(resource, "endpoints") == 0 || strcmp(resource, "events") == 0 ||
           strcmp(resource, "servicecidrs") == 0 || strncmp(resource, "serviceimports", 14) == 0 ||
           (strcmp(resource, "namespaces") == 0 && strcmp(verb, "create") == 0);
}

static bool holds(const json_t *list, const char *wanted)
{
    const json_t *item = NULL;
    size_t index = 0;
    json_array_foreach(list, index, item)
    {
        const char *text = json_string_value(item);
        if (text != NULL && (strcmp(text, "*") == 0 || strcmp(text, wanted) == 0))
            return true;
    }
    return false;
}

/* Whether one of the rules gives the right for all names. */
static bool is_granted(const json_t *rules, const char *group, const char *resource, const char *verb)
{
    const json_t *rule = NULL;
    size_t index = 0;
    json_array_foreach(rules, index, rule)
    {
        if (json_array_size(json_object_get(rule, "resourceNames")) == 0 &&
            holds(json_object_get(rule, "apiGroups"), group) && holds(json_object_get(rule, "resources"), resource) &&
            holds(json_object_get(rule, "verbs"), verb))
            return true;
    }
    return false;
}

static bool is_subject(const json_t *binding, const char *namespace, const char *account)
{
    const json_t *subject = NULL;
    size_t index = 0;
    char all_of_namespace[128];
    (void)snprintf(all_of_namespace, sizeof(all_of_namespace), "system:serviceaccounts:%s", namespace);
    json_array_foreach(json_object_get(binding, "subjects"), index, subject)
    {
        const char *kind = check_text(subject, "kind"), *name = check_text(subject, "name");
        bool itself = strcmp(kind, "ServiceAccount") == 0 && strcmp(name, account) == 0 &&
                      strcmp(check_text(subject, "namespace"), namespace) == 0;
        bool one_of_all = strcmp(kind, "Group") == 0 &&
                          (strcmp(name, all_of_namespace) == 0 || strcmp(name, "system:serviceaccounts") == 0 ||
                           strcmp(name, "system:authenticated") == 0);
        if (itself || one_of_all)
            return true;
    }
    return false;
}

static const json_t *rules_of(const json_t *source, const json_t *binding)
{
    bool within = strcmp(check_text(binding, "roleRef/kind"), "Role") == 0;
    const json_t *role = NULL;
    size_t index = 0;
    json_array_foreach(check_items(source, within ? "roles" : "clusterRoles"), index, role)
    {
        if (strcmp(object_meta_text(role, "name"), check_text(binding, "roleRef/name")) == 0)
            return json_object_get(role, "rules");
    }
    return NULL;
}

/* @return whether a binding of this kind gives the right. */
static bool is_given(const json_t *source, const char *bindings, const char *namespace, const char *account,
                     const char *group, const char *resource, const char *verb)
{
    const json_t *binding = NULL;
    size_t index = 0;
    json_array_foreach(check_items(source, bindings), index, binding)
    {
        if (is_subject(binding, namespace, account) && is_granted(rules_of(source, binding), group, resource, verb))
            return true;
    }
    return false;
}

struct holder {
    const json_t *source;
    const char *namespace, *account;
};

/* Judges each verb of one resource of a rule that the agent needs. */
static void judge_resource(const struct holder *holder, const json_t *rule, const char *resource, bool everywhere,
                           struct check_report *report)
{
    const char *group = json_string_value(json_array_get(json_object_get(rule, "apiGroups"), 0));
    const json_t *verb_item = NULL;
    size_t index = 0;
    json_array_foreach(json_object_get(rule, "verbs"), index, verb_item)
    {
        const char *verb = json_string_value(verb_item);
        bool given = is_given(holder->source, "clusterRoleBindings", holder->namespace, holder->account, group,
                              resource, verb) ||
                     (!everywhere && is_given(holder->source, "roleBindings", holder->namespace, holder->account, group,
                                              resource, verb));
        if (given)
            continue;
        const char *where = everywhere ? "in all namespaces" : "in its namespace";
        if (is_optional(resource, verb))
            check_doubt(report, "* service account %s/%s may not %s %s %s", holder->namespace, holder->account, verb,
                        resource, where);
        else
            check_problem(report,
                          "* service account %s/%s may not %s %s%s%s %s: `svcmirror install --apply` gives the right",
                          holder->namespace, holder->account, verb, resource, group[0] != '\0' ? "." : "", group,
                          where);
    }
}

static void judge_rules(const struct holder *holder, const json_t *role, struct check_report *report)
{
    bool everywhere = strcmp(check_text(role, "kind"), "ClusterRole") == 0;
    const json_t *rule = NULL, *resource = NULL;
    size_t index = 0, inner = 0;
    if (!everywhere && strcmp(check_text(role, "kind"), "Role") != 0)
        return;
    json_array_foreach(json_object_get(role, "rules"), index, rule)
    {
        json_array_foreach(json_object_get(rule, "resources"), inner, resource)
            judge_resource(holder, rule, json_string_value(resource), everywhere, report);
    }
}

void check_agent_rights(const json_t *snapshot, struct check_report *report)
{
    static const char *const lists[] = {"clusterRoles", "clusterRoleBindings", "roles", "roleBindings"};
    const json_t *source = json_object_get(snapshot, "source"), *object = NULL;
    unsigned count = 0;
    const json_t *agent = check_find_agent(check_items(source, "deployments"), &count);
    const char *account = check_text(agent, "spec/template/spec/serviceAccountName");
    const struct holder holder = {.source = source,
                                  .namespace = check_text(snapshot, "namespace"),
                                  .account = account[0] != '\0' ? account : AGENT_NAME};
    const struct install_settings settings = {.namespace = holder.namespace, .replicas = 1};
    json_t *needed = NULL;
    struct err error = {0};
    size_t index = 0;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        if (check_needed_items(report, source, lists[i], "source") == NULL)
            return;
    if (install_objects(&settings, &needed, &error) != ERR_OK)
        check_doubt(report, "cannot be judged: %s", error.text);
    json_array_foreach(needed, index, object) judge_rules(&holder, object, report);
    json_decref(needed);
}
