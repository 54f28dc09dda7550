/* Which rights the agent's account has and does not need. */
#include <string.h>

#include "agent/commands/check.h"
#include "agent/commands/link_renewal.h"
#include "agent/commands/resource.h"
#include "agent/commands/rights.h"
#include "base/strbuf.h"
#include "base/text.h"
#include "mirror/names.h"

enum { MAX_RIGHTS_BYTES = 1024 }; /* of the text about one role */

static const char *text_of(const json_t *item)
{
    const char *text = json_string_value(item);
    return text != NULL ? text : "";
}

/* Appends a list as `kubectl auth can-i --list` does. */
static void append_list(struct strbuf *text, const char *before, const json_t *list, const char *after)
{
    const json_t *item = NULL;
    size_t index = 0;
    json_array_foreach(list, index, item) strbuf_printf(text, "%s%s", index == 0 ? before : " ", text_of(item));
    if (json_array_size(list) > 0)
        strbuf_append(text, after);
}

/* Whether a right of a rule is among the needed ones: for all names, or for each that the rule names. */
static bool is_needed(const json_t *needed, const json_t *rule, struct right right)
{
    const json_t *names = json_object_get(rule, "resourceNames"), *name = NULL;
    size_t index = 0;
    if (json_array_size(names) == 0)
        return rights_are_granted(needed, &right);
    json_array_foreach(names, index, name)
    {
        right.name = text_of(name);
        if (!rights_are_granted(needed, &right))
            return false;
    }
    return true;
}

/* Appends which verbs on a resource nobody needs, like "secrets [create delete]". */
static void append_resource(const json_t *needed, const json_t *rule, const char *group, const char *resource,
                            struct strbuf *text)
{
    const json_t *verb = NULL;
    size_t index = 0, found = 0;
    json_array_foreach(json_object_get(rule, "verbs"), index, verb)
    {
        const struct right right = {.group = group, .resource = resource, .verb = text_of(verb)};
        if (is_needed(needed, rule, right))
            continue;
        if (found++ == 0) {
            strbuf_printf(text, "%s%s%s%s", text->length > 0 ? ", " : "", resource, group[0] != '\0' ? "." : "", group);
            append_list(text, " (", json_object_get(rule, "resourceNames"), ")");
        }
        strbuf_printf(text, "%s%s", found == 1 ? " [" : " ", right.verb);
    }
    if (found > 0)
        strbuf_append_char(text, ']');
}

static void append_rule(const json_t *needed, const json_t *rule, struct strbuf *text)
{
    const json_t *group = NULL, *resource = NULL, *urls = json_object_get(rule, "nonResourceURLs");
    size_t index = 0, inner = 0;
    json_array_foreach(json_object_get(rule, "apiGroups"), index, group)
    {
        json_array_foreach(json_object_get(rule, "resources"), inner, resource)
            append_resource(needed, rule, text_of(group), text_of(resource), text);
    }
    append_list(text, text->length > 0 ? ", " : "", urls, "");
    append_list(text, " [", json_array_size(urls) > 0 ? json_object_get(rule, "verbs") : NULL, "]");
}

/* @param bindings, roles  of one place. @param needed  rules that the account needs there. */
static void judge_excess(const struct rights_holder *holder, const json_t *bindings, const json_t *roles,
                         const json_t *needed, struct check_report *report)
{
    const json_t *binding = NULL, *rule = NULL;
    size_t index = 0, inner = 0;
    json_array_foreach(bindings, index, binding)
    {
        struct strbuf text;
        if (!rights_are_bound_to(binding, holder))
            continue;
        strbuf_init(&text, MAX_RIGHTS_BYTES);
        json_array_foreach(rights_rules(holder->source, roles, binding), inner, rule) append_rule(needed, rule, &text);
        if (text.length > 0 || strbuf_error(&text) != ERR_OK)
            check_doubt(report,
                        "* service account %s/%s has rights that it does not need, by %s %s: %s%s: take from it what "
                        "was not meant",
                        holder->namespace, holder->account,
                        strcmp(check_text(binding, "roleRef/kind"), "Role") == 0 ? "role" : "clusterrole",
                        check_text(binding, "roleRef/name"), strbuf_text(&text),
                        strbuf_error(&text) != ERR_OK ? ", and more" : "");
        strbuf_done(&text);
    }
}

/* Adds the rules of what `install` makes of that kind. */
static bool add_installed(json_t *rules, const json_t *installed, const char *kind)
{
    const json_t *object = NULL;
    size_t index = 0;
    bool added = true;
    json_array_foreach(installed, index, object)
    {
        if (strcmp(check_text(object, "kind"), kind) == 0)
            added = json_array_extend(rules, json_object_get(object, "rules")) == 0 && added;
    }
    return added;
}

static bool add_renewal(json_t *rules, const char *secret)
{
    return json_array_append_new(rules, link_renewal_rule(secret)) == 0;
}

/* Adds the rights to the Secrets of a namespace whose tokens the agent renews, and to the copies there. */
static bool add_renewals(json_t *rules, const struct rights_holder *holder, const char *namespace)
{
    const json_t *secret = NULL;
    size_t index = 0, length = strlen(namespace);
    bool added = true;
    json_array_foreach(check_items(holder->source, "secrets"), index, secret)
    {
        const char *copy = object_meta_entry(secret, "annotations", SECRET_COPY);
        if (object_meta_entry(secret, "annotations", SECRET_RENEW_TOKEN) == NULL)
            continue;
        if (strcmp(namespace, holder->namespace) == 0)
            added = add_renewal(rules, object_meta_text(secret, "name")) && added;
        if (copy != NULL && text_starts_with(copy, namespace) && copy[length] == '/')
            added = add_renewal(rules, copy + length + 1) && added;
    }
    return added;
}

/* The rights of one namespace, beyond those that the account needs anywhere. @param roles  facts of the namespace. */
static void judge_excess_in(const struct rights_holder *holder, const json_t *roles, const char *namespace,
                            const json_t *installed, struct check_report *report)
{
    bool is_home = strcmp(namespace, holder->namespace) == 0;
    json_t *needed = json_array();
    if (needed != NULL && add_installed(needed, installed, "ClusterRole") &&
        (!is_home || add_installed(needed, installed, "Role")) && add_renewals(needed, holder, namespace))
        judge_excess(holder, check_items(roles, "roleBindings"), roles, needed, report);
    json_decref(needed);
}

void check_excess_rights(const struct rights_holder *holder, const json_t *installed, struct check_report *report)
{
    const char *namespace = NULL;
    json_t *needed = json_array(), *roles = NULL;
    if (needed != NULL && add_installed(needed, installed, "ClusterRole"))
        judge_excess(holder, check_items(holder->source, "clusterRoleBindings"), NULL, needed, report);
    json_decref(needed);
    judge_excess_in(holder, holder->source, holder->namespace, installed, report);
    json_object_foreach(json_object_get(holder->source, "rightsIn"), namespace, roles)
        judge_excess_in(holder, roles, namespace, installed, report);
}
