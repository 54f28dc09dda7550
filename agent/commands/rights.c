#include "agent/commands/rights.h"

#include <stdio.h>
#include <string.h>

#include "agent/commands/resource.h"
#include "base/text.h"

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

bool rights_are_granted(const json_t *rules, const struct right *right)
{
    const json_t *rule = NULL;
    size_t index = 0;
    json_array_foreach(rules, index, rule)
    {
        if (is_for(rule, right->name) && holds(json_object_get(rule, "apiGroups"), right->group) &&
            holds(json_object_get(rule, "resources"), right->resource) &&
            holds(json_object_get(rule, "verbs"), right->verb))
            return true;
    }
    return false;
}

/* Whether a subject is the account itself, or the user that it is to the API server. */
static bool is_itself(const json_t *subject, const struct rights_holder *holder)
{
    char user[512];
    (void)snprintf(user, sizeof(user), "system:serviceaccount:%s:%s", holder->namespace, holder->account);
    if (strcmp(check_text(subject, "kind"), "User") == 0)
        return strcmp(check_text(subject, "name"), user) == 0;
    return strcmp(check_text(subject, "kind"), "ServiceAccount") == 0 &&
           strcmp(check_text(subject, "name"), holder->account) == 0 &&
           strcmp(check_text(subject, "namespace"), holder->namespace) == 0;
}

/* Whether a subject is a group that the account is in. */
static bool is_its_group(const json_t *subject, const struct rights_holder *holder)
{
    const char *name = check_text(subject, "name");
    char all_of_namespace[128];
    (void)snprintf(all_of_namespace, sizeof(all_of_namespace), "system:serviceaccounts:%s", holder->namespace);
    return strcmp(check_text(subject, "kind"), "Group") == 0 &&
           (strcmp(name, all_of_namespace) == 0 || strcmp(name, "system:serviceaccounts") == 0 ||
            strcmp(name, "system:authenticated") == 0);
}

static bool has_subject(const json_t *binding, const struct rights_holder *holder,
                        bool (*is_wanted)(const json_t *, const struct rights_holder *))
{
    const json_t *subject = NULL;
    size_t index = 0;
    json_array_foreach(json_object_get(binding, "subjects"), index, subject)
    {
        if (is_wanted(subject, holder))
            return true;
    }
    return false;
}

bool rights_are_bound_to(const json_t *binding, const struct rights_holder *holder)
{
    return has_subject(binding, holder, is_itself);
}

static bool is_subject(const json_t *binding, const struct rights_holder *holder)
{
    return rights_are_bound_to(binding, holder) || has_subject(binding, holder, is_its_group);
}

const json_t *rights_rules(const json_t *source, const json_t *roles, const json_t *binding)
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

/* @return whether one of these bindings gives the right. @param roles  facts of the bindings' namespace. */
static bool is_given(const struct rights_holder *holder, const json_t *bindings, const json_t *roles,
                     const struct right *right)
{
    const json_t *binding = NULL;
    size_t index = 0;
    json_array_foreach(bindings, index, binding)
    {
        if (is_subject(binding, holder) && rights_are_granted(rights_rules(holder->source, roles, binding), right))
            return true;
    }
    return false;
}

bool rights_are_given_everywhere(const struct rights_holder *holder, const struct right *right)
{
    return is_given(holder, check_items(holder->source, "clusterRoleBindings"), NULL, right);
}

bool rights_are_given_in(const struct rights_holder *holder, const json_t *roles, const struct right *right)
{
    return rights_are_given_everywhere(holder, right) ||
           is_given(holder, check_items(roles, "roleBindings"), roles, right);
}
