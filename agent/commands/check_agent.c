/* Whether the agent runs, has its rights, and is alone. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/check_targets.h"
#include "agent/commands/install_objects.h"
#include "agent/commands/resource.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

#define AGENT_NAME "svcmirror"

enum { NAMESPACE_BYTES = 256 };

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

/* Whether a rule is for all names, or for this one. @param name  NULL: only for all will do. */
static bool is_for(const json_t *rule, const char *name)
{
    const json_t *names = json_object_get(rule, "resourceNames"), *item = NULL;
    size_t index = 0;
    json_array_foreach(names, index, item)
    {
        if (name != NULL && text_equal(json_string_value(item), name)) /* "*" is a name like any other here */
            return true;
    }
    return json_array_size(names) == 0;
}

/* Whether one of the rules gives the right. */
static bool is_granted(const json_t *rules, const char *group, const char *resource, const char *name, const char *verb)
{
    const json_t *rule = NULL;
    size_t index = 0;
    json_array_foreach(rules, index, rule)
    {
        if (is_for(rule, name) && holds(json_object_get(rule, "apiGroups"), group) &&
            holds(json_object_get(rule, "resources"), resource) && holds(json_object_get(rule, "verbs"), verb))
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

/* @param roles  facts of the binding's namespace. */
static const json_t *rules_of(const json_t *source, const json_t *roles, const json_t *binding)
{
    bool within = strcmp(check_text(binding, "roleRef/kind"), "Role") == 0;
    const json_t *role = NULL;
    size_t index = 0;
    json_array_foreach(within ? check_items(roles, "roles") : check_items(source, "clusterRoles"), index, role)
    {
        if (strcmp(object_meta_text(role, "name"), check_text(binding, "roleRef/name")) == 0)
            return json_object_get(role, "rules");
    }
    return NULL;
}

struct holder {
    const json_t *source;
    const char *namespace, *account;
};

/* A right, on objects of all names or (`name`) on one. */
struct right {
    const char *group, *resource, *name, *verb;
};

/* @return whether one of these bindings gives the right. @param roles  facts of the bindings' namespace. */
static bool is_given(const struct holder *holder, const json_t *bindings, const json_t *roles,
                     const struct right *right)
{
    const json_t *binding = NULL;
    size_t index = 0;
    json_array_foreach(bindings, index, binding)
    {
        if (is_subject(binding, holder->namespace, holder->account) &&
            is_granted(rules_of(holder->source, roles, binding), right->group, right->resource, right->name,
                       right->verb))
            return true;
    }
    return false;
}

static bool is_given_everywhere(const struct holder *holder, const struct right *right)
{
    return is_given(holder, check_items(holder->source, "clusterRoleBindings"), NULL, right);
}

/* @param roles  facts of the namespace. */
static bool is_given_in(const struct holder *holder, const json_t *roles, const struct right *right)
{
    return is_given_everywhere(holder, right) || is_given(holder, check_items(roles, "roleBindings"), roles, right);
}

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
        const struct right right = {.group = group, .resource = resource, .verb = verb};
        bool given = everywhere ? is_given_everywhere(holder, &right) : is_given_in(holder, holder->source, &right);
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

static struct holder find_holder(const json_t *snapshot)
{
    const json_t *source = json_object_get(snapshot, "source");
    unsigned count = 0;
    const json_t *agent = check_find_agent(check_items(source, "deployments"), &count);
    const char *account = check_text(agent, "spec/template/spec/serviceAccountName");
    return (struct holder){.source = source,
                           .namespace = check_text(snapshot, "namespace"),
                           .account = account[0] != '\0' ? account : AGENT_NAME};
}

void check_agent_rights(const json_t *snapshot, struct check_report *report)
{
    static const char *const lists[] = {"clusterRoles", "clusterRoleBindings", "roles", "roleBindings"};
    const json_t *source = json_object_get(snapshot, "source"), *object = NULL;
    const struct holder holder = find_holder(snapshot);
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

/* ---- rights to renew tokens ---- */

/* @param roles  facts of the Secret's namespace; NULL: they were not read. */
static void judge_renewal(const struct holder *holder, const json_t *roles, const char *namespace, const char *name,
                          const char *cluster, struct check_report *report)
{
    static const char *const lists[] = {"roles", "roleBindings"};
    const struct right right = {.group = "", .resource = "secrets", .name = name, .verb = "patch"};
    if (is_given_in(holder, roles, &right))
        return;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        if (check_needed_items(report, roles, lists[i], "source") == NULL)
            return;
    check_problem(report,
                  "* cluster %s: service account %s/%s may not patch secret %s/%s, and cannot renew the token there: "
                  "`svcmirror link` for that cluster gives the right",
                  cluster, holder->namespace, holder->account, namespace, name);
}

/* The copy for Linkerd's control plane, "namespace/name", which gets the same token. */
static void judge_copy(const struct holder *holder, const char *copy, const char *cluster, struct check_report *report)
{
    char namespace[NAMESPACE_BYTES];
    const char *slash = strchr(copy, '/');
    if (slash == NULL) /* none; of another text the agent complains */
        return;
    (void)snprintf(namespace, sizeof(namespace), "%.*s", (int)(slash - copy), copy);
    const json_t *elsewhere = json_object_get(json_object_get(holder->source, "rightsIn"), namespace);
    judge_renewal(holder, strcmp(namespace, holder->namespace) == 0 ? holder->source : elsewhere, namespace, slash + 1,
                  cluster, report);
}

void check_renewal_rights(const json_t *snapshot, struct check_report *report)
{
    static const char *const lists[] = {"clusterRoles", "clusterRoleBindings"};
    const struct holder holder = find_holder(snapshot);
    const json_t *target = NULL;
    size_t index = 0, seen = 0;
    json_array_foreach(json_object_get(snapshot, "targets"), index, target)
    {
        const json_t *secret = target_secret(target, check_items(holder.source, "secrets"));
        const char *copy = object_meta_entry(secret, "annotations", SECRET_COPY);
        if (!target_concerns(target) || object_meta_entry(secret, "annotations", SECRET_RENEW_TOKEN) == NULL)
            continue;
        for (size_t i = 0; seen == 0 && i < ARRAY_COUNT(lists); i++)
            if (check_needed_items(report, holder.source, lists[i], "source") == NULL)
                return;
        seen++;
        judge_renewal(&holder, holder.source, holder.namespace, object_meta_text(secret, "name"),
                      check_text(target, "cluster"), report);
        judge_copy(&holder, copy != NULL ? copy : "", check_text(target, "cluster"), report);
    }
    if (seen == 0)
        check_skip(report);
}
