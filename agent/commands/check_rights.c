/* Which rights the agent's account has, and which it needs. */
#include <stdio.h>
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/check_targets.h"
#include "agent/commands/install_objects.h"
#include "agent/commands/resource.h"
#include "agent/commands/rights.h"
#include "base/mem.h"
#include "base/text.h"
#include "mirror/names.h"

#define AGENT_NAME "svcmirror"

enum { NAMESPACE_BYTES = 256 };

/* ---- rights that it needs ---- */

/* Without these the agent does the rest: who takes them away may have meant to. */
static bool is_optional(const char *resource, const char *verb)
{
    return strcmp(resource, "endpoints") == 0 || strcmp(resource, "events") == 0 ||
           strcmp(resource, "servicecidrs") == 0 || strncmp(resource, "serviceimports", 14) == 0 ||
           (strcmp(resource, "namespaces") == 0 && strcmp(verb, "create") == 0);
}

/* Judges each verb of one resource of a rule that the agent needs. */
static void judge_resource(const struct rights_holder *holder, const json_t *rule, const char *resource,
                           bool everywhere, struct check_report *report)
{
    const char *group = json_string_value(json_array_get(json_object_get(rule, "apiGroups"), 0));
    const json_t *verb_item = NULL;
    size_t index = 0;
    json_array_foreach(json_object_get(rule, "verbs"), index, verb_item)
    {
        const char *verb = json_string_value(verb_item);
        const struct right right = {.group = group, .resource = resource, .verb = verb};
        bool given = everywhere ? rights_are_given_everywhere(holder, &right)
                                : rights_are_given_in(holder, holder->source, &right);
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

static void judge_rules(const struct rights_holder *holder, const json_t *role, struct check_report *report)
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

static struct rights_holder find_holder(const json_t *snapshot)
{
    const json_t *source = json_object_get(snapshot, "source");
    unsigned count = 0;
    const json_t *agent = check_find_agent(check_items(source, "deployments"), &count);
    const char *account = check_text(agent, "spec/template/spec/serviceAccountName");
    return (struct rights_holder){.source = source,
                                  .namespace = check_text(snapshot, "namespace"),
                                  .account = account[0] != '\0' ? account : AGENT_NAME};
}

/* Whether no binding names the account, and no group's lets it list Services: it was never installed, or lost all that it had. */
static bool has_no_rights(const struct rights_holder *holder)
{
    static const char *const lists[] = {"clusterRoleBindings", "roleBindings"};
    const struct right first = {.group = "", .resource = "services", .verb = "list"};
    const json_t *binding = NULL;
    size_t index = 0;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++) {
        json_array_foreach(check_items(holder->source, lists[i]), index, binding)
        {
            if (rights_are_bound_to(binding, holder))
                return false;
        }
    }
    return !rights_are_given_everywhere(holder, &first);
}

void check_agent_rights(const json_t *snapshot, struct check_report *report)
{
    static const char *const lists[] = {"clusterRoles", "clusterRoleBindings", "roles", "roleBindings"};
    const json_t *source = json_object_get(snapshot, "source"), *object = NULL;
    const struct rights_holder holder = find_holder(snapshot);
    const struct install_settings settings = {.namespace = holder.namespace, .replicas = 1};
    json_t *installed = NULL;
    struct err error = {0};
    size_t index = 0;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        if (check_needed_items(report, source, lists[i], "source") == NULL)
            return;
    if (has_no_rights(&holder)) { /* one line in place of one for each right */
        check_problem(report, "* service account %s/%s has no rights at all: `svcmirror install --apply` gives them",
                      holder.namespace, holder.account);
        return;
    }
    if (install_objects(&settings, &installed, &error) != ERR_OK) {
        check_doubt(report, "cannot be judged: %s", error.text);
        return;
    }
    json_array_foreach(installed, index, object) judge_rules(&holder, object, report);
    check_excess_rights(&holder, installed, report);
    json_decref(installed);
}

/* ---- rights to renew tokens ---- */

/* @param roles  facts of the Secret's namespace; NULL: they were not read. @param remedy  behind the colon. */
static void judge_renewal(const struct rights_holder *holder, const json_t *roles, const char *namespace,
                          const char *name, const char *cluster, const char *remedy, struct check_report *report)
{
    static const char *const lists[] = {"roles", "roleBindings"};
    const struct right right = {.group = "", .resource = "secrets", .name = name, .verb = "patch"};
    if (rights_are_given_in(holder, roles, &right))
        return;
    for (size_t i = 0; i < ARRAY_COUNT(lists); i++)
        if (check_needed_items(report, roles, lists[i], "source") == NULL)
            return;
    check_problem(
        report, "* cluster %s: service account %s/%s may not patch secret %s/%s, and cannot renew the token there: %s",
        cluster, holder->namespace, holder->account, namespace, name, remedy);
}

/* The copy, "namespace/name", which gets the same token. */
static void judge_copy(const struct rights_holder *holder, const char *copy, const char *cluster,
                       struct check_report *report)
{
    char namespace[NAMESPACE_BYTES];
    const char *slash = strchr(copy, '/');
    if (slash == NULL) /* none; of another text the agent complains */
        return;
    (void)snprintf(namespace, sizeof(namespace), "%.*s", (int)(slash - copy), copy);
    const json_t *elsewhere = json_object_get(json_object_get(holder->source, "rightsIn"), namespace);
    judge_renewal(holder, strcmp(namespace, holder->namespace) == 0 ? holder->source : elsewhere, namespace, slash + 1,
                  cluster,
                  "give it by a Role, or take the annotation " SECRET_COPY
                  " away: Linkerd's control plane has a token of its own",
                  report);
}

void check_renewal_rights(const json_t *snapshot, struct check_report *report)
{
    static const char *const lists[] = {"clusterRoles", "clusterRoleBindings"};
    const struct rights_holder holder = find_holder(snapshot);
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
                      check_text(target, "cluster"), "`svcmirror link` for that cluster gives the right", report);
        judge_copy(&holder, copy != NULL ? copy : "", check_text(target, "cluster"), report);
    }
    if (seen == 0)
        check_skip(report);
}
